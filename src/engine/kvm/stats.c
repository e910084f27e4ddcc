// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What vCPUs left KVM_RUN for, counted: for monitors (query-stats), and printed at the end by `-d stats`.
 * Threads: counted by the vCPU's own, read by any.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"

static const struct {
	const char *name, *what;
} rows[KVM_COUNTS] = {
	[COUNT_RUNS] = {"kvm-runs", "calls of KVM_RUN"},
	[COUNT_PIO] = {"exits-pio", "exits for a port"},
	[COUNT_MMIO] = {"exits-mmio", "exits for device memory"},
	[COUNT_MSR] = {"exits-msr", "exits for an MSR"},
	[COUNT_HALT] = {"exits-halt", "exits for HLT"},
	[COUNT_WINDOW] = {"exits-window", "exits since an interrupt could be taken"},
	[COUNT_EOI] = {"exits-eoi", "exits for the end of an I/O APIC's interrupt"},
	[COUNT_KICK] = {"exits-signal", "exits by a signal"},
	[COUNT_OTHER] = {"exits-other", "exits for other reasons"},
	[COUNT_FETCH] = {"state-fetches", "times the registers were read from the kernel"},
	[COUNT_STORE] = {"state-stores", "times they were written there"},
};

/* Of no vCPU. */
#define WAYS_NAME "messages-irqfd"
#define WAYS_WHAT "interrupt messages by irqfd"
#define LATE_NAME "writes-coalesced"
#define LATE_WHAT "writes that came late, without an exit"

static uint64_t one(const struct kvm_cpu *cpu, unsigned n)
{
	return atomic_load_explicit(&cpu->counts[n], memory_order_relaxed);
}

static uint64_t sum(const struct kvm_engine *e, unsigned n)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < e->cfg.cpus; i++)
		all += one(e->cpus[i], n);
	return all;
}

void kvm_count_exit(struct kvm_cpu *cpu, uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_IO:
		kvm_count(cpu, COUNT_PIO);
		break;
	case KVM_EXIT_MMIO:
		kvm_count(cpu, COUNT_MMIO);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		kvm_count(cpu, COUNT_MSR);
		break;
	case KVM_EXIT_HLT:
		kvm_count(cpu, COUNT_HALT);
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		kvm_count(cpu, COUNT_WINDOW);
		break;
	case KVM_EXIT_IOAPIC_EOI:
		kvm_count(cpu, COUNT_EOI);
		break;
	case KVM_EXIT_INTR:
		kvm_count(cpu, COUNT_KICK);
		break;
	default:
		kvm_count(cpu, COUNT_OTHER);
	}
}

void kvm_op_counters(const struct engine *engine, int cpu,
		     void (*fn)(void *opaque, const char *name, const char *what, uint64_t value),
		     void *opaque)
{
	const struct kvm_engine *e = (const struct kvm_engine *)(uintptr_t)engine;

	for (unsigned n = 0; n < KVM_COUNTS; n++)
		fn(opaque, rows[n].name, rows[n].what, cpu < 0 ? sum(e, n) : one(e->cpus[cpu], n));
	if (cpu >= 0)
		return;
	fn(opaque, WAYS_NAME, WAYS_WHAT, kvm_ways_sent(e));
	fn(opaque, LATE_NAME, LATE_WHAT, e->late_writes);
}

void kvm_stats_print(const struct kvm_engine *e)
{
	if (!log_on(LOG_STATS))
		return;
	log_print("%-47s %14s\n", "engine counters", "all");
	for (unsigned n = 0; n < KVM_COUNTS; n++)
		log_print("%-47s %14llu\n", rows[n].what, (unsigned long long)sum(e, n));
	log_print("%-47s %14llu\n", WAYS_WHAT, (unsigned long long)kvm_ways_sent(e));
	log_print("%-47s %14llu\n", LATE_WHAT, (unsigned long long)e->late_writes);
}
