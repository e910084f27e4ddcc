// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The thread that answers a device's 9P messages. See p9_queue.h.
 * Threads: `lock` protects the lists and `stop`; it is held for a few instructions and nothing else is
 * taken with it.
 */
#include "share/p9_queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"

/* Answers told to the device in one batch with the VM lock held. */
#define BATCH 16u

struct p9_queue {
	struct p9_server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct list waiting, ended;
	bool busy, stop, reset, started;
	int event_fd;
	struct io_watch *watch;
};

/* ---- The thread ------------------------------------------------------------------------------------- */

static void wake(struct p9_queue *q)
{
	uint64_t one = 1;

	/* It fails only when the counter is full, and then the io thread is awake anyway. */
	if (write(q->event_fd, &one, sizeof(one)) < 0)
		return;
}

/* With the lock, dropped meanwhile. */
static void forget_client(struct p9_queue *q)
{
	q->busy = true;
	pthread_mutex_unlock(&q->lock);
	p9_server_reset(q->server);
	pthread_mutex_lock(&q->lock);
	q->busy = false;
	if (list_empty(&q->waiting))
		pthread_cond_signal(&q->idle);
}

static void *serve(void *arg)
{
	struct p9_queue *q = arg;

	pthread_mutex_lock(&q->lock);
	while (!q->stop) {
		struct p9_job *job;

		if (q->reset) {
			q->reset = false;
			forget_client(q);
			continue;
		}
		if (list_empty(&q->waiting)) {
			pthread_cond_wait(&q->work, &q->lock);
			continue;
		}
		job = container_of(q->waiting.next, struct p9_job, link);
		list_del(&job->link);
		q->busy = true;
		pthread_mutex_unlock(&q->lock);
		job->reply_len =
			p9_server_handle(q->server, job->req, job->len, job->reply, job->cap);
		pthread_mutex_lock(&q->lock);
		q->busy = false;
		list_add_tail(&q->ended, &job->link);
		if (list_empty(&q->waiting))
			pthread_cond_signal(&q->idle);
		wake(q);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* ---- With the VM lock held ---------------------------------------------------------------------------- */

static struct p9_job *take_ended(struct p9_queue *q)
{
	struct p9_job *job = NULL;

	pthread_mutex_lock(&q->lock);
	if (!list_empty(&q->ended)) {
		job = container_of(q->ended.next, struct p9_job, link);
		list_del(&job->link);
	}
	pthread_mutex_unlock(&q->lock);
	return job;
}

static bool tell(struct p9_queue *q)
{
	struct p9_job *job = take_ended(q);

	if (job)
		job->done(job, job->reply_len);
	return job;
}

static void on_event(void *opaque, uint32_t events)
{
	struct p9_queue *q = opaque;
	uint64_t count;

	(void)events;
	if (read(q->event_fd, &count, sizeof(count)) < 0)
		return;
	for (unsigned n = 0; tell(q); n++) {
		if (n == BATCH) {
			wake(q); /* the rest when others had the VM lock */
			break;
		}
	}
}

int p9_queue_start(struct p9_queue *q, struct lodge_err *err)
{
	sigset_t all, old;
	int r;

	if (q->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = thread_create(&q->thread, THREAD_9P, "9p", 0, serve, q);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	q->started = !r;
	return r ? err_set(err, r, "cannot start the thread for a shared folder: %s", strerror(-r))
		 : 0;
}

void p9_queue_submit(struct p9_queue *q, struct p9_job *job)
{
	struct lodge_err err;

	/* Without a thread it waits until there is one. */
	(void)!p9_queue_start(q, &err);
	pthread_mutex_lock(&q->lock);
	list_init(&job->link);
	list_add_tail(&q->waiting, &job->link);
	pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
}

/* `done` may submit more. */
void p9_queue_drain(struct p9_queue *q)
{
	do {
		pthread_mutex_lock(&q->lock);
		while (q->busy || q->reset || !list_empty(&q->waiting))
			pthread_cond_wait(&q->idle, &q->lock);
		pthread_mutex_unlock(&q->lock);
	} while (tell(q));
}

void p9_queue_cancel(struct p9_queue *q)
{
	struct list cancelled;

	list_init(&cancelled);
	pthread_mutex_lock(&q->lock);
	while (!list_empty(&q->waiting)) {
		struct list *node = q->waiting.next;

		list_del(node);
		list_add_tail(&cancelled, node);
	}
	pthread_mutex_unlock(&q->lock);
	while (!list_empty(&cancelled)) {
		struct p9_job *job = container_of(cancelled.next, struct p9_job, link);

		list_del(&job->link);
		job->done(job, 0);
	}
}

void p9_queue_reset(struct p9_queue *q)
{
	/* Nobody has been there. */
	if (!q->started)
		return;
	pthread_mutex_lock(&q->lock);
	q->reset = true;
	pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
}

struct p9_queue *p9_queue_new(struct p9_server *s, struct io_loop *loop, struct lodge_err *err)
{
	struct p9_queue *q = calloc(1, sizeof(*q));

	if (!q) {
		err_set(err, -ENOMEM, "no memory to share a folder");
		return NULL;
	}
	q->server = s;
	list_init(&q->waiting);
	list_init(&q->ended);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->work, NULL);
	pthread_cond_init(&q->idle, NULL);
	q->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->event_fd >= 0)
		q->watch = io_watch_add(loop, q->event_fd, EPOLLIN, on_event, q);
	if (q->watch)
		return q;
	err_set(err, -ENOMEM, "cannot watch a shared folder");
	if (q->event_fd >= 0)
		close(q->event_fd);
	free(q);
	return NULL;
}

void p9_queue_free(struct p9_queue *q)
{
	if (!q)
		return;
	p9_queue_drain(q);
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
	if (q->started)
		pthread_join(q->thread, NULL);
	io_watch_del(q->watch);
	close(q->event_fd);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->idle);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

bool p9_queue_in_use(struct p9_queue *q)
{
	bool busy;

	pthread_mutex_lock(&q->lock);
	/* The thread alone changes what is open, and only while it is busy. */
	busy = q->busy || !list_empty(&q->waiting) || !list_empty(&q->ended) ||
	       p9_server_has_open(q->server);
	pthread_mutex_unlock(&q->lock);
	return busy;
}
