// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's near transfers of control, software interrupts and BOUND.
 * Source: Intel SDM vol. 1 §6, vol. 2. Threads: the vCPU's own.
 */
#include "emu_int.h"

/* The operand size of a branch cuts rip. */
static int branch(struct lodge_emu *e)
{
	return emu_jump(e, e->next_rip + e->insn.imm, e->insn.opsize);
}

int emu_do_jcc(struct lodge_emu *e)
{
	return emu_condition(e->wflags, e->insn.cc) ? branch(e) : 0;
}

int emu_do_jmp(struct lodge_emu *e)
{
	return branch(e);
}

int emu_do_jmp_ind(struct lodge_emu *e)
{
	uint64_t to = 0;
	int r = emu_get(e, 0, &to);

	return r ? r : emu_jump(e, to, e->insn.opsize);
}

int emu_do_call(struct lodge_emu *e)
{
	uint64_t to = e->next_rip + e->insn.imm;
	int r = 0;

	if (e->insn.op == X86_OP_CALL_IND)
		r = emu_get(e, 0, &to);
	if (!r)
		r = emu_push(e, e->next_rip, e->insn.opsize);
	return r ? r : emu_jump(e, to, e->insn.opsize);
}

int emu_do_ret(struct lodge_emu *e)
{
	uint64_t to = 0;
	int r = emu_pop(e, &to, e->insn.opsize);

	if (!r)
		r = emu_jump(e, to, e->insn.opsize);
	if (!r && e->insn.nopds)
		emu_add_gpr(e, R_RSP, e->insn.imm & 0xffff, emu_stack_bytes(e));
	return r;
}

/* LOOP, LOOPE, LOOPNE, JCXZ: the counter has the address size. */
int emu_do_loop(struct lodge_emu *e)
{
	unsigned size = e->insn.addrsize, op = e->insn.op;
	bool zf = e->wflags & FLAG_ZF, taken;
	int r;

	if (op == X86_OP_JCXZ)
		return e->w[R_RCX] & emu_mask(size) ? 0 : branch(e);
	emu_add_gpr(e, R_RCX, ~0ull, size);
	taken = e->w[R_RCX] & emu_mask(size);
	if (op == X86_OP_LOOPE)
		taken = taken && zf;
	else if (op == X86_OP_LOOPNE)
		taken = taken && !zf;
	r = taken ? branch(e) : 0;
	return r;
}

int emu_do_bound(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize;
	uint64_t low = 0, high = 0;
	uint8_t buf[16];
	int64_t v = (int64_t)emu_sext(e->w[e->insn.opd[0].reg], size);
	int r = emu_get_mem(e, 0, buf, 2 * size);

	if (r)
		return r;
	__builtin_memcpy(&low, buf, size);
	__builtin_memcpy(&high, buf + size, size);
	if (v < (int64_t)emu_sext(low, size) || v > (int64_t)emu_sext(high, size))
		return emu_raise_plain(e, VEC_BR);
	return 0;
}

/* INT n, INT3, INT1, INTO: in real mode done here, else the caller injects them. */
int emu_do_soft_int(struct lodge_emu *e)
{
	uint8_t vector = VEC_BP;

	switch (e->insn.op) {
	case X86_OP_INTO:
		if (!(e->wflags & FLAG_OF))
			return 0;
		vector = VEC_OF;
		break;
	case X86_OP_INT1:
		vector = VEC_DB;
		break;
	case X86_OP_INT:
		vector = (uint8_t)e->insn.imm;
		if ((e->wflags & FLAG_VM) && EMU_IOPL(e) < 3)
			return e->cr4 & CR4_VME ? LODGE_EMU_REFUSED : emu_gp(e);
		break;
	default:
		break;
	}
	if (!(e->cr0 & CR0_PE))
		return emu_real_event(e, vector, e->next_rip);
	emu_raise_plain(e, vector);
	return LODGE_EMU_EVENT;
}

int emu_do_ud(struct lodge_emu *e)
{
	return emu_ud(e);
}
