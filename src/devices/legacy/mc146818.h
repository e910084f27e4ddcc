/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818A real-time clock with 256 bytes of CMOS RAM.
 * Source: Motorola MC146818A data sheet; 82371SB (PIIX3) data sheet (290550) §2.5.5 for ports
 * 0x70–0x73; Ralf Brown's CMOS list for what a PC's firmware keeps where.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_MC146818_H
#define LODGE_DEVICES_LEGACY_MC146818_H

#include "bus/bus.h"
#include "bus/device.h"
#include "io/loop.h"

struct mc146818; /* begins with struct device */

struct mc146818_config {
	struct io_loop *loop;
	struct irq_line irq;	  /* IRQ 8 */
	struct irq_line nmi_mask; /* level of bit 7 of port 0x70; may be empty */
	int64_t offset_s;	  /* guest's clock minus CLOCK_REALTIME in UTC, in seconds */
};

/* The config is copied. NULL when out of memory. */
struct mc146818 *mc146818_new(const struct mc146818_config *cfg);
void mc146818_free(struct mc146818 *rtc);
struct device *mc146818_device(struct mc146818 *rtc);
/* Ports base..base+3 (0x70). 0 or -ENOMEM. */
int mc146818_map(struct mc146818 *rtc, struct bus *bus, uint16_t base) MUST_CHECK;

/* CMOS bytes, 0..255. The board's bytes survive reset, as CMOS does. */
uint8_t mc146818_get_byte(const struct mc146818 *rtc, uint8_t index);
void mc146818_set_byte(struct mc146818 *rtc, uint8_t index, uint8_t val);
/*
 * Memory size bytes 0x15–0x18, 0x30–0x31, 0x34–0x35, 0x5b–0x5d from the RAM below and above 4 GiB
 * (both in bytes; the first counts from address 0), and the equipment byte's fixed parts.
 */
void mc146818_set_memory(struct mc146818 *rtc, uint64_t low_bytes, uint64_t high_bytes);
/*
 * Boot order for SeaBIOS, up to three devices (1 floppy, 2 disk, 3 CD, 4 network), and whether a floppy
 * needs a signature to be booted: 0x3d, 0x38.
 */
void mc146818_set_boot_order(struct mc146818 *rtc, const uint8_t order[3], bool floppy_check);
/* Types of the two floppy drives (0: none) in 0x10, and their number in the equipment byte. */
void mc146818_set_floppies(struct mc146818 *rtc, uint8_t first, uint8_t second);
/* Number of processors less one, 0x5f. */
void mc146818_set_cpus(struct mc146818 *rtc, unsigned cpus);

#endif
