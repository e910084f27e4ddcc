// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What -device adds to the board: the table of kinds, and the keeping of what they made.
 * Threads: with the VM lock held, or before threads start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/board_int.h"
#include "machine/drive.h"
#include "net/net.h"

static void free_boot_order(struct board *b);

/* ---- Keeping ------------------------------------------------------------------------------------
 */

struct board_added *board_added_called(struct board *b, const char *id)
{
	struct board_added *a;

	list_for_each_entry (a, &b->added, link) {
		if (a->id && !strcmp(a->id, id))
			return a;
	}
	return NULL;
}

struct device *board_find_added(struct board *b, const struct device_class *cls, const char *id)
{
	struct board_added *a;
	struct device *found = NULL;

	list_for_each_entry (a, &b->added, link) {
		if (a->dev->cls == cls && (!id || (a->id && !strcmp(a->id, id))))
			found = a->dev;
	}
	return found;
}

int board_adopt(struct board *b, const char *id, struct device *dev, void *obj,
		void (*free_obj)(void *obj), struct lodge_err *err)
{
	struct board_added *a = calloc(1, sizeof(*a));

	if (id && board_added_called(b, id)) {
		free(a);
		free_obj(obj);
		return err_set(err, -EEXIST, "-device: the id '%s' is taken", id);
	}
	if (!a || (id && !(a->id = strdup(id)))) {
		free(a);
		free_obj(obj);
		return err_set(err, -ENOMEM, "no memory for a device");
	}
	a->dev = dev;
	a->obj = obj;
	a->free_obj = free_obj;
	list_add_tail(&b->added, &a->link);
	list_add_tail(&b->devices, &dev->link);
	return 0;
}

struct board_added *board_added_in(struct board *b, unsigned slot)
{
	const struct pci_dev *d = pci_bus_find(b->pci, pci_devfn(slot, 0));
	struct board_added *a;

	list_for_each_entry (a, &b->added, link) {
		if (d && a->dev == &d->dev)
			return a;
	}
	return NULL;
}

struct board_added *board_last_added(struct board *b)
{
	return list_empty(&b->added) ? NULL : container_of(b->added.prev, struct board_added, link);
}

struct board_added *board_next_ejected(struct board *b)
{
	struct board_added *a;

	list_for_each_entry (a, &b->added, link) {
		if (a->ejected)
			return a;
	}
	return NULL;
}

void board_remove(struct board *b, struct board_added *a)
{
	struct drive *d = drive_shown_by(b, a->obj);
	struct net_backend *nb = board_net_of(b, a->obj);

	list_del(&a->link);
	list_del(&a->dev->link);
	b->taken_out |= !a->hot;
	if (nb)
		board_net_release(b, net_backend_id(nb));
	/* Only PCI devices come here. */
	pci_dev_unmap(container_of(a->dev, struct pci_dev, dev));
	a->free_obj(a->obj);
	if (d) {
		d->used = false;
		d->shown = SHOWN_NOT;
		d->device = NULL;
		d->device_id[0] = '\0';
	}
	free(a->id);
	free(a);
}

void board_free_added(struct board *b)
{
	while (!list_empty(&b->added)) {
		struct board_added *a = container_of(b->added.prev, struct board_added, link);

		list_del(&a->link);
		list_del(&a->dev->link);
		a->free_obj(a->obj);
		free(a->id);
		free(a);
	}
	free_boot_order(b);
}

/* ---- Places ------------------------------------------------------------------------------------- */

static int parse_addr(const char *addr, uint8_t *devfn)
{
	char *end;
	unsigned long slot = strtoul(addr, &end, 16), func = 0;

	if (end == addr || slot > 31)
		return -EINVAL;
	if (*end == '.') {
		const char *text = end + 1;

		func = strtoul(text, &end, 16);
		if (end == text)
			return -EINVAL;
	}
	if (*end || func > 7)
		return -EINVAL;
	*devfn = pci_devfn((unsigned)slot, (unsigned)func);
	return 0;
}

int board_pci_place(struct board *b, struct props *p, uint8_t *devfn, struct lodge_err *err)
{
	const char *addr = props_get(p, "addr"), *bus = props_get(p, "bus");

	if (bus && strcmp(bus, "pci.0"))
		return err_set(err, -EINVAL, "%s: there is no bus '%s'; there is pci.0",
			       props_what(p), bus);
	if (addr) {
		if (parse_addr(addr, devfn))
			return err_set(err, -EINVAL, "%s: addr=%s is not SLOT[.FUNCTION], as 0x5.0",
				       props_what(p), addr);
		if (pci_bus_find(b->pci, *devfn))
			return err_set(err, -EBUSY, "%s: PCI place %s is taken", props_what(p),
				       addr);
		return 0;
	}
	for (unsigned slot = 2; slot < 32; slot++) {
		*devfn = pci_devfn(slot, 0);
		if (!pci_bus_find(b->pci, *devfn))
			return 0;
	}
	return err_set(err, -ENOSPC, "%s: all 32 slots of the PCI bus are taken", props_what(p));
}

/* ---- Boot order --------------------------------------------------------------------------------- */

struct board_boot_entry {
	struct list link;
	int64_t index;
	char path[];
};

static int add_boot_entry(struct board *b, int64_t index, const char *path, const char *what,
			  struct lodge_err *err)
{
	struct board_boot_entry *e, *other;

	list_for_each_entry (other, &b->boot, link) {
		if (other->index > index)
			break;
		if (other->index == index)
			return err_set(err, -EINVAL, "%s: bootindex=%lld comes twice", what,
				       (long long)index);
	}
	e = malloc(sizeof(*e) + strlen(path) + 1);
	if (!e)
		return err_set(err, -ENOMEM, "no memory for the boot order");
	e->index = index;
	strcpy(e->path, path);
	/* In front of the first one with a higher index, or at the end. */
	list_add_tail(&other->link, &e->link);
	return 0;
}

int board_bootable(struct board *b, struct props *p, const char *path, struct lodge_err *err)
{
	uint64_t index = UINT64_MAX;
	int r = props_u64(p, "bootindex", 0x7fffffff, &index, err);

	if (r || index == UINT64_MAX)
		return r;
	return add_boot_entry(b, (int64_t)index, path, props_what(p), err);
}

int board_boot_first(struct board *b, const char *path, struct lodge_err *err)
{
	return add_boot_entry(b, -1, path, "the first to boot", err);
}

const char *board_boot_path(const struct board *b, unsigned n)
{
	struct board_boot_entry *e;

	list_for_each_entry (e, &b->boot, link) {
		if (!n--)
			return e->path;
	}
	return NULL;
}

static void free_boot_order(struct board *b)
{
	while (!list_empty(&b->boot)) {
		struct board_boot_entry *e =
			container_of(b->boot.next, struct board_boot_entry, link);

		list_del(&e->link);
		free(e);
	}
}

/* ---- Kinds -------------------------------------------------------------------------------------- */

static const struct board_kind *const kinds[] = {
	&board_ide_hd,
	&board_ide_cd,
	&board_kind_e1000,
	&board_kind_rtl8139,
	&board_virtio_net,
	&board_virtio_blk,
	&board_virtio_rng,
	&board_virtio_9p,
	&board_vhost_user_fs,
	&board_virtio_vsock,
	&board_virtio_balloon,
	&board_vga,
	&board_bochs_display,
	&board_virtio_gpu,
	&board_virtio_vga,
	&board_ahci,
	&board_nvme,
	&board_floppy,
	&board_xhci,
	&board_uhci,
	&board_usb_tablet,
	&board_usb_mouse,
	&board_usb_kbd,
	&board_usb_hub,
	&board_virtio_keyboard,
	&board_virtio_mouse,
	&board_virtio_tablet,
	&board_virtio_serial,
	&board_virtconsole,
	&board_virtserialport,
	NULL,
};

/* NAME, or of a virtio device NAME-transitional and NAME-non-transitional. */
static bool is_called(const struct board_kind *k, const char *name)
{
	size_t n = strlen(k->name);

	if (!strcmp(k->name, name) || (k->alias && !strcmp(k->alias, name)))
		return true;
	return k->virtio && !strncmp(k->name, name, n) &&
	       (!strcmp(name + n, "-transitional") || !strcmp(name + n, "-non-transitional"));
}

const struct board_kind *board_kind_called(const char *name)
{
	for (const struct board_kind *const *k = kinds; *k; k++) {
		if (is_called(*k, name))
			return *k;
	}
	return NULL;
}

void board_print_kinds(FILE *out)
{
	for (const struct board_kind *const *k = kinds; *k; k++)
		fprintf(out, "  %-22s %s\n", (*k)->name, (*k)->help);
}

static int make_and_finish(struct board *b, const struct board_kind *k, struct props *p,
			   struct lodge_err *err)
{
	struct board_added *before = board_last_added(b), *a;
	int r = k->make(b, p, err);

	a = board_last_added(b);
	if (a && a != before)
		a->kind = k;
	return r ? r : props_done(p, err);
}

/* A drive with if=virtio is a device by itself. */
static int add_virtio_drive(struct board *b, const struct drive *d, struct lodge_err *err)
{
	const struct board_kind *k = board_kind_called("virtio-blk-pci");
	struct props *p;
	int r;

	if (!k)
		return err_set(err, -EINVAL, "-drive if=virtio: there is no virtio-blk-pci");
	p = props_parse("-drive if=virtio", "driver=virtio-blk-pci", NULL, err);
	if (!p)
		return -ENOMEM;
	r = props_set(p, "drive", d->id);
	props_get(p, "driver");
	r = r ? err_set(err, r, "no memory for a device") : make_and_finish(b, k, p, err);
	props_free(p);
	return r;
}

static int add_virtio_drives(struct board *b, struct lodge_err *err)
{
	struct drive *d;
	int r = 0;

	list_for_each_entry (d, &b->drives, link) {
		if (d->iface == DRIVE_VIRTIO && !d->used && !r)
			r = add_virtio_drive(b, d, err);
	}
	return r;
}

int board_add_devices(struct board *b, struct lodge_err *err)
{
	const struct vm_options *o = &b->vm->cfg.devices;
	int r;

	for (unsigned i = 0; i < o->n; i++) {
		const char *name = props_get(o->p[i], "driver");
		const struct board_kind *k = name ? board_kind_called(name) : NULL;

		if (!name)
			return err_set(err, -EINVAL, "-device: the device's name comes first");
		if (!k)
			return err_set(
				err, -EINVAL,
				"-device %s: there is no such device; '-device help' lists them",
				name);
		r = make_and_finish(b, k, o->p[i], err);
		if (r)
			return r;
	}
	r = add_virtio_drives(b, err);
	if (!r)
		r = board_add_virtfs(b, err);
	return r ? r : board_add_shares(b, err);
}
