// SPDX-License-Identifier: GPL-2.0-or-later
/* -device: USB controllers and what is plugged into them. Threads: with the VM lock held, or before threads start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/props.h"
#include "devices/usb/usb_tablet.h"
#include "devices/usb/xhci.h"
#include "input/input.h"
#include "machine/board_int.h"

static void free_xhci(void *obj)
{
	xhci_free(obj);
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

const struct board_kind board_xhci = {
	.name = "qemu-xhci",
	.alias = "nec-usb-xhci",
	.help = "USB controller with four ports, ID.0: id=, addr=",
	.make = make_xhci,
};

/* The controller that bus= names ("ID.0"), or the first. */
static struct xhci *find_xhci(struct board *b, const char *bus)
{
	struct board_added *a;

	list_for_each_entry (a, &b->added, link) {
		size_t n = a->id ? strlen(a->id) : 0;

		if (a->kind == &board_xhci &&
		    (!bus || (n && !strncmp(bus, a->id, n) && !strcmp(bus + n, ".0"))))
			return a->obj;
	}
	return NULL;
}

struct board_tablet {
	struct board *b;
	struct usb_tablet *t;
};

static void free_tablet(void *obj)
{
	struct board_tablet *bt = obj;

	input_remove(bt->b->input, usb_tablet_sink(bt->t));
	usb_tablet_free(bt->t);
	free(bt);
}

static int make_tablet(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "id"), *bus = props_get(p, "bus");
	struct board_tablet *bt;
	struct xhci *x = find_xhci(b, bus);

	if (!x)
		return err_set(
			err, -ENODEV,
			"%s: there is no USB controller%s%s; put -device qemu-xhci before it",
			props_what(p), bus ? " of the name " : "", bus ? bus : "");
	bt = calloc(1, sizeof(*bt));
	if (bt)
		bt->t = usb_tablet_new();
	if (!bt || !bt->t) {
		free(bt);
		return err_set(err, -ENOMEM, "no memory for a USB tablet");
	}
	bt->b = b;
	if (xhci_plug(x, usb_tablet_device(bt->t)) < 0) {
		usb_tablet_free(bt->t);
		free(bt);
		return err_set(err, -ENOSPC, "%s: all of the controller's %u ports are taken",
			       props_what(p), XHCI_USB2_PORTS);
	}
	input_add(b->input, usb_tablet_sink(bt->t));
	return board_adopt(b, id, &usb_tablet_device(bt->t)->dev, bt, free_tablet, err);
}

const struct board_kind board_usb_tablet = {
	.name = "usb-tablet",
	.help = "USB pointer that says where it is, at a qemu-xhci: id=, bus=",
	.make = make_tablet,
};
