// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-gpu, alone and with a VGA: make t T=devices/virtio_gpu */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "devices/display/edid.h"
#include "devices/virtio/virtio_gpu.h"
#include "fake_time.h"
#include "gpu_driver.h"
#include "virtio_driver.h"

#define VRAM (1u << 20)
#define VGA_VRAM (1u << 20)

static struct drv d;
static struct virtio_gpu *g;
static const struct display_source *src;
static struct display_picture pic;
static unsigned moved;
static struct {
	gpa_t gpa;
	uint64_t len;
} window;

static bool show(void *opaque, enum vram_window n, gpa_t gpa, uint64_t at, uint64_t len)
{
	if (n != VRAM_WINDOW_BAR)
		return false;
	moved++;
	window.gpa = gpa;
	window.len = len;
	return len > 0;
}

/* A driver's machine with memory for the adapter behind its RAM. */
static void make_in(struct drv *drv, struct virtio_gpu **out, bool vga, bool no_edid)
{
	struct virtio_gpu_config cfg = {.no_edid = no_edid, .width = 1024, .height = 768};
	struct vga_config v = {.width = 1024, .height = 768};

	drv_init(drv);
	mem_free(drv->mem);
	drv->mem = mem_new(DRV_RAM + VRAM + VGA_VRAM, 0, NULL);
	assert_non_null(drv->mem);
	assert_int_equal(mem_map(drv->mem, 0, DRV_RAM, MEM_RAM, 0), 0);
	cfg.virtio.bus = drv->pb;
	cfg.virtio.devfn = DRV_DEVFN;
	cfg.virtio.mem = drv->mem;
	cfg.virtio.loop = fake_begin();
	cfg.virtio.queues = VIRTIO_GPU_QUEUES;
	cfg.vram = (struct vram){.mem = drv->mem, .off = DRV_RAM, .bytes = VRAM};
	v.vram = (struct vram){.mem = drv->mem,
			       .off = DRV_RAM + VRAM,
			       .bytes = VGA_VRAM,
			       .show = show};
	cfg.vga = vga ? &v : NULL;
	*out = virtio_gpu_new(&cfg, NULL);
	assert_non_null(*out);
	virtio_gpu_device(*out)->cls->reset(virtio_gpu_device(*out));
}

static void make(bool no_edid)
{
	make_in(&d, &g, false, no_edid);
	src = virtio_gpu_source(g);
	drv_start(&d, no_edid ? 0 : GPU_F_EDID, 2, 16);
}

static int teardown(void **state)
{
	virtio_gpu_free(g);
	drv_free(&d);
	display_picture_free(&pic);
	return 0;
}

/* What the next look finds changed. */
static struct display_lines look(void)
{
	src->look(src->opaque);
	return src->changed(src->opaque);
}

static void expect_lines(uint32_t first, uint32_t last)
{
	struct display_lines l = look();

	assert_int_equal(l.first, first);
	assert_int_equal(l.last, last);
}

static void expect_no_change(void)
{
	struct display_lines l = look();

	assert_true(l.first > l.last);
}

static uint32_t dot(uint32_t x, uint32_t y)
{
	return display_picture_line(&pic, y)[x];
}

/* A resource of 64 by 48 with guest memory at PIXELS, shown. */
#define PIXELS 0x200000u
#define WIDTH 64u
#define HEIGHT 48u

static void show_one(uint32_t format)
{
	assert_int_equal(gpu_create_2d(&d, 1, format, WIDTH, HEIGHT), GPU_OK);
	assert_int_equal(gpu_attach_one(&d, 1, PIXELS, WIDTH * HEIGHT * 4), GPU_OK);
	assert_int_equal(gpu_scanout(&d, 1, 0, 0, WIDTH, HEIGHT), GPU_OK);
}

static void paint(gpa_t at, uint32_t n, uint32_t seed)
{
	for (uint32_t i = 0; i < n; i++)
		st_le32(drv_p(&d, at + 4 * i), (i + seed) * 2654435761u);
}

static uint32_t painted(uint32_t i, uint32_t seed)
{
	return (i + seed) * 2654435761u & 0xffffff;
}

static void identity_when_reset_expect_a_display_without_vga(void **state)
{
	make(false);
	assert_int_equal(drv_cfg(&d, 0, 4), 0x10501af4);
	assert_int_equal(drv_cfg(&d, PCI_CLASS, 2), 0x0380);
	assert_int_equal(drv_rd(&d, 0x2000 + 8, 4), 1);	 /* num_scanouts */
	assert_int_equal(drv_rd(&d, 0x2000 + 12, 4), 0); /* num_capsets */
	assert_int_equal(drv_rd(&d, 0x12, 2), 2);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, 640);
	assert_int_equal(dot(0, 0), 0);
}

static void display_info_when_asked_expect_the_monitors_size(void **state)
{
	const uint8_t *a;

	make(false);
	assert_int_equal(gpu_ask(&d, 0x100, NULL, 0), GPU_OK_DISPLAY_INFO);
	assert_int_equal(gpu_answer_len, 24 + 16 * 24);
	a = drv_p(&d, GPU_ANSWER) + 24;
	assert_int_equal(ld_le32(a + 8), 1024);
	assert_int_equal(ld_le32(a + 12), 768);
	assert_int_equal(ld_le32(a + 16), 1);
	assert_int_equal(ld_le32(a + 24 + 16), 0); /* the second is off */
}

static void edid_when_asked_expect_size_and_sum(void **state)
{
	uint32_t args[2] = {0, 0};
	const uint8_t *e;
	uint8_t sum = 0;

	make(false);
	assert_int_equal(gpu_ask(&d, 0x10a, args, 2), GPU_OK_EDID);
	assert_int_equal(gpu_answer_len, 24 + 8 + 1024);
	assert_int_equal(ld_le32(drv_p(&d, GPU_ANSWER + 24)), 128);
	e = drv_p(&d, GPU_ANSWER + 32);
	for (unsigned i = 0; i < 128; i++)
		sum = (uint8_t)(sum + e[i]);
	assert_int_equal(sum, 0);
	assert_int_equal(e[56] | (e[58] & 0xf0) << 4, 1024);
	args[0] = 1;
	assert_int_equal(gpu_ask(&d, 0x10a, args, 2), GPU_ERR_SCANOUT);
}

static void edid_when_off_expect_no_feature_and_error(void **state)
{
	uint32_t args[2] = {0, 0};

	make(true);
	assert_false(drv_offered(&d) & GPU_F_EDID);
	assert_int_equal(gpu_ask(&d, 0x10a, args, 2), GPU_ERR_UNSPEC);
}

static void edid_when_made_for_all_sizes_expect_valid_ones(void **state)
{
	static const struct {
		unsigned w, h;
	} sizes[] = {{64, 64},	   {640, 480},	 {1280, 800},  {1920, 1080},
		     {2560, 1440}, {3840, 2160}, {4095, 4095}, {64, 4095}};

	make(false);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t e[EDID_BYTES], sum = 0;
		const uint8_t *p = e + 54;
		unsigned clock, total;

		edid_make(e, sizes[i].w, sizes[i].h);
		for (unsigned k = 0; k < EDID_BYTES; k++)
			sum = (uint8_t)(sum + e[k]);
		assert_int_equal(sum, 0);
		assert_int_equal(p[2] | (p[4] & 0xf0u) << 4, sizes[i].w);
		assert_int_equal(p[5] | (p[7] & 0xf0u) << 4, sizes[i].h);
		clock = ld_le16(p);
		total = (sizes[i].w + p[3] + ((p[4] & 15u) << 8)) *
			(sizes[i].h + p[6] + ((p[7] & 15u) << 8));
		/* 60 Hz, where the clock can be said. */
		if (clock < 0xffff)
			assert_in_range((clock + 1) * 10000ull * 100 / total, 5900, 6100);
		assert_true(e[24] & 2);
	}
	/* Of the largest that is meant to be used, it can be. */
	assert_true(3840u <= EDID_SIZE_MAX);
}

static void picture_when_transferred_and_flushed_expect_it_exactly(void **state)
{
	make(false);
	expect_lines(0, UINT32_MAX);
	show_one(2);
	expect_lines(0, UINT32_MAX);
	paint(PIXELS, WIDTH * HEIGHT, 1);
	/* Before the transfer the screen has nothing of it. */
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, WIDTH);
	assert_int_equal(pic.height, HEIGHT);
	assert_int_equal(dot(5, 5), 0);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 0), GPU_OK);
	expect_no_change();
	assert_int_equal(gpu_flush_2d(&d, 1, 0, 0, WIDTH, HEIGHT), GPU_OK);
	expect_lines(0, HEIGHT - 1);
	expect_no_change();
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(dot(i % WIDTH, i / WIDTH), painted(i, 1));
	/* What the guest draws later is its own until the next transfer. */
	paint(PIXELS, WIDTH * HEIGHT, 9);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(dot(0, 0), painted(0, 1));
}

static void transfer_when_of_a_part_expect_that_part(void **state)
{
	make(false);
	show_one(2);
	paint(PIXELS, WIDTH * HEIGHT, 3);
	/* The offset says where the part begins in the guest's memory. */
	assert_int_equal(gpu_transfer_2d(&d, 1, 8, 4, 16, 10, (4 * WIDTH + 8) * 4), GPU_OK);
	look();
	assert_int_equal(gpu_flush_2d(&d, 1, 8, 4, 16, 10), GPU_OK);
	expect_lines(4, 13);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t x = i % WIDTH, y = i / WIDTH;
		bool in = x >= 8 && x < 24 && y >= 4 && y < 14;

		assert_int_equal(dot(x, y), in ? painted(i, 3) : 0);
	}
	/* From the list's beginning. */
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 4, 1, 0), GPU_OK);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(dot(3, 0), painted(3, 3));
	assert_int_equal(dot(4, 0), 0);
}

static void transfer_when_memory_is_in_pieces_expect_them_in_order(void **state)
{
	uint32_t args[2 + 4 * 3] = {1,
				    3,
				    PIXELS + 0x3000,
				    0,
				    5000,
				    0, /* not whole pixels' lines */
				    PIXELS,
				    0,
				    4,
				    0,
				    PIXELS + 0x5000,
				    0,
				    WIDTH * HEIGHT * 4 - 5004,
				    0};

	make(false);
	assert_int_equal(gpu_create_2d(&d, 1, 2, WIDTH, HEIGHT), GPU_OK);
	assert_int_equal(gpu_ask(&d, 0x106, args, 14), GPU_OK);
	assert_int_equal(gpu_scanout(&d, 1, 0, 0, WIDTH, HEIGHT), GPU_OK);
	paint(PIXELS + 0x3000, 1250, 0);
	paint(PIXELS, 1, 1250);
	paint(PIXELS + 0x5000, WIDTH * HEIGHT - 1251, 1251);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 0), GPU_OK);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(dot(i % WIDTH, i / WIDTH), painted(i, 0));
	/* One byte more than there is. */
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 1), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 1, 1, UINT64_MAX), GPU_ERR_PARAMETER);
}

static void lines_when_drawn_again_expect_those_alone(void **state)
{
	struct display_lines l = {10, 12};

	make(false);
	show_one(2);
	paint(PIXELS, WIDTH * HEIGHT, 3);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 0), GPU_OK);
	/* A picture of another size is drawn whole, and so is none. */
	assert_int_equal(src->draw_lines(src->opaque, &pic, &l), 0);
	assert_int_equal(l.first, 0);
	assert_true(l.last >= HEIGHT - 1);
	assert_int_equal(dot(5, 0), painted(5, 3));
	memset(pic.px, 0, WIDTH * HEIGHT * 4);
	l = (struct display_lines){10, 12};
	assert_int_equal(src->draw_lines(src->opaque, &pic, &l), 0);
	assert_int_equal(l.first, 10);
	assert_int_equal(l.last, 12);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t y = i / WIDTH;

		assert_int_equal(dot(i % WIDTH, y), y >= 10 && y <= 12 ? painted(i, 3) : 0);
	}
	l = (struct display_lines){HEIGHT - 1, UINT32_MAX};
	assert_int_equal(src->draw_lines(src->opaque, &pic, &l), 0);
	assert_int_equal(dot(0, HEIGHT - 1), painted((HEIGHT - 1) * WIDTH, 3));
	l = (struct display_lines){HEIGHT + 5, UINT32_MAX};
	assert_int_equal(src->draw_lines(src->opaque, &pic, &l), 0);
	pic.width--;
	l = DISPLAY_NO_LINES;
	assert_int_equal(src->draw_lines(src->opaque, &pic, &l), 0);
	assert_int_equal(pic.width, WIDTH);
	assert_int_equal(dot(5, 0), painted(5, 3));
}

static void formats_when_drawn_expect_colours(void **state)
{
	static const struct {
		uint32_t format;
		uint8_t bytes[4]; /* of red 0x11, green 0x22, blue 0x33 */
	} f[] = {
		{1, {0x33, 0x22, 0x11, 0x80}},	 {2, {0x33, 0x22, 0x11, 0xff}},
		{3, {0x80, 0x11, 0x22, 0x33}},	 {4, {0xff, 0x11, 0x22, 0x33}},
		{67, {0x11, 0x22, 0x33, 0x80}},	 {68, {0xff, 0x33, 0x22, 0x11}},
		{121, {0x80, 0x33, 0x22, 0x11}}, {134, {0x11, 0x22, 0x33, 0xff}},
	};
	const uint32_t args[2] = {1, 0};

	make(false);
	for (unsigned i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
		show_one(f[i].format);
		memcpy(drv_p(&d, PIXELS), f[i].bytes, 4);
		assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 1, 1, 0), GPU_OK);
		assert_int_equal(src->draw(src->opaque, &pic), 0);
		assert_int_equal(dot(0, 0), 0x112233);
		assert_int_equal(gpu_ask(&d, 0x102, args, 2), GPU_OK);
	}
	assert_int_equal(gpu_create_2d(&d, 1, 5, 8, 8), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_create_2d(&d, 1, 258, 8, 8), GPU_ERR_PARAMETER);
}

static void scanout_when_a_part_is_shown_expect_that_part(void **state)
{
	make(false);
	show_one(2);
	paint(PIXELS, WIDTH * HEIGHT, 7);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 0), GPU_OK);
	assert_int_equal(gpu_scanout(&d, 1, 10, 20, 30, 25), GPU_OK);
	expect_lines(0, UINT32_MAX);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, 30);
	assert_int_equal(pic.height, 25);
	assert_int_equal(dot(29, 24), painted(44 * WIDTH + 39, 7));
	/* A flush beside it changes nothing; one that begins above it begins at its first line. */
	assert_int_equal(gpu_flush_2d(&d, 1, 0, 0, WIDTH, 20), GPU_OK);
	assert_int_equal(gpu_flush_2d(&d, 1, 40, 20, 24, 20), GPU_OK);
	expect_no_change();
	assert_int_equal(gpu_flush_2d(&d, 1, 0, 18, WIDTH, 4), GPU_OK);
	expect_lines(0, 1);
	/* Off. */
	assert_int_equal(gpu_scanout(&d, 0, 0, 0, 0, 0), GPU_OK);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(dot(29, 24), 0);
}

static void scanout_when_impossible_expect_errors(void **state)
{
	uint32_t second[6] = {0, 0, 8, 8, 1, 1};

	make(false);
	show_one(2);
	assert_int_equal(gpu_scanout(&d, 9, 0, 0, 8, 8), GPU_ERR_RESOURCE);
	assert_int_equal(gpu_scanout(&d, 1, 0, 0, WIDTH + 1, 8), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_scanout(&d, 1, 1, 0, WIDTH, 8), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_scanout(&d, 1, 1, 0, ~0u, 8), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_scanout(&d, 1, 0, 0, 0, 8), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_ask(&d, 0x103, second, 6), GPU_ERR_SCANOUT);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, WIDTH);
}

static void resource_when_it_goes_expect_nothing_shown_of_it(void **state)
{
	uint32_t args[2] = {1, 0};

	make(false);
	show_one(2);
	paint(PIXELS, WIDTH * HEIGHT, 7);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 0), GPU_OK);
	look();
	assert_int_equal(gpu_ask(&d, 0x102, args, 2), GPU_OK);
	expect_lines(0, UINT32_MAX);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(dot(1, 1), 0);
	assert_int_equal(gpu_ask(&d, 0x102, args, 2), GPU_ERR_RESOURCE);
	/* The next one in its place begins black. */
	show_one(2);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(dot(i % WIDTH, i / WIDTH), 0);
}

static void resources_when_too_large_or_many_expect_bounded(void **state)
{
	uint32_t args[2] = {0, 0};
	unsigned n = 0;

	make(false);
	assert_int_equal(gpu_create_2d(&d, 0, 2, 8, 8), GPU_ERR_RESOURCE);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 0, 8), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 8, 16385), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 16384, 16384), GPU_ERR_MEMORY);
	/* VRAM is a MiB: 512 by 512, and no other. */
	assert_int_equal(gpu_create_2d(&d, 1, 2, 512, 512), GPU_OK);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 8, 8), GPU_ERR_RESOURCE);
	assert_int_equal(gpu_create_2d(&d, 2, 2, 8, 8), GPU_ERR_MEMORY);
	args[0] = 1;
	assert_int_equal(gpu_ask(&d, 0x102, args, 2), GPU_OK);
	while (gpu_create_2d(&d, n + 1, 2, 8, 8) == GPU_OK)
		n++;
	assert_int_equal(n, VRAM / 4096);
	/* One in the middle goes: there is room for one page, and not for two. */
	args[0] = 100;
	assert_int_equal(gpu_ask(&d, 0x102, args, 2), GPU_OK);
	assert_int_equal(gpu_create_2d(&d, 1000, 2, 32, 33), GPU_ERR_MEMORY);
	assert_int_equal(gpu_create_2d(&d, 1000, 2, 32, 32), GPU_OK);
}

static void backing_when_impossible_expect_errors(void **state)
{
	uint32_t args[2] = {1, 0};

	make(false);
	assert_int_equal(gpu_attach_one(&d, 1, PIXELS, 4096), GPU_ERR_RESOURCE);
	assert_int_equal(gpu_create_2d(&d, 1, 2, WIDTH, HEIGHT), GPU_OK);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 8, 8, 0), GPU_ERR_UNSPEC);
	assert_int_equal(gpu_ask(&d, 0x107, args, 2), GPU_ERR_UNSPEC);
	/* Beyond RAM, empty, more said than sent, none, too many. */
	assert_int_equal(gpu_attach_one(&d, 1, DRV_RAM - 4096, 8192), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_attach_one(&d, 1, UINT64_MAX - 4095, 8192), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_attach_one(&d, 1, PIXELS, 0), GPU_ERR_PARAMETER);
	args[1] = 2;
	assert_int_equal(gpu_ask(&d, 0x106, args, 2), GPU_ERR_PARAMETER);
	args[1] = 0;
	assert_int_equal(gpu_ask(&d, 0x106, args, 2), GPU_ERR_PARAMETER);
	args[1] = ~0u;
	assert_int_equal(gpu_ask(&d, 0x106, args, 2), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_attach_one(&d, 1, PIXELS, 4096), GPU_OK);
	assert_int_equal(gpu_attach_one(&d, 1, PIXELS, 4096), GPU_ERR_UNSPEC);
	/* It has less than the picture. */
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, 16, 0), GPU_OK);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, 17, 0), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH + 1, 1, 0), GPU_ERR_PARAMETER);
	assert_int_equal(gpu_transfer_2d(&d, 1, ~0u, 0, 2, 1, 0), GPU_ERR_PARAMETER);
	/* The memory goes while it is behind the picture. */
	assert_int_equal(mem_map(d.mem, PIXELS, 4096, MEM_MMIO, 0), 0);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 8, 8, 0), GPU_ERR_PARAMETER);
	args[1] = 0;
	assert_int_equal(gpu_ask(&d, 0x107, args, 2), GPU_OK);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 8, 8, 0), GPU_ERR_UNSPEC);
}

static void command_when_fenced_or_unknown_expect_header(void **state)
{
	uint32_t cmd[6] = {0x100, 1, 0x12345678, 0x9abcdef0, 77, 0xff};
	struct drv_buf b[2] = {{GPU_COMMAND, 24}, {GPU_ANSWER, 24}};

	make(false);
	memcpy(drv_p(&d, GPU_COMMAND), cmd, sizeof(cmd));
	drv_submit(&d, 0, b, 1, 1);
	assert_int_equal(gpu_take(&d, 0), GPU_OK_DISPLAY_INFO);
	assert_int_equal(ld_le32(drv_p(&d, GPU_ANSWER + 4)), 1);
	assert_int_equal(ld_le64(drv_p(&d, GPU_ANSWER + 8)), 0x9abcdef012345678);
	assert_int_equal(ld_le32(drv_p(&d, GPU_ANSWER + 16)), 77);
	assert_int_equal(gpu_answer_len, 24); /* as much as there was room for */
	assert_int_equal(gpu_ask(&d, 0x207, NULL, 0), GPU_ERR_UNSPEC);
	assert_int_equal(gpu_ask(&d, 0x300, NULL, 0), GPU_ERR_UNSPEC); /* the other queue's */
	assert_int_equal(ld_le32(drv_p(&d, GPU_ANSWER + 4)), 0);
	/* Half a command. */
	assert_int_equal(gpu_ask(&d, 0x101, NULL, 0), GPU_ERR_PARAMETER);
	b[0].len = 3;
	drv_submit(&d, 0, b, 1, 1);
	assert_int_equal(gpu_take(&d, 0), GPU_ERR_PARAMETER);
}

/* ---- Cursor -------------------------------------------------------------------------------------- */

static void make_cursor(uint32_t argb)
{
	/* B8G8R8X8, as Linux has it: X is alpha all the same. */
	assert_int_equal(gpu_create_2d(&d, 5, 2, 64, 64), GPU_OK);
	assert_int_equal(gpu_attach_one(&d, 5, 0x300000, 64 * 64 * 4), GPU_OK);
	for (unsigned i = 0; i < 64 * 64; i++)
		st_le32(drv_p(&d, 0x300000 + 4 * i), argb);
	assert_int_equal(gpu_transfer_2d(&d, 5, 0, 0, 64, 64, 0), GPU_OK);
}

static void cursor_when_set_and_moved_expect_shape_place_and_lines(void **state)
{
	static struct display_cursor c;

	make(false);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 200, 200), GPU_OK);
	assert_int_equal(gpu_scanout(&d, 1, 0, 0, 200, 200), GPU_OK);
	assert_false(src->cursor(src->opaque, &c));
	make_cursor(0x80402010);
	look();
	gpu_cursor(&d, 0x300, 5, 100, 50, 3, 4);
	expect_lines(0, 113); /* where it was, and where it is */
	assert_true(src->cursor(src->opaque, &c));
	assert_int_equal(c.x, 100);
	assert_int_equal(c.y, 50);
	assert_int_equal(c.hot_x, 3);
	assert_int_equal(c.hot_y, 4);
	assert_int_equal(c.px[0], 0x80402010);
	assert_int_equal(c.px[64 * 64 - 1], 0x80402010);
	expect_no_change();
	/* A move needs no resource; the same place again changes nothing. */
	gpu_cursor(&d, 0x301, 0, 100, 60, 0, 0);
	expect_lines(50, 123);
	gpu_cursor(&d, 0x301, 0, 100, 60, 0, 0);
	expect_no_change();
	/* To the left and above: negative places. */
	gpu_cursor(&d, 0x301, 0, (uint32_t)-10, (uint32_t)-20, 0, 0);
	expect_lines(0, 123);
	assert_true(src->cursor(src->opaque, &c));
	assert_int_equal(c.x, -10);
	assert_int_equal(c.y, -20);
	assert_int_equal(c.hot_x, 3);
	/* The resource may go; none hides it. */
	{
		uint32_t args[2] = {5, 0};

		assert_int_equal(gpu_ask(&d, 0x102, args, 2), GPU_OK);
	}
	assert_true(src->cursor(src->opaque, &c));
	assert_int_equal(c.px[7], 0x80402010);
	look();
	gpu_cursor(&d, 0x300, 0, 0, 0, 0, 0);
	assert_false(src->cursor(src->opaque, &c));
	expect_lines(0, 43);
}

static void cursor_when_of_another_size_or_unknown_expect_it_left_out(void **state)
{
	static struct display_cursor c;

	make(false);
	show_one(2);
	gpu_cursor(&d, 0x300, 1, 0, 0, 0, 0); /* 64 by 48 */
	assert_int_equal(gpu_take(&d, 1), GPU_ERR_PARAMETER);
	gpu_cursor(&d, 0x300, 99, 0, 0, 0, 0);
	assert_int_equal(gpu_take(&d, 1), GPU_ERR_RESOURCE);
	assert_false(src->cursor(src->opaque, &c));
	make_cursor(0xffffffff);
	gpu_cursor(&d, 0x300, 5, 0, 0, 64, ~0u);
	assert_true(src->cursor(src->opaque, &c));
	assert_int_equal(c.hot_x, 0);
	assert_int_equal(c.hot_y, 0);
	/* With nothing on the screen there is none on it. */
	assert_int_equal(gpu_scanout(&d, 0, 0, 0, 0, 0), GPU_OK);
	assert_false(src->cursor(src->opaque, &c));
}

/* ---- Size, reset, state -------------------------------------------------------------------------- */

static void size_when_another_is_wished_expect_event_and_edid(void **state)
{
	uint32_t args[2] = {0, 0};
	unsigned before;
	const uint8_t *e;

	make(false);
	drv_msix(&d, 3);
	drv_wr(&d, 0x10, 0, 2);
	before = d.msis;
	src->resize(src->opaque, 1366, 768);
	assert_int_equal(d.msis, before + 1);
	assert_int_equal(drv_rd(&d, 0x2000, 4), 1);
	assert_int_equal(gpu_ask(&d, 0x100, NULL, 0), GPU_OK_DISPLAY_INFO);
	assert_int_equal(ld_le32(drv_p(&d, GPU_ANSWER + 24 + 8)), 1360);
	assert_int_equal(gpu_ask(&d, 0x10a, args, 2), GPU_OK_EDID);
	e = drv_p(&d, GPU_ANSWER + 32);
	assert_int_equal(e[56] | (e[58] & 0xf0) << 4, 1360);
	drv_wr(&d, 0x2004, 1, 4);
	assert_int_equal(drv_rd(&d, 0x2000, 4), 0);
	assert_int_equal(drv_rd(&d, 0x2004, 4), 0);
	/* What is no size of a monitor, and what is there already. */
	before = d.msis;
	src->resize(src->opaque, 0, 0);
	src->resize(src->opaque, 5000, 700);
	src->resize(src->opaque, ~0u, ~0u);
	src->resize(src->opaque, 1360, 768);
	assert_int_equal(drv_rd(&d, 0x2000, 4), 0);
	assert_int_equal(d.msis, before);
}

static void reset_when_by_the_driver_expect_nothing_left(void **state)
{
	make(false);
	show_one(2);
	make_cursor(0xffffffff);
	drv_wr(&d, 0x14, 0, 1);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(dot(0, 0), 0);
	d.heap = 0x10000;
	drv_start(&d, 0, 2, 16);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 512, 512), GPU_OK);
}

static void state_when_saved_expect_picture_and_memory_again(void **state)
{
	static uint8_t buf[1 << 17];
	static struct display_cursor c;
	struct drv e;
	struct virtio_gpu *other;
	const struct display_source *s;
	long n;

	make(false);
	show_one(2);
	paint(PIXELS, WIDTH * HEIGHT, 5);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, WIDTH, HEIGHT, 0), GPU_OK);
	make_cursor(0xff010203);
	gpu_cursor(&d, 0x300, 5, 7, 8, 1, 2);
	src->resize(src->opaque, 800, 600);
	n = device_save(virtio_gpu_device(g), buf, sizeof(buf));
	assert_true(n > 0);
	fake_advance(1);
	make_in(&e, &other, false, false);
	memcpy(mem_base(e.mem), mem_base(d.mem), DRV_RAM + VRAM); /* as the machine does */
	assert_int_equal(device_load(virtio_gpu_device(other), buf, (size_t)n, NULL), 0);
	s = virtio_gpu_source(other);
	assert_int_equal(s->draw(s->opaque, &pic), 0);
	assert_int_equal(pic.width, WIDTH);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(dot(i % WIDTH, i / WIDTH), painted(i, 5));
	assert_true(s->cursor(s->opaque, &c));
	assert_int_equal(c.x, 7);
	assert_int_equal(c.px[9], 0xff010203);
	/* The driver goes on where it was, with the memory behind its picture. */
	memcpy(e.q, d.q, sizeof(e.q));
	st_le32(drv_p(&e, PIXELS), 0xabcdef);
	assert_int_equal(gpu_transfer_2d(&e, 1, 0, 0, 1, 1, 0), GPU_OK);
	assert_int_equal(gpu_create_2d(&e, 9, 2, 512, 500), GPU_ERR_MEMORY);
	assert_int_equal(s->draw(s->opaque, &pic), 0);
	assert_int_equal(dot(0, 0), 0xabcdef);
	assert_int_equal(gpu_ask(&e, 0x100, NULL, 0), GPU_OK_DISPLAY_INFO);
	assert_int_equal(ld_le32(drv_p(&e, GPU_ANSWER + 24 + 8)), 800);
	virtio_gpu_free(other);
	drv_free(&e);
}

/* The value of field `name` in a saved state: its first byte. */
static uint8_t *value_of(uint8_t *buf, long n, const char *name)
{
	uint8_t *at = memmem(buf, (size_t)n, name, strlen(name));

	assert_non_null(at);
	return at + strlen(name) + 7;
}

static void load_when_no_guest_can_make_it_expect_refusal(void **state)
{
	static const struct {
		const char *name;
		unsigned off;
		uint8_t val;
	} bad[] = {
		{"enabled", 0, 2},     {"shown", 0, 3},	     {"scanout.width", 0, 0},
		{"scanout.x", 0, 1},   {"width", 1, 0xff},   {"has_cursor", 0, 2},
		{"hot_x", 0, 64},      {"res.width", 1, 64}, {"res.format", 0, 7},
		{"res.at", 3, 1},      {"res.at", 4, 0},     {"res.entries", 1, 0xff},
		{"res.list_at", 0, 0}, {"res.id", 4, 1},     {"events", 0, 2},
	};
	static uint8_t buf[1 << 17];
	struct device *dev;
	long n;

	make(false);
	show_one(2);
	make_cursor(0);
	dev = virtio_gpu_device(g);
	n = device_save(dev, buf, sizeof(buf));
	assert_true(n > 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char name[32];
		uint8_t *at, old;

		/* With the length in front, so that it is the whole name. */
		snprintf(name, sizeof(name), "%c%s", (char)strlen(bad[i].name), bad[i].name);
		at = value_of(buf, n, name) + bad[i].off;
		old = *at;
		*at = bad[i].val;
		assert_int_equal(device_load(dev, buf, (size_t)n, NULL), -EINVAL);
		*at = old;
		assert_int_equal(device_load(dev, buf, (size_t)n, NULL), 0);
	}
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, WIDTH);
}

static void queue_when_full_of_large_transfers_expect_it_in_turns(void **state)
{
	uint32_t id, len;
	unsigned done = 0;

	make_in(&d, &g, false, false);
	src = virtio_gpu_source(g);
	drv_start(&d, 0, 1, 128);
	fake_advance(1);
	assert_int_equal(gpu_create_2d(&d, 1, 2, 500, 512), GPU_OK);
	assert_int_equal(gpu_attach_one(&d, 1, 0x100000, 500 * 512 * 4), GPU_OK);
	for (unsigned i = 0; i < 40; i++) {
		uint32_t cmd[14] = {0x105, [8] = 500, [9] = 512, [12] = 1};
		struct drv_buf b[2] = {{0x5000 + 0x40 * i, 56}, {0x9000 + 0x20 * i, 24}};

		memcpy(drv_p(&d, b[0].gpa), cmd, sizeof(cmd));
		drv_avail(&d, 0, drv_chain(&d, 0, b, 1, 1));
	}
	drv_kick(&d, 0);
	while (drv_used(&d, 0, &id, &len))
		done++;
	/* 32 MiB of them, then somebody else. */
	assert_int_equal(done, 33);
	fake_advance(1);
	while (drv_used(&d, 0, &id, &len))
		done++;
	assert_int_equal(done, 40);
	assert_int_equal(ld_le32(drv_p(&d, 0x9000 + 0x20 * 39)), GPU_OK);
}

/* ---- With a VGA ---------------------------------------------------------------------------------- */

#define VGA_BAR0 0xd0000000u
#define VGA_BAR2 0xe0000000u

static void make_vga(void)
{
	moved = 0;
	make_in(&d, &g, true, false);
	src = virtio_gpu_source(g);
	drv_set_cfg(&d, PCI_BAR0, VGA_BAR0, 4);
	drv_set_cfg(&d, PCI_BAR0 + 8, VGA_BAR2, 4);
	drv_set_cfg(&d, PCI_BAR0 + 12, 0, 4);
	drv_set_cfg(&d, PCI_BAR0 + 16, 0xe0010000, 4);
	drv_set_cfg(&d, PCI_COMMAND, 7, 2);
}

static uint32_t vga_rd(unsigned off, unsigned size)
{
	return (uint32_t)bus_mmio_read(d.bus, VGA_BAR2 + off, size);
}

static void vga_wr(unsigned off, uint32_t val, unsigned size)
{
	bus_mmio_write(d.bus, VGA_BAR2 + off, val, size);
}

static void vga_when_no_driver_runs_expect_bochs_registers_and_picture(void **state)
{
	make_vga();
	assert_int_equal(drv_cfg(&d, 0, 4), 0x10501af4);
	assert_int_equal(drv_cfg(&d, PCI_CLASS, 2), 0x0300);
	assert_int_equal(window.gpa, VGA_BAR0);
	assert_int_equal(window.len, VGA_VRAM);
	assert_int_equal(vga_rd(0, 4), 0xffffff00); /* EDID */
	assert_int_equal(vga_rd(0x500, 2), 0xb0c5);
	assert_int_equal(bus_pio_read(d.bus, 0x1ce, 2), 0);
	vga_wr(0x502, 320, 2);
	vga_wr(0x504, 200, 2);
	vga_wr(0x506, 32, 2);
	vga_wr(0x508, 0x41, 2);
	bus_pio_write(d.bus, 0x3c0, 0x20, 1); /* the palette is the display's */
	st_le32(mem_base(d.mem) + DRV_RAM + VRAM, 0x112233);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, 320);
	assert_int_equal(dot(0, 0), 0x112233);
}

static void vga_when_the_driver_runs_expect_its_picture_until_reset(void **state)
{
	unsigned at;

	make_vga();
	/* Where the capabilities say the blocks are. */
	at = drv_cap(&d, 9, 1);
	assert_int_equal(drv_cfg(&d, at + 4, 1), 2);
	assert_int_equal(drv_cfg(&d, at + 8, 4), 0x1000);
	assert_int_equal(drv_cfg(&d, at + 12, 4), 0x800);
	assert_int_equal(drv_cfg(&d, drv_cap(&d, 9, 3) + 8, 4), 0x1800);
	assert_int_equal(drv_cfg(&d, drv_cap(&d, 9, 4) + 8, 4), 0x2000);
	assert_int_equal(drv_cfg(&d, drv_cap(&d, 9, 2) + 8, 4), 0x3000);
	assert_int_equal(drv_cfg(&d, drv_cap(&d, 0x11, 0) + 4, 4) & 7, 4);
	/* The driver's helpers know one place only: move the BAR so that the common block is there. */
	drv_set_cfg(&d, PCI_BAR0 + 8, DRV_BAR4, 4);
	assert_int_equal(bus_mmio_read(d.bus, DRV_BAR4 + 0x1012, 2), 2); /* NUM_QUEUES */
	d.common = 0x1000;
	assert_true(drv_negotiate(&d, VIRTIO_F_VERSION_1 | GPU_F_EDID));
	drv_queue(&d, 0, 16);
	drv_queue(&d, 1, 16);
	drv_ok(&d);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, 640); /* still the VGA, which shows nothing */
	show_one(2);
	paint(PIXELS, 1, 1);
	assert_int_equal(gpu_transfer_2d(&d, 1, 0, 0, 1, 1, 0), GPU_OK);
	assert_int_equal(src->draw(src->opaque, &pic), 0);
	assert_int_equal(pic.width, WIDTH);
	assert_int_equal(dot(0, 0), painted(0, 1));
	assert_int_equal(src->text(src->opaque, NULL), -ENODATA);
	look();
	drv_wr(&d, 0x14, 0, 1);
	expect_lines(0, UINT32_MAX);
}

static void vga_when_saved_expect_both_again(void **state)
{
	static uint8_t buf[1 << 17];
	struct device *dev;
	long n;

	make_vga();
	vga_wr(0x502, 320, 2);
	dev = virtio_gpu_device(g);
	n = device_save(dev, buf, sizeof(buf));
	assert_true(n > 0);
	dev->cls->reset(dev);
	assert_int_equal(window.len, 0);
	assert_int_equal(device_load(dev, buf, (size_t)n, NULL), 0);
	assert_int_equal(window.len, VGA_VRAM);
	assert_int_equal(vga_rd(0x502, 2), 320);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity_when_reset_expect_a_display_without_vga),
		T(display_info_when_asked_expect_the_monitors_size),
		T(edid_when_asked_expect_size_and_sum),
		T(edid_when_off_expect_no_feature_and_error),
		T(edid_when_made_for_all_sizes_expect_valid_ones),
		T(picture_when_transferred_and_flushed_expect_it_exactly),
		T(transfer_when_of_a_part_expect_that_part),
		T(transfer_when_memory_is_in_pieces_expect_them_in_order),
		T(lines_when_drawn_again_expect_those_alone),
		T(formats_when_drawn_expect_colours),
		T(scanout_when_a_part_is_shown_expect_that_part),
		T(scanout_when_impossible_expect_errors),
		T(resource_when_it_goes_expect_nothing_shown_of_it),
		T(resources_when_too_large_or_many_expect_bounded),
		T(backing_when_impossible_expect_errors),
		T(command_when_fenced_or_unknown_expect_header),
		T(cursor_when_set_and_moved_expect_shape_place_and_lines),
		T(cursor_when_of_another_size_or_unknown_expect_it_left_out),
		T(size_when_another_is_wished_expect_event_and_edid),
		T(reset_when_by_the_driver_expect_nothing_left),
		T(state_when_saved_expect_picture_and_memory_again),
		T(load_when_no_guest_can_make_it_expect_refusal),
		T(queue_when_full_of_large_transfers_expect_it_in_turns),
		T(vga_when_no_driver_runs_expect_bochs_registers_and_picture),
		T(vga_when_the_driver_runs_expect_its_picture_until_reset),
		T(vga_when_saved_expect_both_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
