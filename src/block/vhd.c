// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtual PC and Hyper-V images (VHD), fixed and dynamic, read only.
 * Source: Microsoft, Virtual Hard Disk Image Format Specification, version 1.0.
 * The size is the footer's "current size". Threads: any; the table does not change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "block/units.h"

#define FOOTER_BYTES 512u
#define HEADER_BYTES 1024u
#define ENTRIES_MAX (8u << 20)
#define NOT_THERE 0xffffffffu

enum { FIXED = 2, DYNAMIC = 3, DIFFERENCING = 4 };

struct vhd {
	uint32_t type, entries;
	uint64_t block_size, bitmap_size;
	uint8_t *table; /* as in the file */
};

/* Ones' complement of the sum of all bytes but the checksum's own. */
static bool sum_ok(const uint8_t *p, size_t n, size_t at)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i - at < 4 ? 0 : p[i];
	return ~sum == ld_be32(p + at);
}

static unsigned probe(const uint8_t *head, size_t n, uint64_t file_size, const char *path)
{
	(void)file_size;
	(void)path;
	/* A fixed image begins with the guest's bytes, so that it must be named (format=vpc). */
	return n >= FOOTER_BYTES && !memcmp(head, "conectix", 8) ? 100 : 0;
}

static int read_footer(struct blk *b, const char *path, uint8_t *f, struct lodge_err *err)
{
	uint64_t size = blk_file_size(b->file);
	int r = size < FOOTER_BYTES ? -EINVAL
				    : blk_file_read(b->file, size - FOOTER_BYTES, f, FOOTER_BYTES);

	/* Dynamic ones have a copy in front. */
	if (!r && memcmp(f, "conectix", 8))
		r = blk_file_read(b->file, 0, f, FOOTER_BYTES);
	if (r || memcmp(f, "conectix", 8))
		return err_set(err, r ? r : -EINVAL, "'%s' is not a VHD image: it has no footer",
			       path);
	if (!sum_ok(f, FOOTER_BYTES, 64))
		return err_set(err, -EINVAL, "'%s': the checksum of its footer is wrong", path);
	return 0;
}

static int open_dynamic(struct blk *b, struct vhd *v, uint64_t header_off, const char *path,
			struct lodge_err *err)
{
	uint8_t h[HEADER_BYTES];
	uint64_t table, size = blk_file_size(b->file);
	int r = range_ok(header_off, HEADER_BYTES, size)
			? blk_file_read(b->file, header_off, h, sizeof(h))
			: -EINVAL;

	if (r || memcmp(h, "cxsparse", 8) || !sum_ok(h, HEADER_BYTES, 36))
		return err_set(err, r ? r : -EINVAL, "'%s': its dynamic header is damaged", path);
	table = ld_be64(h + 16);
	v->entries = ld_be32(h + 28);
	v->block_size = ld_be32(h + 32);
	if (v->block_size < 512 || v->block_size & (v->block_size - 1) ||
	    v->entries > ENTRIES_MAX || b->size > v->entries * v->block_size ||
	    !range_ok(table, v->entries * 4ull, size))
		return err_set(
			err, -EINVAL,
			"'%s': %u blocks of %llu bytes for an image of %llu are not possible", path,
			v->entries, (unsigned long long)v->block_size, (unsigned long long)b->size);
	v->bitmap_size = align_up((v->block_size / 512 + 7) / 8, 512);
	v->table = malloc(v->entries * 4ull + 1);
	r = v->table ? blk_file_read(b->file, table, v->table, v->entries * 4ull) : -ENOMEM;
	return r ? err_set(err, r, "'%s' cannot be read: %s", path, strerror(-r)) : 0;
}

static int open_any(struct blk *b, struct vhd *v, const char *path, struct lodge_err *err)
{
	uint8_t f[FOOTER_BYTES];
	int r = read_footer(b, path, f, err);

	if (r)
		return r;
	v->type = ld_be32(f + 60);
	b->size = align_down(ld_be64(f + 48), BLK_SECTOR);
	switch (v->type) {
	case FIXED:
		if (b->size > blk_file_size(b->file) - FOOTER_BYTES)
			return err_set(err, -EINVAL, "'%s' is shorter than its footer says", path);
		return 0;
	case DYNAMIC:
		return open_dynamic(b, v, ld_be64(f + 16), path, err);
	case DIFFERENCING:
		return err_set(
			err, -ENOTSUP,
			"'%s' is a differencing VHD image, which Lodge cannot read; merge it "
			"into its parent first",
			path);
	default:
		return err_set(err, -ENOTSUP, "'%s': VHD type %u is not known", path, v->type);
	}
}

static int vhd_open(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	struct vhd *v = calloc(1, sizeof(*v));
	int r = v ? open_any(b, v, how->path, err) : -ENOMEM;

	if (r) {
		free(v ? v->table : NULL);
		free(v);
		return r;
	}
	b->priv = v;
	return 0;
}

static void vhd_close(struct blk *b)
{
	struct vhd *v = b->priv;

	free(v->table);
	free(v);
}

static int where(struct blk *b, uint64_t off, struct unit *out)
{
	const struct vhd *v = b->priv;
	uint64_t in;
	uint32_t at;

	*out = (struct unit){.len = b->size - off,
			     .kind = UNIT_DATA,
			     .file = b->file,
			     .path = b->path,
			     .host = off};
	if (v->type == FIXED)
		return 0;
	in = off % v->block_size;
	at = ld_be32(v->table + off / v->block_size * 4);
	out->len = v->block_size - in;
	if (at == NOT_THERE)
		out->kind = UNIT_NONE;
	else
		out->host = at * 512ull + v->bitmap_size + in;
	return 0;
}

static const struct unit_ops ops = {.where = where};

static int vhd_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		      uint64_t len)
{
	return unit_preadv(b, &ops, off, iov, n, len);
}

static int vhd_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	return unit_map(b, &ops, off, len, out);
}

const struct blk_format blk_vhd = {
	.name = "vpc",
	.probe = probe,
	.open = vhd_open,
	.close = vhd_close,
	.preadv = vhd_preadv,
	.map = vhd_map,
};
