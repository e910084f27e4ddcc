// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-fs by a vhost-user back end. See vhost_user_fs.h.
 * Source: virtio 1.2 §5.11; FUSE: Linux's include/uapi/linux/fuse.h.
 * Threads: with the VM lock held.
 *
 * A reset waits for the back end to be done with what it has: it may write guest memory until then. The
 * driver's own reset reads as not done meanwhile (virtio_ops.lingers), for RESET_MS at most; the machine's stands
 * still. A back end that takes longer is given up.
 *
 * Saved state: version 1. What a driver had open is the back end's and not in it: after loading, a folder has
 * to be mounted anew.
 */
#include "devices/virtio/vhost_user_fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "devices/virtio/vhost_user.h"

#define CONFIG_BYTES 40u
#define RESET_MS 10000u

/* struct fuse_in_header: length, opcode, unique, ...; struct fuse_out_header: length, error, unique. */
#define FUSE_UNIQUE 8u
#define FUSE_OUT_BYTES 16u

struct vhost_user_fs {
	struct virtio_dev v;
	struct vhost_user *back;
	bool resetting; /* chains from before a reset are out */
	unsigned reset_ms;
	struct io_timer patience;
};

/* ---- Answers --------------------------------------------------------------------------------------- */

/* Requests without room for an answer (FORGET) want none. */
static void fail(struct vq_chain *c)
{
	uint8_t unique[8] = {0}, out[FUSE_OUT_BYTES];
	uint64_t written = 0;

	if (c->in_len >= sizeof(out)) {
		vq_chain_read(c, FUSE_UNIQUE, unique, sizeof(unique));
		st_le32(out, sizeof(out));
		st_le32(out + 4, (uint32_t)-ENOTCONN);
		memcpy(out + 8, unique, sizeof(unique));
		written = vq_chain_write(c, 0, out, sizeof(out));
	}
	virtqueue_push(c->vq, c, written);
}

static void done(void *opaque, unsigned q, struct vq_chain *c, uint32_t len)
{
	(void)opaque;
	(void)q;
	virtqueue_push(c->vq, c, len);
}

static void lost(void *opaque, unsigned q, struct vq_chain *c)
{
	(void)opaque;
	(void)q;
	/* Buffers of a driver that has reset the device are not the device's any more (Q9). */
	if (c->gen == c->vq->gen)
		fail(c);
	else
		vq_chain_free(c);
}

static void end_reset(struct vhost_user_fs *s)
{
	s->resetting = false;
	io_timer_cancel(&s->patience);
	/* What a driver that did not wait has made available. */
	virtio_all_again(&s->v);
}

static void settled(void *opaque, unsigned q)
{
	struct vhost_user_fs *s = opaque;

	virtio_notify(&s->v, q);
	if (s->resetting && !vhost_user_out(s->back))
		end_reset(s);
}

static const struct vhost_user_ops back_ops = {done, lost, settled};

/* ---- The driver ------------------------------------------------------------------------------------- */

static void kick(struct virtio_dev *v, unsigned q)
{
	struct vhost_user_fs *s = container_of(v, struct vhost_user_fs, v);
	bool alive = vhost_user_alive(s->back);
	struct vq_chain *c;
	unsigned n = 0;

	/* Heads that are out must not come twice. */
	if (s->resetting)
		return;
	while (n < VIRTIO_BATCH && (c = virtio_pop(v, q))) {
		n++;
		if (alive)
			vhost_user_put(s->back, q, c);
		else
			fail(c);
	}
	if (n == VIRTIO_BATCH)
		virtio_again(v, q);
	if (!n)
		return;
	if (alive)
		vhost_user_kick(s->back, q);
	else
		virtio_notify(v, q);
}

static void drop(struct virtio_dev *v, unsigned q)
{
	struct vhost_user_fs *s = container_of(v, struct vhost_user_fs, v);

	(void)q;
	if (!vhost_user_out(s->back) || s->resetting)
		return;
	s->resetting = true;
	io_timer_arm(&s->patience, clock_mono_ns() + s->reset_ms * 1000000ull);
}

static bool lingers(struct virtio_dev *v)
{
	return container_of(v, struct vhost_user_fs, v)->resetting;
}

static void too_long(void *opaque)
{
	struct vhost_user_fs *s = opaque;

	vhost_user_give_up(s->back, "the back end does not finish what it has");
}

/* Drivers sleep until a request is done. */
static bool patient(const struct virtio_dev *v, unsigned q)
{
	(void)v;
	(void)q;
	return true;
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_FS,
	.pci_class = 0x0180,
	.config_size = CONFIG_BYTES,
	.kick = kick,
	.drop = drop,
	.lingers = lingers,
	.patient = patient,
};

/* ---- The device -------------------------------------------------------------------------------------- */

static void reset(struct device *dev)
{
	struct vhost_user_fs *s = container_of(dev, struct vhost_user_fs, v.pci.dev);

	vhost_user_drain(s->back, s->reset_ms);
	virtio_dev_reset(dev);
}

/* Requests that were under way go to this back end, which knows nothing of them and says so. */
static void refetch(struct vhost_user_fs *s, unsigned q)
{
	struct virtqueue *vq = &s->v.vq[q];

	for (unsigned head = 0; head < vq->size; head++) {
		struct vq_chain *c;

		if (!(vq->out_map[head / 8] & 1u << head % 8))
			continue;
		if (virtqueue_refetch(vq, (uint16_t)head, &c) != 1) {
			virtio_error(&s->v, vq->why ? vq->why : "no memory for a chain");
			return;
		}
		if (vhost_user_alive(s->back))
			vhost_user_put(s->back, q, c);
		else
			fail(c);
	}
	if (vhost_user_alive(s->back))
		vhost_user_kick(s->back, q);
	else
		virtio_notify(&s->v, q);
}

static int post_load(struct device *dev)
{
	struct vhost_user_fs *s = container_of(dev, struct vhost_user_fs, v.pci.dev);
	int r = virtio_dev_loaded(&s->v);

	/* What is out belongs to a time before; no vCPU runs. */
	vhost_user_drain(s->back, s->reset_ms);
	if (r)
		return r;
	for (unsigned q = 0; q < s->v.queues; q++)
		refetch(s, q);
	return 0;
}

static const char *cannot_save(const struct device *dev)
{
	(void)dev;
	return "a folder shared by virtiofsd is in another process, which cannot tell what the "
	       "guest has open; '-virtfs' shares one that can be unmounted";
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct vhost_user_fs, v),
	STATE_END,
};

static const struct device_class vhost_user_fs_class = {
	.name = "vhost-user-fs",
	.version = 1,
	.reset = reset,
	.fields = fields,
	.post_load = post_load,
	.cannot_save = cannot_save,
};

static int check_config(const struct vhost_user_fs_config *cfg, struct lodge_err *err)
{
	size_t tag = strlen(cfg->tag);

	if (!tag || tag > VHOST_USER_FS_TAG_MAX)
		return err_set(err, -EINVAL, "vhost-user-fs: a tag has 1 to %u bytes",
			       VHOST_USER_FS_TAG_MAX);
	if (!cfg->request_queues || cfg->request_queues > VHOST_USER_FS_REQUEST_QUEUES_MAX)
		return err_set(err, -EINVAL,
			       "vhost-user-fs: num-request-queues=%u; 1 to %u are possible",
			       cfg->request_queues, VHOST_USER_FS_REQUEST_QUEUES_MAX);
	return 0;
}

static int start_back(struct vhost_user_fs *s, const struct vhost_user_fs_config *cfg,
		      struct lodge_err *err)
{
	char name[16 + VHOST_USER_FS_TAG_MAX];
	const struct vhost_user_config bc = {
		.fd = cfg->fd,
		.name = name,
		.mem = cfg->virtio.mem,
		.loop = cfg->virtio.loop,
		.queues = cfg->request_queues + 1,
		.queue_size = cfg->virtio.queue_size,
		.start_ms = cfg->start_ms,
		.end_ms = cfg->end_ms,
		.ops = &back_ops,
		.opaque = s,
	};

	snprintf(name, sizeof(name), "virtio-fs '%s'", cfg->tag);
	s->back = vhost_user_new(&bc, err);
	return s->back ? 0 : -EINVAL;
}

static int start_device(struct vhost_user_fs *s, const struct vhost_user_fs_config *cfg,
			struct lodge_err *err)
{
	struct virtio_config vc = cfg->virtio;
	int r;

	vc.queues = cfg->request_queues + 1;
	vc.features = 0;
	vc.no_legacy = true;
	vc.no_ring_reset = true;
	r = virtio_dev_init(&s->v, &vc, &vhost_user_fs_class, &ops, err);
	if (r)
		return r;
	for (unsigned i = 0; i < VHOST_USER_FS_TAG_MAX; i++)
		virtio_config_reg(&s->v, "tag", i, 1,
				  i < strlen(cfg->tag) ? (uint8_t)cfg->tag[i] : 0, 0);
	virtio_config_reg(&s->v, "num_request_queues", VHOST_USER_FS_TAG_MAX, 4,
			  cfg->request_queues, 0);
	return 0;
}

struct vhost_user_fs *vhost_user_fs_new(const struct vhost_user_fs_config *cfg,
					struct lodge_err *err)
{
	struct vhost_user_fs *s = NULL;

	if (check_config(cfg, err)) {
		close(cfg->fd);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		close(cfg->fd);
		err_set(err, -ENOMEM, "no memory for a vhost-user-fs device");
		return NULL;
	}
	s->reset_ms = cfg->reset_ms ? cfg->reset_ms : RESET_MS;
	io_timer_init(&s->patience, cfg->virtio.loop, too_long, s);
	if (start_back(s, cfg, err)) {
		free(s);
		return NULL;
	}
	if (start_device(s, cfg, err)) {
		vhost_user_free(s->back);
		free(s);
		return NULL;
	}
	return s;
}

void vhost_user_fs_free(struct vhost_user_fs *s)
{
	if (!s)
		return;
	virtio_dev_free(&s->v);
	io_timer_cancel(&s->patience);
	vhost_user_free(s->back);
	free(s);
}

struct device *vhost_user_fs_device(struct vhost_user_fs *s)
{
	return &s->v.pci.dev;
}
