// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host code for near branches and the stack. Source: Intel SDM vol. 2. Threads: with the cache lock.
 */
#include "engine/soft/jit_xlat.h"

/* ---- Exits ---------------------------------------------------------------------------------- */

static bool same_page(const struct xlat *x, uint64_t ip)
{
	uint64_t lin = x->cpu->segbase[SEG_CS] + ip;

	if (!x->m64)
		lin = (uint32_t)lin;
	return (lin & PAGE_MASK) == (x->b->lin & PAGE_MASK);
}

/* Note a link whose displacement was just written. */
static void add_link(struct xlat *x, uint64_t ip, int inner, bool cross)
{
	x->link[x->nlinks].ip = ip;
	x->link[x->nlinks].rel = x->e.pos - 4;
	x->link[x->nlinks].inner = (int16_t)inner;
	x->link[x->nlinks].parked = x->flags == FLAGS_PARKED;
	x->link[x->nlinks].cross = cross;
	x->nlinks++;
}

static void park_live(struct xlat *x)
{
	if (x->flags == FLAGS_HOST && x->ops[x->cur].live) {
		em_park(&x->e);
		x->flags = FLAGS_PARKED;
	}
}

/*
 * A target in another page, which may be somewhere else in the next address space: by its entry of
 * the vCPU's table, as an indirect branch. Flags are parked: the target's pad takes them back.
 */
static void emit_cross(struct xlat *x, uint64_t ip)
{
	uint32_t ent =
		(uint32_t)(offsetof(struct soft_cpu, jit_jc) +
			   (ip & ((1u << SOFT_JIT_JC_BITS) - 1)) * sizeof(struct soft_jit_jc));
	struct emit *e = &x->e;
	uint32_t miss;

	park_live(x);
	em_mov_imm(e, T0, ip);
	em_gs(e, 1, 0x3b, T0, ent);
	miss = em_jcc_later(e, 5);
	em_load_gs(e, T1, GS_OFF(code_key));
	em_gs(e, 1, 0x3b, T1, ent + 8);
	em_jcc_later(e, 5);
	add_link(x, ip, -1, true);
	em_patch_rel(e->rw, miss, x->e.pos - 6);
	em8(e, 0x65); /* jmp gs:[entry.host] */
	em8(e, 0xff);
	em8(e, 0x24);
	em8(e, 0x25);
	em32(e, ent + 16);
}

void jit_emit_exit(struct xlat *x, uint64_t ip, int inner)
{
	if (!same_page(x, ip)) {
		emit_cross(x, ip);
		return;
	}
	if (inner >= 0)
		jit_need_flags(x);
	em_align_rel(&x->e, 1);
	em8(&x->e, 0xe9);
	em32(&x->e, 0);
	add_link(x, ip, inner, false);
}

void jit_emit_jcc(struct xlat *x, struct jit_op *o)
{
	uint32_t over;

	jit_need_flags(x);
	if (same_page(x, o->op->imm)) {
		em_align_rel(&x->e, 2);
		em8(&x->e, 0x0f);
		em8(&x->e, 0x80 | (o->insn.cc & 15));
		em32(&x->e, 0);
		add_link(x, o->op->imm, o->inner, false);
		return;
	}
	over = em_jcc_later(&x->e, (o->insn.cc & 15u) ^ 1);
	emit_cross(x, o->op->imm);
	x->flags = FLAGS_HOST; /* as they were where the jump was not taken */
	em_patch_rel(x->e.rw, over, x->e.pos);
}

void jit_emit_jmp(struct xlat *x, struct jit_op *o)
{
	jit_emit_exit(x, o->op->imm, o->inner);
}

/*
 * Go to the address in T0 by the vCPU's table. Flags are parked on the way: the target's pad takes
 * them if it wants any.
 */
static void emit_indirect(struct xlat *x)
{
	struct emit *e = &x->e;
	uint32_t tab = (uint32_t)offsetof(struct soft_cpu, jit_jc);

	park_live(x);
	em_rr(e, 0, 0x89, T0, T1);
	em_alu_imm(e, 0, 4, T1, (1u << SOFT_JIT_JC_BITS) - 1);
	em_shift_imm(e, 0, 4, T1, 5);
	em_gs_at(e, 1, 0x3b, T0, T1, tab); /* cmp r9, entry.ip */
	jit_slow_stub(x, em_jcc_later(e, 5), true);
	em_load_gs(e, T2, GS_OFF(code_key));
	em_gs_at(e, 1, 0x3b, T2, T1, tab + 8); /* cmp r11, entry.key */
	jit_slow_stub(x, em_jcc_later(e, 5), true);
	em8(e, 0x65); /* jmp gs:[r10 + entry.host] */
	em_rex(e, 0, 0, 0, T1);
	em8(e, 0xff);
	em8(e, 0x80 | 4 << 3 | (T1 & 7));
	em32(e, tab + 16);
}

/* ---- The stack ------------------------------------------------------------------------------ */

/* rsp += n, keeping flags. */
static void add_sp(struct xlat *x, int n)
{
	em_lea(&x->e, x->m64, R_RSP, R_RSP, X86_NO_REG, 0, n);
}

/* T0 = host address of the slot a push writes. */
static void push_slot(struct xlat *x, unsigned size)
{
	em_lea(&x->e, x->m64, T0, R_RSP, X86_NO_REG, 0, -(int)size);
	jit_check(x, R_RSP, size, SOFT_WRITE, false);
}

/* T0 = host address of the top of the stack. */
static void top_slot(struct xlat *x, unsigned size)
{
	em_rr(&x->e, x->m64, 0x89, R_RSP, T0);
	jit_check(x, R_RSP, size, SOFT_READ, false);
}

static void store_t0(struct xlat *x, unsigned size, unsigned reg)
{
	em_rex(&x->e, size == 8, reg, 0, T0);
	em8(&x->e, 0x89);
	em_mem(&x->e, reg, T0, X86_NO_REG, 0, 0);
}

static void load_t0(struct xlat *x, unsigned size, unsigned reg)
{
	em_rex(&x->e, size == 8, reg, 0, T0);
	em8(&x->e, 0x8b);
	em_mem(&x->e, reg, T0, X86_NO_REG, 0, 0);
}

void jit_emit_push(struct xlat *x, struct jit_op *o)
{
	const struct x86_operand *src = &o->insn.opd[0];
	unsigned size = o->insn.opsize, reg = src->reg;
	struct emit *e = &x->e;

	if (src->kind == X86_OPD_MEM) {
		jit_operand(x, o, size, SOFT_READ);
		load_t0(x, size, T0);
		em_store_gs(e, T0, GS_OFF(jit_tmp));
	}
	push_slot(x, size);
	if (src->kind == X86_OPD_IMM) {
		em_rex(e, size == 8, 0, 0, T0);
		em8(e, 0xc7);
		em_mem(e, 0, T0, X86_NO_REG, 0, 0);
		em32(e, (uint32_t)o->insn.imm);
	} else {
		if (src->kind == X86_OPD_MEM) {
			em_load_gs(e, T1, GS_OFF(jit_tmp));
			reg = T1;
		} else if (jit_in_memory(reg)) {
			em_load_gs(e, T1, GS_GPR(reg));
			reg = T1;
		}
		store_t0(x, size, reg);
	}
	add_sp(x, -(int)size);
}

void jit_emit_pop(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize, reg = o->insn.opd[0].reg;

	top_slot(x, size);
	if (reg == R_RSP || jit_in_memory(reg)) {
		load_t0(x, size, T1);
		add_sp(x, (int)size);
		if (reg == R_RSP)
			em_mov_rr(&x->e, R_RSP, T1);
		else
			em_store_gs(&x->e, T1, GS_GPR(reg));
		return;
	}
	load_t0(x, size, reg);
	add_sp(x, (int)size);
}

void jit_emit_leave(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;

	em_rr(&x->e, x->m64, 0x89, R_RBP, T0);
	jit_check(x, R_RBP, size, SOFT_READ, false);
	load_t0(x, size, T1); /* it may fault */
	em_lea(&x->e, x->m64, R_RSP, R_RBP, X86_NO_REG, 0, (int)size);
	em_mov_rr(&x->e, R_RBP, T1);
}

/* ---- Calls and returns ---------------------------------------------------------------------- */

static void push_return(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;
	uint64_t next = o->op->rip + o->op->len;

	push_slot(x, size);
	em_mov_imm(&x->e, T1, size == 8 ? next : (uint32_t)next);
	store_t0(x, size, T1);
	add_sp(x, -(int)size);
}

void jit_emit_call(struct xlat *x, struct jit_op *o)
{
	push_return(x, o);
	jit_emit_exit(x, o->op->imm, -1);
}

/* T0 = the target of an indirect branch. */
static void load_target(struct xlat *x, struct jit_op *o)
{
	const struct x86_operand *t = &o->insn.opd[0];
	unsigned size = o->insn.opsize;

	if (t->kind == X86_OPD_MEM) {
		jit_operand(x, o, size, SOFT_READ);
		load_t0(x, size, T0);
	} else if (jit_in_memory(t->reg)) {
		em_gs(&x->e, size == 8, 0x8b, T0, GS_GPR(t->reg));
	} else {
		em_rr(&x->e, size == 8, 0x89, t->reg, T0);
	}
}

void jit_emit_jmp_ind(struct xlat *x, struct jit_op *o)
{
	load_target(x, o);
	emit_indirect(x);
}

void jit_emit_call_ind(struct xlat *x, struct jit_op *o)
{
	load_target(x, o);
	em_store_gs(&x->e, T0, GS_OFF(jit_tmp));
	push_return(x, o);
	em_load_gs(&x->e, T0, GS_OFF(jit_tmp));
	emit_indirect(x);
}

void jit_emit_ret(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;

	top_slot(x, size);
	load_t0(x, size, T0);
	add_sp(x, (int)(size + (uint16_t)o->op->imm));
	emit_indirect(x);
}
