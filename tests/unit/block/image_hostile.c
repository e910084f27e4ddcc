// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Headers and tables with bytes changed: nothing crashes, opening takes at most 1 s of processor time and
 * 64 MiB. Run: make t T=block/image_hostile; LODGE_SEED=… LODGE_COUNT=1 replays one (make check-images:
 * 1,000,000 of them).
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

#include "image_hostile.h"
#include "splitmix.h"

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* A number a table or header may hold, or rather should not. */
static uint64_t odd_number(uint64_t *rnd)
{
	static const uint64_t odd[] = {0,
				       1,
				       2,
				       0xff,
				       0x200,
				       0x1000,
				       0x4000,
				       0x10000,
				       0xffffffff,
				       0x80000000,
				       0x7fffffff,
				       1ull << 31,
				       1ull << 40,
				       1ull << 55,
				       1ull << 56,
				       1ull << 62,
				       1ull << 63,
				       ~0ull,
				       ~0ull >> 1,
				       0x00fffffffffffe00,
				       0x8000000000001000};
	uint64_t v = odd[splitmix64(rnd) % ARRAY_SIZE(odd)];

	switch (splitmix64(rnd) % 4) {
	case 0:
		return splitmix64(rnd);
	case 1:
		return v | (splitmix64(rnd) % 64) << 12;
	case 2:
		return (splitmix64(rnd) % 64) << 9 | (splitmix64(rnd) & 3) << 62;
	default:
		return v;
	}
}

static void mutate(struct hostile *h, unsigned shape, uint64_t *rnd)
{
	unsigned n = 1 + splitmix64(rnd) % 6;

	for (unsigned i = 0; i < n; i++) {
		uint64_t where = splitmix64(rnd) % 8, bytes = 1ull << splitmix64(rnd) % 4, off;
		uint8_t v[8];

		/* The header most of all; then where tables begin; then anywhere. */
		off = where < 4	  ? splitmix64(rnd) % 120
		      : where < 7 ? (splitmix64(rnd) % 24) * 512 * (shape == 1 ? 1 : 8) + splitmix64(rnd) % 96
				  : splitmix64(rnd) % h->len[shape];
		off = align_down(off, bytes);
		st_be64(v, odd_number(rnd));
		if (off + bytes <= h->len[shape] &&
		    pwrite(h->fd, v + 8 - bytes, bytes, off) != (ssize_t)bytes)
			abort();
	}
	if (!(splitmix64(rnd) % 16) && ftruncate(h->fd, splitmix64(rnd) % (h->len[shape] * 2)))
		abort();
	/* A huge file costs a hostile image nothing. */
	if (!(splitmix64(rnd) % 16) && ftruncate(h->fd, 1ull << (30 + splitmix64(rnd) % 12)))
		abort();
}

/* What became of the images of one shape. */
struct tally {
	uint64_t images;
	double slowest;
};

static void report(const struct hostile *h, const struct tally *t)
{
	for (unsigned i = 0; i < HOSTILE_SHAPES; i++)
		fprintf(stderr, "%5s, shape %2u: %8llu images, %8llu opened, the slowest %.3f s\n",
			hostile_format(i), i, (unsigned long long)t[i].images,
			(unsigned long long)h->opened[i], t[i].slowest);
}

static void images_when_damaged_expect_no_crash_and_bounds(void **state)
{
	uint64_t seed = env_u64("LODGE_SEED", (uint64_t)time(NULL) << 24);
	uint64_t count = env_u64("LODGE_COUNT", 5000);
	struct tally tally[HOSTILE_SHAPES] = {0};
	double worst = 0, before, took;
	struct hostile h = {0};
	long base;

	/* What is freed goes back at once, so that the peak is that of one image. */
	mallopt(M_MMAP_THRESHOLD, 64 << 10);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	hostile_init(&h);
	base = peak_kib();
	fprintf(stderr, "first LODGE_SEED=%llu\n", (unsigned long long)seed);
	for (uint64_t i = 0; i < count; i++, seed++) {
		uint64_t rnd = seed;
		unsigned shape = splitmix64(&rnd) % HOSTILE_SHAPES, how = splitmix64(&rnd) & 0x3ff;

		hostile_reset(&h, shape);
		mutate(&h, shape, &rnd);
		before = cpu_seconds();
		hostile_use(&h, shape, how);
		took = cpu_seconds() - before;
		worst = took > worst ? took : worst;
		tally[shape].images++;
		if (took > tally[shape].slowest)
			tally[shape].slowest = took;
		if (took > 1 || peak_kib() - base > 64 << 10)
			fail_msg("LODGE_SEED=%llu (shape %u): %.2f s, %ld KiB",
				 (unsigned long long)seed, shape, took, peak_kib() - base);
	}
	fprintf(stderr, "%llu images, the slowest %.3f s, %ld KiB at most\n",
		(unsigned long long)count, worst, peak_kib() - base);
	report(&h, tally);
	hostile_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_when_damaged_expect_no_crash_and_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
