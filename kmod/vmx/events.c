// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events into the guest, windows for those that wait, and events whose delivery was cut short. All this is noted here
 * and written at the entry.
 * Source: Intel SDM 3C §24.4.2 (interruptibility), §26.2.1.3 and §26.6 (event injection), §27.2.4 (IDT-vectoring).
 * Threads: the vCPU's own.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "vmx/vmx.h"

/* ---- Blocking ---------------------------------------------------------------------------------------------- */

u32 vmx_get_shadow(struct lodge_vcpu *vcpu)
{
	u32 s = vmx_of(vcpu)->shadow;

	return (s & GUEST_INTR_STATE_STI ? KVM_X86_SHADOW_INT_STI : 0) |
	       (s & GUEST_INTR_STATE_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
}

/* Never both, which keeps guests from being entered. */
void vmx_set_shadow(struct lodge_vcpu *vcpu, u32 shadow)
{
	u32 *s = &vmx_of(vcpu)->shadow;

	*s &= ~(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
	if (shadow & KVM_X86_SHADOW_INT_MOV_SS)
		*s |= GUEST_INTR_STATE_MOV_SS;
	else if (shadow & KVM_X86_SHADOW_INT_STI)
		*s |= GUEST_INTR_STATE_STI;
}

bool vmx_nmi_masked(struct lodge_vcpu *vcpu)
{
	return vmx_of(vcpu)->shadow & GUEST_INTR_STATE_NMI;
}

void vmx_set_nmi_masked(struct lodge_vcpu *vcpu, bool masked)
{
	if (masked)
		vmx_of(vcpu)->shadow |= GUEST_INTR_STATE_NMI;
	else
		vmx_of(vcpu)->shadow &= ~GUEST_INTR_STATE_NMI;
}

/* ---- Into the guest ------------------------------------------------------------------------------------------ */

static void inject(struct lodge_vcpu *vcpu, u32 event)
{
	vmx_of(vcpu)->inject = event | INTR_INFO_VALID_MASK;
}

/* #DF, #TS, #NP, #SS, #GP, #PF, #AC have error codes, outside real mode; entries with others are refused. */
static bool has_error(const struct lodge_vcpu *vcpu, u8 nr)
{
	return (vcpu->cr0 & X86_CR0_PE) && nr < 32 && (0x27d00u >> nr & 1);
}

void vmx_inject_exception(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	const struct lodge_exception *ex = &vcpu->ev.ex;

	/* #BP and #OF are their instructions', which are to be passed. */
	if (ex->nr == LODGE_BP || ex->nr == 4) {
		inject(vcpu, INTR_TYPE_SOFT_EXCEPTION | ex->nr);
		vmx->inject_len = vmx->soft_len ? vmx->soft_len : 1;
		return;
	}
	vmx->inject_error = ex->has_error ? ex->error : 0;
	inject(vcpu, INTR_TYPE_HARD_EXCEPTION | ex->nr |
			     (has_error(vcpu, ex->nr) ? INTR_INFO_DELIVER_CODE_MASK : 0));
}

/* Delivery blocks further NMIs, and they must not be blocked before. */
void vmx_inject_nmi(struct lodge_vcpu *vcpu)
{
	vmx_set_nmi_masked(vcpu, false);
	inject(vcpu, INTR_TYPE_NMI_INTR | 2);
}

void vmx_inject_irq(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	/* User space may say so of a guest that has IF off: then it waits. */
	if (!vcpu->ev.irq_soft && !(vcpu->rflags & X86_EFLAGS_IF))
		return;
	vmx->gave_irq = true;
	if (!vcpu->ev.irq_soft) {
		inject(vcpu, INTR_TYPE_EXT_INTR | vcpu->ev.irq);
		return;
	}
	/* The emulator is past INT n already: the processor is given a byte of it. */
	inject(vcpu, INTR_TYPE_SOFT_INTR | vcpu->ev.irq);
	vmx->inject_len = 1;
}

/* What was given stays marked as injected, and is given again. */
void vmx_cancel_injection(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if ((vmx->inject & INTR_INFO_VALID_MASK) &&
	    (vmx->inject & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		vmx_set_nmi_masked(vcpu, true);
	vmx->inject = 0;
	vmx->gave_irq = false;
}

void vmx_want_irq_window(struct lodge_vcpu *vcpu, bool on)
{
	vmx_of(vcpu)->irq_window = on;
}

/* After STI, where NMIs could come but we give none, the window of interrupts opens at the right moment. */
void vmx_want_nmi_window(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	vmx->nmi_behind_sti = vmx->shadow & GUEST_INTR_STATE_STI;
	vmx->nmi_window = !vmx->nmi_behind_sti;
}

/* ---- At the entry ---------------------------------------------------------------------------------------------- */

static void write_windows(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 proc = vmx_caps.proc;

	if (vmx->irq_window || vmx->nmi_behind_sti)
		proc |= CPU_BASED_INTR_WINDOW_EXITING;
	if (vmx->nmi_window)
		proc |= CPU_BASED_NMI_WINDOW_EXITING;
	if (vmx_unpaged(vcpu))
		proc |= CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING;
	/* The guest has its debug registers to itself. */
	if (vcpu->dr_live)
		proc &= ~CPU_BASED_MOV_DR_EXITING;
	if (proc == vmx->proc_now)
		return;
	vmx->proc_now = proc;
	vmx_write(CPU_BASED_VM_EXEC_CONTROL, proc);
}

void vmx_write_events(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 blocks = GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS;

	write_windows(vcpu);
	/* Blocking by STI needs IF, and is over when an event is delivered. */
	if (vmx->inject || !(vcpu->rflags & X86_EFLAGS_IF))
		vmx->shadow &= vmx->inject ? ~blocks : ~GUEST_INTR_STATE_STI;
	if (vmx->shadow != vmx->shadow_now) {
		vmx->shadow_now = vmx->shadow;
		vmx_write(GUEST_INTERRUPTIBILITY_INFO, vmx->shadow);
	}
	/* A single step waits behind the blocking. */
	if (vmx->shadow & blocks)
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS,
			  (vmx_read(GUEST_PENDING_DBG_EXCEPTIONS) & ~DR_STEP) |
				  (vcpu->rflags & X86_EFLAGS_TF ? DR_STEP : 0));
	if (!vmx->inject)
		return;
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, vmx->inject);
	vmx_write(VM_ENTRY_EXCEPTION_ERROR_CODE, vmx->inject_error);
	vmx_write(VM_ENTRY_INSTRUCTION_LEN, vmx->inject_len);
	if ((vmx->inject & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_SOFT_INTR)
		vmx_write(GUEST_RIP, vcpu->rip - 1);
}

/* ---- At the exit ------------------------------------------------------------------------------------------------- */

/* An IRET that faults has unblocked NMIs, and is to run again with them blocked. */
static void block_nmis_again(struct vmx_vcpu *vmx)
{
	if (vmx->idt_info & VECTORING_INFO_VALID_MASK)
		return;
	if (vmx->reason == EXIT_REASON_EPT_VIOLATION || vmx->reason == EXIT_REASON_EPT_MISCONFIG) {
		if (vmx->qualification & INTR_INFO_UNBLOCK_NMI)
			vmx->shadow |= GUEST_INTR_STATE_NMI;
	} else if (vmx->reason == EXIT_REASON_EXCEPTION_NMI &&
		   (vmx->intr_info & INTR_INFO_UNBLOCK_NMI) && (u8)vmx->intr_info != LODGE_DF) {
		vmx->shadow |= GUEST_INTR_STATE_NMI;
	}
}

/* The event that was being delivered when something else happened, for another try. */
void vmx_take_back_events(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	struct lodge_events *ev = &vcpu->ev;
	u32 info = vmx->idt_info;
	bool soft = vmx->gave_irq && ev->irq_soft;
	u8 nr = info;

	block_nmis_again(vmx);
	ev->ex.injected = false;
	ev->nmi_injected = false;
	/* One that something came before stays. */
	if (vmx->gave_irq)
		ev->irq_injected = false;
	vmx->gave_irq = false;
	vmx->inject = 0;
	vmx->nmi_window = vmx->nmi_behind_sti = false;
	if (!(info & VECTORING_INFO_VALID_MASK))
		return;
	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_NMI_INTR:
		ev->nmi_injected = true;
		break;
	case INTR_TYPE_HARD_EXCEPTION:
		ev->ex = (struct lodge_exception){.injected = true,
						  .nr = nr,
						  .has_error =
							  info & VECTORING_INFO_DELIVER_CODE_MASK,
						  .error = vmx->idt_error};
		break;
	case INTR_TYPE_EXT_INTR:
		ev->irq_injected = true;
		ev->irq_again = true;
		ev->irq_soft = false;
		ev->irq = nr;
		break;
	case INTR_TYPE_SOFT_INTR:
		/* Those that software raises come again by their instruction, but one that we began. */
		ev->irq_injected = soft;
		if (soft)
			vcpu->rip++;
		break;
	}
}
