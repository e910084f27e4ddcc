// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Monitors on character devices. Between device and socket pair there are two bounded buffers; what is full
 * stops the side that fills it. Threads: with the VM lock held, or before threads start.
 */
#include "machine/monitor_pipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev/socket.h"
#include "machine/chardevs.h"

#define PIPE_BYTES 4096u

struct monitor_pipe {
	struct list link;
	struct vm *vm;
	enum vm_monitor_mode mode;
	struct chardev *chr;
	bool owned; /* closed here */
	bool waits; /* a connection begins with CHARDEV_EVENT_OPEN */
	int fd;	    /* our end; -1: no connection */
	struct io_watch *watch;
	uint8_t in[PIPE_BYTES], out[PIPE_BYTES]; /* to the monitor; to the device */
	size_t in_len, out_len;
};

/* ---- A connection ------------------------------------------------------------------------------- */

static void set_watch(struct monitor_pipe *p)
{
	if (p->watch)
		io_watch_mod(p->watch, (p->in_len ? (uint32_t)EPOLLOUT : 0) |
					       (p->out_len ? 0 : (uint32_t)EPOLLIN));
}

static void end(struct monitor_pipe *p)
{
	if (p->fd < 0)
		return;
	io_watch_del(p->watch);
	p->watch = NULL;
	close(p->fd);
	p->fd = -1;
	p->in_len = p->out_len = 0;
}

static void push_in(struct monitor_pipe *p)
{
	ssize_t n = p->in_len ? send(p->fd, p->in, p->in_len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		end(p);
		return;
	}
	if (n > 0) {
		p->in_len -= (size_t)n;
		memmove(p->in, p->in + n, p->in_len);
	}
	set_watch(p);
}

static void push_out(struct monitor_pipe *p)
{
	size_t n = p->out_len ? chardev_write(p->chr, p->out, p->out_len) : 0;

	/* The device may have hung up meanwhile. */
	if (p->fd < 0)
		return;
	p->out_len -= n;
	memmove(p->out, p->out + n, p->out_len);
	set_watch(p);
}

static void on_socket(void *opaque, uint32_t events)
{
	struct monitor_pipe *p = opaque;
	ssize_t n;

	if (events & EPOLLOUT)
		push_in(p);
	if (p->fd >= 0 && !p->out_len && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(p->fd, p->out, sizeof(p->out), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			end(p);
			return;
		}
		p->out_len = n > 0 ? (size_t)n : 0;
		push_out(p);
	}
	if (p->fd >= 0)
		chardev_accept_input(p->chr);
}

static void begin(struct monitor_pipe *p)
{
	struct vm *vm = p->vm;
	int pair[2];

	if (!vm->monitor_client || p->fd >= 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return;
	p->fd = pair[0];
	p->watch = io_watch_add(vm->loop, p->fd, EPOLLIN, on_socket, p);
	if (!p->watch) {
		close(pair[1]);
		end(p);
		return;
	}
	vm->monitor_client(vm->monitor_opaque, p->mode, pair[1]);
}

/* ---- The device --------------------------------------------------------------------------------- */

static size_t can_receive(void *opaque)
{
	const struct monitor_pipe *p = opaque;

	return p->fd < 0 ? 0 : PIPE_BYTES - p->in_len;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct monitor_pipe *p = opaque;

	memcpy(p->in + p->in_len, buf, len);
	p->in_len += len;
	push_in(p);
}

static void event(void *opaque, enum chardev_event ev)
{
	struct monitor_pipe *p = opaque;

	if (ev == CHARDEV_EVENT_OPEN)
		begin(p);
	else if (ev == CHARDEV_EVENT_CLOSE)
		end(p);
}

static void writable(void *opaque)
{
	push_out(opaque);
}

void vm_set_monitor_host(struct vm *vm, void (*fn)(void *opaque, enum vm_monitor_mode mode, int fd),
			 void *opaque)
{
	struct monitor_pipe *p;

	vm->monitor_client = fn;
	vm->monitor_opaque = opaque;
	list_for_each_entry (p, &vm->monitors, link) {
		struct chardev_frontend fe = {.can_receive = can_receive,
					      .receive = receive,
					      .event = event,
					      .writable = writable,
					      .opaque = p};

		if (!p->waits)
			begin(p);
		chardev_connect(p->chr, &fe);
	}
}

/* ---- Opening ------------------------------------------------------------------------------------ */

static int add(struct vm *vm, struct chardev *chr, enum vm_monitor_mode mode, bool owned,
	       bool waits, struct lodge_err *err)
{
	struct monitor_pipe *p = calloc(1, sizeof(*p));

	if (!p) {
		if (owned)
			chardev_free(chr);
		return err_set(err, -ENOMEM, "no memory for a monitor");
	}
	p->vm = vm;
	p->chr = chr;
	p->mode = mode;
	p->owned = owned;
	p->waits = waits;
	p->fd = -1;
	list_add_tail(&vm->monitors, &p->link);
	return 0;
}

/* Nobody is at the other end of a server's socket or a pty at first. */
static bool starts_empty(const char *spec)
{
	struct lodge_err err;
	struct socket_spec s;
	bool tcp = !strncmp(spec, "tcp:", 4);

	if (!strcmp(spec, "pty"))
		return true;
	return (tcp || !strncmp(spec, "unix:", 5)) &&
	       !socket_parse(&s, tcp, strchr(spec, ':') + 1, &err) && s.server;
}

/* A terminal in raw mode shows no keys by itself. */
static enum vm_monitor_mode mode_on(bool terminal, enum vm_monitor_mode mode)
{
	return mode == VM_MONITOR_HMP && terminal ? VM_MONITOR_HMP_ECHO : mode;
}

static bool is_there(struct vm *vm, const struct chardev *chr)
{
	struct monitor_pipe *p;

	list_for_each_entry (p, &vm->monitors, link) {
		if (p->chr == chr)
			return true;
	}
	return false;
}

/* On a -chardev: its own, or behind Ctrl-A c where a device has it (mux=on). */
static int open_named(struct vm *vm, const char *id, enum vm_monitor_mode mode,
		      struct lodge_err *err)
{
	struct named_chardev *n = chardevs_find(vm, id);
	struct chardev *behind = n && n->used ? chardev_monitor_of(n->chr) : NULL;

	if (behind && !is_there(vm, behind))
		return add(vm, behind, mode_on(true, mode), false, true, err);
	n = chardevs_take(vm, id, err);
	return n ? add(vm, n->chr, mode_on(n->terminal, mode), false, n->waits, err) : -EINVAL;
}

static int open_one(struct vm *vm, unsigned i, const struct chardev_host *host,
		    struct lodge_err *err)
{
	const struct vm_monitor *m = &vm->cfg.monitors[i];
	struct chardev *chr;
	char label[24];

	if (!strncmp(m->chardev, "chardev:", 8))
		return open_named(vm, m->chardev + 8, m->mode, err);
	snprintf(label, sizeof(label), "monitor%u", i);
	chr = chardev_open(m->chardev, label, host, err);
	if (!chr)
		return err->msg[0] ? -EINVAL : 0;
	return add(vm, chr,
		   mode_on(!strcmp(m->chardev, "stdio") || !strcmp(m->chardev, "pty"), m->mode),
		   true, starts_empty(m->chardev), err);
}

int monitors_open(struct vm *vm, const struct chardev_host *host, struct lodge_err *err)
{
	struct chardev *behind;
	int r = 0;

	for (unsigned i = 0; i < vm->cfg.n_monitors && !r; i++)
		r = open_one(vm, i, host, err);
	for (unsigned i = 0; i < VM_SERIALS && !r; i++) {
		behind = vm->serial[i] ? chardev_monitor_of(vm->serial[i]) : NULL;
		if (behind && !is_there(vm, behind))
			r = add(vm, behind, VM_MONITOR_HMP_ECHO, false, true, err);
	}
	return r;
}

/* No loop runs any more: what the monitor said last goes to the device, as far as it is taken. */
static void last_words(struct monitor_pipe *p)
{
	ssize_t n = (ssize_t)p->out_len;

	while (p->fd >= 0 && n >= 0) {
		if (n && chardev_write(p->chr, p->out, (size_t)n) != (size_t)n)
			return;
		n = recv(p->fd, p->out, sizeof(p->out), MSG_DONTWAIT);
		if (!n)
			return;
	}
}

void monitors_close(struct vm *vm)
{
	while (!list_empty(&vm->monitors)) {
		struct monitor_pipe *p = container_of(vm->monitors.next, struct monitor_pipe, link);

		list_del(&p->link);
		last_words(p);
		chardev_connect(p->chr, NULL);
		end(p);
		if (p->owned)
			chardev_free(p->chr);
		free(p);
	}
}
