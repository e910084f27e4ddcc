/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The high precision event timer: a 100 MHz counter and three comparators.
 * Source: IA-PC HPET Specification 1.0a. Register table: docs/devices/hpet.md.
 *
 * Threads: with the VM lock held. Timers run on the io thread.
 */
#ifndef LODGE_DEVICES_LEGACY_HPET_H
#define LODGE_DEVICES_LEGACY_HPET_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/device.h"
#include "io/loop.h"

#define HPET_DEFAULT_BASE 0xfed00000ull
#define HPET_MMIO_LEN 0x400u
#define HPET_TIMERS 3u
#define HPET_PERIOD_FS 10000000u  /* 10 ns */
#define HPET_BLOCK_ID 0x8086a201u /* low half of the capabilities register, for the ACPI table */
#define HPET_GSIS 24u
/* An interrupt source of the HPET is never faster than this, whatever is programmed. */
#define HPET_MIN_PERIOD_NS 20000u

struct hpet_config {
	/*
	 * The board's global system interrupts. 0 is the ISA IRQ 0 (8259 IR0 and, by the MADT's
	 * override, I/O APIC pin 2), 8 is IRQ 8; the others are I/O APIC pins.
	 */
	struct irq_line gsi[HPET_GSIS];
	uint32_t routes; /* GSIs a timer may choose: bit 2 on a PIIX board */
	struct irq_line legacy; /* up while it has the 8254's and the RTC's place; may be empty */
};

/* `loop` is borrowed, `cfg` copied. NULL when out of memory. */
struct hpet *hpet_new(struct io_loop *loop, const struct hpet_config *cfg);
void hpet_free(struct hpet *h);
struct device *hpet_device(struct hpet *h);
extern const struct bus_ops hpet_mmio_ops; /* opaque: struct hpet */

/*
 * The 8254's and the RTC's interrupt outputs go through the HPET, which cuts them off in legacy
 * replacement mode (§2.4.4 of the specification): n = 0 the 8254, on to GSI 0; n = 8 the RTC, on to
 * GSI 8. Fits irq_line.set.
 */
void hpet_set_legacy_input(void *hpet, unsigned n, bool level);

#endif
