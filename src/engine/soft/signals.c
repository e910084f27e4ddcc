// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host faults inside thunks become guest exceptions; any other host fault is a bug of ours and
 * goes to whoever had the signal before, or kills the process with one line of explanation.
 * Source: sigaction(2), Linux's ucontext; Intel SDM vol. 3A §6.15 (vector numbers in REG_TRAPNO).
 *
 * Threads: the handlers run on the faulting vCPU's thread, on its alternate stack, and touch only
 * the signal frame. The process-wide data are written once, before any vCPU runs.
 */
#include "engine/soft/jit_int.h"
#include "engine/soft/thunk_int.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ALT_STACK_BYTES (64u << 10)
#define SIG_KICK (34 + 4) /* a real-time signal that the C library does not use */

static const int fault_signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL};
#define FAULT_SIGNALS (sizeof(fault_signals) / sizeof(fault_signals[0]))

/* Signal dispositions are the process's, so this is too. */
static struct {
	struct sigaction before[FAULT_SIGNALS];
	int pid;
} process;

static _Thread_local struct soft_cpu *thread_cpu;

/* Vectors a thunk's instruction may raise on its guest's account. */
static bool is_guest_trap(uint64_t trap)
{
	return trap == VEC_DE || trap == VEC_UD || trap == VEC_GP || trap == VEC_MF ||
	       trap == VEC_XM;
}

static size_t put_hex(char *p, uint64_t v)
{
	for (unsigned i = 0; i < 16; i++)
		p[i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
	return 16;
}

/* One line, with async-signal-safe calls only. */
static void say_crash(int sig, uint64_t pc, const void *addr)
{
	static const char text[] = "lodge: internal error: signal ";
	char line[128];
	size_t n = sizeof(text) - 1;

	memcpy(line, text, n);
	if (sig >= 10)
		line[n++] = (char)('0' + sig / 10);
	line[n++] = (char)('0' + sig % 10);
	memcpy(line + n, " at 0x", 6);
	n += 6;
	n += put_hex(line + n, pc);
	memcpy(line + n, ", address 0x", 12);
	n += 12;
	n += put_hex(line + n, (uint64_t)(uintptr_t)addr);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

/* Not the guest's: to the handler that was there first (it may restore the terminal), or die. */
static void pass_on(int sig, siginfo_t *si, void *ctx, uint64_t pc)
{
	const struct sigaction *old = NULL;

	for (unsigned i = 0; i < FAULT_SIGNALS; i++) {
		if (fault_signals[i] == sig)
			old = &process.before[i];
	}
	if (si->si_code > 0)
		say_crash(sig, pc, si->si_addr);
	if (old && (old->sa_flags & SA_SIGINFO) && old->sa_sigaction) {
		old->sa_sigaction(sig, si, ctx);
		return;
	}
	if (old && old->sa_handler == SIG_IGN && si->si_code <= 0)
		return;
	if (old && old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
		return;
	}
	signal(sig, SIG_DFL);
	if (si->si_code <= 0)
		raise(sig); /* sent by someone: returning would not repeat it */
}

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *g = uc->uc_mcontext.gregs;
	struct soft_cpu *cpu = thread_cpu;
	uint64_t pc = (uint64_t)g[REG_RIP], trap = (uint64_t)g[REG_TRAPNO];

	if (cpu && si->si_code > 0 && jit_contains(cpu->e->jit, pc) && is_guest_trap(trap) &&
	    pc >= (uint64_t)(uintptr_t)(cpu->e->jit->rx + cpu->e->jit->stubs_end)) {
		cpu->jit_fault.pc = pc;
		cpu->jit_fault.trap = trap;
		cpu->jit_fault.eflags = (uint64_t)g[REG_EFL];
		g[REG_RIP] = (greg_t)(uintptr_t)(cpu->e->jit->rx + cpu->e->jit->stub_fault);
		g[REG_EFL] &= ~(greg_t)(FLAG_DF | FLAG_TF | FLAG_AC);
		return;
	}
	if (!cpu || si->si_code <= 0 || !thunk_contains(cpu->e->thunks, pc) ||
	    !is_guest_trap(trap)) {
		pass_on(sig, si, ctx, pc);
		return;
	}
	/*
	 * A thunk does not move the stack, so its caller's return address is on top: resume as if
	 * it had called thunk_fault() in its place. The frame restores the x87/SSE/AVX registers.
	 */
	g[REG_RIP] = (greg_t)(uintptr_t)thunk_fault;
	g[REG_RDI] = (greg_t)(uintptr_t)cpu;
	g[REG_RSI] = (greg_t)trap;
	g[REG_EFL] &= ~(greg_t)(FLAG_DF | FLAG_TF | FLAG_AC);
}

/* Someone wants this thread out of generated code. */
static void on_kick(int sig, siginfo_t *si, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	struct soft_cpu *cpu = thread_cpu;
	uint64_t pc = (uint64_t)g[REG_RIP];

	(void)sig;
	if (cpu && si->si_code == SI_TIMER) { /* soft_alarm_set; then as soft_request() */
		atomic_fetch_or(&cpu->requests, SOFT_REQ_KICK);
		if (!atomic_load(&cpu->jit_in))
			return;
		atomic_store(&cpu->jit_stop, 1);
	}
	if (cpu && jit_contains(cpu->e->jit, pc))
		g[REG_RIP] = (greg_t)cpu->e->jit->on_kick(cpu, pc, (uint64_t)g[REG_R10],
							  (uint64_t)g[REG_R11]);
}

void soft_jit_kick(struct soft_cpu *cpu)
{
	int self = thread_cpu ? thread_cpu->thread : 0;
	long r = SYS_tgkill;

	atomic_store(&cpu->jit_stop, 1);
	if (thread_cpu == cpu && self == cpu->thread)
		return; /* in C already */
	/* Not by the C library: the caller's SIMD registers may be its guest's. */
	__asm__ volatile("syscall"
			 : "+a"(r)
			 : "D"((long)process.pid), "S"((long)cpu->thread), "d"((long)SIG_KICK)
			 : "rcx", "r11", "memory");
}

static bool make_alarm(struct soft_cpu *cpu)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIG_KICK};

	if (cpu->has_alarm)
		return true;
	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	cpu->has_alarm = syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &cpu->alarm) == 0;
	return cpu->has_alarm;
}

bool soft_alarm_set(struct soft_cpu *cpu, uint64_t deadline_ns)
{
	const uint64_t second = 1000000000;
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(deadline_ns / second),
					     .tv_nsec = (long)(deadline_ns % second)}};

	if (!deadline_ns)
		at.it_value.tv_nsec = 1; /* all zero would disarm it */
	return thread_cpu == cpu && make_alarm(cpu) &&
	       syscall(SYS_timer_settime, cpu->alarm, TIMER_ABSTIME, &at, NULL) == 0;
}

void soft_alarm_free(struct soft_cpu *cpu)
{
	if (cpu->has_alarm)
		syscall(SYS_timer_delete, cpu->alarm);
	cpu->has_alarm = false;
}

int soft_signals_init(struct lodge_err *err)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK}, old;

	sa.sa_sigaction = on_fault;
	sigemptyset(&sa.sa_mask);
	for (unsigned i = 0; i < FAULT_SIGNALS; i++) {
		if (sigaction(fault_signals[i], &sa, &old) < 0)
			return err_set(err, -errno, "cannot handle signal %d: %s", fault_signals[i],
				       strerror(errno));
		if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_fault)
			process.before[i] = old;
	}
	sa.sa_sigaction = on_kick;
	sa.sa_flags |= SA_RESTART;
	process.pid = getpid();
	if (sigaction(SIG_KICK, &sa, NULL) < 0)
		return err_set(err, -errno, "cannot handle signal %d: %s", SIG_KICK,
			       strerror(errno));
	return 0;
}

static bool set_up_thread(struct soft_cpu *cpu)
{
	stack_t ss = {.ss_size = ALT_STACK_BYTES}, old;

	cpu->thread = (int)syscall(SYS_gettid);
	/* Generated code finds its vCPU by gs, and has the guest's rsp in rsp. */
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, cpu) < 0)
		return false;
	if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE))
		return true;
	/* Kept for the thread's life. */
	ss.ss_sp = mmap(NULL, ALT_STACK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (ss.ss_sp == MAP_FAILED)
		return false;
	if (sigaltstack(&ss, NULL) == 0)
		return true;
	munmap(ss.ss_sp, ALT_STACK_BYTES);
	return false;
}

bool soft_signals_thread_init(struct soft_cpu *cpu)
{
	if (thread_cpu != cpu)
		thread_cpu = set_up_thread(cpu) ? cpu : NULL;
	return thread_cpu == cpu;
}
