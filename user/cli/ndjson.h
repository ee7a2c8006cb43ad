/*
 * ndjson: one line of JSON as one frame of a source, and a body of MessagePack as JSON text.
 *
 * A line is an object with the names of the header's fields, all optional but those that the kind requires,
 * and "body": {..}. "kind": "EVENT" (default), "PROFILE", "SUBSCRIBE" or "MANAGE".
 *   type        code, or a name of the demo bank ("card.purchase")
 *   customer, account   number, or a string of digits where it does not fit in 63 bits
 *   time        ns since 1970, or "2026-03-02T09:30:00Z" with up to nine decimals
 *   amount      minor units; balance: minor units, absent or null = no data
 *   currency, country   number, or "EUR", "ES"
 *   mcc         number;  touchpoint: number or name ("pos")
 *   flags       number, or a list of "verdict", "reversal", "repeat"
 * Another name at the top is refused. JSON integers become integers, other numbers doubles.
 */
#ifndef CLI_NDJSON_H
#define CLI_NDJSON_H

#include <moment/frame.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Writes the frame (sequence 0) to `frame`, which has room for FRAME_BYTES_MAX. Returns its length, or 0
 * with the reason in `error`.
 */
size_t ndjson_frame(const char *line, size_t len, uint8_t *frame, char *error, size_t room);

/* The code of a type of the demo bank by name; 0 = unknown. */
uint16_t ndjson_type_code(const char *name);

/* Writes one MessagePack value as JSON: binary as hex digits. The bytes are valid (pack_validate). */
struct pack_reader;
void ndjson_print_value(struct pack_reader *r, FILE *out);
void ndjson_print_string(const char *s, size_t len, FILE *out); /* quoted and escaped */

#endif
