// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Worker threads: pool_start() makes the first; one that begins a work while no other is idle makes the
 * next, at most POOL_THREADS; they stay until the pool goes. So whoever adds work starts no thread, and needs no
 * right to. Threads: `lock` protects the lists and counts; it is a leaf.
 */
#include "block/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"

#define POOL_THREADS 8u
#define STACK_BYTES (256u << 10)

struct pool {
	void (*run)(struct list *node);
	int event_fd;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list work, done;
	unsigned idle; /* threads that wait */
	unsigned threads;
	bool quit;
	pthread_t thread[POOL_THREADS];
};

struct pool *pool_new(void (*run)(struct list *node), int event_fd)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->run = run;
	p->event_fd = event_fd;
	list_init(&p->work);
	list_init(&p->done);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool start_thread_locked(struct pool *p);

static void run_one_locked(struct pool *p)
{
	struct list *node = p->work.next;
	uint64_t one = 1;
	bool first;

	list_del(node);
	/* Somebody is there for what comes meanwhile, if the host lets us. */
	if (!p->idle && p->threads < POOL_THREADS)
		(void)start_thread_locked(p);
	pthread_mutex_unlock(&p->lock);
	p->run(node);
	pthread_mutex_lock(&p->lock);
	first = list_empty(&p->done);
	list_add_tail(&p->done, node);
	/* Whoever takes takes all. It fails only when the counter is full, and then is seen anyway. */
	if (first && write(p->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void *worker(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	/* Counted idle by whoever made it. */
	p->idle--;
	while (!p->quit) {
		if (!list_empty(&p->work)) {
			run_one_locked(p);
			continue;
		}
		p->idle++;
		pthread_cond_wait(&p->wake, &p->lock);
		p->idle--;
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static bool start_thread_locked(struct pool *p)
{
	sigset_t all, old;
	int r;

	/* Signals are main's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = thread_create(&p->thread[p->threads], THREAD_DISK, "disk", STACK_BYTES, worker, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	p->threads += r == 0;
	p->idle += r == 0;
	return r == 0;
}

int pool_start(struct pool *p)
{
	bool ok;

	pthread_mutex_lock(&p->lock);
	ok = p->threads || start_thread_locked(p);
	pthread_mutex_unlock(&p->lock);
	return ok ? 0 : -EAGAIN;
}

int pool_add(struct pool *p, struct list *node)
{
	int r = pool_start(p);

	if (r)
		return r;
	pthread_mutex_lock(&p->lock);
	list_add_tail(&p->work, node);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

struct list *pool_take(struct pool *p)
{
	struct list *node = NULL;

	pthread_mutex_lock(&p->lock);
	if (!list_empty(&p->done)) {
		node = p->done.next;
		list_del(node);
	}
	pthread_mutex_unlock(&p->lock);
	return node;
}
