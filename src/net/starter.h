/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting NAT processes from within the sandbox. Private to src/net and to who sets a machine up. */
#ifndef LODGE_NET_STARTER_H
#define LODGE_NET_STARTER_H

#include "base/err.h"

struct net_user_child;

/* Before threads and the sandbox: a descriptor for net_host.starter, or -errno with a sentence. */
int net_starter_new(struct lodge_err *err) MUST_CHECK;
/* A helper as net_user_spawn() makes it; waits for it, some ms. */
int net_starter_ask(int fd, struct net_user_child *out, struct lodge_err *err) MUST_CHECK;

#endif
