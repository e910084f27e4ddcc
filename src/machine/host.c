// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an engine calls when the guest reaches beyond memory: ports, device memory, the local APIC.
 * Threads: vCPU threads; each function takes the VM lock.
 */
#include "machine/vm_int.h"

static uint64_t pio_read(void *opaque, uint16_t port, unsigned size)
{
	struct vm *vm = opaque;
	uint64_t val;

	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	val = bus_pio_read(vm->bus, port, size);
	pthread_mutex_unlock(&vm->lock);
	return val;
}

static void pio_write(void *opaque, uint16_t port, uint64_t val, unsigned size)
{
	struct vm *vm = opaque;

	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	bus_pio_write(vm->bus, port, val, size);
	pthread_mutex_unlock(&vm->lock);
}

/* A processor sees its own local APIC where others see theirs, before the bus is asked. */
static uint64_t mmio_read(void *opaque, unsigned cpu, gpa_t gpa, unsigned size)
{
	struct vm *vm = opaque;
	struct lapic *lapic;
	uint64_t val;

	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	lapic = board_lapic(vm->board, cpu);
	if (lapic_claims(lapic, gpa))
		val = lapic_mmio_read(lapic, (uint32_t)(gpa & (LAPIC_MMIO_LEN - 1)), size);
	else
		val = bus_mmio_read(vm->bus, gpa, size);
	pthread_mutex_unlock(&vm->lock);
	return val;
}

static void mmio_write(void *opaque, unsigned cpu, gpa_t gpa, uint64_t val, unsigned size)
{
	struct vm *vm = opaque;
	struct lapic *lapic;

	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	lapic = board_lapic(vm->board, cpu);
	if (lapic_claims(lapic, gpa))
		lapic_mmio_write(lapic, (uint32_t)(gpa & (LAPIC_MMIO_LEN - 1)), val, size);
	else
		bus_mmio_write(vm->bus, gpa, val, size);
	pthread_mutex_unlock(&vm->lock);
}

static uint64_t element_load(const uint8_t *p, unsigned size)
{
	switch (size) {
	case 1:
		return *p;
	case 2:
		return *(const volatile uint16_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	default:
		return *(const volatile uint64_t *)p;
	}
}

static void element_store(uint8_t *p, uint64_t v, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		*(volatile uint16_t *)p = (uint16_t)v;
		break;
	case 4:
		*(volatile uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(volatile uint64_t *)p = v;
	}
}

/* One lock for all. What a device does to the memory map ends it: host addresses may be others then. */
static uint64_t mmio_string(void *opaque, unsigned cpu, const struct engine_string *s)
{
	struct vm *vm = opaque;
	uint64_t done = 0, v = s->value;
	struct lapic *lapic;
	uint32_t version;

	pthread_mutex_lock(&vm->lock);
	vm_drain_locked(vm);
	version = mem_version(vm->mem);
	lapic = board_lapic(vm->board, cpu);
	if ((!s->to && lapic_claims(lapic, s->to_gpa)) ||
	    (s->reads && !s->from && lapic_claims(lapic, s->from_gpa))) {
		pthread_mutex_unlock(&vm->lock);
		return 0;
	}
	while (done < s->n && mem_version(vm->mem) == version) {
		int64_t off = (int64_t)done++ * s->step;

		if (s->reads)
			v = s->from ? element_load(s->from + off, s->size)
				    : bus_mmio_read(vm->bus, s->from_gpa + (uint64_t)off, s->size);
		if (s->to)
			element_store(s->to + off, v, s->size);
		else
			bus_mmio_write(vm->bus, s->to_gpa + (uint64_t)off, v, s->size);
	}
	pthread_mutex_unlock(&vm->lock);
	return done;
}

static int irq_ack(void *opaque, unsigned cpu)
{
	struct vm *vm = opaque;
	int vector;

	pthread_mutex_lock(&vm->lock);
	vector = board_irq_ack(vm->board, cpu);
	pthread_mutex_unlock(&vm->lock);
	return vector;
}

static int apic_msr_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val)
{
	struct vm *vm = opaque;
	int r;

	pthread_mutex_lock(&vm->lock);
	r = lapic_msr_read(board_lapic(vm->board, cpu), msr, val);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

static int apic_msr_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t val)
{
	struct vm *vm = opaque;
	int r;

	pthread_mutex_lock(&vm->lock);
	r = lapic_msr_write(board_lapic(vm->board, cpu), msr, val);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

static uint8_t cr8_read(void *opaque, unsigned cpu)
{
	struct vm *vm = opaque;
	uint8_t cr8;

	pthread_mutex_lock(&vm->lock);
	cr8 = lapic_cr8(board_lapic(vm->board, cpu));
	pthread_mutex_unlock(&vm->lock);
	return cr8;
}

static void cr8_write(void *opaque, unsigned cpu, uint8_t val)
{
	struct vm *vm = opaque;

	pthread_mutex_lock(&vm->lock);
	lapic_set_cr8(board_lapic(vm->board, cpu), val);
	pthread_mutex_unlock(&vm->lock);
}

static void ferr(void *opaque, bool level)
{
	struct vm *vm = opaque;

	pthread_mutex_lock(&vm->lock);
	board_ferr(vm->board, level);
	pthread_mutex_unlock(&vm->lock);
}

static void eoi(void *opaque, uint8_t vector)
{
	struct vm *vm = opaque;

	pthread_mutex_lock(&vm->lock);
	board_eoi(vm->board, vector);
	pthread_mutex_unlock(&vm->lock);
}

struct engine_host vm_engine_host(struct vm *vm)
{
	return (struct engine_host){
		.opaque = vm,
		.pio_read = pio_read,
		.pio_write = pio_write,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.mmio_string = mmio_string,
		.irq_ack = irq_ack,
		.apic_msr_read = apic_msr_read,
		.apic_msr_write = apic_msr_write,
		.cr8_read = cr8_read,
		.cr8_write = cr8_write,
		.ferr = ferr,
		.eoi = eoi,
	};
}
