// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory for generated code. See codemem.h.
 * Source: mremap(2), old_size 0: a second mapping of the same shared pages.
 * Threads: no shared state.
 */
#include "engine/soft/codemem.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/range.h"
#include "engine/soft/soft_int.h"

int soft_code_map(size_t bytes, uint8_t **rw, uint8_t **rx)
{
	void *x, *w;
	int r;

	*rw = *rx = NULL;
	x = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	if (x == MAP_FAILED)
		return -errno;
	w = mremap(x, 0, bytes, MREMAP_MAYMOVE);
	if (w == MAP_FAILED) {
		r = -errno;
		munmap(x, bytes);
		return r;
	}
	if (mprotect(w, bytes, PROT_READ | PROT_WRITE)) {
		r = -errno;
		munmap(x, bytes);
		munmap(w, bytes);
		return r;
	}
	*rw = w;
	*rx = x;
	return 0;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE_BYTES ((size_t)2 << 20)

void *soft_map_tables(size_t bytes, bool dense)
{
	size_t slack = dense && bytes >= HUGE_BYTES ? HUGE_BYTES : 0, before;
	uint8_t *p;

	bytes = align_up(bytes, PAGE_BYTES);
	p = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (!slack)
		return p;
	before = -(uintptr_t)p & (HUGE_BYTES - 1);
	if (before)
		munmap(p, before);
	if (before < slack)
		munmap(p + before + bytes, slack - before);
	return p + before;
}

void soft_make_dense(void *p, size_t bytes)
{
	size_t whole = bytes & ~(HUGE_BYTES - 1);

	/* The kernel's own thread does it some time; Linux 6.1 does it at once. */
	madvise(p, align_up(bytes, PAGE_BYTES), MADV_HUGEPAGE);
	madvise(p, whole, MADV_COLLAPSE);
}

void soft_unmap_tables(void *p, size_t bytes)
{
	if (p)
		munmap(p, align_up(bytes, PAGE_BYTES));
}

void soft_code_unmap(size_t bytes, uint8_t *rw, uint8_t *rx)
{
	if (rw)
		munmap(rw, bytes);
	if (rx)
		munmap(rx, bytes);
}
