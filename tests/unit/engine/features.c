// SPDX-License-Identifier: GPL-2.0-or-later
/* Instructions whose CPUID feature the guest lacks. Run: make t T=engine/features */
#include "sys_env.h"

/* Long mode, at an address of its own (blocks are decoded once), with the feature gone. */
static void without(enum x86_feature f)
{
	env_long(0);
	env_cpuid.has[f] = false;
	S->rip += 0x40u * f;
	S->gpr[R_RCX] = 8;
}

static void tzcnt_when_feature_missing_is_bsf(void **state)
{
	bool had = env_cpuid.has[X86_FEAT_BMI1];

	(void)state;
	without(X86_FEAT_BMI1);
	S->gpr[R_RAX] = 0x55;
	S->gpr[R_RCX] = 0;
	env_code(0xf3, 0x0f, 0xbc, 0xc1); /* tzcnt eax, ecx */
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 0x55); /* BSF of 0 leaves it */
	assert_true(S->rflags & FLAG_ZF);
	env_cpuid.has[X86_FEAT_BMI1] = had;
}

static void lzcnt_when_feature_missing_is_bsr(void **state)
{
	bool had = env_cpuid.has[X86_FEAT_ABM];

	(void)state;
	without(X86_FEAT_ABM);
	env_code(0xf3, 0x0f, 0xbd, 0xc1); /* lzcnt eax, ecx */
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 3);
	env_cpuid.has[X86_FEAT_ABM] = had;
}

static void popcnt_when_feature_missing_is_ud(void **state)
{
	bool had = env_cpuid.has[X86_FEAT_POPCNT];

	(void)state;
	without(X86_FEAT_POPCNT);
	env_code(0xf3, 0x0f, 0xb8, 0xc1);
	assert_int_equal(env_run(), VEC_UD);
	env_cpuid.has[X86_FEAT_POPCNT] = had;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tzcnt_when_feature_missing_is_bsf),
		cmocka_unit_test(lzcnt_when_feature_missing_is_bsr),
		cmocka_unit_test(popcnt_when_feature_missing_is_ud),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
