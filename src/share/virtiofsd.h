/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debian's virtiofsd, started for a folder and connected to: what -share does. It is a process of its own, which
 * shuts itself into the folder and ends with its connection.
 * Source: virtiofsd(1). Threads: set-up and the end.
 */
#ifndef LODGE_SHARE_VIRTIOFSD_H
#define LODGE_SHARE_VIRTIOFSD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct virtiofsd;

struct virtiofsd_config {
	const char *folder;
	bool read_only;
	const char *cache;   /* auto, always, none; NULL: auto */
	const char *sandbox; /* namespace, chroot; NULL: namespace */
	const char *program; /* NULL: where Debian has it */
};

/* *fd is a non-blocking vhost-user connection, the caller's. NULL with a sentence. */
struct virtiofsd *virtiofsd_start(const struct virtiofsd_config *cfg, int *fd,
				  struct lodge_err *err);
/*
 * The last line that it printed, without its end; empty if there is none. For when it did not come up: what it
 * prints later is nobody's.
 */
void virtiofsd_last_words(struct virtiofsd *d, char *buf, size_t size);
/* Its connection is closed: wait until it has ended, 2 s, then make it. NULL is allowed. */
void virtiofsd_stop(struct virtiofsd *d);

#endif
