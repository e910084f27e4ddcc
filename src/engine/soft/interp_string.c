// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * String instructions: MOVS STOS LODS SCAS CMPS, alone and repeated.
 * Repeated ones go page run by page run on host addresses: long MOVS and STOS upwards by the host's own
 * REP, short ones by plain moves. Registers follow every run, so a fault or an interrupt in the
 * middle restarts where it was. Devices' memory, operands that cross pages, segments with limits and
 * single-stepping go element by element. Source: SDM vol. 2, REP. Threads: the vCPU's own.
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

#define SOFT_APART __attribute__((noinline))

static SOFT_APART void once(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct str st = str_of(cpu, op);
	uint64_t a = 0, b = 0;

	element(cpu, op, &st, &a, &b);
	if (compares(op))
		soft_flags_sub(cpu, a, b, st.size);
}

static const struct soft_op *string_once(struct soft_cpu *cpu, const struct soft_op *op)
{
	once(cpu, op);
	return soft_next(cpu, op);
}

/* ---- Runs inside a page, by the host --------------------------------------------------------- */

#define SHORT_BYTES 256u /* up to here plain moves beat the start of the host's own REP */

/*
 * Copies and fills in general registers. No byte is written twice, and each element by one store, as
 * other CPUs may see it. Ranges that overlap must not have the destination just above the source.
 */
static inline void copy_short(uint8_t *d, const uint8_t *s, uint64_t bytes)
{
	for (; bytes >= 16; bytes -= 16, d += 16, s += 16) {
		uint64_t v = soft_host_load(s, 8), w = soft_host_load(s + 8, 8);

		soft_host_store(d, v, 8);
		soft_host_store(d + 8, w, 8);
	}
	for (unsigned size = 8; size; size >>= 1) {
		if (!(bytes & size))
			continue;
		soft_host_store(d, soft_host_load(s, size), size);
		d += size;
		s += size;
	}
}

static inline void fill_short(uint8_t *d, uint64_t pattern, uint64_t bytes)
{
	for (; bytes >= 16; bytes -= 16, d += 16) {
		soft_host_store(d, pattern, 8);
		soft_host_store(d + 8, pattern, 8);
	}
	for (unsigned size = 8; size; size >>= 1) {
		if (!(bytes & size))
			continue;
		soft_host_store(d, pattern, size);
		d += size;
	}
}

static inline void movs_up(uint8_t *d, const uint8_t *s, uint64_t n, unsigned shift)
{
	uint64_t bytes = n << shift;

	/* Elements that overlap the ones before them repeat a pattern: the host does that right. */
	if (likely(bytes <= SHORT_BYTES && (uintptr_t)d - (uintptr_t)s >= bytes)) {
		copy_short(d, s, bytes);
		return;
	}
	switch (shift) {
	case 0:
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		break;
	case 1:
		__asm__ volatile("rep movsw" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		break;
	case 2:
		__asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		break;
	default:
		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	}
}

static inline void stos_up(uint8_t *d, uint64_t v, uint64_t n, unsigned shift)
{
	static const uint64_t repeat[] = {0x0101010101010101, 0x0001000100010001,
					  0x0000000100000001, 1};
	uint64_t bytes = n << shift;

	if (likely(bytes <= SHORT_BYTES)) {
		v &= ~0ull >> (64 - (8u << shift));
		fill_short(d, v * repeat[shift], bytes);
		return;
	}
	switch (shift) {
	case 0:
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		break;
	case 1:
		__asm__ volatile("rep stosw" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		break;
	default:
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(v) : "memory");
	}
}

/*
 * Loops over elements, one for each size. `d` and `s` are at the first element, step is of bytes. The
 * comparing ones return how many elements were compared, the last of them into a and b.
 */
#define DEFINE_LOOPS(T)                                                                        \
	static void movs_##T(uint8_t *d, const uint8_t *s, uint64_t n, int64_t step)           \
	{                                                                                      \
		for (; n; n--, d += step, s += step)                                           \
			*(volatile T *)d = *(const volatile T *)s;                             \
	}                                                                                      \
	static void stos_##T(uint8_t *d, uint64_t v, uint64_t n, int64_t step)                 \
	{                                                                                      \
		for (; n; n--, d += step)                                                      \
			*(volatile T *)d = (T)v;                                               \
	}                                                                                      \
	static uint64_t scas_##T(const uint8_t *d, uint64_t v, uint64_t n, int64_t step,       \
				 bool until_equal, uint64_t *b)                                \
	{                                                                                      \
		uint64_t i = 0;                                                                \
		T got;                                                                         \
                                                                                               \
		do {                                                                           \
			got = *(const volatile T *)d;                                          \
			d += step;                                                             \
			i++;                                                                   \
		} while (i < n && (got == (T)v) != until_equal);                               \
		*b = got;                                                                      \
		return i;                                                                      \
	}                                                                                      \
	static uint64_t cmps_##T(const uint8_t *d, const uint8_t *s, uint64_t n, int64_t step, \
				 bool until_equal, uint64_t *a, uint64_t *b)                   \
	{                                                                                      \
		uint64_t i = 0;                                                                \
		T x, y;                                                                        \
                                                                                               \
		do {                                                                           \
			y = *(const volatile T *)d;                                            \
			x = *(const volatile T *)s;                                            \
			d += step;                                                             \
			s += step;                                                             \
			i++;                                                                   \
		} while (i < n && (x == y) != until_equal);                                    \
		*a = x;                                                                        \
		*b = y;                                                                        \
		return i;                                                                      \
	}
DEFINE_LOOPS(uint8_t)
DEFINE_LOOPS(uint16_t)
DEFINE_LOOPS(uint32_t)
DEFINE_LOOPS(uint64_t)

static const struct {
	void (*movs)(uint8_t *d, const uint8_t *s, uint64_t n, int64_t step);
	void (*stos)(uint8_t *d, uint64_t v, uint64_t n, int64_t step);
	uint64_t (*scas)(const uint8_t *d, uint64_t v, uint64_t n, int64_t step, bool until_equal,
			 uint64_t *b);
	uint64_t (*cmps)(const uint8_t *d, const uint8_t *s, uint64_t n, int64_t step,
			 bool until_equal, uint64_t *a, uint64_t *b);
} loops[] = {
	{movs_uint8_t, stos_uint8_t, scas_uint8_t, cmps_uint8_t},
	{movs_uint16_t, stos_uint16_t, scas_uint16_t, cmps_uint16_t},
	{movs_uint32_t, stos_uint32_t, scas_uint32_t, cmps_uint32_t},
	{movs_uint64_t, stos_uint64_t, scas_uint64_t, cmps_uint64_t},
};

/* Elements of a run from `lin`, offset `off`: to the page's end, and to that of the address size. */
static uint64_t run_length(gva_t lin, uint64_t off, const struct str *st, unsigned shift)
{
	uint64_t in_page = lin & ~PAGE_MASK, wrap = st->mask - off;

	if ((int64_t)st->step < 0) {
		if (in_page + st->size > PAGE_BYTES || wrap < st->size - 1)
			return 0;
		return min_u64(in_page >> shift, off >> shift) + 1;
	}
	/* Of the last element all bytes must be below the end; `wrap` + 1 are. */
	return min_u64((PAGE_BYTES - in_page) >> shift,
		       wrap >= PAGE_BYTES ? PAGE_BYTES : (wrap + 1) >> shift);
}

/* Host address of the lowest byte of a run, which is at `lin` upwards or downwards. */
static uint8_t *run_ptr(struct soft_cpu *cpu, gva_t lin, uint64_t n, const struct str *st,
			bool write)
{
	bool down = (int64_t)st->step < 0;
	uint64_t back = down ? (n - 1) * st->size : 0;
	uint8_t *p;

	/* A fault is that of the first element. */
	if (back && !soft_ptr(cpu, lin, st->size, !write, write))
		return NULL;
	p = soft_ptr(cpu, lin - back, (unsigned)(n * st->size), !write, write);
	return p ? p + back : NULL;
}

static void run_movs(uint8_t *d, const uint8_t *s, uint64_t n, const struct str *st, unsigned shift)
{
	if ((int64_t)st->step > 0)
		movs_up(d, s, n, shift);
	else
		loops[shift].movs(d, s, n, (int64_t)st->step);
}

static void run_stos(uint8_t *d, uint64_t v, uint64_t n, const struct str *st, unsigned shift)
{
	if ((int64_t)st->step > 0)
		stos_up(d, v, n, shift);
	else
		loops[shift].stos(d, v, n, (int64_t)st->step);
}

#define OP(name) (X86_OP_##name - X86_OP_MOVS) /* as in op->aux */

/*
 * Up to `count` elements by host addresses; 0 when they must go one by one. A fault may come before
 * the first of them only.
 */
static uint64_t host_run(struct soft_cpu *cpu, const struct soft_op *op, const struct str *st,
			 uint64_t count, uint64_t *a, uint64_t *b)
{
	bool src = op->aux == OP(MOVS) || op->aux == OP(LODS) || op->aux == OP(CMPS);
	bool dst = op->aux != OP(LODS), until_equal = op->flags & SOFT_OP_REPNE;
	uint64_t di = index_get(cpu, R_RDI, st), si = index_get(cpu, R_RSI, st), n = count;
	gva_t d = cpu->segbase[SEG_ES] + di, s = cpu->segbase[op->seg] + si;
	uint8_t *to = NULL, *from = NULL;
	unsigned shift = op->cc;

	if ((op->flags & SOFT_OP_SEGCHECK) || (cpu->mode & (SOFT_MODE_STEP | SOFT_MODE_AC)))
		return 0;
	if (src)
		n = min_u64(n, run_length(s, si, st, shift));
	if (dst)
		n = min_u64(n, run_length(d, di, st, shift));
	if (!n)
		return 0;
	/* CMPS reads the destination first. */
	if (op->aux == OP(CMPS) && !(to = run_ptr(cpu, d, n, st, false)))
		return 0;
	if (src && !(from = run_ptr(cpu, s, n, st, false)))
		return 0;
	if (dst && !to && !(to = run_ptr(cpu, d, n, st, op->aux <= OP(STOS))))
		return 0;
	switch (op->aux) {
	case OP(MOVS):
		run_movs(to, from, n, st, shift);
		break;
	case OP(STOS):
		run_stos(to, cpu->s.gpr[R_RAX], n, st, shift);
		break;
	case OP(LODS):
		reg_set(cpu, 8 * R_RAX, soft_host_load(from + (n - 1) * st->step, st->size),
			st->size);
		break;
	case OP(SCAS):
		*a = reg_get(cpu, 8 * R_RAX, st->size);
		n = loops[shift].scas(to, *a, n, (int64_t)st->step, until_equal, b);
		break;
	default:
		n = loops[shift].cmps(to, from, n, (int64_t)st->step, until_equal, a, b);
	}
	if (src)
		index_add(cpu, R_RSI, n * st->step, st);
	if (dst)
		index_add(cpu, R_RDI, n * st->step, st);
	return n;
}

/* ---- Runs with device memory ------------------------------------------------------------------ */

#define DEVICE_RUN 256u /* elements; the VM lock is held meanwhile */

/* Where a run begins: a host address, or device memory. False: neither. */
static bool run_at(struct soft_cpu *cpu, gva_t lin, uint64_t n, const struct str *st, bool write,
		   uint8_t **host, gpa_t *gpa)
{
	*host = run_ptr(cpu, lin, n, st, write);
	return *host || soft_device_at(cpu, lin, st->size, write ? SOFT_WRITE : SOFT_READ, gpa);
}

/* As host_run(), where a device is at one end of MOVS or STOS. */
static uint64_t device_run(struct soft_cpu *cpu, const struct soft_op *op, const struct str *st,
			   uint64_t count)
{
	bool src = op->aux == OP(MOVS);
	uint64_t di = index_get(cpu, R_RDI, st), si = index_get(cpu, R_RSI, st);
	gva_t d = cpu->segbase[SEG_ES] + di, s = cpu->segbase[op->seg] + si;
	uint64_t n = min_u64(min_u64(count, DEVICE_RUN), run_length(d, di, st, op->cc));
	struct engine_string es = {.reads = src,
				   .value = cpu->s.gpr[R_RAX],
				   .size = st->size,
				   .step = (int64_t)st->step};

	if ((!src && op->aux != OP(STOS)) || (op->flags & SOFT_OP_SEGCHECK) ||
	    (cpu->mode & (SOFT_MODE_STEP | SOFT_MODE_AC)) || cpu->check)
		return 0;
	if (src)
		n = min_u64(n, run_length(s, si, st, op->cc));
	if (n < 2)
		return 0;
	if (src && !run_at(cpu, s, n, st, false, &es.from, &es.from_gpa))
		return 0;
	if (!run_at(cpu, d, n, st, true, &es.to, &es.to_gpa) || (es.to && (es.from || !src)))
		return 0;
	es.n = n;
	n = soft_mmio_string(cpu, &es);
	if (src)
		index_add(cpu, R_RSI, n * st->step, st);
	index_add(cpu, R_RDI, n * st->step, st);
	return n;
}

/* ---- Repetition ----------------------------------------------------------------------------- */

static bool ends_on_compare(const struct soft_op *op, uint64_t a, uint64_t b)
{
	if (!compares(op))
		return false;
	return op->flags & SOFT_OP_REPNE ? a == b : a != b;
}

/*
 * In 64-bit mode with 32-bit addresses Intel's processors clear the upper half of the counter before anything else,
 * MOVS and STOS those of their addresses, too; AMD's as the registers move.
 */
static void narrow_first(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t *r = cpu->s.gpr;

	r[R_RCX] = (uint32_t)r[R_RCX];
	if (op->aux == OP(MOVS))
		r[R_RSI] = (uint32_t)r[R_RSI];
	if (op->aux == OP(MOVS) || op->aux == OP(STOS))
		r[R_RDI] = (uint32_t)r[R_RDI];
}

/*
 * False: leave for this same instruction. Apart from the handler, whose tail call must not find locals
 * that something may point to: the stack would grow.
 */
static SOFT_APART bool repeat(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct str st = str_of(cpu, op);
	uint64_t a = 0, b = 0, done = 0, count = index_get(cpu, R_RCX, &st);
	bool step = cpu->mode & SOFT_MODE_STEP, intel = soft_intel(cpu);
	bool more = count != 0;

	if (intel && op->addrsize == 4 && soft_mode64(cpu))
		narrow_first(cpu, op);
	while (more) {
		uint64_t n = host_run(cpu, op, &st, count, &a, &b);

		if (!n)
			n = device_run(cpu, op, &st, count);
		if (!n) {
			element(cpu, op, &st, &a, &b);
			n = 1;
		}
		count -= n;
		done += n;
		index_add(cpu, R_RCX, 0 - n, &st);
		more = count && !ends_on_compare(op, a, b);
		/* A later element may fault: AMD's processors keep the flags so far, Intel's those of before (SDM 2B REP). */
		if (compares(op) && (!intel || !more))
			soft_flags_sub(cpu, a, b, st.size);
		if (more && step) {
			/* What traps now pushes RF on Intel's (SDM 3B §17.3.1.1). */
			if (intel)
				cpu->s.rflags |= FLAG_RF;
			return false;
		}
		if (more && done >= 64 &&
		    atomic_load_explicit(&cpu->requests, memory_order_relaxed))
			return false;
	}
	return true;
}

static const struct soft_op *string_rep(struct soft_cpu *cpu, const struct soft_op *op)
{
	return repeat(cpu, op) ? soft_next(cpu, op) : leave_to(cpu, op->rip);
}

/*
 * The usual: 64-bit mode, upwards, everything in one page with TLB entries. Under SOFT_MODE_AC nothing
 * hits. False: not so, nothing done.
 */
static inline bool usual(const struct soft_cpu *cpu, uint64_t count)
{
	return likely(count - 1 < PAGE_BYTES && !(cpu->s.rflags & FLAG_DF) &&
		      (cpu->mode & (SOFT_MODE_CS64 | SOFT_MODE_STEP)) == SOFT_MODE_CS64);
}

static const struct soft_op *rep_movs_64(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t *r = cpu->s.gpr, count = r[R_RCX], bytes = count << op->cc;

	if (usual(cpu, count) && likely(bytes <= PAGE_BYTES)) {
		gva_t s = cpu->segbase[op->seg] + r[R_RSI], d = cpu->segbase[SEG_ES] + r[R_RDI];
		const uint8_t *from = soft_tlb_hit(cpu, s, (unsigned)bytes, SOFT_READ);
		uint8_t *to = soft_tlb_hit(cpu, d, (unsigned)bytes, SOFT_WRITE);

		if (likely(from && to)) {
			movs_up(to, from, count, op->cc);
			r[R_RSI] += bytes;
			r[R_RDI] += bytes;
			r[R_RCX] = 0;
			return soft_next(cpu, op);
		}
	}
	return string_rep(cpu, op);
}

static const struct soft_op *rep_stos_64(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t *r = cpu->s.gpr, count = r[R_RCX], bytes = count << op->cc;

	if (usual(cpu, count) && likely(bytes <= PAGE_BYTES)) {
		gva_t d = cpu->segbase[SEG_ES] + r[R_RDI];
		uint8_t *to = soft_tlb_hit(cpu, d, (unsigned)bytes, SOFT_WRITE);

		if (likely(to)) {
			stos_up(to, r[R_RAX], count, op->cc);
			r[R_RDI] += bytes;
			r[R_RCX] = 0;
			return soft_next(cpu, op);
		}
	}
	return string_rep(cpu, op);
}

static unsigned log2_of(unsigned size)
{
	return size == 8 ? 3 : size >> 1;
}

soft_fn soft_pick_string(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	op->opsize = (uint8_t)soft_string_size(insn);
	op->aux = (uint8_t)(insn->op - X86_OP_MOVS);
	op->cc = (uint8_t)log2_of(op->opsize);
	if (!(op->flags & (SOFT_OP_REP | SOFT_OP_REPNE)))
		return string_once;
	if (op->ea_mask == ~0ull && op->aux <= OP(STOS))
		return op->aux == OP(MOVS) ? rep_movs_64 : rep_stos_64;
	return string_rep;
}
