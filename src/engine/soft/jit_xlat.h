/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block being translated: shared by jit_block.c, jit_ops.c and jit_flow.c. */
#ifndef LODGE_ENGINE_SOFT_JIT_XLAT_H
#define LODGE_ENGINE_SOFT_JIT_XLAT_H

#include "engine/soft/jit_emit.h"
#include "engine/soft/jit_int.h"
#include "engine/soft/thunk_int.h"

/* Where the arithmetic flags are at a point of the code. */
enum jit_flags_at {
	FLAGS_HOST,   /* in the host's, or dead */
	FLAGS_PARKED, /* in cpu->hflags */
};

struct xlat;
struct jit_op;

/* How an instruction becomes host code. */
typedef void (*jit_emit_fn)(struct xlat *x, struct jit_op *o);

/* Where a memory operand is: an offset in its segment. RIP-relative ones are absolute. */
struct jit_place {
	uint8_t base, index, scale; /* X86_NO_REG where there is none */
	bool moves;		    /* RIP-relative */
	int64_t disp;
};

/* What an operation does to memory, as far as runs are concerned (jit_reach.c). */
struct jit_touch {
	enum { TOUCH_UNKNOWN, TOUCH_NOTHING, TOUCH_MEMORY, TOUCH_LOSES } kind; /* LOSES: T0 */
	struct jit_place at;
	unsigned size;
	enum soft_access access;
};

struct jit_op {
	struct x86_insn insn;
	const uint8_t *bytes;
	const struct soft_op *op;
	jit_emit_fn emit; /* NULL: by its S1 handler */
	struct jit_flag_use use;
	bool changes;  /* changes flags, certainly or not */
	bool label;    /* a branch of this block comes back here */
	uint16_t live; /* flags that are live after it */
	struct jit_touch touch;
	bool parked;   /* flags are parked where its code begins */
	int16_t inner; /* index of the operation a direct branch goes back to, or -1 */
};

#define JIT_MAX_LINKS (2 * SOFT_BLOCK_OPS + 2)
#define JIT_MAX_SLOW (4 * SOFT_BLOCK_OPS + 8)
#define JIT_MAX_FIXES (16 * SOFT_BLOCK_OPS)

/* A memory operand's way out of line. */
#define JIT_MISS_SIZE 22
struct jit_cold {
	uint32_t rel, back; /* the jump to it, and where it goes on */
	uint32_t how;	    /* offset of the window, and size - 1 from bit JIT_MISS_SIZE on */
	bool write;
	bool indexed; /* T1 is to be added to it */
};

/* Operations whose operands are checked together (jit_reach.c). */
struct jit_run {
	bool on;
	bool writes;
	struct jit_place at; /* its registers */
	int64_t lo,
		hi; /* the range, from the registers' value at the start on; T0 is its host address */
	int64_t delta; /* what the base has changed by since */
	unsigned first, last;
	uint8_t kept[3]; /* which of r9 to r11 T0, T1 and T2 hold; 0: none */
	bool base_lost;	 /* T2 is not BASE */
};

struct xlat {
	struct emit e;
	struct soft_cpu *cpu;
	struct jit_cache *jc;
	struct soft_block *b;
	const struct soft_build *bd; /* the same, decoded */
	uint32_t mode;
	bool m64;
	enum jit_flags_at flags;
	bool parked_start; /* they are parked where the block begins */
	int32_t at;	   /* the operand at hand is at [T0 + at] */
	struct jit_run run;
	unsigned n;   /* operations */
	unsigned cur; /* the one at hand */
	unsigned view;
	uint32_t head;	    /* offset of the block's head word */
	uint32_t cold_head; /* the same of its part out of line */
	unsigned live_in;   /* flags live at the start */
	uint64_t lines;	    /* of the page, whose bytes liveness was read from */

	unsigned nfar;
	struct {
		uint64_t ip;
		uint32_t rel;
		uint16_t op;
	} far[SOFT_BLOCK_OPS];
	unsigned nlinks;
	struct {
		uint64_t ip;
		uint32_t rel;
		uint32_t load, fail; /* to another page: where it loads its word, and its Jcc */
		int16_t inner;
		bool parked, cross;
	} link[JIT_MAX_LINKS];
	unsigned nslow;
	struct {
		uint32_t rel; /* the jump to the stub, or ... */
		uint16_t op;
		bool parked, indirect, recheck;
		bool by_entry; /* indirect, and T0 is to be the address of entry T1 */
	} slow[JIT_MAX_SLOW];
	bool fixed; /* jit_copy.c cannot copy it */
	unsigned nfix;
	struct jit_fix fix[JIT_MAX_FIXES];
	unsigned ncold;
	struct jit_cold cold[2 * SOFT_BLOCK_OPS];
	uint8_t crossing[X86_MAX_INSN_BYTES]; /* the instruction that runs into a second page */
	uint32_t pad, checked;		      /* offsets behind such a block's guard, or 0 */
	uint32_t off[SOFT_BLOCK_OPS + 2];
	/* Flags live before each operation, and where it leaves the block. */
	uint16_t live_before[SOFT_BLOCK_OPS + 1], live_exit[SOFT_BLOCK_OPS + 1];
	struct jit_op ops[SOFT_BLOCK_OPS + 1];
};

/* ---- jit_copy.c ----------------------------------------------------------------------------- */

/*
 * Whatever is emitted that depends on the block's linear address, or on where its code lies, is to be noted, or the
 * block is to be `fixed`. The instruction with the value ends in it; `at` is the value's offset. Links
 * need no note but that of their table entry and word.
 */
void jit_note(struct xlat *x, uint32_t at, enum jit_fix_kind kind);
/* A displacement to `target`, which may be in the block's other half or in the stubs. */
void jit_note_jump(struct xlat *x, uint32_t at, uint32_t target);
/* reg = an address that moves with the block, or the lower half of one. */
void jit_mov_moving(struct xlat *x, unsigned reg, uint64_t v);
void jit_mov_moving32(struct xlat *x, unsigned reg, uint32_t v);

/* ---- jit_ops.c ------------------------------------------------------------------------------ */

/* The emitter for an instruction, or NULL. `op` is S1's. */
jit_emit_fn jit_pick(const struct xlat *x, const struct x86_insn *insn, const struct soft_op *op);

/* T0 = the place's offset. Keeps flags. */
void jit_address(struct xlat *x, const struct jit_place *at, unsigned addrsize);
/* The place of the instruction's memory operand. */
struct jit_place jit_insn_place(const struct jit_op *o);
/* Its place, if it can be in a run: 64-bit code, no segment base. */
bool jit_place_of(const struct xlat *x, const struct jit_op *o, struct jit_place *at);
/* Has the segment neither a base nor checks? */
bool jit_is_flat(const struct xlat *x, unsigned seg);
/*
 * T0 = linear address of `size` bytes at the offset in T0 of a segment, or to the slow path. Loses
 * flags and T1 unless the segment is flat.
 */
void jit_segment(struct xlat *x, unsigned seg, unsigned size, enum soft_access access);
/*
 * T0 = host address of `size` bytes at the linear address in T0, or to the slow path. Parks live
 * flags first. By slot number `key`, of which a register's number is one and 16 and more are for constant
 * addresses, or by window. T1 is lost.
 */
#define JIT_BY_WINDOW 32u
void jit_check(struct xlat *x, unsigned key, unsigned size, enum soft_access access);
void jit_emit_cold(struct xlat *x, const struct jit_cold *c);
/* Flags must be in the host's before the instruction at hand runs. */
void jit_need_flags(struct xlat *x);
/* The host's flags are about to be lost: park them if anyone will want them. */
void jit_lose_flags(struct xlat *x);
/* The jump whose displacement is at `rel` leaves for C: by the current instruction's S1 handler, or
 * as an indirect branch to T0 that was not found. */
void jit_slow_stub(struct xlat *x, uint32_t rel, bool indirect);
/* [T0 + x->at] = the instruction's memory operand in the host, or to the slow path. Loses T1. */
void jit_operand(struct xlat *x, const struct jit_op *o, unsigned size, enum soft_access access);

/* A locked one whose operand must not cross a cache line on this host: it is looked at, and never in a run. */
bool jit_may_split(const struct xlat *x, const struct x86_insn *insn);

/* An instruction that stays itself. */
void jit_emit_plain(struct xlat *x, struct jit_op *o);
/* LEA that stays itself in a run. */
bool jit_lea_fits_run(const struct x86_insn *insn);

/* ---- jit_reach.c ---------------------------------------------------------------------------- */

/* [T0 + x->at] = the host's of `size` bytes there, or to the slow path, as jit_check. 64-bit code. */
void jit_reach(struct xlat *x, const struct jit_place *at, unsigned size, enum soft_access access);
/* Which slot the place has, or JIT_BY_WINDOW. The stack's is its alone. */
unsigned jit_choose_slot(const struct xlat *x, const struct jit_place *at);
/* The smallest loop inside the block that the operation at hand is in: its first and last operation. */
bool jit_loop_at(const struct xlat *x, unsigned *first, unsigned *last);
/* Is this operation in a run of more than one? */
bool jit_in_long_run(const struct xlat *x);
/* Scratch registers may hold anything now. */
void jit_run_forget(struct xlat *x);
/* Scratch registers are as they are outside of runs: r11 is BASE again. Before what is not ready for runs. */
void jit_run_settle(struct xlat *x);
/* Does this operation need T0 from one before it? */
bool jit_in_run(const struct xlat *x);
/* Operation `i` has been emitted. */
void jit_run_pass(struct xlat *x, unsigned i);

/* ---- jit_flow.c ----------------------------------------------------------------------------- */

void jit_emit_jcc(struct xlat *x, struct jit_op *o);
void jit_emit_jmp(struct xlat *x, struct jit_op *o);
void jit_emit_call(struct xlat *x, struct jit_op *o);
void jit_emit_jmp_ind(struct xlat *x, struct jit_op *o);
void jit_emit_call_ind(struct xlat *x, struct jit_op *o);
void jit_emit_ret(struct xlat *x, struct jit_op *o);
void jit_emit_push(struct xlat *x, struct jit_op *o);
void jit_emit_pop(struct xlat *x, struct jit_op *o);
/* Several pushes, or pops and a return, from operation `i` on, checked at once: how many; 0, 1: none. */
unsigned jit_emit_group(struct xlat *x, unsigned i);
/* What taken Jcc to other pages do; out of line. */
void jit_emit_far(struct xlat *x);
void jit_emit_leave(struct xlat *x, struct jit_op *o);
void jit_emit_loop(struct xlat *x, struct jit_op *o);
/* [T0 + x->at] = the host's of `size` bytes of the stack at reg + n, or to the slow path. */
void jit_stack_slot(struct xlat *x, unsigned reg, int n, unsigned size, enum soft_access access);
/* The stack pointer = reg + n, keeping flags. */
void jit_set_sp(struct xlat *x, unsigned reg, int n);
/* Load from [T0 + x->at] (into a scratch register two bytes are zero-extended) and store there. */
void jit_load_t0(struct xlat *x, unsigned size, unsigned reg);
void jit_store_t0(struct xlat *x, unsigned size, unsigned reg);
/* Where a link to another page goes that its word does not allow; the link's stub follows. */
void jit_emit_by_table(struct xlat *x, uint64_t ip, uint32_t *miss);
/* A direct exit to `ip`. */
void jit_emit_exit(struct xlat *x, uint64_t ip, int inner);

/* To the address in T0, by the vCPU's table. */
void jit_emit_indirect(struct xlat *x);

/* ---- jit_sys.c ------------------------------------------------------------------------------ */

/* The emitter for a kernel's instruction: flags, strings, system calls; or NULL. */
jit_emit_fn jit_pick_sys(const struct xlat *x, const struct x86_insn *insn,
			 const struct soft_op *op);

/* By the S1 handler if any of these bits of a doubleword of the vCPU is set; if `cc` is CC_E, if none is. */
void jit_slow_if_bits(struct xlat *x, unsigned cc, uint32_t at, uint32_t bits);

/* ---- jit_string.c --------------------------------------------------------------------------- */

/* The emitter for MOVS, STOS or LODS, or NULL. */
jit_emit_fn jit_pick_string(const struct xlat *x, const struct x86_insn *insn,
			    const struct soft_op *op);

/* ---- jit_seg.c ------------------------------------------------------------------------------ */

/* The emitter for an instruction that moves segment registers, or NULL. */
jit_emit_fn jit_pick_seg(const struct xlat *x, const struct x86_insn *insn);

#endif
