/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers of tests, the same ones for the same seed.
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
 */
#ifndef SPLITMIX_H
#define SPLITMIX_H

#include <stdint.h>

static inline uint64_t splitmix64(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

#endif
