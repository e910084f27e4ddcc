// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-9p, what carries the messages: make t T=devices/virtio_9p */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "fake_p9_queue.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_9p.h"

struct fixture {
	struct drv d;
	struct p9_queue queue;
	struct virtio_9p_config cfg;
	struct virtio_9p *s;
	bool no_answer;
};

/* The message back, with another type. */
static size_t answer(void *opaque, struct p9_job *job)
{
	struct fixture *f = opaque;
	size_t n = job->len < job->cap ? job->len : job->cap;

	memcpy(job->reply, job->req, n);
	job->reply[4]++;
	return f->no_answer ? 0 : n;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	drv_init(&f->d);
	list_init(&f->queue.waiting);
	f->queue.answer = answer;
	f->queue.opaque = f;
	f->cfg.virtio.bus = f->d.pb;
	f->cfg.virtio.devfn = DRV_DEVFN;
	f->cfg.virtio.mem = f->d.mem;
	f->cfg.virtio.loop = fake_begin();
	f->cfg.tag = "shared";
	f->cfg.queue = &f->queue;
	f->s = virtio_9p_new(&f->cfg, NULL);
	assert_non_null(f->s);
	virtio_9p_device(f->s)->cls->reset(virtio_9p_device(f->s));
	drv_start(&f->d, 1, 1, 64);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_9p_free(f->s);
	assert_int_equal(f->queue.waits, 0);
	drv_free(&f->d);
	free(f);
	return 0;
}

static void submit(struct fixture *f, uint32_t out, uint32_t in)
{
	struct drv_buf b[2] = {{0x1000, out}, {0x200000, in}};

	drv_submit(&f->d, 0, b, 1, in ? 1 : 0);
}

static void config_when_read_expect_tag(void **state)
{
	struct fixture *f = *state;
	char tag[8] = {0};

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10091af4);
	assert_int_equal(drv_rd(&f->d, 0x2000, 2), 6);
	for (unsigned i = 0; i < 6; i++)
		tag[i] = (char)drv_rd(&f->d, 0x2002 + i, 1);
	assert_string_equal(tag, "shared");
}

static void message_when_answered_expect_it_in_the_buffer(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	memcpy(drv_p(&f->d, 0x1000), "\x0c\0\0\0\x64\1\0hello", 12);
	submit(f, 12, 64);
	assert_false(drv_used(&f->d, 0, &id, &len));
	/* A copy was taken: what the driver does now changes nothing. */
	memset(drv_p(&f->d, 0x1000), 0xff, 12);
	assert_true(fake_p9_step(&f->queue));
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 12);
	assert_memory_equal(drv_p(&f->d, 0x200000), "\x0c\0\0\0\x65\1\0hello", 12);
	assert_true(drv_intx(&f->d));
}

static void messages_when_many_expect_bound_and_all_answered(void **state)
{
	struct fixture *f = *state;
	unsigned answered = 0;
	uint32_t id, len;

	for (unsigned i = 0; i < 30; i++)
		submit(f, 100, 100);
	assert_int_equal(f->queue.waits, 16);
	while (fake_p9_step(&f->queue))
		fake_advance(1);
	while (drv_used(&f->d, 0, &id, &len))
		answered++;
	assert_int_equal(answered, 30);
}

static void message_when_impossible_expect_needs_reset(void **state)
{
	static const uint32_t sizes[][2] = {{6, 64}, {12, 0}, {12, 10}, {(512 << 10) + 1, 64}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		submit(f, sizes[i][0], sizes[i][1]);
		assert_int_equal(drv_status(&f->d), 15 | VIRTIO_STATUS_NEEDS_RESET);
		drv_start(&f->d, 1, 1, 64);
	}
	f->no_answer = true;
	submit(f, 12, 64);
	fake_p9_step(&f->queue);
	assert_int_equal(drv_status(&f->d), 15 | VIRTIO_STATUS_NEEDS_RESET);
}

static void reset_when_under_way_expect_client_forgotten(void **state)
{
	struct fixture *f = *state;
	unsigned resets = f->queue.resets;

	submit(f, 12, 64);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(f->queue.waits, 0);
	assert_int_equal(f->queue.resets, resets + 1);
}

/* The host hangs: a reset does not wait, and what comes late is nobody's. */
static void reset_when_host_hangs_expect_no_wait(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	f->queue.busy = true;
	for (unsigned i = 0; i < 20; i++)
		submit(f, 12, 64);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(drv_status(&f->d), 0);
	assert_int_equal(f->queue.waits, 1);
	drv_start(&f->d, 1, 1, 64);
	memcpy(drv_p(&f->d, 0x1000), "\x0c\0\0\0\x64\1\0hello", 12);
	submit(f, 12, 64);
	assert_true(fake_p9_step(&f->queue));
	assert_false(drv_used(&f->d, 0, &id, &len));
	assert_true(fake_p9_step(&f->queue));
	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(len, 12);
	f->queue.busy = false;
}

static void state_when_saved_under_way_expect_answer(void **state)
{
	struct fixture *f = *state;
	struct virtio_9p_config c = f->cfg;
	struct p9_queue queue = f->queue;
	struct virtio_9p *other;
	uint32_t id, len;

	list_init(&queue.waiting);
	c.queue = &queue;
	c.virtio.devfn = 0x30;
	other = virtio_9p_new(&c, NULL);
	assert_non_null(other);
	submit(f, 12, 64);
	wire_transfer(virtio_9p_device(f->s), virtio_9p_device(other));
	assert_true(fake_p9_step(&queue));
	assert_true(drv_used(&f->d, 0, &id, &len));
	virtio_9p_free(other);
}

static void tag_when_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct virtio_9p_config c = f->cfg;
	char tag[102] = {0};
	struct lodge_err err;

	c.virtio.devfn = 0x30;
	c.tag = "";
	assert_null(virtio_9p_new(&c, &err));
	memset(tag, 'x', 101);
	c.tag = tag;
	assert_null(virtio_9p_new(&c, &err));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_read_expect_tag),
		T(message_when_answered_expect_it_in_the_buffer),
		T(messages_when_many_expect_bound_and_all_answered),
		T(message_when_impossible_expect_needs_reset),
		T(reset_when_under_way_expect_client_forgotten),
		T(reset_when_host_hangs_expect_no_wait),
		T(state_when_saved_under_way_expect_answer),
		T(tag_when_impossible_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
