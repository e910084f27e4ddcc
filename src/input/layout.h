/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyboards of other countries: which key writes what, by libxkbcommon and the descriptions that come with the
 * host's xkb-data. The library is loaded while a layout is read, and only then.
 * Source: xkbcommon.org/doc; X11's keysymdef.h; QEMU's manual, -k, for names. Threads: none; a layout does not change.
 */
#ifndef LODGE_INPUT_LAYOUT_H
#define LODGE_INPUT_LAYOUT_H

#include "base/err.h"
#include "input/keys.h"

struct input_layout;

/*
 * "de", "en-gb" and the like as QEMU names them, or a name of xkb-data's, with its variant as "de(neo)". NULL
 * and a sentence. What it is for "en-us", which needs no library, is a layout as well.
 */
struct input_layout *input_layout_new(const char *name, struct lodge_err *err);
void input_layout_free(struct input_layout *l); /* NULL is allowed */

#define INPUT_SHIFT 1u
#define INPUT_ALTGR 2u
#define INPUT_CAPS 4u /* Caps Lock does what Shift does */

struct input_stroke {
	enum input_key key;
	unsigned held; /* with it: INPUT_SHIFT, INPUT_ALTGR */
};

/*
 * The key that writes an X keysym, and what is held with it; INPUT_CAPS may be among that. A key that writes nothing
 * needs nothing. INPUT_KEY_unmapped: there is none. `l`: NULL is a US keyboard.
 */
struct input_stroke input_layout_key(const struct input_layout *l, uint32_t sym);

/*
 * How a character of Unicode is written (TAB, LF and ESC among them): keys one after another, each with what is
 * held with it; a dead key comes before the letter it goes with. How many, 0: it cannot be written.
 */
#define INPUT_STROKES 2u
unsigned input_layout_write(const struct input_layout *l, uint32_t c,
			    struct input_stroke out[INPUT_STROKES]);

#endif
