/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which system calls each kind of thread makes while a machine runs. Threads: any. */
#ifndef LODGE_SANDBOX_CALLS_H
#define LODGE_SANDBOX_CALLS_H

#include "base/thread.h"
#include "sandbox/filter.h"

/* What only some machines have, and wants more calls. */
#define SANDBOX_VSOCK 1u /* streams of the guest to Unix sockets, made by the io thread */
#define SANDBOX_DGRAM 2u /* a network by Unix datagrams, connected by it */

/* The filter of a kind of thread; `extras`: SANDBOX_VSOCK, SANDBOX_DGRAM. */
int sandbox_calls_build(struct sandbox_filter *f, enum thread_kind kind, unsigned extras,
			enum sandbox_else other, struct lodge_err *err) MUST_CHECK;
unsigned sandbox_calls_count(enum thread_kind kind, unsigned extras);
const char *sandbox_kind_name(enum thread_kind kind);

#endif
