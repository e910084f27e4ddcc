/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which files the process can name: rule sets of the kernel's Landlock.
 * Source: landlock(7), Documentation/userspace-api/landlock.rst. Threads: main sets up; any takes one on.
 */
#ifndef LODGE_SANDBOX_LANDLOCK_H
#define LODGE_SANDBOX_LANDLOCK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/files.h"

/* The kernel's version of the interface; 0: none, with why in *error (a positive errno). */
int landlock_version(int *error);

/*
 * A rule set: nothing is allowed but what rules add. Of the network, TCP to nobody (version 4), and no abstract
 * Unix sockets of others (version 6). A descriptor or -errno.
 */
int landlock_new(int version) MUST_CHECK;
/* Allow `path` as `use` says. -errno; a pipe, say, cannot be named again (-EBADFD). */
int landlock_allow(int rules, int version, const char *path, enum file_use use) MUST_CHECK;
/* The calling thread, and what it starts, keeps to it for good. No new privileges must be set. */
int landlock_take(int rules) MUST_CHECK;

/*
 * A folder in which a person keeps more than images: a home, what holds homes, the system's, a hidden one of a
 * home. Images of a machine do not open it.
 */
bool landlock_too_wide(const char *folder, const char *home);

#endif
