// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-blk: make t T=devices/virtio_blk */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "fake_disk.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_blk.h"

#define DISK (1u << 20)
#define HEADER 0x1000
#define STATUS 0x1800
#define DATA 0x2000
#define RANGE 0x1100

#define F_RO 0x20u
#define F_FLUSH 0x200u
#define F_CONFIG_WCE 0x800u
#define F_MQ 0x1000u
#define F_DISCARD 0x2000u
#define F_WRITE_ZEROES 0x4000u

struct fixture {
	struct drv d;
	struct blk_queue *disk;
	struct virtio_blk_config cfg;
	struct virtio_blk *s;
};

static struct fixture *fixture_new(struct virtio_blk_config how)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct lodge_err err = {0};

	drv_init(&f->d);
	f->disk = fake_disk_new(DISK + 300); /* the last block is not whole */
	f->cfg = how;
	f->cfg.queue = f->disk;
	f->cfg.virtio.bus = f->d.pb;
	f->cfg.virtio.devfn = DRV_DEVFN;
	f->cfg.virtio.mem = f->d.mem;
	f->cfg.virtio.loop = fake_begin();
	f->cfg.virtio.queues = 2;
	f->cfg.virtio.queue_size = 128;
	f->s = virtio_blk_new(&f->cfg, &err);
	if (!f->s)
		print_error("%s\n", err.msg);
	assert_non_null(f->s);
	virtio_blk_device(f->s)->cls->reset(virtio_blk_device(f->s));
	return f;
}

static int setup(void **state)
{
	*state = fixture_new((struct virtio_blk_config){.serial = "a-serial"});
	return 0;
}

static int setup_read_only(void **state)
{
	*state = fixture_new((struct virtio_blk_config){.read_only = true});
	return 0;
}

static int setup_4k(void **state)
{
	*state = fixture_new((struct virtio_blk_config){.logical_block = 4096,
							.physical_block = 16384,
							.opt_io = 65536});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_blk_free(f->s);
	fake_disk_free(f->disk);
	drv_free(&f->d);
	free(f);
	return 0;
}

static void header(struct fixture *f, uint32_t type, uint64_t sector)
{
	st_le32(drv_p(&f->d, HEADER), type);
	st_le32(drv_p(&f->d, HEADER + 4), 0);
	st_le64(drv_p(&f->d, HEADER + 8), sector);
	*drv_p(&f->d, STATUS) = 0xee;
}

/* A request of `len` data bytes on queue 0, `write`: the device reads them. No waiting. */
static void begin(struct fixture *f, uint32_t type, uint64_t sector, gpa_t data, uint32_t len,
		  bool write)
{
	struct drv_buf b[3] = {{HEADER, 16}};
	unsigned n = 1;

	header(f, type, sector);
	if (len)
		b[n++] = (struct drv_buf){data, len};
	b[n++] = (struct drv_buf){STATUS, 1};
	drv_submit(&f->d, 0, b, len && write ? 2 : 1, len && !write ? 2 : 1);
}

static uint8_t end(struct fixture *f)
{
	uint32_t id, len;

	fake_disk_run(f->disk);
	assert_true(drv_used(&f->d, 0, &id, &len));
	return *drv_p(&f->d, STATUS);
}

static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len, bool write)
{
	begin(f, type, sector, DATA, len, write);
	return end(f);
}

static uint8_t range(struct fixture *f, uint32_t type, uint64_t sector, uint32_t sectors,
		     uint32_t flags)
{
	st_le64(drv_p(&f->d, RANGE), sector);
	st_le32(drv_p(&f->d, RANGE + 8), sectors);
	st_le32(drv_p(&f->d, RANGE + 12), flags);
	begin(f, type, 0, RANGE, 16, true);
	return end(f);
}

static void config_when_read_expect_the_disk(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10011af4);
	assert_int_equal(drv_cfg(&f->d, PCI_CLASS, 2), 0x0100);
	assert_int_equal(drv_offered(&f->d) & 0xffffff, 4 | 0x10 | 0x40 | F_FLUSH | 0x400 |
								F_CONFIG_WCE | F_MQ | F_DISCARD |
								F_WRITE_ZEROES);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), DISK / 512);
	assert_int_equal(drv_rd(&f->d, 0x200c, 4), 126);
	assert_int_equal(drv_rd(&f->d, 0x2014, 4), 512);
	assert_int_equal(drv_rd(&f->d, 0x2020, 1), 1);
	assert_int_equal(drv_rd(&f->d, 0x2022, 2), 2);
	assert_int_equal(drv_rd(&f->d, 0x2028, 4), 1);
	assert_int_equal(drv_rd(&f->d, 0x2038, 1), 1);
}

static void write_when_done_expect_bytes_on_disk_and_read_back(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	memset(drv_p(&f->d, DATA), 0x5a, 4096);
	assert_int_equal(request(f, 1, 8, 4096, true), 0);
	assert_int_equal(f->disk->bytes[8 * 512], 0x5a);
	assert_int_equal(f->disk->bytes[16 * 512 - 1], 0x5a);
	assert_int_equal(f->disk->bytes[16 * 512], 0);
	memset(drv_p(&f->d, DATA), 0, 4096);
	assert_int_equal(request(f, 0, 8, 4096, false), 0);
	assert_int_equal(*drv_p(&f->d, DATA + 4095), 0x5a);
	assert_true(drv_intx(&f->d));
}

static void request_when_spread_over_bytes_expect_any_framing(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[5] = {{HEADER, 5}, {HEADER + 5, 11 + 100}, {DATA, 412}, {STATUS, 1}};
	uint32_t id, len;

	/* Header and data in one buffer, §2.7.4. */
	drv_start(&f->d, VIRTIO_F_ANY_LAYOUT, 2, 16);
	header(f, 1, 1);
	memset(drv_p(&f->d, HEADER + 16), 'a', 100);
	memset(drv_p(&f->d, DATA), 'b', 412);
	drv_submit(&f->d, 0, b, 3, 1);
	assert_int_equal(end(f), 0);
	assert_int_equal(f->disk->bytes[512 + 99], 'a');
	assert_int_equal(f->disk->bytes[512 + 100], 'b');
	/* Data and status in one. */
	header(f, 0, 1);
	b[0] = (struct drv_buf){HEADER, 16};
	b[1] = (struct drv_buf){DATA, 513};
	*drv_p(&f->d, DATA + 512) = 0xee;
	drv_submit(&f->d, 0, b, 1, 1);
	fake_disk_run(f->disk);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 513);
	assert_int_equal(*drv_p(&f->d, DATA + 512), 0);
	assert_int_equal(*drv_p(&f->d, DATA), 'a');
}

static void requests_when_several_expect_any_order_of_ends(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	drv_start(&f->d, 0, 2, 16);
	begin(f, 0, 0, DATA, 512, false);
	begin(f, 0, 1, DATA, 512, false);
	assert_int_equal(f->disk->submitted, 2);
	/* The second first. */
	list_add_tail(&f->disk->waiting, ({
		struct list *l = f->disk->waiting.next;
		list_del(l);
		l;
	}));
	assert_true(fake_disk_step(f->disk));
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(id, 3);
	assert_false(drv_used(&f->d, 0, &id, &len));
	fake_disk_run(f->disk);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(id, 0);
}

static void request_when_outside_expect_ioerr_and_nothing_done(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, F_DISCARD | F_WRITE_ZEROES, 2, 16);
	assert_int_equal(request(f, 0, DISK / 512, 512, false), 1);
	assert_int_equal(request(f, 0, DISK / 512 - 1, 1024, false), 1);
	assert_int_equal(request(f, 1, UINT64_MAX / 512, 512, true), 1);
	assert_int_equal(request(f, 1, UINT64_MAX, 512, true), 1);
	assert_int_equal(request(f, 0, 0, 511, false), 1);
	assert_int_equal(range(f, 11, DISK / 512, 1, 0), 1);
	assert_int_equal(range(f, 13, 0, 0xffffffff, 0), 1);
	assert_int_equal(range(f, 13, UINT64_MAX, 8, 0), 1);
	assert_int_equal(f->disk->submitted, 0);
	/* The last one. */
	assert_int_equal(request(f, 0, DISK / 512 - 1, 512, false), 0);
}

static void request_when_unknown_expect_unsupported(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	assert_int_equal(request(f, 2, 0, 512, true), 2);
	assert_int_equal(request(f, 0x80000001, 0, 512, true), 2);
	/* Not negotiated. */
	assert_int_equal(range(f, 11, 0, 8, 0), 2);
	assert_int_equal(range(f, 13, 0, 8, 0), 2);
	assert_int_equal(drv_status(&f->d), 15);
}

static void request_when_no_header_or_status_expect_needs_reset(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{HEADER, 15}, {STATUS, 1}};

	drv_start(&f->d, 0, 2, 16);
	drv_submit(&f->d, 0, b, 1, 1);
	assert_int_equal(drv_status(&f->d), 15 | VIRTIO_STATUS_NEEDS_RESET);
	drv_start(&f->d, 0, 2, 16);
	b[0].len = 16;
	drv_submit(&f->d, 0, b, 2, 0);
	assert_int_equal(drv_status(&f->d), 15 | VIRTIO_STATUS_NEEDS_RESET);
}

static void get_id_when_asked_expect_serial_and_zeros(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	memset(drv_p(&f->d, DATA), 0xff, 32);
	assert_int_equal(request(f, 8, 0, 20, false), 0);
	assert_memory_equal(drv_p(&f->d, DATA), "a-serial\0\0\0\0\0\0\0\0\0\0\0\0\377", 21);
}

static void flush_when_asked_expect_flush(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, F_FLUSH, 2, 16);
	assert_int_equal(request(f, 4, 0, 0, false), 0);
	assert_int_equal(f->disk->flushes, 1);
}

static void ranges_when_negotiated_expect_zeroes_and_discards(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, F_DISCARD | F_WRITE_ZEROES, 2, 16);
	memset(f->disk->bytes, 0xff, 8192);
	assert_int_equal(range(f, 13, 2, 2, 1), 0);
	assert_int_equal(f->disk->zeroes, 1);
	assert_int_equal(f->disk->bytes[1023], 0xff);
	assert_int_equal(f->disk->bytes[1024], 0);
	assert_int_equal(f->disk->bytes[2048], 0xff);
	assert_int_equal(range(f, 11, 4, 1, 0), 0);
	assert_int_equal(f->disk->discards, 1);
	/* Flags nobody knows, and "unmap" of a discard. */
	assert_int_equal(range(f, 13, 2, 2, 2), 2);
	assert_int_equal(range(f, 11, 4, 1, 1), 2);
	/* Nothing is nothing. */
	assert_int_equal(range(f, 13, 2, 0, 0), 0);
	assert_int_equal(f->disk->zeroes, 1);
	/* Two ranges in one request are more than max_discard_seg. */
	begin(f, 11, 0, RANGE, 32, true);
	assert_int_equal(end(f), 2);
}

static void error_when_disk_fails_expect_ioerr(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, F_FLUSH, 2, 16);
	f->disk->fail = -EIO;
	assert_int_equal(request(f, 1, 0, 512, true), 1);
	f->disk->fail = -ENOTSUP;
	assert_int_equal(request(f, 1, 0, 512, true), 2);
	f->disk->fail = -ENOSPC;
	assert_int_equal(request(f, 4, 0, 0, true), 1);
	assert_int_equal(request(f, 1, 0, 512, true), 0);
}

static void write_when_read_only_expect_ioerr(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	assert_int_equal(drv_offered(&f->d) & (F_RO | F_DISCARD | F_WRITE_ZEROES), F_RO);
	drv_start(&f->d, F_RO, 2, 16);
	assert_int_equal(request(f, 1, 0, 512, true), 1);
	assert_int_equal(range(f, 11, 0, 8, 0), 1);
	assert_int_equal(range(f, 13, 0, 8, 0), 1);
	assert_int_equal(request(f, 0, 0, 512, false), 0);
	assert_int_equal(f->disk->submitted, 1);
}

static void blocks_when_4k_expect_alignment(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	assert_int_equal(drv_rd(&f->d, 0x2014, 4), 4096);
	assert_int_equal(drv_rd(&f->d, 0x2018, 1), 2);
	assert_int_equal(drv_rd(&f->d, 0x201c, 4), 16);
	assert_int_equal(request(f, 0, 1, 4096, false), 1);
	assert_int_equal(request(f, 0, 0, 512, false), 1);
	assert_int_equal(request(f, 0, 8, 4096, false), 0);
}

static void write_cache_when_driver_cannot_flush_expect_off(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	assert_false(f->disk->write_cache);
	drv_start(&f->d, F_FLUSH, 2, 16);
	assert_true(f->disk->write_cache);
	assert_int_equal(drv_rd(&f->d, 0x2020, 1), 1);
	/* Not negotiated: the register does not move. */
	drv_wr(&f->d, 0x2020, 0, 1);
	assert_int_equal(drv_rd(&f->d, 0x2020, 1), 1);
	drv_start(&f->d, F_FLUSH | F_CONFIG_WCE, 2, 16);
	drv_wr(&f->d, 0x2020, 0, 1);
	assert_false(f->disk->write_cache);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_true(f->disk->write_cache);
}

/* The host's disk hangs: the reset is not over before it is, but nobody waits for it. */
static void reset_when_under_way_expect_it_over_with_the_last_request(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	drv_start(&f->d, 0, 2, 16);
	begin(f, 0, 0, DATA, 512, false);
	begin(f, 0, 1, DATA, 512, false);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_false(list_empty(&f->disk->waiting));
	/* Meanwhile nothing begins: no request, no queue, no status, no second reset. */
	assert_int_equal(drv_rd(&f->d, 0x14, 1), VIRTIO_STATUS_NEEDS_RESET);
	begin(f, 0, 2, DATA, 512, false);
	assert_int_equal(f->disk->submitted, 2);
	drv_wr(&f->d, 0x14, 15, 1);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(drv_rd(&f->d, 0x14, 1), VIRTIO_STATUS_NEEDS_RESET);
	assert_true(fake_disk_step(f->disk));
	assert_int_equal(drv_rd(&f->d, 0x14, 1), VIRTIO_STATUS_NEEDS_RESET);
	assert_true(fake_disk_step(f->disk));
	assert_int_equal(drv_rd(&f->d, 0x14, 1), 0);
	assert_false(drv_used(&f->d, 0, &id, &len));
	assert_false(drv_intx(&f->d));
	drv_start(&f->d, 0, 2, 16);
	assert_int_equal(request(f, 0, 0, 512, false), 0);
}

/* With the whole machine it is over at once: nobody waits for a driver. */
static void machine_when_reset_expect_drained_and_held_ones_dropped(void **state)
{
	struct fixture *f = *state;
	struct device *dev = virtio_blk_device(f->s);

	drv_start(&f->d, 0, 2, 16);
	begin(f, 0, 0, DATA, 512, false);
	begin(f, 0, 1, DATA, 512, false);
	drv_wr(&f->d, 0x14, 0, 1);
	dev->cls->reset(dev);
	assert_true(list_empty(&f->disk->waiting));
	drv_place(&f->d);
	assert_int_equal(drv_rd(&f->d, 0x14, 1), 0);
	/* Held ones are given up. */
	drv_start(&f->d, 0, 2, 16);
	f->disk->hold = true;
	f->disk->fail = -ENOSPC;
	begin(f, 1, 0, DATA, 512, true);
	fake_disk_run(f->disk);
	assert_false(list_empty(&f->disk->held));
	drv_wr(&f->d, 0x14, 0, 1);
	assert_true(list_empty(&f->disk->held));
	fake_disk_run(f->disk);
}

static void queue_when_reset_expect_others_requests_go_on(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[3] = {{HEADER, 16}, {DATA, 512}, {STATUS, 1}};
	uint32_t id, len;

	drv_start(&f->d, VIRTIO_F_RING_RESET, 2, 16);
	f->disk->hold = true;
	f->disk->fail = -ENOSPC;
	begin(f, 1, 0, DATA, 512, true); /* queue 0: held */
	fake_disk_run(f->disk);
	drv_submit(&f->d, 1, b, 2, 1); /* queue 1: held, too */
	f->disk->fail = -ENOSPC;
	fake_disk_run(f->disk);
	drv_wr(&f->d, 0x16, 0, 2);
	drv_wr(&f->d, 0x3a, 1, 2);
	fake_disk_run(f->disk);
	assert_true(drv_used(&f->d, 1, &id, &len));
	assert_false(drv_used(&f->d, 0, &id, &len));
}

static void budget_when_chains_are_long_expect_rest_waits(void **state)
{
	struct fixture *f = *state;
	gpa_t table = 0x200000;
	unsigned ended = 0;
	uint32_t id, len;

	/* 100 requests of 1000 pieces each: not all at once. */
	drv_start(&f->d, VIRTIO_F_INDIRECT_DESC, 1, 128);
	header(f, 0, 0);
	drv_desc(&f->d, table, 0, HEADER, 16, DESC_F_NEXT, 1);
	for (unsigned i = 1; i <= 1000; i++)
		drv_desc(&f->d, table, i, DATA, 512, DESC_F_NEXT | DESC_F_WRITE, i + 1);
	drv_desc(&f->d, table, 1001, STATUS, 1, DESC_F_WRITE, 0);
	for (unsigned i = 0; i < 100; i++) {
		drv_desc(&f->d, f->d.q[0].desc, i, table, 16 * 1002, DESC_F_INDIRECT, 0);
		drv_avail(&f->d, 0, (uint16_t)i);
	}
	drv_kick(&f->d, 0);
	assert_in_range(f->disk->submitted, 20, 40);
	while (f->disk->submitted < 100 || !list_empty(&f->disk->waiting)) {
		fake_disk_run(f->disk);
		fake_advance(1);
	}
	while (drv_used(&f->d, 0, &id, &len))
		ended++;
	assert_int_equal(ended, 100);
}

static void image_when_resized_expect_capacity_and_interrupt(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	f->disk->blk.size = DISK / 2;
	virtio_blk_resized(f->s);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), DISK / 1024);
	assert_int_equal(drv_rd(&f->d, 0x1000, 1), 2);
	assert_int_equal(request(f, 0, DISK / 1024, 512, false), 1);
}

static void state_when_saved_under_way_expect_request_made_again(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_config c = f->cfg;
	struct blk_queue *disk = fake_disk_new(DISK + 300);
	struct virtio_blk *other;
	uint32_t id, len;

	c.virtio.devfn = 0x30;
	c.queue = disk;
	other = virtio_blk_new(&c, NULL);
	assert_non_null(other);
	drv_start(&f->d, F_FLUSH | F_CONFIG_WCE, 2, 16);
	drv_wr(&f->d, 0x2020, 0, 1);
	memset(drv_p(&f->d, DATA), 7, 512);
	begin(f, 1, 3, DATA, 512, true);
	wire_transfer(virtio_blk_device(f->s), virtio_blk_device(other));
	assert_false(disk->write_cache);
	assert_int_equal(disk->submitted, 1);
	fake_disk_run(disk);
	assert_int_equal(disk->bytes[3 * 512], 7);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(*drv_p(&f->d, STATUS), 0);
	virtio_blk_free(other);
	fake_disk_free(disk);
}

static void settings_when_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_config c = f->cfg;
	struct lodge_err err;

	c.virtio.devfn = 0x30;
	c.logical_block = 1000;
	assert_null(virtio_blk_new(&c, &err));
	c.logical_block = 4096;
	c.physical_block = 512;
	assert_null(virtio_blk_new(&c, &err));
	c.physical_block = 0;
	c.opt_io = 1024;
	assert_null(virtio_blk_new(&c, &err));
	c.opt_io = 0;
	c.serial = "a-serial-of-21-bytes-";
	assert_null(virtio_blk_new(&c, &err));
	c.serial = NULL;
	c.virtio.queues = 65;
	assert_null(virtio_blk_new(&c, &err));
	assert_null(pci_bus_find(f->d.pb, 0x30));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_HOW(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_read_expect_the_disk),
		T(write_when_done_expect_bytes_on_disk_and_read_back),
		T(request_when_spread_over_bytes_expect_any_framing),
		T(requests_when_several_expect_any_order_of_ends),
		T(request_when_outside_expect_ioerr_and_nothing_done),
		T(request_when_unknown_expect_unsupported),
		T(request_when_no_header_or_status_expect_needs_reset),
		T(get_id_when_asked_expect_serial_and_zeros),
		T(flush_when_asked_expect_flush),
		T(ranges_when_negotiated_expect_zeroes_and_discards),
		T(error_when_disk_fails_expect_ioerr),
		T_HOW(write_when_read_only_expect_ioerr, setup_read_only),
		T_HOW(blocks_when_4k_expect_alignment, setup_4k),
		T(write_cache_when_driver_cannot_flush_expect_off),
		T(reset_when_under_way_expect_it_over_with_the_last_request),
		T(machine_when_reset_expect_drained_and_held_ones_dropped),
		T(queue_when_reset_expect_others_requests_go_on),
		T(budget_when_chains_are_long_expect_rest_waits),
		T(image_when_resized_expect_capacity_and_interrupt),
		T(state_when_saved_under_way_expect_request_made_again),
		T(settings_when_impossible_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
