// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Local APICs in the host's kernel: the bus's messages go there, and their state comes out into the devices
 * and goes back in, so that whoever saves, loads or resets devices need not know.
 * Threads: with the VM lock held; get and put with every vCPU parked.
 */
#include <errno.h>
#include <string.h>

#include "machine/board_int.h"

_Static_assert(ENGINE_LAPIC_PAGE == LAPIC_PAGE_BYTES, "one layout");

static const struct engine_irqchip_ops *chip_ops(const struct vm *vm)
{
	return vm->ops->irqchip;
}

enum engine_irqchip board_irqchip(const struct vm *vm)
{
	return chip_ops(vm) ? chip_ops(vm)->kind(vm->engine) : ENGINE_IRQCHIP_OFF;
}

static bool remote_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct board *b = opaque;

	return chip_ops(b->vm)->msi(b->vm->engine, addr, data);
}

static void remote_route(void *opaque, unsigned pin, uint64_t addr, uint32_t data)
{
	struct board *b = opaque;

	chip_ops(b->vm)->route(b->vm->engine, pin, addr, data);
}

/* The 8259 pair is wired to the first processor, NMI to all. */
static void remote_lint(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;
	struct vm *vm = b->vm;

	if (n == 0)
		vm_cpu_signal(vm, 0, level ? VCPU_SIGNAL_INTR_ON : VCPU_SIGNAL_INTR_OFF, 0);
	for (unsigned i = 0; n == 1 && level && i < vm->cfg.cpus; i++)
		vm_cpu_signal(vm, i, VCPU_SIGNAL_NMI, 0);
}

void board_wire_irqchip(struct board *b)
{
	const struct apic_remote r = {
		.opaque = b,
		.msi = remote_msi,
		.lint = remote_lint,
		.route = remote_route,
	};

	b->apics_remote = board_irqchip(b->vm) != ENGINE_IRQCHIP_OFF;
	if (b->apics_remote)
		apic_bus_set_remote(b->apics, &r);
}

int board_irqchip_put(struct board *b, struct lodge_err *err)
{
	struct vm *vm = b->vm;

	for (unsigned i = 0; b->apics_remote && i < vm->cfg.cpus; i++) {
		struct engine_lapic l = {.base = lapic_base(b->lapics[i]),
					 .deadline_tsc = lapic_deadline_tsc(b->lapics[i])};
		int r;

		lapic_get_page(b->lapics[i], l.page);
		r = chip_ops(vm)->lapic_set(vm->cpus[i].vcpu, &l);
		if (r)
			return err_set(err, r,
				       "KVM does not take the registers of local APIC %u: %s", i,
				       strerror(-r));
	}
	return 0;
}

int board_irqchip_get(struct board *b, struct lodge_err *err)
{
	struct vm *vm = b->vm;

	for (unsigned i = 0; b->apics_remote && i < vm->cfg.cpus; i++) {
		struct engine_lapic l;
		int r = chip_ops(vm)->lapic_get(vm->cpus[i].vcpu, &l);

		if (r)
			return err_set(err, r,
				       "KVM does not give the registers of local APIC %u: %s", i,
				       strerror(-r));
		lapic_set_page(b->lapics[i], l.base, l.page, l.deadline_tsc);
	}
	return 0;
}

void board_irqchip_hold(struct board *b, bool on)
{
	if (b->apics_remote)
		chip_ops(b->vm)->hold(b->vm->engine, on);
}

int board_irq_ack(struct board *b, unsigned cpu)
{
	if (!b->apics_remote)
		return lapic_ack(b->lapics[cpu]);
	return i8259_intr(b->pic) ? i8259_ack(b->pic) : -1;
}

void board_eoi(struct board *b, uint8_t vector)
{
	apic_bus_eoi(b->apics, vector);
}
