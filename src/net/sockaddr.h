/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of the socket back ends. Private to src/net. Threads: set-up only. */
#ifndef LODGE_NET_SOCKADDR_H
#define LODGE_NET_SOCKADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/props.h"

struct net_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage all;
	};
	socklen_t len;	/* 0: there is none */
	char text[160]; /* for messages */
	/* Of a Unix socket that was bound: what to remove at the end, if it is still ours. */
	bool bound;
	dev_t dev;
	ino_t ino;
};

/* "HOST:PORT"; HOST may be empty for any address, [in brackets], or a name. */
int net_addr_inet(struct net_addr *a, const char *what, const char *text, bool passive, int type,
		  struct lodge_err *err) MUST_CHECK;
/*
 * KEY.type=inet,KEY.host=,KEY.port= or KEY.type=unix,KEY.path= or KEY.type=fd,KEY.str= of `p`: 0, or the
 * descriptor's number + 1 in *fd. a->len is 0 where KEY.type is missing.
 */
int net_addr_props(struct net_addr *a, int *fd, struct props *p, const char *key, bool passive,
		   int type, struct lodge_err *err) MUST_CHECK;
/* A number of an open socket. */
int net_addr_fd(int *fd, const char *what, const char *text, int type,
		struct lodge_err *err) MUST_CHECK;
/* Bind; a dead Unix socket in the way is removed. -errno with a sentence. */
int net_addr_bind(struct net_addr *a, int fd, struct lodge_err *err) MUST_CHECK;
/* Remove a Unix socket's path. */
void net_addr_unbind(struct net_addr *a);

#endif
