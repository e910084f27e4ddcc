/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every confined process of a machine does before it looks at anything: leaves what it was born with, and limits. */
#ifndef LODGE_SANDBOX_CHILD_H
#define LODGE_SANDBOX_CHILD_H

#include <stdint.h>

/*
 * Standard input and outputs to /dev/null, descriptors from `first_free` on closed, a session of its own, signals as
 * new (SIGPIPE ignored), `name` for ps; it ends with the thread that made it.
 */
void child_leave_everything(unsigned first_free, const char *name);

/* No core dump, no file that grows, so many descriptors, so much memory. Not above what there was. */
void child_limit(unsigned files, uint64_t memory_bytes);
/* And no more processes or threads. */
void child_limit_alone(void);

#endif
