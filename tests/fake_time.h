/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual time for device tests and fuzz targets: include it once, in the program's one source
 * file.
 *
 * It stands in for src/base/clock.c and src/io/loop.c, which then are not linked. Time stands still
 * but in fake_advance(), which fires the timers due on the way, in order, each at its own time.
 * The C library's clocks are left alone: libFuzzer reads them in its alarm's handler.
 */
#ifndef LODGE_TESTS_FAKE_TIME_H
#define LODGE_TESTS_FAKE_TIME_H

#include <stdlib.h>

#include "base/clock.h"
#include "io/loop.h"

#define FAKE_START_NS (1000 * NS_PER_SEC)
#define FAKE_REAL_S \
	1700000000ull /* CLOCK_REALTIME at the start: 2023-11-14 22:13:20 UTC, Tuesday */

struct io_loop {
	struct list timers;
	uint64_t fired; /* timers fired so far */
};

static struct {
	uint64_t now;
	struct io_loop loop;
} fake;

uint64_t clock_mono_ns(void)
{
	return fake.now;
}

uint64_t clock_real_ns(void)
{
	return fake.now - FAKE_START_NS + FAKE_REAL_S * NS_PER_SEC;
}

void io_timer_init(struct io_timer *t, struct io_loop *loop, void (*fn)(void *), void *opaque)
{
	*t = (struct io_timer){.loop = loop, .fn = fn, .opaque = opaque};
	list_init(&t->link);
}

void io_timer_arm(struct io_timer *t, uint64_t deadline_ns)
{
	if (!t->armed)
		list_add_tail(&t->loop->timers, &t->link);
	t->armed = true;
	t->deadline_ns = deadline_ns;
}

void io_timer_cancel(struct io_timer *t)
{
	if (t->armed)
		list_del(&t->link);
	t->armed = false;
}

static inline struct io_loop *fake_begin(void)
{
	fake.now = FAKE_START_NS;
	fake.loop.fired = 0;
	list_init(&fake.loop.timers);
	return &fake.loop;
}

/* Advance by `ns`. Aborts when timers fire without end at one moment: that is a busy loop. */
static inline void fake_advance(uint64_t ns)
{
	uint64_t end = fake.now + ns;
	uint64_t at = 0, times = 0;

	for (;;) {
		struct io_timer *t, *best = NULL;

		list_for_each_entry (t, &fake.loop.timers, link) {
			if (!best || t->deadline_ns < best->deadline_ns)
				best = t;
		}
		if (!best || best->deadline_ns > end)
			break;
		if (best->deadline_ns > fake.now)
			fake.now = best->deadline_ns;
		times = at == fake.now ? times + 1 : 0;
		at = fake.now;
		if (times > 1000)
			abort();
		io_timer_cancel(best);
		fake.loop.fired++;
		best->fn(best->opaque);
	}
	fake.now = end;
}

#endif
