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

static uint64_t count_left(const struct lodge_emu *e)
{
	return e->w[R_RCX] & emu_mask(e->insn.addrsize);
}

/* False: a REP whose count is 0 does nothing, but write ECX as it is. */
static bool begin_round(struct lodge_emu *e)
{
	e->rep_ended = !has_rep(e);
	if (!has_rep(e) || count_left(e))
		return true;
	e->rep_ended = true;
	return false;
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
	if (!count_left(e))
		e->rep_ended = true;
}

static uint64_t offset(const struct lodge_emu *e, unsigned reg)
{
	return e->w[reg] & emu_mask(e->insn.addrsize);
}

static int load_src(struct lodge_emu *e, uint64_t *v, unsigned size)
{
	*v = 0;
	return emu_read_seg(e, e->insn.seg, offset(e, R_RSI), v, size);
}

static int load_dst(struct lodge_emu *e, uint64_t *v, unsigned size)
{
	*v = 0;
	return emu_read_seg(e, LODGE_EMU_ES, offset(e, R_RDI), v, size);
}

static int store_dst(struct lodge_emu *e, uint64_t v, unsigned size)
{
	return emu_write_seg(e, LODGE_EMU_ES, offset(e, R_RDI), &v, size);
}

/* CMPS and SCAS end a REPE on a difference, a REPNE on equality. */
static void end_compare(struct lodge_emu *e, unsigned size, uint64_t a, uint64_t b)
{
	emu_compute(e, size, a, b);
	if (has_rep(e) && !(e->wflags & FLAG_ZF) == !(e->insn.flags & X86_IF_REPNE))
		e->rep_ended = true;
}

static int one_element(struct lodge_emu *e, unsigned size)
{
	uint64_t a = e->w[R_RAX] & emu_mask(size), b;
	int r;

	switch (e->insn.op) {
	case X86_OP_MOVS:
		r = load_src(e, &a, size);
		return r ? r : store_dst(e, a, size);
	case X86_OP_STOS:
		return store_dst(e, a, size);
	case X86_OP_LODS:
		r = load_src(e, &a, size);
		if (!r)
			emu_set_gpr(e, R_RAX, a, size);
		return r;
	case X86_OP_CMPS:
		r = load_dst(e, &b, size);
		if (!r)
			r = load_src(e, &a, size);
		break;
	default: /* SCAS */
		r = load_dst(e, &b, size);
		break;
	}
	if (!r)
		end_compare(e, size, a, b);
	return r;
}

int emu_do_string(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size, op = e->insn.op;
	int r;

	if (op == X86_OP_LODS || op == X86_OP_STOS || op == X86_OP_SCAS) {
		for (unsigned i = 0; i < e->insn.nopds; i++)
			size = e->insn.opd[i].size ? e->insn.opd[i].size : size;
	}
	if (!begin_round(e))
		return 0;
	r = one_element(e, size);
	if (r)
		return r;
	if (op != X86_OP_STOS && op != X86_OP_SCAS)
		move_on(e, R_RSI, size, 1);
	if (op != X86_OP_LODS)
		move_on(e, R_RDI, size, 1);
	end_round(e, 1);
	return 0;
}

/* ---- Ports ---------------------------------------------------------------------------------- */

int emu_io_allowed(struct lodge_emu *e, uint16_t port, unsigned size)
{
	const struct lodge_emu_seg *tr;
	uint16_t map = 0, bits = 0;
	int r;

	if ((e->hints & LODGE_EMU_IO_CHECKED) || !(e->cr0 & CR0_PE))
		return 0;
	if (!(e->wflags & FLAG_VM) && e->cpl <= EMU_IOPL(e))
		return 0;
	tr = emu_seg(e, LODGE_EMU_TR);
	if (tr->unusable || !(tr->attr & 8) || tr->limit < 103) /* 32- or 64-bit TSS */
		return emu_gp(e);
	r = emu_read_lin(e, tr->base + 102, &map, 2, LODGE_EMU_R | LODGE_EMU_SYS);
	if (r)
		return r;
	if ((uint32_t)map + port / 8 + 1 > tr->limit)
		return emu_gp(e);
	r = emu_read_lin(e, tr->base + map + port / 8, &bits, 2, LODGE_EMU_R | LODGE_EMU_SYS);
	if (!r && (bits >> (port & 7) & ((1u << size) - 1)))
		return emu_gp(e);
	return r;
}

static void put_out(struct lodge_emu *e, uint16_t port, unsigned size, unsigned count)
{
	e->io.port = true;
	e->io.write = true;
	e->io.addr = port;
	e->io.size = (uint8_t)size;
	e->io.count = (uint16_t)count;
	e->has_out = true;
}

int emu_do_io(struct lodge_emu *e)
{
	bool in = e->insn.op == X86_OP_IN;
	unsigned size = e->insn.opd[in ? 0 : 1].size;
	uint64_t port = 0, v = 0;
	int r;

	emu_get(e, in ? 1 : 0, &port);
	port &= 0xffff;
	r = emu_io_allowed(e, (uint16_t)port, size);
	if (r)
		return r;
	if (in) {
		r = emu_ask(e, true, port, &v, size);
		if (!r)
			emu_set_gpr(e, R_RAX, v, size);
		return r;
	}
	__builtin_memcpy(e->io.data, &e->w[R_RAX], size);
	put_out(e, (uint16_t)port, size, 1);
	return 0;
}

/* How many elements go together: up to the end of the page at `off`. */
static unsigned batch(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned size)
{
	uint64_t n = has_rep(e) ? count_left(e) : 1, lin = 0,
		 room = emu_mask(e->insn.addrsize) - off;

	if (n <= 1 || (e->wflags & (FLAG_DF | FLAG_TF)) ||
	    emu_linear(e, seg, off, size, LODGE_EMU_R, &lin))
		return 1;
	if (n > LODGE_EMU_IO_BYTES / size)
		n = LODGE_EMU_IO_BYTES / size;
	if (room > 0xfff - (lin & 0xfff))
		room = 0xfff - (lin & 0xfff);
	if (n > (room + 1) / size)
		n = (room + 1) / size;
	return n ? (unsigned)n : 1;
}

/* The next element of the port: from what has come already, or more is asked for. */
static int next_in(struct lodge_emu *e, uint16_t port, unsigned size, void *buf)
{
	int r;

	if (e->ahead.at >= e->ahead.count || e->ahead.port != port || e->ahead.size != size) {
		unsigned n = batch(e, LODGE_EMU_ES, offset(e, R_RDI), size);

		e->ahead.count = 0;
		r = e->ops->pio_in(e->cpu, port, size, e->ahead.data, n);
		if (r == LODGE_EMU_USER) {
			e->io.port = true;
			e->io.write = false;
			e->io.addr = port;
			e->io.size = (uint8_t)size;
			e->io.count = (uint16_t)n;
			e->state = EMU_WAITS_AHEAD;
			return LODGE_EMU_NEED_IO;
		}
		if (r)
			return emu_answer(r);
		e->ahead.port = port;
		e->ahead.size = (uint8_t)size;
		e->ahead.count = (uint16_t)n;
		e->ahead.at = 0;
	}
	__builtin_memcpy(buf, e->ahead.data + (size_t)e->ahead.at * size, size);
	return 0;
}

int emu_do_ins(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint16_t port = (uint16_t)e->w[R_RDX];
	uint64_t v = 0, lin = 0, gpa = 0;
	int r = emu_io_allowed(e, port, size);

	if (r)
		return r;
	if (!begin_round(e))
		return 0;
	/* Where it goes must be there before the device is asked. */
	r = emu_linear(e, LODGE_EMU_ES, offset(e, R_RDI), size, LODGE_EMU_W, &lin);
	if (!r)
		r = emu_translate(e, lin, LODGE_EMU_W, &gpa);
	if (!r && (lin & 0xfff) + size > 0x1000)
		r = emu_translate(e, lin + size - 1, LODGE_EMU_W, &gpa);
	if (!r)
		r = next_in(e, port, size, &v);
	if (!r)
		r = store_dst(e, v, size);
	if (r)
		return r;
	e->ahead_used = true;
	move_on(e, R_RDI, size, 1);
	end_round(e, 1);
	return 0;
}

/* `n` elements of memory at once; less than asked for if that is no memory. */
static int load_many(struct lodge_emu *e, unsigned size, unsigned *n)
{
	uint64_t off = offset(e, R_RSI), lin = 0, gpa = 0;
	int r;

	if (*n > 1) {
		r = emu_linear(e, e->insn.seg, off, *n * size, LODGE_EMU_R, &lin);
		if (!r)
			r = emu_translate(e, lin, LODGE_EMU_R, &gpa);
		if (!r && e->ops->read(e->cpu, gpa, e->io.data, *n * size) == LODGE_EMU_OK)
			return 0;
		*n = 1;
	}
	return emu_read_seg(e, e->insn.seg, off, e->io.data, size);
}

int emu_do_outs(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[1].size, n;
	uint16_t port = (uint16_t)e->w[R_RDX];
	int r = emu_io_allowed(e, port, size);

	if (r)
		return r;
	if (!begin_round(e))
		return 0;
	n = batch(e, e->insn.seg, offset(e, R_RSI), size);
	r = load_many(e, size, &n);
	if (r)
		return r;
	put_out(e, port, size, n);
	move_on(e, R_RSI, size, n);
	end_round(e, n);
	return 0;
}
