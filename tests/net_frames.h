/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of the network: an end that keeps what it gets, and frames to send. */
#ifndef LODGE_TESTS_NET_FRAMES_H
#define LODGE_TESTS_NET_FRAMES_H

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "net/net.h"
#include "net/offload.h"

#define SINK_FRAMES 2048u

/* Takes `room` frames, then refuses. */
struct sink {
	struct net_end end;
	unsigned room, n, readies, links, uses;
	bool up, used;
	size_t len[SINK_FRAMES];
	uint8_t *frame[SINK_FRAMES];
	struct net_offload off[SINK_FRAMES];
};

static inline bool sink_receive(void *opaque, const struct iovec *iov, unsigned n,
				const struct net_offload *off)
{
	struct sink *s = opaque;

	if (!s->room)
		return false;
	s->room--;
	if (s->n == SINK_FRAMES)
		return true;
	s->len[s->n] = net_iov_bytes(iov, n);
	s->frame[s->n] = malloc(s->len[s->n] + 1);
	net_gather(iov, n, s->frame[s->n], s->len[s->n]);
	s->off[s->n] = off ? *off : (struct net_offload){0};
	s->n++;
	return true;
}

static inline void sink_ready(void *opaque)
{
	((struct sink *)opaque)->readies++;
}

static inline void sink_link(void *opaque, bool up)
{
	((struct sink *)opaque)->links++;
	((struct sink *)opaque)->up = up;
}

static inline void sink_use(void *opaque, bool on)
{
	((struct sink *)opaque)->uses++;
	((struct sink *)opaque)->used = on;
}

static const struct net_end_ops sink_ops = {sink_receive, sink_ready, sink_link, sink_use};

static inline void sink_init(struct sink *s, unsigned room, unsigned can)
{
	memset(s, 0, sizeof(*s));
	s->room = room;
	net_end_init(&s->end, &sink_ops, s, can);
}

static inline void sink_clear(struct sink *s)
{
	while (s->n)
		free(s->frame[--s->n]);
}

static inline bool send_frame(struct net_end *e, const void *frame, size_t len,
			      const struct net_offload *off)
{
	struct iovec iov = {(void *)(uintptr_t)frame, len};

	return net_send(e, &iov, 1, off);
}

/* The plain sum of RFC 1071, two bytes at a time. */
static inline uint16_t plain_csum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

#define TCP4_HDR (14u + 20u + 20u)

/* A TCP frame over IPv4 with `data` bytes; checksums as a driver leaves them for segmentation. */
static inline size_t make_tcp4(uint8_t *f, size_t data, uint8_t flags)
{
	memset(f, 0, TCP4_HDR);
	memcpy(f, "\x52\x55\x0a\x00\x02\x02\x52\x54\x00\x12\x34\x56\x08\x00", 14);
	f[14] = 0x45;
	st_be16(f + 16, (uint16_t)(40 + data));
	st_be16(f + 18, 0x1234);
	f[22] = 64;
	f[23] = 6;
	memcpy(f + 26, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
	st_be16(f + 24, plain_csum(f + 14, 20, 0));
	st_be16(f + 34, 40000);
	st_be16(f + 36, 80);
	st_be32(f + 38, 0xfffffff0u); /* wraps within the frame */
	st_be32(f + 42, 7);
	f[46] = 0x50;
	f[47] = flags;
	st_be16(f + 48, 0xffff);
	st_be16(f + 50, (uint16_t)~plain_csum(f + 26, 8, 6 + 20 + (uint32_t)data));
	for (size_t i = 0; i < data; i++)
		f[TCP4_HDR + i] = (uint8_t)(i * 7 + i / 251);
	return TCP4_HDR + data;
}

/* Are all sums of this frame right? */
static inline bool sums_right(const uint8_t *f, size_t len)
{
	size_t bytes = ld_be16(f + 16) - 20u;

	return len == 34 + bytes && plain_csum(f + 14, 20, 0) == 0 &&
	       plain_csum(f + 34, bytes,
			  (uint32_t)(uint16_t)~plain_csum(f + 26, 8, 6 + (uint32_t)bytes)) == 0;
}

#endif
