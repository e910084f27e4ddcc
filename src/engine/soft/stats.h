/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters of the engine (`-d stats`): where the time goes. Private to src/engine/soft.
 *
 * Always on: a count is one addition to memory. Each vCPU's are written by its own thread only;
 * the few of the whole engine are atomic. They are printed, to the file of `-D`, when the engine
 * is destroyed.
 *
 * A new counter is one line of a list here and a SOFT_COUNT where it happens. Generated code may add
 * to one itself: it is a uint64_t at offsetof(struct soft_cpu, stats.NAME).
 */
#ifndef LODGE_ENGINE_SOFT_STATS_H
#define LODGE_ENGINE_SOFT_STATS_H

#include <stdint.h>

#include "x86/ops.h"

struct soft_cpu;
struct engine;
struct soft_engine;
struct soft_event;

/* X(name, "what it counts"), S(section). Those of one vCPU. */
#define SOFT_STATS_CPU(X, S)                                                   \
	S("code")                                                              \
	X(blocks_decoded, "blocks decoded")                                    \
	X(insns_decoded, "instructions decoded")                               \
	X(jit_blocks, "blocks translated")                                     \
	X(jit_insns, "instructions translated")                                \
	X(jit_copies, "blocks copied from another linear address")             \
	X(jit_copied_insns, "instructions copied")                             \
	X(copy_ns, "nanoseconds spent copying")                                \
	X(jit_joins, "entries into the middle of a block")                     \
	X(jit_bytes, "bytes of code generated")                                \
	X(jit_lone, "ranges of operands given up, since they cross pages")     \
	X(jit_ns, "nanoseconds spent translating")                             \
	X(lookups, "blocks looked up, jump cache missed")                      \
	X(jit_renewed, "jump table entries renewed after a flush")             \
	S("exits from generated code")                                         \
	X(exit_tlb_read, "TLB miss, read")                                     \
	X(exit_tlb_write, "TLB miss, write")                                   \
	X(exit_tlb_again, "TLB miss, begun again with an entry")               \
	X(exit_beside, "write beside code in its page")                        \
	X(exit_exec, "block not found by its address")                         \
	X(exit_indirect, "indirect branch not found")                          \
	X(exit_unsupported, "instruction not translated")                      \
	X(exit_system, "system instruction")                                   \
	X(exit_mmio, "memory of a device")                                     \
	X(exit_pio, "port of a device")                                        \
	X(exit_interrupt, "interrupt or kick")                                 \
	X(exit_invalidated, "code overwritten")                                \
	X(exit_fault, "fault")                                                 \
	S("lockstep")                                                          \
	X(check_units, "stretches of code compared")                           \
	X(check_insns, "instructions compared")                                \
	X(check_alone, "instructions by tier 1 alone")                         \
	X(check_dirty, "stretches that overwrote themselves")                  \
	X(check_again, "differences that went away")                           \
	S("memory")                                                            \
	X(tlb_fill_read, "page walks, read")                                   \
	X(tlb_fill_write, "page walks, write")                                 \
	X(tlb_fill_exec, "page walks, execute")                                \
	X(tlb_flush, "TLB flushes, everything")                                \
	X(tlb_flush_pcid, "TLB flushes, one PCID")                             \
	X(tlb_switch, "switches to a PCID that kept its entries")              \
	X(tlb_invlpg, "pages invalidated (INVLPG, INVPCID)")                   \
	X(tlb_invlpg_large, "large pages taken away by them")                  \
	X(code_moved, "times code may have moved by that")                     \
	X(tlb_gen_wrap, "times the TLB's generations ran out")                 \
	X(mmio_read, "reads of device memory")                                 \
	X(mmio_write, "writes of device memory")                               \
	X(pio_read, "reads of ports")                                          \
	X(pio_write, "writes of ports")                                        \
	S("events")                                                            \
	X(interrupts, "interrupts delivered")                                  \
	X(nmis, "NMIs delivered")                                              \
	X(soft_ints, "software interrupts (INT n)")                            \
	X(exceptions, "exceptions delivered")                                  \
	X(halts, "times the vCPU halted")                                      \
	X(kicks, "kicks taken")                                                \
	X(page_scans, "times every vCPU's write entries of a page were taken") \
	X(passage_waits, "waits for one vCPU's safepoint")                     \
	X(exclusive, "times all other vCPUs were stopped")

/* Those of the engine: what any thread may do. */
#define SOFT_STATS_ALL(X, S)                                 \
	S("code cache")                                      \
	X(code_writes, "writes to pages with code")          \
	X(blocks_killed, "blocks killed")                    \
	X(parts_dropped, "parts of the code cache dropped")  \
	X(blocks_dropped, "blocks killed by that")           \
	X(arena_dropped, "parts of S1's operations dropped") \
	X(longest_drop, "longest time it took, ns")          \
	X(longest_stop, "the same from the first vCPU's stop on, ns")

#define SOFT_STATS_FIELD(name, what) uint64_t name;
#define SOFT_STATS_NONE(section)

struct soft_stats {
	SOFT_STATS_CPU(SOFT_STATS_FIELD, SOFT_STATS_NONE)
	uint64_t vector[32];		    /* exceptions delivered, by vector */
	uint64_t unsupported[X86_OP_COUNT]; /* exit_unsupported, by enum x86_op */
};

struct soft_stats_all {
	SOFT_STATS_ALL(SOFT_STATS_FIELD, SOFT_STATS_NONE)
};

/* One more, or `n` more, of a vCPU's counter `name`; on that vCPU's thread. */
#define SOFT_COUNT(cpu, name) ((void)(cpu)->stats.name++)
#define SOFT_COUNT_ADD(cpu, name, n) ((void)((cpu)->stats.name += (uint64_t)(n)))
/* One more of the engine's counter `name`; on any thread. */
#define SOFT_COUNT_ALL(e, name) ((void)__atomic_fetch_add(&(e)->stats.name, 1, __ATOMIC_RELAXED))
/* Generated code was left for S1 to execute `x86_op`. */
#define SOFT_COUNT_UNSUPPORTED(cpu, x86_op) \
	((void)((cpu)->stats.exit_unsupported++, (cpu)->stats.unsupported[x86_op]++))

/* A walk of the page tables for `access`, an enum soft_access. */
#define SOFT_COUNT_WALK(cpu, access) ((void)(&(cpu)->stats.tlb_fill_read)[access]++)
/* An event about to be delivered. */
void soft_stats_event(struct soft_cpu *cpu, const struct soft_event *ev);
/* With LOG_STATS on, print the counters of `e`; no vCPU runs any more. */
void soft_stats_print(struct soft_engine *e);
/* For engine_ops.counters: before soft_stats_print(). */
void soft_stats_each(const struct engine *e, int cpu,
		     void (*fn)(void *opaque, const char *name, const char *what, uint64_t value),
		     void *opaque);
/* The engine begins: time is counted in cycles (jit_ns), and this says how long they are. */
void soft_stats_start(struct soft_engine *e);

#endif
