/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damaged images: good ones of every format and shape, with bytes changed, opened and used in every way. For the
 * fuzz target (tests/fuzz/image.c) and for the test that counts (tests/unit/block/image_hostile.c).
 */
#ifndef IMAGE_HOSTILE_H
#define IMAGE_HOSTILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "block/block.h"
#include "block/qcow2.h"

#define HOSTILE_SHAPES 12u
#define HOSTILE_BYTES (320u << 10)

struct hostile {
	int fd;
	char path[32];
	uint8_t *good[HOSTILE_SHAPES];
	size_t len[HOSTILE_SHAPES];
	uint64_t opened[HOSTILE_SHAPES]; /* how many were taken in spite of their damage */
	uint8_t *buf;
};

static const char *hostile_format(unsigned shape)
{
	static const char *const names[] = {"vdi", "vpc", "vmdk", "vmdk", "vmdk"};

	return shape < 7 ? "qcow2" : names[shape - 7];
}

static void hostile_die(const char *what)
{
	fprintf(stderr, "cannot prepare: %s\n", what);
	abort();
}

static void hostile_keep(struct hostile *h, unsigned shape)
{
	off_t n = lseek(h->fd, 0, SEEK_END);

	if (n < 0 || n > HOSTILE_BYTES)
		hostile_die("the image is too large");
	h->good[shape] = malloc(n);
	h->len[shape] = n;
	if (pread(h->fd, h->good[shape], n, 0) != n)
		hostile_die("it cannot be read");
}

static void hostile_qcow2(struct hostile *h, unsigned shape)
{
	struct q_create c = {.path = h->path, .version = shape ? 3 : 2, .size = 200 << 10};
	struct blk_open how = {.path = h->path, .format = "qcow2"};
	struct lodge_err err = {""};
	struct q_packer *packer;
	uint8_t out[65536];
	struct blk *b = NULL;
	long n;

	c.cluster_size = shape == 1 ? 512 : shape == 4 || shape == 6 ? 16384 : 4096;
	c.refcount_bits = shape == 2 ? 1 : shape == 3 ? 64 : 16;
	c.zstd = shape == 3 || shape == 6;
	c.ext_l2 = shape == 4;
	c.lazy_refcounts = shape == 5;
	memset(h->buf, 'x', 40000);
	if (q_create(&c, &err) || blk_open(&how, &b, &err) || blk_write(b, 5000, h->buf, 30000) ||
	    blk_zero(b, 65536, 20000, true))
		hostile_die(err.msg);
	packer = q_packer_new(b);
	n = packer ? q_pack(packer, h->buf, out) : -1;
	q_packer_free(packer);
	if (n <= 0 || q_write_compressed(b, 8 * c.cluster_size, out, n) ||
	    q_write_compressed(b, 9 * c.cluster_size, out, n))
		hostile_die("compression");
	if (shape != 2 && (q_snapshot_create(b, "one", &err) || blk_write(b, 7000, h->buf, 9000)))
		hostile_die(err.msg);
	if (blk_close(b))
		hostile_die("close");
	hostile_keep(h, shape);
}

static void hostile_put(struct hostile *h, unsigned shape, size_t n)
{
	h->good[shape] = malloc(n);
	h->len[shape] = n;
	memcpy(h->good[shape], h->buf, n);
	memset(h->buf, 0, n);
}

static void hostile_vdi(struct hostile *h, unsigned shape)
{
	uint8_t *p = h->buf;

	memset(p, 0, HOSTILE_BYTES);
	st_le32(p + 64, 0xbeda107f);
	st_le32(p + 68, 0x10001);
	st_le32(p + 76, 1);
	st_le32(p + 340, 512);
	st_le32(p + 344, 1024);
	st_le64(p + 368, 16 * 4096);
	st_le32(p + 376, 4096);
	st_le32(p + 384, 16);
	for (unsigned i = 0; i < 16; i++)
		st_le32(p + 512 + i * 4, i & 1 ? 0xffffffff : i / 2);
	hostile_put(h, shape, 1024 + 8 * 4096);
}

static void hostile_sum(uint8_t *p, size_t n, size_t at)
{
	uint32_t sum = 0;

	st_be32(p + at, 0);
	for (size_t i = 0; i < n; i++)
		sum += p[i];
	st_be32(p + at, ~sum);
}

static void hostile_vhd(struct hostile *h, unsigned shape)
{
	uint8_t *p = h->buf;

	memcpy(p, "conectix", 8);
	st_be64(p + 16, 512);
	st_be64(p + 48, 16 * 4096);
	st_be32(p + 60, 3);
	hostile_sum(p, 512, 64);
	memcpy(p + 512, "cxsparse", 8);
	st_be64(p + 512 + 16, 1536);
	st_be32(p + 512 + 28, 16);
	st_be32(p + 512 + 32, 4096);
	hostile_sum(p + 512, 1024, 36);
	for (unsigned i = 0; i < 16; i++)
		st_be32(p + 1536 + i * 4, i & 1 ? 0xffffffff : 4 + i / 2 * 9);
	hostile_put(h, shape, 2048 + 9 * 512 * 8);
}

static void hostile_vmdk(struct hostile *h, unsigned shape, bool packed)
{
	uint8_t *p = h->buf;

	st_le32(p, 0x564d444b);
	st_le32(p + 4, packed ? 3 : 1);
	st_le32(p + 8, packed ? 3 << 16 : 3);
	st_le64(p + 12, 128);
	st_le64(p + 20, 8);
	st_le64(p + 28, 1);
	st_le64(p + 36, 1);
	st_le32(p + 44, 512);
	st_le64(p + 56, 2);
	memcpy(p + 512, "# Disk DescriptorFile\nparentCID=ffffffff\n", 41);
	st_le32(p + 1024, 3);
	for (unsigned i = 0; i < 16; i++)
		st_le32(p + 1536 + i * 4, i & 1 ? 0 : 7 + i / 2 * 8);
	if (packed)
		st_le32(p + 7 * 512 + 8, 100);
	hostile_put(h, shape, 512 * (7 + 8 * 8));
}

static void hostile_descriptor(struct hostile *h, unsigned shape)
{
	const char text[] = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
			    "RW 100 ZERO\nRW 10 FLAT \"nothere\" 0\n";

	memcpy(h->buf, text, sizeof(text));
	hostile_put(h, shape, sizeof(text));
}

static void hostile_init(struct hostile *h)
{
	h->fd = memfd_create("image", MFD_CLOEXEC);
	snprintf(h->path, sizeof(h->path), "/proc/self/fd/%d", h->fd);
	h->buf = calloc(1, HOSTILE_BYTES);
	for (unsigned i = 0; i < 7; i++)
		hostile_qcow2(h, i);
	hostile_vdi(h, 7);
	hostile_vhd(h, 8);
	hostile_vmdk(h, 9, false);
	hostile_vmdk(h, 10, true);
	hostile_descriptor(h, 11);
}

static inline void hostile_free(struct hostile *h)
{
	for (unsigned i = 0; i < HOSTILE_SHAPES; i++)
		free(h->good[i]);
	free(h->buf);
	close(h->fd);
}

/* Read all there is, up to a bound, and what else only looks. */
static void hostile_look(struct hostile *h, struct blk *b)
{
	uint64_t size = blk_size(b), n = min_u64(size, 64 << 10);
	struct lodge_err err;
	struct q_snapshots s;
	struct blk_extent e;
	struct q_info info;

	(void)!blk_read(b, 0, h->buf, n);
	if (size > n)
		(void)!blk_read(b, size - n, h->buf, n);
	for (uint64_t off = 0, i = 0; off < size && i < 64; off += e.len, i++) {
		if (blk_map(b, off, size - off, &e))
			break;
		if (!e.len || e.len > size - off)
			abort();
	}
	(void)q_get_info(b, &info);
	if (!q_snapshot_list(b, &s, &err))
		q_snapshots_free(&s);
}

static void hostile_change(struct hostile *h, struct blk *b, unsigned how)
{
	uint64_t size = blk_size(b);
	struct lodge_err err;

	memset(h->buf, how, 20000);
	for (uint64_t off = 0, i = 0; off < size && i < 12; off += 13000 + how, i++)
		(void)!blk_write(b, off, h->buf, min_u64(size - off, 6000));
	if (how & 1)
		(void)!blk_discard(b, 0, min_u64(size, 60000));
	(void)!blk_zero(b, size / 2, min_u64(size / 2, 50000), how & 2);
	if (how & 4)
		(void)!blk_flush(b);
	if (how & 8)
		(void)!q_snapshot_delete(b, "1", &err);
	if (how & 16)
		(void)!q_snapshot_create(b, "two", &err);
	if (how & 32)
		(void)!q_snapshot_apply(b, "two", &err);
	if ((how & 64) && size < 1 << 20)
		(void)!blk_resize(b, size / 2 & ~511ull, &err);
	if (how & 128)
		hostile_look(h, b);
}

/* Every refusal has its sentence. */
static struct blk *hostile_open(const struct blk_open *how)
{
	struct lodge_err err = {""};
	struct blk *b = NULL;

	if (blk_open(how, &b, &err) && !err.msg[0])
		abort();
	return b;
}

/* The image that is in the file now; `how`: what is done to it. */
static void hostile_use(struct hostile *h, unsigned shape, unsigned how)
{
	struct q_check_result res = {0};
	struct lodge_err err;
	struct blk_open o = {.path = h->path,
			     .format = hostile_format(shape),
			     .read_only = true,
			     .discard = true,
			     .quiet = true,
			     .no_backing = true,
			     .cache = BLK_CACHE_UNSAFE};
	struct blk *b = hostile_open(&o);

	if (b) {
		h->opened[shape]++;
		hostile_look(h, b);
		(void)!blk_close(b);
	}
	if (shape >= 7 || !(how & 3))
		return;
	o.read_only = false;
	b = hostile_open(&o);
	if (b) {
		hostile_change(h, b, how >> 2);
		(void)!blk_close(b);
	}
	if (!(how & 2))
		return;
	o.check = true;
	b = hostile_open(&o);
	if (b) {
		(void)!q_check_image(b, how >> 2 & 3, &res, &err);
		(void)!blk_close(b);
	}
}

/* Set the file to a good image of that shape; the caller changes it. */
static void hostile_reset(struct hostile *h, unsigned shape)
{
	if (ftruncate(h->fd, 0) ||
	    pwrite(h->fd, h->good[shape], h->len[shape], 0) != (ssize_t)h->len[shape])
		abort();
}

#endif
