// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's table: which function does which operation. What is not here is refused.
 * Threads: any; constant.
 */
#include "emu_int.h"

/* clang-format off */
#define H(op, name) [X86_OP_##op] = emu_do_##name

static const emu_fn handlers[X86_OP_COUNT] = {
	/* arithmetic */
	H(ADD, alu), H(OR, alu), H(ADC, alu), H(SBB, alu), H(AND, alu), H(SUB, alu), H(XOR, alu),
	H(CMP, alu), H(TEST, alu), H(NOT, unary), H(NEG, unary), H(INC, unary), H(DEC, unary),
	H(ROL, shift), H(ROR, shift), H(RCL, shift), H(RCR, shift), H(SHL, shift), H(SHR, shift),
	H(SAR, shift), H(SHLD, shift_double), H(SHRD, shift_double), H(MUL, mul), H(IMUL, imul),
	H(DIV, div), H(IDIV, div), H(BT, bit), H(BTS, bit), H(BTR, bit), H(BTC, bit), H(BSF, scan),
	H(BSR, scan), H(CMPXCHG, cmpxchg), H(CMPXCHG8B, cmpxchg_pair), H(CMPXCHG16B, cmpxchg_pair),
	H(XADD, xadd), H(DAA, bcd), H(DAS, bcd), H(AAA, bcd), H(AAS, bcd), H(AAM, bcd), H(AAD, bcd),
	/* moves */
	H(MOV, mov), H(MOVNTI, mov), H(MOVZX, movx), H(MOVSX, movx), H(MOVSXD, movx), H(MOVBE, movbe),
	H(LEA, lea), H(XCHG, xchg), H(BSWAP, bswap), H(CBW, cbw), H(CWD, cwd), H(SETCC, setcc),
	H(CMOVCC, cmov), H(XLAT, xlat), H(NOP, nop), H(PREFETCH, nop), H(LFENCE, nop), H(MFENCE, nop),
	H(SFENCE, nop), H(CLC, flag), H(STC, flag), H(CMC, flag), H(CLD, flag), H(STD, flag),
	H(SALC, flag), H(LAHF, lahf), H(SAHF, lahf),
	/* vectors */
	H(MOVAPS, vec_load), H(MOVAPD, vec_load), H(MOVUPS, vec_load), H(MOVUPD, vec_load),
	H(MOVDQA, vec_load), H(MOVDQU, vec_load), H(LDDQU, vec_load), H(MOVNTPS, vec_load),
	H(MOVNTPD, vec_load), H(MOVNTDQ, vec_load), H(MOVNTDQA, vec_load), H(MOVNTQ, vec_load),
	H(MOVD, vec_load), H(MOVQ, vec_load), H(MOVSS, vec_load), H(MOVSD, vec_load),
	H(VMOVAPS, vec_load), H(VMOVAPD, vec_load), H(VMOVUPS, vec_load), H(VMOVUPD, vec_load),
	H(VMOVDQA, vec_load), H(VMOVDQU, vec_load), H(VLDDQU, vec_load), H(VMOVNTPS, vec_load),
	H(VMOVNTPD, vec_load), H(VMOVNTDQ, vec_load), H(VMOVNTDQA, vec_load), H(VMOVD, vec_load),
	H(VMOVQ, vec_load), H(VMOVSS, vec_load), H(VMOVSD, vec_load), H(MOVLPS, vec_low),
	H(MOVLPD, vec_low), H(MOVHPS, vec_low), H(MOVHPD, vec_low), H(VMOVLPS, vec_low),
	H(VMOVLPD, vec_low), H(VMOVHPS, vec_low), H(VMOVHPD, vec_low),
	/* stack */
	H(PUSH, push), H(POP, pop), H(PUSHA, pusha), H(POPA, popa), H(PUSHF, pushf), H(POPF, popf),
	H(ENTER, enter), H(LEAVE, leave),
	/* control */
	H(JCC, jcc), H(JMP, jmp), H(JMP_IND, jmp_ind), H(CALL, call), H(CALL_IND, call), H(RET, ret),
	H(LOOP, loop), H(LOOPE, loop), H(LOOPNE, loop), H(JCXZ, loop), H(BOUND, bound),
	H(INT, soft_int), H(INT3, soft_int), H(INT1, soft_int), H(INTO, soft_int), H(UD0, ud),
	H(UD1, ud), H(UD2, ud), H(JMP_FAR, far), H(JMP_FAR_IND, far), H(CALL_FAR, far),
	H(CALL_FAR_IND, far), H(RET_FAR, ret_far), H(IRET, iret),
	/* strings and ports */
	H(MOVS, string), H(STOS, string), H(LODS, string), H(SCAS, string), H(CMPS, string), H(INS, ins),
	H(OUTS, outs), H(IN, io), H(OUT, io),
	/* segments and tables */
	H(MOV_FROM_SEG, mov_seg), H(MOV_TO_SEG, mov_seg), H(PUSH_SEG, push_seg), H(POP_SEG, pop_seg),
	H(LES, load_far), H(LDS, load_far), H(LSS, load_far), H(LFS, load_far), H(LGS, load_far),
	H(LGDT, table), H(LIDT, table), H(SGDT, table), H(SIDT, table), H(LLDT, ldt_tr), H(LTR, ldt_tr),
	H(SLDT, store_sel), H(STR, store_sel), H(LAR, verify), H(LSL, verify), H(VERR, verify),
	H(VERW, verify), H(ARPL, verify),
	/* system */
	H(MOV_FROM_CR, mov_cr), H(MOV_TO_CR, mov_cr), H(MOV_FROM_DR, mov_dr), H(MOV_TO_DR, mov_dr),
	H(CLTS, clts), H(LMSW, msw), H(SMSW, msw), H(RDMSR, msr), H(WRMSR, msr), H(RDTSC, tsc),
	H(RDTSCP, tsc), H(XGETBV, xcr), H(XSETBV, xcr), H(CPUID, cpuid), H(CLI, cli_sti),
	H(STI, cli_sti), H(SWAPGS, swapgs), H(RDFSBASE, fsgs), H(RDGSBASE, fsgs), H(WRFSBASE, fsgs),
	H(WRGSBASE, fsgs), H(CLAC, ac), H(STAC, ac), H(HLT, todo), H(PAUSE, todo), H(INVLPG, todo),
	H(INVD, todo), H(WBINVD, todo), H(WBNOINVD, todo), H(VMCALL, todo), H(VMMCALL, todo),
	H(MONITOR, todo), H(MWAIT, todo), H(FNINIT, x87), H(FNSTCW, x87), H(FNSTSW, x87),
};
/* clang-format on */

emu_fn emu_handler(unsigned op)
{
	return op < X86_OP_COUNT ? handlers[op] : NULL;
}
