/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between virtio_vsock.c, which speaks to the driver, and vsock_host.c, which speaks to sockets.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VSOCK_INT_H
#define LODGE_DEVICES_VIRTIO_VSOCK_INT_H

#include "chardev/socket.h"
#include "devices/virtio/virtio_vsock.h"

#define VSOCK_GREETING 32u /* the longest "CONNECT PORT\n" */
#define VSOCK_RESETS 64u

/* Operations (§5.10.6), and bits of what is still to be told. */
enum {
	OP_REQUEST = 1,
	OP_RESPONSE,
	OP_RST,
	OP_SHUTDOWN,
	OP_RW,
	OP_CREDIT_UPDATE,
	OP_CREDIT_REQUEST,
};
#define TELL(op) (1u << (op))
#define SHUT_RECEIVE 1u /* flags of OP_SHUTDOWN: the sender will not ... any more */
#define SHUT_SEND 2u

enum stream_state {
	GREETING,  /* a host program that has not said yet where to */
	REQUESTED, /* the guest was asked */
	OPEN,
};

struct stream {
	struct list link;
	struct virtio_vsock *s;
	enum stream_state state;
	uint32_t guest_port, host_port;
	int fd;
	struct io_watch *watch; /* NULL: the other end is gone, and polling would never wait */
	uint32_t watched;
	unsigned line_len;	 /* of the greeting, in buf */
	uint8_t tell;		 /* TELL() bits */
	uint8_t guest_shut;	 /* SHUT_* bits the guest sent */
	bool readable, host_eof; /* there may be bytes; there will be none */
	bool asked_credit;
	/* §5.10.6.3, all modulo 2^32. */
	uint32_t peer_alloc, peer_fwd, tx_cnt;
	uint32_t fwd_cnt, told_fwd;
	/* From the guest, to be written. */
	uint32_t head, len;
	uint8_t *buf;
};

struct virtio_vsock {
	struct virtio_dev v;
	uint64_t guest_cid;
	char *path;
	struct socket_spec spec;
	int listen_fd;
	struct io_watch *listen_watch;
	struct list streams;
	unsigned count;
	uint32_t next_port;
	/* Answers to what belongs to no stream; more are lost. */
	struct {
		uint32_t guest_port, host_port;
	} resets[VSOCK_RESETS];
	unsigned n_resets;
	/* Streams the guest wants, for the io thread: a vCPU's may not make sockets. */
	struct vsock_want {
		uint32_t guest_port, host_port, buf_alloc, fwd_cnt;
	} wants[VSOCK_RESETS];
	unsigned n_wants;
	int want_fd;
	struct io_watch *want_watch;
	uint8_t event_pending; /* saved: the driver is to be told that all streams are gone */
};

/* ---- vsock_host.c */
int vsock_listen(struct virtio_vsock *s, struct lodge_err *err) MUST_CHECK;
void vsock_unlisten(struct virtio_vsock *s);
/* The guest wants host port `host_port`: the new stream, or NULL. */
struct stream *vsock_connect(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port);
struct stream *vsock_find(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port);
void vsock_close(struct stream *st);
void vsock_close_all(struct virtio_vsock *s);
/* Write what waits. False: the stream is gone. */
bool vsock_flush(struct stream *st);
/* The guest took the stream: say so to a host program. False: it is gone. */
bool vsock_greet(struct stream *st);
/* Poll for what is wanted now. */
void vsock_watch(struct stream *st);

/* ---- virtio_vsock.c: something may be sent to the guest. */
void vsock_pump(struct virtio_vsock *s);

#endif
