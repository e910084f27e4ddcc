/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded superblocks. Private to src/engine/soft.
 *
 * Key: physical place, linear address, CS base and limit, mode. A block lies in one page, except
 * that its first instruction may cross into a second, which then is its only one.
 *
 * Locks: cache->lock protects the hash, the page lists and the arena; it is taken by vCPUs (lookup,
 * commit) and by whoever writes guest memory (soft_cache_written). A block's operations are patched
 * in place when it dies, so a vCPU in the middle of it leaves at the next instruction; its memory is
 * reused only in an exclusive section (exclusive.h).
 *
 * Room. Blocks and generated code are placed in parts, one after the other (struct soft_cache). While
 * the second half of one is filled, the blocks of the next, the oldest, are killed a few at a time, as
 * if their bytes had been written: so nothing is left of it, or little, when its memory is to be used
 * again, and the exclusive section is short. A block's host code is in its own part or a younger one.
 * S1's operations have parts of their own; generated code has no need of them.
 *
 * Writes to code. No store may reach a page unseen after its bytes were decoded:
 * - A store by a write entry of the TLB: soft_cache_mark_page takes the entries away and waits for
 *   every vCPU that had one to pass a safepoint.
 * - A store by a slow path: the bytes are written, then, after a barrier, MEM_PAGE_CODE is looked at
 *   and soft_cache_written called. The builder sets MEM_PAGE_CODE, then reads the bytes. So it sees
 *   the new bytes, or the writer sees the flag; and a block decoded from the old ones is killed, or
 *   refused by soft_cache_commit, which looks through the writes since it was begun.
 * - A store through soft_ptr() to a page without an entry: soft_cpu.direct names the page until the
 *   next safepoint, and soft_cache_mark_page treats it as an entry.
 */
#ifndef LODGE_ENGINE_SOFT_BLOCK_H
#define LODGE_ENGINE_SOFT_BLOCK_H

#include "engine/soft/soft_int.h"

#define SOFT_BLOCK_OPS 64
#define SOFT_NO_PAGE (~0ull)

struct soft_block {
	/* What a lookup reads is one line. */
	_Alignas(64) gva_t lin;
	uint64_t backing; /* offset of the first byte in guest memory */
	uint64_t cs_key;
	uint32_t mode;
	uint32_t nops;
	uint64_t page[2];      /* backing page numbers; page[1] is SOFT_NO_PAGE for most */
	struct jit_block *jit; /* the same as host code, or NULL */
	uint32_t hash_next;    /* by number; 0: none */

	uint64_t lines[2];		     /* 64-byte lines of each page that hold its bytes */
	uint32_t page_next[2], page_prev[2]; /* other blocks of each page, by number; 0: none */
	struct soft_op *ops;   /* NULL: not kept, to be decoded again if S1 is to run it */
	_Atomic uint32_t runs; /* by S1; with host code: operations of it that S1 had to do */
	_Atomic bool valid;
	uint16_t patience; /* as many more `runs` before it is translated (soft_cache_patience) */
	struct jit_block *old; /* given up for jit, but maybe not left yet */
	uint64_t lone; /* operations, by bit, whose operands are not to be checked with others' */
};

struct soft_cache;

struct soft_cache *soft_cache_new(struct soft_engine *e, struct lodge_err *err);
void soft_cache_free(struct soft_cache *c);

/* The block for the vCPU's current state, or NULL. */
struct soft_block *soft_cache_find(struct soft_cache *c, struct soft_cpu *cpu, gva_t lin,
				   uint64_t backing);
/*
 * A block on its way into the cache. Built without the lock; branch targets are op indexes + 1 until
 * soft_cache_commit places them. Each vCPU keeps its last one, so that S2 need not decode it anew.
 */
struct soft_build {
	struct soft_block head;
	struct soft_block *block; /* what it became, or NULL */
	uint64_t freed;		  /* soft_engine.freed then: later `block` may be another */
	uint64_t epoch;
	unsigned nops, ninsns;
	bool lean; /* for S2 alone: operations without handlers, which the cache does not keep */
	struct soft_op ops[SOFT_BLOCK_OPS + 1];
	struct x86_insn insns[SOFT_BLOCK_OPS + 1]; /* of each; X86_OP_INVALID: nothing S2 may run */
	bool has_insn[SOFT_BLOCK_OPS + 1], has_target[SOFT_BLOCK_OPS + 1];
};

/* Note the time before the first byte is read. */
void soft_build_start(struct soft_cache *c, struct soft_build *bd);
/*
 * The next write to each of these whole pages of the backing takes a slow path once, which sets
 * MEM_PAGE_DIRTY: take write entries away as for code, and wait. Any thread but a vCPU's inside, without locks.
 */
void soft_cache_watch_writes(struct soft_cache *c, uint64_t backing, uint64_t bytes);
/* Mark a page as holding code before its bytes are read, and drop TLB write entries to it. */
void soft_cache_mark_page(struct soft_cache *c, struct soft_cpu *cpu, uint64_t page);
/*
 * Place the block, or find that another vCPU has. NULL when memory under it may have been written
 * meanwhile, or the cache was full and the oldest part has been dropped: build again. Both functions
 * may pass a safepoint, so no block pointer may be held across them.
 */
struct soft_block *soft_cache_commit(struct soft_cache *c, struct soft_cpu *cpu,
				     const struct soft_build *bd);
/* Give a block whose operations were not kept those of `bd`, if there is room and nothing was written. */
void soft_cache_attach(struct soft_cache *c, struct soft_block *b, const struct soft_build *bd);
/* Place operations and copies at `at` (soft_build_bytes of it), for a block outside the cache. */
size_t soft_build_bytes(const struct soft_build *bd);
void soft_build_place(const struct soft_build *bd, struct soft_block *at, void *room);

/*
 * Runs by S1 that a block at this place waits before it is translated, since blocks there were
 * overwritten so often that decoding them is all they are worth. 0 for nearly all. No lock: a guess.
 */
unsigned soft_cache_patience(const struct soft_cache *c, uint64_t backing);

/* Guest memory [backing, backing+len), inside one page, was written, or will be through soft_ptr().
 * Any thread. */
void soft_cache_written(struct soft_cache *c, uint64_t backing, uint64_t len);

/*
 * The same for what is going to be written through a pointer that soft_cpu.direct announces, but only if no block has
 * bytes in its lines: otherwise false, and nothing has been done.
 */
bool soft_cache_write_beside(struct soft_cache *c, uint64_t backing, uint64_t len);

/* Kill the blocks at these linear pages, wherever they lie. While no vCPU runs. */
void soft_cache_forget(struct soft_cache *c, const gva_t *pages, unsigned n);

/* For the translator: the cache's lock, its count of writes to code, and more lines of a block. */
void soft_cache_lock(struct soft_cache *c);
void soft_cache_unlock(struct soft_cache *c);
uint64_t soft_cache_epoch(struct soft_cache *c);
void soft_cache_add_lines(struct soft_cache *c, struct soft_block *b, uint64_t lines);

/*
 * Entries in the middle of blocks (jit_join). An operation S2 can be entered at begins at `backing`, for
 * has_op, which takes no lock: maybe, or certainly not.
 */
void soft_cache_note_op(struct soft_cache *c, uint64_t backing);
bool soft_cache_has_op(const struct soft_cache *c, uint64_t backing);
/* With the lock: one after the other, the last few blocks that may hold these bytes in the vCPU's mode, *seen being 0
 * at first; NULL: no more. And a new block with the pages and lines of `in`, or NULL when there is no room. */
struct soft_block *soft_cache_around(struct soft_cache *c, const struct soft_cpu *cpu, gva_t lin,
				     uint64_t backing, unsigned *seen);
struct soft_block *soft_cache_add_entry(struct soft_cache *c, const struct soft_block *in,
					gva_t lin, uint64_t backing);

/*
 * With the lock. Blocks of the same bytes at another linear address (jit_copy.c): one with host code of its own, or
 * NULL; and, for soft_cache_around too, this one has some now.
 */
struct soft_block *soft_cache_kin(struct soft_cache *c, uint64_t backing, uint32_t mode,
				  uint64_t cs_key);
void soft_cache_note_jit(struct soft_cache *c, struct soft_block *b);

/* Another vCPU is writing the page just now, code or not: what is read from it may be old. */
bool soft_cache_in_flux(struct soft_cpu *cpu, uint64_t page);
/* The code memory is full: drop the oldest part. The vCPU is inside and holds no block. */
void soft_cache_next_part(struct soft_cache *c, struct soft_cpu *cpu);
/* With the lock, after code has been placed: kill as many old blocks as is time for. */
void soft_cache_sweep(struct soft_cache *c);

/* The block at the vCPU's s.rip, decoded if need be; raises what fetching raises (run.c). */
struct soft_block *soft_find_block(struct soft_cpu *cpu);

/* The one operation of the block at `ip` into *op, and the instruction it may point to into *insn. */
void soft_build_one(struct soft_cpu *cpu, const struct soft_block *b, uint64_t ip,
		    struct soft_op *op, struct x86_insn *insn);

/*
 * Decode and build the block at the vCPU's s.rip; raises what the fetch or decoding raises. Its
 * operations may be missing, if S2 is to have it at once; ..._ops() is for S1.
 */
struct soft_block *soft_block_build(struct soft_cpu *cpu, gva_t lin);
struct soft_block *soft_block_build_ops(struct soft_cpu *cpu, gva_t lin);
/* The decoded block, which begins at `ip` in the vCPU's mode: as it was built, or decoded again. */
struct soft_build *soft_built(struct soft_cpu *cpu, struct soft_block *block, uint64_t ip);
/* Try to make the operations of a block that has none; raises nothing, passes no safepoint. */
void soft_block_ops(struct soft_cpu *cpu, struct soft_block *block, uint64_t ip);

#endif
