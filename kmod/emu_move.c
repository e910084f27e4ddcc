// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's moves: general registers, flags, vectors.
 * Source: Intel SDM vol. 2; vol. 3A §2.5, §13.1 (who may use vectors). Threads: the vCPU's own.
 */
#include "emu_int.h"

static uint64_t swap(uint64_t v, unsigned bytes)
{
	return __builtin_bswap64(v) >> (64 - 8 * bytes);
}

/* The first operand becomes something of the second. */
void emu_do_mov(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = e->insn.opd[0].size;
	bool holds = emu_condition(e->wflags, e->insn.cc);
	uint64_t v;

	switch (op) {
	case X86_OP_LEA:
		v = emu_ea(e);
		break;
	case X86_OP_SETCC:
		v = holds;
		break;
	case X86_OP_BSWAP: /* of 16 bits it is undefined; processors clear them */
		v = size == 2 ? 0 : swap(emu_get(e, 0), size);
		break;
	case X86_OP_MOVBE:
		v = swap(emu_get(e, 1), size);
		break;
	case X86_OP_MOVSX:
	case X86_OP_MOVSXD:
		v = emu_sext(emu_get(e, 1), e->insn.opd[1].size);
		break;
	default:
		v = emu_get(e, 1);
		/* The source is read and the destination's upper half cleared in either case. */
		if (op == X86_OP_CMOVCC && !holds)
			v = emu_get(e, 0);
		break;
	}
	emu_set(e, 0, v);
}

/* CBW, CWDE, CDQE; CWD, CDQ, CQO */
void emu_do_widen(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize;

	if (e->insn.op == X86_OP_CBW)
		emu_set_gpr(e, R_RAX, emu_sext(e->w[R_RAX], size / 2), size);
	else
		emu_set_gpr(e, R_RDX, e->w[R_RAX] >> (8 * size - 1) & 1 ? ~0ull : 0, size);
}

void emu_do_xlat(struct lodge_emu *e)
{
	uint64_t off = (e->w[R_RBX] + (e->w[R_RAX] & 0xff)) & emu_mask(e->insn.addrsize);

	emu_set_gpr(e, R_RAX, emu_read_seg(e, e->insn.seg, off, 1), 1);
}

/* Memory is coherent without: INVD and WBINVD, too. */
void emu_do_nop(struct lodge_emu *e)
{
	(void)e;
}

void emu_do_flag(struct lodge_emu *e)
{
	unsigned op = e->insn.op;

	switch (op) {
	case X86_OP_CLC:
	case X86_OP_STC:
		emu_set_flag(e, FLAG_CF, op == X86_OP_STC);
		break;
	case X86_OP_CMC:
		e->wflags ^= FLAG_CF;
		break;
	case X86_OP_CLD:
	case X86_OP_STD:
		emu_set_flag(e, FLAG_DF, op == X86_OP_STD);
		break;
	default: /* SALC */
		emu_set_gpr(e, R_RAX, e->wflags & FLAG_CF ? 0xff : 0, 1);
		break;
	}
}

void emu_do_lahf(struct lodge_emu *e)
{
	const uint64_t mask = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF;

	if (e->insn.op == X86_OP_LAHF)
		e->w[R_RAX] = (e->w[R_RAX] & ~0xff00ull) | ((e->wflags & mask) | FLAG_FIXED) << 8;
	else
		e->wflags = (e->wflags & ~mask) | (e->w[R_RAX] >> 8 & mask);
}

/* ---- Vectors -------------------------------------------------------------------------------- */

static void check_vec(struct lodge_emu *e, bool mmx)
{
	if (e->insn.flags & X86_IF_VEX) {
		if (!(e->cr4 & CR4_OSXSAVE) || (emu_get_sys(e, LODGE_EMU_XCR, 0) & 6) != 6)
			emu_ud(e);
	} else if ((e->cr0 & CR0_EM) || (!mmx && !(e->cr4 & CR4_OSFXSR))) {
		emu_ud(e);
	}
	if (e->cr0 & CR0_TS)
		emu_raise(e, VEC_NM, 0);
	if (!e->ops->get_vec || !e->ops->set_vec)
		emu_end(e, LODGE_EMU_REFUSED);
}

/* The low `len` bytes. */
static void get_vec(struct lodge_emu *e, const struct x86_operand *o, uint8_t *buf, unsigned len)
{
	unsigned all = o->rc == X86_RC_MMX ? 8 : len > 16 ? 32 : 16;
	uint8_t v[LODGE_EMU_CHUNK];

	if (!e->end && emu_ok(e, e->ops->get_vec(e->cpu, o->reg, v, all)))
		__builtin_memcpy(buf, v, len);
}

/* With VEX the upper half is set, too. */
static void put_vec(struct lodge_emu *e, const struct x86_operand *o, const uint8_t *buf)
{
	__builtin_memcpy(e->vec, buf, LODGE_EMU_CHUNK);
	e->vec_reg = o->reg;
	e->vec_len = o->rc == X86_RC_MMX ? 8 : e->insn.flags & X86_IF_VEX ? 32 : 16;
}

/* Whole registers, and MOVD, MOVQ, MOVSS, MOVSD that clear what they do not load. */
void emu_do_vec(struct lodge_emu *e)
{
	const struct x86_operand *d = &e->insn.opd[0], *s = &e->insn.opd[1];
	unsigned op = e->insn.op, len = s->size < d->size ? s->size : d->size;
	uint8_t buf[LODGE_EMU_CHUNK] = {0};
	uint64_t low;

	check_vec(e, d->rc == X86_RC_MMX || s->rc == X86_RC_MMX);
	if (e->insn.nopds != 2)
		emu_end(e, LODGE_EMU_REFUSED); /* VMOVSS, VMOVSD of three registers */
	if ((op == X86_OP_MOVSS || op == X86_OP_MOVSD) && d->kind == s->kind) {
		/* Between registers: the low element only. */
		get_vec(e, d, buf, 16);
		len = op == X86_OP_MOVSS ? 4 : 8;
	} else if ((op == X86_OP_MOVQ || op == X86_OP_VMOVQ) && len > 8) {
		len = 8;
	}
	if (s->kind == X86_OPD_MEM)
		emu_get_mem(e, 0, buf, len);
	else if (s->rc == X86_RC_GPR)
		__builtin_memcpy(buf, &e->w[s->reg], len);
	else
		get_vec(e, s, buf, len);
	if (d->kind == X86_OPD_MEM) {
		emu_set_mem(e, 0, buf, len);
	} else if (d->rc == X86_RC_GPR) {
		__builtin_memcpy(&low, buf, 8);
		emu_set_gpr(e, d->reg, low, d->size);
	} else {
		put_vec(e, d, buf);
	}
}

/* MOVLPS, MOVHPS and kin: one half of a register and memory. */
void emu_do_vec_half(struct lodge_emu *e)
{
	const struct x86_operand *d = &e->insn.opd[0];
	unsigned op = e->insn.op;
	bool store = d->kind == X86_OPD_MEM;
	bool high = op == X86_OP_MOVHPS || op == X86_OP_MOVHPD || op == X86_OP_VMOVHPS ||
		    op == X86_OP_VMOVHPD;
	uint8_t buf[LODGE_EMU_CHUNK] = {0};

	check_vec(e, false);
	get_vec(e, &e->insn.opd[store || e->insn.nopds == 3 ? 1 : 0], buf, 16);
	if (store) {
		emu_set_mem(e, 0, buf + 8 * high, 8);
	} else {
		emu_get_mem(e, 0, buf + 8 * high, 8);
		put_vec(e, d, buf);
	}
}
