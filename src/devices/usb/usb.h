/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB device, as its controller sees it.
 * Source: USB 2.0 §9. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_H
#define LODGE_DEVICES_USB_USB_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/device.h"

enum usb_speed { USB_FULL = 1, USB_LOW = 2, USB_HIGH = 3 }; /* as xHCI's PORTSC counts them */

/* What a request or transfer came to, where it is no number of bytes. */
#define USB_NAK (-1)
#define USB_STALL (-2)
#define USB_BABBLE (-3)	 /* there is more than was asked for */
#define USB_TIMEOUT (-4) /* no answer */

struct usb_setup {
	uint8_t type, request;
	uint16_t value, index, length;
};
#define USB_DIR_IN 0x80u
/* No request here has more data. */
#define USB_CONTROL_MAX 1024u

struct usb_device;
struct usb_pipe;

struct usb_device_ops {
	/* The bus is reset: default state. */
	void (*reset)(struct usb_device *d);
	/*
	 * A control transfer. IN: fill `data` (s->length or USB_CONTROL_MAX bytes at most) and return how many;
	 * OUT: they are there. USB_STALL.
	 */
	int (*control)(struct usb_device *d, const struct usb_setup *s, uint8_t *data);
	/* An interrupt endpoint is asked: bytes, USB_NAK, USB_STALL, USB_BABBLE. */
	int (*in)(struct usb_device *d, unsigned ep, uint8_t *data, unsigned len);
	/* Of a hub: what is at that port, from 1 on, if packets reach it, or NULL. Others have none. */
	struct usb_device *(*child)(struct usb_device *d, unsigned port);
	/* Of a hub: where the device below that has this address keeps it, for controllers that send packets. */
	struct usb_device *(*find)(struct usb_device *d, unsigned addr, struct usb_pipe **pipe);
};

struct usb_device {
	struct device dev; /* first */
	const struct usb_device_ops *ops;
	enum usb_speed speed;  /* at the controller it is plugged into, which sets it */
	uint8_t remote_wakeup; /* the guest lets it wake a suspended port */
	/* The controller's: there may be data at an IN endpoint now. */
	void (*ready)(void *opaque, struct usb_device *d);
	void *opaque;
};

static inline void usb_ready(struct usb_device *d)
{
	if (d->ready)
		d->ready(d->opaque, d);
}

#endif
