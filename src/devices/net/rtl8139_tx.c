// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The RTL8139C+'s transmitter. A frame that the other end refuses stays in the guest's registers or ring.
 * Source: data sheet rev. 1.6 §6.3 (TSD), §9.2.1 (C+ transmit descriptors). Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"
#include "devices/net/rtl8139_int.h"
#include "net/offload.h"

#define DESC_BYTES 16u
#define DESC_RING 64u
#define D_OWN 0x80000000u
#define D_EOR 0x40000000u
#define D_FS 0x20000000u
#define D_LS 0x10000000u
#define D_LGSEN 0x08000000u
#define D_MSS_SHIFT 16
#define D_IPCS 0x00040000u
#define D_UDPCS 0x00020000u
#define D_TCPCS 0x00010000u
#define D_TAGC 0x00020000u /* of the second word */

static bool put_out(struct rtl8139 *s, const struct iovec *iov, unsigned n,
		    const struct net_offload *off)
{
	if ((rtl_get(s, TCR, 4) & TCR_LOOPBACK) == TCR_LOOPBACK) {
		rtl8139_receive(s, iov, n, NULL);
		return true;
	}
	return !s->link_up || net_send(&s->end, iov, n, off);
}

/* ---- Old mode: four pairs of registers, in turn ---- */

/* False: refused. */
static bool send_old(struct rtl8139 *s, unsigned i)
{
	uint32_t tsd = rtl_get(s, TSD0 + 4 * i, 4), len = tsd & TSD_SIZE;
	struct iovec iov = {s->frame, len};

	if (len >= NET_ETH_BYTES &&
	    !mem_read(s->cfg.mem, rtl_get(s, TSAD0 + 4 * i, 4), s->frame, len) &&
	    !put_out(s, &iov, 1, NULL))
		return false;
	rtl_set(s, TSD0 + 4 * i, 4, tsd | TSD_OWN | TSD_TOK);
	rtl8139_cause(s, ISR_TOK);
	return true;
}

static void tx_old(struct rtl8139 *s)
{
	for (unsigned n = 0; n < RTL_TX_REGS; n++) {
		if (rtl_get(s, TSD0 + 4u * s->tx_next, 4) & TSD_OWN)
			return;
		if (!send_old(s, s->tx_next))
			return;
		s->tx_next = (s->tx_next + 1) % RTL_TX_REGS;
	}
}

/* ---- C+ mode ---- */

struct tx_desc {
	uint32_t cmd, vlan;
	uint64_t addr;
};

static uint64_t desc_addr(const struct rtl8139 *s, uint32_t i)
{
	return ((uint64_t)rtl_get(s, TSAD0 + 4, 4) << 32 | (rtl_get(s, TSAD0, 4) & ~0xffu)) +
	       (uint64_t)i * DESC_BYTES;
}

static bool read_desc(const struct rtl8139 *s, uint32_t i, struct tx_desc *d)
{
	uint8_t b[DESC_BYTES];

	if (mem_read(s->cfg.mem, desc_addr(s, i), b, sizeof(b)))
		return false;
	*d = (struct tx_desc){ld_le32(b), ld_le32(b + 4), ld_le64(b + 8)};
	return true;
}

static uint32_t after(uint32_t i, uint32_t cmd)
{
	return (cmd & D_EOR) || i + 1 >= DESC_RING ? 0 : i + 1;
}

/* IP's checksum, and what is asked for of TCP's and UDP's. */
static void apply_offloads(struct rtl8139 *s, size_t len, uint32_t cmd, struct net_offload *off)
{
	uint8_t *f = s->frame, *ip = f + NET_ETH_BYTES;
	size_t ihl, l4, bytes;
	uint32_t sum;
	bool tcp = cmd & (D_TCPCS | D_LGSEN);

	if (len < NET_ETH_BYTES + 20 || ld_be16(f + 12) != NET_ETHERTYPE_IPV4 || ip[0] >> 4 != 4)
		return;
	ihl = 4 * (size_t)(ip[0] & 15);
	l4 = NET_ETH_BYTES + ihl;
	if (ihl < 20 || l4 + (tcp ? 20 : 8) > len || len - NET_ETH_BYTES > 0xffff)
		return;
	if (cmd & (D_IPCS | D_LGSEN)) {
		st_be16(ip + 10, 0);
		st_be16(ip + 10, net_sum_fold(net_sum(ip, ihl, 0)));
	}
	if (!(cmd & (D_TCPCS | D_UDPCS | D_LGSEN)) ||
	    ip[9] != (tcp ? NET_IPPROTO_TCP : NET_IPPROTO_UDP))
		return;
	/* The pseudo header's sum where the rest is to be added. */
	bytes = len - l4;
	sum = net_sum(ip + 12, 8, ip[9] + (uint32_t)bytes);
	st_be16(f + l4 + (tcp ? 16 : 6), (uint16_t)~net_sum_fold(sum));
	off->flags = NET_NEEDS_CSUM;
	off->csum_start = (uint16_t)l4;
	off->csum_offset = tcp ? 16 : 6;
	if (cmd & D_LGSEN) {
		off->gso_size = cmd >> D_MSS_SHIFT & 0x7ff;
		off->hdr_len = (uint16_t)(l4 + 4 * (size_t)(f[l4 + 12] >> 4));
		if (off->hdr_len < len && len - off->hdr_len > off->gso_size)
			off->gso_type = NET_GSO_TCPV4;
		else
			off->gso_size = 0;
	}
}

/* Gather one frame from the ring: how many descriptors, 0 if there is none whole. */
static unsigned collect(struct rtl8139 *s, struct tx_desc *first, size_t *len, bool *bad)
{
	uint32_t i = s->tx_desc;
	struct tx_desc d;

	*len = 0;
	*bad = false;
	for (unsigned n = 1; n <= RTL_CHAIN_MAX; n++) {
		uint32_t bytes;

		if (!read_desc(s, i, &d) || !(d.cmd & D_OWN))
			return 0;
		if (n == 1)
			*first = d;
		bytes = d.cmd & 0xffff;
		if (*bad || !range_ok(*len, bytes, sizeof(s->frame)) ||
		    mem_read(s->cfg.mem, d.addr, s->frame + *len, bytes))
			*bad = true;
		else
			*len += bytes;
		if (d.cmd & D_LS)
			return n;
		i = after(i, d.cmd);
	}
	*bad = true;
	return RTL_CHAIN_MAX;
}

static bool send_cplus(struct rtl8139 *s, const struct tx_desc *d, size_t len)
{
	struct net_offload off = {0};
	struct iovec iov[3] = {{s->frame, len}};
	uint8_t tag[NET_VLAN_BYTES];
	unsigned n = 1;

	if (len < NET_ETH_BYTES)
		return true;
	apply_offloads(s, len, d->cmd, &off);
	if (d->vlan & D_TAGC) {
		st_be16(tag, NET_ETHERTYPE_VLAN);
		/* The descriptor has it in the order of the wire. */
		st_le16(tag + 2, (uint16_t)d->vlan);
		iov[0].iov_len = 12;
		iov[1] = (struct iovec){tag, sizeof(tag)};
		iov[2] = (struct iovec){s->frame + 12, len - 12};
		n = 3;
		off.csum_start = (uint16_t)(off.csum_start + (off.flags ? NET_VLAN_BYTES : 0));
		off.hdr_len = (uint16_t)(off.hdr_len + (off.gso_type ? NET_VLAN_BYTES : 0));
	}
	return put_out(s, iov, n, &off);
}

static void give_back(struct rtl8139 *s, unsigned n)
{
	while (n--) {
		struct tx_desc d;
		uint8_t b[4];

		if (!read_desc(s, s->tx_desc, &d))
			return;
		st_le32(b, d.cmd & ~D_OWN);
		if (mem_write(s->cfg.mem, desc_addr(s, s->tx_desc), b, 4))
			return;
		s->tx_desc = after(s->tx_desc, d.cmd);
	}
}

static bool tx_cplus(struct rtl8139 *s)
{
	unsigned budget = RTL_TURN_MAX;

	while (budget) {
		struct tx_desc first;
		size_t len;
		bool bad;
		unsigned n = collect(s, &first, &len, &bad);

		if (!n)
			break;
		if (!bad && !send_cplus(s, &first, len))
			return false;
		give_back(s, n);
		rtl8139_cause(s, ISR_TOK);
		budget -= n < budget ? n : budget;
	}
	if (!budget)
		io_timer_arm(&s->more, clock_vm_ns());
	else
		rtl8139_cause(s, ISR_TDU);
	return true;
}

void rtl8139_tx(struct rtl8139 *s)
{
	if (s->in_tx || !(s->reg[CR] & CR_TE) || !pci_is_master(&s->pci))
		return;
	s->in_tx = true;
	if (!rtl_cplus(s, CPCR_TE))
		tx_old(s);
	else if (s->reg[TPPOLL] & 0x40 && tx_cplus(s))
		s->reg[TPPOLL] &= 0xbf;
	s->in_tx = false;
}
