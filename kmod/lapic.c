// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Local APICs: registers, by their page and by MSRs, and messages between them.
 *
 * A sender sets a bit in the receiver's IRR and wakes it; what is delivered, and when, the receiver's thread finds out
 * before it enters the guest. ExtINT messages and remote reads are not there; LINT0 is the 8259s' INT.
 * Source: Intel SDM vol. 3A chapter 10; Linux, Documentation/virt/kvm/api.rst (KVM_GET_LAPIC, KVM_SET_LAPIC).
 * Threads: lodge_apic_send: any, interrupts on or off. All else: with vcpu->lock.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "lodge.h"

#define R(offset) LODGE_APIC_REG(offset)
#define VERSION (0x14 | 5 << 16) /* six entries of the local vector table */
#define BASE_BITS (0xfffffffff000ull | X2APIC_ENABLE | XAPIC_ENABLE | MSR_IA32_APICBASE_BSP)
#define X2APIC_MSR 0x800
#define SELF_IPI 0x3f0

static bool is_on(const struct lodge_apic *a)
{
	return a->vcpu->msrs.apic_base & XAPIC_ENABLE;
}

static bool is_x2(const struct lodge_apic *a)
{
	return is_on(a) && (a->vcpu->msrs.apic_base & X2APIC_ENABLE);
}

static u32 id_of(const struct lodge_apic *a)
{
	return is_x2(a) ? a->vcpu->id : a->reg[R(APIC_ID)] >> 24;
}

static u32 ldr_of(const struct lodge_apic *a)
{
	u32 id = a->vcpu->id;

	return is_x2(a) ? (id >> 4) << 16 | 1u << (id & 15) : a->reg[R(APIC_LDR)];
}

/* The highest vector, or -1. */
static int top(const unsigned long *map)
{
	unsigned long v = find_last_bit(map, LODGE_VECTORS);

	return v < LODGE_VECTORS ? (int)v : -1;
}

static u8 ppr_of(const struct lodge_apic *a)
{
	int isr = top(a->isr);
	u8 tpr = a->reg[R(APIC_TASKPRI)], class = isr < 0 ? 0 : isr & 0xf0;

	return (tpr & 0xf0) >= class ? tpr : class;
}

/* ---- Messages ------------------------------------------------------------------------------------------ */

static bool named(const struct lodge_apic *a, const struct lodge_msg *m)
{
	u32 ldr = ldr_of(a);

	if (a->vcpu == m->but)
		return false;
	if (m->all || m->dest == (m->wide ? ~0u : 0xff))
		return true;
	if (!m->logical)
		return m->dest == id_of(a);
	if (is_x2(a))
		return m->dest >> 16 == ldr >> 16 && (m->dest & ldr & 0xffff);
	ldr >>= 24;
	if (a->reg[R(APIC_DFR)] >> 28 == 0xf)
		return ldr & m->dest & 0xff;
	return ldr >> 4 == (m->dest & 0xff) >> 4 && (ldr & m->dest & 0xf);
}

static bool takes_fixed(const struct lodge_apic *a)
{
	return a->reg[R(APIC_SPIV)] & APIC_SPIV_APIC_ENABLED;
}

static int accept(struct lodge_apic *a, struct lodge_msg *m)
{
	switch (m->mode) {
	case LODGE_FIXED:
	case LODGE_LOWEST:
		if (!takes_fixed(a) || m->vector < 16)
			return 0;
		if (m->level)
			set_bit(m->vector, a->tmr);
		else
			clear_bit(m->vector, a->tmr);
		if (!test_and_set_bit(m->vector, a->irr)) {
			m->news++;
			lodge_request(a->vcpu, LODGE_REQ_EVENT);
		}
		return 1;
	case LODGE_NMI:
		lodge_request(a->vcpu, LODGE_REQ_NMI);
		return 1;
	case LODGE_INIT:
		clear_bit(LODGE_REQ_SIPI, &a->vcpu->requests);
		lodge_request(a->vcpu, LODGE_REQ_INIT);
		return 1;
	case LODGE_STARTUP:
		WRITE_ONCE(a->sipi, m->vector);
		lodge_request(a->vcpu, LODGE_REQ_SIPI);
		return 1;
	}
	return 0;
}

int lodge_apic_send(struct lodge_vm *vm, struct lodge_msg *m)
{
	unsigned int count = READ_ONCE(vm->vcpu_count);
	struct lodge_apic *lowest = NULL;
	int r = -1;

	m->news = 0;
	for (unsigned int i = 0; i < count; i++) {
		struct lodge_apic *a = vm->vcpus[i]->apic;

		if (!is_on(a) || !named(a, m))
			continue;
		r = max(r, 0);
		if (m->mode != LODGE_LOWEST)
			r += accept(a, m);
		else if (takes_fixed(a) && (!lowest || a->turns < lowest->turns))
			lowest = a;
	}
	if (!lowest)
		return r;
	lowest->turns++;
	return accept(lowest, m);
}

static void send_icr(struct lodge_apic *a, u32 low, u32 dest)
{
	unsigned int shorthand = low >> 18 & 3;
	struct lodge_msg m = {
		.dest = dest,
		.vector = low,
		.mode = low >> 8 & 7,
		.logical = low & APIC_DEST_LOGICAL,
		.wide = is_x2(a),
		.all = shorthand >= 2,
		.but = shorthand == 3 ? a->vcpu : NULL,
	};

	/* "INIT level de-assert" is for processors that are no more. */
	if (m.mode == LODGE_INIT && (low & APIC_INT_LEVELTRIG) && !(low & APIC_INT_ASSERT))
		return;
	if (shorthand == 1)
		accept(a, &m);
	else
		lodge_apic_send(a->vcpu->vm, &m);
}

/* ---- Interrupts for the vCPU ----------------------------------------------------------------------------- */

int lodge_apic_irq(const struct lodge_apic *a)
{
	int v = top(a->irr);

	return is_on(a) && v >= 0 && (v & 0xf0) > (ppr_of(a) & 0xf0) ? v : -1;
}

void lodge_apic_take(struct lodge_apic *a, u8 vector)
{
	clear_bit(vector, a->irr);
	set_bit(vector, a->isr);
}

/* INTR comes from the 8259s: by LINT0, or past an APIC that is off. */
bool lodge_apic_takes_ext(const struct lodge_vcpu *vcpu)
{
	u32 lvt = vcpu->apic->reg[R(APIC_LVT0)];

	return !is_on(vcpu->apic) ||
	       (!(lvt & APIC_LVT_MASKED) && GET_APIC_DELIVERY_MODE(lvt) == LODGE_EXTINT);
}

void lodge_apic_lint0(struct lodge_apic *a)
{
	u32 lvt = READ_ONCE(a->reg[R(APIC_LVT0)]);
	struct lodge_msg m = {.vector = lvt, .mode = GET_APIC_DELIVERY_MODE(lvt)};

	if (lodge_apic_takes_ext(a->vcpu))
		lodge_request(a->vcpu, LODGE_REQ_EVENT);
	else if (!(lvt & APIC_LVT_MASKED) && (m.mode == LODGE_FIXED || m.mode == LODGE_NMI))
		accept(a, &m);
}

static void end_of_interrupt(struct lodge_apic *a)
{
	struct lodge_vcpu *vcpu = a->vcpu;
	int v = top(a->isr);

	if (v < 0)
		return;
	clear_bit(v, a->isr);
	if (!test_bit(v, vcpu->vm->eoi_wanted))
		return;
	if (vcpu->vm->chips) {
		lodge_ioapic_eoi(vcpu->vm, v);
	} else {
		vcpu->eoi_vector = v;
		set_bit(LODGE_REQ_EOI, &vcpu->requests);
	}
}

void lodge_apic_cr8(struct lodge_vcpu *vcpu, u64 val)
{
	vcpu->cr8 = val & 15;
	if (vcpu->apic)
		vcpu->apic->reg[R(APIC_TASKPRI)] = vcpu->cr8 << 4;
}

/* ---- Registers ------------------------------------------------------------------------------------------- */

/* What can be written of the local vector table's entries, from LVTT to LVTERR. */
static const u32 lvt_bits[] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

static bool is_lvt(unsigned int offset)
{
	return offset >= APIC_LVTT && offset <= APIC_LVTERR;
}

static u32 of_bitmap(const unsigned long *map, unsigned int n)
{
	return map[n / 2] >> (n & 1) * 32;
}

/* -ENOENT: none, or not to be read. */
static int read_reg(struct lodge_apic *a, unsigned int offset, u32 *val)
{
	*val = a->reg[R(offset)];
	switch (offset) {
	case APIC_ID:
		*val = is_x2(a) ? id_of(a) : *val;
		return 0;
	case APIC_LDR:
		*val = ldr_of(a);
		return 0;
	case APIC_PROCPRI:
		*val = ppr_of(a);
		return 0;
	case APIC_ISR ... APIC_ISR + 0x70:
		*val = of_bitmap(a->isr, R(offset - APIC_ISR));
		return 0;
	case APIC_TMR ... APIC_TMR + 0x70:
		*val = of_bitmap(a->tmr, R(offset - APIC_TMR));
		return 0;
	case APIC_IRR ... APIC_IRR + 0x70:
		*val = of_bitmap(a->irr, R(offset - APIC_IRR));
		return 0;
	case APIC_TMCCT:
		*val = lodge_timer_count(a);
		return 0;
	case APIC_DFR:
	case APIC_ARBPRI:
	case APIC_ICR2:
		return is_x2(a) ? -ENOENT : 0;
	case APIC_LVR:
	case APIC_TASKPRI:
	case APIC_SPIV:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_TMICT:
	case APIC_TDCR:
		return 0;
	}
	return is_lvt(offset) ? 0 : -ENOENT;
}

static void write_lvt(struct lodge_apic *a, unsigned int offset, u32 val)
{
	val &= lvt_bits[R(offset - APIC_LVTT)];
	if (!takes_fixed(a))
		val |= APIC_LVT_MASKED;
	if (offset == APIC_LVTT)
		lodge_timer_lvt(a, val);
	a->reg[R(offset)] = val;
}

static int write_reg(struct lodge_apic *a, unsigned int offset, u32 val)
{
	bool x2 = is_x2(a);
	u32 count;

	switch (offset) {
	case APIC_TASKPRI:
		a->reg[R(offset)] = val & 0xff;
		a->vcpu->cr8 = val >> 4 & 15;
		return 0;
	case APIC_EOI:
		if (x2 && val)
			return -EINVAL;
		end_of_interrupt(a);
		return 0;
	case APIC_SPIV:
		a->reg[R(offset)] = val & 0x1ff;
		for (unsigned int o = APIC_LVTT; o <= APIC_LVTERR && !takes_fixed(a); o += 0x10)
			a->reg[R(o)] |= APIC_LVT_MASKED;
		return 0;
	case APIC_ESR:
		a->reg[R(offset)] = 0;
		return x2 && val ? -EINVAL : 0;
	case APIC_ICR:
		a->reg[R(offset)] = val & ~(u32)APIC_ICR_BUSY;
		send_icr(a, val, x2 ? a->reg[R(APIC_ICR2)] : a->reg[R(APIC_ICR2)] >> 24);
		return 0;
	case APIC_TMICT:
		if (a->reg[R(APIC_LVTT)] & APIC_LVT_TIMER_TSCDEADLINE)
			return 0;
		a->reg[R(offset)] = val;
		lodge_timer_start(a, val);
		return 0;
	case APIC_TDCR:
		count = lodge_timer_count(a);
		a->reg[R(offset)] = val & 0xb;
		if (count)
			lodge_timer_start(a, count);
		return 0;
	case SELF_IPI:
		if (!x2)
			return -ENOENT;
		accept(a, &(struct lodge_msg){.vector = val});
		return 0;
	case APIC_ID:
	case APIC_LDR:
	case APIC_DFR:
	case APIC_ICR2:
		if (x2)
			return -ENOENT;
		a->reg[R(offset)] = offset == APIC_DFR ? val | 0x0fffffff : val & 0xff000000;
		return 0;
	}
	if (!is_lvt(offset))
		return -ENOENT;
	write_lvt(a, offset, val);
	return 0;
}

/* ---- By its page ------------------------------------------------------------------------------------------- */

bool lodge_apic_at(const struct lodge_vcpu *vcpu, u64 gpa)
{
	return vcpu->apic && is_on(vcpu->apic) && !is_x2(vcpu->apic) &&
	       gpa >> PAGE_SHIFT == (vcpu->msrs.apic_base & BASE_BITS) >> PAGE_SHIFT;
}

/* Registers are read by parts, and written as a whole. */
void lodge_apic_mmio(struct lodge_vcpu *vcpu, unsigned int offset, void *data, unsigned int len,
		     bool write)
{
	unsigned int at = offset & 15;
	u32 val = 0;

	offset &= ~15u;
	if (write) {
		if (len != 4 || at || offset >= 0x400)
			return;
		memcpy(&val, data, 4);
		write_reg(vcpu->apic, offset, val);
		return;
	}
	memset(data, 0, len);
	if (at + len <= 4 && offset < 0x400 && !read_reg(vcpu->apic, offset, &val))
		memcpy(data, (u8 *)&val + at, len);
}

/* ---- By MSRs ----------------------------------------------------------------------------------------------- */

static int x2apic(struct lodge_apic *a, unsigned int offset, u64 *val, bool write)
{
	u32 low;

	if (write && offset == APIC_ICR) {
		a->reg[R(APIC_ICR2)] = *val >> 32;
		return write_reg(a, offset, *val);
	}
	if (write)
		return *val >> 32 ? -EINVAL : write_reg(a, offset, *val);
	if (read_reg(a, offset, &low))
		return -ENOENT;
	*val = low;
	if (offset == APIC_ICR)
		*val |= (u64)a->reg[R(APIC_ICR2)] << 32;
	return 0;
}

int lodge_apic_msr(struct lodge_vcpu *vcpu, u32 msr, u64 *val, bool write)
{
	struct lodge_apic *a = vcpu->apic;

	if (msr == MSR_IA32_TSC_DEADLINE) {
		if (write && a)
			lodge_timer_set_deadline(a, *val);
		else if (!write)
			*val = a ? lodge_timer_deadline(a) : 0;
		return 0;
	}
	if (!a || msr < X2APIC_MSR || msr >= X2APIC_MSR + 0x40 || !is_x2(a))
		return -ENOENT;
	return x2apic(a, (msr - X2APIC_MSR) << 4, val, write);
}

static bool may_have_x2(const struct lodge_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = lodge_cpuid_find(vcpu, 1, 0);

	return e && (e->ecx & 1u << 21);
}

int lodge_apic_set_base(struct lodge_vcpu *vcpu, u64 val, bool host)
{
	u64 was = vcpu->msrs.apic_base;
	bool on = val & XAPIC_ENABLE, x2 = val & X2APIC_ENABLE;

	if ((val & ~BASE_BITS) || (x2 && !on))
		return -EINVAL;
	if (!vcpu->apic && !host && x2)
		return -EINVAL; /* its x2APIC mode is where it is: in user space */
	if (vcpu->apic && x2 && !may_have_x2(vcpu))
		return -EINVAL;
	/* From off to x2APIC, and from that to xAPIC, there is no way. */
	if (vcpu->apic && !host &&
	    ((x2 && !(was & XAPIC_ENABLE)) || (on && !x2 && (was & X2APIC_ENABLE))))
		return -EINVAL;
	vcpu->msrs.apic_base = val;
	/* One that was off is as after a reset. */
	if (vcpu->apic && !host && on && !(was & XAPIC_ENABLE))
		lodge_apic_reset(vcpu);
	return 0;
}

/* ---- To and from user space, life ---------------------------------------------------------------------------- */

void lodge_apic_get(struct lodge_vcpu *vcpu, struct kvm_lapic_state *s)
{
	struct lodge_apic *a = vcpu->apic;

	memset(s, 0, sizeof(*s));
	for (unsigned int offset = 0; offset < sizeof(s->regs); offset += 16) {
		u32 val;

		if (read_reg(a, offset, &val) && offset != APIC_ICR2 && offset != APIC_DFR)
			val = 0;
		if (offset == APIC_ID)
			val = id_of(a) << 24;
		memcpy(s->regs + offset, &val, sizeof(val));
	}
}

static void to_bitmap(unsigned long *map, const char *regs)
{
	for (unsigned int n = 0; n < 8; n++) {
		u32 val;

		memcpy(&val, regs + n * 16, sizeof(val));
		map[n / 2] = n & 1 ? map[n / 2] | (u64)val << 32 : val;
	}
	map[0] &= ~0xfffful;
}

int lodge_apic_set(struct lodge_vcpu *vcpu, const struct kvm_lapic_state *s)
{
	struct lodge_apic *a = vcpu->apic;
	u32 left;

	lodge_timer_stop(a);
	for (unsigned int i = 0; i < ARRAY_SIZE(a->reg); i++)
		memcpy(&a->reg[i], s->regs + i * 16, sizeof(a->reg[i]));
	to_bitmap(a->isr, s->regs + APIC_ISR);
	to_bitmap(a->tmr, s->regs + APIC_TMR);
	to_bitmap(a->irr, s->regs + APIC_IRR);
	a->reg[R(APIC_LVR)] = VERSION;
	a->reg[R(APIC_SPIV)] &= 0x1ff;
	a->reg[R(APIC_TDCR)] &= 0xb;
	for (unsigned int o = APIC_LVTT; o <= APIC_LVTERR; o += 0x10)
		a->reg[R(o)] &= lvt_bits[R(o - APIC_LVTT)];
	vcpu->cr8 = a->reg[R(APIC_TASKPRI)] >> 4 & 15;
	left = a->reg[R(APIC_TMCCT)];
	/* A one-shot timer that is over may not have been served: it is over once more. */
	if (!left)
		left = a->reg[R(APIC_LVTT)] & APIC_LVT_TIMER_PERIODIC ? a->reg[R(APIC_TMICT)] : 1;
	if (a->reg[R(APIC_LVTT)] & APIC_LVT_TIMER_TSCDEADLINE)
		lodge_timer_set_deadline(a, a->deadline);
	else
		lodge_timer_start(a, left);
	lodge_request(vcpu, LODGE_REQ_EVENT);
	return 0;
}

void lodge_apic_reset(struct lodge_vcpu *vcpu)
{
	struct lodge_apic *a = vcpu->apic;
	u32 id = a->reg[R(APIC_ID)];

	lodge_timer_stop(a);
	a->deadline = 0;
	memset(a->reg, 0, sizeof(a->reg));
	bitmap_zero(a->irr, LODGE_VECTORS);
	bitmap_zero(a->isr, LODGE_VECTORS);
	bitmap_zero(a->tmr, LODGE_VECTORS);
	a->reg[R(APIC_ID)] = id;
	a->reg[R(APIC_LVR)] = VERSION;
	a->reg[R(APIC_DFR)] = ~0u;
	a->reg[R(APIC_SPIV)] = 0xff;
	for (unsigned int o = APIC_LVTT; o <= APIC_LVTERR; o += 0x10)
		a->reg[R(o)] = APIC_LVT_MASKED;
	/* As firmware leaves it on a PC that has 8259s, and as KVM has it. */
	if (vcpu->id == 0)
		a->reg[R(APIC_LVT0)] = LODGE_EXTINT << 8;
	vcpu->cr8 = 0;
}

int lodge_apic_create(struct lodge_vcpu *vcpu)
{
	struct lodge_apic *a;

	if (!vcpu->vm->has_apics)
		return 0;
	a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);
	if (!a)
		return -ENOMEM;
	a->vcpu = vcpu;
	a->reg[R(APIC_ID)] = vcpu->id << 24;
	lodge_timer_init(a);
	vcpu->apic = a;
	return 0;
}

void lodge_apic_free(struct lodge_vcpu *vcpu)
{
	if (!vcpu->apic)
		return;
	lodge_timer_stop(vcpu->apic);
	kfree(vcpu->apic);
}
