/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk image in memory for tests of storage devices: include it once, in the program's one source file. It
 * stands in for src/block, which then is not linked. Requests wait until fake_blk_run().
 */
#ifndef LODGE_TESTS_FAKE_BLK_H
#define LODGE_TESTS_FAKE_BLK_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/queue.h"

struct blk {
	uint8_t *data;
	uint64_t size;
	uint64_t bad_from, bad_to; /* requests that touch these bytes fail */
	bool read_only;
};

struct blk_queue {
	struct blk b; /* first */
	struct list waiting;
	bool cache;
	unsigned reads, writes, flushes, discards, zeros, fuas;
};

static inline struct blk_queue *fake_blk_new(uint64_t size)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	q->b.data = calloc(1, size + 1);
	q->b.size = size;
	q->cache = true;
	list_init(&q->waiting);
	return q;
}

static inline void fake_blk_free(struct blk_queue *q)
{
	free(q->b.data);
	free(q);
}

uint64_t blk_size(const struct blk *b)
{
	return b->size;
}

bool blk_is_read_only(const struct blk *b)
{
	return b->read_only;
}

struct blk *blk_queue_image(struct blk_queue *q)
{
	return &q->b;
}

void blk_queue_set_write_cache(struct blk_queue *q, bool on)
{
	q->cache = on;
}

bool blk_queue_write_cache(const struct blk_queue *q)
{
	return q->cache;
}

void blk_queue_get_stats(const struct blk_queue *q, struct blk_queue_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->ops[BLK_READ] = q->reads;
	out->ops[BLK_WRITE] = q->writes;
}

void blk_queue_plug(struct blk_queue *q)
{
	(void)q;
}

void blk_queue_unplug(struct blk_queue *q)
{
	(void)q;
}

void blk_queue_unplug_now(struct blk_queue *q)
{
	blk_queue_unplug(q);
}

void blk_queue_drop_held(struct blk_queue *q)
{
	(void)q;
}

void blk_queue_submit(struct blk_queue *q, struct blk_req *req)
{
	req->queue = q;
	list_add_tail(&q->waiting, &req->link);
}

static inline int fake_blk_do(struct blk_queue *q, struct blk_req *req)
{
	uint64_t off = req->off;

	if (req->op == BLK_FLUSH) {
		q->flushes++;
		return q->b.bad_from == 1 ? -EIO : 0;
	}
	if (off > q->b.size || req->len > q->b.size - off)
		return -EINVAL;
	if (off < q->b.bad_to && q->b.bad_from < off + req->len)
		return -EIO;
	if (req->op == BLK_DISCARD || req->op == BLK_ZERO) {
		memset(q->b.data + off, 0, req->len);
		q->discards += req->op == BLK_DISCARD;
		q->zeros += req->op == BLK_ZERO;
		return 0;
	}
	for (unsigned i = 0; i < req->niov; i++) {
		if (req->op == BLK_READ)
			memcpy(req->iov[i].iov_base, q->b.data + off, req->iov[i].iov_len);
		else
			memcpy(q->b.data + off, req->iov[i].iov_base, req->iov[i].iov_len);
		off += req->iov[i].iov_len;
	}
	if (off - req->off != req->len)
		abort();
	q->reads += req->op == BLK_READ;
	q->writes += req->op == BLK_WRITE;
	q->fuas += req->fua;
	return 0;
}

/* Do one request; false when there is none. */
static inline bool fake_blk_one(struct blk_queue *q)
{
	struct blk_req *req;

	if (list_empty(&q->waiting))
		return false;
	req = container_of(q->waiting.next, struct blk_req, link);
	list_del(&req->link);
	req->done(req, fake_blk_do(q, req));
	return true;
}

/* Do requests until none is left. Aborts when a device makes new ones without end. */
static inline void fake_blk_run(struct blk_queue *q)
{
	for (unsigned n = 0; fake_blk_one(q); n++) {
		if (n > 1000000)
			abort();
	}
}

void blk_queue_drain(struct blk_queue *q)
{
	fake_blk_run(q);
}

#endif
