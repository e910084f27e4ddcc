// SPDX-License-Identifier: GPL-2.0-or-later
/* Matrix products: of integers, and of floats by the compiler's SSE code (see bench.mk). */
#include "bench.h"

#define N 256
#ifdef BENCH_FLOAT
#define ROUNDS 6
#else
#define ROUNDS 1
#endif

#define DEFINE_PRODUCT(name, T)                                                 \
	static T name##_a[N][N], name##_b[N][N], name##_c[N][N];                \
	static uint64_t name(void)                                              \
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
		for (unsigned n = 0; n < N * ROUNDS; n++) {                     \
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

#ifdef BENCH_FLOAT
DEFINE_PRODUCT(run, float)
const struct bench bench_matrix_float = {"matrix-float", "fp", run, 1};
#else
DEFINE_PRODUCT(run, int32_t)
const struct bench bench_matrix_int = {"matrix-int", "integer", run, 1};
#endif
