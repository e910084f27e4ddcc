/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What connects local APICs, I/O APICs and message-signalled interrupts: finds the targets of an
 * interrupt message and carries end-of-interrupt back.
 * Source: Intel SDM 3A §10.6 (IPIs), §10.11 (MSI), §10.12.9–10 (x2APIC destinations).
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_APIC_BUS_H
#define LODGE_DEVICES_LEGACY_APIC_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct lapic;
struct ioapic;
struct apic_bus;

/* Delivery modes as ICR, redirection entries and MSI data encode them (SDM 3A §10.6.1). */
enum apic_mode {
	APIC_MODE_FIXED,
	APIC_MODE_LOWEST,
	APIC_MODE_SMI,
	APIC_MODE_RESERVED,
	APIC_MODE_NMI,
	APIC_MODE_INIT,
	APIC_MODE_SIPI,
	APIC_MODE_EXTINT,
};

struct apic_msg {
	uint32_t dest;
	bool logical; /* destination mode */
	bool wide;    /* a 32-bit x2APIC destination; else 8 bits, 0xff = everyone */
	bool level;   /* trigger mode */
	uint8_t mode; /* enum apic_mode */
	uint8_t vector;
};

/* What the machine does for the local APICs. `cpu` is the index given to lapic_new. */
struct lapic_host {
	void *opaque;
	/* The processor's INTR request, on changes. */
	void (*intr)(void *opaque, unsigned cpu, bool level);
	void (*nmi)(void *opaque, unsigned cpu);
	void (*smi)(void *opaque, unsigned cpu); /* may be NULL: ignored */
	/*
	 * INIT: the local APIC has already reset its own registers. SIPI: the machine ignores it
	 * for a processor that does not wait for one.
	 */
	void (*init)(void *opaque, unsigned cpu);
	void (*sipi)(void *opaque, unsigned cpu, uint8_t vector);
	/* The guest's time-stamp counter now, and when (CLOCK_MONOTONIC) it will show `tsc`. */
	uint64_t (*guest_tsc)(void *opaque, unsigned cpu);
	uint64_t (*tsc_to_mono_ns)(void *opaque, unsigned cpu, uint64_t tsc);
	/* Acknowledge the 8259 pair: its vector (a spurious one if the request has gone). */
	int (*extint_ack)(void *opaque);
	/* IA32_APIC_BASE changed (page moved, APIC on or off, x2APIC). May be NULL. */
	void (*base_changed)(void *opaque, unsigned cpu, uint64_t apic_base);
};

/*
 * Local APICs that are somewhere else, in the host's kernel: what the bus would tell them. The local APICs on
 * the bus then hold state and nothing more (lapic_config.remote).
 */
struct apic_remote {
	void *opaque;
	bool (*msi)(void *opaque, uint64_t addr, uint32_t data); /* true if one took it */
	void (*lint)(void *opaque, unsigned n, bool level);
	/* What an I/O APIC's pin would send, whenever that changes. */
	void (*route)(void *opaque, unsigned pin, uint64_t addr, uint32_t data);
};

/* For `cpus` processors. `host` is copied. NULL when out of memory. */
struct apic_bus *apic_bus_new(unsigned cpus, const struct lapic_host *host);
void apic_bus_free(struct apic_bus *ab); /* the APICs first */

/* Before anything is on the bus. Copied. */
void apic_bus_set_remote(struct apic_bus *ab, const struct apic_remote *r);

/*
 * State is being loaded, and the remote ones will be written whole: messages go to those here meanwhile, which have
 * been loaded before the devices that send them.
 */
void apic_bus_set_loading(struct apic_bus *ab, bool loading);

/* Deliver a message. True if some local APIC accepted it. */
bool apic_bus_deliver(struct apic_bus *ab, const struct apic_msg *msg);
/* A device's memory write to 0xFEExxxxx (SDM 3A §10.11). Fits pci_bus_set_msi. */
void apic_bus_msi(void *apic_bus, uint64_t addr, uint32_t data);
/* Is that write a plain interrupt message, which a kernel takes as it is? */
bool apic_bus_is_msi(uint64_t addr, uint32_t data);

/*
 * The LINT pins, wired to every local APIC: LINT0 is the 8259 pair's INTR output, LINT1 is NMI.
 * Fits irq_line.set (opaque = the bus, n = 0 or 1).
 */
void apic_bus_set_lint(void *apic_bus, unsigned n, bool level);

struct lapic *apic_bus_lapic(struct apic_bus *ab, unsigned cpu);
unsigned apic_bus_cpus(const struct apic_bus *ab);
const struct lapic_host *apic_bus_host(const struct apic_bus *ab);

/* Between the bus and the controllers on it. */
void apic_bus_add_lapic(struct apic_bus *ab, unsigned cpu, struct lapic *l);
void apic_bus_del_lapic(struct apic_bus *ab, unsigned cpu);
bool apic_bus_add_ioapic(struct apic_bus *ab, struct ioapic *io);
void apic_bus_del_ioapic(struct apic_bus *ab, struct ioapic *io);
/* Pin `pin` of an I/O APIC is programmed to send `msg`. */
void apic_bus_route(struct apic_bus *ab, unsigned pin, const struct apic_msg *msg);
/* A local APIC finished a level-triggered `vector`. */
void apic_bus_eoi(struct apic_bus *ab, uint8_t vector);
/* ioapic_end_unheld() of all. */
bool apic_bus_end_unheld(struct apic_bus *ab, const uint32_t held[8]);
/* A local APIC began to accept interrupts: level requests nobody took are sent again. */
void apic_bus_retry(struct apic_bus *ab);
/* An IPI to all but `self` (SDM 3A §10.6.1, shorthand 11), or all with self = NULL. */
bool apic_bus_deliver_all(struct apic_bus *ab, const struct apic_msg *msg,
			  const struct lapic *self);

#endif
