/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For device tests: the far end of an irq_line, and saving one device into another. */
#ifndef LODGE_TESTS_WIRE_H
#define LODGE_TESTS_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus.h"
#include "bus/device.h"

struct wire {
	bool level;
	unsigned rises, falls, calls;
};

static inline void wire_set(void *opaque, unsigned n, bool level)
{
	struct wire *w = (struct wire *)opaque + n;

	w->calls++;
	w->rises += level && !w->level;
	w->falls += !level && w->level;
	w->level = level;
}

static inline struct irq_line wire_line(struct wire *w)
{
	return (struct irq_line){.set = wire_set, .opaque = w};
}

/* Save `from`, load into `to`, save `to`: aborts unless both streams have the same length. */
static inline void wire_transfer(struct device *from, struct device *to)
{
	static uint8_t a[65536], b[65536];
	long n = device_save(from, a, sizeof(a));

	if (n < 0 || device_load(to, a, (size_t)n, NULL) != 0 || device_save(to, b, sizeof(b)) != n)
		abort();
}

static inline uint8_t inb(struct bus *bus, uint16_t port)
{
	return (uint8_t)bus_pio_read(bus, port, 1);
}

static inline void outb(struct bus *bus, uint16_t port, uint8_t val)
{
	bus_pio_write(bus, port, val, 1);
}

#endif
