/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks of image files against other processes, QEMU's included. Private to src/block. Threads: any. */
#ifndef LODGE_BLOCK_FILE_LOCK_H
#define LODGE_BLOCK_FILE_LOCK_H

#include <stdbool.h>

#include "base/err.h"

/* Until `fd` is closed. -EBUSY with a sentence when someone has the file in a way that excludes this. */
int blk_file_lock(int fd, const char *path, bool write, struct lodge_err *err) MUST_CHECK;

#endif
