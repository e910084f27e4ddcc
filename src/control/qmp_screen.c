// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: what the screen shows. Source: QEMU's QMP reference (screendump).
 *
 * x-screen-picture is Lodge's own: the picture's file comes as text in pieces, so that neither side needs a file
 * that both can name. A piece that begins at 0 takes the picture, which stays for those that follow.
 * Threads: the control thread's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "control/mon_int.h"
#include "display/picture.h"
#include "machine/vm.h"

#define PIECE_BYTES (384u << 10)

static int read_format(json_t *args, bool *png, struct lodge_err *err)
{
	const char *format = qmp_str(args, "format");

	if (format && strcmp(format, "png") != 0 && strcmp(format, "ppm") != 0)
		return err_set(err, -EINVAL, "'format' is png or ppm");
	*png = format && !strcmp(format, "png");
	if (qmp_str(args, "device") || qmp_int(args, "head", 0))
		return err_set(err, -EINVAL,
			       "the first display adapter is the one whose picture is taken; "
			       "leave 'device' and 'head' out");
	return 0;
}

int mon_screendump(struct mon *m, const char *path, bool png, struct lodge_err *err)
{
	struct display_picture pic = {0};
	int r = vm_screen_draw(m->vm, &pic, err);

	if (!r)
		r = display_picture_save(&pic, path, png ? DISPLAY_PNG : DISPLAY_PPM, err);
	display_picture_free(&pic);
	return r;
}

COMMAND(screendump)
{
	bool png;
	int r = read_format(args, &png, err);

	return r ? r : mon_screendump(m, qmp_str(args, "filename"), png, err);
}

static int take_picture(struct mon *m, bool png, struct lodge_err *err)
{
	struct display_picture pic = {0};
	int r = vm_screen_draw(m->vm, &pic, err);

	free(m->picture);
	m->picture = NULL;
	m->picture_len = 0;
	if (!r)
		r = display_picture_file(&pic, png ? DISPLAY_PNG : DISPLAY_PPM, &m->picture,
					 &m->picture_len);
	display_picture_free(&pic);
	return r && !err->msg[0] ? err_set(err, r, "no memory for a picture of the screen") : r;
}

static json_t *base64(const uint8_t *p, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = (len + 2) / 3 * 4, at = 0;
	char *text = malloc(n);
	json_t *j;

	for (size_t i = 0; text && i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
			     (i + 2 < len ? p[i + 2] : 0u);

		text[at++] = digits[v >> 18];
		text[at++] = digits[v >> 12 & 63];
		text[at++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		text[at++] = i + 2 < len ? digits[v & 63] : '=';
	}
	j = text ? json_stringn_nocheck(text, at) : NULL;
	free(text);
	return j;
}

COMMAND(screen_picture)
{
	json_int_t from = qmp_int(args, "offset", 0);
	size_t len;
	bool png;
	int r = read_format(args, &png, err);

	if (!r && from == 0)
		r = take_picture(m, png, err);
	if (r)
		return r;
	if (from < 0 || (uint64_t)from > m->picture_len)
		return err_set(err, -EINVAL, "the picture has %zu bytes", m->picture_len);
	len = min_u64(m->picture_len - (size_t)from, PIECE_BYTES);
	*ret = json_pack("{s:I, s:o}", "size", (json_int_t)m->picture_len, "data",
			 base64(m->picture + from, len));
	if ((size_t)from + len == m->picture_len) {
		free(m->picture);
		m->picture = NULL;
		m->picture_len = 0;
	}
	return *ret ? 0 : err_set(err, -ENOMEM, "no memory for a picture of the screen");
}

/* The screen's text, line by line; ENODATA is no error but an answer. */
COMMAND(screen_text)
{
	struct display_text *text = malloc(sizeof(*text));
	char row[DISPLAY_TEXT_COLS * 3 + 1];
	json_t *lines;
	int r = text ? vm_screen_text(m->vm, text, err) : -ENOMEM;

	if (r && r != -ENODATA) {
		free(text);
		return r;
	}
	lines = json_array();
	for (unsigned i = 0; !r && i < text->rows; i++) {
		display_text_row(text, i, row);
		json_array_append_new(lines, qmp_text(row, strlen(row)));
	}
	*ret = json_pack("{s:b, s:o}", "text", !r, "lines", lines);
	if (!r && text->cursor_row < text->rows)
		json_object_set_new(*ret, "cursor",
				    json_pack("{s:i, s:i}", "column", text->cursor_col, "row",
					      text->cursor_row));
	free(text);
	return 0;
}

COMMAND(screen_size)
{
	struct display_picture pic = {0};
	int r = vm_screen_draw(m->vm, &pic, err);

	if (!r)
		*ret = json_pack("{s:I, s:I}", "width", (json_int_t)pic.width, "height",
				 (json_int_t)pic.height);
	display_picture_free(&pic);
	return r;
}

const struct qmp_command qmp_screen_commands[] = {
	{"screendump", "filename:s,?device:s,?head:i,?format:s", screendump},
	{"x-screen-picture", "?format:s,?offset:i", screen_picture},
	{"x-screen-text", "", screen_text},
	{"x-screen-size", "", screen_size},
	{NULL, NULL, NULL},
};
