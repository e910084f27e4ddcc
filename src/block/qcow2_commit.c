// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A commit: changed tables go to new places, then the header leads to them (see qcow2_int.h).
 * Threads: the image's lock is held by the caller and dropped for the flushes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/qcow2_int.h"

#define ENTRY_CHUNK 65536u

/* In the header on the disk, not in that of the next commit, which will not be. */
static void mark_corrupt(struct qcow2 *q)
{
	struct q_header h;

	if (!q->v3 || q_header_read(q->b->file, &h, NULL))
		return;
	h.incompatible |= Q_INCOMPAT_CORRUPT;
	if (!q_header_write(q->b->file, &h))
		(void)!blk_file_flush(q->b->file);
	q_header_free(&h);
}

int q_corrupt(struct qcow2 *q, const char *fmt, ...)
{
	char what[256];
	va_list ap;
	bool was = q->corrupt;

	q->corrupt = true;
	if (was || q->b->read_only)
		return -EIO;
	if (!q->committing)
		mark_corrupt(q);
	if (q->quiet)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	fprintf(stderr,
		"lodge: the image '%s' is damaged: %s; it is not written to any more, 'lodge img "
		"check' says what is wrong\n",
		q->b->path, what);
	return -EIO;
}

/* ---- Who is doing what ------------------------------------------------------------------------- */

unsigned q_io_begin(struct qcow2 *q)
{
	q->io_count[q->io_epoch]++;
	return q->io_epoch;
}

void q_io_end(struct qcow2 *q, unsigned epoch)
{
	if (!--q->io_count[epoch])
		pthread_cond_broadcast(&q->cond);
}

/* Every access to guest data that has begun has ended. */
static void wait_for_io(struct qcow2 *q)
{
	unsigned old = q->io_epoch;

	q->io_epoch = !old;
	while (q->io_count[old])
		pthread_cond_wait(&q->cond, &q->lock);
	pthread_mutex_unlock(&q->lock);
	blk_quick_hold(q->b);
	blk_quick_release(q->b);
	pthread_mutex_lock(&q->lock);
}

void q_exclusive_begin(struct qcow2 *q)
{
	while (q->exclusive || q->committing)
		pthread_cond_wait(&q->cond, &q->lock);
	q->exclusive = true;
	while (!list_empty(&q->inflight) || q->io_count[0] || q->io_count[1])
		pthread_cond_wait(&q->cond, &q->lock);
	pthread_mutex_unlock(&q->lock);
	blk_quick_hold(q->b);
	pthread_mutex_lock(&q->lock);
}

void q_exclusive_end(struct qcow2 *q)
{
	q->exclusive = false;
	pthread_cond_broadcast(&q->cond);
	pthread_mutex_unlock(&q->lock);
	blk_quick_release(q->b);
	pthread_mutex_lock(&q->lock);
}

/* ---- Tables to new places ---------------------------------------------------------------------- */

/* All of it or, with an error, nothing. */
static int meta_moved(struct qcow2 *q, uint64_t old, uint64_t n_old, uint64_t new, uint64_t n_new)
{
	uint64_t first = old / q->cluster_size, freed = 0, added = 0;
	int r = 0;

	n_old = old ? n_old : 0;
	while (!r && added < n_new) {
		r = q_set_add(&q->meta, new + added);
		added += !r;
	}
	while (!r && freed < n_old) {
		r = q_ref_dec(q, first + freed, false);
		freed += !r;
	}
	if (!r) {
		while (freed--)
			q_set_del(&q->meta, first + freed);
		return 0;
	}
	while (freed--)
		q_ref_undo_dec(q, first + freed);
	while (added--)
		q_set_del(&q->meta, new + added);
	return r;
}

/* One L2 table to a new cluster. What shares the old one, a snapshot, keeps it. */
static int place_one_l2(struct qcow2 *q, struct q_table *t, bool keep)
{
	uint64_t old = q->l1[t->index] & Q_OFFSET_MASK, first;
	int r = q_alloc_meta(q, 1, &first);

	if (r)
		return r;
	r = blk_file_write(q->b->file, first * q->cluster_size, t->data, q->cluster_size);
	if (!r)
		r = meta_moved(q, old, 1, first, 1);
	if (r) {
		(void)!q_ref_dec(q, first, false);
		return r;
	}
	q->l1[t->index] = first * q->cluster_size | Q_COPIED;
	q->l1_dirty = true;
	t->dirty = false;
	t->placed = keep;
	q->l2.dirty--;
	return 0;
}

/* `keep` in memory, in case that the flush fails. */
static int place_l2(struct qcow2 *q, bool keep)
{
	struct q_table *t = NULL;

	list_for_each_entry (t, &q->l2.lru, lru) {
		int r = t->dirty ? place_one_l2(q, t, keep) : 0;

		if (r)
			return r;
	}
	return 0;
}

int q_place_l2(struct qcow2 *q)
{
	q->tables_spilled = true;
	return place_l2(q, false);
}

int q_write_entries(struct qcow2 *q, uint64_t off, const uint64_t *entries, uint64_t n,
		    uint64_t mask, uint64_t bytes)
{
	uint8_t *buf = malloc(ENTRY_CHUNK);
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < bytes && !r; at += ENTRY_CHUNK) {
		uint64_t len = min_u64(ENTRY_CHUNK, bytes - at);

		for (uint64_t i = at / 8; i < (at + len) / 8; i++)
			st_be64(buf + i * 8 - at, i < n ? entries[i] & mask : 0);
		r = blk_file_write(q->b->file, off + at, buf, len);
	}
	free(buf);
	return r;
}

static int place_l1(struct qcow2 *q)
{
	uint64_t bytes = align_up((uint64_t)q->h.l1_size * 8, 512), first;
	uint64_t n = align_up(bytes, q->cluster_size) / q->cluster_size;
	int r;

	if (!q->h.l1_size)
		return 0;
	r = q_alloc_meta(q, n, &first);
	if (r)
		return r;
	r = q_write_entries(q, first * q->cluster_size, q->l1, q->h.l1_size, UINT64_MAX, bytes);
	if (!r)
		r = meta_moved(q, q->h.l1_off, q->l1_clusters, first, n);
	if (r) {
		(void)!q_free_bytes(q, first * q->cluster_size, n * q->cluster_size, false);
		return r;
	}
	q->h.l1_off = first * q->cluster_size;
	q->l1_clusters = n;
	return 0;
}

/*
 * Room for changed blocks of refcounts and their table. To take it changes refcounts, so this goes
 * on until nothing changes any more. Only then are they written.
 */
static int place_refs(struct qcow2 *q)
{
	uint64_t first, need, have = 0;
	bool again;
	int r;

	do {
		struct list *l = q->refs.lru.next;

		again = false;
		/* New blocks come in at the list's end; getting one may move it there. */
		for (; l != &q->refs.lru; l = l->next) {
			struct q_table *t = container_of(l, struct q_table, lru);
			uint64_t old, index = t->index;

			if (!t->dirty || t->placed)
				continue;
			t->placed = true;
			r = q_alloc_meta(q, 1, &first);
			if (r)
				return r;
			old = q->reftable[index];
			r = meta_moved(q, old, 1, first, 1);
			if (r) {
				(void)!q_ref_dec(q, first, false);
				return r;
			}
			q->reftable[index] = first * q->cluster_size;
			q->reftable_dirty = true;
			again = true;
			break;
		}
		need = align_up(q->reftable_size * 8, q->cluster_size) / q->cluster_size;
		if (!again && q->reftable_dirty && need > have) {
			r = q_alloc_meta(q, need, &first);
			if (r)
				return r;
			/* The old one, or one that has become too short meanwhile. */
			r = meta_moved(q, q->h.reftable_off, q->h.reftable_clusters, first, need);
			if (r) {
				(void)!q_free_bytes(q, first * q->cluster_size,
						    need * q->cluster_size, false);
				return r;
			}
			have = need;
			q->h.reftable_off = first * q->cluster_size;
			q->h.reftable_clusters = (uint32_t)need;
			again = true;
		}
	} while (again);
	return 0;
}

static int write_refs(struct qcow2 *q)
{
	struct q_table *t = NULL;

	list_for_each_entry (t, &q->refs.lru, lru) {
		int r;

		if (!t->dirty)
			continue;
		r = blk_file_write(q->b->file, q->reftable[t->index], t->data, q->cluster_size);
		if (r)
			return r;
		t->dirty = false;
		q->refs.dirty--;
	}
	if (!q->reftable_dirty)
		return 0;
	return q_write_entries(q, q->h.reftable_off, q->reftable, q->reftable_size, UINT64_MAX,
			       q->h.reftable_clusters * q->cluster_size);
}

bool q_is_dirty(const struct qcow2 *q)
{
	return q->l2.dirty || q->refs.dirty || q->l1_dirty || q->reftable_dirty || q->header_dirty;
}

static int prepare(struct qcow2 *q)
{
	int r = place_l2(q, true);

	if (!r && q->l1_dirty)
		r = place_l1(q);
	if (!r)
		r = place_refs(q);
	if (!r)
		r = write_refs(q);
	return r ? r : q_reach_packed_end(q);
}

static void unplace(struct q_cache *c, bool dirty)
{
	struct q_table *t = NULL;

	list_for_each_entry (t, &c->lru, lru) {
		if (t->placed && dirty)
			q_table_dirty(c, t);
		t->placed = false;
	}
}

/* All is as if the commit had not begun, but that what it placed is changed again. */
static void failed(struct qcow2 *q)
{
	unplace(&q->l2, true);
	unplace(&q->refs, true);
	q->l1_dirty = q->reftable_dirty = q->header_dirty = true;
}

/* Flush, switch, flush: without the lock. */
static int switch_over(struct qcow2 *q, const struct q_header *h)
{
	bool sync = q->b->cache != BLK_CACHE_UNSAFE;
	int r;

	pthread_mutex_unlock(&q->lock);
	r = sync ? blk_file_flush(q->b->file) : 0;
	if (!r)
		r = q_header_write(q->b->file, h);
	if (!r && sync)
		r = blk_file_flush(q->b->file);
	pthread_mutex_lock(&q->lock);
	return r;
}

static int commit_locked(struct qcow2 *q)
{
	struct q_header h;
	bool spilled = false;
	int r;

	q->preparing = true;
	while (!list_empty(&q->inflight))
		pthread_cond_wait(&q->cond, &q->lock);
	r = q->corrupt ? -EIO : prepare(q);
	if (!r) {
		struct q_set empty = q->freed[1];

		q->freed[1] = q->freed[0];
		q->freed[0] = empty;
		q->freed_data[1] = q->freed_data[0];
		q->freed_data[0] = false;
		spilled = q->tables_spilled;
		q->l1_dirty = q->reftable_dirty = q->header_dirty = q->tables_spilled = false;
		h = q->h;
	}
	q->preparing = false;
	pthread_cond_broadcast(&q->cond);
	if (r) {
		failed(q);
		return r;
	}
	r = q->corrupt ? -EIO : switch_over(q, &h);
	if (r) {
		failed(q);
		q->freed_data[0] |= q->freed_data[1];
		/* Without memory for that they are not used again before the next open. */
		if (q_set_merge(&q->freed[0], &q->freed[1]) || spilled)
			q->stale = !q->corrupt;
		q->corrupt |= q->stale;
		return r;
	}
	unplace(&q->l2, false);
	unplace(&q->refs, false);
	if (q->freed_data[1])
		wait_for_io(q);
	q_release_freed(q);
	return 0;
}

int q_commit_if_dirty(struct qcow2 *q)
{
	bool was_corrupt;
	int r;

	while (q->committing)
		pthread_cond_wait(&q->cond, &q->lock);
	if (!q_is_dirty(q))
		return 0;
	q->committing = true;
	was_corrupt = q->corrupt;
	r = commit_locked(q);
	if (q->corrupt && !was_corrupt && !q->stale)
		mark_corrupt(q);
	q->committing = false;
	pthread_cond_broadcast(&q->cond);
	return r ? r : 1;
}

int q_commit(struct qcow2 *q)
{
	int r = q_commit_if_dirty(q);

	return r < 0 ? r : 0;
}

bool q_must_relieve(const struct qcow2 *q)
{
	return q->l2.dirty >= q->l2.max || q->refs.dirty >= q->refs.max ||
	       q->freed[0].used > 1u << 14;
}
