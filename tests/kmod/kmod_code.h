/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For kmod_fuzz: chance, and code by chance for its guests.
 * Source: Intel SDM vol. 2 appendix A (opcodes). Threads: any; each has a state of its own.
 */
#ifndef KMOD_CODE_H
#define KMOD_CODE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "splitmix.h"

/* ---- Chance ---------------------------------------------------------------------------------------------- */

static unsigned below(uint64_t *s, unsigned n)
{
	return (unsigned)(splitmix64(s) % n);
}

/* Numbers at which things change. */
static uint64_t number(uint64_t *s)
{
	static const uint64_t some[] = {0,
					1,
					2,
					3,
					8,
					0x10,
					0x20,
					0xff,
					0x1000,
					0xfff,
					0x80000000,
					0xffffffff,
					0x7fffffffffffffff,
					0x8000000000000000,
					~0ull,
					0xfee00000,
					0xfec00000,
					0xfffff000,
					0x100000,
					0xd0000000,
					1ull << 47,
					1ull << 48,
					1ull << 51};
	uint64_t v = some[below(s, sizeof(some) / sizeof(some[0]))];

	switch (below(s, 4)) {
	case 0:
		return v + below(s, 3) - 1;
	case 1:
		return splitmix64(s) >> below(s, 64);
	case 2:
		return below(s, 64);
	}
	return v;
}

/* ---- Code ---------------------------------------------------------------------------------------------------- */

/* An instruction with a memory operand of any kind, which registers lead to devices (place). */
static unsigned any_operand(uint8_t *at, uint64_t *s)
{
	static const uint8_t opcodes[] = {
		0x00, 0x01, 0x02, 0x03, 0x08, 0x11, 0x23, 0x2b, 0x31, 0x39, 0x63, 0x69, 0x80,
		0x81, 0x84, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8e, 0x8f, 0xa4, 0xa5, 0xa6,
		0xaa, 0xab, 0xac, 0xae, 0xc0, 0xc6, 0xc7, 0xd1, 0xd3, 0xf6, 0xf7, 0xfe, 0xff};
	static const uint8_t opcodes_0f[] = {0x00, 0x01, 0x10, 0x11, 0x28, 0x29, 0x6f, 0x7f,
					     0xa3, 0xab, 0xb0, 0xb1, 0xb2, 0xb6, 0xba, 0xbe,
					     0xc0, 0xc1, 0xc3, 0xc7, 0xd6, 0xe7, 0xae, 0x18};
	static const uint8_t prefixes[] = {0x26, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48, 0x41, 0x64};
	unsigned n = 0;

	while (below(s, 2) && n < 3)
		at[n++] = prefixes[below(s, sizeof(prefixes))];
	if (below(s, 3)) {
		at[n++] = opcodes[below(s, sizeof(opcodes))];
	} else {
		at[n++] = 0x0f;
		at[n++] = opcodes_0f[below(s, sizeof(opcodes_0f))];
	}
	at[n++] = (uint8_t)below(s, below(s, 4) ? 64 : 256);
	for (unsigned i = below(s, 6); i; i--)
		at[n++] = (uint8_t)number(s);
	return n;
}

/* Registers and ports of the controllers that are here: by MSRs, and by IN and OUT. */
static unsigned controller(uint8_t *at, uint64_t *s)
{
	static const uint16_t msrs[] = {0x10,  0x1b,  0x3b,  0x6e0, 0x808, 0x80b, 0x80f, 0x830,
					0x832, 0x835, 0x838, 0x83e, 0x83f, 0x277, 0x200};
	static const uint8_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x42, 0x43, 0x61};
	bool wide = below(s, 2); /* imm32 in 16-bit code */
	uint32_t val = below(s, 2) ? (uint32_t)number(s) : below(s, 8) << 17 | below(s, 256),
		 msr = below(s, 8) ? msrs[below(s, sizeof(msrs) / sizeof(msrs[0]))]
				   : 0x4b564d00 + below(s, 5);
	unsigned n = 0;

	if (below(s, 2)) {
		at[n++] = 0xb0; /* MOV AL; OUT, or IN */
		at[n++] = (uint8_t)splitmix64(s);
		at[n++] = (uint8_t)(0xe4 + below(s, 4));
		at[n++] = ports[below(s, sizeof(ports))];
		return n;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (wide)
			at[n++] = 0x66;
		at[n++] = i ? 0xb8 : 0xb9; /* MOV ECX, the register; MOV EAX */
		memcpy(at + n, i ? &val : &msr, 4);
		n += 4;
	}
	memcpy(at + n, below(s, 4) ? "\x0f\x30" : "\x0f\x32", 2);
	return n + 2;
}

/* Code that leaves the guest in many ways, page tables that map the first 4 MiB to themselves, and what chance gives. */
static void fill_memory(uint8_t *mem, uint64_t *s)
{
	static const uint8_t pieces[][8] = {{0x90},
					    {0xf4},
					    {0x0f, 0xa2},
					    {0xe6, 0x10},
					    {0xe4, 0x60},
					    {0xec},
					    {0x6c},
					    {0xf3, 0x6e},
					    {0xcc},
					    {0xcd, 0x20},
					    {0xfb},
					    {0x0f, 0x32},
					    {0x0f, 0x30},
					    {0x0f, 0x20, 0xc0},
					    {0x0f, 0x22, 0xc0},
					    {0x0f, 0x22, 0xd8},
					    {0x0f, 0x22, 0xe0},
					    {0x0f, 0x01, 0xd1},
					    {0x0f, 0x01, 0xd9},
					    {0x26, 0xa2, 0, 0},
					    {0x26, 0xa1, 0, 8},
					    {0xf3, 0xa4},
					    {0xf3, 0xab},
					    {0xcf},
					    {0x0f, 0x01, 0x18},
					    {0x0f, 0x01, 0x38},
					    {0x0f, 0x23, 0xc0},
					    {0x0f, 0x21, 0xf8},
					    {0x0f, 0x09},
					    {0x0f, 0x0b},
					    {0x26, 0xf0, 0x0f, 0xb1, 0x07},
					    {0x26, 0x66, 0x0f, 0x7f, 0x07},
					    {0x8e, 0xd0},
					    {0xea, 0, 0x10, 8, 0},
					    {0x0f, 0x05}};
	uint64_t *table = (uint64_t *)(void *)(mem + 0x3000);

	for (unsigned at = 0x1000; at < 0x1f00;) {
		unsigned n = below(s, 10) ? below(s, sizeof(pieces) / sizeof(pieces[0])) : 0;

		if (!below(s, 2)) {
			at += below(s, 3) ? any_operand(mem + at, s) : controller(mem + at, s);
			continue;
		}
		memcpy(mem + at, pieces[n], 8);
		for (at++; at < 0x1f00 && mem[at] && below(s, 6); at++)
			;
	}
	for (unsigned i = 0; i < 512; i++)
		mem[0x6000 + i] = (uint8_t)splitmix64(s);
	table[0] = 0x4007;
	table[512] = 0x5007;
	table[512 + 3] = 0xc0000087; /* where devices are */
	for (unsigned i = 0; i < 512; i++)
		table[1024 + i] = (uint64_t)i << 21 | (below(s, 8) ? 0x87 : number(s));
}

#endif
