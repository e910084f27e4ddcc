// SPDX-License-Identifier: GPL-2.0-or-later
/* Option strings. Run: make t T=base/keyval */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/keyval.h"

static void expect(struct keyval *kv, const char *key, const char *val)
{
	struct lodge_err err;

	assert_int_equal(keyval_next(kv, &err), 1);
	assert_string_equal(kv->key, key);
	assert_string_equal(kv->val, val);
}

static void expect_end(struct keyval *kv)
{
	struct lodge_err err;

	assert_int_equal(keyval_next(kv, &err), 0);
	assert_int_equal(keyval_next(kv, &err), 0);
}

static void next_with_implied_key_when_first_piece_stands_alone_expect_its_value(void **state)
{
	struct keyval kv;

	keyval_init(&kv, "2,sockets=1,cores=2", "cpus");
	expect(&kv, "cpus", "2");
	expect(&kv, "sockets", "1");
	expect(&kv, "cores", "2");
	expect_end(&kv);
}

static void next_when_implied_key_is_written_out_expect_it_taken(void **state)
{
	struct keyval kv;

	keyval_init(&kv, "cpus=3", "cpus");
	expect(&kv, "cpus", "3");
	expect_end(&kv);
}

static void next_when_comma_is_doubled_expect_one_comma_in_value(void **state)
{
	struct keyval kv;

	keyval_init(&kv, "a,,b,,,c=d,,", "path");
	expect(&kv, "path", "a,b,");
	expect(&kv, "c", "d,");
	expect_end(&kv);
}

static void next_when_piece_has_no_value_expect_switch(void **state)
{
	struct keyval kv;

	keyval_init(&kv, "/run/x,server,nowait", "path");
	expect(&kv, "path", "/run/x");
	expect(&kv, "server", "on");
	expect(&kv, "wait", "off");
	expect_end(&kv);
}

static void next_when_value_holds_equals_signs_expect_them_kept(void **state)
{
	struct keyval kv;

	keyval_init(&kv, "opt/x,string=a=b=c", "name");
	expect(&kv, "name", "opt/x");
	expect(&kv, "string", "a=b=c");
	expect_end(&kv);
}

static void next_when_key_is_too_long_expect_refusal(void **state)
{
	char text[256];
	struct keyval kv;
	struct lodge_err err = {""};

	memset(text, 'k', sizeof(text));
	strcpy(text + 200, "=1");
	keyval_init(&kv, text, NULL);
	assert_int_equal(keyval_next(&kv, &err), -EINVAL);
	assert_true(strlen(err.msg) > 10);
}

static void next_when_value_is_too_long_expect_refusal(void **state)
{
	static char text[8192];
	struct keyval kv;
	struct lodge_err err = {""};

	memset(text, 'v', sizeof(text) - 1);
	keyval_init(&kv, text, "path");
	assert_int_equal(keyval_next(&kv, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "path"));
}

static void parse_u64_when_text_is_no_plain_number_expect_refusal(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x", "12k", "1.5", "x"};
	uint64_t n;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_u64(bad[i], &n), -EINVAL);
	assert_int_equal(parse_u64("18446744073709551616", &n), -ERANGE);
	assert_int_equal(parse_u64("0xf4", &n), 0);
	assert_int_equal(n, 0xf4);
	assert_int_equal(parse_u64("010", &n), 0); /* no octal */
	assert_int_equal(n, 10);
}

static void parse_size_when_suffix_given_expect_bytes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"512", 512ull << 20}, {"512M", 512ull << 20}, {"1g", 1ull << 30},
		{"64K", 64 << 10},     {"4096B", 4096},	       {"2T", 2ull << 40},
		{"1.5G", 3ull << 29},  {"0.25M", 1 << 18},     {"4P", 4ull << 50},
	};
	uint64_t n;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse_size(good[i].text, 1 << 20, &n), 0);
		assert_int_equal(n, good[i].bytes);
	}
	assert_int_equal(parse_size("1Q", 1, &n), -EINVAL);
	assert_int_equal(parse_size("1MM", 1, &n), -EINVAL);
	assert_int_equal(parse_size("M", 1, &n), -EINVAL);
	assert_int_equal(parse_size("16E", 1, &n), -ERANGE);
	assert_int_equal(parse_size("15.9999999999E", 1, &n), 0);
}

static void parse_bool_when_word_known_expect_value(void **state)
{
	bool b = false;

	assert_int_equal(parse_bool("on", &b), 0);
	assert_true(b);
	assert_int_equal(parse_bool("off", &b), 0);
	assert_false(b);
	assert_int_equal(parse_bool("maybe", &b), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			next_with_implied_key_when_first_piece_stands_alone_expect_its_value),
		cmocka_unit_test(next_when_implied_key_is_written_out_expect_it_taken),
		cmocka_unit_test(next_when_comma_is_doubled_expect_one_comma_in_value),
		cmocka_unit_test(next_when_piece_has_no_value_expect_switch),
		cmocka_unit_test(next_when_value_holds_equals_signs_expect_them_kept),
		cmocka_unit_test(next_when_key_is_too_long_expect_refusal),
		cmocka_unit_test(next_when_value_is_too_long_expect_refusal),
		cmocka_unit_test(parse_u64_when_text_is_no_plain_number_expect_refusal),
		cmocka_unit_test(parse_size_when_suffix_given_expect_bytes),
		cmocka_unit_test(parse_bool_when_word_known_expect_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
