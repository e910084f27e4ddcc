// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPU threads in and out of guest code, and how one of them waits for the others: exclusive
 * sections (stop the world) and safepoints of single vCPUs. See exclusive.h.
 *
 * Every vCPU has a `passage` count, odd while it is inside. It changes only by atomic additions,
 * which are full barriers, and only at safepoints. Whoever waits announces it first (owner,
 * watchers) and then looks at `passage`; whoever passes changes `passage` first and then looks for
 * waiters. So either the waiter sees the passage or the passing one sees the waiter, and takes the
 * lock to wake it.
 *
 * Nobody waits here while it counts as inside, so two that wait for each other, or for the lock of
 * a third, never block one another. One that is inside may wait for the VM lock in a device access:
 * holders of that never wait for a vCPU, so it comes to its next safepoint.
 */
#include "engine/soft/exclusive.h"

#include "engine/soft/interp.h"

#define SPINS 400 /* a vCPU that runs reaches a safepoint sooner than a wake-up takes */

void soft_exclusive_init(struct soft_exclusive *x)
{
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->changed, NULL);
}

void soft_exclusive_destroy(struct soft_exclusive *x)
{
	pthread_mutex_destroy(&x->lock);
	pthread_cond_destroy(&x->changed);
}

static bool inside(const struct soft_cpu *cpu)
{
	return atomic_load(&cpu->passage) & 1;
}

/* ---- The vCPU that passes --------------------------------------------------------------------- */

static void tell(struct soft_exclusive *x)
{
	if (!atomic_load(&x->busy) && !atomic_load(&x->watchers))
		return;
	pthread_mutex_lock(&x->lock);
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

void soft_leave(struct soft_cpu *cpu)
{
	soft_fpu_leave(cpu);
	atomic_store_explicit(&cpu->direct, NULL, memory_order_relaxed);
	atomic_fetch_add(&cpu->passage, 1);
	tell(&cpu->e->exclusive);
}

void soft_enter(struct soft_cpu *cpu)
{
	struct soft_exclusive *x = &cpu->e->exclusive;

	for (;;) {
		atomic_fetch_add(&cpu->passage, 1);
		if (likely(!atomic_load(&x->busy)))
			return;
		pthread_mutex_lock(&x->lock);
		atomic_fetch_add(&cpu->passage, 1);
		pthread_cond_broadcast(&x->changed);
		while (atomic_load(&x->busy))
			pthread_cond_wait(&x->changed, &x->lock);
		pthread_mutex_unlock(&x->lock);
	}
}

void soft_pass(struct soft_cpu *cpu)
{
	soft_leave(cpu);
	soft_enter(cpu);
}

/* ---- Waiting for one -------------------------------------------------------------------------- */

uint32_t soft_passage_ask(struct soft_cpu *target)
{
	uint32_t seen = atomic_load(&target->passage);

	if (!(seen & 1))
		return 0;
	soft_request(target, SOFT_REQ_STOP);
	return seen;
}

void soft_passage_wait(struct soft_cpu *target, uint32_t seen)
{
	struct soft_exclusive *x = &target->e->exclusive;

	if (!seen)
		return;
	for (unsigned i = 0; i < SPINS; i++) {
		if (atomic_load(&target->passage) != seen)
			return;
		__builtin_ia32_pause();
	}
	atomic_fetch_add(&x->watchers, 1);
	pthread_mutex_lock(&x->lock);
	while (atomic_load(&target->passage) == seen)
		pthread_cond_wait(&x->changed, &x->lock);
	pthread_mutex_unlock(&x->lock);
	atomic_fetch_sub(&x->watchers, 1);
}

/* ---- Stopping all ----------------------------------------------------------------------------- */

static void wait_all_outside(struct soft_engine *e, const struct soft_cpu *self)
{
	struct soft_exclusive *x = &e->exclusive;

	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		if (e->cpus[i] != self && inside(e->cpus[i]))
			soft_request(e->cpus[i], SOFT_REQ_STOP);
	}
	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		for (unsigned n = 0; e->cpus[i] != self && inside(e->cpus[i]) && n < SPINS; n++)
			__builtin_ia32_pause();
	}
	pthread_mutex_lock(&x->lock);
	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		while (e->cpus[i] != self && inside(e->cpus[i]))
			pthread_cond_wait(&x->changed, &x->lock);
	}
	pthread_mutex_unlock(&x->lock);
}

static void take(struct soft_engine *e, const struct soft_cpu *self)
{
	struct soft_exclusive *x = &e->exclusive;

	pthread_mutex_lock(&x->lock);
	while (atomic_load(&x->busy))
		pthread_cond_wait(&x->changed, &x->lock);
	atomic_store(&x->busy, true);
	pthread_mutex_unlock(&x->lock);
	wait_all_outside(e, self);
}

static void release(struct soft_exclusive *x)
{
	pthread_mutex_lock(&x->lock);
	atomic_store(&x->busy, false);
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

void soft_exclusive_begin(struct soft_cpu *cpu)
{
	if (cpu->exclusive++)
		return;
	SOFT_COUNT(cpu, exclusive);
	soft_leave(cpu);
	take(cpu->e, cpu);
	atomic_fetch_add(&cpu->passage, 1);
}

void soft_exclusive_end(struct soft_cpu *cpu)
{
	if (!--cpu->exclusive)
		release(&cpu->e->exclusive);
}

void soft_exclusive_abandon(struct soft_cpu *cpu)
{
	if (!cpu->exclusive)
		return;
	cpu->exclusive = 0;
	release(&cpu->e->exclusive);
}

void soft_exclusive_begin_op(struct soft_cpu *cpu, const struct soft_op *op)
{
	gva_t rip = op->rip;
	uint64_t freed = cpu->e->freed;

	soft_exclusive_begin(cpu);
	if (likely(cpu->e->freed == freed))
		return;
	soft_exclusive_abandon(cpu);
	cpu->s.rip = rip;
	soft_unwind(cpu);
}
