// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Around the world switch: events into the VMCB, ASIDs, registers in and out.
 * Source: AMD APM vol. 2 §15.16 (ASIDs, TLB control), §15.20 (event injection), §15.21 (virtual interrupts).
 * Threads: the vCPU's own.
 */
#include <linux/hardirq.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

#include "compat/compat.h"
#include "svm/svm.h"

static struct svm_control *control(const struct lodge_vcpu *vcpu)
{
	return &svm_of(vcpu)->vmcb->control;
}

/* ---- Events ------------------------------------------------------------------------------------------------ */

u32 svm_get_shadow(struct lodge_vcpu *vcpu)
{
	/* The processor does not say which of the two it was. */
	return control(vcpu)->shadow & 1 ? KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS : 0;
}

void svm_set_shadow(struct lodge_vcpu *vcpu, u32 shadow)
{
	control(vcpu)->shadow = (control(vcpu)->shadow & ~1ull) | (shadow != 0);
}

bool svm_nmi_masked(struct lodge_vcpu *vcpu)
{
	return svm_of(vcpu)->nmi_masked;
}

/* Its end is an IRET, which leaves the guest. */
void svm_set_nmi_masked(struct lodge_vcpu *vcpu, bool masked)
{
	svm_of(vcpu)->nmi_masked = masked;
	svm_of(vcpu)->iret_seen = false;
	if (masked)
		control(vcpu)->misc1 |= SVM_I_IRET;
	else
		control(vcpu)->misc1 &= ~SVM_I_IRET;
	svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS);
}

static void inject(struct lodge_vcpu *vcpu, u32 event, u32 error)
{
	control(vcpu)->event_inject = SVM_EVENT_VALID | event | (u64)error << 32;
}

void svm_inject_exception(struct lodge_vcpu *vcpu)
{
	const struct lodge_exception *ex = &vcpu->ev.ex;
	/* In real mode exceptions have no error codes. */
	bool error = ex->has_error && (vcpu->cr0 & X86_CR0_PE);

	inject(vcpu, SVM_EVENT_EXCEPTION | ex->nr | (error ? SVM_EVENT_ERROR : 0),
	       error ? ex->error : 0);
}

void svm_inject_nmi(struct lodge_vcpu *vcpu)
{
	inject(vcpu, SVM_EVENT_NMI | 2, 0);
}

void svm_inject_irq(struct lodge_vcpu *vcpu)
{
	svm_of(vcpu)->gave_irq = true;
	inject(vcpu, (vcpu->ev.irq_soft ? SVM_EVENT_SOFT : SVM_EVENT_IRQ) | vcpu->ev.irq, 0);
}

void svm_cancel_injection(struct lodge_vcpu *vcpu)
{
	/* What was given stays marked as injected, and is given again. */
	control(vcpu)->event_inject = 0;
	svm_of(vcpu)->gave_irq = false;
}

/* A virtual interrupt that is never delivered: when it could be, the guest is left. */
void svm_want_irq_window(struct lodge_vcpu *vcpu, bool on)
{
	struct svm_control *c = control(vcpu);

	if (on == !!(c->vintr & SVM_V_IRQ))
		return;
	svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS | SVM_CLEAN_VINTR);
	if (on) {
		c->vintr |= SVM_V_IRQ | SVM_V_PRIO | SVM_V_IGNORE_TPR;
		c->misc1 |= SVM_I_VINTR;
	} else {
		c->vintr &= ~(SVM_V_IRQ | SVM_V_PRIO | SVM_V_IGNORE_TPR);
		c->misc1 &= ~SVM_I_VINTR;
	}
}

/* Until the handler's IRET has ended, or the instruction after STI: one step. */
void svm_want_nmi_window(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	if ((svm->nmi_masked && !svm->iret_seen) || svm->stepping_iret)
		return;
	svm->stepping_iret = true;
	svm->step_tf = vcpu->rflags & X86_EFLAGS_TF;
	vcpu->rflags |= X86_EFLAGS_TF;
}

void svm_stop_stepping(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	svm->stepping_iret = false;
	if (!svm->step_tf && !(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP))
		vcpu->rflags &= ~(u64)X86_EFLAGS_TF;
}

/* The event that was being delivered when something else happened, for another try. */
static void take_back_events(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct lodge_events *ev = &vcpu->ev;
	u64 info = svm->vmcb->control.exit_int_info;
	u8 nr = info;

	if (svm->iret_seen && vcpu->rip != svm->iret_rip) {
		svm->iret_seen = false;
		svm->nmi_masked = false;
	}
	ev->ex.injected = false;
	ev->nmi_injected = false;
	/* One that something came before stays. */
	if (svm->gave_irq)
		ev->irq_injected = false;
	svm->gave_irq = false;
	svm->vmcb->control.event_inject = 0;
	if (!(info & SVM_EVENT_VALID))
		return;
	switch (info & SVM_EVENT_TYPE) {
	case SVM_EVENT_NMI:
		ev->nmi_injected = true;
		break;
	case SVM_EVENT_EXCEPTION:
		/* Those that software raises come again by their instruction. */
		if (nr == LODGE_BP || nr == 4)
			break;
		ev->ex = (struct lodge_exception){.injected = true,
						  .nr = nr,
						  .has_error = info & SVM_EVENT_ERROR,
						  .error = info >> 32};
		break;
	case SVM_EVENT_IRQ:
		ev->irq_injected = true;
		ev->irq_again = true;
		ev->irq_soft = false;
		ev->irq = nr;
		break;
	}
}

/* ---- TLBs -------------------------------------------------------------------------------------------------- */

void svm_flush_tlb(struct lodge_vcpu *vcpu)
{
	svm_of(vcpu)->generation = 0;
}

/* An address space identifier that nobody else has used on this processor since its TLB was empty. */
static void choose_asid(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct svm_cpu *c = this_cpu_ptr(&svm_cpus);
	struct svm_control *ctl = control(vcpu);
	int cpu = smp_processor_id();

	ctl->tlb_control = SVM_TLB_KEEP;
	if (svm->generation == c->generation && svm->asid_cpu == cpu)
		return;
	if (c->next_asid > c->max_asid) {
		c->generation++;
		c->next_asid = 1;
		ctl->tlb_control = SVM_TLB_FLUSH_ALL;
	}
	ctl->asid = c->next_asid++;
	svm_dirty(vcpu, SVM_CLEAN_ASID);
	svm->generation = c->generation;
	svm->asid_cpu = cpu;
}

/* ---- In and out -------------------------------------------------------------------------------------------- */

static void registers_in(struct lodge_vcpu *vcpu)
{
	struct svm_save *s = &svm_of(vcpu)->vmcb->save;

	s->rax = vcpu->regs[LODGE_RAX];
	s->rsp = vcpu->regs[LODGE_RSP];
	s->rip = vcpu->rip;
	s->rflags = vcpu->rflags;
	if (s->cr2 != vcpu->cr2) {
		s->cr2 = vcpu->cr2;
		svm_dirty(vcpu, SVM_CLEAN_CR2);
	}
	if ((control(vcpu)->vintr & SVM_V_TPR) != vcpu->cr8) {
		control(vcpu)->vintr = (control(vcpu)->vintr & ~SVM_V_TPR) | (vcpu->cr8 & 15);
		svm_dirty(vcpu, SVM_CLEAN_VINTR);
	}
}

static void registers_out(struct lodge_vcpu *vcpu)
{
	const struct svm_save *s = &svm_of(vcpu)->vmcb->save;
	const u64 hidden = X86_CR0_CD | X86_CR0_NW;

	vcpu->regs[LODGE_RAX] = s->rax;
	vcpu->regs[LODGE_RSP] = s->rsp;
	vcpu->rip = s->rip;
	vcpu->rflags = s->rflags;
	vcpu->cr0 = (s->cr0 & ~hidden) | (vcpu->cr0 & hidden);
	vcpu->cr2 = s->cr2;
	vcpu->cr3 = s->cr3;
	vcpu->cr8 = control(vcpu)->vintr & 15;
	/* A debugger's breakpoints are none of the guest's. */
	if (!(vcpu->debug.control & KVM_GUESTDBG_USE_HW_BP))
		vcpu->dr6 = s->dr6;
	if (vcpu->dr_live) {
		vcpu->dr7 = s->dr7;
		control(vcpu)->dr_read = control(vcpu)->dr_write = 0xffff;
		svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS);
	}
}

void svm_prepare(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	if (svm->loaded_tsc_aux != vcpu->msrs.tsc_aux && boot_cpu_has(X86_FEATURE_RDTSCP)) {
		svm->loaded_tsc_aux = vcpu->msrs.tsc_aux;
		wrmsrl(MSR_TSC_AUX, svm->loaded_tsc_aux);
	}
}

static noinline void switch_worlds(struct lodge_vcpu *vcpu)
{
	const struct svm_cpu *c = this_cpu_ptr(&svm_cpus);
	u64 extra = page_to_phys(c->host_extra);

	/* XSAVES does not leave the guest, and is not to reach what of the host is not exchanged. */
	if (c->host_xss)
		wrmsrl(MSR_IA32_XSS, 0);
	amd_clear_divider();
	lodge_guest_context_enter();
	svm_switch(vcpu->regs, svm_of(vcpu)->vmcb_pa, extra);
	lodge_guest_context_exit();
	if (c->host_xss)
		wrmsrl(MSR_IA32_XSS, c->host_xss);
}

#ifdef LODGE_DEBUG
/* Parts said to be clean must be as the processor left them; what is forgotten shows on real processors alone. */
static void check_clean(const struct svm_vcpu *svm)
{
#define PART(bit, first, end)                                                 \
	{                                                                     \
		bit, offsetof(struct vmcb, first), offsetof(struct vmcb, end) \
	}
	static const struct {
		u32 bit, from, to;
	} parts[] = {
		PART(SVM_CLEAN_INTERCEPTS, control.cr_read, control.reserved1),
		PART(SVM_CLEAN_INTERCEPTS, control.tsc_offset, control.asid),
		PART(SVM_CLEAN_ASID, control.asid, control.tlb_control),
		PART(SVM_CLEAN_VINTR, control.vintr, control.shadow),
		PART(SVM_CLEAN_NP, control.n_cr3, control.lbr),
		PART(SVM_CLEAN_NP, save.g_pat, save.dbgctl),
		PART(SVM_CLEAN_CR, save.efer, save.reserved3),
		PART(SVM_CLEAN_CR, save.cr4, save.dr7),
		PART(SVM_CLEAN_DR, save.dr7, save.rflags),
		PART(SVM_CLEAN_DT, save.gdtr, save.ldtr),
		PART(SVM_CLEAN_DT, save.idtr, save.tr),
		PART(SVM_CLEAN_SEG, save.es, save.fs),
		PART(SVM_CLEAN_SEG, save.cpl, save.reserved2),
		PART(SVM_CLEAN_CR2, save.cr2, save.reserved6),
	};
	const u8 *now = (const u8 *)svm->vmcb, *seen = (const u8 *)&svm->seen;

	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
		WARN_ONCE((svm->vmcb->control.clean & parts[i].bit) &&
				  memcmp(now + parts[i].from, seen + parts[i].from,
					 parts[i].to - parts[i].from),
			  "lodge-amd: the VMCB at %x is not clean", parts[i].from);
}

static void note_clean(struct svm_vcpu *svm)
{
	svm->seen = *svm->vmcb;
}
#else
static void check_clean(const struct svm_vcpu *svm)
{
}

static void note_clean(struct svm_vcpu *svm)
{
}
#endif

void svm_enter(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct svm_control *c = control(vcpu);

	choose_asid(vcpu);
	registers_in(vcpu);
	if (svm->cpu != smp_processor_id())
		c->clean = 0;
	svm->cpu = smp_processor_id();
	check_clean(svm);
	switch_worlds(vcpu);
	c->clean = SVM_CLEAN_ALL;
	note_clean(svm);
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	registers_out(vcpu);
	take_back_events(vcpu);
	/* A machine check belongs to the host. */
	if (c->exit_code == SVM_EXIT_MC)
		asm volatile("int $18");
}
