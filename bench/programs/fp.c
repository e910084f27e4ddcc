// SPDX-License-Identifier: GPL-2.0-or-later
/* The lines of floating point and vectors that are our own code, and the table of small loops. */
#include <stddef.h>

#include "bench.h"

static bool has_avx2_fma(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#define FP(name_, run_, work_) .name = name_, .group = "fp", .run = run_, .work = work_

const struct bench bench_fp[] = {
	{FP("mandelbrot", bench_mandelbrot, 1200)},
	{FP("nbody", bench_nbody, 150000)},
	{FP("matrix-float", bench_matrix_float, 12000)},
	{FP("matrix-double", bench_matrix_double, 6000)},
	{FP("avx2-fma", bench_vector_fma, 50000), .possible = has_avx2_fma},
	{FP("avx2-int", bench_vector_int, 100000), .possible = has_avx2_fma},
	{FP("x87", bench_x87, 400000)},
	{.name = NULL},
};

#define SMALL(name_, run_, work_) .name = name_, .group = "small", .run = run_, .work = work_

const struct bench bench_small[] = {
	{SMALL("sieve", bench_sieve, 20)},
	{SMALL("crc32", bench_crc32, 4000000)},
	{SMALL("quicksort", bench_quicksort, 20)},
	{SMALL("fib", bench_fib, 300)},
	{SMALL("list", bench_list, 300)},
	{SMALL("hash", bench_hash, 1000000)},
	{SMALL("matrix-int", bench_matrix_int, 1500)},
	{SMALL("switch", bench_vm, 25000)},
	{.name = NULL},
};
