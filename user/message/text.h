/*
 * text: a compiled message text and the values of one event -> the words that a customer reads.
 * Allocates nothing; cut at the channel's length on a character boundary.
 */
#ifndef MESSAGE_TEXT_H
#define MESSAGE_TEXT_H

#include <catalogue/catalogue.h>
#include <moment/batch.h>

/*
 * Renders into out (room bytes), at most `characters_max` code points; past that the text is cut and
 * ends in U+2026. A placeholder without data is written as U+2013 and counted in *no_data.
 * Returns the bytes written; no NUL. `event` NULL: the values are all in env.
 */
size_t text_render(const struct catalogue *c, const struct cat_text *text, uint16_t language,
		   const struct event *event, const struct cel_env *env, uint32_t characters_max, char *out,
		   size_t room, uint32_t *no_data);

/* The spaces of env that it reads, a bit per enum cel_space; fields of the event alone need none. */
uint32_t text_reads(const struct cat_text *text);

/* The text of a message in a language, falling back to its parent and to the bank's language. */
const struct cat_text *text_find(const struct catalogue *c, uint16_t message, uint16_t *language);

#endif
