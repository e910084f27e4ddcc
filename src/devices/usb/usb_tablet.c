// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * USB tablet: a pointer that says where it is, with five buttons and a wheel.
 * Source: USB 2.0 §9.4 (requests), §9.6 (descriptors); HID 1.11 §6.2 (reports), §7 (requests); HID Usage Tables 1.12
 * §4 (desktop), §12 (buttons). Tables: docs/devices/usb_tablet.md. Saved state: version 1.
 *
 * A report says how it is now; one is due when something changed since the last, or the idle rate says so never.
 * Threads: with the VM lock held.
 */
#include "devices/usb/usb_tablet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define REPORT_BYTES 6u
#define WHEEL_MAX 127

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
#define HID_SET_IDLE 0x210au

#define DESC_DEVICE 1u
#define DESC_CONFIG 2u
#define DESC_STRING 3u
#define DESC_QUALIFIER 6u
#define DESC_HID 0x21u
#define DESC_REPORT 0x22u

struct usb_tablet {
	struct usb_device usb;
	struct input_sink sink;
	uint16_t x, y;
	uint8_t buttons;
	int8_t wheel;	 /* steps not told yet, away from the person counting */
	uint8_t changed; /* a report is due */
	uint8_t config, idle, halted, remote_wakeup;
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

static const uint8_t device_desc[] = {
	18, DESC_DEVICE, 0x00, 0x02, /* USB 2.0 */
	0, 0, 0, 64,                 /* class by interface; packets of 64 */
	0x27, 0x06, 0x01, 0x00,      /* 0627:0001, as QEMU's */
	0x00, 0x00, 1, 2, 3, 1,      /* strings; one configuration */
};

static const uint8_t qualifier_desc[] = {10, DESC_QUALIFIER, 0x00, 0x02, 0, 0, 0, 64, 1, 0};

#define HID_AT 18u
static const uint8_t config_desc[] = {
	9, DESC_CONFIG, 34, 0, 1, 1, 0, 0xa0, 50, /* one interface; remote wake-up; 100 mA */
	9, 4, 0, 0, 1, 3, 0, 0, 0,                /* HID, no boot protocol */
	9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, sizeof(report_desc), 0,
	7, 5, 0x81, 3, 8, 0, 4,                   /* endpoint 1 IN, interrupt, each ms */
};
/* clang-format on */
_Static_assert(sizeof(config_desc) == 34, "length in the descriptor");

static struct usb_tablet *of(struct usb_device *d)
{
	return (struct usb_tablet *)d;
}

/* ---- What people do ------------------------------------------------------------------------------ */

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
	t->changed = 1;
}

static void tablet_sync(void *opaque)
{
	struct usb_tablet *t = opaque;

	if (t->changed && t->config)
		usb_ready(&t->usb);
}

static bool tablet_active(void *opaque)
{
	return ((const struct usb_tablet *)opaque)->config;
}

static bool tablet_idle(void *opaque)
{
	const struct usb_tablet *t = opaque;

	return !t->changed || !t->config;
}

static unsigned report(struct usb_tablet *t, uint8_t out[REPORT_BYTES])
{
	out[0] = t->buttons;
	st_le16(out + 1, t->x);
	st_le16(out + 3, t->y);
	out[5] = (uint8_t)t->wheel;
	t->wheel = 0;
	t->changed = 0;
	return REPORT_BYTES;
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static int give(const struct usb_setup *s, uint8_t *data, const void *from, size_t len)
{
	size_t n = min_u64(len, s->length);

	memcpy(data, from, n);
	return (int)n;
}

/* Descriptors of strings: UTF-16. */
static int string(const struct usb_setup *s, uint8_t *data)
{
	static const char *const text[] = {NULL, "Lodge", "Lodge USB Tablet", "1"};
	static const uint8_t languages[] = {4, DESC_STRING, 0x09, 0x04};
	unsigned n = s->value & 0xff;
	uint8_t out[64] = {0};
	size_t len;

	if (!n)
		return give(s, data, languages, sizeof(languages));
	if (n >= ARRAY_SIZE(text))
		return USB_STALL;
	len = strlen(text[n]);
	out[0] = (uint8_t)(2 + 2 * len);
	out[1] = DESC_STRING;
	for (size_t i = 0; i < len; i++)
		out[2 + 2 * i] = (uint8_t)text[n][i];
	return give(s, data, out, out[0]);
}

static int descriptor(const struct usb_setup *s, uint8_t *data)
{
	switch (s->value >> 8) {
	case DESC_DEVICE:
		return give(s, data, device_desc, sizeof(device_desc));
	case DESC_CONFIG:
		return s->value & 0xff ? USB_STALL
				       : give(s, data, config_desc, sizeof(config_desc));
	case DESC_STRING:
		return string(s, data);
	case DESC_QUALIFIER:
		return give(s, data, qualifier_desc, sizeof(qualifier_desc));
	default:
		return USB_STALL;
	}
}

static int hid_descriptor(const struct usb_setup *s, uint8_t *data)
{
	if (s->value >> 8 == DESC_REPORT)
		return give(s, data, report_desc, sizeof(report_desc));
	if (s->value >> 8 == DESC_HID)
		return give(s, data, config_desc + HID_AT, 9);
	return USB_STALL;
}

static int feature(struct usb_tablet *t, const struct usb_setup *s, bool on)
{
	if (s->type == 0 && s->value == 1) /* DEVICE_REMOTE_WAKEUP */
		t->remote_wakeup = on;
	else if (s->type == 2 && s->value == 0 && s->index == 0x81) /* ENDPOINT_HALT */
		t->halted = on;
	else
		return USB_STALL;
	return 0;
}

static int set_config(struct usb_tablet *t, const struct usb_setup *s)
{
	if (s->value > 1)
		return USB_STALL;
	t->config = (uint8_t)s->value;
	t->halted = 0;
	return 0;
}

static int tablet_control(struct usb_device *d, const struct usb_setup *s, uint8_t *data)
{
	struct usb_tablet *t = of(d);
	uint8_t now[REPORT_BYTES];
	uint16_t status;

	switch ((unsigned)s->type << 8 | s->request) {
	case GET_STATUS_DEVICE:
		status = (uint16_t)(t->remote_wakeup << 1);
		return give(s, data, &status, 2);
	case GET_STATUS_INTERFACE:
		return give(s, data, "\0", 2);
	case GET_STATUS_ENDPOINT:
		status = s->index == 0x81 ? t->halted : 0;
		return give(s, data, &status, 2);
	case CLEAR_FEATURE_DEVICE:
	case CLEAR_FEATURE_ENDPOINT:
		return feature(t, s, false);
	case SET_FEATURE_DEVICE:
	case SET_FEATURE_ENDPOINT:
		return feature(t, s, true);
	case SET_ADDRESS: /* the controller's */
		return 0;
	case GET_DESCRIPTOR:
		return descriptor(s, data);
	case GET_DESCRIPTOR_INTERFACE:
		return hid_descriptor(s, data);
	case GET_CONFIGURATION:
		return give(s, data, &t->config, 1);
	case SET_CONFIGURATION:
		return set_config(t, s);
	case GET_INTERFACE:
		return give(s, data, "", 1);
	case SET_INTERFACE:
		return s->value ? USB_STALL : 0;
	case HID_GET_REPORT:
		report(t, now);
		return give(s, data, now, sizeof(now));
	case HID_GET_IDLE:
		return give(s, data, &t->idle, 1);
	case HID_SET_IDLE:
		t->idle = (uint8_t)(s->value >> 8);
		return 0;
	default:
		return USB_STALL;
	}
}

static int tablet_in(struct usb_device *d, unsigned ep, uint8_t *data, unsigned len)
{
	struct usb_tablet *t = of(d);

	if (ep != 1 || !t->config || t->halted)
		return USB_STALL;
	if (!t->changed)
		return USB_NAK;
	if (len < REPORT_BYTES)
		return USB_STALL;
	return (int)report(t, data);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void bus_reset(struct usb_device *d)
{
	struct usb_tablet *t = of(d);

	t->config = t->idle = t->halted = t->remote_wakeup = 0;
}

static void tablet_reset(struct device *dev)
{
	struct usb_tablet *t = (struct usb_tablet *)dev;

	bus_reset(&t->usb);
	t->changed = t->buttons = 0;
	t->wheel = 0;
}

static int tablet_post_load(struct device *dev)
{
	const struct usb_tablet *t = (struct usb_tablet *)dev;

	return t->x > INPUT_ABS_MAX || t->y > INPUT_ABS_MAX || t->buttons > 31 || t->config > 1 ||
			       t->halted > 1 || t->remote_wakeup > 1 || t->changed > 1
		       ? -EINVAL
		       : 0;
}

static const struct state_field tablet_fields[] = {
	STATE_FIELD(struct usb_tablet, x),
	STATE_FIELD(struct usb_tablet, y),
	STATE_FIELD(struct usb_tablet, buttons),
	STATE_FIELD(struct usb_tablet, wheel),
	STATE_FIELD(struct usb_tablet, changed),
	STATE_FIELD(struct usb_tablet, config),
	STATE_FIELD(struct usb_tablet, idle),
	STATE_FIELD(struct usb_tablet, halted),
	STATE_FIELD(struct usb_tablet, remote_wakeup),
	STATE_END,
};

static const struct device_class tablet_class = {
	.name = "usb-tablet",
	.version = 1,
	.reset = tablet_reset,
	.fields = tablet_fields,
	.post_load = tablet_post_load,
};

static const struct usb_device_ops tablet_ops = {
	.reset = bus_reset,
	.control = tablet_control,
	.in = tablet_in,
};

struct usb_tablet *usb_tablet_new(void)
{
	struct usb_tablet *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->usb.dev.cls = &tablet_class;
	t->usb.ops = &tablet_ops;
	t->usb.speed = USB_HIGH;
	t->sink = (struct input_sink){
		.name = "USB Tablet",
		.can = INPUT_CAN_ABS,
		.opaque = t,
		.event = tablet_event,
		.sync = tablet_sync,
		.active = tablet_active,
		.idle = tablet_idle,
	};
	return t;
}

void usb_tablet_free(struct usb_tablet *t)
{
	free(t);
}

struct usb_device *usb_tablet_device(struct usb_tablet *t)
{
	return &t->usb;
}

struct input_sink *usb_tablet_sink(struct usb_tablet *t)
{
	return &t->sink;
}
