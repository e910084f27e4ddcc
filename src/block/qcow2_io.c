// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and writes of qcow2. The lock is held to look up and to link, not while data moves.
 * Source: QEMU docs/interop/qcow2.txt, "Cluster mapping". Threads: any, several at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "block/qcow2_int.h"
#include "block/tools.h"

#define SMALL_IOV 16u

/* A part of the caller's iovec, with a place before and behind for what is copied on write. */
struct part {
	struct iovec small[SMALL_IOV + 2], *iov;
};

static int part_init(struct part *p, unsigned n)
{
	p->iov = n <= SMALL_IOV ? p->small : calloc(n + 2, sizeof(struct iovec));
	return p->iov ? 0 : -ENOMEM;
}

static void part_free(struct part *p)
{
	if (p->iov != p->small)
		free(p->iov);
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static int read_backing(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
			uint64_t skip, uint64_t len, struct part *p)
{
	uint64_t have =
		b->backing && off < b->backing->size ? min_u64(len, b->backing->size - off) : 0;

	blk_iov_zero(iov, n, skip + have, len - have);
	if (!have)
		return 0;
	return blk_preadv(b->backing, off, p->iov, blk_iov_part(iov, n, skip, have, p->iov, n));
}

static int read_run(struct blk *b, const struct q_map *m, uint64_t off, const struct iovec *iov,
		    unsigned n, uint64_t skip, struct part *p)
{
	struct qcow2 *q = b->priv;

	switch (m->kind) {
	case Q_NONE:
		return read_backing(b, off, iov, n, skip, m->len, p);
	case Q_ZEROS:
		blk_iov_zero(iov, n, skip, m->len);
		return 0;
	case Q_DATA:
		return blk_file_preadv(b->file, m->host, p->iov,
				       blk_iov_part(iov, n, skip, m->len, p->iov, n));
	case Q_PACKED:
		return q_read_packed(q, m->entry, off % q->cluster_size, iov, n, skip, m->len);
	}
	return -EIO;
}

/* `wait`: not while somebody has the image to itself; whoever that is reads without. */
static int read_all(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len,
		    bool wait)
{
	struct qcow2 *q = b->priv;
	struct part p;
	int r = part_init(&p, n);

	for (uint64_t done = 0; !r && done < len;) {
		struct q_map m;
		unsigned epoch = 0;

		pthread_mutex_lock(&q->lock);
		while (wait && q->exclusive)
			pthread_cond_wait(&q->cond, &q->lock);
		r = q_lookup(q, off + done, len - done, &m);
		if (!r)
			epoch = q_io_begin(q);
		pthread_mutex_unlock(&q->lock);
		if (r)
			break;
		r = read_run(b, &m, off + done, iov, n, done, &p);
		pthread_mutex_lock(&q->lock);
		q_io_end(q, epoch);
		pthread_mutex_unlock(&q->lock);
		done += m.len;
	}
	part_free(&p);
	return r;
}

int q_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len)
{
	return read_all(b, off, iov, n, len, true);
}

/* ---- Writing ----------------------------------------------------------------------------------- */

bool q_wait_inflight(struct qcow2 *q, uint64_t first, uint64_t *count)
{
	struct q_inflight *f;

	list_for_each_entry (f, &q->inflight, link) {
		if (f->first <= first && first < f->first + f->count) {
			pthread_cond_wait(&q->cond, &q->lock);
			return true;
		}
		if (f->first > first)
			*count = min_u64(*count, f->first - first);
	}
	return false;
}

/* What a write must do about a cluster. */
enum todo {
	TODO_ALLOC, /* a new cluster; what was there is given up */
	TODO_FILL,  /* its own cluster, of which this part is not in use */
};

/* Clusters being written to for the first time. */
struct fresh {
	struct q_inflight f;
	enum todo todo;
	uint64_t start,
		end;   /* what becomes used, guest bytes: whole clusters, or subclusters of one */
	uint64_t host; /* where `start` is */
	uint64_t off, len; /* the guest's bytes in there that are written */
	bool virgin;	   /* behind everything the file ever held: it reads as zeros there */
};

static enum todo todo_of(uint64_t entry)
{
	return !(entry & Q_COMPRESSED) && (entry & Q_OFFSET_MASK) && (entry & Q_COPIED)
		       ? TODO_FILL
		       : TODO_ALLOC;
}

/* Its own cluster, but zeros, or with subclusters not in use: only those are touched. */
static int plan_fill(struct qcow2 *q, struct fresh *w, uint64_t bitmap)
{
	uint64_t base = w->f.first * q->cluster_size, sub = q->cluster_size / 32;

	w->f.count = 1;
	w->start = base;
	w->end = base + q->cluster_size;
	if (q->ext_l2) {
		w->start = align_down(w->off, sub);
		for (w->end = w->start + sub; w->end < min_u64(w->off + w->len, base + 32 * sub);
		     w->end += sub) {
			if (bitmap >> ((w->end - base) / sub) & 1)
				break;
		}
	}
	w->host += w->start - base;
	return q_data_ok(q, align_down(w->host, q->cluster_size));
}

/* What the cluster at w->off needs, and how many of the `max` from there on the same. */
static int plan(struct qcow2 *q, uint64_t max, struct fresh *w)
{
	uint64_t i = w->f.first % q->l2_entries, e, bitmap, n = 1;
	struct q_table *t = NULL;
	int r = q_l2_get(q, w->f.first / q->l2_entries, false, &t);

	if (r)
		return r;
	w->todo = TODO_ALLOC;
	w->f.count = min_u64(max, q->l2_entries - i);
	if (!t)
		return 0;
	e = q_entry(q, t, i, &bitmap);
	w->todo = todo_of(e);
	w->host = e & Q_OFFSET_MASK;
	if (w->todo == TODO_FILL)
		return plan_fill(q, w, bitmap);
	while (n < w->f.count && todo_of(q_entry(q, t, i + n, &bitmap)) == TODO_ALLOC)
		n++;
	w->f.count = n;
	return 0;
}

/* Room for the write at w->off, in q->inflight then. -EAGAIN: look again, things have changed. */
static int fresh_begin(struct qcow2 *q, struct fresh *w)
{
	uint64_t max, host, got, end = q->file_end;
	int r;

	w->f.first = w->off / q->cluster_size;
	max = (w->off + w->len - 1) / q->cluster_size - w->f.first + 1;
	if (q_wait_inflight(q, w->f.first, &max))
		return -EAGAIN;
	r = plan(q, max, w);
	if (!r && w->todo == TODO_ALLOC) {
		r = q_alloc(q, w->f.count, &host, &got);
		w->f.count = r ? 0 : got;
		w->host = host * q->cluster_size;
		w->virgin = w->host >= end;
		w->start = w->f.first * q->cluster_size;
		w->end = w->start + w->f.count * q->cluster_size;
	}
	if (r)
		return r;
	w->len = min_u64(w->len, w->end - w->off);
	list_add_tail(&q->inflight, &w->f.link);
	return 0;
}

static int link_one(struct qcow2 *q, struct q_table *t, uint64_t cluster, uint64_t host)
{
	uint64_t i = cluster % q->l2_entries, bitmap, old = q_entry(q, t, i, &bitmap);
	int r = q_entry_free(q, old);

	if (r)
		return r;
	q_entry_set(q, t, i, host | Q_COPIED, Q_ALL_SUB);
	q_table_dirty(&q->l2, t);
	return 0;
}

static void link_fill(struct qcow2 *q, struct q_table *t, const struct fresh *w)
{
	uint64_t sub = q->cluster_size / 32, bitmap;
	uint64_t i = w->f.first % q->l2_entries, old = q_entry(q, t, i, &bitmap);
	uint64_t base = w->f.first * q->cluster_size;

	for (uint64_t s = (w->start - base) / sub; s < (w->end - base) / sub; s++)
		bitmap = (bitmap | 1ull << s) & ~(1ull << (s + 32));
	q_entry_set(q, t, i, q->ext_l2 ? old : old & ~Q_ZERO, bitmap);
	q_table_dirty(&q->l2, t);
}

/* The data is there, or could not be written (`r`). */
static int fresh_end(struct qcow2 *q, struct fresh *w, int r)
{
	struct q_table *t = NULL;
	uint64_t linked = 0;

	if (!r)
		r = q_l2_get(q, w->f.first / q->l2_entries, true, &t);
	if (w->todo == TODO_FILL && !r)
		link_fill(q, t, w);
	while (w->todo == TODO_ALLOC && !r && linked < w->f.count) {
		r = link_one(q, t, w->f.first + linked, w->host + linked * q->cluster_size);
		linked += !r;
	}
	if (w->todo == TODO_ALLOC && r)
		(void)!q_free_bytes(q, w->host + linked * q->cluster_size,
				    (w->f.count - linked) * q->cluster_size, true);
	list_del(&w->f.link);
	pthread_cond_broadcast(&q->cond);
	return r;
}

static int read_old(struct blk *b, uint64_t off, uint8_t *buf, uint64_t len)
{
	struct iovec one = {.iov_base = buf, .iov_len = len};

	return read_all(b, off, &one, 1, len, false);
}

/* The file reaches to the end of the new clusters, so that reads there are never short. */
static int reach_end(struct blk *b, const struct fresh *w)
{
	static const uint8_t zeros[BLK_SECTOR];

	return blk_file_write(b->file, w->host + (w->end - w->start) - BLK_SECTOR, zeros,
			      BLK_SECTOR);
}

/*
 * The guest's bytes, and around them what was there before, in one write. Zeros need not be
 * written where nothing was ever written before.
 */
static int fresh_write(struct blk *b, const struct fresh *w, const struct iovec *iov, unsigned n,
		       uint64_t skip, struct part *p)
{
	uint64_t head = w->off - w->start, tail = w->end - (w->off + w->len), host = w->host;
	uint8_t *buf = head + tail ? malloc(head + tail) : NULL;
	bool short_head = false, short_tail = false;
	unsigned k = 0;
	int r = head + tail && !buf ? -ENOMEM : 0;

	if (!r && head)
		r = read_old(b, w->start, buf, head);
	if (!r && tail)
		r = read_old(b, w->end - tail, buf + head, tail);
	if (!r && w->virgin) {
		short_head = head && blk_all_zero(buf, head);
		short_tail = tail > BLK_SECTOR && blk_all_zero(buf + head, tail);
	}
	if (short_head)
		host += head;
	else if (head)
		p->iov[k++] = (struct iovec){.iov_base = buf, .iov_len = head};
	k += blk_iov_part(iov, n, skip, w->len, p->iov + k, n);
	if (tail && !short_tail)
		p->iov[k++] = (struct iovec){.iov_base = buf + head, .iov_len = tail};
	if (!r)
		r = blk_file_pwritev(b->file, host, p->iov, k);
	if (!r && short_tail)
		r = reach_end(b, w);
	free(buf);
	return r;
}

/* Nobody has the image to himself and no commit gathers tables. Memory is within its bounds. */
int q_enter_write(struct qcow2 *q)
{
	for (;;) {
		int r;

		while (q->exclusive || q->preparing)
			pthread_cond_wait(&q->cond, &q->lock);
		if (q->corrupt)
			return -EIO;
		if (!q_must_relieve(q))
			return 0;
		r = q_commit(q);
		if (r)
			return r;
	}
}

static int data_run_ok(struct qcow2 *q, const struct q_map *m)
{
	int r = 0;

	for (uint64_t c = m->host / q->cluster_size;
	     !r && c <= (m->host + m->len - 1) / q->cluster_size; c++)
		r = q_data_ok(q, c * q->cluster_size);
	return r;
}

/* Data to its new place, without the lock; then the entries. *done grows by what was written. */
static int fresh_run(struct blk *b, struct fresh *w, const struct iovec *iov, unsigned n,
		     uint64_t *done, struct part *p)
{
	struct qcow2 *q = b->priv;
	int r;

	pthread_mutex_unlock(&q->lock);
	r = fresh_write(b, w, iov, n, *done, p);
	pthread_mutex_lock(&q->lock);
	*done += w->len;
	return fresh_end(q, w, r);
}

/* Where the guest's bytes are already and belong to it alone. */
static int write_in_place(struct blk *b, const struct q_map *m, const struct iovec *iov, unsigned n,
			  uint64_t skip, struct part *p)
{
	struct qcow2 *q = b->priv;
	unsigned epoch;
	int r = data_run_ok(q, m);

	if (r)
		return r;
	epoch = q_io_begin(q);
	pthread_mutex_unlock(&q->lock);
	r = blk_file_pwritev(b->file, m->host, p->iov,
			     blk_iov_part(iov, n, skip, m->len, p->iov, n));
	pthread_mutex_lock(&q->lock);
	q_io_end(q, epoch);
	return r;
}

int q_pwritev(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len)
{
	struct qcow2 *q = b->priv;
	struct part p;
	int r = part_init(&p, n);

	pthread_mutex_lock(&q->lock);
	for (uint64_t done = 0; !r && done < len;) {
		struct fresh w = {.off = off + done, .len = len - done};
		struct q_map m;

		r = q_enter_write(q);
		if (!r)
			r = q_lookup(q, off + done, len - done, &m);
		if (!r && m.kind == Q_DATA && m.owned) {
			r = write_in_place(b, &m, iov, n, done, &p);
			done += m.len;
			continue;
		}
		if (!r)
			r = fresh_begin(q, &w);
		if (r == -EAGAIN)
			r = 0;
		else if (!r)
			r = fresh_run(b, &w, iov, n, &done, &p);
	}
	pthread_mutex_unlock(&q->lock);
	part_free(&p);
	return r;
}
