/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of sockets: of the socket back end, and of virtio-vsock. Threads: set-up only. */
#ifndef LODGE_CHARDEV_SOCKET_H
#define LODGE_CHARDEV_SOCKET_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

struct socket_spec {
	bool tcp, server, wait, nodelay;
	char host[256], port[32];				/* tcp */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* unix */
	char text[300]; /* for messages: "unix:/run/x", "tcp:localhost:4444" */
	/* Filled by socket_listen: what to remove at the end, if it is still ours. */
	bool bound;
	dev_t dev;
	ino_t ino;
};

/* Parse what stands behind "unix:" or "tcp:". */
int socket_parse(struct socket_spec *spec, bool tcp, const char *arg,
		 struct lodge_err *err) MUST_CHECK;
/* A listening or a connected descriptor, non-blocking; or -errno with a sentence. */
int socket_listen(struct socket_spec *spec, struct lodge_err *err) MUST_CHECK;
int socket_connect(const struct socket_spec *spec, struct lodge_err *err) MUST_CHECK;
/* Remove the path of a listening Unix socket. */
void socket_remove(const struct socket_spec *spec);

#endif
