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
		.irq_ack = irq_ack,
		.apic_msr_read = apic_msr_read,
		.apic_msr_write = apic_msr_write,
		.cr8_read = cr8_read,
		.cr8_write = cr8_write,
		.ferr = ferr,
		.eoi = eoi,
	};
}
