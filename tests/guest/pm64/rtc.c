// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The real-time clock: time and its formats, update in progress, SET, roll-over, periodic, alarm
 * and update-ended interrupts on IRQ 8, CMOS RAM.
 * Source: Motorola MC146818A data sheet.
 */
#include "timing.h"

enum { SEC, SEC_AL, MIN, MIN_AL, HOUR, HOUR_AL, WDAY, DAY, MONTH, YEAR, A, B, C, D, CENTURY = 0x32 };
#define UIP 0x80
#define SET 0x80
#define PIE 0x40
#define AIE 0x20
#define UIE 0x10
#define DM 0x04
#define H24 0x02

static volatile unsigned irqs, flags;

static unsigned get(unsigned reg)
{
	outb(0x70, (uint8_t)reg);
	return inb(0x71);
}

static void put(unsigned reg, unsigned v)
{
	outb(0x70, (uint8_t)reg);
	outb(0x71, (uint8_t)v);
}

static void on_irq8(struct frame *f)
{
	(void)f;
	irqs++;
	flags = get(C);
	pic_eoi(8);
}

static void on_irq8_keep(struct frame *f)
{
	(void)f;
	irqs++;
	pic_eoi(8);
}

static unsigned from_bcd(unsigned v)
{
	return (v >> 4) * 10 + (v & 15);
}

/* Seconds of the day in the 24-hour format. */
static unsigned day_seconds(bool binary)
{
	unsigned h, m, s;

	do { /* again when an update came between */
		s = get(SEC);
		m = get(MIN);
		h = get(HOUR);
	} while (s != get(SEC));
	if (!binary) {
		s = from_bcd(s);
		m = from_bcd(m);
		h = from_bcd(h);
	}
	return (h * 60 + m) * 60 + s;
}

static void formats(void)
{
	static const struct {
		const char *name;
		unsigned reg, low, high;
	} ranges[] = {
		{"seconds", SEC, 0, 59}, {"minutes", MIN, 0, 59}, {"hours", HOUR, 0, 23},
		{"day of the week", WDAY, 1, 7}, {"day", DAY, 1, 31}, {"month", MONTH, 1, 12},
		{"year", YEAR, 0, 99}, {"century", CENTURY, 20, 21},
	};
	unsigned bcd, bin, h12, h24;

	put(B, H24);
	check_eq(get(A) & 0x70, 0x20, "the divider runs at 32768 Hz");
	check_eq(get(D), 0x80, "register D says that time is valid");
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		unsigned v = get(ranges[i].reg);

		check((v & 15) < 10 && from_bcd(v) >= ranges[i].low && from_bcd(v) <= ranges[i].high,
		      "%s in BCD", ranges[i].name);
	}
	bcd = day_seconds(false);
	put(B, H24 | DM);
	bin = day_seconds(true);
	check((bin + 86400 - bcd) % 86400 < 30, "binary says the same time as BCD");
	h24 = get(HOUR);
	put(B, DM);
	h12 = get(HOUR);
	check((h12 & 0x7f) >= 1 && (h12 & 0x7f) <= 12, "12-hour format");
	check((h12 & 0x7f) % 12 + (h12 & 0x80 ? 12 : 0) == h24 || h24 == 23 ||
		      (h12 & 0x7f) % 12 + (h12 & 0x80 ? 12u : 0) == h24 + 1,
	      "12 hours and PM say the same hour");
	put(B, H24);
	put(D, 0);
	check_eq(get(D), 0x80, "register D is read-only");
	for (unsigned i = 0x60; i < 0x68; i++)
		put(i, i * 7);
	group_begin("CMOS RAM keeps what is written");
	for (unsigned i = 0x60; i < 0x68; i++)
		group_case(get(i) == (i * 7 & 0xff), "byte %x: %x", i, get(i));
	group_end();
}

/* Microseconds from one change of the seconds to the one after the next. */
static uint64_t two_seconds(word arg)
{
	uint64_t t = 0, end = usec() + 10000000;
	unsigned seen = get(SEC), changes = 0;

	(void)arg;
	while (usec() < end) {
		unsigned s = get(SEC);

		if (s == seen)
			continue;
		seen = s;
		if (++changes == 1)
			t = usec();
		else if (changes == 3)
			return usec() - t;
	}
	return 0;
}

static void update_in_progress(void)
{
	uint64_t end = usec() + 10000000, t;
	unsigned before = 0, after = 0;
	bool seen = false;

	while (!seen && usec() < end) {
		before = get(SEC);
		seen = get(A) & UIP;
	}
	check(seen, "update in progress is seen");
	t = usec();
	while ((get(A) & UIP) && usec() < end)
		;
	check(usec() - t < 1500000, "and goes away");
	after = get(SEC);
	check(before != after, "then the second is another one");
}

static void set_time(unsigned century, unsigned year, unsigned month, unsigned day, unsigned wday)
{
	put(B, H24 | SET);
	put(CENTURY, century);
	put(YEAR, year);
	put(MONTH, month);
	put(DAY, day);
	put(WDAY, wday);
	put(HOUR, 0x23);
	put(MIN, 0x59);
	put(SEC, 0x59);
}

static void wait_midnight(void)
{
	uint64_t end = usec() + 5000000;

	put(B, H24);
	while (get(HOUR) != 0 && usec() < end)
		;
}

static void setting(void)
{
	set_time(0x19, 0x99, 0x12, 0x31, 6);
	wait_us(1200000);
	check_eq(get(SEC), 0x59, "SET holds the time");
	check_eq(get(A) & UIP, 0, "no update in progress under SET");
	wait_midnight();
	check_eq(get(HOUR) << 8 | get(MIN), 0, "midnight");
	check_eq(get(DAY), 1, "the first");
	check_eq(get(MONTH), 1, "of January");
	check_eq(get(CENTURY) << 8 | get(YEAR), 0x2000, "2000");
	check_eq(get(WDAY), 7, "is a Saturday");
	set_time(0x20, 0, 2, 0x28, 2);
	wait_midnight();
	check_eq(get(MONTH) << 8 | get(DAY), 0x229, "2000 is a leap year");
	set_time(0x20, 0x23, 2, 0x28, 3);
	wait_midnight();
	check_eq(get(MONTH) << 8 | get(DAY), 0x301, "2023 is not");
}

/* Microseconds per periodic interrupt at rate `rate`, over 4. */
static uint64_t periodic(word rate)
{
	uint64_t t;

	put(A, 0x20 | (unsigned)rate);
	irqs = 0;
	get(C);
	put(B, H24 | PIE);
	if (!wait_irqs(&irqs, 1, 5000))
		return 0;
	t = usec();
	if (!wait_irqs(&irqs, 5, 10000))
		return 0;
	t = (usec() - t) / 4;
	put(B, H24);
	return t;
}

static void interrupts(void)
{
	unsigned n;

	set_handler(0x28, on_irq8);
	pic_init(0x104);
	check_near(periodic, 12, 62500, "periodic interrupts, rate 12: 16 Hz");
	check_eq(flags & 0xc0, 0xc0, "register C: IRQF and PF");
	check_near(periodic, 13, 125000, "periodic interrupts, rate 13: 8 Hz");
	put(B, H24);
	get(C);
	irqs = 0;
	put(B, H24 | UIE);
	check(wait_irqs(&irqs, 1, 5000), "update-ended interrupt");
	check_eq(flags & 0x90, 0x90, "register C: IRQF and UF");
	check(wait_irqs(&irqs, 2, 5000), "and one in the next second");
	put(B, H24);
	get(C);
	check_eq(get(C), 0, "reading register C clears it");

	set_handler(0x28, on_irq8_keep);
	put(A, 0x2a);
	irqs = 0;
	put(B, H24 | PIE);
	wait_irqs(&irqs, 1, 5000);
	n = irqs;
	sti();
	wait_us(100000);
	cli();
	check_eq(irqs, n, "no further interrupt before register C is read");
	get(C);
	check(wait_irqs(&irqs, n + 1, 5000), "then there is");
	set_handler(0x28, on_irq8);
	put(B, H24);
	get(C);
	irqs = 0;
	sti();
	wait_us(100000);
	cli();
	check_eq(irqs, 0, "nothing enabled, no interrupt");
	if (qemu_lacks("flags without interrupts"))
		return;
	check_eq(get(C) & 0xc0, 0x40, "PF is set without PIE, IRQF is not");
	put(A, 0x26);
	wait_us(1200000);
	check_eq(get(C) & 0x90, 0x10, "and so is UF");
}

static void alarm(void)
{
	unsigned s;

	put(A, 0x26);
	put(B, H24 | SET);
	put(HOUR, 0x10);
	put(MIN, 0x20);
	put(SEC, 0x30);
	put(HOUR_AL, 0x10);
	put(MIN_AL, 0x20);
	put(SEC_AL, 0x32);
	get(C);
	irqs = 0;
	put(B, H24 | AIE);
	check(wait_irqs(&irqs, 1, 8000), "an alarm at a time");
	s = get(SEC);
	check_eq(flags & 0xa0, 0xa0, "register C: IRQF and AF");
	check(s >= 0x32 && s < 0x40, "at its second");
	put(B, H24);
	put(HOUR_AL, 0xff);
	put(MIN_AL, 0xc0);
	put(SEC_AL, 0xff);
	get(C);
	irqs = 0;
	put(B, H24 | AIE);
	check(wait_irqs(&irqs, 2, 8000), "don't-care bytes: an alarm every second");
	put(B, H24);
	get(C);
}

void guest_test(void)
{
	put(A, 0x26);
	formats();
	check_near(two_seconds, 0, 2000000, "seconds are as long as the time-stamp counter says");
	update_in_progress();
	setting();
	interrupts();
	alarm();
}
