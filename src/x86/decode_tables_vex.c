// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VEX-encoded instructions: AVX, AVX2, FMA, F16C, BMI1, BMI2, and the VEX forms of AES, PCLMULQDQ
 * and GFNI. The mandatory prefix is VEX.pp. A form without a V… operand needs VEX.vvvv = 1111.
 * Source: Intel SDM vol. 2 ch. 3–5 and appendix A; AMD APM vol. 4.
 */
#include "x86/decode_int.h"

/* clang-format off */

const struct x86_ent x86_vex_0f[256] = {
	[0x00] = U,
};

const struct x86_ent x86_vex_0f38[256] = {
	[0x00] = U,
};

const struct x86_ent x86_vex_0f3a[256] = {
	[0x00] = U,
};
