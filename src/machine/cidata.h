/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cloud-init seed (NoCloud) out of files of the host. Threads: main, at set-up. */
#ifndef LODGE_MACHINE_CIDATA_H
#define LODGE_MACHINE_CIDATA_H

#include "base/err.h"

/*
 * `path` is a folder with user-data and, if wanted, meta-data, vendor-data and network-config; or one
 * file, which is the user-data. A descriptor of a FAT volume labelled "cidata", for the caller to
 * close; or -errno and a sentence.
 */
int cidata_volume(const char *path, struct lodge_err *err) MUST_CHECK;

#endif
