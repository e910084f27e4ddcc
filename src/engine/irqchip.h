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

/* The others, as far as the kernel knows them. Members are as in our devices of these names. */
struct engine_pic {
	uint8_t line, latch, elcr, imr, isr, base, highest, step, needs_icw4, read_isr, poll;
	uint8_t special_mask, auto_eoi, auto_rotate, sfnm;
};

#define ENGINE_PINS 24u
struct engine_ioapic {
	uint64_t redir[ENGINE_PINS];
	uint32_t lines;
	uint8_t id, index;
};

struct engine_pit_counter {
	uint64_t since_ns; /* the count was loaded so long ago */
	uint32_t count;	   /* 1..65536 */
	uint16_t latch;
	uint8_t latched, status, has_status, rw, mode, bcd, gate, read_msb, write_msb, low_byte;
};

struct engine_chips {
	struct engine_pic pic[2];
	struct engine_ioapic ioapic;
	struct engine_pit_counter pit[3];
	bool speaker;	  /* bit 1 of port 0x61 */
	bool hpet_legacy; /* the HPET has the 8254's place */
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
	/*
	 * A way of its own for a message that is sent again and again: a handle, or -errno where there is none. Sent by
	 * it, or false: then it is to go by msi(). Settle: what was sent has come to the local APICs.
	 */
	int (*way_open)(struct engine *e);
	void (*way_close)(struct engine *e, int way);
	bool (*way_send)(struct engine *e, int way, uint64_t addr, uint32_t data);
	void (*ways_settle)(struct engine *e);
	/* A local APIC's registers. The vCPU does not run. 0 or -errno. */
	int (*lapic_get)(struct vcpu *v, struct engine_lapic *out) MUST_CHECK;
	int (*lapic_set)(struct vcpu *v, const struct engine_lapic *in) MUST_CHECK;
	/* The guest's clock stops, and so do their timers; or it goes on. No vCPU runs. */
	void (*hold)(struct engine *e, bool on);
	/* With ON alone: interrupt line n, as devices drive it; the HPET takes the 8254's place, or gives it back. */
	void (*line)(struct engine *e, unsigned n, bool level);
	void (*hpet_legacy)(struct engine *e, bool on);
	/* The state of what is no local APIC. No vCPU runs; lines are to be driven again behind it. 0 or -errno. */
	int (*chips_get)(struct engine *e, struct engine_chips *out) MUST_CHECK;
	int (*chips_set)(struct engine *e, const struct engine_chips *in) MUST_CHECK;
};

#endif
