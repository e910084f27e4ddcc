/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guests are told of a hypervisor: KVM's paravirtual features, and Hyper-V's enlightenments. Only an engine that has
 * KVM below it can give them; here is what was asked for, and what CPUID says of it.
 * Source: Linux, Documentation/virt/kvm/x86/cpuid.rst; Hypervisor Top Level Functional Specification 6.0b, §2.4.
 * Threads: no shared state.
 */
#ifndef LODGE_X86_HYPERVISOR_H
#define LODGE_X86_HYPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define X86_LEAF_HYPERVISOR 0x40000000u	  /* the first one: highest leaf, signature */
#define X86_LEAF_HYPERVISOR_2 0x40000100u /* KVM's, where Hyper-V has the first */

/* Bits of KVM's feature leaf (its first + 1, EAX). */
enum x86_kvm_feature {
	X86_KVM_CLOCK_OLD = 0,
	X86_KVM_NOPIODELAY = 1,
	X86_KVM_CLOCK = 3,
	X86_KVM_STEAL_TIME = 5,
	X86_KVM_PV_EOI = 6,
	X86_KVM_PV_UNHALT = 7,
	X86_KVM_PV_TLB_FLUSH = 9,
	X86_KVM_PV_IPI = 11,
	X86_KVM_POLL_CONTROL = 12,
	X86_KVM_PV_SCHED_YIELD = 13,
	X86_KVM_CLOCK_STABLE = 24,
};

enum x86_hyperv {
	X86_HV_RELAXED,
	X86_HV_VAPIC,
	X86_HV_TIME,
	X86_HV_RESET,
	X86_HV_VPINDEX,
	X86_HV_RUNTIME,
	X86_HV_SYNIC,
	X86_HV_STIMER,
	X86_HV_STIMER_DIRECT,
	X86_HV_FREQUENCIES,
	X86_HV_TLBFLUSH,
	X86_HV_IPI,
	X86_HV_COUNT
};

struct x86_hypervisor {
	/*
	 * WHOLE: the leaves are what the guest has seen already, and nothing is to be added. AUTO: an engine with KVM
	 * below gives its features.
	 */
	enum { X86_PV_WHOLE, X86_PV_AUTO, X86_PV_ON, X86_PV_OFF } kvm;
	uint32_t kvm_on, kvm_off; /* features by name */
	uint32_t hv;		  /* bits of enum x86_hyperv */
	bool hv_passthrough;	  /* all that there are */
	bool hv_spinlocks;	  /* hv_spin: how often to try before the hypervisor is told */
	uint32_t hv_spin;
};

/*
 * A word of -cpu: its name, and its value or NULL. 1: taken; 0: it is of something else; -EINVAL with a sentence.
 */
int x86_hypervisor_word(struct x86_hypervisor *h, const char *name, size_t len, bool on,
			const char *val, size_t val_len, struct lodge_err *err) MUST_CHECK;
/* All words are there: what needs what. */
int x86_hypervisor_settle(struct x86_hypervisor *h, struct lodge_err *err) MUST_CHECK;
static inline bool x86_hypervisor_has_hv(const struct x86_hypervisor *h)
{
	return h->hv || h->hv_passthrough || h->hv_spinlocks;
}

/* For people: "kvm-steal-time", "hv-synic". NULL: no such. */
const char *x86_kvm_feature_name(unsigned bit);
const char *x86_hyperv_name(enum x86_hyperv f);
/* All names, wrapped, for `-cpu help`. */
void x86_hypervisor_print(FILE *out);
/* Of KVM's feature leaf, all that we know. */
uint32_t x86_kvm_features(void);

#endif
