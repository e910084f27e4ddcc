// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Local APICs in the host's kernel: the bus's messages go there, and their state comes out into the devices
 * and goes back in, so that whoever saves, loads or resets devices need not know.
 * Threads: with the VM lock held; get and put with every vCPU parked.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
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

	/* With all of them there, the 8259s here are at rest. */
	if (n == 0 && !b->chips_remote)
		vm_cpu_signal(vm, 0, level ? VCPU_SIGNAL_INTR_ON : VCPU_SIGNAL_INTR_OFF, 0);
	for (unsigned i = 0; n == 1 && level && i < vm->cfg.cpus; i++)
		vm_cpu_signal(vm, i, VCPU_SIGNAL_NMI, 0);
}

/* ---- Messages of PCI functions by a way of their own ----------------------------------------------- */

static int way_open(void *opaque)
{
	struct vm *vm = ((struct board *)opaque)->vm;

	return chip_ops(vm)->way_open(vm->engine);
}

static void way_close(void *opaque, int way)
{
	struct vm *vm = ((struct board *)opaque)->vm;

	chip_ops(vm)->way_close(vm->engine, way);
}

static bool way_send(void *opaque, int way, uint64_t addr, uint32_t data)
{
	struct board *b = opaque;

	/* What is no interrupt message is for apic_bus_msi() to refuse; and while state is loaded all go by it. */
	return !b->loading && apic_bus_is_msi(addr, data) &&
	       chip_ops(b->vm)->way_send(b->vm->engine, way, addr, data);
}

void board_wire_msi(struct board *b)
{
	const struct pci_msi_ways ways = {.opaque = b,
					  .open = way_open,
					  .close = way_close,
					  .send = way_send};

	pci_bus_set_msi(b->pci, apic_bus_msi, b->apics);
	if (b->apics_remote)
		pci_bus_set_msi_ways(b->pci, &ways);
}

/* ---- The wires ------------------------------------------------------------------------------------- */

void board_wire_irqchip(struct board *b)
{
	const struct apic_remote r = {
		.opaque = b,
		.msi = remote_msi,
		.lint = remote_lint,
		.route = remote_route,
	};

	b->apics_remote = board_irqchip(b->vm) != ENGINE_IRQCHIP_OFF;
	b->chips_remote = board_irqchip(b->vm) == ENGINE_IRQCHIP_ON;
	if (b->apics_remote)
		apic_bus_set_remote(b->apics, &r);
}

/* ---- The other controllers ------------------------------------------------------------------------- */

void board_rest_chips(struct board *b)
{
	if (!b->chips_remote)
		return;
	ioapic_rest(b->ioapic);
	i8254_rest(b->pit);
}

void board_chip_hpet(void *board, unsigned n, bool level)
{
	struct board *b = board;

	(void)n;
	if (b->hpet_legacy == level)
		return;
	b->hpet_legacy = level;
	if (b->chips_remote)
		chip_ops(b->vm)->hpet_legacy(b->vm->engine, level);
}

static void pic_out(struct engine_pic *to, const struct i8259_regs *r)
{
	_Static_assert(sizeof(*to) == sizeof(*r), "one structure under two names");
	memcpy(to, r, sizeof(*to));
}

static void pit_out(struct engine_pit_counter *to, const struct i8254_regs *r)
{
	_Static_assert(sizeof(*to) == sizeof(*r), "one structure under two names");
	memcpy(to, r, sizeof(*to));
}

static void ioapic_out(struct engine_ioapic *to, const struct ioapic_regs *r)
{
	_Static_assert(sizeof(*to) == sizeof(*r), "one structure under two names");
	memcpy(to, r, sizeof(*to));
}

static int put_chips(struct board *b)
{
	struct engine_chips c = {.speaker = port61_speaker(b->port61) & 2,
				 .hpet_legacy = b->hpet_legacy};
	struct ioapic_regs io;
	int r;

	for (unsigned i = 0; i < 2; i++) {
		struct i8259_regs p;

		i8259_get_regs(b->pic, i, &p);
		pic_out(&c.pic[i], &p);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct i8254_regs p;

		i8254_get_regs(b->pit, i, &p);
		pit_out(&c.pit[i], &p);
	}
	ioapic_get_regs(b->ioapic, &io);
	ioapic_out(&c.ioapic, &io);
	r = chip_ops(b->vm)->chips_set(b->vm->engine, &c);
	/* The kernel has levels of its own, too, which are those of before. */
	for (unsigned n = 0; n < ENGINE_PINS && !r; n++) {
		bool level = n < 16 ? c.pic[n / 8].line >> n % 8 & 1 : io.lines >> n & 1;

		chip_ops(b->vm)->line(b->vm->engine, n, level);
	}
	return r;
}

static int get_chips(struct board *b)
{
	struct engine_chips c;
	int r = chip_ops(b->vm)->chips_get(b->vm->engine, &c);

	for (unsigned i = 0; i < 2 && !r; i++) {
		struct i8259_regs p;

		memcpy(&p, &c.pic[i], sizeof(p));
		i8259_set_regs(b->pic, i, &p);
	}
	for (unsigned i = 0; i < 3 && !r; i++) {
		struct i8254_regs p;

		memcpy(&p, &c.pit[i], sizeof(p));
		i8254_set_regs(b->pit, i, &p);
	}
	if (!r) {
		struct ioapic_regs io, own;

		/* The kernel forgets the level of edge-triggered ones. */
		ioapic_get_regs(b->ioapic, &own);
		memcpy(&io, &c.ioapic, sizeof(io));
		io.lines = own.lines;
		ioapic_set_regs(b->ioapic, &io);
		port61_set_speaker(b->port61,
				   (uint8_t)((c.pit[2].gate ? 1 : 0) | (c.speaker ? 2 : 0)));
	}
	return r;
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
	if (b->chips_remote) {
		int r = put_chips(b);

		if (r)
			return err_set(
				err, r,
				"KVM does not take the registers of interrupt controllers: %s",
				strerror(-r));
	}
	return 0;
}

/* `held`: the sum of their IRR and ISR, Intel SDM 3A §10.8.4. */
static int get_lapics(struct board *b, uint32_t held[8], struct lodge_err *err)
{
	struct vm *vm = b->vm;

	memset(held, 0, 8 * sizeof(*held));
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		struct engine_lapic l;
		int r = chip_ops(vm)->lapic_get(vm->cpus[i].vcpu, &l);

		if (r)
			return err_set(err, r,
				       "KVM does not give the registers of local APIC %u: %s", i,
				       strerror(-r));
		lapic_set_page(b->lapics[i], l.base, l.page, l.deadline_tsc);
		for (unsigned k = 0; k < 8; k++)
			held[k] |= ld_le32(l.page + 0x100 + 16 * k) |
				   ld_le32(l.page + 0x200 + 16 * k);
	}
	return 0;
}

int board_irqchip_get(struct board *b, struct lodge_err *err)
{
	struct vm *vm = b->vm;
	uint32_t held[8];
	int r;

	if (b->apics_remote) {
		chip_ops(vm)->ways_settle(vm->engine);
		r = get_lapics(b, held, err);
		if (r)
			return r;
		/* The kernel says that an interrupt has ended at the next entry only, which is not in this state. */
		if (!b->chips_remote && apic_bus_end_unheld(b->apics, held)) {
			r = get_lapics(b, held, err);
			if (r)
				return r;
		}
	}
	if (b->chips_remote) {
		r = get_chips(b);

		if (r)
			return err_set(
				err, r,
				"KVM does not give the registers of interrupt controllers: %s",
				strerror(-r));
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
