/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An AHCI host bus adapter as the ICH9 has it, 8086:2922: six ports for SATA disks and CD-ROMs.
 * Source: Serial ATA AHCI Specification 1.3.1; Serial ATA 2.6 §10.3 for frames (FIS); ICH9 data sheet
 * (316972) for its identity.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_AHCI_H
#define LODGE_DEVICES_STORAGE_AHCI_H

#include "base/err.h"
#include "bus/pci.h"
#include "devices/storage/ata.h"
#include "mem/mem.h"

#define AHCI_PORTS 6u

struct ahci;

/* NULL and a sentence on failure. `mem` is borrowed. */
struct ahci *ahci_new(struct pci_bus *pb, uint8_t devfn, struct mem *mem, struct lodge_err *err);
void ahci_free(struct ahci *a);
struct device *ahci_device(struct ahci *a);
extern const struct device_class ahci_class;
struct ahci *ahci_of_device(struct device *dev); /* the inverse */
uint8_t ahci_devfn(const struct ahci *a);
/* Connect a drive (borrowed). -EBUSY when the port is taken. */
int ahci_attach(struct ahci *a, unsigned port, struct ata_drive *d) MUST_CHECK;
struct ata_drive *ahci_drive(struct ahci *a, unsigned port);

#endif
