// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers to CPUID. Apart from cpuid.c, since it runs while the guest's SIMD registers are live.
 * Source: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E.
 * Threads: any; the table is only read.
 */
#include "x86/cpuid_int.h"

enum { EAX, EBX, ECX, EDX };

static bool has_subleaves(uint32_t leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
}

static const struct x86_cpuid_leaf *find_leaf(const struct x86_cpuid *c, uint32_t leaf,
					      uint32_t sub)
{
	if (!has_subleaves(leaf))
		sub = 0;
	for (unsigned i = 0; i < c->count; i++) {
		if (c->leaf[i].leaf == leaf && c->leaf[i].subleaf == sub)
			return &c->leaf[i];
	}
	return NULL;
}

static uint32_t xsave_bytes(uint64_t xcr0)
{
	return xcr0 & 4 ? 832 : 576;
}

/* The parts of an answer that depend on the vCPU and its state. */
static void fill_dynamic(const struct x86_cpuid *c, unsigned cpu, uint64_t cr4, uint64_t xcr0,
			 bool apic_on, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	switch (leaf) {
	case 1:
		r[EBX] |= (cpu & 0xff) << 24;
		if (cr4 & (1u << 18) && c->has[X86_FEAT_XSAVE])
			r[ECX] |= 1u << 27; /* OSXSAVE */
		if (!apic_on)
			r[EDX] &= ~(1u << 9);
		break;
	case 0xb:
		r[ECX] |= sub & 0xff;
		r[EDX] = cpu;
		break;
	case 0xd:
		if (sub == 0 && r[EAX])
			r[EBX] = xsave_bytes(xcr0);
		else if (sub == 1 && (r[EAX] & 0xa)) /* XSAVEC or XSAVES: the compacted size */
			r[EBX] = xsave_bytes(xcr0);
		break;
	case 0x80000001:
		if (!apic_on)
			r[EDX] &= ~(1u << 9);
		break;
	case 0x8000001e:
		if (c->has[X86_FEAT_TOPOEXT]) {
			r[EAX] = cpu;
			r[EBX] = cpu & 0xff; /* one thread a core */
		}
		break;
	default:
		break;
	}
}

void x86_cpuid_query(const struct x86_cpuid *c, unsigned cpu, uint64_t cr4, uint64_t xcr0,
		     bool apic_on, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	const struct x86_cpuid_leaf *l = find_leaf(c, leaf, subleaf);

	regs[EAX] = l ? l->eax : 0;
	regs[EBX] = l ? l->ebx : 0;
	regs[ECX] = l ? l->ecx : 0;
	regs[EDX] = l ? l->edx : 0;
	fill_dynamic(c, cpu, cr4, xcr0, apic_on, leaf, subleaf, regs);
}
