/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI: one message, in configuration space; 64-bit address, no mask.
 * Source: PCI Local Bus Specification 3.0 §6.8.1.
 *
 * While msi_enabled() a function must not use its INTx pin. The capability is saved with the
 * function's configuration space.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_BUS_MSI_H
#define LODGE_BUS_MSI_H

#include "bus/pci.h"

struct msi {
	struct pci_dev *pci;
	uint8_t cap; /* offset of the capability; 0: the function has none */
};

/* Once, after pci_dev_init. -ENOSPC. */
int msi_init(struct msi *m, struct pci_dev *pci) MUST_CHECK;
bool msi_enabled(const struct msi *m);
/* Send the message; nothing if it is not enabled. */
void msi_notify(struct msi *m);

#endif
