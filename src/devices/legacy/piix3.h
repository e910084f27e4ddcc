/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PIIX3 ISA bridge, 8086:7000 at 00:01.0: PCI interrupt routing and the reset control port.
 * Source: Intel 82371FB/82371SB data sheet (290550-002). Register table: docs/devices/piix3.md.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PIIX3_H
#define LODGE_DEVICES_LEGACY_PIIX3_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bus/pci.h"

struct piix3_config {
	/* ISA interrupts 0..15, each to the 8259 pair and the I/O APIC pin of that number. */
	struct irq_line isa_irq[16];
	/* Port 0xCF9 asks for a reset; `hard` resets the platform, else only the processors. */
	void (*reset)(void *opaque, bool hard);
	void *opaque;
};

struct piix3;
/* Takes the PIRQ lines and port 0xCF9 of `pb`. NULL and err on failure. `cfg` is copied. */
struct piix3 *piix3_new(struct pci_bus *pb, const struct piix3_config *cfg, struct lodge_err *err);
void piix3_free(struct piix3 *s);
struct device *piix3_device(struct piix3 *s);
/*
 * What firmware would have done: PIRQ A..D to `irq[]` (10, 10, 11, 11 with SeaBIOS). The board also
 * writes each function's interrupt line register, and the 8259's ELCR.
 */
void piix3_set_pirqs(struct piix3 *s, const uint8_t irq[4]);
/* The IRQ that PIRQ n (0..3) is routed to, or -1. */
int piix3_pirq(const struct piix3 *s, unsigned n);

#endif
