// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the reading of letters in pictures that a guest draws: make t T=fuzz/letters */
#include <errno.h>
#include <string.h>

#include "display/letters.h"
#include "fuzz_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct display_text text;
	struct fuzz_in in = {data, size};
	struct display_picture pic = {0};
	uint8_t font[DISPLAY_FONT_BYTES] = {0};
	uint32_t width = 1 + (uint32_t)fuzz_uint(&in, 2) % 300, height = 1 + (uint32_t)fuzz_u8(&in);
	unsigned colours = 1 + fuzz_u8(&in) % 3;
	int r;

	for (unsigned i = 0; i < 64; i++)
		font[(unsigned)fuzz_uint(&in, 2) % sizeof(font)] = fuzz_u8(&in);
	if (display_picture_size(&pic, width, height))
		return 0;
	for (uint32_t i = 0; i < width * height; i++)
		pic.px[i] = in.left ? in.p[i % in.left] % colours * 0x555555 : 0;
	r = display_letters(&pic, font, &text);
	FUZZ_CHECK(!r || r == -ENODATA);
	FUZZ_CHECK(text.cols == width / 8 && text.rows == height / 16);
	FUZZ_CHECK(text.cursor_row >= text.rows || text.cursor_col < text.cols);
	for (unsigned y = 0; y < text.rows; y++) {
		char row[3 * DISPLAY_TEXT_COLS + 1];

		display_text_row(&text, y, row);
		FUZZ_CHECK(strlen(row) <= 3u * text.cols);
	}
	FUZZ_CHECK(!display_font_in(data, size) || size >= DISPLAY_FONT_BYTES);
	display_picture_free(&pic);
	return 0;
}
