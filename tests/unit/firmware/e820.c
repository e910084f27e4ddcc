// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory map and placement in it: make t T=firmware/e820 */
#include "unit/firmware/fw_test.h"

#include <errno.h>

#include "base/range.h"
#include "firmware/e820.h"
#include "firmware/space.h"

static void assert_entry(const struct e820_map *m, unsigned i, gpa_t addr, gpa_t end, unsigned type)
{
	assert_true(i < m->n);
	assert_int_equal(m->e[i].addr, addr);
	assert_int_equal(m->e[i].addr + m->e[i].len, end);
	assert_int_equal(m->e[i].type, type);
}

static void build_when_512m_expect_pc_map(void **state)
{
	struct e820_map m;

	(void)state;
	e820_build(&m, 512 * MIB, 0);
	assert_int_equal(m.n, 5);
	assert_entry(&m, 0, 0, 0x9fc00, E820_RAM);
	assert_entry(&m, 1, 0x9fc00, 0xa0000, E820_RESERVED);
	assert_entry(&m, 2, 0xe0000, 0x100000, E820_RESERVED);
	assert_entry(&m, 3, 0x100000, 512 * MIB, E820_RAM);
	assert_entry(&m, 4, 0xfffe0000, 1ull << 32, E820_RESERVED);
}

static void build_when_8g_expect_ram_above_4g(void **state)
{
	struct e820_map m;

	(void)state;
	e820_build(&m, 3072 * MIB, 5120 * MIB);
	assert_int_equal(m.n, 6);
	assert_entry(&m, 3, 0x100000, 0xc0000000, E820_RAM);
	assert_entry(&m, 5, 1ull << 32, 9ull << 30, E820_RAM);
}

static void build_when_sizes_absurd_expect_clipped(void **state)
{
	struct e820_map m;

	(void)state;
	e820_build(&m, UINT64_MAX, UINT64_MAX);
	assert_entry(&m, 3, 0x100000, 0xc0000000, E820_RAM);
	assert_int_equal(m.n, 5);
	e820_build(&m, 0, 0);
	for (unsigned i = 0; i < m.n; i++)
		assert_int_equal(m.e[i].type, E820_RESERVED);
	e820_build(&m, 0x80000, 0);
	assert_entry(&m, 0, 0, 0x80000, E820_RAM);
}

static void is_ram_when_range_crosses_holes_expect_false(void **state)
{
	struct e820_map m;

	(void)state;
	e820_build(&m, 64 * MIB, 0);
	assert_true(e820_is_ram(&m, 0, 0x9fc00));
	assert_false(e820_is_ram(&m, 0, 0x9fc01));
	assert_false(e820_is_ram(&m, 0xa0000, 1));
	assert_true(e820_is_ram(&m, MIB, 63 * MIB));
	assert_false(e820_is_ram(&m, MIB, 63 * MIB + 1));
	assert_false(e820_is_ram(&m, MIB, UINT64_MAX));
	assert_false(e820_is_ram(&m, UINT64_MAX, 2));
}

static void low_when_taken_expect_next_free(void **state)
{
	struct boot_space s;

	(void)state;
	boot_space_init(&s, 16 * MIB, 0);
	assert_int_equal(boot_space_low(&s, 0x1000, 0x1000, 0, PC_4G), 0x1000);
	assert_int_equal(boot_space_low(&s, 0x800, 0x1000, 0, PC_4G), 0x2000);
	assert_int_equal(boot_space_low(&s, 0x800, 0x1000, 0, PC_4G), 0x3000);
	assert_int_equal(boot_space_take(&s, 0x4000, 0x9000), 0);
	assert_int_equal(boot_space_low(&s, 0x10, 0x10, 0x4000, PC_4G), 0xd000);
	/* 640 KiB is too small for this one. */
	assert_int_equal(boot_space_low(&s, MIB, 0x1000, 0, PC_4G), MIB);
	assert_int_equal(boot_space_low(&s, 15 * MIB, 1, 0, PC_4G), BOOT_SPACE_NONE);
	assert_int_equal(boot_space_low(&s, UINT64_MAX, 1, 0, PC_4G), BOOT_SPACE_NONE);
}

static void high_when_taken_expect_below(void **state)
{
	struct boot_space s;

	(void)state;
	boot_space_init(&s, 16 * MIB, 64 * MIB);
	assert_int_equal(boot_space_high(&s, 0x1001, 0x1000, MIB, PC_4G), 16 * MIB - 0x2000);
	assert_int_equal(boot_space_high(&s, 0x1000, 0x1000, MIB, PC_4G), 16 * MIB - 0x3000);
	assert_int_equal(boot_space_high(&s, 0x1000, 0x1000, MIB, 8 * MIB), 8 * MIB - 0x1000);
	assert_int_equal(boot_space_high(&s, 14 * MIB, 0x1000, MIB, PC_4G), BOOT_SPACE_NONE);
	assert_int_equal(boot_space_high(&s, UINT64_MAX, 0x1000, 0, PC_4G), BOOT_SPACE_NONE);
}

static void take_when_busy_or_full_expect_error(void **state)
{
	struct boot_space s;
	unsigned i;

	(void)state;
	boot_space_init(&s, 16 * MIB, 0);
	assert_int_equal(boot_space_take(&s, 0xff0, 0x20), -EBUSY);
	assert_int_equal(boot_space_take(&s, 0xa0000, 1), -EBUSY);
	assert_int_equal(boot_space_take(&s, MIB, MIB), 0);
	assert_int_equal(boot_space_take(&s, MIB, 1), -EBUSY);
	assert_int_equal(boot_space_take(&s, 2 * MIB - 1, 2), -EBUSY);
	assert_int_equal(boot_space_take(&s, 2 * MIB, UINT64_MAX), -EBUSY);
	for (i = 2; i < BOOT_SPACE_MAX; i++)
		assert_int_equal(boot_space_take(&s, 2 * MIB + i * 16, 16), 0);
	assert_int_equal(boot_space_take(&s, 3 * MIB, 16), -ENOSPC);
	assert_int_equal(boot_space_low(&s, 16, 1, 0, PC_4G), BOOT_SPACE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(build_when_512m_expect_pc_map),
		cmocka_unit_test(build_when_8g_expect_ram_above_4g),
		cmocka_unit_test(build_when_sizes_absurd_expect_clipped),
		cmocka_unit_test(is_ram_when_range_crosses_holes_expect_false),
		cmocka_unit_test(low_when_taken_expect_next_free),
		cmocka_unit_test(high_when_taken_expect_below),
		cmocka_unit_test(take_when_busy_or_full_expect_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
