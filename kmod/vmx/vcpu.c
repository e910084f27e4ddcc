// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's VMCS: made, brought into a processor and out of it; and what of the host's registers is given to the guest
 * while the vCPU is loaded.
 *
 * A processor may keep a VMCS within itself until VMCLEAR: so each processor has a list of those that it may have, and
 * one that is wanted elsewhere is cleared there first, by an interrupt.
 * Source: Intel SDM 3C §24.1 (VMCS), §24.5 (host state), §24.11.1 (software use), §28.2 (EPT).
 * Threads: as lodge.h says.
 */
#include <linux/delay.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>

#include "vmx/vmx.h"

static DEFINE_IDA(vpids);

static u64 pa_of(const struct vmx_vcpu *vmx)
{
	return page_to_phys(vmx->vmcs);
}

/* ---- In and out of processors ---------------------------------------------------------------------------------- */

/* On the processor that may have it, interrupts off. */
static void clear_here(void *arg)
{
	struct vmx_vcpu *vmx = arg;
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpus);

	if (vmx->cpu != smp_processor_id())
		return;
	vmx_vmclear(pa_of(vmx));
	if (c->inside == vmx)
		c->inside = NULL;
	list_del(&vmx->link);
	vmx->launched = false;
	smp_store_release(&vmx->cpu, -1);
}

void vmx_clear_all(void)
{
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, &this_cpu_ptr(&vmx_cpus)->active, link) clear_here(vmx);
}

/* What differs between processors. */
static void write_host_of_cpu(void)
{
	struct desc_ptr gdt;
	const struct ldttss_desc *tss;
	u64 val;

	native_store_gdt(&gdt);
	tss = (const void *)(gdt.address + GDT_ENTRY_TSS * 8);
	vmx_write(HOST_GDTR_BASE, gdt.address);
	vmx_write(HOST_TR_BASE,
		  tss->base0 | tss->base1 << 16 | (u64)tss->base2 << 24 | (u64)tss->base3 << 32);
	rdmsrl(MSR_GS_BASE, val);
	vmx_write(HOST_GS_BASE, val);
	rdmsrl(MSR_IA32_SYSENTER_ESP, val);
	vmx_write(HOST_IA32_SYSENTER_ESP, val);
}

/* Preemption is off, interrupts are on. */
static void make_current(struct vmx_vcpu *vmx)
{
	int cpu = smp_processor_id(), was = READ_ONCE(vmx->cpu);
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpus);
	bool moves = was != cpu;
	unsigned long flags;

	if (moves && was >= 0)
		smp_call_function_single(was, clear_here, vmx, 1);
	local_irq_save(flags);
	if (moves) {
		vmx_vmclear(pa_of(vmx));
		list_add(&vmx->link, &c->active);
		vmx->cpu = cpu;
		/* This processor may know things of when it was here before. */
		vmx->flush = true;
	}
	if (c->inside != vmx) {
		vmx_vmptrld(pa_of(vmx));
		c->inside = vmx;
	}
	local_irq_restore(flags);
	if (moves)
		write_host_of_cpu();
}

void vmx_begin(struct lodge_vcpu *vcpu)
{
	preempt_disable();
	/* A processor that goes offline, or the machine: this thread is soon elsewhere. */
	while (!lodge_hardware_is_on()) {
		preempt_enable();
		msleep(1);
		preempt_disable();
	}
	make_current(vmx_of(vcpu));
}

void vmx_end(void)
{
	preempt_enable();
}

/* ---- Loaded ------------------------------------------------------------------------------------------------------ */

/* VM exits leave these as no program has them: null selectors, and bases from the VMCS. */
static void save_host(struct vmx_host *h)
{
	savesegment(ds, h->ds);
	savesegment(es, h->es);
	savesegment(fs, h->fs);
	savesegment(gs, h->gs);
	store_ldt(h->ldt);
	rdmsrl(MSR_FS_BASE, h->fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	h->debugctl = get_debugctlmsr();
}

static void restore_host(const struct vmx_host *h, int cpu)
{
	if (h->ldt)
		asm volatile("lldt %0" : : "m"(h->ldt));
	if (h->ds || h->es) {
		loadsegment(ds, h->ds);
		loadsegment(es, h->es);
	}
	if (h->fs) {
		loadsegment(fs, h->fs);
		wrmsrl(MSR_FS_BASE, h->fs_base);
	}
	if (h->gs)
		load_gs_index(h->gs);
	wrmsrl(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	/* Limits of GDT and TSS are the architecture's largest and least after an exit. */
	load_fixmap_gdt(cpu);
	invalidate_tss_limit();
}

void vmx_vcpu_load(struct lodge_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

	/* On a processor that is going it does not enter its guest, and is soon elsewhere. */
	if (lodge_hardware_is_on())
		make_current(vmx);
	/* One guest's branches are no hints for another's. */
	if (c->last != vcpu) {
		c->last = vcpu;
		indirect_branch_prediction_barrier();
	}
	save_host(&vmx->host);
	vmx_write(HOST_FS_BASE, vmx->host.fs_base);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++) {
		if (vmx->syscall[i] != vmx_host_syscall[i])
			wrmsrl(vmx_syscall_msrs[i], vmx->syscall[i]);
	}
	if (boot_cpu_has(X86_FEATURE_RDTSCP)) {
		rdmsrl(MSR_TSC_AUX, vmx->host.tsc_aux);
		vmx->loaded_tsc_aux = vcpu->msrs.tsc_aux;
		wrmsrl(MSR_TSC_AUX, vmx->loaded_tsc_aux);
	}
	vmx->loaded = true;
}

void vmx_vcpu_put(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	vmx->loaded = false;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	restore_host(&vmx->host, smp_processor_id());
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++) {
		if (vmx->syscall[i] != vmx_host_syscall[i])
			wrmsrl(vmx_syscall_msrs[i], vmx_host_syscall[i]);
	}
	if (boot_cpu_has(X86_FEATURE_RDTSCP))
		wrmsrl(MSR_TSC_AUX, vmx->host.tsc_aux);
}

/* ---- Made and freed ------------------------------------------------------------------------------------------------ */

static void write_host_constants(void)
{
	struct desc_ptr idt;
	u64 val;

	vmx_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmx_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmx_write(HOST_DS_SELECTOR, 0);
	vmx_write(HOST_ES_SELECTOR, 0);
	vmx_write(HOST_FS_SELECTOR, 0);
	vmx_write(HOST_GS_SELECTOR, 0);
	vmx_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	store_idt(&idt);
	vmx_write(HOST_IDTR_BASE, idt.address);
	vmx_write(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmx_write(HOST_RIP, (unsigned long)vmx_left);
	rdmsrl(MSR_IA32_CR_PAT, val);
	vmx_write(HOST_IA32_PAT, val);
	rdmsrl(MSR_EFER, val);
	vmx_write(HOST_IA32_EFER, val);
	rdmsrl(MSR_IA32_SYSENTER_CS, val);
	vmx_write(HOST_IA32_SYSENTER_CS, val);
	rdmsrl(MSR_IA32_SYSENTER_EIP, val);
	vmx_write(HOST_IA32_SYSENTER_EIP, val);
}

static void write_controls(const struct vmx_vcpu *vmx)
{
	if (vmx->vpid)
		vmx_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	vmx_write(PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin);
	vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx_caps.proc);
	vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx->proc2_now);
	vmx_write(VM_EXIT_CONTROLS, vmx_caps.exit);
	vmx_write(VM_ENTRY_CONTROLS, vmx_caps.entry);
	vmx_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmx_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmx_write(CR3_TARGET_COUNT, 0);
	if (vmx_caps.pin & PIN_BASED_VMX_PREEMPTION_TIMER)
		vmx_write(VMX_PREEMPTION_TIMER_VALUE, 0);
	vmx_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_write(MSR_BITMAP, page_to_phys(vmx_msr_bitmap));
	vmx_write(EPT_POINTER, vmx->eptp);
	vmx_write(CR0_GUEST_HOST_MASK, ~VMX_CR0_FREE);
	vmx_write(CR4_GUEST_HOST_MASK, ~VMX_CR4_FREE);
	vmx_write(VMCS_LINK_POINTER, ~0ull);
	vmx_write(GUEST_IA32_DEBUGCTL, 0);
	if (vmx_caps.counters)
		vmx_write(GUEST_IA32_PERF_GLOBAL_CTRL, 0);
	vmx_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmx_write(GUEST_SYSENTER_CS, 0);
	vmx_write(GUEST_SYSENTER_ESP, 0);
	vmx_write(GUEST_SYSENTER_EIP, 0);
}

int vmx_vcpu_create(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	int id = 0;

	if (!vmx)
		return -ENOMEM;
	vmx->vmcs = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vmx->vmcs) {
		kfree(vmx);
		return -ENOMEM;
	}
	*(u32 *)page_address(vmx->vmcs) = vmx_caps.revision;
	vmx->cpu = -1;
	/* When there are no more, its TLB entries go with each exit. */
	if (vmx_caps.vpid)
		id = ida_alloc_range(&vpids, 1, VMX_NR_VPIDS - 1, GFP_KERNEL);
	vmx->vpid = id > 0 ? id : 0;
	vmx->eptp = __pa(vcpu->vm->root) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 |
		    (vmx_caps.ad ? VMX_EPTP_AD_ENABLE_BIT : 0);
	vmx->proc_now = vmx_caps.proc;
	vmx->proc2_now = vmx_caps.proc2 & ~SECONDARY_EXEC_DESC;
	if (!vmx->vpid)
		vmx->proc2_now &= ~SECONDARY_EXEC_ENABLE_VPID;
	vmx->entry_now = vmx_caps.entry;
	vcpu->vendor = vmx;
	vmx_begin(vcpu);
	write_host_constants();
	write_controls(vmx);
	vmx_end();
	return 0;
}

void vmx_vcpu_free(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	int cpu = READ_ONCE(vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_here, vmx, 1);
	/* Another may come to be where this one was, and is not to be taken for it. */
	for_each_possible_cpu(cpu) cmpxchg(&per_cpu_ptr(&vmx_cpus, cpu)->last, vcpu, NULL);
	if (vmx->vpid)
		ida_free(&vpids, vmx->vpid);
	__free_page(vmx->vmcs);
	kfree(vmx);
	vcpu->vendor = NULL;
}
