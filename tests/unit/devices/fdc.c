// SPDX-License-Identifier: GPL-2.0-or-later
/* Floppy controller with the 8237 it transfers by: make t T=devices/fdc */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/storage/fdc.h"
#include "fake_blk.h"
#include "wire.h"

#define RAM (1u << 20)
#define AT 0x20000u

static struct {
	struct bus *bus;
	struct mem *mem;
	struct i8237_pair *dma;
	struct fdc *f;
	struct blk_queue *q;
	struct wire irq;
	uint8_t result[10];
} t;

static struct lodge_err err;

static void fill(struct blk_queue *q)
{
	for (uint64_t i = 0; i + 512 <= q->b.size; i += 512)
		st_le32(q->b.data + i, (uint32_t)(i / 512) + 1);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.bus = bus_new();
	t.mem = mem_new(RAM, 0, NULL);
	assert_int_equal(mem_map(t.mem, 0, RAM, MEM_RAM, 0), 0);
	t.dma = i8237_new(t.mem);
	assert_int_equal(i8237_map(t.dma, t.bus), 0);

	const struct fdc_config cfg = {.irq = wire_line(&t.irq), .dma = t.dma};

	t.f = fdc_new(&cfg);
	assert_int_equal(fdc_map(t.f, t.bus, 0x3f0), 0);
	t.q = fake_blk_new(1474560);
	fill(t.q);
	assert_int_equal(fdc_add_drive(t.f, 0, t.q, false, FDC_TYPE_NONE, &err), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fdc_free(t.f);
	i8237_free(t.dma);
	bus_free(t.bus);
	mem_free(t.mem);
	fake_blk_free(t.q);
	return 0;
}

static void send(const uint8_t *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(inb(t.bus, 0x3f4) & 0xc0, 0x80);
		outb(t.bus, 0x3f5, b[i]);
	}
}
#define SEND(...) send((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void get(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(inb(t.bus, 0x3f4) & 0xd0, 0xd0);
		t.result[i] = inb(t.bus, 0x3f5);
	}
	assert_int_equal(inb(t.bus, 0x3f4), 0x80);
}

/* Reset, sense four times, set the rate. */
static void bring_up(void)
{
	outb(t.bus, 0x3f2, 0x00);
	outb(t.bus, 0x3f2, 0x1c);
	assert_true(t.irq.level);
	for (unsigned i = 0; i < 4; i++) {
		SEND(8);
		get(2);
		assert_int_equal(t.result[0], 0xc0 | i);
	}
	assert_false(t.irq.level);
	SEND(3, 0xaf, 0x02);
	outb(t.bus, 0x3f7, 0);
	SEND(7, 0);
	assert_true(t.irq.level);
	SEND(8);
	get(2);
	assert_int_equal(t.result[0], 0x20);
	assert_int_equal(t.result[1], 0);
}

static void dma(uint8_t mode, uint32_t at, uint32_t bytes)
{
	outb(t.bus, 0x0a, 6); /* mask */
	outb(t.bus, 0x0c, 0);
	outb(t.bus, 0x0b, mode | 2);
	outb(t.bus, 0x04, (uint8_t)at);
	outb(t.bus, 0x04, (uint8_t)(at >> 8));
	outb(t.bus, 0x81, (uint8_t)(at >> 16));
	outb(t.bus, 0x05, (uint8_t)(bytes - 1));
	outb(t.bus, 0x05, (uint8_t)((bytes - 1) >> 8));
	outb(t.bus, 0x0a, 2);
}

static uint32_t ram32(uint32_t at)
{
	uint8_t b[4];

	assert_int_equal(mem_read(t.mem, at, b, 4), 0);
	return ld_le32(b);
}

static void seek(uint8_t track)
{
	SEND(0x0f, 0, track);
	SEND(8);
	get(2);
	assert_int_equal(t.result[0], 0x20);
	assert_int_equal(t.result[1], track);
}

static void read_when_by_dma_expect_sectors_across_heads(void **state)
{
	(void)state;
	bring_up();
	seek(3);
	dma(0x44, AT, 20 * 512);
	SEND(0xe6, 0, 3, 0, 17, 2, 18, 0x1b, 0xff);
	assert_int_equal(inb(t.bus, 0x3f4), 0x10);
	fake_blk_run(t.q);
	assert_true(t.irq.level);
	get(7);
	assert_false(t.irq.level);
	assert_int_equal(t.result[0] & 0xf8, 0);
	assert_int_equal(t.result[1], 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ram32(AT + 512 * i), 3 * 36 + 16 + i + 1);
	/* The address behind: cylinder 4, head 0, sector 1. */
	assert_int_equal(t.result[3], 4);
	assert_int_equal(t.result[4], 0);
	assert_int_equal(t.result[5], 1);
	/* Terminal count masks the channel, and is shown. */
	assert_int_equal(inb(t.bus, 0x08) & 4, 4);
}

static void read_when_channel_masked_expect_it_waits(void **state)
{
	(void)state;
	bring_up();
	dma(0x44, AT, 512);
	outb(t.bus, 0x0a, 6);
	SEND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	assert_false(t.irq.level);
	outb(t.bus, 0x0a, 2);
	assert_true(t.irq.level);
	assert_int_equal(ram32(AT), 1);
	get(7);
}

static void read_when_no_terminal_count_expect_end_of_cylinder(void **state)
{
	(void)state;
	bring_up();
	dma(0x44, AT, 4 * 512);
	SEND(0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	get(7);
	assert_int_equal(t.result[0] & 0xc0, 0x40);
	assert_int_equal(t.result[1], 0x80);
	assert_int_equal(ram32(AT + 512), 18);
	assert_int_equal(ram32(AT + 1024), 0);
}

static void read_when_by_fifo_expect_bytes(void **state)
{
	(void)state;
	bring_up();
	SEND(3, 0xaf, 0x03); /* no DMA */
	SEND(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	for (unsigned i = 0; i < 512; i++) {
		assert_int_equal(inb(t.bus, 0x3f4), 0xf0);
		assert_int_equal(inb(t.bus, 0x3f5), i == 0 ? 18 : 0);
	}
	get(7);
	assert_int_equal(t.result[1], 0x80);
}

static void write_when_by_dma_expect_on_disk(void **state)
{
	uint8_t b[1024];

	(void)state;
	memset(b, 0xa5, sizeof(b));
	assert_int_equal(mem_write(t.mem, AT, b, sizeof(b)), 0);
	bring_up();
	dma(0x48, AT, 1024);
	SEND(0xc5, 4, 0, 1, 2, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	get(7);
	assert_int_equal(t.result[0], 4);
	assert_int_equal(t.q->writes, 2);
	assert_int_equal(t.q->b.data[19 * 512], 0xa5);
	assert_int_equal(t.q->b.data[21 * 512 - 1], 0xa5);
	assert_int_equal(ld_le32(t.q->b.data + 21 * 512), 22);
}

static void write_when_protected_expect_refused(void **state)
{
	(void)state;
	assert_int_equal(fdc_set_medium(t.f, 0, t.q, true, &err), 0);
	bring_up();
	dma(0x48, AT, 512);
	SEND(0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	get(7);
	assert_int_equal(t.result[1], 2);
	assert_int_equal(t.q->writes, 0);
	SEND(4, 0);
	get(1);
	assert_int_equal(t.result[0], 0x78);
}

static void format_when_run_expect_filled_track(void **state)
{
	uint8_t ids[18 * 4];

	(void)state;
	for (unsigned i = 0; i < 18; i++)
		memcpy(ids + 4 * i, ((uint8_t[]){1, 1, (uint8_t)(i + 1), 2}), 4);
	assert_int_equal(mem_write(t.mem, AT, ids, sizeof(ids)), 0);
	bring_up();
	seek(1);
	dma(0x48, AT, sizeof(ids));
	SEND(0x4d, 4, 2, 18, 0x54, 0xf6);
	fake_blk_run(t.q);
	get(7);
	assert_int_equal(t.result[0] & 0xc0, 0);
	assert_int_equal(t.q->writes, 18);
	assert_int_equal(t.q->b.data[54 * 512], 0xf6);
	assert_int_equal(t.q->b.data[72 * 512 - 1], 0xf6);
	assert_int_equal(ld_le32(t.q->b.data + 72 * 512), 73);
}

static void sector_when_bad_expect_data_error(void **state)
{
	(void)state;
	t.q->b.bad_from = 512;
	t.q->b.bad_to = 1024;
	bring_up();
	dma(0x44, AT, 1024);
	SEND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	get(7);
	assert_int_equal(t.result[0], 0x40);
	assert_int_equal(t.result[1], 0x20);
	assert_int_equal(t.result[5], 2);
}

static void address_when_wrong_expect_not_found(void **state)
{
	(void)state;
	bring_up();
	dma(0x44, AT, 512);
	SEND(0x46, 0, 5, 0, 1, 2, 18, 0x1b, 0xff); /* the heads are on 0 */
	get(7);
	assert_int_equal(t.result[1], 4);
	assert_int_equal(t.result[2], 0x10);
	SEND(0x46, 0, 0, 0, 19, 2, 18, 0x1b, 0xff);
	get(7);
	assert_int_equal(t.result[1], 4);
	outb(t.bus, 0x3f7, 2); /* 250 kb/s is not of this disk */
	SEND(0x4a, 0);
	get(7);
	assert_int_equal(t.result[0], 0x40);
	assert_int_equal(t.result[1], 1);
	outb(t.bus, 0x3f7, 0);
	SEND(0x4a, 0);
	get(7);
	assert_int_equal(t.result[0], 0);
	SEND(0x46, 1, 0, 0, 1, 2, 18, 0x1b, 0xff); /* there is no second drive */
	get(7);
	assert_int_equal(t.result[0], 0x49);
	SEND(7, 1);
	SEND(8);
	get(2);
	assert_int_equal(t.result[0], 0x71);
}

static void change_line_when_stepped_expect_cleared(void **state)
{
	(void)state;
	bring_up();
	assert_int_equal(inb(t.bus, 0x3f7), 0);
	assert_int_equal(fdc_set_medium(t.f, 0, t.q, false, &err), 0);
	assert_int_equal(inb(t.bus, 0x3f7), 0x80);
	seek(1);
	assert_int_equal(inb(t.bus, 0x3f7), 0);
	assert_int_equal(fdc_set_medium(t.f, 0, NULL, false, &err), 0);
	seek(0);
	assert_int_equal(inb(t.bus, 0x3f7), 0x80);
	outb(t.bus, 0x3f2, 0x0c); /* motor off */
	assert_int_equal(inb(t.bus, 0x3f7), 0);
}

static void commands_when_small_expect_their_answers(void **state)
{
	(void)state;
	bring_up();
	SEND(0x10);
	get(1);
	assert_int_equal(t.result[0], 0x90);
	SEND(0x94);
	get(1);
	assert_int_equal(t.result[0], 0x10);
	SEND(0x13, 0, 0x57, 0);
	SEND(0x0e);
	get(10);
	assert_int_equal(t.result[4], 0xaf);
	assert_int_equal(t.result[7] & 0x80, 0x80);
	assert_int_equal(t.result[8], 0x57);
	SEND(0xff);
	get(1);
	assert_int_equal(t.result[0], 0x80);
	SEND(8); /* nothing to tell */
	get(1);
	assert_int_equal(t.result[0], 0x80);
}

static void reset_when_write_under_way_expect_the_next_waits(void **state)
{
	(void)state;
	bring_up();
	dma(0x48, AT, 512);
	SEND(0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	bring_up();
	dma(0x44, AT, 512);
	SEND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_blk_run(t.q);
	get(7);
	assert_int_equal(t.result[0], 0);
	assert_int_equal(t.q->writes, 1);
	assert_int_equal(t.q->reads, 1);
}

static void image_when_no_floppy_expect_sentence(void **state)
{
	struct blk_queue *q = fake_blk_new(5000000), *small = fake_blk_new(100000);

	(void)state;
	assert_int_equal(fdc_add_drive(t.f, 1, q, false, FDC_TYPE_NONE, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "5000000"));
	assert_int_equal(fdc_add_drive(t.f, 0, small, false, FDC_TYPE_NONE, &err), -EBUSY);
	assert_int_equal(fdc_add_drive(t.f, 1, small, false, FDC_TYPE_NONE, &err), 0);
	assert_int_equal(fdc_drive_type(t.f, 1), FDC_TYPE_1M44);
	fdc_free(t.f);
	t.f = NULL;
	fake_blk_free(q);
	fake_blk_free(small);
}

static void image_when_short_expect_blanks(void **state)
{
	struct blk_queue *small = fake_blk_new(700);

	(void)state;
	fill(small);
	small->b.data[600] = 0x77;
	assert_int_equal(fdc_set_medium(t.f, 0, small, false, &err), 0);
	bring_up();
	dma(0x44, AT, 1536);
	SEND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fake_blk_run(small);
	get(7);
	assert_int_equal(t.result[0], 0);
	assert_int_equal(ram32(AT), 1);
	assert_int_equal(ram32(AT + 600), 0x77);
	assert_int_equal(ram32(AT + 1024), 0);
	assert_int_equal(fdc_set_medium(t.f, 0, NULL, false, &err), 0);
	fake_blk_free(small);
}

static uint8_t saved[65536];

static void state_when_saved_under_way_expect_made_again(void **state)
{
	long n;

	(void)state;
	bring_up();
	dma(0x44, AT, 512);
	SEND(0x46, 0, 0, 0, 5, 2, 18, 0x1b, 0xff);
	n = device_save(fdc_device(t.f), saved, sizeof(saved));
	assert_true(n > 0);
	fdc_device(t.f)->cls->reset(fdc_device(t.f));
	assert_int_equal(device_load(fdc_device(t.f), saved, (size_t)n, NULL), 0);
	assert_int_equal(ram32(AT), 0);
	fake_blk_run(t.q);
	assert_true(t.irq.level);
	get(7);
	assert_int_equal(ram32(AT), 5);
}

static void channel_when_16_bit_expect_words(void **state)
{
	uint8_t b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	bool tc;

	(void)state;
	outb(t.bus, 0xd4, 6); /* channel 6: mask */
	outb(t.bus, 0xd8, 0);
	outb(t.bus, 0xd6, 0x56); /* write, auto-initialize */
	outb(t.bus, 0xc8, 0x00);
	outb(t.bus, 0xc8, 0x80);
	outb(t.bus, 0x89, 0x03); /* bit 0 counts for nothing */
	outb(t.bus, 0xca, 3);
	outb(t.bus, 0xca, 0);
	assert_int_equal(i8237_transfer(t.dma, 6, b, 8, true, &tc), 0);
	outb(t.bus, 0xd4, 2);
	assert_int_equal(i8237_transfer(t.dma, 6, b, 8, false, &tc), 0); /* the wrong way */
	assert_int_equal(i8237_transfer(t.dma, 6, b, 6, true, &tc), 6);
	assert_false(tc);
	assert_int_equal(ram32(0x30000), 0x04030201);
	assert_int_equal(i8237_transfer(t.dma, 6, b + 6, 8, true, &tc), 2);
	assert_true(tc);
	assert_int_equal(ram32(0x30004), 0x08070605);
	assert_int_equal(inb(t.bus, 0xca), 3); /* begun anew */
}

static void channel_when_downwards_expect_reversed(void **state)
{
	uint8_t b[4] = {1, 2, 3, 4};
	bool tc;

	(void)state;
	dma(0x64, AT + 1, 4);
	assert_int_equal(i8237_transfer(t.dma, 2, b, 4, true, &tc), 4);
	assert_true(tc);
	/* It wraps within its 64 KiB. */
	assert_int_equal(ram32(AT) & 0xffff, 0x0102);
	assert_int_equal(ram32(AT + 0xfffc) >> 16, 0x0304);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(read_when_by_dma_expect_sectors_across_heads),
		T(read_when_channel_masked_expect_it_waits),
		T(read_when_no_terminal_count_expect_end_of_cylinder),
		T(read_when_by_fifo_expect_bytes),
		T(write_when_by_dma_expect_on_disk),
		T(write_when_protected_expect_refused),
		T(format_when_run_expect_filled_track),
		T(sector_when_bad_expect_data_error),
		T(address_when_wrong_expect_not_found),
		T(change_line_when_stepped_expect_cleared),
		T(commands_when_small_expect_their_answers),
		T(reset_when_write_under_way_expect_the_next_waits),
		T(image_when_no_floppy_expect_sentence),
		T(image_when_short_expect_blanks),
		T(state_when_saved_under_way_expect_made_again),
		T(channel_when_16_bit_expect_words),
		T(channel_when_downwards_expect_reversed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
