// SPDX-License-Identifier: GPL-2.0-or-later
/* Where AMD and Intel differ, each as itself. Run: make t T=engine/sys_vendor */
#include "sys_env.h"

#include "x86/msr.h"

static void as_amd(bool amd)
{
	env_cpuid.amd = amd;
}

static void syscall_env(void)
{
	S->star = (uint64_t)S_CODE64 << 32 | (uint64_t)(S_SYSCALL | 3) << 48;
	S->lstar = A_CODE2;
	S->cstar = A_CODE2 + 8;
	memset(R + A_CODE2, 0xf4, 16);
}

static void syscall_when_compat_mode(void **state)
{
	(void)state;
	as_amd(true);
	env_long(3);
	syscall_env();
	S->seg[SEG_CS] = seg_of(S_CODE3);
	env_code(0x0f, 0x05);
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 9);
	assert_int_equal(S->gpr[R_RCX], A_CODE + 2);
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE64);
	as_amd(false);
	env_long(3);
	syscall_env();
	S->seg[SEG_CS] = seg_of(S_CODE3);
	env_code(0x0f, 0x05);
	assert_int_equal(env_run(), VEC_UD);
}

static void syscall_when_legacy_mode(void **state)
{
	(void)state;
	as_amd(true);
	env_pm(3);
	S->efer = EFER_SCE;
	S->star = A_CODE2 | (uint64_t)S_CODE0 << 32;
	S->rflags |= FLAG_IF;
	R[A_CODE2] = 0xf4;
	env_code(0x0f, 0x05);
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_int_equal(S->gpr[R_RCX], A_CODE + 2);
	assert_int_equal(S->seg[SEG_SS].sel, S_CODE0 + 8);
	assert_int_equal(S->rflags & FLAG_IF, 0);
	as_amd(false);
	env_pm(3);
	S->efer = EFER_SCE;
	env_code(0x0f, 0x05);
	assert_int_equal(env_run(), VEC_UD);
}

static void sysret_when_rcx_noncanonical(void **state)
{
	(void)state;
	for (int amd = 0; amd < 2; amd++) {
		as_amd(amd);
		env_long(0);
		syscall_env();
		S->gpr[R_RCX] = 1ull << 47;
		env_code(0x48, 0x0f, 0x07);
		expect_fault(VEC_GP, 0);
		assert_int_equal(slot64(2) & 3, amd ? 3 : 0);
		assert_int_equal(slot64(1), amd ? 1ull << 47 : A_CODE);
	}
}

static void sysret_when_32_bit_operand_goes_to_compat(void **state)
{
	(void)state;
	for (int amd = 0; amd < 2; amd++) {
		as_amd(amd);
		env_long(0);
		syscall_env();
		S->gpr[R_RCX] = 0xffffffff00000000ull + A_CODE2;
		S->gpr[R_R11] = FLAG_CF;
		R[A_CODE2] = 0xcd;
		R[A_CODE2 + 1] = 0x80;
		env_code(0x0f, 0x07);
		assert_int_equal(env_run(), 0x80);
		assert_int_equal(slot64(0), A_CODE2 + 2);
		assert_int_equal(slot64(1), S_SYSCALL | 3);
		assert_int_equal(slot64(2), FLAG_CF | 2);
	}
}

static void sysenter_when_long_mode(void **state)
{
	(void)state;
	as_amd(true);
	env_long(3);
	S->sysenter_cs = S_CODE64;
	env_code(0x0f, 0x34);
	assert_int_equal(env_run(), VEC_UD);
	env_long(0);
	S->sysenter_cs = S_CODE64;
	env_code(0x0f, 0x35);
	assert_int_equal(env_run(), VEC_UD);
	as_amd(false);
	env_long(3);
	S->sysenter_cs = S_CODE64;
	S->sysenter_eip = A_CODE2;
	S->sysenter_esp = A_STACK1;
	R[A_CODE2] = 0xf4;
	env_code(0x0f, 0x34);
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_int_equal(S->gpr[R_RSP], A_STACK1);
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE64);
	assert_true(S->seg[SEG_CS].attr & SEG_ATTR_L);
}

static void sysexit_when_64_bit_operand(void **state)
{
	(void)state;
	as_amd(false);
	env_long(0);
	S->sysenter_cs = S_CODE64;
	S->gpr[R_RDX] = A_CODE2;
	S->gpr[R_RCX] = A_STACK3;
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0x48, 0x0f, 0x35);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot64(1), (S_CODE64 + 32) | 3);
	assert_int_equal(slot64(4), (S_CODE64 + 40) | 3);
	env_long(0);
	S->sysenter_cs = S_CODE64;
	S->gpr[R_RDX] = 1ull << 47;
	env_code(0x48, 0x0f, 0x35);
	expect_fault(VEC_GP, 0);
}

/* REX.W and far pointers: a 64-bit offset for Intel, 32 bits for AMD (as its processors do). */
static void far_pointer_when_rex_w(void **state)
{
	(void)state;
	for (int amd = 0; amd < 2; amd++) {
		as_amd(amd);
		env_long(0);
		S->gpr[R_RBX] = A_DATA;
		st_le64(R + A_DATA, A_CODE2);
		st_le16(R + A_DATA + (amd ? 4 : 8), S_CODE64);
		R[A_CODE2] = 0xf4;
		env_code(0x48, 0xff, 0x2b); /* REX.W JMP FAR [RBX] */
		expect_done();
		assert_int_equal(S->rip, A_CODE2 + 1);
		env_long(0);
		S->gpr[R_RBX] = A_DATA;
		st_le64(R + A_DATA, amd ? 0x12345678 | (uint64_t)S_DATA0 << 32 : 0x123456789a);
		st_le16(R + A_DATA + 8, S_DATA0);
		env_code(0x48, 0x0f, 0xb4, 0x03); /* REX.W LFS RAX,[RBX] */
		expect_done();
		assert_int_equal(S->gpr[R_RAX], amd ? 0x12345678 : 0x123456789a);
		assert_int_equal(S->seg[SEG_FS].sel, S_DATA0);
	}
}

static void msr_when_other_vendor_is_gp(void **state)
{
	static const uint32_t amd_only[] = {MSR_K7_HWCR, MSR_DE_CFG, MSR_VM_CR, MSR_K8_TOP_MEM,
					    MSR_PSTATE_STATUS};
	static const uint32_t intel_only[] = {MSR_FEATURE_CONTROL, MSR_PLATFORM_INFO,
					      MSR_PLATFORM_ID};

	(void)state;
	for (int amd = 0; amd < 2; amd++) {
		as_amd(amd);
		for (unsigned i = 0; i < 5 + 3; i++) {
			bool mine = (i < 5) == amd;

			env_long(0);
			S->gpr[R_RCX] = i < 5 ? amd_only[i] : intel_only[i - 5];
			env_code(0x0f, 0x32);
			assert_int_equal(env_run(), mine ? -1 : VEC_GP);
		}
	}
}

static void rdpmc_when_no_counters(void **state)
{
	(void)state;
	for (int amd = 0; amd < 2; amd++) {
		as_amd(amd);
		env_long(0);
		S->gpr[R_RCX] = 0;
		S->gpr[R_RAX] = 5;
		env_code(0x0f, 0x33);
		assert_int_equal(env_run(), amd ? -1 : VEC_GP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syscall_when_compat_mode),
		cmocka_unit_test(syscall_when_legacy_mode),
		cmocka_unit_test(sysret_when_rcx_noncanonical),
		cmocka_unit_test(sysret_when_32_bit_operand_goes_to_compat),
		cmocka_unit_test(sysenter_when_long_mode),
		cmocka_unit_test(sysexit_when_64_bit_operand),
		cmocka_unit_test(far_pointer_when_rex_w),
		cmocka_unit_test(msr_when_other_vendor_is_gp),
		cmocka_unit_test(rdpmc_when_no_counters),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
