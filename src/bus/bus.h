/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dispatch of port and memory-mapped accesses to devices.
 *
 * An access wider than a region's max_size is split into max_size pieces, low address first; one
 * narrower than min_size is widened by reading the aligned unit (reads) or passed with its own
 * size (writes). Accesses that no region answers read as all ones; writes vanish.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_BUS_BUS_H
#define LODGE_BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mem/gpa.h"

struct bus_ops {
	/* `off` is relative to the region's start; size 1, 2, 4 or 8. */
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	void (*write)(void *dev, uint64_t off, uint64_t val, unsigned size);
	uint8_t min_size, max_size; /* 0 = 1 and 4 (ports), 1 and 8 (memory) */
};

struct bus_region; /* a mapped region; the handle by which it is moved or unmapped */
struct bus;

struct bus *bus_new(void);
void bus_free(struct bus *bus);

/*
 * Map `len` ports from `port`, or `len` bytes of physical memory from `gpa`. Later maps take
 * precedence over earlier ones where they overlap (as BARs do over fixed ranges). `ops` and `name`
 * are borrowed. NULL only when out of memory or when the range wraps.
 */
struct bus_region *bus_map_pio(struct bus *bus, uint16_t port, uint32_t len,
			       const struct bus_ops *ops, void *dev, const char *name);
struct bus_region *bus_map_mmio(struct bus *bus, gpa_t gpa, uint64_t len, const struct bus_ops *ops,
				void *dev, const char *name);
/* Move a region, or hide it without freeing (BAR decoding off). */
void bus_region_move(struct bus_region *r, uint64_t base);
void bus_region_enable(struct bus_region *r, bool on);
/* Away with it; not from one of its own functions. NULL is allowed. */
void bus_unmap(struct bus_region *r);

/* What answers where, lowest address first, as one sees it: what lies below something else is cut. */
void bus_each(const struct bus *bus, bool pio,
	      void (*fn)(void *opaque, uint64_t first, uint64_t last, const char *name),
	      void *opaque);

uint64_t bus_pio_read(struct bus *bus, uint16_t port, unsigned size);
void bus_pio_write(struct bus *bus, uint16_t port, uint64_t val, unsigned size);
uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size);
void bus_mmio_write(struct bus *bus, gpa_t gpa, uint64_t val, unsigned size);

#endif
