// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction decoder, case by case. Run: make t T=x86/decode
 * Every difference decode_zydis.c or the host CPU finds that was ours has a case here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/cpuid.h"
#include "x86/decode.h"
#include "x86/state.h"

/* Decode hex text ("48 8b 05") in `mode`. */
static int dec(struct x86_insn *in, enum x86_mode mode, const char *hex)
{
	uint8_t b[32];
	size_t n = 0;

	for (const char *s = hex; *s && n < sizeof(b);) {
		unsigned v = 0;

		if (*s == ' ') {
			s++;
			continue;
		}
		for (int i = 0; i < 2; i++, s++)
			v = v * 16 + (unsigned)(*s <= '9' ? *s - '0' : (*s | 32) - 'a' + 10);
		b[n++] = (uint8_t)v;
	}
	return x86_decode(in, b, n, mode);
}

static void add_when_64bit_expect_all_fields(void **state)
{
	struct x86_insn in;

	(void)state;
	assert_int_equal(dec(&in, X86_MODE_64, "48 81 84 8d 78 56 34 12 ff ff ff ff"), 12);
	assert_int_equal(in.op, X86_OP_ADD);
	assert_int_equal(in.opsize, 8);
	assert_int_equal(in.addrsize, 8);
	assert_int_equal(in.base, R_RBP);
	assert_int_equal(in.index, R_RCX);
	assert_int_equal(in.scale, 2);
	assert_int_equal(in.seg, SEG_SS);
	assert_int_equal(in.disp, 0x12345678);
	assert_true(in.imm == ~0ull);
	assert_int_equal(in.nopds, 2);
	assert_int_equal(in.opd[0].kind, X86_OPD_MEM);
	assert_int_equal(in.opd[0].size, 8);
	assert_int_equal(in.opd[0].access, X86_ACC_R | X86_ACC_W);
	assert_int_equal(in.opd[1].kind, X86_OPD_IMM);
	assert_int_equal(in.imm_off, 8);
	assert_int_equal(in.imm_len, 4);
}

static void rex_when_not_last_expect_ignored(void **state)
{
	struct x86_insn in;

	(void)state;
	assert_int_equal(dec(&in, X86_MODE_64, "48 66 89 c8"), 4);
	assert_int_equal(in.opsize, 2);
	assert_int_equal(in.rex, 0);
}

static void length_when_truncated_expect_more(void **state)
{
	struct x86_insn in;

	(void)state;
	assert_int_equal(dec(&in, X86_MODE_64, "48 81 84 8d 78 56 34"), X86_DECODE_MORE);
	assert_int_equal(dec(&in, X86_MODE_64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90"), 15);
	assert_int_equal(dec(&in, X86_MODE_64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90"),
			 X86_DECODE_LONG);
}

static void lock_when_register_destination_expect_ud(void **state)
{
	struct x86_insn in;

	(void)state;
	assert_int_equal(dec(&in, X86_MODE_64, "f0 01 08"), 3);
	assert_true(in.flags & X86_IF_LOCK);
	assert_int_equal(dec(&in, X86_MODE_64, "f0 01 c8"), X86_DECODE_UD);
	assert_int_equal(dec(&in, X86_MODE_64, "f0 03 08"), X86_DECODE_UD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_when_64bit_expect_all_fields),
		cmocka_unit_test(rex_when_not_last_expect_ignored),
		cmocka_unit_test(length_when_truncated_expect_more),
		cmocka_unit_test(lock_when_register_destination_expect_ud),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
