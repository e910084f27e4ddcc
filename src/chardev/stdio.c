// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The back end on standard input and output, with or without the Ctrl-A keys.
 *
 * Descriptors 0 and 1 are shared with other processes, so they are never made non-blocking: input
 * is read only when it is there, output goes through a second, non-blocking opening of the same
 * file. Where that is refused (somebody else's terminal, after su) a stopped terminal stops the
 * guest.
 * The Ctrl-A keys work even while the guest does not read: what a person types beyond INQ_BYTES
 * meanwhile is lost. From a pipe or a file nothing is lost, reading waits.
 *
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "chardev/backend.h"
#include "chardev/inq.h"
#include "chardev/mux.h"
#include "chardev/outq.h"
#include "chardev/terminal.h"

#define FINISH_MS 2000

struct stdio_backend {
	struct chardev c;
	struct chardev_host host;
	struct io_watch *in_watch, *out_watch;
	struct io_timer pump; /* for input that cannot be watched: a regular file */
	bool mux, escaped, eof, tty, polled;
	int out_fd; /* owned, if not STDOUT_FILENO */
	struct inq in;
	struct outq out;
	/* Behind Ctrl-A c: a channel of its own, with the same output. */
	struct monitor {
		struct chardev c;
		struct stdio_backend *s;
		bool active, opened;
		struct inq in;
	} mon;
};

static void input_ready(void *opaque, uint32_t events);

/* Reading stops when the queue is full, except for a person's keys. */
static void set_reading(struct stdio_backend *s)
{
	bool want = !s->eof && (inq_room(&s->in) || (s->tty && s->mux));

	if (s->polled) {
		if (want && !s->pump.armed)
			io_timer_arm(&s->pump, clock_mono_ns());
		return;
	}
	if (want && !s->in_watch) {
		s->in_watch = io_watch_add(s->host.loop, STDIN_FILENO, EPOLLIN, input_ready, s);
	} else if (!want && s->in_watch) {
		io_watch_del(s->in_watch);
		s->in_watch = NULL;
	}
}

static void say(struct stdio_backend *s, const char *text)
{
	outq_put(&s->out, (const uint8_t *)text, strlen(text));
}

static void switch_monitor(struct stdio_backend *s)
{
	static const uint8_t enter = '\r';

	if (!s->mon.c.fe.receive) {
		say(s, mux_no_monitor());
		return;
	}
	s->mon.active = !s->mon.active;
	say(s, "\r\n");
	if (!s->mon.active)
		return;
	if (s->mon.opened)
		inq_put(&s->mon.in, &enter, 1); /* it shows its prompt */
	else
		chardev_event(&s->mon.c, CHARDEV_EVENT_OPEN);
	s->mon.opened = true;
}

static void feed(struct stdio_backend *s, uint8_t byte)
{
	switch (s->mux ? mux_feed(&s->escaped, byte) : MUX_PASS) {
	case MUX_PASS:
		inq_put(s->mon.active ? &s->mon.in : &s->in, &byte, 1);
		break;
	case MUX_QUIT:
		if (s->host.quit)
			s->host.quit(s->host.opaque);
		break;
	case MUX_HELP:
		say(s, mux_help());
		break;
	case MUX_RESUME:
		if (s->host.resume)
			s->host.resume(s->host.opaque);
		break;
	case MUX_MONITOR:
		switch_monitor(s);
		break;
	case MUX_BREAK:
		inq_deliver(&s->in, &s->c);
		chardev_event(&s->c, CHARDEV_EVENT_BREAK);
		break;
	case MUX_NOTHING:
		break;
	}
}

static void read_input(struct stdio_backend *s)
{
	uint8_t buf[512];
	size_t want = sizeof(buf);
	ssize_t n;

	if (!(s->tty && s->mux) && inq_room(&s->in) < want)
		want = inq_room(&s->in);
	n = want ? read(STDIN_FILENO, buf, want) : 0;
	/* EIO: a terminal that hung up. Anything else that is not "later" is an end, too. */
	if (want && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)))
		s->eof = true;
	for (ssize_t i = 0; i < n; i++)
		feed(s, buf[i]);
	inq_deliver(&s->in, &s->c);
	inq_deliver(&s->mon.in, &s->mon.c);
	set_reading(s);
}

static void input_ready(void *opaque, uint32_t events)
{
	(void)events;
	read_input(opaque);
}

static void pump_input(void *opaque)
{
	read_input(opaque);
}

static void stdio_accept_input(struct chardev *c)
{
	struct stdio_backend *s = (struct stdio_backend *)c;

	if (!s->in.len)
		return;
	inq_deliver(&s->in, &s->c);
	set_reading(s);
}

static size_t stdio_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct stdio_backend *s = (struct stdio_backend *)c;

	return outq_put(&s->out, buf, len);
}

/* A terminal that takes nothing loses what the monitor says; only the guest waits for it. */
static size_t monitor_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct monitor *m = (struct monitor *)c;

	outq_put(&m->s->out, buf, len);
	return len;
}

static void monitor_accept_input(struct chardev *c)
{
	inq_deliver(&((struct monitor *)c)->in, c);
}

static void monitor_free(struct chardev *c)
{
	(void)c; /* with the other channel */
}

static void output_ready(void *opaque, uint32_t events)
{
	struct stdio_backend *s = opaque;

	(void)events;
	outq_flush(&s->out);
}

static void want_write(void *opaque, bool on)
{
	struct stdio_backend *s = opaque;

	if (on && !s->out_watch)
		s->out_watch = io_watch_add(s->host.loop, s->out.fd, EPOLLOUT, output_ready, s);
	if (!on && s->out_watch) {
		io_watch_del(s->out_watch);
		s->out_watch = NULL;
	}
}

/* The reader of a pipe has gone, or the terminal: the guest goes on without. */
static void failed(void *opaque, int error)
{
	struct stdio_backend *s = opaque;

	if (error == EPIPE || error == EIO)
		outq_set_fd(&s->out, -1, false);
}

static void stdio_free(struct chardev *c)
{
	struct stdio_backend *s = (struct stdio_backend *)c;

	outq_finish(&s->out, FINISH_MS);
	io_watch_del(s->in_watch);
	io_timer_cancel(&s->pump);
	if (s->out_fd != STDOUT_FILENO)
		close(s->out_fd);
	if (s->host.stdio_taken)
		*s->host.stdio_taken = false;
	terminal_leave();
	free(s);
}

/*
 * A descriptor for standard output whose writes do not block. A regular file never does, a socket
 * is asked not to each time; a pipe or terminal is opened a second time.
 */
static int open_output(bool *socket)
{
	struct stat st;
	int fd;

	*socket = false;
	if (fstat(STDOUT_FILENO, &st))
		return STDOUT_FILENO;
	*socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return STDOUT_FILENO;
	fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? STDOUT_FILENO : fd;
}

static void open_input(struct stdio_backend *s)
{
	struct stat st;

	s->tty = isatty(STDIN_FILENO);
	if (fstat(STDIN_FILENO, &st)) {
		s->eof = true;
		return;
	}
	set_reading(s);
	/* epoll refuses what is always ready: regular files, /dev/null. */
	if (!s->in_watch) {
		s->polled = true;
		set_reading(s);
	}
}

static const struct chardev_ops stdio_ops = {
	.write = stdio_write, .accept_input = stdio_accept_input, .free = stdio_free};
static const struct chardev_ops monitor_ops = {
	.write = monitor_write, .accept_input = monitor_accept_input, .free = monitor_free};

struct chardev *chardev_monitor_of(struct chardev *c)
{
	struct stdio_backend *s = (struct stdio_backend *)c;

	return c->ops == &stdio_ops && s->mux ? &s->mon.c : NULL;
}

struct chardev *chardev_open_stdio(const char *label, bool mux, const struct chardev_host *host,
				   struct lodge_err *err)
{
	static const struct outq_ops out_ops = {.want_write = want_write, .failed = failed};
	struct stdio_backend *s;
	bool socket;

	if (host->no_stdio) {
		err_set(err, -EINVAL,
			"%s: a daemon has no terminal; use file:, unix: or pty instead of stdio",
			label);
		return NULL;
	}
	if (host->stdio_taken && *host->stdio_taken) {
		err_set(err, -EBUSY,
			"%s: another device has stdio already; use file:, unix: or pty", label);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(err, -ENOMEM, "no memory for a character device");
		return NULL;
	}
	if (terminal_take(STDIN_FILENO, !mux, err)) {
		free(s);
		return NULL;
	}
	s->c.ops = &stdio_ops;
	s->mon.c.ops = &monitor_ops;
	s->mon.s = s;
	s->host = *host;
	s->mux = mux;
	if (host->stdio_taken)
		*host->stdio_taken = true;
	io_timer_init(&s->pump, host->loop, pump_input, s);
	s->pump.host = true;
	outq_init(&s->out, host->loop, &s->c, &out_ops, s);
	s->out_fd = open_output(&socket);
	outq_set_fd(&s->out, s->out_fd, socket);
	open_input(s);
	return &s->c;
}
