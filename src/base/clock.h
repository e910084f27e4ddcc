/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host clocks in nanoseconds. Tests have others in their place (tests/fake_time.h). Threads: any. */
#ifndef LODGE_BASE_CLOCK_H
#define LODGE_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_SEC 1000000000ull

/* CLOCK_MONOTONIC: every device timer runs on it. */
uint64_t clock_mono_ns(void);
/* CLOCK_REALTIME: only the RTC wants it. */
uint64_t clock_real_ns(void);

/* a * b / c with a 128-bit product: for turning device ticks into nanoseconds and back. */
static inline uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
