/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a device to a 9P server, answered one after another on a thread of their own, so that nobody
 * waits for the host's file system.
 * Threads: all functions with the VM lock held; `done` on the io thread with the VM lock held, or inside
 * p9_queue_drain() and p9_queue_cancel().
 */
#ifndef LODGE_SHARE_P9_QUEUE_H
#define LODGE_SHARE_P9_QUEUE_H

#include "base/list.h"
#include "io/loop.h"
#include "share/p9.h"

/* The device's, which leaves it alone from submit to `done`, buffers too. */
struct p9_job {
	const uint8_t *req;
	size_t len;
	uint8_t *reply;
	size_t cap;
	void (*done)(struct p9_job *job, size_t reply_len); /* as p9_server_handle() */
	/* The queue's. */
	struct list link;
	size_t reply_len;
};

struct p9_queue;

/* Starts the thread. `s` and `loop` are borrowed. NULL and a sentence on failure. */
struct p9_queue *p9_queue_new(struct p9_server *s, struct io_loop *loop, struct lodge_err *err);
/* Start its thread, before the process is shut in; else the first job does. -errno with a sentence. */
int p9_queue_start(struct p9_queue *q, struct lodge_err *err) MUST_CHECK;
/* Drained first. NULL is allowed. */
void p9_queue_free(struct p9_queue *q);
void p9_queue_submit(struct p9_queue *q, struct p9_job *job);
/* Wait until all is answered, calling `done`. */
void p9_queue_drain(struct p9_queue *q);
/* What has not begun is not done: `done` is called with 0 for it. */
void p9_queue_cancel(struct p9_queue *q);
/* The client has something open, or a message under way. */
bool p9_queue_in_use(struct p9_queue *q);
/*
 * The client is gone: what it had open is forgotten once the message under way has its answer, and before the next
 * one is looked at. Does not wait.
 */
void p9_queue_reset(struct p9_queue *q);

#endif
