// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The back end on a Unix or TCP socket. As a server it takes one client at a time, and the next
 * one after that has left; as a client it connects once, at the start.
 *
 * With nobody there output is dropped. A client that reads nothing for PATIENCE_NS while the queue
 * is full loses output, so it cannot stop the guest.
 *
 * Threads: with the VM lock held.
 */
#include "chardev/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "chardev/backend.h"
#include "chardev/inq.h"
#include "chardev/outq.h"

#define PATIENCE_NS (2 * NS_PER_SEC)
#define FINISH_MS 500

struct socket_backend {
	struct chardev c;
	struct chardev_host host;
	struct socket_spec spec;
	int listen_fd, fd; /* -1: none */
	struct io_watch *listen_watch, *watch;
	struct io_timer parked;
	bool want_out, held;
	struct inq in;
	struct outq out;
};

static void conn_ready(void *opaque, uint32_t events);
static void client_ready(void *opaque, uint32_t events);

static uint32_t wanted(struct socket_backend *s)
{
	return (inq_room(&s->in) ? (uint32_t)EPOLLIN : 0) | (s->want_out ? (uint32_t)EPOLLOUT : 0);
}

static void listen_for_next(struct socket_backend *s)
{
	if (s->listen_fd >= 0 && !s->listen_watch)
		s->listen_watch =
			io_watch_add(s->host.loop, s->listen_fd, EPOLLIN, client_ready, s);
}

static void hang_up(struct socket_backend *s)
{
	if (s->fd < 0)
		return;
	io_timer_cancel(&s->parked);
	io_watch_del(s->watch);
	s->watch = NULL;
	outq_set_fd(&s->out, -1, false);
	close(s->fd);
	s->fd = -1;
	s->want_out = false;
	chardev_event(&s->c, CHARDEV_EVENT_CLOSE);
	listen_for_next(s);
}

static void let_go(struct socket_backend *s)
{
	if (s->held && s->host.release)
		s->host.release(s->host.opaque);
	s->held = false;
}

static void start_client(struct socket_backend *s, int fd)
{
	s->fd = fd;
	s->watch = io_watch_add(s->host.loop, fd, wanted(s), conn_ready, s);
	if (!s->watch) {
		close(fd);
		s->fd = -1;
		return;
	}
	io_watch_del(s->listen_watch);
	s->listen_watch = NULL;
	outq_set_fd(&s->out, fd, true);
	chardev_event(&s->c, CHARDEV_EVENT_OPEN);
	let_go(s);
}

static void client_ready(void *opaque, uint32_t events)
{
	struct socket_backend *s = opaque;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		start_client(s, fd);
}

/*
 * The client has left, but the queue has no room for the rest of what it sent: stop watching, which
 * would report for ever, until the device has taken some, or for PATIENCE_NS.
 */
static void park(struct socket_backend *s)
{
	io_watch_del(s->watch);
	s->watch = NULL;
	io_timer_arm(&s->parked, clock_mono_ns() + PATIENCE_NS);
}

static void parked_too_long(void *opaque)
{
	hang_up(opaque);
}

static void unpark(struct socket_backend *s)
{
	if (!s->parked.armed)
		return;
	io_timer_cancel(&s->parked);
	s->watch = io_watch_add(s->host.loop, s->fd, wanted(s), conn_ready, s);
	if (!s->watch)
		hang_up(s);
}

static void conn_ready(void *opaque, uint32_t events)
{
	struct socket_backend *s = opaque;
	uint8_t buf[1024];
	size_t room = inq_room(&s->in);
	ssize_t n;

	if (room && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(s->fd, buf, room < sizeof(buf) ? room : sizeof(buf), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			hang_up(s);
			return;
		}
		inq_put(&s->in, buf, n > 0 ? (size_t)n : 0);
		inq_deliver(&s->in, &s->c);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		park(s);
		return;
	}
	if (events & EPOLLOUT)
		outq_flush(&s->out);
	if (s->watch)
		io_watch_mod(s->watch, wanted(s));
}

static size_t socket_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct socket_backend *s = (struct socket_backend *)c;

	return outq_put(&s->out, buf, len);
}

static void socket_accept_input(struct chardev *c)
{
	struct socket_backend *s = (struct socket_backend *)c;

	if (!s->in.len)
		return;
	inq_deliver(&s->in, &s->c);
	unpark(s);
	if (s->watch)
		io_watch_mod(s->watch, wanted(s));
}

static void want_write(void *opaque, bool on)
{
	struct socket_backend *s = opaque;

	s->want_out = on;
	if (s->watch)
		io_watch_mod(s->watch, wanted(s));
}

static void failed(void *opaque, int error)
{
	(void)error;
	hang_up(opaque);
}

/* One that we have connected to, and of which nothing was read. */
static int take_socket(struct chardev *c)
{
	struct socket_backend *s = (struct socket_backend *)c;
	int fd = s->fd;

	if (s->spec.tcp || s->spec.server || fd < 0 || s->in.len)
		return -1;
	io_watch_del(s->watch);
	s->watch = NULL;
	outq_set_fd(&s->out, -1, false);
	s->fd = -1;
	return fd;
}

static void socket_free(struct chardev *c)
{
	struct socket_backend *s = (struct socket_backend *)c;

	outq_finish(&s->out, FINISH_MS);
	s->c.fe = (struct chardev_frontend){0};
	hang_up(s);
	io_watch_del(s->listen_watch);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	socket_remove(&s->spec);
	free(s);
}

/* Listening: the guest waits for the first client unless wait=off. */
static int start_server(struct socket_backend *s, struct lodge_err *err)
{
	int fd = socket_listen(&s->spec, err);

	if (fd < 0)
		return fd;
	s->listen_fd = fd;
	listen_for_next(s);
	if (s->spec.wait && s->host.hold) {
		s->host.hold(s->host.opaque);
		s->held = true;
		fprintf(stderr, "lodge: waiting for a client on %s\n", s->spec.text);
	}
	return 0;
}

static struct chardev *open_socket(bool tcp, const char *arg, const struct chardev_host *host,
				   struct lodge_err *err)
{
	static const struct chardev_ops ops = {.write = socket_write,
					       .accept_input = socket_accept_input,
					       .take_socket = take_socket,
					       .free = socket_free};
	static const struct outq_ops out_ops = {.want_write = want_write, .failed = failed};
	struct socket_backend *s = calloc(1, sizeof(*s));
	int fd;

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a character device");
		return NULL;
	}
	s->c.ops = &ops;
	s->host = *host;
	s->fd = s->listen_fd = -1;
	io_timer_init(&s->parked, host->loop, parked_too_long, s);
	s->parked.host = true;
	outq_init(&s->out, host->loop, &s->c, &out_ops, s);
	s->out.patience_ns = PATIENCE_NS;
	if (socket_parse(&s->spec, tcp, arg, err)) {
		free(s);
		return NULL;
	}
	fd = s->spec.server ? start_server(s, err) : socket_connect(&s->spec, err);
	if (fd < 0) {
		free(s);
		return NULL;
	}
	if (!s->spec.server)
		start_client(s, fd);
	return &s->c;
}

struct chardev *chardev_open_unix(const char *arg, const char *label,
				  const struct chardev_host *host, struct lodge_err *err)
{
	(void)label;
	return open_socket(false, arg, host, err);
}

struct chardev *chardev_open_tcp(const char *arg, const char *label,
				 const struct chardev_host *host, struct lodge_err *err)
{
	(void)label;
	return open_socket(true, arg, host, err);
}
