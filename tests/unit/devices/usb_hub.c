// SPDX-License-Identifier: GPL-2.0-or-later
/* USB hub with a keyboard at port 3 and a hub at port 8: make t T=devices/usb_hub */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/usb/usb_hub.h"
#include "devices/usb/usb_kbd.h"
#include "devices/usb/usb_pipe.h"
#include "fake_time.h"
#include "wire.h"

static struct usb_hub *hub, *second;
static struct usb_hid *k;
static struct usb_device *d;
static unsigned readies;

static void on_ready(void *opaque, struct usb_device *dev)
{
	(void)opaque;
	(void)dev;
	readies++;
}

static int setup(void **state)
{
	hub = usb_hub_new();
	second = usb_hub_new();
	k = usb_kbd_new(fake_begin());
	if (!hub || !second || !k)
		return -1;
	d = usb_hub_device(hub);
	d->ready = on_ready;
	d->speed = USB_FULL;
	readies = 0;
	assert_int_equal(usb_hub_plug(hub, &k->usb, 3), 3);
	assert_int_equal(usb_hub_plug(hub, usb_hub_device(second), 8), 8);
	assert_int_equal(usb_hub_plug(hub, usb_hub_device(second), 3), -EBUSY);
	assert_int_equal(usb_hub_plug(hub, usb_hub_device(second), 9), -EINVAL);
	d->dev.cls->reset(&d->dev);
	return 0;
}

static int teardown(void **state)
{
	usb_kbd_free(k);
	usb_hub_free(second);
	usb_hub_free(hub);
	return 0;
}

static int ask(uint16_t type_request, uint16_t value, uint16_t index, uint16_t length, uint8_t *data)
{
	const struct usb_setup s = {(uint8_t)(type_request >> 8), (uint8_t)type_request, value, index, length};
	static uint8_t none[USB_CONTROL_MAX];

	return d->ops->control(d, &s, data ? data : none);
}

static uint32_t port(unsigned n)
{
	uint8_t out[4];

	assert_int_equal(ask(0xa300, 0, (uint16_t)n, 4, out), 4);
	return ld_le32(out);
}

static void port_when_powered_and_reset_expect_the_device_behind_it(void **state)
{
	uint8_t r[16];

	assert_int_equal(ask(0xa006, 0x2900, 0, 16, r), 11);
	assert_int_equal(r[2], 8);
	assert_int_equal(ask(0x8006, 0x0100, 0, 18, r), 18);
	assert_int_equal(r[4], 9);
	assert_int_equal(r[6], 0);
	/* Powered by itself: else no hub may be behind it. */
	assert_int_equal(ask(0x8000, 0, 0, 2, r), 2);
	assert_int_equal(r[0], 1);
	assert_int_equal(ask(0x0009, 1, 0, 0, NULL), 0);
	assert_int_equal(port(3), 0);
	assert_int_equal(d->ops->in(d, 1, r, 2), USB_NAK);
	assert_int_equal(ask(0x2303, 8, 3, 0, NULL), 0);
	assert_int_equal(port(3), 0x10101);
	assert_int_equal(readies, 1);
	assert_int_equal(d->ops->in(d, 1, r, 2), 2);
	assert_int_equal(ld_le16(r), 1 << 3);
	assert_int_equal(d->ops->in(d, 1, r, 1), USB_BABBLE);
	assert_int_equal(ask(0x2301, 16, 3, 0, NULL), 0);
	assert_int_equal(d->ops->in(d, 1, r, 2), USB_NAK);
	assert_null(d->ops->child(d, 3));
	assert_int_equal(ask(0x2303, 4, 3, 0, NULL), 0);
	assert_int_equal(port(3), 0x100103);
	assert_ptr_equal(d->ops->child(d, 3), &k->usb);
	assert_int_equal(k->usb.speed, USB_FULL);
	/* Suspended, resumed, off. */
	assert_int_equal(ask(0x2301, 20, 3, 0, NULL), 0);
	assert_int_equal(ask(0x2303, 2, 3, 0, NULL), 0);
	assert_int_equal(port(3), 0x107);
	assert_null(d->ops->child(d, 3));
	assert_int_equal(ask(0x2301, 2, 3, 0, NULL), 0);
	assert_int_equal(port(3), 0x40103);
	assert_int_equal(ask(0x2301, 1, 3, 0, NULL), 0);
	assert_null(d->ops->child(d, 3));
	assert_int_equal(ask(0x2301, 8, 3, 0, NULL), 0);
	assert_int_equal(port(3), 0);
	/* Nothing at port 1; no ports 0 and 9. */
	assert_int_equal(ask(0x2303, 8, 1, 0, NULL), 0);
	assert_int_equal(ask(0x2303, 4, 1, 0, NULL), 0);
	assert_int_equal(port(1), 0x100);
	assert_int_equal(ask(0xa300, 0, 0, 4, r), USB_STALL);
	assert_int_equal(ask(0xa300, 0, 9, 4, r), USB_STALL);
	assert_int_equal(ask(0x2303, 99, 1, 0, NULL), USB_STALL);
	assert_null(d->ops->child(d, 0));
	assert_null(d->ops->child(d, 9));
}

/* One transaction of endpoint 0. */
static int token(struct usb_device *c, struct usb_pipe *p, uint8_t pid, const char *data, unsigned len)
{
	uint8_t buf[64];

	memcpy(buf, data, len);
	return usb_pipe_token(p, c, pid, 0, buf, len);
}

static void device_when_addressed_behind_the_hub_expect_it_found(void **state)
{
	static uint8_t buf[1 << 16];
	struct usb_pipe *p = NULL;
	struct usb_device *c;
	long n;

	assert_int_equal(ask(0x0009, 1, 0, 0, NULL), 0);
	assert_int_equal(ask(0x2303, 8, 3, 0, NULL), 0);
	assert_null(d->ops->find(d, 0, &p));
	assert_int_equal(ask(0x2303, 4, 3, 0, NULL), 0);
	c = d->ops->find(d, 0, &p);
	assert_ptr_equal(c, &k->usb);
	assert_int_equal(token(c, p, USB_PID_SETUP, "\0\5\7\0\0\0\0\0", 8), 8);
	assert_int_equal(token(c, p, USB_PID_IN, "", 0), 0);
	assert_null(d->ops->find(d, 0, &p));
	assert_ptr_equal(d->ops->find(d, 7, &p), &k->usb);
	/* Its address is the hub's to save. */
	n = device_save(&d->dev, buf, sizeof(buf));
	assert_true(n > 0);
	d->dev.cls->reset(&d->dev);
	assert_null(d->ops->find(d, 7, &p));
	assert_int_equal(device_load(&d->dev, buf, (size_t)n, NULL), 0);
	assert_ptr_equal(d->ops->find(d, 7, &p), &k->usb);
	/* The hub behind it, and nobody's address. */
	assert_int_equal(ask(0x2303, 8, 8, 0, NULL), 0);
	assert_int_equal(ask(0x2303, 4, 8, 0, NULL), 0);
	assert_ptr_equal(d->ops->find(d, 0, &p), usb_hub_device(second));
	assert_null(d->ops->find(d, 8, &p));
	/* Without a configuration it is no hub. */
	assert_int_equal(ask(0x0009, 0, 0, 0, NULL), 0);
	assert_null(d->ops->find(d, 7, &p));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(port_when_powered_and_reset_expect_the_device_behind_it),
		T(device_when_addressed_behind_the_hub_expect_it_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
