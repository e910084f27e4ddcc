// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What of the guest's registers is in the VMCS, or in the processor while the vCPU is loaded.
 * Source: Intel SDM 3C §24.4 (guest state), §26.3.1 (checks on it), §24.6.6 (masks of CR0 and CR4).
 * Threads: the vCPU's own, with vcpu->lock; may sleep.
 */
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

#include "vmx/vmx.h"

/* ---- Segments -------------------------------------------------------------------------------------------- */

/* The four fields of a segment; segments are two apart. */
static unsigned int field_of(enum lodge_seg n, unsigned int of_es)
{
	unsigned int i = n == LODGE_TR ? 7 : n == LODGE_LDTR ? 6 : n;

	return of_es + 2 * i;
}

void vmx_get_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, struct kvm_segment *seg)
{
	u32 ar;

	vmx_begin(vcpu);
	ar = vmx_read(field_of(n, GUEST_ES_AR_BYTES));
	*seg = (struct kvm_segment){
		.base = vmx_read(field_of(n, GUEST_ES_BASE)),
		.limit = vmx_read(field_of(n, GUEST_ES_LIMIT)),
		.selector = vmx_read(field_of(n, GUEST_ES_SELECTOR)),
		.unusable = (ar & VMX_AR_UNUSABLE_MASK) != 0,
	};
	vmx_end();
	lodge_seg_set_attr(seg, ar);
	seg->present = !seg->unusable;
}

void vmx_set_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, const struct kvm_segment *seg)
{
	u32 ar = lodge_seg_attr(seg);

	/* What the processor does itself when it loads one: accessed, busy. */
	if (n == LODGE_TR)
		ar |= 2;
	else if (n != LODGE_LDTR)
		ar |= VMX_AR_TYPE_ACCESSES_MASK;
	/* Entries are refused where the limit does not fit its unit. */
	if (seg->limit >> 20)
		ar |= VMX_AR_G_MASK;
	else if ((seg->limit & 0xfff) != 0xfff)
		ar &= ~VMX_AR_G_MASK;
	if (seg->unusable || !seg->present)
		ar |= VMX_AR_UNUSABLE_MASK;
	vmx_begin(vcpu);
	vmx_write(field_of(n, GUEST_ES_SELECTOR), seg->selector);
	vmx_write(field_of(n, GUEST_ES_BASE), seg->base);
	vmx_write(field_of(n, GUEST_ES_LIMIT), seg->limit);
	vmx_write(field_of(n, GUEST_ES_AR_BYTES), ar);
	vmx_of(vcpu)->look_at_segs = true;
	vmx_end();
}

void vmx_get_tables(struct lodge_vcpu *vcpu, struct kvm_dtable *gdt, struct kvm_dtable *idt)
{
	vmx_begin(vcpu);
	*gdt = (struct kvm_dtable){.base = vmx_read(GUEST_GDTR_BASE),
				   .limit = vmx_read(GUEST_GDTR_LIMIT)};
	*idt = (struct kvm_dtable){.base = vmx_read(GUEST_IDTR_BASE),
				   .limit = vmx_read(GUEST_IDTR_LIMIT)};
	vmx_end();
}

void vmx_set_tables(struct lodge_vcpu *vcpu, const struct kvm_dtable *gdt,
		    const struct kvm_dtable *idt)
{
	vmx_begin(vcpu);
	vmx_write(GUEST_GDTR_BASE, gdt->base);
	vmx_write(GUEST_GDTR_LIMIT, gdt->limit);
	vmx_write(GUEST_IDTR_BASE, idt->base);
	vmx_write(GUEST_IDTR_LIMIT, idt->limit);
	vmx_end();
}

unsigned int vmx_cpl(struct lodge_vcpu *vcpu)
{
	unsigned int dpl;

	if (!(vcpu->cr0 & X86_CR0_PE))
		return 0;
	if (vcpu->rflags & X86_EFLAGS_VM)
		return 3;
	vmx_begin(vcpu);
	dpl = VMX_AR_DPL(vmx_read(GUEST_SS_AR_BYTES));
	vmx_end();
	return dpl;
}

/* ---- Control and debug registers ---------------------------------------------------------------------------- */

static bool uses_pae(const struct lodge_vcpu *vcpu)
{
	return (vcpu->cr0 & X86_CR0_PG) && (vcpu->cr4 & X86_CR4_PAE) && !lodge_long_mode(vcpu);
}

/* The four entries that the processor keeps under PAE paging: those in memory now. */
static void read_pdptrs(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	int idx = srcu_read_lock(&vcpu->vm->srcu);

	if (lodge_read_gpa(vcpu->vm, vcpu->cr3 & 0xffffffe0, vmx->pdptrs, sizeof(vmx->pdptrs)))
		memset(vmx->pdptrs, 0, sizeof(vmx->pdptrs));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	/* Reserved bits would keep the guest from being entered. */
	for (unsigned int i = 0; i < ARRAY_SIZE(vmx->pdptrs); i++)
		vmx->pdptrs[i] &=
			(LODGE_PTE_ADDR & (BIT_ULL(boot_cpu_data.x86_phys_bits) - 1)) | 0xe19;
	vmx->pdptrs_dirty = true;
}

void vmx_state_changed(struct lodge_vcpu *vcpu)
{
	vmx_of(vcpu)->state_dirty = vmx_of(vcpu)->look_at_segs = true;
	if (uses_pae(vcpu))
		read_pdptrs(vcpu);
}

static void write_pdptrs(struct vmx_vcpu *vmx)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(vmx->pdptrs); i++)
		vmx_write(GUEST_PDPTR0 + 2 * i, vmx->pdptrs[i]);
	vmx->pdptrs_dirty = false;
}

/* #DB and #AC as well, since a guest could keep the processor busy delivering them for ever. */
#define EXCEPTIONS (1u << LODGE_DB | 1u << 17 | 1u << LODGE_MC)

static void write_modes(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 entry = vmx_caps.entry, ar;

	if (lodge_long_mode(vcpu)) {
		entry |= VM_ENTRY_IA32E_MODE;
		/* Long mode has one kind of TSS alone, whatever TR was loaded with before. */
		ar = vmx_read(GUEST_TR_AR_BYTES);
		if ((ar & VMX_AR_TYPE_MASK) != VMX_AR_TYPE_BUSY_64_TSS)
			vmx_write(GUEST_TR_AR_BYTES, ar | VMX_AR_TYPE_BUSY_64_TSS);
	}
	if (vmx->entry_now != entry) {
		vmx->entry_now = entry;
		vmx_write(VM_ENTRY_CONTROLS, entry);
	}
	/* With paging on, these two go together. */
	vmx_write(GUEST_IA32_EFER, vcpu->efer & ~(u64)(vmx_unpaged(vcpu) ? EFER_LME : 0));
}

void vmx_write_state(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u64 cr0, cr3 = vcpu->cr3, cr4 = vcpu->cr4 | X86_CR4_VMXE;
	u32 proc2 = vmx->proc2_now & ~SECONDARY_EXEC_DESC;

	if (vmx->tsc_dirty) {
		vmx->tsc_dirty = false;
		vmx_write(TSC_OFFSET, vcpu->tsc_offset + lodge_tsc_lost);
	}
	if (!vmx->state_dirty)
		return;
	vmx->state_dirty = false;
	if ((cr4 & X86_CR4_UMIP) && !boot_cpu_has(X86_FEATURE_UMIP)) {
		cr4 &= ~X86_CR4_UMIP;
		proc2 |= SECONDARY_EXEC_DESC;
	}
	if (vmx->proc2_now != proc2) {
		vmx->proc2_now = proc2;
		vmx_write(SECONDARY_VM_EXEC_CONTROL, proc2);
	}
	/* Machine checks are the host's, and must not shut the guest down. */
	cr4 |= cr4_read_shadow() & X86_CR4_MCE;
	/* Memory is cached, whatever the guest says of it; errors of the x87 come as the processor wants. */
	cr0 = (vcpu->cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_NE;
	if (vmx_unpaged(vcpu)) {
		cr0 |= X86_CR0_PG;
		cr3 = vmx_identity_cr3(vcpu);
		cr4 = (cr4 & ~(X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP)) | X86_CR4_PSE;
	}
	vmx_write(GUEST_CR0, cr0);
	vmx_write(CR0_READ_SHADOW, vcpu->cr0);
	vmx_write(GUEST_CR3, cr3);
	vmx_write(GUEST_CR4, cr4);
	vmx_write(CR4_READ_SHADOW, vcpu->cr4);
	write_modes(vcpu);
	if (vmx->pdptrs_dirty)
		write_pdptrs(vmx);
	vmx_write(GUEST_IA32_PAT, vcpu->msrs.pat);
	vmx_write(GUEST_DR7, lodge_effective_dr7(vcpu));
	vmx_write(EXCEPTION_BITMAP,
		  EXCEPTIONS | (vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP ? 1u << LODGE_BP : 0));
}

void vmx_tsc_changed(struct lodge_vcpu *vcpu)
{
	vmx_of(vcpu)->tsc_dirty = true;
}

/* ---- MSRs ------------------------------------------------------------------------------------------------------ */

/* Its field in the VMCS, or 0. */
static unsigned int msr_field(u32 msr)
{
	switch (msr) {
	case MSR_FS_BASE:
		return GUEST_FS_BASE;
	case MSR_GS_BASE:
		return GUEST_GS_BASE;
	case MSR_IA32_SYSENTER_CS:
		return GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return GUEST_SYSENTER_EIP;
	}
	return 0;
}

/* Those that are in the processor while the vCPU is loaded, and otherwise here. */
static u64 *msr_of(struct vmx_vcpu *vmx, u32 msr)
{
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++) {
		if (msr == vmx_syscall_msrs[i])
			return &vmx->syscall[i];
	}
	if (msr == MSR_KERNEL_GS_BASE)
		return &vmx->kernel_gs_base;
	return msr == MSR_CSTAR ? &vmx->cstar : NULL;
}

int vmx_get_msr(struct lodge_vcpu *vcpu, u32 msr, u64 *val)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	const u64 *p = msr_of(vmx, msr);
	unsigned int field = msr_field(msr);

	if (!p && !field)
		return 1;
	vmx_begin(vcpu);
	if (field)
		*val = vmx_read(field);
	else if (msr == MSR_KERNEL_GS_BASE && vmx->loaded)
		rdmsrl(msr, *val);
	else
		*val = *p;
	vmx_end();
	return 0;
}

static bool valid(u32 msr, u64 val)
{
	switch (msr) {
	case MSR_STAR:
	case MSR_IA32_SYSENTER_CS:
		return true;
	case MSR_SYSCALL_MASK:
		return !(val >> 32);
	}
	return (s64)(val << 16) >> 16 == (s64)val;
}

int vmx_set_msr(struct lodge_vcpu *vcpu, u32 msr, u64 val)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u64 *p = msr_of(vmx, msr);
	unsigned int field = msr_field(msr);

	if (!p && !field)
		return 1;
	if (!valid(msr, val))
		return -EINVAL;
	vmx_begin(vcpu);
	if (field)
		vmx_write(field, val);
	else
		*p = val;
	/* Long mode's SYSCALL from compatibility mode is AMD's: no CSTAR here. */
	if (p && vmx->loaded && msr != MSR_CSTAR)
		wrmsrl(msr, val);
	vmx_end();
	return 0;
}
