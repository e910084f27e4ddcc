// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The front end of vhost-user. See vhost_user.h.
 * Source: the vhost-user protocol (QEMU's docs/interop/vhost-user). Threads: with the VM lock held; setting up
 * and the end without threads.
 */
#include "devices/virtio/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"
#include "devices/virtio/vhost_msg.h"
#include "devices/virtio/vhost_ring.h"
#include "devices/virtio/virtio.h"

#define F_PROTOCOL_FEATURES VIRTIO_F_BIT(30)
#define PROTOCOL_MQ 1ull
#define PROTOCOL_REPLY_ACK (1ull << 3)
#define START_MS 10000u
/* Chains that one look at a queue takes before others get the VM lock. */
#define TAKE_MAX 256u
#define CALL_BYTES 4096u

struct vhost_queue {
	struct vhost_user *u;
	struct vhost_ring ring;
	/* [0] is read, [1] written. Both ends stay open here: neither can then break, or report its end. */
	int kick[2], call[2];
	struct io_watch *watch; /* of call[0] */
	struct io_timer again;
};

struct vhost_user {
	struct vhost_user_config cfg;
	char *name;
	int fd; /* -1: the back end is gone */
	struct io_watch *watch;
	unsigned out;
	int mem_fd; /* of the rings */
	uint8_t *mem;
	uint64_t mem_bytes;
	struct vhost_queue q[]; /* cfg.queues */
};

/* ---- The back end goes -------------------------------------------------------------------------- */

static void hang_up(struct vhost_user *u)
{
	if (u->watch)
		io_watch_del(u->watch);
	u->watch = NULL;
	close(u->fd);
	u->fd = -1;
	for (unsigned q = 0; q < u->cfg.queues; q++) {
		if (u->q[q].watch)
			io_watch_del(u->q[q].watch);
		u->q[q].watch = NULL;
		io_timer_cancel(&u->q[q].again);
	}
}

void vhost_user_give_up(struct vhost_user *u, const char *why)
{
	if (u->fd < 0)
		return;
	hang_up(u);
	fprintf(stderr, "lodge: %s: %s; it is not connected again, the guest gets errors\n",
		u->name, why);
	for (unsigned q = 0; q < u->cfg.queues; q++) {
		struct vq_chain *c;

		while ((c = vhost_ring_recall(&u->q[q].ring))) {
			u->out--;
			u->cfg.ops->lost(u->cfg.opaque, q, c);
		}
		u->cfg.ops->settled(u->cfg.opaque, q);
	}
}

/* ---- Chains --------------------------------------------------------------------------------------- */

/* Hand over what came back. */
static void take(struct vhost_queue *vq)
{
	struct vhost_user *u = vq->u;
	unsigned q = (unsigned)(vq - u->q), n = 0;
	struct vq_chain *c;
	uint32_t len;
	int r = 0;

	while (n < TAKE_MAX && (r = vhost_ring_take(&vq->ring, &c, &len)) > 0) {
		n++;
		u->out--;
		u->cfg.ops->done(u->cfg.opaque, q, c, len);
	}
	if (r < 0) {
		vhost_user_give_up(u, "the back end returned what it never had");
		return;
	}
	if (n == TAKE_MAX)
		io_timer_arm(&vq->again, 1); /* long past: as soon as may be */
	if (n)
		u->cfg.ops->settled(u->cfg.opaque, q);
}

static void take_more(void *opaque)
{
	struct vhost_queue *vq = opaque;

	if (vq->u->fd >= 0)
		take(vq);
}

static void called(void *opaque, uint32_t events)
{
	struct vhost_queue *vq = opaque;
	uint8_t sink[CALL_BYTES];

	(void)events;
	/* Before the look at the ring: a call that comes later calls again. */
	if (read(vq->call[0], sink, sizeof(sink)) < 0 && errno != EAGAIN && errno != EINTR)
		return;
	take(vq);
}

/* After setting up the back end has nothing to say. */
static void heard(void *opaque, uint32_t events)
{
	struct vhost_user *u = opaque;
	uint8_t byte;
	ssize_t n = recv(u->fd, &byte, 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* What it was done with before it went counts. */
	for (unsigned q = 0; q < u->cfg.queues && u->fd >= 0; q++)
		take(&u->q[q]);
	vhost_user_give_up(u, n > 0 ? "the back end speaks without being asked"
				    : "the back end is gone");
}

bool vhost_user_alive(const struct vhost_user *u)
{
	return u->fd >= 0;
}

unsigned vhost_user_out(const struct vhost_user *u)
{
	return u->out;
}

void vhost_user_put(struct vhost_user *u, unsigned q, struct vq_chain *c)
{
	u->out++;
	vhost_ring_put(&u->q[q].ring, c);
}

void vhost_user_kick(struct vhost_user *u, unsigned q)
{
	static const uint64_t one = 1;

	/* The pipe has room for one kick: if it is full, the back end is still to look. */
	if (write(u->q[q].kick[1], &one, sizeof(one)) < 0 && errno != EAGAIN)
		return;
}

void vhost_user_drain(struct vhost_user *u, unsigned ms)
{
	uint64_t deadline = clock_mono_ns() + ms * 1000000ull;
	struct pollfd p[VHOST_QUEUES_MAX + 1];
	unsigned n = u->cfg.queues;

	while (u->fd >= 0 && u->out) {
		uint64_t now = clock_mono_ns();
		int r = 0;

		for (unsigned q = 0; q < n; q++)
			p[q] = (struct pollfd){.fd = u->q[q].call[0], .events = POLLIN};
		p[n] = (struct pollfd){.fd = u->fd, .events = POLLIN};
		if (now < deadline)
			r = poll(p, n + 1, (int)((deadline - now) / 1000000 + 1));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			vhost_user_give_up(u, "the back end does not finish what it has");
			return;
		}
		for (unsigned q = 0; q < n && u->fd >= 0; q++) {
			if (p[q].revents)
				called(&u->q[q], 0);
			if (u->q[q].again.armed)
				take(&u->q[q]);
		}
		if (u->fd >= 0 && p[n].revents)
			heard(u, 0);
	}
}

/* ---- Setting up: memory and pipes ------------------------------------------------------------------ */

static int make_memory(struct vhost_user *u)
{
	uint64_t each = vhost_ring_bytes(u->cfg.queue_size);
	void *p;

	u->mem_bytes = each * u->cfg.queues;
	u->mem_fd = memfd_create("lodge-vhost", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (u->mem_fd < 0 || ftruncate(u->mem_fd, (off_t)u->mem_bytes) < 0 ||
	    fcntl(u->mem_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	p = mmap(NULL, u->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, u->mem_fd,
		 0);
	if (p == MAP_FAILED)
		return -errno;
	u->mem = p;
	for (unsigned q = 0; q < u->cfg.queues; q++)
		vhost_ring_init(&u->q[q].ring, u->cfg.mem, u->cfg.queue_size, u->mem + q * each,
				VHOST_RING_BASE + q * each);
	return 0;
}

/*
 * A kick is a packet in a pipe with room for one: a second one is not needed. Calls may queue; our end does
 * not wait, the back end's does.
 */
static int make_pipes(struct vhost_queue *vq)
{
	if (pipe2(vq->kick, O_CLOEXEC | O_DIRECT) < 0 || pipe2(vq->call, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(vq->kick[1], F_SETPIPE_SZ, (int)PAGE_BYTES) < 0 ||
	    fcntl(vq->kick[1], F_SETFL, O_NONBLOCK | O_DIRECT) < 0 ||
	    fcntl(vq->call[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* ---- Setting up: the conversation -------------------------------------------------------------------- */

static int agree_features(struct vhost_talk *t, const struct vhost_user *u, bool *enables,
			  struct lodge_err *err)
{
	const uint64_t need = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC;
	uint64_t features, protocol, queues;
	int r = vhost_ask_u64(t, VHOST_GET_FEATURES, &features, err);

	if (r)
		return r;
	if (~features & need)
		return err_set(err, -ENOTSUP, "%s: the back end does not offer %s, which is needed",
			       t->name,
			       features & VIRTIO_F_VERSION_1 ? "indirect descriptors" : "virtio 1");
	*enables = features & F_PROTOCOL_FEATURES;
	if (*enables) {
		r = vhost_ask_u64(t, VHOST_GET_PROTOCOL_FEATURES, &protocol, err);
		protocol &= PROTOCOL_MQ | PROTOCOL_REPLY_ACK;
		if (!r)
			r = vhost_tell_u64(t, VHOST_SET_PROTOCOL_FEATURES, protocol, err);
		if (r)
			return r;
		t->acks = protocol & PROTOCOL_REPLY_ACK;
		if (protocol & PROTOCOL_MQ) {
			r = vhost_ask_u64(t, VHOST_GET_QUEUE_NUM, &queues, err);
			if (!r && queues < u->cfg.queues)
				r = err_set(err, -EINVAL,
					    "%s: the back end has %llu queues, %u are wanted",
					    t->name, (unsigned long long)queues, u->cfg.queues);
			if (r)
				return r;
		}
	}
	r = vhost_tell(t, VHOST_SET_OWNER, NULL, 0, NULL, 0, err);
	return r ? r
		 : vhost_tell_u64(t, VHOST_SET_FEATURES, need | (features & F_PROTOCOL_FEATURES),
				  err);
}

/* Guest physical address, size, address for SET_VRING_ADDR, offset in the file. */
static void put_region(uint8_t *p, uint64_t address, uint64_t bytes)
{
	st_le64(p, address);
	st_le64(p + 8, bytes);
	st_le64(p + 16, address);
	st_le64(p + 24, 0);
}

static int share_memory(struct vhost_talk *t, const struct vhost_user *u, struct lodge_err *err)
{
	const int fds[2] = {mem_fd(u->cfg.mem), u->mem_fd};
	uint8_t raw[8 + 2 * 32] = {0};

	st_le32(raw, 2);
	put_region(raw + 8, VHOST_GUEST_BASE, mem_backing_bytes(u->cfg.mem));
	put_region(raw + 40, VHOST_RING_BASE, u->mem_bytes);
	return vhost_tell(t, VHOST_SET_MEM_TABLE, raw, sizeof(raw), fds, 2, err);
}

static int tell_state(struct vhost_talk *t, enum vhost_request request, unsigned q, uint32_t val,
		      struct lodge_err *err)
{
	uint8_t raw[8];

	st_le32(raw, q);
	st_le32(raw + 4, val);
	return vhost_tell(t, request, raw, sizeof(raw), NULL, 0, err);
}

static int start_queue(struct vhost_talk *t, const struct vhost_user *u, unsigned q, bool enables,
		       struct lodge_err *err)
{
	const struct vhost_queue *vq = &u->q[q];
	uint8_t raw[40] = {0}, index[8];
	int r = tell_state(t, VHOST_SET_VRING_NUM, q, vq->ring.size, err);

	if (!r)
		r = tell_state(t, VHOST_SET_VRING_BASE, q, 0, err);
	/* Index, flags, descriptors, used ring, available ring, log. */
	st_le32(raw, q);
	st_le64(raw + 8, vq->ring.address);
	st_le64(raw + 16, vq->ring.address + vq->ring.used_at);
	st_le64(raw + 24, vq->ring.address + vq->ring.avail_at);
	if (!r)
		r = vhost_tell(t, VHOST_SET_VRING_ADDR, raw, sizeof(raw), NULL, 0, err);
	st_le64(index, q);
	if (!r)
		r = vhost_tell(t, VHOST_SET_VRING_CALL, index, sizeof(index), &vq->call[1], 1, err);
	if (!r)
		r = vhost_tell(t, VHOST_SET_VRING_KICK, index, sizeof(index), &vq->kick[0], 1, err);
	if (!r && enables)
		r = tell_state(t, VHOST_SET_VRING_ENABLE, q, 1, err);
	return r;
}

static int converse(struct vhost_user *u, struct lodge_err *err)
{
	unsigned ms = u->cfg.start_ms ? u->cfg.start_ms : START_MS;
	struct vhost_talk t = {
		.fd = u->fd,
		.name = u->name,
		.deadline_ns = clock_mono_ns() + ms * 1000000ull,
	};
	bool enables = false;
	uint64_t features;
	int r = agree_features(&t, u, &enables, err);

	if (!r)
		r = share_memory(&t, u, err);
	for (unsigned q = 0; !r && q < u->cfg.queues; q++)
		r = start_queue(&t, u, q, enables, err);
	/* Without acknowledgements: an answer behind everything shows that all was read. */
	if (!r && !t.acks)
		r = vhost_ask_u64(&t, VHOST_GET_FEATURES, &features, err);
	return r;
}

/* ---- Life --------------------------------------------------------------------------------------------- */

static int check_config(const struct vhost_user_config *cfg, struct lodge_err *err)
{
	if (!cfg->queues || cfg->queues > VHOST_QUEUES_MAX)
		return err_set(err, -EINVAL, "%s: %u queues; 1 to %u are possible", cfg->name,
			       cfg->queues, VHOST_QUEUES_MAX);
	if (!cfg->queue_size || cfg->queue_size > VQ_SIZE_MAX ||
	    cfg->queue_size & (cfg->queue_size - 1))
		return err_set(err, -EINVAL,
			       "%s: a queue of %u entries; powers of two up to %u are possible",
			       cfg->name, cfg->queue_size, VQ_SIZE_MAX);
	return 0;
}

static struct vhost_user *alloc(const struct vhost_user_config *cfg)
{
	struct vhost_user *u = calloc(1, sizeof(*u) + cfg->queues * sizeof(u->q[0]));

	if (!u)
		return NULL;
	u->cfg = *cfg;
	u->fd = cfg->fd;
	u->mem_fd = -1;
	for (unsigned q = 0; q < cfg->queues; q++) {
		struct vhost_queue *vq = &u->q[q];

		vq->u = u;
		vq->kick[0] = vq->kick[1] = vq->call[0] = vq->call[1] = -1;
		io_timer_init(&vq->again, cfg->loop, take_more, vq);
	}
	return u;
}

static int watch(struct vhost_user *u)
{
	u->watch = io_watch_add(u->cfg.loop, u->fd, EPOLLIN, heard, u);
	if (!u->watch)
		return -ENOMEM;
	for (unsigned q = 0; q < u->cfg.queues; q++) {
		struct vhost_queue *vq = &u->q[q];

		vq->watch = io_watch_add(u->cfg.loop, vq->call[0], EPOLLIN, called, vq);
		if (!vq->watch)
			return -ENOMEM;
	}
	return 0;
}

struct vhost_user *vhost_user_new(const struct vhost_user_config *cfg, struct lodge_err *err)
{
	int r = check_config(cfg, err);
	struct vhost_user *u = r ? NULL : alloc(cfg);

	if (!u) {
		close(cfg->fd);
		if (!r)
			err_set(err, -ENOMEM, "%s: no memory for it", cfg->name);
		return NULL;
	}
	u->name = strdup(cfg->name);
	r = u->name ? make_memory(u) : -ENOMEM;
	for (unsigned q = 0; !r && q < cfg->queues; q++)
		r = make_pipes(&u->q[q]);
	if (r)
		err_set(err, r, "%s: no memory or pipes for its queues: %s", cfg->name,
			strerror(-r));
	if (!r)
		r = converse(u, err);
	if (!r && watch(u))
		r = err_set(err, -ENOMEM, "%s: its back end cannot be watched", cfg->name);
	if (!r)
		return u;
	vhost_user_free(u);
	return NULL;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Until nobody else has the kick pipes' reading ends. */
static void wait_for_end(struct vhost_user *u)
{
	uint64_t deadline = clock_mono_ns() + u->cfg.end_ms * 1000000ull;

	for (unsigned q = 0; u->cfg.end_ms && q < u->cfg.queues; q++) {
		struct pollfd p = {.fd = u->q[q].kick[1]};
		uint64_t now = clock_mono_ns();

		close_end(&u->q[q].kick[0]);
		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000000 + 1)) <= 0)
			return;
	}
}

void vhost_user_free(struct vhost_user *u)
{
	if (!u)
		return;
	if (u->fd >= 0)
		hang_up(u);
	wait_for_end(u);
	for (unsigned q = 0; q < u->cfg.queues; q++) {
		struct vq_chain *c;

		while ((c = vhost_ring_recall(&u->q[q].ring)))
			vq_chain_free(c);
		for (unsigned i = 0; i < 2; i++) {
			close_end(&u->q[q].kick[i]);
			close_end(&u->q[q].call[i]);
		}
	}
	if (u->mem)
		munmap(u->mem, u->mem_bytes);
	if (u->mem_fd >= 0)
		close(u->mem_fd);
	free(u->name);
	free(u);
}
