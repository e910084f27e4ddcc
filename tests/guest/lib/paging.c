// SPDX-License-Identifier: GPL-2.0-or-later
/* Page-permission model and matrix. Source: Intel SDM 3A §4.6 (access rights), §4.7, §4.8. */
#include "paging.h"

#define STAC ".byte 0x0f, 0x01, 0xcb\n"
#define CLAC ".byte 0x0f, 0x01, 0xca\n"
SNIPPET(pg_read, "movb 64(" A0 "), %cl");
SNIPPET(pg_write, "movb $0x5a, 65(" A0 ")");
SNIPPET(pg_read_ac, STAC "movb 64(" A0 "), %cl\n" CLAC);
SNIPPET(pg_write_ac, STAC "movb $0x5a, 65(" A0 ")\n" CLAC);

uint8_t paging_target[4096] __attribute__((aligned(4096))) = {0xc3};

uint64_t entry_read(const struct mapping *m, unsigned level)
{
	if (m->width == 4)
		return *(volatile uint32_t *)m->entry[level];
	return *(volatile uint64_t *)m->entry[level];
}

void entry_write(const struct mapping *m, unsigned level, uint64_t bits)
{
	uint64_t v = m->base[level] | bits;

	if (m->width == 4)
		*(volatile uint32_t *)m->entry[level] = (uint32_t)v;
	else
		*(volatile uint64_t *)m->entry[level] = v;
}

void mapping_open(const struct mapping *m)
{
	for (unsigned i = 0; i < m->levels; i++)
		entry_write(m, i, PTE_P | PTE_W | PTE_U);
	invlpg(m->va);
}

struct trap *paging_access(const struct mapping *m, enum access a)
{
	/* catch_user adds the offset of the user's view; the tested address has none. */
	switch (a) {
	case K_READ: return catch_trap(pg_read, m->va, 0);
	case K_WRITE: return catch_trap(pg_write, m->va, 0);
	case K_EXEC: return catch_trap((void *)m->va, 0, 0);
	case K_READ_AC: return catch_trap(pg_read_ac, m->va, 0);
	case K_WRITE_AC: return catch_trap(pg_write_ac, m->va, 0);
	case U_READ: return catch_user(pg_read, m->va, 0);
	case U_WRITE: return catch_user(pg_write, m->va, 0);
	default: return catch_user((void *)(m->va - user_offset), 0, 0);
	}
}

void paging_set_env(struct paging_env e)
{
	word cr4 = read_cr4() & ~(word)(C4_SMEP | C4_SMAP);
	word cr0 = read_cr0() & ~(word)C0_WP;

	write_cr0(cr0 | (e.wp ? C0_WP : 0));
	if (e.smep)
		cr4 |= C4_SMEP;
	if (e.smap)
		cr4 |= C4_SMAP;
	if (cr4 != read_cr4())
		write_cr4(cr4);
	if (has_ext1_d(20))
		wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & ~(uint64_t)EFER_NXE) | (e.nxe ? EFER_NXE : 0));
	flush_tlb();
}

struct paging_env paging_best_env(void)
{
	struct paging_env e = {true, has_ext1_d(20), has_leaf7_b(7), has_leaf7_b(20)};

	return e;
}

static bool is_user(enum access a)
{
	return a == U_READ || a == U_WRITE || a == U_EXEC;
}

static bool is_write(enum access a)
{
	return a == K_WRITE || a == K_WRITE_AC || a == U_WRITE;
}

static bool is_exec(enum access a)
{
	return a == K_EXEC || a == U_EXEC;
}

static bool denied(struct paging_env e, enum access a, bool u, bool w, bool nx)
{
	if (is_exec(a) && nx)
		return true;
	if (is_user(a))
		return !u || (is_write(a) && !w);
	if (is_exec(a))
		return u && e.smep;
	if (u && e.smap && a != K_READ_AC && a != K_WRITE_AC)
		return true;
	return is_write(a) && !w && e.wp;
}

int paging_model(const struct mapping *m, struct paging_env e, enum access a, uint64_t rsvd)
{
	bool u = true, w = true, nx = false;
	int err = (is_write(a) ? ERR_W : 0) | (is_user(a) ? ERR_U : 0);

	if (is_exec(a) && (e.smep || (m->nx && e.nxe)))
		err |= ERR_I;
	for (unsigned i = 0; i < m->levels; i++) {
		uint64_t v = entry_read(m, i);

		if (!(v & PTE_P))
			return err;
		/* QEMU 7.2 (TCG) leaves P clear here; SDM §4.7: "bit 3 can be set only if bit 0 is". */
		if ((m->nx && (v & PTE_NX) && !e.nxe) || (v & rsvd))
			return err | ERR_P | ERR_RSVD;
		u = u && (v & PTE_U);
		w = w && (v & PTE_W);
		nx = nx || (m->nx && (v & PTE_NX));
	}
	return denied(e, a, u, w, nx) ? err | ERR_P : NO_TRAP;
}

/* After a permitted access every entry is accessed and the leaf dirty if written; a denied one
 * never sets the dirty bit (§4.8). */
static bool marks_good(const struct mapping *m, enum access a, int want)
{
	uint64_t leaf = entry_read(m, m->levels - 1);

	if (want != NO_TRAP)
		return !(leaf & PTE_D);
	for (unsigned i = 0; i < m->levels; i++)
		if (!(entry_read(m, i) & PTE_A))
			return false;
	for (unsigned i = 0; i + 1 < m->levels; i++)
		if (entry_read(m, i) & PTE_D)
			return false;
	return !!(leaf & PTE_D) == is_write(a);
}

static void one_case(const struct mapping *m, struct paging_env e, enum access a, uint64_t rsvd)
{
	int want = paging_model(m, e, a, rsvd);
	struct trap *t = paging_access(m, a);
	bool good = want == NO_TRAP ? t->vec == NO_TRAP :
				      t->vec == PF && t->err == (word)want;

	if (good && want != NO_TRAP)
		good = t->cr2 - m->va < 4096;
	group_case(good,
		   "leaf %q, wp %d nxe %d smep %d smap %d, access %d: expected %d got vec %d err %d cr2 %w",
		   entry_read(m, m->levels - 1), e.wp, e.nxe, e.smep, e.smap, a, want, t->vec,
		   (int)t->err, t->cr2);
	if (good)
		group_case(marks_good(m, a, want),
			   "leaf %q top %q access %d, wp %d nxe %d smep %d smap %d: wrong A or D bits",
			   entry_read(m, m->levels - 1), entry_read(m, 0), a, e.wp, e.nxe, e.smep,
			   e.smap);
}

static const uint64_t leaf_bits[16] = {
	PTE_P, PTE_P | PTE_W, PTE_P | PTE_U, PTE_P | PTE_W | PTE_U,
	PTE_P | PTE_NX, PTE_P | PTE_W | PTE_NX, PTE_P | PTE_U | PTE_NX,
	PTE_P | PTE_W | PTE_U | PTE_NX,
	0, PTE_W, PTE_U, PTE_W | PTE_U, PTE_NX, PTE_W | PTE_NX, PTE_U | PTE_NX,
	PTE_W | PTE_U | PTE_NX,
};
#define OPEN (PTE_P | PTE_W | PTE_U)
static const uint64_t upper_bits[5] = {OPEN, OPEN & ~PTE_P, OPEN & ~PTE_W, OPEN & ~PTE_U,
				       OPEN | PTE_NX};

static void all_accesses(const struct mapping *m, struct paging_env e, int upper, uint64_t ubits,
			 uint64_t lbits)
{
	for (enum access a = 0; a < ACCESSES; a++) {
		if ((a == K_READ_AC || a == K_WRITE_AC) && !has_leaf7_b(20))
			continue;
		for (unsigned i = 0; i + 1 < m->levels; i++)
			entry_write(m, i, (int)i == upper ? ubits : OPEN);
		entry_write(m, m->levels - 1, lbits);
		invlpg(m->va);
		one_case(m, e, a, 0);
	}
}

static void all_entries(const struct mapping *m, struct paging_env e)
{
	for (unsigned l = 0; l < 16; l++) {
		if (!m->nx && (leaf_bits[l] & PTE_NX))
			continue;
		all_accesses(m, e, -1, 0, leaf_bits[l]);
		for (int up = 0; up + 1 < (int)m->levels; up++)
			for (unsigned b = 1; b < (m->nx ? 5 : 4); b++)
				all_accesses(m, e, up, upper_bits[b], leaf_bits[l]);
	}
}

void paging_matrix(const struct mapping *m)
{
	struct paging_env best = paging_best_env();

	group_begin(m->name);
	for (unsigned i = 0; i < 16; i++) {
		struct paging_env e = {i & 1, i & 2, i & 4, i & 8};

		if ((e.nxe && !best.nxe) || (e.smep && !best.smep) || (e.smap && !best.smap))
			continue;
		paging_set_env(e);
		all_entries(m, e);
	}
	group_end();
	best.smep = best.smap = false;
	paging_set_env(best);
}

void paging_reserved(const struct mapping *m, const uint64_t *mask)
{
	struct paging_env e = {true, has_ext1_d(20), false, false};

	paging_set_env(e);
	for (unsigned i = 0; i < m->levels; i++)
		for (unsigned bit = 0; bit < 8 * m->width; bit++) {
			if (!(mask[i] >> bit & 1))
				continue;
			mapping_open(m);
			entry_write(m, i, OPEN | 1ull << bit);
			invlpg(m->va);
			one_case(m, e, U_READ, 1ull << bit);
			one_case(m, e, K_WRITE, 1ull << bit);
		}
	mapping_open(m);
}

void paging_ignored(const struct mapping *m, const uint64_t *mask)
{
	struct paging_env e = {true, has_ext1_d(20), false, false};

	paging_set_env(e);
	for (unsigned i = 0; i < m->levels; i++)
		for (unsigned bit = 0; bit < 8 * m->width; bit++) {
			if (!(mask[i] >> bit & 1))
				continue;
			mapping_open(m);
			entry_write(m, i, OPEN | 1ull << bit);
			invlpg(m->va);
			group_case(paging_access(m, U_WRITE)->vec == NO_TRAP,
				   "level %u bit %u must not matter", i, bit);
			group_case((entry_read(m, i) | PTE_A | PTE_D) ==
					   (m->base[i] | OPEN | 1ull << bit | PTE_A | PTE_D),
				   "level %u bit %u must keep", i, bit);
		}
	mapping_open(m);
}
