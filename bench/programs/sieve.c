// SPDX-License-Identifier: GPL-2.0-or-later
/* The sieve of Eratosthenes over bytes. */
#include <string.h>

#include "bench.h"

#define LIMIT 1000000u

uint64_t bench_sieve(uint32_t work)
{
	static uint8_t composite[LIMIT];
	uint64_t sum = 0;

	for (unsigned round = 0; round < work; round++) {
		memset(composite, 0, sizeof(composite));
		for (unsigned i = 2; i < LIMIT; i++) {
			if (composite[i])
				continue;
			sum = bench_mix(sum, i);
			for (uint64_t k = (uint64_t)i * i; k < LIMIT; k += i)
				composite[k] = 1;
		}
	}
	return sum;
}
