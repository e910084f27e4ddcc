// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copy images into another one. Workers take pieces of the source in order, each with a slot, and read and compress
 * at the same time as others. What is ready is written in order, so that the target is laid out in order, by
 * whoever made the next piece ready; the others go on meanwhile, while there are slots.
 * Threads: those it starts; `lock` protects struct convert's counters and who has a slot.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"
#include "block/qcow2.h"
#include "block/tools.h"

#define PIECE (512ull << 10)	  /* it stays in a cache between its read and its write */
#define PACK_PIECE (256ull << 10) /* smaller, since each takes long */
#define MAX_THREADS 16u
#define SLOTS_A_THREAD \
	3u /* where it compresses: one at work, one that waits for its turn, one for luck */

/* One piece of the image, and what to do about it. */
struct piece {
	uint64_t off, len;
	enum { SKIP, ZERO, DATA } what;
};

/* Memory for a piece. */
struct room {
	uint8_t *buf, *packed;
	long *packed_len;
};

/* Where a piece is from when it is taken until it is written. */
struct slot {
	struct piece p;
	bool ready;    /* to be written */
	bool finished; /* written */
	struct room room;
};

struct convert {
	const struct blk_convert *how;
	pthread_mutex_t lock;
	pthread_cond_t slot_free;
	struct slot *slots; /* of piece n: n modulo `count` */
	unsigned count;
	struct room *
		rooms; /* those nobody uses, the one used last on top: it is in the processor's caches */
	unsigned rooms_free;
	uint64_t total, next, cluster;
	uint64_t ticket, turn; /* pieces taken; the first one that is not written */
	bool writing;	       /* somebody writes what is ready */
	uint64_t done;
	int result;
	bool write_failed;
};

struct worker {
	struct convert *c;
	struct q_packer *packer;
};

bool blk_all_zero(const uint8_t *p, uint64_t len)
{
	uint64_t v[8];

	for (; len >= sizeof(v); p += sizeof(v), len -= sizeof(v)) {
		memcpy(v, p, sizeof(v));
		if (v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7])
			return false;
	}
	while (len--) {
		if (*p++)
			return false;
	}
	return true;
}

/* ---- The source -------------------------------------------------------------------------------- */

/* Which image byte `off` is in; *off becomes the place in there. */
static struct blk *source_at(const struct blk_convert *how, uint64_t *off)
{
	for (unsigned i = 0; i < how->count; i++) {
		if (*off < blk_size(how->from[i]))
			return how->from[i];
		*off -= blk_size(how->from[i]);
	}
	return NULL;
}

static uint64_t piece_most(const struct convert *c)
{
	return max_u64(c->how->compress ? PACK_PIECE : PIECE, c->cluster);
}

/* Data in bounded pieces that end where clusters do; to be compressed, whole clusters. */
static void bound_piece(const struct convert *c, struct piece *p, uint64_t room)
{
	uint64_t end = p->off + p->len;

	if (c->how->compress && p->len < room) {
		if (p->what != DATA && align_down(end, c->cluster) > p->off) {
			p->len = align_down(end, c->cluster) - p->off;
		} else {
			p->what = DATA;
			p->len = min_u64(align_up(end, c->cluster) - p->off, room);
		}
	}
	if (p->what == DATA)
		p->len = min_u64(p->len, align_down(p->off + piece_most(c), c->cluster) - p->off);
}

/* Takes the next piece, with the lock. */
static int take(struct convert *c, struct piece *p)
{
	uint64_t off = c->next, len = c->total - c->next;
	struct blk *b = source_at(c->how, &off);
	struct blk_extent e;
	int r;

	len = min_u64(len, blk_size(b) - off);
	r = blk_map(b, off, len, &e);
	if (r)
		return r;
	p->off = c->next;
	p->len = min_u64(e.len, len);
	if (c->how->skip_backing && (e.depth || !e.present))
		p->what = SKIP;
	else if (e.zero || !e.data)
		p->what = c->how->sparse && c->how->to_is_zero ? SKIP : ZERO;
	else
		p->what = DATA;
	if (!c->how->sparse && p->what == ZERO)
		p->what = DATA;
	bound_piece(c, p, blk_size(b) - off);
	c->next += p->len;
	return 0;
}

static int read_piece(const struct blk_convert *how, const struct piece *p, uint8_t *buf)
{
	uint64_t off = p->off;
	struct blk *b = source_at(how, &off);

	return blk_read(b, off, buf, p->len);
}

/* ---- The target -------------------------------------------------------------------------------- */

static int write_zero(const struct blk_convert *how, uint64_t off, uint64_t len)
{
	return how->to_is_zero && how->sparse ? 0 : blk_zero(how->to, off, len, true);
}

/* Data, without the runs of zeros that are worth to be left out. */
static int write_sparse(const struct convert *c, uint64_t off, const uint8_t *buf, uint64_t len)
{
	const struct blk_convert *how = c->how;
	uint64_t unit = how->sparse ? max_u64(how->sparse, c->cluster) : 0;
	int r = 0;

	if (!unit)
		return blk_write(how->to, off, buf, len);
	for (uint64_t at = 0; at < len && !r;) {
		uint64_t n = min_u64(unit - (off + at) % unit, len - at), end = at + n;
		bool zero = blk_all_zero(buf + at, n);

		while (end < len) {
			n = min_u64(unit, len - end);
			if (blk_all_zero(buf + end, n) != zero)
				break;
			end += n;
		}
		r = zero ? write_zero(how, off + at, end - at)
			 : blk_write(how->to, off + at, buf + at, end - at);
		at = end;
	}
	return r;
}

/* Compress each cluster of the piece that is worth it: packed_len, 0: as it is, -1: zeros. */
static int pack_piece(struct worker *w, struct slot *t)
{
	uint64_t cluster = w->c->cluster, n = align_up(t->p.len, cluster) / cluster;

	memset(t->room.buf + t->p.len, 0, n * cluster - t->p.len);
	for (uint64_t i = 0; i < n; i++) {
		uint8_t *in = t->room.buf + i * cluster;

		t->room.packed_len[i] = -1;
		if (blk_all_zero(in, cluster))
			continue;
		t->room.packed_len[i] = q_pack(w->packer, in, t->room.packed + i * cluster);
		if (t->room.packed_len[i] < 0)
			return (int)t->room.packed_len[i];
	}
	return 0;
}

static int write_packed(const struct convert *c, const struct slot *t)
{
	const struct blk_convert *how = c->how;
	uint64_t cluster = c->cluster;
	int r = 0;

	for (uint64_t i = 0; i * cluster < t->p.len && !r; i++) {
		uint64_t off = t->p.off + i * cluster;
		uint64_t len = min_u64(cluster, t->p.len - i * cluster);

		if (t->room.packed_len[i] < 0)
			r = how->to_is_zero ? 0 : blk_zero(how->to, off, len, true);
		else if (!t->room.packed_len[i])
			r = blk_write(how->to, off, t->room.buf + i * cluster, len);
		else
			r = q_write_compressed(how->to, off, t->room.packed + i * cluster,
					       (uint64_t)t->room.packed_len[i]);
	}
	return r;
}

static int write_piece(const struct convert *c, const struct slot *t)
{
	switch (t->p.what) {
	case SKIP:
		return 0;
	case ZERO:
		return blk_zero(c->how->to, t->p.off, t->p.len, true);
	case DATA:
		return c->how->compress ? write_packed(c, t)
					: write_sparse(c, t->p.off, t->room.buf, t->p.len);
	}
	return -EIO;
}

/* ---- Workers ----------------------------------------------------------------------------------- */

static struct slot *slot_of(const struct convert *c, uint64_t ticket)
{
	return &c->slots[ticket % c->count];
}

/* With the lock: the first error is the one that counts. */
static void fail(struct convert *c, int r, bool writing)
{
	if (r && !c->result) {
		c->result = r;
		c->write_failed = writing;
		pthread_cond_broadcast(&c->slot_free);
	}
}

/* With the lock, dropped meanwhile. */
static void write_slot(struct convert *c, struct slot *t)
{
	int r;

	t->ready = false;
	pthread_mutex_unlock(&c->lock);
	r = write_piece(c, t);
	pthread_mutex_lock(&c->lock);
	fail(c, r, true);
	c->rooms[c->rooms_free++] = t->room;
	t->room = (struct room){NULL, NULL, NULL};
	t->finished = true;
	c->done += t->p.len;
	while (c->turn < c->ticket && slot_of(c, c->turn)->finished) {
		slot_of(c, c->turn++)->finished = false;
		pthread_cond_signal(&c->slot_free);
	}
	if (c->how->progress.report)
		c->how->progress.report(c->how->progress.opaque, c->done, c->total);
}

/* With the lock: write what is ready. In order that is the piece whose turn it is, and those behind it. */
static void write_ready(struct convert *c, struct slot *mine)
{
	if (c->how->any_order) {
		write_slot(c, mine);
		return;
	}
	if (c->writing)
		return;
	c->writing = true;
	while (!c->result && c->turn < c->ticket && slot_of(c, c->turn)->ready)
		write_slot(c, slot_of(c, c->turn));
	c->writing = false;
}

/* Read and compress, without the lock. */
static int prepare(struct worker *w, struct slot *t)
{
	int r;

	if (t->p.what != DATA)
		return 0;
	r = read_piece(w->c->how, &t->p, t->room.buf);
	return !r && w->c->how->compress ? pack_piece(w, t) : r;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct convert *c = w->c;

	pthread_mutex_lock(&c->lock);
	while (!c->result && c->next < c->total) {
		struct slot *t;
		int r;

		if (c->ticket - c->turn == c->count) {
			pthread_cond_wait(&c->slot_free, &c->lock);
			continue;
		}
		t = slot_of(c, c->ticket);
		r = take(c, &t->p);
		fail(c, r, false);
		if (r)
			break;
		c->ticket++;
		t->room = c->rooms[--c->rooms_free];
		pthread_mutex_unlock(&c->lock);
		r = prepare(w, t);
		pthread_mutex_lock(&c->lock);
		fail(c, r, false);
		if (r)
			break;
		t->ready = true;
		write_ready(c, t);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- Set-up ------------------------------------------------------------------------------------ */

static int room_init(const struct convert *c, struct room *m)
{
	uint64_t bytes = piece_most(c) + c->cluster;

	m->buf = malloc(bytes);
	if (c->how->compress) {
		m->packed = malloc(bytes);
		m->packed_len = calloc(bytes / c->cluster, sizeof(long));
	}
	return m->buf && (!c->how->compress || (m->packed && m->packed_len)) ? 0 : -ENOMEM;
}

static int slots_init(struct convert *c, unsigned threads)
{
	int r = 0;

	/* What is only read need not run ahead of what is written. */
	c->count = c->how->compress ? threads * SLOTS_A_THREAD : threads + 1;
	c->slots = calloc(c->count, sizeof(*c->slots));
	c->rooms = calloc(c->count, sizeof(*c->rooms));
	if (!c->slots || !c->rooms)
		return -ENOMEM;
	while (c->rooms_free < c->count && !r)
		r = room_init(c, &c->rooms[c->rooms_free++]);
	return r;
}

static void slots_free(struct convert *c)
{
	/* After an error some rooms are still in slots. */
	for (unsigned i = 0; c->slots && i < c->count; i++) {
		if (c->slots[i].room.buf)
			c->rooms[c->rooms_free++] = c->slots[i].room;
	}
	while (c->rooms && c->rooms_free--) {
		free(c->rooms[c->rooms_free].buf);
		free(c->rooms[c->rooms_free].packed);
		free(c->rooms[c->rooms_free].packed_len);
	}
	free(c->rooms);
	free(c->slots);
}

static int worker_init(struct worker *w, struct convert *c)
{
	*w = (struct worker){.c = c};
	if (c->how->compress)
		w->packer = q_packer_new(c->how->to);
	return !c->how->compress || w->packer ? 0 : -ENOMEM;
}

static int run(struct convert *c)
{
	unsigned n = c->how->threads < 1 ? 1 : c->how->threads, started = 0;
	struct worker w[MAX_THREADS];
	pthread_t id[MAX_THREADS];
	int r;

	n = n > MAX_THREADS ? MAX_THREADS : n;
	r = slots_init(c, n);
	for (unsigned i = 0; i < n; i++) {
		if (worker_init(&w[i], c))
			r = -ENOMEM;
	}
	c->result = r;
	while (started < n && !r && !pthread_create(&id[started], NULL, work, &w[started]))
		started++;
	if (!started && !r)
		work(&w[0]);
	while (started)
		pthread_join(id[--started], NULL);
	for (unsigned i = 0; i < n; i++)
		q_packer_free(w[i].packer);
	slots_free(c);
	return c->result;
}

int blk_convert(const struct blk_convert *how, struct lodge_err *err)
{
	struct convert c = {.how = how,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .slot_free = PTHREAD_COND_INITIALIZER,
			    .cluster = q_cluster_size(how->to)};
	int r;

	if (how->compress && !c.cluster)
		return err_set(err, -ENOTSUP, "images of the format %s cannot be compressed",
			       blk_format(how->to));
	if (!c.cluster)
		c.cluster = BLK_SECTOR;
	for (unsigned i = 0; i < how->count; i++)
		c.total += blk_size(how->from[i]);
	if (how->compress && how->count > 1)
		return err_set(err, -ENOTSUP, "only a single image can be compressed (-c)");
	if (c.total > blk_size(how->to))
		return err_set(err, -ENOSPC, "'%s' is smaller than what is to be written to it",
			       blk_path(how->to));
	r = run(&c);
	if (!r) {
		r = blk_flush(how->to);
		c.write_failed = true;
	}
	if (!r)
		return 0;
	if (c.write_failed)
		return err_set(err, r, "cannot write '%s': %s", blk_path(how->to), strerror(-r));
	return err_set(err, r, "cannot read '%s': %s", blk_path(how->from[0]), strerror(-r));
}
