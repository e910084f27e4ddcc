// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keyboard controller: self test, command byte, RAM, output buffer and its interrupts, the
 * keyboard's and the mouse's reset, translation, the output port, and A20 as memory shows it,
 * through the controller and through port 0x92.
 * Source: IBM PS/2 Hardware Interface Technical Reference.
 */
#include "timing.h"

static volatile unsigned irqs[2];
static uint8_t irq_data;

static bool wait_status(uint8_t mask, uint8_t want)
{
	for (uint64_t end = usec() + 3000000; usec() < end;)
		if ((inb(0x64) & mask) == want)
			return true;
	return false;
}

static void command(uint8_t v)
{
	wait_status(2, 0);
	outb(0x64, v);
}

static void data(uint8_t v)
{
	wait_status(2, 0);
	outb(0x60, v);
}

/* The next byte, or 0x1ff. */
static unsigned answer(void)
{
	return wait_status(1, 1) ? inb(0x60) : 0x1ff;
}

static void drain(void)
{
	for (int quiet = 0; quiet < 5; quiet++) {
		while (inb(0x64) & 1) {
			inb(0x60);
			quiet = 0;
		}
		wait_us(1000);
	}
}

static void set_mode(uint8_t v)
{
	command(0x60);
	data(v);
}

static unsigned ask(uint8_t cmd)
{
	command(cmd);
	return answer();
}

static void on_irq(struct frame *f)
{
	irqs[f->vec == 0x2c]++;
	irq_data = inb(0x60);
	pic_eoi((unsigned)f->vec & 15);
}

static void controller(void)
{
	drain();
	command(0xad);
	command(0xa7);
	drain();
	check_eq(ask(0xaa), 0x55, "self test");
	check_eq(inb(0x64) & 4, 4, "the system flag after it");
	check_eq(ask(0xab), 0, "keyboard line test");
	check_eq(ask(0xa9), 0, "mouse line test");
	set_mode(0x74);
	check_eq(ask(0x20), 0x74, "the command byte reads back");
	command(0xae);
	check_eq(ask(0x20) & 0x10, 0, "enable keyboard");
	command(0xad);
	check_eq(ask(0x20) & 0x10, 0x10, "disable keyboard");
	command(0xa8);
	check_eq(ask(0x20) & 0x20, 0, "enable mouse");
	command(0xa7);
	check_eq(ask(0x20) & 0x20, 0x20, "disable mouse");
	check_eq(inb(0x64) & 8, 8, "status: the last write was a command");
	data(0xf4); /* to the keyboard: scan codes on */
	if (!qemu_lacks("the command/data bit"))
		check_eq(inb(0x64) & 8, 0, "status: the last write was data");
	check_eq(answer(), 0xfa, "data goes to the keyboard, which acknowledges");
	command(0xd2);
	data(0x3c);
	check_eq(inb(0x64) & 0x21, 1, "write output buffer: it is the keyboard's");
	check_eq(answer(), 0x3c, "write output buffer: the byte");
	command(0xd3);
	data(0x3d);
	check_eq(inb(0x64) & 0x21, 0x21, "write mouse buffer: it is the mouse's");
	check_eq(answer(), 0x3d, "write mouse buffer: the byte");
	check_eq(inb(0x64) & 1, 0, "read: the buffer is empty");
}

static void keyboard(void)
{
	set_mode(0x24);
	command(0xae);
	drain();
	data(0xff);
	check_eq(answer(), 0xfa, "keyboard reset: acknowledge");
	check_eq(answer(), 0xaa, "keyboard reset: good");
	data(0xee);
	check_eq(answer(), 0xee, "keyboard echo");
	data(0xf2);
	check_eq(answer(), 0xfa, "keyboard identify: acknowledge");
	check_eq(answer(), 0xab, "keyboard identify: AB");
	check_eq(answer(), 0x83, "keyboard identify: 83");
	set_mode(0x64);
	data(0xf2);
	answer();
	answer();
	check_eq(answer(), 0x41, "keyboard identify, translated: 41");
	data(0xf0);
	check_eq(answer(), 0xfa, "scan code set");
	data(0);
	check_eq(answer(), 0xfa, "scan code set: which");
	check_eq(answer() | 2, 0x43, "is the second or the first, translated");
	data(0xed);
	check_eq(answer(), 0xfa, "lights");
	data(2);
	check_eq(answer(), 0xfa, "lights: which");
	set_mode(0x24);
}

static void mouse(void)
{
	command(0xa8);
	command(0xd4);
	data(0xff);
	check_eq(answer(), 0xfa, "mouse reset: acknowledge");
	check_eq(answer(), 0xaa, "mouse reset: good");
	check_eq(answer(), 0, "mouse reset: its type");
	command(0xd4);
	data(0xf2);
	check_eq(answer(), 0xfa, "mouse identify");
	check_eq(answer(), 0, "mouse identify: a plain mouse");
	command(0xd4);
	data(0xe9);
	wait_status(1, 1);
	check_eq(inb(0x64) & 0x20, 0x20, "status: from the mouse");
	for (int i = 0; i < 4; i++)
		answer();
	drain();
}

static void interrupts(void)
{
	set_handler(0x21, on_irq);
	set_handler(0x2c, on_irq);
	pic_init(0x1006);
	set_mode(0x44);
	command(0xd2);
	data(0x11);
	sti();
	wait_us(20000);
	cli();
	check_eq(irqs[0], 0, "no interrupt unless the command byte allows it");
	drain();
	pic_init(0x1006);
	set_mode(0x47);
	command(0xd2);
	data(0x12);
	check(wait_irqs(&irqs[0], 1, 3000), "IRQ 1");
	check_eq(irq_data, 0x12, "IRQ 1: the byte");
	command(0xd3);
	data(0x13);
	check(wait_irqs(&irqs[1], 1, 3000), "IRQ 12");
	check_eq(irq_data, 0x13, "IRQ 12: the byte");
	data(0xee);
	check(wait_irqs(&irqs[0], 2, 3000), "IRQ 1 by the keyboard's answer");
	check_eq(irq_data, 0xee, "which is its echo");
	pic_init(0);
	drain();
}

/*
 * With A20 off a program at 1 MiB is out of its own reach: this runs elsewhere, without a stack,
 * on page tables of its own. RDI: struct a20.
 */
struct a20 {
	uint64_t cr3, old_cr3;
	uint8_t *low, *high;
	uint32_t off_port, off_command, off_value, on_value;
	uint32_t seen_low, seen_high;
};
extern uint8_t a20_code[], a20_code_end[];
asm(".pushsection .text\n"
    "a20_code:\n"
    "	mov	0(%rdi), %rax\n"
    "	mov	%rax, %cr3\n"
    "	mov	16(%rdi), %r8\n"
    "	mov	24(%rdi), %r9\n"
    "	mov	32(%rdi), %edx\n"
    "	mov	36(%rdi), %eax\n"
    "	test	%eax, %eax\n"
    "	jz	1f\n"
    "	out	%al, $0x64\n"
    "1:	mov	40(%rdi), %eax\n"
    "	out	%al, %dx\n"
    "	movl	$0x33333333, (%r9)\n" /* with A20 off this is *low */
    "	mov	(%r8), %eax\n"
    "	mov	%eax, 48(%rdi)\n"
    "	movl	$0x44444444, (%r8)\n"
    "	mov	(%r9), %eax\n"
    "	mov	%eax, 52(%rdi)\n"
    "	mov	36(%rdi), %eax\n"
    "	test	%eax, %eax\n"
    "	jz	1f\n"
    "	out	%al, $0x64\n"
    "1:	mov	44(%rdi), %eax\n"
    "	out	%al, %dx\n"
    "	mov	8(%rdi), %rax\n"
    "	mov	%rax, %cr3\n"
    "	ret\n"
    "a20_code_end:\n"
    ".popsection\n");

#define HIGH 0x100000ul

static uint64_t *a20_tables(void)
{
	uint64_t *t = alloc_pages(3, 4096);

	t[0] = (uint64_t)(t + 512) | 3;
	t[512] = (uint64_t)(t + 1024) | 3;
	for (uint64_t i = 0; i < 512; i++)
		t[1024 + i] = i << 21 | 0x83;
	return t;
}

static void a20_case(struct a20 *a, const char *how)
{
	void (*run)(struct a20 *a) = alloc_pages(1, 4096);

	memcpy((void *)(word)run, a20_code, (size_t)(a20_code_end - a20_code));
	a->old_cr3 = read_cr3();
	*(volatile uint32_t *)a->low = 0x11111111;
	*(volatile uint32_t *)a->high = 0x22222222;
	run(a);
	check_eq(a->seen_low, 0x33333333, "A20 off by %s: a write at 1 MiB more lands below", how);
	check_eq(a->seen_high, 0x44444444, "A20 off by %s: and a read comes from there", how);
	check_eq(*(volatile uint32_t *)a->low, 0x44444444, "A20 on by %s: below", how);
	check_eq(*(volatile uint32_t *)a->high, 0x22222222, "A20 on by %s: above", how);
}

static void a20(void)
{
	struct a20 *a = alloc_pages(1, 4096); /* alloc_pages begins at 16 MiB: bit 20 is clear */

	a->cr3 = (uint64_t)a20_tables();
	a->low = alloc_pages(1, 4096);
	a->high = a->low + HIGH;
	if (!check(!((word)a->low & HIGH), "test memory has bit 20 clear"))
		return;
	a->off_port = 0x60;
	a->off_command = 0xd1;
	a->off_value = 0xdd;
	a->on_value = 0xdf;
	a20_case(a, "the output port");
	drain();
	a->off_port = 0x64;
	a->off_command = 0;
	a->off_value = 0xdd;
	a->on_value = 0xdf;
	a20_case(a, "commands dd and df");
	a->off_port = 0x92;
	a->off_value = 0;
	a->on_value = 2;
	a20_case(a, "port 0x92");
	check_eq(inb(0x92) & 2, 2, "port 0x92 reads back");
	check_eq(ask(0xd0) & 3, 3, "the output port: no reset, A20 on");
}

void guest_test(void)
{
	controller();
	keyboard();
	mouse();
	interrupts();
	a20();
}
