// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Port 0x92: fast A20 gate and fast reset.
 * Source: 82371SB (PIIX3) data sheet (290550) §2.5.6. Register table: docs/devices/port92.md.
 * Saved state: version 1.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/port92.h"

#include <errno.h>
#include <stdlib.h>

#define P92_FAST_INIT 0x01u
#define P92_FAST_A20 0x02u
#define P92_WRITABLE 0x03u

struct port92 {
	struct device dev;
	struct irq_line a20, reset_line;
	uint8_t val;
};

static uint64_t port92_read(void *dev, uint64_t off, unsigned size)
{
	(void)off;
	(void)size;
	return ((struct port92 *)dev)->val;
}

static void port92_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct port92 *p = dev;
	uint8_t old = p->val;

	(void)off;
	(void)size;
	p->val = val & P92_WRITABLE;
	irq_set(&p->a20, p->val & P92_FAST_A20);
	if (p->val & ~old & P92_FAST_INIT)
		irq_pulse(&p->reset_line);
}

static const struct bus_ops port92_ops = {port92_read, port92_write, 1, 1};

int port92_map(struct port92 *p, struct bus *bus, uint16_t port)
{
	return bus_map_pio(bus, port, 1, &port92_ops, p, "port92") ? 0 : -ENOMEM;
}

/* A20 is then as the 8042 drives it: open. */
static void port92_reset(struct device *dev)
{
	((struct port92 *)dev)->val = 0;
}

static int port92_post_load(struct device *dev)
{
	return ((struct port92 *)dev)->val & ~P92_WRITABLE ? -EINVAL : 0;
}

static const struct state_field port92_fields[] = {
	STATE_FIELD(struct port92, val),
	STATE_END,
};

static const struct device_class port92_class = {
	.name = "port92",
	.version = 1,
	.reset = port92_reset,
	.fields = port92_fields,
	.post_load = port92_post_load,
};

struct port92 *port92_new(struct irq_line a20, struct irq_line reset)
{
	struct port92 *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dev.cls = &port92_class;
	p->a20 = a20;
	p->reset_line = reset;
	return p;
}

void port92_free(struct port92 *p)
{
	free(p);
}

struct device *port92_device(struct port92 *p)
{
	return &p->dev;
}
