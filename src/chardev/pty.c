// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The back end on a new pseudo-terminal. While nobody has its other side open, output is dropped
 * and the other side is looked at twice a second, since the kernel reports no opening.
 *
 * Source: pts(4), poll(2): POLLHUP on the master while no slave is open. Threads: with the VM lock
 * held.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "chardev/backend.h"
#include "chardev/inq.h"
#include "chardev/outq.h"

#define LOOK_NS (NS_PER_SEC / 2)
#define PATIENCE_NS (2 * NS_PER_SEC)
#define FINISH_MS 500

struct pty_backend {
	struct chardev c;
	struct io_loop *loop;
	int fd;
	struct io_watch *watch; /* only while somebody is there */
	struct io_timer look;
	bool want_out;
	struct inq in;
	struct outq out;
};

static uint32_t wanted(struct pty_backend *p)
{
	return (inq_room(&p->in) ? (uint32_t)EPOLLIN : 0) | (p->want_out ? (uint32_t)EPOLLOUT : 0);
}

static void look_later(struct pty_backend *p)
{
	io_timer_arm(&p->look, clock_mono_ns() + LOOK_NS);
}

static void disconnect(struct pty_backend *p)
{
	if (!p->watch)
		return;
	io_watch_del(p->watch);
	p->watch = NULL;
	outq_set_fd(&p->out, -1, false);
	p->want_out = false;
	chardev_event(&p->c, CHARDEV_EVENT_CLOSE);
	look_later(p);
}

static void ready(void *opaque, uint32_t events)
{
	struct pty_backend *p = opaque;
	uint8_t buf[1024];
	size_t room;
	ssize_t n;

	room = inq_room(&p->in);
	if (room && events & EPOLLIN) {
		n = read(p->fd, buf, room < sizeof(buf) ? room : sizeof(buf));
		inq_put(&p->in, buf, n > 0 ? (size_t)n : 0);
		inq_deliver(&p->in, &p->c);
	} else if (events & EPOLLHUP) {
		disconnect(p);
		return;
	}
	if (events & EPOLLOUT)
		outq_flush(&p->out);
	if (p->watch)
		io_watch_mod(p->watch, wanted(p));
}

static void look(void *opaque)
{
	struct pty_backend *p = opaque;
	struct pollfd pfd = {.fd = p->fd};

	if (poll(&pfd, 1, 0) < 0 || pfd.revents & POLLHUP) {
		look_later(p);
		return;
	}
	p->watch = io_watch_add(p->loop, p->fd, wanted(p), ready, p);
	if (!p->watch) {
		look_later(p);
		return;
	}
	outq_set_fd(&p->out, p->fd, false);
	chardev_event(&p->c, CHARDEV_EVENT_OPEN);
}

static size_t pty_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct pty_backend *p = (struct pty_backend *)c;

	return outq_put(&p->out, buf, len);
}

static void pty_accept_input(struct chardev *c)
{
	struct pty_backend *p = (struct pty_backend *)c;

	if (!p->in.len)
		return;
	inq_deliver(&p->in, &p->c);
	if (p->watch)
		io_watch_mod(p->watch, wanted(p));
}

static void want_write(void *opaque, bool on)
{
	struct pty_backend *p = opaque;

	p->want_out = on;
	if (p->watch)
		io_watch_mod(p->watch, wanted(p));
}

static void failed(void *opaque, int error)
{
	(void)error;
	disconnect(opaque);
}

static void pty_free(struct chardev *c)
{
	struct pty_backend *p = (struct pty_backend *)c;

	outq_finish(&p->out, FINISH_MS);
	io_watch_del(p->watch);
	io_timer_cancel(&p->look);
	close(p->fd);
	free(p);
}

/* A raw pseudo-terminal; its path into `path`. The descriptor, or -errno. */
static int open_master(char *path, size_t cap)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY), slave, r;
	struct termios t;

	if (fd < 0)
		return -errno;
	r = grantpt(fd) || unlockpt(fd) ? -errno : -ptsname_r(fd, path, cap);
	if (r) {
		close(fd);
		return r;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave >= 0) {
		if (!tcgetattr(slave, &t)) {
			cfmakeraw(&t);
			tcsetattr(slave, TCSANOW, &t);
		}
		close(slave);
	}
	return fd;
}

struct chardev *chardev_open_pty(const char *label, const struct chardev_host *host,
				 struct lodge_err *err)
{
	static const struct chardev_ops ops = {.write = pty_write,
					       .accept_input = pty_accept_input,
					       .free = pty_free};
	static const struct outq_ops out_ops = {.want_write = want_write, .failed = failed};
	struct pty_backend *p = calloc(1, sizeof(*p));
	char path[64];
	int fd = p ? open_master(path, sizeof(path)) : -ENOMEM;

	if (fd < 0) {
		free(p);
		err_set(err, fd, "%s: cannot open a pseudo-terminal: %s", label, strerror(-fd));
		return NULL;
	}
	p->c.ops = &ops;
	p->loop = host->loop;
	p->fd = fd;
	io_timer_init(&p->look, host->loop, look, p);
	p->look.host = true;
	outq_init(&p->out, host->loop, &p->c, &out_ops, p);
	p->out.patience_ns = PATIENCE_NS;
	look_later(p);
	printf("char device redirected to %s (label %s)\n", path, label);
	fflush(stdout);
	return &p->c;
}
