/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several processors for 64-bit guest programs: start them, run a function on all of them.
 * Source: Intel SDM 3A §8.4.4 (INIT, SIPI).
 */
#ifndef GUEST_CPUS_H
#define GUEST_CPUS_H

#include "timing.h"

#define CPUS_MAX 4u

extern unsigned cpus_count; /* processors in use, this one included */

/* Start n - 1 others. They wait with interrupts on. */
bool cpus_start(unsigned n);
/* fn(0) here, fn(1) … on the others, all at once. False when one does not come back. */
bool cpus_run(void (*fn)(unsigned cpu));
/* Wait until all are here: for use in such a function. */
void cpus_barrier(void);
/* An interrupt for all but this one. */
void cpus_ipi_others(unsigned vector);

static inline void cpu_relax(void)
{
	asm volatile("pause");
}

static inline void full_fence(void)
{
	asm volatile("mfence" ::: "memory");
}

#endif
