// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VGA shows, from its registers and its memory: scan line by scan line, as its CRT and attribute
 * controllers work. One pixel of the picture is one dot of the screen.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "VGA Function": "CRT Controller
 * Registers", "Attribute Controller Registers", "Alphanumeric Modes".
 * Threads: any, with the registers held still; the guest may write the memory meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "devices/display/lfb.h"
#include "devices/display/vga_regs.h"

#define COLUMNS_MAX 256u
#define DOTS_MAX ((COLUMNS_MAX + 1) * 18) /* of a line, with what panning brings in */
#define FONT_PLANE 2u

/* One picture at work. */
struct raster {
	const struct vga_core *c;
	const struct vga_regs *r;
	struct {
		bool dark;
		unsigned columns, lines, dots, width, height;
	} is;
	uint32_t color[256]; /* of the DAC, behind the mask */
	uint32_t palette[16];
	uint32_t row;  /* address counter at the left */
	unsigned scan; /* row scan counter */
	unsigned panning;
	uint32_t line[DOTS_MAX];
};

/* ---- Colours ------------------------------------------------------------------------------------ */

static uint32_t dac_part(const struct vga_core *c, uint8_t v)
{
	if (c->dispi.reg[DISPI_ENABLE] & DISPI_8BIT_DAC)
		return v;
	return (v & 0x3fu) << 2 | (v & 0x3fu) >> 4;
}

static void load_colors(struct raster *s)
{
	const struct vga_regs *r = s->r;

	for (unsigned i = 0; i < 256; i++) {
		const uint8_t *d = r->dac + 3 * (i & r->pel_mask);

		s->color[i] = dac_part(s->c, d[0]) << 16 | dac_part(s->c, d[1]) << 8 |
			      dac_part(s->c, d[2]);
	}
	for (unsigned i = 0; i < 16; i++) {
		unsigned v = r->attr[i & r->attr[ATTR_PLANE_ENABLE] & 15];
		unsigned select = r->attr[ATTR_COLOR_SELECT];

		if (r->attr[ATTR_MODE] & ATTR_MODE_P54)
			v = (v & 0x0f) | (select & 3) << 4;
		s->palette[i] = s->color[v | (select & 0x0c) << 4];
	}
}

/* ---- Addresses ---------------------------------------------------------------------------------- */

/* The byte of every plane that the CRTC fetches for its counter, plane 0 lowest. Chain 4 is packed: see vga_regs.h. */
static uint32_t fetch(const struct raster *s, uint32_t counter)
{
	const struct vga_regs *r = s->r;
	unsigned mode = r->crtc[CRTC_MODE];
	bool chain_4 = r->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN_4;
	uint32_t a = counter & 0xffff;

	if (r->crtc[CRTC_UNDERLINE] & CRTC_UNDERLINE_DOUBLE_WORD) {
		if (!chain_4)
			a = a << 2 | a >> 14;
	} else if (!(mode & CRTC_MODE_BYTE)) {
		a = a << 1 | (a >> (mode & CRTC_MODE_WRAP ? 15 : 13) & 1);
	}
	if (!(mode & CRTC_MODE_ROW_A13))
		a = (a & ~0x2000u) | (s->scan & 1) << 13;
	if (!(mode & CRTC_MODE_ROW_A14))
		a = (a & ~0x4000u) | (s->scan & 2) << 13;
	return vga_planes(s->c, (a & 0xffff) * 4);
}

static uint32_t start_address(const struct vga_regs *r)
{
	return (uint32_t)(r->crtc[CRTC_START_HIGH] << 8 | r->crtc[CRTC_START_LOW]) +
	       (r->crtc[CRTC_PRESET_ROW] >> 5 & 3);
}

/* ---- Text --------------------------------------------------------------------------------------- */

/* Bits of attribute bit 3's two fonts: 16 KiB steps, and 8 KiB. */
static unsigned font_offset(const struct vga_regs *r, bool a)
{
	unsigned v = r->seq[SEQ_FONT];
	unsigned high = a ? v >> 2 & 3 : v & 3, low = a ? v >> 5 & 1 : v >> 4 & 1;

	return high << 14 | low << 13;
}

static bool cursor_at(const struct raster *s, uint32_t counter)
{
	const struct vga_regs *r = s->r;
	unsigned at = (unsigned)(r->crtc[CRTC_CURSOR_HIGH] << 8 | r->crtc[CRTC_CURSOR_LOW]);
	unsigned start = r->crtc[CRTC_CURSOR_START];

	return (counter & 0xffff) == at && !(start & CRTC_CURSOR_OFF) && !s->is.dark &&
	       s->scan >= (start & 0x1f) && s->scan <= (r->crtc[CRTC_CURSOR_END] & 0x1fu);
}

/* One line of a character's cell, of 8 or 9 dots. */
static void draw_cell(const struct raster *s, uint32_t counter, uint32_t *out)
{
	const struct vga_regs *r = s->r;
	uint32_t planes = fetch(s, counter);
	unsigned code = planes & 0xff, attr = planes >> 8 & 0xff, mode = r->attr[ATTR_MODE];
	unsigned font = font_offset(r, attr & 8) + code * 32 + s->scan;
	unsigned bits = vga_planes(s->c, (font & 0xffff) * 4) >> 8 * FONT_PLANE << 1 & 0x1fe;
	unsigned fg = attr & 15, bg = attr >> 4;

	/* The ninth dot: the eighth again for line graphics. */
	if (mode & ATTR_MODE_LINE_GRAPHICS && code >= 0xc0 && code <= 0xdf)
		bits |= bits >> 1 & 1;
	if (mode & ATTR_MODE_BLINK) {
		if (bg & 8 && s->is.dark)
			bits = 0;
		bg &= 7;
	}
	if ((attr & 7) == 1 && s->scan == (r->crtc[CRTC_UNDERLINE] & 0x1fu))
		bits = 0x1ff;
	if (cursor_at(s, counter))
		bits = 0x1ff;
	for (unsigned i = 0; i < s->is.dots; i++)
		out[i] = s->palette[bits >> (8 - i) & 1 ? fg : bg];
}

/* ---- Graphics ----------------------------------------------------------------------------------- */

static void draw_16(const struct raster *s, uint32_t planes, uint32_t *out)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned b = 7 - i;

		out[i] = s->palette[(planes >> b & 1) | (planes >> (b + 8) & 1) << 1 |
				    (planes >> (b + 16) & 1) << 2 | (planes >> (b + 24) & 1) << 3];
	}
}

/* Two bits of planes 0 and 2 make four pixels, then of planes 1 and 3. */
static void draw_interleaved(const struct raster *s, uint32_t planes, uint32_t *out)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned b = 6 - 2 * (i & 3);
		uint32_t pair = planes >> (i >> 2) * 8 >> b;

		out[i] = s->palette[(pair & 3) | (pair >> 16 & 3) << 2];
	}
}

static void draw_256(const struct raster *s, uint32_t planes, uint32_t *out)
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = s->color[planes >> i / 2 * 8 & 0xff];
}

/* ---- Lines -------------------------------------------------------------------------------------- */

/* Dots that panning moves the line to the left by. */
static unsigned pan(const struct raster *s)
{
	unsigned v = s->panning & 15;

	if (!(s->r->gfx[GFX_MISC] & GFX_MISC_GRAPHICS) && s->is.dots == 9)
		return v < 8 ? v + 1 : 0;
	return v & 7;
}

static void draw_cells(struct raster *s)
{
	bool text = !(s->r->gfx[GFX_MISC] & GFX_MISC_GRAPHICS);
	unsigned mode = s->r->gfx[GFX_MODE];

	for (unsigned i = 0; i <= s->is.columns; i++) {
		uint32_t *out = s->line + i * s->is.dots;

		if (text)
			draw_cell(s, s->row + i, out);
		else if (mode & GFX_MODE_256)
			draw_256(s, fetch(s, s->row + i), out);
		else if (mode & GFX_MODE_INTERLEAVE)
			draw_interleaved(s, fetch(s, s->row + i), out);
		else
			draw_16(s, fetch(s, s->row + i), out);
	}
}

static void draw_line(struct raster *s, uint32_t *out)
{
	unsigned skip = pan(s);

	draw_cells(s);
	if (!(s->r->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF)) {
		memcpy(out, s->line + skip, s->is.width * sizeof(*out));
		return;
	}
	for (unsigned x = 0; x < s->is.width; x++)
		out[x] = s->line[skip + x / 2];
}

/* The picture's size, and what the first line begins with. */
static void begin(struct raster *s, const struct vga_core *c, bool dark)
{
	const struct vga_regs *r = &c->r;
	bool text = !(r->gfx[GFX_MISC] & GFX_MISC_GRAPHICS);

	s->c = c;
	s->r = r;
	s->is.dark = dark;
	s->is.columns = vga_columns(r);
	s->is.lines = vga_lines(r);
	s->is.dots = text ? vga_dots(r) : 8;
	s->is.width = s->is.columns * s->is.dots;
	if (r->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF)
		s->is.width *= 2;
	s->is.height = s->is.lines;
	if (r->crtc[CRTC_MODE] & CRTC_MODE_LINES_TWICE)
		s->is.height *= 2;
	s->row = start_address(r);
	s->scan = r->crtc[CRTC_PRESET_ROW] & 0x1f;
	s->panning = r->attr[ATTR_PANNING];
	load_colors(s);
}

static unsigned line_compare(const struct vga_regs *r)
{
	return r->crtc[CRTC_LINE_COMPARE] | (r->crtc[CRTC_OVERFLOW] & 0x10u) << 4 |
	       (r->crtc[CRTC_MAX_SCAN_LINE] & 0x40u) << 3;
}

/* Behind a line: the next one of the row, or the next row. */
static void advance(struct raster *s)
{
	if (s->scan == (s->r->crtc[CRTC_MAX_SCAN_LINE] & 0x1fu)) {
		s->scan = 0;
		s->row += s->r->crtc[CRTC_OFFSET] * 2u;
	} else {
		s->scan = (s->scan + 1) & 0x1f;
	}
}

static int draw_vga(const struct vga_core *c, bool dark, struct display_picture *pic)
{
	struct raster s;
	bool twice, second = false;
	unsigned compare, units;
	int r;

	begin(&s, c, dark);
	r = display_picture_size(pic, s.is.width, s.is.height);
	if (r)
		return r;
	twice = s.r->crtc[CRTC_MAX_SCAN_LINE] & CRTC_DOUBLE_SCAN;
	units = s.is.height / s.is.lines;
	compare = line_compare(s.r);
	for (unsigned y = 0; y < s.is.height; y++) {
		draw_line(&s, display_picture_line(pic, y));
		if (y / units == compare && y % units == units - 1) {
			/* The split: what follows is not scrolled. */
			s.row = 0;
			s.scan = 0;
			second = false;
			if (s.r->attr[ATTR_MODE] & ATTR_MODE_PANNING_STOPS)
				s.panning = 0;
		} else if (twice && !second) {
			second = true;
		} else {
			second = false;
			advance(&s);
		}
	}
	return 0;
}

int vga_draw(const struct vga_core *c, bool dark, struct display_picture *pic)
{
	struct dispi_mode m;

	if (vga_blanked(&c->r))
		return display_picture_blank(pic);
	if (!dispi_enabled(&c->dispi))
		return draw_vga(c, dark, pic);
	if (!dispi_mode(&c->dispi, &m))
		return display_picture_blank(pic);

	struct raster s = {.c = c, .r = &c->r};

	load_colors(&s);
	return lfb_draw(&m, c->vram, c->dispi.big_endian, m.bpp == 4 ? s.palette : s.color, pic);
}

int vga_text(const struct vga_core *c, struct display_text *text)
{
	const struct vga_regs *r = &c->r;
	struct raster s = {.c = c, .r = r};
	unsigned per_row = (r->crtc[CRTC_MAX_SCAN_LINE] & 0x1fu) + 1;
	unsigned lines = vga_lines(r), cursor;

	if (vga_blanked(r) || dispi_enabled(&c->dispi) || r->gfx[GFX_MISC] & GFX_MISC_GRAPHICS)
		return -ENODATA;
	if (r->crtc[CRTC_MAX_SCAN_LINE] & CRTC_DOUBLE_SCAN)
		per_row *= 2;
	text->cols = (uint16_t)vga_columns(r);
	text->rows = (uint16_t)min_u64((lines + per_row - 1) / per_row, DISPLAY_TEXT_ROWS);
	text->cursor_row = text->rows;
	text->cursor_col = 0;
	s.row = start_address(r);
	cursor = (unsigned)(r->crtc[CRTC_CURSOR_HIGH] << 8 | r->crtc[CRTC_CURSOR_LOW]);
	for (unsigned y = 0; y < text->rows; y++) {
		for (unsigned x = 0; x < text->cols; x++) {
			text->cell[y * text->cols + x] = (uint8_t)fetch(&s, s.row + x);
			if (((s.row + x) & 0xffff) != cursor ||
			    r->crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF)
				continue;
			text->cursor_row = (uint16_t)y;
			text->cursor_col = (uint16_t)x;
		}
		s.row += r->crtc[CRTC_OFFSET] * 2u;
	}
	return 0;
}
