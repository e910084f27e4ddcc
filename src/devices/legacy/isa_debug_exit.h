/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's isa-debug-exit: a write of v ends the machine with exit status (v << 1) | 1.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_ISA_DEBUG_EXIT_H
#define LODGE_DEVICES_LEGACY_ISA_DEBUG_EXIT_H

#include "bus/bus.h"
#include "bus/device.h"

struct isa_debug_exit; /* begins with struct device */

/* `exit_vm(opaque, code)` must only note the wish: it is called within the guest's access. */
struct isa_debug_exit *isa_debug_exit_new(void (*exit_vm)(void *opaque, int code), void *opaque);
void isa_debug_exit_free(struct isa_debug_exit *d);
struct device *isa_debug_exit_device(struct isa_debug_exit *d);
/* Ports iobase..iobase+iosize-1 (QEMU's defaults: 0x501, 2). 0, -EINVAL or -ENOMEM. */
int isa_debug_exit_map(struct isa_debug_exit *d, struct bus *bus, uint16_t iobase,
		       uint16_t iosize) MUST_CHECK;

#endif
