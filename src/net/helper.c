// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The process that does user-mode NAT: libslirp between the guest's frames and the host's sockets.
 *
 * The library is loaded here only; the VM's process never maps it. It starts with a configuration from the
 * VM, shuts itself in (confine.c) and answers; from then on it moves frames and makes host forwards, until
 * the VM's end of its sockets is gone. Frames for a VM that does not take them wait in a bounded queue; once
 * that is half full, the host's sockets are not read either, so TCP slows down without loss.
 *
 * Source: libslirp.h of libslirp 4.7. Threads: its only one.
 */
#include "net/helper.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/range.h"
#include "net/gro.h"
#include "net/offload.h"
#include "net/user_int.h"
#include "sandbox/child.h"

#define BATCH 32u
#define POLL_MAX 4096u
#define TIMERS_MAX 8u
#define QUEUE_BYTES (4u << 20) /* frames on their way to the VM */
#define MSG_MAX (sizeof(struct net_user_head) + NET_FRAME_MAX)

/* What is used of the library. */
struct slirp_api {
	Slirp *(*new)(const SlirpConfig *cfg, const SlirpCb *cb, void *opaque);
	void (*pollfds_fill)(Slirp *, uint32_t *timeout, SlirpAddPollCb add, void *opaque);
	void (*pollfds_poll)(Slirp *, int error, SlirpGetREventsCb get, void *opaque);
	void (*input)(Slirp *, const uint8_t *pkt, int len);
	int (*add_hostfwd)(Slirp *, int udp, struct in_addr host, int hport, struct in_addr guest,
			   int gport);
	int (*remove_hostfwd)(Slirp *, int udp, struct in_addr host, int hport);
};

struct helper_timer {
	SlirpTimerCb cb;
	void *opaque;
	int64_t at_ms; /* -1: not armed */
	bool used;
};

struct helper {
	struct slirp_api api;
	Slirp *slirp;
	struct pollfd fds[POLL_MAX];
	unsigned nfds;
	struct helper_timer timers[TIMERS_MAX];
	/* Messages to the VM: a ring of le32 length and bytes, never split at the end. */
	uint8_t *queue;
	size_t head, tail, end; /* read at head, write at tail; end: where the upper part stops */
	size_t used;
	bool wrapped; /* what is written lies before what is read */
	/* The last message, whose frame may still grow. */
	uint8_t *open; /* NULL: none */
	struct net_gro gro;
	uint8_t (*in)[MSG_MAX]; /* BATCH buffers */
};

static void answer(int error, const char *msg)
{
	struct net_user_answer a = {.error = error};

	snprintf(a.msg, sizeof(a.msg), "%s", msg);
	if (send(NET_HELPER_CTL, &a, sizeof(a), MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void __attribute__((noreturn)) refuse(const char *msg)
{
	answer(EINVAL, msg);
	_exit(1);
}

/* ---- Frames to the VM ---------------------------------------------------------------------------
 */

/* Bytes of the ring that a message takes. */
static size_t queue_cost(size_t len)
{
	return align_up(len + 4, 4);
}

/* Room for `len` bytes in one piece, or NULL. */
static uint8_t *queue_reserve(struct helper *h, size_t len)
{
	size_t need = queue_cost(len);

	if (!h->used) {
		h->head = h->tail = 0;
		h->end = QUEUE_BYTES;
		h->wrapped = false;
	}
	if (!h->wrapped && QUEUE_BYTES - h->tail < need) {
		if (h->head < need)
			return NULL;
		h->end = h->tail;
		h->tail = 0;
		h->wrapped = true;
	}
	if (h->wrapped && h->head - h->tail < need)
		return NULL;
	memcpy(h->queue + h->tail, &(uint32_t){(uint32_t)len}, 4);
	return h->queue + h->tail + 4;
}

static void queue_commit(struct helper *h, size_t len)
{
	h->tail += queue_cost(len);
	h->used += queue_cost(len);
}

/* The message at `at`, which moves on to the next. */
static uint8_t *queue_peek(const struct helper *h, size_t *at, uint32_t *len)
{
	uint8_t *p;

	if (*at == h->end)
		*at = 0;
	p = h->queue + *at;
	memcpy(len, p, 4);
	*at += queue_cost(*len);
	return p + 4;
}

static void queue_pop(struct helper *h)
{
	size_t before = h->head;
	uint32_t len;

	queue_peek(h, &h->head, &len);
	h->used -= queue_cost(len);
	if (h->head <= before) {
		h->wrapped = false;
		h->end = QUEUE_BYTES;
	}
}

/* The last message grows no more: its headers are made right. */
static void queue_close(struct helper *h)
{
	struct net_user_head head = {.zero = 0};

	if (!h->open)
		return;
	net_gro_finish(&h->gro, h->open + sizeof(head), &head.off);
	memcpy(h->open, &head, sizeof(head));
	h->open = NULL;
}

/* Put what goes on from the last message's frame behind that. False: it does not, or there is no room. */
static bool queue_append(struct helper *h, const uint8_t *frame, size_t len)
{
	size_t whole = sizeof(struct net_user_head) + h->gro.len, data, more, at;
	uint8_t *f;

	if (!h->open)
		return false;
	f = h->open + sizeof(struct net_user_head);
	at = net_gro_goes_on(&h->gro, f, frame, len);
	if (!at)
		return false;
	data = len - at;
	more = queue_cost(whole + data) - queue_cost(whole);
	if ((h->wrapped ? h->head : QUEUE_BYTES) - h->tail < more)
		return false;
	memcpy(f + h->gro.len, frame + at, data);
	net_gro_added(&h->gro, f, frame, data);
	memcpy(h->open - 4, &(uint32_t){(uint32_t)(whole + data)}, 4);
	h->tail += more;
	h->used += more;
	return true;
}

/* As much as the socket takes. */
static void queue_flush(struct helper *h)
{
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];

	queue_close(h);
	while (h->used) {
		size_t at = h->head, left = h->used;
		unsigned n = 0;
		int sent;

		memset(msg, 0, sizeof(msg));
		while (n < BATCH && left) {
			uint32_t len;

			iov[n].iov_base = queue_peek(h, &at, &len);
			iov[n].iov_len = len;
			msg[n].msg_hdr.msg_iov = &iov[n];
			msg[n].msg_hdr.msg_iovlen = 1;
			left -= queue_cost(len);
			n++;
		}
		sent = sendmmsg(NET_HELPER_DATA, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			_exit(0); /* the VM is gone */
		if (sent <= 0)
			return;
		for (int i = 0; i < sent; i++)
			queue_pop(h);
		if ((unsigned)sent < n)
			return;
	}
}

static ssize_t cb_send(const void *buf, size_t len, void *opaque)
{
	struct helper *h = opaque;
	uint8_t *p;

	if (len < NET_ETH_BYTES || len > NET_FRAME_MAX || queue_append(h, buf, len))
		return (ssize_t)len;
	queue_close(h);
	p = queue_reserve(h, sizeof(struct net_user_head) + len);
	if (!p) {
		queue_flush(h);
		p = queue_reserve(h, sizeof(struct net_user_head) + len);
	}
	/* No room: lost, as on a wire. */
	if (!p)
		return (ssize_t)len;
	memset(p, 0, sizeof(struct net_user_head));
	memcpy(p + sizeof(struct net_user_head), buf, len);
	queue_commit(h, sizeof(struct net_user_head) + len);
	h->open = p;
	net_gro_begin(&h->gro, buf, len);
	return (ssize_t)len;
}

/* ---- Frames from the VM -------------------------------------------------------------------------
 */

static void take_frame(struct helper *h, uint8_t *msg, size_t len)
{
	struct net_user_head head;
	uint8_t *frame = msg + sizeof(head);

	if (len < sizeof(head) + NET_ETH_BYTES)
		return;
	memcpy(&head, msg, sizeof(head));
	len -= sizeof(head);
	if (net_finish_csum(frame, len, &head.off))
		return;
	h->api.input(h->slirp, frame, (int)len);
}

static void read_frames(struct helper *h)
{
	struct mmsghdr msg[BATCH] = {0};
	struct iovec iov[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){h->in[i], MSG_MAX};
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(NET_HELPER_DATA, msg, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		_exit(0);
	for (int i = 0; i < n; i++) {
		/* An empty message is the end. */
		if (!msg[i].msg_len)
			_exit(0);
		if (!(msg[i].msg_hdr.msg_flags & MSG_TRUNC))
			take_frame(h, h->in[i], msg[i].msg_len);
	}
}

/* ---- The library's callbacks --------------------------------------------------------------------
 */

static void cb_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static int64_t cb_clock(void *opaque)
{
	(void)opaque;
	return (int64_t)clock_mono_ns();
}

static void *cb_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
	struct helper *h = opaque;

	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (!h->timers[i].used) {
			h->timers[i] = (struct helper_timer){cb, cb_opaque, -1, true};
			return &h->timers[i];
		}
	}
	_exit(1);
}

static void cb_timer_free(void *timer, void *opaque)
{
	(void)opaque;
	((struct helper_timer *)timer)->used = false;
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	(void)opaque;
	((struct helper_timer *)timer)->at_ms = expire_ms;
}

static void cb_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void cb_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = cb_send,
	.guest_error = cb_error,
	.clock_get_ns = cb_clock,
	.timer_new = cb_timer_new,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_fd,
	.unregister_poll_fd = cb_fd,
	.notify = cb_notify,
};

static int add_poll(int fd, int events, void *opaque)
{
	struct helper *h = opaque;
	short ev = 0;

	if (h->nfds == POLL_MAX)
		return -1;
	if (events & SLIRP_POLL_IN)
		ev |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		ev |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		ev |= POLLPRI;
	h->fds[h->nfds] = (struct pollfd){.fd = fd, .events = ev};
	return (int)h->nfds++;
}

static int get_revents(int idx, void *opaque)
{
	struct helper *h = opaque;
	short ev;
	int out = 0;

	if (idx < 0 || (unsigned)idx >= h->nfds)
		return 0;
	ev = h->fds[idx].revents;
	out |= ev & POLLIN ? SLIRP_POLL_IN : 0;
	out |= ev & POLLOUT ? SLIRP_POLL_OUT : 0;
	out |= ev & POLLPRI ? SLIRP_POLL_PRI : 0;
	out |= ev & POLLERR ? SLIRP_POLL_ERR : 0;
	out |= ev & POLLHUP ? SLIRP_POLL_HUP : 0;
	return out;
}

/* ---- Control ------------------------------------------------------------------------------------
 */

static void take_request(struct helper *h)
{
	struct net_user_fwd f;
	ssize_t n = recv(NET_HELPER_CTL, &f, sizeof(f), MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		_exit(0);
	if (n != sizeof(f)) {
		answer(EPROTO, "");
		return;
	}
	errno = 0;
	if (f.add)
		r = h->api.add_hostfwd(h->slirp, f.udp, f.host_addr, f.host_port, f.guest_addr,
				       f.guest_port);
	else
		r = h->api.remove_hostfwd(h->slirp, f.udp, f.host_addr, f.host_port);
	answer(!r ? 0 : !f.add ? ENOENT : errno ? errno : EADDRINUSE, "");
}

/* ---- The loop -----------------------------------------------------------------------------------
 */

static void run_timers(struct helper *h, uint32_t *timeout)
{
	int64_t now = (int64_t)(clock_mono_ns() / 1000000);

	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		struct helper_timer *t = &h->timers[i];

		if (!t->used || t->at_ms < 0)
			continue;
		if (t->at_ms <= now) {
			t->at_ms = -1;
			t->cb(t->opaque);
		}
		if (t->used && t->at_ms > now)
			*timeout = (uint32_t)min_u64(*timeout, (uint64_t)(t->at_ms - now));
	}
}

static void turn(struct helper *h)
{
	uint32_t timeout = UINT32_MAX;
	bool full = h->used > QUEUE_BYTES / 2;
	int n;

	h->nfds = 0;
	h->fds[h->nfds++] = (struct pollfd){
		.fd = NET_HELPER_DATA,
		.events = (short)(POLLIN | (h->used ? POLLOUT : 0)),
	};
	h->fds[h->nfds++] = (struct pollfd){.fd = NET_HELPER_CTL, .events = POLLIN};
	run_timers(h, &timeout);
	if (!full)
		h->api.pollfds_fill(h->slirp, &timeout, add_poll, h);
	n = poll(h->fds, h->nfds, timeout > INT32_MAX ? -1 : (int)timeout);
	if (n < 0 && errno != EINTR)
		_exit(1);
	if (n > 0 && h->fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		read_frames(h);
	if (n > 0 && h->fds[1].revents)
		take_request(h);
	if (!full)
		h->api.pollfds_poll(h->slirp, n < 0, get_revents, h);
	queue_flush(h);
}

/* ---- Set-up -------------------------------------------------------------------------------------
 */

static void load_library(struct slirp_api *api)
{
	const struct {
		const char *name;
		void **where;
	} names[] = {
		{"slirp_new", (void **)&api->new},
		{"slirp_pollfds_fill", (void **)&api->pollfds_fill},
		{"slirp_pollfds_poll", (void **)&api->pollfds_poll},
		{"slirp_input", (void **)&api->input},
		{"slirp_add_hostfwd", (void **)&api->add_hostfwd},
		{"slirp_remove_hostfwd", (void **)&api->remove_hostfwd},
	};
	void *lib = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		refuse("there is no libslirp on this host: install Debian's package libslirp0, or "
		       "use passt or tap");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		*names[i].where = dlsym(lib, names[i].name);
		if (!*names[i].where)
			refuse("the host's libslirp is too old; version 4.7 is what this is made "
			       "for");
	}
}

static void start_slirp(struct helper *h, const struct net_user_config *c, const char *tftp)
{
	static const char *search[NET_USER_SEARCH_MAX + 1];
	const char *at = c->search;
	SlirpConfig cfg = {
		.version = 3,
		.restricted = c->restricted,
		.in_enabled = c->v4,
		.vnetwork = c->net,
		.vnetmask = c->mask,
		.vhost = c->host,
		.in6_enabled = c->v6,
		.vprefix_addr6 = c->prefix6,
		.vprefix_len = c->prefix6_len,
		.vhost6 = c->host6,
		.vhostname = c->hostname[0] ? c->hostname : NULL,
		.tftp_server_name = c->tftp_server_name[0] ? c->tftp_server_name : NULL,
		.tftp_path = tftp,
		.bootfile = c->bootfile[0] ? c->bootfile : NULL,
		.vdhcp_start = c->dhcp_start,
		.vnameserver = c->dns,
		.vnameserver6 = c->dns6,
		.vdnssearch = c->searches ? search : NULL,
		.vdomainname = c->domainname[0] ? c->domainname : NULL,
	};

	for (unsigned i = 0; i < c->searches; i++) {
		search[i] = at;
		at += strlen(at) + 1;
	}
	h->slirp = h->api.new(&cfg, &callbacks, h);
	if (!h->slirp)
		refuse("libslirp does not start with these settings");
}

static void __attribute__((noreturn)) helper_run(void)
{
	static struct helper h;
	static struct net_user_config c;
	struct lodge_err err = {""};
	int r;

	child_leave_everything(NET_HELPER_CTL + 1, "lodge-net");
	if (recv(NET_HELPER_CTL, &c, sizeof(c), 0) != sizeof(c))
		_exit(1);
	load_library(&h.api);
	h.queue = malloc(QUEUE_BYTES);
	h.in = malloc(BATCH * sizeof(*h.in));
	if (!h.queue || !h.in)
		refuse("no memory for frames");
	h.end = QUEUE_BYTES;
	r = net_confine_files(c.tftp ? c.tftp_path : NULL, &err);
	if (r < 0)
		refuse(err.msg);
	start_slirp(&h, &c, !c.tftp ? NULL : r ? c.tftp_path : "/tftp");
	if (net_confine_calls(true, &err))
		refuse(err.msg);
	answer(0, "");
	for (;;)
		turn(&h);
}

void net_helper_main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], NET_HELPER_ROLE))
		helper_run();
}
