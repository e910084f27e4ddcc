// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The local APIC's registers in memory: priorities, IRR and ISR, self-IPIs, EOI, errors, local
 * vector table, timer in its three modes. Source: Intel SDM 3A chapter 10.
 */
#include "timing.h"

enum {
	ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0,
	SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300,
	ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_THERMAL = 0x330, LVT_PERF = 0x340,
	LVT_LINT0 = 0x350, LVT_LINT1 = 0x360, LVT_ERROR = 0x370, COUNT = 0x380, CURRENT = 0x390,
	DIVIDE = 0x3e0
};
#define SELF 0x40000
#define MASKED 0x10000
#define PERIODIC 0x20000
#define DEADLINE 0x40000
#define MSR_TSC_DEADLINE 0x6e0
#define VT 0x60 /* timer */
#define VE 0x70 /* error */

static volatile unsigned order[8], norder, timer_irqs, error_irqs, spurious_irqs;

static void note(struct frame *f)
{
	if (norder < 8)
		order[norder] = (unsigned)f->vec;
	norder++;
	apic_eoi();
}

static void on_timer(struct frame *f)
{
	(void)f;
	timer_irqs++;
	apic_eoi();
}

static void on_error(struct frame *f)
{
	(void)f;
	error_irqs++;
	apic_eoi();
}

static void on_spurious(struct frame *f)
{
	(void)f;
	spurious_irqs++; /* no EOI for it */
}

static void ipi(unsigned icr)
{
	apic_write(ICR, icr);
	while (apic_read(ICR) & 0x1000)
		;
}

static bool bit(unsigned reg, unsigned vec)
{
	return apic_read(reg + vec / 32 * 16) >> vec % 32 & 1;
}

static void window(void)
{
	sti();
	for (int i = 0; i < 50; i++)
		asm volatile("nop");
	cli();
}

static void write_cr8(word v)
{
	asm volatile("mov %0, %%cr8" ::"r"(v) : "memory");
}

static word read_cr8(void)
{
	word v;

	asm volatile("mov %%cr8, %0" : "=r"(v)::"memory");
	return v;
}

static void registers(void)
{
	check_eq(apic_read(ID) >> 24, cpuid(1, 0).b >> 24, "ID is CPUID's");
	check(apic_read(VERSION) >> 4 == 0x5001 || (apic_read(VERSION) & 0xf0) == 0x10,
	      "version 1x");
	check((apic_read(VERSION) >> 16 & 0xff) >= 3, "at least 4 local vectors");
	check_eq(rdmsr(0x1b) & ~0xfffull & 0xfffffffff, APIC_BASE, "APIC_BASE: the address");
	check_eq(rdmsr(0x1b) & 0x900, 0x900, "APIC_BASE: enabled, bootstrap processor");
	apic_write(LDR, 0xa5ffffff);
	check_eq(apic_read(LDR), 0xa5000000, "LDR has 8 bits");
	apic_write(DFR, 0x0fffffff);
	check_eq(apic_read(DFR) >> 28, 0, "DFR's model");
	check_eq(apic_read(DFR) & 0x0fffffff, 0x0fffffff, "DFR's other bits are ones");
	apic_write(DFR, 0xffffffff);
	apic_write(TPR, 0x5a);
	check_eq(apic_read(TPR), 0x5a, "TPR reads back");
	check_eq(read_cr8(), 5, "CR8 is its upper half");
	check_eq(apic_read(PPR), 0x5a, "PPR is TPR when nothing is in service");
	write_cr8(9);
	check_eq(apic_read(TPR), 0x90, "CR8 sets TPR");
	write_cr8(0);
	apic_write(ICR_HIGH, 0x12ffffff);
	check_eq(apic_read(ICR_HIGH) >> 24, 0x12, "ICR's upper half keeps the destination");
	apic_write(LVT_TIMER, MASKED | VT);
	check_eq(apic_read(LVT_TIMER), MASKED | VT, "a local vector reads back");
	apic_write(SVR, 0xff);
	check_eq(apic_read(LVT_TIMER) & MASKED, MASKED, "software disable: masked");
	apic_write(SVR, 0x1ff);
	check_eq(apic_read(LVT_TIMER) & MASKED, MASKED, "also when it is enabled again");
}

static void services(void)
{
	norder = 0;
	ipi(SELF | 0x45);
	check(bit(IRR, 0x45), "a self-IPI is in IRR");
	check(!bit(ISR, 0x45), "and not in ISR");
	check(!bit(TMR, 0x45), "nor in TMR: it is an edge");
	ipi(SELF | 0x45);
	window();
	check_eq(norder, 1, "two of a vector that nobody took are one");
	check(!bit(IRR, 0x45) && !bit(ISR, 0x45), "after it IRR and ISR are clear");
	apic_write(ICR_HIGH, apic_read(ID));
	norder = 0;
	ipi(0x46);
	window();
	check_eq(norder, 1, "an IPI to one's own ID");
	apic_write(LDR, 0x04000000);
	apic_write(ICR_HIGH, 0x06000000);
	ipi(0x800 | 0x46);
	window();
	check_eq(norder, 2, "a logical IPI");
	apic_write(ICR_HIGH, 0x03000000);
	ipi(0x800 | 0x46);
	window();
	check_eq(norder, 2, "a logical IPI to others");
	ipi(0x80000 | 0x46); /* all, self included */
	window();
	check_eq(norder, 3, "an IPI to all");
	ipi(0xc0000 | 0x46); /* all but self */
	window();
	check_eq(norder, 3, "an IPI to all but self");
}

static volatile unsigned ppr_inside, isr_inside, irr_inside;

static void look(struct frame *f)
{
	norder++;
	ppr_inside = apic_read(PPR);
	isr_inside = bit(ISR, (unsigned)f->vec);
	irr_inside = bit(IRR, (unsigned)f->vec);
	ipi(SELF | (unsigned)f->vec);
	ipi(SELF | 0x55);
	ipi(SELF | 0x81);
	window();
	check_eq(norder, 2, "in a handler: only what is of a higher class comes");
	check_eq(order[1], 0x81, "in a handler: the higher one");
	check(bit(IRR, (unsigned)f->vec), "in a handler: its own vector again waits in IRR");
	set_handler((unsigned)f->vec, note);
	apic_eoi();
}

static void priorities(void)
{
	norder = 0;
	set_handler(0x58, look);
	ipi(SELF | 0x58);
	window();
	check_eq(ppr_inside, 0x50, "in a handler: PPR is its class");
	check_eq(isr_inside, 1, "in a handler: ISR");
	check_eq(irr_inside, 0, "in a handler: not IRR");
	check_eq(norder, 4, "after EOI the others come");
	check_eq(order[2] << 8 | order[3], 0x5855, "the higher vector first");
	check_eq(apic_read(PPR), 0, "PPR is 0 again");
	norder = 0;
	apic_write(TPR, 0x50);
	ipi(SELF | 0x58);
	ipi(SELF | 0x61);
	window();
	check_eq(norder, 1, "TPR lets a higher class through");
	check_eq(order[0], 0x61, "and no other");
	apic_write(TPR, 0x4f);
	window();
	check_eq(norder, 2, "a lower TPR lets it come");
	write_cr8(15);
	ipi(SELF | 0xfe);
	window();
	check_eq(norder, 2, "CR8 = 15 stops all");
	write_cr8(0);
	window();
	check_eq(norder, 3, "until it is lowered");
}

static void disabled(void)
{
	if (qemu_lacks("software disable"))
		return;
	apic_write(SVR, 0xff);
	apic_write(LVT_TIMER, VT);
	check_eq(apic_read(LVT_TIMER) & MASKED, MASKED, "software disable: entries stay masked");
	apic_write(SVR, 0x1ff);
	norder = 0;
	ipi(SELF | 0x58);
	apic_write(SVR, 0xff);
	ipi(SELF | 0x59);
	apic_write(SVR, 0x1ff);
	window();
	check(norder >= 1 && order[norder - 1] == 0x58, "software disable keeps what is pending");
	check_eq(norder, 1, "and takes nothing new");
}

static unsigned esr(void)
{
	apic_write(ESR, 0);
	return apic_read(ESR);
}

static void errors(void)
{
	apic_write(LVT_ERROR, VE);
	esr();
	esr();
	if (!qemu_lacks("errors")) {
		error_irqs = 0;
		ipi(SELF | 0x0f);
		check(wait_irqs(&error_irqs, 1, 2000), "a vector below 16: an error interrupt");
		check_eq(esr() & 0x60, 0x20, "ESR: send illegal vector");
		check_eq(esr(), 0, "ESR is clear at the second write");
		apic_read(0x3f0);
		check_eq(esr() & 0x80, 0x80, "a register that is none: ESR: illegal register");
		check(wait_irqs(&error_irqs, 2, 2000), "and an error interrupt");
		apic_write(LVT_TIMER, 5);
		apic_write(DIVIDE, 0xb);
		apic_write(COUNT, 10);
		check(wait_irqs(&error_irqs, 3, 2000), "a local vector below 16");
		check_eq(esr() & 0x60, 0x40, "ESR: receive illegal vector");
		apic_write(LVT_ERROR, MASKED | VE);
		ipi(SELF | 0x0f);
		window();
		check_eq(error_irqs, 3, "masked");
		check_eq(esr() & 0x60, 0x20, "but noted");
	}
	apic_write(LVT_ERROR, MASKED | VE);
	apic_write(LVT_TIMER, MASKED | VT);
}

/* The vector is spurious when the request is gone at the acknowledge; here it just is sent. */
static void spurious(void)
{
	apic_write(SVR, 0x1ef);
	set_handler(0xef, on_spurious);
	check_eq(apic_read(SVR) & 0x1ff, 0x1ef, "the spurious vector reads back");
	check_eq(spurious_irqs, 0, "nothing spurious has come");
	apic_write(SVR, 0x1ff);
}

/* ---- the 8259s at LINT0 ---- */

static volatile unsigned pic_irqs, nmi_count;

static void on_pic(struct frame *f)
{
	(void)f;
	pic_irqs++;
	pic_eoi(0);
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmi_count++;
}

/* An edge of the 8254, pending in the 8259. */
static void raise_pic(void)
{
	pic_init(0);
	outb(0x43, 0x30);
	outb(0x40, 10);
	outb(0x40, 0);
	outb(0x20, 0x0a);
	for (uint64_t end = usec() + 2000000; !(inb(0x20) & 1) && usec() < end;)
		;
	outb(0x21, 0xfe);
}

static void lint0(void)
{
	set_handler(0x20, on_pic);
	set_handler(NMI, on_nmi);
	apic_write(LVT_LINT0, MASKED | 0x700);
	raise_pic();
	window();
	check_eq(pic_irqs, 0, "LINT0 masked: nothing of the 8259s");
	apic_write(LVT_LINT0, 0x700);
	window();
	check_eq(pic_irqs, 1, "LINT0 as ExtINT: the 8259's vector");
	check(!bit(ISR, 0x20), "which is not the local APIC's to serve");
	write_cr8(15);
	raise_pic();
	window();
	check_eq(pic_irqs, 2, "TPR does not stop it");
	write_cr8(0);
	pic_init(0);
	apic_write(LVT_LINT0, 0x65);
	norder = 0;
	raise_pic();
	window();
	check_eq(norder, 1, "LINT0 as fixed");
	check_eq(order[0], 0x65, "its own vector");
	if (!qemu_lacks("LINT0 as fixed and nothing else"))
		check_eq(pic_irqs, 2, "and not the 8259's");
	pic_init(0);
	apic_write(LVT_LINT0, 0x400);
	raise_pic();
	window();
	check_eq(nmi_count, 1, "LINT0 as NMI");
	pic_init(0);
	apic_write(LVT_LINT0, MASKED);
	set_handler(NMI, NULL);
}

/* ---- timer ---- */

static const uint8_t divide_codes[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};

/* Ticks of 10 ms at divider 2^arg, times the divider. */
static uint64_t timer_hz(word shift)
{
	uint64_t t, took;
	unsigned a, b;

	apic_write(LVT_TIMER, MASKED | VT);
	apic_write(DIVIDE, divide_codes[shift]);
	apic_write(COUNT, 0xffffffff);
	t = usec();
	a = apic_read(CURRENT);
	wait_us(10000);
	b = apic_read(CURRENT);
	took = usec() - t;
	apic_write(COUNT, 0);
	return ((uint64_t)(a - b) << shift) * 10000 / took;
}

/* Ticks of 1 us at divider 1. */
static unsigned ticks_us;

static uint64_t one_shot(word ms)
{
	uint64_t t;

	timer_irqs = 0;
	apic_write(DIVIDE, 0xb);
	apic_write(LVT_TIMER, VT);
	t = usec();
	apic_write(COUNT, (unsigned)ms * 1000 * ticks_us);
	if (!wait_irqs(&timer_irqs, 1, 10000))
		return 0;
	return usec() - t;
}

/* Microseconds per interrupt, over 4. */
static uint64_t periodic(word ms)
{
	uint64_t t;

	timer_irqs = 0;
	apic_write(DIVIDE, 0xb);
	apic_write(LVT_TIMER, PERIODIC | VT);
	apic_write(COUNT, (unsigned)ms * 1000 * ticks_us);
	if (!wait_irqs(&timer_irqs, 1, 10000))
		return 0;
	t = usec();
	if (!wait_irqs(&timer_irqs, 5, 20000))
		return 0;
	t = (usec() - t) / 4;
	apic_write(COUNT, 0);
	return t;
}

static void quiet(unsigned ms, const char *name)
{
	unsigned n = timer_irqs;

	sti();
	wait_us(ms * 1000);
	cli();
	check_eq(timer_irqs, n, "%s", name);
}

static void timer(void)
{
	static const char *const by[] = {"1", "2", "4", "8", "16", "32", "64", "128"};
	uint64_t hz;

	hz = timer_hz(0);
	ticks_us = (unsigned)(hz / 10000);
	check(ticks_us > 0, "the timer counts");
	for (unsigned i = 1; i < 8; i++)
		check_near(timer_hz, i, hz, "divider %s", by[i]);
	check_near(one_shot, 50, 50000, "one-shot: 50 ms");
	check_eq(apic_read(CURRENT), 0, "the count is 0 after it");
	quiet(150, "and nothing more comes");
	check_near(periodic, 100, 100000, "periodic: every 100 ms");
	quiet(250, "an initial count of 0 stops it");
	apic_write(LVT_TIMER, MASKED | VT);
	apic_write(COUNT, 10000 * ticks_us);
	quiet(50, "masked: no interrupt");
	apic_write(LVT_TIMER, MASKED | PERIODIC | VT);
	apic_write(COUNT, 10000 * ticks_us);
	timer_irqs = 0;
	wait_us(30000);
	apic_write(LVT_TIMER, PERIODIC | VT);
	check(wait_irqs(&timer_irqs, 2, 5000), "unmasked: a periodic timer that ran goes on");
	apic_write(COUNT, 0);
	apic_write(LVT_TIMER, MASKED | VT);
}

static uint64_t deadline_time(word ms)
{
	uint64_t t = usec();

	timer_irqs = 0;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + ms * (tsc_hz() / 1000));
	if (!wait_irqs(&timer_irqs, 1, 10000))
		return 0;
	return usec() - t;
}

static void deadline(void)
{
	uint64_t far = rdtsc() + 1000 * tsc_hz();

	if (!has_leaf1_c(24)) {
		check_skip("TSC deadline", "CPUID does not have it");
		return;
	}
	apic_write(LVT_TIMER, DEADLINE | VT);
	check_near(deadline_time, 50, 50000, "TSC deadline: 50 ms");
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0, "the MSR is 0 after it");
	quiet(100, "TSC deadline: nothing more comes");
	timer_irqs = 0;
	wrmsr(MSR_TSC_DEADLINE, 1);
	check(wait_irqs(&timer_irqs, 1, 2000), "a deadline in the past fires at once");
	wrmsr(MSR_TSC_DEADLINE, far);
	check_eq(rdmsr(MSR_TSC_DEADLINE), far, "an armed deadline reads back");
	apic_write(COUNT, 1000);
	check_eq(apic_read(CURRENT), 0, "the counter does not run in this mode");
	quiet(20, "nor does it interrupt");
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_hz() / 20);
	wrmsr(MSR_TSC_DEADLINE, 0);
	quiet(150, "writing 0 disarms");
	wrmsr(MSR_TSC_DEADLINE, far);
	apic_write(LVT_TIMER, VT);
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0, "another mode disarms, too");
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000);
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0, "outside the mode writes are ignored");
	quiet(20, "and nothing comes");
}

void guest_test(void)
{
	for (unsigned v = 0x40; v < 0xff; v++)
		set_handler(v, note);
	set_handler(VT, on_timer);
	set_handler(VE, on_error);
	apic_enable();
	apic_write(LVT_LINT0, MASKED);
	registers();
	services();
	priorities();
	disabled();
	errors();
	spurious();
	lint0();
	timer();
	deadline();
}
