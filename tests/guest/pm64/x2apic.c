// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x2APIC: changes of mode, registers as MSRs and what of them is #GP, IPIs, timer, the page that
 * goes away, IA32_APIC_BASE. Source: Intel SDM 3A §10.12.
 */
#include "timing.h"

#define MSR_BASE 0x1b
#define EN 0x800ull
#define EXTD 0x400ull
#define X(reg) (0x800u + ((reg) >> 4))
#define SELF_IPI 0x83f
#define DEADLINE 0x40000
#define MASKED 0x10000
#define V 0x60u

static volatile unsigned irqs;
static uint64_t base;

static void on_irq_x2(struct frame *f)
{
	(void)f;
	irqs++;
	wrmsr(X(0xb0), 0);
}

static void on_irq_mmio(struct frame *f)
{
	(void)f;
	irqs++;
	apic_eoi();
}

static int read_fault(uint32_t msr)
{
	uint64_t v;

	return rdmsr_safe(msr, &v);
}

static void window(void)
{
	sti();
	for (int i = 0; i < 50; i++)
		asm volatile("nop");
	cli();
}

static void before(void)
{
	check_eq(read_fault(X(0x20)), GP, "xAPIC mode: reading an x2APIC MSR is #GP");
	check_eq(wrmsr_safe(X(0x80), 0), GP, "xAPIC mode: writing one is #GP");
	check_eq(wrmsr_safe(MSR_BASE, (base & ~EN) | EXTD), GP, "EXTD without EN is #GP");
	check_eq(wrmsr_safe(MSR_BASE, base | 1), GP, "a reserved bit of APIC_BASE is #GP");
	check_eq(wrmsr_safe(MSR_BASE, base | 1ull << 63), GP, "an address too wide is #GP");
	apic_write(0x80, 0x30);
	apic_write(0x310, 0x05000000);
}

static void registers(void)
{
	uint32_t id = (uint32_t)rdmsr(X(0x20));

	check_eq(rdmsr(MSR_BASE), base | EXTD, "x2APIC mode");
	check_eq(id, cpuid(0xb, 0).d, "ID: the 32 bits of CPUID leaf 0Bh");
	check_eq(rdmsr(X(0xd0)), (id >> 4) << 16 | 1u << (id & 15), "LDR comes from the ID");
	check_eq(rdmsr(X(0x30)) & 0xf0, 0x10, "version 1x");
	check_eq(rdmsr(X(0x80)), 0x30, "TPR is kept");
	wrmsr(X(0x80), 0);
	check_eq(rdmsr(X(0xf0)) & 0x1ff, 0x1ff, "SVR is kept");
	apic_write(0x80, 0x70);
	check_eq(rdmsr(X(0x80)), 0, "the page is not the APIC any more");
	wrmsr(X(0x320), MASKED | V);
	check_eq(rdmsr(X(0x320)), MASKED | V, "a local vector reads back");
	wrmsr(X(0x300), 0x500000000 | V); /* to a processor that is not there */
	check_eq(rdmsr(X(0x300)), 0x500000000 | V, "ICR is one 64-bit register");
}

static void faults(void)
{
	static const uint16_t unreadable[] = {0x800, 0x801, 0x804, 0x80b, 0x80c, 0x80e, 0x829,
					      0x831, 0x83a, 0x83f, 0x840, 0x8ff};
	static const uint16_t unwritable[] = {0x800, 0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810,
					      0x818, 0x820, 0x827, 0x831, 0x839, 0x840, 0x8ff};
	static const struct {
		uint16_t msr;
		uint64_t value;
	} reserved[] = {
		{0x808, 0x100}, {0x808, 1ull << 32}, {0x80b, 1}, {0x80f, 0x4000}, {0x828, 1},
		{0x830, 1 << 20}, {0x832, 1 << 19}, {0x832, 1ull << 32}, {0x835, 1 << 17},
		{0x836, 1 << 18}, {0x837, 1 << 15}, {0x838, 1ull << 32}, {0x83e, 4}, {0x83e, 0x10},
		{0x83f, 0x100},
	};

	group_begin("reading what is not readable is #GP");
	for (unsigned i = 0; i < ARRAY_SIZE(unreadable); i++)
		group_case(read_fault(unreadable[i]) == GP, "%x", unreadable[i]);
	group_end();
	group_begin("writing what is not writable is #GP");
	for (unsigned i = 0; i < ARRAY_SIZE(unwritable); i++)
		group_case(wrmsr_safe(unwritable[i], 0) == GP, "%x", unwritable[i]);
	group_end();
	group_begin("reserved bits are #GP");
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
		group_case(wrmsr_safe(reserved[i].msr, reserved[i].value) == GP, "%x = %q",
			   reserved[i].msr, reserved[i].value);
	group_end();
	wrmsr(X(0xf0), 0x1ff); /* where they are taken it is off now */
	wrmsr(X(0x80), 0);
	group_begin("what is readable reads");
	for (uint32_t msr = 0x802; msr < 0x840; msr++) {
		bool other = false;

		for (unsigned i = 0; i < ARRAY_SIZE(unreadable); i++)
			other |= unreadable[i] == msr;
		if (!other && (msr < 0x804 || msr == 0x808 || msr == 0x80a || msr == 0x80d ||
			       (msr >= 0x80f && msr <= 0x828) || msr == 0x830 ||
			       (msr >= 0x832 && msr <= 0x839) || msr == 0x83e))
			group_case(!read_fault(msr), "%x", msr);
	}
	group_end();
}

static void ipis(void)
{
	uint32_t id = (uint32_t)rdmsr(X(0x20)), ldr = (uint32_t)rdmsr(X(0xd0));

	irqs = 0;
	wrmsr(SELF_IPI, V);
	check_eq(rdmsr(X(0x200) + V / 32) >> V % 32 & 1, 1, "SELF IPI: IRR");
	window();
	check_eq(irqs, 1, "SELF IPI");
	wrmsr(X(0x300), 0x40000 | V);
	window();
	check_eq(irqs, 2, "ICR, self");
	wrmsr(X(0x300), (uint64_t)id << 32 | V);
	window();
	check_eq(irqs, 3, "ICR, to the ID");
	wrmsr(X(0x300), (uint64_t)ldr << 32 | 0x800 | V);
	window();
	check_eq(irqs, 4, "ICR, to the logical ID");
	wrmsr(X(0x300), 0xffffffff00000000 | V);
	window();
	check_eq(irqs, 5, "ICR, to all");
	wrmsr(X(0x300), 0xff00000000 | V);
	window();
	check_eq(irqs, 5, "ICR, to 255, which is not all");
	wrmsr(X(0x300), (uint64_t)(ldr << 1) << 32 | 0x800 | V);
	window();
	check_eq(irqs, 5, "ICR, to another logical ID");
	asm volatile("mov %0, %%cr8" ::"r"(6ul));
	check_eq(rdmsr(X(0x80)), 0x60, "CR8 is TPR");
	wrmsr(SELF_IPI, V);
	window();
	check_eq(irqs, 5, "TPR stops it");
	wrmsr(X(0x80), 0);
	window();
	check_eq(irqs, 6, "until it is lowered");
	wrmsr(X(0x280), 0);
	wrmsr(SELF_IPI, 3);
	wrmsr(X(0x280), 0);
	check_eq(rdmsr(X(0x280)) & 0x60, 0x20, "a vector below 16: ESR");
	wrmsr(X(0x280), 0);
}

static uint64_t deadline(word ms)
{
	uint64_t t = usec();

	irqs = 0;
	wrmsr(X(0x320), DEADLINE | V);
	wrmsr(0x6e0, rdtsc() + ms * (tsc_hz() / 1000));
	if (!wait_irqs(&irqs, 1, 10000))
		return 0;
	return usec() - t;
}

/* Ticks in 20 ms at divider 1, per microsecond. */
static uint64_t timer_ticks(void)
{
	uint64_t t, a;

	wrmsr(X(0x320), MASKED | V);
	wrmsr(X(0x3e0), 0xb);
	wrmsr(X(0x380), 0xffffffff);
	t = usec();
	a = rdmsr(X(0x390));
	wait_us(20000);
	return (a - rdmsr(X(0x390))) / (usec() - t);
}

static uint64_t one_shot(word ticks)
{
	uint64_t t = usec();

	irqs = 0;
	wrmsr(X(0x320), V);
	wrmsr(X(0x380), ticks);
	if (!wait_irqs(&irqs, 1, 10000))
		return 0;
	return usec() - t;
}

static void transitions(void)
{
	check_eq(wrmsr_safe(MSR_BASE, base), GP, "x2APIC to xAPIC is #GP");
	check_eq(wrmsr_safe(MSR_BASE, (base & ~EN) | EXTD), GP, "x2APIC to EXTD without EN is #GP");
	check_eq(wrmsr_safe(MSR_BASE, base & ~EN), 0, "x2APIC to disabled");
	check_eq(rdmsr(MSR_BASE) & (EN | EXTD), 0, "disabled");
	check_eq(cpuid(1, 0).d >> 9 & 1, 0, "disabled: CPUID does not say APIC");
	check_eq(read_fault(X(0x20)), GP, "disabled: x2APIC MSRs are #GP");
	check_eq(wrmsr_safe(MSR_BASE, base | EXTD), GP, "disabled to x2APIC is #GP");
	check_eq(wrmsr_safe(MSR_BASE, base), 0, "disabled to xAPIC");
	check_eq(cpuid(1, 0).d >> 9 & 1, 1, "enabled: CPUID says APIC");
	check_eq(apic_read(0xf0), 0xff, "SVR is as after reset");
	check_eq(apic_read(0x320), MASKED, "LVT timer is as after reset");
	check_eq(apic_read(0x80), 0, "TPR is as after reset");
	set_handler(V, on_irq_mmio);
	apic_enable();
	irqs = 0;
	apic_write(0x300, 0x40000 | V);
	window();
	check_eq(irqs, 1, "the page works again");
	check_eq(wrmsr_safe(MSR_BASE, base | EXTD), 0, "and x2APIC can be entered again");
	check_eq(wrmsr_safe(MSR_BASE, base & ~EN), 0, "and left");
	wrmsr(MSR_BASE, base);
}

static void relocation(void)
{
	volatile uint32_t *page = (volatile uint32_t *)0xfee40000;

	apic_enable();
	wrmsr(MSR_BASE, (base & 0xfff) | 0xfee40000);
	flush_tlb();
	check_eq(page[0xf0 / 4], 0x1ff, "the page moves with APIC_BASE");
	page[0x80 / 4] = 0x20;
	check_eq(page[0x80 / 4], 0x20, "and takes writes there");
	page[0x80 / 4] = 0;
	wrmsr(MSR_BASE, base);
	flush_tlb();
	check_eq(apic_read(0xf0), 0x1ff, "and back");
}

void guest_test(void)
{
	uint64_t per_us;

	if (!has_leaf1_c(21)) {
		check_skip("x2APIC", "CPUID does not have it");
		return;
	}
	base = rdmsr(MSR_BASE);
	set_handler(V, on_irq_x2);
	apic_enable();
	before();
	check_eq(wrmsr_safe(MSR_BASE, base | EXTD), 0, "xAPIC to x2APIC");
	registers();
	faults();
	ipis();
	per_us = timer_ticks();
	check_near(one_shot, per_us * 50000, 50000, "the timer by MSR: 50 ms");
	check_near(deadline, 50, 50000, "TSC deadline: 50 ms");
	transitions();
	relocation();
}
