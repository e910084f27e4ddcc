// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The high precision event timer. See hpet.h.
 * Source: IA-PC HPET Specification 1.0a, chapter 2.
 * Threads: with the VM lock held; comparators expire on the io thread.
 * Saved state: version 1.
 *
 * 1. While the counter runs it is base_count plus the ticks since base_ns; both sides wrap.
 * 2. A comparator written less than GRACE_TICKS behind the counter fires at once: a guest that
 *    aimed at the near future was slower on this machine than on the real one. One that lies
 *    further back waits for the counter to come round, as in hardware. A periodic one that is
 *    behind was delayed by us, and is due.
 * 3. A GSI is asserted while a level-triggered timer routed to it has its status bit set, or (GSI 0
 *    and 8 outside legacy replacement mode) the 8254 or RTC asserts it.
 */
#include "devices/legacy/hpet.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/range.h"

#define TICK_NS 10u
#define GRACE_TICKS 100000u /* 1 ms */
#define PERIODIC_GRACE_TICKS (1u << 31)
#define NO_GSI (-1)

#define REG_CAP 0x000u
#define REG_CONFIG 0x010u
#define REG_STATUS 0x020u
#define REG_COUNTER 0x0f0u
#define REG_TIMERS 0x100u
#define TIMER_STRIDE 0x20u
#define TIMER_CONFIG 0x00u
#define TIMER_CMP 0x08u

#define CAP_LOW ((uint64_t)HPET_BLOCK_ID | (HPET_TIMERS - 1) << 8)
_Static_assert((HPET_BLOCK_ID & 0xffff) == 0xa201,
	       "revision 1, three timers, 64-bit counter, legacy replacement");
_Static_assert(HPET_PERIOD_FS == TICK_NS * 1000000u, "one period");

#define CONFIG_ENABLE 1u
#define CONFIG_LEGACY 2u

#define TN_LEVEL 0x0002u
#define TN_ENABLE 0x0004u
#define TN_PERIODIC 0x0008u
#define TN_CAPS 0x0030u /* periodic capable, 64-bit capable; no FSB delivery */
#define TN_VAL_SET 0x0040u
#define TN_32BIT 0x0100u
#define TN_ROUTE_SHIFT 9
#define TN_ROUTE 0x3e00u
#define TN_WRITABLE (TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32BIT | TN_ROUTE)

/* Ticks that a busy host was late for follow so fast, and no more of them: see i8254.c. */
#define CATCH_UP_NS 500000u
#define MAX_BACKLOG 50u

struct hpet_timer {
	struct io_timer io;
	struct hpet *hpet;
	uint64_t fired_ns; /* last expiry, for the least distance of two */
	unsigned backlog;  /* periodic matches that the host missed and still owes */
};

struct hpet {
	struct device dev;
	struct hpet_config cfg;
	uint32_t config;
	uint32_t status;
	uint64_t base_count;
	uint64_t base_ns;		 /* 0 while the counter is halted */
	uint32_t tn_config[HPET_TIMERS]; /* writable bits */
	uint64_t tn_cmp[HPET_TIMERS];
	uint64_t tn_period[HPET_TIMERS];
	uint16_t inputs; /* bit 0: 8254, bit 8: RTC */
	uint32_t gsi_on; /* what the outputs show */
	struct hpet_timer timer[HPET_TIMERS];
};

static uint64_t counter(const struct hpet *h, uint64_t now)
{
	return h->base_ns ? h->base_count + (now - h->base_ns) / TICK_NS : h->base_count;
}

static bool periodic(const struct hpet *h, unsigned n)
{
	return h->tn_config[n] & TN_PERIODIC;
}

static uint64_t width_mask(const struct hpet *h, unsigned n)
{
	return h->tn_config[n] & TN_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* Interrupts. */

static int timer_gsi(const struct hpet *h, unsigned n)
{
	unsigned route = (h->tn_config[n] & TN_ROUTE) >> TN_ROUTE_SHIFT;

	if ((h->config & CONFIG_LEGACY) && n < 2)
		return n == 0 ? 0 : 8;
	return route < HPET_GSIS && (h->cfg.routes >> route & 1) ? (int)route : NO_GSI;
}

static bool timer_may_interrupt(const struct hpet *h, unsigned n)
{
	return (h->config & CONFIG_ENABLE) && (h->tn_config[n] & TN_ENABLE);
}

static void hpet_update_lines(struct hpet *h)
{
	uint32_t on = h->config & CONFIG_LEGACY ? 0 : h->inputs;
	uint32_t changed;

	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		int gsi = timer_gsi(h, n);

		if (gsi != NO_GSI && (h->status >> n & 1) && timer_may_interrupt(h, n))
			on |= 1u << gsi;
	}
	changed = on ^ h->gsi_on;
	h->gsi_on = on;
	for (unsigned g = 0; g < HPET_GSIS; g++) {
		if (changed >> g & 1)
			irq_set(&h->cfg.gsi[g], on >> g & 1);
	}
}

void hpet_set_legacy_input(void *hpet, unsigned n, bool level)
{
	struct hpet *h = hpet;
	uint16_t bit = (uint16_t)(1u << n);

	if (n != 0 && n != 8)
		return;
	h->inputs = (uint16_t)(level ? h->inputs | bit : h->inputs & ~bit);
	hpet_update_lines(h);
}

static void timer_interrupt(struct hpet *h, unsigned n)
{
	int gsi = timer_gsi(h, n);

	if (h->tn_config[n] & TN_LEVEL) {
		h->status |= 1u << n;
		hpet_update_lines(h);
	} else if (gsi != NO_GSI && timer_may_interrupt(h, n) && !(h->gsi_on >> gsi & 1)) {
		irq_pulse(&h->cfg.gsi[gsi]);
	}
}

/* Comparators. */

/*
 * (Re)arm timer n for its next match, from the registers alone; at once if it lies less than
 * `grace` ticks back.
 */
static void timer_arm(struct hpet *h, unsigned n, uint64_t grace)
{
	struct hpet_timer *t = &h->timer[n];
	uint64_t now = clock_vm_ns();
	uint64_t mask = width_mask(h, n);
	uint64_t count = counter(h, now);
	uint64_t to_go = (h->tn_cmp[n] - count) & mask;
	uint64_t due;

	io_timer_cancel(&t->io);
	if (!h->base_ns || (periodic(h, n) && !h->tn_period[n]))
		return;
	if (periodic(h, n))
		grace = PERIODIC_GRACE_TICKS;
	if (((count - h->tn_cmp[n]) & mask) < grace)
		to_go = 0;
	/* Further than anyone waits, or than nanoseconds reach. */
	if (to_go > UINT64_MAX / TICK_NS / 4)
		return;
	due = now - (now - h->base_ns) % TICK_NS + to_go * TICK_NS;
	if (t->backlog)
		due = min_u64(due,
			      t->fired_ns + min_u64(h->tn_period[n] * TICK_NS / 2, CATCH_UP_NS));
	if (periodic(h, n) && t->fired_ns)
		due = max_u64(due, t->fired_ns + HPET_MIN_PERIOD_NS);
	io_timer_arm(&t->io, due);
}

/* A tick that makes up for a missed one: the next match is still to come. */
static bool is_late_tick(const struct hpet *h, unsigned n, uint64_t now)
{
	uint64_t to_go = (h->tn_cmp[n] - counter(h, now)) & width_mask(h, n);

	return h->timer[n].backlog && to_go && to_go <= h->tn_period[n];
}

/* Arm for the match after the one that was just served. */
static void timer_arm_next(struct hpet *h, unsigned n, uint64_t now)
{
	uint64_t mask = width_mask(h, n);
	uint64_t late = (counter(h, now) - h->tn_cmp[n]) & mask;
	uint64_t period = h->tn_period[n];

	if (periodic(h, n)) {
		/* A level stays: matches that nobody served in time count as one (§2.3.9.2.2). */
		if (period) {
			h->tn_cmp[n] = (h->tn_cmp[n] + (late / period + 1) * period) & mask;
			if (!(h->tn_config[n] & TN_LEVEL))
				h->timer[n].backlog = (unsigned)min_u64(
					h->timer[n].backlog + late / period, MAX_BACKLOG);
		}
		timer_arm(h, n, 0);
	} else if (mask == UINT32_MAX) {
		/* The counter comes round to a 32-bit comparator (§2.3.9.2.1). */
		io_timer_arm(&h->timer[n].io, now + ((1ull << 32) - late) * TICK_NS);
	}
}

static void timer_expired(void *opaque)
{
	struct hpet_timer *t = opaque;
	struct hpet *h = t->hpet;
	unsigned n = (unsigned)(t - h->timer);
	uint64_t now = clock_vm_ns();

	if (!h->base_ns)
		return;
	t->fired_ns = now;
	timer_interrupt(h, n);
	if (periodic(h, n) && is_late_tick(h, n, now)) {
		t->backlog--;
		timer_arm(h, n, 0);
	} else {
		timer_arm_next(h, n, now);
	}
}

static void arm_all(struct hpet *h)
{
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		h->timer[n].backlog = 0;
		timer_arm(h, n, 0);
	}
}

/* Registers. */

static uint64_t timer_read(const struct hpet *h, unsigned n, uint32_t reg)
{
	switch (reg) {
	case TIMER_CONFIG:
		return (uint64_t)h->cfg.routes << 32 | TN_CAPS | h->tn_config[n];
	case TIMER_CMP:
		return h->tn_cmp[n] & width_mask(h, n);
	default: /* FSB routes are not there */
		return 0;
	}
}

static uint64_t reg_read(const struct hpet *h, uint32_t reg)
{
	unsigned n = (reg - REG_TIMERS) / TIMER_STRIDE;

	if (reg >= REG_TIMERS)
		return n < HPET_TIMERS ? timer_read(h, n, reg % TIMER_STRIDE) : 0;
	switch (reg) {
	case REG_CAP:
		return (uint64_t)HPET_PERIOD_FS << 32 | CAP_LOW;
	case REG_CONFIG:
		return h->config;
	case REG_STATUS:
		return h->status;
	case REG_COUNTER:
		return counter(h, clock_vm_ns());
	default:
		return 0;
	}
}

static void config_write(struct hpet *h, uint32_t val)
{
	uint64_t now = clock_vm_ns();
	bool was = h->config & CONFIG_ENABLE;
	bool on = val & CONFIG_ENABLE;

	h->base_count = was != on ? counter(h, now) : h->base_count;
	h->config = val & (CONFIG_ENABLE | CONFIG_LEGACY);
	irq_set(&h->cfg.legacy, h->config & CONFIG_LEGACY);
	if (was != on) {
		h->base_ns = on ? now : 0;
		arm_all(h);
	}
	hpet_update_lines(h);
}

static void timer_config_write(struct hpet *h, unsigned n, uint32_t val)
{
	h->tn_config[n] = val & TN_WRITABLE;
	if (!(val & TN_PERIODIC))
		h->tn_config[n] &= ~TN_VAL_SET;
	/* Edge-triggered timers have no status (§2.3.6). */
	if (!(val & TN_LEVEL))
		h->status &= ~(1u << n);
	h->tn_cmp[n] &= width_mask(h, n);
	h->tn_period[n] &= width_mask(h, n);
	h->timer[n].backlog = 0;
	timer_arm(h, n, 0);
	hpet_update_lines(h);
}

/*
 * In periodic mode a write is the period; with VAL_SET, which it uses up, it is the accumulator as
 * well (§2.3.9.2.2).
 */
static void timer_cmp_write(struct hpet *h, unsigned n, uint64_t val, uint64_t bytes)
{
	bool both = !periodic(h, n) || (h->tn_config[n] & TN_VAL_SET);
	uint64_t mask = width_mask(h, n);

	bytes &= mask;
	if (!bytes)
		return;
	if (both)
		h->tn_cmp[n] = (h->tn_cmp[n] & ~bytes & mask) | (val & bytes);
	if (periodic(h, n))
		h->tn_period[n] = (h->tn_period[n] & ~bytes & mask) | (val & bytes);
	h->tn_config[n] &= ~TN_VAL_SET;
	h->timer[n].backlog = 0;
	timer_arm(h, n, GRACE_TICKS);
}

static void counter_write(struct hpet *h, uint64_t val, uint64_t bytes)
{
	uint64_t now = clock_vm_ns();

	h->base_count = (counter(h, now) & ~bytes) | (val & bytes);
	if (h->base_ns)
		h->base_ns = now;
	arm_all(h);
}

/* Write `val` to the bits in `bytes` (a byte-lane mask) of the 64-bit register `reg`. */
static void reg_write(struct hpet *h, uint32_t reg, uint64_t val, uint64_t bytes)
{
	uint64_t merged = (reg_read(h, reg) & ~bytes) | (val & bytes);
	unsigned n = (reg - REG_TIMERS) / TIMER_STRIDE;

	if (reg >= REG_TIMERS) {
		if (n < HPET_TIMERS && reg % TIMER_STRIDE == TIMER_CONFIG)
			timer_config_write(h, n, (uint32_t)merged);
		else if (n < HPET_TIMERS && reg % TIMER_STRIDE == TIMER_CMP)
			timer_cmp_write(h, n, val, bytes);
		return;
	}
	switch (reg) {
	case REG_CONFIG:
		config_write(h, (uint32_t)merged);
		break;
	case REG_STATUS:
		h->status &= ~(uint32_t)(val & bytes);
		hpet_update_lines(h);
		break;
	case REG_COUNTER:
		counter_write(h, val, bytes);
		break;
	default:
		break;
	}
}

/* Reads of any shape see their bytes; §2.3 allows 32 and 64 bits, aligned. */
static uint64_t hpet_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return reg_read(dev, (uint32_t)off & ~7u) >> (8 * (off & 7));
}

static void hpet_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	unsigned shift = 8 * (off & 7);

	if (size < 4 || off % size) {
		log_trace(LOG_GUEST_ERR, "hpet: %u-byte write at 0x%03llx ignored\n", size,
			  (unsigned long long)off);
		return;
	}
	reg_write(dev, (uint32_t)off & ~7u, val << shift,
		  size == 8 ? UINT64_MAX : (uint64_t)UINT32_MAX << shift);
}

const struct bus_ops hpet_mmio_ops = {
	.read = hpet_read,
	.write = hpet_write,
	.min_size = 1,
	.max_size = 8,
};

static void hpet_reset(struct device *dev)
{
	struct hpet *h = container_of(dev, struct hpet, dev);

	h->config = 0;
	irq_set(&h->cfg.legacy, false);
	h->status = 0;
	h->base_count = 0;
	h->base_ns = 0;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		io_timer_cancel(&h->timer[n].io);
		h->timer[n].fired_ns = 0;
		h->timer[n].backlog = 0;
		h->tn_config[n] = 0;
		h->tn_cmp[n] = UINT64_MAX;
		h->tn_period[n] = 0;
	}
	hpet_update_lines(h);
}

static int hpet_post_load(struct device *dev)
{
	struct hpet *h = container_of(dev, struct hpet, dev);
	uint64_t now = clock_vm_ns();

	h->config &= CONFIG_ENABLE | CONFIG_LEGACY;
	irq_set(&h->cfg.legacy, h->config & CONFIG_LEGACY);
	h->inputs &= 0x101;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		h->tn_config[n] &= TN_WRITABLE;
		h->tn_cmp[n] &= width_mask(h, n);
		h->tn_period[n] &= width_mask(h, n);
		h->timer[n].fired_ns = 0;
		h->timer[n].backlog = 0;
		if (!(h->tn_config[n] & TN_LEVEL))
			h->status &= ~(1u << n);
	}
	h->status &= (1u << HPET_TIMERS) - 1;
	/* Running and having a start belong together, and the start is past. */
	if (!(h->config & CONFIG_ENABLE))
		h->base_ns = 0;
	else if (!h->base_ns || h->base_ns > now)
		h->base_ns = now;
	arm_all(h);
	hpet_update_lines(h);
	return 0;
}

static const struct state_field hpet_fields[] = {
	STATE_FIELD(struct hpet, config),
	STATE_FIELD(struct hpet, status),
	STATE_FIELD(struct hpet, base_count),
	STATE_TIME(struct hpet, base_ns),
	STATE_ARRAY(struct hpet, tn_config),
	STATE_ARRAY(struct hpet, tn_cmp),
	STATE_ARRAY(struct hpet, tn_period),
	STATE_FIELD(struct hpet, inputs),
	STATE_END,
};

static const struct device_class hpet_class = {
	.name = "hpet",
	.version = 1,
	.reset = hpet_reset,
	.fields = hpet_fields,
	.post_load = hpet_post_load,
};

struct hpet *hpet_new(struct io_loop *loop, const struct hpet_config *cfg)
{
	struct hpet *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->dev.cls = &hpet_class;
	list_init(&h->dev.link);
	h->cfg = *cfg;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		h->timer[n].hpet = h;
		h->tn_cmp[n] = UINT64_MAX;
		io_timer_init(&h->timer[n].io, loop, timer_expired, &h->timer[n]);
	}
	return h;
}

void hpet_free(struct hpet *h)
{
	if (!h)
		return;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		io_timer_cancel(&h->timer[n].io);
	free(h);
}

struct device *hpet_device(struct hpet *h)
{
	return &h->dev;
}
