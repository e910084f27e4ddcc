// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What guests see in CPUID: the machine's model, less what the kernel cannot give.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2); AMD APM
 * vol. 3 appendix E; Intel SDM vol. 2A CPUID.
 * Threads: set-up only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

enum { EAX, EBX, ECX, EDX };

/*
 * The registers that say what there is. `ours`: bits that we provide, whatever the kernel says.
 * `passed`: bits guests get if the kernel has them, though no model names them: they say how to
 * keep the host's processor from leaking.
 */
static const struct {
	uint32_t leaf, subleaf;
	uint8_t reg;
	uint32_t ours, passed;
} masks[] = {
	/* x2APIC, TSC deadline, OSXSAVE (by CR4), hypervisor */
	{1, 0, ECX, 1u << 21 | 1u << 24 | 1u << 27 | 1u << 31, 0},
	{1, 0, EDX, 1u << 9 | 1u << 28, 0}, /* APIC, several CPUs */
	{7, 0, EBX, 1u << 1, 0},	    /* TSC_ADJUST */
	{7, 0, ECX, 0, 0},
	/* MD_CLEAR, IBRS, STIBP, L1D_FLUSH, SSBD */
	{7, 0, EDX, 0, 1u << 10 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 31},
	{0xd, 1, EAX, 0, 0},
	{0x80000001, 0, ECX, 1u << 1 | 1u << 22, 0}, /* CMP_LEGACY, topology */
	{0x80000001, 0, EDX, 1u << 9, 0},
	{0x80000007, 0, EDX, 0, 0},
	/* IBPB, IBRS, STIBP, SSBD, VIRT_SSBD */
	{0x80000008, 0, EBX, 0, 1u << 12 | 1u << 14 | 1u << 15 | 1u << 24 | 1u << 25},
	{0x80000021, 0, EAX, 0, 0},
};

const struct kvm_cpuid_entry2 *kvm_cpuid_find(const struct kvm_cpuid_room *l, uint32_t leaf,
					      uint32_t sub)
{
	for (unsigned i = 0; i < l->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &l->entry[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == sub))
			return e;
	}
	return NULL;
}

static uint32_t entry_reg(const struct kvm_cpuid_entry2 *e, unsigned reg)
{
	const uint32_t regs[4] = {e->eax, e->ebx, e->ecx, e->edx};

	return regs[reg];
}

static uint32_t *leaf_reg(struct x86_cpuid_leaf *l, unsigned reg)
{
	uint32_t *const regs[4] = {&l->eax, &l->ebx, &l->ecx, &l->edx};

	return regs[reg];
}

static struct x86_cpuid_leaf *leaf_of(struct x86_cpuid *c, uint32_t leaf, uint32_t sub)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (c->leaf[i].leaf == leaf && c->leaf[i].subleaf == sub)
			return &c->leaf[i];
	}
	return NULL;
}

/* Where a feature bit is. */
static const struct {
	uint32_t leaf, subleaf;
	uint8_t reg, bit;
} places[X86_FEAT_COUNT] = {
#define FEAT(id, name, l, s, r, b) [X86_FEAT_##id] = {l, s, r, b},
	X86_FEATURES(FEAT)
#undef FEAT
};

/* Takes from the model's leaves what the kernel lacks. */
static void mask_leaves(struct x86_cpuid *c, const struct kvm_cpuid_room *kvm)
{
	for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
		struct x86_cpuid_leaf *l = leaf_of(c, masks[i].leaf, masks[i].subleaf);
		const struct kvm_cpuid_entry2 *k =
			kvm_cpuid_find(kvm, masks[i].leaf, masks[i].subleaf);
		uint32_t has = k ? entry_reg(k, masks[i].reg) : 0, *reg;

		if (!l)
			continue;
		reg = leaf_reg(l, masks[i].reg);
		*reg &= has | masks[i].ours;
		*reg |= has & masks[i].passed;
	}
}

/* has[] as the leaves are now; and a list of the names that went. */
static void drop_features(struct x86_cpuid *c, char *gone, size_t size)
{
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		struct x86_cpuid_leaf *l = leaf_of(c, places[f].leaf, places[f].subleaf);
		const char *name = x86_feature_name((enum x86_feature)f);

		if (!c->has[f] || !l || *leaf_reg(l, places[f].reg) >> places[f].bit & 1)
			continue;
		/* One vCPU has no use for it, and does not show it. */
		if (f == X86_FEAT_HTT)
			continue;
		c->has[f] = false;
		kvm_gone_add(gone, size, name);
	}
}

/* XSAVE's leaves follow XCR0's mask. */
static void limit_xsave(struct kvm_engine *e, const struct kvm_cpuid_room *kvm)
{
	const struct kvm_cpuid_entry2 *k = kvm_cpuid_find(kvm, 0xd, 0);
	struct x86_cpuid_leaf *l = leaf_of(&e->cpuid, 0xd, 0);
	uint64_t host = k ? k->eax & 7 : 0;

	e->xcr0 = host ? host : 3;
	e->cpuid.xcr0_mask &= host;
	if (!l || !l->eax)
		return;
	l->eax = (uint32_t)e->cpuid.xcr0_mask;
	l->ebx = l->ecx = l->eax & 4 ? 832 : 576;
}

static int supported(const struct kvm_engine *e, struct kvm_cpuid_room *l, struct lodge_err *err)
{
	memset(l, 0, sizeof(*l));
	l->nent = KVM_CPUID_MAX;
	if (ioctl(e->dev, KVM_GET_SUPPORTED_CPUID, l) == 0)
		return 0;
	return err_set(err, -errno, "KVM does not say what processor it gives guests: %s",
		       strerror(errno));
}

/* What the host's processor need not have worked around is the kernel's to say. */
static uint64_t host_arch_caps(const struct kvm_engine *e)
{
	struct kvm_one_msr m = {.nmsrs = 1, .entry.index = MSR_ARCH_CAPABILITIES};

	return ioctl(e->dev, KVM_GET_MSRS, &m) == 1 ? m.entry.data : 0;
}

/*
 * Registers that could not be had from the machine's APIC. On VT-x the kernel takes writes of the TSC deadline by a
 * short way of its own, which looks at no filter and forgets them where it has no APIC.
 */
static void hide_apic_msrs(struct kvm_engine *e)
{
	struct x86_cpuid_leaf *one = leaf_of(&e->cpuid, 1, 0);

	if (!one)
		return;
	if (kvm_has_chip(e)) {
		if (ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) <= 0)
			one->ecx &= ~(1u << 24);
		return;
	}
	if (!e->has_msr_exits)
		one->ecx &= ~(1u << 21);
	if (!e->has_msr_exits || !e->cpuid.amd)
		one->ecx &= ~(1u << 24);
}

int kvm_cpuid_prepare(struct kvm_engine *e, struct lodge_err *err)
{
	struct kvm_cpuid_room *l = malloc(sizeof(*l));
	char gone[400] = "";
	int r;

	if (!l)
		return err_set(err, -ENOMEM, "no memory for the processor's features");
	e->cpuid = *e->cfg.cpuid;
	e->cpuid.tsc_guest_khz = e->cpuid.tsc_host_khz = 0;
	r = supported(e, l, err);
	if (r == 0) {
		hide_apic_msrs(e);
		mask_leaves(&e->cpuid, l);
		limit_xsave(e, l);
		drop_features(&e->cpuid, gone, sizeof(gone));
		e->arch_caps = host_arch_caps(e);
		r = kvm_hv_prepare(e, err);
		if (!r)
			r = kvm_pv_prepare(e, l, gone, sizeof(gone), err);
		if (!r && gone[0])
			fprintf(stderr,
				"lodge: this host's KVM has not, and so the guest has not: %s\n",
				gone);
	}
	free(l);
	return r;
}

static bool has_subleaves(uint32_t leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
}

int kvm_cpuid_set(struct kvm_cpu *cpu, struct lodge_err *err)
{
	const struct x86_cpuid *c = &cpu->e->cpuid;
	struct kvm_cpuid_room *l = calloc(1, sizeof(*l));
	int r = 0;

	_Static_assert(X86_CPUID_LEAVES <= KVM_CPUID_MAX, "all fit");
	if (!l)
		return err_set(err, -ENOMEM, "no memory for the processor's features");
	for (unsigned i = 0; i < c->count; i++) {
		struct kvm_cpuid_entry2 *k = &l->entry[i];
		uint32_t regs[4];

		/* OSXSAVE, the APIC's bit and sizes by XCR0 the kernel keeps by itself. */
		x86_cpuid_query(c, cpu->index, 0, 1, true, c->leaf[i].leaf, c->leaf[i].subleaf,
				regs);
		*k = (struct kvm_cpuid_entry2){.function = c->leaf[i].leaf,
					       .index = c->leaf[i].subleaf,
					       .eax = regs[EAX],
					       .ebx = regs[EBX],
					       .ecx = regs[ECX],
					       .edx = regs[EDX]};
		if (has_subleaves(k->function))
			k->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
	l->nent = c->count;
	if (ioctl(cpu->fd, KVM_SET_CPUID2, l) < 0)
		r = err_set(err, -errno, "KVM refuses this processor model: %s; try another -cpu",
			    strerror(errno));
	free(l);
	/* A kernel that refuses it answers the guest with its own. */
	if (!r && c->has[X86_FEAT_ARCH_CAPABILITIES] &&
	    kvm_set_msr(cpu, MSR_ARCH_CAPABILITIES, cpu->e->arch_caps))
		log_trace(LOG_UNIMP, "cpu%u: KVM refuses ARCH_CAPABILITIES\n", cpu->index);
	return r;
}
