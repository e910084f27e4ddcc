/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop of the `io` thread: file descriptors, timers, posted work.
 *
 * Every callback runs with the VM lock held (the mutex given to io_loop_new), so device code never
 * locks by itself; watches on the io thread, timers there or where io_loop_fire() is called. Timer and watch functions are called with the VM lock held,
 * from any thread; the loop is woken when it must look again.
 */
#ifndef LODGE_IO_LOOP_H
#define LODGE_IO_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct io_loop;

/* A timer lives inside its owner's structure. Never copy an armed one. */
struct io_timer {
	struct io_loop *loop;
	void (*fn)(void *opaque);
	void *opaque;
	uint64_t deadline_ns; /* valid while armed */
	bool armed;
	/*
	 * Set after io_timer_init() by what waits for the host: deadlines are CLOCK_MONOTONIC. Others are on the
	 * guest's clock (clock_vm_ns), and do not fire while it stands still.
	 */
	bool host;
	struct list link;
};

struct io_watch; /* one watched descriptor */

/* `vm_lock` is borrowed for the loop's life. NULL and err on failure. */
struct io_loop *io_loop_new(pthread_mutex_t *vm_lock, struct lodge_err *err);
void io_loop_free(struct io_loop *loop);
/* Run until io_loop_stop. Called without the VM lock. */
void io_loop_run(struct io_loop *loop);
/* Any thread, with or without the VM lock; async-signal-safe. */
void io_loop_stop(struct io_loop *loop);

/*
 * Whoever arms a timer may offer to call io_loop_fire() at that time itself, which spares waking the io
 * thread: `alarm` returns true for that. With the VM lock, on the thread that arms.
 */
void io_loop_set_alarm(struct io_loop *loop, bool (*alarm)(void *opaque, uint64_t deadline_ns),
		       void *opaque);
/* Fire what is due, on this thread. With the VM lock. */
void io_loop_fire(struct io_loop *loop);
/* The guest's clock was stopped, or goes again. With the VM lock. */
void io_loop_clock_changed(struct io_loop *loop);
/* The io thread is to see to the timers: who offered to, cannot. With the VM lock. */
void io_loop_take_over(struct io_loop *loop);

void io_timer_init(struct io_timer *t, struct io_loop *loop, void (*fn)(void *), void *opaque);
/* (Re)arm for an absolute time of the timer's clock; a time that has passed fires at once. */
void io_timer_arm(struct io_timer *t, uint64_t deadline_ns);
void io_timer_cancel(struct io_timer *t);

/*
 * Watch `fd` (borrowed) for EPOLLIN/EPOLLOUT/…; `fn(opaque, events)` on each. NULL if refused
 * (regular files cannot be watched).
 */
struct io_watch *io_watch_add(struct io_loop *loop, int fd, uint32_t events,
			      void (*fn)(void *opaque, uint32_t events), void *opaque);
void io_watch_mod(struct io_watch *w, uint32_t events);
void io_watch_del(struct io_watch *w);

#endif
