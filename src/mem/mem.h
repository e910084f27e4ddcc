/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: one shared memfd at one contiguous host mapping, and the map of guest physical
 * addresses onto it. What the map does not name is MMIO.
 *
 * Threads: the map is changed with the VM lock held and is replaced as a whole, so lookups need no
 * lock. Memory contents are shared with running vCPUs: copy once, check the copy, use the copy.
 */
#ifndef LODGE_MEM_MEM_H
#define LODGE_MEM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mem/gpa.h"

enum mem_kind {
	MEM_MMIO, /* no backing: the bus answers */
	MEM_RAM,
	MEM_ROM, /* backed; guest writes go to the bus */
};

/* One page-aligned range of the map. `ram_off` is the offset into the backing. */
struct mem_range {
	gpa_t gpa;
	uint64_t len;
	uint64_t ram_off;
	enum mem_kind kind;
};

/* Page flags, one byte a backing page, set and read with atomics. */
#define MEM_PAGE_CODE 1u     /* the engine holds decoded code of this page */
#define MEM_PAGE_DIRTY 2u    /* written since the flag was last cleared */
#define MEM_PAGE_WRITABLE 4u /* a vCPU may hold a translation it writes by (the engine's own) */
#define MEM_PAGE_MARKING 8u  /* the engine takes such translations away (its own) */
#define MEM_PAGE_GONE \
	16u /* discarded: what the mapped file has there does not count (mem_data.c) */

struct mem_listener {
	/* The map or the A20 mask changed: drop every cached translation. */
	void (*map_changed)(void *opaque);
	/* Someone other than a vCPU (DMA, a loader) wrote a page marked MEM_PAGE_CODE; a place in the backing. */
	void (*code_written)(void *opaque, uint64_t ram_off, uint64_t len);
	/*
	 * MEM_PAGE_DIRTY was cleared for some of these whole pages of the backing: the next write must set it
	 * again. Returns when no write is under way that was allowed before. Without the VM lock.
	 */
	void (*watch_writes)(void *opaque, uint64_t ram_off, uint64_t len);
	/* Somebody is about to look at these pages' MEM_PAGE_DIRTY: set what is missing. May be NULL. As above. */
	void (*sync_writes)(void *opaque, uint64_t ram_off, uint64_t len);
	void *opaque;
};

struct mem; /* the backing and the map */

/*
 * Create the backing: `ram_bytes` of RAM and `rom_bytes` behind it for video memory and firmware, both
 * multiples of the page size. -ENOMEM with a sentence when the host cannot give the address space.
 */
struct mem *mem_new(uint64_t ram_bytes, uint64_t rom_bytes, struct lodge_err *err);
void mem_free(struct mem *mem);

uint8_t *mem_base(const struct mem *mem); /* host address of backing offset 0 */
uint64_t mem_ram_bytes(const struct mem *mem);
uint64_t mem_backing_bytes(const struct mem *mem); /* RAM and what is behind it */
/* The backing's descriptor; -1 when it is a private mapping of a file (mem_map_file), which no one can share. */
int mem_fd(const struct mem *mem);
/*
 * From now on the backing is `fd` (duplicated) from `off` on, copied page by page where something is
 * written. Before anything runs or has pointers' contents; the file must not shrink meanwhile.
 */
int mem_map_file(struct mem *mem, int fd, uint64_t off, struct lodge_err *err) MUST_CHECK;
/*
 * The next whole pages [*from, *to) of the backing at or behind `off` that may hold something else than zeros;
 * false: there are none. Nobody writes meanwhile.
 */
bool mem_next_data(const struct mem *mem, uint64_t off, uint64_t *from, uint64_t *to);
uint8_t *mem_page_flags(struct mem *mem); /* indexed by backing offset >> 12 */

void mem_set_listener(struct mem *mem, const struct mem_listener *l); /* copied */

/*
 * Map [gpa, gpa+len) as `kind`, replacing what was there (which may split older ranges). For
 * MEM_MMIO `ram_off` is ignored. Page-aligned. -EINVAL if it is not, or leaves the backing.
 */
int mem_map(struct mem *mem, gpa_t gpa, uint64_t len, enum mem_kind kind,
	    uint64_t ram_off) MUST_CHECK;
/* With the A20 gate closed (on = false), bit 20 of every physical address reads as 0. */
void mem_set_a20(struct mem *mem, bool on);
bool mem_a20(const struct mem *mem);

/* Another number whenever the map or the A20 gate has changed: for whoever keeps what mem_ptr gave. */
uint32_t mem_version(const struct mem *mem);

/* The range that holds `gpa` (after A20); MEM_MMIO ranges are synthesized between others. */
struct mem_range mem_lookup(const struct mem *mem, gpa_t gpa);
/*
 * Host pointer to [gpa, gpa+len) if it lies in one RAM range (or RAM/ROM when !write), else NULL.
 * A writer through the pointer must call mem_wrote afterwards.
 */
uint8_t *mem_ptr(const struct mem *mem, gpa_t gpa, uint64_t len, bool write);
/* After writing by mem_ptr: sets dirty flags, tells the listener of code pages. */
void mem_wrote(struct mem *mem, gpa_t gpa, uint64_t len);
/* The same for bytes of the backing, mapped or not: a device's own memory. */
void mem_wrote_backing(struct mem *mem, uint64_t off, uint64_t len);

/*
 * Which pages of [off, off+len) of the backing (whole pages) were written since the last call for them, a bit
 * each from bit 0 of bits[0] on; how many. What is written from now on is told by the next call. Costs a look
 * at a byte a page when nothing was. Waits for vCPUs: without the VM lock; one caller a page.
 */
uint64_t mem_take_dirty(struct mem *mem, uint64_t off, uint64_t len, uint64_t *bits);

/*
 * From now on every page that anybody but a vCPU writes, or that is discarded, gets its bit in `bits`, one a page of the
 * backing; NULL: no more. The bits are changed with the VM lock held, by whoever writes. With the VM lock.
 */
void mem_note_writes(struct mem *mem, uint64_t *bits);

/*
 * The guest does not need what is in [gpa, gpa+len): whole pages of it that are RAM go back to the host and read as
 * zeros from now on. The mapping stays as it is. With the VM lock. How many bytes went.
 */
uint64_t mem_discard(struct mem *mem, gpa_t gpa, uint64_t len);
/* The same for whole pages of the backing that are a device's own memory, where they are mapped or not. */
void mem_discard_backing(struct mem *mem, uint64_t off, uint64_t len);

/*
 * Checked copies for DMA and loaders: any length, across ranges. -EFAULT where the guest named no
 * RAM (reads of ROM allowed; writes to ROM are refused, except by mem_load).
 */
int mem_read(const struct mem *mem, gpa_t gpa, void *buf, uint64_t len) MUST_CHECK;
int mem_write(struct mem *mem, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;
/* As mem_write, and into ROM too: for firmware loading before the guest runs. */
int mem_load(struct mem *mem, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;

#endif
