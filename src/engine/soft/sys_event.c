// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delivery of exceptions and interrupts: real mode, protected mode, VM86, long mode; double and
 * triple faults.
 * Source: Intel SDM 3A ch. 6 (§6.12 handlers, §6.13 error codes, §6.14 64-bit, §6.15 table 6-5),
 * vol. 2 INT n; AMD APM vol. 2 ch. 8.
 * Threads: the vCPU's own.
 *
 * A fault during delivery unwinds to soft_deliver (which borrows cpu->unwind), not to the run loop.
 * Nothing architectural changes before the last memory access of a delivery, except by a task
 * switch, whose later faults belong to the new task.
 */
#include <string.h>

#include "engine/soft/sys_int.h"

/* Where an event's handler is, from an IDT gate. */
struct gate {
	uint16_t sel;
	uint64_t ip;
	unsigned size; /* bytes of a stack slot: 2, 4, 8 */
	unsigned ist;
	bool trap; /* IF stays */
};

static bool is_fault(const struct soft_event *ev)
{
	const uint32_t faults = 1u << VEC_DE | 1u << VEC_BR | 1u << VEC_UD | 1u << VEC_NM |
				1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP |
				1u << VEC_PF | 1u << VEC_MF | 1u << VEC_AC | 1u << VEC_XM;

	return !ev->soft && !ev->external && ev->vector < 32 && (faults >> ev->vector & 1);
}

static uint64_t return_ip(const struct soft_cpu *cpu, const struct soft_event *ev)
{
	if (!ev->soft)
		return cpu->s.rip;
	return (cpu->s.rip + ev->insn_len) & cpu->rip_mask;
}

/* Faults that restart their instruction set RF in the image, so that it does not break again. */
static uint64_t flags_image(const struct soft_cpu *cpu, const struct soft_event *ev)
{
	return cpu->s.rflags | (is_fault(ev) ? FLAG_RF : 0);
}

/* ---- Real mode ------------------------------------------------------------------------------ */

static void deliver_real(struct soft_cpu *cpu, const struct soft_event *ev)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);
	unsigned at = ev->vector * 4u;
	uint32_t entry;

	if (at + 3 > s->idtr.limit)
		soft_raise_err(cpu, VEC_GP, at + 2);
	entry = (uint32_t)soft_ld_sys(cpu, (uint32_t)(s->idtr.base + at), 4);
	sys_push(cpu, &st, s->rflags, 2);
	sys_push(cpu, &st, s->seg[SEG_CS].sel, 2);
	sys_push(cpu, &st, return_ip(cpu, ev), 2);
	sys_set_sp(cpu, st.sp, st.mask);
	sys_set_cs_real(cpu, (uint16_t)(entry >> 16));
	s->rip = entry & 0xffff;
	s->rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
}

/* ---- Gates ---------------------------------------------------------------------------------- */

/* Check what all gates share: DPL for software interrupts, presence. */
static void gate_check(struct soft_cpu *cpu, const struct soft_event *ev, uint64_t raw,
		       bool type_ok, uint32_t err)
{
	unsigned dpl = (unsigned)(raw >> 45) & 3;

	if (!type_ok)
		soft_raise_err(cpu, VEC_GP, err);
	if (ev->soft && !ev->int1 && dpl < x86_cpl(&cpu->s))
		soft_raise_err(cpu, VEC_GP, err);
	if (!(raw >> 47 & 1))
		soft_raise_err(cpu, VEC_NP, err);
}

static void gate_fetch64(struct soft_cpu *cpu, const struct soft_event *ev, struct gate *g)
{
	const struct x86_dtable *idt = &cpu->s.idtr;
	uint32_t at = ev->vector * 16u, err = ev->vector * 8u + 2;
	uint64_t lo, hi;
	unsigned type;

	if (at + 15 > idt->limit)
		soft_raise_err(cpu, VEC_GP, err);
	lo = soft_ld_sys(cpu, idt->base + at, 8);
	hi = soft_ld_sys(cpu, idt->base + at + 8, 8);
	type = (unsigned)(lo >> 40) & 0x1f;
	gate_check(cpu, ev, lo, type == DESC_INT32 || type == DESC_TRAP32, err);
	g->sel = (uint16_t)(lo >> 16);
	g->ip = (lo & 0xffff) | (lo >> 32 & 0xffff0000) | hi << 32;
	g->ist = (unsigned)(lo >> 32) & 7;
	g->size = 8;
	g->trap = type == DESC_TRAP32;
}

/* False: it was a task gate, and the task switch is done. */
static bool gate_fetch32(struct soft_cpu *cpu, const struct soft_event *ev, struct gate *g)
{
	const struct x86_dtable *idt = &cpu->s.idtr;
	uint32_t at = ev->vector * 8u, err = at + 2;
	uint64_t raw;
	unsigned type;

	if (at + 7 > idt->limit)
		soft_raise_err(cpu, VEC_GP, err);
	raw = soft_ld_sys(cpu, (uint32_t)(idt->base + at), 8);
	type = (unsigned)(raw >> 40) & 0x1f;
	gate_check(cpu, ev, raw, type == DESC_TASK || (type & ~9u) == DESC_INT16,
		   err); /* 6, 7, 14, 15 */
	if (type == DESC_TASK) {
		cpu->s.rflags = flags_image(cpu, ev); /* the old task's, as it is saved */
		sys_task_gate(cpu, raw, TASK_INT, return_ip(cpu, ev),
			      ev->has_error ? &ev->error : NULL);
		return false;
	}
	g->sel = (uint16_t)(raw >> 16);
	g->size = type & 8 ? 4 : 2;
	g->ip = raw & 0xffff;
	if (type & 8)
		g->ip |= raw >> 32 & 0xffff0000;
	g->ist = 0;
	g->trap = type & 1;
	return true;
}

/* ---- Protected mode ------------------------------------------------------------------------- */

/* Checks of the handler's code segment; returns the CPL it runs at. */
static unsigned handler_cs(struct soft_cpu *cpu, const struct gate *g, struct sys_desc *d)
{
	unsigned cpl = x86_cpl(&cpu->s), dpl;

	if (sel_null(g->sel))
		soft_raise_err(cpu, VEC_GP, 0);
	sys_desc_need(cpu, g->sel, d, VEC_GP);
	dpl = desc_dpl(d);
	if (!desc_code(d) || dpl > cpl)
		soft_raise_err(cpu, VEC_GP, sel_err(g->sel));
	if (sys_lma(cpu) && (d->attr & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
		soft_raise_err(cpu, VEC_GP, sel_err(g->sel));
	if (!desc_present(d))
		soft_raise_err(cpu, VEC_NP, sel_err(g->sel));
	if (sys_vm86(cpu) && (desc_conforming(d) || dpl != 0))
		soft_raise_err(cpu, VEC_GP, sel_err(g->sel));
	return desc_conforming(d) ? cpl : dpl;
}

static void pick_stack(struct soft_cpu *cpu, const struct gate *g, unsigned new_cpl,
		       struct sys_stack *st)
{
	bool inner = new_cpl != x86_cpl(&cpu->s);

	if (inner && !g->ist) {
		sys_inner_stack(cpu, new_cpl, st);
	} else {
		*st = sys_stack_current(cpu);
		st->super = new_cpl != 3 && inner;
	}
	if (!sys_lma(cpu))
		return;
	if (g->ist) {
		if (inner)
			st->seg = sys_seg_null((uint16_t)new_cpl, new_cpl);
		st->sp = sys_tss64_rsp(cpu, 28 + 8 * g->ist);
	}
	st->sp &= ~15ull;
	st->mask = ~0ull;
	st->flat64 = true;
}

static void push_vm86_segs(struct soft_cpu *cpu, struct sys_stack *st, unsigned size)
{
	sys_push(cpu, st, cpu->s.seg[SEG_GS].sel, size);
	sys_push(cpu, st, cpu->s.seg[SEG_FS].sel, size);
	sys_push(cpu, st, cpu->s.seg[SEG_DS].sel, size);
	sys_push(cpu, st, cpu->s.seg[SEG_ES].sel, size);
}

static void push_frame(struct soft_cpu *cpu, const struct soft_event *ev, const struct gate *g,
		       struct sys_stack *st, bool inner)
{
	struct x86_state *s = &cpu->s;

	if (sys_vm86(cpu))
		push_vm86_segs(cpu, st, g->size);
	if (inner || g->size == 8) {
		sys_push(cpu, st, s->seg[SEG_SS].sel, g->size);
		sys_push(cpu, st, s->gpr[R_RSP], g->size);
	}
	sys_push(cpu, st, flags_image(cpu, ev), g->size);
	sys_push(cpu, st, s->seg[SEG_CS].sel, g->size);
	sys_push(cpu, st, return_ip(cpu, ev), g->size);
	if (ev->has_error)
		sys_push(cpu, st, ev->error, g->size);
}

static void deliver_protected(struct soft_cpu *cpu, const struct soft_event *ev)
{
	struct x86_state *s = &cpu->s;
	struct gate g;
	struct sys_desc d;
	struct sys_stack st;
	bool inner, from_vm86 = sys_vm86(cpu);
	unsigned new_cpl;

	if (sys_lma(cpu))
		gate_fetch64(cpu, ev, &g);
	else if (!gate_fetch32(cpu, ev, &g))
		return;
	new_cpl = handler_cs(cpu, &g, &d);
	inner = new_cpl != x86_cpl(s);
	pick_stack(cpu, &g, new_cpl, &st);
	sys_check_ip(cpu, &d, g.ip);
	sys_desc_set_accessed(cpu, &d);
	push_frame(cpu, ev, &g, &st, inner);

	if (inner)
		s->seg[SEG_SS] = st.seg;
	sys_set_sp(cpu, st.sp, st.mask);
	sys_set_cs(cpu, g.sel, &d, new_cpl);
	s->rip = g.ip;
	s->rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
	if (!g.trap)
		s->rflags &= ~(uint64_t)FLAG_IF;
	if (from_vm86) {
		s->seg[SEG_ES] = s->seg[SEG_DS] = sys_seg_null(0, 0);
		s->seg[SEG_FS] = s->seg[SEG_GS] = sys_seg_null(0, 0);
	}
}

/* ---- Entry and nested faults ---------------------------------------------------------------- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class classify(const struct soft_event *ev)
{
	const uint32_t contributory =
		1u << VEC_DE | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP;

	if (ev->soft || ev->external)
		return BENIGN;
	if (ev->vector == VEC_PF)
		return PAGE_FAULT;
	if (ev->vector == VEC_DF)
		return DOUBLE_FAULT;
	return ev->vector < 32 && (contributory >> ev->vector & 1) ? CONTRIBUTORY : BENIGN;
}

/* `ev` becomes what follows when delivering it raised `nested` (SDM 3A table 6-5). */
static bool combine(struct soft_event *ev, const struct soft_event *nested)
{
	enum fault_class first = classify(ev), second = classify(nested);
	bool ext = !ev->soft || ev->int1;

	if (first == DOUBLE_FAULT && second != BENIGN)
		return false;
	if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
	    (first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT))) {
		*ev = (struct soft_event){.vector = VEC_DF, .has_error = true};
		return true;
	}
	*ev = *nested;
	if (ext && (ev->vector >= VEC_TS && ev->vector <= VEC_GP) && ev->has_error)
		ev->error |= 1; /* EXT: not the instruction's own fault */
	return true;
}

static void trace_nested(struct soft_cpu *cpu, const struct soft_event *first)
{
	soft_fpu_leave(cpu);
	log_print("cpu %u: vector %02x error %04x while delivering %02x\n", cpu->index,
		  cpu->event.vector, cpu->event.error, first->vector);
}

/* What an event does to the processor before its handler is found. */
static void event_effects(struct soft_cpu *cpu, const struct soft_event *ev)
{
	struct x86_state *s = &cpu->s;

	if (ev->vector == VEC_DB && !ev->soft && !ev->external) {
		s->dr[6] |= ev->dr6;
		s->dr[7] &= ~(uint64_t)DR7_GD;
		s->debugctl &= ~3ull; /* LBR, BTF (SDM 3B §17.4.4) */
	}
	if (ev->vector == VEC_NMI && ev->external)
		s->nmi_blocked = true;
	s->run_state = X86_RUNNING;
	s->int_shadow = 0;
}

static void deliver_once(struct soft_cpu *cpu, const struct soft_event *ev)
{
	event_effects(cpu, ev);
	if (cpu->s.cr0 & CR0_PE)
		deliver_protected(cpu, ev);
	else
		deliver_real(cpu, ev);
	soft_mode_changed(cpu);
}

bool soft_deliver(struct soft_cpu *cpu, const struct soft_event *ev)
{
	struct soft_event cur = *ev;
	volatile bool alive = true;
	jmp_buf outer;

	sys_commit_ip(cpu); /* s.rip is where to return to, whatever raises */
	memcpy(&outer, &cpu->unwind, sizeof(outer));
	while (alive) {
		if (_setjmp(cpu->unwind) == 0) {
			deliver_once(cpu, &cur);
			break;
		}
		if (log_on(LOG_INT))
			trace_nested(cpu, &cur);
		alive = combine(&cur, &cpu->event);
	}
	memcpy(&cpu->unwind, &outer, sizeof(outer));
	cpu->op = NULL;
	if (!alive)
		cpu->s.run_state = X86_SHUTDOWN;
	return alive;
}
