/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC of one processor: xAPIC registers in memory, x2APIC registers as MSRs, timer,
 * IPIs. Source: Intel SDM 3A chapter 10. Register table: docs/devices/lapic.md.
 *
 * Threads: with the VM lock held. The timer runs on the io thread.
 */
#ifndef LODGE_DEVICES_LEGACY_LAPIC_H
#define LODGE_DEVICES_LEGACY_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bus/device.h"
#include "devices/legacy/apic_bus.h"
#include "io/loop.h"
#include "mem/gpa.h"

#define LAPIC_DEFAULT_BASE 0xfee00000ull
#define LAPIC_MMIO_LEN 0x1000u

#define MSR_APIC_BASE 0x1bu
#define MSR_APIC_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8ffu

#define APIC_BASE_BSP (1ull << 8)
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)

/* The timer counts a bus clock of 1 GHz, which is what CPUID and firmware may tell guests. */
#define LAPIC_BUS_HZ 1000000000u
/* A periodic timer is never faster than this, whatever is programmed. */
#define LAPIC_MIN_PERIOD_NS 20000u

struct lapic_config {
	unsigned cpu;	  /* index on the bus, below apic_bus_new's count */
	uint32_t apic_id; /* initial; as CPUID leaf 1 and 0xB tell the guest */
	bool bsp;
	bool x2apic;	   /* CPUID.1:ECX.X2APIC: mode may be entered */
	bool tsc_deadline; /* CPUID.1:ECX.TSC_DEADLINE */
	uint8_t phys_bits; /* MAXPHYADDR: reserved bits of IA32_APIC_BASE */
	bool remote; /* the registers at work are elsewhere (apic_remote): no timer, no INTR here */
};

/* Joins `ab`. `loop` is borrowed. NULL when out of memory. */
struct lapic *lapic_new(struct apic_bus *ab, struct io_loop *loop, const struct lapic_config *cfg);
void lapic_free(struct lapic *l);
struct device *lapic_device(struct lapic *l);

/* True if this processor's accesses to `gpa` belong to its local APIC's page (xAPIC mode). */
bool lapic_claims(const struct lapic *l, gpa_t gpa);
/*
 * Accesses to the page, by its own processor. `off` is below LAPIC_MMIO_LEN. Registers are 32 bits
 * at multiples of 16. Reads inside the register's four bytes are served in any size; writes count
 * only when they are 4 (or 8) bytes at the register.
 */
uint64_t lapic_mmio_read(struct lapic *l, uint32_t off, unsigned size);
void lapic_mmio_write(struct lapic *l, uint32_t off, uint64_t val, unsigned size);
/* MSRs 0x1b, 0x6e0, 0x800–0x8ff. 0, or -1 for #GP. */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val) MUST_CHECK;
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val) MUST_CHECK;
/* CR8 is TPR bits 7:4. */
uint8_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint8_t cr8);

/* The guest's TSC jumped (MSR write, restore): the deadline means another moment now. */
void lapic_tsc_changed(struct lapic *l);

/*
 * The processor takes an interrupt: moves the highest request from IRR to ISR, or acknowledges the
 * 8259 (ExtINT), and returns the vector; -1 when there is none (any more).
 */
int lapic_ack(struct lapic *l);
/* What lapic_ack would find something for; the same as the last intr callback's level. */
bool lapic_has_intr(const struct lapic *l);

uint64_t lapic_base(const struct lapic *l); /* IA32_APIC_BASE */
uint32_t lapic_id(const struct lapic *l);   /* as the guest reads it, not shifted */
/*
 * The registers' state after power-up or INIT, which keep IA32_APIC_BASE and the ID (SDM 3A
 * §10.4.7.1, §10.4.7.3). INIT messages do this by themselves.
 */
void lapic_init_reset(struct lapic *l);

/*
 * All registers as the page shows them, at multiples of 16, as the host's kernel has them; IA32_APIC_BASE and
 * the TSC deadline apart. For a remote one: out to where it works, and in from there (what no guest could have
 * made is corrected). lapic_page.c
 */
#define LAPIC_PAGE_BYTES 0x400u
void lapic_get_page(const struct lapic *l, uint8_t page[LAPIC_PAGE_BYTES]);
void lapic_set_page(struct lapic *l, uint64_t base, const uint8_t page[LAPIC_PAGE_BYTES],
		    uint64_t deadline_tsc);
uint64_t lapic_deadline_tsc(const struct lapic *l);

/* For the APIC bus. */
bool lapic_matches(const struct lapic *l, const struct apic_msg *msg);
/* True if accepted; fixed interrupts are not while the APIC is off by software or hardware. */
bool lapic_accept(struct lapic *l, const struct apic_msg *msg);
bool lapic_takes_fixed(const struct lapic *l);
uint8_t lapic_priority(const struct lapic *l); /* processor priority, for arbitration */
void lapic_set_lint(struct lapic *l, unsigned n, bool level);

#endif
