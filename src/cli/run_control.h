/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes a running machine be found and controlled: name, socket, thread. Threads: main only. */
#ifndef LODGE_CLI_RUN_CONTROL_H
#define LODGE_CLI_RUN_CONTROL_H

#include "cli/run_opts.h"
#include "control/rundir.h"
#include "control/server.h"

struct run_control {
	struct rundir_claim claim;
	struct control *control;
	struct vm *vm; /* borrowed */
};

/*
 * Take the name; refused when another machine has it. Where there is no place for control sockets, the person
 * is told and the machine goes without. run_control_free() is due after success.
 */
int run_control_claim(struct run_control *rc, const struct run_opts *o,
		      struct lodge_err *err) MUST_CHECK;
/* The machine is there and does not run yet. */
int run_control_new(struct run_control *rc, const struct run_opts *o, struct vm *vm,
		    struct lodge_err *err) MUST_CHECK;
/* It runs. */
int run_control_start(struct run_control *rc, struct lodge_err *err) MUST_CHECK;
/* It is about to stop: clients get their last words. */
void run_control_end(struct run_control *rc);
/* It has gone. */
void run_control_free(struct run_control *rc);

#endif
