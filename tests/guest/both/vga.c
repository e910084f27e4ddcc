// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VGA's memory seen by the linear frame buffer and below 1 MiB, while windows come, move and go under
 * running code; code in the frame buffer that the adapter itself changes.
 * Source: IBM VGA reference; Bochs VBE Display API.
 *
 * run: -vga std
 */
#include "guest.h"

#define FB 0xfd000000u
#define FB2 0xfb000000u
#define REGS 0xfebf0000u
#define BANKS 256u /* of 64 KiB */

static volatile uint8_t *const a0000 = (volatile uint8_t *)0xa0000;
static volatile uint8_t *fb = (volatile uint8_t *)(word)FB;
static unsigned slot;

static uint32_t pci_read(unsigned off)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	return inl(0xcfc);
}

static void pci_write(unsigned off, uint32_t val)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	outl(0xcfc, val);
}

static bool find(void)
{
	for (slot = 0; slot < 32; slot++) {
		if (pci_read(0) == 0x11111234)
			break;
	}
	if (slot == 32)
		return false;
	pci_write(0x10, FB);
	pci_write(0x18, REGS);
	pci_write(4, 3);
	return true;
}

static void seq(unsigned index, unsigned val)
{
	outw(0x3c4, (uint16_t)(val << 8 | index));
}

static void gfx(unsigned index, unsigned val)
{
	outw(0x3ce, (uint16_t)(val << 8 | index));
}

static void dispi(unsigned index, unsigned val)
{
	outw(0x1ce, (uint16_t)index);
	outw(0x1cf, (uint16_t)val);
}

/* 256 colours in a row, or four planes. */
static void memory_mode(bool linear)
{
	outb(0x3c2, 0x63);
	seq(2, 0x0f);
	seq(4, linear ? 0x0e : 0x06);
	for (unsigned i = 0; i < 5; i++)
		gfx(i, 0);
	gfx(5, linear ? 0x40 : 0);
	gfx(6, 0x05);
	gfx(8, 0xff);
}

static void same_bytes_in_both(void)
{
	bool good = true;

	memory_mode(true);
	for (unsigned i = 0; i < 0x10000; i++)
		a0000[i] = (uint8_t)(i * 7 + (i >> 8));
	for (unsigned i = 0; i < 0x10000; i++)
		good = good && fb[i] == (uint8_t)(i * 7 + (i >> 8));
	check(good, "64 KiB written at 0xa0000 are in the frame buffer");
	for (unsigned i = 0; i < 0x10000; i += 4)
		*(volatile uint32_t *)(fb + i) = ~i;
	for (unsigned i = 0; i < 0x10000; i += 4)
		good = good && *(volatile uint32_t *)(a0000 + i) == ~i;
	check(good, "and the other way round");
	check_eq(fb[(16 << 20) - 1], 0, "the frame buffer has 16 MiB");
}

/* The same store is one to memory, then one to planes, and so on. */
static void modes_change_under_hot_code(void)
{
	bool good = true;

	for (unsigned i = 0; i < 300; i++) {
		bool linear = !(i & 1);

		if (linear) {
			memory_mode(true);
		} else {
			seq(4, 0x06);
			seq(2, 0x02);
		}
		*(volatile uint32_t *)(fb + 0x400) = 0;
		a0000[linear ? 0x400 : 0x100] = (uint8_t)i;
		good = good && *(volatile uint32_t *)(fb + 0x400) == (uint32_t)(uint8_t)i
									     << (linear ? 0 : 8);
	}
	check(good, "300 changes between linear and planes");
}

static void latches_copy_planes(void)
{
	const volatile uint8_t *from = a0000 + 0x1000;
	volatile uint8_t *to = a0000 + 0x5000;
	word n = 0x1000;
	bool good = true;

	memory_mode(false);
	for (unsigned i = 0; i < 0x1000; i++)
		*(volatile uint32_t *)(fb + (0x1000 + i) * 4) = i * 0x01030507u;
	gfx(5, 1);
	asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n)::"memory");
	for (unsigned i = 0; i < 0x1000; i++)
		good = good && *(volatile uint32_t *)(fb + (0x5000 + i) * 4) == i * 0x01030507u;
	check(good, "4 KiB of four planes copied by latches");
	gfx(5, 0);
	gfx(8, 0x18);
	gfx(3, 0x18); /* XOR */
	*(volatile uint32_t *)(fb + 0x800) = 0x11223344;
	check_eq(a0000[0x200], 0x44, "a read gives plane 0");
	a0000[0x200] = 0xff;
	check_eq(*(volatile uint32_t *)(fb + 0x800), 0x093a2b5c, "XOR of two bits of each plane");
}

static void banks_show_all_memory(void)
{
	bool good = true;

	memory_mode(true);
	dispi(4, 0);
	dispi(1, 1024);
	dispi(2, 768);
	dispi(3, 8);
	dispi(4, 0x41);
	check_eq(*(volatile uint32_t *)(fb + 0x1000), 0, "switching on clears what is shown");
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < BANKS; i++) {
			dispi(5, i);
			a0000[0xfff0 + round] = (uint8_t)(i + round);
		}
	}
	for (unsigned i = 0; i < BANKS; i++) {
		for (unsigned round = 0; round < 4; round++)
			good = good && fb[i * 0x10000 + 0xfff0 + round] == (uint8_t)(i + round);
	}
	check(good, "256 banks, four times");
	dispi(4, 0);
}

static void frame_buffer_moves(void)
{
	bool good = true;

	*(volatile uint32_t *)(fb + 0x2000) = 0x12345678;
	for (unsigned i = 0; i < 50; i++) {
		uint32_t here = i & 1 ? FB : FB2, gone = i & 1 ? FB2 : FB;

		pci_write(0x10, here);
		good = good && *(volatile uint32_t *)(word)(here + 0x2000) == 0x12345678 + i;
		good = good && *(volatile uint32_t *)(word)(gone + 0x2000) == 0xffffffff;
		*(volatile uint32_t *)(word)(gone + 0x2000) = 0;
		*(volatile uint32_t *)(word)(here + 0x2000) = 0x12345679 + i;
	}
	check(good, "the frame buffer moved 50 times");
	pci_write(4, 0);
	check_eq(*(volatile uint32_t *)(fb + 0x2000), 0xffffffff, "gone without memory decoding");
	pci_write(4, 3);
	check_eq(*(volatile uint32_t *)(fb + 0x2000), 0x12345678 + 50, "and back");
	/* Over RAM it is not seen; the RAM is. */
	*(volatile uint32_t *)0x700000 = 0xfeedbeef;
	pci_write(0x10, 0x01000000);
	pci_write(0x10, 0);
	pci_write(0x10, FB);
	check_eq(*(volatile uint32_t *)0x700000, 0xfeedbeef, "RAM stays");
}

static void text_mode(void)
{
	outb(0x3c2, 0x67);
	seq(2, 3);
	seq(4, 2);
	for (unsigned i = 0; i < 5; i++)
		gfx(i, 0);
	gfx(5, 0x10);
	gfx(6, 0x0e);
	gfx(8, 0xff);
}

/* Text is plain memory while nobody looks at it otherwise. */
static void text_lies_in_planes(void)
{
	volatile uint16_t *text = (volatile uint16_t *)0xb8000;
	bool good = true;

	memory_mode(false);
	for (unsigned i = 0; i < 0x8000; i++)
		*(volatile uint32_t *)(fb + 4 * i) = i * 0x01030507u;
	text_mode();
	for (unsigned i = 0; i < 0x4000; i++)
		good = good && text[i] == (uint16_t)(2 * i * 0x01030507u);
	check(good, "text is planes 0 and 1 of even addresses");
	for (unsigned round = 0; round < 100; round++) {
		const volatile uint16_t *from = text + 80;
		volatile uint16_t *to = text;
		word n = 0x4000 - 80;

		text_mode();
		text[0] = (uint16_t)(text[0] + round);
		asm volatile("rep movsw" : "+S"(from), "+D"(to), "+c"(n)::"memory");
		if (round % 10 == 9) /* a font */
			memory_mode(false);
	}
	text_mode();
	for (unsigned i = 0; i < 0x4000 - 8000; i++)
		good = good && text[i] == (uint16_t)(2 * (i + 8000) * 0x01030507u);
	check(good, "scrolled 100 times");
	good = true;
	text[5] = 0x1e41;
	check_eq(*(volatile uint32_t *)(fb + 40), 0x1e41 | ((10 * 0x01030507u) & 0xffff0000),
		 "a look by the frame buffer");
	for (unsigned i = 0; i < 0x8000; i++)
		good = good &&
		       *(volatile uint32_t *)(fb + 4 * i) >> 16 == i * 0x01030507u >> 16;
	check(good, "planes 2 and 3 are as they were");
	for (unsigned i = 0; i < 50; i++) {
		text_mode();
		text[0x3fff] = (uint16_t)i;
		good = good && *(volatile uint16_t *)(fb + 8 * 0x3fff) == i;
		*(volatile uint16_t *)(fb + 8 * 0x3ffe) = (uint16_t)(i + 1);
		good = good && text[0x3ffe] == i + 1;
		seq(2, 15);
	}
	check(good, "text and frame buffer in turns");
}

typedef word (*code_fn)(void);

/* mov $imm32, %eax; ret: by the frame buffer, by 0xa0000, by planes, by VBE's clearing. */
static void code_in_the_frame_buffer(void)
{
	volatile uint8_t *p = fb + 0x3000;
	code_fn fn = (code_fn)(word)p;
	bool good = true;

	memory_mode(true);
	p[0] = 0xb8;
	for (unsigned i = 1; i < 5; i++)
		p[i] = 0;
	p[5] = 0xc3;
	for (unsigned i = 0; i < 300; i++) {
		p[1] = (uint8_t)i;
		good = good && (fn() & 0xff) == (uint8_t)i;
	}
	check(good, "code written by the frame buffer");
	for (unsigned i = 0; i < 300; i++) {
		a0000[0x3001] = (uint8_t)i;
		good = good && (fn() & 0xff) == (uint8_t)i;
	}
	check(good, "code written at 0xa0000");
	memory_mode(false);
	for (unsigned i = 0; i < 300; i++) {
		seq(2, 0x02); /* plane 1: the second byte of four */
		a0000[0xc00] = (uint8_t)i;
		good = good && (fn() & 0xff) == (uint8_t)i;
	}
	check(good, "code written through planes");
	p = fb + 0x100000;
	fn = (code_fn)(word)p;
	p[0] = 0xb8;
	p[1] = 77;
	p[5] = 0xc3;
	check_eq(fn() & 0xff, 77, "more code");
	dispi(1, 1024);
	dispi(2, 1024 + 16); /* just behind it, but for its first bytes */
	dispi(3, 8);
	*(volatile uint32_t *)(fb + 0x104000) = 0;
	p = fb + 0x103ffe; /* mov $imm8, %al; ret: becomes 00 00 c3 */
	p[0] = 0xb0;
	p[1] = 99;
	p[2] = 0xc3;
	fn = (code_fn)(word)p;
	check_eq(fn() & 0xff, 99, "code at the end of what is cleared");
	dispi(4, 0x41);
	dispi(4, 0);
	check_eq(p[0] | p[1] << 8 | p[2] << 16, 0xc30000, "cleared to its end, and no more");
	/* add %al, (%eax) or (%rax): a store to a place of ours. */
	{
		static uint8_t byte;
		word ax = (word)&byte;

		byte = 1;
		asm volatile("call *%1" : "+a"(ax) : "r"(p) : "memory", "cc");
		check_eq(byte, (uint8_t)(1 + (uint8_t)(word)&byte),
			 "the cleared code is what runs");
	}
}

void guest_test(void)
{
	if (!find()) {
		check(false, "there is a VGA");
		return;
	}
	same_bytes_in_both();
	modes_change_under_hot_code();
	text_lies_in_planes();
	latches_copy_planes();
	banks_show_all_memory();
	frame_buffer_moves();
	code_in_the_frame_buffer();
}
