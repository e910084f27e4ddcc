/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can this host run guests by KVM? Threads: one probe at a time.
 */
#ifndef LODGE_ENGINE_PROBE_H
#define LODGE_ENGINE_PROBE_H

enum kvm_verdict {
	KVM_GOOD,
	KVM_ABSENT,	  /* no device */
	KVM_FORBIDDEN,	  /* not for this user */
	KVM_OFF,	  /* a device, but nothing that virtualizes behind it */
	KVM_OTHER,	  /* the device is something else */
	KVM_OLD,	  /* lacks what we need */
	KVM_NOT_HARDWARE, /* the ABI is there, but an unmodified operating system would not run */
	KVM_FAILS,
};

struct kvm_probe {
	enum kvm_verdict verdict;
	char why[200], mend[320]; /* sentences without a full stop; empty when good */
};

/* Find out, by two tiny guests: 5 ms on hardware, 110 ms at most where there is none. */
void engine_kvm_probe(const char *device, struct kvm_probe *out);

#endif
