// SPDX-License-Identifier: GPL-2.0-or-later
/* The local APIC timer: make t T=devices/lapic_timer */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "apic_env.h"
#include "wire.h"

#define EOI 0xb0
#define SVR 0xf0
#define LVT 0x320
#define TMICT 0x380
#define TMCCT 0x390
#define DCR 0x3e0
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define DIV1 0xb
#define DIV16 0x3
#define VEC 0xec
#define MS 1000000u

static int setup(void **state)
{
	struct apic_env *e = apic_env_new();

	for (unsigned i = 0; i < ENV_CPUS; i++)
		lapic_mmio_write(e->lapic[i], SVR, 0x1ff, 4);
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	apic_env_free(*state);
	return 0;
}

static uint32_t rd(struct apic_env *e, uint32_t off)
{
	return (uint32_t)lapic_mmio_read(e->lapic[0], off, 4);
}

static void wr(struct apic_env *e, uint32_t off, uint32_t v)
{
	lapic_mmio_write(e->lapic[0], off, v, 4);
}

/* Take the timer interrupt and end it; false if there is none. */
static bool take(struct apic_env *e)
{
	int v = lapic_ack(e->lapic[0]);

	if (v < 0)
		return false;
	assert_int_equal(v, VEC);
	wr(e, EOI, 0);
	return true;
}

static uint64_t tsc(struct apic_env *e)
{
	return env_tsc(e, 0);
}

static uint64_t deadline(struct apic_env *e)
{
	uint64_t v = ~0ull;

	assert_int_equal(lapic_msr_read(e->lapic[0], MSR_APIC_TSC_DEADLINE, &v), 0);
	return v;
}

static void set_deadline(struct apic_env *e, uint64_t v)
{
	assert_int_equal(lapic_msr_write(e->lapic[0], MSR_APIC_TSC_DEADLINE, v), 0);
}

static void one_shot_when_elapsed_expect_one_interrupt(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC);
	wr(e, TMICT, MS);
	assert_int_equal(rd(e, TMCCT), MS);
	fake_advance(MS / 4);
	assert_int_equal(rd(e, TMCCT), MS - MS / 4);
	assert_int_equal(rd(e, TMICT), MS);
	fake_advance(MS - MS / 4 - 1);
	assert_false(e->cpu[0].intr);
	fake_advance(1);
	assert_true(take(e));
	assert_int_equal(rd(e, TMCCT), 0);
	fake_advance(10 * MS);
	assert_false(take(e));
	assert_int_equal(fake.loop.fired, 1);
}

static void divisor_when_set_expect_bus_clock_divided(void **state)
{
	struct apic_env *e = *state;
	static const uint8_t dcr[] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa};

	wr(e, LVT, VEC);
	for (unsigned i = 0; i < 8; i++) {
		wr(e, DCR, dcr[i]);
		wr(e, TMICT, 1000);
		fake_advance((1000u << i) - 1);
		assert_false(e->cpu[0].intr);
		fake_advance(1);
		assert_true(take(e));
	}
	wr(e, DCR, 0xffffffff);
	assert_int_equal(rd(e, DCR), 0xb);
}

static void divisor_when_changed_while_running_expect_rest_scaled(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC);
	wr(e, TMICT, 1000000);
	fake_advance(500000);
	wr(e, DCR, DIV16);
	assert_int_equal(rd(e, TMCCT), 500000);
	fake_advance(16 * 500000 - 1);
	assert_false(e->cpu[0].intr);
	fake_advance(1);
	assert_true(take(e));
}

static void one_shot_when_zero_written_expect_stopped(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC);
	wr(e, TMICT, 1000);
	wr(e, TMICT, 0);
	fake_advance(MS);
	assert_false(take(e));
}

static void periodic_when_taken_in_time_expect_every_tick(void **state)
{
	struct apic_env *e = *state;
	unsigned ticks = 0;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC | PERIODIC);
	wr(e, TMICT, MS);
	for (unsigned i = 0; i < 1000; i++) {
		fake_advance(MS);
		ticks += take(e);
	}
	assert_int_equal(ticks, 1000);
}

static void periodic_when_not_taken_expect_coalesced_on_the_grid(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC | PERIODIC);
	wr(e, TMICT, MS);
	fake_advance(1000 * MS + 300000);
	/* The host did nothing for the ticks that nobody took. */
	assert_int_equal(fake.loop.fired, 1);
	assert_int_equal(rd(e, TMCCT), 700000);
	assert_true(take(e));
	assert_false(take(e));
	fake_advance(699999);
	assert_false(take(e));
	fake_advance(1);
	assert_true(take(e));
}

static void periodic_when_masked_expect_idle_host_and_grid_kept(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC | PERIODIC | MASKED);
	wr(e, TMICT, MS);
	fake_advance(100 * MS + 500000);
	assert_int_equal(fake.loop.fired, 0);
	wr(e, LVT, VEC | PERIODIC);
	assert_false(take(e));
	fake_advance(499999);
	assert_false(take(e));
	fake_advance(1);
	assert_true(take(e));
}

static void periodic_when_absurdly_fast_expect_least_period(void **state)
{
	struct apic_env *e = *state;
	unsigned ticks = 0;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC | PERIODIC);
	wr(e, TMICT, 1);
	for (unsigned i = 0; i < 10000; i++) {
		fake_advance(1000);
		ticks += take(e);
		assert_true(rd(e, TMCCT) <= 1);
	}
	assert_int_equal(ticks, 10000 * 1000 / LAPIC_MIN_PERIOD_NS);
}

static void periodic_when_vector_illegal_expect_no_storm(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, 3 | PERIODIC);
	wr(e, TMICT, 100);
	fake_advance(1000 * MS);
	assert_true(fake.loop.fired <= 1);
	assert_false(e->cpu[0].intr);
}

static void mode_when_periodic_becomes_one_shot_expect_end_of_period(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC | PERIODIC | MASKED);
	wr(e, TMICT, MS);
	fake_advance(10 * MS + 250000);
	wr(e, LVT, VEC);
	fake_advance(749999);
	assert_false(take(e));
	fake_advance(1);
	assert_true(take(e));
	fake_advance(10 * MS);
	assert_false(take(e));
}

static void deadline_when_reached_expect_interrupt_and_zero(void **state)
{
	struct apic_env *e = *state;
	uint64_t at = tsc(e) + 2 * MS;

	e->cpu[0].tsc_offset = 0;
	set_deadline(e, at);
	assert_int_equal(deadline(e), 0); /* not in that mode */
	wr(e, LVT, VEC | DEADLINE);
	set_deadline(e, at);
	assert_int_equal(deadline(e), at);
	wr(e, TMICT, 5);
	assert_int_equal(rd(e, TMICT), 0);
	assert_int_equal(rd(e, TMCCT), 0);
	fake_advance(MS - 1);
	assert_false(take(e));
	fake_advance(1);
	assert_true(take(e));
	assert_int_equal(deadline(e), 0);
	fake_advance(100 * MS);
	assert_false(take(e));
}

static void deadline_when_past_expect_at_once(void **state)
{
	struct apic_env *e = *state;

	wr(e, LVT, VEC | DEADLINE);
	set_deadline(e, 1);
	assert_true(take(e));
	assert_int_equal(fake.loop.fired, 0);
	assert_int_equal(deadline(e), 0);
}

static void deadline_when_zero_or_mode_left_expect_disarmed(void **state)
{
	struct apic_env *e = *state;

	wr(e, LVT, VEC | DEADLINE);
	set_deadline(e, tsc(e) + MS);
	set_deadline(e, 0);
	fake_advance(MS);
	assert_false(take(e));
	set_deadline(e, tsc(e) + MS);
	wr(e, LVT, VEC);
	wr(e, LVT, VEC | DEADLINE);
	assert_int_equal(deadline(e), 0);
	fake_advance(MS);
	assert_false(take(e));
	/* As far as a number goes. */
	set_deadline(e, ~0ull);
	fake_advance(1000 * MS);
	assert_false(take(e));
	assert_int_equal(fake.loop.fired, 0);
}

static void deadline_when_masked_expect_disarmed_without_interrupt(void **state)
{
	struct apic_env *e = *state;

	wr(e, LVT, VEC | DEADLINE | MASKED);
	set_deadline(e, tsc(e) + 1000);
	fake_advance(MS);
	assert_int_equal(deadline(e), 0);
	wr(e, LVT, VEC | DEADLINE);
	assert_false(take(e));
}

static void deadline_when_tsc_jumps_expect_new_moment(void **state)
{
	struct apic_env *e = *state;

	wr(e, LVT, VEC | DEADLINE);
	set_deadline(e, tsc(e) + 2 * MS);
	e->cpu[0].tsc_offset = MS;
	lapic_tsc_changed(e->lapic[0]);
	fake_advance(MS / 2 - 1);
	assert_false(take(e));
	fake_advance(1);
	assert_true(take(e));
	set_deadline(e, tsc(e) + 2 * MS);
	e->cpu[0].tsc_offset += 10 * MS;
	lapic_tsc_changed(e->lapic[0]);
	assert_true(take(e));
}

static void deadline_when_conversion_is_early_expect_never_before_tsc(void **state)
{
	struct apic_env *e = *state;

	wr(e, LVT, VEC | DEADLINE);
	set_deadline(e, tsc(e) + 2 * MS);
	/* The guest's clock turns out to be behind what it was taken for. */
	e->cpu[0].tsc_offset -= 100000;
	fake_advance(MS);
	assert_false(take(e));
	fake_advance(50000);
	assert_true(take(e));
	assert_true(fake.loop.fired < 10);
}

static uint64_t signed_conversion(void *o, unsigned cpu, uint64_t tsc)
{
	uint64_t delta = tsc - env_tsc(o, cpu);

	return clock_mono_ns() + ((int64_t)delta > 0 ? delta / 2 : 0);
}

static void deadline_when_host_takes_far_for_past_expect_no_storm(void **state)
{
	struct apic_env *e = *state;
	struct lapic_host host = *apic_bus_host(e->bus);
	const struct lapic_config cfg = {.tsc_deadline = true, .phys_bits = 36};

	host.tsc_to_mono_ns = signed_conversion;

	struct apic_bus *bus = apic_bus_new(1, &host);
	struct lapic *l = lapic_new(bus, &fake.loop, &cfg);

	lapic_mmio_write(l, LVT, VEC | DEADLINE, 4);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_TSC_DEADLINE, ~0ull), 0);
	fake_advance(1000 * MS);
	assert_int_equal(fake.loop.fired, 0);
	lapic_free(l);
	apic_bus_free(bus);
}

static void msr_when_no_tsc_deadline_feature_expect_gp(void **state)
{
	struct apic_env *e = *state;
	struct apic_bus *bus = apic_bus_new(1, apic_bus_host(e->bus));
	const struct lapic_config cfg = {.phys_bits = 36};
	struct lapic *l = lapic_new(bus, &fake.loop, &cfg);
	uint64_t v = 0;

	assert_int_equal(lapic_msr_read(l, MSR_APIC_TSC_DEADLINE, &v), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_TSC_DEADLINE, 1), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00c00), -1);
	lapic_mmio_write(l, SVR, 0x1ff, 4);
	lapic_mmio_write(l, LVT, VEC | DEADLINE, 4);
	assert_int_equal(lapic_mmio_read(l, LVT, 4), VEC);
	lapic_free(l);
	apic_bus_free(bus);
}

static void init_when_timer_runs_expect_stopped(void **state)
{
	struct apic_env *e = *state;

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC);
	wr(e, TMICT, MS);
	lapic_init_reset(e->lapic[0]);
	fake_advance(10 * MS);
	assert_int_equal(fake.loop.fired, 0);
	assert_int_equal(rd(e, TMCCT), 0);
}

static void load_when_saved_expect_each_mode_goes_on(void **state)
{
	struct apic_env *e = *state;
	struct lapic *to = e->lapic[1];

	wr(e, DCR, DIV1);
	wr(e, LVT, VEC);
	wr(e, TMICT, MS);
	fake_advance(400000);
	wire_transfer(lapic_device(e->lapic[0]), lapic_device(to));
	assert_int_equal(lapic_mmio_read(to, TMCCT, 4), 600000);
	fake_advance(600000);
	assert_true(e->cpu[1].intr);

	wr(e, LVT, VEC | PERIODIC);
	wr(e, TMICT, MS);
	wire_transfer(lapic_device(e->lapic[0]), lapic_device(e->lapic[2]));
	fake_advance(MS);
	assert_true(e->cpu[2].intr);
	lapic_ack(e->lapic[2]);
	lapic_mmio_write(e->lapic[2], EOI, 0, 4);
	fake_advance(MS);
	assert_true(e->cpu[2].intr);

	lapic_init_reset(e->lapic[0]);
	wr(e, SVR, 0x1ff);
	wr(e, LVT, VEC | DEADLINE);
	set_deadline(e, tsc(e) + 2 * MS);
	wire_transfer(lapic_device(e->lapic[0]), lapic_device(e->lapic[3]));
	fake_advance(MS - 1);
	assert_false(e->cpu[3].intr);
	fake_advance(1);
	assert_true(e->cpu[3].intr);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_shot_when_elapsed_expect_one_interrupt),
		T(divisor_when_set_expect_bus_clock_divided),
		T(divisor_when_changed_while_running_expect_rest_scaled),
		T(one_shot_when_zero_written_expect_stopped),
		T(periodic_when_taken_in_time_expect_every_tick),
		T(periodic_when_not_taken_expect_coalesced_on_the_grid),
		T(periodic_when_masked_expect_idle_host_and_grid_kept),
		T(periodic_when_absurdly_fast_expect_least_period),
		T(periodic_when_vector_illegal_expect_no_storm),
		T(mode_when_periodic_becomes_one_shot_expect_end_of_period),
		T(deadline_when_reached_expect_interrupt_and_zero),
		T(deadline_when_past_expect_at_once),
		T(deadline_when_zero_or_mode_left_expect_disarmed),
		T(deadline_when_masked_expect_disarmed_without_interrupt),
		T(deadline_when_tsc_jumps_expect_new_moment),
		T(deadline_when_conversion_is_early_expect_never_before_tsc),
		T(deadline_when_host_takes_far_for_past_expect_no_storm),
		T(msr_when_no_tsc_deadline_feature_expect_gp),
		T(init_when_timer_runs_expect_stopped),
		T(load_when_saved_expect_each_mode_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
