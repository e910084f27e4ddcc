/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One mapped address, every permission bit of its entries, every kind of access: what the
 * processor does against a model of Intel SDM 3A §4.6 and §4.7.
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include "guest.h"

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_PWT 8ull
#define PTE_PCD 16ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_PAT_LARGE 0x1000ull
#define PTE_NX (1ull << 63)

enum { ERR_P = 1, ERR_W = 2, ERR_U = 4, ERR_RSVD = 8, ERR_I = 16 };

struct mapping {
	const char *name;
	unsigned levels;     /* entries from the top one that has permissions down to the leaf */
	unsigned width;      /* bytes of an entry: 4 or 8 */
	void *entry[4];      /* [0] is the top */
	uint64_t base[4];    /* address bits, and PS in a large leaf */
	word va;             /* of the tested page, same offset in it as the code */
	bool nx;             /* the format has an NX bit */
};

enum access {
	K_READ, K_WRITE, K_EXEC, K_READ_AC, K_WRITE_AC, U_READ, U_WRITE, U_EXEC, ACCESSES
};
struct paging_env {
	bool wp, nxe, smep, smap;
};

uint64_t entry_read(const struct mapping *m, unsigned level);
void entry_write(const struct mapping *m, unsigned level, uint64_t bits);
/* All levels present, writable, user, executable; flags nothing from the TLB. */
void mapping_open(const struct mapping *m);
/* Put the access to the page and say what happened. */
struct trap *paging_access(const struct mapping *m, enum access a);
void paging_set_env(struct paging_env e);
struct paging_env paging_best_env(void);
/* NO_TRAP, or the error code of the page fault that the entries' present bits ask for. */
int paging_model(const struct mapping *m, struct paging_env e, enum access a, uint64_t rsvd);
/* The page that tests read, write and call: starts with a return. Physical address. */
extern uint8_t paging_target[4096];

void paging_matrix(const struct mapping *m);
/* Each bit of `mask[level]`, set in that entry, must give a reserved-bit fault. */
void paging_reserved(const struct mapping *m, const uint64_t *mask);
/* Bits that software may use, or that only say how to cache, change nothing. */
void paging_ignored(const struct mapping *m, const uint64_t *mask);

#endif
