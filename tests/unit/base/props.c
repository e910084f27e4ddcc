// SPDX-License-Identifier: GPL-2.0-or-later
/* Option strings asked for key by key. Run: make t T=unit/base/props */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/props.h"

static struct props *parse(const char *text)
{
	struct lodge_err err;
	struct props *p = props_parse("-device", text, "driver", &err);

	assert_non_null(p);
	return p;
}

static void settings_when_asked_for_expect_their_values(void **state)
{
	static const char *const words[] = {"none", "stop", NULL};
	struct props *p = parse("nvme,id=a,size=2M,n=7,ro,nocache,werror=stop");
	struct lodge_err err;
	bool ro = false, cache = true;
	uint64_t size = 0, n = 0;
	unsigned word = 0;

	(void)state;
	assert_string_equal(props_get(p, "driver"), "nvme");
	assert_string_equal(props_get(p, "id"), "a");
	assert_null(props_get(p, "serial"));
	assert_int_equal(props_size(p, "size", &size, &err), 0);
	assert_int_equal(props_u64(p, "n", 7, &n, &err), 0);
	assert_int_equal(props_bool(p, "ro", &ro, &err), 0);
	assert_int_equal(props_bool(p, "cache", &cache, &err), 0);
	assert_int_equal(props_choice(p, "werror", words, &word, &err), 0);
	assert_int_equal(size, 2 << 20);
	assert_int_equal(n, 7);
	assert_true(ro);
	assert_false(cache);
	assert_int_equal(word, 1);
	assert_int_equal(props_done(p, &err), 0);
	props_free(p);
}

static void settings_nobody_asked_for_expect_a_refusal_by_name(void **state)
{
	struct props *p = parse("nvme,colour=red");
	struct lodge_err err;

	(void)state;
	props_get(p, "driver");
	assert_true(props_has(p, "colour"));
	assert_true(props_done(p, &err) < 0);
	assert_string_equal(err.msg, "-device: there is no 'colour' here");
	assert_int_equal(props_set(p, "colour", "blue"), 0);
	assert_string_equal(props_get(p, "colour"), "blue");
	assert_int_equal(props_done(p, &err), 0);
	props_free(p);
}

static void values_of_the_wrong_kind_expect_a_refusal(void **state)
{
	static const char *const words[] = {"none", "stop", NULL};
	struct props *p = parse("x,n=8,b=maybe,size=big,w=start");
	struct lodge_err err;
	bool b = true;
	uint64_t n = 1;
	unsigned word = 1;

	(void)state;
	assert_true(props_u64(p, "n", 7, &n, &err) < 0);
	assert_true(props_bool(p, "b", &b, &err) < 0);
	assert_true(props_size(p, "size", &n, &err) < 0);
	assert_true(props_choice(p, "w", words, &word, &err) < 0);
	assert_string_equal(err.msg, "-device: there is no w=start; there are: none, stop");
	assert_true(b && n == 1 && word == 1);
	props_free(p);
}

static void key_that_comes_twice_expect_a_refusal_or_both_values(void **state)
{
	struct lodge_err err = {""};
	struct props *p = props_parse("-netdev", "user,a=1,hostfwd=x,hostfwd=y", "type", &err);

	(void)state;
	assert_non_null(p);
	assert_string_equal(props_get(p, "type"), "user");
	assert_string_equal(props_get(p, "a"), "1");
	assert_string_equal(props_next(p, "hostfwd"), "x");
	/* One that asks for a single value leaves the second over. */
	assert_int_equal(props_done(p, &err), -EINVAL);
	assert_string_equal(err.msg, "-netdev: 'hostfwd' comes twice");
	assert_string_equal(props_next(p, "hostfwd"), "y");
	assert_null(props_next(p, "hostfwd"));
	assert_int_equal(props_done(p, &err), 0);
	props_free(p);
	assert_null(props_parse("-device", "x,a=1,a=2", "driver", &err));
	assert_string_equal(err.msg, "-device x,a=1,a=2: 'a' comes twice");
}

static void json_when_read_expect_dotted_keys(void **state)
{
	struct lodge_err err;
	struct props *p = props_parse_json(
		"-blockdev",
		" {\"driver\": \"qcow2\", \"file\": {\"driver\": "
		"\"file\", \"filename\": \"a=b,c\"}, "
		"\"cache\": {\"direct\": true, \"no-flush\": false}, "
		"\"n\": -12, \"l\": [7, {\"x\": "
		"\"\\u00e4\"}], \"none\": {}, \"hostfwd\": [{\"str\": \"a\"}, {\"str\": \"b\"}]}",
		&err);

	(void)state;
	assert_non_null(p);
	assert_string_equal(props_get(p, "driver"), "qcow2");
	assert_string_equal(props_get(p, "file.driver"), "file");
	assert_string_equal(props_get(p, "file.filename"), "a=b,c");
	assert_string_equal(props_get(p, "cache.direct"), "on");
	assert_string_equal(props_get(p, "cache.no-flush"), "off");
	assert_string_equal(props_get(p, "n"), "-12");
	assert_string_equal(props_get(p, "l.0"), "7");
	assert_string_equal(props_get(p, "l.1.x"), "ä");
	assert_string_equal(props_next(p, "hostfwd"), "a");
	assert_string_equal(props_next(p, "hostfwd"), "b");
	assert_int_equal(props_done(p, &err), 0);
	props_free(p);
}

static void json_refused(const char *text, const char *word)
{
	struct lodge_err err = {""};

	assert_null(props_parse_json("-blockdev", text, &err));
	if (!strstr(err.msg, word))
		print_error("'%s' is not in: %s\n", word, err.msg);
	assert_non_null(strstr(err.msg, word));
	assert_null(strchr(err.msg, '\n'));
}

static void json_when_wrong_expect_a_sentence(void **state)
{
	static char text[70000];

	(void)state;
	json_refused("{\"driver\": \"raw\"", "this is not JSON, at its byte 16");
	json_refused("{\"driver\": \"raw\"} x", "this is not JSON");
	json_refused("{\"a\": 1, \"a\": 2}", "duplicate");
	json_refused("{\"l\": [{\"str\": \"a\"}, {\"str\": \"b\"}]}", "'l' comes twice");
	json_refused("[\"raw\"]", "object");
	json_refused("{\"a\": null}", "'a' is null");
	json_refused("{\"a\": {\"b\": 1.5}}", "'a.b' is a number with a fraction");
	json_refused("{\"a.b\": 1}", "dot");
	json_refused("{\"\": 1}", "no name");
	json_refused("{\"a\": \"\\u0000\"}", "not JSON");
	json_refused("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}",
		     "in one another");
	memset(text, '[', 60000);
	strcpy(text + 60000, "");
	json_refused(text, "depth");
	memset(text, ' ', sizeof(text) - 1);
	json_refused(text, "65536 bytes");
	memset(text, 0, sizeof(text));
	snprintf(text, sizeof(text), "{\"%070d\": 1}", 0);
	json_refused(text, "too long for the name");
	snprintf(text, sizeof(text), "{\"a\": \"%05000d\"}", 0);
	json_refused(text, "value of 'a' is too long");
	strcpy(text, "{\"n\": [0");
	for (unsigned i = 0; i < 64; i++)
		strcat(text, ",1");
	json_refused(strcat(text, "]}"), "too many");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_when_asked_for_expect_their_values),
		cmocka_unit_test(settings_nobody_asked_for_expect_a_refusal_by_name),
		cmocka_unit_test(json_when_read_expect_dotted_keys),
		cmocka_unit_test(json_when_wrong_expect_a_sentence),
		cmocka_unit_test(values_of_the_wrong_kind_expect_a_refusal),
		cmocka_unit_test(key_that_comes_twice_expect_a_refusal_or_both_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
