// SPDX-License-Identifier: GPL-2.0-or-later
/* Breakpoints and single step. Run: make t T=engine/sys_debug */
#include "sys_env.h"

static void step_when_tf_set_traps_after_each_instruction(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_TF;
	env_code(0x90, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 1);
	assert_true(slot32(2) & FLAG_TF);
	assert_false(slot32(2) & FLAG_RF);
	assert_int_equal(S->dr[6], 0xffff4ff0);
	assert_int_equal(S->rflags & FLAG_TF, 0);
}

static void step_when_int_n_does_not_trap_in_handler(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_TF;
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_true(slot32(2) & FLAG_TF);
}

static void step_when_popf_clears_tf_traps_once_more(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_TF;
	S->gpr[R_RSP] -= 4;
	st_le32(R + S->gpr[R_RSP], 2);
	env_code(0x9d, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 1);
}

static void step_when_popf_sets_tf_traps_after_next(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RSP] -= 4;
	st_le32(R + S->gpr[R_RSP], FLAG_TF | 2);
	env_code(0x9d, 0x90, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 2);
}

static void step_when_mov_ss_skips_one(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_TF;
	S->gpr[R_RAX] = S_DATA0;
	env_code(0x8e, 0xd0, 0x90, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 3);
}

static void step_when_sti_does_not_skip(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_TF;
	env_code(0xfb, 0x90, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 1);
}

static void step_when_syscall_masks_tf_does_not_trap(void **state)
{
	(void)state;
	env_long(3);
	S->star = (uint64_t)S_CODE64 << 32;
	S->lstar = A_CODE2;
	S->sfmask = FLAG_TF;
	S->rflags |= FLAG_TF;
	R[A_CODE2] = 0xf4;
	env_code(0x0f, 0x05);
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_true(S->gpr[R_R11] & FLAG_TF);
	env_long(3);
	S->star = (uint64_t)S_CODE64 << 32;
	S->lstar = A_CODE2;
	S->rflags |= FLAG_TF;
	env_code(0x0f, 0x05);
	assert_int_equal(env_run(), VEC_DB); /* unmasked: at the kernel's first instruction */
	assert_int_equal(slot64(0), A_CODE2);
}

static void step_when_fault_pushes_tf_and_handler_runs_free(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_TF;
	env_code(0x0f, 0x0b);
	assert_int_equal(env_run(), VEC_UD);
	assert_true(slot32(2) & FLAG_TF);
	assert_int_equal(S->dr[6], 0xffff0ff0);
}

/* ---- Instruction breakpoints ---------------------------------------------------------------- */

static void code_breakpoint_when_reached_faults_before(void **state)
{
	(void)state;
	env_pm(0);
	S->dr[2] = A_CODE + 1;
	S->dr[7] = 0x400 | 2 << 4;
	S->gpr[R_RAX] = 5;
	env_code(0x40, 0x40, 0x40); /* INC EAX, three times */
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(S->gpr[R_RAX], 6);
	assert_int_equal(slot32(0), A_CODE + 1);
	assert_int_equal(S->dr[6], 0xffff0ff4);
}

static void code_breakpoint_when_rf_set_is_skipped_once(void **state)
{
	(void)state;
	env_pm(0);
	S->dr[0] = A_CODE + 1;
	S->dr[7] = 0x402;
	R[A_CODE2] = 0xf4;
	st_le32(R + A_STACK0 - 12, A_CODE + 1);
	st_le32(R + A_STACK0 - 8, S_CODE0);
	st_le32(R + A_STACK0 - 4, FLAG_RF | 2);
	S->gpr[R_RSP] = A_STACK0 - 12;
	R[A_CODE2] = 0xcf;		  /* IRET to the breakpoint with RF */
	env_code(0x90, 0x90, 0xeb, 0xfd); /* NOP; NOP; JMP back to the breakpoint */
	S->rip = A_CODE2;
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 1);
	assert_int_equal(S->dr[6], 0xffff0ff1);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 12); /* after the loop, not at the IRET */
}

static void code_breakpoint_when_disabled_is_ignored(void **state)
{
	(void)state;
	env_pm(0);
	S->dr[0] = A_CODE;
	S->dr[7] = 0x400;
	env_code(0x90);
	expect_done();
}

/* ---- Data breakpoints ----------------------------------------------------------------------- */

static void data_breakpoint_when_written_traps_after(void **state)
{
	(void)state;
	env_pm(0);
	S->dr[1] = A_DATA;
	S->dr[7] = 0x400 | 2 << 2 | 0xdu << 20; /* DR1: write, 4 bytes */
	S->gpr[R_RBX] = A_DATA;
	env_code(0x8b, 0x03, 0x89, 0x43, 0x04, 0x88, 0x43, 0x03, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 8); /* after the byte store */
	assert_int_equal(S->dr[6], 0xffff0ff2);
}

static void data_breakpoint_when_read_traps_after(void **state)
{
	(void)state;
	env_pm(0);
	S->dr[3] = A_DATA + 2;
	S->dr[7] = 0x400 | 1 << 6 | 3u << 28; /* DR3: read or write, one byte */
	S->gpr[R_RBX] = A_DATA;
	env_code(0x8b, 0x03, 0x90);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 2);
	assert_int_equal(S->dr[6], 0xffff0ff8);
}

static void data_breakpoint_when_mov_ss_reads_waits(void **state)
{
	(void)state;
	env_pm(0);
	st_le16(R + A_DATA, S_DATA0);
	S->dr[0] = A_DATA;
	S->dr[7] = 0x402 | 0x7u << 16; /* DR0: read or write, 2 bytes */
	S->gpr[R_RBX] = A_DATA;
	env_code(0x8e, 0x13, 0x90, 0x90); /* MOV SS,[EBX]; NOP; NOP */
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 3);
}

static void io_breakpoint_when_port_touched_traps_after(void **state)
{
	(void)state;
	env_pm(0);
	S->cr4 |= CR4_DE;
	S->dr[1] = 0x71;
	S->dr[7] = 0x400 | 1 << 2 | 2u << 20;	      /* DR1: I/O, one byte */
	env_code(0xe4, 0x70, 0x66, 0xe5, 0x70, 0x90); /* IN AL,70; IN AX,70 */
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 5);
	assert_int_equal(S->dr[6], 0xffff0ff2);
}

/* ---- The registers themselves --------------------------------------------------------------- */

static void mov_dr_when_gd_set_faults(void **state)
{
	(void)state;
	env_pm(0);
	S->dr[7] = 0x2400;
	env_code(0x0f, 0x21, 0xf8);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE);
	assert_int_equal(S->dr[6], 0xffff2ff0);
	assert_int_equal(S->dr[7], 0x400);
}

static void mov_dr_when_4_or_5_depends_on_de(void **state)
{
	(void)state;
	env_pm(0);
	env_code(0x0f, 0x21, 0xe0); /* MOV EAX,DR4 = DR6 */
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 0xffff0ff0);
	env_pm(0);
	S->cr4 |= CR4_DE;
	env_code(0x0f, 0x21, 0xe0);
	assert_int_equal(env_run(), VEC_UD);
}

static void mov_dr_when_written_fixes_bits(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RAX] = 0;
	S->gpr[R_RBX] = 0xffffffff;
	env_code(0x0f, 0x23, 0xf0, 0x0f, 0x23, 0xf8);
	expect_done();
	assert_int_equal(S->dr[6], 0xffff0ff0);
	assert_int_equal(S->dr[7], 0x400);
	env_long(0);
	S->gpr[R_RAX] = 1ull << 32;
	env_code(0x0f, 0x23, 0xf8);
	expect_fault(VEC_GP, 0);
	env_long(0);
	S->gpr[R_RAX] = 0xffff800012345678ull;
	env_code(0x0f, 0x23, 0xc0, 0x0f, 0x21, 0xc3);
	expect_done();
	assert_int_equal(S->gpr[R_RBX], 0xffff800012345678ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(step_when_tf_set_traps_after_each_instruction),
		cmocka_unit_test(step_when_int_n_does_not_trap_in_handler),
		cmocka_unit_test(step_when_popf_clears_tf_traps_once_more),
		cmocka_unit_test(step_when_popf_sets_tf_traps_after_next),
		cmocka_unit_test(step_when_mov_ss_skips_one),
		cmocka_unit_test(step_when_sti_does_not_skip),
		cmocka_unit_test(step_when_syscall_masks_tf_does_not_trap),
		cmocka_unit_test(step_when_fault_pushes_tf_and_handler_runs_free),
		cmocka_unit_test(code_breakpoint_when_reached_faults_before),
		cmocka_unit_test(code_breakpoint_when_rf_set_is_skipped_once),
		cmocka_unit_test(code_breakpoint_when_disabled_is_ignored),
		cmocka_unit_test(data_breakpoint_when_written_traps_after),
		cmocka_unit_test(data_breakpoint_when_read_traps_after),
		cmocka_unit_test(data_breakpoint_when_mov_ss_reads_waits),
		cmocka_unit_test(io_breakpoint_when_port_touched_traps_after),
		cmocka_unit_test(mov_dr_when_gd_set_faults),
		cmocka_unit_test(mov_dr_when_4_or_5_depends_on_de),
		cmocka_unit_test(mov_dr_when_written_fixes_bits),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
