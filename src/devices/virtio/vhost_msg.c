// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages of the vhost-user protocol. See vhost_msg.h. Threads: before threads start. */
#include "devices/virtio/vhost_msg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"

#define VERSION_MASK 3u

const char *vhost_request_name(unsigned request)
{
	static const char *const names[] = {
		[VHOST_GET_FEATURES] = "GET_FEATURES",
		[VHOST_SET_FEATURES] = "SET_FEATURES",
		[VHOST_SET_OWNER] = "SET_OWNER",
		[VHOST_SET_MEM_TABLE] = "SET_MEM_TABLE",
		[VHOST_SET_VRING_NUM] = "SET_VRING_NUM",
		[VHOST_SET_VRING_ADDR] = "SET_VRING_ADDR",
		[VHOST_SET_VRING_BASE] = "SET_VRING_BASE",
		[VHOST_SET_VRING_KICK] = "SET_VRING_KICK",
		[VHOST_SET_VRING_CALL] = "SET_VRING_CALL",
		[VHOST_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
		[VHOST_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
		[VHOST_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
		[VHOST_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
	};

	return request < ARRAY_SIZE(names) && names[request] ? names[request] : "a request";
}

static int gone(const struct vhost_talk *t, unsigned request, struct lodge_err *err)
{
	return err_set(err, -EPIPE,
		       "%s: the back end hung up at %s; what it printed may say why, and it serves "
		       "one machine: start it anew",
		       t->name, vhost_request_name(request));
}

/* Until the socket is ready for `events`, or the time is over. */
static int await(const struct vhost_talk *t, short events, unsigned request, struct lodge_err *err)
{
	for (;;) {
		uint64_t now = clock_mono_ns();
		struct pollfd p = {.fd = t->fd, .events = events};
		int r = 0;

		if (now < t->deadline_ns)
			r = poll(&p, 1, (int)min_u64((t->deadline_ns - now) / 1000000 + 1, 60000));
		if (r > 0)
			return 0;
		if (r < 0 && errno == EINTR)
			continue;
		return err_set(err, -ETIMEDOUT,
			       "%s: the back end does not answer %s; is it a vhost-user server?",
			       t->name, vhost_request_name(request));
	}
}

static int send_all(const struct vhost_talk *t, const uint8_t *buf, size_t len, const int *fds,
		    unsigned n_fds, unsigned request, struct lodge_err *err)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))];
	} control = {0};

	while (len) {
		struct iovec iov = {(void *)(uintptr_t)buf, len};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;
		int r;

		if (n_fds) {
			msg.msg_control = control.bytes;
			msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
			control.head.cmsg_level = SOL_SOCKET;
			control.head.cmsg_type = SCM_RIGHTS;
			control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
			memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
		}
		n = sendmsg(t->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			/* Descriptors went with the first byte. */
			n_fds = 0;
			buf += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return gone(t, request, err);
		r = await(t, POLLOUT, request, err);
		if (r)
			return r;
	}
	return 0;
}

/* Exactly `len` bytes. Descriptors that come along are refused by the kernel: there is no room for them. */
static int recv_all(const struct vhost_talk *t, uint8_t *buf, size_t len, unsigned request,
		    struct lodge_err *err)
{
	while (len) {
		ssize_t n = recv(t->fd, buf, len, MSG_DONTWAIT);
		int r;

		if (n > 0) {
			buf += n;
			len -= (size_t)n;
			/* Bytes that drip keep nobody for ever. */
			r = len ? await(t, POLLIN, request, err) : 0;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n == 0 || errno != EAGAIN) {
			return gone(t, request, err);
		} else {
			r = await(t, POLLIN, request, err);
		}
		if (r)
			return r;
	}
	return 0;
}

static int send_request(const struct vhost_talk *t, unsigned request, uint32_t flags,
			const void *payload, uint32_t size, const int *fds, unsigned n_fds,
			struct lodge_err *err)
{
	uint8_t raw[VHOST_HEADER_BYTES + VHOST_PAYLOAD_MAX];

	if (size > VHOST_PAYLOAD_MAX || n_fds > VHOST_FDS_MAX)
		return err_set(err, -EINVAL, "%s: a vhost-user message is too long", t->name);
	st_le32(raw, request);
	st_le32(raw + 4, VHOST_VERSION | flags);
	st_le32(raw + 8, size);
	if (size)
		memcpy(raw + VHOST_HEADER_BYTES, payload, size);
	return send_all(t, raw, VHOST_HEADER_BYTES + size, fds, n_fds, request, err);
}

static int recv_u64(const struct vhost_talk *t, unsigned request, uint64_t *val,
		    struct lodge_err *err)
{
	uint8_t raw[VHOST_HEADER_BYTES], payload[8];
	int r = recv_all(t, raw, sizeof(raw), request, err);
	uint32_t flags;

	if (r)
		return r;
	flags = ld_le32(raw + 4);
	if (ld_le32(raw) != request || (flags & VERSION_MASK) != VHOST_VERSION ||
	    !(flags & VHOST_REPLY) || ld_le32(raw + 8) != sizeof(payload))
		return err_set(err, -EPROTO,
			       "%s: what the back end says is no answer to %s; is it a vhost-user "
			       "server?",
			       t->name, vhost_request_name(request));
	r = recv_all(t, payload, sizeof(payload), request, err);
	if (!r)
		*val = ld_le64(payload);
	return r;
}

int vhost_tell(struct vhost_talk *t, enum vhost_request request, const void *payload, uint32_t size,
	       const int *fds, unsigned n_fds, struct lodge_err *err)
{
	uint64_t result = 0;
	int r = send_request(t, request, t->acks ? VHOST_NEED_REPLY : 0, payload, size, fds, n_fds,
			     err);

	if (!r && t->acks)
		r = recv_u64(t, request, &result, err);
	if (!r && result)
		r = err_set(err, -EPROTO, "%s: the back end refuses %s", t->name,
			    vhost_request_name(request));
	return r;
}

int vhost_tell_u64(struct vhost_talk *t, enum vhost_request request, uint64_t val,
		   struct lodge_err *err)
{
	uint8_t raw[8];

	st_le64(raw, val);
	return vhost_tell(t, request, raw, sizeof(raw), NULL, 0, err);
}

int vhost_ask_u64(struct vhost_talk *t, enum vhost_request request, uint64_t *val,
		  struct lodge_err *err)
{
	int r = send_request(t, request, 0, NULL, 0, NULL, 0, err);

	return r ? r : recv_u64(t, request, val, err);
}
