/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside src/block: what a format is. block.c checks ranges and read-only before any call here, and calls
 * nothing with a length of 0.
 */
#ifndef LODGE_BLOCK_BLOCK_INT_H
#define LODGE_BLOCK_BLOCK_INT_H

#include <pthread.h>

#include "block/block.h"
#include "block/file.h"

struct blk_format {
	const char *name;
	bool can_write;
	bool flat; /* no tables of its own: what a write needs to stay is in the host's file */
	/* How sure a header of `n` bytes (the file's first, at most 4096) makes it: 0 to 100. */
	unsigned (*probe)(const uint8_t *head, size_t n, uint64_t file_size, const char *path);
	/*
	 * b->file is open. Sets b->size and b->priv, opens b->backing. On an error everything it
	 * made is undone, except for the file.
	 */
	int (*open)(struct blk *b, const struct blk_open *how, struct lodge_err *err);
	void (*close)(struct blk *b); /* after a flush */
	int (*preadv)(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		      uint64_t len);
	int (*pwritev)(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n,
		       uint64_t len);
	int (*zero)(struct blk *b, uint64_t off, uint64_t len, bool unmap);
	int (*discard)(struct blk *b, uint64_t off, uint64_t len);
	int (*flush)(struct blk *b);
	int (*resize)(struct blk *b, uint64_t size, struct lodge_err *err);
	int (*map)(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out);
	/* As blk_quick(); NULL: never. block.c counts those under way. */
	bool (*quick)(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd,
		      uint64_t *host_off);
};

struct blk {
	const struct blk_format *format;
	struct blk_file *file;
	struct blk *backing; /* or NULL; read-only */
	uint64_t size;
	bool read_only, probed, discard;
	enum blk_cache cache;
	char *path;
	void *priv; /* the format's */
	/* Quick requests under way; a format that moves data calls blk_quick_hold() first. */
	pthread_mutex_t quick_lock;
	pthread_cond_t quick_idle;
	unsigned quick_count;
	unsigned quick_holds; /* not 0: blk_quick() refuses */
};

/* A blk with its path and locks and nothing else; and its end, which closes the file. */
struct blk *blk_alloc(const char *path);
void blk_free(struct blk *b);

/*
 * Keep quick requests out, wait until none is under way; and let them in again. May be nested, and
 * several threads may hold at once. Never from a function of `quick`.
 */
void blk_quick_hold(struct blk *b);
void blk_quick_release(struct blk *b);

/* Ends with NULL (formats.c). */
extern const struct blk_format *const blk_formats[];
extern const struct blk_format blk_raw, blk_qcow2, blk_vmdk, blk_vhd, blk_vdi;
/* What a file that begins with these bytes is; never NULL. */
const struct blk_format *blk_probe(const uint8_t *head, size_t n, uint64_t file_size,
				   const char *path);
/* What a header may be long for a probe. */
#define BLK_HEAD_BYTES 4096u

/* iovecs: the total length (saturating), and [skip, skip + len) of one as at most `max` pieces. */
uint64_t blk_iov_len(const struct iovec *iov, unsigned n);
unsigned blk_iov_part(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
		      struct iovec *out, unsigned max);
void blk_iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len);
void blk_iov_from(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf,
		  uint64_t len);
void blk_iov_to(const struct iovec *iov, unsigned n, uint64_t skip, void *buf, uint64_t len);
/* Every address and length is a multiple of `align`. */
bool blk_iov_aligned(const struct iovec *iov, unsigned n, unsigned align);

#endif
