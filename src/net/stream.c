// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames over a byte stream: -netdev stream, and -netdev socket with listen=, connect= or fd=.
 *
 * The peer may be anybody: a length beyond NET_FRAME_MAX ends the connection, a frame too short to be one is
 * skipped, a peer that takes nothing holds the card's transmitter back with one frame kept here. Without a
 * connection the cable is unplugged.
 * Source: QEMU's manual page, -netdev socket and stream. Threads: with the VM lock held.
 */
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "net/offload.h"

#define LENGTH_BYTES 4u
#define CONNECT_MS 10000

static void set_events(struct net_stream *s)
{
	uint32_t ev = (s->held ? 0u : (uint32_t)EPOLLIN) | (s->out_len ? (uint32_t)EPOLLOUT : 0u);

	if (s->watch)
		io_watch_mod(s->watch, ev);
}

static void hang_up(struct net_stream *s, const char *why)
{
	if (s->fd < 0)
		return;
	io_watch_del(s->watch);
	s->watch = NULL;
	close(s->fd);
	s->fd = -1;
	s->held = s->closing = false;
	s->in_at = s->in_len = s->out_at = s->out_len = 0;
	net_backend_say(&s->nb, "%s; the guest's cable is unplugged%s", why,
			s->listen >= 0 ? " until somebody connects" : "");
	net_set_link(&s->nb.end, false);
}

/* ---- To the peer ------------------------------------------------------------------------------------
 */

/* False: some is left, or the connection is gone. */
static bool flush_out(struct net_stream *s)
{
	while (s->out_len) {
		ssize_t n =
			send(s->fd, s->out + s->out_at, s->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		s->out_at += (size_t)n;
		s->out_len -= (size_t)n;
	}
	s->out_at = 0;
	return true;
}

/* Length of an IP frame without the bytes that a card has put behind it to make it 60 (IEEE 802.3 §4.2.3.3). */
static size_t without_padding(const uint8_t *f, size_t len)
{
	size_t whole = len;

	if (len >= NET_ETH_BYTES + 20 && ld_be16(f + 12) == NET_ETHERTYPE_IPV4)
		whole = NET_ETH_BYTES + ld_be16(f + NET_ETH_BYTES + 2);
	else if (len >= NET_ETH_BYTES + 40 && ld_be16(f + 12) == NET_ETHERTYPE_IPV6)
		whole = NET_ETH_BYTES + 40u + ld_be16(f + NET_ETH_BYTES + 4);
	return whole < len && whole >= NET_ETH_BYTES + 20 ? whole : len;
}

static bool stream_receive(void *opaque, const struct iovec *iov, unsigned n,
			   const struct net_offload *off)
{
	struct net_stream *s = opaque;
	size_t len = net_iov_bytes(iov, n);

	(void)off;
	if (s->fd < 0 || len > NET_FRAME_MAX)
		return true;
	if (s->out_len)
		return false;
	net_gather(iov, n, s->out + LENGTH_BYTES, sizeof(s->out) - LENGTH_BYTES);
	if (s->no_padding)
		len = without_padding(s->out + LENGTH_BYTES, len);
	st_be32(s->out, (uint32_t)len);
	s->out_len = LENGTH_BYTES + len;
	/* What is left goes when there is room; an error is seen by the watch. */
	if (!flush_out(s))
		set_events(s);
	return true;
}

/* ---- From the peer ----------------------------------------------------------------------------------
 */

/* False: a frame waits for the card, or the connection is over. */
static bool hand_over(struct net_stream *s)
{
	while (s->in_len - s->in_at >= LENGTH_BYTES) {
		uint8_t *p = s->in + s->in_at;
		size_t len = ld_be32(p);
		struct iovec iov = {p + LENGTH_BYTES, len};

		if (len > NET_FRAME_MAX) {
			hang_up(s, "the peer sends what are no frames");
			return false;
		}
		if (s->in_len - s->in_at - LENGTH_BYTES < len)
			break;
		if (len >= NET_ETH_BYTES && !net_send(&s->nb.end, &iov, 1, NULL)) {
			s->held = true;
			return false;
		}
		if (s->fd < 0)
			return false;
		s->in_at += LENGTH_BYTES + len;
	}
	memmove(s->in, s->in + s->in_at, s->in_len - s->in_at);
	s->in_len -= s->in_at;
	s->in_at = 0;
	s->held = false;
	return true;
}

static void stream_ready(void *opaque)
{
	struct net_stream *s = opaque;

	if (!s->held)
		return;
	s->held = false;
	if (!hand_over(s))
		return;
	if (s->closing)
		hang_up(s, "the peer has closed the connection");
	else
		set_events(s);
}

static void stream_event(void *opaque, uint32_t events)
{
	struct net_stream *s = opaque;
	ssize_t n;

	if ((events & EPOLLOUT) && flush_out(s)) {
		net_ready(&s->nb.end);
		if (s->fd < 0)
			return;
		set_events(s);
	}
	if (s->held) {
		/* No reading now, so that the end would be reported again and again. */
		if (events & (EPOLLHUP | EPOLLERR)) {
			s->closing = true;
			io_watch_del(s->watch);
			s->watch = NULL;
		}
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(s, "the peer has closed the connection");
		return;
	}
	s->in_len += (size_t)n;
	hand_over(s);
	set_events(s);
}

static const struct net_end_ops stream_end_ops = {.receive = stream_receive, .ready = stream_ready};

/* ---- Connections --------------------------------------------------------------------------------------
 */

int net_stream_connect(struct net_stream *s, int fd, struct lodge_err *err)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	s->watch = io_watch_add(s->nb.host.loop, fd, EPOLLIN, stream_event, s);
	if (!s->watch) {
		close(fd);
		return err_set(err, -EIO, "cannot watch a connection");
	}
	s->fd = fd;
	net_set_link(&s->nb.end, true);
	return 0;
}

static void accept_one(void *opaque, uint32_t events)
{
	struct net_stream *s = opaque;
	int fd = accept4(s->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct lodge_err err;

	(void)events;
	if (fd < 0)
		return;
	/* One cable, one peer. */
	if (s->fd >= 0)
		close(fd);
	else if (net_stream_connect(s, fd, &err))
		net_backend_say(&s->nb, "%s", err.msg);
}

static void stream_close(struct net_backend *nb)
{
	struct net_stream *s = (struct net_stream *)nb;

	io_watch_del(s->watch);
	io_watch_del(s->listen_watch);
	if (s->fd >= 0)
		close(s->fd);
	if (s->listen >= 0)
		close(s->listen);
	net_addr_unbind(&s->addr);
	if (s->pid > 0) {
		kill(s->pid, SIGTERM);
		waitpid(s->pid, NULL, 0);
	}
	free(s);
}

static const struct net_backend_ops stream_ops[] = {
	{.type = "stream", .close = stream_close},
	{.type = "socket", .close = stream_close},
	{.type = "passt", .close = stream_close},
};

struct net_stream *net_stream_new(const char *type, const struct net_host *host,
				  struct lodge_err *err)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a network");
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(stream_ops); i++) {
		if (!strcmp(stream_ops[i].type, type))
			s->nb.ops = &stream_ops[i];
	}
	s->nb.host = *host;
	s->fd = s->listen = -1;
	net_end_init(&s->nb.end, &stream_end_ops, s, 0);
	s->nb.end.link_down = true;
	return s;
}

static int start_listening(struct net_stream *s, struct lodge_err *err)
{
	int r;

	s->listen = socket(s->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen < 0)
		return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	r = net_addr_bind(&s->addr, s->listen, err);
	if (r)
		return r;
	if (listen(s->listen, 1))
		return err_set(err, -errno, "cannot listen on %s: %s", s->addr.text,
			       strerror(errno));
	s->listen_watch = io_watch_add(s->nb.host.loop, s->listen, EPOLLIN, accept_one, s);
	return s->listen_watch ? 0 : err_set(err, -EIO, "cannot watch %s", s->addr.text);
}

/* At set-up; the peer has to be there, and to answer within CONNECT_MS. */
static int start_connection(struct net_stream *s, struct lodge_err *err)
{
	int fd = socket(s->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
	socklen_t len = sizeof(r);
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (fd < 0)
		return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, &s->addr.sa, s->addr.len)) {
		r = errno;
		if (r == EINPROGRESS)
			r = poll(&p, 1, CONNECT_MS) <= 0		     ? ETIMEDOUT
			    : getsockopt(fd, SOL_SOCKET, SO_ERROR, &r, &len) ? errno
									     : r;
	}
	if (!r)
		return net_stream_connect(s, fd, err);
	close(fd);
	return err_set(err, -r, "cannot connect to %s: %s; start the other side first",
		       s->addr.text, strerror(r));
}

struct net_backend *net_stream_open(struct props *p, const struct net_host *host,
				    struct lodge_err *err)
{
	struct net_stream *s = net_stream_new("stream", host, err);
	bool server = false;
	int fd = 0, r;

	if (!s)
		return NULL;
	r = props_bool(p, "server", &server, err);
	if (!r)
		r = net_addr_props(&s->addr, &fd, p, "addr", server, SOCK_STREAM, err);
	if (!r && !fd && !s->addr.len)
		r = err_set(err, -EINVAL,
			    "%s stream: needs addr.type=inet,addr.host=,addr.port= or "
			    "addr.type=unix,addr.path=",
			    props_what(p));
	if (!r && fd && server)
		r = err_set(err, -EINVAL,
			    "%s stream: addr.type=fd is a connection; leave server= out",
			    props_what(p));
	if (!r)
		r = fd	     ? net_stream_connect(s, fd - 1, err)
		    : server ? start_listening(s, err)
			     : start_connection(s, err);
	if (!r)
		return &s->nb;
	stream_close(&s->nb);
	return NULL;
}

/* ---- -netdev socket -------------------------------------------------------------------------------------
 */

struct net_backend *net_socket_open(struct props *p, const struct net_host *host,
				    struct lodge_err *err)
{
	const char *text, *key = NULL;
	static const char *const keys[] = {"listen", "connect", "fd"};
	struct net_stream *s;
	int fd, r;

	if (props_has(p, "mcast") || props_has(p, "udp"))
		return net_socket_dgram_open(p, host, err);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (props_has(p, keys[i]) && key) {
			err_set(err, -EINVAL, "%s socket: %s= and %s= exclude each other",
				props_what(p), key, keys[i]);
			return NULL;
		}
		key = props_has(p, keys[i]) ? keys[i] : key;
	}
	if (!key) {
		err_set(err, -EINVAL,
			"%s socket: needs one of listen=, connect=, mcast=, udp=, fd=",
			props_what(p));
		return NULL;
	}
	s = net_stream_new("socket", host, err);
	if (!s)
		return NULL;
	text = props_get(p, key);
	if (!strcmp(key, "fd")) {
		r = net_addr_fd(&fd, props_what(p), text, SOCK_STREAM, err);
		if (!r)
			r = net_stream_connect(s, fd, err);
	} else {
		r = net_addr_inet(&s->addr, props_what(p), text, *key == 'l', SOCK_STREAM, err);
		if (!r)
			r = *key == 'l' ? start_listening(s, err) : start_connection(s, err);
	}
	if (!r)
		return &s->nb;
	stream_close(&s->nb);
	return NULL;
}
