// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mem_take_dirty() against a vCPU that writes meanwhile: whoever copies what it tells has all of it in the
 * end. Run: make t T=engine/write_log
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/soft/soft_int.h"
#include "sys_machine.h"

#define LOG_AT 0x800000u
#define LOG_BYTES 0x100000u
#define PAGES (LOG_BYTES >> 12)

/*
 * Two million rounds: plain, locked, SIMD and absolute stores, a string now and then, all over 256 pages.
 *
 *	mov $2000000, %ecx
 * 1:	mov %ecx, %eax
 *	imul $0x9e3779b1, %eax, %eax
 *	shr $20, %eax
 *	shl $8, %eax
 *	lea 0x800000(%rax), %edx
 *	mov %ecx, (%rdx)
 *	lock incl 4(%rdx)
 *	movd %ecx, %xmm0
 *	movups %xmm0, 16(%rdx)
 *	addl $1, 0x8f0008
 *	mov %edx, %edi
 *	test $0xff, %ecx
 *	jnz 2f
 *	mov %ecx, %ebx
 *	add $32, %edi
 *	mov %ecx, %eax
 *	mov $24, %ecx
 *	rep stosl
 *	mov %ebx, %ecx
 * 2:	dec %ecx
 *	jnz 1b
 *	hlt
 */
static const uint8_t code[] = {
	0xb9, 0x80, 0x84, 0x1e, 0x00, 0x89, 0xc8, 0x69, 0xc0, 0xb1, 0x79, 0x37, 0x9e,
	0xc1, 0xe8, 0x14, 0xc1, 0xe0, 0x08, 0x8d, 0x90, 0x00, 0x00, 0x80, 0x00, 0x89,
	0x0a, 0xf0, 0xff, 0x42, 0x04, 0x66, 0x0f, 0x6e, 0xc1, 0x0f, 0x11, 0x42, 0x10,
	0x83, 0x04, 0x25, 0x08, 0x00, 0x8f, 0x00, 0x01, 0x89, 0xd7, 0xf7, 0xc1, 0xff,
	0x00, 0x00, 0x00, 0x75, 0x10, 0x89, 0xcb, 0x83, 0xc7, 0x20, 0x89, 0xc8, 0xb9,
	0x18, 0x00, 0x00, 0x00, 0xf3, 0xab, 0x89, 0xd9, 0xff, 0xc9, 0x75, 0xb8, 0xf4,
};

static uint8_t copy[LOG_BYTES];

/* Copy what was written. How many pages that were. */
static uint64_t take(void)
{
	uint64_t bits[PAGES / 64], n = mem_take_dirty(env_mem, LOG_AT, LOG_BYTES, bits), seen = 0;

	for (unsigned i = 0; i < PAGES; i++) {
		if (!(bits[i / 64] >> (i % 64) & 1))
			continue;
		memcpy(copy + (i << 12), R + LOG_AT + (i << 12), 4096);
		seen++;
	}
	assert_int_equal(seen, n);
	return n;
}

static void *run(void *done)
{
	enum engine_exit r = engine_soft.run(env_vcpu);

	__atomic_store_n((int *)done, r == ENGINE_EXIT_HALT ? 1 : 2, __ATOMIC_RELEASE);
	return NULL;
}

static void writer_when_watched_expect_no_write_lost(void **state)
{
	pthread_t t;
	unsigned takes = 0;
	int done = 0;

	(void)state;
	alarm(200);
	assert_int_equal(soft_signals_init(NULL), 0); /* cmocka has taken the faults */
	env_long(0);
	S->cr4 |= CR4_OSFXSR;
	memset(R + LOG_AT, 0, LOG_BYTES);
	memset(copy, 0, LOG_BYTES);
	memcpy(R + A_CODE, code, sizeof(code));
	engine_soft.state_changed(env_vcpu);
	assert_int_equal(pthread_create(&t, NULL, run, &done), 0);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		takes += take() > 0;
		usleep(takes % 64 ? 50 : 2000);
	}
	pthread_join(t, NULL);
	assert_int_equal(done, 1);
	take();
	assert_memory_equal(copy, R + LOG_AT, LOG_BYTES);
	assert_int_equal(ld_le32(R + LOG_AT + 0xf0008), 2000000);
	assert_true(takes > 3);
	/* Nobody writes: nothing is told. */
	assert_int_equal(take(), 0);
	assert_int_equal(mem_write(env_mem, LOG_AT + 0x5000, code, 4), 0);
	assert_int_equal(take(), 1);
	alarm(0);
}

static int setup_s1(void **state)
{
	env_soft.tier = 1;
	return env_setup(state);
}

static int setup_s2(void **state)
{
	env_soft.tier = 2;
	return env_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"writer_when_watched_by_s1_expect_no_write_lost",
		 writer_when_watched_expect_no_write_lost, setup_s1, env_teardown, NULL},
		{"writer_when_watched_by_s2_expect_no_write_lost",
		 writer_when_watched_expect_no_write_lost, setup_s2, env_teardown, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
