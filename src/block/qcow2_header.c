// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The header of a qcow2 image: read, checked, written.
 * Source: QEMU docs/interop/qcow2.txt, "Header", "Header extensions". Threads: the caller's lock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_int.h"

/* ---- Extensions -------------------------------------------------------------------------------- */

struct ext {
	uint32_t type, len;
	const uint8_t *data;
};

/* The extension at *pos of the `end` bytes of the first cluster: 1, 0 at the end, -EINVAL. */
static int next_ext(const uint8_t *cluster, uint64_t end, uint64_t *pos, struct ext *out)
{
	if (!range_ok(*pos, 8, end))
		return 0;
	out->type = ld_be32(cluster + *pos);
	out->len = ld_be32(cluster + *pos + 4);
	out->data = cluster + *pos + 8;
	if (out->type == Q_EXT_END)
		return 0;
	if (!range_ok(*pos + 8, out->len, end))
		return -EINVAL;
	*pos = align_up(*pos + 8 + out->len, 8);
	return 1;
}

/* The name the image's table has for an incompatible feature, or a number. */
static void feature_name(const uint8_t *cluster, uint64_t start, uint64_t end, unsigned bit,
			 char *out, size_t n)
{
	struct ext e;
	uint64_t pos = start;

	snprintf(out, n, "number %u", bit);
	while (next_ext(cluster, end, &pos, &e) == 1) {
		if (e.type != Q_EXT_FEATURES)
			continue;
		for (uint32_t i = 0; i + 48 <= e.len; i += 48) {
			if (e.data[i] || e.data[i + 1] != bit)
				continue;
			snprintf(out, n, "'%.46s'", (const char *)e.data + i + 2);
			for (char *c = out; *c; c++)
				*c = *c < ' ' || *c > '~' ? '?' : *c;
		}
	}
}

static int read_exts(struct q_header *h, const uint8_t *cluster, uint64_t end,
		     struct lodge_err *err)
{
	uint64_t pos = h->header_length;
	struct ext e;
	int r;

	while ((r = next_ext(cluster, end, &pos, &e)) == 1) {
		if (e.type == Q_EXT_BACKING) {
			if (e.len >= sizeof(h->backing_format))
				return err_set(err, -EINVAL,
					       "the name of the backing file's format is %u bytes "
					       "long; the image is damaged",
					       e.len);
			memcpy(h->backing_format, e.data, e.len);
			h->backing_format[e.len] = '\0';
		} else if (e.type == Q_EXT_BITMAPS && e.len >= 24) {
			h->bitmaps = ld_be32(e.data);
			h->bitmaps_size = ld_be64(e.data + 8);
			h->bitmaps_off = ld_be64(e.data + 16);
		}
	}
	if (r < 0)
		return err_set(err, r,
			       "a header extension reaches beyond the first cluster; the image is "
			       "damaged");
	return 0;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static void decode(struct q_header *h, const uint8_t *p)
{
	h->version = ld_be32(p + 4);
	h->backing_off = ld_be64(p + 8);
	h->backing_len = ld_be32(p + 16);
	h->cluster_bits = ld_be32(p + 20);
	h->size = ld_be64(p + 24);
	h->crypt_method = ld_be32(p + 32);
	h->l1_size = ld_be32(p + 36);
	h->l1_off = ld_be64(p + 40);
	h->reftable_off = ld_be64(p + 48);
	h->reftable_clusters = ld_be32(p + 56);
	h->snapshots = ld_be32(p + 60);
	h->snapshots_off = ld_be64(p + 64);
	h->refcount_order = 4;
	h->header_length = Q_HEADER_V2;
	if (h->version < 3)
		return;
	h->incompatible = ld_be64(p + 72);
	h->compatible = ld_be64(p + 80);
	h->autoclear = ld_be64(p + 88);
	h->refcount_order = ld_be32(p + 96);
	h->header_length = ld_be32(p + 100);
	if (h->header_length > Q_HEADER_V3)
		h->compression = p[104];
}

static int check_numbers(const struct q_header *h, struct lodge_err *err)
{
	uint64_t cluster, entry = h->incompatible & Q_INCOMPAT_EXT_L2 ? 16 : 8, span, need;

	if (h->version != 2 && h->version != 3)
		return err_set(err, -ENOTSUP, "qcow2 version %u is not known; 2 and 3 are",
			       h->version);
	if (h->cluster_bits < Q_MIN_BITS || h->cluster_bits > Q_MAX_BITS ||
	    (entry == 16 && h->cluster_bits < 14))
		return err_set(err, -EINVAL, "clusters of 2^%u bytes are not possible",
			       h->cluster_bits);
	cluster = 1ull << h->cluster_bits;
	if (h->header_length < (h->version == 2 ? Q_HEADER_V2 : Q_HEADER_V3) ||
	    h->header_length > cluster)
		return err_set(err, -EINVAL, "a header of %u bytes is not possible",
			       h->header_length);
	if (h->refcount_order > 6)
		return err_set(err, -EINVAL, "reference counts of 2^%u bits are not possible",
			       h->refcount_order);
	if (h->crypt_method)
		return err_set(err, -ENOTSUP,
			       "the image is encrypted, which Lodge cannot read; decrypt it with "
			       "'qemu-img convert'");
	if (h->size > INT64_MAX)
		return err_set(err, -EFBIG, "a size of %llu bytes is not possible",
			       (unsigned long long)h->size);
	span = cluster / entry * cluster;
	need = h->size / span + (h->size % span != 0);
	if (h->l1_size < need || (uint64_t)h->l1_size * 8 > Q_MAX_L1_BYTES)
		return err_set(err, -EINVAL, "the L1 table has %u entries, where %llu to %u fit",
			       h->l1_size, (unsigned long long)need, Q_MAX_L1_BYTES / 8);
	if (h->l1_off % cluster || h->l1_off > Q_OFFSET_MASK || (h->l1_size && !h->l1_off))
		return err_set(err, -EINVAL, "the place of the L1 table, 0x%llx, is not possible",
			       (unsigned long long)h->l1_off);
	if (h->reftable_off % cluster || h->reftable_off > Q_OFFSET_MASK || !h->reftable_off ||
	    !h->reftable_clusters || h->reftable_clusters > Q_MAX_REFTABLE_BYTES / cluster)
		return err_set(err, -EINVAL,
			       "the refcount table at 0x%llx with %u clusters is not possible",
			       (unsigned long long)h->reftable_off, h->reftable_clusters);
	if (h->snapshots > Q_MAX_SNAPSHOTS || h->snapshots_off % cluster ||
	    h->snapshots_off > Q_OFFSET_MASK)
		return err_set(err, -EINVAL, "the snapshot table at 0x%llx with %u is not possible",
			       (unsigned long long)h->snapshots_off, h->snapshots);
	return 0;
}

static int check_features(const struct q_header *h, const uint8_t *cluster, uint64_t end,
			  struct lodge_err *err)
{
	uint64_t unknown =
		h->incompatible & ~(Q_INCOMPAT_DIRTY | Q_INCOMPAT_CORRUPT | Q_INCOMPAT_DATA_FILE |
				    Q_INCOMPAT_COMPRESSION | Q_INCOMPAT_EXT_L2);
	char name[64];

	if (h->incompatible & Q_INCOMPAT_DATA_FILE)
		return err_set(err, -ENOTSUP,
			       "the image keeps its data in an external data file, which Lodge "
			       "cannot use; make a plain one with 'qemu-img convert'");
	if (unknown) {
		feature_name(cluster, h->header_length, end, (unsigned)__builtin_ctzll(unknown),
			     name, sizeof(name));
		return err_set(err, -ENOTSUP,
			       "the image needs the feature %s, which Lodge does not know", name);
	}
	if (!!(h->incompatible & Q_INCOMPAT_COMPRESSION) != !!h->compression || h->compression > 1)
		return err_set(err, -ENOTSUP, "compression type %u is not known; zlib and zstd are",
			       h->compression);
	return 0;
}

static int read_backing_name(struct q_header *h, const uint8_t *cluster, uint64_t end,
			     struct lodge_err *err)
{
	if (!h->backing_off)
		return 0;
	if (h->backing_len > 1023 || !range_ok(h->backing_off, h->backing_len, end))
		return err_set(err, -EINVAL,
			       "the backing file's name is not in the first cluster; the image is "
			       "damaged");
	if (!h->backing_len)
		return 0;
	h->backing_name = strndup((const char *)cluster + h->backing_off, h->backing_len);
	return h->backing_name ? 0 : -ENOMEM;
}

int q_header_read(struct blk_file *f, struct q_header *h, struct lodge_err *err)
{
	uint8_t fixed[112] = {0}, *cluster = NULL;
	uint64_t n;
	int r;

	*h = (struct q_header){0};
	r = blk_file_read(f, 0, fixed, sizeof(fixed));
	if (r)
		return err_set(err, r, "cannot read the header: %s", strerror(-r));
	if (ld_be32(fixed) != Q_MAGIC)
		return err_set(err, -EINVAL, "this is not a qcow2 image: its first bytes differ");
	decode(h, fixed);
	r = check_numbers(h, err);
	if (r)
		return r;
	n = 1ull << h->cluster_bits;
	cluster = malloc(n);
	if (!cluster)
		return err_set(err, -ENOMEM, "not enough memory for the header");
	r = blk_file_read(f, 0, cluster, n);
	if (r)
		err_set(err, r, "cannot read the header: %s", strerror(-r));
	if (!r)
		r = check_features(h, cluster, n, err);
	if (!r)
		r = read_exts(h, cluster, h->backing_off ? min_u64(n, h->backing_off) : n, err);
	if (!r)
		r = read_backing_name(h, cluster, n, err);
	free(cluster);
	if (r)
		q_header_free(h);
	return r;
}

void q_header_free(struct q_header *h)
{
	free(h->backing_name);
	h->backing_name = NULL;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static void encode(const struct q_header *h, uint8_t *p)
{
	st_be32(p, Q_MAGIC);
	st_be32(p + 4, h->version);
	st_be64(p + 8, h->backing_off);
	st_be32(p + 16, h->backing_len);
	st_be32(p + 20, h->cluster_bits);
	st_be64(p + 24, h->size);
	st_be32(p + 32, h->crypt_method);
	st_be32(p + 36, h->l1_size);
	st_be64(p + 40, h->l1_off);
	st_be64(p + 48, h->reftable_off);
	st_be32(p + 56, h->reftable_clusters);
	st_be32(p + 60, h->snapshots);
	st_be64(p + 64, h->snapshots_off);
	if (h->version < 3)
		return;
	st_be64(p + 72, h->incompatible);
	st_be64(p + 80, h->compatible);
	st_be64(p + 88, h->autoclear);
	st_be32(p + 96, h->refcount_order);
	st_be32(p + 100, h->header_length);
}

int q_header_write(struct blk_file *f, const struct q_header *h)
{
	uint8_t p[Q_HEADER_V3];

	encode(h, p);
	return blk_file_write(f, 0, p, h->version < 3 ? Q_HEADER_V2 : Q_HEADER_V3);
}

static size_t put_ext(uint8_t *p, uint32_t type, const void *data, size_t len)
{
	st_be32(p, type);
	st_be32(p + 4, (uint32_t)len);
	memcpy(p + 8, data, len);
	return (size_t)align_up(8 + len, 8);
}

static size_t put_features(uint8_t *p)
{
	static const struct {
		uint8_t type, bit;
		const char *name;
	} names[] = {
		{0, 0, "dirty bit"},
		{0, 1, "corrupt bit"},
		{0, 2, "external data file"},
		{0, 3, "compression type"},
		{0, 4, "extended L2 entries"},
		{1, 0, "lazy refcounts"},
		{2, 0, "bitmaps"},
		{2, 1, "raw external data"},
	};
	uint8_t table[ARRAY_SIZE(names) * 48] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		table[i * 48] = names[i].type;
		table[i * 48 + 1] = names[i].bit;
		memcpy(table + i * 48 + 2, names[i].name, strlen(names[i].name));
	}
	return put_ext(p, Q_EXT_FEATURES, table, sizeof(table));
}

/* Writes extensions of our own and the backing file's name behind the header; -ENOSPC. */
static int put_tail(struct q_header *h, uint8_t *cluster, uint64_t room, uint64_t pos,
		    bool features)
{
	size_t fmt = strlen(h->backing_format),
	       name = h->backing_name ? strlen(h->backing_name) : 0;

	if (fmt && h->backing_name) {
		if (pos + 8 + fmt + 8 > room)
			return -ENOSPC;
		pos += put_ext(cluster + pos, Q_EXT_BACKING, h->backing_format, fmt);
	}
	/* Nice to have; with the smallest clusters there is no room for it. */
	if (features && pos + 8 + 8 * 48 + 8 + name <= room)
		pos += put_features(cluster + pos);
	if (pos + 8 + name > room)
		return -ENOSPC;
	memset(cluster + pos, 0, 8);
	pos += 8;
	h->backing_off = name ? pos : 0;
	h->backing_len = (uint32_t)name;
	if (name)
		memcpy(cluster + pos, h->backing_name, name);
	return 0;
}

int q_header_format(const struct q_header *from, uint8_t *cluster)
{
	struct q_header h = *from;
	uint64_t room = 1ull << h.cluster_bits;
	int r;

	memset(cluster, 0, room);
	r = put_tail(&h, cluster, room, h.header_length, h.version >= 3);
	if (r)
		return r;
	encode(&h, cluster);
	if (h.version >= 3 && h.header_length > 104)
		cluster[104] = h.compression;
	return 0;
}

/* Copies those extensions of the old first cluster that are not ours to write. */
static uint64_t keep_exts(const struct q_header *h, const uint8_t *old, uint8_t *cluster,
			  uint64_t end)
{
	uint64_t pos = h->header_length, to = h->header_length;
	struct ext e;

	while (next_ext(old, end, &pos, &e) == 1) {
		if (e.type != Q_EXT_BACKING)
			to += put_ext(cluster + to, e.type, e.data, e.len);
	}
	return to;
}

int q_header_rewrite(struct blk_file *f, const struct q_header *from, struct lodge_err *err)
{
	struct q_header h = *from;
	uint64_t n = 1ull << h.cluster_bits, pos;
	uint8_t *old = malloc(n), *cluster = calloc(1, n + 16);
	int r = old && cluster ? blk_file_read(f, 0, old, n) : -ENOMEM;

	if (!r) {
		memcpy(cluster, old, h.header_length);
		pos = keep_exts(&h, old, cluster, h.backing_off ? min_u64(n, h.backing_off) : n);
		r = put_tail(&h, cluster, n, pos, false);
	}
	if (!r) {
		encode(&h, cluster);
		r = blk_file_write(f, 0, cluster, n);
	}
	if (!r)
		r = blk_file_flush(f);
	free(old);
	free(cluster);
	if (r == -ENOSPC)
		return err_set(err, r, "the backing file's name does not fit into the header");
	return r ? err_set(err, r, "cannot write the header: %s", strerror(-r)) : 0;
}
