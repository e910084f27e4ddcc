// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host code for a block that is there at another linear address: a program or library mapped anew
 * (ASLR). It is copied, and what depends on the address is fixed, which costs a fraction of a translation.
 * Threads: the vCPU that runs it, with the cache lock.
 *
 * Two blocks are kin if they have the same place in guest memory, mode and code segment, so the same bytes as
 * long as both are valid; their linear addresses differ by whole pages. What the translator asks of an
 * address is then the same for both (is a target in this page, does a range cross one), but for its size: a
 * constant that another form of instruction would load is not copied. Only 64-bit code of one page is.
 *
 * The emitter notes where its code holds such values (jit_xlat.h): struct jit_fix.
 */
#include "engine/soft/jit_xlat.h"
#include "engine/soft/perfmap.h"

/* Direct branches reach so far, and one outside of the canonical range is no branch (SOFT_CC_BAD_TARGET). */
#define REACH (1ull << 32)

/* ---- Noting --------------------------------------------------------------------------------- */

/* Bytes of the address in `at`'s instruction follow. */
void jit_note(struct xlat *x, uint32_t at, enum jit_fix_kind kind)
{
	bool cold = at >= x->jc->split;
	uint32_t start = cold ? x->cold_head : x->head;

	if (x->nfix == JIT_MAX_FIXES) {
		x->fixed = true;
		return;
	}
	x->fix[x->nfix++] = (struct jit_fix){(uint16_t)(at - start), (uint8_t)kind, cold};
}

void jit_note_jump(struct xlat *x, uint32_t at, uint32_t target)
{
	bool from_cold = at >= x->jc->split, to_cold = target >= x->jc->split;

	if (target < x->jc->stubs_end)
		jit_note(x, at, JIT_FIX_TO_STUB);
	else if (from_cold != to_cold)
		jit_note(x, at, JIT_FIX_ACROSS);
}

void jit_mov_moving(struct xlat *x, unsigned reg, uint64_t v)
{
	em_mov_imm(&x->e, reg, v);
	if (v <= 0xffffffff)
		jit_note(x, x->e.pos - 4, JIT_FIX_ZERO_EXTENDED);
	else if ((int64_t)v == (int32_t)v)
		jit_note(x, x->e.pos - 4, JIT_FIX_SIGN_EXTENDED);
	else
		jit_note(x, x->e.pos - 8, JIT_FIX_WHOLE);
}

void jit_mov_moving32(struct xlat *x, unsigned reg, uint32_t v)
{
	em_mov_imm(&x->e, reg, v);
	jit_note(x, x->e.pos - 4, JIT_FIX_CUT);
}

/* ---- Copying -------------------------------------------------------------------------------- */

struct move {
	struct jit_cache *jc;
	uint64_t by;	    /* linear addresses are more by this, ... */
	uint32_t hot, cold; /* and offsets in the two halves of the code memory */
	uint64_t old, now;  /* the last address fixed: entries of the table are by it */
};

static uint32_t moved(const struct move *m, uint32_t off)
{
	return off < m->jc->stubs_end ? off : off + (off < m->jc->split ? m->hot : m->cold);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return v;
}

static void add32(uint8_t *p, uint32_t n)
{
	uint32_t v = get32(p) + n;

	__builtin_memcpy(p, &v, 4);
}

/* Is it loaded by the same form, and does the translator see it on the same side of 2 GiB? */
static bool same_form(uint64_t a, uint64_t b)
{
	bool small_a = a <= 0xffffffff, small_b = b <= 0xffffffff;
	bool near_a = (int64_t)a == (int32_t)a, near_b = (int64_t)b == (int32_t)b;

	return small_a == small_b && near_a == near_b;
}

/* A constant that is an address. */
static bool fix_address(struct move *m, uint8_t *p, enum jit_fix_kind kind)
{
	if (kind == JIT_FIX_WHOLE)
		__builtin_memcpy(&m->old, p, 8);
	else if (kind == JIT_FIX_SIGN_EXTENDED)
		m->old = (uint64_t)(int64_t)(int32_t)get32(p);
	else
		m->old = get32(p);
	m->now = m->old + m->by;
	if (!same_form(m->old, m->now))
		return false;
	__builtin_memcpy(p, &m->now, kind == JIT_FIX_WHOLE ? 8 : 4);
	return true;
}

/* The displacement of the word for the target's page in the space's table. */
static void fix_exec(const struct move *m, uint8_t *p)
{
	uint32_t first =
		(uint32_t)(offsetof(struct soft_space, exec) - offsetof(struct soft_space, win));
	uint32_t page = (get32(p) - first) / 8 + (uint32_t)(m->by >> PAGE_BITS);
	uint32_t v = first + 8 * (page & (SOFT_WINDOWS - 1));

	__builtin_memcpy(p, &v, 4);
}

static bool fix(struct move *m, const struct jit_block *from, const struct jit_fix *f)
{
	uint32_t at = moved(m, (f->cold ? from->cold : from->code) - 8 + f->at);
	uint8_t *p = m->jc->rw + at;

	switch ((enum jit_fix_kind)f->kind) {
	case JIT_FIX_ACROSS:
		add32(p, f->cold ? m->hot - m->cold : m->cold - m->hot);
		return true;
	case JIT_FIX_TO_STUB:
		add32(p, 0 - (f->cold ? m->cold : m->hot));
		return true;
	case JIT_FIX_CUT:
		add32(p, (uint32_t)m->by);
		return true;
	case JIT_FIX_TABLE:
		add32(p, (jit_jc_index(m->now) - jit_jc_index(m->old)) *
				 (uint32_t)sizeof(struct soft_jit_jc));
		return true;
	case JIT_FIX_EXEC:
		fix_exec(m, p);
		return true;
	default:
		return fix_address(m, p, (enum jit_fix_kind)f->kind);
	}
}

static void *rebased(const struct jit_block *from, struct jit_block *jb, void *p)
{
	return p ? (uint8_t *)jb + ((uint8_t *)p - (const uint8_t *)from) : NULL;
}

/* A link of the copy, not made yet. */
static void move_link(const struct move *m, struct jit_block *jb, struct jit_link *l)
{
	struct jit_cache *jc = m->jc;

	l->from = jb;
	l->to = NULL;
	l->next_in = NULL;
	l->at_in = NULL;
	l->ip += m->by;
	l->rel = moved(m, l->rel);
	l->stub = moved(m, l->stub);
	if (l->inner)
		l->inner = moved(m, l->inner);
	if (l->word) {
		l->word = moved(m, l->word);
		*(uint64_t *)(void *)(jc->rw + l->word) = ~0ull;
	}
	em_patch_rel(jc->rw, l->rel, l->inner && !jc->come_back ? l->inner : l->stub);
}

/* The block's metadata, which is one piece. */
static struct jit_block *move_info(const struct move *m, const struct jit_block *from)
{
	struct jit_block *jb = jit_meta_alloc(m->jc, from->info_bytes);

	gp_memcpy(jb, from, from->info_bytes);
	jb->code = moved(m, from->code);
	jb->body = moved(m, from->body);
	jb->pad = moved(m, from->pad);
	jb->checked = moved(m, from->checked);
	jb->cold = moved(m, from->cold);
	jb->end = moved(m, from->end);
	jb->cold_end = moved(m, from->cold_end);
	jb->ip += m->by;
	jb->dead = false;
	jb->crossings = 0;
	jb->in = NULL;
	jb->older = jb->entries = jb->next_entry = NULL;
	jb->links = rebased(from, jb, from->links);
	jb->rip = rebased(from, jb, from->rip);
	jb->off = rebased(from, jb, from->off);
	jb->ids = rebased(from, jb, from->ids);
	jb->fix = rebased(from, jb, from->fix);
	jb->flags = rebased(from, jb, from->flags);
	for (unsigned i = 0; i <= jb->nops; i++)
		jb->off[i] += m->hot;
	for (unsigned i = 0; i < jb->nlinks; i++)
		move_link(m, jb, &jb->links[i]);
	return jb;
}

static bool far_from_edges(uint64_t ip)
{
	return soft_canonical(ip - REACH) && soft_canonical(ip + REACH);
}

/* A copy `by` further, which nobody has yet; or NULL. */
static struct jit_block *copy(struct jit_cache *jc, const struct jit_block *from, uint64_t by)
{
	uint32_t hot = jit_next_head(&jc->hot) + 8, cold = jit_next_head(&jc->cold) + 8;
	struct move m = {.jc = jc, .by = by, .hot = hot - from->code, .cold = cold - from->cold};

	if (from->fixed || from->dead || jit_full(jc) || !far_from_edges(from->ip) ||
	    !far_from_edges(from->ip + by))
		return NULL;
	gp_memcpy(jc->rw + hot, jc->rw + from->code, from->len);
	gp_memcpy(jc->rw + cold, jc->rw + from->cold, from->cold_end - from->cold);
	for (unsigned i = 0; i < from->nfix; i++) {
		if (!fix(&m, from, &from->fix[i]))
			return NULL;
	}
	return move_info(&m, from);
}

/* The block `b`, whose kin is `from`, has this code from now on. */
static void adopt(struct soft_cpu *cpu, struct soft_block *b, const struct soft_block *from,
		  struct jit_block *jb)
{
	struct jit_cache *jc = cpu->e->jit;

	jb->sb = b;
	b->lone = from->lone;
	soft_cache_add_lines(cpu->e->cache, b, from->lines[0]);
	jit_commit(jc, jb->code - 8, jb, jb->code + jb->len);
	jit_commit(jc, jb->cold - 8, jb, jb->cold_end);
	b->jit = jb;
	soft_cache_note_jit(cpu->e->cache, b);
	soft_cache_sweep(cpu->e->cache);
	SOFT_COUNT(cpu, jit_copies);
	SOFT_COUNT_ADD(cpu, jit_copied_insns, jb->nops);
	SOFT_COUNT_ADD(cpu, jit_bytes, jb->len + jb->cold_end - jb->cold);
}

static void tell(struct soft_cpu *cpu, const struct jit_block *jb)
{
	if (jb)
		soft_perf_add_block(cpu->e->perf, jb->sb, cpu->e->jit->rx + jb->code, jb->len);
}

struct jit_block *jit_copy_for(struct soft_cpu *cpu, struct soft_block *b)
{
	struct soft_cache *c = cpu->e->cache;
	struct jit_block *jb = NULL;
	const struct soft_block *from;

	if (log_on(LOG_OUT_ASM))
		return NULL;
	soft_cache_lock(c);
	from = soft_cache_kin(c, b->backing, b->mode, b->cs_key);
	if (from && from->nops == b->nops && from->lone == b->lone && b->page[1] == SOFT_NO_PAGE &&
	    !b->jit && atomic_load(&b->valid))
		jb = copy(cpu->e->jit, from->jit, b->lin - from->lin);
	if (jb)
		adopt(cpu, b, from, jb);
	soft_cache_unlock(c);
	tell(cpu, jb);
	return jb;
}

struct soft_block *jit_copy_block(struct soft_cpu *cpu, gva_t lin, uint64_t backing)
{
	uint64_t start = __builtin_ia32_rdtsc();
	struct soft_cache *c = cpu->e->cache;
	const struct soft_block *from;
	struct soft_block *b = NULL;
	struct jit_block *jb = NULL;

	soft_cache_lock(c);
	from = soft_cache_kin(c, backing, cpu->mode, cpu->cs_key);
	if (from && from->lin != lin)
		jb = copy(cpu->e->jit, from->jit, lin - from->lin);
	if (jb)
		b = soft_cache_add_entry(c, from, lin, backing);
	if (b) {
		b->nops = from->nops;
		adopt(cpu, b, from, jb);
	}
	soft_cache_unlock(c);
	if (b) {
		SOFT_COUNT_ADD(cpu, copy_ns, __builtin_ia32_rdtsc() - start);
		tell(cpu, jb);
	}
	return b;
}
