/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A debugger's breakpoints, watchpoints and single steps. Private to src/engine/soft.
 *
 * Without a debugger none of it costs anything in generated code or in S1's operations:
 * - Breakpoint: blocks end before it, and one that begins there is the operation that stops. Blocks of such a
 *   page are S1's only. A change kills the blocks of the pages concerned.
 * - Watchpoint: its page has no entries in the TLB, as with the guest's own (mmu.c). A slow path that meets one
 *   gives the instruction up as for a fault, and it is executed again by itself (`again`), noting what it
 *   touches; so the vCPU stops right behind it. What an event's delivery touches is noted, too.
 * - Single step: SOFT_MODE_STEP; service() holds interrupts back.
 * Threads: the vCPU's own; soft_debug* of engine_ops while no vCPU runs.
 */
#ifndef LODGE_ENGINE_SOFT_DEBUGGER_H
#define LODGE_ENGINE_SOFT_DEBUGGER_H

#include "engine/soft/soft_int.h"

/* engine_ops. */
int soft_op_debug(struct engine *e, const struct engine_point *points, unsigned n,
		  struct lodge_err *err);
void soft_op_debug_cpu(struct vcpu *v, unsigned how);
struct engine_stop soft_op_debug_stop(const struct vcpu *v);

/* Before an instruction in run_step(): false when a breakpoint stops it. */
bool soft_debugger_before(struct soft_cpu *cpu);
/* Behind it, or behind the delivery of the exception it raised. */
void soft_debugger_after(struct soft_cpu *cpu);
/* An instruction stops at a breakpoint. */
void soft_debugger_break(struct soft_cpu *cpu, gva_t lin);

bool soft_debugger_at(const struct soft_engine *e, gva_t lin);
bool soft_debugger_in(const struct soft_engine *e, gva_t lin);
bool soft_debugger_watches(const struct soft_engine *e, gva_t lin);
void soft_debugger_touch(struct soft_cpu *cpu, gva_t lin, unsigned size, bool write);

/* Is there a breakpoint at `lin`? On its page? */
static inline bool soft_break_at(const struct soft_engine *e, gva_t lin)
{
	return e->has_breaks && soft_debugger_at(e, lin);
}

static inline bool soft_break_in_page(const struct soft_engine *e, gva_t lin)
{
	return e->has_breaks && soft_debugger_in(e, lin);
}

/* Is a byte of this page watched? */
static inline bool soft_watched_page(const struct soft_engine *e, gva_t lin)
{
	return e->has_watches && soft_debugger_watches(e, lin);
}

/* An access by a slow path. May give up the instruction. */
static inline void soft_watch(struct soft_cpu *cpu, gva_t lin, unsigned size, bool write)
{
	if (cpu->e->has_watches)
		soft_debugger_touch(cpu, lin, size, write);
}

#endif
