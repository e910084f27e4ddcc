/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traces of the engine (`-d in_asm,out_asm,exec,int,mmu`). Private to src/engine/soft. Callers
 * ask log_on first; these leave the guest's SIMD state before they print.
 */
#ifndef LODGE_ENGINE_SOFT_TRACE_H
#define LODGE_ENGINE_SOFT_TRACE_H

#include "base/log.h"
#include "engine/soft/block.h"

/* in_asm: an instruction just decoded, at `ip`. */
void soft_trace_insn(struct soft_cpu *cpu, uint64_t ip, const struct x86_insn *insn,
		     const uint8_t *bytes);
/*
 * out_asm: `len` bytes of host code made from `b`, readable at `code`, where they run. op_off has,
 * for each of the b->nops operations, the offset of its first byte, ascending (an operation
 * without code has its successor's); what lies before op_off[0] is the entry, and from `cold` on
 * (`len` if there is none) is code out of line, such as slow paths and exits.
 */
void soft_trace_out_asm(struct soft_cpu *cpu, const struct soft_block *b, const uint8_t *code,
			size_t len, const uint32_t *op_off, size_t cold);
/* The same for code out of line that lies elsewhere. */
void soft_trace_cold(struct soft_cpu *cpu, const uint8_t *code, size_t len);
/* exec: a block about to run. */
void soft_trace_block(struct soft_cpu *cpu, const struct soft_block *b);
/* int: an exception or interrupt about to be delivered. */
void soft_trace_event(struct soft_cpu *cpu, const struct soft_event *ev);
/* mmu: a page fault about to be raised. */
void soft_trace_fault(struct soft_cpu *cpu, gva_t lin, uint32_t error);

#endif
