// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio network card.
 * Source: virtio 1.2 §5.1. Saved state: version 1. No chain stays out: a frame that cannot be sent, or for
 * which there are no buffers, leaves its queue as it was.
 *
 * Frames are taken from and put into guest memory in place; whoever works on one (checksums, segments)
 * works on a copy.
 * Threads: with the VM lock held.
 */
#include "devices/virtio/virtio_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "net/offload.h"

/* Features (§5.1.3). */
#define F_CSUM VIRTIO_F_BIT(0)
#define F_GUEST_CSUM VIRTIO_F_BIT(1)
#define F_CTRL_GUEST_OFFLOADS VIRTIO_F_BIT(2)
#define F_MTU VIRTIO_F_BIT(3)
#define F_MAC VIRTIO_F_BIT(5)
#define F_GUEST_TSO4 VIRTIO_F_BIT(7)
#define F_GUEST_TSO6 VIRTIO_F_BIT(8)
#define F_GUEST_ECN VIRTIO_F_BIT(9)
#define F_HOST_TSO4 VIRTIO_F_BIT(11)
#define F_HOST_TSO6 VIRTIO_F_BIT(12)
#define F_HOST_ECN VIRTIO_F_BIT(13)
#define F_MRG_RXBUF VIRTIO_F_BIT(15)
#define F_STATUS VIRTIO_F_BIT(16)
#define F_CTRL_VQ VIRTIO_F_BIT(17)
#define F_CTRL_RX VIRTIO_F_BIT(18)
#define F_CTRL_VLAN VIRTIO_F_BIT(19)
#define F_CTRL_RX_EXTRA VIRTIO_F_BIT(20)
#define F_GUEST_ANNOUNCE VIRTIO_F_BIT(21)
#define F_CTRL_MAC_ADDR VIRTIO_F_BIT(23)
#define GUEST_OFFLOADS (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

/* Device configuration (§5.1.4). */
#define CFG_MAC 0u
#define CFG_STATUS 6u
#define CFG_PAIRS 8u
#define CFG_MTU 10u
#define CFG_BYTES 12u
#define S_LINK_UP 1u
#define S_ANNOUNCE 2u

enum { RX_QUEUE, TX_QUEUE, CTRL_QUEUE };

/* struct virtio_net_hdr (§5.1.6): without num_buffers for a legacy driver that does not merge. */
#define HDR_SHORT 10u
#define HDR_BYTES 12u

/* Control commands (§5.1.6.5): class << 8 | command. */
enum {
	CTRL_PROMISC = 0x0000,
	CTRL_ALLMULTI = 0x0001,
	CTRL_ALLUNI = 0x0002,
	CTRL_NOMULTI = 0x0003,
	CTRL_NOUNI = 0x0004,
	CTRL_NOBCAST = 0x0005,
	CTRL_MAC_TABLE = 0x0100,
	CTRL_MAC_ADDR = 0x0101,
	CTRL_VLAN_ADD = 0x0200,
	CTRL_VLAN_DEL = 0x0201,
	CTRL_ANNOUNCE_ACK = 0x0300,
	CTRL_OFFLOADS = 0x0500,
};
#define RX_MODES 6u

#define MACS_MAX 64u
#define VLANS 4096u
/* Chains that one received frame may take: more than 64 KiB of the smallest sensible buffers. */
#define MERGE_MAX 64u

struct virtio_net {
	struct virtio_dev v;
	struct net_end end;
	uint8_t first_mac[6];
	bool in_tx;
	/* Saved. */
	uint8_t mac[6];
	uint8_t mode[RX_MODES];	    /* by command of class RX */
	uint8_t macs[MACS_MAX * 6]; /* unicast first */
	uint32_t mac_count, unicast_count;
	uint8_t all_uni, all_multi; /* the driver's tables were too long */
	uint8_t vlans[VLANS / 8];
	uint64_t offloads; /* of GUEST_OFFLOADS, those in use */
	uint8_t announce;
};

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
static bool send_chain(struct virtio_net *s, struct vq_chain *c)
{
	unsigned hdr = hdr_bytes(s), n;
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
	if (!net_send(&s->end, iov, n, &off)) {
		virtqueue_unpop(c->vq, c);
		return false;
	}
done:
	virtqueue_push(c->vq, c, 0);
	return true;
}

static void transmit(struct virtio_net *s)
{
	struct vq_chain *c;
	unsigned n = 0;

	if (s->in_tx)
		return;
	s->in_tx = true;
	while (n < VIRTIO_BATCH && (c = virtio_pop(&s->v, TX_QUEUE))) {
		if (!send_chain(s, c))
			break;
		n++;
	}
	s->in_tx = false;
	if (n == VIRTIO_BATCH)
		virtio_again(&s->v, TX_QUEUE);
	if (n)
		virtio_notify(&s->v, TX_QUEUE);
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

	if (s->mode[CTRL_PROMISC])
		return true;
	if (virtio_has(&s->v, F_CTRL_VLAN) && len >= NET_ETH_BYTES + NET_VLAN_BYTES &&
	    ld_be16(f + 12) == NET_ETHERTYPE_VLAN) {
		vid = ld_be16(f + 14) & 0xfff;
		if (!(s->vlans[vid / 8] & 1u << vid % 8))
			return false;
	}
	if (!memcmp(f, "\xff\xff\xff\xff\xff\xff", 6))
		return !s->mode[CTRL_NOBCAST];
	if (f[0] & 1) {
		if (s->mode[CTRL_NOMULTI])
			return false;
		return s->mode[CTRL_ALLMULTI] || s->all_multi ||
		       in_table(s, f, s->unicast_count, s->mac_count);
	}
	if (s->mode[CTRL_NOUNI])
		return false;
	return s->mode[CTRL_ALLUNI] || s->all_uni || !memcmp(f, s->mac, 6) ||
	       in_table(s, f, 0, s->unicast_count);
}

/* Buffers for `len` bytes: how many chains, or 0 if there are not enough now; *total is what they hold. */
static unsigned take_buffers(struct virtio_net *s, struct vq_chain **c, uint64_t len,
			     uint64_t *total)
{
	unsigned most = virtio_has(&s->v, F_MRG_RXBUF) ? MERGE_MAX : 1, n = 0;

	*total = 0;
	while (n < most && *total < len) {
		c[n] = virtio_pop(&s->v, RX_QUEUE);
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
	struct virtio_net *s = opaque;
	struct vq_chain *c[MERGE_MAX];
	size_t len = net_iov_bytes(iov, iovs), linear;
	unsigned hdr = hdr_bytes(s), n;
	uint8_t head[NET_ETH_BYTES + NET_VLAN_BYTES], h[HDR_BYTES];
	uint64_t total;

	if (!virtio_running(&s->v) || !s->v.vq[RX_QUEUE].enabled || len < NET_ETH_BYTES)
		return true; /* lost */
	linear = iov_read(iov, iovs, 0, head, sizeof(head));
	if (!wanted(s, head, linear))
		return true;
	n = take_buffers(s, c, hdr + len, &total);
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
	virtio_notify(&s->v, RX_QUEUE);
	return true;
}

/* What this end can take is what the driver said it takes. */
static void set_can(struct virtio_net *s)
{
	uint64_t o = s->offloads;

	s->end.can = 0;
	if (!(o & F_GUEST_CSUM))
		return;
	s->end.can = NET_CAN_CSUM;
	/* Long frames want buffers that merge, or ones of 64 KiB, which such a driver has. */
	if (o & F_GUEST_TSO4)
		s->end.can |= NET_CAN_TSO4;
	if (o & F_GUEST_TSO6)
		s->end.can |= NET_CAN_TSO6;
	if (o & F_GUEST_ECN)
		s->end.can |= NET_CAN_ECN;
}

/* ---- Control queue (§5.1.6.5) -----------------------------------------------------------------------
 */

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

static void show_mac(struct virtio_net *s)
{
	for (unsigned i = 0; i < 6; i++)
		reg_set8(&s->v.config, CFG_MAC + i, s->mac[i]);
}

static void show_status(struct virtio_net *s)
{
	bool up = s->end.peer && !s->end.link_down && !s->end.peer->link_down;

	reg_set16(&s->v.config, CFG_STATUS,
		  (uint16_t)((up ? S_LINK_UP : 0) | (s->announce ? S_ANNOUNCE : 0)));
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
	set_can(s);
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
		s->mode[cmd] = arg & 1;
		return 0;
	case CTRL_MAC_TABLE:
		return set_tables(s, c);
	case CTRL_MAC_ADDR:
		if (vq_chain_read(c, 2, s->mac, 6) != 6)
			return -EINVAL;
		show_mac(s);
		return 0;
	case CTRL_VLAN_ADD:
	case CTRL_VLAN_DEL:
		return set_vlan(s, c, cmd == CTRL_VLAN_ADD);
	case CTRL_ANNOUNCE_ACK:
		s->announce = 0;
		show_status(s);
		return 0;
	case CTRL_OFFLOADS:
		return set_offloads(s, c);
	default:
		return -EINVAL;
	}
}

static void run_control(struct virtio_net *s)
{
	struct vq_chain *c;
	unsigned n = 0;

	while (n < VIRTIO_BATCH && (c = virtio_pop(&s->v, CTRL_QUEUE))) {
		uint8_t ack = control(s, c) ? 1 : 0;
		size_t written = vq_chain_write(c, 0, &ack, 1);

		virtqueue_push(c->vq, c, written);
		n++;
	}
	if (n == VIRTIO_BATCH)
		virtio_again(&s->v, CTRL_QUEUE);
	virtio_notify(&s->v, CTRL_QUEUE);
}

/* ---- Life -----------------------------------------------------------------------------------------
 */

static void net_link(void *opaque, bool up)
{
	struct virtio_net *s = opaque;
	uint16_t before = reg_get16(&s->v.config, CFG_STATUS);

	(void)up;
	show_status(s);
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

	if (q == RX_QUEUE)
		net_ready(&s->end);
	else if (q == TX_QUEUE)
		transmit(s);
	else
		run_control(s);
}

static void negotiated(struct virtio_dev *v)
{
	struct virtio_net *s = of(v);

	s->offloads = v->features & GUEST_OFFLOADS;
	set_can(s);
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
		show_mac(s);
	}
}

static void reset(struct virtio_dev *v)
{
	struct virtio_net *s = of(v);

	memcpy(s->mac, s->first_mac, 6);
	memset(s->mode, 0, sizeof(s->mode));
	/* A driver that sets no filter hears everything. */
	s->mode[CTRL_PROMISC] = 1;
	memset(s->vlans, 0, sizeof(s->vlans));
	s->mac_count = s->unicast_count = 0;
	s->all_uni = s->all_multi = s->announce = 0;
	s->offloads = 0;
	set_can(s);
	show_mac(s);
	show_status(s);
	net_ready(&s->end);
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
};

static bool state_ok(const struct virtio_net *s)
{
	for (unsigned i = 0; i < RX_MODES; i++) {
		if (s->mode[i] > 1)
			return false;
	}
	return s->mac_count <= MACS_MAX && s->unicast_count <= s->mac_count && s->all_uni <= 1 &&
	       s->all_multi <= 1 && s->announce <= 1 &&
	       !(s->offloads & ~(s->v.features & GUEST_OFFLOADS));
}

static int post_load(struct device *dev)
{
	struct virtio_net *s = container_of(dev, struct virtio_net, v.pci.dev);
	int r = virtio_dev_loaded(&s->v);

	if (r || !state_ok(s))
		return -EINVAL;
	set_can(s);
	/* It may be elsewhere now: switches are to learn of it (§5.1.6.5.4). */
	s->announce = virtio_has(&s->v, F_GUEST_ANNOUNCE) && virtio_has(&s->v, F_STATUS) &&
		      virtio_has(&s->v, F_CTRL_VQ);
	show_mac(s);
	show_status(s);
	if (s->announce)
		virtio_config_changed(&s->v);
	net_ready(&s->end);
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_net, v), STATE_ARRAY(struct virtio_net, mac),
	STATE_ARRAY(struct virtio_net, mode),	   STATE_BUFFER(struct virtio_net, macs),
	STATE_FIELD(struct virtio_net, mac_count), STATE_FIELD(struct virtio_net, unicast_count),
	STATE_FIELD(struct virtio_net, all_uni),   STATE_FIELD(struct virtio_net, all_multi),
	STATE_BUFFER(struct virtio_net, vlans),	   STATE_FIELD(struct virtio_net, offloads),
	STATE_FIELD(struct virtio_net, announce),  STATE_END,
};

static const struct device_class virtio_net_class = {
	.name = "virtio-net",
	.version = 1,
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
	net_end_init(&s->end, &end_ops, s, 0);
	memcpy(s->first_mac, cfg->mac, 6);
	if (virtio_dev_init(&s->v, &vc, &virtio_net_class, &ops, err)) {
		free(s);
		return NULL;
	}
	if (cfg->rx_queue_size)
		virtio_set_queue_size(&s->v, RX_QUEUE, cfg->rx_queue_size);
	if (cfg->tx_queue_size)
		virtio_set_queue_size(&s->v, TX_QUEUE, cfg->tx_queue_size);
	virtio_set_queue_size(&s->v, CTRL_QUEUE, 64);
	for (unsigned i = 0; i < 6; i++)
		virtio_config_reg(&s->v, "mac", CFG_MAC + i, 1, cfg->mac[i], 0xff);
	virtio_config_reg(&s->v, "status", CFG_STATUS, 2, 0, 0);
	virtio_config_reg(&s->v, "max_virtqueue_pairs", CFG_PAIRS, 2, 1, 0);
	virtio_config_reg(&s->v, "mtu", CFG_MTU, 2, cfg->mtu, 0);
	reset(&s->v);
	return s;
}

void virtio_net_free(struct virtio_net *s)
{
	if (!s)
		return;
	net_disconnect(&s->end);
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

struct net_end *virtio_net_end(struct virtio_net *s)
{
	return &s->end;
}
