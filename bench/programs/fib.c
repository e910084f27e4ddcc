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

static uint64_t run(void)
{
	return fib(32);
}

const struct bench bench_fib = {"fib", "integer", run, 1};
