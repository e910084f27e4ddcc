/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a benchmark program is. Each does a fixed amount of work and returns a checksum, which must
 * be the same on the host, under Lodge and under QEMU.
 */
#ifndef LODGE_BENCH_H
#define LODGE_BENCH_H

#include <stdint.h>

struct bench {
	const char *name;
	const char *group;     /* "integer", "fp" or "kernel" */
	uint64_t (*run)(void); /* returns the checksum */
	uint32_t per;	       /* report nanoseconds for one of so many operations; 1: for all */
};

/* A fixed pseudo-random sequence (xorshift64, Marsaglia 2003). */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint64_t bench_mix(uint64_t sum, uint64_t v)
{
	return (sum ^ v) * 0x100000001b3ull;
}

extern const struct bench bench_sieve, bench_crc32, bench_quicksort, bench_fib, bench_lz,
	bench_sha256, bench_matrix_int, bench_list, bench_hash, bench_vm;
extern const struct bench bench_mandelbrot, bench_matrix_float;
extern const struct bench bench_getpid, bench_pipe, bench_fork_exec, bench_fault, bench_pread;

#endif
