// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * USB mouse. See usb_mouse.h.
 * Source: HID 1.11 §6.2 (reports), appendix B.2 (boot protocol), E.10 (a mouse's descriptor); HID Usage Tables 1.12 §4,
 * §12. Tables: docs/devices/usb_mouse.md. Saved state: version 2.
 *
 * What does not fit a report is told by the next. Threads: with the VM lock held.
 */
#include "devices/usb/usb_mouse.h"

#include <errno.h>
#include <stdlib.h>

#define BOOT_BYTES 3u
#define REPORT_BYTES 4u
#define MOVE_MAX 127
/* Movement that is kept for later reports. */
#define KEEP_MAX 0x7fff

struct usb_mouse {
	struct usb_hid hid;    /* first */
	int32_t dx, dy, wheel; /* not told yet: right, down, away from the person */
	uint8_t buttons;
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
	0x09, 0x30, 0x09, 0x31, 0x09, 0x38, /* Usage X, Y, Wheel */
	0x15, 0x81, 0x25, 0x7f, /* Logical -127 to 127 */
	0x95, 0x03, 0x75, 0x08, /* three of 8 bits */
	0x81, 0x06,        /*   Input (Data, Variable, Relative) */
	0xc0, 0xc0,
};
/* clang-format on */

static int32_t clamp(int32_t v, int32_t most)
{
	return v > most ? most : v < -most ? -most : v;
}

static void mouse_event(void *opaque, const struct input_event *ev)
{
	static const uint8_t bits[INPUT_BUTTONS] = {[INPUT_LEFT] = 1,
						    [INPUT_RIGHT] = 2,
						    [INPUT_MIDDLE] = 4,
						    [INPUT_SIDE] = 8,
						    [INPUT_EXTRA] = 16};
	struct usb_mouse *m = opaque;
	int32_t *axis = ev->code == INPUT_X ? &m->dx : &m->dy;

	/* The hub's values are far below what an int32_t holds. */
	if (ev->kind == INPUT_REL)
		*axis = clamp(*axis + ev->value, KEEP_MAX);
	else if (ev->kind == INPUT_BUTTON && bits[ev->code])
		m->buttons = (uint8_t)(ev->down ? m->buttons | bits[ev->code]
						: m->buttons & ~bits[ev->code]);
	else if (ev->down && ev->code == INPUT_WHEEL_UP)
		m->wheel = clamp(m->wheel + 1, KEEP_MAX);
	else if (ev->down && ev->code == INPUT_WHEEL_DOWN)
		m->wheel = clamp(m->wheel - 1, KEEP_MAX);
	usb_hid_changed(&m->hid);
}

static uint8_t take(int32_t *from)
{
	int32_t now = clamp(*from, MOVE_MAX);

	*from -= now;
	return (uint8_t)now;
}

static unsigned mouse_report(struct usb_hid *h, uint8_t out[USB_HID_REPORT_MAX])
{
	struct usb_mouse *m = container_of(h, struct usb_mouse, hid);
	bool boot = !h->protocol;

	out[0] = boot ? m->buttons & 7 : m->buttons;
	out[1] = take(&m->dx);
	out[2] = take(&m->dy);
	/* The boot protocol has no wheel. */
	out[3] = boot ? 0 : take(&m->wheel);
	if (boot)
		m->wheel = 0;
	h->changed = m->dx || m->dy || m->wheel;
	return boot ? BOOT_BYTES : REPORT_BYTES;
}

static const struct usb_hid_kind mouse_kind = {
	.product = "Lodge USB Mouse",
	.report_desc = report_desc,
	.report_desc_len = sizeof(report_desc),
	.subclass = 1,
	.protocol = 2,
	.report = mouse_report,
};

static void mouse_reset(struct device *dev)
{
	struct usb_mouse *m = container_of(dev, struct usb_mouse, hid.usb.dev);

	usb_hid_reset(&m->hid);
	m->dx = m->dy = m->wheel = 0;
	m->buttons = 0;
}

static bool too_far(int32_t v)
{
	return v > KEEP_MAX || v < -KEEP_MAX;
}

static int mouse_post_load(struct device *dev)
{
	struct usb_mouse *m = container_of(dev, struct usb_mouse, hid.usb.dev);

	if (too_far(m->dx) || too_far(m->dy) || too_far(m->wheel) || m->buttons > 31)
		return -EINVAL;
	return usb_hid_loaded(&m->hid);
}

static const struct state_field mouse_fields[] = {
	STATE_FIELD(struct usb_mouse, dx),	     STATE_FIELD(struct usb_mouse, dy),
	STATE_FIELD(struct usb_mouse, wheel),	     STATE_FIELD(struct usb_mouse, buttons),
	USB_HID_STATE_FIELDS(struct usb_mouse, hid), STATE_END,
};

static const struct device_class mouse_class = {
	.name = "usb-mouse",
	.version = 2,
	.reset = mouse_reset,
	.fields = mouse_fields,
	.post_load = mouse_post_load,
};

struct usb_hid *usb_mouse_new(struct io_loop *loop)
{
	struct usb_mouse *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	usb_hid_init(&m->hid, &mouse_class, &mouse_kind, loop);
	m->hid.sink.name = "USB Mouse";
	m->hid.sink.can = INPUT_CAN_REL;
	m->hid.sink.event = mouse_event;
	return &m->hid;
}

void usb_mouse_free(struct usb_hid *h)
{
	if (!h)
		return;
	usb_hid_end(h);
	free(container_of(h, struct usb_mouse, hid));
}
