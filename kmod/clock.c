// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvmclock: a page of each vCPU's says what the guest's clock was when its TSC was so much, and how fast that counts.
 *
 * Where the host trusts its TSC the clock goes by it: all pages tell of one moment, which user space may move. Where it
 * does not, pages are told anew whenever a vCPU comes to a processor.
 * Source: Linux, Documentation/virt/kvm/x86/msr.rst, x86/timekeeping.rst, api.rst (KVM_GET_CLOCK, KVM_SET_CLOCK).
 * Threads: chip_lock for the VM's; pages: the vCPU's own.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/uaccess.h>
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "lodge.h"

#define ENABLED 1ull

u64 lodge_tsc_to_ns(u64 tsc)
{
	return mul_u64_u64_div_u64(tsc, 1000000, tsc_khz);
}

static bool is_stable(void)
{
	return !check_tsc_unstable();
}

/* The guest's clock now, and the host's TSC then. */
static u64 now(struct lodge_vm *vm, u64 *tsc)
{
	unsigned long flags;
	u64 ns;

	spin_lock_irqsave(&vm->chip_lock, flags);
	*tsc = lodge_host_tsc();
	if (is_stable())
		/* A TSC that has lost count, in sleep, makes it stand still; a quotient that does not fit would be a fault. */
		ns = vm->clock_ns + lodge_tsc_to_ns(max_t(s64, *tsc - vm->clock_tsc, 0));
	else
		ns = ktime_get_boottime_ns() + vm->clock_offset;
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	return ns;
}

/* ---- Pages ------------------------------------------------------------------------------------------------- */

/* The TSC's count as 2^-32 ns, once it is shifted so that it has 1 to 2 GHz. */
static void scale(struct pvclock_vcpu_time_info *t)
{
	u64 hz = (u64)tsc_khz * 1000;

	for (; hz > 2ull * NSEC_PER_SEC; hz >>= 1)
		t->tsc_shift--;
	for (; hz <= NSEC_PER_SEC; hz <<= 1)
		t->tsc_shift++;
	t->tsc_to_system_mul = div64_u64((u64)NSEC_PER_SEC << 32, hz);
}

void lodge_clock_update(struct lodge_vcpu *vcpu)
{
	struct lodge_vm *vm = vcpu->vm;
	struct pvclock_vcpu_time_info t = {0};
	u64 gpa = vcpu->msrs.system_time & ~ENABLED, tsc;
	unsigned long flags;
	int idx;

	if (!(vcpu->msrs.system_time & ENABLED))
		return;
	t.system_time = now(vm, &tsc);
	if (is_stable()) {
		t.flags = PVCLOCK_TSC_STABLE_BIT;
		spin_lock_irqsave(&vm->chip_lock, flags);
		t.system_time = vm->clock_ns;
		tsc = vm->clock_tsc;
		spin_unlock_irqrestore(&vm->chip_lock, flags);
	}
	t.tsc_timestamp = tsc + vcpu->tsc_offset;
	scale(&t);
	t.flags |= vcpu->clock_stopped ? PVCLOCK_GUEST_STOPPED : 0;
	vcpu->clock_stopped = false;
	/* An odd version says that the rest is not to be used. */
	t.version = (vcpu->clock_version += 2) | 1;
	idx = srcu_read_lock(&vm->srcu);
	if (!lodge_write_gpa(vm, gpa, &t.version, 4)) {
		smp_wmb();
		lodge_write_gpa(vm, gpa + 4, (u8 *)&t + 4, sizeof(t) - 4);
		smp_wmb();
		t.version++;
		lodge_write_gpa(vm, gpa, &t.version, 4);
	}
	srcu_read_unlock(&vm->srcu, idx);
}

void lodge_clock_moved(struct lodge_vcpu *vcpu)
{
	if ((vcpu->msrs.system_time & ENABLED) && !is_stable())
		set_bit(LODGE_REQ_CLOCK, &vcpu->requests);
}

/* The time of day when the guest's clock was 0. */
static void write_wall_clock(struct lodge_vm *vm, u64 gpa)
{
	struct pvclock_wall_clock w = {.version = 1};
	u64 tsc, ns = ktime_get_real_ns() - now(vm, &tsc);
	u32 nsec;
	int idx = srcu_read_lock(&vm->srcu);

	w.sec = div_u64_rem(ns, NSEC_PER_SEC, &nsec);
	w.nsec = nsec;
	if (!lodge_write_gpa(vm, gpa, &w, sizeof(w))) {
		smp_wmb();
		w.version++;
		lodge_write_gpa(vm, gpa, &w.version, 4);
	}
	srcu_read_unlock(&vm->srcu, idx);
}

int lodge_clock_msr(struct lodge_vcpu *vcpu, u32 msr, u64 val)
{
	if (msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_WALL_CLOCK_NEW) {
		vcpu->msrs.wall_clock = val;
		if (val)
			write_wall_clock(vcpu->vm, val & ~3ull);
		return 0;
	}
	if (val & 2)
		return -EINVAL;
	vcpu->msrs.system_time = val;
	set_bit(LODGE_REQ_CLOCK, &vcpu->requests);
	return 0;
}

/* ---- ioctls -------------------------------------------------------------------------------------------------- */

long lodge_clock_stopped(struct lodge_vcpu *vcpu)
{
	if (!(vcpu->msrs.system_time & ENABLED))
		return -EINVAL;
	vcpu->clock_stopped = true;
	set_bit(LODGE_REQ_CLOCK, &vcpu->requests);
	return 0;
}

/* With chip_lock. */
static void set_to(struct lodge_vm *vm, u64 ns)
{
	vm->clock_offset = ns - ktime_get_boottime_ns();
	vm->clock_ns = ns;
	vm->clock_tsc = lodge_host_tsc();
	vm->tsc_lost = lodge_tsc_lost;
}

/* The guest's clock has gone on meanwhile. */
void lodge_clock_woken(struct lodge_vcpu *vcpu)
{
	struct lodge_vm *vm = vcpu->vm;

	vcpu->tsc_lost = lodge_tsc_lost;
	spin_lock_irq(&vm->chip_lock);
	if (vm->tsc_lost != lodge_tsc_lost)
		set_to(vm, ktime_get_boottime_ns() + vm->clock_offset);
	spin_unlock_irq(&vm->chip_lock);
	lodge_tsc_moved(vcpu);
}

long lodge_clock_ioctl(struct lodge_vm *vm, unsigned int cmd, void __user *arg)
{
	struct kvm_clock_data d = {0};
	u64 tsc;

	if (cmd == KVM_GET_CLOCK) {
		d.clock = now(vm, &tsc);
		d.flags = is_stable() ? KVM_CLOCK_TSC_STABLE : 0;
		return copy_to_user(arg, &d, sizeof(d)) ? -EFAULT : 0;
	}
	if (copy_from_user(&d, arg, sizeof(d)))
		return -EFAULT;
	if (d.flags & ~(u32)KVM_CLOCK_TSC_STABLE)
		return -EINVAL;
	spin_lock_irq(&vm->chip_lock);
	set_to(vm, d.clock);
	spin_unlock_irq(&vm->chip_lock);
	for (unsigned int i = 0; i < READ_ONCE(vm->vcpu_count); i++)
		lodge_request(vm->vcpus[i], LODGE_REQ_CLOCK);
	return 0;
}

void lodge_clock_init(struct lodge_vm *vm)
{
	set_to(vm, 0);
}
