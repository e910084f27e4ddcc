// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shared folders: -fsdev names one, -device virtio-9p-pci shows it, -virtfs does both.
 * Threads: before threads start, and at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/virtio_9p.h"
#include "machine/board_virtio.h"

/* A device with its server and the thread between them. */
struct share {
	struct list link;
	struct virtio_9p *dev;
	struct p9_queue *queue;
	struct p9_server *server;
};

static void share_free(void *obj)
{
	struct share *s = obj;

	list_del(&s->link);
	virtio_9p_free(s->dev);
	p9_queue_free(s->queue);
	p9_server_free(s->server);
	free(s);
}

/* What -fsdev and -virtfs say of a folder. */
static int read_folder(struct props *p, struct p9_config *c, struct lodge_err *err)
{
	static const char *const models[] = {"none",   "passthrough", "mapped-xattr",
					     "mapped", "mapped-file", NULL};
	const char *driver = props_get(p, "fsdriver");
	unsigned model = P9_NONE;
	int r;

	if (!driver || strcmp(driver, "local"))
		return err_set(err, -EINVAL, "%s: '%s' is not there; 'local' is", props_what(p),
			       driver ? driver : "");
	c->path = props_get(p, "path");
	if (!c->path)
		return err_set(err, -EINVAL, "%s: path= is missing", props_what(p));
	c->read_only = true; /* unless it is asked for */
	r = props_bool(p, "readonly", &c->read_only, err);
	if (!r)
		r = props_choice(p, "security_model", models, &model, err);
	if (!r && model == 4)
		r = err_set(err, -ENOTSUP,
			    "%s: security_model=mapped-file is not there; use mapped-xattr or none",
			    props_what(p));
	c->model = model == 3 ? P9_MAPPED_XATTR : (enum p9_model)model;
	return r;
}

static int add_share(struct board *b, struct props *p, const struct p9_config *folder,
		     const char *tag, const char *id, struct lodge_err *err)
{
	struct virtio_9p_config c = {.tag = tag};
	struct share *s;
	int r;

	if (!tag)
		return err_set(err, -EINVAL, "%s: mount_tag= is missing", props_what(p));
	r = board_virtio_config(b, p, 1, 128, &c.virtio, err);
	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "no memory to share a folder");
	list_add_tail(&b->shares, &s->link);
	s->server = p9_server_new(folder, err);
	if (s->server)
		s->queue = p9_queue_new(s->server, b->vm->loop, err);
	c.queue = s->queue;
	if (s->queue)
		s->dev = virtio_9p_new(&c, err);
	if (!s->dev) {
		share_free(s);
		return -EINVAL;
	}
	return board_adopt(b, id, virtio_9p_device(s->dev), s, share_free, err);
}

int board_start_shares(struct board *b, struct lodge_err *err)
{
	struct share *s;
	int r = 0;

	list_for_each_entry (s, &b->shares, link) {
		if (!r)
			r = p9_queue_start(s->queue, err);
	}
	return r;
}

static struct props *find_fsdev(struct board *b, const char *id)
{
	const struct vm_options *o = &b->vm->cfg.fsdevs;

	for (unsigned i = 0; i < o->n; i++) {
		const char *have = props_get(o->p[i], "id");

		if (have && !strcmp(have, id))
			return o->p[i];
	}
	return NULL;
}

static int make_9p(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "fsdev");
	struct props *fsdev = id ? find_fsdev(b, id) : NULL;
	struct p9_config folder = {0};
	int r;

	if (!id)
		return err_set(err, -EINVAL, "%s: fsdev=ID of a -fsdev is missing", props_what(p));
	if (!fsdev)
		return err_set(err, -ENOENT, "%s: there is no -fsdev with id=%s", props_what(p),
			       id);
	r = read_folder(fsdev, &folder, err);
	if (!r)
		r = props_done(fsdev, err);
	return r ? r : add_share(b, p, &folder, props_get(p, "mount_tag"), props_get(p, "id"), err);
}

const struct board_kind board_virtio_9p = {
	.name = "virtio-9p-pci",
	.help = "a folder of the host: fsdev=ID,mount_tag=TAG",
	.virtio = true,
	.make = make_9p,
};

int board_add_virtfs(struct board *b, struct lodge_err *err)
{
	const struct vm_options *o = &b->vm->cfg.virtfs;

	for (unsigned i = 0; i < o->n; i++) {
		struct p9_config folder = {0};
		struct props *p = o->p[i];
		int r = read_folder(p, &folder, err);

		if (!r)
			r = add_share(b, p, &folder, props_get(p, "mount_tag"), props_get(p, "id"),
				      err);
		if (!r)
			r = props_done(p, err);
		if (r)
			return r;
	}
	return 0;
}
