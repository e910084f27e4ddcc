// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's strings and ports. One round of a REP is one step, all or nothing; INS
 * and OUTS take many elements of a port at once.
 * Source: Intel SDM vol. 1 §7.3.9, §19.5 (who may use ports); vol. 2. Threads: the vCPU's own.
 */
#include "emu_int.h"

static bool has_rep(const struct lodge_emu *e)
{
	return e->insn.flags & (X86_IF_REP | X86_IF_REPNE);
}

/* A counter or an offset: as wide as addresses. */
static uint64_t narrow(const struct lodge_emu *e, unsigned reg)
{
	return e->w[reg] & emu_mask(e->insn.addrsize);
}

static void narrow_at_once(struct lodge_emu *e, unsigned reg)
{
	e->gpr[reg] = e->w[reg] = (uint32_t)e->w[reg];
}

/*
 * In 64-bit mode with 32-bit addresses Intel's processors clear the upper half of the counter before anything else,
 * MOVS and STOS those of their addresses, too, and a fault does not bring them back; AMD's as the registers move.
 */
static void narrow_first(struct lodge_emu *e)
{
	unsigned op = e->insn.op;

	if (!e->intel || !EMU_64(e) || e->insn.addrsize != 4 || !has_rep(e))
		return;
	narrow_at_once(e, R_RCX);
	if (op == X86_OP_MOVS)
		narrow_at_once(e, R_RSI);
	if (op == X86_OP_MOVS || op == X86_OP_STOS)
		narrow_at_once(e, R_RDI);
}

/* False: a REP whose count is 0 does nothing. */
static bool begin_round(struct lodge_emu *e)
{
	bool some = !has_rep(e) || narrow(e, R_RCX);

	e->rep_ended = !has_rep(e) || !some;
	return some;
}

static void move_on(struct lodge_emu *e, unsigned reg, unsigned size, unsigned n)
{
	uint64_t by = (uint64_t)size * n;

	emu_add_gpr(e, reg, e->wflags & FLAG_DF ? -by : by, e->insn.addrsize);
}

/* `n` elements are done. */
static void end_round(struct lodge_emu *e, unsigned n)
{
	if (!has_rep(e))
		return;
	emu_add_gpr(e, R_RCX, -(uint64_t)n, e->insn.addrsize);
	if (!narrow(e, R_RCX))
		e->rep_ended = true;
}

/* An element is taken from memory (DS:rSI, ES:rDI) or rAX, and stored or compared. */
void emu_do_string(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = e->insn.opd[0].size;
	bool src = op == X86_OP_MOVS || op == X86_OP_LODS || op == X86_OP_CMPS;
	bool compare = op == X86_OP_CMPS || op == X86_OP_SCAS;
	bool store = op == X86_OP_MOVS || op == X86_OP_STOS;
	uint64_t a = e->w[R_RAX] & emu_mask(size), b = 0;

	narrow_first(e);
	if (!begin_round(e))
		return;
	if (compare)
		b = emu_read_seg(e, LODGE_EMU_ES, narrow(e, R_RDI), size);
	if (src)
		a = emu_read_seg(e, e->insn.seg, narrow(e, R_RSI), size);
	if (store)
		emu_write_seg(e, LODGE_EMU_ES, narrow(e, R_RDI), a, size);
	else if (op == X86_OP_LODS)
		emu_set_gpr(e, R_RAX, a, size);
	if (src)
		move_on(e, R_RSI, size, 1);
	if (store || compare)
		move_on(e, R_RDI, size, 1);
	end_round(e, 1);
	if (compare) {
		uint64_t before = e->wflags;

		emu_compute(e, size, a, b);
		/* A difference ends a REPE, equality a REPNE. */
		if (!(e->wflags & FLAG_ZF) == !(e->insn.flags & X86_IF_REPNE))
			e->rep_ended = true;
		/* Intel's processors set flags at the end alone (SDM vol. 2B REP). */
		if (!e->rep_ended && e->intel)
			e->wflags = before;
	}
}

/* ---- Ports ---------------------------------------------------------------------------------- */

void emu_io_check(struct lodge_emu *e, uint16_t port, unsigned size)
{
	const struct lodge_emu_seg *tr;
	uint32_t map;

	if ((e->hints & LODGE_EMU_IO_CHECKED) || !(e->cr0 & CR0_PE))
		return;
	if (!(e->wflags & FLAG_VM) && e->cpl <= EMU_IOPL(e))
		return;
	tr = emu_seg(e, LODGE_EMU_TR);
	if (tr->unusable || !(tr->attr & 8) || tr->limit < 103) /* 32- or 64-bit TSS */
		emu_gp(e);
	map = (uint32_t)emu_read_sys(e, tr->base + 102, 2) + port / 8;
	if (map + 1 > tr->limit)
		emu_gp(e);
	if (emu_read_sys(e, tr->base + map, 2) >> (port & 7) & ((1u << size) - 1))
		emu_gp(e);
}

static void put_out(struct lodge_emu *e, uint16_t port, unsigned size, unsigned count)
{
	if (e->end)
		return;
	e->io.port = true;
	e->io.addr = port;
	e->io.size = (uint8_t)size;
	e->io.count = (uint16_t)count;
	e->has_out = true;
}

void emu_do_io(struct lodge_emu *e)
{
	bool in = e->insn.op == X86_OP_IN;
	unsigned size = e->insn.opd[in ? 0 : 1].size;
	uint16_t port = (uint16_t)emu_get(e, in ? 1 : 0);
	uint64_t v = 0;

	emu_io_check(e, port, size);
	if (in) {
		emu_ask(e, true, port, &v, size);
		emu_set_gpr(e, R_RAX, v, size);
	} else {
		__builtin_memcpy(e->io.data, &e->w[R_RAX], size);
		put_out(e, port, size, 1);
	}
}

/* How many elements at linear address `lin` go together: up to the end of its page. */
static unsigned batch(struct lodge_emu *e, uint64_t lin, uint64_t off, unsigned size)
{
	uint64_t n = has_rep(e) ? narrow(e, R_RCX) : 1, room = emu_mask(e->insn.addrsize) - off;

	if (n <= 1 || (e->wflags & (FLAG_DF | FLAG_TF)))
		return 1;
	if (n > LODGE_EMU_IO_BYTES / size)
		n = LODGE_EMU_IO_BYTES / size;
	if (room > 0xfff - (lin & 0xfff))
		room = 0xfff - (lin & 0xfff);
	if (n > (room + 1) / size)
		n = (room + 1) / size;
	return n ? (unsigned)n : 1;
}

/* The next of at most `n` elements of the port: from what has come already, or more is asked for. */
static uint64_t next_in(struct lodge_emu *e, uint16_t port, unsigned size, unsigned n)
{
	uint64_t v = 0;
	int r;

	if (e->end)
		return 0;
	if (e->ahead.at >= e->ahead.count || e->ahead.port != port || e->ahead.size != size) {
		e->ahead.count = 0;
		r = e->ops->pio(e->cpu, port, size, e->ahead.data, n, false);
		if (r == LODGE_EMU_USER) {
			e->io.port = true;
			emu_ask_user(e, EMU_WAITS_AHEAD, port, size, n);
			return 0;
		}
		if (!emu_ok(e, r))
			return 0;
		e->ahead.port = port;
		e->ahead.size = (uint8_t)size;
		e->ahead.count = (uint16_t)n;
		e->ahead.at = 0;
	}
	__builtin_memcpy(&v, e->ahead.data + (size_t)e->ahead.at * size, size);
	return v;
}

void emu_do_ins(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint16_t port = (uint16_t)e->w[R_RDX];
	uint64_t off = narrow(e, R_RDI), lin;

	emu_io_check(e, port, size);
	if (!begin_round(e))
		return;
	/* Where it goes must be there before the device is asked. */
	lin = emu_linear(e, LODGE_EMU_ES, off, size, LODGE_EMU_W);
	emu_translate(e, lin, LODGE_EMU_W);
	if (emu_in_page(lin, size) < size)
		emu_translate(e, lin + size - 1, LODGE_EMU_W);
	emu_write_seg(e, LODGE_EMU_ES, off, next_in(e, port, size, batch(e, lin, off, size)), size);
	e->ahead_used = true;
	move_on(e, R_RDI, size, 1);
	end_round(e, 1);
}

/* `n` elements of memory at once, in e->io.data; one, if that is no memory or too much. */
static unsigned load_many(struct lodge_emu *e, unsigned size, unsigned n)
{
	uint64_t off = narrow(e, R_RSI), lin, gpa, v;

	if (n > 1 && !e->end) {
		lin = emu_linear(e, e->insn.seg, off, n * size, LODGE_EMU_R);
		gpa = emu_translate(e, lin, LODGE_EMU_R);
		if (!e->end && e->ops->read(e->cpu, gpa, e->io.data, n * size) == LODGE_EMU_OK)
			return n;
		e->end = 0;
	}
	v = emu_read_seg(e, e->insn.seg, off, size);
	if (!e->end) /* else it may be a question to user space that is there */
		__builtin_memcpy(e->io.data, &v, size);
	return 1;
}

void emu_do_outs(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[1].size, n;
	uint16_t port = (uint16_t)e->w[R_RDX];
	uint64_t off = narrow(e, R_RSI), lin;

	emu_io_check(e, port, size);
	if (!begin_round(e))
		return;
	lin = emu_linear(e, e->insn.seg, off, size, LODGE_EMU_R);
	n = load_many(e, size, batch(e, lin, off, size));
	put_out(e, port, size, n);
	move_on(e, R_RSI, size, n);
	end_round(e, n);
}
