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

#define ENTRY_BYTES 40u
#define EXTRA_BYTES 16u
#define TABLE_BYTES_MAX (64ull << 20)
#define EXTRA_MAX 1024u

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

/* Every data cluster an L1 table leads to: one reference more, or one fewer. As the disk has the L2 tables. */
static int add_data_refs(struct qcow2 *q, const uint64_t *l1, uint64_t n, int by)
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
	}
	free(table);
	return r;
}

static int add_table_refs(struct qcow2 *q, const uint64_t *l1, uint64_t n, int by)
{
	int r = 0;

	for (uint64_t i = 0; i < n && !r; i++) {
		uint64_t cluster = (l1[i] & Q_OFFSET_MASK) / q->cluster_size;

		if (!cluster)
			continue;
		if (by > 0) {
			r = q_ref_inc(q, cluster);
			continue;
		}
		q_set_del(&q->meta, cluster);
		r = q_ref_dec(q, cluster, false);
	}
	return r;
}

/* Those of the active tables are watched again. */
static int watch_active(struct qcow2 *q)
{
	int r = 0;

	for (uint64_t i = 0; i < q->h.l1_size && !r; i++) {
		uint64_t cluster = (q->l1[i] & Q_OFFSET_MASK) / q->cluster_size;

		if (cluster && q->meta.used < Q_META_CHUNKS)
			r = q_set_add(&q->meta, cluster);
	}
	return r;
}

/* The flags "refcount is one" of the active tables' entries. Changed tables move. */
static int renew_copied(struct qcow2 *q)
{
	int r = 0;

	for (uint64_t i = 0; i < q->h.l1_size && !r; i++) {
		struct q_table *t = NULL;

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
		uint64_t off = q->l1[i] & Q_OFFSET_MASK, n = 0, e;
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
	int r;

	*off = 0;
	if (!bytes)
		return 0;
	r = q_alloc_meta(q, bytes / q->cluster_size, &first);
	if (r)
		return r;
	*off = first * q->cluster_size;
	return q_write_entries(q, *off, q->l1, q->h.l1_size, ~Q_COPIED, bytes);
}

static int create(struct qcow2 *q, struct q_snapshots *list, uint64_t bytes, const char *name)
{
	uint64_t l1_off = 0;
	int r = add_data_refs(q, q->l1, q->h.l1_size, 1);

	/* Tables that change move, and then have two references where they are. */
	if (!r)
		r = renew_copied(q);
	if (!r)
		r = add_table_refs(q, q->l1, q->h.l1_size, 1);
	if (!r)
		r = renew_copied_l1(q);
	if (!r)
		r = copy_l1(q, &l1_off);
	if (!r)
		r = append(q, list, name, l1_off);
	if (!r)
		r = store_all(q, list, bytes);
	return r ? r : q_commit(q);
}

static int renew_all(struct qcow2 *q)
{
	int r = watch_active(q);

	if (!r)
		r = renew_copied(q);
	return r ? r : renew_copied_l1(q);
}

static int apply(struct qcow2 *q, const struct q_snapshot *s)
{
	uint64_t need = s->disk_size / q->l2_span + (s->disk_size % q->l2_span != 0);
	uint64_t size = max_u64(max_u64(q->h.l1_size, s->l1_size), need), *l1, *bigger;
	int r;

	if (s->disk_size > INT64_MAX || size > Q_MAX_L1_BYTES / 8 || s->l1_off % q->cluster_size)
		return -EINVAL;
	r = q_load_entries(q, s->l1_off, s->l1_size, &l1);
	bigger = r ? NULL : realloc(l1, (size + 1) * 8);
	if (!bigger) {
		free(l1);
		return r ? r : -ENOMEM;
	}
	memset(bigger + s->l1_size, 0, (size + 1 - s->l1_size) * 8);
	r = add_data_refs(q, bigger, s->l1_size, 1);
	if (!r)
		r = add_table_refs(q, bigger, s->l1_size, 1);
	if (!r)
		r = add_data_refs(q, q->l1, q->h.l1_size, -1);
	if (!r)
		r = add_table_refs(q, q->l1, q->h.l1_size, -1);
	free(q->l1);
	q->l1 = bigger;
	q->h.l1_size = (uint32_t)size;
	q->h.size = s->disk_size;
	q->l1_dirty = q->header_dirty = true;
	q_cache_drop_all(&q->l2);
	if (!r)
		r = renew_all(q);
	if (!r)
		r = q_commit(q);
	if (!r)
		__atomic_store_n(&q->b->size, s->disk_size, __ATOMIC_RELAXED);
	return r;
}

static int delete (struct qcow2 *q, struct q_snapshots *list, uint64_t bytes, struct q_snapshot *s)
{
	uint64_t *l1, l1_off = s->l1_off, n = s->l1_size;
	int r;

	if (l1_off % q->cluster_size || n > Q_MAX_L1_BYTES / 8)
		return -EINVAL;
	r = q_load_entries(q, l1_off, n, &l1);
	if (!r)
		r = add_data_refs(q, l1, n, -1);
	if (!r)
		r = add_table_refs(q, l1, n, -1);
	if (!r)
		r = q_free_bytes(q, l1_off, n * 8, false);
	free(l1);
	free(s->id);
	free(s->name);
	free(s->extra);
	memmove(s, s + 1, (size_t)(list->at + list->count - (s + 1)) * sizeof(*s));
	list->count--;
	if (!r)
		r = store_all(q, list, bytes);
	if (!r)
		r = renew_all(q);
	return r ? r : q_commit(q);
}

enum verb { CREATE, APPLY, DELETE };

static int run_verb(struct qcow2 *q, enum verb verb, const char *which, struct lodge_err *err)
{
	struct q_snapshots list = {NULL, 0};
	struct q_snapshot *s;
	uint64_t bytes;
	int r = q_snapshots_load(q, &list, &bytes, err);

	if (r)
		return r;
	s = find(&list, which);
	if (verb == CREATE && list.count >= Q_MAX_SNAPSHOTS)
		r = err_set(err, -E2BIG, "'%s' has %u snapshots, more are not possible", q->b->path,
			    list.count);
	else if (verb != CREATE && !s)
		r = err_set(err, -ENOENT, "'%s' has no snapshot '%s'", q->b->path, which);
	else if (verb == CREATE)
		r = create(q, &list, bytes, which);
	else
		r = verb == APPLY ? apply(q, s) : delete (q, &list, bytes, s);
	q_snapshots_free(&list);
	return r;
}

static int change(struct blk *b, enum verb verb, const char *which, struct lodge_err *err)
{
	struct qcow2 *q = b->priv;
	struct lodge_err why = {""};
	int r, back = 0;

	if (b->format != &blk_qcow2)
		return err_set(err, -ENOTSUP, "images of the format %s have no snapshots",
			       b->format->name);
	if (b->read_only)
		return err_set(err, -EROFS, "'%s' is open for reading only", b->path);
	if (strlen(which) > UINT16_MAX)
		return err_set(err, -EINVAL, "the snapshot's name is too long");
	pthread_mutex_lock(&q->lock);
	q_exclusive_begin(q);
	r = q->corrupt ? -EIO : q_commit(q);
	if (!r) {
		r = run_verb(q, verb, which, &why);
		/* Half a change is none: back to what is on the disk, which is all there was before. */
		back = r && !why.msg[0] ? q_revert(q) : 0;
	}
	q_exclusive_end(q);
	pthread_mutex_unlock(&q->lock);
	if (!r)
		return 0;
	if (back)
		return err_set(err, back, "'%s' cannot be read any more: %s", b->path,
			       strerror(-back));
	if (r == -EMLINK)
		return err_set(err, r,
			       "the reference counts of '%s' are too narrow for one more snapshot "
			       "(refcount_bits=)",
			       b->path);
	if (why.msg[0])
		return err_set(err, r, "%s", why.msg);
	return err_set(err, r, "the snapshots of '%s' cannot be changed: %s", b->path,
		       strerror(-r));
}

int q_snapshot_create(struct blk *b, const char *name, struct lodge_err *err)
{
	return change(b, CREATE, name, err);
}

int q_snapshot_apply(struct blk *b, const char *which, struct lodge_err *err)
{
	return change(b, APPLY, which, err);
}

int q_snapshot_delete(struct blk *b, const char *which, struct lodge_err *err)
{
	return change(b, DELETE, which, err);
}

int q_snapshot_list(struct blk *b, struct q_snapshots *out, struct lodge_err *err)
{
	struct qcow2 *q = b->priv;
	uint64_t bytes;
	int r;

	*out = (struct q_snapshots){NULL, 0};
	if (b->format != &blk_qcow2)
		return 0;
	pthread_mutex_lock(&q->lock);
	r = q_snapshots_load(q, out, &bytes, err);
	pthread_mutex_unlock(&q->lock);
	return r;
}

int q_snapshot_view(struct blk *b, const char *which, struct lodge_err *err)
{
	struct qcow2 *q = b->priv;
	struct q_snapshots list;
	struct q_snapshot *s;
	uint64_t *l1 = NULL, size;
	int r = q_snapshot_list(b, &list, err);

	if (r)
		return r;
	s = find(&list, which);
	if (!s) {
		q_snapshots_free(&list);
		return err_set(err, -ENOENT, "'%s' has no snapshot '%s'", b->path, which);
	}
	size = s->disk_size;
	if (size > INT64_MAX || s->l1_size > Q_MAX_L1_BYTES / 8 || s->l1_off % q->cluster_size)
		r = -EINVAL;
	if (!r)
		r = q_load_entries(q, s->l1_off, s->l1_size, &l1);
	if (r) {
		free(l1);
		r = err_set(err, r, "snapshot '%s' of '%s' is damaged", which, b->path);
	} else {
		pthread_mutex_lock(&q->lock);
		free(q->l1);
		q->l1 = l1;
		q->h.l1_size = s->l1_size;
		q_cache_drop_all(&q->l2);
		pthread_mutex_unlock(&q->lock);
		b->size = size;
	}
	q_snapshots_free(&list);
	return r;
}
