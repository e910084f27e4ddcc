// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPU models as data: which features each has, what each feature rests on.
 * Source: x86-64 psABI §3.1.1 (micro-architecture levels); Intel SDM vol. 2A CPUID.
 * Threads: any; nothing here changes.
 */
#include "base/range.h"
#include "x86/cpuid_int.h"

const struct feature_place cpuid_places[X86_FEAT_COUNT] = {
#define FEAT(id, name, leaf, subleaf, reg, bit) [X86_FEAT_##id] = {name, leaf, subleaf, reg, bit},
	X86_FEATURES(FEAT)
#undef FEAT
};

/*
 * Signatures. Family 15 model 107 is what guests know as the generic 64-bit virtual CPU, but
 * kernels take it for an Athlon 64 with that one's errata; the baselines name clean ones.
 */
#define SIG_GENERIC 0x00060fb1u
#define SIG_ZEN3 0x00a00f11u  /* family 19h, model 1 */
#define SIG_CORE2 0x000006fbu /* family 6, model 15 */

const struct cpuid_model cpuid_models[] = {
	{"max", "everything this host and the engine can do (default)", true, 0, 0, 0, NULL},
	{"host", "the same as max", true, 0, 0, 0, NULL},
	{"qemu64", "the x86-64 baseline with SSE3 and CX16", false, 1, SIG_GENERIC, SIG_GENERIC,
	 "Lodge Virtual CPU (qemu64)"},
	{"x86-64", "the x86-64 baseline", false, 1, SIG_ZEN3, SIG_CORE2,
	 "Lodge Virtual CPU (x86-64)"},
	{"x86-64-v1", "the x86-64 baseline", false, 1, SIG_ZEN3, SIG_CORE2,
	 "Lodge Virtual CPU (x86-64-v1)"},
	{"x86-64-v2", "SSE4.2, POPCNT, CX16", false, 2, SIG_ZEN3, SIG_CORE2,
	 "Lodge Virtual CPU (x86-64-v2)"},
	{"x86-64-v3", "AVX2, FMA, BMI1/2, MOVBE", false, 3, SIG_ZEN3, SIG_CORE2,
	 "Lodge Virtual CPU (x86-64-v3)"},
};
const unsigned cpuid_models_count = ARRAY_SIZE(cpuid_models);

/* From which level on a named model has a feature; 0 = only in max or when asked for. */
static const uint8_t levels[X86_FEAT_COUNT] = {
	[X86_FEAT_FPU] = 1,
	[X86_FEAT_VME] = 1,
	[X86_FEAT_DE] = 1,
	[X86_FEAT_PSE] = 1,
	[X86_FEAT_TSC] = 1,
	[X86_FEAT_MSR] = 1,
	[X86_FEAT_PAE] = 1,
	[X86_FEAT_MCE] = 1,
	[X86_FEAT_CX8] = 1,
	[X86_FEAT_APIC] = 1,
	[X86_FEAT_SEP] = 1,
	[X86_FEAT_MTRR] = 1,
	[X86_FEAT_PGE] = 1,
	[X86_FEAT_MCA] = 1,
	[X86_FEAT_CMOV] = 1,
	[X86_FEAT_PAT] = 1,
	[X86_FEAT_PSE36] = 1,
	[X86_FEAT_CLFLUSH] = 1,
	[X86_FEAT_MMX] = 1,
	[X86_FEAT_FXSR] = 1,
	[X86_FEAT_SSE] = 1,
	[X86_FEAT_SSE2] = 1,
	[X86_FEAT_SYSCALL] = 1,
	[X86_FEAT_NX] = 1,
	[X86_FEAT_LM] = 1,
	[X86_FEAT_HTT] = 1,
	/* The platform's, which cost no instruction-set baseline anything. */
	[X86_FEAT_HYPERVISOR] = 1,
	[X86_FEAT_X2APIC] = 1,
	[X86_FEAT_TSC_DEADLINE] = 1,
	[X86_FEAT_TSC_ADJUST] = 1,
	[X86_FEAT_ARCH_CAPABILITIES] = 1,
	[X86_FEAT_AUTOIBRS] = 1,
	[X86_FEAT_INVTSC] = 1,
	[X86_FEAT_TOPOEXT] = 1,

	[X86_FEAT_SSE3] = 2,
	[X86_FEAT_SSSE3] = 2,
	[X86_FEAT_SSE41] = 2,
	[X86_FEAT_SSE42] = 2,
	[X86_FEAT_CX16] = 2,
	[X86_FEAT_POPCNT] = 2,
	[X86_FEAT_LAHF64] = 2,

	[X86_FEAT_AVX] = 3,
	[X86_FEAT_AVX2] = 3,
	[X86_FEAT_BMI1] = 3,
	[X86_FEAT_BMI2] = 3,
	[X86_FEAT_F16C] = 3,
	[X86_FEAT_FMA] = 3,
	[X86_FEAT_ABM] = 3,
	[X86_FEAT_MOVBE] = 3,
	[X86_FEAT_XSAVE] = 3,
};

bool cpuid_level_has(unsigned level, enum x86_feature f)
{
	return levels[f] && levels[f] <= level;
}

/* Features the engine does by itself, or not at all; every other needs the host's CPU. */
static const uint8_t policies[X86_FEAT_COUNT] = {
	[X86_FEAT_VME] = FEAT_EMULATED,
	[X86_FEAT_DE] = FEAT_EMULATED,
	[X86_FEAT_PSE] = FEAT_EMULATED,
	[X86_FEAT_TSC] = FEAT_EMULATED,
	[X86_FEAT_MSR] = FEAT_EMULATED,
	[X86_FEAT_PAE] = FEAT_EMULATED,
	[X86_FEAT_MCE] = FEAT_EMULATED,
	[X86_FEAT_APIC] = FEAT_EMULATED,
	[X86_FEAT_SEP] = FEAT_EMULATED,
	[X86_FEAT_MTRR] = FEAT_EMULATED,
	[X86_FEAT_PGE] = FEAT_EMULATED,
	[X86_FEAT_MCA] = FEAT_EMULATED,
	[X86_FEAT_PAT] = FEAT_EMULATED,
	[X86_FEAT_PSE36] = FEAT_EMULATED,
	[X86_FEAT_HTT] = FEAT_EMULATED,
	[X86_FEAT_PCID] = FEAT_EMULATED,
	[X86_FEAT_X2APIC] = FEAT_EMULATED,
	[X86_FEAT_TSC_DEADLINE] = FEAT_EMULATED,
	[X86_FEAT_HYPERVISOR] = FEAT_EMULATED,
	[X86_FEAT_TSC_ADJUST] = FEAT_EMULATED,
	[X86_FEAT_SMEP] = FEAT_EMULATED,
	[X86_FEAT_INVPCID] = FEAT_EMULATED,
	[X86_FEAT_SMAP] = FEAT_EMULATED,
	[X86_FEAT_UMIP] = FEAT_EMULATED,
	[X86_FEAT_ERMS] = FEAT_EMULATED,
	[X86_FEAT_FSRM] = FEAT_EMULATED,
	[X86_FEAT_SYSCALL] = FEAT_EMULATED,
	[X86_FEAT_NX] = FEAT_EMULATED,
	[X86_FEAT_PDPE1GB] = FEAT_EMULATED,
	[X86_FEAT_LAHF64] = FEAT_EMULATED,
	[X86_FEAT_ARCH_CAPABILITIES] = FEAT_EMULATED,
	[X86_FEAT_AUTOIBRS] = FEAT_EMULATED_AMD,
	[X86_FEAT_TOPOEXT] = FEAT_EMULATED_AMD,
	[X86_FEAT_MONITOR] = FEAT_NEVER,
	[X86_FEAT_XSAVES] = FEAT_NEVER,
};

enum feature_policy cpuid_feature_policy(enum x86_feature f)
{
	return (enum feature_policy)policies[f];
}

/* In order: what stands below is dropped before what rests on it is looked at. */
const struct feature_need cpuid_feature_needs[] = {
	{X86_FEAT_FXSR, X86_FEAT_FPU},
	{X86_FEAT_FXSR_OPT, X86_FEAT_FXSR},
	{X86_FEAT_MMXEXT, X86_FEAT_MMX},
	{X86_FEAT_SSE, X86_FEAT_FXSR},
	{X86_FEAT_SSE2, X86_FEAT_SSE},
	{X86_FEAT_SSE3, X86_FEAT_SSE2},
	{X86_FEAT_SSSE3, X86_FEAT_SSE3},
	{X86_FEAT_SSE41, X86_FEAT_SSSE3},
	{X86_FEAT_SSE42, X86_FEAT_SSE41},
	{X86_FEAT_SSE4A, X86_FEAT_SSE3},
	{X86_FEAT_MISALIGNSSE, X86_FEAT_SSE},
	{X86_FEAT_AES, X86_FEAT_SSE2},
	{X86_FEAT_PCLMUL, X86_FEAT_SSE2},
	{X86_FEAT_SHA_NI, X86_FEAT_SSE2},
	{X86_FEAT_GFNI, X86_FEAT_SSE2},
	{X86_FEAT_XSAVE, X86_FEAT_FXSR},
	{X86_FEAT_XSAVEOPT, X86_FEAT_XSAVE},
	{X86_FEAT_XSAVEC, X86_FEAT_XSAVE},
	{X86_FEAT_XGETBV1, X86_FEAT_XSAVE},
	{X86_FEAT_AVX, X86_FEAT_XSAVE},
	{X86_FEAT_AVX, X86_FEAT_SSE42},
	{X86_FEAT_AVX2, X86_FEAT_AVX},
	{X86_FEAT_FMA, X86_FEAT_AVX},
	{X86_FEAT_F16C, X86_FEAT_AVX},
	{X86_FEAT_BMI1, X86_FEAT_AVX},
	{X86_FEAT_BMI2, X86_FEAT_AVX},
	{X86_FEAT_VAES, X86_FEAT_AVX},
	{X86_FEAT_VAES, X86_FEAT_AES},
	{X86_FEAT_VPCLMULQDQ, X86_FEAT_AVX},
	{X86_FEAT_VPCLMULQDQ, X86_FEAT_PCLMUL},
	{X86_FEAT_CX16, X86_FEAT_CX8},
	{X86_FEAT_LM, X86_FEAT_PAE},
	{X86_FEAT_LM, X86_FEAT_MSR},
	{X86_FEAT_LM, X86_FEAT_SSE2},
	{X86_FEAT_LM, X86_FEAT_SYSCALL},
	{X86_FEAT_NX, X86_FEAT_PAE},
	{X86_FEAT_PDPE1GB, X86_FEAT_LM},
	{X86_FEAT_LAHF64, X86_FEAT_LM},
	{X86_FEAT_CX16, X86_FEAT_LM},
	{X86_FEAT_FSGSBASE, X86_FEAT_LM},
	{X86_FEAT_PCID, X86_FEAT_LM},
	{X86_FEAT_X2APIC, X86_FEAT_APIC},
	{X86_FEAT_TSC_DEADLINE, X86_FEAT_APIC},
	{X86_FEAT_RDTSCP, X86_FEAT_TSC},
	{X86_FEAT_INVTSC, X86_FEAT_TSC},
	{X86_FEAT_TSC_ADJUST, X86_FEAT_TSC},
};
const unsigned cpuid_feature_needs_count = ARRAY_SIZE(cpuid_feature_needs);
