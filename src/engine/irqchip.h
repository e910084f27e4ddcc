/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers that an engine keeps in the host's kernel, and how their state comes out and
 * goes in. Devices and saved state have one form of it, their own; this is between.
 * Source: Linux, Documentation/virt/kvm/api.rst; Intel SDM 3A §10.4.1 (the page's layout).
 */
#ifndef LODGE_ENGINE_IRQCHIP_H
#define LODGE_ENGINE_IRQCHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/options.h"

struct engine;
struct vcpu;

#define ENGINE_LAPIC_PAGE 1024u

struct engine_lapic {
	uint64_t base, deadline_tsc;	 /* IA32_APIC_BASE, IA32_TSC_DEADLINE */
	uint8_t page[ENGINE_LAPIC_PAGE]; /* registers as memory shows them, each 16 bytes on */
};

/* All with the VM lock held, or before threads start. */
struct engine_irqchip_ops {
	/* What there is. OFF: nothing else here may be called. */
	enum engine_irqchip (*kind)(const struct engine *e);
	/* An interrupt message. True if a local APIC took it. */
	bool (*msi)(struct engine *e, uint64_t addr, uint32_t data);
	/*
	 * An I/O APIC's pin would send this message: the end of its interrupt, if it is level-triggered, is told by
	 * engine_host.eoi.
	 */
	void (*route)(struct engine *e, unsigned pin, uint64_t addr, uint32_t data);
	/* A local APIC's registers. The vCPU does not run. 0 or -errno. */
	int (*lapic_get)(struct vcpu *v, struct engine_lapic *out) MUST_CHECK;
	int (*lapic_set)(struct vcpu *v, const struct engine_lapic *in) MUST_CHECK;
	/* The guest's clock stops, and so do their timers; or it goes on. No vCPU runs. */
	void (*hold)(struct engine *e, bool on);
};

#endif
