// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's own page tables, walked as its processor would: for the emulator.
 * Source: AMD APM vol. 2 §5; Intel SDM 3A §4.
 * Threads: the vCPU's own; srcu is held; may sleep.
 */
#include <linux/kernel.h>

#include "lodge.h"

#define P 1u
#define W 2u
#define U 4u
#define A (1u << 5)
#define D (1u << 6)
#define PS (1u << 7)
#define NX (1ull << 63)

/* Of #PF's error code. */
#define PF_P 1u
#define PF_W 2u
#define PF_U 4u
#define PF_RSVD 8u
#define PF_FETCH 16u

#define TRIES 8 /* entries that others change under us */

struct shape {
	unsigned int levels, bits;
	bool wide; /* entries of 8 bytes */
};

static struct shape shape_of(const struct lodge_vcpu *vcpu)
{
	if (!(vcpu->cr4 & X86_CR4_PAE))
		return (struct shape){.levels = 2, .bits = 10};
	if (!lodge_long_mode(vcpu))
		return (struct shape){.levels = 3, .bits = 9, .wide = true};
	return (struct shape){.levels = vcpu->cr4 & X86_CR4_LA57 ? 5 : 4, .bits = 9, .wide = true};
}

static int no(const struct lodge_vcpu *vcpu, struct lodge_walk *w, unsigned int access, u32 why)
{
	w->error = why | (access & LODGE_WRITE ? PF_W : 0) | (access & LODGE_USER ? PF_U : 0);
	if ((access & LODGE_FETCH) && ((vcpu->efer & EFER_NX) || (vcpu->cr4 & X86_CR4_SMEP)))
		w->error |= PF_FETCH;
	return -EFAULT;
}

/* May it, by what all levels together allow? */
static bool allowed(struct lodge_vcpu *vcpu, unsigned int access, bool writable, bool user, bool nx)
{
	if ((access & LODGE_FETCH) && nx && (vcpu->efer & EFER_NX))
		return false;
	if (access & LODGE_USER)
		return user && (writable || !(access & LODGE_WRITE));
	if (user && (access & LODGE_FETCH) && (vcpu->cr4 & X86_CR4_SMEP))
		return false;
	if (user && !(access & LODGE_FETCH) && (vcpu->cr4 & X86_CR4_SMAP) &&
	    ((access & LODGE_SYSTEM) || !(vcpu->rflags & X86_EFLAGS_AC)))
		return false;
	return writable || !(access & LODGE_WRITE) || !(vcpu->cr0 & X86_CR0_WP);
}

static u64 frame(u64 pte, const struct shape *s, unsigned int level)
{
	u64 addr = s->wide ? pte & LODGE_PTE_ADDR : pte & 0xfffff000u;

	if (level > 1) {
		u64 size = PAGE_SIZE << (level - 1) * s->bits;

		/* 4 MiB pages of 32-bit paging have more address bits below. */
		if (!s->wide)
			return (addr & 0xffc00000u) | (pte >> 13 & 0xff) << 32;
		addr &= ~(size - 1);
	}
	return addr;
}

static int walk_once(struct lodge_vcpu *vcpu, u64 lin, unsigned int access, struct lodge_walk *w)
{
	struct shape s = shape_of(vcpu);
	u64 table = s.wide && !lodge_long_mode(vcpu) ? vcpu->cr3 & 0xffffffe0u
						     : vcpu->cr3 & LODGE_PTE_ADDR;
	bool writable = true, user = true, nx = false;

	for (unsigned int level = s.levels;; level--) {
		unsigned int shift = PAGE_SHIFT + (level - 1) * s.bits;
		u64 at, pte = 0, set;
		bool root_pae = s.levels == 3 && level == 3, leaf;
		int r;

		at = table + (lin >> shift & ((1u << s.bits) - 1)) * (s.wide ? 8 : 4);
		/* Four entries, of two bits. */
		if (root_pae)
			at = table + (lin >> 30 & 3) * 8;
		r = lodge_read_gpa(vcpu->vm, at, &pte, s.wide ? 8 : 4);
		if (r)
			return r;
		if (!(pte & P))
			return no(vcpu, w, access, 0);
		leaf = level == 1 || ((pte & PS) && !root_pae && level <= 3 &&
				      (s.wide || (vcpu->cr4 & X86_CR4_PSE)));
		if (s.wide && (pte & NX) && !(vcpu->efer & EFER_NX))
			return no(vcpu, w, access, PF_P | PF_RSVD);
		if (!root_pae) {
			writable &= (pte & W) != 0;
			user &= (pte & U) != 0;
			nx |= s.wide && (pte & NX);
		}
		if (leaf && !allowed(vcpu, access, writable, user, nx))
			return no(vcpu, w, access, PF_P);
		set = pte | (root_pae ? 0 : A) | (leaf && (access & LODGE_WRITE) ? D : 0);
		/* Tables in read-only memory keep their bits. */
		if (set != pte &&
		    lodge_cmpxchg_gpa(vcpu->vm, at, &pte, &set, s.wide ? 8 : 4) == -EAGAIN)
			return -EAGAIN;
		if (leaf) {
			w->gpa = frame(pte, &s, level) | (lin & ((1ull << shift) - 1));
			return 0;
		}
		table = s.wide ? pte & LODGE_PTE_ADDR : pte & 0xfffff000u;
	}
}

int lodge_walk(struct lodge_vcpu *vcpu, u64 lin, unsigned int access, struct lodge_walk *w)
{
	int r;

	if (!(vcpu->cr0 & X86_CR0_PG)) {
		w->gpa = (u32)lin;
		return 0;
	}
	for (unsigned int i = 0; i < TRIES; i++) {
		r = walk_once(vcpu, lin, access, w);
		if (r != -EAGAIN)
			return r;
	}
	return -ENOENT;
}
