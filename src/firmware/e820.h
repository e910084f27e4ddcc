/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map a guest is told, in the form of INT 15h E820.
 * Source: ACPI 6.4 §15. Threads: none, plain data.
 */
#ifndef LODGE_FIRMWARE_E820_H
#define LODGE_FIRMWARE_E820_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/gpa.h"

enum e820_type {
	E820_RAM = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3, /* tables: RAM once they were read */
	E820_NVS = 4,
	E820_UNUSABLE = 5,
};

struct e820_entry {
	gpa_t addr;
	uint64_t len;
	uint32_t type; /* enum e820_type */
};

#define E820_MAX 16
struct e820_map {
	struct e820_entry e[E820_MAX]; /* ascending, not overlapping */
	unsigned n;
};

/*
 * The map of a machine with `ram_below_4g` bytes from 0 (at most PC_LOW_RAM_MAX) and `ram_above_4g`
 * bytes from 4 GiB. RAM under the VGA hole and the firmware area is not listed as RAM.
 */
void e820_build(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g);

/* True when [addr, addr + len) lies in one entry of type RAM. */
bool e820_is_ram(const struct e820_map *map, gpa_t addr, uint64_t len);

/* Bytes of the wire form: base, length, type (u64, u64, u32). */
#define E820_WIRE_BYTES 20
void e820_store(uint8_t *wire, const struct e820_entry *e);

#endif
