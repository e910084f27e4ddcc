/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clocks in nanoseconds: the host's, and the guest's, which is the host's less the time the machine was
 * stopped. Tests have others in the host's place (tests/fake_time.h). Threads: any, but for clock_vm_stop() and clock_vm_go().
 */
#ifndef LODGE_BASE_CLOCK_H
#define LODGE_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_SEC 1000000000ull

/* CLOCK_MONOTONIC, for what waits for the host. */
uint64_t clock_mono_ns(void);
/* CLOCK_REALTIME: only the RTC wants it. */
uint64_t clock_real_ns(void);

/*
 * The guest's time. A process is one machine, so its clock is process-wide: written with the VM lock held
 * and every vCPU parked, read with the VM lock, or by a vCPU thread that the park has made wait.
 */
struct clock_vm {
	uint64_t lost_ns;    /* how long it has stood still so far */
	uint64_t stopped_ns; /* since when it does (CLOCK_MONOTONIC); 0: it goes */
};
extern struct clock_vm clock_vm;

/* What every device's clock and timer is on. */
static inline uint64_t clock_vm_ns(void)
{
	uint64_t stopped = __atomic_load_n(&clock_vm.stopped_ns, __ATOMIC_RELAXED);

	return (stopped ? stopped : clock_mono_ns()) -
	       __atomic_load_n(&clock_vm.lost_ns, __ATOMIC_RELAXED);
}

/* No guest's time any more, until it goes again. */
void clock_vm_stop(void);
void clock_vm_go(void);

/* a * b / c with a 128-bit product: for turning device ticks into nanoseconds and back. */
static inline uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
