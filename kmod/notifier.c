// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host changes the memory of the process: swaps, moves, merges, splits pages. The second-level mappings of what
 * it changes go first.
 *
 * Between start and end nothing is mapped anew: a fault that looked its page up meanwhile, or before, sees
 * `invalidating` or another `invalidate_seq` when it has mmu_lock, and looks again.
 * Source: Linux, Documentation/mm/mmu_notifier.rst, include/linux/mmu_notifier.h.
 * Threads: any; may not sleep, takes mmu_lock.
 */
#include <linux/mmu_notifier.h>

#include "lodge.h"

static struct lodge_vm *vm_of(struct mmu_notifier *n)
{
	return container_of(n, struct lodge_vm, notifier);
}

/* The guest pages behind [start, end) of user memory, of each slot that has some. */
static bool each_range(struct lodge_vm *vm, unsigned long start, unsigned long end,
		       bool (*fn)(struct lodge_vm *vm, u64 gfn, u64 end, void *arg), void *arg)
{
	struct lodge_slots *s = srcu_dereference(vm->slots, &vm->srcu);
	bool any = false;

	for (unsigned int i = 0; i < s->count; i++) {
		const struct lodge_slot *slot = s->slot[i];
		unsigned long slot_end = slot->hva + (slot->npages << PAGE_SHIFT);
		unsigned long from = max(start, slot->hva), to = min(end, slot_end);

		if (from >= to)
			continue;
		any |= fn(vm, slot->base_gfn + ((from - slot->hva) >> PAGE_SHIFT),
			  slot->base_gfn + ((to - slot->hva + PAGE_SIZE - 1) >> PAGE_SHIFT), arg);
	}
	return any;
}

static bool zap(struct lodge_vm *vm, u64 gfn, u64 end, void *freed)
{
	return lodge_table_zap(vm, gfn, end, freed);
}

static int range_start(struct mmu_notifier *n, const struct mmu_notifier_range *range)
{
	struct lodge_vm *vm = vm_of(n);
	LIST_HEAD(freed);
	bool flush;
	int idx = srcu_read_lock(&vm->srcu);

	spin_lock(&vm->mmu_lock);
	vm->invalidating++;
	flush = each_range(vm, range->start, range->end, zap, &freed);
	if (flush)
		lodge_request_all(vm, LODGE_REQ_FLUSH);
	spin_unlock(&vm->mmu_lock);
	lodge_table_free_list(&freed);
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

static void range_end(struct mmu_notifier *n, const struct mmu_notifier_range *range)
{
	struct lodge_vm *vm = vm_of(n);

	spin_lock(&vm->mmu_lock);
	vm->invalidate_seq++;
	smp_wmb(); /* partner: fault.c */
	vm->invalidating--;
	spin_unlock(&vm->mmu_lock);
}

/* ---- Which pages are in use ------------------------------------------------------------------------- */

static bool age(struct lodge_vm *vm, u64 gfn, u64 end, void *clear)
{
	return lodge_table_age(vm, gfn, end, clear != NULL);
}

static int look(struct mmu_notifier *n, unsigned long start, unsigned long end, void *clear,
		bool flush)
{
	struct lodge_vm *vm = vm_of(n);
	int idx = srcu_read_lock(&vm->srcu);
	bool young;

	spin_lock(&vm->mmu_lock);
	young = each_range(vm, start, end, age, clear);
	/* Without A bits the mapping is gone. */
	if (young && (flush || (clear && !lodge_ops->paging->accessed)))
		lodge_request_all(vm, LODGE_REQ_FLUSH);
	spin_unlock(&vm->mmu_lock);
	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

static int clear_flush_young(struct mmu_notifier *n, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	return look(n, start, end, n, true);
}

static int clear_young(struct mmu_notifier *n, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return look(n, start, end, n, false);
}

static int test_young(struct mmu_notifier *n, struct mm_struct *mm, unsigned long addr)
{
	return look(n, addr, addr + PAGE_SIZE, NULL, false);
}

/* The process ends: everything goes, and no vCPU enters again, for its thread is gone. */
static void release(struct mmu_notifier *n, struct mm_struct *mm)
{
	struct lodge_vm *vm = vm_of(n);

	lodge_zap(vm, 0, 1ull << (LODGE_GPA_BITS - PAGE_SHIFT));
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.release = release,
};

int lodge_notifier_init(struct lodge_vm *vm)
{
	vm->notifier.ops = &notifier_ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}
