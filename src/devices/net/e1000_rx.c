// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 82540EM's receiver: filters, VLAN tags, checksums, descriptors.
 * Source: 317453-006 §3.2 (receive), §9.3 (VLAN), §13.4.22 (RCTL), §13.5 (filters).
 *
 * A frame for which the ring has no room is refused, and asked for again when the tail moves; hardware
 * would hold some in its packet buffer and then lose them.
 * Threads: with the VM lock held.
 */
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/net/e1000_int.h"
#include "net/offload.h"

#define STA_DD 0x01u
#define STA_EOP 0x02u
#define STA_IXSM 0x04u
#define STA_VP 0x08u
#define STA_TCPCS 0x20u
#define STA_IPCS 0x40u
#define ERR_TCPE 0x20u
#define ERR_IPE 0x40u

#define FRAME_MIN 60u
#define FRAME_MAX 1518u /* with a VLAN tag, without FCS */
#define FRAME_LONG_MAX 16380u
#define FCS_BYTES 4u
#define RAH_AV 0x80000000u

/* What goes into the last descriptor. */
struct rx_result {
	uint16_t csum, special;
	uint8_t status, errors;
};

static bool is_multicast_wanted(struct e1000 *s, const uint8_t *mac)
{
	/* Which 12 bits of the address select the bit of the table (§13.4.22, MO). */
	static const uint8_t shift[4] = {4, 3, 2, 0};
	unsigned mo = *e1000_reg(s, RCTL) >> RCTL_MO_SHIFT & 3;
	unsigned hash = (unsigned)(ld_le16(mac + 4) >> shift[mo]) & 0xfff;

	return *e1000_reg(s, MTA + 4 * (hash >> 5)) >> (hash & 31) & 1;
}

static bool is_own(struct e1000 *s, const uint8_t *mac)
{
	for (unsigned off = RAL0; off < RA_END; off += 8) {
		uint32_t high = *e1000_reg(s, off + 4);

		if ((high & RAH_AV) && ld_le32(mac) == *e1000_reg(s, off) &&
		    ld_le16(mac + 4) == (high & 0xffff))
			return true;
	}
	return false;
}

static bool wanted(struct e1000 *s, const uint8_t *f, bool tagged)
{
	uint32_t rctl = *e1000_reg(s, RCTL);

	if (tagged && (rctl & RCTL_VFE)) {
		unsigned vid = ld_be16(f + 14) & 0xfff;

		if (!(*e1000_reg(s, VFTA + 4 * (vid >> 5)) >> (vid & 31) & 1))
			return false;
	}
	if (!memcmp(f, "\xff\xff\xff\xff\xff\xff", 6))
		return rctl & (RCTL_BAM | RCTL_MPE | RCTL_UPE);
	if (f[0] & 1)
		return (rctl & RCTL_MPE) || is_own(s, f) || is_multicast_wanted(s, f);
	return (rctl & RCTL_UPE) || is_own(s, f);
}

static uint32_t buffer_bytes(uint32_t rctl)
{
	uint32_t size = 2048u >> (rctl >> RCTL_BSIZE_SHIFT & 3);

	/* BSEX with 00 is reserved. */
	return (rctl & RCTL_BSEX) && size < 2048 ? size * 16 : size;
}

static uint32_t free_descs(struct e1000 *s, uint32_t n)
{
	uint32_t head = *e1000_reg(s, RDH), tail = *e1000_reg(s, RDT);

	if (head >= n || tail >= n)
		return 0;
	return tail >= head ? tail - head : tail + n - head;
}

static void look_at_csums(struct e1000 *s, const uint8_t *f, size_t len, struct rx_result *r)
{
	uint32_t want = *e1000_reg(s, RXCSUM);
	size_t from = want & RXCSUM_PCSS, l3 = NET_ETH_BYTES;
	unsigned found;

	if (from < len)
		r->csum = net_sum_fold(net_sum(f + from, len - from, 0)) ^ 0xffff;
	if (!(want & (RXCSUM_IPOFL | RXCSUM_TUOFL))) {
		r->status |= STA_IXSM;
		return;
	}
	if (ld_be16(f + 12) == (*e1000_reg(s, VET) & 0xffff))
		l3 += NET_VLAN_BYTES;
	found = net_check_frame(f, len, l3);
	if (!found)
		r->status |= STA_IXSM;
	if ((found & NET_IP_LOOKED_AT) && (want & RXCSUM_IPOFL)) {
		r->status |= STA_IPCS;
		r->errors |= found & NET_IP_RIGHT ? 0 : ERR_IPE;
	}
	if ((found & NET_L4_LOOKED_AT) && (want & RXCSUM_TUOFL)) {
		r->status |= STA_TCPCS;
		r->errors |= found & NET_L4_RIGHT ? 0 : ERR_TCPE;
	}
}

/* Into one descriptor's buffer. False: the guest named no memory. */
static bool fill_one(struct e1000 *s, uint32_t at, const uint8_t *data, uint32_t len,
		     const struct rx_result *r)
{
	uint64_t ring = (uint64_t)*e1000_reg(s, RDBAH) << 32 | (*e1000_reg(s, RDBAL) & ~15u);
	uint64_t where = ring + (uint64_t)at * DESC_BYTES;
	uint8_t d[DESC_BYTES];

	if (mem_read(s->cfg.mem, where, d, 8))
		return false;
	/* A null address is skipped over; what is written to no memory is lost. */
	if (ld_le64(d) && mem_write(s->cfg.mem, ld_le64(d), data, len))
		return false;
	st_le16(d + 8, (uint16_t)len);
	st_le16(d + 10, r->csum);
	d[12] = r->status;
	d[13] = r->errors;
	st_le16(d + 14, r->special);
	/* The status last: the driver looks at it. */
	return !mem_write(s->cfg.mem, where + 8, d + 8, 4) &&
	       !mem_write(s->cfg.mem, where + 12, d + 12, 4);
}

static void fill(struct e1000 *s, const uint8_t *data, size_t len, struct rx_result *last,
		 uint32_t n)
{
	uint32_t size = buffer_bytes(*e1000_reg(s, RCTL)), causes = INT_RXT0;
	uint32_t few = n >> (1 + (*e1000_reg(s, RCTL) >> RCTL_RDMTS_SHIFT & 3));
	bool many = free_descs(s, n) > few;
	size_t at = 0;

	while (at < len) {
		uint32_t piece = (uint32_t)min_u64(size, len - at), head = *e1000_reg(s, RDH);
		struct rx_result mid = {.status = STA_DD};

		if (at + piece == len)
			last->status |= STA_DD | STA_EOP;
		if (!fill_one(s, head, data + at, piece, at + piece == len ? last : &mid))
			causes |= INT_RXO;
		*e1000_reg(s, RDH) = head + 1 == n ? 0 : head + 1;
		at += piece;
	}
	if (many && free_descs(s, n) <= few)
		causes |= INT_RXDMT0;
	e1000_cause_rx(s, causes);
}

static void count_received(struct e1000 *s, size_t len)
{
	const uint8_t *f = s->rx_frame;

	e1000_count(s, GPRC, GORCL, len + FCS_BYTES);
	if (f[0] & 1)
		e1000_count_one(s, memcmp(f, "\xff\xff\xff\xff\xff\xff", 6) ? MPRC : BPRC);
}

bool e1000_receive(void *opaque, const struct iovec *iov, unsigned iovs,
		   const struct net_offload *off)
{
	struct e1000 *s = opaque;
	uint32_t rctl = *e1000_reg(s, RCTL), n = *e1000_reg(s, RDLEN) / DESC_BYTES;
	size_t len = net_iov_bytes(iov, iovs), total;
	struct rx_result r = {0};
	uint8_t *f = s->rx_frame;
	bool tagged;

	(void)off; /* this end can do nothing, so nothing is left to be done */
	if (!(rctl & RCTL_EN) || !pci_is_master(&s->pci) || !n || len < NET_ETH_BYTES)
		return true;
	if (len > (rctl & RCTL_LPE ? FRAME_LONG_MAX : FRAME_MAX)) {
		e1000_count_one(s, ROC);
		return true;
	}
	total = max_u64(len, FRAME_MIN) + (rctl & RCTL_SECRC ? 0 : FCS_BYTES);
	if ((total + buffer_bytes(rctl) - 1) / buffer_bytes(rctl) > free_descs(s, n)) {
		if (n <= (total + buffer_bytes(rctl) - 1) / buffer_bytes(rctl))
			return true; /* it never fits */
		e1000_cause(s, INT_RXO);
		return false;
	}
	net_gather(iov, iovs, f, sizeof(s->rx_frame));
	if (len < FRAME_MIN) {
		memset(f + len, 0, FRAME_MIN - len);
		len = FRAME_MIN;
	}
	e1000_count(s, TPR, TORL, len + FCS_BYTES);
	tagged = ld_be16(f + 12) == (*e1000_reg(s, VET) & 0xffff) && len >= 18;
	if (!wanted(s, f, tagged))
		return true;
	count_received(s, len);
	look_at_csums(s, f, len, &r);
	if (tagged && (*e1000_reg(s, CTRL) & CTRL_VME)) {
		r.special = ld_be16(f + 14);
		r.status |= STA_VP;
		memmove(f + NET_VLAN_BYTES, f, 12);
		f += NET_VLAN_BYTES;
		len -= NET_VLAN_BYTES;
	}
	if (!(rctl & RCTL_SECRC)) {
		st_le32(f + len, (uint32_t)crc32(0, f, (uInt)len));
		len += FCS_BYTES;
	}
	fill(s, f, len, &r, n);
	return true;
}
