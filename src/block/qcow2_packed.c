// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Compressed clusters: raw deflate with a 4 KiB window, or zstd.
 * Source: QEMU docs/interop/qcow2.txt, "Compressed Clusters Descriptor", compression_type.
 * Threads: no shared state, but for q_read_packed, which is called without the lock.
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

static long deflate_one(const uint8_t *in, size_t in_len, uint8_t *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)in_len,
		      .next_out = out,
		      .avail_out = (uInt)in_len - 1};
	int r;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	r = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return r == Z_STREAM_END ? (long)(in_len - 1 - z.avail_out) : 0;
}

long q_pack(unsigned type, const uint8_t *in, size_t in_len, uint8_t *out)
{
	size_t n;

	if (type != Q_ZSTD)
		return deflate_one(in, in_len, out);
	n = ZSTD_compress(out, in_len - 1, in, in_len, ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(n) ? 0 : (long)n;
}

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
