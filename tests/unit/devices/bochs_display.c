// SPDX-License-Identifier: GPL-2.0-or-later
/* The linear frame buffer, its registers, EDID: make t T=devices/bochs_display */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/display/bochs_bar.h"
#include "devices/display/bochs_display.h"
#include "devices/display/lfb.h"
#include "display_env.h"

#define VRAM (4u << 20)
#define DEVFN 0x10
#define FB 0xfd000000u
#define REGS 0xfebf0000u
#define DISPI(i) (REGS + 0x500 + 2 * (i))

static struct display_env e;
static struct bochs_display *s;

static uint64_t rd(uint64_t gpa, unsigned size)
{
	return bus_mmio_read(e.bus, gpa, size);
}

static void wr(uint64_t gpa, uint64_t val, unsigned size)
{
	bus_mmio_write(e.bus, gpa, val, size);
}

static struct bochs_display *make(struct display_env *env, bool no_edid)
{
	struct bochs_display_config cfg = {.devfn = DEVFN,
					   .vram = env->vram,
					   .no_edid = no_edid,
					   .width = 1280,
					   .height = 800};
	struct bochs_display *d = bochs_display_new(env->pb, &cfg, NULL);

	assert_non_null(d);
	bochs_display_device(d)->cls->reset(bochs_display_device(d));
	pci_config_write(env->pb, DEVFN, PCI_BAR0, FB, 4);
	pci_config_write(env->pb, DEVFN, PCI_BAR0 + 8, REGS, 4);
	pci_config_write(env->pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM, 2);
	return d;
}

static int setup(void **state)
{
	(void)state;
	display_env_init(&e, VRAM);
	s = make(&e, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bochs_display_free(s);
	display_env_free(&e);
	return 0;
}

static void set_mode(unsigned width, unsigned height, unsigned bpp, unsigned enable)
{
	wr(DISPI(DISPI_ENABLE), 0, 2);
	wr(DISPI(DISPI_XRES), width, 2);
	wr(DISPI(DISPI_YRES), height, 2);
	wr(DISPI(DISPI_BPP), bpp, 2);
	wr(DISPI(DISPI_ENABLE), enable, 2);
}

static void identity_when_reset_expect_display_that_is_no_vga(void **state)
{
	assert_int_equal(pci_config_read(e.pb, DEVFN, 0, 4), 0x11111234);
	assert_int_equal(pci_config_read(e.pb, DEVFN, PCI_CLASS, 2), 0x0380);
	assert_int_equal(pci_config_read(e.pb, DEVFN, PCI_REVISION, 1), 2);
	assert_int_equal(pci_config_read(e.pb, DEVFN, PCI_BAR0, 4), FB | 8);
	pci_config_write(e.pb, DEVFN, PCI_BAR0, 0xffffffff, 4);
	assert_int_equal(pci_config_read(e.pb, DEVFN, PCI_BAR0, 4), (uint32_t)-VRAM | 8);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].len, 0);
}

static void frame_buffer_when_bar_decodes_expect_window(void **state)
{
	assert_int_equal(e.window[VRAM_WINDOW_BAR].gpa, FB);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].at, 0);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].len, VRAM);
	pci_config_write(e.pb, DEVFN, PCI_COMMAND, 0, 2);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].len, 0);
	pci_config_write(e.pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM, 2);
	assert_int_equal(e.window[VRAM_WINDOW_BAR].len, VRAM);
	bochs_display_device(s)->cls->reset(bochs_display_device(s));
	assert_int_equal(e.window[VRAM_WINDOW_BAR].len, 0);
}

static void registers_when_read_expect_version_and_memory(void **state)
{
	assert_int_equal(rd(DISPI(DISPI_ID), 2), 0xb0c5);
	assert_int_equal(rd(DISPI(DISPI_VIDEO_MEMORY_64K), 2), VRAM >> 16);
	assert_int_equal(rd(DISPI(DISPI_ID), 1), 0xc5);
	assert_int_equal(rd(DISPI(DISPI_ID) + 1, 1), 0xb0);
	wr(DISPI(DISPI_ID), 0xb0c2, 2);
	assert_int_equal(rd(DISPI(DISPI_ID), 2), 0xb0c2);
	wr(DISPI(DISPI_ID), 0x1234, 2);
	assert_int_equal(rd(DISPI(DISPI_ID), 2), 0xb0c2);
	wr(DISPI(DISPI_ENABLE), DISPI_GETCAPS, 2);
	assert_int_equal(rd(DISPI(DISPI_XRES), 2), DISPI_XRES_MAX);
	assert_int_equal(rd(DISPI(DISPI_YRES), 2), DISPI_YRES_MAX);
	assert_int_equal(rd(DISPI(DISPI_BPP), 2), 32);
	/* Two at once; what is between and behind registers. */
	wr(DISPI(DISPI_ENABLE), 0, 2);
	wr(DISPI(DISPI_XRES), 600u << 16 | 800, 4);
	assert_int_equal(rd(DISPI(DISPI_XRES), 4), 600u << 16 | 800);
	assert_int_equal(rd(REGS + 0x4c0, 4), 0xffffffff);
	assert_int_equal(rd(REGS + 0x516, 2), 0xffff);
	assert_int_equal(rd(REGS + 0x600, 4), 8);
	assert_int_equal(rd(REGS + 0x604, 4), 0x1e1e1e1e);
}

static void mode_when_enabled_expect_picture_of_cleared_memory(void **state)
{
	const struct display_source *src = bochs_display_source(s);
	struct display_picture pic = {0};
	uint8_t *fb = vram_host(&e.vram);

	memset(fb, 0xff, VRAM);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, 640);
	assert_int_equal(pic.px[1000], 0);
	set_mode(800, 600, 32, DISPI_ENABLED | DISPI_LFB_ENABLED);
	assert_int_equal(fb[800 * 600 * 4 - 1], 0);
	assert_int_equal(fb[800 * 600 * 4], 0xff);
	assert_true(mem_page_flags(e.mem)[ENV_RAM >> 12] & MEM_PAGE_DIRTY);
	st_le32(fb + (10 * 800 + 20) * 4, 0x99123456);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, 800);
	assert_int_equal(pic.height, 600);
	assert_int_equal(display_picture_line(&pic, 10)[20], 0x123456);
	assert_int_equal(display_picture_line(&pic, 10)[21], 0);
	wr(REGS + 0x604, 0xbebebebe, 4);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(display_picture_line(&pic, 10)[20], 0x341299);
	set_mode(800, 600, 32, DISPI_ENABLED | DISPI_NOCLEARMEM);
	assert_int_equal(fb[(10 * 800 + 20) * 4], 0x56);
	display_picture_free(&pic);
}

static struct display_lines look(void)
{
	const struct display_source *src = bochs_display_source(s);

	src->look(src->opaque);
	return src->changed(src->opaque);
}

static void changes_when_looked_for_expect_lines_that_were_written(void **state)
{
	struct display_lines l;

	set_mode(1024, 768, 32, DISPI_ENABLED); /* a page a line */
	l = look();
	assert_int_equal(l.first, 0);
	assert_int_equal(l.last, UINT32_MAX);
	l = look();
	assert_true(l.last < l.first);
	vram_wrote(&e.vram, 100 * 4096 + 4000, 200);
	vram_wrote(&e.vram, 700 * 4096, 1);
	l = look();
	assert_int_equal(l.first, 100);
	assert_int_equal(l.last, 700);
	l = look();
	assert_true(l.last < l.first);
	/* Below what is shown. */
	vram_wrote(&e.vram, 768 * 4096, 1);
	l = look();
	assert_true(l.last < l.first);
	wr(DISPI(DISPI_Y_OFFSET), 100, 2);
	assert_int_equal(look().last, UINT32_MAX);
	vram_wrote(&e.vram, 768 * 4096, 1);
	l = look();
	assert_int_equal(l.first, 668);
	assert_int_equal(l.last, 668);
	vram_wrote(&e.vram, 99 * 4096, 4096);
	l = look();
	assert_true(l.last < l.first);
	/* Looked for twice before it is asked for: nothing is lost. */
	vram_wrote(&e.vram, 100 * 4096, 1);
	bochs_display_source(s)->look(bochs_display_source(s)->opaque);
	l = look();
	assert_int_equal(l.first, 0);
	assert_int_equal(l.last, 0);
	wr(DISPI(DISPI_ENABLE), 0, 2);
	assert_int_equal(look().last, UINT32_MAX);
	vram_wrote(&e.vram, 100 * 4096, 1);
	assert_true(look().last == 0);
}

static void mode_when_it_does_not_fit_expect_what_fits(void **state)
{
	struct dispi d = {.vram_bytes = VRAM};
	struct dispi_mode m;

	dispi_reset(&d);
	assert_false(dispi_mode(&d, &m));
	dispi_write(&d, DISPI_XRES, 1024);
	dispi_write(&d, DISPI_YRES, 0xffff);
	dispi_write(&d, DISPI_BPP, 32);
	assert_true(dispi_write(&d, DISPI_ENABLE, DISPI_ENABLED));
	assert_true(dispi_mode(&d, &m));
	assert_int_equal(m.height, 1024); /* 4 MiB of lines of 4 KiB */
	assert_int_equal(dispi_clear_bytes(&d), VRAM);
	dispi_write(&d, DISPI_YRES, 768);
	dispi_write(&d, DISPI_Y_OFFSET, 1000);
	assert_int_equal(dispi_read(&d, DISPI_Y_OFFSET), 1024 - 768);
	dispi_write(&d, DISPI_VIRT_WIDTH, 1100);
	dispi_write(&d, DISPI_X_OFFSET, 100);
	assert_int_equal(dispi_read(&d, DISPI_X_OFFSET), 76);
	assert_int_equal(dispi_read(&d, DISPI_VIRT_WIDTH), 1100);
	assert_int_equal(dispi_read(&d, DISPI_VIRT_HEIGHT), VRAM / 4400);
	dispi_write(&d, DISPI_VIRT_WIDTH, 5);
	assert_int_equal(dispi_read(&d, DISPI_VIRT_WIDTH), 1024);
	dispi_write(&d, DISPI_XRES, 0xffff);
	dispi_write(&d, DISPI_VIRT_WIDTH, 0xffff);
	assert_true(dispi_mode(&d, &m));
	assert_int_equal(m.width, DISPI_XRES_MAX);
	assert_int_equal(m.height, VRAM / (0xffff * 4));
	dispi_write(&d, DISPI_BPP, 12);
	assert_false(dispi_mode(&d, &m));
	assert_int_equal(dispi_clear_bytes(&d), 0);
}

static void pixels_when_of_any_depth_expect_colours(void **state)
{
	static const struct {
		uint8_t bpp, bytes[4];
		uint32_t colour;
	} cases[] = {
		{8, {7}, 0x070707},
		{15, {0x00, 0x7c}, 0xff0000},
		{15, {0xe0, 0x03}, 0x00ff00},
		{16, {0x00, 0xf8}, 0xff0000},
		{16, {0xe0, 0x07}, 0x00ff00},
		{16, {0x10, 0x00}, 0x000084},
		{24, {0x11, 0x22, 0x33}, 0x332211},
		{32, {0x11, 0x22, 0x33, 0}, 0x332211},
		{4, {0x80, 0x00, 0x80, 0x80}, 0x0d0d0d},
	};
	uint32_t palette[256];
	struct display_picture pic = {0};
	uint8_t *fb = vram_host(&e.vram);

	for (unsigned i = 0; i < 256; i++)
		palette[i] = i * 0x010101;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dispi d = {.vram_bytes = VRAM};
		struct dispi_mode m;

		dispi_reset(&d);
		dispi_write(&d, DISPI_XRES, 64);
		dispi_write(&d, DISPI_YRES, 16);
		dispi_write(&d, DISPI_BPP, cases[i].bpp);
		dispi_write(&d, DISPI_ENABLE, DISPI_ENABLED);
		dispi_write(&d, DISPI_VIRT_WIDTH, 96);
		dispi_write(&d, DISPI_X_OFFSET, 8);
		dispi_write(&d, DISPI_Y_OFFSET, 2);
		assert_true(dispi_mode(&d, &m));
		assert_int_equal(m.stride, cases[i].bpp == 4 ? 48 : 96 * ((cases[i].bpp + 7) / 8));
		memset(fb, 0, 4096);
		memcpy(fb + m.start, cases[i].bytes, 4);
		assert_int_equal(lfb_draw(&m, fb, false, palette, &pic), 0);
		assert_int_equal(pic.px[0], cases[i].colour);
		assert_int_equal(pic.px[64 + 1], 0);
	}
	display_picture_free(&pic);
}

static void edid_when_read_expect_preferred_size_and_sum(void **state)
{
	uint8_t b[EDID_BYTES], sum = 0;
	unsigned clock, total;

	for (unsigned i = 0; i < EDID_BYTES; i++) {
		b[i] = (uint8_t)rd(REGS + i, 1);
		sum += b[i];
	}
	assert_int_equal(sum, 0);
	assert_int_equal(ld_be32(b), 0x00ffffff);
	assert_int_equal(b[54 + 2] | (b[54 + 4] & 0xf0) << 4, 1280);
	assert_int_equal(b[54 + 5] | (b[54 + 7] & 0xf0) << 4, 800);
	clock = ld_le16(b + 54) * 10000u;
	total = (1280 + b[54 + 3]) * (800u + b[54 + 6]);
	assert_in_range(clock / total, 59, 60);
	assert_int_equal(b[126], 0); /* no more blocks */
	assert_int_equal(rd(REGS + EDID_BYTES, 4), 0);
	/* The largest and the smallest one, too. */
	edid_make(b, EDID_SIZE_MAX, EDID_SIZE_MAX);
	edid_make(b, EDID_SIZE_MIN, EDID_SIZE_MIN);
	assert_int_equal(b[56], 64);
}

static void edid_when_off_expect_ones(void **state)
{
	struct display_env f;
	struct bochs_display *d;

	display_env_init(&f, VRAM);
	d = make(&f, true);
	assert_int_equal(bus_mmio_read(f.bus, REGS, 4), 0xffffffff);
	bochs_display_free(d);
	display_env_free(&f);
}

static void load_when_saved_expect_mode_and_window(void **state)
{
	struct display_env f;
	struct bochs_display *d;

	set_mode(640, 480, 16, DISPI_ENABLED);
	wr(REGS + 0x604, 0xbebebebe, 4);
	display_env_init(&f, VRAM);
	d = make(&f, false);
	bochs_display_device(d)->cls->reset(bochs_display_device(d));
	wire_transfer(bochs_display_device(s), bochs_display_device(d));
	assert_int_equal(f.window[VRAM_WINDOW_BAR].gpa, FB);
	assert_int_equal(bus_mmio_read(f.bus, DISPI(DISPI_XRES), 2), 640);
	assert_int_equal(bus_mmio_read(f.bus, DISPI(DISPI_ENABLE), 2), DISPI_ENABLED);
	assert_int_equal(bus_mmio_read(f.bus, REGS + 0x604, 4), 0xbebebebe);
	bochs_display_free(d);
	display_env_free(&f);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity_when_reset_expect_display_that_is_no_vga),
		T(frame_buffer_when_bar_decodes_expect_window),
		T(registers_when_read_expect_version_and_memory),
		T(mode_when_enabled_expect_picture_of_cleared_memory),
		T(changes_when_looked_for_expect_lines_that_were_written),
		T(mode_when_it_does_not_fit_expect_what_fits),
		T(pixels_when_of_any_depth_expect_colours),
		T(edid_when_read_expect_preferred_size_and_sum),
		T(edid_when_off_expect_ones),
		T(load_when_saved_expect_mode_and_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
