// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Are a qcow2 image's reference counts those of its tables? Counts every reference, compares, and mends: the
 * counts in memory become what was counted, and a commit makes that the image's.
 * Source: QEMU docs/interop/qcow2.txt. Threads: the caller has the image to itself.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "block/qcow2.h"
#include "block/qcow2_int.h"

#define QUICK_CLUSTERS (4ull << 20) /* of the file */
#define QUICK_ENTRIES (8ull << 20)  /* looked at */

struct checker {
	struct qcow2 *q;
	struct q_check_result *res;
	uint32_t *count; /* references, by cluster of the file */
	uint64_t clusters;
	struct q_set blocks; /* of refcounts, that what was counted needs */
	uint64_t blocks_end; /* behind the last of them */
	uint64_t budget;     /* entries that may still be looked at */
	uint64_t next_host;
	bool no_memory;
	uint8_t *table; /* room for one */
};

static void finding(struct checker *c, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!c->res->say)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->res->say(c->res->opaque, text);
}

static void bad(struct checker *c, const char *what, uint64_t off)
{
	c->res->corruptions++;
	finding(c, "ERROR %s at 0x%llx", what, (unsigned long long)off);
}

/* ---- Counting ---------------------------------------------------------------------------------- */

static void refer(struct checker *c, uint64_t off, uint64_t len, const char *what)
{
	uint64_t bits = c->q->h.cluster_bits;

	if (!len)
		return;
	if (!range_ok(off >> bits, ((off + len - 1) >> bits) - (off >> bits) + 1, c->clusters)) {
		bad(c, what, off);
		return;
	}
	for (uint64_t k = off >> bits; k <= (off + len - 1) >> bits; k++) {
		uint64_t block = k / c->q->ref_entries;

		c->count[k] += c->count[k] < UINT32_MAX;
		c->blocks_end = max_u64(c->blocks_end, block + 1);
		if (!q_set_has(&c->blocks, block) && q_set_add(&c->blocks, block))
			c->no_memory = true;
	}
}

static void count_entry(struct checker *c, uint64_t e, bool active)
{
	struct qcow2 *q = c->q;
	uint64_t off = e & Q_OFFSET_MASK, len;

	if (e & Q_COMPRESSED) {
		q_packed_place(q, e, &off, &len);
		if (e & Q_COPIED)
			bad(c, "a compressed cluster marked as its owner's", off);
		refer(c, off, len, "a compressed cluster beyond the file's end");
		c->res->compressed_clusters += active;
		c->res->fragmented_clusters += active;
		c->res->allocated_clusters += active;
		return;
	}
	if (!off)
		return;
	if (off % q->cluster_size) {
		bad(c, "guest data where no cluster begins", off);
		return;
	}
	refer(c, off, q->cluster_size, "guest data beyond the file's end");
	if (!active)
		return;
	c->res->allocated_clusters++;
	c->res->fragmented_clusters += c->next_host && off != c->next_host;
	c->next_host = off + q->cluster_size;
}

static int count_l2(struct checker *c, uint64_t off, bool active)
{
	struct qcow2 *q = c->q;
	int r;

	if (off % q->cluster_size) {
		bad(c, "an L2 table where no cluster begins", off);
		return 0;
	}
	if (!range_ok(off / q->cluster_size, 1, c->clusters)) {
		bad(c, "an L2 table beyond the file's end", off);
		return 0;
	}
	if (c->budget < q->l2_entries)
		return -E2BIG;
	c->budget -= q->l2_entries;
	c->next_host = 0;
	refer(c, off, q->cluster_size, "an L2 table");
	r = blk_file_read(q->b->file, off, c->table, q->cluster_size);
	for (uint64_t i = 0; i < q->l2_entries && !r; i++)
		count_entry(c, ld_be64(c->table + i * (q->ext_l2 ? 16 : 8)), active);
	return r;
}

static int count_l1(struct checker *c, const uint64_t *l1, uint64_t n, bool active)
{
	int r = 0;

	for (uint64_t i = 0; i < n && !r; i++) {
		if (l1[i] & Q_OFFSET_MASK)
			r = count_l2(c, l1[i] & Q_OFFSET_MASK, active);
	}
	return r;
}

static int count_snapshot(struct checker *c, const struct q_snapshot *s)
{
	uint64_t *l1 = NULL;
	int r;

	if (s->l1_off % c->q->cluster_size || s->l1_size > Q_MAX_L1_BYTES / 8) {
		bad(c, "the L1 table of a snapshot", s->l1_off);
		return 0;
	}
	r = q_load_entries(c->q, s->l1_off, s->l1_size, &l1);
	refer(c, s->l1_off, (uint64_t)s->l1_size * 8, "a snapshot's L1 table");
	if (!r)
		r = count_l1(c, l1, s->l1_size, false);
	free(l1);
	return r;
}

static int count_snapshots(struct checker *c, struct lodge_err *err)
{
	struct q_snapshots list;
	uint64_t bytes;
	int r = q_snapshots_load(c->q, &list, &bytes, err);

	if (r) {
		bad(c, "the snapshot table", c->q->h.snapshots_off);
		return 0;
	}
	refer(c, c->q->h.snapshots_off, bytes, "the snapshot table");
	for (unsigned i = 0; i < list.count && !r; i++)
		r = count_snapshot(c, &list.at[i]);
	q_snapshots_free(&list);
	return r;
}

/* Tables of dirty bitmaps, whose promise still holds: they are somebody's, not leaks. */
static int count_bitmaps(struct checker *c)
{
	const struct q_header *h = &c->q->h;
	uint64_t pos = 0, n = h->bitmaps_size;
	uint8_t *dir;
	int r;

	if (!(h->autoclear & Q_AUTOCLEAR_BITMAPS) || !h->bitmaps || n > (64u << 20))
		return 0;
	dir = malloc(n ? n : 1);
	r = dir ? blk_file_read(c->q->b->file, h->bitmaps_off, dir, n) : -ENOMEM;
	refer(c, h->bitmaps_off, n, "the directory of bitmaps");
	for (uint32_t i = 0; i < h->bitmaps && !r && range_ok(pos, 24, n); i++) {
		uint64_t off = ld_be64(dir + pos), entries = ld_be32(dir + pos + 8), *table = NULL;

		refer(c, off, entries * 8, "a bitmap's table");
		if (entries * 8 <= Q_MAX_L1_BYTES)
			r = q_load_entries(c->q, off, entries, &table);
		for (uint64_t k = 0; k < entries && table && !r; k++) {
			if (table[k] & Q_OFFSET_MASK)
				refer(c, table[k] & Q_OFFSET_MASK, c->q->cluster_size, "a bitmap");
		}
		free(table);
		pos += align_up(24ull + ld_be16(dir + pos + 18) + ld_be32(dir + pos + 20), 8);
	}
	free(dir);
	return r;
}

/* Blocks of refcounts; one that cannot be is forgotten if the image is to be mended. */
static void count_refs(struct checker *c, unsigned repair)
{
	struct qcow2 *q = c->q;

	refer(c, q->h.reftable_off, q->h.reftable_clusters * q->cluster_size, "the refcount table");
	for (uint64_t i = 0; i < q->reftable_size; i++) {
		uint64_t off = q->reftable[i];
		bool ok = !(off % q->cluster_size) && off / q->cluster_size < c->clusters;

		if (!off)
			continue;
		if (ok && !c->count[off / q->cluster_size]) {
			refer(c, off, q->cluster_size, "a block of reference counts");
			continue;
		}
		bad(c, "a block of reference counts", off);
		if (repair & Q_REPAIR_ERRORS) {
			c->res->corruptions_fixed++;
			q_cache_drop(&q->refs, i);
			q->reftable[i] = 0;
			q->reftable_dirty = true;
		}
	}
}

static int count_all(struct checker *c, unsigned repair, struct lodge_err *err)
{
	struct qcow2 *q = c->q;
	int r;

	refer(c, 0, q->cluster_size, "the header");
	refer(c, q->h.l1_off, (uint64_t)q->h.l1_size * 8, "the L1 table");
	r = count_l1(c, q->l1, q->h.l1_size, true);
	if (!r)
		r = count_snapshots(c, err);
	if (!r)
		r = count_bitmaps(c);
	if (!r)
		count_refs(c, repair);
	return r;
}

/* ---- Comparing --------------------------------------------------------------------------------- */

static int compare_one(struct checker *c, uint64_t k, unsigned repair)
{
	uint64_t have, want = c->count[k];
	bool leak;
	int r = q_ref_get(c->q, k, &have);

	if (r)
		return r;
	if (have || want)
		c->res->end_off = (k + 1) * c->q->cluster_size;
	if (have == want)
		return 0;
	leak = have > want;
	finding(c, "%s cluster %llu refcount=%llu reference=%llu", leak ? "Leaked" : "ERROR",
		(unsigned long long)k, (unsigned long long)have, (unsigned long long)want);
	*(leak ? &c->res->leaks : &c->res->corruptions) += 1;
	if (!(repair & (leak ? Q_REPAIR_LEAKS : Q_REPAIR_ERRORS)))
		return 0;
	if (want > c->q->ref_max)
		return 0;
	r = q_ref_set(c->q, k, want);
	if (!r)
		*(leak ? &c->res->leaks_fixed : &c->res->corruptions_fixed) += 1;
	return r;
}

/* Where no refcounts are and none are needed there is nothing to look at: files may be sparse. */
static int compare_all(struct checker *c, unsigned repair)
{
	const struct qcow2 *q = c->q;
	uint64_t blocks = max_u64(c->blocks_end, q->reftable_size);
	int r = c->no_memory ? -ENOMEM : 0;

	for (uint64_t i = 0; i < blocks && !r; i++) {
		uint64_t first = i * q->ref_entries;
		bool there = i < q->reftable_size && q->reftable[i];

		if (!there && !q_set_has(&c->blocks, i))
			continue;
		for (uint64_t k = first; k < first + q->ref_entries && k < c->clusters && !r; k++)
			r = compare_one(c, k, repair);
	}
	return r;
}

static int copied_one(struct checker *c, uint64_t e, unsigned repair, uint64_t *mended)
{
	uint64_t off = e & Q_OFFSET_MASK, n;
	int r;

	*mended = e;
	if ((e & Q_COMPRESSED) || !off || off % c->q->cluster_size)
		return 0;
	r = q_ref_get(c->q, off / c->q->cluster_size, &n);
	if (r || (n == 1) == !!(e & Q_COPIED))
		return r;
	c->res->corruptions++;
	finding(c, "ERROR OFLAG_COPIED at 0x%llx, refcount=%llu", (unsigned long long)off,
		(unsigned long long)n);
	if (!(repair & Q_REPAIR_ERRORS))
		return 0;
	c->res->corruptions_fixed++;
	*mended = e ^ Q_COPIED;
	return 0;
}

/* The flags that say "refcount is one", in the active tables. */
static int check_copied(struct checker *c, unsigned repair)
{
	struct qcow2 *q = c->q;
	int r = 0;

	for (uint64_t i = 0; i < q->h.l1_size && !r; i++) {
		uint64_t off = q->l1[i] & Q_OFFSET_MASK, e, mended, bitmap;
		struct q_table *t = NULL;

		if (!off || off % q->cluster_size || off / q->cluster_size >= c->clusters)
			continue;
		r = copied_one(c, q->l1[i], repair, &mended);
		if (mended != q->l1[i]) {
			q->l1[i] = mended;
			q->l1_dirty = true;
		}
		if (!r)
			r = q_l2_get(q, i, false, &t);
		for (uint64_t k = 0; k < q->l2_entries && !r; k++) {
			e = q_entry(q, t, k, &bitmap);
			r = copied_one(c, e, repair, &mended);
			if (mended == e)
				continue;
			/* Refcounts may have been lent to the table's new place. */
			q_entry_set(q, t, k, mended, bitmap);
			q_table_dirty(&q->l2, t);
		}
		if (!r && q->l2.dirty >= q->l2.max)
			r = q_place_l2(q);
	}
	return r;
}

/* ---- All of it --------------------------------------------------------------------------------- */

static int mend(struct checker *c, unsigned repair)
{
	struct qcow2 *q = c->q;
	bool whole = c->res->corruptions == c->res->corruptions_fixed;

	if ((repair & Q_REPAIR_ERRORS) && whole &&
	    (q->h.incompatible & (Q_INCOMPAT_DIRTY | Q_INCOMPAT_CORRUPT))) {
		q->h.incompatible &= ~(Q_INCOMPAT_DIRTY | Q_INCOMPAT_CORRUPT);
		q->header_dirty = true;
	}
	if (!q_is_dirty(q))
		return 0;
	q->corrupt = false;
	q->data_hint = q->meta_hint = 0;
	return q_commit(q);
}

static int run(struct checker *c, unsigned repair, struct lodge_err *err)
{
	int r = count_all(c, repair, err);

	if (!r)
		r = compare_all(c, repair);
	if (!r)
		r = check_copied(c, repair);
	if (!r && repair)
		r = mend(c, repair);
	return r;
}

int q_check(struct qcow2 *q, unsigned repair, int how, struct q_check_result *out,
	    struct lodge_err *err)
{
	struct checker c = {.q = q, .res = out, .budget = UINT64_MAX};
	uint64_t size = blk_file_size(q->b->file), bytes;
	int r;

	if (how == Q_CHECK_QUICK)
		*out = (struct q_check_result){0};
	out->total_clusters = align_up(q->b->size, q->cluster_size) / q->cluster_size;
	/* L1 tables need not be written to their cluster's end. */
	c.clusters = size / q->cluster_size + (size % q->cluster_size != 0) + 1;
	if (how == Q_CHECK_QUICK)
		c.budget = QUICK_ENTRIES;
	if (c.clusters > (how == Q_CHECK_QUICK ? QUICK_CLUSTERS : 1ull << 34))
		return err_set(
			err, -E2BIG,
			"'%s' was not closed and is too large to be mended now; run 'lodge img "
			"check -r all'",
			q->b->path);
	bytes = align_up(c.clusters * 4, 4096);
	c.count = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	c.table = malloc(q->cluster_size);
	r = c.count == MAP_FAILED || !c.table ? -ENOMEM : run(&c, repair, err);
	if (c.count != MAP_FAILED)
		munmap(c.count, bytes);
	free(c.table);
	q_set_free(&c.blocks);
	if (r == -E2BIG)
		return err_set(
			err, r,
			"'%s' was not closed and is too large to be mended now; run 'lodge img "
			"check -r all'",
			q->b->path);
	return r ? err_set(err, r, "'%s' cannot be checked: %s", q->b->path, strerror(-r)) : 0;
}

int q_check_image(struct blk *b, unsigned repair, struct q_check_result *out, struct lodge_err *err)
{
	struct qcow2 *q = b->priv;
	int r;

	if (b->format != &blk_qcow2)
		return err_set(err, -ENOTSUP, "images of the format %s cannot be checked",
			       b->format->name);
	pthread_mutex_lock(&q->lock);
	q_exclusive_begin(q);
	r = q_is_dirty(q) && !b->read_only ? q_commit(q) : 0;
	if (!r)
		r = q_check(q, repair, Q_CHECK_WHOLE, out, err);
	q_exclusive_end(q);
	pthread_mutex_unlock(&q->lock);
	return r;
}
