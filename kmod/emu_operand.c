// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's operands, stack, near jumps and changes of RFLAGS.
 * Source: Intel SDM vol. 1 §3.7, §6.2; vol. 2A §2.1.5; vol. 2B POPF; vol. 3A §2.3.
 * Threads: the vCPU's own.
 */
#include "emu_int.h"

uint64_t emu_ea(struct lodge_emu *e)
{
	const struct x86_insn *in = &e->insn;
	uint64_t ea = (uint64_t)in->disp;

	if (in->base < 16)
		ea += e->w[in->base];
	else if (in->base == X86_REG_RIP)
		ea += e->next_rip;
	if (in->index < 16)
		ea += e->w[in->index] << in->scale;
	return ea & emu_mask(in->addrsize);
}

/* What the instruction does with its memory operand. */
static unsigned access_of(const struct x86_insn *in)
{
	unsigned access = 0;

	for (unsigned i = 0; i < in->nopds; i++) {
		if (in->opd[i].kind == X86_OPD_MEM && !in->opd[i].implicit)
			access = (in->opd[i].access & X86_ACC_R ? LODGE_EMU_R : 0) |
				 (in->opd[i].access & X86_ACC_W ? LODGE_EMU_W : 0);
	}
	return access ? access : LODGE_EMU_R;
}

static uint64_t mem_linear(struct lodge_emu *e, uint64_t off, unsigned len, unsigned access)
{
	unsigned seg = e->insn.seg;
	uint64_t ea = emu_ea(e);

	/* Before the segment's limit is looked at. */
	if (e->insn.flags & X86_IF_ALIGNED) {
		uint64_t base = EMU_64(e) && seg < LODGE_EMU_FS ? 0 : emu_seg(e, seg)->base;

		if ((base + ea + off) & (len - 1))
			emu_gp(e);
	}
	return emu_linear(e, seg, (ea + off) & emu_mask(e->insn.addrsize), len, access);
}

void emu_get_mem(struct lodge_emu *e, uint64_t off, void *buf, unsigned len)
{
	unsigned access = access_of(&e->insn);

	emu_read_lin(e, mem_linear(e, off, len, access), buf, len, access);
}

void emu_set_mem(struct lodge_emu *e, uint64_t off, const void *buf, unsigned len)
{
	emu_write_lin(e, mem_linear(e, off, len, LODGE_EMU_W), buf, len, LODGE_EMU_W);
}

uint16_t emu_get_far(struct lodge_emu *e, unsigned size, uint64_t *off)
{
	uint8_t buf[10];
	uint16_t sel;

	emu_get_mem(e, 0, buf, size + 2);
	*off = 0;
	__builtin_memcpy(off, buf, size);
	__builtin_memcpy(&sel, buf + size, 2);
	return sel;
}

uint64_t emu_get(struct lodge_emu *e, unsigned n)
{
	const struct x86_operand *o = &e->insn.opd[n];
	uint64_t v = 0;

	switch (o->kind) {
	case X86_OPD_REG:
		return o->rc == X86_RC_GPRH ? e->w[o->reg] >> 8 & 0xff
					    : e->w[o->reg] & emu_mask(o->size);
	case X86_OPD_MEM:
		emu_get_mem(e, 0, &v, o->size <= 8 ? o->size : 8);
		return v;
	case X86_OPD_IMM2:
		return e->insn.imm2;
	default:
		return e->insn.imm;
	}
}

void emu_set(struct lodge_emu *e, unsigned n, uint64_t v)
{
	const struct x86_operand *o = &e->insn.opd[n];

	if (o->kind == X86_OPD_MEM)
		emu_set_mem(e, 0, &v, o->size <= 8 ? o->size : 8);
	else if (o->rc == X86_RC_GPRH)
		e->w[o->reg] = (e->w[o->reg] & ~0xff00ull) | (v & 0xff) << 8;
	else
		emu_set_gpr(e, o->reg, v, o->size);
}

/* ---- Stack ---------------------------------------------------------------------------------- */

unsigned emu_stack_bytes(struct lodge_emu *e)
{
	if (EMU_64(e))
		return 8;
	return emu_seg(e, LODGE_EMU_SS)->attr & SEG_ATTR_DB ? 4 : 2;
}

void emu_push(struct lodge_emu *e, uint64_t v, unsigned bytes)
{
	unsigned sb = emu_stack_bytes(e);

	emu_add_gpr(e, R_RSP, -(uint64_t)bytes, sb);
	emu_write_seg(e, LODGE_EMU_SS, e->w[R_RSP] & emu_mask(sb), v, bytes);
}

uint64_t emu_pop(struct lodge_emu *e, unsigned bytes)
{
	unsigned sb = emu_stack_bytes(e);
	uint64_t v = emu_read_seg(e, LODGE_EMU_SS, e->w[R_RSP] & emu_mask(sb), bytes);

	emu_add_gpr(e, R_RSP, bytes, sb);
	return v;
}

/* ---- rip and RFLAGS ------------------------------------------------------------------------- */

void emu_jump(struct lodge_emu *e, uint64_t rip, unsigned bytes)
{
	rip &= emu_mask(bytes);
	if (EMU_64(e) ? !emu_canonical(e, rip) : rip > emu_seg(e, LODGE_EMU_CS)->limit)
		emu_gp(e);
	e->wrip = rip;
}

void emu_set_flags(struct lodge_emu *e, uint64_t v, unsigned bytes, uint64_t more)
{
	uint64_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | more;

	if (e->cpl == 0)
		mask |= FLAG_IOPL;
	if (e->cpl <= EMU_IOPL(e))
		mask |= FLAG_IF;
	if (bytes == 2)
		mask &= 0xffff;
	e->wflags = (e->wflags & ~mask) | (v & mask) | FLAG_FIXED;
}

bool emu_condition(uint64_t flags, unsigned cc)
{
	bool cf = flags & FLAG_CF, zf = flags & FLAG_ZF, sf = flags & FLAG_SF, of = flags & FLAG_OF;
	const bool holds[8] = {of, cf, zf, cf || zf, sf, flags & FLAG_PF, sf != of, zf || sf != of};

	return holds[cc >> 1 & 7] != (cc & 1);
}

void emu_vm86_sensitive(struct lodge_emu *e)
{
	if (!(e->wflags & FLAG_VM) || EMU_IOPL(e) == 3)
		return;
	if (e->cr4 & CR4_VME)
		emu_end(e, LODGE_EMU_REFUSED);
	emu_gp(e);
}
