/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models: what CPUID tells the guest, from the host's own CPUID, a named baseline and
 * `+feature,-feature`. Source: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E.
 */
#ifndef LODGE_X86_CPUID_H
#define LODGE_X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/clock.h"

#include "x86/hypervisor.h"

/* Feature bits the engine or its users ask about. */
#include "x86/features.h"

struct x86_cpuid_leaf {
	uint32_t leaf, subleaf;
	uint32_t eax, ebx, ecx, edx;
};

#define X86_CPUID_LEAVES 64
struct x86_cpuid {
	char model[32]; /* "max", "qemu64", … */
	unsigned count;
	struct x86_cpuid_leaf leaf[X86_CPUID_LEAVES];
	bool has[X86_FEAT_COUNT]; /* decoded from the leaves */
	bool amd; /* AuthenticAMD or HygonGenuine: where Intel and AMD differ, the guest sees AMD */
	uint8_t phys_bits, virt_bits;
	uint64_t tsc_hz; /* the host's, measured or from its CPUID; a restored guest's own */
	uint64_t host_tsc_hz; /* the host's, where that is another; else 0 */
	/* An engine that has the processor scale the host's TSC for the guest: by these, in kHz. 0: not. */
	uint32_t tsc_guest_khz, tsc_host_khz;
	uint64_t xcr0_mask; /* bits XSETBV accepts */
	uint32_t mxcsr_mask;
	uint64_t arch_caps; /* IA32_ARCH_CAPABILITIES */
	struct x86_hypervisor pv;
};

/* What the guest's TSC shows when the host's shows `host`, less its offset. */
static inline uint64_t x86_tsc_scale(const struct x86_cpuid *c, uint64_t host)
{
	return c->tsc_guest_khz ? mul_div_u64(host, c->tsc_guest_khz, c->tsc_host_khz) : host;
}

/* Guests' processors are of the same make (docs/adr/0006). */
bool x86_host_is_amd(void);

/* Why an engine that is none of KVM's cannot run this guest, in `err`; 0: it can. */
int x86_cpuid_needs_kvm(const struct x86_cpuid *c, struct lodge_err *err) MUST_CHECK;

/*
 * Build the table for `spec` ("max", "x86-64-v2,+aes,-avx2", NULL = "max") and `cpus` vCPUs.
 * A feature the host lacks, an unknown model or feature name: -EINVAL with a sentence.
 */
int x86_cpuid_build(struct x86_cpuid *out, const char *spec, unsigned cpus, struct lodge_err *err)
	MUST_CHECK;

/*
 * Answer CPUID for vCPU `cpu`. The parts that depend on state (OSXSAVE from CR4, APIC id, sizes
 * from XCR0) are filled here.
 */
void x86_cpuid_query(const struct x86_cpuid *c, unsigned cpu, uint64_t cr4, uint64_t xcr0,
		     bool apic_on, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/* Print "name" of every feature the guest gets, wrapped, for `lodge doctor` and `-cpu help`. */
void x86_cpuid_print_features(const struct x86_cpuid *c, FILE *out);
void x86_cpuid_print_models(FILE *out);
const char *x86_feature_name(enum x86_feature f);

/*
 * The program begins: where the kernel does not say how fast the time-stamp counter goes, it is measured from here
 * on, for 4 ms at least. Optional, and then from x86_cpuid_build() on.
 */
void x86_tsc_mark(void);

#endif
