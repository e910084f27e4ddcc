// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Folders by virtio-fs: -device vhost-user-fs-pci, whose back end listens on the socket of a -chardev; and
 * -share, which starts virtiofsd.
 * Threads: before threads start, and at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "devices/virtio/vhost_user_fs.h"
#include "machine/board_virtio.h"
#include "machine/chardevs.h"
#include "share/virtiofsd.h"

#define QUEUE_SIZE 128u
/* How long a back end may take to let go when the machine ends. */
#define END_MS 500u

static void free_fs(void *obj)
{
	vhost_user_fs_free(obj);
}

/* The back end's socket, the caller's; -EINVAL with a sentence. */
static int back_end(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "chardev");
	struct named_chardev *n;
	int fd;

	if (!id)
		return err_set(err, -EINVAL,
			       "%s: chardev=ID is missing: the socket on which virtiofsd listens",
			       props_what(p));
	n = chardevs_take(b->vm, id, err);
	if (!n)
		return -EINVAL;
	fd = chardev_take_socket(n->chr);
	if (fd < 0)
		err_set(err, -EINVAL,
			"%s: chardev=%s has to connect to a Unix socket: '-chardev "
			"socket,id=%s,path=SOCKET', and the back end listens",
			props_what(p), id, id);
	return fd;
}

/* What both say of the device. */
static int read_fs(struct board *b, struct props *p, struct vhost_user_fs_config *c,
		   struct lodge_err *err)
{
	uint64_t queues = 1, size = QUEUE_SIZE;
	int r = props_u64(p, "num-request-queues", VHOST_USER_FS_REQUEST_QUEUES_MAX, &queues, err);

	if (!r)
		r = props_u64(p, "queue-size", VQ_SIZE_MAX, &size, err);
	if (!r)
		r = board_virtio_config(b, p, (unsigned)queues + 1, (uint16_t)size, &c->virtio,
					err);
	if (r)
		return r;
	c->end_ms = END_MS;
	c->request_queues = (unsigned)queues;
	c->tag = props_get(p, "tag");
	if (!c->tag)
		return err_set(err, -EINVAL, "%s: tag=TAG is missing: what the guest mounts",
			       props_what(p));
	return 0;
}

static int make_fs(struct board *b, struct props *p, struct lodge_err *err)
{
	struct vhost_user_fs_config c = {0};
	struct vhost_user_fs *s;
	int r = read_fs(b, p, &c, err);

	if (r)
		return r;
	c.fd = back_end(b, p, err);
	if (c.fd < 0)
		return -EINVAL;
	s = vhost_user_fs_new(&c, err);
	if (!s)
		return -EINVAL;
	return board_adopt(b, props_get(p, "id"), vhost_user_fs_device(s), s, free_fs, err);
}

const struct board_kind board_vhost_user_fs = {
	.name = "vhost-user-fs-pci",
	.help = "a folder by virtiofsd: chardev=ID,tag=TAG [,num-request-queues=N,queue-size=N]",
	.make = make_fs,
};

/* ---- -share ----------------------------------------------------------------------------------------- */

struct shared {
	struct vhost_user_fs *fs;
	struct virtiofsd *server;
};

static void free_shared(void *obj)
{
	struct shared *s = obj;

	/* Hangs up, which ends the server. */
	vhost_user_fs_free(s->fs);
	virtiofsd_stop(s->server);
	free(s);
}

static int read_share(struct props *p, struct virtiofsd_config *c, struct lodge_err *err)
{
	static const char *const caches[] = {"auto", "always", "none", NULL};
	static const char *const sandboxes[] = {"namespace", "chroot", NULL};
	unsigned cache = 0, sandbox = 0;
	struct stat st;
	int r;

	c->folder = props_get(p, "path");
	if (!c->folder)
		return err_set(err, -EINVAL,
			       "-share: the folder comes first: -share FOLDER,tag=TAG");
	if (stat(c->folder, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "-share: %s is no folder", c->folder);
	c->read_only = true; /* unless it is asked for */
	r = props_bool(p, "readonly", &c->read_only, err);
	if (!r)
		r = props_choice(p, "cache", caches, &cache, err);
	if (!r)
		r = props_choice(p, "sandbox", sandboxes, &sandbox, err);
	c->cache = caches[cache];
	c->sandbox = sandboxes[sandbox];
	c->program = props_get(p, "virtiofsd");
	return r;
}

/* What virtiofsd printed says why better than we can. */
static void add_last_words(struct virtiofsd *d, struct lodge_err *err)
{
	struct lodge_err ours = *err;
	char words[200];

	virtiofsd_last_words(d, words, sizeof(words));
	if (words[0])
		err_set(err, -EINVAL, "%.280s; virtiofsd says: %s", ours.msg, words);
}

static int add_share(struct board *b, struct props *p, struct lodge_err *err)
{
	struct vhost_user_fs_config c = {0};
	struct virtiofsd_config sc = {0};
	const char *id = props_get(p, "id");
	struct shared *s;
	int r = read_share(p, &sc, err);

	if (!r)
		r = read_fs(b, p, &c, err);
	if (!r)
		r = props_done(p, err);
	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "no memory to share a folder");
	s->server = virtiofsd_start(&sc, &c.fd, err);
	if (s->server)
		s->fs = vhost_user_fs_new(&c, err);
	if (!s->fs) {
		if (s->server)
			add_last_words(s->server, err);
		free_shared(s);
		return -EINVAL;
	}
	return board_adopt(b, id, vhost_user_fs_device(s->fs), s, free_shared, err);
}

int board_add_shares(struct board *b, struct lodge_err *err)
{
	const struct vm_options *o = &b->vm->cfg.shares;

	for (unsigned i = 0; i < o->n; i++) {
		int r = add_share(b, o->p[i], err);

		if (r)
			return r;
	}
	return 0;
}
