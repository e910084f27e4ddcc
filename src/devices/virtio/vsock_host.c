// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-vsock's host side: Unix sockets. See virtio_vsock.h. Nothing waits here: sockets do not block, and
 * what one cannot take stays in its stream's buffer, within the credit the guest was given.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/keyval.h"
#include "base/range.h"
#include "devices/virtio/vsock_int.h"

#define BACKLOG 64
#define FIRST_PORT 0x40000000u /* of host programs that connect: above what services have */

static void on_stream(void *opaque, uint32_t events);

/* ---- Streams ---------------------------------------------------------------------------------------- */

struct stream *vsock_find(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port)
{
	struct stream *st;

	list_for_each_entry (st, &s->streams, link) {
		if (st->state != GREETING && st->guest_port == guest_port &&
		    st->host_port == host_port)
			return st;
	}
	return NULL;
}

/* Takes `fd`. */
static struct stream *stream_new(struct virtio_vsock *s, int fd, enum stream_state state)
{
	struct stream *st = s->count < VIRTIO_VSOCK_STREAMS ? calloc(1, sizeof(*st)) : NULL;

	if (st)
		st->buf = malloc(VIRTIO_VSOCK_BUFFER);
	if (!st || !st->buf) {
		free(st);
		close(fd);
		return NULL;
	}
	st->s = s;
	st->fd = fd;
	st->state = state;
	st->watched = EPOLLIN;
	st->watch = io_watch_add(s->v.loop, fd, EPOLLIN, on_stream, st);
	if (!st->watch) {
		free(st->buf);
		free(st);
		close(fd);
		return NULL;
	}
	list_add_tail(&s->streams, &st->link);
	s->count++;
	return st;
}

void vsock_close(struct stream *st)
{
	if (st->watch)
		io_watch_del(st->watch);
	close(st->fd);
	list_del(&st->link);
	st->s->count--;
	free(st->buf);
	free(st);
}

void vsock_close_all(struct virtio_vsock *s)
{
	while (!list_empty(&s->streams))
		vsock_close(container_of(s->streams.next, struct stream, link));
}

void vsock_watch(struct stream *st)
{
	bool in = !st->readable && !st->host_eof && st->state != REQUESTED;
	uint32_t want = (in ? (uint32_t)EPOLLIN : 0) | (st->len ? (uint32_t)EPOLLOUT : 0);

	if (st->watch && want != st->watched) {
		st->watched = want;
		io_watch_mod(st->watch, want);
	}
}

/* ---- Bytes ------------------------------------------------------------------------------------------- */

bool vsock_flush(struct stream *st)
{
	while (st->len) {
		size_t piece = min_u64(st->len, VIRTIO_VSOCK_BUFFER - st->head);
		ssize_t n = send(st->fd, st->buf + st->head, piece, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0)
			return false;
		st->head = (st->head + (uint32_t)n) % VIRTIO_VSOCK_BUFFER;
		st->len -= (uint32_t)n;
		st->fwd_cnt += (uint32_t)n;
	}
	if (st->fwd_cnt - st->told_fwd >= VIRTIO_VSOCK_BUFFER / 2)
		st->tell |= TELL(OP_CREDIT_UPDATE);
	if (!st->len && st->guest_shut & SHUT_SEND)
		shutdown(st->fd, SHUT_WR);
	return true;
}

bool vsock_greet(struct stream *st)
{
	char text[VSOCK_GREETING];
	int n = snprintf(text, sizeof(text), "OK %u\n", st->host_port);

	/* Nothing was sent before: there is room, or nobody. */
	return send(st->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n;
}

static uint32_t free_port(struct virtio_vsock *s, uint32_t guest_port)
{
	do {
		if (s->next_port < FIRST_PORT)
			s->next_port = FIRST_PORT;
		s->next_port++;
	} while (vsock_find(s, guest_port, s->next_port));
	return s->next_port;
}

/* What was said so far, byte by byte: nothing behind the line may be taken. 1 when it is whole, -1 when it is none. */
static int read_line(struct stream *st, char *line)
{
	for (;;) {
		char ch;
		ssize_t n = recv(st->fd, &ch, 1, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0 || st->line_len == VSOCK_GREETING)
			return -1;
		if (ch == '\n')
			break;
		st->buf[st->line_len++] = (uint8_t)ch;
	}
	memcpy(line, st->buf, st->line_len);
	line[st->line_len] = '\0';
	return 1;
}

/* "CONNECT PORT\n". False: it said something else, or left. */
static bool read_greeting(struct stream *st)
{
	char line[VSOCK_GREETING + 1];
	uint64_t port;
	int r = read_line(st, line);

	if (r <= 0)
		return !r;
	if (strncmp(line, "CONNECT ", 8) || parse_u64(line + 8, &port) || port >= UINT32_MAX)
		return false;
	st->guest_port = (uint32_t)port;
	st->host_port = free_port(st->s, st->guest_port);
	st->state = REQUESTED;
	st->tell |= TELL(OP_REQUEST);
	return true;
}

/* It is reported without end; what is still to be read is read all the same. False: it is closed. */
static bool hung_up(struct stream *st)
{
	io_watch_del(st->watch);
	st->watch = NULL;
	if (st->state != REQUESTED)
		return true;
	if (!virtio_running(&st->s->v) || st->tell & TELL(OP_REQUEST)) {
		vsock_close(st);
		return false;
	}
	st->tell = TELL(OP_RST);
	return true;
}

static void on_stream(void *opaque, uint32_t events)
{
	struct stream *st = opaque;
	struct virtio_vsock *s = st->s;

	if (st->state == GREETING) {
		if (!read_greeting(st) || events & (EPOLLHUP | EPOLLERR)) {
			vsock_close(st);
			return;
		}
	} else {
		if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			st->readable = true;
		if (st->len && !vsock_flush(st))
			st->tell = TELL(OP_RST);
		if (events & (EPOLLHUP | EPOLLERR) && !hung_up(st))
			return;
	}
	vsock_watch(st);
	vsock_pump(s);
}

/* ---- Both ways to begin ------------------------------------------------------------------------------ */

static void on_client(void *opaque, uint32_t events)
{
	struct virtio_vsock *s = opaque;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		stream_new(s, fd, GREETING);
}

struct stream *vsock_connect(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stream *st;
	int fd;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s_%u", s->path, host_port);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	/* A full backlog is "not now", which the guest hears as "nobody". */
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun))) {
		close(fd);
		return NULL;
	}
	st = stream_new(s, fd, OPEN);
	if (st) {
		st->guest_port = guest_port;
		st->host_port = host_port;
	}
	return st;
}

int vsock_listen(struct virtio_vsock *s, struct lodge_err *err)
{
	int r;

	/* "_" and ten digits more are needed for streams of the guest. */
	if (strlen(s->path) + 12 > sizeof(s->spec.path))
		return err_set(err, -EINVAL,
			       "vsock: the path %s is too long: %zu bytes are the most", s->path,
			       sizeof(s->spec.path) - 12);
	s->spec = (struct socket_spec){.server = true};
	strcpy(s->spec.path, s->path);
	snprintf(s->spec.text, sizeof(s->spec.text), "vsock %.250s", s->path);
	r = socket_listen(&s->spec, err);
	if (r < 0)
		return r;
	s->listen_fd = r;
	if (listen(r, BACKLOG))
		return err_set(err, -errno, "vsock: cannot listen: %s", strerror(errno));
	s->listen_watch = io_watch_add(s->v.loop, r, EPOLLIN, on_client, s);
	return s->listen_watch ? 0 : err_set(err, -ENOMEM, "no memory for a vsock");
}

void vsock_unlisten(struct virtio_vsock *s)
{
	if (s->listen_watch)
		io_watch_del(s->listen_watch);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	socket_remove(&s->spec);
}
