/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keyboards, mice and tablets have in common as USB devices: descriptors, requests, one interrupt endpoint, idle
 * rate. Each kind is a struct that begins with struct usb_hid, and says what a report is.
 * Source: USB 2.0 §9; USB Device Class Definition for HID 1.11. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_HID_H
#define LODGE_DEVICES_USB_USB_HID_H

#include <stddef.h>

#include "devices/usb/usb_std.h"
#include "input/input.h"
#include "io/loop.h"

#define USB_HID_REPORT_MAX 8u

struct usb_hid;

struct usb_hid_kind {
	const char *product;
	const uint8_t *report_desc; /* up to 255 bytes */
	size_t report_desc_len;
	/* Interface: 1 for one that has a boot protocol; 1 keyboard, 2 mouse. */
	uint8_t subclass, protocol;
	/* The report now, whose length it returns; h->changed is 1 afterwards if another is due. */
	unsigned (*report)(struct usb_hid *h, uint8_t out[USB_HID_REPORT_MAX]);
	/* An output report. NULL: there is none. */
	void (*output)(struct usb_hid *h, const uint8_t *data, unsigned len);
};

struct usb_hid {
	struct usb_device usb; /* first */
	struct input_sink sink;
	struct usb_std std;
	const struct usb_hid_kind *kind;
	struct io_timer timer;
	/* Saved, by USB_HID_STATE_FIELDS. */
	uint8_t changed; /* a report is due: something happened since the last */
	uint8_t idle;
	uint8_t protocol; /* 0: boot, 1: report */
	/* When one is due though nothing happened; 0: never. Counts anew in a machine that was saved. */
	uint64_t due_ns;
};

#define USB_HID_FIELD(type, member, as, v)                                                \
	{                                                                                 \
		.name = as, .offset = offsetof(type, member),                             \
		.elem_size = sizeof(((type *)0)->member), .kind = STATE_UINT, .count = 1, \
		.since = (v)                                                              \
	}
/* Saved-state fields of a struct whose usb_hid member is `m`; the class has version 2 at least. */
#define USB_HID_STATE_FIELDS(type, m)                                         \
	USB_HID_FIELD(type, m.changed, "changed", 1),                         \
		USB_HID_FIELD(type, m.std.config, "config", 1),               \
		USB_HID_FIELD(type, m.idle, "idle", 1),                       \
		USB_HID_FIELD(type, m.std.halted, "halted", 1),               \
		USB_HID_FIELD(type, m.usb.remote_wakeup, "remote_wakeup", 1), \
		USB_HID_FIELD(type, m.protocol, "protocol", 2)

/* A new device, all zeros: `kind` is borrowed. The sink's name, can and event are the device's to set. */
void usb_hid_init(struct usb_hid *h, const struct device_class *cls,
		  const struct usb_hid_kind *kind, struct io_loop *loop);
/* Before its memory is freed. */
void usb_hid_end(struct usb_hid *h);
/* Something happened: a report is due. */
void usb_hid_changed(struct usb_hid *h);
/* For a class's reset and post_load. */
void usb_hid_reset(struct usb_hid *h);
int usb_hid_loaded(struct usb_hid *h) MUST_CHECK;

#endif
