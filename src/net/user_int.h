/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode NAT, in two processes: the VM's (user.c) and a helper that runs libslirp (helper.c), which is
 * the same program started again, shut in by confine.c. Private to src/net.
 *
 * They share two SOCK_SEQPACKET pairs. Frames: struct net_user_head, then the frame. Control: one
 * struct net_user_config first, then struct net_user_fwd one at a time; each is answered by a struct
 * net_user_answer. The VM's side trusts nothing that comes back.
 */
#ifndef LODGE_NET_USER_INT_H
#define LODGE_NET_USER_INT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/props.h"
#include "net/net.h"

/* Descriptors of the helper. */
#define NET_HELPER_DATA 3
#define NET_HELPER_CTL 4
/* argv[1] of the helper. */
#define NET_HELPER_ROLE "__net"

#define NET_USER_SEARCH_MAX 16u

/* Six fields of struct net_offload, in the host's byte order: both sides are one program. */
struct net_user_head {
	struct net_offload off;
	uint16_t zero;
};

struct net_user_config {
	bool restricted, v4, v6;
	bool tftp; /* there is a folder */
	struct in_addr net, mask, host, dhcp_start, dns;
	struct in6_addr prefix6, host6, dns6;
	uint8_t prefix6_len;
	char hostname[256], domainname[256], tftp_server_name[256], bootfile[256];
	char search[1024]; /* domains, each ended by NUL */
	unsigned searches;
	char tftp_path[1024];
};

struct net_user_fwd {
	bool add, udp;
	struct in_addr host_addr, guest_addr;
	uint16_t host_port, guest_port;
};

struct net_user_answer {
	int32_t error; /* 0 or a positive errno */
	char msg[256]; /* a sentence for set-up; may be empty */
};

/* ---- user.c ----------------------------------------------------------------------------------- */

/* A helper that was started, and waits for its configuration. */
struct net_user_child {
	pid_t pid; /* 0: it is no child of ours */
	int pidfd, data, ctl;
};

/* Socket pairs and the process, which runs as NET_HELPER_ROLE. -errno. */
int net_user_spawn(struct net_user_child *out) MUST_CHECK;

/* ---- user_opts.c ------------------------------------------------------------------------------ */

int net_user_parse(struct net_user_config *c, struct props *p, struct lodge_err *err) MUST_CHECK;
/* A host forward: `rule` as QEMU spells it; without what follows '-' when it is to be removed. */
int net_user_parse_fwd(struct net_user_fwd *f, bool add, const char *rule,
		       struct lodge_err *err) MUST_CHECK;

/* ---- confine.c -------------------------------------------------------------------------------- */

/*
 * In the helper: a file system of its own with nothing but etc/resolv.conf (a copy) and, if `tftp` is
 * not NULL, that folder read-only as /tftp; no rights but to bind low ports if it had that; bounded
 * memory, descriptors and processes. -errno with a sentence when the host offers no way to do it.
 */
int net_confine_files(const char *tftp, struct lodge_err *err) MUST_CHECK;
/* Afterwards: any system call that a NAT does not need ends the process. */
int net_confine_calls(bool files, struct lodge_err *err) MUST_CHECK;
/* How many system calls the filter lets through. */
unsigned net_confine_count(void);

#endif
