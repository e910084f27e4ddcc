// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio network card's control queue: receive modes, addresses, VLANs, pairs of queues, offloads.
 * A command that is not whole, or asks for what cannot be, is answered with VIRTIO_NET_ERR and changes nothing but, where
 * it is a table of addresses, the filter.
 * Source: virtio 1.2 §5.1.6.5. Threads: with the VM lock held.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/virtio/virtio_net_int.h"

/* Commands: class << 8 | command. */
enum {
	CTRL_PROMISC = 0x0000,
	CTRL_NOBCAST = 0x0005,
	CTRL_MAC_TABLE = 0x0100,
	CTRL_MAC_ADDR = 0x0101,
	CTRL_VLAN_ADD = 0x0200,
	CTRL_VLAN_DEL = 0x0201,
	CTRL_ANNOUNCE_ACK = 0x0300,
	CTRL_MQ_PAIRS = 0x0400,
	CTRL_OFFLOADS = 0x0500,
};

/* One table of §5.1.6.5.2 at `*at`: le32 count and addresses. -EINVAL if it is not whole. */
static int read_table(struct virtio_net *s, const struct vq_chain *c, uint64_t *at, uint8_t *all)
{
	uint8_t count[4];
	uint64_t n, bytes;

	if (vq_chain_read(c, *at, count, 4) != 4)
		return -EINVAL;
	*at += 4;
	n = ld_le32(count);
	bytes = 6 * n;
	if (!range_ok(*at, bytes, c->out_len))
		return -EINVAL;
	if (n > MACS_MAX - s->mac_count) {
		*all = 1;
	} else if (n) {
		vq_chain_read(c, *at, s->macs + 6 * (size_t)s->mac_count, bytes);
		s->mac_count += (uint32_t)n;
	}
	*at += bytes;
	return 0;
}

static int set_tables(struct virtio_net *s, const struct vq_chain *c)
{
	uint64_t at = 2;
	int r;

	s->mac_count = s->unicast_count = 0;
	s->all_uni = s->all_multi = 0;
	r = read_table(s, c, &at, &s->all_uni);
	s->unicast_count = s->mac_count;
	if (!r)
		r = read_table(s, c, &at, &s->all_multi);
	return r;
}

static int set_vlan(struct virtio_net *s, const struct vq_chain *c, bool on)
{
	uint8_t b[2];
	unsigned vid;

	if (vq_chain_read(c, 2, b, 2) != 2 || ld_le16(b) >= VLANS)
		return -EINVAL;
	vid = ld_le16(b);
	if (on)
		s->vlans[vid / 8] |= (uint8_t)(1u << vid % 8);
	else
		s->vlans[vid / 8] &= (uint8_t)(0xff & ~(1u << vid % 8));
	return 0;
}

static int set_offloads(struct virtio_net *s, const struct vq_chain *c)
{
	uint8_t b[8];
	uint64_t o;

	if (!virtio_has(&s->v, F_CTRL_GUEST_OFFLOADS) || vq_chain_read(c, 2, b, 8) != 8)
		return -EINVAL;
	o = ld_le64(b);
	/* Only what was negotiated can be switched. */
	if (o & ~(s->v.features & GUEST_OFFLOADS))
		return -EINVAL;
	s->offloads = o;
	virtio_net_set_can(s);
	return 0;
}

/* §5.1.6.5.5. */
static int set_pairs(struct virtio_net *s, const struct vq_chain *c)
{
	uint8_t b[2];

	if (!virtio_has(&s->v, F_MQ) || vq_chain_read(c, 2, b, 2) != 2 || !ld_le16(b) ||
	    ld_le16(b) > s->pairs_max)
		return -EINVAL;
	virtio_net_use_pairs(s, ld_le16(b));
	return 0;
}

static int control(struct virtio_net *s, const struct vq_chain *c)
{
	uint8_t head[2], arg;
	unsigned cmd;

	if (vq_chain_read(c, 0, head, 2) != 2)
		return -EINVAL;
	cmd = (unsigned)head[0] << 8 | head[1];
	switch (cmd) {
	case CTRL_PROMISC ... CTRL_NOBCAST:
		if (vq_chain_read(c, 2, &arg, 1) != 1)
			return -EINVAL;
		s->mode[cmd - CTRL_PROMISC] = arg & 1;
		return 0;
	case CTRL_MAC_TABLE:
		return set_tables(s, c);
	case CTRL_MAC_ADDR:
		if (vq_chain_read(c, 2, s->mac, 6) != 6)
			return -EINVAL;
		virtio_net_show_mac(s);
		return 0;
	case CTRL_VLAN_ADD:
	case CTRL_VLAN_DEL:
		return set_vlan(s, c, cmd == CTRL_VLAN_ADD);
	case CTRL_ANNOUNCE_ACK:
		s->announce = 0;
		virtio_net_show_status(s);
		return 0;
	case CTRL_MQ_PAIRS:
		return set_pairs(s, c);
	case CTRL_OFFLOADS:
		return set_offloads(s, c);
	default:
		return -EINVAL;
	}
}

void virtio_net_control(struct virtio_net *s)
{
	unsigned q = virtio_net_ctrl_queue(s);
	struct vq_chain *c;
	unsigned n = 0;

	while (n < VIRTIO_BATCH && (c = virtio_pop(&s->v, q))) {
		uint8_t ack = control(s, c) ? 1 : 0;
		size_t written = vq_chain_write(c, 0, &ack, 1);

		virtqueue_push(c->vq, c, written);
		n++;
	}
	if (n == VIRTIO_BATCH)
		virtio_again(&s->v, q);
	virtio_notify(&s->v, q);
}
