// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's clock stands still and goes again. Threads: with the VM lock held, vCPUs parked. */
#include "base/clock.h"

struct clock_vm clock_vm;

void clock_vm_stop(void)
{
	if (!clock_vm.stopped_ns)
		__atomic_store_n(&clock_vm.stopped_ns, clock_mono_ns(), __ATOMIC_RELAXED);
}

void clock_vm_go(void)
{
	uint64_t stopped = clock_vm.stopped_ns;

	if (!stopped)
		return;
	__atomic_store_n(&clock_vm.lost_ns, clock_vm.lost_ns + clock_mono_ns() - stopped,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&clock_vm.stopped_ns, 0, __ATOMIC_RELAXED);
}
