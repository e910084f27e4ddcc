// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exceptions, interrupts and NMIs on their way to the guest.
 *
 * What was on its way when the guest was left (`injected`) goes first, for the processor has begun it. Then a pending
 * exception, an NMI, and the interrupt that user space gave. One of them an entry; for those that wait a window is
 * asked for.
 * Source: AMD APM vol. 2 §8.2.9 (double faults), §8.5 (priorities), §15.20 (event injection); Intel SDM 3A §6.15.
 * Threads: the vCPU's own.
 */
#include <linux/module.h>

#include "lodge.h"

/* ---- Exceptions -------------------------------------------------------------------------------------- */

enum kind { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum kind kind_of(u8 nr)
{
	switch (nr) {
	case 0:
	case LODGE_TS:
	case LODGE_NP:
	case LODGE_SS_FAULT:
	case LODGE_GP:
		return CONTRIBUTORY;
	case LODGE_PF:
		return PAGE_FAULT;
	}
	return BENIGN;
}

static void queue(struct lodge_vcpu *vcpu, const struct lodge_exception *new)
{
	struct lodge_exception *ex = &vcpu->ev.ex;
	enum kind first, second = kind_of(new->nr);

	if (!ex->pending && !ex->injected) {
		*ex = *new;
		ex->pending = true;
		return;
	}
	if (ex->nr == LODGE_DF) {
		*ex = (struct lodge_exception){0};
		vcpu->ev.triple_fault = true;
		return;
	}
	first = kind_of(ex->nr);
	if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
	    (first == PAGE_FAULT && second != BENIGN)) {
		*ex = (struct lodge_exception){.pending = true, .nr = LODGE_DF, .has_error = true};
		return;
	}
	/* The first comes again when the second has been handled. */
	*ex = *new;
	ex->pending = true;
}

void lodge_queue(struct lodge_vcpu *vcpu, u8 nr)
{
	queue(vcpu, &(struct lodge_exception){.nr = nr});
}
EXPORT_SYMBOL_GPL(lodge_queue);

void lodge_queue_error(struct lodge_vcpu *vcpu, u8 nr, u32 error)
{
	queue(vcpu, &(struct lodge_exception){.nr = nr, .has_error = true, .error = error});
}
EXPORT_SYMBOL_GPL(lodge_queue_error);

void lodge_queue_pf(struct lodge_vcpu *vcpu, u64 lin, u32 error)
{
	queue(vcpu, &(struct lodge_exception){.nr = LODGE_PF,
					      .has_error = true,
					      .error = error,
					      .payload = lin});
}

void lodge_queue_db(struct lodge_vcpu *vcpu, u64 dr6)
{
	queue(vcpu, &(struct lodge_exception){.nr = LODGE_DB, .payload = dr6});
}
EXPORT_SYMBOL_GPL(lodge_queue_db);

/* What comes with the exception, at the moment it is delivered. */
static void deliver_payload(struct lodge_vcpu *vcpu)
{
	struct lodge_exception *ex = &vcpu->ev.ex;

	if (ex->nr == LODGE_PF) {
		vcpu->cr2 = ex->payload;
	} else if (ex->nr == LODGE_DB) {
		if (ex->payload)
			vcpu->dr6 = (vcpu->dr6 & ~15ull) | ex->payload;
		vcpu->dr7 &= ~(1ull << 13); /* GD */
		lodge_ops->state_changed(vcpu);
	}
	ex->payload = 0;
}

/* ---- Into the guest ---------------------------------------------------------------------------------- */

bool lodge_irq_allowed(struct lodge_vcpu *vcpu)
{
	return (vcpu->rflags & X86_EFLAGS_IF) && !lodge_ops->get_shadow(vcpu);
}

bool lodge_takes_user_irq(const struct lodge_vcpu *vcpu)
{
	return !vcpu->vm->chips &&
	       (!vcpu->apic || (vcpu->ext_irq < 0 && lodge_apic_takes_ext(vcpu)));
}

bool lodge_ready_for_irq(struct lodge_vcpu *vcpu)
{
	const struct lodge_events *ev = &vcpu->ev;

	return lodge_takes_user_irq(vcpu) && lodge_irq_allowed(vcpu) && !ev->irq_injected &&
	       !ev->ex.pending && !ev->ex.injected && !ev->nmi_injected;
}

/* ---- What the controllers here have ------------------------------------------------------------------- */

static bool has_ext(const struct lodge_vcpu *vcpu)
{
	const struct lodge_chips *chips = vcpu->vm->chips;

	return vcpu->ext_irq >= 0 ||
	       (chips && READ_ONCE(chips->pic_out) && lodge_apic_takes_ext(vcpu));
}

static bool irq_waits(const struct lodge_vcpu *vcpu)
{
	return vcpu->apic && (has_ext(vcpu) || lodge_apic_irq(vcpu->apic) >= 0);
}

/* -1: there is none after all. */
static int take_irq(struct lodge_vcpu *vcpu)
{
	int v = vcpu->ext_irq;

	if (!vcpu->apic)
		return -1;
	vcpu->ext_irq = -1;
	if (v < 0 && has_ext(vcpu))
		v = lodge_pic_take(vcpu->vm);
	if (v >= 0)
		return v;
	v = lodge_apic_irq(vcpu->apic);
	if (v >= 0)
		lodge_apic_take(vcpu->apic, v);
	return v;
}

static void start_at(struct lodge_vcpu *vcpu, u8 page)
{
	struct kvm_segment cs;

	lodge_ops->get_seg(vcpu, LODGE_CS, &cs);
	cs.selector = page << 8;
	cs.base = (u64)page << 12;
	lodge_ops->set_seg(vcpu, LODGE_CS, &cs);
	vcpu->rip = 0;
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

void lodge_take_requests(struct lodge_vcpu *vcpu)
{
	if (!(READ_ONCE(vcpu->requests) & LODGE_REQ_BREAK))
		return;
	if (test_and_clear_bit(LODGE_REQ_EVENT, &vcpu->requests) && vcpu->apic)
		lodge_timer_sync(vcpu->apic);
	if (test_and_clear_bit(LODGE_REQ_NMI, &vcpu->requests))
		vcpu->ev.nmi_pending = true;
	if (test_and_clear_bit(LODGE_REQ_INIT, &vcpu->requests))
		lodge_vcpu_init(vcpu);
	if (test_and_clear_bit(LODGE_REQ_SIPI, &vcpu->requests) &&
	    vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		start_at(vcpu, READ_ONCE(vcpu->apic->sipi));
	if (test_and_clear_bit(LODGE_REQ_CLOCK, &vcpu->requests))
		lodge_clock_update(vcpu);
}

static bool nmi_allowed(struct lodge_vcpu *vcpu)
{
	return !lodge_ops->nmi_masked(vcpu) && !lodge_ops->get_shadow(vcpu);
}

bool lodge_wakes(struct lodge_vcpu *vcpu)
{
	const struct lodge_events *ev = &vcpu->ev;

	if (vcpu->mp_state != KVM_MP_STATE_HALTED)
		return false;
	if (!ev->ex.pending && !ev->ex.injected && !ev->nmi_injected && !ev->irq_injected &&
	    !(ev->nmi_pending && nmi_allowed(vcpu)) &&
	    !(irq_waits(vcpu) && lodge_irq_allowed(vcpu)))
		return false;
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	return true;
}

static void give_irq(struct lodge_vcpu *vcpu)
{
	struct lodge_events *ev = &vcpu->ev;
	int v = take_irq(vcpu);

	if (v < 0)
		return;
	ev->irq_injected = true;
	ev->irq_soft = ev->irq_again = false;
	ev->irq = v;
	lodge_ops->inject_irq(vcpu);
}

void lodge_inject(struct lodge_vcpu *vcpu)
{
	struct lodge_events *ev = &vcpu->ev;
	bool busy = true;

	if (ev->ex.injected) {
		lodge_ops->inject_exception(vcpu);
	} else if (ev->nmi_injected) {
		lodge_ops->inject_nmi(vcpu);
	} else if (ev->ex.pending) {
		/* An interrupt that was on its way is not lost: it waits for the next entry. */
		deliver_payload(vcpu);
		ev->ex.pending = false;
		ev->ex.injected = true;
		lodge_ops->inject_exception(vcpu);
	} else if (ev->irq_injected && (ev->irq_again || ev->irq_soft || lodge_irq_allowed(vcpu))) {
		ev->irq_again = false;
		lodge_ops->inject_irq(vcpu);
	} else {
		busy = false;
	}
	if (ev->nmi_pending && !busy && nmi_allowed(vcpu)) {
		ev->nmi_pending = false;
		ev->nmi_injected = true;
		lodge_ops->set_nmi_masked(vcpu, true);
		lodge_ops->inject_nmi(vcpu);
	} else if (ev->nmi_pending) {
		lodge_ops->want_nmi_window(vcpu);
	}
	if (!busy && !ev->nmi_injected && !ev->irq_injected && lodge_irq_allowed(vcpu))
		give_irq(vcpu);
	lodge_ops->want_irq_window(vcpu, vcpu->irq_window_asked || irq_waits(vcpu) ||
						 (ev->irq_injected && !lodge_irq_allowed(vcpu)));
}

/* ---- To and from user space -------------------------------------------------------------------------- */

void lodge_events_get(struct lodge_vcpu *vcpu, struct kvm_vcpu_events *e)
{
	const struct lodge_events *ev = &vcpu->ev;

	memset(e, 0, sizeof(*e));
	/* User space knows one kind; a pending exception has changed nothing yet. */
	if (ev->ex.pending)
		deliver_payload(vcpu);
	e->exception.injected = ev->ex.injected || ev->ex.pending;
	e->exception.nr = ev->ex.nr;
	e->exception.has_error_code = ev->ex.has_error;
	e->exception.error_code = ev->ex.error;
	e->interrupt.injected = ev->irq_injected;
	e->interrupt.nr = ev->irq;
	e->interrupt.soft = ev->irq_soft;
	e->interrupt.shadow = lodge_ops->get_shadow(vcpu);
	e->nmi.injected = ev->nmi_injected;
	e->nmi.pending = ev->nmi_pending;
	e->nmi.masked = lodge_ops->nmi_masked(vcpu);
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
}

int lodge_events_set(struct lodge_vcpu *vcpu, const struct kvm_vcpu_events *e)
{
	struct lodge_events *ev = &vcpu->ev;

	if (e->flags & ~(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM))
		return -EINVAL;
	if (e->exception.injected && (e->exception.nr > 31 || e->exception.nr == 2))
		return -EINVAL;
	/* There is no system management mode. */
	if ((e->flags & KVM_VCPUEVENT_VALID_SMM) && (e->smi.smm || e->smi.pending))
		return -EINVAL;
	ev->ex = (struct lodge_exception){.injected = e->exception.injected,
					  .nr = e->exception.nr,
					  .has_error = e->exception.has_error_code,
					  .error = e->exception.error_code};
	ev->irq_injected = e->interrupt.injected;
	ev->irq = e->interrupt.nr;
	ev->irq_soft = e->interrupt.soft;
	ev->irq_again = e->interrupt.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		lodge_ops->set_shadow(vcpu, e->interrupt.shadow);
	ev->nmi_injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		ev->nmi_pending = e->nmi.pending;
	lodge_ops->set_nmi_masked(vcpu, e->nmi.masked);
	ev->triple_fault = false;
	return 0;
}
