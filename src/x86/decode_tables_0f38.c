// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The three-byte maps (0F 38 xx, 0F 3A xx), legacy encodings.
 * Source: Intel SDM vol. 2D appendix A tables; AMD APM vol. 3 appendix A.
 */
#include "x86/decode_int.h"

/* clang-format off */

#define HO F_HOST
#define HA (F_HOST | F_ALIGN)

/*
 * MMX and SSE form of one operation; SSE only; without prefix (SHA). Whether SHA wants alignment differs
 * between processors, so it is left to the host instruction.
 */
#define MX(op, ft) PP(M(op, ft, HO, Pq_m, Qq_r), M(op, ft, HA, Vo_m, Wo_r), U, U)
#define MXW(op, ft) PP(M(op, ft, HO, Pq_w, Qq_r), M(op, ft, HA, Vo_w, Wo_r), U, U)
#define X66(...) PP(U, M(__VA_ARGS__), U, U)
#define XX(op, ft) X66(op, ft, HA, Vo_m, Wo_r)
#define SHA(op) PP(M(op, SHA_NI, HO, Vo_m, Wo_r), U, U, U)
#define SHA3(op, last) PP(M(op, SHA_NI, HO, Vo_m, Wo_r, last), U, U, U)

const struct x86_ent x86_map_0f38[256] = {
	[0x00] = MX(PSHUFB, SSSE3), [0x01] = MX(PHADDW, SSSE3), [0x02] = MX(PHADDD, SSSE3),
	[0x03] = MX(PHADDSW, SSSE3), [0x04] = MX(PMADDUBSW, SSSE3), [0x05] = MX(PHSUBW, SSSE3),
	[0x06] = MX(PHSUBD, SSSE3), [0x07] = MX(PHSUBSW, SSSE3), [0x08] = MX(PSIGNB, SSSE3),
	[0x09] = MX(PSIGNW, SSSE3), [0x0a] = MX(PSIGND, SSSE3), [0x0b] = MX(PMULHRSW, SSSE3),
	[0x10] = X66(PBLENDVB, SSE41, HA, Vo_m, Wo_r, iXMM0_r),
	[0x14] = X66(BLENDVPS, SSE41, HA, Vo_m, Wo_r, iXMM0_r),
	[0x15] = X66(BLENDVPD, SSE41, HA, Vo_m, Wo_r, iXMM0_r),
	[0x17] = X66(PTEST, SSE41, HA, Vo_r, Wo_r),
	[0x1c] = MXW(PABSB, SSSE3), [0x1d] = MXW(PABSW, SSSE3), [0x1e] = MXW(PABSD, SSSE3),
	[0x20] = X66(PMOVSXBW, SSE41, HO, Vo_w, Wq_r),
	[0x21] = X66(PMOVSXBD, SSE41, HO, Vo_w, Wd_r),
	[0x22] = X66(PMOVSXBQ, SSE41, HO, Vo_w, Ww_r),
	[0x23] = X66(PMOVSXWD, SSE41, HO, Vo_w, Wq_r),
	[0x24] = X66(PMOVSXWQ, SSE41, HO, Vo_w, Wd_r),
	[0x25] = X66(PMOVSXDQ, SSE41, HO, Vo_w, Wq_r),
	[0x28] = XX(PMULDQ, SSE41), [0x29] = XX(PCMPEQQ, SSE41),
	[0x2a] = X66(MOVNTDQA, SSE41, HA, Vo_w, Mdq_r), [0x2b] = XX(PACKUSDW, SSE41),
	[0x30] = X66(PMOVZXBW, SSE41, HO, Vo_w, Wq_r),
	[0x31] = X66(PMOVZXBD, SSE41, HO, Vo_w, Wd_r),
	[0x32] = X66(PMOVZXBQ, SSE41, HO, Vo_w, Ww_r),
	[0x33] = X66(PMOVZXWD, SSE41, HO, Vo_w, Wq_r),
	[0x34] = X66(PMOVZXWQ, SSE41, HO, Vo_w, Wd_r),
	[0x35] = X66(PMOVZXDQ, SSE41, HO, Vo_w, Wq_r),
	[0x37] = XX(PCMPGTQ, SSE42),
	[0x38] = XX(PMINSB, SSE41), [0x39] = XX(PMINSD, SSE41), [0x3a] = XX(PMINUW, SSE41),
	[0x3b] = XX(PMINUD, SSE41), [0x3c] = XX(PMAXSB, SSE41), [0x3d] = XX(PMAXSD, SSE41),
	[0x3e] = XX(PMAXUW, SSE41), [0x3f] = XX(PMAXUD, SSE41), [0x40] = XX(PMULLD, SSE41),
	[0x41] = X66(PHMINPOSUW, SSE41, HA, Vo_w, Wo_r),
	/* 80 INVEPT, 81 INVVPID */
	[0x82] = X66(INVPCID, INVPCID, F_NATIVE | F_PRIV, Gy_r, Mdq_r),
	[0xc8] = SHA(SHA1NEXTE), [0xc9] = SHA(SHA1MSG1), [0xca] = SHA(SHA1MSG2),
	[0xcb] = SHA3(SHA256RNDS2, iXMM0_r), [0xcc] = SHA(SHA256MSG1), [0xcd] = SHA(SHA256MSG2),
	[0xcf] = XX(GF2P8MULB, GFNI),
	[0xdb] = X66(AESIMC, AES, HA, Vo_w, Wo_r), [0xdc] = XX(AESENC, AES),
	[0xdd] = XX(AESENCLAST, AES), [0xde] = XX(AESDEC, AES), [0xdf] = XX(AESDECLAST, AES),
	[0xf0] = REP(M(MOVBE, MOVBE, 0, Gv_w, Mv_r), U, M(CRC32, SSE42, HO, Gy_m, Eb_r)),
	[0xf1] = REP(M(MOVBE, MOVBE, 0, Mv_w, Gv_r), U, M(CRC32, SSE42, HO, Gy_m, Ev_r)),
	[0xf6] = PP(U, M(ADCX, ADX, HO, Gy_m, Ey_r), M(ADOX, ADX, HO, Gy_m, Ey_r), U),
};

#define XXI(op, ft) X66(op, ft, HA, Vo_m, Wo_r, Ib_r)

const struct x86_ent x86_map_0f3a[256] = {
	[0x08] = X66(ROUNDPS, SSE41, HA, Vo_w, Wo_r, Ib_r),
	[0x09] = X66(ROUNDPD, SSE41, HA, Vo_w, Wo_r, Ib_r),
	[0x0a] = X66(ROUNDSS, SSE41, HO, Vo_m, Wd_r, Ib_r),
	[0x0b] = X66(ROUNDSD, SSE41, HO, Vo_m, Wq_r, Ib_r),
	[0x0c] = XXI(BLENDPS, SSE41), [0x0d] = XXI(BLENDPD, SSE41), [0x0e] = XXI(PBLENDW, SSE41),
	[0x0f] = PP(M(PALIGNR, SSSE3, HO, Pq_m, Qq_r, Ib_r), M(PALIGNR, SSSE3, HA, Vo_m, Wo_r, Ib_r), U, U),
	[0x14] = X66(PEXTRB, SSE41, HO, RdMb_w, Vo_r, Ib_r),
	[0x15] = X66(PEXTRW, SSE41, HO, RdMw_w, Vo_r, Ib_r),
	[0x16] = W64(X66(PEXTRD, SSE41, HO, Ed_w, Vo_r, Ib_r), X66(PEXTRQ, SSE41, HO, Ey_w, Vo_r, Ib_r)),
	[0x17] = X66(EXTRACTPS, SSE41, HO, Ed_w, Vo_r, Ib_r),
	[0x20] = X66(PINSRB, SSE41, HO, Vo_m, RdMb_r, Ib_r),
	[0x21] = X66(INSERTPS, SSE41, HO, Vo_m, Wd_r, Ib_r),
	[0x22] = W64(X66(PINSRD, SSE41, HO, Vo_m, Ed_r, Ib_r), X66(PINSRQ, SSE41, HO, Vo_m, Ey_r, Ib_r)),
	[0x40] = XXI(DPPS, SSE41), [0x41] = XXI(DPPD, SSE41), [0x42] = XXI(MPSADBW, SSE41),
	[0x44] = XXI(PCLMULQDQ, PCLMUL),
	[0x60] = X66(PCMPESTRM, SSE42, HO, Vo_r, Wo_r, Ib_r, iyAX_r, iyDX_r, iXMM0_w),
	[0x61] = X66(PCMPESTRI, SSE42, HO, Vo_r, Wo_r, Ib_r, iyAX_r, iyDX_r, iECX_w),
	[0x62] = X66(PCMPISTRM, SSE42, HO, Vo_r, Wo_r, Ib_r, iXMM0_w),
	[0x63] = X66(PCMPISTRI, SSE42, HO, Vo_r, Wo_r, Ib_r, iECX_w),
	[0xcc] = SHA3(SHA1RNDS4, Ib_r),
	[0xce] = XXI(GF2P8AFFINEQB, GFNI), [0xcf] = XXI(GF2P8AFFINEINVQB, GFNI),
	[0xdf] = X66(AESKEYGENASSIST, AES, HA, Vo_w, Wo_r, Ib_r),
};
