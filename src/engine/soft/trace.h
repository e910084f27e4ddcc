/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traces of the engine (`-d in_asm,exec,int,mmu`). Private to src/engine/soft. Callers
 * ask log_on first; these leave the guest's SIMD state before they print.
 */
#ifndef LODGE_ENGINE_SOFT_TRACE_H
#define LODGE_ENGINE_SOFT_TRACE_H

#include "base/log.h"
#include "engine/soft/block.h"

/* in_asm: an instruction just decoded, at `ip`. */
void soft_trace_insn(struct soft_cpu *cpu, uint64_t ip, const struct x86_insn *insn,
		     const uint8_t *bytes);
/* exec: a block about to run. */
void soft_trace_block(struct soft_cpu *cpu, const struct soft_block *b);
/* int: an exception or interrupt about to be delivered. */
void soft_trace_event(struct soft_cpu *cpu, const struct soft_event *ev);
/* mmu: a page fault about to be raised. */
void soft_trace_fault(struct soft_cpu *cpu, gva_t lin, uint32_t error);

#endif
