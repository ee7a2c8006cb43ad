/*
 * yaml.c: libfyaml's events -> our nodes, and from a byte of a scalar back to its place in the file.
 *
 * In: a file's bytes, owned by the caller and living as long as the nodes (texts are copied). Out: a tree in
 * the caller's arena. libfyaml is used as a stream of events, never as a document: so aliases are not
 * expanded (no billion laughs), depth and number of nodes are ours to bound, and every event knows its byte
 * offset, from which we count lines and characters ourselves. Its error conventions end in this file: a parse
 * error becomes a problem, with libfyaml's own words, and nothing is printed.
 *
 * Read yaml_parse first, then build_node; yaml_text_place stands alone at the end.
 */
#include "yaml.h"

#include <assert.h>
#include <base/bytes.h>
#include <errno.h>
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct yaml_file *file;
	struct arena *arena;
	struct problems *problems;
	struct fy_parser *parser;
	uint32_t nodes;
	uint32_t last_line, last_column; /* of last_offset: the place of the newest node; line 0: none */
	size_t last_offset;
	bool no_memory;
	bool stop; /* what follows cannot be read */
};

static void index_lines(struct yaml_file *file, struct arena *arena)
{
	uint32_t lines = 1;

	for (size_t i = 0; i < file->len; i++)
		lines += file->bytes[i] == '\n';
	file->line_starts = arena_array(arena, uint32_t, lines);
	if (!file->line_starts)
		return;
	file->lines = 1;
	for (size_t i = 0; i < file->len; i++)
		if (file->bytes[i] == '\n')
			file->line_starts[file->lines++] = (uint32_t)i + 1;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* The line of a byte, from 0. */
static uint32_t line_of(const struct yaml_file *file, size_t offset)
{
	uint32_t low = 0, high = file->lines;

	assert(file->lines > 0);
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (file->line_starts[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static uint32_t characters(const struct yaml_file *file, size_t from, size_t to)
{
	uint32_t n = 0;

	for (size_t i = from; i < to; i++)
		n += !is_continuation(file->bytes[i]);
	return n;
}

void yaml_place(const struct yaml_file *file, size_t offset, uint32_t *line, uint32_t *column)
{
	uint32_t at;

	if (offset > file->len)
		offset = file->len;
	at = line_of(file, offset);
	*line = at + 1;
	*column = 1 + characters(file, file->line_starts[at], offset);
}

/* The same for the places of nodes, which mostly go up: a line with 65,536 values is walked once. */
static void node_place(struct reader *b, struct node *n, size_t offset)
{
	uint32_t at;

	if (offset > b->file->len)
		offset = b->file->len;
	at = line_of(b->file, offset);
	if (at + 1 != b->last_line || offset < b->last_offset) {
		b->last_line = at + 1;
		b->last_offset = b->file->line_starts[at];
		b->last_column = 1;
	}
	b->last_column += characters(b->file, b->last_offset, offset);
	b->last_offset = offset;
	n->line = b->last_line;
	n->column = b->last_column;
}

static void problem_offset(struct reader *b, size_t offset, const char *text)
{
	uint32_t line, column;

	yaml_place(b->file, offset, &line, &column);
	problem_add_at(b->problems, b->file, line, column, "%s", text);
}

static struct node *node_new(struct reader *b, enum node_kind kind, size_t offset)
{
	struct node *n;

	if (++b->nodes > YAML_NODES_MAX) {
		if (!b->stop)
			problem_offset(b, offset, "more than 1048576 nodes in one file");
		b->stop = true;
		return NULL;
	}
	n = arena_take(b->arena, sizeof *n);
	if (!n) {
		b->no_memory = b->stop = true;
		return NULL;
	}
	n->kind = kind;
	n->file = b->file;
	n->raw = n->raw_end = (uint32_t)offset;
	node_place(b, n, offset);
	return n;
}

static struct node *build_node(struct reader *b, struct fy_event *event, unsigned depth, size_t near);

static struct node *build_scalar(struct reader *b, struct fy_event *event, size_t near)
{
	struct fy_token *token = event->scalar.value;
	const struct fy_mark *start = fy_token_start_mark(token), *end = fy_token_end_mark(token);
	size_t len = 0;
	const char *text = fy_token_get_text(token, &len);
	struct node *n = node_new(b, NODE_SCALAR, start ? start->input_pos : near);

	if (!n)
		return NULL;
	n->text = arena_copy(b->arena, text ? text : "", len);
	if (!n->text) {
		b->no_memory = b->stop = true;
		return NULL;
	}
	n->bytes = (uint32_t)len;
	if (end)
		n->raw_end = (uint32_t)end->input_pos;
	switch (fy_token_scalar_style(token)) {
	case FYSS_SINGLE_QUOTED:
		n->style = STYLE_SINGLE;
		break;
	case FYSS_DOUBLE_QUOTED:
		n->style = STYLE_DOUBLE;
		break;
	case FYSS_LITERAL:
		n->style = STYLE_LITERAL;
		break;
	case FYSS_FOLDED:
		n->style = STYLE_FOLDED;
		break;
	default:
		n->style = STYLE_PLAIN;
	}
	if (n->style == STYLE_LITERAL || n->style == STYLE_FOLDED) /* its mark is the start of the line */
		yaml_text_place(n, 0, &n->line, &n->column);
	else if (n->style != STYLE_PLAIN && n->column > 1) /* its mark is behind the quote */
		n->column--;
	return n;
}

/* Fills a list or a map; a map's keys take their value from the event that follows them. */
static void build_items(struct reader *b, struct node *parent, unsigned depth)
{
	enum fy_event_type end = parent->kind == NODE_MAP ? FYET_MAPPING_END : FYET_SEQUENCE_END;
	struct node **link = &parent->first;
	size_t near = parent->raw;

	while (!b->stop) {
		struct fy_event *event = fy_parser_parse(b->parser);
		struct node *item;
		if (!event) {
			b->stop = true;
			return;
		}
		if (event->type == end) {
			fy_parser_event_free(b->parser, event);
			return;
		}
		item = build_node(b, event, depth + 1, near);
		if (!item)
			return;
		near = item->raw_end;
		if (parent->kind == NODE_MAP) {
			event = fy_parser_parse(b->parser);
			if (!event) {
				b->stop = true;
				return;
			}
			item->value = build_node(b, event, depth + 1, near);
			if (!item->value)
				return;
			near = item->value->raw_end;
			if (item->kind != NODE_SCALAR) {
				problem_offset(b, item->raw, "found a list or map as a key, expected a name");
				continue;
			}
		}
		*link = item;
		link = &item->next;
		parent->count++;
	}
}

static int compare_keys(const void *left, const void *right)
{
	const struct node *a = *(struct node *const *)left, *b = *(struct node *const *)right;
	int order = strcmp(a->text, b->text);

	if (order)
		return order;
	return a->raw < b->raw ? -1 : a->raw > b->raw;
}

/* Duplicate keys are problems; the first one counts. */
static void check_duplicates(struct reader *b, const struct node *map)
{
	struct node **keys;
	const struct node *first;
	uint32_t n = 0;

	if (map->count < 2)
		return;
	keys = arena_array(b->arena, struct node *, map->count);
	if (!keys) {
		b->no_memory = b->stop = true;
		return;
	}
	for (struct node *key = map->first; key; key = key->next)
		keys[n++] = key;
	qsort(keys, n, sizeof *keys, compare_keys);
	first = keys[0];
	for (uint32_t i = 1; i < n; i++) {
		if (strcmp(first->text, keys[i]->text) != 0)
			first = keys[i];
		else
			problem_add_at(b->problems, b->file, keys[i]->line, keys[i]->column,
				       "found the key '%.80s' a second time; the first is at line %u",
				       keys[i]->text, first->line);
	}
}

/* Anchors and tags: named where the value stands. */
static void refuse_properties(struct reader *b, const struct fy_event *event, size_t offset)
{
	const struct fy_token *anchor = NULL, *tag = NULL;

	if (event->type == FYET_SCALAR) {
		anchor = event->scalar.anchor;
		tag = event->scalar.tag;
	} else if (event->type == FYET_MAPPING_START) {
		anchor = event->mapping_start.anchor;
		tag = event->mapping_start.tag;
	} else if (event->type == FYET_SEQUENCE_START) {
		anchor = event->sequence_start.anchor;
		tag = event->sequence_start.tag;
	}
	if (anchor)
		problem_offset(b, offset,
			       "found an anchor (&name); anchors and aliases are not used in a catalogue");
	if (tag)
		problem_offset(b, offset, "found a tag (!name); tags are not used in a catalogue");
}

/* Takes the event, and what belongs to it; NULL when the rest cannot be read. */
static struct node *build_node(struct reader *b, struct fy_event *event, unsigned depth, size_t near)
{
	const struct fy_mark *mark = fy_event_start_mark(event);
	size_t offset = mark ? mark->input_pos : near;
	struct node *n = NULL;

	refuse_properties(b, event, offset);
	switch (event->type) {
	case FYET_SCALAR:
		n = build_scalar(b, event, near);
		fy_parser_event_free(b->parser, event);
		return n;
	case FYET_ALIAS:
		offset -= offset > 0; /* its mark is behind the asterisk */
		problem_offset(b, offset,
			       "found an alias (*name); anchors and aliases are not used in a catalogue");
		n = node_new(b, NODE_SCALAR, offset);
		if (n)
			n->text = "";
		fy_parser_event_free(b->parser, event);
		return n;
	case FYET_MAPPING_START:
	case FYET_SEQUENCE_START:
		n = node_new(b, event->type == FYET_MAPPING_START ? NODE_MAP : NODE_LIST, offset);
		break;
	default:
		b->stop = true;
	}
	fy_parser_event_free(b->parser, event);
	if (n && depth >= YAML_DEPTH_MAX) {
		problem_offset(b, offset, "nested deeper than 12 levels");
		b->stop = true;
		b->file->broken = true;
		return NULL;
	}
	if (!n)
		return NULL;
	build_items(b, n, depth);
	if (n->kind == NODE_MAP)
		check_duplicates(b, n);
	return n;
}

/* One document a file: what the stream holds besides its first document is a problem. */
static void build_document(struct reader *b)
{
	struct fy_event *event;
	unsigned documents = 0;

	while (!b->stop && (event = fy_parser_parse(b->parser))) {
		const struct fy_mark *mark = fy_event_start_mark(event);
		size_t offset = mark ? mark->input_pos : 0;
		switch (event->type) {
		case FYET_STREAM_START:
		case FYET_STREAM_END:
		case FYET_DOCUMENT_END:
			break;
		case FYET_DOCUMENT_START:
			if (++documents == 2) {
				problem_offset(b, offset, "found a second document; a file holds one");
				b->stop = true;
			}
			break;
		default:
			b->file->root = build_node(b, event, 0, offset);
			continue;
		}
		fy_parser_event_free(b->parser, event);
	}
}

/* The parser's own errors, in its words. libfyaml counts lines and columns of an error from 1. */
static void take_errors(struct reader *b, struct fy_diag *diag)
{
	struct fy_diag_error *error;
	void *at = NULL;
	unsigned n = 0;

	while ((error = fy_diag_errors_iterate(diag, &at)) && n++ < 8) {
		uint32_t line = error->line > 0 ? (uint32_t)error->line : 1;
		uint32_t column = error->column > 0 ? (uint32_t)error->column : 1;
		problem_add_at(b->problems, b->file, line, column, "%s",
			       error->msg ? error->msg : "not YAML");
	}
	if (n == 0)
		problem_add_at(b->problems, b->file, 1, 1, "not YAML");
}

/* What libfyaml would pass over in silence: bytes that are not UTF-8, control characters. */
static bool check_bytes(struct reader *b)
{
	const struct yaml_file *file = b->file;

	for (size_t i = 0; i < file->len; i++) {
		unsigned char c = (unsigned char)file->bytes[i];
		bool line_end = c == '\r' && i + 1 < file->len && file->bytes[i + 1] == '\n';
		if (c == 0x7f || (c < 0x20 && c != '\n' && c != '\t' && !line_end)) {
			problem_offset(b, i, "found a control character");
			return false;
		}
	}
	if (utf8_valid(file->bytes, file->len))
		return true;
	for (uint32_t i = 0; i < file->lines; i++) {
		size_t end = i + 1 < file->lines ? file->line_starts[i + 1] : file->len;
		size_t start = file->line_starts[i];
		if (!utf8_valid(file->bytes + start, end - start)) {
			problem_offset(b, start, "found bytes that are not UTF-8 in this line");
			break;
		}
	}
	return false;
}

static int parse_events(struct reader *b)
{
	struct fy_diag_cfg diag_config;
	struct fy_diag *diag;
	int rc = -ENOMEM;

	fy_diag_cfg_default(&diag_config);
	diag_config.fp = NULL;
	diag_config.level = FYET_ERROR;
	diag = fy_diag_create(&diag_config);
	if (!diag)
		return -ENOMEM;
	fy_diag_set_collect_errors(diag, true);
	struct fy_parse_cfg config = { .search_path = "",
				       .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
				       .diag = diag };
	b->parser = fy_parser_create(&config);
	if (b->parser && fy_parser_set_string(b->parser, b->file->bytes, b->file->len) == 0) {
		build_document(b);
		rc = b->no_memory ? -ENOMEM : 0;
		if (rc == 0 && (fy_parser_get_stream_error(b->parser) || fy_diag_got_error(diag))) {
			b->file->broken = true;
			take_errors(b, diag);
			fy_diag_reset_error(diag); /* frees what it collected; unref does not */
		}
	}
	if (b->parser)
		fy_parser_destroy(b->parser);
	fy_diag_unref(diag);
	return rc;
}

int yaml_parse(struct yaml_file *file, struct arena *arena, struct problems *problems)
{
	struct reader b = { .file = file, .arena = arena, .problems = problems };

	if (file->len >= 3 &&
	    memcmp(file->bytes, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark says nothing */
		file->bytes += 3;
		file->len -= 3;
		file->mark_bytes = 3;
	}
	index_lines(file, arena);
	if (!file->line_starts)
		return -ENOMEM;
	if (!check_bytes(&b)) {
		file->broken = true;
		return 0;
	}
	if (file->len == 0)
		return 0;
	return parse_events(&b);
}

struct node *yaml_get(const struct node *map, const char *key)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (struct node *n = map->first; n; n = n->next)
		if (strcmp(n->text, key) == 0)
			return n->value;
	return NULL;
}

bool yaml_text_is(const struct node *scalar, const char *text)
{
	return scalar && scalar->kind == NODE_SCALAR && strcmp(scalar->text, text) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* How many bytes the escape at s has, its backslash included. */
static size_t escape_bytes(const char *s, size_t left)
{
	size_t n = 2;

	if (left > 1 && s[1] == 'x')
		n = 4;
	else if (left > 1 && s[1] == 'u')
		n = 6;
	else if (left > 1 && s[1] == 'U')
		n = 10;
	return n < left ? n : left;
}

/* Does the escape stand for white space? */
static bool escape_blank(const char *s, size_t n)
{
	char digits[9] = "";

	if (n < 2)
		return false;
	if (n == 2)
		return strchr("ntr \t\n\r", s[1]) != NULL;
	memcpy(digits, s + 2, n - 2);
	return is_blank((char)strtoul(digits, NULL, 16)) && strtoul(digits, NULL, 16) < 0x80;
}

/* The next written character of a scalar: its bytes, and whether it is white space. */
static size_t raw_step(const struct node *n, const char *s, const char *end, bool *blank)
{
	size_t bytes = 1;

	if (n->style == STYLE_DOUBLE && *s == '\\') {
		bytes = escape_bytes(s, (size_t)(end - s));
		*blank = escape_blank(s, bytes);
		return bytes;
	}
	*blank = is_blank(*s);
	if (n->style == STYLE_SINGLE && *s == '\'' && end - s > 1 && s[1] == '\'')
		return 2;
	while (s + bytes < end && is_continuation(s[bytes]))
		bytes++;
	return bytes;
}

/*
 * Folding, indentation and escapes change white space only, so the k-th character that is not white
 * space is the same one on both sides.
 */
void yaml_text_place(const struct node *n, size_t offset, uint32_t *line, uint32_t *column)
{
	const char *s = n->file->bytes + n->raw, *end = n->file->bytes + n->raw_end, *behind;
	size_t skip = 0;
	bool blank = false, at_blank;

	assert(n->kind == NODE_SCALAR);
	if (offset > n->bytes)
		offset = n->bytes;
	for (size_t i = 0; i < offset; i++)
		skip += !is_blank(n->text[i]) && !is_continuation(n->text[i]);
	at_blank = offset == n->bytes || is_blank(n->text[offset]);
	for (behind = s; s < end;) {
		size_t step = raw_step(n, s, end, &blank);
		if (!blank && skip == 0)
			break;
		s += step;
		if (!blank) {
			skip--;
			behind = s;
			if (skip == 0 && at_blank)
				break;
		}
	}
	yaml_place(n->file, (size_t)((at_blank ? behind : s) - n->file->bytes), line, column);
}
