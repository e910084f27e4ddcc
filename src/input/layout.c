// SPDX-License-Identifier: GPL-2.0-or-later
/* Keyboards of other countries. See layout.h. Threads: none; a layout does not change. */
#include "input/layout.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xkbcommon/xkbcommon.h>

#include "base/range.h"

#define ENTRIES_MAX 2048u
#define MASKS_MAX 16u
#define EVDEV_BASE 8u /* of X's numbers of keys */
#define UNICODE 0x01000000u

/* One thing that a key writes. */
struct entry {
	uint32_t sym, ucs; /* X keysym; its character, 0: none */
	uint16_t key;
	uint8_t held; /* INPUT_SHIFT, INPUT_ALTGR */
};

struct input_layout {
	bool us;
	unsigned n;
	struct entry entry[ENTRIES_MAX];
};

/* QEMU's names, where they are not those of xkb-data. */
static const struct {
	const char *name, *layout, *variant;
} qemu_names[] = {
	{"ar", "ara", ""},     {"bepo", "fr", "bepo"}, {"da", "dk", ""},    {"de-ch", "ch", "de"},
	{"en-gb", "gb", ""},   {"et", "ee", ""},       {"fr-be", "be", ""}, {"fr-ca", "ca", ""},
	{"fr-ch", "ch", "fr"}, {"ja", "jp", ""},       {"nl-be", "be", ""}, {"pt-br", "br", ""},
	{"sl", "si", ""},      {"sv", "se", ""},
};

/* ---- The library -------------------------------------------------------------------------------- */

#define FUNCTIONS(X)                                                                         \
	X(context_new)                                                                       \
	X(context_unref)                                                                     \
	X(context_set_log_level)                                                             \
	X(keymap_new_from_names) X(keymap_unref) X(keymap_min_keycode) X(keymap_max_keycode) \
		X(keymap_num_levels_for_key) X(keymap_key_get_syms_by_level)                 \
			X(keymap_key_get_mods_for_level) X(keymap_mod_get_index)             \
				X(keysym_to_utf32)

#define MEMBER(name) __typeof__(&xkb_##name) name;
struct xkb {
	FUNCTIONS(MEMBER)
	struct xkb_keymap *map;
	xkb_mod_mask_t shift, altgr;
};

static int load(struct xkb *x, void *so, struct lodge_err *err)
{
#define FIND(fn)                                                         \
	*(void **)&x->fn = dlsym(so, "xkb_" #fn);                        \
	if (!x->fn)                                                      \
		return err_set(err, -ENOENT,                             \
			       "the host's libxkbcommon has no xkb_" #fn \
			       "; version 1.0 or later is needed");
	FUNCTIONS(FIND)
	return 0;
}

/* Function keys, the keypad, Return and the like. */
static bool is_same_everywhere(uint32_t sym)
{
	return sym >= 0xff00 && sym <= 0xffff;
}

/* ---- Reading a layout --------------------------------------------------------------------------- */

/* What has to be held for it; false: more than Shift and AltGr. */
static bool held_for(const struct xkb *x, xkb_keycode_t code, xkb_level_index_t level,
		     uint8_t *held)
{
	xkb_mod_mask_t masks[MASKS_MAX];
	size_t n = x->keymap_key_get_mods_for_level(x->map, code, 0, level, masks, MASKS_MAX);

	for (size_t i = 0; i < n; i++) {
		if (masks[i] & ~(x->shift | x->altgr))
			continue;
		*held = (uint8_t)((masks[i] & x->shift ? INPUT_SHIFT : 0) |
				  (masks[i] & x->altgr ? INPUT_ALTGR : 0));
		return true;
	}
	return false;
}

static void read_key(struct input_layout *l, const struct xkb *x, xkb_keycode_t code)
{
	xkb_level_index_t levels = x->keymap_num_levels_for_key(x->map, code, 0);
	enum input_key key =
		code < EVDEV_BASE ? INPUT_KEY_unmapped : input_key_of_evdev(code - EVDEV_BASE);
	const xkb_keysym_t *syms;

	for (xkb_level_index_t i = 0; key && i < levels && l->n < ENTRIES_MAX; i++) {
		struct entry e = {.key = (uint16_t)key};

		if (x->keymap_key_get_syms_by_level(x->map, code, 0, i, &syms) != 1 ||
		    !held_for(x, code, i, &e.held))
			continue;
		e.sym = syms[0];
		/* The keypad's characters are others', too. */
		e.ucs = is_same_everywhere(e.sym) ? 0 : x->keysym_to_utf32(e.sym);
		l->entry[l->n++] = e;
	}
}

static int read_layout(struct input_layout *l, struct xkb *x, const char *name, const char *layout,
		       const char *variant, struct lodge_err *err)
{
	const struct xkb_rule_names names = {.rules = "evdev",
					     .model = "pc105",
					     .layout = layout,
					     .variant = variant,
					     .options = ""};
	struct xkb_context *ctx = x->context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
	xkb_mod_index_t shift, altgr;

	if (!ctx)
		return err_set(err, -ENOENT,
			       "-k %s: there are no keyboard layouts on this host: install "
			       "Debian's package xkb-data",
			       name);
	x->context_set_log_level(ctx, (enum xkb_log_level)0); /* it says all that in our sentence */
	x->map = x->keymap_new_from_names(ctx, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
	if (!x->map) {
		x->context_unref(ctx);
		return err_set(
			err, -EINVAL,
			"-k %s: there is no such keyboard layout: write en-us, de, fr-ch, or "
			"one of /usr/share/X11/xkb/symbols, as 'us(dvorak)' (package "
			"xkb-data)",
			name);
	}
	shift = x->keymap_mod_get_index(x->map, XKB_MOD_NAME_SHIFT);
	altgr = x->keymap_mod_get_index(x->map, "Mod5");
	x->shift = shift < 32 ? 1u << shift : 0;
	x->altgr = altgr < 32 ? 1u << altgr : 0;
	for (xkb_keycode_t c = x->keymap_min_keycode(x->map); c <= x->keymap_max_keycode(x->map);
	     c++)
		read_key(l, x, c);
	x->keymap_unref(x->map);
	x->context_unref(ctx);
	return 0;
}

/* "de(neo)", or QEMU's name, as layout and variant. */
static bool split(const char *name, char *layout, char *variant, size_t size)
{
	size_t len = strcspn(name, "(");
	const char *rest = name + len;

	for (size_t i = 0; i < ARRAY_SIZE(qemu_names); i++) {
		if (strcmp(qemu_names[i].name, name))
			continue;
		snprintf(layout, size, "%s", qemu_names[i].layout);
		snprintf(variant, size, "%s", qemu_names[i].variant);
		return true;
	}
	/* Commas, slashes and the like mean something to the library. */
	if (!len || strlen(name) >= size ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789_-()")])
		return false;
	snprintf(layout, size, "%.*s", (int)len, name);
	variant[0] = '\0';
	if (!*rest)
		return true;
	snprintf(variant, size, "%.*s", (int)strcspn(rest + 1, "()"), rest + 1);
	return variant[0] && !strcmp(rest + 1 + strlen(variant), ")");
}

struct input_layout *input_layout_new(const char *name, struct lodge_err *err)
{
	struct input_layout *l = calloc(1, sizeof(*l));
	char layout[64], variant[64];
	struct xkb x = {0};
	void *so;
	int r;

	if (!l || !strcmp(name, "en-us")) {
		if (l)
			l->us = true;
		else
			err_set(err, -ENOMEM, "no memory for a keyboard layout");
		return l;
	}
	so = dlopen("libxkbcommon.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!so)
		r = err_set(err, -ENOENT,
			    "-k %.40s: there is no libxkbcommon on this host: install Debian's "
			    "package libxkbcommon0",
			    name);
	else if (!split(name, layout, variant, sizeof(layout)))
		r = err_set(err, -EINVAL, "-k %.40s: write a layout as de, en-gb or 'us(dvorak)'",
			    name);
	else
		r = load(&x, so, err);
	if (!r)
		r = read_layout(l, &x, name, layout, variant, err);
	if (so)
		dlclose(so);
	if (!r)
		return l;
	free(l);
	return NULL;
}

void input_layout_free(struct input_layout *l)
{
	free(l);
}

/* ---- Keys --------------------------------------------------------------------------------------- */

/* Dead keys, the characters they write when Space follows, and letters with their forms. */
static const struct {
	uint32_t sym, alone;
	const uint16_t *pairs;
} dead[] = {
	{XKB_KEY_dead_grave, '`', u"aàeèiìoòuùAÀEÈIÌOÒUÙnǹNǸ"},
	{XKB_KEY_dead_acute, 0xb4, u"aáeéiíoóuúyýcćnńsśzźrŕlĺAÁEÉIÍOÓUÚYÝCĆNŃSŚZŹRŔLĹ"},
	{XKB_KEY_dead_circumflex, '^', u"aâeêiîoôuûAÂEÊIÎOÔUÛcĉgĝhĥjĵsŝwŵyŷCĈGĜHĤJĴSŜWŴYŶ"},
	{XKB_KEY_dead_tilde, '~', u"aãnñoõAÃNÑOÕiĩuũIĨUŨ"},
	{XKB_KEY_dead_diaeresis, 0xa8, u"aäeëiïoöuüyÿAÄEËIÏOÖUÜYŸ"},
	{XKB_KEY_dead_abovering, 0xb0, u"aåAÅuůUŮ"},
	{XKB_KEY_dead_cedilla, 0xb8, u"cçCÇsşSŞtţTŢ"},
	{XKB_KEY_dead_caron, 0x2c7, u"cčdďeěnňrřsštťzžCČDĎEĚNŇRŘSŠTŤZŽ"},
	{XKB_KEY_dead_ogonek, 0x2db, u"aąeęiįuųAĄEĘIĮUŲ"},
	{XKB_KEY_dead_doubleacute, 0x2dd, u"oőuűOŐUŰ"},
	{XKB_KEY_dead_macron, 0xaf, u"aāeēiīoōuūAĀEĒIĪOŌUŪ"},
};

static uint32_t ucs_of(uint32_t sym)
{
	if ((sym & 0xff000000) == UNICODE)
		return sym & 0xffffff;
	return sym >= 0x20 && sym < 0x100 ? sym : 0;
}

/* The one for which least is held; the key that only some keyboards have, beside the left Shift, comes last. */
static unsigned cost(const struct entry *e)
{
	return e->held + (e->key == INPUT_KEY_less ? 4u : 0u);
}

static const struct entry *find(const struct input_layout *l, uint32_t sym, uint32_t ucs)
{
	const struct entry *best = NULL;

	for (unsigned i = 0; i < l->n; i++) {
		const struct entry *e = &l->entry[i];

		if ((e->sym == sym || (ucs && e->ucs == ucs)) && (!best || cost(e) < cost(best)))
			best = e;
	}
	return best;
}

static uint32_t dead_of(uint32_t ucs)
{
	for (size_t i = 0; i < ARRAY_SIZE(dead); i++) {
		if (dead[i].alone == ucs)
			return dead[i].sym;
	}
	return 0;
}

/* Letters that have two forms: Latin, Greek, Cyrillic, Armenian; more than those, but no digits and signs of keyboards. */
static bool is_letter(uint32_t ucs)
{
	return (ucs >= 'A' && ucs <= 'Z') || (ucs >= 'a' && ucs <= 'z') ||
	       (ucs >= 0xc0 && ucs < 0x588 && ucs != 0xd7 && ucs != 0xf7);
}

/* With and without Shift the key writes a letter: Caps Lock does as Shift there. */
static bool has_two_forms(const struct input_layout *l, const struct entry *e)
{
	if (!is_letter(e->ucs))
		return false;
	for (unsigned i = 0; i < l->n; i++) {
		const struct entry *o = &l->entry[i];

		if (o->key == e->key && o->held == (e->held ^ INPUT_SHIFT))
			return is_letter(o->ucs) && o->ucs != e->ucs;
	}
	return false;
}

static struct input_stroke us_key(uint32_t sym)
{
	struct input_stroke s = {.key = input_key_of_keysym(sym)};
	bool shift = false;

	if (sym < 0x80)
		(void)input_key_of_char(sym, &shift);
	s.held = (shift ? INPUT_SHIFT : 0) | (sym < 0x80 && is_letter(sym) ? INPUT_CAPS : 0);
	return s;
}

struct input_stroke input_layout_key(const struct input_layout *l, uint32_t sym)
{
	uint32_t ucs = ucs_of(sym);
	const struct entry *e;

	/* Keys that write nothing are where they are on every keyboard. */
	if (!l || l->us || !sym || is_same_everywhere(sym))
		return us_key(sym);
	e = find(l, sym, ucs);
	if (!e && dead_of(ucs))
		e = find(l, dead_of(ucs), 0);
	/* Latin letters of a keyboard that also has others: where most have them. */
	if (!e && ucs < 0x80)
		return us_key(sym);
	if (!e)
		return (struct input_stroke){.key = INPUT_KEY_unmapped};
	return (struct input_stroke){.key = (enum input_key)e->key,
				     .held = e->held | (has_two_forms(l, e) ? INPUT_CAPS : 0)};
}

static unsigned write_us(uint32_t c, struct input_stroke *out)
{
	bool shift;

	out->key = input_key_of_char(c, &shift);
	out->held = shift ? INPUT_SHIFT : 0;
	return out->key ? 1 : 0;
}

static bool stroke(const struct entry *e, struct input_stroke *out)
{
	if (!e)
		return false;
	*out = (struct input_stroke){(enum input_key)e->key, e->held};
	return true;
}

/* A dead key, then the letter or Space. */
static unsigned write_dead(const struct input_layout *l, uint32_t c,
			   struct input_stroke out[INPUT_STROKES])
{
	for (size_t i = 0; i < ARRAY_SIZE(dead); i++) {
		uint32_t base = dead[i].alone == c ? ' ' : 0;

		for (const uint16_t *p = dead[i].pairs; *p && !base; p += 2)
			base = p[1] == c ? p[0] : 0;
		if (base && stroke(find(l, dead[i].sym, 0), &out[0]) &&
		    stroke(find(l, base, base), &out[1]))
			return 2;
	}
	return 0;
}

unsigned input_layout_write(const struct input_layout *l, uint32_t c,
			    struct input_stroke out[INPUT_STROKES])
{
	if (l->us || c <= ' ' || c == 0x7f)
		return write_us(c, out);
	if (stroke(find(l, c, c), &out[0]))
		return 1;
	return write_dead(l, c, out);
}
