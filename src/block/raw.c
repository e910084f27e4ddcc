// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Raw images: the file is the disk. One whose size is no multiple of a sector ends in a sector that
 * reads as zeros behind the file's end, and grows when that is written.
 *
 * Was "raw" only guessed, then the guest could write the header of another format, and at the next
 * start the guess would be that one, with a backing file of the guest's choice. So a guessed raw image
 * takes no write that makes its beginning look like another format (-EPERM).
 *
 * Threads: any; the guessed kind looks at its first bytes with `head` locked.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"

struct raw {
	pthread_mutex_t head;
};

/* Anything may be raw; anything else is more likely. */
static unsigned raw_probe(const uint8_t *head, size_t n, uint64_t file_size, const char *path)
{
	(void)head;
	(void)n;
	(void)file_size;
	(void)path;
	return 1;
}

static int raw_open(struct blk *b, const struct blk_open *how, struct lodge_err *err)
{
	uint64_t size = blk_file_size(b->file);
	struct raw *raw = calloc(1, sizeof(*raw));

	if (!raw)
		return err_set(err, -ENOMEM, "no memory for %s", how->path);
	if (size > INT64_MAX - BLK_SECTOR) {
		free(raw);
		return err_set(err, -EFBIG, "%s is too large", how->path);
	}
	pthread_mutex_init(&raw->head, NULL);
	b->priv = raw;
	b->size = align_up(size, BLK_SECTOR);
	return 0;
}

static void raw_close(struct blk *b)
{
	struct raw *raw = b->priv;

	pthread_mutex_destroy(&raw->head);
	free(raw);
}

static int raw_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		      uint64_t len)
{
	(void)len;
	return blk_file_preadv(b->file, off, iov, n);
}

/*
 * A guessed image's first bytes as they would be after a write: 0, or -EPERM if it would be guessed
 * otherwise then. `iov` may be guest memory, which changes: what was checked is what is written.
 */
static int head_after(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		      uint64_t len, uint8_t head[BLK_HEAD_BYTES])
{
	int r = blk_file_read(b->file, 0, head, BLK_HEAD_BYTES);

	if (r)
		return r;
	len = min_u64(len, BLK_HEAD_BYTES - off);
	if (iov)
		blk_iov_to(iov, n, 0, head + off, len);
	else
		memset(head + off, 0, len);
	return blk_probe(head, BLK_HEAD_BYTES, b->size, b->path) == &blk_raw ? 0 : -EPERM;
}

static int write_head(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		      uint64_t len)
{
	uint64_t done = min_u64(len, BLK_HEAD_BYTES - off);
	uint8_t head[BLK_HEAD_BYTES];
	int r = head_after(b, off, iov, n, len, head);

	if (!r)
		r = blk_file_write(b->file, off, head + off, done);
	while (!r && done < len) {
		struct iovec part[32];
		unsigned count = blk_iov_part(iov, n, done, len - done, part, ARRAY_SIZE(part));

		r = blk_file_pwritev(b->file, off + done, part, count);
		done += blk_iov_len(part, count);
	}
	return r;
}

static int raw_pwritev(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		       uint64_t len)
{
	struct raw *raw = b->priv;
	int r;

	if (!b->probed || off >= BLK_HEAD_BYTES)
		return blk_file_pwritev(b->file, off, iov, n);
	pthread_mutex_lock(&raw->head);
	r = write_head(b, off, iov, n, len);
	pthread_mutex_unlock(&raw->head);
	return r;
}

static int raw_zero(struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	struct raw *raw = b->priv;
	uint8_t head[BLK_HEAD_BYTES];
	int r;

	if (!b->probed || off >= BLK_HEAD_BYTES)
		return blk_file_zero(b->file, off, len, unmap);
	pthread_mutex_lock(&raw->head);
	r = head_after(b, off, NULL, 0, len, head);
	if (!r)
		r = blk_file_zero(b->file, off, len, unmap);
	pthread_mutex_unlock(&raw->head);
	return r;
}

static int raw_discard(struct blk *b, uint64_t off, uint64_t len)
{
	/* A guessed image's beginning stays what it is. */
	if (b->probed && off < BLK_HEAD_BYTES) {
		if (off + len <= BLK_HEAD_BYTES)
			return 0;
		len -= BLK_HEAD_BYTES - off;
		off = BLK_HEAD_BYTES;
	}
	return blk_file_punch(b->file, off, len);
}

static int raw_resize(struct blk *b, uint64_t size, struct lodge_err *err)
{
	int r;

	if (blk_file_is_device(b->file))
		return err_set(err, -ENOTSUP, "%s is a block device, which keeps its size",
			       b->path);
	r = size > INT64_MAX - BLK_SECTOR ? -EFBIG : blk_file_truncate(b->file, size);
	if (r)
		return err_set(err, r, "%s cannot be resized: %s", b->path, strerror(-r));
	__atomic_store_n(&b->size, align_up(size, BLK_SECTOR), __ATOMIC_RELAXED);
	return 0;
}

static int raw_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out)
{
	out->data = blk_file_has_data(b->file, off, len, &out->len);
	out->zero = !out->data;
	out->present = true;
	out->has_host = true;
	out->host_off = off;
	out->path = b->path;
	return 0;
}

static bool raw_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd,
		      uint64_t *host_off)
{
	(void)len;
	if (write && b->probed && off < BLK_HEAD_BYTES)
		return false;
	*fd = blk_file_fd(b->file);
	*host_off = off;
	return true;
}

const struct blk_format blk_raw = {
	.name = "raw",
	.can_write = true,
	.flat = true,
	.probe = raw_probe,
	.open = raw_open,
	.close = raw_close,
	.preadv = raw_preadv,
	.pwritev = raw_pwritev,
	.zero = raw_zero,
	.discard = raw_discard,
	.resize = raw_resize,
	.map = raw_map,
	.quick = raw_quick,
};
