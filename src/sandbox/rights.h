/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and capabilities of the process.
 * Source: capabilities(7), setresuid(2), credentials(7). Threads: main; rights_drop() each for itself.
 */
#ifndef LODGE_SANDBOX_RIGHTS_H
#define LODGE_SANDBOX_RIGHTS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct rights_user {
	char name[64]; /* or empty: only its numbers are known */
	uid_t uid;
	gid_t gid;
};

/* "USER" or "UID:GID", as QEMU's -runas. -errno with a sentence. */
int rights_find_user(const char *text, struct rights_user *u, struct lodge_err *err) MUST_CHECK;
/* The whole process becomes that user, for good. -errno with a sentence. */
int rights_become(const struct rights_user *u, struct lodge_err *err) MUST_CHECK;
/* Nothing that is executed from now on gets more rights; for the calling thread and what it starts. */
int rights_no_new(void) MUST_CHECK;
/* The bounding set is emptied: nobody whom the calling thread starts can have capabilities that it has not. */
void rights_bound(void);
/* The calling thread's capabilities go for good, but those in `keep` (1 << CAP_...). */
int rights_drop(uint64_t keep) MUST_CHECK;

#endif
