/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands about running machines share. Threads: main only. */
#ifndef LODGE_CLI_CTL_H
#define LODGE_CLI_CTL_H

#include <stdint.h>

#include "control/client.h"

/* A machine found and connected to. */
struct ctl {
	json_t *info;
	struct client *client;
	const char *who; /* as the person named it */
};

/* 0, or 1 having told the person why not. ctl_close() is due after success. */
int ctl_open(struct ctl *ctl, const char *who);
void ctl_close(struct ctl *ctl);
/* Carry out a command without a result: 0, or 1 having told. */
int ctl_do(struct ctl *ctl, const char *command);
/* Does the guest run? False as well if the machine does not say. */
bool ctl_is_running(struct ctl *ctl);
/* Wait until the machine's process has ended, `ms` at most. */
bool ctl_wait_gone(const struct ctl *ctl, int ms);

/* A line on standard error, drawn over itself: `who`: `what` [####  ] seconds. And away with it. */
void ctl_bar(const char *who, const char *what, uint64_t done, uint64_t all, uint64_t gone_ns);
void ctl_bar_wipe(void);

/*
 * Between this terminal and a descriptor until either ends: raw with `escape` (a key that ends it; 0: none and
 * the terminal as it is). Returns the exit code.
 */
int ctl_copy(int fd, char escape);

#endif
