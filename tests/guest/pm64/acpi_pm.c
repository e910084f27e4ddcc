// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ACPI fixed hardware: PM timer and its overflow, PM1 status, enable and control, SCI on
 * IRQ 9, general-purpose events; at the end the machine goes off by S5.
 * Source: ACPI 6.5 §4.8.3, Intel 82371AB data sheet §7.2.
 * expect: off
 */
#include "timing.h"

#define PM 0x600
enum { STS = PM, EN = PM + 2, CNT = PM + 4 };
#define GPE 0xafe0
#define TMR 1u
#define SLP_EN 0x2000u

static volatile unsigned scis;
static volatile uint16_t sci_status;

static void on_sci(struct frame *f)
{
	(void)f;
	scis++;
	sci_status = inw(STS);
	outw(STS, TMR);
	pic_eoi(9);
}

/* PM timer ticks while the 8254 makes 50 ms. */
static uint64_t pace(word arg)
{
	uint32_t a;

	(void)arg;
	outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
	outb(0x43, 0xb0);
	outb(0x42, (PIT_HZ / 20) & 0xff);
	outb(0x42, (PIT_HZ / 20) >> 8);
	a = pm_timer();
	while (!(inb(0x61) & 0x20))
		;
	return (pm_timer() - a) & 0xffffff;
}

static void timer(void)
{
	uint64_t end = usec() + 15000000;
	uint32_t last = pm_timer(), highest = 0;
	unsigned wraps = 0;

	check_near(pace, 0, PM_TIMER_HZ / 20, "the timer counts 3579545 a second");
	while (usec() < end && !wraps) {
		uint32_t now = pm_timer();

		if (now > highest)
			highest = now;
		wraps += now < last;
		last = now;
	}
	check(wraps, "the timer wraps");
	check(highest <= 0xffffff, "at 24 bits");
	check(highest > 0xf00000, "and not before");
}

static bool wait_status(uint16_t bits)
{
	uint64_t end = usec() + 15000000;

	while (!(inw(STS) & bits))
		if (usec() > end)
			return false;
	return true;
}

static void status(void)
{
	outw(EN, 0);
	outw(STS, 0xffff);
	check(wait_status(TMR), "the top bit's change sets TMR_STS");
	outw(STS, 0);
	check_eq(inw(STS) & TMR, TMR, "writing 0 keeps it");
	outw(STS, 0x8d31 & ~TMR);
	check_eq(inw(STS) & TMR, TMR, "writing 1 to others keeps it");
	outw(STS, TMR);
	check_eq(inw(STS) & TMR, 0, "writing 1 clears it");
	outw(EN, 0x0520);
	check_eq(inw(EN), 0x0520, "the enable register reads back");
	outw(EN, 0);
}

static void control(void)
{
	outb(0xb2, 0xf0);
	wait_us(1000);
	check_eq(inw(CNT) & 1, 0, "SMI command f0: ACPI off");
	outb(0xb2, 0xf1);
	for (uint64_t end = usec() + 2000000; usec() < end && !(inw(CNT) & 1);)
		;
	check_eq(inw(CNT) & 1, 1, "SMI command f1: ACPI on");
	outw(CNT, 0x1401);
	check_eq(inw(CNT) & 0x1c00, 0x1400, "the sleep type reads back");
	check_eq(inw(CNT) & SLP_EN, 0, "sleep enable reads 0");
	outw(CNT, 1);
	outw(GPE + 2, 0x00ff);
	check_eq(inb(GPE + 2), 0xff, "GPE0 enable reads back");
	outw(GPE + 2, 0);
	outw(GPE, 0xffff);
	check_eq(inb(GPE), 0, "GPE0 status is clear");
}

static void sci(void)
{
	unsigned n;

	set_handler(0x29, on_sci);
	pic_init(0x204);
	outb(0x4d1, (uint8_t)(inb(0x4d1) | 2)); /* SCI is a level */
	outw(STS, TMR);
	scis = 0;
	outw(EN, TMR);
	check(wait_irqs(&scis, 1, 15000), "the overflow is an SCI");
	check_eq(sci_status & TMR, TMR, "with TMR_STS set");
	n = scis;
	sti();
	wait_us(50000);
	cli();
	check_eq(scis, n, "after TMR_STS is cleared no other comes");
	outw(EN, 0);
	wait_status(TMR);
	sti();
	wait_us(20000);
	cli();
	check_eq(scis, n, "not enabled: no SCI");
	outw(EN, TMR);
	check(wait_irqs(&scis, n + 1, 2000), "enabling with the status set: at once");
	outw(EN, 0);
	pic_init(0);
}

void guest_test(void)
{
	timer();
	status();
	control();
	sci();
	print("ok about to go off\n");
	outw(CNT, SLP_EN | 1);
	wait_us(3000000);
	check(false, "S5: still running");
}
