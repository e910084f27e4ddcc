// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * New qcow2 images, compressed writes, backing names, facts: what tools need.
 * Source: QEMU docs/interop/qcow2.txt. Threads: see qcow2.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/qcow2.h"
#include "block/qcow2_int.h"

bool q_get_info(struct blk *b, struct q_info *out)
{
	struct qcow2 *q = b->priv;

	if (b->format != &blk_qcow2)
		return false;
	*out = (struct q_info){.version = q->h.version,
			       .refcount_bits = 1u << q->h.refcount_order,
			       .cluster_bits = q->h.cluster_bits,
			       .lazy_refcounts = q->h.compatible & Q_COMPAT_LAZY,
			       .ext_l2 = q->ext_l2,
			       .corrupt = q->h.incompatible & Q_INCOMPAT_CORRUPT,
			       .dirty = q->h.incompatible & Q_INCOMPAT_DIRTY,
			       .compression = q->h.compression ? "zstd" : "zlib",
			       .backing_name = q->h.backing_name,
			       .backing_format =
				       q->h.backing_format[0] ? q->h.backing_format : NULL,
			       .snapshots = q->h.snapshots};
	return true;
}

/* ---- Creation ---------------------------------------------------------------------------------- */

static int check_options(const struct q_create *c, struct lodge_err *err)
{
	unsigned n = c->refcount_bits;

	if (c->version != 2 && c->version != 3)
		return err_set(err, -EINVAL, "there is no version %u of qcow2", c->version);
	if (c->cluster_size & (c->cluster_size - 1) || c->cluster_size < 512 ||
	    c->cluster_size > 2u << 20)
		return err_set(err, -EINVAL, "cluster_size must be a power of two from 512 to 2M");
	if (!n || n & (n - 1) || n > 64)
		return err_set(err, -EINVAL, "refcount_bits must be 1, 2, 4, 8, 16, 32 or 64");
	if (c->version == 2 && (n != 16 || c->lazy_refcounts || c->ext_l2 || c->zstd))
		return err_set(err, -EINVAL,
			       "refcount_bits other than 16, lazy_refcounts, extended_l2 and zstd "
			       "need version 3 (compat=1.1)");
	if (c->ext_l2 && c->cluster_size < 16384)
		return err_set(err, -EINVAL, "extended_l2 needs a cluster_size of at least 16K");
	if (c->size > INT64_MAX || c->size % BLK_SECTOR)
		return err_set(err, -EINVAL, "a size must be a multiple of 512 bytes below 8 EiB");
	return 0;
}

static void fill_header(const struct q_create *c, struct q_header *h)
{
	uint64_t cs = c->cluster_size, span = cs / (c->ext_l2 ? 16 : 8) * cs;

	*h = (struct q_header){
		.version = c->version,
		.cluster_bits = (uint32_t)__builtin_ctzll(cs),
		.size = c->size,
		.l1_size = (uint32_t)min_u64(UINT32_MAX, c->size / span + (c->size % span != 0)),
		.refcount_order = (uint32_t)__builtin_ctz(c->refcount_bits),
		.header_length = c->version == 2 ? Q_HEADER_V2 : 112,
		.compatible = c->lazy_refcounts ? Q_COMPAT_LAZY : 0,
		.incompatible = (c->zstd ? Q_INCOMPAT_COMPRESSION : 0) |
				(c->ext_l2 ? Q_INCOMPAT_EXT_L2 : 0),
		.compression = c->zstd,
		.backing_name = (char *)(uintptr_t)c->backing_name};
	if (c->backing_format)
		snprintf(h->backing_format, sizeof(h->backing_format), "%s", c->backing_format);
}

/* How many clusters the refcounts of `n` clusters, and their own, and the table take. */
static void plan_refs(const struct q_header *h, uint64_t n, uint64_t *blocks, uint64_t *table)
{
	uint64_t cs = 1ull << h->cluster_bits, entries = cs * 8 >> h->refcount_order, all;

	*blocks = *table = 1;
	for (;;) {
		all = n + *blocks + *table;
		if (*blocks * entries < all)
			*blocks = (all + entries - 1) / entries;
		else if (*table * (cs / 8) < *blocks)
			*table = (*blocks + cs / 8 - 1) / (cs / 8);
		else
			return;
	}
}

/* Header; refcount table; blocks; L1 table. Nothing else is in an empty image. */
static int write_empty(struct blk_file *f, struct q_header *h)
{
	uint64_t cs = 1ull << h->cluster_bits, entries = cs * 8 >> h->refcount_order;
	uint64_t l1 = align_up((uint64_t)h->l1_size * 8, cs) / cs, blocks, table, all;
	uint8_t *buf = calloc(1, cs);
	int r = buf ? 0 : -ENOMEM;

	plan_refs(h, 1 + l1, &blocks, &table);
	all = 1 + table + blocks + l1;
	h->reftable_off = cs;
	h->reftable_clusters = (uint32_t)table;
	h->l1_off = (1 + table + blocks) * cs;
	if (!r)
		r = q_header_format(h, buf);
	if (!r)
		r = blk_file_truncate(f, all * cs);
	if (!r)
		r = blk_file_write(f, 0, buf, cs);
	for (uint64_t i = 0; i < blocks && !r; i++) {
		uint8_t e[8];

		st_be64(e, (1 + table + i) * cs);
		r = blk_file_write(f, cs + i * 8, e, 8);
		memset(buf, 0, cs);
		for (uint64_t k = 0; k < entries && i * entries + k < all; k++)
			q_ref_store(buf, h->refcount_order, k, 1);
		if (!r)
			r = blk_file_write(f, (1 + table + i) * cs, buf, cs);
	}
	free(buf);
	return r ? r : blk_file_flush(f);
}

/* Every cluster has a place, in order. */
static int preallocate(const struct q_create *c, struct lodge_err *err)
{
	struct blk_open how = {.path = c->path, .format = "qcow2", .no_backing = true};
	struct blk *b;
	struct qcow2 *q;
	int r = blk_open(&how, &b, err), closed;

	if (r)
		return r;
	q = b->priv;
	pthread_mutex_lock(&q->lock);
	r = q_preallocate(q);
	pthread_mutex_unlock(&q->lock);
	if (!r && c->prealloc != Q_PREALLOC_METADATA) {
		uint64_t end = blk_file_size(b->file);

		r = fallocate(blk_file_fd(b->file), 0, 0, (off_t)end) ? -errno : 0;
		if (c->prealloc == Q_PREALLOC_FULL && !r)
			r = q_write_all_zeros(b);
	}
	closed = blk_close(b);
	r = r ? r : closed;
	return r ? err_set(err, r, "'%s' cannot be preallocated: %s", c->path, strerror(-r)) : 0;
}

int q_create(const struct q_create *c, struct lodge_err *err)
{
	struct q_header h;
	struct blk_file *f;
	int r = check_options(c, err);

	if (r)
		return r;
	fill_header(c, &h);
	if ((uint64_t)h.l1_size * 8 > Q_MAX_L1_BYTES)
		return err_set(err, -EFBIG,
			       "an image of %llu bytes needs larger clusters than %llu bytes "
			       "(cluster_size=)",
			       (unsigned long long)c->size, (unsigned long long)c->cluster_size);
	if (c->backing_name && strlen(c->backing_name) > 1023)
		return err_set(err, -ENAMETOOLONG, "the backing file's name is too long");
	r = blk_file_create(c->path, &f, err);
	if (r)
		return r;
	r = write_empty(f, &h);
	blk_file_close(f);
	if (r == -ENOSPC && c->backing_name)
		return err_set(err, r,
			       "cannot write '%s': the disk is full, or the backing file's "
			       "name does not fit into a cluster",
			       c->path);
	if (r)
		return err_set(err, r, "cannot write '%s': %s", c->path, strerror(-r));
	return c->prealloc ? preallocate(c, err) : 0;
}

/* ---- Compressed clusters ----------------------------------------------------------------------- */

uint64_t q_cluster_size(const struct blk *b)
{
	const struct qcow2 *q = b->priv;

	return b->format == &blk_qcow2 ? q->cluster_size : 0;
}

/* Room for the data, in q->inflight. */
static int packed_begin(struct qcow2 *q, uint64_t cluster, uint64_t len, struct q_inflight *f,
			uint64_t *at)
{
	uint64_t one = 1;
	int r;

	do {
		r = q_enter_write(q);
		if (r)
			return r;
	} while (q_wait_inflight(q, cluster, &one));
	r = q_alloc_packed(q, len, at);
	if (r)
		return r;
	*f = (struct q_inflight){.first = cluster, .count = 1};
	list_add_tail(&q->inflight, &f->link);
	return 0;
}

int q_write_compressed(struct blk *b, uint64_t off, const uint8_t *data, uint64_t len)
{
	struct qcow2 *q = b->priv;
	uint64_t cluster = off / q->cluster_size, at, bitmap, old = 0;
	struct q_inflight f;
	struct q_table *t = NULL;
	int r;

	pthread_mutex_lock(&q->lock);
	r = packed_begin(q, cluster, len, &f, &at);
	if (r) {
		pthread_mutex_unlock(&q->lock);
		return r;
	}
	pthread_mutex_unlock(&q->lock);
	r = blk_file_write(b->file, at, data, len);
	pthread_mutex_lock(&q->lock);
	if (!r)
		r = q_l2_get(q, cluster / q->l2_entries, true, &t);
	if (!r) {
		old = q_entry(q, t, cluster % q->l2_entries, &bitmap);
		r = q_entry_free(q, old);
	}
	if (r) {
		(void)!q_free_bytes(q, at, len, true);
	} else {
		q_entry_set(q, t, cluster % q->l2_entries, q_packed_entry(q, at, len), 0);
		q_table_dirty(&q->l2, t);
	}
	list_del(&f.link);
	pthread_cond_broadcast(&q->cond);
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* ---- Backing files ----------------------------------------------------------------------------- */

int q_set_backing(struct blk *b, const char *name, const char *format, struct lodge_err *err)
{
	struct qcow2 *q = b->priv;
	struct q_header h;
	char *copy = name && name[0] ? strdup(name) : NULL;
	int r;

	if (name && name[0] && !copy)
		return err_set(err, -ENOMEM, "not enough memory for the backing file's name");
	pthread_mutex_lock(&q->lock);
	q_exclusive_begin(q);
	r = q_commit(q);
	h = q->h;
	h.backing_name = copy;
	snprintf(h.backing_format, sizeof(h.backing_format), "%s", copy && format ? format : "");
	if (!r)
		r = q_header_rewrite(b->file, &h, err);
	if (r) {
		free(copy);
	} else {
		free(q->h.backing_name);
		q->h = h;
		q->h.backing_len = copy ? (uint32_t)strlen(copy) : 0;
	}
	/* Where the name stands has changed. */
	if (!r) {
		r = q_header_read(b->file, &h, err);
		q->h.backing_off = r ? q->h.backing_off : h.backing_off;
		if (!r)
			q_header_free(&h);
	}
	q_exclusive_end(q);
	pthread_mutex_unlock(&q->lock);
	return r;
}
