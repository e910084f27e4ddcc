// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memory of generated code: one memfd mapped twice (W^X), metadata, links between blocks.
 * Threads and locks: jit_int.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/soft/codemem.h"
#include "engine/soft/jit_xlat.h"

#define META_SHARE 2u /* bytes of metadata address space per byte of code */

/* ---- Life ----------------------------------------------------------------------------------- */

struct jit_cache *jit_cache_new(struct soft_engine *e, unsigned mib, struct lodge_err *err)
{
	struct jit_cache *jc = calloc(1, sizeof(*jc));

	if (!jc) {
		err_set(err, -ENOMEM, "no memory for the translator");
		return NULL;
	}
	jc->e = e;
	jc->bytes = mib << 20;
	jc->meta_bytes = (size_t)jc->bytes * META_SHARE;
	jc->meta = soft_map_tables(jc->meta_bytes, false);
	jc->starts = soft_map_tables(jc->bytes / JIT_ALIGN / 8, false);
	if (soft_code_map(jc->bytes, &jc->rw, &jc->rx) < 0 || !jc->meta || !jc->starts) {
		err_set(err, -errno,
			"cannot map %u MiB for generated code: %s; does a security policy forbid "
			"executable memory? (tb-size= of -accel soft makes it smaller, tier=1 "
			"does without)",
			mib, strerror(errno));
		jit_cache_free(jc);
		return NULL;
	}
	soft_ahead_map(&e->ahead, AHEAD_HOT, jc->rw, jc->rx);
	soft_ahead_map(&e->ahead, AHEAD_COLD, jc->rw, jc->rx);
	soft_ahead_map(&e->ahead, AHEAD_INFO, jc->meta, NULL);
	jc->come_back = log_on(LOG_EXEC) || e->cfg.soft.check;
	jit_emit_stubs(jc);
	return jc;
}

void jit_cache_free(struct jit_cache *jc)
{
	if (!jc)
		return;
	soft_code_unmap(jc->bytes, jc->rw, jc->rx);
	soft_unmap_tables(jc->meta, jc->meta_bytes);
	soft_unmap_tables(jc->starts, jc->bytes / JIT_ALIGN / 8);
	free(jc);
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static struct jit_range range_of(size_t from, size_t bytes, unsigned part)
{
	size_t start = from + bytes / JIT_PARTS * part;

	return (struct jit_range){start, start, start + bytes / JIT_PARTS};
}

static void clear_starts(struct jit_cache *jc, const struct jit_range *r)
{
	gp_memset(jc->starts + r->start / JIT_ALIGN / 8, 0, (r->end - r->start) / JIT_ALIGN / 8);
}

void jit_cache_use_part(struct jit_cache *jc, unsigned part)
{
	jc->hot = range_of(0, jc->split, part);
	jc->cold = range_of(jc->split, jc->split, part);
	jc->info = range_of(0, jc->meta_bytes, part);
	soft_ahead_begin(&jc->e->ahead, AHEAD_HOT, jc->hot.start, jc->hot.end);
	soft_ahead_begin(&jc->e->ahead, AHEAD_COLD, jc->cold.start, jc->cold.end);
	soft_ahead_begin(&jc->e->ahead, AHEAD_INFO, jc->info.start, jc->info.end);
	clear_starts(jc, &jc->hot);
	clear_starts(jc, &jc->cold);
	if (jc->hot.used < jc->stubs_end)
		jc->hot.used = jc->stubs_end;
}

static bool has_room(const struct jit_range *r)
{
	return r->used + JIT_MAX_BYTES <= r->end;
}

bool jit_full(const struct jit_cache *jc)
{
	return !has_room(&jc->hot) || !has_room(&jc->cold) || !has_room(&jc->info);
}

static size_t used_of(const struct jit_range *r, size_t whole)
{
	return (r->used - r->start) * whole / (r->end - r->start - JIT_MAX_BYTES);
}

size_t jit_used(const struct jit_cache *jc, size_t whole)
{
	size_t code = max_u64(used_of(&jc->hot, whole), used_of(&jc->cold, whole));

	return min_u64(max_u64(code, used_of(&jc->info, whole)), whole);
}

void *jit_meta_alloc(struct jit_cache *jc, size_t bytes)
{
	void *p = jc->meta + jc->info.used;

	jc->info.used += align_up(bytes, 8);
	assert(jc->info.used <= jc->info.end);
	soft_ahead_used(&jc->e->ahead, AHEAD_INFO, jc->info.used);
	return p;
}

/* ---- Which code an address is in ------------------------------------------------------------ */

void jit_commit(struct jit_cache *jc, uint32_t head, struct jit_block *jb, uint32_t end)
{
	uint32_t unit = (head + 8) / JIT_ALIGN;

	*(struct jit_block **)(void *)(jc->rw + head) = jb;
	__atomic_fetch_or(&jc->starts[unit / 8], (uint8_t)(1u << unit % 8), __ATOMIC_RELEASE);
	if (head < jc->split) {
		jc->hot.used = end;
		soft_ahead_used(&jc->e->ahead, AHEAD_HOT, end);
	} else {
		jc->cold.used = end;
		soft_ahead_used(&jc->e->ahead, AHEAD_COLD, end);
	}
}

struct jit_block *jit_block_of(const struct jit_cache *jc, uint64_t pc)
{
	uint64_t off = pc - (uint64_t)(uintptr_t)jc->rx;

	if (off >= jc->bytes || off < jc->stubs_end)
		return NULL;
	for (uint64_t unit = off / JIT_ALIGN; unit > 0; unit--) {
		if (!(__atomic_load_n(&jc->starts[unit / 8], __ATOMIC_ACQUIRE) >> unit % 8 & 1))
			continue;
		return *(struct jit_block **)(void *)(jc->rw + unit * JIT_ALIGN - 8);
	}
	return NULL;
}

/* ---- Links ---------------------------------------------------------------------------------- */

static void link_in(struct jit_link *l, struct jit_block *to)
{
	l->to = to;
	l->next_in = to->in;
	l->at_in = &to->in;
	if (to->in)
		to->in->at_in = &l->next_in;
	to->in = l;
}

static void unlink_in(struct jit_link *l)
{
	*l->at_in = l->next_in;
	if (l->next_in)
		l->next_in->at_in = l->at_in;
	l->to = NULL;
}

/*
 * A kick that came while the link was made may have unlinked this exit just before: then its vCPU
 * must still find it so. Partner: on_kick, which counts first and unlinks then.
 */
static void hold_if_kicked(struct jit_cache *jc, struct jit_link *l)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&jc->kicks))
		em_patch_rel(jc->rw, l->rel, l->stub);
}

void jit_link_to(struct jit_cache *jc, struct jit_link *l, struct jit_block *to)
{
	if (jc->come_back || atomic_load(&jc->kicks) || l->from->dead || to->dead)
		return;
	if (l->inner) {
		em_patch_rel(jc->rw, l->rel, l->inner);
		hold_if_kicked(jc, l);
		return;
	}
	if (l->to != to) {
		if (l->to)
			unlink_in(l);
		link_in(l, to);
	}
	em_patch_rel(jc->rw, l->rel, l->parked ? to->pad : to->body);
	hold_if_kicked(jc, l);
}

bool jit_is_linked(const struct jit_cache *jc, const struct jit_link *l)
{
	uint32_t rel = __atomic_load_n((const uint32_t *)(const void *)(jc->rw + l->rel),
				       __ATOMIC_RELAXED);

	return l->rel + 4 + rel != l->stub;
}

void jit_cut_off(struct jit_cache *jc, struct jit_block *jb)
{
	for (unsigned i = 0; i < jc->e->cfg.cpus; i++) {
		struct soft_jit_jc *j = jit_jc_slot(jc->e->cpus[i], jb->ip);

		if (__atomic_load_n(&j->ip, __ATOMIC_RELAXED) == jb->ip)
			__atomic_store_n(&j->key, 0, __ATOMIC_RELAXED);
	}
	while (jb->in) {
		em_patch_rel(jc->rw, jb->in->rel, jb->in->stub);
		unlink_in(jb->in);
	}
}

void jit_kill(struct jit_cache *jc, struct jit_block *jb)
{
	jb->dead = true;
	atomic_thread_fence(memory_order_seq_cst);
	/* Whoever fills an entry for it from now on sees that it is dead. */
	jit_cut_off(jc, jb);
	jit_unlink_exits(jc, jb); /* another vCPU may be in a loop of it */
	for (unsigned i = 0; i < jb->nlinks; i++) {
		if (jb->links[i].to)
			unlink_in(&jb->links[i]);
	}
}

void jit_unlink_exits(struct jit_cache *jc, struct jit_block *jb)
{
	for (unsigned i = 0; i < jb->nlinks; i++) {
		if (jb->links[i].rel)
			em_patch_rel(jc->rw, jb->links[i].rel, jb->links[i].stub);
	}
}
