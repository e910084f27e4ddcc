/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a VGA, and how they make memory accesses and a picture: without a bus, a clock or a
 * device, so that tests can look at them alone.
 *
 * Memory: byte `n` of plane `p` lies at 4 * n + p. With chain 4, address a of the guest is byte a of it, as on
 * the adapters that came after IBM's: mode 13h is linear and can be shown to the guest as it is.
 * So that text can be as well, the first 128 KiB are *folded* while registers are as text modes have them: character
 * and attribute of even addresses, which are 8 bytes apart, come to lie one behind the other (vga_place()).
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; "VGA" with a section there.
 * Threads: the owner's.
 */
#ifndef LODGE_DEVICES_DISPLAY_VGA_REGS_H
#define LODGE_DEVICES_DISPLAY_VGA_REGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "devices/display/dispi.h"
#include "display/source.h"

#define VGA_SEQ_REGS 5u
#define VGA_GFX_REGS 9u
#define VGA_CRTC_REGS 25u
#define VGA_ATTR_REGS 21u
#define VGA_PLANE_BYTES 0x10000u

/* Sequencer */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONT, SEQ_MEMORY };
#define SEQ_CLOCKING_8_DOTS 0x01u
#define SEQ_CLOCKING_HALF 0x08u
#define SEQ_CLOCKING_OFF 0x20u
#define SEQ_MEMORY_SEQUENTIAL 0x04u
#define SEQ_MEMORY_CHAIN_4 0x08u

/* Graphics controller */
enum {
	GFX_SET_RESET,
	GFX_ENABLE_SET_RESET,
	GFX_COLOR_COMPARE,
	GFX_DATA_ROTATE,
	GFX_READ_MAP,
	GFX_MODE,
	GFX_MISC,
	GFX_COLOR_DONT_CARE,
	GFX_BIT_MASK,
};
#define GFX_MODE_WRITE 0x03u
#define GFX_MODE_READ_1 0x08u
#define GFX_MODE_ODD_EVEN 0x10u
#define GFX_MODE_INTERLEAVE 0x20u
#define GFX_MODE_256 0x40u
#define GFX_MISC_GRAPHICS 0x01u
#define GFX_MISC_CHAIN_ODD_EVEN 0x02u

/* CRT controller */
enum {
	CRTC_H_TOTAL = 0x00,
	CRTC_H_DISPLAY_END = 0x01,
	CRTC_V_TOTAL = 0x06,
	CRTC_OVERFLOW = 0x07,
	CRTC_PRESET_ROW = 0x08,
	CRTC_MAX_SCAN_LINE = 0x09,
	CRTC_CURSOR_START = 0x0a,
	CRTC_CURSOR_END = 0x0b,
	CRTC_START_HIGH = 0x0c,
	CRTC_START_LOW = 0x0d,
	CRTC_CURSOR_HIGH = 0x0e,
	CRTC_CURSOR_LOW = 0x0f,
	CRTC_V_RETRACE_START = 0x10,
	CRTC_V_RETRACE_END = 0x11,
	CRTC_V_DISPLAY_END = 0x12,
	CRTC_OFFSET = 0x13,
	CRTC_UNDERLINE = 0x14,
	CRTC_MODE = 0x17,
	CRTC_LINE_COMPARE = 0x18,
};
#define CRTC_DOUBLE_SCAN 0x80u
#define CRTC_CURSOR_OFF 0x20u
#define CRTC_PROTECT 0x80u
#define CRTC_UNDERLINE_DOUBLE_WORD 0x40u
#define CRTC_MODE_ROW_A13 0x01u /* 0: address bit 13 is the row scan counter's bit 0 */
#define CRTC_MODE_ROW_A14 0x02u
#define CRTC_MODE_LINES_TWICE 0x04u
#define CRTC_MODE_WRAP 0x20u
#define CRTC_MODE_BYTE 0x40u

/* Attribute controller */
enum { ATTR_MODE = 0x10, ATTR_OVERSCAN, ATTR_PLANE_ENABLE, ATTR_PANNING, ATTR_COLOR_SELECT };
#define ATTR_INDEX_VIDEO 0x20u /* of the index: the palette is the display's */
#define ATTR_MODE_LINE_GRAPHICS 0x04u
#define ATTR_MODE_BLINK 0x08u
#define ATTR_MODE_PANNING_STOPS 0x20u
#define ATTR_MODE_P54 0x80u

#define MISC_COLOR 0x01u /* CRTC at 0x3d4, not 0x3b4 */
#define MISC_RAM 0x02u

struct vga_regs {
	uint8_t misc, feature;
	uint8_t seq_index, seq[VGA_SEQ_REGS];
	uint8_t gfx_index, gfx[VGA_GFX_REGS];
	uint8_t crtc_index, crtc[VGA_CRTC_REGS];
	uint8_t attr_index, attr_second, attr[VGA_ATTR_REGS];
	uint8_t pel_mask, dac_read, dac_write, dac_part, dac_reading;
	uint8_t dac_latch[2];
	uint8_t dac[256 * 3];
	uint32_t latch; /* plane 0 in the low byte */
};

/* What picture and memory accesses depend on. */
struct vga_core {
	struct vga_regs r;
	struct dispi dispi;
	uint8_t *vram;
	uint64_t vram_bytes; /* a power of two, 256 KiB or more */
	uint8_t folded;	     /* 0 or 1: see vga_place() */
};

#define VGA_FOLD_BYTES 0x20000u
#define VGA_FOLD_PART (VGA_FOLD_BYTES / 4)

/*
 * Where byte `at` of the memory lies. Folded, pairs of planes at even addresses are together, then those of the other
 * planes, then odd addresses likewise: a part each.
 */
static inline uint64_t vga_place(const struct vga_core *c, uint64_t at)
{
	if (!c->folded || at >= VGA_FOLD_BYTES)
		return at;
	return (at >> 1 & 3) * VGA_FOLD_PART + (at >> 3) * 2 + (at & 1);
}

/* The bytes of all planes, plane 0 in the low one; `at` is a multiple of 4. */
static inline uint32_t vga_planes(const struct vga_core *c, uint64_t at)
{
	const uint8_t *p = c->vram + vga_place(c, at);

	if (!c->folded || at >= VGA_FOLD_BYTES)
		return ld_le32(p);
	return ld_le16(p) | (uint32_t)ld_le16(p + VGA_FOLD_PART) << 16;
}

/* ---- vga_ports.c: registers ---- */

#define VGA_PORT_FIRST 0x3b0u
#define VGA_PORT_END 0x3e0u

/* Ports but the status of 0x3ba and 0x3da. Where there is none: ones. */
uint8_t vga_port_read(struct vga_core *c, unsigned port);
void vga_port_write(struct vga_core *c, unsigned port, uint8_t val);
/* Input status 1 at a time, in ns; a read of its port also does vga_attr_restart(). */
uint8_t vga_status(const struct vga_core *c, uint64_t now_ns);
static inline void vga_attr_restart(struct vga_core *c)
{
	c->r.attr_second = 0;
}
/* After the registers were loaded: -EINVAL if they are such as no guest can make. */
int vga_regs_check(const struct vga_regs *r);

/* ---- vga_mem.c: memory ---- */

#define VGA_MEM_START 0xa0000u
#define VGA_MEM_BYTES 0x20000u

/* One byte at `off` from VGA_MEM_START. */
uint8_t vga_mem_read(struct vga_core *c, uint32_t off);
/* Returns where in the memory it wrote (4 bytes, aligned), or UINT64_MAX: nothing. */
uint64_t vga_mem_write(struct vga_core *c, uint32_t off, uint8_t val);

/* What is plain memory: [off, off + len) from VGA_MEM_START is what lies `at`. */
struct vga_linear {
	uint32_t off;
	uint64_t at, len;
	bool folded; /* it is when the memory is folded */
};
/* False: nothing is; *w is zeros. */
bool vga_mem_linear(const struct vga_core *c, struct vga_linear *w);
/* Fold the memory, or unfold it. `scratch`: VGA_FOLD_BYTES. */
void vga_fold(struct vga_core *c, bool on, uint8_t *scratch);

/* ---- vga_draw.c: the picture ---- */

/* `dark`: the half of the time in which what blinks is not seen. -ENOMEM. */
int vga_draw(const struct vga_core *c, bool dark, struct display_picture *pic);
/* -ENODATA unless a text mode is shown. */
int vga_text(const struct vga_core *c, struct display_text *text);

/* ---- What both need: bits of the CRTC's registers put together. ---- */

static inline unsigned vga_columns(const struct vga_regs *r)
{
	return r->crtc[CRTC_H_DISPLAY_END] + 1u;
}

static inline unsigned vga_dots(const struct vga_regs *r)
{
	return r->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8_DOTS ? 8 : 9;
}

static inline unsigned vga_lines(const struct vga_regs *r)
{
	unsigned ovf = r->crtc[CRTC_OVERFLOW];

	return (r->crtc[CRTC_V_DISPLAY_END] | (ovf & 0x02) << 7 | (ovf & 0x40) << 3) + 1;
}

/* Is nothing shown at all? */
static inline bool vga_blanked(const struct vga_regs *r)
{
	return !(r->attr_index & ATTR_INDEX_VIDEO) || r->seq[SEQ_CLOCKING] & SEQ_CLOCKING_OFF;
}

/* Is memory plain bytes because VBE says so? */
static inline bool vga_packed(const struct vga_core *c)
{
	return dispi_enabled(&c->dispi) && c->dispi.reg[DISPI_BPP] != 4;
}

#endif
