// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ports of a VGA: general registers, sequencer, graphics, CRT and attribute controllers, DAC.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "VGA Function": "Registers".
 * Threads: with the VM lock held.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/range.h"
#include "devices/display/vga_regs.h"

#define STATUS_0_SENSE 0x10u
#define STATUS_1_DISABLED 0x01u
#define STATUS_1_V_RETRACE 0x08u

/* Bits that there are. */
static const uint8_t seq_mask[VGA_SEQ_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_mask[VGA_GFX_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
					       0x7b, 0x0f, 0x0f, 0xff};

static uint8_t attr_mask(unsigned index)
{
	static const uint8_t mode[VGA_ATTR_REGS - ATTR_MODE] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};

	return index < ATTR_MODE ? 0x3f : mode[index - ATTR_MODE];
}

/* ---- DAC ---------------------------------------------------------------------------------------- */

static uint8_t dac_read(struct vga_regs *r)
{
	uint8_t v = r->dac[3 * r->dac_read + r->dac_part];

	if (++r->dac_part == 3) {
		r->dac_part = 0;
		r->dac_read++;
	}
	return v;
}

/* A colour changes as a whole, with its third part. */
static void dac_write(struct vga_core *c, uint8_t val)
{
	struct vga_regs *r = &c->r;
	uint8_t *to = r->dac + 3 * r->dac_write;

	if (!(c->dispi.reg[DISPI_ENABLE] & DISPI_8BIT_DAC))
		val &= 0x3f;
	if (r->dac_part < 2) {
		r->dac_latch[r->dac_part++] = val;
		return;
	}
	to[0] = r->dac_latch[0];
	to[1] = r->dac_latch[1];
	to[2] = val;
	r->dac_part = 0;
	r->dac_write++;
}

/* ---- Indexed registers -------------------------------------------------------------------------- */

static void attr_write(struct vga_regs *r, uint8_t val)
{
	unsigned index = r->attr_index & 0x1f;

	if (!r->attr_second)
		r->attr_index = val & 0x3f;
	else if (index < VGA_ATTR_REGS)
		r->attr[index] = val & attr_mask(index);
	r->attr_second = !r->attr_second;
}

static void crtc_write(struct vga_regs *r, uint8_t val)
{
	unsigned index = r->crtc_index;

	if (index >= VGA_CRTC_REGS)
		return;
	if (index <= CRTC_OVERFLOW && r->crtc[CRTC_V_RETRACE_END] & CRTC_PROTECT) {
		/* Bit 8 of the line compare register alone is not protected. */
		if (index == CRTC_OVERFLOW)
			r->crtc[index] = (uint8_t)((r->crtc[index] & ~0x10) | (val & 0x10));
		return;
	}
	r->crtc[index] = val;
}

static uint8_t indexed(const uint8_t *regs, unsigned n, unsigned index)
{
	return index < n ? regs[index] : 0;
}

/* ---- Ports -------------------------------------------------------------------------------------- */

/* The CRTC and what goes with it are at 0x3d0 for colour, at 0x3b0 for monochrome. */
static bool is_crtc_side(unsigned port)
{
	return port < 0x3c0 || port >= 0x3d0;
}

static bool answers(const struct vga_regs *r, unsigned port)
{
	return !is_crtc_side(port) || (port >= 0x3d0) == (r->misc & MISC_COLOR);
}

uint8_t vga_port_read(struct vga_core *c, unsigned port)
{
	struct vga_regs *r = &c->r;

	if (!answers(r, port))
		return 0xff;
	switch (is_crtc_side(port) ? (port & 0xf) | 0x3d0 : port) {
	case 0x3c0:
		return r->attr_second ? 0 : r->attr_index;
	case 0x3c1:
		return indexed(r->attr, VGA_ATTR_REGS, r->attr_index & 0x1f);
	case 0x3c2:
		return STATUS_0_SENSE;
	case 0x3c4:
		return r->seq_index;
	case 0x3c5:
		return indexed(r->seq, VGA_SEQ_REGS, r->seq_index);
	case 0x3c6:
		return r->pel_mask;
	case 0x3c7:
		return r->dac_reading ? 3 : 0;
	case 0x3c8:
		return r->dac_write;
	case 0x3c9:
		return dac_read(r);
	case 0x3ca:
		return r->feature;
	case 0x3cc:
		return r->misc;
	case 0x3ce:
		return r->gfx_index;
	case 0x3cf:
		return indexed(r->gfx, VGA_GFX_REGS, r->gfx_index);
	case 0x3d4:
		return r->crtc_index;
	case 0x3d5:
		return indexed(r->crtc, VGA_CRTC_REGS, r->crtc_index);
	default:
		return 0xff;
	}
}

static void dac_port_write(struct vga_core *c, unsigned port, uint8_t val)
{
	struct vga_regs *r = &c->r;

	switch (port) {
	case 0x3c6:
		r->pel_mask = val;
		break;
	case 0x3c7:
		r->dac_read = val;
		r->dac_part = 0;
		r->dac_reading = 1;
		break;
	case 0x3c8:
		r->dac_write = val;
		r->dac_part = 0;
		r->dac_reading = 0;
		break;
	default:
		dac_write(c, val);
		break;
	}
}

void vga_port_write(struct vga_core *c, unsigned port, uint8_t val)
{
	struct vga_regs *r = &c->r;

	if (!answers(r, port))
		return;
	switch (is_crtc_side(port) ? (port & 0xf) | 0x3d0 : port) {
	case 0x3c0:
		attr_write(r, val);
		break;
	case 0x3c2:
		r->misc = val & 0xef;
		break;
	case 0x3c4:
		r->seq_index = val & 7;
		break;
	case 0x3c5:
		if (r->seq_index < VGA_SEQ_REGS)
			r->seq[r->seq_index] = val & seq_mask[r->seq_index];
		break;
	case 0x3c6:
	case 0x3c7:
	case 0x3c8:
	case 0x3c9:
		dac_port_write(c, port, val);
		break;
	case 0x3ce:
		r->gfx_index = val & 15;
		break;
	case 0x3cf:
		if (r->gfx_index < VGA_GFX_REGS)
			r->gfx[r->gfx_index] = val & gfx_mask[r->gfx_index];
		break;
	case 0x3d4:
		r->crtc_index = val & 0x3f;
		break;
	case 0x3d5:
		crtc_write(r, val);
		break;
	case 0x3da:
		r->feature = val & 3;
		break;
	default:
		break;
	}
}

/* ---- Input status 1 ----------------------------------------------------------------------------- */

/* Nanoseconds of a scan line. Absurd totals make short lines, but never none. */
static uint64_t line_ns(const struct vga_regs *r)
{
	uint64_t hz = (r->misc >> 2 & 3) == 1 ? 28322000 : 25175000;
	uint64_t dots = (r->crtc[CRTC_H_TOTAL] + 5u) * vga_dots(r);

	if (r->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF)
		hz /= 2;
	return dots * NS_PER_SEC / hz + 1;
}

uint8_t vga_status(const struct vga_core *c, uint64_t now_ns)
{
	const struct vga_regs *r = &c->r;
	unsigned ovf = r->crtc[CRTC_OVERFLOW];
	unsigned total = (r->crtc[CRTC_V_TOTAL] | (ovf & 1) << 8 | (ovf & 0x20) << 4) + 2;
	unsigned start = r->crtc[CRTC_V_RETRACE_START] | (ovf & 4) << 6 | (ovf & 0x80) << 2;
	unsigned len = (r->crtc[CRTC_V_RETRACE_END] - start) & 15;
	uint64_t per_line = line_ns(r);
	uint64_t line = now_ns / per_line % total, at = now_ns % per_line;
	uint64_t shown = per_line * vga_columns(r) / (r->crtc[CRTC_H_TOTAL] + 5u);
	uint8_t v = 0;

	if (line >= vga_lines(r) || at >= shown)
		v |= STATUS_1_DISABLED;
	if (line >= start && line < start + (len ? len : 16))
		v |= STATUS_1_V_RETRACE | STATUS_1_DISABLED;
	return v;
}

int vga_regs_check(const struct vga_regs *r)
{
	bool ok = r->seq_index <= 7 && r->gfx_index <= 15 && r->crtc_index <= 0x3f &&
		  r->attr_index <= 0x3f && r->attr_second <= 1 && r->dac_part <= 2 &&
		  r->dac_reading <= 1 && r->feature <= 3 && !(r->misc & 0x10);

	for (unsigned i = 0; i < VGA_SEQ_REGS; i++)
		ok = ok && !(r->seq[i] & ~seq_mask[i]);
	for (unsigned i = 0; i < VGA_GFX_REGS; i++)
		ok = ok && !(r->gfx[i] & ~gfx_mask[i]);
	for (unsigned i = 0; i < VGA_ATTR_REGS; i++)
		ok = ok && !(r->attr[i] & ~attr_mask(i));
	return ok ? 0 : -EINVAL;
}
