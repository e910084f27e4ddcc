// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -netdev tap: an Ethernet interface of the host. Its kernel takes and gives frames whose checksums and
 * segments are still to be made, where the card can, too (vnet_hdr).
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

struct net_tap {
	struct net_backend nb;
	int fd;
	struct io_watch *watch;
	bool vnet, want_out, held;
	size_t len; /* of the frame that is held */
	struct net_offload off;
	uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];
};

static void set_events(struct net_tap *t)
{
	io_watch_mod(t->watch,
		     (t->held ? 0u : (uint32_t)EPOLLIN) | (t->want_out ? (uint32_t)EPOLLOUT : 0u));
}

static bool tap_receive(void *opaque, const struct iovec *iov, unsigned n,
			const struct net_offload *off)
{
	struct net_tap *t = opaque;
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

static bool hand_over(struct net_tap *t)
{
	struct iovec iov = {t->frame, t->len};

	t->held = !net_send(&t->nb.end, &iov, 1, t->vnet ? &t->off : NULL);
	return !t->held;
}

static void tap_ready(void *opaque)
{
	struct net_tap *t = opaque;

	if (t->held && hand_over(t))
		set_events(t);
}

static void tap_event(void *opaque, uint32_t events)
{
	struct net_tap *t = opaque;

	if ((events & EPOLLOUT) && t->want_out) {
		t->want_out = false;
		net_ready(&t->nb.end);
		set_events(t);
	}
	for (unsigned i = 0; i < NET_BATCH && !t->held; i++) {
		struct iovec v[2] = {{&t->off, sizeof(t->off)}, {t->frame, sizeof(t->frame)}};
		ssize_t n = readv(t->fd, t->vnet ? v : v + 1, t->vnet ? 2 : 1);

		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) {
			/* The interface was taken away. */
			io_watch_del(t->watch);
			t->watch = io_watch_add(t->nb.host.loop, t->fd, 0, tap_event, t);
			net_backend_say(&t->nb,
					"the tap interface is gone (%s); the guest's cable "
					"is unplugged",
					strerror(errno));
			net_set_link(&t->nb.end, false);
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

static const struct net_end_ops tap_end_ops = {.receive = tap_receive, .ready = tap_ready};

static void tap_close(struct net_backend *nb)
{
	struct net_tap *t = (struct net_tap *)nb;

	io_watch_del(t->watch);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

static const struct net_backend_ops tap_ops = {.type = "tap", .close = tap_close};

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
		{"queues", "1", "a card has one pair of queues"},
		{"poll-us", "0", "there is no busy polling"},
	};
	static const char *const never[] = {"helper", "br", "fds", "vhostfd", "vhostfds", NULL};

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

static bool is_tap(int fd)
{
	struct ifreq now = {0};

	return !ioctl(fd, TUNGETIFF, &now) && now.ifr_flags & IFF_TAP;
}

/* The interface's descriptor is in t->fd. */
static int set_up(struct net_tap *t, bool want_vnet, struct lodge_err *err)
{
	unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	struct ifreq now = {0};
	int hdr = sizeof(struct net_offload);

	if (ioctl(t->fd, TUNGETIFF, &now))
		return err_set(err, -errno, "the tap interface does not say what it is: %s",
			       strerror(errno));
	t->vnet = now.ifr_flags & IFF_VNET_HDR;
	if (!t->vnet)
		return 0;
	if (ioctl(t->fd, TUNSETVNETHDRSZ, &hdr))
		return err_set(err, -errno, "the tap interface has another frame header: %s",
			       strerror(errno));
	if (!want_vnet || ioctl(t->fd, TUNSETOFFLOAD, (unsigned long)offload))
		return ioctl(t->fd, TUNSETOFFLOAD, 0ul), 0;
	t->nb.end.can = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN;
	return 0;
}

static int open_named(struct net_tap *t, struct props *p, bool vnet, struct lodge_err *err)
{
	const char *name = props_get(p, "ifname");
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0))};

	if (name && strlen(name) >= sizeof(ifr.ifr_name))
		return err_set(err, -EINVAL, "%s tap: ifname=%s is too long for an interface",
			       props_what(p), name);
	strcpy(ifr.ifr_name, name ? name : "tap%d");
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0)
		return err_set(err, -errno, "%s tap: cannot open /dev/net/tun: %s", props_what(p),
			       strerror(errno));
	if (ioctl(t->fd, TUNSETIFF, &ifr))
		return err_set(err, -errno,
			       "%s tap: cannot use the interface '%s': %s; as root: 'ip tuntap add "
			       "%s mode tap user NAME', or use -netdev user",
			       props_what(p), ifr.ifr_name, strerror(errno), name ? name : "tap0");
	return 0;
}

static int open_tap(struct net_tap *t, struct props *p, struct lodge_err *err)
{
	const char *fd = props_get(p, "fd");
	uint64_t n = 0, sndbuf = 0;
	bool vnet = true;
	int r = refuse(p, err), size;

	if (!r)
		r = props_bool(p, "vnet_hdr", &vnet, err);
	if (!r)
		r = props_size(p, "sndbuf", &sndbuf, err);
	if (!r && fd && (parse_u64(fd, &n) || n > INT32_MAX || props_has(p, "ifname")))
		r = err_set(err, -EINVAL,
			    "%s tap: fd=%s is not a descriptor's number, or there is "
			    "an ifname= as well",
			    props_what(p), fd);
	if (r)
		return r;
	if (fd) {
		/* One that is something else stays its owner's. */
		if (!is_tap((int)n))
			return err_set(err, -EINVAL, "%s tap: fd=%s is not of a tap interface",
				       props_what(p), fd);
		t->fd = (int)n;
		fcntl(t->fd, F_SETFD, FD_CLOEXEC);
		fcntl(t->fd, F_SETFL, O_NONBLOCK);
	} else {
		r = open_named(t, p, vnet, err);
		if (r)
			return r;
	}
	size = sndbuf && sndbuf < INT32_MAX ? (int)sndbuf : INT32_MAX;
	ioctl(t->fd, TUNSETSNDBUF, &size);
	return set_up(t, vnet, err);
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
	t->fd = -1;
	net_end_init(&t->nb.end, &tap_end_ops, t, 0);
	if (open_tap(t, p, err))
		goto fail;
	t->watch = io_watch_add(host->loop, t->fd, EPOLLIN, tap_event, t);
	if (t->watch)
		return &t->nb;
	err_set(err, -EIO, "%s tap: cannot watch the interface", props_what(p));
fail:
	tap_close(&t->nb);
	return NULL;
}
