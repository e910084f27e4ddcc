// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest of bench/screen.py: scrolls text, draws frames, says when a key's interrupt comes. Orders are bytes on the
 * first serial port; each is answered with 'd' when it is done, and every IRQ 1 with 'K' as the handler's first act.
 * Source: IBM VGA reference (mode 3's registers), Bochs VBE Display API.
 *
 * 't' text mode   's' scroll by REP MOVS   'w' scroll word by word   'S' 100 times a second, as many seconds as the next byte says
 * 'g' 1024x768, 32 bits   'f' frames, 25 a second, as many seconds as the next byte says
 * 'p' ports   'm' four planes, byte by byte   'c' copied by latches, REP MOVS
 * 'b' spin until the next byte
 */
#include "guest.h"

#define COM1 0x3f8
#define FB_HINT 0xfd000000u
#define WIDTH 1024u
#define HEIGHT 768u
#define FRAME_BYTES (WIDTH * HEIGHT * 4)
#define FRAMES 8u
#define TICKS_HZ 100u
#define SCROLLS 2000u
#define ACCESSES 400000u
#define COLS 80u
#define ROWS 25u

static volatile unsigned ticks;
static uint8_t *fb;
static uint8_t *frames;

/* ---- Serial port and interrupts ----------------------------------------------------------------- */

static void say(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (uint8_t)c);
}

static void on_key(struct frame *f)
{
	outb(COM1, 'K');
	(void)f;
	inb(0x60);
	pic_eoi(1);
}

static void on_tick(struct frame *f)
{
	(void)f;
	ticks++;
	pic_eoi(0);
}

/* The byte itself is read by whoever waits. */
static void on_serial(struct frame *f)
{
	(void)f;
	outb(COM1 + 1, 0);
	pic_eoi(4);
}

static bool has_order(void)
{
	return inb(COM1 + 5) & 1;
}

static uint8_t next_order(void)
{
	for (;;) {
		cli();
		if (has_order())
			break;
		outb(COM1 + 1, 1);
		asm volatile("sti; hlt" ::: "memory");
	}
	sti();
	return inb(COM1);
}

static void set_ticks(bool on)
{
	unsigned n = 1193182 / TICKS_HZ;

	outb(0x43, 0x34);
	outb(0x40, (uint8_t)n);
	outb(0x40, (uint8_t)(n >> 8));
	outb(0x21, (uint8_t)(on ? ~0x13 : ~0x12)); /* keyboard, serial port */
}

static void keyboard_on(void)
{
	outb(0x64, 0x60);
	outb(0x60, 0x61); /* interrupt, translation, no mouse */
	outb(0x64, 0xae);
	while (inb(0x64) & 1)
		inb(0x60);
	outb(0x60, 0xf4);
	delay_ms(20);
	while (inb(0x64) & 1)
		inb(0x60);
}

/* ---- Text --------------------------------------------------------------------------------------- */

static void outx(uint16_t port, unsigned index, unsigned val)
{
	outw(port, (uint16_t)(val << 8 | index));
}

static void dispi(unsigned index, unsigned val)
{
	outw(0x1ce, (uint16_t)index);
	outw(0x1cf, (uint16_t)val);
}

static void put_regs(uint16_t port, const uint8_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		outx(port, i, v[i]);
}

/* Letters like noise, so that they differ. */
static void load_font(void)
{
	volatile uint8_t *to = (volatile uint8_t *)0xa0000;
	uint32_t x = 1;

	for (unsigned i = 0; i < 5; i++)
		outx(0x3ce, i, 0);
	outx(0x3ce, 8, 0xff);
	outx(0x3c4, 2, 4);
	outx(0x3c4, 4, 6);
	outx(0x3ce, 5, 0);
	outx(0x3ce, 6, 4);
	for (unsigned i = 0; i < 256 * 32; i++) {
		x = x * 1103515245 + 12345;
		to[i] = i / 32 == ' ' || (i & 31) > 12 ? 0 : (uint8_t)(x >> 20 & 0x7e);
	}
}

static void text_mode(void)
{
	static const uint8_t seq[] = {3, 0, 3, 0, 2};
	static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,
				       0x4f, 0x0d, 0x0e, 0,    0,    0,	   0,	 0x9c, 0x0e,
				       0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
	static const uint8_t gfx[] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff};
	static const uint8_t attr[] = {0,    1,	   2,	 3,    4,    5,	   0x14, 7,    0x38, 0x39, 0x3a,
				       0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0,	 0x0f, 8,    0};

	dispi(4, 0);
	outb(0x3c2, 0x67);
	load_font();
	put_regs(0x3c4, seq, sizeof(seq));
	outx(0x3d4, 0x11, 0);
	put_regs(0x3d4, crtc, sizeof(crtc));
	put_regs(0x3ce, gfx, sizeof(gfx));
	inb(0x3da);
	for (unsigned i = 0; i < sizeof(attr); i++) {
		outb(0x3c0, (uint8_t)i);
		outb(0x3c0, attr[i]);
	}
	outb(0x3c0, 0x20);
	outb(0x3c8, 0);
	for (unsigned i = 0; i < 3 * 64; i++)
		outb(0x3c9, (uint8_t)(i / 3));
}

static void last_row(volatile uint16_t *at, unsigned n)
{
	for (unsigned x = 0; x < COLS; x++)
		at[x] = (uint16_t)(0x0700 | (x < 60 ? ' ' + 1 + (n * 7 + x) % 90 : ' '));
}

static void scroll(bool by_words, unsigned first, unsigned end)
{
	volatile uint16_t *screen = (volatile uint16_t *)0xb8000;

	for (unsigned i = first; i < end; i++) {
		if (by_words) {
			for (unsigned n = 0; n < COLS * (ROWS - 1); n++)
				screen[n] = screen[n + COLS];
		} else {
			const volatile uint16_t *from = screen + COLS;
			volatile uint16_t *to = screen;
			word n = COLS * (ROWS - 1) / 2;

			asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(n)::"memory");
		}
		last_row(screen + COLS * (ROWS - 1), i);
		outx(0x3d4, 0x0e, (COLS * 24) >> 8);
		outx(0x3d4, 0x0f, (COLS * 24 + i % COLS) & 0xff);
	}
}

static void scroll_slowly(unsigned seconds)
{
	unsigned start;

	set_ticks(true);
	start = ticks;
	for (unsigned i = 0; i < seconds * TICKS_HZ; i++) {
		while (ticks - start < i)
			asm volatile("hlt");
		scroll(false, i, i + 1);
	}
	set_ticks(false);
}

/* ---- Accesses ----------------------------------------------------------------------------------- */

static void ports(void)
{
	for (unsigned i = 0; i < ACCESSES; i++)
		outb(0x3d4, (uint8_t)(i & 15));
}

static void planes_on(unsigned write_mode)
{
	dispi(4, 0);
	outb(0x3c2, 0x63);
	outx(0x3c4, 2, 15);
	outx(0x3c4, 4, 6);
	for (unsigned i = 0; i < 5; i++)
		outx(0x3ce, i, 0);
	outx(0x3ce, 5, write_mode);
	outx(0x3ce, 6, 5);
	outx(0x3ce, 8, 0xff);
}

static void planes(void)
{
	volatile uint8_t *to = (volatile uint8_t *)0xa0000;

	planes_on(0);
	for (unsigned i = 0; i < ACCESSES; i++)
		to[i & 0xffff] = (uint8_t)i;
}

/* Each byte is a read and a write. */
static void latches(void)
{
	planes_on(1);
	for (unsigned i = 0; i < ACCESSES / 2 / 0x4000; i++) {
		const volatile uint8_t *from = (const volatile uint8_t *)0xa0000;
		volatile uint8_t *to = (volatile uint8_t *)0xa8000;
		word n = 0x4000;

		asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n)::"memory");
	}
}

/* ---- Frames ------------------------------------------------------------------------------------- */

static uint32_t pci_read(unsigned slot, unsigned off)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	return inl(0xcfc);
}

static void pci_write(unsigned slot, unsigned off, uint32_t val)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	outl(0xcfc, val);
}

static bool find_fb(void)
{
	unsigned slot = 0;

	while (slot < 32 && pci_read(slot, 0) != 0x11111234)
		slot++;
	if (slot == 32)
		return false;
	if (!(pci_read(slot, 0x10) & ~15u))
		pci_write(slot, 0x10, FB_HINT);
	pci_write(slot, 4, 7);
	fb = (uint8_t *)(word)(pci_read(slot, 0x10) & ~15u);
	return true;
}

/* Something like a film: a moving slope of colours, and a quarter of it with noise. */
static void make_frames(void)
{
	uint32_t x = 1;

	frames = alloc_pages(FRAMES * FRAME_BYTES / 4096, 4096);
	for (unsigned f = 0; f < FRAMES; f++) {
		uint32_t *px = (uint32_t *)(frames + f * FRAME_BYTES);

		for (unsigned i = 0; i < WIDTH * HEIGHT; i++) {
			unsigned h = i % WIDTH + f * 5, v = i / WIDTH + f * 3;

			x = x * 1103515245 + 12345;
			px[i] = (h / 4 & 255) << 16 | (v / 3 & 255) << 8 | ((h + v) / 7 & 255);
			if ((h ^ v) & 512)
				px[i] ^= x >> 16 & 0x070707;
		}
	}
}

static void graphics_mode(void)
{
	if (!frames)
		make_frames();
	dispi(4, 0);
	dispi(1, WIDTH);
	dispi(2, HEIGHT);
	dispi(3, 32);
	dispi(4, 0x41);
	inb(0x3da);
	outb(0x3c0, 0x20);
}

static void show_frames(unsigned seconds)
{
	unsigned n = seconds * 25, start;

	set_ticks(true);
	start = ticks;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *from = frames + i % FRAMES * FRAME_BYTES;
		uint8_t *to = fb;
		word count = FRAME_BYTES / 4;

		while (ticks - start < i * (TICKS_HZ / 25))
			asm volatile("hlt");
		asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count)::"memory");
	}
	set_ticks(false);
}

void guest_test(void)
{
	bool there = find_fb();

	outb(COM1 + 3, 0x83); /* 115200 baud: some emulate the time a byte takes */
	outb(COM1, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 4, 0x0b);
	set_handler(0x20, on_tick);
	set_handler(0x21, on_key);
	set_handler(0x24, on_serial);
	pic_init(0);
	keyboard_on();
	set_ticks(false);
	sti();
	say(there ? 'R' : 'E');
	for (;;) {
		switch (next_order()) {
		case 't':
			text_mode();
			break;
		case 's':
			scroll(false, 0, SCROLLS);
			break;
		case 'w':
			scroll(true, 0, SCROLLS);
			break;
		case 'S':
			scroll_slowly(next_order());
			break;
		case 'p':
			ports();
			break;
		case 'm':
			planes();
			break;
		case 'c':
			latches();
			break;
		case 'g':
			graphics_mode();
			break;
		case 'f':
			show_frames(next_order());
			break;
		case 'b':
			while (!has_order())
				for (volatile unsigned i = 0; i < 1000; i++)
					;
			break;
		default:
			break;
		}
		say('d');
	}
}
