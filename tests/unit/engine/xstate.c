// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR and STMXCSR: what random comparison with the CPU
 * (thunk_direct.c) cannot reach. Run: make t T=engine/xstate
 */
#include "thunk_env.h"

#define AREA (arena + 0x1000)
#define RCX_AREA() (cpu->s.gpr[R_RCX] = (uintptr_t)AREA)

#define FXSAVE 0x0f, 0xae, 0x01
#define FXRSTOR 0x0f, 0xae, 0x09
#define XSAVE 0x0f, 0xae, 0x21
#define XRSTOR 0x0f, 0xae, 0x29
#define XSAVEOPT 0x0f, 0xae, 0x31
#define XSAVEC 0x0f, 0xc7, 0x21
#define XSAVES 0x0f, 0xc7, 0x29
#define XRSTORS 0x0f, 0xc7, 0x19
#define LDMXCSR 0x0f, 0xae, 0x11
#define STMXCSR 0x0f, 0xae, 0x19

static void start(void)
{
	env_reset();
	memset(arena, 0xaa, ARENA_BYTES);
	RCX_AREA();
	cpu->s.gpr[R_RAX] = 7;
	for (unsigned i = 0; i < 16; i++) {
		set_xmm(i, 0x1000 + i, 0x2000 + i);
		set_ymm_hi(i, 0x3000 + i, 0x4000 + i);
	}
	set_fcw(0x33f);
	st_le32(cpu->s.xsave + FX_MXCSR, 0x1fa0);
}

static void forget(void)
{
	memset(cpu->s.xsave, 0, sizeof(cpu->s.xsave));
	st_le16(cpu->s.xsave, 0x37f);
	st_le32(cpu->s.xsave + FX_MXCSR, 0x1f80);
}

static void xrstor_when_after_each_save_expect_state_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		start();
		memset(AREA + XS_BV, 0, 64);
		assert_int_equal(i == 0	  ? RUN64(XSAVE)
				 : i == 1 ? RUN64(XSAVEOPT)
				 : i == 2 ? RUN64(XSAVEC)
					  : RUN64(XSAVES),
				 0);
		assert_int_equal(ld_le64(AREA + XS_BV), 7);
		assert_int_equal(ld_le64(AREA + XS_COMP), i < 2 ? 0 : 1ull << 63 | 7);
		forget();
		assert_int_equal(i == 3 ? RUN64(XRSTORS) : RUN64(XRSTOR), 0);
		assert_int_equal(xmm_hi(15), 0x200f);
		assert_int_equal(ymm_hi_lo(9), 0x3009);
		assert_int_equal(ld_le16(cpu->s.xsave), 0x33f);
		assert_int_equal(ld_le32(cpu->s.xsave + FX_MXCSR), 0x1fa0);
	}
}

static void xsave_family_when_switched_off_or_misaligned_expect_exception(void **state)
{
	(void)state;
	start();
	cpu->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
	cpu->s.cr0 |= CR0_TS;
	assert_int_equal(RUN64(XSAVE), 1 + VEC_UD);
	assert_int_equal(RUN64(XRSTOR), 1 + VEC_UD);
	assert_int_equal(RUN64(FXSAVE), 1 + VEC_NM);
	cpu->s.cr4 |= CR4_OSXSAVE;
	assert_int_equal(RUN64(XSAVEC), 1 + VEC_NM);
	cpu->s.cr0 = (cpu->s.cr0 & ~(uint64_t)CR0_TS) | CR0_EM;
	assert_int_equal(RUN64(FXRSTOR), 1 + VEC_NM);
	assert_int_equal(RUN64(STMXCSR), 1 + VEC_UD);
	cpu->s.cr0 &= ~(uint64_t)CR0_EM;
	cpu->s.gpr[R_RCX] += 16;
	assert_int_equal(RUN64(XSAVE), 1 + VEC_GP);
	assert_int_equal(RUN64(FXSAVE), 0);
	cpu->s.gpr[R_RCX] += 8;
	assert_int_equal(RUN64(FXSAVE), 1 + VEC_GP);
	assert_int_equal(RUN64(FXRSTOR), 1 + VEC_GP);
	cpu->s.cr4 &= ~(uint64_t)CR4_OSFXSR;
	assert_int_equal(RUN64(LDMXCSR), 1 + VEC_UD);
}

static void xrstor_when_header_bad_expect_gp_and_nothing_changed(void **state)
{
	static const struct {
		unsigned at;
		uint64_t val;
		bool ok;
	} row[] = {
		{XS_BV, 8, false},   /* a component XCR0 does not have */
		{XS_COMP, 1, false}, /* standard form with something in 8..23 */
		{XS_COMP + 8, 1, false},
		{XS_COMP + 16, 1, true}, /* beyond that only the compacted form looks */
		{XS_COMP, 1ull << 63 | 7, true},
		{XS_COMP, 1ull << 63 | 3, false},  /* BV is not within it */
		{XS_COMP, 1ull << 63 | 15, false}, /* nor is that in XCR0 */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		start();
		memset(AREA + XS_BV, 0, 64);
		assert_int_equal(RUN64(XSAVE), 0);
		set_xmm(3, 99, 99);
		st_le64(AREA + row[i].at, row[i].val);
		assert_int_equal(RUN64(XRSTOR), row[i].ok ? 0 : 1 + VEC_GP);
		assert_int_equal(xmm_lo(3), row[i].ok ? 0x1003 : 99);
	}
	start();
	memset(AREA + XS_BV, 0, 64);
	assert_int_equal(RUN64(XSAVE), 0);
	assert_int_equal(RUN64(XRSTORS), 1 + VEC_GP); /* wants the compacted form */
	assert_int_equal(RUN64(XSAVES), 0);
	st_le64(AREA + XS_COMP + 16, 1);
	assert_int_equal(RUN64(XRSTOR), 1 + VEC_GP);
	cpu->s.seg[SEG_SS].attr |= 3 << SEG_ATTR_DPL_SHIFT;
	assert_int_equal(RUN64(XSAVES), 1 + VEC_GP);
	assert_int_equal(RUN64(XRSTORS), 1 + VEC_GP);
}

static void xrstor_when_component_absent_expect_initial_state(void **state)
{
	(void)state;
	start();
	memset(AREA, 0, 1024);
	st_le64(AREA + XS_BV, 1);
	st_le16(AREA, 0x27f);
	st_le32(AREA + FX_MXCSR, 0x1f00);
	cpu->s.gpr[R_RAX] = 3;
	assert_int_equal(RUN64(XRSTOR), 0);
	assert_int_equal(ld_le16(cpu->s.xsave), 0x27f);
	assert_int_equal(ld_le32(cpu->s.xsave + FX_MXCSR), 0x1f00); /* from memory all the same */
	RUN64(0x0f, 0x57, 0xdb); /* xorps xmm3, xmm3: enters and leaves */
	assert_int_equal(xmm_lo(7), 0);
	assert_int_equal(ymm_hi_lo(7), 0x3007);
	cpu->s.gpr[R_RAX] = 4;
	assert_int_equal(RUN64(XRSTOR), 0);
	RUN64(0x0f, 0x57, 0xdb);
	assert_int_equal(ymm_hi_lo(7), 0);
}

static void saves_when_last_page_missing_expect_page_fault_first(void **state)
{
	(void)state;
	start();
	cpu->s.gpr[R_RCX] = (uintptr_t)arena + ARENA_BYTES - 512;
	assert_int_equal(RUN64(XSAVE), 1 + VEC_PF);
	assert_int_equal(arena[ARENA_BYTES - 512], 0xaa);
	assert_int_equal(RUN64(FXSAVE), 0);
	cpu->s.gpr[R_RCX] = (uintptr_t)arena + ARENA_BYTES - 576;
	memset(arena + ARENA_BYTES - 576, 0, 576);
	st_le64(arena + ARENA_BYTES - 576 + XS_BV, 7);
	assert_int_equal(RUN64(XRSTOR), 1 + VEC_PF);
	assert_int_equal(xmm_lo(3), 0x1003);
	cpu->s.gpr[R_RAX] = 3; /* without AVX it fits */
	assert_int_equal(RUN64(XRSTOR), 0);
	assert_int_equal(xmm_lo(3), 0);
}

static void fxsave_when_not_64bit_expect_eight_registers(void **state)
{
	(void)state;
	start();
	assert_int_equal(RUN32(FXSAVE), 0);
	env_legacy(true, false);
	memset(AREA, 0xaa, 512);
	assert_int_equal(RUN32(FXSAVE), 0);
	assert_int_equal(ld_le64(AREA + FX_XMM + 7 * 16), 0x1007);
	assert_int_equal(AREA[FX_XMM + 8 * 16], 0xaa);
	memset(AREA + FX_XMM, 0, 256);
	assert_int_equal(RUN32(FXRSTOR), 0);
	assert_int_equal(xmm_lo(7), 0);
	assert_int_equal(xmm_lo(8), 0x1008);
}

static void fxsave_when_ffxsr_expect_no_xmm_at_cpl0(void **state)
{
	(void)state;
	start();
	cpu->s.efer |= EFER_FFXSR;
	assert_int_equal(RUN64(FXSAVE), 0);
	assert_int_equal(ld_le32(AREA + FX_MXCSR), 0x1fa0);
	assert_int_equal(AREA[FX_XMM], 0xaa);
	st_le64(AREA + FX_XMM, 5);
	assert_int_equal(RUN64(FXRSTOR), 0);
	assert_int_equal(xmm_lo(0), 0x1000);
	cpu->s.seg[SEG_SS].attr |= 3 << SEG_ATTR_DPL_SHIFT;
	assert_int_equal(RUN64(FXSAVE), 0);
	assert_int_equal(ld_le64(AREA + FX_XMM), 0x1000);
}

static void fxrstor_when_osfxsr_clear_expect_sse_untouched(void **state)
{
	(void)state;
	start();
	memset(AREA, 0, 512);
	st_le32(AREA + FX_MXCSR, ~0u);
	assert_int_equal(RUN64(FXRSTOR), 1 + VEC_GP);
	cpu->s.cr4 &= ~(uint64_t)CR4_OSFXSR;
	assert_int_equal(RUN64(FXRSTOR), 0);
	assert_int_equal(xmm_lo(3), 0x1003);
	assert_int_equal(ld_le32(cpu->s.xsave + FX_MXCSR), 0x1fa0);
	assert_int_equal(ld_le16(cpu->s.xsave), 0x40 & ld_le16(cpu->s.xsave));
}

static void ldmxcsr_when_reserved_bits_expect_gp(void **state)
{
	(void)state;
	start();
	st_le32(AREA, 0x10001f80);
	assert_int_equal(RUN64(LDMXCSR), 1 + VEC_GP);
	st_le32(AREA, 0x5f80);
	assert_int_equal(RUN64(LDMXCSR), 0);
	st_le32(AREA, 0);
	assert_int_equal(RUN64(STMXCSR), 0);
	assert_int_equal(ld_le32(AREA), 0x5f80);
	assert_int_equal(RUN64(0xc5, 0xf8, 0xae, 0x19), 0); /* vstmxcsr */
	cpu->s.xcr0 = 3;
	assert_int_equal(RUN64(0xc5, 0xf8, 0xae, 0x19), 1 + VEC_UD);
}

static void fpu_enter_when_image_is_hostile_expect_no_host_fault(void **state)
{
	(void)state;
	env_reset();
	memset(cpu->s.xsave, 0xff, sizeof(cpu->s.xsave));
	assert_int_equal(RUN64(0x0f, 0x57, 0xdb), 0);
	assert_int_equal(xmm_lo(3), 0);
	assert_int_equal(xmm_lo(4), ~0ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xrstor_when_after_each_save_expect_state_back),
		cmocka_unit_test(xsave_family_when_switched_off_or_misaligned_expect_exception),
		cmocka_unit_test(xrstor_when_header_bad_expect_gp_and_nothing_changed),
		cmocka_unit_test(xrstor_when_component_absent_expect_initial_state),
		cmocka_unit_test(saves_when_last_page_missing_expect_page_fault_first),
		cmocka_unit_test(fxsave_when_not_64bit_expect_eight_registers),
		cmocka_unit_test(fxsave_when_ffxsr_expect_no_xmm_at_cpl0),
		cmocka_unit_test(fxrstor_when_osfxsr_clear_expect_sse_untouched),
		cmocka_unit_test(ldmxcsr_when_reserved_bits_expect_gp),
		cmocka_unit_test(fpu_enter_when_image_is_hostile_expect_no_host_fault),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
