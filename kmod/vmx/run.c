// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Around the world switch: registers in and out, TLBs, what the host is owed at once.
 * Source: Intel SDM 3C §26.3 (loading guest state), §27 (VM exits), §28.3 (TLBs, INVEPT, INVVPID), §24.9 (exit
 * information).
 * Threads: the vCPU's own.
 */
#include <linux/hardirq.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/mmu_context.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "compat/compat.h"
#include "vmx/vmx.h"

/* ---- In ---------------------------------------------------------------------------------------------------- */

void vmx_flush_tlb(struct lodge_vcpu *vcpu)
{
	vmx_of(vcpu)->flush = true;
}

void vmx_prepare(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (vmx->loaded_tsc_aux != vcpu->msrs.tsc_aux && boot_cpu_has(X86_FEATURE_RDTSCP)) {
		vmx->loaded_tsc_aux = vcpu->msrs.tsc_aux;
		wrmsrl(MSR_TSC_AUX, vmx->loaded_tsc_aux);
	}
}

/* Guest-physical and combined mappings by the one, what is left of linear ones by the other. */
static void flush_now(struct vmx_vcpu *vmx)
{
	vmx->flush = false;
	vmx_invept(vmx->eptp);
	if (vmx->vpid)
		vmx_invvpid(vmx->vpid);
}

static void host_in(struct vmx_vcpu *vmx)
{
	u64 cr3 = __get_current_cr3_fast(), cr4 = cr4_read_shadow(), counters;

	if (vmx->host_cr3 != cr3) {
		vmx->host_cr3 = cr3;
		vmx_write(HOST_CR3, cr3);
	}
	if (vmx->host_cr4 != cr4) {
		vmx->host_cr4 = cr4;
		vmx_write(HOST_CR4, cr4);
	}
	if (vmx_caps.counters) {
		rdmsrl(MSR_CORE_PERF_GLOBAL_CTRL, counters);
		vmx_write(HOST_IA32_PERF_GLOBAL_CTRL, counters);
	}
}

/* In its units, rounded up: not before. Without a deadline it leaves the guest once in a long while, for nothing. */
static void timer_in(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u64 left = lodge_timer_left(vcpu), rest = left & (BIT_ULL(vmx_caps.timer_shift) - 1);
	u32 val = min_t(u64, (left >> vmx_caps.timer_shift) + !!rest, ~0u);

	if (vmx->timer_now == val)
		return;
	vmx->timer_now = val;
	vmx_write(VMX_PREEMPTION_TIMER_VALUE, val);
}

static void registers_in(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	vmx_write_state(vcpu);
	vmx_write(GUEST_RIP, vcpu->rip);
	vmx_write(GUEST_RSP, vcpu->regs[LODGE_RSP]);
	vmx_write(GUEST_RFLAGS, vcpu->rflags);
	vmx_write_events(vcpu);
	host_in(vmx);
	if (vmx_caps.pin & PIN_BASED_VMX_PREEMPTION_TIMER)
		timer_in(vcpu);
	if (vmx->flush)
		flush_now(vmx);
	if (native_read_cr2() != vcpu->cr2)
		native_write_cr2(vcpu->cr2);
	if (vcpu->dr_live)
		set_debugreg(vcpu->dr6, 6);
	/* What speculation could read there is not for the guest (L1TF). */
	if (vmx_caps.flush_l1d)
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}

/* ---- Out ----------------------------------------------------------------------------------------------------- */

static void why(struct vmx_vcpu *vmx)
{
	vmx->reason = vmx_read(VM_EXIT_REASON);
	vmx->qualification = vmx_read(EXIT_QUALIFICATION);
	vmx->idt_info = vmx_read(IDT_VECTORING_INFO_FIELD);
	if (vmx->idt_info & VECTORING_INFO_DELIVER_CODE_MASK)
		vmx->idt_error = vmx_read(IDT_VECTORING_ERROR_CODE);
	vmx->insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
	if (vmx->reason == EXIT_REASON_EXCEPTION_NMI)
		vmx->intr_info = vmx_read(VM_EXIT_INTR_INFO);
	else if (vmx->reason == EXIT_REASON_EPT_VIOLATION ||
		 vmx->reason == EXIT_REASON_EPT_MISCONFIG)
		vmx->gpa = vmx_read(GUEST_PHYSICAL_ADDRESS);
}

static void registers_out(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	vcpu->cr2 = native_read_cr2();
	vcpu->regs[LODGE_RSP] = vmx_read(GUEST_RSP);
	vcpu->rip = vmx_read(GUEST_RIP);
	vcpu->rflags = vmx_read(GUEST_RFLAGS);
	vcpu->cr0 = (vmx_read(GUEST_CR0) & VMX_CR0_FREE) | (vcpu->cr0 & ~VMX_CR0_FREE);
	if (!vmx_unpaged(vcpu))
		vcpu->cr3 = vmx_read(GUEST_CR3);
	vcpu->cr4 = (vmx_read(GUEST_CR4) & VMX_CR4_FREE) | (vcpu->cr4 & ~VMX_CR4_FREE);
	vmx->shadow = vmx->shadow_now = vmx_read(GUEST_INTERRUPTIBILITY_INFO);
	if (vcpu->dr_live) {
		get_debugreg(vcpu->dr6, 6);
		set_debugreg(DR6_RESERVED, 6);
		vcpu->dr7 = vmx_read(GUEST_DR7);
	}
}

/* NMIs and machine checks end the guest, and are the host's. */
static void give_to_host(const struct vmx_vcpu *vmx)
{
	u32 info = vmx->intr_info;

	if ((u16)vmx->reason == EXIT_REASON_MCE_DURING_VMENTRY)
		asm volatile("int $18");
	if (vmx->reason != EXIT_REASON_EXCEPTION_NMI)
		return;
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		asm volatile("int $2");
	else if ((u8)info == LODGE_MC)
		asm volatile("int $18");
}

static noinline bool switch_worlds(struct lodge_vcpu *vcpu)
{
	bool refused;

	lodge_guest_context_enter();
	refused = vmx_switch(vcpu->regs, vmx_of(vcpu)->launched);
	lodge_guest_context_exit();
	return refused;
}

/* All else that there is to know of the last exit is of one before. */
static void not_entered(struct lodge_vcpu *vcpu)
{
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_cancel_injection(vcpu);
}

void vmx_enter(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (!vmx_enters(vcpu)) {
		vmx->reason = VMX_EMULATE;
		return;
	}
	registers_in(vcpu);
	if (switch_worlds(vcpu)) {
		vmx->reason = VMX_NO_REASON;
		vmx->failure = vmx_read(VM_INSTRUCTION_ERROR);
		not_entered(vcpu);
		return;
	}
	if (vmx->host.debugctl)
		update_debugctlmsr(vmx->host.debugctl);
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	why(vmx);
	if (vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
		not_entered(vcpu);
	} else {
		vmx->launched = true;
		registers_out(vcpu);
		vmx_take_back_events(vcpu);
	}
	give_to_host(vmx);
}
