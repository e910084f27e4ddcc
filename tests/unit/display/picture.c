// SPDX-License-Identifier: GPL-2.0-or-later
/* Pictures and text of screens: make t T=display/picture */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "display/picture.h"
#include "display/source.h"

static char path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/lodge-picture-XXXXXX");
	return mkdtemp(path) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(path);
}

static struct display_picture noise(uint32_t width, uint32_t height)
{
	struct display_picture pic = {0};

	assert_int_equal(display_picture_size(&pic, width, height), 0);
	for (uint32_t i = 0; i < width * height; i++)
		pic.px[i] = (uint32_t)(i * 2654435761u) >> 8;
	return pic;
}

static size_t slurp(const char *name, uint8_t *buf, size_t cap)
{
	FILE *f = fopen(name, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, cap, f);
	assert_true(n < cap);
	fclose(f);
	assert_int_equal(unlink(name), 0);
	return n;
}

static void size_when_absurd_expect_refusal(void **state)
{
	struct display_picture pic = {0};

	assert_int_equal(display_picture_size(&pic, 0, 1), -EINVAL);
	assert_int_equal(display_picture_size(&pic, 1, DISPLAY_SIZE_MAX + 1), -EINVAL);
	assert_int_equal(display_picture_blank(&pic), 0);
	assert_int_equal(pic.width, 640);
	assert_int_equal(display_picture_size(&pic, 3, 2), 0);
	assert_int_equal(display_picture_blank(&pic), 0);
	assert_int_equal(pic.width, 3);
	display_picture_free(&pic);
}

static void ppm_when_saved_expect_the_pixels(void **state)
{
	struct display_picture pic = noise(17, 5);
	static uint8_t buf[1000];
	char name[96];
	size_t n;

	snprintf(name, sizeof(name), "%s/a.ppm", path);
	assert_int_equal(display_picture_save(&pic, name, DISPLAY_BY_NAME, NULL), 0);
	n = slurp(name, buf, sizeof(buf));
	assert_int_equal(n, 12 + 17 * 5 * 3);
	assert_memory_equal(buf, "P6\n17 5\n255\n", 12);
	for (unsigned i = 0; i < 17 * 5; i++)
		assert_int_equal(buf[12 + 3 * i] << 16 | buf[13 + 3 * i] << 8 | buf[14 + 3 * i],
				 pic.px[i]);
	display_picture_free(&pic);
}

/* Chunk by chunk, with sums, then inflated and unfiltered. */
static void png_when_saved_expect_the_pixels(void **state)
{
	enum { W = 301, H = 211, LINE = 3 * W + 1 };
	struct display_picture pic = noise(W, H);
	static uint8_t buf[1 << 20], packed[1 << 20], raw[LINE * H], above[LINE];
	char name[96];
	size_t n, at = 8, len = 0;
	uLongf out = sizeof(raw);

	snprintf(name, sizeof(name), "%s/a.png", path);
	assert_int_equal(display_picture_save(&pic, name, DISPLAY_BY_NAME, NULL), 0);
	n = slurp(name, buf, sizeof(buf));
	assert_memory_equal(buf, "\x89PNG\r\n\x1a\n", 8);
	while (at < n) {
		uint32_t size = ld_be32(buf + at);

		assert_int_equal(ld_be32(buf + at + 8 + size), crc32(0, buf + at + 4, size + 4));
		if (!memcmp(buf + at + 4, "IHDR", 4)) {
			assert_int_equal(ld_be32(buf + at + 8), W);
			assert_int_equal(ld_be32(buf + at + 12), H);
		} else if (!memcmp(buf + at + 4, "IDAT", 4)) {
			memcpy(packed + len, buf + at + 8, size);
			len += size;
		}
		at += size + 12;
	}
	assert_int_equal(at, n);
	assert_memory_equal(buf + n - 8, "IEND", 4);
	assert_int_equal(uncompress(raw, &out, packed, len), Z_OK);
	assert_int_equal(out, sizeof(raw));
	for (unsigned y = 0; y < H; y++) {
		uint8_t *line = raw + LINE * y;

		assert_int_equal(line[0], 2);
		for (unsigned i = 1; i < LINE; i++)
			above[i] = line[i] += above[i];
		for (unsigned x = 0; x < W; x++)
			assert_int_equal(line[1 + 3 * x] << 16 | line[2 + 3 * x] << 8 |
						 line[3 + 3 * x],
					 pic.px[y * W + x]);
	}
	display_picture_free(&pic);
}

static void save_when_it_cannot_expect_sentence_and_no_file(void **state)
{
	struct display_picture pic = noise(400, 400);
	struct lodge_err err;

	assert_int_equal(display_picture_save(&pic, "/nonexistent/a.png", DISPLAY_BY_NAME, &err),
			 -ENOENT);
	assert_non_null(strstr(err.msg, "/nonexistent/a.png"));
	assert_int_equal(display_picture_save(&pic, "/dev/full", DISPLAY_BY_NAME, &err), -ENOSPC);
	assert_int_equal(access("/dev/full", W_OK), 0);
	display_picture_free(&pic);
}

static void text_when_of_code_page_437_expect_utf8_without_end(void **state)
{
	struct display_text t = {.cols = 8, .rows = 2};
	char row[3 * DISPLAY_TEXT_COLS + 1];

	memcpy(t.cell, "a\0b\x81\xc4\xe3  ", 8);
	memcpy(t.cell + 8, "    \0\0  ", 8);
	display_text_row(&t, 0, row);
	assert_string_equal(row, "a bü─π");
	display_text_row(&t, 1, row);
	assert_string_equal(row, "");
	display_text_row(&t, 2, row);
	assert_string_equal(row, "");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void cursor_when_laid_over_expect_mixed_and_cut(void **state)
{
	static struct display_cursor c = {.x = -2, .y = 3};
	struct display_picture pic = {0};

	assert_int_equal(display_picture_size(&pic, 40, 10), 0);
	for (unsigned i = 0; i < 400; i++)
		pic.px[i] = 0x8040ff;
	c.px[2] = 0xff010203;	       /* at 0, 3: covers */
	c.px[3] = 0;		       /* at 1, 3: clear */
	c.px[4] = 0x80402010;	       /* at 2, 3: half */
	c.px[5] = 0x00ffffff;	       /* at 3, 3: adds, and stops at the brightest */
	c.px[1] = 0xffffffff;	       /* to the left of the picture */
	c.px[42] = 0xffffffff;	       /* to the right of it */
	c.px[7 * 64 + 2] = ~0u;	       /* below it */
	c.px[6 * 64 + 2] = 0xff112233; /* its last line */
	display_cursor_lay(&c, &pic, DISPLAY_ALL_LINES);
	assert_int_equal(pic.px[3 * 40], 0x010203);
	assert_int_equal(pic.px[3 * 40 + 1], 0x8040ff);
	assert_int_equal(pic.px[3 * 40 + 2], 0x80408f);
	assert_int_equal(pic.px[3 * 40 + 3], 0xffffff);
	assert_int_equal(pic.px[3 * 40 + 39], 0x8040ff);
	assert_int_equal(pic.px[4 * 40], 0x8040ff);
	assert_int_equal(pic.px[2 * 40 + 39], 0x8040ff);
	assert_int_equal(pic.px[9 * 40], 0x112233);
	/* Of some lines. */
	pic.px[9 * 40] = pic.px[3 * 40] = 5;
	display_cursor_lay(&c, &pic, (struct display_lines){4, 8});
	assert_int_equal(pic.px[3 * 40] | pic.px[9 * 40], 5);
	display_cursor_lay(&c, &pic, (struct display_lines){9, 100});
	assert_int_equal(pic.px[3 * 40], 5);
	assert_int_equal(pic.px[9 * 40], 0x112233);
	display_cursor_lay(&c, &pic, DISPLAY_NO_LINES);
	/* Far away. */
	c.x = INT32_MAX;
	display_cursor_lay(&c, &pic, DISPLAY_ALL_LINES);
	c.x = 0;
	c.y = INT32_MIN;
	display_cursor_lay(&c, &pic, DISPLAY_ALL_LINES);
	assert_int_equal(pic.px[0], 0x8040ff);
	display_picture_free(&pic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursor_when_laid_over_expect_mixed_and_cut),
		T(size_when_absurd_expect_refusal),
		T(ppm_when_saved_expect_the_pixels),
		T(png_when_saved_expect_the_pixels),
		T(save_when_it_cannot_expect_sentence_and_no_file),
		T(text_when_of_code_page_437_expect_utf8_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
