/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI hotplug as the DSDT's methods know it: which slots have a new card, which shall be given up, and the
 * guest's word that one may be taken out. Register table: docs/devices/pci_hotplug.md.
 * Source: the interface is our own, between this file and firmware/dsdt.c; ACPI 6.4 §6.3 (_EJ0), §5.6.4 (GPE).
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PCI_HOTPLUG_H
#define LODGE_DEVICES_LEGACY_PCI_HOTPLUG_H

#include "bus/bus.h"
#include "bus/device.h"

#define PCI_HOTPLUG_PORT 0xae00u
#define PCI_HOTPLUG_LEN 12u
#define PCI_HOTPLUG_GPE 1u

struct pci_hotplug_config {
	/* There is something to look at: the general-purpose event. */
	void (*notify)(void *opaque);
	/* The guest has let the card in `slot` go (a guest may say so at any time). */
	void (*eject)(void *opaque, unsigned slot);
	void *opaque;
};

struct pci_hotplug;

/* NULL without memory. Copied. */
struct pci_hotplug *pci_hotplug_new(const struct pci_hotplug_config *cfg);
void pci_hotplug_free(struct pci_hotplug *h);
struct device *pci_hotplug_device(struct pci_hotplug *h);
int pci_hotplug_map(struct pci_hotplug *h, struct bus *bus) MUST_CHECK;
/* A card is in `slot` now; the guest is asked to let it go. */
void pci_hotplug_added(struct pci_hotplug *h, unsigned slot);
void pci_hotplug_leave(struct pci_hotplug *h, unsigned slot);

#endif
