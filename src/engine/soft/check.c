// SPDX-License-Identifier: GPL-2.0-or-later
/* Lockstep: a unit by S1, taken back, by S2, compared. Threads: the vCPU's own. See check.h. */
#include "engine/soft/check.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "engine/soft/exclusive.h"

#define TRIES 3
#define RAISED_STOP 3 /* longjmp's value: a device is in the way (1: exception, 2: again) */

struct soft_check *soft_check_new(void)
{
	struct soft_check *c = aligned_alloc(64, align_up(sizeof(*c), 64));

	if (c)
		gp_memset(c, 0, sizeof(*c));
	return c;
}

void soft_check_free(struct soft_check *c)
{
	free(c);
}

/* A branch to op->imm, which op->target is if that is in the block. */
static bool may_jump(enum x86_op op)
{
	return op == X86_OP_JCC || op == X86_OP_JMP || (op >= X86_OP_LOOP && op <= X86_OP_JCXZ);
}

bool soft_check_can(const struct x86_insn *insn, const struct soft_op *op,
		    const struct soft_op *next)
{
	/* A jump to where the block goes on: taken or not cannot be told apart. */
	if (next && may_jump((enum x86_op)insn->op) && op->imm == next->rip)
		return false;
	switch ((enum x86_op)insn->op) {
	case X86_OP_RDRAND:
	case X86_OP_RDSEED:
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
		return false;
	case X86_OP_STI: /* these change more than is compared, and taken back */
	case X86_OP_POPF:
	case X86_OP_STAC:
	case X86_OP_CLAC:
	case X86_OP_SYSCALL:
	case X86_OP_SYSRET:
	case X86_OP_SWAPGS:
		return false;
	default:
		return true;
	}
}

/* ---- The journal ---------------------------------------------------------------------------- */

void soft_check_journal(struct soft_cpu *cpu, uint8_t *host, uint32_t len, uint64_t walked)
{
	struct soft_check *c = cpu->check;
	struct check_write *w;

	if (c->phase != CHECK_S1 || !host)
		return;
	if (c->nwrites == CHECK_MAX_WRITES || c->bytes + len > CHECK_MAX_BYTES) {
		c->overflow = true;
		return;
	}
	w = &c->write[c->nwrites++];
	w->host = host;
	w->len = len;
	w->at = c->bytes;
	w->walked = walked;
	gp_memcpy(c->old + w->at, host, len);
	c->bytes += len;
}

void soft_check_device(struct soft_cpu *cpu)
{
	if (cpu->check->phase != CHECK_REAL)
		_longjmp(cpu->unwind, RAISED_STOP);
}

static void take_back_one(struct soft_check *c, unsigned i)
{
	gp_memcpy(c->write[i].host, c->old + c->write[i].at, c->write[i].len);
}

static void take_back(struct soft_check *c)
{
	for (unsigned i = c->nwrites; i-- > 0;)
		take_back_one(c, i);
}

/*
 * What the operation that was broken off has written. Not what its walks have: the TLB has the
 * entries, so nobody would set these bits again.
 */
static void drop_unfinished(struct soft_check *c)
{
	for (unsigned i = c->nwrites; i-- > c->mark;) {
		if (!c->write[i].walked)
			take_back_one(c, i);
	}
	if (c->mark < c->nwrites)
		c->bytes = c->write[c->mark].at;
	c->nwrites = c->mark;
}

static void note_now(struct soft_check *c)
{
	for (unsigned i = 0; i < c->nwrites; i++)
		gp_memcpy(c->now + c->write[i].at, c->write[i].host, c->write[i].len);
}

/* S2 finds entries in the TLB for which S1 walked: the bits of that walk are set now. */
static void set_walked_bits(struct soft_check *c)
{
	for (unsigned i = 0; i < c->nwrites; i++) {
		struct check_write *w = &c->write[i];
		uint64_t now = 0;

		gp_memcpy(&now, c->now + w->at, w->len < 8 ? w->len : 8);
		if (w->walked & now)
			__atomic_fetch_or((uint32_t *)(uintptr_t)w->host,
					  (uint32_t)(w->walked & now), __ATOMIC_RELAXED);
	}
}

/* ---- Registers ------------------------------------------------------------------------------ */

static bool same_words(const uint64_t *a, const uint64_t *b, unsigned n)
{
	uint64_t diff = 0;

	for (unsigned i = 0; i < n; i++)
		diff |= a[i] ^ b[i];
	return !diff;
}

static bool same_seg(const struct x86_seg *a, const struct x86_seg *b)
{
	return a->base == b->base && a->limit == b->limit && a->sel == b->sel &&
	       a->attr == b->attr && a->unusable == b->unusable;
}

/* Real mode's segment registers are loaded by generated code. */
static bool same_segs(const struct check_regs *a, const struct check_regs *b)
{
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		if (!same_seg(&a->seg[i], &b->seg[i]))
			return false;
	}
	return same_words(a->segbase, b->segbase, SEG_COUNT);
}

static void get_regs(const struct soft_cpu *cpu, struct check_regs *r)
{
	gp_memcpy(r->gpr, cpu->s.gpr, sizeof(r->gpr));
	r->rip = cpu->s.rip;
	r->rflags = cpu->s.rflags;
	r->cr2 = cpu->s.cr2;
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		r->seg[i] = cpu->s.seg[i];
		r->segbase[i] = cpu->segbase[i];
	}
}

static void set_regs(struct soft_cpu *cpu, const struct check_regs *r)
{
	bool segs_changed = false;

	gp_memcpy(cpu->s.gpr, r->gpr, sizeof(r->gpr));
	cpu->s.rip = r->rip;
	cpu->s.rflags = r->rflags;
	cpu->s.cr2 = r->cr2;
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		segs_changed |= !same_seg(&cpu->s.seg[i], &r->seg[i]);
		cpu->s.seg[i] = r->seg[i];
	}
	if (segs_changed)
		soft_mode_changed(cpu);
}

static void get_fpu(struct soft_cpu *cpu, unsigned which)
{
	if (!cpu->check->fpu)
		return;
	if (!cpu->fpu_live)
		soft_fpu_enter(cpu); /* what was never live may have bytes that mean nothing */
	soft_fpu_leave(cpu);
	gp_memcpy(cpu->check->xsave[which], cpu->s.xsave, X86_XSAVE_BYTES);
}

static void set_fpu(struct soft_cpu *cpu, unsigned which)
{
	if (!cpu->check->fpu)
		return;
	soft_fpu_leave(cpu);
	gp_memcpy(cpu->s.xsave, cpu->check->xsave[which], X86_XSAVE_BYTES);
}

/* ---- One operation -------------------------------------------------------------------------- */

static bool is_native(const struct jit_block *jb, unsigned i)
{
	return jb->ids[i] & JIT_ID_NATIVE;
}

static const struct soft_op *stop_here(struct soft_cpu *cpu, const struct soft_op *op)
{
	return leave_to(cpu, op->rip);
}

/* Operation `i` by its S1 handler; s.rip is where it leads to. */
static void step(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i)
{
	const struct soft_op *op = &jb->sb->ops[i], *at;
	struct soft_op *one = cpu->check->one;

	one[0] = *op;
	if (may_jump((enum x86_op)(jb->ids[i] & JIT_ID_OP)) && one[0].target)
		one[0].target = &one[2];
	one[1].rip = i + 1 < jb->nops ? jb->sb->ops[i + 1].rip : 0;
	one[2].rip = op->imm;
	atomic_store_explicit(&one[1].fn, stop_here, memory_order_relaxed);
	atomic_store_explicit(&one[2].fn, stop_here, memory_order_relaxed);
	at = cpu->op = one;
	do {
		at = atomic_load_explicit(&at->fn, memory_order_relaxed)(cpu, at);
	} while (at);
	cpu->op = NULL;
}

/* Did operation `i` lead to anything else than the next one? */
static bool left_block(const struct soft_cpu *cpu, const struct jit_block *jb, unsigned i)
{
	return i + 1 >= jb->nops || cpu->s.rip != jb->sb->ops[i + 1].rip;
}

/* ---- The two runs --------------------------------------------------------------------------- */

static void run_s1(struct soft_cpu *cpu)
{
	struct soft_check *c = cpu->check;
	const struct jit_block *jb = c->jb;
	uint64_t epoch = cpu->e->freed;

	for (unsigned i = c->first;; i++) {
		const struct soft_op *op = &jb->sb->ops[i];

		c->at = i;
		c->mark = c->nwrites;
		if (op->flags & SOFT_OP_END) {
			cpu->s.rip = op->rip;
			c->last = i;
			return;
		}
		if (!is_native(jb, i)) {
			cpu->s.rip = op->rip;
			c->stop = i;
			return;
		}
		step(cpu, jb, i);
		c->last = i;
		if (epoch != cpu->e->freed || jb->dead || c->overflow) {
			c->dirty = true;
			return;
		}
		if (left_block(cpu, jb, i))
			return;
	}
}

static void run_s2(struct soft_cpu *cpu)
{
	struct soft_check *c = cpu->check;
	const struct jit_block *jb = c->jb;

	c->done = false;
	jit_enter_at(cpu, jb->off[c->first] & JIT_OFF_MASK);
	while (!c->done)
		jit_enter_again(cpu);
}

const void *soft_check_on_op(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i)
{
	struct soft_check *c = cpu->check;

	do {
		c->at = i;
		if (i == c->stop && c->raised[0] != 1) {
			cpu->s.rip = jb->sb->ops[i].rip;
			c->done = true;
			return NULL;
		}
		step(cpu, jb, i);
		if (left_block(cpu, jb, i)) {
			c->done = true;
			return NULL;
		}
		i++;
	} while (jb->off[i] & (JIT_OFF_GROUPED | JIT_OFF_RUN));
	return jit_host_code(cpu, jb->off[i] & JIT_OFF_MASK);
}

const void *soft_check_on_exit(struct soft_cpu *cpu, uint64_t ip)
{
	cpu->s.rip = ip;
	cpu->check->done = true;
	return NULL;
}

/* Run one of the above; what it raises is noted, with s.rip at the instruction. */
static void guarded(struct soft_cpu *cpu, void (*run)(struct soft_cpu *), unsigned tier)
{
	struct soft_check *c = cpu->check;
	jmp_buf outer;

	gp_memcpy(outer, cpu->unwind, sizeof(outer));
	c->phase = tier ? CHECK_S2 : CHECK_S1;
	c->raised[tier] = _setjmp(cpu->unwind);
	if (!c->raised[tier]) {
		run(cpu);
	} else {
		soft_exclusive_abandon(cpu);
		c->event[tier] = cpu->event;
		if (cpu->op)
			cpu->s.rip = cpu->op->rip;
		cpu->op = NULL;
	}
	c->phase = CHECK_REAL;
	gp_memcpy(cpu->unwind, outer, sizeof(outer));
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static bool memory_same(struct soft_check *c)
{
	for (unsigned i = 0; i < c->nwrites; i++) {
		const struct check_write *w = &c->write[i];

		if (gp_memcmp(w->host, c->now + w->at, w->len)) {
			c->memory_differs = true;
			c->differs_at = i;
			return false;
		}
	}
	return true;
}

static bool fpu_same(const struct soft_check *c)
{
	const uint8_t *a = c->xsave[1], *b = c->xsave[2];

	return !c->fpu || (!gp_memcmp(a, b, CHECK_FX_BYTES) &&
			   !gp_memcmp(a + CHECK_YMM_AT, b + CHECK_YMM_AT, CHECK_YMM_BYTES));
}

static bool event_same(const struct soft_check *c)
{
	const struct soft_event *a = &c->event[0], *b = &c->event[1];

	/* S2 usually leaves an instruction that faults to S1, and says nothing. */
	if (!c->raised[1])
		return true;
	if (c->raised[0] != c->raised[1] || c->raised[1] == RAISED_STOP)
		return false;
	return c->raised[0] != 1 || (a->vector == b->vector && a->has_error == b->has_error &&
				     (!a->has_error || a->error == b->error));
}

uint64_t soft_check_live(const struct soft_check *c)
{
	const struct jit_op_flags *f = c->jb->flags;

	if (c->stop != CHECK_NONE)
		return f[c->stop].live;
	if (c->after[0].rip == c->jb->sb->ops[c->last].rip) /* REP goes on later */
		return f[c->last].live;
	return f[c->last].exit;
}

static bool same(struct soft_check *c)
{
	struct check_regs *a = &c->after[0], *b = &c->after[1];
	uint64_t flags = a->rflags ^ b->rflags;

	c->memory_differs = false;
	return event_same(c) && memory_same(c) && same_words(a->gpr, b->gpr, 16) &&
	       same_segs(a, b) && a->rip == b->rip &&
	       !(flags & ~(FLAGS_ARITH & ~soft_check_live(c))) && fpu_same(c);
}

/* ---- Units ---------------------------------------------------------------------------------- */

/* By S1. False: there is nothing to compare, and what S1 did stands. */
static bool first_run(struct soft_cpu *cpu)
{
	struct soft_check *c = cpu->check;

	c->nwrites = 0;
	c->bytes = 0;
	c->overflow = c->dirty = false;
	c->stop = CHECK_NONE;
	guarded(cpu, run_s1, 0);
	if (c->raised[0]) {
		c->stop = c->at;
		drop_unfinished(c);
		cpu->s.rip = c->jb->sb->ops[c->at].rip;
		cpu->s.cr2 = c->before.cr2;
	}
	return !c->dirty && (c->stop != c->first || c->raised[0] == 1);
}

/* The unit by both. False: they differ. */
static bool compare(struct soft_cpu *cpu)
{
	struct soft_check *c = cpu->check;

	get_regs(cpu, &c->before);
	get_fpu(cpu, 0);
	if (!first_run(cpu))
		return true;
	get_regs(cpu, &c->after[0]);
	get_fpu(cpu, 1);
	note_now(c);
	take_back(c);
	set_regs(cpu, &c->before);
	cpu->s.rflags = c->flags_in;
	set_fpu(cpu, 0);
	guarded(cpu, run_s2, 1);
	get_regs(cpu, &c->after[1]);
	c->after[1].cr2 = cpu->s.cr2 = c->before.cr2;
	get_fpu(cpu, 2);
	set_walked_bits(c);
	return same(c);
}

static void back_to_start(struct soft_cpu *cpu)
{
	struct soft_check *c = cpu->check;

	take_back(c);
	set_walked_bits(c);
	set_regs(cpu, &c->before);
	set_fpu(cpu, 0);
}

/* The guest goes on with S1's results. */
static void accept(struct soft_cpu *cpu)
{
	struct soft_check *c = cpu->check;

	SOFT_COUNT(cpu, check_units);
	SOFT_COUNT_ADD(cpu, check_insns,
		       (c->stop == CHECK_NONE ? c->last + 1 : c->stop) - c->first);
	set_regs(cpu, &c->after[0]);
	c->dead_diff = c->after[0].rflags ^ c->after[1].rflags;
	c->dead_rip = cpu->s.rip;
	c->dead_rflags = cpu->s.rflags;
}

/* Generated code of c->jb from operation `first` on. Returns what has to be done for real: the
 * index of an operation, or CHECK_NONE when the block has been left. */
static unsigned run_unit(struct soft_cpu *cpu, unsigned first)
{
	struct soft_check *c = cpu->check;

	c->first = first;
	c->fpu = c->jb->fpu;
	c->flags_in = cpu->s.rflags;
	if (c->dead_diff && c->dead_rip == cpu->s.rip && c->dead_rflags == cpu->s.rflags)
		c->flags_in ^= c->dead_diff;
	for (unsigned n = 1; !compare(cpu); n++) {
		if (n == TRIES) {
			soft_check_report(cpu);
			soft_fail(cpu);
		}
		SOFT_COUNT(cpu, check_again);
		back_to_start(cpu);
	}
	c->dead_diff = 0;
	if (c->dirty) {
		SOFT_COUNT(cpu, check_dirty);
		return CHECK_NONE;
	}
	if (c->stop != c->first || c->raised[0] == 1)
		accept(cpu);
	return c->stop;
}

void soft_check_run(struct soft_cpu *cpu)
{
	struct soft_block *b = soft_find_block(cpu);
	struct soft_check *c = cpu->check;
	uint64_t epoch = cpu->e->freed;
	const struct jit_block *jb = b->jit;

	if (!jb && jit_warm(cpu->e->jit, b)) {
		jb = jit_translate(cpu, b);
		if (!jb)
			return; /* the cache may have been emptied: look again */
	}
	if (!jb) {
		c->dead_diff = 0;
		soft_run_ops(cpu, b->ops);
		return;
	}
	for (unsigned i = 0; i < jb->nops; i++) {
		uint32_t mode = cpu->mode;

		c->jb = jb;
		if (is_native(jb, i) && !(jb->off[i] & JIT_OFF_RUN))
			i = run_unit(cpu, i);
		if (i == CHECK_NONE)
			return;
		SOFT_COUNT(cpu, check_alone);
		c->dead_diff = 0;
		step(cpu, jb, i);
		if (epoch != cpu->e->freed || left_block(cpu, jb, i) || jb->dead ||
		    cpu->mode != mode || atomic_load_explicit(&cpu->requests, memory_order_relaxed))
			return;
	}
}
