// SPDX-License-Identifier: GPL-2.0-or-later
/* The I/O APIC and interrupt messages: make t T=devices/ioapic */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "apic_env.h"
#include "wire.h"

#define SVR 0xf0
#define EOI 0xb0
#define LEVEL 0x8000u
#define LOGICAL 0x800u
#define MASKED 0x10000u

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

static uint32_t rd(struct apic_env *e, uint8_t reg)
{
	ioapic_mmio_ops.write(e->ioapic, 0x00, reg, 4);
	return (uint32_t)ioapic_mmio_ops.read(e->ioapic, 0x10, 4);
}

static void wr(struct apic_env *e, uint8_t reg, uint32_t v)
{
	ioapic_mmio_ops.write(e->ioapic, 0x00, reg, 4);
	ioapic_mmio_ops.write(e->ioapic, 0x10, v, 4);
}

static void route(struct apic_env *e, unsigned pin, uint32_t low, uint8_t dest)
{
	wr(e, (uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
	wr(e, (uint8_t)(0x10 + 2 * pin), low);
}

static void eoi(struct apic_env *e, unsigned cpu)
{
	lapic_mmio_write(e->lapic[cpu], EOI, 0, 4);
}

static void reset_expect_masked_and_version(void **state)
{
	struct apic_env *e = *state;

	assert_int_equal(rd(e, 0), ENV_CPUS << 24);
	assert_int_equal(rd(e, 1), 0x00170020);
	assert_int_equal(rd(e, 2), ENV_CPUS << 24);
	for (uint8_t i = 0; i < 24; i++) {
		assert_int_equal(rd(e, 0x10 + 2 * i), MASKED);
		assert_int_equal(rd(e, 0x11 + 2 * i), 0);
	}
	assert_int_equal(rd(e, 0x40), 0);
	assert_int_equal(rd(e, 0xff), 0);
}

static void registers_when_written_expect_masks(void **state)
{
	struct apic_env *e = *state;

	wr(e, 0, 0xffffffff);
	assert_int_equal(rd(e, 0), 0x0f000000);
	wr(e, 1, 0);
	assert_int_equal(rd(e, 1), 0x00170020);
	wr(e, 0x10, 0xffffffff);
	wr(e, 0x11, 0xffffffff);
	assert_int_equal(rd(e, 0x10), 0x0001afff);
	assert_int_equal(rd(e, 0x11), 0xff000000);
	wr(e, 0x40, 0x1234);
	/* The index reads back, bytewise too. */
	assert_int_equal(ioapic_mmio_ops.read(e->ioapic, 0, 1), 0x40);
}

static void edge_when_unmasked_expect_one_interrupt_a_rise(void **state)
{
	struct apic_env *e = *state;

	route(e, 4, 0x31, 1);
	ioapic_set_pin(e->ioapic, 4, true);
	assert_true(e->cpu[1].intr);
	assert_false(e->cpu[0].intr);
	assert_int_equal(lapic_ack(e->lapic[1]), 0x31);
	eoi(e, 1);
	ioapic_set_pin(e->ioapic, 4, true);
	assert_false(e->cpu[1].intr);
	ioapic_set_pin(e->ioapic, 4, false);
	ioapic_set_pin(e->ioapic, 4, true);
	assert_true(e->cpu[1].intr);
}

static void edge_when_masked_expect_lost(void **state)
{
	struct apic_env *e = *state;

	route(e, 4, 0x31 | MASKED, 0);
	ioapic_set_pin(e->ioapic, 4, true);
	wr(e, 0x18, 0x31);
	assert_false(e->cpu[0].intr);
}

static void level_when_asserted_expect_redelivery_after_eoi(void **state)
{
	struct apic_env *e = *state;

	route(e, 10, 0x41 | LEVEL, 0);
	ioapic_set_pin(e->ioapic, 10, true);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL | 0x4000);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x41);
	assert_false(e->cpu[0].intr);
	eoi(e, 0);
	assert_true(e->cpu[0].intr);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x41);
	ioapic_set_pin(e->ioapic, 10, false);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL | 0x4000);
	eoi(e, 0);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL);
	assert_false(e->cpu[0].intr);
}

static void level_when_no_apic_holds_it_expect_it_has_ended(void **state)
{
	struct apic_env *e = *state;
	uint32_t held[8] = {[0x41 / 32] = 1u << 0x41 % 32};

	route(e, 10, 0x41 | LEVEL, 0);
	ioapic_set_pin(e->ioapic, 10, true);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x41);
	ioapic_set_pin(e->ioapic, 10, false);
	assert_false(ioapic_end_unheld(e->ioapic, held));
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL | 0x4000);
	memset(held, 0, sizeof(held));
	assert_true(ioapic_end_unheld(e->ioapic, held));
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL);
	assert_false(ioapic_end_unheld(e->ioapic, held));
}

static void level_when_masked_while_asserted_expect_delivery_at_unmask(void **state)
{
	struct apic_env *e = *state;

	route(e, 10, 0x41 | LEVEL | MASKED, 0);
	ioapic_set_pin(e->ioapic, 10, true);
	assert_false(e->cpu[0].intr);
	wr(e, 0x24, 0x41 | LEVEL);
	assert_true(e->cpu[0].intr);
}

static void level_when_nobody_accepts_expect_delivery_when_somebody_does(void **state)
{
	struct apic_env *e = *state;

	lapic_mmio_write(e->lapic[2], SVR, 0xff, 4);
	route(e, 10, 0x41 | LEVEL, 2);
	ioapic_set_pin(e->ioapic, 10, true);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL);
	lapic_mmio_write(e->lapic[2], SVR, 0x1ff, 4);
	assert_true(e->cpu[2].intr);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL | 0x4000);
	/* The same when somebody takes the logical address. */
	route(e, 11, 0x42 | LEVEL | LOGICAL, 0x08);
	ioapic_set_pin(e->ioapic, 11, true);
	assert_false(e->cpu[3].intr);
	lapic_mmio_write(e->lapic[3], 0xd0, 0x08000000, 4);
	assert_true(e->cpu[3].intr);
}

static void entry_when_made_edge_expect_remote_irr_cleared(void **state)
{
	struct apic_env *e = *state;

	/* How kernels acknowledge on an I/O APIC without EOI register. */
	route(e, 10, 0x41 | LEVEL, 0);
	ioapic_set_pin(e->ioapic, 10, true);
	ioapic_set_pin(e->ioapic, 10, false);
	wr(e, 0x24, 0x41 | MASKED);
	wr(e, 0x24, 0x41 | LEVEL);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL);
}

static void eoi_register_when_written_expect_remote_irr_cleared(void **state)
{
	struct apic_env *e = *state;

	route(e, 10, 0x41 | LEVEL, 0);
	ioapic_set_pin(e->ioapic, 10, true);
	ioapic_set_pin(e->ioapic, 10, false);
	ioapic_mmio_ops.write(e->ioapic, 0x40, 0x42, 4);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL | 0x4000);
	ioapic_mmio_ops.write(e->ioapic, 0x40, 0x41, 4);
	assert_int_equal(rd(e, 0x24), 0x41 | LEVEL);
}

static void modes_when_sent_expect_pins(void **state)
{
	struct apic_env *e = *state;

	route(e, 1, 0x400, 1);
	route(e, 2, 0x500, 2);
	route(e, 3, 0x200, 3);
	route(e, 4, 0x700, 0);
	route(e, 5, 0x300, 0);
	for (unsigned i = 1; i < 6; i++)
		ioapic_set_pin(e->ioapic, i, true);
	assert_int_equal(e->cpu[1].nmi, 1);
	assert_int_equal(e->cpu[2].init, 1);
	assert_int_equal(e->cpu[3].smi, 1);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x30);
	assert_int_equal(e->pic_acks, 1);
	assert_int_equal(lapic_ack(e->lapic[0]), -1);
}

static void logical_when_lowest_priority_expect_turns_and_priority(void **state)
{
	struct apic_env *e = *state;
	unsigned got[ENV_CPUS] = {0};

	for (unsigned i = 0; i < ENV_CPUS; i++)
		lapic_mmio_write(e->lapic[i], 0xd0, 1u << (24 + i), 4);
	route(e, 4, 0x151 | LOGICAL, 0x0f);
	for (unsigned n = 0; n < 2 * ENV_CPUS; n++) {
		ioapic_set_pin(e->ioapic, 4, true);
		ioapic_set_pin(e->ioapic, 4, false);
		for (unsigned i = 0; i < ENV_CPUS; i++) {
			if (lapic_ack(e->lapic[i]) < 0)
				continue;
			got[i]++;
			eoi(e, i);
		}
	}
	for (unsigned i = 0; i < ENV_CPUS; i++)
		assert_int_equal(got[i], 2);
	/* Only processor 2 is idle. */
	lapic_set_cr8(e->lapic[0], 1);
	lapic_set_cr8(e->lapic[1], 2);
	lapic_set_cr8(e->lapic[3], 1);
	ioapic_set_pin(e->ioapic, 4, true);
	assert_int_equal(lapic_ack(e->lapic[2]), 0x51);
}

static void msi_when_written_expect_delivery(void **state)
{
	struct apic_env *e = *state;

	apic_bus_msi(e->bus, 0xfee03000, 0x0061);
	assert_int_equal(lapic_ack(e->lapic[3]), 0x61);
	/* Level: the de-assert does nothing. */
	apic_bus_msi(e->bus, 0xfee02000, 0x8062);
	assert_false(e->cpu[2].intr);
	apic_bus_msi(e->bus, 0xfee02000, 0xc062);
	assert_int_equal(lapic_ack(e->lapic[2]), 0x62);
	/* Not an interrupt address. */
	apic_bus_msi(e->bus, 0xfed00000, 0x63);
	apic_bus_msi(e->bus, 0x1fee00000, 0x63);
	for (unsigned i = 0; i < ENV_CPUS; i++)
		assert_false(e->cpu[i].intr);
	/* The redirection hint picks one of many. */
	apic_bus_msi(e->bus, 0xfeeff008, 0x64);
	assert_int_equal(e->cpu[0].intr + e->cpu[1].intr + e->cpu[2].intr + e->cpu[3].intr, 1);
}

static void pin_when_out_of_range_expect_ignored(void **state)
{
	struct apic_env *e = *state;

	ioapic_set_pin(e->ioapic, 24, true);
	ioapic_set_pin(e->ioapic, 1000, true);
	assert_false(e->cpu[0].intr);
}

static void load_when_saved_expect_entries_and_pending_level(void **state)
{
	struct apic_env *e = *state;
	struct ioapic *other = ioapic_new(e->bus, 9);

	route(e, 10, 0x41 | LEVEL, 0);
	ioapic_set_pin(e->ioapic, 10, true);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x41);
	wire_transfer(ioapic_device(e->ioapic), ioapic_device(other));
	ioapic_device(e->ioapic)->cls->reset(ioapic_device(e->ioapic));
	assert_int_equal(rd(e, 0x24), MASKED);
	eoi(e, 0);
	assert_true(e->cpu[0].intr); /* from the other, which took over the line */
	ioapic_free(other);
}

/* Another one is at work: nothing is sent from here. */
static void controller_when_it_rests_expect_state_and_no_message(void **state)
{
	struct apic_env *e = *state;
	struct ioapic_regs in, out;

	ioapic_rest(e->ioapic);
	ioapic_get_regs(e->ioapic, &in);
	in.redir[5] = 0x8031;
	in.redir[6] = 0x32;
	in.index = 7;
	in.id = 3;
	ioapic_set_regs(e->ioapic, &in);
	ioapic_set_pin(e->ioapic, 5, true);
	ioapic_set_pin(e->ioapic, 6, true);
	assert_int_equal(lapic_mmio_read(e->lapic[0], 0x210, 4), 0); /* IRR of 0x20..0x3f */
	in.lines = 3u << 5;
	ioapic_get_regs(e->ioapic, &out);
	assert_memory_equal(&out, &in, sizeof(in));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_expect_masked_and_version),
		T(registers_when_written_expect_masks),
		T(edge_when_unmasked_expect_one_interrupt_a_rise),
		T(edge_when_masked_expect_lost),
		T(level_when_asserted_expect_redelivery_after_eoi),
		T(level_when_no_apic_holds_it_expect_it_has_ended),
		T(level_when_masked_while_asserted_expect_delivery_at_unmask),
		T(level_when_nobody_accepts_expect_delivery_when_somebody_does),
		T(entry_when_made_edge_expect_remote_irr_cleared),
		T(eoi_register_when_written_expect_remote_irr_cleared),
		T(modes_when_sent_expect_pins),
		T(logical_when_lowest_priority_expect_turns_and_priority),
		T(msi_when_written_expect_delivery),
		T(pin_when_out_of_range_expect_ignored),
		T(controller_when_it_rests_expect_state_and_no_message),
		T(load_when_saved_expect_entries_and_pending_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
