// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Vector maths by the compiler's AVX2 and FMA code; run only where the processor has both. Every
 * sum has a fixed order, so that the results are the same everywhere.
 */
#include <string.h>

#include "bench.h"

#define N 2048

/* A recurrence on each of N floats, as in a filter bank: multiply-adds, minima, square roots. */
uint64_t bench_vector_fma(uint32_t work)
{
	static float x[N], y[N], g[N];
	uint64_t seed = 10, sum = 0;

	for (unsigned i = 0; i < N; i++) {
		x[i] = (float)(bench_random(&seed) % 1000) / 1000;
		g[i] = 0.5f + (float)(bench_random(&seed) % 400) / 1000;
		y[i] = 0;
	}
	for (uint32_t n = 0; n < work; n++) {
		float in = (float)(n % 17) / 17;

		for (unsigned i = 0; i < N; i++) {
			float v = __builtin_fmaf(y[i], g[i], in);

			v = __builtin_fmaf(v, x[i], -0.25f * y[i]);
			v = v < 4.0f ? v : 4.0f;
			y[i] = v > -4.0f ? v : -4.0f;
			x[i] = __builtin_fmaf(x[i], 0.999f, 0.001f * g[i]);
		}
	}
	for (unsigned i = 0; i < N; i++) {
		uint32_t bits;

		memcpy(&bits, &y[i], 4);
		sum = bench_mix(sum, bits);
	}
	return sum;
}

/* Pixels: blend, clamp, shift and compare 8-bit and 16-bit integers, 32 or 16 at a time. */
uint64_t bench_vector_int(uint32_t work)
{
	static uint8_t a[N], b[N], d[N];
	static uint16_t acc[N];
	uint64_t seed = 15, sum = 0;

	for (unsigned i = 0; i < N; i++) {
		a[i] = (uint8_t)bench_random(&seed);
		b[i] = (uint8_t)bench_random(&seed);
		acc[i] = 0;
	}
	for (uint32_t n = 0; n < work; n++) {
		uint8_t alpha = (uint8_t)(n * 5), limit = (uint8_t)(n * 3 | 128);

		for (unsigned i = 0; i < N; i++) {
			unsigned v = (a[i] * alpha + b[i] * (255u - alpha) + 128) >> 8;

			d[i] = (uint8_t)(v < limit ? v : limit);
		}
		for (unsigned i = 0; i < N; i++) {
			acc[i] = (uint16_t)(acc[i] + (d[i] ^ a[i]));
			a[i] = (uint8_t)(d[i] > b[i] ? d[i] - b[i] : b[i] - d[i] + 1);
		}
	}
	for (unsigned i = 0; i < N; i++)
		sum = bench_mix(sum, acc[i]);
	return sum;
}
