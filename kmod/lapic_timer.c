// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The timer of a local APIC: one-shot and periodic by a bus of 1 GHz, or at a value of the guest's TSC. It counts by a
 * timer of the host's; that this is over the vCPU's thread makes an interrupt of. Where the processor itself counts
 * (lodge_ops->counts_tsc), a deadline needs the host's timer only while the vCPU sleeps.
 * Source: Intel SDM vol. 3A §10.5.4. Threads: the vCPU's, with vcpu->lock; over: interrupt context.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <asm/apicdef.h>
#include <asm/tsc.h>

#include "compat/compat.h"
#include "lodge.h"

#define R(offset) LODGE_APIC_REG(offset)

/* A guest that asks for more would have the host do nothing else. */
#define LEAST_PERIOD 200000u

static u32 lvt(const struct lodge_apic *a)
{
	return READ_ONCE(a->reg[R(APIC_LVTT)]);
}

static u32 divisor(const struct lodge_apic *a)
{
	u32 tdcr = a->reg[R(APIC_TDCR)];

	return 1u << ((((tdcr & 3) | (tdcr & 8) >> 1) + 1) & 7);
}

static enum hrtimer_restart over(struct hrtimer *timer)
{
	struct lodge_apic *a = container_of(timer, struct lodge_apic, timer);

	atomic_set(&a->fired, 1);
	lodge_request(a->vcpu, LODGE_REQ_EVENT);
	/* Both bits at once are no mode, and must not be one without a period. */
	if ((lvt(a) & (APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)) !=
	    APIC_LVT_TIMER_PERIODIC)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ns_to_ktime(a->period));
	return HRTIMER_RESTART;
}

void lodge_timer_init(struct lodge_apic *a)
{
	lodge_hrtimer_init(&a->timer, over);
}

void lodge_timer_stop(struct lodge_apic *a)
{
	hrtimer_cancel(&a->timer);
	atomic_set(&a->fired, 0);
}

static void start_in(struct lodge_apic *a, u64 ns)
{
	/* A year is for ever, and does not overflow. */
	hrtimer_start(&a->timer, ns_to_ktime(min(ns, 31536000000000000ull)), HRTIMER_MODE_REL);
}

void lodge_timer_start(struct lodge_apic *a, u32 count)
{
	lodge_timer_stop(a);
	if (!count || !a->reg[R(APIC_TMICT)])
		return;
	a->period = max_t(u64, (u64)a->reg[R(APIC_TMICT)] * divisor(a), LEAST_PERIOD);
	start_in(a, (u64)count * divisor(a));
}

u32 lodge_timer_count(struct lodge_apic *a)
{
	s64 left;

	if ((lvt(a) & APIC_LVT_TIMER_TSCDEADLINE) || !a->reg[R(APIC_TMICT)])
		return 0;
	left = ktime_to_ns(hrtimer_get_remaining(&a->timer));
	if (left <= 0 || !hrtimer_active(&a->timer))
		return 0;
	return min_t(u64, div_u64(left, divisor(a)) + 1, a->reg[R(APIC_TMICT)]);
}

u64 lodge_timer_deadline(const struct lodge_apic *a)
{
	return lvt(a) & APIC_LVT_TIMER_TSCDEADLINE ? a->deadline : 0;
}

u64 lodge_timer_left(const struct lodge_vcpu *vcpu)
{
	u64 end = vcpu->apic ? lodge_timer_deadline(vcpu->apic) : 0, now;

	if (!end)
		return ~0ull;
	now = lodge_guest_tsc(vcpu);
	return end > now ? end - now : 0;
}
EXPORT_SYMBOL_GPL(lodge_timer_left);

/* So far off that the product would not fit is for ever as well. */
static void start_deadline(struct lodge_apic *a)
{
	if (a->deadline)
		start_in(a, lodge_tsc_to_ns(min(lodge_timer_left(a->vcpu), 1ull << 54)));
}

void lodge_timer_sleeps(struct lodge_apic *a, bool sleeps)
{
	if (!a || !lodge_ops->counts_tsc || !lodge_timer_deadline(a))
		return;
	if (sleeps)
		start_deadline(a);
	else
		hrtimer_cancel(&a->timer);
}

int lodge_timer_counted(struct lodge_vcpu *vcpu)
{
	if (lodge_ops->counts_tsc && !lodge_timer_left(vcpu)) {
		atomic_set(&vcpu->apic->fired, 1);
		lodge_timer_sync(vcpu->apic);
	}
	return 1;
}
EXPORT_SYMBOL_GPL(lodge_timer_counted);

void lodge_timer_set_deadline(struct lodge_apic *a, u64 tsc)
{
	if (!(lvt(a) & APIC_LVT_TIMER_TSCDEADLINE))
		return;
	lodge_timer_stop(a);
	a->deadline = tsc;
	if (!lodge_ops->counts_tsc)
		start_deadline(a);
}

void lodge_timer_lvt(struct lodge_apic *a, u32 val)
{
	/* Between counts and deadlines it is disarmed. */
	if (!((lvt(a) ^ val) & APIC_LVT_TIMER_TSCDEADLINE))
		return;
	lodge_timer_stop(a);
	a->reg[R(APIC_TMICT)] = 0;
	a->deadline = 0;
}

void lodge_timer_sync(struct lodge_apic *a)
{
	u32 val = lvt(a);

	if (!atomic_read(&a->fired) || !atomic_xchg(&a->fired, 0))
		return;
	a->deadline = 0;
	if ((val & APIC_LVT_MASKED) || (val & 0xff) < 16)
		return;
	clear_bit(val & 0xff, a->tmr);
	set_bit(val & 0xff, a->irr);
}
