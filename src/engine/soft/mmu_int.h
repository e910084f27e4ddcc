/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page walk and the TLB's entries, for mmu*.c alone. */
#ifndef LODGE_ENGINE_SOFT_MMU_INT_H
#define LODGE_ENGINE_SOFT_MMU_INT_H

#include "engine/soft/interp.h"
#include "engine/soft/soft_int.h"

struct mmu_walk {
	gpa_t gpa;			    /* of the byte asked for */
	uint64_t page_bytes;		    /* 4 KiB, 2 MiB, 4 MiB, 1 GiB: what INVLPG must cover */
	bool may_read, may_write, may_exec; /* under the view walked for */
	bool dirty;			    /* the D bit is set (or there is no paging) */
	bool global;			    /* the page is in every address space (CR4.PGE and G) */
	uint32_t error;			    /* #PF error code when the walk failed */
};

/*
 * Translate `lin` for `view` and `access`, setting A (and D for a write) in the page tables.
 * False: `w->error` is the #PF error code. Source: Intel SDM 3A §4.3–4.8.
 */
bool mmu_walk(struct soft_cpu *cpu, gva_t lin, enum soft_view view, enum soft_access access,
	      struct mmu_walk *w);

/* Enter a page of RAM or ROM that was walked to, as far as it may be accessed without a slow path. */
void mmu_tlb_fill(struct soft_cpu *cpu, enum soft_view view, gva_t lin, enum soft_access access,
		  const struct mmu_walk *w, const struct soft_page *pg);

/* ---- mmu_space.c: what generated code looks into -------------------------------------------- */

void soft_spaces_init(struct soft_cpu *cpu);
/* Empty everything, or a view's space. */
void soft_spaces_clear(struct soft_cpu *cpu);
void soft_space_clear(struct soft_cpu *cpu, enum soft_view view);
/* The user's view, and the one with SMAP lifted, are now those of the TLB's generation `gen`. */
void soft_spaces_use(struct soft_cpu *cpu, uint16_t gen);
/* No entry of this generation is good any more; 0: of any but the supervisor's. */
void soft_spaces_end(struct soft_cpu *cpu, uint16_t gen);
/* The page at `lin` may be executed, and is `page` of guest memory. */
void soft_space_note_exec(struct soft_cpu *cpu, gva_t lin, uint64_t page);
/*
 * Drop one page: in the spaces of this address space, or everywhere, as global pages must; or in the
 * supervisor's.
 */
void soft_spaces_drop(struct soft_cpu *cpu, gva_t lin, bool everywhere);
void soft_space_drop_super(struct soft_cpu *cpu, gva_t lin);
/* Drop [lin, lin + bytes) in every space. */
void soft_spaces_drop_range(struct soft_cpu *cpu, gva_t lin, uint64_t bytes);
/* Drop write windows of whole pages, by their host address. Any thread. True if there was one. */
bool soft_spaces_drop_write(struct soft_cpu *cpu, const uint8_t *host, uint64_t bytes);

/* Note which RAM holds `gpa` for mmu_ram; its host address, or NULL. */
uint8_t *mmu_ram_find(struct soft_cpu *cpu, gpa_t gpa);

/*
 * Host address of guest RAM at `gpa` (A20 applied), or NULL when it is something else. The ranges
 * are forgotten by a full flush, which every change of the memory map asks for.
 */
static inline uint8_t *mmu_ram(struct soft_cpu *cpu, gpa_t gpa)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cpu->ram); i++) {
		if (likely(gpa - cpu->ram[i].gpa < cpu->ram[i].len))
			return cpu->ram[i].host + (gpa - cpu->ram[i].gpa);
	}
	return mmu_ram_find(cpu, gpa);
}

#endif
