// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Zeros, discards and resizing of qcow2: changes of entries, all with the lock held.
 * Source: QEMU docs/interop/qcow2.txt, "Standard Cluster Descriptor". Threads: any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"
#include "block/qcow2_int.h"

/* Does the guest see the backing file through an empty entry of this cluster? */
static bool has_backing(const struct qcow2 *q, uint64_t cluster)
{
	const struct blk *backing = q->b->backing;

	return q->h.backing_name && (!backing || cluster * q->cluster_size < backing->size);
}

/* Whole clusters of one L2 table to zeros. -ENOTSUP where only writing them helps. */
static int zero_entries(struct qcow2 *q, uint64_t first, uint64_t n, bool unmap)
{
	struct q_table *t = NULL;
	int r = q_l2_get(q, first / q->l2_entries, false, &t);

	if (!r && !t && has_backing(q, first))
		r = q->v3 ? q_l2_get(q, first / q->l2_entries, true, &t) : -ENOTSUP;
	if (r || !t)
		return r;
	for (uint64_t c = first; c < first + n && !r; c++) {
		uint64_t bitmap, e = q_entry(q, t, c % q->l2_entries, &bitmap), new = 0;
		bool keep = !unmap && (e & Q_COPIED) && (e & Q_OFFSET_MASK) && q->v3;

		if (!q->v3 && has_backing(q, c))
			return -ENOTSUP;
		if (keep && q->ext_l2)
			new = e;
		else if (keep)
			new = e | Q_ZERO;
		else if (q->v3 && !q->ext_l2 && (e || has_backing(q, c)))
			new = Q_ZERO;
		if (new == e && (!q->ext_l2 || bitmap == Q_ALL_SUB << 32))
			continue;
		r = keep ? 0 : q_entry_free(q, e);
		if (r)
			break;
		q_entry_set(q, t, c % q->l2_entries, new,
			    keep || has_backing(q, c) ? Q_ALL_SUB << 32 : 0);
		q_table_dirty(&q->l2, t);
	}
	return r;
}

/* Clusters [first, end), a table at a time. Nobody else has the image to himself, unless `own`. */
static int zero_clusters(struct qcow2 *q, uint64_t first, uint64_t end, bool unmap, bool own)
{
	int r = 0;

	while (first < end && !r) {
		uint64_t n = min_u64(end - first, q->l2_entries - first % q->l2_entries);

		if (!own)
			r = q_enter_write(q);
		if (r)
			break;
		if (!own && q_wait_inflight(q, first, &n))
			continue;
		r = zero_entries(q, first, n, unmap);
		first += n;
	}
	return r;
}

static int write_zeros(struct blk *b, uint64_t off, uint64_t len)
{
	struct qcow2 *q = b->priv;
	uint8_t *zeros = calloc(1, q->cluster_size);
	int r = zeros ? 0 : -ENOMEM;

	while (len && !r) {
		struct iovec one = {zeros, min_u64(len, q->cluster_size - off % q->cluster_size)};

		r = q_pwritev(b, off, &one, 1, one.iov_len);
		off += one.iov_len;
		len -= one.iov_len;
	}
	free(zeros);
	return r;
}

/* A part of a cluster; nothing to do if it reads as zeros without a backing file. */
static int zero_part(struct blk *b, uint64_t off, uint64_t len)
{
	struct qcow2 *q = b->priv;
	struct q_map m;
	int r;

	if (!len)
		return 0;
	pthread_mutex_lock(&q->lock);
	r = q_lookup(q, off, len, &m);
	pthread_mutex_unlock(&q->lock);
	if (!r && m.len == len &&
	    (m.kind == Q_ZEROS || (m.kind == Q_NONE && !has_backing(q, off / q->cluster_size))))
		return 0;
	return r ? r : write_zeros(b, off, len);
}

int q_zero(struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	struct qcow2 *q = b->priv;
	uint64_t end = off + len, first = align_up(off, q->cluster_size);
	/* The image's last cluster is whole, wherever the image ends in it. */
	uint64_t last =
		end == b->size ? align_up(end, q->cluster_size) : align_down(end, q->cluster_size);
	int r;

	if (first >= last)
		return zero_part(b, off, len);
	r = zero_part(b, off, min_u64(first, end) - off);
	if (!r && last < end)
		r = zero_part(b, last, end - last);
	if (r)
		return r;
	pthread_mutex_lock(&q->lock);
	r = zero_clusters(q, first / q->cluster_size, last / q->cluster_size, unmap, false);
	pthread_mutex_unlock(&q->lock);
	return r == -ENOTSUP ? write_zeros(b, first, min_u64(last, end) - first) : r;
}

int q_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct qcow2 *q = b->priv;
	uint64_t end = off + len == b->size ? align_up(off + len, q->cluster_size)
					    : align_down(off + len, q->cluster_size);
	uint64_t first = align_up(off, q->cluster_size);
	int r = 0;

	pthread_mutex_lock(&q->lock);
	if (first < end)
		r = zero_clusters(q, first / q->cluster_size, end / q->cluster_size, true, false);
	pthread_mutex_unlock(&q->lock);
	return r == -ENOTSUP ? 0 : r; /* the guest does not want it, and it stays */
}

/* ---- Size -------------------------------------------------------------------------------------- */

static int widen_l1(struct qcow2 *q, uint64_t entries)
{
	uint64_t *p;

	if (entries <= q->h.l1_size)
		return 0;
	if (entries > Q_MAX_L1_BYTES / 8)
		return -EFBIG;
	p = realloc(q->l1, entries * 8);
	if (!p)
		return -ENOMEM;
	memset(p + q->h.l1_size, 0, (entries - q->h.l1_size) * 8);
	q->l1 = p;
	q->h.l1_size = (uint32_t)entries;
	q->l1_dirty = true;
	return 0;
}

int q_preallocate(struct qcow2 *q)
{
	uint64_t end = align_up(q->h.size, q->cluster_size) / q->cluster_size, top = 0;
	int r = 0;

	for (uint64_t c = 0; c < end && !r;) {
		uint64_t n = min_u64(end - c, q->l2_entries - c % q->l2_entries), host = 0, got = 0;
		struct q_table *t = NULL;

		if (q_must_relieve(q))
			r = q_commit(q);
		if (!r)
			r = q_alloc(q, n, &host, &got);
		if (!r)
			r = q_l2_get(q, c / q->l2_entries, true, &t);
		for (uint64_t i = 0; i < got && !r; i++)
			q_entry_set(q, t, (c + i) % q->l2_entries,
				    (host + i) * q->cluster_size | Q_COPIED, Q_ALL_SUB);
		if (!r)
			q_table_dirty(&q->l2, t);
		c += got;
		top = r ? top : max_u64(top, host + got);
	}
	if (!r)
		r = q_commit(q);
	/* Holes to the last cluster's end. */
	if (!r && top * q->cluster_size > blk_file_size(q->b->file))
		r = blk_file_truncate(q->b->file, top * q->cluster_size);
	return r;
}

int q_write_all_zeros(struct blk *b)
{
	return write_zeros(b, 0, b->size);
}

/* Everything in [first, end) is given up: entries become empty, L2 tables stay. */
static int drop_clusters(struct qcow2 *q, uint64_t first, uint64_t end)
{
	int r = 0;

	for (uint64_t c = first; c < end && !r;) {
		uint64_t n = min_u64(end - c, q->l2_entries - c % q->l2_entries);
		struct q_table *t = NULL;

		r = q_l2_get(q, c / q->l2_entries, false, &t);
		for (uint64_t i = c; t && i < c + n && !r; i++) {
			uint64_t bitmap, e = q_entry(q, t, i % q->l2_entries, &bitmap);

			if (!e && !bitmap)
				continue;
			r = q_entry_free(q, e);
			if (r)
				break;
			q_entry_set(q, t, i % q->l2_entries, 0, 0);
			q_table_dirty(&q->l2, t);
		}
		c += n;
		if (!r && q->l2.dirty >= q->l2.max)
			r = q_place_l2(q);
	}
	return r;
}

/* The bytes behind the old end read as zeros: not as what the last cluster or the backing file holds. */
static int grow(struct blk *b, uint64_t size)
{
	struct qcow2 *q = b->priv;
	uint64_t old = b->size, edge = min_u64(align_up(old, q->cluster_size), size), end;
	int r;

	if (b->backing && b->backing->size > old)
		end = min_u64(size, b->backing->size);
	else
		end = edge;
	pthread_mutex_lock(&q->lock);
	r = widen_l1(q, size / q->l2_span + (size % q->l2_span != 0));
	pthread_mutex_unlock(&q->lock);
	if (!r && edge > old)
		r = zero_part(b, old, edge - old);
	if (!r && end > edge)
		r = q_zero(b, edge, align_up(end, q->cluster_size) - edge, true);
	return r;
}

static int set_size(struct blk *b, uint64_t size)
{
	struct qcow2 *q = b->priv;
	uint64_t old = b->size;
	int r = 0;

	pthread_mutex_lock(&q->lock);
	q_exclusive_begin(q);
	r = q_commit(q);
	/* If that fails, all is as it was; what the guest wrote meanwhile waits for the next one. */
	if (!r) {
		r = size < old ? drop_clusters(q, align_up(size, q->cluster_size) / q->cluster_size,
					       align_up(old, q->cluster_size) / q->cluster_size)
			       : 0;
		if (!r) {
			q->h.size = size;
			q->header_dirty = true;
			r = q_commit(q);
		}
		if (!r)
			__atomic_store_n(&b->size, size, __ATOMIC_RELAXED);
		else if (q_revert(q))
			r = -EIO;
	}
	q_exclusive_end(q);
	pthread_mutex_unlock(&q->lock);
	return r;
}

int q_make_empty(struct blk *b)
{
	struct qcow2 *q = b->priv;
	int r;

	pthread_mutex_lock(&q->lock);
	q_exclusive_begin(q);
	r = drop_clusters(q, 0, align_up(b->size, q->cluster_size) / q->cluster_size);
	if (!r)
		r = q_commit(q);
	q_exclusive_end(q);
	pthread_mutex_unlock(&q->lock);
	return r;
}

int q_resize(struct blk *b, uint64_t size, struct lodge_err *err)
{
	struct qcow2 *q = b->priv;
	int r;

	if (size > INT64_MAX || size % BLK_SECTOR)
		return err_set(err, -EINVAL, "a size must be a multiple of 512 bytes below 8 EiB");
	if (q->h.snapshots && !q->v3)
		return err_set(err, -ENOTSUP,
			       "'%s' is of version 2 and has snapshots, which do not know their "
			       "size there; it cannot be resized",
			       b->path);
	r = size > b->size ? grow(b, size) : 0;
	if (!r)
		r = set_size(b, size);
	if (r == -EFBIG)
		return err_set(err, r, "'%s' cannot be that large with clusters of %llu bytes",
			       b->path, (unsigned long long)q->cluster_size);
	return r ? err_set(err, r, "'%s' cannot be resized: %s", b->path, strerror(-r)) : 0;
}
