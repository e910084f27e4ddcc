// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Four processors: INIT and SIPI, identities, IPIs by destination and shorthand, NMIs, lowest
 * priority, halting and waking, locked arithmetic, TLB shoot-down, INIT of a running processor.
 * Source: Intel SDM 3A §8.4, §10.6.
 * run: -smp 4
 */
#include "timing.h"

#define CPUS 4u
#define V_HIT 0x50u
#define V_FLUSH 0x51u
#define START_PAGE 0x70u
#define STACK_BYTES 16384
#define SHARED 0xc0000000ul

typedef void (*job_fn)(unsigned cpu);

uint32_t ap_next = 1;
uint8_t ap_stacks[CPUS][STACK_BYTES] __attribute__((aligned(16)));
void ap_main(unsigned cpu);
void enter_long_mode(void);
extern uint8_t ap_start[], ap_start_end[];

asm(".pushsection .text\n"
    "	.code16\n"
    "ap_start:\n"
    "	cli\n"
    "	mov	%cs, %ax\n"
    "	mov	%ax, %ds\n"
    "	lgdtl	ap_gdt - ap_start\n"
    "	mov	%cr0, %eax\n"
    "	or	$1, %al\n"
    "	mov	%eax, %cr0\n"
    "	ljmpl	$0x30, $ap_start32\n"
    "ap_gdt:	.word 0x7f\n"
    "	.long	gdt\n"
    "ap_start_end:\n"
    "	.code32\n"
    "ap_start32:\n"
    "	mov	$0x10, %eax\n"
    "	mov	%eax, %ds\n"
    "	mov	%eax, %es\n"
    "	mov	%eax, %ss\n"
    "	mov	$1, %ebx\n"
    "	lock xadd	%ebx, ap_next\n"
    "	and	$3, %ebx\n"
    "	lea	1(%ebx), %esp\n"
    "	shl	$14, %esp\n"
    "	add	$ap_stacks, %esp\n"
    "	call	enter_long_mode\n"
    "	ljmp	$0x08, $ap_start64\n"
    "	.code64\n"
    "ap_start64:\n"
    "	mov	$0x10, %eax\n"
    "	mov	%eax, %ds\n"
    "	mov	%eax, %es\n"
    "	mov	%eax, %ss\n"
    "	mov	%ebx, %edi\n"
    "	call	ap_main\n"
    "1:	cli\n"
    "	hlt\n"
    "	jmp	1b\n"
    ".popsection\n");

/* By local APIC ID, which is 0 to 3 here. */
static volatile unsigned started, hits[CPUS], nmis[CPUS], woken[CPUS], beats[CPUS], flushed;
static volatile unsigned ids[CPUS], seen[CPUS], boots[CPUS], bsp_bit[CPUS];
static volatile unsigned generation, done;
static volatile job_fn job;

static unsigned my_id(void)
{
	return apic_read(0x20) >> 24 & (CPUS - 1);
}

static void on_hit(struct frame *f)
{
	(void)f;
	hits[my_id()]++;
	apic_eoi();
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmis[my_id()]++;
}

static void on_flush(struct frame *f)
{
	(void)f;
	invlpg(SHARED);
	seen[my_id()] = *(volatile unsigned *)SHARED;
	__atomic_fetch_add(&flushed, 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

void ap_main(unsigned cpu)
{
	unsigned my_generation = __atomic_load_n(&generation, __ATOMIC_SEQ_CST), id;

	lidt(idt, sizeof(idt) - 1);
	apic_enable();
	id = my_id();
	ids[id] = apic_read(0x20) >> 24;
	bsp_bit[id] = rdmsr(0x1b) >> 8 & 1;
	boots[id]++;
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	sti();
	for (;;) {
		while (generation == my_generation) {
			beats[id]++;
			asm volatile("pause");
		}
		my_generation = generation;
		job(cpu);
		__atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
	}
}

static void ipi_to(unsigned id, unsigned low)
{
	apic_write(0x310, id << 24);
	apic_write(0x300, low);
	while (apic_read(0x300) & 0x1000)
		;
}

static void start_job(job_fn fn)
{
	job = fn;
	done = 0;
	__atomic_fetch_add(&generation, 1, __ATOMIC_SEQ_CST);
}

static bool wait_done(void)
{
	return wait_count(&done, CPUS - 1, 20000);
}

static void clear(volatile unsigned *p)
{
	for (unsigned i = 0; i < CPUS; i++)
		p[i] = 0;
}

static bool others_are(volatile unsigned *p, unsigned want)
{
	for (unsigned i = 1; i < CPUS; i++)
		if (p[i] != want)
			return false;
	return true;
}

/* All others have `want`, soon. */
static bool others_get(volatile unsigned *p, unsigned want)
{
	uint64_t end = usec() + 10000000;

	while (!others_are(p, want))
		if (usec() > end) {
			print("  got %u %u %u\n", p[1], p[2], p[3]);
			return false;
		}
	return true;
}

static bool start(void)
{
	memcpy((void *)(START_PAGE << 12), ap_start, (size_t)(ap_start_end - ap_start));
	ipi_to(0, 0xc4500); /* INIT to all but self */
	wait_us(10000);
	check_eq(started, 0, "INIT alone starts nobody");
	ipi_to(0, 0xc4600 | START_PAGE);
	wait_us(200);
	if (!wait_count(&started, CPUS - 1, 10000))
		ipi_to(0, 0xc4600 | START_PAGE);
	if (!check(wait_count(&started, CPUS - 1, 10000), "SIPI starts three processors"))
		return false;
	for (unsigned i = 1; i < CPUS; i++)
		check_eq(ids[i], i, "processor %u says its APIC ID", i);
	check(others_are(boots, 1), "each started once");
	check(others_are(bsp_bit, 0), "none of them is the bootstrap processor");
	ipi_to(0, 0xc4600 | START_PAGE);
	wait_us(20000);
	check_eq(started, CPUS - 1, "SIPI to running processors is ignored");
	return true;
}

static void ipis(void)
{
	for (unsigned i = 1; i < CPUS; i++) {
		clear(hits);
		ipi_to(i, V_HIT);
		wait_count(&hits[i], 1, 10000);
		wait_us(2000);
		for (unsigned k = 0; k < CPUS; k++)
			if (hits[k] != (k == i))
				break;
			else if (k == CPUS - 1)
				check(true, "an IPI to processor %u and no other", i);
		if (hits[0] + hits[1] + hits[2] + hits[3] != 1 || !hits[i])
			check(false, "an IPI to processor %u and no other", i);
	}
	clear(hits);
	ipi_to(0, 0xc0000 | V_HIT);
	check(others_get(hits, 1), "all but self");
	sti();
	asm volatile("nop; nop");
	cli();
	check_eq(hits[0], 0, "all but self: not self");
	ipi_to(0, 0x80000 | V_HIT);
	check(others_get(hits, 2), "all including self: the others");
	check(wait_irqs(&hits[0], 1, 5000), "all including self: self");
	ipi_to(0xff, V_HIT);
	check(others_get(hits, 3), "broadcast destination");
	wait_irqs(&hits[0], 2, 5000);
	clear(nmis);
	ipi_to(2, 0x400);
	check(wait_count(&nmis[2], 1, 10000), "NMI to one");
	wait_us(5000);
	check_eq(nmis[0] + nmis[1] + nmis[3], 0, "NMI to no other");
	ipi_to(0, 0xc0400);
	wait_count(&nmis[2], 2, 10000);
	wait_count(&nmis[1], 1, 10000);
	wait_count(&nmis[3], 1, 10000);
	check_eq(nmis[1] << 8 | nmis[2] << 4 | nmis[3], 0x121, "NMI to all but self");
	check_eq(nmis[0], 0, "NMI to all but self: not self");
}

static void logical_job(unsigned cpu)
{
	(void)cpu;
	apic_write(0xe0, 0xffffffff);
	apic_write(0xd0, 0x01000000u << my_id());
}

static void logical(void)
{
	unsigned total;

	logical_job(0);
	start_job(logical_job);
	check(wait_done(), "logical IDs are set");
	clear(hits);
	ipi_to(0x0a, 0x800 | V_HIT);
	wait_count(&hits[1], 1, 10000);
	wait_count(&hits[3], 1, 10000);
	wait_us(2000);
	check_eq(hits[0] << 12 | hits[1] << 8 | hits[2] << 4 | hits[3], 0x101,
		 "a logical IPI reaches those in its mask");
	clear(hits);
	for (int i = 0; i < 30; i++) {
		unsigned before = hits[1] + hits[2] + hits[3];

		ipi_to(0x0e, 0x900 | V_HIT); /* lowest priority */
		for (uint64_t end = usec() + 5000000;
		     hits[1] + hits[2] + hits[3] == before && usec() < end;)
			;
	}
	total = hits[1] + hits[2] + hits[3];
	check_eq(total, 30, "lowest priority: each goes to one processor");
}

static void halt_job(unsigned cpu)
{
	unsigned id = my_id();

	(void)cpu;
	for (int i = 0; i < 20; i++) {
		unsigned before;

		cli();
		before = hits[id];
		woken[id]++; /* about to halt for the n-th time */
		while (hits[id] == before)
			asm volatile("sti; hlt; cli" ::: "memory");
		sti();
	}
}

static void halting(void)
{
	bool only = true, all = true;

	clear(hits);
	clear(woken);
	start_job(halt_job);
	check(others_get(woken, 1), "all are about to halt");
	wait_us(50000);
	check_eq(hits[1] + hits[2] + hits[3], 0, "and sleep");
	for (int i = 0; i < 10; i++) {
		ipi_to(2, V_HIT);
		all &= wait_count(&woken[2], 2 + (unsigned)i, 10000);
		only &= woken[1] == 1 && woken[3] == 1;
	}
	check(all, "an IPI wakes one ten times");
	check(only, "and no other");
	for (unsigned i = 0; i < 9; i++) {
		ipi_to(0, 0xc0000 | V_HIT);
		all &= wait_count(&woken[1], 2 + i, 10000) && wait_count(&woken[2], 12 + i, 10000) &&
		       wait_count(&woken[3], 2 + i, 10000);
	}
	check(all, "an IPI to all but self wakes all");
	for (int i = 0; i < 1000 && done < CPUS - 1; i++) {
		ipi_to(0, 0xc0000 | V_HIT);
		wait_us(1000);
	}
	check(wait_done(), "they go on");
}

static volatile unsigned counter, locked_counter, bits, cmpx;
static volatile unsigned lock;
#define ROUNDS 20000u

static void count_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned one = 1, old;

		asm volatile("lock xadd %0, %1" : "+r"(one), "+m"(counter)::"memory");
		asm volatile("lock btcl $5, %0" : "+m"(bits)::"memory");
		do {
			old = cmpx;
			asm volatile("lock cmpxchg %2, %1"
				     : "+a"(old), "+m"(cmpx)
				     : "r"(old + 1)
				     : "memory", "cc");
		} while (cmpx == old && false);
		if (i % 16)
			continue;
		for (old = 1; old;) { /* a spinlock around plain arithmetic */
			asm volatile("xchg %0, %1" : "+r"(old), "+m"(lock)::"memory");
			if (old)
				asm volatile("pause");
		}
		locked_counter = locked_counter + 1;
		asm volatile("" ::: "memory");
		lock = 0;
	}
}

static void counting(void)
{
	start_job(count_job);
	count_job(0);
	check(wait_done(), "all have counted");
	check_eq(counter, CPUS * ROUNDS, "lock xadd loses nothing");
	check_eq(locked_counter, CPUS * ROUNDS / 16, "a spinlock by xchg protects");
	check_eq(bits, 0, "lock btc an even number of times");
	check(cmpx > ROUNDS / 2 && cmpx <= CPUS * ROUNDS, "lock cmpxchg");
}

static void touch_job(unsigned cpu)
{
	(void)cpu;
	seen[my_id()] = *(volatile unsigned *)SHARED;
}

static void shoot_down(void)
{
	uint64_t *pt = alloc_pages(1, 4096);
	unsigned *page[2] = {alloc_pages(1, 4096), alloc_pages(1, 4096)};
	bool good = true, answered = true;

	page[0][0] = 0x1000;
	page[1][0] = 0x2000;
	pt[0] = (uint64_t)page[0] | 3;
	boot_pd[3 * 512] = (uint64_t)pt | 3;
	flush_tlb();
	start_job(touch_job);
	wait_done();
	/* The large page was never used by them: no stale entry can be there. */
	check(others_are(seen, 0x1000), "all see the page");
	for (unsigned i = 1; i <= 200 && answered; i++) {
		pt[0] = (uint64_t)page[i & 1] | 3;
		invlpg(SHARED);
		flushed = 0;
		ipi_to(0, 0xc0000 | V_FLUSH);
		answered = wait_count(&flushed, CPUS - 1, 10000);
		good &= others_are(seen, page[i & 1][0]);
	}
	check(answered, "TLB shoot-down: all answer, 200 times");
	check(good, "TLB shoot-down: all see the other page");
}

/* The time-stamp counters: nobody may read less than another one read before. */
static volatile uint64_t last_tsc;
static volatile unsigned warps, reads;

static void tsc_job(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < 5000; i++) {
		unsigned taken;
		uint64_t now;

		for (taken = 1; taken;) {
			asm volatile("xchg %0, %1" : "+r"(taken), "+m"(lock)::"memory");
			if (taken)
				asm volatile("pause");
		}
		now = rdtsc();
		if (now < last_tsc)
			warps++;
		last_tsc = now;
		reads++;
		asm volatile("" ::: "memory");
		lock = 0;
	}
}

static void time_stamps(void)
{
	start_job(tsc_job);
	tsc_job(0);
	check(wait_done(), "all have read their time-stamp counters");
	check_eq(reads, CPUS * 5000, "every time");
	check_eq(warps, 0, "none is behind another");
}

static void io_entry(unsigned pin, unsigned dest, uint32_t low)
{
	volatile uint32_t *sel = (volatile uint32_t *)0xfec00000, *win = sel + 4;

	*sel = 0x11 + 2 * pin;
	*win = dest << 24;
	*sel = 0x10 + 2 * pin;
	*win = low;
}

/* The 8254's interrupts at one processor after the other. */
static void device_interrupts(void)
{
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	for (unsigned i = 1; i < CPUS; i++) {
		unsigned others;

		clear(hits);
		io_entry(2, i, V_HIT);
		check(wait_count(&hits[i], 3, 10000), "the timer interrupts processor %u", i);
		others = hits[0] + hits[1] + hits[2] + hits[3] - hits[i];
		io_entry(2, i, 0x10000);
		wait_us(20000);
		check_eq(others, 0, "and no other");
	}
	outb(0x43, 0x30);
}

static void init_running(void)
{
	unsigned b, n;

	ipi_to(3, 0x4500);
	wait_us(20000);
	b = beats[3];
	wait_us(50000);
	check_eq(beats[3], b, "INIT stops a running processor");
	check(beats[1] != 0, "others run");
	clear(hits);
	ipi_to(3, V_HIT);
	wait_us(20000);
	check_eq(hits[3], 0, "it takes no interrupt");
	ap_next = 3; /* its stack again */
	if (!qemu_lacks("the order of SIPI and INIT")) {
		ipi_to(3, 0x4600 | START_PAGE);
		ipi_to(3, 0x4500);
		wait_us(20000);
		b = beats[3];
		wait_us(50000);
		check_eq(beats[3], b, "INIT behind SIPI stops it again");
		ap_next = 3;
	}
	n = started;
	b = boots[3];
	ipi_to(3, 0x4600 | START_PAGE);
	check(wait_count(&started, n + 1, 10000), "SIPI starts it anew");
	check_eq(boots[3], b + 1, "it is the same one");
	ipi_to(3, V_HIT);
	check(wait_count(&hits[3], 1, 10000), "and takes interrupts");
}

void guest_test(void)
{
	set_handler(V_HIT, on_hit);
	set_handler(V_FLUSH, on_flush);
	set_handler(NMI, on_nmi);
	apic_enable();
	check_eq(rdmsr(0x1b) >> 8 & 1, 1, "this is the bootstrap processor");
	if (!start())
		return;
	ipis();
	logical();
	halting();
	counting();
	shoot_down();
	time_stamps();
	device_interrupts();
	init_running();
}
