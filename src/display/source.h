/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a display adapter offers to whoever shows it: a screenshot, later a VNC server.
 * Threads: with the VM lock held, but where it says so.
 */
#ifndef LODGE_DISPLAY_SOURCE_H
#define LODGE_DISPLAY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "display/picture.h"

#define DISPLAY_TEXT_COLS 256u
#define DISPLAY_TEXT_ROWS 128u

/* A screen of text: character codes as the guest wrote them (code page 437 on a PC), row after row. */
struct display_text {
	uint16_t cols, rows;
	uint16_t cursor_col, cursor_row; /* rows and beyond: there is none */
	uint8_t cell[DISPLAY_TEXT_COLS * DISPLAY_TEXT_ROWS];
};

/* Lines of a picture; last below first: none. */
struct display_lines {
	uint32_t first, last;
};

#define DISPLAY_ALL_LINES ((struct display_lines){0, UINT32_MAX})
#define DISPLAY_NO_LINES ((struct display_lines){1, 0})

#define DISPLAY_CURSOR_SIZE 64u

/* A pointer that the adapter lays over its picture. */
struct display_cursor {
	int32_t x, y;	       /* of its upper left corner in the picture; may lie outside */
	uint32_t hot_x, hot_y; /* the dot of it that points, within */
	uint32_t
		px[DISPLAY_CURSOR_SIZE * DISPLAY_CURSOR_SIZE]; /* 0xAARRGGBB, colours times alpha */
};

/* Lay it over those lines of a picture. */
void display_cursor_lay(const struct display_cursor *c, struct display_picture *pic,
			struct display_lines lines);

struct display_source {
	/*
	 * What may have changed since the last time, in two steps: `look`, without the VM lock, since it waits for
	 * vCPUs that write just now; then `changed`, with it. One looker. A picture of another size is all
	 * changed. What is drawn after that has all that is told, and what is written later is told next time.
	 */
	void (*look)(void *opaque);
	struct display_lines (*changed)(void *opaque);
	/* Draw what is to be seen now; gives the picture its size. -ENOMEM. */
	int (*draw)(void *opaque, struct display_picture *pic);
	/*
	 * The same of some lines, where the others of *pic are as they were drawn before; of all, and *lines says so, where
	 * the picture has another size. May be NULL: `draw` does it.
	 */
	int (*draw_lines)(void *opaque, struct display_picture *pic, struct display_lines *lines);
	/* The text, exactly. -ENODATA where what is shown is no text; may be NULL: it never is. */
	int (*text)(void *opaque, struct display_text *text);
	/*
	 * The pointer, which `draw` leaves out; lines of it are told by `changed`. False: none is shown. May be NULL: the
	 * adapter never has one.
	 */
	bool (*cursor)(void *opaque, struct display_cursor *c);
	/* Whoever looks would like a picture of that size: the guest is told. May be NULL: it cannot be. */
	void (*resize)(void *opaque, uint32_t width, uint32_t height);
	void *opaque;
};

/* Row `row` of it as UTF-8, without spaces at its end. `out` has room for 3 bytes a column and one. */
void display_text_row(const struct display_text *text, unsigned row, char *out);

#endif
