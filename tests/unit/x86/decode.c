// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction decoder, case by case. Run: make t T=x86/decode
 * Every difference that decode_zydis.c or tests/oracle found and that was ours has a case here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/x86/hex.h"
#include "x86/cpuid.h"
#include "x86/decode.h"
#include "x86/state.h"

#define M16 X86_MODE_16
#define M32 X86_MODE_32
#define M64 X86_MODE_64
#define M64I ((enum x86_mode)(X86_MODE_64 | X86_MODE_INTEL))
#define UD X86_DECODE_UD
#define MORE X86_DECODE_MORE
#define LONG X86_DECODE_LONG

static struct x86_insn ok(enum x86_mode mode, const char *hex)
{
	struct x86_insn in;
	uint8_t b[32];
	size_t n = hex_bytes(b, sizeof(b), hex);
	int len = x86_decode(&in, b, n, mode);

	if (len != (int)n)
		fail_msg("%s in mode %d: %d, want %zu", hex, 16 << mode, len, n);
	return in;
}

struct verdict {
	enum x86_mode mode;
	const char *hex;
	int want;
};

static void check_verdicts(const struct verdict *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct x86_insn in;
		int len = decode_hex(&in, v[i].mode, v[i].hex);

		if (len != v[i].want)
			fail_msg("%s in mode %d: %d, want %d", v[i].hex, 16 << v[i].mode, len,
				 v[i].want);
	}
}

#define VERDICTS(...)                                            \
	do {                                                     \
		static const struct verdict v[] = {__VA_ARGS__}; \
		check_verdicts(v, sizeof(v) / sizeof(v[0]));     \
	} while (0)

/* ---- Fields ------------------------------------------------------------------------------------
 */

static void add_when_64bit_expect_all_fields(void **state)
{
	struct x86_insn in = ok(M64, "48 81 84 8d 78 56 34 12 ff ff ff ff");

	(void)state;
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
	assert_int_equal(in.opcode_off, 1);
	assert_int_equal(in.modrm_off, 2);
	assert_int_equal(in.imm_off, 8);
	assert_int_equal(in.imm_len, 4);
	assert_int_equal(in.flags, X86_IF_MODRM | X86_IF_SIB);
}

static void immediate_when_short_expect_extended_as_the_instruction_does(void **state)
{
	(void)state;
	assert_true(ok(M32, "83 c0 ff").imm == ~0ull);
	assert_true(ok(M32, "05 ff ff ff ff").imm == 0xffffffff);
	assert_true(ok(M64, "48 05 ff ff ff ff").imm == ~0ull);
	assert_true(ok(M64, "68 ff ff ff ff").imm == ~0ull);
	assert_true(ok(M64, "6a 80").imm == 0xffffffffffffff80);
	assert_true(ok(M32, "cd 80").imm == 0x80);
	assert_true(ok(M64, "48 b8 88 77 66 55 44 33 22 f1").imm == 0xf122334455667788);
	assert_true(ok(M64, "e8 fe ff ff ff").imm == ~0ull - 1);
	assert_true(ok(M32, "d1 e0").imm == 1);
	assert_int_equal(ok(M32, "d1 e0").imm_len, 0);
}

static void two_immediates_when_enter_extrq_far_expect_both(void **state)
{
	struct x86_insn in = ok(M32, "c8 34 12 05");

	(void)state;
	assert_int_equal(in.imm, 0x1234);
	assert_int_equal(in.imm2, 5);
	in = ok(M64, "66 0f 78 c3 11 22");
	assert_int_equal(in.op, X86_OP_EXTRQ);
	assert_int_equal(in.imm, 0x11);
	assert_int_equal(in.imm2, 0x22);
	in = ok(M16, "9a 78 56 34 12");
	assert_int_equal(in.op, X86_OP_CALL_FAR);
	assert_int_equal(in.imm, 0x5678);
	assert_int_equal(in.imm2, 0x1234);
	assert_int_equal(in.imm_len, 4);
}

static void condition_when_family_expect_cc(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "75 00").cc, 5);
	assert_int_equal(ok(M64, "0f 8f 00 00 00 00").cc, 15);
	assert_int_equal(ok(M64, "0f 93 c0").cc, 3);
	assert_int_equal(ok(M64, "0f 4c c1").cc, 12);
}

/* ---- Prefixes ------------------------------------------------------------------------------- */

static void rex_when_not_last_expect_ignored(void **state)
{
	struct x86_insn in = ok(M64, "48 66 89 c8");

	(void)state;
	assert_int_equal(in.opsize, 2);
	assert_int_equal(in.rex, 0);
	assert_int_equal(ok(M64, "66 48 89 c8").opsize, 8);
	assert_int_equal(ok(M32, "48").op, X86_OP_DEC);
}

static void mandatory_prefix_when_several_expect_last_of_f2_f3_over_66(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "66 0f 10 c1").op, X86_OP_MOVUPD);
	assert_int_equal(ok(M64, "66 f3 0f 10 c1").op, X86_OP_MOVSS);
	assert_int_equal(ok(M64, "f2 66 0f 10 c1").op, X86_OP_MOVSD);
	assert_int_equal(ok(M64, "f2 f3 0f 10 c1").op, X86_OP_MOVSS);
	assert_int_equal(ok(M64, "f3 f2 0f 10 c1").op, X86_OP_MOVSD);
	/* Where 66 is no mandatory prefix it stays the operand size. */
	assert_int_equal(ok(M64, "66 f3 0f b8 c1").opsize, 2);
	assert_int_equal(ok(M64, "66 f2 0f 38 f1 c1").opd[1].size, 2);
	assert_int_equal(ok(M64, "66 0f 38 f0 00").opsize, 2);
	assert_int_equal(ok(M64, "66 0f 6e c1").opd[1].size, 4);
	VERDICTS({M64, "f3 0f 28 c1", UD}, {M64, "f2 0f 6f c1", UD}, {M64, "66 0f 77", UD},
		 {M64, "f3 0f ae 38", UD}, {M64, "66 0f 01 d0", UD});
}

static void rep_when_not_string_expect_no_flag(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "f3 a4").flags, X86_IF_REP);
	assert_int_equal(ok(M64, "f2 a4").flags, X86_IF_REP);
	assert_int_equal(ok(M64, "f3 a6").flags, X86_IF_REP);
	assert_int_equal(ok(M64, "f2 a6").flags, X86_IF_REPNE);
	assert_int_equal(ok(M64, "f3 01 c0").flags, X86_IF_MODRM);
	/* On AMD a repeat prefix decides which ZF continues LOOPE and LOOPNE. */
	assert_true(ok(M64, "f2 e1 00").flags & X86_IF_REPNE);
	assert_true(ok(M64, "f3 e0 00").flags & X86_IF_REP);
	assert_false(ok(M64, "f3 e2 00").flags & X86_IF_REP);
}

static void lock_when_not_a_memory_write_expect_ud(void **state)
{
	(void)state;
	assert_true(ok(M64, "f0 01 08").flags & X86_IF_LOCK);
	assert_true(ok(M64, "f0 0f c7 08").flags & X86_IF_LOCK);
	VERDICTS({M64, "f0 01 c8", UD}, {M64, "f0 03 08", UD}, {M64, "f0 39 08", UD},
		 {M64, "f0 0f a3 08", UD}, {M64, "f0 0f ab 08", 4}, {M64, "f0 87 08", 3},
		 {M64, "f0 89 08", UD}, {M64, "f0 90", UD}, {M64, "f0 0f ba 20 01", UD},
		 {M64, "f0 0f ba 28 01", 5}, {M64, "f0 8f 00", UD},
		 /* quirk of AMD family 19h */
		 {M64, "f0 0f 00 28", 4}, {M64, "f0 0f 00 e8", UD}, {M64, "f0 0f 00 20", UD},
		 /* the length comes first: 16 bytes */
		 {M64, "f3 2e 66 46 f0 45 49 bb e4 b5 7f 0c 1a 33 89 39", LONG});
}

static void near_branch_with_66_expect_16_bits_on_amd_and_64_on_intel(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "66 e8 01 02").opsize, 2);
	assert_int_equal(ok(M64I, "66 e8 01 02 03 04").imm, 0x04030201);
	assert_int_equal(ok(M64I, "66 e8 01 02 03 04").opsize, 8);
	assert_int_equal(ok(M64I, "66 e8 01 02 03 04").mode, X86_MODE_64);
	assert_int_equal(ok(M64, "66 c3").opsize, 2);
	assert_int_equal(ok(M64I, "66 c3").opsize, 8);
	assert_int_equal(ok(M64I, "66 ff 10").opd[0].size, 8);
	VERDICTS({M64, "66 0f 84 01 02", 5}, {M64I, "66 0f 84 01 02 03 04", 7});
}

static void far_pointer_with_rex_w_expect_6_bytes_on_amd_and_10_on_intel(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "48 ff 28").opd[0].size, 6);
	assert_int_equal(ok(M64I, "48 ff 28").opd[0].size, 10);
	assert_int_equal(ok(M64I, "ff 28").opd[0].size, 6);
	assert_int_equal(ok(M64I, "66 0f b4 00").opd[1].size, 4);
	assert_int_equal(ok(M64I, "48 0f b4 00").opd[1].size, 10);
}

static void f3_90_with_rex_b_expect_xchg_on_amd_and_pause_on_intel(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "f3 41 90").op, X86_OP_XCHG);
	assert_int_equal(ok(M64I, "f3 41 90").op, X86_OP_PAUSE);
	assert_int_equal(ok(M64I, "f2 41 90").op, X86_OP_XCHG);
	assert_int_equal(ok(M64I, "41 90").op, X86_OP_XCHG);
}

static void lock_mov_cr0_when_amd_expect_cr8(void **state)
{
	(void)state;
	assert_int_equal(ok(M32, "f0 0f 20 c0").opd[1].reg, 8);
	assert_int_equal(ok(M32, "f0 0f 22 c0").opd[0].reg, 8);
	assert_int_equal(ok(M64, "44 0f 20 c0").opd[1].reg, 8);
	VERDICTS({M64I, "f0 0f 00 28", UD}, {M32, "f0 0f 20 d0", UD}, {M32, "f0 0f 21 c0", UD},
		 {M64I, "f0 0f 20 c0", UD});
}

static void length_when_truncated_or_over_15_expect_more_or_long(void **state)
{
	(void)state;
	VERDICTS({M64, "", MORE}, {M64, "48", MORE}, {M64, "48 81 84 8d 78 56 34", MORE},
		 {M64, "c5 f9", MORE}, {M32, "c5", MORE}, {M64, "0f 38", MORE},
		 {M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", 15},
		 {M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", LONG},
		 {M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66", LONG},
		 {M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66", MORE});
}

/* ---- Sizes ---------------------------------------------------------------------------------- */

static void operand_size_when_64bit_default_expect_8(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "50").opsize, 8);
	assert_int_equal(ok(M64, "66 50").opsize, 2);
	assert_int_equal(ok(M64, "48 50").opsize, 8);
	assert_int_equal(ok(M64, "ff 30").opd[0].size, 8);
	assert_int_equal(ok(M64, "c9").opsize, 8);
	assert_int_equal(ok(M64, "9c").opsize, 8);
	assert_int_equal(ok(M64, "0f a0").opsize, 8);
	assert_int_equal(ok(M64, "cb").opsize, 4);
	assert_int_equal(ok(M64, "cf").opsize, 4);
	assert_int_equal(ok(M64, "48 cf").opsize, 8);
	assert_int_equal(ok(M64, "c3").opsize, 8);
	assert_int_equal(ok(M64, "ff e0").opd[0].size, 8);
	assert_int_equal(ok(M64, "66 0f 20 c0").opsize, 8);
	assert_int_equal(ok(M64, "0f 01 10").opd[0].size, 10);
	assert_int_equal(ok(M32, "66 0f 01 10").opd[0].size, 6);
	assert_true(ok(M64, "50").flags & X86_IF_DEFAULT64);
	assert_false(ok(M64, "01 c0").flags & X86_IF_DEFAULT64);
	assert_int_equal(ok(M16, "50").opsize, 2);
	assert_int_equal(ok(M16, "66 50").opsize, 4);
}

static void near_branch_when_66_in_64bit_expect_amd_16_bits(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "66 e8 34 12").opsize, 2);
	assert_int_equal(ok(M64, "66 eb 00").opsize, 2);
	assert_int_equal(ok(M64, "66 c3").opsize, 2);
	assert_int_equal(ok(M64, "66 ff e0").opd[0].size, 2);
	assert_int_equal(ok(M64, "66 0f 84 00 00").opsize, 2);
	assert_int_equal(ok(M64, "66 48 e8 00 00 00 00").opsize, 8);
}

static void far_pointer_when_rex_w_expect_amd_6_bytes(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "48 0f b4 07").opd[1].size, 6);
	assert_int_equal(ok(M64, "48 ff 2f").opd[0].size, 6);
	assert_int_equal(ok(M64, "66 ff 2f").opd[0].size, 4);
	assert_int_equal(ok(M16, "c4 07").opd[1].size, 4);
}

static void segment_moves_when_memory_expect_16_bits(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "48 8c d8").opd[0].size, 8);
	assert_int_equal(ok(M64, "48 8c 18").opd[0].size, 2);
	assert_int_equal(ok(M64, "8e d8").opd[1].size, 2);
	assert_int_equal(ok(M32, "0f 00 c0").opd[0].size, 4);
	assert_int_equal(ok(M32, "0f 01 20").opd[0].size, 2);
	assert_int_equal(ok(M64, "66 63 07").opd[1].size, 4);
	VERDICTS({M32, "8e c8", UD}, {M32, "8e f0", UD}, {M32, "8c f8", UD}, {M64, "44 8e d8", 3});
}

/* ---- Addresses ------------------------------------------------------------------------------ */

static void modrm16_when_each_form_expect_registers(void **state)
{
	static const struct {
		const char *hex;
		uint8_t base, index, seg;
		int disp;
	} c[] = {
		{"8b 00", R_RBX, R_RSI, SEG_DS, 0},
		{"8b 01", R_RBX, R_RDI, SEG_DS, 0},
		{"8b 02", R_RBP, R_RSI, SEG_SS, 0},
		{"8b 03", R_RBP, R_RDI, SEG_SS, 0},
		{"8b 04", R_RSI, X86_NO_REG, SEG_DS, 0},
		{"8b 05", R_RDI, X86_NO_REG, SEG_DS, 0},
		{"8b 06 34 12", X86_NO_REG, X86_NO_REG, SEG_DS, 0x1234},
		{"8b 07", R_RBX, X86_NO_REG, SEG_DS, 0},
		{"8b 46 fe", R_RBP, X86_NO_REG, SEG_SS, -2},
		{"8b 80 00 80", R_RBX, R_RSI, SEG_DS, -0x8000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct x86_insn in = ok(M16, c[i].hex);

		assert_int_equal(in.addrsize, 2);
		assert_int_equal(in.base, c[i].base);
		assert_int_equal(in.index, c[i].index);
		assert_int_equal(in.seg, c[i].seg);
		assert_int_equal(in.disp, c[i].disp);
	}
}

static void modrm32_when_special_forms_expect_registers(void **state)
{
	struct x86_insn in = ok(M64, "8b 05 fc ff ff ff");

	(void)state;
	assert_int_equal(in.base, X86_REG_RIP);
	assert_int_equal(in.disp, -4);
	assert_int_equal(ok(M64, "67 8b 05 00 00 00 00").addrsize, 4);
	assert_int_equal(ok(M32, "8b 05 00 00 00 00").base, X86_NO_REG);
	assert_int_equal(ok(M64, "8b 04 25 00 00 00 00").base, X86_NO_REG);
	/* Base 101 with mod 00 is no base, whatever REX.B says, and index 100 is none without
	 * REX.X. */
	assert_int_equal(ok(M64, "41 8b 04 25 00 00 00 00").base, X86_NO_REG);
	assert_int_equal(ok(M64, "67 43 8b 24 65 e7 5b 73 f4").base, X86_NO_REG);
	assert_int_equal(ok(M64, "42 8b 04 20").index, 12);
	assert_int_equal(ok(M64, "41 8b 45 00").base, 13);
	assert_int_equal(ok(M64, "41 8b 45 00").seg, SEG_DS);
	assert_int_equal(ok(M64, "41 8b 04 24").base, 12);
	assert_int_equal(ok(M64, "8b 04 24").seg, SEG_SS);
	assert_int_equal(ok(M32, "8b 04 2c").seg, SEG_SS);
	assert_int_equal(ok(M32, "8b 04 28").seg, SEG_DS);
}

static void moffs_when_each_address_size_expect_zero_extended(void **state)
{
	(void)state;
	assert_true(ok(M16, "a1 00 f0").disp == 0xf000);
	assert_true(ok(M32, "a1 00 00 00 f0").disp == 0xf0000000);
	assert_true((uint64_t)ok(M64, "a1 08 07 06 05 04 03 02 f1").disp == 0xf102030405060708);
	assert_true(ok(M64, "67 a1 00 00 00 f0").disp == 0xf0000000);
	assert_int_equal(ok(M64, "48 a3 08 07 06 05 04 03 02 01").opd[0].kind, X86_OPD_MEM);
}

static void segment_override_when_64bit_expect_fs_gs_only(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "64 8b 00").seg, SEG_FS);
	assert_int_equal(ok(M64, "2e 8b 00").seg, SEG_DS);
	assert_false(ok(M64, "2e 8b 00").seg_override);
	assert_int_equal(ok(M64, "65 2e 8b 00").seg, SEG_GS);
	assert_int_equal(ok(M32, "65 2e 8b 00").seg, SEG_CS);
	assert_int_equal(ok(M32, "64 a4").seg, SEG_FS);
	assert_int_equal(ok(M32, "aa").seg, SEG_ES);
	assert_int_equal(ok(M32, "36 d7").seg, SEG_SS);
}

/* ---- Registers ------------------------------------------------------------------------------ */

static void byte_registers_when_rex_expect_no_high_ones(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "88 e0").opd[1].rc, X86_RC_GPRH);
	assert_int_equal(ok(M64, "88 e0").opd[1].reg, 0);
	assert_int_equal(ok(M64, "40 88 e0").opd[1].rc, X86_RC_GPR);
	assert_int_equal(ok(M64, "40 88 e0").opd[1].reg, 4);
	assert_int_equal(ok(M64, "b7 00").opd[0].rc, X86_RC_GPRH);
	assert_int_equal(ok(M64, "0f b6 c4").opd[1].rc, X86_RC_GPRH);
}

static void control_registers_when_absent_expect_ud(void **state)
{
	(void)state;
	VERDICTS({M64, "0f 20 c0", 3}, {M64, "0f 20 c8", UD}, {M64, "0f 20 d0", 3},
		 {M64, "0f 20 e8", UD}, {M64, "44 0f 20 c8", UD}, {M64, "0f 21 e0", 3},
		 {M64, "44 0f 21 c0", UD}, {M32, "0f 24 c0", UD});
	/* mod is ignored: this is a register, and no displacement follows. */
	assert_int_equal(ok(M64, "0f 20 05").opd[0].kind, X86_OPD_REG);
}

static void mmx_when_rex_expect_ignored(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "45 0f 6f c1").opd[0].reg, 0);
	assert_int_equal(ok(M64, "45 0f 6f c1").opd[1].reg, 1);
	assert_int_equal(ok(M64, "66 45 0f 6f c1").opd[0].reg, 8);
}

/* ---- One opcode, several meanings ----------------------------------------------------------- */

static void opcode_90_when_prefixed_expect_nop_pause_xchg(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "90").op, X86_OP_NOP);
	assert_int_equal(ok(M64, "48 90").op, X86_OP_NOP);
	assert_int_equal(ok(M64, "f3 90").op, X86_OP_PAUSE);
	assert_int_equal(ok(M64, "41 90").op, X86_OP_XCHG);
	assert_int_equal(ok(M64, "f3 41 90").op, X86_OP_XCHG);
}

static void opcodes_when_64bit_expect_invalid_ones_refused(void **state)
{
	static const char *const bad[] = {"06",
					  "0e",
					  "17",
					  "1f",
					  "27",
					  "2f",
					  "37",
					  "3f",
					  "60",
					  "61",
					  "62 00",
					  "82 c0 00",
					  "9a 00 00 00 00 00 00",
					  "ce",
					  "d4 0a",
					  "d5 0a",
					  "d6",
					  "ea 00 00 00 00 00 00"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct x86_insn in;

		assert_int_equal(decode_hex(&in, M64, bad[i]), UD);
		assert_true(decode_hex(&in, M32, bad[i]) > 0);
	}
}

static void aliases_when_undocumented_expect_the_operation(void **state)
{
	(void)state;
	assert_int_equal(ok(M32, "82 c0 01").op, X86_OP_ADD);
	assert_int_equal(ok(M64, "c1 f0 01").op, X86_OP_SHL);
	assert_int_equal(ok(M64, "f6 c8 01").op, X86_OP_TEST);
	assert_int_equal(ok(M64, "f7 08 01 00 00 00").op, X86_OP_TEST);
	assert_int_equal(ok(M32, "d6").op, X86_OP_SALC);
	assert_int_equal(ok(M64, "f1").op, X86_OP_INT1);
	assert_int_equal(ok(M64, "0f ff 00").op, X86_OP_UD0);
	assert_int_equal(ok(M64, "0f b9 40 01").op, X86_OP_UD1);
	assert_int_equal(ok(M64, "0f 0b").op, X86_OP_UD2);
	assert_int_equal(ok(M64, "dc d1").op, X86_OP_FCOM);
	assert_int_equal(ok(M64, "dd c9").op, X86_OP_FXCH);
	assert_int_equal(ok(M64, "df d1").op, X86_OP_FSTP);
	assert_int_equal(ok(M64, "d9 d9").op, X86_OP_FSTPNCE);
	assert_int_equal(ok(M64, "db e0").op, X86_OP_FNOP);
}

static void x87_when_reversed_forms_expect_intel_order(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "d8 e1").op, X86_OP_FSUB);
	assert_int_equal(ok(M64, "dc e1").op, X86_OP_FSUBR);
	assert_int_equal(ok(M64, "dc e9").op, X86_OP_FSUB);
	assert_int_equal(ok(M64, "de f1").op, X86_OP_FDIVRP);
	assert_int_equal(ok(M64, "66 d9 30").opd[0].size, 14);
	assert_int_equal(ok(M64, "dd 20").opd[0].size, 108);
	assert_int_equal(ok(M64, "df e0").opd[0].size, 2);
	VERDICTS({M64, "d9 d1", UD}, {M64, "d9 e2", UD}, {M64, "da e8", UD}, {M64, "de d8", UD},
		 {M64, "db 20", UD}, {M64, "df e1", UD});
}

static void group_0f01_when_register_expect_each(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "0f 01 f8").op, X86_OP_SWAPGS);
	assert_int_equal(ok(M64, "0f 01 f9").op, X86_OP_RDTSCP);
	assert_int_equal(ok(M64, "0f 01 d0").op, X86_OP_XGETBV);
	assert_int_equal(ok(M64, "0f 01 d1").op, X86_OP_XSETBV);
	assert_int_equal(ok(M64, "0f 01 ca").op, X86_OP_CLAC);
	assert_int_equal(ok(M64, "0f 01 cb").op, X86_OP_STAC);
	assert_int_equal(ok(M64, "0f 01 c1").op, X86_OP_VMCALL);
	assert_int_equal(ok(M64, "0f 01 d9").op, X86_OP_VMMCALL);
	assert_int_equal(ok(M64, "0f 01 fc").op, X86_OP_CLZERO);
	assert_int_equal(ok(M64, "0f 01 e0").op, X86_OP_SMSW);
	assert_int_equal(ok(M64, "0f 01 f0").op, X86_OP_LMSW);
	VERDICTS({M32, "0f 01 f8", UD}, {M64, "0f 01 c2", UD}, {M64, "0f 01 d8", UD},
		 {M64, "0f 01 ee", UD}, {M64, "0f 01 28", UD}, {M64, "0f 01 d5", UD});
}

static void group_0fae_when_each_form_expect_operation(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "0f ae 00").op, X86_OP_FXSAVE);
	assert_int_equal(ok(M64, "48 0f ae 20").opsize, 8);
	assert_int_equal(ok(M64, "0f ae 30").op, X86_OP_XSAVEOPT);
	assert_int_equal(ok(M64, "66 0f ae 30").op, X86_OP_CLWB);
	assert_int_equal(ok(M64, "66 0f ae 38").op, X86_OP_CLFLUSHOPT);
	assert_int_equal(ok(M64, "0f ae e9").op, X86_OP_LFENCE);
	assert_int_equal(ok(M64, "f3 48 0f ae c0").op, X86_OP_RDFSBASE);
	assert_int_equal(ok(M64, "0f c7 f0").op, X86_OP_RDRAND);
	assert_int_equal(ok(M64, "f3 0f c7 f8").op, X86_OP_RDPID);
	assert_int_equal(ok(M64, "48 0f c7 08").op, X86_OP_CMPXCHG16B);
	VERDICTS({M32, "f3 0f ae c0", UD}, {M64, "f3 0f ae 20", UD}, {M64, "0f c7 c8", UD});
}

static void tzcnt_when_f3_expect_feature(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "f3 0f bc c1").op, X86_OP_TZCNT);
	assert_int_equal(ok(M64, "f3 0f bc c1").feature, X86_FEAT_BMI1);
	assert_int_equal(ok(M64, "f3 0f bd c1").feature, X86_FEAT_ABM);
	assert_int_equal(ok(M64, "f2 0f bc c1").op, X86_OP_BSF);
}

static void f3_when_feature_missing_expect_older_instruction(void **state)
{
	static const char *const hex[] = {"f3 48 0f bc 40 08", "f3 66 0f bd c1", "f3 0f 09"};
	static const char *const plain[] = {"48 0f bc 40 08", "66 0f bd c1", "0f 09"};
	struct x86_insn in;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct x86_insn want = ok(M64, plain[i]);

		in = ok(M64, hex[i]);
		assert_true(x86_insn_before_feature(&in));
		assert_int_equal(in.op, want.op);
		assert_int_equal(in.feature, want.feature);
		assert_int_equal(in.flags, want.flags);
		assert_int_equal(in.opsize, want.opsize);
		assert_int_equal(in.pp, want.pp);
		assert_memory_equal(in.opd, want.opd, sizeof(in.opd));
	}
	in = ok(M64, "f3 0f b8 c1");
	assert_false(x86_insn_before_feature(&in));
	assert_int_equal(in.op, X86_OP_POPCNT);
}

static void reserved_nop_when_any_form_expect_nop(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "f3 0f 1e fa").op, X86_OP_NOP); /* ENDBR64 */
	assert_int_equal(ok(M64, "0f 1f 44 00 00").op, X86_OP_NOP);
	assert_int_equal(ok(M64, "66 0f 1a c0").op, X86_OP_NOP); /* MPX */
	assert_int_equal(ok(M64, "0f 18 c0").op, X86_OP_NOP);
	assert_int_equal(ok(M64, "0f 18 08").op, X86_OP_PREFETCH);
	assert_int_equal(ok(M64, "0f 0d 08").op, X86_OP_PREFETCH);
	VERDICTS({M64, "0f 0d c0", UD}); /* as the host */
}

/* ---- VEX ------------------------------------------------------------------------------------ */

static void vex_when_prefixed_or_malformed_expect_ud(void **state)
{
	(void)state;
	VERDICTS({M64, "c5 f8 28 c1", 4}, {M64, "66 c5 f8 28 c1", UD}, {M64, "f3 c5 f8 28 c1", UD},
		 {M64, "f0 c5 f8 28 c1", UD}, {M64, "48 c5 f8 28 c1", UD},
		 {M64, "65 c5 f8 28 00", 5}, {M64, "67 c5 f8 28 00", 5},
		 {M64, "c4 e0 78 28 c1", UD}, {M64, "c4 e4 78 28 c1", UD});
}

static void vex_when_32bit_and_memory_form_expect_les_lds(void **state)
{
	(void)state;
	assert_int_equal(ok(M32, "c5 38").op, X86_OP_LDS);
	assert_int_equal(ok(M32, "c4 38").op, X86_OP_LES);
	assert_int_equal(ok(M32, "c5 f8 28 c1").op, X86_OP_VMOVAPS);
	assert_int_equal(ok(M32, "62 00").op, X86_OP_BOUND);
	VERDICTS({M32, "62 f1 7c 48 28 c1", UD}, {M64, "62 f1 7c 48 28 c1", UD},
		 {M64, "8f e8 78 c0 c1 00", UD});
}

static void vex_vvvv_when_unused_expect_must_be_ones(void **state)
{
	(void)state;
	VERDICTS({M64, "c5 f0 28 c1", UD}, {M64, "c5 f0 58 c1", 4}, {M64, "c5 f2 10 00", UD},
		 {M64, "c5 f2 10 c1", 4}, {M64, "c5 f0 77", UD}, {M64, "c5 f8 77", 3});
	assert_int_equal(ok(M64, "c5 e9 fe c1").vvvv, 2);
	assert_int_equal(ok(M64, "c5 29 fe c1").opd[1].reg, 10);
	assert_int_equal(ok(M64, "c5 29 fe c1").opd[0].reg, 8);
}

static void vex_l_and_w_when_restricted_expect_ud(void **state)
{
	(void)state;
	VERDICTS({M64, "c5 fd 6e c1", UD},    /* VMOVD, L = 1 */
		 {M64, "c4 e2 7c f2 c1", UD}, /* ANDN, L = 1 */
		 {M64, "c4 e2 79 16 c1", UD}, /* VPERMPS, L = 0 */
		 {M64, "c4 e2 fd 16 c1", UD}, /* VPERMPS, W = 1 */
		 {M64, "c4 e3 79 14 c1 00", 6}, {M64, "c4 e3 7d 14 c1 00", UD},
		 {M64, "c5 ff 10 c1", 4}); /* VMOVSD ignores L */
	/* From the host: either W for VPERMQ; none but 0 for VPINSRD and VPEXTRD outside 64-bit. */
	assert_int_equal(ok(M64, "c4 e3 7d 00 c1 00").op, X86_OP_VPERMQ);
	assert_int_equal(ok(M64, "c4 e3 fd 00 c1 00").op, X86_OP_VPERMQ);
	assert_int_equal(ok(M64, "c4 e3 f9 22 c1 00").op, X86_OP_VPINSRQ);
	assert_int_equal(ok(M32, "c4 e3 79 22 c1 00").op, X86_OP_VPINSRD);
	assert_int_equal(ok(M32, "c4 e1 f9 6e c1").op, X86_OP_VMOVD);
	VERDICTS({M32, "c4 e3 f9 22 c1 00", UD}, {M32, "c4 e3 f9 16 c1 00", UD});
}

static void vex_l_when_integer_expect_avx2(void **state)
{
	struct x86_insn in = ok(M64, "c5 f5 fe c1");

	(void)state;
	assert_int_equal(in.feature, X86_FEAT_AVX2);
	assert_int_equal(in.opd[0].rc, X86_RC_YMM);
	assert_int_equal(in.opd[0].size, 32);
	assert_int_equal(ok(M64, "c5 f1 fe c1").feature, X86_FEAT_AVX);
	assert_int_equal(ok(M64, "c5 f4 58 c1").feature, X86_FEAT_AVX);
	assert_int_equal(ok(M64, "c4 e2 75 dc c1").feature, X86_FEAT_VAES);
	assert_int_equal(ok(M64, "c4 e2 71 dc c1").feature, X86_FEAT_AES);
	assert_int_equal(ok(M64, "c4 e2 7d 18 c1").feature, X86_FEAT_AVX2);
	assert_int_equal(ok(M64, "c4 e2 7d 18 00").feature, X86_FEAT_AVX);
	assert_int_equal(ok(M64, "c5 fd e6 c1").opd[0].rc, X86_RC_XMM);
	assert_int_equal(ok(M64, "c5 fe e6 00").opd[1].size, 16);
}

static void gather_when_registers_equal_expect_ud(void **state)
{
	struct x86_insn in = ok(M64, "c4 e2 69 90 04 88");

	(void)state;
	assert_true(in.flags & X86_IF_VSIB);
	assert_int_equal(in.index, 1);
	assert_int_equal(in.scale, 2);
	assert_int_equal(ok(M64, "c4 e2 69 90 04 20").index, 4);
	VERDICTS({M64, "c4 e2 69 90 04 90", UD}, /* index = mask */
		 {M64, "c4 e2 69 90 04 80", UD}, /* index = destination */
		 {M64, "c4 e2 79 90 04 88", UD}, /* mask = destination */
		 {M64, "c4 e2 69 90 00", UD},	 /* no SIB */
		 {M64, "c4 e2 69 90 c1", UD});
}

static void is4_when_vblendv_expect_register_operand(void **state)
{
	struct x86_insn in = ok(M64, "c4 e3 71 4c c2 a5");

	(void)state;
	assert_int_equal(in.opd[3].kind, X86_OPD_REG);
	assert_int_equal(in.opd[3].reg, 10);
	assert_int_equal(in.imm_len, 1);
	assert_int_equal(ok(M32, "c4 e3 71 4c c2 a5").opd[3].reg, 2);
}

/* ---- Flags and features --------------------------------------------------------------------- */

static void flags_when_simd_memory_expect_host_and_aligned(void **state)
{
	(void)state;
	assert_true(ok(M64, "0f 58 00").flags & X86_IF_HOST);
	assert_true(ok(M64, "0f 58 00").flags & X86_IF_ALIGNED);
	assert_false(ok(M64, "0f 58 c1").flags & X86_IF_ALIGNED);
	assert_false(ok(M64, "0f 10 00").flags & X86_IF_ALIGNED);
	assert_false(ok(M64, "f3 0f 58 00").flags & X86_IF_ALIGNED);
	assert_false(ok(M64, "c5 f0 58 00").flags & X86_IF_ALIGNED);
	assert_true(ok(M64, "c5 f8 28 00").flags & X86_IF_ALIGNED);
	assert_true(ok(M64, "66 0f 2c 00").flags & X86_IF_ALIGNED);
	assert_false(ok(M64, "0f 38 cb 00").flags & X86_IF_ALIGNED); /* SHA: as the host has it */
	assert_false(ok(M64, "66 0f 3a 63 00 00").flags & X86_IF_ALIGNED);
	assert_true(ok(M64, "d9 30").flags & X86_IF_HOST);
	assert_false(ok(M64, "0f ae 00").flags & X86_IF_HOST);
	assert_false(ok(M64, "0f ae 10").flags & X86_IF_HOST);
	assert_false(ok(M64, "01 c0").flags & X86_IF_HOST);
	assert_true(ok(M64, "f3 0f b8 c1").flags & X86_IF_HOST);
}

static void flags_when_system_expect_priv_and_branch(void **state)
{
	(void)state;
	assert_true(ok(M64, "f4").flags & X86_IF_PRIV);
	assert_true(ok(M64, "0f 30").flags & X86_IF_PRIV);
	assert_true(ok(M64, "0f 01 10").flags & X86_IF_PRIV);
	assert_false(ok(M64, "0f 01 00").flags & X86_IF_PRIV);
	assert_false(ok(M64, "fa").flags & X86_IF_PRIV); /* IOPL */
	assert_true(ok(M64, "0f 05").flags & X86_IF_BRANCH);
	assert_true(ok(M64, "cc").flags & X86_IF_BRANCH);
	assert_true(ok(M64, "ff 18").flags & X86_IF_BRANCH);
	assert_false(ok(M64, "ff 30").flags & X86_IF_BRANCH);
}

static void feature_when_each_family_expect_its_bit(void **state)
{
	(void)state;
	assert_int_equal(ok(M64, "01 c0").feature, X86_FEAT_NONE);
	assert_int_equal(ok(M64, "0f 44 c1").feature, X86_FEAT_CMOV);
	assert_int_equal(ok(M64, "db f1").feature, X86_FEAT_CMOV); /* FCOMI came with CMOV */
	assert_int_equal(ok(M64, "d9 c0").feature, X86_FEAT_FPU);
	assert_int_equal(ok(M64, "0f fc c1").feature, X86_FEAT_MMX);
	assert_int_equal(ok(M64, "0f e0 c1").feature, X86_FEAT_SSE);
	assert_int_equal(ok(M64, "0f d4 c1").feature, X86_FEAT_SSE2);
	assert_int_equal(ok(M64, "9f").feature, X86_FEAT_LAHF64);
	assert_int_equal(ok(M32, "9f").feature, X86_FEAT_NONE);
	assert_int_equal(ok(M64, "f2 0f 38 f0 c1").feature, X86_FEAT_SSE42);
	assert_int_equal(ok(M64, "66 0f 3a cf c1 00").feature, X86_FEAT_GFNI);
	assert_int_equal(ok(M64, "0f 38 cb c1").feature, X86_FEAT_SHA_NI);
	assert_int_equal(ok(M64, "66 0f 79 c1").feature, X86_FEAT_SSE4A);
}

static void implicit_operands_when_host_instruction_expect_listed(void **state)
{
	struct x86_insn in = ok(M64, "66 0f 3a 61 c1 00");

	(void)state;
	assert_int_equal(in.nopds, 6);
	assert_true(in.opd[3].implicit && in.opd[4].implicit && in.opd[5].implicit);
	in = ok(M64, "66 0f f7 c1");
	assert_int_equal(in.opd[2].kind, X86_OPD_MEM);
	assert_int_equal(in.base, R_RDI);
	in = ok(M64, "c4 e2 7b f6 c1");
	assert_int_equal(in.opd[3].reg, R_RDX);
	in = ok(M64, "66 0f 38 14 c1");
	assert_int_equal(in.opd[2].rc, X86_RC_XMM);
	assert_true(in.opd[2].implicit);
	in = ok(M64, "d7");
	assert_int_equal(in.opd[1].kind, X86_OPD_MEM);
	assert_int_equal(in.base, R_RBX);
}

static void refused_sets_when_decoded_expect_ud(void **state)
{
	(void)state;
	VERDICTS({M64, "0f 01 c4", UD},					/* VMXOFF */
		 {M64, "0f 78 c1", UD},					/* VMREAD */
		 {M64, "66 0f 38 80 00", UD},				/* INVEPT */
		 {M64, "0f 01 df", UD},					/* INVLPGA */
		 {M64, "0f 0f c1 9e", UD}, {M64, "0f 0e", UD},		/* 3DNow! */
		 {M64, "c7 f8 00 00 00 00", UD}, {M64, "c6 f8 00", UD}, /* TSX */
		 {M64, "c5 fc 41 c1", UD},				/* opmask */
		 {M64, "c4 e3 71 69 c2 00", UD},			/* FMA4 */
		 {M64, "c4 e2 71 50 c2", UD},				/* AVX-VNNI */
		 {M64, "0f 37", UD}, {M64, "0f a7 c0", UD}, {M64, "f3 0f 38 dc c1", UD},
		 {M64, "66 0f 38 f8 00", UD}, {M64, "0f 38 f9 00", UD});
}

static void name_when_any_op_expect_text(void **state)
{
	(void)state;
	for (unsigned op = 0; op < X86_OP_COUNT; op++)
		assert_true(x86_op_name((enum x86_op)op)[0] != 0);
	assert_string_equal(x86_op_name((enum x86_op)X86_OP_COUNT), "(bad)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_when_64bit_expect_all_fields),
		cmocka_unit_test(immediate_when_short_expect_extended_as_the_instruction_does),
		cmocka_unit_test(two_immediates_when_enter_extrq_far_expect_both),
		cmocka_unit_test(condition_when_family_expect_cc),
		cmocka_unit_test(rex_when_not_last_expect_ignored),
		cmocka_unit_test(mandatory_prefix_when_several_expect_last_of_f2_f3_over_66),
		cmocka_unit_test(rep_when_not_string_expect_no_flag),
		cmocka_unit_test(lock_when_not_a_memory_write_expect_ud),
		cmocka_unit_test(near_branch_with_66_expect_16_bits_on_amd_and_64_on_intel),
		cmocka_unit_test(far_pointer_with_rex_w_expect_6_bytes_on_amd_and_10_on_intel),
		cmocka_unit_test(f3_90_with_rex_b_expect_xchg_on_amd_and_pause_on_intel),
		cmocka_unit_test(lock_mov_cr0_when_amd_expect_cr8),
		cmocka_unit_test(length_when_truncated_or_over_15_expect_more_or_long),
		cmocka_unit_test(operand_size_when_64bit_default_expect_8),
		cmocka_unit_test(near_branch_when_66_in_64bit_expect_amd_16_bits),
		cmocka_unit_test(far_pointer_when_rex_w_expect_amd_6_bytes),
		cmocka_unit_test(segment_moves_when_memory_expect_16_bits),
		cmocka_unit_test(modrm16_when_each_form_expect_registers),
		cmocka_unit_test(modrm32_when_special_forms_expect_registers),
		cmocka_unit_test(moffs_when_each_address_size_expect_zero_extended),
		cmocka_unit_test(segment_override_when_64bit_expect_fs_gs_only),
		cmocka_unit_test(byte_registers_when_rex_expect_no_high_ones),
		cmocka_unit_test(control_registers_when_absent_expect_ud),
		cmocka_unit_test(mmx_when_rex_expect_ignored),
		cmocka_unit_test(opcode_90_when_prefixed_expect_nop_pause_xchg),
		cmocka_unit_test(opcodes_when_64bit_expect_invalid_ones_refused),
		cmocka_unit_test(aliases_when_undocumented_expect_the_operation),
		cmocka_unit_test(x87_when_reversed_forms_expect_intel_order),
		cmocka_unit_test(group_0f01_when_register_expect_each),
		cmocka_unit_test(group_0fae_when_each_form_expect_operation),
		cmocka_unit_test(tzcnt_when_f3_expect_feature),
		cmocka_unit_test(f3_when_feature_missing_expect_older_instruction),
		cmocka_unit_test(reserved_nop_when_any_form_expect_nop),
		cmocka_unit_test(vex_when_prefixed_or_malformed_expect_ud),
		cmocka_unit_test(vex_when_32bit_and_memory_form_expect_les_lds),
		cmocka_unit_test(vex_vvvv_when_unused_expect_must_be_ones),
		cmocka_unit_test(vex_l_and_w_when_restricted_expect_ud),
		cmocka_unit_test(vex_l_when_integer_expect_avx2),
		cmocka_unit_test(gather_when_registers_equal_expect_ud),
		cmocka_unit_test(is4_when_vblendv_expect_register_operand),
		cmocka_unit_test(flags_when_simd_memory_expect_host_and_aligned),
		cmocka_unit_test(flags_when_system_expect_priv_and_branch),
		cmocka_unit_test(feature_when_each_family_expect_its_bit),
		cmocka_unit_test(implicit_operands_when_host_instruction_expect_listed),
		cmocka_unit_test(refused_sets_when_decoded_expect_ud),
		cmocka_unit_test(name_when_any_op_expect_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
