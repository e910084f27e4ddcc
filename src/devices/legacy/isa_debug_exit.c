// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's isa-debug-exit: a write of v ends the machine with exit status (v << 1) | 1.
 * Register table: docs/devices/isa_debug_exit.md. Saved state: version 1, no fields.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/isa_debug_exit.h"

#include <errno.h>
#include <stdlib.h>

struct isa_debug_exit {
	struct device dev;
	void (*exit_vm)(void *opaque, int code);
	void *opaque;
};

static uint64_t debug_exit_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return 0;
}

static void debug_exit_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct isa_debug_exit *d = dev;

	(void)off;
	(void)size;
	/* A process gives its parent the low byte only; the rest is for whoever asks the board. */
	d->exit_vm(d->opaque, (int)((val & 0x3fffffff) << 1 | 1));
}

static const struct bus_ops debug_exit_ops = {debug_exit_read, debug_exit_write, 1, 4};

int isa_debug_exit_map(struct isa_debug_exit *d, struct bus *bus, uint16_t iobase, uint16_t iosize)
{
	if (iosize == 0 || iobase + iosize > 0x10000)
		return -EINVAL;
	return bus_map_pio(bus, iobase, iosize, &debug_exit_ops, d, "isa-debug-exit") ? 0 : -ENOMEM;
}

static void debug_exit_reset(struct device *dev)
{
	(void)dev;
}

static const struct device_class debug_exit_class = {
	.name = "isa-debug-exit",
	.version = 1,
	.reset = debug_exit_reset,
};

struct isa_debug_exit *isa_debug_exit_new(void (*exit_vm)(void *opaque, int code), void *opaque)
{
	struct isa_debug_exit *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->dev.cls = &debug_exit_class;
	d->exit_vm = exit_vm;
	d->opaque = opaque;
	return d;
}

void isa_debug_exit_free(struct isa_debug_exit *d)
{
	free(d);
}

struct device *isa_debug_exit_device(struct isa_debug_exit *d)
{
	return &d->dev;
}
