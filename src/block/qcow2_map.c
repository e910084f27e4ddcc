// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where guest data is: L2 entries, runs of them, and the quick way for queues.
 * Source: QEMU docs/interop/qcow2.txt, "Cluster mapping", "Extended L2 Entries".
 * Threads: the image's lock is held, except where it says otherwise.
 */
#include <errno.h>

#include "block/qcow2_int.h"

uint64_t q_entry(const struct qcow2 *q, const struct q_table *t, uint64_t i, uint64_t *bitmap)
{
	if (!q->ext_l2) {
		*bitmap = 0;
		return ld_be64(t->data + i * 8);
	}
	*bitmap = ld_be64(t->data + i * 16 + 8);
	return ld_be64(t->data + i * 16);
}

void q_entry_set(const struct qcow2 *q, struct q_table *t, uint64_t i, uint64_t entry,
		 uint64_t bitmap)
{
	st_be64(t->data + i * (q->ext_l2 ? 16 : 8), entry);
	if (q->ext_l2)
		st_be64(t->data + i * 16 + 8, bitmap);
}

void q_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len)
{
	unsigned x = 62 - (q->h.cluster_bits - 8);
	uint64_t sectors = (entry & (Q_COMPRESSED - 1)) >> x;

	*off = entry & ((1ull << x) - 1) & 0x00ffffffffffffffull;
	*len = (sectors + 1) * 512 - *off % 512;
}

uint64_t q_packed_entry(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	unsigned x = 62 - (q->h.cluster_bits - 8);

	return Q_COMPRESSED | off | ((off + len - 1) / 512 - off / 512) << x;
}

int q_data_ok(struct qcow2 *q, uint64_t host)
{
	if (host % q->cluster_size)
		return q_corrupt(q, "guest data at 0x%llx, which is not where a cluster begins",
				 (unsigned long long)host);
	if (!host || q_set_has(&q->meta, host / q->cluster_size))
		return q_corrupt(q, "guest data at 0x%llx, where a table is",
				 (unsigned long long)host);
	return 0;
}

int q_entry_free(struct qcow2 *q, uint64_t entry)
{
	uint64_t off = entry & Q_OFFSET_MASK, len;

	if (entry & Q_COMPRESSED) {
		q_packed_place(q, entry, &off, &len);
		return q_free_bytes(q, off, len, true);
	}
	if (!off)
		return 0;
	if (off % q->cluster_size)
		return q_data_ok(q, off);
	return q_ref_dec(q, off / q->cluster_size, true);
}

/* ---- Looking up -------------------------------------------------------------------------------- */

/* What one entry says of the byte `in` of its cluster, and for how long that holds within it. */
static void entry_kind(const struct qcow2 *q, uint64_t e, uint64_t bitmap, uint64_t in,
		       struct q_map *m)
{
	uint64_t off = e & Q_OFFSET_MASK, sub = q->cluster_size / 32;
	bool alloc = off, zero;

	*m = (struct q_map){.len = q->cluster_size - in};
	if (e & Q_COMPRESSED) {
		m->kind = Q_PACKED;
		m->entry = e;
		return;
	}
	zero = q->v3 && !q->ext_l2 && (e & Q_ZERO);
	if (q->ext_l2) {
		unsigned i = (unsigned)(in / sub), n = 1;
		uint64_t pair = bitmap >> i & 0x100000001ull;

		while (i + n < 32 && (bitmap >> (i + n) & 0x100000001ull) == pair)
			n++;
		m->len = (i + n) * sub - in;
		zero = pair >> 32;
		alloc = (pair & 1) && off;
	}
	m->kind = zero ? Q_ZEROS : alloc ? Q_DATA : Q_NONE;
	m->host = off + in;
	m->owned = e & Q_COPIED;
}

static bool follows(const struct q_map *a, const struct q_map *b)
{
	if (a->kind != b->kind || a->kind == Q_PACKED)
		return false;
	return a->kind != Q_DATA || (a->host + a->len == b->host && a->owned == b->owned);
}

/* A run in one L2 table, without a look at the lock or the disk. */
static void run_in(const struct qcow2 *q, const struct q_table *t, uint64_t off, uint64_t len,
		   struct q_map *m)
{
	uint64_t i = off / q->cluster_size % q->l2_entries, in = off % q->cluster_size, bitmap, e;
	struct q_map next;

	e = q_entry(q, t, i, &bitmap);
	entry_kind(q, e, bitmap, in, m);
	while (m->len < len) {
		uint64_t at = in + m->len;
		uint64_t k = i + at / q->cluster_size;

		if (k >= q->l2_entries)
			break;
		e = q_entry(q, t, k, &bitmap);
		entry_kind(q, e, bitmap, at % q->cluster_size, &next);
		if (!follows(m, &next))
			break;
		m->len += next.len;
	}
	m->len = min_u64(m->len, len);
}

int q_lookup(struct qcow2 *q, uint64_t off, uint64_t len, struct q_map *m)
{
	struct q_table *t = NULL;
	int r = q_l2_get(q, off / q->l2_span, false, &t);

	if (r)
		return r;
	if (!t) {
		*m = (struct q_map){.kind = Q_NONE,
				    .len = min_u64(len, q->l2_span - off % q->l2_span)};
		return 0;
	}
	run_in(q, t, off, len, m);
	if (m->kind == Q_DATA && (m->host - off) % q->cluster_size)
		return q_corrupt(q, "guest data at 0x%llx, which is not where a cluster begins",
				 (unsigned long long)m->host);
	return 0;
}

bool q_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd, uint64_t *host_off)
{
	struct qcow2 *q = b->priv;
	struct q_table *t = NULL;
	struct q_map m;
	bool ok = false;

	if (off / q->l2_span != (off + len - 1) / q->l2_span || pthread_mutex_trylock(&q->lock))
		return false;
	t = q->exclusive || (write && q->corrupt) ? NULL : q_cache_find(&q->l2, off / q->l2_span);
	if (t) {
		run_in(q, t, off, len, &m);
		ok = m.kind == Q_DATA && m.len == len && !((m.host - off) % q->cluster_size);
		if (ok && write) {
			ok = m.owned;
			for (uint64_t c = m.host / q->cluster_size;
			     ok && c <= (m.host + len - 1) / q->cluster_size; c++)
				ok = c && !q_set_has(&q->meta, c);
		}
		*host_off = m.host;
	}
	pthread_mutex_unlock(&q->lock);
	if (ok)
		*fd = blk_file_fd(b->file);
	return ok;
}

/* ---- blk_map ----------------------------------------------------------------------------------- */

/* Nothing here: what the backing file says, one deeper. */
static int map_backing(struct blk *b, uint64_t off, struct blk_extent *out)
{
	int r;

	if (!b->backing || off >= b->backing->size)
		return 0;
	r = blk_map(b->backing, off, min_u64(out->len, b->backing->size - off), out);
	if (!r)
		out->depth++;
	return r;
}

int q_map_extent(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	struct qcow2 *q = b->priv;
	struct q_map m;
	int r;

	pthread_mutex_lock(&q->lock);
	while (q->exclusive)
		pthread_cond_wait(&q->cond, &q->lock);
	r = q_lookup(q, off, len, &m);
	pthread_mutex_unlock(&q->lock);
	if (r)
		return r;
	*out = (struct blk_extent){.len = m.len};
	switch (m.kind) {
	case Q_NONE:
		out->zero = true;
		return map_backing(b, off, out);
	case Q_ZEROS:
		out->zero = out->present = true;
		return 0;
	case Q_PACKED:
		out->data = out->present = out->compressed = true;
		return 0;
	case Q_DATA:
		out->data = out->present = out->has_host = true;
		out->host_off = m.host;
		out->path = b->path;
		return 0;
	}
	return -EIO;
}
