/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue's io_uring: plain reads and writes of one piece. Private to src/block.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_BLOCK_URING_H
#define LODGE_BLOCK_URING_H

#include <stdbool.h>

#include "block/queue.h"

struct uring;

/* NULL where the host has none, or forbids it. `event_fd` is written on each completion. */
struct uring *uring_new(int event_fd);
/* Nothing may be under way. */
void uring_free(struct uring *u);
/* Put req->fd, host_off and iov into the ring; `dsync`: a write that is on the disk when it ends. */
bool uring_add(struct uring *u, struct blk_req *req, bool dsync);
/* Hand the host what was added. False: it had no memory for all of it; the rest waits for the next call. */
bool uring_submit(struct uring *u);
/*
 * Completions do not write the event descriptor until this is over. The host looks at that without a fence between it
 * and its completion: one at the very end may be told by nobody, and has to be looked for a moment later.
 */
void uring_hush(struct uring *u, bool on);
/* One that ended, with the host's result in req->result; or NULL. */
struct blk_req *uring_take(struct uring *u);

#endif
