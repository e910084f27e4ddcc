// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-balloon: make t T=devices/virtio_balloon */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "fake_time.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_balloon.h"

#define F_STATS 2u
#define F_REPORTING 0x20u
#define PFNS 0x1000

struct fixture {
	struct drv d;
	struct virtio_balloon_config cfg;
	struct virtio_balloon *s;
	unsigned code_written;
};

static void on_code(void *opaque, uint64_t off, uint64_t len)
{
	((struct fixture *)opaque)->code_written++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct mem_listener l = {.code_written = on_code, .opaque = f};

	drv_init(&f->d);
	mem_set_listener(f->d.mem, &l);
	f->cfg.virtio.bus = f->d.pb;
	f->cfg.virtio.devfn = DRV_DEVFN;
	f->cfg.virtio.mem = f->d.mem;
	f->cfg.virtio.loop = fake_begin();
	f->cfg.reporting = true;
	f->cfg.stats_s = 2;
	f->cfg.target_bytes = 1 << 20;
	f->s = virtio_balloon_new(&f->cfg, NULL);
	assert_non_null(f->s);
	virtio_balloon_device(f->s)->cls->reset(virtio_balloon_device(f->s));
	memset(mem_base(f->d.mem), 0x55, DRV_RAM);
	drv_start(&f->d, F_STATS | F_REPORTING, 4, 16);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_balloon_free(f->s);
	drv_free(&f->d);
	free(f);
	return 0;
}

/* Host memory behind the guest's, in bytes. */
static uint64_t host_bytes(struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstat(mem_fd(f->d.mem), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void put_pfns(struct fixture *f, unsigned q, const uint32_t *pfn, unsigned n)
{
	struct drv_buf b = {PFNS, 4 * n};
	uint32_t id, len;

	for (unsigned i = 0; i < n; i++)
		st_le32(drv_p(&f->d, PFNS + 4 * i), pfn[i]);
	drv_submit(&f->d, q, &b, 1, 0);
	assert_true(drv_used(&f->d, q, &id, &len));
}

static void config_when_target_is_set_expect_pages_and_interrupt(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10021af4);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), (DRV_RAM - (1 << 20)) >> 12);
	virtio_balloon_set_target(f->s, 3 << 20);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), 256);
	assert_int_equal(drv_rd(&f->d, 0x1000, 1), 2);
	virtio_balloon_set_target(f->s, 1ull << 40);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), 0);
	drv_wr(&f->d, 0x2004, 256, 4);
	assert_int_equal(virtio_balloon_actual(f->s), 3 << 20);
	drv_wr(&f->d, 0x2004, 0xffffffff, 4);
	assert_int_equal(virtio_balloon_actual(f->s), 0);
}

static void pages_when_inflated_expect_zeros_and_memory_for_the_host(void **state)
{
	struct fixture *f = *state;
	static const uint32_t up[] = {0x200, 0x201, 0x202, 0x300};
	static const uint32_t down[] = {0x212, 0x211, 0x210};
	uint64_t before = host_bytes(f);

	put_pfns(f, 0, up, 4);
	assert_int_equal(*drv_p(&f->d, 0x200000), 0);
	assert_int_equal(*drv_p(&f->d, 0x202fff), 0);
	assert_int_equal(*drv_p(&f->d, 0x203000), 0x55);
	assert_int_equal(*drv_p(&f->d, 0x1fffff), 0x55);
	put_pfns(f, 0, down, 3);
	assert_int_equal(*drv_p(&f->d, 0x210000), 0);
	assert_int_equal(*drv_p(&f->d, 0x20ffff), 0x55);
	assert_int_equal(virtio_balloon_given_back(f->s), 7 * 4096);
	/* Those looked at have come back as zeros. */
	assert_in_range(before - host_bytes(f), 3 * 4096, 7 * 4096);
	/* Deflation needs nothing. */
	put_pfns(f, 1, up, 4);
	*drv_p(&f->d, 0x200000) = 1;
	assert_int_equal(*drv_p(&f->d, 0x200000), 1);
}

static void page_when_it_held_code_expect_engine_told(void **state)
{
	struct fixture *f = *state;
	static const uint32_t pfn[] = {0x200};

	mem_page_flags(f->d.mem)[0x200] = MEM_PAGE_CODE;
	put_pfns(f, 0, pfn, 1);
	assert_int_equal(f->code_written, 1);
	assert_true(mem_page_flags(f->d.mem)[0x200] & MEM_PAGE_DIRTY);
}

static void pages_when_nonsense_expect_ignored(void **state)
{
	struct fixture *f = *state;
	static const uint32_t bad[] = {0xffffffff, DRV_RAM >> 12, 0xfffffffe, 0xffffffff, 0};

	put_pfns(f, 0, bad, 4);
	assert_int_equal(virtio_balloon_given_back(f->s), 0);
	assert_int_equal(drv_status(&f->d), 15);
	put_pfns(f, 0, bad + 4, 1);
	assert_int_equal(*drv_p(&f->d, 0), 0);
}

static void free_pages_when_reported_expect_whole_ones_gone(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x240000, 0x40000}, {0x300800, 0x2000}};
	uint64_t before = host_bytes(f);
	uint32_t id, len;

	drv_submit(&f->d, 3, b, 0, 2);
	assert_true(drv_used(&f->d, 3, &id, &len));
	assert_int_equal(virtio_balloon_given_back(f->s), 0x41000);
	assert_int_equal(before - host_bytes(f), 0x41000);
	assert_int_equal(*drv_p(&f->d, 0x300fff), 0x55);
	assert_int_equal(*drv_p(&f->d, 0x301000), 0);
	assert_int_equal(*drv_p(&f->d, 0x302000), 0x55);
}

static void reporting_when_no_statistics_expect_third_queue(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {0x240000, 0x1000};
	uint32_t id, len;

	drv_start(&f->d, F_REPORTING, 3, 16);
	drv_submit(&f->d, 2, &b, 0, 1);
	assert_true(drv_used(&f->d, 2, &id, &len));
	assert_int_equal(virtio_balloon_given_back(f->s), 0x1000);
}

static void put_stat(struct fixture *f, unsigned i, uint16_t tag, uint64_t val)
{
	st_le16(drv_p(&f->d, PFNS + 10 * i), tag);
	st_le64(drv_p(&f->d, PFNS + 10 * i + 2), val);
}

static void statistics_when_due_expect_buffer_back_and_values(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {PFNS, 30};
	uint32_t id, len;

	put_stat(f, 0, 4, 12345);
	put_stat(f, 1, 0xffff, 1);
	put_stat(f, 2, 5, 999);
	drv_submit(&f->d, 2, &b, 1, 0);
	assert_false(drv_used(&f->d, 2, &id, &len));
	assert_int_equal(virtio_balloon_stats(f->s)[4], 12345);
	assert_int_equal(virtio_balloon_stats(f->s)[5], 999);
	assert_int_equal(virtio_balloon_stats(f->s)[0], UINT64_MAX);
	fake_advance(2 * NS_PER_SEC);
	assert_true(drv_used(&f->d, 2, &id, &len));
	put_stat(f, 0, 4, 54321);
	drv_submit(&f->d, 2, &b, 1, 0);
	assert_int_equal(virtio_balloon_stats(f->s)[4], 54321);
	/* A reset takes the timer along. */
	drv_wr(&f->d, 0x14, 0, 1);
	assert_true(list_empty(&fake.loop.timers));
}

static void state_when_moved_expect_statistics_go_on(void **state)
{
	struct fixture *f = *state;
	struct virtio_balloon_config c = f->cfg;
	struct drv_buf b = {PFNS, 10};
	struct virtio_balloon *other;
	uint32_t id, len;

	c.virtio.devfn = 0x30;
	c.target_bytes = 0;
	other = virtio_balloon_new(&c, NULL);
	assert_non_null(other);
	drv_wr(&f->d, 0x2004, 256, 4);
	drv_submit(&f->d, 2, &b, 1, 0);
	wire_transfer(virtio_balloon_device(f->s), virtio_balloon_device(other));
	virtio_balloon_free(f->s);
	f->s = other;
	assert_int_equal(virtio_balloon_actual(other), 3 << 20);
	fake_advance(2 * NS_PER_SEC);
	assert_true(drv_used(&f->d, 2, &id, &len));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_target_is_set_expect_pages_and_interrupt),
		T(pages_when_inflated_expect_zeros_and_memory_for_the_host),
		T(page_when_it_held_code_expect_engine_told),
		T(pages_when_nonsense_expect_ignored),
		T(free_pages_when_reported_expect_whole_ones_gone),
		T(reporting_when_no_statistics_expect_third_queue),
		T(statistics_when_due_expect_buffer_back_and_values),
		T(state_when_moved_expect_statistics_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
