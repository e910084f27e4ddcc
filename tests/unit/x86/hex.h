/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decode an instruction written as hex text ("48 8b 05"). */
#ifndef LODGE_TESTS_X86_HEX_H
#define LODGE_TESTS_X86_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "x86/decode.h"

static inline size_t hex_bytes(uint8_t *out, size_t max, const char *hex)
{
	size_t n = 0;

	while (*hex && n < max) {
		unsigned v = 0;

		if (*hex == ' ') {
			hex++;
			continue;
		}
		for (int i = 0; i < 2 && *hex; i++, hex++)
			v = v * 16 + (unsigned)(*hex <= '9' ? *hex - '0' : (*hex | 32) - 'a' + 10);
		out[n++] = (uint8_t)v;
	}
	return n;
}

static inline int decode_hex(struct x86_insn *in, enum x86_mode mode, const char *hex)
{
	uint8_t b[32];

	return x86_decode(in, b, hex_bytes(b, sizeof(b), hex), mode);
}

#endif
