// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A temporary layer over an image (-snapshot, snapshot=on): writes go into a nameless file at their own
 * offset, and a bitmap says which grains of it hold data. When the machine ends it is gone.
 *
 * A grain's bit is set after all of the grain is in the file, and never cleared; so whoever sees it set
 * may use the file without a lock.
 *
 * Threads: any; `lock` lets one write at a time fill grains.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"

#define GRAIN_SHIFT 12u /* 4 KiB, or more where the bitmap would grow too large: */
#define MAP_BYTES_MAX (32u << 20)
#define PIECES 64u

struct overlay {
	pthread_mutex_t lock;
	unsigned shift;
	uint8_t *map;
	uint8_t *grain; /* one, for completing; with the lock */
};

static bool has(const struct overlay *o, uint64_t grain)
{
	/* Pairs with set(). */
	return __atomic_load_n(&o->map[grain / 8], __ATOMIC_ACQUIRE) >> (grain % 8) & 1;
}

static void set(struct overlay *o, uint64_t grain)
{
	__atomic_fetch_or(&o->map[grain / 8], (uint8_t)(1u << (grain % 8)), __ATOMIC_RELEASE);
}

/* How far from `off` on all grains are as the first one is; at most `len`. */
static uint64_t run_of(const struct overlay *o, uint64_t off, uint64_t len, bool *mine)
{
	uint64_t grain = off >> o->shift, end = off;

	*mine = has(o, grain);
	do {
		end = (++grain) << o->shift;
	} while (end < off + len && has(o, grain) == *mine);
	return min_u64(end - off, len);
}

static int read_run(struct blk *b, bool mine, uint64_t off, const struct iovec *iov, unsigned n,
		    uint64_t skip, uint64_t len)
{
	struct iovec part[PIECES];
	int r = 0;

	while (len && !r) {
		unsigned count = blk_iov_part(iov, n, skip, len, part, PIECES);
		uint64_t done = blk_iov_len(part, count);

		r = mine ? blk_file_preadv(b->file, off, part, count)
			 : blk_preadv(b->backing, off, part, count);
		off += done;
		skip += done;
		len -= done;
	}
	return r;
}

static int overlay_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
			  uint64_t len)
{
	uint64_t done = 0;
	int r = 0;

	while (done < len && !r) {
		bool mine;
		uint64_t run = run_of(b->priv, off + done, len - done, &mine);

		r = read_run(b, mine, off + done, iov, n, done, run);
		done += run;
	}
	return r;
}

/* Copy a grain from below, if it is not there yet and a write fills only part of it. */
static int complete(struct blk *b, uint64_t grain)
{
	struct overlay *o = b->priv;
	uint64_t off = grain << o->shift, len = min_u64(1ull << o->shift, b->size - off);
	int r;

	if (has(o, grain))
		return 0;
	r = blk_read(b->backing, off, o->grain, len);
	if (!r)
		r = blk_file_write(b->file, off, o->grain, len);
	if (!r)
		set(o, grain);
	return r;
}

/* The grains at both ends of a write. */
static int complete_ends(struct blk *b, uint64_t off, uint64_t len)
{
	struct overlay *o = b->priv;
	uint64_t mask = (1ull << o->shift) - 1, end = off + len;
	int r = 0;

	if (off & mask)
		r = complete(b, off >> o->shift);
	if (!r && (end & mask) && end != b->size)
		r = complete(b, end >> o->shift);
	return r;
}

static void filled(struct overlay *o, uint64_t off, uint64_t len)
{
	for (uint64_t g = off >> o->shift; g << o->shift < off + len; g++)
		set(o, g);
}

static int overlay_pwritev(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
			   uint64_t len)
{
	struct overlay *o = b->priv;
	struct iovec part[PIECES];
	uint64_t done = 0;
	int r;

	pthread_mutex_lock(&o->lock);
	r = complete_ends(b, off, len);
	while (!r && done < len) {
		unsigned count = blk_iov_part(iov, n, done, len - done, part, PIECES);

		r = blk_file_pwritev(b->file, off + done, part, count);
		done += blk_iov_len(part, count);
	}
	if (!r)
		filled(o, off, len);
	pthread_mutex_unlock(&o->lock);
	return r;
}

static int overlay_zero(struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	struct overlay *o = b->priv;
	int r;

	(void)unmap; /* holes are zeros, and whether the host keeps room for them does not matter */
	pthread_mutex_lock(&o->lock);
	r = complete_ends(b, off, len);
	if (!r)
		r = blk_file_punch(b->file, off, len);
	if (!r)
		filled(o, off, len);
	pthread_mutex_unlock(&o->lock);
	return r;
}

static int overlay_flush(struct blk *b)
{
	(void)b; /* what is to be thrown away need not reach the disk */
	return 0;
}

static int overlay_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	bool mine;
	uint64_t run = run_of(b->priv, off, len, &mine);
	int r;

	if (!mine) {
		r = blk_map(b->backing, off, run, out);
		out->depth++;
		return r;
	}
	out->data = blk_file_has_data(b->file, off, run, &out->len);
	out->zero = !out->data;
	out->present = true;
	return 0;
}

static bool overlay_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd,
			  uint64_t *host_off)
{
	bool mine;

	if (run_of(b->priv, off, len, &mine) != len)
		return false;
	if (mine) {
		*fd = blk_file_fd(b->file);
		*host_off = off;
		return true;
	}
	/* Nothing is moved in what is only read, so nobody need count there. */
	return !write && b->backing->format->quick &&
	       b->backing->format->quick(b->backing, false, off, len, fd, host_off);
}

static void overlay_close(struct blk *b)
{
	struct overlay *o = b->priv;

	pthread_mutex_destroy(&o->lock);
	free(o->grain);
	free(o->map);
	free(o);
}

static const struct blk_format overlay = {
	.name = "overlay",
	.can_write = true,
	.flat = true,
	.close = overlay_close,
	.preadv = overlay_preadv,
	.pwritev = overlay_pwritev,
	.zero = overlay_zero,
	.flush = overlay_flush,
	.map = overlay_map,
	.quick = overlay_quick,
};

static struct overlay *new_overlay(uint64_t size)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	o->shift = GRAIN_SHIFT;
	while (size >> o->shift >= MAP_BYTES_MAX * 8ull)
		o->shift++;
	o->map = calloc(1, (size >> o->shift) / 8 + 1);
	o->grain = malloc(1ull << o->shift);
	return o;
}

int blk_overlay(struct blk *base, struct blk **out, struct lodge_err *err)
{
	struct blk *b = blk_alloc(base->path);
	int r;

	if (!b)
		return err_set(err, -ENOMEM, "no memory for %s", base->path);
	r = blk_file_temporary(&b->file, err);
	if (r) {
		blk_free(b);
		return r;
	}
	b->format = &overlay;
	b->cache = BLK_CACHE_UNSAFE;
	b->discard = true;
	b->size = base->size;
	b->priv = new_overlay(base->size);
	if (!b->priv || !((struct overlay *)b->priv)->map || !((struct overlay *)b->priv)->grain) {
		if (b->priv)
			overlay_close(b);
		blk_free(b);
		return err_set(err, -ENOMEM, "no memory for changes of %s", base->path);
	}
	b->backing = base;
	*out = b;
	return 0;
}
