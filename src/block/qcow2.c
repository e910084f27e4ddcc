// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * qcow2 images, versions 2 and 3: opening, closing, and the format's table. How they are written so that
 * nothing is lost stands in qcow2_int.h. Source: QEMU docs/interop/qcow2.txt. Threads: see block.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/qcow2.h"
#include "block/qcow2_int.h"

#define L2_CACHE_BYTES (16u << 20)
#define REFS_CACHE_BYTES (4u << 20)

static unsigned probe(const uint8_t *head, size_t n, uint64_t file_size, const char *path)
{
	(void)file_size;
	(void)path;
	return n >= 8 && ld_be32(head) == Q_MAGIC && ld_be32(head + 4) >= 2 ? 100 : 0;
}

/* ---- The backing file -------------------------------------------------------------------------- */

int q_backing_path(const char *image, const char *name, char *out, size_t n, struct lodge_err *err)
{
	const char *slash = strrchr(image, '/'), *colon = strchr(name, ':');
	int len;

	if (!strncmp(name, "file:", 5)) {
		name += 5;
	} else if (colon && (!strchr(name, '/') || colon < strchr(name, '/'))) {
		return err_set(
			err, -ENOTSUP,
			"the backing file '%.200s' of '%.200s' is not a plain file; Lodge has "
			"files only (mend: 'lodge img rebase -u -b FILE')",
			name, image);
	}
	if (name[0] == '/' || !slash)
		len = snprintf(out, n, "%s", name);
	else
		len = snprintf(out, n, "%.*s/%s", (int)(slash - image), image, name);
	if (len < 0 || (size_t)len >= n)
		return err_set(err, -ENAMETOOLONG, "the backing file's name is too long");
	return 0;
}

static int check_chain(const struct blk_open *how, const char *path, struct lodge_err *err)
{
	struct stat st, other;
	unsigned depth = 1;

	if (stat(path, &st))
		return err_set(err, -errno,
			       "cannot open '%.200s', the backing file of '%.200s': %s", path,
			       how->path, strerror(errno));
	for (const struct blk_open *h = how; h; h = h->on_behalf, depth++) {
		if (!stat(h->path, &other) && other.st_dev == st.st_dev &&
		    other.st_ino == st.st_ino)
			return err_set(err, -ELOOP,
				       "'%.200s' stands on itself: its backing files "
				       "form a circle",
				       path);
		if (depth >= Q_MAX_DEPTH)
			return err_set(err, -ELOOP, "'%.200s' stands on more than %u backing files",
				       path, Q_MAX_DEPTH);
	}
	return 0;
}

static int open_backing(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	const struct q_header *h = &((struct qcow2 *)b->priv)->h;
	struct blk_open up = {.read_only = true,
			      .no_lock = how->no_lock,
			      .cache = how->cache,
			      .format = h->backing_format[0] ? h->backing_format : NULL,
			      .on_behalf = how};
	char path[4096];
	int r;

	if (!h->backing_name || how->no_backing)
		return 0;
	r = q_backing_path(how->path, h->backing_name, path, sizeof(path), err);
	if (!r)
		r = check_chain(how, path, err);
	up.path = path;
	return r ? r : blk_open(&up, &b->backing, err);
}

/* ---- Opening ----------------------------------------------------------------------------------- */

int q_load_entries(struct qcow2 *q, uint64_t off, uint64_t n, uint64_t **out)
{
	uint8_t buf[4096];
	int r = 0;

	*out = calloc(n ? n : 1, 8);
	if (!*out)
		return -ENOMEM;
	for (uint64_t i = 0; i < n && !r; i += sizeof(buf) / 8) {
		uint64_t k = min_u64(n - i, sizeof(buf) / 8), run;

		/* Nothing is written into holes, so that they cost no memory. */
		if (!blk_file_has_data(q->b->file, off + i * 8, k * 8, &run) && run >= k * 8)
			continue;
		r = blk_file_read(q->b->file, off + i * 8, buf, k * 8);
		for (uint64_t e = 0; e < k && !r; e++) {
			if (ld_be64(buf + e * 8))
				(*out)[i + e] = ld_be64(buf + e * 8);
		}
	}
	return r;
}

static int note_meta(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
	int r = 0;

	/* A hostile header may name clusters everywhere; then some are not watched. */
	for (uint64_t at = off; at < off + bytes && !r && q->meta.used < Q_META_CHUNKS;
	     at += q->cluster_size)
		r = q_set_add(&q->meta, at / q->cluster_size);
	return r;
}

static int note_all_meta(struct qcow2 *q)
{
	int r = note_meta(q, 0, q->cluster_size);

	if (!r)
		r = note_meta(q, q->h.l1_off, (uint64_t)q->h.l1_size * 8);
	if (!r)
		r = note_meta(q, q->h.reftable_off, q->h.reftable_clusters * q->cluster_size);
	for (uint64_t i = 0; i < q->reftable_size && !r; i++) {
		if (q->reftable[i] && q_set_has(&q->meta, q->reftable[i] / q->cluster_size))
			return q_corrupt(q, "two tables at 0x%llx",
					 (unsigned long long)q->reftable[i]);
		if (q->reftable[i])
			r = note_meta(q, q->reftable[i], q->cluster_size);
	}
	for (uint64_t i = 0; i < q->h.l1_size && !r; i++) {
		uint64_t off = q->l1[i] & Q_OFFSET_MASK;

		if (off)
			r = note_meta(q, off, q->cluster_size);
	}
	return r;
}

static int load_tables(struct qcow2 *q, const struct blk_open *how)
{
	int r = q_load_entries(q, q->h.l1_off, q->h.l1_size, &q->l1);

	q->l1_clusters = align_up((uint64_t)q->h.l1_size * 8, q->cluster_size) / q->cluster_size;
	if (!r && (!q->b->read_only || how->check)) {
		q->reftable_size = q->h.reftable_clusters * q->cluster_size / 8;
		q->reftable_room = q->reftable_size;
		r = q_load_entries(q, q->h.reftable_off, q->reftable_size, &q->reftable);
		while (q->reftable_size && !q->reftable[q->reftable_size - 1])
			q->reftable_size--;
	}
	if (!r)
		r = q_cache_init(&q->l2, (unsigned)max_u64(8, L2_CACHE_BYTES / q->cluster_size));
	if (!r)
		r = q_cache_init(&q->refs,
				 (unsigned)max_u64(8, REFS_CACHE_BYTES / q->cluster_size));
	return r;
}

static void set_geometry(struct qcow2 *q)
{
	q->cluster_size = 1ull << q->h.cluster_bits;
	q->ext_l2 = q->h.incompatible & Q_INCOMPAT_EXT_L2;
	q->v3 = q->h.version >= 3;
	q->l2_entries = q->cluster_size / (q->ext_l2 ? 16 : 8);
	q->l2_span = q->l2_entries * q->cluster_size;
	q->ref_entries = q->cluster_size * 8 >> q->h.refcount_order;
	q->ref_max =
		q->h.refcount_order == 6 ? UINT64_MAX : (1ull << (1u << q->h.refcount_order)) - 1;
}

static void free_all(struct qcow2 *q)
{
	q_cache_free(&q->l2);
	q_cache_free(&q->refs);
	q_set_free(&q->meta);
	q_set_free(&q->freed[0]);
	q_set_free(&q->freed[1]);
	free(q->l1);
	free(q->reftable);
	q_header_free(&q->h);
	pthread_cond_destroy(&q->cond);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* Before the first write: a clean start. */
static int make_writable(struct qcow2 *q, const struct blk_open *how, struct lodge_err *err)
{
	struct q_check_result found;
	int r;

	if (how->check)
		return 0;
	if (q->h.incompatible & Q_INCOMPAT_CORRUPT)
		return err_set(
			err, -EIO,
			"'%s' is marked as damaged and can only be read; 'lodge img check -r "
			"all %s' mends it",
			how->path, how->path);
	if (q->h.incompatible & Q_INCOMPAT_DIRTY) {
		pthread_mutex_lock(&q->lock);
		r = q_check(q, Q_REPAIR_ALL, Q_CHECK_QUICK, &found, err);
		pthread_mutex_unlock(&q->lock);
		if (r)
			return r;
		if (found.corruptions != found.corruptions_fixed)
			return err_set(
				err, -EIO,
				"'%s' was not closed, and what was found in it cannot all be "
				"mended; 'lodge img check' says more",
				how->path);
	}
	if (!q->h.autoclear)
		return 0;
	/* What those features promise does not hold after the first write. */
	q->h.autoclear = 0;
	r = q_header_write(q->b->file, &q->h);
	return r ? err_set(err, r, "cannot write to '%s': %s", how->path, strerror(-r)) : 0;
}

static int open_tables(struct qcow2 *q, const struct blk_open *how, struct lodge_err *err)
{
	int r = load_tables(q, how);

	if (!r && !q->b->read_only && !how->check)
		r = note_all_meta(q);
	if (r)
		return err_set(err, r, "cannot open '%s': %s", how->path,
			       r == -EIO ? "its tables are damaged" : strerror(-r));
	return 0;
}

static int q_open(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	struct lodge_err why = {""};
	int r;

	if (!q)
		return err_set(err, -ENOMEM, "not enough memory for '%s'", how->path);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->cond, NULL);
	list_init(&q->inflight);
	list_init(&q->l2.lru);
	list_init(&q->refs.lru);
	q->b = b;
	q->quiet = how->quiet;
	b->priv = q;
	r = q_header_read(b->file, &q->h, &why);
	if (r) {
		err_set(err, r, "cannot open '%.150s': %.300s", how->path, why.msg);
		free_all(q);
		return r;
	}
	set_geometry(q);
	q->file_end = align_up(blk_file_size(b->file), q->cluster_size);
	b->size = q->h.size;
	r = open_tables(q, how, err);
	if (!r)
		r = open_backing(b, how, err);
	if (!r && !b->read_only)
		r = make_writable(q, how, err);
	if (r) {
		if (b->backing)
			(void)!blk_close(b->backing);
		b->backing = NULL;
		b->priv = NULL;
		free_all(q);
	}
	return r;
}

int q_revert(struct qcow2 *q)
{
	struct blk_open how = {.path = q->b->path};
	struct q_header h;
	int r = q_header_read(q->b->file, &h, NULL);

	if (r) {
		q->corrupt = true; /* like below */
		return r;
	}
	q_header_free(&q->h);
	q->h = h;
	q_cache_free(&q->l2);
	q_cache_free(&q->refs);
	q_set_free(&q->meta);
	q_set_free(&q->freed[0]);
	free(q->l1);
	free(q->reftable);
	q->l1 = q->reftable = NULL;
	q->l1_dirty = q->reftable_dirty = q->header_dirty = q->tables_spilled = false;
	q->data_hint = q->meta_hint = q->packed_off = q->packed_end = 0;
	r = load_tables(q, &how);
	if (!r)
		r = note_all_meta(q);
	if (r) {
		q->corrupt = true; /* what is in memory now must not be written */
		return r;
	}
	q->corrupt &= !q->stale;
	q->stale = false;
	__atomic_store_n(&q->b->size, h.size, __ATOMIC_RELAXED);
	return 0;
}

static int q_flush(struct blk *b)
{
	struct qcow2 *q = b->priv;
	int r;

	pthread_mutex_lock(&q->lock);
	while (q->exclusive)
		pthread_cond_wait(&q->cond, &q->lock);
	r = q->corrupt ? -EIO : q_commit_if_dirty(q);
	pthread_mutex_unlock(&q->lock);
	/* Without a commit of our own there is still what was written in place. */
	return r ? (r < 0 ? r : 0) : blk_file_flush(b->file);
}

static void q_close(struct blk *b)
{
	struct qcow2 *q = b->priv;

	pthread_mutex_lock(&q->lock);
	if (!b->read_only && !q->corrupt && q_is_dirty(q))
		(void)!q_commit(q); /* cache=unsafe: blk_close() did not ask for it */
	pthread_mutex_unlock(&q->lock);
	free_all(q);
	b->priv = NULL;
}

const struct blk_format blk_qcow2 = {
	.name = "qcow2",
	.can_write = true,
	.probe = probe,
	.open = q_open,
	.close = q_close,
	.preadv = q_preadv,
	.pwritev = q_pwritev,
	.zero = q_zero,
	.discard = q_discard,
	.flush = q_flush,
	.resize = q_resize,
	.map = q_map_extent,
	.quick = q_quick,
};
