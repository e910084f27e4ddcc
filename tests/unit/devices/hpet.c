// SPDX-License-Identifier: GPL-2.0-or-later
/* The HPET: make t T=devices/hpet */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/hpet.h"
#include "fake_time.h"
#include "wire.h"

#define CAP 0x000
#define CONFIG 0x010
#define STATUS 0x020
#define COUNTER 0x0f0
#define TN_CONFIG(n) (0x100 + 0x20 * (n))
#define TN_CMP(n) (0x108 + 0x20 * (n))
#define LEVEL 0x002u
#define ENABLE 0x004u
#define PERIODIC 0x008u
#define VAL_SET 0x040u
#define WIDTH32 0x100u
#define ROUTE2 0x400u
#define MS_TICKS 100000u
#define MS 1000000ull

struct fixture {
	struct hpet *dev;
	struct wire gsi[HPET_GSIS];
};

static struct fixture *fixture_new(struct io_loop *loop)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct hpet_config cfg = {.routes = 1u << 2};

	for (unsigned i = 0; i < HPET_GSIS; i++)
		cfg.gsi[i] = wire_line(&f->gsi[i]);
	f->dev = hpet_new(loop, &cfg);
	hpet_device(f->dev)->cls->reset(hpet_device(f->dev));
	return f;
}

static void fixture_free(struct fixture *f)
{
	hpet_free(f->dev);
	free(f);
}

static int setup(void **state)
{
	*state = fixture_new(fake_begin());
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static uint64_t rd(struct fixture *f, uint64_t off, unsigned size)
{
	uint64_t v = hpet_mmio_ops.read(f->dev, off, size);

	return size == 8 ? v : (uint32_t)v;
}

static void wr(struct fixture *f, uint64_t off, uint64_t v, unsigned size)
{
	hpet_mmio_ops.write(f->dev, off, v, size);
}

static void reset_expect_capabilities_and_halted(void **state)
{
	struct fixture *f = *state;

	assert_true(rd(f, CAP, 8) == 0x009896808086a201);
	assert_int_equal(rd(f, CAP + 4, 4), 10000000);
	assert_int_equal(rd(f, CONFIG, 8), 0);
	fake_advance(MS);
	assert_int_equal(rd(f, COUNTER, 8), 0);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		assert_true(rd(f, TN_CONFIG(n), 8) == 0x0000000400000030);
		assert_true(rd(f, TN_CMP(n), 8) == UINT64_MAX);
		assert_int_equal(rd(f, TN_CMP(n) + 8, 8), 0);
	}
	assert_int_equal(rd(f, TN_CONFIG(3), 8), 0);
	wr(f, CAP, 0, 8);
	assert_int_equal(rd(f, CAP, 4), 0x8086a201);
}

static void counter_when_enabled_expect_100_mhz(void **state)
{
	struct fixture *f = *state;

	wr(f, COUNTER, 0xfffffff0, 8);
	wr(f, CONFIG, 1, 4);
	fake_advance(MS);
	assert_true(rd(f, COUNTER, 8) == 0xfffffff0ull + MS_TICKS);
	assert_int_equal(rd(f, COUNTER + 4, 4), 1);
	wr(f, CONFIG, 0, 4);
	fake_advance(MS);
	assert_true(rd(f, COUNTER, 8) == 0xfffffff0ull + MS_TICKS);
	wr(f, COUNTER + 4, 7, 4);
	assert_int_equal(rd(f, COUNTER + 4, 4), 7);
	assert_int_equal(rd(f, COUNTER, 4), 0xfffffff0u + MS_TICKS);
	wr(f, CONFIG, 1, 4);
	fake_advance(10);
	assert_int_equal(rd(f, COUNTER, 4), 0xfffffff1u + MS_TICKS);
}

static void registers_when_written_expect_masks(void **state)
{
	struct fixture *f = *state;

	wr(f, TN_CONFIG(1), UINT64_MAX, 8);
	assert_true(rd(f, TN_CONFIG(1), 8) == 0x0000000400003f7e);
	wr(f, CONFIG, 0xfffffffe, 4);
	assert_int_equal(rd(f, CONFIG, 4), 2);
	/* Narrow or unaligned writes are none. */
	wr(f, CONFIG, 1, 1);
	wr(f, CONFIG + 2, 1, 4);
	assert_int_equal(rd(f, CONFIG, 4), 2);
	assert_int_equal(rd(f, CAP + 2, 2) & 0xffff, 0x8086);
}

static void one_shot_when_matched_expect_edge_on_route(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 1, 4);
	wr(f, TN_CONFIG(2), ENABLE | ROUTE2, 4);
	wr(f, TN_CMP(2), MS_TICKS, 8);
	fake_advance(MS - 1);
	assert_int_equal(f->gsi[2].rises, 0);
	fake_advance(1);
	assert_int_equal(f->gsi[2].rises, 1);
	assert_false(f->gsi[2].level);
	assert_int_equal(rd(f, STATUS, 4), 0);
	fake_advance(10000 * MS);
	assert_int_equal(f->gsi[2].rises, 1);
}

static void one_shot_when_32_bit_expect_again_after_wrap(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 1, 4);
	wr(f, TN_CONFIG(0), ENABLE | ROUTE2 | WIDTH32, 4);
	wr(f, TN_CMP(0), MS_TICKS, 4);
	fake_advance(MS);
	assert_int_equal(f->gsi[2].rises, 1);
	fake_advance((1ull << 32) * 10);
	assert_int_equal(f->gsi[2].rises, 2);
}

static void one_shot_when_just_missed_expect_at_once(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 1, 4);
	fake_advance(10 * MS);
	wr(f, TN_CONFIG(0), ENABLE | ROUTE2 | WIDTH32, 4);
	wr(f, TN_CMP(0), 10 * MS_TICKS - 50, 4);
	fake_advance(10);
	assert_int_equal(f->gsi[2].rises, 1);
	/* A later write elsewhere does not fire it again. */
	wr(f, TN_CONFIG(0), ENABLE | ROUTE2 | WIDTH32, 4);
	fake_advance(MS);
	assert_int_equal(f->gsi[2].rises, 1);
	/* Long missed: next time round. */
	wr(f, TN_CMP(0), MS_TICKS, 4);
	fake_advance(100 * MS);
	assert_int_equal(f->gsi[2].rises, 1);
}

static void periodic_when_host_is_late_expect_bounded_catch_up(void **state)
{
	struct fixture *f = *state;
	unsigned before;

	wr(f, CONFIG, 1, 4);
	wr(f, TN_CONFIG(0), ENABLE | ROUTE2 | WIDTH32 | PERIODIC | VAL_SET, 4);
	wr(f, TN_CMP(0), 4 * MS_TICKS, 4);
	fake_advance(8 * MS);
	before = f->gsi[2].rises;
	/* Nobody was there for 42 ms: ten ticks and a half. */
	fake.now += 42 * MS;
	fake_advance(0);
	assert_int_equal(f->gsi[2].rises - before, 1);
	/* The other nine come within 4.5 ms, between those of this time. */
	fake_advance(5 * MS);
	assert_in_range(f->gsi[2].rises - before, 10, 12);
	fake_advance(33 * MS);
	assert_int_equal(f->gsi[2].rises - before, 20);
	/* An hour: no more than the bound is made up for. */
	fake.now += 3600000ull * MS;
	before = f->gsi[2].rises;
	fake_advance(400 * MS);
	assert_in_range(f->gsi[2].rises - before, 150, 152);
}

static void periodic_when_set_as_kernels_do_expect_ticks(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 3, 4);
	fake_advance(5 * MS);
	wr(f, TN_CONFIG(0), ENABLE | PERIODIC | VAL_SET | WIDTH32, 4);
	wr(f, TN_CMP(0), 6 * MS_TICKS, 4);
	assert_int_equal(rd(f, TN_CONFIG(0), 4) & VAL_SET, 0);
	wr(f, TN_CMP(0), MS_TICKS, 4);
	assert_int_equal(rd(f, TN_CMP(0), 4), 6 * MS_TICKS);
	fake_advance(MS);
	assert_int_equal(f->gsi[0].rises, 1);
	assert_int_equal(rd(f, TN_CMP(0), 4), 7 * MS_TICKS);
	fake_advance(100 * MS);
	assert_int_equal(f->gsi[0].rises, 101);
}

static void periodic_when_absurdly_fast_expect_least_period(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 3, 4);
	wr(f, TN_CONFIG(0), ENABLE | PERIODIC | VAL_SET | WIDTH32, 4);
	wr(f, TN_CMP(0), 1, 4);
	fake_advance(100 * MS);
	assert_true(fake.loop.fired <= 100 * MS / HPET_MIN_PERIOD_NS + 1);
	assert_true(fake.loop.fired > 4000);
	/* Nothing at all: no period, no interrupt. */
	wr(f, TN_CMP(0), 0, 4);
	fake.loop.fired = 0;
	fake_advance(100 * MS);
	assert_int_equal(fake.loop.fired, 0);
}

static void level_when_fired_expect_asserted_until_status_cleared(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 1, 4);
	wr(f, TN_CONFIG(1), LEVEL | ENABLE | ROUTE2, 4);
	wr(f, TN_CMP(1), MS_TICKS, 8);
	fake_advance(MS);
	assert_true(f->gsi[2].level);
	assert_int_equal(rd(f, STATUS, 4), 2);
	wr(f, STATUS, 1, 4);
	assert_true(f->gsi[2].level);
	/* Cut off and on again by the enable bits. */
	wr(f, TN_CONFIG(1), LEVEL | ROUTE2, 4);
	assert_false(f->gsi[2].level);
	wr(f, TN_CONFIG(1), LEVEL | ENABLE | ROUTE2, 4);
	assert_true(f->gsi[2].level);
	wr(f, CONFIG, 0, 4);
	assert_false(f->gsi[2].level);
	wr(f, CONFIG, 1, 4);
	wr(f, STATUS, 2, 4);
	assert_false(f->gsi[2].level);
	assert_int_equal(rd(f, STATUS, 4), 0);
}

static void route_when_not_offered_expect_no_interrupt(void **state)
{
	struct fixture *f = *state;

	wr(f, CONFIG, 1, 4);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		wr(f, TN_CONFIG(n), ENABLE | (n == 2 ? 0x3e00 : n == 1 ? 5 << 9 : 0), 4);
		wr(f, TN_CMP(n), MS_TICKS, 4);
	}
	fake_advance(2 * MS);
	for (unsigned i = 0; i < HPET_GSIS; i++)
		assert_int_equal(f->gsi[i].rises, 0);
}

static void legacy_when_on_expect_irq_0_and_8_taken_over(void **state)
{
	struct fixture *f = *state;

	hpet_set_legacy_input(f->dev, 0, true);
	assert_true(f->gsi[0].level);
	hpet_set_legacy_input(f->dev, 8, true);
	assert_true(f->gsi[8].level);
	hpet_set_legacy_input(f->dev, 3, true);
	wr(f, CONFIG, 3, 4);
	assert_false(f->gsi[0].level || f->gsi[8].level);
	hpet_set_legacy_input(f->dev, 0, false);
	hpet_set_legacy_input(f->dev, 0, true);
	assert_int_equal(f->gsi[0].rises, 1);
	wr(f, TN_CONFIG(0), ENABLE, 4);
	wr(f, TN_CONFIG(1), ENABLE, 4);
	wr(f, TN_CMP(0), MS_TICKS, 8);
	wr(f, TN_CMP(1), MS_TICKS, 8);
	fake_advance(MS);
	assert_int_equal(f->gsi[0].rises, 2);
	assert_int_equal(f->gsi[8].rises, 2);
	wr(f, CONFIG, 1, 4);
	assert_true(f->gsi[0].level && f->gsi[8].level);
}

static void load_when_saved_expect_counter_and_match_go_on(void **state)
{
	struct fixture *f = *state, *g = fixture_new(&fake.loop);

	wr(f, CONFIG, 1, 4);
	wr(f, TN_CONFIG(0), ENABLE | ROUTE2 | LEVEL, 4);
	wr(f, TN_CMP(0), MS_TICKS, 8);
	fake_advance(MS);
	wr(f, TN_CMP(0), 2 * MS_TICKS, 8);
	wire_transfer(hpet_device(f->dev), hpet_device(g->dev));
	assert_true(g->gsi[2].level);
	assert_int_equal(rd(g, COUNTER, 8), MS_TICKS);
	wr(g, STATUS, 1, 4);
	assert_false(g->gsi[2].level);
	fake_advance(MS);
	assert_true(g->gsi[2].level);
	fixture_free(g);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_expect_capabilities_and_halted),
		T(counter_when_enabled_expect_100_mhz),
		T(registers_when_written_expect_masks),
		T(one_shot_when_matched_expect_edge_on_route),
		T(one_shot_when_32_bit_expect_again_after_wrap),
		T(one_shot_when_just_missed_expect_at_once),
		T(periodic_when_host_is_late_expect_bounded_catch_up),
		T(periodic_when_set_as_kernels_do_expect_ticks),
		T(periodic_when_absurdly_fast_expect_least_period),
		T(level_when_fired_expect_asserted_until_status_cleared),
		T(route_when_not_offered_expect_no_interrupt),
		T(legacy_when_on_expect_irq_0_and_8_taken_over),
		T(load_when_saved_expect_counter_and_match_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
