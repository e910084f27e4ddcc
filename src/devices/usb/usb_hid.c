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
#define GET_STATUS_DEVICE 0x8000u
#define GET_STATUS_INTERFACE 0x8100u
#define GET_STATUS_ENDPOINT 0x8200u
#define CLEAR_FEATURE_DEVICE 0x0001u
#define SET_FEATURE_DEVICE 0x0003u
#define CLEAR_FEATURE_ENDPOINT 0x0201u
#define SET_FEATURE_ENDPOINT 0x0203u
#define SET_ADDRESS 0x0005u
#define GET_DESCRIPTOR 0x8006u
#define GET_DESCRIPTOR_INTERFACE 0x8106u
#define GET_CONFIGURATION 0x8008u
#define SET_CONFIGURATION 0x0009u
#define GET_INTERFACE 0x810au
#define SET_INTERFACE 0x010bu
#define HID_GET_REPORT 0xa101u
#define HID_GET_IDLE 0xa102u
#define HID_GET_PROTOCOL 0xa103u
#define HID_SET_REPORT 0x2109u
#define HID_SET_IDLE 0x210au
#define HID_SET_PROTOCOL 0x210bu

#define DESC_DEVICE 1u
#define DESC_CONFIG 2u
#define DESC_STRING 3u
#define DESC_QUALIFIER 6u
#define DESC_HID 0x21u
#define DESC_REPORT 0x22u

#define REPORT_INPUT 1u
#define REPORT_OUTPUT 2u

#define CONFIG_BYTES 34u
#define HID_AT 18u
#define HID_BYTES 9u

/* clang-format off */
static const uint8_t device_desc[] = {
	18, DESC_DEVICE, 0x00, 0x02, /* USB 2.0 */
	0, 0, 0, 64,                 /* class by interface; packets of 64 */
	0x27, 0x06, 0x01, 0x00,      /* 0627:0001, as QEMU's */
	0x00, 0x00, 1, 2, 3, 1,      /* strings; one configuration */
};

static const uint8_t qualifier_desc[] = {10, DESC_QUALIFIER, 0x00, 0x02, 0, 0, 0, 64, 1, 0};
/* clang-format on */

static struct usb_hid *of(struct usb_device *d)
{
	return container_of(d, struct usb_hid, usb);
}

/* ---- Reports ------------------------------------------------------------------------------------- */

static void set_due(struct usb_hid *h)
{
	if (!h->idle || !h->config) {
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

	if (h->config && h->due_ns)
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

	if (h->changed && h->config)
		usb_ready(&h->usb);
}

static bool hid_active(void *opaque)
{
	return ((const struct usb_hid *)opaque)->config;
}

static bool hid_is_idle(void *opaque)
{
	const struct usb_hid *h = opaque;

	return !h->changed || !h->config;
}

static int hid_in(struct usb_device *d, unsigned ep, uint8_t *data, unsigned len)
{
	struct usb_hid *h = of(d);
	uint8_t now[USB_HID_REPORT_MAX] = {0};
	unsigned n;

	if (ep != 1 || !h->config || h->halted)
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

static int give(const struct usb_setup *s, uint8_t *data, const void *from, size_t len)
{
	size_t n = min_u64(len, s->length);

	memcpy(data, from, n);
	return (int)n;
}

/* Descriptors of strings: UTF-16. */
static int string(const struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	const char *const text[] = {NULL, "Lodge", h->kind->product, "1"};
	static const uint8_t languages[] = {4, DESC_STRING, 0x09, 0x04};
	unsigned n = s->value & 0xff;
	uint8_t out[64] = {0};
	size_t len;

	if (!n)
		return give(s, data, languages, sizeof(languages));
	if (n >= ARRAY_SIZE(text))
		return USB_STALL;
	len = min_u64(strlen(text[n]), sizeof(out) / 2 - 1);
	out[0] = (uint8_t)(2 + 2 * len);
	out[1] = DESC_STRING;
	for (size_t i = 0; i < len; i++)
		out[2 + 2 * i] = (uint8_t)text[n][i];
	return give(s, data, out, out[0]);
}

static void config_desc(const struct usb_hid *h, uint8_t out[CONFIG_BYTES])
{
	const struct usb_hid_kind *k = h->kind;
	/* High speed: a ms, as 2^(4-1) microframes; else 4 ms. The same number means both. */
	const uint8_t interval = 4;
	/* clang-format off */
	const uint8_t desc[CONFIG_BYTES] = {
		9, DESC_CONFIG, CONFIG_BYTES, 0, 1, 1, 0, 0xa0, 50, /* one interface; remote wake-up; 100 mA */
		9, 4, 0, 0, 1, 3, k->subclass, k->protocol, 0,      /* HID */
		HID_BYTES, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, (uint8_t)k->report_desc_len, 0,
		7, 5, 0x81, 3, USB_HID_REPORT_MAX, 0, interval,     /* endpoint 1 IN, interrupt */
	};
	/* clang-format on */

	memcpy(out, desc, sizeof(desc));
}

static int descriptor(const struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	uint8_t config[CONFIG_BYTES];

	switch (s->value >> 8) {
	case DESC_DEVICE:
		return give(s, data, device_desc, sizeof(device_desc));
	case DESC_CONFIG:
		config_desc(h, config);
		return s->value & 0xff ? USB_STALL : give(s, data, config, sizeof(config));
	case DESC_STRING:
		return string(h, s, data);
	case DESC_QUALIFIER: /* one that is fast could be slower */
		return h->usb.speed == USB_HIGH
			       ? give(s, data, qualifier_desc, sizeof(qualifier_desc))
			       : USB_STALL;
	default:
		return USB_STALL;
	}
}

static int hid_descriptor(const struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	uint8_t config[CONFIG_BYTES];

	if (s->value >> 8 == DESC_REPORT)
		return give(s, data, h->kind->report_desc, h->kind->report_desc_len);
	if (s->value >> 8 != DESC_HID)
		return USB_STALL;
	config_desc(h, config);
	return give(s, data, config + HID_AT, HID_BYTES);
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static int feature(struct usb_hid *h, const struct usb_setup *s, bool on)
{
	if (s->type == 0 && s->value == 1) /* DEVICE_REMOTE_WAKEUP */
		h->usb.remote_wakeup = on;
	else if (s->type == 2 && s->value == 0 && s->index == 0x81) /* ENDPOINT_HALT */
		h->halted = on;
	else
		return USB_STALL;
	return 0;
}

static int set_config(struct usb_hid *h, const struct usb_setup *s)
{
	if (s->value > 1)
		return USB_STALL;
	h->config = (uint8_t)s->value;
	h->halted = 0;
	set_due(h);
	return 0;
}

static int status(const struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	uint8_t out[2] = {0};

	if (s->type == 0x80)
		out[0] = (uint8_t)(h->usb.remote_wakeup << 1);
	else if (s->type == 0x82 && s->index == 0x81)
		out[0] = h->halted;
	return give(s, data, out, sizeof(out));
}

static int get_report(struct usb_hid *h, const struct usb_setup *s, uint8_t *data)
{
	uint8_t now[USB_HID_REPORT_MAX] = {0};

	if (s->value >> 8 != REPORT_INPUT)
		return USB_STALL;
	return give(s, data, now, report(h, now));
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
	switch ((unsigned)s->type << 8 | s->request) {
	case HID_GET_REPORT:
		return get_report(h, s, data);
	case HID_SET_REPORT:
		return set_report(h, s, data);
	case HID_GET_IDLE:
		return give(s, data, &h->idle, 1);
	case HID_SET_IDLE:
		h->idle = (uint8_t)(s->value >> 8);
		set_due(h);
		return 0;
	case HID_GET_PROTOCOL:
		return h->kind->subclass ? give(s, data, &h->protocol, 1) : USB_STALL;
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

	switch ((unsigned)s->type << 8 | s->request) {
	case GET_STATUS_DEVICE:
	case GET_STATUS_INTERFACE:
	case GET_STATUS_ENDPOINT:
		return status(h, s, data);
	case CLEAR_FEATURE_DEVICE:
	case CLEAR_FEATURE_ENDPOINT:
		return feature(h, s, false);
	case SET_FEATURE_DEVICE:
	case SET_FEATURE_ENDPOINT:
		return feature(h, s, true);
	case SET_ADDRESS: /* the controller's */
		return 0;
	case GET_DESCRIPTOR:
		return descriptor(h, s, data);
	case GET_DESCRIPTOR_INTERFACE:
		return hid_descriptor(h, s, data);
	case GET_CONFIGURATION:
		return give(s, data, &h->config, 1);
	case SET_CONFIGURATION:
		return set_config(h, s);
	case GET_INTERFACE:
		return give(s, data, "", 1);
	case SET_INTERFACE:
		return s->value ? USB_STALL : 0;
	default:
		return class_control(h, s, data);
	}
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void bus_reset(struct usb_device *d)
{
	struct usb_hid *h = of(d);

	h->config = h->idle = h->halted = h->usb.remote_wakeup = 0;
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
	if (h->changed > 1 || h->config > 1 || h->halted > 1 || h->usb.remote_wakeup > 1 ||
	    h->protocol > 1)
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
