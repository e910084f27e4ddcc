// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator: entry points, fetch, decode, and the loop over the steps of a REP.
 * Source: Intel SDM vol. 3A §5.3, §6.15; vol. 2A §2. Threads: the vCPU's own.
 */
#include "emu_int.h"

void lodge_emu_init(struct lodge_emu *e, const struct lodge_emu_ops *ops, void *cpu)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->ops = ops;
	e->cpu = cpu;
}

int emu_raise(struct lodge_emu *e, uint8_t vector, uint32_t error)
{
	e->ex.vector = vector;
	e->ex.has_error = e->cr0 & CR0_PE; /* real mode pushes none */
	e->ex.error = e->ex.has_error ? error : 0;
	e->ex.cr2 = 0;
	return LODGE_EMU_EXCEPTION;
}

int emu_raise_plain(struct lodge_emu *e, uint8_t vector)
{
	e->ex.vector = vector;
	e->ex.has_error = false;
	e->ex.error = 0;
	e->ex.cr2 = 0;
	return LODGE_EMU_EXCEPTION;
}

int emu_answer(int answer)
{
	switch (answer) {
	case LODGE_EMU_OK:
		return 0;
	case LODGE_EMU_FAULT:
		return LODGE_EMU_EXCEPTION;
	case LODGE_EMU_AGAIN:
		return LODGE_EMU_RETRY;
	default:
		return LODGE_EMU_REFUSED;
	}
}

/* ---- Fetch and decode ----------------------------------------------------------------------- */

static void find_mode(struct lodge_emu *e)
{
	const struct lodge_emu_seg *cs;

	e->wflags = e->rflags;
	cs = emu_seg(e, LODGE_EMU_CS);
	if (EMU_LONG(e) && (cs->attr & SEG_ATTR_L))
		e->mode = X86_MODE_64;
	else if (e->rflags & FLAG_VM)
		e->mode = X86_MODE_16;
	else
		e->mode = cs->attr & SEG_ATTR_DB ? X86_MODE_32 : X86_MODE_16;
}

/* Bytes from `have` on, as far as the page and the segment go. */
static int fetch_more(struct lodge_emu *e, unsigned have, unsigned *got)
{
	const struct lodge_emu_seg *cs = emu_seg(e, LODGE_EMU_CS);
	uint64_t off = e->rip + have, lin = off, gpa = 0;
	unsigned n = X86_MAX_INSN_BYTES - have;
	int r;

	if (!EMU_64(e)) {
		off &= 0xffffffff;
		if (off > cs->limit)
			return emu_gp(e);
		if (cs->limit - off < n - 1)
			n = (unsigned)(cs->limit - off) + 1;
		lin = (cs->base + off) & 0xffffffff;
	} else if (!emu_canonical(e, lin)) {
		return emu_gp(e);
	}
	if (0x1000 - (lin & 0xfff) < n)
		n = 0x1000 - (unsigned)(lin & 0xfff);
	r = e->ops->translate(e->cpu, lin, LODGE_EMU_X | (e->cpl == 3 ? LODGE_EMU_U : 0), &gpa,
			      &e->ex);
	if (r)
		return emu_answer(r);
	r = e->ops->read(e->cpu, gpa, e->bytes + have, n);
	if (r)
		return emu_answer(r);
	*got = n;
	return 0;
}

static int decoded(struct lodge_emu *e, int len)
{
	if (len == X86_DECODE_LONG)
		return emu_gp(e);
	if (len == X86_DECODE_UD)
		return e->hints & LODGE_EMU_VALID ? LODGE_EMU_REFUSED : emu_ud(e);
	if (len < 0)
		return LODGE_EMU_REFUSED;
	if ((e->insn.flags & X86_IF_VEX) && !EMU_PM(e))
		return emu_ud(e);
	e->next_rip = lodge_emu_next_rip(e);
	return 0;
}

static int fetch(struct lodge_emu *e)
{
	unsigned have = e->fetched < X86_MAX_INSN_BYTES ? e->fetched : X86_MAX_INSN_BYTES;
	int len = X86_DECODE_MORE, r;

	e->insn.len = 0;
	e->seg_known = 0;
	e->seg_dirty = 0;
	find_mode(e);
	if (have)
		len = x86_decode(&e->insn, e->bytes, have, (enum x86_mode)e->mode);
	while (len == X86_DECODE_MORE && have < X86_MAX_INSN_BYTES) {
		unsigned got = 0;

		r = fetch_more(e, have, &got);
		if (r) {
			e->fetched = (uint8_t)have;
			return r;
		}
		have += got;
		len = x86_decode(&e->insn, e->bytes, have, (enum x86_mode)e->mode);
	}
	e->fetched = (uint8_t)have;
	return decoded(e, len);
}

uint64_t lodge_emu_next_rip(const struct lodge_emu *e)
{
	uint64_t next = e->rip + e->insn.len;

	if (EMU_64(e))
		return next;
	return next & (e->mode == X86_MODE_32 ? 0xffffffff : e->rip > 0xffff ? 0xffffffff : 0xffff);
}

enum lodge_emu_result lodge_emu_decode(struct lodge_emu *e)
{
	e->state = EMU_IDLE;
	e->kind = EMU_INSN;
	return (enum lodge_emu_result)fetch(e);
}

uint64_t lodge_emu_linear(struct lodge_emu *e)
{
	emu_begin(e);
	return emu_operand_linear(e);
}

/* ---- Running -------------------------------------------------------------------------------- */

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

static int execute(struct lodge_emu *e)
{
	emu_fn fn;

	if (e->kind == EMU_REAL_EVENT)
		return emu_real_event(e, (uint8_t)e->arg, e->arg_rip);
	if (e->kind == EMU_TASK)
		return emu_task(e);
	fn = emu_handler(e->insn.op);
	if (!fn)
		return LODGE_EMU_REFUSED;
	if ((e->insn.flags & X86_IF_PRIV) && e->cpl)
		return not_there(e) ? emu_ud(e) : emu_gp(e);
	return fn(e);
}

/* One step from its start: the instruction, or one round of a REP. */
static int step(struct lodge_emu *e)
{
	int r;

	emu_begin(e);
	r = execute(e);
	return r ? r : emu_commit(e);
}

static bool more_rounds(const struct lodge_emu *e)
{
	return e->kind == EMU_INSN && (e->insn.flags & (X86_IF_REP | X86_IF_REPNE)) &&
	       !e->rep_ended && !e->trap;
}

/* A step has ended as `r`; go on with further rounds of a REP. */
static enum lodge_emu_result finish(struct lodge_emu *e, int r)
{
	while (!r && more_rounds(e) && --e->left && !(e->ops->pending && e->ops->pending(e->cpu)))
		r = step(e);
	if (r != LODGE_EMU_NEED_IO) {
		e->state = EMU_IDLE;
		e->fetched = 0;
	}
	return (enum lodge_emu_result)r;
}

static enum lodge_emu_result start(struct lodge_emu *e, unsigned kind)
{
	int r = 0;

	e->kind = (uint8_t)kind;
	e->todo = LODGE_EMU_TODO_NONE;
	e->trap = false;
	e->t_bit = false;
	e->nanswers = 0;
	e->left = EMU_REP_STEPS;
	if (kind == EMU_INSN) {
		r = fetch(e);
	} else {
		e->insn.len = 0;
		e->seg_known = 0;
		find_mode(e);
	}
	if (r)
		return finish(e, r);
	e->state = EMU_RUNS;
	return finish(e, step(e));
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

/* User space has answered a read. */
static void take_answer(struct lodge_emu *e)
{
	struct lodge_emu_answered *a = &e->answers[e->nanswers++];

	a->port = e->io.port;
	a->addr = e->io.addr;
	a->len = e->io.size;
	a->data = 0;
	__builtin_memcpy(&a->data, e->io.data, e->io.size);
}

static void take_ahead(struct lodge_emu *e)
{
	e->ahead.port = (uint16_t)e->io.addr;
	e->ahead.size = e->io.size;
	e->ahead.count = e->io.count;
	e->ahead.at = 0;
	__builtin_memcpy(e->ahead.data, e->io.data, (size_t)e->io.size * e->io.count);
}

enum lodge_emu_result lodge_emu_resume(struct lodge_emu *e)
{
	unsigned state = e->state;

	e->state = EMU_RUNS;
	switch (state) {
	case EMU_WAITS_READ:
		take_answer(e);
		return finish(e, step(e));
	case EMU_WAITS_AHEAD:
		take_ahead(e);
		return finish(e, step(e));
	case EMU_WAITS_WRITE:
		e->writes[e->nwritten].done = (uint8_t)(e->writes[e->nwritten].done + e->io.size);
		return finish(e, emu_commit(e));
	case EMU_WAITS_OUT:
		e->has_out = false;
		return finish(e, emu_commit(e));
	default: /* nothing waited */
		e->state = EMU_IDLE;
		return LODGE_EMU_RETRY;
	}
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
