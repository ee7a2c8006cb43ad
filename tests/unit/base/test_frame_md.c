// needs: user/base/frame.c user/base/bytes.c user/base/money.c user/cli/ndjson.c
/*
 * test_frame_md.c: schemas/frame.md says what the code does.
 *
 * Each block ```frame KIND SENDER is parsed (offset, bytes, and behind ; what they are), checked as a frame
 * of that sender, compared with what its comments say of the header, decoded, encoded again by our writer,
 * and compared byte for byte. The tables of kinds, errors and NDJSON are held against the code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <moment/counters.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "cli/ndjson.h"

struct dump {
	char kind[32], sender[16];
	uint8_t bytes[4096];
	size_t len;
	unsigned line; /* of the document */
	unsigned said; /* header fields that a comment names */
};

static char *document;
static struct dump dumps[64];
static unsigned dump_count;

static const struct {
	const char *name;
	unsigned offset, bytes;
} fields[] = {
	{ "length", 0, 4 },   { "version", 4, 1 },     { "kind", 5, 1 },      { "type", 6, 2 },
	{ "sequence", 8, 8 }, { "customer", 16, 8 },   { "account", 24, 8 },  { "time", 32, 8 },
	{ "amount", 40, 8 },  { "balance", 48, 8 },    { "currency", 56, 2 }, { "country", 58, 2 },
	{ "mcc", 60, 2 },     { "touchpoint", 62, 1 }, { "flags", 63, 1 },
};

static int64_t field_value(const uint8_t *frame, unsigned offset, unsigned bytes)
{
	int64_t value = 0;

	memcpy(&value, frame + offset, bytes);
	return value;
}

/* "; sequence = 43" must be what stands there. */
static void check_comment(struct dump *d, size_t from, const char *comment)
{
	char name[32];
	long long value;

	if (from >= FRAME_HEADER_BYTES || sscanf(comment, " %31s = %lld", name, &value) != 2)
		return;
	for (size_t k = 0; k < sizeof(fields) / sizeof(*fields); k++) {
		if (strcmp(fields[k].name, name) != 0)
			continue;
		assert_int_equal(from, fields[k].offset);
		assert_int_equal(d->len - from, fields[k].bytes);
		assert_true(field_value(d->bytes, fields[k].offset, fields[k].bytes) == value);
		d->said++;
		return;
	}
	fail_msg("line %u: no field %s", d->line, name);
}

static void parse_line(struct dump *d, const char *line, unsigned number)
{
	unsigned offset, byte;
	int used;
	size_t from = d->len;

	d->line = number;
	if (sscanf(line, "%4x%n", &offset, &used) != 1 || offset != d->len)
		fail_msg("line %u: expected offset %04zx", number, d->len);
	for (line += used; sscanf(line, " %2x%n", &byte, &used) == 1; line += used) {
		assert_true(d->len < sizeof(d->bytes));
		d->bytes[d->len++] = (uint8_t)byte;
	}
	line += strspn(line, " ");
	if (*line != ';')
		fail_msg("line %u: expected ; behind the bytes", number);
	check_comment(d, from, line + 1);
}

static int document_load(void **state)
{
	FILE *in = fopen("schemas/frame.md", "r");
	struct dump *open = NULL;
	unsigned number = 0;
	char line[4096];

	(void)state;
	document = calloc(1, 1 << 20);
	if (!in || !document)
		return -1; /* tests run in the tree's top folder */
	document[fread(document, 1, (1 << 20) - 1, in)] = 0;
	rewind(in);
	while (fgets(line, sizeof(line), in)) {
		number++;
		if (strncmp(line, "```", 3) == 0) {
			open = NULL;
			if (strncmp(line, "```frame ", 9) == 0) {
				open = &dumps[dump_count++];
				if (sscanf(line, "```frame %31s %15s", open->kind, open->sender) != 2)
					return -1;
			}
		} else if (open) {
			parse_line(open, line, number);
		}
	}
	fclose(in);
	return 0;
}

static enum frame_role role_of(const struct dump *d)
{
	if (strcmp(d->sender, "source") == 0)
		return ROLE_OF_SOURCE;
	if (strcmp(d->sender, "gateway") == 0)
		return ROLE_OF_GATEWAY;
	assert_string_equal(d->sender, "engine");
	return ROLE_OF_ENGINE;
}

static void there_is_a_dump_of_each_kind(void **state)
{
	(void)state;
	for (unsigned kind = FRAME_HELLO; kind <= FRAME_MANAGE; kind++) {
		unsigned found = 0;

		for (unsigned i = 0; i < dump_count; i++)
			found += dumps[i].bytes[5] == kind &&
				 strcmp(dumps[i].kind, frame_kind_name(kind)) == 0;
		if (!found)
			fail_msg("no dump of %s", frame_kind_name(kind));
	}
	for (unsigned i = 0; i < dump_count; i++)
		assert_string_equal(dumps[i].kind, frame_kind_name(dumps[i].bytes[5]));
}

static void each_dump_is_a_frame_that_its_sender_may_send(void **state)
{
	(void)state;
	for (unsigned i = 0; i < dump_count; i++) {
		struct frame_header h;
		struct frame_problem problem;
		const char *error;
		uint32_t offset;

		memcpy(&h, dumps[i].bytes, sizeof(h));
		problem = frame_header_check(&h, role_of(&dumps[i]));
		if (problem.text)
			fail_msg("%s before line %u: %s", dumps[i].kind, dumps[i].line, problem.text);
		assert_int_equal(h.length, dumps[i].len);
		assert_int_equal(dumps[i].said, sizeof(fields) / sizeof(*fields));
		error = pack_validate(dumps[i].bytes + 64, dumps[i].len - 64, &offset);
		if (error)
			fail_msg("%s before line %u: %s at %u", dumps[i].kind, dumps[i].line, error, offset);
	}
}

static void copy_item(struct pack_reader *r, struct pack_writer *w)
{
	struct pack_item item = pack_read(r);

	switch (item.type) {
	case PACK_NIL:
		pack_nil(w);
		break;
	case PACK_BOOL:
		pack_bool(w, item.b);
		break;
	case PACK_INT:
		pack_int(w, item.i);
		break;
	case PACK_UINT:
		pack_uint(w, item.u);
		break;
	case PACK_DOUBLE:
		pack_double(w, item.d);
		break;
	case PACK_STRING:
		pack_string(w, item.s, item.bytes);
		break;
	case PACK_BINARY:
		pack_binary(w, item.s, item.bytes);
		break;
	case PACK_ARRAY:
		pack_array(w, item.count);
		for (uint32_t i = 0; i < item.count; i++)
			copy_item(r, w);
		break;
	case PACK_MAP:
		pack_map(w, item.count);
		for (uint32_t i = 0; i < 2 * item.count; i++)
			copy_item(r, w);
		break;
	default:
		fail_msg("%s", r->error);
	}
}

static void each_dump_comes_back_the_same(void **state)
{
	(void)state;
	for (unsigned i = 0; i < dump_count; i++) {
		struct frame_header h;
		uint8_t again[4096];
		struct pack_reader r;
		struct pack_writer w;

		memcpy(&h, dumps[i].bytes, sizeof(h));
		pack_reader_init(&r, dumps[i].bytes + 64, dumps[i].len - 64);
		pack_writer_init(&w, again + 64, sizeof(again) - 64);
		while (r.at < r.end)
			copy_item(&r, &w);
		assert_null(r.error);
		h = (struct frame_header){ .length = (uint32_t)(64 + pack_bytes(&w)),
					   .version = FRAME_VERSION,
					   .kind = h.kind,
					   .type = h.type,
					   .sequence = h.sequence,
					   .customer = h.customer,
					   .account = h.account,
					   .time = h.time,
					   .amount = h.amount,
					   .balance = h.balance,
					   .currency = h.currency,
					   .country = h.country,
					   .mcc = h.mcc,
					   .touchpoint = h.touchpoint,
					   .flags = h.flags };
		memcpy(again, &h, sizeof(h));
		assert_int_equal(h.length, dumps[i].len);
		assert_memory_equal(again, dumps[i].bytes, h.length);
	}
}

static bool document_has(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return strstr(document, text) != NULL;
}

static void every_kind_and_error_is_described(void **state)
{
	(void)state;
	for (unsigned kind = 1; kind <= FRAME_MANAGE; kind++)
		assert_true(document_has("\n### %u %s\n", kind, frame_kind_name(kind)));
	assert_true(document_has("### 16 CHALLENGE, 17 PROOF"));
#define X(name, text) assert_true(document_has("\n| %s | ", #name));
	REFUSALS(X)
#undef X
#define X(value, name) assert_true(document_has("%d %s", value, #name));
	FRAME_TOUCHPOINTS(X)
	MESSAGE_CATEGORIES(X)
#undef X
}

/* The row of a kind in "Fields by kind": which of "s g e", and the cell of fields. */
static void kind_row(unsigned kind, char from[16], char cell[256], char flags[16])
{
	char start[64];
	const char *row;

	snprintf(start, sizeof(start), "\n| %u %s | ", kind, frame_kind_name(kind));
	row = strstr(document, start);
	assert_non_null(row);
	assert_true(sscanf(row + strlen(start), "%15[^|]| %255[^|]|%15[^|]|", from, cell, flags) == 3);
}

/* Whether the cell names the field, as a word. */
static bool cell_has(const char *cell, const char *field)
{
	size_t len = strlen(field);

	if (strncmp(cell, "all", 3) == 0)
		return true;
	for (const char *at = strstr(cell, field); at; at = strstr(at + 1, field))
		if ((at == cell || strchr(" ", at[-1])) && !strchr("abcdefghijklmnopqrstuvwxyz", at[len]))
			return true;
	return false;
}

/* A good frame of that kind, by the dump. */
static const struct dump *dump_of(unsigned kind)
{
	for (unsigned i = 0; i < dump_count; i++)
		if (dumps[i].bytes[5] == kind)
			return &dumps[i];
	return NULL;
}

static void the_table_of_fields_is_what_the_code_checks(void **state)
{
	unsigned refused = 0, taken = 0;

	(void)state;
	for (unsigned kind = 1; kind <= FRAME_MANAGE; kind++) {
		const struct dump *d = dump_of(kind);
		char from[16], cell[256], flags[16];
		struct frame_header h;

		kind_row(kind, from, cell, flags);
		assert_true(strchr(from, *d->sender));
		for (size_t k = 4; k < 14; k++) { /* sequence to touchpoint */
			memcpy(&h, d->bytes, sizeof(h));
			((uint8_t *)&h)[fields[k].offset] = 3;
			if (cell_has(cell, fields[k].name)) {
				assert_null(frame_header_check(&h, role_of(d)).text);
				taken++;
			} else {
				assert_int_equal(frame_header_check(&h, role_of(d)).offset, fields[k].offset);
				assert_non_null(frame_header_check(&h, role_of(d)).text);
				refused++;
			}
		}
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(&h, d->bytes, sizeof(h));
			h.flags = (uint8_t)(1u << bit);
			assert_int_equal(frame_header_check(&h, role_of(d)).text == NULL,
					 strchr(flags, (int)('0' + bit)) != NULL);
		}
	}
	assert_true(refused > 80 && taken > 30);
}

static void a_length_that_lies_or_a_cut_body_is_found(void **state)
{
	(void)state;
	for (unsigned i = 0; i < dump_count; i++) {
		uint32_t offset;

		for (size_t len = 1; len < dumps[i].len - 64 && dumps[i].len > 64; len++)
			assert_non_null(pack_validate(dumps[i].bytes + 64, len, &offset));
	}
}

static void the_example_lines_are_read(void **state)
{
	const char *at = strstr(document, "```json\n");
	static uint8_t frame[FRAME_BYTES_MAX];
	const struct dump *event = dump_of(FRAME_EVENT);
	char error[200] = "";
	unsigned lines = 0;

	(void)state;
	assert_non_null(at);
	for (at += 8; strncmp(at, "```", 3) != 0; lines++) {
		size_t len = strcspn(at, "\n"), bytes = ndjson_frame(at, len, frame, error, sizeof(error));

		if (bytes == 0)
			fail_msg("%s", error);
		if (lines == 0) { /* it is the event of the dump */
			frame[8] = event->bytes[8];
			assert_int_equal(bytes, event->len);
			assert_memory_equal(frame, event->bytes, bytes);
		}
		at += len + 1;
	}
	assert_int_equal(lines, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_a_dump_of_each_kind),
		cmocka_unit_test(each_dump_is_a_frame_that_its_sender_may_send),
		cmocka_unit_test(each_dump_comes_back_the_same),
		cmocka_unit_test(every_kind_and_error_is_described),
		cmocka_unit_test(the_table_of_fields_is_what_the_code_checks),
		cmocka_unit_test(a_length_that_lies_or_a_cut_body_is_found),
		cmocka_unit_test(the_example_lines_are_read),
	};

	return cmocka_run_group_tests(tests, document_load, NULL);
}
