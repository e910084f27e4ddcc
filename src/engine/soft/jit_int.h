/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The superblock translator (tier S2): blocks of host code, their links, and the code memory.
 * Private to src/engine/soft.
 *
 * REGISTERS IN GENERATED CODE
 * Guest general registers are in the host's of the same name, rsp included, except r9, r10 and r11,
 * which live in cpu->s.gpr: they are the translator's scratch. gs is the vCPU. Arithmetic flags
 * are in the host's flags, or parked in cpu->hflags (what LAHF and SETO left in AX); every other
 * flag, DF too, is in s.rflags, and the host's DF is 0. x87, SSE and AVX registers are the guest's.
 * So generated code never calls or pushes, and every signal runs on an alternate stack.
 * Between operations r11 is BASE (jit_emit.h); inside a run (jit_reach.c) it may be the guest's, as r10.
 *
 * ONE COMMIT AN INSTRUCTION
 * Whatever precedes an instruction's last step is scratch; off[] maps host code to instructions.
 * Arithmetic flags that the block overwrites before anything reads them ("dead") may be anything
 * at a fault or slow path in between; everything else is exact.
 *
 * Locks: cache->lock (block.h) protects links, metadata and the end of the code; generated code
 * takes none. A link is one aligned 32-bit displacement, so patching it needs no one to stop.
 */
#ifndef LODGE_ENGINE_SOFT_JIT_INT_H
#define LODGE_ENGINE_SOFT_JIT_INT_H

#include "engine/soft/block.h"
#include "engine/soft/interp.h"

/* Blocks start at multiples of this, each with a bit in jit_cache.starts. */
#define JIT_ALIGN 32u

/* In jit_block.off: flags are parked while the instruction runs. */
#define JIT_OFF_PARKED 0x80000000u
/* Also: there is no code for this one alone, it is part of what the one before it does. */
#define JIT_OFF_GROUPED 0x40000000u
/* Also: T0 has to come from an operation before it, so C does not enter here. */
#define JIT_OFF_RUN 0x20000000u
#define JIT_OFF_MASK 0x1fffffffu

/* In jit_block.ids, for counters and lockstep. */
#define JIT_ID_NATIVE 0x8000u /* has host code: who leaves there missed the TLB */
#define JIT_ID_WRITE 0x4000u  /* writes memory for certain */
#define JIT_ID_SYSTEM 0x2000u
#define JIT_ID_PARKED 0x1000u /* flags are parked where its code begins */
#define JIT_ID_LIVE 0x0800u   /* and some are live there */
#define JIT_ID_OP 0x07ffu
_Static_assert(X86_OP_COUNT <= JIT_ID_OP, "an operation fits beside its flags");

/* The code memory, with its metadata, is used in so many parts, each dropped as a whole. */
#define JIT_PARTS 8u
/* No block has more code, or code out of line, or metadata. */
#define JIT_MAX_BYTES (24u << 10)

/* So often may runs of a block cross a page before it is translated without the last of them. */
#define JIT_MAX_CROSSINGS 16u

struct jit_block;

/* A direct exit. Unlinked, its jump goes to its stub, which goes to jit_on_exit(). */
struct jit_link {
	struct jit_block *from;
	struct jit_block *to;	  /* what it jumps to now, or NULL */
	struct jit_link *next_in; /* the next link into `to` */
	struct jit_link **at_in;  /* what points to this one there */
	uint64_t ip;		  /* target */
	uint32_t rel;		  /* where the displacement is; 0: by jit_jc only */
	uint32_t word;		  /* to another page: where its soft_exec_word() is; else 0 */
	uint32_t stub;		  /* offset of the unlinked target */
	uint32_t inner;		  /* a jump back inside the block: its offset; else 0 */
	bool parked;		  /* flags are in cpu->hflags here */
};

/* What of a copied block's code depends on where it is (jit_copy.c). */
enum jit_fix_kind {
	/* Constants that are addresses: 8 bytes, 4 to be extended, or 4 of which the rest is not wanted. */
	JIT_FIX_WHOLE,
	JIT_FIX_ZERO_EXTENDED,
	JIT_FIX_SIGN_EXTENDED,
	JIT_FIX_CUT,
	/* Displacements: to the block's other half, or to a common stub. */
	JIT_FIX_ACROSS,
	JIT_FIX_TO_STUB,
	JIT_FIX_TABLE, /* offset of the jump table's entry for the address noted before it */
	JIT_FIX_EXEC,  /* displacement of a page's soft_exec_word() */
};

struct jit_fix {
	uint16_t at; /* from the head word on */
	uint8_t kind;
	bool cold; /* in the code out of line */
};

/* Metadata of a block of host code. */
struct jit_block {
	struct soft_block *sb;
	uint32_t code, len; /* offset in the code memory, bytes of instructions */
	uint32_t body;	    /* where others jump to */
	uint32_t pad;	    /* the same after taking parked flags; = body if flags are dead */
	uint32_t checked;   /* where C enters, which has looked up its pages; else = body */
	uint64_t ip;	    /* of its first instruction */
	bool needs_flags;   /* flags are live at the start */
	bool dead;
	struct jit_block *older; /* of the same soft_block, given up before */
	struct jit_block *entries,
		*next_entry; /* of jit_join, into this one; the next into the same */
	uint8_t crossings;   /* runs that failed because they cross a page */
	uint16_t last_op;    /* enum x86_op of the last instruction */
	uint16_t nops,
		nlinks; /* no operations: an entry into another block, which has all the rest */
	struct jit_link *links;
	struct jit_link *in; /* links into this block */
	int16_t *rip;	     /* of each operation, from ip on */
	uint32_t *off;	     /* nops + 1 code offsets, with JIT_OFF_PARKED */
	uint16_t *ids;	     /* nops times enum x86_op, with JIT_ID_* */
	uint32_t cold, end,
		cold_end; /* offsets of its code out of line, and with the links' words */
	bool fixed;	  /* is not to be copied */
	uint16_t nfix;
	struct jit_fix *fix;
	uint32_t info_bytes; /* of this and its arrays, which are behind it */
	/* For lockstep. */
	bool fpu; /* has x87, SSE or AVX instructions */
	struct jit_op_flags {
		uint16_t live, exit; /* live before it, and where it leaves the block */
	} * flags;		     /* of each operation */
};

struct jit_cache {
	struct soft_engine *e;
	uint8_t *rw, *rx;		  /* two mappings of one memory: W^X */
	uint32_t bytes, stubs_end, split; /* from `split` on: what is out of line */
	uint32_t enter, resume, leave;	  /* offsets, jit_run.c */
	uint8_t *meta;			  /* for jit_block, jit_link, offsets */
	size_t meta_bytes;
	/* The current part's ranges of code, out of line code and metadata: filled from their starts. */
	struct jit_range {
		size_t start, used, end;
	} hot, cold, info;
	uint8_t *starts; /* one bit per JIT_ALIGN bytes of code */
	/* Offsets of the common stubs. */
	uint32_t stub_op, stub_op_parked;     /* r10 = op index, r11 = jit_block */
	uint32_t stub_exit, stub_exit_parked; /* r10 = link index, r11 = jit_block */
	uint32_t stub_indirect;		      /* r9 = target, r10 = op index, r11 = jit_block */
	uint32_t stub_recheck;		      /* r11 = jit_block whose second page may have gone */
	uint32_t stub_miss[2]; /* SOFT_READ, SOFT_WRITE: r9 = address, r11 = where in the block */
	uint32_t miss[SOFT_VIEWS][2]; /* jit_emit_miss() */
	uint32_t stub_fault;	      /* jit_fault is set */
	/* For the signal handler: the thread was at `pc`. Returns where it goes on. */
	uint64_t (*on_kick)(struct soft_cpu *cpu, uint64_t pc, uint64_t r10, uint64_t r11);
	_Atomic uint32_t kicks; /* vCPUs that someone wants out: no linking now */
	/* -d exec, check=on: nothing is linked, every block comes back to the run loop. */
	bool come_back;
};

/* ---- jit_cache.c ---------------------------------------------------------------------------- */

struct jit_cache *jit_cache_new(struct soft_engine *e, unsigned mib, struct lodge_err *err);
void jit_cache_free(struct jit_cache *jc);
/* Go on in part `part`, whose blocks are dead. No vCPU may be in generated code or hold a jit_block. */
void jit_cache_use_part(struct jit_cache *jc, unsigned part);
/* Is there no room for another block in the current part? */
bool jit_full(const struct jit_cache *jc);
/* How full it is, `whole` being full. */
size_t jit_used(const struct jit_cache *jc, size_t whole);
/* Code from `head` (the offset of the pointer to jb) up to `end` is complete. With the cache lock. */
void jit_commit(struct jit_cache *jc, uint32_t head, struct jit_block *jb, uint32_t end);
/* `bytes` of metadata with anything in them. There is room if the part was not full before the block. */
void *jit_meta_alloc(struct jit_cache *jc, size_t bytes);
/* The block that host address `pc` is in, or NULL. Async-signal-safe. */
struct jit_block *jit_block_of(const struct jit_cache *jc, uint64_t pc);
static inline bool jit_contains(const struct jit_cache *jc, uint64_t pc)
{
	return jc && pc - (uint64_t)(uintptr_t)jc->rx < jc->bytes;
}
/* Make a direct exit go to `to` from now on. With the cache lock. */
void jit_link_to(struct jit_cache *jc, struct jit_link *l, struct jit_block *to);
/* Does it, now? Only a hint: it may change at any time. */
bool jit_is_linked(const struct jit_cache *jc, const struct jit_link *l);
/* Its code must not be entered any more; it is in no other block's lists afterwards. With the cache lock. */
void jit_kill(struct jit_cache *jc, struct jit_block *jb);
/* Nobody is to come to it any more, but its code stays good. With the cache lock. */
void jit_cut_off(struct jit_cache *jc, struct jit_block *jb);
/* Make every exit of the block come back to C at its next passing. Async-signal-safe. */
void jit_unlink_exits(struct jit_cache *jc, struct jit_block *jb);

/* Generated code computes the same (jit_flow.c). */
static inline unsigned jit_jc_index(uint64_t ip)
{
	return (unsigned)(ip ^ ip >> SOFT_JIT_JC_BITS) & ((1u << SOFT_JIT_JC_BITS) - 1);
}

static inline struct soft_jit_jc *jit_jc_slot(struct soft_cpu *cpu, uint64_t ip)
{
	return &cpu->jit_jc[jit_jc_index(ip)];
}

/* ---- jit_block.c ---------------------------------------------------------------------------- */

/* Host code for `b`, or NULL (memory full, or the block died). Called by the vCPU that runs it. */
struct jit_block *jit_translate(struct soft_cpu *cpu, struct soft_block *b);

/*
 * A block at `lin`, which is in the middle of another with host code: an entry to that, so that what is
 * behind it is not translated twice. NULL: there is none. Passes no safepoint.
 */
struct soft_block *jit_join(struct soft_cpu *cpu, gva_t lin, uint64_t backing);

/* ---- jit_copy.c ----------------------------------------------------------------------------- */

/* Host code for `b` copied from that of its kin, or NULL. Called by the vCPU that runs it. */
struct jit_block *jit_copy_for(struct soft_cpu *cpu, struct soft_block *b);
/* A block for the vCPU's mode at `lin` with a copy of its kin's code, or NULL. Passes no safepoint. */
struct soft_block *jit_copy_block(struct soft_cpu *cpu, gva_t lin, uint64_t backing);

/* The head word of the next piece of code in the part. */
static inline uint32_t jit_next_head(const struct jit_range *r)
{
	return (((uint32_t)r->used + 8 + JIT_ALIGN - 1) & ~(JIT_ALIGN - 1)) - 8;
}

/* Can blocks of this mode be translated? */
static inline bool jit_mode_ok(uint32_t mode)
{
	return !(mode & (SOFT_MODE_STEP | SOFT_MODE_AC));
}

/* Has S1 run it often enough, and can it be translated? */
static inline bool jit_warm(const struct jit_cache *jc, struct soft_block *b)
{
	return jit_mode_ok(b->mode) && b->page[0] != SOFT_NO_PAGE &&
	       atomic_load_explicit(&b->runs, memory_order_relaxed) + 1 >=
		       jc->e->cfg.soft.warm + b->patience;
}

/* ---- jit_run.c ------------------------------------------------------------------------------ */

/* Emit the common stubs at the start of the code memory. */
void jit_emit_stubs(struct jit_cache *jc);
/* Host address at offset `off`; the guest's SIMD registers are live then. */
const void *jit_host_code(struct soft_cpu *cpu, uint32_t off);
/* Lockstep: enter at offset `off`; and where C wanted to go on when it was kept from it. */
void jit_enter_at(struct soft_cpu *cpu, uint32_t off);
void jit_enter_again(struct soft_cpu *cpu);
/* Run generated code from `entry` until C has to look. */
void jit_enter(struct soft_cpu *cpu, const struct jit_block *jb);
/* The same for s.rip if the jump table has it, else false. */
bool jit_enter_known(struct soft_cpu *cpu);

/* ---- jit_ops.c ------------------------------------------------------------------------------ */

struct emit;
/* The common part of TLB lookups by generated code. Returns its offset. */
uint32_t jit_emit_miss(struct emit *e, enum soft_view view, enum soft_access access,
		       uint32_t stub_miss);

/* ---- jit_flags.c ---------------------------------------------------------------------------- */

struct jit_flag_use {
	uint16_t reads, writes; /* FLAG_*: writes are certain */
};
struct jit_flag_use jit_flags_of(const struct x86_insn *insn);
bool jit_changes_flags(const struct x86_insn *insn);

#endif
