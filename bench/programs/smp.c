// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Work for two processors: each of these lines runs in a guest with one and in one with two, and on
 * the host bound to one and to two.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

uint64_t bench_in_two(uint64_t (*run)(uint32_t work), uint32_t work)
{
	int p[2];
	uint64_t sums[2] = {0, 0};

	if (pipe(p))
		bench_fail("pipe");
	for (unsigned i = 0; i < 2; i++) {
		pid_t child = fork();

		if (child < 0)
			bench_fail("fork");
		if (!child) {
			uint64_t sum = run(work / 2);

			_exit(write(p[1], &sum, sizeof(sum)) != sizeof(sum));
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		int status = -1;

		if (read(p[0], &sums[i], sizeof(sums[i])) != sizeof(sums[i]) || wait(&status) < 0 ||
		    status)
			bench_fail("a process");
	}
	close(p[0]);
	close(p[1]);
	return bench_mix(3 * sums[0], sums[1]);
}

static uint64_t run_sieves(uint32_t work)
{
	return bench_in_two(bench_sieve, work);
}

static uint64_t run_matrices(uint32_t work)
{
	return bench_in_two(bench_matrix_float, work);
}

/* Threads share memory: each works on its own and takes its next piece from a counter. */
struct pool {
	_Atomic uint32_t next;
	_Atomic uint64_t sum;
	uint32_t pieces;
};

static void *worker(void *arg)
{
	struct pool *pool = arg;
	uint32_t piece;

	while ((piece = atomic_fetch_add(&pool->next, 1)) < pool->pieces) {
		uint64_t seed = piece + 1, sum = 0;

		for (unsigned i = 0; i < 2000; i++)
			sum = bench_mix(sum, bench_random(&seed));
		atomic_fetch_add(&pool->sum, sum);
	}
	return NULL;
}

static uint64_t run_threads(uint32_t work)
{
	struct pool pool = {.pieces = work};
	pthread_t t[2];

	for (unsigned i = 0; i < 2; i++) {
		if (pthread_create(&t[i], NULL, worker, &pool))
			bench_fail("pthread_create");
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return pool.sum;
}

const struct bench bench_smp[] = {
	{.name = "two-sieves", .group = "smp", .work = 40, .run = run_sieves},
	{.name = "two-matrices", .group = "smp", .work = 20000, .run = run_matrices},
	{.name = "two-threads", .group = "smp", .work = 20000, .run = run_threads},
	{.name = "two-gzips",
	 .group = "smp",
	 .work = 1000000,
	 .cmd = &(
		 const struct bench_command){.file = "text",
					     .processes = 2,
					     .argv = {"/bin/gzip", "-6", "-n", "-c", BENCH_INPUT}}},
	{.name = NULL},
};
