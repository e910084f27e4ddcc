/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character devices with names: `-chardev BACKEND,id=ID,...`, for -device and -serial. Private to src/machine.
 * Threads: before threads start.
 */
#ifndef LODGE_MACHINE_CHARDEVS_H
#define LODGE_MACHINE_CHARDEVS_H

#include "base/list.h"
#include "base/props.h"
#include "chardev/backend.h"

struct vm;

struct named_chardev {
	struct list link;
	char *id;
	struct chardev *chr;
	bool waits;    /* nobody is at the other end at first */
	bool terminal; /* keys are not shown by themselves: stdio, pty */
	bool used;
};

/* Open all of them, in order. Once. */
int chardevs_open(struct vm *vm, const struct chardev_host *host, struct lodge_err *err) MUST_CHECK;
void chardevs_close(struct vm *vm);
/* The one that `id` names, whoever uses it, or NULL. */
struct named_chardev *chardevs_find(struct vm *vm, const char *id);
/* The one that `id` names, now used; NULL and a sentence if there is none, or somebody has it. */
struct named_chardev *chardevs_take(struct vm *vm, const char *id, struct lodge_err *err);

#endif
