/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer: three counters at 1.193182 MHz.
 * Source: Intel 82C54 data sheet (231244).
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_I8254_H
#define LODGE_DEVICES_LEGACY_I8254_H

#include "bus/bus.h"
#include "bus/device.h"
#include "io/loop.h"

#define I8254_HZ 1193182u

struct i8254; /* begins with struct device */

/*
 * `irq0` follows OUT of counter 0. Gates 0 and 1 are wired high. NULL when out of memory.
 * Periods of counter 0 that the host was too late for are made up for, up to a bound, at no more
 * than twice the programmed pace. Interrupts never come closer than 25 us.
 */
struct i8254 *i8254_new(struct io_loop *loop, struct irq_line irq0);
void i8254_free(struct i8254 *pit);
struct device *i8254_device(struct i8254 *pit);
/* Ports base..base+3 (0x40). 0 or -ENOMEM. */
int i8254_map(struct i8254 *pit, struct bus *bus, uint16_t base) MUST_CHECK;

/*
 * For a timer that works elsewhere, in the host's kernel: this one then holds state, and neither counts nor interrupts.
 * Registers of a counter; since_ns: how long ago its count was loaded.
 */
struct i8254_regs {
	uint64_t since_ns;
	uint32_t count;
	uint16_t latch;
	uint8_t latched, status, has_status, rw, mode, bcd, gate, read_msb, write_msb, low_byte;
};
void i8254_rest(struct i8254 *pit);
void i8254_get_regs(const struct i8254 *pit, unsigned counter, struct i8254_regs *out);
void i8254_set_regs(struct i8254 *pit, unsigned counter, const struct i8254_regs *in);

/* GATE input and OUT output of counter 0..2, as port 0x61 uses those of counter 2. */
void i8254_set_gate(struct i8254 *pit, unsigned counter, bool level);
bool i8254_gate(const struct i8254 *pit, unsigned counter);
bool i8254_out(struct i8254 *pit, unsigned counter);

#endif
