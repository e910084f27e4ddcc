// SPDX-License-Identifier: GPL-2.0-or-later
/* Printing the engine's counters. Threads: soft_stats_event the vCPU's own; the rest main. */
#include "engine/soft/stats.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "base/range.h"
#include "engine/soft/soft_int.h"

#define MAX_COLUMNS 8u /* vCPUs that get a column of their own; with more there is the sum only */
#define TOP_OPS 20u

/* SOFT_COUNT_WALK indexes them by enum soft_access. */
_Static_assert(offsetof(struct soft_stats, tlb_fill_write) ==
		       offsetof(struct soft_stats, tlb_fill_read) + SOFT_WRITE * sizeof(uint64_t),
	       "");
_Static_assert(offsetof(struct soft_stats, tlb_fill_exec) ==
		       offsetof(struct soft_stats, tlb_fill_read) + SOFT_EXEC * sizeof(uint64_t),
	       "");

void soft_stats_event(struct soft_cpu *cpu, const struct soft_event *ev)
{
	if (ev->external && ev->vector == VEC_NMI) {
		SOFT_COUNT(cpu, nmis);
	} else if (ev->external) {
		SOFT_COUNT(cpu, interrupts);
	} else if (ev->soft) {
		SOFT_COUNT(cpu, soft_ints);
	} else {
		SOFT_COUNT(cpu, exceptions);
		SOFT_COUNT(cpu, vector[ev->vector & 31]);
	}
}

/* ---- Lines of numbers ----------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Some are counted in cycles of the host's TSC: nanoseconds for 1024 of them. */
static uint64_t ns_per_1024(const struct soft_engine *e)
{
	uint64_t tsc = __builtin_ia32_rdtsc() - e->start_tsc;

	return ((now_ns() - e->start_ns) << 10) / (tsc + !tsc);
}

static bool cpu_in_cycles(size_t offset)
{
	return offset == offsetof(struct soft_stats, jit_ns) ||
	       offset == offsetof(struct soft_stats, copy_ns);
}

static bool all_in_cycles(size_t offset)
{
	return offset == offsetof(struct soft_stats_all, longest_drop) ||
	       offset == offsetof(struct soft_stats_all, longest_stop);
}

static uint64_t to_ns(const struct soft_engine *e, bool in_cycles, uint64_t v)
{
	return in_cycles && e->start_tsc ? v * ns_per_1024(e) >> 10 : v;
}

static uint64_t value(const struct soft_engine *e, unsigned cpu, size_t offset)
{
	return to_ns(e, cpu_in_cycles(offset),
		     *(const uint64_t *)((const char *)&e->cpus[cpu]->stats + offset));
}

static uint64_t value_of_all(const struct soft_engine *e, size_t offset)
{
	return to_ns(e, all_in_cycles(offset),
		     *(const uint64_t *)((const char *)&e->stats + offset));
}

static uint64_t sum(const struct soft_engine *e, size_t offset)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < e->cfg.cpus; i++)
		total += value(e, i, offset);
	return total;
}

static bool has_columns(const struct soft_engine *e)
{
	return e->cfg.cpus > 1 && e->cfg.cpus <= MAX_COLUMNS;
}

/* The counter at `offset` of struct soft_stats: all vCPUs together, then each one. */
static void print_row(const struct soft_engine *e, const char *what, size_t offset)
{
	char line[64 + 16 * MAX_COLUMNS];
	size_t used;

	used = (size_t)snprintf(line, sizeof(line), "  %-45s %14lu", what, sum(e, offset));
	for (unsigned i = 0; has_columns(e) && i < e->cfg.cpus && used < sizeof(line); i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, " %14lu",
					 value(e, i, offset));
	log_print("%s\n", line);
}

static void print_heading(const struct soft_engine *e)
{
	char line[64 + 16 * MAX_COLUMNS];
	size_t used;

	used = (size_t)snprintf(line, sizeof(line), "%-47s %14s", "engine counters", "all");
	for (unsigned i = 0; has_columns(e) && i < e->cfg.cpus && used < sizeof(line); i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "          cpu %2u", i);
	log_print("%s\n", line);
}

/* ---- The parts ------------------------------------------------------------------------------ */

struct row {
	const char *section; /* a heading, or NULL */
	const char *what, *name;
	size_t offset;
};

static const struct row cpu_rows[] = {
#define ROW(field, text) \
	{.what = text, .name = #field, .offset = offsetof(struct soft_stats, field)},
#define SECTION(text) {.section = text},
	SOFT_STATS_CPU(ROW, SECTION)
#undef ROW
};

static const struct row all_rows[] = {
#define ROW(field, text) \
	{.what = text, .name = #field, .offset = offsetof(struct soft_stats_all, field)},
	SOFT_STATS_ALL(ROW, SECTION)
#undef ROW
#undef SECTION
};

static void print_counters(const struct soft_engine *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu_rows); i++) {
		if (cpu_rows[i].section)
			log_print("%s\n", cpu_rows[i].section);
		else
			print_row(e, cpu_rows[i].what, cpu_rows[i].offset);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all_rows); i++) {
		if (all_rows[i].section)
			log_print("%s\n", all_rows[i].section);
		else
			log_print("  %-45s %14lu\n", all_rows[i].what,
				  value_of_all(e, all_rows[i].offset));
	}
}

void soft_stats_each(const struct engine *engine, int cpu,
		     void (*fn)(void *opaque, const char *name, const char *what, uint64_t value),
		     void *opaque)
{
	const struct soft_engine *e = (const struct soft_engine *)engine;

	for (size_t i = 0; i < ARRAY_SIZE(cpu_rows); i++) {
		const struct row *r = &cpu_rows[i];

		if (!r->section)
			fn(opaque, r->name, r->what,
			   cpu < 0 ? sum(e, r->offset) : value(e, (unsigned)cpu, r->offset));
	}
	for (size_t i = 0; i < ARRAY_SIZE(all_rows) && cpu < 0; i++) {
		const struct row *r = &all_rows[i];

		if (!r->section)
			fn(opaque, r->name, r->what, value_of_all(e, r->offset));
	}
}

static void print_vectors(const struct soft_engine *e)
{
	static const char *const names[32] = {
		"#DE divide", "#DB debug",   "NMI",	      "#BP breakpoint", "#OF overflow",
		"#BR bound",  "#UD opcode",  "#NM no FPU",    "#DF double",	"9",
		"#TS TSS",    "#NP segment", "#SS stack",     "#GP protection", "#PF page fault",
		"15",	      "#MF x87",     "#AC alignment", "#MC machine",	"#XM SIMD",
	};
	char what[32];

	log_print("exceptions by vector\n");
	for (unsigned v = 0; v < 32; v++) {
		size_t offset = offsetof(struct soft_stats, vector) + v * sizeof(uint64_t);

		if (!sum(e, offset))
			continue;
		snprintf(what, sizeof(what), "%2u %s", v, names[v] ? names[v] : "");
		print_row(e, what, offset);
	}
}

/* The TOP_OPS instructions that left generated code most often. */
static void print_unsupported(const struct soft_engine *e)
{
	uint64_t below = UINT64_MAX;
	unsigned printed = 0;

	if (sum(e, offsetof(struct soft_stats, exit_unsupported)))
		log_print("instructions not translated, by count\n");
	while (printed < TOP_OPS) {
		uint64_t most = 0;

		for (unsigned op = 0; op < X86_OP_COUNT; op++) {
			uint64_t n = sum(e, offsetof(struct soft_stats, unsupported) +
						    op * sizeof(uint64_t));

			if (n < below && n > most)
				most = n;
		}
		if (!most)
			return;
		for (unsigned op = 0; op < X86_OP_COUNT && printed < TOP_OPS; op++) {
			size_t offset =
				offsetof(struct soft_stats, unsupported) + op * sizeof(uint64_t);

			if (sum(e, offset) == most) {
				print_row(e, x86_op_name((enum x86_op)op), offset);
				printed++;
			}
		}
		below = most;
	}
}

/* What follows from the counters. */
static void print_ratios(const struct soft_engine *e)
{
	uint64_t insns = sum(e, offsetof(struct soft_stats, jit_insns));
	uint64_t ns = sum(e, offsetof(struct soft_stats, jit_ns));
	uint64_t bytes = sum(e, offsetof(struct soft_stats, jit_bytes));

	if (!insns)
		return;
	log_print("translation: %lu ns and %lu bytes an instruction\n", ns / insns, bytes / insns);
}

void soft_stats_start(struct soft_engine *e)
{
	e->start_tsc = __builtin_ia32_rdtsc();
	e->start_ns = now_ns();
}

void soft_stats_print(struct soft_engine *e)
{
	if (!log_on(LOG_STATS) || !e->cpus)
		return;
	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		if (!e->cpus[i])
			return; /* the engine was never complete */
	}
	print_heading(e);
	print_counters(e);
	print_vectors(e);
	print_unsupported(e);
	print_ratios(e);
}
