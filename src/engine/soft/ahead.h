/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of generated code and its tables, touched before it is needed: the first touch of a page costs 2 µs, in code,
 * which is mapped twice, 4.5, and a boot has 160,000 of them. Private to src/engine/soft.
 *
 * Threads: soft_ahead_run has its own, where the host has a processor for it; without it everything goes as well. The
 * rest by whoever holds the lock of the region's memory.
 */
#ifndef LODGE_ENGINE_SOFT_AHEAD_H
#define LODGE_ENGINE_SOFT_AHEAD_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/range.h"

enum soft_ahead_region { AHEAD_HOT, AHEAD_COLD, AHEAD_INFO, AHEAD_BLOCKS, AHEAD_REGIONS };

struct soft_ahead {
	struct {
		uint8_t *map, *also;	 /* the same memory again, or NULL */
		size_t start, end;	 /* what is filled now, from its start */
		_Atomic size_t from, to; /* still to be touched */
	} region[AHEAD_REGIONS];
	sem_t work;
	atomic_bool stop;
};

/* How far ahead: as much as there is already, so that small guests stay small. */
#define AHEAD_LEAST ((size_t)64 << 10)
#define AHEAD_MOST ((size_t)512 << 10)

void soft_ahead_init(struct soft_ahead *a);
void soft_ahead_destroy(struct soft_ahead *a);
/* Before soft_ahead_run: where offsets of the region are. */
void soft_ahead_map(struct soft_ahead *a, enum soft_ahead_region r, void *map, void *also);
/* From now on [start, end) is filled. */
void soft_ahead_begin(struct soft_ahead *a, enum soft_ahead_region r, size_t start, size_t end);
void soft_ahead_wake(struct soft_ahead *a, enum soft_ahead_region r, size_t to);
/* Returns after soft_ahead_stop(), or at once where the host cannot do it. */
void soft_ahead_run(struct soft_ahead *a);
void soft_ahead_stop(struct soft_ahead *a);

/* It is filled as far as `used`. */
static inline void soft_ahead_used(struct soft_ahead *a, enum soft_ahead_region r, size_t used)
{
	size_t more = max_u64(min_u64(used - a->region[r].start, AHEAD_MOST), AHEAD_LEAST);

	if (used + more / 2 > atomic_load_explicit(&a->region[r].to, memory_order_relaxed))
		soft_ahead_wake(a, r, used + more);
}

#endif
