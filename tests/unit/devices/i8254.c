// SPDX-License-Identifier: GPL-2.0-or-later
/* Interval timer, port 0x61: make t T=devices/i8254 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/i8254.h"
#include "devices/legacy/port61.h"
#include "fake_time.h"
#include "wire.h"

struct fix {
	struct bus *bus;
	struct i8254 *pit;
	struct port61 *p61;
	struct wire irq, nmi;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->bus = bus_new();
	f->pit = i8254_new(fake_begin(), wire_line(&f->irq));
	f->p61 = port61_new(f->pit, wire_line(&f->nmi));
	*state = f;
	return i8254_map(f->pit, f->bus, 0x40) || port61_map(f->p61, f->bus, 0x61) ? -1 : 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_free(f->bus);
	port61_free(f->p61);
	i8254_free(f->pit);
	free(f);
	return 0;
}

static void program(struct fix *f, unsigned n, unsigned mode, uint16_t count)
{
	outb(f->bus, 0x43, (uint8_t)(n << 6 | 0x30 | mode << 1));
	outb(f->bus, (uint16_t)(0x40 + n), (uint8_t)count);
	outb(f->bus, (uint16_t)(0x40 + n), (uint8_t)(count >> 8));
}

static uint16_t read16(struct fix *f, unsigned n)
{
	uint8_t lo = inb(f->bus, (uint16_t)(0x40 + n));

	return (uint16_t)(inb(f->bus, (uint16_t)(0x40 + n)) << 8 | lo);
}

static uint16_t latch16(struct fix *f, unsigned n)
{
	outb(f->bus, 0x43, (uint8_t)(n << 6));
	return read16(f, n);
}

static uint8_t status(struct fix *f, unsigned n)
{
	outb(f->bus, 0x43, (uint8_t)(0xe0 | 2u << n));
	return inb(f->bus, (uint16_t)(0x40 + n));
}

/* To the middle of tick `t`, counted from the fixture's last mark. */
static uint64_t mark_ns;

static void mark(void)
{
	mark_ns = fake.now;
}

static void to_tick(uint64_t t)
{
	fake_advance(mark_ns + (2 * t + 1) * NS_PER_SEC / (2 * I8254_HZ) - fake.now);
}

static void reset_when_new_expect_18_hz_square_wave(void **state)
{
	struct fix *f = *state;
	unsigned before = f->irq.rises;

	assert_int_equal(status(f, 0) & 0x3f, 0x36);
	fake_advance(10 * NS_PER_SEC);
	assert_int_equal(f->irq.rises - before, 182);
}

static void mode0_when_counted_expect_one_interrupt(void **state)
{
	struct fix *f = *state;

	mark();
	program(f, 0, 0, 1000);
	assert_false(f->irq.level);
	assert_int_equal(status(f, 0), 0x30);

	unsigned before = f->irq.rises;

	to_tick(400);
	assert_int_equal(latch16(f, 0), 600);
	to_tick(999);
	assert_false(f->irq.level);
	assert_int_equal(status(f, 0) & 0x80, 0);
	to_tick(1000);
	assert_true(f->irq.level);
	assert_int_equal(status(f, 0), 0xb0);
	to_tick(1010);
	assert_int_equal(read16(f, 0), 0xfff6); /* goes on counting */
	fake_advance(NS_PER_SEC);
	assert_int_equal(f->irq.rises - before, 1);
	/* The first byte of a new count stops it and OUT falls. */
	outb(f->bus, 0x40, 5);
	assert_false(f->irq.level);
	fake_advance(NS_PER_SEC);
	assert_false(f->irq.level);
	mark();
	outb(f->bus, 0x40, 0);
	to_tick(5);
	assert_true(f->irq.level);
}

static void mode0_when_gate_low_expect_paused(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x61, 1);
	mark();
	program(f, 2, 0, 100);
	to_tick(30);
	outb(f->bus, 0x61, 0);
	to_tick(500);
	assert_int_equal(latch16(f, 2), 70);
	assert_int_equal(inb(f->bus, 0x61) & 0x21, 0);
	outb(f->bus, 0x61, 1);
	to_tick(568);
	assert_int_equal(inb(f->bus, 0x61) & 0x21, 1);
	to_tick(572);
	assert_int_equal(inb(f->bus, 0x61) & 0x21, 0x21);
}

/* The host took the processor away between the start of a one-shot and the first poll. */
static void mode0_when_first_look_late_expect_whole_count_from_then(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x61, 1);
	program(f, 2, 0, 11932); /* 10 ms */
	fake_advance(7 * 1000000);
	assert_false(inb(f->bus, 0x61) & 0x20);
	fake_advance(9 * 1000000);
	assert_false(inb(f->bus, 0x61) & 0x20);
	fake_advance(1001 * 1000);
	assert_true(inb(f->bus, 0x61) & 0x20);
	/* Looked at in time, or forgotten: the count runs from its start. */
	program(f, 2, 0, 11932);
	fake_advance(50 * 1000);
	assert_false(inb(f->bus, 0x61) & 0x20);
	fake_advance(9951 * 1000);
	assert_true(inb(f->bus, 0x61) & 0x20);
	program(f, 2, 0, 11932);
	fake_advance(60 * 1000000);
	assert_true(inb(f->bus, 0x61) & 0x20);
}

static void mode1_when_triggered_expect_one_shot(void **state)
{
	struct fix *f = *state;

	program(f, 2, 1, 50);
	assert_true(i8254_out(f->pit, 2));
	assert_int_equal(status(f, 2) & 0x40, 0x40);
	fake_advance(NS_PER_SEC);
	assert_true(i8254_out(f->pit, 2));
	mark();
	outb(f->bus, 0x61, 1);
	assert_int_equal(status(f, 2), 0x32);
	to_tick(49);
	assert_false(i8254_out(f->pit, 2));
	to_tick(50);
	assert_true(i8254_out(f->pit, 2));
	/* Retriggered before it ends; gate low does not stop it. */
	outb(f->bus, 0x61, 0);
	mark();
	outb(f->bus, 0x61, 1);
	outb(f->bus, 0x61, 0);
	to_tick(40);
	mark();
	outb(f->bus, 0x61, 1);
	to_tick(49);
	assert_false(i8254_out(f->pit, 2));
	assert_int_equal(latch16(f, 2), 1);
	to_tick(51);
	assert_true(i8254_out(f->pit, 2));
}

static void mode2_when_running_expect_exact_rate_and_low_tick(void **state)
{
	struct fix *f = *state;

	program(f, 0, 2, 1193); /* 1000.15 Hz */

	unsigned before = f->irq.rises;
	uint64_t fired = fake.loop.fired;

	fake_advance(10 * NS_PER_SEC);
	assert_in_range(f->irq.rises - before, 10000, 10002);
	assert_in_range(fake.loop.fired - fired, 10000, 10002);

	outb(f->bus, 0x61, 1);
	mark();
	program(f, 2, 2, 10);
	for (unsigned t = 0; t < 25; t++) {
		to_tick(t);
		assert_int_equal(i8254_out(f->pit, 2), t % 10 != 9);
		assert_int_equal(latch16(f, 2), 10 - t % 10);
	}
}

static void mode2_when_new_count_expect_loaded_at_period_end(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x61, 1);
	mark();
	program(f, 2, 2, 100);
	to_tick(130);
	outb(f->bus, 0x42, 10);
	outb(f->bus, 0x42, 0);
	assert_int_equal(status(f, 2) & 0x40, 0x40);
	assert_int_equal(latch16(f, 2), 70);
	to_tick(199);
	assert_int_equal(latch16(f, 2), 1);
	to_tick(203);
	assert_int_equal(latch16(f, 2), 7);
	assert_int_equal(status(f, 2) & 0x40, 0);
	/* Gate: OUT high while low, a new period when it rises. */
	outb(f->bus, 0x61, 0);
	to_tick(250);
	assert_true(i8254_out(f->pit, 2));
	assert_int_equal(latch16(f, 2), 7);
	outb(f->bus, 0x61, 1);
	assert_int_equal(latch16(f, 2), 10);
}

static void mode3_when_running_expect_square_wave(void **state)
{
	struct fix *f = *state;
	static const uint16_t five[] = {4, 2, 0, 4, 2};

	outb(f->bus, 0x61, 1);
	mark();
	program(f, 2, 3, 8);
	for (unsigned t = 0; t < 20; t++) {
		to_tick(t);
		assert_int_equal(i8254_out(f->pit, 2), t % 8 < 4);
		assert_int_equal(latch16(f, 2), 8 - t % 4 * 2);
	}
	mark();
	program(f, 2, 7, 5); /* mode 7 is 3; odd: one tick longer high */
	for (unsigned t = 0; t < 20; t++) {
		to_tick(t);
		assert_int_equal(i8254_out(f->pit, 2), t % 5 < 3);
		assert_int_equal(latch16(f, 2), five[t % 5]);
	}
	/* A new count takes over after this half. */
	mark();
	program(f, 2, 3, 100);
	to_tick(20);
	outb(f->bus, 0x42, 20);
	outb(f->bus, 0x42, 0);
	to_tick(49);
	assert_true(i8254_out(f->pit, 2));
	to_tick(51);
	assert_false(i8254_out(f->pit, 2));
	to_tick(58);
	assert_false(i8254_out(f->pit, 2));
	to_tick(62);
	assert_true(i8254_out(f->pit, 2));
	to_tick(72);
	assert_false(i8254_out(f->pit, 2));
}

static void mode4_when_counted_expect_one_strobe(void **state)
{
	struct fix *f = *state;

	mark();
	program(f, 0, 4, 300);

	unsigned before = f->irq.rises;

	assert_true(i8254_out(f->pit, 0));
	to_tick(299);
	assert_true(i8254_out(f->pit, 0));
	assert_int_equal(f->irq.rises - before, 0);
	to_tick(300);
	assert_false(i8254_out(f->pit, 0));
	to_tick(302);
	assert_true(i8254_out(f->pit, 0));
	assert_int_equal(f->irq.rises - before, 1);
	fake_advance(NS_PER_SEC);
	assert_int_equal(f->irq.rises - before, 1);
	/* A new count starts it again: how a one-shot clock is driven. */
	outb(f->bus, 0x40, 100);
	outb(f->bus, 0x40, 0);
	fake_advance(NS_PER_SEC / 1000);
	assert_int_equal(f->irq.rises - before, 2);
}

static void mode5_when_triggered_expect_strobe(void **state)
{
	struct fix *f = *state;

	program(f, 2, 5, 7);
	fake_advance(NS_PER_SEC);
	assert_true(i8254_out(f->pit, 2));
	mark();
	outb(f->bus, 0x61, 1);
	to_tick(6);
	assert_true(i8254_out(f->pit, 2));
	to_tick(7);
	assert_false(i8254_out(f->pit, 2));
	to_tick(8);
	assert_true(i8254_out(f->pit, 2));
}

static void bcd_when_selected_expect_decimal(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x61, 1);
	mark();
	outb(f->bus, 0x43, 0xb1); /* counter 2, both bytes, mode 0, BCD */
	outb(f->bus, 0x42, 0x00);
	outb(f->bus, 0x42, 0x12);
	to_tick(1);
	assert_int_equal(latch16(f, 2), 0x1199);
	to_tick(1200);
	assert_true(i8254_out(f->pit, 2));
	to_tick(1201);
	assert_int_equal(latch16(f, 2), 0x9999);
	mark();
	outb(f->bus, 0x43, 0xb5); /* mode 2, 0 = 10000 */
	outb(f->bus, 0x42, 0);
	outb(f->bus, 0x42, 0);
	to_tick(1);
	assert_int_equal(latch16(f, 2), 0x9999);
	to_tick(9999);
	assert_false(i8254_out(f->pit, 2));
}

static void latch_when_read_later_expect_latched_value_once(void **state)
{
	struct fix *f = *state;

	mark();
	program(f, 0, 2, 50000);
	to_tick(100);
	outb(f->bus, 0x43, 0x00);
	to_tick(200);
	outb(f->bus, 0x43, 0x00); /* ignored: the first is not read yet */
	assert_int_equal(read16(f, 0), 49900);
	assert_int_equal(read16(f, 0), 49800);
	/* Read-back of status and count: status comes first. */
	outb(f->bus, 0x43, 0xc2);
	to_tick(300);
	assert_int_equal(inb(f->bus, 0x40), 0xb4);
	assert_int_equal(read16(f, 0), 49800);
	assert_int_equal(read16(f, 0), 49700);
	assert_int_equal(inb(f->bus, 0x43), 0xff);
}

static void access_when_one_byte_modes_expect_that_byte(void **state)
{
	struct fix *f = *state;

	mark();
	outb(f->bus, 0x43, 0x14); /* LSB only, mode 2 */
	outb(f->bus, 0x40, 200);
	to_tick(50);
	assert_int_equal(inb(f->bus, 0x40), 150);
	outb(f->bus, 0x43, 0x00);
	assert_int_equal(inb(f->bus, 0x40), 150);
	mark();
	outb(f->bus, 0x43, 0x24); /* MSB only */
	outb(f->bus, 0x40, 2);
	to_tick(0x110);
	assert_int_equal(inb(f->bus, 0x40), 0x00);
}

static void timer_when_host_is_late_expect_bounded_catch_up(void **state)
{
	struct fix *f = *state;

	program(f, 0, 2, 11932); /* 100 Hz */

	unsigned before = f->irq.rises;

	/* The io thread slept for 105 ms: ten edges. */
	fake.now += 105 * NS_PER_SEC / 1000;
	fake_advance(0);
	assert_int_equal(f->irq.rises - before, 1);
	fake_advance(NS_PER_SEC / 10);
	assert_in_range(f->irq.rises - before, 18, 21);
	fake_advance(NS_PER_SEC / 10);
	assert_int_equal(f->irq.rises - before, 30);
	/* An hour: no more than the bound is made up for. */
	fake.now += 3600 * NS_PER_SEC;
	before = f->irq.rises;
	fake_advance(NS_PER_SEC * 2);
	assert_in_range(f->irq.rises - before, 200, 251);
}

static void timer_when_rate_is_absurd_expect_no_storm(void **state)
{
	struct fix *f = *state;

	program(f, 0, 2, 1);

	uint64_t fired = fake.loop.fired;

	fake_advance(NS_PER_SEC);
	assert_true(fake.loop.fired - fired <= 40001);
}

static void port61_when_read_expect_refresh_toggles_and_writable_bits(void **state)
{
	struct fix *f = *state;
	uint8_t first = inb(f->bus, 0x61) & 0x10;

	fake_advance(15085);
	assert_int_not_equal(inb(f->bus, 0x61) & 0x10, first);
	fake_advance(15085);
	assert_int_equal(inb(f->bus, 0x61) & 0x10, first);
	outb(f->bus, 0x61, 0xff);
	assert_int_equal(inb(f->bus, 0x61) & 0xcf, 0x0f);
	assert_true(i8254_gate(f->pit, 2));
}

static void port61_when_errors_expect_nmi_until_disabled(void **state)
{
	struct fix *f = *state;

	port61_raise_serr(f->p61);
	assert_true(f->nmi.level);
	assert_int_equal(inb(f->bus, 0x61) & 0xc0, 0x80);
	port61_raise_iochk(f->p61);
	outb(f->bus, 0x61, 0x04);
	assert_true(f->nmi.level);
	assert_int_equal(inb(f->bus, 0x61) & 0xc0, 0x40);
	outb(f->bus, 0x61, 0x0c);
	assert_false(f->nmi.level);
	port61_raise_serr(f->p61);
	assert_false(f->nmi.level);
	outb(f->bus, 0x61, 0x00);
	assert_int_equal(inb(f->bus, 0x61) & 0xc0, 0);
}

static void load_when_saved_expect_same_phase(void **state)
{
	struct fix *f = *state;
	struct wire irq = {0};
	struct i8254 *q = i8254_new(&fake.loop, wire_line(&irq));
	struct bus *bus = bus_new();

	assert_int_equal(i8254_map(q, bus, 0x40), 0);
	mark();
	program(f, 0, 2, 1000);
	to_tick(300);
	wire_transfer(i8254_device(f->pit), i8254_device(q));
	assert_int_equal(inb(bus, 0x40) | inb(bus, 0x40) << 8, 700);
	f->irq.rises = irq.rises = 0;
	fake_advance(NS_PER_SEC);
	assert_int_equal(irq.rises, f->irq.rises);
	assert_in_range(irq.rises, 1192, 1194);
	i8254_free(q);
	bus_free(bus);
}

/* Another one is at work: this one says nothing, and takes over registers as they are. */
static void timer_when_it_rests_expect_no_interrupt_and_registers_kept(void **state)
{
	struct fix *f = *state;
	struct i8254_regs in, out;

	program(f, 0, 2, 1193);
	i8254_rest(f->pit);
	f->irq.rises = 0;
	fake_advance(NS_PER_SEC);
	i8254_get_regs(f->pit, 0, &in);
	assert_int_equal(in.mode, 2);
	assert_int_equal(in.count, 1193);
	assert_int_equal(in.rw, 3);
	assert_int_equal(in.gate, 1);
	assert_true(in.since_ns >= NS_PER_SEC);
	in.count = 0x10000;
	in.mode = 3;
	in.latched = 2;
	in.latch = 0x1234;
	in.since_ns = 5;
	i8254_set_regs(f->pit, 0, &in);
	i8254_get_regs(f->pit, 0, &out);
	assert_memory_equal(&out, &in, sizeof(in));
	/* Nonsense is not believed. */
	in.count = 0;
	in.rw = 7;
	i8254_set_regs(f->pit, 0, &in);
	i8254_get_regs(f->pit, 0, &out);
	assert_int_equal(out.count, 0x10000);
	assert_int_equal(out.rw, 3);
	fake_advance(NS_PER_SEC);
	assert_int_equal(f->irq.rises, 0);
	port61_set_speaker(f->p61, 3);
	assert_int_equal(port61_speaker(f->p61), 3);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reset_when_new_expect_18_hz_square_wave),
		T(mode0_when_counted_expect_one_interrupt),
		T(mode0_when_gate_low_expect_paused),
		T(mode0_when_first_look_late_expect_whole_count_from_then),
		T(mode1_when_triggered_expect_one_shot),
		T(mode2_when_running_expect_exact_rate_and_low_tick),
		T(mode2_when_new_count_expect_loaded_at_period_end),
		T(mode3_when_running_expect_square_wave),
		T(mode4_when_counted_expect_one_strobe),
		T(mode5_when_triggered_expect_strobe),
		T(bcd_when_selected_expect_decimal),
		T(latch_when_read_later_expect_latched_value_once),
		T(access_when_one_byte_modes_expect_that_byte),
		T(timer_when_host_is_late_expect_bounded_catch_up),
		T(timer_when_rate_is_absurd_expect_no_storm),
		T(port61_when_read_expect_refresh_toggles_and_writable_bits),
		T(port61_when_errors_expect_nmi_until_disabled),
		T(load_when_saved_expect_same_phase),
		T(timer_when_it_rests_expect_no_interrupt_and_registers_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
