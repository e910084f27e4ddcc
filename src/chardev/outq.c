// SPDX-License-Identifier: GPL-2.0-or-later
/* The bounded output queue of a back end. Threads: with the VM lock held. */
#include "chardev/outq.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static void delay_over(void *opaque)
{
	outq_flush(opaque);
}

/* Nothing was taken for too long: let the front end go on, into the void. */
static void patience_over(void *opaque)
{
	struct outq *q = opaque;

	if (!q->blocked)
		return;
	q->stalled = true;
	if (q->short_put) {
		q->short_put = false;
		chardev_writable(q->owner);
	}
}

void outq_init(struct outq *q, struct io_loop *loop, struct chardev *owner,
	       const struct outq_ops *ops, void *opaque)
{
	q->owner = owner;
	q->ops = ops;
	q->opaque = opaque;
	q->fd = -1;
	q->socket = q->blocked = q->stalled = q->short_put = false;
	q->patience_ns = 0;
	q->head = q->len = 0;
	io_timer_init(&q->delay, loop, delay_over, q);
	q->delay.host = true;
	io_timer_init(&q->patience, loop, patience_over, q);
	q->patience.host = true;
}

static void set_blocked(struct outq *q, bool on)
{
	if (q->blocked == on)
		return;
	q->blocked = on;
	q->ops->want_write(q->opaque, on);
	if (on && q->patience_ns)
		io_timer_arm(&q->patience, clock_mono_ns() + q->patience_ns);
	else
		io_timer_cancel(&q->patience);
}

static void wake_front(struct outq *q)
{
	if (q->short_put && q->len < OUTQ_BYTES) {
		q->short_put = false;
		chardev_writable(q->owner);
	}
}

void outq_set_fd(struct outq *q, int fd, bool socket)
{
	if (q->fd >= 0)
		set_blocked(q, false);
	q->blocked = q->stalled = false;
	io_timer_cancel(&q->delay);
	io_timer_cancel(&q->patience);
	q->head = q->len = 0;
	q->fd = fd;
	q->socket = socket;
	wake_front(q);
}

/* One write of what lies in one piece: bytes written, 0 if it would block, or -errno. */
static ssize_t write_some(struct outq *q)
{
	uint32_t n = OUTQ_BYTES - q->head;
	ssize_t r;

	if (n > q->len)
		n = q->len;
	do {
		if (q->socket)
			r = send(q->fd, q->buf + q->head, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			r = write(q->fd, q->buf + q->head, n);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? 0 : -errno;
	return r;
}

static void fail(struct outq *q, int error)
{
	q->head = q->len = 0;
	set_blocked(q, false);
	if (q->ops->failed)
		q->ops->failed(q->opaque, error);
}

void outq_flush(struct outq *q)
{
	ssize_t r;

	io_timer_cancel(&q->delay);
	while (q->len && q->fd >= 0) {
		r = write_some(q);
		if (r < 0) {
			fail(q, (int)-r);
			break;
		}
		if (!r) {
			set_blocked(q, true);
			return;
		}
		q->head = (q->head + (uint32_t)r) % OUTQ_BYTES;
		q->len -= (uint32_t)r;
		q->stalled = false;
		if (q->blocked && q->patience_ns)
			io_timer_arm(&q->patience, clock_mono_ns() + q->patience_ns);
	}
	set_blocked(q, false);
	wake_front(q);
}

static size_t append(struct outq *q, const uint8_t *buf, size_t len)
{
	size_t room = OUTQ_BYTES - q->len, n = len < room ? len : room;
	size_t tail = (q->head + q->len) % OUTQ_BYTES, first = OUTQ_BYTES - tail;

	if (first > n)
		first = n;
	memcpy(q->buf + tail, buf, first);
	memcpy(q->buf, buf + first, n - first);
	q->len += (uint32_t)n;
	return n;
}

size_t outq_put(struct outq *q, const uint8_t *buf, size_t len)
{
	size_t n;

	if (q->fd < 0 || !len)
		return len;
	n = append(q, buf, len);
	if (!q->blocked) {
		if (q->len >= OUTQ_EAGER || memchr(buf, '\n', len))
			outq_flush(q);
		else if (!q->delay.armed)
			io_timer_arm(&q->delay, clock_mono_ns() + OUTQ_DELAY_NS);
		if (n < len && q->len < OUTQ_BYTES)
			n += append(q, buf + n, len - n);
	}
	if (n == len || q->stalled || q->fd < 0)
		return len;
	q->short_put = true;
	return n;
}

void outq_finish(struct outq *q, int timeout_ms)
{
	uint64_t end = clock_mono_ns() + (uint64_t)timeout_ms * 1000000;

	q->short_put = false;
	outq_flush(q);
	while (q->len && q->fd >= 0 && !q->stalled) {
		struct pollfd p = {.fd = q->fd, .events = POLLOUT};
		uint64_t now = clock_mono_ns();

		if (now >= end || poll(&p, 1, (int)((end - now) / 1000000) + 1) <= 0)
			break;
		outq_flush(q);
	}
	outq_set_fd(q, -1, false);
}
