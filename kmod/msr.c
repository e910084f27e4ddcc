// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Model-specific registers that the core keeps; those that belong to the world switch are the vendor's.
 * Source: AMD APM vol. 2 appendix A; Intel SDM vol. 4; Linux, Documentation/virt/kvm/api.rst (KVM_GET_MSRS).
 * Threads: with vcpu->lock.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/kvm_para.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "lodge.h"

/* Those that are saved with a guest. */
/* clang-format off */
static const u32 saved[] = {
	MSR_IA32_TSC, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, MSR_STAR, MSR_LSTAR,
	MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_GS_BASE, MSR_EFER, MSR_IA32_CR_PAT,
	MSR_TSC_AUX, MSR_IA32_TSC_ADJUST, MSR_IA32_MISC_ENABLE, MSR_MTRRdefType, MSR_IA32_MCG_STATUS,
	MSR_IA32_TSC_DEADLINE, MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW,
	MSR_KVM_POLL_CONTROL, MSR_KVM_PV_EOI_EN,
};
/* clang-format on */

static const u32 fixed_mtrrs[] = {
	MSR_MTRRfix64K_00000, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, MSR_MTRRfix4K_C0000,
	MSR_MTRRfix4K_C8000,  MSR_MTRRfix4K_D0000,  MSR_MTRRfix4K_D8000,  MSR_MTRRfix4K_E0000,
	MSR_MTRRfix4K_E8000,  MSR_MTRRfix4K_F0000,  MSR_MTRRfix4K_F8000,
};

/* Those that are the host's, for all guests alike: its microcode. QEMU wants one at least. */
static const u32 host_features[] = {MSR_IA32_UCODE_REV};

long lodge_msr_list(struct kvm_msr_list __user *arg, bool features)
{
	const u32 *list = features ? host_features : saved;
	u32 n = features ? ARRAY_SIZE(host_features) : ARRAY_SIZE(saved), room;

	if (get_user(room, &arg->nmsrs) || put_user(n, &arg->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(arg->indices, list, n * sizeof(*list)) ? -EFAULT : 0;
}

static int host_feature(u32 msr, u64 *val)
{
	return msr == MSR_IA32_UCODE_REV && !rdmsrl_safe(msr, val) ? 0 : -ENOENT;
}

/* ---- Which place, for those that are just kept ------------------------------------------------------------ */

static u64 *place(struct lodge_vcpu *vcpu, u32 msr)
{
	struct lodge_msrs *m = &vcpu->msrs;

	switch (msr) {
	case MSR_IA32_CR_PAT:
		return &m->pat;
	case MSR_TSC_AUX:
		return &m->tsc_aux;
	case MSR_IA32_MISC_ENABLE:
		return &m->misc_enable;
	case MSR_IA32_TSC_ADJUST:
		return &m->tsc_adjust;
	case MSR_IA32_APICBASE:
		return &m->apic_base;
	case MSR_MTRRdefType:
		return &m->mtrr_def;
	case MSR_IA32_MCG_STATUS:
		return &m->mcg_status;
	case MSR_IA32_MCG_CTL:
		return &m->mcg_ctl;
	case MSR_IA32_UCODE_REV:
		return &m->patch;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		return &m->wall_clock;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return &m->system_time;
	case MSR_KVM_POLL_CONTROL:
		return &m->poll_control;
	case MSR_KVM_PV_EOI_EN:
		return &m->pv_eoi;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed_mtrrs); i++) {
		if (msr == fixed_mtrrs[i])
			return &m->mtrr_fixed[i];
	}
	if (msr >= 0x200 && msr < 0x200 + ARRAY_SIZE(m->mtrr_var))
		return &m->mtrr_var[msr - 0x200];
	if (msr >= MSR_IA32_MC0_CTL && msr < MSR_IA32_MC0_CTL + ARRAY_SIZE(m->mc))
		return &m->mc[msr - MSR_IA32_MC0_CTL];
	return NULL;
}

/* Read as a constant, writes of it forgotten: what operating systems touch without asking CPUID. */
/* clang-format off */
static const u32 constants[] = {
	MSR_IA32_MCG_CAP, MSR_IA32_DEBUGCTLMSR, MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTBRANCHTOIP,
	MSR_IA32_LASTINTFROMIP, MSR_IA32_LASTINTTOIP, MSR_AMD64_SYSCFG, MSR_K7_HWCR, MSR_K8_TSEG_ADDR, MSR_K8_TSEG_MASK,
	MSR_VM_HSAVE_PA, MSR_K8_INT_PENDING_MSG, MSR_AMD64_NB_CFG, MSR_FAM10H_MMIO_CONF_BASE, MSR_AMD64_BU_CFG2,
	MSR_AMD64_DC_CFG, MSR_AMD64_PATCH_LOADER, MSR_AMD64_OSVW_ID_LENGTH, MSR_AMD64_OSVW_STATUS, MSR_IA32_UCODE_WRITE,
	MSR_IA32_PERF_STATUS, MSR_IA32_PERF_CTL, MSR_PLATFORM_INFO, MSR_MISC_FEATURES_ENABLES, MSR_MTRRcap,
};
/* clang-format on */

static bool constant(u32 msr, u64 *val)
{
	*val = msr == MSR_MTRRcap ? 0x508 : 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(constants); i++) {
		if (msr == constants[i])
			return true;
	}
	/* AMD's performance counters, which read as nothing. */
	return msr >= MSR_K7_EVNTSEL0 && msr <= MSR_K7_PERFCTR3;
}

u64 lodge_guest_tsc(const struct lodge_vcpu *vcpu)
{
	return lodge_host_tsc() + vcpu->tsc_offset;
}

/*
 * The offset for a TSC that user space sets to `val`: vCPUs agree, though they are set one after the other. Who says 0, or
 * nearly what another vCPU has, means that; as KVM does, whose clients count on it.
 */
s64 lodge_tsc_offset(struct lodge_vm *vm, u64 val)
{
	s64 offset = val - lodge_host_tsc(), near = (s64)tsc_khz * 1000;

	spin_lock(&vm->tsc_lock);
	if (vm->tsc_known && (!val || abs(offset - vm->tsc_offset) < near))
		offset = vm->tsc_offset;
	vm->tsc_offset = offset;
	vm->tsc_known = true;
	spin_unlock(&vm->tsc_lock);
	return offset;
}

/* ---- Reading and writing ----------------------------------------------------------------------------------- */

int lodge_msr_read(struct lodge_vcpu *vcpu, u32 msr, u64 *val)
{
	u64 *p = place(vcpu, msr);
	int r;

	if (p) {
		*val = *p;
		return 0;
	}
	switch (msr) {
	case MSR_IA32_TSC:
		*val = lodge_guest_tsc(vcpu);
		return 0;
	case MSR_EFER:
		*val = vcpu->efer;
		return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		*val = 0;
		return 0;
	}
	r = lodge_apic_msr(vcpu, msr, val, false);
	if (r != -ENOENT)
		return r;
	r = lodge_ops->get_msr(vcpu, msr, val);
	if (r <= 0)
		return r;
	return constant(msr, val) ? 0 : -ENOENT;
}

/* What the guest was told by its TSC means another moment now. */
void lodge_tsc_moved(struct lodge_vcpu *vcpu)
{
	lodge_ops->tsc_changed(vcpu);
	if (vcpu->msrs.system_time)
		set_bit(LODGE_REQ_CLOCK, &vcpu->requests);
	if (vcpu->apic)
		lodge_timer_set_deadline(vcpu->apic, lodge_timer_deadline(vcpu->apic));
}

static void move_tsc(struct lodge_vcpu *vcpu, u64 by)
{
	vcpu->tsc_offset += by;
	lodge_tsc_moved(vcpu);
}

static bool pat_valid(u64 val)
{
	for (unsigned int i = 0; i < 8; i++, val >>= 8) {
		u8 type = val;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* What needs a look before it is kept. */
static int write_kept(struct lodge_vcpu *vcpu, u32 msr, u64 *p, u64 val, bool host)
{
	switch (msr) {
	case MSR_IA32_CR_PAT:
		if (!pat_valid(val))
			return -EINVAL;
		*p = val;
		lodge_ops->state_changed(vcpu);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		if (!host)
			move_tsc(vcpu, val - *p);
		break;
	case MSR_TSC_AUX:
		if (val >> 32)
			return -EINVAL;
		break;
	case MSR_IA32_APICBASE:
		return lodge_apic_set_base(vcpu, val, host);
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return lodge_clock_msr(vcpu, msr, val);
	case MSR_KVM_POLL_CONTROL:
		if (val & ~1ull)
			return -EINVAL;
		break;
	}
	*p = val;
	return 0;
}

int lodge_msr_write(struct lodge_vcpu *vcpu, u32 msr, u64 val, bool host)
{
	u64 *p = place(vcpu, msr), was;
	int r;

	if (p)
		return write_kept(vcpu, msr, p, val, host);
	switch (msr) {
	case MSR_IA32_TSC:
		if (host) {
			move_tsc(vcpu, lodge_tsc_offset(vcpu->vm, val) - vcpu->tsc_offset);
			return 0;
		}
		was = lodge_guest_tsc(vcpu);
		vcpu->msrs.tsc_adjust += val - was;
		move_tsc(vcpu, val - was);
		return 0;
	case MSR_EFER:
		/* User space sets all of it by KVM_SET_SREGS, too. */
		return lodge_set_efer(vcpu, val);
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		/* There is no such clock; QEMU turns it off without asking. */
		return host && !val ? 0 : -ENOENT;
	}
	r = lodge_apic_msr(vcpu, msr, &val, true);
	if (r != -ENOENT)
		return r;
	r = lodge_ops->set_msr(vcpu, msr, val);
	if (r <= 0)
		return r;
	return constant(msr, &was) ? 0 : -ENOENT;
}

int lodge_do_rdmsr(struct lodge_vcpu *vcpu, u64 next_rip)
{
	return lodge_msr_exit(vcpu, false, next_rip);
}
EXPORT_SYMBOL_GPL(lodge_do_rdmsr);

int lodge_do_wrmsr(struct lodge_vcpu *vcpu, u64 next_rip)
{
	return lodge_msr_exit(vcpu, true, next_rip);
}
EXPORT_SYMBOL_GPL(lodge_do_wrmsr);

/* ---- By user space ----------------------------------------------------------------------------------------- */

#define MAX_AT_ONCE 256

/* How many were done before one could not be. vcpu NULL: features of the host. */
long lodge_msrs_io(struct lodge_vcpu *vcpu, struct kvm_msrs __user *arg, bool set)
{
	struct kvm_msr_entry *e;
	struct kvm_msrs head;
	unsigned int n = 0;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs > MAX_AT_ONCE)
		return -E2BIG;
	e = memdup_user(arg->entries, array_size(head.nmsrs, sizeof(*e)));
	if (IS_ERR(e))
		return PTR_ERR(e);
	for (; n < head.nmsrs; n++) {
		int one = !vcpu ? host_feature(e[n].index, &e[n].data)
			  : set ? lodge_msr_write(vcpu, e[n].index, e[n].data, true)
				: lodge_msr_read(vcpu, e[n].index, &e[n].data);

		if (one)
			break;
	}
	r = n;
	if (!set && copy_to_user(arg->entries, e, n * sizeof(*e)))
		r = -EFAULT;
	kfree(e);
	return r;
}
