// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory beyond the caches: copy, fill, scale and triad of arrays of 48 MiB, and a walk along
 * pointers in random order over 64 MiB. Large pages where the kernel gives them.
 */
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define DOUBLES (6u << 20)
#define NODES (1u << 20)
#define LARGE_PAGE (2ul << 20)

struct node {
	struct node *next;
	uint64_t pad[7];
};

static double *a, *b, *c;
static struct node *nodes;
static void *memory;
static size_t memory_bytes;

static void *get_memory(size_t bytes)
{
	char *p;

	memory_bytes = bytes + LARGE_PAGE;
	memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		bench_fail("mmap");
	p = (char *)(((uintptr_t)memory + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1));
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

/* A process that holds much would make the fork of later lines dear. */
static void free_memory(void)
{
	munmap(memory, memory_bytes);
}

static void prepare_arrays(uint32_t work)
{
	(void)work;
	a = get_memory(3 * DOUBLES * sizeof(*a));
	b = a + DOUBLES;
	c = b + DOUBLES;
	memset(a, 0, DOUBLES * sizeof(*a));
	for (uint32_t i = 0; i < DOUBLES; i++) {
		b[i] = i & 1023;
		c[i] = i & 511;
	}
}

static uint64_t some(const double *p)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < DOUBLES; i += 65537)
		sum = bench_mix(sum, (uint64_t)(int64_t)p[i]);
	return sum;
}

static uint64_t run_copy(uint32_t work)
{
	for (uint32_t n = 0; n < work; n++)
		memcpy(n & 1 ? b : a, n & 1 ? a : b, DOUBLES * sizeof(*a));
	return some(a);
}

static uint64_t run_fill(uint32_t work)
{
	for (uint32_t n = 0; n < work; n++)
		memset(a, (int)n, DOUBLES * sizeof(*a));
	return ((uint8_t *)a)[DOUBLES / 2];
}

static uint64_t run_scale(uint32_t work)
{
	for (uint32_t n = 0; n < work; n++) {
		for (uint32_t i = 0; i < DOUBLES; i++)
			a[i] = 3.0 * c[i];
		__asm__ volatile("" ::: "memory");
	}
	return some(a);
}

static uint64_t run_triad(uint32_t work)
{
	for (uint32_t n = 0; n < work; n++) {
		for (uint32_t i = 0; i < DOUBLES; i++)
			a[i] = b[i] + 3.0 * c[i];
		__asm__ volatile("" ::: "memory");
	}
	return some(a);
}

/* One cycle through all nodes (Sattolo 1986). */
static void prepare_chase(uint32_t work)
{
	uint64_t seed = 16;

	(void)work;
	nodes = get_memory(NODES * sizeof(*nodes));
	for (uint32_t i = 0; i < NODES; i++)
		nodes[i].next = &nodes[i];
	for (uint32_t i = NODES - 1; i; i--) {
		uint32_t j = (uint32_t)(bench_random(&seed) % i);
		struct node *t = nodes[i].next;

		nodes[i].next = nodes[j].next;
		nodes[j].next = t;
	}
}

static uint64_t run_chase(uint32_t work)
{
	struct node *n = nodes;

	for (uint32_t i = 0; i < work; i++)
		n = n->next;
	return (uint64_t)(n - nodes);
}

#define STREAM(name_, run_, work_, prepare_)                                               \
	.name = name_, .group = "stream", .work = work_, .prepare = prepare_, .run = run_, \
	.finish = free_memory

const struct bench bench_stream[] = {
	{STREAM("stream-copy", run_copy, 10, prepare_arrays)},
	{STREAM("stream-fill", run_fill, 20, prepare_arrays)},
	{STREAM("stream-scale", run_scale, 10, prepare_arrays)},
	{STREAM("stream-triad", run_triad, 8, prepare_arrays)},
	{STREAM("stream-chase", run_chase, 500000, prepare_chase)},
	{.name = NULL},
};
