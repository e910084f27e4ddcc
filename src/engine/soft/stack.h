/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pushing and popping by the interpreter. Private to src/engine/soft. */
#ifndef LODGE_ENGINE_SOFT_STACK_H
#define LODGE_ENGINE_SOFT_STACK_H

#include "engine/soft/interp.h"

/* Linear address of stack offset `sp` (already masked); checks unless the mode is flat. */
static inline gva_t stack_lin(struct soft_cpu *cpu, uint64_t sp, unsigned size, bool write)
{
	if (likely(cpu->mode & SOFT_MODE_CS64))
		return sp;
	if (likely(cpu->mode & SOFT_MODE_FLAT))
		return (uint32_t)sp;
	return soft_lin(cpu, SEG_SS, sp, size, write);
}

static inline uint64_t stack_load(struct soft_cpu *cpu, uint64_t sp, unsigned size)
{
	gva_t lin = stack_lin(cpu, sp, size, false);
	const uint8_t *p = soft_tlb_hit(cpu, lin, size, SOFT_READ);

	if (likely(p))
		return soft_host_load(p, size);
	return soft_ld_slow(cpu, soft_lin(cpu, SEG_SS, sp, size, false), size);
}

static inline void stack_store(struct soft_cpu *cpu, uint64_t sp, uint64_t v, unsigned size)
{
	gva_t lin = stack_lin(cpu, sp, size, true);
	uint8_t *p = soft_tlb_hit(cpu, lin, size, SOFT_WRITE);

	if (likely(p))
		soft_host_store(p, v, size);
	else
		soft_st_slow(cpu, soft_lin(cpu, SEG_SS, sp, size, true), v, size);
}

/* Set rSP, ESP or SP, by the stack's size. */
static inline void stack_set(struct soft_cpu *cpu, uint64_t sp)
{
	uint64_t mask = soft_sp_mask(cpu);
	uint64_t *rsp = &cpu->s.gpr[R_RSP];

	*rsp = mask == 0xffff ? (*rsp & ~mask) | (sp & mask) : sp & mask;
}

static inline uint64_t stack_top(struct soft_cpu *cpu)
{
	return cpu->s.gpr[R_RSP] & soft_sp_mask(cpu);
}

static inline void stack_push(struct soft_cpu *cpu, uint64_t v, unsigned size)
{
	uint64_t sp = (cpu->s.gpr[R_RSP] - size) & soft_sp_mask(cpu);

	stack_store(cpu, sp, v, size);
	stack_set(cpu, sp);
}

#endif
