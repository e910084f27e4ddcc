/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB hub with eight ports, at the speed of the controller it is plugged into, as are the devices behind it.
 * Source: USB 2.0 §11. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_HUB_H
#define LODGE_DEVICES_USB_USB_HUB_H

#include "devices/usb/usb.h"

#define USB_HUB_PORTS 8u

struct usb_hub;

/* NULL without memory. */
struct usb_hub *usb_hub_new(void);
void usb_hub_free(struct usb_hub *h); /* NULL is allowed */
struct usb_device *usb_hub_device(struct usb_hub *h);
/*
 * Plug a device into `port`, from 1 on, or 0 for the first free one; borrowed until the hub goes. After the hub was plugged in
 * itself. The port, -EBUSY, -EINVAL (there is no such port) or -ENOSPC.
 */
int usb_hub_plug(struct usb_hub *h, struct usb_device *d, unsigned port) MUST_CHECK;

#endif
