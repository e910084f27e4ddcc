// SPDX-License-Identifier: GPL-2.0-or-later
/* Thunks: named cases. Run: make t T=engine/thunk */
#include "thunk_env.h"

#include <signal.h>

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

static void gather_when_element_faults_expect_those_before_done(void **state)
{
	(void)state;
	env_reset();
	for (unsigned i = 0; i < 4; i++)
		st_le32(arena + 4 * i, 100 + i);
	cpu->s.gpr[R_RAX] = (uintptr_t)arena;
	set_xmm(2, 0x0000000100000003, ((uint64_t)ARENA_BYTES / 4) << 32 | 2); /* 3, 1, 2, beyond */
	set_xmm(1, ~0ull, ~0ull);
	set_xmm(0, 7, 7);
	set_ymm_hi(0, 9, 9);
	/* vpgatherdd xmm0, [rax + xmm2 * 4], xmm1 */
	assert_int_equal(RUN64(0xc4, 0xe2, 0x71, 0x90, 0x04, 0x90), 1 + VEC_PF);
	assert_int_equal(cpu->s.cr2, (uintptr_t)arena + ARENA_BYTES);
	assert_int_equal(xmm_lo(0), 101ull << 32 | 103);
	assert_int_equal(xmm_hi(0), 102);
	assert_int_equal(xmm_lo(1), 0);
	assert_int_equal(xmm_hi(1), 0xffffffff00000000);
	/* the last element masked off: completes, and clears everything else */
	set_xmm(1, 0, 0x7fffffff00000000);
	assert_int_equal(RUN64(0xc4, 0xe2, 0x71, 0x90, 0x04, 0x90), 0);
	assert_int_equal(xmm_hi(1), 0);
	assert_int_equal(ymm_hi_lo(0), 0);
	assert_int_equal(xmm_hi(0), 102);
}

static void maskmov_when_masked_off_element_unmapped_expect_no_fault(void **state)
{
	(void)state;
	env_reset();
	st_le64(arena + ARENA_BYTES - 8, 0x1122334455667788);
	cpu->s.gpr[R_RAX] = (uintptr_t)arena + ARENA_BYTES - 8;
	set_xmm(1, ~0ull, 0x7fffffff7fffffff);
	set_xmm(0, 5, 5);
	/* vmaskmovps xmm0, xmm1, [rax] */
	assert_int_equal(RUN64(0xc4, 0xe2, 0x71, 0x2c, 0x00), 0);
	assert_int_equal(xmm_lo(0), 0x1122334455667788);
	assert_int_equal(xmm_hi(0), 0);
	set_xmm(0, 77, 88);
	/* vmaskmovps [rax], xmm1, xmm0 */
	assert_int_equal(RUN64(0xc4, 0xe2, 0x71, 0x2e, 0x00), 0);
	assert_int_equal(ld_le64(arena + ARENA_BYTES - 8), 77);
	set_xmm(1, ~0ull, 1ull << 31);
	assert_int_equal(RUN64(0xc4, 0xe2, 0x71, 0x2e, 0x00), 1 + VEC_PF);
	assert_int_equal(RUN64(0xc4, 0xe2, 0x71, 0x2c, 0x00), 1 + VEC_PF);
}

static void every_class_when_switched_off_expect_its_exception(void **state)
{
	static const struct {
		uint64_t cr0, cr4, xcr0; /* cr4: cleared bits */
		int x87, wait, mmx, sse, avx, bmi;
	} row[] = {
		{CR0_TS, 0, 7, VEC_NM, -1, VEC_NM, VEC_NM, VEC_NM, -1},
		{CR0_TS | CR0_MP, 0, 7, VEC_NM, VEC_NM, VEC_NM, VEC_NM, VEC_NM, -1},
		{CR0_EM, 0, 7, VEC_NM, -1, VEC_UD, VEC_UD, -1, -1},
		{CR0_EM | CR0_TS, 0, 7, VEC_NM, -1, VEC_UD, VEC_UD, VEC_NM, -1},
		{0, CR4_OSFXSR, 7, -1, -1, -1, VEC_UD, -1, -1},
		{0, CR4_OSXSAVE, 7, -1, -1, -1, -1, VEC_UD, -1},
		{CR0_TS, CR4_OSXSAVE, 7, VEC_NM, -1, VEC_NM, VEC_NM, VEC_UD, -1},
		{0, 0, 3, -1, -1, -1, -1, VEC_UD, -1},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		env_reset();
		cpu->s.cr0 = (cpu->s.cr0 & ~(uint64_t)CR0_MP) | row[i].cr0;
		cpu->s.cr4 &= ~row[i].cr4;
		cpu->s.xcr0 = row[i].xcr0;
		cpu->mode |= SOFT_MODE_NOFPU;
		assert_int_equal(RUN64(0xd9, 0xe8), 1 + row[i].x87);
		assert_int_equal(RUN64(0xd9, 0x38), 1 + (row[i].x87 < 0 ? VEC_PF : row[i].x87));
		assert_int_equal(RUN64(0x9b), 1 + row[i].wait);
		assert_int_equal(RUN64(0x0f, 0xfc, 0xc1), 1 + row[i].mmx);
		assert_int_equal(RUN64(0x66, 0x0f, 0xfc, 0xc1), 1 + row[i].sse);
		assert_int_equal(RUN64(0x0f, 0x2d, 0xc1), 1 + row[i].sse); /* cvtps2pi */
		assert_int_equal(RUN64(0xc5, 0xf8, 0x58, 0xc1), 1 + row[i].avx);
		assert_int_equal(RUN64(0xc4, 0xe2, 0x70, 0xf2, 0xc2), 1 + row[i].bmi); /* andn */
	}
}

static void thunks_when_cache_full_expect_same_results(void **state)
{
	uint32_t used = engine.thunks->used;

	(void)state;
	env_reset();
	engine.thunks->used = THUNK_CACHE_BYTES;
	for (unsigned i = 0; i < 200; i++) {
		set_xmm(5, i, ~0ull);
		set_xmm(6, 1000, 1);
		assert_int_equal(RUN64(0x66, 0x0f, 0xd4, 0xee), 0); /* paddq xmm5, xmm6 */
		assert_int_equal(xmm_lo(5), 1000 + i);
		assert_int_equal(xmm_hi(5), 0);
		assert_int_equal(RUN64(0x66, 0x0f, 0x73, 0xf5, i), 0); /* psllq xmm5, i */
		assert_int_equal(xmm_lo(5), i < 64 ? (1000ull + i) << i : 0);
	}
	cpu->s.gpr[R_RBX] = (uintptr_t)arena + 4096 - 3;
	assert_int_equal(RUN64(0xf3, 0x44, 0x0f, 0x7f, 0x2b), 0); /* movdqu [rbx], xmm13 */
	assert_int_equal(ld_le64(arena + 4096 - 3), 0);
	st_le32(cpu->s.xsave + FX_MXCSR, 0x1f80 & ~0x200u);
	assert_int_equal(RUN64(0xf2, 0x41, 0x0f, 0x5e, 0xf5), 1 + VEC_XM); /* divsd xmm6, xmm13 */
	engine.thunks->used = used;
}

static void vex_when_real_or_virtual_mode_expect_refused(void **state)
{
	(void)state;
	env_reset();
	env_legacy(true, false);
	assert_int_equal(RUN32(0xc5, 0xf8, 0x58, 0xc1), 0);
	env_legacy(true, true);
	assert_int_equal(RUN32(0xc5, 0xf8, 0x58, 0xc1), -1);
	assert_int_equal(RUN32(0xc4, 0xe2, 0x70, 0xf2, 0xc2), -1);
	assert_int_equal(RUN32(0x0f, 0x58, 0xc1), 0);
	env_reset();
	env_legacy(false, false);
	assert_int_equal(RUN32(0xc5, 0xf8, 0x58, 0xc1), -1);
}

static void features_when_cpu_model_lacks_them_expect_refused(void **state)
{
	static struct x86_cpuid none;

	(void)state;
	env_reset();
	engine.cfg.cpuid = &none;
	assert_int_equal(RUN64(0xf3, 0x0f, 0xb8, 0xc1), -1); /* popcnt */
	assert_int_equal(RUN64(0x66, 0x0f, 0xfc, 0xc1), -1); /* paddb */
	engine.cfg.cpuid = NULL;
}

static void operand_size_when_16bit_code_expect_inverted_prefix(void **state)
{
	(void)state;
	env_reset();
	env_legacy(true, false);
	cpu->mode &= ~SOFT_MODE_CS32;
	cpu->s.gpr[R_RCX] = 0xffff00ff;
	cpu->s.gpr[R_RAX] = 0x12345678;
	assert_int_equal(RUN16(0xf3, 0x0f, 0xb8, 0xc1), 0); /* popcnt ax, cx */
	assert_int_equal(cpu->s.gpr[R_RAX], 0x12340008);
	assert_int_equal(RUN16(0x66, 0xf3, 0x0f, 0xb8, 0xc1), 0); /* popcnt eax, ecx */
	assert_int_equal(cpu->s.gpr[R_RAX], 24);
	/* W means nothing to BMI outside 64-bit mode: shrx eax, ecx, edx with W = 1 */
	cpu->s.gpr[R_RDX] = 36;
	assert_int_equal(RUN32(0xc4, 0xe2, 0xeb, 0xf7, 0xc1), 0);
	assert_int_equal(cpu->s.gpr[R_RAX], 0xffff00ff >> 4);
}

static int passed_on;

static void earlier_handler(int sig, siginfo_t *si, void *ctx)
{
	(void)si;
	(void)ctx;
	passed_on = sig;
}

static void signal_when_not_from_thunk_expect_earlier_handler(void **state)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO}, old;

	(void)state;
	sa.sa_sigaction = earlier_handler;
	assert_int_equal(sigaction(SIGBUS, &sa, &old), 0);
	assert_int_equal(soft_signals_init(NULL), 0);
	raise(SIGBUS);
	assert_int_equal(passed_on, SIGBUS);
	sigaction(SIGBUS, &old, NULL);
}

static void decoded_bytes_when_random_expect_thunks_within_bounds(void **state)
{
	uint8_t code[THUNK_MAX_BYTES + 64], bytes[16];
	uint64_t r = 1;

	(void)state;
	for (unsigned n = 0; n < 300000; n++) {
		struct x86_insn insn;
		uint64_t key;

		for (unsigned i = 0; i < sizeof(bytes); i++) {
			r = r * 6364136223846793005ull + 1442695040888963407ull;
			bytes[i] = (uint8_t)(r >> 56);
		}
		if (n & 1)
			bytes[0] = 0xc4 + (n >> 1 & 1);
		else if (n & 2)
			bytes[0] = 0x0f;
		if (x86_decode(&insn, bytes, 15, (enum x86_mode)(n % 3)) <= 0)
			continue;
		key = thunk_key(&insn);
		if (!key || !(insn.flags & X86_IF_HOST))
			continue;
		memset(code, 0xcc, sizeof(code));
		assert_in_range(thunk_emit(key | (uint64_t)(n & 1) << TK_CHAIN, code), 2,
				THUNK_MAX_BYTES);
		assert_int_equal(code[THUNK_MAX_BYTES], 0xcc);
	}
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
		cmocka_unit_test(gather_when_element_faults_expect_those_before_done),
		cmocka_unit_test(maskmov_when_masked_off_element_unmapped_expect_no_fault),
		cmocka_unit_test(every_class_when_switched_off_expect_its_exception),
		cmocka_unit_test(thunks_when_cache_full_expect_same_results),
		cmocka_unit_test(vex_when_real_or_virtual_mode_expect_refused),
		cmocka_unit_test(features_when_cpu_model_lacks_them_expect_refused),
		cmocka_unit_test(operand_size_when_16bit_code_expect_inverted_prefix),
		cmocka_unit_test(signal_when_not_from_thunk_expect_earlier_handler),
		cmocka_unit_test(decoded_bytes_when_random_expect_thunks_within_bounds),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
