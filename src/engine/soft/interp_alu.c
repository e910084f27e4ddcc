// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two-operand arithmetic and its flags: ADD OR ADC SBB AND SUB XOR CMP TEST, in every size and
 * form. The host's own instruction computes result and flags. Source: Intel SDM vol. 2. Threads:
 * the vCPU's own.
 */
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"

/* Compute `d OP s` on the host and keep its six arithmetic flags. */
#define DEFINE_COMPUTE(name, T, bits, insn)                           \
	static inline T name##_##bits(struct soft_cpu *cpu, T d, T s) \
	{                                                             \
		uint32_t ax;                                          \
                                                                      \
		__asm__(insn " %[s], %[d]\n\tlahf\n\tseto %%al"       \
			: [d] "+r"(d), "=&a"(ax)                      \
			: [s] "r"(s)                                  \
			: "cc");                                      \
		flags_set(cpu, ax);                                   \
		return d;                                             \
	}

/* The same with the guest's carry as an input. */
#define DEFINE_COMPUTE_CARRY(name, T, bits, insn)                                  \
	static inline T name##_##bits(struct soft_cpu *cpu, T d, T s)              \
	{                                                                          \
		uint32_t ax;                                                       \
                                                                                   \
		__asm__("bt $0, %k[f]\n\t" insn " %[s], %[d]\n\tlahf\n\tseto %%al" \
			: [d] "+r"(d), "=&a"(ax)                                   \
			: [s] "r"(s), [f] "r"((uint32_t)cpu->s.rflags)             \
			: "cc");                                                   \
		flags_set(cpu, ax);                                                \
		return d;                                                          \
	}

/*
 * Handlers: register-register, register-immediate, register-memory, memory-register,
 * memory-immediate. A memory destination is updated in place when the TLB has it; a locked update
 * is a compare-and-exchange loop on the host; across a page end (on some hosts, a cache line's) or
 * on a device, a read and a write with every other vCPU stopped.
 */
#define DEFINE_MEM_DST(name, T, bits, form, source)                                          \
	static const struct soft_op *name##_##form##_##bits(struct soft_cpu *cpu,            \
							    const struct soft_op *op)        \
	{                                                                                    \
		gva_t lin = op_lin(cpu, op, sizeof(T), true);                                \
		volatile T *p = (volatile T *)soft_tlb_hit(cpu, lin, sizeof(T), SOFT_WRITE); \
		T s = source;                                                                \
                                                                                             \
		if (likely(p)) {                                                             \
			*p = name##_##bits(cpu, *p, s);                                      \
		} else {                                                                     \
			soft_probe_write(cpu, lin, sizeof(T));                               \
			T d = (T)soft_load(cpu, lin, sizeof(T));                             \
			soft_store(cpu, lin, name##_##bits(cpu, d, s), sizeof(T));           \
		}                                                                            \
		return soft_next(cpu, op);                                                   \
	}                                                                                    \
	static const struct soft_op *name##_lock_##form##_##bits(struct soft_cpu *cpu,       \
								 const struct soft_op *op)   \
	{                                                                                    \
		gva_t lin = op_lin(cpu, op, sizeof(T), true);                                \
		T *p = (T *)soft_lock_ptr(cpu, lin, sizeof(T));                              \
		uint64_t flags = cpu->s.rflags;                                              \
		T s = source;                                                                \
                                                                                             \
		if (p) {                                                                     \
			T old = __atomic_load_n(p, __ATOMIC_RELAXED), new;                   \
			do {                                                                 \
				cpu->s.rflags = flags;                                       \
				new = name##_##bits(cpu, old, s);                            \
			} while (!__atomic_compare_exchange_n(                               \
				p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));   \
		} else {                                                                     \
			soft_exclusive_begin_op(cpu, op);                                    \
			soft_probe_write(cpu, lin, sizeof(T));                               \
			T d = (T)soft_load(cpu, lin, sizeof(T));                             \
			soft_store(cpu, lin, name##_##bits(cpu, d, s), sizeof(T));           \
			soft_exclusive_end(cpu);                                             \
		}                                                                            \
		return soft_next(cpu, op);                                                   \
	}

#define DEFINE_REG_DST(name, T, bits)                                                           \
	static const struct soft_op *name##_rr_##bits(struct soft_cpu *cpu,                     \
						      const struct soft_op *op)                 \
	{                                                                                       \
		T d = (T)reg_get(cpu, op->dst, sizeof(T)),                                      \
		  s = (T)reg_get(cpu, op->src, sizeof(T));                                      \
                                                                                                \
		reg_set(cpu, op->dst, name##_##bits(cpu, d, s), sizeof(T));                     \
		return soft_next(cpu, op);                                                      \
	}                                                                                       \
	static const struct soft_op *name##_ri_##bits(struct soft_cpu *cpu,                     \
						      const struct soft_op *op)                 \
	{                                                                                       \
		T d = (T)reg_get(cpu, op->dst, sizeof(T));                                      \
                                                                                                \
		reg_set(cpu, op->dst, name##_##bits(cpu, d, (T)op->imm), sizeof(T));            \
		return soft_next(cpu, op);                                                      \
	}                                                                                       \
	SOFT_DEFINE_LOAD_OP(name##_rm_##bits, T,                                                \
			    reg_set(cpu, op->dst,                                               \
				    name##_##bits(cpu, (T)reg_get(cpu, op->dst, sizeof(T)), s), \
				    sizeof(T)))

/* CMP and TEST: as above without a result. */
#define DEFINE_COMPARE(name, T, bits)                                                   \
	static const struct soft_op *name##_rr_##bits(struct soft_cpu *cpu,             \
						      const struct soft_op *op)         \
	{                                                                               \
		name##_##bits(cpu, (T)reg_get(cpu, op->dst, sizeof(T)),                 \
			      (T)reg_get(cpu, op->src, sizeof(T)));                     \
		return soft_next(cpu, op);                                              \
	}                                                                               \
	static const struct soft_op *name##_ri_##bits(struct soft_cpu *cpu,             \
						      const struct soft_op *op)         \
	{                                                                               \
		name##_##bits(cpu, (T)reg_get(cpu, op->dst, sizeof(T)), (T)op->imm);    \
		return soft_next(cpu, op);                                              \
	}                                                                               \
	SOFT_DEFINE_LOAD_OP(name##_rm_##bits, T,                                        \
			    name##_##bits(cpu, (T)reg_get(cpu, op->dst, sizeof(T)), s)) \
	SOFT_DEFINE_LOAD_OP(name##_mr_##bits, T,                                        \
			    name##_##bits(cpu, s, (T)reg_get(cpu, op->src, sizeof(T)))) \
	SOFT_DEFINE_LOAD_OP(name##_mi_##bits, T, name##_##bits(cpu, s, (T)op->imm))

#define DEFINE_ALU_SIZE(name, T, bits, insn, COMPUTE)                          \
	COMPUTE(name, T, bits, insn)                                           \
	DEFINE_REG_DST(name, T, bits)                                          \
	DEFINE_MEM_DST(name, T, bits, mr, (T)reg_get(cpu, op->src, sizeof(T))) \
	DEFINE_MEM_DST(name, T, bits, mi, (T)op->imm)

#define DEFINE_ALU(name, insn, COMPUTE)                        \
	DEFINE_ALU_SIZE(name, uint8_t, 8, insn "b", COMPUTE)   \
	DEFINE_ALU_SIZE(name, uint16_t, 16, insn "w", COMPUTE) \
	DEFINE_ALU_SIZE(name, uint32_t, 32, insn "l", COMPUTE) \
	DEFINE_ALU_SIZE(name, uint64_t, 64, insn "q", COMPUTE)

#define DEFINE_CMP_SIZE(name, T, bits, insn) \
	DEFINE_COMPUTE(name, T, bits, insn)  \
	DEFINE_COMPARE(name, T, bits)

#define DEFINE_CMP(name, insn)                        \
	DEFINE_CMP_SIZE(name, uint8_t, 8, insn "b")   \
	DEFINE_CMP_SIZE(name, uint16_t, 16, insn "w") \
	DEFINE_CMP_SIZE(name, uint32_t, 32, insn "l") \
	DEFINE_CMP_SIZE(name, uint64_t, 64, insn "q")

DEFINE_ALU(add, "add", DEFINE_COMPUTE)
DEFINE_ALU(or, "or", DEFINE_COMPUTE)
DEFINE_ALU(adc, "adc", DEFINE_COMPUTE_CARRY)
DEFINE_ALU(sbb, "sbb", DEFINE_COMPUTE_CARRY)
DEFINE_ALU(and, "and", DEFINE_COMPUTE)
DEFINE_ALU(sub, "sub", DEFINE_COMPUTE)
DEFINE_ALU(xor, "xor", DEFINE_COMPUTE)
DEFINE_CMP(cmp, "cmp")
DEFINE_CMP(test, "test")

enum alu_form { RR, RI, RM, MR, MI, LOCK_MR, LOCK_MI, ALU_FORMS };

#define ALU_ROW(name, bits)                                                             \
	{                                                                               \
		name##_rr_##bits, name##_ri_##bits, name##_rm_##bits, name##_mr_##bits, \
			name##_mi_##bits, name##_lock_mr_##bits, name##_lock_mi_##bits  \
	}
#define ALU_ENTRY(id, name)                                                                       \
	{                                                                                         \
		X86_OP_##id,                                                                      \
		{                                                                                 \
			ALU_ROW(name, 8), ALU_ROW(name, 16), ALU_ROW(name, 32), ALU_ROW(name, 64) \
		}                                                                                 \
	}
#define CMP_ROW(name, bits)                                                             \
	{                                                                               \
		name##_rr_##bits, name##_ri_##bits, name##_rm_##bits, name##_mr_##bits, \
			name##_mi_##bits, NULL, NULL                                    \
	}
#define CMP_ENTRY(id, name)                                                                       \
	{                                                                                         \
		X86_OP_##id,                                                                      \
		{                                                                                 \
			CMP_ROW(name, 8), CMP_ROW(name, 16), CMP_ROW(name, 32), CMP_ROW(name, 64) \
		}                                                                                 \
	}

static const struct {
	enum x86_op op;
	soft_fn fn[4][ALU_FORMS]; /* by log2 of the size, by form */
} alu_table[] = {
	ALU_ENTRY(ADD, add), ALU_ENTRY(OR, or),	  ALU_ENTRY(ADC, adc),
	ALU_ENTRY(SBB, sbb), ALU_ENTRY(AND, and), ALU_ENTRY(SUB, sub),
	ALU_ENTRY(XOR, xor), CMP_ENTRY(CMP, cmp), CMP_ENTRY(TEST, test),
};

soft_fn soft_pick_alu(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	bool mem_dst = insn->opd[0].kind == X86_OPD_MEM;
	bool imm = insn->opd[1].kind == X86_OPD_IMM;
	bool lock = insn->flags & X86_IF_LOCK;
	enum alu_form form = mem_dst				? (imm ? MI : MR)
			     : imm				? RI
			     : insn->opd[1].kind == X86_OPD_MEM ? RM
								: RR;

	(void)cpu;
	(void)op;
	if (lock)
		form = form == MI ? LOCK_MI : LOCK_MR;
	for (unsigned i = 0; i < ARRAY_SIZE(alu_table); i++) {
		if (alu_table[i].op == insn->op)
			return alu_table[i].fn[__builtin_ctz(insn->opd[0].size)][form];
	}
	return NULL;
}
