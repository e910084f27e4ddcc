// SPDX-License-Identifier: GPL-2.0-or-later
/* Keyboards of other countries, by the host's xkb-data. Run: make t T=input/layout */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "input/layout.h"

static struct input_layout *layout(const char *name)
{
	struct lodge_err err = {""};
	struct input_layout *l = input_layout_new(name, &err);

	if (!l)
		print_message("%s\n", err.msg);
	assert_non_null(l);
	return l;
}

static void expect_write(const struct input_layout *l, uint32_t c, unsigned n, enum input_key key,
			 unsigned held, enum input_key second)
{
	struct input_stroke s[INPUT_STROKES];

	assert_int_equal(input_layout_write(l, c, s), n);
	assert_int_equal(s[0].key, key);
	assert_int_equal(s[0].held, held);
	if (n == 2)
		assert_int_equal(s[1].key, second);
}

static void layout_when_german_expect_its_letters_where_they_are(void **state)
{
	struct input_layout *l = layout("de");
	struct input_stroke s[INPUT_STROKES];

	expect_write(l, 'y', 1, INPUT_KEY_z, 0, 0);
	expect_write(l, 'Z', 1, INPUT_KEY_y, INPUT_SHIFT, 0);
	expect_write(l, 0xe4, 1, INPUT_KEY_apostrophe, 0, 0); /* a with two dots */
	expect_write(l, '@', 1, INPUT_KEY_q, INPUT_ALTGR, 0);
	expect_write(l, '{', 1, INPUT_KEY_7, INPUT_ALTGR, 0);
	expect_write(l, '/', 1, INPUT_KEY_7, INPUT_SHIFT, 0);
	expect_write(l, 0x20ac, 1, INPUT_KEY_e, INPUT_ALTGR, 0);
	expect_write(l, '<', 1, INPUT_KEY_less, 0, 0);
	expect_write(l, '\n', 1, INPUT_KEY_ret, 0, 0);
	expect_write(l, ' ', 1, INPUT_KEY_spc, 0, 0);
	/* Dead keys: with Space, with a letter. */
	expect_write(l, '^', 2, INPUT_KEY_grave_accent, 0, INPUT_KEY_spc);
	expect_write(l, 0xea, 2, INPUT_KEY_grave_accent, 0, INPUT_KEY_e);
	assert_int_equal(input_layout_write(l, 0x6f22, s), 0);
	/* What a viewer says. */
	assert_int_equal(input_layout_key(l, 'y').key, INPUT_KEY_z);
	assert_int_equal(input_layout_key(l, 'Y').key, INPUT_KEY_z);
	assert_int_equal(input_layout_key(l, '^').key, INPUT_KEY_grave_accent);
	assert_int_equal(input_layout_key(l, 0xfc).key, INPUT_KEY_bracket_left);
	assert_int_equal(input_layout_key(l, 0x20ac).key, INPUT_KEY_e);
	assert_int_equal(input_layout_key(l, 0x010020ac).key, INPUT_KEY_e);
	assert_int_equal(input_layout_key(l, 0xff0d).key, INPUT_KEY_ret);
	assert_int_equal(input_layout_key(l, 0xffbe).key, INPUT_KEY_f1);
	assert_int_equal(input_layout_key(l, 0xffe1).key, INPUT_KEY_shift);
	assert_int_equal(input_layout_key(l, 0xfe03).key, INPUT_KEY_alt_r);
	assert_int_equal(input_layout_key(l, 0x01006f22).key, INPUT_KEY_unmapped);
	assert_int_equal(input_layout_key(l, 0).key, INPUT_KEY_unmapped);
	input_layout_free(l);
}

static void expect_same_key(struct input_stroke a, struct input_stroke b)
{
	assert_int_equal(a.key, b.key);
	assert_int_equal(a.held, b.held);
}

static void expect_key(const struct input_layout *l, uint32_t sym, enum input_key key, unsigned held)
{
	expect_same_key(input_layout_key(l, sym), (struct input_stroke){key, held});
}

static void symbol_when_it_needs_shift_or_altgr_expect_it_said(void **state)
{
	struct input_layout *l = layout("de");

	expect_key(l, '@', INPUT_KEY_q, INPUT_ALTGR);
	expect_key(l, 0x20ac, INPUT_KEY_e, INPUT_ALTGR);
	expect_key(l, '$', INPUT_KEY_4, INPUT_SHIFT);
	expect_key(l, '4', INPUT_KEY_4, 0);
	expect_key(l, 'Z', INPUT_KEY_y, INPUT_SHIFT | INPUT_CAPS);
	expect_key(l, 'z', INPUT_KEY_y, INPUT_CAPS);
	expect_key(l, 0xc4, INPUT_KEY_apostrophe, INPUT_SHIFT | INPUT_CAPS);
	/* Sharp s has a question mark with Shift. */
	expect_key(l, 0xdf, INPUT_KEY_minus, 0);
	expect_key(l, '?', INPUT_KEY_minus, INPUT_SHIFT);
	expect_key(l, 0xff0d, INPUT_KEY_ret, 0);
	expect_key(l, 0xfe03, INPUT_KEY_alt_r, 0);
	expect_key(l, 0xffe1, INPUT_KEY_shift, 0);
	input_layout_free(l);
	l = layout("ru");
	expect_key(l, 0x6c6, INPUT_KEY_a, INPUT_CAPS); /* ef */
	expect_key(l, 0x6e6, INPUT_KEY_a, INPUT_SHIFT | INPUT_CAPS);
	/* It has no Latin letters. */
	expect_key(l, 'A', INPUT_KEY_a, INPUT_SHIFT | INPUT_CAPS);
	input_layout_free(l);
	expect_key(NULL, '$', INPUT_KEY_4, INPUT_SHIFT);
	expect_key(NULL, 'A', INPUT_KEY_a, INPUT_SHIFT | INPUT_CAPS);
	expect_key(NULL, '[', INPUT_KEY_bracket_left, 0);
	expect_key(NULL, 0xff1b, INPUT_KEY_esc, 0);
	expect_key(NULL, 0xe4, INPUT_KEY_unmapped, 0);
}

static void layout_when_us_expect_what_the_table_says(void **state)
{
	struct input_layout *l = layout("en-us"), *x = layout("us");
	struct input_stroke a[INPUT_STROKES], b[INPUT_STROKES];

	for (uint32_t c = 0; c < 0x80; c++) {
		unsigned n = input_layout_write(l, c, a);

		assert_int_equal(input_layout_write(x, c, b), n);
		if (n) {
			assert_int_equal(a[0].key, b[0].key);
			assert_int_equal(a[0].held, b[0].held);
		}
		if (c >= 0x20)
			expect_same_key(input_layout_key(l, c), input_layout_key(x, c));
	}
	input_layout_free(l);
	input_layout_free(x);
}

static void layout_when_named_as_qemu_does_expect_it_there(void **state)
{
	static const char *const names[] = {
		"ar", "bepo", "cz",    "da", "de", "de-ch", "en-gb", "en-us", "es", "et", "fi",
		"fo", "fr",   "fr-be", "fr-ca", "fr-ch", "hr", "hu", "is", "it", "ja", "lt",
		"lv", "mk",   "nl",    "no", "pl", "pt", "pt-br", "ru", "sl", "sv", "th", "tr"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct input_layout *l = layout(names[i]);

		assert_int_equal(input_layout_key(l, 0xff1b).key, INPUT_KEY_esc);
		assert_int_not_equal(input_layout_key(l, '1').key, INPUT_KEY_unmapped);
		assert_int_not_equal(input_layout_key(l, 'a').key, INPUT_KEY_unmapped);
		input_layout_free(l);
	}
}

static void layout_when_a_variant_is_named_expect_it(void **state)
{
	struct input_layout *l = layout("us(dvorak)");

	expect_write(l, 's', 1, INPUT_KEY_semicolon, 0, 0);
	input_layout_free(l);
}

static void layout_when_there_is_none_expect_a_sentence(void **state)
{
	static const char *const names[] = {"", "xx", "de(", "de()", "de(nosuch)", "../../etc/passwd",
					    "de,us", "de(neo)x", "(neo)", "%s%n", "de\n"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct lodge_err err = {""};

		assert_null(input_layout_new(names[i], &err));
		assert_non_null(strstr(err.msg, "-k "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_when_german_expect_its_letters_where_they_are),
		cmocka_unit_test(symbol_when_it_needs_shift_or_altgr_expect_it_said),
		cmocka_unit_test(layout_when_us_expect_what_the_table_says),
		cmocka_unit_test(layout_when_named_as_qemu_does_expect_it_there),
		cmocka_unit_test(layout_when_a_variant_is_named_expect_it),
		cmocka_unit_test(layout_when_there_is_none_expect_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
