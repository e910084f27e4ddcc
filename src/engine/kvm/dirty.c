// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which pages the guest writes: the kernel notes it slot by slot, in slots somebody asks about, and what it has
 * noted goes into the pages' flags when they are looked at. Other slots log nothing and cost nothing; their
 * pages count as written.
 *
 * Taking a slot's log makes its pages read-only before it returns: what is written later is noted again. So a
 * page is in the log taken, or in the next one, and never in none.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_GET_DIRTY_LOG).
 * Threads: any, without the VM lock; slots_lock is taken here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

static bool meets(const struct kvm_slot *s, uint64_t from, uint64_t to)
{
	return s->off < to && from < s->off + s->len;
}

bool kvm_slot_is_watched(const struct kvm_engine *e, const struct kvm_slot *s)
{
	return !s->rom && (meets(s, e->watched[0].from, e->watched[0].to) ||
			   meets(s, e->watched[1].from, e->watched[1].to));
}

static void set_dirty(struct kvm_engine *e, uint64_t off, uint64_t len)
{
	uint8_t *flags = mem_page_flags(e->cfg.mem);

	for (uint64_t i = off >> PAGE_BITS; i < (off + len) >> PAGE_BITS; i++)
		__atomic_fetch_or(&flags[i], MEM_PAGE_DIRTY, __ATOMIC_SEQ_CST);
}

void kvm_slot_take_log(struct kvm_engine *e, unsigned id)
{
	const struct kvm_slot *s = &e->slots[id];
	uint64_t words = (s->len / PAGE_BYTES + 63) / 64;
	struct kvm_dirty_log log = {.slot = id};
	uint64_t *bits;

	if (!s->used || !s->logs)
		return;
	bits = calloc(words, sizeof(*bits));
	log.dirty_bitmap = bits;
	/* Too much is no fault, too little is. */
	if (!bits || ioctl(e->vm, KVM_GET_DIRTY_LOG, &log) < 0) {
		set_dirty(e, s->off, s->len);
		free(bits);
		return;
	}
	for (uint64_t w = 0; w < words; w++) {
		for (uint64_t left = bits[w]; left; left &= left - 1) {
			uint64_t page = 64 * w + (uint64_t)__builtin_ctzll(left);

			set_dirty(e, s->off + page * PAGE_BYTES, PAGE_BYTES);
		}
	}
	free(bits);
}

void kvm_sync_writes(void *engine, uint64_t off, uint64_t len)
{
	struct kvm_engine *e = engine;

	pthread_mutex_lock(&e->slots_lock);
	for (unsigned i = 0; i < e->slot_count; i++) {
		if (meets(&e->slots[i], off, off + len))
			kvm_slot_take_log(e, i);
	}
	pthread_mutex_unlock(&e->slots_lock);
}

/* From now on these pages are asked about. */
static void widen(struct kvm_engine *e, uint64_t off, uint64_t len)
{
	struct kvm_watched *w = &e->watched[off >= mem_ram_bytes(e->cfg.mem)];

	if (w->to == w->from)
		*w = (struct kvm_watched){off, off};
	w->from = min_u64(w->from, off);
	w->to = max_u64(w->to, off + len);
}

void kvm_watch_writes(void *engine, uint64_t off, uint64_t len)
{
	struct kvm_engine *e = engine;

	pthread_mutex_lock(&e->slots_lock);
	widen(e, off, len);
	for (unsigned i = 0; i < e->slot_count; i++) {
		struct kvm_slot *s = &e->slots[i];

		if (!s->used || s->logs || !kvm_slot_is_watched(e, s))
			continue;
		s->logs = true;
		if (kvm_slot_set(e, i, s, true) < 0)
			s->logs = false;
		/* What was written before it began; and each time, where it cannot. */
		set_dirty(e, s->off, s->len);
	}
	pthread_mutex_unlock(&e->slots_lock);
}
