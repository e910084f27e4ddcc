/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB keyboard, whose reports are those of the boot protocol.
 * Source: USB 2.0 §9; USB Device Class Definition for HID 1.11. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_KBD_H
#define LODGE_DEVICES_USB_USB_KBD_H

#include "devices/usb/usb_hid.h"

/* NULL without memory. It begins with what is returned. */
struct usb_hid *usb_kbd_new(struct io_loop *loop);
void usb_kbd_free(struct usb_hid *h);
/* What the guest lit: bit 0 Num Lock, then Caps Lock, Scroll Lock, Compose, Kana. */
uint8_t usb_kbd_leds(const struct usb_hid *h);

#endif
