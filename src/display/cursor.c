// SPDX-License-Identifier: GPL-2.0-or-later
/* Pointers over pictures. See source.h. Threads: the owner's. */
#include "display/source.h"

#include "base/range.h"

/* One colour of `under`, seen through what is not covered. */
static uint32_t mix(uint32_t over, uint32_t under, uint32_t clear, unsigned shift)
{
	uint32_t v = (over >> shift & 255) + ((under >> shift & 255) * clear + 127) / 255;

	return (uint32_t)min_u64(v, 255) << shift;
}

void display_cursor_lay(const struct display_cursor *c, struct display_picture *pic,
			struct display_lines lines)
{
	for (uint32_t row = 0; row < DISPLAY_CURSOR_SIZE; row++) {
		int64_t y = (int64_t)c->y + row;
		uint32_t *line;

		if (y < lines.first || y > lines.last || y >= pic->height)
			continue;
		line = display_picture_line(pic, (uint32_t)y);
		for (uint32_t col = 0; col < DISPLAY_CURSOR_SIZE; col++) {
			int64_t x = (int64_t)c->x + col;
			uint32_t p = c->px[row * DISPLAY_CURSOR_SIZE + col],
				 clear = 255 - (p >> 24);

			if (x < 0 || x >= pic->width)
				continue;
			line[x] = mix(p, line[x], clear, 16) | mix(p, line[x], clear, 8) |
				  mix(p, line[x], clear, 0);
		}
	}
}
