/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-vsock: streams between programs of the guest and of the host, whose side is Unix sockets.
 *
 * A host program connects to `path`, sends "CONNECT PORT\n" and is told "OK NUMBER\n" when a guest program that
 * listens on PORT took the stream; else the socket is closed. A guest program that connects to CID 2 and PORT
 * reaches the socket at `path`_PORT, if somebody listens there.
 *
 * Source: virtio 1.2 §5.10. Registers: docs/devices/virtio_vsock.md. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_VSOCK_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_VSOCK_H

#include "devices/virtio/virtio.h"

#define VIRTIO_VSOCK_STREAMS 256u
#define VIRTIO_VSOCK_BUFFER 65536u /* bytes from the guest that wait, each stream */
#define VIRTIO_VSOCK_HOST_CID 2u

struct virtio_vsock;

struct virtio_vsock_config {
	struct virtio_config virtio; /* queues and features are left 0 */
	uint64_t guest_cid;	     /* 3 to 2^32 - 2 */
	const char *path;	     /* copied; the socket is made here and removed at the end */
};

/* NULL and a sentence on failure. */
struct virtio_vsock *virtio_vsock_new(const struct virtio_vsock_config *cfg, struct lodge_err *err);
void virtio_vsock_free(struct virtio_vsock *s);
struct device *virtio_vsock_device(struct virtio_vsock *s);
/* Streams there are now, in whatever state. */
unsigned virtio_vsock_streams(const struct virtio_vsock *s);

#endif
