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

uint64_t emu_operand_linear(struct lodge_emu *e)
{
	uint64_t off = emu_ea(e);

	if (EMU_64(e))
		return off + (e->insn.seg >= LODGE_EMU_FS ? emu_seg(e, e->insn.seg)->base : 0);
	return (off + emu_seg(e, e->insn.seg)->base) & 0xffffffff;
}

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

static int mem_linear(struct lodge_emu *e, uint64_t off, unsigned len, unsigned access,
		      uint64_t *lin)
{
	uint64_t ea = (emu_ea(e) + off) & emu_mask(e->insn.addrsize);

	/* Before the segment's limit is looked at. */
	if ((e->insn.flags & X86_IF_ALIGNED) && ((emu_operand_linear(e) + off) & (len - 1)))
		return emu_gp(e);
	return emu_linear(e, e->insn.seg, ea, len, access, lin);
}

int emu_get_mem(struct lodge_emu *e, uint64_t off, void *buf, unsigned len)
{
	unsigned access = access_of(&e->insn);
	uint64_t lin = 0;
	int r = mem_linear(e, off, len, access, &lin);

	return r ? r : emu_read_lin(e, lin, buf, len, access);
}

int emu_set_mem(struct lodge_emu *e, uint64_t off, const void *buf, unsigned len)
{
	uint64_t lin = 0;
	int r = mem_linear(e, off, len, LODGE_EMU_W, &lin);

	return r ? r : emu_write_lin(e, lin, buf, len, LODGE_EMU_W);
}

int emu_get_far(struct lodge_emu *e, unsigned size, uint64_t *off, uint16_t *sel)
{
	uint8_t buf[10];
	int r = emu_get_mem(e, 0, buf, size + 2);

	*off = 0;
	*sel = 0;
	if (r)
		return r;
	__builtin_memcpy(off, buf, size);
	__builtin_memcpy(sel, buf + size, 2);
	return 0;
}

int emu_get(struct lodge_emu *e, unsigned n, uint64_t *v)
{
	const struct x86_operand *o = &e->insn.opd[n];

	*v = 0;
	switch (o->kind) {
	case X86_OPD_REG:
		*v = o->rc == X86_RC_GPRH ? e->w[o->reg] >> 8 & 0xff
					  : e->w[o->reg] & emu_mask(o->size);
		return 0;
	case X86_OPD_MEM:
		return emu_get_mem(e, 0, v, o->size <= 8 ? o->size : 8);
	case X86_OPD_IMM2:
		*v = e->insn.imm2;
		return 0;
	default:
		*v = e->insn.imm;
		return 0;
	}
}

int emu_set(struct lodge_emu *e, unsigned n, uint64_t v)
{
	const struct x86_operand *o = &e->insn.opd[n];

	if (o->kind == X86_OPD_MEM)
		return emu_set_mem(e, 0, &v, o->size <= 8 ? o->size : 8);
	if (o->rc == X86_RC_GPRH)
		e->w[o->reg] = (e->w[o->reg] & ~0xff00ull) | (v & 0xff) << 8;
	else
		emu_set_gpr(e, o->reg, v, o->size);
	return 0;
}

/* ---- Stack ---------------------------------------------------------------------------------- */

unsigned emu_stack_bytes(struct lodge_emu *e)
{
	if (EMU_64(e))
		return 8;
	return emu_seg(e, LODGE_EMU_SS)->attr & SEG_ATTR_DB ? 4 : 2;
}

int emu_push(struct lodge_emu *e, uint64_t v, unsigned bytes)
{
	unsigned sb = emu_stack_bytes(e);
	uint64_t sp = (e->w[R_RSP] - bytes) & emu_mask(sb);
	int r = emu_write_seg(e, LODGE_EMU_SS, sp, &v, bytes);

	if (!r)
		emu_set_gpr(e, R_RSP, sp, sb);
	return r;
}

int emu_pop(struct lodge_emu *e, uint64_t *v, unsigned bytes)
{
	unsigned sb = emu_stack_bytes(e);
	int r;

	*v = 0;
	r = emu_read_seg(e, LODGE_EMU_SS, e->w[R_RSP] & emu_mask(sb), v, bytes);
	if (!r)
		emu_add_gpr(e, R_RSP, bytes, sb);
	return r;
}

/* ---- rip and RFLAGS ------------------------------------------------------------------------- */

int emu_jump(struct lodge_emu *e, uint64_t rip, unsigned bytes)
{
	rip &= emu_mask(bytes);
	if (EMU_64(e) ? !emu_canonical(e, rip) : rip > emu_seg(e, LODGE_EMU_CS)->limit)
		return emu_gp(e);
	e->wrip = rip;
	return 0;
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
	bool v = false, sf = flags & FLAG_SF, of = flags & FLAG_OF;

	switch (cc >> 1) {
	case 0:
		v = of;
		break;
	case 1:
		v = flags & FLAG_CF;
		break;
	case 2:
		v = flags & FLAG_ZF;
		break;
	case 3:
		v = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		v = sf;
		break;
	case 5:
		v = flags & FLAG_PF;
		break;
	case 6:
		v = sf != of;
		break;
	default:
		v = (flags & FLAG_ZF) || sf != of;
		break;
	}
	return v != (cc & 1);
}
