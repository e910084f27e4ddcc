/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A console's text out of its picture: letters of 8 by 16 dots, as kernels draw them in frame buffers.
 * Pure: it looks at nothing but its arguments.
 */
#ifndef LODGE_DISPLAY_LETTERS_H
#define LODGE_DISPLAY_LETTERS_H

#include <stddef.h>
#include <stdint.h>

#include "display/source.h"

/* 256 letters of 16 lines, a byte each, in the order of code page 437. */
#define DISPLAY_FONT_BYTES 4096u

/* Such a font in a video BIOS' bytes, or NULL. */
const uint8_t *display_font_in(const uint8_t *rom, size_t len);

/*
 * Read the picture as rows of letters from its upper left corner. A letter's two colours are any; a cell that
 * shows none is blank. -ENODATA where most of what is to be seen is no letter, or nothing is.
 */
int display_letters(const struct display_picture *pic, const uint8_t *font,
		    struct display_text *text) MUST_CHECK;

#endif
