// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * String instructions: over page ends, faults in the middle of a REP and what the registers hold
 * then, both directions, address sizes, I/O strings. Source: Intel SDM 2B REP, 1 §7.3.9.
 */
#include "paging.h"

#define VA 0x8000000000ull /* three pages: one mapped, one that comes and goes, one mapped */

static uint64_t *pt;
static uint8_t *page[3];

static void map(unsigned i, uint64_t flags)
{
	pt[i] = (uint64_t)page[i] | flags;
	invlpg(VA + i * 4096);
}

static void setup(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);

	pt = alloc_pages(1, 4096);
	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	/* Not neighbours in physical memory. */
	page[2] = alloc_pages(1, 4096);
	page[0] = alloc_pages(1, 4096);
	page[1] = alloc_pages(1, 4096);
	for (unsigned i = 0; i < 3; i++)
		map(i, 3);
}

static void fill(void)
{
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < 4096; j++)
			page[i][j] = (uint8_t)(i * 77 + j * 13 + (j >> 8));
}

/* regs: [0] = RDI, [1] = RSI, [2] = RCX, [3] = RAX; read back after the instruction. */
static word regs[5] __asm__("regs") __attribute__((used));
#define STRING(name, insn)                                                                         \
	SNIPPET(name, "push %rbx\n mov regs, %rdi\n mov regs+8, %rsi\n mov regs+16, %rcx\n"        \
		      "mov regs+24, %rax\n mov $0x80, %edx\n" insn                                 \
		      "\n mov %rdi, regs\n mov %rsi, regs+8\n mov %rcx, regs+16\n"                 \
		      "mov %rax, regs+24\n pushf\n pop regs+32\n cld\n pop %rbx")
STRING(rep_movsb, "rep movsb");
STRING(rep_movsq, "rep movsq");
STRING(rep_movsb_down, "std\n rep movsb");
STRING(rep_movsl_down, "std\n rep movsl");
STRING(rep_stosb, "rep stosb");
STRING(rep_stosl, "rep stosl");
STRING(rep_stosq, "rep stosq");
STRING(rep_stosw_down, "std\n rep stosw");
STRING(rep_lodsb, "rep lodsb");
STRING(repe_cmpsb, "repe cmpsb");
STRING(repe_cmpsw, "repe cmpsw");
STRING(repne_scasb, "repne scasb");
STRING(repne_scasl, "repne scasl");
STRING(repe_scasq, "repe scasq");
STRING(rep_movsw, "rep movsw");
STRING(rep_movsl, "rep movsl");
STRING(rep_stosw, "rep stosw");
STRING(repe_cmpsb_down, "std\n repe cmpsb");
STRING(repne_scasw_down, "std\n repne scasw");
STRING(one_movsq, "movsq");
STRING(one_cmpsb, "cmpsb");
STRING(a32_movsb, "addr32 rep movsb");
STRING(a32_stosb, "addr32 rep stosb");
STRING(rep_outsb, "rep outsb");
STRING(rep_insb, "mov $0x71, %edx\n rep insb");

static struct trap *run(uint8_t *code, word di, word si, word cx, word ax)
{
	regs[0] = di;
	regs[1] = si;
	regs[2] = cx;
	regs[3] = ax;
	return catch_trap(code, 0, 0);
}

static uint8_t at(word va)
{
	return page[(va - VA) >> 12][va & 4095];
}

static void moves(void)
{
	bool good = true;
	uint8_t want[600];

	fill();
	for (unsigned i = 0; i < 600; i++)
		want[i] = at(VA + 100 + i);
	check_trap(run(rep_movsb, VA + 4096 - 300, VA + 100, 600, 0), NO_TRAP, 0,
		   "REP MOVSB over a page end");
	for (unsigned i = 0; i < 600; i++)
		good = good && at(VA + 4096 - 300 + i) == want[i];
	check(good, "the bytes arrived");
	check_eq(regs[0], VA + 4096 + 300, "RDI");
	check_eq(regs[1], VA + 700, "RSI");
	check_eq(regs[2], 0, "RCX");

	/* A quadword that lies over the page end, in every step. */
	fill();
	for (unsigned i = 0; i < 160; i++)
		want[i] = at(VA + 4096 - 83 + i);
	run(rep_movsq, VA + 8192 - 61, VA + 4096 - 83, 20, 0);
	good = true;
	for (unsigned i = 0; i < 160; i++)
		good = good && at(VA + 8192 - 61 + i) == want[i];
	check(good, "REP MOVSQ over two page ends, misaligned");

	/* Overlap, one byte ahead: the first byte is spread out. */
	fill();
	page[0][10] = 0x42;
	run(rep_movsb, VA + 11, VA + 10, 5000, 0);
	good = true;
	for (unsigned i = 0; i < 5000; i++)
		good = good && at(VA + 11 + i) == 0x42;
	check(good, "REP MOVSB onto its own output");
	fill();
	for (unsigned i = 0; i < 8; i++)
		page[0][i] = (uint8_t)(0xa0 + i);
	run(rep_movsq, VA + 8, VA, 700, 0);
	good = true;
	for (unsigned i = 0; i < 5600; i++)
		good = good && at(VA + 8 + i) == 0xa0 + (i & 7);
	check(good, "REP MOVSQ onto its own output");

	fill();
	for (unsigned i = 0; i < 600; i++)
		want[i] = at(VA + 4096 - 300 + i);
	run(rep_movsb_down, VA + 4096 - 300 + 599 + 7, VA + 4096 - 300 + 599, 600, 0);
	good = true;
	for (unsigned i = 0; i < 600; i++)
		good = good && at(VA + 4096 - 300 + 7 + i) == want[i];
	check(good, "REP MOVSB downwards over a page end");
	check_eq(regs[0], VA + 4096 - 300 + 7 - 1, "RDI below the start");
	fill();
	run(rep_movsl_down, VA + 5000, VA + 4100, 9, 0);
	check_eq(regs[1], VA + 4100 - 36, "REP MOVSL downwards: RSI");
	check_trap(run(rep_movsb, 0x900000000000ull, 0x900000000000ull, 0, 0), NO_TRAP, 0,
		   "REP with RCX = 0 touches nothing");
}

/* The registers when a REP stops in the middle: what was done is done. */
static void faults(void)
{
	struct trap *t;

	fill();
	map(1, 0);
	t = run(rep_movsb, VA + 4096 - 10, VA + 100, 64, 0);
	check_trap(t, PF, ERR_W, "REP MOVSB into an absent page");
	check_eq(t->cr2, VA + 4096, "CR2");
	check_eq(t->f.cx, 54, "RCX counts what is left");
	check_eq(t->f.di, VA + 4096, "RDI at the page");
	check_eq(t->f.si, VA + 110, "RSI");
	check_eq(at(VA + 4095), at(VA + 109), "the last byte before the fault is there");
	t = run(rep_movsb, VA + 100, VA + 4096 - 10, 64, 0);
	check_trap(t, PF, 0, "REP MOVSB from an absent page");
	check_eq(t->f.cx, 54, "RCX counts what is left");
	t = run(rep_movsq, VA + 4096 - 12, VA + 8192 + 64, 4, 0);
	check_trap(t, PF, ERR_W, "REP MOVSQ, second store over the page end");
	check_eq(t->f.cx, 3, "RCX after one");
	check_eq(t->f.di, VA + 4096 - 4, "RDI of the store that faulted");
	check_eq(t->cr2, VA + 4096, "CR2 is in the absent page");
	check_eq(*(uint32_t *)&page[0][4092], 0 | *(uint32_t *)&page[0][4092],
		 "no half of a store");
	t = run(rep_movsb_down, VA + 8192 + 9, VA + 8192 + 109, 64, 0);
	check_trap(t, PF, ERR_W, "REP MOVSB downwards into an absent page");
	check_eq(t->f.cx, 54, "RCX counts what is left");
	check_eq(t->cr2, VA + 8191, "CR2 is the last byte of the absent page");
	check(t->flags & FL_DF, "DF in the frame");
	t = run(rep_stosl, VA + 4096 - 6, 0, 8, 0x11223344);
	check_trap(t, PF, ERR_W, "REP STOSL over the page end");
	check_eq(t->f.cx, 7, "RCX after one");
	t = run(rep_lodsb, 0, VA + 4096 - 3, 8, 0);
	check_trap(t, PF, 0, "REP LODSB into an absent page");
	check_eq(t->f.cx, 5, "RCX after three");
	check_eq(t->f.ax & 255, at(VA + 4095), "AL is the last byte read");
	memset(page[0] + 4000, 7, 96);
	memset(page[2], 7, 96);
	t = run(repe_cmpsb, VA + 4000, VA + 8192, 200, 0);
	check_trap(t, PF, 0, "REPE CMPSB into an absent page");
	check_eq(t->f.cx, 200 - 96, "RCX counts what is left");
	t = run(repne_scasb, VA + 4000, 0, 200, 1);
	check_trap(t, PF, 0, "REPNE SCASB into an absent page");
	check_eq(t->f.cx, 200 - 96, "RCX counts what is left");
	map(1, 1);
	t = run(rep_stosq, VA + 4096 - 16, 0, 8, 0);
	check_trap(t, NO_TRAP, 0, "REP STOSQ to a read-only page with WP clear");
	write_cr0(read_cr0() | C0_WP);
	t = run(rep_stosq, VA + 4096 - 16, 0, 8, 0);
	check_trap(t, PF, ERR_W | ERR_P, "REP STOSQ to a read-only page with WP");
	check_eq(t->f.cx, 6, "RCX after two");
	write_cr0(read_cr0() & ~(word)C0_WP);
	map(1, 3);
}

/* A handler maps the page and returns: the instruction goes on where it was. */
static unsigned repaired;
static void repair(struct frame *f)
{
	(void)f;
	repaired++;
	map(1, 3);
}

static void restart(void)
{
	bool good = true;

	fill();
	set_handler(PF, repair);
	map(1, 0);
	run(rep_movsb, VA + 4096 - 100, VA + 1000, 1000, 0);
	set_handler(PF, NULL);
	check_eq(repaired, 1, "one fault in REP MOVSB");
	for (unsigned i = 0; i < 1000; i++)
		good = good && at(VA + 4096 - 100 + i) == at(VA + 1000 + i);
	check(good, "it went on after the fault");
}

static void compares(void)
{
	fill();
	memset(page[0], 5, 4096);
	memset(page[1], 5, 4096);
	page[1][50] = 6;
	run(repe_cmpsb, VA + 1000, VA + 1, 4096, 0);
	check_eq(regs[2], 4096 - (4096 - 1000 + 51), "REPE CMPSB stops behind the difference");
	check_eq(regs[4] & (FL_ZF | FL_CF), FL_CF, "flags compare source with destination");
	run(repe_cmpsb, VA + 1, VA + 1000, 100, 0);
	check_eq(regs[4] & FL_ZF, FL_ZF, "REPE CMPSB to the end: ZF");
	check_eq(regs[2], 0, "RCX");
	run(repe_cmpsw, VA + 4096 - 1, VA + 1, 20, 0);
	check_eq(regs[2], 0, "REPE CMPSW over the page end");
	run(repne_scasb, VA + 100, 0, 8000, 6);
	check_eq(regs[0], VA + 4096 + 51, "REPNE SCASB finds the byte over the page end");
	*(uint32_t *)(page[1] + 400) = 0xcafebabe;
	run(repne_scasl, VA, 0, 5000, 0xcafebabe);
	check_eq(regs[0], VA + 4096 + 404, "REPNE SCASL");
	run(repe_scasq, VA, 0, 10, 0x0505050505050505ull);
	check_eq(regs[2], 0, "REPE SCASQ");
	regs[4] = 0;
	run(repe_cmpsb, VA, VA, 0, 0);
	check_eq(regs[2], 0, "REPE CMPSB with RCX = 0");
	run(one_cmpsb, VA + 4096 + 50, VA, 0x1234, 0);
	check_eq(regs[4] & (FL_CF | FL_ZF), FL_CF, "CMPSB without REP");
	check_eq(regs[2], 0x1234, "it leaves RCX");
}

static void sizes(void)
{
	fill();
	run(rep_stosw_down, VA + 4096 + 2, 0, 5, 0xbeef);
	check_eq(at(VA + 4096 + 3) << 8 | at(VA + 4096 + 2), 0xbeef, "REP STOSW downwards, first");
	check_eq(at(VA + 4096 - 5) << 8 | at(VA + 4096 - 6), 0xbeef, "REP STOSW downwards, last");
	run(one_movsq, VA + 4096 - 3, VA + 64, 9, 0);
	check_eq(at(VA + 4096 + 4), at(VA + 71), "MOVSQ without REP over a page end");
	check_eq(regs[2], 9, "it leaves RCX");
	/* 32-bit addresses: ESI, EDI and ECX count, and the results are zero-extended. */
	page[0][0] = 0x5c;
	run(a32_movsb, 0xffffffff00000000ull | (word)page[1], 0xffffffff00000000ull | (word)page[0],
	    0xffffffff00000001ull, 0);
	check_eq(page[1][0], 0x5c, "ADDR32 REP MOVSB");
	check_eq(regs[0], (word)page[1] + 1, "EDI is zero-extended");
	check_eq(regs[2], 0, "ECX counted");
	run(a32_stosb, 0xffffffff00000000ull | (word)page[1], 5, 0xffffffff00000000ull, 0);
	check_eq(regs[0] >> 32, is_amd() ? 0xffffffff : 0, "ADDR32 REP with ECX = 0 and the upper half of RDI");
}

static void ports(void)
{
	struct trap *t;

	fill();
	check_trap(run(rep_outsb, 0, VA + 4096 - 8, 16, 0), NO_TRAP, 0, "REP OUTSB");
	check_eq(regs[1], VA + 4096 + 8, "RSI behind it");
	map(1, 0);
	t = run(rep_outsb, 0, VA + 4096 - 8, 16, 0);
	check_trap(t, PF, 0, "REP OUTSB into an absent page");
	check_eq(t->f.cx, 8, "RCX counts what is left");
	outb(0x70, 0x0f);
	outb(0x71, 0x5a);
	outb(0x70, 0x0f);
	t = run(rep_insb, VA + 4096 - 4, 0, 16, 0);
	check_trap(t, PF, ERR_W, "REP INSB into an absent page");
	check_eq(t->f.cx, 12, "RCX counts what is left");
	check_eq(at(VA + 4095), 0x5a, "the bytes before it arrived");
	map(1, 3);
}

/* What the bytes become, element by element. */
static void model_movs(uint8_t *d, const uint8_t *s, unsigned n, unsigned size)
{
	for (; n; n--, d += size, s += size) {
		uint8_t e[8];

		for (unsigned i = 0; i < size; i++)
			e[i] = s[i];
		for (unsigned i = 0; i < size; i++)
			d[i] = e[i];
	}
}

/* Every short length and size, apart and with the destination just above or below the source. */
static void lengths(void)
{
	static uint8_t *const movs[] = {rep_movsb, rep_movsw, rep_movsl, rep_movsq};
	static uint8_t *const stos[] = {rep_stosb, rep_stosw, rep_stosl, rep_stosq};
	static const int distance[] = {2000, 1, 3, 7, 8, 13, 64, -1, -3, -8, -20};
	static uint8_t want[4096];
	unsigned wrong = 0;

	for (unsigned k = 0; k < 4; k++) {
		for (unsigned d = 0; d < sizeof(distance) / sizeof(distance[0]); d++) {
			for (unsigned n = 1; n << k <= 300; n += n < 40 ? 1 : 13) {
				fill();
				memcpy(want, page[0], 4096);
				model_movs(want + 500 + distance[d], want + 500, n, 1u << k);
				run(movs[k], VA + (word)(500 + distance[d]), VA + 500, n, 0);
				wrong += memcmp(want, page[0], 4096) != 0 || regs[2] ||
					 regs[1] != VA + 500 + ((word)n << k);
			}
		}
	}
	check_eq(wrong, 0, "REP MOVS of short lengths, overlapping and not");
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned n = 1; n << k <= 300; n++) {
			word v = 0x8877665544332211ull;

			fill();
			memcpy(want, page[0], 4096);
			for (unsigned i = 0; i < n << k; i++)
				want[501 + i] = (uint8_t)(v >> 8 * (i & ((1u << k) - 1)));
			run(stos[k], VA + 501, 0, n, v);
			wrong += memcmp(want, page[0], 4096) != 0 || regs[2] ||
				 regs[0] != VA + 501 + ((word)n << k);
		}
	}
	check_eq(wrong, 0, "REP STOS of short lengths");
}

/* Compares over several pages, both ways. */
static void long_compares(void)
{
	for (unsigned i = 0; i < 3; i++)
		memset(page[i], 0x5a, 4096);
	run(repne_scasb, VA + 5, 0, 12283, 1);
	check_eq(regs[0] + regs[2], VA + 12288, "REPNE SCASB that finds nothing");
	page[2][7] = 1;
	run(repne_scasb, VA + 5, 0, 12283, 1);
	check_eq(regs[0], VA + 8200, "REPNE SCASB over two page ends");
	check_eq(regs[2], 12288 - 8200, "what is left");
	run(repe_cmpsb, VA + 100, VA + 4103, 8000, 0);
	check_eq(regs[1], VA + 8200, "REPE CMPSB over page ends");
	check_eq(regs[0], VA + 100 + 8200 - 4103, "RDI with it");
	page[0][9] = 2;
	run(repe_cmpsb_down, VA + 8198, VA + 8190, 9000, 0);
	check_eq(regs[0], VA + 16, "REPE CMPSB downwards over page ends");
	check_eq(regs[1], VA + 8, "RSI with it");
	page[0][21] = page[0][22] = 3;
	run(repne_scasw_down, VA + 8001, 0, 5000, 0x0303);
	check_eq(regs[0], VA + 19, "REPNE SCASW downwards, misaligned, over page ends");
}

void guest_test(void)
{
	setup();
	moves();
	lengths();
	long_compares();
	faults();
	restart();
	compares();
	sizes();
	ports();
}
