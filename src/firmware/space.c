// SPDX-License-Identifier: GPL-2.0-or-later
/* Placement of kernels, initrds and boot structures in guest RAM. Threads: none, plain data. */
#include "firmware/space.h"

#include <errno.h>

#include "base/range.h"
#include "firmware/platform.h"

#define VECTORS_AND_BDA 0x1000u

void boot_space_init(struct boot_space *s, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
	e820_build(&s->map, ram_below_4g, ram_above_4g);
	s->used[0].start = 0;
	s->used[0].end = VECTORS_AND_BDA;
	s->n = 1;
}

/* The taken range that overlaps [start, end), or -1. */
static int overlap(const struct boot_space *s, gpa_t start, gpa_t end)
{
	for (unsigned i = 0; i < s->n; i++)
		if (start < s->used[i].end && s->used[i].start < end)
			return (int)i;
	return -1;
}

int boot_space_take(struct boot_space *s, gpa_t start, uint64_t len)
{
	if (!len)
		return 0;
	if (!e820_is_ram(&s->map, start, len) || overlap(s, start, start + len) >= 0)
		return -EBUSY;
	if (s->n == BOOT_SPACE_MAX)
		return -ENOSPC;
	s->used[s->n].start = start;
	s->used[s->n++].end = start + len;
	return 0;
}

gpa_t boot_space_low(struct boot_space *s, uint64_t len, uint64_t align, gpa_t lo, gpa_t hi)
{
	hi = min_u64(hi, PC_4G);
	for (unsigned i = 0; i < s->map.n; i++) {
		const struct e820_entry *e = &s->map.e[i];
		uint64_t end = min_u64(e->addr + e->len, hi);
		uint64_t at = align_up(min_u64(max_u64(e->addr, lo), PC_4G), align);
		int hit;

		if (e->type != E820_RAM)
			continue;
		while (range_ok(at, len, end) && (hit = overlap(s, at, at + len)) >= 0)
			at = align_up(s->used[hit].end, align);
		if (range_ok(at, len, end) && !boot_space_take(s, at, len))
			return at;
	}
	return BOOT_SPACE_NONE;
}

gpa_t boot_space_high(struct boot_space *s, uint64_t len, uint64_t align, gpa_t lo, gpa_t hi)
{
	hi = min_u64(hi, PC_4G);
	for (unsigned i = s->map.n; i-- > 0;) {
		const struct e820_entry *e = &s->map.e[i];
		uint64_t end = min_u64(e->addr + e->len, hi);
		uint64_t start = max_u64(e->addr, lo);

		if (e->type != E820_RAM)
			continue;
		while (end >= start && end - start >= len) {
			gpa_t at = align_down(end - len, align);
			int hit = overlap(s, at, at + len);

			if (at < start)
				break;
			if (hit < 0)
				return boot_space_take(s, at, len) ? BOOT_SPACE_NONE : at;
			end = s->used[hit].start;
		}
	}
	return BOOT_SPACE_NONE;
}
