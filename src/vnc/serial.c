// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One browser at the machine's first serial line: a WebSocket on one side, a stream socket on the other, whose far
 * end goes to the VM's process. What the guest said last comes first (chardev/hub.h); who reads nothing loses
 * output there, and who floods waits here.
 *
 * Source: RFC 6455; unix(7), SCM_RIGHTS. Threads: the process's only one.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vnc/vnc_int.h"
#include "vnc/ws.h"

#define PIECE 8192u
#define ROOM (PIECE + 2 * (WS_HEAD_MAX + WS_CONTROL_MAX))

/* Bytes that wait for a socket to take them. */
struct waiting {
	size_t at, len;
	uint8_t bytes[ROOM];
};

struct serial {
	const struct vnc_viewer *v;
	int line; /* our end */
	struct ws_in in;
	uint8_t came[PIECE]; /* from the browser, of which `at` of `len` are understood */
	size_t at, len;
	struct waiting to_browser, to_line;
	bool closing; /* the last frame is in to_browser */
	bool heard;   /* something came from the line */
};

static size_t room(const struct waiting *w)
{
	return sizeof(w->bytes) - w->len;
}

static void put(struct waiting *w, const void *bytes, size_t len)
{
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

/* Never waits. False: nobody is there any more, and what waited is dropped. */
static bool flush(struct waiting *w, int fd)
{
	bool ok = true;

	while (w->at < w->len) {
		ssize_t n = send(fd, w->bytes + w->at, w->len - w->at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		ok = n >= 0;
		if (!ok)
			break;
		w->at += (size_t)n;
	}
	w->at = w->len = 0;
	return ok;
}

/* ---- To the browser ----------------------------------------------------------------------------- */

static void put_frame(struct serial *s, enum ws_op op, const void *bytes, size_t len)
{
	uint8_t head[WS_HEAD_MAX];

	put(&s->to_browser, head, ws_head(head, op, len));
	put(&s->to_browser, bytes, len);
}

static void flush_browser(struct serial *s)
{
	if (!flush(&s->to_browser, s->v->client))
		_exit(0);
}

/* There is room for it: what waits never fills the last WS_CONTROL_MAX bytes and a head. */
static void say_close(struct serial *s, unsigned code, const char *why)
{
	uint8_t bytes[WS_CONTROL_MAX];
	int n = snprintf((char *)bytes + 2, sizeof(bytes) - 2, "%s", why);

	bytes[0] = (uint8_t)(code >> 8);
	bytes[1] = (uint8_t)code;
	put_frame(s, WS_CLOSE, bytes, 2 + (size_t)n);
	s->closing = true;
}

static void from_line(struct serial *s)
{
	uint8_t bytes[PIECE];
	ssize_t n = recv(s->line, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		s->heard = true;
		put_frame(s, WS_BINARY, bytes, (size_t)n);
	} else {
		say_close(s, WS_AGAIN,
			  s->heard ? "the machine has ended"
				   : "the machine has no serial port, or too many are at it");
	}
}

/* ---- From the browser --------------------------------------------------------------------------- */

/* As far as the line has room: what was typed is not lost, and a flood waits in its own socket. */
static void understand(struct serial *s)
{
	while (s->at < s->len && !s->closing && !s->to_line.len) {
		size_t used = 0, n = 0;
		uint8_t *data = NULL;
		unsigned code = 0;
		enum ws_what got =
			ws_next(&s->in, s->came + s->at, s->len - s->at, &used, &data, &n, &code);

		s->at += used;
		if (got == WS_GOT_DATA)
			put(&s->to_line, data, n);
		else if (got == WS_GOT_PING &&
			 room(&s->to_browser) > 2 * (WS_CONTROL_MAX + WS_HEAD_MAX))
			put_frame(s, WS_PONG, s->in.control, s->in.control_len);
		else if (got == WS_GOT_CLOSE)
			say_close(s, WS_DONE, "");
		else if (got == WS_GOT_BAD)
			say_close(s, code, "");
		(void)flush(&s->to_line, s->line); /* its end is found where it is read */
	}
}

static void from_browser(struct serial *s)
{
	ssize_t n = recv(s->v->client, s->came, sizeof(s->came), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		_exit(0);
	s->at = 0;
	s->len = (size_t)n;
}

/* ---- Life --------------------------------------------------------------------------------------- */

/* The far end of a new pair goes to the VM's process. */
static int open_line(const struct vnc_viewer *v)
{
	struct vnc_msg m = {.kind = VNC_CONSOLE, .slot = v->slot};
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		_exit(1);
	control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
					.cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), &pair[1], sizeof(int));
	while (sendmsg(v->socket, &h, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

static void greet(struct serial *s, const char *key)
{
	char accept[WS_ACCEPT_CHARS + 1], text[256];
	int n;

	ws_accept(key, accept);
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		     accept);
	put(&s->to_browser, text, (size_t)n);
	flush_browser(s);
}

static void turn(struct serial *s)
{
	struct pollfd p[3] = {{.fd = s->v->client},
			      {.fd = s->line},
			      {.fd = s->v->wake, .events = POLLIN}};
	bool full = s->to_browser.len, unread = s->at < s->len, gone;
	char bytes[64];

	/* What one side cannot take now is not fetched from the other. */
	p[0].events = (short)(POLLRDHUP | (full ? POLLOUT : 0) | (unread || s->closing ? 0 : POLLIN));
	p[1].events = (short)((s->to_line.len ? POLLOUT : 0) | (full || s->closing ? 0 : POLLIN));
	if (!p[1].events)
		p[1].fd = -1;
	if (poll(p, 3, -1) < 0 && errno != EINTR)
		_exit(1);
	if (p[2].revents && recv(s->v->wake, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
		_exit(0);
	if (p[0].revents & POLLIN)
		from_browser(s);
	else if (p[0].revents & (POLLHUP | POLLERR))
		_exit(0);
	gone = p[0].revents & POLLRDHUP;
	if (p[1].revents & (POLLIN | POLLHUP | POLLERR) && !full && !s->closing)
		from_line(s);
	(void)flush(&s->to_line, s->line);
	understand(s);
	flush_browser(s);
	/* What the line has no room for is not typed by somebody who has left. */
	if (gone && s->at < s->len)
		_exit(0);
	if (s->closing && !s->to_browser.len) {
		shutdown(s->v->client, SHUT_WR);
		_exit(0);
	}
}

void vnc_serial_run(const struct vnc_viewer *v, const char *key)
{
	static struct serial s;

	s.v = v;
	s.line = open_line(v);
	greet(&s, key);
	for (;;)
		turn(&s);
}
