/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two 8237A DMA controllers and the page registers with the POST port 0x80: registers only, as
 * firmware and old systems probe them. No device here transfers by it yet.
 * Source: Intel 8237A data sheet (231466); 82371SB (PIIX3) data sheet (290550) §2.5.1.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_I8237_H
#define LODGE_DEVICES_LEGACY_I8237_H

#include "bus/bus.h"
#include "bus/device.h"

struct i8237_pair; /* begins with struct device */

struct i8237_pair *i8237_new(void);
void i8237_free(struct i8237_pair *p);
struct device *i8237_device(struct i8237_pair *p);
/* Ports 0x00–0x0f, 0xc0–0xdf, 0x80–0x8f (0x92 is port92's). 0 or -ENOMEM. */
int i8237_map(struct i8237_pair *p, struct bus *bus) MUST_CHECK;

#endif
