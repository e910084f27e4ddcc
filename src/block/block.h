/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images. A `struct blk` is an open image: a format (raw, qcow2, ...) over a host file, with
 * the images it stands on (backing files). It is a row of bytes, `blk_size` long; reads behind the
 * end and writes there are refused (-EINVAL).
 *
 * These functions wait for the host's disk: they are for tools, set-up and worker threads. Devices go
 * through block/queue.h. Any thread may call them, several at once; each image has a lock of its own for
 * its tables. What two overlapping requests at the same time leave behind is, as on a disk, either's.
 *
 * Images are hostile: every number in one is checked before use, open takes bounded time and memory.
 */
#ifndef LODGE_BLOCK_BLOCK_H
#define LODGE_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

#define BLK_SECTOR 512u

struct blk;

/* cache=: what stands between a guest's write and the host's disk. */
enum blk_cache {
	BLK_CACHE_WRITEBACK,	/* the host's page cache; guest flushes reach the disk */
	BLK_CACHE_NONE,		/* O_DIRECT; guest flushes reach the disk */
	BLK_CACHE_WRITETHROUGH, /* every write is on the disk when it ends */
	BLK_CACHE_DIRECTSYNC,	/* both */
	BLK_CACHE_UNSAFE,	/* flushes are ignored: for images that may be lost */
};

struct blk_open {
	const char *path;   /* host file or block device */
	const char *format; /* "raw", "qcow2", ...; NULL: look at the header (see blk_probed) */
	bool read_only;
	bool no_backing; /* leave backing files closed: for tools that look at one image only */
	bool no_lock;	 /* do not lock the file against other processes (info -U) */
	bool discard;	 /* discards free space; otherwise they do nothing */
	bool check; /* open even if marked corrupt, and change nothing: for `lodge img check` */
	bool quiet; /* say nothing on standard error, whatever is found damaged later */
	enum blk_cache cache;
	const struct blk_open
		*on_behalf; /* a backing file: the image that stands on it; else NULL */
};

/*
 * Open an image. Files are locked against use by a second process as QEMU locks them (open file
 * description locks), so that QEMU and Lodge cannot write one image at once. 0; or -errno and a
 * sentence, and nothing is left open.
 */
int blk_open(const struct blk_open *how, struct blk **out, struct lodge_err *err) MUST_CHECK;
/*
 * A layer over `base` (open for reading only is enough) that takes all writes and is gone with
 * blk_close(), which closes `base` as well. Taken on success only.
 */
int blk_overlay(struct blk *base, struct blk **out, struct lodge_err *err) MUST_CHECK;
/* Flush and close, backing files too. NULL is allowed. What a failed flush costs is in the result. */
int blk_close(struct blk *b);

/*
 * Let `top`, open without its backing file, stand on `base`, open for whatever it was open for, which is not
 * written to any more and is closed with `top`. For a snapshot of an image that is in use: nothing of it is
 * under way.
 */
void blk_stand_on(struct blk *top, struct blk *base);

uint64_t blk_size(const struct blk *b);
bool blk_is_read_only(const struct blk *b);
enum blk_cache blk_cache(const struct blk *b);
bool blk_discards(const struct blk *b); /* blk_open.discard */
const char *blk_path(const struct blk *b);
const char *blk_format(const struct blk *b);
/* The format was guessed from what the file holds, which a guest may have written (say so). */
bool blk_probed(const struct blk *b);
/* What requests should be aligned to, a power of two from 512 to 4096 (O_DIRECT, host device). */
unsigned blk_align(const struct blk *b);

/* The whole range or an error: 0 or -errno. Any alignment. */
int blk_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n) MUST_CHECK;
int blk_pwritev(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n) MUST_CHECK;
int blk_read(struct blk *b, uint64_t off, void *buf, uint64_t len) MUST_CHECK;
int blk_write(struct blk *b, uint64_t off, const void *buf, uint64_t len) MUST_CHECK;
/* The range reads as zeros afterwards; its space may be freed if `unmap`. */
int blk_zero(struct blk *b, uint64_t off, uint64_t len, bool unmap) MUST_CHECK;
/* The guest does not want these bytes any more; they may read as anything that was there, or zeros. */
int blk_discard(struct blk *b, uint64_t off, uint64_t len) MUST_CHECK;
/* When it returns 0, everything whose call returned before is on the disk, tables included. */
int blk_flush(struct blk *b) MUST_CHECK;
/* Grow (with zeros) or shrink. -ENOTSUP with a sentence where the format cannot. */
int blk_resize(struct blk *b, uint64_t size, struct lodge_err *err) MUST_CHECK;

/* Where the bytes from `off` on are; the answer holds for `len` bytes. */
struct blk_extent {
	uint64_t len;
	bool data;    /* this chain holds bytes for it; else it reads as zeros */
	bool zero;    /* reads as zeros for certain */
	bool present; /* in this chain at all, not merely behind all ends */
	bool compressed;
	unsigned depth; /* 0: in this image; 1: in its backing file; ... */
	bool has_host;	/* data, in one piece in a file: */
	uint64_t host_off;
	const char *path;
};
int blk_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out) MUST_CHECK;

/*
 * The quick way, for queues: if all of [off, off+len) is in one piece of one host file, and a read
 * or a write there needs nothing else (no allocation, no copy, no table), true with the descriptor
 * and the offset. The place stays as it is until blk_quick_done(): whoever wants to move it waits. Never
 * waits for the disk; false may just mean that tables are not in memory or that their lock is taken.
 */
bool blk_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd, uint64_t *host_off);
void blk_quick_done(struct blk *b);

#endif
