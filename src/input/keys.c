// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables of keys. See keys.h. Threads: no shared state. */
#include "input/keys.h"

#include <string.h>

#include "base/range.h"

static const struct {
	const char *name;
	uint8_t ps2, hid;
	uint16_t evdev;
} keys[INPUT_KEYS] = {
	{"unmapped", 0, 0, 0},
#define INPUT_KEY(name, ps2, hid, evdev) {#name, ps2, hid, evdev},
#include "input/keys.def"
#undef INPUT_KEY
};

/* What people write for some of them. */
static const struct {
	const char *name;
	enum input_key key;
} others[] = {
	{"control", INPUT_KEY_ctrl},	   {"enter", INPUT_KEY_ret},
	{"return", INPUT_KEY_ret},	   {"escape", INPUT_KEY_esc},
	{"del", INPUT_KEY_delete},	   {"ins", INPUT_KEY_insert},
	{"space", INPUT_KEY_spc},	   {"pageup", INPUT_KEY_pgup},
	{"pagedown", INPUT_KEY_pgdn},	   {"super", INPUT_KEY_meta_l},
	{"meta", INPUT_KEY_meta_l},	   {"win", INPUT_KEY_meta_l},
	{"altgr", INPUT_KEY_alt_r},	   {"shift_l", INPUT_KEY_shift},
	{"ctrl_l", INPUT_KEY_ctrl},	   {"alt_l", INPUT_KEY_alt},
	{"capslock", INPUT_KEY_caps_lock}, {"numlock", INPUT_KEY_num_lock},
};

static bool is(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && !strncasecmp(name, text, len);
}

enum input_key input_key_named(const char *name, size_t len)
{
	for (unsigned k = 1; k < INPUT_KEYS; k++) {
		if (is(keys[k].name, name, len))
			return (enum input_key)k;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (is(others[i].name, name, len))
			return others[i].key;
	}
	return INPUT_KEY_unmapped;
}

const char *input_key_name(enum input_key key)
{
	return (unsigned)key < INPUT_KEYS ? keys[key].name : keys[0].name;
}

uint8_t input_key_ps2(enum input_key key)
{
	return (unsigned)key < INPUT_KEYS ? keys[key].ps2 : 0;
}

uint8_t input_key_hid(enum input_key key)
{
	return (unsigned)key < INPUT_KEYS ? keys[key].hid : 0;
}

uint16_t input_key_evdev(enum input_key key)
{
	return (unsigned)key < INPUT_KEYS ? keys[key].evdev : 0;
}

enum input_key input_key_of_ps2(unsigned code)
{
	for (unsigned k = 1; code && k < INPUT_KEYS; k++) {
		if (keys[k].ps2 == code)
			return (enum input_key)k;
	}
	return INPUT_KEY_unmapped;
}

enum input_key input_key_of_hid(unsigned usage)
{
	for (unsigned k = 1; usage && k < INPUT_KEYS; k++) {
		if (keys[k].hid == usage)
			return (enum input_key)k;
	}
	return INPUT_KEY_unmapped;
}

enum input_key input_key_of_evdev(unsigned code)
{
	for (unsigned k = 1; code && k < INPUT_KEYS; k++) {
		if (keys[k].evdev == code)
			return (enum input_key)k;
	}
	return INPUT_KEY_unmapped;
}

/* A US keyboard: without and with Shift. */
static const struct {
	char plain, shifted;
	enum input_key key;
} chars[] = {
	{'1', '!', INPUT_KEY_1},
	{'2', '@', INPUT_KEY_2},
	{'3', '#', INPUT_KEY_3},
	{'4', '$', INPUT_KEY_4},
	{'5', '%', INPUT_KEY_5},
	{'6', '^', INPUT_KEY_6},
	{'7', '&', INPUT_KEY_7},
	{'8', '*', INPUT_KEY_8},
	{'9', '(', INPUT_KEY_9},
	{'0', ')', INPUT_KEY_0},
	{'-', '_', INPUT_KEY_minus},
	{'=', '+', INPUT_KEY_equal},
	{'[', '{', INPUT_KEY_bracket_left},
	{']', '}', INPUT_KEY_bracket_right},
	{';', ':', INPUT_KEY_semicolon},
	{'\'', '"', INPUT_KEY_apostrophe},
	{'`', '~', INPUT_KEY_grave_accent},
	{'\\', '|', INPUT_KEY_backslash},
	{',', '<', INPUT_KEY_comma},
	{'.', '>', INPUT_KEY_dot},
	{'/', '?', INPUT_KEY_slash},
	{' ', 0, INPUT_KEY_spc},
	{'\t', 0, INPUT_KEY_tab},
	{'\n', 0, INPUT_KEY_ret},
	{'\r', 0, INPUT_KEY_ret},
	{'\b', 0, INPUT_KEY_backspace},
	{0x1b, 0, INPUT_KEY_esc},
	{0x7f, 0, INPUT_KEY_backspace},
};

enum input_key input_key_of_char(uint32_t c, bool *shift)
{
	char name;

	*shift = false;
	if (!c || c > 0x7f)
		return INPUT_KEY_unmapped;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
		*shift = c <= 'Z';
		name = (char)(c | 0x20);
		return input_key_named(&name, 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(chars); i++) {
		*shift = (char)c == chars[i].shifted;
		if (*shift || (char)c == chars[i].plain)
			return chars[i].key;
	}
	return INPUT_KEY_unmapped;
}

static const struct {
	uint32_t sym;
	enum input_key key;
} syms[] = {
	{0xff08, INPUT_KEY_backspace},
	{0xff09, INPUT_KEY_tab},
	{0xff0a, INPUT_KEY_ret},
	{0xff0d, INPUT_KEY_ret},
	{0xff13, INPUT_KEY_pause},
	{0xff14, INPUT_KEY_scroll_lock},
	{0xff15, INPUT_KEY_sysrq},
	{0xff1b, INPUT_KEY_esc},
	{0xff23, INPUT_KEY_henkan},
	{0xff22, INPUT_KEY_muhenkan},
	{0xff27, INPUT_KEY_katakanahiragana},
	{0xff50, INPUT_KEY_home},
	{0xff51, INPUT_KEY_left},
	{0xff52, INPUT_KEY_up},
	{0xff53, INPUT_KEY_right},
	{0xff54, INPUT_KEY_down},
	{0xff55, INPUT_KEY_pgup},
	{0xff56, INPUT_KEY_pgdn},
	{0xff57, INPUT_KEY_end},
	{0xff61, INPUT_KEY_print},
	{0xff63, INPUT_KEY_insert},
	{0xff67, INPUT_KEY_menu},
	{0xff6a, INPUT_KEY_help},
	{0xff6b, INPUT_KEY_pause},
	{0xff7f, INPUT_KEY_num_lock},
	{0xff8d, INPUT_KEY_kp_enter},
	{0xff95, INPUT_KEY_kp_7},
	{0xff96, INPUT_KEY_kp_4},
	{0xff97, INPUT_KEY_kp_8},
	{0xff98, INPUT_KEY_kp_6},
	{0xff99, INPUT_KEY_kp_2},
	{0xff9a, INPUT_KEY_kp_9},
	{0xff9b, INPUT_KEY_kp_3},
	{0xff9c, INPUT_KEY_kp_1},
	{0xff9d, INPUT_KEY_kp_5},
	{0xff9e, INPUT_KEY_kp_0},
	{0xff9f, INPUT_KEY_kp_decimal},
	{0xffaa, INPUT_KEY_kp_multiply},
	{0xffab, INPUT_KEY_kp_add},
	{0xffac, INPUT_KEY_kp_comma},
	{0xffad, INPUT_KEY_kp_subtract},
	{0xffae, INPUT_KEY_kp_decimal},
	{0xffaf, INPUT_KEY_kp_divide},
	{0xffb0, INPUT_KEY_kp_0},
	{0xffb1, INPUT_KEY_kp_1},
	{0xffb2, INPUT_KEY_kp_2},
	{0xffb3, INPUT_KEY_kp_3},
	{0xffb4, INPUT_KEY_kp_4},
	{0xffb5, INPUT_KEY_kp_5},
	{0xffb6, INPUT_KEY_kp_6},
	{0xffb7, INPUT_KEY_kp_7},
	{0xffb8, INPUT_KEY_kp_8},
	{0xffb9, INPUT_KEY_kp_9},
	{0xffbd, INPUT_KEY_kp_equals},
	{0xffe1, INPUT_KEY_shift},
	{0xffe2, INPUT_KEY_shift_r},
	{0xffe3, INPUT_KEY_ctrl},
	{0xffe4, INPUT_KEY_ctrl_r},
	{0xffe5, INPUT_KEY_caps_lock},
	{0xffe7, INPUT_KEY_meta_l},
	{0xffe8, INPUT_KEY_meta_r},
	{0xffe9, INPUT_KEY_alt},
	{0xffea, INPUT_KEY_alt_r},
	{0xffeb, INPUT_KEY_meta_l},
	{0xffec, INPUT_KEY_meta_r},
	{0xffff, INPUT_KEY_delete},
	{0xfe03, INPUT_KEY_alt_r},
	{0xfe20, INPUT_KEY_tab},
};

enum input_key input_key_of_keysym(uint32_t sym)
{
	bool shift;

	if (sym >= 0x20 && sym < 0x7f)
		return input_key_of_char(sym, &shift);
	if (sym >= 0xffbe && sym <= 0xffc7)
		return (enum input_key)(INPUT_KEY_f1 + (sym - 0xffbe));
	if (sym == 0xffc8 || sym == 0xffc9)
		return sym == 0xffc8 ? INPUT_KEY_f11 : INPUT_KEY_f12;
	for (size_t i = 0; i < ARRAY_SIZE(syms); i++) {
		if (syms[i].sym == sym)
			return syms[i].key;
	}
	return INPUT_KEY_unmapped;
}
