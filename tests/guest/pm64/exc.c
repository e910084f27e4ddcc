// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exceptions of single instructions in 64-bit mode: which one, its error code, its address; what
 * comes first when several apply. Source: Intel SDM 3A ch. 6, 2A–2D instruction pages.
 */
#include "guest.h"

/* AMD processors have no SYSENTER in long mode. */
#define SYSENTER (-2)

/*
 * X(id, level, vector, error, text): RDI = 64 zeroed bytes, RSI = a non-canonical address.
 * QEMU 7.2 (TCG) differs: LOCK on MOV, TEST, BT and shifts, C6 /1, INT1, INT n's error code (it
 * counts 16 bytes for a gate), RF in the flags of a fault, LTR of null, LLDT's base.
 */
#define CASES(X)                                                                                   \
	X(push_es, 0, UD, 0, ".byte 0x06")                                                         \
	X(pop_es, 0, UD, 0, ".byte 0x07")                                                          \
	X(push_cs, 0, UD, 0, ".byte 0x0e")                                                         \
	X(push_ss, 0, UD, 0, ".byte 0x16")                                                         \
	X(pop_ds, 0, UD, 0, ".byte 0x1f")                                                          \
	X(daa, 0, UD, 0, ".byte 0x27")                                                             \
	X(das, 0, UD, 0, ".byte 0x2f")                                                             \
	X(aaa, 0, UD, 0, ".byte 0x37")                                                             \
	X(aas, 0, UD, 0, ".byte 0x3f")                                                             \
	X(pusha, 0, UD, 0, ".byte 0x60")                                                           \
	X(popa, 0, UD, 0, ".byte 0x61")                                                            \
	X(group1_82, 0, UD, 0, ".byte 0x82, 0xc0, 0")                                              \
	X(call_far_imm, 0, UD, 0, ".byte 0x9a, 0, 0, 0, 0, 8, 0")                                  \
	X(into, 0, UD, 0, ".byte 0xce")                                                            \
	X(aam, 0, UD, 0, ".byte 0xd4, 10")                                                         \
	X(aad, 0, UD, 0, ".byte 0xd5, 10")                                                         \
	X(salc, 0, UD, 0, ".byte 0xd6")                                                            \
	X(jmp_far_imm, 0, UD, 0, ".byte 0xea, 0, 0, 0, 0, 8, 0")                                   \
	X(ud0, 0, UD, 0, ".byte 0x0f, 0xff, 0xc0")                                                 \
	X(ud1, 0, UD, 0, ".byte 0x0f, 0xb9, 0xc0")                                                 \
	X(ud2, 3, UD, 0, "ud2")                                                                    \
	X(rsm, 0, UD, 0, "rsm")                                                                    \
	X(lea_reg, 0, UD, 0, ".byte 0x8d, 0xc0")                                                   \
	X(mov_cs, 0, UD, 0, ".byte 0x8e, 0xc8")                                                    \
	X(mov_seg6, 0, UD, 0, ".byte 0x8e, 0xf0")                                                  \
	X(pop_xop_1, 0, UD, 0, ".byte 0x8f, 0xc8")                                                 \
	X(grp11_1, 0, UD, 0, ".byte 0xc6, 0xc8, 0")                                                \
	X(grp4_2, 0, UD, 0, ".byte 0xfe, 0xd0")                                                    \
	X(grp5_7, 0, UD, 0, ".byte 0xff, 0xf8")                                                    \
	X(jmp_far_reg, 0, UD, 0, ".byte 0xff, 0xe8")                                               \
	X(call_far_reg, 0, UD, 0, ".byte 0xff, 0xd8")                                              \
	X(grp6_6, 0, UD, 0, ".byte 0x0f, 0x00, 0xf0")                                              \
	X(grp8_0, 0, UD, 0, ".byte 0x0f, 0xba, 0xc0, 1")                                           \
	X(lgdt_reg, 0, UD, 0, ".byte 0x0f, 0x01, 0xd2")                                            \
	X(invlpg_reg, 0, UD, 0, ".byte 0x0f, 0x01, 0xfb")                                          \
	X(cmpxchg8b_reg, 0, UD, 0, ".byte 0x0f, 0xc7, 0xc8")                                       \
	X(fxsave_lock, 0, UD, 0, ".byte 0xf0, 0x0f, 0xae, 0x07")                                   \
	X(mov_cr1, 0, UD, 0, ".byte 0x0f, 0x20, 0xc8")                                             \
	X(mov_cr5, 0, UD, 0, ".byte 0x0f, 0x20, 0xe8")                                             \
	X(mov_cr7, 0, UD, 0, ".byte 0x0f, 0x22, 0xf8")                                             \
	X(mov_cr9, 0, UD, 0, ".byte 0x44, 0x0f, 0x20, 0xc8")                                       \
	X(mov_dr8, 0, UD, 0, ".byte 0x44, 0x0f, 0x21, 0xc0")                                       \
	X(mov_cr_at_user, 3, GP, 0, "mov %cr0, %rax")                                              \
	X(lock_nop, 0, UD, 0, ".byte 0xf0, 0x90")                                                  \
	X(lock_mov, 0, UD, 0, ".byte 0xf0, 0x89, 0x07")                                            \
	X(lock_cmp, 0, UD, 0, ".byte 0xf0, 0x39, 0x07")                                            \
	X(lock_test, 0, UD, 0, ".byte 0xf0, 0x85, 0x07")                                           \
	X(lock_add_reg, 0, UD, 0, ".byte 0xf0, 0x01, 0xc0")                                        \
	X(lock_add_load, 0, UD, 0, ".byte 0xf0, 0x03, 0x07")                                       \
	X(lock_bt, 0, UD, 0, ".byte 0xf0, 0x0f, 0xba, 0x27, 1")                                    \
	X(lock_shl, 0, UD, 0, ".byte 0xf0, 0xd1, 0x27")                                            \
	X(lock_push, 0, UD, 0, ".byte 0xf0, 0x50\n pop %rax")                                              \
	X(lock_movs, 0, UD, 0, ".byte 0xf0, 0xa4")                                                 \
	X(lock_jmp, 0, UD, 0, ".byte 0xf0, 0xeb, 0")                                               \
	X(lock_add, 0, NO_TRAP, 0, "lock addl $1, (%rdi)")                                         \
	X(lock_not, 0, NO_TRAP, 0, "lock notl (%rdi)")                                             \
	X(lock_neg, 0, NO_TRAP, 0, "lock negq (%rdi)")                                             \
	X(lock_dec, 0, NO_TRAP, 0, "lock decb (%rdi)")                                             \
	X(lock_btc, 0, NO_TRAP, 0, "lock btcl $3, (%rdi)")                                         \
	X(lock_xadd, 0, NO_TRAP, 0, "lock xaddl %eax, (%rdi)")                                     \
	X(lock_xchg, 0, NO_TRAP, 0, "lock xchgl %eax, (%rdi)")                                     \
	X(lock_cmpxchg16b, 0, NO_TRAP, 0, "push %rbx\n lock cmpxchg16b (%rdi)\n pop %rbx")         \
	X(cmpxchg16b_misaligned, 0, GP, 0, "cmpxchg16b 8(%rdi)")                                   \
	X(insn_of_15, 0, NO_TRAP, 0, ".fill 14, 1, 0x2e\n nop")                                    \
	X(insn_of_16, 0, GP, 0, ".fill 15, 1, 0x2e\n nop")                                         \
	X(insn_of_16_bad, 0, GP, 0, ".fill 14, 1, 0x2e\n .byte 0x0f, 0xff")                        \
	X(insn_of_16_disp, 0, GP, 0, ".fill 9, 1, 0x2e\n .byte 0x81, 0x87, 0, 0, 0, 0, 0, 0, 0, 0") \
	X(vex_66, 0, UD, 0, ".byte 0x66, 0xc5, 0xf8, 0x28, 0xc0")                                  \
	X(vex_f2, 0, UD, 0, ".byte 0xf2, 0xc5, 0xf8, 0x28, 0xc0")                                  \
	X(vex_f3, 0, UD, 0, ".byte 0xf3, 0xc5, 0xf8, 0x28, 0xc0")                                  \
	X(vex_rex, 0, UD, 0, ".byte 0x48, 0xc5, 0xf8, 0x28, 0xc0")                                 \
	X(vex_lock, 0, UD, 0, ".byte 0xf0, 0xc5, 0xf8, 0x28, 0xc0")                                \
	X(vex_map0, 0, UD, 0, ".byte 0xc4, 0xe0, 0x78, 0x28, 0xc0")                                \
	X(div8_zero, 0, DE, 0, "xor %ecx, %ecx\n div %cl")                                         \
	X(div16_zero, 0, DE, 0, "xor %ecx, %ecx\n div %cx")                                        \
	X(div32_zero, 0, DE, 0, "xor %ecx, %ecx\n div %ecx")                                       \
	X(div64_zero, 3, DE, 0, "xor %ecx, %ecx\n div %rcx")                                       \
	X(div8_over, 0, DE, 0, "mov $0x200, %eax\n mov $2, %ecx\n div %cl")                        \
	X(div32_over, 0, DE, 0, "mov $2, %edx\n mov $2, %ecx\n div %ecx")                          \
	X(div64_over, 0, DE, 0, "mov $2, %edx\n mov $2, %ecx\n div %rcx")                          \
	X(div64_wide, 0, NO_TRAP, 0, "mov $1, %edx\n mov $2, %ecx\n div %rcx")                     \
	X(idiv32_min, 0, DE, 0,                                                                    \
	  "mov $0x80000000, %eax\n cltd\n mov $-1, %ecx\n idiv %ecx")                              \
	X(idiv64_min, 0, DE, 0,                                                                    \
	  "mov $1, %eax\n shl $63, %rax\n cqto\n mov $-1, %rcx\n idiv %rcx")                       \
	X(idiv8_min, 0, DE, 0, "mov $0xff80, %eax\n mov $0xff, %ecx\n idiv %cl")                   \
	X(hlt_user, 3, GP, 0, "hlt")                                                               \
	X(cli_user, 3, GP, 0, "cli")                                                               \
	X(sti_user, 3, GP, 0, "sti")                                                               \
	X(in_user, 3, GP, 0, "in $0x80, %al")                                                      \
	X(out_user, 3, GP, 0, "out %al, $0x80")                                                    \
	X(outsb_user_first, 3, GP, 0, "outsb")                                                     \
	X(lgdt_user_before_memory, 3, GP, 0, "lgdt (%rsi)")                                        \
	X(lidt_user, 3, GP, 0, "lidt (%rdi)")                                                      \
	X(lldt_user, 3, GP, 0, "lldt (%rdi)")                                                      \
	X(ltr_user, 3, GP, 0, "ltr (%rdi)")                                                        \
	X(lmsw_user, 3, GP, 0, "lmsw (%rdi)")                                                      \
	X(clts_user, 3, GP, 0, "clts")                                                             \
	X(invd_user, 3, GP, 0, "invd")                                                             \
	X(wbinvd_user, 3, GP, 0, "wbinvd")                                                         \
	X(invlpg_user, 3, GP, 0, "invlpg (%rdi)")                                                  \
	X(invlpg_non_canonical, 0, NO_TRAP, 0, "invlpg (%rsi)")                                    \
	X(rdmsr_user, 3, GP, 0, "mov $0x10, %ecx\n rdmsr")                                         \
	X(wrmsr_user, 3, GP, 0, "mov $0x10, %ecx\n wrmsr")                                         \
	X(swapgs_user, 3, GP, 0, "swapgs")                                                         \
	X(sysret_user, 3, UD, 0, "sysretq")                                                        \
	X(mov_dr_user, 3, GP, 0, "mov %dr7, %rax")                                                 \
	X(mov_cr8_user, 3, GP, 0, "mov %cr8, %rax")                                                \
	X(rdmsr_unknown, 0, GP, 0, "mov $0x12345678, %ecx\n rdmsr")                                \
	X(wrmsr_unknown, 0, GP, 0, "mov $0x12345678, %ecx\n wrmsr")                                \
	X(wrmsr_lstar_bad, 0, GP, 0,                                                               \
	  "mov $0xc0000082, %ecx\n xor %eax, %eax\n mov $0x8000, %edx\n wrmsr")                    \
	X(wrmsr_fsbase_bad, 0, GP, 0,                                                              \
	  "mov $0xc0000100, %ecx\n xor %eax, %eax\n mov $0x8000, %edx\n wrmsr")                    \
	X(mov_cr8_high, 0, GP, 0, "mov $16, %eax\n mov %rax, %cr8")                                \
	X(non_canonical_rmw, 0, GP, 0, "addl $1, (%rsi)")                                          \
	X(movs_non_canonical, 0, GP, 0, "movsb")                                                   \
	X(iret_nt, 0, GP, 0, "pushf\n orl $0x4000, (%rsp)\n popf\n iretq")                         \
	X(sysenter_no_cs, 3, SYSENTER, 0, "sysenter")                                               \
	X(syscall_off, 3, UD, 0, "syscall")                                                        \
	X(monitor_user, 3, UD, 0, ".byte 0x0f, 0x01, 0xc8")                                        \
	X(arpl_is_movsxd, 0, NO_TRAP, 0, ".byte 0x63, 0xc0")                                       \
	X(xchg_r8, 0, NO_TRAP, 0, "push %r8\n xchg %r8, %rax\n pop %r8")                           \
	X(int1, 0, DB, 0, ".byte 0xf1")                                                            \
	X(int1_user, 3, DB, 0, ".byte 0xf1")                                                       \
	X(int3_user, 3, BP, 0, "int3")                                                             \
	X(int_user_no_right, 3, GP, 0x20 * 8 + 2, "int $0x20")                                     \
	X(int_gp_user_no_right, 3, GP, 13 * 8 + 2, "int $13")                                      \
	X(int_right, 0, 0x20, 0, "int $0x20")

#define DEFINE(id, level, vec, err, text) SNIPPET(c_##id, text);
CASES(DEFINE)

static const struct {
	const char *name;
	uint8_t *code;
	int level, vec;
	word err;
} cases[] = {
#define ROW(id, level, vec, err, text) {#id, c_##id, level, vec, err},
	CASES(ROW)
};

static uint8_t memory[64] __attribute__((aligned(64)));
#define NON_CANONICAL 0x900000000000ull

static void all_cases(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		word a = cases[i].level ? USER(memory) : (word)memory;
		int vec = cases[i].vec;
		struct trap *t;

		if (vec == SYSENTER)
			vec = is_amd() ? UD : GP;
		memset(memory, 0, sizeof(memory));
		t = cases[i].level ? catch_user(cases[i].code, a, NON_CANONICAL) :
				     catch_trap(cases[i].code, a, NON_CANONICAL);
		check_trap(t, vec, cases[i].err, "%s", cases[i].name);
	}
}

SNIPPET(div_fault, "mov $0x11112222, %eax\n mov $0x3, %edx\n mov $2, %ecx\n.global div_at\ndiv_at: div %ecx");
extern uint8_t div_at[];
SNIPPET(ss_load, "mov %edi, %ss");
SNIPPET(ds_load, "mov %edi, %ds\n mov $0x10, %eax\n mov %eax, %ds");
SNIPPET(fs_load, "mov %edi, %fs");
SNIPPET(ltr_load, "ltr %di");
SNIPPET(lldt_load, "lldt %di");

static void faults_restart(void)
{
	struct trap *t = catch_trap(div_fault, 0, 0);

	check_eq(t->ip, (word)div_at, "#DE is a fault");
	check_eq(t->f.ax, 0x11112222, "DIV that faults leaves RAX");
	check_eq(t->f.dx, 3, "DIV that faults leaves RDX");
	check(t->flags & FL_RF, "a fault pushes RF set");
	t = catch_trap(c_int1, 0, 0);
	check_eq(t->ip, (word)c_int1 + 1, "INT1 is a trap");
	t = catch_trap(c_int_right, 0, 0);
	check_eq(t->ip, (word)c_int_right + 2, "INT n is a trap");
	check(!(t->flags & FL_RF), "INT n pushes RF clear");
}

static void segment_loads(void)
{
	unsigned sel = SEL_SPARE;

	gdt_set(sel, 0, 0xfffff, D_DATA | D_G | D_32);
	check_trap(catch_trap(ss_load, 0, 0), NO_TRAP, 0, "null SS at CPL 0 in 64-bit mode");
	check_trap(catch_user(ss_load, 0, 0), GP, 0, "null SS at CPL 3");
	check_trap(catch_user(ss_load, 3, 0), GP, 0, "null SS with RPL 3 at CPL 3");
	check_trap(catch_trap(ss_load, sel | 3, 0), GP, sel, "SS with RPL > CPL");
	check_trap(catch_user(ss_load, sel | 3, 0), GP, sel, "SS with DPL < CPL");
	check_trap(catch_trap(ss_load, SEL_KCODE, 0), GP, SEL_KCODE, "code segment into SS");
	check_trap(catch_user(ds_load, sel, 0), GP, sel, "DS with DPL < CPL");
	check_trap(catch_trap(ds_load, sizeof(gdt) + 8, 0), GP, sizeof(gdt) + 8,
		   "selector beyond the GDT");
	check_trap(catch_trap(ds_load, sel | 4, 0), GP, sel | 4, "LDT selector without an LDT");
	check_trap(catch_trap(ds_load, SEL_TSS, 0), GP, SEL_TSS, "system descriptor into DS");
	gdt_set(sel, 0, 0xfffff, (D_DATA | D_G | D_32) & ~D_P);
	check_trap(catch_trap(ds_load, sel, 0), NP, sel, "absent segment into DS");
	check_trap(catch_trap(ss_load, sel, 0), SS, sel, "absent segment into SS");
	gdt_set(sel, 0, 0xfffff, 0x91 | D_G | D_32);
	check_trap(catch_trap(ss_load, sel, 0), GP, sel, "read-only data into SS");
	check_trap(catch_trap(ds_load, sel, 0), NO_TRAP, 0, "read-only data into DS");
	gdt_set(sel, 0, 0xfffff, 0x99 | D_G | D_32);
	check_trap(catch_trap(ds_load, sel, 0), GP, sel, "execute-only code into DS");
	gdt_set(sel, 0, 0xfffff, 0x92 | D_G | D_32);
	check_trap(catch_trap(fs_load, sel, 0), NO_TRAP, 0, "FS load");
	check(gdt[sel >> 3] >> 40 & 1, "the accessed bit is set by a load");
	check_trap(catch_trap(fs_load, 0, 0), NO_TRAP, 0, "null FS");
	check_trap(catch_trap(ltr_load, SEL_TSS, 0), GP, SEL_TSS, "LTR of a busy TSS");
	if (!qemu_lacks("LTR of null"))
		check_trap(catch_trap(ltr_load, 0, 0), GP, 0, "LTR of null");
	check_trap(catch_trap(ltr_load, sel, 0), GP, sel, "LTR of a data segment");
	gdt_set(sel, 0, 103, D_TSS32 & ~D_P);
	gdt[(sel >> 3) + 1] = 0;
	check_trap(catch_trap(ltr_load, sel, 0), NP, sel, "LTR of an absent TSS");
	gdt_set(sel, 0, 103, D_LDT & ~D_P);
	check_trap(catch_trap(lldt_load, sel, 0), NP, sel, "LLDT of an absent LDT");
	check_trap(catch_trap(lldt_load, 0, 0), NO_TRAP, 0, "LLDT of null");
	check_trap(catch_trap(lldt_load, SEL_TSS, 0), GP, SEL_TSS, "LLDT of a TSS");
	gdt_set(sel, 0, 103, D_LDT);
	gdt[(sel >> 3) + 1] = 0x8000;
	check_trap(catch_trap(lldt_load, sel, 0), GP, sel, "LLDT with a non-canonical base");
	gdt[(sel >> 3) + 1] = 0;
	lldt(0);
}

SNIPPET(int30, "int $0x30");
/* Gates that cannot be used: error codes name the vector (bit 1) and outside events (bit 0). */
static void bad_gates(void)
{
	struct gate keep = idt[0x30], ud = idt[UD];

	idt[0x30].lo &= ~(1ull << 47);
	check_trap(catch_trap((void *)(word)c_int_right, 0, 0), 0x20, 0, "good gate");
	check_trap(catch_trap(int30, 0, 0), NP, 0x30 * 8 + 2, "INT n, absent gate");
	idt[0x30].lo = 0;
	check_trap(catch_trap(int30, 0, 0), GP, 0x30 * 8 + 2, "INT n, empty gate");
	idt_set(0x30, SEL_KCODE, trap_stubs[0x30], D_CALLGATE);
	check_trap(catch_trap(int30, 0, 0), GP, 0x30 * 8 + 2, "INT n, call gate in the IDT");
	idt_set(0x30, SEL_KDATA, trap_stubs[0x30], D_INTGATE);
	check_trap(catch_trap(int30, 0, 0), GP, SEL_KDATA, "INT n, gate to a data segment");
	idt_set(0x30, 0, trap_stubs[0x30], D_INTGATE);
	check_trap(catch_trap(int30, 0, 0), GP, 0, "INT n, gate with a null selector");
	idt_set(0x30, SEL_KCODE32, trap_stubs[0x30], D_INTGATE);
	check_trap(catch_trap(int30, 0, 0), GP, SEL_KCODE32, "INT n, gate to a 32-bit segment");
	idt[0x30] = keep;
	lidt(idt, 0x30 * 16 - 1);
	check_trap(catch_trap(int30, 0, 0), GP, 0x30 * 8 + 2, "INT n beyond the IDT's limit");
	lidt(idt, sizeof(idt) - 1);
	idt[UD].lo &= ~(1ull << 47);
	check_trap(catch_trap(c_ud2, 0, 0), NP, UD * 8 + 3, "exception, absent gate: EXT set");
	idt_set(UD, SEL_KDATA, trap_stubs[UD], D_INTGATE);
	check_trap(catch_trap(c_ud2, 0, 0), GP, SEL_KDATA | 1,
		   "exception, gate to a data segment: EXT set");
	idt[UD] = ud;
}

/* Interrupt stack tables and the stack of the inner level. */
static void stacks(void)
{
	static uint8_t ist_stack[4096] __attribute__((aligned(16)));
	struct gate keep = idt[UD];
	word rsp0 = tss.rsp[0];
	struct trap *t;

	idt[UD].lo |= 3ull << 32;
	tss.ist[2] = (word)ist_stack + sizeof(ist_stack) - 8; /* IST 3; aligned down by the CPU */
	t = catch_trap(c_ud2, 0, 0);
	check_trap(t, UD, 0, "exception by IST 3");
	check_eq(*(word *)(ist_stack + sizeof(ist_stack) - 16 - 40), (word)c_ud2,
		 "the frame is on the aligned IST stack");
	t = catch_user(c_ud2, 0, 0);
	check_eq(*(word *)(ist_stack + sizeof(ist_stack) - 16 - 8), SEL_UDATA,
		 "from CPL 3 by IST as well");
	tss.ist[2] = NON_CANONICAL;
	check_trap(catch_trap(c_ud2, 0, 0), SS, 1, "non-canonical IST: #SS with EXT");
	idt[UD] = keep;
	tss.rsp[0] = NON_CANONICAL;
	/* The #SS itself must have a stack. */
	idt[SS].lo |= 3ull << 32;
	tss.ist[2] = (word)ist_stack + sizeof(ist_stack);
	check_trap(catch_user(c_ud2, 0, 0), SS, 1, "non-canonical RSP0: #SS with EXT");
	tss.rsp[0] = rsp0;
	idt[SS].lo &= ~(7ull << 32);
}

void guest_test(void)
{
	all_cases();
	faults_restart();
	segment_loads();
	bad_gates();
	stacks();
}
