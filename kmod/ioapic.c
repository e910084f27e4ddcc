// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The I/O APIC.
 * Source: Intel 82093AA data sheet §3; Linux, <asm/kvm.h> (struct kvm_ioapic_state).
 * Threads: any; chip_lock.
 */
#include "lodge.h"

/* Redirection entries (§3.2.4). */
#define LOGICAL (1ull << 11)
#define STATUS (1ull << 12)
#define REMOTE_IRR (1ull << 14)
#define LEVEL (1ull << 15)
#define MASKED (1ull << 16)
#define WRITABLE 0xff0000000001afffull
#define VERSION (0x11 | (LODGE_IOAPIC_PINS - 1) << 16)

/* As lodge_ioapic_line. */
static int send(struct lodge_vm *vm, unsigned int pin)
{
	u64 *e = &vm->chips->io.redirtbl[pin].bits;
	struct lodge_msg m = {
		.dest = *e >> 56,
		.vector = *e,
		.mode = *e >> 8 & 7,
		.logical = *e & LOGICAL,
		.level = *e & LEVEL,
	};
	int r = lodge_apic_send(vm, &m);

	if (m.level && r > 0)
		*e |= REMOTE_IRR;
	return r > 0 && m.mode <= LODGE_LOWEST ? m.news : r;
}

/* The request of a level that nobody serves yet. */
static int service(struct lodge_vm *vm, unsigned int pin)
{
	const struct kvm_ioapic_state *io = &vm->chips->io;
	u64 e = io->redirtbl[pin].bits;

	if (e & MASKED)
		return -1;
	if (!(e & LEVEL) || (e & REMOTE_IRR) || !(io->irr >> pin & 1))
		return 0;
	return send(vm, pin);
}

int lodge_ioapic_line(struct lodge_vm *vm, unsigned int pin, unsigned int src, bool level)
{
	struct lodge_chips *c = vm->chips;
	u64 e = c->io.redirtbl[pin].bits;
	u32 bit = 1u << pin, was = c->io.irr & bit;

	if (src == LODGE_SRC_PIT)
		c->pit_pins |= bit;
	if (level)
		c->io_lines[pin] |= 1u << src;
	else
		c->io_lines[pin] &= ~(1u << src);
	level = c->io_lines[pin];
	c->io.irr = level ? c->io.irr | bit : c->io.irr & ~bit;
	if (!level)
		return 1;
	if (e & LEVEL)
		return service(vm, pin);
	if (e & MASKED)
		return -1;
	return was ? 0 : send(vm, pin);
}

void lodge_ioapic_eoi(struct lodge_vm *vm, u8 vector)
{
	struct lodge_chips *c = vm->chips;
	unsigned long flags;
	bool timer = false;

	spin_lock_irqsave(&vm->chip_lock, flags);
	for (unsigned int pin = 0; pin < LODGE_IOAPIC_PINS; pin++) {
		u64 *e = &c->io.redirtbl[pin].bits;

		if ((u8)*e != vector)
			continue;
		timer |= c->pit_pins >> pin & 1;
		if (*e & REMOTE_IRR) {
			*e &= ~REMOTE_IRR;
			service(vm, pin);
		}
	}
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	if (timer)
		lodge_pit_acked(vm);
}

void lodge_ioapic_wanted(const struct lodge_chips *c, unsigned long *vectors)
{
	for (unsigned int pin = 0; pin < LODGE_IOAPIC_PINS; pin++) {
		u64 e = c->io.redirtbl[pin].bits;

		/* Who has it in service when it is masked ends it, too. */
		if (!(e & MASKED) || (e & REMOTE_IRR))
			__set_bit((u8)e, vectors);
	}
}

/* ---- Registers --------------------------------------------------------------------------------------------- */

static u32 read_reg(const struct kvm_ioapic_state *io)
{
	u32 n = (io->ioregsel - 0x10) / 2;

	switch (io->ioregsel) {
	case 0:
	case 2:
		return (io->id & 15) << 24;
	case 1:
		return VERSION;
	}
	if (io->ioregsel < 0x10 || n >= LODGE_IOAPIC_PINS)
		return 0;
	return io->redirtbl[n].bits >> (io->ioregsel & 1) * 32;
}

static void write_reg(struct lodge_vm *vm, u32 val)
{
	struct kvm_ioapic_state *io = &vm->chips->io;
	u32 n = (io->ioregsel - 0x10) / 2;
	u64 *e;

	if (io->ioregsel == 0)
		io->id = val >> 24 & 15;
	if (io->ioregsel < 0x10 || n >= LODGE_IOAPIC_PINS)
		return;
	e = &io->redirtbl[n].bits;
	if (io->ioregsel & 1)
		*e = (u32)*e | ((u64)val << 32 & WRITABLE);
	else
		*e = (*e & ~0xffffffffull) | (val & WRITABLE) | (*e & REMOTE_IRR);
	/* How guests acknowledge without an EOI. */
	if (!(*e & LEVEL))
		*e &= ~REMOTE_IRR;
	lodge_eoi_changed(vm);
	service(vm, n);
}

void lodge_ioapic_mmio(struct lodge_vm *vm, unsigned int offset, void *data, unsigned int len,
		       bool write)
{
	struct kvm_ioapic_state *io = &vm->chips->io;
	unsigned long flags;
	u32 val = 0;

	spin_lock_irqsave(&vm->chip_lock, flags);
	if (write)
		memcpy(&val, data, min(len, 4u));
	else
		memset(data, 0, len);
	if (!write && offset == 0x10)
		val = read_reg(io);
	else if (!write && offset == 0)
		val = io->ioregsel;
	else if (write && offset == 0x10 && len >= 4)
		write_reg(vm, val);
	else if (write && offset == 0)
		io->ioregsel = val & 0xff;
	if (!write)
		memcpy(data, &val, min(len, 4u));
	spin_unlock_irqrestore(&vm->chip_lock, flags);
}

void lodge_ioapic_set(struct lodge_vm *vm, const struct kvm_ioapic_state *s)
{
	struct kvm_ioapic_state *io = &vm->chips->io;

	*io = *s;
	io->base_address = LODGE_IOAPIC_BASE;
	io->ioregsel &= 0xff;
	io->irr &= (1u << LODGE_IOAPIC_PINS) - 1;
	for (unsigned int pin = 0; pin < LODGE_IOAPIC_PINS; pin++)
		io->redirtbl[pin].bits &= WRITABLE | REMOTE_IRR | STATUS;
	lodge_eoi_changed(vm);
	/* Levels that wait; edges went out when they came. */
	for (unsigned int pin = 0; pin < LODGE_IOAPIC_PINS; pin++)
		service(vm, pin);
}

void lodge_ioapic_init(struct lodge_chips *c)
{
	c->io.base_address = LODGE_IOAPIC_BASE;
	for (unsigned int pin = 0; pin < LODGE_IOAPIC_PINS; pin++)
		c->io.redirtbl[pin].bits = MASKED;
}
