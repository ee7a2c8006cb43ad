/*
 * hello.c: one pass over the map; unknown keys are skipped. Names are 1 to NAME_BYTES_MAX bytes without NUL,
 * since they become part of message ids.
 */
#include "hello.h"

#include <base/bytes.h>
#include <string.h>

static bool key_is(const char *key, uint32_t len, const char *name)
{
	return strlen(name) == len && memcmp(key, name, len) == 0;
}

static const char *name_read(struct pack_item item, struct hello *out)
{
	if (item.type != PACK_STRING || item.bytes == 0 || item.bytes > NAME_BYTES_MAX ||
	    memchr(item.s, 0, item.bytes))
		return "name: a string of 1 to 63 bytes expected";
	memcpy(out->name, item.s, item.bytes);
	return NULL;
}

static const char *role_read(struct pack_item item, struct hello *out)
{
	if (item.type == PACK_STRING && key_is(item.s, item.bytes, "source"))
		out->role = ROLE_OF_SOURCE;
	else if (item.type == PACK_STRING && key_is(item.s, item.bytes, "gateway"))
		out->role = ROLE_OF_GATEWAY;
	else
		return "role: \"source\" or \"gateway\" expected";
	return NULL;
}

static const char *uint_read(struct pack_item item, uint64_t *out)
{
	if (item.type == PACK_INT && item.i >= 0)
		*out = (uint64_t)item.i;
	else if (item.type == PACK_UINT)
		*out = item.u;
	else
		return "first, session: an int >= 0 expected";
	return NULL;
}

static const char *stream_read(struct pack_item item, struct hello *out)
{
	if (item.type != PACK_BINARY || item.bytes != sizeof out->stream)
		return "stream: 16 bytes (bin) expected";
	memcpy(out->stream, item.s, sizeof out->stream);
	return NULL;
}

static const char *channels_read(struct pack_reader *r, struct pack_item item, struct hello *out)
{
	if (item.type != PACK_ARRAY)
		return "channels: a list of names expected";
	for (uint32_t i = 0; i < item.count; i++) {
		struct pack_item name = pack_read(r);
		if (name.type != PACK_STRING || i >= CHANNELS_MAX)
			return "channels: at most 16 names expected";
		out->channels[i].name = name.s;
		out->channels[i].bytes = name.bytes;
	}
	out->channel_count = item.count;
	return NULL;
}

static const char *skip_read(struct pack_reader *r, struct pack_item item, struct hello *out)
{
	if (item.type != PACK_ARRAY || item.count != 2 || uint_read(pack_read(r), &out->skip_from) ||
	    uint_read(pack_read(r), &out->skip_to) || out->skip_to < out->skip_from)
		return "skip: [from, to] expected";
	out->skip = true;
	return NULL;
}

static const char *version_read(struct pack_item item, struct hello *out)
{
	out->version = item.type == PACK_INT && item.i == FRAME_VERSION;
	return out->version ? NULL : "version: 1 expected";
}

static const char *pair_read(const char *key, uint32_t len, struct pack_reader *r, struct hello *out)
{
	struct pack_reader ahead = *r;

	if (pack_read(&ahead).type == PACK_NIL) { /* the same as an absent key (schemas/frame.md) */
		*r = ahead;
		return NULL;
	}
	if (key_is(key, len, "role"))
		return role_read(pack_read(r), out);
	if (key_is(key, len, "name"))
		return name_read(pack_read(r), out);
	if (key_is(key, len, "version"))
		return version_read(pack_read(r), out);
	if (key_is(key, len, "stream"))
		return stream_read(pack_read(r), out);
	if (key_is(key, len, "first"))
		return uint_read(pack_read(r), &out->first);
	if (key_is(key, len, "session"))
		return uint_read(pack_read(r), &out->session);
	if (key_is(key, len, "channels"))
		return channels_read(r, pack_read(r), out);
	if (key_is(key, len, "skip"))
		return skip_read(r, pack_read(r), out);
	pack_skip(r);
	return NULL;
}

const char *hello_read(const char *frame, uint32_t bytes, struct hello *out)
{
	static const uint8_t no_stream[16];
	struct frame_header h;
	struct pack_reader r;
	uint32_t offset, len;

	memcpy(&h, frame, sizeof h);
	*out = (struct hello){ .acknowledged = h.sequence, .first = 1 };
	const char *error = pack_validate(frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES, &offset);
	if (error)
		return error;
	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0 && !error; pairs--) {
		const char *key = pack_read_key(&r, &len);
		error = key ? pair_read(key, len, &r, out) : r.error;
	}
	if (error)
		return error;
	if (!out->role)
		return "role is missing";
	if (!out->name[0])
		return "name is missing";
	if (!out->version)
		return "version is missing";
	if (out->role == ROLE_OF_SOURCE && memcmp(out->stream, no_stream, 16) == 0)
		return "stream is missing (or all zero)";
	if (out->role == ROLE_OF_GATEWAY && out->channel_count == 0)
		return "channels is missing";
	return NULL;
}
