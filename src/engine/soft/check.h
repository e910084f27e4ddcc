/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lockstep (`-accel soft,check=on`): every stretch of generated code is run by S1 too, and the
 * first difference stops the machine. Private to src/engine/soft.
 *
 * A UNIT is what is compared: generated code from an operation of a block up to where the block is
 * left, or up to an operation that S1 does for both tiers (it has no host code, touches a device,
 * or faults). S1 goes first, one operation at a time; its stores go through slow paths, because
 * tlb_wgen matches no entry, and are noted in a journal. They are taken back, S2 runs the same from
 * the same state, with the TLB as it is, and then registers, flags and what S1 stored are compared.
 * The guest goes on with S1's results. An operation that is not part of a unit runs once, for real.
 *
 * Flags that S2 may leave wrong (they are dead) are not compared, but they go on as S2 left
 * them into its next unit: a wrong liveness shows where the flag is used.
 *
 * Devices write memory whenever they like. So a difference counts if it is there three times.
 *
 * Not seen: a store of S2 to memory that S1 did not touch, until someone reads it; inlined jumps
 * between blocks, since each block comes back.
 *
 * Threads: the vCPU's own; there is only one vCPU.
 */
#ifndef LODGE_ENGINE_SOFT_CHECK_H
#define LODGE_ENGINE_SOFT_CHECK_H

#include "engine/soft/jit_int.h"

enum soft_check_phase {
	CHECK_REAL, /* what happens, happens */
	CHECK_S1,   /* stores are noted; devices must not be touched */
	CHECK_S2,   /* devices must not be touched */
};

#define CHECK_MAX_WRITES 512u
#define CHECK_MAX_BYTES (32u << 10)
#define CHECK_NONE (~0u)

/* Bytes of guest memory that S1 is about to write. */
struct check_write {
	uint8_t *host;
	uint32_t len, at; /* at: of its bytes in `old` and `now` */
	uint64_t walked;  /* not 0: bits that a page walk set */
};

/* What generated code can change, but x87, SSE and AVX. */
struct check_regs {
	uint64_t gpr[16];
	uint64_t rip, rflags, cr2;
	struct x86_seg seg[SEG_COUNT];
	uint64_t segbase[SEG_COUNT];
};

struct soft_check {
	enum soft_check_phase phase;
	struct soft_op
		one[3]; /* an operation, what stops behind it, what stops where it jumps to */

	unsigned nwrites;
	uint32_t bytes;
	bool overflow; /* of the journal: this unit cannot be compared */
	struct check_write write[CHECK_MAX_WRITES];
	uint8_t old[CHECK_MAX_BYTES], now[CHECK_MAX_BYTES];

	/* The unit at hand. */
	const struct jit_block *jb;
	unsigned first; /* index of its first operation */
	unsigned at;	/* of the operation being executed */
	unsigned stop;	/* of the one it stops before, or CHECK_NONE: the block was left ... */
	unsigned last;	/* ... behind this one */
	unsigned mark;	/* writes before the operation being executed */
	bool dirty;	/* S1 has overwritten the block itself */
	bool done;	/* S2 has come to its end */
	int raised[2];	/* by S1, by S2: longjmp's value */
	struct soft_event event[2];
	struct check_regs before, after[2];
	uint64_t flags_in; /* S2's rflags at the start */
	bool fpu;	   /* x87, SSE, AVX are compared */
	bool memory_differs;
	uint32_t differs_at; /* index in write[] */

	/* Between units: flags that are dead differ so. Good for this place and these flags only. */
	uint64_t dead_diff, dead_rip, dead_rflags;
	_Alignas(64) uint8_t xsave[3][X86_XSAVE_BYTES]; /* before, S1's, S2's */
};

/* NULL without memory. */
struct soft_check *soft_check_new(void);
void soft_check_free(struct soft_check *c);

/* Run the block at s.rip, checked where that is possible. */
void soft_check_run(struct soft_cpu *cpu);
/* May generated code of this instruction be compared? `next` of the block, or NULL. */
bool soft_check_can(const struct x86_insn *insn, const struct soft_op *op,
		    const struct soft_op *next);

/* S2 in a unit comes back to C (jit_run.c): where it goes on, or NULL. State is in cpu->s. */
const void *soft_check_on_op(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i);
const void *soft_check_on_exit(struct soft_cpu *cpu, uint64_t ip);

/* Slow paths of memory: [host, host+len) is about to be written; not 0 for `walked`: by a walk. */
void soft_check_journal(struct soft_cpu *cpu, uint8_t *host, uint32_t len, uint64_t walked);
/* A device is about to be touched: does not return while a unit runs. */
void soft_check_device(struct soft_cpu *cpu);

static inline void soft_check_write(struct soft_cpu *cpu, uint8_t *host, uint32_t len)
{
	if (unlikely(cpu->check))
		soft_check_journal(cpu, host, len, 0);
}

/* check_report.c: say what differs, and why the machine stops (cpu->error). */
void soft_check_report(struct soft_cpu *cpu);
/* Arithmetic flags that must be the same at the end of the unit. */
uint64_t soft_check_live(const struct soft_check *c);

/* What both tiers' x87, SSE and AVX state is compared by: [0, 416) and [576, 832). */
#define CHECK_FX_BYTES 416u
#define CHECK_YMM_AT 576u
#define CHECK_YMM_BYTES 256u

#endif
