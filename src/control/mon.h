/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One monitor: a client's session with a machine, in JSON (QMP), in words (HMP), or a debugger's (gdb/gdb.h).
 * Source: QEMU's QMP specification and reference, and its human monitor, for names and shapes.
 *
 * A session takes bytes and makes bytes; it knows no descriptor. Memory is bounded: input is looked at only
 * while there is room for what it makes, and a client that lets events pile up is given up (mon_dead).
 * Threads: the control thread's.
 */
#ifndef LODGE_CONTROL_MON_H
#define LODGE_CONTROL_MON_H

#include <jansson.h>

#include "control/buf.h"
#include "machine/ctl.h"

enum mon_mode { MON_QMP, MON_QMP_PRETTY, MON_HMP, MON_HMP_ECHO, MON_GDB };

struct mon;

/* NULL without memory. A greeting waits in its output. */
struct mon *mon_new(struct vm *vm, enum mon_mode mode);
/* `fn` is called when a command has been carried out, before its reply: for the events it brought about. */
void mon_set_before_reply(struct mon *m, void (*fn)(void *opaque), void *opaque);
void mon_free(struct mon *m); /* NULL is allowed */

/* How many bytes it looks at now; 0: read its output first. */
size_t mon_room(const struct mon *m);
/* At most mon_room() bytes: whole commands among them are carried out. */
void mon_feed(struct mon *m, const char *bytes, size_t len);
/* What is to be sent: the bytes are there until mon_sent() takes them from the front. */
const char *mon_output(const struct mon *m, size_t *len);
void mon_sent(struct mon *m, size_t len);
/* An event for the client, if it wants any of that kind: borrowed. */
void mon_event(struct mon *m, enum vm_event_kind kind, json_t *event);
/* For a debugger's session: look whether the machine has stopped; `ended`: it ends. */
void mon_look(struct mon *m, bool ended);
/* Too much output waits, or there is no memory: hang up. */
bool mon_dead(const struct mon *m);

/* ---- Events (events.c) -------------------------------------------------------------------------- */

/* As QMP says it, with the time it happened (CLOCK_REALTIME). NULL without memory. */
json_t *mon_event_json(const struct vm_event *ev, uint64_t real_ns);

#endif
