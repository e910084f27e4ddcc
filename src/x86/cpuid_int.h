/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the CPUID files: named models, feature policy, leaves. Private to src/x86. */
#ifndef LODGE_X86_CPUID_INT_H
#define LODGE_X86_CPUID_INT_H

#include "x86/cpuid.h"

/* Where a feature comes from when a model or the user asks for it. */
enum feature_policy {
	FEAT_HOST,	   /* the host's CPU executes it: it must have it */
	FEAT_EMULATED,	   /* the engine does it by itself */
	FEAT_EMULATED_AMD, /* as above, on an AMD guest only */
	FEAT_NEVER,	   /* not implemented */
};
enum feature_policy cpuid_feature_policy(enum x86_feature f);

/* A feature and one it cannot be without. */
struct feature_need {
	enum x86_feature feature, needs;
};
extern const struct feature_need cpuid_feature_needs[];
extern const unsigned cpuid_feature_needs_count;

struct cpuid_model {
	const char *name, *about;
	bool everything;    /* all that policy and host allow */
	uint8_t level;	    /* x86-64-v1, 2, 3 */
	uint32_t amd, intel; /* leaf 1 EAX by vendor; 0 = the host's */
	const char *brand;  /* NULL = the host's */
};
extern const struct cpuid_model cpuid_models[];
extern const unsigned cpuid_models_count;
/* Does a named model of this level have the feature (before + and -)? */
bool cpuid_level_has(unsigned level, enum x86_feature f);

struct cpuid_regs {
	uint32_t r[4]; /* EAX, EBX, ECX, EDX */
};
/* The host's own answer. */
struct cpuid_regs cpuid_host(uint32_t leaf, uint32_t subleaf);

/* Where each feature bit is, by enum x86_feature. */
struct feature_place {
	const char *name;
	uint32_t leaf, subleaf;
	uint8_t reg, bit;
};
extern const struct feature_place cpuid_places[X86_FEAT_COUNT];

/* Fill c->leaf[] from c->has[], c->amd and the rest. (cpuid_leaves.c) */
void cpuid_fill_leaves(struct x86_cpuid *c, const struct cpuid_model *m, unsigned cpus);
uint64_t cpuid_measure_tsc(void);
/* Leaf 15H's EBX and EAX: how many counts of the TSC go by in how many of the crystal. */
void cpuid_tsc_ratio(uint64_t hz, uint32_t *num, uint32_t *den);

#endif
