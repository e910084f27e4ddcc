// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two 8259A interrupt controllers, cascaded as on a PC, with the PIIX edge/level registers.
 * Source: Intel 8259A data sheet (231468); 82371SB (PIIX3) data sheet (290550) §2.5.3.
 * Register table: docs/devices/i8259.md. Saved state: version 1.
 *
 * An edge-triggered request stays latched when its line falls before the acknowledge, since our
 * devices pulse their lines; a real chip would want the line held. A spurious interrupt so comes
 * only from level-triggered lines and from requests masked at the last moment.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/i8259.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"

#define CASCADE 2u
#define CASCADE_BIT (1u << CASCADE)

/* Initialization command word 1 and operation command words 2 and 3, all written with A0 = 0. */
#define ICW1_SELECT 0x10u
#define ICW1_IC4 0x01u
#define ICW1_SNGL 0x02u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u
#define OCW3_SELECT 0x08u
#define OCW3_RIS 0x01u
#define OCW3_RR 0x02u
#define OCW3_POLL 0x04u
#define OCW3_SMM 0x20u
#define OCW3_ESMM 0x40u

/* What the next write with A0 = 1 is. */
enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

/* Every member is one byte, so that saved state can hold any value. */
struct chip {
	uint8_t line;  /* levels of the inputs */
	uint8_t latch; /* edges seen and not yet acknowledged */
	uint8_t elcr;  /* 1 = level-triggered */
	uint8_t imr, isr;
	uint8_t base;	 /* vector of input 0 */
	uint8_t highest; /* input with the highest priority, 0..7 */
	uint8_t step;	 /* enum init_step */
	uint8_t icw1, icw3;
	uint8_t read_isr; /* A0 = 0 reads ISR, else IRR */
	uint8_t poll;	  /* the next read is a poll */
	uint8_t special_mask;
	uint8_t auto_eoi, auto_rotate, sfnm;
};

struct i8259_pair {
	struct device dev;
	struct irq_line intr;
	struct chip chip[2]; /* master, slave */
	uint8_t slave_int;   /* level of the slave's INT output */
	uint8_t intr_level;
};

/* IRQ 0, 1, 2 and 8, 13 are always edge-triggered. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

static uint8_t chip_irr(const struct chip *c)
{
	return (uint8_t)((c->latch & ~c->elcr) | (c->line & c->elcr));
}

/* The input of `set` with the highest priority, -1 for none. */
static int first_by_priority(const struct chip *c, uint8_t set)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned n = (c->highest + i) & 7;

		if (set >> n & 1)
			return (int)n;
	}
	return -1;
}

static unsigned rank(const struct chip *c, int n)
{
	return n < 0 ? 8 : ((unsigned)n - c->highest) & 7;
}

/* The request that INT stands for now, -1 for none. */
static int chip_request(const struct chip *c, bool master)
{
	uint8_t blocking = c->isr;
	int req = first_by_priority(c, chip_irr(c) & (uint8_t)~c->imr);

	if (c->special_mask)
		blocking &= (uint8_t)~c->imr;
	/* Special fully nested: more requests of a slave in service pass, the slave decides. */
	if (c->sfnm && master)
		blocking &= (uint8_t)~CASCADE_BIT;
	return rank(c, req) < rank(c, first_by_priority(c, blocking)) ? req : -1;
}

static void pair_update(struct i8259_pair *p)
{
	bool slave = chip_request(&p->chip[1], false) >= 0;

	if (slave && !p->slave_int)
		p->chip[0].latch |= CASCADE_BIT;
	p->slave_int = slave;

	bool intr = chip_request(&p->chip[0], true) >= 0;

	if (intr != p->intr_level) {
		p->intr_level = intr;
		irq_set(&p->intr, intr);
	}
}

void i8259_set_irq(void *pair, unsigned n, bool level)
{
	struct i8259_pair *p = pair;

	if (n > 15 || n == CASCADE)
		return;

	struct chip *c = &p->chip[n >> 3];
	uint8_t bit = (uint8_t)(1u << (n & 7));

	if (level && !(c->line & bit))
		c->latch |= bit;
	c->line = (uint8_t)(level ? c->line | bit : c->line & ~bit);
	pair_update(p);
}

struct irq_line i8259_irq(struct i8259_pair *p, unsigned n)
{
	return (struct irq_line){.set = i8259_set_irq, .opaque = p, .n = n};
}

bool i8259_intr(const struct i8259_pair *p)
{
	return p->intr_level;
}

/* INTA for input n of one chip. */
static void chip_ack(struct chip *c, unsigned n)
{
	uint8_t bit = (uint8_t)(1u << n);

	c->latch &= (uint8_t)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->auto_rotate)
		c->highest = (n + 1) & 7;
}

/* The slave's INT falls during INTA, so what it still wants is a new edge for the master. */
static void slave_ack(struct i8259_pair *p, unsigned n)
{
	chip_ack(&p->chip[1], n);
	p->slave_int = 0;
}

int i8259_ack(struct i8259_pair *p)
{
	struct chip *master = &p->chip[0], *slave = &p->chip[1];
	int n = chip_request(master, true);
	int vector;

	if (n == CASCADE) {
		int m = chip_request(slave, false);

		chip_ack(master, CASCADE);
		if (m >= 0)
			slave_ack(p, (unsigned)m);
		vector = slave->base + (m >= 0 ? m : 7);
	} else if (n >= 0) {
		chip_ack(master, (unsigned)n);
		vector = master->base + n;
	} else {
		vector = master->base + 7;
	}
	log_trace(LOG_IRQ, "i8259: acknowledge, vector %#x\n", (unsigned)vector);
	pair_update(p);
	return vector;
}

static void write_icw1(struct i8259_pair *p, struct chip *c, uint8_t val)
{
	c->latch = 0;
	c->imr = 0;
	c->isr = 0;
	c->highest = 0;
	c->special_mask = 0;
	c->read_isr = 0;
	c->poll = 0;
	c->auto_rotate = 0;
	/* Without ICW4 all its functions are off. */
	c->auto_eoi = 0;
	c->sfnm = 0;
	c->icw1 = val;
	c->step = INIT_ICW2;
	/* A slave that asks already must give the cleared edge latch an edge again. */
	p->slave_int = 0;
}

/* OCW2: R, SL and EOI in bits 7..5, a level in bits 2..0. */
static void write_ocw2(struct chip *c, uint8_t val)
{
	unsigned n = val & 7;
	unsigned cmd = val >> 5;
	uint8_t eoi = c->isr;
	int top;

	switch (cmd) {
	case 0:
	case 4:
		c->auto_rotate = cmd == 4;
		break;
	case 1: /* non-specific EOI, alone and with rotation */
	case 5:
		/* In special mask mode it does not clear what the mask holds. */
		if (c->special_mask)
			eoi &= (uint8_t)~c->imr;
		top = first_by_priority(c, eoi);
		if (top < 0)
			break;
		c->isr &= (uint8_t) ~(1u << top);
		if (cmd == 5)
			c->highest = (uint8_t)((top + 1) & 7);
		break;
	case 3: /* specific EOI, alone and with rotation */
	case 7:
		c->isr &= (uint8_t) ~(1u << n);
		if (cmd == 7)
			c->highest = (n + 1) & 7;
		break;
	case 6: /* set priority: n becomes the lowest */
		c->highest = (n + 1) & 7;
		break;
	default:
		break;
	}
}

static void write_ocw3(struct chip *c, uint8_t val)
{
	if (val & OCW3_POLL)
		c->poll = 1;
	if (val & OCW3_RR)
		c->read_isr = val & OCW3_RIS;
	if (val & OCW3_ESMM)
		c->special_mask = (val & OCW3_SMM) != 0;
}

/* A write with A0 = 1. */
static void write_high(struct chip *c, uint8_t val)
{
	switch (c->step) {
	case INIT_ICW2:
		c->base = val & 0xf8;
		c->step = !(c->icw1 & ICW1_SNGL) ? INIT_ICW3
			  : (c->icw1 & ICW1_IC4) ? INIT_ICW4
						 : INIT_DONE;
		break;
	case INIT_ICW3: /* the wiring is fixed; kept to be looked at */
		c->icw3 = val;
		c->step = c->icw1 & ICW1_IC4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW4:
		c->auto_eoi = (val & ICW4_AEOI) != 0;
		c->sfnm = (val & ICW4_SFNM) != 0;
		c->step = INIT_DONE;
		break;
	default:
		c->imr = val;
		break;
	}
}

static void chip_write(struct i8259_pair *p, unsigned which, uint64_t off, uint8_t val)
{
	struct chip *c = &p->chip[which];

	if (off & 1)
		write_high(c, val);
	else if (val & ICW1_SELECT)
		write_icw1(p, c, val);
	else if (val & OCW3_SELECT)
		write_ocw3(c, val);
	else
		write_ocw2(c, val);
	pair_update(p);
}

/* A poll is an acknowledge by software: bit 7 and the level, or 0. */
static uint8_t chip_poll(struct i8259_pair *p, unsigned which)
{
	struct chip *c = &p->chip[which];
	int n = chip_request(c, which == 0);

	c->poll = 0;
	if (n < 0)
		return 0;
	if (which == 1) {
		slave_ack(p, (unsigned)n);
		p->chip[0].latch &= (uint8_t)~CASCADE_BIT;
	} else {
		chip_ack(c, (unsigned)n);
	}
	pair_update(p);
	return (uint8_t)(0x80 | n);
}

static uint8_t chip_read(struct i8259_pair *p, unsigned which, uint64_t off)
{
	struct chip *c = &p->chip[which];

	if (c->poll)
		return chip_poll(p, which);
	if (off & 1)
		return c->imr;
	return c->read_isr ? c->isr : chip_irr(c);
}

static uint64_t master_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return chip_read(dev, 0, off);
}

static void master_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)size;
	chip_write(dev, 0, off, (uint8_t)val);
}

static uint64_t slave_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return chip_read(dev, 1, off);
}

static void slave_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)size;
	chip_write(dev, 1, off, (uint8_t)val);
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size)
{
	struct i8259_pair *p = dev;

	(void)size;
	return p->chip[off & 1].elcr;
}

static void elcr_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct i8259_pair *p = dev;
	struct chip *c = &p->chip[off & 1];
	uint8_t old = c->elcr;

	(void)size;
	c->elcr = (uint8_t)(val & elcr_writable[off & 1]);
	/* What was latched by an edge does not come back with a later switch to edge. */
	c->latch &= (uint8_t) ~(old | c->elcr);
	pair_update(p);
}

static const struct bus_ops master_ops = {master_read, master_write, 1, 1};
static const struct bus_ops slave_ops = {slave_read, slave_write, 1, 1};
static const struct bus_ops elcr_ops = {elcr_read, elcr_write, 1, 1};

int i8259_map(struct i8259_pair *p, struct bus *bus)
{
	if (!bus_map_pio(bus, 0x20, 2, &master_ops, p, "i8259 master") ||
	    !bus_map_pio(bus, 0xa0, 2, &slave_ops, p, "i8259 slave") ||
	    !bus_map_pio(bus, 0x4d0, 2, &elcr_ops, p, "elcr"))
		return -ENOMEM;
	return 0;
}

void i8259_get_regs(const struct i8259_pair *p, unsigned which, struct i8259_regs *out)
{
	const struct chip *c = &p->chip[which];

	*out = (struct i8259_regs){
		.line = c->line,
		.latch = c->latch,
		.elcr = c->elcr,
		.imr = c->imr,
		.isr = c->isr,
		.base = c->base,
		.highest = c->highest,
		.step = c->step,
		.needs_icw4 = c->icw1 & ICW1_IC4,
		.read_isr = c->read_isr,
		.poll = c->poll,
		.special_mask = c->special_mask,
		.auto_eoi = c->auto_eoi,
		.auto_rotate = c->auto_rotate,
		.sfnm = c->sfnm,
	};
	/* The slave's output drives a line of the master. */
	if (which == 0 && p->slave_int)
		out->line |= CASCADE_BIT;
}

void i8259_set_regs(struct i8259_pair *p, unsigned which, const struct i8259_regs *in)
{
	struct chip *c = &p->chip[which];

	*c = (struct chip){
		.line = which == 0 ? in->line & (uint8_t)~CASCADE_BIT : in->line,
		.latch = in->latch,
		.elcr = in->elcr & elcr_writable[which],
		.imr = in->imr,
		.isr = in->isr,
		.base = in->base & 0xf8,
		.highest = in->highest & 7,
		.step = in->step & 3,
		.icw1 = (uint8_t)(ICW1_SELECT | (in->needs_icw4 ? ICW1_IC4 : 0)),
		.icw3 = c->icw3,
		.read_isr = in->read_isr,
		.poll = in->poll,
		.special_mask = in->special_mask,
		.auto_eoi = in->auto_eoi,
		.auto_rotate = in->auto_rotate,
		.sfnm = in->sfnm,
	};
	if (which == 0)
		p->slave_int = in->line & CASCADE_BIT ? 1 : 0;
}

static void i8259_reset(struct device *dev)
{
	struct i8259_pair *p = (struct i8259_pair *)dev;

	for (unsigned i = 0; i < 2; i++) {
		/* The lines belong to the devices. */
		uint8_t line = p->chip[i].line;

		p->chip[i] = (struct chip){.line = line};
	}
	p->slave_int = 0;
	pair_update(p);
}

static int i8259_post_load(struct device *dev)
{
	struct i8259_pair *p = (struct i8259_pair *)dev;

	for (unsigned i = 0; i < 2; i++) {
		struct chip *c = &p->chip[i];

		if (c->highest > 7 || c->step > INIT_ICW4 || c->base & 7 ||
		    c->elcr & ~elcr_writable[i])
			return -EINVAL;
	}
	/* The processor's pin starts from nothing. */
	p->intr_level = 0;
	irq_set(&p->intr, false);
	pair_update(p);
	return 0;
}

#define CHIP_FIELD(m) \
	STATE_FIELD(struct i8259_pair, chip[0].m), STATE_FIELD(struct i8259_pair, chip[1].m)

static const struct state_field i8259_fields[] = {
	CHIP_FIELD(line),
	CHIP_FIELD(latch),
	CHIP_FIELD(elcr),
	CHIP_FIELD(imr),
	CHIP_FIELD(isr),
	CHIP_FIELD(base),
	CHIP_FIELD(highest),
	CHIP_FIELD(step),
	CHIP_FIELD(icw1),
	CHIP_FIELD(icw3),
	CHIP_FIELD(read_isr),
	CHIP_FIELD(poll),
	CHIP_FIELD(special_mask),
	CHIP_FIELD(auto_eoi),
	CHIP_FIELD(auto_rotate),
	CHIP_FIELD(sfnm),
	STATE_FIELD(struct i8259_pair, slave_int),
	STATE_END,
};

static const struct device_class i8259_class = {
	.name = "i8259",
	.version = 1,
	.reset = i8259_reset,
	.fields = i8259_fields,
	.post_load = i8259_post_load,
};

struct i8259_pair *i8259_new(struct irq_line intr)
{
	struct i8259_pair *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dev.cls = &i8259_class;
	p->intr = intr;
	i8259_reset(&p->dev);
	return p;
}

void i8259_free(struct i8259_pair *p)
{
	free(p);
}

struct device *i8259_device(struct i8259_pair *p)
{
	return &p->dev;
}
