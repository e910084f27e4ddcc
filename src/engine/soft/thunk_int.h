/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files that run guest instructions as the host's own (thunk*.c, fpu.c, signals.c,
 * xstate.c).
 *
 * A thunk is a function made at run time around one rewritten guest instruction: general registers
 * are loaded from cpu->s.gpr into scratch registers and stored back, a memory operand becomes
 * [rsi], vector and x87 registers stay what they are. The key below says everything a thunk
 * depends on, so equal keys share one thunk, whatever block or vCPU they came from.
 */
#ifndef LODGE_ENGINE_SOFT_THUNK_INT_H
#define LODGE_ENGINE_SOFT_THUNK_INT_H

#include "base/bytes.h"
#include "engine/soft/interp.h"

/*
 * Key of a thunk. Bits 0..10 are the guest's x87 opcode (FOP, SDM 1 §8.1.9) as they stand, which
 * is why op->imm holds the key of an instruction.
 */
#define TK_MODRM 0    /* 8 bits */
#define TK_OPCODE 8   /* 8 bits */
#define TK_IMM 16     /* two immediate bytes */
#define TK_IMM_LEN 32 /* 2 bits */
#define TK_PP 34      /* 2 bits */
#define TK_MAP 36     /* 2 bits */
#define TK_REX 38     /* W R X B: bits 3..0 */
#define TK_VVVV 42    /* 4 bits */
#define TK_VEX 46
#define TK_L 47
#define TK_OPSIZE16 48 /* the host's instruction needs 66 for its operand size */
#define TK_HIGH8 49    /* the r/m register is AH, CH, DH or BH */
#define TK_HAS_MODRM 50
#define TK_CHAIN 51 /* goes on to the next operation instead of returning */
#define TK_VALID 63 /* a key is never 0 */

static inline unsigned tk_get(uint64_t key, unsigned shift, unsigned bits)
{
	return (unsigned)(key >> shift) & ((1u << bits) - 1);
}

/* What an instruction does with general registers and flags besides its vector operands. */
#define TR_REG 0x0001u	 /* ModRM.reg is a general register */
#define TR_RM 0x0002u	 /* ModRM.rm is one, when it is a register */
#define TR_VVVV 0x0004u	 /* VEX.vvvv is one */
#define TR_W_REG 0x0008u /* and this one is written */
#define TR_W_RM 0x0010u
#define TR_W_VVVV 0x0020u
#define TR_IN_AX 0x0040u /* implicit registers */
#define TR_IN_CX 0x0080u
#define TR_IN_DX 0x0100u
#define TR_OUT_AX 0x0200u
#define TR_OUT_CX 0x0400u
#define TR_FLAGS_IN 0x0800u
#define TR_FLAGS_OUT 0x1000u
#define TR_OPSIZE 0x2000u /* 66 is an operand size, not part of the opcode */
#define TR_W_SIZE 0x4000u /* W is the size of a general register: 0 outside 64-bit mode */
#define TR_FLAGS_RW (TR_FLAGS_IN | TR_FLAGS_OUT)

/* The TR_* of the instruction with this map, opcode, pp and ModRM; 0 = none of it. */
unsigned thunk_role(unsigned map, unsigned opcode, unsigned pp, unsigned modrm, bool vex);
/* The key of `insn`; 0 if it is nothing a thunk can do. */
uint64_t thunk_key(const struct x86_insn *insn);
/* Emit the thunk of `key` into `out`, which has THUNK_MAX_BYTES. Returns its length. */
#define THUNK_MAX_BYTES 128
unsigned thunk_emit(uint64_t key, uint8_t *out);

/* The memory operand, or NULL. */
static inline const struct x86_operand *thunk_mem_operand(const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind == X86_OPD_MEM)
			return &insn->opd[i];
	}
	return NULL;
}

/* Has it a register or memory operand of two bytes? */
static inline bool thunk_has_size2(const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		if ((insn->opd[i].kind == X86_OPD_REG || insn->opd[i].kind == X86_OPD_MEM) &&
		    insn->opd[i].size == 2)
			return true;
	}
	return false;
}

/* ---- Cache ---------------------------------------------------------------------------------- */

typedef void (*thunk_fn)(struct soft_cpu *cpu, void *mem);
/* A thunk with TK_CHAIN: a handler's tail. */
typedef const struct soft_op *(*thunk_chain_fn)(struct soft_cpu *cpu, void *mem,
						const struct soft_op *op);

#define THUNK_HASH_BITS 12
#define THUNK_CACHE_BYTES (4u << 20)
#define THUNK_SLOT_BYTES 128u
#define THUNK_SLOTS 256u /* vCPUs */

/* Moves between a whole vector register and [rsi], for operations done element by element. */
enum thunk_move {
	THUNK_LD_XMM,
	THUNK_ST_XMM,
	THUNK_LD_YMM,
	THUNK_ST_YMM,
	THUNK_LD_MMX,
	THUNK_ST_MMX,
	THUNK_LD_VXMM,
	THUNK_MOVES
};

struct thunk_cache {
	atomic_flag lock;
	uint8_t *rw, *rx; /* codemem.h */
	uint32_t used;
	uint32_t count;
	bool avx;
	bool in_use; /* XGETBV says whether upper halves are used, and it pays to ask: on Intel's */
	uint64_t xmask; /* XSAVE components we keep: 7 or 3; 0 without XSAVE */
	uint32_t mxcsr_mask;
	bool saves_pointers; /* FXSAVE stores FOP, FIP and FDP without a pending exception too */
	bool fop_on_error;   /* FOP is that of the last unmasked exception (SDM 1 §8.1.9.1) */
	bool fdp_on_error;   /* FDP is, too (SDM 1 §8.1.8) */
	bool no_selectors;   /* FCS and FDS are stored as 0 (SDM 1 §8.1.8) */
	bool holds_first;    /* an x87 store that an exception holds back does not touch memory */
	bool gather_signs;   /* a gather makes mask elements all their sign first, and clears upper halves as it goes */
	bool far_first;	     /* masked stores look at their far end first: CR2 */
	bool mmx_top_first;  /* an MMX store has cleared TOP when its operand faults */
	bool sha_aligned;    /* SHA: a misaligned operand is #GP before any page fault */
	const void *move[THUNK_MOVES][16];
	const void *fwait;
	uint32_t head[1u << THUNK_HASH_BITS]; /* offset of the first thunk in the chain, or 0 */
};

/* The code for `key`, made if it is new. NULL when the cache is full. Any vCPU thread. */
const void *thunk_get(struct thunk_cache *tc, uint64_t key);
/* The same, but never NULL: a full cache has a place for each vCPU, good until its next thunk. */
const void *thunk_get_for(struct thunk_cache *tc, unsigned index, uint64_t key);

/* True if host address `pc` is in the thunks' code. Async-signal-safe. */
static inline bool thunk_contains(const struct thunk_cache *tc, uint64_t pc)
{
	return pc - (uint64_t)(uintptr_t)tc->rx < THUNK_CACHE_BYTES;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

static inline void fpu_need(struct soft_cpu *cpu)
{
	if (unlikely(!cpu->fpu_live))
		soft_fpu_enter(cpu);
}

/* Run a thunk. Any access to memory or a device may have made the registers not live. */
static inline void thunk_call(struct soft_cpu *cpu, const void *code, void *mem)
{
	fpu_need(cpu);
	((thunk_fn)(uintptr_t)code)(cpu, mem);
}

static inline void thunk_move_reg(struct soft_cpu *cpu, enum thunk_move m, unsigned reg, void *mem)
{
	thunk_call(cpu, cpu->e->thunks->move[m][reg], mem);
}

/* What CR0, CR4 and XCR0 may forbid. */
enum fpu_class {
	FPU_NONE,
	FPU_X87,
	FPU_X87_NOWAIT, /* FNSTCW and its like ignore pending exceptions */
	FPU_WAIT,
	FPU_MMX,
	FPU_SSE,
	FPU_SSE_MMX, /* writes an MMX register: waits for x87 exceptions */
	FPU_AVX,
};

enum fpu_class fpu_class_of(const struct x86_insn *insn);
void fpu_check_class(struct soft_cpu *cpu, enum fpu_class c);

/*
 * How an operation runs: thunk_run[shape] does all but go on to the next one. `code` is the thunk.
 * op->aux holds class and shape.
 */
typedef void (*thunk_run_fn)(struct soft_cpu *cpu, const struct soft_op *op, const void *code);

enum thunk_shape {
	SHAPE_REG,
	SHAPE_LOAD,
	SHAPE_STORE,
	SHAPE_RMW,
	SHAPE_X87_REG,
	SHAPE_X87_LOAD,
	SHAPE_X87_STORE,
	SHAPE_X87_RESET, /* FNINIT, FNCLEX */
	SHAPE_X87_ENV_LOAD,
	SHAPE_X87_ENV_STORE,
	SHAPE_MASKMOV_LOAD,
	SHAPE_MASKMOV_STORE,
	SHAPE_MASKMOV_BYTES,
	SHAPE_GATHER,	/* op->src: the index register */
	SHAPE_ZERO_LOW, /* VZEROALL, VZEROUPPER outside 64-bit mode: registers 0 to 7 */
	SHAPES
};

#define AUX_CLASS 7u
#define AUX_SHAPE 3

void thunk_x87_reg(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_x87_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_x87_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_x87_reset(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_x87_env_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_x87_env_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_maskmov_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_maskmov_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_maskmov_bytes(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_zero_low(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
void thunk_gather(struct soft_cpu *cpu, const struct soft_op *op, const void *code);
/* True, and the shape, for instructions that are done element by element. */
bool thunk_vec_shape(const struct x86_insn *insn, enum thunk_shape *shape);
/* The shape of an x87 instruction whose memory operand, if any, is accessed as `access` says. */
enum thunk_shape thunk_x87_shape(const struct x86_insn *insn, unsigned access);
/* The x87 exception that FERR# told of is gone. */
void thunk_x87_ferr_clear(struct soft_cpu *cpu);

/*
 * A pending x87 exception comes before faults of the operand: run FWAIT if the instruction is one
 * that waits. Called where such a fault is possible.
 */
void thunk_wait_first(struct soft_cpu *cpu, const struct soft_op *op);
/* soft_ptr() after that. */
void *thunk_ptr_slow(struct soft_cpu *cpu, const struct soft_op *op, gva_t lin, bool write);

static inline gva_t thunk_lin(struct soft_cpu *cpu, const struct soft_op *op, bool write)
{
	if (unlikely(op->flags & SOFT_OP_SEGCHECK))
		thunk_wait_first(cpu, op);
	return op_lin(cpu, op, op->msize, write);
}

/* A host pointer to the operand, or NULL if it must bounce. */
static inline void *thunk_ptr(struct soft_cpu *cpu, const struct soft_op *op, gva_t lin, bool write)
{
	void *p = soft_tlb_hit(cpu, lin, op->msize, write ? SOFT_WRITE : SOFT_READ);

	return likely(p) ? p : thunk_ptr_slow(cpu, op, lin, write);
}

/* Where an operand at `lin` bounces: aligned as the guest's is. */
static inline uint8_t *thunk_bounce(struct soft_cpu *cpu, unsigned i, gva_t lin)
{
	return cpu->bounce[i] + (lin & 63);
}

/* Where a host fault inside a thunk resumes: raises the guest's exception. */
_Noreturn void thunk_fault(struct soft_cpu *cpu, uint64_t trap);

/* ---- The x87 pointers ---------------------------------------------------------------------------
 * The host's own point into thunks, so the guest's are kept by software, always in the image in
 * s.xsave (live or not), in its 64-bit form: FOP, FIP and FDP in place, FCS and FDS in bytes that
 * FXSAVE leaves to software (SDM 1 §10.5.1). soft_fpu_leave() keeps them.
 */
#define FX_FCW 0
#define FX_FSW 2
#define FX_FTW 4
#define FX_FOP 6
#define FSW_ES 0x0080u
#define FSW_TOP 0x3800u
#define FSW_B 0x8000u
#define FX_FIP 8
#define FX_FDP 16
#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define MXCSR_MM (1u << 17) /* AMD: misaligned operands allowed */
#define FX_ST 32
#define FX_XMM 160
#define FX_FCS 464 /* FDS behind it */
#define FX_FDS 466
#define XS_BV 512
#define XS_COMP 520
#define XS_YMM 576

/*
 * Has the x87 instruction that was executed last raised an unmasked exception? One that waits is not
 * executed while another's is pending.
 */
bool x87_error(const struct soft_cpu *cpu); /* thunk_x87.c */

/* Are FOP and FDP to be those of the instruction executed last? */
static inline bool x87_sets_fop(const struct soft_cpu *cpu)
{
	return !cpu->e->thunks->fop_on_error || x87_error(cpu);
}

static inline bool x87_sets_fdp(const struct soft_cpu *cpu)
{
	return !cpu->e->thunks->fdp_on_error || x87_error(cpu);
}

static inline void x87_track(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t *x = cpu->s.xsave;

	if (x87_sets_fop(cpu))
		st_le16(x + FX_FOP, (uint16_t)(op->imm & 0x7ff));
	st_le64(x + FX_FIP, op->rip);
	st_le16(x + FX_FCS, cpu->s.seg[SEG_CS].sel);
}

static inline void x87_track_mem(struct soft_cpu *cpu, const struct soft_op *op, gva_t lin)
{
	uint8_t *x = cpu->s.xsave;

	x87_track(cpu, op);
	if (!x87_sets_fdp(cpu))
		return;
	st_le64(x + FX_FDP, lin - cpu->segbase[op->seg]);
	st_le16(x + FX_FDS, cpu->s.seg[op->seg].sel);
}

/* The selectors as the processor stores them, FDS << 16 | FCS. */
static inline uint32_t x87_selectors(const struct soft_cpu *cpu)
{
	return cpu->e->thunks->no_selectors ? 0 : ld_le32(cpu->s.xsave + FX_FCS);
}

static inline void x87_clear_pointers(struct soft_cpu *cpu)
{
	uint8_t *x = cpu->s.xsave;

	st_le16(x + FX_FOP, 0);
	st_le64(x + FX_FIP, 0);
	st_le64(x + FX_FDP, 0);
	st_le32(x + FX_FCS, 0);
}

#endif
