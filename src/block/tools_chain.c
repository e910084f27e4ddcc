// SPDX-License-Identifier: GPL-2.0-or-later
/* Images compared, moved onto other backing files, and written down into them. Threads: the caller's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"
#include "block/qcow2.h"
#include "block/tools.h"

#define PIECE (1u << 20)

static void report(const struct blk_progress *p, uint64_t done, uint64_t total)
{
	if (p && p->report)
		p->report(p->opaque, done, total);
}

/* Bytes of an image, zeros behind its end or where there is none. */
static int read_or_zeros(struct blk *b, uint64_t off, uint8_t *buf, uint64_t len)
{
	uint64_t have = b && off < blk_size(b) ? min_u64(len, blk_size(b) - off) : 0;

	memset(buf + have, 0, len - have);
	return have ? blk_read(b, off, buf, have) : 0;
}

static int map_or_zeros(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	if (b && off < blk_size(b))
		return blk_map(b, off, min_u64(len, blk_size(b) - off), e);
	*e = (struct blk_extent){.len = len, .zero = true};
	return 0;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	for (uint64_t i = 0; i < len; i += 4096) {
		uint64_t n = min_u64(4096, len - i);

		if (!memcmp(a + i, b + i, n))
			continue;
		while (a[i] == b[i])
			i++;
		return i;
	}
	return len;
}

/* ---- Compare ----------------------------------------------------------------------------------- */

struct pair {
	struct blk *a, *b;
	uint8_t *buf; /* two pieces */
	bool strict;
};

/* One stretch from `off` on; *len is how long it was. */
static int compare_run(struct pair *p, uint64_t off, uint64_t *len, struct blk_difference *out)
{
	struct blk_extent ea, eb;
	uint64_t at;
	int r = map_or_zeros(p->a, off, *len, &ea);

	if (!r)
		r = map_or_zeros(p->b, off, *len, &eb);
	if (r)
		return r;
	*len = min_u64(*len, min_u64(ea.len, eb.len));
	if (p->strict && ea.present != eb.present) {
		*out = (struct blk_difference){.off = off, .allocation = true};
		return 0;
	}
	if (ea.zero && eb.zero)
		return 0;
	*len = min_u64(*len, PIECE);
	r = read_or_zeros(p->a, off, p->buf, *len);
	if (!r)
		r = read_or_zeros(p->b, off, p->buf + PIECE, *len);
	if (r)
		return r;
	at = first_difference(p->buf, p->buf + PIECE, *len);
	if (at < *len)
		out->off = off + at;
	return 0;
}

int blk_compare(struct blk *a, struct blk *b, bool strict, const struct blk_progress *progress,
		struct blk_difference *out, struct lodge_err *err)
{
	struct pair p = {.a = a, .b = b, .strict = strict, .buf = malloc(2 * PIECE)};
	uint64_t size = max_u64(blk_size(a), blk_size(b)), len;
	int r = p.buf ? 0 : -ENOMEM;

	*out = (struct blk_difference){.off = UINT64_MAX};
	for (uint64_t off = 0; off < size && !r && out->off == UINT64_MAX; off += len) {
		len = size - off;
		r = compare_run(&p, off, &len, out);
		report(progress, off + len, size);
	}
	free(p.buf);
	return r ? err_set(err, r, "cannot read the images: %s", strerror(-r)) : 0;
}

/* ---- Rebase ------------------------------------------------------------------------------------ */

/* [off, off + *len) is seen through the image: where the two backing files differ, the old bytes go in. */
static int rebase_run(struct pair *p, struct blk *b, uint64_t off, uint64_t *len)
{
	uint64_t unit = q_cluster_size(b), at, end;
	int r;

	*len = min_u64(*len, PIECE);
	r = read_or_zeros(p->a, off, p->buf, *len);
	if (!r)
		r = read_or_zeros(p->b, off, p->buf + PIECE, *len);
	for (at = 0; at < *len && !r; at = end) {
		end = min_u64(*len, align_up(off + at + 1, unit) - off);
		if (memcmp(p->buf + at, p->buf + PIECE + at, end - at))
			r = blk_write(b, off + at, p->buf + at, end - at);
	}
	return r;
}

int blk_rebase(struct blk *b, struct blk *onto, const char *name, const char *format,
	       const struct blk_progress *progress, struct lodge_err *err)
{
	struct pair p = {.a = b->backing, .b = onto, .buf = malloc(2 * PIECE)};
	uint64_t size = blk_size(b), len;
	struct blk_extent e;
	int r = p.buf ? 0 : -ENOMEM;

	for (uint64_t off = 0; off < size && !r; off += len) {
		r = blk_map(b, off, size - off, &e);
		len = e.len;
		if (!r && (e.depth || !e.present))
			r = rebase_run(&p, b, off, &len);
		report(progress, off + len, size);
	}
	free(p.buf);
	if (!r)
		r = blk_flush(b);
	if (r)
		return err_set(err, r, "'%s' cannot be rebased: %s", blk_path(b), strerror(-r));
	return q_set_backing(b, name, format, err);
}

/* ---- Commit ------------------------------------------------------------------------------------ */

int blk_commit(struct blk *view, unsigned depth, struct blk *base,
	       const struct blk_progress *progress, struct lodge_err *err)
{
	uint64_t size = blk_size(view), len;
	uint8_t *buf = malloc(PIECE);
	struct blk_extent e;
	int r = buf ? 0 : -ENOMEM;

	if (!r && size > blk_size(base))
		r = blk_resize(base, size, err);
	for (uint64_t off = 0; off < size && !r; off += len) {
		r = blk_map(view, off, size - off, &e);
		len = e.len;
		if (r || e.depth >= depth || !e.present) {
			report(progress, off + len, size);
			continue;
		}
		if (e.zero) {
			r = blk_zero(base, off, len, false);
		} else {
			len = min_u64(len, PIECE);
			r = blk_read(view, off, buf, len);
			if (!r)
				r = blk_write(base, off, buf, len);
		}
		report(progress, off + len, size);
	}
	free(buf);
	if (!r)
		r = blk_flush(base);
	return r ? err_set(err, r, "cannot write '%s' into '%s': %s", blk_path(view),
			   blk_path(base), strerror(-r))
		 : 0;
}
