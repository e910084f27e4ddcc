/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys of keyboards, by QEMU's names for them, and which of them write a character on a US keyboard.
 * Source: keys.def. Threads: no shared state.
 */
#ifndef LODGE_INPUT_KEYS_H
#define LODGE_INPUT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_KEY(name, ps2, hid, evdev) INPUT_KEY_##name,
enum input_key {
	INPUT_KEY_unmapped,
#include "input/keys.def"
	INPUT_KEYS
};
#undef INPUT_KEY

/* "ctrl", "ret"; also what people write for them: "control", "enter", "del". INPUT_KEY_unmapped: none. */
enum input_key input_key_named(const char *name, size_t len);
const char *input_key_name(enum input_key key);
/* The key's number on each kind of keyboard; 0: it has no such key. */
uint8_t input_key_ps2(enum input_key key);
uint8_t input_key_hid(enum input_key key);
uint16_t input_key_evdev(enum input_key key);
/* The key with that usage of USB's keyboard page. */
enum input_key input_key_of_hid(unsigned usage);
/* The key of evdev's number. */
enum input_key input_key_of_evdev(unsigned code);
/* The key of a PS/2 code (0x80 where E0 comes first), as QEMU's "number" of a key. */
enum input_key input_key_of_ps2(unsigned code);

/* A character of ASCII, TAB, LF or ESC on a US keyboard. INPUT_KEY_unmapped: it has none. */
enum input_key input_key_of_char(uint32_t c, bool *shift);
/*
 * The key of an X keysym, as RFB sends it: the key that has this character, whatever is held with it.
 * Source: X11's keysymdef.h; RFC 6143 §7.5.4.
 */
enum input_key input_key_of_keysym(uint32_t sym);

#endif
