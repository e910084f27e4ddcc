// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Task switches between address spaces: CR3 from the TSS, the same address with other memory, a
 * task with PAE's registers, a task at CPL 3 and one in virtual-8086 mode.
 * Source: Intel SDM 3A §7.2.1, §7.3, §20.2.1.
 */
#include "map.h"
#include "v86.h"

#define SEL_T2 SEL_SPARE

static struct tss t2;
static uint8_t stack2[4096] __attribute__((aligned(16)));
static volatile word seen[4] __asm__("seen") __attribute__((used));

asm(".globl body\nbody:\n mov 0x80000000, %eax\n mov %eax, seen\n mov %cr3, %eax\n mov %eax, seen+4\n"
    "movl $0x2222, 0x80000004\n iret\n jmp body");
extern uint8_t body[];
asm(".globl user_body\nuser_body:\n mov 0x80000000, %eax\n mov %cs, %ecx\n int $0x81");
extern uint8_t user_body[];
SNIPPET(call_t2, "mov %ss, %eax\n mov %eax, %fs\n mov %eax, %gs\n lcall $" STR(SEL_SPARE) ", $0");
SNIPPET(jmp_t2, "ljmp $" STR(SEL_SPARE) ", $0");
SNIPPET16(v_body, "mov %cs, %ax\n mov %ds, %bx\n int $0x82");

static void init_task(word cr3)
{
	memset(&t2, 0, sizeof(t2));
	t2.cr3 = cr3;
	t2.eip = (word)body;
	t2.eflags = 2;
	t2.esp = (word)stack2 + 4096;
	t2.cs = SEL_KCODE;
	t2.ss = t2.ds = t2.es = t2.fs = t2.gs = SEL_KDATA;
	t2.ss0 = SEL_KDATA;
	t2.esp0 = (word)stack2 + 4096;
	t2.iomap = sizeof(t2);
	gdt_set(SEL_T2, (uint32_t)&t2, 0x67, D_TSS32);
	tss.cr3 = read_cr3();
}

static void back_to_first(void)
{
	asm volatile("clts");
	gdt[SEL_TSS >> 3] &= ~(2ull << 40);
	ltr(SEL_TSS);
	write_cr3((word)map_dir);
}

/* A second directory that differs in the region's first page. */
static uint32_t *second_dir(void)
{
	uint32_t *dir = alloc_pages(1, 4096), *table = alloc_pages(1, 4096);
	uint32_t *page = alloc_pages(1, 4096);

	memcpy(dir, map_dir, 4096);
	dir[MAP_VA >> 22] = (uint32_t)table | 7;
	table[0] = (uint32_t)page | 7;
	page[0] = 0xbbbb;
	return dir;
}

void guest_test(void)
{
	uint32_t *dir2;
	struct trap *t;

	map_init();
	*(volatile uint32_t *)MAP_VA = 0xaaaa;
	dir2 = second_dir();
	for (unsigned i = 0; i < 3; i++) {
		init_task((word)dir2);
		memset((void *)seen, 0, sizeof(seen));
		t = catch_trap(call_t2, 0, 0);
		check_trap(t, NO_TRAP, 0, "CALL of a task in another address space");
		check_eq(seen[0], 0xbbbb, "it sees its own memory");
		check_eq(seen[1], (word)dir2, "its CR3");
		check_eq(read_cr3(), (word)map_dir, "CR3 is back");
		check_eq(*(volatile uint32_t *)MAP_VA, 0xaaaa, "and so is the memory");
		check_eq(((volatile uint32_t *)MAP_VA)[1], 0, "its store went to its own page");
		asm volatile("clts");
	}
	/* A task at CPL 3: it comes back by an interrupt, in its own address space. */
	init_task((word)dir2);
	t2.eip = USER(user_body);
	t2.cs = SEL_UCODE32;
	t2.ss = t2.ds = t2.es = t2.fs = t2.gs = SEL_UDATA;
	t2.esp = USER(user_env.kstack);
	t = catch_trap(jmp_t2, 0, 0);
	check_trap(t, NO_TRAP, 0, "JMP to a task at CPL 3");
	check_eq(t->f.ax, 0xbbbb, "it saw its own memory");
	check_eq(t->f.cx & 0xffff, SEL_UCODE32, "its CS");
	back_to_first();
	/* A task in virtual-8086 mode, in the region below 1 MiB, which user mode must reach. */
	for (unsigned i = 0; i < 256; i++)
		((uint32_t *)(map_dir[0] & ~0xfffu))[i] |= 4;
	flush_tlb();
	idt_set(0x82, SEL_KCODE, trap_stubs[0x82], D_INTGATE | D_DPL(3));
	memcpy((void *)(V86_SEG * 16 + V86_CODE), v_body, (size_t)(v_body_end - v_body));
	init_task((word)map_dir);
	t2.eflags = FL_VM | FL_IOPL3 | 2;
	t2.eip = V86_CODE;
	t2.cs = t2.ss = t2.es = t2.fs = t2.gs = V86_SEG;
	t2.ds = V86_SEG + 1;
	t2.esp = 0x8000;
	t = catch_trap(jmp_t2, 0, 0);
	check_trap(t, 0x82, 0, "JMP to a task in virtual-8086 mode");
	check(t->flags & FL_VM, "VM in its frame");
	check_eq(t->f.ax & 0xffff, V86_SEG, "its CS");
	check_eq(t->f.bx & 0xffff, V86_SEG + 1, "its DS");
	back_to_first();
}
