/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every operation the decoder tells apart, one X-macro list: OP(IDENTIFIER, "mnemonic").
 * Families with a condition code (Jcc, SETcc, CMOVcc) are one operation; insn->cc has the code.
 */
#ifndef LODGE_X86_OPS_H
#define LODGE_X86_OPS_H

/* Integer operations in user mode. */
#define X86_OPS_INTEGER(OP)                                                                        \
	OP(ADD, "add") OP(OR, "or") OP(ADC, "adc") OP(SBB, "sbb") OP(AND, "and") OP(SUB, "sub")    \
	OP(XOR, "xor") OP(CMP, "cmp") OP(TEST, "test") OP(NOT, "not") OP(NEG, "neg")               \
	OP(INC, "inc") OP(DEC, "dec") OP(MUL, "mul") OP(IMUL, "imul") /* 1, 2, 3 operands */       \
	OP(DIV, "div") OP(IDIV, "idiv")                                                            \
	OP(ROL, "rol") OP(ROR, "ror") OP(RCL, "rcl") OP(RCR, "rcr") OP(SHL, "shl") OP(SHR, "shr")  \
	OP(SAR, "sar") OP(SHLD, "shld") OP(SHRD, "shrd")                                           \
	OP(BT, "bt") OP(BTS, "bts") OP(BTR, "btr") OP(BTC, "btc") OP(BSF, "bsf") OP(BSR, "bsr")    \
	OP(MOV, "mov") OP(MOVZX, "movzx") OP(MOVSX, "movsx") OP(MOVSXD, "movsxd") OP(LEA, "lea")   \
	OP(XCHG, "xchg") OP(XADD, "xadd") OP(CMPXCHG, "cmpxchg") OP(CMPXCHG8B, "cmpxchg8b")        \
	OP(CMPXCHG16B, "cmpxchg16b") OP(BSWAP, "bswap") OP(MOVBE, "movbe") OP(MOVNTI, "movnti")    \
	OP(CBW, "cbw") /* CBW, CWDE, CDQE by opsize */ OP(CWD, "cwd") /* CWD, CDQ, CQO */          \
	OP(SETCC, "set") OP(CMOVCC, "cmov") OP(JCC, "j")                                           \
	OP(JMP, "jmp") /* near, relative */ OP(JMP_IND, "jmp") /* near, r/m */                     \
	OP(CALL, "call") OP(CALL_IND, "call") OP(RET, "ret") /* imm = bytes, 0 */                  \
	OP(LOOP, "loop") OP(LOOPE, "loope") OP(LOOPNE, "loopne")                                   \
	OP(JCXZ, "jcxz") /* by addrsize */                                                         \
	OP(PUSH, "push") OP(POP, "pop") OP(PUSHA, "pusha") OP(POPA, "popa") OP(PUSHF, "pushf")     \
	OP(POPF, "popf") OP(ENTER, "enter") OP(LEAVE, "leave")                                     \
	OP(LAHF, "lahf") OP(SAHF, "sahf") OP(CLC, "clc") OP(STC, "stc") OP(CMC, "cmc")             \
	OP(CLD, "cld") OP(STD, "std") OP(CLI, "cli") OP(STI, "sti")                                \
	OP(DAA, "daa") OP(DAS, "das") OP(AAA, "aaa") OP(AAS, "aas") OP(AAM, "aam") OP(AAD, "aad")  \
	OP(SALC, "salc") OP(XLAT, "xlat") OP(NOP, "nop") /* and reserved-NOP, ENDBR, CLDEMOTE */   \
	OP(PAUSE, "pause") OP(PREFETCH, "prefetch") /* every prefetch */                           \
	OP(CLFLUSH, "clflush") OP(CLFLUSHOPT, "clflushopt") OP(CLWB, "clwb")                       \
	OP(LFENCE, "lfence") OP(MFENCE, "mfence") OP(SFENCE, "sfence")                             \
	OP(MOVS, "movs") OP(STOS, "stos") OP(LODS, "lods") OP(SCAS, "scas") OP(CMPS, "cmps")       \
	OP(INS, "ins") OP(OUTS, "outs") OP(IN, "in") OP(OUT, "out")                                \
	OP(CLZERO, "clzero")

/* Control transfers that change segments, and everything an operating system uses. */
#define X86_OPS_SYSTEM(OP)                                                                         \
	OP(JMP_FAR, "jmp") /* ptr16:16/32 */ OP(JMP_FAR_IND, "jmp") /* m16:16/32/64 */             \
	OP(CALL_FAR, "call") OP(CALL_FAR_IND, "call") OP(RET_FAR, "retf") OP(IRET, "iret")         \
	OP(INT, "int") OP(INT3, "int3") OP(INT1, "int1") OP(INTO, "into") OP(BOUND, "bound")       \
	OP(UD0, "ud0") OP(UD1, "ud1") OP(UD2, "ud2")                                               \
	OP(MOV_FROM_SEG, "mov") OP(MOV_TO_SEG, "mov") OP(PUSH_SEG, "push") OP(POP_SEG, "pop")      \
	OP(LES, "les") OP(LDS, "lds") OP(LSS, "lss") OP(LFS, "lfs") OP(LGS, "lgs")                 \
	OP(MOV_FROM_CR, "mov") OP(MOV_TO_CR, "mov") OP(MOV_FROM_DR, "mov") OP(MOV_TO_DR, "mov")    \
	OP(CLTS, "clts") OP(LMSW, "lmsw") OP(SMSW, "smsw") OP(LGDT, "lgdt") OP(LIDT, "lidt")       \
	OP(SGDT, "sgdt") OP(SIDT, "sidt") OP(LLDT, "lldt") OP(LTR, "ltr") OP(SLDT, "sldt")         \
	OP(STR, "str") OP(LAR, "lar") OP(LSL, "lsl") OP(VERR, "verr") OP(VERW, "verw")             \
	OP(ARPL, "arpl") OP(INVLPG, "invlpg") OP(INVPCID, "invpcid") OP(INVD, "invd")              \
	OP(WBINVD, "wbinvd") OP(WBNOINVD, "wbnoinvd") OP(HLT, "hlt") OP(CPUID, "cpuid")            \
	OP(RDMSR, "rdmsr") OP(WRMSR, "wrmsr") OP(RDTSC, "rdtsc") OP(RDTSCP, "rdtscp")              \
	OP(RDPMC, "rdpmc") OP(RDPID, "rdpid") OP(SYSCALL, "syscall") OP(SYSRET, "sysret")          \
	OP(SYSENTER, "sysenter") OP(SYSEXIT, "sysexit") OP(SWAPGS, "swapgs")                       \
	OP(RDFSBASE, "rdfsbase") OP(RDGSBASE, "rdgsbase") OP(WRFSBASE, "wrfsbase")                 \
	OP(WRGSBASE, "wrgsbase") OP(CLAC, "clac") OP(STAC, "stac") OP(MONITOR, "monitor")          \
	OP(MWAIT, "mwait") OP(XGETBV, "xgetbv") OP(XSETBV, "xsetbv") OP(RSM, "rsm")                \
	OP(VMCALL, "vmcall") OP(VMMCALL, "vmmcall") /* the rest of VMX/SVM decodes as #UD */       \
	OP(RDRAND, "rdrand") OP(RDSEED, "rdseed")

/* State of x87/SSE/AVX as a whole. */
#define X86_OPS_XSTATE(OP)                                                                         \
	OP(FXSAVE, "fxsave") OP(FXRSTOR, "fxrstor") OP(XSAVE, "xsave") OP(XRSTOR, "xrstor")        \
	OP(XSAVEOPT, "xsaveopt") OP(XSAVEC, "xsavec") OP(XSAVES, "xsaves") OP(XRSTORS, "xrstors")  \
	OP(LDMXCSR, "ldmxcsr") OP(STMXCSR, "stmxcsr")

#include "x86/ops_simd.h" /* X86_OPS_SIMD(OP): x87, MMX, SSE, AVX, BMI, … */

enum x86_op {
	X86_OP_INVALID,
#define X86_OP_ENUM(id, name) X86_OP_##id,
	X86_OPS_INTEGER(X86_OP_ENUM) X86_OPS_SYSTEM(X86_OP_ENUM) X86_OPS_XSTATE(X86_OP_ENUM)
		X86_OPS_SIMD(X86_OP_ENUM)
#undef X86_OP_ENUM
	X86_OP_COUNT
};

#endif
