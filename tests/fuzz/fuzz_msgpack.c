// needs: user/base/bytes.c
/*
 * fuzz_msgpack.c: any bytes through the validator; what it accepts is read whole, has the promised shape, and
 * comes back the same value after it is written and read again. Corpus: tests/corpus/msgpack.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "moment/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy_item(struct pack_reader *r, struct pack_writer *w, unsigned depth)
{
	struct pack_item item = pack_read(r);

	assert(depth <= FRAME_BODY_DEPTH_MAX || (item.type != PACK_ARRAY && item.type != PACK_MAP));
	switch (item.type) {
	case PACK_NIL:
		pack_nil(w);
		return;
	case PACK_BOOL:
		pack_bool(w, item.b);
		return;
	case PACK_INT:
		pack_int(w, item.i);
		return;
	case PACK_UINT:
		assert(item.u > INT64_MAX);
		pack_uint(w, item.u);
		return;
	case PACK_DOUBLE:
		pack_double(w, item.d);
		return;
	case PACK_STRING:
		assert(utf8_valid(item.s, item.bytes));
		pack_string(w, item.s, item.bytes);
		return;
	case PACK_BINARY:
		pack_binary(w, item.s, item.bytes);
		return;
	case PACK_ARRAY:
		pack_array(w, item.count);
		for (uint32_t i = 0; i < item.count; i++)
			copy_item(r, w, depth + 1);
		return;
	case PACK_MAP:
		pack_map(w, item.count);
		for (uint32_t i = 0; i < item.count; i++) {
			uint32_t len;
			const char *key = pack_read_key(r, &len);

			assert(key);
			pack_string(w, key, len);
			copy_item(r, w, depth + 1);
		}
		return;
	default:
		assert(0 && "the validator let it pass");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pack_reader r, skipper;
	struct pack_writer w, again;
	uint32_t offset;
	/* every form grows at most from a float of 5 bytes to 9 */
	size_t room = 2 * size + 16;
	uint8_t *out = malloc(2 * room);

	assert(out);
	pack_reader_init(&skipper, data, size);
	pack_skip(&skipper); /* whatever it is, it stays inside */
	assert(skipper.at <= skipper.end);
	if (pack_validate(data, size, &offset)) {
		assert(offset <= size);
	} else if (size > 0) {
		assert(!skipper.error && skipper.at == skipper.end);
		pack_reader_init(&r, data, size);
		pack_writer_init(&w, out, room);
		copy_item(&r, &w, 1);
		assert(!r.error && r.at == r.end && !w.overflow);
		assert(!pack_validate(out, pack_bytes(&w), &offset));
		pack_reader_init(&r, out, pack_bytes(&w));
		pack_writer_init(&again, out + room, room);
		copy_item(&r, &again, 1);
		assert(pack_bytes(&again) == pack_bytes(&w) && memcmp(out, out + room, pack_bytes(&w)) == 0);
	}
	free(out);
	return 0;
}
