// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is touched ahead. See ahead.h.
 * Source: madvise(2), MADV_POPULATE_WRITE (Linux 5.14).
 */
#include "engine/soft/ahead.h"

#include <sys/mman.h>

#include "mem/gpa.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define PIECE ((size_t)64 << 10) /* the address space is held so long */

void soft_ahead_init(struct soft_ahead *a)
{
	sem_init(&a->work, 0, 0);
}

void soft_ahead_destroy(struct soft_ahead *a)
{
	sem_destroy(&a->work);
}

void soft_ahead_map(struct soft_ahead *a, enum soft_ahead_region r, void *map, void *also)
{
	a->region[r].map = map;
	a->region[r].also = also;
}

void soft_ahead_begin(struct soft_ahead *a, enum soft_ahead_region r, size_t start, size_t end)
{
	a->region[r].start = start;
	a->region[r].end = end & PAGE_MASK;
	atomic_store(&a->region[r].to, start & PAGE_MASK);
	atomic_store(&a->region[r].from, start & PAGE_MASK);
}

void soft_ahead_wake(struct soft_ahead *a, enum soft_ahead_region r, size_t to)
{
	to = min_u64(to & PAGE_MASK, a->region[r].end);
	if (to <= atomic_load(&a->region[r].to))
		return;
	atomic_store(&a->region[r].to, to);
	sem_post(&a->work);
}

/* False: this kernel cannot, or there is no memory; who needs it will see. */
static bool touch(const struct soft_ahead *a, unsigned r, size_t from, size_t bytes)
{
	uint8_t *also = a->region[r].also;

	if (madvise(a->region[r].map + from, bytes, MADV_POPULATE_WRITE))
		return false;
	return !also || !madvise(also + from, bytes, MADV_POPULATE_READ);
}

/* The vCPUs may have begun another part meanwhile: pages of the old one are touched in vain, and `from` is theirs. */
static bool touch_region(struct soft_ahead *a, unsigned r)
{
	size_t from = atomic_load(&a->region[r].from), begun = from;
	size_t to = atomic_load(&a->region[r].to);

	while (from < to && !atomic_load(&a->stop)) {
		size_t bytes = min_u64(to - from, PIECE);

		if (!touch(a, r, from, bytes))
			return false;
		from += bytes;
	}
	atomic_compare_exchange_strong(&a->region[r].from, &begun, from);
	return true;
}

void soft_ahead_run(struct soft_ahead *a)
{
	bool can = true;

	while (can && !atomic_load(&a->stop)) {
		for (unsigned r = 0; can && r < AHEAD_REGIONS; r++)
			can = touch_region(a, r);
		while (can && sem_wait(&a->work) < 0)
			;
	}
}

void soft_ahead_stop(struct soft_ahead *a)
{
	atomic_store(&a->stop, true);
	sem_post(&a->work);
}
