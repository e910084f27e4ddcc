// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast the host's time-stamp counter goes: as the kernel says to those who may ask, else as measured since
 * the program began.
 * Source: perf_event_open(2), "time_mult, time_shift"; Intel SDM vol. 3B §18.17. Threads: main.
 */
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "x86/cpuid.h"
#include "x86/cpuid_int.h"

#define MEASURE_NS 4000000u
/* What a counter may be: others are a kernel's mistake, and are measured. */
#define HZ_MIN 100000000ull
#define HZ_MAX 20000000000ull

struct tsc_point {
	uint64_t tsc, ns;
};

/* When the program began; written once. */
static struct tsc_point began;

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* One point of (TSC, CLOCK_MONOTONIC): of a few tries, the one read fastest. */
static struct tsc_point point(void)
{
	struct tsc_point p = {0};
	uint64_t best = ~0ull;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = rdtsc(), now = clock_mono_ns(), after = rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		p = (struct tsc_point){before + best / 2, now};
	}
	return p;
}

void x86_tsc_mark(void)
{
	began = point();
}

/* From the page of a counter that counts nothing; 0: this user may have none, or the kernel does not say. */
static uint64_t kernels_word(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	const struct perf_event_mmap_page *page;
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t hz = 0;
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return 0;
	page = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	/* A nanosecond is so many counts: 2^shift / mult. */
	if (page != MAP_FAILED) {
		if (page->cap_user_time && page->time_mult && page->time_shift < 32)
			hz = mul_div_u64(NS_PER_SEC, 1ull << page->time_shift, page->time_mult);
		munmap((void *)(uintptr_t)page, bytes);
	}
	close(fd);
	return hz >= HZ_MIN && hz <= HZ_MAX ? hz : 0;
}

uint64_t cpuid_measure_tsc(void)
{
	struct tsc_point first = began, now = point();
	uint64_t hz = kernels_word();

	if (hz)
		return hz;
	if (!first.ns)
		first = now;
	while (now.ns - first.ns < MEASURE_NS)
		now = point();
	return mul_div_u64(now.tsc - first.tsc, NS_PER_SEC, now.ns - first.ns);
}
