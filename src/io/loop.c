// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop: epoll for descriptors, one timerfd for the nearest timer, one eventfd to wake.
 *
 * A watch deleted while its event may already be in the loop's hands is only marked; the loop frees
 * it after the batch. The timerfd is set when a nearer deadline comes up, so arming a later one or
 * cancelling costs no system call (the loop may then wake once for nothing).
 * Threads: everything with the VM lock held, but io_loop_run (takes it) and io_loop_stop (any).
 */
#include "io/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/range.h"

#define BATCH 64
#define NEVER UINT64_MAX

struct io_watch {
	struct io_loop *loop;
	void (*fn)(void *opaque, uint32_t events);
	void *opaque;
	int fd;
	bool dead;
	struct list link; /* in loop->watches or loop->dead */
};

struct io_loop {
	pthread_mutex_t *vm_lock;
	int epfd, wakefd, timerfd;
	bool stop;	     /* set by io_loop_stop, read by the loop; atomics */
	bool firing;	     /* timers are being fired: the loop sets the timerfd afterwards */
	uint64_t timerfd_ns; /* what the timerfd, or the alarm, is set to; NEVER when it is not */
	bool (*alarm)(void *opaque, uint64_t deadline_ns);
	void *alarm_opaque;
	struct list timers[2]; /* armed, nearest first: those on the guest's clock, the host's */
	struct list watches;
	struct list dead; /* deleted watches, freed after the batch */
};

static int add_internal(struct io_loop *loop, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	if (fd < 0 || epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	return 0;
}

struct io_loop *io_loop_new(pthread_mutex_t *vm_lock, struct lodge_err *err)
{
	struct io_loop *loop = calloc(1, sizeof(*loop));

	if (!loop) {
		err_set(err, -ENOMEM, "no memory for the event loop");
		return NULL;
	}
	loop->vm_lock = vm_lock;
	loop->timerfd_ns = NEVER;
	list_init(&loop->timers[0]);
	list_init(&loop->timers[1]);
	list_init(&loop->watches);
	list_init(&loop->dead);
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epfd < 0 || add_internal(loop, loop->wakefd) < 0 ||
	    add_internal(loop, loop->timerfd) < 0) {
		err_set(err, -errno, "cannot create the event loop: %s", strerror(errno));
		io_loop_free(loop);
		return NULL;
	}
	return loop;
}

static void free_watches(struct list *head)
{
	while (!list_empty(head)) {
		struct io_watch *w = container_of(head->next, struct io_watch, link);

		list_del(&w->link);
		free(w);
	}
}

void io_loop_free(struct io_loop *loop)
{
	if (!loop)
		return;
	free_watches(&loop->watches);
	free_watches(&loop->dead);
	if (loop->timerfd >= 0)
		close(loop->timerfd);
	if (loop->wakefd >= 0)
		close(loop->wakefd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	free(loop);
}

void io_loop_stop(struct io_loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	__atomic_store_n(&loop->stop, true, __ATOMIC_RELEASE); /* pairs with io_loop_run */
	/* It can only fail when the counter is full, and then the loop is awake anyway. */
	if (write(loop->wakefd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* When the nearest timer is due, by CLOCK_MONOTONIC. */
static uint64_t nearest(const struct io_loop *loop)
{
	uint64_t next = NEVER;

	if (!list_empty(&loop->timers[1]))
		next = container_of(loop->timers[1].next, struct io_timer, link)->deadline_ns;
	if (!list_empty(&loop->timers[0]) && !clock_vm.stopped_ns) {
		uint64_t at =
			container_of(loop->timers[0].next, struct io_timer, link)->deadline_ns;

		if (at < NEVER - clock_vm.lost_ns)
			next = min_u64(next, at + clock_vm.lost_ns);
	}
	return next;
}

static void set_timerfd(struct io_loop *loop)
{
	uint64_t next = nearest(loop);

	if (next >= loop->timerfd_ns)
		return;
	if (loop->alarm && loop->alarm(loop->alarm_opaque, next)) {
		loop->timerfd_ns = next;
		return;
	}

	/* All zero would disarm it. */
	uint64_t ns = next ? next : 1;
	struct itimerspec its = {
		.it_value = {.tv_sec = (time_t)(ns / NS_PER_SEC),
			     .tv_nsec = (long)(ns % NS_PER_SEC)},
	};

	if (timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &its, NULL) == 0)
		loop->timerfd_ns = next;
}

/*
 * A timer that arms itself again for a past time would keep this going for ever, so no more fire than were
 * armed at the start; the rest comes after other threads had the lock.
 */
static void fire_list(struct list *timers, uint64_t now)
{
	unsigned budget = 0;
	struct io_timer *t;

	list_for_each_entry (t, timers, link)
		budget += t->deadline_ns <= now;
	while (budget-- > 0 && !list_empty(timers)) {
		t = container_of(timers->next, struct io_timer, link);
		if (t->deadline_ns > now)
			break;
		list_del(&t->link);
		t->armed = false;
		t->fn(t->opaque);
	}
}

/* Fire what is due. */
static void fire_timers(struct io_loop *loop)
{
	loop->firing = true;
	if (!clock_vm.stopped_ns)
		fire_list(&loop->timers[0], clock_vm_ns());
	fire_list(&loop->timers[1], clock_mono_ns());
	loop->firing = false;
	set_timerfd(loop);
}

void io_loop_set_alarm(struct io_loop *loop, bool (*alarm)(void *opaque, uint64_t deadline_ns),
		       void *opaque)
{
	loop->alarm = alarm;
	loop->alarm_opaque = opaque;
}

void io_loop_fire(struct io_loop *loop)
{
	loop->timerfd_ns = NEVER;
	fire_timers(loop);
}

void io_loop_take_over(struct io_loop *loop)
{
	bool (*alarm)(void *, uint64_t) = loop->alarm;

	loop->alarm = NULL;
	loop->timerfd_ns = NEVER;
	set_timerfd(loop);
	loop->alarm = alarm;
}

void io_loop_clock_changed(struct io_loop *loop)
{
	loop->timerfd_ns = NEVER;
	set_timerfd(loop);
}

static void drain(struct io_loop *loop, int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return;
	if (fd == loop->timerfd)
		loop->timerfd_ns = NEVER;
}

static void dispatch(struct io_loop *loop, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		struct io_watch *w = ev[i].data.ptr;

		if (!w) {
			drain(loop, loop->wakefd);
			drain(loop, loop->timerfd);
		} else if (!w->dead) {
			w->fn(w->opaque, ev[i].events);
		}
	}
	fire_timers(loop);
	free_watches(&loop->dead);
}

void io_loop_run(struct io_loop *loop)
{
	struct epoll_event ev[BATCH];

	while (!__atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(loop->epfd, ev, BATCH, -1);

		if (n < 0 && errno != EINTR)
			break;
		pthread_mutex_lock(loop->vm_lock);
		dispatch(loop, ev, n);
		pthread_mutex_unlock(loop->vm_lock);
	}
}

void io_timer_init(struct io_timer *t, struct io_loop *loop, void (*fn)(void *), void *opaque)
{
	*t = (struct io_timer){.loop = loop, .fn = fn, .opaque = opaque};
	list_init(&t->link);
}

void io_timer_arm(struct io_timer *t, uint64_t deadline_ns)
{
	struct io_loop *loop = t->loop;
	struct list *timers = &loop->timers[t->host], *pos;

	if (t->armed)
		list_del(&t->link);
	t->deadline_ns = deadline_ns;
	t->armed = true;
	/* Behind those of the same time. Most are armed late, so look from the end. */
	for (pos = timers->prev; pos != timers; pos = pos->prev) {
		if (container_of(pos, struct io_timer, link)->deadline_ns <= deadline_ns)
			break;
	}
	list_add_tail(pos->next, &t->link);
	if (!loop->firing)
		set_timerfd(loop);
}

void io_timer_cancel(struct io_timer *t)
{
	if (!t->armed)
		return;
	list_del(&t->link);
	t->armed = false;
}

struct io_watch *io_watch_add(struct io_loop *loop, int fd, uint32_t events,
			      void (*fn)(void *opaque, uint32_t events), void *opaque)
{
	struct io_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct io_watch){.loop = loop, .fn = fn, .opaque = opaque, .fd = fd};

	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		free(w);
		return NULL;
	}
	list_add_tail(&loop->watches, &w->link);
	return w;
}

void io_watch_mod(struct io_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev);
}

void io_watch_del(struct io_watch *w)
{
	if (!w)
		return;
	epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->dead = true;
	list_del(&w->link);
	list_add_tail(&w->loop->dead, &w->link);
}
