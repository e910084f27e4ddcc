// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * USB hub. See usb_hub.h.
 * Source: USB 2.0 §11.12 (status change endpoint), §11.23 (descriptors), §11.24 (requests). Tables: docs/devices/usb_hub.md.
 * Saved state: version 1. Threads: with the VM lock held.
 *
 * Power is switched by port. A reset is over at once. A suspended port is not woken by its device.
 */
#include "devices/usb/usb_hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/usb/usb_pipe.h"
#include "devices/usb/usb_std.h"

#define CONFIG_BYTES 25u
#define HUB_DESC 0x29u
#define CHANGE_BYTES 2u

#define GET_HUB_DESCRIPTOR 0xa006u
#define GET_HUB_STATUS 0xa000u
#define CLEAR_HUB_FEATURE 0x2001u
#define SET_HUB_FEATURE 0x2003u
#define GET_PORT_STATUS 0xa300u
#define CLEAR_PORT_FEATURE 0x2301u
#define SET_PORT_FEATURE 0x2303u
#define CLASS 0x20u

/* wPortStatus and features of ports, by bit; changes are 16 above. */
enum {
	PORT_CONNECTION = 0,
	PORT_ENABLE = 1,
	PORT_SUSPEND = 2,
	PORT_OVER_CURRENT = 3,
	PORT_RESET = 4,
	PORT_POWER = 8,
	PORT_LOW_SPEED = 9,
	PORT_HIGH_SPEED = 10,
};
#define BIT(n) (1u << (n))
#define CHANGE(n) BIT((n) + 16)
#define STATUS_BITS                                                                      \
	(BIT(PORT_CONNECTION) | BIT(PORT_ENABLE) | BIT(PORT_SUSPEND) | BIT(PORT_POWER) | \
	 BIT(PORT_LOW_SPEED) | BIT(PORT_HIGH_SPEED) | CHANGE(PORT_CONNECTION) |          \
	 CHANGE(PORT_ENABLE) | CHANGE(PORT_SUSPEND) | CHANGE(PORT_RESET))

struct usb_hub {
	struct usb_device usb; /* first */
	struct usb_std std;
	struct usb_device *at[USB_HUB_PORTS];
	uint32_t port[USB_HUB_PORTS]; /* status, changes above */
	struct usb_pipe pipe[USB_HUB_PORTS];
};

static struct usb_hub *of(struct usb_device *d)
{
	return container_of(d, struct usb_hub, usb);
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static void changed(struct usb_hub *h)
{
	if (h->std.config)
		usb_ready(&h->usb);
}

static void bus_reset_child(struct usb_hub *h, unsigned i)
{
	usb_pipe_reset(&h->pipe[i]);
	if (h->at[i])
		h->at[i]->ops->reset(h->at[i]);
}

static void power(struct usb_hub *h, unsigned i)
{
	if (h->port[i] & BIT(PORT_POWER))
		return;
	h->port[i] = BIT(PORT_POWER);
	if (h->at[i])
		h->port[i] |= BIT(PORT_CONNECTION) | CHANGE(PORT_CONNECTION);
	bus_reset_child(h, i);
	changed(h);
}

static void reset_port(struct usb_hub *h, unsigned i)
{
	const struct usb_device *d = h->at[i];

	if (!d || !(h->port[i] & BIT(PORT_POWER)))
		return;
	bus_reset_child(h, i);
	h->port[i] &= ~(BIT(PORT_SUSPEND) | BIT(PORT_HIGH_SPEED) | BIT(PORT_LOW_SPEED));
	h->port[i] |= BIT(PORT_ENABLE) | CHANGE(PORT_RESET);
	if (d->speed == USB_HIGH)
		h->port[i] |= BIT(PORT_HIGH_SPEED);
	changed(h);
}

static int set_port(struct usb_hub *h, unsigned i, unsigned feature)
{
	switch (feature) {
	case PORT_POWER:
		power(h, i);
		return 0;
	case PORT_RESET:
		reset_port(h, i);
		return 0;
	case PORT_SUSPEND:
		if (h->port[i] & BIT(PORT_ENABLE))
			h->port[i] |= BIT(PORT_SUSPEND);
		return 0;
	default:
		return USB_STALL;
	}
}

static int clear_port(struct usb_hub *h, unsigned i, unsigned feature)
{
	switch (feature) {
	case PORT_POWER:
		h->port[i] = 0;
		return 0;
	case PORT_ENABLE:
		h->port[i] &= ~(BIT(PORT_ENABLE) | BIT(PORT_SUSPEND));
		return 0;
	case PORT_SUSPEND:
		if (!(h->port[i] & BIT(PORT_SUSPEND)))
			return 0;
		h->port[i] &= ~BIT(PORT_SUSPEND);
		h->port[i] |= CHANGE(PORT_SUSPEND);
		changed(h);
		return 0;
	case PORT_CONNECTION + 16:
	case PORT_ENABLE + 16:
	case PORT_SUSPEND + 16:
	case PORT_OVER_CURRENT + 16:
	case PORT_RESET + 16:
		h->port[i] &= ~BIT(feature);
		return 0;
	default:
		return USB_STALL;
	}
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static int port_request(struct usb_hub *h, const struct usb_setup *s, uint8_t *data)
{
	unsigned n = s->index & 0xff;
	uint8_t out[4];

	if (n < 1 || n > USB_HUB_PORTS)
		return USB_STALL;
	switch (usb_request(s)) {
	case GET_PORT_STATUS:
		st_le32(out, h->port[n - 1]);
		return usb_give(s, data, out, sizeof(out));
	case SET_PORT_FEATURE:
		return set_port(h, n - 1, s->value);
	default:
		return clear_port(h, n - 1, s->value);
	}
}

static int class_request(struct usb_hub *h, const struct usb_setup *s, uint8_t *data)
{
	/* Power by port; 100 ms until it is good, and no current of its own; all devices removable. */
	static const uint8_t desc[] = {11, HUB_DESC, USB_HUB_PORTS, 0x09, 0, 50, 0,
				       0,  0,	     0xff,	    0xff};
	static const uint8_t none[4];

	switch (usb_request(s)) {
	case GET_HUB_DESCRIPTOR:
		return s->value >> 8 == HUB_DESC || !(s->value >> 8)
			       ? usb_give(s, data, desc, sizeof(desc))
			       : USB_STALL;
	case GET_HUB_STATUS:
		return usb_give(s, data, none, sizeof(none));
	case CLEAR_HUB_FEATURE: /* of changes that never come */
	case SET_HUB_FEATURE:
		return s->value > 1 ? USB_STALL : 0;
	case GET_PORT_STATUS:
	case SET_PORT_FEATURE:
	case CLEAR_PORT_FEATURE:
		return port_request(h, s, data);
	default:
		return USB_STALL;
	}
}

static int hub_control(struct usb_device *d, const struct usb_setup *s, uint8_t *data)
{
	/* clang-format off */
	static const uint8_t config[CONFIG_BYTES] = {
		9, USB_DESC_CONFIG, CONFIG_BYTES, 0, 1, 1, 0, 0xc0, 0, /* one interface; powered by itself */
		9, 4, 0, 0, 1, 9, 0, 0, 0,                             /* hub */
		7, 5, 0x81, 3, CHANGE_BYTES, 0, 12,                    /* endpoint 1 IN: what changed */
	};
	/* clang-format on */
	struct usb_hub *h = of(d);
	bool configured;
	int r;

	if (s->type & CLASS)
		return class_request(h, s, data);
	/* One transaction translator at high speed, with nothing slow to translate for. */
	h->std.protocol = d->speed == USB_HIGH;
	r = usb_std_control(&h->std, d, s, data, config, sizeof(config), &configured);
	return r;
}

/* Bit n: port n changed. */
static int hub_in(struct usb_device *d, unsigned ep, uint8_t *data, unsigned len)
{
	struct usb_hub *h = of(d);
	uint16_t bits = 0;

	if (ep != 1 || !h->std.config || h->std.halted)
		return USB_STALL;
	for (unsigned i = 0; i < USB_HUB_PORTS; i++)
		bits = (uint16_t)(bits | (h->port[i] >> 16 ? 2u << i : 0));
	if (!bits)
		return USB_NAK;
	if (len < CHANGE_BYTES)
		return USB_BABBLE;
	st_le16(data, bits);
	return CHANGE_BYTES;
}

/* ---- What is behind it --------------------------------------------------------------------------- */

static struct usb_device *hub_child(struct usb_device *d, unsigned port)
{
	struct usb_hub *h = of(d);

	if (port < 1 || port > USB_HUB_PORTS || !h->std.config ||
	    (h->port[port - 1] & (BIT(PORT_ENABLE) | BIT(PORT_SUSPEND))) != BIT(PORT_ENABLE))
		return NULL;
	return h->at[port - 1];
}

/* Hubs may be behind hubs, but no hub is behind itself: each is plugged in once. */
static struct usb_device *hub_find(struct usb_device *d, unsigned addr, struct usb_pipe **pipe)
{
	struct usb_hub *h = of(d);

	for (unsigned port = 1; port <= USB_HUB_PORTS; port++) {
		struct usb_device *c = hub_child(d, port);

		if (!c)
			continue;
		if (h->pipe[port - 1].addr == addr) {
			*pipe = &h->pipe[port - 1];
			return c;
		}
		c = c->ops->find ? c->ops->find(c, addr, pipe) : NULL;
		if (c)
			return c;
	}
	return NULL;
}

int usb_hub_plug(struct usb_hub *h, struct usb_device *d, unsigned port)
{
	if (port > USB_HUB_PORTS)
		return -EINVAL;
	if (port && h->at[port - 1])
		return -EBUSY;
	for (unsigned i = 1; !port && i <= USB_HUB_PORTS; i++) {
		if (!h->at[i - 1])
			port = i;
	}
	if (!port)
		return -ENOSPC;
	d->speed = h->usb.speed;
	d->ready = h->usb.ready;
	d->opaque = h->usb.opaque;
	h->at[port - 1] = d;
	return (int)port;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void bus_reset(struct usb_device *d)
{
	struct usb_hub *h = of(d);

	h->std.config = h->std.halted = d->remote_wakeup = 0;
	for (unsigned i = 0; i < USB_HUB_PORTS; i++) {
		h->port[i] = 0;
		bus_reset_child(h, i);
	}
}

static void hub_reset(struct device *dev)
{
	bus_reset(&container_of(dev, struct usb_hub, usb.dev)->usb);
}

static int hub_post_load(struct device *dev)
{
	struct usb_hub *h = container_of(dev, struct usb_hub, usb.dev);

	if (!usb_std_is_sound(&h->std, &h->usb))
		return -EINVAL;
	for (unsigned i = 0; i < USB_HUB_PORTS; i++) {
		if (h->port[i] & ~STATUS_BITS || !usb_pipe_is_sound(&h->pipe[i]))
			return -EINVAL;
	}
	return 0;
}

static const struct state_field hub_fields[] = {
	STATE_FIELD(struct usb_hub, std.config),	STATE_FIELD(struct usb_hub, std.halted),
	STATE_FIELD(struct usb_hub, usb.remote_wakeup), STATE_ARRAY(struct usb_hub, port),
	USB_PIPE_STATE_FIELDS(struct usb_hub, pipe),	STATE_END,
};

static const struct device_class hub_class = {
	.name = "usb-hub",
	.version = 1,
	.reset = hub_reset,
	.fields = hub_fields,
	.post_load = hub_post_load,
};

static const struct usb_device_ops hub_ops = {
	.reset = bus_reset,
	.control = hub_control,
	.in = hub_in,
	.child = hub_child,
	.find = hub_find,
};

struct usb_hub *usb_hub_new(void)
{
	struct usb_hub *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->usb.dev.cls = &hub_class;
	h->usb.ops = &hub_ops;
	h->usb.speed = USB_HIGH;
	/* As QEMU's. */
	h->std = (struct usb_std){.product = "Lodge USB Hub",
				  .cls = 9,
				  .vendor = 0x0409,
				  .id = 0x55aa};
	return h;
}

void usb_hub_free(struct usb_hub *h)
{
	free(h);
}

struct usb_device *usb_hub_device(struct usb_hub *h)
{
	return &h->usb;
}
