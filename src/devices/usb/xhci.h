/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xHCI: a USB controller with four ports for USB 2 devices (and four for USB 3, with nothing at them).
 * Source: xHCI 1.1. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_XHCI_H
#define LODGE_DEVICES_USB_XHCI_H

#include "bus/pci.h"
#include "devices/usb/usb.h"
#include "mem/mem.h"

#define XHCI_USB2_PORTS 4u

struct xhci;

/* NULL and a sentence on failure. */
struct xhci *xhci_new(struct pci_bus *pb, uint8_t devfn, struct mem *mem, struct lodge_err *err);
void xhci_free(struct xhci *x); /* NULL is allowed */
struct device *xhci_device(struct xhci *x);
/*
 * Plug a device into `port`, from 1 on, or 0 for the first free one; borrowed until the controller goes. The port, -EBUSY,
 * -EINVAL (there is no such port) or -ENOSPC. Before the guest runs.
 */
int xhci_plug(struct xhci *x, struct usb_device *d, unsigned port) MUST_CHECK;

#endif
