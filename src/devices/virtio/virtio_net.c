// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio network card.
 * Source: virtio 1.2 §5.1. Saved state: version 2 (1 has no pairs). No chain stays out: a frame that cannot be sent, or for
 * which there are no buffers, leaves its queue as it was.
 *
 * Frames are taken from and put into guest memory in place; whoever works on one (checksums, segments)
 * works on a copy.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/virtio/virtio_net_int.h"
#include "net/offload.h"

/* Device configuration (§5.1.4). */
#define CFG_MAC 0u
#define CFG_STATUS 6u
#define CFG_PAIRS 8u
#define CFG_MTU 10u
#define CFG_BYTES 12u
#define CTRL_QUEUE_SIZE 64u
#define S_LINK_UP 1u
#define S_ANNOUNCE 2u

/* struct virtio_net_hdr (§5.1.6): without num_buffers for a legacy driver that does not merge. */
#define HDR_SHORT 10u
#define HDR_BYTES 12u

/* Chains that one received frame may take: more than 64 KiB of the smallest sensible buffers. */
#define MERGE_MAX 64u

static struct virtio_net *of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_net, v);
}

static unsigned hdr_bytes(const struct virtio_net *s)
{
	return virtio_is_modern(&s->v) || virtio_has(&s->v, F_MRG_RXBUF) ? HDR_BYTES : HDR_SHORT;
}

/* ---- Transmit (§5.1.6.1, §5.1.6.2) ----------------------------------------------------------------
 */

/* False: refused; the chain is the queue's again. */
static bool send_chain(struct virtio_net_pair *p, struct vq_chain *c)
{
	unsigned hdr = hdr_bytes(p->s), n;
	struct net_offload off;
	uint8_t h[HDR_BYTES];
	struct iovec *iov;

	if (vq_chain_read(c, 0, h, hdr) != hdr || c->out_len - hdr < NET_ETH_BYTES ||
	    c->out_len - hdr > NET_FRAME_MAX)
		goto done; /* no frame: lost */
	off = (struct net_offload){
		.flags = h[0] & NET_NEEDS_CSUM,
		.gso_type = h[1],
		.hdr_len = ld_le16(h + 2),
		.gso_size = ld_le16(h + 4),
		.csum_start = ld_le16(h + 6),
		.csum_offset = ld_le16(h + 8),
	};
	/* Segments without a checksum to compute cannot be made (§5.1.6.2). */
	if (off.gso_type != NET_GSO_NONE && !(off.flags & NET_NEEDS_CSUM))
		goto done;
	iov = c->out;
	n = iov_cut_front(&iov, c->n_out, hdr);
	c->out = iov;
	if (!net_send(&p->end, iov, n, &off)) {
		virtqueue_unpop(c->vq, c);
		return false;
	}
done:
	virtqueue_push(c->vq, c, 0);
	return true;
}

static void transmit(struct virtio_net_pair *p)
{
	struct virtio_dev *v = &p->s->v;
	unsigned q = virtio_net_tx_queue(p->n), n = 0;
	struct vq_chain *c;

	if (p->in_tx || p->n >= p->s->pairs)
		return;
	p->in_tx = true;
	while (n < VIRTIO_BATCH && (c = virtio_pop(v, q))) {
		if (!send_chain(p, c))
			break;
		n++;
	}
	p->in_tx = false;
	if (n == VIRTIO_BATCH)
		virtio_again(v, q);
	if (n)
		virtio_notify(v, q);
}

static void end_ready(void *opaque)
{
	transmit(opaque);
}

/* ---- Receive (§5.1.6.3, §5.1.6.4) -------------------------------------------------------------------
 */

static bool in_table(const struct virtio_net *s, const uint8_t *mac, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (!memcmp(s->macs + 6 * (size_t)i, mac, 6))
			return true;
	}
	return false;
}

static bool wanted(const struct virtio_net *s, const uint8_t *f, size_t len)
{
	unsigned vid;

	if (s->mode[MODE_PROMISC])
		return true;
	if (virtio_has(&s->v, F_CTRL_VLAN) && len >= NET_ETH_BYTES + NET_VLAN_BYTES &&
	    ld_be16(f + 12) == NET_ETHERTYPE_VLAN) {
		vid = ld_be16(f + 14) & 0xfff;
		if (!(s->vlans[vid / 8] & 1u << vid % 8))
			return false;
	}
	if (!memcmp(f, "\xff\xff\xff\xff\xff\xff", 6))
		return !s->mode[MODE_NOBCAST];
	if (f[0] & 1) {
		if (s->mode[MODE_NOMULTI])
			return false;
		return s->mode[MODE_ALLMULTI] || s->all_multi ||
		       in_table(s, f, s->unicast_count, s->mac_count);
	}
	if (s->mode[MODE_NOUNI])
		return false;
	return s->mode[MODE_ALLUNI] || s->all_uni || !memcmp(f, s->mac, 6) ||
	       in_table(s, f, 0, s->unicast_count);
}

/* Buffers for `len` bytes: how many chains, or 0 if there are not enough now; *total is what they hold. */
static unsigned take_buffers(struct virtio_net *s, unsigned q, struct vq_chain **c, uint64_t len,
			     uint64_t *total)
{
	unsigned most = virtio_has(&s->v, F_MRG_RXBUF) ? MERGE_MAX : 1, n = 0;

	*total = 0;
	while (n < most && *total < len) {
		c[n] = virtio_pop(&s->v, q);
		if (!c[n])
			break;
		*total += c[n]->in_len;
		n++;
	}
	if (!n || *total >= len || n == most)
		return n;
	while (n)
		n--, virtqueue_unpop(c[n]->vq, c[n]);
	return 0;
}

static void fill_header(const struct virtio_net *s, uint8_t *h, const struct net_offload *off,
			const uint8_t *frame, size_t linear, size_t len, unsigned buffers)
{
	memset(h, 0, HDR_BYTES);
	st_le16(h + 10, (uint16_t)buffers);
	if (off && (off->flags & NET_NEEDS_CSUM)) {
		h[0] = NET_NEEDS_CSUM;
		h[1] = off->gso_type;
		st_le16(h + 2, off->hdr_len);
		st_le16(h + 4, off->gso_size);
		st_le16(h + 6, off->csum_start);
		st_le16(h + 8, off->csum_offset);
	} else if ((s->offloads & F_GUEST_CSUM) && linear == len &&
		   (net_check_frame(frame, len, NET_ETH_BYTES) & NET_L4_RIGHT)) {
		/* Looked at here, where it costs less than in the guest. */
		h[0] = NET_DATA_VALID;
	}
}

/* Copy header and frame into the chains, give them back. */
static void fill_chains(struct vq_chain **c, unsigned n, const uint8_t *h, size_t hdr,
			const struct iovec *iov, unsigned iovs, size_t len)
{
	struct virtqueue *vq = c[0]->vq;
	size_t done = 0; /* of the frame */

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = 0;
		size_t room;

		if (!i)
			at = vq_chain_write(c[i], 0, h, hdr);
		room = (size_t)min_u64(c[i]->in_len - at, len - done);
		while (room) {
			uint8_t *to = NULL;
			size_t piece = 0;
			uint64_t off = at;

			for (unsigned k = 0; k < c[i]->n_in; k++) {
				if (off < c[i]->in[k].iov_len) {
					to = (uint8_t *)c[i]->in[k].iov_base + off;
					piece = (size_t)min_u64(c[i]->in[k].iov_len - off, room);
					break;
				}
				off -= c[i]->in[k].iov_len;
			}
			if (!piece)
				break;
			iov_read(iov, iovs, done, to, piece);
			done += piece;
			at += piece;
			room -= piece;
		}
		virtqueue_fill(vq, c[i], at, i);
	}
	virtqueue_flush(vq, n);
}

static bool net_receive(void *opaque, const struct iovec *iov, unsigned iovs,
			const struct net_offload *off)
{
	struct virtio_net_pair *p = opaque;
	struct virtio_net *s = p->s;
	struct vq_chain *c[MERGE_MAX];
	size_t len = net_iov_bytes(iov, iovs), linear;
	unsigned hdr = hdr_bytes(s), q = virtio_net_rx_queue(p->n), n;
	uint8_t head[NET_ETH_BYTES + NET_VLAN_BYTES], h[HDR_BYTES];
	uint64_t total;

	if (!virtio_running(&s->v) || p->n >= s->pairs || !s->v.vq[q].enabled ||
	    len < NET_ETH_BYTES)
		return true; /* lost */
	linear = iov_read(iov, iovs, 0, head, sizeof(head));
	if (!wanted(s, head, linear))
		return true;
	n = take_buffers(s, q, c, hdr + len, &total);
	if (!n)
		/* Refused, but for a queue that broke. */
		return !virtio_running(&s->v);
	if (total < hdr + len) {
		/* It never fits: the driver's buffers are for smaller frames. */
		while (n)
			n--, virtqueue_unpop(c[n]->vq, c[n]);
		return true;
	}
	fill_header(s, h, off, iov[0].iov_base, iov[0].iov_len, len, n);
	fill_chains(c, n, h, hdr, iov, iovs, len);
	virtio_notify(&s->v, q);
	return true;
}

/* What the ends can take is what the driver said it takes. */
void virtio_net_set_can(struct virtio_net *s)
{
	uint64_t o = s->offloads;
	unsigned can = 0;

	/* Long frames want buffers that merge, or ones of 64 KiB, which such a driver has. */
	if (o & F_GUEST_CSUM)
		can = NET_CAN_CSUM | (o & F_GUEST_TSO4 ? NET_CAN_TSO4 : 0) |
		      (o & F_GUEST_TSO6 ? NET_CAN_TSO6 : 0) | (o & F_GUEST_ECN ? NET_CAN_ECN : 0);
	for (unsigned i = 0; i < s->pairs_max; i++)
		s->pair[i].end.can = can;
}

/* ---- Configuration space (§5.1.4) -----------------------------------------------------------------
 */

void virtio_net_show_mac(struct virtio_net *s)
{
	for (unsigned i = 0; i < 6; i++)
		reg_set8(&s->v.config, CFG_MAC + i, s->mac[i]);
}

void virtio_net_show_status(struct virtio_net *s)
{
	const struct net_end *e = &s->pair[0].end;
	bool up = e->peer && !e->link_down && !e->peer->link_down;

	reg_set16(&s->v.config, CFG_STATUS,
		  (uint16_t)((up ? S_LINK_UP : 0) | (s->announce ? S_ANNOUNCE : 0)));
}

/* ---- Life -----------------------------------------------------------------------------------------
 */

static void net_link(void *opaque, bool up)
{
	struct virtio_net *s = ((struct virtio_net_pair *)opaque)->s;
	uint16_t before = reg_get16(&s->v.config, CFG_STATUS);

	(void)up;
	virtio_net_show_status(s);
	if (reg_get16(&s->v.config, CFG_STATUS) != before)
		virtio_config_changed(&s->v);
}

static const struct net_end_ops end_ops = {
	.receive = net_receive,
	.ready = end_ready,
	.link = net_link,
};

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_net *s = of(v);

	if (q == virtio_net_ctrl_queue(s))
		virtio_net_control(s);
	else if (q / 2 >= s->pairs)
		return; /* it waits until its pair is in use */
	else if (q % 2)
		transmit(&s->pair[q / 2]);
	else
		net_ready(&s->pair[q / 2].end);
}

void virtio_net_use_pairs(struct virtio_net *s, unsigned n)
{
	unsigned before = s->pairs;

	s->pairs = (uint16_t)n;
	for (unsigned i = 0; i < s->pairs_max; i++) {
		if ((i < n) == (i < before))
			continue;
		net_use(&s->pair[i].end, i < n);
		/* Its queues may have been filled already; and what was refused meanwhile is lost. */
		if (i < n)
			virtio_again(&s->v, virtio_net_tx_queue(i));
		net_ready(&s->pair[i].end);
	}
}

static void negotiated(struct virtio_dev *v)
{
	struct virtio_net *s = of(v);

	s->offloads = v->features & GUEST_OFFLOADS;
	virtio_net_set_can(s);
}

/* A legacy driver sets its address here (§5.1.4.3); a modern one uses the control queue. */
static void config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	struct virtio_net *s = of(v);

	(void)off;
	(void)size;
	if (!virtio_is_modern(v) && !virtio_has(v, F_CTRL_MAC_ADDR)) {
		for (unsigned i = 0; i < 6; i++)
			s->mac[i] = reg_get8(&v->config, CFG_MAC + i);
	} else {
		virtio_net_show_mac(s);
	}
}

static void reset(struct virtio_dev *v)
{
	struct virtio_net *s = of(v);

	memcpy(s->mac, s->first_mac, 6);
	memset(s->mode, 0, sizeof(s->mode));
	/* A driver that sets no filter hears everything. */
	s->mode[MODE_PROMISC] = 1;
	memset(s->vlans, 0, sizeof(s->vlans));
	s->mac_count = s->unicast_count = 0;
	s->all_uni = s->all_multi = s->announce = 0;
	s->offloads = 0;
	virtio_net_set_can(s);
	virtio_net_show_mac(s);
	virtio_net_show_status(s);
	virtio_net_use_pairs(s, 1);
	net_ready(&s->pair[0].end);
}

/* Drivers spin for the control queue's answers: the last one, or behind the first pair. */
static bool patient(const struct virtio_dev *v, unsigned q)
{
	return q != 2 && q + 1 != v->queues;
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_NET,
	.legacy_id = 0x1000,
	.pci_class = 0x0200,
	.config_size = CFG_BYTES,
	.negotiated = negotiated,
	.kick = kick,
	.config_written = config_written,
	.reset = reset,
	.patient = patient,
};

static bool state_ok(const struct virtio_net *s)
{
	for (unsigned i = 0; i < RX_MODES; i++) {
		if (s->mode[i] > 1)
			return false;
	}
	/* Only a driver that knows of several pairs has them. */
	if (s->pairs > (virtio_has(&s->v, F_MQ) ? s->pairs_max : 1))
		return false;
	return s->mac_count <= MACS_MAX && s->unicast_count <= s->mac_count && s->all_uni <= 1 &&
	       s->all_multi <= 1 && s->announce <= 1 &&
	       !(s->offloads & ~(s->v.features & GUEST_OFFLOADS));
}

static int post_load(struct device *dev)
{
	struct virtio_net *s = container_of(dev, struct virtio_net, v.pci.dev);
	int r = virtio_dev_loaded(&s->v);

	if (!s->pairs)
		s->pairs = 1;
	if (r || !state_ok(s))
		return -EINVAL;
	for (unsigned i = 0; i < s->pairs_max; i++)
		net_use(&s->pair[i].end, i < s->pairs);
	virtio_net_set_can(s);
	/* It may be elsewhere now: switches are to learn of it (§5.1.6.5.4). */
	s->announce = virtio_has(&s->v, F_GUEST_ANNOUNCE) && virtio_has(&s->v, F_STATUS) &&
		      virtio_has(&s->v, F_CTRL_VQ);
	virtio_net_show_mac(s);
	virtio_net_show_status(s);
	if (s->announce)
		virtio_config_changed(&s->v);
	for (unsigned i = 0; i < s->pairs_max; i++)
		net_ready(&s->pair[i].end);
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_net, v),
	STATE_ARRAY(struct virtio_net, mac),
	STATE_ARRAY(struct virtio_net, mode),
	STATE_BUFFER(struct virtio_net, macs),
	STATE_FIELD(struct virtio_net, mac_count),
	STATE_FIELD(struct virtio_net, unicast_count),
	STATE_FIELD(struct virtio_net, all_uni),
	STATE_FIELD(struct virtio_net, all_multi),
	STATE_BUFFER(struct virtio_net, vlans),
	STATE_FIELD(struct virtio_net, offloads),
	STATE_FIELD(struct virtio_net, announce),
	STATE_FIELD_SINCE(struct virtio_net, pairs, 2),
	STATE_END,
};

static const struct device_class virtio_net_class = {
	.name = "virtio-net",
	.version = 2,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

static uint64_t offer(const struct virtio_net_config *c)
{
	uint64_t f = F_MAC | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA |
		     F_CTRL_MAC_ADDR | F_GUEST_ANNOUNCE | F_CTRL_GUEST_OFFLOADS;

	f |= c->no_mrg_rxbuf ? 0 : F_MRG_RXBUF;
	f |= c->mtu ? F_MTU : 0;
	f |= c->mq ? F_MQ : 0;
	if (!c->no_csum)
		f |= F_CSUM | (c->no_tso ? 0 : F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN);
	if (!c->no_guest_csum)
		f |= F_GUEST_CSUM |
		     (c->no_guest_tso ? 0 : F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN);
	return f;
}

struct virtio_net *virtio_net_new(const struct virtio_net_config *cfg, struct lodge_err *err)
{
	struct virtio_net *s = calloc(1, sizeof(*s));
	struct virtio_config vc = cfg->virtio;

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-net card");
		return NULL;
	}
	vc.features = offer(cfg);
	s->pairs_max = (unsigned)min_u64((vc.queues - 1) / 2, VIRTIO_NET_PAIRS_MAX);
	for (unsigned i = 0; i < s->pairs_max; i++) {
		struct virtio_net_pair *pair = &s->pair[i];

		pair->s = s;
		pair->n = i;
		net_end_init(&pair->end, &end_ops, pair, 0);
	}
	memcpy(s->first_mac, cfg->mac, 6);
	if (virtio_dev_init(&s->v, &vc, &virtio_net_class, &ops, err)) {
		free(s);
		return NULL;
	}
	for (unsigned i = 0; i < s->pairs_max; i++) {
		if (cfg->rx_queue_size)
			virtio_set_queue_size(&s->v, virtio_net_rx_queue(i), cfg->rx_queue_size);
		if (cfg->tx_queue_size)
			virtio_set_queue_size(&s->v, virtio_net_tx_queue(i), cfg->tx_queue_size);
	}
	virtio_set_queue_size(&s->v, 2 * s->pairs_max, CTRL_QUEUE_SIZE);
	for (unsigned i = 0; i < 6; i++)
		virtio_config_reg(&s->v, "mac", CFG_MAC + i, 1, cfg->mac[i], 0xff);
	virtio_config_reg(&s->v, "status", CFG_STATUS, 2, 0, 0);
	virtio_config_reg(&s->v, "max_virtqueue_pairs", CFG_PAIRS, 2, s->pairs_max, 0);
	virtio_config_reg(&s->v, "mtu", CFG_MTU, 2, cfg->mtu, 0);
	reset(&s->v);
	return s;
}

void virtio_net_free(struct virtio_net *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->pairs_max; i++)
		net_disconnect(&s->pair[i].end);
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_net_device(struct virtio_net *s)
{
	return &s->v.pci.dev;
}

struct pci_dev *virtio_net_pci(struct virtio_net *s)
{
	return &s->v.pci;
}

struct net_end *virtio_net_end(struct virtio_net *s, unsigned pair)
{
	return &s->pair[pair].end;
}
