// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Worker threads: started when work waits and all others are busy, at most POOL_THREADS; they stay
 * until the pool goes. Threads: `lock` protects the lists and counts; it is a leaf.
 */
#include "block/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define POOL_THREADS 8u
#define STACK_BYTES (256u << 10)

struct pool {
	void (*run)(struct list *node);
	int event_fd;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list work, done;
	unsigned waiting; /* members of `work` */
	unsigned idle;	  /* threads that wait */
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

static void run_one_locked(struct pool *p)
{
	struct list *node = p->work.next;
	uint64_t one = 1;
	bool first;

	list_del(node);
	p->waiting--;
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

	pthread_setname_np(pthread_self(), "disk");
	pthread_mutex_lock(&p->lock);
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
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	/* Signals are main's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&p->thread[p->threads], &attr, worker, p);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	p->threads += r == 0;
	return r == 0;
}

int pool_add(struct pool *p, struct list *node)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	if (p->idle <= p->waiting && p->threads < POOL_THREADS && !start_thread_locked(p) &&
	    !p->threads)
		r = -EAGAIN;
	if (!r) {
		list_add_tail(&p->work, node);
		p->waiting++;
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
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
