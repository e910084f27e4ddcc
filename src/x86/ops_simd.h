/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compute-only operations that run as the host's own instruction: OP(IDENTIFIER, "mnemonic").
 * Source: Intel SDM vol. 2; AMD APM vol. 4 and 5.
 */
#ifndef LODGE_X86_OPS_SIMD_H
#define LODGE_X86_OPS_SIMD_H

/* clang-format off */

/* POPCNT, LZCNT, TZCNT, CRC32, ADX, BMI1, BMI2: general registers and flags. */
#define X86_OPS_GPR(OP) \
	OP(POPCNT, "popcnt") OP(LZCNT, "lzcnt") OP(TZCNT, "tzcnt") OP(CRC32, "crc32") \
	OP(ADCX, "adcx") OP(ADOX, "adox") OP(ANDN, "andn") OP(BEXTR, "bextr") OP(BLSI, "blsi") \
	OP(BLSMSK, "blsmsk") OP(BLSR, "blsr") OP(BZHI, "bzhi") OP(MULX, "mulx") \
	OP(PDEP, "pdep") OP(PEXT, "pext") OP(RORX, "rorx") OP(SARX, "sarx") OP(SHLX, "shlx") \
	OP(SHRX, "shrx")

/* x87. */
#define X86_OPS_X87(OP) \
	OP(FWAIT, "fwait") OP(FADD, "fadd") OP(FMUL, "fmul") OP(FCOM, "fcom") \
	OP(FCOMP, "fcomp") OP(FSUB, "fsub") OP(FSUBR, "fsubr") OP(FDIV, "fdiv") \
	OP(FDIVR, "fdivr") OP(FLD, "fld") OP(FST, "fst") OP(FSTP, "fstp") OP(FLDENV, "fldenv") \
	OP(FLDCW, "fldcw") OP(FNSTENV, "fnstenv") OP(FNSTCW, "fnstcw") OP(FXCH, "fxch") \
	OP(FNOP, "fnop") OP(FSTPNCE, "fstpnce") OP(FCHS, "fchs") OP(FABS, "fabs") \
	OP(FTST, "ftst") OP(FXAM, "fxam") OP(FLD1, "fld1") OP(FLDL2T, "fldl2t") \
	OP(FLDL2E, "fldl2e") OP(FLDPI, "fldpi") OP(FLDLG2, "fldlg2") OP(FLDLN2, "fldln2") \
	OP(FLDZ, "fldz") OP(F2XM1, "f2xm1") OP(FYL2X, "fyl2x") OP(FPTAN, "fptan") \
	OP(FPATAN, "fpatan") OP(FXTRACT, "fxtract") OP(FPREM1, "fprem1") \
	OP(FDECSTP, "fdecstp") OP(FINCSTP, "fincstp") OP(FPREM, "fprem") \
	OP(FYL2XP1, "fyl2xp1") OP(FSQRT, "fsqrt") OP(FSINCOS, "fsincos") \
	OP(FRNDINT, "frndint") OP(FSCALE, "fscale") OP(FSIN, "fsin") OP(FCOS, "fcos") \
	OP(FCMOVB, "fcmovb") OP(FCMOVE, "fcmove") OP(FCMOVBE, "fcmovbe") OP(FCMOVU, "fcmovu") \
	OP(FUCOMPP, "fucompp") OP(FILD, "fild") OP(FISTTP, "fisttp") OP(FIST, "fist") \
	OP(FISTP, "fistp") OP(FCMOVNB, "fcmovnb") OP(FCMOVNE, "fcmovne") \
	OP(FCMOVNBE, "fcmovnbe") OP(FCMOVNU, "fcmovnu") OP(FNCLEX, "fnclex") \
	OP(FNINIT, "fninit") OP(FUCOMI, "fucomi") OP(FCOMI, "fcomi") OP(FRSTOR, "frstor") \
	OP(FNSAVE, "fnsave") OP(FNSTSW, "fnstsw") OP(FFREE, "ffree") OP(FUCOM, "fucom") \
	OP(FUCOMP, "fucomp") OP(FADDP, "faddp") OP(FMULP, "fmulp") OP(FCOMPP, "fcompp") \
	OP(FSUBRP, "fsubrp") OP(FSUBP, "fsubp") OP(FDIVRP, "fdivrp") OP(FDIVP, "fdivp") \
	OP(FBLD, "fbld") OP(FBSTP, "fbstp") OP(FFREEP, "ffreep") OP(FUCOMIP, "fucomip") \
	OP(FCOMIP, "fcomip") OP(FIADD, "fiadd") OP(FIMUL, "fimul") OP(FICOM, "ficom") \
	OP(FICOMP, "ficomp") OP(FISUB, "fisub") OP(FISUBR, "fisubr") OP(FIDIV, "fidiv") \
	OP(FIDIVR, "fidivr")

/* MMX, SSE, SSE2, SSE3, SSE4A; the MMX and XMM forms of one mnemonic are one operation. */
#define X86_OPS_SSE(OP) \
	OP(MOVUPS, "movups") OP(MOVUPD, "movupd") OP(MOVSS, "movss") OP(MOVSD, "movsd") \
	OP(MOVLPS, "movlps") OP(MOVHLPS, "movhlps") OP(MOVLPD, "movlpd") \
	OP(MOVSLDUP, "movsldup") OP(MOVDDUP, "movddup") OP(UNPCKLPS, "unpcklps") \
	OP(UNPCKLPD, "unpcklpd") OP(UNPCKHPS, "unpckhps") OP(UNPCKHPD, "unpckhpd") \
	OP(MOVHPS, "movhps") OP(MOVLHPS, "movlhps") OP(MOVHPD, "movhpd") \
	OP(MOVSHDUP, "movshdup") OP(MOVAPS, "movaps") OP(MOVAPD, "movapd") \
	OP(CVTPI2PS, "cvtpi2ps") OP(CVTPI2PD, "cvtpi2pd") OP(CVTSI2SS, "cvtsi2ss") \
	OP(CVTSI2SD, "cvtsi2sd") OP(MOVNTPS, "movntps") OP(MOVNTPD, "movntpd") \
	OP(MOVNTSS, "movntss") OP(MOVNTSD, "movntsd") OP(CVTTPS2PI, "cvttps2pi") \
	OP(CVTTPD2PI, "cvttpd2pi") OP(CVTTSS2SI, "cvttss2si") OP(CVTTSD2SI, "cvttsd2si") \
	OP(CVTPS2PI, "cvtps2pi") OP(CVTPD2PI, "cvtpd2pi") OP(CVTSS2SI, "cvtss2si") \
	OP(CVTSD2SI, "cvtsd2si") OP(UCOMISS, "ucomiss") OP(UCOMISD, "ucomisd") \
	OP(COMISS, "comiss") OP(COMISD, "comisd") OP(MOVMSKPS, "movmskps") \
	OP(MOVMSKPD, "movmskpd") OP(SQRTPS, "sqrtps") OP(SQRTPD, "sqrtpd") \
	OP(SQRTSS, "sqrtss") OP(SQRTSD, "sqrtsd") OP(RSQRTPS, "rsqrtps") \
	OP(RSQRTSS, "rsqrtss") OP(RCPPS, "rcpps") OP(RCPSS, "rcpss") OP(ANDPS, "andps") \
	OP(ANDPD, "andpd") OP(ANDNPS, "andnps") OP(ANDNPD, "andnpd") OP(ORPS, "orps") \
	OP(ORPD, "orpd") OP(XORPS, "xorps") OP(XORPD, "xorpd") OP(ADDPS, "addps") \
	OP(ADDPD, "addpd") OP(ADDSS, "addss") OP(ADDSD, "addsd") OP(MULPS, "mulps") \
	OP(MULPD, "mulpd") OP(MULSS, "mulss") OP(MULSD, "mulsd") OP(CVTPS2PD, "cvtps2pd") \
	OP(CVTPD2PS, "cvtpd2ps") OP(CVTSS2SD, "cvtss2sd") OP(CVTSD2SS, "cvtsd2ss") \
	OP(CVTDQ2PS, "cvtdq2ps") OP(CVTPS2DQ, "cvtps2dq") OP(CVTTPS2DQ, "cvttps2dq") \
	OP(SUBPS, "subps") OP(SUBPD, "subpd") OP(SUBSS, "subss") OP(SUBSD, "subsd") \
	OP(MINPS, "minps") OP(MINPD, "minpd") OP(MINSS, "minss") OP(MINSD, "minsd") \
	OP(DIVPS, "divps") OP(DIVPD, "divpd") OP(DIVSS, "divss") OP(DIVSD, "divsd") \
	OP(MAXPS, "maxps") OP(MAXPD, "maxpd") OP(MAXSS, "maxss") OP(MAXSD, "maxsd") \
	OP(PUNPCKLBW, "punpcklbw") OP(PUNPCKLWD, "punpcklwd") OP(PUNPCKLDQ, "punpckldq") \
	OP(PACKSSWB, "packsswb") OP(PCMPGTB, "pcmpgtb") OP(PCMPGTW, "pcmpgtw") \
	OP(PCMPGTD, "pcmpgtd") OP(PACKUSWB, "packuswb") OP(PUNPCKHBW, "punpckhbw") \
	OP(PUNPCKHWD, "punpckhwd") OP(PUNPCKHDQ, "punpckhdq") OP(PACKSSDW, "packssdw") \
	OP(PUNPCKLQDQ, "punpcklqdq") OP(PUNPCKHQDQ, "punpckhqdq") OP(MOVD, "movd") \
	OP(MOVQ, "movq") OP(MOVDQA, "movdqa") OP(MOVDQU, "movdqu") OP(PSHUFW, "pshufw") \
	OP(PSHUFD, "pshufd") OP(PSHUFHW, "pshufhw") OP(PSHUFLW, "pshuflw") OP(PSRLW, "psrlw") \
	OP(PSRAW, "psraw") OP(PSLLW, "psllw") OP(PSRLD, "psrld") OP(PSRAD, "psrad") \
	OP(PSLLD, "pslld") OP(PSRLQ, "psrlq") OP(PSRLDQ, "psrldq") OP(PSLLQ, "psllq") \
	OP(PSLLDQ, "pslldq") OP(PCMPEQB, "pcmpeqb") OP(PCMPEQW, "pcmpeqw") \
	OP(PCMPEQD, "pcmpeqd") OP(EMMS, "emms") OP(EXTRQ, "extrq") OP(INSERTQ, "insertq") \
	OP(HADDPD, "haddpd") OP(HADDPS, "haddps") OP(HSUBPD, "hsubpd") OP(HSUBPS, "hsubps") \
	OP(CMPPS, "cmpps") OP(CMPPD, "cmppd") OP(CMPSS, "cmpss") OP(CMPSD, "cmpsd") \
	OP(PINSRW, "pinsrw") OP(PEXTRW, "pextrw") OP(SHUFPS, "shufps") OP(SHUFPD, "shufpd") \
	OP(ADDSUBPD, "addsubpd") OP(ADDSUBPS, "addsubps") OP(PADDQ, "paddq") \
	OP(PMULLW, "pmullw") OP(MOVQ2DQ, "movq2dq") OP(MOVDQ2Q, "movdq2q") \
	OP(PMOVMSKB, "pmovmskb") OP(PSUBUSB, "psubusb") OP(PSUBUSW, "psubusw") \
	OP(PMINUB, "pminub") OP(PAND, "pand") OP(PADDUSB, "paddusb") OP(PADDUSW, "paddusw") \
	OP(PMAXUB, "pmaxub") OP(PANDN, "pandn") OP(PAVGB, "pavgb") OP(PAVGW, "pavgw") \
	OP(PMULHUW, "pmulhuw") OP(PMULHW, "pmulhw") OP(CVTTPD2DQ, "cvttpd2dq") \
	OP(CVTDQ2PD, "cvtdq2pd") OP(CVTPD2DQ, "cvtpd2dq") OP(MOVNTQ, "movntq") \
	OP(MOVNTDQ, "movntdq") OP(PSUBSB, "psubsb") OP(PSUBSW, "psubsw") OP(PMINSW, "pminsw") \
	OP(POR, "por") OP(PADDSB, "paddsb") OP(PADDSW, "paddsw") OP(PMAXSW, "pmaxsw") \
	OP(PXOR, "pxor") OP(LDDQU, "lddqu") OP(PMULUDQ, "pmuludq") OP(PMADDWD, "pmaddwd") \
	OP(PSADBW, "psadbw") OP(MASKMOVQ, "maskmovq") OP(MASKMOVDQU, "maskmovdqu") \
	OP(PSUBB, "psubb") OP(PSUBW, "psubw") OP(PSUBD, "psubd") OP(PSUBQ, "psubq") \
	OP(PADDB, "paddb") OP(PADDW, "paddw") OP(PADDD, "paddd")

/* SSSE3, SSE4.1, SSE4.2, SHA, AES, PCLMULQDQ, GFNI. */
#define X86_OPS_SSE4(OP) \
	OP(PSHUFB, "pshufb") OP(PHADDW, "phaddw") OP(PHADDD, "phaddd") OP(PHADDSW, "phaddsw") \
	OP(PMADDUBSW, "pmaddubsw") OP(PHSUBW, "phsubw") OP(PHSUBD, "phsubd") \
	OP(PHSUBSW, "phsubsw") OP(PSIGNB, "psignb") OP(PSIGNW, "psignw") OP(PSIGND, "psignd") \
	OP(PMULHRSW, "pmulhrsw") OP(PBLENDVB, "pblendvb") OP(BLENDVPS, "blendvps") \
	OP(BLENDVPD, "blendvpd") OP(PTEST, "ptest") OP(PABSB, "pabsb") OP(PABSW, "pabsw") \
	OP(PABSD, "pabsd") OP(PMOVSXBW, "pmovsxbw") OP(PMOVSXBD, "pmovsxbd") \
	OP(PMOVSXBQ, "pmovsxbq") OP(PMOVSXWD, "pmovsxwd") OP(PMOVSXWQ, "pmovsxwq") \
	OP(PMOVSXDQ, "pmovsxdq") OP(PMULDQ, "pmuldq") OP(PCMPEQQ, "pcmpeqq") \
	OP(MOVNTDQA, "movntdqa") OP(PACKUSDW, "packusdw") OP(PMOVZXBW, "pmovzxbw") \
	OP(PMOVZXBD, "pmovzxbd") OP(PMOVZXBQ, "pmovzxbq") OP(PMOVZXWD, "pmovzxwd") \
	OP(PMOVZXWQ, "pmovzxwq") OP(PMOVZXDQ, "pmovzxdq") OP(PCMPGTQ, "pcmpgtq") \
	OP(PMINSB, "pminsb") OP(PMINSD, "pminsd") OP(PMINUW, "pminuw") OP(PMINUD, "pminud") \
	OP(PMAXSB, "pmaxsb") OP(PMAXSD, "pmaxsd") OP(PMAXUW, "pmaxuw") OP(PMAXUD, "pmaxud") \
	OP(PMULLD, "pmulld") OP(PHMINPOSUW, "phminposuw") OP(SHA1NEXTE, "sha1nexte") \
	OP(SHA1MSG1, "sha1msg1") OP(SHA1MSG2, "sha1msg2") OP(SHA256RNDS2, "sha256rnds2") \
	OP(SHA256MSG1, "sha256msg1") OP(SHA256MSG2, "sha256msg2") OP(GF2P8MULB, "gf2p8mulb") \
	OP(AESIMC, "aesimc") OP(AESENC, "aesenc") OP(AESENCLAST, "aesenclast") \
	OP(AESDEC, "aesdec") OP(AESDECLAST, "aesdeclast") OP(ROUNDPS, "roundps") \
	OP(ROUNDPD, "roundpd") OP(ROUNDSS, "roundss") OP(ROUNDSD, "roundsd") \
	OP(BLENDPS, "blendps") OP(BLENDPD, "blendpd") OP(PBLENDW, "pblendw") \
	OP(PALIGNR, "palignr") OP(PEXTRB, "pextrb") OP(PEXTRD, "pextrd") OP(PEXTRQ, "pextrq") \
	OP(EXTRACTPS, "extractps") OP(PINSRB, "pinsrb") OP(INSERTPS, "insertps") \
	OP(PINSRD, "pinsrd") OP(PINSRQ, "pinsrq") OP(DPPS, "dpps") OP(DPPD, "dppd") \
	OP(MPSADBW, "mpsadbw") OP(PCLMULQDQ, "pclmulqdq") OP(PCMPESTRM, "pcmpestrm") \
	OP(PCMPESTRI, "pcmpestri") OP(PCMPISTRM, "pcmpistrm") OP(PCMPISTRI, "pcmpistri") \
	OP(SHA1RNDS4, "sha1rnds4") OP(GF2P8AFFINEQB, "gf2p8affineqb") \
	OP(GF2P8AFFINEINVQB, "gf2p8affineinvqb") OP(AESKEYGENASSIST, "aeskeygenassist")

/* VEX forms: AVX, AVX2, FMA, F16C, VAES, VPCLMULQDQ, GFNI. */
#define X86_OPS_VEX(OP) \
	OP(VMOVUPS, "vmovups") OP(VMOVUPD, "vmovupd") OP(VMOVSS, "vmovss") \
	OP(VMOVSD, "vmovsd") OP(VMOVLPS, "vmovlps") OP(VMOVHLPS, "vmovhlps") \
	OP(VMOVLPD, "vmovlpd") OP(VMOVSLDUP, "vmovsldup") OP(VMOVDDUP, "vmovddup") \
	OP(VUNPCKLPS, "vunpcklps") OP(VUNPCKLPD, "vunpcklpd") OP(VUNPCKHPS, "vunpckhps") \
	OP(VUNPCKHPD, "vunpckhpd") OP(VMOVHPS, "vmovhps") OP(VMOVLHPS, "vmovlhps") \
	OP(VMOVHPD, "vmovhpd") OP(VMOVSHDUP, "vmovshdup") OP(VMOVAPS, "vmovaps") \
	OP(VMOVAPD, "vmovapd") OP(VCVTSI2SS, "vcvtsi2ss") OP(VCVTSI2SD, "vcvtsi2sd") \
	OP(VMOVNTPS, "vmovntps") OP(VMOVNTPD, "vmovntpd") OP(VCVTTSS2SI, "vcvttss2si") \
	OP(VCVTTSD2SI, "vcvttsd2si") OP(VCVTSS2SI, "vcvtss2si") OP(VCVTSD2SI, "vcvtsd2si") \
	OP(VUCOMISS, "vucomiss") OP(VUCOMISD, "vucomisd") OP(VCOMISS, "vcomiss") \
	OP(VCOMISD, "vcomisd") OP(VMOVMSKPS, "vmovmskps") OP(VMOVMSKPD, "vmovmskpd") \
	OP(VSQRTPS, "vsqrtps") OP(VSQRTPD, "vsqrtpd") OP(VSQRTSS, "vsqrtss") \
	OP(VSQRTSD, "vsqrtsd") OP(VRSQRTPS, "vrsqrtps") OP(VRSQRTSS, "vrsqrtss") \
	OP(VRCPPS, "vrcpps") OP(VRCPSS, "vrcpss") OP(VANDPS, "vandps") OP(VANDPD, "vandpd") \
	OP(VANDNPS, "vandnps") OP(VANDNPD, "vandnpd") OP(VORPS, "vorps") OP(VORPD, "vorpd") \
	OP(VXORPS, "vxorps") OP(VXORPD, "vxorpd") OP(VADDPS, "vaddps") OP(VADDPD, "vaddpd") \
	OP(VADDSS, "vaddss") OP(VADDSD, "vaddsd") OP(VMULPS, "vmulps") OP(VMULPD, "vmulpd") \
	OP(VMULSS, "vmulss") OP(VMULSD, "vmulsd") OP(VCVTPS2PD, "vcvtps2pd") \
	OP(VCVTPD2PS, "vcvtpd2ps") OP(VCVTSS2SD, "vcvtss2sd") OP(VCVTSD2SS, "vcvtsd2ss") \
	OP(VCVTDQ2PS, "vcvtdq2ps") OP(VCVTPS2DQ, "vcvtps2dq") OP(VCVTTPS2DQ, "vcvttps2dq") \
	OP(VSUBPS, "vsubps") OP(VSUBPD, "vsubpd") OP(VSUBSS, "vsubss") OP(VSUBSD, "vsubsd") \
	OP(VMINPS, "vminps") OP(VMINPD, "vminpd") OP(VMINSS, "vminss") OP(VMINSD, "vminsd") \
	OP(VDIVPS, "vdivps") OP(VDIVPD, "vdivpd") OP(VDIVSS, "vdivss") OP(VDIVSD, "vdivsd") \
	OP(VMAXPS, "vmaxps") OP(VMAXPD, "vmaxpd") OP(VMAXSS, "vmaxss") OP(VMAXSD, "vmaxsd") \
	OP(VPUNPCKLBW, "vpunpcklbw") OP(VPUNPCKLWD, "vpunpcklwd") OP(VPUNPCKLDQ, "vpunpckldq") \
	OP(VPACKSSWB, "vpacksswb") OP(VPCMPGTB, "vpcmpgtb") OP(VPCMPGTW, "vpcmpgtw") \
	OP(VPCMPGTD, "vpcmpgtd") OP(VPACKUSWB, "vpackuswb") OP(VPUNPCKHBW, "vpunpckhbw") \
	OP(VPUNPCKHWD, "vpunpckhwd") OP(VPUNPCKHDQ, "vpunpckhdq") OP(VPACKSSDW, "vpackssdw") \
	OP(VPUNPCKLQDQ, "vpunpcklqdq") OP(VPUNPCKHQDQ, "vpunpckhqdq") OP(VMOVD, "vmovd") \
	OP(VMOVQ, "vmovq") OP(VMOVDQA, "vmovdqa") OP(VMOVDQU, "vmovdqu") \
	OP(VPSHUFD, "vpshufd") OP(VPSHUFHW, "vpshufhw") OP(VPSHUFLW, "vpshuflw") \
	OP(VPSRLW, "vpsrlw") OP(VPSRAW, "vpsraw") OP(VPSLLW, "vpsllw") OP(VPSRLD, "vpsrld") \
	OP(VPSRAD, "vpsrad") OP(VPSLLD, "vpslld") OP(VPSRLQ, "vpsrlq") OP(VPSRLDQ, "vpsrldq") \
	OP(VPSLLQ, "vpsllq") OP(VPSLLDQ, "vpslldq") OP(VPCMPEQB, "vpcmpeqb") \
	OP(VPCMPEQW, "vpcmpeqw") OP(VPCMPEQD, "vpcmpeqd") OP(VZEROUPPER, "vzeroupper") \
	OP(VZEROALL, "vzeroall") OP(VHADDPD, "vhaddpd") OP(VHADDPS, "vhaddps") \
	OP(VHSUBPD, "vhsubpd") OP(VHSUBPS, "vhsubps") OP(VCMPPS, "vcmpps") \
	OP(VCMPPD, "vcmppd") OP(VCMPSS, "vcmpss") OP(VCMPSD, "vcmpsd") OP(VPINSRW, "vpinsrw") \
	OP(VPEXTRW, "vpextrw") OP(VSHUFPS, "vshufps") OP(VSHUFPD, "vshufpd") \
	OP(VADDSUBPD, "vaddsubpd") OP(VADDSUBPS, "vaddsubps") OP(VPADDQ, "vpaddq") \
	OP(VPMULLW, "vpmullw") OP(VPMOVMSKB, "vpmovmskb") OP(VPSUBUSB, "vpsubusb") \
	OP(VPSUBUSW, "vpsubusw") OP(VPMINUB, "vpminub") OP(VPAND, "vpand") \
	OP(VPADDUSB, "vpaddusb") OP(VPADDUSW, "vpaddusw") OP(VPMAXUB, "vpmaxub") \
	OP(VPANDN, "vpandn") OP(VPAVGB, "vpavgb") OP(VPAVGW, "vpavgw") \
	OP(VPMULHUW, "vpmulhuw") OP(VPMULHW, "vpmulhw") OP(VCVTTPD2DQ, "vcvttpd2dq") \
	OP(VCVTDQ2PD, "vcvtdq2pd") OP(VCVTPD2DQ, "vcvtpd2dq") OP(VMOVNTDQ, "vmovntdq") \
	OP(VPSUBSB, "vpsubsb") OP(VPSUBSW, "vpsubsw") OP(VPMINSW, "vpminsw") OP(VPOR, "vpor") \
	OP(VPADDSB, "vpaddsb") OP(VPADDSW, "vpaddsw") OP(VPMAXSW, "vpmaxsw") \
	OP(VPXOR, "vpxor") OP(VLDDQU, "vlddqu") OP(VPMULUDQ, "vpmuludq") \
	OP(VPMADDWD, "vpmaddwd") OP(VPSADBW, "vpsadbw") OP(VMASKMOVDQU, "vmaskmovdqu") \
	OP(VPSUBB, "vpsubb") OP(VPSUBW, "vpsubw") OP(VPSUBD, "vpsubd") OP(VPSUBQ, "vpsubq") \
	OP(VPADDB, "vpaddb") OP(VPADDW, "vpaddw") OP(VPADDD, "vpaddd") OP(VPSHUFB, "vpshufb") \
	OP(VPHADDW, "vphaddw") OP(VPHADDD, "vphaddd") OP(VPHADDSW, "vphaddsw") \
	OP(VPMADDUBSW, "vpmaddubsw") OP(VPHSUBW, "vphsubw") OP(VPHSUBD, "vphsubd") \
	OP(VPHSUBSW, "vphsubsw") OP(VPSIGNB, "vpsignb") OP(VPSIGNW, "vpsignw") \
	OP(VPSIGND, "vpsignd") OP(VPMULHRSW, "vpmulhrsw") OP(VPERMILPS, "vpermilps") \
	OP(VPERMILPD, "vpermilpd") OP(VTESTPS, "vtestps") OP(VTESTPD, "vtestpd") \
	OP(VCVTPH2PS, "vcvtph2ps") OP(VPERMPS, "vpermps") OP(VPTEST, "vptest") \
	OP(VBROADCASTSS, "vbroadcastss") OP(VBROADCASTSD, "vbroadcastsd") \
	OP(VBROADCASTF128, "vbroadcastf128") OP(VPABSB, "vpabsb") OP(VPABSW, "vpabsw") \
	OP(VPABSD, "vpabsd") OP(VPMOVSXBW, "vpmovsxbw") OP(VPMOVSXBD, "vpmovsxbd") \
	OP(VPMOVSXBQ, "vpmovsxbq") OP(VPMOVSXWD, "vpmovsxwd") OP(VPMOVSXWQ, "vpmovsxwq") \
	OP(VPMOVSXDQ, "vpmovsxdq") OP(VPMULDQ, "vpmuldq") OP(VPCMPEQQ, "vpcmpeqq") \
	OP(VMOVNTDQA, "vmovntdqa") OP(VPACKUSDW, "vpackusdw") OP(VMASKMOVPS, "vmaskmovps") \
	OP(VMASKMOVPD, "vmaskmovpd") OP(VPMOVZXBW, "vpmovzxbw") OP(VPMOVZXBD, "vpmovzxbd") \
	OP(VPMOVZXBQ, "vpmovzxbq") OP(VPMOVZXWD, "vpmovzxwd") OP(VPMOVZXWQ, "vpmovzxwq") \
	OP(VPMOVZXDQ, "vpmovzxdq") OP(VPERMD, "vpermd") OP(VPCMPGTQ, "vpcmpgtq") \
	OP(VPMINSB, "vpminsb") OP(VPMINSD, "vpminsd") OP(VPMINUW, "vpminuw") \
	OP(VPMINUD, "vpminud") OP(VPMAXSB, "vpmaxsb") OP(VPMAXSD, "vpmaxsd") \
	OP(VPMAXUW, "vpmaxuw") OP(VPMAXUD, "vpmaxud") OP(VPMULLD, "vpmulld") \
	OP(VPHMINPOSUW, "vphminposuw") OP(VPSRLVD, "vpsrlvd") OP(VPSRLVQ, "vpsrlvq") \
	OP(VPSRAVD, "vpsravd") OP(VPSLLVD, "vpsllvd") OP(VPSLLVQ, "vpsllvq") \
	OP(VPBROADCASTD, "vpbroadcastd") OP(VPBROADCASTQ, "vpbroadcastq") \
	OP(VBROADCASTI128, "vbroadcasti128") OP(VPBROADCASTB, "vpbroadcastb") \
	OP(VPBROADCASTW, "vpbroadcastw") OP(VPMASKMOVD, "vpmaskmovd") \
	OP(VPMASKMOVQ, "vpmaskmovq") OP(VPGATHERDD, "vpgatherdd") OP(VPGATHERDQ, "vpgatherdq") \
	OP(VPGATHERQD, "vpgatherqd") OP(VPGATHERQQ, "vpgatherqq") OP(VGATHERDPS, "vgatherdps") \
	OP(VGATHERDPD, "vgatherdpd") OP(VGATHERQPS, "vgatherqps") OP(VGATHERQPD, "vgatherqpd") \
	OP(VFMADDSUB132PS, "vfmaddsub132ps") OP(VFMADDSUB132PD, "vfmaddsub132pd") \
	OP(VFMSUBADD132PS, "vfmsubadd132ps") OP(VFMSUBADD132PD, "vfmsubadd132pd") \
	OP(VFMADD132PS, "vfmadd132ps") OP(VFMADD132PD, "vfmadd132pd") \
	OP(VFMADD132SS, "vfmadd132ss") OP(VFMADD132SD, "vfmadd132sd") \
	OP(VFMSUB132PS, "vfmsub132ps") OP(VFMSUB132PD, "vfmsub132pd") \
	OP(VFMSUB132SS, "vfmsub132ss") OP(VFMSUB132SD, "vfmsub132sd") \
	OP(VFNMADD132PS, "vfnmadd132ps") OP(VFNMADD132PD, "vfnmadd132pd") \
	OP(VFNMADD132SS, "vfnmadd132ss") OP(VFNMADD132SD, "vfnmadd132sd") \
	OP(VFNMSUB132PS, "vfnmsub132ps") OP(VFNMSUB132PD, "vfnmsub132pd") \
	OP(VFNMSUB132SS, "vfnmsub132ss") OP(VFNMSUB132SD, "vfnmsub132sd") \
	OP(VFMADDSUB213PS, "vfmaddsub213ps") OP(VFMADDSUB213PD, "vfmaddsub213pd") \
	OP(VFMSUBADD213PS, "vfmsubadd213ps") OP(VFMSUBADD213PD, "vfmsubadd213pd") \
	OP(VFMADD213PS, "vfmadd213ps") OP(VFMADD213PD, "vfmadd213pd") \
	OP(VFMADD213SS, "vfmadd213ss") OP(VFMADD213SD, "vfmadd213sd") \
	OP(VFMSUB213PS, "vfmsub213ps") OP(VFMSUB213PD, "vfmsub213pd") \
	OP(VFMSUB213SS, "vfmsub213ss") OP(VFMSUB213SD, "vfmsub213sd") \
	OP(VFNMADD213PS, "vfnmadd213ps") OP(VFNMADD213PD, "vfnmadd213pd") \
	OP(VFNMADD213SS, "vfnmadd213ss") OP(VFNMADD213SD, "vfnmadd213sd") \
	OP(VFNMSUB213PS, "vfnmsub213ps") OP(VFNMSUB213PD, "vfnmsub213pd") \
	OP(VFNMSUB213SS, "vfnmsub213ss") OP(VFNMSUB213SD, "vfnmsub213sd") \
	OP(VFMADDSUB231PS, "vfmaddsub231ps") OP(VFMADDSUB231PD, "vfmaddsub231pd") \
	OP(VFMSUBADD231PS, "vfmsubadd231ps") OP(VFMSUBADD231PD, "vfmsubadd231pd") \
	OP(VFMADD231PS, "vfmadd231ps") OP(VFMADD231PD, "vfmadd231pd") \
	OP(VFMADD231SS, "vfmadd231ss") OP(VFMADD231SD, "vfmadd231sd") \
	OP(VFMSUB231PS, "vfmsub231ps") OP(VFMSUB231PD, "vfmsub231pd") \
	OP(VFMSUB231SS, "vfmsub231ss") OP(VFMSUB231SD, "vfmsub231sd") \
	OP(VFNMADD231PS, "vfnmadd231ps") OP(VFNMADD231PD, "vfnmadd231pd") \
	OP(VFNMADD231SS, "vfnmadd231ss") OP(VFNMADD231SD, "vfnmadd231sd") \
	OP(VFNMSUB231PS, "vfnmsub231ps") OP(VFNMSUB231PD, "vfnmsub231pd") \
	OP(VFNMSUB231SS, "vfnmsub231ss") OP(VFNMSUB231SD, "vfnmsub231sd") \
	OP(VGF2P8MULB, "vgf2p8mulb") OP(VAESIMC, "vaesimc") OP(VAESENC, "vaesenc") \
	OP(VAESENCLAST, "vaesenclast") OP(VAESDEC, "vaesdec") OP(VAESDECLAST, "vaesdeclast") \
	OP(VPERMQ, "vpermq") OP(VPERMPD, "vpermpd") OP(VPBLENDD, "vpblendd") \
	OP(VPERM2F128, "vperm2f128") OP(VROUNDPS, "vroundps") OP(VROUNDPD, "vroundpd") \
	OP(VROUNDSS, "vroundss") OP(VROUNDSD, "vroundsd") OP(VBLENDPS, "vblendps") \
	OP(VBLENDPD, "vblendpd") OP(VPBLENDW, "vpblendw") OP(VPALIGNR, "vpalignr") \
	OP(VPEXTRB, "vpextrb") OP(VPEXTRD, "vpextrd") OP(VPEXTRQ, "vpextrq") \
	OP(VEXTRACTPS, "vextractps") OP(VINSERTF128, "vinsertf128") \
	OP(VEXTRACTF128, "vextractf128") OP(VCVTPS2PH, "vcvtps2ph") OP(VPINSRB, "vpinsrb") \
	OP(VINSERTPS, "vinsertps") OP(VPINSRD, "vpinsrd") OP(VPINSRQ, "vpinsrq") \
	OP(VINSERTI128, "vinserti128") OP(VEXTRACTI128, "vextracti128") OP(VDPPS, "vdpps") \
	OP(VDPPD, "vdppd") OP(VMPSADBW, "vmpsadbw") OP(VPCLMULQDQ, "vpclmulqdq") \
	OP(VPERM2I128, "vperm2i128") OP(VBLENDVPS, "vblendvps") OP(VBLENDVPD, "vblendvpd") \
	OP(VPBLENDVB, "vpblendvb") OP(VPCMPESTRM, "vpcmpestrm") OP(VPCMPESTRI, "vpcmpestri") \
	OP(VPCMPISTRM, "vpcmpistrm") OP(VPCMPISTRI, "vpcmpistri") \
	OP(VGF2P8AFFINEQB, "vgf2p8affineqb") OP(VGF2P8AFFINEINVQB, "vgf2p8affineinvqb") \
	OP(VAESKEYGENASSIST, "vaeskeygenassist")

#define X86_OPS_SIMD(OP) X86_OPS_GPR(OP) X86_OPS_X87(OP) X86_OPS_SSE(OP) X86_OPS_SSE4(OP) X86_OPS_VEX(OP)

#endif
