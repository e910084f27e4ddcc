// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets of GDB's protocol. Run: make t T=gdb/packet */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "gdb/packet.h"

static enum gdb_got feed(struct gdb_in *in, const char *text, size_t len)
{
	enum gdb_got got = GDB_GOT_NOTHING;

	for (size_t i = 0; i < len; i++) {
		got = gdb_in_byte(in, text[i]);
		if (i + 1 < len)
			assert_int_equal(got, GDB_GOT_NOTHING);
	}
	return got;
}

static void packet_when_sum_is_right_expect_its_data(void **state)
{
	static struct gdb_in in;

	assert_int_equal(feed(&in, "$m10,4#2e", 9), GDB_GOT_PACKET);
	assert_string_equal(in.data, "m10,4");
	assert_int_equal(feed(&in, "$X}\x03}]#90", 9), GDB_GOT_DAMAGED);
	assert_int_equal(in.len, 3);
	assert_memory_equal(in.data, "X#}", 3);
}

static void packet_when_damaged_or_cut_off_expect_the_next_to_count(void **state)
{
	static struct gdb_in in;

	assert_int_equal(feed(&in, "$m10,4#8f", 9), GDB_GOT_DAMAGED);
	assert_int_equal(feed(&in, "$m10,4#x", 8), GDB_GOT_DAMAGED);
	assert_int_equal(feed(&in, "$m10$g#67", 9), GDB_GOT_PACKET);
	assert_string_equal(in.data, "g");
}

static void packet_when_too_long_expect_bounded_and_told(void **state)
{
	static struct gdb_in in;

	assert_int_equal(gdb_in_byte(&in, '$'), GDB_GOT_NOTHING);
	for (unsigned i = 0; i < 3 * GDB_PACKET_MAX; i++)
		assert_int_equal(gdb_in_byte(&in, '\x00'), GDB_GOT_NOTHING);
	assert_int_equal(feed(&in, "#00", 3), GDB_GOT_TOO_LONG);
	assert_int_equal(in.len, GDB_PACKET_MAX);
}

static void between_packets_when_signs_come_expect_them(void **state)
{
	static struct gdb_in in;

	assert_int_equal(gdb_in_byte(&in, '+'), GDB_GOT_ACK);
	assert_int_equal(gdb_in_byte(&in, '-'), GDB_GOT_NAK);
	assert_int_equal(gdb_in_byte(&in, 3), GDB_GOT_INTERRUPT);
	assert_int_equal(gdb_in_byte(&in, 'x'), GDB_GOT_NOTHING);
}

static void out_when_data_has_special_bytes_expect_escapes_and_sum(void **state)
{
	struct gdb_out out = {0};

	gdb_out_packet(&out, "a#", 2);
	assert_int_equal(out.len, 7);
	assert_memory_equal(out.p, "$a}\x03#e1", 7);
	gdb_out_take(&out, 6);
	assert_int_equal(out.len, 1);
	gdb_out_free(&out);
}

static void hex_when_read_expect_bounds(void **state)
{
	const char *p = "ffffffffffffffff,", *q = "10000000000000000", *r = ",";
	uint64_t v;
	uint8_t b[2];

	assert_true(gdb_hex(&p, &v));
	assert_true(v == ~0ull && *p == ',');
	assert_false(gdb_hex(&q, &v));
	assert_false(gdb_hex(&r, &v));
	assert_true(gdb_get_hex("0aFf", 4, b, 2));
	assert_int_equal(b[0] << 8 | b[1], 0x0aff);
	assert_false(gdb_get_hex("0aF", 3, b, 2));
	assert_false(gdb_get_hex("0aFg", 4, b, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_when_sum_is_right_expect_its_data),
		cmocka_unit_test(packet_when_damaged_or_cut_off_expect_the_next_to_count),
		cmocka_unit_test(packet_when_too_long_expect_bounded_and_told),
		cmocka_unit_test(between_packets_when_signs_come_expect_them),
		cmocka_unit_test(out_when_data_has_special_bytes_expect_escapes_and_sum),
		cmocka_unit_test(hex_when_read_expect_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
