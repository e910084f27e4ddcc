// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The head of a browser's request: as much of it as the page needs.
 * Source: RFC 9112 §2 to §5; RFC 6265 §4.2 (Cookie); RFC 6455 §4.1. Threads: any.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "vnc/vnc_int.h"

/* A copy of `len` characters, all of them printable, or nothing. */
static bool copy(char *out, size_t size, const char *text, size_t len)
{
	out[0] = '\0';
	if (len >= size)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* The value of `name=` among pieces that `sep` parts. */
static void find_value(const char *text, size_t len, char sep, const char *name, char *out,
		       size_t size)
{
	size_t n = strlen(name);

	while (len) {
		const char *end = memchr(text, sep, len);
		size_t piece = end ? (size_t)(end - text) : len;

		if (piece > n && !memcmp(text, name, n) && text[n] == '=' &&
		    copy(out, size, text + n + 1, piece - n - 1))
			return;
		piece += end != NULL;
		text += piece;
		len -= piece;
		while (len && *text == ' ') {
			text++;
			len--;
		}
	}
}

/* "GET /path?query HTTP/1.1" */
static bool request_line(const char *line, size_t len, struct http_request *r)
{
	const char *target, *end, *query;
	size_t n;

	r->get = len > 4 && !memcmp(line, "GET ", 4);
	r->head = len > 5 && !memcmp(line, "HEAD ", 5);
	if (!r->get && !r->head)
		return false;
	target = line + (r->get ? 4 : 5);
	end = memchr(target, ' ', len - (size_t)(target - line));
	if (!end || (size_t)(line + len - end) < 6 || memcmp(end, " HTTP/", 6) != 0)
		return false;
	r->keep = (size_t)(line + len - end) == 9 && !memcmp(end, " HTTP/1.1", 9);
	query = memchr(target, '?', (size_t)(end - target));
	n = (size_t)((query ? query : end) - target);
	if (!n || target[0] != '/' || !copy(r->path, sizeof(r->path), target, n))
		return false;
	if (query)
		find_value(query + 1, (size_t)(end - query - 1), '&', "token", r->token,
			   sizeof(r->token));
	return true;
}

static bool is_field(const char *line, size_t len, const char *name, const char **val, size_t *n)
{
	size_t head = strlen(name);

	if (len <= head || line[head] != ':' || strncasecmp(line, name, head) != 0)
		return false;
	*val = line + head + 1;
	*n = len - head - 1;
	while (*n && (**val == ' ' || **val == '\t')) {
		(*val)++;
		(*n)--;
	}
	while (*n && ((*val)[*n - 1] == ' ' || (*val)[*n - 1] == '\t'))
		(*n)--;
	return true;
}

/* The words of a list, without case. */
static bool has_word(const char *val, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (size_t at = 0; at + len <= n; at++) {
		if (!strncasecmp(val + at, word, len))
			return true;
	}
	return false;
}

static void field(const char *line, size_t len, struct http_request *r)
{
	const char *val;
	size_t n;

	if (is_field(line, len, "Host", &val, &n))
		(void)!copy(r->host, sizeof(r->host), val, n);
	else if (is_field(line, len, "Origin", &val, &n))
		(void)!copy(r->origin, sizeof(r->origin), val, n);
	else if (is_field(line, len, "Cookie", &val, &n))
		find_value(val, n, ';', "lodge", r->session, sizeof(r->session));
	else if (is_field(line, len, "Upgrade", &val, &n))
		r->upgrade = n == 9 && !strncasecmp(val, "websocket", 9);
	else if (is_field(line, len, "Sec-WebSocket-Key", &val, &n))
		(void)!(n == WS_KEY_CHARS && copy(r->key, sizeof(r->key), val, n));
	else if (is_field(line, len, "Sec-WebSocket-Version", &val, &n))
		r->version13 = n == 2 && !memcmp(val, "13", 2);
	else if (is_field(line, len, "Connection", &val, &n))
		r->keep &= !has_word(val, n, "close");
	else if (is_field(line, len, "Content-Length", &val, &n) ||
		 is_field(line, len, "Transfer-Encoding", &val, &n))
		r->keep = false; /* a body, which nobody reads */
}

enum http_verdict http_parse(const char *text, size_t len, struct http_request *out)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4), *line = text, *next;

	memset(out, 0, sizeof(*out));
	if (!end)
		return len < HTTP_HEAD_MAX ? HTTP_MORE : HTTP_BAD;
	next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
	if (!next || !request_line(line, (size_t)(next - line), out))
		return HTTP_BAD;
	for (line = next + 2; line < end; line = next + 2) {
		next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if (!next)
			return HTTP_BAD;
		field(line, (size_t)(next - line), out);
	}
	if (!out->version13)
		out->key[0] = '\0';
	out->len = (size_t)(end + 4 - text);
	return HTTP_OK;
}
