// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Register accesses of the local APIC: the xAPIC page, x2APIC MSRs, IA32_APIC_BASE.
 * Source: Intel SDM 3A §10.4.1 table 10-1 (page), §10.12.1.2 table 10-6 (MSRs), §10.12.5.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/lapic_int.h"

#include "base/log.h"
#include "base/range.h"

/* Registers by page offset / 16, which is also the MSR number - 0x800. */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_TMICT = 0x38,
	REG_TMCCT = 0x39,
	REG_DCR = 0x3e,
	REG_SELF_IPI = 0x3f,
	REGS = 0x40
};

/* How a register may be accessed. */
#define XR 1u  /* xAPIC read */
#define XW 2u  /* xAPIC write */
#define X2R 4u /* RDMSR; else #GP */
#define X2W 8u /* WRMSR; else #GP */
#define RO (XR | X2R)
#define RW (XR | XW | X2R | X2W)

#define LVT_LOCAL 0x000107ffu /* vector, delivery mode, mask */
#define LVT_PIN 0x0001a7ffu   /* and polarity, trigger mode */
#define LVT_PLAIN 0x000100ffu /* vector, mask */
#define TIMER_BITS 0x000300ffu
#define TIMER_DEADLINE_BIT 0x00040000u
#define ICR_BITS 0x000ccfffu /* of the low half; delivery status reads idle */

struct lapic_reg {
	uint8_t access;
	uint32_t bits; /* writable; a WRMSR that sets others is #GP, but for `ignored` */
	uint32_t ignored;
};

#define EIGHT(first, a) [first...(first) + 7] = {.access = (a)}

static const struct lapic_reg regs[REGS] = {
	[REG_ID] = {.access = RO},
	[REG_VERSION] = {.access = RO},
	[REG_TPR] = {RW, 0xff, 0},
	[REG_APR] = {.access = XR},
	[REG_PPR] = {.access = RO},
	[REG_EOI] = {.access = XW | X2W},
	[REG_RRD] = {.access = XR},
	[REG_LDR] = {RO | XW, 0xff000000, 0},
	[REG_DFR] = {XR | XW, 0xf0000000, 0},
	[REG_SVR] = {RW, SVR_WRITABLE, 0},
	EIGHT(REG_ISR, RO),
	EIGHT(REG_TMR, RO),
	EIGHT(REG_IRR, RO),
	[REG_ESR] = {.access = RW},
	[REG_ICR] = {RW, ICR_BITS, LVT_STATUS},
	[REG_ICR_HIGH] = {XR | XW, 0xff000000, 0},
	[REG_LVT + LVT_TIMER] = {RW, TIMER_BITS, LVT_STATUS},
	[REG_LVT + LVT_THERMAL] = {RW, LVT_LOCAL, LVT_STATUS},
	[REG_LVT + LVT_PERF] = {RW, LVT_LOCAL, LVT_STATUS},
	[REG_LVT + LVT_LINT0] = {RW, LVT_PIN, LVT_STATUS | LVT_REMOTE_IRR},
	[REG_LVT + LVT_LINT1] = {RW, LVT_PIN, LVT_STATUS | LVT_REMOTE_IRR},
	[REG_LVT + LVT_ERROR] = {RW, LVT_PLAIN, LVT_STATUS},
	[REG_TMICT] = {RW, UINT32_MAX, 0},
	[REG_TMCCT] = {.access = RO},
	[REG_DCR] = {RW, 0xb, 0},
	[REG_SELF_IPI] = {X2W, 0xff, 0},
};

uint32_t lapic_lvt_mask(const struct lapic *l, unsigned n)
{
	uint32_t bits = regs[REG_LVT + n].bits;

	return n == LVT_TIMER && l->cfg.tsc_deadline ? bits | TIMER_DEADLINE_BIT : bits;
}

static uint32_t ldr_read(const struct lapic *l)
{
	if (!lapic_x2(l))
		return l->ldr;
	return (l->cfg.apic_id >> 4) << 16 | 1u << (l->cfg.apic_id & 0xf);
}

static uint32_t reg_read(const struct lapic *l, unsigned reg)
{
	switch (reg) {
	case REG_ID:
		return lapic_x2(l) ? lapic_id(l) : lapic_id(l) << 24;
	case REG_VERSION:
		return (LVTS - 1) << 16 | APIC_VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_APR: /* arbitration is over before anyone could read it */
	case REG_PPR:
		return lapic_ppr(l);
	case REG_LDR:
		return ldr_read(l);
	case REG_DFR:
		return l->dfr;
	case REG_SVR:
		return l->svr;
	case REG_ISR ... REG_ISR + 7:
		return l->isr[reg - REG_ISR];
	case REG_TMR ... REG_TMR + 7:
		return l->tmr[reg - REG_TMR];
	case REG_IRR ... REG_IRR + 7:
		return l->irr[reg - REG_IRR];
	case REG_ESR:
		return l->esr;
	case REG_ICR:
		return (uint32_t)l->icr;
	case REG_ICR_HIGH:
		return (uint32_t)(l->icr >> 32);
	case REG_LVT ... REG_LVT + LVTS - 1:
		return l->lvt[reg - REG_LVT];
	case REG_TMICT:
		return l->tmict;
	case REG_TMCCT:
		return lapic_timer_count(l);
	case REG_DCR:
		return l->dcr;
	default:
		return 0;
	}
}

static void svr_write(struct lapic *l, uint32_t val)
{
	bool was = l->svr & SVR_ENABLE;
	bool on = val & SVR_ENABLE;

	l->svr = val;
	if (was == on)
		return;
	for (unsigned n = 0; !on && n < LVTS; n++)
		l->lvt[n] |= LVT_MASKED;
	lapic_timer_update(l);
	lapic_update_intr(l);
	if (on)
		apic_bus_retry(l->ab);
}

static void lvt_write(struct lapic *l, unsigned n, uint32_t val)
{
	val &= lapic_lvt_mask(l, n);
	/* Switched off by software, every entry stays masked (§10.4.7.2). */
	if (!(l->svr & SVR_ENABLE))
		val |= LVT_MASKED;
	if (n == LVT_TIMER) {
		lapic_timer_set_lvt(l, val);
		return;
	}
	if (val & LVT_LEVEL)
		val |= l->lvt[n] & LVT_REMOTE_IRR;
	l->lvt[n] = val;
	/* A level that was waiting for this. */
	if ((n == LVT_LINT0 || n == LVT_LINT1) && (val & LVT_LEVEL) &&
	    (val >> LVT_MODE_SHIFT & 7) == APIC_MODE_FIXED && (l->lint >> (n - LVT_LINT0) & 1))
		lapic_lvt_fire(l, n);
	lapic_update_intr(l);
}

static void reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
	uint32_t bits = regs[reg].bits;

	switch (reg) {
	case REG_TPR:
		l->tpr = val & bits;
		lapic_update_intr(l);
		break;
	case REG_EOI:
		lapic_eoi(l);
		break;
	case REG_LDR:
		l->ldr = val & bits;
		apic_bus_retry(l->ab);
		break;
	case REG_DFR:
		l->dfr = val | ~bits;
		apic_bus_retry(l->ab);
		break;
	case REG_SVR:
		svr_write(l, val & bits);
		break;
	case REG_ESR: /* a write shows what has come since the last one (§10.5.3) */
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		break;
	case REG_ICR:
		l->icr = (l->icr & ~(uint64_t)UINT32_MAX) | (val & bits);
		lapic_send_ipi(l, l->icr);
		break;
	case REG_ICR_HIGH:
		l->icr = (uint32_t)l->icr | (uint64_t)(val & bits) << 32;
		break;
	case REG_LVT ... REG_LVT + LVTS - 1:
		lvt_write(l, reg - REG_LVT, val);
		break;
	case REG_TMICT:
		lapic_timer_set_count(l, val);
		break;
	case REG_DCR:
		lapic_timer_set_divide(l, val & bits);
		break;
	case REG_SELF_IPI:
		lapic_send_ipi(l, (uint64_t)1 << 18 | (val & bits));
		break;
	default:
		break;
	}
}

/* The page. */

bool lapic_claims(const struct lapic *l, gpa_t gpa)
{
	return !l->cfg.remote &&
	       (l->base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE &&
	       ((gpa ^ l->base) & PAGE_MASK) == 0;
}

static bool page_reg(struct lapic *l, uint32_t off, uint8_t how)
{
	uint32_t reg = off / 16;

	if (reg < REGS && (regs[reg].access & (XR | XW))) {
		/* The wrong direction is harmless; a hole is an error (§10.5.3). */
		return regs[reg].access & how;
	}
	log_trace(LOG_GUEST_ERR, "lapic: no register at 0x%03x\n", off);
	lapic_error(l, ESR_REGISTER);
	return false;
}

uint64_t lapic_mmio_read(struct lapic *l, uint32_t off, unsigned size)
{
	unsigned byte = off % 16;

	(void)size;
	if (!page_reg(l, off, XR) || byte >= 4)
		return 0;
	return reg_read(l, off / 16) >> (8 * byte);
}

void lapic_mmio_write(struct lapic *l, uint32_t off, uint64_t val, unsigned size)
{
	if (!page_reg(l, off, XW) || off % 16 || size < 4)
		return;
	reg_write(l, off / 16, (uint32_t)val);
}

/* MSRs. */

static int x2_read(struct lapic *l, unsigned reg, uint64_t *val)
{
	if (!lapic_x2(l) || reg >= REGS || !(regs[reg].access & X2R))
		return -1;
	*val = reg == REG_ICR ? l->icr : reg_read(l, reg);
	return 0;
}

static int x2_write(struct lapic *l, unsigned reg, uint64_t val)
{
	uint32_t allowed;

	if (!lapic_x2(l) || reg >= REGS || !(regs[reg].access & X2W))
		return -1;
	allowed = regs[reg].bits | regs[reg].ignored;
	if (reg == REG_LVT + LVT_TIMER)
		allowed |= lapic_lvt_mask(l, LVT_TIMER);
	if (((uint32_t)val & ~allowed) || (reg != REG_ICR && val >> 32))
		return -1;
	if (reg == REG_ICR) {
		l->icr = val & ~(uint64_t)LVT_STATUS;
		lapic_send_ipi(l, l->icr);
		return 0;
	}
	reg_write(l, reg, (uint32_t)val);
	return 0;
}

/* Bits that may be set together at all. */
bool lapic_base_valid(const struct lapic *l, uint64_t base)
{
	uint64_t bits =
		APIC_BASE_BSP | APIC_BASE_ENABLE | (((1ull << l->cfg.phys_bits) - 1) & PAGE_MASK);

	if (l->cfg.x2apic)
		bits |= APIC_BASE_X2APIC;
	return !(base & ~bits) &&
	       (base & (APIC_BASE_X2APIC | APIC_BASE_ENABLE)) != APIC_BASE_X2APIC;
}

/* Transitions between disabled, xAPIC and x2APIC (§10.12.5, figure 10-27). */
static int base_write(struct lapic *l, uint64_t val)
{
	uint64_t mode = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	uint64_t old = l->base;

	if (!lapic_base_valid(l, val))
		return -1;
	if (lapic_x2(l) && (val & mode) == APIC_BASE_ENABLE)
		return -1;
	if (!lapic_hw_on(l) && (val & APIC_BASE_X2APIC))
		return -1;
	l->base = val;
	if (old == val)
		return 0;
	if ((old ^ val) & APIC_BASE_ENABLE)
		lapic_init_reset(l);
	/* The destination's format differs: nothing of the old one is left. */
	if ((old ^ val) & APIC_BASE_X2APIC)
		l->icr = (uint32_t)l->icr;
	if (l->host->base_changed)
		l->host->base_changed(l->host->opaque, l->cfg.cpu, val);
	lapic_update_intr(l);
	return 0;
}

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val)
{
	if (msr == MSR_APIC_BASE) {
		*val = l->base;
		return 0;
	}
	if (msr == MSR_APIC_TSC_DEADLINE && l->cfg.tsc_deadline) {
		*val = lapic_timer_deadline(l);
		return 0;
	}
	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return x2_read(l, msr - MSR_X2APIC_FIRST, val);
	return -1;
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val)
{
	if (msr == MSR_APIC_BASE)
		return base_write(l, val);
	if (msr == MSR_APIC_TSC_DEADLINE && l->cfg.tsc_deadline) {
		lapic_timer_set_deadline(l, val);
		return 0;
	}
	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return x2_write(l, msr - MSR_X2APIC_FIRST, val);
	return -1;
}
