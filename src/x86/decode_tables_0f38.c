// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The three-byte maps (0F 38 xx, 0F 3A xx), legacy encodings.
 * Source: Intel SDM vol. 2D appendix A tables; AMD APM vol. 3 appendix A.
 */
#include "x86/decode_int.h"

/* clang-format off */

const struct x86_ent x86_map_0f38[256] = {
	/* 80 INVEPT, 81 INVVPID */
	[0x82] = PP(U, M(INVPCID, INVPCID, F_NATIVE | F_PRIV, Gy_r, Mdq_r), U, U),
	[0xf0] = REP(M(MOVBE, MOVBE, 0, Gv_w, Mv_r), U, M(CRC32, SSE42, F_HOST, Gy_m, Eb_r)),
	[0xf1] = REP(M(MOVBE, MOVBE, 0, Mv_w, Gv_r), U, M(CRC32, SSE42, F_HOST, Gy_m, Ev_r)),
	[0xf6] = PP(U, M(ADCX, ADX, F_HOST, Gy_m, Ey_r), M(ADOX, ADX, F_HOST, Gy_m, Ey_r), U),
};

const struct x86_ent x86_map_0f3a[256] = {
	[0x00] = U,
};
