/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the vhost-user protocol: requests with descriptors out, answers in, while a machine is set up.
 * Source: the vhost-user protocol (QEMU's docs/interop/vhost-user), "Header", "Front-end message types".
 *
 * The back end is not trusted: an answer is taken only if it is one to the very request, of the very size; and
 * all waiting together ends at `deadline_ns`, however slowly bytes come.
 * Threads: before threads start.
 */
#ifndef LODGE_DEVICES_VIRTIO_VHOST_MSG_H
#define LODGE_DEVICES_VIRTIO_VHOST_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Requests of the front end. */
enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
};

#define VHOST_HEADER_BYTES 12u
#define VHOST_VERSION 1u    /* in flags, bits 0 and 1 */
#define VHOST_REPLY 4u	    /* flags: this is an answer */
#define VHOST_NEED_REPLY 8u /* flags: an answer is wanted, 0 for success */

#define VHOST_PAYLOAD_MAX 128u
#define VHOST_FDS_MAX 2u

/* A conversation. */
struct vhost_talk {
	int fd;		  /* a Unix stream socket, non-blocking; borrowed */
	const char *name; /* for sentences: whose back end it is */
	uint64_t deadline_ns;
	bool acks; /* REPLY_ACK was negotiated: each request is answered */
};

/* "SET_MEM_TABLE" */
const char *vhost_request_name(unsigned request);

/* Send a request, with `n_fds` descriptors (borrowed); with `acks`, wait until it has been done. */
int vhost_tell(struct vhost_talk *t, enum vhost_request request, const void *payload, uint32_t size,
	       const int *fds, unsigned n_fds, struct lodge_err *err) MUST_CHECK;
/* The same for a payload of one u64. */
int vhost_tell_u64(struct vhost_talk *t, enum vhost_request request, uint64_t val,
		   struct lodge_err *err) MUST_CHECK;
/* Send a request without payload whose answer is a u64. */
int vhost_ask_u64(struct vhost_talk *t, enum vhost_request request, uint64_t *val,
		  struct lodge_err *err) MUST_CHECK;

#endif
