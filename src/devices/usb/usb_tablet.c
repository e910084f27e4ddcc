// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * USB tablet: a pointer that says where it is, with five buttons and a wheel.
 * Source: HID 1.11 §6.2 (reports); HID Usage Tables 1.12 §4 (desktop), §12 (buttons). Tables:
 * docs/devices/usb_tablet.md. Saved state: version 2. Threads: with the VM lock held.
 */
#include "devices/usb/usb_tablet.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define REPORT_BYTES 6u
#define WHEEL_MAX 127

struct usb_tablet {
	struct usb_hid hid; /* first */
	uint16_t x, y;
	uint8_t buttons;
	int8_t wheel; /* steps not told yet, away from the person counting */
};

/* clang-format off */
static const uint8_t report_desc[] = {
	0x05, 0x01,        /* Usage Page (Generic Desktop) */
	0x09, 0x02,        /* Usage (Mouse) */
	0xa1, 0x01,        /* Collection (Application) */
	0x09, 0x01,        /*  Usage (Pointer) */
	0xa1, 0x00,        /*  Collection (Physical) */
	0x05, 0x09,        /*   Usage Page (Button) */
	0x19, 0x01, 0x29, 0x05, /* Usage 1 to 5 */
	0x15, 0x00, 0x25, 0x01, /* Logical 0 to 1 */
	0x95, 0x05, 0x75, 0x01, /* five of one bit */
	0x81, 0x02,        /*   Input (Data, Variable, Absolute) */
	0x95, 0x01, 0x75, 0x03,
	0x81, 0x01,        /*   Input (Constant) */
	0x05, 0x01,        /*   Usage Page (Generic Desktop) */
	0x09, 0x30, 0x09, 0x31, /* Usage X, Y */
	0x15, 0x00, 0x26, 0xff, 0x7f, /* Logical 0 to 32767 */
	0x35, 0x00, 0x46, 0xff, 0x7f, /* Physical, the same */
	0x95, 0x02, 0x75, 0x10, /* two of 16 bits */
	0x81, 0x02,        /*   Input (Data, Variable, Absolute) */
	0x09, 0x38,        /*   Usage (Wheel) */
	0x15, 0x81, 0x25, 0x7f, /* Logical -127 to 127 */
	0x35, 0x00, 0x45, 0x00,
	0x95, 0x01, 0x75, 0x08,
	0x81, 0x06,        /*   Input (Data, Variable, Relative) */
	0xc0, 0xc0,
};
/* clang-format on */

static void tablet_event(void *opaque, const struct input_event *ev)
{
	static const uint8_t bits[INPUT_BUTTONS] = {[INPUT_LEFT] = 1,
						    [INPUT_RIGHT] = 2,
						    [INPUT_MIDDLE] = 4,
						    [INPUT_SIDE] = 8,
						    [INPUT_EXTRA] = 16};
	struct usb_tablet *t = opaque;

	if (ev->kind == INPUT_ABS) {
		*(ev->code == INPUT_X ? &t->x : &t->y) = (uint16_t)ev->value;
	} else if (ev->kind == INPUT_BUTTON && bits[ev->code]) {
		t->buttons = (uint8_t)(ev->down ? t->buttons | bits[ev->code]
						: t->buttons & ~bits[ev->code]);
	} else if (ev->down && ev->code == INPUT_WHEEL_UP && t->wheel < WHEEL_MAX) {
		t->wheel++;
	} else if (ev->down && ev->code == INPUT_WHEEL_DOWN && t->wheel > -WHEEL_MAX) {
		t->wheel--;
	}
	usb_hid_changed(&t->hid);
}

static unsigned tablet_report(struct usb_hid *h, uint8_t out[USB_HID_REPORT_MAX])
{
	struct usb_tablet *t = container_of(h, struct usb_tablet, hid);

	out[0] = t->buttons;
	st_le16(out + 1, t->x);
	st_le16(out + 3, t->y);
	out[5] = (uint8_t)t->wheel;
	t->wheel = 0;
	return REPORT_BYTES;
}

static const struct usb_hid_kind tablet_kind = {
	.product = "Lodge USB Tablet",
	.report_desc = report_desc,
	.report_desc_len = sizeof(report_desc),
	.report = tablet_report,
};

static void tablet_reset(struct device *dev)
{
	struct usb_tablet *t = container_of(dev, struct usb_tablet, hid.usb.dev);

	usb_hid_reset(&t->hid);
	t->buttons = 0;
	t->wheel = 0;
}

static int tablet_post_load(struct device *dev)
{
	struct usb_tablet *t = container_of(dev, struct usb_tablet, hid.usb.dev);

	if (t->x > INPUT_ABS_MAX || t->y > INPUT_ABS_MAX || t->buttons > 31)
		return -EINVAL;
	return usb_hid_loaded(&t->hid);
}

static const struct state_field tablet_fields[] = {
	STATE_FIELD(struct usb_tablet, x),
	STATE_FIELD(struct usb_tablet, y),
	STATE_FIELD(struct usb_tablet, buttons),
	STATE_FIELD(struct usb_tablet, wheel),
	USB_HID_STATE_FIELDS(struct usb_tablet, hid),
	STATE_END,
};

static const struct device_class tablet_class = {
	.name = "usb-tablet",
	.version = 2,
	.reset = tablet_reset,
	.fields = tablet_fields,
	.post_load = tablet_post_load,
};

struct usb_hid *usb_tablet_new(struct io_loop *loop)
{
	struct usb_tablet *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	usb_hid_init(&t->hid, &tablet_class, &tablet_kind, loop);
	t->hid.sink.name = "USB Tablet";
	t->hid.sink.can = INPUT_CAN_ABS;
	t->hid.sink.event = tablet_event;
	return &t->hid;
}

void usb_tablet_free(struct usb_hid *h)
{
	if (!h)
		return;
	usb_hid_end(h);
	free(container_of(h, struct usb_tablet, hid));
}
