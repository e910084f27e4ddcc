// SPDX-License-Identifier: GPL-2.0-or-later
/* A local APIC's state to and from the host's kernel, and a bus whose APICs are there: make t T=devices/lapic_page */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "bus/device.h"
#include "devices/legacy/apic_bus.h"
#include "devices/legacy/ioapic.h"
#include "devices/legacy/lapic.h"
#include "io/loop.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_loop *loop;
static struct apic_bus *bus;
static struct lapic *lapic;
static struct ioapic *ioapic;

static struct {
	uint64_t addr;
	uint32_t data;
	unsigned msis, routes, pin, lints, intrs;
	uint32_t route_data;
	uint64_t route_addr;
	bool taken, level;
} seen;

static void on_intr(void *o, unsigned cpu, bool level)
{
	seen.intrs++;
}

static void nothing(void *o, unsigned cpu)
{
}

static void no_sipi(void *o, unsigned cpu, uint8_t v)
{
}

static uint64_t tsc(void *o, unsigned cpu)
{
	return 1000;
}

static uint64_t tsc_ns(void *o, unsigned cpu, uint64_t t)
{
	return t;
}

static bool on_msi(void *o, uint64_t addr, uint32_t data)
{
	seen.msis++;
	seen.addr = addr;
	seen.data = data;
	return seen.taken;
}

static void on_lint(void *o, unsigned n, bool level)
{
	seen.lints++;
	seen.level = level;
}

static void on_route(void *o, unsigned pin, uint64_t addr, uint32_t data)
{
	seen.routes++;
	seen.pin = pin;
	seen.route_addr = addr;
	seen.route_data = data;
}

static int setup(void **state)
{
	const struct lapic_host host = {.intr = on_intr,
					.nmi = nothing,
					.init = nothing,
					.sipi = no_sipi,
					.guest_tsc = tsc,
					.tsc_to_mono_ns = tsc_ns};
	const struct apic_remote remote = {.msi = on_msi, .lint = on_lint, .route = on_route};
	const struct lapic_config cfg = {.apic_id = 0,
					 .bsp = true,
					 .x2apic = true,
					 .tsc_deadline = true,
					 .phys_bits = 40,
					 .remote = true};
	struct lodge_err err;

	loop = io_loop_new(&lock, &err);
	bus = apic_bus_new(1, &host);
	apic_bus_set_remote(bus, &remote);
	lapic = lapic_new(bus, loop, &cfg);
	ioapic = ioapic_new(bus, 1);
	assert_non_null(ioapic);
	memset(&seen, 0, sizeof(seen));
	return 0;
}

static int teardown(void **state)
{
	ioapic_free(ioapic);
	lapic_free(lapic);
	apic_bus_free(bus);
	io_loop_free(loop);
	return 0;
}

/* Registers of a guest in full swing. */
static void busy_page(uint8_t *page)
{
	lapic_get_page(lapic, page);
	st_le32(page + 0x80, 0x20);
	st_le32(page + 0xd0, 0x01000000);
	st_le32(page + 0xf0, 0x1ff);
	st_le32(page + 0x110, 1u << 5);
	st_le32(page + 0x180 + 16 * 2, 1u << 9);
	st_le32(page + 0x200 + 16 * 7, 1u << 31);
	st_le32(page + 0x300, 0xc0041);
	st_le32(page + 0x310, 0x02000000);
	st_le32(page + 0x350, 0x700);
	st_le32(page + 0x360, 0x400);
	st_le32(page + 0x370, 0xfe);
	st_le32(page + 0x3e0, 0xb);
}

static void page_when_taken_and_given_expect_the_same(void **state)
{
	uint8_t in[LAPIC_PAGE_BYTES], out[LAPIC_PAGE_BYTES];

	busy_page(in);
	st_le32(in + 0x320, 0x40030);
	lapic_set_page(lapic, 0xfee00900, in, 5555);
	lapic_get_page(lapic, out);
	st_le32(in + 0xa0, 0x20); /* the processor's priority follows */
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(lapic_deadline_tsc(lapic), 5555);
	assert_int_equal(lapic_base(lapic), 0xfee00900);
	assert_int_equal(seen.intrs, 0);
}

static void page_when_a_count_runs_expect_it_goes_on(void **state)
{
	uint8_t in[LAPIC_PAGE_BYTES], out[LAPIC_PAGE_BYTES];

	busy_page(in);
	st_le32(in + 0x320, 0x20030);
	st_le32(in + 0x380, 0xfffffff0);
	st_le32(in + 0x390, 0xf0000000);
	lapic_set_page(lapic, 0xfee00900, in, 0);
	lapic_get_page(lapic, out);
	assert_int_equal(ld_le32(out + 0x380), 0xfffffff0);
	assert_in_range(ld_le32(out + 0x390), 0x80000000, 0xf0000000);
	assert_int_equal(lapic_deadline_tsc(lapic), 0);
}

/* The truth is one structure: saved from there, it is the same again. */
static void state_when_saved_and_loaded_expect_the_same_page(void **state)
{
	uint8_t in[LAPIC_PAGE_BYTES], out[LAPIC_PAGE_BYTES], saved[4096];
	struct lodge_err err;
	long len;

	busy_page(in);
	st_le32(in + 0x320, 0x40030);
	lapic_set_page(lapic, 0xfee00d00, in, 777);
	lapic_get_page(lapic, in);
	len = device_save(lapic_device(lapic), saved, sizeof(saved));
	assert_true(len > 0);
	lapic_device(lapic)->cls->reset(lapic_device(lapic));
	assert_int_equal(device_load(lapic_device(lapic), saved, (size_t)len, &err), 0);
	lapic_get_page(lapic, out);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(lapic_deadline_tsc(lapic), 777);
	assert_int_equal(seen.intrs, 0);
}

static void page_when_nonsense_expect_it_corrected(void **state)
{
	uint8_t in[LAPIC_PAGE_BYTES], out[LAPIC_PAGE_BYTES];

	memset(in, 0xff, sizeof(in));
	lapic_set_page(lapic, ~0ull, in, ~0ull);
	lapic_get_page(lapic, out);
	assert_int_equal(lapic_base(lapic), 0xfee00900);
	assert_int_equal(ld_le32(out + 0x200) & 0xffff, 0);
	assert_int_equal(ld_le32(out + 0x80), 0xff);
}

static void message_when_apics_are_elsewhere_expect_it_there(void **state)
{
	const struct apic_msg msg = {.dest = 3,
				     .logical = true,
				     .level = true,
				     .mode = 1,
				     .vector = 0x41};

	assert_false(apic_bus_deliver(bus, &msg));
	assert_int_equal(seen.addr, 0xfee03004);
	assert_int_equal(seen.data, 0xc141);
	seen.taken = true;
	assert_true(apic_bus_deliver(bus, &msg));
	apic_bus_msi(bus, 0xfee00000, 0x33);
	assert_int_equal(seen.msis, 3);
	assert_int_equal(seen.data, 0x33);
	apic_bus_set_lint(bus, 0, true);
	assert_int_equal(seen.lints, 1);
	assert_int_equal(seen.intrs, 0);
}

static void pin_when_programmed_expect_its_route_and_eoi(void **state)
{
	seen.taken = true;
	ioapic_mmio_ops.write(ioapic, 0, 0x10 + 2 * 5, 4);
	ioapic_mmio_ops.write(ioapic, 0x10, 0x8031, 4);
	assert_int_equal(seen.pin, 5);
	assert_int_equal(seen.route_data, 0xc031);
	assert_int_equal(seen.route_addr, 0xfee00000);
	ioapic_set_pin(ioapic, 5, true);
	assert_int_equal(seen.msis, 1);
	assert_int_equal(seen.data, 0xc031);
	/* Still asserted: again after its end. */
	apic_bus_eoi(bus, 0x31);
	assert_int_equal(seen.msis, 2);
	ioapic_set_pin(ioapic, 5, false);
	apic_bus_eoi(bus, 0x31);
	assert_int_equal(seen.msis, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(page_when_taken_and_given_expect_the_same),
		T(page_when_a_count_runs_expect_it_goes_on),
		T(state_when_saved_and_loaded_expect_the_same_page),
		T(page_when_nonsense_expect_it_corrected),
		T(message_when_apics_are_elsewhere_expect_it_there),
		T(pin_when_programmed_expect_its_route_and_eoi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
