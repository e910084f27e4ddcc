/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file a loader reads from: an open descriptor, or bytes in memory (tests, fuzzing, pipes).
 * Contents are outside input; every read is checked against the size.
 * Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_FWFILE_H
#define LODGE_FIRMWARE_FWFILE_H

#include <stdint.h>

#include "base/err.h"
#include "mem/mem.h"

struct fw_file {
	const char *name; /* as the person spelled it; borrowed */
	uint64_t size;
	const uint8_t *data; /* the bytes, or NULL: read from fd */
	int fd;		     /* -1 when there is none */
	void *owned;	     /* bytes to free */
};

/* A file over `len` bytes at `data`, both borrowed. */
struct fw_file fw_file_from_bytes(const char *name, const void *data, uint64_t len);
/*
 * Open `path` for reading. `what` names its role in the sentence ("kernel", "initrd"). Something
 * other than a regular file (a pipe) is read into memory, at most `max_stream` bytes.
 */
int fw_file_open(struct fw_file *f, const char *path, const char *what, uint64_t max_stream,
		 struct lodge_err *err) MUST_CHECK;
void fw_file_close(struct fw_file *f);

/* Copy [off, off + len) to `buf`: 0, -ERANGE when that leaves the file, or another -errno. */
int fw_file_read(const struct fw_file *f, uint64_t off, void *buf, uint64_t len) MUST_CHECK;
/* Copy [off, off + len) into guest memory at `gpa`; -EFAULT when that is no RAM. */
int fw_file_load(const struct fw_file *f, uint64_t off, struct mem *mem, gpa_t gpa,
		 uint64_t len) MUST_CHECK;
/* Zero guest memory, giving whole pages back to the host. -EFAULT when that is no RAM. */
int fw_mem_zero(struct mem *mem, gpa_t gpa, uint64_t len) MUST_CHECK;

#endif
