// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-rng: make t T=devices/virtio_rng */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_rng.h"

struct fixture {
	struct drv d;
	struct virtio_rng_config cfg;
	struct virtio_rng *s;
};

static void fill_7(void *buf, size_t len)
{
	memset(buf, 7, len);
}

static struct fixture *fixture_new(struct virtio_rng_config how)
{
	struct fixture *f = calloc(1, sizeof(*f));

	drv_init(&f->d);
	f->cfg = how;
	f->cfg.virtio.bus = f->d.pb;
	f->cfg.virtio.devfn = DRV_DEVFN;
	f->cfg.virtio.mem = f->d.mem;
	f->cfg.virtio.loop = fake_begin();
	f->cfg.virtio.queues = 1;
	f->cfg.virtio.queue_size = 8;
	f->s = virtio_rng_new(&f->cfg, NULL);
	assert_non_null(f->s);
	virtio_rng_device(f->s)->cls->reset(virtio_rng_device(f->s));
	drv_start(&f->d, 0, 1, 8);
	return f;
}

static int setup(void **state)
{
	*state = fixture_new((struct virtio_rng_config){0});
	return 0;
}

static int setup_limited(void **state)
{
	*state = fixture_new(
		(struct virtio_rng_config){.max_bytes = 100, .period_ms = 10, .fill = fill_7});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_rng_free(f->s);
	drv_free(&f->d);
	free(f);
	return 0;
}

static void buffer_when_asked_expect_random_bytes(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x1000, 64}, {0x2000, 64}};
	uint32_t id, len;
	unsigned zeros = 0;

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10051af4);
	drv_submit(&f->d, 0, b, 0, 2);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 128);
	for (unsigned i = 0; i < 64; i++)
		zeros += !*drv_p(&f->d, 0x1000 + i) + !*drv_p(&f->d, 0x2000 + i);
	assert_true(zeros < 16);
	assert_memory_not_equal(drv_p(&f->d, 0x1000), drv_p(&f->d, 0x2000), 64);
}

static void buffer_when_huge_expect_bounded_piece(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[1] = {{0x100000, 1 << 20}};
	uint32_t id, len;

	drv_submit(&f->d, 0, b, 0, 1);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 65536);
	assert_int_equal(*drv_p(&f->d, 0x100000 + 65536), 0);
}

static void buffer_when_only_readable_expect_nothing(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[1] = {{0x1000, 8}};
	uint32_t id, len;

	drv_submit(&f->d, 0, b, 1, 0);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 0);
}

static void rate_when_limited_expect_rest_in_next_period(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[1] = {{0x1000, 80}};
	uint32_t id, len;

	drv_submit(&f->d, 0, b, 0, 1);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 80);
	drv_submit(&f->d, 0, b, 0, 1);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 20);
	drv_submit(&f->d, 0, b, 0, 1);
	assert_false(drv_used(&f->d, 0, &id, &len));
	fake_advance(9 * 1000000);
	assert_false(drv_used(&f->d, 0, &id, &len));
	fake_advance(1 * 1000000);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 80);
}

static void reset_when_waiting_expect_no_timer(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[1] = {{0x1000, 100}};
	uint32_t id, len;

	drv_submit(&f->d, 0, b, 0, 1);
	drv_submit(&f->d, 0, b, 0, 1);
	assert_true(drv_used(&f->d, 0, &id, &len));
	drv_wr(&f->d, 0x14, 0, 1);
	assert_true(list_empty(&fake.loop.timers));
}

static void state_when_moved_expect_same_allowance(void **state)
{
	struct fixture *f = *state;
	struct virtio_rng_config c = f->cfg;
	struct drv_buf b[1] = {{0x1000, 100}};
	struct virtio_rng *other;
	uint32_t id, len;

	c.virtio.devfn = 0x30;
	other = virtio_rng_new(&c, NULL);
	assert_non_null(other);
	drv_submit(&f->d, 0, b, 0, 1);
	drv_submit(&f->d, 0, b, 0, 1);
	assert_true(drv_used(&f->d, 0, &id, &len));
	wire_transfer(virtio_rng_device(f->s), virtio_rng_device(other));
	fake_advance(5 * 1000000);
	assert_false(drv_used(&f->d, 0, &id, &len));
	virtio_rng_free(f->s);
	f->s = other;
	fake_advance(5 * 1000000);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 100);
}

static void settings_when_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct virtio_rng_config c = f->cfg;
	struct lodge_err err;

	c.virtio.devfn = 0x30;
	c.max_bytes = 1;
	c.period_ms = 0;
	assert_null(virtio_rng_new(&c, &err));
	assert_null(pci_bus_find(f->d.pb, 0x30));
}

#define T(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(buffer_when_asked_expect_random_bytes, setup),
		T(buffer_when_huge_expect_bounded_piece, setup),
		T(buffer_when_only_readable_expect_nothing, setup),
		T(rate_when_limited_expect_rest_in_next_period, setup_limited),
		T(reset_when_waiting_expect_no_timer, setup_limited),
		T(state_when_moved_expect_same_allowance, setup_limited),
		T(settings_when_impossible_expect_sentence, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
