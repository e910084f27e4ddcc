/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small FAT12 volume made in memory, to hand a guest a few files (a cloud-init seed).
 * Threads: no shared state.
 */
#ifndef LODGE_BLOCK_FAT_H
#define LODGE_BLOCK_FAT_H

#include <stddef.h>

#include "base/err.h"

#define FAT_FILES_MAX 8u
#define FAT_FILE_BYTES_MAX (1u << 20)

struct fat_file {
	const char *name; /* ASCII, at most 26 characters */
	const void *data;
	size_t len;
};

/* A memfd with the volume, for the caller to close; or -errno and a sentence. */
int fat_volume(const char *label, const struct fat_file *files, unsigned n,
	       struct lodge_err *err) MUST_CHECK;

#endif
