/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID feature bits: FEAT(IDENTIFIER, "name as QEMU spells it", leaf, subleaf, register, bit),
 * register 0 = EAX … 3 = EDX. Source: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E.
 */
#ifndef LODGE_X86_FEATURES_H
#define LODGE_X86_FEATURES_H

#define X86_FEATURES(FEAT)                                                                         \
	FEAT(FPU, "fpu", 1, 0, 3, 0)                                                               \
	FEAT(VME, "vme", 1, 0, 3, 1)                                                               \
	FEAT(DE, "de", 1, 0, 3, 2)                                                                 \
	FEAT(PSE, "pse", 1, 0, 3, 3)                                                               \
	FEAT(TSC, "tsc", 1, 0, 3, 4)                                                               \
	FEAT(MSR, "msr", 1, 0, 3, 5)                                                               \
	FEAT(PAE, "pae", 1, 0, 3, 6)                                                               \
	FEAT(MCE, "mce", 1, 0, 3, 7)                                                               \
	FEAT(CX8, "cx8", 1, 0, 3, 8)                                                               \
	FEAT(APIC, "apic", 1, 0, 3, 9)                                                             \
	FEAT(SEP, "sep", 1, 0, 3, 11)                                                              \
	FEAT(MTRR, "mtrr", 1, 0, 3, 12)                                                            \
	FEAT(PGE, "pge", 1, 0, 3, 13)                                                              \
	FEAT(MCA, "mca", 1, 0, 3, 14)                                                              \
	FEAT(CMOV, "cmov", 1, 0, 3, 15)                                                            \
	FEAT(PAT, "pat", 1, 0, 3, 16)                                                              \
	FEAT(PSE36, "pse36", 1, 0, 3, 17)                                                          \
	FEAT(CLFLUSH, "clflush", 1, 0, 3, 19)                                                      \
	FEAT(MMX, "mmx", 1, 0, 3, 23)                                                              \
	FEAT(FXSR, "fxsr", 1, 0, 3, 24)                                                            \
	FEAT(SSE, "sse", 1, 0, 3, 25)                                                              \
	FEAT(SSE2, "sse2", 1, 0, 3, 26)                                                            \
	FEAT(HTT, "ht", 1, 0, 3, 28)                                                               \
	FEAT(SSE3, "sse3", 1, 0, 2, 0)                                                             \
	FEAT(PCLMUL, "pclmulqdq", 1, 0, 2, 1)                                                      \
	FEAT(MONITOR, "monitor", 1, 0, 2, 3)                                                       \
	FEAT(SSSE3, "ssse3", 1, 0, 2, 9)                                                           \
	FEAT(FMA, "fma", 1, 0, 2, 12)                                                              \
	FEAT(CX16, "cx16", 1, 0, 2, 13)                                                            \
	FEAT(PCID, "pcid", 1, 0, 2, 17)                                                            \
	FEAT(SSE41, "sse4.1", 1, 0, 2, 19)                                                         \
	FEAT(SSE42, "sse4.2", 1, 0, 2, 20)                                                         \
	FEAT(X2APIC, "x2apic", 1, 0, 2, 21)                                                        \
	FEAT(MOVBE, "movbe", 1, 0, 2, 22)                                                          \
	FEAT(POPCNT, "popcnt", 1, 0, 2, 23)                                                        \
	FEAT(TSC_DEADLINE, "tsc-deadline", 1, 0, 2, 24)                                            \
	FEAT(AES, "aes", 1, 0, 2, 25)                                                              \
	FEAT(XSAVE, "xsave", 1, 0, 2, 26)                                                          \
	FEAT(AVX, "avx", 1, 0, 2, 28)                                                              \
	FEAT(F16C, "f16c", 1, 0, 2, 29)                                                            \
	FEAT(RDRAND, "rdrand", 1, 0, 2, 30)                                                        \
	FEAT(HYPERVISOR, "hypervisor", 1, 0, 2, 31)                                                \
	FEAT(FSGSBASE, "fsgsbase", 7, 0, 1, 0)                                                     \
	FEAT(TSC_ADJUST, "tsc-adjust", 7, 0, 1, 1)                                                 \
	FEAT(BMI1, "bmi1", 7, 0, 1, 3)                                                             \
	FEAT(AVX2, "avx2", 7, 0, 1, 5)                                                             \
	FEAT(SMEP, "smep", 7, 0, 1, 7)                                                             \
	FEAT(BMI2, "bmi2", 7, 0, 1, 8)                                                             \
	FEAT(ERMS, "erms", 7, 0, 1, 9)                                                             \
	FEAT(INVPCID, "invpcid", 7, 0, 1, 10)                                                      \
	FEAT(RDSEED, "rdseed", 7, 0, 1, 18)                                                        \
	FEAT(ADX, "adx", 7, 0, 1, 19)                                                              \
	FEAT(SMAP, "smap", 7, 0, 1, 20)                                                            \
	FEAT(CLFLUSHOPT, "clflushopt", 7, 0, 1, 23)                                                \
	FEAT(CLWB, "clwb", 7, 0, 1, 24)                                                            \
	FEAT(SHA_NI, "sha-ni", 7, 0, 1, 29)                                                        \
	FEAT(UMIP, "umip", 7, 0, 2, 2)                                                             \
	FEAT(VAES, "vaes", 7, 0, 2, 9)                                                             \
	FEAT(VPCLMULQDQ, "vpclmulqdq", 7, 0, 2, 10)                                                \
	FEAT(GFNI, "gfni", 7, 0, 2, 8)                                                             \
	FEAT(RDPID, "rdpid", 7, 0, 2, 22)                                                          \
	FEAT(FSRM, "fsrm", 7, 0, 3, 4)                                                             \
	FEAT(ARCH_CAPABILITIES, "arch-capabilities", 7, 0, 3, 29)                                  \
	FEAT(XSAVEOPT, "xsaveopt", 13, 1, 0, 0)                                                    \
	FEAT(XSAVEC, "xsavec", 13, 1, 0, 1)                                                        \
	FEAT(XGETBV1, "xgetbv1", 13, 1, 0, 2)                                                      \
	FEAT(XSAVES, "xsaves", 13, 1, 0, 3)                                                        \
	FEAT(LAHF64, "lahf-lm", 0x80000001, 0, 2, 0)                                               \
	FEAT(ABM, "abm", 0x80000001, 0, 2, 5)                                                      \
	FEAT(SSE4A, "sse4a", 0x80000001, 0, 2, 6)                                                  \
	FEAT(MISALIGNSSE, "misalignsse", 0x80000001, 0, 2, 7)                                      \
	FEAT(TOPOEXT, "topoext", 0x80000001, 0, 2, 22)                                             \
	FEAT(PREFETCHW, "3dnowprefetch", 0x80000001, 0, 2, 8)                                      \
	FEAT(SYSCALL, "syscall", 0x80000001, 0, 3, 11)                                             \
	FEAT(NX, "nx", 0x80000001, 0, 3, 20)                                                       \
	FEAT(MMXEXT, "mmxext", 0x80000001, 0, 3, 22)                                               \
	FEAT(FXSR_OPT, "fxsr-opt", 0x80000001, 0, 3, 25)                                           \
	FEAT(PDPE1GB, "pdpe1gb", 0x80000001, 0, 3, 26)                                             \
	FEAT(RDTSCP, "rdtscp", 0x80000001, 0, 3, 27)                                               \
	FEAT(LM, "lm", 0x80000001, 0, 3, 29)                                                       \
	FEAT(CLZERO, "clzero", 0x80000008, 0, 1, 0)                                                \
	FEAT(WBNOINVD, "wbnoinvd", 0x80000008, 0, 1, 9)                                            \
	FEAT(AUTOIBRS, "autoibrs", 0x80000021, 0, 0, 8)                                            \
	FEAT(INVTSC, "invtsc", 0x80000007, 0, 3, 8)

enum x86_feature {
	X86_FEAT_NONE, /* always there */
#define FEAT(id, name, leaf, subleaf, reg, bit) X86_FEAT_##id,
	X86_FEATURES(FEAT)
#undef FEAT
	X86_FEAT_COUNT
};

#endif
