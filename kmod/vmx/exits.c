// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why the guest was left, a function a reason; those for both vendors are in exits.c of the core.
 * Source: Intel SDM 3C §25 (what leaves the guest), §27.2 (what is told of it), appendix C (reasons).
 * Threads: the vCPU's own; srcu is held.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "vmx/vmx.h"

/* Where the next instruction is. */
static u64 next(struct lodge_vcpu *vcpu)
{
	u64 end = vcpu->rip + vmx_of(vcpu)->insn_len;

	return lodge_long_mode(vcpu) ? end : (u32)end;
}

/* ---- Instructions ------------------------------------------------------------------------------------------ */

static int io(struct lodge_vcpu *vcpu, u64 next_rip)
{
	u64 info = vmx_of(vcpu)->qualification;

	/* The processor has looked at the guest's permissions. */
	if (info & 1u << 4) /* string */
		return lodge_emulate(vcpu, true);
	return lodge_do_io(vcpu, info >> 16, (info & 7) + 1, info & 1u << 3, next_rip);
}

/*
 * One access to debug registers is seldom alone: until the next exit the guest has them to itself, unless a debugger
 * in user space has them.
 */
static int debug_register(struct lodge_vcpu *vcpu)
{
	if (vcpu->debug.control & KVM_GUESTDBG_USE_HW_BP)
		return lodge_emulate(vcpu, false);
	vcpu->dr_live = true;
	return 1;
}

/* ---- Exceptions ---------------------------------------------------------------------------------------------- */

static int db(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u64 why = vmx->qualification & 0x600f; /* BS, BD, B0 to B3 */

	/* INT1 is not past yet. */
	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vcpu->rip = next(vcpu);
	if (vcpu->debug.control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return lodge_exit_debug(vcpu, LODGE_DB, why | 0xffff0ff0);
	lodge_queue_db(vcpu, why);
	return 1;
}

static int exception(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 info = vmx->intr_info;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		return 1;
	switch ((u8)info) {
	case LODGE_DB:
		return db(vcpu);
	case LODGE_BP:
		vmx->soft_len = vmx->insn_len;
		return lodge_exit_debug(vcpu, LODGE_BP, 0);
	case LODGE_AC:
		return lodge_do_ac(vcpu);
	case LODGE_MC:
		return 1;
	}
	return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_SIMUL_EX, info, vcpu->rip);
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

static int ept_violation(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u64 info = vmx->qualification;
	bool write = info & EPT_VIOLATION_ACC_WRITE;
	/* In the walk of the guest's own tables; with A and D bits these are writes for EPT, if it reads or not. */
	bool table = (info & EPT_VIOLATION_GVA_IS_VALID) && !(info & EPT_VIOLATION_GVA_TRANSLATED);
	int r = lodge_fault(vcpu, vmx->gpa, write);

	if (!r && table)
		r = vmx_identity_fault(vcpu, vmx->gpa);
	if (r)
		return r;
	/* Tables in read-only memory: who does not need the processor's walk is the emulator. */
	if (table && write && !(vmx->idt_info & VECTORING_INFO_VALID_MASK) &&
	    lodge_fault(vcpu, vmx->gpa, false) > 0)
		return lodge_emulate(vcpu, false);
	/* Tables, or the stack of an event, where no memory is: no instruction did that. */
	if (table || (vmx->idt_info & VECTORING_INFO_VALID_MASK))
		return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, vmx->gpa, info);
	return lodge_emulate(vcpu, false);
}

/* Entries are ours: a mistake. */
static int ept_misconfig(struct lodge_vcpu *vcpu)
{
	pr_warn_ratelimited("lodge-intel: EPT misconfiguration at %llx\n", vmx_of(vcpu)->gpa);
	return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
				   EXIT_REASON_EPT_MISCONFIG, vmx_of(vcpu)->gpa);
}

/* As enum lodge_emu_task_reason; a gate in the IDT is the last. */
#define GATE 3

static int task_switch(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	unsigned int reason = vmx->qualification >> 30 & 3, type;
	bool event = reason == GATE && (vmx->idt_info & VECTORING_INFO_VALID_MASK);
	u64 before = vcpu->rip;
	int r;

	type = vmx->idt_info & VECTORING_INFO_TYPE_MASK;
	/* The old task goes on after the instruction, if it was one. */
	if (!event || type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_SOFT_EXCEPTION ||
	    type == INTR_TYPE_PRIV_SW_EXCEPTION)
		vcpu->rip = next(vcpu);
	/* The switch is the event's delivery. */
	if (event) {
		vcpu->ev.ex.injected = vcpu->ev.irq_injected = false;
		if (vcpu->ev.nmi_injected)
			vmx_set_nmi_masked(vcpu, true);
		vcpu->ev.nmi_injected = false;
	}
	r = lodge_emulate_task_switch(vcpu, vmx->qualification, reason,
				      event && (vmx->idt_info & VECTORING_INFO_DELIVER_CODE_MASK),
				      vmx->idt_error);
	if (vcpu->ev.ex.pending)
		vcpu->rip = before;
	return r;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int shutdown(struct lodge_vcpu *vcpu)
{
	return lodge_exit(vcpu, KVM_EXIT_SHUTDOWN);
}

static const struct lodge_handler handlers[] = {
	[EXIT_REASON_EXCEPTION_NMI] = LODGE_FN(exception),
	[EXIT_REASON_EXTERNAL_INTERRUPT] = LODGE_FN(lodge_go_on),
	[EXIT_REASON_TRIPLE_FAULT] = LODGE_FN(shutdown),
	[EXIT_REASON_INIT_SIGNAL] = LODGE_FN(lodge_go_on),
	[EXIT_REASON_INTERRUPT_WINDOW] = LODGE_FN(lodge_go_on),
	[EXIT_REASON_NMI_WINDOW] = LODGE_FN(lodge_go_on),
	[EXIT_REASON_TASK_SWITCH] = LODGE_FN(task_switch),
	[EXIT_REASON_CPUID] = LODGE_INSN(lodge_do_cpuid),
	[11] = LODGE_FN(lodge_do_ud), /* GETSEC */
	[EXIT_REASON_HLT] = LODGE_INSN(lodge_do_hlt),
	[EXIT_REASON_INVD] = LODGE_INSN(lodge_skip_to), /* memory is coherent without */
	[EXIT_REASON_RDPMC] = LODGE_FN(lodge_do_gp),
	[EXIT_REASON_VMCALL] = LODGE_INSN(lodge_do_hypercall),
	[EXIT_REASON_VMCLEAR... EXIT_REASON_VMON] = LODGE_FN(lodge_do_ud),
	[EXIT_REASON_CR_ACCESS] = LODGE_FN(lodge_do_emulate),
	[EXIT_REASON_DR_ACCESS] = LODGE_FN(debug_register),
	[EXIT_REASON_IO_INSTRUCTION] = LODGE_INSN(io),
	[EXIT_REASON_MSR_READ] = LODGE_INSN(lodge_do_rdmsr),
	[EXIT_REASON_MSR_WRITE] = LODGE_INSN(lodge_do_wrmsr),
	[EXIT_REASON_MWAIT_INSTRUCTION] = LODGE_FN(lodge_do_ud),
	[EXIT_REASON_MONITOR_INSTRUCTION] = LODGE_FN(lodge_do_ud),
	/* UMIP, where the processor has none. */
	[EXIT_REASON_GDTR_IDTR] = LODGE_FN(lodge_do_emulate),
	[EXIT_REASON_LDTR_TR] = LODGE_FN(lodge_do_emulate),
	[EXIT_REASON_EPT_VIOLATION] = LODGE_FN(ept_violation),
	[EXIT_REASON_EPT_MISCONFIG] = LODGE_FN(ept_misconfig),
	[EXIT_REASON_INVEPT] = LODGE_FN(lodge_do_ud),
	[EXIT_REASON_INVVPID] = LODGE_FN(lodge_do_ud),
	[EXIT_REASON_PREEMPTION_TIMER] = LODGE_FN(lodge_timer_counted),
	[EXIT_REASON_WBINVD] = LODGE_INSN(lodge_skip_to),
	[EXIT_REASON_XSETBV] = LODGE_INSN(lodge_do_xsetbv),
	[EXIT_REASON_VMFUNC] = LODGE_FN(lodge_do_ud),
};

int vmx_handle_exit(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 reason = vmx->reason;

	if (reason == VMX_EMULATE)
		return vmx_emulate(vcpu);
	if (reason == VMX_NO_REASON)
		return lodge_exit_not_entered(vcpu, vmx->failure);
	if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
		return lodge_exit_not_entered(vcpu, reason);
	return lodge_handle(vcpu, handlers, ARRAY_SIZE(handlers), reason, next);
}
