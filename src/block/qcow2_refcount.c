// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reference counts of host clusters, and who gets a free one.
 * Source: QEMU docs/interop/qcow2.txt, "Host cluster management". Threads: the image's lock is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_int.h"

uint64_t q_ref_load(const uint8_t *block, uint32_t order, uint64_t i)
{
	switch (order) {
	case 4:
		return ld_be16(block + i * 2);
	case 5:
		return ld_be32(block + i * 4);
	case 6:
		return ld_be64(block + i * 8);
	default: {
		unsigned bits = 1u << order, per = 8 / bits;

		return block[i / per] >> (i % per * bits) & ((1u << bits) - 1);
	}
	}
}

void q_ref_store(uint8_t *block, uint32_t order, uint64_t i, uint64_t val)
{
	switch (order) {
	case 4:
		st_be16(block + i * 2, (uint16_t)val);
		break;
	case 5:
		st_be32(block + i * 4, (uint32_t)val);
		break;
	case 6:
		st_be64(block + i * 8, val);
		break;
	default: {
		unsigned bits = 1u << order, per = 8 / bits, at = (unsigned)(i % per) * bits;
		unsigned mask = ((1u << bits) - 1) << at;

		block[i / per] = (uint8_t)((block[i / per] & ~mask) | ((unsigned)val << at));
	}
	}
}

/* ---- Counts ------------------------------------------------------------------------------------ */

int q_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *out)
{
	struct q_table *t = NULL;
	int r = q_refs_get(q, cluster / q->ref_entries, false, &t);

	*out = t ? q_ref_load(t->data, q->h.refcount_order, cluster % q->ref_entries) : 0;
	return r;
}

/* The refcount table in memory has an entry `index`. */
static int widen(struct qcow2 *q, uint64_t index)
{
	uint64_t room = q->reftable_room ? q->reftable_room : 64, *p;

	if (index < q->reftable_size)
		return 0;
	if (index >= Q_MAX_REFTABLE_BYTES / 8)
		return -EFBIG;
	while (room <= index)
		room *= 2;
	if (room != q->reftable_room) {
		p = realloc(q->reftable, room * 8);
		if (!p)
			return -ENOMEM;
		q->reftable = p;
		q->reftable_room = room;
	}
	memset(q->reftable + q->reftable_size, 0, (index + 1 - q->reftable_size) * 8);
	q->reftable_size = index + 1;
	q->reftable_dirty = true;
	return 0;
}

int q_ref_set(struct qcow2 *q, uint64_t cluster, uint64_t val)
{
	struct q_table *t = NULL;
	int r = widen(q, cluster / q->ref_entries);

	if (!r)
		r = q_refs_get(q, cluster / q->ref_entries, true, &t);
	if (r)
		return r;
	q_ref_store(t->data, q->h.refcount_order, cluster % q->ref_entries, val);
	q_table_dirty(&q->refs, t);
	return 0;
}

int q_ref_inc(struct qcow2 *q, uint64_t cluster)
{
	uint64_t n;
	int r = q_ref_get(q, cluster, &n);

	if (!r && n >= q->ref_max)
		return -EMLINK;
	return r ? r : q_ref_set(q, cluster, n + 1);
}

int q_ref_dec(struct qcow2 *q, uint64_t cluster, bool data)
{
	uint64_t n;
	int r = q_ref_get(q, cluster, &n);

	if (!r && !n)
		return q_corrupt(q, "cluster %llu is used, but its reference count is 0",
				 (unsigned long long)cluster);
	/* First the note that it must not be used again yet. It must not stay alone: space is given back by it. */
	if (!r && n == 1)
		r = q_set_add(&q->freed[0], cluster);
	if (r)
		return r;
	r = q_ref_set(q, cluster, n - 1);
	if (r) {
		if (n == 1)
			q_set_del(&q->freed[0], cluster);
		return r;
	}
	if (n == 1) {
		q->freed_data[0] |= data;
		if (q->packed_off && q->packed_off / q->cluster_size == cluster)
			q->packed_off = 0;
	}
	return 0;
}

void q_ref_undo_dec(struct qcow2 *q, uint64_t cluster)
{
	/* Its block is in memory and changed, so that this cannot fail. */
	if (q_ref_inc(q, cluster))
		q->corrupt = true;
	q_set_del(&q->freed[0], cluster);
}

int q_free_bytes(struct qcow2 *q, uint64_t off, uint64_t len, bool data)
{
	uint64_t first = off / q->cluster_size, last = (off + len - 1) / q->cluster_size;

	for (uint64_t c = first; len && c <= last; c++) {
		int r = q_ref_dec(q, c, data);

		if (r) {
			while (c-- > first)
				q_ref_undo_dec(q, c);
			return r;
		}
	}
	return 0;
}

/* ---- Allocation -------------------------------------------------------------------------------- */

/* Above this no L2 entry can point. */
static uint64_t cluster_limit(const struct qcow2 *q)
{
	return 1ull << (56 - q->h.cluster_bits);
}

/* How many clusters from `c` on are free for certain since no block counts them? */
static uint64_t uncounted(struct qcow2 *q, uint64_t c)
{
	uint64_t i = c / q->ref_entries;

	if ((i < q->reftable_size && q->reftable[i]) || q_cache_find(&q->refs, i))
		return 0;
	return q->ref_entries - c % q->ref_entries;
}

static bool is_held(const struct qcow2 *q, uint64_t c)
{
	return q_set_has(&q->freed[0], c) || q_set_has(&q->freed[1], c);
}

/* 1 if cluster `c` may be handed out. */
static int is_free(struct qcow2 *q, uint64_t c)
{
	uint64_t n;
	int r;

	if (uncounted(q, c)) {
		n = 0;
	} else {
		r = q_ref_get(q, c, &n);
		if (r)
			return r;
	}
	if (n || is_held(q, c))
		return 0;
	if (!c || q_set_has(&q->meta, c))
		return q_corrupt(q, "cluster %llu holds a table, but its reference count is 0",
				 (unsigned long long)c);
	return 1;
}

/* Steps over clusters in use, a block at a time where it can; the first that is not counted, or `c`. */
static int skip_used(struct qcow2 *q, uint64_t *c)
{
	struct q_table *t = NULL;
	uint64_t i = *c % q->ref_entries;
	int r;

	if (uncounted(q, *c))
		return 0;
	r = q_refs_get(q, *c / q->ref_entries, false, &t);
	if (r || !t)
		return r;
	if (q->h.refcount_order == 4) {
		for (; i < q->ref_entries && (t->data[i * 2] | t->data[i * 2 + 1]); i++)
			;
	} else {
		for (; i < q->ref_entries && q_ref_load(t->data, q->h.refcount_order, i); i++)
			;
	}
	*c += i - *c % q->ref_entries;
	return 0;
}

/* A free run from *hint on: at most `want`, and all of it if `whole`. */
static int find_run(struct qcow2 *q, uint64_t *hint, uint64_t want, bool whole, uint64_t *first,
		    uint64_t *got)
{
	uint64_t c = *hint, start = 0, n = 0;
	bool hint_holds = true;
	int r;

	for (;;) {
		uint64_t before = c;

		if (!n) {
			r = skip_used(q, &c);
			if (r)
				return r;
			if (c != before && c % q->ref_entries == 0)
				continue; /* the next block */
		}
		if (c >= cluster_limit(q))
			return -EFBIG;
		r = is_free(q, c);
		if (r < 0)
			return r;
		if (!r && n && !whole)
			break;
		if (!r) {
			/* Held ones become free later: the hint stays below them. */
			if (n || is_held(q, c)) {
				if (hint_holds)
					*hint = n ? start : c;
				hint_holds = false;
			}
			n = 0;
			c++;
			continue;
		}
		start = n++ ? start : c;
		c++;
		if (n == want)
			break;
	}
	*first = start;
	*got = n;
	if (hint_holds)
		*hint = start + n;
	return 0;
}

static int take(struct qcow2 *q, uint64_t first, uint64_t n)
{
	q->file_end = max_u64(q->file_end, (first + n) * q->cluster_size);
	for (uint64_t i = 0; i < n; i++) {
		int r = q_ref_set(q, first + i, 1);

		if (r) {
			while (i--)
				(void)!q_ref_dec(q, first + i, true);
			return r;
		}
	}
	return 0;
}

int q_alloc(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *got)
{
	int r = find_run(q, &q->data_hint, want, false, first, got);

	return r ? r : take(q, *first, *got);
}

int q_alloc_meta(struct qcow2 *q, uint64_t n, uint64_t *first)
{
	uint64_t got, hint = q->meta_hint;
	int r = find_run(q, n == 1 ? &q->meta_hint : &hint, n, true, first, &got);

	return r ? r : take(q, *first, n);
}

/* Another reference to the cluster that is being filled: 0, 1 if it can have no more, or -errno. */
static int share_packed(struct qcow2 *q, uint64_t cluster)
{
	uint64_t n;
	int r = q_ref_get(q, cluster, &n);

	if (r)
		return r;
	return n < q->ref_max ? q_ref_set(q, cluster, n + 1) : 1;
}

/* Behind what was packed last, also into the next cluster if that is free: 0, 1 if there is no room, or -errno. */
static int go_on_packing(struct qcow2 *q, uint64_t len)
{
	uint64_t in = q->packed_off % q->cluster_size, c = q->packed_off / q->cluster_size;
	bool into_next = len > q->cluster_size - in;
	int r;

	if (!in)
		return 1;
	if (into_next) {
		r = c + 1 < cluster_limit(q) ? is_free(q, c + 1) : 0;
		if (r <= 0)
			return r ? r : 1;
	}
	r = share_packed(q, c);
	if (r || !into_next)
		return r;
	r = take(q, c + 1, 1);
	if (r)
		(void)!q_ref_dec(q, c, true);
	else if (q->data_hint == c + 1)
		q->data_hint++;
	return r;
}

int q_alloc_packed(struct qcow2 *q, uint64_t len, uint64_t *off)
{
	uint64_t first, got;
	int r = go_on_packing(q, len);

	if (r < 0)
		return r;
	if (r) {
		r = q_alloc(q, 1, &first, &got);
		if (r)
			return r;
		q->packed_off = first * q->cluster_size;
	}
	*off = q->packed_off;
	q->packed_off += len;
	q->packed_end = max_u64(q->packed_end, align_up(q->packed_off, q->cluster_size));
	return 0;
}

int q_reach_packed_end(struct qcow2 *q)
{
	int r = 0;

	if (q->packed_end > blk_file_size(q->b->file))
		r = blk_file_write(q->b->file, q->packed_end - 1, "", 1);
	if (!r)
		q->packed_end = 0;
	return r;
}

/* Host space of freed clusters goes back to the file system, a run at a time. */
static void punch_chunk(struct qcow2 *q, const struct q_chunk *k)
{
	uint64_t base = (k->key - 1) * 512;

	for (unsigned i = 0, n; i < 512; i += n + 1) {
		for (n = 0; i + n < 512 && (k->bits[(i + n) / 64] >> (i + n) % 64 & 1); n++)
			;
		if (n)
			(void)!blk_file_punch(q->b->file, (base + i) * q->cluster_size,
					      n * q->cluster_size);
	}
}

/* The lowest cluster of a chunk; it has one, or the result is above all. */
static uint64_t lowest(const struct q_chunk *k)
{
	for (unsigned w = 0; w < 8; w++) {
		if (k->bits[w])
			return (k->key - 1) * 512 + w * 64 + (unsigned)__builtin_ctzll(k->bits[w]);
	}
	return UINT64_MAX;
}

void q_release_freed(struct qcow2 *q)
{
	struct q_set *s = &q->freed[1];

	for (size_t i = 0; i < s->size; i++) {
		uint64_t c = s->slot[i].key ? lowest(&s->slot[i]) : UINT64_MAX;

		if (c == UINT64_MAX)
			continue;
		/* Data stays in long runs if it keeps out of the tables' holes. */
		if (q->freed_data[1])
			q->data_hint = min_u64(q->data_hint, c);
		q->meta_hint = min_u64(q->meta_hint, c);
		if (q->b->discard && q->freed_data[1])
			punch_chunk(q, &s->slot[i]);
	}
	q_set_free(s);
	q->freed_data[1] = false;
}
