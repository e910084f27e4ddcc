/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inline parts of the interpreter: TLB hits, operand access, flags, conditions.
 * Private to src/engine/soft.
 */
#ifndef LODGE_ENGINE_SOFT_INTERP_H
#define LODGE_ENGINE_SOFT_INTERP_H

#include "base/gpmem.h"
#include "base/range.h"
#include "engine/soft/soft_int.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#if defined(__SANITIZE_ADDRESS__)
#define SOFT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SOFT_SANITIZED 1
#endif
#endif

/* A translated place of at most one page. */
struct soft_page {
	gpa_t gpa;
	uint64_t backing; /* offset in the backing, unless MMIO */
	uint8_t *host;
	enum mem_kind kind;
};

/* Walk and fill the TLB; raises #PF. */
struct soft_page soft_translate(struct soft_cpu *cpu, enum soft_view view, gva_t lin,
				enum soft_access access);
/*
 * Host address of the code at `lin`, by a walk if the TLB does not know its page, which may raise #PF; NULL: it is no
 * memory.
 */
const uint8_t *soft_code_place(struct soft_cpu *cpu, gva_t lin);
/*
 * Walk and fill the TLB of the current view; false, and nothing raised, if there is no entry then. For
 * SOFT_WRITE the page is marked dirty: a write is certain to follow.
 */
bool soft_tlb_try(struct soft_cpu *cpu, gva_t lin, enum soft_access access, struct soft_page *pg);
/*
 * May [lin, lin + len), at the place a failed soft_tlb_try() for writing left in *pg, be written by its host
 * address, once and before anything else? It is plain RAM without code, in a page that has some.
 */
bool soft_write_beside_code(struct soft_cpu *cpu, gva_t lin, unsigned len,
			    const struct soft_page *pg);
/* The same, without a walk, in a page where it was so lately: the host address, or NULL. */
uint8_t *soft_write_beside_again(struct soft_cpu *cpu, gva_t lin, unsigned len);
/*
 * Drop write entries of whole pages (by their host address). `places`: of one page, its soft_engine.write_places; of
 * several, SOFT_WRITE_PLACES_MANY. Any thread. True if there may have been one.
 */
bool soft_tlb_drop_write(struct soft_cpu *cpu, const uint8_t *host, uint64_t bytes,
			 uint64_t places);

uint64_t soft_ld_slow(struct soft_cpu *cpu, gva_t lin, unsigned size);
void soft_st_slow(struct soft_cpu *cpu, gva_t lin, uint64_t val, unsigned size);
uint64_t soft_mmio_read(struct soft_cpu *cpu, gpa_t gpa, unsigned size);
void soft_mmio_write(struct soft_cpu *cpu, gpa_t gpa, uint64_t val, unsigned size);
/* engine_host.mmio_string */
uint64_t soft_mmio_string(struct soft_cpu *cpu, const struct engine_string *s);
/*
 * Is what lies at `lin` device memory that nobody watches, and aligned? May raise the fault of an access there.
 */
bool soft_device_at(struct soft_cpu *cpu, gva_t lin, unsigned size, enum soft_access access,
		    gpa_t *gpa);

/* Does the guest's processor behave as Intel's? It is the host's (docs/adr/0006). */
static inline bool soft_intel(const struct soft_cpu *cpu)
{
	const struct x86_cpuid *id = cpu->e->cfg.cpuid;

	return id && !id->amd;
}

static inline bool soft_canonical(gva_t lin)
{
	return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

/* Linear addresses wrap at 4 GiB outside 64-bit mode. */
static inline gva_t soft_lin_wrap(const struct soft_cpu *cpu, gva_t lin)
{
	return soft_mode64(cpu) ? lin : (uint32_t)lin;
}

/* The largest naturally aligned piece of a device access. */
static inline unsigned soft_mmio_chunk(gpa_t gpa, unsigned left)
{
	unsigned n = 8;

	while (n > left || (gpa & (n - 1)))
		n >>= 1;
	return n;
}

/* ---- The soft TLB's hit path ------------------------------------------------------------------
 */

/*
 * Strides of powers of two are spread. A page and the one behind it (behind the last one, page 0)
 * never share a slot, since bit 0 is the page's own: so the last byte's page looked up in the first
 * byte's slot hits only within one page. Generated code computes the same (jit_ops.c).
 */
static inline unsigned soft_tlb_index(gva_t lin)
{
	return (unsigned)(lin >> PAGE_BITS ^ lin >> (PAGE_BITS + SOFT_TLB_BITS) << 1) &
	       (SOFT_TLB_ENTRIES - 1);
}

static inline struct soft_tlb_ent *soft_tlb_slot(struct soft_tlb *tlb, enum soft_access access,
						 gva_t lin)
{
	return &tlb->ent[access][soft_tlb_index(lin)];
}

/* Host pointer to `size` bytes at `lin`, or NULL. A page-crossing access never hits. */
static inline uint8_t *soft_tlb_hit_in(struct soft_tlb *tlb, uint64_t gen, gva_t lin, unsigned size,
				       enum soft_access access)
{
	const struct soft_tlb_ent *t = soft_tlb_slot(tlb, access, lin);
	uint64_t last_page = (lin + size - 1) & PAGE_MASK;

	if (likely(__atomic_load_n(&t->tag, __ATOMIC_RELAXED) == (last_page | (gen & 0xfff))))
		return (uint8_t *)(uintptr_t)(lin + t->addend);
	return NULL;
}

static inline uint8_t *soft_tlb_hit(struct soft_cpu *cpu, gva_t lin, unsigned size,
				    enum soft_access access)
{
	return soft_tlb_hit_in(cpu->tlb, access == SOFT_WRITE ? cpu->tlb_wgen : cpu->tlb_gen, lin,
			       size, access);
}

/* The same for an instruction's first byte. */
static inline uint8_t *soft_code_hit(struct soft_cpu *cpu, gva_t lin)
{
	enum soft_view view = soft_code_view(cpu);

	return soft_tlb_hit_in(&cpu->views[view], soft_view_gen(cpu, view), lin, 1, SOFT_EXEC);
}

static inline uint64_t soft_host_load(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)p;
	case 2:
		return *(const volatile uint16_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	default:
		return *(const volatile uint64_t *)p;
	}
}

static inline void soft_host_store(void *p, uint64_t v, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		*(volatile uint16_t *)p = (uint16_t)v;
		break;
	case 4:
		*(volatile uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(volatile uint64_t *)p = v;
	}
}

static inline uint64_t soft_load(struct soft_cpu *cpu, gva_t lin, unsigned size)
{
	const uint8_t *p = soft_tlb_hit(cpu, lin, size, SOFT_READ);

	return likely(p) ? soft_host_load(p, size) : soft_ld_slow(cpu, lin, size);
}

static inline void soft_store(struct soft_cpu *cpu, gva_t lin, uint64_t v, unsigned size)
{
	uint8_t *p = soft_tlb_hit(cpu, lin, size, SOFT_WRITE);

	if (likely(p))
		soft_host_store(p, v, size);
	else
		soft_st_slow(cpu, lin, v, size);
}

/* ---- Operands ---------------------------------------------------------------------------------
 */

/* Linear address of the memory operand; only segmented code pays for checks. */
static inline gva_t op_lin(struct soft_cpu *cpu, const struct soft_op *op, unsigned size,
			   bool write)
{
	const uint64_t *r = cpu->s.gpr;

	if (unlikely(op->flags & SOFT_OP_SEGCHECK))
		return soft_ea_lin(cpu, op, size, write);
	return cpu->segbase[op->seg] +
	       ((r[op->base] + (r[op->index] << op->scale) + (uint64_t)op->disp) & op->ea_mask);
}

/*
 * Host pointer to the memory operand when nothing stands in the way, else NULL: the caller goes on
 * in a function of its own, so that the usual path needs no stack frame.
 */
static inline void *op_fast(struct soft_cpu *cpu, const struct soft_op *op, unsigned size,
			    enum soft_access access)
{
	const uint64_t *r = cpu->s.gpr;

	if (unlikely(op->flags & SOFT_OP_SEGCHECK))
		return NULL;
	return soft_tlb_hit(cpu,
			    cpu->segbase[op->seg] + ((r[op->base] + (r[op->index] << op->scale) +
						      (uint64_t)op->disp) &
						     op->ea_mask),
			    size, access);
}

#define SOFT_SLOW __attribute__((noinline, cold))

/*
 * Define handler `name` that reads its memory operand into `T s` and then does the statements
 * given.
 */
#define SOFT_DEFINE_LOAD_OP(name, T, ...)                                                 \
	static SOFT_SLOW const struct soft_op *name##_slow(struct soft_cpu *cpu,          \
							   const struct soft_op *op)      \
	{                                                                                 \
		T s = (T)op_load(cpu, op, sizeof(T));                                     \
                                                                                          \
		__VA_ARGS__;                                                              \
		return soft_next(cpu, op);                                                \
	}                                                                                 \
	static const struct soft_op *name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                 \
		const volatile T *p = op_fast(cpu, op, sizeof(T), SOFT_READ);             \
                                                                                          \
		if (unlikely(!p))                                                         \
			return name##_slow(cpu, op);                                      \
		T s = *p;                                                                 \
                                                                                          \
		__VA_ARGS__;                                                              \
		return soft_next(cpu, op);                                                \
	}

static inline uint64_t op_load(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	return soft_load(cpu, op_lin(cpu, op, size, false), size);
}

static inline void op_store(struct soft_cpu *cpu, const struct soft_op *op, uint64_t v,
			    unsigned size)
{
	soft_store(cpu, op_lin(cpu, op, size, true), v, size);
}

static inline uint64_t reg_get(struct soft_cpu *cpu, unsigned off, unsigned size)
{
	return soft_host_load(soft_reg(cpu, off), size);
}

/* A 32-bit result clears the upper half (SDM 1 §3.4.1.1). */
static inline void reg_set(struct soft_cpu *cpu, unsigned off, uint64_t v, unsigned size)
{
	if (size == 4)
		soft_host_store(soft_reg(cpu, off), (uint32_t)v, 8);
	else
		soft_host_store(soft_reg(cpu, off), v, size);
}

static inline uint64_t next_ip(const struct soft_cpu *cpu, const struct soft_op *op)
{
	return (op->rip + op->len) & cpu->rip_mask;
}

/* Leave the block for `ip`. */
static inline const struct soft_op *leave_to(struct soft_cpu *cpu, uint64_t ip)
{
	cpu->s.rip = ip;
	return NULL;
}

static inline struct soft_jcache_ent *soft_jcache_slot(struct soft_cpu *cpu, gva_t lin)
{
	return &cpu->jcache[(lin ^ lin >> SOFT_JCACHE_BITS) & ((1u << SOFT_JCACHE_BITS) - 1)];
}

/*
 * Go on at `op`, maybe of another block. Where the compiler makes tail calls, by one, so that each
 * branch has an indirect jump of its own to predict; elsewhere through run_block's loop, so that
 * the stack does not grow.
 */
static inline const struct soft_op *soft_goto(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->op = op;
#if defined(__OPTIMIZE__) && !defined(SOFT_SANITIZED)
	return atomic_load_explicit(&op->fn, memory_order_relaxed)(cpu, op);
#else
	return op;
#endif
}

/* A near branch to `ip`: on to its block if that is at hand and nothing asks, else leave. */
static inline const struct soft_op *soft_branch(struct soft_cpu *cpu, uint64_t ip)
{
	gva_t lin = (cpu->segbase[SEG_CS] + ip) & cpu->rip_mask;
	const struct soft_jcache_ent *j = soft_jcache_slot(cpu, lin);

	if (likely(j->lin == lin && j->key == cpu->chain_key && j->cs_key == cpu->cs_key &&
		   !atomic_load_explicit(&cpu->requests, memory_order_relaxed)))
		return soft_goto(cpu, j->ops);
	return leave_to(cpu, ip);
}

/* ---- Flags -------------------------------------------------------------------------------------
 */

/*
 * What `lahf; seto %al` left in AX: AH = SF ZF - AF - PF - CF, AL = OF. Merge under `mask`.
 */
static inline void flags_merge(struct soft_cpu *cpu, uint32_t ax, uint64_t mask)
{
	uint64_t f = (ax >> 8 & 0xd5) | (ax & 1) << 11;

	cpu->s.rflags = (cpu->s.rflags & ~mask) | (f & mask);
}

static inline void flags_set(struct soft_cpu *cpu, uint32_t ax)
{
	flags_merge(cpu, ax, FLAGS_ARITH);
}

/* The flags of a - b for 1, 2, 4 or 8 bytes (interp_atomic.c). */
void soft_flags_sub(struct soft_cpu *cpu, uint64_t a, uint64_t b, unsigned size);

/* Condition code of Jcc, SETcc, CMOVcc (SDM 1 appendix B). */
static inline bool cc_true(uint64_t f, unsigned cc)
{
	bool r;

	switch (cc >> 1) {
	case 0:
		r = f & FLAG_OF;
		break;
	case 1:
		r = f & FLAG_CF;
		break;
	case 2:
		r = f & FLAG_ZF;
		break;
	case 3:
		r = f & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		r = f & FLAG_SF;
		break;
	case 5:
		r = f & FLAG_PF;
		break;
	case 6:
		r = ((f >> 7) ^ (f >> 11)) & 1;
		break;
	default:
		r = (f & FLAG_ZF) || (((f >> 7) ^ (f >> 11)) & 1);
	}
	return r ^ (cc & 1);
}

/* op->aux of LOOP, LOOPE, LOOPNE. */
enum { SOFT_LOOP_COUNT, SOFT_LOOP_WHILE_ZF, SOFT_LOOP_WHILE_NOT_ZF };
#define SOFT_CC_BAD_TARGET 0x80u /* op->cc: taking this branch is #GP(0) */
/* Where a direct near branch goes, from the IP after it. */
uint64_t soft_branch_target(const struct x86_insn *insn, uint64_t next);

/* Element size of a string instruction. */
static inline unsigned soft_string_size(const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind == X86_OPD_STR_SRC || insn->opd[i].kind == X86_OPD_STR_DST)
			return insn->opd[i].size;
	}
	return insn->opsize;
}

/* ---- Handler selection ---------------------------------------------------------------------- */

/*
 * One function a file: the handler for an instruction of that file's operations. The translator has
 * filled the operand fields of the op; a picker may set imm, cc, aux.
 */
typedef soft_fn (*soft_pick_fn)(struct soft_cpu *cpu, struct soft_op *op,
				const struct x86_insn *insn);
soft_fn soft_pick_alu(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_unary(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_shift(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_muldiv(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_bits(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_move(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_misc(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_atomic(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_flow(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_stack(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_string(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_io(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_flag_ops(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);
soft_fn soft_pick_bcd(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn);

#endif
