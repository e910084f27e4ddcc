// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VEX-encoded instructions: AVX, AVX2, FMA, F16C, BMI1, BMI2, and the VEX forms of AES, PCLMULQDQ
 * and GFNI. The mandatory prefix is VEX.pp. A form without an H… or B… operand needs
 * VEX.vvvv = 1111.
 * Source: Intel SDM vol. 2 ch. 3–5 and appendix A; AMD APM vol. 4.
 */
#include "x86/decode_int.h"

/* clang-format off */

#define HO F_HOST
#define HA (F_HOST | F_ALIGN)
#define HI (F_HOST | F_AVX2L) /* integer vectors: AVX, with 256 bits AVX2 */

#define NP(...) PP(M(__VA_ARGS__), U, U, U)
#define P66(...) PP(U, M(__VA_ARGS__), U, U)

/* op of integer vectors: 66, Vx, Hx, Wx */
#define VI(op) P66(op, AVX, HI, Vx_w, Hx_r, Wx_r)
/* Shift by the low quadword of an XMM register. */
#define VSH(op) P66(op, AVX, HI, Vx_w, Hx_r, Wo_r)
/* Shift by immediate: VEX.vvvv is the destination. */
#define VSI(op) P66(op, AVX, HI, Hx_w, Ux_r, Ib_r)
/* PS and PD; all four. */
#define VPSPD(op)                                                                                  \
	PP(M(op##PS, AVX, HO, Vx_w, Hx_r, Wx_r), M(op##PD, AVX, HO, Vx_w, Hx_r, Wx_r), U, U)
#define VFP(op)                                                                                    \
	PP(M(op##PS, AVX, HO, Vx_w, Hx_r, Wx_r), M(op##PD, AVX, HO, Vx_w, Hx_r, Wx_r),             \
	   M(op##SS, AVX, HO, Vo_w, Ho_r, Wd_r), M(op##SD, AVX, HO, Vo_w, Ho_r, Wq_r))

const struct x86_ent x86_vex_0f[256] = {
	[0x10] = PP(M(VMOVUPS, AVX, HO, Vx_w, Wx_r), M(VMOVUPD, AVX, HO, Vx_w, Wx_r),
		    MOD(M(VMOVSS, AVX, HO, Vo_w, Md_r), M(VMOVSS, AVX, HO, Vo_w, Ho_r, Uo_r)),
		    MOD(M(VMOVSD, AVX, HO, Vo_w, Mq_r), M(VMOVSD, AVX, HO, Vo_w, Ho_r, Uo_r))),
	[0x11] = PP(M(VMOVUPS, AVX, HO, Wx_w, Vx_r), M(VMOVUPD, AVX, HO, Wx_w, Vx_r),
		    MOD(M(VMOVSS, AVX, HO, Md_w, Vo_r), M(VMOVSS, AVX, HO, Uo_w, Ho_r, Vo_r)),
		    MOD(M(VMOVSD, AVX, HO, Mq_w, Vo_r), M(VMOVSD, AVX, HO, Uo_w, Ho_r, Vo_r))),
	[0x12] = PP(MOD(M(VMOVLPS, AVX, HO | F_L0, Vo_w, Ho_r, Mq_r),
			M(VMOVHLPS, AVX, HO | F_L0, Vo_w, Ho_r, Uo_r)),
		    M(VMOVLPD, AVX, HO | F_L0, Vo_w, Ho_r, Mq_r),
		    M(VMOVSLDUP, AVX, HO, Vx_w, Wx_r),
		    VL(M(VMOVDDUP, AVX, HO, Vo_w, Wq_r), M(VMOVDDUP, AVX, HO, Vqq_w, Wqq_r))),
	[0x13] = PP(M(VMOVLPS, AVX, HO | F_L0, Mq_w, Vo_r), M(VMOVLPD, AVX, HO | F_L0, Mq_w, Vo_r), U, U),
	[0x14] = VPSPD(VUNPCKL), [0x15] = VPSPD(VUNPCKH),
	[0x16] = PP(MOD(M(VMOVHPS, AVX, HO | F_L0, Vo_w, Ho_r, Mq_r),
			M(VMOVLHPS, AVX, HO | F_L0, Vo_w, Ho_r, Uo_r)),
		    M(VMOVHPD, AVX, HO | F_L0, Vo_w, Ho_r, Mq_r),
		    M(VMOVSHDUP, AVX, HO, Vx_w, Wx_r), U),
	[0x17] = PP(M(VMOVHPS, AVX, HO | F_L0, Mq_w, Vo_r), M(VMOVHPD, AVX, HO | F_L0, Mq_w, Vo_r), U, U),
	[0x28] = PP(M(VMOVAPS, AVX, HA, Vx_w, Wx_r), M(VMOVAPD, AVX, HA, Vx_w, Wx_r), U, U),
	[0x29] = PP(M(VMOVAPS, AVX, HA, Wx_w, Vx_r), M(VMOVAPD, AVX, HA, Wx_w, Vx_r), U, U),
	[0x2a] = PP(U, U, M(VCVTSI2SS, AVX, HO, Vo_w, Ho_r, Ey_r), M(VCVTSI2SD, AVX, HO, Vo_w, Ho_r, Ey_r)),
	[0x2b] = PP(M(VMOVNTPS, AVX, HA, Mx_w, Vx_r), M(VMOVNTPD, AVX, HA, Mx_w, Vx_r), U, U),
	[0x2c] = PP(U, U, M(VCVTTSS2SI, AVX, HO, Gy_w, Wd_r), M(VCVTTSD2SI, AVX, HO, Gy_w, Wq_r)),
	[0x2d] = PP(U, U, M(VCVTSS2SI, AVX, HO, Gy_w, Wd_r), M(VCVTSD2SI, AVX, HO, Gy_w, Wq_r)),
	[0x2e] = PP(M(VUCOMISS, AVX, HO, Vo_r, Wd_r), M(VUCOMISD, AVX, HO, Vo_r, Wq_r), U, U),
	[0x2f] = PP(M(VCOMISS, AVX, HO, Vo_r, Wd_r), M(VCOMISD, AVX, HO, Vo_r, Wq_r), U, U),
	[0x50] = PP(M(VMOVMSKPS, AVX, HO, Gd_w, Ux_r), M(VMOVMSKPD, AVX, HO, Gd_w, Ux_r), U, U),
	[0x51] = PP(M(VSQRTPS, AVX, HO, Vx_w, Wx_r), M(VSQRTPD, AVX, HO, Vx_w, Wx_r),
		    M(VSQRTSS, AVX, HO, Vo_w, Ho_r, Wd_r), M(VSQRTSD, AVX, HO, Vo_w, Ho_r, Wq_r)),
	[0x52] = PP(M(VRSQRTPS, AVX, HO, Vx_w, Wx_r), U, M(VRSQRTSS, AVX, HO, Vo_w, Ho_r, Wd_r), U),
	[0x53] = PP(M(VRCPPS, AVX, HO, Vx_w, Wx_r), U, M(VRCPSS, AVX, HO, Vo_w, Ho_r, Wd_r), U),
	[0x54] = VPSPD(VAND), [0x55] = VPSPD(VANDN), [0x56] = VPSPD(VOR), [0x57] = VPSPD(VXOR),
	[0x58] = VFP(VADD), [0x59] = VFP(VMUL),
	[0x5a] = PP(M(VCVTPS2PD, AVX, HO, Vx_w, Wh_r), M(VCVTPD2PS, AVX, HO, Vo_w, Wx_r),
		    M(VCVTSS2SD, AVX, HO, Vo_w, Ho_r, Wd_r), M(VCVTSD2SS, AVX, HO, Vo_w, Ho_r, Wq_r)),
	[0x5b] = PP(M(VCVTDQ2PS, AVX, HO, Vx_w, Wx_r), M(VCVTPS2DQ, AVX, HO, Vx_w, Wx_r),
		    M(VCVTTPS2DQ, AVX, HO, Vx_w, Wx_r), U),
	[0x5c] = VFP(VSUB), [0x5d] = VFP(VMIN), [0x5e] = VFP(VDIV), [0x5f] = VFP(VMAX),
	[0x60] = VI(VPUNPCKLBW), [0x61] = VI(VPUNPCKLWD), [0x62] = VI(VPUNPCKLDQ),
	[0x63] = VI(VPACKSSWB), [0x64] = VI(VPCMPGTB), [0x65] = VI(VPCMPGTW), [0x66] = VI(VPCMPGTD),
	[0x67] = VI(VPACKUSWB), [0x68] = VI(VPUNPCKHBW), [0x69] = VI(VPUNPCKHWD),
	[0x6a] = VI(VPUNPCKHDQ), [0x6b] = VI(VPACKSSDW), [0x6c] = VI(VPUNPCKLQDQ),
	[0x6d] = VI(VPUNPCKHQDQ),
	[0x6e] = W64(P66(VMOVD, AVX, HO | F_L0, Vo_w, Ed_r), P66(VMOVQ, AVX, HO | F_L0, Vo_w, Ey_r)),
	[0x6f] = PP(U, M(VMOVDQA, AVX, HA, Vx_w, Wx_r), M(VMOVDQU, AVX, HO, Vx_w, Wx_r), U),
	[0x70] = PP(U, M(VPSHUFD, AVX, HI, Vx_w, Wx_r, Ib_r), M(VPSHUFHW, AVX, HI, Vx_w, Wx_r, Ib_r),
		    M(VPSHUFLW, AVX, HI, Vx_w, Wx_r, Ib_r)),
	[0x71] = REG(U, U, VSI(VPSRLW), U, VSI(VPSRAW), U, VSI(VPSLLW), U),
	[0x72] = REG(U, U, VSI(VPSRLD), U, VSI(VPSRAD), U, VSI(VPSLLD), U),
	[0x73] = REG(U, U, VSI(VPSRLQ), VSI(VPSRLDQ), U, U, VSI(VPSLLQ), VSI(VPSLLDQ)),
	[0x74] = VI(VPCMPEQB), [0x75] = VI(VPCMPEQW), [0x76] = VI(VPCMPEQD),
	[0x77] = PP(VL(I(VZEROUPPER, AVX, HO), I(VZEROALL, AVX, HO)), U, U, U),
	[0x7c] = PP(U, M(VHADDPD, AVX, HO, Vx_w, Hx_r, Wx_r), U, M(VHADDPS, AVX, HO, Vx_w, Hx_r, Wx_r)),
	[0x7d] = PP(U, M(VHSUBPD, AVX, HO, Vx_w, Hx_r, Wx_r), U, M(VHSUBPS, AVX, HO, Vx_w, Hx_r, Wx_r)),
	[0x7e] = PP(U, W64(M(VMOVD, AVX, HO | F_L0, Ed_w, Vo_r), M(VMOVQ, AVX, HO | F_L0, Ey_w, Vo_r)),
		    M(VMOVQ, AVX, HO | F_L0, Vo_w, Wq_r), U),
	[0x7f] = PP(U, M(VMOVDQA, AVX, HA, Wx_w, Vx_r), M(VMOVDQU, AVX, HO, Wx_w, Vx_r), U),
	[0xae] = REG(U, U, NP(LDMXCSR, AVX, F_L0, Md_r), NP(STMXCSR, AVX, F_L0, Md_w), U, U, U, U),
	[0xc2] = PP(M(VCMPPS, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r), M(VCMPPD, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r),
		    M(VCMPSS, AVX, HO, Vo_w, Ho_r, Wd_r, Ib_r), M(VCMPSD, AVX, HO, Vo_w, Ho_r, Wq_r, Ib_r)),
	[0xc4] = P66(VPINSRW, AVX, HO | F_L0, Vo_w, Ho_r, RdMw_r, Ib_r),
	[0xc5] = P66(VPEXTRW, AVX, HO | F_L0, Gd_w, Uo_r, Ib_r),
	[0xc6] = PP(M(VSHUFPS, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r), M(VSHUFPD, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r), U, U),
	[0xd0] = PP(U, M(VADDSUBPD, AVX, HO, Vx_w, Hx_r, Wx_r), U, M(VADDSUBPS, AVX, HO, Vx_w, Hx_r, Wx_r)),
	[0xd1] = VSH(VPSRLW), [0xd2] = VSH(VPSRLD), [0xd3] = VSH(VPSRLQ), [0xd4] = VI(VPADDQ),
	[0xd5] = VI(VPMULLW), [0xd6] = P66(VMOVQ, AVX, HO | F_L0, Wq_w, Vo_r),
	[0xd7] = P66(VPMOVMSKB, AVX, HI, Gd_w, Ux_r),
	[0xd8] = VI(VPSUBUSB), [0xd9] = VI(VPSUBUSW), [0xda] = VI(VPMINUB), [0xdb] = VI(VPAND),
	[0xdc] = VI(VPADDUSB), [0xdd] = VI(VPADDUSW), [0xde] = VI(VPMAXUB), [0xdf] = VI(VPANDN),
	[0xe0] = VI(VPAVGB), [0xe1] = VSH(VPSRAW), [0xe2] = VSH(VPSRAD), [0xe3] = VI(VPAVGW),
	[0xe4] = VI(VPMULHUW), [0xe5] = VI(VPMULHW),
	[0xe6] = PP(U, M(VCVTTPD2DQ, AVX, HO, Vo_w, Wx_r), M(VCVTDQ2PD, AVX, HO, Vx_w, Wh_r),
		    M(VCVTPD2DQ, AVX, HO, Vo_w, Wx_r)),
	[0xe7] = P66(VMOVNTDQ, AVX, HA, Mx_w, Vx_r),
	[0xe8] = VI(VPSUBSB), [0xe9] = VI(VPSUBSW), [0xea] = VI(VPMINSW), [0xeb] = VI(VPOR),
	[0xec] = VI(VPADDSB), [0xed] = VI(VPADDSW), [0xee] = VI(VPMAXSW), [0xef] = VI(VPXOR),
	[0xf0] = PP(U, U, U, M(VLDDQU, AVX, HO, Vx_w, Mx_r)),
	[0xf1] = VSH(VPSLLW), [0xf2] = VSH(VPSLLD), [0xf3] = VSH(VPSLLQ), [0xf4] = VI(VPMULUDQ),
	[0xf5] = VI(VPMADDWD), [0xf6] = VI(VPSADBW),
	[0xf7] = P66(VMASKMOVDQU, AVX, HO | F_L0, Vo_r, Uo_r, mDIdq_w),
	[0xf8] = VI(VPSUBB), [0xf9] = VI(VPSUBW), [0xfa] = VI(VPSUBD), [0xfb] = VI(VPSUBQ),
	[0xfc] = VI(VPADDB), [0xfd] = VI(VPADDW), [0xfe] = VI(VPADDD),
};

#define VFMA(op, n)                                                                                \
	P66_W(M(op##n##PS, FMA, HO, Vx_m, Hx_r, Wx_r), M(op##n##PD, FMA, HO, Vx_m, Hx_r, Wx_r))
#define VFMAS(op, n)                                                                               \
	P66_W(M(op##n##SS, FMA, HO, Vo_m, Ho_r, Wd_r), M(op##n##SD, FMA, HO, Vo_m, Ho_r, Wq_r))
#define P66_W(...) PP(U, W(__VA_ARGS__), U, U)
/* Columns 6–F of rows 9, A, B. */
#define FMA_ROW(r, n)                                                                              \
	[(r) + 0x6] = VFMA(VFMADDSUB, n), [(r) + 0x7] = VFMA(VFMSUBADD, n),                        \
	[(r) + 0x8] = VFMA(VFMADD, n), [(r) + 0x9] = VFMAS(VFMADD, n),                             \
	[(r) + 0xa] = VFMA(VFMSUB, n), [(r) + 0xb] = VFMAS(VFMSUB, n),                             \
	[(r) + 0xc] = VFMA(VFNMADD, n), [(r) + 0xd] = VFMAS(VFNMADD, n),                           \
	[(r) + 0xe] = VFMA(VFNMSUB, n), [(r) + 0xf] = VFMAS(VFNMSUB, n)
/* Gathers: F_DISTINCT reads operands 0 and 2. */
#define HG (F_HOST | F_VSIB | F_DISTINCT)
#define VAES(op) PP(U, VL(M(op, AES, HO, Vx_w, Hx_r, Wx_r), M(op, VAES, HO, Vx_w, Hx_r, Wx_r)), U, U)
#define BLS(op) NP(op, BMI1, HO | F_L0, By_w, Ey_r)

const struct x86_ent x86_vex_0f38[256] = {
	[0x00] = VI(VPSHUFB), [0x01] = VI(VPHADDW), [0x02] = VI(VPHADDD), [0x03] = VI(VPHADDSW),
	[0x04] = VI(VPMADDUBSW), [0x05] = VI(VPHSUBW), [0x06] = VI(VPHSUBD), [0x07] = VI(VPHSUBSW),
	[0x08] = VI(VPSIGNB), [0x09] = VI(VPSIGNW), [0x0a] = VI(VPSIGND), [0x0b] = VI(VPMULHRSW),
	[0x0c] = P66(VPERMILPS, AVX, HO | F_W0, Vx_w, Hx_r, Wx_r),
	[0x0d] = P66(VPERMILPD, AVX, HO | F_W0, Vx_w, Hx_r, Wx_r),
	[0x0e] = P66(VTESTPS, AVX, HO | F_W0, Vx_r, Wx_r),
	[0x0f] = P66(VTESTPD, AVX, HO | F_W0, Vx_r, Wx_r),
	[0x13] = P66(VCVTPH2PS, F16C, HO | F_W0, Vx_w, Wh_r),
	[0x16] = P66(VPERMPS, AVX2, HO | F_W0 | F_L1, Vqq_w, Hqq_r, Wqq_r),
	[0x17] = P66(VPTEST, AVX, HO, Vx_r, Wx_r),
	[0x18] = MOD(P66(VBROADCASTSS, AVX, HO | F_W0, Vx_w, Md_r),
		     P66(VBROADCASTSS, AVX2, HO | F_W0, Vx_w, Uo_r)),
	[0x19] = MOD(P66(VBROADCASTSD, AVX, HO | F_W0 | F_L1, Vqq_w, Mq_r),
		     P66(VBROADCASTSD, AVX2, HO | F_W0 | F_L1, Vqq_w, Uo_r)),
	[0x1a] = P66(VBROADCASTF128, AVX, HO | F_W0 | F_L1, Vqq_w, Mdq_r),
	[0x1c] = P66(VPABSB, AVX, HI, Vx_w, Wx_r), [0x1d] = P66(VPABSW, AVX, HI, Vx_w, Wx_r),
	[0x1e] = P66(VPABSD, AVX, HI, Vx_w, Wx_r),
	[0x20] = P66(VPMOVSXBW, AVX, HI, Vx_w, Wh_r), [0x21] = P66(VPMOVSXBD, AVX, HI, Vx_w, Wf_r),
	[0x22] = P66(VPMOVSXBQ, AVX, HI, Vx_w, We_r), [0x23] = P66(VPMOVSXWD, AVX, HI, Vx_w, Wh_r),
	[0x24] = P66(VPMOVSXWQ, AVX, HI, Vx_w, Wf_r), [0x25] = P66(VPMOVSXDQ, AVX, HI, Vx_w, Wh_r),
	[0x28] = VI(VPMULDQ), [0x29] = VI(VPCMPEQQ),
	[0x2a] = P66(VMOVNTDQA, AVX, HI | F_ALIGN, Vx_w, Mx_r), [0x2b] = VI(VPACKUSDW),
	[0x2c] = P66(VMASKMOVPS, AVX, HO | F_W0, Vx_w, Hx_r, Mx_r),
	[0x2d] = P66(VMASKMOVPD, AVX, HO | F_W0, Vx_w, Hx_r, Mx_r),
	[0x2e] = P66(VMASKMOVPS, AVX, HO | F_W0, Mx_w, Hx_r, Vx_r),
	[0x2f] = P66(VMASKMOVPD, AVX, HO | F_W0, Mx_w, Hx_r, Vx_r),
	[0x30] = P66(VPMOVZXBW, AVX, HI, Vx_w, Wh_r), [0x31] = P66(VPMOVZXBD, AVX, HI, Vx_w, Wf_r),
	[0x32] = P66(VPMOVZXBQ, AVX, HI, Vx_w, We_r), [0x33] = P66(VPMOVZXWD, AVX, HI, Vx_w, Wh_r),
	[0x34] = P66(VPMOVZXWQ, AVX, HI, Vx_w, Wf_r), [0x35] = P66(VPMOVZXDQ, AVX, HI, Vx_w, Wh_r),
	[0x36] = P66(VPERMD, AVX2, HO | F_W0 | F_L1, Vqq_w, Hqq_r, Wqq_r),
	[0x37] = VI(VPCMPGTQ), [0x38] = VI(VPMINSB), [0x39] = VI(VPMINSD), [0x3a] = VI(VPMINUW),
	[0x3b] = VI(VPMINUD), [0x3c] = VI(VPMAXSB), [0x3d] = VI(VPMAXSD), [0x3e] = VI(VPMAXUW),
	[0x3f] = VI(VPMAXUD), [0x40] = VI(VPMULLD),
	[0x41] = P66(VPHMINPOSUW, AVX, HO | F_L0, Vo_w, Wo_r),
	[0x45] = P66_W(M(VPSRLVD, AVX2, HO, Vx_w, Hx_r, Wx_r), M(VPSRLVQ, AVX2, HO, Vx_w, Hx_r, Wx_r)),
	[0x46] = P66(VPSRAVD, AVX2, HO | F_W0, Vx_w, Hx_r, Wx_r),
	[0x47] = P66_W(M(VPSLLVD, AVX2, HO, Vx_w, Hx_r, Wx_r), M(VPSLLVQ, AVX2, HO, Vx_w, Hx_r, Wx_r)),
	[0x58] = P66(VPBROADCASTD, AVX2, HO | F_W0, Vx_w, Wd_r),
	[0x59] = P66(VPBROADCASTQ, AVX2, HO | F_W0, Vx_w, Wq_r),
	[0x5a] = P66(VBROADCASTI128, AVX2, HO | F_W0 | F_L1, Vqq_w, Mdq_r),
	[0x78] = P66(VPBROADCASTB, AVX2, HO | F_W0, Vx_w, Wb_r),
	[0x79] = P66(VPBROADCASTW, AVX2, HO | F_W0, Vx_w, Ww_r),
	[0x8c] = P66_W(M(VPMASKMOVD, AVX2, HO, Vx_w, Hx_r, Mx_r), M(VPMASKMOVQ, AVX2, HO, Vx_w, Hx_r, Mx_r)),
	[0x8e] = P66_W(M(VPMASKMOVD, AVX2, HO, Mx_w, Hx_r, Vx_r), M(VPMASKMOVQ, AVX2, HO, Mx_w, Hx_r, Vx_r)),
	[0x90] = P66_W(M(VPGATHERDD, AVX2, HG, Vx_m, Md_r, Hx_m), M(VPGATHERDQ, AVX2, HG, Vx_m, Mq_r, Hx_m)),
	[0x91] = P66_W(M(VPGATHERQD, AVX2, HG, Vo_m, Md_r, Ho_m), M(VPGATHERQQ, AVX2, HG, Vx_m, Mq_r, Hx_m)),
	[0x92] = P66_W(M(VGATHERDPS, AVX2, HG, Vx_m, Md_r, Hx_m), M(VGATHERDPD, AVX2, HG, Vx_m, Mq_r, Hx_m)),
	[0x93] = P66_W(M(VGATHERQPS, AVX2, HG, Vo_m, Md_r, Ho_m), M(VGATHERQPD, AVX2, HG, Vx_m, Mq_r, Hx_m)),
	FMA_ROW(0x90, 132), FMA_ROW(0xa0, 213), FMA_ROW(0xb0, 231),
	[0xcf] = P66(VGF2P8MULB, GFNI, HO | F_W0, Vx_w, Hx_r, Wx_r),
	[0xdb] = P66(VAESIMC, AES, HO | F_L0, Vo_w, Wo_r),
	[0xdc] = VAES(VAESENC), [0xdd] = VAES(VAESENCLAST), [0xde] = VAES(VAESDEC), [0xdf] = VAES(VAESDECLAST),
	[0xf2] = NP(ANDN, BMI1, HO | F_L0, Gy_w, By_r, Ey_r),
	[0xf3] = REG(U, BLS(BLSR), BLS(BLSMSK), BLS(BLSI), U, U, U, U),
	[0xf5] = PP(M(BZHI, BMI2, HO | F_L0, Gy_w, Ey_r, By_r), U, M(PEXT, BMI2, HO | F_L0, Gy_w, By_r, Ey_r),
		    M(PDEP, BMI2, HO | F_L0, Gy_w, By_r, Ey_r)),
	[0xf6] = PP(U, U, U, M(MULX, BMI2, HO | F_L0, Gy_w, By_w, Ey_r, iyDX_r)),
	[0xf7] = PP(M(BEXTR, BMI1, HO | F_L0, Gy_w, Ey_r, By_r), M(SHLX, BMI2, HO | F_L0, Gy_w, Ey_r, By_r),
		    M(SARX, BMI2, HO | F_L0, Gy_w, Ey_r, By_r), M(SHRX, BMI2, HO | F_L0, Gy_w, Ey_r, By_r)),
};

const struct x86_ent x86_vex_0f3a[256] = {
	/* The manuals want W = 1 for these two; AMD's processors take either. */
	[0x00] = MAKER(P66(VPERMQ, AVX2, HO | F_L1, Vqq_w, Wqq_r, Ib_r),
		       P66(VPERMQ, AVX2, HO | F_L1 | F_W1, Vqq_w, Wqq_r, Ib_r)),
	[0x01] = MAKER(P66(VPERMPD, AVX2, HO | F_L1, Vqq_w, Wqq_r, Ib_r),
		       P66(VPERMPD, AVX2, HO | F_L1 | F_W1, Vqq_w, Wqq_r, Ib_r)),
	[0x02] = P66(VPBLENDD, AVX2, HO | F_W0, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x04] = P66(VPERMILPS, AVX, HO | F_W0, Vx_w, Wx_r, Ib_r),
	[0x05] = P66(VPERMILPD, AVX, HO | F_W0, Vx_w, Wx_r, Ib_r),
	[0x06] = P66(VPERM2F128, AVX, HO | F_W0 | F_L1, Vqq_w, Hqq_r, Wqq_r, Ib_r),
	[0x08] = P66(VROUNDPS, AVX, HO, Vx_w, Wx_r, Ib_r), [0x09] = P66(VROUNDPD, AVX, HO, Vx_w, Wx_r, Ib_r),
	[0x0a] = P66(VROUNDSS, AVX, HO, Vo_w, Ho_r, Wd_r, Ib_r),
	[0x0b] = P66(VROUNDSD, AVX, HO, Vo_w, Ho_r, Wq_r, Ib_r),
	[0x0c] = P66(VBLENDPS, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x0d] = P66(VBLENDPD, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x0e] = P66(VPBLENDW, AVX, HI, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x0f] = P66(VPALIGNR, AVX, HI, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x14] = P66(VPEXTRB, AVX, HO | F_L0, RdMb_w, Vo_r, Ib_r),
	[0x15] = P66(VPEXTRW, AVX, HO | F_L0, RdMw_w, Vo_r, Ib_r),
	/* Unlike VMOVD, W = 1 outside 64-bit mode is refused by these and VPINSRD on AMD's processors. */
	[0x16] = W64(MAKER(P66(VPEXTRD, AVX, HO | F_L0 | F_W0, Ed_w, Vo_r, Ib_r),
			   P66(VPEXTRD, AVX, HO | F_L0, Ed_w, Vo_r, Ib_r)), P66(VPEXTRQ, AVX, HO | F_L0, Ey_w, Vo_r, Ib_r)),
	[0x17] = P66(VEXTRACTPS, AVX, HO | F_L0, Ed_w, Vo_r, Ib_r),
	[0x18] = P66(VINSERTF128, AVX, HO | F_W0 | F_L1, Vqq_w, Hqq_r, Wo_r, Ib_r),
	[0x19] = P66(VEXTRACTF128, AVX, HO | F_W0 | F_L1, Wo_w, Vqq_r, Ib_r),
	[0x1d] = P66(VCVTPS2PH, F16C, HO | F_W0, Wh_w, Vx_r, Ib_r),
	[0x20] = P66(VPINSRB, AVX, HO | F_L0, Vo_w, Ho_r, RdMb_r, Ib_r),
	[0x21] = P66(VINSERTPS, AVX, HO | F_L0, Vo_w, Ho_r, Wd_r, Ib_r),
	[0x22] = W64(MAKER(P66(VPINSRD, AVX, HO | F_L0 | F_W0, Vo_w, Ho_r, Ed_r, Ib_r),
			   P66(VPINSRD, AVX, HO | F_L0, Vo_w, Ho_r, Ed_r, Ib_r)),
		     P66(VPINSRQ, AVX, HO | F_L0, Vo_w, Ho_r, Ey_r, Ib_r)),
	[0x38] = P66(VINSERTI128, AVX2, HO | F_W0 | F_L1, Vqq_w, Hqq_r, Wo_r, Ib_r),
	[0x39] = P66(VEXTRACTI128, AVX2, HO | F_W0 | F_L1, Wo_w, Vqq_r, Ib_r),
	[0x40] = P66(VDPPS, AVX, HO, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x41] = P66(VDPPD, AVX, HO | F_L0, Vo_w, Ho_r, Wo_r, Ib_r),
	[0x42] = P66(VMPSADBW, AVX, HI, Vx_w, Hx_r, Wx_r, Ib_r),
	[0x44] = PP(U, VL(M(VPCLMULQDQ, PCLMUL, HO, Vx_w, Hx_r, Wx_r, Ib_r),
			  M(VPCLMULQDQ, VPCLMULQDQ, HO, Vx_w, Hx_r, Wx_r, Ib_r)), U, U),
	[0x46] = P66(VPERM2I128, AVX2, HO | F_W0 | F_L1, Vqq_w, Hqq_r, Wqq_r, Ib_r),
	[0x4a] = P66(VBLENDVPS, AVX, HO | F_W0, Vx_w, Hx_r, Wx_r, Lx_r),
	[0x4b] = P66(VBLENDVPD, AVX, HO | F_W0, Vx_w, Hx_r, Wx_r, Lx_r),
	[0x4c] = P66(VPBLENDVB, AVX, HI | F_W0, Vx_w, Hx_r, Wx_r, Lx_r),
	[0x60] = P66(VPCMPESTRM, AVX, HO | F_L0, Vo_r, Wo_r, Ib_r, iyAX_r, iyDX_r, iXMM0_w),
	[0x61] = P66(VPCMPESTRI, AVX, HO | F_L0, Vo_r, Wo_r, Ib_r, iyAX_r, iyDX_r, iECX_w),
	[0x62] = P66(VPCMPISTRM, AVX, HO | F_L0, Vo_r, Wo_r, Ib_r, iXMM0_w),
	[0x63] = P66(VPCMPISTRI, AVX, HO | F_L0, Vo_r, Wo_r, Ib_r, iECX_w),
	[0xce] = P66(VGF2P8AFFINEQB, GFNI, HO | F_W1, Vx_w, Hx_r, Wx_r, Ib_r),
	[0xcf] = P66(VGF2P8AFFINEINVQB, GFNI, HO | F_W1, Vx_w, Hx_r, Wx_r, Ib_r),
	[0xdf] = P66(VAESKEYGENASSIST, AES, HO | F_L0, Vo_w, Wo_r, Ib_r),
	[0xf0] = PP(U, U, U, M(RORX, BMI2, HO | F_L0, Gy_w, Ey_r, Ib_r)),
};
