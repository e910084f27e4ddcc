// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -netdev tap: an Ethernet interface of the host. Its kernel takes and gives frames whose checksums and
 * segments are still to be made, where the card can, too (vnet_hdr).
 *
 * With queues=N it has N descriptors, each the end of a wire of its own; the host's kernel sends the frames of a flow to
 * where the guest sends its own from. A queue that the card does not use is detached, so that nothing comes there.
 * Source: Linux Documentation/networking/tuntap, linux/if_tun.h. Threads: with the VM lock held.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/keyval.h"
#include "net/backend.h"
#include "net/offload.h"

#define TAP_PIECES 64u

_Static_assert(sizeof(struct net_offload) == 10, "struct virtio_net_hdr");

#define TAP_QUEUES_MAX 32u

struct tap_queue {
	struct net_tap *tap;
	struct net_end *end;
	struct net_end own_end; /* of any but the first, whose end is the back end's */
	int fd;
	struct io_watch *watch;
	bool detached; /* the host sends nothing there, and reading it is an error */
	bool vnet, want_out, held;
	size_t len; /* of the frame that is held */
	struct net_offload off;
	uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];
};

struct net_tap {
	struct net_backend nb;
	unsigned n;
	struct tap_queue *q[TAP_QUEUES_MAX];
};

static void set_events(struct tap_queue *t)
{
	if (!t->watch)
		return;
	io_watch_mod(t->watch,
		     (t->held ? 0u : (uint32_t)EPOLLIN) | (t->want_out ? (uint32_t)EPOLLOUT : 0u));
}

static bool tap_receive(void *opaque, const struct iovec *iov, unsigned n,
			const struct net_offload *off)
{
	struct tap_queue *t = opaque;
	struct net_offload none = {0};
	struct iovec v[TAP_PIECES], *at = v;

	if (t->vnet)
		*at++ = (struct iovec){off ? (void *)(uintptr_t)off : &none, sizeof(none)};
	if (n < TAP_PIECES) {
		memcpy(at, iov, n * sizeof(*iov));
		at += n;
	} else {
		*at++ = (struct iovec){t->out, net_gather(iov, n, t->out, sizeof(t->out))};
	}
	if (writev(t->fd, v, (int)(at - v)) >= 0 || errno != EAGAIN)
		return true; /* an interface that is down takes nothing: lost */
	t->want_out = true;
	set_events(t);
	return false;
}

static bool hand_over(struct tap_queue *t)
{
	struct iovec iov = {t->frame, t->len};

	t->held = !net_send(t->end, &iov, 1, t->vnet ? &t->off : NULL);
	return !t->held;
}

static void tap_ready(void *opaque)
{
	struct tap_queue *t = opaque;

	if (t->held && hand_over(t))
		set_events(t);
}

static void tap_event(void *opaque, uint32_t events)
{
	struct tap_queue *t = opaque;

	if ((events & EPOLLOUT) && t->want_out) {
		t->want_out = false;
		net_ready(t->end);
		set_events(t);
	}
	for (unsigned i = 0; i < NET_BATCH && !t->held; i++) {
		struct iovec v[2] = {{&t->off, sizeof(t->off)}, {t->frame, sizeof(t->frame)}};
		ssize_t n = readv(t->fd, t->vnet ? v : v + 1, t->vnet ? 2 : 1);

		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) {
			/* The interface was taken away. */
			io_watch_del(t->watch);
			t->watch = io_watch_add(t->tap->nb.host.loop, t->fd, 0, tap_event, t);
			if (t == t->tap->q[0])
				net_backend_say(&t->tap->nb,
						"the tap interface is gone (%s); the guest's cable "
						"is unplugged",
						strerror(errno));
			net_set_link(t->end, false);
			return;
		}
		if (n < 0)
			break;
		t->len = (size_t)n - (t->vnet ? sizeof(t->off) : 0);
		if ((size_t)n < NET_ETH_BYTES + (t->vnet ? sizeof(t->off) : 0))
			continue;
		if (!hand_over(t))
			set_events(t);
	}
}

static void tap_use(void *opaque, bool on)
{
	struct tap_queue *t = opaque;
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	/* The first is always attached: the interface would have no carrier. */
	if (t == t->tap->q[0] || t->detached == !on)
		return;
	if (ioctl(t->fd, TUNSETQUEUE, &ifr)) {
		net_backend_say(&t->tap->nb, "cannot %s a queue of the tap interface: %s",
				on ? "attach" : "detach", strerror(errno));
		return;
	}
	t->detached = !on;
	t->held = t->want_out = false;
	io_watch_del(t->watch);
	t->watch = on ? io_watch_add(t->tap->nb.host.loop, t->fd, EPOLLIN, tap_event, t) : NULL;
}

static const struct net_end_ops tap_end_ops = {
	.receive = tap_receive,
	.ready = tap_ready,
	.use = tap_use,
};

static void tap_close(struct net_backend *nb)
{
	struct net_tap *t = (struct net_tap *)nb;

	for (unsigned i = 0; i < t->n; i++) {
		io_watch_del(t->q[i]->watch);
		if (t->q[i]->fd >= 0)
			close(t->q[i]->fd);
		free(t->q[i]);
	}
	free(t);
}

static struct net_end *tap_queue_end(struct net_backend *nb, unsigned n)
{
	return ((struct net_tap *)nb)->q[n]->end;
}

static const struct net_backend_ops tap_ops = {
	.type = "tap",
	.close = tap_close,
	.queue = tap_queue_end,
};

/* ---- Opening ------------------------------------------------------------------------------------------
 */

static int refuse(struct props *p, struct lodge_err *err)
{
	static const struct {
		const char *key, *fine, *why;
	} rules[] = {
		{"script", "no", "no script is run; set the interface up yourself"},
		{"downscript", "no", "no script is run"},
		{"vhost", "off", "vhost is not there"},
		{"vhostforce", "off", "vhost is not there"},
		{"poll-us", "0", "there is no busy polling"},
	};
	static const char *const never[] = {"helper", "br", "vhostfd", "vhostfds", NULL};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const char *val = props_get(p, rules[i].key);

		if (val && strcmp(val, rules[i].fine))
			return err_set(err, -ENOTSUP,
				       "%s tap: %s=%s: %s; write %s=%s or leave it out",
				       props_what(p), rules[i].key, val, rules[i].why, rules[i].key,
				       rules[i].fine);
	}
	for (unsigned i = 0; never[i]; i++) {
		if (props_has(p, never[i]))
			return err_set(
				err, -ENOTSUP,
				"%s tap: %s= is not there; give ifname= of an interface that "
				"is yours, or fd=",
				props_what(p), never[i]);
	}
	return 0;
}

/* A queue without a descriptor yet. */
static struct tap_queue *add_queue(struct net_tap *t)
{
	struct tap_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->tap = t;
	q->fd = -1;
	q->end = t->n ? &q->own_end : &t->nb.end;
	net_end_init(q->end, &tap_end_ops, q, 0);
	t->q[t->n++] = q;
	return q;
}

/* The queue's descriptor is there. */
static int set_up(struct tap_queue *q, bool want_vnet, uint64_t sndbuf, struct lodge_err *err)
{
	unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	struct ifreq now = {0};
	int hdr = sizeof(struct net_offload), size;

	size = sndbuf && sndbuf < INT32_MAX ? (int)sndbuf : INT32_MAX;
	ioctl(q->fd, TUNSETSNDBUF, &size);
	if (ioctl(q->fd, TUNGETIFF, &now))
		return err_set(err, -errno, "the tap interface does not say what it is: %s",
			       strerror(errno));
	q->vnet = now.ifr_flags & IFF_VNET_HDR;
	if (!q->vnet)
		return 0;
	if (ioctl(q->fd, TUNSETVNETHDRSZ, &hdr))
		return err_set(err, -errno, "the tap interface has another frame header: %s",
			       strerror(errno));
	if (!want_vnet || ioctl(q->fd, TUNSETOFFLOAD, (unsigned long)offload))
		return ioctl(q->fd, TUNSETOFFLOAD, 0ul), 0;
	q->end->can = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN;
	return 0;
}

/* What the person at the terminal gave. */
struct tap_settings {
	const char *what, *ifname, *fd, *fds;
	uint64_t queues, sndbuf;
	bool vnet;
};

/* All queues of the interface `name`, which the host may name if that is NULL. */
static int open_named(struct net_tap *t, const struct tap_settings *s, struct lodge_err *err)
{
	struct ifreq ifr = {.ifr_flags =
				    (short)(IFF_TAP | IFF_NO_PI | (s->vnet ? IFF_VNET_HDR : 0) |
					    (s->queues > 1 ? IFF_MULTI_QUEUE : 0))};

	if (s->ifname && strlen(s->ifname) >= sizeof(ifr.ifr_name))
		return err_set(err, -EINVAL, "%s tap: ifname=%s is too long for an interface",
			       s->what, s->ifname);
	strcpy(ifr.ifr_name, s->ifname ? s->ifname : "tap%d");
	for (unsigned i = 0; i < s->queues; i++) {
		struct tap_queue *q = add_queue(t);

		if (!q)
			return err_set(err, -ENOMEM, "no memory for a network");
		q->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (q->fd < 0)
			return err_set(err, -errno, "%s tap: cannot open /dev/net/tun: %s", s->what,
				       strerror(errno));
		/* The first one names it for all. */
		if (ioctl(q->fd, TUNSETIFF, &ifr))
			return err_set(err, -errno,
				       "%s tap: cannot use the interface '%s': %s; as root: 'ip "
				       "tuntap add "
				       "%s mode tap user NAME%s', or use -netdev user",
				       s->what, ifr.ifr_name, strerror(errno),
				       s->ifname ? s->ifname : "tap0",
				       s->queues > 1 ? " multi_queue" : "");
	}
	return 0;
}

/* One that is something else than a tap stays its owner's. */
static int take_fd(struct net_tap *t, const struct tap_settings *s, const char *text,
		   struct lodge_err *err)
{
	struct ifreq now = {0};
	struct tap_queue *q;
	uint64_t n;

	if (parse_u64(text, &n) || n > INT32_MAX)
		return err_set(err, -EINVAL, "%s tap: '%s' is not a descriptor's number", s->what,
			       text);
	if (ioctl((int)n, TUNGETIFF, &now) || !(now.ifr_flags & IFF_TAP))
		return err_set(err, -EINVAL, "%s tap: fd=%s is not of a tap interface", s->what,
			       text);
	q = add_queue(t);
	if (!q)
		return err_set(err, -ENOMEM, "no memory for a network");
	q->fd = (int)n;
	fcntl(q->fd, F_SETFD, FD_CLOEXEC);
	fcntl(q->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

/* fds=A:B:C. */
static int take_fds(struct net_tap *t, const struct tap_settings *s, struct lodge_err *err)
{
	const char *at = s->fds;
	int r = 0;

	while (!r && *at) {
		size_t len = strcspn(at, ":");
		char text[24];

		if (len >= sizeof(text) || t->n == TAP_QUEUES_MAX)
			return err_set(err, -EINVAL,
				       "%s tap: fds=%s: up to %u descriptors with ':' between them",
				       s->what, s->fds, TAP_QUEUES_MAX);
		memcpy(text, at, len);
		text[len] = '\0';
		r = take_fd(t, s, text, err);
		at += len + (at[len] == ':');
	}
	return r;
}

static int read_settings(struct tap_settings *s, struct props *p, struct lodge_err *err)
{
	int r = refuse(p, err);

	*s = (struct tap_settings){
		.what = props_what(p),
		.ifname = props_get(p, "ifname"),
		.fd = props_get(p, "fd"),
		.fds = props_get(p, "fds"),
		.queues = 1,
		.vnet = true,
	};
	if (!r)
		r = props_bool(p, "vnet_hdr", &s->vnet, err);
	if (!r)
		r = props_size(p, "sndbuf", &s->sndbuf, err);
	if (!r)
		r = props_u64(p, "queues", TAP_QUEUES_MAX, &s->queues, err);
	if (!r && !s->queues)
		r = err_set(err, -EINVAL, "%s tap: queues=0 leaves nothing", s->what);
	if (!r && !!s->ifname + !!s->fd + !!s->fds > 1)
		r = err_set(err, -EINVAL, "%s tap: ifname=, fd= and fds= exclude each other",
			    s->what);
	if (!r && (s->fd || s->fds) && props_has(p, "queues"))
		r = err_set(err, -EINVAL,
			    "%s tap: queues= is for ifname=; fds= has as many as it names",
			    s->what);
	return r;
}

static int open_tap(struct net_tap *t, struct props *p, struct lodge_err *err)
{
	struct tap_settings s;
	int r = read_settings(&s, p, err);

	if (!r)
		r = s.fd    ? take_fd(t, &s, s.fd, err)
		    : s.fds ? take_fds(t, &s, err)
			    : open_named(t, &s, err);
	if (!r && !t->n)
		r = err_set(err, -EINVAL, "%s tap: fds= names no descriptor", s.what);
	for (unsigned i = 0; i < t->n && !r; i++)
		r = set_up(t->q[i], s.vnet, s.sndbuf, err);
	for (unsigned i = 1; i < t->n && !r; i++)
		tap_use(t->q[i], false);
	t->nb.queues = t->n;
	return r;
}

struct net_backend *net_tap_open(struct props *p, const struct net_host *host,
				 struct lodge_err *err)
{
	struct net_tap *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(err, -ENOMEM, "no memory for a network");
		return NULL;
	}
	t->nb.ops = &tap_ops;
	if (open_tap(t, p, err))
		goto fail;
	for (unsigned i = 0; i < t->n; i++) {
		t->q[i]->watch = io_watch_add(host->loop, t->q[i]->fd, EPOLLIN, tap_event, t->q[i]);
		if (!t->q[i]->watch) {
			err_set(err, -EIO, "%s tap: cannot watch the interface", props_what(p));
			goto fail;
		}
	}
	return &t->nb;
fail:
	tap_close(&t->nb);
	return NULL;
}
