// SPDX-License-Identifier: GPL-2.0-or-later
/* -device: USB controllers and what is plugged into them. Threads: with the VM lock held, or before threads start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/props.h"
#include "devices/usb/uhci.h"
#include "devices/usb/usb_hub.h"
#include "devices/usb/usb_kbd.h"
#include "devices/usb/usb_mouse.h"
#include "devices/usb/usb_tablet.h"
#include "devices/usb/xhci.h"
#include "input/input.h"
#include "machine/board_int.h"

/* ---- Controllers -------------------------------------------------------------------------------- */

static void free_xhci(void *obj)
{
	xhci_free(obj);
}

static void free_uhci(void *obj)
{
	uhci_free(obj);
}

static int make_xhci(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "id");
	struct xhci *x;
	uint8_t devfn;
	int r = board_pci_place(b, p, &devfn, err);

	if (r)
		return r;
	x = xhci_new(b->pci, devfn, b->vm->mem, err);
	return x ? board_adopt(b, id, xhci_device(x), x, free_xhci, err) : -EINVAL;
}

static int make_uhci(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "id");
	struct uhci *u;
	uint8_t devfn;
	int r = board_pci_place(b, p, &devfn, err);

	if (r)
		return r;
	u = uhci_new(b->pci, devfn, b->vm->mem, b->vm->loop, err);
	return u ? board_adopt(b, id, uhci_device(u), u, free_uhci, err) : -EINVAL;
}

const struct board_kind board_xhci = {
	.name = "qemu-xhci",
	.alias = "nec-usb-xhci",
	.help = "USB controller with four ports, ID.0: id=, addr=",
	.make = make_xhci,
};

const struct board_kind board_uhci = {
	.name = "piix3-usb-uhci",
	.help = "USB controller of old machines with two ports, ID.0 (-usb is one): id=, addr=",
	.make = make_uhci,
};

/* ---- Devices ------------------------------------------------------------------------------------ */

#define HUBS_MAX 5u /* in a row: as many as xHCI's routes have room for */

/* What is plugged in: keyboards and so on, and hubs. */
struct board_usb {
	struct board *b;
	struct usb_device *d;
	struct usb_hid *hid; /* or */
	struct usb_hub *hub;
	void (*free_hid)(struct usb_hid *h);
	/* Where it is: at which controller, and which of its ports, then of the hubs behind that. */
	const struct board_added *at;
	unsigned port[HUBS_MAX + 1], ports;
};

/* Is `bus` this controller's: "ID.0", or "usb-bus.N" of the Nth without an id? */
static bool is_called(const struct board_added *a, unsigned unnamed, const char *bus)
{
	char name[64];

	if (a->id)
		snprintf(name, sizeof(name), "%.60s.0", a->id);
	else
		snprintf(name, sizeof(name), "usb-bus.%u", unnamed);
	return !strcmp(bus, name);
}

/* The hub at that place, or NULL. */
static struct usb_hub *hub_at(struct board *b, const struct board_added *at, const unsigned *port,
			      unsigned ports)
{
	struct board_added *a;

	list_for_each_entry (a, &b->added, link) {
		const struct board_usb *u = a->kind == &board_usb_hub ? a->obj : NULL;

		if (u && u->at == at && u->ports == ports &&
		    !memcmp(u->port, port, ports * sizeof(port[0])))
			return u->hub;
	}
	return NULL;
}

/* Where `u` says, at controller `a`; its last port, if that is 0, is chosen. The port, or as the controllers' plug. */
static int plug(struct board_usb *u, const struct board_added *a)
{
	unsigned *last = &u->port[u->ports - 1];
	struct usb_hub *hub;
	int r;

	if (u->ports > 1) {
		hub = hub_at(u->b, a, u->port, u->ports - 1);
		r = hub ? usb_hub_plug(hub, u->d, *last) : -EINVAL;
	} else {
		r = a->kind == &board_uhci ? uhci_plug(a->obj, u->d, *last)
					   : xhci_plug(a->obj, u->d, *last);
	}
	if (r > 0) {
		u->at = a;
		*last = (unsigned)r;
	}
	return r;
}

/* Into the controller that bus= names, or the first with room. -ENODEV: there is none. */
static int plug_in(struct board_usb *u, const char *bus)
{
	struct board_added *a;
	unsigned unnamed = 0;
	int r = -ENODEV;

	list_for_each_entry (a, &u->b->added, link) {
		if (a->kind != &board_xhci && a->kind != &board_uhci)
			continue;
		if (!bus || is_called(a, unnamed, bus))
			r = plug(u, a);
		if (r > 0)
			return 0;
		unnamed += !a->id;
	}
	return r;
}

/* port=N, or N.M of a hub's port; without it, any. */
static int read_port(struct board_usb *u, const char *text)
{
	char *end;

	u->ports = 1;
	if (!text)
		return 0;
	for (u->ports = 0; u->ports <= HUBS_MAX; text = end + 1) {
		unsigned long n = strtoul(text, &end, 10);

		if (end == text || *text < '0' || *text > '9' || !n || n > 255)
			return -EINVAL;
		u->port[u->ports++] = (unsigned)n;
		if (!*end)
			return 0;
		if (*end != '.')
			return -EINVAL;
	}
	return -EINVAL;
}

static int say_why(struct props *p, int r, const char *bus, const char *port, struct lodge_err *err)
{
	switch (r) {
	case -ENODEV:
		return err_set(err, r,
			       "%s: there is no USB controller%s%s; put -usb or -device qemu-xhci "
			       "before it",
			       props_what(p), bus ? " of the name " : "", bus ? bus : "");
	case -EBUSY:
		return err_set(err, r, "%s: port=%s is taken", props_what(p), port);
	case -EINVAL:
		return err_set(
			err, r,
			"%s: there is no port=%s; it is a controller's, or, as 1.2, of a hub "
			"before it",
			props_what(p), port);
	default:
		return err_set(err, r, "%s: all of the controller's ports are taken",
			       props_what(p));
	}
}

static void free_it(struct board_usb *u)
{
	if (u->hid)
		u->free_hid(u->hid);
	usb_hub_free(u->hub);
	free(u);
}

static void free_device(void *obj)
{
	struct board_usb *u = obj;

	if (u->hid)
		input_remove(u->b->input, &u->hid->sink);
	free_it(u);
}

/* Takes `what`'s hid or hub, one of which is there unless memory was not. */
static int make(struct board *b, struct props *p, struct board_usb what, struct lodge_err *err)
{
	const char *id = props_get(p, "id"), *bus = props_get(p, "bus");
	const char *port = props_get(p, "port");
	struct board_usb *u = calloc(1, sizeof(*u));
	int r;

	if (!u || (!what.hid && !what.hub)) {
		if (what.hid)
			what.free_hid(what.hid);
		usb_hub_free(what.hub);
		free(u);
		return err_set(err, -ENOMEM, "no memory for a USB device");
	}
	*u = what;
	u->b = b;
	u->d = u->hid ? &u->hid->usb : usb_hub_device(u->hub);
	r = read_port(u, port);
	if (!r)
		r = plug_in(u, bus);
	if (r < 0) {
		free_it(u);
		return say_why(p, r, bus, port, err);
	}
	if (u->hid)
		input_add(b->input, &u->hid->sink);
	return board_adopt(b, id, &u->d->dev, u, free_device, err);
}

static int make_tablet(struct board *b, struct props *p, struct lodge_err *err)
{
	const struct board_usb u = {.hid = usb_tablet_new(b->vm->loop),
				    .free_hid = usb_tablet_free};

	return make(b, p, u, err);
}

static int make_mouse(struct board *b, struct props *p, struct lodge_err *err)
{
	const struct board_usb u = {.hid = usb_mouse_new(b->vm->loop), .free_hid = usb_mouse_free};

	return make(b, p, u, err);
}

static int make_kbd(struct board *b, struct props *p, struct lodge_err *err)
{
	const struct board_usb u = {.hid = usb_kbd_new(b->vm->loop), .free_hid = usb_kbd_free};

	return make(b, p, u, err);
}

static int make_hub(struct board *b, struct props *p, struct lodge_err *err)
{
	const struct board_usb u = {.hub = usb_hub_new()};

	return make(b, p, u, err);
}

const struct board_kind board_usb_tablet = {
	.name = "usb-tablet",
	.help = "USB pointer that says where it is: id=, bus=, port=N or, at a hub, N.M",
	.make = make_tablet,
};

const struct board_kind board_usb_mouse = {
	.name = "usb-mouse",
	.help = "USB mouse, likewise",
	.make = make_mouse,
};

const struct board_kind board_usb_kbd = {
	.name = "usb-kbd",
	.help = "USB keyboard, likewise",
	.make = make_kbd,
};

const struct board_kind board_usb_hub = {
	.name = "usb-hub",
	.help = "USB hub with eight ports, likewise",
	.make = make_hub,
};
