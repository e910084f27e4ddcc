// SPDX-License-Identifier: GPL-2.0-or-later
/* Real-time clock and CMOS: make t T=devices/mc146818 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "devices/legacy/mc146818.h"
#include "fake_time.h"
#include "wire.h"

#define MS 1000000ull

struct fix {
	struct bus *bus;
	struct mc146818 *r;
	struct wire irq, nmi;
};

/* The clock starts at 2023-11-14 22:13:20 UTC, a Tuesday. */
static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct mc146818_config cfg = {.loop = fake_begin(),
				      .irq = wire_line(&f->irq),
				      .nmi_mask = wire_line(&f->nmi)};

	f->bus = bus_new();
	f->r = mc146818_new(&cfg);
	*state = f;
	return mc146818_map(f->r, f->bus, 0x70);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_free(f->bus);
	mc146818_free(f->r);
	free(f);
	return 0;
}

static uint8_t rd(struct fix *f, uint8_t reg)
{
	outb(f->bus, 0x70, reg);
	return inb(f->bus, 0x71);
}

static void wr(struct fix *f, uint8_t reg, uint8_t v)
{
	outb(f->bus, 0x70, reg);
	outb(f->bus, 0x71, v);
}

/* century year month day weekday hour minute second */
static void expect_time(struct fix *f, const char *want)
{
	static const uint8_t reg[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};
	char got[32], *p = got;

	for (int i = 0; i < 8; i++)
		p += sprintf(p, i ? " %02x" : "%02x", rd(f, reg[i]));
	assert_string_equal(got, want);
}

static void time_when_read_expect_host_utc_bcd(void **state)
{
	struct fix *f = *state;

	expect_time(f, "20 23 11 14 03 22 13 20");
	fake_advance(2 * 3600 * NS_PER_SEC);
	expect_time(f, "20 23 11 15 04 00 13 20");
	fake_advance(107 * 86400 * NS_PER_SEC);
	expect_time(f, "20 24 03 01 06 00 13 20"); /* over 29 February 2024 */
}

static void format_when_changed_expect_same_time(void **state)
{
	struct fix *f = *state;

	wr(f, 0x0b, 0x06);
	expect_time(f, "14 17 0b 0e 03 16 0d 14");
	wr(f, 0x0b, 0x00);
	expect_time(f, "20 23 11 14 03 90 13 20");
	wr(f, 0x0b, 0x04);
	expect_time(f, "14 17 0b 0e 03 8a 0d 14");
	fake_advance(2 * 3600 * NS_PER_SEC);
	assert_int_equal(rd(f, 4), 12); /* midnight is 12 AM */
	fake_advance(12 * 3600 * NS_PER_SEC);
	assert_int_equal(rd(f, 4), 0x8c);
}

static void set_when_held_expect_bytes_as_written_then_running(void **state)
{
	struct fix *f = *state;

	wr(f, 0x0b, 0x82);
	wr(f, 0x32, 0x19);
	wr(f, 9, 0x99);
	wr(f, 8, 0x12);
	wr(f, 7, 0x31);
	wr(f, 6, 0x06);
	wr(f, 4, 0x23);
	wr(f, 2, 0x59);
	wr(f, 0, 0x58);
	fake_advance(100 * NS_PER_SEC);
	expect_time(f, "19 99 12 31 06 23 59 58");
	assert_int_equal(rd(f, 0x0a) & 0x80, 0);
	wr(f, 0x0b, 0x02);
	fake_advance(1500 * MS);
	expect_time(f, "19 99 12 31 06 23 59 59");
	fake_advance(1000 * MS);
	expect_time(f, "20 00 01 01 07 00 00 00");
}

static void time_when_written_while_running_expect_one_field(void **state)
{
	struct fix *f = *state;

	wr(f, 4, 0x05);
	expect_time(f, "20 23 11 14 03 05 13 20");
	wr(f, 6, 0x07); /* the day of the week is what the guest says */
	expect_time(f, "20 23 11 14 07 05 13 20");
	fake_advance(86400 * NS_PER_SEC);
	expect_time(f, "20 23 11 15 01 05 13 20");
}

static void time_when_absurd_expect_some_valid_time(void **state)
{
	struct fix *f = *state;

	wr(f, 0x0b, 0x82);
	for (uint8_t i = 0; i < 10; i++)
		wr(f, i, 0xff);
	wr(f, 0x32, 0xff);
	wr(f, 0x0b, 0x02);
	assert_in_range(rd(f, 8), 1, 0x12);
	assert_in_range(rd(f, 7), 1, 0x31);
	assert_in_range(rd(f, 6), 1, 7);
	assert_true(rd(f, 0) <= 0x59);
	wr(f, 0x0b, 0x82);
	for (uint8_t i = 0; i < 10; i++)
		wr(f, i, 0);
	wr(f, 0x32, 0);
	wr(f, 0x0b, 0x02);
	assert_in_range(rd(f, 8), 1, 0x12);
	fake_advance(5 * NS_PER_SEC);
	assert_int_equal(rd(f, 0), 0x05);
}

static void divider_when_reset_expect_first_second_after_half(void **state)
{
	struct fix *f = *state;

	fake_advance(200 * MS);
	wr(f, 0x0a, 0x76);
	fake_advance(10 * NS_PER_SEC);
	assert_int_equal(rd(f, 0), 0x20);
	wr(f, 0x0a, 0x26);
	fake_advance(499 * MS);
	assert_int_equal(rd(f, 0), 0x20);
	fake_advance(2 * MS);
	assert_int_equal(rd(f, 0), 0x21);
}

static void uip_when_update_is_near_expect_set(void **state)
{
	struct fix *f = *state;

	fake_advance(997 * MS);
	assert_int_equal(rd(f, 0x0a), 0x26);
	fake_advance(MS);
	assert_int_equal(rd(f, 0x0a), 0xa6);
	fake_advance(2 * MS);
	assert_int_equal(rd(f, 0x0a), 0x26);
	wr(f, 0x0a, 0xff); /* UIP cannot be written; divider in reset never updates */
	assert_int_equal(rd(f, 0x0a), 0x7f);
	fake_advance(998 * MS);
	assert_int_equal(rd(f, 0x0a), 0x7f);
}

static void update_when_enabled_expect_one_interrupt_a_second(void **state)
{
	struct fix *f = *state;

	rd(f, 0x0c);
	wr(f, 0x0b, 0x12);
	fake_advance(999 * MS);
	assert_false(f->irq.level);
	fake_advance(2 * MS);
	assert_true(f->irq.level);

	uint64_t fired = fake.loop.fired;

	fake_advance(5 * NS_PER_SEC); /* unread: no more timers */
	assert_int_equal(fake.loop.fired, fired);
	assert_int_equal(rd(f, 0x0c), 0xd0); /* PF comes along by itself */
	assert_false(f->irq.level);
	assert_int_equal(rd(f, 0x0c), 0);
	fake_advance(NS_PER_SEC);
	assert_true(f->irq.level);
	wr(f, 0x0b, 0x92); /* SET clears UIE */
	assert_int_equal(rd(f, 0x0b), 0x82);
	assert_false(f->irq.level);
}

static void alarm_when_it_matches_expect_interrupt(void **state)
{
	struct fix *f = *state;

	wr(f, 1, 0x05);
	wr(f, 3, 0x14);
	wr(f, 5, 0xff);
	rd(f, 0x0c);
	wr(f, 0x0b, 0x22);
	fake_advance(44 * NS_PER_SEC);
	assert_false(f->irq.level);
	fake_advance(1001 * MS);
	assert_true(f->irq.level);
	assert_int_equal(rd(f, 0x0c) & 0xa0, 0xa0);
	fake_advance(3599 * NS_PER_SEC);
	assert_false(f->irq.level);
	fake_advance(NS_PER_SEC);
	assert_true(f->irq.level);
	/* Polled, with the interrupt off, over a long time without a look. */
	wr(f, 0x0b, 0x02);
	rd(f, 0x0c);
	fake_advance(3599 * NS_PER_SEC);
	assert_int_equal(rd(f, 0x0c) & 0x20, 0);
	fake_advance(7200 * NS_PER_SEC);
	assert_int_equal(rd(f, 0x0c) & 0x20, 0x20);
}

static void periodic_when_enabled_expect_rate(void **state)
{
	struct fix *f = *state;
	unsigned count = 0;

	wr(f, 0x0a, 0x2f); /* 2 Hz */
	rd(f, 0x0c);
	wr(f, 0x0b, 0x42);
	for (int i = 0; i < 100; i++) {
		fake_advance(100 * MS);
		if (f->irq.level) {
			assert_int_equal(rd(f, 0x0c) & 0xc0, 0xc0);
			count++;
		}
	}
	assert_in_range(count, 19, 20);
	wr(f, 0x0a, 0x26); /* 1024 Hz */
	f->irq.rises = 0;
	for (int i = 0; i < 10000; i++) {
		fake_advance(MS / 10);
		if (f->irq.level)
			rd(f, 0x0c);
	}
	assert_in_range(f->irq.rises, 1022, 1025);
	wr(f, 0x0a, 0x20); /* rate 0: none */
	rd(f, 0x0c);
	fake_advance(NS_PER_SEC);
	assert_false(f->irq.level);
	/* Polled PF without PIE. */
	wr(f, 0x0b, 0x02);
	wr(f, 0x0a, 0x26);
	rd(f, 0x0c);
	assert_int_equal(rd(f, 0x0c) & 0x40, 0);
	fake_advance(MS);
	assert_int_equal(rd(f, 0x0c) & 0xc0, 0x40);
}

static void cmos_when_written_expect_both_banks_and_read_only_bytes(void **state)
{
	struct fix *f = *state;

	wr(f, 0x0f, 0x0a);
	wr(f, 0x7f, 0x11);
	outb(f->bus, 0x72, 0x0f);
	outb(f->bus, 0x73, 0x77);
	assert_int_equal(rd(f, 0x0f), 0x0a);
	assert_int_equal(rd(f, 0x7f), 0x11);
	outb(f->bus, 0x72, 0x8f);
	assert_int_equal(inb(f->bus, 0x73), 0x77);
	assert_int_equal(mc146818_get_byte(f->r, 0x8f), 0x77);
	wr(f, 0x0d, 0);
	wr(f, 0x0c, 0xff);
	assert_int_equal(rd(f, 0x0d), 0x80);
	assert_int_equal(rd(f, 0x0c) & 0x8f, 0);
	assert_int_equal(inb(f->bus, 0x70), 0xff);
	assert_false(f->nmi.level);
	outb(f->bus, 0x70, 0x8f); /* bit 7 masks NMI and is not part of the index */
	assert_true(f->nmi.level);
	assert_int_equal(inb(f->bus, 0x71), 0x0a);
	/* Reset keeps it all. */
	wr(f, 0x0b, 0x72);
	mc146818_device(f->r)->cls->reset(mc146818_device(f->r));
	assert_int_equal(rd(f, 0x0b), 0x02);
	assert_int_equal(rd(f, 0x0f), 0x0a);
}

static void board_when_it_sets_memory_expect_size_bytes(void **state)
{
	struct fix *f = *state;
	static const uint8_t order[3] = {2, 3, 1};
	unsigned sum = 0;

	mc146818_set_memory(f->r, 0xc0000000, 1ull << 32);
	assert_int_equal(rd(f, 0x15) | rd(f, 0x16) << 8, 640);
	assert_int_equal(rd(f, 0x17) | rd(f, 0x18) << 8, 0xffff);
	assert_int_equal(rd(f, 0x30) | rd(f, 0x31) << 8, 0xffff);
	assert_int_equal(rd(f, 0x34) | rd(f, 0x35) << 8, 0xbf00);
	assert_int_equal(rd(f, 0x5b) | rd(f, 0x5c) << 8 | rd(f, 0x5d) << 16, 0x10000);
	mc146818_set_memory(f->r, 32 << 20, 0);
	assert_int_equal(rd(f, 0x17) | rd(f, 0x18) << 8, 31 << 10);
	assert_int_equal(rd(f, 0x34) | rd(f, 0x35) << 8, 0x100);
	mc146818_set_memory(f->r, 512 << 10, 0);
	assert_int_equal(rd(f, 0x15) | rd(f, 0x16) << 8, 512);
	assert_int_equal(rd(f, 0x17) | rd(f, 0x18) << 8, 0);
	mc146818_set_boot_order(f->r, order, true);
	assert_int_equal(rd(f, 0x3d), 0x32);
	assert_int_equal(rd(f, 0x38), 0x10);
	mc146818_set_boot_order(f->r, order, false);
	assert_int_equal(rd(f, 0x38), 0x11);
	mc146818_set_cpus(f->r, 4);
	assert_int_equal(rd(f, 0x5f), 3);
	mc146818_set_byte(f->r, 0x12, 0xf0);
	for (uint8_t i = 0x10; i < 0x2e; i++)
		sum += rd(f, i);
	assert_int_equal(rd(f, 0x2e) << 8 | rd(f, 0x2f), sum);
}

static void load_when_saved_expect_same_clock(void **state)
{
	struct fix *f = *state;
	struct wire irq = {0};
	struct mc146818_config cfg = {.loop = &fake.loop, .irq = wire_line(&irq)};
	struct mc146818 *q = mc146818_new(&cfg);

	wr(f, 4, 0x01);
	rd(f, 0x0c);
	wr(f, 0x0b, 0x12);
	wire_transfer(mc146818_device(f->r), mc146818_device(q));
	fake_advance(3 * NS_PER_SEC);
	assert_true(irq.level);
	struct bus *bus = bus_new();

	assert_int_equal(mc146818_map(q, bus, 0x70), 0);
	outb(bus, 0x70, 4);
	assert_int_equal(inb(bus, 0x71), 0x01);
	outb(bus, 0x70, 0);
	assert_int_equal(inb(bus, 0x71), 0x23);
	bus_free(bus);
	mc146818_free(q);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(time_when_read_expect_host_utc_bcd),
		T(format_when_changed_expect_same_time),
		T(set_when_held_expect_bytes_as_written_then_running),
		T(time_when_written_while_running_expect_one_field),
		T(time_when_absurd_expect_some_valid_time),
		T(divider_when_reset_expect_first_second_after_half),
		T(uip_when_update_is_near_expect_set),
		T(update_when_enabled_expect_one_interrupt_a_second),
		T(alarm_when_it_matches_expect_interrupt),
		T(periodic_when_enabled_expect_rate),
		T(cmos_when_written_expect_both_banks_and_read_only_bytes),
		T(board_when_it_sets_memory_expect_size_bytes),
		T(load_when_saved_expect_same_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
