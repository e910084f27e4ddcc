// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The I/O APIC: registers, edges and levels with remote IRR, masks, destinations, EOI. Pin 12 is
 * driven by the mouse's output buffer, pin 2 by the 8254. Source: Intel 82093AA data sheet §3.
 */
#include "timing.h"

#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define MASKED 0x10000u
#define LOGICAL 0x800u
#define V 0x51u

static volatile unsigned irqs, nmis, limit = 8;
static bool send_eoi = true;

static void select(unsigned reg)
{
	*(volatile uint32_t *)0xfec00000 = reg;
}

static uint32_t io_read(unsigned reg)
{
	select(reg);
	return *(volatile uint32_t *)0xfec00010;
}

static void io_write(unsigned reg, uint32_t v)
{
	select(reg);
	*(volatile uint32_t *)0xfec00010 = v;
}

static uint32_t entry(unsigned pin)
{
	return io_read(0x10 + 2 * pin);
}

static void set_entry(unsigned pin, uint32_t low)
{
	io_write(0x10 + 2 * pin, low);
}

static void set_dest(unsigned pin, uint32_t dest)
{
	io_write(0x11 + 2 * pin, dest << 24);
}

static void on_irq(struct frame *f)
{
	(void)f;
	if (++irqs >= limit)
		set_entry(12, entry(12) | MASKED);
	if (send_eoi)
		apic_eoi();
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmis++;
}

static void kbc_wait(void)
{
	while (inb(0x64) & 2)
		;
}

static void raise12(void)
{
	kbc_wait();
	outb(0x64, 0xd3);
	kbc_wait();
	outb(0x60, 0x5a);
}

static void drop12(void)
{
	while (inb(0x64) & 1)
		inb(0x60);
}

static void window(void)
{
	sti();
	for (int i = 0; i < 100; i++)
		asm volatile("nop");
	cli();
}

static void begin(uint32_t low)
{
	set_entry(12, entry(12) | MASKED);
	drop12();
	window();
	set_dest(12, apic_read(0x20) >> 24);
	set_entry(12, low);
	irqs = 0;
	send_eoi = true;
}

static void registers(void)
{
	group_begin("at reset every pin is masked");
	for (unsigned i = 0; i < 24; i++)
		group_case(entry(i) & MASKED, "pin %u: %x", i, entry(i));
	group_end();
	check_eq(io_read(1) >> 16 & 0xff, 23, "24 pins");
	io_write(0, 0x0a000000);
	check_eq(io_read(0), 0x0a000000, "the ID reads back");
	io_write(0, 0xf5ffffff);
	check_eq(io_read(0) & 0x0f000000, 0x05000000, "it has 4 bits");
	io_write(0, 0);
	select(0x33);
	check_eq(*(volatile uint32_t *)0xfec00000 & 0xff, 0x33, "the index reads back");
	set_entry(5, MASKED | LEVEL | 0x2b42);
	check_eq(entry(5) & 0x1afff, MASKED | LEVEL | 0x2b42, "an entry reads back");
	set_entry(5, MASKED | 0x5000 | 0x20);
	check_eq(entry(5) & 0x5000, 0, "status and remote IRR are read-only");
	set_dest(5, 0xa5);
	check_eq(io_read(0x1b) >> 24, 0xa5, "the destination reads back");
	set_entry(5, MASKED);
}

static void edges(void)
{
	begin(V);
	raise12();
	check_eq(entry(12) & REMOTE_IRR, 0, "edge: no remote IRR");
	window();
	check_eq(irqs, 1, "edge: one interrupt");
	window();
	check_eq(irqs, 1, "edge: one though the line is high");
	drop12();
	raise12();
	window();
	check_eq(irqs, 2, "edge: the next one");
	begin(MASKED | V);
	raise12();
	set_entry(12, V);
	window();
	check_eq(irqs, 0, "edge: one that comes while masked is lost");
	drop12();
	raise12();
	window();
	check_eq(irqs, 1, "edge: not the next");
}

static void levels(void)
{
	begin(LEVEL | V);
	send_eoi = false;
	raise12();
	check_eq(entry(12) & REMOTE_IRR, REMOTE_IRR, "level: remote IRR when it was taken");
	check(apic_read(0x180 + V / 32 * 16) >> V % 32 & 1, "level: TMR");
	window();
	check_eq(irqs, 1, "level: an interrupt");
	check_eq(entry(12) & REMOTE_IRR, REMOTE_IRR, "level: remote IRR until EOI");
	window();
	check_eq(irqs, 1, "level: no other one before EOI");
	apic_eoi();
	check_eq(entry(12) & REMOTE_IRR, REMOTE_IRR, "level: sent again after EOI while it is high");
	window();
	check_eq(irqs, 2, "level: and delivered again");
	drop12();
	apic_eoi();
	check_eq(entry(12) & REMOTE_IRR, 0, "level: low at EOI: remote IRR is clear");
	window();
	check_eq(irqs, 2, "level: low: no more");
	begin(MASKED | LEVEL | V);
	raise12();
	window();
	check_eq(irqs, 0, "level: masked");
	send_eoi = false;
	set_entry(12, LEVEL | V);
	window();
	check_eq(irqs, 1, "level: it comes when unmasked");
	set_entry(12, MASKED | LEVEL | V);
	apic_eoi();
	window();
	check_eq(irqs, 1, "level: masked before EOI: not again");
	check_eq(entry(12) & REMOTE_IRR, 0, "level: EOI reaches a masked entry");
	begin(LEVEL | V);
	send_eoi = false;
	raise12();
	window();
	set_entry(12, MASKED | V); /* how old kernels end a level without EOI register */
	check_eq(entry(12) & REMOTE_IRR, 0, "making it an edge clears remote IRR");
	drop12();
	apic_eoi();
	begin(LEVEL | V);
	send_eoi = false;
	raise12();
	window();
	set_entry(12, MASKED | LEVEL | V);
	*(volatile uint32_t *)0xfec00040 = V;
	check_eq(entry(12) & REMOTE_IRR, 0, "the EOI register clears remote IRR");
	drop12();
	apic_eoi();
	begin(LEVEL | V);
	limit = 5;
	raise12();
	for (int i = 0; i < 10; i++)
		window();
	check_eq(irqs, 5, "level: again after each EOI");
	limit = 1000;
}

static void destinations(void)
{
	begin(V);
	set_dest(12, (apic_read(0x20) >> 24) + 5);
	raise12();
	window();
	check_eq(irqs, 0, "to a processor that is not there");
	begin(V);
	set_dest(12, 0xff);
	raise12();
	window();
	check_eq(irqs, 1, "to all");
	apic_write(0xd0, 0x04000000);
	apic_write(0xe0, 0xffffffff);
	begin(LOGICAL | V);
	set_dest(12, 0x0c);
	raise12();
	window();
	check_eq(irqs, 1, "logical, flat");
	begin(LOGICAL | V);
	set_dest(12, 0x0b);
	raise12();
	window();
	check_eq(irqs, 0, "logical, others");
	apic_write(0xe0, 0x0fffffff);
	apic_write(0xd0, 0x32000000);
	begin(LOGICAL | V);
	set_dest(12, 0x36);
	raise12();
	window();
	check_eq(irqs, 1, "logical, cluster");
	begin(LOGICAL | V);
	set_dest(12, 0x46);
	raise12();
	window();
	check_eq(irqs, 0, "logical, another cluster");
	apic_write(0xe0, 0xffffffff);
	begin(LOGICAL | 0x100 | V);
	set_dest(12, 0xff);
	apic_write(0xd0, 0x04000000);
	raise12();
	window();
	check_eq(irqs, 1, "lowest priority");
	set_handler(NMI, on_nmi);
	begin(0x400 | V);
	raise12();
	window();
	check_eq(nmis, 1, "NMI");
	check_eq(irqs, 0, "and no interrupt");
}

static uint64_t timer_pin(word pin)
{
	uint64_t t;

	outb(0x43, 0x34);
	outb(0x40, 59659 & 0xff);
	outb(0x40, 59659 >> 8);
	irqs = 0;
	set_dest((unsigned)pin, apic_read(0x20) >> 24);
	set_entry((unsigned)pin, V);
	if (!wait_irqs(&irqs, 1, 5000))
		return 0;
	t = usec();
	if (!wait_irqs(&irqs, 5, 20000))
		return 0;
	t = (usec() - t) / 4;
	set_entry((unsigned)pin, MASKED);
	return t;
}

void guest_test(void)
{
	set_handler(V, on_irq);
	apic_enable();
	kbc_wait();
	outb(0x64, 0x60);
	kbc_wait();
	outb(0x60, 0x47);
	registers();
	edges();
	levels();
	destinations();
	set_entry(12, MASKED);
	limit = 1000000;
	check_near(timer_pin, 2, 50000, "the 8254 is at pin 2");
}
