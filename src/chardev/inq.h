/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded input queue of a back end: what the host side sent and the device has not taken.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_CHARDEV_INQ_H
#define LODGE_CHARDEV_INQ_H

#include <string.h>

#include "chardev/chardev.h"

#define INQ_BYTES 4096u

struct inq {
	uint32_t head, len;
	uint8_t buf[INQ_BYTES];
};

static inline uint32_t inq_room(const struct inq *q)
{
	return INQ_BYTES - q->len;
}

/* Takes as much as there is room for; the rest is the caller's to drop. */
static inline void inq_put(struct inq *q, const uint8_t *buf, size_t len)
{
	uint32_t n = len < inq_room(q) ? (uint32_t)len : inq_room(q);

	for (uint32_t i = 0; i < n; i++)
		q->buf[(q->head + q->len++) % INQ_BYTES] = buf[i];
}

/* Hand on as far as the device takes it. Runs again from inside through accept_input. */
static inline void inq_deliver(struct inq *q, const struct chardev *c)
{
	while (q->len) {
		size_t n = chardev_can_receive(c);
		uint32_t head = q->head, piece = INQ_BYTES - head;

		if (!n)
			break;
		if (piece > q->len)
			piece = q->len;
		if (piece > n)
			piece = (uint32_t)n;
		/* First, since receive may come back here. */
		q->head = (head + piece) % INQ_BYTES;
		q->len -= piece;
		chardev_receive(c, q->buf + head, piece);
	}
}

#endif
