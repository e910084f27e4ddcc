/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded output queue of a back end: collects what the guest writes byte by byte and hands it
 * to a descriptor that never blocks.
 *
 * A line's end or OUTQ_EAGER bytes go out at once, anything else within a millisecond. When the
 * descriptor is full the owner watches for room (want_write) and calls outq_flush; when the queue
 * is full too, outq_put takes less than it was given and the owner's front end waits.
 * With `patience_ns` set, a descriptor that takes nothing for so long counts as stalled: output is
 * dropped until it takes something again.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_CHARDEV_OUTQ_H
#define LODGE_CHARDEV_OUTQ_H

#include "chardev/chardev.h"
#include "io/loop.h"

#define OUTQ_BYTES 65536u
#define OUTQ_EAGER 512u
#define OUTQ_DELAY_NS 1000000ull

struct outq_ops {
	/* Watch for room in the descriptor, or no longer. */
	void (*want_write)(void *opaque, bool on);
	/* A write failed for good (`error` is an errno); the queue is empty now. May be NULL. */
	void (*failed)(void *opaque, int error);
};

struct outq {
	struct chardev *owner;
	const struct outq_ops *ops;
	void *opaque;
	int fd; /* -1: everything is dropped */
	bool socket;
	bool blocked, stalled;
	bool short_put;	      /* the front end waits for chardev_writable */
	uint64_t patience_ns; /* 0: for ever */
	struct io_timer delay, patience;
	uint32_t head, len;
	uint8_t buf[OUTQ_BYTES];
};

void outq_init(struct outq *q, struct io_loop *loop, struct chardev *owner,
	       const struct outq_ops *ops, void *opaque);
/* Start on a new descriptor (borrowed), or -1; the queue is emptied. */
void outq_set_fd(struct outq *q, int fd, bool socket);
size_t outq_put(struct outq *q, const uint8_t *buf, size_t len);
/* There may be room: write what can be written. */
void outq_flush(struct outq *q);
/* Before the end: write everything, waiting at most `timeout_ms`; then drop the rest. */
void outq_finish(struct outq *q, int timeout_ms);

#endif
