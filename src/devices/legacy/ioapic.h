/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O APIC: 24 pins, redirection table, index/data window.
 * Source: Intel 82093AA data sheet (290566-001); EOI register as in ICH (version 0x20).
 * Register table: docs/devices/ioapic.md.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_IOAPIC_H
#define LODGE_DEVICES_LEGACY_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/device.h"
#include "devices/legacy/apic_bus.h"

#define IOAPIC_DEFAULT_BASE 0xfec00000ull
#define IOAPIC_MMIO_LEN 0x1000u
#define IOAPIC_PINS 24u

/* Joins `ab`. `id` is the reset value of the ID register. NULL when out of memory. */
struct ioapic *ioapic_new(struct apic_bus *ab, uint8_t id);
void ioapic_free(struct ioapic *io);
struct device *ioapic_device(struct ioapic *io);
extern const struct bus_ops ioapic_mmio_ops; /* opaque: struct ioapic */

/*
 * Drive pin `n` (out of range: ignored). `level` true means "asserted" whatever polarity the guest
 * programmed. Fits irq_line.set.
 */
void ioapic_set_pin(void *ioapic, unsigned n, bool level);

/* The registers, for an I/O APIC that works elsewhere, in the host's kernel: this one then holds state and nothing more. */
struct ioapic_regs {
	uint64_t redir[IOAPIC_PINS];
	uint32_t lines;
	uint8_t id, index;
};
void ioapic_rest(struct ioapic *io);
void ioapic_get_regs(const struct ioapic *io, struct ioapic_regs *out);
void ioapic_set_regs(struct ioapic *io, const struct ioapic_regs *in);

/* For the APIC bus. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);
/*
 * The same for each level request that no local APIC has in `held`, the sum of their IRR and ISR: the end of an interrupt
 * may still have been on its way when the machine stopped. True: there was one.
 */
bool ioapic_end_unheld(struct ioapic *io, const uint32_t held[8]);
void ioapic_retry(struct ioapic *io);

#endif
