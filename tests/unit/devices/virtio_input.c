// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-input: make t T=devices/virtio_input */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_input.h"

static struct drv d;
static struct virtio_input *s;
static unsigned next;

static void make(enum virtio_input_kind kind, bool start)
{
	struct virtio_input_config cfg = {.kind = kind};

	drv_init(&d);
	cfg.virtio.bus = d.pb;
	cfg.virtio.devfn = DRV_DEVFN;
	cfg.virtio.mem = d.mem;
	cfg.virtio.loop = fake_begin();
	cfg.virtio.queues = VIRTIO_INPUT_QUEUES;
	cfg.virtio.queue_size = 64;
	s = virtio_input_new(&cfg, NULL);
	assert_non_null(s);
	virtio_input_device(s)->cls->reset(virtio_input_device(s));
	next = 0;
	if (start)
		drv_start(&d, 0, 2, 64);
}

static int teardown(void **state)
{
	virtio_input_free(s);
	drv_free(&d);
	return 0;
}

static void send(enum input_kind kind, unsigned code, int value)
{
	const struct input_event ev = {
		.kind = (uint8_t)kind, .code = (uint16_t)code, .value = value, .down = value};
	struct input_sink *k = virtio_input_sink(s);

	k->event(k->opaque, &ev);
	k->sync(k->opaque);
}

static void give(unsigned n)
{
	while (n--) {
		struct drv_buf b[1] = {{0x100000 + 8 * next++, 8}};

		drv_submit(&d, 0, b, 0, 1);
	}
}

static void expect(unsigned at, unsigned type, unsigned code, int value)
{
	const uint8_t *p = drv_p(&d, 0x100000 + 8 * at);

	assert_int_equal(ld_le16(p), type);
	assert_int_equal(ld_le16(p + 2), code);
	assert_int_equal((int)ld_le32(p + 4), value);
}

static void select_cfg(unsigned select, unsigned subsel)
{
	drv_wr(&d, 0x2000, select, 1);
	drv_wr(&d, 0x2001, subsel, 1);
}

static void config_when_selected_expect_what_the_device_is(void **state)
{
	make(VIRTIO_INPUT_TABLET, false);
	drv_place(&d);
	assert_int_equal(drv_cfg(&d, 0, 4), 0x10521af4);
	select_cfg(1, 0);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 19);
	assert_int_equal(drv_rd(&d, 0x2000 + 8, 4), 0x67646f4c); /* "Lodg" */
	select_cfg(3, 0);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 8);
	assert_int_equal(drv_rd(&d, 0x2000 + 8, 4), 0x06270006);
	select_cfg(0x11, 3);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 1);
	assert_int_equal(drv_rd(&d, 0x2000 + 8, 1), 3);
	select_cfg(0x11, 1);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 35);
	assert_int_equal(drv_rd(&d, 0x2000 + 8 + 34, 1), 0x1f);
	select_cfg(0x12, 1);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 20);
	assert_int_equal(drv_rd(&d, 0x2000 + 12, 4), 0x7fff);
	select_cfg(0x12, 2);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 0);
	select_cfg(0xff, 0xff);
	assert_int_equal(drv_rd(&d, 0x2000 + 2, 1), 0);
	assert_int_equal(drv_rd(&d, 0x2000 + 8, 4), 0);
	assert_false(virtio_input_sink(s)->active(s));
}

static void keyboard_when_pressed_expect_events_in_buffers(void **state)
{
	make(VIRTIO_INPUT_KEYBOARD, true);
	assert_true(virtio_input_sink(s)->active(s));
	give(4);
	send(INPUT_KEY, INPUT_KEY_a, 1);
	send(INPUT_KEY, INPUT_KEY_a, 0);
	expect(0, 1, 30, 1);
	expect(1, 0, 0, 0);
	expect(2, 1, 30, 0);
	expect(3, 0, 0, 0);
	assert_true(virtio_input_sink(s)->idle(s));
	/* Without buffers they wait, and the device is not idle. */
	send(INPUT_KEY, INPUT_KEY_ctrl_r, 1);
	assert_false(virtio_input_sink(s)->idle(s));
	give(2);
	expect(4, 1, 97, 1);
	assert_true(virtio_input_sink(s)->idle(s));
}

static void row_when_nobody_takes_it_expect_bounded(void **state)
{
	make(VIRTIO_INPUT_MOUSE, true);
	for (unsigned i = 0; i < 1000; i++)
		send(INPUT_REL, INPUT_X, 1);
	send(INPUT_BUTTON, INPUT_WHEEL_DOWN, 1);
	give(60);
	expect(0, 2, 0, 1);
	expect(1, 0, 0, 0);
	send(INPUT_BUTTON, INPUT_LEFT, 1);
	for (unsigned i = 0; i < 5; i++)
		give(60);
	assert_true(virtio_input_sink(s)->idle(s));
}

static void status_when_the_driver_sets_leds_expect_it_taken(void **state)
{
	struct drv_buf b[1] = {{0x1000, 8}};
	uint32_t id, len;

	make(VIRTIO_INPUT_KEYBOARD, true);
	drv_submit(&d, 1, b, 1, 0);
	assert_true(drv_used(&d, 1, &id, &len));
}

static void state_when_saved_with_events_expect_them_kept(void **state)
{
	static uint8_t buf[65536];
	long n;

	make(VIRTIO_INPUT_TABLET, true);
	send(INPUT_ABS, INPUT_Y, 77);
	n = device_save(virtio_input_device(s), buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(device_load(virtio_input_device(s), buf, n, NULL), 0);
	give(2);
	expect(0, 3, 1, 77);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_selected_expect_what_the_device_is),
		T(keyboard_when_pressed_expect_events_in_buffers),
		T(row_when_nobody_takes_it_expect_bounded),
		T(status_when_the_driver_sets_leds_expect_it_taken),
		T(state_when_saved_with_events_expect_them_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
