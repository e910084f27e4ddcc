// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts in loops of many shapes, which nothing but the interrupt ends: each must get it. Says
 * how long after the TSC deadline its handler ran (bench/latency.py reads these lines); a busy
 * machine may take any time, so that is not checked. On the command line: samples=N of each, and
 * loop=N, that loop alone.
 * Source: Intel SDM 3A §10.5.4.1.
 */
#include "timing.h"

#define V_TIMER 0x60
#define LVT_TIMER 0x320
#define LVT_DEADLINE 0x40000
#define MSR_TSC_DEADLINE 0x6e0
#define SAMPLES_MAX 5000u

extern uint8_t loop_out[];
void loop_enter(void *loop);
word loop_stack;

/* loop_enter: everything but the stack pointer is the loop's; the handler returns to loop_out. */
asm(".pushsection .text\n"
    "loop_enter:\n"
    "	push	%rbx\n"
    "	push	%rbp\n"
    "	push	%r12\n"
    "	push	%r13\n"
    "	push	%r14\n"
    "	push	%r15\n"
    "	mov	%rsp, loop_stack\n"
    "	mov	%rdi, %rax\n"
    "	lea	loop_data, %rbx\n"
    "	mov	$1000, %ecx\n"
    "	xor	%edx, %edx\n"
    "	sti\n"
    "	jmp	*%rax\n"
    "loop_out:\n"
    "	cli\n"
    "	cld\n"
    "	mov	loop_stack, %rsp\n"
    "	pop	%r15\n"
    "	pop	%r14\n"
    "	pop	%r13\n"
    "	pop	%r12\n"
    "	pop	%rbp\n"
    "	pop	%rbx\n"
    "	ret\n"
    ".popsection\n"
    ".pushsection .bss\n"
    "	.balign	4096\n"
    "loop_data: .skip 131072\n"
    ".popsection\n");

#define LOOP(name, text)       \
	extern uint8_t name[]; \
	asm(".pushsection .text\n.balign 64\n" #name ":\n" text "\n.popsection")

LOOP(l_self, "1: jmp 1b");
LOOP(l_count, "1: mov $1000000, %ecx\n2: dec %ecx\n jnz 2b\n jmp 1b");
LOOP(l_flags, "1: add $3, %rdx\n jc 2f\n adc $0, %rsi\n jmp 1b\n2: inc %rdi\n jmp 1b");
LOOP(l_pages, "1: inc %rdx\n jmp l_pages2\n .balign 4096\nl_pages2: inc %rdx\n jmp 1b");
LOOP(l_call, "1: call 2f\n jmp 1b\n2: inc %rdx\n ret");
LOOP(l_indirect, "lea 2f(%rip), %rsi\n1: call *%rsi\n jmp 1b\n2: inc %rdx\n ret");
LOOP(l_switch,
     "lea 8f(%rip), %rsi\n1: inc %edx\n mov %edx, %eax\n and $3, %eax\n jmp *(%rsi,%rax,8)\n"
     "2: jmp 1b\n3: inc %rdi\n jmp 1b\n4: nop\n jmp 1b\n5: dec %rdi\n jmp 1b\n"
     " .balign 8\n8: .quad 2b, 3b, 4b, 5b");
LOOP(l_memory,
     "1: mov (%rbx), %rax\n add %rdx, %rax\n mov %rax, 64(%rbx)\n incl 128(%rbx)\n jmp 1b");
LOOP(l_locked, "1: lock incl (%rbx)\n jmp 1b");
LOOP(l_stack, "1: push %rax\n push %rdx\n pop %rax\n pop %rdx\n jmp 1b");
LOOP(l_movs, "1: lea 65536(%rbx), %rdi\n mov %rbx, %rsi\n mov $65536, %ecx\n rep movsb\n jmp 1b");
LOOP(l_stos, "1: mov %rbx, %rdi\n mov $16384, %ecx\n rep stosq\n jmp 1b");
LOOP(l_scas, "1: mov %rbx, %rdi\n mov $131072, %ecx\n mov $77, %al\n repne scasb\n jmp 1b");
LOOP(l_divide, "1: mov $12345, %eax\n xor %edx, %edx\n mov $7, %esi\n div %esi\n jmp 1b");
LOOP(l_sse, "1: sqrtsd %xmm0, %xmm1\n mulsd %xmm1, %xmm2\n paddd %xmm2, %xmm3\n jmp 1b");
LOOP(l_x87, "fninit\n1: fldpi\n fsqrt\n fstpl (%rbx)\n jmp 1b");
LOOP(l_pause, "1: pause\n jmp 1b");
LOOP(l_cpuid, "mov %rbx, %r8\n1: xor %eax, %eax\n cpuid\n jmp 1b");
LOOP(l_rdtsc, "1: rdtsc\n jmp 1b");
LOOP(l_window, "1: cli\n inc %rdx\n sti\n nop\n jmp 1b");
LOOP(l_shadow, "1: sti\n mov %ss, %eax\n cli\n jmp 1b");
LOOP(l_popf, "1: pushf\n cli\n popf\n jmp 1b");
LOOP(l_mmio, "mov $0xfee00020, %esi\n1: mov (%rsi), %eax\n jmp 1b");
LOOP(l_port, "1: in $0x61, %al\n jmp 1b");
LOOP(l_cr3, "1: mov %cr3, %rax\n mov %rax, %cr3\n jmp 1b");
LOOP(l_patch, "1: incl 2f+1(%rip)\n2: mov $0, %eax\n jmp 1b");
LOOP(l_halt, "1: hlt\n jmp 1b");

static const struct {
	const char *name;
	uint8_t *code;
} loops[] = {
	{"a jump to itself", l_self},
	{"a counting loop", l_count},
	{"branches on carry", l_flags},
	{"two blocks in two pages", l_pages},
	{"calls and returns", l_call},
	{"indirect calls", l_indirect},
	{"a jump table", l_switch},
	{"loads and stores", l_memory},
	{"locked additions", l_locked},
	{"push and pop", l_stack},
	{"rep movsb", l_movs},
	{"rep stosq", l_stos},
	{"repne scasb", l_scas},
	{"divisions", l_divide},
	{"SSE arithmetic", l_sse},
	{"x87 arithmetic", l_x87},
	{"pause", l_pause},
	{"cpuid", l_cpuid},
	{"rdtsc", l_rdtsc},
	{"a short window", l_window},
	{"a window in a shadow", l_shadow},
	{"popf", l_popf},
	{"a device register", l_mmio},
	{"a port", l_port},
	{"CR3 writes", l_cr3},
	{"code that changes itself", l_patch},
	{"halt", l_halt},
};

static uint32_t took[SAMPLES_MAX]; /* in TSC ticks */
static volatile uint64_t deadline, arrived;

static void on_timer(struct frame *f)
{
	arrived = rdtsc();
	apic_eoi();
	f->ip = (word)loop_out;
}

/* A number of the command line, such as "samples=N". Source: Multiboot 0.6.96 §3.3. */
static unsigned number(const char *key, unsigned most, unsigned otherwise)
{
	const uint32_t *info = (const uint32_t *)(word)boot_info;
	const char *s = info[0] & 4 ? (const char *)(word)info[4] : "";
	unsigned n = 0, len = 0;

	while (key[len])
		len++;
	for (; *s; s++)
		if (memcmp(s, key, len) == 0) {
			for (s += len; *s >= '0' && *s <= '9' && n < most; s++)
				n = n * 10 + (unsigned)(*s - '0');
			return n > most ? most : n;
		}
	return otherwise;
}

static void sort(unsigned n)
{
	for (unsigned gap = n / 2; gap; gap /= 2)
		for (unsigned i = gap; i < n; i++) {
			uint32_t v = took[i];
			unsigned k = i;

			for (; k >= gap && took[k - gap] > v; k -= gap)
				took[k] = took[k - gap];
			took[k] = v;
		}
}

static unsigned tenths_us(unsigned n, unsigned per_mille)
{
	unsigned i = n * per_mille / 1000;

	return (unsigned)((uint64_t)took[i < n ? i : n - 1] * 10000000 / tsc_hz());
}

static bool shape(void *code, unsigned n)
{
	uint64_t per_us = tsc_hz() / 1000000;
	bool early = false;

	for (unsigned i = 0; i < n; i++) {
		/* From one to two milliseconds, so that loops are met at any place. */
		deadline = rdtsc() + (1000 + i * 617 % 1000) * per_us;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		loop_enter(code);
		early |= arrived < deadline;
		took[i] = arrived - deadline > UINT32_MAX ? UINT32_MAX
							  : (uint32_t)(arrived - deadline);
	}
	sort(n);
	return !early;
}

void guest_test(void)
{
	unsigned n = number("samples=", SAMPLES_MAX, 20), only = number("loop=", 99, 99);

	if (!has_leaf1_c(24)) {
		check_skip("interrupts in loops", "no TSC deadline");
		return;
	}
	write_cr4(read_cr4() | C4_OSFXSR | C4_OSXMMEXCPT);
	set_handler(V_TIMER, on_timer);
	apic_enable();
	apic_write(LVT_TIMER, LVT_DEADLINE | V_TIMER);
	for (unsigned i = 0; i < ARRAY_SIZE(loops); i++) {
		if (only < ARRAY_SIZE(loops) && i != only)
			continue;
		check(shape(loops[i].code, n), "interrupts arrive, and not early: %s",
		      loops[i].name);
		print("  latency in 0.1 us: p50 %u p90 %u p99 %u max %u: %s\n", tenths_us(n, 500),
		      tenths_us(n, 900), tenths_us(n, 990), tenths_us(n, 1000), loops[i].name);
	}
}
