// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's "VGA" on PCI: the BARs around a VGA (vga_unit.h). See vga.h.
 * Source: QEMU documentation, docs/specs/standard-vga.rst.
 * Threads: with the VM lock held.
 * Saved state: version 1; the memory is guest memory and is saved as such.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/display/vga.h"
#include "devices/display/vga_unit.h"

#define BAR_FB 0u
#define BAR_REGS 2u

struct vga {
	struct pci_dev pci;
	struct vga_unit unit;
};

static const struct pci_ident ident = {
	.vendor = 0x1234,
	.device = 0x1111,
	.class_code = 0x0300,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
};

static void bar_moved(struct pci_dev *d, unsigned bar, bool on, uint64_t base)
{
	struct vga *s = container_of(d, struct vga, pci);

	if (bar == BAR_FB)
		vga_unit_show(&s->unit, on, base);
}

static void vga_reset(struct device *dev)
{
	struct vga *s = container_of(dev, struct vga, pci.dev);

	pci_dev_reset(&s->pci);
	vga_unit_reset(&s->unit);
}

static int vga_post_load(struct device *dev)
{
	struct vga *s = container_of(dev, struct vga, pci.dev);

	if (vga_unit_check(&s->unit) || pci_dev_loaded(&s->pci))
		return -EINVAL;
	vga_unit_loaded(&s->unit);
	return 0;
}

static const struct state_field fields[] = {
	PCI_STATE_FIELDS(struct vga, pci),
	VGA_UNIT_STATE_FIELDS(struct vga, unit),
	STATE_END,
};

static const struct device_class vga_class = {
	.name = "VGA",
	.version = 1,
	.reset = vga_reset,
	.fields = fields,
	.post_load = vga_post_load,
};

static const struct pci_dev_ops pci_ops = {.bar_moved = bar_moved};

struct vga *vga_new(struct pci_bus *pb, const struct vga_config *cfg, struct lodge_err *err)
{
	struct vga *s = calloc(1, sizeof(*s));

	if (!s || vga_unit_init(&s->unit, pci_bus_space(pb), cfg)) {
		err_set(err, -ENOMEM, "no memory for a display");
		free(s);
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, cfg->devfn, &ident, &vga_class, &pci_ops, err)) {
		vga_unit_free(&s->unit);
		free(s);
		return NULL;
	}
	if (pci_dev_add_bar(&s->pci, BAR_FB, PCI_BAR_MEM32, true, s->unit.vram.bytes, NULL, NULL,
			    "vga") ||
	    pci_dev_add_bar(&s->pci, BAR_REGS, PCI_BAR_MEM32, false, BOCHS_BAR_BYTES,
			    &bochs_bar_ops, &s->unit.bar, "vga")) {
		err_set(err, -ENOMEM, "no memory for a display");
		vga_free(s);
		return NULL;
	}
	return s;
}

void vga_free(struct vga *s)
{
	if (!s)
		return;
	vga_unit_free(&s->unit);
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *vga_device(struct vga *s)
{
	return &s->pci.dev;
}

struct pci_dev *vga_pci(struct vga *s)
{
	return &s->pci;
}

const struct display_source *vga_source(struct vga *s)
{
	return &s->unit.source;
}
