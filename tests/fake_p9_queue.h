/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share/p9_queue.h without a thread, for tests of devices: include it once. Messages wait until
 * fake_p9_step() or a drain answers them, by `answer`.
 */
#ifndef LODGE_TESTS_FAKE_P9_QUEUE_H
#define LODGE_TESTS_FAKE_P9_QUEUE_H

#include "share/p9_queue.h"

struct p9_queue {
	struct list waiting;
	unsigned waits, resets;
	bool busy;
	size_t (*answer)(void *opaque, struct p9_job *job);
	void *opaque;
};

void p9_queue_submit(struct p9_queue *q, struct p9_job *job)
{
	list_init(&job->link);
	list_add_tail(&q->waiting, &job->link);
	q->waits++;
}

static inline bool fake_p9_step(struct p9_queue *q)
{
	struct p9_job *job = container_of(q->waiting.next, struct p9_job, link);

	if (list_empty(&q->waiting))
		return false;
	list_del(&job->link);
	q->waits--;
	job->done(job, q->answer(q->opaque, job));
	return true;
}

void p9_queue_drain(struct p9_queue *q)
{
	while (fake_p9_step(q))
		;
}

/* With `busy` the first one has begun. */
void p9_queue_cancel(struct p9_queue *q)
{
	struct list *first = q->busy && !list_empty(&q->waiting) ? q->waiting.next : &q->waiting;

	while (first->next != &q->waiting) {
		struct p9_job *job = container_of(first->next, struct p9_job, link);

		list_del(&job->link);
		q->waits--;
		job->done(job, 0);
	}
}

void p9_queue_reset(struct p9_queue *q)
{
	q->resets++;
}

bool p9_queue_in_use(struct p9_queue *q)
{
	(void)q;
	return false;
}

#endif
