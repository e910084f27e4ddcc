// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Port 0x61: NMI status and control, speaker gate, refresh toggle.
 * Source: 82371SB (PIIX3) data sheet (290550) §2.5.4 NMISC. Register table: docs/devices/port61.md.
 * Saved state: version 1.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/port61.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

#define P61_GATE2 0x01u
#define P61_SPEAKER 0x02u
#define P61_SERR_OFF 0x04u
#define P61_IOCHK_OFF 0x08u
#define P61_REFRESH 0x10u
#define P61_OUT2 0x20u
#define P61_IOCHK 0x40u
#define P61_SERR 0x80u
#define P61_WRITABLE 0x0fu

/* DRAM refresh of an AT: counter 1 with a count of 18. */
#define REFRESH_NS 15085u

struct port61 {
	struct device dev;
	struct i8254 *pit;
	struct irq_line nmi;
	uint8_t control; /* bits 3..0 as written */
	uint8_t serr, iochk;
	uint8_t nmi_level;
};

static void update_nmi(struct port61 *p)
{
	if (p->control & P61_SERR_OFF)
		p->serr = 0;
	if (p->control & P61_IOCHK_OFF)
		p->iochk = 0;

	bool level = p->serr || p->iochk;

	if (level != p->nmi_level) {
		p->nmi_level = level;
		irq_set(&p->nmi, level);
	}
}

void port61_raise_serr(struct port61 *p)
{
	p->serr = 1;
	update_nmi(p);
}

void port61_raise_iochk(struct port61 *p)
{
	p->iochk = 1;
	update_nmi(p);
}

static uint64_t port61_read(void *dev, uint64_t off, unsigned size)
{
	struct port61 *p = dev;
	uint8_t v = p->control;

	(void)off;
	(void)size;
	if (clock_vm_ns() / REFRESH_NS & 1)
		v |= P61_REFRESH;
	if (i8254_out(p->pit, 2))
		v |= P61_OUT2;
	if (p->iochk)
		v |= P61_IOCHK;
	if (p->serr)
		v |= P61_SERR;
	return v;
}

static void port61_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct port61 *p = dev;

	(void)off;
	(void)size;
	p->control = val & P61_WRITABLE;
	i8254_set_gate(p->pit, 2, p->control & P61_GATE2);
	update_nmi(p);
}

static const struct bus_ops port61_ops = {port61_read, port61_write, 1, 1};

int port61_map(struct port61 *p, struct bus *bus, uint16_t port)
{
	return bus_map_pio(bus, port, 1, &port61_ops, p, "port61") ? 0 : -ENOMEM;
}

uint8_t port61_speaker(const struct port61 *p)
{
	return p->control & (P61_GATE2 | P61_SPEAKER);
}

void port61_set_speaker(struct port61 *p, uint8_t bits)
{
	p->control &= (uint8_t) ~(P61_GATE2 | P61_SPEAKER);
	p->control |= bits & (P61_GATE2 | P61_SPEAKER);
}

static void port61_reset(struct device *dev)
{
	struct port61 *p = (struct port61 *)dev;

	p->control = 0;
	p->serr = 0;
	p->iochk = 0;
	i8254_set_gate(p->pit, 2, false);
	update_nmi(p);
}

static int port61_post_load(struct device *dev)
{
	struct port61 *p = (struct port61 *)dev;

	if (p->control & ~P61_WRITABLE)
		return -EINVAL;
	p->nmi_level = 0;
	update_nmi(p);
	return 0;
}

static const struct state_field port61_fields[] = {
	STATE_FIELD(struct port61, control),
	STATE_FIELD(struct port61, serr),
	STATE_FIELD(struct port61, iochk),
	STATE_END,
};

static const struct device_class port61_class = {
	.name = "port61",
	.version = 1,
	.reset = port61_reset,
	.fields = port61_fields,
	.post_load = port61_post_load,
};

struct port61 *port61_new(struct i8254 *pit, struct irq_line nmi)
{
	struct port61 *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dev.cls = &port61_class;
	p->pit = pit;
	p->nmi = nmi;
	return p;
}

void port61_free(struct port61 *p)
{
	free(p);
}

struct device *port61_device(struct port61 *p)
{
	return &p->dev;
}
