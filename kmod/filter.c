// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSRs that user space wants to see: by a filter, or because they are unknown here or their value is refused. The guest
 * waits meanwhile, and gets what user space says, or #GP.
 *
 * The filter does not see registers that the world switch carries (svm/main.c: SYSCALL's, SYSENTER's, bases), nor
 * x2APIC's.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_CAP_X86_USER_SPACE_MSR, KVM_X86_SET_MSR_FILTER).
 * Threads: the filter is published with vm->lock and read with vm->srcu.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lodge.h"

#define X2APIC_FIRST 0x800u
#define X2APIC_LAST 0x8ffu
#define MAX_BITS (8 * 0x600u) /* of a range */

struct lodge_filter {
	bool deny; /* what is in no range */
	unsigned int count;
	struct lodge_filter_range {
		u32 flags, base, nmsrs;
		u8 *allowed; /* a bit each */
	} range[KVM_MSR_FILTER_MAX_RANGES];
};

/* ---- The filter ---------------------------------------------------------------------------------------------- */

static void filter_free(struct lodge_filter *f)
{
	for (unsigned int i = 0; f && i < f->count; i++)
		kvfree(f->range[i].allowed);
	kfree(f);
}

static int take_range(struct lodge_filter *f, const struct kvm_msr_filter_range *r)
{
	struct lodge_filter_range *to = &f->range[f->count];
	u8 *bits;

	if (!r->nmsrs)
		return 0;
	if ((r->flags & ~(u32)(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)) || !r->flags ||
	    r->nmsrs > MAX_BITS)
		return -EINVAL;
	bits = lodge_dup_user((const void __user *)r->bitmap, DIV_ROUND_UP(r->nmsrs, 8));
	if (IS_ERR(bits))
		return PTR_ERR(bits);
	*to = (struct lodge_filter_range){.flags = r->flags,
					  .base = r->base,
					  .nmsrs = r->nmsrs,
					  .allowed = bits};
	f->count++;
	return 0;
}

static struct lodge_filter *filter_new(const struct kvm_msr_filter *in)
{
	struct lodge_filter *f;
	int r = 0;

	if (in->flags & ~(u32)KVM_MSR_FILTER_DEFAULT_DENY)
		return ERR_PTR(-EINVAL);
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->deny = in->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	for (unsigned int i = 0; i < ARRAY_SIZE(in->ranges) && !r; i++)
		r = take_range(f, &in->ranges[i]);
	if (!r && f->deny && !f->count)
		r = -EINVAL;
	if (!r)
		return f;
	filter_free(f);
	return ERR_PTR(r);
}

long lodge_filter_set(struct lodge_vm *vm, void __user *arg)
{
	struct kvm_msr_filter *in = memdup_user(arg, sizeof(*in));
	struct lodge_filter *f, *old;

	if (IS_ERR(in))
		return PTR_ERR(in);
	f = filter_new(in);
	kfree(in);
	if (IS_ERR(f))
		return PTR_ERR(f);
	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->filter, f, lockdep_is_held(&vm->lock));
	mutex_unlock(&vm->lock);
	synchronize_srcu_expedited(&vm->srcu);
	filter_free(old);
	return 0;
}

/* The last user is gone. */
void lodge_filter_free(struct lodge_vm *vm)
{
	filter_free(rcu_dereference_protected(vm->filter, true));
}

bool lodge_msr_allowed(struct lodge_vm *vm, u32 msr, bool write)
{
	struct lodge_filter *f = srcu_dereference(vm->filter, &vm->srcu);

	if (!f || (msr >= X2APIC_FIRST && msr <= X2APIC_LAST))
		return true;
	for (unsigned int i = 0; i < f->count; i++) {
		const struct lodge_filter_range *r = &f->range[i];
		u32 bit = msr - r->base;

		if (bit < r->nmsrs &&
		    (r->flags & (write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ)))
			return r->allowed[array_index_nospec(bit, r->nmsrs) / 8] >> (bit & 7) & 1;
	}
	return !f->deny;
}

/* ---- To user space and back ------------------------------------------------------------------------------------ */

static int finish(struct lodge_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 val = READ_ONCE(run->msr.data);

	if (vcpu->rip != vcpu->io_rip)
		return 1;
	if (READ_ONCE(run->msr.error)) {
		lodge_queue_error(vcpu, LODGE_GP, 0);
		return 1;
	}
	if (!vcpu->msr_write) {
		vcpu->regs[LODGE_RAX] = (u32)val;
		vcpu->regs[LODGE_RDX] = val >> 32;
	}
	return lodge_skip_to(vcpu, vcpu->next_rip);
}

static int ask(struct lodge_vcpu *vcpu, u32 reason, u32 msr, u64 val, bool write, u64 next_rip)
{
	struct kvm_run *run = vcpu->run;

	vcpu->io_rip = vcpu->rip;
	vcpu->next_rip = next_rip;
	vcpu->msr_write = write;
	vcpu->complete = finish;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = val;
	return lodge_exit(vcpu, write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
}

int lodge_msr_exit(struct lodge_vcpu *vcpu, bool write, u64 next_rip)
{
	u64 val = write ? (u32)vcpu->regs[LODGE_RAX] | vcpu->regs[LODGE_RDX] << 32 : 0;
	u32 msr = vcpu->regs[LODGE_RCX], reason = KVM_MSR_EXIT_REASON_FILTER;
	int r = -EPERM;

	if (lodge_msr_allowed(vcpu->vm, msr, write)) {
		r = write ? lodge_msr_write(vcpu, msr, val, false)
			  : lodge_msr_read(vcpu, msr, &val);
		reason = r == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
	}
	if (r && (READ_ONCE(vcpu->vm->msr_reasons) & reason))
		return ask(vcpu, reason, msr, val, write, next_rip);
	if (r) {
		lodge_queue_error(vcpu, LODGE_GP, 0);
		return 1;
	}
	if (!write) {
		vcpu->regs[LODGE_RAX] = (u32)val;
		vcpu->regs[LODGE_RDX] = val >> 32;
	}
	return lodge_skip_to(vcpu, next_rip);
}
