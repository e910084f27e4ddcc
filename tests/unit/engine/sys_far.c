// SPDX-License-Identifier: GPL-2.0-or-later
/* Far transfers, gates, returns, segment loads. Run: make t T=engine/sys_far */
#include "sys_env.h"

#define LE32(x) (uint8_t)(x), (uint8_t)((x) >> 8), (uint8_t)((x) >> 16), (uint8_t)((x) >> 24)
#define LE16(x) (uint8_t)(x), (uint8_t)((x) >> 8)
#define JMP_FAR32(sel, off) 0xea, LE32(off), LE16(sel)
#define CALL_FAR32(sel, off) 0x9a, LE32(off), LE16(sel)

static void push32(uint32_t v)
{
	S->gpr[R_RSP] -= 4;
	st_le32(R + S->gpr[R_RSP], v);
}

static void push64(uint64_t v)
{
	S->gpr[R_RSP] -= 8;
	st_le64(R + S->gpr[R_RSP], v);
}

/* Everything at the second code place halts. */
static void halt_at_code2(void)
{
	memset(R + A_CODE2, 0xf4, 16);
}

/* ---- Far JMP and CALL ----------------------------------------------------------------------- */

static void jmp_when_code_checks_privilege(void **state)
{
	static const struct {
		unsigned cpl;
		uint16_t sel;
		int vector;
		uint32_t error;
	} cases[] = {
		{0, S_CODE0, -1, 0},
		{0, S_CODE0 | 3, VEC_GP, S_CODE0},
		{0, S_CODE3, VEC_GP, S_CODE3 & ~3},
		{0, S_CONF0, -1, 0},
		{0, S_CODE16, -1, 0},
		{0, 0, VEC_GP, 0},
		{0, 3, VEC_GP, 0},
		{0, S_DATA0, VEC_GP, S_DATA0},
		{0, 0x100, VEC_GP, 0x100},
		{0, 0x0c, VEC_GP, 0x0c},
		{0, S_LDT, VEC_GP, S_LDT},
		{0, S_TSS, VEC_GP, S_TSS},
		{3, S_CODE0, VEC_GP, S_CODE0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env_pm(cases[i].cpl);
		put_desc(S_CODE16, 0, 0xfffff, 0x809a);
		halt_at_code2();
		env_code(JMP_FAR32(cases[i].sel, A_CODE2));
		assert_int_equal(env_run(), cases[i].vector);
		if (cases[i].vector >= 0)
			assert_int_equal(slot32(0), cases[i].error);
		else
			assert_int_equal(S->seg[SEG_CS].sel, cases[i].sel);
	}
}

static void jmp_when_absent_is_np(void **state)
{
	(void)state;
	env_pm(0);
	put_desc(S_FREE, 0, 0xfffff, 0xc01a);
	env_code(JMP_FAR32(S_FREE, A_CODE2));
	expect_fault(VEC_NP, S_FREE);
}

static void jmp_when_beyond_limit_is_gp(void **state)
{
	(void)state;
	env_pm(0);
	put_desc(S_FREE, 0, 0xfff, 0x409a);
	env_code(JMP_FAR32(S_FREE, 0x1000));
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot32(1), A_CODE);
}

static void jmp_when_taken_sets_accessed_bit(void **state)
{
	(void)state;
	env_pm(0);
	put_desc(S_FREE, 0, 0xfffff, 0xc09a);
	halt_at_code2();
	env_code(JMP_FAR32(S_FREE, A_CODE2));
	expect_done();
	assert_int_equal(R[A_GDT + S_FREE + 5], 0x9b);
}

static void call_when_same_ring_pushes_and_retf_returns(void **state)
{
	(void)state;
	env_pm(0);
	R[A_CODE2] = 0xca; /* RETF 8 */
	R[A_CODE2 + 1] = 8;
	env_code(CALL_FAR32(S_CONF0, A_CODE2));
	expect_done();
	assert_int_equal(S->rip, A_CODE + 8);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 + 8);
	assert_int_equal(ld_le32(R + A_STACK0 - 4), S_CODE0);
	assert_int_equal(ld_le32(R + A_STACK0 - 8), A_CODE + 7);
}

static void jmp_when_16_bit_operand_truncates(void **state)
{
	(void)state;
	env_pm(0);
	R[0x1234 + 0x6000] = 0xf4;
	env_code(0x66, 0xea, LE16(0x7234), LE16(S_CODE0));
	expect_done();
	assert_int_equal(S->rip, 0x7235);
}

/* ---- Call gates ----------------------------------------------------------------------------- */

static void gate_when_inner_copies_parameters(void **state)
{
	(void)state;
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE0, A_CODE2, 12, 3, 2, false);
	halt_at_code2();
	push32(0x11111111);
	push32(0x22222222);
	env_code(CALL_FAR32(S_GATE | 3, 0));
	expect_done();
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE0);
	assert_int_equal(S->seg[SEG_SS].sel, S_DATA0);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 24);
	assert_int_equal(slot32(0), A_CODE + 7);
	assert_int_equal(slot32(1), S_CODE3);
	assert_int_equal(slot32(2), 0x22222222);
	assert_int_equal(slot32(3), 0x11111111);
	assert_int_equal(slot32(4), A_STACK3 - 8);
	assert_int_equal(slot32(5), S_DATA3);
}

static void gate_when_16_bit_uses_words(void **state)
{
	(void)state;
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE0, 0x7000, 4, 3, 1, false);
	R[0x7000] = 0xf4;
	push32(0xaaaabbbb);
	env_code(CALL_FAR32(S_GATE | 3, 0));
	expect_done();
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 10);
	assert_int_equal(slot16(2), 0xbbbb);
}

static void gate_when_dpl_too_low_is_gp_of_gate(void **state)
{
	(void)state;
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE0, A_CODE2, 12, 2, 0, false);
	env_code(CALL_FAR32(S_GATE, 0));
	expect_fault(VEC_GP, S_GATE);
	env_pm(0);
	put_gate(R + A_GDT + S_GATE, S_CODE0, A_CODE2, 12, 2, 0, false);
	env_code(CALL_FAR32(S_GATE | 3, 0));
	expect_fault(VEC_GP, S_GATE);
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE0, A_CODE2, 12, 3, 0, false);
	R[A_GDT + S_GATE + 5] &= 0x7f;
	env_code(CALL_FAR32(S_GATE, 0));
	expect_fault(VEC_NP, S_GATE);
}

static void gate_when_jmp_to_inner_is_gp(void **state)
{
	(void)state;
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE0, A_CODE2, 12, 3, 0, false);
	env_code(JMP_FAR32(S_GATE, 0));
	expect_fault(VEC_GP, S_CODE0);
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CONF0, A_CODE2, 12, 3, 0, false);
	halt_at_code2();
	env_code(JMP_FAR32(S_GATE, 0));
	expect_fault(VEC_GP, 0); /* HLT at CPL 3 */
	assert_int_equal(slot32(2), S_CONF0 | 3);
}

static void gate_when_new_stack_bad_is_ts(void **state)
{
	(void)state;
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE1, A_CODE2, 12, 3, 0, false);
	st_le16(R + A_TSS + 16, S_DATA0); /* DPL 0, RPL 0 for ring 1 */
	env_code(CALL_FAR32(S_GATE, 0));
	expect_fault(VEC_TS, S_DATA0);
	assert_int_equal(slot32(1), A_CODE);
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE1, A_CODE2, 12, 3, 0, false);
	put_desc(S_FREE, 0, 0xfffff, 0xc032);
	st_le16(R + A_TSS + 16, S_FREE | 1);
	env_code(CALL_FAR32(S_GATE, 0));
	expect_fault(VEC_SS, S_FREE);
	env_pm(3);
	put_gate(R + A_GDT + S_GATE, S_CODE1, A_CODE2, 12, 3, 0, false);
	put_desc(S_FREE, 0, 5, 0x40b2); /* no room */
	st_le16(R + A_TSS + 16, S_FREE | 1);
	env_code(CALL_FAR32(S_GATE, 0));
	expect_fault(VEC_SS, S_FREE);
}

static void gate64_when_called_from_compat_goes_to_64_bit(void **state)
{
	(void)state;
	env_long(3);
	S->seg[SEG_CS] = seg_of(S_CODE3);
	put_gate(R + A_GDT + S_GATE, S_CODE64, A_CODE2, 12, 3, 0, true);
	halt_at_code2();
	env_code(CALL_FAR32(S_GATE | 3, 0));
	expect_done();
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE64);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 0x400 - 32);
	assert_int_equal(slot64(0), A_CODE + 7);
	assert_int_equal(slot64(1), S_CODE3);
	assert_int_equal(slot64(2), A_STACK3);
	assert_int_equal(slot64(3), S_DATA3);
	assert_int_equal(S->seg[SEG_SS].sel, 0);
}

static void gate64_when_target_not_64_bit_is_gp(void **state)
{
	(void)state;
	env_long(3);
	S->seg[SEG_CS] = seg_of(S_CODE3);
	put_gate(R + A_GDT + S_GATE, S_CODE0, A_CODE2, 12, 3, 0, true);
	env_code(CALL_FAR32(S_GATE | 3, 0));
	expect_fault(VEC_GP, S_CODE0);
	env_long(3);
	S->seg[SEG_CS] = seg_of(S_CODE3);
	put_gate(R + A_GDT + S_GATE, S_CODE64, A_CODE2, 4, 3, 0, true); /* no 16-bit gates */
	env_code(CALL_FAR32(S_GATE | 3, 0));
	expect_fault(VEC_GP, S_GATE);
}

/* ---- Returns -------------------------------------------------------------------------------- */

static void retf_when_outer_loads_stack_and_drops_segments(void **state)
{
	(void)state;
	env_pm(0);
	push32(S_DATA3);
	push32(A_STACK3);
	push32(0x77);
	push32(S_CODE3);
	push32(A_CODE2);
	R[A_CODE2] = 0xcd; /* INT 80 to get back */
	R[A_CODE2 + 1] = 0x80;
	S->seg[SEG_DS] = seg_of(S_DATA3);
	env_code(0xca, 4, 0);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot32(1), S_CODE3);
	assert_int_equal(slot32(3), A_STACK3 + 4);
	assert_int_equal(slot32(4), S_DATA3);
	assert_int_equal(S->seg[SEG_DS].sel, S_DATA3);
	assert_true(S->seg[SEG_ES].unusable && S->seg[SEG_FS].unusable);
}

static void retf_when_frame_bad_faults_with_selector(void **state)
{
	static const struct {
		uint32_t cs, ss;
		int vector;
		uint32_t error;
	} cases[] = {
		{0, S_DATA3, VEC_GP, 0},
		{S_CODE0 | 3, S_DATA3, VEC_GP, S_CODE0},
		{S_DATA3, S_DATA3, VEC_GP, S_DATA3 & ~3},
		{S_CODE3, 0, VEC_GP, 0},
		{S_CODE3, S_DATA0, VEC_GP, S_DATA0},
		{S_CODE3, S_ROD | 3, VEC_GP, S_ROD},
		{S_CODE3, S_FREE | 3, VEC_SS, S_FREE},
		{S_FREE, S_DATA3, VEC_GP, S_FREE},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env_pm(0);
		put_desc(S_FREE, 0, 0xfffff, 0xc072);
		push32(cases[i].ss);
		push32(A_STACK3);
		push32(cases[i].cs);
		push32(A_CODE2);
		env_code(0xcb);
		expect_fault(cases[i].vector, cases[i].error);
		assert_int_equal(slot32(1), A_CODE);
		assert_int_equal(slot32(3) & FLAG_VM, 0);
	}
}

static void iret_when_pm_same_ring_restores_flags(void **state)
{
	(void)state;
	env_pm(0);
	push32(FLAG_IF | FLAG_CF | FLAG_IOPL | FLAG_AC | FLAG_ID | 0x8000 | 8);
	push32(S_CODE0);
	push32(A_CODE2);
	halt_at_code2();
	env_code(0xcf);
	expect_done();
	assert_int_equal(S->rflags, FLAG_IF | FLAG_CF | FLAG_IOPL | FLAG_AC | FLAG_ID | 2);
	assert_int_equal(S->gpr[R_RSP], A_STACK0);
}

static void iret_when_cpl3_cannot_change_iopl_or_if(void **state)
{
	(void)state;
	env_pm(3);
	push32(FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_CF | FLAG_DF);
	push32(S_CODE3);
	push32(A_CODE2);
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0xcf);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot32(2), FLAG_CF | FLAG_DF | 2);
}

static void iret_when_image_has_vm_enters_vm86(void **state)
{
	(void)state;
	env_pm(0);
	push32(0x44);
	push32(0x33);
	push32(0x22);
	push32(0x11);
	push32(A_STACK3 >> 4);
	push32(0x100);
	push32(FLAG_VM | FLAG_IOPL | FLAG_IF);
	push32(A_CODE2 >> 4);
	push32(0);
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0xcf);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot32(0), 2);
	assert_int_equal(slot32(1), A_CODE2 >> 4);
	assert_int_equal(slot32(2), FLAG_VM | FLAG_IOPL | FLAG_IF | 2);
	assert_int_equal(slot32(3), 0x100);
	assert_int_equal(slot32(4), A_STACK3 >> 4);
	assert_int_equal(slot32(5), 0x11);
	assert_int_equal(slot32(8), 0x44);
}

static void iret_when_vm86_needs_iopl3(void **state)
{
	(void)state;
	env_vm86(0);
	env_code(0xcf);
	expect_fault(VEC_GP, 0);
	env_vm86(3);
	st_le16(R + A_STACK3, 0);
	st_le16(R + A_STACK3 + 2, A_CODE2 >> 4);
	st_le16(R + A_STACK3 + 4, FLAG_CF);
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0xcf);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot32(2), FLAG_VM | FLAG_IOPL | FLAG_CF | 2);
}

static void iret_when_vme_moves_if_to_vif(void **state)
{
	(void)state;
	env_vm86(0);
	S->cr4 |= CR4_VME;
	st_le16(R + A_STACK3, 0);
	st_le16(R + A_STACK3 + 2, A_CODE2 >> 4);
	st_le16(R + A_STACK3 + 4, FLAG_IF);
	R[A_CODE2] = 0xcc;
	env_code(0xcf);
	assert_int_equal(env_run(), VEC_BP);
	assert_int_equal(slot32(2), FLAG_VM | FLAG_VIF | 2);
	env_vm86(0);
	S->cr4 |= CR4_VME;
	S->rflags |= FLAG_VIP;
	st_le16(R + A_STACK3 + 4, FLAG_IF);
	env_code(0xcf);
	expect_fault(VEC_GP, 0);
}

static void iretq_when_to_user_and_back(void **state)
{
	(void)state;
	env_long(0);
	push64(S_DATA3);
	push64(A_STACK3);
	push64(FLAG_IF | 2);
	push64(S_CODE64_3);
	push64(A_CODE2);
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0x48, 0xcf);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot64(0), A_CODE2 + 2);
	assert_int_equal(slot64(1), S_CODE64_3);
	assert_int_equal(slot64(2), FLAG_IF | 2);
	assert_int_equal(slot64(3), A_STACK3);
	assert_int_equal(slot64(4), S_DATA3);
}

static void iretq_when_same_ring_pops_stack_and_allows_null_ss(void **state)
{
	(void)state;
	env_long(0);
	push64(0);
	push64(A_STACK2);
	push64(2);
	push64(S_CODE64);
	push64(A_CODE2);
	halt_at_code2();
	env_code(0x48, 0xcf);
	expect_done();
	assert_int_equal(S->gpr[R_RSP], A_STACK2);
	assert_true(S->seg[SEG_SS].unusable);
	env_long(0);
	push64(0);
	push64(A_STACK2);
	push64(2);
	push64(S_CODE64_3);
	push64(A_CODE2);
	env_code(0x48, 0xcf);
	expect_fault(VEC_GP, 0);
}

static void iretq_when_rip_noncanonical_or_nt_is_gp(void **state)
{
	(void)state;
	env_long(0);
	push64(S_DATA3);
	push64(A_STACK3);
	push64(2);
	push64(S_CODE64_3);
	push64(0x0000800000000000ull);
	env_code(0x48, 0xcf);
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot64(1), A_CODE);
	env_long(0);
	S->rflags |= FLAG_NT;
	env_code(0x48, 0xcf);
	expect_fault(VEC_GP, 0);
}

static void iretq_when_to_compat_runs_32_bit(void **state)
{
	(void)state;
	env_long(0);
	push64(S_DATA3);
	push64(A_STACK3);
	push64(2);
	push64(S_CODE3);
	push64(A_CODE2);
	R[A_CODE2] = 0x40; /* INC EAX there, REX here */
	R[A_CODE2 + 1] = 0xcd;
	R[A_CODE2 + 2] = 0x80;
	S->gpr[R_RAX] = 0xffffffff;
	env_code(0x48, 0xcf);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RAX], 0);
	assert_int_equal(slot64(0), A_CODE2 + 3);
}

static void retf_when_to_16_bit_stack_keeps_upper_sp(void **state)
{
	(void)state;
	env_pm(0);
	put_desc(S_FREE, 0, 0xffff, 0x00f2);
	S->gpr[R_RSP] = 0x59000;
	push32(S_FREE | 3);
	push32(0x12348000);
	push32(2);
	push32(S_CODE3);
	push32(A_CODE2);
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0xcf);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot32(3), 0x58000); /* the upper half is the old one's */
}

/* ---- Real mode ------------------------------------------------------------------------------ */

static void jmp_when_real_mode_loads_base(void **state)
{
	(void)state;
	env_real();
	R[A_CODE2 + 3] = 0xf4;
	env_code(0xea, 3, 0, LE16(A_CODE2 >> 4));
	expect_done();
	assert_int_equal(S->seg[SEG_CS].base, A_CODE2);
	assert_int_equal(S->rip, 4);
}

static void call_when_real_mode_retf_returns(void **state)
{
	(void)state;
	env_real();
	S->gpr[R_RSP] = 0x8000;
	R[A_CODE2] = 0xcb;
	env_code(0x9a, 0, 0, LE16(A_CODE2 >> 4));
	expect_done();
	assert_int_equal(S->seg[SEG_CS].sel, A_CODE >> 4);
	assert_int_equal(S->gpr[R_RSP], 0x8000);
}

static void iret_when_real_mode_pops_three_words(void **state)
{
	(void)state;
	env_real();
	S->gpr[R_RSP] = 0x8000;
	st_le16(R + 0x8000, 0);
	st_le16(R + 0x8002, A_CODE2 >> 4);
	st_le16(R + 0x8004, FLAG_IOPL | FLAG_NT | FLAG_CF);
	R[A_CODE2] = 0xf4;
	env_code(0xcf);
	expect_done();
	assert_int_equal(S->rflags, FLAG_IOPL | FLAG_NT | FLAG_CF | 2);
}

/* Protected mode and back with a flat DS: unreal mode keeps the limit. */
static void unreal_when_reloaded_in_real_mode_keeps_limit(void **state)
{
	(void)state;
	env_real();
	S->seg[SEG_DS].limit = 0xffffffff;
	st_le32(R + 0x150000, 0xcafe1234);
	S->gpr[R_RAX] = 0;
	S->gpr[R_RBX] = 0x150000;
	env_code(0x8e, 0xd8, 0x67, 0x66, 0x8b, 0x03); /* MOV DS,AX; MOV EAX,[EBX] */
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 0xcafe1234);
}

/* ---- Segment loads -------------------------------------------------------------------------- */

static void mov_ds_when_loaded_checks_type_and_privilege(void **state)
{
	static const struct {
		unsigned cpl;
		uint16_t sel;
		int vector;
		uint32_t error;
	} cases[] = {
		{0, S_DATA0, -1, 0},
		{0, S_DATA3, -1, 0},
		{0, S_CODE0, -1, 0},
		{0, S_EXECONLY, VEC_GP, S_EXECONLY},
		{0, S_ROD, -1, 0},
		{0, 0, -1, 0},
		{0, S_DATA0 | 3, VEC_GP, S_DATA0},
		{0, S_ABSENT, VEC_NP, S_ABSENT},
		{0, S_TSS, VEC_GP, S_TSS},
		{0, 0x200, VEC_GP, 0x200},
		{0, 0x14, VEC_GP, 0x14},
		{1, S_DATA0, VEC_GP, S_DATA0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env_pm(cases[i].cpl);
		S->gpr[R_RAX] = cases[i].sel;
		if (cases[i].cpl == 0)
			env_code(0x8e, 0xd8);
		else
			env_code(0x8e, 0xd8, 0xcd, 0x80);
		assert_int_equal(env_run(), cases[i].vector);
		if (cases[i].vector >= 0)
			assert_int_equal(slot32(0), cases[i].error);
		else
			assert_int_equal(S->seg[SEG_DS].sel, cases[i].sel);
	}
}

static void mov_ds_when_conforming_code_ignores_privilege(void **state)
{
	(void)state;
	env_pm(3);
	S->gpr[R_RAX] = S_CONF0 | 3;
	env_code(0x8e, 0xd8, 0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->seg[SEG_DS].sel, S_CONF0 | 3);
}

static void mov_ss_when_loaded_checks_all(void **state)
{
	static const struct {
		uint16_t sel;
		int vector;
		uint32_t error;
	} cases[] = {
		{S_DATA0, -1, 0},
		{0, VEC_GP, 0},
		{S_DATA0 | 1, VEC_GP, S_DATA0},
		{S_CODE0, VEC_GP, S_CODE0},
		{S_DATA3, VEC_GP, S_DATA3 & ~3},
		{S_ABSENT, VEC_SS, S_ABSENT},
		{S_ROD, VEC_GP, S_ROD},
		{0x300, VEC_GP, 0x300},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env_pm(0);
		S->gpr[R_RAX] = cases[i].sel;
		env_code(0x8e, 0xd0, 0x90);
		assert_int_equal(env_run(), cases[i].vector);
		if (cases[i].vector >= 0)
			assert_int_equal(slot32(0), cases[i].error);
	}
}

static void mov_ss_when_64_bit_null_needs_rpl_cpl(void **state)
{
	(void)state;
	env_long(0);
	S->gpr[R_RAX] = 0;
	env_code(0x8e, 0xd0, 0x90);
	expect_done();
	assert_int_equal(x86_cpl(S), 0);
	env_long(0);
	S->gpr[R_RAX] = 3;
	env_code(0x8e, 0xd0, 0x90);
	expect_fault(VEC_GP, 0);
	env_long(3);
	S->gpr[R_RAX] = 3;
	env_code(0x8e, 0xd0, 0x90);
	expect_fault(VEC_GP, 0);
}

static void mov_cs_when_tried_is_ud(void **state)
{
	(void)state;
	env_pm(0);
	env_code(0x8e, 0xc8);
	assert_int_equal(env_run(), VEC_UD);
	env_pm(0);
	env_code(0x8e, 0xf0); /* segment register 6 */
	assert_int_equal(env_run(), VEC_UD);
}

static void push_pop_seg_when_run_move_by_operand_size(void **state)
{
	(void)state;
	env_pm(0);
	memset(R + A_STACK0 - 16, 0xff, 16);
	env_code(0x1e, 0x07, 0x66, 0x0f, 0xa8); /* PUSH DS; POP ES; PUSH GS with 66 */
	expect_done();
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 2);
	assert_int_equal(ld_le16(R + A_STACK0 - 4), S_DATA0);
	env_long(0);
	memset(R + A_STACK0 - 16, 0xff, 16);
	env_code(0x0f, 0xa0); /* PUSH FS */
	expect_done();
	assert_int_equal(slot64(0), S_DATA0);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 8);
}

static void pop_seg_when_bad_leaves_sp(void **state)
{
	(void)state;
	env_pm(0);
	push32(S_TSS);
	env_code(0x07);
	expect_fault(VEC_GP, S_TSS);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 4 - 16);
}

static void lds_when_loaded_sets_both(void **state)
{
	(void)state;
	env_pm(0);
	st_le32(R + A_DATA, 0x12345678);
	st_le16(R + A_DATA + 4, S_DATA3);
	S->gpr[R_RBX] = A_DATA;
	env_code(0xc5, 0x33); /* LDS ESI,[EBX] */
	expect_done();
	assert_int_equal(S->gpr[R_RSI], 0x12345678);
	assert_int_equal(S->seg[SEG_DS].sel, S_DATA3);
}

static void lss_when_selector_bad_changes_nothing(void **state)
{
	(void)state;
	env_pm(0);
	st_le32(R + A_DATA, 0x12345678);
	st_le16(R + A_DATA + 4, S_DATA3);
	S->gpr[R_RBX] = A_DATA;
	env_code(0x0f, 0xb2, 0x23); /* LSS ESP,[EBX] */
	expect_fault(VEC_GP, S_DATA3 & ~3);
	assert_int_equal(S->gpr[R_RSP], A_STACK0 - 16);
}

static void null_segment_when_used_is_gp(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RAX] = 0;
	env_code(0x8e, 0xd8, 0x8a, 0x00); /* MOV DS,AX; MOV AL,[EAX] */
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot32(1), A_CODE + 2);
}

static void fs_base_when_64_bit_load_is_32_bits(void **state)
{
	(void)state;
	env_long(0);
	put_desc(S_FREE, 0x8e000, 0xfffff, 0xc092);
	S->seg[SEG_FS].base = 0xffff888000000000ull;
	S->gpr[R_RAX] = S_FREE;
	env_code(0x8e, 0xe0);
	expect_done();
	assert_int_equal(S->seg[SEG_FS].base, 0x8e000);
	env_long(0);
	S->seg[SEG_FS].base = 0xffff888000000000ull;
	S->gpr[R_RAX] = 0;
	env_code(0x8e, 0xe0);
	expect_done();
	assert_int_equal(S->seg[SEG_FS].base, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jmp_when_code_checks_privilege),
		cmocka_unit_test(jmp_when_absent_is_np),
		cmocka_unit_test(jmp_when_beyond_limit_is_gp),
		cmocka_unit_test(jmp_when_taken_sets_accessed_bit),
		cmocka_unit_test(call_when_same_ring_pushes_and_retf_returns),
		cmocka_unit_test(jmp_when_16_bit_operand_truncates),
		cmocka_unit_test(gate_when_inner_copies_parameters),
		cmocka_unit_test(gate_when_16_bit_uses_words),
		cmocka_unit_test(gate_when_dpl_too_low_is_gp_of_gate),
		cmocka_unit_test(gate_when_jmp_to_inner_is_gp),
		cmocka_unit_test(gate_when_new_stack_bad_is_ts),
		cmocka_unit_test(gate64_when_called_from_compat_goes_to_64_bit),
		cmocka_unit_test(gate64_when_target_not_64_bit_is_gp),
		cmocka_unit_test(retf_when_outer_loads_stack_and_drops_segments),
		cmocka_unit_test(retf_when_frame_bad_faults_with_selector),
		cmocka_unit_test(iret_when_pm_same_ring_restores_flags),
		cmocka_unit_test(iret_when_cpl3_cannot_change_iopl_or_if),
		cmocka_unit_test(iret_when_image_has_vm_enters_vm86),
		cmocka_unit_test(iret_when_vm86_needs_iopl3),
		cmocka_unit_test(iret_when_vme_moves_if_to_vif),
		cmocka_unit_test(iretq_when_to_user_and_back),
		cmocka_unit_test(iretq_when_same_ring_pops_stack_and_allows_null_ss),
		cmocka_unit_test(iretq_when_rip_noncanonical_or_nt_is_gp),
		cmocka_unit_test(iretq_when_to_compat_runs_32_bit),
		cmocka_unit_test(retf_when_to_16_bit_stack_keeps_upper_sp),
		cmocka_unit_test(jmp_when_real_mode_loads_base),
		cmocka_unit_test(call_when_real_mode_retf_returns),
		cmocka_unit_test(iret_when_real_mode_pops_three_words),
		cmocka_unit_test(unreal_when_reloaded_in_real_mode_keeps_limit),
		cmocka_unit_test(mov_ds_when_loaded_checks_type_and_privilege),
		cmocka_unit_test(mov_ds_when_conforming_code_ignores_privilege),
		cmocka_unit_test(mov_ss_when_loaded_checks_all),
		cmocka_unit_test(mov_ss_when_64_bit_null_needs_rpl_cpl),
		cmocka_unit_test(mov_cs_when_tried_is_ud),
		cmocka_unit_test(push_pop_seg_when_run_move_by_operand_size),
		cmocka_unit_test(pop_seg_when_bad_leaves_sp),
		cmocka_unit_test(lds_when_loaded_sets_both),
		cmocka_unit_test(lss_when_selector_bad_changes_nothing),
		cmocka_unit_test(null_segment_when_used_is_gp),
		cmocka_unit_test(fs_base_when_64_bit_load_is_32_bits),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
