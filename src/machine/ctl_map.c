// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is where in a machine: PCI functions, addresses, devices and their registers. Threads: see machine/ctl.h;
 * `say` is called with the VM lock held.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"
#include "machine/board_int.h"

#define LINE 256u
/* Elements of a field that are shown. */
#define SHOWN_MAX 64u

/* ---- PCI ---------------------------------------------------------------------------------------- */

#define BAR_PREFETCH 8u

static const char *id_of(struct board *b, const struct device *dev)
{
	const struct board_added *a;

	list_for_each_entry (a, &b->added, link) {
		if (a->dev == dev && a->id)
			return a->id;
	}
	return "";
}

static void describe(struct board *b, const struct pci_dev *d, struct vm_ctl_pci *o)
{
	const uint8_t *c = d->cfg.val;

	*o = (struct vm_ctl_pci){
		.slot = d->devfn >> 3,
		.function = d->devfn & 7,
		.irq = c[PCI_INT_LINE],
		.pin = c[PCI_INT_PIN],
		.vendor = ld_le16(c + PCI_VENDOR_ID),
		.device = ld_le16(c + PCI_DEVICE_ID),
		.subsys_vendor = ld_le16(c + PCI_SUBSYS_VENDOR),
		.subsys = ld_le16(c + PCI_SUBSYS_ID),
		.class_code = ld_le16(c + PCI_CLASS),
	};
	snprintf(o->name, sizeof(o->name), "%.63s", d->dev.cls->name);
	snprintf(o->id, sizeof(o->id), "%.63s", id_of(b, &d->dev));
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *bar = &d->bar[i];

		o->bar[i].there = bar->kind != PCI_BAR_NONE && bar->kind != PCI_BAR_UPPER;
		o->bar[i].io = bar->kind == PCI_BAR_IO;
		o->bar[i].wide = bar->kind == PCI_BAR_MEM64;
		o->bar[i].prefetch = o->bar[i].there && !o->bar[i].io && i < PCI_BAR_ROM &&
				     c[PCI_BAR0 + 4 * i] & BAR_PREFETCH;
		o->bar[i].size = bar->size;
		o->bar[i].base = bar->mapped ? bar->base : UINT64_MAX;
	}
}

unsigned vm_ctl_pci(struct vm *vm, struct vm_ctl_pci *out)
{
	unsigned n = 0;

	pthread_mutex_lock(&vm->lock);
	for (unsigned devfn = 0; devfn < VM_CTL_PCI; devfn++) {
		const struct pci_dev *d = pci_bus_find(vm->board->pci, (uint8_t)devfn);

		if (d)
			describe(vm->board, d, &out[n++]);
	}
	pthread_mutex_unlock(&vm->lock);
	return n;
}

/* ---- Addresses ---------------------------------------------------------------------------------- */

struct speaker {
	vm_ctl_say say;
	void *opaque;
};

static __attribute__((format(printf, 2, 3))) void put(const struct speaker *s, const char *fmt, ...)
{
	char line[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->say(s->opaque, line);
}

static void put_span(void *opaque, uint64_t first, uint64_t last, const char *name)
{
	put(opaque, "  %016" PRIx64 "-%016" PRIx64 ": %s", first, last, name);
}

static void put_memory(const struct speaker *s, const struct mem *mem)
{
	for (gpa_t at = 0;;) {
		const struct mem_range r = mem_lookup(mem, at);

		if (r.kind != MEM_MMIO)
			put(s, "  %016" PRIx64 "-%016" PRIx64 ": %s, at %" PRIx64 " of the backing",
			    (uint64_t)r.gpa, (uint64_t)(r.gpa + r.len - 1),
			    r.kind == MEM_RAM ? "ram" : "rom", r.ram_off);
		if (!r.len || r.gpa + r.len <= at)
			return;
		at = r.gpa + r.len;
	}
}

void vm_ctl_map(struct vm *vm, vm_ctl_say say, void *opaque)
{
	struct speaker s = {say, opaque};

	pthread_mutex_lock(&vm->lock);
	put(&s, "memory");
	put_memory(&s, vm->mem);
	put(&s, "device memory");
	bus_each(vm->bus, false, put_span, &s);
	put(&s, "I/O ports");
	bus_each(vm->bus, true, put_span, &s);
	pthread_mutex_unlock(&vm->lock);
}

/* ---- Devices ------------------------------------------------------------------------------------ */

void vm_ctl_devices(struct vm *vm, vm_ctl_say say, void *opaque)
{
	struct speaker s = {say, opaque};
	const struct device *dev;
	char name[BOARD_NAME_LEN];

	pthread_mutex_lock(&vm->lock);
	put(&s, "bus: main-system-bus");
	list_for_each_entry (dev, &vm->board->devices, link) {
		board_device_name(vm->board, dev, name);
		put(&s, "  dev: %s, id \"%s\"", name, id_of(vm->board, dev));
	}
	pthread_mutex_unlock(&vm->lock);
}

static uint64_t element(const uint8_t *p, unsigned size)
{
	switch (size) {
	case 1:
		return *p;
	case 2:
		return *(const uint16_t *)(const void *)p;
	case 4:
		return *(const uint32_t *)(const void *)p;
	default:
		return *(const uint64_t *)(const void *)p;
	}
}

/* NAME = VALUE..., in hexadecimal; times as how far they are. */
static void put_field(const struct speaker *s, const struct device *dev,
		      const struct state_field *f)
{
	const uint8_t *p = (const uint8_t *)dev + f->offset;
	unsigned stride = f->stride ? f->stride : f->elem_size;
	unsigned inner = f->kind == STATE_BYTES && f->stride ? f->elem_size : 1;
	unsigned size = f->kind == STATE_BYTES ? 1 : f->elem_size, n = 0;
	char line[LINE];
	int used = snprintf(line, sizeof(line), "  %s =", f->name);

	for (unsigned i = 0; i < f->count && n < SHOWN_MAX; i++) {
		for (unsigned k = 0; k < inner && n < SHOWN_MAX; k++, n++) {
			uint64_t v = element(p + (size_t)i * stride + k, size);

			if (used > (int)sizeof(line) - 24)
				break;
			if (f->kind == STATE_MONO_NS && v)
				used += snprintf(line + used, sizeof(line) - (size_t)used,
						 " %+" PRId64 "ns", (int64_t)(v - clock_mono_ns()));
			else
				used += snprintf(line + used, sizeof(line) - (size_t)used,
						 " %" PRIx64, v);
		}
	}
	put(s, "%s%s", line, n < f->count * inner ? " ..." : "");
}

int vm_ctl_device_state(struct vm *vm, const char *name, vm_ctl_say say, void *opaque,
			struct lodge_err *err)
{
	struct speaker s = {say, opaque};
	char full[BOARD_NAME_LEN];
	struct device *dev;
	bool any = false;
	int r = vm_look_begin(vm, 0, err);

	if (r)
		return r;
	pthread_mutex_lock(&vm->lock);
	/* Controllers in the host's kernel; where they cannot be asked, what was known last is shown. */
	(void)!board_irqchip_get(vm->board, err);
	list_for_each_entry (dev, &vm->board->devices, link) {
		board_device_name(vm->board, dev, full);
		if (strncmp(full, name, strlen(name)))
			continue;
		any = true;
		if (dev->cls->pre_save)
			dev->cls->pre_save(dev);
		put(&s, "%s:", full);
		for (const struct state_field *f = dev->cls->fields; f && f->name; f++)
			put_field(&s, dev, f);
	}
	pthread_mutex_unlock(&vm->lock);
	vm_look_end(vm);
	return any ? 0
		   : err_set(err, -ENODEV,
			     "there is no device '%.60s'; 'info qtree' lists what there is", name);
}
