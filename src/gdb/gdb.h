/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A debugger's session with a machine, in GDB's remote serial protocol (-gdb).
 * Source: Debugging with GDB, appendix E "GDB Remote Serial Protocol" and G "Target Descriptions".
 *
 * A session takes bytes and makes bytes; it knows no descriptor. The machine stops when the first packet is
 * there, not before. Memory is bounded: input is looked at only while there is room for what it makes.
 * Threads: the monitors' (machine/debug.h).
 */
#ifndef LODGE_GDB_GDB_H
#define LODGE_GDB_GDB_H

#include "machine/ctl.h"

struct gdb;

/* NULL without memory. */
struct gdb *gdb_new(struct vm *vm);
/* The debugger is gone: its points go, and the machine goes on, if the debugger had stopped it. NULL is allowed. */
void gdb_free(struct gdb *g);

/* Who carries out `monitor LINE`: says what there is to say by `say`, any number of times. */
typedef void (*gdb_say)(struct gdb *g, const char *text, size_t len);
void gdb_set_monitor(struct gdb *g,
		     void (*fn)(void *opaque, const char *line, struct gdb *g, gdb_say say),
		     void *opaque);

/* How many bytes it looks at now; 0: read its output first. */
size_t gdb_room(const struct gdb *g);
/* At most gdb_room() bytes. */
void gdb_feed(struct gdb *g, const char *bytes, size_t len);
/* What is to be sent: there until gdb_sent() takes it from the front. */
const char *gdb_output(const struct gdb *g, size_t *len);
void gdb_sent(struct gdb *g, size_t len);
/* Too much output waits, there is no memory, or the debugger has said good-bye: hang up. */
bool gdb_dead(const struct gdb *g);

/* The machine may have stopped: look, and tell the debugger. After any event. */
void gdb_look(struct gdb *g);
/* It ends: the session asks it nothing any more. */
void gdb_ended(struct gdb *g);

#endif
