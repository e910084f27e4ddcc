// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exchanges: XCHG (always locked with memory), XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B.
 * In RAM they are host atomics, with LOCK and without; across a page end (on some hosts, a cache
 * line's) or on a device they are a read and a write, with every other vCPU stopped if locked.
 * Source: Intel SDM vol. 2, vol. 3A §9.1. Threads: the vCPU's own.
 */
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"

void soft_flags_sub(struct soft_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
	unsigned up = 64 - 8 * size;
	uint32_t ax;
	uint64_t d = a << up;

	/* Operands moved to the top of a register: CF, OF, SF, ZF are right; AF and PF are not. */
	__asm__("sub %[s], %[d]\n\tlahf\n\tseto %%al"
		: [d] "+r"(d), "=&a"(ax)
		: [s] "r"(b << up)
		: "cc");
	flags_merge(cpu, ax, FLAGS_ARITH & ~(FLAG_AF | FLAG_PF));

	uint8_t low = (uint8_t)a, s = (uint8_t)b;

	__asm__("subb %[s], %[d]\n\tlahf\n\tseto %%al"
		: [d] "+r"(low), "=&a"(ax)
		: [s] "r"(s)
		: "cc");
	flags_merge(cpu, ax, FLAG_AF | FLAG_PF);
}

static uint64_t exchange(void *p, uint64_t v, unsigned size)
{
	switch (size) {
	case 1:
		return __atomic_exchange_n((uint8_t *)p, (uint8_t)v, __ATOMIC_SEQ_CST);
	case 2:
		return __atomic_exchange_n((uint16_t *)p, (uint16_t)v, __ATOMIC_SEQ_CST);
	case 4:
		return __atomic_exchange_n((uint32_t *)p, (uint32_t)v, __ATOMIC_SEQ_CST);
	default:
		return __atomic_exchange_n((uint64_t *)p, v, __ATOMIC_SEQ_CST);
	}
}

/* *p == expect ? *p = v : nothing. Returns what was there. */
static uint64_t compare_exchange(void *p, uint64_t expect, uint64_t v, unsigned size)
{
	uint8_t e8 = (uint8_t)expect;
	uint16_t e16 = (uint16_t)expect;
	uint32_t e32 = (uint32_t)expect;

	switch (size) {
	case 1:
		__atomic_compare_exchange_n((uint8_t *)p, &e8, (uint8_t)v, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return e8;
	case 2:
		__atomic_compare_exchange_n((uint16_t *)p, &e16, (uint16_t)v, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return e16;
	case 4:
		__atomic_compare_exchange_n((uint32_t *)p, &e32, (uint32_t)v, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return e32;
	default:
		__atomic_compare_exchange_n((uint64_t *)p, &expect, v, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return expect;
	}
}

/*
 * Around an operation on a device or across the end of a page or line. With LOCK no other vCPU runs meanwhile; DMA
 * may come in between, as it may between the two halves of a split lock on some chip sets.
 */
static void split_begin(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_LOCK)
		soft_exclusive_begin_op(cpu, op);
}

static void split_end(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_LOCK)
		soft_exclusive_end(cpu);
}

static const struct soft_op *xchg_rr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t a = reg_get(cpu, op->dst, op->opsize), b = reg_get(cpu, op->src, op->opsize);

	reg_set(cpu, op->dst, b, op->opsize);
	reg_set(cpu, op->src, a, op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *xchg_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	gva_t lin = op_lin(cpu, op, size, true);
	void *p = soft_lock_ptr(cpu, lin, size);
	uint64_t v = reg_get(cpu, op->src, size), old;

	if (p) {
		old = exchange(p, v, size);
	} else {
		soft_exclusive_begin_op(cpu, op);
		old = soft_load(cpu, lin, size);
		soft_store(cpu, lin, v, size);
		soft_exclusive_end(cpu);
	}
	reg_set(cpu, op->src, old, size);
	return soft_next(cpu, op);
}

/* dst = dst + src with flags; src = old dst. a + b has the flags of a - (-b) but for CF and AF. */
static uint64_t add_flags(struct soft_cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
	unsigned up = 64 - 8 * size;
	uint64_t d = a << up;
	uint8_t low = (uint8_t)a, s = (uint8_t)b;
	uint32_t ax;

	__asm__("add %[s], %[d]\n\tlahf\n\tseto %%al"
		: [d] "+r"(d), "=&a"(ax)
		: [s] "r"(b << up)
		: "cc");
	flags_merge(cpu, ax, FLAGS_ARITH & ~(FLAG_AF | FLAG_PF));
	__asm__("addb %[s], %[d]\n\tlahf\n\tseto %%al"
		: [d] "+r"(low), "=&a"(ax)
		: [s] "r"(s)
		: "cc");
	flags_merge(cpu, ax, FLAG_AF | FLAG_PF);
	return a + b;
}

static const struct soft_op *xadd_rr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	uint64_t a = reg_get(cpu, op->dst, size), b = reg_get(cpu, op->src, size);
	uint64_t sum = add_flags(cpu, a, b, size);

	reg_set(cpu, op->src, a, size);
	reg_set(cpu, op->dst, sum, size);
	return soft_next(cpu, op);
}

static const struct soft_op *xadd_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	gva_t lin = op_lin(cpu, op, size, true);
	void *p = soft_lock_ptr(cpu, lin, size);
	uint64_t b = reg_get(cpu, op->src, size), old;

	if (p) {
		do {
			old = soft_host_load(p, size);
		} while (compare_exchange(p, old, old + b, size) != old);
	} else {
		split_begin(cpu, op);
		old = soft_load(cpu, lin, size);
		soft_store(cpu, lin, old + b, size);
		split_end(cpu, op);
	}
	add_flags(cpu, old, b, size);
	reg_set(cpu, op->src, old, size);
	return soft_next(cpu, op);
}

static const struct soft_op *cmpxchg_rr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	uint64_t d = reg_get(cpu, op->dst, size), acc = reg_get(cpu, 8 * R_RAX, size);

	soft_flags_sub(cpu, acc, d, size);
	if (d == acc)
		reg_set(cpu, op->dst, reg_get(cpu, op->src, size), size);
	else
		reg_set(cpu, 8 * R_RAX, d, size);
	return soft_next(cpu, op);
}

/* The destination is written in either case (SDM vol. 2): it must be writable. */
static const struct soft_op *cmpxchg_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	gva_t lin = op_lin(cpu, op, size, true);
	void *p = soft_lock_ptr(cpu, lin, size);
	uint64_t acc = reg_get(cpu, 8 * R_RAX, size), v = reg_get(cpu, op->src, size), old;

	if (p) {
		old = compare_exchange(p, acc, v, size);
	} else {
		split_begin(cpu, op);
		old = soft_load(cpu, lin, size);
		soft_store(cpu, lin, old == acc ? v : old, size);
		split_end(cpu, op);
	}
	soft_flags_sub(cpu, acc, old, size);
	if (old != acc)
		reg_set(cpu, 8 * R_RAX, old, size);
	return soft_next(cpu, op);
}

static inline void zero_flag(struct soft_cpu *cpu, bool on)
{
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAG_ZF) | (on ? FLAG_ZF : 0);
}

static const struct soft_op *cmpxchg8b(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t *g = cpu->s.gpr;
	gva_t lin = op_lin(cpu, op, 8, true);
	void *p = soft_lock_ptr(cpu, lin, 8);
	uint64_t expect = g[R_RDX] << 32 | (uint32_t)g[R_RAX];
	uint64_t v = g[R_RCX] << 32 | (uint32_t)g[R_RBX], old;

	if (p) {
		old = compare_exchange(p, expect, v, 8);
	} else {
		split_begin(cpu, op);
		old = soft_load(cpu, lin, 8);
		soft_store(cpu, lin, old == expect ? v : old, 8);
		split_end(cpu, op);
	}
	zero_flag(cpu, old == expect);
	if (old != expect) {
		reg_set(cpu, 8 * R_RAX, (uint32_t)old, 4);
		reg_set(cpu, 8 * R_RDX, old >> 32, 4);
	}
	return soft_next(cpu, op);
}

static const struct soft_op *cmpxchg16b(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t *g = cpu->s.gpr, lo = g[R_RAX], hi = g[R_RDX];
	gva_t lin = op_lin(cpu, op, 16, true);
	bool equal;

	if (lin & 15)
		soft_raise_err(cpu, VEC_GP, 0);

	uint64_t *p = soft_ptr(cpu, lin, 16, true, true);

	if (p) {
		__asm__ volatile("lock cmpxchg16b %[m]"
				 : [m] "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi),
				   "=@ccz"(equal)
				 : "b"(g[R_RBX]), "c"(g[R_RCX])
				 : "memory");
	} else {
		split_begin(cpu, op);
		lo = soft_load(cpu, lin, 8);
		hi = soft_load(cpu, lin + 8, 8);
		equal = lo == g[R_RAX] && hi == g[R_RDX];
		soft_store(cpu, lin, equal ? g[R_RBX] : lo, 8);
		soft_store(cpu, lin + 8, equal ? g[R_RCX] : hi, 8);
		split_end(cpu, op);
	}
	zero_flag(cpu, equal);
	if (!equal) {
		g[R_RAX] = lo;
		g[R_RDX] = hi;
	}
	return soft_next(cpu, op);
}

soft_fn soft_pick_atomic(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	bool mem = insn->opd[0].kind == X86_OPD_MEM;

	(void)cpu;
	op->opsize = (uint8_t)insn->opd[0].size;
	switch (insn->op) {
	case X86_OP_XCHG:
		if (insn->opd[1].kind == X86_OPD_MEM) { /* either order is the same exchange */
			op->src = op->dst;
			return xchg_m;
		}
		return mem ? xchg_m : xchg_rr;
	case X86_OP_XADD:
		return mem ? xadd_m : xadd_rr;
	case X86_OP_CMPXCHG:
		return mem ? cmpxchg_m : cmpxchg_rr;
	case X86_OP_CMPXCHG8B:
		return cmpxchg8b;
	case X86_OP_CMPXCHG16B:
		return cmpxchg16b;
	default:
		return NULL;
	}
}
