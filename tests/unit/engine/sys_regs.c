// SPDX-License-Identifier: GPL-2.0-or-later
/* Control registers, MSRs, system calls, descriptor inspection. Run: make t T=engine/sys_regs */
#include "sys_env.h"

#include "x86/msr.h"

/* ---- Control registers ---------------------------------------------------------------------- */

static void mov_cr0_when_combination_invalid_is_gp(void **state)
{
	static const uint32_t bad[] = {CR0_PG, CR0_PE | CR0_NW};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		env_pm(0);
		S->gpr[R_RAX] = bad[i];
		env_code(0x0f, 0x22, 0xc0);
		expect_fault(VEC_GP, 0);
	}
	env_pm(0);
	S->gpr[R_RAX] = 0xffffffff & ~(CR0_PG | CR0_NW);
	env_code(0x0f, 0x22, 0xc0);
	expect_done();
	assert_int_equal(S->cr0, CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP |
					 CR0_AM | CR0_CD);
}

static void mov_cr_when_cpl3_is_gp_and_unknown_is_ud(void **state)
{
	(void)state;
	env_pm(3);
	env_code(0x0f, 0x20, 0xc0);
	expect_fault(VEC_GP, 0);
	env_pm(0);
	env_code(0x0f, 0x20, 0xc8); /* CR1 */
	assert_int_equal(env_run(), VEC_UD);
	env_vm86(3);
	env_code(0x0f, 0x20, 0xc0);
	expect_fault(VEC_GP, 0);
}

/* Real mode to protected mode, far jump, 32-bit code: what every boot loader does. */
static void protected_mode_when_entered_from_real(void **state)
{
	(void)state;
	env_real();
	S->gdtr = (struct x86_dtable){.base = A_GDT, .limit = GDT_BYTES - 1};
	R[A_CODE2] = 0xb8; /* MOV EAX, imm32 */
	st_le32(R + A_CODE2 + 1, 0x12345678);
	R[A_CODE2 + 5] = 0xf4;
	env_code(0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, /* CR0.PE = 1 */
		 0x66, 0xea, A_CODE2 & 0xff, A_CODE2 >> 8 & 0xff, A_CODE2 >> 16, 0, S_CODE0, 0);
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 0x12345678);
	assert_int_equal(S->rip, A_CODE2 + 6);
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE0);
}

static void long_mode_when_enabled_sets_lma(void **state)
{
	(void)state;
	env_pm(0);
	put_page_tables();
	S->cr3 = A_PML4;
	S->cr4 |= CR4_PAE;
	S->efer = EFER_LME;
	S->gpr[R_RAX] = CR0_PE | CR0_PG;
	env_code(0x0f, 0x22, 0xc0);
	expect_done();
	assert_int_equal(S->efer, EFER_LME | EFER_LMA);
	/* and off again */
	S->rip = A_CODE;
	S->run_state = X86_RUNNING;
	S->gpr[R_RAX] = CR0_PE;
	expect_done();
	assert_int_equal(S->efer, EFER_LME);
}

static void long_mode_when_preconditions_miss_is_gp(void **state)
{
	(void)state;
	env_pm(0);
	S->efer = EFER_LME; /* without PAE */
	S->gpr[R_RAX] = CR0_PE | CR0_PG;
	env_code(0x0f, 0x22, 0xc0);
	expect_fault(VEC_GP, 0);
	env_pm(0);
	S->efer = EFER_LME;
	S->cr4 |= CR4_PAE;
	S->seg[SEG_CS].attr |= SEG_ATTR_L;
	S->gpr[R_RAX] = CR0_PE | CR0_PG;
	env_code(0x0f, 0x22, 0xc0);
	expect_fault(VEC_GP, 0);
	env_long(0); /* leaving from 64-bit code */
	S->gpr[R_RAX] = CR0_PE;
	env_code(0x0f, 0x22, 0xc0);
	expect_fault(VEC_GP, 0);
	env_long(0); /* PAE off in long mode */
	S->gpr[R_RAX] = 0;
	env_code(0x0f, 0x22, 0xe0);
	expect_fault(VEC_GP, 0);
}

static void mov_cr4_when_bit_unknown_is_gp(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RAX] = 1 << 12; /* LA57 */
	env_code(0x0f, 0x22, 0xe0);
	expect_fault(VEC_GP, 0);
	env_pm(0);
	S->gpr[R_RAX] = CR4_PCIDE; /* outside long mode */
	env_code(0x0f, 0x22, 0xe0);
	expect_fault(VEC_GP, 0);
	env_long(0);
	S->cr3 |= 8; /* PCID bits in use */
	S->gpr[R_RAX] = CR4_PCIDE | CR4_PAE;
	env_code(0x0f, 0x22, 0xe0);
	expect_fault(VEC_GP, 0);
}

static void mov_cr3_when_pae_loads_and_checks_pdptes(void **state)
{
	(void)state;
	env_pm(0);
	st_le64(R + A_PDPT32, (A_PML4 + 0x2000) | 1);
	put_page_tables();
	S->cr4 |= CR4_PAE;
	S->gpr[R_RAX] = A_PDPT32;
	S->gpr[R_RBX] = CR0_PE | CR0_PG;
	env_code(0x0f, 0x22, 0xd8, 0x0f, 0x22, 0xc3); /* CR3 then CR0 */
	expect_done();
	assert_int_equal(S->pdpte[0], (A_PML4 + 0x2000) | 1);
	env_pm(0);
	st_le64(R + A_PDPT32, (A_PML4 + 0x2000) | 3); /* bit 1 is reserved here */
	S->cr4 |= CR4_PAE;
	S->cr3 = A_PDPT32;
	S->gpr[R_RBX] = CR0_PE | CR0_PG;
	env_code(0x0f, 0x22, 0xc3);
	expect_fault(VEC_GP, 0);
	assert_int_equal(S->cr0 & CR0_PG, 0);
}

static void mov_cr3_when_reserved_or_noflush(void **state)
{
	(void)state;
	env_long(0);
	S->gpr[R_RAX] = 1ull << 52;
	env_code(0x0f, 0x22, 0xd8);
	expect_fault(VEC_GP, 0);
	env_long(0);
	S->gpr[R_RAX] = A_PML4 | 1ull << 63; /* without PCIDE */
	env_code(0x0f, 0x22, 0xd8);
	expect_fault(VEC_GP, 0);
	env_long(0);
	S->cr4 |= CR4_PCIDE;
	S->gpr[R_RAX] = A_PML4 | 5 | 1ull << 63;
	env_code(0x0f, 0x22, 0xd8);
	expect_done();
	assert_int_equal(S->cr3, A_PML4 | 5);
}

static void cr8_when_moved_goes_to_the_machine(void **state)
{
	(void)state;
	env_long(0);
	S->gpr[R_RAX] = 9;
	env_code(0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc3); /* MOV CR8,RAX; MOV RBX,CR8 */
	expect_done();
	assert_int_equal(env_cr8, 9);
	assert_int_equal(S->gpr[R_RBX], 9);
	env_long(0);
	S->gpr[R_RAX] = 16;
	env_code(0x44, 0x0f, 0x22, 0xc0);
	expect_fault(VEC_GP, 0);
}

static void lmsw_smsw_clts_when_run(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RAX] = CR0_TS | CR0_MP;	      /* cannot clear PE */
	env_code(0x0f, 0x01, 0xf0, 0x0f, 0x01, 0xe3); /* LMSW AX; SMSW EBX */
	expect_done();
	assert_int_equal(S->cr0 & 0xf, CR0_PE | CR0_TS | CR0_MP);
	assert_int_equal(S->gpr[R_RBX], S->cr0);
	env_pm(0);
	S->cr0 |= CR0_TS;
	env_code(0x0f, 0x06);
	expect_done();
	assert_int_equal(S->cr0 & CR0_TS, 0);
	env_pm(3);
	S->cr4 |= CR4_UMIP;
	env_code(0x0f, 0x01, 0xe3);
	expect_fault(VEC_GP, 0);
}

static void xsetbv_when_invalid_is_gp(void **state)
{
	static const uint64_t bad[] = {0, 2, 5, 0xffff};

	(void)state;
	if (!env_cpuid.has[X86_FEAT_XSAVE])
		skip();
	for (unsigned i = 0; i < 4; i++) {
		env_long(0);
		S->cr4 |= CR4_OSXSAVE;
		S->gpr[R_RAX] = bad[i];
		S->gpr[R_RDX] = 0;
		env_code(0x0f, 0x01, 0xd1);
		expect_fault(VEC_GP, 0);
	}
	env_long(0);
	env_code(0x0f, 0x01, 0xd1);
	assert_int_equal(env_run(), VEC_UD);
	env_long(0);
	S->cr4 |= CR4_OSXSAVE;
	S->gpr[R_RAX] = 3;
	S->gpr[R_RDX] = 0;
	env_code(0x0f, 0x01, 0xd1, 0x0f, 0x01, 0xd0);
	expect_done();
	assert_int_equal(S->xcr0, 3);
	assert_int_equal(S->gpr[R_RAX], 3);
}

static void invlpg_and_cr3_when_tables_change_take_effect(void **state)
{
	(void)state;
	env_long(0);
	st_le32(R + A_DATA, 0x11111111);
	st_le32(R + 0x200000 + A_DATA, 0x22222222);
	/* read through 4M+; remap it; INVLPG; read again */
	st_le64(R + A_PML4 + 0x2000 + 16, 0x87);
	S->gpr[R_RBX] = 0x400000 + A_DATA;
	S->gpr[R_RSI] = A_PML4 + 0x2000 + 16;
	env_code(0x8b, 0x03,			     /* MOV EAX,[RBX] */
		 0xc7, 0x06, 0x87, 0x00, 0x20, 0x00, /* MOV DWORD [RSI],200087 */
		 0x0f, 0x01, 0x3b, 0x8b, 0x0b);	     /* INVLPG [RBX]; MOV ECX,[RBX] */
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 0x11111111);
	assert_int_equal(S->gpr[R_RCX], 0x22222222);
}

static void invpcid_when_descriptor_bad_is_gp(void **state)
{
	static const struct {
		uint64_t type, pcid, lin;
		int vector;
	} cases[] = {
		{0, 0, 0x1000, -1},	{1, 0, 0, -1},
		{2, 0, 0, -1},		{3, 0, 0, -1},
		{4, 0, 0, VEC_GP},	{0, 1, 0, VEC_GP},
		{1, 0x1000, 0, VEC_GP}, {0, 0, 1ull << 47, VEC_GP},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env_long(0);
		S->gpr[R_RAX] = cases[i].type;
		S->gpr[R_RBX] = A_DATA;
		st_le64(R + A_DATA, cases[i].pcid);
		st_le64(R + A_DATA + 8, cases[i].lin);
		env_code(0x66, 0x0f, 0x38, 0x82, 0x03);
		assert_int_equal(env_run(), cases[i].vector);
	}
}

/* ---- Descriptor tables ---------------------------------------------------------------------- */

static void lgdt_when_16_bit_operand_takes_24_bits(void **state)
{
	(void)state;
	env_pm(0);
	st_le16(R + A_DATA, 0x123);
	st_le32(R + A_DATA + 2, 0xaabbccdd);
	S->gpr[R_RBX] = A_DATA;
	env_code(0x66, 0x0f, 0x01, 0x1b); /* LIDT */
	expect_done();
	assert_int_equal(S->idtr.base, 0xbbccdd);
	assert_int_equal(S->idtr.limit, 0x123);
	env_long(0);
	st_le64(R + A_DATA + 2, 0x0000900000000000ull);
	S->gpr[R_RBX] = A_DATA;
	env_code(0x0f, 0x01, 0x13);
	expect_fault(VEC_GP, 0);
}

static void sgdt_when_umip_user_is_gp(void **state)
{
	(void)state;
	env_long(0);
	S->gpr[R_RBX] = A_DATA;
	env_code(0x0f, 0x01, 0x03);
	expect_done();
	assert_int_equal(ld_le16(R + A_DATA), GDT_BYTES - 1);
	assert_int_equal(ld_le64(R + A_DATA + 2), A_GDT);
	env_long(3);
	S->cr4 |= CR4_UMIP;
	S->gpr[R_RBX] = A_DATA;
	env_code(0x0f, 0x01, 0x03);
	expect_fault(VEC_GP, 0);
}

static void ltr_when_loaded_marks_busy(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RAX] = S_TSS2;
	env_code(0x0f, 0x00, 0xd8, 0x0f, 0x00, 0xcb); /* LTR AX; STR EBX */
	expect_done();
	assert_int_equal(R[A_GDT + S_TSS2 + 5], 0x8b);
	assert_int_equal(S->tr.base, A_TSS2);
	assert_int_equal(S->gpr[R_RBX], S_TSS2);
	env_pm(0);
	S->gpr[R_RAX] = S_TSS; /* busy */
	env_code(0x0f, 0x00, 0xd8);
	expect_fault(VEC_GP, S_TSS);
	env_pm(0);
	S->gpr[R_RAX] = 0;
	env_code(0x0f, 0x00, 0xd8);
	expect_fault(VEC_GP, 0);
	env_long(0);
	put_desc(S_TSS2, A_TSS2, 0x67, 0x0089);
	put_desc(S_TSS2 + 8, 0, 0, 0);
	st_le32(R + A_GDT + S_TSS2 + 8, 0xffff8880);
	S->gpr[R_RAX] = S_TSS2;
	env_code(0x0f, 0x00, 0xd8);
	expect_done();
	assert_int_equal(S->tr.base, 0xffff888000000000ull | A_TSS2);
}

static void lldt_when_loaded_serves_selectors(void **state)
{
	(void)state;
	env_pm(0);
	memcpy(R + A_LDT + 8, R + A_GDT + S_DATA0, 8);
	S->gpr[R_RAX] = S_LDT;
	S->gpr[R_RBX] = 0x0c;
	env_code(0x0f, 0x00, 0xd0, 0x8e, 0xdb); /* LLDT AX; MOV DS,BX */
	expect_done();
	assert_int_equal(S->seg[SEG_DS].sel, 0x0c);
	env_pm(0);
	S->gpr[R_RAX] = S_TSS2;
	env_code(0x0f, 0x00, 0xd0);
	expect_fault(VEC_GP, S_TSS2);
	env_real();
	env_code(0x0f, 0x00, 0xd0);
	assert_int_equal(env_run(), VEC_UD);
}

static void lar_lsl_when_visible_set_zf(void **state)
{
	static const struct {
		unsigned cpl;
		uint16_t sel;
		bool lar, lsl;
		uint32_t rights, limit;
	} cases[] = {
		{0, S_CODE0, true, true, 0xcf9a00, 0xffffffff},
		{0, S_DATA16, true, true, 0x009200, 0xffff},
		{0, S_TSS2, true, true, 0x008900, 0x67},
		{0, S_GATE, true, false, 0x00ec00, 0},
		{0, 0, false, false, 0, 0},
		{0, 0x400, false, false, 0, 0},
		{3, S_DATA0, false, false, 0, 0},
		{3, S_CONF0, true, true, 0xcf9e00, 0xffffffff},
		{0, S_DATA0 | 3, false, false, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t f1, f2;

		env_pm(cases[i].cpl);
		put_gate(R + A_GDT + S_GATE, S_CODE0, 0, 12, 3, 0, false);
		S->gpr[R_RAX] = cases[i].sel;
		/* LAR EBX,EAX; PUSHF; POP ESI; LSL ECX,EAX; PUSHF; POP EDI; INT 80 */
		env_code(0x0f, 0x02, 0xd8, 0x9c, 0x5e, 0x0f, 0x03, 0xc8, 0x9c, 0x5f, 0xcd, 0x80);
		assert_int_equal(env_run(), 0x80);
		f1 = (uint32_t)S->gpr[R_RSI];
		f2 = (uint32_t)S->gpr[R_RDI];
		assert_int_equal(f1 >> 6 & 1, cases[i].lar);
		assert_int_equal(f2 >> 6 & 1, cases[i].lsl);
		assert_int_equal(S->gpr[R_RBX], cases[i].rights);
		assert_int_equal(S->gpr[R_RCX], cases[i].limit);
	}
}

static void verr_verw_when_checked_set_zf(void **state)
{
	static const struct {
		uint16_t sel;
		bool r, w;
	} cases[] = {
		{S_DATA0, true, true},	    {S_ROD, true, false},  {S_CODE0, true, false},
		{S_EXECONLY, false, false}, {S_TSS, false, false}, {0, false, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env_pm(0);
		S->gpr[R_RAX] = cases[i].sel;
		env_code(0x0f, 0x00, 0xe0, 0x0f, 0x94, 0xc3, 0x0f, 0x00, 0xe8, 0x0f, 0x94, 0xc1);
		expect_done();
		assert_int_equal(S->gpr[R_RBX], cases[i].r);
		assert_int_equal(S->gpr[R_RCX], cases[i].w);
	}
}

static void arpl_when_rpl_lower_raises_it(void **state)
{
	(void)state;
	env_pm(0);
	S->gpr[R_RAX] = 0xffff0010;
	S->gpr[R_RBX] = 0x13;
	env_code(0x63, 0xd8); /* ARPL AX,BX */
	expect_done();
	assert_int_equal(S->gpr[R_RAX], 0xffff0013);
	assert_true(S->rflags & FLAG_ZF);
}

/* ---- System calls --------------------------------------------------------------------------- */

static void set_star(void)
{
	S->star = (uint64_t)S_CODE64 << 32 | (uint64_t)(S_SYSCALL | 3) << 48;
	S->lstar = A_CODE2;
	S->cstar = A_CODE2 + 8;
	S->sfmask = FLAG_IF | FLAG_TF | FLAG_DF;
	memset(R + A_CODE2, 0xf4, 16);
}

static void syscall_when_64_bit_saves_and_masks(void **state)
{
	(void)state;
	env_long(3);
	set_star();
	S->rflags |= FLAG_IF | FLAG_DF | FLAG_CF;
	env_code(0x0f, 0x05);
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_int_equal(S->gpr[R_RCX], A_CODE + 2);
	assert_int_equal(S->gpr[R_R11], FLAG_IF | FLAG_DF | FLAG_CF | 2);
	assert_int_equal(S->rflags, FLAG_CF | 2);
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE64);
	assert_int_equal(S->seg[SEG_SS].sel, S_CODE64 + 8);
	assert_int_equal(x86_cpl(S), 0);
	assert_int_equal(S->gpr[R_RSP], A_STACK3);
}

static void syscall_when_sce_clear_is_ud(void **state)
{
	(void)state;
	env_long(3);
	set_star();
	S->efer &= ~(uint64_t)EFER_SCE;
	env_code(0x0f, 0x05);
	assert_int_equal(env_run(), VEC_UD);
}

static void syscall_when_compat_depends_on_vendor(void **state)
{
	(void)state;
	env_long(3);
	set_star();
	S->seg[SEG_CS] = seg_of(S_CODE3);
	env_code(0x0f, 0x05);
	if (!env_cpuid.amd) {
		assert_int_equal(env_run(), VEC_UD);
		return;
	}
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 9);
}

static void sysretq_when_run_returns_to_user(void **state)
{
	(void)state;
	env_long(0);
	set_star();
	S->gpr[R_RCX] = A_CODE2 + 4;
	S->gpr[R_R11] = 0xffffffffffffffffull & ~(uint64_t)FLAG_TF;
	R[A_CODE2 + 4] = 0xcd;
	R[A_CODE2 + 5] = 0x80;
	env_code(0x48, 0x0f, 0x07);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot64(1), (S_SYSCALL + 16) | 3);
	assert_int_equal(slot64(4), (S_SYSCALL + 8) | 3);
	assert_int_equal(slot64(2) & (FLAG_VM | FLAG_RF), 0);
	assert_int_equal(slot64(2) & FLAG_IOPL, FLAG_IOPL);
}

static void sysret_when_noncanonical_faults_by_vendor(void **state)
{
	(void)state;
	env_long(0);
	set_star();
	S->gpr[R_RCX] = 1ull << 47;
	env_code(0x48, 0x0f, 0x07);
	expect_fault(VEC_GP, 0);
	assert_int_equal(slot64(2) & 3, env_cpuid.amd ? 3 : 0); /* AMD: already in user mode */
}

static void sysret_when_cpl3_is_gp(void **state)
{
	(void)state;
	env_long(3);
	env_code(0x48, 0x0f, 0x07);
	expect_fault(VEC_GP, 0);
}

static void sysenter_when_pm_enters_and_sysexit_returns(void **state)
{
	(void)state;
	env_pm(3);
	S->sysenter_cs = S_CODE0;
	S->sysenter_esp = A_STACK1;
	S->sysenter_eip = A_CODE2;
	S->rflags |= FLAG_IF;
	memset(R + A_CODE2, 0xf4, 4);
	env_code(0x0f, 0x34);
	expect_done();
	assert_int_equal(S->rip, A_CODE2 + 1);
	assert_int_equal(S->gpr[R_RSP], A_STACK1);
	assert_int_equal(S->seg[SEG_CS].sel, S_CODE0);
	assert_int_equal(S->seg[SEG_SS].sel, S_CODE0 + 8);
	assert_int_equal(S->rflags & FLAG_IF, 0);
	env_pm(0);
	S->sysenter_cs = S_CODE0;
	S->gpr[R_RDX] = A_CODE2;
	S->gpr[R_RCX] = A_STACK3;
	R[A_CODE2] = 0xcd;
	R[A_CODE2 + 1] = 0x80;
	env_code(0x0f, 0x35);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(slot32(1), (S_CODE0 + 16) | 3);
	assert_int_equal(slot32(4), (S_CODE0 + 24) | 3);
	env_pm(3);
	env_code(0x0f, 0x34); /* SYSENTER_CS is null */
	expect_fault(VEC_GP, 0);
}

static void sysenter_when_long_mode_depends_on_vendor(void **state)
{
	(void)state;
	env_long(3);
	S->sysenter_cs = S_CODE64;
	S->sysenter_eip = A_CODE2;
	S->sysenter_esp = A_STACK1;
	memset(R + A_CODE2, 0xf4, 4);
	env_code(0x0f, 0x34);
	assert_int_equal(env_run(), env_cpuid.amd ? VEC_UD : -1);
}

static void swapgs_and_wrgsbase_when_run(void **state)
{
	(void)state;
	if (!env_cpuid.has[X86_FEAT_FSGSBASE])
		skip();
	env_long(0);
	S->cr4 |= CR4_FSGSBASE;
	S->kernel_gs_base = A_DATA;
	S->gpr[R_RDX] = 0x123456789000ull;
	R[A_DATA] = 0x5a;
	/* WRGSBASE RDX; SWAPGS; MOV AL,GS:[0]; RDGSBASE RBX */
	env_code(0xf3, 0x48, 0x0f, 0xae, 0xda, 0x0f, 0x01, 0xf8, 0x65, 0x8a, 0x04, 0x25, 0, 0, 0, 0,
		 0xf3, 0x48, 0x0f, 0xae, 0xcb);
	expect_done();
	assert_int_equal(S->gpr[R_RAX] & 0xff, 0x5a);
	assert_int_equal(S->gpr[R_RBX], A_DATA);
	assert_int_equal(S->kernel_gs_base, 0x123456789000ull);
	env_long(0);
	S->cr4 |= CR4_FSGSBASE;
	S->gpr[R_RDX] = 1ull << 47;
	env_code(0xf3, 0x48, 0x0f, 0xae, 0xda);
	expect_fault(VEC_GP, 0);
	env_long(3);
	env_code(0x0f, 0x01, 0xf8);
	expect_fault(VEC_GP, 0);
}

/* ---- MSRs ----------------------------------------------------------------------------------- */

static int wrmsr(uint32_t msr, uint64_t val)
{
	env_long(0);
	S->gpr[R_RCX] = msr;
	S->gpr[R_RAX] = val & 0xffffffff;
	S->gpr[R_RDX] = val >> 32;
	env_code(0x0f, 0x30);
	return env_run();
}

static int rdmsr(uint32_t msr, uint64_t *val)
{
	int v;

	S->rip = A_CODE;
	S->run_state = X86_RUNNING;
	S->gpr[R_RCX] = msr;
	env_code(0x0f, 0x32);
	v = env_run();
	*val = S->gpr[R_RAX] | S->gpr[R_RDX] << 32;
	return v;
}

static void msr_when_written_reads_back_or_faults(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t val;
		int vector;
		uint64_t back;
	} cases[] = {
		{MSR_STAR, 0x1234567812345678, -1, 0x1234567812345678},
		{MSR_LSTAR, 0xffffffff81000000, -1, 0xffffffff81000000},
		{MSR_LSTAR, 1ull << 50, VEC_GP, 0},
		{MSR_FS_BASE, 0x7fffffffffff, -1, 0x7fffffffffff},
		{MSR_GS_BASE, 1ull << 63, VEC_GP, 0},
		{MSR_KERNEL_GS_BASE, 0xffff888000000000, -1, 0xffff888000000000},
		{MSR_PAT, 0x0407050600070106, -1, 0x0407050600070106},
		{MSR_PAT, 2, VEC_GP, 0},
		{MSR_MTRR_CAP, 0, VEC_GP, 0},
		{MSR_MTRR_DEF_TYPE, 0xc06, -1, 0xc06},
		{MSR_MTRR_DEF_TYPE, 0xc02, VEC_GP, 0},
		{MSR_MTRR_FIX_4K + 7, 0x0606060606060606, -1, 0x0606060606060606},
		{MSR_MTRR_FIX_64K, 0x0306060606060606, VEC_GP, 0},
		{MSR_MTRR_VAR + 3, 0xfffffff800, -1, 0xfffffff800},
		{MSR_MTRR_VAR + 2, 0x10000000106, VEC_GP, 0},
		{MSR_EFER, EFER_SCE | EFER_LME | EFER_NXE | EFER_LMA, -1,
		 EFER_SCE | EFER_LME | EFER_NXE | EFER_LMA},
		{MSR_EFER, EFER_SCE | EFER_NXE, VEC_GP, 0}, /* LME off while paging */
		{MSR_EFER, EFER_LME | 1 << 12, VEC_GP, 0},  /* SVME */
		{MSR_SYSENTER_EIP, 0xffffffff81000000, -1, 0xffffffff81000000},
		{MSR_MC_BANKS, 0, -1, ~0ull},
		{MSR_MC_BANKS + 1, 1, VEC_GP, 0},
		{MSR_MC_BANKS + 4 * X86_MC_BANKS, 0, VEC_GP, 0},
		{MSR_TSC_AUX, 1ull << 32, VEC_GP, 0},
		{0xdead, 0, VEC_GP, 0},
		{0xc0011fff, 0, VEC_GP, 0},
		{MSR_ARCH_CAPABILITIES, 0, VEC_GP, 0},
		{MSR_APIC_BASE, 0xfee00800, -1, 0xfee00800},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t back;

		if (wrmsr(cases[i].msr, cases[i].val) != cases[i].vector)
			fail_msg("case %u: MSR %x", i, cases[i].msr);
		if (cases[i].vector >= 0)
			continue;
		assert_int_equal(rdmsr(cases[i].msr, &back), -1);
		if (back != cases[i].back)
			fail_msg("case %u: MSR %x reads %lx", i, cases[i].msr, back);
	}
}

static void tsc_when_written_moves_adjust_with_it(void **state)
{
	uint64_t adjust, tsc;

	(void)state;
	assert_int_equal(wrmsr(MSR_TSC, 1ull << 62), -1);
	assert_int_equal(rdmsr(MSR_TSC, &tsc), -1);
	assert_true(tsc >= 1ull << 62 && tsc - (1ull << 62) < 1ull << 36);
	assert_int_equal(rdmsr(MSR_TSC_ADJUST, &adjust), -1);
	assert_int_equal(adjust, S->tsc_offset);
	assert_int_equal(wrmsr(MSR_TSC_ADJUST, 5), -1);
	assert_int_equal(S->tsc_offset, 5);
}

static void rdtsc_when_tsd_user_is_gp(void **state)
{
	(void)state;
	env_long(3);
	S->cr4 |= CR4_TSD;
	env_code(0x0f, 0x31);
	expect_fault(VEC_GP, 0);
	env_long(0);
	S->cr4 |= CR4_TSD;
	S->tsc_aux = 0x77;
	env_code(0x0f, 0x31, 0x0f, 0x01, 0xf9);
	expect_done();
	assert_int_equal(S->gpr[R_RCX], 0x77);
}

static void user_when_privileged_instruction_is_gp(void **state)
{
	static const uint8_t code[][4] = {
		{0xf4},
		{0x0f, 0x06},
		{0x0f, 0x08},
		{0x0f, 0x09},
		{0x0f, 0x30},
		{0x0f, 0x32},
		{0x0f, 0x01, 0x38},
		{0x0f, 0x01, 0x10},
		{0x0f, 0x00, 0xd0},
		{0x0f, 0x00, 0xd8},
		{0x0f, 0x22, 0xd8},
		{0x0f, 0x21, 0xc0},
		{0x0f, 0x33},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
		env_long(3);
		S->gpr[R_RAX] = A_DATA;
		memcpy(R + A_CODE, code[i], 4);
		assert_int_equal(env_run(), VEC_GP);
		assert_int_equal(slot64(1), A_CODE);
	}
}

static void clac_stac_when_run_change_ac(void **state)
{
	(void)state;
	env_long(0);
	env_code(0x0f, 0x01, 0xcb);
	expect_done();
	assert_true(S->rflags & FLAG_AC);
	env_long(3);
	env_code(0x0f, 0x01, 0xca);
	assert_int_equal(env_run(), VEC_UD);
}

static void io_when_bitmap_denies_is_gp(void **state)
{
	(void)state;
	env_pm(3);
	R[A_TSS + 0x88 + 0x70 / 8] = 0xfe; /* port 70 only */
	env_code(0xe4, 0x70, 0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	assert_int_equal(S->gpr[R_RAX] & 0xff, 0x70);
	env_pm(3);
	R[A_TSS + 0x88 + 0x70 / 8] = 0xfe;
	env_code(0x66, 0xe5, 0x70); /* a word touches 71 too */
	expect_fault(VEC_GP, 0);
	env_pm(3);
	S->rflags |= FLAG_IOPL;
	env_code(0x66, 0xe5, 0x70, 0xcd, 0x80);
	assert_int_equal(env_run(), 0x80);
	env_vm86(3);
	env_code(0xe4, 0x70); /* VM86 asks the bitmap whatever IOPL is */
	expect_fault(VEC_GP, 0);
	env_pm(3);
	S->tr.limit = 0x88 + 0x0e; /* the second byte is outside */
	R[A_TSS + 0x88 + 0x70 / 8] = 0;
	env_code(0xe4, 0x70);
	expect_fault(VEC_GP, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mov_cr0_when_combination_invalid_is_gp),
		cmocka_unit_test(mov_cr_when_cpl3_is_gp_and_unknown_is_ud),
		cmocka_unit_test(protected_mode_when_entered_from_real),
		cmocka_unit_test(long_mode_when_enabled_sets_lma),
		cmocka_unit_test(long_mode_when_preconditions_miss_is_gp),
		cmocka_unit_test(mov_cr4_when_bit_unknown_is_gp),
		cmocka_unit_test(mov_cr3_when_pae_loads_and_checks_pdptes),
		cmocka_unit_test(mov_cr3_when_reserved_or_noflush),
		cmocka_unit_test(cr8_when_moved_goes_to_the_machine),
		cmocka_unit_test(lmsw_smsw_clts_when_run),
		cmocka_unit_test(xsetbv_when_invalid_is_gp),
		cmocka_unit_test(invlpg_and_cr3_when_tables_change_take_effect),
		cmocka_unit_test(invpcid_when_descriptor_bad_is_gp),
		cmocka_unit_test(lgdt_when_16_bit_operand_takes_24_bits),
		cmocka_unit_test(sgdt_when_umip_user_is_gp),
		cmocka_unit_test(ltr_when_loaded_marks_busy),
		cmocka_unit_test(lldt_when_loaded_serves_selectors),
		cmocka_unit_test(lar_lsl_when_visible_set_zf),
		cmocka_unit_test(verr_verw_when_checked_set_zf),
		cmocka_unit_test(arpl_when_rpl_lower_raises_it),
		cmocka_unit_test(syscall_when_64_bit_saves_and_masks),
		cmocka_unit_test(syscall_when_sce_clear_is_ud),
		cmocka_unit_test(syscall_when_compat_depends_on_vendor),
		cmocka_unit_test(sysretq_when_run_returns_to_user),
		cmocka_unit_test(sysret_when_noncanonical_faults_by_vendor),
		cmocka_unit_test(sysret_when_cpl3_is_gp),
		cmocka_unit_test(sysenter_when_pm_enters_and_sysexit_returns),
		cmocka_unit_test(sysenter_when_long_mode_depends_on_vendor),
		cmocka_unit_test(swapgs_and_wrgsbase_when_run),
		cmocka_unit_test(msr_when_written_reads_back_or_faults),
		cmocka_unit_test(tsc_when_written_moves_adjust_with_it),
		cmocka_unit_test(rdtsc_when_tsd_user_is_gp),
		cmocka_unit_test(user_when_privileged_instruction_is_gp),
		cmocka_unit_test(clac_stac_when_run_change_ac),
		cmocka_unit_test(io_when_bitmap_denies_is_gp),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
