// SPDX-License-Identifier: GPL-2.0-or-later
/* x87 pointers, environment formats, held-back stores. Run: make t T=engine/x87 */
#include "thunk_env.h"

/* fld qword [rbx]: FIP, FDP and FOP have values. */
static void load_something(void)
{
	cpu->s.gpr[R_RBX] = (uintptr_t)arena + 0x340;
	cpu->s.gpr[R_RDX] = (uintptr_t)arena + 0x800;
	st_le64(arena + 0x340, 0x4008000000000000);
	cpu->s.seg[SEG_CS].sel = 0x1234;
	cpu->s.seg[SEG_DS].sel = 0x0456;
	memset(arena + 0x800, 0xaa, 128);
	assert_int_equal(RUN32(0xdd, 0x03), 0);
}

static void fnstenv_when_protected_32bit_expect_guest_pointers(void **state)
{
	const uint8_t *e = arena + 0x800;

	(void)state;
	env_reset();
	env_legacy(true, false);
	load_something();
	assert_int_equal(RUN32(0xd9, 0x32), 0); /* fnstenv [edx] */
	assert_int_equal(ld_le16(e), 0x37f);
	assert_int_equal(ld_le16(e + 4), 7 << 11);
	assert_int_equal(ld_le16(e + 8), 0x3fff);
	assert_int_equal(ld_le32(e + 12), 0x401000);
	assert_int_equal(ld_le16(e + 16), 0x1234);
	assert_int_equal(ld_le16(e + 18), 0x503); /* dd 03 */
	assert_int_equal(ld_le32(e + 20), (uintptr_t)arena + 0x340);
	assert_int_equal(ld_le16(e + 24), 0x0456);
	assert_int_equal(e[28], 0xaa);
}

static void fnstenv_when_protected_16bit_expect_guest_pointers(void **state)
{
	const uint8_t *e = arena + 0x800;

	(void)state;
	env_reset();
	env_legacy(true, false);
	load_something();
	assert_int_equal(RUN32(0x66, 0xd9, 0x32), 0);
	assert_int_equal(ld_le16(e), 0x37f);
	assert_int_equal(ld_le16(e + 2), 7 << 11);
	assert_int_equal(ld_le16(e + 4), 0x3fff);
	assert_int_equal(ld_le16(e + 6), 0x1000);
	assert_int_equal(ld_le16(e + 8), 0x1234);
	assert_int_equal(ld_le16(e + 10), (uint16_t)((uintptr_t)arena + 0x340));
	assert_int_equal(ld_le16(e + 12), 0x0456);
	assert_int_equal(e[14], 0xaa);
}

/* The pointers are linear there: selector times 16 plus offset. */
static void fnstenv_when_real_mode_expect_linear_pointers(void **state)
{
	const uint8_t *e = arena + 0x800;
	uint32_t ip = 0x12340 + 0x401000, dp = 0x4560 + (uint32_t)(uintptr_t)arena + 0x340;

	(void)state;
	for (unsigned vm = 0; vm < 2; vm++) {
		env_reset();
		env_legacy(vm, vm);
		load_something();
		assert_int_equal(RUN32(0xd9, 0x32), 0);
		assert_int_equal(ld_le32(e + 12), ip & 0xffff);
		assert_int_equal(ld_le32(e + 16), (ip >> 16) << 12 | 0x503);
		assert_int_equal(ld_le32(e + 20), dp & 0xffff);
		assert_int_equal(ld_le32(e + 24), (dp >> 16) << 12);
		memset(arena + 0x800, 0xaa, 128);
		assert_int_equal(RUN32(0x66, 0xd9, 0x32), 0);
		assert_int_equal(ld_le16(e + 6), ip & 0xffff);
		assert_int_equal(ld_le16(e + 8), (uint16_t)((ip >> 16) << 12 | 0x503));
		assert_int_equal(ld_le16(e + 10), dp & 0xffff);
		assert_int_equal(ld_le16(e + 12), (uint16_t)((dp >> 16) << 12));
		assert_int_equal(e[14], 0xaa);
	}
}

/* FNSAVE and FRSTOR in each of the four formats bring everything back. */
static void frstor_when_after_fnsave_expect_same_state(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool real = i & 1, small = i & 2, vm = i & 4;
		uint8_t before[FX_XMM];

		env_reset();
		env_legacy(!real || vm, vm);
		load_something();
		assert_int_equal(RUN32(0xd9, 0xeb), 0); /* fldpi */
		assert_int_equal(RUN32(0xd9, 0x3a), 0); /* fnstcw [edx] */
		memcpy(before, cpu->s.xsave, sizeof(before));
		if (small)
			assert_int_equal(RUN32(0x66, 0xdd, 0x32), 0);
		else
			assert_int_equal(RUN32(0xdd, 0x32), 0); /* fnsave [edx] */
		assert_int_equal(ld_le16(cpu->s.xsave + FX_FSW), 0);
		assert_int_equal(cpu->s.xsave[FX_FTW], 0);
		assert_int_equal(ld_le64(cpu->s.xsave + FX_FIP), 0);
		if (small)
			assert_int_equal(RUN32(0x66, 0xdd, 0x22), 0);
		else
			assert_int_equal(RUN32(0xdd, 0x22), 0); /* frstor [edx] */
		assert_memory_equal(cpu->s.xsave, before, FX_FOP);
		assert_memory_equal(cpu->s.xsave + FX_ST, before + FX_ST, FX_XMM - FX_ST);
		if (!small && !real && !vm) {
			assert_memory_equal(cpu->s.xsave + FX_FOP, before + FX_FOP, 18);
			assert_int_equal(ld_le16(cpu->s.xsave + FX_FCS), 0x1234);
		}
	}
}

static void fnsave_when_page_missing_expect_nothing_changed(void **state)
{
	(void)state;
	env_reset();
	load_something();
	cpu->s.gpr[R_RDX] = (uintptr_t)arena + ARENA_BYTES - 100;
	assert_int_equal(RUN64(0xdd, 0x32), 1 + VEC_PF);
	assert_int_equal(cpu->s.xsave[FX_FTW], 0x80);
	assert_int_equal(ld_le16(cpu->s.xsave + FX_FOP), 0x503);
}

static void fstp_when_page_missing_expect_stack_kept(void **state)
{
	(void)state;
	env_reset();
	load_something();
	cpu->s.gpr[R_RDX] = (uintptr_t)arena + ARENA_BYTES - 4;
	assert_int_equal(RUN64(0xdb, 0x3a), 1 + VEC_PF); /* fstp tword [rdx] */
	assert_int_equal(cpu->s.xsave[FX_FTW], 0x80);
	assert_int_equal(ld_le64(cpu->s.xsave + FX_FDP), (uintptr_t)arena + 0x340);
}

/* An unmasked invalid operation holds the store back; an unmasked inexact one does not. */
static void fistp_when_exception_unmasked_across_pages_expect_store_held(void **state)
{
	uint8_t *at = arena + 4096 - 2;

	(void)state;
	env_reset();
	st_le64(arena + 0x340, 0x7ff8000000000000);
	cpu->s.gpr[R_RBX] = (uintptr_t)arena + 0x340;
	cpu->s.gpr[R_RDX] = (uintptr_t)at;
	set_fcw(0x37e);
	assert_int_equal(RUN64(0xdd, 0x03), 0);
	st_le32(at, 0x11223344);
	assert_int_equal(RUN64(0xdb, 0x1a), 0); /* fistp dword [rdx] */
	assert_int_equal(ld_le32(at), 0x11223344);
	assert_int_equal(RUN64(0x9b), 1 + VEC_MF);
	assert_int_equal(RUN64(0xdb, 0xe3), 0); /* fninit */
	set_fcw(0x35f);
	st_le64(arena + 0x340, 0x4004000000000000); /* 2.5 */
	assert_int_equal(RUN64(0xdd, 0x03), 0);
	assert_int_equal(RUN64(0xdb, 0x1a), 0);
	assert_int_equal(ld_le32(at), 2);
	assert_int_equal(RUN64(0x9b), 1 + VEC_MF);
}

static void pointers_when_exception_pending_expect_those_of_its_instruction(void **state)
{
	(void)state;
	env_reset();
	load_something();
	set_fcw(0x37b);
	assert_int_equal(RUN64(0xd9, 0xee), 0); /* fldz */
	assert_int_equal(RUN64(0xd8, 0xf9), 0); /* fdivr st0, st1: by zero */
	assert_int_equal(ld_le16(cpu->s.xsave + FX_FOP), 0x0f9);
	assert_int_equal(RUN64(0xd9, 0xc0), 1 + VEC_MF);
	assert_int_equal(ld_le16(cpu->s.xsave + FX_FOP), 0x0f9);
	/* and #MF comes before the page fault of the operand */
	cpu->s.gpr[R_RBX] = (uintptr_t)arena + ARENA_BYTES;
	assert_int_equal(RUN64(0xdd, 0x03), 1 + VEC_MF);
	assert_int_equal(RUN64(0x0f, 0xfc, 0x03), 1 + VEC_MF); /* paddb mm0, [rbx] */
	assert_int_equal(RUN64(0xdd, 0x3b), 1 + VEC_PF);       /* fnstsw [rbx] does not wait */
}

/* ---- Processors that keep FOP and FDP for errors, and no selectors ----------------------------- */

static void start_on_error(void)
{
	env_reset();
	env_legacy(true, false);
	engine.thunks->fop_on_error = engine.thunks->fdp_on_error = true;
	engine.thunks->no_selectors = true;
	st_le16(cpu->s.xsave + FX_FOP, 0x123);
	st_le64(cpu->s.xsave + FX_FDP, 0x55667788);
	cpu->s.xsave[XS_BV] |= 1;
	load_something();
}

static void fop_and_fdp_when_kept_for_errors_expect_them_unchanged_without_one(void **state)
{
	const uint8_t *e = arena + 0x800;

	(void)state;
	start_on_error();
	assert_int_equal(RUN32(0xd9, 0xee), 0); /* fldz */
	assert_int_equal(RUN32(0xd9, 0x32), 0); /* fnstenv [edx] */
	assert_int_equal(ld_le32(e + 12), 0x401000);
	assert_int_equal(ld_le32(e + 16), 0x123 << 16);
	assert_int_equal(ld_le32(e + 20), 0x55667788);
	assert_int_equal(ld_le16(e + 24), 0);
}

static void fop_and_fdp_when_kept_for_errors_expect_those_of_the_error(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg < 2; reg++) {
		start_on_error();
		set_fcw(0x37b);
		memset(arena + 0x340, 0, 8);
		assert_int_equal(RUN32(0xd9, 0xe8), 0); /* fld1 */
		if (reg) {
			assert_int_equal(RUN32(0xd9, 0xee), 0); /* fldz */
			assert_int_equal(RUN32(0xd8, 0xf9), 0); /* fdivr st0, st1 */
		} else {
			assert_int_equal(RUN32(0xdc, 0x33), 0); /* fdiv qword [ebx] */
		}
		assert_int_equal(ld_le16(cpu->s.xsave + FX_FOP), reg ? 0x0f9 : 0x433);
		assert_int_equal(ld_le64(cpu->s.xsave + FX_FDP),
				 reg ? 0x55667788 : (uintptr_t)arena + 0x340);
		assert_int_equal(RUN32(0xdb, 0xe2), 0); /* fnclex */
		assert_int_equal(RUN32(0xd9, 0xd0), 0); /* fnop */
		assert_int_equal(ld_le16(cpu->s.xsave + FX_FOP), reg ? 0x0f9 : 0x433);
	}
}

/* FLDCW that unmasks what was raised before is no error of an instruction. */
static void fop_when_fldcw_unmasks_expect_it_unchanged(void **state)
{
	(void)state;
	start_on_error();
	memset(arena + 0x340, 0, 8);
	assert_int_equal(RUN32(0xdc, 0x33), 0); /* fdiv qword [ebx] */
	st_le16(arena + 0x340, 0x37b);
	assert_int_equal(RUN32(0xd9, 0x2b), 0); /* fldcw [ebx] */
	assert_true(ld_le16(cpu->s.xsave + FX_FSW) & FSW_ES);
	assert_int_equal(ld_le16(cpu->s.xsave + FX_FOP), 0x123);
	assert_int_equal(ld_le64(cpu->s.xsave + FX_FDP), 0x55667788);
}

/* ---- MMX stores that fault ---------------------------------------------------------------------- */

static void mmx_store_when_page_missing_expect_top_as_the_processor_leaves_it(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		env_reset();
		engine.thunks->mmx_top_first = first;
		load_something();
		cpu->s.gpr[R_RDX] = (uintptr_t)arena + ARENA_BYTES - 4;
		assert_int_equal(RUN64(0x0f, 0x6f, 0x3a), 1 + VEC_PF); /* movq mm7, [rdx] */
		assert_int_equal(ld_le16(cpu->s.xsave + FX_FSW), 7 << 11);
		assert_int_equal(RUN64(0x0f, 0x7f, 0x3a), 1 + VEC_PF); /* movq [rdx], mm7 */
		assert_int_equal(ld_le16(cpu->s.xsave + FX_FSW), first ? 0 : 7 << 11);
		assert_int_equal(cpu->s.xsave[FX_FTW], 0x80);
	}
}

/* But for start_on_error() the processor keeps all pointers, whatever this one does. */
static int keep_all(void **state)
{
	if (env_setup(state) < 0)
		return -1;
	engine.thunks->fop_on_error = engine.thunks->fdp_on_error = false;
	engine.thunks->no_selectors = false;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fnstenv_when_protected_32bit_expect_guest_pointers),
		cmocka_unit_test(fnstenv_when_protected_16bit_expect_guest_pointers),
		cmocka_unit_test(fnstenv_when_real_mode_expect_linear_pointers),
		cmocka_unit_test(frstor_when_after_fnsave_expect_same_state),
		cmocka_unit_test(fnsave_when_page_missing_expect_nothing_changed),
		cmocka_unit_test(fstp_when_page_missing_expect_stack_kept),
		cmocka_unit_test(fistp_when_exception_unmasked_across_pages_expect_store_held),
		cmocka_unit_test(pointers_when_exception_pending_expect_those_of_its_instruction),
		cmocka_unit_test(mmx_store_when_page_missing_expect_top_as_the_processor_leaves_it),
		cmocka_unit_test(
			fop_and_fdp_when_kept_for_errors_expect_them_unchanged_without_one),
		cmocka_unit_test(fop_and_fdp_when_kept_for_errors_expect_those_of_the_error),
		cmocka_unit_test(fop_when_fldcw_unmasks_expect_it_unchanged),
	};

	return cmocka_run_group_tests(tests, keep_all, env_teardown);
}
