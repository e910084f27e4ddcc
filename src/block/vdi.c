// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VirtualBox disk images, read only: a table of blocks behind a header.
 * Source: the format as described in QEMU block/vdi.c's opening comment and VirtualBox's documentation.
 * Threads: any; the table does not change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "block/units.h"

#define SIGNATURE 0xbeda107fu
#define VERSION_1_1 0x00010001u
#define HEADER_BYTES 512u
#define BLOCKS_MAX (8u << 20)
#define NOT_THERE 0xfffffffeu /* and above */

struct vdi {
	uint64_t data_off, block_size;
	uint32_t blocks;
	uint8_t *map; /* as in the file */
};

static unsigned probe(const uint8_t *head, size_t n, uint64_t file_size, const char *path)
{
	(void)file_size;
	(void)path;
	return n >= HEADER_BYTES && ld_le32(head + 64) == SIGNATURE ? 100 : 0;
}

static int check_header(const uint8_t *h, struct blk *b, struct vdi *v, const char *path,
			struct lodge_err *err)
{
	static const uint8_t nobody[16];

	if (ld_le32(h + 64) != SIGNATURE)
		return err_set(err, -EINVAL, "'%s' is not a VDI image: its signature differs",
			       path);
	if (ld_le32(h + 68) != VERSION_1_1)
		return err_set(err, -ENOTSUP, "'%s': VDI version %u.%u is not known; 1.1 is", path,
			       ld_le16(h + 70), ld_le16(h + 68));
	if (ld_le32(h + 76) != 1 && ld_le32(h + 76) != 2)
		return err_set(err, -ENOTSUP,
			       "'%s' is a VDI image of type %u; dynamic and fixed ones can be read",
			       path, ld_le32(h + 76));
	if (memcmp(h + 440, nobody, 16))
		return err_set(err, -ENOTSUP,
			       "'%s' is a VDI image that stands on another one, which Lodge cannot "
			       "read; merge them first",
			       path);
	v->data_off = ld_le32(h + 344);
	v->block_size = ld_le32(h + 376);
	v->blocks = ld_le32(h + 384);
	b->size = align_down(ld_le64(h + 368), BLK_SECTOR);
	if (v->block_size < 512 || v->block_size & (v->block_size - 1) ||
	    v->block_size > 64u << 20 || v->blocks > BLOCKS_MAX || ld_le32(h + 380) ||
	    b->size > v->blocks * v->block_size)
		return err_set(
			err, -EINVAL,
			"'%s': %u blocks of %llu bytes for an image of %llu are not possible", path,
			v->blocks, (unsigned long long)v->block_size, (unsigned long long)b->size);
	return 0;
}

static int vdi_open(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	struct vdi *v = calloc(1, sizeof(*v));
	uint8_t h[HEADER_BYTES];
	int r = v ? blk_file_read(b->file, 0, h, sizeof(h)) : -ENOMEM;

	if (!r)
		r = check_header(h, b, v, how->path, err);
	else
		err_set(err, r, "'%s' cannot be read: %s", how->path, strerror(-r));
	if (!r && !range_ok(ld_le32(h + 340), v->blocks * 4ull, blk_file_size(b->file)))
		r = err_set(err, -EINVAL, "'%s': its table of blocks is not in the file",
			    how->path);
	if (!r) {
		v->map = malloc(v->blocks * 4ull + 1);
		r = v->map ? blk_file_read(b->file, ld_le32(h + 340), v->map, v->blocks * 4ull)
			   : -ENOMEM;
		if (r)
			err_set(err, r, "'%s' cannot be read: %s", how->path, strerror(-r));
	}
	if (r) {
		free(v ? v->map : NULL);
		free(v);
		return r;
	}
	b->priv = v;
	return 0;
}

static void vdi_close(struct blk *b)
{
	struct vdi *v = b->priv;

	free(v->map);
	free(v);
}

static int where(struct blk *b, uint64_t off, struct unit *out)
{
	const struct vdi *v = b->priv;
	uint64_t i = off / v->block_size, in = off % v->block_size;
	uint32_t at = ld_le32(v->map + i * 4);

	*out = (struct unit){.len = v->block_size - in};
	if (at >= NOT_THERE)
		return 0;
	out->kind = UNIT_DATA;
	out->file = b->file;
	out->path = b->path;
	out->host = v->data_off + at * v->block_size + in;
	return 0;
}

static const struct unit_ops ops = {.where = where};

static int vdi_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		      uint64_t len)
{
	return unit_preadv(b, &ops, off, iov, n, len);
}

static int vdi_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	return unit_map(b, &ops, off, len, out);
}

const struct blk_format blk_vdi = {
	.name = "vdi",
	.probe = probe,
	.open = vdi_open,
	.close = vdi_close,
	.preadv = vdi_preadv,
	.map = vdi_map,
};
