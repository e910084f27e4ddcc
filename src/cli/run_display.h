/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine's screen for people: what shows it. Threads: main only. */
#ifndef LODGE_CLI_RUN_DISPLAY_H
#define LODGE_CLI_RUN_DISPLAY_H

#include "cli/run_opts.h"
#include "vnc/vnc.h"

struct run_display {
	struct vnc *vnc;		   /* or NULL */
	struct vm *vm;			   /* borrowed */
	const struct input_layout *layout; /* likewise; or NULL */
};

/* Before the sandbox is closed. run_display_end() is due in any case. */
int run_display_open(struct run_display *d, const struct run_opts *o, struct vm *vm,
		     struct lodge_err *err) MUST_CHECK;
/* The machine is there and does not run yet. */
int run_display_start(struct run_display *d, struct lodge_err *err) MUST_CHECK;
/* It is about to stop. */
void run_display_end(struct run_display *d);

#endif
