/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modes that guest code is translated in, for the translator's fuzz targets. */
#ifndef LODGE_TESTS_FUZZ_JIT_MODES_H
#define LODGE_TESTS_FUZZ_JIT_MODES_H

#include <stdbool.h>

#include "unit/engine/sys_machine.h"

/* The vCPU lives in memory that the leak checker does not search for pointers. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void code_segment16(unsigned ring)
{
	S->seg[SEG_CS] = seg_of(S_CODE16);
	S->seg[SEG_CS].attr |= (uint16_t)(ring << SEG_ATTR_DPL_SHIFT);
	S->seg[SEG_CS].base = A_CODE;
	S->seg[SEG_CS].limit = 0xffff;
	S->rip = 0;
}

static void pick_mode(uint8_t mode)
{
	switch (mode & 7) {
	case 0:
		env_long(0);
		break;
	case 1:
		env_long(3);
		break;
	case 2:
		env_pm(0);
		break;
	case 3:
		env_pm(3);
		break;
	case 4: /* segments with bases and limits */
		env_pm(0);
		for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
			if (i == SEG_CS)
				continue;
			S->seg[i].base = 0x100 * i;
			S->seg[i].limit = 0x17fff;
		}
		break;
	case 5:
		env_pm(0);
		code_segment16(0);
		break;
	case 6:
		env_real();
		break;
	default: /* 32-bit code under long mode */
		env_long(3);
		S->seg[SEG_CS] = seg_of(S_CODE3);
		break;
	}
	S->seg[SEG_FS].base += 0x40;
	S->seg[SEG_GS].base += 0x80;
}

static uint64_t next_random(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	return z ^ z >> 27;
}

/* Half of the registers point at data, often near its page's end. */
static void pick_registers(uint64_t seed)
{
	for (unsigned i = 0; i < 16; i++) {
		uint64_t v = next_random(&seed);

		if (i == R_RSP)
			continue;
		S->gpr[i] = v & 1   ? A_DATA + 0x800 + (v >> 8 & 0x7ff)
			    : v & 2 ? v >> 56
				    : v >> (v >> 2 & 63);
		if (!(S->efer & EFER_LMA))
			S->gpr[i] = (uint32_t)S->gpr[i];
	}
	S->rflags = FLAG_FIXED | (next_random(&seed) & FLAGS_ARITH);
}

#endif
