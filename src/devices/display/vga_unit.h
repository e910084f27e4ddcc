/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VGA with Bochs' VBE extension as part of a PCI device: its ports, the memory below 1 MiB, what it shows. The
 * device has the BARs: frame buffer (vga_unit_show()) and registers (bochs_bar_ops with `bar`).
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem (October 1992). Threads: with the VM
 * lock held. Saved state: VGA_UNIT_STATE_FIELDS in the owner's; the memory is guest memory and is saved as such.
 */
#ifndef LODGE_DEVICES_DISPLAY_VGA_UNIT_H
#define LODGE_DEVICES_DISPLAY_VGA_UNIT_H

#include "bus/device.h"
#include "bus/shortcut.h"
#include "devices/display/bochs_bar.h"
#include "devices/display/vga.h"
#include "devices/display/vga_regs.h"
#include "devices/display/vram_log.h"

#define VGA_UNIT_REGIONS 7u

struct vga_unit {
	struct vram vram;
	struct vga_core core;
	uint16_t dispi_index;
	struct bochs_bar bar;
	struct vram_log log;
	bool dark; /* what blinks was not seen in the last picture; no state */
	struct display_source source;
	struct bus_region *region[VGA_UNIT_REGIONS];
	struct bus_shortcut late; /* writes to the window below 1 MiB */
};

/* `s` is zeroed; `cfg` is copied, but for devfn, which is the owner's. -ENOMEM, and nothing is left behind. */
int vga_unit_init(struct vga_unit *s, struct bus *bus, const struct vga_config *cfg) MUST_CHECK;
void vga_unit_free(struct vga_unit *s);
void vga_unit_reset(struct vga_unit *s);
/* After the fields were loaded: -EINVAL if no guest can have left them so; then, once all is well. */
int vga_unit_check(const struct vga_unit *s) MUST_CHECK;
void vga_unit_loaded(struct vga_unit *s);
/* The frame buffer's BAR began (on) or ceased to decode. */
void vga_unit_show(struct vga_unit *s, bool on, uint64_t base);

/* Names are those of version 1 of "VGA", whose members these were. */
#define VGA_UNIT_FIELD(type, m, f)                                                                \
	{                                                                                         \
		.name = #f, .offset = offsetof(type, m.f), .elem_size = sizeof(((type *)0)->m.f), \
		.kind = STATE_UINT, .count = 1, .since = 1                                        \
	}
#define VGA_UNIT_BUFFER(type, m, f)                                                             \
	{                                                                                       \
		.name = #f, .offset = offsetof(type, m.f), .elem_size = 1, .kind = STATE_BYTES, \
		.count = sizeof(((type *)0)->m.f), .since = 1                                   \
	}
#define VGA_UNIT_ARRAY(type, m, f)                                                          \
	{                                                                                   \
		.name = #f, .offset = offsetof(type, m.f),                                  \
		.elem_size = sizeof(((type *)0)->m.f[0]), .kind = STATE_UINT,               \
		.count = sizeof(((type *)0)->m.f) / sizeof(((type *)0)->m.f[0]), .since = 1 \
	}
#define VGA_UNIT_STATE_FIELDS(type, m)                                                             \
	VGA_UNIT_FIELD(type, m, core.r.misc), VGA_UNIT_FIELD(type, m, core.r.feature),             \
		VGA_UNIT_FIELD(type, m, core.r.seq_index), VGA_UNIT_BUFFER(type, m, core.r.seq),   \
		VGA_UNIT_FIELD(type, m, core.r.gfx_index), VGA_UNIT_BUFFER(type, m, core.r.gfx),   \
		VGA_UNIT_FIELD(type, m, core.r.crtc_index), VGA_UNIT_BUFFER(type, m, core.r.crtc), \
		VGA_UNIT_FIELD(type, m, core.r.attr_index),                                        \
		VGA_UNIT_FIELD(type, m, core.r.attr_second),                                       \
		VGA_UNIT_BUFFER(type, m, core.r.attr), VGA_UNIT_FIELD(type, m, core.r.pel_mask),   \
		VGA_UNIT_FIELD(type, m, core.r.dac_read),                                          \
		VGA_UNIT_FIELD(type, m, core.r.dac_write),                                         \
		VGA_UNIT_FIELD(type, m, core.r.dac_part),                                          \
		VGA_UNIT_FIELD(type, m, core.r.dac_reading),                                       \
		VGA_UNIT_BUFFER(type, m, core.r.dac_latch), VGA_UNIT_BUFFER(type, m, core.r.dac),  \
		VGA_UNIT_FIELD(type, m, core.r.latch), VGA_UNIT_ARRAY(type, m, core.dispi.reg),    \
		VGA_UNIT_FIELD(type, m, dispi_index),                                              \
		VGA_UNIT_FIELD(type, m, core.dispi.big_endian)

#endif
