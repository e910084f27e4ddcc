// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Locked instructions on four processors at once: every form, aligned, misaligned in a line, across
 * two lines and across two pages, and on a page that holds code.
 * Source: Intel SDM 3A §8.1.2.
 * run: -smp 4
 */
#include "cpus64.h"

#define ROUNDS 20000u
#define SPLIT_ROUNDS 4000u

static uint8_t *area; /* two pages */
static uint8_t *at;
static unsigned rounds;

#define P32(off) (*(volatile uint32_t *)(at + (off)))
#define P64(off) (*(volatile uint64_t *)(at + (off)))

static void add_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++)
		asm volatile("lock addl $3, %0" : "+m"(P32(0))::"memory", "cc");
}

static void inc_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++)
		asm volatile("lock incq %0" : "+m"(P64(0))::"memory", "cc");
}

static void incdec_job(unsigned cpu)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (cpu & 1)
			asm volatile("lock decw %0" : "+m"(P32(0))::"memory", "cc");
		else
			asm volatile("lock incw %0" : "+m"(P32(0))::"memory", "cc");
	}
}

static void subsbb_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) /* with the carry set: 3 */
		asm volatile("stc\n\tlock sbbl $2, %0" : "+m"(P32(0))::"memory", "cc");
}

static void xadd_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t v = 3;

		asm volatile("lock xaddl %0, %1" : "+r"(v), "+m"(P32(0))::"memory", "cc");
	}
}

static void cmpxchg_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t old = P32(0);
		bool done;

		do {
			asm volatile("lock cmpxchgl %3, %1"
				     : "+a"(old), "+m"(P32(0)), "=@ccz"(done)
				     : "r"(old + 3)
				     : "memory");
		} while (!done);
	}
}

static void cmpxchg8b_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t lo = P32(0), hi = P32(4);
		bool done;

		do { /* both halves count, the high one downwards */
			asm volatile("lock cmpxchg8b %2"
				     : "+a"(lo), "+d"(hi), "+m"(P64(0)), "=@ccz"(done)
				     : "b"(lo + 3), "c"(hi - 3)
				     : "memory");
		} while (!done);
	}
}

static void cmpxchg16b_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t lo = P64(0), hi = P64(8);
		bool done;

		do {
			asm volatile("lock cmpxchg16b %2"
				     : "+a"(lo), "+d"(hi), "+m"(P64(0)), "=@ccz"(done)
				     : "b"(lo + 3), "c"(hi - 3)
				     : "memory");
		} while (!done);
	}
}

static void btc_job(unsigned cpu)
{
	for (unsigned i = 0; i < rounds; i++) /* each its own bits: 31 and 8 … 11 */
		asm volatile("lock btcl %1, %0"
			     : "+m"(P32(0))
			     : "r"(i & 1 ? 31 : 8 + cpu)
			     : "memory", "cc");
}

static void orand_job(unsigned cpu)
{
	uint32_t bit = 0x01010101u << cpu;

	for (unsigned i = 0; i < rounds; i++) {
		asm volatile("lock orl %1, %0" : "+m"(P32(0)) : "r"(bit) : "memory", "cc");
		if ((P32(0) & bit) != bit)
			P32(8) = 1;
		asm volatile("lock andl %1, %0" : "+m"(P32(0)) : "r"(~bit) : "memory", "cc");
		asm volatile("lock xorl %1, %0" : "+m"(P32(0)) : "r"(bit) : "memory", "cc");
		asm volatile("lock xorl %1, %0" : "+m"(P32(0)) : "r"(bit) : "memory", "cc");
	}
}

static void negnot_job(unsigned cpu)
{
	if (cpu == 0)
		P32(4) = 12345;
	cpus_barrier();
	for (unsigned i = 0; i < rounds; i++) { /* an even number of each */
		asm volatile("lock notl %0" : "+m"(P32(0))::"memory", "cc");
		asm volatile("lock negl %0" : "+m"(P32(4))::"memory", "cc");
	}
}

/* A spinlock made with `bts`, another with `xchg`, around plain arithmetic. */
static void bts_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		bool taken;

		for (;;) {
			asm volatile("lock btsl $9, %0" : "+m"(P32(0)), "=@ccc"(taken)::"memory");
			if (!taken)
				break;
			cpu_relax();
		}
		P32(4) = P32(4) + 3;
		asm volatile("lock btrl $9, %0" : "+m"(P32(0))::"memory", "cc");
	}
}

static void xchg_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t one = 1;

		for (;;) {
			asm volatile("xchgl %0, %1" : "+r"(one), "+m"(P32(0))::"memory");
			if (!one)
				break;
			cpu_relax();
		}
		P32(8) = P32(8) + 3;
		asm volatile("" ::: "memory");
		P32(0) = 0;
	}
}

struct place {
	const char *name;
	unsigned off;
	unsigned rounds;
};

static const struct place places[] = {
	{"aligned", 128, ROUNDS},
	{"misaligned", 128 + 5, ROUNDS},
	{"across two lines", 128 + 61, ROUNDS},
	{"across two pages", 4096 - 3, SPLIT_ROUNDS},
};

static void (*body)(unsigned cpu);

/* All at once: a short job would be over before the next processor begins. */
static void together(unsigned cpu)
{
	cpus_barrier();
	body(cpu);
}

static void run_at(const struct place *pl, void (*job)(unsigned), const char *name)
{
	at = area + pl->off;
	rounds = pl->rounds;
	memset(area, 0, 8192);
	body = job;
	check(cpus_run(together), "%s %s: all come back", name, pl->name);
}

static void everywhere(const struct place *pl)
{
	unsigned n = pl->rounds * cpus_count;

	run_at(pl, add_job, "add");
	check_eq(P32(0), 3 * n, "lock add %s", pl->name);
	run_at(pl, inc_job, "inc");
	check_eq(P64(0), n, "lock inc %s", pl->name);
	run_at(pl, incdec_job, "inc, dec");
	check_eq(P32(0), 0, "lock inc and dec %s", pl->name);
	run_at(pl, subsbb_job, "sbb");
	check_eq(P32(0), (uint32_t) - (3 * n), "lock sbb %s", pl->name);
	run_at(pl, xadd_job, "xadd");
	check_eq(P32(0), 3 * n, "lock xadd %s", pl->name);
	run_at(pl, cmpxchg_job, "cmpxchg");
	check_eq(P32(0), 3 * n, "lock cmpxchg %s", pl->name);
	run_at(pl, cmpxchg8b_job, "cmpxchg8b");
	check_eq(P64(0), (uint64_t)(uint32_t) - (3 * n) << 32 | 3 * n, "lock cmpxchg8b %s",
		 pl->name);
	run_at(pl, btc_job, "btc");
	check_eq(P32(0), 0, "lock btc %s", pl->name);
	run_at(pl, orand_job, "or, and, xor");
	check_eq(P64(0) | P32(8), 0, "lock or, and, xor %s", pl->name);
	run_at(pl, negnot_job, "neg, not");
	check_eq(P64(0), 12345ull << 32, "lock neg and not %s", pl->name);
	run_at(pl, bts_job, "bts");
	check_eq(P32(4), 3 * n, "a lock by bts %s", pl->name);
	run_at(pl, xchg_job, "xchg");
	check_eq(P32(8), 3 * n, "a lock by xchg %s", pl->name);
}

/*
 * A double word across two pages, and its upper half alone, aligned: an update of one must not lose
 * one of the other.
 */
static void halves_job(unsigned cpu)
{
	for (unsigned i = 0; i < (cpu & 1 ? SPLIT_ROUNDS : 3 * SPLIT_ROUNDS); i++) {
		if (cpu & 1)
			asm volatile("lock incl %0" : "+m"(P32(0))::"memory", "cc");
		else
			asm volatile("lock incw %0" : "+m"(P32(2))::"memory", "cc");
	}
}

static void halves(void)
{
	static const struct place end = {"over the end of a page", 4094, 0};

	run_at(&end, halves_job, "halves");
	check_eq(P32(0), 2 * SPLIT_ROUNDS + (6 * SPLIT_ROUNDS << 16),
		 "a split lock against whole ones of a half");
}

/* The same page holds code that everybody runs. */
static void code_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < SPLIT_ROUNDS; i++) {
		((void (*)(void))(void *)area)();
		asm volatile("lock incl %0" : "+m"(P32(0))::"memory", "cc");
		asm volatile("lock incl %0" : "+m"(P32(61 - 8))::"memory", "cc");
	}
}

static void beside_code(void)
{
	memset(area, 0, 8192);
	at = area + 8;
	memcpy(area, "\xff\x05\xfa\x0f\x00\x00\xc3", 7); /* incl 4096+area (not locked); ret */
	body = code_job;
	check(cpus_run(together), "beside code: all come back");
	check_eq(P32(0), cpus_count * SPLIT_ROUNDS, "lock inc beside code");
	check_eq(P32(61 - 8), cpus_count * SPLIT_ROUNDS, "lock inc across lines beside code");
}

void guest_test(void)
{
	static const struct place aligned = {"aligned", 128, ROUNDS};

	area = alloc_pages(3, 4096);
	if (!cpus_start(4))
		return;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		everywhere(&places[i]);
	run_at(&aligned, cmpxchg16b_job, "cmpxchg16b");
	check(P64(0) == 3 * ROUNDS * cpus_count && P64(8) == (uint64_t)0 - 3 * ROUNDS * cpus_count,
	      "lock cmpxchg16b");
	halves();
	beside_code();
}
