// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What guests are told of the hypervisor below: KVM's own leaves. Hyper-V's are in hyperv.c, the clock in pause.c.
 *
 * A guest that was saved has seen its leaves. It gets what it saw, or is refused.
 * Source: Linux, Documentation/virt/kvm/x86/cpuid.rst, msr.rst; api.rst (KVM_CAP_ENFORCE_PV_FEATURE_CPUID).
 * Threads: set-up; kvm_clock_tsc_moved the vCPU's own, or another's while it does not run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

#define BIT(n) (1u << (n))

/* What asks the kernel's local APICs for something. */
#define NEEDS_CHIP                                                            \
	(BIT(X86_KVM_PV_EOI) | BIT(X86_KVM_PV_UNHALT) | BIT(X86_KVM_PV_IPI) | \
	 BIT(X86_KVM_PV_SCHED_YIELD))

static const char kvm_signature[12] = {'K', 'V', 'M', 'K', 'V', 'M', 'K', 'V', 'M'};

/* ---- CPUID -------------------------------------------------------------------------------------- */

struct x86_cpuid_leaf *kvm_leaf(struct x86_cpuid *c, uint32_t leaf)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (c->leaf[i].leaf == leaf)
			return &c->leaf[i];
	}
	if (c->count >= X86_CPUID_LEAVES)
		return NULL;
	c->leaf[c->count] = (struct x86_cpuid_leaf){.leaf = leaf};
	return &c->leaf[c->count++];
}

static bool has_leaf(const struct x86_cpuid *c, uint32_t leaf, const char signature[12],
		     uint32_t *features)
{
	bool there = false;

	for (unsigned i = 0; i < c->count; i++) {
		const struct x86_cpuid_leaf *l = &c->leaf[i];

		there |= l->leaf == leaf && !memcmp(&l->ebx, signature, 4) &&
			 !memcmp(&l->ecx, signature + 4, 4) && !memcmp(&l->edx, signature + 8, 4);
		if (l->leaf == leaf + 1)
			*features = l->eax;
	}
	return there;
}

bool kvm_leaf_sign(struct x86_cpuid *c, uint32_t leaf, uint32_t last, const char signature[12])
{
	struct x86_cpuid_leaf *l = kvm_leaf(c, leaf);

	if (!l)
		return false;
	l->eax = last;
	memcpy(&l->ebx, signature, 4);
	memcpy(&l->ecx, signature + 4, 4);
	memcpy(&l->edx, signature + 8, 4);
	return true;
}

void kvm_gone_add(char *gone, size_t size, const char *name)
{
	size_t used = strlen(gone);

	if (used + strlen(name) + 3 < size)
		snprintf(gone + used, size - used, "%s%s", used ? ", " : "", name);
}

static int restored(struct kvm_engine *e, uint32_t has, struct lodge_err *err)
{
	uint32_t saw = 0, lacks;

	if (!has_leaf(&e->cpuid, X86_LEAF_HYPERVISOR, kvm_signature, &saw) &&
	    !has_leaf(&e->cpuid, X86_LEAF_HYPERVISOR_2, kvm_signature, &saw))
		return 0;
	e->pv_features = saw;
	lacks = saw & ~has;
	if (!lacks)
		return 0;
	return err_set(err, -ENOTSUP,
		       "the saved guest uses %s, which this host's KVM, or this kernel-irqchip=, "
		       "does not give it",
		       x86_kvm_feature_name((unsigned)__builtin_ctz(lacks))
			       ? x86_kvm_feature_name((unsigned)__builtin_ctz(lacks))
			       : "a feature of KVM");
}

int kvm_pv_prepare(struct kvm_engine *e, const struct kvm_cpuid_room *l, char *gone, size_t size,
		   struct lodge_err *err)
{
	const struct kvm_cpuid_entry2 *k = kvm_cpuid_find(l, X86_LEAF_HYPERVISOR + 1, 0);
	const struct x86_hypervisor *h = &e->cpuid.pv;
	uint32_t has = k ? k->eax & x86_kvm_features() : 0, base = X86_LEAF_HYPERVISOR;
	struct x86_cpuid_leaf *features;

	if (!kvm_has_chip(e))
		has &= ~NEEDS_CHIP;
	if (h->kvm == X86_PV_WHOLE)
		return restored(e, has, err);
	for (unsigned bit = 0; bit < 32; bit++) {
		if (h->kvm_on & ~has & BIT(bit))
			kvm_gone_add(gone, size, x86_kvm_feature_name(bit));
	}
	if (h->kvm == X86_PV_OFF || !e->cpuid.has[X86_FEAT_HYPERVISOR])
		return 0;
	/*
	 * A kernel that does not trust its TSC moves the guest's, which local APICs here do not hear of. Under a loaded
	 * emulator one Debian of five then came to a stop with this clock.
	 */
	if (h->kvm == X86_PV_AUTO && !kvm_has_chip(e) && !h->kvm_on)
		return 0;
	if (x86_hypervisor_has_hv(h))
		base = X86_LEAF_HYPERVISOR_2;
	e->pv_features = has & ~h->kvm_off;
	/* Ours, of frequencies, stays, if the first leaf may go so far. */
	if (!kvm_leaf_sign(&e->cpuid, base,
			   base == X86_LEAF_HYPERVISOR ? X86_LEAF_HYPERVISOR + 0x10 : base + 1,
			   kvm_signature))
		return err_set(err, -ENOSPC, "no room for KVM's leaves of CPUID");
	features = kvm_leaf(&e->cpuid, base + 1);
	if (!features)
		return err_set(err, -ENOSPC, "no room for KVM's leaves of CPUID");
	features->eax = e->pv_features;
	return 0;
}

void kvm_pv_enforce(struct kvm_cpu *cpu)
{
	struct kvm_enable_cap on = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args[0] = 1};

	/* A guest that was not told finds nothing there. Older kernels give it all the same. */
	(void)!ioctl(cpu->fd, KVM_ENABLE_CAP, &on);
}

/* ---- The clock, by the TSC ---------------------------------------------------------------------- */

void kvm_clock_tsc_moved(struct kvm_cpu *cpu)
{
	uint64_t place = kvm_get_msr(cpu, MSR_PV_SYSTEM_TIME);

	/* The kernel works the clock's page out again when its place is written. */
	if ((place & 1) && kvm_set_msr(cpu, MSR_PV_SYSTEM_TIME, place))
		log_trace(LOG_UNIMP, "cpu%u: KVM refuses its clock's place\n", cpu->index);
}
