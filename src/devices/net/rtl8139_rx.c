// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The RTL8139C+'s receiver. A frame for which there is no room is refused, and asked for when a driver has
 * made some.
 * Source: data sheet rev. 1.6 §5.1 (receive status), §6.7 (RCR), §9.2.2 (C+ receive descriptors).
 * Threads: with the VM lock held.
 */
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/net/rtl8139_int.h"
#include "net/offload.h"

#define FRAME_MIN 60u
#define FRAME_MAX 1518u /* with a tag, without FCS */
#define FCS 4u

/* Receive status of old mode; C+ has the same three from bit 25 on. */
#define RS_ROK 0x0001u
#define RS_BAR 0x2000u
#define RS_PAM 0x4000u
#define RS_MAR 0x8000u

#define DESC_BYTES 16u
#define DESC_RING 64u
#define D_OWN 0x80000000u
#define D_EOR 0x40000000u
#define D_FS 0x20000000u
#define D_LS 0x10000000u
#define D_TAVA 0x00010000u

static uint32_t crc_be(const uint8_t *p)
{
	uint32_t crc = 0xffffffff;

	/* The hash of the filter is the top of the CRC, most significant bit first. */
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint32_t carry = (crc >> 31) ^ (p[i] >> bit & 1u);

			crc = crc << 1 ^ (carry ? 0x04c11db7u : 0);
		}
	}
	return crc;
}

/* What the filters say: status bits, or 0 for "not wanted". */
static uint16_t judge(const struct rtl8139 *s, const uint8_t *f)
{
	uint32_t rcr = rtl_get(s, RCR, 4), bit;

	if (!memcmp(f, "\xff\xff\xff\xff\xff\xff", 6))
		return rcr & (RCR_AB | RCR_AAP) ? RS_ROK | RS_BAR : 0;
	if (f[0] & 1) {
		bit = crc_be(f) >> 26;
		if (!(rcr & RCR_AAP) &&
		    (!(rcr & RCR_AM) || !(s->reg[MAR0 + bit / 8] >> bit % 8 & 1)))
			return 0;
		return RS_ROK | RS_MAR;
	}
	if (!memcmp(f, s->reg + IDR0, 6))
		return rcr & (RCR_APM | RCR_AAP) ? RS_ROK | RS_PAM : 0;
	return rcr & RCR_AAP ? RS_ROK : 0;
}

/* ---- Old mode: one ring of bytes ---- */

static void put_ring(struct rtl8139 *s, const uint8_t *p, uint32_t len, bool wrap)
{
	uint32_t size = rtl8139_rx_size(s), first = len;

	if (wrap && s->rx_at + len > size)
		first = size - s->rx_at;
	/* Where the guest named no memory it is lost. */
	if (mem_write(s->cfg.mem, (uint64_t)rtl_get(s, RBSTART, 4) + s->rx_at, p, first) ||
	    (first < len && mem_write(s->cfg.mem, rtl_get(s, RBSTART, 4), p + first, len - first)))
		rtl8139_cause(s, ISR_FOVW);
}

static bool receive_old(struct rtl8139 *s, uint8_t *f, uint32_t len, uint16_t status)
{
	uint32_t size = rtl8139_rx_size(s), need = (uint32_t)align_up(4 + len + FCS, 4);
	uint32_t read = (rtl_get(s, CAPR, 2) + 16u) % size;
	uint32_t used = (s->rx_at + size - read) % size;
	/* With WRAP there is room behind the buffer, unless it has 64 KiB. */
	bool wrap = !(rtl_get(s, RCR, 4) & RCR_WRAP) || size == 0x10000;

	/* Never quite full, which would look empty. */
	if (used + need >= size) {
		rtl8139_cause(s, ISR_RXOVW);
		return false;
	}
	st_le16(f - 4, status);
	st_le16(f - 2, (uint16_t)(len + FCS));
	st_le32(f + len, (uint32_t)crc32(0, f, len));
	put_ring(s, f - 4, 4 + len + FCS, wrap);
	s->rx_at = (s->rx_at + need) % size;
	rtl8139_cause(s, ISR_ROK);
	return true;
}

/* ---- C+ mode ---- */

static uint32_t checks(const struct rtl8139 *s, const uint8_t *f, size_t len)
{
	unsigned found, proto;
	uint32_t r;

	if (!rtl_cplus(s, CPCR_RXCSUM) || len < NET_ETH_BYTES + 20)
		return 0;
	found = net_check_frame(f, len, NET_ETH_BYTES);
	if (!(found & NET_IP_LOOKED_AT))
		return 0;
	proto = f[NET_ETH_BYTES + 9];
	/* Protocol ID: 1 TCP, 2 UDP, 3 other IP; failures of IP, UDP, TCP in bits 16 to 14. */
	r = found & NET_IP_RIGHT ? 0 : 1u << 16;
	if (!(found & NET_L4_LOOKED_AT))
		return r | 3u << 17;
	if (proto == NET_IPPROTO_TCP)
		return r | 1u << 17 | (found & NET_L4_RIGHT ? 0 : 1u << 14);
	return r | 2u << 17 | (found & NET_L4_RIGHT ? 0 : 1u << 15);
}

static bool receive_cplus(struct rtl8139 *s, uint8_t *f, uint32_t len, uint16_t status)
{
	uint64_t ring = (uint64_t)rtl_get(s, RDSAR + 4, 4) << 32 | (rtl_get(s, RDSAR, 4) & ~0xffu);
	uint64_t at = ring + (uint64_t)s->rx_desc * DESC_BYTES;
	uint32_t cmd, vlan = 0, sums = checks(s, f, len);
	uint8_t d[DESC_BYTES];

	if (mem_read(s->cfg.mem, at, d, sizeof(d)))
		return true; /* lost: there is no ring */
	cmd = ld_le32(d);
	if (!(cmd & D_OWN)) {
		rtl8139_cause(s, ISR_RXOVW);
		return false;
	}
	if (rtl_cplus(s, CPCR_VLAN) && len >= 18 && ld_be16(f + 12) == NET_ETHERTYPE_VLAN) {
		vlan = D_TAVA | ld_le16(f + 14);
		memmove(f + 4, f, 12);
		f += 4;
		len -= 4;
	}
	st_le32(f + len, (uint32_t)crc32(0, f, len));
	len += FCS;
	/* A buffer that is too small gets what fits; drivers give whole ones. */
	if ((cmd & 0x1fff) < len)
		len = cmd & 0x1fff;
	if (mem_write(s->cfg.mem, ld_le64(d + 8), f, len))
		rtl8139_cause(s, ISR_FOVW);
	st_le32(d + 4, vlan);
	st_le32(d, (cmd & D_EOR) | D_FS | D_LS | (uint32_t)(status >> 13) << 25 | sums | len);
	if (mem_write(s->cfg.mem, at + 4, d + 4, 4) || mem_write(s->cfg.mem, at, d, 4))
		return true;
	s->rx_desc = (cmd & D_EOR) || s->rx_desc + 1 >= DESC_RING ? 0 : s->rx_desc + 1;
	rtl8139_cause(s, ISR_ROK);
	return true;
}

bool rtl8139_receive(void *opaque, const struct iovec *iov, unsigned n,
		     const struct net_offload *off)
{
	struct rtl8139 *s = opaque;
	size_t len = net_iov_bytes(iov, n);
	uint8_t *f = s->rx_frame + 4;
	uint16_t status;

	(void)off; /* this end can do nothing, so nothing is left to be done */
	if (!(s->reg[CR] & CR_RE) || !pci_is_master(&s->pci) || len < NET_ETH_BYTES ||
	    len > FRAME_MAX)
		return true;
	net_gather(iov, n, f, sizeof(s->rx_frame) - 8);
	status = judge(s, f);
	if (!status)
		return true;
	if (len < FRAME_MIN) {
		memset(f + len, 0, FRAME_MIN - len);
		len = FRAME_MIN;
	}
	return rtl_cplus(s, CPCR_RE) ? receive_cplus(s, f, (uint32_t)len, status)
				     : receive_old(s, f, (uint32_t)len, status);
}
