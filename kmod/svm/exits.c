// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why the guest was left, a function a reason; those for both vendors are in exits.c of the core.
 * Source: AMD APM vol. 2 §15.9 to §15.14, appendix C.
 * Threads: the vCPU's own; srcu is held.
 */
#include <linux/kernel.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>

#include "svm/svm.h"

static struct svm_control *control(const struct lodge_vcpu *vcpu)
{
	return &svm_of(vcpu)->vmcb->control;
}

/* Where the next instruction is: the processor's word, or ours. 0: unknown. */
static u64 next(struct lodge_vcpu *vcpu)
{
	if (boot_cpu_has(X86_FEATURE_NRIPS) && control(vcpu)->next_rip)
		return control(vcpu)->next_rip;
	return lodge_insn_end(vcpu);
}

/* ---- Instructions ------------------------------------------------------------------------------------------ */

static int msr(struct lodge_vcpu *vcpu, u64 next_rip)
{
	return control(vcpu)->exit_info1 ? lodge_do_wrmsr(vcpu, next_rip)
					 : lodge_do_rdmsr(vcpu, next_rip);
}

static int io(struct lodge_vcpu *vcpu)
{
	u64 info = control(vcpu)->exit_info1;

	/* The processor has looked at the guest's permissions. */
	if (info & SVM_IO_STRING)
		return lodge_emulate(vcpu, true);
	return lodge_do_io(vcpu, SVM_IO_PORT(info), SVM_IO_SIZE(info), info & SVM_IO_IN,
			   control(vcpu)->exit_info2);
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
	control(vcpu)->dr_read = control(vcpu)->dr_write = 0;
	svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS);
	return 1;
}

/* ---- Exceptions and NMIs ------------------------------------------------------------------------------------- */

static int db(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	u64 dr6 = svm->vmcb->save.dr6;

	if (svm->stepping_iret) {
		svm_stop_stepping(vcpu);
		/* Our step alone. */
		if (!(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP) && !svm->step_tf &&
		    !(dr6 & 15)) {
			vcpu->dr6 &= ~(u64)DR_STEP;
			svm_state_changed(vcpu);
			return 1;
		}
	}
	if (vcpu->debug.control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)) {
		svm->vmcb->save.dr6 = vcpu->dr6;
		svm_dirty(vcpu, SVM_CLEAN_DR);
		return lodge_exit_debug(vcpu, LODGE_DB, dr6);
	}
	lodge_queue_db(vcpu, dr6 & 0xe00f);
	return 1;
}

static int bp(struct lodge_vcpu *vcpu)
{
	return lodge_exit_debug(vcpu, LODGE_BP, 0);
}

/* The NMI handler is about to end: NMIs are masked until this instruction is over. */
static int iret(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	control(vcpu)->misc1 &= ~SVM_I_IRET;
	svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS);
	svm->iret_seen = true;
	svm->iret_rip = vcpu->rip;
	return 1;
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

static int npf(struct lodge_vcpu *vcpu)
{
	u64 info = control(vcpu)->exit_info1, gpa = control(vcpu)->exit_info2;
	int r = lodge_fault(vcpu, gpa, info & SVM_NPF_WRITE);

	if (r)
		return r;
	/*
	 * The stack of an event, where no memory is: no instruction did that. Tables that are in none are the emulator's to
	 * find out (QEMU 7.2 also says so, seldom, of second-level tables, and goes on when it is done).
	 */
	if (control(vcpu)->exit_int_info & SVM_EVENT_VALID)
		return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, gpa, info);
	return lodge_emulate(vcpu, false);
}

static int task_switch(struct lodge_vcpu *vcpu)
{
	u64 info = control(vcpu)->exit_int_info, info2 = control(vcpu)->exit_info2;
	u64 before = vcpu->rip, type = info & SVM_EVENT_TYPE, end;
	u16 sel = control(vcpu)->exit_info1;
	/* As enum lodge_emu_task_reason. */
	unsigned int reason = 0;
	int r;

	if (info2 & 1ull << 36)
		reason = 1;
	else if (info2 & 1ull << 38)
		reason = 2;
	else if (info & SVM_EVENT_VALID)
		reason = 3;
	/* The switch is the event's delivery. */
	if (reason == 3)
		vcpu->ev.ex.injected = vcpu->ev.irq_injected = vcpu->ev.nmi_injected = false;
	/* The old task goes on after the instruction, if it was one: INT, INT3 and INTO among them. */
	if (reason != 3 || type == SVM_EVENT_SOFT ||
	    (type == SVM_EVENT_EXCEPTION && ((u8)info == LODGE_BP || (u8)info == 4))) {
		end = next(vcpu);
		if (!end)
			return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_EMULATION,
						   SVM_EXIT_TASK, before);
		vcpu->rip = end;
	}
	r = lodge_emulate_task_switch(vcpu, sel, reason, info2 & 1ull << 44, info2);
	if (vcpu->ev.ex.pending)
		vcpu->rip = before;
	return r;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int shutdown(struct lodge_vcpu *vcpu)
{
	/* The VMCB's state is undefined now. */
	svm_dirty(vcpu, SVM_CLEAN_ALL);
	lodge_vcpu_reset(vcpu);
	return lodge_exit(vcpu, KVM_EXIT_SHUTDOWN);
}

static const struct lodge_handler handlers[] = {
	[SVM_EXIT_READ_CR0... SVM_EXIT_WRITE_CR15] = LODGE_FN(lodge_do_emulate),
	[SVM_EXIT_READ_DR0... SVM_EXIT_WRITE_DR15] = LODGE_FN(debug_register),
	[SVM_EXIT_CR0_SEL] = LODGE_FN(lodge_do_emulate),
	[SVM_EXIT_DB] = LODGE_FN(db),
	[SVM_EXIT_BP] = LODGE_FN(bp),
	[SVM_EXIT_AC] = LODGE_FN(lodge_do_ac),
	[SVM_EXIT_MC] = LODGE_FN(lodge_go_on),
	[SVM_EXIT_INTR] = LODGE_FN(lodge_go_on),
	[SVM_EXIT_NMI] = LODGE_FN(lodge_go_on),
	[SVM_EXIT_SMI] = LODGE_FN(lodge_go_on),
	[SVM_EXIT_INIT] = LODGE_FN(lodge_go_on),
	[SVM_EXIT_VINTR] = LODGE_FN(lodge_go_on),
	[SVM_EXIT_RDPMC] = LODGE_FN(lodge_do_gp),
	[SVM_EXIT_CPUID] = LODGE_INSN(lodge_do_cpuid),
	[SVM_EXIT_IRET] = LODGE_FN(iret),
	[SVM_EXIT_INVD] = LODGE_INSN(lodge_skip_to), /* memory is coherent without */
	[SVM_EXIT_HLT] = LODGE_INSN(lodge_do_hlt),
	[SVM_EXIT_INVLPGA] = LODGE_FN(lodge_do_ud),
	[SVM_EXIT_IO] = LODGE_FN(io),
	[SVM_EXIT_MSR] = LODGE_INSN(msr),
	[SVM_EXIT_TASK] = LODGE_FN(task_switch),
	[SVM_EXIT_SHUTDOWN] = LODGE_FN(shutdown),
	[SVM_EXIT_VMRUN] = LODGE_FN(lodge_do_ud),
	[SVM_EXIT_VMMCALL] = LODGE_INSN(lodge_do_hypercall),
	[SVM_EXIT_VMLOAD... SVM_EXIT_SKINIT] = LODGE_FN(lodge_do_ud),
	[SVM_EXIT_WBINVD] = LODGE_INSN(lodge_skip_to),
	/* Not in its CPUID. */
	[SVM_EXIT_MONITOR] = LODGE_FN(lodge_do_ud),
	[SVM_EXIT_MWAIT] = LODGE_FN(lodge_do_ud),
	[SVM_EXIT_XSETBV] = LODGE_INSN(lodge_do_xsetbv),
	[SVM_EXIT_RDPRU] = LODGE_FN(lodge_do_ud),
	[SVM_EXIT_NPF] = LODGE_FN(npf),
};

int svm_handle_exit(struct lodge_vcpu *vcpu)
{
	u64 code = control(vcpu)->exit_code;

	if (code == SVM_EXIT_INVALID)
		return lodge_exit_not_entered(vcpu, code);
	return lodge_handle(vcpu, handlers, ARRAY_SIZE(handlers), code, next);
}
