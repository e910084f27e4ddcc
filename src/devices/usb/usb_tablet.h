/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB tablet: a pointer that says where it is, with five buttons and a wheel.
 * Source: USB 2.0 §9; USB Device Class Definition for HID 1.11. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_TABLET_H
#define LODGE_DEVICES_USB_USB_TABLET_H

#include "devices/usb/usb.h"
#include "input/input.h"

struct usb_tablet;

/* NULL without memory. */
struct usb_tablet *usb_tablet_new(void);
void usb_tablet_free(struct usb_tablet *t);
struct usb_device *usb_tablet_device(struct usb_tablet *t);
/* Where people's pointer goes; lives as long as it. */
struct input_sink *usb_tablet_sink(struct usb_tablet *t);

#endif
