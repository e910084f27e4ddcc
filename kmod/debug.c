// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A debugger in user space: single steps, breakpoints in code and by address.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_GUEST_DEBUG, KVM_EXIT_DEBUG).
 * Threads: the vCPU's own.
 */
#include <linux/module.h>

#include "lodge.h"

#define KNOWN                                                                     \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | \
	 KVM_GUESTDBG_USE_HW_BP)

int lodge_debug_set(struct lodge_vcpu *vcpu, const struct kvm_guest_debug *d)
{
	bool stepped = vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP;

	if (d->control & ~KNOWN)
		return -EINVAL;
	vcpu->debug = *d;
	if (!(d->control & KVM_GUESTDBG_ENABLE))
		vcpu->debug.control = 0;
	if (stepped && !(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP))
		vcpu->rflags &= ~(u64)X86_EFLAGS_TF;
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		vcpu->rflags |= X86_EFLAGS_TF;
	lodge_ops->state_changed(vcpu);
	return 0;
}

static u64 lin_rip(struct lodge_vcpu *vcpu)
{
	struct kvm_segment cs;

	lodge_ops->get_seg(vcpu, LODGE_CS, &cs);
	return lodge_long_mode(vcpu) && cs.l ? vcpu->rip : (u32)(cs.base + vcpu->rip);
}

int lodge_exit_debug(struct lodge_vcpu *vcpu, u32 exception, u64 dr6)
{
	struct kvm_debug_exit_arch *d = &vcpu->run->debug.arch;

	d->exception = exception;
	d->pc = lin_rip(vcpu);
	d->dr6 = dr6;
	d->dr7 = lodge_effective_dr7(vcpu);
	return lodge_exit(vcpu, KVM_EXIT_DEBUG);
}
EXPORT_SYMBOL_GPL(lodge_exit_debug);

u64 lodge_effective_dr7(const struct lodge_vcpu *vcpu)
{
	if (vcpu->debug.control & KVM_GUESTDBG_USE_HW_BP)
		return (vcpu->debug.arch.debugreg[7] & 0xffffdbffu) | 0x400;
	return vcpu->dr7;
}
EXPORT_SYMBOL_GPL(lodge_effective_dr7);

u64 lodge_effective_dr(const struct lodge_vcpu *vcpu, unsigned int n)
{
	if (vcpu->debug.control & KVM_GUESTDBG_USE_HW_BP)
		return vcpu->debug.arch.debugreg[n];
	return vcpu->dr[n];
}
