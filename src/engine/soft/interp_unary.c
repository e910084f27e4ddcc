// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One-operand arithmetic (INC DEC NOT NEG) and shifts and rotates (ROL … SAR, SHLD, SHRD).
 * The host's own instruction computes result and flags.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"

/* ---- A destination that is a register or memory, read-modify-write ------------------------------
 */

/* `compute` maps the old value to the new one and may set flags. */
typedef uint64_t (*rmw_fn)(struct soft_cpu *cpu, const struct soft_op *op, uint64_t old);

static inline void rmw_reg(struct soft_cpu *cpu, const struct soft_op *op, unsigned size,
			   rmw_fn compute)
{
	reg_set(cpu, op->dst, compute(cpu, op, reg_get(cpu, op->dst, size)), size);
}

static inline bool cas_sized(void *p, uint64_t old, uint64_t new, unsigned size)
{
	uint8_t o8 = (uint8_t)old;
	uint16_t o16 = (uint16_t)old;
	uint32_t o32 = (uint32_t)old;

	switch (size) {
	case 1:
		return __atomic_compare_exchange_n((uint8_t *)p, &o8, (uint8_t) new, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	case 2:
		return __atomic_compare_exchange_n((uint16_t *)p, &o16, (uint16_t) new, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	case 4:
		return __atomic_compare_exchange_n((uint32_t *)p, &o32, (uint32_t) new, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	default:
		return __atomic_compare_exchange_n((uint64_t *)p, &old, new, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

static inline void rmw_mem(struct soft_cpu *cpu, const struct soft_op *op, unsigned size,
			   rmw_fn compute)
{
	gva_t lin = op_lin(cpu, op, size, true);
	bool lock = op->flags & SOFT_OP_LOCK;
	void *p = lock ? soft_lock_ptr(cpu, lin, size) : soft_ptr(cpu, lin, size, true, true);
	uint64_t flags = cpu->s.rflags;

	if (!p) {
		if (lock)
			soft_exclusive_begin_op(cpu, op);

		uint64_t old = soft_load(cpu, lin, size);

		soft_store(cpu, lin, compute(cpu, op, old), size);
		if (lock)
			soft_exclusive_end(cpu);
	} else if (lock) {
		uint64_t old, new;

		do {
			cpu->s.rflags = flags;
			old = soft_host_load(p, size);
			new = compute(cpu, op, old);
		} while (!cas_sized(p, old, new, size));
	} else {
		soft_host_store(p, compute(cpu, op, soft_host_load(p, size)), size);
	}
}

#define DEFINE_RMW(name, bits)                                                 \
	static const struct soft_op *name##_r_##bits(struct soft_cpu *cpu,     \
						     const struct soft_op *op) \
	{                                                                      \
		rmw_reg(cpu, op, bits / 8, name##_##bits);                     \
		return soft_next(cpu, op);                                     \
	}                                                                      \
	static const struct soft_op *name##_m_##bits(struct soft_cpu *cpu,     \
						     const struct soft_op *op) \
	{                                                                      \
		rmw_mem(cpu, op, bits / 8, name##_##bits);                     \
		return soft_next(cpu, op);                                     \
	}

/* ---- INC, DEC, NEG, NOT --------------------------------------------------------------------- */

#define DEFINE_UNARY(name, T, bits, insn, mask)                                               \
	static inline uint64_t name##_##bits(struct soft_cpu *cpu, const struct soft_op *op,  \
					     uint64_t old)                                    \
	{                                                                                     \
		T d = (T)old;                                                                 \
		uint32_t ax;                                                                  \
                                                                                              \
		(void)op;                                                                     \
		__asm__(insn " %[d]\n\tlahf\n\tseto %%al" : [d] "+r"(d), "=&a"(ax) : : "cc"); \
		flags_merge(cpu, ax, mask);                                                   \
		return d;                                                                     \
	}                                                                                     \
	DEFINE_RMW(name, bits)

#define DEFINE_UNARY_SIZES(name, insn, mask)             \
	DEFINE_UNARY(name, uint8_t, 8, insn "b", mask)   \
	DEFINE_UNARY(name, uint16_t, 16, insn "w", mask) \
	DEFINE_UNARY(name, uint32_t, 32, insn "l", mask) \
	DEFINE_UNARY(name, uint64_t, 64, insn "q", mask)

DEFINE_UNARY_SIZES(inc, "inc", FLAGS_ARITH & ~FLAG_CF)
DEFINE_UNARY_SIZES(dec, "dec", FLAGS_ARITH & ~FLAG_CF)
DEFINE_UNARY_SIZES(neg, "neg", FLAGS_ARITH)
DEFINE_UNARY_SIZES(not, "not", 0)

#define UNARY_ENTRY(id, name)                                                           \
	{                                                                               \
		X86_OP_##id,                                                            \
		{                                                                       \
			{name##_r_8, name##_m_8}, {name##_r_16, name##_m_16},           \
				{name##_r_32, name##_m_32}, {name##_r_64, name##_m_64}, \
		}                                                                       \
	}

static const struct {
	enum x86_op op;
	soft_fn fn[4][2]; /* by log2 of the size; register, memory */
} unary_table[] = {
	UNARY_ENTRY(INC, inc),
	UNARY_ENTRY(DEC, dec),
	UNARY_ENTRY(NEG, neg),
	UNARY_ENTRY(NOT, not ),
};

soft_fn soft_pick_unary(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	(void)op;
	for (unsigned i = 0; i < ARRAY_SIZE(unary_table); i++) {
		if (unary_table[i].op == insn->op)
			return unary_table[i].fn[__builtin_ctz(insn->opd[0].size)]
						[insn->opd[0].kind == X86_OPD_MEM];
	}
	return NULL;
}

/* ---- Shifts and rotates: the count is CL or an immediate; op->aux says which ---------------- */

static inline uint8_t shift_count(struct soft_cpu *cpu, const struct soft_op *op)
{
	return op->aux ? (uint8_t)cpu->s.gpr[R_RCX] : (uint8_t)op->imm;
}

/* RCL and RCR: the carry is an input, and a count that is a multiple of the width leaves flags
 * alone. */
#define DEFINE_ROTATE_CARRY(name, T, bits, insn, mask)                                       \
	static inline uint64_t name##_##bits(struct soft_cpu *cpu, const struct soft_op *op, \
					     uint64_t old)                                   \
	{                                                                                    \
		T d = (T)old;                                                                \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                    \
                                                                                             \
		__asm__("push %[f]\n\tpopf\n\t" insn " %%cl, %[d]\n\tpushf\n\tpop %[f]"      \
			: [d] "+r"(d), [f] "+r"(f)                                           \
			: "c"(shift_count(cpu, op))                                          \
			: "cc", "memory");                                                   \
		cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)(mask)) | (f & (mask));          \
		return d;                                                                    \
	}                                                                                    \
	DEFINE_RMW(name, bits)

/* The others: only a count of 0 leaves the flags alone. */
#define DEFINE_SHIFT(name, T, bits, insn, mask)                                              \
	static inline uint64_t name##_##bits(struct soft_cpu *cpu, const struct soft_op *op, \
					     uint64_t old)                                   \
	{                                                                                    \
		uint8_t count = shift_count(cpu, op) & (bits == 64 ? 63 : 31);               \
		T d = (T)old;                                                                \
		uint32_t ax;                                                                 \
                                                                                             \
		if (!count)                                                                  \
			return old;                                                          \
		__asm__(insn " %%cl, %[d]\n\tlahf\n\tseto %%al"                              \
			: [d] "+r"(d), "=&a"(ax)                                             \
			: "c"(count)                                                         \
			: "cc");                                                             \
		flags_merge(cpu, ax, mask);                                                  \
		return d;                                                                    \
	}                                                                                    \
	DEFINE_RMW(name, bits)

#define DEFINE_SHIFT_SIZES(name, insn, DEFINE, mask) \
	DEFINE(name, uint8_t, 8, insn "b", mask)     \
	DEFINE(name, uint16_t, 16, insn "w", mask)   \
	DEFINE(name, uint32_t, 32, insn "l", mask)   \
	DEFINE(name, uint64_t, 64, insn "q", mask)

#define ROTATE_FLAGS ((uint64_t)(FLAG_CF | FLAG_OF))
DEFINE_SHIFT_SIZES(rol, "rol", DEFINE_SHIFT, ROTATE_FLAGS)
DEFINE_SHIFT_SIZES(ror, "ror", DEFINE_SHIFT, ROTATE_FLAGS)
DEFINE_SHIFT_SIZES(rcl, "rcl", DEFINE_ROTATE_CARRY, ROTATE_FLAGS)
DEFINE_SHIFT_SIZES(rcr, "rcr", DEFINE_ROTATE_CARRY, ROTATE_FLAGS)
DEFINE_SHIFT_SIZES(shl, "shl", DEFINE_SHIFT, FLAGS_ARITH)
DEFINE_SHIFT_SIZES(shr, "shr", DEFINE_SHIFT, FLAGS_ARITH)
DEFINE_SHIFT_SIZES(sar, "sar", DEFINE_SHIFT, FLAGS_ARITH)

/* SHL, SHR, SAR by a constant below the width, not 0: every arithmetic flag is written, none is
 * read. */
#define DEFINE_SHIFT_CONST(name, T, bits, insn)                                    \
	static const struct soft_op *name##_const_##bits(struct soft_cpu *cpu,     \
							 const struct soft_op *op) \
	{                                                                          \
		T d = (T)reg_get(cpu, op->dst, sizeof(T));                         \
		uint32_t ax;                                                       \
                                                                                   \
		__asm__(insn " %%cl, %[d]\n\tlahf\n\tseto %%al"                    \
			: [d] "+r"(d), "=&a"(ax)                                   \
			: "c"((uint8_t)op->imm)                                    \
			: "cc");                                                   \
		flags_set(cpu, ax);                                                \
		reg_set(cpu, op->dst, d, sizeof(T));                               \
		return soft_next(cpu, op);                                         \
	}

DEFINE_SHIFT_CONST(shl, uint32_t, 32, "shll")
DEFINE_SHIFT_CONST(shl, uint64_t, 64, "shlq")
DEFINE_SHIFT_CONST(shr, uint32_t, 32, "shrl")
DEFINE_SHIFT_CONST(shr, uint64_t, 64, "shrq")
DEFINE_SHIFT_CONST(sar, uint32_t, 32, "sarl")
DEFINE_SHIFT_CONST(sar, uint64_t, 64, "sarq")

#define DEFINE_SHIFT_DOUBLE(name, T, bits, insn)                                              \
	static inline uint64_t name##_##bits(struct soft_cpu *cpu, const struct soft_op *op,  \
					     uint64_t old)                                    \
	{                                                                                     \
		T d = (T)old, s = (T)reg_get(cpu, op->src, sizeof(T));                        \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                     \
                                                                                              \
		__asm__("push %[f]\n\tpopf\n\t" insn " %%cl, %[s], %[d]\n\tpushf\n\tpop %[f]" \
			: [d] "+r"(d), [f] "+r"(f)                                            \
			: "c"(shift_count(cpu, op)), [s] "r"(s)                               \
			: "cc", "memory");                                                    \
		cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAGS_ARITH) | (f & FLAGS_ARITH); \
		return d;                                                                     \
	}                                                                                     \
	DEFINE_RMW(name, bits)

DEFINE_SHIFT_DOUBLE(shld, uint16_t, 16, "shldw")
DEFINE_SHIFT_DOUBLE(shld, uint32_t, 32, "shldl")
DEFINE_SHIFT_DOUBLE(shld, uint64_t, 64, "shldq")
DEFINE_SHIFT_DOUBLE(shrd, uint16_t, 16, "shrdw")
DEFINE_SHIFT_DOUBLE(shrd, uint32_t, 32, "shrdl")
DEFINE_SHIFT_DOUBLE(shrd, uint64_t, 64, "shrdq")

/*
 * OF after a rotation by more than 1 is undefined. Current processors of Intel leave it alone if the count is a
 * constant and the operand a register; in all other cases, and AMD's in all, they compute it as for a count of 1.
 * The handlers above rotate by CL, so the former need their own.
 * Source: Intel SDM vol. 2 "RCL/RCR/ROL/ROR", flags affected.
 */
#define DEFINE_ROTATE_KEEP_OF(name, T, bits)                                         \
	static const struct soft_op *name##_keep_of_##bits(struct soft_cpu *cpu,     \
							   const struct soft_op *op) \
	{                                                                            \
		uint64_t of = cpu->s.rflags & FLAG_OF;                               \
                                                                                     \
		rmw_reg(cpu, op, sizeof(T), name##_##bits);                          \
		cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAG_OF) | of;           \
		return soft_next(cpu, op);                                           \
	}

DEFINE_ROTATE_KEEP_OF(rol, uint8_t, 8)
DEFINE_ROTATE_KEEP_OF(rol, uint16_t, 16)
DEFINE_ROTATE_KEEP_OF(rol, uint32_t, 32)
DEFINE_ROTATE_KEEP_OF(rol, uint64_t, 64)
DEFINE_ROTATE_KEEP_OF(ror, uint8_t, 8)
DEFINE_ROTATE_KEEP_OF(ror, uint16_t, 16)
DEFINE_ROTATE_KEEP_OF(ror, uint32_t, 32)
DEFINE_ROTATE_KEEP_OF(ror, uint64_t, 64)

bool soft_rotate_keeps_of(void)
{
	uint64_t set = FLAG_OF, clear = 0;
	uint32_t zero = 0, one = 1;

	/* 0 rotated gives OF = 0, and 1 rotated to the left by 31 gives OF = 1 where it is computed. */
	__asm__("push %[f]\n\tpopf\n\trol $2, %[d]\n\tpushf\n\tpop %[f]"
		: [f] "+r"(set), [d] "+r"(zero)
		:
		: "cc", "memory");
	__asm__("push %[f]\n\tpopf\n\trol $31, %[d]\n\tpushf\n\tpop %[f]"
		: [f] "+r"(clear), [d] "+r"(one)
		:
		: "cc", "memory");
	return (set & FLAG_OF) && !(clear & FLAG_OF);
}

static soft_fn pick_const_rotate(const struct soft_engine *e, const struct x86_insn *insn,
				 uint64_t count)
{
	static const soft_fn rol[4] = {rol_keep_of_8, rol_keep_of_16, rol_keep_of_32,
				       rol_keep_of_64};
	static const soft_fn ror[4] = {ror_keep_of_8, ror_keep_of_16, ror_keep_of_32,
				       ror_keep_of_64};
	unsigned log = (unsigned)__builtin_ctz(insn->opd[0].size);

	if (!e->rotate_keeps_of || (insn->op != X86_OP_ROL && insn->op != X86_OP_ROR) ||
	    insn->opd[0].kind != X86_OPD_REG || (count & (log == 3 ? 63 : 31)) < 2)
		return NULL;
	return insn->op == X86_OP_ROL ? rol[log] : ror[log];
}

#define DOUBLE_ENTRY(id, name)                                                                \
	{                                                                                     \
		X86_OP_##id,                                                                  \
		{                                                                             \
			{NULL, NULL}, {name##_r_16, name##_m_16}, {name##_r_32, name##_m_32}, \
				{name##_r_64, name##_m_64},                                   \
		}                                                                             \
	}

static const struct {
	enum x86_op op;
	soft_fn fn[4][2];
} shift_table[] = {
	UNARY_ENTRY(ROL, rol), UNARY_ENTRY(ROR, ror),	 UNARY_ENTRY(RCL, rcl),
	UNARY_ENTRY(RCR, rcr), UNARY_ENTRY(SHL, shl),	 UNARY_ENTRY(SHR, shr),
	UNARY_ENTRY(SAR, sar), DOUBLE_ENTRY(SHLD, shld), DOUBLE_ENTRY(SHRD, shrd),
};

static soft_fn pick_const_shift(const struct x86_insn *insn, uint64_t count)
{
	bool wide = insn->opd[0].size == 8;

	if (insn->opd[0].kind != X86_OPD_REG || insn->opd[0].size < 4 || count < 1 ||
	    count >= 8u * insn->opd[0].size)
		return NULL;
	switch (insn->op) {
	case X86_OP_SHL:
		return wide ? shl_const_64 : shl_const_32;
	case X86_OP_SHR:
		return wide ? shr_const_64 : shr_const_32;
	case X86_OP_SAR:
		return wide ? sar_const_64 : sar_const_32;
	default:
		return NULL;
	}
}

soft_fn soft_pick_shift(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	bool twin = insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD;
	const struct x86_operand *count = &insn->opd[twin ? 2 : 1];

	op->aux = count->kind == X86_OPD_REG;
	if (!op->aux) {
		soft_fn fn = pick_const_shift(insn, op->imm);

		if (!fn)
			fn = pick_const_rotate(cpu->e, insn, op->imm);
		if (fn)
			return fn;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(shift_table); i++) {
		if (shift_table[i].op == insn->op)
			return shift_table[i].fn[__builtin_ctz(insn->opd[0].size)]
						[insn->opd[0].kind == X86_OPD_MEM];
	}
	return NULL;
}
