// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All devices of the board into a saved machine and out of it.
 *
 * A device goes by its class and its place: "virtio-blk-pci@04.0" of a PCI function, "uart16550#1" of the second of
 * a class. While devices are loaded, their interrupt lines are held: a line that goes down and up again, because
 * its device starts from nothing, would show an edge that never was. Messages (MSI) go through: they are new.
 *
 * Saved state of the board itself: version 2. Threads: with the VM lock held, every vCPU parked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "machine/board_int.h"
#include "machine/drive.h"
#include "state/state.h"

#define NAME_LEN BOARD_NAME_LEN
#define DEVICE_BYTES_MAX (8u << 20)

/* ---- The board's own ---------------------------------------------------------------------------- */

struct board_state {
	struct device dev; /* first */
	uint8_t nmi_line, nmi_masked, a20, booted;
	uint32_t uart_irq;
	uint64_t kvm_clock_ns; /* what the guest's clock of KVM showed; 0: it has none */
	struct board *b;
};

static const struct state_field board_fields[] = {
	STATE_FIELD(struct board_state, nmi_line),
	STATE_FIELD(struct board_state, nmi_masked),
	STATE_FIELD(struct board_state, a20),
	STATE_FIELD(struct board_state, booted),
	STATE_FIELD(struct board_state, uart_irq),
	STATE_FIELD_SINCE(struct board_state, kvm_clock_ns, 2),
	STATE_END,
};

static int board_post_load(struct device *dev)
{
	const struct board_state *s = container_of(dev, struct board_state, dev);
	const struct vm *vm = s->b->vm;

	if (s->nmi_line > 1 || s->nmi_masked > 1 || s->a20 > 1 || s->booted > 1 ||
	    s->uart_irq >> VM_SERIALS)
		return -EINVAL;
	s->b->nmi_line = s->nmi_line;
	s->b->nmi_masked = s->nmi_masked;
	s->b->booted = s->booted;
	s->b->uart_irq = s->uart_irq;
	mem_set_a20(s->b->vm->mem, s->a20);
	if (vm->ops->clock)
		vm->ops->clock->set(vm->engine, s->kvm_clock_ns);
	return 0;
}

static const struct device_class board_class = {
	.name = "pc", .version = 2, .fields = board_fields, .post_load = board_post_load};

/* ---- Names -------------------------------------------------------------------------------------- */

static const struct pci_dev *pci_of(struct board *b, const struct device *dev)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		const struct pci_dev *d = pci_bus_find(b->pci, (uint8_t)devfn);

		if (d && &d->dev == dev)
			return d;
	}
	return NULL;
}

void board_device_name(struct board *b, const struct device *dev, char name[NAME_LEN])
{
	const struct pci_dev *pci = pci_of(b, dev);
	const struct device *other;
	unsigned n = 0;

	if (pci) {
		snprintf(name, NAME_LEN, "%.40s@%02x.%u", dev->cls->name, pci->devfn >> 3,
			 pci->devfn & 7u);
		return;
	}
	list_for_each_entry (other, &b->devices, link) {
		if (other == dev)
			break;
		n += other->cls == dev->cls;
	}
	snprintf(name, NAME_LEN, "%.40s#%u", dev->cls->name, n);
}

/* ---- Out ---------------------------------------------------------------------------------------- */

int board_can_save(struct board *b, struct lodge_err *err)
{
	const struct device *dev;
	const struct board_added *a;
	const struct drive *d;
	const char *net = board_net_hot(b);
	char name[NAME_LEN];

	if (net)
		return err_set(err, -ENOTSUP,
			       "the machine cannot be saved: the network '%s' was added while it "
			       "ran; netdev_del takes it out",
			       net);
	list_for_each_entry (d, &b->drives, link) {
		if (d->hot)
			return err_set(
				err, -ENOTSUP,
				"the machine cannot be saved: the drive '%s' was added while it "
				"ran; drive_del takes it out",
				d->id);
		if (d->snapshot)
			return err_set(err, -ENOTSUP,
				       "drive '%s' throws away what is written (snapshot=on): the "
				       "machine cannot be saved; use a qcow2 image with a backing "
				       "file instead",
				       d->id);
	}
	list_for_each_entry (a, &b->added, link) {
		if (a->hot)
			return err_set(
				err, -ENOTSUP,
				"the machine cannot be saved: the device '%s' was added while it "
				"ran; device_del takes it out",
				a->id ? a->id : a->dev->cls->name);
	}
	if (b->taken_out)
		return err_set(err, -ENOTSUP,
			       "the machine cannot be saved: a device of its options was taken out "
			       "while it ran");
	list_for_each_entry (dev, &b->devices, link) {
		const char *why = dev->cls->cannot_save ? dev->cls->cannot_save(dev) : NULL;

		board_device_name(b, dev, name);
		if (why)
			return err_set(err, -ENOTSUP, "the machine cannot be saved: %s (%s)", why,
				       name);
	}
	return 0;
}

/* Name, 0, state. */
static int save_one(struct device *dev, const char *name, struct state_writer *w,
		    struct lodge_err *err)
{
	size_t head = strlen(name) + 1;

	if (dev->cls->pre_save)
		dev->cls->pre_save(dev);

	for (size_t cap = 16384; cap <= DEVICE_BYTES_MAX; cap *= 4) {
		uint8_t *buf = malloc(head + cap);
		long n;

		if (!buf)
			break;
		memcpy(buf, name, head);
		n = device_save(dev, buf + head, cap);
		if (n >= 0)
			state_writer_add(w, "device", buf, head + (size_t)n);
		free(buf);
		if (n >= 0)
			return 0;
	}
	return err_set(err, -ENOMEM, "no memory for the state of %s", name);
}

int board_save(struct board *b, struct state_writer *w, struct lodge_err *err)
{
	struct board_state own = {
		.dev = {.cls = &board_class},
		.nmi_line = b->nmi_line,
		.nmi_masked = b->nmi_masked,
		.a20 = mem_a20(b->vm->mem),
		.booted = b->booted,
		.uart_irq = b->uart_irq,
		.kvm_clock_ns = b->vm->ops->clock ? b->vm->ops->clock->get(b->vm->engine) : 0,
	};
	struct device *dev;
	char name[NAME_LEN];
	int r = board_irqchip_get(b, err);

	vm_drain_locked(b->vm);
	if (!r)
		r = save_one(&own.dev, "pc", w, err);
	list_for_each_entry (dev, &b->devices, link) {
		if (r)
			return r;
		board_device_name(b, dev, name);
		r = save_one(dev, name, w, err);
	}
	return r;
}

/* ---- In ----------------------------------------------------------------------------------------- */

/* The section of that name: what is behind it, or NULL. */
static const uint8_t *find(const struct state_file *f, const char *name, size_t *len)
{
	size_t head = strlen(name) + 1;
	const uint8_t *p;

	for (unsigned n = 0; (p = state_section(f, "device", n, len)); n++) {
		if (*len >= head && !memcmp(p, name, head)) {
			*len -= head;
			return p + head;
		}
	}
	return NULL;
}

static int load_one(struct device *dev, const char *name, const struct state_file *f,
		    struct lodge_err *err)
{
	struct lodge_err why = {""};
	const uint8_t *p;
	size_t len;
	int r;

	p = find(f, name, &len);
	if (!p)
		return err_set(err, -EINVAL,
			       "'%s' has no state of %s: it is of another machine than these "
			       "options make",
			       state_path(f), name);
	r = device_load(dev, p, len, &why);
	return r ? err_set(err, r, "'%s': %.400s", state_path(f), why.msg) : 0;
}

static int check_count(struct board *b, const struct state_file *f, struct lodge_err *err)
{
	const struct device *dev;
	unsigned here = 1, there = 0;
	size_t len;

	list_for_each_entry (dev, &b->devices, link)
		here++;
	while (state_section(f, "device", there, &len))
		there++;
	return here == there ? 0
			     : err_set(err, -EINVAL,
				       "'%s' has the state of %u devices, and these options make "
				       "%u",
				       state_path(f), there, here);
}

int board_load(struct board *b, const struct state_file *f, struct lodge_err *err)
{
	struct board_state own = {.dev = {.cls = &board_class}, .b = b};
	struct device *dev;
	char name[NAME_LEN];
	int r = check_count(b, f, err);

	board_hold_lines(b);
	if (!r)
		r = load_one(&own.dev, "pc", f, err);
	list_for_each_entry (dev, &b->devices, link) {
		if (r)
			break;
		board_device_name(b, dev, name);
		r = load_one(dev, name, f, err);
	}
	/* The A20 gate's two switches were loaded one after the other. */
	if (!r)
		r = load_one(&own.dev, "pc", f, err);
	board_release_lines(b);
	return r ? r : board_irqchip_put(b, err);
}
