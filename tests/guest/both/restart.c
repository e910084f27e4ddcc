// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions that fault half way and run again: with their pages mapped on demand they must do
 * what they do with the pages there. Each instruction runs over a page end, with neither, either
 * and both of the pages absent at first; registers, flags and memory at the end must agree.
 * Source: Intel SDM 3A §6.6 (restart of instructions).
 */
#include "map.h"

#define EDGE (MAP_VA + 4096)     /* operands lie over this page end */
#define STACK (MAP_VA + 3 * 4096) /* and stacks over this one */

static unsigned faults;
static word bad_cr2;

static void on_pf(struct frame *f)
{
	word page = (read_cr2() - MAP_VA) >> 12;

	faults++;
	if (page >= MAP_PAGES || (f->err & ERR_P) || faults > 20) {
		bad_cr2 = read_cr2();
		set_handler(PF, NULL);
		return;
	}
	map_set((unsigned)page, 7);
}

/* Results: the registers after the snippet. */
static word out[12] __asm__("out") __attribute__((used));

#if IS64
#define R(x) "%r" x
#define W "8"
#define PTR "q"
#define SAVE "push %rbx\n push %rbp\n push %r12\n push %r13\n mov %rsp, %r12\n"
#define REST                                                                                       \
	"\n mov %rax, out\n mov %rbx, out+8\n mov %rcx, out+16\n mov %rdx, out+24\n"               \
	"mov %rsi, out+32\n mov %rdi, out+40\n mov %rbp, out+48\n pushf\n pop out+56\n"            \
	"mov %rsp, out+64\n mov %r12, %rsp\n cld\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx"
#define INIT                                                                                       \
	"mov $0x1122334455667788, %rax\n mov $3, %ecx\n mov $0x0102030405060708, %rdx\n"           \
	"mov $0x99, %ebx\n mov %rsi, %rbp\n mov %rdi, %rsi\n sub $1, %rsi\n stc\n"
#define STK "mov %rbp, %rsp\n"
#else
#define R(x) "%e" x
#define W "4"
#define PTR "l"
#define SAVE "push %ebx\n push %ebp\n push %esi\n push %edi\n mov %esp, saved\n mov %eax, %edi\n mov %edx, %ebp\n"
#define REST                                                                                       \
	"\n mov %eax, %ss:out\n mov %ebx, out+4\n mov %ecx, out+8\n mov %edx, out+12\n"            \
	"mov %esi, out+16\n mov %edi, out+20\n mov %ebp, out+24\n mov %esp, out+32\n"              \
	"mov saved, %esp\n pushf\n pop out+28\n cld\n pop %edi\n pop %esi\n pop %ebp\n pop %ebx"
#define INIT                                                                                       \
	"mov $0x55667788, %eax\n mov $3, %ecx\n mov $0x05060708, %edx\n mov $0x99, %ebx\n"         \
	"mov %edi, %esi\n sub $1, %esi\n stc\n"
#define STK "mov %ebp, %esp\n"
static word saved __asm__("saved") __attribute__((used));
#endif

/* DI = 3 bytes before the page end, SI one less, BP = a stack whose next push crosses STACK. */
#define OPERAND(name, insn) SNIPPET(name, SAVE INIT insn REST)
#define ON_STACK(name, insn) SNIPPET(name, SAVE INIT STK insn REST)

OPERAND(load, "mov (" R("di") "), " R("ax"));
OPERAND(store, "mov " R("ax") ", (" R("di") ")");
OPERAND(add_to, "add " R("ax") ", (" R("di") ")");
OPERAND(adc_from, "adc (" R("di") "), " R("ax"));
OPERAND(lock_sub, "lock sub " R("ax") ", (" R("di") ")");
OPERAND(xchg, "xchg " R("ax") ", (" R("di") ")");
OPERAND(xadd, "lock xadd " R("ax") ", (" R("di") ")");
OPERAND(cmpxchg, "cmpxchg " R("dx") ", (" R("di") ")");
OPERAND(cmpxchg8b, "lock cmpxchg8b (" R("di") ")");
OPERAND(inc, "inc" PTR " (" R("di") ")");
OPERAND(neg, "lock neg" PTR " (" R("di") ")");
OPERAND(shl, "shl" PTR " %cl, (" R("di") ")");
OPERAND(rcr, "rcr" PTR " $5, (" R("di") ")");
OPERAND(shld, "shld $7, " R("dx") ", (" R("di") ")");
OPERAND(bts, "bts " R("cx") ", (" R("di") ")");
OPERAND(mul, "mul" PTR " (" R("di") ")");
OPERAND(idiv, "mov $0, %edx\n mov $99, %eax\n idiv" PTR " (" R("di") ")");
OPERAND(imul3, "imul $100, (" R("di") "), " R("cx"));
OPERAND(movs_q, "movsl");
OPERAND(rep_movs, "rep movsl");
OPERAND(rep_movs_down, "std\n rep movsl");
OPERAND(rep_stos, "rep stosw");
OPERAND(repe_cmps, "repe cmpsb");
OPERAND(repne_scas, "repne scasl");
OPERAND(lods, "lodsl");
OPERAND(sgdt, "sgdt (" R("di") ")");
OPERAND(sidt, "sidt (" R("di") ")");
OPERAND(smsw, "smsww (" R("di") ")");
OPERAND(sldt, "sldt (" R("di") ")");
OPERAND(fnsave, "fninit\n fnsave (" R("di") ")");
OPERAND(fstpt, "fninit\n fldpi\n fstpt (" R("di") ")");
OPERAND(fld, "fninit\n fldl (" R("di") ")\n fnstsw %ax\n fninit");
OPERAND(fist, "fninit\n fld1\n fistpll (" R("di") ")");
OPERAND(bound_push, "push" PTR " (" R("di") ")\n pop " R("ax"));
OPERAND(pop_mem, "push " R("dx") "\n pop" PTR " (" R("di") ")");
OPERAND(set_byte, "setc 2(" R("di") ")\n setnc 3(" R("di") ")");
OPERAND(movbe, "movbe " R("ax") ", (" R("di") ")");
OPERAND(movnti, "movnti " R("ax") ", (" R("di") ")");
OPERAND(movups, "movups -8(" R("di") "), %xmm0\n movups %xmm0, (" R("di") ")");
OPERAND(maskmov, "pcmpeqb %xmm0, %xmm0\n movups (" R("si") "), %xmm1\n maskmovdqu %xmm0, %xmm1");

ON_STACK(push, "push " R("ax"));
ON_STACK(push2, "push " R("ax") "\n push " R("cx") "\n push " R("dx"));
ON_STACK(push_imm, "push $0x1234");
ON_STACK(push_word, "pushw %dx\n pushw %dx\n pushw %dx");
ON_STACK(pop, "pop " R("ax") "\n pop " R("cx"));
ON_STACK(push_mem, "push" PTR " (" R("di") ")");
ON_STACK(pop_to_mem, "pop" PTR " (" R("di") ")");
ON_STACK(pop_sp_rel, "sub $16, " R("sp") "\n pop" PTR " " W "(" R("sp") ")");
ON_STACK(call_ret, "call 1f\n jmp 2f\n 1: mov $77, %ebx\n ret\n 2:");
ON_STACK(call_mem, "lea 4f, " R("ax") "\n mov " R("ax") ", (" R("di") ")\n call *(" R("di") ")\n jmp 2f\n 4: mov $78, %ebx\n ret $" W "\n 2:");
ON_STACK(pushf_popf, "pushf\n std\n popf");
ON_STACK(enter0, "enter $64, $0");
ON_STACK(enter3, "mov " R("di") ", " R("bp") "\n enter $16, $3");
ON_STACK(leave, "mov " R("sp") ", " R("bp") "\n mov $0, " R("sp") "\n leave");
#if !IS64
ON_STACK(pusha, "pusha");
ON_STACK(popa, "popa\n mov $1, %eax\n mov %esp, %edi\n mov %esp, %ebp\n mov $2, %ebx\n mov $3, %edx\n mov $5, %esi");
OPERAND(les, "mov %es, %ebx\n movl $0x12345678, (%edi)\n mov %ds, 4(%edi)\n les (%edi), %ecx\n mov %ebx, %es");
OPERAND(bound, "movl $1, -5(%edi)\n movl $0x7fffffff, -1(%edi)\n mov $5, %ecx\n bound %ecx, -5(%edi)");
#else
OPERAND(movups256, "vmovups -8(%rdi), %ymm0\n vmovups %ymm0, (%rdi)");
OPERAND(iretq, "mov %rsp, %r13\n mov %ss, %ebx\n mov %rbx, 29(%rdi)\n mov %r13, 21(%rdi)\n pushf\n pop %rbx\n"
	       "mov %rbx, 13(%rdi)\n mov %cs, %ebx\n mov %rbx, 5(%rdi)\n lea 1f(%rip), %rbx\n mov %rbx, -3(%rdi)\n"
	       "lea -3(%rdi), %rsp\n iretq\n 1: mov $0, %ebx");
#endif

static const struct {
	const char *name;
	uint8_t *code;
	bool kernel_only, needs_movbe, needs_avx;
} ops[] = {
#define T(id) {#id, id, false, false, false}
	T(load), T(store), T(add_to), T(adc_from), T(lock_sub), T(xchg), T(xadd), T(cmpxchg),
	T(cmpxchg8b), T(inc), T(neg), T(shl), T(rcr), T(shld), T(bts), T(mul), T(idiv), T(imul3),
	T(movs_q), T(rep_movs), T(rep_movs_down), T(rep_stos), T(repe_cmps), T(repne_scas), T(lods),
	T(sgdt), T(sidt), T(smsw), T(sldt), T(fnsave), T(fstpt), T(fld), T(fist), T(bound_push),
	T(pop_mem), T(set_byte), {"movbe", movbe, false, true, false}, T(movnti), T(movups),
	T(maskmov),
	T(push), T(push2), T(push_imm), T(push_word), T(pop), T(push_mem), T(pop_to_mem),
	T(pop_sp_rel), T(call_ret), T(call_mem), T(pushf_popf), T(enter0), T(enter3), T(leave),
#if IS64
	{"movups256", movups256, false, false, true}, {"iretq", iretq, true, false, false},
#else
	T(pusha), T(popa), T(les), T(bound),
#endif
};

struct outcome {
	word out[12];
	uint8_t memory[4 * 4096];
	int vec;
};
static struct outcome want, got;

static void fill(void)
{
	uint32_t x = 12345;

	for (unsigned i = 0; i < 4 * 4096; i++) {
		x = x * 1103515245 + 12345;
		map_ram(0)[i] = (uint8_t)(x >> 16) & 0x3f;
	}
}

/* `absent`: which of the four pages are not there at first. */
static void run(struct outcome *o, uint8_t *code, unsigned absent, bool user)
{
	struct trap *t;

	fill();
	memset(out, 0, sizeof(out));
	for (unsigned i = 0; i < 4; i++)
		map_set(i, absent >> i & 1 ? 0 : 7);
	faults = 0;
	bad_cr2 = 0;
	set_handler(PF, on_pf);
	if (user)
		t = catch_user(code, EDGE - 3, STACK + 5);
	else
		t = catch_trap(code, EDGE - 3, STACK + 5);
	set_handler(PF, NULL);
	memcpy(o->out, out, sizeof(out));
	memcpy(o->memory, map_ram(0), sizeof(o->memory));
	o->vec = t->vec;
}

static void compare(unsigned i, bool user)
{
	run(&want, ops[i].code, 0, user);
	group_case(want.vec == NO_TRAP, "%s alone: vec %d", ops[i].name, want.vec);
	for (unsigned absent = 1; absent < 16; absent++) {
		unsigned at = 0;

		run(&got, ops[i].code, absent, user);
		group_case(got.vec == want.vec && !bad_cr2, "%s, absent %x: vec %d cr2 %w",
			   ops[i].name, absent, got.vec, bad_cr2);
		group_case(!memcmp(got.out, want.out, sizeof(got.out)),
			   "%s, absent %x: registers differ (flags %w, expected %w)", ops[i].name,
			   absent, got.out[7], want.out[7]);
		while (at < sizeof(got.memory) && got.memory[at] == want.memory[at])
			at++;
		group_case(at == sizeof(got.memory), "%s, absent %x: memory differs at %x",
			   ops[i].name, absent, at);
	}
}

static bool runs_here(unsigned i)
{
	if (ops[i].needs_movbe && !has_leaf1_c(22))
		return false;
	if (ops[i].needs_avx && !has_leaf1_c(28))
		return false;
	return true;
}

void guest_test(void)
{
	map_init();
	write_cr4(read_cr4() | C4_OSFXSR);
#if IS64
	static uint8_t ist[8192] __attribute__((aligned(16)));

	tss.ist[0] = (word)ist + sizeof(ist);
	idt[PF].lo |= 1ull << 32; /* the stack itself may be absent */
	if (has_leaf1_c(28)) {
		write_cr4(read_cr4() | C4_OSXSAVE);
		asm volatile("xsetbv" ::"a"(7), "c"(0), "d"(0));
	}
	group_begin("restart at CPL 0");
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		if (runs_here(i))
			compare(i, false);
	group_end();
#endif
	/* At CPL 3 the snippets store their results in memory that user mode cannot see: open it. */
#if !IS64
	for (unsigned i = 0; i < 16; i++) {
		uint32_t *t = (uint32_t *)(map_dir[i] & ~0xfffu);

		for (unsigned j = 0; j < 1024; j++)
			t[j] |= 4;
	}
	flush_tlb();
	group_begin("restart at CPL 3");
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		if (runs_here(i) && !ops[i].kernel_only)
			compare(i, true);
	group_end();
#endif
}
