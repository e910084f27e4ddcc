// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames as datagrams: -netdev dgram (UDP, multicast, Unix), and -netdev socket with udp= or mcast=.
 *
 * A datagram is a frame. What is shorter than an Ethernet header or longer than NET_FRAME_MAX is lost, as is
 * what nobody is there to take. A peer that floods is read NET_BATCH datagrams a turn, and not at all while
 * the card takes nothing: the kernel then drops them.
 * Source: QEMU's manual page, -netdev dgram. Threads: with the VM lock held.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "net/backend.h"
#include "net/offload.h"
#include "net/sockaddr.h"

struct net_dgram {
	struct net_backend nb;
	struct net_addr local, remote;
	int fd;
	struct io_watch *watch;
	bool connected, want_out, held;
	/* A vCPU may not connect: the io thread tries, and the card sends its frame again. */
	int reach_fd;
	struct io_watch *reach_watch;
	size_t len; /* of the frame that is held */
	uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];
};

static void set_events(struct net_dgram *d)
{
	io_watch_mod(d->watch,
		     (d->held ? 0u : (uint32_t)EPOLLIN) | (d->want_out ? (uint32_t)EPOLLOUT : 0u));
}

/*
 * A Unix socket is connected to its peer once that is there: so it hears nobody else, and the kernel says
 * when the peer has room again, which it does not for one that is not connected.
 */
static bool reach_peer(struct net_dgram *d)
{
	if (d->remote.sa.sa_family == AF_UNIX && !d->connected)
		d->connected = !connect(d->fd, &d->remote.sa, d->remote.len);
	return d->remote.sa.sa_family != AF_UNIX || d->connected;
}

/* On the io thread, which connects when the frame comes again. */
static void on_reach(void *opaque, uint32_t events)
{
	struct net_dgram *d = opaque;
	uint64_t count;

	(void)events;
	if (read(d->reach_fd, &count, sizeof(count)) > 0)
		net_ready(&d->nb.end);
}

/* True: the frame waits for the io thread. */
static bool leave_to_io(struct net_dgram *d)
{
	uint64_t one = 1;

	if (d->remote.sa.sa_family != AF_UNIX || d->connected || thread_this_kind() != THREAD_VCPU)
		return false;
	return write(d->reach_fd, &one, sizeof(one)) > 0;
}

static bool dgram_receive(void *opaque, const struct iovec *iov, unsigned n,
			  const struct net_offload *off)
{
	struct net_dgram *d = opaque;
	size_t len = net_gather(iov, n, d->out, sizeof(d->out));
	bool named;

	(void)off;
	if (len && leave_to_io(d))
		return false;
	if (!len || !reach_peer(d))
		return true; /* nobody there: lost */
	named = d->remote.len && !d->connected;
	if (sendto(d->fd, d->out, len, MSG_DONTWAIT | MSG_NOSIGNAL, named ? &d->remote.sa : NULL,
		   named ? d->remote.len : 0) >= 0)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS) {
		/* It has gone, or the frame is too long for it: lost. A new peer may come. */
		if (errno != EMSGSIZE)
			d->connected = false;
		return true;
	}
	d->want_out = true;
	set_events(d);
	return false;
}

static bool hand_over(struct net_dgram *d)
{
	struct iovec iov = {d->frame, d->len};

	d->held = !net_send(&d->nb.end, &iov, 1, NULL);
	return !d->held;
}

static void dgram_ready(void *opaque)
{
	struct net_dgram *d = opaque;

	if (d->held && hand_over(d))
		set_events(d);
}

static void dgram_event(void *opaque, uint32_t events)
{
	struct net_dgram *d = opaque;

	if ((events & EPOLLOUT) && d->want_out) {
		d->want_out = false;
		net_ready(&d->nb.end);
		set_events(d);
	}
	for (unsigned i = 0; i < NET_BATCH && !d->held; i++) {
		ssize_t n = recv(d->fd, d->frame, sizeof(d->frame), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			break;
		if (n < (ssize_t)NET_ETH_BYTES || n > (ssize_t)sizeof(d->frame))
			continue;
		d->len = (size_t)n;
		if (!hand_over(d))
			set_events(d);
	}
}

static const struct net_end_ops dgram_end_ops = {.receive = dgram_receive, .ready = dgram_ready};

static void dgram_close(struct net_backend *nb)
{
	struct net_dgram *d = (struct net_dgram *)nb;

	io_watch_del(d->watch);
	io_watch_del(d->reach_watch);
	if (d->reach_fd >= 0)
		close(d->reach_fd);
	if (d->fd >= 0)
		close(d->fd);
	net_addr_unbind(&d->local);
	free(d);
}

static const struct net_backend_ops dgram_ops = {.type = "dgram", .close = dgram_close};

static struct net_dgram *dgram_new(struct lodge_err *err)
{
	struct net_dgram *d = calloc(1, sizeof(*d));

	if (!d) {
		err_set(err, -ENOMEM, "no memory for a network");
		return NULL;
	}
	d->nb.ops = &dgram_ops;
	d->fd = d->reach_fd = -1;
	net_end_init(&d->nb.end, &dgram_end_ops, d, 0);
	return d;
}

/* ---- Opening ------------------------------------------------------------------------------------------
 */

static bool is_multicast(const struct net_addr *a)
{
	return a->sa.sa_family == AF_INET && IN_MULTICAST(ntohl(a->in.sin_addr.s_addr));
}

/* Be one of a group: everybody sends to it and hears it. `local` is the interface's address, if any. */
static int join_group(struct net_dgram *d, struct lodge_err *err)
{
	struct ip_mreq mreq = {.imr_multiaddr = d->remote.in.sin_addr};
	int one = 1;

	if (d->local.len)
		mreq.imr_interface = d->local.in.sin_addr;
	if (setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(d->fd, &d->remote.sa, d->remote.len) ||
	    setsockopt(d->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) ||
	    setsockopt(d->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)))
		return err_set(err, -errno, "cannot join the group %s: %s", d->remote.text,
			       strerror(errno));
	if (d->local.len && setsockopt(d->fd, IPPROTO_IP, IP_MULTICAST_IF, &d->local.in.sin_addr,
				       sizeof(struct in_addr)))
		return err_set(err, -errno, "cannot send to %s from %s: %s", d->remote.text,
			       d->local.text, strerror(errno));
	return 0;
}

static int start(struct net_dgram *d, const struct net_host *host, int fd, struct lodge_err *err)
{
	int r = 0;

	if (fd >= 0) {
		d->fd = fd;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, O_NONBLOCK);
	} else {
		d->fd = socket(d->remote.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			       0);
		if (d->fd < 0)
			return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
		if (is_multicast(&d->remote))
			r = join_group(d, err);
		else if (d->local.len)
			r = net_addr_bind(&d->local, d->fd, err);
	}
	if (r)
		return r;
	d->reach_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->reach_fd >= 0)
		d->reach_watch = io_watch_add(host->loop, d->reach_fd, EPOLLIN, on_reach, d);
	d->watch = io_watch_add(host->loop, d->fd, EPOLLIN, dgram_event, d);
	return d->watch && d->reach_watch ? 0 : err_set(err, -EIO, "cannot watch a socket");
}

struct net_backend *net_dgram_open(struct props *p, const struct net_host *host,
				   struct lodge_err *err)
{
	struct net_dgram *d = dgram_new(err);
	int fd = 0, other = 0, r;

	if (!d)
		return NULL;
	r = net_addr_props(&d->local, &fd, p, "local", true, SOCK_DGRAM, err);
	if (!r)
		r = net_addr_props(&d->remote, &other, p, "remote", false, SOCK_DGRAM, err);
	if (!r && other)
		r = err_set(err, -EINVAL, "%s dgram: remote.type=fd is not there; local.type=fd is",
			    props_what(p));
	if (!r && !fd && !d->remote.len)
		r = err_set(err, -EINVAL, "%s dgram: needs remote.type= (or local.type=fd)",
			    props_what(p));
	if (!r && !fd && !d->local.len && !is_multicast(&d->remote))
		r = err_set(err, -EINVAL, "%s dgram: needs local.type=, to be sent to",
			    props_what(p));
	if (!r && !fd && d->local.len && d->local.sa.sa_family != d->remote.sa.sa_family)
		r = err_set(err, -EINVAL, "%s dgram: local and remote are of different kinds",
			    props_what(p));
	if (!r)
		r = start(d, host, fd - 1, err);
	if (!r)
		return &d->nb;
	dgram_close(&d->nb);
	return NULL;
}

struct net_backend *net_socket_dgram_open(struct props *p, const struct net_host *host,
					  struct lodge_err *err)
{
	bool mcast = props_has(p, "mcast");
	const char *to = props_get(p, mcast ? "mcast" : "udp");
	const char *from = props_get(p, "localaddr");
	struct net_dgram *d = dgram_new(err);
	char text[256];
	int r;

	if (!d)
		return NULL;
	r = net_addr_inet(&d->remote, props_what(p), to, false, SOCK_DGRAM, err);
	if (!r && mcast && !is_multicast(&d->remote))
		r = err_set(err, -EINVAL,
			    "%s socket: mcast=%s is no multicast group, as "
			    "230.0.0.1:1234",
			    props_what(p), to);
	if (!r && !mcast && !from)
		r = err_set(err, -EINVAL, "%s socket: udp= needs localaddr=HOST:PORT",
			    props_what(p));
	if (!r && from) {
		/* A group's is an address, without a port. */
		snprintf(text, sizeof(text), mcast ? "%s:0" : "%s", from);
		r = net_addr_inet(&d->local, props_what(p), text, true, SOCK_DGRAM, err);
	}
	if (!r)
		r = start(d, host, -1, err);
	if (!r)
		return &d->nb;
	dgram_close(&d->nb);
	return NULL;
}
