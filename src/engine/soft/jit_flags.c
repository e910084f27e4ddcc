// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which arithmetic flags an instruction reads, and which it certainly writes.
 * "Undefined" flags count as written only where every processor known writes them.
 * Source: Intel SDM vol. 1 appendix A, vol. 2; AMD APM vol. 3. Threads: pure.
 */
#include "engine/soft/jit_int.h"
#include "engine/soft/thunk_int.h"

#define ALL FLAGS_ARITH
#define CF FLAG_CF
#define OF FLAG_OF
#define ZF FLAG_ZF
#define SF FLAG_SF
#define PF FLAG_PF
#define AF FLAG_AF

static const struct jit_flag_use uses[X86_OP_COUNT] = {
	[X86_OP_ADD] = {0, ALL},
	[X86_OP_SUB] = {0, ALL},
	[X86_OP_CMP] = {0, ALL},
	[X86_OP_AND] = {0, ALL},
	[X86_OP_OR] = {0, ALL},
	[X86_OP_XOR] = {0, ALL},
	[X86_OP_TEST] = {0, ALL},
	[X86_OP_NEG] = {0, ALL},
	[X86_OP_XADD] = {0, ALL},
	[X86_OP_CMPXCHG] = {0, ALL},
	[X86_OP_ADC] = {CF, ALL},
	[X86_OP_SBB] = {CF, ALL},
	[X86_OP_INC] = {0, ALL & ~CF},
	[X86_OP_DEC] = {0, ALL & ~CF},
	[X86_OP_MUL] = {0, CF | OF},
	[X86_OP_IMUL] = {0, CF | OF},
	[X86_OP_RCL] = {CF, 0},
	[X86_OP_RCR] = {CF, 0},
	[X86_OP_BT] = {0, CF},
	[X86_OP_BTS] = {0, CF},
	[X86_OP_BTR] = {0, CF},
	[X86_OP_BTC] = {0, CF},
	[X86_OP_BSF] = {0, ZF},
	[X86_OP_BSR] = {0, ZF},
	[X86_OP_TZCNT] = {0, ZF | CF},
	[X86_OP_LZCNT] = {0, ZF | CF},
	[X86_OP_POPCNT] = {0, ALL},
	[X86_OP_ANDN] = {0, ZF | SF | CF | OF},
	[X86_OP_BEXTR] = {0, ZF | CF | OF},
	[X86_OP_BZHI] = {0, ZF | SF | CF | OF},
	[X86_OP_BLSI] = {0, ZF | SF | CF | OF},
	[X86_OP_BLSR] = {0, ZF | SF | CF | OF},
	[X86_OP_BLSMSK] = {0, SF | CF | OF},
	[X86_OP_ADCX] = {CF, CF},
	[X86_OP_ADOX] = {OF, OF},
	[X86_OP_LOOPE] = {ZF, 0},
	[X86_OP_LOOPNE] = {ZF, 0},
	[X86_OP_PUSHF] = {ALL, 0},
	[X86_OP_POPF] = {0, ALL},
	[X86_OP_SYSRET] = {0, ALL},
	[X86_OP_LAHF] = {ALL & ~OF, 0},
	[X86_OP_SAHF] = {0, ALL & ~OF},
	[X86_OP_CLC] = {0, CF},
	[X86_OP_STC] = {0, CF},
	[X86_OP_CMC] = {CF, CF},
	[X86_OP_CMPXCHG8B] = {0, ZF},
	[X86_OP_CMPXCHG16B] = {0, ZF},
	[X86_OP_FCMOVB] = {CF, 0},
	[X86_OP_FCMOVE] = {ZF, 0},
	[X86_OP_FCMOVBE] = {CF | ZF, 0},
	[X86_OP_FCMOVU] = {PF, 0},
	[X86_OP_FCMOVNB] = {CF, 0},
	[X86_OP_FCMOVNE] = {ZF, 0},
	[X86_OP_FCMOVNBE] = {CF | ZF, 0},
	[X86_OP_FCMOVNU] = {PF, 0},
	[X86_OP_FCOMI] = {0, CF | ZF | PF},
	[X86_OP_FUCOMI] = {0, CF | ZF | PF},
	[X86_OP_FCOMIP] = {0, CF | ZF | PF},
	[X86_OP_FUCOMIP] = {0, CF | ZF | PF},
};

static uint16_t cc_reads(unsigned cc)
{
	static const uint16_t by_cc[8] = {OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF};

	return by_cc[cc >> 1 & 7];
}

/* Shifts and rotates by a constant; by CL nothing is certain. */
static struct jit_flag_use shift_use(const struct x86_insn *insn)
{
	unsigned last = insn->nopds - 1u;
	bool rotate = insn->op == X86_OP_ROL || insn->op == X86_OP_ROR;
	bool one = insn->map == X86_MAP_1B && (insn->opcode & 0xfe) == 0xd0;
	unsigned n = (unsigned)insn->imm & (insn->opsize == 8 && insn->opd[0].size == 8 ? 63 : 31);
	struct jit_flag_use u = {0, 0};

	if (!one && (insn->opd[last].kind != X86_OPD_IMM || !n))
		return u;
	if (!one && insn->opd[0].size < 4)
		return u; /* counts beyond the operand */
	u.writes = rotate ? CF : CF | ZF | SF | PF;
	if (one || n == 1)
		u.writes |= OF;
	return u;
}

static unsigned host_role(const struct x86_insn *insn)
{
	return thunk_role(insn->map, insn->opcode, insn->pp, insn->modrm,
			  (insn->flags & X86_IF_VEX) != 0);
}

struct jit_flag_use jit_flags_of(const struct x86_insn *insn)
{
	struct jit_flag_use u = uses[insn->op];

	switch (insn->op) {
	case X86_OP_SETCC:
	case X86_OP_CMOVCC:
	case X86_OP_JCC:
		u.reads = cc_reads(insn->cc);
		break;
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
	case X86_OP_SHLD:
	case X86_OP_SHRD:
		return shift_use(insn);
	default:
		break;
	}
	/* COMISS, PTEST, PCMPESTRI and their like set or clear all six. */
	if ((insn->flags & X86_IF_HOST) && (host_role(insn) & TR_FLAGS_RW) == TR_FLAGS_OUT)
		u.writes = ALL;
	return u;
}

/* Does it change any, certain or not? */
bool jit_changes_flags(const struct x86_insn *insn)
{
	enum x86_op op = (enum x86_op)insn->op;

	if (insn->flags & X86_IF_HOST)
		return host_role(insn) & TR_FLAGS_OUT;
	return uses[op].writes || (op >= X86_OP_ROL && op <= X86_OP_SHRD) || op == X86_OP_DIV ||
	       op == X86_OP_IDIV;
}
