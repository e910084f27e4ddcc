// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The HPET: main counter, one-shot and periodic comparators, edge and level, 32-bit mode, legacy
 * replacement. Source: IA-PC HPET Specification 1.0a, chapter 2.
 */
#include "timing.h"

#define HPET 0xfed00000ul
enum { CAP = 0, CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0 };
#define TN(n) (0x100u + 0x20u * (n))
#define CMP(n) (TN(n) + 8)
#define T_LEVEL 2
#define T_ENABLE 4
#define T_PERIODIC 8
#define T_SET 0x40
#define T_32 0x100
#define T_PIN2 (2u << 9)
#define V 0x52u
#define V8 0x53u
#define MASKED 0x10000u

static volatile unsigned irqs, irqs8, pic_irqs[2];
static unsigned ticks_us;

static uint64_t get(unsigned reg)
{
	return *(volatile uint64_t *)(HPET + reg);
}

static void put(unsigned reg, uint64_t v)
{
	*(volatile uint64_t *)(HPET + reg) = v;
}

static void io_entry(unsigned pin, uint32_t low)
{
	*(volatile uint32_t *)0xfec00000 = 0x11 + 2 * pin;
	*(volatile uint32_t *)0xfec00010 = apic_read(0x20) & 0xff000000;
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * pin;
	*(volatile uint32_t *)0xfec00010 = low;
}

static void on_irq(struct frame *f)
{
	if (f->vec == V)
		irqs++;
	else
		irqs8++;
	put(STATUS, 7);
	apic_eoi();
}

static void on_pic(struct frame *f)
{
	pic_irqs[f->vec == 0x28]++;
	pic_eoi((unsigned)f->vec & 15);
}

static void stop(void)
{
	put(CONFIG, 0);
	for (unsigned n = 0; n < 3; n++)
		put(TN(n), 0);
	put(STATUS, 7);
	put(COUNTER, 0);
	irqs = irqs8 = 0;
}

static void registers(void)
{
	uint64_t cap = get(CAP), period = cap >> 32;

	check(period > 0 && period <= 100000000, "the period is at most 100 ns");
	check((cap >> 8 & 31) >= 2, "at least three timers");
	check(cap & 0x8000, "legacy replacement");
	check(cap & 0x2000, "a 64-bit counter");
	check_eq(*(volatile uint32_t *)(HPET + 4), period, "32-bit reads see the upper half");
	ticks_us = (unsigned)(1000000000 / period);
	stop();
	put(COUNTER, 0x123456789abcdef0);
	check_eq(get(COUNTER), 0x123456789abcdef0, "a halted counter can be set");
	wait_us(1000);
	check_eq(get(COUNTER), 0x123456789abcdef0, "and does not count");
	check(get(TN(0)) & 0x10, "timer 0 can be periodic");
	check(get(TN(0)) >> 32 & 4, "timer 0 can go to pin 2");
	put(TN(1), T_PIN2 | T_LEVEL);
	check_eq(get(TN(1)) & 0x3e02, T_PIN2 | T_LEVEL, "a timer's settings read back");
	put(TN(1), 0);
}

static uint64_t pace(word arg)
{
	uint64_t a, t;

	(void)arg;
	put(CONFIG, 1);
	t = usec();
	a = get(COUNTER);
	wait_us(50000);
	a = get(COUNTER) - a;
	return a * 50000 / (usec() - t) / ticks_us;
}

static uint64_t one_shot(word flags)
{
	uint64_t t;

	stop();
	put(TN(0), T_ENABLE | T_PIN2 | (unsigned)flags);
	put(CMP(0), 50000ul * ticks_us);
	t = usec();
	put(CONFIG, 1);
	if (!wait_irqs(&irqs, 1, 10000))
		return 0;
	return usec() - t;
}

static void quiet(unsigned ms, const char *name)
{
	unsigned n = irqs;

	sti();
	wait_us(ms * 1000);
	cli();
	check_eq(irqs, n, "%s", name);
}

static uint64_t periodic(word flags)
{
	uint64_t t;

	stop();
	put(TN(0), T_ENABLE | T_PERIODIC | T_SET | T_PIN2 | (unsigned)flags);
	put(CMP(0), 100000ul * ticks_us);
	put(CMP(0), 100000ul * ticks_us);
	put(CONFIG, 1);
	if (!wait_irqs(&irqs, 1, 10000))
		return 0;
	t = usec();
	if (!wait_irqs(&irqs, 5, 20000))
		return 0;
	t = (usec() - t) / 4;
	stop();
	return t;
}

static void status_bits(void)
{
	stop();
	io_entry(2, MASKED | V);
	put(TN(0), T_ENABLE | T_LEVEL | T_PIN2);
	put(CMP(0), 1000ul * ticks_us);
	put(CONFIG, 1);
	wait_us(100000);
	check_eq(get(STATUS) & 1, 1, "a level timer sets its status bit");
	put(STATUS, 0);
	check_eq(get(STATUS) & 1, 1, "writing 0 keeps it");
	put(STATUS, 1);
	check_eq(get(STATUS) & 1, 0, "writing 1 clears it");
	stop();
	put(TN(0), T_PIN2);
	put(CMP(0), 1000ul * ticks_us);
	io_entry(2, V);
	put(CONFIG, 1);
	quiet(100, "without its enable bit a timer does not interrupt");
}

static void legacy(void)
{
	stop();
	outb(0x43, 0x34); /* the 8254 at 1 kHz, to be shut out */
	outb(0x40, 0xa9);
	outb(0x40, 4);
	io_entry(2, MASKED);
	set_handler(0x20, on_pic);
	set_handler(0x28, on_pic);
	put(CONFIG, 2);
	check_eq(get(CONFIG), 2, "legacy replacement reads back");
	pic_init(0x105);
	sti();
	wait_us(20000);
	pic_irqs[0] = 0;
	wait_us(100000);
	cli();
	check_eq(pic_irqs[0], 0, "legacy replacement: the 8254 is cut off");
	pic_irqs[0] = pic_irqs[1] = 0;
	put(TN(0), T_ENABLE);
	put(CMP(0), 1000ul * ticks_us);
	put(TN(1), T_ENABLE);
	put(CMP(1), 2000ul * ticks_us);
	put(CONFIG, 3);
	wait_irqs(&pic_irqs[0], 1, 5000);
	wait_irqs(&pic_irqs[1], 1, 5000);
	check_eq(pic_irqs[0], 1, "legacy replacement: timer 0 is IRQ 0");
	check_eq(pic_irqs[1], 1, "legacy replacement: timer 1 is IRQ 8");
	stop();
	pic_irqs[0] = 0;
	check(wait_irqs(&pic_irqs[0], 3, 5000), "without it the 8254 is back");
	pic_init(0);
	outb(0x43, 0x30);
}

void guest_test(void)
{
	set_handler(V, on_irq);
	set_handler(V8, on_irq);
	apic_enable();
	outb(0x43, 0x30); /* the 8254 shares pin 2: still */
	if (get(CAP) == UINT64_MAX || !get(CAP)) {
		check(false, "there is an HPET");
		return;
	}
	registers();
	check_near(pace, 0, 50000, "the counter counts");
	io_entry(2, V);
	check_near(one_shot, 0, 50000, "one-shot: 50 ms");
	quiet(100, "one-shot: nothing more");
	check_near(one_shot, T_32, 50000, "one-shot, 32 bits: 50 ms");
	check_near(periodic, 0, 100000, "periodic: every 100 ms");
	quiet(250, "stopped: nothing more");
	io_entry(2, 0x8000 | V);
	check_near(one_shot, T_LEVEL, 50000, "one-shot, level: 50 ms");
	quiet(50, "level, status cleared: nothing more");
	check_near(periodic, T_LEVEL, 100000, "periodic, level: every 100 ms");
	status_bits();
	legacy();
	stop();
}
