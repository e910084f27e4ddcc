/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of devices to an image, done while the vCPUs run: by io_uring where the host has it, by
 * threads otherwise and for all that is more than one access to one file (blk_quick).
 *
 * Threads: all functions with the VM lock held; `done` is called on the io thread with the VM lock
 * held, never from inside a function of this file except blk_queue_drain().
 */
#ifndef LODGE_BLOCK_QUEUE_H
#define LODGE_BLOCK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "block/block.h"
#include "io/loop.h"

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_ZERO };

/* werror=, rerror=: what becomes of a failed request. */
enum blk_on_error {
	BLK_REPORT, /* to the guest */
	BLK_IGNORE, /* the guest hears of success */
	BLK_STOP,   /* the machine stops; when it goes on, the request is tried again */
	BLK_ENOSPC, /* stop when the host's disk is full, report otherwise */
};

/* Owned by the device, which leaves it alone from submit to `done`, buffers too. */
struct blk_req {
	enum blk_op op;
	bool fua;	   /* a write: on the disk before `done` */
	bool unmap;	   /* BLK_ZERO may free space */
	uint64_t off, len; /* bytes; len of reads and writes is that of iov */
	const struct iovec *iov;
	unsigned niov;
	void (*done)(struct blk_req *req, int result); /* 0 or -errno */
	/* The queue's. */
	struct list link;
	struct blk_queue *queue;
	int result;
	int fd;
	uint64_t host_off;
	unsigned state;
};

struct blk_queue_config {
	struct io_loop *loop;
	enum { BLK_AIO_AUTO, BLK_AIO_URING, BLK_AIO_THREADS } aio;
	enum blk_on_error rerror, werror;
	bool write_cache; /* the guest sees a volatile write cache; false: every write is flushed */
	/* A request failed; `stopped`: the machine is to stop, and blk_queue_resume() goes on. */
	void (*on_error)(void *opaque, struct blk_queue *q, bool write, int result, bool stopped);
	void *opaque;
};

struct blk_queue;

/* `b` is borrowed. NULL and a sentence on failure. */
struct blk_queue *blk_queue_new(struct blk *b, const struct blk_queue_config *cfg,
				struct lodge_err *err);
/*
 * Start the thread for what waits for a disk, where it may still be started: before the process is shut in, or on the
 * control thread. Without it, the first request does. -errno with a sentence.
 */
int blk_queue_start(struct blk_queue *q, struct lodge_err *err) MUST_CHECK;
/* Drained first. */
void blk_queue_free(struct blk_queue *q);
struct blk *blk_queue_image(struct blk_queue *q);
void blk_queue_set_write_cache(struct blk_queue *q, bool on);
bool blk_queue_write_cache(const struct blk_queue *q);
void blk_queue_set_on_error(struct blk_queue *q, enum blk_on_error rerror,
			    enum blk_on_error werror);

/* Ranges outside the image end in `done` with -EINVAL. */
void blk_queue_submit(struct blk_queue *q, struct blk_req *req);
/* Submissions between the two go to the host in one call. */
void blk_queue_plug(struct blk_queue *q);
void blk_queue_unplug(struct blk_queue *q);
/*
 * The same where `done` may be called: what the host could do at once, such as reading from its cache, ends here, and
 * nobody has to be woken for it.
 */
void blk_queue_unplug_now(struct blk_queue *q);
/*
 * While it is frozen, what is submitted waits; what is under way ends as it would. When blk_queue_idle(), the
 * image may be exchanged, or its size. blk_queue_thaw() starts what waits, on the image there is then.
 */
void blk_queue_freeze(struct blk_queue *q);
bool blk_queue_idle(const struct blk_queue *q);
/* Frozen and idle: requests go to `b` (borrowed) from now on. */
void blk_queue_set_image(struct blk_queue *q, struct blk *b);
void blk_queue_thaw(struct blk_queue *q);
/* Something is under way; held ones are not. In `done` of the last one it is false. */
bool blk_queue_busy(const struct blk_queue *q);
/* Wait until nothing is under way (held ones aside), calling `done`. For reset, and before saving. */
void blk_queue_drain(struct blk_queue *q);
/* Try again what was held by BLK_STOP. */
void blk_queue_resume(struct blk_queue *q);
/*
 * Give up what is held: the device was reset, `done` is not called. Drain first: what was under way may
 * fail and be held, too.
 */
void blk_queue_drop_held(struct blk_queue *q);

struct blk_queue_stats {
	uint64_t ops[5], bytes[5], errors[5]; /* by enum blk_op */
};
/* Whether plain reads and writes go by io_uring. */
bool blk_queue_uses_uring(const struct blk_queue *q);

void blk_queue_get_stats(const struct blk_queue *q, struct blk_queue_stats *out);

#endif
