// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's stack, near transfers of control, software interrupts and BOUND.
 * Source: Intel SDM vol. 1 §6, vol. 2. Threads: the vCPU's own.
 */
#include "emu_int.h"

/* ---- Stack ---------------------------------------------------------------------------------- */

void emu_do_push(struct lodge_emu *e)
{
	emu_push(e, emu_get(e, 0), e->insn.opsize);
}

/* The address of a memory operand is formed with the new rSP. */
void emu_do_pop(struct lodge_emu *e)
{
	emu_set(e, 0, emu_pop(e, e->insn.opsize));
}

void emu_do_pusha(struct lodge_emu *e)
{
	uint64_t sp = e->w[R_RSP];

	for (unsigned i = 0; i < 8; i++)
		emu_push(e, i == R_RSP ? sp : e->w[i], e->insn.opsize);
}

void emu_do_popa(struct lodge_emu *e)
{
	for (unsigned i = 8; i-- > 0;) {
		uint64_t v = emu_pop(e, e->insn.opsize);

		if (i != R_RSP)
			emu_set_gpr(e, i, v, e->insn.opsize);
	}
}

void emu_do_pushf(struct lodge_emu *e)
{
	emu_vm86_sensitive(e);
	emu_push(e, e->wflags & ~(uint64_t)(FLAG_VM | FLAG_RF), e->insn.opsize);
}

void emu_do_popf(struct lodge_emu *e)
{
	emu_vm86_sensitive(e);
	emu_set_flags(e, emu_pop(e, e->insn.opsize), e->insn.opsize, 0);
}

void emu_do_enter(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize, sb = emu_stack_bytes(e), level = e->insn.imm2 & 31;
	uint64_t frame, bp = e->w[R_RBP], lin;

	emu_push(e, bp, size);
	frame = e->w[R_RSP];
	for (unsigned i = 1; i < level; i++) {
		bp -= size;
		emu_push(e, emu_read_seg(e, LODGE_EMU_SS, bp & emu_mask(sb), size), size);
	}
	if (level)
		emu_push(e, frame, size);
	emu_add_gpr(e, R_RSP, -e->insn.imm, sb);
	emu_set_gpr(e, R_RBP, frame, size);
	/* The new top must be writable, or the next push would fault inside a half-made frame. */
	lin = emu_linear(e, LODGE_EMU_SS, e->w[R_RSP] & emu_mask(sb), size, LODGE_EMU_W);
	emu_translate(e, lin, LODGE_EMU_W);
}

void emu_do_leave(struct lodge_emu *e)
{
	emu_set_gpr(e, R_RSP, e->w[R_RBP], emu_stack_bytes(e));
	emu_set_gpr(e, R_RBP, emu_pop(e, e->insn.opsize), e->insn.opsize);
}

/* ---- Control -------------------------------------------------------------------------------- */

/* JMP, Jcc, CALL. The operand size of a branch cuts rip. */
void emu_do_jmp(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = e->insn.opsize;
	uint64_t to = e->next_rip + e->insn.imm;

	if (op == X86_OP_JMP_IND || op == X86_OP_CALL_IND)
		to = emu_get(e, 0);
	if (op == X86_OP_CALL || op == X86_OP_CALL_IND)
		emu_push(e, e->next_rip, size);
	if (op != X86_OP_JCC || emu_condition(e->wflags, e->insn.cc))
		emu_jump(e, to, size);
}

void emu_do_ret(struct lodge_emu *e)
{
	emu_jump(e, emu_pop(e, e->insn.opsize), e->insn.opsize);
	if (e->insn.nopds)
		emu_add_gpr(e, R_RSP, e->insn.imm & 0xffff, emu_stack_bytes(e));
}

/* LOOP, LOOPE, LOOPNE, JCXZ: the counter has the address size. */
void emu_do_loop(struct lodge_emu *e)
{
	unsigned size = e->insn.addrsize, op = e->insn.op;
	bool zf = e->wflags & FLAG_ZF, zero;

	if (op != X86_OP_JCXZ)
		emu_add_gpr(e, R_RCX, ~0ull, size);
	zero = !(e->w[R_RCX] & emu_mask(size));
	if ((op == X86_OP_LOOPE && !zf) || (op == X86_OP_LOOPNE && zf) ||
	    zero != (op == X86_OP_JCXZ))
		return;
	emu_jump(e, e->next_rip + e->insn.imm, e->insn.opsize);
}

void emu_do_bound(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize;
	uint64_t low = 0, high = 0;
	uint8_t buf[16];
	int64_t v = (int64_t)emu_sext(e->w[e->insn.opd[0].reg], size);

	emu_get_mem(e, 0, buf, 2 * size);
	__builtin_memcpy(&low, buf, size);
	__builtin_memcpy(&high, buf + size, size);
	if (v < (int64_t)emu_sext(low, size) || v > (int64_t)emu_sext(high, size))
		emu_raise(e, VEC_BR, 0);
}

/* INT n, INT3, INT1, INTO: in real mode done here, else the caller injects them. */
void emu_do_soft_int(struct lodge_emu *e)
{
	uint8_t vector = VEC_BP;

	if (e->insn.op == X86_OP_INTO) {
		if (!(e->wflags & FLAG_OF))
			return;
		vector = VEC_OF;
	} else if (e->insn.op == X86_OP_INT1) {
		vector = VEC_DB;
	} else if (e->insn.op == X86_OP_INT) {
		vector = (uint8_t)e->insn.imm;
		emu_vm86_sensitive(e);
	}
	if (!(e->cr0 & CR0_PE)) {
		emu_real_event(e, vector, e->next_rip);
	} else if (!e->end) {
		e->ex = (struct lodge_emu_exception){.vector = vector};
		e->end = LODGE_EMU_EVENT;
	}
}

void emu_do_ud(struct lodge_emu *e)
{
	emu_ud(e);
}
