// SPDX-License-Identifier: GPL-2.0-or-later
/* A linear frame buffer as a picture. See lfb.h. Threads: any; the guest may write meanwhile. */
#include "devices/display/lfb.h"

#include <string.h>

#include "base/bytes.h"

static uint32_t widen(uint32_t v, unsigned bits)
{
	return v << (8 - bits) | v >> (2 * bits - 8);
}

static uint32_t rgb(uint32_t r, uint32_t g, uint32_t b)
{
	return r << 16 | g << 8 | b;
}

/* Four planes, byte by byte in turn; the leftmost pixel is the highest bit. */
static void line_4(uint32_t *out, const uint8_t *p, unsigned n, const uint32_t *palette)
{
	for (unsigned x = 0; x < n; x++) {
		const uint8_t *plane = p + x / 8 * 4;
		unsigned bit = 7 - x % 8, c = 0;

		for (unsigned i = 0; i < 4; i++)
			c |= (plane[i] >> bit & 1u) << i;
		out[x] = palette[c];
	}
}

static void line_8(uint32_t *out, const uint8_t *p, unsigned n, const uint32_t *palette)
{
	for (unsigned x = 0; x < n; x++)
		out[x] = palette[p[x]];
}

static void line_16(uint32_t *out, const uint8_t *p, unsigned n, bool big, bool green_5)
{
	for (unsigned x = 0; x < n; x++) {
		uint32_t v = big ? ld_be16(p + 2 * x) : ld_le16(p + 2 * x);

		if (green_5)
			out[x] = rgb(widen(v >> 10 & 31, 5), widen(v >> 5 & 31, 5),
				     widen(v & 31, 5));
		else
			out[x] = rgb(widen(v >> 11, 5), widen(v >> 5 & 63, 6), widen(v & 31, 5));
	}
}

static void line_24(uint32_t *out, const uint8_t *p, unsigned n, bool big)
{
	for (unsigned x = 0; x < n; x++, p += 3)
		out[x] = big ? rgb(p[0], p[1], p[2]) : rgb(p[2], p[1], p[0]);
}

static void line_32(uint32_t *out, const uint8_t *p, unsigned n, bool big)
{
	for (unsigned x = 0; x < n; x++)
		out[x] = (big ? ld_be32(p + 4 * x) : ld_le32(p + 4 * x)) & 0xffffff;
}

int lfb_draw(const struct dispi_mode *m, const uint8_t *vram, bool big_endian,
	     const uint32_t *palette, struct display_picture *pic)
{
	int r = display_picture_size(pic, m->width, m->height);

	for (uint32_t y = 0; !r && y < m->height; y++) {
		const uint8_t *p = vram + m->start + (uint64_t)y * m->stride;
		uint32_t *out = display_picture_line(pic, y);

		switch (m->bpp) {
		case 4:
			line_4(out, p, m->width, palette);
			break;
		case 8:
			line_8(out, p, m->width, palette);
			break;
		case 15:
		case 16:
			line_16(out, p, m->width, big_endian, m->bpp == 15);
			break;
		case 24:
			line_24(out, p, m->width, big_endian);
			break;
		default:
			line_32(out, p, m->width, big_endian);
			break;
		}
	}
	return r;
}
