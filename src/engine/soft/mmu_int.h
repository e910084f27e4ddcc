/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page walk, for mmu.c alone. */
#ifndef LODGE_ENGINE_SOFT_MMU_INT_H
#define LODGE_ENGINE_SOFT_MMU_INT_H

#include "engine/soft/soft_int.h"

struct mmu_walk {
	gpa_t gpa;			    /* of the byte asked for */
	uint64_t page_bytes;		    /* 4 KiB, 2 MiB, 4 MiB, 1 GiB: what INVLPG must cover */
	bool may_read, may_write, may_exec; /* under the view walked for */
	bool dirty;			    /* the D bit is set (or there is no paging) */
	uint32_t error;			    /* #PF error code when the walk failed */
};

/*
 * Translate `lin` for `view` and `access`, setting A (and D for a write) in the page tables.
 * False: `w->error` is the #PF error code. Source: Intel SDM 3A §4.3–4.8.
 */
bool mmu_walk(struct soft_cpu *cpu, gva_t lin, enum soft_view view, enum soft_access access,
	      struct mmu_walk *w);

#endif
