// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Decimal arithmetic, which 64-bit mode does not have and so the host cannot lend:
 * DAA DAS AAA AAS AAM AAD. Flags that the manuals call undefined follow current processors.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"
#include "engine/soft/sys_int.h"

static void flags_result(struct soft_cpu *cpu, uint8_t al, uint64_t cf_af)
{
	uint64_t f = cf_af;

	if (!al)
		f |= FLAG_ZF;
	if (al & 0x80)
		f |= FLAG_SF;
	if (!(__builtin_popcount(al) & 1))
		f |= FLAG_PF;
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAGS_ARITH) | f;
}

/* DAA (op->aux = 0) and DAS (1). */
static const struct soft_op *decimal_adjust(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t *al = soft_reg(cpu, 8 * R_RAX), old = *al, v = old;
	bool cf = cpu->s.rflags & FLAG_CF, af = cpu->s.rflags & FLAG_AF;
	bool low = (old & 15) > 9 || af, high = old > 0x99 || cf;
	bool carry = cf;

	if (low) {
		carry = cf || (op->aux ? old < 6 : old > 0xf9);
		v = (uint8_t)(op->aux ? v - 6 : v + 6);
	}
	if (high)
		v = (uint8_t)(op->aux ? v - 0x60 : v + 0x60);
	if (high)
		carry = true;
	else if (!op->aux || !low)
		carry = false;
	*al = v;
	flags_result(cpu, v, (carry ? FLAG_CF : 0) | (low ? FLAG_AF : 0));
	return soft_next(cpu, op);
}

/* AAA (op->aux = 0) and AAS (1). */
static const struct soft_op *ascii_adjust(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t ax = (uint16_t)cpu->s.gpr[R_RAX];
	bool adjust = (ax & 15) > 9 || (cpu->s.rflags & FLAG_AF);

	if (adjust)
		ax = (uint16_t)(op->aux ? ax - 0x106 : ax + 0x106);
	ax &= 0xff0f;
	reg_set(cpu, 8 * R_RAX, ax, 2);
	flags_result(cpu, (uint8_t)ax, adjust ? FLAG_CF | FLAG_AF : 0);
	return soft_next(cpu, op);
}

static const struct soft_op *aam(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t base = (uint8_t)op->imm, al = (uint8_t)cpu->s.gpr[R_RAX];

	if (!base)
		soft_raise(cpu, VEC_DE);
	reg_set(cpu, 8 * R_RAX, (uint64_t)(al / base) << 8 | al % base, 2);
	flags_result(cpu, al % base, 0);
	return soft_next(cpu, op);
}

/* CF, AF and OF are undefined: Intel's processors leave those of the addition. */
static const struct soft_op *aad(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t ax = (uint16_t)cpu->s.gpr[R_RAX];
	uint8_t al = (uint8_t)ax, tens = (uint8_t)((ax >> 8) * (uint8_t)op->imm);
	uint32_t flags;

	__asm__("addb %[s], %[d]\n\tlahf\n\tseto %%al"
		: [d] "+r"(al), "=&a"(flags)
		: [s] "r"(tens)
		: "cc");
	reg_set(cpu, 8 * R_RAX, al, 2);
	if (sys_amd(cpu))
		flags_result(cpu, al, 0);
	else
		flags_set(cpu, flags);
	return soft_next(cpu, op);
}

soft_fn soft_pick_bcd(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	switch (insn->op) {
	case X86_OP_DAA:
	case X86_OP_DAS:
		op->aux = insn->op == X86_OP_DAS;
		return decimal_adjust;
	case X86_OP_AAA:
	case X86_OP_AAS:
		op->aux = insn->op == X86_OP_AAS;
		return ascii_adjust;
	case X86_OP_AAM:
		return aam;
	case X86_OP_AAD:
		return aad;
	default:
		return NULL;
	}
}
