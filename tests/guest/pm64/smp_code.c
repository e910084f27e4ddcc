// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code that one processor changes while others run it, with and without the handshake of Intel
 * SDM 3A §8.1.3; more code than any cache holds, made on all processors at once; page tables changed
 * under running code, with shoot-down by interrupts (§4.10.5).
 * run: -smp 4
 */
#include "cpus64.h"

#define V_FLUSH 0x51u
static unsigned rounds = 1500u;
static unsigned shots = 300u;
#define WINDOW 0xc0000000ul /* a large page of the identity map that the tests replace */

typedef word (*code_fn)(void);
static uint8_t *code;
static volatile unsigned version, last, quit;
static unsigned acks, bad;

static void serialize(void)
{
	cpuid(0, 0);
}

/* mov $v, %eax; ret */
static void put_return(uint8_t *p, uint32_t v)
{
	p[0] = 0xb8;
	*(volatile uint32_t *)(p + 1) = v;
	p[5] = 0xc3;
}

static word call(const void *p)
{
	asm volatile("" ::: "memory");
	return ((code_fn)(uintptr_t)p)();
}

static void count_bad(bool wrong)
{
	if (wrong)
		__atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
}

/* ---- With the handshake --------------------------------------------------------------------- */

static void (*change)(uint32_t v);
static unsigned entry_off;

static void handshake_job(unsigned cpu)
{
	for (unsigned i = 1; i <= rounds; i++) {
		if (cpu == 0) {
			change(i);
			version = i;
			while (__atomic_load_n(&acks, __ATOMIC_SEQ_CST) != i * (cpus_count - 1))
				cpu_relax();
		} else {
			while (version != i)
				cpu_relax();
			serialize();
			count_bad(call(code + entry_off) != i);
			count_bad(call(code + entry_off) != i);
			__atomic_fetch_add(&acks, 1, __ATOMIC_SEQ_CST);
		}
	}
}

static void by_store(uint32_t v)
{
	*(volatile uint32_t *)(code + entry_off + 1) = v;
}

static void by_xchg(uint32_t v)
{
	asm volatile("xchg %0, %1" : "+r"(v), "+m"(*(uint32_t *)(code + entry_off + 1))::"memory");
}

static void by_xadd(uint32_t v)
{
	uint32_t one = 1;

	(void)v;
	asm volatile("lock xadd %0, %1"
		     : "+r"(one), "+m"(*(uint32_t *)(code + entry_off + 1))::"memory");
}

static void by_movs(uint32_t v)
{
	uint8_t insn[6];
	void *d = code + entry_off, *s = insn;
	word n = sizeof(insn);

	put_return(insn, v);
	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
}

static void by_sse(uint32_t v)
{
	uint8_t insn[16] __attribute__((aligned(16)));

	put_return(insn, v);
	asm volatile("movdqa %1, %%xmm0\n\tmovups %%xmm0, %0"
		     : "=m"(*(uint8_t(*)[16])(code + entry_off))
		     : "m"(insn)
		     : "memory");
}

/* The whole page is written, so that it is data for a while. */
static void by_page(uint32_t v)
{
	memset((void *)((uintptr_t)(code + entry_off) & ~0xffful), 0x90, 4096);
	put_return(code + entry_off, v);
}

static void handshakes(void)
{
	static const struct {
		const char *name;
		void (*change)(uint32_t v);
		unsigned off;
	} c[] = {
		{"a store", by_store, 64},
		{"a store over a line", by_store, 60},
		{"xchg", by_xchg, 64},
		{"xchg over a line", by_xchg, 61},
		{"xadd", by_xadd, 64},
		{"rep movsb", by_movs, 100},
		{"movups", by_sse, 200},
		{"the whole page", by_page, 300},
		{"a store over a page", by_store, 4094},
		{"xadd over a page", by_xadd, 4093},
		{"rep movsb over a page", by_movs, 4092},
	};

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		bad = acks = version = 0;
		change = c[i].change;
		entry_off = c[i].off;
		put_return(code + entry_off, 0);
		check(cpus_run(handshake_job), "changed by %s: all come back", c[i].name);
		check_eq(bad, 0, "changed by %s: the new code runs", c[i].name);
	}
}

/* ---- Without: old or new until the handshake, new after it ------------------------------------- */

/*
 * The writer goes on writing while the others decode, so some stores are on their way when the page
 * becomes code. `mode` 0: stores; 1: locked additions; 2: to a page that is data in between.
 */
static unsigned mode;

static void racing_job(unsigned cpu)
{
	for (unsigned i = 1; i <= rounds; i++) {
		uint8_t *p = code + (i % 8) * 4096 + (i * 64 & 0xfff);
		unsigned base = i * 256;

		if (cpu == 0) {
			put_return(p, base);
			version = i;
			for (unsigned k = 1; k < 100; k++) {
				uint32_t one = 1;

				if (mode == 1)
					asm volatile("lock xadd %0, %1"
						     : "+r"(one),
						       "+m"(*(uint32_t *)(p + 1))::"memory");
				else
					*(volatile uint32_t *)(p + 1) = base + k;
			}
			last = i;
			while (__atomic_load_n(&acks, __ATOMIC_SEQ_CST) != i * (cpus_count - 1))
				cpu_relax();
			if (mode == 2)
				memset((void *)((uintptr_t)p & ~0xffful), 0xcc, 4096);
		} else {
			while (version != i)
				cpu_relax();
			serialize();
			while (last != i) {
				word v = call(p) - base;

				count_bad(v >= 100);
			}
			serialize();
			count_bad(call(p) != base + 99);
			__atomic_fetch_add(&acks, 1, __ATOMIC_SEQ_CST);
		}
	}
}

static void races(void)
{
	static const char *const names[] = {"stores", "locked additions", "data and code by turns"};

	for (mode = 0; mode < 3; mode++) {
		bad = acks = version = last = 0;
		check(cpus_run(racing_job), "%s while others run it: all come back", names[mode]);
		check_eq(bad, 0, "%s while others run it: the last one is seen", names[mode]);
	}
}

/* ---- A loop that only a change of its code ends ------------------------------------------------- */

static void loop_job(unsigned cpu)
{
	uint8_t *p = code + 128;

	cli();
	for (unsigned i = 0; i < 200; i++) {
		if (cpu == 0) {
			p[0] = 0xff; /* 1: inc %eax; jmp 1b; ret */
			p[1] = 0xc0;
			p[2] = 0xeb;
			p[3] = 0xfc;
			p[4] = 0xc3;
		}
		cpus_barrier();
		if (cpu == 0) {
			while (__atomic_load_n(&acks, __ATOMIC_SEQ_CST) != cpus_count - 1)
				cpu_relax();
			for (unsigned k = 0; k < i * 20; k++)
				asm volatile("");
			*(volatile uint8_t *)(p + 3) = 0; /* jmp to what follows */
		} else {
			__atomic_fetch_add(&acks, 1, __ATOMIC_SEQ_CST);
			call(p);
		}
		cpus_barrier();
		acks = 0;
	}
	if (cpu)
		sti();
}

/* ---- Code that gets hot in a page whose last writer waits for it --------------------------------- */

/* The writer takes no interrupt and does nothing else, until the others have run the code. */
static void waiting_job(unsigned cpu)
{
	for (unsigned i = 0; i < 96; i++) {
		uint8_t *p = code + 32 * i;
		uint32_t *data = (uint32_t *)(code + 4000);

		if (cpu == 0) { /* decoded, and cold */
			put_return(p, i);
			count_bad(call(p) != i);
			count_bad(call(p) != i);
		}
		cpus_barrier();
		if (cpu == 1) {
			uint32_t one = 1;
			void *d = data, *s = &one;
			word n = 4;

			cli();
			if (i % 3 == 0)
				asm volatile("lock xadd %0, %1" : "+r"(one), "+m"(*data)::"memory");
			else if (i % 3 == 1)
				asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
			else
				asm volatile("movups %%xmm0, %0" : "=m"(*(uint8_t(*)[16])data));
			version = i + 1;
			while (acks != i + 1)
				asm volatile("" ::: "memory");
			sti();
		} else if (cpu == 0) {
			while (version != i + 1)
				cpu_relax();
			for (unsigned k = 0; k < 50; k++)
				count_bad(call(p) != i);
			__atomic_store_n(&acks, i + 1, __ATOMIC_SEQ_CST);
		}
		cpus_barrier();
	}
}

static void waiting(void)
{
	bad = acks = version = 0;
	check(cpus_run(waiting_job),
	      "code gets hot while who wrote beside it waits: all come back");
	check_eq(bad, 0, "code gets hot while who wrote beside it waits: it is right");
}

/* ---- Code beside data that is written all the time ------------------------------------------- */

static void beside_job(unsigned cpu)
{
	volatile uint32_t *data = (volatile uint32_t *)(code + 2048);

	if (cpu == 0) {
		while (!quit)
			data[1]++;
		return;
	}
	for (unsigned i = 0; i < rounds; i++) {
		uint8_t *p = code + 512 * (cpu - 1) + (i % 64) * 8;

		put_return(p, i);
		count_bad(call(p) != i);
		__atomic_fetch_add(&data[2], 1, __ATOMIC_SEQ_CST);
	}
	if (__atomic_add_fetch(&acks, 1, __ATOMIC_SEQ_CST) == cpus_count - 1)
		quit = 1;
}

static void beside_data(void)
{
	bad = acks = quit = 0;
	memset(code, 0, 4096);
	check(cpus_run(beside_job), "code beside busy data: all come back");
	check_eq(bad, 0, "code beside busy data is right");
	check_eq(((uint32_t *)(code + 2048))[2], 3 * rounds, "and so is the data");
}

/* ---- More code than a cache holds --------------------------------------------------------------- */

#define FUNCTIONS 16000u
static uint8_t *forest;

static void forest_job(unsigned cpu)
{
	uint8_t *mine = forest + cpu * FUNCTIONS * 16;

	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned i = 0; i < FUNCTIONS; i++)
			put_return(mine + 16 * i, i + turn);
		for (unsigned i = 0; i < FUNCTIONS; i++) {
			count_bad(call(mine + 16 * i) != i + turn);
			/* a split lock by the way, which also stops the others */
			if (i % 256 == 0)
				asm volatile("lock incl %0" : "+m"(*(uint32_t *)(code + 4095)));
		}
	}
}

static void much_code(void)
{
	bad = 0;
	*(uint32_t *)(code + 4095) = 0;
	check(cpus_run(forest_job), "much code: all come back");
	check_eq(bad, 0, "much code is right");
	check_eq(*(uint32_t *)(code + 4095), cpus_count * 2 * ((FUNCTIONS + 255) / 256),
		 "and so are split locks meanwhile");
}

/* ---- Page tables ---------------------------------------------------------------------------- */

static uint64_t *pt;
static uint32_t *page[2];
static unsigned flushed;
static unsigned calls;

static void on_flush(struct frame *f)
{
	(void)f;
	invlpg(WINDOW);
	__atomic_fetch_add(&flushed, 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

/*
 * The others write to and run code in a page; the first gives them another page and, when all have
 * answered, nobody may write to or run the old one.
 */
static void shoot_job(unsigned cpu)
{
	volatile uint32_t *data = (volatile uint32_t *)WINDOW;
	unsigned n = 0;

	if (cpu) {
		while (!quit) {
			data[16 * cpu]++;
			count_bad((data[1] & 0xff) !=
				  0xb8); /* a page that was taken away says so */
			n += call((void *)(WINDOW + 4)) & 1;
			cpu_relax();
		}
		__atomic_fetch_add(&calls, n, __ATOMIC_SEQ_CST);
		return;
	}
	for (unsigned i = 1; i <= shots; i++) {
		uint32_t *old = page[~i & 1], *next = page[i & 1], before[CPUS_MAX];

		put_return((uint8_t *)next + 4, i & 1);
		pt[0] = (uint64_t)next | 3;
		flushed = 0;
		cpus_ipi_others(V_FLUSH);
		while (__atomic_load_n(&flushed, __ATOMIC_SEQ_CST) != cpus_count - 1)
			cpu_relax();
		for (unsigned k = 1; k < cpus_count; k++)
			before[k] = old[16 * k];
		old[1] = 0; /* whoever still runs it crashes */
		for (unsigned k = 0; k < 50; k++)
			cpu_relax();
		for (unsigned k = 1; k < cpus_count; k++)
			count_bad(before[k] != old[16 * k]);
	}
	quit = 1;
}

static void shoot_down(void)
{
	pt = alloc_pages(1, 4096);
	page[0] = alloc_pages(1, 4096);
	page[1] = alloc_pages(1, 4096);
	put_return((uint8_t *)page[0] + 4, 0);
	pt[0] = (uint64_t)page[0] | 3;
	boot_pd[3 * 512] = (uint64_t)pt | 3;
	flush_tlb();
	set_handler(V_FLUSH, on_flush);
	bad = quit = 0;
	check(cpus_run(shoot_job), "shoot-down: all come back");
	check_eq(bad, 0, "shoot-down: nobody uses a page that was taken away");
	check(calls > 0, "shoot-down: they saw both pages");
}

void guest_test(void)
{
	rounds = guest_rounds(rounds);
	shots = guest_rounds(shots);
	code = alloc_pages(8, 4096);
	forest = alloc_pages(CPUS_MAX * FUNCTIONS * 16 / 4096 + 1, 4096);
	if (!cpus_start(4))
		return;
	handshakes();
	races();
	acks = 0;
	check(cpus_run(loop_job), "a loop ends when its code is changed, 200 times");
	waiting();
	beside_data();
	much_code();
	shoot_down();
}
