/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watched descriptors for device tests, beside fake_time.h: include it once. Nothing is called but in
 * fake_watch_poll().
 */
#ifndef LODGE_TESTS_FAKE_WATCH_H
#define LODGE_TESTS_FAKE_WATCH_H

#include <poll.h>
#include <stdlib.h>

#include "base/list.h"
#include "io/loop.h"

struct io_watch {
	struct list link;
	int fd;
	uint32_t events;
	void (*fn)(void *opaque, uint32_t events);
	void *opaque;
};

static struct list fake_watches = {&fake_watches, &fake_watches};

struct io_watch *io_watch_add(struct io_loop *loop, int fd, uint32_t events,
			      void (*fn)(void *opaque, uint32_t events), void *opaque)
{
	struct io_watch *w = calloc(1, sizeof(*w));

	*w = (struct io_watch){.fd = fd, .events = events, .fn = fn, .opaque = opaque};
	list_init(&w->link);
	list_add_tail(&fake_watches, &w->link);
	return w;
}

void io_watch_mod(struct io_watch *w, uint32_t events)
{
	w->events = events;
}

void io_watch_del(struct io_watch *w)
{
	list_del(&w->link);
	free(w);
}

/* Call who is ready, one at a time; at most `most` calls. How many there were. */
static inline unsigned fake_watch_poll(unsigned most)
{
	unsigned calls = 0;
	bool again = true;

	while (again && calls < most) {
		struct io_watch *w;

		again = false;
		list_for_each_entry (w, &fake_watches, link) {
			/* EPOLL* and POLL* are the same numbers. */
			struct pollfd p = {.fd = w->fd, .events = (short)w->events};

			if (poll(&p, 1, 0) <= 0)
				continue;
			/* To the end, so that the next one gets its turn. */
			list_del(&w->link);
			list_add_tail(&fake_watches, &w->link);
			w->fn(w->opaque, (uint32_t)p.revents);
			calls++;
			again = true;
			break;
		}
	}
	return calls;
}

#endif
