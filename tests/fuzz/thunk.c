// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes a guest may present as a host-run instruction, made into a thunk: the code must be well
 * formed and touch nothing but the vCPU (through rdi), its operand (rsi) and scratch registers.
 * Input: one byte of mode, then the instruction. Run: make t T=fuzz/thunk
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/soft/thunk_int.h"

#define SCRATCH                                                                            \
	(1u << R_RAX | 1u << R_RCX | 1u << R_RDX | 1u << R_R8 | 1u << R_R9 | 1u << R_R10 | \
	 1u << R_R11)

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool helper_op(unsigned op)
{
	switch (op) {
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_LEA:
	case X86_OP_LAHF:
	case X86_OP_SAHF:
	case X86_OP_SETCC:
	case X86_OP_SHL:
	case X86_OP_OR:
	case X86_OP_AND:
	case X86_OP_ADD:
		return true;
	default:
		return false;
	}
}

static void check_memory(const struct x86_insn *in, unsigned size, bool host)
{
	check(!in->seg_override && in->index == X86_NO_REG && in->addrsize == 8);
	if (in->op == X86_OP_LEA) {
		check(in->base == R_R11 && in->disp == sizeof(struct soft_op));
	} else if (host) {
		check(in->base == R_RSI && in->disp == 0);
	} else {
		check(in->base == R_RDI && in->disp >= 0);
		check((uint64_t)in->disp + size <= sizeof(struct soft_cpu));
	}
}

static void check_insn(const struct x86_insn *in, bool host)
{
	check(host || helper_op(in->op));
	for (unsigned i = 0; i < in->nopds; i++) {
		const struct x86_operand *o = &in->opd[i];
		unsigned allowed = SCRATCH;

		if (in->op == X86_OP_LEA)
			allowed = 1u << R_RSI;
		if (o->kind == X86_OPD_MEM)
			check_memory(in, o->size, host);
		else if (o->kind == X86_OPD_REG && o->rc == X86_RC_GPR && (o->access & X86_ACC_W))
			check(allowed >> o->reg & 1);
		else
			check(o->kind == X86_OPD_REG || o->kind == X86_OPD_IMM ||
			      o->kind == X86_OPD_IMM2);
	}
}

/* The way out: ret, or jmp [rsi] to the next operation. */
static bool is_end(const struct x86_insn *in, bool chain)
{
	if (chain)
		return in->op == X86_OP_JMP_IND && in->opd[0].kind == X86_OPD_MEM &&
		       in->base == R_RSI && in->index == X86_NO_REG && in->disp == 0;
	return in->op == X86_OP_RET && !in->imm;
}

static void check_thunk(const struct x86_insn *guest, uint64_t key, bool chain)
{
	uint8_t code[THUNK_MAX_BYTES + 16];
	struct x86_insn in;
	unsigned len, at, hosts = 0;

	memset(code, 0xcc, sizeof(code));
	len = thunk_emit(key | (uint64_t)chain << TK_CHAIN, code);
	check(len <= THUNK_MAX_BYTES);
	for (at = 0; at < len;) {
		int n = x86_decode(&in, code + at, len - at, X86_MODE_64);
		bool host;

		check(n > 0);
		at += (unsigned)n;
		if (is_end(&in, chain))
			break;
		host = in.op == guest->op && (in.flags & X86_IF_HOST);
		hosts += host;
		check_insn(&in, host);
	}
	check(at == len && hosts == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x86_insn insn;
	enum thunk_shape shape;
	uint64_t key;

	if (size < 2 || x86_decode(&insn, data + 1, size - 1, (enum x86_mode)(data[0] % 3)) <= 0)
		return 0;
	if (!(insn.flags & X86_IF_HOST) || thunk_vec_shape(&insn, &shape))
		return 0;
	key = thunk_key(&insn);
	if (!key)
		return 0;
	check_thunk(&insn, key, false);
	check_thunk(&insn, key, true);
	return 0;
}
