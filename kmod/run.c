// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM_RUN: what user space has answered, then into the guest and out again until there is something for user space.
 *
 *   lodge_run            loads the vCPU and its vector registers, once a KVM_RUN
 *     run_loop           asks whether anything keeps it from the guest, once an exit
 *       enter_guest      interrupts off: the last look at requests, the switch, back
 *       handle_exit      the vendor's: why the guest was left
 *
 * Source: Linux, Documentation/virt/kvm/api.rst §5 (struct kvm_run).
 * Threads: the vCPU's own, with vcpu->lock.
 */
#include <linux/entry-common.h>
#include <linux/hw_breakpoint.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>

#include "compat/compat.h"
#include "lodge.h"

/* What keeps a thread from the guest. */
static unsigned long work_of_thread(void)
{
	unsigned long work =
		read_thread_flags() & (_TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL);

	/* On the way to user space; that its restartable sequence was interrupted can wait until it goes there. */
	if (task_work_pending(current) || lodge_memcg_over(current))
		work |= _TIF_NOTIFY_RESUME;
	return work;
}

/* ---- Out to user space ------------------------------------------------------------------------------- */

int lodge_exit(struct lodge_vcpu *vcpu, u32 reason)
{
	vcpu->run->exit_reason = reason;
	return 0;
}
EXPORT_SYMBOL_GPL(lodge_exit);

int lodge_halt(struct lodge_vcpu *vcpu)
{
	if (!vcpu->apic)
		return lodge_exit(vcpu, KVM_EXIT_HLT);
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_halt);

int lodge_exit_internal(struct lodge_vcpu *vcpu, u32 suberror, u64 what, u64 more)
{
	struct kvm_run *run = vcpu->run;

	run->internal.suberror = suberror;
	run->internal.ndata = 2;
	run->internal.data[0] = what;
	run->internal.data[1] = more;
	return lodge_exit(vcpu, KVM_EXIT_INTERNAL_ERROR);
}
EXPORT_SYMBOL_GPL(lodge_exit_internal);

int lodge_skip_to(struct lodge_vcpu *vcpu, u64 next_rip)
{
	vcpu->rip = next_rip;
	lodge_ops->set_shadow(vcpu, 0);
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		return lodge_exit_debug(vcpu, LODGE_DB, 0xffff0ff0 | DR_STEP);
	if (vcpu->rflags & X86_EFLAGS_TF)
		lodge_queue_db(vcpu, DR_STEP);
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_skip_to);

/* ---- The guest's registers in the processor ------------------------------------------------------------ */

static bool has_own_xcr0(const struct lodge_vcpu *vcpu)
{
	/* User space sets CR4 as it likes; a host without XSAVE has none to exchange. */
	return (vcpu->cr4 & X86_CR4_OSXSAVE) && vcpu->host_xcr0 && vcpu->xcr0 != vcpu->host_xcr0;
}

static void load_registers(struct lodge_vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (has_own_xcr0(vcpu))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (vcpu->dr_live || (lodge_effective_dr7(vcpu) & 0xff)) {
		set_debugreg(0, 7);
		set_debugreg(lodge_effective_dr(vcpu, 0), 0);
		set_debugreg(lodge_effective_dr(vcpu, 1), 1);
		set_debugreg(lodge_effective_dr(vcpu, 2), 2);
		set_debugreg(lodge_effective_dr(vcpu, 3), 3);
	}
}

static void restore_registers(struct lodge_vcpu *vcpu)
{
	if (vcpu->dr_live) {
		get_debugreg(vcpu->dr[0], 0);
		get_debugreg(vcpu->dr[1], 1);
		get_debugreg(vcpu->dr[2], 2);
		get_debugreg(vcpu->dr[3], 3);
		vcpu->dr_live = false;
	}
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	if (has_own_xcr0(vcpu))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
}

/* ---- Into the guest, out of it ------------------------------------------------------------------------- */

/* 1: it was there, and handle_exit knows why it left; 0: something came up before. */
static int enter_guest(struct lodge_vcpu *vcpu)
{
	int entered = 0;

	preempt_disable();
	lodge_ops->prepare(vcpu);
	local_irq_disable();
	/* From here whoever makes a request sends an interrupt (partners: lodge_request, lodge_request_all). */
	smp_store_mb(vcpu->mode, LODGE_IN_GUEST);
	if (test_and_clear_bit(LODGE_REQ_FLUSH, &vcpu->requests))
		lodge_ops->flush_tlb(vcpu);
	if (lodge_hardware_is_on() && !work_of_thread() &&
	    !(READ_ONCE(vcpu->requests) & LODGE_REQ_BREAK) && !lodge_immediate_exit(vcpu->run)) {
		load_registers(vcpu);
		vtime_account_guest_enter();
		lodge_ops->enter(vcpu);
		WRITE_ONCE(vcpu->mode, LODGE_OUTSIDE);
		restore_registers(vcpu);
		/* The interrupt that ended it is taken here, and its time is still the guest's. */
		local_irq_enable();
		local_irq_disable();
		vtime_account_guest_exit();
		entered = 1;
	}
	WRITE_ONCE(vcpu->mode, LODGE_OUTSIDE);
	local_irq_enable();
	preempt_enable();
	if (!entered)
		lodge_ops->cancel_injection(vcpu);
	return entered;
}

static int handle_exit(struct lodge_vcpu *vcpu)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	int r = lodge_ops->handle_exit(vcpu);

	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return r;
}

/* What waits outside: 1, or -EINTR. All but the scheduler's is done on the way to user space. */
static int pending_work(struct lodge_vcpu *vcpu)
{
	unsigned long work = work_of_thread();

	if (work & _TIF_NEED_RESCHED)
		cond_resched();
	if (!(work & ~_TIF_NEED_RESCHED) && !lodge_immediate_exit(vcpu->run))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

/* Until something is asked of it, or a signal comes; the caller looks again. */
static void sleep(struct lodge_vcpu *vcpu)
{
	DECLARE_SWAITQUEUE(wait);

	lodge_timer_sleeps(vcpu->apic, true);
	prepare_to_swait_exclusive(&vcpu->wait, &wait, TASK_INTERRUPTIBLE);
	/* Partner: lodge_request. */
	if (!(READ_ONCE(vcpu->requests) & LODGE_REQ_BREAK) && !signal_pending(current))
		schedule();
	finish_swait(&vcpu->wait, &wait);
	lodge_timer_sleeps(vcpu->apic, false);
}

/* What ends KVM_RUN before the guest is entered. */
static bool has_news(struct lodge_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (test_and_clear_bit(LODGE_REQ_EOI, &vcpu->requests)) {
		run->eoi.vector = vcpu->eoi_vector;
		return !lodge_exit(vcpu, KVM_EXIT_IOAPIC_EOI);
	}
	vcpu->irq_window_asked =
		READ_ONCE(run->request_interrupt_window) && lodge_takes_user_irq(vcpu);
	if (vcpu->irq_window_asked && lodge_ready_for_irq(vcpu))
		return !lodge_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	return false;
}

static int run_loop(struct lodge_vcpu *vcpu)
{
	int r = 1;

	while (r > 0) {
		lodge_take_requests(vcpu);
		if (vcpu->ev.triple_fault) {
			vcpu->ev.triple_fault = false;
			return lodge_exit(vcpu, KVM_EXIT_SHUTDOWN);
		}
		if (has_news(vcpu))
			return 0;
		r = pending_work(vcpu);
		if (r <= 0)
			break;
		if (vcpu->mp_state != KVM_MP_STATE_RUNNABLE && !lodge_wakes(vcpu)) {
			sleep(vcpu);
			continue;
		}
		lodge_inject(vcpu);
		if (enter_guest(vcpu))
			r = handle_exit(vcpu);
		else
			cond_resched();
	}
	return r;
}

/* ---- The ioctl ----------------------------------------------------------------------------------------- */

static int finish_instruction(struct lodge_vcpu *vcpu)
{
	int (*fn)(struct lodge_vcpu * vcpu) = vcpu->complete;
	int idx, r;

	if (!fn)
		return 1;
	vcpu->complete = NULL;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	r = fn(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return r;
}

static void tell_user(struct lodge_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = (vcpu->rflags & X86_EFLAGS_IF) != 0;
	run->cr8 = vcpu->cr8;
	run->apic_base = vcpu->msrs.apic_base;
	run->flags = 0;
	run->ready_for_interrupt_injection = vcpu->vm->chips || lodge_ready_for_irq(vcpu);
}

int lodge_run(struct lodge_vcpu *vcpu)
{
	sigset_t saved;
	int r;

	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &saved);
	if (!vcpu->apic)
		vcpu->cr8 = READ_ONCE(vcpu->run->cr8) & 15;
	lodge_vcpu_load(vcpu);
	fpu_swap_kvm_fpstate(&vcpu->fpu, true);
	if (cpu_feature_enabled(X86_FEATURE_OSXSAVE))
		vcpu->host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	r = finish_instruction(vcpu);
	if (r > 0)
		r = run_loop(vcpu);
	fpu_swap_kvm_fpstate(&vcpu->fpu, false);
	lodge_vcpu_put(vcpu);
	tell_user(vcpu);
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &saved, NULL);
	return r;
}
