// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * String instructions: MOVS STOS LODS SCAS CMPS, alone and repeated.
 * Repeated MOVS and STOS upwards run as the host's own, page run by page run. Registers follow
 * every completed element, so a fault or an interrupt in the middle restarts where it was. Flags of
 * a repeated CMPS or SCAS are written only when it ends (SDM vol. 2, REP). Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"

/* The element at hand. */
struct str {
	uint64_t mask; /* of the address size */
	unsigned size;
	uint64_t step; /* +size or -size */
};

static inline struct str str_of(const struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t size = op->opsize;

	return (struct str){.mask = op->ea_mask,
			    .size = op->opsize,
			    .step = cpu->s.rflags & FLAG_DF ? 0 - size : size};
}

static inline gva_t str_lin(struct soft_cpu *cpu, const struct soft_op *op, unsigned seg,
			    uint64_t off, unsigned size, bool write)
{
	bool beyond = !soft_mode64(cpu) && off + size > 0x100000000ull;

	if (unlikely((op->flags & SOFT_OP_SEGCHECK) || beyond))
		return soft_lin(cpu, seg, off, size, write);
	return cpu->segbase[seg] + off;
}

static inline uint64_t index_get(struct soft_cpu *cpu, unsigned reg, const struct str *st)
{
	return cpu->s.gpr[reg] & st->mask;
}

static inline void index_add(struct soft_cpu *cpu, unsigned reg, uint64_t by, const struct str *st)
{
	uint64_t *r = &cpu->s.gpr[reg], v = (*r + by) & st->mask;

	*r = st->mask == 0xffff ? (*r & ~st->mask) | v : v;
}

/* ---- One element ---------------------------------------------------------------------------- */

static uint64_t load_src(struct soft_cpu *cpu, const struct soft_op *op, const struct str *st)
{
	return soft_load(cpu, str_lin(cpu, op, op->seg, index_get(cpu, R_RSI, st), st->size, false),
			 st->size);
}

static gva_t dst_lin(struct soft_cpu *cpu, const struct soft_op *op, const struct str *st,
		     bool write)
{
	return str_lin(cpu, op, SEG_ES, index_get(cpu, R_RDI, st), st->size, write);
}

/* Do one element; for SCAS and CMPS the operands compared go to a and b. */
static void element(struct soft_cpu *cpu, const struct soft_op *op, const struct str *st,
		    uint64_t *a, uint64_t *b)
{
	switch (op->aux) {
	case X86_OP_MOVS - X86_OP_MOVS:
		soft_store(cpu, dst_lin(cpu, op, st, true), load_src(cpu, op, st), st->size);
		index_add(cpu, R_RSI, st->step, st);
		index_add(cpu, R_RDI, st->step, st);
		break;
	case X86_OP_STOS - X86_OP_MOVS:
		soft_store(cpu, dst_lin(cpu, op, st, true), cpu->s.gpr[R_RAX], st->size);
		index_add(cpu, R_RDI, st->step, st);
		break;
	case X86_OP_LODS - X86_OP_MOVS:
		reg_set(cpu, 8 * R_RAX, load_src(cpu, op, st), st->size);
		index_add(cpu, R_RSI, st->step, st);
		break;
	case X86_OP_SCAS - X86_OP_MOVS:
		*a = reg_get(cpu, 8 * R_RAX, st->size);
		*b = soft_load(cpu, dst_lin(cpu, op, st, false), st->size);
		index_add(cpu, R_RDI, st->step, st);
		break;
	default: /* CMPS; processors read ES:rDI first */
		*b = soft_load(cpu, dst_lin(cpu, op, st, false), st->size);
		*a = load_src(cpu, op, st);
		index_add(cpu, R_RSI, st->step, st);
		index_add(cpu, R_RDI, st->step, st);
	}
}

static inline bool compares(const struct soft_op *op)
{
	return op->aux >= X86_OP_SCAS - X86_OP_MOVS;
}

static const struct soft_op *string_once(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct str st = str_of(cpu, op);
	uint64_t a = 0, b = 0;

	element(cpu, op, &st, &a, &b);
	if (compares(op))
		soft_flags_sub(cpu, a, b, st.size);
	return soft_next(cpu, op);
}

/* ---- Runs inside a page --------------------------------------------------------------------- */

/* Elements from offset `off` upwards before a page end or the end of the address size. */
static uint64_t run_length(gva_t lin, uint64_t off, const struct str *st)
{
	uint64_t page = (PAGE_BYTES - (lin & 0xfff)) / st->size;
	uint64_t wrap = st->mask - off;

	return wrap == ~0ull ? page
			     : min_u64(page, wrap / st->size + (wrap % st->size == st->size - 1));
}

static void host_movs(uint8_t *d, const uint8_t *s, uint64_t n, unsigned size)
{
	switch (size) {
	case 1:
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		break;
	case 2:
		__asm__ volatile("rep movsw" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		break;
	case 4:
		__asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		break;
	default:
		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	}
}

static void host_stos(uint8_t *d, uint64_t v, uint64_t n, unsigned size)
{
	switch (size) {
	case 1:
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosw" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		break;
	case 4:
		__asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		break;
	default:
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(v) : "memory");
	}
}

/* Up to `count` elements of MOVS or STOS by the host; 0 when they must go one by one. */
static uint64_t host_run(struct soft_cpu *cpu, const struct soft_op *op, const struct str *st,
			 uint64_t count)
{
	bool movs = op->aux == 0;
	uint64_t di = index_get(cpu, R_RDI, st), si = index_get(cpu, R_RSI, st);
	gva_t d = cpu->segbase[SEG_ES] + di, s = cpu->segbase[op->seg] + si;
	uint64_t n = min_u64(count, run_length(d, di, st));
	uint8_t *to, *from = NULL;

	if (op->aux > X86_OP_STOS - X86_OP_MOVS || (op->flags & SOFT_OP_SEGCHECK) ||
	    (cpu->s.rflags & FLAG_DF) || (cpu->mode & (SOFT_MODE_STEP | SOFT_MODE_AC)))
		return 0;
	if (movs)
		n = min_u64(n, run_length(s, si, st));
	if (!n)
		return 0;
	if (movs) {
		from = soft_ptr(cpu, s, (unsigned)(n * st->size), true, false);
		if (!from)
			return 0;
	}
	to = soft_ptr(cpu, d, (unsigned)(n * st->size), false, true);
	if (!to)
		return 0;
	if (movs) {
		host_movs(to, from, n, st->size);
		index_add(cpu, R_RSI, n * st->size, st);
	} else {
		host_stos(to, cpu->s.gpr[R_RAX], n, st->size);
	}
	index_add(cpu, R_RDI, n * st->size, st);
	return n;
}

/* ---- Repetition ----------------------------------------------------------------------------- */

static bool ends_on_compare(const struct soft_op *op, uint64_t a, uint64_t b)
{
	if (!compares(op))
		return false;
	return op->flags & SOFT_OP_REPNE ? a == b : a != b;
}

static const struct soft_op *string_rep(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct str st = str_of(cpu, op);
	uint64_t a = 0, b = 0, done = 0, count = index_get(cpu, R_RCX, &st);
	bool step = cpu->mode & SOFT_MODE_STEP;

	while (count) {
		uint64_t n = host_run(cpu, op, &st, count);

		if (!n) {
			element(cpu, op, &st, &a, &b);
			/* A later element may fault: AMD processors keep the flags so far. */
			if (compares(op))
				soft_flags_sub(cpu, a, b, st.size);
			n = 1;
		}
		count -= n;
		done += n;
		index_add(cpu, R_RCX, 0 - n, &st);
		if (ends_on_compare(op, a, b))
			break;
		if (count && (step || (atomic_load_explicit(&cpu->requests, memory_order_relaxed) &&
				       done >= 64)))
			return leave_to(cpu, op->rip);
	}
	return soft_next(cpu, op);
}

soft_fn soft_pick_string(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	op->opsize = (uint8_t)soft_string_size(insn);
	op->aux = (uint8_t)(insn->op - X86_OP_MOVS);
	return op->flags & (SOFT_OP_REP | SOFT_OP_REPNE) ? string_rep : string_once;
}
