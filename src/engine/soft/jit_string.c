// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host code for string instructions: one element in any mode, and repetition as far as a page goes,
 * where segments are flat. Source: Intel SDM vol. 2, REP, MOVS, STOS, LODS.
 * Threads: with the cache lock.
 *
 * Upwards only, and not for more than a page: the rest is S1's, which goes page by page. Memory is
 * touched before a register changes, since a window that is empty may give an address that faults.
 */
#include "engine/soft/jit_xlat.h"

#define CC_B 2u
#define CC_E 4u
#define CC_NE 5u
#define CC_A 7u

static void slow_if_down(struct xlat *x)
{
	jit_lose_flags(x);
	jit_slow_if_bits(x, CC_NE, GS_OFF(s.rflags), FLAG_DF);
}

/* mov reg, [T0], or mov [T0], reg */
static void move_t0(struct emit *e, bool store, unsigned size, unsigned reg)
{
	if (size == 2)
		em8(e, 0x66);
	em_rex(e, size == 8, reg, 0, T0);
	em8(e, (store ? 0x88 : 0x8a) | (size > 1));
	em_mem(e, reg, T0, X86_NO_REG, 0, 0);
}

/* T0 = host address of what `reg` points to. */
static void string_operand(struct xlat *x, unsigned reg, enum soft_access access)
{
	em_rr(&x->e, x->m64, 0x89, reg, T0);
	jit_check(x, JIT_BY_WINDOW, 1, access);
	move_t0(&x->e, false, 1, T1);
}

/* ---- A loop that copies bytes --------------------------------------------------------------- */

/*
 * memmove() as compilers make it for size, which is how GRUB moves a kernel and its initrd: CMP, Jcc and MOVSB in
 * a loop, until rSI or rDI is what another register is. MOVSB then may do as many turns as it likes at once.
 */
#define COPY_LEAST 32 /* bytes; REP MOVSB takes some time to begin */

/* CMP of rSI or rDI with a register the loop does not change. */
static bool compares_pointer(const struct xlat *x, const struct jit_op *o, unsigned *end,
			     unsigned *pointer)
{
	const struct x86_operand *a = &o->insn.opd[0], *b = &o->insn.opd[1];

	if (o->insn.op != X86_OP_CMP || a->kind != X86_OPD_REG || b->kind != X86_OPD_REG ||
	    a->rc != X86_RC_GPR || b->rc != X86_RC_GPR || a->size != (x->m64 ? 8 : 4))
		return false;
	*pointer = a->reg == R_RSI || a->reg == R_RDI ? a->reg : b->reg;
	*end = a->reg + b->reg - *pointer;
	return (*pointer == R_RSI || *pointer == R_RDI) && *end != R_RSI && *end != R_RDI &&
	       !jit_in_memory(*end);
}

static bool in_copy_loop(const struct xlat *x, const struct jit_op *o, unsigned *end,
			 unsigned *pointer)
{
	unsigned first, last, cmps = 0, jumps = 0;

	if (o->op->opsize != 1 || o->insn.addrsize != (x->m64 ? 8 : 4) || !jit_is_flat(x, SEG_ES) ||
	    !jit_is_flat(x, o->op->seg) || x->jc->come_back || !jit_loop_at(x, &first, &last) ||
	    last - first > 3)
		return false;
	for (unsigned i = first; i <= last; i++) {
		const struct jit_op *at = &x->ops[i];

		if (i == x->cur)
			continue;
		if (!(at->op->flags & SOFT_OP_END) && compares_pointer(x, at, end, pointer))
			cmps++;
		else if (at->emit == jit_emit_jcc && at->insn.cc == (at->inner < 0 ? CC_E : CC_NE))
			jumps++; /* out of the loop, or back */
		else if (at->emit != jit_emit_jmp)
			return false;
	}
	return cmps == 1 && jumps == 1;
}

/* T0 = the less of it and of what is left of the page at `reg`. */
static void least_room(struct emit *e, unsigned reg)
{
	em_rr(e, 0, 0x89, reg, T1);
	em_alu_imm(e, 0, 1, T1, (uint32_t)PAGE_MASK);
	em_rex(e, 0, 0, 0, T1); /* neg r10d */
	em8(e, 0xf7);
	em8(e, 0xc0 | 3 << 3 | (T1 & 7));
	em_rr(e, 1, 0x39, T1, T0); /* cmp r9, r10 */
	em_rex(e, 1, T0, 0, T1);   /* cmova r9, r10 */
	em8(e, 0x0f);
	em8(e, 0x47);
	em8(e, 0xc0 | (T0 & 7) << 3 | (T1 & 7));
}

/* Returns the jump to the operation's end; behind it goes the copying of one byte, where there are few left. */
static uint32_t emit_copy(struct xlat *x, unsigned end, unsigned pointer)
{
	struct emit *e = &x->e;
	uint32_t few;

	em_rr(e, x->m64, 0x89, end, T0);
	em_rr(e, x->m64, 0x29, pointer, T0);
	em_alu_imm(e, 1, 7, T0, COPY_LEAST);
	few = em_jcc_later(e, CC_B);
	least_room(e, R_RSI);
	least_room(e, R_RDI);
	em_store_gs(e, T0, GS_OFF(jit_count));
	string_operand(x, R_RSI, SOFT_READ);
	em_store_gs(e, T0, GS_OFF(jit_tmp));
	string_operand(x, R_RDI, SOFT_WRITE);
	em_mov_rr(e, T1, R_RDI);
	em_mov_rr(e, T2, R_RSI);
	em_mov_rr(e, R_RDI, T0);
	em_mov_rr(e, T0, R_RCX);
	em_load_gs(e, R_RSI, GS_OFF(jit_tmp));
	em_load_gs(e, R_RCX, GS_OFF(jit_count));
	em8(e, 0xf3); /* rep movsb */
	em8(e, 0xa4);
	em_mov_rr(e, R_RCX, T0);
	em_load_gs(e, T0, GS_OFF(jit_count));
	em_lea(e, x->m64, R_RSI, T2, T0, 0, 0);
	em_lea(e, x->m64, R_RDI, T1, T0, 0, 0);
	em_load_gs(e, BASE, GS_OFF(space_base));
	em8(e, 0xe9);
	em32(e, 0);
	em_patch_rel(e->rw, few, e->pos);
	return e->pos - 4;
}

/* ---- One element ---------------------------------------------------------------------------- */

/* T0 = host address of the element that rsi or rdi points to, in segment `seg`. */
static void element(struct xlat *x, const struct jit_op *o, unsigned reg, unsigned seg,
		    enum soft_access access)
{
	const struct jit_place at = {.base = (uint8_t)reg, .index = X86_NO_REG};
	unsigned size = o->op->opsize;

	jit_address(x, &at, o->insn.addrsize);
	jit_segment(x, seg, size, access);
	jit_check(x, JIT_BY_WINDOW, size, access);
}

/* rsi or rdi goes on by an element; a byte or word of it does not touch the rest. */
static void advance(struct xlat *x, const struct jit_op *o, unsigned reg)
{
	if (o->insn.addrsize == 2)
		em8(&x->e, 0x66);
	em_lea(&x->e, o->insn.addrsize == 8, reg, reg, X86_NO_REG, 0, o->op->opsize);
}

static void emit_movs(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->op->opsize, end = 0, pointer = 0;
	struct emit *e = &x->e;
	uint32_t done = 0;

	slow_if_down(x);
	if (in_copy_loop(x, o, &end, &pointer))
		done = emit_copy(x, end, pointer);
	element(x, o, R_RSI, o->op->seg, SOFT_READ);
	move_t0(e, false, size, T0);
	em_store_gs(e, T0, GS_OFF(jit_tmp));
	element(x, o, R_RDI, SEG_ES, SOFT_WRITE);
	em_load_gs(e, T1, GS_OFF(jit_tmp));
	move_t0(e, true, size, T1);
	advance(x, o, R_RSI);
	advance(x, o, R_RDI);
	if (done)
		em_patch_rel(e->rw, done, e->pos);
}

static void emit_stos(struct xlat *x, struct jit_op *o)
{
	slow_if_down(x);
	element(x, o, R_RDI, SEG_ES, SOFT_WRITE);
	move_t0(&x->e, true, o->op->opsize, R_RAX);
	advance(x, o, R_RDI);
}

static void emit_lods(struct xlat *x, struct jit_op *o)
{
	slow_if_down(x);
	element(x, o, R_RSI, o->op->seg, SOFT_READ);
	move_t0(&x->e, false, o->op->opsize, R_RAX);
	advance(x, o, R_RSI);
}

/* ---- Repetition ----------------------------------------------------------------------------- */

/* In one page, that is: T1 = bytes from the page's start to the end of rcx elements at `reg`. */
static void slow_if_crossing(struct xlat *x, unsigned reg, unsigned shift)
{
	struct emit *e = &x->e;

	em_rr(e, 0, 0x89, reg, T1);
	em_alu_imm(e, 0, 4, T1, (uint32_t)~PAGE_MASK);
	em_lea(e, 1, T1, T1, R_RCX, shift, 0);
	em_alu_imm(e, 1, 7, T1, PAGE_BYTES);
	jit_slow_stub(x, em_jcc_later(e, CC_A), false);
}

static void emit_rep(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->op->opsize, shift = o->op->cc;
	bool movs = o->insn.op == X86_OP_MOVS;
	struct emit *e = &x->e;

	slow_if_down(x);
	if (!x->m64)
		em_rr(e, 0, 0x89, R_RCX, R_RCX);    /* nothing above its 32 bits */
	em_lea(e, 1, T0, R_RCX, X86_NO_REG, 0, -1); /* none is S1's, too */
	em_alu_imm(e, 1, 7, T0, (uint32_t)(PAGE_BYTES >> shift) - 1);
	jit_slow_stub(x, em_jcc_later(e, CC_A), false);
	slow_if_crossing(x, R_RDI, shift);
	if (movs) {
		slow_if_crossing(x, R_RSI, shift);
		string_operand(x, R_RSI, SOFT_READ);
		em_store_gs(e, T0, GS_OFF(jit_tmp));
	}
	string_operand(x, R_RDI, SOFT_WRITE);
	em_lea(e, x->m64, T1, R_RDI, R_RCX, shift, 0);
	em_mov_rr(e, R_RDI, T0);
	if (movs) {
		em_lea(e, x->m64, T2, R_RSI, R_RCX, shift, 0);
		em_load_gs(e, R_RSI, GS_OFF(jit_tmp));
	}
	if (size == 2)
		em8(e, 0x66);
	em8(e, 0xf3);
	if (size == 8)
		em8(e, 0x48);
	em8(e, (movs ? 0xa4 : 0xaa) | (size > 1));
	em_mov_rr(e, R_RDI, T1);
	if (movs) {
		em_mov_rr(e, R_RSI, T2);
		em_load_gs(e, BASE, GS_OFF(space_base));
	}
}

jit_emit_fn jit_pick_string(const struct xlat *x, const struct x86_insn *insn,
			    const struct soft_op *op)
{
	bool rep = op->flags & (SOFT_OP_REP | SOFT_OP_REPNE);
	bool movs = insn->op == X86_OP_MOVS;
	bool flat = jit_is_flat(x, SEG_ES) && (!movs || jit_is_flat(x, op->seg));

	if (insn->op == X86_OP_LODS)
		return rep ? NULL : emit_lods;
	if (!rep)
		return movs ? emit_movs : emit_stos;
	return flat && insn->addrsize == (x->m64 ? 8 : 4) ? emit_rep : NULL;
}
