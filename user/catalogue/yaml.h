/*
 * yaml: one file's text -> a tree of nodes that know where they stand. A small part of YAML 1.2: maps,
 * lists and scalars in flow and block style; one document a file; no anchors, aliases, tags, no
 * duplicate keys. What is refused is a problem with its place; the rest of the file is still read.
 */
#ifndef CATALOGUE_YAML_H
#define CATALOGUE_YAML_H

#include "catalogue.h"

enum { YAML_DEPTH_MAX = 12, YAML_NODES_MAX = 1 << 20 };

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };
enum node_style { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE, STYLE_LITERAL, STYLE_FOLDED };

struct yaml_file {
	const char *name;    /* in the directory; what is hashed */
	const char *display; /* what problems call it: "bank/rules.yaml" */
	const char *bytes;   /* without a byte order mark */
	size_t len;
	uint32_t mark_bytes;   /* of the byte order mark in front of `bytes`: 0 or 3 */
	uint32_t *line_starts; /* byte offset of each line */
	uint32_t lines;
	struct node *root; /* NULL: empty or unreadable */
	bool broken;	   /* a problem left part of it unread */
};

struct node {
	enum node_kind kind;
	enum node_style style;
	const struct yaml_file *file;
	uint32_t line, column; /* 1-based */
	const char *text;      /* of a scalar, a NUL behind it */
	uint32_t bytes;
	uint32_t raw, raw_end; /* a scalar's bytes in the file */
	uint32_t count;	       /* items of a list, keys of a map */
	struct node *first;    /* item of a list or key of a map */
	struct node *next;     /* item or key */
	struct node *value;    /* of a key */
};

/*
 * Parses file->bytes into file->root. Nodes and texts live in `arena`. Problems are added to `problems`.
 * Returns 0, or -ENOMEM.
 */
__attribute__((warn_unused_result)) int yaml_parse(struct yaml_file *file, struct arena *arena,
						   struct problems *problems);

/* Line and column (in characters) of a byte of the file. */
void yaml_place(const struct yaml_file *file, size_t offset, uint32_t *line, uint32_t *column);

/* Line and column in the file of byte `offset` of a scalar's text: through quotes, escapes, folding. */
void yaml_text_place(const struct node *scalar, size_t offset, uint32_t *line, uint32_t *column);

/* The value of a key; NULL when the map has none. */
struct node *yaml_get(const struct node *map, const char *key);
bool yaml_text_is(const struct node *scalar, const char *text);

/* A problem at a place of a file; printf-like. */
__attribute__((format(printf, 5, 6))) void problem_add_at(struct problems *p, const struct yaml_file *file,
							  uint32_t line, uint32_t column, const char *format,
							  ...);
/* Puts them in order of file, line, column, and drops exact repeats. */
void problems_sort(struct problems *p);

#endif
