// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-balloon. See virtio_balloon.h.
 * Source: virtio 1.2 §5.5. Threads: with the VM lock held.
 * Saved state: version 1. The chain that is out is that of the statistics queue.
 */
#include "devices/virtio/virtio_balloon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"

#define F_STATS_VQ VIRTIO_F_BIT(1)
#define F_DEFLATE_ON_OOM VIRTIO_F_BIT(2)
#define F_REPORTING VIRTIO_F_BIT(5)

/* struct virtio_balloon_config (§5.5.4). */
enum { CFG_NUM_PAGES = 0, CFG_ACTUAL = 4, CFG_BYTES = 16 };

#define Q_INFLATE 0u
#define Q_DEFLATE 1u
#define Q_STATS 2u /* if it was negotiated; the reporting queue is the one behind */
#define QUEUES 4u
#define QUEUE_SIZE 128u

#define BALLOON_PAGE_BITS 12 /* always (§5.5.6) */
/* Page numbers looked at in one chain: what is beyond stays the host's loss. */
#define PFNS_MAX 16384u
#define PFNS_PIECE 256u
/* Bytes that one kick gives back before others get the VM lock. */
#define KICK_BYTES (64ull << 20)
#define STAT_BYTES 10u

struct virtio_balloon {
	struct virtio_dev v;
	unsigned stats_s;
	struct io_timer stats_timer;
	struct vq_chain *stats_chain; /* goes back when statistics are wanted */
	uint64_t given_back;
	void (*changed)(void *opaque, uint64_t bytes);
	void *opaque;
	uint64_t stats[VIRTIO_BALLOON_STATS];
	/* Saved. */
	uint32_t num_pages, actual;
};

/* ---- Inflation ------------------------------------------------------------------------------------ */

static void give_back(struct virtio_balloon *s, gpa_t gpa, uint64_t len)
{
	s->given_back += mem_discard(s->v.mem, gpa, len);
}

/* Page numbers, neighbours together in whichever direction they run. Returns bytes named. */
static uint64_t inflate(struct virtio_balloon *s, const struct vq_chain *c)
{
	uint8_t raw[4 * PFNS_PIECE];
	gpa_t first = 0, end = 0;
	uint64_t off = 0;
	size_t n;

	while (off < 4ull * PFNS_MAX && (n = vq_chain_read(c, off, raw, sizeof(raw))) >= 4) {
		for (size_t i = 0; i + 4 <= n; i += 4) {
			gpa_t gpa = (gpa_t)ld_le32(raw + i) << BALLOON_PAGE_BITS;

			if (gpa == end && end) {
				end += PAGE_BYTES;
			} else if (gpa + PAGE_BYTES == first) {
				first = gpa;
			} else {
				give_back(s, first, end - first);
				first = gpa;
				end = gpa + PAGE_BYTES;
			}
		}
		off += n;
	}
	give_back(s, first, end - first);
	return off / 4 * PAGE_BYTES;
}

/* §5.5.6.7: the buffers themselves are what is free. */
static uint64_t report(struct virtio_balloon *s, const struct vq_chain *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n_segs; i++) {
		give_back(s, c->segs[i].gpa, c->segs[i].len);
		sum += c->segs[i].len;
	}
	return sum;
}

static void take(struct virtio_balloon *s, unsigned q)
{
	bool reports = q != Q_INFLATE && q != Q_DEFLATE;
	struct vq_chain *c;
	uint64_t bytes = 0;
	unsigned n = 0;

	while (n < VIRTIO_BATCH && bytes < KICK_BYTES && (c = virtio_pop(&s->v, q))) {
		n++;
		if (q == Q_INFLATE)
			bytes += inflate(s, c);
		else if (reports)
			bytes += report(s, c);
		/* Deflation: a page comes back by being used. */
		virtqueue_push(c->vq, c, 0);
	}
	if (n == VIRTIO_BATCH || bytes >= KICK_BYTES)
		virtio_again(&s->v, q);
	virtio_notify(&s->v, q);
}

/* ---- Statistics (§5.5.6.3) -------------------------------------------------------------------------- */

static void read_stats(struct virtio_balloon *s, const struct vq_chain *c)
{
	uint8_t raw[STAT_BYTES];

	for (unsigned i = 0; i < 2 * VIRTIO_BALLOON_STATS; i++) {
		unsigned tag;

		if (vq_chain_read(c, (uint64_t)i * STAT_BYTES, raw, sizeof(raw)) != sizeof(raw))
			break;
		tag = ld_le16(raw);
		if (tag < VIRTIO_BALLOON_STATS)
			s->stats[tag] = ld_le64(raw + 2);
	}
}

static void arm_stats(struct virtio_balloon *s)
{
	if (s->stats_s && s->stats_chain)
		io_timer_arm(&s->stats_timer, clock_vm_ns() + s->stats_s * NS_PER_SEC);
}

/* The driver put one buffer in: kept until the next are wanted. A second one takes its place. */
static void stats_kick(struct virtio_balloon *s)
{
	struct vq_chain *c;
	unsigned n = 0;

	while (n++ < VIRTIO_BATCH && (c = virtio_pop(&s->v, Q_STATS))) {
		read_stats(s, c);
		if (s->stats_chain)
			virtqueue_push(s->stats_chain->vq, s->stats_chain, 0);
		s->stats_chain = c;
	}
	virtio_notify(&s->v, Q_STATS);
	arm_stats(s);
}

static void stats_due(void *opaque)
{
	struct virtio_balloon *s = opaque;
	struct vq_chain *c = s->stats_chain;

	if (!c)
		return;
	s->stats_chain = NULL;
	virtqueue_push(c->vq, c, 0);
	virtio_notify(&s->v, Q_STATS);
}

/* ---- The device --------------------------------------------------------------------------------------- */

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_balloon *s = container_of(v, struct virtio_balloon, v);
	unsigned stats = virtio_has(v, F_STATS_VQ) ? Q_STATS : QUEUES;
	unsigned reporting = virtio_has(v, F_REPORTING) ? (stats == Q_STATS ? 3 : 2) : QUEUES;

	if (q == stats)
		stats_kick(s);
	else if (q <= Q_DEFLATE || q == reporting)
		take(s, q);
}

static void config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	struct virtio_balloon *s = container_of(v, struct virtio_balloon, v);

	if (reg_hit(off, size, CFG_ACTUAL, 4)) {
		s->actual = reg_get32(&v->config, CFG_ACTUAL);
		if (s->changed)
			s->changed(s->opaque, virtio_balloon_actual(s));
	}
}

static void drop(struct virtio_dev *v, unsigned q)
{
	struct virtio_balloon *s = container_of(v, struct virtio_balloon, v);

	if (q != VIRTIO_ALL_QUEUES && q != Q_STATS)
		return;
	io_timer_cancel(&s->stats_timer);
	vq_chain_free(s->stats_chain);
	s->stats_chain = NULL;
}

/* A driver that starts anew has all its memory. */
static void reset(struct virtio_dev *v)
{
	struct virtio_balloon *s = container_of(v, struct virtio_balloon, v);

	s->actual = 0;
	reg_set32(&v->config, CFG_ACTUAL, 0);
	memset(s->stats, 0xff, sizeof(s->stats));
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_BALLOON,
	.legacy_id = 0x1002,
	.pci_class = 0x00ff,
	.config_size = CFG_BYTES,
	.kick = kick,
	.config_written = config_written,
	.drop = drop,
	.reset = reset,
};

/* The statistics' chain was out: it is kept here now. */
static void refetch(struct virtio_balloon *s)
{
	struct virtqueue *vq = &s->v.vq[Q_STATS];

	for (unsigned head = 0; head < vq->size && vq->out; head++) {
		struct vq_chain *c;

		if (!(vq->out_map[head / 8] & 1u << head % 8))
			continue;
		if (virtqueue_refetch(vq, (uint16_t)head, &c) != 1) {
			virtio_error(&s->v, vq->why ? vq->why : "no memory for a chain");
			return;
		}
		s->stats_chain = c;
		arm_stats(s);
		return;
	}
}

static int post_load(struct device *dev)
{
	struct virtio_balloon *s = container_of(dev, struct virtio_balloon, v.pci.dev);

	if (virtio_dev_loaded(&s->v))
		return -EINVAL;
	for (unsigned q = 0; q < QUEUES; q++) {
		if (s->v.vq[q].out > (q == Q_STATS && virtio_has(&s->v, F_STATS_VQ) ? 1 : 0))
			return -EINVAL;
	}
	reg_set32(&s->v.config, CFG_NUM_PAGES, s->num_pages);
	reg_set32(&s->v.config, CFG_ACTUAL, s->actual);
	refetch(s);
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_balloon, v),
	STATE_FIELD(struct virtio_balloon, num_pages),
	STATE_FIELD(struct virtio_balloon, actual),
	STATE_END,
};

const struct device_class virtio_balloon_class = {
	.name = "virtio-balloon",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

void virtio_balloon_set_target(struct virtio_balloon *s, uint64_t bytes)
{
	uint64_t ram = mem_ram_bytes(s->v.mem);
	uint64_t pages = bytes && bytes < ram ? (ram - bytes) >> BALLOON_PAGE_BITS : 0;

	s->num_pages = (uint32_t)min_u64(pages, UINT32_MAX);
	reg_set32(&s->v.config, CFG_NUM_PAGES, s->num_pages);
	virtio_config_changed(&s->v);
}

uint64_t virtio_balloon_actual(const struct virtio_balloon *s)
{
	uint64_t ram = mem_ram_bytes(s->v.mem);

	return ram - min_u64(ram, (uint64_t)s->actual << BALLOON_PAGE_BITS);
}

struct virtio_balloon *virtio_balloon_of(struct device *dev)
{
	return container_of(dev, struct virtio_balloon, v.pci.dev);
}

bool virtio_balloon_active(const struct virtio_balloon *s)
{
	return virtio_running(&s->v);
}

uint64_t virtio_balloon_given_back(const struct virtio_balloon *s)
{
	return s->given_back;
}

const uint64_t *virtio_balloon_stats(const struct virtio_balloon *s)
{
	return s->stats;
}

struct virtio_balloon *virtio_balloon_new(const struct virtio_balloon_config *cfg,
					  struct lodge_err *err)
{
	struct virtio_balloon *s = calloc(1, sizeof(*s));
	struct virtio_config vc = cfg->virtio;

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-balloon device");
		return NULL;
	}
	vc.queues = cfg->reporting ? QUEUES : QUEUES - 1;
	vc.queue_size = QUEUE_SIZE;
	vc.features = F_STATS_VQ | (cfg->deflate_on_oom ? F_DEFLATE_ON_OOM : 0) |
		      (cfg->reporting ? F_REPORTING : 0);
	s->stats_s = cfg->stats_s;
	s->changed = cfg->changed;
	s->opaque = cfg->opaque;
	io_timer_init(&s->stats_timer, vc.loop, stats_due, s);
	if (virtio_dev_init(&s->v, &vc, &virtio_balloon_class, &ops, err)) {
		free(s);
		return NULL;
	}
	virtio_config_reg(&s->v, "num_pages", CFG_NUM_PAGES, 4, 0, 0);
	virtio_config_reg(&s->v, "actual", CFG_ACTUAL, 4, 0, 0xffffffff);
	reset(&s->v);
	virtio_balloon_set_target(s, cfg->target_bytes);
	return s;
}

void virtio_balloon_free(struct virtio_balloon *s)
{
	if (!s)
		return;
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_balloon_device(struct virtio_balloon *s)
{
	return &s->v.pci.dev;
}
