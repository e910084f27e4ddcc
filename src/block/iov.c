// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of buffers. Threads: no shared state. */
#include <string.h>

#include "base/range.h"
#include "block/block_int.h"

uint64_t blk_iov_len(const struct iovec *iov, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!add_ok(sum, iov[i].iov_len, &sum))
			return UINT64_MAX;
	}
	return sum;
}

unsigned blk_iov_part(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
		      struct iovec *out, unsigned max)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n && len && count < max; i++) {
		uint64_t piece = iov[i].iov_len;

		if (skip >= piece) {
			skip -= piece;
			continue;
		}
		piece = min_u64(piece - skip, len);
		out[count].iov_base = (uint8_t *)iov[i].iov_base + skip;
		out[count++].iov_len = piece;
		skip = 0;
		len -= piece;
	}
	return count;
}

/* The next piece of [skip, skip + len), or NULL. */
static uint8_t *next_piece(const struct iovec **iov, unsigned *n, uint64_t *skip, uint64_t len,
			   uint64_t *piece)
{
	while (*n && *skip >= (*iov)->iov_len) {
		*skip -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (!*n || !len)
		return NULL;

	uint8_t *p = (uint8_t *)(*iov)->iov_base + *skip;

	*piece = min_u64((*iov)->iov_len - *skip, len);
	*skip += *piece;
	return p;
}

void blk_iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len)
{
	uint64_t piece;
	uint8_t *p;

	while ((p = next_piece(&iov, &n, &skip, len, &piece))) {
		memset(p, 0, piece);
		len -= piece;
	}
}

void blk_iov_from(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf, uint64_t len)
{
	const uint8_t *from = buf;
	uint64_t piece;
	uint8_t *p;

	while ((p = next_piece(&iov, &n, &skip, len, &piece))) {
		memcpy(p, from, piece);
		from += piece;
		len -= piece;
	}
}

void blk_iov_to(const struct iovec *iov, unsigned n, uint64_t skip, void *buf, uint64_t len)
{
	uint8_t *to = buf;
	uint64_t piece;
	uint8_t *p;

	while ((p = next_piece(&iov, &n, &skip, len, &piece))) {
		memcpy(to, p, piece);
		to += piece;
		len -= piece;
	}
}

bool blk_iov_aligned(const struct iovec *iov, unsigned n, unsigned align)
{
	uintptr_t bits = 0;

	for (unsigned i = 0; i < n; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return !(bits & (align - 1));
}
