// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87: the eight escape opcodes D8–DF.
 * Source: Intel SDM vol. 2D tables; AMD APM vol. 3 table A-15.
 */
#include "x86/decode_int.h"

/* clang-format off */

const struct x86_ent x86_x87[8] = {
	[0] = U,
};
