/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one interface to whatever runs guest instructions: the software engine, or KVM.
 *
 * An engine knows memory and CPUs, no devices: an access to a device leaves through engine_host,
 * and the machine hands it to the bus. Keep this at about a dozen functions; what only one engine
 * needs stays inside that engine.
 */
#ifndef LODGE_ENGINE_ENGINE_H
#define LODGE_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/clock.h"
#include "engine/irqchip.h"
#include "engine/options.h"
#include "engine/shortcut.h"
#include "mem/mem.h"
#include "x86/cpuid.h"
#include "x86/state.h"

struct engine;
struct vcpu;

/* A run of MOVS or STOS in a page (two, for MOVS) with device memory at one end at least. */
struct engine_string {
	uint8_t *to, *from; /* host addresses of RAM; NULL: device memory */
	gpa_t to_gpa, from_gpa;
	bool reads;	/* MOVS */
	uint64_t value; /* what STOS stores */
	unsigned size;	/* of an element, 1, 2, 4 or 8; device memory is aligned to it */
	int64_t step;
	uint64_t n;
};

/*
 * What the machine provides. Called on the vCPU's thread, without the VM lock (the machine takes
 * it). Sizes are 1, 2, 4, 8; ports 1, 2, 4.
 */
struct engine_host {
	void *opaque;
	uint64_t (*pio_read)(void *opaque, uint16_t port, unsigned size);
	void (*pio_write)(void *opaque, uint16_t port, uint64_t val, unsigned size);
	uint64_t (*mmio_read)(void *opaque, unsigned cpu, gpa_t gpa, unsigned size);
	void (*mmio_write)(void *opaque, unsigned cpu, gpa_t gpa, uint64_t val, unsigned size);
	/* As if each element came alone. How many were done; 0: they must come alone. NULL: they always must. */
	uint64_t (*mmio_string)(void *opaque, unsigned cpu, const struct engine_string *s);
	/* The processor acknowledges INTR: the vector, or -1 when the request has gone. */
	int (*irq_ack)(void *opaque, unsigned cpu);
	/* MSRs that belong to the local APIC: 0x1b, 0x6e0, 0x800–0x8ff. 0, or -1 for #GP. */
	int (*apic_msr_read)(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val);
	int (*apic_msr_write)(void *opaque, unsigned cpu, uint32_t msr, uint64_t val);
	/* CR8, the task priority class (0..15). */
	uint8_t (*cr8_read)(void *opaque, unsigned cpu);
	void (*cr8_write)(void *opaque, unsigned cpu, uint8_t val);
	/* FERR# with CR0.NE = 0: IRQ 13 on a PC. */
	void (*ferr)(void *opaque, bool level);
	/* A local APIC in the kernel has finished a level-triggered interrupt of an I/O APIC. */
	void (*eoi)(void *opaque, uint8_t vector);
};

enum engine_exit {
	ENGINE_EXIT_KICK,     /* vcpu_kick was called: look at what you wanted */
	ENGINE_EXIT_HALT,     /* HLT: nothing to do until an interrupt, NMI, INIT or SIPI */
	ENGINE_EXIT_SHUTDOWN, /* triple fault */
	ENGINE_EXIT_ERROR,    /* the engine cannot go on; vcpu_error has the sentence */
	ENGINE_EXIT_DEBUG,    /* a debugger's: debug_stop() says what */
};

enum vcpu_signal {
	VCPU_SIGNAL_INTR_ON, /* the INTR pin; LINT0, if the local APIC is in the kernel */
	VCPU_SIGNAL_INTR_OFF,
	VCPU_SIGNAL_NMI, /* the same of LINT1: an edge */
	VCPU_SIGNAL_INIT,
	VCPU_SIGNAL_SIPI, /* arg = vector */
};

/*
 * What a debugger looks out for, by linear address, in every address space and on every vCPU; the guest sees
 * nothing of it. A breakpoint stops before the instruction at `lin` (len is 0); a watchpoint behind an
 * instruction of the guest, or an event's delivery, that has read or written a byte of [lin, lin + len).
 */
enum engine_point_kind {
	ENGINE_POINT_BREAK,
	ENGINE_POINT_WRITE,
	ENGINE_POINT_READ,
	ENGINE_POINT_ACCESS,
};

#define ENGINE_POINTS_MAX 256u
struct engine_point {
	enum engine_point_kind kind;
	gva_t lin;
	uint64_t len;
	/* BREAK: where that lies at present, for an engine that has to know; GPA_NONE: nowhere yet. */
	gpa_t gpa;
};
#define GPA_NONE UINT64_MAX

enum engine_stop_kind { ENGINE_STOP_NONE, ENGINE_STOP_STEP, ENGINE_STOP_BREAK, ENGINE_STOP_WATCH };

struct engine_stop {
	enum engine_stop_kind kind;
	enum engine_point_kind point; /* WATCH: of this kind */
	gva_t lin; /* BREAK: the instruction; WATCH: the byte that was touched first */
};

/* How a vCPU goes on. */
#define ENGINE_DEBUG_STEP \
	1u /* one instruction, interrupts held back; or out of HLT into a handler */
#define ENGINE_DEBUG_PASS 2u	/* not stopped by a breakpoint where it is */
#define ENGINE_DEBUG_CHANGED 4u /* the debugger wrote its state */

struct engine_config {
	unsigned cpus;
	const struct x86_cpuid *cpuid;	 /* what guests see; borrowed for the engine's life */
	struct mem *mem;		 /* borrowed; the engine becomes its listener */
	struct engine_host host;	 /* copied */
	struct engine_soft_options soft; /* for the software engine */
	struct engine_kvm_options kvm;	 /* for the other */
};

struct engine_ops {
	const char *name; /* "soft", "kvm" */
	struct engine *(*create)(const struct engine_config *cfg, struct lodge_err *err);
	void (*destroy)(struct engine *e); /* no vCPU runs any more */
	struct vcpu *(*vcpu)(struct engine *e, unsigned index);
	/* Run on the calling thread (always the same one for a vCPU) until something needs the machine. */
	enum engine_exit (*run)(struct vcpu *v);
	/* Any thread: make run() return ENGINE_EXIT_KICK soon. Async-signal-safe. */
	void (*kick)(struct vcpu *v);
	/* Any thread: what reaches the processor's pins or its APIC's message interface. */
	void (*signal)(struct vcpu *v, enum vcpu_signal sig, uint8_t arg);
	/*
	 * On the vCPU's thread, outside of run(): make run() return ENGINE_EXIT_KICK at that
	 * CLOCK_MONOTONIC time, in place of an earlier call's. False if it cannot. May be NULL.
	 */
	bool (*alarm)(struct vcpu *v, uint64_t deadline_ns);
	/* True when run() would do something other than exit with HALT at once. Any thread. */
	bool (*has_work)(const struct vcpu *v);
	/* The architectural state; borrowed, valid to read and write only while run() is not running. */
	struct x86_state *(*state)(struct vcpu *v);
	/* After the state was written from outside. */
	void (*state_changed)(struct vcpu *v);
	/*
	 * With run() not running: what was signalled and not looked at yet goes into the state (nmi_pending,
	 * init_pending, sipi_pending). To be given back by signal() if the vCPU is to run again.
	 */
	void (*settle)(struct vcpu *v);
	/* What guests see of CPUID: the configuration's, less what the engine cannot give. */
	const struct x86_cpuid *(*cpuid)(const struct engine *e);
	const char *(*error)(const struct vcpu *v);
	/*
	 * For a debugger, while no vCPU runs. `debug` replaces all points, which are copied; -ENOSPC or -EINVAL with a
	 * sentence where the engine cannot, and those of before stay. `debug_cpu` says how one goes on (ENGINE_DEBUG_*).
	 * `debug_stop`: after ENGINE_EXIT_DEBUG.
	 */
	int (*debug)(struct engine *e, const struct engine_point *points, unsigned n,
		     struct lodge_err *err);
	void (*debug_cpu)(struct vcpu *v, unsigned how);
	struct engine_stop (*debug_stop)(const struct vcpu *v);
	/*
	 * Any thread, while vCPUs run or not: `fn` for each counter of all vCPUs together and the engine
	 * (cpu < 0), or of one. May be NULL.
	 */
	void (*counters)(const struct engine *e, int cpu,
			 void (*fn)(void *opaque, const char *name, const char *what,
				    uint64_t value),
			 void *opaque);
	/*
	 * What is done better beside the vCPUs, on a thread of its own: returns after beside_end(), or at once where
	 * there is nothing of that kind. May be NULL, both.
	 */
	void (*beside)(struct engine *e);
	void (*beside_end)(struct engine *e);
	/* Interrupt controllers in the kernel. NULL: this engine never has any. */
	const struct engine_irqchip_ops *irqchip;
	/* Writes that do not stop a vCPU. NULL: this engine never has any. */
	const struct engine_shortcut_ops *shortcuts;
	/* A clock of the engine's own. NULL: there is none. */
	const struct engine_clock_ops *clock;
};

extern const struct engine_ops engine_soft, engine_kvm;

#endif
