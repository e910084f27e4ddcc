/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time in guest programs: the time-stamp counter, measured once against the ACPI timer. Machines
 * that run tests are busy: a measured time is right within a factor of two, and may be tried again.
 */
#ifndef GUEST_TIMING_H
#define GUEST_TIMING_H

#include "guest.h"

#define PM_TIMER_PORT 0x608
#define PM_TIMER_HZ 3579545u
#define PIT_HZ 1193182u

/* 24 bits of the ACPI timer. */
uint32_t pm_timer(void);
uint64_t tsc_hz(void);
/* Microseconds since some moment. */
uint64_t usec(void);
/* Spin, interrupts as they are. */
void wait_us(unsigned us);
/* Spin until *p >= want, at most `ms`; true when it is. */
bool wait_count(volatile unsigned *p, unsigned want, unsigned ms);
/* The same with interrupts on meanwhile. */
bool wait_irqs(volatile unsigned *p, unsigned want, unsigned ms);

/*
 * Check that measure(arg) gives a number between want / 2 and want * 2, at one of several tries.
 * 0 from it is a failure at once. The name may have one %s.
 */
bool check_near(uint64_t (*measure)(word arg), word arg, uint64_t want, const char *name, ...);
/* Check that f() is true at one of several tries: for what a pause of the machine may spoil. */
bool check_tries(bool (*f)(void), const char *name);

#endif
