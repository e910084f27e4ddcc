// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loops of CMP, Jcc and MOVSB that copy bytes, as compilers and boot loaders have them: each length, over page ends,
 * onto their own output, both directions, through absent pages, into code. And stores to a page that has code, beside
 * the code and into it. Source: Intel SDM 2B MOVS, 3A §6.6, §11.6.
 */
#include "map.h"

#if IS64
#define R(x) "%r" x
#define W "8"
#define SAVE ""
#define REST ""
#else
#define R(x) "%e" x
#define W "4"
#define SAVE "push %esi\n push %edi\n"
#define REST "\n pop %edi\n pop %esi"
#endif

/* [0] = DI, [1] = SI, [2] = where the loop ends; read back afterwards. */
static word regs[3] __asm__("regs") __attribute__((used));
#define COPY(name, loop)                                                                           \
	SNIPPET(name, SAVE "mov regs, " R("di") "\n mov regs+" W ", " R("si") "\n mov regs+2*" W   \
			   ", " R("cx") "\n" loop "\n cld\n mov " R("di") ", regs\n mov " R("si")  \
			   ", regs+" W REST)
COPY(until_di, "1: cmp " R("cx") ", " R("di") "\n je 2f\n movsb\n jmp 1b\n 2:");
COPY(until_di_turned, "1: cmp " R("di") ", " R("cx") "\n je 2f\n movsb\n jmp 1b\n 2:");
COPY(until_si, "1: cmp " R("cx") ", " R("si") "\n je 2f\n movsb\n jmp 1b\n 2:");
COPY(rotated, "1: movsb\n cmp " R("cx") ", " R("di") "\n jne 1b");
COPY(down, "std\n 1: cmp " R("cx") ", " R("di") "\n je 2f\n movsb\n jmp 1b\n 2:");
COPY(wide, "1: cmp " R("cx") ", " R("di") "\n je 2f\n movsl\n jmp 1b\n 2:");
COPY(while_equal, "1: movsb\n cmp " R("cx") ", " R("di") "\n je 1b");

static uint8_t pattern[4 * 4096], model[4 * 4096];

/* By one instruction each: this runs in lockstep, too. */
static void copy(void *to, const void *from, word n)
{
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static bool same(const void *a, const void *b, word n)
{
	bool equal;

	asm volatile("repe cmpsb" : "+D"(a), "+S"(b), "+c"(n), "=@cce"(equal) : : "memory");
	return equal;
}

static void fill(void)
{
	for (unsigned i = 0; i < 4; i++)
		copy(map_ram(i), pattern + i * 4096, 4096);
}

static uint8_t *byte_at(word off)
{
	return &map_ram((unsigned)(off >> 12))[off & 4095];
}

/* Copy `n` bytes by the loop and by the model; everything must agree. `by_si`: the loop ends by SI. */
static void one(void *code, word di, word si, word n, bool by_si, int step)
{
	word end = step < 0 ? -n : n;
	bool good = true;

	fill();
	copy(model, pattern, sizeof(model));
	for (word i = 0; i < n; i++)
		model[step < 0 ? di - i : di + i] = model[step < 0 ? si - i : si + i];
	regs[0] = MAP_VA + di;
	regs[1] = MAP_VA + si;
	regs[2] = MAP_VA + (by_si ? si : di) + end;
	group_case(trap_is(catch_trap(code, 0, 0), NO_TRAP, 0), "%w bytes from %w to %w trap", n,
		   si, di);
	for (unsigned i = 0; i < 4; i++)
		good = good && same(map_ram(i), model + i * 4096, 4096);
	group_case(good, "%w bytes from %w to %w", n, si, di);
	group_case(regs[0] == MAP_VA + di + end && regs[1] == MAP_VA + si + end,
		   "%w bytes from %w to %w: DI %w, SI %w", n, si, di, regs[0], regs[1]);
}

static void lengths(const char *name, void *code, bool by_si, bool none)
{
	static const word far[][2] = {{100, 5000}, {9000, 20}, {4096 - 40, 8192 - 7}, {4096, 0}};

	group_begin(name);
	for (unsigned i = 0; i < ARRAY_SIZE(far); i++) {
		for (word n = none ? 0 : 1; n < 80; n += n < 30 ? 5 : n < 35 || n > 62 ? 1 : 9)
			one(code, far[i][0], far[i][1], n, by_si, 1);
		one(code, far[i][0], far[i][1], 2000, by_si, 1);
	}
	for (word ahead = 1; ahead < 40; ahead += 6) {
		one(code, 50 + ahead, 50, 1000, by_si, 1);
		one(code, 4000, 4000 + ahead, 1000, by_si, 1);
	}
	group_end();
}

static void other_loops(void)
{
	group_begin("loops that look alike");
	for (word n = 0; n < 100; n += 3)
		one(down, 5000, 9000, n, false, -1);
	for (word n = 0; n < 400; n += 20)
		one(wide, 5000, 9000, n, false, 1);
	for (unsigned i = 0; i < 60; i++) {
		fill();
		regs[0] = MAP_VA + 100;
		regs[1] = MAP_VA + 300;
		regs[2] = MAP_VA + 200;
		catch_trap(while_equal, 0, 0);
		group_case(regs[0] == MAP_VA + 101 && *byte_at(100) == *byte_at(300) &&
				   *byte_at(101) != *byte_at(301),
			   "one byte, since it goes on while they are equal");
	}
	group_end();
}

static word faults[8];
static unsigned n_faults;

static void on_pf(struct frame *f)
{
	word off = read_cr2() - MAP_VA;

	(void)f;
	if (n_faults == ARRAY_SIZE(faults) || off >= 4 * 4096) {
		set_handler(PF, NULL);
		return;
	}
	faults[n_faults++] = off;
	map_set((unsigned)(off >> 12), 3);
}

static void absent_pages(void)
{
	group_begin("pages that come when they are touched");
	for (unsigned i = 0; i < 20; i++) {
		bool good = true;

		fill();
		for (unsigned p = 0; p < 4; p++)
			map_set(p, p == 0 || p == 2 ? 3 : 0);
		n_faults = 0;
		set_handler(PF, on_pf);
		regs[0] = MAP_VA + 8192 + 4000 - i;
		regs[1] = MAP_VA + 4000;
		regs[2] = regs[0] + 600;
		catch_trap(until_di, 0, 0);
		set_handler(PF, NULL);
		group_case(n_faults == 2 && faults[0] == 4096 && faults[1] == 3 * 4096,
			   "%u faults, at %w and %w", n_faults, faults[0], faults[1]);
		for (word k = 0; k < 600; k++)
			good = good && *byte_at(8192 + 4000 - i + k) == *byte_at(4000 + k);
		group_case(good, "what was copied");
		for (unsigned p = 0; p < 4; p++)
			map_set(p, 3);
	}
	group_end();
}

/* ---- Code in the way ------------------------------------------------------------------------ */

typedef word (*code_fn)(void);

/* mov $imm32, %eax; ret */
static void put_return(uint8_t *p, uint32_t v)
{
	static const uint8_t form[] = {0xb8, 0, 0, 0, 0, 0xc3};

	for (unsigned i = 0; i < sizeof(form); i++)
		p[i] = i > 0 && i < 5 ? (uint8_t)(v >> (8 * (i - 1))) : form[i];
}

static word call(word off)
{
	asm volatile("" ::: "memory");
	return ((code_fn)(MAP_VA + off))();
}

/* Where functions are overwritten by a copy, they are the copied ones. */
static void copies_onto_code(void)
{
	group_begin("copies onto code");
	for (unsigned i = 0; i < 60; i += 3) {
		bool good = true;

		for (word off = 64; off < 4096 - 64; off += 64)
			put_return(byte_at(off), (uint32_t)(i * 1000 + off));
		for (word off = 4096; off < 2 * 4096; off += 64)
			put_return(byte_at(4096 + off), (uint32_t)(i * 5000 + off));
		for (word off = 64; off < 4096 - 64; off += 64)
			good = good && call(off) == i * 1000 + off;
		group_case(good, "round %u: before", i);
		regs[0] = MAP_VA + 64 * (i % 60 + 1);
		regs[1] = MAP_VA + 2 * 4096;
		regs[2] = MAP_VA + 4096;
		catch_trap(until_di, 0, 0);
		good = true;
		for (word off = 64, from = 4096; off < 4096 - 64; off += 64) {
			bool copied = off >= 64 * (i % 60 + 1);

			good = good && call(off) == (copied ? i * 5000 + from : i * 1000 + off);
			from += copied ? 64 : 0;
		}
		group_case(good, "round %u: afterwards", i);
	}
	group_end();
}

#if IS64
#define PTR "%rdi"
#else
#define PTR "%eax"
#endif
SNIPPET(store_1, "movb $0x5a, (" PTR ")");
SNIPPET(store_4, "movl $0x5a5b5c5d, (" PTR ")");
SNIPPET(store_two, "movl $0x5a5b5c5d, (" PTR ")\n movl $0x6a6b6c6d, 60(" PTR ")");
SNIPPET(add_4, "addl $0x01010101, (" PTR ")");
SNIPPET(stos_far, SAVE "mov " PTR ", " R("di") "\n mov $0x90, %eax\n mov $90, %ecx\n rep stosb" REST);
SNIPPET(push_there, "mov " R("sp") ", " R("dx") "\n mov " PTR ", " R("sp")
		    "\n push " R("dx") "\n push " R("cx") "\n push " R("dx") "\n pop " R("cx")
		    "\n mov " R("dx") ", " R("sp"));

static uint32_t word_at(word off)
{
	return (uint32_t)*byte_at(off) | (uint32_t)*byte_at(off + 1) << 8 |
	       (uint32_t)*byte_at(off + 2) << 16 | (uint32_t)*byte_at(off + 3) << 24;
}

/* Code from 0x500 to 0x580; everything around it is data. */
static void data_beside_code(void)
{
	group_begin("stores to a page with code");
	for (unsigned i = 0; i < 300; i += 3) {
		word off = 0x480 + i % 0x7c;

		put_return(byte_at(0x500), 1000 + i);
		put_return(byte_at(0x57a), 2000 + i);
		group_case(call(0x500) == 1000 + i && call(0x57a) == 2000 + i, "round %u", i);
		catch_trap(store_1, MAP_VA + off, 0);
		group_case(*byte_at(off) == 0x5a, "a byte at %w", off);
		catch_trap(store_4, MAP_VA + off, 0);
		group_case(word_at(off) == 0x5a5b5c5d, "four at %w", off);
		catch_trap(add_4, MAP_VA + off, 0);
		group_case(word_at(off) == 0x5b5c5d5e, "an addition at %w", off);
		catch_trap(push_there, MAP_VA + off, 0);
		catch_trap(store_4, MAP_VA + 0x580 + i, 0);
		group_case(word_at(0x580 + i) == 0x5a5b5c5d, "four at %w", (word)0x580 + i);
		group_case(call(0x500) == 1000 + i && call(0x57a) == 2000 + i,
			   "round %u: the code is as before", i);
		/* The second store of these goes into the first function's number, and its first behind it. */
		catch_trap(store_two, MAP_VA + 0x501 - 60, 0);
		group_case(call(0x500) == 0x6a6b6c6d, "round %u: the function's number", i);
		catch_trap(store_4, MAP_VA + 0x57b, 0);
		group_case(call(0x57a) == 0x5a5b5c5d, "round %u: the other's", i);
		put_return(byte_at(0x500 + 70), 3000 + i);
		catch_trap(stos_far, MAP_VA + 0x500 - 20, 0);
		group_case(call(0x500) == 3000 + i, "round %u: NOPs up to another function", i);
	}
	group_end();
}

void guest_test(void)
{
	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i / 4096 * 77 + i * 13 + (i >> 8));
	map_init();
	for (unsigned i = 0; i < 4; i++)
		map_set(i, 3);
	lengths("until DI is at the end", until_di, false, true);
	lengths("the same, compared the other way", until_di_turned, false, true);
	lengths("until SI is at the end", until_si, true, true);
	lengths("compared behind the copy", rotated, false, false);
	other_loops();
	absent_pages();
	copies_onto_code();
	data_beside_code();
}
