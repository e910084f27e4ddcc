// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What of the guest's registers is in the VMCB.
 * Source: AMD APM vol. 2 §15.5.1 (state), appendix B.
 * Threads: the vCPU's own, with vcpu->lock.
 */
#include <asm/msr-index.h>
#include <asm/msr.h>

#include "svm/svm.h"

/* ---- Segments -------------------------------------------------------------------------------------------- */

static struct svm_seg *seg_of(struct lodge_vcpu *vcpu, enum lodge_seg n)
{
	struct svm_save *s = &svm_of(vcpu)->vmcb->save;
	struct svm_seg *const segs[] = {
		[LODGE_ES] = &s->es, [LODGE_CS] = &s->cs,     [LODGE_SS] = &s->ss,
		[LODGE_DS] = &s->ds, [LODGE_FS] = &s->fs,     [LODGE_GS] = &s->gs,
		[LODGE_TR] = &s->tr, [LODGE_LDTR] = &s->ldtr,
	};

	return segs[n];
}

void svm_get_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, struct kvm_segment *seg)
{
	const struct svm_seg *s = seg_of(vcpu, n);
	u16 a = s->attrib;

	*seg = (struct kvm_segment){.base = s->base, .limit = s->limit, .selector = s->selector};
	lodge_seg_set_attr(seg, (a & 0xff) | (a & 0xf00) << 4);
	seg->unusable = !seg->present;
	/* Some processors forget that the task is busy, or the limit's unit, or leave CPL in SS. */
	if (n == LODGE_TR)
		seg->type |= 2;
	if (n == LODGE_CS)
		seg->g = s->limit > 0xfffff;
	if (n == LODGE_SS) {
		if (seg->unusable)
			seg->db = 0;
		seg->dpl = svm_of(vcpu)->vmcb->save.cpl;
	}
}

void svm_set_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, const struct kvm_segment *seg)
{
	struct svm_seg *s = seg_of(vcpu, n);
	u16 a = lodge_seg_attr(seg);

	s->base = seg->base;
	s->limit = seg->limit;
	s->selector = seg->selector;
	s->attrib = (a & 0xff) | (a >> 4 & 0xf00);
	if (seg->unusable)
		s->attrib &= ~SVM_SEG_P;
	if (n == LODGE_SS)
		svm_of(vcpu)->vmcb->save.cpl = seg->dpl & 3;
	svm_dirty(vcpu, SVM_CLEAN_SEG);
}

void svm_get_tables(struct lodge_vcpu *vcpu, struct kvm_dtable *gdt, struct kvm_dtable *idt)
{
	const struct svm_save *s = &svm_of(vcpu)->vmcb->save;

	*gdt = (struct kvm_dtable){.base = s->gdtr.base, .limit = s->gdtr.limit};
	*idt = (struct kvm_dtable){.base = s->idtr.base, .limit = s->idtr.limit};
}

void svm_set_tables(struct lodge_vcpu *vcpu, const struct kvm_dtable *gdt,
		    const struct kvm_dtable *idt)
{
	struct svm_save *s = &svm_of(vcpu)->vmcb->save;

	s->gdtr = (struct svm_seg){.base = gdt->base, .limit = gdt->limit};
	s->idtr = (struct svm_seg){.base = idt->base, .limit = idt->limit};
	svm_dirty(vcpu, SVM_CLEAN_DT);
}

unsigned int svm_cpl(struct lodge_vcpu *vcpu)
{
	return svm_of(vcpu)->vmcb->save.cpl;
}

/* ---- Control and debug registers ---------------------------------------------------------------------------- */

void svm_state_changed(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct svm_control *c = &svm->vmcb->control;
	struct svm_save *s = &svm->vmcb->save;
	u64 hidden = vcpu->cr0 & (X86_CR0_CD | X86_CR0_NW);

	/* Memory is cached, whatever the guest says of it; then it must not see CR0 as it is. */
	s->cr0 = vcpu->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	if (hidden)
		c->cr_read |= 1;
	else
		c->cr_read &= ~1;
	s->cr3 = vcpu->cr3;
	s->cr4 = vcpu->cr4;
	/*
	 * LME means nothing without paging, and every change of CR0.PG comes here. With it set, and PAE
	 * off, QEMU 7.2's #VMEXIT would not restore the host's CR0.
	 */
	s->efer = vcpu->efer | EFER_SVME;
	if (!lodge_long_mode(vcpu))
		s->efer &= ~(u64)EFER_LME;
	s->g_pat = vcpu->msrs.pat;
	s->dr6 = vcpu->dr6;
	s->dr7 = lodge_effective_dr7(vcpu);
	if (vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP)
		c->exceptions |= 1u << LODGE_BP;
	else
		c->exceptions &= ~(1u << LODGE_BP);
	svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS | SVM_CLEAN_CR | SVM_CLEAN_NP | SVM_CLEAN_DR);
}

void svm_tsc_changed(struct lodge_vcpu *vcpu)
{
	svm_of(vcpu)->vmcb->control.tsc_offset = vcpu->tsc_offset + lodge_tsc_lost;
	svm_dirty(vcpu, SVM_CLEAN_INTERCEPTS);
}

/* ---- MSRs ------------------------------------------------------------------------------------------------------ */

static u64 *msr_of(struct lodge_vcpu *vcpu, u32 msr)
{
	struct svm_save *s = &svm_of(vcpu)->vmcb->save;

	switch (msr) {
	case MSR_STAR:
		return &s->star;
	case MSR_LSTAR:
		return &s->lstar;
	case MSR_CSTAR:
		return &s->cstar;
	case MSR_SYSCALL_MASK:
		return &s->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &s->kernel_gs_base;
	case MSR_FS_BASE:
		return &s->fs.base;
	case MSR_GS_BASE:
		return &s->gs.base;
	case MSR_IA32_SYSENTER_CS:
		return &s->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &s->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &s->sysenter_eip;
	}
	return NULL;
}

int svm_get_msr(struct lodge_vcpu *vcpu, u32 msr, u64 *val)
{
	const u64 *p = msr_of(vcpu, msr);

	if (!p)
		return 1;
	*val = *p;
	return 0;
}

static bool canonical(u64 addr)
{
	return (s64)(addr << 16) >> 16 == (s64)addr;
}

int svm_set_msr(struct lodge_vcpu *vcpu, u32 msr, u64 val)
{
	u64 *p = msr_of(vcpu, msr);

	if (!p)
		return 1;
	if (msr != MSR_STAR && msr != MSR_SYSCALL_MASK && msr != MSR_IA32_SYSENTER_CS &&
	    !canonical(val))
		return -EINVAL;
	*p = val;
	return 0;
}
