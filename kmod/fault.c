// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest touched memory that has no second-level mapping, or none that it may write: find the user page behind
 * it and map it. No reference to the page is kept; who takes it away says so first (notifier.c).
 * Source: AMD APM vol. 2 §15.25.6 (nested page faults); Intel SDM 3C §28.2.3 (EPT violations); Linux, Documentation/mm/mmu_notifier.rst.
 * Threads: the vCPU's own, with srcu; sleeps.
 */
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>

#include "compat/compat.h"
#include "lodge.h"

/*
 * How large the host itself maps this page: level 1, 2 or 3. The tables of the process do not go away with interrupts
 * off, and a change of them after this look is told to notifier.c, so the caller checks for one with mmu_lock.
 */
static unsigned int host_level(struct lodge_vm *vm, unsigned long hva)
{
	unsigned int level = 1;
	unsigned long flags;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(vm->mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/* Can this slot hold such pages where gfn is: same offset in both, the whole inside, writes not noted by page. */
static bool big_fits(const struct lodge_slot *slot, u64 gfn, unsigned int level)
{
	const u64 pages = 1ull << 9 * (level - 1);
	u64 first = gfn & ~(pages - 1);

	return !slot->dirty && !((slot->base_gfn ^ slot->hva >> PAGE_SHIFT) & (pages - 1)) &&
	       first >= slot->base_gfn && first + pages <= slot->base_gfn + slot->npages;
}

/* The page, and whether it may be written. A read is given what costs nothing more. */
static int get_page_of(unsigned long hva, bool write, bool can_write, struct page **page,
		       bool *writable)
{
	long n;

	*writable = write;
	n = lodge_gup_one(hva, write ? FOLL_WRITE : 0, page);
	if (n != 1)
		return n == -EHWPOISON ? -EHWPOISON : -EFAULT;
	if (!write && can_write) {
		struct page *again;

		/* A page that is its own already is mapped writable at once, without a second fault. */
		if (lodge_gup_fast(hva, FOLL_WRITE, &again) == 1) {
			put_page(*page);
			*page = again;
			*writable = true;
		}
	}
	return 0;
}

static int map(struct lodge_vcpu *vcpu, struct lodge_slot *slot, u64 gfn, bool write)
{
	struct lodge_vm *vm = vcpu->vm;
	bool rom = slot->flags & KVM_MEM_READONLY, writable, flush = false;
	unsigned long seq = READ_ONCE(vm->invalidate_seq), hva = lodge_slot_hva(slot, gfn);
	const struct lodge_paging *paging = lodge_ops->paging;
	unsigned int level = 1;
	struct page *page;
	u64 pte;
	int r;

	smp_rmb(); /* partner: notifier.c's writes of invalidate_seq */
	/* While writes are noted, pages are made writable by writes alone. */
	r = get_page_of(hva, write, !rom && !slot->dirty, &page, &writable);
	if (r)
		return r;
	if (PageCompound(page) && paging->max_level > 1)
		level = min_t(unsigned int, host_level(vm, hva), paging->max_level);
	while (level > 1 && !big_fits(slot, gfn, level))
		level--;
	pte = page_to_phys(page);
	if (level > 1)
		pte = (pte & ~((PAGE_SIZE << 9 * (level - 1)) - 1)) | LODGE_PTE_BIG;
	pte |= LODGE_PTE_P | LODGE_PTE_U | paging->leaf | paging->accessed |
	       (writable ? LODGE_PTE_W | paging->dirty : 0);
	spin_lock(&vm->mmu_lock);
	if (vm->invalidating || vm->invalidate_seq != seq || READ_ONCE(slot->gone)) {
		r = -EAGAIN;
	} else {
		lodge_table_set(vcpu, gfn, level, pte, &flush);
		if (writable)
			lodge_mark_dirty(slot, gfn);
	}
	if (flush)
		lodge_request_all(vm, LODGE_REQ_FLUSH);
	spin_unlock(&vm->mmu_lock);
	if (writable && !PageReserved(page))
		SetPageDirty(page);
	put_page(page);
	return r;
}

int lodge_fault(struct lodge_vcpu *vcpu, u64 gpa, bool write)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	struct lodge_slot *slot = lodge_slot_find(vcpu->vm, gfn);
	int r;

	if (!slot || (write && (slot->flags & KVM_MEM_READONLY)))
		return 0;
	do {
		/* The loop in run.c sees it too; the guest looks once more, by what slots there are then. */
		if (signal_pending(current) || READ_ONCE(slot->gone))
			return 1;
		cond_resched();
		r = lodge_spares_fill(vcpu);
		if (!r)
			r = map(vcpu, slot, gfn, write);
	} while (r == -EAGAIN);
	return r ? r : 1;
}
EXPORT_SYMBOL_GPL(lodge_fault);
