// SPDX-License-Identifier: GPL-2.0-or-later
/* The Ctrl-A keys. Run: make t T=chardev/mux */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "chardev/mux.h"

static void feed_when_plain_byte_expect_pass(void **state)
{
	bool escaped = false;

	for (int c = 0; c < 256; c++) {
		if (c == MUX_ESCAPE)
			continue;
		assert_int_equal(mux_feed(&escaped, (uint8_t)c), MUX_PASS);
	}
}

static void feed_when_escape_then_key_expect_its_action_once(void **state)
{
	static const struct {
		uint8_t key;
		enum mux_action action;
	} keys[] = {{'x', MUX_QUIT},	{'h', MUX_HELP},    {'?', MUX_HELP},	   {'b', MUX_BREAK},
		    {'c', MUX_MONITOR}, {'q', MUX_NOTHING}, {MUX_ESCAPE, MUX_PASS}};
	bool escaped = false;

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(mux_feed(&escaped, MUX_ESCAPE), MUX_NOTHING);
		assert_int_equal(mux_feed(&escaped, keys[i].key), keys[i].action);
		assert_int_equal(mux_feed(&escaped, 'x'), MUX_PASS);
	}
}

static void help_when_printed_expect_every_key_named(void **state)
{
	static const char *const names[] = {"Ctrl-A x", "Ctrl-A h", "Ctrl-A b", "Ctrl-A c",
					    "Ctrl-A Ctrl-A"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(strstr(mux_help(), names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(feed_when_plain_byte_expect_pass),
		cmocka_unit_test(feed_when_escape_then_key_expect_its_action_once),
		cmocka_unit_test(help_when_printed_expect_every_key_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
