/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC's insides, shared by lapic.c (interrupts), lapic_regs.c (register accesses) and
 * lapic_timer.c.
 * Source: Intel SDM 3A chapter 10.
 */
#ifndef LODGE_DEVICES_LEGACY_LAPIC_INT_H
#define LODGE_DEVICES_LEGACY_LAPIC_INT_H

#include "devices/legacy/lapic.h"

/* Local vector table, in the order of its registers 0x320–0x370. */
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };

#define LVT_VECTOR 0xffu
#define LVT_MODE_SHIFT 8
#define LVT_STATUS (1u << 12) /* delivery status: always idle here */
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_LEVEL (1u << 15)
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE_SHIFT 17

#define SVR_ENABLE 0x100u
#define SVR_WRITABLE 0x3ffu /* with the focus bit, which does nothing */

/* Error status register (§10.5.3). */
#define ESR_SEND_ILLEGAL 0x20u
#define ESR_RECV_ILLEGAL 0x40u
#define ESR_REGISTER 0x80u

#define APIC_VERSION 0x14u
#define VECTOR_MIN 16u /* vectors below are illegal in messages */

enum lapic_timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE, TIMER_RESERVED };

struct lapic {
	struct device dev;
	struct apic_bus *ab;
	const struct lapic_host *host;
	struct lapic_config cfg;

	uint64_t base; /* IA32_APIC_BASE */
	uint32_t tpr, svr, ldr, dfr;
	uint32_t esr, esr_pending; /* what software sees; what came since its last write */
	uint64_t icr;		   /* as x2APIC shows it: destination in the upper half */
	uint32_t lvt[LVTS];
	uint32_t irr[8], isr[8], tmr[8];
	uint8_t lint;	 /* levels of LINT0, LINT1 in bits 0, 1 */
	uint8_t extint;	 /* an ExtINT message waits (LINT0's is a level) */
	uint8_t intr_on; /* what the processor was told */

	/* Timer. */
	uint32_t tmict, dcr;
	uint64_t deadline_tsc;	  /* IA32_TSC_DEADLINE, 0 when disarmed */
	uint64_t timer_expiry_ns; /* the next expiry of a running timer, 0 when stopped */
	struct io_timer timer;
};

/* lapic.c */
int lapic_highest(const uint32_t vec[8]); /* -1 when empty */
void lapic_update_intr(struct lapic *l);
uint8_t lapic_ppr(const struct lapic *l);
void lapic_error(struct lapic *l, uint32_t bit);
void lapic_lvt_fire(struct lapic *l, unsigned n);
void lapic_eoi(struct lapic *l);
void lapic_send_ipi(struct lapic *l, uint64_t icr);

/* lapic_regs.c */
uint32_t lapic_lvt_mask(const struct lapic *l, unsigned n);
bool lapic_base_valid(const struct lapic *l, uint64_t base);

/* lapic_timer.c */
void lapic_timer_init(struct lapic *l, struct io_loop *loop);
/* After anything that the timer depends on changed: LVT, IRR of its vector, loaded state. */
void lapic_timer_update(struct lapic *l);
void lapic_timer_stop(struct lapic *l);
void lapic_timer_set_count(struct lapic *l, uint32_t count);
uint32_t lapic_timer_count(const struct lapic *l);
void lapic_timer_set_divide(struct lapic *l, uint32_t dcr);
void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
void lapic_timer_loaded(struct lapic *l);
/* IA32_TSC_DEADLINE as software reads it. */
uint64_t lapic_timer_deadline(const struct lapic *l);

static inline enum lapic_timer_mode lapic_timer_mode(const struct lapic *l)
{
	return (enum lapic_timer_mode)(l->lvt[LVT_TIMER] >> LVT_TIMER_MODE_SHIFT & 3);
}

static inline bool lapic_vec_test(const uint32_t vec[8], unsigned v)
{
	return vec[v / 32] >> (v % 32) & 1;
}

static inline bool lapic_hw_on(const struct lapic *l)
{
	return l->base & APIC_BASE_ENABLE;
}

static inline bool lapic_x2(const struct lapic *l)
{
	return l->base & APIC_BASE_X2APIC;
}

#endif
