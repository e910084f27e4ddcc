/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host file or block device under an image: reads, writes, holes, locks.
 * Threads: any, several at once.
 */
#ifndef LODGE_BLOCK_FILE_H
#define LODGE_BLOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "block/block.h"

struct blk_file;

/* As `how` says; write access only if !how->read_only. 0 or -errno with a sentence. */
int blk_file_open(const struct blk_open *how, struct blk_file **out,
		  struct lodge_err *err) MUST_CHECK;
/* Create, or empty, a regular file. */
int blk_file_create(const char *path, struct blk_file **out, struct lodge_err *err) MUST_CHECK;
/* An empty file without a name, in $TMPDIR or /var/tmp; it goes when it is closed. */
int blk_file_temporary(struct blk_file **out, struct lodge_err *err) MUST_CHECK;
void blk_file_close(struct blk_file *f); /* NULL is allowed */

int blk_file_fd(const struct blk_file *f);
/* As it is now. */
uint64_t blk_file_size(struct blk_file *f);
bool blk_file_is_device(const struct blk_file *f);
/* 512 to 4096 with O_DIRECT, otherwise 1. Requests need not keep to it: what does not is bounced. */
unsigned blk_file_align(const struct blk_file *f);

/* All of it or -errno. Reads behind the end of a regular file give zeros. */
int blk_file_preadv(struct blk_file *f, uint64_t off, const struct iovec *iov,
		    unsigned n) MUST_CHECK;
int blk_file_pwritev(struct blk_file *f, uint64_t off, const struct iovec *iov,
		     unsigned n) MUST_CHECK;
int blk_file_read(struct blk_file *f, uint64_t off, void *buf, uint64_t len) MUST_CHECK;
int blk_file_write(struct blk_file *f, uint64_t off, const void *buf, uint64_t len) MUST_CHECK;
/* Zeros there afterwards; -ENOTSUP when that would need writing them. */
int blk_file_zero(struct blk_file *f, uint64_t off, uint64_t len, bool unmap) MUST_CHECK;
/* Free the space if the file system can; it reads as zeros then. -ENOTSUP otherwise. */
int blk_file_punch(struct blk_file *f, uint64_t off, uint64_t len) MUST_CHECK;
int blk_file_flush(struct blk_file *f) MUST_CHECK;
int blk_file_truncate(struct blk_file *f, uint64_t size) MUST_CHECK;
/* Is there data at `off`, and for how long does that hold? By SEEK_DATA; all data if unknown. */
bool blk_file_has_data(struct blk_file *f, uint64_t off, uint64_t len, uint64_t *run);

#endif
