/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A clock that an engine keeps for guests beside the TSC (KVM: kvmclock, Hyper-V's reference time): it stands still while
 * the machine does, and goes along when the machine is saved.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_GET_CLOCK, KVM_SET_CLOCK, KVM_KVMCLOCK_CTRL).
 */
#ifndef LODGE_ENGINE_CLOCK_H
#define LODGE_ENGINE_CLOCK_H

#include <stdint.h>

struct engine;

/* With the VM lock held, every vCPU outside of run(). */
struct engine_clock_ops {
	void (*stop)(struct engine *e);
	void (*go)(struct engine *e);
	/* What it shows while it is stopped, in ns; 0: nothing. Set: what it goes on from. */
	uint64_t (*get)(const struct engine *e);
	void (*set)(struct engine *e, uint64_t ns);
};

#endif
