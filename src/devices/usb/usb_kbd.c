// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * USB keyboard. See usb_kbd.h.
 * Source: HID 1.11 §6.2 (reports), appendix B.1 (boot protocol), C (implementing keyboards), E.6 (a keyboard's
 * descriptor); HID Usage Tables 1.12 §10 (keys), §11 (LEDs). Tables: docs/devices/usb_kbd.md. Saved state: version 2.
 *
 * A report lists the keys that are down now, in the order they went down; the row of src/input sees to it that the
 * guest gets to see each change. Threads: with the VM lock held.
 */
#include "devices/usb/usb_kbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_BYTES 8u
#define REPORT_KEYS 6u
/* More keys than anybody has fingers are not kept. */
#define KEYS_MAX 32u
#define FIRST_MODIFIER 0xe0u
#define LAST_MODIFIER 0xe7u
#define ERROR_ROLL_OVER 1u
#define LEDS 0x1fu

struct usb_kbd {
	struct usb_hid hid; /* first */
	uint8_t modifiers;
	uint8_t down[KEYS_MAX]; /* usages; 0 behind the last */
	uint8_t count;
	uint8_t leds;
};

/* clang-format off */
static const uint8_t report_desc[] = {
	0x05, 0x01,        /* Usage Page (Generic Desktop) */
	0x09, 0x06,        /* Usage (Keyboard) */
	0xa1, 0x01,        /* Collection (Application) */
	0x05, 0x07,        /*  Usage Page (Keyboard) */
	0x19, 0xe0, 0x29, 0xe7, /* Usage: the modifiers */
	0x15, 0x00, 0x25, 0x01, /* Logical 0 to 1 */
	0x75, 0x01, 0x95, 0x08, /* eight of one bit */
	0x81, 0x02,        /*  Input (Data, Variable, Absolute) */
	0x75, 0x08, 0x95, 0x01,
	0x81, 0x01,        /*  Input (Constant) */
	0x05, 0x08,        /*  Usage Page (LEDs) */
	0x19, 0x01, 0x29, 0x05, /* Usage: Num Lock to Kana */
	0x75, 0x01, 0x95, 0x05, /* five of one bit */
	0x91, 0x02,        /*  Output (Data, Variable, Absolute) */
	0x75, 0x03, 0x95, 0x01,
	0x91, 0x01,        /*  Output (Constant) */
	0x05, 0x07,        /*  Usage Page (Keyboard) */
	0x19, 0x00, 0x2a, 0xff, 0x00, /* Usage 0 to 255 */
	0x15, 0x00, 0x26, 0xff, 0x00, /* Logical 0 to 255 */
	0x75, 0x08, 0x95, 0x06, /* six of 8 bits */
	0x81, 0x00,        /*  Input (Data, Array) */
	0xc0,
};
/* clang-format on */

static void set_down(struct usb_kbd *k, uint8_t usage, bool down)
{
	uint8_t *at = memchr(k->down, usage, k->count);

	if (down && !at && k->count < KEYS_MAX) {
		k->down[k->count++] = usage;
	} else if (!down && at) {
		size_t behind = (size_t)(k->down + k->count - at) - 1;

		memmove(at, at + 1, behind);
		k->down[--k->count] = 0;
	}
}

static void kbd_event(void *opaque, const struct input_event *ev)
{
	struct usb_kbd *k = opaque;
	uint8_t usage = ev->kind == INPUT_KEY ? input_key_hid((enum input_key)ev->code) : 0;
	uint8_t bit;

	if (!usage)
		return;
	if (usage >= FIRST_MODIFIER && usage <= LAST_MODIFIER) {
		bit = (uint8_t)(1u << (usage - FIRST_MODIFIER));
		k->modifiers = (uint8_t)(ev->down ? k->modifiers | bit : k->modifiers & ~bit);
	} else {
		set_down(k, usage, ev->down);
	}
	usb_hid_changed(&k->hid);
}

/* The boot protocol's report, and the only one: out[1] is reserved. */
static unsigned kbd_report(struct usb_hid *h, uint8_t out[USB_HID_REPORT_MAX])
{
	const struct usb_kbd *k = container_of(h, struct usb_kbd, hid);

	out[0] = k->modifiers;
	if (k->count > REPORT_KEYS)
		memset(out + 2, ERROR_ROLL_OVER, REPORT_KEYS);
	else
		memcpy(out + 2, k->down, REPORT_KEYS);
	return REPORT_BYTES;
}

static void kbd_output(struct usb_hid *h, const uint8_t *data, unsigned len)
{
	if (len)
		container_of(h, struct usb_kbd, hid)->leds = data[0] & LEDS;
}

static const struct usb_hid_kind kbd_kind = {
	.product = "Lodge USB Keyboard",
	.report_desc = report_desc,
	.report_desc_len = sizeof(report_desc),
	.subclass = 1,
	.protocol = 1,
	.report = kbd_report,
	.output = kbd_output,
};

static void kbd_reset(struct device *dev)
{
	struct usb_kbd *k = container_of(dev, struct usb_kbd, hid.usb.dev);

	usb_hid_reset(&k->hid);
	k->modifiers = k->count = k->leds = 0;
	memset(k->down, 0, sizeof(k->down));
}

static int kbd_post_load(struct device *dev)
{
	struct usb_kbd *k = container_of(dev, struct usb_kbd, hid.usb.dev);

	if (k->count > KEYS_MAX || k->leds & ~LEDS)
		return -EINVAL;
	for (unsigned i = 0; i < KEYS_MAX; i++) {
		if (!k->down[i] != (i >= k->count))
			return -EINVAL;
	}
	return usb_hid_loaded(&k->hid);
}

static const struct state_field kbd_fields[] = {
	STATE_FIELD(struct usb_kbd, modifiers),	   STATE_BUFFER(struct usb_kbd, down),
	STATE_FIELD(struct usb_kbd, count),	   STATE_FIELD(struct usb_kbd, leds),
	USB_HID_STATE_FIELDS(struct usb_kbd, hid), STATE_END,
};

static const struct device_class kbd_class = {
	.name = "usb-kbd",
	.version = 2,
	.reset = kbd_reset,
	.fields = kbd_fields,
	.post_load = kbd_post_load,
};

struct usb_hid *usb_kbd_new(struct io_loop *loop)
{
	struct usb_kbd *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	usb_hid_init(&k->hid, &kbd_class, &kbd_kind, loop);
	k->hid.sink.name = "USB Keyboard";
	k->hid.sink.can = INPUT_CAN_KEYS;
	k->hid.sink.event = kbd_event;
	return &k->hid;
}

void usb_kbd_free(struct usb_hid *h)
{
	if (!h)
		return;
	usb_hid_end(h);
	free(container_of(h, struct usb_kbd, hid));
}

uint8_t usb_kbd_leds(const struct usb_hid *h)
{
	return container_of(h, const struct usb_kbd, hid)->leds;
}
