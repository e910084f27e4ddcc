/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For APIC tests and fuzz targets: a bus with some processors whose pins are counters, in virtual
 * time. Include it once, in the program's one source file.
 */
#ifndef LODGE_TESTS_APIC_ENV_H
#define LODGE_TESTS_APIC_ENV_H

#include <stdlib.h>

#include "devices/legacy/apic_bus.h"
#include "devices/legacy/ioapic.h"
#include "devices/legacy/lapic.h"
#include "fake_time.h"

#define ENV_CPUS 4u
#define ENV_TSC_MHZ 2000u /* the guest's TSC: 2 ticks a nanosecond */

struct env_cpu {
	bool intr;
	unsigned nmi, smi, init, sipi, base_changes;
	uint8_t sipi_vector;
	uint64_t tsc_offset;
	uint64_t base;
};

struct apic_env {
	struct apic_bus *bus;
	struct lapic *lapic[ENV_CPUS];
	struct ioapic *ioapic;
	struct env_cpu cpu[ENV_CPUS];
	int pic_vector; /* what the 8259 answers */
	unsigned pic_acks;
};

static void env_intr(void *o, unsigned cpu, bool level)
{
	((struct apic_env *)o)->cpu[cpu].intr = level;
}
static void env_nmi(void *o, unsigned cpu)
{
	((struct apic_env *)o)->cpu[cpu].nmi++;
}
static void env_smi(void *o, unsigned cpu)
{
	((struct apic_env *)o)->cpu[cpu].smi++;
}
static void env_init(void *o, unsigned cpu)
{
	((struct apic_env *)o)->cpu[cpu].init++;
}
static void env_sipi(void *o, unsigned cpu, uint8_t vector)
{
	struct env_cpu *c = &((struct apic_env *)o)->cpu[cpu];

	c->sipi++;
	c->sipi_vector = vector;
}
static uint64_t env_tsc(void *o, unsigned cpu)
{
	uint64_t off = ((struct apic_env *)o)->cpu[cpu].tsc_offset;

	return clock_mono_ns() * ENV_TSC_MHZ / 1000 + off;
}
static uint64_t env_tsc_to_ns(void *o, unsigned cpu, uint64_t tsc)
{
	uint64_t off = ((struct apic_env *)o)->cpu[cpu].tsc_offset;

	return (tsc - off) / (ENV_TSC_MHZ / 1000);
}
static int env_pic_ack(void *o)
{
	struct apic_env *e = o;

	e->pic_acks++;
	apic_bus_set_lint(e->bus, 0, false);
	return e->pic_vector;
}
static void env_base(void *o, unsigned cpu, uint64_t base)
{
	struct env_cpu *c = &((struct apic_env *)o)->cpu[cpu];

	c->base_changes++;
	c->base = base;
}

static struct lapic *env_lapic(struct apic_env *e, unsigned cpu, struct io_loop *loop)
{
	const struct lapic_config cfg = {.cpu = cpu,
					 .apic_id = cpu,
					 .bsp = cpu == 0,
					 .x2apic = true,
					 .tsc_deadline = true,
					 .phys_bits = 40};

	return lapic_new(e->bus, loop, &cfg);
}

static struct apic_env *apic_env_new(void)
{
	struct apic_env *e = calloc(1, sizeof(*e));
	struct io_loop *loop = fake_begin();
	const struct lapic_host host = {.opaque = e,
					.intr = env_intr,
					.nmi = env_nmi,
					.smi = env_smi,
					.init = env_init,
					.sipi = env_sipi,
					.guest_tsc = env_tsc,
					.tsc_to_mono_ns = env_tsc_to_ns,
					.extint_ack = env_pic_ack,
					.base_changed = env_base};

	e->bus = apic_bus_new(ENV_CPUS, &host);
	e->pic_vector = 0x30;
	for (unsigned i = 0; i < ENV_CPUS; i++) {
		e->lapic[i] = env_lapic(e, i, loop);
		lapic_device(e->lapic[i])->cls->reset(lapic_device(e->lapic[i]));
	}
	e->ioapic = ioapic_new(e->bus, ENV_CPUS);
	return e;
}

static void apic_env_free(struct apic_env *e)
{
	ioapic_free(e->ioapic);
	for (unsigned i = 0; i < ENV_CPUS; i++)
		lapic_free(e->lapic[i]);
	apic_bus_free(e->bus);
	free(e);
}

#endif
