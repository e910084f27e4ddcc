// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that is touched ahead. Run: make t T=engine/ahead */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <cmocka.h>

#include "engine/soft/ahead.h"
#include "engine/soft/codemem.h"
#include "mem/gpa.h"

#define BYTES ((size_t)4 << 20)

static struct soft_ahead a;
static uint8_t *rw, *rx;
static pthread_t thread;

static void *run(void *arg)
{
	soft_ahead_run(arg);
	return NULL;
}

/* Can it be done on this kernel? Linux 5.14. */
static bool host_can(void)
{
	void *p =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can = madvise(p, PAGE_BYTES, 23) == 0; /* MADV_POPULATE_WRITE */

	munmap(p, PAGE_BYTES);
	return can;
}

static int set_up(void **state)
{
	memset(&a, 0, sizeof(a));
	soft_ahead_init(&a);
	if (soft_code_map(BYTES, &rw, &rx))
		return -1;
	soft_ahead_map(&a, AHEAD_HOT, rw, rx);
	return pthread_create(&thread, NULL, run, &a);
}

static int tear_down(void **state)
{
	soft_ahead_stop(&a);
	pthread_join(thread, NULL);
	soft_ahead_destroy(&a);
	soft_code_unmap(BYTES, rw, rx);
	return 0;
}

/* Pages at `p` whose memory is there. */
static size_t resident(const uint8_t *p)
{
	static unsigned char there[BYTES / PAGE_BYTES];
	size_t n = 0;

	assert_int_equal(mincore((void *)(uintptr_t)p, BYTES, there), 0);
	for (size_t i = 0; i < BYTES / PAGE_BYTES; i++)
		n += there[i] & 1;
	return n;
}

static void until_resident(size_t pages)
{
	for (unsigned ms = 0; resident(rw) < pages && ms < 20000; ms++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(resident(rw), pages);
	assert_int_equal(resident(rx), pages);
}

static void region_when_it_is_used_expect_as_much_again_ahead_and_no_more(void **state)
{
	if (!host_can())
		skip();
	soft_ahead_begin(&a, AHEAD_HOT, 0, BYTES);
	soft_ahead_used(&a, AHEAD_HOT, 100);
	until_resident(AHEAD_LEAST / PAGE_BYTES);
	/* Enough for now. */
	soft_ahead_used(&a, AHEAD_HOT, AHEAD_LEAST / 4);
	assert_int_equal(a.region[AHEAD_HOT].to, AHEAD_LEAST);
	soft_ahead_used(&a, AHEAD_HOT, AHEAD_LEAST * 2);
	until_resident(AHEAD_LEAST * 4 / PAGE_BYTES);
	soft_ahead_used(&a, AHEAD_HOT, (size_t)2 << 20);
	until_resident((((size_t)2 << 20) + AHEAD_MOST) / PAGE_BYTES);
}

static void region_when_it_ends_expect_nothing_behind_it(void **state)
{
	if (!host_can())
		skip();
	soft_ahead_begin(&a, AHEAD_HOT, 0, (size_t)1 << 20);
	soft_ahead_used(&a, AHEAD_HOT, ((size_t)1 << 20) - 8);
	until_resident(((size_t)1 << 20) / PAGE_BYTES);
	soft_ahead_begin(&a, AHEAD_HOT, (size_t)2 << 20, ((size_t)2 << 20) + 3 * PAGE_BYTES + 1);
	soft_ahead_used(&a, AHEAD_HOT, ((size_t)2 << 20) + PAGE_BYTES);
	until_resident(((size_t)1 << 20) / PAGE_BYTES + 3);
}

static void thread_when_asked_expect_it_ends(void **state)
{
	soft_ahead_stop(&a);
	pthread_join(thread, NULL);
	/* Nobody touches anything now, and whoever fills the region does not mind. */
	soft_ahead_begin(&a, AHEAD_HOT, 0, BYTES);
	soft_ahead_used(&a, AHEAD_HOT, (size_t)1 << 20);
	assert_int_equal(resident(rw), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			region_when_it_is_used_expect_as_much_again_ahead_and_no_more, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(region_when_it_ends_expect_nothing_behind_it,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(thread_when_asked_expect_it_ends, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
