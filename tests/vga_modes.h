/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register values of standard VGA modes, for tests.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "VGA Function": "Initial register
 * values", as VGA BIOSes use them.
 */
#ifndef LODGE_TESTS_VGA_MODES_H
#define LODGE_TESTS_VGA_MODES_H

#include "devices/display/vga_regs.h"

struct vga_mode_regs {
	uint8_t misc, seq[VGA_SEQ_REGS], crtc[VGA_CRTC_REGS], gfx[VGA_GFX_REGS],
		attr[VGA_ATTR_REGS];
};

enum {
	MODE_TEXT_80,
	MODE_TEXT_40,
	MODE_CGA_4,
	MODE_CGA_2,
	MODE_EGA_16,
	MODE_16,
	MODE_256,
	MODE_X,
	VGA_MODES
};

#define EGA_PALETTE 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define LOW_PALETTE 0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
#define CRTC_320 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80
#define CRTC_640 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80
#define CRTC_400 0x9c, 0x8e, 0x8f

static const struct vga_mode_regs vga_modes[VGA_MODES] = {
	[MODE_TEXT_80] = {0x67,
			  {3, 0, 3, 0, 2},
			  {0x5f,     0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f,
			   0,	     0x4f, 0x0d, 0x0e, 0,    0,	   0,	 0,
			   CRTC_400, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
			  {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff},
			  {EGA_PALETTE, 0x0c, 0, 0x0f, 8, 0}},
	[MODE_TEXT_40] = {0x67,
			  {3, 8, 3, 0, 2},
			  {0x2d,     0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f,
			   0,	     0x4f, 0x0d, 0x0e, 0,    0,	   0,	 0,
			   CRTC_400, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
			  {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff},
			  {EGA_PALETTE, 0x0c, 0, 0x0f, 8, 0}},
	[MODE_CGA_4] = {0x63,
			{3, 9, 3, 0, 2},
			{CRTC_320, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, CRTC_400, 0x14, 0, 0x96,
			 0xb9, 0xa2, 0xff},
			{0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff},
			{0,    0x13, 0x15, 0x17, 2,    4, 6, 7, 0x10, 0x11, 0x12,
			 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0,    0}},
	[MODE_CGA_2] = {0x63,
			{3, 1, 1, 0, 6},
			{CRTC_640, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, CRTC_400, 0x28, 0, 0x96,
			 0xb9, 0xc2, 0xff},
			{0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff},
			{0,    0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
			 0x17, 0x17, 0x17, 0x17, 0x17, 1,    0,	   1,	 0,    0}},
	[MODE_EGA_16] = {0x63,
			 {3, 9, 15, 0, 6},
			 {CRTC_320, 0xbf, 0x1f, 0, 0xc0, 0, 0, 0, 0, 0, 0, CRTC_400, 0x14, 0, 0x96,
			  0xb9, 0xe3, 0xff},
			 {0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff},
			 {LOW_PALETTE, 1, 0, 0x0f, 0, 0}},
	[MODE_16] = {0xe3,
		     {3, 1, 15, 0, 6},
		     {CRTC_640, 0x0b, 0x3e, 0,	  0x40, 0, 0,	 0,    0,    0,
		      0,	0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 0x04, 0xe3, 0xff},
		     {0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff},
		     {EGA_PALETTE, 1, 0, 0x0f, 0, 0}},
	[MODE_256] = {0x63,
		      {3, 1, 15, 0, 0x0e},
		      {CRTC_640, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, CRTC_400, 0x28, 0x40, 0x96,
		       0xb9, 0xa3, 0xff},
		      {0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff},
		      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0}},
	[MODE_X] = {0x63,
		    {3, 1, 15, 0, 6},
		    {CRTC_640, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, CRTC_400, 0x28, 0, 0x96, 0xb9,
		     0xe3, 0xff},
		    {0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff},
		    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0}},
};

/* As a BIOS does, by ports; `out` writes one. Colour i of the DAC becomes i in red, green and blue. */
static inline void vga_set_mode(unsigned n, void (*out)(uint16_t port, uint8_t val),
				uint8_t (*in)(uint16_t port))
{
	const struct vga_mode_regs *m = &vga_modes[n];

	out(0x3c2, m->misc);
	for (unsigned i = 0; i < VGA_SEQ_REGS; i++) {
		out(0x3c4, (uint8_t)i);
		out(0x3c5, m->seq[i]);
	}
	out(0x3d4, CRTC_V_RETRACE_END);
	out(0x3d5, 0);
	for (unsigned i = 0; i < VGA_CRTC_REGS; i++) {
		out(0x3d4, (uint8_t)i);
		out(0x3d5, m->crtc[i]);
	}
	for (unsigned i = 0; i < VGA_GFX_REGS; i++) {
		out(0x3ce, (uint8_t)i);
		out(0x3cf, m->gfx[i]);
	}
	in(0x3da);
	for (unsigned i = 0; i < VGA_ATTR_REGS; i++) {
		out(0x3c0, (uint8_t)i);
		out(0x3c0, m->attr[i]);
	}
	out(0x3c0, ATTR_INDEX_VIDEO);
	out(0x3c8, 0);
	for (unsigned i = 0; i < 3 * 256; i++)
		out(0x3c9, (uint8_t)(i / 3 & 0x3f));
}

#endif
