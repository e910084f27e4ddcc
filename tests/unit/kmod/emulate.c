// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel component's instruction emulator: devices and ports that user space answers for, what
 * happens when something fails half way, lengths of intercepted instructions, real mode, tasks.
 * Run: make t T=kmod/emulate
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "kemu_machine.h"

#define RAM (1u << 20)
#define CODE 0x1000u
#define DATA 0x4000u
#define STACK 0x8000u
#define GDT 0x9000u
#define TSS 0xa000u
#define TSS_NEW 0xb000u
#define DEVICE 0x3ee00000u
#define G K.s.gpr

static struct kemu K;

static uint64_t ld(uint64_t at, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, K.ram + at, n);
	return v;
}

static void st(uint64_t at, uint64_t v, unsigned n)
{
	memcpy(K.ram + at, &v, n);
}

static void put_desc(unsigned sel, uint32_t base, uint32_t limit, uint64_t attr)
{
	st(GDT + (sel & ~7u),
	   (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | attr << 40 |
		   (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56,
	   8);
}

static void flat(uint16_t cs_attr, uint16_t attr)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		K.s.seg[i] = (struct x86_seg){.limit = 0xffffffff, .attr = attr, .sel = 0x10};
	K.s.seg[SEG_CS] = (struct x86_seg){.limit = 0xffffffff, .attr = cs_attr, .sel = 8};
}

static int machine(void **state)
{
	uint8_t *ram = K.ram;

	(void)state;
	memset(&K, 0, sizeof(K));
	K.ram = ram;
	K.ram_bytes = RAM;
	memset(ram, 0, RAM);
	K.user = true;
	lodge_emu_init(&K.e, &kemu_ops, &K);
	/* 64-bit mode, CPL 0 */
	K.s.cr0 = CR0_PE | CR0_PG;
	K.s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE;
	K.s.efer = EFER_LMA | EFER_LME;
	K.s.xcr0 = 7;
	flat(0xa09b, 0xc093);
	K.s.rip = CODE;
	K.s.rflags = 2;
	K.s.gpr[R_RSP] = STACK;
	K.s.gdtr = (struct x86_dtable){.base = GDT, .limit = 0xff};
	put_desc(8, 0, 0xfffff, 0xc09b);
	put_desc(0x10, 0, 0xfffff, 0xc093);
	return 0;
}

static void real_mode(void)
{
	K.s.cr0 = 0;
	K.s.efer = 0;
	K.s.cr4 = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		K.s.seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	K.s.seg[SEG_CS].attr = 0x9b;
	K.s.idtr = (struct x86_dtable){.base = 0, .limit = 0x3ff};
}

static void protected32(void)
{
	K.s.cr0 = CR0_PE;
	K.s.efer = 0;
	flat(0xc09b, 0xc093);
	K.s.tr = (struct x86_seg){.base = TSS, .limit = 0x67, .attr = 0x8b, .sel = 0x18};
	K.s.ldtr.unusable = true;
	put_desc(0x18, TSS, 0x67, 0x8b);
	put_desc(0x20, TSS_NEW, 0x67, 0x89);
}

#define code(...)                                                                      \
	do {                                                                           \
		const uint8_t bytes_[] = {__VA_ARGS__};                                \
                                                                                       \
		memcpy(K.ram + K.s.rip + (K.s.cr0 ? 0 : K.s.seg[SEG_CS].base), bytes_, \
		       sizeof(bytes_));                                                \
	} while (0)

static void expect_access(unsigned i, bool write, uint64_t addr, unsigned size, uint64_t value)
{
	assert_int_equal(K.log[i].write, write);
	assert_int_equal(K.log[i].addr, addr);
	assert_int_equal(K.log[i].size, size);
	if (write)
		assert_int_equal(K.log[i].value, value);
}

/* A device whose every read gives the next number. */
static uint64_t counter;
static uint64_t counting(struct kemu *k, bool port, uint64_t addr, unsigned size)
{
	(void)k, (void)port, (void)addr, (void)size;
	return ++counter;
}

/* ---- Device memory ---------------------------------------------------------------------------- */

static void mov_when_device_memory_expect_one_read(void **state)
{
	(void)state;
	counter = 0x1234567800;
	K.answer = counting;
	G[R_RAX] = ~0ull;
	G[R_RDI] = DEVICE;
	code(0x8b, 0x47, 0x20); /* mov eax, [rdi+0x20] */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 1);
	expect_access(0, false, DEVICE + 0x20, 4, 0);
	assert_int_equal(G[R_RAX], 0x34567801);
	assert_int_equal(K.s.rip, CODE + 3);
}

static void mov_when_store_expect_one_write(void **state)
{
	(void)state;
	G[R_RDI] = DEVICE;
	code(0x48, 0xc7, 0x47, 0x08, 0xfe, 0xff, 0xff, 0xff); /* mov qword [rdi+8], -2 */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 1);
	expect_access(0, true, DEVICE + 8, 8, -2ull);
}

static void add_when_device_memory_expect_read_then_write(void **state)
{
	(void)state;
	counter = 40;
	K.answer = counting;
	G[R_RDI] = DEVICE;
	G[R_RCX] = 1;
	code(0xf0, 0x01, 0x0f); /* lock add [rdi], ecx */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 2);
	expect_access(0, false, DEVICE, 4, 0);
	expect_access(1, true, DEVICE, 4, 42);
}

static void registers_when_user_space_has_not_answered_expect_as_before(void **state)
{
	(void)state;
	G[R_RDI] = DEVICE;
	G[R_RCX] = 7;
	code(0x0f, 0xc1, 0x0f); /* xadd [rdi], ecx */
	kemu_in(&K);
	assert_int_equal(lodge_emu_run(&K.e), LODGE_EMU_NEED_IO);
	assert_true(lodge_emu_waits(&K.e));
	assert_int_equal(K.e.gpr[R_RCX], 7);
	assert_int_equal(K.e.rip, CODE);
	lodge_emu_drop(&K.e);
	assert_false(lodge_emu_waits(&K.e));
}

static void movaps_when_device_memory_expect_two_reads_of_eight(void **state)
{
	uint64_t v[2];

	(void)state;
	counter = 0;
	K.answer = counting;
	G[R_RDI] = DEVICE;
	code(0x0f, 0x28, 0x1f); /* movaps xmm3, [rdi] */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 2);
	expect_access(0, false, DEVICE, 8, 0);
	expect_access(1, false, DEVICE + 8, 8, 0);
	kemu_get_vec(&K, 3, v, 16);
	assert_int_equal(v[0], 1);
	assert_int_equal(v[1], 2);
}

static void vmovdqu_when_store_expect_four_writes(void **state)
{
	uint64_t v[4] = {1, 2, 3, 4};

	(void)state;
	kemu_set_vec(&K, 2, v, 32);
	G[R_RDI] = DEVICE;
	code(0xc5, 0xfe, 0x7f, 0x17); /* vmovdqu [rdi], ymm2 */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 4);
	expect_access(3, true, DEVICE + 24, 8, 4);
}

static void rep_movs_when_from_device_expect_each_element_read_once(void **state)
{
	(void)state;
	counter = 0;
	K.answer = counting;
	G[R_RSI] = DEVICE;
	G[R_RDI] = DATA;
	G[R_RCX] = 5;
	code(0xf3, 0xa5); /* rep movsd */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 5);
	assert_int_equal(ld(DATA + 16, 4), 5);
	assert_int_equal(G[R_RCX], 0);
	assert_int_equal(G[R_RDI], DATA + 20);
	assert_int_equal(K.s.rip, CODE + 2);
}

static void store_when_second_page_faults_expect_no_access(void **state)
{
	(void)state;
	G[R_RDI] = (1u << 30) - 2; /* pages beyond are not mapped */
	code(0x89, 0x07);	   /* mov [rdi], eax */
	assert_int_equal(kemu_run(&K), LODGE_EMU_EXCEPTION);
	assert_int_equal(K.e.ex.vector, VEC_PF);
	assert_int_equal(K.e.ex.cr2, 1u << 30);
	assert_int_equal(K.e.ex.error, PF_W);
	assert_int_equal(K.logged, 0);
	assert_int_equal(K.s.rip, CODE);
}

static void locked_add_when_value_changes_expect_retry_without_change(void **state)
{
	(void)state;
	st(DATA, 100, 4);
	K.changes = 1;
	G[R_RDI] = DATA;
	G[R_RCX] = 5;
	code(0xf0, 0x01, 0x0f);
	assert_int_equal(kemu_run(&K), LODGE_EMU_RETRY);
	assert_int_equal(ld(DATA, 4), 101);
	assert_int_equal(K.s.rip, CODE);
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(ld(DATA, 4), 106);
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static void in_when_user_space_answers_expect_register(void **state)
{
	(void)state;
	G[R_RAX] = 0xffffffff00000000;
	G[R_RDX] = 0x3f8;
	code(0x66, 0xed); /* in ax, dx */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(G[R_RAX], 0xffffffff000003f8);
	assert_int_equal(K.logged, 1);
}

static void rep_ins_when_many_expect_one_exit(void **state)
{
	(void)state;
	counter = 0;
	K.answer = counting;
	G[R_RDX] = 0x1f0;
	G[R_RDI] = DATA;
	G[R_RCX] = 256;
	code(0xf3, 0x66, 0x6d); /* rep insw */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 1);
	assert_int_equal(K.log[0].count, 256);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(ld(DATA + 2 * i, 2), i + 1);
	assert_int_equal(G[R_RCX], 0);
	assert_int_equal(G[R_RDI], DATA + 512);
}

static void rep_outs_when_across_pages_expect_an_exit_a_page(void **state)
{
	(void)state;
	G[R_RDX] = 0x1f0;
	G[R_RSI] = DATA + 0x1000 - 8;
	G[R_RCX] = 8;
	code(0xf3, 0x66, 0x6f); /* rep outsw */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.logged, 2);
	assert_int_equal(K.log[0].count, 4);
	assert_int_equal(K.log[1].count, 4);
	assert_int_equal(G[R_RSI], DATA + 0x1008);
}

static void out_when_no_rights_expect_gp(void **state)
{
	(void)state;
	K.s.tr = (struct x86_seg){.base = TSS, .limit = 0x67, .attr = 0x8b};
	st(TSS + 0x66, 0x68, 2);
	K.s.seg[SEG_SS].attr = 0xc0f3;
	K.s.seg[SEG_CS].attr = 0xa0fb;
	G[R_RDX] = 0x80;
	code(0xee); /* out dx, al */
	assert_int_equal(kemu_run(&K), LODGE_EMU_EXCEPTION);
	assert_int_equal(K.e.ex.vector, VEC_GP);
	K.e.hints = LODGE_EMU_IO_CHECKED;
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
}

/* ---- What the caller has to do, refusals, lengths ------------------------------------------------- */

static void hlt_when_run_expect_todo(void **state)
{
	(void)state;
	code(0xf4);
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.e.todo, LODGE_EMU_TODO_HLT);
	assert_int_equal(K.s.rip, CODE + 1);
}

static void x87_when_memory_operand_expect_refusal_with_its_bytes(void **state)
{
	(void)state;
	G[R_RDI] = DEVICE;
	code(0xd8, 0x07); /* fadd dword [rdi] */
	assert_int_equal(kemu_run(&K), LODGE_EMU_REFUSED);
	assert_int_equal(K.e.bytes[0], 0xd8);
	assert_int_equal(K.e.insn.len, 2);
	assert_int_equal(K.logged, 0);
}

static void x87_when_looked_for_expect_its_words_or_nm(void **state)
{
	(void)state;
	G[R_RAX] = ~0ull;
	code(0xdb, 0xe3, 0xdf, 0xe0, 0xd9, 0x3c, 0x25, 0, 0x50, 0,
	     0); /* fninit; fnstsw ax; fnstcw [0x5000] */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(G[R_RAX], ~0xffffull);
	assert_int_equal(ld(0x5000, 2), 0x37f);
	K.s.rip = CODE;
	K.s.cr0 |= CR0_TS;
	assert_int_equal(kemu_run(&K), LODGE_EMU_EXCEPTION);
	assert_int_equal(K.e.ex.vector, VEC_NM);
}

static void unknown_when_processor_took_it_expect_refusal_else_ud(void **state)
{
	(void)state;
	code(0x62, 0xf1, 0x7c, 0x48, 0x10, 0x07); /* vmovups zmm0, [rdi]: EVEX */
	assert_int_equal(kemu_run(&K), LODGE_EMU_EXCEPTION);
	assert_int_equal(K.e.ex.vector, VEC_UD);
	K.e.hints = LODGE_EMU_VALID;
	assert_int_equal(kemu_run(&K), LODGE_EMU_REFUSED);
}

static void decode_when_intercepted_expect_length(void **state)
{
	static const struct {
		uint8_t len, b[8];
		uint16_t op;
	} t[] = {
		{2, {0x0f, 0xa2}, X86_OP_CPUID},
		{2, {0x0f, 0x32}, X86_OP_RDMSR},
		{2, {0x0f, 0x30}, X86_OP_WRMSR},
		{1, {0xf4}, X86_OP_HLT},
		{3, {0x67, 0x66, 0xed}, X86_OP_IN},
		{2, {0xe6, 0x80}, X86_OP_OUT},
		{2, {0xf3, 0x6c}, X86_OP_INS},
		{3, {0x0f, 0x22, 0xc0}, X86_OP_MOV_TO_CR},
		{4, {0x44, 0x0f, 0x20, 0xc0}, X86_OP_MOV_FROM_CR},
		{3, {0x0f, 0x23, 0xf8}, X86_OP_MOV_TO_DR},
		{2, {0x0f, 0x06}, X86_OP_CLTS},
		{3, {0x0f, 0x01, 0xf0}, X86_OP_LMSW},
		{4, {0x0f, 0x01, 0x7f, 0x08}, X86_OP_INVLPG},
		{2, {0x0f, 0x31}, X86_OP_RDTSC},
		{3, {0x0f, 0x01, 0xf9}, X86_OP_RDTSCP},
		{2, {0xf3, 0x90}, X86_OP_PAUSE},
		{3, {0x0f, 0x01, 0xd9}, X86_OP_VMMCALL},
		{3, {0x0f, 0x01, 0xc1}, X86_OP_VMCALL},
		{3, {0x0f, 0x01, 0xd1}, X86_OP_XSETBV},
		{2, {0x0f, 0x08}, X86_OP_INVD},
		{2, {0x0f, 0x09}, X86_OP_WBINVD},
		{3, {0x0f, 0x01, 0xc8}, X86_OP_MONITOR},
		{3, {0x0f, 0x01, 0xc9}, X86_OP_MWAIT},
		{2, {0xcd, 0x80}, X86_OP_INT},
		{1, {0xcc}, X86_OP_INT3},
		{2, {0x48, 0xcf}, X86_OP_IRET},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memcpy(K.ram + CODE, t[i].b, 8);
		kemu_in(&K);
		K.e.fetched = 0;
		assert_int_equal(lodge_emu_decode(&K.e), LODGE_EMU_DONE);
		assert_int_equal(K.e.insn.op, t[i].op);
		assert_int_equal(K.e.next_rip, CODE + t[i].len);
	}
}

static void fetch_when_across_pages_expect_second_page_only_if_needed(void **state)
{
	(void)state;
	K.s.rip = (1u << 30) - 2;
	K.device[0] = 0;
	K.e.fetched = 2; /* the processor has left them */
	K.e.bytes[0] = 0x89;
	K.e.bytes[1] = 0xc8; /* mov eax, ecx */
	G[R_RCX] = 5;
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(G[R_RAX], 5);
	K.s.rip = (1u << 30) - 2;
	K.e.fetched = 2;
	K.e.bytes[0] = 0x8b;
	K.e.bytes[1] = 0x80; /* four more */
	assert_int_equal(kemu_run(&K), LODGE_EMU_EXCEPTION);
	assert_int_equal(K.e.ex.cr2, 1u << 30);
	assert_int_equal(K.e.ex.error & PF_I, PF_I);
}

static void int_when_protected_expect_event_with_next_rip(void **state)
{
	(void)state;
	code(0xcd, 0x80);
	assert_int_equal(kemu_run(&K), LODGE_EMU_EVENT);
	assert_int_equal(K.e.ex.vector, 0x80);
	assert_int_equal(K.e.next_rip, CODE + 2);
	assert_int_equal(K.s.rip, CODE);
}

/* ---- Real mode, mode switches ---------------------------------------------------------------------- */

static void int_when_real_mode_expect_handler_with_frame(void **state)
{
	(void)state;
	real_mode();
	K.s.rflags = 2 | FLAG_IF | FLAG_CF;
	st(0x21 * 4, 0x5000u << 16 | 0x0012, 4);
	code(0xcd, 0x21);
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.rip, 0x12);
	assert_int_equal(K.s.seg[SEG_CS].base, 0x50000);
	assert_int_equal(G[R_RSP], STACK - 6);
	assert_int_equal(ld(STACK - 6, 2), CODE + 2);
	assert_int_equal(ld(STACK - 2, 2), 2 | FLAG_IF | FLAG_CF);
	assert_int_equal(K.s.rflags, 2 | FLAG_CF);
	/* and back */
	memcpy(K.ram + 0x50012, "\xcf", 1);
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.rip, CODE + 2);
	assert_int_equal(K.s.seg[SEG_CS].base, 0);
	assert_int_equal(K.s.rflags, 2 | FLAG_IF | FLAG_CF);
}

static void event_when_real_mode_without_table_expect_shutdown(void **state)
{
	(void)state;
	real_mode();
	K.s.idtr.limit = 0;
	kemu_in(&K);
	assert_int_equal(lodge_emu_real_event(&K.e, 8, CODE), LODGE_EMU_SHUTDOWN);
}

static void far_jump_when_pe_was_set_expect_protected_code(void **state)
{
	(void)state;
	real_mode();
	G[R_RAX] = 1;
	code(0x0f, 0x01, 0xf0, 0x66, 0xea, 0x00, 0x20, 0x00, 0x00, 0x08,
	     0x00); /* lmsw ax; jmp 8:2000 */
	put_desc(8, 0, 0xfffff, 0xc09a);
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.cr0 & CR0_PE, CR0_PE);
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.rip, 0x2000);
	assert_int_equal(K.s.seg[SEG_CS].sel, 8);
	assert_int_equal(K.s.seg[SEG_CS].limit, 0xffffffff);
	assert_int_equal(ld(GDT + 8 + 5, 1), 0x9b); /* accessed */
}

static void mov_ss_when_loaded_expect_shadow(void **state)
{
	(void)state;
	real_mode();
	K.s.rflags |= FLAG_TF;
	G[R_RAX] = 0x2000;
	code(0x8e, 0xd0); /* mov ss, ax */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.int_shadow, X86_SHADOW_SS);
	assert_false(K.e.trap);
	assert_int_equal(K.s.seg[SEG_SS].base, 0x20000);
}

/* ---- Tasks ----------------------------------------------------------------------------------------- */

static void put_task(unsigned at)
{
	st(at + 0x20, 0x2345, 4); /* EIP */
	st(at + 0x24, 2 | FLAG_ZF, 4);
	for (unsigned i = 0; i < 8; i++)
		st(at + 0x28 + 4 * i, i == R_RSP ? STACK - 0x100 : 0x1000 + i, 4);
	for (unsigned i = 0; i < 6; i++)
		st(at + 0x48 + 4 * i, i == SEG_CS ? 8 : 0x10, 2);
}

static void task_switch_when_call_expect_both_tss_and_link(void **state)
{
	(void)state;
	protected32();
	put_task(TSS_NEW);
	G[R_RBX] = 0x77;
	code(0x9a, 0, 0, 0, 0, 0x20, 0); /* call 20:0 */
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.rip, 0x2345);
	assert_int_equal(G[R_RBX], 0x1003);
	assert_int_equal(K.s.rflags, 2 | FLAG_ZF | FLAG_NT);
	assert_int_equal(K.s.tr.sel, 0x20);
	assert_int_equal(K.s.cr0 & CR0_TS, CR0_TS);
	assert_int_equal(ld(TSS + 0x20, 4), CODE + 7);
	assert_int_equal(ld(TSS + 0x28 + 4 * R_RBX, 4), 0x77);
	assert_int_equal(ld(TSS_NEW, 2), 0x18);
	assert_int_equal(ld(GDT + 0x20 + 5, 1), 0x8b); /* both busy */
	assert_int_equal(ld(GDT + 0x18 + 5, 1), 0x8b);
	/* IRET with NT goes back */
	K.ram[0x2345] = 0xcf;
	assert_int_equal(kemu_run(&K), LODGE_EMU_DONE);
	assert_int_equal(K.s.rip, CODE + 7);
	assert_int_equal(G[R_RBX], 0x77);
	assert_int_equal(K.s.tr.sel, 0x18);
	assert_int_equal(ld(GDT + 0x20 + 5, 1), 0x89);
}

static void task_switch_when_gate_with_error_expect_it_on_the_stack(void **state)
{
	(void)state;
	protected32();
	put_task(TSS_NEW);
	kemu_in(&K);
	assert_int_equal(
		kemu_finish(&K, lodge_emu_task_switch(&K.e, 0x20, LODGE_EMU_TASK_GATE, true, 0x55)),
		LODGE_EMU_DONE);
	assert_int_equal(G[R_RSP], STACK - 0x104);
	assert_int_equal(ld(STACK - 0x104, 4), 0x55);
	assert_int_equal(ld(TSS + 0x20, 4), CODE);
}

static void task_switch_when_tss_is_short_expect_ts(void **state)
{
	(void)state;
	protected32();
	put_desc(0x20, TSS_NEW, 0x40, 0x89);
	kemu_in(&K);
	assert_int_equal(lodge_emu_task_switch(&K.e, 0x20, LODGE_EMU_TASK_JMP, false, 0),
			 LODGE_EMU_EXCEPTION);
	assert_int_equal(K.e.ex.vector, VEC_TS);
	assert_int_equal(K.e.ex.error, 0x20);
	assert_int_equal(ld(TSS + 0x20, 4), 0);
	assert_int_equal(K.nsets, 0);
}

#define T(name) cmocka_unit_test_setup(name, machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(mov_when_device_memory_expect_one_read),
		T(mov_when_store_expect_one_write),
		T(add_when_device_memory_expect_read_then_write),
		T(registers_when_user_space_has_not_answered_expect_as_before),
		T(movaps_when_device_memory_expect_two_reads_of_eight),
		T(vmovdqu_when_store_expect_four_writes),
		T(rep_movs_when_from_device_expect_each_element_read_once),
		T(store_when_second_page_faults_expect_no_access),
		T(locked_add_when_value_changes_expect_retry_without_change),
		T(in_when_user_space_answers_expect_register),
		T(rep_ins_when_many_expect_one_exit),
		T(rep_outs_when_across_pages_expect_an_exit_a_page),
		T(out_when_no_rights_expect_gp),
		T(hlt_when_run_expect_todo),
		T(x87_when_memory_operand_expect_refusal_with_its_bytes),
		T(x87_when_looked_for_expect_its_words_or_nm),
		T(unknown_when_processor_took_it_expect_refusal_else_ud),
		T(decode_when_intercepted_expect_length),
		T(fetch_when_across_pages_expect_second_page_only_if_needed),
		T(int_when_protected_expect_event_with_next_rip),
		T(int_when_real_mode_expect_handler_with_frame),
		T(event_when_real_mode_without_table_expect_shutdown),
		T(far_jump_when_pe_was_set_expect_protected_code),
		T(mov_ss_when_loaded_expect_shadow),
		T(task_switch_when_call_expect_both_tss_and_link),
		T(task_switch_when_gate_with_error_expect_it_on_the_stack),
		T(task_switch_when_tss_is_short_expect_ts),
	};

	K.ram = calloc(1, RAM);
	return K.ram ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
