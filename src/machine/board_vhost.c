// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -device vhost-user-fs-pci: a folder by virtio-fs, whose back end listens on the socket of a -chardev.
 * Threads: before threads start, and at the end.
 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/vhost_user_fs.h"
#include "machine/board_virtio.h"
#include "machine/chardevs.h"

#define QUEUE_SIZE 128u

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

static int make_fs(struct board *b, struct props *p, struct lodge_err *err)
{
	uint64_t queues = 1, size = QUEUE_SIZE;
	struct vhost_user_fs_config c = {0};
	struct vhost_user_fs *s;
	int r = props_u64(p, "num-request-queues", VHOST_USER_FS_REQUEST_QUEUES_MAX, &queues, err);

	if (!r)
		r = props_u64(p, "queue-size", VQ_SIZE_MAX, &size, err);
	if (!r)
		r = board_virtio_config(b, p, (unsigned)queues + 1, (uint16_t)size, &c.virtio, err);
	if (r)
		return r;
	c.request_queues = (unsigned)queues;
	c.tag = props_get(p, "tag");
	if (!c.tag)
		return err_set(err, -EINVAL, "%s: tag=TAG is missing: what the guest mounts",
			       props_what(p));
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
