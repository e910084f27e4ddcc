// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memory map from the RAM size.
 * Source: ACPI 6.4 §15. Threads: none, plain data.
 */
#include "firmware/e820.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/platform.h"

static void add(struct e820_map *map, gpa_t start, gpa_t end, enum e820_type type)
{
	if (end <= start)
		return;
	assert(map->n < E820_MAX);
	map->e[map->n++] = (struct e820_entry){start, end - start, type};
}

void e820_build(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
	uint64_t low = min_u64(ram_below_4g, PC_LOW_RAM_MAX);

	map->n = 0;
	add(map, 0, min_u64(low, PC_BASE_MEM_END), E820_RAM);
	add(map, PC_BASE_MEM_END, min_u64(max_u64(low, PC_BASE_MEM_END), PC_VGA_START),
	    E820_RESERVED);
	add(map, PC_FW_START, PC_FW_END, E820_RESERVED);
	add(map, PC_HIGH_MEM, low, E820_RAM);
	add(map, PC_FW_ALIAS, PC_4G, E820_RESERVED);
	if (range_ok(PC_4G, ram_above_4g, UINT64_MAX))
		add(map, PC_4G, PC_4G + ram_above_4g, E820_RAM);
}

bool e820_is_ram(const struct e820_map *map, gpa_t addr, uint64_t len)
{
	for (unsigned i = 0; i < map->n; i++) {
		const struct e820_entry *e = &map->e[i];

		if (e->type == E820_RAM && addr >= e->addr && range_ok(addr - e->addr, len, e->len))
			return true;
	}
	return false;
}

void e820_store(uint8_t *wire, const struct e820_entry *e)
{
	st_le64(wire, e->addr);
	st_le64(wire + 8, e->len);
	st_le32(wire + 16, e->type);
}
