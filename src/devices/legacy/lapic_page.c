// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A local APIC that works in the host's kernel: its registers out to there and in from there, in the layout of
 * the register page, so that saved state is the same wherever it works.
 * Source: Intel SDM 3A §10.4.1 table 10-1; Linux, Documentation/virt/kvm/api.rst (KVM_GET_LAPIC): IRR, ISR and
 * the current count may be written, too, and the ID is in the upper byte.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/lapic_int.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"

enum {
	AT_ID = 0x020,
	AT_VERSION = 0x030,
	AT_TPR = 0x080,
	AT_PPR = 0x0a0,
	AT_LDR = 0x0d0,
	AT_DFR = 0x0e0,
	AT_SVR = 0x0f0,
	AT_ISR = 0x100,
	AT_TMR = 0x180,
	AT_IRR = 0x200,
	AT_ESR = 0x280,
	AT_ICR = 0x300,
	AT_ICR_HIGH = 0x310,
	AT_LVT = 0x320,
	AT_TMICT = 0x380,
	AT_TMCCT = 0x390,
	AT_DCR = 0x3e0,
};

static uint32_t divisor(uint32_t dcr)
{
	unsigned d = (dcr & 3) | (dcr >> 1 & 4);

	return d == 7 ? 1 : 2u << d;
}

static void put_vector(uint8_t *page, unsigned at, const uint32_t vec[8])
{
	for (unsigned i = 0; i < 8; i++)
		st_le32(page + at + 16 * i, vec[i]);
}

static void take_vector(const uint8_t *page, unsigned at, uint32_t vec[8])
{
	for (unsigned i = 0; i < 8; i++)
		vec[i] = ld_le32(page + at + 16 * i);
}

/* In x2APIC mode it follows from the ID. */
static uint32_t ldr(const struct lapic *l)
{
	return lapic_x2(l) ? (l->cfg.apic_id >> 4) << 16 | 1u << (l->cfg.apic_id & 0xf) : l->ldr;
}

void lapic_get_page(const struct lapic *l, uint8_t page[LAPIC_PAGE_BYTES])
{
	memset(page, 0, LAPIC_PAGE_BYTES);
	st_le32(page + AT_ID, l->cfg.apic_id << 24);
	st_le32(page + AT_VERSION, (LVTS - 1) << 16 | APIC_VERSION);
	st_le32(page + AT_TPR, l->tpr);
	st_le32(page + AT_PPR, lapic_ppr(l));
	st_le32(page + AT_LDR, ldr(l));
	st_le32(page + AT_DFR, l->dfr);
	st_le32(page + AT_SVR, l->svr);
	put_vector(page, AT_ISR, l->isr);
	put_vector(page, AT_TMR, l->tmr);
	put_vector(page, AT_IRR, l->irr);
	st_le32(page + AT_ESR, l->esr);
	st_le32(page + AT_ICR, (uint32_t)l->icr);
	st_le32(page + AT_ICR_HIGH, (uint32_t)(l->icr >> 32));
	for (unsigned n = 0; n < LVTS; n++)
		st_le32(page + AT_LVT + 16 * n, l->lvt[n]);
	st_le32(page + AT_TMICT, l->tmict);
	st_le32(page + AT_TMCCT, lapic_timer_count(l));
	st_le32(page + AT_DCR, l->dcr);
}

static void take_timer(struct lapic *l, const uint8_t *page, uint64_t deadline_tsc)
{
	uint32_t left = ld_le32(page + AT_TMCCT);

	l->tmict = ld_le32(page + AT_TMICT);
	l->dcr = ld_le32(page + AT_DCR) & 0xb;
	l->timer_expiry_ns = 0;
	l->deadline_tsc = 0;
	if (lapic_timer_mode(l) == TIMER_DEADLINE) {
		l->deadline_tsc = deadline_tsc;
		/* Not 0, as for one that runs; when, follows from the TSC. */
		if (deadline_tsc)
			l->timer_expiry_ns = clock_vm_ns();
	} else if (left) {
		l->timer_expiry_ns = clock_vm_ns() + (uint64_t)left * divisor(l->dcr);
	}
}

void lapic_set_page(struct lapic *l, uint64_t base, const uint8_t page[LAPIC_PAGE_BYTES],
		    uint64_t deadline_tsc)
{
	if (lapic_base_valid(l, base))
		l->base = base;
	l->tpr = ld_le32(page + AT_TPR) & 0xff;
	if (!lapic_x2(l))
		l->ldr = ld_le32(page + AT_LDR) & 0xff000000;
	l->dfr = ld_le32(page + AT_DFR) | 0x0fffffff;
	l->svr = ld_le32(page + AT_SVR) & SVR_WRITABLE;
	take_vector(page, AT_ISR, l->isr);
	take_vector(page, AT_TMR, l->tmr);
	take_vector(page, AT_IRR, l->irr);
	l->irr[0] &= ~(uint32_t)((1u << VECTOR_MIN) - 1);
	l->isr[0] &= ~(uint32_t)((1u << VECTOR_MIN) - 1);
	l->esr = ld_le32(page + AT_ESR);
	l->esr_pending = 0;
	l->icr = (ld_le32(page + AT_ICR) & ~LVT_STATUS) | (uint64_t)ld_le32(page + AT_ICR_HIGH)
								  << 32;
	l->extint = 0;
	for (unsigned n = 0; n < LVTS; n++)
		l->lvt[n] =
			ld_le32(page + AT_LVT + 16 * n) & (lapic_lvt_mask(l, n) | LVT_REMOTE_IRR);
	take_timer(l, page, deadline_tsc);
}

uint64_t lapic_deadline_tsc(const struct lapic *l)
{
	return lapic_timer_mode(l) == TIMER_DEADLINE ? l->deadline_tsc : 0;
}
