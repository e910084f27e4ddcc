/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests every USB device has: descriptors, one configuration, one interface, one interrupt IN endpoint (81h).
 * Source: USB 2.0 §9.4 (requests), §9.6 (descriptors). Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_STD_H
#define LODGE_DEVICES_USB_USB_STD_H

#include <stddef.h>

#include "devices/usb/usb.h"

#define USB_CONFIG_MAX 64u

enum {
	USB_DESC_DEVICE = 1,
	USB_DESC_CONFIG = 2,
	USB_DESC_STRING = 3,
	USB_DESC_QUALIFIER = 6,
};

/* Which bmRequestType << 8 | bRequest it is. */
static inline unsigned usb_request(const struct usb_setup *s)
{
	return (unsigned)s->type << 8 | s->request;
}

struct usb_std {
	const char *product;
	uint8_t cls, protocol; /* of the device */
	uint16_t vendor, id;
	/* Saved by its owner. */
	uint8_t config, halted;
};

/* At most as much as was asked for; how many bytes. */
int usb_give(const struct usb_setup *s, uint8_t *data, const void *from, size_t len);
/*
 * A request, with the configuration's descriptor; USB_STALL also of those that are the device's own. *configured: there
 * is a configuration now, or there is none any more.
 */
int usb_std_control(struct usb_std *u, struct usb_device *d, const struct usb_setup *s,
		    uint8_t *data, const uint8_t *config, size_t config_len, bool *configured);
bool usb_std_is_sound(const struct usb_std *u, const struct usb_device *d);

#endif
