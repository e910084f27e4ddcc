// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's "VGA" on PCI: ports, memory and BARs of what vga_regs.h describes. See vga.h.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; QEMU documentation,
 * docs/specs/standard-vga.rst.
 * Threads: with the VM lock held.
 * Saved state: version 2 (1 had no folded memory); the memory is guest memory and is saved as such.
 */
#include "devices/display/vga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "bus/shortcut.h"
#include "devices/display/bochs_bar.h"
#include "devices/display/vga_regs.h"
#include "devices/display/vram_log.h"

#define BAR_FB 0u
#define BAR_REGS 2u
#define DISPI_PORT 0x1ceu
#define DISPI_PORTS 4u			/* index, data at 0x1cf and 0x1d0 */
#define BLINK_NS (NS_PER_SEC * 16 / 60) /* 16 frames of 60 Hz */
#define REGIONS 8u
#define REGION_FRONT 7u /* of BAR 0, while the memory is folded */

struct vga {
	struct pci_dev pci;
	struct vram vram;
	struct vga_core core;
	uint16_t dispi_index;
	struct bochs_bar bar;
	struct vram_log log;
	bool dark; /* what blinks was not seen in the last picture; no state */
	struct display_source source;
	struct bus_region *region[REGIONS];
	struct bus_shortcut late; /* writes to the window below 1 MiB */
	uint64_t fb_base;
	bool fb_on;
	bool hands_off; /* the guest has used BAR 0 in this mode: not to be folded */
	uint8_t *scratch;
};

static const struct pci_ident ident = {
	.vendor = 0x1234,
	.device = 0x1111,
	.class_code = 0x0300,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
};

/* BAR 0 shows the memory as it is, but for what is folded. */
static void show_bar(struct vga *s)
{
	uint64_t skip = s->core.folded ? VGA_FOLD_BYTES : 0;
	bool seen = vram_show(&s->vram, VRAM_WINDOW_BAR, s->fb_base + skip, skip,
			      s->fb_on ? s->vram.bytes - skip : 0);

	if (seen && skip)
		bus_region_move(s->region[REGION_FRONT], s->fb_base);
	bus_region_enable(s->region[REGION_FRONT], seen && skip);
}

static void fold(struct vga *s, bool on)
{
	vram_show(&s->vram, VRAM_WINDOW_LEGACY, VGA_MEM_START, 0, 0);
	vga_fold(&s->core, on, s->scratch);
	vram_wrote(&s->vram, 0, VGA_FOLD_BYTES);
	show_bar(s);
}

/* After any register was written: is the window below 1 MiB plain memory now? */
static void update(struct vga *s)
{
	struct vga_linear w;

	vram_log_all(&s->log);
	vga_mem_linear(&s->core, &w);
	if (!w.folded)
		s->hands_off = false;
	if ((w.folded && !s->hands_off) != s->core.folded)
		fold(s, !s->core.folded);
	if (w.folded != s->core.folded)
		w.len = 0;
	vram_show(&s->vram, VRAM_WINDOW_LEGACY, VGA_MEM_START + w.off, w.at, w.len);
}

static void dispi_written(void *opaque, bool clear)
{
	struct vga *s = opaque;
	uint64_t len = clear ? dispi_clear_bytes(&s->core.dispi) : 0;

	update(s);
	memset(s->core.vram, 0, len);
	vram_wrote(&s->vram, 0, len);
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static uint8_t port_read(struct vga *s, unsigned port)
{
	if (port != 0x3ba && port != 0x3da)
		return vga_port_read(&s->core, port);
	if ((port == 0x3da) != (s->core.r.misc & MISC_COLOR))
		return 0xff;
	vga_attr_restart(&s->core);
	return vga_status(&s->core, clock_mono_ns());
}

static void port_write(struct vga *s, unsigned port, uint8_t val)
{
	vga_port_write(&s->core, port, val);
	switch (port) {
	case 0x3c2: /* what memory accesses depend on, too */
	case 0x3c5:
	case 0x3cf:
		update(s);
		break;
	case 0x3c4: /* an index changes nothing */
	case 0x3ce:
	case 0x3b4:
	case 0x3d4:
		break;
	default:
		vram_log_all(&s->log);
	}
}

/* A group of ports begins at `first`. */
#define PORT_GROUP(name, first)                                                           \
	static uint64_t name##_read(void *opaque, uint64_t off, unsigned size)            \
	{                                                                                 \
		(void)size;                                                               \
		return port_read(opaque, (first) + (unsigned)off);                        \
	}                                                                                 \
	static void name##_write(void *opaque, uint64_t off, uint64_t val, unsigned size) \
	{                                                                                 \
		(void)size;                                                               \
		port_write(opaque, (first) + (unsigned)off, (uint8_t)val);                \
	}                                                                                 \
	static const struct bus_ops name##_ops = {name##_read, name##_write, 1, 1}

PORT_GROUP(mono, 0x3b4);
PORT_GROUP(mono_status, 0x3ba);
PORT_GROUP(general, 0x3c0);
PORT_GROUP(color, 0x3d4);
PORT_GROUP(color_status, 0x3da);

static uint64_t dispi_port_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga *s = opaque;

	(void)size;
	return off ? dispi_read(&s->core.dispi, s->dispi_index) : s->dispi_index;
}

static void dispi_port_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct vga *s = opaque;

	(void)size;
	if (!off)
		s->dispi_index = (uint16_t)val;
	else
		dispi_written(s, dispi_write(&s->core.dispi, s->dispi_index, (uint16_t)val));
}

static const struct bus_ops dispi_port_ops = {dispi_port_read, dispi_port_write, 1, 2};

/* The same ports in BAR 2. */
static uint8_t bar_port_read(void *opaque, unsigned port)
{
	return port_read(opaque, 0x3c0 + port);
}

static void bar_port_write(void *opaque, unsigned port, uint8_t val)
{
	port_write(opaque, 0x3c0 + port, val);
}

/* ---- Memory ------------------------------------------------------------------------------------- */

static uint64_t mem_read_ops(void *opaque, uint64_t off, unsigned size)
{
	struct vga *s = opaque;
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)vga_mem_read(&s->core, (uint32_t)off + i) << 8 * i;
	return v;
}

static void mem_write_ops(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct vga *s = opaque;

	for (unsigned i = 0; i < size; i++) {
		uint64_t at = vga_mem_write(&s->core, (uint32_t)off + i, (uint8_t)(val >> 8 * i));

		if (at != UINT64_MAX)
			vram_wrote(&s->vram, at, 4);
	}
}

static const struct bus_ops mem_ops = {mem_read_ops, mem_write_ops, 1, 8};

/* BAR 0 where it is folded: from now on the memory lies as BAR 0 has it, and text goes the slow way. */
static void unfold(struct vga *s)
{
	s->hands_off = true;
	update(s);
}

static uint64_t front_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga *s = opaque;
	uint64_t v = 0;

	unfold(s);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)s->core.vram[off + i] << 8 * i;
	return v;
}

static void front_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct vga *s = opaque;

	unfold(s);
	for (unsigned i = 0; i < size; i++)
		s->core.vram[off + i] = (uint8_t)(val >> 8 * i);
	vram_wrote(&s->vram, off, size);
}

static const struct bus_ops front_ops = {front_read, front_write, 1, 8};

static void bar_moved(struct pci_dev *d, unsigned bar, bool on, uint64_t base)
{
	struct vga *s = container_of(d, struct vga, pci);

	if (bar != BAR_FB)
		return;
	s->fb_on = on;
	s->fb_base = base;
	show_bar(s);
}

/* ---- Picture ------------------------------------------------------------------------------------ */

static bool dark_now(void)
{
	return clock_mono_ns() / BLINK_NS & 1;
}

static void look(void *opaque)
{
	struct vga *s = opaque;

	vram_log_look(&s->log);
}

static struct display_lines changed(void *opaque)
{
	struct vga *s = opaque;
	bool vbe = dispi_enabled(&s->core.dispi);
	struct dispi_mode m;

	/* Cursors blink in text modes. */
	if (!vbe && !(s->core.r.gfx[GFX_MISC] & GFX_MISC_GRAPHICS) && dark_now() != s->dark)
		vram_log_all(&s->log);
	if (vbe && dispi_mode(&s->core.dispi, &m))
		return vram_log_lines(&s->log, &m, 0);
	return vram_log_lines(&s->log, NULL, 4 * VGA_PLANE_BYTES);
}

static int draw(void *opaque, struct display_picture *pic)
{
	struct vga *s = opaque;

	s->dark = dark_now();
	return vga_draw(&s->core, s->dark, pic);
}

static int text(void *opaque, struct display_text *t)
{
	struct vga *s = opaque;

	return vga_text(&s->core, t);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void vga_reset(struct device *dev)
{
	struct vga *s = container_of(dev, struct vga, pci.dev);

	pci_dev_reset(&s->pci);
	memset(&s->core.r, 0, sizeof(s->core.r));
	dispi_reset(&s->core.dispi);
	s->core.r.pel_mask = 0xff;
	s->dispi_index = 0;
	update(s);
}

static int vga_post_load(struct device *dev)
{
	struct vga *s = container_of(dev, struct vga, pci.dev);

	if (s->core.folded > 1 || vga_regs_check(&s->core.r) || dispi_check(&s->core.dispi) ||
	    pci_dev_loaded(&s->pci))
		return -EINVAL;
	show_bar(s);
	update(s);
	return 0;
}

static const struct state_field fields[] = {
	PCI_STATE_FIELDS(struct vga, pci),
	STATE_FIELD(struct vga, core.r.misc),
	STATE_FIELD(struct vga, core.r.feature),
	STATE_FIELD(struct vga, core.r.seq_index),
	STATE_BUFFER(struct vga, core.r.seq),
	STATE_FIELD(struct vga, core.r.gfx_index),
	STATE_BUFFER(struct vga, core.r.gfx),
	STATE_FIELD(struct vga, core.r.crtc_index),
	STATE_BUFFER(struct vga, core.r.crtc),
	STATE_FIELD(struct vga, core.r.attr_index),
	STATE_FIELD(struct vga, core.r.attr_second),
	STATE_BUFFER(struct vga, core.r.attr),
	STATE_FIELD(struct vga, core.r.pel_mask),
	STATE_FIELD(struct vga, core.r.dac_read),
	STATE_FIELD(struct vga, core.r.dac_write),
	STATE_FIELD(struct vga, core.r.dac_part),
	STATE_FIELD(struct vga, core.r.dac_reading),
	STATE_BUFFER(struct vga, core.r.dac_latch),
	STATE_BUFFER(struct vga, core.r.dac),
	STATE_FIELD(struct vga, core.r.latch),
	STATE_ARRAY(struct vga, core.dispi.reg),
	STATE_FIELD(struct vga, dispi_index),
	STATE_FIELD(struct vga, core.dispi.big_endian),
	STATE_FIELD_SINCE(struct vga, core.folded, 2),
	STATE_END,
};

static const struct device_class vga_class = {
	.name = "VGA",
	.version = 2,
	.reset = vga_reset,
	.fields = fields,
	.post_load = vga_post_load,
};

static const struct pci_dev_ops pci_ops = {.bar_moved = bar_moved};

static bool map_legacy(struct vga *s)
{
	struct bus *bus = pci_bus_space(s->pci.bus);
	bool ok = true;

	s->region[0] = bus_map_pio(bus, 0x3b4, 2, &mono_ops, s, "vga");
	s->region[1] = bus_map_pio(bus, 0x3ba, 1, &mono_status_ops, s, "vga");
	s->region[2] = bus_map_pio(bus, 0x3c0, 16, &general_ops, s, "vga");
	s->region[3] = bus_map_pio(bus, 0x3d4, 2, &color_ops, s, "vga");
	s->region[4] = bus_map_pio(bus, 0x3da, 1, &color_status_ops, s, "vga");
	s->region[5] = bus_map_pio(bus, DISPI_PORT, DISPI_PORTS, &dispi_port_ops, s, "dispi");
	s->region[6] = bus_map_mmio(bus, VGA_MEM_START, VGA_MEM_BYTES, &mem_ops, s, "vga");
	s->region[REGION_FRONT] = bus_map_mmio(bus, 0, VGA_FOLD_BYTES, &front_ops, s, "vga");
	for (unsigned i = 0; i < REGIONS; i++)
		ok = ok && s->region[i];
	if (!ok)
		return false;
	bus_region_enable(s->region[REGION_FRONT], false);
	/* They change memory alone, by registers that are accessed before or after. */
	bus_shortcut_init(&s->late, s->region[6], BUS_SHORTCUT_LATE, 0, VGA_MEM_BYTES);
	bus_shortcut_arm(&s->late, true);
	return true;
}

static void fill(struct vga *s, const struct vga_config *cfg)
{
	s->vram = cfg->vram;
	s->core.vram = vram_host(&cfg->vram);
	s->core.vram_bytes = cfg->vram.bytes;
	s->core.dispi.vram_bytes = cfg->vram.bytes;
	s->core.r.pel_mask = 0xff;
	dispi_reset(&s->core.dispi);
	s->bar.dispi = &s->core.dispi;
	s->bar.port_read = bar_port_read;
	s->bar.port_write = bar_port_write;
	s->bar.written = dispi_written;
	s->bar.opaque = s;
	s->bar.has_edid = !cfg->no_edid;
	edid_make(s->bar.edid, cfg->width, cfg->height);
	s->source = (struct display_source){.look = look,
					    .changed = changed,
					    .draw = draw,
					    .text = text,
					    .opaque = s};
}

struct vga *vga_new(struct pci_bus *pb, const struct vga_config *cfg, struct lodge_err *err)
{
	struct vga *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a display");
		return NULL;
	}
	fill(s, cfg);
	if (pci_dev_init(&s->pci, pb, cfg->devfn, &ident, &vga_class, &pci_ops, err)) {
		free(s);
		return NULL;
	}
	s->scratch = malloc(VGA_FOLD_BYTES);
	if (!s->scratch || vram_log_init(&s->log, &s->vram) ||
	    pci_dev_add_bar(&s->pci, BAR_FB, PCI_BAR_MEM32, true, s->vram.bytes, NULL, NULL,
			    "vga") ||
	    pci_dev_add_bar(&s->pci, BAR_REGS, PCI_BAR_MEM32, false, BOCHS_BAR_BYTES,
			    &bochs_bar_ops, &s->bar, "vga") ||
	    !map_legacy(s)) {
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
	bus_shortcut_arm(&s->late, false);
	for (unsigned i = 0; i < REGIONS; i++) {
		if (s->region[i])
			bus_region_enable(s->region[i], false);
	}
	pci_dev_remove(&s->pci);
	vram_log_free(&s->log);
	free(s->scratch);
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
	return &s->source;
}
