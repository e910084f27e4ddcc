// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMware images, read only: monolithic sparse, stream-optimized (compressed), and descriptor files with flat,
 * sparse and zero extents in the same folder.
 * Source: VMware, Virtual Disk Format 5.0. Threads: any; `lock` protects the cached grain tables.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "block/units.h"

#define MAGIC 0x564d444bu /* "KDMV" */
#define COWD_MAGIC 0x44574f43u
#define HEADER_BYTES 512u
#define DESCRIPTOR_MAX (64u << 10)
#define EXTENTS_MAX 256u
#define GD_ENTRIES_MAX (2u << 20) /* of all extents */
#define GT_ENTRIES_MAX 4096u
#define CACHED 16u
#define GD_AT_END UINT64_MAX
#define FLAG_ZERO_GRAIN (1u << 2)
#define FLAG_COMPRESSED (1u << 16)

struct extent {
	enum { FLAT, SPARSE, ZERO } kind;
	uint64_t start, size; /* bytes of the image */
	struct blk_file *file;
	char *path;	   /* NULL: the image's own file */
	uint64_t file_off; /* FLAT */
	/* SPARSE */
	uint64_t grain;
	uint32_t gt_entries, gd_entries;
	bool compressed, zero_grains;
	uint8_t *gd; /* as in the file */
};

struct gt_cache {
	const struct extent *extent;
	uint64_t index;
	uint8_t data[GT_ENTRIES_MAX * 4];
};

struct vmdk {
	struct extent extent[EXTENTS_MAX];
	unsigned count;
	uint64_t gd_total;
	pthread_mutex_t lock;
	struct gt_cache *cache; /* CACHED of them */
};

static unsigned probe(const uint8_t *head, size_t n, uint64_t file_size, const char *path)
{
	static const char word[] = "# Disk DescriptorFile";

	(void)file_size;
	(void)path;
	if (n >= HEADER_BYTES && ld_le32(head) == MAGIC)
		return 100;
	return n >= sizeof(word) && !memcmp(head, word, sizeof(word) - 1) ? 90 : 0;
}

/* ---- Sparse extents ---------------------------------------------------------------------------- */

static int sparse_numbers(struct vmdk *v, struct extent *e, const uint8_t *h, const char *path,
			  struct lodge_err *err)
{
	uint64_t capacity = ld_le64(h + 12), grain = ld_le64(h + 20), span;

	if (ld_le32(h + 4) < 1 || ld_le32(h + 4) > 3)
		return err_set(err, -ENOTSUP, "'%s': VMDK version %u is not known", path,
			       ld_le32(h + 4));
	if (ld_le16(h + 77) > 1)
		return err_set(err, -ENOTSUP, "'%s': compression %u is not known", path,
			       ld_le16(h + 77));
	e->compressed = ld_le32(h + 8) & FLAG_COMPRESSED;
	e->zero_grains = ld_le32(h + 8) & FLAG_ZERO_GRAIN;
	e->gt_entries = ld_le32(h + 44);
	if (!grain || grain & (grain - 1) || grain > 4096 || !e->gt_entries ||
	    e->gt_entries > GT_ENTRIES_MAX || capacity > INT64_MAX / 512)
		return err_set(err, -EINVAL, "'%s': %u grains of %llu sectors are not possible",
			       path, e->gt_entries, (unsigned long long)grain);
	e->grain = grain * 512;
	e->size = capacity * 512;
	span = e->grain * e->gt_entries;
	v->gd_total += e->size / span + (e->size % span != 0);
	if (v->gd_total > GD_ENTRIES_MAX)
		return err_set(err, -EFBIG, "'%s': its grain directory is too large", path);
	e->gd_entries = (uint32_t)(e->size / span + (e->size % span != 0));
	return 0;
}

static int open_sparse(struct vmdk *v, struct extent *e, const char *path, struct lodge_err *err)
{
	uint64_t size = blk_file_size(e->file), gd;
	uint8_t h[HEADER_BYTES];
	int r = blk_file_read(e->file, 0, h, sizeof(h));

	/* Written as a stream: what was not known at first stands at the end. */
	if (!r && ld_le32(h) == MAGIC && ld_le64(h + 56) == GD_AT_END && size >= 1024)
		r = blk_file_read(e->file, size - 1024, h, sizeof(h));
	if (r)
		return err_set(err, r, "'%s' cannot be read: %s", path, strerror(-r));
	if (ld_le32(h) != MAGIC)
		return err_set(err, -EINVAL, "'%s' is not a sparse VMDK extent", path);
	r = sparse_numbers(v, e, h, path, err);
	if (r)
		return r;
	gd = ld_le64(h + 56);
	if (gd > size / 512 || !range_ok(gd * 512, e->gd_entries * 4ull, size))
		return err_set(err, -EINVAL, "'%s': its grain directory is not in the file", path);
	e->kind = SPARSE;
	e->gd = malloc(e->gd_entries * 4ull + 1);
	r = e->gd ? blk_file_read(e->file, gd * 512, e->gd, e->gd_entries * 4ull) : -ENOMEM;
	return r ? err_set(err, r, "'%s' cannot be read: %s", path, strerror(-r)) : 0;
}

/* ---- Descriptor files -------------------------------------------------------------------------- */

static int open_extent_file(struct extent *e, const char *image, const char *name,
			    const struct blk_open *how, struct lodge_err *err)
{
	struct blk_open one = {.read_only = true, .no_lock = how->no_lock, .cache = how->cache};
	const char *slash = strrchr(image, '/');
	size_t dir = slash ? (size_t)(slash - image) + 1 : 0, n = dir + strlen(name) + 1;

	if (strchr(name, '/'))
		return err_set(
			err, -EINVAL,
			"'%.200s' names the extent '%.100s'; extents must be in the same folder",
			image, name);
	e->path = malloc(n);
	if (!e->path)
		return err_set(err, -ENOMEM, "not enough memory for '%.200s'", image);
	snprintf(e->path, n, "%.*s%s", (int)dir, image, name);
	one.path = e->path;
	return blk_file_open(&one, &e->file, err);
}

/* "RW 4192256 FLAT "name" 0": 1 if the line is one, 0 if it is something else. */
static int parse_extent(struct vmdk *v, const char *line, uint64_t *start,
			const struct blk_open *how, struct lodge_err *err)
{
	unsigned long long sectors, off = 0;
	char kind[16], name[256] = "";
	struct extent *e = &v->extent[v->count];
	uint64_t size;
	int n, r = 0;

	n = sscanf(line, "RW %llu %15s \"%255[^\"]\" %llu", &sectors, kind, name, &off);
	if (n < 2)
		n = sscanf(line, "RDONLY %llu %15s \"%255[^\"]\" %llu", &sectors, kind, name, &off);
	if (n < 2)
		return 0;
	if (v->count == EXTENTS_MAX || sectors > INT64_MAX / 1024 || off > INT64_MAX / 1024 ||
	    !add_ok(*start, sectors * 512, &size) || size > INT64_MAX)
		return err_set(err, -EINVAL, "'%s': its extents are too many or too large",
			       how->path);
	*e = (struct extent){.kind = ZERO};
	v->count++;
	if (!strcmp(kind, "FLAT") || !strcmp(kind, "VMFS")) {
		e->kind = FLAT;
		e->file_off = off * 512;
		r = open_extent_file(e, how->path, name, how, err);
	} else if (!strcmp(kind, "SPARSE")) {
		r = open_extent_file(e, how->path, name, how, err);
		if (!r)
			r = open_sparse(v, e, e->path, err);
	} else if (strcmp(kind, "ZERO")) {
		r = err_set(err, -ENOTSUP, "'%s' has an extent of type %s, which is not known",
			    how->path, kind);
	}
	if (!r && e->kind == SPARSE && e->size < sectors * 512)
		r = err_set(err, -EINVAL, "'%s' is smaller than '%s' says", e->path, how->path);
	e->start = *start;
	e->size = sectors * 512;
	*start += e->size;
	return r ? r : 1;
}

static int check_line(const char *line, const char *path, struct lodge_err *err)
{
	if (!strncmp(line, "parentCID=", 10) && strncasecmp(line + 10, "ffffffff", 8))
		return err_set(
			err, -ENOTSUP,
			"'%s' is a VMDK image that stands on another one, which Lodge cannot "
			"read; merge them first",
			path);
	return 0;
}

static int open_descriptor(struct blk *b, struct vmdk *v, const struct blk_open *how,
			   struct lodge_err *err)
{
	uint64_t n = min_u64(blk_file_size(b->file), DESCRIPTOR_MAX);
	char *text = calloc(1, n + 1), *line, *save = NULL;
	int r = text ? blk_file_read(b->file, 0, text, n) : -ENOMEM;

	if (r)
		err_set(err, r, "'%s' cannot be read: %s", how->path, strerror(-r));
	for (line = r ? NULL : strtok_r(text, "\r\n", &save); line && r >= 0;
	     line = strtok_r(NULL, "\r\n", &save)) {
		r = check_line(line, how->path, err);
		if (!r)
			r = parse_extent(v, line, &b->size, how, err);
	}
	free(text);
	if (r < 0)
		return r;
	if (!v->count)
		return err_set(err, -EINVAL, "'%s' names no extents", how->path);
	return 0;
}

/* A sparse file on its own: its descriptor, inside, says whether it stands on another one. */
static int check_embedded(struct blk *b, const char *path, struct lodge_err *err)
{
	uint8_t h[HEADER_BYTES];
	uint64_t off, n;
	char *text, *line, *save = NULL;
	int r = blk_file_read(b->file, 0, h, sizeof(h));

	off = ld_le64(h + 28);
	n = min_u64(ld_le64(h + 36), DESCRIPTOR_MAX / 512) * 512;
	if (r || !off || off > blk_file_size(b->file) / 512)
		return r;
	text = calloc(1, n + 1);
	r = text ? blk_file_read(b->file, off * 512, text, n) : -ENOMEM;
	for (line = r ? NULL : strtok_r(text, "\r\n", &save); line && !r;
	     line = strtok_r(NULL, "\r\n", &save))
		r = check_line(line, path, err);
	free(text);
	return r;
}

static void vmdk_free(struct blk *b, struct vmdk *v)
{
	for (unsigned i = 0; v && i < v->count; i++) {
		if (v->extent[i].file != b->file)
			blk_file_close(v->extent[i].file);
		free(v->extent[i].path);
		free(v->extent[i].gd);
	}
	if (v) {
		pthread_mutex_destroy(&v->lock);
		free(v->cache);
	}
	free(v);
}

static int vmdk_open(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	struct vmdk *v = calloc(1, sizeof(*v));
	uint8_t magic[4] = {0};
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "not enough memory for '%s'", how->path);
	pthread_mutex_init(&v->lock, NULL);
	b->size = 0;
	v->cache = calloc(CACHED, sizeof(*v->cache));
	r = v->cache ? blk_file_read(b->file, 0, magic, 4) : -ENOMEM;
	if (r) {
		err_set(err, r, "'%s' cannot be read: %s", how->path, strerror(-r));
	} else if (ld_le32(magic) == MAGIC) {
		v->count = 1;
		v->extent[0].file = b->file;
		r = open_sparse(v, &v->extent[0], how->path, err);
		b->size = v->extent[0].size;
		if (!r)
			r = check_embedded(b, how->path, err);
	} else if (ld_le32(magic) == COWD_MAGIC) {
		r = err_set(err, -ENOTSUP, "'%s' is an ESX sparse image, which Lodge cannot read",
			    how->path);
	} else {
		r = open_descriptor(b, v, how, err);
	}
	if (r)
		vmdk_free(b, v);
	else
		b->priv = v;
	return r;
}

static void vmdk_close(struct blk *b)
{
	vmdk_free(b, b->priv);
}

/* ---- Reading ----------------------------------------------------------------------------------- */

/* An entry of a grain table: the sector of a grain. */
static int grain_sector(struct vmdk *v, const struct extent *e, uint64_t grain, uint32_t *sector)
{
	uint64_t index = grain / e->gt_entries;
	uint32_t gt = ld_le32(e->gd + index * 4);
	struct gt_cache *c = &v->cache[index % CACHED];
	int r = 0;

	*sector = 0;
	if (!gt)
		return 0;
	pthread_mutex_lock(&v->lock);
	if (c->extent != e || c->index != index) {
		c->extent = NULL;
		r = blk_file_read(e->file, gt * 512ull, c->data, e->gt_entries * 4ull);
		if (!r) {
			c->extent = e;
			c->index = index;
		}
	}
	if (!r)
		*sector = ld_le32(c->data + grain % e->gt_entries * 4);
	pthread_mutex_unlock(&v->lock);
	return r;
}

static int where_sparse(struct blk *b, const struct extent *e, uint64_t in, struct unit *out)
{
	uint32_t sector;
	int r = grain_sector(b->priv, e, in / e->grain, &sector);

	out->len = min_u64(e->size - in, e->grain - in % e->grain);
	if (r || !sector || (e->zero_grains && sector == 1))
		return r;
	out->kind = e->compressed ? UNIT_PACKED : UNIT_DATA;
	out->file = e->file;
	out->path = e->path ? e->path : b->path;
	out->host = sector * 512ull + (e->compressed ? 0 : in % e->grain);
	out->in = in % e->grain;
	out->size = e->grain;
	return 0;
}

static int where(struct blk *b, uint64_t off, struct unit *out)
{
	const struct vmdk *v = b->priv;
	const struct extent *e = v->extent;

	while (off - e->start >= e->size)
		e++; /* off is below the sum of all sizes */
	*out = (struct unit){.len = e->size - (off - e->start)};
	if (e->kind == SPARSE)
		return where_sparse(b, e, off - e->start, out);
	if (e->kind == ZERO)
		return 0;
	out->kind = UNIT_DATA;
	out->file = e->file;
	out->path = e->path;
	out->host = e->file_off + (off - e->start);
	return 0;
}

/* A compressed grain: u64 sector of the image, u32 length, a zlib stream. */
static int unpack(struct blk *b, const struct unit *u, uint8_t *out)
{
	uLongf n = u->size;
	uint8_t head[12], *in;
	uint32_t len;
	int r = blk_file_read(u->file, u->host, head, sizeof(head));

	(void)b;
	len = ld_le32(head + 8);
	if (r || len > u->size * 2 + 4096)
		return r ? r : -EIO;
	in = malloc(len + 1);
	r = in ? blk_file_read(u->file, u->host + sizeof(head), in, len) : -ENOMEM;
	memset(out, 0, u->size); /* the last grain may be short */
	if (!r && uncompress(out, &n, in, len) != Z_OK)
		r = -EIO;
	free(in);
	return r;
}

static const struct unit_ops ops = {.where = where, .unpack = unpack};

static int vmdk_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		       uint64_t len)
{
	return unit_preadv(b, &ops, off, iov, n, len);
}

static int vmdk_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	return unit_map(b, &ops, off, len, out);
}

const struct blk_format blk_vmdk = {
	.name = "vmdk",
	.probe = probe,
	.open = vmdk_open,
	.close = vmdk_close,
	.preadv = vmdk_preadv,
	.map = vmdk_map,
};
