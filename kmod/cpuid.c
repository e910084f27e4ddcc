// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUID: what guests can be given, what user space gave this one, and the instruction.
 * Source: AMD APM vol. 3 appendix E; Intel SDM vol. 2A CPUID; Linux, Documentation/virt/kvm/api.rst
 * (KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2).
 * Threads: with vcpu->lock, or none.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/kvm_para.h>

#include "lodge.h"

#define B(n) (1u << (n))

/* What of a leaf's feature bits guests can have; all other registers of known leaves are the host's. */
static const struct mask {
	u32 leaf, sub;
	u32 eax, ebx, ecx, edx;
	u32 more_ecx; /* ours, whatever the host says */
} masks[] = {
	/* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4 MOVBE POPCNT AES XSAVE AVX F16C RDRAND; x2APIC, the hypervisor's bit */
	{1, 0, ~0u, ~0u,
	 B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) |
		 B(26) | B(28) | B(29) | B(30),
	 0x078bfbff, B(21) | B(31)},
	/* FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA; UMIP VAES VPCLMUL; FSRM */
	{7, 0, 0,
	 B(0) | B(3) | B(5) | B(7) | B(8) | B(9) | B(10) | B(18) | B(19) | B(20) | B(23) | B(24) |
		 B(29),
	 B(2) | B(8) | B(9) | B(10), B(4), 0},
	/* LAHF CMP_LEGACY CR8 ABM SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM; SYSCALL NX FXSR_OPT 1G RDTSCP LM … */
	{0x80000001, 0, ~0u, ~0u,
	 B(0) | B(1) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21), 0x2fd3fbff, 0},
	{0x80000007, 0, 0, 0, 0, B(8), 0},
	{0x80000008, 0, ~0u, B(0) | B(9), 0xff, 0, 0},
	{0xd, 1, B(0) | B(1) | B(2), 0, 0, 0, 0},
};

/* Leaves that have sub-leaves, and how many are shown. */
static unsigned int subleaves(u32 leaf)
{
	switch (leaf) {
	case 4:
	case 0x8000001d:
		return 8;
	case 7:
		return 1;
	case 0xb:
		return 2;
	case 0xd:
		return 3;
	}
	return 0;
}

u64 lodge_xcr0_supported(void)
{
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return 0;
	/* x87, SSE, AVX. */
	return xgetbv(XCR_XFEATURE_ENABLED_MASK) & 7;
}

/* ---- What there is ------------------------------------------------------------------------------------- */

static void query_host(struct kvm_cpuid_entry2 *e)
{
	cpuid_count(e->function, e->index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	for (unsigned int i = 0; i < ARRAY_SIZE(masks); i++) {
		const struct mask *m = &masks[i];

		if (m->leaf != e->function || m->sub != e->index)
			continue;
		e->eax &= m->eax;
		e->ebx &= m->ebx;
		e->ecx = (e->ecx & m->ecx) | m->more_ecx;
		e->edx &= m->edx;
	}
	if (e->function == 7 && e->index == 0 && lodge_ops->makes_umip)
		e->ecx |= B(2);
	if (e->function == 0xd && e->index == 0) {
		e->eax = lodge_xcr0_supported();
		e->edx = 0;
		e->ebx = e->ecx = e->eax & 4 ? 832 : 576;
	} else if (e->function == 0xd && e->index == 1) {
		e->ebx = e->ecx = e->edx = 0;
	}
}

/* What is ours alone: who we are, and what of the paravirtual interface is here. */
static bool own_leaf(struct kvm_cpuid_entry2 *e)
{
	if (e->function == KVM_CPUID_SIGNATURE) {
		e->eax = KVM_CPUID_FEATURES;
		memcpy(&e->ebx, "KVMK", 4);
		memcpy(&e->ecx, "VMKV", 4);
		memcpy(&e->edx, "M\0\0", 4);
		return true;
	}
	if (e->function != KVM_CPUID_FEATURES)
		return false;
	e->eax = B(KVM_FEATURE_CLOCKSOURCE) | B(KVM_FEATURE_NOP_IO_DELAY) |
		 B(KVM_FEATURE_CLOCKSOURCE2) | B(KVM_FEATURE_POLL_CONTROL) |
		 B(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
	return true;
}

/* clang-format off */
static const u32 leaves[] = {
	0, 1, 2, 4, 7, 0xb, 0xd, 0x80000000, 0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006,
	0x80000007, 0x80000008, 0x8000001d, 0x8000001e, KVM_CPUID_SIGNATURE, KVM_CPUID_FEATURES,
};
/* clang-format on */

static unsigned int collect(struct kvm_cpuid_entry2 *list, unsigned int room)
{
	u32 max_low = cpuid_eax(0), max_high = cpuid_eax(0x80000000);
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(leaves); i++) {
		u32 leaf = leaves[i];
		unsigned int subs = subleaves(leaf);

		if (leaf > (leaf & 0x80000000 ? max_high : max_low) && leaf >> 28 != 4)
			continue;
		for (u32 sub = 0; sub < (subs ? subs : 1); sub++) {
			struct kvm_cpuid_entry2 e = {.function = leaf, .index = sub};

			if (subs)
				e.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
			if (!own_leaf(&e))
				query_host(&e);
			/* Caches end with a type of 0; XSAVE's parts are those of XCR0. */
			if ((leaf == 4 || leaf == 0x8000001d) && !(e.eax & 31))
				break;
			if (leaf == 0xd && sub > 1 && !(lodge_xcr0_supported() >> sub & 1))
				continue;
			if (leaf == 0)
				e.eax = min(e.eax, 0xdu);
			if (leaf == 0x80000000)
				e.eax = min(e.eax, 0x8000001eu);
			if (n < room)
				list[n] = e;
			n++;
		}
	}
	return n;
}

long lodge_cpuid_supported(struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *list;
	unsigned int n;
	u32 room;
	long r = 0;

	if (get_user(room, &arg->nent))
		return -EFAULT;
	list = kcalloc(LODGE_MAX_CPUID, sizeof(*list), GFP_KERNEL_ACCOUNT);
	if (!list)
		return -ENOMEM;
	n = collect(list, LODGE_MAX_CPUID);
	if (n > room)
		r = -E2BIG;
	else if (copy_to_user(arg->entries, list, n * sizeof(*list)) || put_user(n, &arg->nent))
		r = -EFAULT;
	kfree(list);
	return r;
}

/* ---- What this guest was given --------------------------------------------------------------------------- */

long lodge_cpuid_set(struct lodge_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *list;
	u32 n;

	if (get_user(n, &arg->nent))
		return -EFAULT;
	if (n > LODGE_MAX_CPUID)
		return -E2BIG;
	list = lodge_dup_user(arg->entries, array_size(n, sizeof(*list)));
	if (IS_ERR(list))
		return PTR_ERR(list);
	kvfree(vcpu->cpuid);
	vcpu->cpuid = list;
	vcpu->cpuid_count = n;
	return 0;
}

long lodge_cpuid_get(struct lodge_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	u32 room;

	if (get_user(room, &arg->nent))
		return -EFAULT;
	if (room < vcpu->cpuid_count)
		return -E2BIG;
	if (copy_to_user(arg->entries, vcpu->cpuid, vcpu->cpuid_count * sizeof(*vcpu->cpuid)) ||
	    put_user(vcpu->cpuid_count, &arg->nent))
		return -EFAULT;
	return 0;
}

const struct kvm_cpuid_entry2 *lodge_cpuid_find(const struct lodge_vcpu *vcpu, u32 leaf, u32 sub)
{
	for (unsigned int i = 0; i < vcpu->cpuid_count; i++) {
		const struct kvm_cpuid_entry2 *e = &vcpu->cpuid[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == sub))
			return e;
	}
	return NULL;
}

/* ---- The instruction ------------------------------------------------------------------------------------- */

/* Intel's processors answer leaves they do not know with the highest they do; AMD's with zeros. */
static const struct kvm_cpuid_entry2 *beyond(const struct lodge_vcpu *vcpu, u32 leaf, u32 sub)
{
	const struct kvm_cpuid_entry2 *zero = lodge_cpuid_find(vcpu, 0, 0), *first;

	if (!zero || zero->ebx != 0x756e6547) /* "Genu" */
		return NULL;
	first = lodge_cpuid_find(vcpu, leaf & 0x80000000, 0);
	if ((leaf & 0xf0000000) == 0x40000000 || (first && leaf <= first->eax))
		return NULL;
	return lodge_cpuid_find(vcpu, zero->eax, sub);
}

/* Size of the area for what `xcr0` has on. */
static u32 xsave_bytes(const struct lodge_vcpu *vcpu, u64 xcr0)
{
	u32 size = 576;

	for (u32 i = 2; i < 63; i++) {
		const struct kvm_cpuid_entry2 *e =
			xcr0 >> i & 1 ? lodge_cpuid_find(vcpu, 0xd, i) : NULL;

		if (e && e->eax + e->ebx > size)
			size = e->eax + e->ebx;
	}
	return size;
}

void lodge_cpuid_query(struct lodge_vcpu *vcpu, u32 regs[4])
{
	u32 leaf = regs[0], sub = regs[2];
	const struct kvm_cpuid_entry2 *e = lodge_cpuid_find(vcpu, leaf, sub);

	if (!e)
		e = beyond(vcpu, leaf, sub);
	regs[0] = e ? e->eax : 0;
	regs[1] = e ? e->ebx : 0;
	regs[2] = e ? e->ecx : 0;
	regs[3] = e ? e->edx : 0;
	/* Some bits show registers. */
	if (leaf == 1) {
		regs[2] = (regs[2] & ~B(27)) | (vcpu->cr4 & X86_CR4_OSXSAVE ? B(27) : 0);
		if (!(vcpu->msrs.apic_base & 0x800))
			regs[3] &= ~B(9);
	} else if (leaf == 7 && sub == 0) {
		regs[2] = (regs[2] & ~B(4)) | (vcpu->cr4 & X86_CR4_PKE ? B(4) : 0);
	} else if (leaf == 0xd && sub == 0 && e) {
		regs[1] = xsave_bytes(vcpu, vcpu->xcr0);
	} else if (leaf == 0xb && !e) {
		regs[2] = sub & 0xff;
		regs[3] = vcpu->id;
	}
}

int lodge_do_cpuid(struct lodge_vcpu *vcpu, u64 next_rip)
{
	u32 regs[4] = {vcpu->regs[LODGE_RAX], 0, vcpu->regs[LODGE_RCX], 0};

	lodge_cpuid_query(vcpu, regs);
	vcpu->regs[LODGE_RAX] = regs[0];
	vcpu->regs[LODGE_RBX] = regs[1];
	vcpu->regs[LODGE_RCX] = regs[2];
	vcpu->regs[LODGE_RDX] = regs[3];
	return lodge_skip_to(vcpu, next_rip);
}
EXPORT_SYMBOL_GPL(lodge_do_cpuid);
