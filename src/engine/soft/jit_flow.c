// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host code for near branches and the stack. Source: Intel SDM vol. 2. Threads: with the cache lock.
 */
#include <assert.h>

#include "engine/soft/jit_xlat.h"

_Static_assert(SOFT_JIT_JC_BITS == 16, "an index is 16 bits by MOVZX");
_Static_assert(offsetof(struct soft_space, exec) - offsetof(struct soft_space, win) > 127,
	       "a word's displacement is 4 bytes");

/* ---- Exits ---------------------------------------------------------------------------------- */

static uint64_t linear(const struct xlat *x, uint64_t ip)
{
	uint64_t lin = x->cpu->segbase[SEG_CS] + ip;

	return x->m64 ? lin : (uint32_t)lin;
}

static bool same_page(const struct xlat *x, uint64_t ip)
{
	return (linear(x, ip) & PAGE_MASK) == (x->b->lin & PAGE_MASK);
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

/* By the target's entry of the vCPU's table, or to the two jumps left in `miss`. */
void jit_emit_by_table(struct xlat *x, uint64_t ip, uint32_t *miss)
{
	uint32_t ent = (uint32_t)(offsetof(struct soft_cpu, jit_jc) +
				  jit_jc_index(ip) * sizeof(struct soft_jit_jc));
	struct emit *e = &x->e;

	jit_mov_moving(x, T0, ip);
	em_gs(e, 1, 0x3b, T0, ent);
	jit_note(x, e->pos - 4, JIT_FIX_TABLE);
	miss[0] = em_jcc_later(e, 5);
	em_load_gs(e, T1, GS_OFF(code_key));
	em_gs(e, 1, 0x3b, T1, ent + 8);
	jit_note(x, e->pos - 4, JIT_FIX_TABLE);
	miss[1] = em_jcc_later(e, 5);
	em_jmp_gs(e, ent + 16);
	jit_note(x, e->pos - 4, JIT_FIX_TABLE);
}

/*
 * A target in another page, which may be somewhere else in the next address space: a direct jump if the
 * space has the page that the link was made for. Flags are parked: the target's pad takes them back.
 */
static void emit_cross(struct xlat *x, uint64_t ip)
{
	int32_t at =
		(int32_t)(offsetof(struct soft_space, exec) - offsetof(struct soft_space, win) +
			  8 * (linear(x, ip) >> PAGE_BITS & (SOFT_WINDOWS - 1)));
	struct emit *e = &x->e;
	uint32_t load, fail;

	park_live(x);
	em_rex(e, 1, T0, 0, 0); /* mov r9, [word] */
	em8(e, 0x8b);
	em8(e, (T0 & 7) << 3 | 5);
	em32(e, 0);
	load = e->pos - 4;
	em_at(e, 1, 0x3b, T0, BASE, X86_NO_REG, at);
	jit_note(x, e->pos - 4, JIT_FIX_EXEC);
	fail = em_jcc_later(e, 5);
	em_align_rel(e, 1);
	em8(e, 0xe9);
	em32(e, 0);
	add_link(x, ip, -1, true);
	x->link[x->nlinks - 1].load = load;
	x->link[x->nlinks - 1].fail = fail;
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
	jit_need_flags(x);
	if (same_page(x, o->op->imm)) {
		em_align_rel(&x->e, 2);
		em8(&x->e, 0x0f);
		em8(&x->e, 0x80 | (o->insn.cc & 15));
		em32(&x->e, 0);
		add_link(x, o->op->imm, o->inner, false);
		return;
	}
	x->far[x->nfar].ip = o->op->imm;
	x->far[x->nfar].rel = em_jcc_later(&x->e, o->insn.cc & 15u);
	x->far[x->nfar].op = (uint16_t)x->cur;
	x->nfar++;
}

void jit_emit_far(struct xlat *x)
{
	for (unsigned i = 0; i < x->nfar; i++) {
		x->cur = x->far[i].op;
		x->flags = FLAGS_HOST;
		em_patch_rel(x->e.rw, x->far[i].rel, x->e.pos);
		jit_note_jump(x, x->far[i].rel, x->e.pos);
		emit_cross(x, x->far[i].ip);
	}
}

/* A short jump on RCX or ECX being 0 that is filled in by end_short; keeps flags. */
static uint32_t jrcxz_later(struct xlat *x, bool wide)
{
	if (!wide)
		em8(&x->e, 0x67);
	em8(&x->e, 0xe3);
	em8(&x->e, 0);
	return x->e.pos;
}

static void end_short(struct xlat *x, uint32_t from)
{
	assert(x->e.pos - from < 128);
	x->e.rw[from - 1] = (uint8_t)(x->e.pos - from);
}

/* Count, then jump unless the count is 0 or ZF is wrong. A 16-bit count is widened for the test. */
static void emit_count(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.addrsize, kind = o->op->aux;
	struct emit *e = &x->e;
	uint32_t none, flag = 0;
	enum jit_flags_at was;

	if (kind != SOFT_LOOP_COUNT)
		jit_need_flags(x);
	was = x->flags;
	if (size == 2)
		em8(e, 0x66);
	em_lea(e, size == 8, R_RCX, R_RCX, X86_NO_REG, 0, -1);
	if (kind != SOFT_LOOP_COUNT)
		flag = em_jcc_later(e, kind == SOFT_LOOP_WHILE_ZF ? 5 : 4);
	if (size == 2) {
		em_mov_rr(e, T0, R_RCX);
		em_movzx16(e, R_RCX, R_RCX);
	}
	none = jrcxz_later(x, size == 8);
	if (size == 2)
		em_mov_rr(e, R_RCX, T0);
	jit_emit_exit(x, o->op->imm, o->inner);
	end_short(x, none);
	if (size == 2)
		em_mov_rr(e, R_RCX, T0);
	if (flag)
		em_patch_rel(e->rw, flag, e->pos);
	x->flags = was;
}

static void emit_jcxz(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.addrsize;
	enum jit_flags_at was = x->flags;
	struct emit *e = &x->e;
	uint32_t zero, over;

	if (size == 2) {
		em_mov_rr(e, T0, R_RCX);
		em_movzx16(e, R_RCX, R_RCX);
	}
	zero = jrcxz_later(x, size == 8);
	if (size == 2)
		em_mov_rr(e, R_RCX, T0);
	em8(e, 0xe9);
	em32(e, 0);
	over = e->pos - 4;
	end_short(x, zero);
	if (size == 2)
		em_mov_rr(e, R_RCX, T0);
	jit_emit_exit(x, o->op->imm, o->inner);
	em_patch_rel(e->rw, over, e->pos);
	x->flags = was;
}

void jit_emit_loop(struct xlat *x, struct jit_op *o)
{
	if (o->insn.op == X86_OP_JCXZ)
		emit_jcxz(x, o);
	else
		emit_count(x, o);
}

void jit_emit_jmp(struct xlat *x, struct jit_op *o)
{
	jit_emit_exit(x, o->op->imm, o->inner);
}

/* Flags are parked on the way: the target's pad takes them if it wants any. */
void jit_emit_indirect(struct xlat *x)
{
	struct emit *e = &x->e;
	uint32_t tab = (uint32_t)offsetof(struct soft_cpu, jit_jc);

	park_live(x);
	em_mov_rr(e, T1, T0);
	em_shift_imm(e, 1, 5, T1, SOFT_JIT_JC_BITS);
	em_rr(e, 0, 0x31, T0, T1); /* xor r10d, r9d */
	em_rex(e, 0, T1, 0, T1);   /* movzx r10d, r10w */
	em8(e, 0x0f);
	em8(e, 0xb7);
	em8(e, 0xc0 | (T1 & 7) << 3 | (T1 & 7));
	em_shift_imm(e, 0, 4, T1, 5);
	em_gs_at(e, 1, 0x3b, T0, T1, tab); /* cmp r9, entry.ip */
	jit_slow_stub(x, em_jcc_later(e, 5), true);
	em_load_gs(e, T0, GS_OFF(code_key));   /* the stub takes the address from the entry */
	em_gs_at(e, 1, 0x3b, T0, T1, tab + 8); /* cmp r9, entry.key */
	jit_slow_stub(x, em_jcc_later(e, 5), true);
	x->slow[x->nslow - 1].by_entry = true;
	em8(e, 0x65); /* jmp gs:[r10 + entry.host] */
	em_rex(e, 0, 0, 0, T1);
	em8(e, 0xff);
	em8(e, 0x80 | 4 << 3 | (T1 & 7));
	em32(e, tab + 16);
}

/* ---- The stack ------------------------------------------------------------------------------ */

/* Bytes of the stack pointer. */
static unsigned sp_size(const struct xlat *x)
{
	return x->m64 ? 8 : x->mode & SOFT_MODE_SS32 ? 4 : 2;
}

/* A 16-bit one leaves the rest of ESP alone. */
void jit_set_sp(struct xlat *x, unsigned reg, int n)
{
	if (sp_size(x) == 2)
		em8(&x->e, 0x66);
	em_lea(&x->e, x->m64, R_RSP, reg, X86_NO_REG, 0, n);
}

void jit_stack_slot(struct xlat *x, unsigned reg, int n, unsigned size, enum soft_access access)
{
	struct emit *e = &x->e;

	if (x->m64) {
		struct jit_place at = {.base = (uint8_t)reg, .index = X86_NO_REG, .disp = n};

		jit_reach(x, &at, size, access);
		return;
	}
	x->at = 0;
	if (n)
		em_lea(e, x->m64, T0, reg, X86_NO_REG, 0, n);
	else if (sp_size(x) > 2)
		em_rr(e, x->m64, 0x89, reg, T0);
	if (sp_size(x) == 2)
		em_movzx16(e, T0, n ? (unsigned)T0 : reg);
	jit_segment(x, SEG_SS, size, access);
	jit_check(x, reg, size, access);
}

static void push_slot(struct xlat *x, unsigned size)
{
	jit_stack_slot(x, R_RSP, -(int)size, size, SOFT_WRITE);
}

static void top_slot(struct xlat *x, unsigned size)
{
	jit_stack_slot(x, R_RSP, 0, size, SOFT_READ);
}

void jit_store_t0(struct xlat *x, unsigned size, unsigned reg)
{
	if (size == 2)
		em8(&x->e, 0x66);
	em_rex(&x->e, size == 8, reg, 0, T0);
	em8(&x->e, 0x89);
	em_mem(&x->e, reg, T0, X86_NO_REG, 0, x->at);
}

void jit_load_t0(struct xlat *x, unsigned size, unsigned reg)
{
	struct emit *e = &x->e;

	if (size == 2 && jit_in_memory(reg)) {
		em_rex(e, 0, reg, 0, T0);
		em8(e, 0x0f);
		em8(e, 0xb7);
	} else {
		if (size == 2)
			em8(e, 0x66);
		em_rex(e, size == 8, reg, 0, T0);
		em8(e, 0x8b);
	}
	em_mem(e, reg, T0, X86_NO_REG, 0, x->at);
}

static void push_imm(struct xlat *x, unsigned size, uint64_t imm)
{
	struct emit *e = &x->e;

	if (size == 2)
		em8(e, 0x66);
	em_rex(e, size == 8, 0, 0, T0);
	em8(e, 0xc7);
	em_mem(e, 0, T0, X86_NO_REG, 0, x->at);
	if (size == 2)
		em16(e, (uint16_t)imm);
	else
		em32(e, (uint32_t)imm);
}

void jit_emit_push(struct xlat *x, struct jit_op *o)
{
	const struct x86_operand *src = &o->insn.opd[0];
	unsigned size = o->insn.opsize, reg = src->reg;
	struct emit *e = &x->e;

	if (src->kind == X86_OPD_MEM) {
		jit_operand(x, o, size, SOFT_READ);
		jit_load_t0(x, size, T0);
		em_store_gs(e, T0, GS_OFF(jit_tmp));
	}
	push_slot(x, size);
	if (src->kind == X86_OPD_IMM) {
		push_imm(x, size, (uint64_t)o->insn.imm);
	} else {
		if (src->kind == X86_OPD_MEM) {
			em_load_gs(e, T1, GS_OFF(jit_tmp));
			reg = T1;
		} else if (jit_in_memory(reg)) {
			em_load_gs(e, T1, GS_GPR(reg));
			reg = T1;
		}
		jit_store_t0(x, size, reg);
	}
	jit_set_sp(x, R_RSP, -(int)size);
}

void jit_emit_pop(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize, reg = o->insn.opd[0].reg;
	struct emit *e = &x->e;

	top_slot(x, size);
	if (reg != R_RSP && !jit_in_memory(reg)) {
		jit_load_t0(x, size, reg);
		jit_set_sp(x, R_RSP, (int)size);
		return;
	}
	jit_load_t0(x, size, T1);
	jit_set_sp(x, R_RSP, (int)size);
	if (size == 2)
		em8(e, 0x66);
	if (reg == R_RSP)
		em_rr(e, size == 8, 0x89, T1, R_RSP);
	else
		em_gs(e, size != 2, 0x89, T1, GS_GPR(reg));
}

void jit_emit_leave(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;

	jit_stack_slot(x, R_RBP, 0, size, SOFT_READ);
	jit_load_t0(x, size, T1); /* it may fault */
	jit_set_sp(x, R_RBP, (int)size);
	if (size == 2)
		em8(&x->e, 0x66);
	em_rr(&x->e, size == 8, 0x89, T1, R_RBP);
}

/* ---- Calls and returns ---------------------------------------------------------------------- */

/* `keep`: what was there goes to jit_old, since the branch may yet fault. */
static void push_return(struct xlat *x, struct jit_op *o, bool keep)
{
	unsigned size = o->insn.opsize;
	uint64_t next = o->op->rip + o->op->len;

	push_slot(x, size);
	if (keep) {
		jit_load_t0(x, size, T1);
		em_store_gs(&x->e, T1, GS_OFF(jit_old));
	}
	if (size == 8)
		jit_mov_moving(x, T1, next);
	else
		em_mov_imm(&x->e, T1, (uint32_t)next);
	jit_store_t0(x, size, T1);
	jit_set_sp(x, R_RSP, -(int)size);
}

void jit_emit_call(struct xlat *x, struct jit_op *o)
{
	push_return(x, o, false);
	jit_emit_exit(x, o->op->imm, -1);
}

/* T0 = the target of an indirect branch. */
static void load_target(struct xlat *x, struct jit_op *o)
{
	const struct x86_operand *t = &o->insn.opd[0];
	unsigned size = o->insn.opsize;

	if (t->kind == X86_OPD_MEM) {
		jit_operand(x, o, size, SOFT_READ);
		jit_load_t0(x, size, T0);
	} else if (jit_in_memory(t->reg)) {
		em_gs(&x->e, size == 8, 0x8b, T0, GS_GPR(t->reg));
	} else if (size == 2) {
		em_movzx16(&x->e, T0, t->reg);
	} else {
		em_rr(&x->e, size == 8, 0x89, t->reg, T0);
	}
}

void jit_emit_jmp_ind(struct xlat *x, struct jit_op *o)
{
	load_target(x, o);
	jit_emit_indirect(x);
}

void jit_emit_call_ind(struct xlat *x, struct jit_op *o)
{
	load_target(x, o);
	em_store_gs(&x->e, T0, GS_OFF(jit_tmp));
	/* On Intel's processors a refused CALL leaves the return address: interp_flow.c. */
	push_return(x, o, !soft_intel(x->cpu));
	em_load_gs(&x->e, T0, GS_OFF(jit_tmp));
	jit_emit_indirect(x);
}

void jit_emit_ret(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;

	top_slot(x, size);
	jit_load_t0(x, size, T0);
	jit_set_sp(x, R_RSP, (int)(size + (uint16_t)o->op->imm));
	jit_emit_indirect(x);
}

/* ---- Groups --------------------------------------------------------------------------------- */

#define MAX_GROUP 8u

static bool groupable_push(const struct jit_op *o)
{
	const struct x86_operand *src = &o->insn.opd[0];

	return o->emit == jit_emit_push && o->insn.opsize == 8 &&
	       (src->kind == X86_OPD_IMM || (src->kind == X86_OPD_REG && src->reg != R_RSP));
}

static bool groupable_pop(const struct jit_op *o)
{
	return o->emit == jit_emit_pop && o->insn.opsize == 8 && o->insn.opd[0].reg != R_RSP;
}

static unsigned count_group(const struct xlat *x, unsigned i,
			    bool (*belongs)(const struct jit_op *))
{
	unsigned n = 0;

	while (n < MAX_GROUP && i + n < x->n && !(x->ops[i + n].op->flags & SOFT_OP_END) &&
	       x->ops[i + n].emit && belongs(&x->ops[i + n]) && (n == 0 || !x->ops[i + n].label))
		n++;
	return n;
}

/* The 8 bytes of a push, `at` behind the lowest of the group. */
static void store_pushed(struct xlat *x, const struct jit_op *o, int at)
{
	const struct x86_operand *src = &o->insn.opd[0];
	unsigned reg = src->reg;
	struct emit *e = &x->e;

	at += x->at;
	if (src->kind == X86_OPD_IMM) {
		em_rex(e, 1, 0, 0, T0);
		em8(e, 0xc7);
		em_mem(e, 0, T0, X86_NO_REG, 0, at);
		em32(e, (uint32_t)o->insn.imm);
		return;
	}
	if (jit_in_memory(reg)) {
		em_load_gs(e, T1, GS_GPR(reg));
		reg = T1;
	}
	em_rex(e, 1, reg, 0, T0);
	em8(e, 0x89);
	em_mem(e, reg, T0, X86_NO_REG, 0, at);
}

static void load_popped(struct xlat *x, const struct jit_op *o, int at)
{
	unsigned reg = o->insn.opd[0].reg, host = jit_in_memory(reg) ? T1 : reg;
	struct emit *e = &x->e;

	em_rex(e, 1, host, 0, T0);
	em8(e, 0x8b);
	em_mem(e, host, T0, X86_NO_REG, 0, x->at + at);
	if (host == T1)
		em_store_gs(e, T1, GS_GPR(reg));
}

unsigned jit_emit_group(struct xlat *x, unsigned i)
{
	unsigned pushes = count_group(x, i, groupable_push);
	unsigned pops = count_group(x, i, groupable_pop), n;
	const struct jit_op *ret = &x->ops[i + pops];
	bool with_ret;

	if (!x->m64 || (x->b->lone >> i & 1))
		return 0;
	if (pushes > 1) {
		jit_stack_slot(x, R_RSP, -8 * (int)pushes, 8 * pushes, SOFT_WRITE);
		for (unsigned k = 0; k < pushes; k++)
			store_pushed(x, &x->ops[i + k], 8 * (int)(pushes - 1 - k));
		jit_set_sp(x, R_RSP, -8 * (int)pushes);
		return pushes;
	}
	with_ret = pops && i + pops < x->n && !(ret->op->flags & SOFT_OP_END) &&
		   ret->emit == jit_emit_ret && !ret->label && ret->insn.opsize == 8;
	n = pops + with_ret;
	if (n < 2)
		return 0;
	jit_stack_slot(x, R_RSP, 0, 8 * n, SOFT_READ);
	for (unsigned k = 0; k < pops; k++)
		load_popped(x, &x->ops[i + k], 8 * (int)k);
	if (!with_ret) {
		jit_set_sp(x, R_RSP, 8 * (int)n);
		return n;
	}
	em_rex(&x->e, 1, T0, 0, T0);
	em8(&x->e, 0x8b);
	em_mem(&x->e, T0, T0, X86_NO_REG, 0, x->at + 8 * (int)pops);
	jit_set_sp(x, R_RSP, (int)(8 * n + (uint16_t)ret->op->imm));
	x->cur = i + pops;
	jit_emit_indirect(x);
	return n;
}
