// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VGA: ports and memory of what vga_regs.h describes. See vga_unit.h.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; QEMU documentation,
 * docs/specs/standard-vga.rst.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "devices/display/vga_unit.h"

#define DISPI_PORT 0x1ceu
#define DISPI_PORTS 4u			/* index, data at 0x1cf and 0x1d0 */
#define REGION_FRONT 7u			/* of BAR 0, while the memory is folded */
#define BLINK_NS (NS_PER_SEC * 16 / 60) /* 16 frames of 60 Hz */

/* BAR 0 shows the memory as it is, but for what is folded. */
static void show_bar(struct vga_unit *s)
{
	uint64_t skip = s->core.folded ? VGA_FOLD_BYTES : 0;
	bool seen = vram_show(&s->vram, VRAM_WINDOW_BAR, s->fb_base + skip, skip,
			      s->fb_on ? s->vram.bytes - skip : 0);

	if (seen && skip)
		bus_region_move(s->region[REGION_FRONT], s->fb_base);
	bus_region_enable(s->region[REGION_FRONT], seen && skip);
}

static void fold(struct vga_unit *s, bool on)
{
	vram_show(&s->vram, VRAM_WINDOW_LEGACY, VGA_MEM_START, 0, 0);
	vga_fold(&s->core, on, s->scratch);
	vram_wrote(&s->vram, 0, VGA_FOLD_BYTES);
	show_bar(s);
}

/* After any register was written: is the window below 1 MiB plain memory now? */
static void update(struct vga_unit *s)
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
	struct vga_unit *s = opaque;
	uint64_t len = clear ? dispi_clear_bytes(&s->core.dispi) : 0;

	update(s);
	memset(s->core.vram, 0, len);
	vram_wrote(&s->vram, 0, len);
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static uint8_t port_read(struct vga_unit *s, unsigned port)
{
	if (port != 0x3ba && port != 0x3da)
		return vga_port_read(&s->core, port);
	if ((port == 0x3da) != (s->core.r.misc & MISC_COLOR))
		return 0xff;
	vga_attr_restart(&s->core);
	return vga_status(&s->core, clock_mono_ns());
}

static void port_write(struct vga_unit *s, unsigned port, uint8_t val)
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
	struct vga_unit *s = opaque;

	(void)size;
	return off ? dispi_read(&s->core.dispi, s->dispi_index) : s->dispi_index;
}

static void dispi_port_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct vga_unit *s = opaque;

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
	struct vga_unit *s = opaque;
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)vga_mem_read(&s->core, (uint32_t)off + i) << 8 * i;
	return v;
}

static void mem_write_ops(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct vga_unit *s = opaque;

	for (unsigned i = 0; i < size; i++) {
		uint64_t at = vga_mem_write(&s->core, (uint32_t)off + i, (uint8_t)(val >> 8 * i));

		if (at != UINT64_MAX)
			vram_wrote(&s->vram, at, 4);
	}
}

static const struct bus_ops mem_ops = {mem_read_ops, mem_write_ops, 1, 8};

/* BAR 0 where it is folded: from now on the memory lies as BAR 0 has it, and text goes the slow way. */
static void unfold(struct vga_unit *s)
{
	s->hands_off = true;
	update(s);
}

static uint64_t front_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga_unit *s = opaque;
	uint64_t v = 0;

	unfold(s);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)s->core.vram[off + i] << 8 * i;
	return v;
}

static void front_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct vga_unit *s = opaque;

	unfold(s);
	for (unsigned i = 0; i < size; i++)
		s->core.vram[off + i] = (uint8_t)(val >> 8 * i);
	vram_wrote(&s->vram, off, size);
}

static const struct bus_ops front_ops = {front_read, front_write, 1, 8};

/* ---- Picture ------------------------------------------------------------------------------------ */

static bool dark_now(void)
{
	return clock_mono_ns() / BLINK_NS & 1;
}

static void look(void *opaque)
{
	struct vga_unit *s = opaque;

	vram_log_look(&s->log);
}

static struct display_lines changed(void *opaque)
{
	struct vga_unit *s = opaque;
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
	struct vga_unit *s = opaque;

	s->dark = dark_now();
	return vga_draw(&s->core, s->dark, pic);
}

static int text(void *opaque, struct display_text *t)
{
	struct vga_unit *s = opaque;

	return vga_text(&s->core, t);
}

/* ---- Life --------------------------------------------------------------------------------------- */

void vga_unit_show(struct vga_unit *s, bool on, uint64_t base)
{
	s->fb_on = on;
	s->fb_base = base;
	show_bar(s);
}

void vga_unit_reset(struct vga_unit *s)
{
	memset(&s->core.r, 0, sizeof(s->core.r));
	dispi_reset(&s->core.dispi);
	s->core.r.pel_mask = 0xff;
	s->dispi_index = 0;
	update(s);
}

int vga_unit_check(const struct vga_unit *s)
{
	return s->core.folded > 1 || vga_regs_check(&s->core.r) || dispi_check(&s->core.dispi)
		       ? -EINVAL
		       : 0;
}

void vga_unit_loaded(struct vga_unit *s)
{
	show_bar(s);
	update(s);
}

static bool map_legacy(struct vga_unit *s, struct bus *bus)
{
	bool ok = true;

	s->region[0] = bus_map_pio(bus, 0x3b4, 2, &mono_ops, s, "vga");
	s->region[1] = bus_map_pio(bus, 0x3ba, 1, &mono_status_ops, s, "vga");
	s->region[2] = bus_map_pio(bus, 0x3c0, 16, &general_ops, s, "vga");
	s->region[3] = bus_map_pio(bus, 0x3d4, 2, &color_ops, s, "vga");
	s->region[4] = bus_map_pio(bus, 0x3da, 1, &color_status_ops, s, "vga");
	s->region[5] = bus_map_pio(bus, DISPI_PORT, DISPI_PORTS, &dispi_port_ops, s, "dispi");
	s->region[6] = bus_map_mmio(bus, VGA_MEM_START, VGA_MEM_BYTES, &mem_ops, s, "vga");
	s->region[REGION_FRONT] = bus_map_mmio(bus, 0, VGA_FOLD_BYTES, &front_ops, s, "vga");
	for (unsigned i = 0; i < VGA_UNIT_REGIONS; i++)
		ok = ok && s->region[i];
	if (!ok)
		return false;
	bus_region_enable(s->region[REGION_FRONT], false);
	/* They change memory alone, by registers that are accessed before or after. */
	bus_shortcut_init(&s->late, s->region[6], BUS_SHORTCUT_LATE, 0, VGA_MEM_BYTES);
	bus_shortcut_arm(&s->late, true);
	return true;
}

int vga_unit_init(struct vga_unit *s, struct bus *bus, const struct vga_config *cfg)
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
	s->scratch = malloc(VGA_FOLD_BYTES);
	if (!s->scratch || vram_log_init(&s->log, &s->vram) || !map_legacy(s, bus)) {
		vga_unit_free(s);
		return -ENOMEM;
	}
	return 0;
}

void vga_unit_free(struct vga_unit *s)
{
	if (s->late.region)
		bus_shortcut_arm(&s->late, false);
	for (unsigned i = 0; i < VGA_UNIT_REGIONS; i++) {
		if (s->region[i])
			bus_region_enable(s->region[i], false);
	}
	vram_log_free(&s->log);
	free(s->scratch);
}
