/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where running machines are found: a folder of the user's own, with three files each, named by the machine's
 * name (or process):
 *
 *   KEY.info     who it is, as JSON; locked for as long as the machine lives
 *   KEY.qmp      its control socket
 *   KEY.console  the socket of its serial console
 *
 * The folder is $XDG_RUNTIME_DIR/lodge, or /run/user/UID/lodge, /run/lodge for root, or /tmp/lodge-UID.
 * It is the user's, with no rights for others, or it is not used. Files of machines that were killed go when
 * somebody looks.
 * Threads: no shared state.
 */
#ifndef LODGE_CONTROL_RUNDIR_H
#define LODGE_CONTROL_RUNDIR_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

#define RUNDIR_KEY 80u

/* The folder, made if `make`; a descriptor or -errno with a sentence. -ENOENT without one: not there. */
int rundir_open(bool make, struct lodge_err *err) MUST_CHECK;
/* The file name that stands for a machine: of its name, or (name NULL) of its process. */
void rundir_key(char key[RUNDIR_KEY], const char *name, pid_t pid);

struct rundir_claim {
	int dir, info; /* -1: none */
	char key[RUNDIR_KEY];
};

/*
 * Become the machine of that name. -EEXIST with a sentence when one of that name runs. Nothing is left behind
 * on an error, and `claim` needs no rundir_leave().
 */
int rundir_claim(struct rundir_claim *claim, const char *name, struct lodge_err *err) MUST_CHECK;
/* Write who it is. */
int rundir_tell(const struct rundir_claim *claim, const json_t *info,
		struct lodge_err *err) MUST_CHECK;
/* A listening socket KEY.`suffix`, of mode 0600; a descriptor or -errno with a sentence. */
int rundir_listen(const struct rundir_claim *claim, const char *suffix,
		  struct lodge_err *err) MUST_CHECK;
/* The sockets go; whoever wants to connect is refused. */
void rundir_unlisten(const struct rundir_claim *claim);
/*
 * This process is about to lose its right to remove them: another one, of no other right, does when it has ended.
 * Before threads.
 */
int rundir_leave_behind(const struct rundir_claim *claim, struct lodge_err *err) MUST_CHECK;
/* All files go. */
void rundir_leave(struct rundir_claim *claim);

/* What there is: an array of the info objects of machines that live, each with "key"; NULL and a sentence. */
json_t *rundir_list(struct lodge_err *err);
/* Connect to KEY.`suffix`: a blocking descriptor, or -errno with a sentence. */
int rundir_connect(const char *key, const char *suffix, struct lodge_err *err) MUST_CHECK;

#endif
