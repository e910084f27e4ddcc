// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Matrix products: of integers, and of floats by the compiler's SSE code (see bench.mk);
 * `work` rows of the product.
 */
#include "bench.h"

#define N 256

#define DEFINE_PRODUCT(name, T)                                                 \
	static T name##_a[N][N], name##_b[N][N], name##_c[N][N];                \
	uint64_t name(uint32_t work)                                            \
	{                                                                       \
		uint64_t seed = 5, sum = 0;                                     \
                                                                                \
		for (unsigned i = 0; i < N; i++) {                              \
			for (unsigned j = 0; j < N; j++) {                      \
				name##_a[i][j] = (T)(bench_random(&seed) % 8);  \
				name##_b[i][j] = (T)(bench_random(&seed) % 8);  \
				name##_c[i][j] = 0;                             \
			}                                                       \
		}                                                               \
		for (unsigned n = 0; n < work; n++) {                           \
			unsigned i = n % N;                                     \
                                                                                \
			for (unsigned k = 0; k < N; k++) {                      \
				T f = name##_a[i][k];                           \
                                                                                \
				for (unsigned j = 0; j < N; j++)                \
					name##_c[i][j] += f * name##_b[k][j];   \
			}                                                       \
		}                                                               \
		for (unsigned i = 0; i < N; i++) {                              \
			for (unsigned j = 0; j < N; j++)                        \
				sum = bench_mix(sum, (uint64_t)name##_c[i][j]); \
		}                                                               \
		return sum;                                                     \
	}

#ifdef BENCH_VECTORS
DEFINE_PRODUCT(bench_matrix_float, float)
DEFINE_PRODUCT(bench_matrix_double, double)
#else
DEFINE_PRODUCT(bench_matrix_int, int32_t)
#endif
