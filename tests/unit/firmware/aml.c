// SPDX-License-Identifier: GPL-2.0-or-later
/* The AML writer, byte for byte after ACPI 6.4 §20.2: make t T=firmware/aml */
#include "unit/firmware/fw_test.h"

#include "firmware/aml.h"

static void assert_bytes(struct aml *a, const void *want, size_t len)
{
	assert_false(a->failed);
	assert_int_equal(a->depth, 0);
	assert_int_equal(a->len, len);
	assert_memory_equal(a->buf, want, len);
	aml_free(a);
}

static void int_when_sizes_expect_shortest_form(void **state)
{
	static const uint8_t want[] = {0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00, 0x01,
				       0x0b, 0xff, 0xff, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x0e,
				       0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00};
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_int(&a, 2);
	aml_int(&a, 0xff);
	aml_int(&a, 0x100);
	aml_int(&a, 0xffff);
	aml_int(&a, 0x10000);
	aml_int(&a, 0x100000000);
	assert_bytes(&a, want, sizeof(want));
}

static void path_when_segments_expect_prefixes(void **state)
{
	static const char want[] = "\\_S5_"
				   "^FOO_"
				   "\x2e_SB_PCI0"
				   "\\\x2f\x03"
				   "A___B___LNKA"
				   "\\\0";
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_path(&a, "\\_S5");
	aml_path(&a, "^FOO");
	aml_path(&a, "_SB.PCI0");
	aml_path(&a, "\\A.B.LNKA");
	aml_path(&a, "\\");
	assert_bytes(&a, want, sizeof(want) - 1);
}

static void eisaid_when_pnp_expect_swapped(void **state)
{
	static const uint8_t want[] = {0x0c, 0x41, 0xd0, 0x0a, 0x03, 0x0c, 0x41, 0xd0, 0x0c, 0x0f};
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_eisaid(&a, "PNP0A03");
	aml_eisaid(&a, "PNP0C0F");
	assert_bytes(&a, want, sizeof(want));
}

/* Body lengths around each change of the length's own size, §20.2.4. */
static void length_when_bodies_grow_expect_minimal(void **state)
{
	static const struct {
		size_t body; /* after the scope's name, which has 4 bytes */
		uint8_t want[4];
		size_t bytes;
	} cases[] = {
		{0, {0x05}, 1},
		{0x3f - 5, {0x3f}, 1},
		{0x3f - 4, {0x41, 0x04}, 2},
		{0xfff - 6, {0x4f, 0xff}, 2},
		{0xfff - 5, {0x81, 0x00, 0x01}, 3},
		{0xfffff - 7, {0x8f, 0xff, 0xff}, 3},
		{0xfffff - 6, {0xc1, 0x00, 0x00, 0x01}, 4},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct aml a;

		aml_init(&a);
		aml_scope_begin(&a, "ABCD");
		aml_reserve(&a, cases[i].body);
		aml_end(&a);
		assert_int_equal(a.buf[0], 0x10);
		assert_memory_equal(a.buf + 1, cases[i].want, cases[i].bytes);
		assert_memory_equal(a.buf + 1 + cases[i].bytes, "ABCD", 4);
		assert_int_equal(a.len, 1 + cases[i].bytes + 4 + cases[i].body);
		aml_free(&a);
	}
}

static void nesting_when_closed_expect_inner_lengths_counted(void **state)
{
	static const uint8_t want[] = {
		0x5b, 0x82, 0x0e, 'D',	'E',  'V', '0',	 /* Device (DEV0) */
		0x14, 0x08, 'M',  'E',	'T',  'H', 0x09, /* Method (METH, 1, Serialized) */
		0xa4, 0x01,				 /* Return (One) */
		0x12, 0x04, 0x02, 0x00, 0x01,		 /* Package (2) { Zero, One } */
	};
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_device_begin(&a, "DEV0");
	aml_method_begin(&a, "METH", 1, true);
	aml_return_int(&a, 1);
	aml_end(&a);
	aml_end(&a);
	aml_package_begin(&a, 2);
	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_end(&a);
	assert_bytes(&a, want, sizeof(want));
}

static void resources_when_closed_expect_end_tag_and_size(void **state)
{
	static const uint8_t want[] = {
		0x11, 0x10, 0x0a, 0x0d,				/* Buffer (13) */
		0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x08, 0x08, /* IO */
		0x22, 0x10, 0x00,				/* IRQ 4 */
		0x79, 0x00,
	};
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_resources_begin(&a);
	aml_res_io(&a, 0x3f8, 8, 8);
	aml_res_irq_edge(&a, 4);
	aml_end(&a);
	assert_bytes(&a, want, sizeof(want));
}

static void window_when_above_4g_expect_qword(void **state)
{
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_res_memory_window(&a, 0xc0000000, 0xfebfffff, false);
	assert_int_equal(a.buf[0], 0x87);
	assert_int_equal(ld_le16(a.buf + 1), 23);
	assert_int_equal(ld_le32(a.buf + 22), 0x3ec00000);
	assert_int_equal(a.len, 26);
	aml_res_memory_window(&a, 1ull << 39, (1ull << 40) - 1, true);
	assert_int_equal(a.buf[26], 0x8a);
	assert_int_equal(a.len, 26 + 46);
	assert_int_equal(ld_le64(a.buf + 26 + 38), 1ull << 39);
	aml_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int_when_sizes_expect_shortest_form),
		cmocka_unit_test(path_when_segments_expect_prefixes),
		cmocka_unit_test(eisaid_when_pnp_expect_swapped),
		cmocka_unit_test(length_when_bodies_grow_expect_minimal),
		cmocka_unit_test(nesting_when_closed_expect_inner_lengths_counted),
		cmocka_unit_test(resources_when_closed_expect_end_tag_and_size),
		cmocka_unit_test(window_when_above_4g_expect_qword),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
