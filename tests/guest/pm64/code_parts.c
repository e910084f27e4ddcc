// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * More code than a translator with little memory keeps, so that what was made of it is dropped while other
 * processors run it: chains of calls, code that all run, code of each one's own that is written
 * again, and a loop that is always there.
 * Source: Intel SDM 3A §8.1.3.
 * run: -smp 3 -accel soft,tb-size=4
 */
#include "cpus64.h"

#define LINKS 32u   /* functions in a chain */
#define CHAINS 512u /* of all */
#define OWN 96u	    /* of each one's own */
#define TURNS 3u
#define STEP 32u /* bytes of a function */

static uint8_t *common, *own[CPUS_MAX];
static unsigned bad, turns_done;

/* lea k(%rax), %eax; call next; ret: the last of a chain calls nobody. */
static void put_function(uint8_t *p, uint32_t k, bool last)
{
	p[0] = 0x8d;
	p[1] = 0x80;
	*(volatile uint32_t *)(p + 2) = k;
	if (last) {
		p[6] = 0xc3;
		return;
	}
	p[6] = 0xe8;
	*(volatile uint32_t *)(p + 7) = STEP - 11;
	p[11] = 0xc3;
}

static void put_chain(uint8_t *p, uint32_t k)
{
	for (unsigned i = 0; i < LINKS; i++)
		put_function(p + STEP * i, k + i, i + 1 == LINKS);
}

static uint32_t chain_of(const uint8_t *from, unsigned i)
{
	word ax = 7;

	asm volatile("call *%1" : "+a"(ax) : "r"(from + (word)i * LINKS * STEP) : "memory", "cc");
	return (uint32_t)ax;
}

static uint32_t expected(uint32_t k)
{
	return 7 + LINKS * k + LINKS * (LINKS - 1) / 2;
}

static void count_bad(bool wrong)
{
	if (wrong)
		__atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
}

/* Hot all the time, with a branch back. */
static void loop(void)
{
	word n = 1000, sum = 0;

	asm volatile("1: add %0, %1\n dec %0\n jnz 1b" : "+r"(n), "+r"(sum)::"cc");
	count_bad(sum != 500500);
}

static void job(unsigned cpu)
{
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		for (unsigned i = 0; i < OWN; i++)
			put_chain(own[cpu] + i * LINKS * STEP, turn * i);
		for (unsigned i = 0; i < CHAINS; i++) {
			unsigned at = (i + cpu * CHAINS / 2) % CHAINS;

			count_bad(chain_of(common, at) != expected(at));
			count_bad(chain_of(own[cpu], i % OWN) != expected(turn * (i % OWN)));
			if (i % 8 == 0)
				loop();
		}
		__atomic_fetch_add(&turns_done, 1, __ATOMIC_SEQ_CST);
	}
}

void guest_test(void)
{
	unsigned pages = CHAINS * LINKS * STEP / 4096;

	check(cpus_start(3), "three processors");
	common = alloc_pages(pages, 4096);
	for (unsigned i = 0; i < CHAINS; i++)
		put_chain(common + i * LINKS * STEP, i);
	for (unsigned i = 0; i < cpus_count; i++)
		own[i] = alloc_pages(OWN * LINKS * STEP / 4096, 4096);
	check(cpus_run(job), "all come back");
	check_eq(turns_done, TURNS * cpus_count, "each of them did its turns");
	check_eq(bad, 0, "what they ran was right");
}
