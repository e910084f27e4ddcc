/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `-accel soft,...` and `-accel kvm,...` set: plain data between the command line and an engine.
 * Threads: no shared state.
 */
#ifndef LODGE_ENGINE_OPTIONS_H
#define LODGE_ENGINE_OPTIONS_H

#include <stdbool.h>

/* The highest tier there is. 1: S1, the interpreter; 2: S2, the translator. */
#define ENGINE_SOFT_TIERS 2u
#define ENGINE_SOFT_WARM 1u

/* The translator's code cache, in MiB. Jumps in it reach 2 GiB, so it must stay well below that. */
#define ENGINE_SOFT_TB_MIB 256u
#define ENGINE_SOFT_TB_MIB_MIN 4u
#define ENGINE_SOFT_TB_MIB_MAX 1024u

/* What Linux's perf is told about generated code. */
enum engine_perf {
	ENGINE_PERF_OFF,
	ENGINE_PERF_MAP,     /* /tmp/perf-PID.map: addresses and names */
	ENGINE_PERF_JITDUMP, /* jit-PID.dump: the code itself, too */
};

/* All 0 is the default. */
struct engine_soft_options {
	unsigned tier;	      /* 1 or 2; 0: the highest */
	bool check;	      /* lockstep: run both tiers, stop at the first difference */
	unsigned tb_size_mib; /* 0: ENGINE_SOFT_TB_MIB */
	enum engine_perf perf;
	unsigned spoil; /* tests: enum x86_op whose generated code shall be wrong; 0: none */
	unsigned warm;	/* runs of a block before S2 takes it; 0: ENGINE_SOFT_WARM, and ... */
	bool patient;	/* ... more of a block whose place is overwritten again and again */
};

/* Where the interrupt controllers are. */
enum engine_irqchip {
	ENGINE_IRQCHIP_OFF,   /* with the machine's devices, all of them */
	ENGINE_IRQCHIP_SPLIT, /* local APICs in the kernel, the others with the devices */
	ENGINE_IRQCHIP_ON,    /* all of them in the kernel, and the 8254 */
	ENGINE_IRQCHIP_BEST,  /* SPLIT where the kernel can, and it was tried: on AMD-V */
};

/* All 0 is the default. */
struct engine_kvm_options {
	const char *device; /* NULL: ENGINE_KVM_DEVICE */
	enum engine_irqchip irqchip;
};

#define ENGINE_KVM_DEVICE "/dev/kvm"

/* `o` with its defaults filled in. */
static inline struct engine_soft_options
engine_soft_options_fill(const struct engine_soft_options *o)
{
	struct engine_soft_options full = *o;

	if (!full.tier)
		full.tier = ENGINE_SOFT_TIERS;
	if (!full.tb_size_mib)
		full.tb_size_mib = ENGINE_SOFT_TB_MIB;
	full.patient |= !full.warm && !full.check;
	if (!full.warm)
		full.warm = full.check ? 1 : ENGINE_SOFT_WARM;
	return full;
}

/* For people: which tier `o` chooses. */
static inline const char *engine_soft_tier_name(const struct engine_soft_options *o)
{
	struct engine_soft_options full = engine_soft_options_fill(o);

	if (full.check)
		return "S2 translator, checked against S1";
	return full.tier == 2 ? "S2 translator" : "S1 interpreter";
}

#endif
