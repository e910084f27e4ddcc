// SPDX-License-Identifier: GPL-2.0-or-later
/* Thunks: named cases. Run: make t T=engine/thunk */
#include "thunk_env.h"

#define RUN(mode, ...) \
	env_run((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), mode)
#define RUN64(...) RUN(X86_MODE_64, __VA_ARGS__)

static void set_xmm(unsigned n, uint64_t lo, uint64_t hi)
{
	st_le64(cpu->s.xsave + FX_XMM + 16 * n, lo);
	st_le64(cpu->s.xsave + FX_XMM + 16 * n + 8, hi);
	cpu->s.xsave[XS_BV] |= 2;
}

static uint64_t xmm_lo(unsigned n)
{
	return ld_le64(cpu->s.xsave + FX_XMM + 16 * n);
}

static uint64_t xmm_hi(unsigned n)
{
	return ld_le64(cpu->s.xsave + FX_XMM + 16 * n + 8);
}

static void paddq_registers_when_run_expect_sum(void **state)
{
	(void)state;
	env_reset();
	set_xmm(3, 5, 7);
	set_xmm(12, 100, 200);
	assert_int_equal(RUN64(0x66, 0x41, 0x0f, 0xd4, 0xdc), 0); /* paddq xmm3, xmm12 */
	assert_int_equal(xmm_lo(3), 105);
	assert_int_equal(xmm_hi(3), 207);
}

static void movdqa_load_store_when_misaligned_expect_gp(void **state)
{
	(void)state;
	env_reset();
	st_le64(arena + 0x20, 0x1122334455667788);
	st_le64(arena + 0x28, 42);
	cpu->s.gpr[R_RBX] = (uintptr_t)arena;
	assert_int_equal(RUN64(0x66, 0x0f, 0x6f, 0x4b, 0x20), 0); /* movdqa xmm1, [rbx + 0x20] */
	assert_int_equal(xmm_lo(1), 0x1122334455667788);
	assert_int_equal(RUN64(0x66, 0x0f, 0x7f, 0x4b, 0x50), 0);
	assert_int_equal(ld_le64(arena + 0x58), 42);
	assert_int_equal(RUN64(0x66, 0x0f, 0x6f, 0x4b, 0x21), 1 + VEC_GP);
	assert_int_equal(RUN64(0x66, 0x0f, 0x7f, 0x4b, 0x51), 1 + VEC_GP);
	/* and after a fault everything still works */
	assert_int_equal(RUN64(0x66, 0x0f, 0x6f, 0x53, 0x20), 0);
	assert_int_equal(xmm_hi(2), 42);
}

static void movdqu_across_pages_when_mapped_expect_data(void **state)
{
	(void)state;
	env_reset();
	for (unsigned i = 0; i < 16; i++)
		arena[4096 - 5 + i] = (uint8_t)(i + 1);
	cpu->s.gpr[R_R9] = (uintptr_t)arena + 4096 - 5;
	assert_int_equal(RUN64(0xf3, 0x41, 0x0f, 0x6f, 0x01), 0);
	assert_int_equal(xmm_lo(0), 0x0807060504030201);
	cpu->s.gpr[R_R9] += 4096;
	assert_int_equal(RUN64(0xf3, 0x41, 0x0f, 0x7f, 0x01), 0);
	assert_memory_equal(arena + 4096 - 5, arena + 8192 - 5, 16);
	cpu->s.gpr[R_R9] = (uintptr_t)arena + ARENA_BYTES - 5;
	assert_int_equal(RUN64(0xf3, 0x41, 0x0f, 0x7f, 0x01), 1 + VEC_PF);
	assert_int_equal(cpu->s.cr2, (uintptr_t)arena + ARENA_BYTES);
}

static void gpr_moves_when_run_expect_extension(void **state)
{
	(void)state;
	env_reset();
	set_xmm(8, 0xfedcba9876543210, 0);
	cpu->s.gpr[R_RSP] = ~0ull;
	assert_int_equal(RUN64(0x66, 0x44, 0x0f, 0x7e, 0xc4), 0); /* movd esp, xmm8 */
	assert_int_equal(cpu->s.gpr[R_RSP], 0x76543210);
	assert_int_equal(RUN64(0x66, 0x4d, 0x0f, 0x7e, 0xc5), 0); /* movq r13, xmm8 */
	assert_int_equal(cpu->s.gpr[R_R13], 0xfedcba9876543210);
	cpu->s.gpr[R_RDI] = 7;
	assert_int_equal(RUN64(0xf2, 0x48, 0x0f, 0x2a, 0xc7), 0); /* cvtsi2sd xmm0, rdi */
	assert_int_equal(xmm_lo(0), 0x401c000000000000);
	cpu->s.gpr[R_RBX] = 0x1234; /* BH = 12 */
	cpu->s.gpr[R_RAX] = 0xffffffff00000000;
	assert_int_equal(RUN64(0xf2, 0x0f, 0x38, 0xf0, 0xc7), 0); /* crc32 eax, bh */
	uint32_t crc = 0;

	__asm__("crc32b %1, %0" : "+r"(crc) : "q"((uint8_t)0x12));
	assert_int_equal(cpu->s.gpr[R_RAX], crc);
}

static void flags_when_written_expect_only_arithmetic_changed(void **state)
{
	(void)state;
	env_reset();
	cpu->s.rflags = FLAG_FIXED | FLAG_IF | FLAG_OF | FLAG_SF | FLAG_AF | FLAG_ID;
	set_xmm(0, 0x3ff0000000000000, 0);
	set_xmm(1, 0x4000000000000000, 0);
	assert_int_equal(RUN64(0x66, 0x0f, 0x2f, 0xc1), 0); /* comisd xmm0, xmm1: below */
	assert_int_equal(cpu->s.rflags, FLAG_FIXED | FLAG_IF | FLAG_ID | FLAG_CF);
	cpu->s.rflags = FLAG_FIXED | FLAG_OF | FLAG_CF;
	cpu->s.gpr[R_RAX] = ~0ull;
	cpu->s.gpr[R_RCX] = 0;
	assert_int_equal(RUN64(0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc1), 0); /* adcx rax, rcx */
	assert_int_equal(cpu->s.gpr[R_RAX], 0);
	assert_int_equal(cpu->s.rflags, FLAG_FIXED | FLAG_OF | FLAG_CF);
	assert_int_equal(RUN64(0xf3, 0x48, 0x0f, 0x38, 0xf6, 0xc1), 0); /* adox rax, rcx */
	assert_int_equal(cpu->s.gpr[R_RAX], 1);
	assert_int_equal(cpu->s.rflags, FLAG_FIXED | FLAG_CF);
}

static void mulx_when_one_destination_expect_high_half(void **state)
{
	(void)state;
	env_reset();
	cpu->s.gpr[R_RDX] = 1ull << 63;
	cpu->s.gpr[R_RBX] = 6;
	/* mulx rcx, rcx, rbx */
	assert_int_equal(RUN64(0xc4, 0xe2, 0xf3, 0xf6, 0xcb), 0);
	assert_int_equal(cpu->s.gpr[R_RCX], 3);
	/* mulx rsi, rdi, rbx */
	assert_int_equal(RUN64(0xc4, 0xe2, 0xc3, 0xf6, 0xf3), 0);
	assert_int_equal(cpu->s.gpr[R_RSI], 3);
	assert_int_equal(cpu->s.gpr[R_RDI], 0);
}

static void simd_exception_when_unmasked_expect_xm(void **state)
{
	(void)state;
	env_reset();
	st_le32(cpu->s.xsave + FX_MXCSR, 0x1f80 & ~0x200u); /* zero divide unmasked */
	set_xmm(0, 0x3ff0000000000000, 99);
	set_xmm(1, 0, 0);
	assert_int_equal(RUN64(0xf2, 0x0f, 0x5e, 0xc1), 1 + VEC_XM); /* divsd xmm0, xmm1 */
	assert_int_equal(xmm_lo(0), 0x3ff0000000000000);
	assert_int_equal(xmm_hi(0), 99);
	assert_int_equal(ld_le32(cpu->s.xsave + FX_MXCSR), (0x1f80 & ~0x200u) | 4);
	cpu->s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	assert_int_equal(RUN64(0xf2, 0x0f, 0x5e, 0xc1), 1 + VEC_UD);
}

static void x87_exception_when_ne_expect_mf_at_next_waiting(void **state)
{
	(void)state;
	env_reset();
	st_le16(cpu->s.xsave + FX_FCW, 0x37b); /* zero divide unmasked */
	cpu->s.xsave[XS_BV] |= 1;
	assert_int_equal(RUN64(0xd9, 0xe8), 0); /* fld1 */
	assert_int_equal(RUN64(0xd9, 0xee), 0); /* fldz */
	assert_int_equal(RUN64(0xde, 0xf9), 0); /* fdivp: pending now */
	assert_int_equal(RUN64(0xd9, 0xe8), 1 + VEC_MF);
	assert_int_equal(RUN64(0x9b), 1 + VEC_MF);
	assert_int_equal(RUN64(0xdf, 0xe0), 0); /* fnstsw ax */
	assert_int_equal(cpu->s.gpr[R_RAX] & 0x84, 0x84);
	cpu->s.cr0 &= ~(uint64_t)CR0_NE;
	assert_int_equal(RUN64(0x9b), 1 + 0xff); /* leaves the block, to wait for IRQ 13 */
	assert_int_equal(ferr_calls, 1);
	assert_true(ferr_level);
	assert_int_equal(RUN64(0xdb, 0xe2), 0); /* fnclex */
	assert_int_equal(ferr_calls, 2);
	assert_false(ferr_level);
	assert_int_equal(RUN64(0x9b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paddq_registers_when_run_expect_sum),
		cmocka_unit_test(movdqa_load_store_when_misaligned_expect_gp),
		cmocka_unit_test(movdqu_across_pages_when_mapped_expect_data),
		cmocka_unit_test(gpr_moves_when_run_expect_extension),
		cmocka_unit_test(flags_when_written_expect_only_arithmetic_changed),
		cmocka_unit_test(mulx_when_one_destination_expect_high_half),
		cmocka_unit_test(simd_exception_when_unmasked_expect_xm),
		cmocka_unit_test(x87_exception_when_ne_expect_mf_at_next_waiting),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
