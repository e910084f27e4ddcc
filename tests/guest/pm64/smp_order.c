// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory order between processors: what Intel SDM 3A §8.2.3 promises, as litmus tests, and that
 * values of up to 8 bytes inside a cache line are read and written whole (§8.1.1).
 * run: -smp 4
 */
#include "cpus64.h"

static unsigned rounds = 20000u;

/* Variables in lines of their own. */
static struct {
	volatile uint64_t v;
	uint8_t pad[120];
} cell[8] __attribute__((aligned(128)));
#define X cell[0].v
#define Y cell[1].v

static volatile uint64_t result[CPUS_MAX][2];
static unsigned bad, seen_weak;

/* ---- Message passing: stores are seen in their order, loads are done in theirs ---------------- */

static volatile unsigned stop;

static void message_passing_job(unsigned cpu)
{
	if (cpu == 0) {
		for (uint64_t i = 1; i <= 40 * rounds; i++) {
			X = i;
			Y = i;
		}
		stop = 1;
		return;
	}
	while (!stop) {
		for (unsigned i = 0; i < 100; i++) {
			uint64_t flag = Y, data = X;

			if (data < flag)
				__atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
		}
	}
}

/* ---- Rounds of two or four processors that start together ------------------------------------ */

static void (*body)(unsigned cpu);
static void (*verdict)(void);

static void rounds_job(unsigned cpu)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (cpu == 0)
			X = Y = 0;
		cpus_barrier();
		/* They come out of the barrier at different times: shift them against each other. */
		for (unsigned k = (i * (cpu + 3)) % 13; k; k--)
			asm volatile("");
		body(cpu);
		cpus_barrier();
		if (cpu == 0)
			verdict();
	}
}

static void litmus(void (*b)(unsigned), void (*v)(void), const char *name)
{
	body = b;
	verdict = v;
	bad = 0;
	if (check(cpus_run(rounds_job), "%s: all come back", name))
		check_eq(bad, 0, "%s", name);
}

/* Store buffering: both may read the old value, but not with MFENCE or a locked instruction. */
static void sb_plain(unsigned cpu)
{
	if (cpu > 1)
		return;
	cell[cpu].v = 1;
	result[cpu][0] = cell[!cpu].v;
}

static void sb_fenced(unsigned cpu)
{
	if (cpu > 1)
		return;
	cell[cpu].v = 1;
	full_fence();
	result[cpu][0] = cell[!cpu].v;
}

static void sb_locked(unsigned cpu)
{
	uint64_t one = 1;

	if (cpu > 1)
		return;
	asm volatile("xchg %0, %1" : "+r"(one), "+m"(cell[cpu].v)::"memory");
	result[cpu][0] = cell[!cpu].v;
}

static void sb_split_locked(unsigned cpu)
{
	uint32_t *p = (uint32_t *)((uint8_t *)&cell[4 + cpu] + 61);

	if (cpu > 1)
		return;
	cell[cpu].v = 1;
	asm volatile("lock incl %0" : "+m"(*p)::"memory", "cc"); /* across two lines */
	result[cpu][0] = cell[!cpu].v;
}

static void sb_weak_verdict(void)
{
	seen_weak += !result[0][0] && !result[1][0];
}

static void sb_verdict(void)
{
	bad += !result[0][0] && !result[1][0];
}

/* Load buffering: loads are not done after later stores. */
static void lb(unsigned cpu)
{
	if (cpu > 1)
		return;
	result[cpu][0] = cell[!cpu].v;
	cell[cpu].v = 1;
}

static void lb_verdict(void)
{
	bad += result[0][0] && result[1][0];
}

/* Two writers, two readers: both readers see the writes in the same order. */
static void iriw(unsigned cpu)
{
	if (cpu < 2) {
		cell[cpu].v = 1;
	} else {
		result[cpu][0] = cell[cpu & 1].v;
		result[cpu][1] = cell[!(cpu & 1)].v;
	}
}

static void iriw_verdict(void)
{
	bad += result[2][0] && !result[2][1] && result[3][0] && !result[3][1];
}

/* Write, pass on, read: causality is transitive. */
static void wrc(unsigned cpu)
{
	if (cpu == 0) {
		X = 1;
	} else if (cpu == 1) {
		uint64_t x = X;

		if (x)
			Y = 1;
	} else if (cpu == 2) {
		result[2][0] = Y;
		result[2][1] = X;
	}
}

static void wrc_verdict(void)
{
	bad += result[2][0] && !result[2][1];
}

/* ---- Whole values --------------------------------------------------------------------------- */

static uint8_t line[4096] __attribute__((aligned(4096)));
static unsigned offset, width;

static void whole_job(unsigned cpu)
{
	void *p = line + offset;

	cpus_barrier();
	if (cpu < 2) {
		for (unsigned i = 0; i < rounds; i++) {
			uint64_t v = i & 1 ? ~0ull : 0;

			if (width == 8)
				*(volatile uint64_t *)p = v;
			else if (width == 4)
				*(volatile uint32_t *)p = (uint32_t)v;
			else
				*(volatile uint16_t *)p = (uint16_t)v;
		}
		return;
	}
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t v = width == 8	  ? *(volatile uint64_t *)p
			     : width == 4 ? *(volatile uint32_t *)p
					  : *(volatile uint16_t *)p;
		uint64_t ones = ~0ull >> (64 - 8 * width);

		if (v && v != ones)
			__atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
	}
}

/* 16 bytes: aligned ones are whole on every processor with AVX (SDM 3A §8.1.1). */
static void whole16_job(unsigned cpu)
{
	static const uint64_t ones[2] __attribute__((aligned(16))) = {~0ull, ~0ull};
	static const uint64_t zero[2] __attribute__((aligned(16)));
	uint64_t got[2] __attribute__((aligned(16)));
	void *p = line + 64;

	cpus_barrier();
	for (unsigned i = 0; i < rounds; i++) {
		if (cpu < 2) {
			asm volatile("movdqa %1, %%xmm0\n\tmovdqa %%xmm0, (%0)"
				     :
				     : "r"(p), "m"(*(i & 1 ? ones : zero))
				     : "memory");
			continue;
		}
		asm volatile("movdqa (%1), %%xmm0\n\tmovdqa %%xmm0, %0"
			     : "=m"(got)
			     : "r"(p)
			     : "memory");
		if (got[0] != got[1])
			__atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
	}
}

static void whole_values(void)
{
	static const struct {
		unsigned offset, width;
	} c[] = {{0, 8}, {3, 8}, {56, 8}, {0, 4}, {59, 4}, {0, 2}, {61, 2}};

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		bad = 0;
		offset = c[i].offset;
		width = c[i].width;
		memset(line, 0, sizeof(line));
		check(cpus_run(whole_job), "%u bytes at %u of a line: all come back", width,
		      offset);
		check_eq(bad, 0, "%u bytes at %u of a line are whole", width, offset);
	}
	bad = 0;
	memset(line, 0, sizeof(line));
	check(cpus_run(whole16_job), "16 bytes: all come back");
	check_eq(bad, 0, "16 aligned bytes are whole");
}

/* ---- A value never goes back ---------------------------------------------------------------- */

static void coherence_job(unsigned cpu)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < 10 * rounds; i++) {
		if (cpu == 0) {
			X = i;
			continue;
		}

		uint64_t now = X;

		if (now < last)
			__atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
		last = now;
	}
}

void guest_test(void)
{
	rounds = guest_rounds(rounds);
	if (!cpus_start(4))
		return;
	check(cpus_run(message_passing_job), "message passing: all come back");
	check_eq(bad, 0, "message passing");
	X = Y = 0;
	litmus(sb_plain, sb_weak_verdict, "store buffering");
	print("  both read the old value %u times of %u, which is allowed\n", seen_weak, rounds);
	litmus(sb_fenced, sb_verdict, "store buffering with MFENCE");
	litmus(sb_locked, sb_verdict, "store buffering with XCHG");
	litmus(sb_split_locked, sb_verdict, "store buffering with a split lock");
	litmus(lb, lb_verdict, "load buffering");
	litmus(iriw, iriw_verdict, "independent reads of independent writes");
	litmus(wrc, wrc_verdict, "write to read causality");
	X = 0;
	bad = 0;
	check(cpus_run(coherence_job), "coherence: all come back");
	check_eq(bad, 0, "coherence");
	whole_values();
}
