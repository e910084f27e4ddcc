// SPDX-License-Identifier: GPL-2.0-or-later
/* Fibonacci numbers by plain recursion: calls and returns. */
#include "bench.h"

static __attribute__((noinline, noclone)) uint64_t fib(unsigned n)
{
	if (n < 2)
		return n;
	uint64_t a = fib(n - 1);

	__asm__ volatile("" : "+r"(a)); /* two real calls, not a loop */
	return a + fib(n - 2);
}

uint64_t bench_fib(uint32_t work)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < work; i++)
		sum = bench_mix(sum, fib(24 + (i & 1)));
	return sum;
}
