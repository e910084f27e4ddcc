/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that a test maps and takes away, at MAP_VA, in 32-bit (turns paging on) and 64-bit
 * programs. The runtime's own memory stays where it is.
 */
#ifndef GUEST_MAP_H
#define GUEST_MAP_H

#include "paging.h"

#define MAP_VA ((word)(IS64 ? 0x8000000000ull : 0x80000000ull))
#define MAP_PAGES 8

/* Paging as at the start of a 64-bit program: identity, and user_offset for user mode. */
void map_init(void);
/* Map page i of the region to its own page of RAM (map_ram), or to `phys`. Flushes. */
void map_set(unsigned i, word flags);
void map_to(unsigned i, word phys, word flags);
uint8_t *map_ram(unsigned i);
#if !IS64
extern uint32_t *map_dir; /* the page directory */
#endif

#endif
