/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside guest memory. Private to src/mem. Threads: see mem/mem.h. */
#ifndef LODGE_MEM_MEM_INT_H
#define LODGE_MEM_MEM_INT_H

#include "mem/mem.h"

#define MAP_RANGES 512 /* PAM, SMRAM, holes and mapped memory BARs together stay far below */
#define MAP_SLOTS 16

struct map_slot {
	uint32_t seq; /* odd while it is being filled; pairs with slot_begin/slot_valid */
	uint32_t count;
	struct mem_range range[MAP_RANGES]; /* sorted by gpa, no overlap, no MEM_MMIO */
};

struct mem {
	uint8_t *base;
	uint8_t *page_flags;
	uint64_t ram_bytes;
	uint64_t backing_bytes;
	int fd;	     /* of the backing; -1: it is a private mapping of `file` */
	int file;    /* what it is mapped from, from `file_off` on; or -1 */
	int pagemap; /* which pages of a private mapping are its own; or -1 */
	uint64_t file_off;
	uint32_t current; /* index of the published slot; written with release, read with acquire */
	uint32_t version; /* of map and A20: partner mem_version() */
	uint64_t a20_mask; /* all ones, or without bit 20; relaxed: listeners order a change */
	struct mem_listener listener;
	uint64_t *noted; /* mem_note_writes(); with the VM lock */
	struct mem_range scratch[MAP_RANGES + 2];
	struct map_slot slot[MAP_SLOTS];
};

/* Pages [off, off + len) of a private mapping read as zeros from now on. */
void mem_discard_private(struct mem *mem, uint64_t off, uint64_t len);

#endif
