// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator: entry points, fetch, decode, and the loop over the steps of a REP.
 * Source: Intel SDM vol. 3A §5.3, §6.15; vol. 2A §2. Threads: the vCPU's own.
 */
#include "emu_int.h"

/* Vectors that push an error code, a bit each. */
#define WITH_ERROR                                                                                 \
	(1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_PF | \
	 1u << VEC_AC)

void lodge_emu_init(struct lodge_emu *e, const struct lodge_emu_ops *ops, void *cpu)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->ops = ops;
	e->cpu = cpu;
}

void emu_end(struct lodge_emu *e, enum lodge_emu_result r)
{
	if (!e->end)
		e->end = (uint8_t)r;
}

void emu_raise(struct lodge_emu *e, uint8_t vector, uint32_t error)
{
	/* Real mode pushes none. */
	bool has_error = (e->cr0 & CR0_PE) && (WITH_ERROR >> vector & 1);

	if (e->end)
		return;
	e->ex = (struct lodge_emu_exception){.vector = vector,
					     .has_error = has_error,
					     .error = has_error ? error : 0};
	e->end = LODGE_EMU_EXCEPTION;
}

bool emu_ok(struct lodge_emu *e, int answer)
{
	if (answer != LODGE_EMU_OK)
		emu_end(e, answer == LODGE_EMU_FAULT   ? LODGE_EMU_EXCEPTION
			   : answer == LODGE_EMU_AGAIN ? LODGE_EMU_RETRY
						       : LODGE_EMU_REFUSED);
	return answer == LODGE_EMU_OK;
}

void emu_ask_user(struct lodge_emu *e, uint8_t state, uint64_t addr, unsigned size, unsigned count)
{
	e->io.write = state == EMU_WAITS_WRITE || state == EMU_WAITS_OUT;
	e->io.addr = addr;
	e->io.size = (uint8_t)size;
	e->io.count = (uint16_t)count;
	e->state = state;
	emu_end(e, LODGE_EMU_NEED_IO);
}

/* ---- Fetch and decode ----------------------------------------------------------------------- */

static void find_mode(struct lodge_emu *e)
{
	const struct lodge_emu_seg *cs;

	e->end = 0;
	e->seg_known = 0;
	e->seg_dirty = 0;
	e->wflags = e->rflags;
	e->wcpl = e->cpl;
	cs = emu_seg(e, LODGE_EMU_CS);
	if (EMU_LONG(e) && (cs->attr & SEG_ATTR_L))
		e->mode = X86_MODE_64;
	else if (!(e->rflags & FLAG_VM) && (cs->attr & SEG_ATTR_DB))
		e->mode = X86_MODE_32;
	else
		e->mode = X86_MODE_16;
}

/* Bytes from `have` on, as far as the page and the segment go. */
static unsigned fetch_more(struct lodge_emu *e, unsigned have)
{
	const struct lodge_emu_seg *cs = emu_seg(e, LODGE_EMU_CS);
	uint64_t lin = e->rip + have, off = lin & 0xffffffff, gpa;
	unsigned n = X86_MAX_INSN_BYTES - have;

	if (EMU_64(e) ? !emu_canonical(e, lin) : off > cs->limit)
		emu_gp(e);
	if (!EMU_64(e)) {
		if (cs->limit - off < n - 1)
			n = (unsigned)(cs->limit - off) + 1;
		lin = (cs->base + off) & 0xffffffff;
	}
	n = emu_in_page(lin, n);
	gpa = emu_translate(e, lin, LODGE_EMU_X);
	if (!e->end)
		emu_ok(e, e->ops->read(e->cpu, gpa, e->bytes + have, n));
	return e->end ? 0 : n;
}

/* rip after the instruction, cut to the size of the code segment. */
static uint64_t next_rip(const struct lodge_emu *e)
{
	uint64_t next = e->rip + e->insn.len;

	if (EMU_64(e))
		return next;
	return next & (e->mode == X86_MODE_32 || e->rip > 0xffff ? 0xffffffff : 0xffff);
}

static int decode(struct lodge_emu *e, unsigned have)
{
	unsigned mode = e->mode | (e->intel ? X86_MODE_INTEL : 0);

	return x86_decode(&e->insn, e->bytes, have, (enum x86_mode)mode);
}

static void fetch(struct lodge_emu *e)
{
	unsigned have = e->fetched < X86_MAX_INSN_BYTES ? e->fetched : X86_MAX_INSN_BYTES;
	int len = X86_DECODE_MORE;

	e->insn.len = 0;
	find_mode(e);
	if (have)
		len = decode(e, have);
	while (len == X86_DECODE_MORE && have < X86_MAX_INSN_BYTES && !e->end) {
		have += fetch_more(e, have);
		if (!e->end)
			len = decode(e, have);
	}
	e->fetched = (uint8_t)have;
	if (len == X86_DECODE_LONG)
		emu_gp(e);
	else if (len == X86_DECODE_UD && !(e->hints & LODGE_EMU_VALID))
		emu_ud(e);
	else if (len < 0)
		emu_end(e, LODGE_EMU_REFUSED);
	else if ((e->insn.flags & X86_IF_VEX) && !EMU_PM(e))
		emu_ud(e);
	e->next_rip = next_rip(e);
}

enum lodge_emu_result lodge_emu_decode(struct lodge_emu *e)
{
	e->state = EMU_IDLE;
	e->kind = EMU_INSN;
	fetch(e);
	return (enum lodge_emu_result)e->end;
}

/* ---- Running -------------------------------------------------------------------------------- */

typedef void (*handler)(struct lodge_emu *e);

static const handler handlers[X86_OP_COUNT] = {
#define H(op, name) [X86_OP_##op] = emu_do_##name,
	EMU_OPS(H)
#undef H
};

/* Privileged, but #UD comes first. */
static bool not_there(const struct lodge_emu *e)
{
	switch (e->insn.op) {
	case X86_OP_LLDT:
	case X86_OP_LTR:
		return !EMU_PM(e);
	case X86_OP_XSETBV:
		return !(e->cr4 & CR4_OSXSAVE);
	default:
		return false;
	}
}

static void execute(struct lodge_emu *e)
{
	if (e->kind == EMU_REAL_EVENT)
		emu_real_event(e, (uint8_t)e->arg, e->arg_rip);
	else if (e->kind == EMU_TASK)
		emu_task(e);
	else if (e->insn.op >= X86_OP_COUNT || !handlers[e->insn.op])
		emu_end(e, LODGE_EMU_REFUSED);
	else if ((e->insn.flags & X86_IF_PRIV) && e->cpl)
		emu_raise(e, not_there(e) ? VEC_UD : VEC_GP, 0);
	else
		handlers[e->insn.op](e);
}

/* One step from its start: the instruction, or one round of a REP. */
static void step(struct lodge_emu *e)
{
	emu_begin(e);
	execute(e);
	emu_commit(e);
}

static bool more_rounds(const struct lodge_emu *e)
{
	return e->kind == EMU_INSN && (e->insn.flags & (X86_IF_REP | X86_IF_REPNE)) &&
	       !e->rep_ended && !e->trap;
}

/* A step has ended; go on with further rounds of a REP. */
static enum lodge_emu_result finish(struct lodge_emu *e)
{
	while (!e->end && more_rounds(e) && --e->left &&
	       !(e->ops->pending && e->ops->pending(e->cpu)))
		step(e);
	if (e->end != LODGE_EMU_NEED_IO) {
		e->state = EMU_IDLE;
		e->fetched = 0;
	}
	return (enum lodge_emu_result)e->end;
}

static enum lodge_emu_result start(struct lodge_emu *e, unsigned kind)
{
	e->kind = (uint8_t)kind;
	e->todo = LODGE_EMU_TODO_NONE;
	e->trap = false;
	e->t_bit = false;
	e->nanswers = 0;
	e->left = EMU_REP_STEPS;
	e->insn.len = 0;
	if (kind == EMU_INSN)
		fetch(e);
	else
		find_mode(e);
	if (!e->end) {
		e->state = EMU_RUNS;
		step(e);
	}
	return finish(e);
}

enum lodge_emu_result lodge_emu_run(struct lodge_emu *e)
{
	return start(e, EMU_INSN);
}

enum lodge_emu_result lodge_emu_real_event(struct lodge_emu *e, uint8_t vector, uint64_t return_rip)
{
	e->arg = vector;
	e->arg_rip = return_rip;
	return start(e, EMU_REAL_EVENT);
}

enum lodge_emu_result lodge_emu_task_switch(struct lodge_emu *e, uint16_t sel,
					    enum lodge_emu_task_reason reason, bool has_error,
					    uint32_t error)
{
	e->arg = sel;
	e->arg_reason = (uint8_t)reason;
	e->arg_has_error = has_error;
	e->arg_error = error;
	return start(e, EMU_TASK);
}

enum lodge_emu_result lodge_emu_resume(struct lodge_emu *e)
{
	const struct lodge_emu_io *io = &e->io;
	struct lodge_emu_answered *a = &e->answers[e->nanswers];
	unsigned state = e->state;

	e->state = EMU_RUNS;
	e->end = 0;
	switch (state) {
	case EMU_WAITS_READ:
		*a = (struct lodge_emu_answered){.port = io->port,
						 .addr = io->addr,
						 .len = io->size};
		__builtin_memcpy(&a->data, io->data, io->size);
		e->nanswers++;
		break;
	case EMU_WAITS_AHEAD:
		e->ahead.port = (uint16_t)io->addr;
		e->ahead.size = io->size;
		e->ahead.count = io->count;
		e->ahead.at = 0;
		__builtin_memcpy(e->ahead.data, io->data, (size_t)io->size * io->count);
		break;
	case EMU_WAITS_WRITE:
		e->writes[e->nwritten].done = (uint8_t)(e->writes[e->nwritten].done + io->size);
		emu_commit(e);
		return finish(e);
	case EMU_WAITS_OUT:
		e->has_out = false;
		emu_commit(e);
		return finish(e);
	default: /* nothing waited */
		e->state = EMU_IDLE;
		return LODGE_EMU_RETRY;
	}
	step(e);
	return finish(e);
}

void lodge_emu_drop(struct lodge_emu *e)
{
	e->state = EMU_IDLE;
	e->fetched = 0;
	e->ahead.count = 0;
	e->ahead.at = 0;
}

bool lodge_emu_waits(const struct lodge_emu *e)
{
	return e->state >= EMU_WAITS_READ;
}
