// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The backing as a private mapping of a file, and where there is something in it.
 *
 * A page of a private mapping is the file's until it is written, and then its own: /proc/self/pagemap tells
 * which. What was discarded is an anonymous mapping in the file's place, and MEM_PAGE_GONE says that the file
 * does not count there.
 *
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst; mmap(2), lseek(2).
 * Threads: mem_map_file before any runs; mem_discard_private with the VM lock; mem_next_data with nobody
 * writing.
 */
#include "mem/mem_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/range.h"

#define PAGEMAP_THERE (3ull << 62) /* present, or swapped out */
#define BATCH 512u

int mem_map_file(struct mem *mem, int fd, uint64_t off, struct lodge_err *err)
{
	void *p;

	mem->file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (mem->file < 0)
		return err_set(err, -errno, "cannot map guest memory: %s", strerror(errno));
	p = mmap(mem->base, mem->backing_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, mem->file, (off_t)off);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "cannot map guest memory: %s", strerror(errno));
	madvise(p, mem->backing_bytes, MADV_DONTDUMP);
	mem->file_off = off;
	mem->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	close(mem->fd);
	mem->fd = -1;
	return 0;
}

void mem_discard_private(struct mem *mem, uint64_t off, uint64_t len)
{
	uint8_t *p = mem->base + off;

	/* Many small ones may reach the number of mappings there can be. */
	if (mmap(p, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
		memset(p, 0, len);
		return;
	}
	madvise(p, len, MADV_DONTDUMP);
	for (uint64_t i = off >> PAGE_BITS; i < (off + len) >> PAGE_BITS; i++)
		__atomic_fetch_or(&mem->page_flags[i], MEM_PAGE_GONE, __ATOMIC_RELAXED);
}

/* ---- Where something is ------------------------------------------------------------------------- */

/* The next piece of data in `fd` within [at, end): false when there is none. Whole where holes are unknown. */
static bool file_data(int fd, uint64_t at, uint64_t end, uint64_t *from, uint64_t *to)
{
	off_t a = lseek(fd, (off_t)at, SEEK_DATA), b;

	*from = at;
	*to = end;
	if (a < 0)
		return errno != ENXIO;
	if ((uint64_t)a >= end)
		return false;
	b = lseek(fd, a, SEEK_HOLE);
	*from = align_down((uint64_t)a, PAGE_BYTES);
	*to = b < 0 ? end : min_u64(align_up((uint64_t)b, PAGE_BYTES), end);
	return true;
}

struct walk {
	const struct mem *mem;
	uint64_t map[BATCH];   /* pagemap from page `first` on */
	uint64_t first, count; /* 0: none yet */
	uint64_t from, to;     /* the file's next data, in bytes of the backing */
	bool known;	       /* they are for the place we are at */
};

static bool own_page(struct walk *w, uint64_t page)
{
	const struct mem *mem = w->mem;
	uint64_t n = min_u64(BATCH, (mem->backing_bytes >> PAGE_BITS) - page);
	uint64_t at = ((uint64_t)(uintptr_t)mem->base >> PAGE_BITS) + page;
	ssize_t got;

	if (page - w->first >= w->count) {
		struct iovec iov = {w->map, n * 8};

		got = preadv(mem->pagemap, &iov, 1, (off_t)(at * 8));
		w->first = page;
		w->count = got > 0 ? (uint64_t)got / 8 : 0;
		if (!w->count)
			return true;
	}
	return w->map[page - w->first] & PAGEMAP_THERE;
}

static bool in_file(struct walk *w, uint64_t page)
{
	const struct mem *mem = w->mem;
	uint64_t off = page << PAGE_BITS, from, to;

	if (__atomic_load_n(&mem->page_flags[page], __ATOMIC_RELAXED) & MEM_PAGE_GONE)
		return false;
	if (!w->known || off >= w->to) {
		if (!file_data(mem->file, mem->file_off + off, mem->file_off + mem->backing_bytes,
			       &from, &to))
			from = to = mem->file_off + mem->backing_bytes;
		w->from = from - mem->file_off;
		w->to = to - mem->file_off;
		w->known = true;
	}
	return off >= w->from && off < w->to;
}

static bool next_private(const struct mem *mem, uint64_t off, uint64_t *from, uint64_t *to)
{
	struct walk w = {.mem = mem};
	uint64_t pages = mem->backing_bytes >> PAGE_BITS, page = off >> PAGE_BITS;

	while (page < pages && !own_page(&w, page) && !in_file(&w, page))
		page++;
	*from = page << PAGE_BITS;
	/* Not longer than what is known, so that asking again costs nothing. */
	while (page < pages && page - w.first < w.count &&
	       (own_page(&w, page) || in_file(&w, page)))
		page++;
	if (w.count == 0 && *from < mem->backing_bytes)
		page++;
	*to = page << PAGE_BITS;
	return *from < mem->backing_bytes;
}

bool mem_next_data(const struct mem *mem, uint64_t off, uint64_t *from, uint64_t *to)
{
	if (off >= mem->backing_bytes)
		return false;
	if (mem->fd >= 0)
		return file_data(mem->fd, off, mem->backing_bytes, from, to);
	if (mem->pagemap < 0) {
		*from = off;
		*to = mem->backing_bytes;
		return true;
	}
	return next_private(mem, off, from, to);
}
