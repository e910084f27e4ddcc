/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of the generators, shared by gen.c (one instruction) and seq.c (several). */
#ifndef LODGE_TESTS_ORACLE_GEN_INT_H
#define LODGE_TESTS_ORACLE_GEN_INT_H

#include "oracle/oracle.h"
#include "x86/state.h"

static inline uint64_t pick(uint64_t *s, uint64_t n)
{
	return splitmix64(s) % n;
}

static inline bool chance(uint64_t *s, unsigned percent)
{
	return pick(s, 100) < percent;
}

/* Escapes and opcode; returns the bytes written. */
unsigned gen_put_opcode(uint64_t *s, uint8_t *p);
/* A VEX prefix. */
unsigned gen_put_vex(uint64_t *s, uint8_t *p);
/* Registers, flags (TF set), x87, vectors and memory before the test. */
void gen_registers(uint64_t *s, struct oracle_test *t);
/* An address in the window, often aligned, sometimes across the page end or out of the data. */
uint64_t gen_target(uint64_t *s, unsigned size);
/* A register's value before the test; in 16-bit mode an address loses the segment's base. */
void gen_set_low(struct oracle_test *t, unsigned reg, uint64_t v);
/* Small elements in the index register of a gather. */
void gen_aim_vector_index(uint64_t *s, struct oracle_test *t, const struct x86_insn *in);
const struct x86_operand *gen_memory_operand(const struct x86_insn *in);
/* It cannot be compared with a host process. */
bool gen_excluded(const struct x86_insn *in);

#endif
