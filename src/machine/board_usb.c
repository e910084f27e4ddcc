// SPDX-License-Identifier: GPL-2.0-or-later
/* -device: USB controllers and what is plugged into them. Threads: with the VM lock held, or before threads start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/props.h"
#include "devices/usb/uhci.h"
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

static int plug(const struct board_added *a, struct usb_device *d, unsigned port)
{
	return a->kind == &board_uhci ? uhci_plug(a->obj, d, port) : xhci_plug(a->obj, d, port);
}

/* Into the controller that bus= names, or the first with room. The port, or as the controllers' plug; -ENODEV: there is none. */
static int plug_in(struct board *b, struct usb_device *d, const char *bus, unsigned port)
{
	struct board_added *a;
	unsigned unnamed = 0;
	int r = -ENODEV;

	list_for_each_entry (a, &b->added, link) {
		if (a->kind != &board_xhci && a->kind != &board_uhci)
			continue;
		if (!bus || is_called(a, unnamed, bus))
			r = plug(a, d, port);
		if (r > 0)
			return r;
		unnamed += !a->id;
	}
	return r;
}

/* ---- Devices ------------------------------------------------------------------------------------ */

struct board_hid {
	struct board *b;
	struct usb_hid *h;
	void (*free_hid)(struct usb_hid *h);
};

static void free_hid(void *obj)
{
	struct board_hid *bh = obj;

	input_remove(bh->b->input, &bh->h->sink);
	bh->free_hid(bh->h);
	free(bh);
}

static int say_why(struct props *p, int r, const char *bus, uint64_t port, struct lodge_err *err)
{
	switch (r) {
	case -ENODEV:
		return err_set(err, r,
			       "%s: there is no USB controller%s%s; put -usb or -device qemu-xhci "
			       "before it",
			       props_what(p), bus ? " of the name " : "", bus ? bus : "");
	case -EBUSY:
		return err_set(err, r, "%s: port=%llu is taken", props_what(p),
			       (unsigned long long)port);
	case -EINVAL:
		return err_set(err, r, "%s: the controller has no port %llu", props_what(p),
			       (unsigned long long)port);
	default:
		return err_set(err, r, "%s: all of the controller's ports are taken",
			       props_what(p));
	}
}

/* Takes `h`, which is NULL without memory. */
static int make_hid(struct board *b, struct props *p, struct usb_hid *h,
		    void (*free_it)(struct usb_hid *h), struct lodge_err *err)
{
	const char *id = props_get(p, "id"), *bus = props_get(p, "bus");
	struct board_hid *bh = calloc(1, sizeof(*bh));
	uint64_t port = 0;
	int r;

	if (!bh || !h) {
		free(bh);
		free_it(h);
		return err_set(err, -ENOMEM, "no memory for a USB device");
	}
	*bh = (struct board_hid){b, h, free_it};
	r = props_u64(p, "port", 255, &port, err);
	if (!r) {
		r = plug_in(b, &h->usb, bus, (unsigned)port);
		if (r < 0)
			(void)say_why(p, r, bus, port, err);
	}
	if (r < 0) {
		free_it(h);
		free(bh);
		return r;
	}
	input_add(b->input, &h->sink);
	return board_adopt(b, id, &h->usb.dev, bh, free_hid, err);
}

static int make_tablet(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_hid(b, p, usb_tablet_new(b->vm->loop), usb_tablet_free, err);
}

static int make_mouse(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_hid(b, p, usb_mouse_new(b->vm->loop), usb_mouse_free, err);
}

static int make_kbd(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_hid(b, p, usb_kbd_new(b->vm->loop), usb_kbd_free, err);
}

const struct board_kind board_usb_tablet = {
	.name = "usb-tablet",
	.help = "USB pointer that says where it is: id=, bus=, port=",
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
