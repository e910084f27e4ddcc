// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 82540EM's transmitter: descriptors of both kinds, checksums, segmentation, VLAN tags.
 * Source: 317453-006 §3.3 to §3.5, §3.6 (interrupts), §9.2 (VLAN).
 *
 * A frame's descriptors are read until its last, the frame is sent as a whole, and only then are they given
 * back and the head moves. So a frame that the other end refuses is nowhere but in the guest's ring.
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"
#include "devices/net/e1000_int.h"
#include "net/offload.h"

/* The command byte, of all kinds. */
#define CMD_EOP 0x01u
#define CMD_IC 0x04u  /* legacy: insert checksum */
#define CMD_TSE 0x04u /* extended: segment */
#define CMD_RS 0x08u
#define CMD_DEXT 0x20u
#define CMD_VLE 0x40u
#define CMD_IDE 0x80u
#define TUCMD_TCP 0x01u
#define TUCMD_IP 0x02u
#define POPTS_IXSM 0x01u
#define POPTS_TXSM 0x02u
#define STA_DD 0x01u

/* One descriptor, taken apart. */
struct tx_desc {
	uint64_t addr;
	uint32_t len;
	uint8_t cmd, type; /* 0 context, 1 data, 2 legacy */
	uint8_t cso, css, popts;
	uint16_t special;
	uint8_t raw[DESC_BYTES];
};
enum { TX_CONTEXT, TX_DATA, TX_LEGACY };

/* A frame as it is being put together. */
struct tx_frame {
	struct e1000_context ctx[2];
	struct tx_desc first, last; /* of data */
	size_t len;
	bool has_data, bad, complete;
	unsigned used; /* descriptors */
};

static uint64_t ring_addr(struct e1000 *s, uint32_t i)
{
	return ((uint64_t)*e1000_reg(s, TDBAH) << 32 | (*e1000_reg(s, TDBAL) & ~15u)) +
	       (uint64_t)i * DESC_BYTES;
}

static bool read_desc(struct e1000 *s, uint32_t i, struct tx_desc *d)
{
	uint32_t dw2;

	if (mem_read(s->cfg.mem, ring_addr(s, i), d->raw, DESC_BYTES))
		return false;
	dw2 = ld_le32(d->raw + 8);
	d->addr = ld_le64(d->raw);
	d->cmd = (uint8_t)(dw2 >> 24);
	if (d->cmd & CMD_DEXT) {
		d->type = (dw2 >> 20 & 15) == 0 ? TX_CONTEXT : TX_DATA;
		d->len = dw2 & 0xfffff;
		d->popts = d->raw[13];
	} else {
		d->type = TX_LEGACY;
		d->len = dw2 & 0xffff;
		d->cso = d->raw[10];
		d->css = d->raw[13];
	}
	d->special = ld_le16(d->raw + 14);
	return true;
}

static void read_context(struct tx_frame *f, const struct tx_desc *d)
{
	const uint8_t *p = d->raw;
	struct e1000_context *c = &f->ctx[(d->cmd & CMD_TSE) != 0];

	*c = (struct e1000_context){
		.ipcss = p[0],
		.ipcso = p[1],
		.ipcse = ld_le16(p + 2),
		.tucss = p[4],
		.tucso = p[5],
		.tucse = ld_le16(p + 6),
		.paylen = d->len,
		.tucmd = d->cmd,
		.hdrlen = p[13],
		.mss = ld_le16(p + 14),
	};
}

/* Append a descriptor's bytes. */
static void take_data(struct e1000 *s, struct tx_frame *f, const struct tx_desc *d)
{
	if (!f->has_data)
		f->first = *d;
	f->has_data = true;
	f->last = *d;
	if (f->bad || !range_ok(f->len, d->len, NET_FRAME_MAX) ||
	    mem_read(s->cfg.mem, d->addr, s->frame + f->len, d->len))
		f->bad = true;
	else
		f->len += d->len;
	f->complete = d->cmd & CMD_EOP;
}

/* ---- Checksums, segmentation ------------------------------------------------------------------------
 */

/* Insert at `at` the sum of [from, to]; `to` 0 means the end. Offsets beyond the frame: nothing. */
static void insert_csum(uint8_t *frame, size_t len, size_t from, size_t at, size_t to)
{
	size_t end = to && to < len ? to + 1 : len;

	if (from >= end || !range_ok(at, 2, len))
		return;
	st_be16(frame + at, net_sum_fold(net_sum(frame + from, end - from, 0)));
}

/* For a frame to be segmented: what the hardware would write into each segment's headers (§3.5.7). */
static bool set_headers(uint8_t *frame, size_t len, const struct e1000_context *c)
{
	uint32_t sum;

	if (c->tucso < c->tucss || !range_ok(c->tucso, 2, len) ||
	    !range_ok(c->ipcss, (c->tucmd & TUCMD_IP) ? 20 : 40, len) || len <= c->hdrlen ||
	    len - c->ipcss > 0xffff)
		return false;
	if (c->tucmd & TUCMD_IP)
		st_be16(frame + c->ipcss + 2, (uint16_t)(len - c->ipcss));
	else
		st_be16(frame + c->ipcss + 4, (uint16_t)(len - c->ipcss - 40));
	/* The driver's sum is of the pseudo header without the length. */
	sum = ld_be16(frame + c->tucso) + (uint32_t)(len - c->tucss);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	st_be16(frame + c->tucso, (uint16_t)sum);
	return true;
}

/* Fills `off` and finishes what is cheap here. False: not a frame that can be sent. */
static bool apply_offloads(struct e1000 *s, const struct tx_frame *f, struct net_offload *off)
{
	const struct tx_desc *d = &f->first;
	bool tse = d->type == TX_DATA && (d->cmd & CMD_TSE);
	const struct e1000_context *c = &f->ctx[tse];
	uint8_t *frame = s->frame;

	if (d->type == TX_LEGACY) {
		if (f->last.cmd & CMD_IC)
			insert_csum(frame, f->len, f->last.css, f->last.cso, 0);
		return true;
	}
	if (tse && !(c->tucmd & TUCMD_TCP))
		return false;
	if (tse && !set_headers(frame, f->len, c))
		return false;
	if (d->popts & POPTS_IXSM) {
		if (range_ok(c->ipcso, 2, f->len))
			st_be16(frame + c->ipcso, 0);
		insert_csum(frame, f->len, c->ipcss, c->ipcso, c->ipcse);
	}
	if (tse && f->len - c->hdrlen > c->mss) {
		off->gso_type = c->tucmd & TUCMD_IP ? NET_GSO_TCPV4 : NET_GSO_TCPV6;
		off->gso_size = c->mss;
		off->hdr_len = c->hdrlen;
	}
	if (tse || ((d->popts & POPTS_TXSM) && !c->tucse && c->tucso >= c->tucss)) {
		off->flags = NET_NEEDS_CSUM;
		off->csum_start = c->tucss;
		off->csum_offset = (uint16_t)(c->tucso - c->tucss);
	} else if (d->popts & POPTS_TXSM) {
		insert_csum(frame, f->len, c->tucss, c->tucso, c->tucse);
	}
	return true;
}

/* ---- Sending ----------------------------------------------------------------------------------------
 */

static void count_sent(struct e1000 *s, size_t len)
{
	e1000_count(s, GPTC, GOTCL, len);
	e1000_count(s, TPT, TOTL, len);
	if (s->frame[0] & 1)
		e1000_count_one(s, memcmp(s->frame, "\xff\xff\xff\xff\xff\xff", 6) ? MPTC : BPTC);
}

/* False: refused. */
static bool send_frame(struct e1000 *s, struct tx_frame *f)
{
	struct net_offload off = {0};
	uint8_t tag[NET_VLAN_BYTES];
	struct iovec iov[3] = {{s->frame, f->len}};
	unsigned n = 1;
	bool loop = (*e1000_reg(s, RCTL) & RCTL_LBM) == RCTL_LBM;

	if (f->bad || f->len < NET_ETH_BYTES || !apply_offloads(s, f, &off))
		return true; /* lost */
	/* To itself, nobody else computes it. */
	if (loop && net_finish_csum(s->frame, f->len, &off))
		return true;
	if ((f->last.cmd & CMD_VLE) && (*e1000_reg(s, CTRL) & CTRL_VME)) {
		st_be16(tag, (uint16_t)*e1000_reg(s, VET));
		st_be16(tag + 2, f->last.special);
		iov[0].iov_len = 12;
		iov[1] = (struct iovec){tag, sizeof(tag)};
		iov[2] = (struct iovec){s->frame + 12, f->len - 12};
		n = 3;
		off.csum_start = (uint16_t)(off.csum_start + (off.flags ? NET_VLAN_BYTES : 0));
		off.hdr_len = (uint16_t)(off.hdr_len + (off.gso_type ? NET_VLAN_BYTES : 0));
	}
	if (loop) {
		e1000_receive(s, iov, n, NULL);
	} else if (s->link_up) {
		if (!net_send(&s->end, iov, n, &off))
			return false;
	}
	count_sent(s, f->len);
	if (off.gso_type)
		e1000_count_one(s, TSCTC);
	return true;
}

/* Read descriptors from the head on, up to the last of a frame, or up to the tail. */
static void collect(struct e1000 *s, struct tx_frame *f, uint32_t n)
{
	uint32_t at = *e1000_reg(s, TDH), tail = *e1000_reg(s, TDT);

	while (at != tail && !f->complete) {
		struct tx_desc d;

		f->used++;
		if (!read_desc(s, at, &d)) {
			f->bad = f->complete = true;
			return;
		}
		if (d.type == TX_CONTEXT)
			read_context(f, &d);
		else
			take_data(s, f, &d);
		at = at + 1 == n ? 0 : at + 1;
		if (f->used == TX_CHAIN_MAX && !f->complete)
			f->bad = f->complete = true;
	}
	/* Contexts alone are done with, too. */
	if (!f->has_data && f->used)
		f->complete = true;
}

/* Mark `f->used` descriptors done. */
static bool give_back(struct e1000 *s, const struct tx_frame *f, uint32_t n, bool *delay)
{
	uint32_t at = *e1000_reg(s, TDH);
	bool report = false;

	*delay = true;
	for (unsigned i = 0; i < f->used; i++) {
		struct tx_desc d;
		uint8_t sta;

		if (read_desc(s, at, &d) && (d.cmd & CMD_RS)) {
			report = true;
			*delay = *delay && (d.cmd & CMD_IDE);
			sta = (uint8_t)(d.raw[12] | STA_DD);
			if (mem_write(s->cfg.mem, ring_addr(s, at) + 12, &sta, 1))
				break;
		}
		at = at + 1 == n ? 0 : at + 1;
	}
	return report;
}

void e1000_tx(struct e1000 *s)
{
	unsigned budget = TX_TURN_MAX;
	uint32_t n = *e1000_reg(s, TDLEN) / DESC_BYTES;
	bool any = false;

	/* A frame may come back to its sender through a loop of cables. */
	if (s->in_tx)
		return;
	s->in_tx = true;
	while (budget && (*e1000_reg(s, TCTL) & TCTL_EN) && pci_is_master(&s->pci) &&
	       *e1000_reg(s, TDH) < n && *e1000_reg(s, TDT) < n &&
	       *e1000_reg(s, TDH) != *e1000_reg(s, TDT)) {
		struct tx_frame f = {.ctx = {s->ctx[0], s->ctx[1]}};
		bool delay;

		collect(s, &f, n);
		if (!f.complete || (f.has_data && !send_frame(s, &f)))
			break;
		memcpy(s->ctx, f.ctx, sizeof(s->ctx));
		any = true;
		if (give_back(s, &f, n, &delay))
			e1000_cause_tx(s, delay);
		*e1000_reg(s, TDH) = (*e1000_reg(s, TDH) + f.used) % n;
		budget -= f.used < budget ? f.used : budget;
	}
	s->in_tx = false;
	if (!budget)
		io_timer_arm(&s->more, clock_vm_ns());
	else if (any && *e1000_reg(s, TDH) == *e1000_reg(s, TDT))
		e1000_cause(s, INT_TXQE);
}
