/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A growing text with a bound. Threads: the owner's. */
#ifndef LODGE_CONTROL_BUF_H
#define LODGE_CONTROL_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct mon_buf {
	char *p;
	size_t len, cap, max;
	bool lost; /* something did not fit, or there was no memory */
};

#define MON_BUF(bound)         \
	(struct mon_buf)       \
	{                      \
		.max = (bound) \
	}

void mon_buf_put(struct mon_buf *b, const void *data, size_t len);
void mon_buf_puts(struct mon_buf *b, const char *text);
void mon_buf_printf(struct mon_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Take `n` bytes from the front. */
void mon_buf_take(struct mon_buf *b, size_t n);
/* Empty it; memory that was much is given back. */
void mon_buf_clear(struct mon_buf *b);
void mon_buf_free(struct mon_buf *b);

#endif
