// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-fs and its vhost-user back end: make t T=devices/vhost_user_fs */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "fake_vhost.h"
#include "fake_watch.h"
#include "virtio_driver.h"
#include "devices/virtio/vhost_user_fs.h"

#define REQUEST 1u /* the request queue */
#define OUT 0x1000u
#define IN 0x200000u
#define HEADER 40u /* struct fuse_in_header */

struct fixture {
	struct drv d;
	struct fake_vhost back;
	struct vhost_user_fs_config cfg;
	struct vhost_user_fs *s;
	/* What the engine was told of code that was overwritten. */
	uint64_t code_bytes;
	bool used_first;
};

static void prepare(struct fixture *f)
{
	drv_init(&f->d);
	fake_vhost_open(&f->back);
	f->cfg.virtio.bus = f->d.pb;
	f->cfg.virtio.devfn = DRV_DEVFN;
	f->cfg.virtio.mem = f->d.mem;
	f->cfg.virtio.loop = fake_begin();
	f->cfg.virtio.queue_size = 64;
	f->cfg.tag = "share";
	f->cfg.request_queues = 1;
	f->cfg.fd = f->back.front;
	f->cfg.start_ms = f->cfg.reset_ms = 20;
}

static int setup_bare(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	prepare(f);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	struct fixture *f;

	setup_bare(state);
	f = *state;
	fake_vhost_agree(&f->back, FAKE_VHOST_FEATURES, FAKE_VHOST_PROTOCOL, 2, 0);
	f->s = vhost_user_fs_new(&f->cfg, NULL);
	assert_non_null(f->s);
	fake_vhost_listen(&f->back);
	vhost_user_fs_device(f->s)->cls->reset(vhost_user_fs_device(f->s));
	drv_start(&f->d, VIRTIO_F_INDIRECT_DESC, 2, 64);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vhost_user_fs_free(f->s);
	fake_vhost_close(&f->back);
	drv_free(&f->d);
	free(f);
	return 0;
}

static uint16_t submit(struct fixture *f, uint64_t unique, uint32_t in)
{
	struct drv_buf b[2] = {{OUT, HEADER}, {IN, in}};

	st_le32(drv_p(&f->d, OUT), HEADER);
	st_le64(drv_p(&f->d, OUT + 8), unique);
	return drv_submit(&f->d, REQUEST, b, 1, in ? 1 : 0);
}

/* The next request is done by the back end. */
static void serve(struct fixture *f, uint32_t len)
{
	uint16_t head;

	assert_true(fake_vhost_pop(&f->back, REQUEST, &head));
	fake_vhost_used(&f->back, REQUEST, head, len);
	fake_vhost_call(&f->back, REQUEST);
	fake_watch_poll(4);
}

/* ---- Setting up ------------------------------------------------------------------------------------ */

static void config_when_read_expect_tag_and_queues(void **state)
{
	struct fixture *f = *state;
	char tag[37] = {0};

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x105a1af4);
	for (unsigned i = 0; i < 36; i++)
		tag[i] = (char)drv_rd(&f->d, 0x2000 + i, 1);
	assert_string_equal(tag, "share");
	assert_int_equal(drv_rd(&f->d, 0x2024, 4), 1);
	assert_false(drv_offered(&f->d) & VIRTIO_F_RING_RESET);
}

static void start_when_agreed_expect_memory_and_rings(void **state)
{
	static const uint8_t expect[] = {1, 15, 16, 17, 3, 2, 5, 8, 10, 9, 13, 12, 18, 8};
	struct fixture *f = *state;
	const struct fake_vhost *b = &f->back;

	for (unsigned i = 0; i < sizeof(expect); i++)
		assert_int_equal(b->msg[i], expect[i]);
	assert_int_equal(b->n_msgs, 7 + 2 * 6);
	assert_int_equal(b->protocol, 9);
	assert_true(b->features ==
		    (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_BIT(30)));
	assert_int_equal(b->region[0].size, DRV_RAM);
	for (unsigned i = 0; i < 2; i++) {
		/* Nothing is learnt of this process. */
		assert_true(b->region[i].user == b->region[i].address);
		assert_int_equal(b->q[i].size, 64);
		assert_true(b->q[i].enabled);
	}
}

static void start_when_nothing_is_negotiated_expect_it_to_work(void **state)
{
	struct fixture *f = *state;

	fake_vhost_agree(&f->back, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC, 0, 2, 0);
	f->s = vhost_user_fs_new(&f->cfg, NULL);
	assert_non_null(f->s);
	fake_vhost_listen(&f->back);
	assert_int_equal(f->back.msg[f->back.n_msgs - 1], VHOST_GET_FEATURES);
	assert_int_equal(f->back.msg[f->back.n_msgs - 2], VHOST_SET_VRING_KICK);
}

/* Setting up fails, and the sentence has these words. */
static void expect_refusal(struct fixture *f, const char *words)
{
	struct lodge_err err = {""};

	assert_null(vhost_user_fs_new(&f->cfg, &err));
	if (!strstr(err.msg, words) || !strstr(err.msg, "'share'"))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
	fake_vhost_close(&f->back);
	fake_vhost_open(&f->back);
	f->cfg.fd = f->back.front;
}

static void start_when_back_end_cannot_expect_sentence(void **state)
{
	struct fixture *f = *state;

	fake_vhost_agree(&f->back, FAKE_VHOST_FEATURES & ~VIRTIO_F_VERSION_1, 9, 2, 0);
	expect_refusal(f, "virtio 1");
	fake_vhost_agree(&f->back, FAKE_VHOST_FEATURES & ~VIRTIO_F_INDIRECT_DESC, 9, 2, 0);
	expect_refusal(f, "indirect");
	fake_vhost_agree(&f->back, FAKE_VHOST_FEATURES, 9, 1, 0);
	expect_refusal(f, "has 1 queues, 2 are wanted");
	fake_vhost_agree(&f->back, FAKE_VHOST_FEATURES, 9, 2, VHOST_SET_MEM_TABLE);
	expect_refusal(f, "refuses SET_MEM_TABLE");
	fake_vhost_agree(&f->back, FAKE_VHOST_FEATURES, 9, 2, VHOST_SET_VRING_KICK);
	expect_refusal(f, "refuses SET_VRING_KICK");
	close(f->cfg.fd);
}

static void start_when_answer_is_none_expect_sentence(void **state)
{
	struct fixture *f = *state;
	uint8_t raw[20] = {1, 0, 0, 0, 5, 0, 0, 0, 8};

	static const struct {
		unsigned at;
		uint8_t val;
	} wrong[] = {{0, 2}, {4, 1}, {4, 6}, {8, 16}, {8, 4}, {11, 0x80}};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bad[20];

		memcpy(bad, raw, sizeof(bad));
		bad[wrong[i].at] = wrong[i].val;
		fake_vhost_say(&f->back, bad, sizeof(bad));
		expect_refusal(f, "no answer to GET_FEATURES");
	}
	close(f->cfg.fd);
}

static void start_when_back_end_is_silent_or_gone_expect_sentence(void **state)
{
	struct fixture *f = *state;

	expect_refusal(f, "does not answer GET_FEATURES");
	/* Half an answer, then silence. */
	fake_vhost_say(&f->back, "\1\0\0\0\5", 5);
	expect_refusal(f, "does not answer GET_FEATURES");
	fake_vhost_reply(&f->back, VHOST_GET_FEATURES, FAKE_VHOST_FEATURES);
	shutdown(f->back.sock, SHUT_WR);
	expect_refusal(f, "hung up at GET_PROTOCOL_FEATURES");
	fake_vhost_hang_up(&f->back);
	expect_refusal(f, "hung up at GET_FEATURES");
	close(f->cfg.fd);
}

static void config_when_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct vhost_user_fs_config c = f->cfg;
	char tag[38] = {0};
	struct lodge_err err;

	memset(tag, 'x', 37);
	c.tag = tag;
	assert_null(vhost_user_fs_new(&c, &err));
	assert_non_null(strstr(err.msg, "1 to 36"));
	c = f->cfg;
	c.fd = dup(f->back.sock);
	c.request_queues = 64;
	assert_null(vhost_user_fs_new(&c, &err));
	assert_non_null(strstr(err.msg, "num-request-queues=64"));
	c = f->cfg;
	c.fd = dup(f->back.sock);
	c.virtio.queue_size = 48;
	assert_null(vhost_user_fs_new(&c, &err));
	assert_non_null(strstr(err.msg, "powers of two"));
}

/* ---- Requests ---------------------------------------------------------------------------------------- */

static void request_when_done_expect_answer_and_interrupt(void **state)
{
	struct fixture *f = *state;
	uint8_t *out, *in, sink[64];
	uint32_t len, id;
	uint16_t head;
	bool write;

	submit(f, 77, 5000);
	assert_int_equal(read(f->back.q[REQUEST].kick, sink, 64), 8);
	assert_true(fake_vhost_pop(&f->back, REQUEST, &head));
	out = fake_vhost_buffer(&f->back, REQUEST, head, 0, &len, &write);
	assert_int_equal(len, HEADER);
	assert_false(write);
	assert_int_equal(ld_le64(out + 8), 77);
	in = fake_vhost_buffer(&f->back, REQUEST, head, 1, &len, &write);
	assert_int_equal(len, 5000);
	assert_true(write);
	assert_null(fake_vhost_buffer(&f->back, REQUEST, head, 2, &len, &write));
	memset(in, 0x5a, 5000);
	assert_false(drv_used(&f->d, REQUEST, &id, &len));
	fake_vhost_used(&f->back, REQUEST, head, 4000);
	fake_vhost_call(&f->back, REQUEST);
	fake_watch_poll(4);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	assert_int_equal(len, 4000);
	assert_int_equal(*drv_p(&f->d, IN + 3999), 0x5a);
	assert_true(drv_intx(&f->d));
}

static void code_written(void *opaque, gpa_t gpa, uint64_t len)
{
	struct fixture *f = opaque;

	f->code_bytes += len;
	f->used_first |= ld_le16(drv_p(&f->d, f->d.q[REQUEST].used + 2)) != 0;
}

static void request_when_code_is_overwritten_expect_engine_told_before_the_guest(void **state)
{
	struct fixture *f = *state;
	struct mem_listener l = {.code_written = code_written, .opaque = f};

	mem_set_listener(f->d.mem, &l);
	mem_page_flags(f->d.mem)[IN >> 12] = MEM_PAGE_CODE;
	mem_page_flags(f->d.mem)[(IN >> 12) + 1] = MEM_PAGE_CODE;
	submit(f, 1, 5000);
	/* Whatever the back end says it wrote. */
	serve(f, 0);
	assert_int_equal(f->code_bytes, 5000);
	assert_false(f->used_first);
	assert_true(mem_page_flags(f->d.mem)[(IN >> 12) + 1] & MEM_PAGE_DIRTY);
}

static void requests_when_the_queue_goes_round_expect_all_answered(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	for (unsigned i = 0; i < 300; i++) {
		uint16_t head = submit(f, i, 100);

		serve(f, i % 100);
		assert_true(drv_used(&f->d, REQUEST, &id, &len));
		assert_int_equal(id, head);
		assert_int_equal(len, i % 100);
	}
}

static void requests_when_answered_backwards_expect_their_heads(void **state)
{
	struct fixture *f = *state;
	uint16_t head[8], want;
	uint32_t id, len;

	for (unsigned i = 0; i < 8; i++) {
		want = submit(f, i, 100);
		assert_true(fake_vhost_pop(&f->back, REQUEST, &head[i]));
		/* A slot is the head. */
		assert_int_equal(head[i], want);
	}
	for (unsigned i = 8; i--;)
		fake_vhost_used(&f->back, REQUEST, head[i], 16);
	fake_vhost_call(&f->back, REQUEST);
	fake_watch_poll(4);
	for (unsigned i = 8; i--;) {
		assert_true(drv_used(&f->d, REQUEST, &id, &len));
		assert_int_equal(id, head[i]);
	}
}

static void length_when_too_long_expect_it_cut(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	submit(f, 1, 100);
	serve(f, 0xffffffff);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	assert_int_equal(len, 100);
}

static void kick_when_nobody_reads_expect_no_waiting(void **state)
{
	struct fixture *f = *state;
	uint8_t sink[64];

	/* What a hostile back end can do to its end. */
	fcntl(f->back.q[REQUEST].kick, F_SETFL, 0);
	for (unsigned i = 0; i < 20000; i++)
		drv_kick(&f->d, REQUEST);
	for (unsigned i = 0; i < 30; i++)
		submit(f, i, 100);
	/* They were one. */
	fcntl(f->back.q[REQUEST].kick, F_SETFL, O_NONBLOCK);
	assert_int_equal(read(f->back.q[REQUEST].kick, sink, 64), 8);
	assert_int_equal(read(f->back.q[REQUEST].kick, sink, 64), -1);
}

static void calls_when_there_is_nothing_expect_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	for (unsigned i = 0; i < 5000; i++)
		fake_vhost_call(&f->back, i & 1);
	assert_in_range(fake_watch_poll(1000), 1, 16);
	assert_false(drv_used(&f->d, REQUEST, &id, &len));
	assert_int_equal(drv_status(&f->d), 15);
}

/* ---- A back end that goes -------------------------------------------------------------------------------- */

static void expect_error(struct fixture *f, uint64_t unique)
{
	const uint8_t *in = drv_p(&f->d, IN);
	uint32_t id, len;

	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	assert_int_equal(len, 16);
	assert_int_equal(ld_le32(in), 16);
	assert_int_equal((int32_t)ld_le32(in + 4), -ENOTCONN);
	assert_int_equal(ld_le64(in + 8), unique);
}

static void back_end_when_gone_expect_errors_then_and_later(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	submit(f, 41, 100);
	fake_vhost_hang_up(&f->back);
	fake_watch_poll(4);
	expect_error(f, 41);
	assert_true(drv_intx(&f->d));
	submit(f, 42, 100);
	expect_error(f, 42);
	/* FORGET. */
	submit(f, 43, 0);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	assert_int_equal(len, 0);
	/* A driver that comes anew is answered, too. */
	drv_start(&f->d, 0, 2, 64);
	submit(f, 44, 100);
	expect_error(f, 44);
	assert_int_equal(drv_status(&f->d), 15);
}

static void back_end_when_gone_after_an_answer_expect_the_answer(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;
	uint16_t head;

	submit(f, 41, 100);
	assert_true(fake_vhost_pop(&f->back, REQUEST, &head));
	fake_vhost_used(&f->back, REQUEST, head, 24);
	fake_vhost_hang_up(&f->back);
	fake_watch_poll(4);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	assert_int_equal(len, 24);
}

static void back_end_when_it_speaks_expect_it_left(void **state)
{
	struct fixture *f = *state;

	submit(f, 9, 100);
	fake_vhost_say(&f->back, "x", 1);
	fake_watch_poll(4);
	expect_error(f, 9);
}

static void used_when_never_given_expect_back_end_left(void **state)
{
	static const uint32_t ids[] = {63, 64, 0xffffffff};
	struct fixture *f;
	uint32_t id, len;

	for (unsigned i = 0; i < 3; i++) {
		f = *state;
		submit(f, 5, 100);
		fake_vhost_used(&f->back, REQUEST, ids[i], 16);
		fake_vhost_call(&f->back, REQUEST);
		fake_watch_poll(4);
		expect_error(f, 5);
		assert_false(drv_used(&f->d, REQUEST, &id, &len));
		teardown(state);
		setup(state);
	}
}

static void used_when_twice_expect_back_end_left(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;
	uint16_t head = submit(f, 5, 100);

	submit(f, 6, 100);
	fake_vhost_used(&f->back, REQUEST, head, 16);
	fake_vhost_used(&f->back, REQUEST, head, 16);
	fake_vhost_call(&f->back, REQUEST);
	fake_watch_poll(4);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	expect_error(f, 6);
}

static void used_when_index_runs_ahead_expect_back_end_left(void **state)
{
	struct fixture *f = *state;

	submit(f, 5, 100);
	f->back.q[REQUEST].used_idx = 40000;
	fake_vhost_used(&f->back, REQUEST, 0, 16);
	fake_vhost_call(&f->back, REQUEST);
	fake_watch_poll(4);
	expect_error(f, 5);
}

/* ---- Reset -------------------------------------------------------------------------------------------------- */

static void reset_when_under_way_expect_it_over_after_the_last_answer(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;
	gpa_t old;

	submit(f, 1, 100);
	submit(f, 2, 100);
	old = f->d.q[REQUEST].used;
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_not_equal(drv_status(&f->d), 0);
	serve(f, 16);
	assert_int_not_equal(drv_status(&f->d), 0);
	serve(f, 16);
	assert_int_equal(drv_status(&f->d), 0);
	/* Nothing for a ring that is not the device's any more. */
	assert_int_equal(ld_le16(drv_p(&f->d, old + 2)), 0);
	drv_start(&f->d, 0, 2, 64);
	submit(f, 3, 100);
	serve(f, 16);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
}

static void reset_when_driver_does_not_wait_expect_requests_later(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;
	uint16_t head, none;

	submit(f, 1, 100);
	assert_true(fake_vhost_pop(&f->back, REQUEST, &head));
	drv_start(&f->d, 0, 2, 64);
	submit(f, 2, 100);
	assert_false(fake_vhost_pop(&f->back, REQUEST, &none));
	fake_vhost_used(&f->back, REQUEST, head, 16);
	fake_vhost_call(&f->back, REQUEST);
	fake_watch_poll(4);
	fake_advance(10);
	assert_false(drv_used(&f->d, REQUEST, &id, &len));
	serve(f, 16);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
}

static void reset_when_back_end_is_silent_expect_it_left(void **state)
{
	struct fixture *f = *state;

	submit(f, 1, 100);
	memset(drv_p(&f->d, IN), 0x77, 16);
	drv_wr(&f->d, 0x14, 0, 1);
	fake_advance(19000000);
	assert_int_not_equal(drv_status(&f->d), 0);
	fake_advance(2000000);
	assert_int_equal(drv_status(&f->d), 0);
	/* The driver's memory is its own again. */
	assert_int_equal(*drv_p(&f->d, IN), 0x77);
	drv_start(&f->d, 0, 2, 64);
	submit(f, 2, 100);
	expect_error(f, 2);
}

static void machine_when_reset_expect_it_to_wait_for_the_back_end(void **state)
{
	struct fixture *f = *state;
	struct device *dev = vhost_user_fs_device(f->s);
	uint16_t head;

	/* Done already, but nobody has looked. */
	submit(f, 1, 100);
	assert_true(fake_vhost_pop(&f->back, REQUEST, &head));
	fake_vhost_used(&f->back, REQUEST, head, 16);
	fake_vhost_call(&f->back, REQUEST);
	dev->cls->reset(dev);
	drv_start(&f->d, 0, 2, 64);
	assert_int_equal(drv_status(&f->d), 15);
	/* Never. */
	submit(f, 2, 100);
	assert_true(fake_vhost_pop(&f->back, REQUEST, &head));
	dev->cls->reset(dev);
	drv_start(&f->d, 0, 2, 64);
	submit(f, 3, 100);
	expect_error(f, 3);
}

/* ---- Saved state ----------------------------------------------------------------------------------------------- */

static void state_when_saved_under_way_expect_request_at_the_other_back_end(void **state)
{
	struct fixture *f = *state;
	struct vhost_user_fs_config c = f->cfg;
	struct vhost_user_fs *other;
	struct fake_vhost back;
	uint32_t id, len;
	uint16_t head, want = submit(f, 1, 100);

	fake_vhost_open(&back);
	fake_vhost_agree(&back, FAKE_VHOST_FEATURES, FAKE_VHOST_PROTOCOL, 2, 0);
	c.fd = back.front;
	c.virtio.devfn = 0x30;
	other = vhost_user_fs_new(&c, NULL);
	assert_non_null(other);
	fake_vhost_listen(&back);
	wire_transfer(vhost_user_fs_device(f->s), vhost_user_fs_device(other));
	assert_true(fake_vhost_pop(&back, REQUEST, &head));
	assert_int_equal(head, want);
	fake_vhost_used(&back, REQUEST, head, 16);
	fake_vhost_call(&back, REQUEST);
	fake_watch_poll(4);
	assert_true(drv_used(&f->d, REQUEST, &id, &len));
	vhost_user_fs_free(other);
	fake_vhost_close(&back);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define BARE(name) cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_read_expect_tag_and_queues),
		T(start_when_agreed_expect_memory_and_rings),
		BARE(start_when_nothing_is_negotiated_expect_it_to_work),
		BARE(start_when_back_end_cannot_expect_sentence),
		BARE(start_when_answer_is_none_expect_sentence),
		BARE(start_when_back_end_is_silent_or_gone_expect_sentence),
		BARE(config_when_impossible_expect_sentence),
		T(request_when_done_expect_answer_and_interrupt),
		T(request_when_code_is_overwritten_expect_engine_told_before_the_guest),
		T(requests_when_the_queue_goes_round_expect_all_answered),
		T(requests_when_answered_backwards_expect_their_heads),
		T(length_when_too_long_expect_it_cut),
		T(kick_when_nobody_reads_expect_no_waiting),
		T(calls_when_there_is_nothing_expect_nothing),
		T(back_end_when_gone_expect_errors_then_and_later),
		T(back_end_when_gone_after_an_answer_expect_the_answer),
		T(back_end_when_it_speaks_expect_it_left),
		T(used_when_never_given_expect_back_end_left),
		T(used_when_twice_expect_back_end_left),
		T(used_when_index_runs_ahead_expect_back_end_left),
		T(reset_when_under_way_expect_it_over_after_the_last_answer),
		T(reset_when_driver_does_not_wait_expect_requests_later),
		T(reset_when_back_end_is_silent_expect_it_left),
		T(machine_when_reset_expect_it_to_wait_for_the_back_end),
		T(state_when_saved_under_way_expect_request_at_the_other_back_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
