// SPDX-License-Identifier: GPL-2.0-or-later
/* Several processors for 64-bit guest programs: see cpus64.h. */
#include "cpus64.h"

#define START_PAGE 0x71u
#define STACK_BYTES 16384

unsigned cpus_count = 1;
uint32_t cpus_next = 1;
uint8_t cpus_stacks[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
void cpus_main(unsigned cpu);
extern uint8_t cpus_entry[], cpus_entry_end[];

asm(".pushsection .text\n"
    "	.code16\n"
    "cpus_entry:\n"
    "	cli\n"
    "	mov	%cs, %ax\n"
    "	mov	%ax, %ds\n"
    "	lgdtl	cpus_gdt - cpus_entry\n"
    "	mov	%cr0, %eax\n"
    "	or	$1, %al\n"
    "	mov	%eax, %cr0\n"
    "	ljmpl	$0x30, $cpus_entry32\n"
    "cpus_gdt:	.word 0x7f\n"
    "	.long	gdt\n"
    "cpus_entry_end:\n"
    "	.code32\n"
    "cpus_entry32:\n"
    "	mov	$0x10, %eax\n"
    "	mov	%eax, %ds\n"
    "	mov	%eax, %es\n"
    "	mov	%eax, %ss\n"
    "	mov	$1, %ebx\n"
    "	lock xadd	%ebx, cpus_next\n"
    "	and	$3, %ebx\n"
    "	lea	1(%ebx), %esp\n"
    "	shl	$14, %esp\n"
    "	add	$cpus_stacks, %esp\n"
    "	call	enter_long_mode\n"
    "	ljmp	$0x08, $cpus_entry64\n"
    "	.code64\n"
    "cpus_entry64:\n"
    "	mov	$0x10, %eax\n"
    "	mov	%eax, %ds\n"
    "	mov	%eax, %es\n"
    "	mov	%eax, %ss\n"
    "	mov	%ebx, %edi\n"
    "	call	cpus_main\n"
    "1:	cli\n"
    "	hlt\n"
    "	jmp	1b\n"
    ".popsection\n");

static volatile unsigned started, generation, done;
static unsigned arrived;
static volatile unsigned phase;
static void (*volatile job)(unsigned cpu);

void cpus_main(unsigned cpu)
{
	unsigned mine = generation;

	lidt(idt, sizeof(idt) - 1);
	apic_enable();
	write_cr4(read_cr4() | 0x600); /* SSE */
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	sti();
	for (;;) {
		while (generation == mine)
			cpu_relax();
		mine = generation;
		job(cpu);
		__atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
	}
}

static void ipi(uint32_t low)
{
	apic_write(0x310, 0);
	apic_write(0x300, low);
	while (apic_read(0x300) & 0x1000)
		;
}

bool cpus_start(unsigned n)
{
	apic_enable();
	write_cr4(read_cr4() | 0x600);
	memcpy((void *)(START_PAGE << 12), cpus_entry, (size_t)(cpus_entry_end - cpus_entry));
	ipi(0xc4500); /* INIT to all but self */
	wait_us(10000);
	ipi(0xc4600 | START_PAGE);
	cpus_count = n;
	return check(wait_count(&started, n - 1, 20000), "%u processors", n);
}

bool cpus_run(void (*fn)(unsigned cpu))
{
	job = fn;
	done = 0;
	__atomic_fetch_add(&generation, 1, __ATOMIC_SEQ_CST);
	fn(0);
	return wait_count(&done, cpus_count - 1, 60000);
}

void cpus_barrier(void)
{
	unsigned now = phase;

	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == cpus_count) {
		arrived = 0;
		__atomic_store_n(&phase, now + 1, __ATOMIC_SEQ_CST);
	} else {
		while (phase == now)
			cpu_relax();
	}
}

void cpus_ipi_others(unsigned vector)
{
	ipi(0xc0000 | vector);
}
