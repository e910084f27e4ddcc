// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host code for moves from segment registers, and to them in real and virtual-8086 mode, where a
 * selector is all there is to a segment. Source: Intel SDM 3B ch. 21, vol. 2.
 * Threads: with the cache lock.
 *
 * These end their block, as in S1. A segment's checks (soft_cpu.seg_room) do not change with its
 * base, nor does anything else that soft_mode_changed() would compute; SS is left to S1.
 */
#include "engine/soft/jit_xlat.h"

static uint32_t gs_seg(unsigned seg, size_t member)
{
	return (uint32_t)(offsetof(struct soft_cpu, s.seg) + sizeof(struct x86_seg) * seg + member);
}

static void go_on(struct xlat *x, const struct jit_op *o)
{
	jit_emit_exit(x, (o->op->rip + o->op->len) & x->cpu->rip_mask, -1);
}

/* T0 = the selector of a segment register. */
static void load_sel(struct xlat *x, unsigned seg)
{
	em_gs_movzx16(&x->e, T0, gs_seg(seg, offsetof(struct x86_seg, sel)));
}

/* The segment register = the selector in `sel`, a scratch register with nothing above 16 bits. */
static void set_seg(struct xlat *x, unsigned seg, unsigned sel)
{
	struct emit *e = &x->e;

	em8(e, 0x66);
	em_gs(e, 0, 0x89, sel, gs_seg(seg, offsetof(struct x86_seg, sel)));
	em_lea(e, 0, sel, X86_NO_REG, sel, 3, 0); /* times 16, keeping flags */
	em_lea(e, 0, sel, sel, sel, 0, 0);
	em_store_gs(e, sel, gs_seg(seg, offsetof(struct x86_seg, base)));
	em_store_gs(e, sel, (uint32_t)(offsetof(struct soft_cpu, segbase) + 8u * seg));
	em_gs(e, 0, 0xc6, 0, gs_seg(seg, offsetof(struct x86_seg, unusable)));
	em8(e, 0);
}

/* A register destination has the operand's size, memory 16 bits. */
static void emit_mov_from(struct xlat *x, struct jit_op *o)
{
	const struct x86_operand *dst = &o->insn.opd[0];
	struct emit *e = &x->e;

	if (dst->kind == X86_OPD_MEM) {
		jit_operand(x, o, 2, SOFT_WRITE);
		em_gs_movzx16(e, T1, gs_seg(o->insn.opd[1].reg, offsetof(struct x86_seg, sel)));
		jit_store_t0(x, 2, T1);
		go_on(x, o);
		return;
	}
	load_sel(x, o->insn.opd[1].reg);
	if (o->insn.opsize == 2)
		em8(e, 0x66);
	if (jit_in_memory(dst->reg))
		em_gs(e, o->insn.opsize != 2, 0x89, T0, GS_GPR(dst->reg));
	else
		em_rr(e, 0, 0x89, T0, dst->reg);
	go_on(x, o);
}

static void emit_mov_to(struct xlat *x, struct jit_op *o)
{
	const struct x86_operand *src = &o->insn.opd[1];

	if (src->kind == X86_OPD_MEM) {
		jit_operand(x, o, 2, SOFT_READ);
		jit_load_t0(x, 2, T0);
	} else {
		em_movzx16(&x->e, T0, src->reg);
	}
	set_seg(x, o->insn.opd[0].reg, T0);
	go_on(x, o);
}

static void emit_push(struct xlat *x, struct jit_op *o)
{
	jit_stack_slot(x, R_RSP, -2, 2, SOFT_WRITE);
	em_gs_movzx16(&x->e, T1, gs_seg(o->insn.opd[0].reg, offsetof(struct x86_seg, sel)));
	jit_store_t0(x, 2, T1);
	jit_set_sp(x, R_RSP, -2);
	go_on(x, o);
}

static void emit_pop(struct xlat *x, struct jit_op *o)
{
	jit_stack_slot(x, R_RSP, 0, 2, SOFT_READ);
	jit_load_t0(x, 2, T0);
	set_seg(x, o->insn.opd[0].reg, T0);
	jit_set_sp(x, R_RSP, 2);
	go_on(x, o);
}

/* LDS and its kin: an offset, and a selector behind it. */
static void emit_load_far(struct xlat *x, struct jit_op *o)
{
	static const uint8_t segs[] = {[X86_OP_LES - X86_OP_LES] = SEG_ES,
				       [X86_OP_LDS - X86_OP_LES] = SEG_DS,
				       [X86_OP_LFS - X86_OP_LES] = SEG_FS,
				       [X86_OP_LGS - X86_OP_LES] = SEG_GS};
	unsigned size = o->insn.opsize;
	struct emit *e = &x->e;

	jit_operand(x, o, size + 2, SOFT_READ);
	em_rex(e, 0, T1, 0, T0); /* movzx r10d, word [r9 + size] */
	em8(e, 0x0f);
	em8(e, 0xb7);
	em_mem(e, T1, T0, X86_NO_REG, 0, (int32_t)size);
	jit_load_t0(x, size, o->insn.opd[0].reg);
	set_seg(x, segs[o->insn.op - X86_OP_LES], T1);
	go_on(x, o);
}

/* A data segment register that real mode loads without further ado. */
static bool is_plain(const struct xlat *x, unsigned seg)
{
	bool real = !(x->mode & SOFT_MODE_PE) || (x->mode & SOFT_MODE_VM86);

	return real && seg < SEG_COUNT && seg != SEG_CS && seg != SEG_SS;
}

jit_emit_fn jit_pick_seg(const struct xlat *x, const struct x86_insn *insn)
{
	unsigned seg = insn->opd[0].reg;

	switch ((enum x86_op)insn->op) {
	case X86_OP_MOV_FROM_SEG:
		return insn->opd[1].reg < SEG_COUNT ? emit_mov_from : NULL;
	case X86_OP_MOV_TO_SEG:
		return is_plain(x, seg) ? emit_mov_to : NULL;
	case X86_OP_PUSH_SEG:
		return !x->m64 && insn->opsize == 2 ? emit_push : NULL;
	case X86_OP_POP_SEG:
		return insn->opsize == 2 && is_plain(x, seg) ? emit_pop : NULL;
	case X86_OP_LES:
	case X86_OP_LDS:
	case X86_OP_LFS:
	case X86_OP_LGS:
		return is_plain(x, SEG_DS) ? emit_load_far : NULL;
	default:
		return NULL;
	}
}
