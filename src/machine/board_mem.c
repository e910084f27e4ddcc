// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memory map of the PC:
 *
 *   0          – 0x9ffff      RAM
 *   0xa0000    – 0xbffff      the video adapter's window
 *   0xc0000    – 0xfffff      RAM, ROM or nothing, 13 regions by the host bridge's PAM registers
 *   0x100000   – RAM's end    RAM, up to 3 GiB
 *   0xc0000000 –              PCI, APICs, HPET
 *   … – 0xffffffff            firmware, its end here; or 128 KiB of what lies below 1 MiB
 *   0x100000000 –             the rest of the RAM
 *
 * Source: Intel 82441FX data sheet (290549) §3.2.19 (PAM), §4.1. Threads: with the VM lock held.
 */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "firmware/platform.h"
#include "machine/board_int.h"

#define VGA_END 0xc0000u

/* Firmware with its end at `end`; the last `len` bytes of it. */
static int map_rom(struct board *b, gpa_t end, uint64_t len)
{
	struct mem *mem = b->vm->mem;

	return mem_map(mem, end - len, len, MEM_ROM, mem_backing_bytes(mem) - len);
}

int board_map_memory(struct board *b, struct lodge_err *err)
{
	struct mem *mem = b->vm->mem;
	uint64_t ram = mem_ram_bytes(mem);
	int r;

	b->ram_low = min_u64(ram, PC_LOW_RAM_MAX);
	b->ram_high = ram - b->ram_low;
	if (!b->flash[0])
		b->rom_bytes = mem_backing_bytes(mem) - ram - b->video_bytes;
	r = mem_map(mem, 0, PC_VGA_START, MEM_RAM, 0);
	if (!r)
		r = mem_map(mem, PC_HIGH_MEM, b->ram_low - PC_HIGH_MEM, MEM_RAM, PC_HIGH_MEM);
	if (!r && b->ram_high)
		r = mem_map(mem, PC_4G, b->ram_high, MEM_RAM, b->ram_low);
	if (!r && b->rom_bytes)
		r = map_rom(b, PC_4G, b->rom_bytes);
	else if (!r)
		r = mem_map(mem, PC_FW_ALIAS, BOARD_FW_BYTES, MEM_ROM, PC_FW_START);
	return r ? err_set(err, r, "cannot map the guest's memory: %s", strerror(-r)) : 0;
}

/* What is on the ISA bus there: the end of firmware below 1 MiB, else nothing. */
static int map_isa(struct board *b, gpa_t gpa, uint32_t len)
{
	struct mem *mem = b->vm->mem;
	uint64_t rom = min_u64(b->rom_bytes, BOARD_FW_BYTES);
	gpa_t rom_start = PC_FW_END - rom;

	if (gpa < rom_start)
		return mem_map(mem, gpa, len, MEM_MMIO, 0);
	return mem_map(mem, gpa, len, MEM_ROM, mem_backing_bytes(mem) - (PC_FW_END - gpa));
}

/*
 * Reads from RAM: RAM or, without writes, ROM. Reads from the ISA bus: that, writes lost; writing
 * RAM behind it is not there (firmware opens both, or neither).
 */
void board_pam(void *board, gpa_t gpa, uint32_t len, unsigned attr)
{
	struct board *b = board;
	int r;

	if (attr & I440FX_PAM_READ_RAM)
		r = mem_map(b->vm->mem, gpa, len, attr & I440FX_PAM_WRITE_RAM ? MEM_RAM : MEM_ROM,
			    gpa);
	else
		r = map_isa(b, gpa, len);
	if (r)
		vm_request_end(b->vm, 1, "the memory map could not be changed: out of memory");
}
