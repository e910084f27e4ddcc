/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host clocks in nanoseconds. Threads: any. */
#ifndef LODGE_BASE_CLOCK_H
#define LODGE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SEC 1000000000ull

/* CLOCK_MONOTONIC: every device timer runs on it. */
static inline uint64_t clock_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* CLOCK_REALTIME: only the RTC wants it. */
static inline uint64_t clock_real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* a * b / c with a 128-bit product: for turning device ticks into nanoseconds and back. */
static inline uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
