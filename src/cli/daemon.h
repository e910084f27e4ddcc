/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process as others see it: background, pidfile. Threads: main only, before others start. */
#ifndef LODGE_CLI_DAEMON_H
#define LODGE_CLI_DAEMON_H

#include "base/err.h"

/*
 * Go to the background. Returns in the child, with a descriptor for daemon_ready; the parent waits
 * and exits, with 0 after daemon_ready and with 1 if the child ends before. -errno on failure.
 */
int daemon_start(struct lodge_err *err) MUST_CHECK;
/* Set-up is done: let the parent go, and the standard descriptors. */
void daemon_ready(int fd);

/*
 * Create `path` with this process's id and lock it; refuse when another live process holds it. The
 * descriptor, or -errno.
 */
int pidfile_create(const char *path, struct lodge_err *err) MUST_CHECK;
/* Remove it again (fd from pidfile_create; a negative one does nothing). */
void pidfile_remove(const char *path, int fd);

#endif
