// SPDX-License-Identifier: GPL-2.0-or-later
/* Open images: what all formats share. Threads: see block/block.h. */
#include "block/block.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"

/* ---- Which format ------------------------------------------------------------------------------ */

static const struct blk_format *find_format(const char *name)
{
	for (const struct blk_format *const *f = blk_formats; *f; f++) {
		if (!strcmp((*f)->name, name))
			return *f;
	}
	return NULL;
}

const struct blk_format *blk_probe(const uint8_t *head, size_t n, uint64_t file_size,
				   const char *path)
{
	const struct blk_format *best = &blk_raw;
	unsigned best_score = 0;

	for (const struct blk_format *const *f = blk_formats; *f; f++) {
		unsigned score = (*f)->probe ? (*f)->probe(head, n, file_size, path) : 0;

		if (score > best_score) {
			best = *f;
			best_score = score;
		}
	}
	return best;
}

static int choose_format(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	uint8_t head[BLK_HEAD_BYTES] = {0};
	uint64_t size;
	int r;

	if (how->format) {
		b->format = find_format(how->format);
		if (!b->format)
			return err_set(err, -EINVAL, "%s: there is no format '%s'", how->path,
				       how->format);
		return 0;
	}
	size = blk_file_size(b->file);
	r = blk_file_read(b->file, 0, head, min_u64(size, sizeof(head)));
	if (r)
		return err_set(err, r, "%s cannot be read: %s", how->path, strerror(-r));
	b->format = blk_probe(head, min_u64(size, sizeof(head)), size, how->path);
	b->probed = true;
	return 0;
}

/* ---- Life -------------------------------------------------------------------------------------- */

struct blk *blk_alloc(const char *path)
{
	struct blk *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->path = strdup(path);
	if (!b->path) {
		free(b);
		return NULL;
	}
	pthread_mutex_init(&b->quick_lock, NULL);
	pthread_cond_init(&b->quick_idle, NULL);
	return b;
}

void blk_free(struct blk *b)
{
	blk_file_close(b->file);
	pthread_cond_destroy(&b->quick_idle);
	pthread_mutex_destroy(&b->quick_lock);
	free(b->path);
	free(b);
}

static int open_image(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	int r = blk_file_open(how, &b->file, err);

	if (!r)
		r = choose_format(b, how, err);
	if (r)
		return r;
	if (!how->read_only && !b->format->can_write)
		return err_set(err, -ENOTSUP,
			       "%s: images of the format %s can only be read; open it with "
			       "readonly=on",
			       how->path, b->format->name);
	return b->format->open(b, how, err);
}

int blk_open(const struct blk_open *how, struct blk **out, struct lodge_err *err)
{
	struct blk *b = blk_alloc(how->path);
	int r;

	if (!b)
		return err_set(err, -ENOMEM, "no memory for %s", how->path);
	b->read_only = how->read_only;
	b->discard = how->discard;
	b->cache = how->cache;
	r = open_image(b, how, err);
	if (r) {
		blk_free(b);
		return r;
	}
	*out = b;
	return 0;
}

int blk_close(struct blk *b)
{
	int r, backing;

	if (!b)
		return 0;
	r = blk_flush(b);
	if (b->format->close)
		b->format->close(b);
	backing = blk_close(b->backing);
	blk_free(b);
	return r ? r : backing;
}

void blk_stand_on(struct blk *top, struct blk *base)
{
	base->read_only = true;
	top->backing = base;
}

/* ---- Facts ------------------------------------------------------------------------------------- */

uint64_t blk_size(const struct blk *b)
{
	return __atomic_load_n(&b->size, __ATOMIC_RELAXED);
}

bool blk_is_read_only(const struct blk *b)
{
	return b->read_only;
}

enum blk_cache blk_cache(const struct blk *b)
{
	return b->cache;
}

bool blk_discards(const struct blk *b)
{
	return b->discard;
}

const char *blk_path(const struct blk *b)
{
	return b->path;
}

const char *blk_format(const struct blk *b)
{
	return b->format->name;
}

bool blk_probed(const struct blk *b)
{
	return b->probed;
}

unsigned blk_align(const struct blk *b)
{
	unsigned align = b->file ? blk_file_align(b->file) : 1;

	return align < BLK_SECTOR ? BLK_SECTOR : align;
}

/* ---- Access ------------------------------------------------------------------------------------ */

static int check(const struct blk *b, bool write, uint64_t off, uint64_t len)
{
	if (!range_ok(off, len, blk_size(b)))
		return -EINVAL;
	return write && b->read_only ? -EROFS : 0;
}

/* cache=writethrough: what was written is on the disk now. */
static int written(struct blk *b)
{
	return b->cache == BLK_CACHE_WRITETHROUGH || b->cache == BLK_CACHE_DIRECTSYNC ? blk_flush(b)
										      : 0;
}

int blk_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n)
{
	uint64_t len = blk_iov_len(iov, n);
	int r = check(b, false, off, len);

	return r || !len ? r : b->format->preadv(b, off, iov, n, len);
}

/*
 * What completes blocks under O_DIRECT must not cross a quick write to one of them. True: quick requests are
 * kept out, and blk_quick_release() is due.
 */
static bool hold_for(struct blk *b, uint64_t off, uint64_t len)
{
	if (!b->file || !((off | len) & (blk_file_align(b->file) - 1)))
		return false;
	blk_quick_hold(b);
	return true;
}

int blk_pwritev(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n)
{
	uint64_t len = blk_iov_len(iov, n);
	int r = check(b, true, off, len);
	bool hold;

	if (r || !len)
		return r;
	hold = hold_for(b, off, len);
	r = b->format->pwritev(b, off, iov, n, len);
	if (hold)
		blk_quick_release(b);
	return r ? r : written(b);
}

int blk_read(struct blk *b, uint64_t off, void *buf, uint64_t len)
{
	const struct iovec one = {buf, len};

	return blk_preadv(b, off, &one, 1);
}

int blk_write(struct blk *b, uint64_t off, const void *buf, uint64_t len)
{
	const struct iovec one = {(void *)(uintptr_t)buf, len};

	return blk_pwritev(b, off, &one, 1);
}

/* One page of zeros, as often as an iovec may name it. */
static int write_zeros(struct blk *b, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[65536] __attribute__((aligned(4096)));
	struct iovec iov[16];
	int r = 0;

	while (len && !r) {
		uint64_t done = 0;
		unsigned n = 0;

		for (; n < ARRAY_SIZE(iov) && done < len; n++) {
			iov[n].iov_base = (void *)(uintptr_t)zeros;
			iov[n].iov_len = min_u64(sizeof(zeros), len - done);
			done += iov[n].iov_len;
		}
		r = b->format->pwritev(b, off, iov, n, done);
		off += done;
		len -= done;
	}
	return r;
}

int blk_zero(struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	int r = check(b, true, off, len);
	bool hold;

	if (r || !len)
		return r;
	hold = hold_for(b, off, len);
	r = b->format->zero ? b->format->zero(b, off, len, unmap && b->discard) : -ENOTSUP;
	if (r == -ENOTSUP)
		r = write_zeros(b, off, len);
	if (hold)
		blk_quick_release(b);
	return r ? r : written(b);
}

int blk_discard(struct blk *b, uint64_t off, uint64_t len)
{
	int r = check(b, true, off, len);

	if (r || !len || !b->discard || !b->format->discard)
		return r;
	r = b->format->discard(b, off, len);
	/* A wish: where it cannot be granted, nothing is lost. */
	return r == -ENOTSUP ? 0 : r;
}

int blk_flush(struct blk *b)
{
	if (b->read_only || b->cache == BLK_CACHE_UNSAFE)
		return 0;
	return b->format->flush ? b->format->flush(b) : blk_file_flush(b->file);
}

int blk_resize(struct blk *b, uint64_t size, struct lodge_err *err)
{
	if (b->read_only)
		return err_set(err, -EROFS, "%s is open for reading only", b->path);
	if (!b->format->resize)
		return err_set(err, -ENOTSUP, "%s: images of the format %s cannot be resized",
			       b->path, b->format->name);
	return b->format->resize(b, size, err);
}

int blk_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	int r = check(b, false, off, len);

	*out = (struct blk_extent){.len = len};
	return r || !len ? r : b->format->map(b, off, len, out);
}

/* ---- The quick way ----------------------------------------------------------------------------- */

bool blk_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd, uint64_t *host_off)
{
	bool ok;

	if (!len || check(b, write, off, len) || !b->format->quick)
		return false;
	pthread_mutex_lock(&b->quick_lock);
	ok = !b->quick_holds;
	b->quick_count += ok;
	pthread_mutex_unlock(&b->quick_lock);
	if (!ok)
		return false;
	ok = b->format->quick(b, write, off, len, fd, host_off);
	if (!ok)
		blk_quick_done(b);
	return ok;
}

void blk_quick_done(struct blk *b)
{
	pthread_mutex_lock(&b->quick_lock);
	if (!--b->quick_count && b->quick_holds)
		pthread_cond_broadcast(&b->quick_idle);
	pthread_mutex_unlock(&b->quick_lock);
}

void blk_quick_hold(struct blk *b)
{
	pthread_mutex_lock(&b->quick_lock);
	b->quick_holds++;
	while (b->quick_count)
		pthread_cond_wait(&b->quick_idle, &b->quick_lock);
	pthread_mutex_unlock(&b->quick_lock);
}

void blk_quick_release(struct blk *b)
{
	pthread_mutex_lock(&b->quick_lock);
	b->quick_holds--;
	pthread_mutex_unlock(&b->quick_lock);
}
