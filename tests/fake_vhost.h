/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user back end for unit tests and fuzz targets, in the same thread: what it will answer is written
 * into the socket beforehand, and what it was told is read afterwards. Include it once.
 */
#ifndef LODGE_TESTS_FAKE_VHOST_H
#define LODGE_TESTS_FAKE_VHOST_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "devices/virtio/vhost_msg.h"
#include "devices/virtio/virtio.h"

#define FAKE_VHOST_QUEUES 4u
#define FAKE_VHOST_MSGS 128u
#define FAKE_VHOST_FEATURES \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_BIT(30))
#define FAKE_VHOST_PROTOCOL 0xfbffull /* MQ and REPLY_ACK among them */

struct fake_vhost_queue {
	uint16_t size, last_avail, used_idx;
	uint64_t desc, used, avail;
	int kick, call; /* -1: not there */
	bool enabled;
};

struct fake_vhost {
	int sock, front; /* `front` is for the device */
	unsigned n_msgs;
	uint32_t msg[FAKE_VHOST_MSGS];
	uint64_t features, protocol;
	struct {
		uint64_t address, size, user;
		uint8_t *p;
	} region[2];
	struct fake_vhost_queue q[FAKE_VHOST_QUEUES];
};

static inline void fake_vhost_open(struct fake_vhost *f)
{
	int pair[2];

	memset(f, 0, sizeof(*f));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	f->sock = pair[0];
	f->front = pair[1];
	for (unsigned q = 0; q < FAKE_VHOST_QUEUES; q++)
		f->q[q].kick = f->q[q].call = -1;
}

static inline void fake_vhost_hang_up(struct fake_vhost *f)
{
	if (f->sock >= 0)
		close(f->sock);
	f->sock = -1;
}

static inline void fake_vhost_close(struct fake_vhost *f)
{
	fake_vhost_hang_up(f);
	for (unsigned i = 0; i < 2; i++) {
		if (f->region[i].p)
			munmap(f->region[i].p, f->region[i].size);
	}
	for (unsigned q = 0; q < FAKE_VHOST_QUEUES; q++) {
		if (f->q[q].kick >= 0)
			close(f->q[q].kick);
		if (f->q[q].call >= 0)
			close(f->q[q].call);
	}
}

static inline void fake_vhost_say(struct fake_vhost *f, const void *buf, size_t len)
{
	if (send(f->sock, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		abort();
}

static inline void fake_vhost_reply(struct fake_vhost *f, unsigned request, uint64_t val)
{
	uint8_t raw[20];

	st_le32(raw, request);
	st_le32(raw + 4, VHOST_VERSION | VHOST_REPLY);
	st_le32(raw + 8, 8);
	st_le64(raw + 12, val);
	fake_vhost_say(f, raw, sizeof(raw));
}

/* Everything that a device with `queues` queues wants to hear; up to `refused` (0: nothing is), which is not done. */
static inline void fake_vhost_agree(struct fake_vhost *f, uint64_t features, uint64_t protocol,
				    unsigned queues, unsigned refused)
{
	static const uint8_t before[] = {VHOST_SET_OWNER, VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE};
	static const uint8_t each[] = {VHOST_SET_VRING_NUM,  VHOST_SET_VRING_BASE,
				       VHOST_SET_VRING_ADDR, VHOST_SET_VRING_CALL,
				       VHOST_SET_VRING_KICK, VHOST_SET_VRING_ENABLE};

	fake_vhost_reply(f, VHOST_GET_FEATURES, features);
	if (features & VIRTIO_F_BIT(30)) {
		fake_vhost_reply(f, VHOST_GET_PROTOCOL_FEATURES, protocol);
		if (protocol & 1)
			fake_vhost_reply(f, VHOST_GET_QUEUE_NUM, queues);
	}
	if (!(features & VIRTIO_F_BIT(30)) || !(protocol & 8)) {
		fake_vhost_reply(f, VHOST_GET_FEATURES, features);
		return;
	}
	for (unsigned i = 0; i < sizeof(before); i++)
		fake_vhost_reply(f, before[i], before[i] == refused);
	for (unsigned q = 0; q < queues; q++) {
		for (unsigned i = 0; i < sizeof(each); i++)
			fake_vhost_reply(f, each[i], each[i] == refused);
	}
}

static inline void fake_vhost_map(struct fake_vhost *f, const uint8_t *p, const int *fds)
{
	for (unsigned i = 0; i < 2 && i < ld_le32(p); i++) {
		const uint8_t *r = p + 8 + 32 * i;
		void *at = mmap(NULL, ld_le64(r + 8), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_NORESERVE, fds[i], (off_t)ld_le64(r + 24));

		if (at == MAP_FAILED)
			abort();
		f->region[i].address = ld_le64(r);
		f->region[i].size = ld_le64(r + 8);
		f->region[i].user = ld_le64(r + 16);
		f->region[i].p = at;
		close(fds[i]);
	}
}

static inline void fake_vhost_hear(struct fake_vhost *f, unsigned request, const uint8_t *p,
				   const int *fds)
{
	struct fake_vhost_queue *q = &f->q[ld_le32(p) % FAKE_VHOST_QUEUES];

	switch (request) {
	case VHOST_SET_FEATURES:
		f->features = ld_le64(p);
		break;
	case VHOST_SET_PROTOCOL_FEATURES:
		f->protocol = ld_le64(p);
		break;
	case VHOST_SET_MEM_TABLE:
		fake_vhost_map(f, p, fds);
		break;
	case VHOST_SET_VRING_NUM:
		q->size = (uint16_t)ld_le32(p + 4);
		break;
	case VHOST_SET_VRING_ADDR:
		q->desc = ld_le64(p + 8);
		q->used = ld_le64(p + 16);
		q->avail = ld_le64(p + 24);
		break;
	case VHOST_SET_VRING_KICK:
		q->kick = fds[0];
		break;
	case VHOST_SET_VRING_CALL:
		q->call = fds[0];
		break;
	case VHOST_SET_VRING_ENABLE:
		q->enabled = ld_le32(p + 4);
		break;
	}
}

/* Read what was told. */
static inline void fake_vhost_listen(struct fake_vhost *f)
{
	for (;;) {
		uint8_t head[VHOST_HEADER_BYTES], payload[VHOST_PAYLOAD_MAX] = {0};
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(2 * sizeof(int))];
		} control = {0};
		struct iovec iov = {head, sizeof(head)};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.bytes,
				     .msg_controllen = sizeof(control.bytes)};
		int fds[2] = {-1, -1};
		uint32_t size;

		if (recvmsg(f->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(head))
			return;
		size = ld_le32(head + 8);
		if (size > sizeof(payload) ||
		    (size && recv(f->sock, payload, size, MSG_DONTWAIT) != (ssize_t)size))
			abort();
		if (msg.msg_controllen)
			memcpy(fds, CMSG_DATA(&control.head), control.head.cmsg_len - CMSG_LEN(0));
		if (f->n_msgs < FAKE_VHOST_MSGS)
			f->msg[f->n_msgs++] = ld_le32(head);
		fake_vhost_hear(f, ld_le32(head), payload, fds);
	}
}

/* Host address of `len` bytes at the back end's address; aborts if they are not shared. */
static inline uint8_t *fake_vhost_p(struct fake_vhost *f, uint64_t address, uint64_t len)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t off = address - f->region[i].address;

		if (f->region[i].p && off < f->region[i].size && len <= f->region[i].size - off)
			return f->region[i].p + off;
	}
	abort();
}

/* The next chain that is there. */
static inline bool fake_vhost_pop(struct fake_vhost *f, unsigned n, uint16_t *head)
{
	struct fake_vhost_queue *q = &f->q[n];
	const uint8_t *avail = fake_vhost_p(f, q->avail, 4 + 2u * q->size);

	*head = 0xffff;
	if (ld_le16(avail + 2) == q->last_avail)
		return false;
	*head = ld_le16(avail + 4 + 2u * (q->last_avail++ & (q->size - 1u)));
	return true;
}

/* Descriptor i of a chain's table: its bytes, NULL behind the last one. */
static inline uint8_t *fake_vhost_buffer(struct fake_vhost *f, unsigned n, uint16_t head,
					 unsigned i, uint32_t *len, bool *write)
{
	const uint8_t *d = fake_vhost_p(f, f->q[n].desc + 16u * head, 16);
	const uint8_t *e;

	if (ld_le16(d + 12) != 4)
		abort();
	if (16 * i >= ld_le32(d + 8))
		return NULL;
	e = fake_vhost_p(f, ld_le64(d) + 16 * i, 16);
	*len = ld_le32(e + 8);
	*write = ld_le16(e + 12) & 2;
	return fake_vhost_p(f, ld_le64(e), *len);
}

static inline void fake_vhost_used(struct fake_vhost *f, unsigned n, uint32_t id, uint32_t len)
{
	struct fake_vhost_queue *q = &f->q[n];
	uint8_t *used = fake_vhost_p(f, q->used, 4 + 8u * q->size);
	uint8_t *e = used + 4 + 8u * (q->used_idx & (q->size - 1u));

	st_le32(e, id);
	st_le32(e + 4, len);
	st_le16(used + 2, ++q->used_idx);
}

static inline void fake_vhost_call(struct fake_vhost *f, unsigned n)
{
	static const uint64_t one = 1;

	if (write(f->q[n].call, &one, sizeof(one)) != sizeof(one))
		abort();
}

#endif
