/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two 8237A DMA controllers and the page registers with the POST port 0x80. A device on a channel moves
 * its data by i8237_transfer(), as much as the channel's programming lets it.
 * Source: Intel 8237A data sheet (231466); 82371SB (PIIX3) data sheet (290550) §2.5.1.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_I8237_H
#define LODGE_DEVICES_LEGACY_I8237_H

#include "bus/bus.h"
#include "bus/device.h"
#include "mem/mem.h"

struct i8237_pair; /* begins with struct device */

/* `mem` is borrowed; NULL: transfers move nothing. */
struct i8237_pair *i8237_new(struct mem *mem);
void i8237_free(struct i8237_pair *p);
struct device *i8237_device(struct i8237_pair *p);
/* Ports 0x00–0x0f, 0xc0–0xdf, 0x80–0x8f (0x92 is port92's). 0 or -ENOMEM. */
int i8237_map(struct i8237_pair *p, struct bus *bus) MUST_CHECK;

/*
 * Move up to `len` bytes between `buf` and memory by channel 0..3 or 5..7 (whose transfers are of words).
 * Returns how many were moved: 0 while the channel is masked, disabled or programmed for the other
 * direction. *tc: the count has run out. A channel set to verify moves nothing and counts.
 */
uint32_t i8237_transfer(struct i8237_pair *p, unsigned channel, uint8_t *buf, uint32_t len,
			bool to_memory, bool *tc);
/* Called when the channel may have become ready for a transfer; one device a channel. */
void i8237_set_listener(struct i8237_pair *p, unsigned channel, void (*ready)(void *opaque),
			void *opaque);

#endif
