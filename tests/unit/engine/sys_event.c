// SPDX-License-Identifier: GPL-2.0-or-later
/* Delivery of exceptions and interrupts. Run: make t T=engine/sys_event */
#include "sys_env.h"

static void int_n_when_pm_cpl0_pushes_three_slots(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_IF | FLAG_TF * 0;
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 12);
	assert_int_equal(slot32(0), A_CODE + 2);
	assert_int_equal(slot32(1), S_CODE0);
	assert_int_equal(slot32(2), FLAG_IF | 2);
	assert_int_equal(S->rflags & FLAG_IF, 0);
}

static void int_n_when_pm_cpl3_switches_stack(void **state)
{
	(void)state;
	env_pm(3);
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 20);
	assert_int_equal(S->seg[SEG_SS].sel, S_DATA0);
	assert_int_equal(slot32(0), A_CODE + 2);
	assert_int_equal(slot32(1), S_CODE3);
	assert_int_equal(slot32(3), A_STACK3);
	assert_int_equal(slot32(4), S_DATA3);
	assert_int_equal(x86_cpl(S), 0);
}

static void int_n_when_gate_dpl_low_faults_with_idt_error(void **state)
{
	(void)state;
	env_pm(3);
	env_code(0xcd, 0x81);
	expect_fault(VEC_GP, 0x81 * 8 + 2);
	assert_int_equal(slot32(1), A_CODE);
	env_long(3);
	env_code(0xcd, 0x81);
	expect_fault(VEC_GP, 0x81 * 8 + 2);
	assert_int_equal(slot64(1), A_CODE);
	assert_int_equal(slot64(5), S_DATA3);
}

static void int_n_when_gate_absent_is_np(void **state)
{
	(void)state;
	env_pm(3);
	R[A_IDT + 0x80 * 8 + 5] &= 0x7f;
	env_code(0xcd, 0x80);
	expect_fault(VEC_NP, 0x80 * 8 + 2);
}

static void int_n_when_beyond_idt_is_gp(void **state)
{
	(void)state;
	env_pm(3);
	S->idtr.limit = 0x7f * 8 + 7;
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, 0x80 * 8 + 2);
}

static void trap_gate_when_taken_keeps_if(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_IF | FLAG_NT;
	idt_gate(0x80, S_CODE0, 15, 3, 0);
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->rflags & (FLAG_IF | FLAG_NT), FLAG_IF);
}

static void gate16_when_taken_pushes_words(void **state)
{
	(void)state;
	env_pm(3);
	put_gate(R + A_IDT + 0x80 * 8, S_CODE0, 0x5678, 6, 3, 0, false);
	R[0x5678] = 0xf4;
	env_code(0xcd, 0x80);
	expect_done();
	assert_int_equal(S->rip, 0x5679);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 10);
	assert_int_equal(slot16(0), (A_CODE + 2) & 0xffff);
	assert_int_equal(slot16(1), S_CODE3);
	assert_int_equal(slot16(4), S_DATA3);
}

static void exception_when_fault_sets_rf_in_image(void **state)
{
	(void)state;
	env_pm(3);
	env_code(0x0f, 0x0b); /* UD2 */
	assert_int_equal(env_run(), VEC_UD);
	assert_int_equal(slot32(0), A_CODE);
	assert_true(slot32(2) & FLAG_RF);
	env_pm(3);
	env_code(0xcc);
	assert_int_equal(env_run(), VEC_BP);
	assert_int_equal(slot32(0), A_CODE + 1);
	assert_false(slot32(2) & FLAG_RF);
}

static void into_when_overflow_traps(void **state)
{
	(void)state;
	env_pm(3);
	S->rflags |= FLAG_OF;
	env_code(0xce);
	assert_int_equal(env_run(), VEC_OF);
	assert_int_equal(slot32(0), A_CODE + 1);
	env_pm(0);
	env_code(0xce);
	expect_done();
}

static void int1_when_gate_dpl_0_is_taken_from_cpl3(void **state)
{
	(void)state;
	env_pm(3);
	env_code(0xf1);
	assert_int_equal(env_run(), VEC_DB);
	assert_int_equal(slot32(0), A_CODE + 1);
	assert_int_equal(S->dr[6], 0xffff0ff0);
}

static void bound_when_outside_is_br(void **state)
{
	(void)state;
	env_pm(0);
	st_le32(R + A_DATA, (uint32_t)-5);
	st_le32(R + A_DATA + 4, 10);
	S->gpr[R_RAX] = (uint32_t)-5;
	S->gpr[R_RBX] = A_DATA;
	env_code(0x62, 0x03);
	expect_done();
	env_pm(0);
	st_le32(R + A_DATA, (uint32_t)-5);
	st_le32(R + A_DATA + 4, 10);
	S->gpr[R_RAX] = 11;
	S->gpr[R_RBX] = A_DATA;
	env_code(0x62, 0x03);
	assert_int_equal(env_run(), VEC_BR);
	assert_int_equal(slot32(0), A_CODE);
}

/* ---- Conforming handlers, bad handlers ------------------------------------------------------ */

static void handler_when_conforming_runs_at_callers_cpl(void **state)
{
	(void)state;
	env_pm(3);
	idt_gate(0x80, S_CONF0, 14, 3, 0);
	env_code(0xcd, 0x80);
	/* HLT at CPL 3 is #GP from the handler: two frames */
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot32(1), A_HANDLERS + 0x800);
	assert_int_equal(slot32(2), S_CONF0 | 3);
	assert_int_equal(slot32(4), A_STACK3 - 12);
}

static void handler_when_outer_ring_is_gp(void **state)
{
	(void)state;
	env_pm(0);
	idt_gate(0x80, S_CODE3, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, S_CODE3 & ~3);
}

static void handler_when_null_or_data_or_absent_faults(void **state)
{
	(void)state;
	env_pm(0);
	idt_gate(0x80, 0, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, 0);
	env_pm(0);
	idt_gate(0x80, S_DATA0, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, S_DATA0);
	env_pm(0);
	idt_gate(0x80, S_FREE, 14, 3, 0);
	put_desc(S_FREE, 0, 0xfffff, 0xc01a);
	env_code(0xcd, 0x80);
	expect_fault(VEC_NP, S_FREE);
	env_pm(0);
	idt_gate(0x80, 0x1f8, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, 0x1f8);
}

static void external_when_handler_bad_sets_ext(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_IF;
	idt_gate(0x40, S_DATA0, 14, 0, 0);
	env_code(0x90);
	env_vector = 0x40;
	engine_soft.signal(env_vcpu, VCPU_SIGNAL_INTR_ON, 0);
	expect_fault(VEC_GP, S_DATA0 | 1);
}

/* ---- Stack of the inner ring ---------------------------------------------------------------- */

static void inner_stack_when_ss_bad_is_ts(void **state)
{
	(void)state;
	env_pm(3);
	idt_gate(VEC_TS, S_CODE0, 5, 0, 0); /* a task gate so that it can be delivered at all */
	put_gate(R + A_IDT + VEC_TS * 8, S_TSS2, 0, 5, 0, 0, false);
	st_le16(R + A_TSS + 8, S_DATA1);
	st_le32(R + A_TSS2 + 0x20, A_CODE2);
	st_le32(R + A_TSS2 + 0x24, 2);
	st_le32(R + A_TSS2 + 0x38, A_STACK2);
	st_le32(R + A_TSS2 + 0x4c, S_CODE0);
	st_le32(R + A_TSS2 + 0x50, S_DATA0);
	R[A_CODE2] = 0xf4;
	env_code(0xcd, 0x80);
	expect_fault(-1, S_DATA1 & ~3);
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_int_equal(ld_le32(R + A_TSS + 0x20), A_CODE);
}

static void double_fault_when_gp_cannot_be_delivered(void **state)
{
	(void)state;
	env_pm(0);
	idt_gate(VEC_GP, S_DATA0, 14, 0, 0);
	env_code(0xcd, 0x81); /* fine at CPL 0 */
	assert_int_equal(env_run(), 0x81);
	env_pm(0);
	idt_gate(VEC_GP, S_DATA0, 14, 0, 0);
	S->gpr[R_RAX] = 0x1f8;
	env_code(0x8e, 0xd8); /* MOV DS, a selector beyond the GDT */
	expect_fault(VEC_DF, 0);
	assert_int_equal(slot32(1), A_CODE);
}

static void ud_when_undeliverable_is_not_a_double_fault(void **state)
{
	(void)state;
	env_pm(0);
	idt_gate(VEC_UD, S_DATA0, 14, 0, 0);
	env_code(0x0f, 0x0b);
	expect_fault(VEC_GP, S_DATA0 | 1);
}

static void page_fault_when_nested_in_page_fault_is_df(void **state)
{
	(void)state;
	env_long(0);
	/* the #PF handler's stack is not present either; #DF has its own */
	idt_gate(VEC_DF, S_CODE64, 14, 0, 1);
	S->gpr[R_RSP] = 0x60000000;
	S->gpr[R_RAX] = 0x50000000;
	env_code(0x8a, 0x00);
	expect_fault(VEC_DF, 0);
	assert_int_equal(S->cr2, 0x5ffffff8);
	assert_int_equal(slot64(1), A_CODE);
}

static void triple_fault_when_nothing_works_shuts_down(void **state)
{
	(void)state;
	env_pm(0);
	S->idtr.limit = 0;
	env_code(0x0f, 0x0b);
	assert_int_equal(env_run(), -2);
	assert_int_equal(S->run_state, X86_SHUTDOWN);
}

/* ---- Long mode ------------------------------------------------------------------------------ */

static void long_mode_when_same_ring_aligns_stack(void **state)
{
	(void)state;
	env_long(0);
	S->gpr[R_RSP] = A_STACK0 - 3;
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 16 - 40);
	assert_int_equal(slot64(3), A_STACK0 - 3);
	assert_int_equal(slot64(4), S_DATA0);
	assert_int_equal(S->seg[SEG_SS].sel, S_DATA0);
}

static void long_mode_when_from_user_nulls_ss(void **state)
{
	(void)state;
	env_long(3);
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 40);
	assert_int_equal(S->seg[SEG_SS].sel, 0);
	assert_int_equal(x86_cpl(S), 0);
	assert_int_equal(slot64(0), A_CODE + 2);
	assert_int_equal(slot64(1), S_CODE64_3);
	assert_int_equal(slot64(3), A_STACK3);
}

static void long_mode_when_ist_uses_it_always(void **state)
{
	(void)state;
	env_long(0);
	idt_gate(0x80, S_CODE64, 14, 3, 1);
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_IST1 - 40);
	env_long(3);
	idt_gate(0x80, S_CODE64, 14, 3, 1);
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_IST1 - 40);
}

static void long_mode_when_handler_not_64_bit_is_gp(void **state)
{
	(void)state;
	env_long(0);
	idt_gate(0x80, S_CODE0, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, S_CODE0);
}

static void long_mode_when_stack_noncanonical_is_ss(void **state)
{
	(void)state;
	env_long(0);
	idt_gate(VEC_SS, S_CODE64, 14, 0, 1);
	S->gpr[R_RSP] = 0xffff800000000000ull;
	env_code(0xcd, 0x80);
	expect_fault(VEC_SS, 0);
}

/* ---- Real mode ------------------------------------------------------------------------------ */

static void real_mode_when_int_goes_through_ivt(void **state)
{
	(void)state;
	env_real();
	S->rflags |= FLAG_IF;
	S->gpr[R_RSP] = 0x8000;
	env_code(0xcd, 0x21);
	assert_int_equal(env_run(), 0x21);
	assert_int_equal(S->gpr[R_RSP], 0x7ffa);
	assert_int_equal(slot16(0), 2);
	assert_int_equal(slot16(1), A_CODE >> 4);
	assert_int_equal(slot16(2), FLAG_IF | 2);
	assert_int_equal(S->seg[SEG_CS].sel, A_HANDLERS >> 4);
	assert_int_equal(S->rflags & FLAG_IF, 0);
}

static void real_mode_when_exception_has_error_pushes_none(void **state)
{
	(void)state;
	env_real();
	S->gpr[R_RSP] = 0x8000;
	S->gpr[R_RBX] = 0xffff;
	env_code(0x8b, 0x07); /* a word at DS:FFFF */
	assert_int_equal(env_run(), VEC_GP);
	assert_int_equal(S->gpr[R_RSP], 0x7ffa);
	assert_int_equal(slot16(0), 0);
}

/* ---- VM86 ----------------------------------------------------------------------------------- */

static void vm86_when_iopl3_int_enters_ring0(void **state)
{
	(void)state;
	env_vm86(3);
	S->seg[SEG_GS].sel = 0x1234;
	env_code(0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 36);
	assert_int_equal(slot32(0), 2);
	assert_int_equal(slot32(1), A_CODE >> 4);
	assert_true(slot32(2) & FLAG_VM);
	assert_int_equal(slot32(8), 0x1234);
	assert_int_equal(S->rflags & FLAG_VM, 0);
	assert_true(S->seg[SEG_DS].unusable);
	assert_int_equal(S->seg[SEG_GS].sel, 0);
}

static void vm86_when_iopl0_int_is_gp(void **state)
{
	(void)state;
	env_vm86(0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, 0);
	env_vm86(0);
	env_code(0xcc); /* INT3 is not sensitive to IOPL */
	assert_int_equal(env_run(), VEC_BP);
}

static void vm86_when_handler_not_ring0_is_gp(void **state)
{
	(void)state;
	env_vm86(3);
	idt_gate(0x80, S_CODE1, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, S_CODE1 & ~3);
	env_vm86(3);
	idt_gate(0x80, S_CONF0, 14, 3, 0);
	env_code(0xcd, 0x80);
	expect_fault(VEC_GP, S_CONF0);
}

/* The VM86 program's own handler leaves by HLT, which is #GP with CS:IP in the frame. */
static void vme_when_redirected_uses_vector_table(void **state)
{
	(void)state;
	env_vm86(0);
	S->cr4 |= CR4_VME;
	S->rflags |= FLAG_VIF;
	st_le32(R + 0x21 * 4, (A_CODE2 >> 4) << 16);
	R[A_CODE2] = 0xf4;
	env_code(0xcd, 0x21);
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot32(2), A_CODE2 >> 4);
	assert_int_equal(slot32(4), A_STACK3 - 6);
	assert_int_equal(slot32(3) & FLAG_VIF, 0);
	assert_int_equal(ld_le16(R + A_STACK3 - 6), 2);
	assert_int_equal(ld_le16(R + A_STACK3 - 2) & (FLAG_IF | FLAG_IOPL), FLAG_IF | FLAG_IOPL);
}

static void vme_when_not_redirected_is_gp_at_iopl0(void **state)
{
	(void)state;
	env_vm86(0);
	S->cr4 |= CR4_VME;
	R[A_TSS + 0x68 + 0x21 / 8] = 1 << (0x21 & 7);
	env_code(0xcd, 0x21);
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot32(1), 0);
}

/* ---- Interrupts, NMI, shadows --------------------------------------------------------------- */

static void interrupt_when_if_clear_waits(void **state)
{
	(void)state;
	env_pm(0);
	env_code(0x90, 0xfb, 0x90, 0x90); /* NOP; STI; NOP; NOP */
	env_vector = 0x40;
	engine_soft.signal(env_vcpu, VCPU_SIGNAL_INTR_ON, 0);
	assert_int_equal(env_run(), 0x40);
	assert_int_equal(slot32(0), A_CODE + 3); /* after the shadow of STI */
}

static void interrupt_when_mov_ss_waits_one_instruction(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_IF;
	S->gpr[R_RAX] = S_DATA0;
	S->int_shadow = X86_SHADOW_STI; /* so that MOV SS itself runs first */
	env_code(0x8e, 0xd0, 0x90, 0x90);
	env_vector = 0x40;
	engine_soft.signal(env_vcpu, VCPU_SIGNAL_INTR_ON, 0);
	assert_int_equal(env_run(), 0x40);
	assert_int_equal(slot32(0), A_CODE + 3);
}

static void interrupt_when_taken_before_comes_first(void **state)
{
	(void)state;
	env_pm(0);
	S->rflags |= FLAG_IF;
	S->irq_taken = true;
	S->irq_vector = 0x41;
	env_code(0x90, 0x90);
	env_vector = 0x40;
	engine_soft.signal(env_vcpu, VCPU_SIGNAL_INTR_ON, 0);
	assert_int_equal(env_run(), 0x41);
	assert_false(S->irq_taken);
	assert_int_equal(slot32(0), A_CODE);
	engine_soft.signal(env_vcpu, VCPU_SIGNAL_INTR_OFF, 0);
}

static void nmi_when_taken_blocks_until_iret(void **state)
{
	(void)state;
	env_pm(0);
	/* the NMI handler raises another NMI's worth by returning into code that halts */
	env_code(0x90);
	S->nmi_pending = true;
	assert_int_equal(env_run(), VEC_NMI);
	assert_true(S->nmi_blocked);
	S->nmi_pending = true;
	S->rip = A_HANDLERS + 2 * 16 + 2;
	R[S->rip] = 0xcf; /* IRET */
	S->run_state = X86_RUNNING;
	assert_int_equal(env_run(), VEC_NMI); /* the second one, right after IRET */
	assert_int_equal(slot32(0), A_CODE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int_n_when_pm_cpl0_pushes_three_slots),
		cmocka_unit_test(int_n_when_pm_cpl3_switches_stack),
		cmocka_unit_test(int_n_when_gate_dpl_low_faults_with_idt_error),
		cmocka_unit_test(int_n_when_gate_absent_is_np),
		cmocka_unit_test(int_n_when_beyond_idt_is_gp),
		cmocka_unit_test(trap_gate_when_taken_keeps_if),
		cmocka_unit_test(gate16_when_taken_pushes_words),
		cmocka_unit_test(exception_when_fault_sets_rf_in_image),
		cmocka_unit_test(into_when_overflow_traps),
		cmocka_unit_test(int1_when_gate_dpl_0_is_taken_from_cpl3),
		cmocka_unit_test(bound_when_outside_is_br),
		cmocka_unit_test(handler_when_conforming_runs_at_callers_cpl),
		cmocka_unit_test(handler_when_outer_ring_is_gp),
		cmocka_unit_test(handler_when_null_or_data_or_absent_faults),
		cmocka_unit_test(external_when_handler_bad_sets_ext),
		cmocka_unit_test(inner_stack_when_ss_bad_is_ts),
		cmocka_unit_test(double_fault_when_gp_cannot_be_delivered),
		cmocka_unit_test(ud_when_undeliverable_is_not_a_double_fault),
		cmocka_unit_test(page_fault_when_nested_in_page_fault_is_df),
		cmocka_unit_test(triple_fault_when_nothing_works_shuts_down),
		cmocka_unit_test(long_mode_when_same_ring_aligns_stack),
		cmocka_unit_test(long_mode_when_from_user_nulls_ss),
		cmocka_unit_test(long_mode_when_ist_uses_it_always),
		cmocka_unit_test(long_mode_when_handler_not_64_bit_is_gp),
		cmocka_unit_test(long_mode_when_stack_noncanonical_is_ss),
		cmocka_unit_test(real_mode_when_int_goes_through_ivt),
		cmocka_unit_test(real_mode_when_exception_has_error_pushes_none),
		cmocka_unit_test(vm86_when_iopl3_int_enters_ring0),
		cmocka_unit_test(vm86_when_iopl0_int_is_gp),
		cmocka_unit_test(vm86_when_handler_not_ring0_is_gp),
		cmocka_unit_test(vme_when_redirected_uses_vector_table),
		cmocka_unit_test(vme_when_not_redirected_is_gp_at_iopl0),
		cmocka_unit_test(interrupt_when_if_clear_waits),
		cmocka_unit_test(interrupt_when_mov_ss_waits_one_instruction),
		cmocka_unit_test(interrupt_when_taken_before_comes_first),
		cmocka_unit_test(nmi_when_taken_blocks_until_iret),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
