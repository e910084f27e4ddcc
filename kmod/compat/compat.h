/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between kernels. Every check of a kernel's version is in this folder; other files use what is
 * named here.
 * Known: 6.1 (Debian 12) and 6.12 (its backports).
 */
#ifndef LODGE_COMPAT_H
#define LODGE_COMPAT_H

#include <linux/context_tracking.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/version.h>
#include <linux/vtime.h>
#include <asm/fpu/api.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "kernels before 6.1 are not known to this module"
#endif

/* smp_send_reschedule can be traced since 6.4. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>
#endif

/* vm_flags became read-only outside mm in 6.3. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define lodge_vma_add_flags(vma, flags) vm_flags_set(vma, flags)
#else
#define lodge_vma_add_flags(vma, flags) ((vma)->vm_flags |= (flags))
#endif

/* get_user_pages lost its last argument in 6.5; this one never had it. */
static inline long lodge_gup_one(unsigned long hva, unsigned int flags, struct page **page)
{
	return get_user_pages_unlocked(hva, 1, page, flags);
}

/* Without sleeping: only if it needs no fault. */
static inline int lodge_gup_fast(unsigned long hva, unsigned int flags, struct page **page)
{
	return get_user_pages_fast_only(hva, 1, flags, page);
}

/* Two arguments more than in the first 6.1; Debian's has them since 6.1.64. */
static inline void lodge_fpu_out(struct fpu_guest *fpu, void *buf, unsigned int size)
{
	fpu_copy_guest_fpstate_to_uabi(fpu, buf, size, fpu->fpstate->user_xfeatures, 0);
}

static inline int lodge_fpu_in(struct fpu_guest *fpu, const void *buf, u64 xcr0)
{
	u32 pkru = 0;

	return fpu_copy_uabi_to_guest_fpstate(fpu, buf, xcr0, &pkru);
}

/* Since 6.10 kvm_run's field has another name in the kernel, which says who writes it. */
#ifdef HINT_UNSAFE_IN_KVM
#define lodge_immediate_exit(run) READ_ONCE((run)->immediate_exit__unsafe)
#else
#define lodge_immediate_exit(run) READ_ONCE((run)->immediate_exit)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define lodge_rcu_note() rcu_virt_note_context_switch()
#else
#define lodge_rcu_note() rcu_virt_note_context_switch(smp_processor_id())
#endif
static inline void lodge_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

static inline void lodge_hrtimer_init(struct hrtimer *timer,
				      enum hrtimer_restart (*fn)(struct hrtimer *timer))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = fn;
#endif
}

/* Pages to be reclaimed on the way to user space. */
static inline bool lodge_memcg_over(const struct task_struct *task)
{
#ifdef CONFIG_MEMCG
	return task->memcg_nr_pages_over_high;
#else
	return false;
#endif
}

/*
 * For RCU and the accounting of time a guest is like user space. Interrupts are off; between the two nothing may
 * be traced.
 */
static __always_inline void lodge_guest_context_enter(void)
{
	if (!context_tracking_guest_enter())
		lodge_rcu_note();
}

static __always_inline void lodge_guest_context_exit(void)
{
	context_tracking_guest_exit();
}

#endif
