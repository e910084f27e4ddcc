/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the debugger's session. Private to src/gdb. Threads: the monitors'. */
#ifndef LODGE_GDB_INT_H
#define LODGE_GDB_INT_H

#include "gdb/gdb.h"
#include "gdb/packet.h"
#include "gdb/regs.h"

/* Of gdb's two ways to a breakpoint, which it asked for: the answer names it. */
struct gdb_point {
	struct engine_point p;
	bool hard;
};

struct gdb {
	struct vm *vm;
	struct gdb_in in;
	struct gdb_out out;
	struct gdb_regs regs;
	bool attached, dead;
	bool no_ack, swbreak, hwbreak;
	bool physical;		     /* addresses of memory are physical */
	bool runs;		     /* the debugger waits for a stop */
	unsigned cpus, cpu, run_cpu; /* Hg's, Hc's */
	bool run_all;		     /* Hc-1, Hc0 */
	unsigned next_thread;	     /* qsThreadInfo */
	struct gdb_point points[ENGINE_POINTS_MAX];
	unsigned n_points, most_points; /* so many breakpoints the engine has taken */
	enum vm_debug_how how[VM_CPUS_MAX];
	struct {
		uint64_t start, end; /* step until outside; equal: no range */
	} range[VM_CPUS_MAX];
	void (*monitor)(void *opaque, const char *line, struct gdb *g, gdb_say say);
	void *monitor_opaque;
	char reply[GDB_PACKET_MAX + 1];
};

/* ---- Answers ------------------------------------------------------------------------------------ */

void gdb_say_text(struct gdb *g, const char *text);
void gdb_say_bytes(struct gdb *g, const char *data, size_t len);
#define gdb_say_ok(g) gdb_say_text(g, "OK")
/* E and an errno of gdb's, as QEMU's: 0x16 EINVAL, 0x0e EFAULT, 0x1c ENOSPC. */
void gdb_say_error(struct gdb *g, unsigned n);
#define GDB_EINVAL 0x16u
#define GDB_EFAULT 0x0eu
#define GDB_ENOSPC 0x1cu

/* "1" and up; "0" is any, "-1" all. False: none of them. */
bool gdb_thread(const char **p, unsigned cpus, unsigned *cpu, bool *all);

/* ---- run.c: stopping and going on --------------------------------------------------------------- */

void gdb_on_points(struct gdb *g, const char *args, bool add);
void gdb_on_vcont(struct gdb *g, const char *args);
void gdb_on_go(struct gdb *g, const char *args, bool step);
void gdb_on_why(struct gdb *g);
void gdb_interrupt(struct gdb *g);
/* "T05thread:1;": stopped with this signal. */
void gdb_say_stop(struct gdb *g, unsigned sig, const char *more);

/* ---- query.c ------------------------------------------------------------------------------------ */

void gdb_on_query(struct gdb *g, const char *args);
void gdb_on_set(struct gdb *g, const char *args);

#endif
