// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pair of 8259As, master and slave, with their ELCRs. The slave's INT is the master's line 2.
 * Source: Intel 8259A data sheet; 82371AB §4.2 (ELCR); Linux, <asm/kvm.h> (struct kvm_pic_state).
 * Threads: any, with chip_lock.
 */
#include "lodge.h"

#define CASCADE 2u

/* Rank of the highest of these requests, 8: none. */
static unsigned int rank(const struct kvm_pic_state *s, u8 lines)
{
	unsigned int r = 0;

	while (r < 8 && !(lines >> ((r + s->priority_add) & 7) & 1))
		r++;
	return r;
}

/* The line that asks for service, or -1. */
static int asks(const struct lodge_chips *c, unsigned int n)
{
	const struct kvm_pic_state *s = &c->pic[n];
	u8 busy = s->isr;
	unsigned int r = rank(s, s->irr & ~s->imr);

	if (s->special_mask)
		busy &= ~s->imr;
	if (!n && s->special_fully_nested_mode)
		busy &= ~(1u << CASCADE);
	return r < rank(s, busy) ? (int)((r + s->priority_add) & 7) : -1;
}

static void update(struct lodge_vm *vm)
{
	struct lodge_chips *c = vm->chips;
	bool out;

	/* An edge, which stays when the slave takes it back. */
	if (asks(c, 1) >= 0)
		c->pic[0].irr |= 1u << CASCADE;
	out = asks(c, 0) >= 0;
	for (unsigned int i = 0; out && !c->pic_out && i < READ_ONCE(vm->vcpu_count); i++)
		lodge_apic_lint0(vm->vcpus[i]->apic);
	WRITE_ONCE(c->pic_out, out);
}

int lodge_pic_line(struct lodge_vm *vm, unsigned int pin, unsigned int src, bool level)
{
	struct lodge_chips *c = vm->chips;
	struct kvm_pic_state *s = &c->pic[pin / 8];
	u8 bit = 1u << (pin & 7);
	int r = 1;

	if (level)
		c->pic_lines[pin] |= 1u << src;
	else
		c->pic_lines[pin] &= ~(1u << src);
	level = c->pic_lines[pin];
	/* An edge stays until it is served, a level as long as it is there. */
	if (level && ((s->elcr & bit) || !(s->last_irr & bit))) {
		r = !(s->irr & bit);
		s->irr |= bit;
	} else if (level) {
		r = 0;
	} else if (s->elcr & bit) {
		s->irr &= ~bit;
	}
	s->last_irr = level ? s->last_irr | bit : s->last_irr & ~bit;
	update(vm);
	return s->imr & bit ? -1 : r;
}

/* ---- The processor's acknowledge ------------------------------------------------------------------------- */

static void acknowledge(struct kvm_pic_state *s, unsigned int line)
{
	u8 bit = 1u << line;

	if (!s->auto_eoi)
		s->isr |= bit;
	else if (s->rotate_on_auto_eoi)
		s->priority_add = (line + 1) & 7;
	if (!(s->elcr & bit))
		s->irr &= ~bit;
}

/* The vector. A request that has gone is line 7's. */
static u8 take(struct lodge_chips *c, unsigned int n, bool *timer)
{
	int line = asks(c, n);

	if (line < 0)
		return c->pic[n].irq_base + 7;
	acknowledge(&c->pic[n], line);
	if (!n && line == CASCADE)
		return take(c, 1, timer);
	*timer |= !n && !line;
	return c->pic[n].irq_base + line;
}

int lodge_pic_take(struct lodge_vm *vm)
{
	unsigned long flags;
	bool timer = false;
	int vector = -1;

	spin_lock_irqsave(&vm->chip_lock, flags);
	if (vm->chips->pic_out) {
		vector = take(vm->chips, 0, &timer);
		update(vm);
	}
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	if (timer)
		lodge_pit_acked(vm);
	return vector;
}

/* ---- Ports ------------------------------------------------------------------------------------------------- */

static void icw1(struct kvm_pic_state *s, u8 val)
{
	s->irr &= s->elcr;
	s->last_irr = s->imr = s->isr = s->priority_add = 0;
	s->read_reg_select = s->poll = s->special_mask = 0;
	s->auto_eoi = s->rotate_on_auto_eoi = s->special_fully_nested_mode = 0;
	s->init4 = val & 1;
	s->init_state = 1;
}

static void ocw2(struct kvm_pic_state *s, u8 val)
{
	unsigned int line = val & 7, r = rank(s, s->isr);
	unsigned int highest = (r + s->priority_add) & 7;

	switch (val >> 5) {
	case 0:
	case 4:
		s->rotate_on_auto_eoi = val >> 7;
		break;
	case 1:
	case 5:
		if (r == 8)
			break;
		s->isr &= ~(1u << highest);
		if (val & 0x80)
			s->priority_add = (highest + 1) & 7;
		break;
	case 3:
		s->isr &= ~(1u << line);
		break;
	case 7:
		s->isr &= ~(1u << line);
		fallthrough;
	case 6:
		s->priority_add = (line + 1) & 7;
		break;
	}
}

static void write_command(struct kvm_pic_state *s, u8 val)
{
	if (val & 0x10) {
		icw1(s, val);
	} else if (val & 8) {
		if (val & 4)
			s->poll = 1;
		if (val & 2)
			s->read_reg_select = val & 1;
		if (val & 0x40)
			s->special_mask = val >> 5 & 1;
	} else {
		ocw2(s, val);
	}
}

static void write_data(struct kvm_pic_state *s, u8 val)
{
	switch (s->init_state) {
	case 0:
		s->imr = val;
		break;
	case 1:
		s->irq_base = val & 0xf8;
		s->init_state = 2;
		break;
	case 2: /* who is whose slave is known */
		s->init_state = s->init4 ? 3 : 0;
		break;
	default:
		s->auto_eoi = val >> 1 & 1;
		s->special_fully_nested_mode = val >> 4 & 1;
		s->init_state = 0;
		break;
	}
}

static u8 read_port(struct lodge_chips *c, unsigned int n, bool data)
{
	struct kvm_pic_state *s = &c->pic[n];
	int line;

	if (!s->poll)
		return data ? s->imr : s->read_reg_select ? s->isr : s->irr;
	s->poll = 0;
	line = asks(c, n);
	if (line < 0)
		return 0;
	acknowledge(s, line);
	return 0x80 | line;
}

bool lodge_pic_io(struct lodge_vm *vm, u16 port, u8 *val, bool write)
{
	struct lodge_chips *c = vm->chips;
	bool elcr = port == 0x4d0 || port == 0x4d1;
	unsigned int n = elcr ? port & 1 : port >> 7 & 1;
	struct kvm_pic_state *s = &c->pic[n];
	unsigned long flags;

	if (!elcr && (port & ~0x81) != 0x20)
		return false;
	spin_lock_irqsave(&vm->chip_lock, flags);
	if (elcr && write)
		s->elcr = *val & s->elcr_mask;
	else if (elcr)
		*val = s->elcr;
	else if (!write)
		*val = read_port(c, n, port & 1);
	else if (port & 1)
		write_data(s, *val);
	else
		write_command(s, *val);
	update(vm);
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	return true;
}

/* ---- From user space, life ----------------------------------------------------------------------------------- */

void lodge_pic_set(struct lodge_vm *vm, unsigned int n, const struct kvm_pic_state *in)
{
	struct kvm_pic_state *s = &vm->chips->pic[n];
	u8 mask = s->elcr_mask;

	*s = *in;
	s->elcr_mask = mask;
	s->elcr &= mask;
	s->priority_add &= 7;
	update(vm);
}

void lodge_pic_init(struct lodge_chips *c)
{
	c->pic[0].elcr_mask = 0xf8;
	c->pic[1].elcr_mask = 0xde;
}
