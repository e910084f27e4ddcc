// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VGA's memory as the guest reaches it below 1 MiB: planes, latches, read and write modes.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "VGA Function": "Video Memory
 * Organization", "Graphics Controller Registers", "Sequencer Registers".
 * Threads: with the VM lock held.
 */
#include "devices/display/vga_regs.h"

#include <string.h>

#define NOWHERE UINT64_MAX

/* Four bits as four bytes of zeros or ones, plane 0 in the low one. */
static uint32_t spread(unsigned bits)
{
	static const uint32_t table[16] = {
		0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff,
		0x00ffff00, 0x00ffffff, 0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff,
		0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
	};

	return table[bits & 15];
}

/* Of the memory map register. */
static const struct {
	uint32_t start, len;
} maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};

/* Where in the 64 or 128 KiB of the memory map register an access lies, with VBE's bank. False: nowhere. */
static bool address(const struct vga_core *c, uint32_t off, uint32_t *a)
{
	unsigned map = vga_packed(c) ? 1 : c->r.gfx[GFX_MISC] >> 2 & 3;

	if (!(c->r.misc & MISC_RAM) && !dispi_enabled(&c->dispi))
		return false;
	if (off < maps[map].start || off - maps[map].start >= maps[map].len)
		return false;
	*a = off - maps[map].start;
	if (dispi_enabled(&c->dispi))
		*a += c->dispi.reg[DISPI_BANK] * DISPI_BANK_BYTES;
	return true;
}

struct place {
	uint64_t at;	 /* of four bytes, a plane each */
	unsigned plane;	 /* that a read in mode 0 sees */
	unsigned planes; /* that a write reaches, by address */
};

static struct place find(const struct vga_core *c, uint32_t a)
{
	const struct vga_regs *r = &c->r;
	struct place p = {.plane = r->gfx[GFX_READ_MAP] & 3, .planes = 15};
	uint64_t n = a;

	if (r->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN_4 || vga_packed(c)) {
		p.plane = a & 3;
		p.planes = 1u << (a & 3);
		n = a >> 2;
	} else {
		if (r->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN)
			p.plane = (p.plane & 2) | (a & 1);
		if (!(r->seq[SEQ_MEMORY] & SEQ_MEMORY_SEQUENTIAL))
			p.planes = a & 1 ? 10 : 5;
		if (r->gfx[GFX_MISC] & GFX_MISC_CHAIN_ODD_EVEN)
			n &= ~1ull;
	}
	if (!dispi_enabled(&c->dispi))
		n %= VGA_PLANE_BYTES;
	p.at = n * 4 & (c->vram_bytes - 1);
	return p;
}

static uint8_t compare(const struct vga_regs *r)
{
	uint32_t wrong = (r->latch ^ spread(r->gfx[GFX_COLOR_COMPARE])) &
			 spread(r->gfx[GFX_COLOR_DONT_CARE]);

	return (uint8_t) ~(wrong | wrong >> 8 | wrong >> 16 | wrong >> 24);
}

uint8_t vga_mem_read(struct vga_core *c, uint32_t off)
{
	struct vga_regs *r = &c->r;
	struct place p;
	uint32_t a;

	if (!address(c, off, &a))
		return 0xff;
	p = find(c, a);
	r->latch = vga_planes(c, p.at);
	if (r->gfx[GFX_MODE] & GFX_MODE_READ_1 && !vga_packed(c))
		return compare(r);
	return (uint8_t)(r->latch >> 8 * p.plane);
}

static uint8_t rotate(const struct vga_regs *r, uint8_t val)
{
	unsigned n = r->gfx[GFX_DATA_ROTATE] & 7;

	return (uint8_t)(val >> n | val << (8 - n));
}

static uint32_t logic(const struct vga_regs *r, uint32_t v)
{
	switch (r->gfx[GFX_DATA_ROTATE] >> 3 & 3) {
	case 1:
		return v & r->latch;
	case 2:
		return v | r->latch;
	case 3:
		return v ^ r->latch;
	default:
		return v;
	}
}

/* What write mode 0 to 3 makes of a byte: all four planes, latches where the bit mask says so. */
static uint32_t compose(const struct vga_regs *r, uint8_t val)
{
	uint32_t mask = r->gfx[GFX_BIT_MASK] * 0x01010101u, v, set;

	switch (r->gfx[GFX_MODE] & GFX_MODE_WRITE) {
	case 0:
		set = spread(r->gfx[GFX_ENABLE_SET_RESET]);
		v = rotate(r, val) * 0x01010101u;
		v = (v & ~set) | (spread(r->gfx[GFX_SET_RESET]) & set);
		break;
	case 1:
		return r->latch;
	case 2:
		v = spread(val);
		break;
	default:
		mask &= rotate(r, val) * 0x01010101u;
		v = spread(r->gfx[GFX_SET_RESET]);
		break;
	}
	return (logic(r, v) & mask) | (r->latch & ~mask);
}

uint64_t vga_mem_write(struct vga_core *c, uint32_t off, uint8_t val)
{
	struct place p;
	uint32_t v, mask;
	uint32_t a;

	if (!address(c, off, &a))
		return NOWHERE;
	p = find(c, a);
	if (vga_packed(c)) {
		c->vram[p.at + p.plane] = val;
		return p.at;
	}
	v = compose(&c->r, val);
	mask = spread(p.planes & c->r.seq[SEQ_MAP_MASK]);
	if (mask == ~0u && (!c->folded || p.at >= VGA_FOLD_BYTES)) {
		st_le32(c->vram + p.at, v);
		return p.at;
	}
	/* Byte by byte, where the mask says so: the guest may write the rest by another window. */
	for (unsigned i = 0; i < 4; i++) {
		if (mask >> 8 * i & 1)
			c->vram[vga_place(c, p.at + i)] = (uint8_t)(v >> 8 * i);
	}
	return mask ? vga_place(c, p.at) : NOWHERE;
}

/* ---- Plain memory ------------------------------------------------------------------------------- */

/* Bytes go to one plane each and come back from there, unchanged. */
static bool plain_bytes(const struct vga_regs *r, unsigned planes)
{
	return r->misc & MISC_RAM && r->seq[SEQ_MAP_MASK] == planes &&
	       !(r->gfx[GFX_ENABLE_SET_RESET] & planes) && !r->gfx[GFX_DATA_ROTATE] &&
	       !(r->gfx[GFX_MODE] & (GFX_MODE_WRITE | GFX_MODE_READ_1)) &&
	       r->gfx[GFX_BIT_MASK] == 0xff;
}

/* Character and attribute: planes 0 and 1 at even addresses. */
static bool odd_even(const struct vga_regs *r)
{
	return !(r->seq[SEQ_MEMORY] & (SEQ_MEMORY_CHAIN_4 | SEQ_MEMORY_SEQUENTIAL)) &&
	       r->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN && r->gfx[GFX_MISC] & GFX_MISC_CHAIN_ODD_EVEN &&
	       !(r->gfx[GFX_READ_MAP] & 2);
}

bool vga_mem_linear(const struct vga_core *c, struct vga_linear *w)
{
	const struct vga_regs *r = &c->r;
	unsigned map = r->gfx[GFX_MISC] >> 2 & 3;

	*w = (struct vga_linear){0};
	if (vga_packed(c)) {
		w->at = (uint64_t)c->dispi.reg[DISPI_BANK] * DISPI_BANK_BYTES & (c->vram_bytes - 1);
		w->len = VGA_PLANE_BYTES;
	} else if (dispi_enabled(&c->dispi)) {
		return false;
	} else if (map == 1 && r->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN_4 && plain_bytes(r, 15)) {
		w->len = VGA_PLANE_BYTES;
	} else if (map >= 2 && odd_even(r) && plain_bytes(r, 3)) {
		w->off = maps[map].start;
		w->len = maps[map].len;
		w->folded = true;
	}
	return w->len;
}

void vga_fold(struct vga_core *c, bool on, uint8_t *scratch)
{
	memcpy(scratch, c->vram, VGA_FOLD_BYTES);
	for (unsigned i = 0; i < VGA_FOLD_PART; i += 2) {
		for (unsigned part = 0; part < 4; part++) {
			unsigned folded = part * VGA_FOLD_PART + i, flat = 4 * i + 2 * part;

			memcpy(c->vram + (on ? folded : flat), scratch + (on ? flat : folded), 2);
		}
	}
	c->folded = on;
}
