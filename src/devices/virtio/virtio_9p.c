// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-9p: carries 9P messages between a driver and a server (share/p9_queue.h). See virtio_9p.h.
 * Source: Linux's include/uapi/linux/virtio_9p.h (virtio 1.2 only reserves device ID 9); 9P2000.L.
 * Threads: with the VM lock held.
 * Saved state: version 1. What a client had open is not in it: after loading, a folder has to be mounted anew.
 */
#include "devices/virtio/virtio_9p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

#define F_MOUNT_TAG VIRTIO_F_BIT(0)
#define QUEUE_SIZE 128u
/* Messages under way at once, each with a copy of both sides; more wait in the ring. */
#define JOBS_MAX 16u
#define ANSWER_MIN (P9_HEADER + 4u)

struct virtio_9p {
	struct virtio_dev v;
	struct p9_queue *queue;
	unsigned jobs;
	struct list under_way; /* struct job, with their chains */
};

struct job {
	struct p9_job p9;
	struct list link;
	struct virtio_9p *s;
	struct vq_chain *c; /* NULL: given up, nobody waits for the answer */
	uint8_t *reply;
	uint8_t req[];
};

static void job_done(struct p9_job *p9, size_t len)
{
	struct job *j = container_of(p9, struct job, p9);
	struct virtio_9p *s = j->s;
	struct vq_chain *c = j->c;

	s->jobs--;
	if (c) {
		list_del(&j->link);
		if (len) {
			virtqueue_push(c->vq, c, vq_chain_write(c, 0, j->reply, len));
		} else {
			vq_chain_free(c);
			virtio_error(&s->v,
				     "what is not a 9P message, or has no room for an answer");
		}
		virtio_notify(&s->v, 0);
	}
	free(j->reply);
	free(j);
	if (s->jobs == JOBS_MAX - 1)
		virtio_again(&s->v, 0);
}

static const char *begin(struct virtio_9p *s, struct vq_chain *c)
{
	size_t cap = (size_t)min_u64(c->in_len, P9_MSIZE_MAX), len = (size_t)c->out_len;
	struct job *j;

	if (c->out_len < P9_HEADER || c->out_len > P9_MSIZE_MAX || cap < ANSWER_MIN)
		return "a 9P message of impossible size";
	j = malloc(sizeof(*j) + len);
	if (!j)
		return "no memory for a 9P message";
	j->s = s;
	j->c = c;
	j->reply = malloc(cap);
	if (!j->reply) {
		free(j);
		return "no memory for a 9P answer";
	}
	vq_chain_read(c, 0, j->req, len);
	j->p9 = (struct p9_job){.req = j->req,
				.len = len,
				.reply = j->reply,
				.cap = cap,
				.done = job_done};
	s->jobs++;
	list_add_tail(&s->under_way, &j->link);
	p9_queue_submit(s->queue, &j->p9);
	return NULL;
}

static bool handle(struct virtio_9p *s, struct vq_chain *c)
{
	const char *why = begin(s, c);

	if (!why)
		return true;
	vq_chain_free(c);
	virtio_error(&s->v, why);
	return false;
}

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_9p *s = container_of(v, struct virtio_9p, v);
	struct vq_chain *c;

	while (s->jobs < JOBS_MAX && (c = virtio_pop(v, q)) && handle(s, c))
		;
}

/* Nobody waits for the host: a message and its answer are copies, and an answer that comes later goes nowhere. */
static void drop(struct virtio_dev *v, unsigned q)
{
	struct virtio_9p *s = container_of(v, struct virtio_9p, v);

	(void)q;
	while (!list_empty(&s->under_way)) {
		struct job *j = container_of(s->under_way.next, struct job, link);

		list_del(&j->link);
		vq_chain_free(j->c);
		j->c = NULL;
	}
	p9_queue_cancel(s->queue);
}

static void reset(struct virtio_dev *v)
{
	struct virtio_9p *s = container_of(v, struct virtio_9p, v);

	p9_queue_reset(s->queue);
}

/* Drivers sleep until a request is done. */
static bool patient(const struct virtio_dev *v, unsigned q)
{
	(void)v;
	(void)q;
	return true;
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_9P,
	.legacy_id = 0x1009,
	.pci_class = 0x0002,
	.config_size = 2 + VIRTIO_9P_TAG_MAX,
	.kick = kick,
	.drop = drop,
	.reset = reset,
	.patient = patient,
};

/* Messages that were under way are answered here; the session they belong to is gone. */
static void refetch(struct virtio_9p *s)
{
	struct virtqueue *vq = &s->v.vq[0];

	for (unsigned head = 0; head < vq->size; head++) {
		struct vq_chain *c;

		if (!(vq->out_map[head / 8] & 1u << head % 8))
			continue;
		if (virtqueue_refetch(vq, (uint16_t)head, &c) != 1) {
			virtio_error(&s->v, vq->why ? vq->why : "no memory for a chain");
			return;
		}
		if (!handle(s, c))
			return;
	}
}

static int post_load(struct device *dev)
{
	struct virtio_9p *s = container_of(dev, struct virtio_9p, v.pci.dev);

	if (virtio_dev_loaded(&s->v))
		return -EINVAL;
	p9_queue_reset(s->queue);
	if (s->v.vq[0].out > JOBS_MAX)
		return -EINVAL;
	refetch(s);
	return 0;
}

static const char *cannot_save(const struct device *dev)
{
	const struct virtio_9p *s = container_of(dev, struct virtio_9p, v.pci.dev);

	return p9_queue_in_use(s->queue) ? "the guest has a folder of the host mounted, and what "
					   "it has open there stays behind; unmount it first"
					 : NULL;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_9p, v),
	STATE_END,
};

static const struct device_class virtio_9p_class = {
	.name = "virtio-9p",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
	.cannot_save = cannot_save,
};

struct virtio_9p *virtio_9p_new(const struct virtio_9p_config *cfg, struct lodge_err *err)
{
	size_t tag = strlen(cfg->tag);
	struct virtio_config vc = cfg->virtio;
	struct virtio_9p *s;

	if (!tag || tag > VIRTIO_9P_TAG_MAX) {
		err_set(err, -EINVAL, "virtio-9p: a mount_tag has 1 to %u bytes",
			VIRTIO_9P_TAG_MAX);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-9p device");
		return NULL;
	}
	s->queue = cfg->queue;
	list_init(&s->under_way);
	vc.queues = 1;
	vc.queue_size = QUEUE_SIZE;
	vc.features = F_MOUNT_TAG;
	if (virtio_dev_init(&s->v, &vc, &virtio_9p_class, &ops, err)) {
		free(s);
		return NULL;
	}
	virtio_config_reg(&s->v, "tag_len", 0, 2, (uint32_t)tag, 0);
	for (unsigned i = 0; i < tag; i++)
		virtio_config_reg(&s->v, "tag", 2 + i, 1, (uint8_t)cfg->tag[i], 0);
	return s;
}

void virtio_9p_free(struct virtio_9p *s)
{
	if (!s)
		return;
	drop(&s->v, VIRTIO_ALL_QUEUES);
	p9_queue_drain(s->queue);
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_9p_device(struct virtio_9p *s)
{
	return &s->v.pci.dev;
}
