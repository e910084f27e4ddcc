// SPDX-License-Identifier: GPL-2.0-or-later
/* The picture a VGA's registers and memory make: make t T=devices/vga_draw */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "vga_modes.h"

#define VRAM (1u << 20)

static struct vga_core c;
static struct display_picture pic;

static void out(uint16_t port, uint8_t val)
{
	vga_port_write(&c, port, val);
}

static uint8_t in(uint16_t port)
{
	if (port == 0x3da)
		vga_attr_restart(&c);
	return vga_port_read(&c, port);
}

static void crtc(unsigned index, unsigned val)
{
	c.r.crtc[index] = (uint8_t)val;
}

static int setup(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	c.vram = calloc(1, VRAM);
	c.vram_bytes = c.dispi.vram_bytes = VRAM;
	dispi_reset(&c.dispi);
	c.r.pel_mask = 0xff;
	return c.vram ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(c.vram);
	display_picture_free(&pic);
	return 0;
}

/* The DAC's colour i, as vga_set_mode() filled it. */
static uint32_t gray(unsigned i)
{
	return ((i & 0x3f) << 2 | (i & 0x3f) >> 4) * 0x010101;
}

/* What attribute n looks like with a palette of EGA's. */
static uint32_t ega(unsigned n)
{
	return gray(vga_modes[MODE_16].attr[n]);
}

static uint32_t at(unsigned x, unsigned y)
{
	assert_true(x < pic.width && y < pic.height);
	return display_picture_line(&pic, y)[x];
}

static void draw(unsigned mode)
{
	vga_set_mode(mode, out, in);
	assert_int_equal(vga_draw(&c, false, &pic), 0);
}

static void redraw(void)
{
	assert_int_equal(vga_draw(&c, false, &pic), 0);
}

static void cell(unsigned col, unsigned row, unsigned code, unsigned attr)
{
	uint8_t *p = c.vram + (row * 80 + col) * 2 * 4;

	p[0] = (uint8_t)code;
	p[1] = (uint8_t)attr;
}

static void glyph(unsigned font, unsigned code, unsigned line, unsigned bits)
{
	c.vram[(font + code * 32 + line) * 4 + 2] = (uint8_t)bits;
}

static void size_when_of_a_mode_expect_its_dots(void **state)
{
	static const uint16_t sizes[VGA_MODES][2] = {
		[MODE_TEXT_80] = {720, 400}, [MODE_TEXT_40] = {720, 400}, [MODE_CGA_4] = {640, 400},
		[MODE_CGA_2] = {640, 400},   [MODE_EGA_16] = {640, 400},  [MODE_16] = {640, 480},
		[MODE_256] = {640, 400},     [MODE_X] = {640, 400},
	};

	(void)state;
	for (unsigned i = 0; i < VGA_MODES; i++) {
		draw(i);
		assert_int_equal(pic.width, sizes[i][0]);
		assert_int_equal(pic.height, sizes[i][1]);
	}
}

static void text_when_drawn_expect_font_colours_and_ninth_dot(void **state)
{
	(void)state;
	cell(2, 1, 'A', 0x1e);
	cell(3, 1, 0xc4, 0x07); /* line graphics */
	cell(4, 1, 0x01, 0x07);
	glyph(0, 'A', 3, 0x81);
	glyph(0, 0xc4, 3, 0x01);
	glyph(0, 0x01, 3, 0x01);
	draw(MODE_TEXT_80);
	assert_int_equal(at(18, 19), ega(14));
	assert_int_equal(at(19, 19), ega(1));
	assert_int_equal(at(25, 19), ega(14));
	assert_int_equal(at(26, 19), ega(1));
	assert_int_equal(at(18, 18), ega(1));
	assert_int_equal(at(34, 19), ega(7));
	assert_int_equal(at(35, 19), ega(7)); /* the eighth again */
	assert_int_equal(at(43, 19), ega(7));
	assert_int_equal(at(44, 19), 0);
	c.r.attr[ATTR_MODE] &= (uint8_t)~ATTR_MODE_LINE_GRAPHICS;
	redraw();
	assert_int_equal(at(35, 19), 0);
	/* Cells of 8 dots. */
	c.r.seq[SEQ_CLOCKING] |= SEQ_CLOCKING_8_DOTS;
	c.r.attr[ATTR_PANNING] = 0;
	redraw();
	assert_int_equal(pic.width, 640);
	assert_int_equal(at(16, 19), ega(14));
	assert_int_equal(at(23, 19), ega(14));
}

static void text_when_40_columns_expect_each_dot_twice(void **state)
{
	(void)state;
	c.vram[0] = 'A';
	c.vram[1] = 0x0f;
	glyph(0, 'A', 0, 0x40);
	draw(MODE_TEXT_40);
	assert_int_equal(at(1, 0), 0);
	assert_int_equal(at(2, 0), ega(15));
	assert_int_equal(at(3, 0), ega(15));
	assert_int_equal(at(4, 0), 0);
}

static void text_when_second_font_expect_it_by_bit_3(void **state)
{
	(void)state;
	cell(0, 0, 'A', 0x0f);
	cell(1, 0, 'A', 0x07);
	glyph(0x4000, 'A', 0, 0x80);
	glyph(0x6000, 'A', 1, 0x80);
	draw(MODE_TEXT_80);
	assert_int_equal(at(0, 0), 0);
	c.r.seq[SEQ_FONT] = 0x04 | 0x10 | 0x01; /* A: font 1 at 16 KiB; B: at 24 KiB */
	redraw();
	assert_int_equal(at(0, 0), ega(15));
	assert_int_equal(at(9, 0), 0);
	assert_int_equal(at(9, 1), ega(7));
	assert_int_equal(at(0, 1), 0);
}

static void text_when_it_blinks_expect_it_dark_half_the_time(void **state)
{
	(void)state;
	cell(0, 0, 'A', 0x9f);
	glyph(0, 'A', 0, 0x80);
	draw(MODE_TEXT_80);
	assert_int_equal(at(0, 0), ega(15));
	assert_int_equal(at(1, 0), ega(1));
	assert_int_equal(vga_draw(&c, true, &pic), 0);
	assert_int_equal(at(0, 0), ega(1));
	c.r.attr[ATTR_MODE] &= (uint8_t)~ATTR_MODE_BLINK;
	redraw();
	assert_int_equal(at(0, 0), ega(15));
	assert_int_equal(at(1, 0), ega(9));
}

static void cursor_when_on_expect_its_lines(void **state)
{
	(void)state;
	cell(5, 2, ' ', 0x0a);
	vga_set_mode(MODE_TEXT_80, out, in);
	crtc(CRTC_CURSOR_LOW, 165);
	redraw();
	assert_int_equal(at(45, 32 + 12), 0);
	assert_int_equal(at(45, 32 + 13), ega(10));
	assert_int_equal(at(53, 32 + 14), ega(10));
	assert_int_equal(at(54, 32 + 14), 0);
	assert_int_equal(at(45, 32 + 15), 0);
	assert_int_equal(vga_draw(&c, true, &pic), 0);
	assert_int_equal(at(45, 32 + 13), 0);
	crtc(CRTC_CURSOR_START, 0x2d);
	redraw();
	assert_int_equal(at(45, 32 + 13), 0);
}

static void underline_when_attribute_1_expect_its_line(void **state)
{
	(void)state;
	cell(1, 0, ' ', 0x01);
	cell(2, 0, ' ', 0x02);
	vga_set_mode(MODE_TEXT_80, out, in);
	crtc(CRTC_UNDERLINE, 12);
	redraw();
	assert_int_equal(at(9, 12), ega(1));
	assert_int_equal(at(9, 11), 0);
	assert_int_equal(at(18, 12), 0);
}

static void start_when_moved_expect_scrolled_by_rows_lines_and_dots(void **state)
{
	(void)state;
	cell(0, 1, 'A', 0x0f);
	glyph(0, 'A', 3, 0x80);
	vga_set_mode(MODE_TEXT_80, out, in);
	crtc(CRTC_START_LOW, 80);
	redraw();
	assert_int_equal(at(0, 3), ega(15));
	crtc(CRTC_PRESET_ROW, 2);
	redraw();
	assert_int_equal(at(0, 1), ega(15));
	crtc(CRTC_START_LOW, 79);
	redraw();
	assert_int_equal(at(9, 1), ega(15));
	c.r.attr[ATTR_PANNING] = 0; /* of nine dots: by one */
	redraw();
	assert_int_equal(at(8, 1), ega(15));
	c.r.attr[ATTR_PANNING] = 7;
	redraw();
	assert_int_equal(at(1, 1), ega(15));
	crtc(CRTC_PRESET_ROW, 2 | 1 << 5); /* and by a byte */
	c.r.attr[ATTR_PANNING] = 8;
	redraw();
	assert_int_equal(at(0, 1), ega(15));
}

static void split_when_lines_compare_expect_the_start_of_memory(void **state)
{
	(void)state;
	vga_set_mode(MODE_16, out, in);
	memset(c.vram + 0x8000 * 4, 0xff, 80 * 480 * 4);
	crtc(CRTC_START_HIGH, 0x80);
	c.vram[0] = 0x80;	   /* plane 0 */
	c.vram[80 * 4 + 1] = 0x80; /* plane 1, a line below */
	/* Line 299: bit 8 is in the overflow register, bit 9 in the one of the maximum scan line. */
	crtc(CRTC_LINE_COMPARE, 299 & 0xff);
	crtc(CRTC_OVERFLOW, 0x3e);
	crtc(CRTC_MAX_SCAN_LINE, 0);
	c.r.attr[ATTR_PANNING] = 3;
	redraw();
	assert_int_equal(at(0, 299), ega(15));
	assert_int_equal(at(0, 300), 0);
	c.r.attr[ATTR_MODE] |= ATTR_MODE_PANNING_STOPS;
	redraw();
	assert_int_equal(at(0, 299), ega(15));
	assert_int_equal(at(0, 300), ega(1));
	assert_int_equal(at(1, 300), 0);
	assert_int_equal(at(0, 301), ega(2));
}

static void planes_when_16_colours_expect_bits_of_four(void **state)
{
	(void)state;
	st_le32(c.vram + 80 * 4, 0x0100c040); /* planes 3, 2, 1, 0 */
	draw(MODE_16);
	assert_int_equal(at(0, 1), ega(2));
	assert_int_equal(at(1, 1), ega(3));
	assert_int_equal(at(2, 1), 0);
	assert_int_equal(at(7, 1), ega(8));
	c.r.attr[ATTR_PLANE_ENABLE] = 1;
	redraw();
	assert_int_equal(at(0, 1), 0);
	assert_int_equal(at(1, 1), ega(1));
	/* The palette's upper bits by the colour select register. */
	c.r.attr[ATTR_COLOR_SELECT] = 0x06;
	redraw();
	assert_int_equal(at(1, 1), gray(0x41)); /* bits 7 and 6 */
	c.r.attr[ATTR_MODE] |= ATTR_MODE_P54;
	redraw();
	assert_int_equal(at(1, 1), gray(0x61)); /* and 5 and 4 */
	c.r.pel_mask = 0x21;
	redraw();
	assert_int_equal(at(1, 1), gray(0x21));
}

static void pixels_when_of_other_modes_expect_their_colours(void **state)
{
	(void)state;
	/* 320x200, four colours: even lines, then odd ones 8 KiB on; by words. */
	c.vram[0] = 0x1b;	   /* 0 1 2 3 */
	c.vram[1] = 0xe4;	   /* 3 2 1 0 */
	c.vram[0x2000 * 4] = 0x40; /* 1 */
	draw(MODE_CGA_4);
	for (unsigned x = 0; x < 4; x++) {
		static const uint8_t attr[] = {0, 0x13, 0x15, 0x17};

		assert_int_equal(at(2 * x, 0), gray(attr[x]));
		assert_int_equal(at(2 * x + 1, 1), gray(attr[x]));
		assert_int_equal(at(8 + 2 * x, 0), gray(attr[3 - x]));
	}
	assert_int_equal(at(0, 2), gray(0x13));
	assert_int_equal(at(2, 2), 0);
	memset(c.vram, 0, VRAM);
	/* 640x200, two colours: by bytes. */
	c.vram[4] = 0x80;
	c.vram[0x2000 * 4] = 0x80;
	draw(MODE_CGA_2);
	assert_int_equal(at(8, 1), gray(0x17));
	assert_int_equal(at(0, 2), gray(0x17));
	assert_int_equal(at(0, 0), 0);
	memset(c.vram, 0, VRAM);
	/* 320x200, 256 colours: bytes in a row, each two dots and two lines. */
	c.vram[320 + 3] = 0x2a;
	draw(MODE_256);
	assert_int_equal(at(6, 2), gray(0x2a));
	assert_int_equal(at(7, 3), gray(0x2a));
	assert_int_equal(at(8, 3), 0);
	draw(MODE_X);
	assert_int_equal(at(6, 2), gray(0x2a));
	crtc(CRTC_START_LOW, 80);
	c.r.attr[ATTR_PANNING] = 4; /* two pixels */
	redraw();
	assert_int_equal(at(2, 0), gray(0x2a));
	memset(c.vram, 0, VRAM);
	c.vram[40 * 4 + 2] = 0x01; /* 320x200, 16 colours */
	draw(MODE_EGA_16);
	assert_int_equal(at(14, 2), gray(4));
	assert_int_equal(at(15, 3), gray(4));
}

static void vbe_when_enabled_expect_its_picture(void **state)
{
	(void)state;
	draw(MODE_256);
	dispi_write(&c.dispi, DISPI_XRES, 400);
	dispi_write(&c.dispi, DISPI_YRES, 300);
	dispi_write(&c.dispi, DISPI_BPP, 8);
	dispi_write(&c.dispi, DISPI_ENABLE, DISPI_ENABLED | DISPI_8BIT_DAC);
	c.vram[401] = 9;
	c.r.dac[27] = 0xfe;
	redraw();
	assert_int_equal(pic.width, 400);
	assert_int_equal(pic.height, 300);
	assert_int_equal(at(1, 1), 0xfe0909);
	dispi_write(&c.dispi, DISPI_BPP, 4);
	c.vram[4] = c.vram[5] = 0x80;
	redraw();
	assert_int_equal(at(8, 0), 0x030303);
	/* Without the palette's bit nothing is to be seen, as by BIOSes that clear the screen. */
	c.r.attr_index = 0;
	redraw();
	assert_int_equal(pic.width, 400);
	assert_int_equal(at(8, 0), 0);
	c.r.attr_index = ATTR_INDEX_VIDEO;
	c.r.seq[SEQ_CLOCKING] |= SEQ_CLOCKING_OFF;
	redraw();
	assert_int_equal(at(8, 0), 0);
}

static void text_when_asked_for_expect_codes_and_cursor(void **state)
{
	static struct display_text t;
	char row[3 * DISPLAY_TEXT_COLS + 1];

	(void)state;
	assert_int_equal(vga_text(&c, &t), -ENODATA);
	vga_set_mode(MODE_TEXT_80, out, in);
	cell(2, 26, 'H', 7);
	cell(3, 26, 'i', 7);
	crtc(CRTC_START_LOW, 160);
	crtc(CRTC_CURSOR_HIGH, (26 * 80 + 4) >> 8);
	crtc(CRTC_CURSOR_LOW, 26 * 80 + 4);
	assert_int_equal(vga_text(&c, &t), 0);
	assert_int_equal(t.cols, 80);
	assert_int_equal(t.rows, 25);
	assert_int_equal(t.cursor_row, 24);
	assert_int_equal(t.cursor_col, 4);
	display_text_row(&t, 24, row);
	assert_string_equal(row, "  Hi");
	vga_set_mode(MODE_16, out, in);
	assert_int_equal(vga_text(&c, &t), -ENODATA);
}

/* The largest and the oddest pictures that registers can ask for stay in bounds. */
static void registers_when_absurd_expect_a_picture(void **state)
{
	static struct display_text t;

	(void)state;
	memset(&c.r, 0xff, sizeof(c.r));
	redraw();
	assert_true(pic.width <= 256 * 18 && pic.height <= 2048);
	c.r.gfx[GFX_MISC] = 0;
	redraw();
	c.r.seq[SEQ_CLOCKING] = SEQ_CLOCKING_HALF;
	redraw();
	assert_int_equal(pic.width, 256 * 18);
	assert_int_equal(vga_text(&c, &t), 0);
	memset(&c.r, 0, sizeof(c.r));
	c.r.attr_index = ATTR_INDEX_VIDEO;
	redraw();
	assert_int_equal(pic.height, 1);
	assert_int_equal(vga_text(&c, &t), 0);
	assert_int_equal(t.rows, 1);
}

static void memory_when_folded_expect_the_same_picture(void **state)
{
	static const unsigned modes[] = {MODE_TEXT_80, MODE_TEXT_40, MODE_CGA_4};
	static uint8_t scratch[VGA_FOLD_BYTES];
	static struct display_text before, after;
	uint32_t x = 1;

	(void)state;
	for (unsigned i = 0; i < VRAM; i++) {
		x = x * 1103515245 + 12345;
		c.vram[i] = (uint8_t)(x >> 16);
	}
	for (unsigned i = 0; i < 3; i++) {
		uint32_t *px;
		size_t bytes;
		int r;

		draw(modes[i]);
		bytes = (size_t)pic.width * pic.height * 4;
		px = malloc(bytes);
		assert_non_null(px);
		memcpy(px, pic.px, bytes);
		r = vga_text(&c, &before);
		vga_fold(&c, true, scratch);
		redraw();
		assert_memory_equal(px, pic.px, bytes);
		assert_int_equal(vga_text(&c, &after), r);
		assert_memory_equal(&before, &after, sizeof(before));
		vga_fold(&c, false, scratch);
		redraw();
		assert_memory_equal(px, pic.px, bytes);
		free(px);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(size_when_of_a_mode_expect_its_dots),
		T(text_when_drawn_expect_font_colours_and_ninth_dot),
		T(text_when_40_columns_expect_each_dot_twice),
		T(text_when_second_font_expect_it_by_bit_3),
		T(text_when_it_blinks_expect_it_dark_half_the_time),
		T(cursor_when_on_expect_its_lines),
		T(underline_when_attribute_1_expect_its_line),
		T(start_when_moved_expect_scrolled_by_rows_lines_and_dots),
		T(split_when_lines_compare_expect_the_start_of_memory),
		T(planes_when_16_colours_expect_bits_of_four),
		T(pixels_when_of_other_modes_expect_their_colours),
		T(vbe_when_enabled_expect_its_picture),
		T(text_when_asked_for_expect_codes_and_cursor),
		T(registers_when_absurd_expect_a_picture),
		T(memory_when_folded_expect_the_same_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
