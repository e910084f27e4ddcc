// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-vsock: packets of streams, and their credit. See virtio_vsock.h.
 * Source: virtio 1.2 §5.10. Threads: with the VM lock held.
 * Saved state: version 1. Streams are this host's and are not in it: the driver that goes on is told that
 * they are gone (VIRTIO_VSOCK_EVENT_TRANSPORT_RESET). No chain is ever out.
 */
#include "devices/virtio/virtio_vsock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"
#include "base/thread.h"
#include "devices/virtio/vsock_int.h"

#define F_STREAM VIRTIO_F_BIT(0)
#define Q_RX 0u
#define Q_TX 1u
#define Q_EVENT 2u
#define QUEUE_SIZE 128u
#define HEADER_BYTES 44u
#define TYPE_STREAM 1u
/* Bytes that one kick moves before others get the VM lock. */
#define KICK_BYTES 262144u

/* struct virtio_vsock_hdr (§5.10.6). */
struct header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

static bool read_header(const struct vq_chain *c, struct header *h)
{
	uint8_t raw[HEADER_BYTES];

	if (vq_chain_read(c, 0, raw, sizeof(raw)) != sizeof(raw))
		return false;
	*h = (struct header){
		.src_cid = ld_le64(raw),
		.dst_cid = ld_le64(raw + 8),
		.src_port = ld_le32(raw + 16),
		.dst_port = ld_le32(raw + 20),
		.len = ld_le32(raw + 24),
		.type = ld_le16(raw + 28),
		.op = ld_le16(raw + 30),
		.flags = ld_le32(raw + 32),
		.buf_alloc = ld_le32(raw + 36),
		.fwd_cnt = ld_le32(raw + 40),
	};
	return h->len <= c->out_len - HEADER_BYTES;
}

/* The device's side of a header, in front of `len` bytes that are there already. */
static void put_header(struct virtio_vsock *s, struct vq_chain *c, uint32_t guest_port,
		       uint32_t host_port, unsigned op, uint32_t flags, const struct stream *st,
		       uint32_t len)
{
	uint8_t raw[HEADER_BYTES];

	st_le64(raw, VIRTIO_VSOCK_HOST_CID);
	st_le64(raw + 8, s->guest_cid);
	st_le32(raw + 16, host_port);
	st_le32(raw + 20, guest_port);
	st_le32(raw + 24, len);
	st_le16(raw + 28, TYPE_STREAM);
	st_le16(raw + 30, (uint16_t)op);
	st_le32(raw + 32, flags);
	st_le32(raw + 36, st ? VIRTIO_VSOCK_BUFFER : 0);
	st_le32(raw + 40, st ? st->fwd_cnt : 0);
	vq_chain_write(c, 0, raw, sizeof(raw));
}

/* ---- To the guest ---------------------------------------------------------------------------------- */

/* The next buffer for a packet; a driver that gives too small ones breaks the rules. */
static struct vq_chain *packet(struct virtio_vsock *s)
{
	struct vq_chain *c = virtio_pop(&s->v, Q_RX);

	if (!c || c->in_len > HEADER_BYTES)
		return c;
	virtqueue_push(c->vq, c, 0);
	virtio_error(&s->v, "a receive buffer without room for a packet");
	return NULL;
}

static bool send_resets(struct virtio_vsock *s)
{
	while (s->n_resets) {
		struct vq_chain *c = packet(s);
		unsigned i = s->n_resets - 1;

		if (!c)
			return false;
		put_header(s, c, s->resets[i].guest_port, s->resets[i].host_port, OP_RST, 0, NULL,
			   0);
		virtqueue_push(c->vq, c, HEADER_BYTES);
		s->n_resets = i;
	}
	return true;
}

static uint32_t credit(const struct stream *st)
{
	uint32_t under_way = st->tx_cnt - st->peer_fwd;

	return under_way < st->peer_alloc ? st->peer_alloc - under_way : 0;
}

/* One message of those that wait; RST ends the stream. False: no buffer. */
static bool send_control(struct virtio_vsock *s, struct stream *st)
{
	unsigned op = (unsigned)__builtin_ctz(st->tell);
	struct vq_chain *c = packet(s);

	if (!c)
		return false;
	put_header(s, c, st->guest_port, st->host_port, op, op == OP_SHUTDOWN ? SHUT_SEND : 0, st,
		   0);
	virtqueue_push(c->vq, c, HEADER_BYTES);
	st->tell &= (uint8_t)~TELL(op);
	st->told_fwd = st->fwd_cnt;
	if (op == OP_RST)
		vsock_close(st);
	return true;
}

/* Room for up to `most` bytes behind the header of a packet; the chain's own arrays stay as they are. */
static unsigned payload(const struct vq_chain *c, uint64_t most, struct iovec *part, unsigned max)
{
	uint64_t skip = HEADER_BYTES;
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_in && most && n < max; i++) {
		size_t len = c->in[i].iov_len, cut = min_u64(skip, len);

		skip -= cut;
		len = min_u64(len - cut, most);
		if (!len)
			continue;
		part[n++] = (struct iovec){(uint8_t *)c->in[i].iov_base + cut, len};
		most -= len;
	}
	return n;
}

/* Nothing came: not yet, not any more, or never again. */
static void note_silence(struct stream *st, ssize_t n)
{
	st->readable = false;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	st->host_eof = true;
	st->tell |= n < 0 ? TELL(OP_RST) : TELL(OP_SHUTDOWN);
}

/* Bytes of the socket straight into the guest's buffer. False: there is none. */
static bool send_data(struct virtio_vsock *s, struct stream *st, uint64_t *bytes)
{
	struct vq_chain *c = packet(s);
	struct iovec part[64];
	struct msghdr msg = {.msg_iov = part};
	ssize_t n;

	if (!c)
		return false;
	msg.msg_iovlen =
		payload(c, min_u64(credit(st), VIRTIO_VSOCK_BUFFER), part, ARRAY_SIZE(part));
	do {
		n = recvmsg(st->fd, &msg, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		note_silence(st, n);
		virtqueue_unpop(c->vq, c);
		return true;
	}
	put_header(s, c, st->guest_port, st->host_port, OP_RW, 0, st, (uint32_t)n);
	virtqueue_push(c->vq, c, HEADER_BYTES + (uint64_t)n);
	st->tx_cnt += (uint32_t)n;
	st->told_fwd = st->fwd_cnt;
	*bytes += (uint64_t)n;
	return true;
}

static bool may_read(const struct stream *st)
{
	return st->state == OPEN && st->readable && !st->host_eof &&
	       !(st->guest_shut & SHUT_RECEIVE);
}

/* Both sides are done with it, and all is delivered (§5.10.6.4). */
static bool is_over(const struct stream *st)
{
	return st->state == OPEN && !st->len && st->guest_shut & SHUT_SEND &&
	       (st->guest_shut & SHUT_RECEIVE || st->host_eof);
}

/* Everything of one stream that there are buffers and credit for. False: no more buffers. */
static bool pump_stream(struct virtio_vsock *s, struct stream *st, uint64_t *bytes)
{
	while (*bytes < KICK_BYTES) {
		if (is_over(st) && !(st->tell & TELL(OP_SHUTDOWN)))
			st->tell = TELL(OP_RST);
		if (st->tell) {
			bool last = st->tell & TELL(OP_RST);

			if (last)
				st->tell = TELL(OP_RST);
			if (!send_control(s, st))
				return false;
			if (last)
				return true; /* st is gone */
			continue;
		}
		if (!may_read(st))
			break;
		if (!credit(st)) {
			if (st->asked_credit)
				break;
			st->asked_credit = true;
			st->tell |= TELL(OP_CREDIT_REQUEST);
			continue;
		}
		if (!send_data(s, st, bytes))
			return false;
	}
	vsock_watch(st);
	return true;
}

void vsock_pump(struct virtio_vsock *s)
{
	struct list *node, *next;
	uint64_t bytes = 0;
	bool room;

	if (!virtio_running(&s->v))
		return;
	room = send_resets(s);
	for (node = s->streams.next; room && node != &s->streams; node = next) {
		next = node->next;
		room = pump_stream(s, container_of(node, struct stream, link), &bytes);
	}
	if (bytes >= KICK_BYTES) {
		/* The others first next time. */
		struct list *first = s->streams.next;

		list_del(first);
		list_add_tail(&s->streams, first);
		virtio_again(&s->v, Q_RX);
	}
	virtio_notify(&s->v, Q_RX);
}

/* ---- From the guest ----------------------------------------------------------------------------------- */

static void reset_unknown(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port)
{
	if (s->n_resets == VSOCK_RESETS)
		return;
	s->resets[s->n_resets].guest_port = guest_port;
	s->resets[s->n_resets++].host_port = host_port;
}

/* A violation of credit ends a stream (§5.10.6.3). */
static bool take_data(struct stream *st, const struct vq_chain *c, uint32_t len)
{
	uint32_t at = (st->head + st->len) % VIRTIO_VSOCK_BUFFER;
	uint32_t first;

	if (st->state != OPEN || st->guest_shut & SHUT_SEND || len > VIRTIO_VSOCK_BUFFER - st->len)
		return false;
	first = (uint32_t)min_u64(len, VIRTIO_VSOCK_BUFFER - at);
	vq_chain_read(c, HEADER_BYTES, st->buf + at, first);
	vq_chain_read(c, HEADER_BYTES + first, st->buf, len - first);
	st->len += len;
	return vsock_flush(st);
}

static void connect_to(struct virtio_vsock *s, const struct vsock_want *w)
{
	struct stream *st = vsock_connect(s, w->guest_port, w->host_port);

	if (!st) {
		reset_unknown(s, w->guest_port, w->host_port);
		return;
	}
	st->peer_alloc = w->buf_alloc;
	st->peer_fwd = w->fwd_cnt;
	st->tell |= TELL(OP_RESPONSE);
}

/* On the io thread. */
static void on_wants(void *opaque, uint32_t events)
{
	struct virtio_vsock *s = opaque;
	uint64_t count;

	(void)events;
	if (read(s->want_fd, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < s->n_wants; i++)
		connect_to(s, &s->wants[i]);
	s->n_wants = 0;
	vsock_pump(s);
}

static void take_request(struct virtio_vsock *s, const struct header *h)
{
	const struct vsock_want w = {h->src_port, h->dst_port, h->buf_alloc, h->fwd_cnt};
	uint64_t one = 1;

	if (thread_this_kind() != THREAD_VCPU) {
		connect_to(s, &w);
	} else if (s->n_wants == VSOCK_RESETS) {
		reset_unknown(s, w.guest_port, w.host_port);
	} else {
		s->wants[s->n_wants++] = w;
		/* Full only when it is readable anyway. */
		if (write(s->want_fd, &one, sizeof(one)) < 0)
			return;
	}
}

/* What a packet does to its stream. False: the stream ends by RST. */
static bool take(struct stream *st, const struct header *h, const struct vq_chain *c)
{
	st->peer_alloc = h->buf_alloc;
	st->peer_fwd = h->fwd_cnt;
	st->asked_credit = false;
	switch (h->op) {
	case OP_RESPONSE:
		if (st->state != REQUESTED)
			return false;
		st->state = OPEN;
		return vsock_greet(st);
	case OP_RW:
		return take_data(st, c, h->len);
	case OP_SHUTDOWN:
		st->guest_shut |= h->flags & (SHUT_RECEIVE | SHUT_SEND);
		return vsock_flush(st);
	case OP_CREDIT_UPDATE:
		return true;
	case OP_CREDIT_REQUEST:
		st->tell |= TELL(OP_CREDIT_UPDATE);
		return true;
	default: /* a second REQUEST, or nothing known */
		return false;
	}
}

static void take_packet(struct virtio_vsock *s, const struct header *h, const struct vq_chain *c)
{
	struct stream *st;

	/* A guest speaks for itself, and there is only this host. */
	if (h->src_cid != s->guest_cid || h->dst_cid != VIRTIO_VSOCK_HOST_CID)
		return;
	st = h->type == TYPE_STREAM ? vsock_find(s, h->src_port, h->dst_port) : NULL;
	if (!st) {
		if (h->op == OP_REQUEST && h->type == TYPE_STREAM)
			take_request(s, h);
		else if (h->op != OP_RST)
			reset_unknown(s, h->src_port, h->dst_port);
		return;
	}
	if (h->op == OP_RST) {
		vsock_close(st);
		return;
	}
	if (!take(st, h, c))
		st->tell = TELL(OP_RST);
	vsock_watch(st);
}

static void tx_kick(struct virtio_vsock *s)
{
	struct vq_chain *c;
	uint64_t bytes = 0;
	unsigned n = 0;

	while (n < VIRTIO_BATCH && bytes < KICK_BYTES && (c = virtio_pop(&s->v, Q_TX))) {
		struct header h;

		n++;
		bytes += c->out_len;
		if (read_header(c, &h))
			take_packet(s, &h, c);
		else
			log_trace(LOG_GUEST_ERR, "virtio-vsock: a packet shorter than it says\n");
		virtqueue_push(c->vq, c, 0);
	}
	if (n == VIRTIO_BATCH || bytes >= KICK_BYTES)
		virtio_again(&s->v, Q_TX);
	virtio_notify(&s->v, Q_TX);
	vsock_pump(s);
}

/* ---- The device ------------------------------------------------------------------------------------------ */

static void send_event(struct virtio_vsock *s)
{
	static const uint8_t transport_reset[4];
	struct vq_chain *c = s->event_pending ? virtio_pop(&s->v, Q_EVENT) : NULL;

	if (!c)
		return;
	s->event_pending = 0;
	virtqueue_push(c->vq, c, vq_chain_write(c, 0, transport_reset, 4));
	virtio_notify(&s->v, Q_EVENT);
}

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_vsock *s = container_of(v, struct virtio_vsock, v);

	if (q == Q_TX)
		tx_kick(s);
	else if (q == Q_RX)
		vsock_pump(s);
	else
		send_event(s);
}

static void started(struct virtio_dev *v)
{
	vsock_pump(container_of(v, struct virtio_vsock, v));
}

static void reset(struct virtio_dev *v)
{
	struct virtio_vsock *s = container_of(v, struct virtio_vsock, v);

	vsock_close_all(s);
	s->n_resets = s->n_wants = 0;
	s->event_pending = 0;
}

/* No driver spins for an answer. */
static bool patient(const struct virtio_dev *v, unsigned q)
{
	(void)v;
	(void)q;
	return true;
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_VSOCK,
	.legacy_id = 0x1012,
	.pci_class = 0x0780,
	.config_size = 8,
	.started = started,
	.kick = kick,
	.reset = reset,
	.patient = patient,
};

static int post_load(struct device *dev)
{
	struct virtio_vsock *s = container_of(dev, struct virtio_vsock, v.pci.dev);

	if (virtio_dev_loaded(&s->v) || s->event_pending > 1)
		return -EINVAL;
	for (unsigned q = 0; q < s->v.queues; q++) {
		if (s->v.vq[q].out)
			return -EINVAL;
	}
	vsock_close_all(s);
	s->n_resets = s->n_wants = 0;
	s->event_pending = 1;
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_vsock, v),
	STATE_FIELD(struct virtio_vsock, event_pending),
	STATE_END,
};

static const struct device_class virtio_vsock_class = {
	.name = "virtio-vsock",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

static int watch_wants(struct virtio_vsock *s, struct lodge_err *err)
{
	s->want_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->want_fd >= 0)
		s->want_watch = io_watch_add(s->v.loop, s->want_fd, EPOLLIN, on_wants, s);
	return s->want_watch ? 0 : err_set(err, -ENOMEM, "no memory for a vsock");
}

struct virtio_vsock *virtio_vsock_new(const struct virtio_vsock_config *cfg, struct lodge_err *err)
{
	struct virtio_config vc = cfg->virtio;
	struct virtio_vsock *s;

	if (cfg->guest_cid < 3 || cfg->guest_cid >= UINT32_MAX) {
		err_set(err, -EINVAL, "vsock: guest-cid=%llu; 3 to 4294967294 are possible",
			(unsigned long long)cfg->guest_cid);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s)
		s->path = strdup(cfg->path);
	if (!s || !s->path) {
		free(s);
		err_set(err, -ENOMEM, "no memory for a virtio-vsock device");
		return NULL;
	}
	list_init(&s->streams);
	s->listen_fd = s->want_fd = -1;
	s->guest_cid = cfg->guest_cid;
	vc.queues = 3;
	vc.queue_size = QUEUE_SIZE;
	vc.features = F_STREAM;
	if (virtio_dev_init(&s->v, &vc, &virtio_vsock_class, &ops, err)) {
		free(s->path);
		free(s);
		return NULL;
	}
	virtio_config_reg(&s->v, "guest_cid", 0, 4, (uint32_t)s->guest_cid, 0);
	virtio_config_reg(&s->v, "guest_cid", 4, 4, 0, 0);
	if (vsock_listen(s, err) || watch_wants(s, err)) {
		virtio_vsock_free(s);
		return NULL;
	}
	return s;
}

void virtio_vsock_free(struct virtio_vsock *s)
{
	if (!s)
		return;
	virtio_dev_free(&s->v);
	vsock_unlisten(s);
	if (s->want_watch)
		io_watch_del(s->want_watch);
	if (s->want_fd >= 0)
		close(s->want_fd);
	free(s->path);
	free(s);
}

struct device *virtio_vsock_device(struct virtio_vsock *s)
{
	return &s->v.pci.dev;
}

unsigned virtio_vsock_streams(const struct virtio_vsock *s)
{
	return s->count;
}
