// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPU threads: run, sleep while halted, park while the machine is paused.
 *
 * A halted vCPU sleeps in a futex on its `asleep` word. The sleeper sets the word and then looks
 * for work; the waker makes work and then looks at the word: with both in sequentially consistent
 * order, one of them sees the other.
 *
 * Threads: vCPU threads, and any thread where a function says so.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "machine/vm_int.h"

#define STACK_BYTES (512u << 10)

static _Thread_local struct vm_cpu *this_cpu; /* of this thread, if it is a vCPU's */

/* `until_ns` by CLOCK_MONOTONIC; 0: no end. */
static void futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t until_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(until_ns / 1000000000),
			      .tv_nsec = (long)(until_ns % 1000000000)};

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, val, until_ns ? &ts : NULL, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wake(struct vm_cpu *c)
{
	if (atomic_exchange(&c->asleep, 0))
		futex_wake(&c->asleep);
}

void vm_cpu_signal(struct vm *vm, unsigned cpu, enum vcpu_signal sig, uint8_t arg)
{
	struct vm_cpu *c = &vm->cpus[cpu];

	vm->ops->signal(c->vcpu, sig, arg);
	wake(c);
}

/* ---- Timers ---------------------------------------------------------------------------------
 * A vCPU that arms a timer fires it as well: its thread runs, or sleeps in idle(), and is there at
 * once, where the io thread would have to be woken and would then have to signal it.
 */

/* So much earlier the thread is called, since coming here takes about as long; the rest it waits. */
#define LEAD_NS 15000u

/* When a thread that is to be here at `deadline_ns` is called. */
static uint64_t call_ns(uint64_t deadline_ns)
{
	return deadline_ns > LEAD_NS ? deadline_ns - LEAD_NS : 1;
}

static bool nearly_due(const struct vm_cpu *c)
{
	return c->alarm_ns && clock_mono_ns() >= call_ns(c->alarm_ns);
}

bool vm_cpu_alarm(void *opaque, uint64_t deadline_ns)
{
	struct vm *vm = opaque;
	struct vm_cpu *c = this_cpu;

	if (!c || c->vm != vm || !vm->ops->alarm || !vm->ops->alarm(c->vcpu, call_ns(deadline_ns)))
		return false;
	c->alarm_ns = deadline_ns ? deadline_ns : 1;
	return true;
}

static void fire_timers(struct vm_cpu *c)
{
	if (!nearly_due(c))
		return;
	while (clock_mono_ns() < c->alarm_ns)
		__builtin_ia32_pause();
	c->alarm_ns = 0;
	pthread_mutex_lock(&c->vm->lock);
	io_loop_fire(c->vm->loop);
	pthread_mutex_unlock(&c->vm->lock);
}

/* This thread will not be there for its timers. */
static void leave_timers(struct vm_cpu *c)
{
	if (!c->alarm_ns)
		return;
	c->alarm_ns = 0;
	pthread_mutex_lock(&c->vm->lock);
	io_loop_take_over(c->vm->loop);
	pthread_mutex_unlock(&c->vm->lock);
}

/* After HLT: until there is work, a timer is due, or a pause. */
static void idle(struct vm_cpu *c)
{
	struct vm *vm = c->vm;

	for (;;) {
		atomic_store(&c->asleep, 1);
		if (vm->ops->has_work(c->vcpu) || atomic_load(&vm->pause))
			break;
		if (nearly_due(c))
			break;
		futex_wait(&c->asleep, 1, c->alarm_ns ? call_ns(c->alarm_ns) : 0);
	}
	atomic_store(&c->asleep, 0);
}

/* Waits while the machine is paused; false when the thread shall end. */
static bool park(struct vm_cpu *c)
{
	struct vm *vm = c->vm;

	leave_timers(c);
	pthread_mutex_lock(&vm->run_lock);
	vm->parked++;
	pthread_cond_broadcast(&vm->parked_cond);
	while (atomic_load(&vm->pause) && !(atomic_load(&vm->pause) & VM_PAUSE_QUIT))
		pthread_cond_wait(&vm->run_cond, &vm->run_lock);
	vm->parked--;
	pthread_mutex_unlock(&vm->run_lock);
	return !(atomic_load(&vm->pause) & VM_PAUSE_QUIT);
}

/* A triple fault resets a PC. */
static void shut_down(struct vm_cpu *c)
{
	char msg[128];

	vm_cpu_dump(c->vm, c->index, "triple fault");
	if (!c->vm->cfg.no_reboot) {
		vm_request_reset(c->vm);
		return;
	}
	snprintf(msg, sizeof(msg),
		 "the guest's processor %u fell over (triple fault); '-d int,cpu_reset -D FILE' "
		 "shows how",
		 c->index);
	vm_request_end(c->vm, 0, msg);
}

static void *cpu_main(void *arg)
{
	struct vm_cpu *c = arg;
	struct vm *vm = c->vm;

	this_cpu = c;
	atomic_store(&c->tid, (int)syscall(SYS_gettid));
	prctl(PR_SET_TIMERSLACK, 1); /* ns: sleeps until a guest's deadline are to end there */
	for (;;) {
		if (atomic_load(&vm->pause) && !park(c))
			return NULL;
		fire_timers(c);
		switch (vm->ops->run(c->vcpu)) {
		case ENGINE_EXIT_KICK:
			break;
		case ENGINE_EXIT_HALT:
			idle(c);
			break;
		case ENGINE_EXIT_SHUTDOWN:
			shut_down(c);
			break;
		case ENGINE_EXIT_ERROR:
			vm_cpu_dump(vm, c->index, "the engine cannot go on");
			vm_request_end(vm, 1, vm->ops->error(c->vcpu));
			break;
		}
	}
}

void vm_pause(struct vm *vm, uint32_t why)
{
	atomic_fetch_or(&vm->pause, why);
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		vm->ops->kick(vm->cpus[i].vcpu);
		wake(&vm->cpus[i]);
	}
	/* One that is parked already must see VM_PAUSE_QUIT. */
	if (why & VM_PAUSE_QUIT) {
		pthread_mutex_lock(&vm->run_lock);
		pthread_cond_broadcast(&vm->run_cond);
		pthread_cond_broadcast(&vm->parked_cond);
		pthread_mutex_unlock(&vm->run_lock);
	}
}

bool vm_wait_parked(struct vm *vm)
{
	bool quit;

	pthread_mutex_lock(&vm->run_lock);
	while (vm->parked < vm->running && !(atomic_load(&vm->pause) & VM_PAUSE_QUIT))
		pthread_cond_wait(&vm->parked_cond, &vm->run_lock);
	quit = atomic_load(&vm->pause) & VM_PAUSE_QUIT;
	pthread_mutex_unlock(&vm->run_lock);
	return !quit;
}

void vm_resume(struct vm *vm, uint32_t why)
{
	pthread_mutex_lock(&vm->run_lock);
	atomic_fetch_and(&vm->pause, ~why);
	pthread_cond_broadcast(&vm->run_cond);
	pthread_mutex_unlock(&vm->run_lock);
}

static int start_one(struct vm_cpu *c)
{
	char name[16];
	int r;

	snprintf(name, sizeof(name), "vcpu%u", c->index);
	r = thread_create(&c->thread, THREAD_VCPU, name, STACK_BYTES, cpu_main, c);
	if (r)
		return r;
	c->started = true;
	pthread_mutex_lock(&c->vm->run_lock);
	c->vm->running++;
	pthread_mutex_unlock(&c->vm->run_lock);
	return 0;
}

int vm_cpus_start(struct vm *vm, struct lodge_err *err)
{
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		int r = start_one(&vm->cpus[i]);

		if (r)
			return err_set(err, r,
				       "cannot start the thread of vCPU %u: %s; try a smaller -smp",
				       i, strerror(-r));
	}
	return 0;
}

void vm_cpus_join(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		if (vm->cpus[i].started)
			pthread_join(vm->cpus[i].thread, NULL);
		vm->cpus[i].started = false;
	}
}
