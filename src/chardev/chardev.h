/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A character channel between a device (the front end: a UART, a debug console) and something on
 * the host (the back end: the terminal, a pty, a socket, a file).
 *
 * Neither side blocks. What one side cannot take now it refuses, and says later that it can:
 * the device by chardev_accept_input, the back end by frontend->writable.
 * A back end embeds struct chardev first in its own structure. Both sides keep bounded buffers.
 *
 * Threads: everything with the VM lock held (back ends run in io_loop callbacks).
 */
#ifndef LODGE_CHARDEV_CHARDEV_H
#define LODGE_CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chardev_event {
	CHARDEV_EVENT_OPEN,  /* somebody is at the other end now (socket connected, pty opened) */
	CHARDEV_EVENT_CLOSE, /* nobody is; what is written until the next OPEN is dropped */
	CHARDEV_EVENT_BREAK, /* a break condition was received */
};

/* What the device gives. Every member may be NULL; `opaque` is the device. */
struct chardev_frontend {
	/* Bytes the device can take now; 0 makes the back end stop reading the host side. */
	size_t (*can_receive)(void *opaque);
	/* `len` bytes arrive, never more than can_receive has just allowed. `buf` is borrowed. */
	void (*receive)(void *opaque, const uint8_t *buf, size_t len);
	void (*event)(void *opaque, enum chardev_event event);
	/* After a short write: there is room again. */
	void (*writable)(void *opaque);
	void *opaque;
};

struct chardev;

/* What the back end gives. Only write and free must be there. */
struct chardev_ops {
	/* Returns how many of the `len` bytes were taken (0..len); the rest waits for `writable`.
	 */
	size_t (*write)(struct chardev *c, const uint8_t *buf, size_t len);
	/* The device has room again: resume reading if can_receive had stopped it. */
	void (*accept_input)(struct chardev *c);
	/* Line settings and a transmitted break, for back ends that are real serial lines. */
	void (*set_line)(struct chardev *c, unsigned baud, unsigned data_bits, unsigned stop_bits,
			 char parity);
	void (*set_break)(struct chardev *c, bool on);
	/* See chardev_take_socket(). */
	int (*take_socket)(struct chardev *c);
	void (*free)(struct chardev *c);
};

struct chardev {
	const struct chardev_ops *ops;
	struct chardev_frontend fe; /* all NULL until a device connects */
};

/* A device takes the channel (`fe` is copied), or leaves it (fe NULL). One front end at a time. */
static inline void chardev_connect(struct chardev *c, const struct chardev_frontend *fe)
{
	c->fe = fe ? *fe : (struct chardev_frontend){0};
	if (fe && c->ops->accept_input)
		c->ops->accept_input(c);
}

/* For devices; all accept c == NULL, which is a channel that swallows everything. */

static inline size_t chardev_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	return c ? c->ops->write(c, buf, len) : len;
}

static inline void chardev_accept_input(struct chardev *c)
{
	if (c && c->ops->accept_input)
		c->ops->accept_input(c);
}

static inline void chardev_set_line(struct chardev *c, unsigned baud, unsigned data_bits,
				    unsigned stop_bits, char parity)
{
	if (c && c->ops->set_line)
		c->ops->set_line(c, baud, data_bits, stop_bits, parity);
}

static inline void chardev_set_break(struct chardev *c, bool on)
{
	if (c && c->ops->set_break)
		c->ops->set_break(c, on);
}

/*
 * For a device that speaks a protocol of its own, with descriptors in it: the connected Unix stream socket,
 * non-blocking, which is the caller's from now on; the channel swallows everything. -1: the back end has none.
 */
static inline int chardev_take_socket(struct chardev *c)
{
	return c && c->ops->take_socket ? c->ops->take_socket(c) : -1;
}

static inline void chardev_free(struct chardev *c)
{
	if (c)
		c->ops->free(c);
}

/* For back ends. */

static inline size_t chardev_can_receive(const struct chardev *c)
{
	return c->fe.can_receive ? c->fe.can_receive(c->fe.opaque) : 0;
}

static inline void chardev_receive(const struct chardev *c, const uint8_t *buf, size_t len)
{
	if (c->fe.receive)
		c->fe.receive(c->fe.opaque, buf, len);
}

static inline void chardev_event(const struct chardev *c, enum chardev_event event)
{
	if (c->fe.event)
		c->fe.event(c->fe.opaque, event);
}

static inline void chardev_writable(const struct chardev *c)
{
	if (c->fe.writable)
		c->fe.writable(c->fe.opaque);
}

#endif
