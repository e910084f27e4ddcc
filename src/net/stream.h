/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames over a byte stream: each is preceded by its length, 4 bytes, big-endian, as QEMU and passt have it.
 * Private to src/net. Threads: with the VM lock held.
 */
#ifndef LODGE_NET_STREAM_H
#define LODGE_NET_STREAM_H

#include "net/backend.h"
#include "net/sockaddr.h"

/* Room for a frame and a good deal more, so that one read brings several. */
#define NET_STREAM_IN (4u * (4u + NET_FRAME_MAX))
#define NET_STREAM_OUT (4u + NET_FRAME_MAX)

struct net_stream {
	struct net_backend nb;
	struct net_addr addr; /* where to listen */
	int listen, fd;	      /* -1: none */
	struct io_watch *listen_watch, *watch;
	bool held;	 /* a frame waits for the card */
	bool closing;	 /* the peer's end came while one waited */
	bool no_padding; /* the peer takes padding for data */
	size_t in_at, in_len, out_at, out_len;
	pid_t pid; /* passt; 0: none */
	uint8_t in[NET_STREAM_IN], out[NET_STREAM_OUT];
};

/* A back end without a connection; freed by net_backend_close. NULL and a sentence. */
struct net_stream *net_stream_new(const char *type, const struct net_host *host,
				  struct lodge_err *err);
/* Take over a connected socket. */
int net_stream_connect(struct net_stream *s, int fd, struct lodge_err *err) MUST_CHECK;

#endif
