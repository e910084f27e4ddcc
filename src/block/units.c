// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading for formats that keep an image in blocks somewhere in files. Threads: any. */
#include "block/units.h"

#include <errno.h>
#include <stdlib.h>

#include "base/range.h"

static int read_unit(struct blk *b, const struct unit_ops *ops, const struct unit *u,
		     const struct iovec *iov, unsigned n, uint64_t skip, struct iovec *part)
{
	uint8_t *block;
	int r;

	switch (u->kind) {
	case UNIT_NONE:
		blk_iov_zero(iov, n, skip, u->len);
		return 0;
	case UNIT_DATA:
		return blk_file_preadv(u->file, u->host, part,
				       blk_iov_part(iov, n, skip, u->len, part, n));
	case UNIT_PACKED:
		block = malloc(u->size);
		r = block ? ops->unpack(b, u, block) : -ENOMEM;
		if (!r)
			blk_iov_from(iov, n, skip, block + u->in, u->len);
		free(block);
		return r;
	}
	return -EIO;
}

int unit_preadv(struct blk *b, const struct unit_ops *ops, uint64_t off, const struct iovec *iov,
		unsigned n, uint64_t len)
{
	struct iovec *part = calloc(n, sizeof(*part));
	struct unit u;
	int r = part ? 0 : -ENOMEM;

	for (uint64_t done = 0; done < len && !r; done += u.len) {
		r = ops->where(b, off + done, &u);
		u.len = min_u64(u.len, len - done);
		if (!r)
			r = read_unit(b, ops, &u, iov, n, done, part);
	}
	free(part);
	return r;
}

int unit_map(struct blk *b, const struct unit_ops *ops, uint64_t off, uint64_t len,
	     struct blk_extent *out)
{
	struct unit u, next;
	int r = ops->where(b, off, &u);

	/* Neighbours that are of a piece with it; not without end. */
	for (unsigned i = 0; !r && u.len < len && u.kind != UNIT_PACKED && i < 65536; i++) {
		if (ops->where(b, off + u.len, &next) || next.kind != u.kind ||
		    (u.kind == UNIT_DATA && (next.file != u.file || next.host != u.host + u.len)))
			break;
		u.len += next.len;
	}
	if (r)
		return r;
	*out = (struct blk_extent){.len = min_u64(u.len, len),
				   .data = u.kind != UNIT_NONE,
				   .zero = u.kind == UNIT_NONE,
				   .present = u.kind != UNIT_NONE,
				   .compressed = u.kind == UNIT_PACKED,
				   .has_host = u.kind == UNIT_DATA,
				   .host_off = u.kind == UNIT_DATA ? u.host : 0,
				   .path = u.kind == UNIT_DATA ? u.path : NULL};
	return 0;
}
