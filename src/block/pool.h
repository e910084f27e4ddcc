/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker threads of a queue: they run what waits for the disk. Private to src/block.
 * Threads: pool_add, pool_take, pool_new and pool_free with the VM lock held.
 */
#ifndef LODGE_BLOCK_POOL_H
#define LODGE_BLOCK_POOL_H

#include "base/err.h"
#include "base/list.h"

struct pool;

/* Ends with `work` done: `run(node)` is called on a worker; then `event_fd` is written. */
struct pool *pool_new(void (*run)(struct list *node), int event_fd);
/* Nothing may be in it. */
void pool_free(struct pool *p);
/* Its first thread, if it has none. 0 or -EAGAIN. */
int pool_start(struct pool *p) MUST_CHECK;
/* 0, or -EAGAIN when not one thread can be started. Without pool_start() before, it starts the first. */
int pool_add(struct pool *p, struct list *node) MUST_CHECK;
/* One that is done, or NULL. */
struct list *pool_take(struct pool *p);

#endif
