// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Internal snapshots of qcow2: tables of L1 tables. Each change is one commit, so that it happens or does not.
 * Source: QEMU docs/interop/qcow2.txt, "Snapshots". Threads: whoever calls has the image to himself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "block/qcow2.h"
#include "block/qcow2_int.h"

#define ENTRY_BYTES	40u
#define EXTRA_BYTES	16u
#define TABLE_BYTES_MAX (64ull << 20)
#define EXTRA_MAX	1024u

/* ---- The table --------------------------------------------------------------------------------- */

void q_snapshots_free(struct q_snapshots *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		free(s->at[i].id);
		free(s->at[i].name);
		free(s->at[i].extra);
	}
	free(s->at);
	*s = (struct q_snapshots){NULL, 0};
}

static int load_one(struct qcow2 *q, uint64_t *pos, struct q_snapshot *s)
{
	uint8_t p[ENTRY_BYTES];
	uint64_t off = q->h.snapshots_off + *pos;
	uint32_t id_len, name_len;
	int r = blk_file_read(q->b->file, off, p, sizeof(p));

	if (r)
		return r;
	s->l1_off = ld_be64(p);
	s->l1_size = ld_be32(p + 8);
	id_len = ld_be16(p + 12);
	name_len = ld_be16(p + 14);
	s->date_sec = ld_be32(p + 16);
	s->date_nsec = ld_be32(p + 20);
	s->vm_clock_nsec = ld_be64(p + 24);
	s->vm_state_size = ld_be32(p + 32);
	s->extra_len = ld_be32(p + 36);
	s->disk_size = q->h.size;
	if (s->extra_len > EXTRA_MAX)
		return -EINVAL;
	s->extra = calloc(1, s->extra_len + 1u);
	s->id = calloc(1, id_len + 1u);
	s->name = calloc(1, name_len + 1u);
	if (!s->extra || !s->id || !s->name)
		return -ENOMEM;
	r = blk_file_read(q->b->file, off + ENTRY_BYTES, s->extra, s->extra_len);
	if (!r)
		r = blk_file_read(q->b->file, off + ENTRY_BYTES + s->extra_len, s->id, id_len);
	if (!r)
		r = blk_file_read(q->b->file, off + ENTRY_BYTES + s->extra_len + id_len, s->name,
				  name_len);
	if (s->extra_len >= 8)
		s->vm_state_size = ld_be64(s->extra);
	if (s->extra_len >= 16)
		s->disk_size = ld_be64(s->extra + 8);
	*pos += align_up(ENTRY_BYTES + s->extra_len + id_len + name_len, 8);
	return r;
}

int q_snapshots_load(struct qcow2 *q, struct q_snapshots *out, uint64_t *bytes,
		     struct lodge_err *err)
{
	int r = 0;

	*bytes = 0;
	*out = (struct q_snapshots){NULL, 0};
	if (!q->h.snapshots)
		return 0;
	out->at = calloc(q->h.snapshots, sizeof(*out->at));
	if (!out->at)
		return err_set(err, -ENOMEM, "not enough memory for the list of snapshots");
	while (out->count < q->h.snapshots && !r) {
		r = load_one(q, bytes, &out->at[out->count++]);
		if (!r && *bytes > TABLE_BYTES_MAX)
			r = -EINVAL;
	}
	if (!r)
		return 0;
	q_snapshots_free(out);
	return err_set(err, r, "the list of snapshots in '%s' is damaged", q->b->path);
}

static size_t store_one(const struct q_snapshot *s, uint8_t *p)
{
	size_t id_len = strlen(s->id), name_len = strlen(s->name);
	size_t extra = max_u64(s->extra_len, EXTRA_BYTES);
	size_t len = (size_t)align_up(ENTRY_BYTES + extra + id_len + name_len, 8);

	if (!p)
		return len;
	memset(p, 0, len);
	st_be64(p, s->l1_off);
	st_be32(p + 8, s->l1_size);
	st_be16(p + 12, (uint16_t)id_len);
	st_be16(p + 14, (uint16_t)name_len);
	st_be32(p + 16, s->date_sec);
	st_be32(p + 20, s->date_nsec);
	st_be64(p + 24, s->vm_clock_nsec);
	st_be32(p + 32, (uint32_t)min_u64(s->vm_state_size, UINT32_MAX));
	st_be32(p + 36, (uint32_t)extra);
	if (s->extra_len)
		memcpy(p + 40, s->extra, s->extra_len);
	st_be64(p + 40, s->vm_state_size);
	st_be64(p + 48, s->disk_size);
	memcpy(p + 40 + extra, s->id, id_len);
	memcpy(p + 40 + extra + id_len, s->name, name_len);
	return len;
}

/* The list to a new place; the header leads there with the next commit. */
static int store_all(struct qcow2 *q, const struct q_snapshots *list, uint64_t old_bytes)
{
	uint64_t bytes = 0, pos = 0, first = 0, n;
	uint8_t *buf;
	int r = 0;

	for (unsigned i = 0; i < list->count; i++)
		bytes += store_one(&list->at[i], NULL);
	n = align_up(bytes, q->cluster_size) / q->cluster_size;
	if (bytes > TABLE_BYTES_MAX)
		return -E2BIG;
	buf = calloc(1, n * q->cluster_size + 1);
	if (!buf)
		return -ENOMEM;
	for (unsigned i = 0; i < list->count; i++)
		pos += store_one(&list->at[i], buf + pos);
	if (n)
		r = q_alloc_meta(q, n, &first);
	if (!r && n)
		r = blk_file_write(q->b->file, first * q->cluster_size, buf, n * q->cluster_size);
	if (!r)
		r = q_free_bytes(q, q->h.snapshots_off, old_bytes, false);
	free(buf);
	if (r)
		return r;
	q->h.snapshots_off = first * q->cluster_size;
	q->h.snapshots = list->count;
	q->header_dirty = true;
	return 0;
}

/* ---- References -------------------------------------------------------------------------------- */

static int add_entry(struct qcow2 *q, uint64_t e, int by)
{
	uint64_t off = e & Q_OFFSET_MASK, len;
	int r = 0;

	if (by < 0)
		return q_entry_free(q, e);
	if (!(e & Q_COMPRESSED))
		return off ? q_ref_inc(q, off / q->cluster_size) : 0;
	q_packed_place(q, e, &off, &len);
	for (uint64_t c = off / q->cluster_size; c <= (off + len - 1) / q->cluster_size && !r; c++)
		r = q_ref_inc(q, c);
	return r;
}

/* Every data cluster of an L1 table that is not the active one, and its L2 tables: one more, or one fewer. */
static int add_refs(struct qcow2 *q, const uint64_t *l1, uint64_t n, int by)
{
	uint8_t *table = malloc(q->cluster_size);
	int r = table ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < n && !r; i++) {
		uint64_t off = l1[i] & Q_OFFSET_MASK;

		if (!off)
			continue;
		if (off % q->cluster_size)
			r = q_corrupt(q, "an L2 table at 0x%llx", (unsigned long long)off);
		if (!r)
			r = blk_file_read(q->b->file, off, table, q->cluster_size);
		for (uint64_t k = 0; k < q->l2_entries && !r; k++)
			r = add_entry(q, ld_be64(table + k * (q->ext_l2 ? 16 : 8)), by);
		if (!r)
			r = by < 0 ? q_ref_dec(q, off / q->cluster_size, false)
				   : q_ref_inc(q, off / q->cluster_size);
	}
	free(table);
	return r;
}

/*
 * The flags "refcount is one" of the active tables. `lent`: the reference that the next step adds or
 * takes away is already to be seen.
 */
static int renew_copied(struct qcow2 *q)
{
	int r = 0;

	for (uint64_t i = 0; i < q->h.l1_size && !r; i++) {
		struct q_table *t;

		r = q_l2_get(q, i, false, &t);
		for (uint64_t k = 0; t && k < q->l2_entries && !r; k++) {
			uint64_t bitmap, n, e = q_entry(q, t, k, &bitmap);

			if ((e & Q_COMPRESSED) || !(e & Q_OFFSET_MASK))
				continue;
			r = q_ref_get(q, (e & Q_OFFSET_MASK) / q->cluster_size, &n);
			if (r || (n == 1) == !!(e & Q_COPIED))
				continue;
			q_entry_set(q, t, k, e ^ Q_COPIED, bitmap);
			q_table_dirty(&q->l2, t);
		}
		if (!r && q->l2.dirty >= q->l2.max)
			r = q_place_l2(q);
	}
	return r ? r : q_place_l2(q);
}

/* The same of the L1 table, when every L2 table stands where it will be. */
static int renew_copied_l1(struct qcow2 *q)
{
	for (uint64_t i = 0; i < q->h.l1_size; i++) {
		uint64_t off = q->l1[i] & Q_OFFSET_MASK, n, e;
		int r = off ? q_ref_get(q, off / q->cluster_size, &n) : 0;

		if (r)
			return r;
		if (!off)
			continue;
		e = off | (n == 1 ? Q_COPIED : 0);
		q->l1_dirty |= e != q->l1[i];
		q->l1[i] = e;
	}
	return 0;
}

/* ---- Verbs ------------------------------------------------------------------------------------- */

static struct q_snapshot *find(struct q_snapshots *list, const char *which)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (!strcmp(list->at[i].id, which))
			return &list->at[i];
	}
	for (unsigned i = 0; i < list->count; i++) {
		if (!strcmp(list->at[i].name, which))
			return &list->at[i];
	}
	return NULL;
}

static int append(struct qcow2 *q, struct q_snapshots *list, const char *name, uint64_t l1_off)
{
	unsigned long id = 0;
	struct q_snapshot *at = realloc(list->at, (list->count + 1) * sizeof(*at)), *s;
	struct timespec now;
	char text[24];

	if (!at)
		return -ENOMEM;
	list->at = at;
	for (unsigned i = 0; i < list->count; i++)
		id = max_u64(id, strtoul(at[i].id, NULL, 10));
	snprintf(text, sizeof(text), "%lu", id + 1);
	clock_gettime(CLOCK_REALTIME, &now);
	s = &at[list->count++];
	*s = (struct q_snapshot){.id = strdup(text),
				 .name = strdup(name),
				 .date_sec = (uint32_t)now.tv_sec,
				 .date_nsec = (uint32_t)now.tv_nsec,
				 .disk_size = q->h.size,
				 .l1_off = l1_off,
				 .l1_size = q->h.l1_size,
				 .extra = calloc(1, 1)};
	return s->id && s->name && s->extra ? 0 : -ENOMEM;
}

/* The L1 table as the snapshot's: without flags, at a place of its own. */
static int copy_l1(struct qcow2 *q, uint64_t *off)
{
	uint64_t bytes = align_up((uint64_t)q->h.l1_size * 8, q->cluster_size), first;
	uint8_t *buf = calloc(1, bytes + 1);
	int r = buf ? 0 : -ENOMEM;

	*off = 0;
	for (uint64_t i = 0; i < q->h.l1_size && !r; i++)
		st_be64(buf + i * 8, q->l1[i] & ~Q_COPIED);
	if (!r && bytes) {
		r = q_alloc_meta(q, bytes / q->cluster_size, &first);
		if (!r) {
			*off = first * q->cluster_size;
			r = blk_file_write(q->b->file, *off, buf, bytes);
		}
	}
	free(buf);
	return r;
}

static int create(struct qcow2 *q, struct q_snapshots *list, uint64_t bytes, const char *name)
{
	uint64_t l1_off;
	/* What the tables in memory say must be on the disk, to be read by add_refs(). */
	int r = q_place_l2(q);

	if (!r)
		r = add_refs(q, q->l1, q->h.l1_size, 1);
	/* L2 tables that move from here on leave the old one with one reference, the new with one. */
	if (!r)
		r = renew_copied(q);
	if (!r)
		r = fix_moved(q);
	if (!r)
		r = renew_copied_l1(q);
	if (!r)
		r = copy_l1(q, &l1_off);
	if (!r)
		r = append(q, list, name, l1_off);
	if (!r)
		r = store_all(q, list, bytes);
	q->l1_dirty = true;
	return r ? r : q_commit(q);
}
