/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running one instruction on the real CPU, in 64-bit or in 32-bit compatibility mode, with given
 * registers, and catching whatever it raises: the oracle for the thunk tests.
 *
 * A template is copied to a page below 4 GiB; its data page follows it. The instruction is written
 * into it, between loads and stores of the whole state. A fault resumes behind the instruction.
 */
#ifndef LODGE_TESTS_DIRECT_H
#define LODGE_TESTS_DIRECT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/bytes.h"

#define USER_CS64 0x33
#define USER_CS32 0x23
#define USER_DS 0x2b

/* The data page; offsets are repeated in the template below. */
struct direct_data {
	uint64_t save_rsp;     /* 0 */
	uint64_t flags_in;     /* 8 */
	uint64_t flags_out;    /* 16 */
	uint32_t mxcsr, pad;   /* 24 */
	uint32_t entry_ip;     /* 32: far pointer */
	uint16_t entry_cs, p2; /* 36 */
	uint64_t pad3[3];
	uint64_t gpr_in[16];		  /* 64 */
	uint64_t gpr_out[16];		  /* 192 */
	_Alignas(64) uint8_t xs_in[1024]; /* 320 */
	uint8_t xs_out[1024];		  /* 1344 */
	uint8_t env_out[32]; /* 2368: FNSTENV; some CPUs leave pointers out of XSAVE's image */
};

_Static_assert(offsetof(struct direct_data, gpr_in) == 64, "template");
_Static_assert(offsetof(struct direct_data, gpr_out) == 192, "template");
_Static_assert(offsetof(struct direct_data, xs_in) == 320, "template");
_Static_assert(offsetof(struct direct_data, xs_out) == 1344, "template");
_Static_assert(offsetof(struct direct_data, env_out) == 2368, "template");

extern const uint8_t direct_start[], direct_insn[], direct_leave[], direct_done[], direct_end[];

__asm__(".text\n"
	"direct_start:\n"
	".set D, direct_start + 4096\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rsp, D(%rip)\n"
	"mov $7, %eax; xor %edx, %edx; xrstor64 D+320(%rip)\n"
	"push D+8(%rip); popfq\n"
	"mov D+64(%rip), %rax; mov D+72(%rip), %rcx; mov D+80(%rip), %rdx; mov D+88(%rip), %rbx\n"
	"mov D+96(%rip), %rsp; mov D+104(%rip), %rbp; mov D+112(%rip), %rsi; mov D+120(%rip), "
	"%rdi\n"
	"mov D+128(%rip), %r8; mov D+136(%rip), %r9; mov D+144(%rip), %r10; mov D+152(%rip), %r11\n"
	"mov D+160(%rip), %r12; mov D+168(%rip), %r13; mov D+176(%rip), %r14\n"
	"mov D+184(%rip), %r15\n"
	"ljmp *D+32(%rip)\n"
	"direct_insn: .fill 16, 1, 0x90\n"
	"direct_leave: .fill 8, 1, 0x90\n"
	"direct_done:\n"
	"mov %rax, D+192(%rip); mov %rcx, D+200(%rip); mov %rdx, D+208(%rip)\n"
	"mov %rbx, D+216(%rip); mov %rsp, D+224(%rip); mov %rbp, D+232(%rip)\n"
	"mov %rsi, D+240(%rip); mov %rdi, D+248(%rip); mov %r8, D+256(%rip)\n"
	"mov %r9, D+264(%rip); mov %r10, D+272(%rip); mov %r11, D+280(%rip)\n"
	"mov %r12, D+288(%rip); mov %r13, D+296(%rip); mov %r14, D+304(%rip)\n"
	"mov %r15, D+312(%rip)\n"
	"mov D(%rip), %rsp\n"
	"pushfq; pop D+16(%rip)\n"
	"fnstenv D+2368(%rip); fldcw D+2368(%rip)\n"
	"mov $7, %eax; xor %edx, %edx; xsave64 D+1344(%rip)\n"
	"fninit; ldmxcsr D+24(%rip); vzeroupper; cld\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n"
	"direct_end:\n");

static uint8_t *direct_page;
static struct direct_data *direct;
static struct sigaction direct_others[32];
static struct {
	unsigned vector;
	uint64_t cr2;
} volatile direct_fault;

static void direct_handler(int sig, siginfo_t *si, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	uint64_t insn = (uintptr_t)direct_page + (uintptr_t)(direct_insn - direct_start);

	if ((uint64_t)g[REG_RIP] != insn) {
		direct_others[sig].sa_sigaction(sig, si, ctx);
		return;
	}
	direct_fault.vector = (unsigned)g[REG_TRAPNO];
	direct_fault.cr2 = (uint64_t)g[REG_CR2];
	g[REG_RIP] = (greg_t)(insn + (uint64_t)(direct_leave - direct_insn));
}

/* After soft_signals_init(), whose handlers get the faults that are not ours. */
static int direct_setup(void)
{
	static const int sigs[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS};
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

	if (!direct_page) {
		direct_page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		if (direct_page == MAP_FAILED)
			return -1;
		memcpy(direct_page, direct_start, (size_t)(direct_end - direct_start));
		direct = (struct direct_data *)(direct_page + 4096);
		direct->mxcsr = 0x1f80;
		/* 32-bit code needs data segments; 64-bit code does not mind them. */
		__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(USER_DS));
	}
	sa.sa_sigaction = direct_handler;
	for (unsigned i = 0; i < 4; i++) {
		struct sigaction old;

		if (sigaction(sigs[i], &sa, &old) < 0)
			return -1;
		if (old.sa_sigaction != direct_handler)
			direct_others[sigs[i]] = old;
	}
	return 0;
}

static uint64_t direct_ip(void)
{
	return (uintptr_t)direct_page + (uintptr_t)(direct_insn - direct_start);
}

/* Run the instruction on direct->*_in. 0, or 1 + the vector it raised. */
static int direct_run(const uint8_t *bytes, unsigned len, bool mode64)
{
	uint8_t *insn = direct_page + (direct_insn - direct_start);
	uint8_t *leave = direct_page + (direct_leave - direct_start);

	memset(insn, 0x90, 24);
	memcpy(insn, bytes, len);
	if (!mode64) {
		leave[0] = 0xea; /* ljmp USER_CS64:done */
		st_le32(leave + 1,
			(uint32_t)(uintptr_t)direct_page + (uint32_t)(direct_done - direct_start));
		st_le16(leave + 5, USER_CS64);
	}
	direct->entry_ip = (uint32_t)direct_ip();
	direct->entry_cs = mode64 ? USER_CS64 : USER_CS32;
	memset(direct->xs_out, 0, sizeof(direct->xs_out));
	direct_fault.vector = ~0u;
	((void (*)(void))(uintptr_t)direct_page)();
	return direct_fault.vector == ~0u ? 0 : 1 + (int)direct_fault.vector;
}

#endif
