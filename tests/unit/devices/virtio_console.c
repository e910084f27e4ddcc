// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-console: make t T=devices/virtio_console */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "fake_chardev.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_console.h"

#define F_MULTIPORT 2u
#define MSG 0x1000
#define DATA 0x2000

struct fixture {
	struct drv d;
	struct virtio_config cfg;
	struct fake_chardev chr[2];
	struct virtio_console *s;
};

static struct virtio_console *make(struct fixture *f, uint8_t devfn)
{
	struct virtio_console_port console = {.chr = &f->chr[0].c, .console = true};
	struct virtio_console_port channel = {.chr = &f->chr[1].c,
					      .name = "org.test",
					      .waits = true};
	struct virtio_console *s;

	f->cfg.devfn = devfn;
	s = virtio_console_new(&f->cfg, 3, NULL);
	assert_non_null(s);
	assert_int_equal(virtio_console_add(s, -1, &console, NULL), 0);
	assert_int_equal(virtio_console_add(s, -1, &channel, NULL), 1);
	virtio_console_device(s)->cls->reset(virtio_console_device(s));
	return s;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	drv_init(&f->d);
	f->cfg.bus = f->d.pb;
	f->cfg.mem = f->d.mem;
	f->cfg.loop = fake_begin();
	f->cfg.vectors = 2;
	for (unsigned i = 0; i < 2; i++)
		fake_chardev_init(&f->chr[i]);
	f->s = make(f, DRV_DEVFN);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_console_free(f->s);
	drv_free(&f->d);
	free(f);
	return 0;
}

/* Put `n` empty buffers of 100 bytes into a receive queue, from `gpa` on. */
static void give(struct fixture *f, unsigned q, gpa_t gpa, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct drv_buf b = {gpa + 100 * i, 100};

		drv_submit(&f->d, q, &b, 0, 1);
	}
}

static void control(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
	struct drv_buf b = {MSG, 8};
	uint32_t used_id, len;

	st_le32(drv_p(&f->d, MSG), id);
	st_le16(drv_p(&f->d, MSG + 4), event);
	st_le16(drv_p(&f->d, MSG + 6), value);
	drv_submit(&f->d, 3, &b, 1, 0);
	assert_true(drv_used(&f->d, 3, &used_id, &len));
}

static void expect_control(struct fixture *f, unsigned n, uint32_t id, uint16_t event,
			   uint16_t value, const char *name)
{
	const uint8_t *p = drv_p(&f->d, 0x80000 + 100 * n);
	uint32_t used_id, len;

	assert_true(drv_used(&f->d, 2, &used_id, &len));
	assert_int_equal(len, 8 + strlen(name));
	assert_int_equal(ld_le32(p), id);
	assert_int_equal(ld_le16(p + 4), event);
	assert_int_equal(ld_le16(p + 6), value);
	assert_memory_equal(p + 8, name, strlen(name));
}

/* A driver that has seen both ports and opened them. */
static void open_ports(struct fixture *f)
{
	drv_start(&f->d, F_MULTIPORT, 8, 16);
	give(f, 2, 0x80000, 12);
	control(f, 0xffffffff, 0, 1);
	for (unsigned n = 0; n < 2; n++) {
		control(f, n, 3, 1);
		control(f, n, 6, 1);
	}
}

static void driver_when_ready_expect_ports_named_and_opened(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	drv_start(&f->d, F_MULTIPORT, 8, 16);
	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10031af4);
	assert_int_equal(drv_rd(&f->d, 0x2004, 4), 3);
	give(f, 2, 0x80000, 12);
	control(f, 0, 0, 1);
	expect_control(f, 0, 0, 1, 1, "");
	expect_control(f, 1, 1, 1, 1, "");
	control(f, 0, 3, 1);
	expect_control(f, 2, 0, 4, 1, "");
	expect_control(f, 3, 0, 6, 1, "");
	control(f, 1, 3, 1);
	expect_control(f, 4, 1, 7, 1, "org.test");
	/* Nobody is there yet. */
	assert_false(drv_used(&f->d, 2, &id, &len));
	chardev_event(&f->chr[1].c, CHARDEV_EVENT_OPEN);
	expect_control(f, 5, 1, 6, 1, "");
	chardev_event(&f->chr[1].c, CHARDEV_EVENT_CLOSE);
	expect_control(f, 6, 1, 6, 0, "");
}

static void messages_when_no_buffers_expect_them_later(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	drv_start(&f->d, F_MULTIPORT, 8, 16);
	control(f, 0, 0, 1);
	control(f, 0, 0, 1); /* twice is once */
	assert_false(drv_used(&f->d, 2, &id, &len));
	give(f, 2, 0x80000, 1);
	expect_control(f, 0, 0, 1, 1, "");
	give(f, 2, 0x80064, 3);
	expect_control(f, 1, 1, 1, 1, "");
	assert_false(drv_used(&f->d, 2, &id, &len));
}

static void message_when_nonsense_expect_ignored(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {MSG, 7};
	uint32_t id, len;

	open_ports(f);
	while (drv_used(&f->d, 2, &id, &len))
		;
	control(f, 2, 3, 1); /* nothing is on that port */
	control(f, 3, 3, 1);
	control(f, 0xffffffff, 6, 1);
	control(f, 0, 0xffff, 1);
	drv_submit(&f->d, 3, &b, 1, 0); /* short */
	assert_true(drv_used(&f->d, 3, &id, &len));
	assert_false(drv_used(&f->d, 2, &id, &len));
	assert_int_equal(drv_status(&f->d), 15);
}

static void output_when_sent_expect_bytes_at_the_other_end(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{DATA, 5}, {DATA + 5, 6}};
	uint32_t id, len;

	open_ports(f);
	memcpy(drv_p(&f->d, DATA), "hello world", 11);
	drv_submit(&f->d, 5, b, 2, 0);
	assert_true(drv_used(&f->d, 5, &id, &len));
	assert_memory_equal(f->chr[1].buf, "hello world", 11);
	drv_submit(&f->d, 1, b, 1, 0);
	assert_memory_equal(f->chr[0].buf, "hello", 5);
	/* A port with nobody on it swallows. */
	drv_submit(&f->d, 7, b, 2, 0);
	assert_true(drv_used(&f->d, 7, &id, &len));
}

static void output_when_the_other_end_is_full_expect_rest_later(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{DATA, 5}, {DATA + 5, 6}};
	uint32_t id, len;

	open_ports(f);
	memcpy(drv_p(&f->d, DATA), "hello world", 11);
	f->chr[1].room = 7;
	drv_submit(&f->d, 5, b, 2, 0);
	assert_false(drv_used(&f->d, 5, &id, &len));
	f->chr[1].room = 100;
	chardev_writable(&f->chr[1].c);
	assert_true(drv_used(&f->d, 5, &id, &len));
	assert_int_equal(f->chr[1].len, 11);
	assert_memory_equal(f->chr[1].buf, "hello world", 11);
}

static void input_when_port_is_open_expect_bytes_in_buffers(void **state)
{
	struct fixture *f = *state;
	char text[250];
	uint32_t id, len;

	memset(text, 'i', sizeof(text));
	assert_int_equal(fake_chardev_send(&f->chr[1], text, 1), 0);
	open_ports(f);
	control(f, 1, 6, 0);
	assert_int_equal(fake_chardev_send(&f->chr[1], text, 1), 0);
	control(f, 1, 6, 1);
	assert_int_equal(fake_chardev_send(&f->chr[1], text, sizeof(text)), 250);
	assert_false(drv_used(&f->d, 4, &id, &len));
	give(f, 4, DATA, 2);
	assert_true(drv_used(&f->d, 4, &id, &len));
	assert_int_equal(len, 100);
	assert_true(drv_used(&f->d, 4, &id, &len));
	give(f, 4, DATA, 2);
	assert_true(drv_used(&f->d, 4, &id, &len));
	assert_int_equal(len, 50);
	assert_false(drv_used(&f->d, 4, &id, &len));
	assert_int_equal(*drv_p(&f->d, DATA + 99), 'i');
	assert_true(f->chr[1].accepts > 1);
}

static void input_when_nothing_takes_it_expect_bound(void **state)
{
	struct fixture *f = *state;
	static uint8_t text[65536];

	open_ports(f);
	assert_int_equal(fake_chardev_send(&f->chr[1], text, sizeof(text)), 1024);
	assert_int_equal(fake_chardev_send(&f->chr[1], text, sizeof(text)), 0);
}

static void single_port_when_no_multiport_expect_console_works(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {DATA, 2};
	uint32_t id, len;

	drv_start(&f->d, 0, 2, 16);
	give(f, 0, DATA, 1);
	assert_int_equal(fake_chardev_send(&f->chr[0], "in", 2), 2);
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 2);
	assert_int_equal(fake_chardev_send(&f->chr[1], "in", 2), 0);
	memcpy(drv_p(&f->d, DATA), "ok", 2);
	drv_submit(&f->d, 1, &b, 1, 0);
	assert_memory_equal(f->chr[0].buf, "ok", 2);
	drv_wr(&f->d, 0x2008, '!', 4);
	assert_memory_equal(f->chr[0].buf, "ok!", 3);
	assert_int_equal(drv_rd(&f->d, 0x2008, 4), 0);
}

static void reset_when_open_expect_closed_and_empty(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	fake_chardev_send(&f->chr[1], "old", 3);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(fake_chardev_send(&f->chr[1], "x", 1), 0);
	open_ports(f);
	assert_int_equal(fake_chardev_send(&f->chr[1], "new", 3), 3);
	give(f, 4, DATA, 1);
	assert_memory_equal(drv_p(&f->d, DATA), "new", 3);
}

static void state_when_half_sent_expect_the_other_half(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {DATA, 11};
	struct virtio_console *other;

	open_ports(f);
	memcpy(drv_p(&f->d, DATA), "hello world", 11);
	f->chr[1].room = 6;
	drv_submit(&f->d, 5, &b, 1, 0);
	fake_chardev_send(&f->chr[1], "kept", 4);
	other = make(f, 0x30);
	wire_transfer(virtio_console_device(f->s), virtio_console_device(other));
	f->chr[1].room = 100;
	fake_advance(1);
	assert_memory_equal(f->chr[1].buf, "hello world", 11);
	give(f, 4, DATA + 0x100, 1);
	virtio_console_free(f->s);
	f->s = other;
	drv_kick(&f->d, 4); /* to nobody; the other one looks by itself */
	virtio_all_again((struct virtio_dev *)virtio_console_device(other));
	fake_advance(1);
	assert_memory_equal(drv_p(&f->d, DATA + 0x100), "kept", 4);
}

static void port_when_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct virtio_console_port p = {.chr = NULL};
	struct lodge_err err;

	assert_int_equal(virtio_console_add(f->s, 0, &p, &err), -EBUSY);
	assert_int_equal(virtio_console_add(f->s, 3, &p, &err), -EINVAL);
	assert_int_equal(virtio_console_add(f->s, -1, &p, &err), 2);
	assert_int_equal(virtio_console_add(f->s, -1, &p, &err), -ENOSPC);
	f->cfg.devfn = 0x30;
	assert_null(virtio_console_new(&f->cfg, 32, &err));
	assert_null(virtio_console_new(&f->cfg, 0, &err));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(driver_when_ready_expect_ports_named_and_opened),
		T(messages_when_no_buffers_expect_them_later),
		T(message_when_nonsense_expect_ignored),
		T(output_when_sent_expect_bytes_at_the_other_end),
		T(output_when_the_other_end_is_full_expect_rest_later),
		T(input_when_port_is_open_expect_bytes_in_buffers),
		T(input_when_nothing_takes_it_expect_bound),
		T(single_port_when_no_multiport_expect_console_works),
		T(reset_when_open_expect_closed_and_empty),
		T(state_when_half_sent_expect_the_other_half),
		T(port_when_impossible_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
