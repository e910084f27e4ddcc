// SPDX-License-Identifier: GPL-2.0-or-later
/* The VGA's registers and memory: make t T=devices/vga */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/display/vga.h"
#include "display_env.h"
#include "fake_time.h"
#include "vga_modes.h"

#define VRAM (1u << 20)
#define DEVFN 0x10
#define FB 0xfd000000u
#define REGS 0xfebf0000u
#define MEM 0xa0000u
#define TEXT 0xb8000u

static struct display_env e;
static struct vga *s;
static uint8_t *vram;

static void out(uint16_t port, uint8_t val)
{
	bus_pio_write(e.bus, port, val, 1);
}

static uint8_t in(uint16_t port)
{
	return (uint8_t)bus_pio_read(e.bus, port, 1);
}

/* Index and data at once, as guests do. */
static void outx(uint16_t port, unsigned index, unsigned val)
{
	bus_pio_write(e.bus, port, val << 8 | index, 2);
}

static uint8_t inx(uint16_t port, unsigned index)
{
	out(port, (uint8_t)index);
	return in((uint16_t)(port + 1));
}

static void st(uint32_t at, uint8_t val)
{
	bus_mmio_write(e.bus, at, val, 1);
}

static uint8_t ld(uint32_t at)
{
	return (uint8_t)bus_mmio_read(e.bus, at, 1);
}

static void dispi(unsigned index, unsigned val)
{
	bus_pio_write(e.bus, 0x1ce, index, 2);
	bus_pio_write(e.bus, 0x1cf, val, 2);
}

static unsigned dispi_get(unsigned index)
{
	bus_pio_write(e.bus, 0x1ce, index, 2);
	return (unsigned)bus_pio_read(e.bus, 0x1cf, 2);
}

static struct vga *make(struct display_env *env)
{
	struct vga_config cfg = {.devfn = DEVFN, .vram = env->vram, .width = 1024, .height = 768};
	struct vga *v = vga_new(env->pb, &cfg, NULL);

	assert_non_null(v);
	vga_device(v)->cls->reset(vga_device(v));
	pci_config_write(env->pb, DEVFN, PCI_BAR0, FB, 4);
	pci_config_write(env->pb, DEVFN, PCI_BAR0 + 8, REGS, 4);
	pci_config_write(env->pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_IO, 2);
	return v;
}

static int setup(void **state)
{
	(void)state;
	fake_begin();
	display_env_init(&e, VRAM);
	s = make(&e);
	vram = vram_host(&e.vram);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vga_free(s);
	display_env_free(&e);
	return 0;
}

static void identity_when_reset_expect_vga(void **state)
{
	assert_int_equal(pci_config_read(e.pb, DEVFN, 0, 4), 0x11111234);
	assert_int_equal(pci_config_read(e.pb, DEVFN, PCI_CLASS, 2), 0x0300);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].gpa, FB);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].len, VRAM);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
	assert_int_equal(ld(MEM), 0xff); /* not before a BIOS has let it */
	st(MEM, 1);
	assert_int_equal(vram[0], 0);
}

static void registers_when_written_expect_the_bits_there_are(void **state)
{
	static const uint8_t seq[] = {3, 0x3d, 0x0f, 0x3f, 0x0e};
	static const uint8_t gfx[] = {0x0f, 0x0f, 0x0f, 0x1f, 3, 0x7b, 0x0f, 0x0f, 0xff};

	for (unsigned i = 0; i < 8; i++) {
		outx(0x3c4, i, 0xff);
		assert_int_equal(inx(0x3c4, i), i < 5 ? seq[i] : 0);
	}
	for (unsigned i = 0; i < 16; i++) {
		outx(0x3ce, i, 0xff);
		assert_int_equal(inx(0x3ce, i), i < 9 ? gfx[i] : 0);
	}
	in(0x3da);
	in(0x3ba);
	for (unsigned i = 0; i < 0x20; i++) {
		out(0x3c0, (uint8_t)i);
		assert_int_equal(in(0x3c1), 0);
		out(0x3c0, 0xff);
		assert_int_equal(in(0x3c1), i < 16	? 0x3f
					    : i == 0x10 ? 0xef
					    : i == 0x11 ? 0xff
					    : i == 0x12 ? 0x3f
					    : i < 0x15	? 0x0f
							: 0);
	}
	out(0x3c2, 0xff);
	assert_int_equal(in(0x3cc), 0xef);
	out(0x3c6, 0x5a);
	assert_int_equal(in(0x3c6), 0x5a);
	out(0x3da, 0xff);
	assert_int_equal(in(0x3ca), 3);
	assert_int_equal(in(0x3c3), 0xff);
}

static void crtc_when_colour_or_mono_expect_one_address(void **state)
{
	out(0x3c2, 0); /* monochrome */
	outx(0x3b4, 0x0e, 0x12);
	assert_int_equal(inx(0x3b4, 0x0e), 0x12);
	assert_int_equal(in(0x3d5), 0xff);
	assert_int_equal(in(0x3da), 0xff);
	out(0x3c2, MISC_COLOR);
	assert_int_equal(in(0x3b5), 0xff);
	assert_int_equal(inx(0x3d4, 0x0e), 0x12);
	outx(0x3d4, 0x19, 0x34);
	assert_int_equal(inx(0x3d4, 0x19), 0);
	/* Protected: all of the first eight but bit 4 of the overflow register. */
	outx(0x3d4, 0x11, 0x8e);
	for (unsigned i = 0; i < 8; i++)
		outx(0x3d4, i, 0xff);
	assert_int_equal(inx(0x3d4, 0), 0);
	assert_int_equal(inx(0x3d4, 7), 0x10);
	outx(0x3d4, 0x11, 0x0e);
	outx(0x3d4, 7, 0xff);
	assert_int_equal(inx(0x3d4, 7), 0xff);
}

static void attribute_flip_flop_when_status_read_expect_index_next(void **state)
{
	out(0x3c2, MISC_COLOR);
	in(0x3da);
	out(0x3c0, 0x12); /* index */
	in(0x3da);
	out(0x3c0, 0x13); /* index again */
	out(0x3c0, 0x07);
	assert_int_equal(in(0x3c0), 0x13);
	assert_int_equal(in(0x3c1), 0x07);
}

static void dac_when_written_and_read_expect_whole_colours(void **state)
{
	out(0x3c8, 254);
	for (unsigned i = 1; i <= 9; i++)
		out(0x3c9, (uint8_t)(i | 0xc0));
	assert_int_equal(in(0x3c7), 0);
	out(0x3c7, 255);
	assert_int_equal(in(0x3c7), 3);
	for (unsigned i = 4; i <= 9; i++)
		assert_int_equal(in(0x3c9), i); /* 255, then 0 */
	/* Two parts alone change nothing. */
	out(0x3c8, 254);
	out(0x3c9, 0x3f);
	out(0x3c9, 0x3f);
	out(0x3c7, 254);
	assert_int_equal(in(0x3c9), 1);
	/* All eight bits. */
	dispi(DISPI_ENABLE, DISPI_8BIT_DAC);
	out(0x3c8, 7);
	out(0x3c9, 0xff);
	out(0x3c9, 0x80);
	out(0x3c9, 0x7f);
	out(0x3c7, 7);
	assert_int_equal(in(0x3c9), 0xff);
	assert_int_equal(in(0x3c9), 0x80);
}

static void status_when_time_passes_expect_70_frames_a_second(void **state)
{
	unsigned rises = 0, blank = 0, n = 0;
	uint8_t last = 0;

	vga_set_mode(MODE_TEXT_80, out, in);
	for (uint64_t t = 0; t < NS_PER_SEC; t += 10000, n++) {
		uint8_t v = in(0x3da);

		rises += (v & ~last & 8) != 0;
		blank += v & 1;
		assert_false((v & 8) && !(v & 1));
		last = v;
		fake_advance(10000);
	}
	assert_in_range(rises, 69, 71);
	/* 400 of 449 lines are shown, 640 of 800 dots of each. */
	assert_in_range(blank * 100 / n, 26, 31);
	/* With absurd totals it still answers. */
	vga_device(s)->cls->reset(vga_device(s));
	out(0x3c2, MISC_COLOR);
	for (unsigned i = 0; i < 50; i++, fake_advance(1000))
		in(0x3da);
}

static void window_when_mapped_expect_only_there(void **state)
{
	static const uint32_t probes[] = {0xa0000, 0xaffff, 0xb0000, 0xb7fff, 0xb8000, 0xbffff};
	static const uint8_t there[4] = {0x3f, 0x03, 0x0c, 0x30};

	vga_set_mode(MODE_16, out, in);
	for (unsigned map = 0; map < 4; map++) {
		outx(0x3ce, GFX_MISC, 1 | map << 2);
		for (unsigned i = 0; i < 6; i++) {
			memset(vram, 0, VRAM);
			st(probes[i], 0x77);
			assert_int_equal(ld(probes[i]), there[map] >> i & 1 ? 0x77 : 0xff);
		}
	}
	/* The memory can be switched off. */
	outx(0x3ce, GFX_MISC, 5);
	out(0x3c2, 0xe1);
	assert_int_equal(ld(MEM), 0xff);
}

static void text_when_written_expect_planes_0_and_1(void **state)
{
	vga_set_mode(MODE_TEXT_80, out, in);
	bus_mmio_write(e.bus, TEXT + 4, 0x1e42, 2);
	assert_int_equal(bus_mmio_read(e.bus, TEXT + 4, 4), 0x1e42);
	assert_int_equal(bus_mmio_read(e.bus, MEM, 2), 0xffff);
	/* A font, as BIOSes load it: plane 2, one byte after another. */
	outx(0x3c4, SEQ_MAP_MASK, 4);
	outx(0x3c4, SEQ_MEMORY, 6);
	outx(0x3ce, GFX_READ_MAP, 2);
	outx(0x3ce, GFX_MODE, 0);
	outx(0x3ce, GFX_MISC, 4);
	st(MEM + 33, 0x99);
	assert_int_equal(vram[33 * 4 + 2], 0x99);
	assert_int_equal(ld(MEM + 33), 0x99);
	assert_int_equal(ld_le32(vram + 4 * 4), 0x1e42);
}

/* Is text plain memory, with the rest of BAR 0 where it was? */
static bool folded(const struct display_env *env)
{
	const uint64_t front = env->window[VRAM_WINDOW_BAR].at;

	assert_int_equal(env->window[VRAM_WINDOW_BAR].gpa, FB + front);
	assert_int_equal(env->window[VRAM_WINDOW_BAR].len, VRAM - front);
	assert_true(front == 0 || front == VGA_FOLD_BYTES);
	if (!front)
		return false;
	assert_int_equal(env->window[VRAM_WINDOW_LEGACY].gpa, TEXT);
	assert_int_equal(env->window[VRAM_WINDOW_LEGACY].at, 0);
	assert_int_equal(env->window[VRAM_WINDOW_LEGACY].len, 0x8000);
	return true;
}

static void fill_memory(void)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < VRAM; i++) {
		x = x * 1103515245 + 12345;
		vram[i] = (uint8_t)(x >> 16);
	}
}

static void text_when_registers_are_usual_expect_plain_memory(void **state)
{
	static uint8_t planes[VGA_FOLD_BYTES], text[0x8000];

	fill_memory();
	memcpy(planes, vram, sizeof(planes));
	vga_set_mode(MODE_TEXT_80, out, in);
	assert_true(folded(&e));
	for (unsigned i = 0; i < sizeof(text); i++) {
		text[i] = planes[4 * (i & ~1u) + (i & 1)];
		assert_int_equal(ld(TEXT + i), text[i]);
	}
	assert_memory_equal(vram, text, sizeof(text));
	/* Each register that asks for more than bytes of two planes. */
	for (unsigned i = 0; i < 9; i++) {
		static const struct {
			uint16_t port;
			uint8_t index, val;
		} other[9] = {{0x3c4, SEQ_MAP_MASK, 7},	   {0x3c4, SEQ_MEMORY, 6},
			      {0x3ce, GFX_MODE, 0},	   {0x3ce, GFX_MODE, 0x11},
			      {0x3ce, GFX_MISC, 0x06},	   {0x3ce, GFX_BIT_MASK, 0xfe},
			      {0x3ce, GFX_DATA_ROTATE, 1}, {0x3ce, GFX_ENABLE_SET_RESET, 1},
			      {0x3ce, GFX_READ_MAP, 2}};
		uint8_t was = inx(other[i].port, other[i].index);

		outx(other[i].port, other[i].index, other[i].val);
		assert_false(folded(&e));
		assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
		assert_memory_equal(vram, planes, sizeof(planes));
		outx(other[i].port, other[i].index, was);
		assert_true(folded(&e));
		assert_memory_equal(vram, text, sizeof(text));
	}
	/* By the slow way it is the same. */
	st(TEXT + 0x7fff, (uint8_t)(text[0x7fff] + 1));
	assert_int_equal(vram[0x7fff], (uint8_t)(text[0x7fff] + 1));
	dispi(DISPI_ENABLE, DISPI_ENABLED | DISPI_NOCLEARMEM);
	assert_false(folded(&e));
	planes[0x7ffe * 4 + 1]++;
	assert_memory_equal(vram, planes, sizeof(planes));
}

static void text_when_the_frame_buffer_is_used_expect_its_bytes(void **state)
{
	static uint8_t planes[VGA_FOLD_BYTES];

	fill_memory();
	memcpy(planes, vram, sizeof(planes));
	vga_set_mode(MODE_TEXT_80, out, in);
	assert_true(folded(&e));
	assert_int_equal(bus_mmio_read(e.bus, FB + 0x1233, 8), ld_le64(planes + 0x1233));
	assert_false(folded(&e));
	assert_memory_equal(vram, planes, sizeof(planes));
	/* Text goes the slow way until the next mode. */
	bus_mmio_write(e.bus, TEXT + 6, 0x5678, 2);
	assert_int_equal(ld_le16(vram + 24), 0x5678);
	outx(0x3d4, CRTC_START_HIGH, 1);
	assert_false(folded(&e));
	outx(0x3c4, SEQ_MAP_MASK, 15);
	outx(0x3c4, SEQ_MAP_MASK, 3);
	assert_true(folded(&e));
	memset(mem_page_flags(e.mem), 0, (ENV_RAM + VRAM) >> 12);
	bus_mmio_write(e.bus, FB + 0x1fffd, 0x123456, 2);
	assert_false(folded(&e));
	assert_int_equal(ld_le16(vram + 0x1fffd), 0x3456);
	assert_int_equal(mem_page_flags(e.mem)[(ENV_RAM + 0x1fffd) >> 12], MEM_PAGE_DIRTY);
	/* Where BAR 0 is not, nobody answers. */
	vga_set_mode(MODE_16, out, in);
	vga_set_mode(MODE_TEXT_80, out, in);
	assert_true(folded(&e));
	pci_config_write(e.pb, DEVFN, PCI_BAR0, FB - 0x1000000, 4);
	assert_int_equal(bus_mmio_read(e.bus, FB, 1), 0xff);
	pci_config_write(e.pb, DEVFN, PCI_COMMAND, 0, 2);
	assert_int_equal(bus_mmio_read(e.bus, FB - 0x1000000, 1), 0xff);
	pci_config_write(e.pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM, 2);
	pci_config_write(e.pb, DEVFN, PCI_BAR0, FB, 4);
	assert_true(folded(&e));
	assert_int_equal(bus_mmio_read(e.bus, FB + 24, 2), 0x5678);
}

static void text_when_vbe_clears_expect_the_picture_cleared_alone(void **state)
{
	static uint8_t planes[VGA_FOLD_BYTES];

	fill_memory();
	memcpy(planes, vram, sizeof(planes));
	vga_set_mode(MODE_TEXT_80, out, in);
	dispi(DISPI_XRES, 128);
	dispi(DISPI_YRES, 64);
	dispi(DISPI_BPP, 8);
	dispi(DISPI_ENABLE, DISPI_ENABLED);
	memset(planes, 0, 128 * 64);
	assert_memory_equal(vram, planes, sizeof(planes));
}

static void write_when_mode_0_expect_rotate_set_logic_and_mask(void **state)
{
	vga_set_mode(MODE_16, out, in);
	st(MEM, 0x81);
	assert_int_equal(ld_le32(vram), 0x81818181);
	outx(0x3ce, GFX_DATA_ROTATE, 1);
	st(MEM, 0x81);
	assert_int_equal(ld_le32(vram), 0xc0c0c0c0);
	outx(0x3ce, GFX_DATA_ROTATE, 0);
	outx(0x3ce, GFX_SET_RESET, 0x05);
	outx(0x3ce, GFX_ENABLE_SET_RESET, 0x03); /* plane 0 ones, plane 1 zeros */
	st(MEM + 1, 0x3c);
	assert_int_equal(ld_le32(vram + 4), 0x3c3c00ff);
	outx(0x3ce, GFX_ENABLE_SET_RESET, 0);
	outx(0x3c4, SEQ_MAP_MASK, 0x06);
	st(MEM + 1, 0xee);
	assert_int_equal(ld_le32(vram + 4), 0x3ceeeeff);
	outx(0x3c4, SEQ_MAP_MASK, 0x0f);
	outx(0x3ce, GFX_BIT_MASK, 0xf0);
	st_le32(vram + 8, 0x11223344);
	ld(MEM + 2); /* the latches */
	for (unsigned op = 0; op < 4; op++) {
		static const uint32_t expect[] = {0xa1a2a3a4, 0x01222304, 0xb1a2b3e4, 0xb18293e4};

		outx(0x3ce, GFX_DATA_ROTATE, op << 3);
		st(MEM + 3, 0xa5);
		assert_int_equal(ld_le32(vram + 12), expect[op]);
	}
}

static void write_when_modes_1_to_3_expect_latches_colour_and_masked_set(void **state)
{
	vga_set_mode(MODE_16, out, in);
	st_le32(vram, 0x12345678);
	ld(MEM);
	outx(0x3ce, GFX_MODE, 1);
	outx(0x3ce, GFX_BIT_MASK, 0);
	st(MEM + 9, 0xff);
	assert_int_equal(ld_le32(vram + 36), 0x12345678);
	outx(0x3ce, GFX_MODE, 2);
	outx(0x3ce, GFX_BIT_MASK, 0x0f);
	st(MEM + 10, 0x09); /* planes 0 and 3 */
	assert_int_equal(ld_le32(vram + 40), 0x1f30507f);
	outx(0x3ce, GFX_MODE, 3);
	outx(0x3ce, GFX_BIT_MASK, 0xff);
	outx(0x3ce, GFX_SET_RESET, 0x06);
	outx(0x3ce, GFX_DATA_ROTATE, 4);
	st(MEM + 11, 0x0f); /* turned by 4: the mask */
	assert_int_equal(ld_le32(vram + 44), 0x02f4f608);
}

static void read_when_mode_1_expect_pixels_of_that_colour(void **state)
{
	vga_set_mode(MODE_16, out, in);
	/* Pixels 5, 5, 1, 0, 5, 4, 7, 13 from the left. */
	st_le32(vram, 0x01 << 24 | 0xcf << 16 | 0x02 << 8 | 0xeb);
	outx(0x3ce, GFX_MODE, 8);
	outx(0x3ce, GFX_COLOR_COMPARE, 5);
	outx(0x3ce, GFX_COLOR_DONT_CARE, 15);
	assert_int_equal(ld(MEM), 0xc8);
	outx(0x3ce, GFX_COLOR_DONT_CARE, 5); /* planes 1 and 3 do not matter */
	assert_int_equal(ld(MEM), 0xcb);
	outx(0x3ce, GFX_COLOR_DONT_CARE, 0);
	assert_int_equal(ld(MEM), 0xff);
	outx(0x3ce, GFX_MODE, 0);
	for (unsigned p = 0; p < 4; p++) {
		outx(0x3ce, GFX_READ_MAP, p);
		assert_int_equal(ld(MEM), vram[p]);
	}
}

static void mode_256_when_set_expect_plain_memory(void **state)
{
	vga_set_mode(MODE_256, out, in);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].gpa, MEM);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].at, 0);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0x10000);
	/* By the slow way it is the same. */
	for (unsigned i = 0; i < 5; i++)
		st(MEM + i, (uint8_t)(0x40 + i));
	assert_memory_equal(vram, "\x40\x41\x42\x43\x44", 5);
	assert_int_equal(ld(MEM + 3), 0x43);
	outx(0x3c4, SEQ_MAP_MASK, 0x0e);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
	st(MEM, 1);
	st(MEM + 1, 1);
	assert_memory_equal(vram, "\x40\x01\x42\x43\x44", 5);
	outx(0x3c4, SEQ_MAP_MASK, 0x0f);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0x10000);
	outx(0x3ce, GFX_BIT_MASK, 0x0f);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
	/* Mode X: each address is one byte of all planes. */
	vga_set_mode(MODE_X, out, in);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
	st(MEM + 2, 0x77);
	assert_int_equal(ld_le32(vram + 8), 0x77777777);
	vga_device(s)->cls->reset(vga_device(s));
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
}

static void bank_when_vbe_is_on_expect_it_at_a0000(void **state)
{
	vga_set_mode(MODE_TEXT_80, out, in);
	dispi(DISPI_XRES, 640);
	dispi(DISPI_YRES, 480);
	dispi(DISPI_BPP, 8);
	dispi(DISPI_ENABLE, DISPI_ENABLED | DISPI_NOCLEARMEM);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0x10000);
	dispi(DISPI_BANK, 3);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].at, 0x30000);
	st(MEM + 5, 0x5a);
	assert_int_equal(vram[0x30005], 0x5a);
	assert_int_equal(ld(MEM + 5), 0x5a);
	assert_int_equal(ld(TEXT), 0xff);
	/* A bank there is no memory for is one there is. */
	dispi(DISPI_BANK, 0xffff);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].at, VRAM - 0x10000);
	/* Sixteen colours: planes, by banks of 64 KiB each. */
	dispi(DISPI_ENABLE, 0);
	vga_set_mode(MODE_16, out, in);
	dispi(DISPI_BPP, 4);
	dispi(DISPI_ENABLE, DISPI_ENABLED | DISPI_NOCLEARMEM);
	assert_int_equal(e.window[VRAM_WINDOW_LEGACY].len, 0);
	dispi(DISPI_BANK, 1);
	outx(0x3c4, SEQ_MAP_MASK, 2);
	st(MEM + 1, 0x66);
	assert_int_equal(vram[0x10001 * 4 + 1], 0x66);
	dispi(DISPI_ENABLE, 0);
	st(MEM + 1, 0x67);
	assert_int_equal(vram[1 * 4 + 1], 0x67);
}

static void dispi_ports_when_used_expect_registers(void **state)
{
	assert_int_equal(dispi_get(DISPI_ID), 0xb0c5);
	dispi(DISPI_XRES, 1234);
	bus_pio_write(e.bus, 0x1d0, 1236, 2); /* another place of the data */
	assert_int_equal(dispi_get(DISPI_XRES), 1236);
	assert_int_equal(bus_pio_read(e.bus, 0x1d0, 2), 1236);
	assert_int_equal(bus_mmio_read(e.bus, REGS + 0x502, 2), 1236);
	assert_int_equal(bus_pio_read(e.bus, 0x1ce, 2), DISPI_XRES);
	assert_int_equal(dispi_get(DISPI_VIDEO_MEMORY_64K), VRAM >> 16);
	assert_int_equal(dispi_get(77), 0);
	memset(vram, 0xee, VRAM);
	dispi(DISPI_XRES, 320);
	dispi(DISPI_YRES, 200);
	dispi(DISPI_BPP, 8);
	dispi(DISPI_ENABLE, DISPI_ENABLED);
	assert_int_equal(vram[320 * 200 - 1], 0);
	assert_int_equal(vram[320 * 200], 0xee);
}

static void bar_when_ports_are_reached_by_it_expect_the_same(void **state)
{
	bus_mmio_write(e.bus, REGS + 0x402, 0x67, 1);
	assert_int_equal(in(0x3cc), 0x67);
	bus_mmio_write(e.bus, REGS + 0x414, 0x5a0e, 2); /* 0x3d4, 0x3d5 */
	assert_int_equal(inx(0x3d4, 0x0e), 0x5a);
	assert_int_equal(bus_mmio_read(e.bus, REGS + 0x415, 1), 0x5a);
	assert_int_equal(bus_mmio_read(e.bus, REGS, 4), 0xffffff00);
}

static void memory_when_written_expect_page_marked(void **state)
{
	vga_set_mode(MODE_16, out, in);
	memset(mem_page_flags(e.mem), 0, (ENV_RAM + VRAM) >> 12);
	st(MEM + 0x1234, 1);
	assert_int_equal(mem_page_flags(e.mem)[(ENV_RAM + 0x1234 * 4) >> 12], MEM_PAGE_DIRTY);
	assert_int_equal(mem_page_flags(e.mem)[ENV_RAM >> 12], 0);
}

static bool look(void)
{
	const struct display_source *src = vga_source(s);
	struct display_lines l;

	src->look(src->opaque);
	l = src->changed(src->opaque);
	return l.first <= l.last;
}

static void changes_when_looked_for_expect_memory_registers_and_blinking(void **state)
{
	const struct display_source *src = vga_source(s);
	struct display_picture pic = {0};

	vga_set_mode(MODE_16, out, in);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_true(look());
	assert_false(look());
	st(MEM + 0x5000, 1);
	assert_true(look());
	assert_false(look());
	vram_wrote(&e.vram, 4 * VGA_PLANE_BYTES, 4096); /* nothing of a VGA's */
	assert_false(look());
	in(0x3da);
	ld(MEM);
	fake_advance(10 * NS_PER_SEC);
	assert_false(look());
	outx(0x3d4, CRTC_START_HIGH, 1);
	assert_true(look());
	vga_set_mode(MODE_TEXT_80, out, in);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_true(look());
	assert_false(look());
	fake_advance(NS_PER_SEC * 16 / 60);
	assert_true(look());
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_false(look());
	display_picture_free(&pic);
}

static void load_when_saved_expect_registers_and_windows(void **state)
{
	struct display_env f;
	struct vga *v;

	vga_set_mode(MODE_256, out, in);
	out(0x3c7, 9);
	in(0x3c9);
	display_env_init(&f, VRAM);
	v = make(&f);
	vga_device(v)->cls->reset(vga_device(v));
	wire_transfer(vga_device(s), vga_device(v));
	assert_int_equal(f.window[VRAM_WINDOW_BAR].gpa, FB);
	assert_int_equal(f.window[VRAM_WINDOW_LEGACY].len, 0x10000);
	bus_pio_write(f.bus, 0x3d4, 0x13, 1);
	assert_int_equal(bus_pio_read(f.bus, 0x3d5, 1), 0x28);
	assert_int_equal(bus_pio_read(f.bus, 0x3c9, 1), 9);
	/* Folded memory is saved as it is. */
	vga_set_mode(MODE_TEXT_80, out, in);
	bus_mmio_write(e.bus, TEXT + 2, 0x1234, 2);
	memcpy(vram_host(&f.vram), vram, VRAM);
	wire_transfer(vga_device(s), vga_device(v));
	assert_true(folded(&f));
	assert_int_equal(bus_mmio_read(f.bus, TEXT + 2, 2), 0x1234);
	assert_int_equal(bus_mmio_read(f.bus, FB + 8, 2), 0x1234);
	vga_free(v);
	display_env_free(&f);
}

static void load_when_no_guest_can_make_it_expect_refusal(void **state)
{
	static const char *const names[] = {"core.r.gfx_index", "core.r.attr_second",
					    "core.r.dac_part",	"core.r.seq",
					    "core.r.misc",	"core.folded"};
	struct device *d = vga_device(s);
	static uint8_t buf[16384];
	long n = device_save(d, buf, sizeof(buf));

	assert_true(n > 0);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t *at = memmem(buf, (size_t)n, names[i], strlen(names[i])), old;

		assert_non_null(at);
		at += strlen(names[i]) + 1 + 2 + 4; /* kind, element size, count */
		old = *at;
		*at = 0xff;
		assert_int_equal(device_load(d, buf, (size_t)n, NULL), -EINVAL);
		*at = old;
	}
	assert_int_equal(device_load(d, buf, (size_t)n, NULL), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity_when_reset_expect_vga),
		T(registers_when_written_expect_the_bits_there_are),
		T(crtc_when_colour_or_mono_expect_one_address),
		T(attribute_flip_flop_when_status_read_expect_index_next),
		T(dac_when_written_and_read_expect_whole_colours),
		T(status_when_time_passes_expect_70_frames_a_second),
		T(window_when_mapped_expect_only_there),
		T(text_when_written_expect_planes_0_and_1),
		T(text_when_registers_are_usual_expect_plain_memory),
		T(text_when_the_frame_buffer_is_used_expect_its_bytes),
		T(text_when_vbe_clears_expect_the_picture_cleared_alone),
		T(write_when_mode_0_expect_rotate_set_logic_and_mask),
		T(write_when_modes_1_to_3_expect_latches_colour_and_masked_set),
		T(read_when_mode_1_expect_pixels_of_that_colour),
		T(mode_256_when_set_expect_plain_memory),
		T(bank_when_vbe_is_on_expect_it_at_a0000),
		T(dispi_ports_when_used_expect_registers),
		T(bar_when_ports_are_reached_by_it_expect_the_same),
		T(memory_when_written_expect_page_marked),
		T(changes_when_looked_for_expect_memory_registers_and_blinking),
		T(load_when_saved_expect_registers_and_windows),
		T(load_when_no_guest_can_make_it_expect_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
