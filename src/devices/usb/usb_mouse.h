/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB mouse, with five buttons and a wheel, and the boot protocol for firmware.
 * Source: USB 2.0 §9; USB Device Class Definition for HID 1.11. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_MOUSE_H
#define LODGE_DEVICES_USB_USB_MOUSE_H

#include "devices/usb/usb_hid.h"

/* NULL without memory. It begins with what is returned. */
struct usb_hid *usb_mouse_new(struct io_loop *loop);
void usb_mouse_free(struct usb_hid *h);

#endif
