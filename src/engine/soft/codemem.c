// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory for generated code. See codemem.h.
 * Source: mremap(2), old_size 0: a second mapping of the same shared pages.
 * Threads: no shared state.
 */
#include "engine/soft/codemem.h"

#include <errno.h>
#include <sys/mman.h>

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

void soft_code_unmap(size_t bytes, uint8_t *rw, uint8_t *rx)
{
	if (rw)
		munmap(rw, bytes);
	if (rx)
		munmap(rx, bytes);
}
