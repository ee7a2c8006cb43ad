// needs: user/catalogue/*.c user/cel/*.c user/base/[abm]*.c user/message/text.c
/*
 * fuzz_catalogue.c: any bytes as a catalogue file, and as a blob. What compiles must compile again from
 * its blob to the same hash, and its texts must render; what does not must give a problem at a place.
 *
 * Built with libFuzzer in VARIANT=fuzz; elsewhere main replays the files and directories that it is given.
 */
#include <assert.h>
#include <catalogue/catalogue.h>
#include <errno.h>
#include <message/text.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Every text of the catalogue with nothing known: dashes, no more than the room. */
static void render_all(const struct catalogue *c)
{
	size_t most = FIELD_COUNT + BODY_FIELDS_MAX + ATTRIBUTES_MAX;
	struct value *nothing = calloc(most, sizeof *nothing);
	struct cel_env env = { .rates = &c->rates, .currency = c->rates.bank };
	char out[256];
	uint32_t no_data;

	assert(nothing);
	for (size_t i = 0; i < most; i++)
		nothing[i].status = VALUE_NO_DATA;
	for (int space = 0; space < SPACE_COUNT; space++)
		env.space[space] = nothing;
	for (uint16_t m = 0; m < c->message_count; m++)
		for (uint16_t l = 0; l < c->language_count; l++) {
			uint16_t language = l;
			const struct cat_text *text = text_find(c, m, &language);
			size_t n = text_render(c, text, language, NULL, &env, 20, out, sizeof out, &no_data);
			assert(n <= 80);
		}
	free(nothing);
}

static void check_problems(const struct problems *problems)
{
	assert(problems->count > 0);
	for (size_t i = 0; i < problems->count; i++)
		assert(problems->list[i].line >= 1 && problems->list[i].column >= 1 &&
		       problems->list[i].text[0]);
}

static void check_catalogue(struct catalogue *c)
{
	struct problems problems;
	struct catalogue *again;

	problems_init(&problems);
	render_all(c);
	assert(catalogue_compile_blob(c->blob, c->blob_bytes, &again, &problems) == 0);
	assert(again->hash.low == c->hash.low && again->hash.high == c->hash.high);
	catalogue_free(again);
	problems_deinit(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct problems problems;
	struct catalogue *c;
	int rc;

	problems_init(&problems);
	if (len >= 8 && memcmp(bytes, "MMNTCAT1", 8) == 0)
		rc = catalogue_compile_blob(bytes, len, &c, &problems);
	else
		rc = catalogue_compile_text("fuzz.yaml", (const char *)bytes, len, &c, &problems);
	assert(rc == 0 || rc == -EINVAL);
	if (rc == 0)
		check_catalogue(c);
	else
		check_problems(&problems);
	catalogue_free(c);
	problems_deinit(&problems);
	return 0;
}
