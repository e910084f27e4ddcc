// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Timers of local APICs in the kernel while the guest's clock stands still. The kernel's go by the host's clock: they are
 * taken out of it when the machine stops, and go in again, with what was left of them, when it goes on. Meanwhile
 * their registers are here.
 *
 * Source: Intel SDM 3A §10.5.4 (APIC timer). Threads: with the VM lock held and every vCPU parked; kvm_clock_enter: the
 * vCPU's own.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

#define LVTT 0x320u
#define LVTT_VECTOR 0xffu
#define LVTT_MASKED 0x10000u
#define LVTT_PERIODIC 0x20000u
#define LVTT_DEADLINE 0x40000u
#define ISR 0x100u
#define IRR 0x200u
#define TMICT 0x380u
#define TMCCT 0x390u

static uint8_t *at(struct kvm_lapic_state *l, unsigned reg)
{
	return (uint8_t *)l->regs + reg;
}

/* A one-shot timer that is over would fire again at once if the kernel were told of it. */
static bool counts(const uint8_t *page, const struct kvm_held_timer *t)
{
	return t->initial && (t->current || (ld_le32(page + LVTT) & LVTT_PERIODIC));
}

void kvm_timer_show(const struct kvm_cpu *cpu, struct engine_lapic *l)
{
	if (!cpu->held.on)
		return;
	st_le32(l->page + TMICT, cpu->held.initial);
	st_le32(l->page + TMCCT, cpu->held.current);
	l->deadline_tsc = cpu->held.deadline;
}

void kvm_timer_take(struct kvm_cpu *cpu, struct engine_lapic *l)
{
	struct kvm_held_timer now = {.on = cpu->held.on,
				     .initial = ld_le32(l->page + TMICT),
				     .current = ld_le32(l->page + TMCCT),
				     .deadline = l->deadline_tsc};

	if (cpu->held.on)
		cpu->held = now;
	if (cpu->held.on || !counts(l->page, &now)) {
		st_le32(l->page + TMICT, 0);
		st_le32(l->page + TMCCT, 0);
	}
	if (cpu->held.on)
		l->deadline_tsc = 0;
}

/* Is `vector` in ISR or IRR, of which a register has 32 bits at every 16 bytes? */
static bool asked(struct kvm_lapic_state *l, unsigned vector)
{
	unsigned reg = vector / 32 * 16;

	return (ld_le32(at(l, ISR + reg)) | ld_le32(at(l, IRR + reg))) >> vector % 32 & 1;
}

/*
 * A one-shot timer that was over before it was held: its interrupt is in IRR, or was served, or the kernel keeps it
 * until the vCPU is entered and shows it nowhere. So it is over once more: who has it twice finds nothing to do.
 */
static bool may_be_kept_back(struct kvm_lapic_state *l)
{
	uint32_t lvt = ld_le32(at(l, LVTT));

	return ld_le32(at(l, TMICT)) && !ld_le32(at(l, TMCCT)) &&
	       !(lvt & (LVTT_MASKED | LVTT_PERIODIC | LVTT_DEADLINE)) &&
	       !asked(l, lvt & LVTT_VECTOR);
}

static void hold(struct kvm_cpu *cpu)
{
	struct kvm_lapic_state l;
	struct kvm_one_msr m = {.nmsrs = 1, .entry.index = MSR_TSC_DEADLINE};

	if (cpu->held.on || ioctl(cpu->fd, KVM_GET_LAPIC, &l) < 0)
		return;
	if (ioctl(cpu->fd, KVM_GET_MSRS, &m) != 1)
		m.entry.data = 0;
	cpu->held = (struct kvm_held_timer){
		.on = true,
		.initial = ld_le32(at(&l, TMICT)),
		.current = may_be_kept_back(&l) ? 1 : ld_le32(at(&l, TMCCT)),
		.deadline = cpu->deadline ? cpu->deadline : m.entry.data,
	};
	cpu->deadline = 0;
	if (m.entry.data)
		(void)!kvm_set_msr(cpu, MSR_TSC_DEADLINE, 0);
	if (!counts((const uint8_t *)l.regs, &cpu->held))
		return;
	st_le32(at(&l, TMICT), 0);
	st_le32(at(&l, TMCCT), 0);
	(void)!ioctl(cpu->fd, KVM_SET_LAPIC, &l);
}

static void let_go(struct kvm_cpu *cpu)
{
	struct kvm_held_timer t = cpu->held;
	struct kvm_lapic_state l;

	cpu->held.on = false;
	if (!t.on)
		return;
	/* By the TSC: once that goes on (kvm_clock_enter). */
	cpu->deadline = t.deadline;
	if (ioctl(cpu->fd, KVM_GET_LAPIC, &l) < 0 || !counts((const uint8_t *)l.regs, &t))
		return;
	st_le32(at(&l, TMICT), t.initial);
	st_le32(at(&l, TMCCT), t.current);
	(void)!ioctl(cpu->fd, KVM_SET_LAPIC, &l);
}

void kvm_timers_hold(struct engine *engine, bool on)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;

	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		if (on)
			hold(e->cpus[i]);
		else
			let_go(e->cpus[i]);
	}
}

void kvm_clock_enter(struct kvm_cpu *cpu)
{
	/* With a new state all of it is told. */
	if (cpu->where == WHERE_STATE)
		return;
	if (cpu->s.tsc_offset != cpu->tsc_told)
		kvm_store_tsc(cpu);
	if (cpu->deadline && kvm_has_chip(cpu->e))
		kvm_rearm_deadline(cpu);
}
