// SPDX-License-Identifier: GPL-2.0-or-later
/* Task switches. Run: make t T=engine/sys_task */
#include "sys_env.h"

#define LE32(x) (uint8_t)(x), (uint8_t)((x) >> 8), (uint8_t)((x) >> 16), (uint8_t)((x) >> 24)
#define LE16(x) (uint8_t)(x), (uint8_t)((x) >> 8)
#define JMP_FAR32(sel, off) 0xea, LE32(off), LE16(sel)
#define CALL_FAR32(sel, off) 0x9a, LE32(off), LE16(sel)

#define T2 (R + A_TSS2)
#define T16 (R + A_TSS2 + 0x800)
#define BUSY(sel) (R[A_GDT + (sel) + 5] >> 1 & 1)

/* A 32-bit task that halts at the second code place. */
static void task32(void)
{
	st_le32(T2 + 0x04, A_STACK0 - 0x800);
	st_le16(T2 + 0x08, S_DATA0);
	st_le32(T2 + 0x20, A_CODE2);
	st_le32(T2 + 0x24, 2);
	for (unsigned i = 0; i < 8; i++)
		st_le32(T2 + 0x28 + 4 * i, 0x1000 + i);
	st_le32(T2 + 0x38, A_STACK2);
	st_le32(T2 + 0x48, S_DATA0);
	st_le32(T2 + 0x4c, S_CODE0);
	st_le32(T2 + 0x50, S_DATA0);
	st_le32(T2 + 0x54, S_DATA0);
	st_le32(T2 + 0x58, S_DATA3);
	st_le32(T2 + 0x5c, 0);
	st_le32(T2 + 0x60, S_LDT);
	memset(R + A_CODE2, 0xf4, 16);
}

static void start(unsigned cpl)
{
	env_pm(cpl);
	task32();
}

static void jmp_when_to_tss_switches_everything(void **state)
{
	(void)state;
	start(0);
	S->gpr[R_RAX] = 0xabcd0123;
	S->rflags |= FLAG_CF;
	S->dr[7] = 0x455;
	env_code(JMP_FAR32(S_TSS2, 0));
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_int_equal(S->tr.sel, S_TSS2);
	assert_int_equal(S->tr.attr & 0xf, 11);
	assert_int_equal(S->gpr[R_RAX], 0x1000);
	assert_int_equal(S->gpr[R_RDI], 0x1007);
	assert_int_equal(S->gpr[R_RSP], A_STACK2);
	assert_int_equal(S->seg[SEG_FS].sel, S_DATA3);
	assert_true(S->seg[SEG_GS].unusable);
	assert_int_equal(S->ldtr.sel, S_LDT);
	assert_int_equal(S->ldtr.base, A_LDT);
	assert_true(S->cr0 & CR0_TS);
	assert_int_equal(S->dr[7], 0x400);
	assert_int_equal(S->rflags, 2);
	assert_int_equal(BUSY(S_TSS2), 1);
	assert_int_equal(BUSY(S_TSS), 0);
	assert_int_equal(ld_le32(R + A_TSS + 0x20), A_CODE + 7);
	assert_int_equal(ld_le32(R + A_TSS + 0x24), FLAG_CF | 2);
	assert_int_equal(ld_le32(R + A_TSS + 0x28), 0xabcd0123);
	assert_int_equal(ld_le32(R + A_TSS + 0x38), A_STACK0);
	assert_int_equal(ld_le16(R + A_TSS + 0x4c), S_CODE0);
}

static void call_when_to_tss_links_and_iret_returns(void **state)
{
	(void)state;
	start(0);
	R[A_CODE2] = 0xcf;
	env_code(CALL_FAR32(S_TSS2, 0));
	expect_done();
	assert_int_equal(S->rip, A_CODE + 8);
	assert_int_equal(S->tr.sel, S_TSS);
	assert_int_equal(ld_le16(T2), S_TSS);
	assert_int_equal(S->rflags & FLAG_NT, 0);
	assert_int_equal(ld_le32(T2 + 0x24) & FLAG_NT, 0);
	assert_int_equal(ld_le32(T2 + 0x20), A_CODE2 + 1);
	assert_int_equal(BUSY(S_TSS2), 0);
	assert_int_equal(BUSY(S_TSS), 1);
}

static void call_when_nested_sets_nt(void **state)
{
	(void)state;
	start(0);
	env_code(CALL_FAR32(S_TSS2, 0));
	expect_done();
	assert_int_equal(S->rflags, FLAG_NT | 2);
	assert_int_equal(BUSY(S_TSS), 1);
	assert_int_equal(BUSY(S_TSS2), 1);
}

static void task_gate_when_in_gdt_works_from_cpl3(void **state)
{
	(void)state;
	start(3);
	put_gate(R + A_GDT + S_TASKGATE, S_TSS2, 0, 5, 3, 0, false);
	env_code(CALL_FAR32(S_TASKGATE | 3, 0));
	expect_done();
	assert_int_equal(S->tr.sel, S_TSS2);
	assert_int_equal(x86_cpl(S), 0);
	start(3);
	env_code(CALL_FAR32(S_TSS2 | 3, 0)); /* the TSS itself has DPL 0 */
	expect_fault(VEC_GP, S_TSS2);
}

static void task_gate_when_tss_bad_faults(void **state)
{
	(void)state;
	start(0);
	put_gate(R + A_GDT + S_TASKGATE, S_TSS, 0, 5, 3, 0, false); /* busy */
	env_code(CALL_FAR32(S_TASKGATE, 0));
	expect_fault(VEC_GP, S_TSS);
	start(0);
	put_gate(R + A_GDT + S_TASKGATE, S_TSS2 | 4, 0, 5, 3, 0, false); /* in the LDT */
	env_code(CALL_FAR32(S_TASKGATE, 0));
	expect_fault(VEC_GP, S_TSS2 | 4);
	start(0);
	put_gate(R + A_GDT + S_TASKGATE, S_TSS2, 0, 5, 3, 0, false);
	R[A_GDT + S_TSS2 + 5] &= 0x7f;
	env_code(CALL_FAR32(S_TASKGATE, 0));
	expect_fault(VEC_NP, S_TSS2);
	start(0);
	put_desc(S_TSS2, A_TSS2, 0x66, 0x0089);
	env_code(JMP_FAR32(S_TSS2, 0));
	expect_fault(VEC_TS, S_TSS2);
	assert_int_equal(slot32(1), A_CODE);
}

static void interrupt_when_task_gate_pushes_error_code(void **state)
{
	(void)state;
	start(3);
	put_gate(R + A_IDT + VEC_GP * 8, S_TSS2, 0, 5, 0, 0, false);
	env_code(0xf4); /* privileged */
	expect_done();
	assert_int_equal(S->gpr[R_RSP], A_STACK2 - 4);
	assert_int_equal(slot32(0), 0);
	assert_int_equal(ld_le32(R + A_TSS + 0x20), A_CODE);
	assert_int_equal(ld_le16(T2), S_TSS);
	assert_true(S->rflags & FLAG_NT);
}

static void tss16_when_switched_moves_words(void **state)
{
	(void)state;
	start(0);
	R[0x7000] = 0xf4;
	st_le16(T16 + 0x0e, 0x7000);
	st_le16(T16 + 0x10, 2 | FLAG_CF);
	st_le16(T16 + 0x12, 0xbeef);
	st_le16(T16 + 0x1a, 0x8800);
	st_le16(T16 + 0x22, S_DATA0);
	st_le16(T16 + 0x24, S_CODE0);
	st_le16(T16 + 0x26, S_DATA0);
	st_le16(T16 + 0x28, S_DATA0);
	env_code(JMP_FAR32(S_TSS16, 0));
	expect_done();
	assert_int_equal(S->rip, 0x7001);
	assert_int_equal(S->gpr[R_RAX] & 0xffff, 0xbeef);
	assert_int_equal(S->gpr[R_RSP] & 0xffff, 0x8800);
	assert_true(S->seg[SEG_FS].unusable && S->seg[SEG_GS].unusable);
	assert_int_equal(S->rflags, 2 | FLAG_CF);
	assert_int_equal(S->tr.attr & 0xf, 3);
}

static void new_task_when_segment_bad_faults_in_it(void **state)
{
	static const struct {
		unsigned at;
		uint16_t sel;
		int vector;
		uint32_t error;
	} cases[] = {
		{0x4c, S_DATA0, VEC_TS, S_DATA0},      {0x4c, 0, VEC_TS, 0},
		{0x4c, S_CODE0 | 3, VEC_TS, S_CODE0},  {0x4c, S_FREE, VEC_NP, S_FREE},
		{0x50, S_DATA3, VEC_TS, S_DATA3 & ~3}, {0x50, 0, VEC_TS, 0},
		{0x50, S_ABSENT, VEC_SS, S_ABSENT},    {0x54, S_EXECONLY, VEC_TS, S_EXECONLY},
		{0x54, S_ABSENT, VEC_NP, S_ABSENT},    {0x48, 0x400, VEC_TS, 0x400},
		{0x60, S_TSS, VEC_TS, S_TSS},	       {0x60, 0x0c, VEC_TS, 0x0c},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(0);
		put_desc(S_FREE, 0, 0xfffff, 0xc01a);
		/* the fault handlers are tasks of their own, since the new one's stack may be bad
		 */
		memcpy(R + A_TSS2 + 0x400, T2, 0x68);
		put_desc(S_TASKGATE, A_TSS2 + 0x400, 0x67, 0x0089);
		for (unsigned v = VEC_TS; v <= VEC_GP; v++)
			put_gate(R + A_IDT + v * 8, S_TASKGATE, 0, 5, 0, 0, false);
		st_le32(R + A_TSS2 + 0x420, A_HANDLERS);
		st_le16(T2 + cases[i].at, cases[i].sel);
		env_code(JMP_FAR32(S_TSS2, 0));
		assert_int_equal(env_run(), 0);
		assert_int_equal(slot32(0), cases[i].error);
		assert_int_equal(ld_le16(R + A_TSS2 + 0x400), S_TSS2); /* the new task faulted */
		assert_int_equal(ld_le32(T2 + 0x20), A_CODE2);
	}
}

static void new_task_when_ip_beyond_limit_is_gp(void **state)
{
	(void)state;
	start(0);
	put_desc(S_FREE, 0, 0xfff, 0x409a);
	st_le16(T2 + 0x4c, S_FREE);
	env_code(JMP_FAR32(S_TSS2, 0));
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot32(1), A_CODE2);
	assert_int_equal(slot32(2), S_FREE);
}

static void new_task_when_t_bit_set_traps(void **state)
{
	(void)state;
	start(0);
	st_le16(T2 + 0x64, 1);
	env_code(JMP_FAR32(S_TSS2, 0));
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE2);
	assert_true(S->dr[6] & 0x8000);
}

static void new_task_when_vm_set_is_vm86(void **state)
{
	(void)state;
	start(0);
	st_le32(T2 + 0x20, 0);
	st_le32(T2 + 0x24, FLAG_VM | FLAG_IOPL | 2);
	st_le16(T2 + 0x4c, A_CODE2 >> 4);
	st_le16(T2 + 0x50, 0);
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(JMP_FAR32(S_TSS2, 0));
	assert_int_equal(env_run(), 0x80);
	assert_true(slot32(2) & FLAG_VM);
	assert_int_equal(slot32(1), A_CODE2 >> 4);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x800 - 36);
}

static void iret_when_nested_link_bad_is_ts(void **state)
{
	(void)state;
	start(0);
	S->rflags |= FLAG_NT;
	st_le16(R + A_TSS, S_TSS2); /* not busy */
	env_code(0xcf);
	expect_fault(VEC_TS, S_TSS2);
	start(0);
	S->rflags |= FLAG_NT;
	env_code(0xcf);
	expect_fault(VEC_TS, 0);
}

static void jmp_when_long_mode_to_tss_is_gp(void **state)
{
	(void)state;
	env_long(0);
	S->seg[SEG_CS] = seg_of(S_CODE0);
	env_code(JMP_FAR32(S_TSS2, 0));
	expect_fault(VEC_GP, S_TSS2);
}

static void task_when_paging_loads_cr3(void **state)
{
	(void)state;
	start(0);
	/* two 32-bit page directories of 4 MiB pages: identity, and identity with another alias */
	for (unsigned i = 0; i < 4; i++) {
		st_le32(R + A_PML4 + 4 * i, i << 22 | 0x87);
		st_le32(R + A_PML4 + 0x1000 + 4 * i, i << 22 | 0x87);
	}
	st_le32(R + A_PML4 + 0x1000 + 4 * 100, 0x87);
	S->cr3 = A_PML4;
	S->cr4 |= CR4_PSE;
	S->cr0 |= CR0_PG;
	st_le32(T2 + 0x1c, A_PML4 + 0x1000);
	st_le32(R + A_DATA, 0x600df00d);
	/* the new task reads through the alias */
	st_le32(T2 + 0x28, (100u << 22) + A_DATA);
	memcpy(R + A_CODE2, "\x8b\x18\xf4", 3); /* MOV EBX,[EAX]; HLT */
	env_code(JMP_FAR32(S_TSS2, 0));
	expect_done();
	assert_int_equal(S->cr3, A_PML4 + 0x1000);
	assert_int_equal(S->gpr[R_RBX], 0x600df00d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jmp_when_to_tss_switches_everything),
		cmocka_unit_test(call_when_to_tss_links_and_iret_returns),
		cmocka_unit_test(call_when_nested_sets_nt),
		cmocka_unit_test(task_gate_when_in_gdt_works_from_cpl3),
		cmocka_unit_test(task_gate_when_tss_bad_faults),
		cmocka_unit_test(interrupt_when_task_gate_pushes_error_code),
		cmocka_unit_test(tss16_when_switched_moves_words),
		cmocka_unit_test(new_task_when_segment_bad_faults_in_it),
		cmocka_unit_test(new_task_when_ip_beyond_limit_is_gp),
		cmocka_unit_test(new_task_when_t_bit_set_traps),
		cmocka_unit_test(new_task_when_vm_set_is_vm86),
		cmocka_unit_test(iret_when_nested_link_bad_is_ts),
		cmocka_unit_test(jmp_when_long_mode_to_tss_is_gp),
		cmocka_unit_test(task_when_paging_loads_cr3),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
