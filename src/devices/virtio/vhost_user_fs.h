/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-fs, done by a vhost-user back end (virtiofsd): a folder of the host by FUSE messages, of which only
 * the back end knows anything. But when it is gone, requests are answered here, with an error, so that the
 * guest's programs do not wait for ever.
 * Source: virtio 1.2 §5.11; FUSE: Linux's include/uapi/linux/fuse.h; QEMU's device vhost-user-fs-pci.
 */
#ifndef LODGE_DEVICES_VIRTIO_VHOST_USER_FS_H
#define LODGE_DEVICES_VIRTIO_VHOST_USER_FS_H

#include "devices/virtio/virtio.h"

#define VHOST_USER_FS_TAG_MAX 36u
#define VHOST_USER_FS_REQUEST_QUEUES_MAX 63u

struct vhost_user_fs;

struct vhost_user_fs_config {
	struct virtio_config
		virtio;	 /* bus, devfn, mem, loop, queue_size; the interfaces and vectors */
	const char *tag; /* what the guest mounts: 1 to 36 bytes; copied */
	unsigned
		request_queues; /* 1 to VHOST_USER_FS_REQUEST_QUEUES_MAX, beside the one with priority */
	int fd;			/* the back end's socket; taken in every case */
	/* Patience with the back end: at the start and at a reset, 0 for the usual; at the end (see vhost_user.h). */
	unsigned start_ms, reset_ms, end_ms;
};

/* NULL with a sentence. */
struct vhost_user_fs *vhost_user_fs_new(const struct vhost_user_fs_config *cfg,
					struct lodge_err *err);
void vhost_user_fs_free(struct vhost_user_fs *s);
struct device *vhost_user_fs_device(struct vhost_user_fs *s);

#endif
