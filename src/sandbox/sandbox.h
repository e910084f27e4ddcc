/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shutting the process of a virtual machine in, once all that it needs is open (docs/adr/0019-sandbox.md).
 *
 *   sandbox_new()    options, the user to become; nothing changes yet
 *   ... the machine is set up, helpers are started, file_note() notes what is opened by name ...
 *   sandbox_close()  user, no new privileges, files; threads made from now on take their filters on
 *   thread_enter(THREAD_MAIN)  main's own filter, before the first guest instruction
 *
 * Threads: main; what thread_create() calls, each thread for itself.
 */
#ifndef LODGE_SANDBOX_SANDBOX_H
#define LODGE_SANDBOX_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"
#include "sandbox/rights.h"

#define SANDBOX_PATHS 16u

struct sandbox_config {
	bool off;
	bool log_only; /* nothing is stopped; the kernel notes what would be */
	bool no_image_folders;
	bool runas;
	struct rights_user user;
	const char *paths[SANDBOX_PATHS]; /* folders or files for later, borrowed */
	unsigned n_paths;
	bool vsock; /* the machine has one */
	bool dgram; /* it has a network by datagrams */
	bool folders; /* folders are shared with it (9p); by root, with the rights over all files in them */
};

/* After set-up, before another thread is made. -errno with a sentence; then the process should end. */
int sandbox_close(const struct sandbox_config *cfg, struct lodge_err *err) MUST_CHECK;

/* What this host offers, for `lodge doctor`. */
struct sandbox_host {
	bool filters;		 /* system calls can be filtered */
	unsigned landlock;	 /* version, 0: none */
	const char *no_landlock; /* why not, and the mend */
	bool user_namespaces; /* the NAT process can have a root of its own without root's rights */
};
void sandbox_probe(struct sandbox_host *h);

#endif
