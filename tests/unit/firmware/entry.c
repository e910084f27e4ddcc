// SPDX-License-Identifier: GPL-2.0-or-later
/* Processor state at entry: make t T=firmware/entry */
#include "unit/firmware/fw_test.h"

#include <errno.h>

#include "firmware/entry.h"

/* A descriptor's fields as the processor would load them (SDM 3A §3.4.5). */
static void assert_descriptor(const struct mem *mem, const struct x86_state *cpu,
			      const struct x86_seg *seg)
{
	uint64_t d = guest_u(mem, cpu->gdtr.base + seg->sel, 8);
	uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

	if (d & 1ull << 55)
		limit = limit << 12 | 0xfff;
	assert_true(seg->sel + 7u <= cpu->gdtr.limit);
	assert_int_equal((d >> 16 & 0xffffff) | (d >> 32 & 0xff000000), seg->base);
	assert_int_equal(limit, seg->limit);
	assert_int_equal(d >> 40 & 0xf0ff, seg->attr);
	assert_false(seg->unusable);
}

/* Translate as the MMU would, SDM 3A §4.5, for a table of present writable entries. */
static uint64_t walk(const struct mem *mem, uint64_t cr3, uint64_t va)
{
	uint64_t table = cr3;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t e = guest_u(mem, table + 8 * (va >> shift & 511), 8);

		assert_int_equal(e & 3, 3);
		table = e & 0xffffffffff000ull;
		if (shift == 21) {
			assert_true(e & 0x80);
			return table | (va & 0x1fffff);
		}
		assert_false(e & 0x80);
	}
	return 0;
}

static void apply_when_long64_expect_long_mode(void **state)
{
	struct mem *mem = pc_mem(4 * MIB);
	const struct boot_entry e = {.mode = BOOT_LONG64,
				     .rip = 0x100200,
				     .esi = 0x7000,
				     .gdt = 0x8000,
				     .pt = 0x9000};
	const uint64_t probes[] = {0, 0x100200, 0x3fffffff, 0x40000000, 0xfee00000, 0xffffffff};
	struct x86_state cpu;

	(void)state;
	memset(&cpu, 0xaa, sizeof(cpu));
	assert_int_equal(boot_entry_apply(&e, mem, &cpu), 0);
	assert_int_equal(cpu.cr0, CR0_PG | CR0_PE | CR0_ET);
	assert_int_equal(cpu.cr4, CR4_PAE);
	assert_int_equal(cpu.efer, EFER_LME | EFER_LMA);
	assert_int_equal(cpu.rip, 0x100200);
	assert_int_equal(cpu.rflags, FLAG_FIXED);
	assert_int_equal(cpu.gpr[R_RSI], 0x7000);
	assert_int_equal(cpu.seg[SEG_CS].sel, 0x10);
	assert_true(cpu.seg[SEG_CS].attr & SEG_ATTR_L);
	assert_false(cpu.seg[SEG_CS].attr & SEG_ATTR_DB);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_descriptor(mem, &cpu, &cpu.seg[i]);
		if (i != SEG_CS)
			assert_int_equal(cpu.seg[i].sel, 0x18);
	}
	assert_descriptor(mem, &cpu, &cpu.tr);
	assert_int_equal(guest_u(mem, cpu.gdtr.base + cpu.tr.sel + 8, 8), 0);
	assert_int_equal(cpu.run_state, X86_RUNNING);
	for (unsigned i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		assert_int_equal(walk(mem, cpu.cr3, probes[i]), probes[i]);
	assert_int_equal(guest_u(mem, cpu.cr3 + 8, 8), 0);
	mem_free(mem);
}

static void apply_when_flat32_expect_protected_mode(void **state)
{
	struct mem *mem = pc_mem(4 * MIB);
	const struct boot_entry e = {.mode = BOOT_FLAT32,
				     .rip = 0x100000,
				     .eax = 0x2badb002,
				     .ebx = 0x9000,
				     .gdt = 0x8000};
	struct x86_state cpu;

	(void)state;
	memset(&cpu, 0xaa, sizeof(cpu));
	assert_int_equal(boot_entry_apply(&e, mem, &cpu), 0);
	assert_int_equal(cpu.cr0, CR0_PE | CR0_ET);
	assert_int_equal(cpu.cr4, 0);
	assert_int_equal(cpu.efer, 0);
	assert_int_equal(cpu.gpr[R_RAX], 0x2badb002);
	assert_int_equal(cpu.gpr[R_RBX], 0x9000);
	assert_int_equal(cpu.gpr[R_RBP], 0);
	assert_int_equal(cpu.gpr[R_RDI], 0);
	assert_int_equal(cpu.gpr[R_RDX], 0);
	assert_false(cpu.seg[SEG_CS].attr & SEG_ATTR_L);
	assert_true(cpu.seg[SEG_CS].attr & SEG_ATTR_DB);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(cpu.seg[i].base, 0);
		assert_int_equal(cpu.seg[i].limit, 0xffffffff);
		assert_descriptor(mem, &cpu, &cpu.seg[i]);
	}
	assert_int_equal(cpu.tr.limit, 0x67);
	assert_int_equal(x86_cpl(&cpu), 0);
	mem_free(mem);
}

static void apply_when_no_ram_expect_efault(void **state)
{
	struct mem *mem = pc_mem(4 * MIB);
	struct boot_entry e = {.mode = BOOT_FLAT32, .gdt = PC_VGA_START};
	struct x86_state cpu;

	(void)state;
	assert_int_equal(boot_entry_apply(&e, mem, &cpu), -EFAULT);
	e = (struct boot_entry){.mode = BOOT_LONG64, .gdt = 0x8000, .pt = PC_VGA_START - 0x1000};
	assert_int_equal(boot_entry_apply(&e, mem, &cpu), -EFAULT);
	mem_free(mem);
}

static void mtrrs_when_set_expect_pci_hole_uncached(void **state)
{
	struct x86_state cpu;

	(void)state;
	x86_state_reset(&cpu, true);
	boot_cpu_set_mtrrs(&cpu, 40);
	assert_int_equal(cpu.mtrr_def_type, 0xc06);
	assert_int_equal(cpu.mtrr_var[0].base, 0xc0000000);
	assert_int_equal(cpu.mtrr_var[0].mask, 0xffc0000800ull);
	assert_int_equal(cpu.mtrr_fixed[0], 0x0606060606060606ull);
	assert_int_equal(cpu.mtrr_fixed[1], 0x0606060606060606ull);
	assert_int_equal(cpu.mtrr_fixed[2], 0);
	assert_int_equal(cpu.mtrr_fixed[3], 0x0505050505050505ull);
	assert_int_equal(cpu.mtrr_fixed[10], 0x0505050505050505ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apply_when_long64_expect_long_mode),
		cmocka_unit_test(apply_when_flat32_expect_protected_mode),
		cmocka_unit_test(apply_when_no_ram_expect_efault),
		cmocka_unit_test(mtrrs_when_set_expect_pci_hole_uncached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
