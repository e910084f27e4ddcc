// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine stands still, and goes on: the kernel's clock for guests (kvmclock) is read and set again, and so is its
 * 8254. The timers of local APICs and the TSC: apic_timer.c.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_CLOCK, KVM_KVMCLOCK_CTRL).
 * Threads: with the VM lock held and no vCPU running.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "engine/kvm/kvm_int.h"

static void clock_stop(struct engine *engine)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_clock_data now = {.clock = 0};

	e->stopped = true;
	if (ioctl(e->vm, KVM_GET_CLOCK, &now) == 0)
		e->clock_ns = now.clock;
	if (e->chip == ENGINE_IRQCHIP_ON)
		kvm_full_stop(e);
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
	/* So that the guest's watchdogs know. It refuses where the guest has no such clock. */
	for (unsigned i = 0; i < e->cfg.cpus; i++)
		(void)!ioctl(e->cpus[i]->fd, KVM_KVMCLOCK_CTRL, 0);
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
