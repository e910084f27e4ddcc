// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * usage: lodge-bench [REPEATS [NAME…]]     prints "bench: NAME GROUP NANOSECONDS CHECKSUM" lines
 * `lodge-bench --exit` only exits: what the fork+exec program runs.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

static const struct bench *const programs[] = {
	&bench_sieve,	   &bench_crc32,	&bench_quicksort, &bench_fib,	&bench_lz,
	&bench_sha256,	   &bench_matrix_int,	&bench_list,	  &bench_hash,	&bench_vm,
	&bench_mandelbrot, &bench_matrix_float, &bench_getpid,	  &bench_pread, &bench_pipe,
	&bench_fork_exec,  &bench_fault,
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool wanted(const struct bench *b, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], b->name))
			return true;
	}
	return argc <= 2;
}

static void measure(const struct bench *b)
{
	uint64_t t0 = now_ns(), sum = b->run(), ns = now_ns() - t0;

	printf("bench: %s %s %llu %016llx\n", b->name, b->group, (unsigned long long)(ns / b->per),
	       (unsigned long long)sum);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int repeats = argc > 1 ? atoi(argv[1]) : 1;

	if (argc > 1 && !strcmp(argv[1], "--exit"))
		return 0;
	printf("bench: begin\n");
	fflush(stdout);
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		for (int r = 0; r < repeats && wanted(programs[i], argc, argv); r++)
			measure(programs[i]);
	}
	printf("bench: end\n");
	return 0;
}
