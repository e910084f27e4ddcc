/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between drive.c and drive_opts.c: what an option says about a drive. Threads: before threads start. */
#ifndef LODGE_MACHINE_DRIVE_INT_H
#define LODGE_MACHINE_DRIVE_INT_H

#include "machine/board_int.h"
#include "machine/drive.h"

struct drive_spec {
	const char *what;     /* the option, for messages */
	const char *id;	      /* or NULL */
	const char *serial;   /* or NULL */
	struct blk_open open; /* path NULL: no medium */
	unsigned iface;	      /* enum drive_if */
	bool cdrom, snapshot;
	uint64_t bus, unit, index; /* UINT64_MAX: not said */
	unsigned aio;
	unsigned rerror, werror; /* enum blk_on_error */
};

/* Read a -drive. Strings belong to `p`. All of it is understood afterwards, or it is refused. */
int drive_read_drive(struct props *p, bool snapshot, struct drive_spec *out,
		     struct lodge_err *err) MUST_CHECK;
/*
 * Read the -blockdev number `n`: 1 if it describes a drive, 0 if it is a file that a later one
 * stands on.
 */
int drive_read_blockdev(const struct vm_options *all, unsigned n, struct drive_spec *out,
			struct lodge_err *err) MUST_CHECK;

/* rerror= and werror= of a -drive or -device; left alone where they are not said. */
int drive_read_errors(struct props *p, unsigned *rerror, unsigned *werror,
		      struct lodge_err *err) MUST_CHECK;

#endif
