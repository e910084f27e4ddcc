/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug console of Bochs and QEMU: bytes written to one port go to a character channel.
 * Source: QEMU's "isa-debugcon" as guests know it: a read gives the byte 0xe9.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_DEBUGCON_H
#define LODGE_DEVICES_LEGACY_DEBUGCON_H

#include "bus/bus.h"
#include "bus/device.h"
#include "chardev/chardev.h"

struct debugcon; /* begins with struct device */

/* `chr` is borrowed, may be NULL: nobody listens, ports read 0xff. NULL when out of memory. */
struct debugcon *debugcon_new(struct chardev *chr);
void debugcon_free(struct debugcon *d);
struct device *debugcon_device(struct debugcon *d);
/* One port (0x402 for SeaBIOS, 0xe9 for Bochs guests); may be called for several. 0 or -ENOMEM. */
int debugcon_map(struct debugcon *d, struct bus *bus, uint16_t port) MUST_CHECK;

#endif
