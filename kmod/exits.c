// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reasons to leave the guest for which both vendors do the same.
 * Source: Linux, Documentation/virt/kvm/api.rst §5 (struct kvm_run).
 * Threads: the vCPU's own; srcu is held.
 */
#include <linux/module.h>

#include "lodge.h"

/* The host's interrupt, which has been taken; a window, which events look at again. */
int lodge_go_on(struct lodge_vcpu *vcpu)
{
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_go_on);

int lodge_do_ud(struct lodge_vcpu *vcpu)
{
	lodge_queue(vcpu, LODGE_UD);
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_do_ud);

int lodge_do_gp(struct lodge_vcpu *vcpu)
{
	lodge_queue_error(vcpu, LODGE_GP, 0);
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_do_gp);

int lodge_do_ac(struct lodge_vcpu *vcpu)
{
	lodge_queue_error(vcpu, LODGE_AC, 0);
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_do_ac);

int lodge_do_emulate(struct lodge_vcpu *vcpu)
{
	return lodge_emulate(vcpu, false);
}
EXPORT_SYMBOL_GPL(lodge_do_emulate);

int lodge_do_hlt(struct lodge_vcpu *vcpu, u64 next_rip)
{
	int r = lodge_skip_to(vcpu, next_rip);

	return r > 0 ? lodge_halt(vcpu) : r;
}
EXPORT_SYMBOL_GPL(lodge_do_hlt);

/* One that is not known: the guest is told so. */
int lodge_do_hypercall(struct lodge_vcpu *vcpu, u64 next_rip)
{
	vcpu->regs[LODGE_RAX] = -1000; /* KVM_ENOSYS */
	return lodge_skip_to(vcpu, next_rip);
}
EXPORT_SYMBOL_GPL(lodge_do_hypercall);

int lodge_exit_not_entered(struct lodge_vcpu *vcpu, u64 reason)
{
	vcpu->run->fail_entry.hardware_entry_failure_reason = reason;
	vcpu->run->fail_entry.cpu = vcpu->cpu;
	return lodge_exit(vcpu, KVM_EXIT_FAIL_ENTRY);
}
EXPORT_SYMBOL_GPL(lodge_exit_not_entered);

int lodge_handle(struct lodge_vcpu *vcpu, const struct lodge_handler *h, size_t n, u64 code,
		 u64 (*next)(struct lodge_vcpu *vcpu))
{
	u64 end;

	if (code >= n || (!h[code].fn && !h[code].insn))
		return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, code,
					   vcpu->rip);
	if (h[code].fn)
		return h[code].fn(vcpu);
	end = next(vcpu);
	return end ? h[code].insn(vcpu, end)
		   : lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_EMULATION, code, vcpu->rip);
}
EXPORT_SYMBOL_GPL(lodge_handle);
