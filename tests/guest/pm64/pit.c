// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 8254: control words, latch and read-back, modes 0 to 4, IRQ 0 through the 8259 and through
 * the I/O APIC, counter 2 and its gate in port 0x61. Source: Intel 82C54 data sheet (231244).
 */
#include "timing.h"

#define TICKS(us) ((unsigned)((uint64_t)(us) * PIT_HZ / 1000000))

static volatile unsigned irqs;

static void on_irq0(struct frame *f)
{
	irqs++;
	if (f->vec == 0x50)
		apic_eoi();
	else
		pic_eoi(0);
}

static void control(unsigned n, unsigned mode)
{
	outb(0x43, (uint8_t)(n << 6 | 0x30 | mode << 1));
}

static void count_write(unsigned n, unsigned count)
{
	outb((uint16_t)(0x40 + n), (uint8_t)count);
	outb((uint16_t)(0x40 + n), (uint8_t)(count >> 8));
}

static void program(unsigned n, unsigned mode, unsigned count)
{
	control(n, mode);
	count_write(n, count);
}

static unsigned count_read(unsigned n)
{
	unsigned lo = inb((uint16_t)(0x40 + n));

	return lo | (unsigned)inb((uint16_t)(0x40 + n)) << 8;
}

static unsigned latched(unsigned n)
{
	outb(0x43, (uint8_t)(n << 6));
	return count_read(n);
}

/* Read-back command, status only. */
static unsigned status(unsigned n)
{
	outb(0x43, (uint8_t)(0xe0 | 2u << n));
	return inb((uint16_t)(0x40 + n));
}

static bool second_latch(void)
{
	unsigned a;

	outb(0x43, 0x00);
	wait_us(1000);
	outb(0x43, 0x00);
	a = count_read(0);
	return ((a - latched(0)) & 0xffff) >= TICKS(900);
}

static bool pending_count(void)
{
	control(2, 2);
	count_write(2, 0x8000);
	count_write(2, 0x4000);
	return status(2) & 0x40;
}

static void registers(void)
{
	unsigned a, b, st;

	for (unsigned mode = 0; mode < 6; mode++) {
		program(2, mode, 0x1234);
		check_eq(status(2) & 0x3f, 0x30 | mode << 1, "status byte of mode %u", mode);
	}
	program(0, 2, 0);
	check_tries(second_latch, "a second latch command before the read is ignored");
	b = latched(0);
	outb(0x43, 0xc2); /* read-back: count and status of counter 0 */
	st = inb(0x40);
	a = count_read(0);
	check_eq(st & 0x3f, 0x34, "read-back of both: the status first");
	check(((b - a) & 0xffff) < 60000, "then the count");
	outb(0x43, 0xca); /* of counters 0 and 2 at once */
	check_eq(inb(0x40) & 0x3f, 0x34, "read-back of two counters: counter 0");
	check_eq(inb(0x42) & 0x3f, 0x3a, "read-back of two counters: counter 2");
	count_read(0);
	count_read(2);
	outb(0x43, 0x94); /* counter 2, low byte only, mode 2 */
	outb(0x42, 0x80);
	check(inb(0x42) <= 0x80 && inb(0x42) <= 0x80, "a low-byte counter reads low bytes");
	outb(0x43, 0xa4); /* high byte only */
	outb(0x42, 0x40);
	wait_us(300);
	check(inb(0x42) <= 0x40, "a high-byte counter reads high bytes");
}

static void null_count(void)
{
	if (qemu_lacks("null count, BCD, OUT before the count"))
		return;
	program(0, 0, 1);
	wait_us(100);
	control(0, 0);
	check(!(status(0) & 0x80), "mode 0: the control word puts OUT low");
	outb(0x61, 1);
	control(2, 2);
	check(status(2) & 0x40, "null count after a control word");
	count_write(2, 0x8000);
	wait_us(10);
	check(!(status(2) & 0x40), "no null count when it was loaded");
	check_tries(pending_count, "null count while a new count waits for the period's end");
	outb(0x43, 0xb5); /* counter 2, mode 2, BCD */
	count_write(2, 0x9999);
	group_begin("a BCD counter reads BCD");
	for (int i = 0; i < 200; i++) {
		unsigned v = latched(2);

		for (int s = 0; s < 16; s += 4)
			group_case((v >> s & 15) < 10, "count %x", v);
		wait_us(20);
	}
	group_end();
}

/* Ticks that counter 0 makes in 20 ms, as seen in 2. */
static uint64_t pace(word mode)
{
	unsigned a, b;
	uint64_t t, took;

	program(0, (unsigned)mode, 0);
	t = usec();
	a = latched(0);
	wait_us(2000);
	b = latched(0);
	took = usec() - t;
	return ((a - b) & 0xffff) * 20000ull / took;
}

/* Microseconds per interrupt, over 5. */
static uint64_t interrupt_distance(word mode)
{
	uint64_t t;

	program(0, (unsigned)mode, TICKS(50000));
	irqs = 0;
	if (!wait_irqs(&irqs, 1, 5000))
		return 0;
	t = usec();
	if (!wait_irqs(&irqs, 6, 20000))
		return 0;
	return (usec() - t) / 5;
}

static uint64_t one_shot(word arg)
{
	uint64_t t;

	(void)arg;
	control(0, 0);
	irqs = 0;
	t = usec();
	count_write(0, TICKS(50000));
	if (!wait_irqs(&irqs, 1, 10000))
		return 0;
	return usec() - t;
}

static void one_shot_rest(const char *how)
{
	unsigned n;

	control(0, 0);
	irqs = 0;
	count_write(0, TICKS(5000));
	check(wait_irqs(&irqs, 1, 5000), "mode 0, %s: one interrupt", how);
	check(status(0) & 0x80, "mode 0, %s: OUT is high", how);
	n = irqs;
	sti();
	wait_us(60000);
	cli();
	check_eq(irqs, n, "mode 0, %s: not another one", how);
	count_write(0, TICKS(5000));
	check(wait_irqs(&irqs, n + 1, 5000), "mode 0, %s: a new count starts it again", how);
}

static void interrupts(const char *how)
{
	check_near(interrupt_distance, 2, 50000, "mode 2, %s: 20 interrupts a second", how);
	check_near(interrupt_distance, 3, 50000, "mode 3, %s: 20 interrupts a second", how);
	check_near(one_shot, 0, 50000, "mode 0, %s: 50 ms", how);
	one_shot_rest(how);
}

static void through_pic(void)
{
	set_handler(0x20, on_irq0);
	pic_init(1);
	interrupts("8259");
	outb(0x21, 0xff);
}

static void ioapic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)0xfec00000 = reg;
	*(volatile uint32_t *)0xfec00010 = v;
}

/* The timer is at pin 2, as the MADT says. */
static void through_ioapic(void)
{
	set_handler(0x50, on_irq0);
	apic_enable();
	ioapic_write(0x15, apic_read(0x20) & 0xff000000);
	ioapic_write(0x14, 0x50);
	interrupts("I/O APIC");
	ioapic_write(0x14, 0x10000);
}

#define OUT2() (inb(0x61) & 0x20)

static uint64_t channel2_time(word mode)
{
	uint64_t t, end;

	outb(0x61, mode == 1 ? 0 : 1);
	program(2, (unsigned)mode, TICKS(50000));
	t = usec();
	end = t + 5000000;
	outb(0x61, 1); /* mode 1: the trigger */
	while (!OUT2())
		if (usec() > end)
			return 0;
	return usec() - t;
}

static bool gate_reload(void)
{
	program(2, 2, 0);
	wait_us(30000);
	outb(0x61, 0);
	outb(0x61, 1);
	return latched(2) > 0x8000;
}

static bool gate_retrigger(void)
{
	outb(0x61, 0);
	outb(0x61, 1);
	return !OUT2();
}

static void channel2(void)
{
	unsigned a, b;

	check_near(channel2_time, 0, 50000, "counter 2, mode 0: OUT after 50 ms");
	check_eq(inb(0x61) & 3, 1, "port 0x61 reads back gate and speaker bits");
	program(2, 3, 1000);
	a = b = 0;
	for (unsigned i = 0; i < 20000 && !(a && b); i++) {
		if (OUT2())
			a = 1;
		else
			b = 1;
	}
	check(a && b, "counter 2, mode 3: OUT toggles");
	a = inb(0x61) & 0x10;
	b = 0;
	for (unsigned i = 0; i < 20000 && !b; i++)
		b = (inb(0x61) & 0x10) != a;
	check(b, "the refresh bit toggles");
	check_tries(gate_reload, "mode 2: a rising gate loads the count");
	if (qemu_lacks("mode 1 and stopped counters"))
		return;
	check_near(channel2_time, 1, 50000, "counter 2, mode 1: OUT 50 ms after the gate rises");
	check_tries(gate_retrigger, "mode 1: the gate triggers again");
	program(2, 0, 0xffff);
	wait_us(2000);
	outb(0x61, 0);
	a = latched(2);
	wait_us(2000);
	check_eq(latched(2), a, "mode 0: a low gate stops the count");
	outb(0x61, 1);
	wait_us(2000);
	b = latched(2);
	check(b < a || b > 0xf000, "mode 0: it goes on where it was");
	program(2, 3, 1000);
	outb(0x61, 0);
	b = 1;
	for (int i = 0; i < 2000 && b; i++)
		b = OUT2() != 0;
	check(b, "mode 3: a low gate holds OUT high");
}

void guest_test(void)
{
	registers();
	null_count();
	check_near(pace, 2, TICKS(20000), "mode 2 counts 1193182 a second");
	check_near(pace, 0, TICKS(20000), "mode 0 counts 1193182 a second");
	check_near(pace, 3, 2 * TICKS(20000), "mode 3 counts by twos");
	through_pic();
	through_ioapic();
	channel2();
}
