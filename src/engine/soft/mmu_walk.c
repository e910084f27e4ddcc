// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page walk: 32-bit, PSE, PAE and 4-level paging with accessed and dirty bits.
 * Source: Intel SDM 3A §4.3 (32-bit), §4.4 (PAE), §4.5 (4-level), §4.6 (rights), §4.7 (errors),
 * §4.8 (A and D).
 * Threads: the vCPU's own; entries are updated with host atomics, since other CPUs walk too.
 */
#include "engine/soft/mmu_int.h"

#include "engine/soft/check.h"

#include <stdatomic.h>

#define PTE_P 0x001ull
#define PTE_W 0x002ull
#define PTE_U 0x004ull
#define PTE_A 0x020ull
#define PTE_D 0x040ull
#define PTE_PS 0x080ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)

/* Rights gathered on the way down, and where the last entry is. */
struct walk_state {
	struct soft_cpu *cpu;
	gva_t lin;
	enum soft_view view;
	enum soft_access access;
	uint64_t rights;   /* PTE_W and PTE_U of all levels ANDed, PTE_NX ORed */
	uint64_t reserved; /* bits that must be 0 in every entry */
	struct mmu_walk *out;
};

static uint32_t error_bits(const struct walk_state *ws)
{
	const struct x86_state *s = &ws->cpu->s;
	uint32_t e = 0;

	if (ws->access == SOFT_WRITE)
		e |= PF_W;
	if (ws->view == SOFT_VIEW_USER)
		e |= PF_U;
	if (ws->access == SOFT_EXEC &&
	    ((s->cr4 & CR4_SMEP) || ((s->efer & EFER_NXE) && (s->cr4 & CR4_PAE))))
		e |= PF_I;
	return e;
}

static bool fail(const struct walk_state *ws, uint32_t bits)
{
	ws->out->error = error_bits(ws) | bits;
	return false;
}

static uint8_t *entry_ptr(const struct walk_state *ws, gpa_t gpa, unsigned size)
{
	uint8_t *p = mmu_ram(ws->cpu, gpa);

	return p ? p : mem_ptr(ws->cpu->e->mem, gpa, size, false);
}

/* A table outside RAM reads as all ones, as a bus nobody answers does. */
static uint64_t entry_load(const uint8_t *p, unsigned size)
{
	if (!p)
		return size == 4 ? 0xffffffffull : ~0ull;
	if (size == 4)
		return atomic_load_explicit((const _Atomic uint32_t *)p, memory_order_relaxed);
	return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
}

/* Set A or D. False when the entry changed under us: walk again. */
static bool entry_set(struct walk_state *ws, uint8_t *p, gpa_t gpa, unsigned size, uint64_t old,
		      uint64_t bits)
{
	bool done;

	if ((old & bits) == bits || !p)
		return true;
	if (unlikely(ws->cpu->check))
		soft_check_journal(ws->cpu, p, size, bits & ~old);
	if (size == 4) {
		uint32_t expect = (uint32_t)old;

		done = atomic_compare_exchange_strong((_Atomic uint32_t *)p, &expect,
						      (uint32_t)(old | bits));
	} else {
		uint64_t expect = old;

		done = atomic_compare_exchange_strong((_Atomic uint64_t *)p, &expect, old | bits);
	}
	if (done)
		mem_wrote(ws->cpu->e->mem, gpa, size);
	return done;
}

/* Decide on the gathered rights; fills may_*. */
static bool check_rights(struct walk_state *ws)
{
	const struct x86_state *s = &ws->cpu->s;
	struct mmu_walk *w = ws->out;
	bool user_page = (ws->rights & PTE_U) != 0;
	bool writable = (ws->rights & PTE_W) != 0;
	bool nx = (ws->rights & PTE_NX) != 0;

	if (ws->view == SOFT_VIEW_USER) {
		w->may_read = user_page;
		w->may_write = user_page && writable;
		w->may_exec = user_page && !nx;
	} else {
		bool smap = user_page && (s->cr4 & CR4_SMAP) && ws->view == SOFT_VIEW_SUPER;

		w->may_read = !smap;
		w->may_write = !smap && (writable || !(s->cr0 & CR0_WP));
		w->may_exec = !nx && !(user_page && (s->cr4 & CR4_SMEP));
	}
	bool ok = ws->access == SOFT_READ    ? w->may_read
		  : ws->access == SOFT_WRITE ? w->may_write
					     : w->may_exec;
	return ok || fail(ws, PF_P);
}

enum step { STEP_FAIL, STEP_AGAIN, STEP_TABLE, STEP_PAGE };

/* Is this entry's reserved-bit pattern wrong for a page of `page_bytes` (0: a table)? */
static bool entry_reserved(const struct walk_state *ws, uint64_t e, unsigned size,
			   uint64_t page_bytes)
{
	if (e & ws->reserved)
		return true;
	if (!page_bytes || page_bytes == PAGE_BYTES)
		return false;
	if (size == 4) /* PSE-36: bits 13–20 are address bits 32–39, bit 21 is reserved */
		return (e & 0x200000) != 0;
	return (e & (page_bytes - 1) & ~0x1fffull) != 0; /* bit 12 is PAT */
}

/*
 * Look at the entry at `gpa`, which maps `span` bytes if it is a page. `can_be_page`: PS means a
 * page (or the level is the last).
 */
static enum step walk_entry(struct walk_state *ws, gpa_t gpa, unsigned size, uint64_t span,
			    bool last, bool can_be_page, uint64_t *entry)
{
	uint8_t *p = entry_ptr(ws, gpa, size);
	uint64_t e = entry_load(p, size);
	bool page = last || (can_be_page && (e & PTE_PS));

	if (!(e & PTE_P)) {
		fail(ws, 0);
		return STEP_FAIL;
	}
	/* PS where the level cannot map a page is a reserved bit (PML4E; PDPTE without 1 GiB
	 * pages). */
	if (entry_reserved(ws, e, size, page ? span : 0) ||
	    (!page && size == 8 && (e & PTE_PS) && span > PAGE_BYTES)) {
		fail(ws, PF_P | PF_RSVD);
		return STEP_FAIL;
	}
	ws->rights = (ws->rights & e & (PTE_W | PTE_U)) | ((ws->rights | e) & PTE_NX);
	if (!page) {
		if (!entry_set(ws, p, gpa, size, e, PTE_A))
			return STEP_AGAIN;
		*entry = e;
		return STEP_TABLE;
	}
	if (!check_rights(ws))
		return STEP_FAIL;
	if (!entry_set(ws, p, gpa, size, e, PTE_A | (ws->access == SOFT_WRITE ? PTE_D : 0)))
		return STEP_AGAIN;
	ws->out->dirty = ws->access == SOFT_WRITE || (e & PTE_D);
	ws->out->page_bytes = span;
	ws->out->global = (e & PTE_G) && (ws->cpu->s.cr4 & CR4_PGE);
	*entry = e;
	return STEP_PAGE;
}

static enum step walk_32(struct walk_state *ws)
{
	struct x86_state *s = &ws->cpu->s;
	gva_t lin = ws->lin;
	uint64_t e = 0;
	gpa_t gpa = (s->cr3 & 0xfffff000) + (lin >> 22) * 4;
	enum step st = walk_entry(ws, gpa, 4, 4ull << 20, false, s->cr4 & CR4_PSE, &e);

	if (st == STEP_PAGE) {
		ws->out->gpa = (e & 0xffc00000) | (e & 0x1fe000) << 19 | (lin & 0x3fffff);
		return st;
	}
	if (st != STEP_TABLE)
		return st;
	st = walk_entry(ws, (e & 0xfffff000) + (lin >> 12 & 0x3ff) * 4, 4, PAGE_BYTES, true, false,
			&e);
	if (st == STEP_PAGE)
		ws->out->gpa = (e & 0xfffff000) | (lin & 0xfff);
	return st;
}

/* PAE (levels = 2, below the PDPTE registers) and 4-level paging. */
static enum step walk_64(struct walk_state *ws, uint64_t table, unsigned levels, uint64_t addr_mask)
{
	bool gib_pages = ws->cpu->e->cfg.cpuid->has[X86_FEAT_PDPE1GB];

	for (unsigned level = levels; level >= 1; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t span = 1ull << shift, e = 0;
		bool can_be_page = level == 2 || (level == 3 && gib_pages);
		enum step st = walk_entry(ws, table + (ws->lin >> shift & 0x1ff) * 8, 8, span,
					  level == 1, can_be_page, &e);

		if (st == STEP_PAGE)
			ws->out->gpa = (e & addr_mask & ~(span - 1)) | (ws->lin & (span - 1));
		if (st != STEP_TABLE)
			return st;
		table = e & addr_mask & PAGE_MASK;
	}
	return STEP_FAIL;
}

static enum step walk_once(struct walk_state *ws)
{
	struct soft_cpu *cpu = ws->cpu;
	struct x86_state *s = &cpu->s;
	uint64_t phys_mask = (1ull << cpu->e->cfg.cpuid->phys_bits) - 1;

	ws->rights = PTE_W | PTE_U;
	ws->reserved = 0;
	if (!(s->cr4 & CR4_PAE))
		return walk_32(ws);

	uint64_t addr_mask = phys_mask & ~PTE_NX & PAGE_MASK;

	if (!(s->efer & EFER_NXE))
		ws->reserved |= PTE_NX;
	if (s->efer & EFER_LMA) {
		ws->reserved |= 0x000fffffffffffffull & ~phys_mask;
		return walk_64(ws, s->cr3 & addr_mask, 4, addr_mask);
	}
	ws->reserved |= 0x7fffffffffffffffull & ~phys_mask;

	uint64_t pdpte = s->pdpte[ws->lin >> 30 & 3];

	if (!(pdpte & PTE_P)) {
		fail(ws, 0);
		return STEP_FAIL;
	}
	return walk_64(ws, pdpte & addr_mask, 2, addr_mask);
}

/*
 * Long mode, with nothing to report and no A or D bit to set: one pass. False: not so; walk in full.
 */
static bool walk_quick(struct walk_state *ws)
{
	struct soft_cpu *cpu = ws->cpu;
	uint64_t addr_mask = ((1ull << cpu->e->cfg.cpuid->phys_bits) - 1) & PAGE_MASK;
	uint64_t bad = 0x000ffffffffff000ull & ~addr_mask, need = PTE_P | PTE_A, all = ~0ull,
		 any = 0;
	uint64_t table = cpu->s.cr3 & addr_mask, e;
	bool gib_pages = cpu->e->cfg.cpuid->has[X86_FEAT_PDPE1GB];
	unsigned shift = 39;

	if (!(cpu->s.efer & EFER_NXE))
		bad |= PTE_NX;
	for (;; shift -= 9) {
		const uint8_t *p = mmu_ram(cpu, table + (ws->lin >> shift & 0x1ff) * 8);

		if (!p)
			return false;
		e = atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
		all &= e;
		any |= e;
		if (shift == 12)
			break;
		if (e & PTE_PS) {
			if (shift == 39 || (shift == 30 && !gib_pages) ||
			    (e & ((1ull << shift) - 1) & ~0x1fffull))
				return false;
			break;
		}
		table = e & addr_mask;
	}
	if (ws->access == SOFT_WRITE)
		need |= PTE_D;
	if ((all & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || (e & need) != need || (any & bad))
		return false;
	ws->rights = (all & (PTE_W | PTE_U)) | (any & PTE_NX);
	if (!check_rights(ws))
		return false;
	ws->out->dirty = e & PTE_D;
	ws->out->global = (e & PTE_G) && (cpu->s.cr4 & CR4_PGE);
	ws->out->page_bytes = 1ull << shift;
	ws->out->gpa = (e & addr_mask & ~((1ull << shift) - 1)) | (ws->lin & ((1ull << shift) - 1));
	return true;
}

bool mmu_walk(struct soft_cpu *cpu, gva_t lin, enum soft_view view, enum soft_access access,
	      struct mmu_walk *w)
{
	struct walk_state ws = {.cpu = cpu, .lin = lin, .view = view, .access = access, .out = w};
	enum step st;

	if (!(cpu->s.cr0 & CR0_PG)) {
		*w = (struct mmu_walk){.gpa = lin & 0xffffffff,
				       .page_bytes = PAGE_BYTES,
				       .may_read = true,
				       .may_write = true,
				       .may_exec = true,
				       .dirty = true,
				       .global = true};
		return true;
	}
	*w = (struct mmu_walk){0};
	if ((cpu->s.efer & EFER_LMA) && likely(walk_quick(&ws)))
		return true;
	do {
		*w = (struct mmu_walk){0};
		st = walk_once(&ws);
	} while (st == STEP_AGAIN);
	return st == STEP_PAGE;
}
