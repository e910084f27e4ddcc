// SPDX-License-Identifier: GPL-2.0-or-later
/* USB keyboard, mouse and tablet by themselves: make t T=devices/usb_hid */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/usb/usb_kbd.h"
#include "devices/usb/usb_mouse.h"
#include "devices/usb/usb_tablet.h"
#include "fake_time.h"
#include "wire.h"

#define MS 1000000ull

static struct usb_hid *k, *m, *t;
static unsigned readies;

static void on_ready(void *opaque, struct usb_device *d)
{
	(void)opaque;
	(void)d;
	readies++;
}

static int setup(void **state)
{
	struct io_loop *loop = fake_begin();

	k = usb_kbd_new(loop);
	m = usb_mouse_new(loop);
	t = usb_tablet_new(loop);
	k->usb.ready = m->usb.ready = t->usb.ready = on_ready;
	readies = 0;
	return !k || !m || !t;
}

static int teardown(void **state)
{
	usb_kbd_free(k);
	usb_mouse_free(m);
	usb_tablet_free(t);
	return 0;
}

static int ask(struct usb_hid *h, uint16_t type_request, uint16_t value, uint16_t index, uint16_t length,
	       uint8_t *data)
{
	const struct usb_setup s = {(uint8_t)(type_request >> 8), (uint8_t)type_request, value, index, length};
	static uint8_t none[USB_CONTROL_MAX];

	return h->usb.ops->control(&h->usb, &s, data ? data : none);
}

static void configure(struct usb_hid *h)
{
	assert_int_equal(ask(h, 0x0009, 1, 0, 0, NULL), 0);
}

static void send(struct usb_hid *h, enum input_kind kind, unsigned code, int value)
{
	const struct input_event ev = {
		.kind = (uint8_t)kind, .code = (uint16_t)code, .value = value, .down = value};

	h->sink.event(h->sink.opaque, &ev);
	h->sink.sync(h->sink.opaque);
}

static int read_in(struct usb_hid *h, uint8_t r[8])
{
	return h->usb.ops->in(&h->usb, 1, r, 8);
}

static void keyboard_when_keys_are_down_expect_them_in_order(void **state)
{
	static const uint16_t seven[] = {INPUT_KEY_a, INPUT_KEY_b, INPUT_KEY_c, INPUT_KEY_d,
					 INPUT_KEY_e, INPUT_KEY_f, INPUT_KEY_g};
	uint8_t r[8];

	assert_int_equal(read_in(k, r), USB_STALL);
	send(k, INPUT_KEY, INPUT_KEY_x, 1);
	assert_int_equal(readies, 0);
	k->usb.dev.cls->reset(&k->usb.dev);
	configure(k);
	assert_int_equal(read_in(k, r), USB_NAK);
	for (unsigned i = 0; i < 7; i++)
		send(k, INPUT_KEY, seven[i], 1);
	assert_int_equal(readies, 7);
	send(k, INPUT_KEY, INPUT_KEY_ctrl_r, 1);
	/* More than six: roll over, modifiers still right. */
	assert_int_equal(read_in(k, r), 8);
	assert_memory_equal(r, "\x10\0\1\1\1\1\1\1", 8);
	send(k, INPUT_KEY, INPUT_KEY_c, 0);
	send(k, INPUT_KEY, INPUT_KEY_ctrl_r, 0);
	assert_int_equal(read_in(k, r), 8);
	assert_memory_equal(r, "\0\0\4\5\7\x8\x9\xa", 8);
	assert_int_equal(read_in(k, r), USB_NAK);
	for (unsigned i = 0; i < 7; i++)
		send(k, INPUT_KEY, seven[i], 0);
	assert_int_equal(ask(k, 0xa101, 0x0100, 0, 8, r), 8); /* Get_Report */
	assert_memory_equal(r, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(read_in(k, r), USB_NAK);
	/* All keys there are. */
	for (unsigned i = 1; i < INPUT_KEYS; i++)
		send(k, INPUT_KEY, i, 1);
	for (unsigned i = 1; i < INPUT_KEYS; i++)
		send(k, INPUT_KEY, i, 0);
	assert_int_equal(read_in(k, r), 8);
	assert_memory_equal(r, "\0\0\0\0\0\0\0\0", 8);
	/* A buffer that is too small. */
	send(k, INPUT_KEY, INPUT_KEY_a, 1);
	assert_int_equal(k->usb.ops->in(&k->usb, 1, r, 7), USB_BABBLE);
}

static void keyboard_when_idle_rate_is_set_expect_reports_again(void **state)
{
	uint8_t r[8];

	configure(k);
	assert_int_equal(ask(k, 0x210a, 10 << 8, 0, 0, NULL), 0); /* 40 ms */
	assert_int_equal(ask(k, 0xa102, 0, 0, 1, r), 1);
	assert_int_equal(r[0], 10);
	send(k, INPUT_KEY, INPUT_KEY_a, 1);
	assert_int_equal(read_in(k, r), 8);
	fake_advance(39 * MS);
	assert_int_equal(read_in(k, r), USB_NAK);
	readies = 0;
	fake_advance(2 * MS);
	assert_int_equal(readies, 1);
	assert_int_equal(read_in(k, r), 8);
	assert_int_equal(r[2], 4);
	assert_int_equal(read_in(k, r), USB_NAK);
	/* None without end. */
	assert_int_equal(ask(k, 0x210a, 0, 0, 0, NULL), 0);
	fake_advance(1000 * MS);
	assert_int_equal(read_in(k, r), USB_NAK);
	assert_int_equal(readies, 1);
}

static void mouse_when_moved_far_expect_several_reports(void **state)
{
	uint8_t r[8];

	configure(m);
	send(m, INPUT_REL, INPUT_X, 300);
	send(m, INPUT_REL, INPUT_Y, -130);
	send(m, INPUT_BUTTON, INPUT_MIDDLE, 1);
	send(m, INPUT_BUTTON, INPUT_WHEEL_UP, 1);
	assert_int_equal(read_in(m, r), 4);
	assert_memory_equal(r, "\4\x7f\x81\1", 4);
	assert_false(m->sink.idle(m));
	assert_int_equal(read_in(m, r), 4);
	assert_memory_equal(r, "\4\x7f\xfd\0", 4);
	assert_int_equal(read_in(m, r), 4);
	assert_memory_equal(r, "\4\x2e\0\0", 4);
	assert_true(m->sink.idle(m));
	assert_int_equal(read_in(m, r), USB_NAK);
	/* No bound is passed. */
	for (unsigned i = 0; i < 1000; i++)
		send(m, INPUT_REL, INPUT_X, 1 << 20);
	for (unsigned i = 0; i < 258; i++)
		assert_int_equal(read_in(m, r), 4);
	assert_int_equal(read_in(m, r), 4);
	assert_int_equal(read_in(m, r), USB_NAK);
}

static void mouse_when_boot_protocol_expect_three_bytes(void **state)
{
	uint8_t r[8];

	configure(m);
	assert_int_equal(ask(m, 0xa103, 0, 0, 1, r), 1);
	assert_int_equal(r[0], 1);
	assert_int_equal(ask(m, 0x210b, 0, 0, 0, NULL), 0);
	send(m, INPUT_BUTTON, INPUT_EXTRA, 1);
	send(m, INPUT_BUTTON, INPUT_LEFT, 1);
	send(m, INPUT_BUTTON, INPUT_WHEEL_DOWN, 1);
	send(m, INPUT_REL, INPUT_X, -1);
	assert_int_equal(read_in(m, r), 3);
	assert_memory_equal(r, "\1\xff\0", 3);
	assert_int_equal(read_in(m, r), USB_NAK);
	assert_int_equal(ask(m, 0x210b, 2, 0, 0, NULL), USB_STALL);
	/* A tablet has no such protocol. */
	assert_int_equal(ask(t, 0x210b, 0, 0, 0, NULL), USB_STALL);
	assert_int_equal(ask(t, 0xa103, 0, 0, 1, NULL), USB_STALL);
}

static void requests_when_asked_expect_answers_or_stalls(void **state)
{
	uint8_t r[USB_CONTROL_MAX];

	assert_int_equal(ask(k, 0x8008, 0, 0, 1, r), 1);
	assert_int_equal(r[0], 0);
	assert_int_equal(ask(k, 0x0009, 2, 0, 0, NULL), USB_STALL);
	configure(k);
	assert_int_equal(ask(k, 0x8008, 0, 0, 1, r), 1);
	assert_int_equal(r[0], 1);
	assert_int_equal(ask(k, 0x0003, 1, 0, 0, NULL), 0);
	assert_int_equal(ask(k, 0x8000, 0, 0, 2, r), 2);
	assert_int_equal(r[0], 2);
	assert_int_equal(ask(k, 0x0001, 1, 0, 0, NULL), 0);
	assert_int_equal(ask(k, 0x8000, 0, 0, 2, r), 2);
	assert_int_equal(r[0], 0);
	/* The endpoint halted, and going again. */
	assert_int_equal(ask(k, 0x0203, 0, 0x81, 0, NULL), 0);
	assert_int_equal(ask(k, 0x8200, 0, 0x81, 2, r), 2);
	assert_int_equal(r[0], 1);
	assert_int_equal(read_in(k, r), USB_STALL);
	assert_int_equal(ask(k, 0x0201, 0, 0x81, 0, NULL), 0);
	assert_int_equal(read_in(k, r), USB_NAK);
	/* A report's descriptor, whole; it ends with the end of a collection. */
	for (unsigned i = 0; i < 3; i++) {
		struct usb_hid *h = (struct usb_hid *[]){k, m, t}[i];
		int n = ask(h, 0x8106, 0x2200, 0, USB_CONTROL_MAX, r);

		assert_in_range(n, 40, 100);
		assert_int_equal(r[n - 1], 0xc0);
		assert_int_equal(ask(h, 0x8006, 0x0200, 0, 255, r), 34);
		assert_int_equal(ld_le16(r + 25), n);
		assert_int_equal(ask(h, 0x8106, 0x2100, 0, 255, r), 9);
		assert_int_equal(ld_le16(r + 7), n);
		assert_int_equal(ask(h, 0x8006, 0x0600, 0, 255, r), 10);
	}
	assert_int_equal(ask(k, 0x8006, 0x0304, 0, 255, r), USB_STALL);
	assert_int_equal(ask(k, 0x8006, 0x0700, 0, 255, r), USB_STALL);
	assert_int_equal(ask(k, 0x2109, 0x0300, 0, 1, r), USB_STALL);
	assert_int_equal(ask(k, 0x40aa, 0, 0, 0, NULL), USB_STALL);
	r[0] = 0xff;
	assert_int_equal(ask(k, 0x2109, 0x0200, 0, 1, r), 0);
	assert_int_equal(usb_kbd_leds(k), 31);
	/* The bus is reset: as at first. */
	k->usb.ops->reset(&k->usb);
	assert_false(k->sink.active(k));
	assert_int_equal(ask(k, 0xa103, 0, 0, 1, r), 1);
	assert_int_equal(r[0], 1);
}

static void state_when_saved_and_loaded_expect_the_same_report(void **state)
{
	struct usb_hid *other = usb_kbd_new(k->timer.loop);
	uint8_t buf[1024], r[8];
	long n;

	configure(k);
	send(k, INPUT_KEY, INPUT_KEY_q, 1);
	wire_transfer(&k->usb.dev, &other->usb.dev);
	assert_true(other->sink.active(other));
	assert_int_equal(read_in(other, r), 8);
	assert_int_equal(r[2], 0x14);
	/* A hole among the keys. */
	n = device_save(&k->usb.dev, buf, sizeof(buf));
	assert_true(n > 0);
	for (long i = 0; i < n; i++) {
		if (buf[i] == 0x14) {
			buf[i] = 0;
			assert_int_equal(device_load(&other->usb.dev, buf, (size_t)n, NULL), -EINVAL);
			buf[i] = 0x14;
		}
	}
	usb_kbd_free(other);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(keyboard_when_keys_are_down_expect_them_in_order),
		T(keyboard_when_idle_rate_is_set_expect_reports_again),
		T(mouse_when_moved_far_expect_several_reports),
		T(mouse_when_boot_protocol_expect_three_bytes),
		T(requests_when_asked_expect_answers_or_stalls),
		T(state_when_saved_and_loaded_expect_the_same_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
