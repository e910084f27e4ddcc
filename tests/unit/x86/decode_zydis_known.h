/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the decoder and Zydis see differently on purpose, each with its reason. Used by
 * decode_zydis.c only. "Host" is what an AMD processor (family 19h) does when it runs the bytes.
 */
#ifndef LODGE_TESTS_DECODE_ZYDIS_KNOWN_H
#define LODGE_TESTS_DECODE_ZYDIS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "x86/cpuid.h"
#include "x86/decode.h"

/* ---- Encodings refused on purpose --------------------------------------------------------------
 */

/* Whole instruction sets no guest is offered; see the list in src/x86/decode.c. */
static bool known_refused_set(unsigned set)
{
	static const uint8_t refused[] = {
		ZYDIS_ISA_SET_AMX_BF16,	    ZYDIS_ISA_SET_AMX_INT8,
		ZYDIS_ISA_SET_AMX_TILE,	    ZYDIS_ISA_SET_AVX512BW_KOP,
		ZYDIS_ISA_SET_AVX512DQ_KOP, ZYDIS_ISA_SET_AVX512F_KOP,
		ZYDIS_ISA_SET_AVX_VNNI,	    ZYDIS_ISA_SET_CET,
		ZYDIS_ISA_SET_ENQCMD,	    ZYDIS_ISA_SET_FMA4,
		ZYDIS_ISA_SET_HRESET,	    ZYDIS_ISA_SET_KNCE,
		ZYDIS_ISA_SET_KNCJKBR,	    ZYDIS_ISA_SET_KNCSTREAM,
		ZYDIS_ISA_SET_KNCV,	    ZYDIS_ISA_SET_KNC_MISC,
		ZYDIS_ISA_SET_KNC_PF_HINT,  ZYDIS_ISA_SET_XOP,
		ZYDIS_ISA_SET_KEYLOCKER,    ZYDIS_ISA_SET_KEYLOCKER_WIDE,
		ZYDIS_ISA_SET_MCOMMIT,	    ZYDIS_ISA_SET_MONITORX,
		ZYDIS_ISA_SET_MOVDIR,	    ZYDIS_ISA_SET_PADLOCK_ACE,
		ZYDIS_ISA_SET_PADLOCK_PHE,  ZYDIS_ISA_SET_PADLOCK_PMM,
		ZYDIS_ISA_SET_PADLOCK_RNG,  ZYDIS_ISA_SET_PCONFIG,
		ZYDIS_ISA_SET_PKU,	    ZYDIS_ISA_SET_PT,
		ZYDIS_ISA_SET_RDPRU,	    ZYDIS_ISA_SET_RTM,
		ZYDIS_ISA_SET_SERIALIZE,    ZYDIS_ISA_SET_SGX,
		ZYDIS_ISA_SET_SGX_ENCLV,    ZYDIS_ISA_SET_SMX,
		ZYDIS_ISA_SET_SNP,	    ZYDIS_ISA_SET_SVM,
		ZYDIS_ISA_SET_AMD_INVLPGB,  ZYDIS_ISA_SET_TDX,
		ZYDIS_ISA_SET_TSX_LDTRK,    ZYDIS_ISA_SET_UINTR,
		ZYDIS_ISA_SET_VMFUNC,	    ZYDIS_ISA_SET_VTX,
		ZYDIS_ISA_SET_WAITPKG,
	};

	return memchr(refused, (int)set, sizeof(refused)) != NULL;
}

static bool known_refused(const struct x86_insn *in, const ZydisDecodedInstruction *zi)
{
	(void)in;
	switch (zi->encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_EVEX:
	case ZYDIS_INSTRUCTION_ENCODING_MVEX:
	case ZYDIS_INSTRUCTION_ENCODING_XOP:
	case ZYDIS_INSTRUCTION_ENCODING_3DNOW:
		return true;
	default:
		break;
	}
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_FEMMS: /* 3DNow! */
		return true;
	case ZYDIS_MNEMONIC_NOP: /* 0F 0D with a register: #UD on the host */
		return zi->opcode_map == ZYDIS_OPCODE_MAP_0F && zi->opcode == 0x0d;
	case ZYDIS_MNEMONIC_VPEXTRD: /* W = 1 outside 64-bit mode: #UD on the host */
	case ZYDIS_MNEMONIC_VPINSRD:
		return zi->raw.vex.W && zi->machine_mode != ZYDIS_MACHINE_MODE_LONG_64;
	default:
		return known_refused_set(zi->meta.isa_set);
	}
}

/* Zydis refuses what we decode. */
static bool known_zydis_refuses(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_MOV_FROM_CR: /* LOCK MOV CR0 is MOV CR8 on AMD */
	case X86_OP_MOV_TO_CR:
		return in->flags & X86_IF_LOCK;
	case X86_OP_VERW: /* the host takes LOCK VERW */
		return in->flags & X86_IF_LOCK;
	case X86_OP_VPERMQ: /* the host ignores W */
	case X86_OP_VPERMPD:
		return !(in->rex & 8);
	}
	return false;
}

/* ---- Names ---------------------------------------------------------------------------------- */

static const char cc_name[16][4] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
				    "s", "ns", "p", "np", "l", "nl", "le", "nle"};

struct known_name {
	uint16_t op;
	const char *zydis[8];
};

/* One operation of ours, several mnemonics of theirs. */
static const struct known_name known_names[] = {
	{X86_OP_CBW, {"cbw", "cwde", "cdqe"}},
	{X86_OP_CWD, {"cwd", "cdq", "cqo"}},
	{X86_OP_RET_FAR, {"ret"}},
	{X86_OP_IRET, {"iret", "iretd", "iretq"}},
	{X86_OP_PUSHF, {"pushf", "pushfd", "pushfq"}},
	{X86_OP_POPF, {"popf", "popfd", "popfq"}},
	{X86_OP_PUSHA, {"pushad"}},
	{X86_OP_POPA, {"popad"}},
	{X86_OP_JCXZ, {"jcxz", "jecxz", "jrcxz"}},
	{X86_OP_PREFETCH,
	 {"prefetch", "prefetchw", "prefetchwt1", "prefetcht0", "prefetcht1", "prefetcht2",
	  "prefetchnta"}},
	{X86_OP_FNOP, {"feni8087_nop", "fdisi8087_nop", "fsetpm287_nop"}},
	{X86_OP_FXSAVE, {"fxsave64"}},
	{X86_OP_FXRSTOR, {"fxrstor64"}},
	{X86_OP_XSAVE, {"xsave64"}},
	{X86_OP_XRSTOR, {"xrstor64"}},
	{X86_OP_XSAVEC, {"xsavec64"}},
	{X86_OP_XSAVEOPT, {"xsaveopt64"}},
	{X86_OP_XSAVES, {"xsaves64"}},
	{X86_OP_XRSTORS, {"xrstors64"}},
	{X86_OP_LDMXCSR, {"vldmxcsr"}},
	{X86_OP_STMXCSR, {"vstmxcsr"}},
	{X86_OP_WBNOINVD, {"wbinvd"}}, /* without the feature F3 means nothing */
};

static bool known_same_name(const struct x86_insn *in, const ZydisDecodedInstruction *zi)
{
	const char *z = ZydisMnemonicGetString(zi->mnemonic), *ours = x86_op_name(in->op);
	size_t n = strlen(ours);

	if (!strcmp(z, ours))
		return true;
	switch (in->op) {
	case X86_OP_JCC:
	case X86_OP_SETCC:
	case X86_OP_CMOVCC:
		return !strncmp(z, ours, n) && !strcmp(z + n, cc_name[in->cc]);
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_LODS:
	case X86_OP_SCAS:
	case X86_OP_CMPS:
	case X86_OP_INS:
	case X86_OP_OUTS:
		return !strncmp(z, ours, n) && strchr("bwdq", z[n]) && !z[n + 1];
	case X86_OP_XCHG: /* F3 41 90 exchanges on the host */
		return zi->mnemonic == ZYDIS_MNEMONIC_PAUSE;
	}
	for (size_t i = 0; i < sizeof(known_names) / sizeof(known_names[0]); i++)
		for (size_t k = 0; known_names[i].op == in->op && k < 8; k++)
			if (known_names[i].zydis[k] && !strcmp(known_names[i].zydis[k], z))
				return true;
	return false;
}

/* ---- Operands and flags --------------------------------------------------------------------- */

/* Operands not worth comparing. */
static bool known_other_operands(const struct x86_insn *in, const ZydisDecodedInstruction *zi)
{
	switch (in->op) {
	case X86_OP_NOP: /* operands named, never used */
	case X86_OP_UD0:
	case X86_OP_UD1:
	case X86_OP_CLZERO: /* Zydis names rAX, we the memory at rAX */
	case X86_OP_MONITOR:
		return true;
	case X86_OP_VPCMPESTRI: /* Zydis: RAX and RDX by W, outside 64-bit mode, too */
	case X86_OP_VPCMPESTRM:
		return in->mode != X86_MODE_64 && in->rex & 8;
	case X86_OP_FUCOMP: /* Zydis lists ST0 first here, unlike for FUCOM and FCOMP */
		return true;
	case X86_OP_XCHG:
		return zi->mnemonic == ZYDIS_MNEMONIC_PAUSE;
	}
	return false;
}

/* Access of a register: a partial write keeps the rest of it, so we call it a read, too. */
static bool known_partial_write(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_MOVLPS:
	case X86_OP_MOVLPD:
	case X86_OP_MOVHPS:
	case X86_OP_MOVHPD:
	case X86_OP_MOVHLPS:
	case X86_OP_MOVLHPS:
	case X86_OP_MOVSS:
	case X86_OP_MOVSD:
	case X86_OP_CVTPI2PS:
	case X86_OP_CVTSI2SS:
	case X86_OP_CVTSI2SD:
	case X86_OP_CVTSS2SD:
	case X86_OP_CVTSD2SS:
	case X86_OP_SQRTSS:
	case X86_OP_SQRTSD:
	case X86_OP_RCPSS:
	case X86_OP_RSQRTSS:
	case X86_OP_ROUNDSS:
	case X86_OP_ROUNDSD:
	case X86_OP_EXTRQ:
	case X86_OP_INSERTQ: /* registers read in part */
	case X86_OP_BSF:
	case X86_OP_BSR: /* unchanged when the source is 0 */
		return true;
	}
	return false;
}

/* ---- CPUID features and alignment ----------------------------------------------------------- */

struct known_set {
	uint8_t set;
	uint16_t feature;
};

/* A set may stand for several features; a set that is not here needs none. */
static const struct known_set known_sets[] = {
	{ZYDIS_ISA_SET_AMD, X86_FEAT_SYSCALL},
	{ZYDIS_ISA_SET_LONGMODE, X86_FEAT_NONE},
	{ZYDIS_ISA_SET_LONGMODE, X86_FEAT_SYSCALL},
	{ZYDIS_ISA_SET_LONGMODE, X86_FEAT_LM}, /* SWAPGS */
	{ZYDIS_ISA_SET_LAHF, X86_FEAT_LAHF64}, /* in 64-bit mode */
	{ZYDIS_ISA_SET_LAHF, X86_FEAT_NONE},
	{ZYDIS_ISA_SET_PENTIUMREAL, X86_FEAT_MSR},
	{ZYDIS_ISA_SET_PENTIUMREAL, X86_FEAT_TSC},
	{ZYDIS_ISA_SET_PENTIUMREAL, X86_FEAT_CX8},
	{ZYDIS_ISA_SET_PPRO, X86_FEAT_NONE},
	{ZYDIS_ISA_SET_PPRO, X86_FEAT_SEP},
	{ZYDIS_ISA_SET_PPRO, X86_FEAT_CMOV}, /* FCOMI and its like */
	{ZYDIS_ISA_SET_I486REAL, X86_FEAT_NONE},
	{ZYDIS_ISA_SET_I486REAL, X86_FEAT_WBNOINVD},
	{ZYDIS_ISA_SET_PENTIUMMMX, X86_FEAT_SSE}, /* MMX instructions that came with SSE */
	{ZYDIS_ISA_SET_AVX, X86_FEAT_PCLMUL},	  /* VPCLMULQDQ, 128 bits */
	{ZYDIS_ISA_SET_ADOX_ADCX, X86_FEAT_ADX},
	{ZYDIS_ISA_SET_AES, X86_FEAT_AES},
	{ZYDIS_ISA_SET_AVX, X86_FEAT_AVX},
	{ZYDIS_ISA_SET_AVX2, X86_FEAT_AVX2},
	{ZYDIS_ISA_SET_AVX2GATHER, X86_FEAT_AVX2},
	{ZYDIS_ISA_SET_AVXAES, X86_FEAT_AES},
	{ZYDIS_ISA_SET_AVX_GFNI, X86_FEAT_GFNI},
	{ZYDIS_ISA_SET_BMI1, X86_FEAT_BMI1},
	{ZYDIS_ISA_SET_BMI2, X86_FEAT_BMI2},
	{ZYDIS_ISA_SET_CLFLUSHOPT, X86_FEAT_CLFLUSHOPT},
	{ZYDIS_ISA_SET_CLFSH, X86_FEAT_CLFLUSH},
	{ZYDIS_ISA_SET_CLWB, X86_FEAT_CLWB},
	{ZYDIS_ISA_SET_CLZERO, X86_FEAT_CLZERO},
	{ZYDIS_ISA_SET_CMOV, X86_FEAT_CMOV},
	{ZYDIS_ISA_SET_CMPXCHG16B, X86_FEAT_CX16},
	{ZYDIS_ISA_SET_F16C, X86_FEAT_F16C},
	{ZYDIS_ISA_SET_FCMOV, X86_FEAT_CMOV},
	{ZYDIS_ISA_SET_FMA, X86_FEAT_FMA},
	{ZYDIS_ISA_SET_FXSAVE, X86_FEAT_FXSR},
	{ZYDIS_ISA_SET_FXSAVE64, X86_FEAT_FXSR},
	{ZYDIS_ISA_SET_GFNI, X86_FEAT_GFNI},
	{ZYDIS_ISA_SET_INVPCID, X86_FEAT_INVPCID},
	{ZYDIS_ISA_SET_LZCNT, X86_FEAT_ABM},
	{ZYDIS_ISA_SET_MONITOR, X86_FEAT_MONITOR},
	{ZYDIS_ISA_SET_MOVBE, X86_FEAT_MOVBE},
	{ZYDIS_ISA_SET_PCLMULQDQ, X86_FEAT_PCLMUL},
	{ZYDIS_ISA_SET_PENTIUMMMX, X86_FEAT_MMX},
	{ZYDIS_ISA_SET_POPCNT, X86_FEAT_POPCNT},
	{ZYDIS_ISA_SET_RDPID, X86_FEAT_RDPID},
	{ZYDIS_ISA_SET_RDRAND, X86_FEAT_RDRAND},
	{ZYDIS_ISA_SET_RDSEED, X86_FEAT_RDSEED},
	{ZYDIS_ISA_SET_RDTSCP, X86_FEAT_RDTSCP},
	{ZYDIS_ISA_SET_RDWRFSGS, X86_FEAT_FSGSBASE},
	{ZYDIS_ISA_SET_SHA, X86_FEAT_SHA_NI},
	{ZYDIS_ISA_SET_SMAP, X86_FEAT_SMAP},
	{ZYDIS_ISA_SET_SSE, X86_FEAT_SSE},
	{ZYDIS_ISA_SET_SSE2, X86_FEAT_SSE2},
	{ZYDIS_ISA_SET_SSE2MMX, X86_FEAT_SSE2},
	{ZYDIS_ISA_SET_SSE3, X86_FEAT_SSE3},
	{ZYDIS_ISA_SET_SSE3X87, X86_FEAT_SSE3},
	{ZYDIS_ISA_SET_SSE4, X86_FEAT_SSE41},
	{ZYDIS_ISA_SET_SSE42, X86_FEAT_SSE42},
	{ZYDIS_ISA_SET_SSE4A, X86_FEAT_SSE4A},
	{ZYDIS_ISA_SET_SSEMXCSR, X86_FEAT_SSE},
	{ZYDIS_ISA_SET_SSE_PREFETCH, X86_FEAT_SSE},
	{ZYDIS_ISA_SET_SSSE3, X86_FEAT_SSSE3},
	{ZYDIS_ISA_SET_SSSE3MMX, X86_FEAT_SSSE3},
	{ZYDIS_ISA_SET_VAES, X86_FEAT_VAES},
	{ZYDIS_ISA_SET_VPCLMULQDQ, X86_FEAT_VPCLMULQDQ},
	{ZYDIS_ISA_SET_X87, X86_FEAT_FPU},
	{ZYDIS_ISA_SET_XSAVE, X86_FEAT_XSAVE},
	{ZYDIS_ISA_SET_XSAVEC, X86_FEAT_XSAVEC},
	{ZYDIS_ISA_SET_XSAVEOPT, X86_FEAT_XSAVEOPT},
	{ZYDIS_ISA_SET_XSAVES, X86_FEAT_XSAVES},
};

static bool known_same_feature(const struct x86_insn *in, const ZydisDecodedInstruction *zi)
{
	bool listed = false;

	for (size_t i = 0; i < sizeof(known_sets) / sizeof(known_sets[0]); i++) {
		if (known_sets[i].set != zi->meta.isa_set)
			continue;
		if (known_sets[i].feature == in->feature)
			return true;
		listed = true;
	}
	return !listed && in->feature == X86_FEAT_NONE;
}

/*
 * Legacy SSE of exception types 1, 2 and 4 wants its memory aligned, VEX only of type 1
 * (SDM vol. 2A §2.4).
 */
static bool known_same_alignment(const struct x86_insn *in, const ZydisDecodedInstruction *zi)
{
	bool mem = in->flags & X86_IF_MODRM && in->modrm < 0xc0, want;

	if (in->feature == X86_FEAT_SHA_NI) /* differs between processors: left to the host */
		return !(in->flags & X86_IF_ALIGNED);
	switch (in->op) {
	case X86_OP_MOVUPS: /* types 4 in the manual, with a footnote */
	case X86_OP_MOVUPD:
	case X86_OP_MOVDQU:
	case X86_OP_LDDQU:
	case X86_OP_PCMPESTRI:
	case X86_OP_PCMPESTRM:
	case X86_OP_PCMPISTRI:
	case X86_OP_PCMPISTRM:
		return !(in->flags & X86_IF_ALIGNED);
	case X86_OP_CVTPD2PI: /* no class in Zydis; the host raises #GP */
	case X86_OP_CVTTPD2PI:
		return !(in->flags & X86_IF_ALIGNED) == !mem;
	}
	switch (zi->meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_SSE1:
	case ZYDIS_EXCEPTION_CLASS_SSE2:
	case ZYDIS_EXCEPTION_CLASS_SSE4:
	case ZYDIS_EXCEPTION_CLASS_AVX1:
		want = mem;
		break;
	default:
		want = false;
	}
	return !(in->flags & X86_IF_ALIGNED) == !want;
}

/* A difference found by the comparison, by name, that is meant. */
static bool known_difference(const struct x86_insn *in, const ZydisDecodedInstruction *zi,
			     const char *what)
{
	if (!strcmp(what, "access"))
		return known_partial_write(in) || in->op == X86_OP_PREFETCH ||
		       in->op == X86_OP_INVLPG ||			  /* no access to memory */
		       in->op == X86_OP_FFREE || in->op == X86_OP_FFREEP; /* the tag only */
	if (!strcmp(what, "memory size")) {
		switch (in->op) {
		case X86_OP_CLFLUSH: /* any byte of the line; Zydis: 64 bytes */
		case X86_OP_CLFLUSHOPT:
		case X86_OP_CLWB:
			return true;
		case X86_OP_MOVSXD: /* 66: Intel's processors read 16 bits */
			return in->opsize == 2;
		case X86_OP_JMP_IND: /* 66 in 64-bit mode: 16 bits on the host */
		case X86_OP_CALL_IND:
			return in->opsize == 2 && in->mode == X86_MODE_64;
		case X86_OP_LSS: /* REX.W does not widen far pointers on the host */
		case X86_OP_LFS:
		case X86_OP_LGS:
		case X86_OP_JMP_FAR_IND:
		case X86_OP_CALL_FAR_IND:
			return in->opsize == 8;
		}
	}
	if (!strcmp(what, "register") && in->opsize == 8)
		return in->op == X86_OP_MOVMSKPS || in->op == X86_OP_MOVMSKPD || /* r32 will do */
		       in->op == X86_OP_LAR || in->op == X86_OP_LSL;		 /* 16 bits read */
	if (!strcmp(what, "register"))
		return (in->op == X86_OP_MOVSXD && in->opsize == 2) || /* the host reads 32 bits */
		       ((in->op == X86_OP_JMP_IND || in->op == X86_OP_CALL_IND) && in->opsize == 2);
	if (!strcmp(what, "segment")) /* LEA has no segment */
		return in->op == X86_OP_LEA;
	if (!strcmp(what,
		    "base")) /* A32 with mod 00, SIB base 101: Zydis forgets R13D has no base */
		return in->mode == X86_MODE_64 && in->addrsize == 4 && zi->raw.sib.base == 5 &&
		       zi->raw.modrm.mod == 0 && in->base == X86_NO_REG;
	if (!strcmp(what, "privileged"))
		/* #UD, not #GP(0), above CPL 0: no X86_IF_PRIV. */
		return in->op == X86_OP_MONITOR || in->op == X86_OP_MWAIT ||
		       in->op == X86_OP_CLAC || in->op == X86_OP_STAC || in->op == X86_OP_RSM ||
		       in->op == X86_OP_LGDT || in->op == X86_OP_LIDT; /* Zydis forgets them */
	return false;
}

#endif
