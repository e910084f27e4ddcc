/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI: the PIIX3's USB controller, with two ports.
 * Source: Intel UHCI Design Guide 1.1; 82371SB (PIIX3) data sheet §2.4. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_UHCI_H
#define LODGE_DEVICES_USB_UHCI_H

#include "bus/pci.h"
#include "devices/usb/usb.h"
#include "io/loop.h"
#include "mem/mem.h"

#define UHCI_PORTS 2u

struct uhci;

/* NULL and a sentence on failure. */
struct uhci *uhci_new(struct pci_bus *pb, uint8_t devfn, struct mem *mem, struct io_loop *loop,
		      struct lodge_err *err);
void uhci_free(struct uhci *u); /* NULL is allowed */
struct device *uhci_device(struct uhci *u);
/*
 * Plug a device into `port`, from 1 on, or 0 for the first free one; borrowed until the controller goes. The port, -EBUSY,
 * -EINVAL (there is no such port) or -ENOSPC. Before the guest runs.
 */
int uhci_plug(struct uhci *u, struct usb_device *d, unsigned port) MUST_CHECK;

#endif
