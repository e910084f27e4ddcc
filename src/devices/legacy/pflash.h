/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NOR flash memory, 8 bits wide, with the Intel command set, as firmware keeps its code and variables
 * in. Its array is mapped as ROM while it is in read mode, so that reads and instructions run at full
 * speed; writes come here, and while a command is under way reads do, too.
 *
 * Source: JEDEC JESD68.01 (CFI), Intel 28F008SA/28F640J3 data sheets (commands), JEP137 (command set 1).
 * Register table: docs/devices/pflash.md. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PFLASH_H
#define LODGE_DEVICES_LEGACY_PFLASH_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/device.h"

#define PFLASH_SECTOR 4096u
#define PFLASH_MAX (8u << 20)

struct pflash_config {
	uint8_t *bytes; /* the array; borrowed */
	uint32_t len;	/* whole sectors, up to PFLASH_MAX */
	bool read_only;
	/* Map the array for reading (true), or let reads come to pflash_ops (false). */
	void (*read_mode)(void *opaque, bool array);
	/* Bytes of the array have changed. */
	void (*changed)(void *opaque, uint32_t off, uint32_t len);
	void *opaque;
};

struct pflash; /* begins with struct device */

/* `cfg` is copied. NULL when out of memory. Its reset is due before use. */
struct pflash *pflash_new(const struct pflash_config *cfg);
void pflash_free(struct pflash *f);
struct device *pflash_device(struct pflash *f);

/* For the whole of its place in memory; the opaque is the struct pflash. */
extern const struct bus_ops pflash_ops;

#endif
