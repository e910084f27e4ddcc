/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPU threads in and out of guest code. Private to src/engine/soft.
 *
 * A vCPU is INSIDE from soft_enter to soft_leave: while it may run guest code, hold pointers to
 * blocks or operations, or be between a TLB check and the access. Device accesses happen inside.
 * A SAFEPOINT is where it holds none of these: it leaves and enters again (soft_pass), because
 * SOFT_REQ_STOP asked it to. Then
 * - all its guest stores so far are visible to whoever saw it pass;
 * - what others changed before they asked (TLB tags, page flags) is visible to what it does next.
 *
 * Rules
 * 1. Who waits here holds no lock (but soft_cache.mark_lock, in soft_cache_mark_page): not the VM
 *    lock, not the cache lock.
 * 2. After any function here that may wait, blocks and operations may have been freed: hold none,
 *    or use soft_exclusive_begin_op.
 * 3. Guest code that runs long must look at `requests` in every loop.
 */
#ifndef LODGE_ENGINE_SOFT_EXCLUSIVE_H
#define LODGE_ENGINE_SOFT_EXCLUSIVE_H

#include "engine/soft/soft_int.h"

void soft_exclusive_init(struct soft_exclusive *x);
void soft_exclusive_destroy(struct soft_exclusive *x);

/* The vCPU's own thread. soft_enter waits while another has an exclusive section. */
void soft_enter(struct soft_cpu *cpu);
void soft_leave(struct soft_cpu *cpu);
void soft_pass(struct soft_cpu *cpu); /* a safepoint */

/*
 * Stop the world: when soft_exclusive_begin returns, no other vCPU is inside until
 * soft_exclusive_end. The vCPU's own thread, inside; nests. Others may have had exclusive sections
 * while it waited. An exception raised in between ends the section (run.c).
 */
void soft_exclusive_begin(struct soft_cpu *cpu);
void soft_exclusive_end(struct soft_cpu *cpu);
/* End it, however deep, if there is one. */
void soft_exclusive_abandon(struct soft_cpu *cpu);
/*
 * For an operation's handler that has changed nothing yet: if operations were freed meanwhile, this
 * does not return but starts the instruction again.
 */
void soft_exclusive_begin_op(struct soft_cpu *cpu, const struct soft_op *op);

/*
 * Wait for one vCPU to pass a safepoint. The caller is outside. soft_passage_ask comes after what
 * the target must see; 0 when the target is outside itself. soft_passage_wait takes its result.
 */
uint32_t soft_passage_ask(struct soft_cpu *target);
void soft_passage_wait(struct soft_cpu *target, uint32_t seen);

#endif
