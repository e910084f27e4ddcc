// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Breakpoints, watchpoints, going on, and telling why it stopped.
 * Source: Debugging with GDB, E.2 "Packets" (vCont, Z), E.3 "Stop Reply Packets". Threads: the monitors'.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gdb/gdb_int.h"

/* Signals by gdb's numbers. */
#define SIG_INT 2u
#define SIG_TRAP 5u
#define SIG_QUIT 3u

#define WATCH_MAX (1u << 20) /* bytes of one watchpoint */

/* ---- Points ------------------------------------------------------------------------------------- */

static int find(const struct gdb *g, const struct gdb_point *want)
{
	for (unsigned i = 0; i < g->n_points; i++) {
		const struct gdb_point *p = &g->points[i];

		if (p->p.kind == want->p.kind && p->p.lin == want->p.lin &&
		    p->p.len == want->p.len && p->hard == want->hard)
			return (int)i;
	}
	return -1;
}

/* The engine has those that the debugger wants now. */
static int apply(struct gdb *g, struct lodge_err *err)
{
	struct engine_point points[ENGINE_POINTS_MAX];

	for (unsigned i = 0; i < g->n_points; i++)
		points[i] = g->points[i].p;
	return vm_debug_points(g->vm, points, g->n_points, err);
}

/*
 * Applied when it goes on, since gdb takes all away at each stop; at once, to know what the engine says to it, where
 * it may refuse.
 */
static void add_point(struct gdb *g, const struct gdb_point *p)
{
	struct lodge_err err;

	if (find(g, p) >= 0) {
		gdb_say_ok(g);
		return;
	}
	if (g->n_points == ENGINE_POINTS_MAX) {
		gdb_say_error(g, GDB_ENOSPC);
		return;
	}
	g->points[g->n_points++] = *p;
	if (p->p.kind == ENGINE_POINT_BREAK && g->n_points <= g->most_points) {
		gdb_say_ok(g);
	} else if (apply(g, &err)) {
		g->n_points--;
		gdb_say_error(g, GDB_ENOSPC);
	} else {
		if (g->most_points < g->n_points)
			g->most_points = g->n_points;
		gdb_say_ok(g);
	}
}

static void remove_point(struct gdb *g, const struct gdb_point *p)
{
	int i = find(g, p);

	if (i >= 0)
		g->points[i] = g->points[--g->n_points];
	gdb_say_ok(g);
}

/* "type,addr,kind": kind is the length of a watchpoint. */
void gdb_on_points(struct gdb *g, const char *args, bool add)
{
	static const enum engine_point_kind kinds[] = {ENGINE_POINT_BREAK, ENGINE_POINT_BREAK,
						       ENGINE_POINT_WRITE, ENGINE_POINT_READ,
						       ENGINE_POINT_ACCESS};
	unsigned type = (unsigned)(*args - '0');
	struct gdb_point p = {.hard = type == 1};
	uint64_t len;

	if (type > 4) { /* others gdb does without */
		gdb_say_text(g, "");
		return;
	}
	args++;
	if (*args++ != ',' || !gdb_hex(&args, &p.p.lin) || *args++ != ',' ||
	    !gdb_hex(&args, &len) || (type > 1 && (!len || len > WATCH_MAX))) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	p.p.kind = kinds[type];
	p.p.len = type > 1 ? len : 0;
	if (add)
		add_point(g, &p);
	else
		remove_point(g, &p);
}

/* ---- Why it stopped ----------------------------------------------------------------------------- */

void gdb_say_stop(struct gdb *g, unsigned sig, const char *more)
{
	char text[128];

	snprintf(text, sizeof(text), "T%02xthread:%x;%s", sig, g->cpu + 1, more);
	gdb_say_text(g, text);
}

static void say_hit(struct gdb *g, const struct vm_debug_hit *hit)
{
	static const char *const watch[] = {[ENGINE_POINT_WRITE] = "watch",
					    [ENGINE_POINT_READ] = "rwatch",
					    [ENGINE_POINT_ACCESS] = "awatch"};
	struct gdb_point soft = {.p = {.kind = ENGINE_POINT_BREAK, .lin = hit->stop.lin}};
	char more[64] = "";

	bool known = vm_debug_state(g->vm, hit->cpu)->rip == hit->stop.lin;

	g->cpu = hit->cpu;
	if (hit->stop.kind == ENGINE_STOP_WATCH)
		snprintf(more, sizeof(more), "%s:%" PRIx64 ";", watch[hit->stop.point],
			 hit->stop.lin);
	/* Of one where the instruction pointer is not (CS has a base) gdb would think that it is gone. */
	else if (hit->stop.kind == ENGINE_STOP_BREAK && known && find(g, &soft) >= 0)
		strcpy(more, g->swbreak ? "swbreak:;" : "");
	else if (hit->stop.kind == ENGINE_STOP_BREAK && known)
		strcpy(more, g->hwbreak ? "hwbreak:;" : "");
	gdb_say_stop(g, SIG_TRAP, more);
}

void gdb_on_why(struct gdb *g)
{
	gdb_say_stop(g, SIG_TRAP, "");
}

static void stopped(struct gdb *g, unsigned sig)
{
	struct lodge_err err;

	g->runs = false;
	if (vm_debug_stop(g->vm, &err))
		g->dead = true;
	else
		gdb_say_stop(g, sig, "");
}

void gdb_interrupt(struct gdb *g)
{
	if (g->runs)
		stopped(g, SIG_INT);
}

/* ---- Going on ----------------------------------------------------------------------------------- */

/* As g->how says. */
static void go(struct gdb *g)
{
	struct vm_debug_hit hit;
	struct lodge_err err;
	char text[600];
	int r = apply(g, &err);

	if (!r) {
		g->runs = true;
		r = vm_debug_go(g->vm, g->how, &err);
	}
	if (r == -EALREADY && vm_debug_take_hit(g->vm, &hit)) {
		g->runs = false;
		say_hit(g, &hit);
	} else if (r) {
		g->runs = false;
		snprintf(text, sizeof(text), "E.%s", err.msg);
		gdb_say_text(g, text);
	}
}

/* A step inside its range goes on. */
static bool in_range(struct gdb *g, const struct vm_debug_hit *hit)
{
	uint64_t ip = vm_debug_state(g->vm, hit->cpu)->rip;

	return hit->stop.kind == ENGINE_STOP_STEP && g->how[hit->cpu] == VM_DEBUG_STEP &&
	       ip >= g->range[hit->cpu].start && ip < g->range[hit->cpu].end;
}

void gdb_look(struct gdb *g)
{
	struct vm_debug_hit hit;
	struct lodge_err err;
	enum vm_state state;

	if (!g->runs)
		return;
	if (vm_debug_stopped(g->vm)) {
		if (vm_debug_stop(g->vm, &err)) {
			g->dead = true;
		} else if (!vm_debug_take_hit(g->vm, &hit)) {
			stopped(g, SIG_INT);
		} else if (in_range(g, &hit)) {
			go(g);
		} else {
			g->runs = false;
			say_hit(g, &hit);
		}
		return;
	}
	state = vm_ctl_state(g->vm);
	if (state == VM_PAUSED || state == VM_IO_ERROR)
		stopped(g, SIG_INT);
	else if (state == VM_SHUT_DOWN)
		stopped(g, SIG_QUIT);
}

/* One action of vCont: "c", "C05", "s", "S05", "r1000,1010". */
static bool action(const char **p, enum vm_debug_how *how, uint64_t range[2])
{
	char what = *(*p)++;
	uint64_t sig;

	range[0] = range[1] = 0;
	*how = what == 'c' || what == 'C' ? VM_DEBUG_GO : VM_DEBUG_STEP;
	switch (what) {
	case 'c':
	case 's':
		return true;
	case 'C':
	case 'S':
		return gdb_hex(p, &sig);
	case 'r':
		return gdb_hex(p, &range[0]) && *(*p)++ == ',' && gdb_hex(p, &range[1]);
	default:
		return false;
	}
}

/* "action[:thread][;action[:thread]]...": of several that fit a thread, the first counts. */
void gdb_on_vcont(struct gdb *g, const char *args)
{
	bool done[VM_CPUS_MAX] = {false};

	for (unsigned i = 0; i < g->cpus; i++)
		g->how[i] = VM_DEBUG_HOLD;
	for (;;) {
		enum vm_debug_how how;
		uint64_t range[2];
		unsigned cpu = 0;
		bool all = true;

		if (!*args || !action(&args, &how, range))
			break;
		if (*args == ':' && (args++, !gdb_thread(&args, g->cpus, &cpu, &all)))
			break;
		for (unsigned i = 0; i < g->cpus; i++) {
			if (done[i] || (!all && i != cpu))
				continue;
			done[i] = true;
			g->how[i] = how;
			g->range[i].start = range[0];
			g->range[i].end = range[1];
		}
		if (!*args) {
			go(g);
			return;
		}
		if (*args++ != ';')
			break;
	}
	gdb_say_error(g, GDB_EINVAL);
}

/* Of old: "c[addr]", "s[addr]", of the thread that Hc named. */
void gdb_on_go(struct gdb *g, const char *args, bool step)
{
	unsigned cpu = g->run_all ? g->cpu : g->run_cpu;
	struct x86_state *s = vm_debug_state(g->vm, cpu);
	bool elsewhere = *args;
	uint64_t at = 0;

	if (elsewhere && !gdb_hex(&args, &at)) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	if (elsewhere) {
		s->rip = s->efer & EFER_LMA ? at : (uint32_t)at;
		vm_debug_changed(g->vm, cpu);
	}
	for (unsigned i = 0; i < g->cpus; i++) {
		g->how[i] = step ? VM_DEBUG_HOLD : VM_DEBUG_GO;
		g->range[i].start = g->range[i].end = 0;
	}
	if (step)
		g->how[cpu] = VM_DEBUG_STEP;
	go(g);
}
