// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which pages of a slot were written since they were asked about last.
 *
 * A page is noted when its mapping becomes writable. Taking the log makes the pages in it read-only, and TLBs
 * forget them, before it returns: so what is written later is noted again.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_GET_DIRTY_LOG).
 * Threads: lodge_mark_dirty any, with srcu; the rest with vm->lock.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lodge.h"

void lodge_mark_dirty(struct lodge_slot *slot, u64 gfn)
{
	if (slot->dirty)
		set_bit(gfn - slot->base_gfn, slot->dirty);
}

/* 64 pages: their bits, and they are read-only. */
static unsigned long take_word(struct lodge_vm *vm, struct lodge_slot *slot, size_t word,
			       bool *flush)
{
	unsigned long bits = xchg(&slot->dirty[word], 0), left;

	if (!bits)
		return 0;
	spin_lock(&vm->mmu_lock);
	for (left = bits; left; left &= left - 1) {
		u64 gfn = slot->base_gfn + word * BITS_PER_LONG + __ffs(left);

		*flush |= lodge_table_protect(vm, gfn, gfn + 1);
	}
	spin_unlock(&vm->mmu_lock);
	return bits;
}

int lodge_dirty_get(struct lodge_vm *vm, const struct kvm_dirty_log *log)
{
	struct lodge_slot *slot = lodge_slot_by_id(vm, log->slot);
	unsigned long *bits;
	size_t words;
	bool flush = false;
	int r = 0;

	if (!slot || !slot->dirty)
		return -ENOENT;
	words = BITS_TO_LONGS(slot->npages);
	bits = kvcalloc(words, sizeof(*bits), GFP_KERNEL_ACCOUNT);
	if (!bits)
		return -ENOMEM;
	for (size_t i = 0; i < words; i++) {
		bits[i] = take_word(vm, slot, i, &flush);
		cond_resched();
	}
	if (flush)
		lodge_request_all(vm, LODGE_REQ_FLUSH);
	if (copy_to_user(log->dirty_bitmap, bits, words * sizeof(*bits)))
		r = -EFAULT;
	kvfree(bits);
	return r;
}
