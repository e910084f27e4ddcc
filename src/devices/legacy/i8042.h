/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8042 keyboard controller with its keyboard and mouse.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"; Intel UPI-41/42 data sheet.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_I8042_H
#define LODGE_DEVICES_LEGACY_I8042_H

#include "bus/bus.h"
#include "bus/device.h"
#include "devices/legacy/ps2_keyboard.h"
#include "devices/legacy/ps2_mouse.h"

struct i8042; /* begins with struct device */

struct i8042_config {
	struct irq_line irq1;  /* keyboard */
	struct irq_line irq12; /* mouse */
	struct irq_line a20;   /* output port bit 1, told on each write of it */
	struct irq_line reset; /* pulsed when the output port's bit 0 is pulled low */
};

/* Creates its keyboard and mouse too. NULL when out of memory. */
struct i8042 *i8042_new(const struct i8042_config *cfg);
void i8042_free(struct i8042 *c);
struct device *i8042_device(struct i8042 *c);
/* Borrowed; each is a device of its own in the board's list (reset, saved state). */
struct ps2_keyboard *i8042_keyboard(struct i8042 *c);
struct ps2_mouse *i8042_mouse(struct i8042 *c);
/* Ports 0x60 and 0x64. 0 or -ENOMEM. */
int i8042_map(struct i8042 *c, struct bus *bus) MUST_CHECK;

#endif
