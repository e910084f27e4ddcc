// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Second-level page tables: guest-physical to host-physical, in the processor's own format: NPT's is that of
 * ordinary paging, EPT's differs by what struct lodge_paging tells. Entries are leaves of 4 KiB (level 1), 2 MiB (2) or
 * 1 GiB (3), or name a table.
 *
 * A table that is taken out is freed only after all TLBs have forgotten it: so zapping gives a list, which the
 * caller frees after the flush.
 * Source: AMD APM vol. 2 §15.25 (nested paging), §5.3 (long-mode tables); Intel SDM 3C §28.2.2 (EPT).
 * Threads: mmu_lock is held wherever entries are looked at.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <asm/pgtable.h>

#include "lodge.h"

#define ENTRIES 512
#define TABLE (LODGE_PTE_P | LODGE_PTE_W | LODGE_PTE_U)

static struct page *table_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (page)
		atomic_inc(&lodge_counts.tables);
	return page;
}

static void table_put(struct page *page)
{
	__free_page(page);
	atomic_dec(&lodge_counts.tables);
}

static u64 *table_of(u64 pte)
{
	return __va(pte & LODGE_PTE_ADDR);
}

static bool is_table(u64 pte, unsigned int level)
{
	return (pte & LODGE_PTE_P) && level > 1 && !(pte & LODGE_PTE_BIG);
}

static u64 span(unsigned int level)
{
	return 1ull << 9 * (level - 1);
}

static unsigned int entry_of(u64 gfn, unsigned int level)
{
	return gfn >> 9 * (level - 1) & (ENTRIES - 1);
}

/* ---- Spare ones, for faults ------------------------------------------------------------------------- */

int lodge_spares_fill(struct lodge_vcpu *vcpu)
{
	while (vcpu->spares < ARRAY_SIZE(vcpu->spare)) {
		struct page *page = table_page();

		if (!page)
			return -ENOMEM;
		vcpu->spare[vcpu->spares++] = page;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(lodge_spares_fill);

void lodge_spares_free(struct lodge_vcpu *vcpu)
{
	while (vcpu->spares)
		table_put(vcpu->spare[--vcpu->spares]);
}

/* ---- Setting ---------------------------------------------------------------------------------------- */

void lodge_table_set(struct lodge_vcpu *vcpu, u64 gfn, unsigned int want, u64 pte, bool *flush)
{
	unsigned int level = vcpu->vm->levels;
	u64 *table = vcpu->vm->root, *entry;

	for (;;) {
		entry = &table[entry_of(gfn, level)];
		if (level == want && is_table(*entry, level) && want > 1) {
			/* Small pages are there already, and stay. */
			pte = (pte & ~LODGE_PTE_BIG) + ((gfn & (span(want) - 1)) << PAGE_SHIFT);
			want = 1;
		}
		if (level == want)
			break;
		if (!is_table(*entry, level)) {
			*flush |= *entry & LODGE_PTE_P;
			WRITE_ONCE(*entry, page_to_phys(vcpu->spare[--vcpu->spares]) | TABLE |
						   lodge_ops->paging->accessed);
		}
		table = table_of(*entry);
		level--;
	}
	/*
	 * More rights than before need no flush: the processor looks again before it faults. None is taken away here: a
	 * TLB may have it, and who makes pages read-only flushes those alone that were not.
	 */
	if ((*entry & LODGE_PTE_P) && ((*entry ^ pte) & LODGE_PTE_ADDR))
		*flush = true;
	else
		pte |= *entry & (LODGE_PTE_W | lodge_ops->paging->dirty);
	WRITE_ONCE(*entry, pte);
}
EXPORT_SYMBOL_GPL(lodge_table_set);

/* ---- Taking away ------------------------------------------------------------------------------------ */

/* A table and all below, out of the tree already. */
static void collect(u64 *table, unsigned int level, struct list_head *freed)
{
	for (unsigned int i = 0; i < ENTRIES && level > 1; i++) {
		if (is_table(table[i], level))
			collect(table_of(table[i]), level - 1, freed);
	}
	list_add(&virt_to_page(table)->lru, freed);
}

static bool zap_level(u64 *table, unsigned int level, u64 base, u64 gfn, u64 end,
		      struct list_head *freed)
{
	unsigned int i = gfn > base ? (gfn - base) / span(level) : 0;
	bool any = false;

	for (base += i * span(level); i < ENTRIES && base < end; i++, base += span(level)) {
		u64 pte = READ_ONCE(table[i]);

		if (!(pte & LODGE_PTE_P))
			continue;
		any = true;
		if (!is_table(pte, level)) {
			WRITE_ONCE(table[i], 0);
		} else if (gfn <= base && base + span(level) <= end) {
			WRITE_ONCE(table[i], 0);
			collect(table_of(pte), level - 1, freed);
		} else {
			zap_level(table_of(pte), level - 1, base, gfn, end, freed);
		}
	}
	return any;
}

bool lodge_table_zap(struct lodge_vm *vm, u64 gfn, u64 end, struct list_head *freed)
{
	return zap_level(vm->root, vm->levels, 0, gfn, end, freed);
}

void lodge_table_free_list(struct list_head *freed)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, freed, lru)
	{
		list_del(&page->lru);
		table_put(page);
	}
}

void lodge_zap(struct lodge_vm *vm, u64 gfn, u64 end)
{
	LIST_HEAD(freed);
	bool flush;

	spin_lock(&vm->mmu_lock);
	flush = lodge_table_zap(vm, gfn, end, &freed);
	/* With the lock: the host, which looks for mappings meanwhile, must not find that there are none too soon. */
	if (flush)
		lodge_request_all(vm, LODGE_REQ_FLUSH);
	spin_unlock(&vm->mmu_lock);
	lodge_table_free_list(&freed);
}

/* ---- Rights and ages -------------------------------------------------------------------------------- */

/* What `mask` names is cleared in leaves. Was any of it set? */
static bool clear_level(u64 *table, unsigned int level, u64 base, u64 gfn, u64 end, u64 mask,
			bool look_only)
{
	unsigned int i = gfn > base ? (gfn - base) / span(level) : 0;
	bool any = false;

	for (base += i * span(level); i < ENTRIES && base < end; i++, base += span(level)) {
		u64 pte = READ_ONCE(table[i]);

		if (!(pte & LODGE_PTE_P))
			continue;
		if (is_table(pte, level)) {
			any |= clear_level(table_of(pte), level - 1, base, gfn, end, mask,
					   look_only);
			continue;
		}
		any |= (pte & mask) != 0;
		/* The processor may be setting A and D meanwhile. */
		if ((pte & mask) && !look_only)
			atomic64_andnot(mask, (atomic64_t *)&table[i]);
	}
	return any;
}

bool lodge_table_protect(struct lodge_vm *vm, u64 gfn, u64 end)
{
	return clear_level(vm->root, vm->levels, 0, gfn, end, LODGE_PTE_W, false);
}

bool lodge_table_age(struct lodge_vm *vm, u64 gfn, u64 end, bool clear)
{
	u64 accessed = lodge_ops->paging->accessed;

	/* Where the processor notes nothing, what was used is mapped, and a look takes the mapping away. */
	if (!accessed)
		return clear_level(vm->root, vm->levels, 0, gfn, end, ~0ull, !clear);
	return clear_level(vm->root, vm->levels, 0, gfn, end, accessed, !clear);
}

/* ---- The whole -------------------------------------------------------------------------------------- */

int lodge_tables_init(struct lodge_vm *vm)
{
	struct page *page = table_page();

	if (!page)
		return -ENOMEM;
	vm->root = page_address(page);
	vm->levels = lodge_ops->paging->levels;
	if (!vm->levels)
		vm->levels = pgtable_l5_enabled() ? 5 : 4;
	return 0;
}

/* No vCPU is left. */
void lodge_tables_free(struct lodge_vm *vm)
{
	LIST_HEAD(freed);

	spin_lock(&vm->mmu_lock);
	collect(vm->root, vm->levels, &freed);
	vm->root = NULL;
	spin_unlock(&vm->mmu_lock);
	lodge_table_free_list(&freed);
}
