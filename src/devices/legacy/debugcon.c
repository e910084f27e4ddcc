// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Debug console: bytes written go to a character channel, a read gives 0xe9, or 0xff without one.
 * Register table: docs/devices/debugcon.md. Saved state: version 1, no fields.
 * What the channel does not take at once is lost: a debug console must not stop a guest.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/debugcon.h"

#include <errno.h>
#include <stdlib.h>

/* By this a guest knows that somebody listens. */
#define DEBUGCON_HERE 0xe9u

struct debugcon {
	struct device dev;
	struct chardev *chr;
};

static uint64_t debugcon_read(void *dev, uint64_t off, unsigned size)
{
	const struct debugcon *d = dev;

	(void)off;
	(void)size;
	return d->chr ? DEBUGCON_HERE : 0xff;
}

static void debugcon_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct debugcon *d = dev;
	uint8_t byte = (uint8_t)val;

	(void)off;
	(void)size;
	(void)chardev_write(d->chr, &byte, 1);
}

static const struct bus_ops debugcon_ops = {debugcon_read, debugcon_write, 1, 1};

int debugcon_map(struct debugcon *d, struct bus *bus, uint16_t port)
{
	return bus_map_pio(bus, port, 1, &debugcon_ops, d, "debugcon") ? 0 : -ENOMEM;
}

static void debugcon_reset(struct device *dev)
{
	(void)dev;
}

static const struct device_class debugcon_class = {
	.name = "debugcon",
	.version = 1,
	.reset = debugcon_reset,
};

struct debugcon *debugcon_new(struct chardev *chr)
{
	struct debugcon *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->dev.cls = &debugcon_class;
	d->chr = chr;
	return d;
}

void debugcon_free(struct debugcon *d)
{
	free(d);
}

struct device *debugcon_device(struct debugcon *d)
{
	return &d->dev;
}
