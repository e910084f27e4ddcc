// SPDX-License-Identifier: GPL-2.0-or-later
/* The back end that writes into a file (or a FIFO, or a device). Threads: with the VM lock held. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "chardev/outq.h"

#define FINISH_MS 2000

struct file_backend {
	struct chardev c;
	struct io_loop *loop;
	struct io_watch *watch; /* only while the queue is blocked; regular files never are */
	char *path;
	bool complained;
	struct outq out;
};

static size_t file_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct file_backend *f = (struct file_backend *)c;

	return outq_put(&f->out, buf, len);
}

static void on_room(void *opaque, uint32_t events)
{
	struct file_backend *f = opaque;

	(void)events;
	outq_flush(&f->out);
}

static void want_write(void *opaque, bool on)
{
	struct file_backend *f = opaque;

	if (on && !f->watch)
		f->watch = io_watch_add(f->loop, f->out.fd, EPOLLOUT, on_room, f);
	if (!on && f->watch) {
		io_watch_del(f->watch);
		f->watch = NULL;
	}
}

/* A full disk loses output; it does not stop the guest. */
static void failed(void *opaque, int error)
{
	struct file_backend *f = opaque;

	if (!f->complained)
		fprintf(stderr, "lodge: %s: %s; output is lost\n", f->path, strerror(error));
	f->complained = true;
}

static void file_free(struct chardev *c)
{
	struct file_backend *f = (struct file_backend *)c;
	int fd = f->out.fd;

	outq_finish(&f->out, FINISH_MS);
	if (fd >= 0)
		close(fd);
	free(f->path);
	free(f);
}

struct chardev *chardev_open_file(const char *arg, const struct chardev_host *host,
				  struct lodge_err *err)
{
	static const struct chardev_ops ops = {.write = file_write, .free = file_free};
	static const struct outq_ops out_ops = {.want_write = want_write, .failed = failed};
	struct file_backend *f = calloc(1, sizeof(*f));
	int fd;

	if (!f || !(f->path = strdup(arg))) {
		free(f);
		err_set(err, -ENOMEM, "no memory for a character device");
		return NULL;
	}
	fd = open(arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
	if (fd < 0) {
		err_set(err, -errno, "cannot write '%s': %s", arg,
			errno == ENXIO ? "nobody reads the other end; start the reader first"
				       : strerror(errno));
		free(f->path);
		free(f);
		return NULL;
	}
	f->c.ops = &ops;
	f->loop = host->loop;
	outq_init(&f->out, host->loop, &f->c, &out_ops, f);
	outq_set_fd(&f->out, fd, false);
	return &f->c;
}
