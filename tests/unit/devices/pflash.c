// SPDX-License-Identifier: GPL-2.0-or-later
/* Flash memory by its commands: make t T=devices/pflash */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "devices/legacy/pflash.h"

#define LEN (3 * PFLASH_SECTOR)

struct fix {
	uint8_t bytes[LEN];
	struct pflash *f;
	bool array; /* reads go to the array */
	uint32_t changed_off, changed_len;
	unsigned changes;
};

static void read_mode(void *opaque, bool array)
{
	((struct fix *)opaque)->array = array;
}

static void changed(void *opaque, uint32_t off, uint32_t len)
{
	struct fix *x = opaque;

	x->changed_off = off;
	x->changed_len = len;
	x->changes++;
}

static struct pflash *make(struct fix *x, bool read_only)
{
	const struct pflash_config cfg = {.bytes = x->bytes,
					  .len = LEN,
					  .read_only = read_only,
					  .read_mode = read_mode,
					  .changed = changed,
					  .opaque = x};
	struct pflash *f = pflash_new(&cfg);

	assert_non_null(f);
	pflash_device(f)->cls->reset(pflash_device(f));
	return f;
}

static int setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	memset(x->bytes, 0x5a, LEN);
	x->f = make(x, false);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fix *x = *state;

	pflash_free(x->f);
	free(x);
	return 0;
}

static void wr(struct fix *x, uint32_t off, uint8_t val)
{
	pflash_ops.write(x->f, off, val, 1);
}

static uint8_t rd(struct fix *x, uint32_t off)
{
	return (uint8_t)pflash_ops.read(x->f, off, 1);
}

static void reset_when_done_expect_array(void **state)
{
	struct fix *x = *state;

	assert_true(x->array);
	wr(x, 0, 0x70);
	assert_false(x->array);
	pflash_device(x->f)->cls->reset(pflash_device(x->f));
	assert_true(x->array);
	assert_int_equal(rd(x, 7), 0x5a);
}

/* How OVMF tells flash from RAM and ROM. */
static void status_when_cleared_expect_zero(void **state)
{
	struct fix *x = *state;

	wr(x, 0, 0x50);
	assert_true(x->array);
	assert_int_equal(rd(x, 0), 0x5a);
	wr(x, 0, 0x70);
	assert_int_equal(rd(x, 0), 0x00);
	wr(x, 0, 0xff);
	assert_true(x->array);
}

static void program_when_byte_given_expect_it_and_ready(void **state)
{
	struct fix *x = *state;

	wr(x, 0x1001, 0x10);
	wr(x, 0x1001, 0x12);
	assert_int_equal(rd(x, 0x1001), 0x80);
	wr(x, 0x1002, 0x40);
	wr(x, 0x1002, 0x34);
	wr(x, 0, 0xff);
	assert_int_equal(rd(x, 0x1001), 0x12);
	assert_int_equal(rd(x, 0x1002), 0x34);
	assert_int_equal(rd(x, 0x1000), 0x5a);
	assert_int_equal(x->changes, 2);
	assert_int_equal(x->changed_off, 0x1002);
	assert_int_equal(x->changed_len, 1);
}

static void erase_when_confirmed_expect_sector_of_ones(void **state)
{
	struct fix *x = *state;

	wr(x, 0x1fff, 0x20);
	assert_int_equal(x->changes, 0);
	wr(x, 0x1fff, 0xd0);
	assert_int_equal(rd(x, 0), 0x80);
	assert_int_equal(x->changed_off, 0x1000);
	assert_int_equal(x->changed_len, 0x1000);
	assert_int_equal(x->bytes[0xfff], 0x5a);
	assert_int_equal(x->bytes[0x1000], 0xff);
	assert_int_equal(x->bytes[0x1fff], 0xff);
	assert_int_equal(x->bytes[0x2000], 0x5a);
}

static void erase_when_not_confirmed_expect_sequence_error_and_nothing(void **state)
{
	struct fix *x = *state;

	wr(x, 0, 0x20);
	wr(x, 0, 0xff);
	assert_int_equal(rd(x, 0), 0x80 | 0x30);
	assert_int_equal(x->changes, 0);
	/* The error stays until it is cleared. */
	wr(x, 0, 0x70);
	assert_int_equal(rd(x, 0), 0xb0);
	wr(x, 0, 0x50);
	wr(x, 0, 0x70);
	assert_int_equal(rd(x, 0), 0);
}

static void buffer_when_confirmed_expect_its_bytes_only(void **state)
{
	struct fix *x = *state;

	wr(x, 0x210, 0xe8);
	assert_int_equal(rd(x, 0x210), 0x80);
	wr(x, 0x210, 2); /* three bytes */
	wr(x, 0x210, 1);
	wr(x, 0x211, 2);
	assert_int_equal(x->changes, 0);
	wr(x, 0x2ff, 3);
	wr(x, 0x210, 0xd0);
	assert_int_equal(rd(x, 0), 0x80);
	assert_int_equal(x->bytes[0x210], 1);
	assert_int_equal(x->bytes[0x211], 2);
	assert_int_equal(x->bytes[0x2ff], 3);
	assert_int_equal(x->bytes[0x212], 0x5a);
	assert_int_equal(x->changes, 1);
}

static void buffer_when_it_leaves_its_row_or_is_given_up_expect_error(void **state)
{
	struct fix *x = *state;

	wr(x, 0x200, 0xe8);
	wr(x, 0x200, 1);
	wr(x, 0x200, 1);
	wr(x, 0x300, 2);
	assert_int_equal(rd(x, 0), 0xb0);
	wr(x, 0x200, 0x50);
	wr(x, 0x200, 0xe8);
	wr(x, 0x200, 0);
	wr(x, 0x200, 1);
	wr(x, 0x200, 0xff);
	assert_int_equal(rd(x, 0), 0xb0);
	assert_int_equal(x->changes, 0);
}

static void program_when_read_only_expect_error_and_nothing(void **state)
{
	struct fix *x = *state;

	pflash_free(x->f);
	x->f = make(x, true);
	wr(x, 0, 0x40);
	wr(x, 0, 0);
	assert_int_equal(rd(x, 0), 0x92);
	wr(x, 0, 0x50);
	wr(x, 0, 0x20);
	wr(x, 0, 0xd0);
	assert_int_equal(rd(x, 0), 0xa2);
	assert_int_equal(x->bytes[0], 0x5a);
	assert_int_equal(x->changes, 0);
}

static void query_when_asked_expect_geometry(void **state)
{
	struct fix *x = *state;

	wr(x, 0x55, 0x98);
	assert_int_equal(rd(x, 0x10), 'Q');
	assert_int_equal(rd(x, 0x11), 'R');
	assert_int_equal(rd(x, 0x12), 'Y');
	assert_int_equal(rd(x, 0x13), 1);
	assert_int_equal(rd(x, 0x27), 14); /* 12 KiB: the next power of two */
	assert_int_equal(rd(x, 0x2c), 1);
	assert_int_equal(rd(x, 0x2d) | rd(x, 0x2e) << 8, 2);
	assert_int_equal((rd(x, 0x2f) | rd(x, 0x30) << 8) * 256, PFLASH_SECTOR);
	assert_int_equal(rd(x, 0x1000), 0);
	wr(x, 0, 0x90);
	assert_int_equal(rd(x, 0), 0x89);
	assert_int_equal(rd(x, 1), 0x18);
}

static void load_when_saved_in_the_middle_expect_the_same_and_odd_ones_refused(void **state)
{
	struct fix *x = *state;
	uint8_t buf[2048];
	long n;

	wr(x, 0x210, 0xe8);
	wr(x, 0x210, 1);
	wr(x, 0x210, 7);
	n = device_save(pflash_device(x->f), buf, sizeof(buf));
	assert_true(n > 0);
	pflash_free(x->f);
	x->f = make(x, false);
	assert_true(x->array);
	assert_int_equal(device_load(pflash_device(x->f), buf, (size_t)n, NULL), 0);
	assert_false(x->array);
	wr(x, 0x211, 8);
	wr(x, 0x210, 0xd0);
	assert_int_equal(x->bytes[0x210], 7);
	assert_int_equal(x->bytes[0x211], 8);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_when_done_expect_array),
		T(status_when_cleared_expect_zero),
		T(program_when_byte_given_expect_it_and_ready),
		T(erase_when_confirmed_expect_sector_of_ones),
		T(erase_when_not_confirmed_expect_sequence_error_and_nothing),
		T(buffer_when_confirmed_expect_its_bytes_only),
		T(buffer_when_it_leaves_its_row_or_is_given_up_expect_error),
		T(program_when_read_only_expect_error_and_nothing),
		T(query_when_asked_expect_geometry),
		T(load_when_saved_in_the_middle_expect_the_same_and_odd_ones_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
