// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When interrupts come: STI and MOV SS shadows, HLT, CLI, NMI and its blocking until IRET,
 * priorities by vector and TPR. Source: Intel SDM 3A §6.7, §6.8, §10.8.
 * QEMU 7.2 (TCG) does not honour some shadows.
 */
#include "guest.h"

#define V1 0x50
#define V2 0x61
#define SELF 0x40000 /* ICR: destination shorthand self */

static volatile unsigned order[8], norder;
static volatile word last_ip, last_flags;

static void note(struct frame *f)
{
	if (norder < 8)
		order[norder++] = (unsigned)f->vec;
	last_ip = f->ip;
	last_flags = f->flags;
	apic_eoi();
}

static void self_ipi(unsigned vec)
{
	apic_write(0x300, SELF | 0x4000 | vec);
	while (apic_read(0x300) & 0x1000)
		;
}

#define L(n) extern uint8_t n[]
L(sti_1); L(sti_2); L(ss_1); L(hlt_1); L(pop_1); L(cli_1);
/* RDI = ICR value; RSI = APIC base + 0x300. The store makes the request pending with IF clear. */
SNIPPET(sti_shadow, "mov %edi, (%rsi)\n mov (%rsi), %eax\n sti\n nop\n sti_1: nop\n sti_2: cli");
SNIPPET(sti_cli, "mov %edi, (%rsi)\n mov (%rsi), %eax\n sti\n cli\n nop\n nop");
SNIPPET(sti_hlt, "mov %edi, (%rsi)\n mov (%rsi), %eax\n sti\n hlt\n hlt_1: cli");
SNIPPET(sti_sti, "mov %edi, (%rsi)\n mov (%rsi), %eax\n sti\n sti\n cli_1: nop\n cli");
SNIPPET(sti_mov_ss, "mov %ss, %ecx\n mov %edi, (%rsi)\n mov (%rsi), %eax\n pushf\n orl $0x200, (%rsp)\n"
		    "mov %ecx, %ss\n popf\n ss_1: nop\n cli");
SNIPPET(popf_if, "mov %edi, (%rsi)\n mov (%rsi), %eax\n pushf\n orl $0x200, (%rsp)\n popf\n pop_1: nop\n cli");

static void begin(void)
{
	norder = 0;
	last_ip = 0;
}

static void shadows(void)
{
	word icr = APIC_BASE + 0x300;

	set_handler(V1, note);
	begin();
	catch_trap(sti_shadow, SELF | 0x4000 | V1, icr);
	check_eq(norder, 1, "STI with a pending interrupt: it comes");
	check_eq(last_ip, (word)sti_1, "one instruction after STI");
	begin();
	catch_trap(sti_cli, SELF | 0x4000 | V1, icr);
	check_eq(norder, 0, "STI; CLI: no window");
	begin();
	sti();
	asm volatile("nop; nop");
	cli();
	check_eq(norder, 1, "the request is still pending");
	begin();
	catch_trap(sti_hlt, SELF | 0x4000 | V1, icr);
	check_eq(norder, 1, "STI; HLT with a pending interrupt wakes");
	check_eq(last_ip, (word)hlt_1, "behind HLT");
	begin();
	catch_trap(sti_sti, SELF | 0x4000 | V1, icr);
	check_eq(last_ip, (word)cli_1, "STI; STI: no longer a shadow than one instruction");
	begin();
	catch_trap(popf_if, SELF | 0x4000 | V1, icr);
	check_eq(last_ip, (word)pop_1, "POPF has no shadow");
	begin();
	catch_trap(sti_mov_ss, SELF | 0x4000 | V1, icr);
	check_eq(last_ip, (word)ss_1, "MOV SS; POPF: behind POPF");
	check(last_flags & FL_IF, "the frame has IF set");
}

static void priorities(void)
{
	set_handler(V2, note);
	begin();
	self_ipi(V1);
	self_ipi(V2);
	sti();
	asm volatile("nop; nop");
	cli();
	check_eq(norder, 2, "two requests");
	check_eq(order[0], V2, "the higher vector first");
	check_eq(order[1], V1, "then the lower");
	begin();
	asm volatile("mov %0, %%cr8" ::"r"(6ul)); /* blocks classes 0 to 6 */
	self_ipi(V2);
	self_ipi(0x71);
	set_handler(0x71, note);
	sti();
	asm volatile("nop; nop");
	check_eq(norder, 1, "TPR blocks its class and below");
	check_eq(order[0], 0x71, "what is above comes");
	asm volatile("mov %0, %%cr8" ::"r"(0ul));
	asm volatile("nop; nop");
	cli();
	check_eq(norder, 2, "lowering TPR lets it come");
	check_eq(order[1], V2, "the one that waited");
}

static volatile unsigned nested_seen, nmi_depth, nmi_runs;
static void send_nmi(void)
{
	apic_write(0x300, SELF | 0x4400);
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmi_runs++;
	nmi_depth++;
	if (nmi_depth > 1)
		nested_seen = 1;
	if (nmi_runs == 1) {
		send_nmi(); /* must wait for this handler's IRET */
		for (int i = 0; i < 100; i++)
			asm volatile("nop");
	}
	nmi_depth--;
}

static void nmi(void)
{
	unsigned before = nmi_runs;

	set_handler(NMI, on_nmi);
	send_nmi();
	wait_change(&nmi_runs, before);
	for (int i = 0; i < 100; i++)
		asm volatile("nop");
	check_eq(nmi_runs, 2, "two NMIs, though IF is clear");
	check_eq(nested_seen, 0, "the second waited for IRET");
	set_handler(NMI, NULL);
}

void guest_test(void)
{
	if (!(cpuid(1, 0).d >> 9 & 1)) {
		check_skip("interrupts", "CPUID has no APIC");
		return;
	}
	apic_enable();
	shadows();
	priorities();
	nmi();
}
