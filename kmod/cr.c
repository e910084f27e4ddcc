// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes of the registers that say how the guest's processor works: what it may write, and what follows from it.
 * Source: AMD APM vol. 2 §3.1 (system-control registers); Intel SDM 3A §2.5.
 * Threads: the vCPU's own.
 */
#include <linux/module.h>
#include <asm/fpu/xcr.h>

#include "lodge.h"

#define CR0_KNOWN                                                                      \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

static void changed(struct lodge_vcpu *vcpu)
{
	lodge_ops->state_changed(vcpu);
	set_bit(LODGE_REQ_FLUSH, &vcpu->requests);
}

int lodge_set_cr0(struct lodge_vcpu *vcpu, u64 val)
{
	u64 efer = vcpu->efer & ~(u64)EFER_LMA;
	bool pg = val & X86_CR0_PG;
	struct kvm_segment cs;

	if (val >> 32)
		return -EINVAL;
	val = (val & CR0_KNOWN) | X86_CR0_ET;
	if ((pg && !(val & X86_CR0_PE)) || ((val & X86_CR0_NW) && !(val & X86_CR0_CD)))
		return -EINVAL;
	if (pg && (efer & EFER_LME)) {
		lodge_ops->get_seg(vcpu, LODGE_CS, &cs);
		if (!(vcpu->cr4 & X86_CR4_PAE) || (cs.l && !(vcpu->cr0 & X86_CR0_PG)))
			return -EINVAL;
		efer |= EFER_LMA;
	}
	if (!pg && lodge_long_mode(vcpu)) {
		lodge_ops->get_seg(vcpu, LODGE_CS, &cs);
		if (cs.l || (vcpu->cr4 & X86_CR4_PCIDE))
			return -EINVAL;
	}
	vcpu->cr0 = val;
	vcpu->efer = efer;
	changed(vcpu);
	return 0;
}

int lodge_set_cr3(struct lodge_vcpu *vcpu, u64 val)
{
	/* Whether the TLB keeps what it has of it: nothing is kept. */
	if (vcpu->cr4 & X86_CR4_PCIDE)
		val &= ~(1ull << 63);
	if (val >> 52)
		return -EINVAL;
	vcpu->cr3 = val;
	changed(vcpu);
	return 0;
}

/* Bits of CR4 that come with features of CPUID. */
static const struct {
	u32 leaf, reg, bit;
	u64 cr4;
} features[] = {
	{1, 2, 26, X86_CR4_OSXSAVE}, {1, 2, 17, X86_CR4_PCIDE},	  {7, 1, 7, X86_CR4_SMEP},
	{7, 1, 20, X86_CR4_SMAP},    {7, 1, 0, X86_CR4_FSGSBASE}, {7, 2, 2, X86_CR4_UMIP},
	{7, 2, 16, X86_CR4_LA57},    {1, 3, 1, X86_CR4_VME},
};

#define CR4_ALWAYS                                                                          \
	(X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | \
	 X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static u64 cr4_allowed(const struct lodge_vcpu *vcpu)
{
	u64 all = CR4_ALWAYS;

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		const struct kvm_cpuid_entry2 *e = lodge_cpuid_find(vcpu, features[i].leaf, 0);
		const u32 regs[4] = {e ? e->eax : 0, e ? e->ebx : 0, e ? e->ecx : 0,
				     e ? e->edx : 0};

		if (regs[features[i].reg] >> features[i].bit & 1)
			all |= features[i].cr4;
	}
	return all;
}

/* What user space may set, whatever CPUID it gives: others would reach state that is not exchanged (PKRU, CET). */
bool lodge_cr4_exists(u64 val)
{
	u64 all = CR4_ALWAYS;

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++)
		all |= features[i].cr4;
	return !(val & ~all);
}

int lodge_set_cr4(struct lodge_vcpu *vcpu, u64 val)
{
	if (val & ~cr4_allowed(vcpu))
		return -EINVAL;
	if (lodge_long_mode(vcpu) && (!(val & X86_CR4_PAE) || ((val ^ vcpu->cr4) & X86_CR4_LA57)))
		return -EINVAL;
	if ((val & ~vcpu->cr4 & X86_CR4_PCIDE) && (!lodge_long_mode(vcpu) || (vcpu->cr3 & 0xfff)))
		return -EINVAL;
	vcpu->cr4 = val;
	changed(vcpu);
	return 0;
}

int lodge_set_efer(struct lodge_vcpu *vcpu, u64 val)
{
	if (val & ~(EFER_SCE | EFER_LME | EFER_LMA | lodge_ops->efer_bits))
		return -EINVAL;
	if ((vcpu->cr0 & X86_CR0_PG) && ((val ^ vcpu->efer) & EFER_LME))
		return -EINVAL;
	vcpu->efer = (val & ~(u64)EFER_LMA) | (vcpu->efer & EFER_LMA);
	changed(vcpu);
	return 0;
}

int lodge_set_xcr0(struct lodge_vcpu *vcpu, u64 val)
{
	/* x87 always; AVX only with SSE. */
	if (!(val & 1) || (val & ~lodge_xcr0_supported()) || ((val & 4) && !(val & 2)))
		return -EINVAL;
	vcpu->xcr0 = val;
	return 0;
}

int lodge_do_xsetbv(struct lodge_vcpu *vcpu, u64 next_rip)
{
	u64 val = (u32)vcpu->regs[LODGE_RAX] | vcpu->regs[LODGE_RDX] << 32;

	if (lodge_ops->cpl(vcpu) || (u32)vcpu->regs[LODGE_RCX] || lodge_set_xcr0(vcpu, val)) {
		lodge_queue_error(vcpu, LODGE_GP, 0);
		return 1;
	}
	return lodge_skip_to(vcpu, next_rip);
}
EXPORT_SYMBOL_GPL(lodge_do_xsetbv);
