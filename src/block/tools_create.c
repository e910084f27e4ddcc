// SPDX-License-Identifier: GPL-2.0-or-later
/* New images: options as qemu-img spells them. Threads: the caller's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/keyval.h"
#include "base/range.h"
#include "block/block_int.h"
#include "block/qcow2.h"
#include "block/tools.h"

static const char *const prealloc_words[] = {"off", "metadata", "falloc", "full", NULL};

const char *blk_format_name(unsigned i)
{
	for (unsigned k = 0; blk_formats[k]; k++) {
		if (k == i)
			return blk_formats[k]->name;
	}
	return NULL;
}

const char *blk_create_help(const char *format)
{
	if (!strcmp(format, "raw"))
		return "  preallocation=off|falloc|full  give the file its space now\n"
		       "  size=SIZE                      the image's size\n";
	if (!strcmp(format, "qcow2"))
		return "  backing_file=FILE              the image stands on this one\n"
		       "  backing_fmt=FORMAT             and that one's format\n"
		       "  cluster_size=SIZE              512 to 2M, default 64K\n"
		       "  compat=0.10|1.1                version 2 or 3, default 1.1\n"
		       "  compression_type=zlib|zstd     for compressed clusters\n"
		       "  extended_l2=on|off             clusters of 32 parts\n"
		       "  lazy_refcounts=on|off          other programs may put refcounts off\n"
		       "  preallocation=off|metadata|falloc|full\n"
		       "  refcount_bits=N                1, 2, 4, 8, 16, 32 or 64\n"
		       "  size=SIZE                      the image's size\n";
	return NULL;
}

/* ---- Raw --------------------------------------------------------------------------------------- */

static int fill_zeros(struct blk_file *f, uint64_t size)
{
	static const uint8_t zeros[1 << 16];
	int r = 0;

	for (uint64_t off = 0; off < size && !r; off += sizeof(zeros))
		r = blk_file_write(f, off, zeros, min_u64(sizeof(zeros), size - off));
	return r;
}

static int create_raw(const struct blk_create *c, uint64_t size, struct lodge_err *err)
{
	unsigned prealloc = 0;
	struct blk_file *f = NULL;
	int r = 0;

	if (c->backing)
		return err_set(err, -EINVAL,
			       "a raw image cannot stand on a backing file; take qcow2");
	if (c->options)
		r = props_choice(c->options, "preallocation", prealloc_words, &prealloc, err);
	if (!r && prealloc == Q_PREALLOC_METADATA)
		r = err_set(err, -EINVAL,
			    "a raw image has no metadata: preallocation=falloc or full");
	if (!r && c->options)
		r = props_done(c->options, err);
	if (!r)
		r = blk_file_create(c->path, &f, err);
	if (r)
		return r;
	r = blk_file_truncate(f, size);
	if (!r && prealloc == Q_PREALLOC_FALLOC && size)
		r = fallocate(blk_file_fd(f), 0, 0, (off_t)size) ? -errno : 0;
	if (!r && prealloc == Q_PREALLOC_FULL)
		r = fill_zeros(f, size);
	blk_file_close(f);
	return r ? err_set(err, r, "cannot write '%s': %s", c->path, strerror(-r)) : 0;
}

/* ---- qcow2 ------------------------------------------------------------------------------------- */

static int qcow2_options(struct props *p, struct q_create *q, struct lodge_err *err)
{
	static const char *const compat[] = {"1.1", "v3", "0.10", "v2", NULL};
	static const char *const compression[] = {"zlib", "zstd", NULL};
	unsigned version = 0, zstd = 0, prealloc = 0;
	uint64_t bits = q->refcount_bits;
	int r = props_size(p, "cluster_size", &q->cluster_size, err);

	if (!r)
		r = props_choice(p, "compat", compat, &version, err);
	if (!r)
		r = props_choice(p, "compression_type", compression, &zstd, err);
	if (!r)
		r = props_choice(p, "preallocation", prealloc_words, &prealloc, err);
	if (!r)
		r = props_bool(p, "lazy_refcounts", &q->lazy_refcounts, err);
	if (!r)
		r = props_bool(p, "extended_l2", &q->ext_l2, err);
	if (!r)
		r = props_u64(p, "refcount_bits", 64, &bits, err);
	q->version = version < 2 ? 3 : 2;
	q->zstd = zstd;
	q->prealloc = prealloc;
	q->refcount_bits = (unsigned)bits;
	return r ? r : props_done(p, err);
}

static int create_qcow2(const struct blk_create *c, uint64_t size, struct lodge_err *err)
{
	struct q_create q = {.path = c->path,
			     .size = size,
			     .version = 3,
			     .cluster_size = 65536,
			     .refcount_bits = 16,
			     .backing_name = c->backing,
			     .backing_format = c->backing_format};
	int r = c->options ? qcow2_options(c->options, &q, err) : 0;

	if (!r && q.prealloc && c->backing && !q.ext_l2)
		r = err_set(err, -EINVAL,
			    "preallocation= would hide the backing file; it goes without one");
	return r ? r : q_create(&q, err);
}

/* ---- Both -------------------------------------------------------------------------------------- */

/* Look for the backing file, take its size if none was given. */
static int look_at_backing(const struct blk_create *c, uint64_t *size, struct lodge_err *err)
{
	struct blk_open how = {.read_only = true, .no_lock = true, .format = c->backing_format};
	char path[4096];
	struct blk *b;
	int r = q_backing_path(c->path, c->backing, path, sizeof(path), err);

	if (r)
		return r;
	if (!c->backing_format)
		return err_set(err, -EINVAL,
			       "which format has '%s'? Say so with -F (a guessed one could be the "
			       "guest's idea)",
			       c->backing);
	how.path = path;
	r = blk_open(&how, &b, err);
	if (r)
		return r;
	if (!c->has_size)
		*size = blk_size(b);
	return blk_close(b);
}

int blk_create_image(const struct blk_create *from, struct lodge_err *err)
{
	struct blk_create c = *from;
	uint64_t size = c.size;
	int r = 0;

	if (c.options) {
		if (!c.backing)
			c.backing = props_get(c.options, "backing_file");
		if (!c.backing_format)
			c.backing_format = props_get(c.options, "backing_fmt");
		if (props_has(c.options, "size")) {
			c.has_size = true;
			r = props_size(c.options, "size", &size, err);
		}
	}
	if (!r && c.backing && !(c.trust_backing && c.has_size))
		r = look_at_backing(&c, &size, err);
	if (!r && !c.has_size && !c.backing)
		r = err_set(err, -EINVAL, "how large should '%s' be? Give a size", c.path);
	if (r)
		return r;
	size = align_up(size, BLK_SECTOR);
	if (!strcmp(c.format, "raw"))
		return create_raw(&c, size, err);
	if (!strcmp(c.format, "qcow2"))
		return create_qcow2(&c, size, err);
	for (unsigned i = 0; blk_format_name(i); i++) {
		if (!strcmp(c.format, blk_format_name(i)))
			return err_set(
				err, -ENOTSUP,
				"images of the format %s can only be read; create raw or qcow2",
				c.format);
	}
	return err_set(err, -EINVAL, "there is no format '%s'", c.format);
}
