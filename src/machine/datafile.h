/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files a machine is built from that come with packages: firmware and option ROMs. A name without a
 * slash is looked for where -L says, then where Debian puts such files.
 * Threads: before threads start.
 */
#ifndef LODGE_MACHINE_DATAFILE_H
#define LODGE_MACHINE_DATAFILE_H

#include "machine/vm.h"

/*
 * The path of `name`: itself if there is such a file, else the first folder's that has it. Free it.
 * NULL when there is none, and a sentence (err may be NULL) that says what `what` it is and where it
 * was looked for.
 */
char *data_file_find(const struct vm_config *cfg, const char *name, const char *what,
		     struct lodge_err *err);

#endif
