// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's moves: general registers, vectors, stack, strings of flags.
 * Source: Intel SDM vol. 2; vol. 3A §2.5, §13.1 (who may use vectors). Threads: the vCPU's own.
 */
#include "emu_int.h"

int emu_do_mov(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = emu_get(e, 1, &v);

	return r ? r : emu_set(e, 0, v);
}

int emu_do_movx(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = emu_get(e, 1, &v);

	if (r)
		return r;
	if (e->insn.op != X86_OP_MOVZX)
		v = emu_sext(v, e->insn.opd[1].size);
	return emu_set(e, 0, v);
}

static uint64_t swap(uint64_t v, unsigned bytes)
{
	return __builtin_bswap64(v) >> (64 - 8 * bytes);
}

int emu_do_movbe(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = emu_get(e, 1, &v);

	return r ? r : emu_set(e, 0, swap(v, e->insn.opd[0].size));
}

/* Of 16 bits it is undefined; processors clear them. */
int emu_do_bswap(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint64_t v = 0;

	emu_get(e, 0, &v);
	return emu_set(e, 0, size == 2 ? 0 : swap(v, size));
}

int emu_do_lea(struct lodge_emu *e)
{
	return emu_set(e, 0, emu_ea(e));
}

int emu_do_cbw(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize;

	emu_set_gpr(e, R_RAX, emu_sext(e->w[R_RAX], size / 2), size);
	return 0;
}

int emu_do_cwd(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize;

	emu_set_gpr(e, R_RDX, e->w[R_RAX] >> (8 * size - 1) & 1 ? ~0ull : 0, size);
	return 0;
}

int emu_do_setcc(struct lodge_emu *e)
{
	return emu_set(e, 0, emu_condition(e->wflags, e->insn.cc));
}

/* The source is read and the destination's upper half cleared in either case. */
int emu_do_cmov(struct lodge_emu *e)
{
	uint64_t v = 0, old = 0;
	int r = emu_get(e, 1, &v);

	if (r)
		return r;
	emu_get(e, 0, &old);
	return emu_set(e, 0, emu_condition(e->wflags, e->insn.cc) ? v : old);
}

int emu_do_xlat(struct lodge_emu *e)
{
	uint64_t off = (e->w[R_RBX] + (e->w[R_RAX] & 0xff)) & emu_mask(e->insn.addrsize);
	uint8_t v = 0;
	int r = emu_read_seg(e, e->insn.seg, off, &v, 1);

	if (!r)
		emu_set_gpr(e, R_RAX, v, 1);
	return r;
}

int emu_do_nop(struct lodge_emu *e)
{
	(void)e;
	return 0;
}

int emu_do_flag(struct lodge_emu *e)
{
	switch (e->insn.op) {
	case X86_OP_CLC:
		e->wflags &= ~(uint64_t)FLAG_CF;
		break;
	case X86_OP_STC:
		e->wflags |= FLAG_CF;
		break;
	case X86_OP_CMC:
		e->wflags ^= FLAG_CF;
		break;
	case X86_OP_CLD:
		e->wflags &= ~(uint64_t)FLAG_DF;
		break;
	case X86_OP_STD:
		e->wflags |= FLAG_DF;
		break;
	default: /* SALC */
		emu_set_gpr(e, R_RAX, e->wflags & FLAG_CF ? 0xff : 0, 1);
		break;
	}
	return 0;
}

int emu_do_lahf(struct lodge_emu *e)
{
	const uint64_t mask = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF;

	if (e->insn.op == X86_OP_LAHF)
		e->w[R_RAX] = (e->w[R_RAX] & ~0xff00ull) | ((e->wflags & mask) | FLAG_FIXED) << 8;
	else
		e->wflags = (e->wflags & ~mask) | (e->w[R_RAX] >> 8 & mask);
	return 0;
}

/* ---- Vectors -------------------------------------------------------------------------------- */

static int vec_allowed(struct lodge_emu *e)
{
	bool vex = e->insn.flags & X86_IF_VEX;
	uint64_t xcr0 = 0;

	if (vex) {
		if (!(e->cr4 & CR4_OSXSAVE))
			return emu_ud(e);
		if (!e->ops->get_xcr || e->ops->get_xcr(e->cpu, 0, &xcr0, &e->ex))
			return LODGE_EMU_REFUSED;
		if ((xcr0 & 6) != 6)
			return emu_ud(e);
	} else if ((e->cr0 & CR0_EM) || !(e->cr4 & CR4_OSFXSR)) {
		return emu_ud(e);
	}
	if (e->cr0 & CR0_TS)
		return emu_raise_plain(e, VEC_NM);
	if (!e->ops->get_vec || !e->ops->set_vec)
		return LODGE_EMU_REFUSED;
	return 0;
}

static int get_xmm(struct lodge_emu *e, unsigned reg, void *buf, unsigned len)
{
	uint8_t all[LODGE_EMU_CHUNK];
	int r = e->ops->get_vec(e->cpu, reg, all, len > 16 ? 32 : 16);

	if (r)
		return emu_answer(r);
	__builtin_memcpy(buf, all, len);
	return 0;
}

/* `len` of the register, the rest of its low half cleared; VEX clears the upper half. */
static void put_xmm(struct lodge_emu *e, unsigned reg)
{
	e->vec_reg = (uint8_t)reg;
	e->vec_len = e->insn.flags & X86_IF_VEX ? 32 : 16;
}

/* MOVSS and MOVSD between registers: the low element only. */
static int merge_low(struct lodge_emu *e, unsigned len)
{
	int r = get_xmm(e, e->insn.opd[0].reg, e->vec, 16);

	if (!r)
		r = get_xmm(e, e->insn.opd[1].reg, e->vec, len);
	put_xmm(e, e->insn.opd[0].reg);
	return r;
}

/* Whole registers, and MOVD, MOVQ, MOVSS, MOVSD that clear what they do not load. */
int emu_do_vec_load(struct lodge_emu *e)
{
	const struct x86_operand *d = &e->insn.opd[0], *s = &e->insn.opd[1];
	uint8_t buf[LODGE_EMU_CHUNK] = {0};
	unsigned len = s->size < d->size ? s->size : d->size;
	int r;

	if (d->rc == X86_RC_MMX || s->rc == X86_RC_MMX)
		return emu_do_mmx(e);
	r = vec_allowed(e);
	if (r)
		return r;
	if (e->insn.nopds != 2)
		return LODGE_EMU_REFUSED; /* VMOVSS, VMOVSD of three registers */
	if ((e->insn.op == X86_OP_MOVSS || e->insn.op == X86_OP_MOVSD) && d->kind == s->kind)
		return merge_low(e, e->insn.op == X86_OP_MOVSS ? 4 : 8);
	if (s->kind == X86_OPD_MEM)
		r = emu_get_mem(e, 0, buf, len);
	else if (s->rc == X86_RC_GPR)
		__builtin_memcpy(buf, &e->w[s->reg], len);
	else
		r = get_xmm(e, s->reg, buf, len);
	if (r)
		return r;
	if (d->kind == X86_OPD_MEM)
		return emu_set_mem(e, 0, buf, len);
	if (d->rc == X86_RC_GPR) {
		uint64_t v = 0;

		__builtin_memcpy(&v, buf, 8);
		emu_set_gpr(e, d->reg, v, d->size);
		return 0;
	}
	if (e->insn.op == X86_OP_MOVQ || e->insn.op == X86_OP_VMOVQ)
		__builtin_memset(buf + 8, 0, 24);
	__builtin_memcpy(e->vec, buf, sizeof(e->vec));
	put_xmm(e, d->reg);
	return 0;
}

/* MOVLPS, MOVHPS and kin: one half of a register and memory. */
int emu_do_vec_low(struct lodge_emu *e)
{
	const struct x86_operand *d = &e->insn.opd[0];
	unsigned op = e->insn.op, src = e->insn.nopds - 1u;
	bool high = op == X86_OP_MOVHPS || op == X86_OP_MOVHPD || op == X86_OP_VMOVHPS ||
		    op == X86_OP_VMOVHPD;
	uint64_t half[2] = {0, 0}, upper[2] = {0, 0};
	int r = vec_allowed(e);

	if (r)
		return r;
	r = get_xmm(e, e->insn.opd[d->kind == X86_OPD_MEM || src == 2 ? 1 : 0].reg, half, 16);
	if (r)
		return r;
	if (d->kind == X86_OPD_MEM)
		return emu_set_mem(e, 0, &half[high], 8);
	r = emu_get_mem(e, 0, &half[high], 8);
	__builtin_memcpy(e->vec, half, 16);
	__builtin_memcpy(e->vec + 2, upper, 16);
	put_xmm(e, d->reg);
	return r;
}

/* MOVD, MOVQ, MOVNTQ with MMX registers. */
int emu_do_mmx(struct lodge_emu *e)
{
	const struct x86_operand *d = &e->insn.opd[0], *s = &e->insn.opd[1];
	uint64_t v = 0;
	int r = 0;

	if (e->cr0 & CR0_EM)
		return emu_ud(e);
	if (e->cr0 & CR0_TS)
		return emu_raise_plain(e, VEC_NM);
	if (!e->ops->get_mmx || !e->ops->set_mmx)
		return LODGE_EMU_REFUSED;
	if (s->kind == X86_OPD_REG && s->rc == X86_RC_MMX)
		r = emu_answer(e->ops->get_mmx(e->cpu, s->reg, &v));
	else
		r = emu_get(e, 1, &v);
	if (r)
		return r;
	if (d->kind == X86_OPD_REG && d->rc == X86_RC_MMX) {
		e->vec[0] = v;
		e->vec_reg = d->reg;
		e->mmx_dirty = true;
		return 0;
	}
	return emu_set(e, 0, v);
}

/* ---- Stack ---------------------------------------------------------------------------------- */

int emu_do_push(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = emu_get(e, 0, &v);

	return r ? r : emu_push(e, v, e->insn.opsize);
}

/* The address of a memory operand is formed with the new rSP. */
int emu_do_pop(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = emu_pop(e, &v, e->insn.opsize);

	return r ? r : emu_set(e, 0, v);
}

int emu_do_pusha(struct lodge_emu *e)
{
	uint64_t sp = e->w[R_RSP];
	int r = 0;

	for (unsigned i = 0; i < 8 && !r; i++)
		r = emu_push(e, i == R_RSP ? sp : e->w[i], e->insn.opsize);
	return r;
}

int emu_do_popa(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = 0;

	for (unsigned i = 8; i-- > 0 && !r;) {
		r = emu_pop(e, &v, e->insn.opsize);
		if (!r && i != R_RSP)
			emu_set_gpr(e, i, v, e->insn.opsize);
	}
	return r;
}

/* VM86 with IOPL below 3: #GP, or the flags of the virtual-8086 extensions, which are not here. */
static int vm86_sensitive(struct lodge_emu *e)
{
	if (!(e->wflags & FLAG_VM) || EMU_IOPL(e) == 3)
		return 0;
	return e->cr4 & CR4_VME ? LODGE_EMU_REFUSED : emu_gp(e);
}

int emu_do_pushf(struct lodge_emu *e)
{
	int r = vm86_sensitive(e);

	return r ? r : emu_push(e, e->wflags & ~(uint64_t)(FLAG_VM | FLAG_RF), e->insn.opsize);
}

int emu_do_popf(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = vm86_sensitive(e);

	if (!r)
		r = emu_pop(e, &v, e->insn.opsize);
	if (!r)
		emu_set_flags(e, v, e->insn.opsize, 0);
	return r;
}

int emu_do_enter(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize, sb = emu_stack_bytes(e), level = e->insn.imm2 & 31;
	uint64_t frame, bp = e->w[R_RBP], v = 0, lin;
	int r = emu_push(e, e->w[R_RBP], size);

	frame = e->w[R_RSP];
	for (unsigned i = 1; i < level && !r; i++) {
		bp = emu_merge(bp, bp - size, sb);
		r = emu_read_seg(e, LODGE_EMU_SS, bp & emu_mask(sb), &v, size);
		if (!r)
			r = emu_push(e, v, size);
	}
	if (!r && level)
		r = emu_push(e, frame, size);
	if (r)
		return r;
	emu_add_gpr(e, R_RSP, -e->insn.imm, sb);
	emu_set_gpr(e, R_RBP, frame, size);
	/* The new top must be writable, or the next push would fault inside a half-made frame. */
	r = emu_linear(e, LODGE_EMU_SS, e->w[R_RSP] & emu_mask(sb), size, LODGE_EMU_W, &lin);
	return r ? r : emu_translate(e, lin, LODGE_EMU_W, &v);
}

int emu_do_leave(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r;

	emu_set_gpr(e, R_RSP, e->w[R_RBP], emu_stack_bytes(e));
	r = emu_pop(e, &v, e->insn.opsize);
	if (!r)
		emu_set_gpr(e, R_RBP, v, e->insn.opsize);
	return r;
}
