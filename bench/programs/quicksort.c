// SPDX-License-Identifier: GPL-2.0-or-later
/* Quicksort (Hoare's partition) of pseudo-random numbers. */
#include "bench.h"

#define COUNT 40000

static void sort(uint32_t *a, long lo, long hi)
{
	while (lo < hi) {
		uint32_t pivot = a[lo + (hi - lo) / 2];
		long i = lo - 1, j = hi + 1;

		for (;;) {
			while (a[++i] < pivot)
				;
			while (a[--j] > pivot)
				;
			if (i >= j)
				break;
			uint32_t t = a[i];

			a[i] = a[j];
			a[j] = t;
		}
		sort(a, lo, j);
		lo = j + 1;
	}
}

uint64_t bench_quicksort(uint32_t work)
{
	static uint32_t a[COUNT];
	uint64_t seed = 2, sum = 0;

	for (uint32_t round = 0; round < work; round++) {
		for (unsigned i = 0; i < COUNT; i++)
			a[i] = (uint32_t)bench_random(&seed);
		sort(a, 0, COUNT - 1);
		for (unsigned i = 0; i < COUNT; i += 97)
			sum = bench_mix(sum, a[i]);
	}
	return sum;
}
