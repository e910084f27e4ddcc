// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keyboards, mice and tablets as USB devices. See usb_hid.h.
 * Source: USB 2.0 §9.4 (requests), §9.6 (descriptors); HID 1.11 §6.2 (descriptors), §7.2 (requests), appendix B (boot
 * protocol). Tables: docs/devices/usb_hid.md.
 *
 * A report says how it is now. One is due when something changed since the last, or the idle rate's time is over.
 * Threads: with the VM lock held.
 */
#include "devices/usb/usb_hid.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"

#define IDLE_UNIT_NS 4000000ull

/* bmRequestType << 8 | bRequest */
#define GET_DESCRIPTOR_INTERFACE 0x8106u
#define HID_GET_REPORT 0xa101u
#define HID_GET_IDLE 0xa102u
#define HID_GET_PROTOCOL 0xa103u
#define HID_SET_REPORT 0x2109u
#define HID_SET_IDLE 0x210au
#define HID_SET_PROTOCOL 0x210bu

#define DESC_HID 0x21u
#define DESC_REPORT 0x22u

#define CLASS 0x20u /* bmRequestType: one of the class */

#define REPORT_INPUT 1u
#define REPORT_OUTPUT 2u

#define CONFIG_BYTES 34u
#define HID_AT 18u
#define HID_BYTES 9u

static struct usb_hid *of(struct usb_device *d)
{
	return container_of(d, struct usb_hid, usb);
}

/* ---- Reports ------------------------------------------------------------------------------------- */

static void set_due(struct usb_hid *h)
{
	if (!h->idle || !h->std.config) {
		h->due_ns = 0;
		io_timer_cancel(&h->timer);
		return;
	}
	h->due_ns = clock_vm_ns() + h->idle * IDLE_UNIT_NS;
	io_timer_arm(&h->timer, h->due_ns);
}

static void on_timer(void *opaque)
{
	struct usb_hid *h = opaque;

	if (h->std.config && h->due_ns)
		usb_ready(&h->usb);
}

static bool is_due(const struct usb_hid *h)
{
	return h->changed || (h->due_ns && clock_vm_ns() >= h->due_ns);
}

static unsigned report(struct usb_hid *h, uint8_t out[USB_HID_REPORT_MAX])
{
	h->changed = 0;
	return h->kind->report(h, out);
}

void usb_hid_changed(struct usb_hid *h)
{
	h->changed = 1;
}

static void hid_sync(void *opaque)
{
	struct usb_hid *h = opaque;

	if (h->changed && h->std.config)
		usb_ready(&h->usb);
}

static bool hid_active(void *opaque)
{
	return ((const struct usb_hid *)opaque)->std.config;
}

static bool hid_is_idle(void *opaque)
{
	const struct usb_hid *h = opaque;

	return !h->changed || !h->std.config;
}

static int hid_in(struct usb_device *d, unsigned ep, uint8_t *data, unsigned len)
{
	struct usb_hid *h = of(d);
	uint8_t now[USB_HID_REPORT_MAX] = {0};
	unsigned n;

	if (ep != 1 || !h->std.config || h->std.halted)
		return USB_STALL;
	if (!is_due(h))
		return USB_NAK;
	n = report(h, now);
	set_due(h);
	if (n > len)
		return USB_BABBLE;
	memcpy(data, now, n);
	return (int)n;
}

/* ---- Descriptors --------------------------------------------------------------------------------- */

static void config_desc(const struct usb_hid *h, uint8_t out[CONFIG_BYTES])
{
	const struct usb_hid_kind *k = h->kind;
	/* High speed: a ms, as 2^(4-1) microframes; else 4 ms. The same number means both. */
	const uint8_t interval = 4;
	/* clang-format off */
	const uint8_t desc[CONFIG_BYTES] = {
		9, USB_DESC_CONFIG, CONFIG_BYTES, 0, 1, 1, 0, 0xa0, 50, /* one interface; remote wake-up; 100 mA */
		9, 4, 0, 0, 1, 3, k->subclass, k->protocol, 0,      /* HID */
		HID_BYTES, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, (uint8_t)k->report_desc_len, 0,
		7, 5, 0x81, 3, USB_HID_REPORT_MAX, 0, interval,     /* endpoint 1 IN, interrupt */
	};
	/* clang-format on */

	memcpy(out, desc, sizeof(desc));
}

static int hid_descriptor(const struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	uint8_t config[CONFIG_BYTES];

	if (s->value >> 8 == DESC_REPORT)
		return usb_give(s, data, h->kind->report_desc, h->kind->report_desc_len);
	if (s->value >> 8 != DESC_HID)
		return USB_STALL;
	config_desc(h, config);
	return usb_give(s, data, config + HID_AT, HID_BYTES);
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static int get_report(struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	uint8_t now[USB_HID_REPORT_MAX] = {0};

	if (s->value >> 8 != REPORT_INPUT)
		return USB_STALL;
	return usb_give(s, data, now, report(h, now));
}

static int set_report(struct usb_hid *h, const struct usb_setup *s, const uint8_t *data)
{
	if (s->value >> 8 != REPORT_OUTPUT || !h->kind->output)
		return USB_STALL;
	h->kind->output(h, data, s->length);
	return 0;
}

/* The requests of its class. */
static int class_control(struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	switch (usb_request(s)) {
	case HID_GET_REPORT:
		return get_report(h, s, data);
	case HID_SET_REPORT:
		return set_report(h, s, data);
	case HID_GET_IDLE:
		return usb_give(s, data, &h->idle, 1);
	case HID_SET_IDLE:
		h->idle = (uint8_t)(s->value >> 8);
		set_due(h);
		return 0;
	case HID_GET_PROTOCOL:
		return h->kind->subclass ? usb_give(s, data, &h->protocol, 1) : USB_STALL;
	case HID_SET_PROTOCOL:
		if (!h->kind->subclass || s->value > 1)
			return USB_STALL;
		h->protocol = (uint8_t)s->value;
		return 0;
	default:
		return USB_STALL;
	}
}

static int hid_control(struct usb_device *d, const struct usb_setup *s, uint8_t *data)
{
	struct usb_hid *h = of(d);
	uint8_t config[CONFIG_BYTES];
	bool configured;
	int r;

	if (usb_request(s) == GET_DESCRIPTOR_INTERFACE)
		return hid_descriptor(h, s, data);
	if (s->type & CLASS)
		return class_control(h, s, data);
	config_desc(h, config);
	r = usb_std_control(&h->std, d, s, data, config, sizeof(config), &configured);
	if (configured)
		set_due(h);
	return r;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void bus_reset(struct usb_device *d)
{
	struct usb_hid *h = of(d);

	h->std.config = h->idle = h->std.halted = h->usb.remote_wakeup = 0;
	h->protocol = 1;
	set_due(h);
}

void usb_hid_reset(struct usb_hid *h)
{
	bus_reset(&h->usb);
	h->changed = 0;
}

int usb_hid_loaded(struct usb_hid *h)
{
	if (!usb_std_is_sound(&h->std, &h->usb) || h->changed > 1 || h->protocol > 1)
		return -EINVAL;
	set_due(h);
	return 0;
}

static const struct usb_device_ops hid_ops = {
	.reset = bus_reset,
	.control = hid_control,
	.in = hid_in,
};

void usb_hid_init(struct usb_hid *h, const struct device_class *cls,
		  const struct usb_hid_kind *kind, struct io_loop *loop)
{
	h->usb.dev.cls = cls;
	h->usb.ops = &hid_ops;
	h->usb.speed = USB_HIGH;
	h->kind = kind;
	/* As QEMU's. */
	h->std = (struct usb_std){.product = kind->product, .vendor = 0x0627, .id = 0x0001};
	h->protocol = 1;
	h->sink.opaque = h;
	h->sink.sync = hid_sync;
	h->sink.active = hid_active;
	h->sink.idle = hid_is_idle;
	io_timer_init(&h->timer, loop, on_timer, h);
}

void usb_hid_end(struct usb_hid *h)
{
	io_timer_cancel(&h->timer);
}
