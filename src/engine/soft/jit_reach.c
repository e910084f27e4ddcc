// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reaching memory: from an operand's address to a host address, with one check for as many
 * operands as possible. Threads: with the cache lock.
 *
 * A *run* is a stretch of operations whose memory operands go by the same registers, which change in
 * between by constants only (a prologue's pushes and stores, the fields of a structure). Its first
 * operand checks the whole range, and T0 holds the range's host address until the last one is done.
 * What could be checked together but fails together, because the range crosses a page or is no plain
 * RAM, is done by S1 from the first operand to the end of the run; where a range crosses pages often, the
 * block is translated again without it (soft_block.lone).
 *
 * Invariants
 * 1. From run.first to run.last, nothing but the run's own check changes T0, and nobody enters the
 *    code but by its beginning: no label lies inside, and JIT_OFF_RUN keeps C away.
 * 2. A run is checked for writing if it writes before it can be left; later writes end it.
 */
#include "engine/soft/jit_xlat.h"

#define MAX_SPAN 512
#define MAX_DRIFT 128

/* ---- What operations do --------------------------------------------------------------------- */

static bool names_gpr(const struct x86_insn *insn, unsigned reg, unsigned access)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		const struct x86_operand *o = &insn->opd[i];

		if (o->kind != X86_OPD_REG || !(o->access & access))
			continue;
		if ((o->rc == X86_RC_GPR || o->rc == X86_RC_GPRH) && o->reg == reg)
			return true;
	}
	return false;
}

/* Does it write rAX or rDX without naming it? */
static bool writes_ax_dx(enum x86_op op)
{
	return (op >= X86_OP_MUL && op <= X86_OP_IDIV) || op == X86_OP_CBW || op == X86_OP_CWD ||
	       op == X86_OP_LAHF || op == X86_OP_CMPXCHG || op == X86_OP_CMPXCHG8B ||
	       op == X86_OP_CMPXCHG16B;
}

static bool moves_stack(enum x86_op op)
{
	return op == X86_OP_PUSH || op == X86_OP_POP || op == X86_OP_CALL || op == X86_OP_RET ||
	       op == X86_OP_LEAVE || op == X86_OP_CALL_IND;
}

static bool may_write(const struct jit_op *o, unsigned reg)
{
	enum x86_op op = (enum x86_op)o->insn.op;

	if ((reg == R_RAX || reg == R_RDX) && writes_ax_dx(op))
		return true;
	if (reg == R_RSP && moves_stack(op))
		return true;
	if (reg == R_RBP && op == X86_OP_LEAVE)
		return true;
	return names_gpr(&o->insn, reg, X86_ACC_W);
}

/* It changes the register by a constant, `*by`, and in no other way. */
static bool steps(const struct jit_op *o, unsigned reg, int64_t *by)
{
	const struct x86_insn *insn = &o->insn;
	const struct x86_operand *d = &insn->opd[0], *s = &insn->opd[1];
	bool wide = d->kind == X86_OPD_REG && d->rc == X86_RC_GPR && d->reg == reg && d->size == 8;

	*by = 0;
	if (!may_write(o, reg))
		return true;
	switch (insn->op) {
	case X86_OP_PUSH:
		*by = -8;
		return insn->opsize == 8;
	case X86_OP_POP:
		*by = 8;
		return insn->opsize == 8 && d->reg != R_RSP;
	case X86_OP_ADD:
	case X86_OP_SUB:
		*by = insn->op == X86_OP_ADD ? (int64_t)insn->imm : -(int64_t)insn->imm;
		return wide && s->kind == X86_OPD_IMM;
	case X86_OP_INC:
	case X86_OP_DEC:
		*by = insn->op == X86_OP_INC ? 1 : -1;
		return wide;
	case X86_OP_LEA:
		*by = insn->disp;
		return wide && insn->addrsize == 8 && insn->base == reg &&
		       insn->index == X86_NO_REG;
	default:
		return false;
	}
}

static struct jit_touch stack_touch(unsigned reg, int64_t disp, enum soft_access access)
{
	return (struct jit_touch){.kind = TOUCH_MEMORY,
				  .at = {.base = (uint8_t)reg, .index = X86_NO_REG, .disp = disp},
				  .size = 8,
				  .access = access};
}

/* Registers stand for themselves but for T0, which T1 stands for if it is free. */
static bool leaves_t0(const struct x86_insn *insn)
{
	const unsigned any = X86_ACC_R | X86_ACC_W;

	return !names_gpr(insn, T0, any) || !names_gpr(insn, T1, any);
}

static struct jit_touch plain_touch(const struct xlat *x, const struct jit_op *o)
{
	const struct x86_operand *mem = thunk_mem_operand(&o->insn);
	struct jit_touch t = {.kind = TOUCH_LOSES};

	if (!mem) {
		t.kind = leaves_t0(&o->insn) ? TOUCH_NOTHING : TOUCH_LOSES;
	} else if (mem->size && !jit_may_split(x, &o->insn) && jit_place_of(x, o, &t.at)) {
		t.kind = TOUCH_MEMORY;
		t.size = mem->size;
		t.access = mem->access & X86_ACC_W ? SOFT_WRITE : SOFT_READ;
	}
	return t;
}

static struct jit_touch find_touch(const struct xlat *x, const struct jit_op *o)
{
	const struct jit_touch nothing = {.kind = TOUCH_NOTHING}, loses = {.kind = TOUCH_LOSES};
	const struct x86_operand *d = &o->insn.opd[0];

	if ((o->op->flags & SOFT_OP_END) || !o->emit)
		return loses;
	if (o->emit == jit_emit_plain)
		return plain_touch(x, o);
	switch (o->insn.op) {
	case X86_OP_NOP:
	case X86_OP_PREFETCH:
	case X86_OP_JCC:
		return nothing;
	case X86_OP_LEA:
		return jit_lea_fits_run(&o->insn) ? nothing : loses;
	default:
		break;
	}
	if (o->insn.opsize != 8)
		return loses;
	switch (o->insn.op) {
	case X86_OP_PUSH:
		return d->kind == X86_OPD_MEM ? loses : stack_touch(R_RSP, -8, SOFT_WRITE);
	case X86_OP_POP:
		return d->reg == R_RSP ? loses : stack_touch(R_RSP, 0, SOFT_READ);
	case X86_OP_CALL:
		return stack_touch(R_RSP, -8, SOFT_WRITE);
	case X86_OP_RET:
		return stack_touch(R_RSP, 0, SOFT_READ);
	case X86_OP_LEAVE:
		return stack_touch(R_RBP, 0, SOFT_READ);
	default:
		return loses;
	}
}

/* Found once. */
static const struct jit_touch *touch_of(struct xlat *x, unsigned i)
{
	struct jit_touch *t = &x->ops[i].touch;

	if (t->kind == TOUCH_UNKNOWN)
		*t = find_touch(x, &x->ops[i]);
	return t;
}

/* ---- Slots and windows ---------------------------------------------------------------------- */

bool jit_loop_at(const struct xlat *x, unsigned *first, unsigned *last)
{
	for (unsigned k = x->cur; k < x->n; k++) {
		int inner = x->ops[k].inner;

		if (inner < 0 || (unsigned)inner > x->cur)
			continue;
		*first = (unsigned)inner;
		*last = k;
		return true;
	}
	return false;
}

/* How far a register's change moves an address in one turn of the loop; more than a page: unknown. */
static uint64_t drift(const struct xlat *x, unsigned reg, unsigned first, unsigned last)
{
	int64_t sum = 0, by;

	for (unsigned i = first; reg < 16 && i <= last; i++) {
		const struct jit_op *o = &x->ops[i];

		if ((o->op->flags & SOFT_OP_END) || !o->emit || !steps(o, reg, &by) ||
		    by != (int32_t)by)
			return PAGE_BYTES + 1;
		sum += by;
	}
	return (uint64_t)(sum < 0 ? -sum : sum);
}

/* A byte is made of the register before the operation at hand, in the same turn of the loop: an index of a small table. */
static bool is_byte(const struct xlat *x, unsigned reg, unsigned first)
{
	for (unsigned i = x->cur; reg < 16 && i-- > first;) {
		const struct jit_op *o = &x->ops[i];
		const struct x86_operand *d = &o->insn.opd[0], *s = &o->insn.opd[1];

		if ((o->op->flags & SOFT_OP_END) || !o->emit)
			return false;
		if (may_write(o, reg))
			return o->insn.op == X86_OP_MOVZX && d->size >= 4 && s->size == 1;
	}
	return false;
}

/* Another table is looked into by the same registers in the loop. */
static bool has_other(const struct xlat *x, const struct jit_place *at, unsigned first,
		      unsigned last)
{
	for (unsigned i = first; i <= last; i++) {
		const struct jit_op *o = &x->ops[i];
		struct jit_place other;

		if ((o->op->flags & SOFT_OP_END) || !thunk_mem_operand(&o->insn))
			continue;
		other = jit_insn_place(o);
		if (other.base == at->base && other.index == at->index && other.disp != at->disp)
			return true;
	}
	return false;
}

/* The next turn's operand is most likely in the same page. */
static bool stays_near(const struct xlat *x, const struct jit_place *at)
{
	unsigned first, last;

	if (!jit_loop_at(x, &first, &last) || drift(x, at->base, first, last) > MAX_DRIFT)
		return false;
	if (drift(x, at->index, first, last) << at->scale <= MAX_DRIFT)
		return true;
	return is_byte(x, at->index, first) && !has_other(x, at, first, last);
}

unsigned jit_choose_slot(const struct xlat *x, const struct jit_place *at)
{
	unsigned key;

	if (at->base == R_RSP)
		return R_RSP;
	if (at->base >= 16 && at->index >= 16)
		return 16 + ((uint64_t)at->disp >> PAGE_BITS & 15);
	if (!stays_near(x, at))
		return JIT_BY_WINDOW;
	key = (at->base + 5u * at->index) & 15;
	return key == R_RSP ? (unsigned)R_RBP : key;
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static bool same_registers(const struct jit_place *a, const struct jit_place *b)
{
	return a->base == b->base && a->index == b->index && a->moves == b->moves &&
	       (a->index == X86_NO_REG || a->scale == b->scale);
}

/* Can [at, at + size) be checked with the run, which then is for `access`? */
static bool grow(struct jit_run *r, int64_t at, unsigned size, bool writes)
{
	int64_t lo = at < r->lo ? at : r->lo;
	int64_t hi = at + size > r->hi ? at + size : r->hi;

	if (hi - lo > MAX_SPAN || lo != (int32_t)lo)
		return false;
	if (r->at.base == X86_NO_REG && r->at.index == X86_NO_REG && (lo ^ (hi - 1)) >> PAGE_BITS)
		return false; /* known to cross a page */
	r->lo = lo;
	r->hi = hi;
	r->writes = writes;
	return true;
}

/* Follow the operations behind the run's first one as far as T0 can be kept for them. */
static void follow(struct xlat *x, struct jit_run *r)
{
	bool may_leave = false;
	int64_t delta = 0, by = 0;

	for (unsigned i = r->first;; i++) {
		const struct jit_op *o = &x->ops[i];
		const struct jit_touch *t;

		if (i >= x->n || (i > r->first && o->label))
			return;
		t = touch_of(x, i);
		if (t->kind == TOUCH_LOSES)
			return;
		if (t->kind == TOUCH_MEMORY) {
			bool writes = r->writes || t->access == SOFT_WRITE;

			if (!same_registers(&t->at, &r->at) || (may_leave && writes != r->writes) ||
			    !grow(r, t->at.disp + delta, t->size, writes))
				return;
			r->last = i;
		}
		may_leave |= o->insn.op == X86_OP_JCC;
		if (r->at.index != X86_NO_REG && may_write(o, r->at.index))
			return;
		if (r->at.base != X86_NO_REG && !steps(o, r->at.base, &by))
			return;
		delta += r->at.base != X86_NO_REG ? by : 0;
	}
}

bool jit_in_long_run(const struct xlat *x)
{
	return x->run.on && x->run.first < x->run.last;
}

void jit_run_forget(struct xlat *x)
{
	gp_memset(x->run.kept, 0, sizeof(x->run.kept));
}

void jit_run_settle(struct xlat *x)
{
	if (x->run.base_lost)
		em_load_gs(&x->e, BASE, GS_OFF(space_base));
	x->run.base_lost = false;
	jit_run_forget(x);
}

bool jit_in_run(const struct xlat *x)
{
	return x->run.on && x->cur > x->run.first;
}

void jit_run_pass(struct xlat *x, unsigned i)
{
	int64_t by = 0;

	if (!x->run.on)
		return;
	if (i >= x->run.last) {
		jit_run_settle(x);
		x->run.on = false;
		return;
	}
	if (x->run.at.base != X86_NO_REG)
		steps(&x->ops[i], x->run.at.base, &by);
	x->run.delta += by;
}

void jit_reach(struct xlat *x, const struct jit_place *at, unsigned size, enum soft_access access)
{
	struct jit_run *r = &x->run;
	int64_t disp = at->disp + r->delta;
	struct jit_place first = *at;

	if (r->on && same_registers(at, &r->at) && disp >= r->lo && disp + size <= r->hi &&
	    (r->writes || access == SOFT_READ)) {
		x->at = (int32_t)(disp - r->lo);
		return;
	}
	*r = (struct jit_run){.on = true,
			      .at = *at,
			      .lo = at->disp,
			      .hi = at->disp + size,
			      .writes = access == SOFT_WRITE,
			      .first = x->cur,
			      .last = x->cur};
	if (!(x->b->lone >> x->cur & 1))
		follow(x, r);
	x->at = (int32_t)(at->disp - r->lo);
	first.disp = r->lo;
	jit_address(x, &first, 8);
	jit_check(x, jit_choose_slot(x, &first), (unsigned)(r->hi - r->lo),
		  r->writes ? SOFT_WRITE : SOFT_READ);
}
