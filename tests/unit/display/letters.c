// SPDX-License-Identifier: GPL-2.0-or-later
/* Letters read from pictures: make t T=unit/display/letters */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "display/letters.h"

#define T(f) cmocka_unit_test(f)
#define BACK 0x000000aau
#define FRONT 0x00aaaaaau

static uint8_t font[DISPLAY_FONT_BYTES];
static struct display_text text;
static struct display_picture pic;

/* Letters that differ from each other in half their dots; two lines above and below are blank. */
static int setup(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (unsigned c = 1; c < 256; c++) {
		for (unsigned y = 2; y < 12; y++) {
			seed = seed * 1664525 + 1013904223;
			font[16 * c + y] = (uint8_t)(seed >> 24);
		}
	}
	memset(font + 16 * ' ', 0, 16);
	memset(font + 16, 0, 16);
	memcpy(font + 16 + 2, "\x7e\x81\xa5\x81\x81\xbd\x99\x81\x81\x7e", 10);
	return display_picture_size(&pic, 80 * 8 + 3, 25 * 16 + 5);
}

static int teardown(void **state)
{
	(void)state;
	display_picture_free(&pic);
	return 0;
}

static void clear(void)
{
	for (uint32_t i = 0; i < pic.width * pic.height; i++)
		pic.px[i] = BACK;
}

static void put_glyph(unsigned col, unsigned row, const uint8_t *lines, uint32_t front,
		      uint32_t back)
{
	for (unsigned y = 0; y < 16; y++) {
		for (unsigned x = 0; x < 8; x++)
			display_picture_line(&pic, row * 16 + y)[col * 8 + x] =
				lines[y] >> (7 - x) & 1 ? front : back;
	}
}

static void put(unsigned col, unsigned row, const char *s)
{
	for (; *s; s++, col++)
		put_glyph(col, row, font + 16 * (uint8_t)*s, FRONT, BACK);
}

static const char *row_of(unsigned row)
{
	static char out[3 * DISPLAY_TEXT_COLS + 1];

	display_text_row(&text, row, out);
	return out;
}

static void letters_when_of_the_font_expect_each(void **state)
{
	char all[96] = "";

	(void)state;
	clear();
	for (unsigned c = ' '; c < 0x7f; c++)
		all[c - ' '] = (char)c;
	put(0, 0, all + 1 + 20);
	put(1, 24, "login: \x01\xff");
	assert_int_equal(display_letters(&pic, font, &text), 0);
	assert_int_equal(text.cols, 80);
	assert_int_equal(text.rows, 25);
	assert_string_equal(row_of(0), all + 1 + 20);
	assert_string_equal(row_of(1), "");
	assert_memory_equal(text.cell + 24 * 80, " login: \x01\xff  ", 11);
	assert_true(text.cursor_row >= text.rows);
}

static void letters_when_colours_are_others_expect_the_same(void **state)
{
	(void)state;
	clear();
	put_glyph(0, 0, font + 16 * 'a', 0xff0000, 0x00ff00);
	put_glyph(1, 0, font + 16 * 'b', BACK, FRONT);
	/* A solid block where the cursor is. */
	put_glyph(2, 0, font, BACK, FRONT);
	assert_int_equal(display_letters(&pic, font, &text), 0);
	assert_string_equal(row_of(0), "ab");
}

static void letters_when_a_cursor_is_below_expect_its_place(void **state)
{
	uint8_t g[16];

	(void)state;
	clear();
	memcpy(g, font + 16 * 'z', 16);
	g[14] = g[15] = 0xff;
	put(0, 3, "xyz");
	put_glyph(2, 3, g, FRONT, BACK);
	assert_int_equal(display_letters(&pic, font, &text), 0);
	assert_string_equal(row_of(3), "xyz");
	assert_int_equal(text.cursor_col, 2);
	assert_int_equal(text.cursor_row, 3);
	memset(g, 0, 14);
	put(0, 3, "xyz");
	put_glyph(3, 3, g, FRONT, BACK);
	assert_int_equal(display_letters(&pic, font, &text), 0);
	assert_string_equal(row_of(3), "xyz");
	assert_int_equal(text.cursor_col, 3);
}

static void letters_when_alternate_expect_their_kin(void **state)
{
	static const char which[] = "0MTVWXYZfmvwx`|~";

	(void)state;
	clear();
	put(0, 1, "letters for company");
	for (unsigned i = 0; which[i]; i++) {
		uint8_t g[16];

		/* Moved by a dot, and its last two dots different. */
		for (unsigned y = 0; y < 16; y++)
			g[y] = (uint8_t)(font[16 * which[i] + y] << 1);
		g[5] ^= 3;
		put_glyph(i, 0, g, FRONT, BACK);
	}
	assert_int_equal(display_letters(&pic, font, &text), 0);
	assert_string_equal(row_of(0), which);
	/* An N is none of them. */
	uint8_t g[16];

	memcpy(g, font + 16 * 'N', 16);
	g[5] ^= 3;
	put_glyph(0, 0, g, FRONT, BACK);
	assert_int_equal(display_letters(&pic, font, &text), 0);
	assert_string_equal(row_of(0), " MTVWXYZfmvwx`|~");
}

static void letters_when_mostly_others_expect_enodata(void **state)
{
	uint32_t seed = 1;

	(void)state;
	clear();
	assert_int_equal(display_letters(&pic, font, &text), -ENODATA);
	put(0, 0, "lost");
	for (unsigned y = 16; y < 400; y++) {
		for (unsigned x = 0; x < 640; x++) {
			seed = seed * 1664525 + 1013904223;
			display_picture_line(&pic, y)[x] = seed >> 8;
		}
	}
	assert_int_equal(display_letters(&pic, font, &text), -ENODATA);
	/* Two colours, but no letters. */
	for (unsigned i = 16 * pic.width; i < 400 * pic.width; i++)
		pic.px[i] = pic.px[i] & 1 ? FRONT : BACK;
	assert_int_equal(display_letters(&pic, font, &text), -ENODATA);
}

static void letters_when_the_picture_is_small_or_large_expect_bounds(void **state)
{
	struct display_picture p = {0};

	(void)state;
	assert_int_equal(display_picture_size(&p, 7, 15), 0);
	memset(p.px, 0, 7 * 15 * 4);
	assert_int_equal(display_letters(&p, font, &text), -ENODATA);
	assert_int_equal(display_picture_size(&p, 8192, 4096), 0);
	memset(p.px, 0x55, 8192ull * 4096 * 4);
	assert_int_equal(display_letters(&p, font, &text), -ENODATA);
	assert_int_equal(text.cols, DISPLAY_TEXT_COLS);
	assert_int_equal(text.rows, DISPLAY_TEXT_ROWS);
	display_picture_free(&p);
}

static void font_when_in_a_rom_expect_it(void **state)
{
	uint8_t *rom = calloc(1, 5000);

	(void)state;
	assert_non_null(rom);
	assert_null(display_font_in(rom, 5000));
	memcpy(rom + 904, font, 4096);
	assert_ptr_equal(display_font_in(rom, 5000), rom + 904);
	assert_null(display_font_in(rom, 4999));
	assert_null(display_font_in(rom, 0));
	free(rom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(letters_when_of_the_font_expect_each),
		T(letters_when_colours_are_others_expect_the_same),
		T(letters_when_a_cursor_is_below_expect_its_place),
		T(letters_when_alternate_expect_their_kin),
		T(letters_when_mostly_others_expect_enodata),
		T(letters_when_the_picture_is_small_or_large_expect_bounds),
		T(font_when_in_a_rom_expect_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
