// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Putting TCP segments together: only what is alike in all but length, place and checksum goes together.
 * See net/gro.h.
 */
#include "net/gro.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define L3 (NET_ETH_BYTES)
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define TCP_BYTES 20u
#define FLAG_PSH 0x08u
#define FLAG_ACK 0x10u

/* A plain segment, over IP without options: where its parts are; its end, or 0. */
static size_t parse(const uint8_t *f, size_t len, size_t *l4, size_t *hdr)
{
	size_t end;

	if (len < L3 + IPV4_BYTES + TCP_BYTES)
		return 0;
	if (ld_be16(f + 12) == NET_ETHERTYPE_IPV4 && f[L3] == 0x45 &&
	    f[L3 + 9] == NET_IPPROTO_TCP && !(ld_be16(f + L3 + 6) & 0x3fff)) {
		*l4 = L3 + IPV4_BYTES;
		end = L3 + ld_be16(f + L3 + 2);
	} else if (ld_be16(f + 12) == NET_ETHERTYPE_IPV6 && f[L3] >> 4 == 6 &&
		   f[L3 + 6] == NET_IPPROTO_TCP) {
		*l4 = L3 + IPV6_BYTES;
		end = *l4 + ld_be16(f + L3 + 4);
	} else {
		return 0;
	}
	if (end > len || end < *l4 + TCP_BYTES)
		return 0;
	*hdr = *l4 + 4 * (size_t)(f[*l4 + 12] >> 4);
	if (*hdr < *l4 + TCP_BYTES || *hdr > end || (f[*l4 + 13] & ~FLAG_PSH) != FLAG_ACK)
		return 0;
	return end;
}

void net_gro_begin(struct net_gro *g, const uint8_t *f, size_t len)
{
	size_t end = parse(f, len, &g->l4, &g->hdr);

	/* Nothing goes on from padding, nor from a bare acknowledgement. */
	g->n = end == len && end > g->hdr ? 1 : 0;
	g->len = len;
	g->mss = g->n ? len - g->hdr : 0;
	g->last = g->n && (g->mss < NET_GSO_LEAST || (f[g->l4 + 13] & FLAG_PSH));
}

/* But for length, identification and checksum of IP. */
static bool alike_ip(const uint8_t *a, const uint8_t *b, size_t l4)
{
	if (l4 == L3 + IPV6_BYTES)
		return !memcmp(a, b, L3 + 4) && !memcmp(a + L3 + 6, b + L3 + 6, IPV6_BYTES - 6);
	return !memcmp(a, b, L3 + 2) && !memcmp(a + L3 + 6, b + L3 + 6, 4) &&
	       !memcmp(a + L3 + 12, b + L3 + 12, 8);
}

size_t net_gro_goes_on(const struct net_gro *g, const uint8_t *f, const uint8_t *next, size_t len)
{
	const uint8_t *a = f + g->l4, *b = next + g->l4;
	size_t l4, hdr, end;

	if (!g->n || g->last)
		return 0;
	end = parse(next, len, &l4, &hdr);
	if (!end || end != len || l4 != g->l4 || hdr != g->hdr || end == hdr ||
	    end - hdr > g->mss || g->len + (end - hdr) - L3 > 0xffff)
		return 0;
	/* But for place, PSH and checksum of TCP. */
	if (!alike_ip(f, next, l4) || memcmp(a, b, 4) || memcmp(a + 8, b + 8, 5) ||
	    memcmp(a + 14, b + 14, 2) || memcmp(a + 18, b + 18, hdr - l4 - 18) ||
	    ld_be32(b + 4) != ld_be32(a + 4) + (uint32_t)(g->len - hdr))
		return 0;
	return hdr;
}

void net_gro_added(struct net_gro *g, uint8_t *f, const uint8_t *next, size_t data)
{
	uint8_t psh = next[g->l4 + 13] & FLAG_PSH;

	f[g->l4 + 13] |= psh;
	g->last = data < g->mss || psh;
	g->len += data;
	g->n++;
}

static void describe(struct net_offload *off, size_t l4, size_t hdr, size_t mss)
{
	*off = (struct net_offload){
		.flags = NET_NEEDS_CSUM,
		.gso_type = l4 == L3 + IPV6_BYTES ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
		.hdr_len = (uint16_t)hdr,
		.gso_size = (uint16_t)mss,
		.csum_start = (uint16_t)l4,
		.csum_offset = 16,
	};
}

void net_gro_finish(const struct net_gro *g, uint8_t *f, struct net_offload *off)
{
	uint8_t *ip = f + L3;
	size_t bytes = g->len - g->l4;
	uint32_t sum = NET_IPPROTO_TCP + (uint32_t)bytes;

	*off = (struct net_offload){0};
	if (g->n < 2)
		return;
	if (g->l4 == L3 + IPV6_BYTES) {
		st_be16(ip + 4, (uint16_t)bytes);
		sum = net_sum(ip + 8, 32, sum);
	} else {
		st_be16(ip + 2, (uint16_t)(IPV4_BYTES + bytes));
		st_be16(ip + 10, 0);
		st_be16(ip + 10, net_sum_fold(net_sum(ip, IPV4_BYTES, 0)));
		sum = net_sum(ip + 12, 8, sum);
	}
	/* The pseudo header's; the rest is the receiver's, if it wants it. */
	st_be16(f + g->l4 + 16, (uint16_t)~net_sum_fold(sum));
	describe(off, g->l4, g->hdr, g->mss);
}

int net_gro_describe(const uint8_t *f, size_t len, size_t mss, struct net_offload *off)
{
	size_t l4, hdr, end = parse(f, len, &l4, &hdr);

	if (!end || end != len || mss < NET_GSO_LEAST || len - hdr <= mss)
		return -EINVAL;
	describe(off, l4, hdr, mss);
	return 0;
}
