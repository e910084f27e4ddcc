// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: any code in any mode is translated, not run. Blocks keep within their bounds, and
 * what comes out decodes, branches only inside itself or to the common stubs, and touches only the
 * vCPU (gs), checked operands (r9; rsi and rdi of strings) and its own head.
 * Input: mode, offset in the page, code. Run: make t T=fuzz/jit_translate
 */
#include "engine/soft/exclusive.h"
#include "engine/soft/jit_xlat.h"

#include "fuzz/jit_modes.h"

/* A block of SOFT_BLOCK_OPS of the longest operations fits, in line and out of line. */
#define FIXED_BYTES 512u
#define OP_BYTES ((JIT_MAX_BYTES - FIXED_BYTES) / (SOFT_BLOCK_OPS + 1u))
/* No operation takes more in line. */
#define OP_INLINE_BYTES 640u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct soft_cpu *cpu;

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* A piece of code: in line, or out of line. */
struct piece {
	uint32_t start, end;
	uint32_t words; /* behind those out of line: the end of what links compare with */
};

static bool within(const struct piece *p, uint32_t at)
{
	return at >= p->start && at < p->end;
}

static void check_memory(const struct piece *cold, const struct x86_insn *in, uint32_t next,
			 unsigned size)
{
	bool scratch = in->base >= T0 && in->base <= T2;

	if (in->base == X86_REG_RIP) { /* the block, or the word of a link to another page */
		uint32_t at = next + (uint32_t)in->disp;

		check(at == cold->start - 8 ||
		      (at % 8 == 0 && at >= cold->end && at < cold->words));
	} else if (in->seg_override && in->seg == SEG_GS) {
		check((in->base == X86_NO_REG || scratch) && in->index == X86_NO_REG);
		check((uint64_t)in->disp + size <= sizeof(struct soft_cpu));
	} else {
		check(!in->seg_override && scratch &&
		      (in->index == X86_NO_REG || (in->base == T2 && in->index == T1)));
	}
}

static bool is_move(const struct x86_insn *in, unsigned reg)
{
	return in->op == X86_OP_MOV && in->nopds == 2 && in->opd[0].kind == X86_OPD_REG &&
	       in->opd[0].reg == reg && in->opd[0].size == 8;
}

/* REP MOVS and STOS, with pointers that were checked and put in place just before. */
static void check_string(const struct x86_insn *in, const struct x86_insn *prev)
{
	check((in->flags & X86_IF_REP) && in->addrsize == 8 && !in->seg_override);
	check(in->op == X86_OP_MOVS || in->op == X86_OP_STOS);
	if (in->op == X86_OP_STOS)
		check(is_move(prev, R_RDI) && prev->opd[1].kind == X86_OPD_REG &&
		      prev->opd[1].reg == T0);
	else
		check(is_move(prev, R_RSI) && prev->seg == SEG_GS &&
		      (uint32_t)prev->disp == GS_OFF(jit_tmp));
}

/* Guest's rsp is the host's; no stack is used, and nothing leaves but through stubs. */
static void check_insn(const struct jit_cache *jc, const struct piece *hot,
		       const struct piece *cold, uint32_t next, const struct x86_insn *in,
		       const struct x86_insn *prev)
{
	check(in->op < X86_OP_LOOP || in->op > X86_OP_LEAVE || in->op == X86_OP_JCXZ);
	check(in->op != X86_OP_CALL && in->op != X86_OP_CALL_IND && in->op != X86_OP_RET);
	if (in->op == X86_OP_NOP)
		return;
	if (in->op >= X86_OP_MOVS && in->op <= X86_OP_OUT) {
		check_string(in, prev);
		return;
	}
	check(in->op < X86_OP_JMP_FAR || in->op > X86_OP_RDSEED || in->op == X86_OP_RDTSC);
	for (unsigned i = 0; i < in->nopds; i++) {
		const struct x86_operand *o = &in->opd[i];

		if (o->kind == X86_OPD_REL) {
			uint32_t to = next + (uint32_t)in->imm;

			check(within(hot, to) || within(cold, to) ||
			      (to < jc->stubs_end && to >= 64));
		} else if (o->kind == X86_OPD_MEM && in->op != X86_OP_LEA) {
			check_memory(cold, in, next, o->size);
		} else {
			check(o->kind != X86_OPD_STR_SRC && o->kind != X86_OPD_STR_DST);
		}
	}
}

static void check_piece(const struct jit_cache *jc, const struct piece *p, const struct piece *hot,
			const struct piece *cold)
{
	struct x86_insn in, prev = {0};

	for (uint32_t at = p->start; at < p->end; prev = in) {
		int len = x86_decode(&in, jc->rx + at, p->end - at, X86_MODE_64);

		check(len > 0);
		at += (uint32_t)len;
		check_insn(jc, hot, cold, at, &in, &prev);
	}
}

static void check_block(const struct jit_cache *jc, const struct jit_block *jb,
			const struct piece *cold)
{
	struct piece hot = {jb->code, jb->code + jb->len, 0};

	check(jb->len <= jb->nops * OP_BYTES + FIXED_BYTES);
	check(cold->end - cold->start <= jb->nops * OP_BYTES + FIXED_BYTES);
	for (unsigned i = 0; i < jb->nops; i++) {
		uint32_t a = jb->off[i] & JIT_OFF_MASK, b = jb->off[i + 1] & JIT_OFF_MASK;

		check(a <= b && b - a <= OP_INLINE_BYTES && within(&hot, a));
	}
	check_piece(jc, &hot, &hot, cold);
	check_piece(jc, cold, &hot, cold);
}

static void translate(void)
{
	const struct jit_cache *jc = cpu->e->jit;
	struct soft_block *b;
	struct jit_block *jb;
	struct piece cold;
	uint32_t before;

	soft_enter(cpu);
	if (_setjmp(cpu->unwind)) {
		cpu->op = NULL;
		soft_leave(cpu);
		return;
	}
	b = soft_find_block(cpu);
	before = (uint32_t)jc->hot.used;
	cold.start = ((uint32_t)jc->cold.used + 8 + JIT_ALIGN - 1) & ~(JIT_ALIGN - 1);
	if (!b->jit && jit_warm(jc, b)) {
		jb = jit_translate(cpu, b);
		cold.end = jb ? jb->end : 0;
		cold.words = (uint32_t)jc->cold.used;
		if (jb && (uint32_t)jc->hot.used > before && cold.end >= cold.start)
			check_block(jc, jb, &cold);
	}
	soft_leave(cpu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned at;

	if (size < 3 || size > 1024)
		return 0;
	if (!cpu) {
		env_soft = (struct engine_soft_options){.tier = 2, .warm = 1, .tb_size_mib = 16};
		check(env_setup(NULL) == 0);
		cpu = (struct soft_cpu *)env_vcpu;
	}
	pick_mode(data[0]);
	at = data[1] & 0x80 ? 0xf80 + (data[1] & 0x7f) : data[1];
	S->rip += at;
	if (data[0] & 8) /* no x87 and SIMD */
		S->cr0 |= CR0_TS;
	memset(R + A_CODE, 0xcc, 0x2000);
	memcpy(R + A_CODE + at, data + 2, size - 2);
	mem_wrote(env_mem, 0, 0x110000);
	engine_soft.state_changed(env_vcpu);
	translate();
	return 0;
}
