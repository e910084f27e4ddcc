// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PCI hotplug as the DSDT's methods know it: three registers of a bit a slot, read and written in bytes.
 * Register table: docs/devices/pci_hotplug.md. Saved state: version 1.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/pci_hotplug.h"

#include <errno.h>
#include <stdlib.h>

#define REG_BYTES 4u

struct pci_hotplug {
	struct device dev;
	struct pci_hotplug_config cfg;
	uint32_t up, down; /* PCIU, PCID: write 1 to clear */
};

static uint64_t hotplug_read(void *dev, uint64_t off, unsigned size)
{
	const struct pci_hotplug *h = dev;
	unsigned shift = (unsigned)(off % REG_BYTES) * 8;

	(void)size;
	if (off < REG_BYTES)
		return h->up >> shift & 0xff;
	return off < 2 * REG_BYTES ? h->down >> shift & 0xff : 0;
}

static void hotplug_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct pci_hotplug *h = dev;
	unsigned first = (unsigned)(off % REG_BYTES) * 8;
	uint32_t bits = (uint32_t)(val & 0xff) << first;

	(void)size;
	if (off < REG_BYTES) {
		h->up &= ~bits;
	} else if (off < 2 * REG_BYTES) {
		h->down &= ~bits;
	} else {
		for (unsigned slot = first; slot < first + 8; slot++) {
			if (bits >> slot & 1)
				h->cfg.eject(h->cfg.opaque, slot);
		}
	}
}

static const struct bus_ops hotplug_ops = {hotplug_read, hotplug_write, 1, 1};

int pci_hotplug_map(struct pci_hotplug *h, struct bus *bus)
{
	return bus_map_pio(bus, PCI_HOTPLUG_PORT, PCI_HOTPLUG_LEN, &hotplug_ops, h, "pci-hotplug")
		       ? 0
		       : -ENOMEM;
}

void pci_hotplug_added(struct pci_hotplug *h, unsigned slot)
{
	h->up |= 1u << slot;
	h->cfg.notify(h->cfg.opaque);
}

void pci_hotplug_leave(struct pci_hotplug *h, unsigned slot)
{
	h->down |= 1u << slot;
	h->cfg.notify(h->cfg.opaque);
}

/* A guest that starts anew finds what is there by itself. */
static void hotplug_reset(struct device *dev)
{
	struct pci_hotplug *h = (struct pci_hotplug *)dev;

	h->up = h->down = 0;
}

static const struct state_field hotplug_fields[] = {
	STATE_FIELD(struct pci_hotplug, up),
	STATE_FIELD(struct pci_hotplug, down),
	STATE_END,
};

static const struct device_class pci_hotplug_class = {
	.name = "pci-hotplug",
	.version = 1,
	.reset = hotplug_reset,
	.fields = hotplug_fields,
};

struct pci_hotplug *pci_hotplug_new(const struct pci_hotplug_config *cfg)
{
	struct pci_hotplug *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->dev.cls = &pci_hotplug_class;
	h->cfg = *cfg;
	return h;
}

void pci_hotplug_free(struct pci_hotplug *h)
{
	free(h);
}

struct device *pci_hotplug_device(struct pci_hotplug *h)
{
	return &h->dev;
}
