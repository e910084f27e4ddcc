// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine stands still, and goes on: what the kernel would let run meanwhile. Its clock for guests (kvmclock) is
 * read and set again; the TSC's new offsets are told, and with them TSC deadlines; timers of local APICs go on with the
 * count that they had.
 *
 * A timer of the kernel's that ends during the pause is pending until the vCPU runs, and setting it anew takes that
 * back. Interrupts of devices that come during the pause are in the APIC's registers and stay.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_CLOCK, KVM_KVMCLOCK_CTRL, KVM_SET_LAPIC); Intel SDM 3A §10.5.4.
 * Threads: with the VM lock held and no vCPU running.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "engine/kvm/kvm_int.h"

#define IRR 0x200u
#define LVT_TIMER 0x320u
#define TIMER_DEADLINE 0x40000u
#define TIMER_MODE 0x60000u
#define INITIAL_COUNT 0x380u
#define CURRENT_COUNT 0x390u

/* ---- Local APICs' timers ------------------------------------------------------------------------- */

static uint8_t *irr_of(uint8_t *page, unsigned vector)
{
	return page + IRR + vector / 32 * 16 + vector % 32 / 8;
}

void kvm_timer_frozen(struct kvm_cpu *cpu, uint8_t *page)
{
	unsigned vector = ld_le32(page + LVT_TIMER) & 0xff;

	if (!cpu->frozen)
		return;
	st_le32(page + CURRENT_COUNT, cpu->frozen_count);
	/* It has ended since? Not for the guest. */
	if (!cpu->frozen_asks)
		*irr_of(page, vector) &= (uint8_t) ~(1u << vector % 8);
}

void kvm_timer_freeze(struct kvm_cpu *cpu, uint8_t *page)
{
	uint32_t lvt = ld_le32(page + LVT_TIMER);
	unsigned vector = lvt & 0xff;

	/* A deadline is by the TSC, which is seen to. */
	cpu->frozen = (lvt & TIMER_MODE) != TIMER_DEADLINE && ld_le32(page + INITIAL_COUNT);
	cpu->frozen_count = ld_le32(page + CURRENT_COUNT);
	cpu->frozen_asks = *irr_of(page, vector) >> vector % 8 & 1;
}

static void timer_stop(struct kvm_cpu *cpu)
{
	struct kvm_lapic_state l;

	if (ioctl(cpu->fd, KVM_GET_LAPIC, &l) == 0)
		kvm_timer_freeze(cpu, (uint8_t *)l.regs);
}

static void timer_go(struct kvm_cpu *cpu)
{
	struct kvm_lapic_state l;

	if (cpu->frozen && ioctl(cpu->fd, KVM_GET_LAPIC, &l) == 0) {
		kvm_timer_frozen(cpu, (uint8_t *)l.regs);
		if (ioctl(cpu->fd, KVM_SET_LAPIC, &l) < 0)
			log_trace(LOG_UNIMP, "cpu%u: KVM does not set the APIC's timer: %s\n",
				  cpu->index, strerror(errno));
	}
	cpu->frozen = false;
}

/* ---- All of it ----------------------------------------------------------------------------------- */

static void clock_stop(struct engine *engine)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_clock_data now = {.clock = 0};

	e->stopped = true;
	if (ioctl(e->vm, KVM_GET_CLOCK, &now) == 0)
		e->clock_ns = now.clock;
	if (e->chip == ENGINE_IRQCHIP_ON)
		kvm_full_stop(e);
	for (unsigned i = 0; kvm_has_chip(e) && i < e->cfg.cpus; i++)
		timer_stop(e->cpus[i]);
}

static void cpu_goes(struct kvm_cpu *cpu)
{
	pthread_mutex_lock(&cpu->lock);
	/* A state that is newer here goes in with its TSC, later. */
	if (cpu->where != WHERE_STATE) {
		kvm_store_tsc(cpu);
		if (kvm_has_chip(cpu->e))
			kvm_rearm_deadline(cpu);
	}
	pthread_mutex_unlock(&cpu->lock);
	if (kvm_has_chip(cpu->e))
		timer_go(cpu);
	/* So that the guest's watchdogs know. It refuses where the guest has no such clock. */
	(void)!ioctl(cpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

static void clock_go(struct engine *engine)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_clock_data at = {.clock = e->clock_ns};

	if (!e->stopped)
		return;
	e->stopped = false;
	if (e->chip == ENGINE_IRQCHIP_ON)
		kvm_full_go(e);
	if (e->clock_ns && ioctl(e->vm, KVM_SET_CLOCK, &at) < 0)
		log_trace(LOG_UNIMP, "KVM does not set the guest's clock: %s\n", strerror(errno));
	e->clock_ns = 0;
	for (unsigned i = 0; i < e->cfg.cpus; i++)
		cpu_goes(e->cpus[i]);
}

static uint64_t clock_get(const struct engine *e)
{
	return ((const struct kvm_engine *)(uintptr_t)e)->clock_ns;
}

static void clock_set(struct engine *engine, uint64_t ns)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;

	if (!e->stopped && e->chip == ENGINE_IRQCHIP_ON)
		kvm_full_stop(e);
	e->stopped = true;
	e->clock_ns = ns;
}

const struct engine_clock_ops kvm_clock_ops = {
	.stop = clock_stop,
	.go = clock_go,
	.get = clock_get,
	.set = clock_set,
};
