// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-rng: fills buffers with the host's random bytes, as fast as the setting allows. See virtio_rng.h.
 * Source: virtio 1.2 §5.4. Threads: with the VM lock held.
 * Saved state: version 1. No chain is ever out: what must wait stays in its ring.
 */
#include "devices/virtio/virtio_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/range.h"

/* One chain takes so many; a driver that wants more asks again. */
#define CHAIN_MAX 65536u
/* One kick takes so many, then others get the VM lock. */
#define KICK_MAX 262144u
#define NS_PER_MS 1000000ull

struct virtio_rng {
	struct virtio_dev v;
	uint64_t max_bytes, period_ns;
	void (*fill)(void *buf, size_t len);
	struct io_timer refill;
	/* Saved. */
	uint64_t period_end; /* when the allowance is new; 0: no period has begun */
	uint64_t used;	     /* of this period's allowance */
};

static void fill_random(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = getrandom(p, min_u64(len, 256), 0);

		if (n < 0)
			continue; /* a signal; the pool is ready since boot */
		p += n;
		len -= (size_t)n;
	}
}

/* What may be given now. Arms the timer when that is nothing. */
static uint64_t allowance(struct virtio_rng *s)
{
	uint64_t now = clock_vm_ns();

	if (!s->max_bytes)
		return UINT64_MAX;
	if (now >= s->period_end) {
		s->period_end = now + s->period_ns;
		s->used = 0;
	}
	if (s->used >= s->max_bytes) {
		io_timer_arm(&s->refill, s->period_end);
		return 0;
	}
	return s->max_bytes - s->used;
}

/* Into the buffers themselves: nobody else needs these bytes. */
static uint64_t fill_chain(struct virtio_rng *s, struct vq_chain *c, uint64_t most)
{
	uint64_t left = min_u64(most, min_u64(c->in_len, CHAIN_MAX)), done = 0;

	for (unsigned i = 0; i < c->n_in && left; i++) {
		size_t n = (size_t)min_u64(left, c->in[i].iov_len);

		s->fill(c->in[i].iov_base, n);
		done += n;
		left -= n;
	}
	return done;
}

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_rng *s = container_of(v, struct virtio_rng, v);
	uint64_t given = 0;
	unsigned n = 0;

	while (n < VIRTIO_BATCH && given < KICK_MAX) {
		uint64_t most = allowance(s), done;
		struct vq_chain *c;

		if (!most)
			break;
		c = virtio_pop(v, q);
		if (!c)
			break;
		n++;
		done = fill_chain(s, c, most);
		s->used += done;
		given += done;
		virtqueue_push(c->vq, c, done);
	}
	if (n == VIRTIO_BATCH || given >= KICK_MAX)
		virtio_again(v, q);
	virtio_notify(v, q);
}

static void refilled(void *opaque)
{
	struct virtio_rng *s = opaque;

	virtio_queue_kick(&s->v, 0);
}

static void drop(struct virtio_dev *v, unsigned q)
{
	struct virtio_rng *s = container_of(v, struct virtio_rng, v);

	(void)q;
	io_timer_cancel(&s->refill);
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_RNG,
	.legacy_id = 0x1005,
	.pci_class = 0x00ff,
	.kick = kick,
	.drop = drop,
};

static int post_load(struct device *dev)
{
	struct virtio_rng *s = container_of(dev, struct virtio_rng, v.pci.dev);
	uint64_t end = clock_vm_ns() + s->period_ns;

	if (virtio_dev_loaded(&s->v) || s->v.vq[0].out)
		return -EINVAL;
	s->period_end = min_u64(s->period_end, end);
	s->used = min_u64(s->used, s->max_bytes);
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_rng, v),
	STATE_TIME(struct virtio_rng, period_end),
	STATE_FIELD(struct virtio_rng, used),
	STATE_END,
};

static const struct device_class virtio_rng_class = {
	.name = "virtio-rng",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

struct virtio_rng *virtio_rng_new(const struct virtio_rng_config *cfg, struct lodge_err *err)
{
	struct virtio_rng *s;

	if (cfg->max_bytes && !cfg->period_ms) {
		err_set(err, -EINVAL, "virtio-rng: max-bytes needs a period in milliseconds");
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-rng device");
		return NULL;
	}
	s->max_bytes = cfg->max_bytes;
	s->period_ns = cfg->period_ms * NS_PER_MS;
	s->fill = cfg->fill ? cfg->fill : fill_random;
	io_timer_init(&s->refill, cfg->virtio.loop, refilled, s);
	if (virtio_dev_init(&s->v, &cfg->virtio, &virtio_rng_class, &ops, err)) {
		free(s);
		return NULL;
	}
	return s;
}

void virtio_rng_free(struct virtio_rng *s)
{
	if (!s)
		return;
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_rng_device(struct virtio_rng *s)
{
	return &s->v.pci.dev;
}
