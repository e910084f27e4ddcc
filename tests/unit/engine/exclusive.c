// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Safepoints and exclusive sections: threads that run, stop one another, wait for one another, all
 * at random. Lost wake-ups and deadlocks end in the alarm.
 */
#include "engine/soft/exclusive.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define CPUS 6u
#define ROUNDS 20000u

struct world {
	struct soft_engine e;
	struct soft_cpu *cpus[CPUS];
	pthread_mutex_t pages; /* as soft_cache.mark_lock */
	uint64_t shared;       /* changed in exclusive sections only; no atomics: a race shows */
	_Atomic unsigned sections, inside, bad, running;
	/* What a vCPU may use until it passed a safepoint, if it saw it. */
	_Atomic uint64_t grant[CPUS];
	_Atomic uint64_t used[CPUS];
};

struct thread {
	struct world *w;
	unsigned index;
	pthread_t id;
};

static void world_new(struct world *w)
{
	w->e.cfg.cpus = CPUS;
	w->e.cpus = w->cpus;
	soft_exclusive_init(&w->e.exclusive);
	pthread_mutex_init(&w->pages, NULL);
	for (unsigned i = 0; i < CPUS; i++) {
		w->cpus[i] = mmap(NULL, sizeof(struct soft_cpu), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_true(w->cpus[i] != MAP_FAILED);
		w->cpus[i]->e = &w->e;
		w->cpus[i]->index = i;
	}
}

static void world_free(struct world *w)
{
	for (unsigned i = 0; i < CPUS; i++)
		munmap(w->cpus[i], sizeof(struct soft_cpu));
	pthread_mutex_destroy(&w->pages);
	soft_exclusive_destroy(&w->e.exclusive);
}

/* As the run loop does. */
static void service(struct soft_cpu *cpu)
{
	if (atomic_fetch_and(&cpu->requests, 0u) & SOFT_REQ_STOP)
		soft_pass(cpu);
}

static void section(struct world *w, struct soft_cpu *cpu)
{
	soft_exclusive_begin(cpu);
	soft_exclusive_begin(cpu);
	for (unsigned i = 0; i < CPUS; i++) {
		if (w->cpus[i] != cpu && (atomic_load(&w->cpus[i]->passage) & 1) &&
		    atomic_load(&w->used[i]) != 0)
			w->bad++;
	}
	w->shared++;
	w->sections++;
	soft_exclusive_end(cpu);
	soft_exclusive_end(cpu);
}

/* Take another's grant away and wait until it cannot use it any more, as soft_cache_mark_page. */
static void take_grant(struct world *w, struct soft_cpu *cpu, unsigned other)
{
	uint32_t seen;

	soft_leave(cpu);
	pthread_mutex_lock(&w->pages);
	atomic_store(&w->grant[other], 0);
	seen = soft_passage_ask(w->cpus[other]);
	soft_passage_wait(w->cpus[other], seen);
	if (atomic_load(&w->used[other]) == 1)
		w->bad++;
	atomic_store(&w->grant[other], 1);
	pthread_mutex_unlock(&w->pages);
	soft_enter(cpu);
}

/* Guest code: check, then access, with time in between. */
static void use_grant(struct world *w, unsigned index)
{
	if (!atomic_load_explicit(&w->grant[index], memory_order_relaxed))
		return;
	atomic_store_explicit(&w->used[index], 1, memory_order_relaxed);
	for (unsigned i = 0; i < 20; i++)
		__asm__ volatile("pause");
	atomic_store_explicit(&w->used[index], 0, memory_order_relaxed);
}

static void *cpu_main(void *arg)
{
	struct thread *t = arg;
	struct world *w = t->w;
	struct soft_cpu *cpu = w->cpus[t->index];
	unsigned seed = t->index + 1;

	soft_enter(cpu);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned r = (unsigned)rand_r(&seed) % 100;

		use_grant(w, t->index);
		if (r < 10) {
			section(w, cpu);
		} else if (r < 30) {
			unsigned other = (t->index + 1 + r % (CPUS - 1)) % CPUS;

			take_grant(w, cpu, other);
		} else if (r < 33) { /* HLT, a device */
			soft_leave(cpu);
			usleep(10);
			soft_enter(cpu);
		}
		service(cpu);
	}
	soft_leave(cpu);
	w->running--;
	return NULL;
}

static void threads_when_they_stop_each_other_expect_no_one_inside(void **state)
{
	static struct world w;
	struct thread t[CPUS];

	(void)state;
	alarm(120);
	world_new(&w);
	for (unsigned i = 0; i < CPUS; i++) {
		atomic_store(&w.grant[i], 1);
		t[i] = (struct thread){.w = &w, .index = i};
		assert_int_equal(pthread_create(&t[i].id, NULL, cpu_main, &t[i]), 0);
	}
	for (unsigned i = 0; i < CPUS; i++)
		pthread_join(t[i].id, NULL);
	assert_int_equal(w.bad, 0);
	assert_int_equal(w.shared, w.sections);
	assert_true(w.sections > ROUNDS / 4);
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(w.cpus[i]->passage & 1, 0);
	world_free(&w);
	alarm(0);
}

static void section_when_abandoned_expect_others_go_on(void **state)
{
	static struct world w;

	(void)state;
	alarm(20);
	world_new(&w);
	soft_enter(w.cpus[0]);
	soft_exclusive_begin(w.cpus[0]);
	soft_exclusive_begin(w.cpus[0]);
	soft_exclusive_abandon(w.cpus[0]);
	soft_exclusive_abandon(w.cpus[0]);
	assert_int_equal(w.cpus[0]->exclusive, 0);
	soft_enter(w.cpus[1]);
	soft_leave(w.cpus[1]);
	assert_int_equal(w.cpus[0]->passage & 1, 1);
	soft_leave(w.cpus[0]);
	world_free(&w);
	alarm(0);
}

static void passage_when_target_is_outside_expect_no_wait(void **state)
{
	static struct world w;

	(void)state;
	alarm(20);
	world_new(&w);
	assert_int_equal(soft_passage_ask(w.cpus[1]), 0);
	soft_passage_wait(w.cpus[1], 0);
	assert_int_equal(w.cpus[1]->requests, 0);
	soft_enter(w.cpus[1]);
	uint32_t seen = soft_passage_ask(w.cpus[1]);

	assert_int_not_equal(seen, 0);
	assert_int_equal(w.cpus[1]->requests, SOFT_REQ_STOP);
	service(w.cpus[1]);
	soft_passage_wait(w.cpus[1], seen);
	soft_leave(w.cpus[1]);
	world_free(&w);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passage_when_target_is_outside_expect_no_wait),
		cmocka_unit_test(section_when_abandoned_expect_others_go_on),
		cmocka_unit_test(threads_when_they_stop_each_other_expect_no_one_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
