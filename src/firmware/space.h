/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where boot-time things go: free ranges of guest RAM below 4 GiB, found from the memory map and
 * what has been placed so far. Threads: none, plain data.
 */
#ifndef LODGE_FIRMWARE_SPACE_H
#define LODGE_FIRMWARE_SPACE_H

#include <stdint.h>

#include "base/err.h"
#include "firmware/e820.h"

#define BOOT_SPACE_MAX 256
#define BOOT_SPACE_NONE UINT64_MAX

struct boot_space {
	struct e820_map map;
	struct {
		gpa_t start, end;
	} used[BOOT_SPACE_MAX];
	unsigned n;
};

/* Everything the map calls RAM is free, save the vectors and the BIOS data area (first page). */
void boot_space_init(struct boot_space *s, uint64_t ram_below_4g, uint64_t ram_above_4g);

/* Take [start, start + len). -EBUSY when it is not free RAM, -ENOSPC when the book is full. */
int boot_space_take(struct boot_space *s, gpa_t start, uint64_t len) MUST_CHECK;

/*
 * Find and take `len` bytes within [lo, hi), `align` a power of two; the lowest or the highest
 * place. BOOT_SPACE_NONE when there is none.
 */
gpa_t boot_space_low(struct boot_space *s, uint64_t len, uint64_t align, gpa_t lo, gpa_t hi);
gpa_t boot_space_high(struct boot_space *s, uint64_t len, uint64_t align, gpa_t lo, gpa_t hi);

#endif
