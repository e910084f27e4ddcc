/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control thread of a running machine: its control socket, and the clients of all monitors.
 *
 * One thread serves all clients and carries out their commands, one after another; what a command waits for
 * (a disk, a helper process), the other clients wait for as well, and the machine does not.
 * Threads: main makes, starts and frees it; events and clients come from any thread.
 */
#ifndef LODGE_CONTROL_SERVER_H
#define LODGE_CONTROL_SERVER_H

#include "base/err.h"
#include "control/mon.h"

#define CONTROL_CLIENTS_MAX 64u

struct control;

/* `vm` is borrowed; becomes its listener. NULL and a sentence. Before vm_start. */
struct control *control_new(struct vm *vm, struct lodge_err *err);
/* Serve QMP on a listening socket, which is taken. Before control_start. */
int control_listen(struct control *c, int fd, struct lodge_err *err) MUST_CHECK;
/* A client on a connected socket, which is taken. Any thread, with or without the VM lock. */
void control_add(struct control *c, int fd, enum mon_mode mode);
int control_start(struct control *c, struct lodge_err *err) MUST_CHECK;
/* The thread ends; clients first get what is on its way to them, half a second at most. Before vm_stop. */
void control_stop(struct control *c);
/* After vm_stop. NULL is allowed, as above. */
void control_free(struct control *c);

#endif
