// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Out of KVM_RUN: a signal for a thread that is in the kernel, and run->immediate_exit for one that
 * is about to go there. Whoever wants it out makes its wish known first and pokes then; the vCPU
 * says `inside` first and looks for wishes then: one of them sees the other.
 * Source: Linux, Documentation/virt/kvm/api.rst (immediate_exit).
 * Threads: kvm_poke from any; the rest on the vCPU's own.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/kvm/kvm_int.h"

#define SIG_KICK (34 + 4) /* a real-time signal that the C library does not use */

static _Thread_local struct kvm_cpu *thread_cpu;
static _Thread_local int self; /* this thread's number, once it has run a vCPU */

static void on_kick(int sig, siginfo_t *si, void *ctx)
{
	struct kvm_cpu *cpu = thread_cpu;

	(void)sig;
	(void)ctx;
	if (!cpu)
		return;
	if (si->si_code == SI_TIMER) /* kvm_alarm_set */
		atomic_fetch_or(&cpu->requests, KVM_REQ_KICK);
	__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

int kvm_signals_init(struct lodge_err *err)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_RESTART};

	sa.sa_sigaction = on_kick;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIG_KICK, &sa, NULL) < 0)
		return err_set(err, -errno, "cannot handle signal %d: %s", SIG_KICK,
			       strerror(errno));
	return 0;
}

void kvm_signals_thread(struct kvm_cpu *cpu)
{
	if (!self)
		self = (int)syscall(SYS_gettid);
	/* Each time: another vCPU may have been where this one is, and another thread may have run this one. */
	cpu->thread = self;
	thread_cpu = cpu;
}

void kvm_poke(struct kvm_cpu *cpu)
{
	int saved = errno;

	if (!atomic_load(&cpu->inside))
		return;
	__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	/* Its own thread is in a signal handler, and that has ended KVM_RUN. */
	if (self != cpu->thread)
		syscall(SYS_tgkill, getpid(), cpu->thread, SIG_KICK);
	errno = saved;
}

static bool make_alarm(struct kvm_cpu *cpu)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIG_KICK};

	if (!cpu->has_timer) {
		ev._sigev_un._tid = cpu->thread;
		cpu->has_timer = timer_create(CLOCK_MONOTONIC, &ev, &cpu->timer) == 0;
	}
	return cpu->has_timer;
}

bool kvm_alarm_set(struct kvm_cpu *cpu, uint64_t deadline_ns)
{
	const uint64_t second = 1000000000;
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(deadline_ns / second),
					     .tv_nsec = (long)(deadline_ns % second)}};

	if (!deadline_ns)
		at.it_value.tv_nsec = 1; /* all zero would disarm it */
	return self == cpu->thread && make_alarm(cpu) &&
	       timer_settime(cpu->timer, TIMER_ABSTIME, &at, NULL) == 0;
}

void kvm_alarm_free(struct kvm_cpu *cpu)
{
	if (cpu->has_timer)
		timer_delete(cpu->timer);
	cpu->has_timer = false;
}
