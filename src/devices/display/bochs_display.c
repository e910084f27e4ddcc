// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's bochs-display: a linear frame buffer with registers in memory. See bochs_display.h.
 * Source: QEMU documentation, docs/specs/standard-vga.rst.
 * Threads: with the VM lock held.
 * Saved state: version 1; the frame buffer is guest memory and is saved as such.
 */
#include "devices/display/bochs_display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/display/bochs_bar.h"
#include "devices/display/lfb.h"
#include "devices/display/vram_log.h"

#define BAR_FB 0u
#define BAR_REGS 2u

struct bochs_display {
	struct pci_dev pci;
	struct vram vram;
	struct dispi dispi;
	struct bochs_bar bar;
	struct vram_log log;
	struct display_source source;
};

static const struct pci_ident ident = {
	.vendor = 0x1234,
	.device = 0x1111,
	.class_code = 0x0380,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
};

static void written(void *opaque, bool clear)
{
	struct bochs_display *s = opaque;
	uint64_t len = clear ? dispi_clear_bytes(&s->dispi) : 0;

	memset(vram_host(&s->vram), 0, len);
	vram_wrote(&s->vram, 0, len);
	vram_log_all(&s->log);
}

static void bar_moved(struct pci_dev *d, unsigned bar, bool on, uint64_t base)
{
	struct bochs_display *s = container_of(d, struct bochs_display, pci);

	if (bar == BAR_FB)
		vram_show(&s->vram, VRAM_WINDOW_BAR, base, 0, on ? s->vram.bytes : 0);
}

static bool mode(const struct bochs_display *s, struct dispi_mode *m)
{
	return dispi_enabled(&s->dispi) && dispi_mode(&s->dispi, m) && m->bpp >= 15;
}

static void look(void *opaque)
{
	struct bochs_display *s = opaque;

	vram_log_look(&s->log);
}

static struct display_lines changed(void *opaque)
{
	struct bochs_display *s = opaque;
	struct dispi_mode m;

	return vram_log_lines(&s->log, mode(s, &m) ? &m : NULL, 0);
}

static int draw(void *opaque, struct display_picture *pic)
{
	struct bochs_display *s = opaque;
	struct dispi_mode m;

	if (!mode(s, &m))
		return display_picture_blank(pic);
	return lfb_draw(&m, vram_host(&s->vram), s->dispi.big_endian, NULL, pic);
}

static void bochs_display_reset(struct device *dev)
{
	struct bochs_display *s = container_of(dev, struct bochs_display, pci.dev);

	pci_dev_reset(&s->pci);
	dispi_reset(&s->dispi);
	vram_log_all(&s->log);
}

static int bochs_display_post_load(struct device *dev)
{
	struct bochs_display *s = container_of(dev, struct bochs_display, pci.dev);

	if (dispi_check(&s->dispi))
		return -EINVAL;
	vram_log_all(&s->log);
	return pci_dev_loaded(&s->pci);
}

static const struct state_field fields[] = {
	PCI_STATE_FIELDS(struct bochs_display, pci),
	STATE_ARRAY(struct bochs_display, dispi.reg),
	STATE_FIELD(struct bochs_display, dispi.big_endian),
	STATE_END,
};

static const struct device_class bochs_display_class = {
	.name = "bochs-display",
	.version = 1,
	.reset = bochs_display_reset,
	.fields = fields,
	.post_load = bochs_display_post_load,
};

static const struct pci_dev_ops pci_ops = {.bar_moved = bar_moved};

struct bochs_display *bochs_display_new(struct pci_bus *pb, const struct bochs_display_config *cfg,
					struct lodge_err *err)
{
	struct bochs_display *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a display");
		return NULL;
	}
	s->vram = cfg->vram;
	s->dispi.vram_bytes = cfg->vram.bytes;
	dispi_reset(&s->dispi);
	s->bar.dispi = &s->dispi;
	s->bar.written = written;
	s->bar.opaque = s;
	s->bar.has_edid = !cfg->no_edid;
	edid_make(s->bar.edid, cfg->width, cfg->height);
	s->source = (struct display_source){.look = look,
					    .changed = changed,
					    .draw = draw,
					    .opaque = s};
	if (pci_dev_init(&s->pci, pb, cfg->devfn, &ident, &bochs_display_class, &pci_ops, err)) {
		free(s);
		return NULL;
	}
	if (vram_log_init(&s->log, &s->vram) ||
	    pci_dev_add_bar(&s->pci, BAR_FB, PCI_BAR_MEM32, true, s->vram.bytes, NULL, NULL,
			    "bochs-display") ||
	    pci_dev_add_bar(&s->pci, BAR_REGS, PCI_BAR_MEM32, false, BOCHS_BAR_BYTES,
			    &bochs_bar_ops, &s->bar, "bochs-display")) {
		err_set(err, -ENOMEM, "no memory for a display");
		bochs_display_free(s);
		return NULL;
	}
	return s;
}

void bochs_display_free(struct bochs_display *s)
{
	if (!s)
		return;
	pci_dev_remove(&s->pci);
	vram_log_free(&s->log);
	free(s);
}

struct device *bochs_display_device(struct bochs_display *s)
{
	return &s->pci.dev;
}

const struct display_source *bochs_display_source(struct bochs_display *s)
{
	return &s->source;
}
