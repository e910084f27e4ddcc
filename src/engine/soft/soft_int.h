/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the software engine: the vCPU, pre-decoded operations, and what its parts ask of each
 * other. Private to src/engine/soft.
 *
 * RULES OF THIS FOLDER
 * 1. While a vCPU runs, the guest's x87/SSE/AVX registers may be live in the host's. Everything
 *    here is built with -mgeneral-regs-only and calls nothing outside base/, mem/ and x86/ without
 *    soft_fpu_leave(), or between soft_fpu_aside() and soft_fpu_back(). soft_fpu_enter() makes them live again, on
 *    demand (cpu->fpu_live).
 * 2. A guest exception is raised by soft_raise*(), which does not return: it unwinds to the run
 *    loop, which delivers it with the state of the current instruction's start (cpu->op). So an
 *    operation checks everything that can fault first and commits once, at its end.
 * 3. All guest memory goes through the soft TLB: an absent write entry means "something to do"
 *    (not present, clean page, code page, MMIO).
 * 4. cpu->s (struct x86_state) is the only architectural state, except rip inside a block: there
 *    cpu->op->rip is the current instruction, and s.rip is stored when a block is left.
 *    s.rflags is always canonical.
 */
#ifndef LODGE_ENGINE_SOFT_INT_H
#define LODGE_ENGINE_SOFT_INT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/soft/ahead.h"
#include "engine/soft/stats.h"
#include "x86/decode.h"
#include "x86/state.h"

struct soft_cpu;
struct soft_engine;
struct soft_block;
struct soft_op;

/* ---- Pre-decoded operations ----------------------------------------------------------------- */

/*
 * A handler executes its operation and returns the next operation to run: another handler's result
 * (tail call through soft_next) or NULL to leave the block with s.rip set.
 */
typedef const struct soft_op *(*soft_fn)(struct soft_cpu *cpu, const struct soft_op *op);

#define SOFT_NO_REG 16 /* x86_state.zero: the slot after gpr[], always 0 */

/* soft_op.flags */
#define SOFT_OP_SEGCHECK 0x01u /* the memory operand needs segment limit and type checks */
#define SOFT_OP_LOCK 0x02u
#define SOFT_OP_REP 0x04u
#define SOFT_OP_REPNE 0x08u
#define SOFT_OP_END 0x10u /* no instruction: the block ends, rip goes on */
#define SOFT_OP_UD 0x20u  /* this CPU has no such instruction */

struct soft_op {
	_Atomic(soft_fn) fn;
	gva_t rip;	  /* of this instruction: linear address minus CS.base, i.e. the IP */
	uint64_t imm;	  /* immediate, or branch target IP */
	int64_t disp;	  /* of the memory operand; RIP-relative is already absolute */
	uint64_t ea_mask; /* of the memory operand's offset, by address size */
	union {
		const struct x86_insn *insn;  /* system operations: the whole decoded instruction */
		const void *thunk;	      /* host-instruction operations: code to call */
		const struct soft_op *target; /* branches: the target in this same block, or NULL */
	};
	uint8_t len; /* bytes; rip + len is the next instruction (masked to the mode) */
	uint8_t flags;
	uint8_t opsize, addrsize;	 /* bytes */
	uint8_t base, index, scale, seg; /* of the memory operand; SOFT_NO_REG where absent */
	uint8_t dst, src;    /* register operands as byte offsets into s.gpr (AH is 1) */
	uint8_t src2, msize; /* msize: bytes of the memory operand */
	uint8_t cc, aux;
};

/* ---- Soft TLB ------------------------------------------------------------------------------- */

enum soft_access { SOFT_READ, SOFT_WRITE, SOFT_EXEC };
#define SOFT_TLB_BITS 13
#define SOFT_TLB_ENTRIES (1u << SOFT_TLB_BITS)

struct soft_tlb_ent {
	/*
	 * Page address | generation (low 12 bits); never matches when 0. Other threads clear it
	 * (soft_tlb_drop_write), so it is read and written by __atomic_* when they may run.
	 */
	uint64_t tag;
	uint64_t addend; /* host pointer = gva + addend; valid before tag is */
};

/* One view of an address space per privilege. */
enum soft_view {
	SOFT_VIEW_SUPER,    /* CPL 0–2, SMAP enforced (EFLAGS.AC = 0) or SMAP off */
	SOFT_VIEW_SUPER_AC, /* CPL 0–2, SMAP lifted by EFLAGS.AC */
	SOFT_VIEW_USER,
	SOFT_VIEWS
};

#define SOFT_TLB_LOCALS 256u
#define SOFT_NO_GEN 0xfffu /* a generation that no entry has */
#define SOFT_SEEN_BITS 32768u

struct soft_tlb {
	struct soft_tlb_ent ent[3][SOFT_TLB_ENTRIES]; /* by enum soft_access */
};

/*
 * What generated code looks into first (mmu_space.c): pages, and where they are in the host. An
 * address is in a window's page if address - page <= 4096 - size, and then at host + (address -
 * page). Empty: no canonical address is in the page, and a non-canonical one that is faults on the
 * host (#GP) as it should in the guest.
 */
struct soft_window {
	uint64_t page,
		host; /* other threads empty one, page first; the owner fills it, page last */
};
#define SOFT_WINDOW_EMPTY (1ull << 63)
#define SOFT_WINDOW_BITS 13
#define SOFT_WINDOWS (1u << SOFT_WINDOW_BITS)
#define SOFT_SLOTS 64u
/* Windows come in groups of so many, each with a byte that says whether one of them was filled. */
#define SOFT_WINDOW_GROUP 64u
#define SOFT_WINDOW_GROUPS (1u + 2u * SOFT_WINDOWS / SOFT_WINDOW_GROUP)
#define SOFT_SPACE_HOSTS 4096u

/*
 * The windows of one view of one address space. All zero is empty but for page 0, whose windows
 * and the slots need SOFT_WINDOW_EMPTY.
 */
struct soft_space {
	/* The page last used by operands that go by a register; without one, by their page. */
	struct soft_window slot[SOFT_SLOTS];
	struct soft_window win[2][SOFT_WINDOWS]; /* SOFT_READ, SOFT_WRITE; by page number */
	/* By page number: soft_exec_word() of a page that may be executed, or 0. */
	uint64_t exec[SOFT_WINDOWS];
	uint8_t used[SOFT_WINDOW_GROUPS]; /* the slots are the first group */
	uint8_t used_exec[SOFT_WINDOWS / SOFT_WINDOW_GROUP];
	uint8_t hosts[SOFT_SPACE_HOSTS]; /* a write window was filled for such a host page */
	uint16_t gen;			 /* its entries' generation in the TLB; 0: none */
};

/*
 * A linear page and the page of guest memory behind it, in one word. 0 and ~0 mean none; so do
 * pages of memory beyond 1 TiB.
 */
#define SOFT_EXEC_BITS 28
static inline uint64_t soft_exec_word(gva_t lin, uint64_t page)
{
	uint64_t word = lin >> PAGE_BITS << SOFT_EXEC_BITS | page;

	return page >> SOFT_EXEC_BITS || word == ~0ull ? 0 : word;
}

/*
 * The spaces of a vCPU: the supervisor's, and some that belong to an address space each: one with SMAP
 * lifted, and at the same distance the users'.
 */
#define SOFT_SPACE_USERS 4u
#define SOFT_SPACES (1 + 2 * SOFT_SPACE_USERS)

/* ---- The vCPU ----------------------------------------------------------------------------------*/

#define SOFT_MAX_CPUS 256

/* Bits of the block key: all of the state that decoded code depends on. */
#define SOFT_MODE_CS32 0x001u /* CS.D */
#define SOFT_MODE_CS64 0x002u /* long mode and CS.L */
#define SOFT_MODE_SS32 0x004u /* SS.B: stack pointer size (64-bit mode: ignored) */
#define SOFT_MODE_FLAT 0x008u /* ES, SS, DS flat 4 GiB writable data and CS flat: no checks */
#define SOFT_MODE_PE 0x010u
#define SOFT_MODE_VM86 0x020u
#define SOFT_MODE_CPL3 0x040u
#define SOFT_MODE_STEP \
	0x080u /* TF, debug registers, a shadow, a debugger: one instruction a block */
#define SOFT_MODE_NOFPU 0x100u /* CR0.EM or TS set, or CR4.OSFXSR/OSXSAVE off: check at run time */
#define SOFT_MODE_LMA 0x200u
#define SOFT_MODE_AC 0x400u	 /* CR0.AM, EFLAGS.AC, CPL 3: alignment checks */
#define SOFT_MODE_VIEW_AC 0x800u /* SOFT_VIEW_SUPER_AC: generated code names the view */
#define SOFT_MODE_CPL12 0x1000u	 /* CPL 1 or 2, where CLI and its kin may fault */
#define SOFT_MODE_BITS 13
/* Parts of code_key: mode, generation, code_moves, cs_id, code_epoch from bit 0 up. */
#define SOFT_GEN_BITS 12
#define SOFT_MOVE_BITS 12
/* Code segments told apart in code_key, soft_cpu.cs_keys. */
#define SOFT_CS_BITS 5

/* Where generated code for an instruction pointer is: a table of each vCPU, read by generated code. */
#define SOFT_JIT_JC_BITS 16
#define SOFT_BESIDE 8u

struct soft_jit_jc {
	uint64_t ip;
	uint64_t key; /* soft_cpu.code_key it was found under; others clear it when the code dies */
	uint64_t host; /* address that takes parked flags */
	uint64_t page; /* of the guest's code, in the host */
};

#define SOFT_JCACHE_BITS 14
#define SOFT_NO_KEY (~0ull) /* no entry carries it, not even an empty one */

/* Where code at a linear address was decoded to; the operation of a dead block clears its entry. */
struct soft_jcache_ent {
	gva_t lin;
	uint64_t key;	 /* soft_cpu.code_key it was found under; 0: none */
	uint64_t cs_key; /* as in soft_cpu */
	const struct soft_op *ops;
};

/* An exception or interrupt on its way to delivery. */
struct soft_event {
	uint8_t vector;
	bool has_error;
	bool soft; /* INT n, INT3, INTO: DPL is checked, rip of the next instruction is pushed */
	bool external; /* INTR or NMI: EXT bit set in error codes of nested faults */
	bool int1;     /* INT1: soft without a DPL check */
	uint32_t error;
	uint64_t dr6;	  /* #DB: bits to merge into DR6 */
	uint8_t insn_len; /* soft: bytes of the INT instruction */
};

/* Why the block loop must be left. */
#define SOFT_REQ_INTR 0x01u /* the INTR pin, a level */
#define SOFT_REQ_NMI 0x02u
#define SOFT_REQ_INIT 0x04u
#define SOFT_REQ_SIPI 0x08u
#define SOFT_REQ_KICK 0x10u
#define SOFT_REQ_FLUSH 0x20u  /* the memory map changed */
#define SOFT_REQ_EXIT 0x40u   /* look at run_state (HLT, shutdown) */
#define SOFT_REQ_STOP 0x80u   /* pass a safepoint (exclusive.h) */
#define SOFT_REQ_DEBUG 0x100u /* debug.stop is for the debugger; set by the vCPU itself */

struct soft_cpu {
	struct x86_state s; /* s.gpr must be first: soft_op.dst/src are offsets from here */
	uint64_t segbase[SEG_COUNT + 1]; /* effective bases (64-bit mode: 0 but FS, GS) */
	const struct soft_op *op;	 /* the instruction being executed */
	struct soft_op
		here; /* op points at it while faults are to report s.rip (traps, new tasks) */
	struct soft_tlb *tlb; /* the current view */
	uint64_t tlb_gen;     /* generation of that view's entries in use: 1 to 4094 */
	uint64_t tlb_wgen;    /* the same for S1's stores; SOFT_NO_GEN: all by slow paths */
	uint64_t
		code_key; /* what jump cache entries must carry: code_epoch, cs_id, code_gen, mode */
	uint64_t
		chain_key; /* the same, or SOFT_NO_KEY while every block must come back to the run loop */
	uint64_t code_epoch; /* bumped by whatever frees blocks, or renames code segments */
	uint64_t code_moves; /* bumped by whatever remaps code */
	uint16_t last_gen;   /* the last generation given out */
	uint16_t super_gen;  /* of SOFT_VIEW_SUPER, and of kernel code: outlives address spaces */
	uint16_t space_gen;  /* of the other views: pcid_gen of the current PCID */
	bool many_pcids;     /* more than one entry of pcid_gen may be in use */
	uint64_t cs_key;     /* CS base and limit outside 64-bit mode: part of the block key */
	uint32_t mode;	     /* SOFT_MODE_*, recomputed by soft_mode_changed() */
	uint32_t view;	     /* enum soft_view */
	uint64_t rip_mask;   /* 0xffff, 0xffffffff or ~0 */
	bool fpu_live;	     /* guest x87/SSE/AVX are in the host's registers */
	bool in_thunk;	     /* host faults now are the guest's (#XM, #MF, #GP) */
	bool ferr;	     /* FERR# is asserted: an x87 exception with CR0.NE = 0 */
	bool running;

	struct soft_engine *e;
	unsigned index;
	jmp_buf unwind; /* to the run loop: event is in `event` */
	struct soft_event event;
	uint64_t pending_dr6; /* data breakpoints hit by the current instruction */

	/* SOFT_REQ_*: written by any thread. Partner: soft_run's check between blocks. */
	_Atomic uint32_t requests;
	_Atomic uint8_t sipi_vector; /* valid while SOFT_REQ_SIPI is set */
	uint64_t dr_seen[5];	     /* DR0-3 and DR7 the TLB was filled under */
	/* Odd while the thread is inside guest code: exclusive.c. Read by whoever waits for it. */
	_Atomic uint32_t passage;
	unsigned exclusive; /* depth of exclusive sections this vCPU has */
	unsigned pauses;    /* PAUSEs executed, for yielding now and then */
	bool yield;	    /* PAUSE on a host with fewer CPUs than the guest */
	/*
	 * The host page soft_ptr() gave out for writing without a TLB entry; NULL after a
	 * safepoint. Partner: soft_cache_mark_page.
	 */
	_Atomic(const uint8_t *) direct;
	struct soft_block *scratch; /* one instruction fetched from a device */

	/* The translator (jit_int.h). Generated code names these by offset. */
	struct soft_cpu *self;
	uint64_t host_rsp;	/* C's stack while generated code runs */
	uint64_t jit_resume;	/* where jit_enter and the stubs jump to */
	uint64_t jit_tmp;	/* inside one instruction */
	uint64_t jit_count;	/* the same */
	uint64_t jit_old;	/* what an indirect CALL has pushed over */
	uint64_t jit_save[3];	/* inside a lookup */
	uint32_t jit_miss_size; /* a lookup's, less one */
	uint64_t jit_t0;	/* r9 when generated code goes on: an operand's host address */
	/*
	 * The x87 instruction and operand executed last by generated code, 0: none since it was
	 * entered. Instruction pointer << 16 | SOFT_X87_IP | FOP; the operand's offset and segment.
	 */
	uint64_t x87_ip, x87_dp;
	uint8_t x87_seg;
	uint8_t x87_quiet; /* if an exception is unmasked now, then by FLDCW */
#define SOFT_X87_IP 0x8000u
#define SOFT_X87_DP 0x80u
#define SOFT_X87_DP_ONLY 0x40u	   /* FDS is there already */
	uint16_t hflags;	   /* parked flags: LAHF:SETO */
	_Atomic uint32_t jit_stop; /* leave before entering a block; set after `requests` */
	_Atomic bool jit_in;	   /* between jit_enter and its end: a kick needs a signal */
	bool jit_kicked;	   /* the signal came: code_key is spoilt */
	int thread;		   /* its id; valid while jit_in */
	int alarm;		   /* its POSIX timer, by the kernel's number, if has_alarm */
	bool has_alarm;
	/* cs_key of recent code; its place is cs_id. One that goes takes code_epoch with it. */
	uint64_t cs_keys[1u << SOFT_CS_BITS];
	unsigned cs_id, cs_next;
	/*
	 * Outside 64-bit mode: offsets below these pass the checks of their segment for reading,
	 * for writing. 0 where each access needs a look (expand-down, unusable, wrong type).
	 */
	uint64_t seg_room[2][SEG_COUNT];
	struct {
		uint64_t pc, trap, eflags;
	} jit_fault;
	struct soft_check *check; /* NULL: no lockstep */
	struct {		  /* debugger.h */
		bool step, pass, again;
		bool inside; /* an instruction of run_step */
		bool hit;
		struct engine_stop stop;
	} debug;
	unsigned runs;		  /* how often it went into guest code, up to DENSE_AFTER */
	struct soft_op one[2];	  /* one operation, and what stops behind it */
	struct x86_insn one_insn; /* what one[0] may point to */

	_Alignas(64) uint8_t bounce[2][4096 + 128]; /* operands that cross a page or are MMIO */
	struct soft_jcache_ent jcache[1u << SOFT_JCACHE_BITS];
	_Alignas(64) struct soft_jit_jc jit_jc[1u << SOFT_JIT_JC_BITS];
	struct soft_tlb views[SOFT_VIEWS];
	_Alignas(64) struct soft_space spaces[SOFT_SPACES];
	struct soft_space *view_space[SOFT_VIEWS];
	unsigned next_user;	 /* the users' space to be taken next */
	uint64_t space_base;	 /* r11 in generated code: the current view's win */
	uint64_t jit_ret;	 /* where a lookup goes back to */
	uint16_t pcid_gen[4096]; /* the generation of each PCID; 0 = none of its entries is valid */
	struct soft_tlb none;	 /* always empty: the view while alignment is checked */
	struct {
		gpa_t gpa;
		uint64_t len;
		uint8_t *host;
	} ram[2]; /* ranges of RAM found last (mmu_ram); len 0: none */
	/* Entries of SOFT_VIEW_SUPER that are not global: they go with their address space. */
	struct {
		uint64_t page[SOFT_TLB_LOCALS]; /* address | enum soft_access */
		uint16_t count;			/* above SOFT_TLB_LOCALS: there were more */
		bool code;			/* one of them is of the execute table */
	} local;
	/* Bits by hash: set, maybe; clear, certainly not. */
	uint64_t large_seen[2][SOFT_SEEN_BITS / 64]; /* large pages; [1]: global ones */
	uint64_t global_seen[SOFT_SEEN_BITS / 64]; /* global pages of views but the supervisor's */
	uint64_t code_seen[SOFT_SEEN_BITS / 64]; /* pages with code, since code_moves was bumped */
	struct soft_build *built;		 /* the block built last */
	char error[256];
	struct soft_stats stats;
	/*
	 * Pages with code that were written beside it lately: a write entry of the TLB in all but that generated code
	 * does not see it. Tags as there; whatever drops entries empties it.
	 */
	struct soft_beside {
		uint64_t tag;	  /* 0: none */
		uint64_t backing; /* of the page */
		uint8_t *host;
		uint8_t view;
	} beside[SOFT_BESIDE];
	/* Device memory found last, as `ram`. */
	struct {
		gpa_t gpa;
		uint64_t len;
	} device;
	/*
	 * A walk that generated code's lookup has ended in device memory, for the operation that it is of: the next
	 * soft_translate() need not walk again. Empty when that operation is done.
	 */
	struct {
		gva_t lin;
		gpa_t gpa;
		uint8_t access, view;
		bool is;
	} walked;
	_Alignas(32) uint8_t aside[16 * 32]; /* soft_fpu_aside() */
	uint32_t aside_mxcsr;
};

struct soft_engine {
	struct engine_config cfg;
	struct mem *mem;
	uint8_t *ram; /* mem_base() */
	struct soft_cpu **cpus;
	struct soft_cache *cache; /* decoded blocks */
	/*
	 * By backing page: where the TLBs' write entries for it have been since they were last taken away, at most four
	 * places (mmu_tlb.c) of 16 bits. Demand-zero.
	 */
	uint64_t *write_places;
#define SOFT_WRITE_PLACES_MANY UINT64_MAX
	struct thunk_cache *thunks;
	struct jit_cache *jit; /* NULL: tier 1 only */
	struct soft_stats_all stats;
	struct soft_ahead ahead;
	uint64_t start_tsc, start_ns; /* stats.c */
	struct soft_perf *perf;	      /* NULL: nobody is told about generated code */
	/* A debugger's; changed while no vCPU runs. */
	struct engine_point points[ENGINE_POINTS_MAX];
	unsigned n_points;
	bool has_breaks, has_watches;
	struct soft_exclusive { /* exclusive.c */
		pthread_mutex_t lock;
		pthread_cond_t changed;
		_Atomic bool busy; /* someone has, or waits for the others to begin, a section */
		_Atomic uint32_t watchers; /* who waits for a single vCPU */
	} exclusive;
	uint64_t freed; /* counts resets of the block cache; changed in exclusive sections only */
	bool crowded;	/* more vCPUs than host CPUs */
	bool alone;	/* the host has one CPU */
	bool no_splits; /* locked accesses across cache lines are not for the host (split_lock.c) */
	bool rotate_keeps_of; /* so does the host, see soft_rotate_keeps_of() */
};

/* ---- Registers ------------------------------------------------------------------------------ */

static inline uint8_t *soft_reg(struct soft_cpu *cpu, unsigned byte_off)
{
	return (uint8_t *)cpu->s.gpr + byte_off;
}

/* ---- Raising exceptions (interp side; never return) ----------------------------------------- */

_Noreturn void soft_raise(struct soft_cpu *cpu, uint8_t vector); /* no error code */
_Noreturn void soft_raise_err(struct soft_cpu *cpu, uint8_t vector, uint32_t error);
_Noreturn void soft_raise_event(struct soft_cpu *cpu, const struct soft_event *ev);
/* Leave the block now with the state as it is (s.rip set): used after mode switches in mid-air. */
_Noreturn void soft_unwind(struct soft_cpu *cpu);
/* The current instruction is to be executed again, by itself, since a debugger watches what it touches. */
_Noreturn void soft_restart(struct soft_cpu *cpu);
/* End the machine: cpu->error says why. */
_Noreturn void soft_fail(struct soft_cpu *cpu);

/* ---- Memory (mmu.c) ------------------------------------------------------------------------- */

/*
 * Read or write 1, 2, 4 or 8 bytes at a linear address with the current privilege: page-crossing,
 * MMIO, A/D bits, code invalidation and data breakpoints handled. Raise #PF (or #AC).
 */
uint64_t soft_ld(struct soft_cpu *cpu, gva_t lin, unsigned size);
void soft_st(struct soft_cpu *cpu, gva_t lin, uint64_t val, unsigned size);
/* As above, but as an implicit supervisor access (descriptor tables, TSS, interrupt stacks of CPL<3). */
uint64_t soft_ld_sys(struct soft_cpu *cpu, gva_t lin, unsigned size);
void soft_st_sys(struct soft_cpu *cpu, gva_t lin, uint64_t val, unsigned size);
/* Set and clear bits of one byte, atomically in RAM; returns the new value. */
uint8_t soft_update_sys(struct soft_cpu *cpu, gva_t lin, uint8_t set, uint8_t clear);

/* Raise the #PF a write of [lin, lin+len) would, without writing; for commit-last operations. */
void soft_probe_write(struct soft_cpu *cpu, gva_t lin, unsigned len);
void soft_probe_read(struct soft_cpu *cpu, gva_t lin, unsigned len);
void soft_probe_write_sys(struct soft_cpu *cpu, gva_t lin, unsigned len);
/* Bytes of any length; faults before anything is written. */
void soft_ld_bytes(struct soft_cpu *cpu, gva_t lin, void *buf, unsigned len);
void soft_st_bytes(struct soft_cpu *cpu, gva_t lin, const void *buf, unsigned len);

/*
 * A host pointer to `len` bytes at `lin` for a host instruction to read and/or write in place, or
 * NULL if they cross a page or are not plain RAM. Raises #PF. For `write`, the page is ready to be
 * written (dirty bit set, code on it invalidated for this range). The pointer is good for the
 * current instruction only, and for writing only until the next soft_ptr() for writing.
 */
void *soft_ptr(struct soft_cpu *cpu, gva_t lin, unsigned len, bool read, bool write);

#define SOFT_LINE_BYTES 64u
/* Does a split lock trap on the host, or take very long? */
bool soft_split_locks_dear(void);
/* Does the host leave OF alone when a register is rotated by a constant? (interp_unary.c) */
bool soft_rotate_keeps_of(void);

/*
 * Segment checks of SDM 3A §5.3: offset `off` of `size` bytes in segment `seg`. Returns the linear
 * address; raises #GP(0) or #SS(0). In 64-bit mode: canonical check, FS/GS bases.
 */
gva_t soft_lin(struct soft_cpu *cpu, unsigned seg, uint64_t off, unsigned size, bool write);
/* Do `size` bytes at `off` lie within the segment's limit? Its type and presence are not asked. */
bool soft_seg_holds(const struct soft_cpu *cpu, const struct x86_seg *sg, uint64_t off,
		    unsigned size);
/* Recompute soft_cpu.seg_room (outside 64-bit mode). */
void soft_seg_rooms(struct soft_cpu *cpu);
/* The linear address of the operation's memory operand, checks included. */
gva_t soft_ea_lin(struct soft_cpu *cpu, const struct soft_op *op, unsigned size, bool write);
/* Its offset only (LEA, and operations that address around it). */
uint64_t soft_ea_off(const struct soft_cpu *cpu, const struct soft_op *op);

void soft_tlb_flush(struct soft_cpu *cpu);	     /* everything of this vCPU */
void soft_tlb_flush_all_pcids(struct soft_cpu *cpu); /* the same, but global pages */
/* Everything of one PCID, which may be the current one, but global pages. */
void soft_tlb_flush_pcid(struct soft_cpu *cpu, unsigned pcid);
/* CR3 now names another PCID, whose entries are still good. */
void soft_tlb_switch(struct soft_cpu *cpu);
void soft_tlb_invlpg(struct soft_cpu *cpu, gva_t lin);

/* The generation of a view's entries now. */
static inline uint64_t soft_view_gen(const struct soft_cpu *cpu, enum soft_view view)
{
	return view == SOFT_VIEW_SUPER ? cpu->super_gen : cpu->space_gen;
}

/* Blocks of the page at `lin` are about to be entered in the jump cache. */
void soft_code_page_seen(struct soft_cpu *cpu, gva_t lin);

/* The view that instructions are fetched by: SMAP does not concern them. */
static inline enum soft_view soft_code_view(const struct soft_cpu *cpu)
{
	return cpu->view == SOFT_VIEW_USER ? SOFT_VIEW_USER : SOFT_VIEW_SUPER;
}

/* Recompute mode, view, segbase, rip_mask after a change of CS, SS, DS, ES, FS, GS, CR0, CR3, CR4,
 * EFER, EFLAGS.{VM,AC,TF,RF}, DR7 or int_shadow. Cheap; call freely. */
void soft_mode_changed(struct soft_cpu *cpu);

/* After a change of mode, generation or epoch. */
static inline void soft_code_key_changed(struct soft_cpu *cpu)
{
	bool come_back = (cpu->mode & SOFT_MODE_STEP) || log_on(LOG_EXEC) || cpu->e->jit;

	uint64_t gen = soft_view_gen(cpu, soft_code_view(cpu));

	uint64_t moves = cpu->code_moves & ((1u << SOFT_MOVE_BITS) - 1);

	cpu->code_key = (((cpu->code_epoch << SOFT_CS_BITS | cpu->cs_id) << SOFT_MOVE_BITS | moves)
				 << SOFT_GEN_BITS |
			 gen) << SOFT_MODE_BITS |
			cpu->mode;
	cpu->chain_key = come_back ? SOFT_NO_KEY : cpu->code_key;
}

/* No older entry of the jump tables may match again. */
void soft_code_new_epoch(struct soft_cpu *cpu);

/* Entries must be found anew, but their blocks live: those whose page is the same may be renewed. */
static inline void soft_code_moved(struct soft_cpu *cpu)
{
	if (!(++cpu->code_moves & ((1u << SOFT_MOVE_BITS) - 1)))
		soft_code_new_epoch(cpu);
	soft_code_key_changed(cpu);
}

static inline bool soft_mode64(const struct soft_cpu *cpu)
{
	return (cpu->mode & SOFT_MODE_CS64) != 0;
}

/* Does the guest's processor behave as Intel's? It is the host's (docs/adr/0006). */
static inline bool soft_intel(const struct soft_cpu *cpu)
{
	const struct x86_cpuid *id = cpu->e->cfg.cpuid;

	return id && !id->amd;
}

/* For x86_decode(): `mode` is SOFT_MODE_*. */
static inline enum x86_mode soft_decode_mode(const struct soft_cpu *cpu, uint32_t mode)
{
	enum x86_mode m = mode & SOFT_MODE_CS64	  ? X86_MODE_64
			  : mode & SOFT_MODE_CS32 ? X86_MODE_32
						  : X86_MODE_16;

	return soft_intel(cpu) ? m | X86_MODE_INTEL : m;
}

/* ---- Device accesses: leave SIMD, call the machine ------------------------------------------ */

uint64_t soft_pio_read(struct soft_cpu *cpu, uint16_t port, unsigned size);
void soft_pio_write(struct soft_cpu *cpu, uint16_t port, uint64_t val, unsigned size);
/* CPL/IOPL and TSS bitmap check for IN/OUT/INS/OUTS; raises #GP(0). (sys side) */
void soft_io_check(struct soft_cpu *cpu, uint16_t port, unsigned size);

/* ---- Host-instruction operations and FPU state (thunk.c, xstate.c) -------------------------- */

struct thunk_cache *thunk_cache_new(struct lodge_err *err);
void thunk_cache_free(struct thunk_cache *tc);
/* Tell `perf` (may be NULL) where thunks are: all of them as one, named lodge:thunks. */
struct soft_perf;
void thunk_cache_tell(const struct thunk_cache *tc, struct soft_perf *perf);
/*
 * Fill op->fn/thunk so that it executes `insn` (X86_IF_HOST) as the host's own instruction.
 * The caller has filled rip, len and the memory operand. false: cannot (the caller makes it #UD).
 */
bool soft_thunk_build(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
/* The same without code to call: what S2 wants to know. */
bool soft_thunk_describe(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
void soft_fpu_enter(struct soft_cpu *cpu); /* s.xsave -> host registers */
void soft_fpu_leave(struct soft_cpu *cpu); /* host registers -> s.xsave, host defaults restored */
/*
 * Around a call of compiled code that keeps away from x87 and MMX registers, as all of ours does (tools/check_nosimd.py):
 * a fifth of the price of leaving and entering. What aside() returns is for back().
 */
enum soft_aside { SOFT_ASIDE_NONE, SOFT_ASIDE_XMM, SOFT_ASIDE_YMM };
enum soft_aside soft_fpu_aside(struct soft_cpu *cpu);
void soft_fpu_back(struct soft_cpu *cpu, enum soft_aside what);
/* Install SIGFPE/SIGSEGV/SIGBUS/SIGILL handlers (once a process) that turn faults inside thunks
 * into guest exceptions; an alternate stack and gs for the calling thread, false if it gets none. */
int soft_signals_init(struct lodge_err *err);
bool soft_signals_thread_init(struct soft_cpu *cpu);
/* Kick the calling vCPU's thread at that time. False: the host gives no timer. */
bool soft_alarm_set(struct soft_cpu *cpu, uint64_t deadline_ns);
void soft_alarm_free(struct soft_cpu *cpu);
/* FXSAVE … XRSTORS, LDMXCSR, STMXCSR, EMMS-like whole-state operations: system-style handlers. */
void soft_xstate_op(struct soft_cpu *cpu, const struct soft_op *op);
/* #UD/#NM as CR0.EM/TS, CR4.OSFXSR/OSXSAVE and XCR0 demand for this instruction; else return. */
void soft_fpu_check(struct soft_cpu *cpu, const struct x86_insn *insn);

/* ---- System operations (sys_*.c) ------------------------------------------------------------ */

/*
 * A system operation runs with s.rip already at the NEXT instruction; it may change s.rip, raise,
 * or return. It ends its block. NULL from soft_sys_lookup: not a system operation.
 */
typedef void (*soft_sys_fn)(struct soft_cpu *cpu, const struct soft_op *op);
soft_sys_fn soft_sys_lookup(enum x86_op op);
/*
 * Deliver an exception, software interrupt, NMI or external interrupt with s.rip at the
 * instruction to return to (for soft events: the INT itself; insn_len is added). Double faults are
 * made here; a triple fault returns false (shutdown).
 */
bool soft_deliver(struct soft_cpu *cpu, const struct soft_event *ev);
/* After an instruction in SOFT_MODE_STEP: single-step and data-breakpoint traps. */
void soft_debug_after(struct soft_cpu *cpu, bool tf_before);
/* Instruction breakpoints at s.rip before it executes; raises #DB. */
void soft_debug_before(struct soft_cpu *cpu);

/* EFLAGS bits POPF/IRET may change at this CPL, mode and operand size (sys side). */
uint64_t soft_popf_mask(const struct soft_cpu *cpu, unsigned opsize);

/* Stack pointer arithmetic: mask of the current stack size. */
static inline uint64_t soft_sp_mask(const struct soft_cpu *cpu)
{
	if (soft_mode64(cpu))
		return ~0ull;
	return cpu->mode & SOFT_MODE_SS32 ? 0xffffffffull : 0xffffull;
}

/* ---- The run loop and code cache (run.c, block.c) ------------------------------------------- */

/* Get the vCPU out of generated code. Any thread; async-signal-safe. */
void soft_jit_kick(struct soft_cpu *cpu);

/* Any thread: make the vCPU look at SOFT_REQ_* soon. */
static inline void soft_request(struct soft_cpu *cpu, uint32_t bits)
{
	atomic_fetch_or(&cpu->requests, bits);
	if (atomic_load(&cpu->jit_in))
		soft_jit_kick(cpu);
}

/* Run operations by S1 until one leaves. */
void soft_run_ops(struct soft_cpu *cpu, const struct soft_op *op);

/* Ask the run loop to leave after this block (HLT, shutdown, new interrupt state). */
void soft_request_exit(struct soft_cpu *cpu);

static inline const struct soft_op *soft_next(struct soft_cpu *cpu, const struct soft_op *op)
{
	op++;
	cpu->op = op;
	return atomic_load_explicit(&op->fn, memory_order_relaxed)(cpu, op);
}

#endif
