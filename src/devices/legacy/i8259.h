/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two 8259A interrupt controllers, cascaded as on a PC, with the PIIX edge/level registers.
 * Source: Intel 8259A data sheet (231468); 82371SB (PIIX3) data sheet (290550) for ELCR.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_I8259_H
#define LODGE_DEVICES_LEGACY_I8259_H

#include "bus/bus.h"
#include "bus/device.h"

struct i8259_pair; /* begins with struct device */

/* `intr` follows the master's INT output. NULL when out of memory. */
struct i8259_pair *i8259_new(struct irq_line intr);
void i8259_free(struct i8259_pair *p);
struct device *i8259_device(struct i8259_pair *p);
/* Ports 0x20–0x21, 0xa0–0xa1, 0x4d0–0x4d1. 0 or -ENOMEM. */
int i8259_map(struct i8259_pair *p, struct bus *bus) MUST_CHECK;

/* Interrupt request inputs 0..15 (2, the cascade, is not an input). Fits irq_line.set. */
void i8259_set_irq(void *pair, unsigned n, bool level);
/* The wire of input `n`. */
struct irq_line i8259_irq(struct i8259_pair *p, unsigned n);

/*
 * The processor's INTA cycle: the vector of the highest request, which becomes in service; a
 * spurious IRQ 7 (or 15) when the request has gone. Never negative.
 */
int i8259_ack(struct i8259_pair *p);
/*
 * The registers of the master (0) or the slave (1), for controllers that work elsewhere, in the host's kernel: this pair
 * then holds state and nothing more.
 */
struct i8259_regs {
	uint8_t line, latch, elcr, imr, isr, base, highest, step, needs_icw4, read_isr, poll;
	uint8_t special_mask, auto_eoi, auto_rotate, sfnm;
};
void i8259_get_regs(const struct i8259_pair *p, unsigned which, struct i8259_regs *out);
void i8259_set_regs(struct i8259_pair *p, unsigned which, const struct i8259_regs *in);

/* Level of the INT output. */
bool i8259_intr(const struct i8259_pair *p);

#endif
