/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other end of a control socket: for `lodge stop` and its like.
 * Source: QEMU's QMP specification. Threads: the caller's; calls wait for the machine.
 */
#ifndef LODGE_CONTROL_CLIENT_H
#define LODGE_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define CLIENT_CALL_MS 60000

struct client;

/*
 * What `rundir_list` says of the machine that `who` names: its name, or the process. NULL and a sentence that
 * lists those there are. The caller's.
 */
json_t *client_find(const char *who, struct lodge_err *err);
/* Connect to the machine of that info and greet it, within `ms`. NULL and a sentence. */
struct client *client_open(const json_t *info, int ms, struct lodge_err *err);
void client_close(struct client *c); /* NULL is allowed */
/*
 * Carry out a command; `args` (NULL: none) is taken. Its result, the caller's; NULL and a sentence. Events that
 * come meanwhile wait for client_event().
 */
json_t *client_call(struct client *c, const char *command, json_t *args, int ms,
		    struct lodge_err *err);
/* What a human command says; the caller's to free. NULL and a sentence. */
char *client_human(struct client *c, const char *line, struct lodge_err *err);
/* The next event, waiting `ms` at most: NULL when there is none. *ended: the machine has hung up. */
json_t *client_event(struct client *c, int ms, bool *ended);

#endif
