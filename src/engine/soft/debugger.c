// SPDX-License-Identifier: GPL-2.0-or-later
/* A debugger's breakpoints, watchpoints and single steps. See debugger.h. */
#include "engine/soft/debugger.h"

#include <errno.h>

#include "engine/soft/block.h"
#include "engine/soft/interp.h"

static struct soft_cpu *cpu_of(const struct vcpu *v)
{
	return (struct soft_cpu *)(uintptr_t)v;
}

/* ---- Points --------------------------------------------------------------------------------- */

static bool is_break(const struct engine_point *p)
{
	return p->kind == ENGINE_POINT_BREAK;
}

bool soft_debugger_at(const struct soft_engine *e, gva_t lin)
{
	for (unsigned i = 0; i < e->n_points; i++) {
		if (is_break(&e->points[i]) && e->points[i].lin == lin)
			return true;
	}
	return false;
}

bool soft_debugger_in(const struct soft_engine *e, gva_t lin)
{
	for (unsigned i = 0; i < e->n_points; i++) {
		if (is_break(&e->points[i]) && !((e->points[i].lin ^ lin) & PAGE_MASK))
			return true;
	}
	return false;
}

/* A byte of [a, a + a_len) is one of [b, b + b_len), wherever they wrap: lengths are above 0. */
static bool overlap(gva_t a, uint64_t a_len, gva_t b, uint64_t b_len)
{
	return a - b < b_len || b - a < a_len;
}

bool soft_debugger_watches(const struct soft_engine *e, gva_t lin)
{
	for (unsigned i = 0; i < e->n_points; i++) {
		const struct engine_point *p = &e->points[i];

		if (!is_break(p) && overlap(p->lin, p->len, lin & PAGE_MASK, PAGE_BYTES))
			return true;
	}
	return false;
}

static bool same_points(const struct soft_engine *e, const struct engine_point *points, unsigned n)
{
	if (n != e->n_points)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (points[i].kind != e->points[i].kind || points[i].lin != e->points[i].lin ||
		    points[i].len != e->points[i].len)
			return false;
	}
	return true;
}

static bool is_among(const struct engine_point *p, const struct engine_point *points, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (points[i].kind == p->kind && points[i].lin == p->lin)
			return true;
	}
	return false;
}

/* Blocks of pages where a breakpoint is in one of the lists only. */
static void kill_changed(struct soft_engine *e, const struct engine_point *now, unsigned n_now,
			 const struct engine_point *old, unsigned n_old)
{
	gva_t page[2 * ENGINE_POINTS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < n_now; i++) {
		if (is_break(&now[i]) && !is_among(&now[i], old, n_old))
			page[n++] = now[i].lin & PAGE_MASK;
	}
	for (unsigned i = 0; i < n_old; i++) {
		if (is_break(&old[i]) && !is_among(&old[i], now, n_now))
			page[n++] = old[i].lin & PAGE_MASK;
	}
	if (n)
		soft_cache_forget(e->cache, page, n);
}

int soft_op_debug(struct engine *engine, const struct engine_point *points, unsigned n,
		  struct lodge_err *err)
{
	struct soft_engine *e = (struct soft_engine *)engine;
	bool watched = e->has_watches;

	if (n > ENGINE_POINTS_MAX)
		return err_set(err, -ENOSPC, "%u breakpoints and watchpoints are the most",
			       ENGINE_POINTS_MAX);
	if (e->cfg.soft.check && n)
		return err_set(err, -EINVAL,
			       "check=on of -accel soft has no breakpoints: leave it out");
	if (same_points(e, points, n))
		return 0;
	kill_changed(e, points, n, e->points, e->n_points);
	e->has_breaks = e->has_watches = false;
	for (unsigned i = 0; i < n; i++) {
		e->points[i] = points[i];
		e->has_breaks |= is_break(&points[i]);
		e->has_watches |= !is_break(&points[i]);
	}
	e->n_points = n;
	/* The TLB has no entries for watched pages, and shall have those of others. */
	for (unsigned i = 0; (watched || e->has_watches) && i < e->cfg.cpus; i++)
		soft_tlb_flush(e->cpus[i]);
	return 0;
}

/* ---- Going on, and stopping ----------------------------------------------------------------- */

void soft_op_debug_cpu(struct vcpu *v, unsigned how)
{
	struct soft_cpu *cpu = cpu_of(v);

	cpu->debug.step = how & ENGINE_DEBUG_STEP;
	cpu->debug.pass = how & (ENGINE_DEBUG_STEP | ENGINE_DEBUG_PASS);
	cpu->debug.again = cpu->debug.inside = cpu->debug.hit = false;
	cpu->debug.stop.kind = ENGINE_STOP_NONE;
	atomic_fetch_and(&cpu->requests, ~SOFT_REQ_DEBUG);
	if (how & ENGINE_DEBUG_CHANGED) {
		cpu->s.zero = 0;
		soft_tlb_flush(cpu);
	}
	soft_mode_changed(cpu);
}

struct engine_stop soft_op_debug_stop(const struct vcpu *v)
{
	return cpu_of(v)->debug.stop;
}

/* Leave run() before anything else is done. */
static void stop(struct soft_cpu *cpu, enum engine_stop_kind kind)
{
	cpu->debug.stop.kind = kind;
	cpu->debug.step = false;
	soft_request(cpu, SOFT_REQ_DEBUG);
}

void soft_debugger_break(struct soft_cpu *cpu, gva_t lin)
{
	cpu->debug.stop.lin = lin;
	stop(cpu, ENGINE_STOP_BREAK);
}

bool soft_debugger_before(struct soft_cpu *cpu)
{
	gva_t lin = soft_lin_wrap(cpu, cpu->segbase[SEG_CS] + cpu->s.rip);

	if (!cpu->debug.pass && soft_break_at(cpu->e, lin)) {
		soft_debugger_break(cpu, lin);
		return false;
	}
	cpu->debug.inside = true;
	return true;
}

void soft_debugger_after(struct soft_cpu *cpu)
{
	bool alone = cpu->debug.pass || cpu->debug.again || cpu->debug.step;

	cpu->debug.inside = cpu->debug.pass = cpu->debug.again = false;
	if (cpu->debug.hit)
		stop(cpu, ENGINE_STOP_WATCH);
	else if (cpu->debug.step)
		stop(cpu, ENGINE_STOP_STEP);
	cpu->debug.hit = false;
	if (alone)
		soft_mode_changed(cpu);
}

/* ---- Watchpoints ---------------------------------------------------------------------------- */

static bool concerns(const struct engine_point *p, bool write)
{
	return p->kind == ENGINE_POINT_ACCESS ||
	       p->kind == (write ? ENGINE_POINT_WRITE : ENGINE_POINT_READ);
}

static const struct engine_point *touched(const struct soft_engine *e, gva_t lin, unsigned size,
					  bool write)
{
	for (unsigned i = 0; i < e->n_points; i++) {
		const struct engine_point *p = &e->points[i];

		if (concerns(p, write) && size && overlap(p->lin, p->len, lin, size))
			return p;
	}
	return NULL;
}

/* With interrupts and faults on their way to delivery there is no instruction to be executed again. */
static bool can_restart(const struct soft_cpu *cpu)
{
	return cpu->op && cpu->op != &cpu->here;
}

void soft_debugger_touch(struct soft_cpu *cpu, gva_t lin, unsigned size, bool write)
{
	const struct engine_point *p = touched(cpu->e, lin, size, write);

	if (!p || cpu->debug.hit || (atomic_load(&cpu->requests) & SOFT_REQ_DEBUG))
		return;
	if (!cpu->debug.inside && can_restart(cpu))
		soft_restart(cpu);
	cpu->debug.hit = cpu->debug.inside;
	cpu->debug.stop.point = p->kind;
	cpu->debug.stop.lin = p->lin - lin < size ? p->lin : lin;
	if (!cpu->debug.inside)
		stop(cpu, ENGINE_STOP_WATCH);
}
