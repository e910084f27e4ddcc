// SPDX-License-Identifier: GPL-2.0-or-later
/* Checksums and segmentation in software. See net/offload.h. */
#include "net/offload.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define IPV4_MIN 20u
#define IPV6_BYTES 40u
#define TCP_MIN 20u
#define TCP_SEQ 4u
#define TCP_OFFSET 12u
#define TCP_FLAGS 13u
#define TCP_CSUM 16u
#define UDP_CSUM 6u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

/* Extension headers that are skipped to find TCP (RFC 8200 §4). */
#define IPV6_HOP_BY_HOP 0u
#define IPV6_ROUTING 43u
#define IPV6_DEST 60u
#define IPV6_EXT_MAX 8u

uint32_t net_sum(const uint8_t *p, size_t len, uint32_t sum)
{
	uint64_t acc = 0, high = 0, w[4];
	uint32_t word;
	size_t i;

	/*
	 * In the host's byte order, 32 bits at a time: the sum of bytes swapped is the sum swapped
	 * (RFC 1071 §2 B). Frames are short enough for no sum to overflow.
	 */
	for (i = 0; i + 32 <= len; i += 32) {
		memcpy(w, p + i, 32);
		acc += (w[0] & 0xffffffff) + (w[1] & 0xffffffff) + (w[2] & 0xffffffff) +
		       (w[3] & 0xffffffff);
		high += (w[0] >> 32) + (w[1] >> 32) + (w[2] >> 32) + (w[3] >> 32);
	}
	acc += high;
	for (; i + 4 <= len; i += 4) {
		memcpy(&word, p + i, 4);
		acc += word;
	}
	if (i < len) {
		word = 0;
		memcpy(&word, p + i, len - i);
		acc += word;
	}
	acc = (acc & 0xffffffff) + (acc >> 32);
	acc = (acc & 0xffffffff) + (acc >> 32);
	acc = (acc & 0xffff) + (acc >> 16);
	acc = (acc & 0xffff) + (acc >> 16);
	acc = __builtin_bswap16((uint16_t)acc) + (uint64_t)sum;
	acc = (acc & 0xffff) + (acc >> 16);
	acc = (acc & 0xffff) + (acc >> 16);
	return (uint32_t)acc;
}

uint16_t net_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

int net_finish_csum(uint8_t *frame, size_t len, const struct net_offload *off)
{
	uint16_t csum;

	if (!(off->flags & NET_NEEDS_CSUM))
		return 0;
	if (off->csum_start < NET_ETH_BYTES || !range_ok(off->csum_start, 2, len) ||
	    !range_ok((uint64_t)off->csum_start + off->csum_offset, 2, len))
		return -EINVAL;
	/* The field holds the pseudo header's sum, and so is summed with the rest. */
	csum = net_sum_fold(net_sum(frame + off->csum_start, len - off->csum_start, 0));
	/* 0 would mean "no checksum" to UDP; both are the same number. */
	st_be16(frame + off->csum_start + off->csum_offset, csum ? csum : 0xffff);
	return 0;
}

size_t net_iov_bytes(const struct iovec *iov, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

size_t net_gather(const struct iovec *iov, unsigned n, uint8_t *buf, size_t cap)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!iov[i].iov_len)
			continue;
		if (!range_ok(at, iov[i].iov_len, cap))
			return 0;
		memcpy(buf + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	return at;
}

/* ---- Looking at a frame that has come -----------------------------------------------------------
 */

/* TCP's or UDP's checksum; `ip_at` and `ip_len` are the pseudo header's addresses. */
static unsigned check_l4(const uint8_t *f, size_t l4, size_t bytes, unsigned proto, size_t ip_at,
			 size_t ip_len)
{
	size_t at = proto == NET_IPPROTO_TCP ? TCP_CSUM : UDP_CSUM;
	uint32_t sum;

	if ((proto != NET_IPPROTO_TCP && proto != NET_IPPROTO_UDP) || bytes < at + 2)
		return 0;
	/* UDP over IPv4 need not have one. */
	if (proto == NET_IPPROTO_UDP && !ld_be16(f + l4 + at))
		return 0;
	sum = net_sum(f + ip_at, ip_len, proto + (uint32_t)bytes);
	sum = net_sum(f + l4, bytes, sum);
	return NET_L4_LOOKED_AT | (net_sum_fold(sum) ? 0 : NET_L4_RIGHT);
}

unsigned net_check_frame(const uint8_t *f, size_t len, size_t l3)
{
	unsigned ether, r;
	size_t ihl, total;

	if (l3 < 2 || l3 > len)
		return 0;
	ether = ld_be16(f + l3 - 2);
	if (ether == NET_ETHERTYPE_IPV6 && range_ok(l3, IPV6_BYTES, len) && f[l3] >> 4 == 6) {
		total = ld_be16(f + l3 + 4);
		if (!range_ok(l3 + IPV6_BYTES, total, len))
			return 0;
		return check_l4(f, l3 + IPV6_BYTES, total, f[l3 + 6], l3 + 8, 32);
	}
	if (ether != NET_ETHERTYPE_IPV4 || !range_ok(l3, IPV4_MIN, len) || f[l3] >> 4 != 4)
		return 0;
	ihl = 4 * (size_t)(f[l3] & 15);
	total = ld_be16(f + l3 + 2);
	if (ihl < IPV4_MIN || total < ihl || !range_ok(l3, total, len))
		return 0;
	r = NET_IP_LOOKED_AT | (net_sum_fold(net_sum(f + l3, ihl, 0)) ? 0 : NET_IP_RIGHT);
	/* A fragment's is not to be had. */
	if (ld_be16(f + l3 + 6) & 0x3fff)
		return r;
	return r | check_l4(f, l3 + ihl, total - ihl, f[l3 + 9], l3 + 12, 8);
}

/* ---- Segmentation -------------------------------------------------------------------------------
 */

/* Where TCP begins behind an IPv6 header at l3, or 0. */
static size_t find_tcp6(const uint8_t *f, size_t len, size_t l3)
{
	uint8_t next;
	size_t at = l3 + IPV6_BYTES;

	if (!range_ok(l3, IPV6_BYTES, len) || f[l3] >> 4 != 6)
		return 0;
	next = f[l3 + 6];
	for (unsigned i = 0; i < IPV6_EXT_MAX; i++) {
		if (next == NET_IPPROTO_TCP)
			return at;
		if ((next != IPV6_HOP_BY_HOP && next != IPV6_ROUTING && next != IPV6_DEST) ||
		    !range_ok(at, 8, len))
			return 0;
		next = f[at];
		at += 8 * ((size_t)f[at + 1] + 1);
	}
	return 0;
}

static size_t find_tcp4(const uint8_t *f, size_t len, size_t l3)
{
	size_t ihl;

	if (!range_ok(l3, IPV4_MIN, len) || f[l3] >> 4 != 4 || f[l3 + 9] != NET_IPPROTO_TCP)
		return 0;
	ihl = 4 * (size_t)(f[l3] & 15);
	return ihl >= IPV4_MIN ? l3 + ihl : 0;
}

int net_segments_begin(struct net_segments *s, const uint8_t *frame, size_t len,
		       const struct net_offload *off)
{
	unsigned type = off->gso_type & ~(unsigned)NET_GSO_ECN, ether;
	size_t l3 = NET_ETH_BYTES;

	*s = (struct net_segments){.mss = off->gso_size};
	if ((type != NET_GSO_TCPV4 && type != NET_GSO_TCPV6) || off->gso_size < NET_GSO_LEAST ||
	    len < l3 || len > NET_FRAME_MAX)
		return -EINVAL;
	ether = ld_be16(frame + 12);
	for (unsigned tags = 0;
	     tags < 2 && (ether == NET_ETHERTYPE_VLAN || ether == NET_ETHERTYPE_QINQ); tags++) {
		if (!range_ok(l3, NET_VLAN_BYTES, len))
			return -EINVAL;
		ether = ld_be16(frame + l3 + 2);
		l3 += NET_VLAN_BYTES;
	}
	s->l3 = l3;
	s->v6 = type == NET_GSO_TCPV6;
	if (ether != (s->v6 ? NET_ETHERTYPE_IPV6 : NET_ETHERTYPE_IPV4))
		return -EINVAL;
	s->l4 = s->v6 ? find_tcp6(frame, len, l3) : find_tcp4(frame, len, l3);
	if (!s->l4 || !range_ok(s->l4, TCP_MIN, len))
		return -EINVAL;
	s->hdr = s->l4 + 4 * (size_t)(frame[s->l4 + TCP_OFFSET] >> 4);
	if (s->hdr < s->l4 + TCP_MIN || s->hdr > len)
		return -EINVAL;
	s->at = s->hdr;
	return 0;
}

/* IP's length, identification and checksum. */
static void set_ip(const struct net_segments *s, uint8_t *out, size_t total)
{
	uint8_t *ip = out + s->l3;

	if (s->v6) {
		st_be16(ip + 4, (uint16_t)(total - s->l3 - IPV6_BYTES));
		return;
	}
	st_be16(ip + 2, (uint16_t)(total - s->l3));
	st_be16(ip + 4, (uint16_t)(ld_be16(ip + 4) + s->n));
	st_be16(ip + 10, 0);
	st_be16(ip + 10, net_sum_fold(net_sum(ip, s->l4 - s->l3, 0)));
}

static void set_tcp(const struct net_segments *s, uint8_t *out, size_t total, bool last)
{
	uint8_t *ip = out + s->l3, *tcp = out + s->l4;
	size_t bytes = total - s->l4;
	uint32_t sum = NET_IPPROTO_TCP + (uint32_t)bytes;

	st_be32(tcp + TCP_SEQ, ld_be32(tcp + TCP_SEQ) + (uint32_t)(s->at - s->hdr));
	if (!last)
		tcp[TCP_FLAGS] &= (uint8_t)(0xff & ~(TCP_FIN | TCP_PSH));
	if (s->n)
		tcp[TCP_FLAGS] &= (uint8_t)(0xff & ~TCP_CWR);
	sum = s->v6 ? net_sum(ip + 8, 32, sum) : net_sum(ip + 12, 8, sum);
	st_be16(tcp + TCP_CSUM, 0);
	st_be16(tcp + TCP_CSUM, net_sum_fold(net_sum(tcp, bytes, sum)));
}

size_t net_segments_next(struct net_segments *s, const uint8_t *frame, size_t len, uint8_t *out)
{
	size_t data = min_u64(len - s->at, s->mss), total = s->hdr + data;

	if (s->at == len && s->n)
		return 0;
	memcpy(out, frame, s->hdr);
	memcpy(out + s->hdr, frame + s->at, data);
	set_ip(s, out, total);
	set_tcp(s, out, total, s->at + data == len);
	s->at += data;
	s->n++;
	return total;
}
