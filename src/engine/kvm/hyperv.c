// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hyper-V's enlightenments, which KVM serves: what CPUID says of them, and what must be switched on.
 *
 * Guests find Hyper-V in the first hypervisor leaves, and KVM's own behind (x86/hypervisor.h).
 * Source: Hypervisor Top Level Functional Specification 6.0b, §2.4 (leaves); Linux, Documentation/virt/kvm/api.rst
 * (KVM_GET_SUPPORTED_HV_CPUID, KVM_CAP_HYPERV_SYNIC2), KVM_EXIT_HYPERV.
 * Threads: set-up; an exit on the vCPU's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define BIT(n) (1u << (n))

#define LEAF(n) (X86_LEAF_HYPERVISOR + (n))
#define INTERFACE "Hv#1"
#define NEVER_TELL 0xffffffffu
#define CPUS_MAX 64u
#define BUILD 0x3839u /* of the version that this is said to be: 10.0.14393, as QEMU */
#define MAJOR_MINOR 0x000a0000u
#define HYPERCALL_MSRS BIT(5) /* leaf 3 EAX: there whatever is */
#define STATUS_INVALID_CODE 2u

/* A feature: its bits in leaf 3 (EAX, EDX) and leaf 4 (EAX). */
static const struct {
	uint32_t rights, features, advice;
	bool chip; /* the local APICs are to be in the kernel */
} bits[X86_HV_COUNT] = {
	[X86_HV_RELAXED] = {0, 0, BIT(5), false},
	[X86_HV_VAPIC] = {BIT(4), 0, BIT(3), true},
	[X86_HV_TIME] = {BIT(1) | BIT(9), 0, 0, false},
	[X86_HV_RESET] = {BIT(7), 0, 0, false},
	[X86_HV_VPINDEX] = {BIT(6), 0, 0, false},
	[X86_HV_RUNTIME] = {BIT(0), 0, 0, false},
	[X86_HV_SYNIC] = {BIT(2), 0, 0, true},
	[X86_HV_STIMER] = {BIT(3), 0, 0, true},
	[X86_HV_STIMER_DIRECT] = {0, BIT(19), 0, true},
	[X86_HV_FREQUENCIES] = {BIT(11), BIT(8), 0, false},
	[X86_HV_TLBFLUSH] = {0, 0, BIT(2) | BIT(11), false},
	[X86_HV_IPI] = {0, 0, BIT(10) | BIT(11), true},
};

/* What of leaves 3 and 4 the kernel says. */
struct hv_has {
	uint32_t rights, features, advice;
};

static bool is_there(const struct kvm_engine *e, const struct hv_has *k, unsigned f)
{
	return !(bits[f].rights & ~k->rights) && !(bits[f].features & ~k->features) &&
	       !(bits[f].advice & ~k->advice) && (!bits[f].chip || kvm_has_chip(e));
}

/* 0, or -errno with a sentence. */
static int ask(struct kvm_engine *e, struct hv_has *k, struct lodge_err *err)
{
	struct kvm_cpuid_room *l = calloc(1, sizeof(*l));
	const struct kvm_cpuid_entry2 *three, *four;
	int r = 0;

	if (!l)
		return err_set(err, -ENOMEM, "no memory for the processor's features");
	l->nent = KVM_CPUID_MAX;
	if (ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_SYS_HYPERV_CPUID) <= 0 ||
	    ioctl(e->dev, KVM_GET_SUPPORTED_HV_CPUID, l) < 0)
		r = err_set(err, -ENOTSUP,
			    "-cpu: this host's KVM has no enlightenments of Hyper-V (hv_...); "
			    "leave them out, Windows runs without");
	three = r ? NULL : kvm_cpuid_find(l, LEAF(3), 0);
	four = r ? NULL : kvm_cpuid_find(l, LEAF(4), 0);
	*k = (struct hv_has){.rights = three ? three->eax : 0,
			     .features = three ? three->edx : 0,
			     .advice = four ? four->eax : 0};
	free(l);
	return r;
}

static int put_leaves(struct kvm_engine *e, uint32_t hv, struct lodge_err *err)
{
	struct x86_cpuid *c = &e->cpuid;
	struct x86_cpuid_leaf *l[6];

	for (unsigned n = 1; n <= 5; n++) {
		l[n] = kvm_leaf(c, LEAF(n));
		if (!l[n])
			return err_set(err, -ENOSPC, "no room for Hyper-V's leaves of CPUID");
	}
	if (!kvm_leaf_sign(c, LEAF(0), LEAF(5), "Microsoft Hv"))
		return err_set(err, -ENOSPC, "no room for Hyper-V's leaves of CPUID");
	memcpy(&l[1]->eax, INTERFACE, 4);
	l[2]->eax = BUILD;
	l[2]->ebx = MAJOR_MINOR;
	l[3]->eax = HYPERCALL_MSRS;
	for (unsigned f = 0; f < X86_HV_COUNT; f++) {
		if (!(hv & BIT(f)))
			continue;
		l[3]->eax |= bits[f].rights;
		l[3]->edx |= bits[f].features;
		l[4]->eax |= bits[f].advice;
	}
	l[4]->ebx = c->pv.hv_spinlocks ? c->pv.hv_spin : NEVER_TELL;
	l[5]->eax = l[5]->ebx = CPUS_MAX;
	return 0;
}

/* What a guest that was saved has seen, as features; all bits of it must be there still. */
static int restored(struct kvm_engine *e, struct lodge_err *err)
{
	const struct x86_cpuid *c = &e->cpuid;
	struct hv_has saw = {0, 0, 0}, k;
	bool is_hv = false;
	int r;

	for (unsigned i = 0; i < c->count; i++) {
		const struct x86_cpuid_leaf *l = &c->leaf[i];

		if (l->leaf == LEAF(1) && !memcmp(&l->eax, INTERFACE, 4))
			is_hv = true;
		if (l->leaf == LEAF(3)) {
			saw.rights = l->eax & ~HYPERCALL_MSRS;
			saw.features = l->edx;
		}
		if (l->leaf == LEAF(4))
			saw.advice = l->eax;
	}
	if (!is_hv)
		return 0;
	r = ask(e, &k, err);
	if (r)
		return r;
	for (unsigned f = 0; f < X86_HV_COUNT; f++) {
		bool has_it = !(bits[f].rights & ~saw.rights) &&
			      !(bits[f].features & ~saw.features) &&
			      !(bits[f].advice & ~saw.advice);

		if (has_it)
			e->hv |= BIT(f);
		if (has_it && !is_there(e, &k, f))
			return err_set(err, -ENOTSUP,
				       "the saved guest uses %s, which this host's KVM, or this "
				       "kernel-irqchip=, does not give it",
				       x86_hyperv_name((enum x86_hyperv)f));
	}
	return 0;
}

int kvm_hv_prepare(struct kvm_engine *e, struct lodge_err *err)
{
	const struct x86_hypervisor *h = &e->cpuid.pv;
	struct hv_has k;
	int r;

	if (h->kvm == X86_PV_WHOLE)
		return restored(e, err);
	if (!x86_hypervisor_has_hv(h))
		return 0;
	if (!e->cpuid.has[X86_FEAT_HYPERVISOR])
		return err_set(err, -EINVAL, "-cpu: -hypervisor and hv_... do not go together");
	r = ask(e, &k, err);
	if (r)
		return r;
	for (unsigned f = 0; f < X86_HV_COUNT; f++) {
		if (is_there(e, &k, f))
			e->hv |= h->hv_passthrough ? BIT(f) : h->hv & BIT(f);
		else if (h->hv & BIT(f))
			return err_set(err, -ENOTSUP,
				       "-cpu: this host's KVM does not give guests %s%s; leave it "
				       "out",
				       x86_hyperv_name((enum x86_hyperv)f),
				       bits[f].chip && !kvm_has_chip(e) ? " with kernel-irqchip=off"
									: "");
	}
	return put_leaves(e, e->hv, err);
}

int kvm_hv_set_up(struct kvm_cpu *cpu, struct lodge_err *err)
{
	struct kvm_enable_cap synic = {.cap = KVM_CAP_HYPERV_SYNIC2};

	if ((cpu->e->hv & BIT(X86_HV_SYNIC)) && ioctl(cpu->fd, KVM_ENABLE_CAP, &synic) < 0)
		return err_set(err, -errno,
			       "KVM does not switch on hv-synic: %s; leave it out of -cpu",
			       strerror(errno));
	return 0;
}

enum kvm_next kvm_hv_exit(struct kvm_cpu *cpu)
{
	struct kvm_hyperv_exit *x = &cpu->run->hyperv;

	/* Messages and events are for devices of VMBus, which there are none of; pages are the kernel's. */
	if (x->type == KVM_EXIT_HYPERV_HCALL)
		x->u.hcall.result = STATUS_INVALID_CODE;
	cpu->unfinished = true;
	return NEXT_RUN;
}
