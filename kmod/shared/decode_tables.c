// SPDX-License-Identifier: GPL-2.0-or-later
/* The decoder is one for user space and kernel. */
#include "../../src/x86/decode_tables.c"
