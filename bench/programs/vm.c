// SPDX-License-Identifier: GPL-2.0-or-later
/* A small register machine interpreted by a switch: indirect jumps. Counts Collatz steps. */
#include "bench.h"

enum { LOADI, ADD, SUB, MUL3, SHR, ODD, JZ, JNZ, JMP, STOP };

struct insn {
	uint8_t op, a, b;
	int16_t imm;
};

/* r0: start value, r1: current, r2: steps, r3: scratch, r4: last start value */
static const struct insn program[] = {
	{LOADI, 0, 0, 1},  /* 0 */
	{LOADI, 2, 0, 0},  /* 1 */
	{LOADI, 1, 0, 0},  /* 2: next start */
	{ADD, 1, 0, 0},	   /* 3 */
	{LOADI, 3, 0, -1}, /* 4: loop */
	{ADD, 3, 1, 0},	   /* 5 */
	{JZ, 3, 0, 13},	   /* 6: reached 1 */
	{ODD, 3, 1, 0},	   /* 7 */
	{JNZ, 3, 0, 10},   /* 8 */
	{SHR, 1, 1, 11},   /* 9: even; jumps on */
	{MUL3, 1, 1, 0},   /* 10 */
	{LOADI, 3, 0, 1},  /* 11 */
	{ADD, 2, 3, 4},	   /* 12: a step; jumps on */
	{LOADI, 3, 0, 1},  /* 13 */
	{ADD, 0, 3, 0},	   /* 14 */
	{LOADI, 3, 0, 0},  /* 15 */
	{ADD, 3, 4, 0},	   /* 16 */
	{SUB, 3, 0, 0},	   /* 17 */
	{JNZ, 3, 0, 2},	   /* 18 */
	{STOP, 0, 0, 0},
};

uint64_t bench_vm(uint32_t work)
{
	uint64_t r[5] = {0, 0, 0, 0, work};
	const struct insn *pc = program;

	for (;;) {
		const struct insn *i = pc++;

		switch (i->op) {
		case LOADI:
			r[i->a] = (uint64_t)(int64_t)i->imm;
			break;
		case ADD:
			r[i->a] += r[i->b];
			if (i->imm)
				pc = program + i->imm;
			break;
		case SUB:
			r[i->a] -= r[i->b];
			break;
		case MUL3:
			r[i->a] = r[i->b] * 3 + 1;
			break;
		case SHR:
			r[i->a] = r[i->b] >> 1;
			pc = program + i->imm;
			break;
		case ODD:
			r[i->a] = r[i->b] & 1;
			break;
		case JZ:
			if (!r[i->a])
				pc = program + i->imm;
			break;
		case JNZ:
			if (r[i->a])
				pc = program + i->imm;
			break;
		case JMP:
			pc = program + i->imm;
			break;
		default:
			return r[2];
		}
	}
}
