// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of devices. A request is, in this order: submitted; under way in the ring (`quick`: one
 * access to one file) or in the pool (all else); ended, and looked at (`settle`): told to the device,
 * or held because the machine is to stop.
 *
 * Both ways out write one event descriptor, which the io thread watches. Whatever the ring could not do
 * in one go (a short transfer, "try again") is done from its beginning by the pool.
 *
 * Threads: see block/queue.h; run_request() on the pool's threads, with no lock.
 */
#include "block/queue.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/range.h"
#include "block/block_int.h"
#include "block/pool.h"
#include "block/uring.h"

/* Requests told to devices in one batch with the VM lock held; the rest after others had it. */
#define BATCH 256u

/* req->state */
enum {
	REQ_RING = 1, /* in the ring, counted by blk_quick() */
	REQ_POOL,
	REQ_ENDED, /* in queue->ended: refused before it went anywhere */
	REQ_HELD,
};

struct blk_queue {
	struct blk *b;
	struct blk_queue_config cfg;
	int event_fd;
	struct io_watch *watch;
	struct uring *ring; /* or NULL */
	struct pool *pool;
	struct list ended, held;
	unsigned under_way; /* submitted, and not yet told nor held */
	unsigned plugs;
	unsigned ring_writes; /* writes in the ring, which seldom end at once */
	bool frozen; /* what is submitted goes to `held` */
	bool direct; /* addresses must be aligned */
	unsigned align;
	struct blk_queue_stats stats;
};

/* ---- On worker threads ------------------------------------------------------------------------- */

static void run_request(struct list *node)
{
	struct blk_req *req = container_of(node, struct blk_req, link);
	struct blk *b = req->queue->b;
	int r = -EINVAL;

	switch (req->op) {
	case BLK_READ:
		r = blk_preadv(b, req->off, req->iov, req->niov);
		break;
	case BLK_WRITE:
		r = blk_pwritev(b, req->off, req->iov, req->niov);
		break;
	case BLK_FLUSH:
		r = blk_flush(b);
		break;
	case BLK_DISCARD:
		r = blk_discard(b, req->off, req->len);
		break;
	case BLK_ZERO:
		r = blk_zero(b, req->off, req->len, req->unmap);
		break;
	}
	if (!r && req->fua && req->op != BLK_READ && req->op != BLK_FLUSH)
		r = blk_flush(b);
	req->result = r;
}

/* ---- On the way -------------------------------------------------------------------------------- */

static void wake(struct blk_queue *q)
{
	uint64_t one = 1;

	if (write(q->event_fd, &one, sizeof(one)) < 0)
		return; /* full: it is readable anyway */
}

static void end_at_once(struct blk_queue *q, struct blk_req *req, int result)
{
	req->result = result;
	req->state = REQ_ENDED;
	list_add_tail(&q->ended, &req->link);
	wake(q);
}

static void to_pool(struct blk_queue *q, struct blk_req *req)
{
	req->state = REQ_POOL;
	if (pool_add(q->pool, &req->link))
		end_at_once(q, req, -EAGAIN);
}

static bool to_ring(struct blk_queue *q, struct blk_req *req)
{
	bool write = req->op == BLK_WRITE, dsync = write && req->fua;

	if (!q->ring || (req->op != BLK_READ && !write) || req->niov > IOV_MAX ||
	    (dsync && !q->b->format->flat))
		return false;
	if (q->direct && (((req->off | req->len) & (q->align - 1)) ||
			  !blk_iov_aligned(req->iov, req->niov, q->align)))
		return false;
	if (!blk_quick(q->b, write, req->off, req->len, &req->fd, &req->host_off))
		return false;
	if (!uring_add(q->ring, req, dsync)) {
		blk_quick_done(q->b);
		return false;
	}
	req->state = REQ_RING;
	q->ring_writes += write;
	return true;
}

static int check(const struct blk_queue *q, const struct blk_req *req)
{
	if (req->op == BLK_FLUSH)
		return 0;
	if (!range_ok(req->off, req->len, blk_size(q->b)))
		return -EINVAL;
	if (req->op == BLK_READ || req->op == BLK_WRITE) {
		if (blk_iov_len(req->iov, req->niov) != req->len)
			return -EINVAL;
	}
	return req->op != BLK_READ && blk_is_read_only(q->b) ? -EROFS : 0;
}

static bool writes_through(const struct blk_queue *q)
{
	return q->b->cache != BLK_CACHE_UNSAFE &&
	       (!q->cfg.write_cache || q->b->cache == BLK_CACHE_WRITETHROUGH ||
		q->b->cache == BLK_CACHE_DIRECTSYNC);
}

static void start(struct blk_queue *q, struct blk_req *req)
{
	int r;

	if (q->frozen) {
		req->state = REQ_HELD;
		list_add_tail(&q->held, &req->link);
		return;
	}
	r = check(q, req);
	q->under_way++;
	if (r || (!req->len && req->op != BLK_FLUSH))
		end_at_once(q, req, r);
	else if (!to_ring(q, req))
		to_pool(q, req);
}

/* What was put into the ring, to the host. If it takes no more now, the io thread asks again. */
static void flush_ring(struct blk_queue *q)
{
	if (!q->plugs && q->ring && !uring_submit(q->ring))
		wake(q);
}

void blk_queue_submit(struct blk_queue *q, struct blk_req *req)
{
	req->queue = q;
	list_init(&req->link);
	if (req->op != BLK_READ && req->op != BLK_FLUSH && writes_through(q))
		req->fua = true;
	start(q, req);
	flush_ring(q);
}

void blk_queue_plug(struct blk_queue *q)
{
	q->plugs++;
}

void blk_queue_unplug(struct blk_queue *q)
{
	q->plugs--;
	flush_ring(q);
}

/* ---- At the end -------------------------------------------------------------------------------- */

static bool is_write(const struct blk_req *req)
{
	return req->op != BLK_READ;
}

static bool stops(const struct blk_queue *q, const struct blk_req *req)
{
	enum blk_on_error policy = is_write(req) ? q->cfg.werror : q->cfg.rerror;

	return policy == BLK_STOP || (policy == BLK_ENOSPC && req->result == -ENOSPC);
}

/* What the guest asked for and cannot be is its own mistake: neither stopped for nor ignored. */
static bool is_guests_fault(const struct blk_queue *q, const struct blk_req *req)
{
	return check(q, req) != 0;
}

static void settle(struct blk_queue *q, struct blk_req *req)
{
	enum blk_on_error policy = is_write(req) ? q->cfg.werror : q->cfg.rerror;
	int r = req->result;

	q->under_way--;
	if (r < 0) {
		bool fault = is_guests_fault(q, req), stop = !fault && stops(q, req);

		q->stats.errors[req->op]++;
		if (stop) {
			req->state = REQ_HELD;
			list_add_tail(&q->held, &req->link);
		}
		if (!fault && q->cfg.on_error)
			q->cfg.on_error(q->cfg.opaque, q, is_write(req), r, stop);
		if (stop)
			return;
		if (!fault && policy == BLK_IGNORE)
			r = 0;
	} else {
		q->stats.ops[req->op]++;
		q->stats.bytes[req->op] += req->len;
	}
	req->state = 0;
	req->done(req, r);
}

/* From the ring: true if it is all there, or an error that stays one. */
static bool ring_result_holds(struct blk_req *req)
{
	int r = req->result;

	if (r >= 0 && (uint64_t)r == req->len) {
		req->result = 0;
		return true;
	}
	/* Short, interrupted, not possible this way, or not now: the pool does it from the beginning. */
	return r < 0 && r != -EAGAIN && r != -EINTR && r != -EINVAL && r != -EOPNOTSUPP &&
	       r != -ENOMEM && r != -ECANCELED;
}

static struct blk_req *take_ended(struct blk_queue *q)
{
	struct blk_req *req;
	struct list *node;

	while (q->ring && (req = uring_take(q->ring))) {
		blk_quick_done(q->b);
		q->ring_writes -= req->op == BLK_WRITE;
		if (ring_result_holds(req))
			return req;
		to_pool(q, req);
	}
	node = pool_take(q->pool);
	if (!node && !list_empty(&q->ended)) {
		node = q->ended.next;
		list_del(node);
	}
	return node ? container_of(node, struct blk_req, link) : NULL;
}

static void reap(struct blk_queue *q)
{
	unsigned budget = BATCH;
	struct blk_req *req;

	/* What devices submit from `done` goes to the host in one call. */
	blk_queue_plug(q);
	while (budget && (req = take_ended(q))) {
		settle(q, req);
		budget--;
	}
	blk_queue_unplug(q);
	if (!budget)
		wake(q);
}

void blk_queue_unplug_now(struct blk_queue *q)
{
	bool may = q->ring && q->plugs == 1 && !q->direct, hush = may && !q->ring_writes;

	if (hush)
		uring_hush(q->ring, true);
	blk_queue_unplug(q);
	if (may)
		reap(q);
	if (!hush)
		return;
	uring_hush(q->ring, false);
	/* One may have ended just before, and nobody was told. */
	if (q->under_way)
		wake(q);
}

static void on_event(void *opaque, uint32_t events)
{
	struct blk_queue *q = opaque;
	uint64_t count;

	(void)events;
	/* First: what ends from here on makes it readable again. */
	if (read(q->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	reap(q);
}

bool blk_queue_busy(const struct blk_queue *q)
{
	return q->under_way;
}

void blk_queue_drain(struct blk_queue *q)
{
	struct pollfd fd = {.fd = q->event_fd, .events = POLLIN};

	while (q->under_way) {
		/* Plugged ones as well: nobody unplugs while we wait. */
		if (q->ring && !uring_submit(q->ring))
			wake(q);
		poll(&fd, 1, -1);
		on_event(q, 0);
	}
}

/* ---- Held ones --------------------------------------------------------------------------------- */

void blk_queue_resume(struct blk_queue *q)
{
	struct list again;

	if (q->frozen)
		return; /* they go with the thaw */
	/* Those that are there now; one that fails again at once goes back to `held`. */
	list_init(&again);
	while (!list_empty(&q->held)) {
		struct list *node = q->held.next;

		list_del(node);
		list_add_tail(&again, node);
	}
	blk_queue_plug(q);
	while (!list_empty(&again)) {
		struct list *node = again.next;

		list_del(node);
		start(q, container_of(node, struct blk_req, link));
	}
	blk_queue_unplug(q);
}

/* ---- Frozen ------------------------------------------------------------------------------------ */

void blk_queue_freeze(struct blk_queue *q)
{
	q->frozen = true;
}

bool blk_queue_idle(const struct blk_queue *q)
{
	return !q->under_way;
}

static void look_at_image(struct blk_queue *q)
{
	q->direct = q->b->cache == BLK_CACHE_NONE || q->b->cache == BLK_CACHE_DIRECTSYNC;
	q->align = blk_align(q->b);
}

void blk_queue_set_image(struct blk_queue *q, struct blk *b)
{
	q->b = b;
	look_at_image(q);
}

void blk_queue_thaw(struct blk_queue *q)
{
	q->frozen = false;
	blk_queue_resume(q);
}

void blk_queue_drop_held(struct blk_queue *q)
{
	while (!list_empty(&q->held)) {
		struct blk_req *req = container_of(q->held.next, struct blk_req, link);

		list_del(&req->link);
		req->state = 0;
	}
}

/* ---- Life -------------------------------------------------------------------------------------- */

static int set_up(struct blk_queue *q, struct lodge_err *err)
{
	q->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->event_fd < 0)
		return err_set(err, -errno, "cannot create an event descriptor: %s",
			       strerror(errno));
	if (q->cfg.aio != BLK_AIO_THREADS)
		q->ring = uring_new(q->event_fd);
	if (!q->ring && q->cfg.aio == BLK_AIO_URING)
		return err_set(err, -ENOTSUP,
			       "%s: this host has no io_uring, or forbids it "
			       "(kernel.io_uring_disabled); use aio=threads",
			       blk_path(q->b));
	q->pool = pool_new(run_request, q->event_fd);
	q->watch = io_watch_add(q->cfg.loop, q->event_fd, EPOLLIN, on_event, q);
	if (!q->pool || !q->watch)
		return err_set(err, -ENOMEM, "no memory for the requests of %s", blk_path(q->b));
	return 0;
}

struct blk_queue *blk_queue_new(struct blk *b, const struct blk_queue_config *cfg,
				struct lodge_err *err)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	if (!q) {
		err_set(err, -ENOMEM, "no memory for the requests of %s", blk_path(b));
		return NULL;
	}
	q->b = b;
	q->cfg = *cfg;
	q->event_fd = -1;
	look_at_image(q);
	list_init(&q->ended);
	list_init(&q->held);
	if (set_up(q, err)) {
		blk_queue_free(q);
		return NULL;
	}
	return q;
}

void blk_queue_free(struct blk_queue *q)
{
	if (!q)
		return;
	blk_queue_drain(q);
	blk_queue_drop_held(q);
	io_watch_del(q->watch);
	uring_free(q->ring);
	pool_free(q->pool);
	if (q->event_fd >= 0)
		close(q->event_fd);
	free(q);
}

int blk_queue_start(struct blk_queue *q, struct lodge_err *err)
{
	return pool_start(q->pool) ? err_set(err, -EAGAIN, "cannot start a thread for %s",
					     blk_path(q->b))
				   : 0;
}

struct blk *blk_queue_image(struct blk_queue *q)
{
	return q->b;
}

void blk_queue_set_write_cache(struct blk_queue *q, bool on)
{
	q->cfg.write_cache = on;
}

bool blk_queue_write_cache(const struct blk_queue *q)
{
	return q->cfg.write_cache;
}

void blk_queue_set_on_error(struct blk_queue *q, enum blk_on_error rerror, enum blk_on_error werror)
{
	q->cfg.rerror = rerror;
	q->cfg.werror = werror;
}

bool blk_queue_uses_uring(const struct blk_queue *q)
{
	return q->ring;
}

void blk_queue_get_stats(const struct blk_queue *q, struct blk_queue_stats *out)
{
	*out = q->stats;
}
