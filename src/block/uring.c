// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A queue's io_uring. The host writes the queue's event descriptor on each completion.
 *
 * What a ring is asked for is no system call, so no filter sees it: the ring itself is bound to reads and writes of
 * descriptors, for good, before it takes its first request.
 * Source: io_uring(7), io_uring_setup(2), io_uring_enter(2). Threads: with the VM lock held.
 */
#include "block/uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/range.h"

#define ENTRIES 128u

struct uring {
	struct io_uring ring;
};

/* Nothing but readv and writev from now on, and nothing more to register. Linux 5.10. */
static int restrict_to_transfers(struct io_uring *ring)
{
	struct io_uring_restriction only[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
	};

	/* By hand: Debian 12's library declares functions for these and has none. */
	if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, only,
		    ARRAY_SIZE(only)) ||
	    syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return -errno;
	return 0;
}

struct uring *uring_new(int event_fd)
{
	struct uring *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	if (io_uring_queue_init(ENTRIES, &u->ring, IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED) <
	    0) {
		free(u);
		return NULL;
	}
	/* Completions are never dropped, and what a request points to is copied at submission. */
	if (!(u->ring.features & IORING_FEAT_NODROP) ||
	    !(u->ring.features & IORING_FEAT_SUBMIT_STABLE) ||
	    io_uring_register_eventfd(&u->ring, event_fd) < 0 ||
	    restrict_to_transfers(&u->ring) < 0) {
		uring_free(u);
		return NULL;
	}
	return u;
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u);
}

bool uring_add(struct uring *u, struct blk_req *req, bool dsync)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	if (!sqe)
		return false;
	if (req->op == BLK_WRITE) {
		io_uring_prep_writev2(sqe, req->fd, req->iov, req->niov, req->host_off,
				      dsync ? RWF_DSYNC : 0);
	} else {
		io_uring_prep_readv(sqe, req->fd, req->iov, req->niov, req->host_off);
	}
	io_uring_sqe_set_data(sqe, req);
	return true;
}

bool uring_submit(struct uring *u)
{
	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
	return !io_uring_sq_ready(&u->ring);
}

void uring_hush(struct uring *u, bool on)
{
	io_uring_cq_eventfd_toggle(&u->ring, !on);
	atomic_thread_fence(memory_order_seq_cst);
}

struct blk_req *uring_take(struct uring *u)
{
	struct io_uring_cqe *cqe;
	struct blk_req *req;

	if (io_uring_peek_cqe(&u->ring, &cqe) || !cqe)
		return NULL;
	req = io_uring_cqe_get_data(cqe);
	req->result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return req;
}
