/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitors on character devices (-monitor, -qmp, -mon, Ctrl-A c): each connection becomes a socket pair, one end
 * served here, the other handed to whoever speaks the monitor's language, on a thread of its own.
 * Threads: with the VM lock held, or before threads start.
 */
#ifndef LODGE_MACHINE_MONITOR_PIPE_H
#define LODGE_MACHINE_MONITOR_PIPE_H

#include "machine/vm_int.h"

/* -monitor and its like, and the monitors behind Ctrl-A c. After the character devices. */
int monitors_open(struct vm *vm, const struct chardev_host *host, struct lodge_err *err) MUST_CHECK;
void monitors_close(struct vm *vm);

#endif
