/*
 * status.c: `moment status`: the counters of a running engine, from its admin port.
 *
 * GET /status over a plain socket gives JSON. With --json it is printed as it came; else each name and number
 * on a line, indented as it is nested; a list of objects is a table. Every member
 * "holds" anywhere is one of the ledger's equations: false gives exit 1.
 */
#include "cli.h"
#include "client.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 16 << 20, WAIT_MS = 5000 };

static const char help[] = "moment status [--admin HOST:PORT] [--json]\n"
			   "What goes into a running engine, what comes out, where everything ends, and "
			   "whether the sums add up.\n"
			   "\n"
			   "  --admin HOST:PORT   the engine's admin port (127.0.0.1:7480)\n"
			   "  --json              the engine's JSON as it is\n"
			   "\n"
			   "Exit: 0 every equation holds; 1 one does not, or the answer is no status; 2 "
			   "usage; 3 nobody answers.\n";

struct answer {
	char *bytes;
	size_t count, room;
};

/* Reads until the other side closes: 0 or -errno. */
static int answer_read(int fd, struct answer *a)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (a->count + 1 >= a->room) {
			char *more = realloc(a->bytes, a->room ? 2 * a->room : 65536);

			if (!more || a->room >= ANSWER_BYTES_MAX) {
				a->bytes = more ? more : a->bytes;
				return more ? -E2BIG : -ENOMEM;
			}
			a->bytes = more;
			a->room = a->room ? 2 * a->room : 65536;
		}
		if (poll(&p, 1, WAIT_MS) == 0)
			return -ETIMEDOUT;
		n = recv(fd, a->bytes + a->count, a->room - a->count - 1, 0);
		if (n < 0)
			return -errno;
		a->bytes[a->count + (size_t)n] = 0;
		if (n == 0)
			return 0;
		a->count += (size_t)n;
	}
}

static int fetch(const char *admin, struct answer *a)
{
	char request[512];
	int fd = client_connect(admin), result = 0;
	size_t len = (size_t)snprintf(request, sizeof(request),
				      "GET /status HTTP/1.0\r\nHost: %.200s\r\n\r\n", admin);

	if (fd < 0)
		return fd;
	if (send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
		result = -errno;
	if (result == 0)
		result = answer_read(fd, a);
	close(fd);
	return result;
}

/* The body of an answer with status 200; NULL when it is none. */
static const char *answer_body(const struct answer *a)
{
	const char *end = a->bytes ? strstr(a->bytes, "\r\n\r\n") : NULL;

	if (!end || strncmp(a->bytes, "HTTP/1.", 7) != 0 || strncmp(a->bytes + 8, " 200", 4) != 0)
		return NULL;
	return end + 4;
}

/* True unless a member "holds" or "equations_hold" is not true somewhere. */
static bool all_hold(const json_t *value)
{
	const char *name;
	json_t *item;
	size_t index;
	bool good = true;

	json_array_foreach((json_t *)value, index, item) good = all_hold(item) && good;
	json_object_foreach((json_t *)value, name, item)
	{
		if ((strcmp(name, "holds") == 0 || strcmp(name, "equations_hold") == 0) &&
		    !json_is_true(item))
			return false;
		good = all_hold(item) && good;
	}
	return good;
}

/* A list of objects with one set of names: a heading, a line each, columns as wide as they need. */
static bool is_table(const json_t *value)
{
	const json_t *first = json_array_get(value, 0), *item;
	size_t index;

	json_array_foreach((json_t *)value, index, item)
	{
		if (!json_is_object(item) || json_object_size(item) != json_object_size(first))
			return false;
	}
	return json_is_object(first);
}

/* Text of a cell; what is nested stays JSON. The caller frees it. */
static char *cell_text(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
}

static int column_width(const json_t *table, const char *name)
{
	size_t width = strlen(name), index;
	const json_t *item;

	json_array_foreach((json_t *)table, index, item)
	{
		char *text = cell_text(json_object_get(item, name));

		if (text && strlen(text) > width)
			width = strlen(text);
		free(text);
	}
	return (int)width;
}

static void print_cell(const json_t *value, const char *text, int width)
{
	printf("  %*s", json_is_number(value) ? width : -width, text ? text : "");
}

static void print_table(const json_t *table, int indent)
{
	const json_t *heads = json_array_get(table, 0), *item;
	const char *name;
	json_t *head;
	size_t index;

	printf("%*s", indent - 2, "");
	json_object_foreach((json_t *)heads, name, head) print_cell(head, name, column_width(table, name));
	putchar('\n');
	json_array_foreach((json_t *)table, index, item)
	{
		printf("%*s", indent - 2, "");
		json_object_foreach((json_t *)heads, name, head)
		{
			const json_t *value = json_object_get(item, name);
			char *text = cell_text(value);

			print_cell(value, text, column_width(table, name));
			free(text);
		}
		putchar('\n');
	}
}

static void print_value(const json_t *value, int indent);

/* name: value, or the name and what is nested below it. */
static void print_member(const char *name, const json_t *value, int indent)
{
	char *text;

	if (json_object_size(value) + json_array_size(value) > 0) {
		printf("%*s%s\n", indent, "", name);
		print_value(value, indent + 2);
		return;
	}
	text = cell_text(value);
	printf("%*s%-*s %20s\n", indent, "", 32 - indent, name, text ? text : "?");
	free(text);
}

static void print_value(const json_t *value, int indent)
{
	const char *name;
	json_t *item;
	size_t index;

	if (is_table(value)) {
		print_table(value, indent);
		return;
	}
	json_object_foreach((json_t *)value, name, item) print_member(name, item, indent);
	json_array_foreach((json_t *)value, index, item) print_member("-", item, indent);
}

static int show(const struct answer *a, bool as_json)
{
	const char *body = answer_body(a);
	json_error_t problem;
	json_t *status = body ? json_loads(body, 0, &problem) : NULL;
	bool good;

	if (!status) {
		fprintf(stderr, "moment status: the answer is no status: %s\n",
			body ? problem.text : "no HTTP 200");
		return CLI_FAILED;
	}
	good = all_hold(status);
	if (as_json)
		printf("%s%s", body, *body && body[strlen(body) - 1] == '\n' ? "" : "\n");
	else
		print_value(status, 0);
	json_decref(status);
	if (!good)
		fprintf(stderr, "moment status: an equation of the ledger does not hold\n");
	return good ? CLI_OK : CLI_FAILED;
}

static int ask(const char *admin, bool as_json)
{
	struct answer a = { 0 };
	int result = fetch(admin, &a), code;

	if (result == 0) {
		code = show(&a, as_json);
	} else if (result == -EINVAL) {
		fprintf(stderr, "moment status: %s is no HOST:PORT\n", admin);
		code = CLI_USAGE;
	} else {
		fprintf(stderr, "moment status: no answer from %s: %s\n", admin, strerror(-result));
		code = CLI_NO_CONNECTION;
	}
	free(a.bytes);
	return code;
}

int cli_status(int argc, char **argv)
{
	static const struct option options[] = { { "admin", 1, NULL, 'a' },
						 { "json", 0, NULL, 'j' },
						 { "help", 0, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *admin = "127.0.0.1:7480";
	bool as_json = false;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return CLI_OK;
		}
		if (option == '?')
			return CLI_USAGE;
		if (option == 'a')
			admin = optarg;
		else
			as_json = true;
	}
	if (optind < argc) {
		fprintf(stderr, "moment status: unexpected '%s'; --help says more\n", argv[optind]);
		return CLI_USAGE;
	}
	return ask(admin, as_json);
}
