// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copy images into another one. Workers take pieces of the source in order, read and compress at the same time
 * as others, and write when it is their turn, so that the target is laid out in order.
 * Threads: those it starts; `lock` protects struct convert's counters.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"
#include "block/qcow2.h"
#include "block/tools.h"

#define PIECE (2ull << 20)
#define PACK_PIECE (256ull << 10) /* smaller, so that nobody waits long for his turn */
#define MAX_THREADS 16u

struct convert {
	const struct blk_convert *how;
	pthread_mutex_t lock;
	pthread_cond_t turn_came;
	uint64_t total, next, cluster;
	uint64_t ticket, turn; /* pieces taken, pieces written */
	uint64_t done;
	int result;
	bool write_failed;
};

/* One piece of the image, and what to do about it. */
struct piece {
	uint64_t off, len, ticket;
	enum { SKIP, ZERO, DATA } what;
};

struct worker {
	struct convert *c;
	uint8_t *buf, *packed;
	long *packed_len;
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

/* Data in bounded pieces that end where clusters do; to be compressed, whole clusters. */
static void bound_piece(const struct convert *c, struct piece *p, uint64_t room)
{
	uint64_t end = p->off + p->len;
	uint64_t most = c->how->compress ? max_u64(PACK_PIECE, c->cluster) : PIECE;

	if (c->how->compress && p->len < room) {
		if (p->what != DATA && align_down(end, c->cluster) > p->off) {
			p->len = align_down(end, c->cluster) - p->off;
		} else {
			p->what = DATA;
			p->len = min_u64(align_up(end, c->cluster) - p->off, room);
		}
	}
	if (p->what == DATA)
		p->len = min_u64(p->len, align_down(p->off + most, c->cluster) - p->off);
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
	p->ticket = c->ticket++;
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

/* Compress each cluster of the piece that is worth it: w->packed_len, 0: as it is, -1: zeros. */
static int pack_piece(struct worker *w, const struct piece *p)
{
	uint64_t cluster = w->c->cluster, n = align_up(p->len, cluster) / cluster;

	memset(w->buf + p->len, 0, n * cluster - p->len);
	for (uint64_t i = 0; i < n; i++) {
		uint8_t *in = w->buf + i * cluster;

		w->packed_len[i] = -1;
		if (blk_all_zero(in, cluster))
			continue;
		w->packed_len[i] = q_compress(w->c->how->to, in, w->packed + i * cluster);
		if (w->packed_len[i] < 0)
			return (int)w->packed_len[i];
	}
	return 0;
}

static int write_packed(struct worker *w, const struct piece *p)
{
	const struct blk_convert *how = w->c->how;
	uint64_t cluster = w->c->cluster;
	int r = 0;

	for (uint64_t i = 0; i * cluster < p->len && !r; i++) {
		uint64_t off = p->off + i * cluster, len = min_u64(cluster, p->len - i * cluster);

		if (w->packed_len[i] < 0)
			r = how->to_is_zero ? 0 : blk_zero(how->to, off, len, true);
		else if (!w->packed_len[i])
			r = blk_write(how->to, off, w->buf + i * cluster, len);
		else
			r = q_write_compressed(how->to, off, w->packed + i * cluster,
					       (uint64_t)w->packed_len[i]);
	}
	return r;
}

static int write_piece(struct worker *w, const struct piece *p)
{
	switch (p->what) {
	case SKIP:
		return 0;
	case ZERO:
		return blk_zero(w->c->how->to, p->off, p->len, true);
	case DATA:
		return w->c->how->compress ? write_packed(w, p)
					   : write_sparse(w->c, p->off, w->buf, p->len);
	}
	return -EIO;
}

/* ---- Workers ----------------------------------------------------------------------------------- */

static void wait_for_turn(struct convert *c, const struct piece *p)
{
	pthread_mutex_lock(&c->lock);
	while (c->turn != p->ticket)
		pthread_cond_wait(&c->turn_came, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

/* The piece is written, or nothing can be any more. */
static void finish(struct convert *c, const struct piece *p, int r, bool writing)
{
	pthread_mutex_lock(&c->lock);
	if (r && !c->result) {
		c->result = r;
		c->write_failed = writing;
	}
	c->turn++;
	c->done += p->len;
	if (c->how->progress.report)
		c->how->progress.report(c->how->progress.opaque, c->done, c->total);
	pthread_cond_broadcast(&c->turn_came);
	pthread_mutex_unlock(&c->lock);
}

static void do_piece(struct worker *w, const struct piece *p)
{
	struct convert *c = w->c;
	bool writing = false;
	int r = 0;

	if (p->what == DATA) {
		r = read_piece(c->how, p, w->buf);
		if (!r && c->how->compress)
			r = pack_piece(w, p);
	}
	if (!c->how->any_order)
		wait_for_turn(c, p);
	if (!r) {
		writing = true;
		r = write_piece(w, p);
	}
	finish(c, p, r, writing);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct convert *c = w->c;
	struct piece p;
	int r;

	for (;;) {
		pthread_mutex_lock(&c->lock);
		if (c->result || c->next >= c->total) {
			pthread_mutex_unlock(&c->lock);
			return NULL;
		}
		r = take(c, &p);
		c->result = r;
		pthread_mutex_unlock(&c->lock);
		if (!r)
			do_piece(w, &p);
	}
}

static int worker_init(struct worker *w, struct convert *c)
{
	*w = (struct worker){.c = c};
	w->buf = malloc(PIECE + (2u << 20));
	if (c->how->compress) {
		w->packed = malloc(PIECE + (2u << 20));
		w->packed_len = calloc((PIECE + (2u << 20)) / c->cluster, sizeof(long));
	}
	return w->buf && (!c->how->compress || (w->packed && w->packed_len)) ? 0 : -ENOMEM;
}

static void worker_free(struct worker *w)
{
	free(w->buf);
	free(w->packed);
	free(w->packed_len);
}

static int run(struct convert *c)
{
	unsigned n = c->how->threads < 1 ? 1 : c->how->threads, started = 0;
	struct worker w[MAX_THREADS];
	pthread_t id[MAX_THREADS];

	n = n > MAX_THREADS ? MAX_THREADS : n;
	for (unsigned i = 0; i < n; i++) {
		if (worker_init(&w[i], c))
			c->result = -ENOMEM;
	}
	while (started < n && !c->result && !pthread_create(&id[started], NULL, work, &w[started]))
		started++;
	if (!started && !c->result)
		work(&w[0]);
	while (started)
		pthread_join(id[--started], NULL);
	for (unsigned i = 0; i < n; i++)
		worker_free(&w[i]);
	return c->result;
}

int blk_convert(const struct blk_convert *how, struct lodge_err *err)
{
	struct convert c = {.how = how,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .turn_came = PTHREAD_COND_INITIALIZER,
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
