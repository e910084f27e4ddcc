/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in memory behind block/queue.h, for tests of devices: include it once. It stands in for
 * src/block, which then is not linked. Requests wait in order until fake_disk_run() or a drain ends them.
 */
#ifndef LODGE_TESTS_FAKE_DISK_H
#define LODGE_TESTS_FAKE_DISK_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "block/queue.h"

struct blk {
	uint64_t size;
};

struct blk_queue {
	struct blk blk;
	uint8_t *bytes;
	bool write_cache;
	struct list waiting, held;
	unsigned plugs, submitted, flushes, fuas, discards, zeroes;
	int fail;  /* -errno of the next request, once */
	bool hold; /* requests that fail are held, as with werror=stop */
};

uint64_t blk_size(const struct blk *b)
{
	return b->size;
}

struct blk *blk_queue_image(struct blk_queue *q)
{
	return &q->blk;
}

void blk_queue_set_write_cache(struct blk_queue *q, bool on)
{
	q->write_cache = on;
}

bool blk_queue_write_cache(const struct blk_queue *q)
{
	return q->write_cache;
}

void blk_queue_plug(struct blk_queue *q)
{
	q->plugs++;
}

void blk_queue_unplug(struct blk_queue *q)
{
	if (!q->plugs--)
		abort();
}

void blk_queue_unplug_now(struct blk_queue *q)
{
	blk_queue_unplug(q);
}

void blk_queue_submit(struct blk_queue *q, struct blk_req *req)
{
	q->submitted++;
	list_init(&req->link);
	list_add_tail(&q->waiting, &req->link);
}

static inline int fake_disk_do(struct blk_queue *q, struct blk_req *req)
{
	uint64_t off = req->off, sum = 0;

	if (q->fail) {
		int r = q->fail;

		q->fail = 0;
		return r;
	}
	if (req->op == BLK_FLUSH) {
		q->flushes++;
		return 0;
	}
	/* The device has checked this. */
	if (!range_ok(req->off, req->len, q->blk.size) || !req->len)
		abort();
	q->fuas += req->fua;
	if (req->op == BLK_DISCARD || req->op == BLK_ZERO) {
		q->discards += req->op == BLK_DISCARD;
		q->zeroes += req->op == BLK_ZERO;
		memset(q->bytes + off, 0, req->len);
		return 0;
	}
	for (unsigned i = 0; i < req->niov; i++) {
		void *p = req->iov[i].iov_base;
		size_t n = req->iov[i].iov_len;

		sum += n;
		if (sum > req->len)
			abort();
		if (req->op == BLK_READ)
			memcpy(p, q->bytes + off, n);
		else
			memcpy(q->bytes + off, p, n);
		off += n;
	}
	if (sum != req->len)
		abort();
	return 0;
}

/* End the oldest request. False if there is none. */
static inline bool fake_disk_step(struct blk_queue *q)
{
	struct blk_req *req = container_of(q->waiting.next, struct blk_req, link);
	int r;

	if (list_empty(&q->waiting))
		return false;
	list_del(&req->link);
	r = fake_disk_do(q, req);
	if (r && q->hold)
		list_add_tail(&q->held, &req->link);
	else
		req->done(req, r);
	return true;
}

static inline void fake_disk_run(struct blk_queue *q)
{
	while (fake_disk_step(q))
		;
}

bool blk_queue_busy(const struct blk_queue *q)
{
	return !list_empty(&q->waiting);
}

void blk_queue_drain(struct blk_queue *q)
{
	fake_disk_run(q);
}

void blk_queue_drop_held(struct blk_queue *q)
{
	list_init(&q->held);
}

static inline struct blk_queue *fake_disk_new(uint64_t size)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	q->blk.size = size;
	q->bytes = calloc(1, size);
	q->write_cache = true;
	list_init(&q->waiting);
	list_init(&q->held);
	return q;
}

static inline void fake_disk_free(struct blk_queue *q)
{
	free(q->bytes);
	free(q);
}

#endif
