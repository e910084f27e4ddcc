// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: any code, in any mode, with damaged tables and registers. The guest may do what it
 * likes, but the vCPU's state stays consistent. Run: make t T=fuzz/sys_insn
 */
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "unit/engine/sys_machine.h"

#define RUN_NS 2000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The vCPU lives in memory that the leak checker does not search for pointers. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static timer_t timer;

static void on_timer(int sig)
{
	(void)sig;
	engine_soft.kick(env_vcpu);
}

static void setup_once(void)
{
	static bool done;
	struct sigevent sev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct sigaction sa = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};

	if (done)
		return;
	done = true;
	if (env_setup(NULL) < 0 || sigaction(SIGUSR2, &sa, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &sev, &timer) < 0)
		abort();
}

static void pick_mode(uint8_t mode)
{
	switch (mode % 8) {
	case 0:
		env_real();
		break;
	case 1:
		env_pm(0);
		break;
	case 2:
		env_pm(1);
		break;
	case 3:
		env_pm(3);
		break;
	case 4:
		env_vm86(mode >> 4 & 3);
		break;
	case 5:
		env_long(0);
		break;
	case 6:
		env_long(3);
		break;
	default:
		env_long(mode >> 4 & 1 ? 3 : 0);
		S->seg[SEG_CS] = seg_of(mode >> 4 & 1 ? S_CODE3 : S_CODE0);
		break;
	}
}

/* Two bytes: where, and what. */
static void damage(uint8_t where, uint8_t what)
{
	static const uint32_t flags[] = {FLAG_TF, FLAG_IF,  FLAG_NT,  FLAG_IOPL,
					 FLAG_AC, FLAG_VIF, FLAG_VIP, FLAG_RF};
	static const uint32_t cr4[] = {CR4_VME,	 CR4_PVI,  CR4_DE,	CR4_SMEP,
				       CR4_SMAP, CR4_UMIP, CR4_OSXSAVE, CR4_FSGSBASE};

	if (where < 0x40)
		S->gpr[where & 15] ^= (uint64_t)what << (where >> 4) * 16;
	else if (where < 0x60)
		R[A_GDT + (where & 31) * 8 + (what & 7)] ^= (uint8_t)(1u << (what >> 5));
	else if (where < 0x80)
		R[A_IDT + (where & 31) * 8 + (what & 7)] ^= (uint8_t)(1u << (what >> 5));
	else if (where < 0xa0)
		R[A_TSS + (where & 31) * 4 + (what & 3)] ^= what;
	else if (where < 0xc0)
		R[A_TSS2 + (where & 31) * 4 + (what & 3)] ^= what;
	else if (where < 0xd0)
		S->rflags ^= flags[what & 7] & ~(uint32_t)FLAG_VM;
	else if (where < 0xe0)
		S->cr4 ^= cr4[what & 7];
	else if (where < 0xf0)
		S->dr[where & 3] = A_CODE + what;
	else
		S->dr[7] ^= (uint64_t)(what & 15) << (where & 7) * 4 & 0xffff03ff;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_state(void)
{
	const uint64_t flags = FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT |
			       FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID |
			       FLAG_FIXED;
	bool pe = S->cr0 & CR0_PE, pg = S->cr0 & CR0_PG, vm = S->rflags & FLAG_VM;

	check((S->rflags & FLAG_FIXED) && !(S->rflags & ~flags));
	check(S->zero == 0);
	check(pe || !pg);
	check(pe || !vm);
	check(pe || x86_cpl(S) == 0);
	check(!vm || x86_cpl(S) == 3);
	check(!(S->efer & EFER_LMA) == !(pg && (S->efer & EFER_LME)));
	check(!(S->efer & EFER_LMA) || (S->cr4 & CR4_PAE));
	check(!vm || !(S->efer & EFER_LMA));
	check(S->run_state <= X86_SHUTDOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct itimerspec once = {.it_value = {.tv_nsec = RUN_NS}}, off = {0};
	unsigned pokes;
	gva_t at;

	setup_once();
	if (size < 4 || size > 512)
		return 0;
	pick_mode(data[0]);
	pokes = data[1] & 15;
	data += 2;
	size -= 2;
	for (; pokes && size > 2; pokes--, data += 2, size -= 2)
		damage(data[0], data[1]);
	at = (S->efer & EFER_LMA && S->seg[SEG_CS].attr & SEG_ATTR_L)
		     ? S->rip
		     : S->seg[SEG_CS].base + S->rip;
	memcpy(R + at, data, size);
	memset(R + at + size, 0xf4, 16);
	mem_wrote(env_mem, 0, 0x110000);
	engine_soft.state_changed(env_vcpu);
	timer_settime(timer, 0, &once, NULL);
	engine_soft.run(env_vcpu);
	timer_settime(timer, 0, &off, NULL);
	check_state();
	return 0;
}
