// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The local APIC timer: one-shot, periodic, TSC-deadline.
 * Source: Intel SDM 3A §10.5.4.
 * Threads: with the VM lock held; expiry on the io thread.
 *
 * 1. timer_expiry_ns is the truth; the io timer is armed for it only when expiry can do something.
 * 2. A periodic timer keeps its grid: expiries that nobody could see (masked, or the last one still
 *    waits in IRR) are skipped, later ones stay where they would have been. Its io timer is not
 *    armed while its vector waits in IRR, so a guest cannot make the host work for ticks that it
 *    does not take.
 * 3. The period is at least LAPIC_MIN_PERIOD_NS.
 */
#include "devices/legacy/lapic_int.h"

#include "base/clock.h"
#include "base/range.h"

/* A deadline whose conversion came out early is not tried again before this. */
#define DEADLINE_RETRY_NS 1000u
/* No TSC is faster: so many ticks take at least a nanosecond. */
#define TSC_TICKS_PER_NS 8u
/* Times beyond this are never reached. */
#define FAR_NS (UINT64_MAX / 4)

_Static_assert(LAPIC_BUS_HZ == NS_PER_SEC, "one timer tick at divide 1 is one nanosecond");

/* Divide configuration register (§10.5.4, figure 10-10): bits 3, 1, 0. */
static uint32_t timer_divisor(const struct lapic *l)
{
	unsigned d = (l->dcr & 3) | (l->dcr >> 1 & 4);

	return d == 7 ? 1 : 2u << d;
}

static uint64_t timer_length_ns(const struct lapic *l)
{
	return (uint64_t)l->tmict * timer_divisor(l);
}

static uint64_t timer_period_ns(const struct lapic *l)
{
	return max_u64(timer_length_ns(l), LAPIC_MIN_PERIOD_NS);
}

/* The first point of a periodic timer's grid after `now`. */
static uint64_t next_on_grid(const struct lapic *l, uint64_t now)
{
	uint64_t period = timer_period_ns(l);
	uint64_t late;

	if (l->timer_expiry_ns > now)
		return l->timer_expiry_ns;
	late = now - l->timer_expiry_ns;
	return now + (period - late % period);
}

/* Would an expiry of the periodic timer now be seen by anyone? */
static bool periodic_visible(const struct lapic *l)
{
	uint32_t lvt = l->lvt[LVT_TIMER];

	return !(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= VECTOR_MIN && lapic_takes_fixed(l) &&
	       !lapic_vec_test(l->irr, lvt & LVT_VECTOR);
}

void lapic_timer_update(struct lapic *l)
{
	uint64_t now;

	if (!l->timer_expiry_ns || lapic_timer_mode(l) == TIMER_RESERVED || l->cfg.remote) {
		io_timer_cancel(&l->timer);
		return;
	}
	if (lapic_timer_mode(l) == TIMER_PERIODIC) {
		now = clock_vm_ns();
		l->timer_expiry_ns = next_on_grid(l, now);
		if (!periodic_visible(l)) {
			io_timer_cancel(&l->timer);
			return;
		}
	}
	io_timer_arm(&l->timer, l->timer_expiry_ns);
}

void lapic_timer_stop(struct lapic *l)
{
	l->timer_expiry_ns = 0;
	l->deadline_tsc = 0;
	io_timer_cancel(&l->timer);
}

static uint64_t tsc_now(const struct lapic *l)
{
	return l->host->guest_tsc(l->host->opaque, l->cfg.cpu);
}

/*
 * Fire if the deadline is reached, else wait for it. Whatever the conversion says (it may take a
 * deadline that is centuries away for one that is past), the timer waits as long as the distance
 * surely takes, and `least_ns`.
 */
static void deadline_check(struct lapic *l, uint64_t least_ns)
{
	const struct lapic_host *h = l->host;
	uint64_t tsc = tsc_now(l);
	uint64_t at;

	if (tsc >= l->deadline_tsc) {
		lapic_timer_stop(l);
		lapic_lvt_fire(l, LVT_TIMER);
		return;
	}
	least_ns = max_u64(least_ns, (l->deadline_tsc - tsc) / TSC_TICKS_PER_NS);
	at = h->tsc_to_mono_ns(h->opaque, l->cfg.cpu, l->deadline_tsc);
	at = max_u64(at, clock_vm_ns() + least_ns);
	l->timer_expiry_ns = min_u64(at, FAR_NS);
	io_timer_arm(&l->timer, l->timer_expiry_ns);
}

static void timer_expired(void *opaque)
{
	struct lapic *l = opaque;
	uint64_t now = clock_vm_ns();

	if (!l->timer_expiry_ns)
		return;
	if (lapic_timer_mode(l) == TIMER_DEADLINE) {
		deadline_check(l, DEADLINE_RETRY_NS);
		return;
	}
	if (now < l->timer_expiry_ns) {
		lapic_timer_update(l);
		return;
	}
	if (lapic_timer_mode(l) == TIMER_PERIODIC)
		l->timer_expiry_ns = next_on_grid(l, now);
	else
		l->timer_expiry_ns = 0;
	lapic_lvt_fire(l, LVT_TIMER);
	lapic_timer_update(l);
}

void lapic_timer_init(struct lapic *l, struct io_loop *loop)
{
	io_timer_init(&l->timer, loop, timer_expired, l);
}

void lapic_timer_set_count(struct lapic *l, uint32_t count)
{
	if (lapic_timer_mode(l) == TIMER_DEADLINE)
		return;
	l->tmict = count;
	l->timer_expiry_ns = 0;
	if (count)
		l->timer_expiry_ns = clock_vm_ns() + (lapic_timer_mode(l) == TIMER_PERIODIC
							      ? timer_period_ns(l)
							      : timer_length_ns(l));
	lapic_timer_update(l);
}

uint32_t lapic_timer_count(const struct lapic *l)
{
	uint64_t now = clock_vm_ns();
	uint64_t expiry = l->timer_expiry_ns;
	uint64_t left;

	if (!expiry || lapic_timer_mode(l) >= TIMER_DEADLINE)
		return 0;
	if (lapic_timer_mode(l) == TIMER_PERIODIC)
		expiry = next_on_grid(l, now);
	if (expiry <= now)
		return 0;
	/* Rounded up: a running timer does not read 0. A stretched period hides behind TMICT. */
	left = (expiry - now + timer_divisor(l) - 1) / timer_divisor(l);
	return (uint32_t)min_u64(left, l->tmict);
}

/* The divisor changes under a running count: what is left of it goes on at the new speed. */
void lapic_timer_set_divide(struct lapic *l, uint32_t dcr)
{
	uint32_t left = lapic_timer_count(l);

	l->dcr = dcr;
	if (!left)
		return;
	l->timer_expiry_ns = clock_vm_ns() + (uint64_t)left * timer_divisor(l);
	lapic_timer_update(l);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt)
{
	enum lapic_timer_mode old = lapic_timer_mode(l);

	/* Skipped expiries of a periodic timer are no reason to expire late as one-shot. */
	if (old == TIMER_PERIODIC && l->timer_expiry_ns)
		l->timer_expiry_ns = next_on_grid(l, clock_vm_ns());
	/* Entering and leaving TSC-deadline mode disarms the timer (§10.5.4.1). */
	l->lvt[LVT_TIMER] = lvt;
	if ((old == TIMER_DEADLINE) != (lapic_timer_mode(l) == TIMER_DEADLINE)) {
		lapic_timer_stop(l);
		l->tmict = 0;
	}
	lapic_timer_update(l);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
	if (lapic_timer_mode(l) != TIMER_DEADLINE)
		return;
	lapic_timer_stop(l);
	if (!tsc)
		return;
	l->deadline_tsc = tsc;
	deadline_check(l, 0);
}

uint64_t lapic_timer_deadline(const struct lapic *l)
{
	/* It reads 0 from the moment the interrupt is due. */
	if (lapic_timer_mode(l) != TIMER_DEADLINE || tsc_now(l) >= l->deadline_tsc)
		return 0;
	return l->deadline_tsc;
}

void lapic_tsc_changed(struct lapic *l)
{
	uint64_t tsc = l->deadline_tsc;

	if (tsc && lapic_timer_mode(l) == TIMER_DEADLINE)
		lapic_timer_set_deadline(l, tsc);
}

void lapic_timer_loaded(struct lapic *l)
{
	if (lapic_timer_mode(l) != TIMER_DEADLINE) {
		l->deadline_tsc = 0;
		lapic_timer_update(l);
	} else if (l->cfg.remote) {
		io_timer_cancel(&l->timer);
	} else if (l->deadline_tsc && l->timer_expiry_ns) {
		/* The same moment by both clocks. */
		lapic_timer_update(l);
	} else if (l->deadline_tsc) {
		lapic_tsc_changed(l);
	} else {
		lapic_timer_stop(l);
	}
}
