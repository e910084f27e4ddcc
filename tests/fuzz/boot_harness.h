/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common to the boot loaders' fuzz targets: the input is a kernel file, loaded into a small PC.
 * Whatever it holds, the loader must end with a consistent state or with a sentence.
 */
#ifndef LODGE_TESTS_BOOT_HARNESS_H
#define LODGE_TESTS_BOOT_HARNESS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "firmware/boot.h"
#include "firmware/platform.h"

#define FUZZ_RAM (20ull << 20) /* some kernels fit, some do not */
#define FUZZ_FILE_MAX (64u << 10)

static struct mem *fuzz_mem(void)
{
	static struct mem *mem;

	if (mem)
		return mem;
	mem = mem_new(FUZZ_RAM, 0, NULL);
	if (!mem || mem_map(mem, 0, PC_VGA_START, MEM_RAM, 0) ||
	    mem_map(mem, PC_FW_START, PC_FW_END - PC_FW_START, MEM_ROM, PC_FW_START) ||
	    mem_map(mem, PC_HIGH_MEM, FUZZ_RAM - PC_HIGH_MEM, MEM_RAM, PC_HIGH_MEM))
		abort();
	return mem;
}

/* Load `data` with `modules` modules; what was not loaded must not have been written. */
static void fuzz_boot(const uint8_t *data, size_t len, unsigned modules)
{
	static struct x86_state cpu;
	struct boot_module mods[2] = {{.file = fw_file_from_bytes("m1", "module", 6)},
				      {.file = fw_file_from_bytes("m2", data, len)}};
	struct boot_config cfg = {.cmdline = "console=ttyS0", .ram_below_4g = FUZZ_RAM};
	struct fw_file kernel = fw_file_from_bytes("kernel", data, len);
	struct mem *mem = fuzz_mem();
	struct lodge_err err = {""};
	enum boot_kind kind;
	uint8_t ivt[4] = {0xa5, 0x5a, 0xa5, 0x5a}, now[4];

	if (mem_write(mem, 0, ivt, sizeof(ivt)))
		abort();
	if (boot_load_files(mem, &cfg, &kernel, mods, modules, &cpu, &kind, &err)) {
		if (!err.msg[0])
			abort(); /* an error without a sentence */
		return;
	}
	/* Vectors untouched, tables in RAM, code segment flat, interrupts off. */
	if (mem_read(mem, 0, now, sizeof(now)) || memcmp(now, ivt, sizeof(now)) ||
	    !mem_ptr(mem, cpu.gdtr.base, cpu.gdtr.limit + 1u, true) || cpu.rip > UINT32_MAX ||
	    cpu.seg[SEG_CS].limit != UINT32_MAX || (cpu.rflags & FLAG_IF))
		abort();
	if (kind == BOOT_KIND_BZIMAGE && !mem_ptr(mem, cpu.gpr[R_RSI], 4096, true))
		abort();
	if (kind != BOOT_KIND_BZIMAGE && !mem_ptr(mem, cpu.gpr[R_RBX], 56, true))
		abort();
}

#endif
