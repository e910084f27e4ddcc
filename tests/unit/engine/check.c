// SPDX-License-Identifier: GPL-2.0-or-later
/* Lockstep: what agrees goes on, what differs is reported. Run: make t T=engine/check */
#include "sys_env.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/soft/check.h"

static char path[] = "/tmp/lodge-check-XXXXXX";
static char text[65536];

/* What was traced since the last call. */
static const char *traced(void)
{
	static long from;
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	fseek(f, from, SEEK_SET);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	from += (long)n;
	fclose(f);
	return text;
}

static const struct soft_stats *stats(void)
{
	return &((struct soft_cpu *)env_vcpu)->stats;
}

static int setup(void **state)
{
	env_soft = (struct engine_soft_options){.check = true};
	return env_setup(state);
}

/* Generated code of BSWAP does something else, too. */
static int setup_spoilt(void **state)
{
	env_soft = (struct engine_soft_options){.check = true, .spoil = X86_OP_BSWAP};
	return env_setup(state);
}

static enum engine_exit run(void)
{
	mem_wrote(env_mem, 0, 0x110000);
	engine_soft.state_changed(env_vcpu);
	return engine_soft.run(env_vcpu);
}

static void check_when_tiers_agree_expect_the_results(void **state)
{
	env_long(0);
	S->gpr[R_RBX] = A_DATA;
	st_le64(R + A_DATA, 40);
	env_code(0xb9, 3, 0, 0, 0,	 /* mov ecx, 3 */
		 0x48, 0x83, 0x03, 0x01, /* add qword [rbx], 1 */
		 0x51,			 /* push rcx */
		 0x58,			 /* pop rax */
		 0xff, 0xc9,		 /* dec ecx */
		 0x75, 0xf6,		 /* jnz back */
		 0x0f, 0x58, 0xc1);	 /* addps xmm0, xmm1 */
	assert_int_equal(env_run(), -1);
	assert_int_equal(ld_le64(R + A_DATA), 43);
	assert_int_equal(S->gpr[R_RAX], 1);
	assert_true(stats()->check_units >= 3);
	assert_int_equal(stats()->check_insns, 1 + 3 * 5); /* no AVX state: ADDPS by S1 */
	assert_int_equal(stats()->check_again, 0);
}

static void check_when_an_instruction_faults_expect_its_exception_once(void **state)
{
	struct lodge_err err;

	assert_int_equal(soft_signals_init(&err), 0); /* cmocka has taken SIGFPE */
	env_long(0);
	S->gpr[R_RBX] = A_DATA;
	st_le64(R + A_DATA, 40);
	env_code(0x48, 0x83, 0x03, 0x01, /* add qword [rbx], 1 */
		 0x31, 0xc9,		 /* xor ecx, ecx */
		 0xf7, 0xf1);		 /* div ecx */
	assert_int_equal(env_run(), VEC_DE);
	assert_int_equal(ld_le64(R + A_DATA), 41);
	assert_int_equal(stats()->exceptions, 1);
}

static void check_when_a_port_is_read_expect_one_read(void **state)
{
	env_long(0);
	env_code(0x66, 0xba, 0x34, 0x12, /* mov dx, 0x1234 */
		 0xec,			 /* in al, dx */
		 0x0c, 0x01);		 /* or al, 1 */
	assert_int_equal(env_run(), -1);
	assert_int_equal(S->gpr[R_RAX] & 0xff, 0x35);
	assert_int_equal(stats()->pio_read, 1);
}

static void check_when_code_writes_itself_expect_what_was_written(void **state)
{
	env_long(0);
	S->gpr[R_RBX] = S->rip;
	env_code(0xc6, 0x43, 0x05, 0x02, /* mov byte [rbx + 5], 2 */
		 0xb0, 0x01);		 /* mov al, 1 */
	assert_int_equal(env_run(), -1);
	assert_int_equal(S->gpr[R_RAX] & 0xff, 2);
	assert_int_equal(stats()->check_dirty, 1);
}

static void check_when_generated_code_is_wrong_expect_states_and_code(void **state)
{
	const char *t;

	env_long(0);
	S->gpr[R_RAX] = 0x1000;
	S->gpr[R_RCX] = 0x11223344;
	env_code(0x0f, 0xc9); /* bswap ecx */
	assert_int_equal(run(), ENGINE_EXIT_ERROR);
	assert_non_null(strstr(engine_soft.error(env_vcpu), "lockstep"));
	assert_non_null(
		strstr(engine_soft.error(env_vcpu), "rax is 1001 in tier 2, 1000 in tier 1"));
	t = traced();
	assert_non_null(strstr(t, "LOCKSTEP"));
	assert_non_null(
		strstr(t, "  rax     0000000000001000  0000000000001000  0000000000001001  <--"));
	assert_non_null(
		strstr(t, "  rcx     0000000011223344  0000000044332211  0000000044332211\n"));
	assert_non_null(strstr(t, "-- 0000000000010000: bswap ecx\n"));
	assert_non_null(strstr(t, "0f c9"));
	assert_non_null(strstr(t, "lea rax, [rax+0x1]")); /* the host's code */
	assert_int_equal(stats()->check_again, 2);
}

static void check_when_two_cpus_expect_refusal(void **state)
{
	struct lodge_err err = {""};
	struct engine_config cfg = {.cpus = 2, .mem = env_mem, .cpuid = &env_cpuid};

	cfg.soft.check = true;
	assert_null(engine_soft.create(&cfg, &err));
	assert_non_null(strstr(err.msg, "-smp 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(check_when_tiers_agree_expect_the_results, setup,
						env_teardown),
		cmocka_unit_test_setup_teardown(
			check_when_an_instruction_faults_expect_its_exception_once, setup,
			env_teardown),
		cmocka_unit_test_setup_teardown(check_when_a_port_is_read_expect_one_read, setup,
						env_teardown),
		cmocka_unit_test_setup_teardown(
			check_when_code_writes_itself_expect_what_was_written, setup, env_teardown),
		cmocka_unit_test_setup_teardown(
			check_when_generated_code_is_wrong_expect_states_and_code, setup_spoilt,
			env_teardown),
		cmocka_unit_test_setup_teardown(check_when_two_cpus_expect_refusal, setup,
						env_teardown),
	};
	struct lodge_err err;
	int fd = mkstemp(path), failed;

	if (fd < 0 || log_set_file(path, &err) < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
