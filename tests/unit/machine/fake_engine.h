/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine whose vCPUs run C functions that a test posts to them, so that a machine can be driven
 * as a guest would, access by access.
 */
#ifndef TESTS_MACHINE_FAKE_ENGINE_H
#define TESTS_MACHINE_FAKE_ENGINE_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define FAKE_CPUS 4

typedef enum engine_exit (*fake_fn)(struct vcpu *v, void *arg);

struct vcpu {
	struct engine *e;
	unsigned index;
	struct x86_state state;
	fake_fn fn; /* posted, not taken yet */
	void *arg;
	bool done, kicked, intr;
	unsigned nmis, inits, sipis, changes, runs;
	uint8_t sipi_vector;
};

struct engine {
	struct engine_config cfg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct vcpu cpu[FAKE_CPUS];
};

/* The engine of the machine under test; tests are one at a time. */
static struct engine *fake;

static struct engine *fake_create(const struct engine_config *cfg, struct lodge_err *err)
{
	struct engine *e = aligned_alloc(64, (sizeof(*e) + 63) & ~63ul);

	(void)err;
	memset(e, 0, sizeof(*e));
	e->cfg = *cfg;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->cond, NULL);
	for (unsigned i = 0; i < cfg->cpus; i++) {
		e->cpu[i].e = e;
		e->cpu[i].index = i;
	}
	fake = e;
	return e;
}

static void fake_destroy(struct engine *e)
{
	free(e);
	fake = NULL;
}

static struct vcpu *fake_vcpu(struct engine *e, unsigned index)
{
	return &e->cpu[index];
}

/* Runs what is posted; waits otherwise, as a guest's idle loop would. */
static enum engine_exit fake_run(struct vcpu *v)
{
	struct engine *e = v->e;
	enum engine_exit r = ENGINE_EXIT_KICK;
	fake_fn fn;

	pthread_mutex_lock(&e->lock);
	v->runs++;
	while (!v->fn && !v->kicked)
		pthread_cond_wait(&e->cond, &e->lock);
	v->kicked = false;
	fn = v->fn;
	v->fn = NULL;
	pthread_mutex_unlock(&e->lock);
	if (fn)
		r = fn(v, v->arg);
	pthread_mutex_lock(&e->lock);
	if (fn)
		v->done = true;
	pthread_cond_broadcast(&e->cond);
	pthread_mutex_unlock(&e->lock);
	return r;
}

static void fake_kick(struct vcpu *v)
{
	pthread_mutex_lock(&v->e->lock);
	v->kicked = true;
	pthread_cond_broadcast(&v->e->cond);
	pthread_mutex_unlock(&v->e->lock);
}

static void fake_signal(struct vcpu *v, enum vcpu_signal sig, uint8_t arg)
{
	pthread_mutex_lock(&v->e->lock);
	v->nmis += sig == VCPU_SIGNAL_NMI;
	v->inits += sig == VCPU_SIGNAL_INIT;
	v->sipis += sig == VCPU_SIGNAL_SIPI;
	if (sig == VCPU_SIGNAL_SIPI)
		v->sipi_vector = arg;
	if (sig == VCPU_SIGNAL_INTR_ON || sig == VCPU_SIGNAL_INTR_OFF)
		v->intr = sig == VCPU_SIGNAL_INTR_ON;
	pthread_mutex_unlock(&v->e->lock);
}

static bool fake_has_work(const struct vcpu *v)
{
	bool work;

	pthread_mutex_lock(&v->e->lock);
	work = v->intr || v->nmis || v->inits || v->sipis;
	pthread_mutex_unlock(&v->e->lock);
	return work;
}

static struct x86_state *fake_state(struct vcpu *v)
{
	return &v->state;
}

static void fake_state_changed(struct vcpu *v)
{
	v->changes++;
}

static const char *fake_error(const struct vcpu *v)
{
	(void)v;
	return "the fake engine is out of fakes";
}

static const struct engine_ops fake_engine = {
	.name = "fake",
	.create = fake_create,
	.destroy = fake_destroy,
	.vcpu = fake_vcpu,
	.run = fake_run,
	.kick = fake_kick,
	.signal = fake_signal,
	.has_work = fake_has_work,
	.state = fake_state,
	.state_changed = fake_state_changed,
	.error = fake_error,
};

/* Have vCPU `cpu` run `fn`; with `wait`, until it has. */
static void fake_post(unsigned cpu, fake_fn fn, void *arg, bool wait)
{
	struct vcpu *v = &fake->cpu[cpu];

	pthread_mutex_lock(&fake->lock);
	v->fn = fn;
	v->arg = arg;
	v->done = false;
	pthread_cond_broadcast(&fake->cond);
	while (wait && !v->done)
		pthread_cond_wait(&fake->cond, &fake->lock);
	pthread_mutex_unlock(&fake->lock);
}

struct fake_access {
	uint64_t addr, val;
	unsigned size;
};

static enum engine_exit do_out(struct vcpu *v, void *arg)
{
	struct fake_access *a = arg;

	v->e->cfg.host.pio_write(v->e->cfg.host.opaque, (uint16_t)a->addr, a->val, a->size);
	return ENGINE_EXIT_KICK;
}

static enum engine_exit do_in(struct vcpu *v, void *arg)
{
	struct fake_access *a = arg;

	a->val = v->e->cfg.host.pio_read(v->e->cfg.host.opaque, (uint16_t)a->addr, a->size);
	return ENGINE_EXIT_KICK;
}

static enum engine_exit do_store(struct vcpu *v, void *arg)
{
	struct fake_access *a = arg;

	v->e->cfg.host.mmio_write(v->e->cfg.host.opaque, v->index, a->addr, a->val, a->size);
	return ENGINE_EXIT_KICK;
}

static enum engine_exit do_load(struct vcpu *v, void *arg)
{
	struct fake_access *a = arg;

	a->val = v->e->cfg.host.mmio_read(v->e->cfg.host.opaque, v->index, a->addr, a->size);
	return ENGINE_EXIT_KICK;
}

static enum engine_exit do_ack(struct vcpu *v, void *arg)
{
	struct fake_access *a = arg;

	a->val = (uint64_t)v->e->cfg.host.irq_ack(v->e->cfg.host.opaque, v->index);
	return ENGINE_EXIT_KICK;
}

static enum engine_exit do_exit(struct vcpu *v, void *arg)
{
	(void)v;
	return *(enum engine_exit *)arg;
}

static inline void fake_out(unsigned cpu, uint16_t port, uint64_t val, unsigned size)
{
	struct fake_access a = {port, val, size};

	fake_post(cpu, do_out, &a, true);
}

static inline uint64_t fake_in(unsigned cpu, uint16_t port, unsigned size)
{
	struct fake_access a = {port, 0, size};

	fake_post(cpu, do_in, &a, true);
	return a.val;
}

static inline void fake_store(unsigned cpu, uint64_t gpa, uint64_t val, unsigned size)
{
	struct fake_access a = {gpa, val, size};

	fake_post(cpu, do_store, &a, true);
}

static inline uint64_t fake_load(unsigned cpu, uint64_t gpa, unsigned size)
{
	struct fake_access a = {gpa, 0, size};

	fake_post(cpu, do_load, &a, true);
	return a.val;
}

static inline int fake_ack(unsigned cpu)
{
	struct fake_access a = {0, 0, 0};

	fake_post(cpu, do_ack, &a, true);
	return (int)a.val;
}

static inline void fake_exit(unsigned cpu, enum engine_exit how)
{
	fake_post(cpu, do_exit, &how, true);
}

#endif
