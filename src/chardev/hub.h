/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel that more may listen to and type on: beside the back end it was opened with, clients of a socket
 * (`lodge console`), each of which is first shown what was said last. A client that reads nothing loses output;
 * the guest never waits for one.
 * Threads: with the VM lock held, or before threads start.
 */
#ifndef LODGE_CHARDEV_HUB_H
#define LODGE_CHARDEV_HUB_H

#include "base/err.h"
#include "chardev/chardev.h"
#include "io/loop.h"

#define HUB_RECENT_BYTES 65536u
#define HUB_CLIENTS_MAX 8u

/* Around `inner`, which is freed with it if `owned`. NULL without memory; `inner` is left alone then. */
struct chardev *chardev_hub_new(struct chardev *inner, bool owned, struct io_loop *loop);
/* Take clients from a listening Unix socket, which is taken. */
int chardev_hub_listen(struct chardev *hub, int fd, struct lodge_err *err) MUST_CHECK;
/*
 * One more client: a connected Unix stream socket, which is taken; somebody else may hold it as well, and need not
 * be trusted. -EBUSY: there are as many as may be, and it is closed.
 */
int chardev_hub_add(struct chardev *hub, int fd) MUST_CHECK;

#endif
