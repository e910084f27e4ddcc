// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87: long double arithmetic, correctly rounded operations only, for the transcendental ones differ
 * between processors. A polynomial, roots by Newton's method, and an inner product.
 */
#include <string.h>

#include "bench.h"

#define TERMS 12
#define COUNT 64

static long double root(long double v)
{
	long double x = v > 1 ? v / 2 : 1;

	for (unsigned i = 0; i < 6; i++)
		x = (x + v / x) / 2;
	return x;
}

uint64_t bench_x87(uint32_t work)
{
	static long double a[COUNT], b[COUNT];
	long double coefficients[TERMS], total = 0;
	uint64_t seed = 9, low;
	uint16_t high;

	for (unsigned i = 0; i < TERMS; i++)
		coefficients[i] = (long double)(int64_t)(bench_random(&seed) % 2000) / 1000 - 1;
	for (unsigned i = 0; i < COUNT; i++) {
		a[i] = (long double)(int64_t)(bench_random(&seed) % 1000) / 999;
		b[i] = 1;
	}
	for (uint32_t n = 0; n < work; n++) {
		long double x = a[n % COUNT], p = 0, dot = 0;

		for (unsigned i = 0; i < TERMS; i++)
			p = p * x + coefficients[i];
		for (unsigned i = 0; i < COUNT; i += 4)
			dot += a[i] * b[i] - a[i + 1] * b[i + 3];
		b[n % COUNT] = root(1 + p * p) - dot / COUNT;
		total = total / 2 + b[n % COUNT];
	}
	memcpy(&low, &total, 8);
	memcpy(&high, (char *)&total + 8, 2);
	return bench_mix(low, high);
}
