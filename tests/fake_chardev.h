/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of a character channel, for device tests: takes what it is told to take, and keeps it. */
#ifndef LODGE_TESTS_FAKE_CHARDEV_H
#define LODGE_TESTS_FAKE_CHARDEV_H

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "chardev/chardev.h"

#define FAKE_CHARDEV_BYTES 4096u

struct fake_chardev {
	struct chardev c;
	size_t room; /* bytes it takes before it is full */
	size_t len;  /* bytes taken; the last FAKE_CHARDEV_BYTES at most are in buf */
	unsigned accepts;
	uint8_t buf[FAKE_CHARDEV_BYTES];
};

static inline size_t fake_chardev_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct fake_chardev *f = container_of(c, struct fake_chardev, c);

	if (len > f->room)
		len = f->room;
	f->room -= len;
	for (size_t i = 0; i < len; i++)
		f->buf[(f->len + i) % FAKE_CHARDEV_BYTES] = buf[i];
	f->len += len;
	return len;
}

static inline void fake_chardev_accept(struct chardev *c)
{
	container_of(c, struct fake_chardev, c)->accepts++;
}

static inline void fake_chardev_init(struct fake_chardev *f)
{
	static const struct chardev_ops ops = {
		.write = fake_chardev_write,
		.accept_input = fake_chardev_accept,
	};

	memset(f, 0, sizeof(*f));
	f->c.ops = &ops;
	f->room = SIZE_MAX;
}

/* The host sends: as much as the device takes. */
static inline size_t fake_chardev_send(struct fake_chardev *f, const void *buf, size_t len)
{
	size_t n = chardev_can_receive(&f->c);

	if (len > n)
		len = n;
	if (len)
		chardev_receive(&f->c, buf, len);
	return len;
}

#endif
