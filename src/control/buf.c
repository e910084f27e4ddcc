// SPDX-License-Identifier: GPL-2.0-or-later
/* A growing text with a bound. Threads: the owner's. */
#include "control/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256u
#define KEEP_BYTES 4096u

static bool make_room(struct mon_buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : FIRST_BYTES;
	char *p;

	if (len > b->max || b->len > b->max - len)
		return false;
	while (cap < b->len + len)
		cap *= 2;
	if (cap == b->cap)
		return true;
	p = realloc(b->p, cap);
	if (!p)
		return false;
	b->p = p;
	b->cap = cap;
	return true;
}

void mon_buf_put(struct mon_buf *b, const void *data, size_t len)
{
	if (!len)
		return;
	if (!make_room(b, len)) {
		b->lost = true;
		return;
	}
	memcpy(b->p + b->len, data, len);
	b->len += len;
}

void mon_buf_puts(struct mon_buf *b, const char *text)
{
	mon_buf_put(b, text, strlen(text));
}

void mon_buf_printf(struct mon_buf *b, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->lost = true;
		return;
	}
	mon_buf_put(b, text, (size_t)n);
	free(text);
}

void mon_buf_take(struct mon_buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->p, b->p + n, b->len - n);
	b->len -= n;
	if (!b->len)
		mon_buf_clear(b);
}

void mon_buf_clear(struct mon_buf *b)
{
	b->len = 0;
	if (b->cap > KEEP_BYTES)
		mon_buf_free(b);
}

void mon_buf_free(struct mon_buf *b)
{
	free(b->p);
	b->p = NULL;
	b->len = b->cap = 0;
}
