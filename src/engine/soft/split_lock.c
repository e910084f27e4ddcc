// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host makes of a locked access that crosses a cache line. Threads: any.
 * It is atomic everywhere, but may cost milliseconds or the process: a kernel that watches for it
 * traps, warns, waits or kills, and a hypervisor below may slow it down, too.
 * Source: Intel SDM 3A "Features to Disable Bus Locks" (#AC), 3B "OS Bus-Lock Detection" (#DB); AMD APM
 * vol. 2 "Bus Lock Trap"; CPUID leaf 7 in SDM vol. 2.
 */
#include <cpuid.h>

#include "base/clock.h"
#include "engine/soft/interp.h"

#define BUS_LOCK_DETECT (1u << 24)   /* leaf 7, ECX */
#define CORE_CAPABILITIES (1u << 30) /* leaf 7, EDX: where split-lock detection is announced */
#define TRIES 3u
#define DEAR_NS 5000u /* bare ones take less than 1 µs */

/* The processor can tell the kernel. Whether that listens only one would show, which may be fatal. */
static bool may_trap(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
	       ((c & BUS_LOCK_DETECT) || (d & CORE_CAPABILITIES));
}

static bool is_slow(void)
{
	_Alignas(SOFT_LINE_BYTES) uint8_t lines[2 * SOFT_LINE_BYTES] = {0};
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t start = clock_mono_ns(), took;

		__asm__ volatile("lock incl %0"
				 : "+m"(*(uint32_t *)(void *)(lines + SOFT_LINE_BYTES - 2))
				 :
				 : "cc");
		took = clock_mono_ns() - start;
		if (took < best)
			best = took;
	}
	return best > DEAR_NS;
}

bool soft_split_locks_dear(void)
{
	return may_trap() || is_slow();
}
