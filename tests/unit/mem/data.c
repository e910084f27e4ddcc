// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest memory mapped from a file, and where there is something in it. Run: make t T=mem/data */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "mem/mem.h"

#define PAGE 4096ull
#define PAGES 2048ull
#define OFF 65536u

static struct mem *mem;
static int file;

/* Page `n` of the file's memory is all `n`'s, for n = 3, 4, 1000 and 2047. */
static int setup(void **state)
{
	static const unsigned has[] = {3, 4, 1000, 2047};
	char path[] = "/tmp/lodge-mem-XXXXXX";
	uint8_t page[PAGE];

	mem = mem_new(PAGES * PAGE, 0, NULL);
	file = mkstemp(path);
	unlink(path);
	if (!mem || file < 0 || ftruncate(file, OFF + PAGES * PAGE) ||
	    mem_map(mem, 0, PAGES * PAGE, MEM_RAM, 0))
		return -1;
	for (unsigned i = 0; i < sizeof(has) / sizeof(has[0]); i++) {
		memset(page, (int)(has[i] & 0xff), PAGE);
		if (pwrite(file, page, PAGE, (off_t)(OFF + has[i] * PAGE)) != PAGE)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	mem_free(mem);
	close(file);
	return 0;
}

static void map(void)
{
	assert_int_equal(mem_map_file(mem, file, OFF, NULL), 0);
	assert_int_equal(mem_fd(mem), -1);
}

/* Which pages are named, as a set. */
static void named(uint8_t set[PAGES])
{
	uint64_t off = 0, from, to;

	memset(set, 0, PAGES);
	while (mem_next_data(mem, off, &from, &to)) {
		assert_true(from >= off && to > from && to <= PAGES * PAGE);
		assert_int_equal((from | to) % PAGE, 0);
		for (uint64_t p = from / PAGE; p < to / PAGE; p++)
			set[p] = 1;
		off = to;
	}
}

static void data_when_mapped_expect_that_of_the_file(void **state)
{
	uint8_t set[PAGES];

	map();
	named(set);
	for (unsigned p = 0; p < PAGES; p++)
		assert_int_equal(set[p], p == 3 || p == 4 || p == 1000 || p == 2047);
	assert_int_equal(mem_base(mem)[1000 * PAGE + 5], 1000 & 0xff);
	assert_int_equal(mem_base(mem)[2000 * PAGE], 0);
}

static void data_when_written_expect_those_pages_and_an_unchanged_file(void **state)
{
	uint8_t set[PAGES], b = 9;

	map();
	assert_int_equal(mem_write(mem, 700 * PAGE + 17, &b, 1), 0);
	assert_int_equal(mem_write(mem, 3 * PAGE, &b, 1), 0);
	named(set);
	assert_true(set[700] && set[3] && set[4] && !set[699] && !set[701]);
	assert_int_equal(pread(file, &b, 1, OFF + 3 * PAGE), 1);
	assert_int_equal(b, 3);
}

static void data_when_discarded_expect_zeros_and_no_name(void **state)
{
	uint8_t set[PAGES], b = 7;

	map();
	assert_int_equal(mem_discard(mem, 4 * PAGE, 2 * PAGE), 2 * PAGE);
	named(set);
	assert_true(set[3] && !set[4] && !set[5]);
	assert_int_equal(mem_base(mem)[4 * PAGE], 0);
	/* What is written there afterwards counts. */
	assert_int_equal(mem_write(mem, 4 * PAGE, &b, 1), 0);
	named(set);
	assert_true(set[4]);
	assert_int_equal(mem_base(mem)[4 * PAGE + 1], 0);
}

static void data_when_not_mapped_expect_what_was_written(void **state)
{
	uint8_t set[PAGES], b = 1;

	assert_int_equal(mem_write(mem, 1500 * PAGE, &b, 1), 0);
	named(set);
	for (unsigned p = 0; p < PAGES; p++)
		assert_int_equal(set[p], p == 1500);
	assert_int_equal(mem_discard(mem, 1500 * PAGE, PAGE), PAGE);
	named(set);
	assert_false(set[1500]);
}

static void map_when_it_cannot_be_expect_an_error(void **state)
{
	struct lodge_err err = {""};

	assert_true(mem_map_file(mem, file, 17, &err) < 0);
	assert_non_null(strstr(err.msg, "cannot map"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(data_when_mapped_expect_that_of_the_file),
		TEST(data_when_written_expect_those_pages_and_an_unchanged_file),
		TEST(data_when_discarded_expect_zeros_and_no_name),
		TEST(data_when_not_mapped_expect_what_was_written),
		TEST(map_when_it_cannot_be_expect_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
