// SPDX-License-Identifier: GPL-2.0-or-later
/* The Mandelbrot set in double precision, scalar SSE2. */
#include "bench.h"

#define SIDE 320
#define MAX_STEPS 200

static unsigned steps(double cr, double ci)
{
	double r = 0, i = 0;
	unsigned n = 0;

	while (n < MAX_STEPS && r * r + i * i < 4) {
		double t = r * r - i * i + cr;

		i = 2 * r * i + ci;
		r = t;
		n++;
	}
	return n;
}

uint64_t bench_mandelbrot(uint32_t work)
{
	uint64_t sum = 0;

	for (unsigned y = 0; y < work; y++) {
		for (unsigned x = 0; x < SIDE; x++)
			sum = bench_mix(sum, steps(x * 3.0 / SIDE - 2.2, y * 2.6 / work - 1.3));
	}
	return sum;
}
