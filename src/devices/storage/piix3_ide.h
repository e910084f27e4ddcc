/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PIIX3's IDE function, 8086:7010 at 00:01.1: two channels of two drives, at the ports and interrupts
 * of old, with bus-master DMA.
 * Source: 82371FB/82371SB (PIIX3) data sheet (290550) §2.3, 2.7; Programming Interface for Bus Master
 * IDE Controller, revision 1.0 (SFF-8038i); ATA/ATAPI-7 volume 2 for the command and control blocks.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_PIIX3_IDE_H
#define LODGE_DEVICES_STORAGE_PIIX3_IDE_H

#include "base/err.h"
#include "bus/pci.h"
#include "devices/storage/ata.h"
#include "mem/mem.h"

#define IDE_CHANNELS 2u
#define IDE_UNITS 2u

struct piix3_ide_config {
	struct irq_line irq[IDE_CHANNELS]; /* ISA interrupts 14 and 15 */
	struct mem *mem;
};

struct piix3_ide;

/* NULL and a sentence on failure. `cfg` is copied. */
struct piix3_ide *piix3_ide_new(struct pci_bus *pb, const struct piix3_ide_config *cfg,
				struct lodge_err *err);
void piix3_ide_free(struct piix3_ide *s);
struct device *piix3_ide_device(struct piix3_ide *s);
/* Connect a drive (borrowed; its reset comes before the controller's). -EBUSY when the place is taken. */
int piix3_ide_attach(struct piix3_ide *s, unsigned channel, unsigned unit,
		     struct ata_drive *d) MUST_CHECK;
struct ata_drive *piix3_ide_drive(struct piix3_ide *s, unsigned channel, unsigned unit);
/* What firmware would have done: ports on, bus master on, DMA registers at `bmdma`. */
void piix3_ide_program(struct piix3_ide *s, uint16_t bmdma);

#endif
