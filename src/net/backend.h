/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside src/net: what a back end is. Threads: with the VM lock held, opening before threads start. */
#ifndef LODGE_NET_BACKEND_H
#define LODGE_NET_BACKEND_H

#include "base/props.h"
#include "net/net.h"

/* Frames moved in one turn of the event loop; the VM lock is held meanwhile. */
#define NET_BATCH 32u
#define NET_ID_BYTES 64u

struct net_backend;

struct net_backend_ops {
	const char *type;
	void (*close)(struct net_backend *nb);	/* frees it */
	bool (*retire)(struct net_backend *nb); /* net_backend_retire(); NULL: at once */
	/* End n > 0 of one with several queues. NULL: it has one. */
	struct net_end *(*queue)(struct net_backend *nb, unsigned n);
	/*
	 * NULL: this type has no host forwards. The first asks, and returns a descriptor of the caller's that is
	 * readable when the answer is there; the second takes it.
	 */
	int (*hostfwd_ask)(struct net_backend *nb, bool add, const char *rule,
			   struct lodge_err *err);
	int (*hostfwd_answer)(struct net_backend *nb, int fd, bool add, const char *rule,
			      struct lodge_err *err);
	/* The rules there are: "tcp:127.0.0.1:2222-10.0.2.15:22", one a line. */
	void (*hostfwds)(struct net_backend *nb, char *out, size_t size);
};

struct net_backend {
	const struct net_backend_ops *ops;
	struct net_host host;
	char id[NET_ID_BYTES];
	unsigned queues; /* 0: one */
	struct net_end end;
};

/* The types: each reads its settings from `p`; the rest is refused by net_backend_open. */
struct net_backend *net_user_open(struct props *p, const struct net_host *host,
				  struct lodge_err *err);
struct net_backend *net_tap_open(struct props *p, const struct net_host *host,
				 struct lodge_err *err);
struct net_backend *net_socket_open(struct props *p, const struct net_host *host,
				    struct lodge_err *err);
struct net_backend *net_stream_open(struct props *p, const struct net_host *host,
				    struct lodge_err *err);
struct net_backend *net_dgram_open(struct props *p, const struct net_host *host,
				   struct lodge_err *err);
struct net_backend *net_socket_dgram_open(struct props *p, const struct net_host *host,
					  struct lodge_err *err);
struct net_backend *net_passt_open(struct props *p, const struct net_host *host,
				   struct lodge_err *err);

/*
 * Two sockets for a process beside the machine, as socketpair() makes them, with room for frames: a sender that finds
 * none throws them away (passt), or waits. 0 or -errno.
 */
int net_pair(int type, int pair[2]);

/* One sentence for the person at the terminal, once something has happened to a back end. */
void net_backend_say(const struct net_backend *nb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
