/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading for formats that keep an image in blocks somewhere in files (vmdk, vpc, vdi). Threads: any. */
#ifndef LODGE_BLOCK_UNITS_H
#define LODGE_BLOCK_UNITS_H

#include "block/block_int.h"

struct unit {
	uint64_t len; /* from the byte that was asked for on, at least 1 */
	enum { UNIT_NONE, UNIT_DATA, UNIT_PACKED } kind; /* NONE: zeros */
	struct blk_file *file;
	const char *path;
	uint64_t host;	   /* DATA: that byte's place; PACKED: what `unpack` needs */
	uint64_t in, size; /* PACKED: the byte's place in its block, and the block's size */
};

struct unit_ops {
	int (*where)(struct blk *b, uint64_t off, struct unit *out);
	/* A whole block of u->size bytes; NULL if there are no packed ones. */
	int (*unpack)(struct blk *b, const struct unit *u, uint8_t *out);
};

int unit_preadv(struct blk *b, const struct unit_ops *ops, uint64_t off, const struct iovec *iov,
		unsigned n, uint64_t len) MUST_CHECK;
int unit_map(struct blk *b, const struct unit_ops *ops, uint64_t off, uint64_t len,
	     struct blk_extent *out) MUST_CHECK;

#endif
