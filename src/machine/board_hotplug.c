// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cards that come and go while the machine runs: made as -device makes them, told of by ACPI, and taken out when
 * the guest has let them go.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/legacy/pci_hotplug.h"
#include "machine/board_int.h"
#include "machine/drive.h"

/* ---- The wires ---------------------------------------------------------------------------------- */

static void notify(void *opaque)
{
	struct board *b = opaque;

	piix4_pm_gpe(b->pm, PCI_HOTPLUG_GPE);
}

/* Only what was asked to leave does; the rest is done by a thread that may wait for disks. */
static void eject(void *opaque, unsigned slot)
{
	struct board *b = opaque;
	struct board_added *a = board_added_in(b, slot);

	if (!a || !a->leaving || a->ejected)
		return;
	a->ejected = true;
	vm_tell(b->vm, &(struct vm_event){.kind = VM_EVENT_EJECTED});
}

int board_wire_hotplug(struct board *b)
{
	const struct pci_hotplug_config cfg = {.notify = notify, .eject = eject, .opaque = b};

	b->hotplug = pci_hotplug_new(&cfg);
	if (!b->hotplug)
		return -ENOMEM;
	list_add_tail(&b->devices, &pci_hotplug_device(b->hotplug)->link);
	return pci_hotplug_map(b->hotplug, b->vm->bus);
}

/* ---- In ----------------------------------------------------------------------------------------- */

static unsigned slot_of(const struct board_added *a)
{
	return container_of(a->dev, struct pci_dev, dev)->devfn >> 3;
}

int board_hotplug(struct board *b, const struct board_kind *k, struct props *p,
		  struct lodge_err *err)
{
	const char *drive = props_get(p, "drive"), *net = props_get(p, "netdev");
	struct drive *d = drive ? drive_find(b, drive) : NULL;
	bool drive_used = d && d->used, net_used = net && board_net_used(b, net);
	struct board_added *before = board_last_added(b), *a;
	int r;

	if (!k->hotplug)
		return err_set(err, -ENOTSUP,
			       "Device '%s' cannot be added to a running machine; virtio-blk-pci, "
			       "virtio-net-pci and virtio-rng-pci can",
			       k->name);
	/* Its firmware part would come too late. */
	if (k == &board_virtio_net && !props_has(p, "romfile") && props_set(p, "romfile", ""))
		return err_set(err, -ENOMEM, "no memory for a device");
	r = k->make(b, p, err);
	if (!r)
		r = props_done(p, err);
	a = board_last_added(b);
	if (a != before)
		a->hot = true;
	if (r && a != before)
		board_remove(b, a);
	if (r) {
		if (d)
			d->used = drive_used;
		if (net && !net_used)
			board_net_release(b, net);
		return r;
	}
	a->kind = k;
	a->dev->cls->reset(a->dev);
	pci_hotplug_added(b->hotplug, slot_of(a));
	return 0;
}

/* ---- Out ---------------------------------------------------------------------------------------- */

int board_unplug(struct board *b, const char *id, struct lodge_err *err)
{
	struct board_added *a = board_added_called(b, id);

	if (!a)
		return err_set(err, -ENODEV, "Device '%.60s' not found", id);
	if (!a->kind || !a->kind->hotplug)
		return err_set(err, -ENOTSUP,
			       "Device '%.60s' cannot be taken out of a running machine", id);
	if (!a->ejected) {
		a->leaving = true;
		pci_hotplug_leave(b->hotplug, slot_of(a));
	}
	return 0;
}

struct drive *board_ejected_drive(struct board *b)
{
	struct board_added *a = board_next_ejected(b);

	return a ? drive_shown_by(b, a->obj) : NULL;
}

bool board_take_out(struct board *b)
{
	struct board_added *a = board_next_ejected(b);
	struct vm_event ev = {.kind = VM_EVENT_DEVICE_DELETED};

	if (!a)
		return false;
	if (a->id)
		snprintf(ev.device, sizeof(ev.device), "%.63s", a->id);
	board_remove(b, a);
	vm_tell(b->vm, &ev);
	return true;
}

/* At a reset the guest that would have had to let go is gone. */
void board_take_out_leaving(struct board *b)
{
	struct board_added *a;

	list_for_each_entry (a, &b->added, link)
		a->ejected |= a->leaving;
	while (board_take_out(b))
		;
}
