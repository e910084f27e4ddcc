// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-blk: a disk with up to 64 request queues. See virtio_blk.h.
 * Source: virtio 1.2 §5.2. Threads: with the VM lock held; data moves without it (block/queue.h).
 * Saved state: version 1. Requests under way are described by their heads, and made again after loading.
 */
#include "devices/virtio/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

/* Features (§5.2.3). */
#define F_SEG_MAX VIRTIO_F_BIT(2)
#define F_GEOMETRY VIRTIO_F_BIT(4)
#define F_RO VIRTIO_F_BIT(5)
#define F_BLK_SIZE VIRTIO_F_BIT(6)
#define F_FLUSH VIRTIO_F_BIT(9)
#define F_TOPOLOGY VIRTIO_F_BIT(10)
#define F_CONFIG_WCE VIRTIO_F_BIT(11)
#define F_MQ VIRTIO_F_BIT(12)
#define F_DISCARD VIRTIO_F_BIT(13)
#define F_WRITE_ZEROES VIRTIO_F_BIT(14)

/* struct virtio_blk_config (§5.2.4). */
enum {
	CFG_CAPACITY = 0,
	CFG_SEG_MAX = 12,
	CFG_CYLINDERS = 16,
	CFG_HEADS = 18,
	CFG_SECTORS = 19,
	CFG_BLK_SIZE = 20,
	CFG_PHYSICAL_BLOCK_EXP = 24,
	CFG_MIN_IO_SIZE = 26,
	CFG_OPT_IO_SIZE = 28,
	CFG_WRITEBACK = 32,
	CFG_NUM_QUEUES = 34,
	CFG_MAX_DISCARD_SECTORS = 36,
	CFG_MAX_DISCARD_SEG = 40,
	CFG_DISCARD_ALIGNMENT = 44,
	CFG_MAX_ZEROES_SECTORS = 48,
	CFG_MAX_ZEROES_SEG = 52,
	CFG_ZEROES_MAY_UNMAP = 56,
	CFG_BYTES = 60,
};

/* Requests (§5.2.6). */
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };
#define HEADER_BYTES 16u
#define RANGE_BYTES 16u /* struct virtio_blk_discard_write_zeroes */
#define RANGE_UNMAP 1u

#define GEOMETRY_HEADS 16u
#define GEOMETRY_SECTORS 63u
#define RANGE_SECTORS_MAX 0x3fffffu /* 2 GiB less one sector in one request */

/* Pieces of memory under way at once, over all queues: more chains wait in their rings. */
#define SEGS_MAX 32768u

struct virtio_blk {
	struct virtio_dev v;
	struct blk_queue *queue;
	bool read_only, write_cache; /* as it is after a reset */
	unsigned block;		     /* logical, in bytes */
	uint64_t capacity;	     /* bytes, whole blocks */
	char serial[VIRTIO_BLK_SERIAL];
	uint8_t writeback;     /* saved: as the driver sees it */
	struct list under_way; /* struct request */
	unsigned segs;	       /* of those */
	bool starved;	       /* chains were left in rings for want of segs */
};

struct request {
	struct blk_req blk;
	struct list link;
	struct virtio_blk *s;
	struct vq_chain *c;
	unsigned segs;
	uint8_t *status;
};

/* ---- Ends ---------------------------------------------------------------------------------------- */

static unsigned queue_of(const struct virtio_blk *s, const struct virtqueue *vq)
{
	return (unsigned)(vq - s->v.vq);
}

static void finish(struct vq_chain *c, uint8_t *status, uint8_t val)
{
	*status = val;
	virtqueue_push(c->vq, c, c->in_len);
}

static void request_free(struct request *r)
{
	r->s->segs -= r->segs;
	list_del(&r->link);
	free(r);
}

static void request_done(struct blk_req *blk, int result)
{
	struct request *r = container_of(blk, struct request, blk);
	struct virtio_blk *s = r->s;
	unsigned q = queue_of(s, r->c->vq);

	if (s->v.resetting) {
		vq_chain_free(r->c);
		request_free(r);
		virtio_drained(&s->v);
		return;
	}
	finish(r->c, r->status, !result ? S_OK : result == -ENOTSUP ? S_UNSUPP : S_IOERR);
	request_free(r);
	virtio_notify(&s->v, q);
	if (s->starved && s->segs <= SEGS_MAX / 2) {
		s->starved = false;
		virtio_all_again(&s->v);
	}
}

/* ---- Beginnings ----------------------------------------------------------------------------------- */

/* Whole blocks inside the disk. */
static bool place_ok(const struct virtio_blk *s, uint64_t sector, uint64_t bytes, uint64_t *off)
{
	return mul_ok(sector, BLK_SECTOR, off) && *off % s->block == 0 && bytes % s->block == 0 &&
	       range_ok(*off, bytes, s->capacity);
}

/* Reads and writes: the rest of the chain is data. */
static uint8_t begin_transfer(struct virtio_blk *s, struct request *r, bool write, uint64_t sector)
{
	struct vq_chain *c = r->c;
	uint64_t bytes = write ? c->out_len - HEADER_BYTES : c->in_len - 1;

	if (write && s->read_only)
		return S_IOERR;
	if (!place_ok(s, sector, bytes, &r->blk.off))
		return S_IOERR;
	r->blk.op = write ? BLK_WRITE : BLK_READ;
	r->blk.len = bytes;
	r->blk.iov = write ? c->out : c->in;
	r->blk.niov = write ? c->n_out : c->n_in;
	return S_OK;
}

/* §5.2.6.2: one range a request. */
static uint8_t begin_range(struct virtio_blk *s, struct request *r, bool zeroes)
{
	uint8_t raw[RANGE_BYTES];
	uint32_t sectors, flags;

	if (!virtio_has(&s->v, zeroes ? F_WRITE_ZEROES : F_DISCARD))
		return S_UNSUPP;
	if (r->c->out_len != HEADER_BYTES + RANGE_BYTES ||
	    iov_read(r->c->out, r->c->n_out, 0, raw, sizeof(raw)) != sizeof(raw))
		return S_UNSUPP;
	sectors = ld_le32(raw + 8);
	flags = ld_le32(raw + 12);
	/* Bits that nobody knows, or an unmapping discard: unsupported, as the section says. */
	if (flags & ~RANGE_UNMAP || (!zeroes && flags))
		return S_UNSUPP;
	if (sectors > RANGE_SECTORS_MAX ||
	    !place_ok(s, ld_le64(raw), (uint64_t)sectors * BLK_SECTOR, &r->blk.off))
		return S_IOERR;
	r->blk.op = zeroes ? BLK_ZERO : BLK_DISCARD;
	r->blk.len = (uint64_t)sectors * BLK_SECTOR;
	r->blk.unmap = flags & RANGE_UNMAP;
	return S_OK;
}

/* §5.2.6.1: 20 bytes, zeros behind a shorter name. */
static void get_id(struct virtio_blk *s, struct vq_chain *c, uint8_t *status)
{
	iov_write(c->in, c->n_in, 0, s->serial, VIRTIO_BLK_SERIAL);
	finish(c, status, S_OK);
}

static void submit(struct virtio_blk *s, struct request *r)
{
	list_add_tail(&s->under_way, &r->link);
	s->segs += r->segs;
	r->blk.done = request_done;
	blk_queue_submit(s->queue, &r->blk);
}

static void begin(struct virtio_blk *s, struct vq_chain *c, uint8_t *status, const uint8_t *header)
{
	struct request *r = calloc(1, sizeof(*r));
	uint64_t sector = ld_le64(header + 8);
	uint8_t result;

	if (!r) {
		finish(c, status, S_IOERR);
		return;
	}
	*r = (struct request){.s = s, .c = c, .status = status, .segs = c->n_out + c->n_in + 8};
	switch (ld_le32(header)) {
	case T_IN:
	case T_OUT:
		result = begin_transfer(s, r, ld_le32(header) == T_OUT, sector);
		break;
	case T_FLUSH:
		r->blk.op = BLK_FLUSH;
		result = S_OK;
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		result = s->read_only ? S_IOERR
				      : begin_range(s, r, ld_le32(header) == T_WRITE_ZEROES);
		break;
	default:
		result = S_UNSUPP;
		break;
	}
	/* Nothing to move is nothing to do; a flush always is. */
	if (result == S_OK && (r->blk.len || r->blk.op == BLK_FLUSH)) {
		submit(s, r);
		return;
	}
	free(r);
	finish(c, status, result);
}

/* False: the chain is no request, and the device stands still now. */
static bool handle(struct virtio_blk *s, struct vq_chain *c)
{
	uint8_t header[HEADER_BYTES], *status;

	if (!c->in_len || vq_chain_read(c, 0, header, sizeof(header)) != sizeof(header)) {
		vq_chain_free(c);
		virtio_error(&s->v, "a request without header or status");
		return false;
	}
	status = (uint8_t *)c->in[c->n_in - 1].iov_base + c->in[c->n_in - 1].iov_len - 1;
	c->n_out = iov_cut_front(&c->out, c->n_out, HEADER_BYTES);
	c->n_in = iov_cut_back(c->in, c->n_in, 1);
	if (ld_le32(header) == T_GET_ID)
		get_id(s, c, status);
	else
		begin(s, c, status, header);
	return true;
}

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_blk *s = container_of(v, struct virtio_blk, v);
	unsigned n = 0;

	blk_queue_plug(s->queue);
	while (n < VIRTIO_BATCH) {
		struct vq_chain *c;

		if (s->segs >= SEGS_MAX) {
			s->starved = true;
			break;
		}
		c = virtio_pop(v, q);
		if (!c || !handle(s, c))
			break;
		n++;
	}
	blk_queue_unplug_now(s->queue);
	if (n == VIRTIO_BATCH)
		virtio_again(v, q);
	/* Some ended at once. */
	virtio_notify(v, q);
}

/* ---- Write cache (§5.2.5, §5.2.6.2) ------------------------------------------------------------- */

static void set_write_cache(struct virtio_blk *s, bool on)
{
	s->writeback = on;
	reg_set8(&s->v.config, CFG_WRITEBACK, on);
	blk_queue_set_write_cache(s->queue, on);
}

/* A driver that cannot flush gets its writes to the disk at once. */
static void negotiated(struct virtio_dev *v)
{
	struct virtio_blk *s = container_of(v, struct virtio_blk, v);

	if (!virtio_has(v, F_CONFIG_WCE))
		set_write_cache(s, s->write_cache && virtio_has(v, F_FLUSH));
}

static void config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	struct virtio_blk *s = container_of(v, struct virtio_blk, v);

	if (!reg_hit(off, size, CFG_WRITEBACK, 1))
		return;
	if (virtio_has(v, F_CONFIG_WCE))
		set_write_cache(s, reg_get8(&v->config, CFG_WRITEBACK) & 1);
	else
		reg_set8(&v->config, CFG_WRITEBACK, s->writeback);
}

/* ---- Life ----------------------------------------------------------------------------------------- */

static void drop(struct virtio_dev *v, unsigned q)
{
	struct virtio_blk *s = container_of(v, struct virtio_blk, v);
	struct list again, *node, *next;

	blk_queue_drain(s->queue);
	/* What is left was held by a machine that stopped (werror=stop). */
	blk_queue_drop_held(s->queue);
	list_init(&again);
	for (node = s->under_way.next; node != &s->under_way; node = next) {
		struct request *r = container_of(node, struct request, link);

		next = node->next;
		if (q == VIRTIO_ALL_QUEUES || q == queue_of(s, r->c->vq)) {
			vq_chain_free(r->c);
			request_free(r);
		} else {
			list_del(node);
			list_add_tail(&again, node);
		}
	}
	/* Those of other queues. */
	while (!list_empty(&again)) {
		struct request *r = container_of(again.next, struct request, link);

		list_del(&r->link);
		s->segs -= r->segs;
		submit(s, r);
	}
}

static bool busy(struct virtio_dev *v)
{
	return blk_queue_busy(container_of(v, struct virtio_blk, v)->queue);
}

static void reset(struct virtio_dev *v)
{
	struct virtio_blk *s = container_of(v, struct virtio_blk, v);

	s->starved = false;
	set_write_cache(s, s->write_cache);
}

/* Drivers sleep until a request is done. */
static bool patient(const struct virtio_dev *v, unsigned q)
{
	(void)v;
	(void)q;
	return true;
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_BLOCK,
	.legacy_id = 0x1001,
	.pci_class = 0x0100,
	.config_size = CFG_BYTES,
	.negotiated = negotiated,
	.kick = kick,
	.config_written = config_written,
	.drop = drop,
	.busy = busy,
	.reset = reset,
	.patient = patient,
};

/* Requests that were under way when the state was saved are made again. */
static int refetch(struct virtio_blk *s, unsigned q)
{
	struct virtqueue *vq = &s->v.vq[q];

	for (unsigned head = 0; head < vq->size; head++) {
		struct vq_chain *c;

		if (!(vq->out_map[head / 8] & 1u << head % 8))
			continue;
		if (virtqueue_refetch(vq, (uint16_t)head, &c) != 1) {
			virtio_error(&s->v, vq->why ? vq->why : "no memory for a chain");
			return 0;
		}
		if (!handle(s, c))
			return 0;
	}
	return 0;
}

static int post_load(struct device *dev)
{
	struct virtio_blk *s = container_of(dev, struct virtio_blk, v.pci.dev);
	bool on = s->writeback;
	int r = virtio_dev_loaded(&s->v);

	if (r || s->writeback > 1)
		return -EINVAL;
	set_write_cache(s, on);
	for (unsigned q = 0; q < s->v.queues && !r; q++)
		r = refetch(s, q);
	return r;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_blk, v),
	STATE_FIELD(struct virtio_blk, writeback),
	STATE_END,
};

static const struct device_class virtio_blk_class = {
	.name = "virtio-blk",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

static void set_capacity(struct virtio_blk *s)
{
	uint64_t sectors, cylinders;

	s->capacity = align_down(blk_size(blk_queue_image(s->queue)), s->block);
	sectors = s->capacity / BLK_SECTOR;
	cylinders = min_u64(sectors / (GEOMETRY_HEADS * GEOMETRY_SECTORS), 16383);
	virtio_config_reg(&s->v, "capacity", CFG_CAPACITY, 4, (uint32_t)sectors, 0);
	virtio_config_reg(&s->v, "capacity", CFG_CAPACITY + 4, 4, (uint32_t)(sectors >> 32), 0);
	virtio_config_reg(&s->v, "cylinders", CFG_CYLINDERS, 2, (uint32_t)cylinders, 0);
}

void virtio_blk_resized(struct virtio_blk *s)
{
	set_capacity(s);
	virtio_config_changed(&s->v);
}

static void fill_config(struct virtio_blk *s, const struct virtio_blk_config *cfg,
			unsigned physical)
{
	struct virtio_dev *v = &s->v;
	unsigned block_sectors = s->block / BLK_SECTOR;
	/* The most a driver may ask for, in whole blocks. */
	uint32_t most = RANGE_SECTORS_MAX / block_sectors * block_sectors;

	set_capacity(s);
	/* Header and status take two descriptors. */
	virtio_config_reg(v, "seg_max", CFG_SEG_MAX, 4,
			  cfg->virtio.queue_size > 3 ? cfg->virtio.queue_size - 2u : 1, 0);
	virtio_config_reg(v, "heads", CFG_HEADS, 1, GEOMETRY_HEADS, 0);
	virtio_config_reg(v, "sectors", CFG_SECTORS, 1, GEOMETRY_SECTORS, 0);
	virtio_config_reg(v, "blk_size", CFG_BLK_SIZE, 4, s->block, 0);
	virtio_config_reg(v, "physical_block_exp", CFG_PHYSICAL_BLOCK_EXP, 1,
			  (uint32_t)__builtin_ctz(physical / s->block), 0);
	virtio_config_reg(v, "min_io_size", CFG_MIN_IO_SIZE, 2, cfg->min_io / s->block, 0);
	virtio_config_reg(v, "opt_io_size", CFG_OPT_IO_SIZE, 4, cfg->opt_io / s->block, 0);
	virtio_config_reg(v, "writeback", CFG_WRITEBACK, 1, 0, 1);
	virtio_config_reg(v, "num_queues", CFG_NUM_QUEUES, 2, v->queues, 0);
	virtio_config_reg(v, "max_discard_sectors", CFG_MAX_DISCARD_SECTORS, 4, most, 0);
	virtio_config_reg(v, "max_discard_seg", CFG_MAX_DISCARD_SEG, 4, 1, 0);
	virtio_config_reg(v, "discard_sector_alignment", CFG_DISCARD_ALIGNMENT, 4, block_sectors,
			  0);
	virtio_config_reg(v, "max_write_zeroes_sectors", CFG_MAX_ZEROES_SECTORS, 4, most, 0);
	virtio_config_reg(v, "max_write_zeroes_seg", CFG_MAX_ZEROES_SEG, 4, 1, 0);
	virtio_config_reg(v, "write_zeroes_may_unmap", CFG_ZEROES_MAY_UNMAP, 1, 1, 0);
}

static bool block_size_ok(unsigned n)
{
	return n >= BLK_SECTOR && n <= 32768 && !(n & (n - 1));
}

static int check_config(const struct virtio_blk_config *cfg, unsigned logical, unsigned physical,
			struct lodge_err *err)
{
	if (!block_size_ok(logical) || !block_size_ok(physical) || physical < logical)
		return err_set(
			err, -EINVAL,
			"virtio-blk: blocks of %u bytes, physically %u; powers of two from "
			"512 to 32768 are possible, and physical ones not below logical ones",
			logical, physical);
	if (cfg->min_io % logical || cfg->opt_io % logical || cfg->min_io / logical > 0xffff)
		return err_set(err, -EINVAL,
			       "virtio-blk: min_io_size and opt_io_size are whole blocks");
	if (cfg->serial && strlen(cfg->serial) > VIRTIO_BLK_SERIAL)
		return err_set(err, -EINVAL, "virtio-blk: serial=%s is longer than %u bytes",
			       cfg->serial, VIRTIO_BLK_SERIAL);
	if (cfg->virtio.queues > VIRTIO_BLK_QUEUES_MAX)
		return err_set(err, -EINVAL, "virtio-blk: num-queues=%u; %u are the most",
			       cfg->virtio.queues, VIRTIO_BLK_QUEUES_MAX);
	return 0;
}

static uint64_t offer(const struct virtio_blk_config *cfg)
{
	uint64_t f = F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY;

	if (cfg->read_only)
		return f | F_RO | (cfg->virtio.queues > 1 ? F_MQ : 0);
	return f | (cfg->no_config_wce ? 0 : F_CONFIG_WCE) | (cfg->no_discard ? 0 : F_DISCARD) |
	       (cfg->no_write_zeroes ? 0 : F_WRITE_ZEROES) | (cfg->virtio.queues > 1 ? F_MQ : 0);
}

struct virtio_blk *virtio_blk_new(const struct virtio_blk_config *cfg, struct lodge_err *err)
{
	struct virtio_blk *s = calloc(1, sizeof(*s));
	struct virtio_config vc = cfg->virtio;
	unsigned logical = cfg->logical_block ? cfg->logical_block : BLK_SECTOR;
	unsigned physical = cfg->physical_block ? cfg->physical_block : logical;

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-blk device");
		return NULL;
	}
	vc.features = offer(cfg);
	if (check_config(cfg, logical, physical, err) ||
	    virtio_dev_init(&s->v, &vc, &virtio_blk_class, &ops, err)) {
		free(s);
		return NULL;
	}
	list_init(&s->under_way);
	s->queue = cfg->queue;
	s->read_only = cfg->read_only;
	s->write_cache = blk_queue_write_cache(cfg->queue);
	s->block = logical;
	if (cfg->serial)
		memcpy(s->serial, cfg->serial, strlen(cfg->serial));
	fill_config(s, cfg, physical);
	reset(&s->v);
	return s;
}

void virtio_blk_free(struct virtio_blk *s)
{
	if (!s)
		return;
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_blk_device(struct virtio_blk *s)
{
	return &s->v.pci.dev;
}
