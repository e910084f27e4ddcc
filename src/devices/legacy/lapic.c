// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The local APIC: requests, priorities, delivery to the processor, IPIs, reset and saved state.
 * Source: Intel SDM 3A chapter 10.
 * Threads: with the VM lock held.
 * Saved state: version 1.
 *
 * 1. INTR to the processor is on exactly when lapic_ack would return a vector: a request in IRR
 *    whose class is above PPR's, or an ExtINT.
 * 2. A vector is in ISR from its acknowledge to its EOI; level-triggered ones (TMR) tell the I/O
 *    APICs at EOI.
 * 3. Switched off by software (SVR), it takes no new fixed interrupts, but what is pending stays
 *    deliverable (§10.4.7.2). Switched off by hardware (APIC_BASE), LINT0 is the INTR pin and LINT1
 *    the NMI pin (§10.4.3).
 */
#include "devices/legacy/lapic_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"

/* Interrupt command register (§10.6.1). */
#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_SHORTHAND_SHIFT 18

enum { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS };

static void vec_set(uint32_t vec[8], unsigned v, bool on)
{
	uint32_t bit = 1u << (v % 32);

	vec[v / 32] = on ? vec[v / 32] | bit : vec[v / 32] & ~bit;
}

int lapic_highest(const uint32_t vec[8])
{
	for (int i = 7; i >= 0; i--) {
		if (vec[i])
			return i * 32 + 31 - __builtin_clz(vec[i]);
	}
	return -1;
}

/* Processor priority (§10.8.3.1). */
uint8_t lapic_ppr(const struct lapic *l)
{
	int isrv = lapic_highest(l->isr);
	uint8_t isr_class = isrv < 0 ? 0 : (uint8_t)isrv & 0xf0;

	return (l->tpr & 0xf0) >= isr_class ? (uint8_t)l->tpr : isr_class;
}

uint8_t lapic_priority(const struct lapic *l)
{
	return lapic_ppr(l);
}

/* The vector that PPR lets through, or -1. */
static int deliverable(const struct lapic *l)
{
	int v = lapic_hw_on(l) ? lapic_highest(l->irr) : -1;

	return v >= 0 && (v & 0xf0) > (lapic_ppr(l) & 0xf0) ? v : -1;
}

static bool extint_wanted(const struct lapic *l)
{
	uint32_t lvt0 = l->lvt[LVT_LINT0];
	bool lint0 = l->lint & 1;

	if (!lapic_hw_on(l))
		return lint0;
	if (l->extint)
		return true;
	return lint0 && !(lvt0 & LVT_MASKED) && (lvt0 >> LVT_MODE_SHIFT & 7) == APIC_MODE_EXTINT;
}

bool lapic_has_intr(const struct lapic *l)
{
	return deliverable(l) >= 0 || extint_wanted(l);
}

void lapic_update_intr(struct lapic *l)
{
	bool on = lapic_has_intr(l);

	if (on == l->intr_on || l->cfg.remote)
		return;
	l->intr_on = on;
	l->host->intr(l->host->opaque, l->cfg.cpu, on);
}

/*
 * An error is reported through its LVT entry when its bit becomes set, so that an error in
 * reporting it cannot report itself.
 */
void lapic_error(struct lapic *l, uint32_t bit)
{
	bool known = l->esr_pending & bit;

	l->esr_pending |= bit;
	if (!known)
		lapic_lvt_fire(l, LVT_ERROR);
}

static bool accept_fixed(struct lapic *l, uint8_t vector, bool level)
{
	if (!lapic_takes_fixed(l))
		return false;
	if (vector < VECTOR_MIN) {
		lapic_error(l, ESR_RECV_ILLEGAL);
		return false;
	}
	vec_set(l->irr, vector, true);
	vec_set(l->tmr, vector, level);
	lapic_update_intr(l);
	return true;
}

static void take_init(struct lapic *l)
{
	lapic_init_reset(l);
	l->host->init(l->host->opaque, l->cfg.cpu);
}

bool lapic_takes_fixed(const struct lapic *l)
{
	return lapic_hw_on(l) && (l->svr & SVR_ENABLE);
}

bool lapic_accept(struct lapic *l, const struct apic_msg *msg)
{
	const struct lapic_host *h = l->host;

	switch (msg->mode) {
	case APIC_MODE_FIXED:
	case APIC_MODE_LOWEST:
		return accept_fixed(l, msg->vector, msg->level);
	case APIC_MODE_SMI:
		if (h->smi)
			h->smi(h->opaque, l->cfg.cpu);
		return true;
	case APIC_MODE_NMI:
		h->nmi(h->opaque, l->cfg.cpu);
		return true;
	case APIC_MODE_INIT:
		take_init(l);
		return true;
	case APIC_MODE_SIPI:
		h->sipi(h->opaque, l->cfg.cpu, msg->vector);
		return true;
	case APIC_MODE_EXTINT:
		l->extint = 1;
		lapic_update_intr(l);
		return true;
	default:
		return false;
	}
}

/* Destinations (§10.6.2, §10.12.10). */

static uint32_t x2apic_ldr(const struct lapic *l)
{
	return (l->cfg.apic_id >> 4) << 16 | 1u << (l->cfg.apic_id & 0xf);
}

static bool matches_logical(const struct lapic *l, uint32_t dest)
{
	uint32_t ldr = l->ldr >> 24;

	if (lapic_x2(l)) {
		ldr = x2apic_ldr(l);
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	}
	if (dest > 0xff)
		return false;
	if (l->dfr >> 28 == 0xf)
		return dest & ldr;
	return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf);
}

bool lapic_matches(const struct lapic *l, const struct apic_msg *msg)
{
	uint32_t everyone = msg->wide ? UINT32_MAX : 0xff;

	if (!lapic_hw_on(l))
		return false;
	if (msg->dest == everyone)
		return true;
	return msg->logical ? matches_logical(l, msg->dest) : msg->dest == lapic_id(l);
}

uint32_t lapic_id(const struct lapic *l)
{
	return lapic_x2(l) ? l->cfg.apic_id : l->cfg.apic_id & 0xff;
}

/* Local sources. */

void lapic_lvt_fire(struct lapic *l, unsigned n)
{
	const struct lapic_host *h = l->host;
	uint32_t lvt = l->lvt[n];
	bool level = (n == LVT_LINT0 || n == LVT_LINT1) && (lvt & LVT_LEVEL);

	if (lvt & LVT_MASKED)
		return;
	switch (lvt >> LVT_MODE_SHIFT & 7) {
	case APIC_MODE_FIXED:
		if (level && (lvt & LVT_REMOTE_IRR))
			return;
		if (accept_fixed(l, lvt & LVT_VECTOR, level) && level)
			l->lvt[n] |= LVT_REMOTE_IRR;
		break;
	case APIC_MODE_SMI:
		if (h->smi)
			h->smi(h->opaque, l->cfg.cpu);
		break;
	case APIC_MODE_NMI:
		h->nmi(h->opaque, l->cfg.cpu);
		break;
	case APIC_MODE_INIT:
		take_init(l);
		break;
	default: /* ExtINT is a level, see extint_wanted */
		break;
	}
}

void lapic_set_lint(struct lapic *l, unsigned n, bool level)
{
	bool was = l->lint >> n & 1;
	uint32_t lvt;

	if (n > 1 || was == level)
		return;
	l->lint = (uint8_t)(level ? l->lint | 1u << n : l->lint & ~(1u << n));
	if (l->cfg.remote)
		return;
	lvt = l->lvt[LVT_LINT0 + n];
	if (!lapic_hw_on(l)) {
		if (n == 1 && level)
			l->host->nmi(l->host->opaque, l->cfg.cpu);
	} else if (level) {
		lapic_lvt_fire(l, LVT_LINT0 + n);
	} else if (lvt & LVT_LEVEL) {
		/* A level that went before it was served needs no EOI to fire again. */
		l->lvt[LVT_LINT0 + n] &= ~LVT_REMOTE_IRR;
	}
	lapic_update_intr(l);
}

void lapic_eoi(struct lapic *l)
{
	int v = lapic_highest(l->isr);

	if (v < 0)
		return;
	vec_set(l->isr, (unsigned)v, false);
	if (lapic_vec_test(l->tmr, (unsigned)v)) {
		for (unsigned n = LVT_LINT0; n <= LVT_LINT1; n++) {
			if (!(l->lvt[n] & LVT_REMOTE_IRR) ||
			    (l->lvt[n] & LVT_VECTOR) != (unsigned)v)
				continue;
			l->lvt[n] &= ~LVT_REMOTE_IRR;
			if (l->lint >> (n - LVT_LINT0) & 1)
				lapic_lvt_fire(l, n);
		}
		apic_bus_eoi(l->ab, (uint8_t)v);
	}
	lapic_update_intr(l);
}

int lapic_ack(struct lapic *l)
{
	int v;

	if (extint_wanted(l)) {
		l->extint = 0;
		v = l->host->extint_ack ? l->host->extint_ack(l->host->opaque) : -1;
		lapic_update_intr(l);
		return v;
	}
	v = deliverable(l);
	if (v < 0)
		return -1;
	vec_set(l->irr, (unsigned)v, false);
	vec_set(l->isr, (unsigned)v, true);
	if ((l->lvt[LVT_TIMER] & LVT_VECTOR) == (unsigned)v)
		lapic_timer_update(l);
	lapic_update_intr(l);
	return v;
}

/* Interprocessor interrupts (§10.6.1). */

void lapic_send_ipi(struct lapic *l, uint64_t icr)
{
	uint32_t lo = (uint32_t)icr;
	struct apic_msg msg = {
		.dest = lapic_x2(l) ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56),
		.logical = lo & ICR_LOGICAL,
		.wide = lapic_x2(l),
		.mode = lo >> 8 & 7,
		.vector = (uint8_t)lo,
	};

	/* The de-assert of INIT only synchronized arbitration IDs, long ago. */
	if (msg.mode == APIC_MODE_INIT && (lo & ICR_LEVEL) && !(lo & ICR_ASSERT))
		return;
	if (msg.mode == APIC_MODE_RESERVED || msg.mode == APIC_MODE_EXTINT)
		return;
	if (msg.mode <= APIC_MODE_LOWEST && msg.vector < VECTOR_MIN) {
		lapic_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	switch (lo >> ICR_SHORTHAND_SHIFT & 3) {
	case SHORT_SELF:
		lapic_accept(l, &msg);
		break;
	case SHORT_ALL:
		apic_bus_deliver_all(l->ab, &msg, NULL);
		break;
	case SHORT_OTHERS:
		apic_bus_deliver_all(l->ab, &msg, l);
		break;
	default:
		apic_bus_deliver(l->ab, &msg);
	}
}

/* Priority. */

uint8_t lapic_cr8(const struct lapic *l)
{
	return (uint8_t)(l->tpr >> 4 & 0xf);
}

void lapic_set_cr8(struct lapic *l, uint8_t cr8)
{
	l->tpr = (uint32_t)(cr8 & 0xf) << 4;
	lapic_update_intr(l);
}

uint64_t lapic_base(const struct lapic *l)
{
	return l->base;
}

/* Reset and saved state. */

void lapic_init_reset(struct lapic *l)
{
	lapic_timer_stop(l);
	l->tpr = l->ldr = l->esr = l->esr_pending = l->tmict = l->dcr = 0;
	l->icr = 0;
	l->dfr = UINT32_MAX;
	l->svr = 0xff;
	l->extint = 0;
	memset(l->irr, 0, sizeof(l->irr));
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	for (unsigned n = 0; n < LVTS; n++)
		l->lvt[n] = LVT_MASKED;
	/*
	 * Virtual wire mode, which firmware would set up (MultiProcessor Specification 1.4
	 * §3.6.2.2): 8259 interrupts reach the bootstrap processor.
	 */
	if (l->cfg.bsp)
		l->lvt[LVT_LINT0] = APIC_MODE_EXTINT << LVT_MODE_SHIFT;
	lapic_update_intr(l);
}

static void lapic_reset(struct device *dev)
{
	struct lapic *l = container_of(dev, struct lapic, dev);
	uint64_t old = l->base;

	l->base = LAPIC_DEFAULT_BASE | APIC_BASE_ENABLE | (l->cfg.bsp ? APIC_BASE_BSP : 0);
	lapic_init_reset(l);
	if (l->base != old && l->host->base_changed)
		l->host->base_changed(l->host->opaque, l->cfg.cpu, l->base);
}

/* What no sequence of register writes can produce is refused or made possible. */
static int lapic_post_load(struct device *dev)
{
	struct lapic *l = container_of(dev, struct lapic, dev);

	if (!lapic_base_valid(l, l->base))
		return -EINVAL;
	l->tpr &= 0xff;
	l->svr &= SVR_WRITABLE;
	l->ldr &= 0xff000000;
	l->dfr |= 0x0fffffff;
	l->dcr &= 0xb;
	l->lint &= 3;
	l->irr[0] &= ~(uint32_t)((1u << VECTOR_MIN) - 1);
	l->isr[0] &= ~(uint32_t)((1u << VECTOR_MIN) - 1);
	for (unsigned n = 0; n < LVTS; n++)
		l->lvt[n] &= lapic_lvt_mask(l, n) | LVT_REMOTE_IRR;
	if (l->host->base_changed)
		l->host->base_changed(l->host->opaque, l->cfg.cpu, l->base);
	lapic_timer_loaded(l);
	/* The processor may have been told otherwise before. */
	l->intr_on = lapic_has_intr(l);
	if (!l->cfg.remote)
		l->host->intr(l->host->opaque, l->cfg.cpu, l->intr_on);
	return 0;
}

static const struct state_field lapic_fields[] = {
	STATE_FIELD(struct lapic, base),
	STATE_FIELD(struct lapic, tpr),
	STATE_FIELD(struct lapic, svr),
	STATE_FIELD(struct lapic, ldr),
	STATE_FIELD(struct lapic, dfr),
	STATE_FIELD(struct lapic, esr),
	STATE_FIELD(struct lapic, esr_pending),
	STATE_FIELD(struct lapic, icr),
	STATE_ARRAY(struct lapic, lvt),
	STATE_ARRAY(struct lapic, irr),
	STATE_ARRAY(struct lapic, isr),
	STATE_ARRAY(struct lapic, tmr),
	STATE_FIELD(struct lapic, lint),
	STATE_FIELD(struct lapic, extint),
	STATE_FIELD(struct lapic, tmict),
	STATE_FIELD(struct lapic, dcr),
	STATE_FIELD(struct lapic, deadline_tsc),
	STATE_TIME(struct lapic, timer_expiry_ns),
	STATE_END,
};

static const struct device_class lapic_class = {
	.name = "lapic",
	.version = 1,
	.reset = lapic_reset,
	.fields = lapic_fields,
	.post_load = lapic_post_load,
};

struct lapic *lapic_new(struct apic_bus *ab, struct io_loop *loop, const struct lapic_config *cfg)
{
	struct lapic *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->dev.cls = &lapic_class;
	list_init(&l->dev.link);
	l->ab = ab;
	l->host = apic_bus_host(ab);
	l->cfg = *cfg;
	l->base = LAPIC_DEFAULT_BASE | APIC_BASE_ENABLE | (cfg->bsp ? APIC_BASE_BSP : 0);
	lapic_timer_init(l, loop);
	lapic_init_reset(l);
	apic_bus_add_lapic(ab, cfg->cpu, l);
	return l;
}

void lapic_free(struct lapic *l)
{
	if (!l)
		return;
	lapic_timer_stop(l);
	apic_bus_del_lapic(l->ab, l->cfg.cpu);
	free(l);
}

struct device *lapic_device(struct lapic *l)
{
	return &l->dev;
}
