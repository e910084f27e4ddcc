// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 8254 programmable interval timer.
 * Source: Intel 82C54 data sheet (231244). Register table: docs/devices/i8254.md.
 * Saved state: version 1.
 *
 * Nothing counts: a counter remembers when its counting element was loaded and with what, and
 * everything else is arithmetic on the time since. Only OUT of counter 0 has a timer.
 * A count is loaded at the moment it is written, not one CLK later.
 * Threads: with the VM lock held; the timer on the io thread.
 */
#include "devices/legacy/i8254.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"

#define COUNTERS 3u

/* Control word and status byte. */
#define CW_BCD 0x01u
#define CW_MODE(v) ((v) >> 1 & 7u)
#define CW_RW(v) ((v) >> 4 & 3u)
#define CW_COUNTER(v) ((v) >> 6)
#define CW_PROGRAM 0x3fu
#define RW_LATCH 0u
#define RW_LSB 1u
#define RW_MSB 2u
#define RW_BOTH 3u
#define READBACK_NO_COUNT 0x20u
#define READBACK_NO_STATUS 0x10u
#define STATUS_OUT 0x80u
#define STATUS_NULL 0x40u

/* Interrupts of counter 0 come no closer than this, whatever is programmed. */
#define MIN_INTERVAL_NS 25000u
/* Missed edges that are made up for. */
#define MAX_BACKLOG 50u
#define CATCH_UP_NS 500000u /* between edges that come late, at the most */

/*
 * A one-shot of counter 2 that is first looked at this much after it was started, but not later than
 * a program would leave it alone: see first_look().
 */
#define LOOK_LATE_NS 100000u
#define LOOK_FORGOTTEN_NS 50000000u

struct counter {
	uint64_t start_ns; /* the counting element held `count` then */
	uint32_t count;	   /* 1..65536: what was loaded last */
	uint32_t pending;  /* written in mode 2 or 3, loaded when the (half) period ends; 0 none */
	uint32_t frozen;   /* elapsed ticks while gate is low (modes 0, 4) or nothing counts */
	uint16_t latch;	   /* latched count */
	uint8_t latched;   /* bytes of it still to be read, as RW_*: 0 none */
	uint8_t status;	   /* latched status */
	uint8_t has_status;
	uint8_t ctl;	 /* RW, mode and BCD bits of the control word */
	uint8_t loaded;	 /* the counting element counts (modes 1, 5: was triggered) */
	uint8_t written; /* a count was written since the control word */
	uint8_t gate;
	uint8_t read_msb; /* the next byte read (written) is the high one */
	uint8_t write_msb;
	uint8_t low_byte; /* first byte of a two-byte count */
	uint8_t unseen;	  /* nobody has looked since the count was loaded */
};

struct i8254 {
	struct device dev;
	struct irq_line irq0;
	struct io_timer timer;
	struct counter c[COUNTERS];
	uint64_t edge_ns; /* next rising edge of counter 0's OUT; 0 for none */
	uint64_t last_ns; /* when the last one was given out */
	uint32_t backlog; /* edges missed and still owed */
	uint8_t irq_level;
	bool rests; /* the one at work is elsewhere */
};

/* Modes 6 and 7 are 2 and 3. */
static unsigned mode_of(const struct counter *c)
{
	unsigned m = CW_MODE(c->ctl);

	return m > 5 ? m - 4 : m;
}

static bool is_periodic(const struct counter *c)
{
	return mode_of(c) == 2 || mode_of(c) == 3;
}

static bool is_triggered_mode(const struct counter *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

static uint32_t modulus(const struct counter *c)
{
	return c->ctl & CW_BCD ? 10000 : 0x10000;
}

static uint64_t ns_to_ticks(uint64_t ns)
{
	return mul_div_u64(ns, I8254_HZ, NS_PER_SEC);
}

/* The first nanosecond at which so many ticks have gone by. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
	return mul_div_u64(ticks, NS_PER_SEC, I8254_HZ) + (ticks ? 1 : 0);
}

static uint64_t ns_since(uint64_t start, uint64_t now)
{
	return now > start ? now - start : 0;
}

/* Ticks of the current mode 3 period with OUT high. */
static uint32_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

/* Where in its period a periodic counter is. */
static uint32_t position(const struct counter *c, uint64_t now)
{
	return (uint32_t)(ns_to_ticks(ns_since(c->start_ns, now)) % c->count);
}

/* When the period that holds `now` began. */
static uint64_t period_start(const struct counter *c, uint64_t now)
{
	uint64_t ticks = ns_to_ticks(ns_since(c->start_ns, now));

	return c->start_ns + ticks_to_ns(ticks - ticks % c->count);
}

/*
 * A count written while a periodic counter runs takes effect when the period (mode 3: the half
 * period) ends. Loads it if that moment is past.
 */
static void load_pending(struct counter *c, uint64_t now)
{
	if (!c->pending || !c->loaded || !c->gate)
		return;

	/* start_ns is the start of the period in which the count was written. */
	uint64_t ticks = ns_to_ticks(ns_since(c->start_ns, now));
	uint32_t end = c->count;
	bool half = mode_of(c) == 3 && c->frozen;

	if (half)
		end = high_half(c->count);
	if (ticks < end)
		return;

	uint64_t at = c->start_ns + ticks_to_ns(end);

	c->count = c->pending;
	c->pending = 0;
	c->frozen = 0;
	/* The low half begins at `at`: count from where its high half would have begun. */
	if (half) {
		uint64_t back = ticks_to_ns(high_half(c->count));

		at = at > back ? at - back : 1;
	}
	c->start_ns = at;
}

static uint64_t elapsed(const struct counter *c, uint64_t now)
{
	if (!c->loaded || (!c->gate && !is_triggered_mode(c)))
		return c->frozen;
	return ns_to_ticks(ns_since(c->start_ns, now));
}

static bool out_level(const struct counter *c, uint64_t now)
{
	uint64_t t = elapsed(c, now);

	switch (mode_of(c)) {
	case 0:
		return c->loaded && t >= c->count;
	case 1:
		return !c->loaded || t >= c->count;
	case 2:
		return !c->loaded || !c->gate || position(c, now) != c->count - 1;
	case 3:
		return !c->loaded || !c->gate || position(c, now) < high_half(c->count);
	default: /* 4 and 5: low for one tick when the count is reached */
		return !c->loaded || t != c->count;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

/* The count written, in ticks: 0 is the largest one. Digits above 9 count as they stand. */
static uint32_t from_written(const struct counter *c, uint16_t v)
{
	uint32_t n = v;

	if (c->ctl & CW_BCD)
		n = ((v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 +
		     (v >> 12 & 15u) * 1000) %
		    10000;
	return n ? n : modulus(c);
}

/* The counting element as a read shows it. */
static uint16_t counting_element(const struct counter *c, uint64_t now)
{
	uint32_t m = modulus(c);
	uint32_t v, pos;

	if (is_periodic(c)) {
		pos = c->loaded && c->gate ? position(c, now) : c->frozen % c->count;
		v = c->count - pos;
		if (mode_of(c) == 3) { /* by twos, in each half period */
			pos = pos >= high_half(c->count) ? pos - high_half(c->count) : pos;
			v = (c->count & ~1u) - 2 * pos;
		}
	} else {
		v = c->count % m + m - (uint32_t)(elapsed(c, now) % m);
	}
	v %= m;
	return c->ctl & CW_BCD ? to_bcd(v) : (uint16_t)v;
}

/* Counter 0's interrupt. */

/* The next rising edge of OUT after `after`, 0 for none. */
static uint64_t next_edge(const struct counter *c, uint64_t after)
{
	uint64_t at;

	if (!c->loaded || !c->gate)
		return 0;
	if (is_periodic(c)) {
		/*
		 * With a new count pending the period in progress ends as it began: in mode 3 its
		 * second half may be shorter or longer, which load_pending then puts right.
		 */
		at = period_start(c, after) + ticks_to_ns(c->count);
		return at > after ? at : after + 1;
	}
	at = c->start_ns + ticks_to_ns(mode_of(c) == 4 ? c->count + 1ull : c->count);
	return at > after ? at : 0;
}

static void set_irq_level(struct i8254 *pit, bool level)
{
	pit->irq_level = level;
	if (!pit->rests)
		irq_set(&pit->irq0, level);
}

static void arm_timer(struct i8254 *pit)
{
	uint64_t at = pit->edge_ns;

	if (pit->rests)
		return;
	if (pit->backlog) {
		/*
		 * Half a period after the last one, or CATCH_UP_NS: a guest that checks in a few
		 * milliseconds whether its timer ticks (Linux does) may get no more of a busy host.
		 */
		uint64_t soon =
			pit->last_ns + min_u64(ticks_to_ns(pit->c[0].count) / 2, CATCH_UP_NS);

		at = at && at < soon ? at : soon;
	}
	if (!at) {
		io_timer_cancel(&pit->timer);
		return;
	}
	io_timer_arm(&pit->timer, max_u64(at, pit->last_ns + MIN_INTERVAL_NS));
}

/* Counter 0 was programmed: its OUT, and what comes next. */
static void restart_irq(struct i8254 *pit)
{
	uint64_t now = clock_vm_ns();

	pit->backlog = 0;
	pit->edge_ns = next_edge(&pit->c[0], now);
	set_irq_level(pit, out_level(&pit->c[0], now));
	arm_timer(pit);
}

/* Rising edges up to `now`; moves edge_ns past it. */
static uint64_t take_edges(struct i8254 *pit, uint64_t now)
{
	struct counter *c = &pit->c[0];
	uint64_t edges = 0;

	while (pit->edge_ns && pit->edge_ns <= now) {
		uint64_t at = pit->edge_ns;

		edges++;
		if (c->pending) {
			load_pending(c, at);
		} else if (is_periodic(c)) {
			edges += ns_to_ticks(now - at) / c->count;
			at = now;
		}
		pit->edge_ns = next_edge(c, at);
	}
	return edges;
}

static void on_timer(void *opaque)
{
	struct i8254 *pit = opaque;
	uint64_t now = clock_vm_ns();
	uint64_t owed = take_edges(pit, now) + pit->backlog;

	if (owed) {
		pit->backlog = (uint32_t)min_u64(owed - 1, MAX_BACKLOG);
		pit->last_ns = now;
		/* Modes 0 and 4 end high; 2 and 3 are high when the period begins. */
		set_irq_level(pit, false);
		set_irq_level(pit, true);
	}
	arm_timer(pit);
}

/* Programming. */

static void write_control(struct i8254 *pit, unsigned n, uint8_t val)
{
	struct counter *c = &pit->c[n];

	c->ctl = val & CW_PROGRAM;
	c->loaded = 0;
	c->written = 0;
	c->pending = 0;
	c->frozen = 0;
	c->read_msb = CW_RW(val) == RW_MSB;
	c->write_msb = CW_RW(val) == RW_MSB;
	c->latched = 0;
	c->has_status = 0;
	if (n == 0)
		restart_irq(pit);
}

static void latch_count(struct counter *c, uint64_t now)
{
	if (c->latched)
		return;
	load_pending(c, now);
	c->latch = counting_element(c, now);
	c->latched = CW_RW(c->ctl);
}

static void latch_status(struct counter *c, uint64_t now)
{
	if (c->has_status)
		return;
	load_pending(c, now);

	bool waits = c->pending || !c->written || !c->loaded;

	c->status = (uint8_t)(c->ctl | (out_level(c, now) ? STATUS_OUT : 0) |
			      (waits ? STATUS_NULL : 0));
	c->has_status = 1;
}

static void read_back(struct i8254 *pit, uint8_t val)
{
	uint64_t now = clock_vm_ns();

	for (unsigned i = 0; i < COUNTERS; i++) {
		if (!(val >> (i + 1) & 1))
			continue;
		if (!(val & READBACK_NO_COUNT))
			latch_count(&pit->c[i], now);
		if (!(val & READBACK_NO_STATUS))
			latch_status(&pit->c[i], now);
	}
}

/* A whole count has been written. */
static void load_count(struct i8254 *pit, unsigned n, uint16_t val)
{
	struct counter *c = &pit->c[n];
	uint64_t now = clock_vm_ns();
	uint32_t count = from_written(c, val);

	c->written = 1;
	load_pending(c, now);
	if (is_periodic(c) && c->loaded && c->gate) {
		/* Note the period and (in `frozen`) whether it is in its high half. */
		c->frozen = position(c, now) < high_half(c->count);
		c->start_ns = period_start(c, now);
		c->pending = count;
		return;
	}
	if (is_triggered_mode(c)) {
		/* For the next trigger; one shot in progress ends with the old count. */
		c->pending = count;
		return;
	}
	c->count = count;
	c->pending = 0;
	c->frozen = 0;
	c->start_ns = now;
	c->loaded = 1;
	c->unseen = n == 2 && mode_of(c) == 0 && c->gate;
	if (n == 0)
		restart_irq(pit);
}

static void write_count(struct i8254 *pit, unsigned n, uint8_t val)
{
	struct counter *c = &pit->c[n];

	switch (CW_RW(c->ctl)) {
	case RW_LSB:
		load_count(pit, n, val);
		return;
	case RW_MSB:
		load_count(pit, n, (uint16_t)(val << 8));
		return;
	default:
		break;
	}
	if (c->write_msb) {
		c->write_msb = 0;
		load_count(pit, n, (uint16_t)(val << 8 | c->low_byte));
		return;
	}
	c->low_byte = val;
	c->write_msb = 1;
	/* In mode 0 the first byte stops counting and OUT is low. */
	if (mode_of(c) == 0 && c->loaded) {
		c->frozen = (uint32_t)(elapsed(c, clock_vm_ns()) % modulus(c));
		c->loaded = 0;
		if (n == 0)
			restart_irq(pit);
	}
}

static void pit_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct i8254 *pit = dev;
	uint8_t v = (uint8_t)val;
	unsigned n = CW_COUNTER(v);

	(void)size;
	if (off < COUNTERS)
		write_count(pit, (unsigned)off, v);
	else if (n == COUNTERS)
		read_back(pit, v);
	else if (CW_RW(v) == RW_LATCH)
		latch_count(&pit->c[n], clock_vm_ns());
	else
		write_control(pit, n, v);
}

/*
 * Systems measure the TSC against counter 2: start a one-shot, read the TSC, poll OUT until it rises.
 * When the host took the processor away between the start and the first poll, a count that ran on
 * would give them a TSC several times too slow, and clocks that race ever after. So a one-shot whose
 * first look comes late starts at that look; a delay later on only makes them try again.
 */
static void first_look(struct counter *c, uint64_t now)
{
	uint64_t late = ns_since(c->start_ns, now);

	if (c->unseen && late > LOOK_LATE_NS && late < LOOK_FORGOTTEN_NS)
		c->start_ns = now;
	c->unseen = 0;
}

static uint64_t read_counter(struct counter *c)
{
	uint64_t now = clock_vm_ns();
	uint16_t v;

	first_look(c, now);
	if (c->has_status) {
		c->has_status = 0;
		return c->status;
	}
	if (c->latched) {
		v = c->latch;
		if (c->latched == RW_BOTH) {
			c->latched = RW_MSB;
			return v & 0xff;
		}
		v = c->latched == RW_MSB ? v >> 8 : v & 0xff;
		c->latched = 0;
		return v;
	}
	load_pending(c, now);
	v = counting_element(c, now);

	bool msb = c->read_msb;

	if (CW_RW(c->ctl) == RW_BOTH)
		c->read_msb = !c->read_msb;
	return msb ? v >> 8 : v & 0xff;
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
	struct i8254 *pit = dev;

	(void)size;
	/* The control word cannot be read. */
	return off < COUNTERS ? read_counter(&pit->c[off]) : 0xff;
}

static const struct bus_ops pit_ops = {pit_read, pit_write, 1, 1};

int i8254_map(struct i8254 *pit, struct bus *bus, uint16_t base)
{
	return bus_map_pio(bus, base, 4, &pit_ops, pit, "i8254") ? 0 : -ENOMEM;
}

void i8254_set_gate(struct i8254 *pit, unsigned n, bool level)
{
	struct counter *c = &pit->c[n % COUNTERS];
	uint64_t now = clock_vm_ns();

	if (c->gate == level)
		return;
	load_pending(c, now);
	if (is_triggered_mode(c)) {
		if (level && c->written) {
			c->count = c->pending ? c->pending : c->count;
			c->pending = 0;
			c->start_ns = now;
			c->loaded = 1;
		}
	} else if (!level) {
		c->frozen = is_periodic(c) ? (c->loaded ? position(c, now) : 0)
			    : c->loaded	   ? (uint32_t)min_u64(elapsed(c, now), UINT32_MAX)
					   : c->frozen;
	} else if (is_periodic(c)) {
		/* A rising gate starts the period anew, with the newest count. */
		c->count = c->pending ? c->pending : c->count;
		c->pending = 0;
		c->frozen = 0;
		c->start_ns = now;
	} else {
		c->start_ns = now - min_u64(ticks_to_ns(c->frozen), now - 1);
	}
	c->gate = level;
	if (n % COUNTERS == 0)
		restart_irq(pit);
}

bool i8254_gate(const struct i8254 *pit, unsigned n)
{
	return pit->c[n % COUNTERS].gate;
}

bool i8254_out(struct i8254 *pit, unsigned n)
{
	struct counter *c = &pit->c[n % COUNTERS];
	uint64_t now = clock_vm_ns();

	first_look(c, now);
	load_pending(c, now);
	return out_level(c, now);
}

void i8254_rest(struct i8254 *pit)
{
	io_timer_cancel(&pit->timer);
	set_irq_level(pit, false);
	pit->rests = true;
}

void i8254_get_regs(const struct i8254 *pit, unsigned n, struct i8254_regs *out)
{
	const struct counter *c = &pit->c[n];

	*out = (struct i8254_regs){
		.since_ns = ns_since(c->start_ns, clock_vm_ns()),
		.count = c->pending ? c->pending : c->count,
		.latch = c->latch,
		.latched = c->latched,
		.status = c->status,
		.has_status = c->has_status,
		.rw = CW_RW(c->ctl),
		.mode = (uint8_t)mode_of(c),
		.bcd = c->ctl & CW_BCD,
		.gate = c->gate,
		.read_msb = c->read_msb,
		.write_msb = c->write_msb,
		.low_byte = c->low_byte,
	};
}

void i8254_set_regs(struct i8254 *pit, unsigned n, const struct i8254_regs *in)
{
	uint64_t now = clock_vm_ns();
	unsigned rw = in->rw >= RW_LSB && in->rw <= RW_BOTH ? in->rw : RW_BOTH;

	pit->c[n] = (struct counter){
		.start_ns = now - min_u64(in->since_ns, now - 1),
		.count = in->count >= 1 && in->count <= 0x10000 ? in->count : 0x10000,
		.latch = in->latch,
		.latched = in->latched <= RW_BOTH ? in->latched : 0,
		.status = in->status,
		.has_status = in->has_status,
		.ctl = (uint8_t)(rw << 4 | (in->mode & 7u) << 1 | (in->bcd ? CW_BCD : 0)),
		.loaded = 1,
		.written = 1,
		.gate = in->gate ? 1 : 0,
		.read_msb = in->read_msb,
		.write_msb = in->write_msb,
		.low_byte = in->low_byte,
	};
	if (n == 0) {
		pit->backlog = 0;
		pit->irq_level = out_level(&pit->c[0], now);
	}
}

/* As firmware would leave it, and QEMU does: all in mode 3 with the largest count. */
static void i8254_reset(struct device *dev)
{
	struct i8254 *pit = (struct i8254 *)dev;

	for (unsigned i = 0; i < COUNTERS; i++) {
		pit->c[i] = (struct counter){
			.start_ns = clock_vm_ns(),
			.count = 0x10000,
			.ctl = RW_BOTH << 4 | 3 << 1,
			.loaded = 1,
			.written = 1,
			.gate = i != 2,
		};
	}
	pit->last_ns = 0;
	restart_irq(pit);
}

static int i8254_post_load(struct device *dev)
{
	struct i8254 *pit = (struct i8254 *)dev;
	uint64_t now = clock_vm_ns();

	for (unsigned i = 0; i < COUNTERS; i++) {
		struct counter *c = &pit->c[i];

		if (c->count < 1 || c->count > 0x10000 || c->pending > 0x10000 ||
		    c->ctl & ~CW_PROGRAM || CW_RW(c->ctl) == RW_LATCH || c->latched > RW_BOTH ||
		    c->gate > 1)
			return -EINVAL;
		c->start_ns = min_u64(c->start_ns, now);
	}
	/* Owed edges stay owed, but a long pause owes none. */
	pit->backlog = (uint32_t)min_u64(pit->backlog, MAX_BACKLOG);
	pit->last_ns = min_u64(pit->last_ns, now);
	load_pending(&pit->c[0], now);
	pit->edge_ns = next_edge(&pit->c[0], now);
	set_irq_level(pit, pit->irq_level);
	arm_timer(pit);
	return 0;
}

#define COUNTER_FIELDS(i)                                                                        \
	STATE_TIME(struct i8254, c[i].start_ns), STATE_FIELD(struct i8254, c[i].count),          \
		STATE_FIELD(struct i8254, c[i].pending), STATE_FIELD(struct i8254, c[i].frozen), \
		STATE_FIELD(struct i8254, c[i].latch), STATE_FIELD(struct i8254, c[i].latched),  \
		STATE_FIELD(struct i8254, c[i].status),                                          \
		STATE_FIELD(struct i8254, c[i].has_status), STATE_FIELD(struct i8254, c[i].ctl), \
		STATE_FIELD(struct i8254, c[i].loaded), STATE_FIELD(struct i8254, c[i].written), \
		STATE_FIELD(struct i8254, c[i].gate), STATE_FIELD(struct i8254, c[i].read_msb),  \
		STATE_FIELD(struct i8254, c[i].write_msb),                                       \
		STATE_FIELD(struct i8254, c[i].low_byte), STATE_FIELD(struct i8254, c[i].unseen)

static const struct state_field i8254_fields[] = {
	COUNTER_FIELDS(0),
	COUNTER_FIELDS(1),
	COUNTER_FIELDS(2),
	STATE_TIME(struct i8254, last_ns),
	STATE_FIELD(struct i8254, backlog),
	STATE_FIELD(struct i8254, irq_level),
	STATE_END,
};

static const struct device_class i8254_class = {
	.name = "i8254",
	.version = 1,
	.reset = i8254_reset,
	.fields = i8254_fields,
	.post_load = i8254_post_load,
};

struct i8254 *i8254_new(struct io_loop *loop, struct irq_line irq0)
{
	struct i8254 *pit = calloc(1, sizeof(*pit));

	if (!pit)
		return NULL;
	pit->dev.cls = &i8254_class;
	pit->irq0 = irq0;
	io_timer_init(&pit->timer, loop, on_timer, pit);
	i8254_reset(&pit->dev);
	return pit;
}

void i8254_free(struct i8254 *pit)
{
	if (!pit)
		return;
	io_timer_cancel(&pit->timer);
	free(pit);
}

struct device *i8254_device(struct i8254 *pit)
{
	return &pit->dev;
}
