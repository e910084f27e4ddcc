// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Putting TCP segments together. Only what is alike in all but length, place and checksum goes together, and
 * only what has right checksums: what is made of it is trusted by its receiver.
 */
#include "net/gro.h"

#include <string.h>

#include "base/bytes.h"

#define IP (NET_ETH_BYTES)
#define TCP (NET_ETH_BYTES + 20u)
#define FLAG_PSH 0x08u
#define FLAG_ACK 0x10u
#define ALL_RIGHT (NET_IP_RIGHT | NET_L4_RIGHT)

/* Data of a plain segment over IPv4: where it begins in *hdr, how much in *data. */
static bool parse(const uint8_t *f, size_t len, size_t *hdr, size_t *data)
{
	size_t total;

	if (len < TCP + 20 || ld_be16(f + 12) != NET_ETHERTYPE_IPV4 || f[IP] != 0x45 ||
	    f[IP + 9] != NET_IPPROTO_TCP || (ld_be16(f + IP + 6) & 0x3fff))
		return false;
	total = NET_ETH_BYTES + ld_be16(f + IP + 2);
	*hdr = TCP + 4 * (size_t)(f[TCP + 12] >> 4);
	if (*hdr < TCP + 20 || *hdr > NET_GRO_HDR_MAX || total > len || total <= *hdr ||
	    (f[TCP + 13] & ~FLAG_PSH) != FLAG_ACK)
		return false;
	*data = total - *hdr;
	return (net_check_frame(f, total, IP) & ALL_RIGHT) == ALL_RIGHT;
}

/* But for length, identification and checksum of IP, and place, PSH and checksum of TCP. */
static bool alike(const uint8_t *a, const uint8_t *b, size_t hdr)
{
	return !memcmp(a, b, IP + 2) && !memcmp(a + IP + 6, b + IP + 6, 4) &&
	       !memcmp(a + IP + 12, b + IP + 12, 12) && !memcmp(a + TCP + 8, b + TCP + 8, 5) &&
	       !memcmp(a + TCP + 14, b + TCP + 14, 2) &&
	       !memcmp(a + TCP + 18, b + TCP + 18, hdr - TCP - 18);
}

bool net_gro_add(struct net_gro *g, const uint8_t *f, size_t len)
{
	size_t hdr, data;

	if (!parse(f, len, &hdr, &data))
		return false;
	if (!g->n) {
		memcpy(g->hdr, f, hdr);
		g->hdr_len = hdr;
		g->mss = data;
		g->data = 0;
	} else if (g->last || g->n == NET_GRO_FRAMES || hdr != g->hdr_len || data > g->mss ||
		   g->hdr_len + g->data + data > 0xffff || !alike(g->hdr, f, hdr) ||
		   ld_be32(f + TCP + 4) != ld_be32(g->hdr + TCP + 4) + (uint32_t)g->data) {
		return false;
	}
	g->hdr[TCP + 13] |= f[TCP + 13] & FLAG_PSH;
	g->last = data < g->mss || (f[TCP + 13] & FLAG_PSH);
	g->iov[++g->n] = (struct iovec){(uint8_t *)(uintptr_t)f + hdr, data};
	g->data += data;
	return true;
}

void net_gro_finish(struct net_gro *g)
{
	size_t bytes = g->hdr_len - TCP + g->data;

	st_be16(g->hdr + IP + 2, (uint16_t)(20 + bytes));
	st_be16(g->hdr + IP + 10, 0);
	st_be16(g->hdr + IP + 10, net_sum_fold(net_sum(g->hdr + IP, 20, 0)));
	/* The pseudo header's; the rest is the receiver's, if it wants it. */
	st_be16(g->hdr + TCP + 16,
		(uint16_t)~net_sum_fold(
			net_sum(g->hdr + IP + 12, 8, NET_IPPROTO_TCP + (uint32_t)bytes)));
	g->iov[0] = (struct iovec){g->hdr, g->hdr_len};
	g->off = (struct net_offload){
		.flags = NET_NEEDS_CSUM,
		.gso_type = NET_GSO_TCPV4,
		.hdr_len = (uint16_t)g->hdr_len,
		.gso_size = (uint16_t)g->mss,
		.csum_start = TCP,
		.csum_offset = 16,
	};
}
