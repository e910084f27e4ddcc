// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control thread. Threads: its own, but for control_add() and on_event(), which only put something into a
 * bounded row and wake it.
 */
#include "control/server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/thread.h"

#define STACK_BYTES (512u << 10) /* jansson reads SCAN_DEPTH_MAX levels by recursion */
#define EVENTS_MAX 64u
#define NEW_MAX 16u
#define BATCH 32
#define FINISH_MS 500
#define FINISH_LOOK_MS 5
/* QEMU tells of a balloon's changes once a second. */
#define BALLOON_NS NS_PER_SEC

struct client {
	struct list link;
	int fd;
	uint32_t watched; /* what epoll looks for */
	bool gone;
	struct mon *mon;
};

struct control {
	struct vm *vm;
	pthread_t thread;
	bool started;
	uid_t uid; /* ours, once it is started */
	_Atomic bool stop;
	int epfd, wake_fd, listen_fd;
	struct list clients;
	unsigned count;
	struct vm_event balloon; /* the last one, not told yet */
	uint64_t balloon_real_ns, balloon_told_ns;
	bool balloon_waits;

	pthread_mutex_t lock; /* of what follows; nothing is called with it held */
	struct {
		struct vm_event ev;
		uint64_t real_ns;
	} events[EVENTS_MAX];
	unsigned n_events;
	struct {
		int fd;
		enum mon_mode mode;
	} fresh[NEW_MAX];
	unsigned n_fresh;
};

static void tell_events(struct control *c);

/* ---- From other threads ------------------------------------------------------------------------- */

static void wake(struct control *c)
{
	uint64_t one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

static void on_event(void *opaque, const struct vm_event *ev)
{
	struct control *c = opaque;

	if (ev->kind == VM_EVENT_DEBUG) { /* it is looked for, however many come */
		wake(c);
		return;
	}
	pthread_mutex_lock(&c->lock);
	/* One that comes again and again takes one place. */
	if (c->n_events && ev->kind == VM_EVENT_BALLOON &&
	    c->events[c->n_events - 1].ev.kind == VM_EVENT_BALLOON)
		c->n_events--;
	if (c->n_events < EVENTS_MAX) {
		c->events[c->n_events].ev = *ev;
		c->events[c->n_events++].real_ns = clock_real_ns();
	}
	pthread_mutex_unlock(&c->lock);
	wake(c);
}

void control_add(struct control *c, int fd, enum mon_mode mode)
{
	pthread_mutex_lock(&c->lock);
	if (c->n_fresh < NEW_MAX) {
		c->fresh[c->n_fresh].fd = fd;
		c->fresh[c->n_fresh++].mode = mode;
		fd = -1;
	}
	pthread_mutex_unlock(&c->lock);
	if (fd >= 0)
		close(fd);
	wake(c);
}

/* ---- Clients ------------------------------------------------------------------------------------ */

static void drop(struct control *c, struct client *cl)
{
	epoll_ctl(c->epfd, EPOLL_CTL_DEL, cl->fd, NULL);
	close(cl->fd);
	list_del(&cl->link);
	mon_free(cl->mon);
	free(cl);
	c->count--;
}

/* What a command brought about is told before its reply. */
static void before_reply(void *opaque)
{
	tell_events(opaque);
}

static void add_client(struct control *c, int fd, enum mon_mode mode)
{
	struct client *cl = calloc(1, sizeof(*cl));
	struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = cl};

	if (cl)
		cl->mon = mon_new(c->vm, mode);
	if (cl && cl->mon)
		mon_set_before_reply(cl->mon, before_reply, c);
	if (!cl || !cl->mon || c->count >= CONTROL_CLIENTS_MAX ||
	    epoll_ctl(c->epfd, EPOLL_CTL_ADD, fd, &ev)) {
		if (cl)
			mon_free(cl->mon);
		free(cl);
		close(fd);
		return;
	}
	cl->fd = fd;
	cl->watched = EPOLLOUT;
	list_add_tail(&c->clients, &cl->link);
	c->count++;
}

/* False when the other end has gone. */
static bool send_output(struct client *cl)
{
	size_t len;
	const char *p = mon_output(cl->mon, &len);
	ssize_t n;

	while (len) {
		n = send(cl->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		mon_sent(cl->mon, (size_t)n);
		p = mon_output(cl->mon, &len);
	}
	return true;
}

static bool read_input(struct client *cl)
{
	char buf[4096];
	size_t room = mon_room(cl->mon);
	ssize_t n;

	if (!room)
		return true;
	n = recv(cl->fd, buf, room < sizeof(buf) ? room : sizeof(buf), MSG_DONTWAIT);
	if (n == 0)
		return false;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	mon_feed(cl->mon, buf, (size_t)n);
	return true;
}

static void watch(struct control *c, struct client *cl)
{
	struct epoll_event ev = {.data.ptr = cl};
	size_t len;

	mon_output(cl->mon, &len);
	ev.events = (mon_room(cl->mon) ? (uint32_t)EPOLLIN : 0) | (len ? (uint32_t)EPOLLOUT : 0);
	if (ev.events == cl->watched)
		return;
	cl->watched = ev.events;
	epoll_ctl(c->epfd, EPOLL_CTL_MOD, cl->fd, &ev);
}

/* Send what there is, and look after what is due; a client that has gone is dropped with the batch. */
static void settle(struct control *c, struct client *cl)
{
	if (cl->gone || !send_output(cl) || mon_dead(cl->mon))
		cl->gone = true;
	else
		watch(c, cl);
}

static void serve(struct control *c, struct client *cl, uint32_t events)
{
	if (cl->gone)
		return;
	if (events & EPOLLIN || (events & (EPOLLHUP | EPOLLERR) && mon_room(cl->mon)))
		cl->gone = !read_input(cl);
	else if (events & (EPOLLHUP | EPOLLERR))
		cl->gone = true;
	settle(c, cl);
}

static void sweep(struct control *c)
{
	struct list *node = c->clients.next;

	while (node != &c->clients) {
		struct client *cl = container_of(node, struct client, link);

		node = node->next;
		if (cl->gone)
			drop(c, cl);
	}
}

/* Ours alone: the folder and the mode say so, and so does the kernel of who is there. */
static bool may_control(int fd, uid_t uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && (who.uid == uid || !who.uid);
}

static void accept_clients(struct control *c)
{
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (may_control(fd, c->uid))
			add_client(c, fd, MON_QMP);
		else
			close(fd);
	}
}

/* ---- What came from other threads --------------------------------------------------------------- */

static void tell(struct control *c, const struct vm_event *ev, uint64_t real_ns)
{
	json_t *j = mon_event_json(ev, real_ns);
	struct client *cl;

	if (!j)
		return;
	list_for_each_entry (cl, &c->clients, link) {
		if (cl->gone)
			continue;
		mon_event(cl->mon, ev->kind, j);
		settle(c, cl);
	}
	json_decref(j);
}

static void tell_balloon(struct control *c, bool now)
{
	if (!c->balloon_waits || (!now && clock_mono_ns() < c->balloon_told_ns + BALLOON_NS))
		return;
	c->balloon_waits = false;
	c->balloon_told_ns = clock_mono_ns();
	tell(c, &c->balloon, c->balloon_real_ns);
}

/* Debuggers are told, too. */
static void look(struct control *c, bool ended)
{
	struct client *cl;

	list_for_each_entry (cl, &c->clients, link) {
		if (cl->gone)
			continue;
		mon_look(cl->mon, ended);
		settle(c, cl);
	}
}

/* The first of the row; false when there is none. */
static bool next_event(struct control *c, struct vm_event *ev, uint64_t *real_ns)
{
	bool any;

	pthread_mutex_lock(&c->lock);
	any = c->n_events;
	if (any) {
		*ev = c->events[0].ev;
		*real_ns = c->events[0].real_ns;
		memmove(c->events, c->events + 1, --c->n_events * sizeof(c->events[0]));
	}
	pthread_mutex_unlock(&c->lock);
	return any;
}

static void tell_events(struct control *c)
{
	struct vm_event ev;
	uint64_t real_ns;

	while (next_event(c, &ev, &real_ns)) {
		if (ev.kind == VM_EVENT_EJECTED) {
			vm_ctl_take_out(c->vm);
		} else if (ev.kind == VM_EVENT_BALLOON) {
			c->balloon = ev;
			c->balloon_real_ns = real_ns;
			c->balloon_waits = true;
		} else {
			tell_balloon(c, true);
			tell(c, &ev, real_ns);
		}
	}
	look(c, false);
	tell_balloon(c, false);
}

static void take_fresh(struct control *c)
{
	for (;;) {
		int fd = -1;
		enum mon_mode mode = MON_QMP;

		pthread_mutex_lock(&c->lock);
		if (c->n_fresh) {
			fd = c->fresh[0].fd;
			mode = c->fresh[0].mode;
			memmove(c->fresh, c->fresh + 1, --c->n_fresh * sizeof(c->fresh[0]));
		}
		pthread_mutex_unlock(&c->lock);
		if (fd < 0)
			return;
		add_client(c, fd, mode);
	}
}

/* ---- The thread --------------------------------------------------------------------------------- */

/* The clients' last words reach them, if they take them. */
static void finish(struct control *c)
{
	uint64_t end = clock_mono_ns() + FINISH_MS * 1000000ull;

	tell_balloon(c, true);
	for (;;) {
		struct client *cl;
		bool waits = false;
		size_t len;

		list_for_each_entry (cl, &c->clients, link) {
			if (cl->gone || !send_output(cl))
				continue;
			mon_output(cl->mon, &len);
			waits |= len;
		}
		if (!waits || clock_mono_ns() >= end)
			return;
		poll(NULL, 0, FINISH_LOOK_MS);
	}
}

static void dispatch(struct control *c, const struct epoll_event *ev, int n)
{
	uint64_t count;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr == &c->wake_fd)
			(void)!read(c->wake_fd, &count, sizeof(count));
		else if (ev[i].data.ptr == &c->listen_fd)
			accept_clients(c);
		else
			serve(c, ev[i].data.ptr, ev[i].events);
	}
	take_fresh(c);
	tell_events(c);
	sweep(c);
}

static void *control_main(void *arg)
{
	struct epoll_event ev[BATCH];
	struct control *c = arg;

	while (!atomic_load(&c->stop)) {
		int n = epoll_wait(c->epfd, ev, BATCH, c->balloon_waits ? 100 : -1);

		if (n < 0 && errno != EINTR)
			break;
		dispatch(c, ev, n);
	}
	tell_events(c);
	look(c, true);
	finish(c);
	return NULL;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static int watch_fd(struct control *c, int *fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = fd};

	return epoll_ctl(c->epfd, EPOLL_CTL_ADD, *fd, &ev) ? -errno : 0;
}

struct control *control_new(struct vm *vm, struct lodge_err *err)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(err, -ENOMEM, "no memory for the control thread");
		return NULL;
	}
	c->vm = vm;
	c->listen_fd = -1;
	list_init(&c->clients);
	pthread_mutex_init(&c->lock, NULL);
	c->epfd = epoll_create1(EPOLL_CLOEXEC);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->epfd < 0 || c->wake_fd < 0 || watch_fd(c, &c->wake_fd)) {
		err_set(err, -errno, "cannot set up the control thread: %s", strerror(errno));
		control_free(c);
		return NULL;
	}
	vm_set_listener(vm, on_event, c);
	return c;
}

int control_listen(struct control *c, int fd, struct lodge_err *err)
{
	c->listen_fd = fd;
	return watch_fd(c, &c->listen_fd) ? err_set(err, -ENOMEM, "cannot watch the control socket")
					  : 0;
}

int control_start(struct control *c, struct lodge_err *err)
{
	int r;

	c->uid = geteuid();
	r = thread_create(&c->thread, THREAD_CONTROL, "control", STACK_BYTES, control_main, c);

	c->started = !r;
	return r ? err_set(err, r, "cannot start the control thread: %s", strerror(-r)) : 0;
}

void control_stop(struct control *c)
{
	if (!c || !c->started)
		return;
	atomic_store(&c->stop, true);
	wake(c);
	pthread_join(c->thread, NULL);
	c->started = false;
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	c->listen_fd = -1;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	control_stop(c);
	while (!list_empty(&c->clients))
		drop(c, container_of(c->clients.next, struct client, link));
	for (unsigned i = 0; i < c->n_fresh; i++)
		close(c->fresh[i].fd);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	if (c->epfd >= 0)
		close(c->epfd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
