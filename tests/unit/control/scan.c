// SPDX-License-Identifier: GPL-2.0-or-later
/* Cutting a client's bytes into JSON values. Run: make t T=control/scan */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "control/scan.h"

static struct scan s;

static int setup(void **state)
{
	scan_init(&s);
	return 0;
}

static int teardown(void **state)
{
	scan_free(&s);
	return 0;
}

/* The first result that is not SCAN_MORE; *used bytes were taken. */
static enum scan_result feed(const char *text, size_t len, size_t *used)
{
	for (size_t i = 0; i < len; i++) {
		enum scan_result r = scan_byte(&s, text[i]);

		*used = i + 1;
		if (r != SCAN_MORE)
			return r;
	}
	return SCAN_MORE;
}

static void is_value(const char *text, const char *value)
{
	size_t used;

	assert_int_equal(feed(text, strlen(text), &used), SCAN_VALUE);
	assert_int_equal(used, strlen(text));
	assert_int_equal(s.text.len, strlen(value));
	assert_memory_equal(s.text.p, value, s.text.len);
	scan_next(&s);
}

static void value_when_whole_expect_it(void **state)
{
	is_value("{\"a\":[1,{}]}", "{\"a\":[1,{}]}");
	is_value(" \r\n\t[{\"}\":\"\\\"]\"}]", "[{\"}\":\"\\\"]\"}]");
}

static void value_when_behind_another_expect_both(void **state)
{
	const char *two = "{}{\"b\":1}";
	size_t used;

	assert_int_equal(feed(two, strlen(two), &used), SCAN_VALUE);
	assert_int_equal(used, 2);
	scan_next(&s);
	is_value(two + 2, "{\"b\":1}");
}

static void string_when_in_single_quotes_expect_double_ones(void **state)
{
	is_value("{'a':'b\"c\\'d'}", "{\"a\":\"b\\\"c'd\"}");
}

static void stray_when_no_object_expect_one_complaint_a_word(void **state)
{
	size_t used;

	assert_int_equal(feed("hello ", 6, &used), SCAN_STRAY);
	scan_next(&s);
	assert_int_equal(feed("   \n", 4, &used), SCAN_MORE);
	is_value("junk{}", "{}");
}

static void resync_when_value_begun_expect_it_thrown_away(void **state)
{
	size_t used;

	assert_int_equal(feed("{\"a\": \"half\xff", 12, &used), SCAN_STRAY);
	scan_next(&s);
	assert_int_equal(feed("\xff", 1, &used), SCAN_MORE);
	is_value("{}", "{}");
}

static void value_when_too_long_or_deep_expect_bounded_memory_and_a_word(void **state)
{
	size_t used, longest = 0;

	assert_int_equal(feed("{\"a\":\"", 6, &used), SCAN_MORE);
	for (unsigned i = 0; i < 4 * SCAN_BYTES_MAX; i++) {
		assert_int_equal(scan_byte(&s, 'x'), SCAN_MORE);
		longest = s.text.cap > longest ? s.text.cap : longest;
	}
	assert_true(longest <= 2 * SCAN_BYTES_MAX);
	assert_int_equal(feed("\"}", 2, &used), SCAN_TOO_LONG);
	scan_next(&s);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(scan_byte(&s, '['), SCAN_MORE);
	assert_true(s.text.len <= SCAN_DEPTH_MAX + 1);
	for (unsigned i = 0; i < 99999; i++)
		assert_int_equal(scan_byte(&s, ']'), SCAN_MORE);
	assert_int_equal(scan_byte(&s, ']'), SCAN_TOO_DEEP);
	scan_next(&s);
	is_value("{}", "{}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(value_when_whole_expect_it),
		T(value_when_behind_another_expect_both),
		T(string_when_in_single_quotes_expect_double_ones),
		T(stray_when_no_object_expect_one_complaint_a_word),
		T(resync_when_value_begun_expect_it_thrown_away),
		T(value_when_too_long_or_deep_expect_bounded_memory_and_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
