// SPDX-License-Identifier: GPL-2.0-or-later
/* The local APIC's interrupts and registers: make t T=devices/lapic */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "apic_env.h"
#include "wire.h"

#define ID 0x20
#define VERSION 0x30
#define TPR 0x80
#define PPR 0xa0
#define EOI 0xb0
#define LDR 0xd0
#define DFR 0xe0
#define SVR 0xf0
#define ISR 0x100
#define TMR 0x180
#define IRR 0x200
#define ESR 0x280
#define ICR 0x300
#define ICR_HIGH 0x310
#define LVT_TIMER 0x320
#define LVT_LINT0 0x350
#define LVT_LINT1 0x360
#define LVT_ERROR 0x370
#define MASKED 0x10000u
#define X2(reg) (0x800u + (reg) / 16)

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

static uint32_t rd(struct apic_env *e, unsigned cpu, uint32_t off)
{
	return (uint32_t)lapic_mmio_read(e->lapic[cpu], off, 4);
}

static void wr(struct apic_env *e, unsigned cpu, uint32_t off, uint32_t v)
{
	lapic_mmio_write(e->lapic[cpu], off, v, 4);
}

static void ipi(struct apic_env *e, unsigned cpu, uint8_t dest, uint32_t low)
{
	wr(e, cpu, ICR_HIGH, (uint32_t)dest << 24);
	wr(e, cpu, ICR, low);
}

static void self(struct apic_env *e, unsigned cpu, uint8_t vector)
{
	ipi(e, cpu, 0, 0x40000u | vector);
}

static unsigned pending(const struct apic_env *e)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < ENV_CPUS; i++)
		mask |= (unsigned)e->cpu[i].intr << i;
	return mask;
}

static void drain(struct apic_env *e)
{
	for (unsigned i = 0; i < ENV_CPUS; i++) {
		while (lapic_ack(e->lapic[i]) >= 0)
			wr(e, i, EOI, 0);
	}
}

static int x2_on(struct apic_env *e, unsigned cpu)
{
	return lapic_msr_write(e->lapic[cpu], MSR_APIC_BASE,
			       lapic_base(e->lapic[cpu]) | APIC_BASE_X2APIC);
}

static void reset_expect_data_sheet_values(void **state)
{
	struct apic_env *e = *state;
	struct device *d = lapic_device(e->lapic[1]);

	d->cls->reset(d);
	assert_int_equal(rd(e, 1, ID), 0x01000000);
	assert_int_equal(rd(e, 1, VERSION), 0x00050014);
	assert_int_equal(rd(e, 1, TPR), 0);
	assert_int_equal(rd(e, 1, LDR), 0);
	assert_int_equal(rd(e, 1, DFR), 0xffffffff);
	assert_int_equal(rd(e, 1, SVR), 0xff);
	for (uint32_t off = LVT_TIMER; off <= LVT_ERROR; off += 16)
		assert_int_equal(rd(e, 1, off), MASKED);
	assert_int_equal(lapic_base(e->lapic[1]), 0xfee00800);
	assert_int_equal(lapic_base(e->lapic[0]), 0xfee00900);
	/* The bootstrap processor wakes up in virtual wire mode. */
	d = lapic_device(e->lapic[0]);
	d->cls->reset(d);
	assert_int_equal(rd(e, 0, LVT_LINT0), 0x700);
}

static void ack_when_several_pending_expect_priority_order(void **state)
{
	struct apic_env *e = *state;

	self(e, 0, 0x31);
	self(e, 0, 0x52);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x52);
	assert_int_equal(rd(e, 0, PPR), 0x50);
	assert_int_equal(rd(e, 0, ISR + 0x20), 1u << 0x12);
	/* Lower and same class wait, a higher class interrupts. */
	assert_false(e->cpu[0].intr);
	self(e, 0, 0x5f);
	assert_false(e->cpu[0].intr);
	self(e, 0, 0x60);
	assert_true(e->cpu[0].intr);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x60);
	wr(e, 0, EOI, 0);
	assert_int_equal(lapic_ack(e->lapic[0]), -1);
	wr(e, 0, EOI, 0);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x5f);
	wr(e, 0, EOI, 0);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x31);
	wr(e, 0, EOI, 0);
	wr(e, 0, EOI, 0); /* one too many */
	assert_int_equal(rd(e, 0, PPR), 0);
}

static void tpr_when_raised_expect_intr_withdrawn(void **state)
{
	struct apic_env *e = *state;

	self(e, 0, 0x45);
	assert_true(e->cpu[0].intr);
	wr(e, 0, TPR, 0x40);
	assert_false(e->cpu[0].intr);
	assert_int_equal(lapic_ack(e->lapic[0]), -1);
	assert_int_equal(lapic_cr8(e->lapic[0]), 4);
	lapic_set_cr8(e->lapic[0], 3);
	assert_true(e->cpu[0].intr);
	assert_int_equal(rd(e, 0, TPR), 0x30);
	/* PPR takes the sub-class from TPR when that wins (§10.8.3.1). */
	wr(e, 0, TPR, 0x4b);
	assert_int_equal(rd(e, 0, PPR), 0x4b);
}

static void ipi_when_physical_expect_that_processor(void **state)
{
	struct apic_env *e = *state;

	ipi(e, 0, 2, 0x4041);
	assert_int_equal(pending(e), 1 << 2);
	ipi(e, 0, 9, 0x4041);
	assert_int_equal(pending(e), 1 << 2);
	ipi(e, 1, 0xff, 0x4042);
	assert_int_equal(pending(e), 0xf);
	assert_int_equal(rd(e, 1, ICR), 0x4042);
	assert_int_equal(rd(e, 1, ICR_HIGH), 0xff000000);
}

static void ipi_when_shorthand_expect_its_processors(void **state)
{
	struct apic_env *e = *state;

	ipi(e, 1, 0, 0x44041);
	assert_int_equal(pending(e), 1 << 1);
	drain(e);
	ipi(e, 1, 0, 0x84041);
	assert_int_equal(pending(e), 0xf);
	drain(e);
	ipi(e, 1, 0, 0xc4041);
	assert_int_equal(pending(e), 0xf & ~(1 << 1));
}

static void ipi_when_logical_flat_expect_ldr_bits(void **state)
{
	struct apic_env *e = *state;

	for (unsigned i = 0; i < ENV_CPUS; i++)
		wr(e, i, LDR, 0x01000000u << i);
	ipi(e, 0, 0x0a, 0x4841);
	assert_int_equal(pending(e), 0xa);
	drain(e);
	ipi(e, 0, 0x30, 0x4841);
	assert_int_equal(pending(e), 0);
	ipi(e, 0, 0xff, 0x4841);
	assert_int_equal(pending(e), 0xf);
}

static void ipi_when_logical_cluster_expect_cluster_members(void **state)
{
	struct apic_env *e = *state;

	for (unsigned i = 0; i < ENV_CPUS; i++) {
		wr(e, i, DFR, 0);
		assert_int_equal(rd(e, i, DFR), 0x0fffffff);
		wr(e, i, LDR, (i / 2 << 28) | (1u << (24 + i % 2)));
	}
	ipi(e, 0, 0x13, 0x4841);
	assert_int_equal(pending(e), 0xc);
	drain(e);
	ipi(e, 0, 0x02, 0x4841);
	assert_int_equal(pending(e), 0x2);
	drain(e);
	ipi(e, 0, 0x20, 0x4841);
	assert_int_equal(pending(e), 0);
}

static void init_and_sipi_when_sent_expect_reset_and_vector(void **state)
{
	struct apic_env *e = *state;

	wr(e, 1, TPR, 0x55);
	ipi(e, 0, 1, 0xc500); /* INIT, level, assert */
	assert_int_equal(e->cpu[1].init, 1);
	assert_int_equal(rd(e, 1, SVR), 0xff);
	assert_int_equal(rd(e, 1, TPR), 0);
	ipi(e, 0, 1, 0x8500); /* de-assert */
	assert_int_equal(e->cpu[1].init, 1);
	ipi(e, 0, 1, 0x4609);
	assert_int_equal(e->cpu[1].sipi, 1);
	assert_int_equal(e->cpu[1].sipi_vector, 9);
	ipi(e, 0, 0, 0xc4500); /* INIT to all others */
	assert_int_equal(e->cpu[0].init, 0);
	assert_int_equal(e->cpu[3].init, 1);
	ipi(e, 0, 3, 0x4400);
	assert_int_equal(e->cpu[3].nmi, 1);
}

static void fixed_when_software_disabled_expect_refused_but_nmi_taken(void **state)
{
	struct apic_env *e = *state;

	self(e, 1, 0x41);
	wr(e, 1, LVT_TIMER, 0x30);
	wr(e, 1, SVR, 0xff);
	ipi(e, 0, 1, 0x4042);
	ipi(e, 0, 1, 0x4400);
	assert_int_equal(e->cpu[1].nmi, 1);
	/* What was pending stays deliverable; the new one is not there. */
	assert_int_equal(lapic_ack(e->lapic[1]), 0x41);
	assert_int_equal(lapic_ack(e->lapic[1]), -1);
	/* All local vectors are masked and stay so. */
	assert_int_equal(rd(e, 1, LVT_TIMER), MASKED | 0x30);
	wr(e, 1, LVT_TIMER, 0x30);
	assert_int_equal(rd(e, 1, LVT_TIMER), MASKED | 0x30);
}

static void vector_when_illegal_expect_error_and_no_interrupt(void **state)
{
	struct apic_env *e = *state;

	wr(e, 0, LVT_ERROR, 0xfe);
	self(e, 0, 0x0f);
	assert_int_equal(rd(e, 0, ESR), 0);
	wr(e, 0, ESR, 0);
	assert_int_equal(rd(e, 0, ESR), 0x20);
	assert_int_equal(lapic_ack(e->lapic[0]), 0xfe);
	wr(e, 0, EOI, 0);
	wr(e, 0, ESR, 0);
	assert_int_equal(rd(e, 0, ESR), 0);
	/* Received: by MSI. */
	apic_bus_msi(e->bus, 0xfee00000, 0x05);
	wr(e, 0, ESR, 0);
	assert_int_equal(rd(e, 0, ESR), 0x40);
	/* Reporting with an illegal vector is itself an error, and ends there. */
	drain(e);
	wr(e, 0, ESR, 0);
	wr(e, 0, LVT_ERROR, 0x01);
	self(e, 0, 0x0f);
	wr(e, 0, ESR, 0);
	assert_int_equal(rd(e, 0, ESR), 0x60);
	assert_false(e->cpu[0].intr);
}

static void page_when_hole_expect_register_error(void **state)
{
	struct apic_env *e = *state;

	assert_int_equal(rd(e, 0, 0x40), 0);
	wr(e, 0, ESR, 0);
	assert_int_equal(rd(e, 0, ESR), 0x80);
	rd(e, 0, 0xff0);
	wr(e, 0, 0x3f0, 0x41);
	assert_false(e->cpu[0].intr);
}

static void page_when_odd_access_expect_tolerated(void **state)
{
	struct apic_env *e = *state;

	assert_int_equal(lapic_mmio_read(e->lapic[2], ID + 3, 1), 2);
	assert_int_equal(lapic_mmio_read(e->lapic[2], VERSION + 2, 2), 5);
	assert_int_equal(lapic_mmio_read(e->lapic[2], VERSION + 4, 4), 0);
	lapic_mmio_write(e->lapic[2], TPR, 0x33, 1);
	lapic_mmio_write(e->lapic[2], TPR + 4, 0x33, 4);
	assert_int_equal(rd(e, 2, TPR), 0);
	lapic_mmio_write(e->lapic[2], TPR, 0x33, 8);
	assert_int_equal(rd(e, 2, TPR), 0x33);
	/* Read-only and write-only registers. */
	wr(e, 2, ID, 0);
	assert_int_equal(rd(e, 2, ID), 0x02000000);
	assert_int_equal(rd(e, 2, EOI), 0);
}

static void extint_when_lint0_rises_expect_8259_acknowledged(void **state)
{
	struct apic_env *e = *state;

	apic_bus_set_lint(e->bus, 0, true);
	assert_int_equal(pending(e), 1);
	/* It does not compete with priorities. */
	lapic_set_cr8(e->lapic[0], 15);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x30);
	assert_int_equal(e->pic_acks, 1);
	assert_int_equal(pending(e), 0);
	assert_int_equal(rd(e, 0, ISR + 0x10), 0);
	wr(e, 0, LVT_LINT0, 0x700 | MASKED);
	apic_bus_set_lint(e->bus, 0, true);
	assert_int_equal(pending(e), 0);
	wr(e, 0, LVT_LINT0, 0x8700);
	assert_int_equal(pending(e), 1);
}

static void lint1_when_rises_expect_nmi_where_unmasked(void **state)
{
	struct apic_env *e = *state;

	wr(e, 1, LVT_LINT1, 0x400);
	apic_bus_set_lint(e->bus, 1, true);
	apic_bus_set_lint(e->bus, 1, true);
	assert_int_equal(e->cpu[1].nmi, 1);
	assert_int_equal(e->cpu[0].nmi, 0);
}

static void lint0_when_level_fixed_expect_remote_irr_until_eoi(void **state)
{
	struct apic_env *e = *state;

	wr(e, 1, LVT_LINT0, 0x8041);
	apic_bus_set_lint(e->bus, 0, true);
	assert_int_equal(rd(e, 1, LVT_LINT0), 0xc041);
	assert_int_equal(lapic_ack(e->lapic[1]), 0x41);
	assert_int_equal(rd(e, 1, TMR + 0x20), 2);
	assert_false(e->cpu[1].intr);
	wr(e, 1, EOI, 0);
	assert_true(e->cpu[1].intr);
	assert_int_equal(lapic_ack(e->lapic[1]), 0x41);
	apic_bus_set_lint(e->bus, 0, false);
	wr(e, 1, EOI, 0);
	assert_false(e->cpu[1].intr);
	assert_int_equal(rd(e, 1, LVT_LINT0), 0x8041);
}

static void base_when_disabled_expect_plain_pins(void **state)
{
	struct apic_env *e = *state;
	struct lapic *l = e->lapic[1];

	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00000), 0);
	assert_int_equal(e->cpu[1].base, 0xfee00000);
	assert_false(lapic_claims(l, 0xfee00000));
	ipi(e, 0, 1, 0x4041);
	ipi(e, 0, 1, 0xc500);
	assert_int_equal(e->cpu[1].init, 0);
	assert_int_equal(pending(e), 0);
	apic_bus_set_lint(e->bus, 0, true);
	assert_int_equal(pending(e), 3); /* and the bootstrap processor's */
	apic_bus_set_lint(e->bus, 1, true);
	assert_int_equal(e->cpu[1].nmi, 1);
	assert_int_equal(lapic_ack(l), 0x30);
	/* On again, it is as after power-up. */
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00800), 0);
	assert_int_equal(rd(e, 1, SVR), 0xff);
}

static void base_when_moved_expect_page_claimed_there(void **state)
{
	struct apic_env *e = *state;
	struct lapic *l = e->lapic[1];

	assert_true(lapic_claims(l, 0xfee00fff));
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, 0x12345800), 0);
	assert_true(lapic_claims(l, 0x12345300));
	assert_false(lapic_claims(l, 0xfee00000));
	assert_true(lapic_claims(e->lapic[0], 0xfee00000));
}

static void base_when_transition_illegal_expect_gp(void **state)
{
	struct apic_env *e = *state;
	struct lapic *l = e->lapic[1];
	uint64_t off = 0xfee00000, x1 = off | 0x800, x2 = off | 0xc00, invalid = off | 0x400;

	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, invalid), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x1 | 1), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x1 | 0x200), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x1 | 1ull << 40), -1);
	assert_int_equal(lapic_base(l), x1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x2), 0);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x1), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, off), 0);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x2), -1);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x1), 0);
	assert_int_equal(lapic_msr_write(l, MSR_APIC_BASE, x2), 0);
	assert_false(lapic_claims(l, off));
}

static void x2apic_when_on_expect_msrs_by_access_rules(void **state)
{
	struct apic_env *e = *state;
	struct lapic *l = e->lapic[3];
	uint64_t v = 0;

	assert_int_equal(lapic_msr_read(l, X2(ID), &v), -1);
	assert_int_equal(lapic_msr_write(l, X2(TPR), 0), -1);
	assert_int_equal(x2_on(e, 3), 0);
	assert_int_equal(lapic_msr_read(l, X2(ID), &v), 0);
	assert_int_equal(v, 3);
	assert_int_equal(lapic_msr_read(l, X2(LDR), &v), 0);
	assert_int_equal(v, 1 << 3);
	assert_int_equal(lapic_msr_read(l, X2(VERSION), &v), 0);
	assert_int_equal(v, 0x00050014);
	/* No such MSR, or not in that direction. */
	assert_int_equal(lapic_msr_read(l, X2(DFR), &v), -1);
	assert_int_equal(lapic_msr_read(l, X2(ICR_HIGH), &v), -1);
	assert_int_equal(lapic_msr_read(l, X2(EOI), &v), -1);
	assert_int_equal(lapic_msr_read(l, 0x83f, &v), -1);
	assert_int_equal(lapic_msr_read(l, 0x8ff, &v), -1);
	assert_int_equal(lapic_msr_read(l, 0x900, &v), -1);
	assert_int_equal(lapic_msr_write(l, X2(ID), 3), -1);
	assert_int_equal(lapic_msr_write(l, X2(LDR), 0), -1);
	assert_int_equal(lapic_msr_write(l, X2(IRR), 0), -1);
	assert_int_equal(lapic_msr_write(l, 0x839, 0), -1);
	/* Reserved bits. */
	assert_int_equal(lapic_msr_write(l, X2(TPR), 0x100), -1);
	assert_int_equal(lapic_msr_write(l, X2(TPR), 1ull << 32), -1);
	assert_int_equal(lapic_msr_write(l, X2(EOI), 1), -1);
	assert_int_equal(lapic_msr_write(l, X2(ESR), 1), -1);
	assert_int_equal(lapic_msr_write(l, X2(SVR), 0x1000), -1);
	assert_int_equal(lapic_msr_write(l, X2(LVT_TIMER), 0x80000), -1);
	assert_int_equal(lapic_msr_write(l, X2(ICR), 0x100000), -1);
	assert_int_equal(lapic_msr_write(l, 0x83e, 4), -1);
	assert_int_equal(lapic_msr_write(l, 0x83f, 0x141), -1);
	/* Read-only bits of a writable register are no fault. */
	assert_int_equal(lapic_msr_write(l, X2(LVT_LINT0), 0x5700), 0);
	assert_int_equal(lapic_msr_read(l, X2(LVT_LINT0), &v), 0);
	assert_int_equal(v, 0x0700);
	assert_int_equal(lapic_msr_write(l, X2(TPR), 0x20), 0);
	assert_int_equal(lapic_cr8(l), 2);
}

static void x2apic_ipi_when_sent_expect_wide_destinations(void **state)
{
	struct apic_env *e = *state;

	for (unsigned i = 0; i < ENV_CPUS; i++)
		assert_int_equal(x2_on(e, i), 0);
	assert_int_equal(lapic_msr_write(e->lapic[0], X2(ICR), 0x0000000200004041), 0);
	assert_int_equal(pending(e), 1 << 2);
	assert_int_equal(lapic_ack(e->lapic[2]), 0x41);
	assert_int_equal(lapic_msr_write(e->lapic[2], X2(EOI), 0), 0);
	/* 0xff is an ordinary ID here. */
	assert_int_equal(lapic_msr_write(e->lapic[0], X2(ICR), 0x000000ff00004041), 0);
	assert_int_equal(pending(e), 0);
	/* Logical: cluster 0, members 1 and 3. */
	assert_int_equal(lapic_msr_write(e->lapic[0], X2(ICR), 0x0000000a00004841), 0);
	assert_int_equal(pending(e), 0xa);
	assert_int_equal(lapic_msr_write(e->lapic[0], X2(ICR), 0x0001000500004842), 0);
	assert_int_equal(pending(e), 0xa);
	assert_int_equal(lapic_msr_write(e->lapic[0], X2(ICR), 0xffffffff00004043), 0);
	assert_int_equal(pending(e), 0xf);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x43);
	assert_int_equal(lapic_msr_write(e->lapic[0], X2(EOI), 0), 0);
	assert_int_equal(lapic_msr_write(e->lapic[0], 0x83f, 0x55), 0);
	assert_int_equal(lapic_ack(e->lapic[0]), 0x55);
	/* A message with an 8-bit destination still reaches everyone with 0xff. */
	apic_bus_msi(e->bus, 0xfeeff000, 0x71);
	assert_int_equal(lapic_ack(e->lapic[3]), 0x71);
}

static void load_when_saved_expect_requests_and_pin(void **state)
{
	struct apic_env *e = *state;

	wr(e, 1, LDR, 0x02000000);
	self(e, 1, 0x45);
	assert_int_equal(lapic_ack(e->lapic[1]), 0x45);
	self(e, 1, 0x93);
	wire_transfer(lapic_device(e->lapic[1]), lapic_device(e->lapic[2]));
	assert_true(e->cpu[2].intr);
	assert_int_equal(rd(e, 2, PPR), 0x40);
	assert_int_equal(rd(e, 2, LDR), 0x02000000);
	assert_int_equal(rd(e, 2, ICR), 0x40093);
	assert_int_equal(lapic_ack(e->lapic[2]), 0x93);
	wr(e, 2, EOI, 0);
	wr(e, 2, EOI, 0);
	assert_int_equal(rd(e, 2, PPR), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_expect_data_sheet_values),
		T(ack_when_several_pending_expect_priority_order),
		T(tpr_when_raised_expect_intr_withdrawn),
		T(ipi_when_physical_expect_that_processor),
		T(ipi_when_shorthand_expect_its_processors),
		T(ipi_when_logical_flat_expect_ldr_bits),
		T(ipi_when_logical_cluster_expect_cluster_members),
		T(init_and_sipi_when_sent_expect_reset_and_vector),
		T(fixed_when_software_disabled_expect_refused_but_nmi_taken),
		T(vector_when_illegal_expect_error_and_no_interrupt),
		T(page_when_hole_expect_register_error),
		T(page_when_odd_access_expect_tolerated),
		T(extint_when_lint0_rises_expect_8259_acknowledged),
		T(lint1_when_rises_expect_nmi_where_unmasked),
		T(lint0_when_level_fixed_expect_remote_irr_until_eoi),
		T(base_when_disabled_expect_plain_pins),
		T(base_when_moved_expect_page_claimed_there),
		T(base_when_transition_illegal_expect_gp),
		T(x2apic_when_on_expect_msrs_by_access_rules),
		T(x2apic_ipi_when_sent_expect_wide_destinations),
		T(load_when_saved_expect_requests_and_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
