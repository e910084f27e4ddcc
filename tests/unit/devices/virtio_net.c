// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio network card: make t T=devices/virtio_net */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_time.h"
#include "base/range.h"
#include "devices/virtio/virtio_net.h"
#include "net_frames.h"
#include "virtio_driver.h"

#define PAIRS 4u
#define QUEUES VIRTIO_NET_QUEUES(PAIRS)
#define SIZE 64u
#define CTRL_MQ (2 * PAIRS)
#define HEAD 0x200000u /* the transmit header */
#define FRAME 0x201000u
#define RX 0x300000u /* receive buffers, 64 KiB apart */
#define CMD 0x280000u
#define ACK 0x28f000u

#define F_CSUM (1u << 0)
#define F_GUEST_CSUM (1u << 1)
#define F_CTRL_GUEST_OFFLOADS (1u << 2)
#define F_MTU (1u << 3)
#define F_GUEST_TSO4 (1u << 7)
#define F_GUEST_TSO6 (1u << 8)
#define F_GUEST_ECN (1u << 9)
#define F_HOST_TSO4 (1u << 11)
#define F_HOST_TSO6 (1u << 12)
#define F_MRG (1u << 15)
#define F_STATUS (1u << 16)
#define F_CTRL_VQ (1u << 17)
#define F_CTRL_RX (1u << 18)
#define F_CTRL_VLAN (1u << 19)
#define F_ANNOUNCE (1u << 21)
#define F_MQ (1u << 22)
#define F_CTRL_MAC (1u << 23)
#define F_ALL (F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC)

static const uint8_t own[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

struct fixture {
	struct drv d;
	struct virtio_net_config cfg;
	struct virtio_net *s;
	struct sink far[PAIRS];
};

static struct fixture *fixture_new(struct virtio_net_config how)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct lodge_err err = {0};

	drv_init(&f->d);
	f->cfg = how;
	memcpy(f->cfg.mac, own, 6);
	f->cfg.virtio = (struct virtio_config){.bus = f->d.pb,
					       .devfn = DRV_DEVFN,
					       .mem = f->d.mem,
					       .loop = fake_begin(),
					       .queues = how.mq ? QUEUES : VIRTIO_NET_QUEUES(1),
					       .queue_size = 256};
	f->s = virtio_net_new(&f->cfg, &err);
	if (!f->s)
		print_error("%s\n", err.msg);
	assert_non_null(f->s);
	virtio_net_device(f->s)->cls->reset(virtio_net_device(f->s));
	for (unsigned i = 0; i < PAIRS; i++) {
		sink_init(&f->far[i], SINK_FRAMES, 0);
		if (!i || how.mq)
			net_connect(virtio_net_end(f->s, i), &f->far[i].end);
	}
	return f;
}

static int setup(void **state)
{
	*state = fixture_new((struct virtio_net_config){0});
	return 0;
}

static int setup_mq(void **state)
{
	*state = fixture_new((struct virtio_net_config){.mq = true});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_net_free(f->s);
	for (unsigned i = 0; i < PAIRS; i++)
		sink_clear(&f->far[i]);
	drv_free(&f->d);
	free(f);
	return 0;
}

static void start(struct fixture *f, uint32_t features)
{
	f->d.heap = 0x10000;
	drv_start(&f->d, features, f->cfg.mq ? QUEUES : 3, SIZE);
}

/* ---- The driver's side ---- */

/* Command `cls`, `cmd` with `n` bytes behind it on queue q: the answer. */
static int command_on(struct fixture *f, unsigned q, unsigned cls, unsigned cmd, const void *data,
		      unsigned n)
{
	struct drv_buf b[2] = {{CMD, 2 + n}, {ACK, 1}};
	uint32_t id, len;
	uint8_t *p = drv_p(&f->d, CMD);

	p[0] = (uint8_t)cls;
	p[1] = (uint8_t)cmd;
	memcpy(p + 2, data, n);
	*drv_p(&f->d, ACK) = 0xee;
	drv_submit(&f->d, q, b, 1, 1);
	if (!drv_used(&f->d, q, &id, &len))
		return -1;
	assert_int_equal(len, 1);
	return *drv_p(&f->d, ACK);
}

static int command(struct fixture *f, unsigned cls, unsigned cmd, const void *data, unsigned n)
{
	return command_on(f, f->cfg.mq ? CTRL_MQ : 2, cls, cmd, data, n);
}

static void mode(struct fixture *f, unsigned cmd, uint8_t on)
{
	assert_int_equal(command(f, 0, cmd, &on, 1), 0);
}

/* A receive buffer of `len` bytes; each has a place of its own. */
static void give(struct fixture *f, unsigned q, unsigned n, uint32_t len)
{
	struct drv_buf b = {RX + 0x10000 * n, len};

	memset(drv_p(&f->d, b.gpa), 0xee, len);
	drv_submit(&f->d, q, &b, 0, 1);
}

/* From the other end to the card: whether it came to the driver. */
static bool hears(struct fixture *f, const uint8_t *dst, unsigned vlan)
{
	uint8_t frame[64] = {0};
	uint32_t id, len;

	memcpy(frame, dst, 6);
	if (vlan) {
		st_be16(frame + 12, 0x8100);
		st_be16(frame + 14, (uint16_t)(0x2000 | (vlan - 1)));
	}
	give(f, 0, 0, 2000);
	assert_true(send_frame(&f->far[0].end, frame, sizeof(frame), NULL));
	if (drv_used(&f->d, 0, &id, &len))
		return true;
	/* The buffer is still there: use it up. */
	mode(f, 0, 1);
	assert_true(send_frame(&f->far[0].end, frame, sizeof(frame), NULL));
	assert_true(drv_used(&f->d, 0, &id, &len));
	mode(f, 0, 0);
	return false;
}

/* Send a frame of `data` bytes of TCP behind a header of `hdr` bytes with these fields. */
static void transmit(struct fixture *f, unsigned q, unsigned hdr, size_t data, uint8_t flags,
		     uint8_t gso, uint16_t size, uint16_t csum_start, uint16_t csum_offset)
{
	uint8_t *h = drv_p(&f->d, HEAD);
	size_t len = make_tcp4(drv_p(&f->d, FRAME), data, 0x18);
	struct drv_buf b[2] = {{HEAD, hdr}, {FRAME, (uint32_t)len}};

	memset(h, 0, hdr);
	h[0] = flags;
	h[1] = gso;
	st_le16(h + 2, 54);
	st_le16(h + 4, size);
	st_le16(h + 6, csum_start);
	st_le16(h + 8, csum_offset);
	drv_submit(&f->d, q, b, 2, 0);
}

static bool sent(struct fixture *f, unsigned q)
{
	uint32_t id, len;

	return drv_used(&f->d, q, &id, &len);
}

/* ---- Configuration ---- */

static void config_when_read_expect_address_and_link(void **state)
{
	struct fixture *f = *state;

	start(f, F_ALL);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(drv_rd(&f->d, 0x2000 + i, 1), own[i]);
	assert_int_equal(drv_rd(&f->d, 0x2006, 2), 1);
	assert_int_equal(drv_rd(&f->d, 0x2008, 2), 1);
	net_set_link(&f->far[0].end, false);
	assert_int_equal(drv_rd(&f->d, 0x2006, 2), 0);
	/* A modern driver cannot change it here. */
	drv_wr(&f->d, 0x2000, 0xaa, 1);
	assert_int_equal(drv_rd(&f->d, 0x2000, 1), own[0]);
}

static void features_when_switched_off_expect_them_not_offered(void **state)
{
	struct fixture *f = fixture_new((struct virtio_net_config){.no_mrg_rxbuf = true,
								   .no_csum = true,
								   .no_guest_csum = true,
								   .mtu = 9000});
	void *s = f;

	drv_place(&f->d);
	assert_int_equal(drv_offered(&f->d) & (F_MRG | F_CSUM | F_GUEST_CSUM | F_HOST_TSO4 |
					       F_GUEST_TSO4 | F_MQ | F_MTU),
			 F_MTU);
	assert_int_equal(drv_rd(&f->d, 0x200a, 2), 9000);
	teardown(&s);
	f = fixture_new((struct virtio_net_config){.no_tso = true, .no_guest_tso = true});
	s = f;
	drv_place(&f->d);
	assert_int_equal(drv_offered(&f->d) &
				 (F_CSUM | F_GUEST_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_GUEST_TSO4 |
				  F_GUEST_TSO6 | F_GUEST_ECN | F_MQ | F_MTU),
			 F_CSUM | F_GUEST_CSUM);
	teardown(&s);
	(void)state;
}

/* ---- Control queue ---- */

static void filter_when_set_expect_only_what_is_asked_for(void **state)
{
	struct fixture *f = *state;
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t other[6] = {0x52, 0x54, 0, 1, 2, 3}, group[6] = {1, 0, 0x5e, 0, 0, 1};
	uint8_t table[4 + 6 + 4 + 6];

	start(f, F_ALL);
	assert_true(hears(f, other, 0)); /* promiscuous until somebody says otherwise */
	mode(f, 0, 0);
	assert_true(hears(f, own, 0));
	assert_true(hears(f, all, 0));
	assert_false(hears(f, other, 0));
	assert_false(hears(f, group, 0));
	mode(f, 1, 1); /* ALLMULTI */
	assert_true(hears(f, group, 0));
	mode(f, 3, 1); /* NOMULTI */
	assert_false(hears(f, group, 0));
	mode(f, 3, 0);
	mode(f, 1, 0);
	mode(f, 2, 1); /* ALLUNI */
	assert_true(hears(f, other, 0));
	mode(f, 4, 1); /* NOUNI */
	assert_false(hears(f, own, 0));
	mode(f, 4, 0);
	mode(f, 2, 0);
	mode(f, 5, 1); /* NOBCAST */
	assert_false(hears(f, all, 0));
	mode(f, 5, 0);
	st_le32(table, 1);
	memcpy(table + 4, other, 6);
	st_le32(table + 10, 1);
	memcpy(table + 14, group, 6);
	assert_int_equal(command(f, 1, 0, table, sizeof(table)), 0);
	assert_true(hears(f, other, 0));
	assert_true(hears(f, group, 0));
	table[19] = 9;
	assert_int_equal(command(f, 1, 0, table, sizeof(table)), 0);
	assert_false(hears(f, group, 0));
}

static void table_when_too_long_expect_everything_heard(void **state)
{
	struct fixture *f = *state;
	static const uint8_t other[6] = {0x52, 0x54, 0, 1, 2, 3}, group[6] = {1, 0, 0x5e, 0, 0, 1};
	static uint8_t table[8 + 6 * 70];

	start(f, F_ALL);
	mode(f, 0, 0);
	st_le32(table, 70);
	assert_int_equal(command(f, 1, 0, table, sizeof(table)), 0);
	assert_true(hears(f, other, 0));
	assert_false(hears(f, group, 0));
	memset(table, 0, 8);
	st_le32(table + 4, 70);
	assert_int_equal(command(f, 1, 0, table, sizeof(table)), 0);
	assert_false(hears(f, other, 0));
	assert_true(hears(f, group, 0));
}

static void command_when_not_whole_expect_an_error(void **state)
{
	struct fixture *f = *state;
	uint8_t b[16] = {0};

	start(f, F_ALL | F_CTRL_GUEST_OFFLOADS | F_GUEST_CSUM);
	assert_int_equal(command(f, 0, 0, b, 0), 1);
	assert_int_equal(command(f, 0, 6, b, 1), 1); /* no such mode */
	assert_int_equal(command(f, 1, 1, b, 5), 1);
	assert_int_equal(command(f, 1, 0, b, 7), 1); /* half of the second count */
	st_le32(b, 0xffffffff);
	assert_int_equal(command(f, 1, 0, b, 16), 1); /* more than there is */
	st_le32(b, 0x2aaaaaab);			      /* times 6 is 2 in 32 bits */
	assert_int_equal(command(f, 1, 0, b, 16), 1);
	assert_int_equal(command(f, 2, 0, b, 1), 1);
	st_le16(b, 4096);
	assert_int_equal(command(f, 2, 0, b, 2), 1);
	assert_int_equal(command(f, 5, 0, b, 7), 1);
	assert_int_equal(command(f, 99, 99, b, 16), 1);
	/* Pairs were not negotiated. */
	st_le16(b, 1);
	assert_int_equal(command(f, 4, 0, b, 2), 1);
}

static void command_when_there_is_nowhere_to_answer_expect_it_back(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {CMD, 3};
	uint32_t id, len;

	start(f, F_ALL);
	memset(drv_p(&f->d, CMD), 0, 3);
	drv_submit(&f->d, 2, &b, 1, 0);
	assert_true(drv_used(&f->d, 2, &id, &len));
	assert_int_equal(len, 0);
	b.len = 1; /* not even a command */
	drv_submit(&f->d, 2, &b, 1, 0);
	assert_true(drv_used(&f->d, 2, &id, &len));
	assert_int_equal(drv_status(&f->d), 15);
}

static void address_when_set_expect_it_shown_and_heard_until_reset(void **state)
{
	struct fixture *f = *state;
	static const uint8_t mac[6] = {0x52, 0x54, 0, 9, 9, 9};

	start(f, F_ALL);
	mode(f, 0, 0);
	assert_int_equal(command(f, 1, 1, mac, 6), 0);
	assert_int_equal(drv_rd(&f->d, 0x2003, 1), 9);
	assert_true(hears(f, mac, 0));
	assert_false(hears(f, own, 0));
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(drv_rd(&f->d, 0x2003, 1), own[3]);
}

static void vlans_when_filtered_expect_only_those_added(void **state)
{
	struct fixture *f = *state;
	uint8_t vid[2];

	start(f, F_ALL | F_CTRL_VLAN);
	mode(f, 0, 0);
	assert_true(hears(f, own, 0));
	assert_false(hears(f, own, 1 + 7));
	st_le16(vid, 7);
	assert_int_equal(command(f, 2, 0, vid, 2), 0);
	assert_true(hears(f, own, 1 + 7));
	assert_false(hears(f, own, 1 + 8));
	st_le16(vid, 4095);
	assert_int_equal(command(f, 2, 0, vid, 2), 0);
	assert_true(hears(f, own, 1 + 4095));
	st_le16(vid, 7);
	assert_int_equal(command(f, 2, 1, vid, 2), 0);
	assert_false(hears(f, own, 1 + 7));
}

/* ---- Pairs ---- */

static int set_pairs(struct fixture *f, unsigned n)
{
	uint8_t b[2];

	st_le16(b, (uint16_t)n);
	return command(f, 4, 0, b, 2);
}

static bool pair_hears(struct fixture *f, unsigned pair)
{
	uint8_t frame[60] = {0};
	uint32_t id, len;

	memcpy(frame, own, 6);
	give(f, 2 * pair, pair, 2000);
	assert_true(send_frame(&f->far[pair].end, frame, sizeof(frame), NULL));
	return drv_used(&f->d, 2 * pair, &id, &len);
}

static void pairs_when_negotiated_expect_one_until_set(void **state)
{
	struct fixture *f = *state;

	start(f, F_ALL | F_MQ);
	assert_int_equal(drv_rd(&f->d, 0x2008, 2), PAIRS);
	assert_int_equal(drv_rd(&f->d, 0x12, 2), QUEUES);
	assert_true(pair_hears(f, 0));
	assert_false(pair_hears(f, 1));
	assert_int_equal(set_pairs(f, 0), 1);
	assert_int_equal(set_pairs(f, PAIRS + 1), 1);
	assert_int_equal(set_pairs(f, 0xffff), 1);
	assert_false(f->far[1].used);
	assert_int_equal(set_pairs(f, 3), 0);
	assert_true(f->far[1].used && f->far[2].used && !f->far[3].used);
	assert_true(pair_hears(f, 1));
	assert_true(pair_hears(f, 2));
	assert_false(pair_hears(f, 3));
	assert_int_equal(set_pairs(f, 2), 0);
	assert_false(f->far[2].used);
	assert_false(pair_hears(f, 2));
	drv_wr(&f->d, 0x14, 0, 1);
	assert_false(f->far[1].used);
}

static void pairs_when_used_expect_frames_to_stay_in_theirs(void **state)
{
	struct fixture *f = *state;

	start(f, F_ALL | F_MQ);
	/* Filled before it is used: it goes out then. */
	transmit(f, 5, 12, 100, 0, 0, 0, 0, 0);
	fake_advance(1000);
	assert_false(sent(f, 5));
	assert_int_equal(set_pairs(f, PAIRS), 0);
	fake_advance(1000);
	assert_true(sent(f, 5));
	assert_int_equal(f->far[2].n, 1);
	transmit(f, 7, 12, 100, 0, 0, 0, 0, 0);
	assert_true(sent(f, 7));
	assert_int_equal(f->far[3].n, 1);
	/* A pair that is held back holds no other back. */
	f->far[1].room = 0;
	transmit(f, 3, 12, 100, 0, 0, 0, 0, 0);
	transmit(f, 1, 12, 100, 0, 0, 0, 0, 0);
	assert_false(sent(f, 3));
	assert_true(sent(f, 1));
	f->far[1].room = 1;
	net_ready(&f->far[1].end);
	assert_true(sent(f, 3));
	assert_int_equal(f->far[1].n, 1);
}

static void pairs_when_driver_knows_of_one_expect_control_behind_it(void **state)
{
	struct fixture *f = *state;
	uint8_t on = 0, b[2] = {2, 0};

	start(f, F_ALL);
	assert_int_equal(command_on(f, 2, 0, 0, &on, 1), 0);
	assert_int_equal(command_on(f, 2, 4, 0, b, 2), 1);
	assert_int_equal(command_on(f, CTRL_MQ, 0, 0, &on, 1), -1);
	assert_true(pair_hears(f, 0));
	assert_int_equal(drv_status(&f->d), 15);
}

static void pairs_when_state_is_saved_and_loaded_expect_them(void **state)
{
	struct fixture *f = *state;
	static uint8_t buf[1 << 16];
	struct device *dev = virtio_net_device(f->s);
	struct lodge_err err;
	long n;

	start(f, F_ALL | F_MQ | F_STATUS | F_ANNOUNCE);
	assert_int_equal(set_pairs(f, 2), 0);
	n = device_save(dev, buf, sizeof(buf));
	assert_true(n > 0);
	dev->cls->reset(dev);
	assert_false(f->far[1].used);
	assert_int_equal(device_load(dev, buf, (size_t)n, &err), 0);
	assert_true(f->far[1].used && !f->far[2].used);
	assert_true(pair_hears(f, 1));
	/* It is to announce itself, as it may be elsewhere now. */
	assert_int_equal(drv_rd(&f->d, 0x2006, 2), 3);
	assert_int_equal(command(f, 3, 0, buf, 0), 0);
	assert_int_equal(drv_rd(&f->d, 0x2006, 2), 1);
}

/* ---- Receive ---- */

static void frame_when_buffers_merge_expect_it_over_several(void **state)
{
	struct fixture *f = *state;
	static uint8_t frame[NET_FRAME_MAX];
	size_t len = make_tcp4(frame, 3000, 0x10), at = 0;
	uint32_t id, n;

	start(f, F_ALL | F_MRG);
	for (unsigned i = 0; i < 2; i++)
		give(f, 0, i, 1024);
	/* Too few: refused, and the buffers are as they were. */
	assert_false(send_frame(&f->far[0].end, frame, len, NULL));
	assert_false(drv_used(&f->d, 0, &id, &n));
	give(f, 0, 2, 1024);
	assert_int_equal(f->far[0].readies, 1);
	assert_true(send_frame(&f->far[0].end, frame, len, NULL));
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *p = drv_p(&f->d, RX + 0x10000 * i);
		size_t hdr = i ? 0 : 12;

		assert_true(drv_used(&f->d, 0, &id, &n));
		if (!i)
			assert_int_equal(ld_le16(p + 10), 3);
		assert_int_equal(n, i < 2 ? 1024 : 12 + len - 2048);
		assert_memory_equal(p + hdr, frame + at, n - hdr);
		at += n - hdr;
	}
	assert_int_equal(at, len);
	assert_false(drv_used(&f->d, 0, &id, &n));
}

static void frame_when_buffers_do_not_merge_expect_short_header_of_legacy_only(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[100] = {0};
	uint32_t id, n;

	memcpy(frame, own, 6);
	start(f, F_ALL);
	give(f, 0, 0, 111);
	/* One byte too little for ever: lost, not waited for. */
	assert_true(send_frame(&f->far[0].end, frame, 100, NULL));
	assert_false(drv_used(&f->d, 0, &id, &n));
	assert_true(send_frame(&f->far[0].end, frame, 99, NULL));
	assert_true(drv_used(&f->d, 0, &id, &n));
	assert_int_equal(n, 111);
	assert_int_equal(ld_le16(drv_p(&f->d, RX) + 10), 1);
}

static void frame_when_checksum_is_right_expect_it_said(void **state)
{
	struct fixture *f = *state;
	static uint8_t frame[2000];
	size_t len = make_tcp4(frame, 500, 0x10);
	struct net_offload off = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	uint32_t id, n;

	start(f, F_ALL | F_GUEST_CSUM);
	assert_int_equal(net_finish_csum(frame, len, &off), 0);
	give(f, 0, 0, 2000);
	assert_true(send_frame(&f->far[0].end, frame, len, NULL));
	assert_int_equal(*drv_p(&f->d, RX), NET_DATA_VALID);
	frame[200] ^= 1;
	give(f, 0, 0, 2000);
	assert_true(send_frame(&f->far[0].end, frame, len, NULL));
	assert_int_equal(*drv_p(&f->d, RX), 0);
	while (drv_used(&f->d, 0, &id, &n))
		;
	/* A driver that did not ask for it is told nothing. */
	start(f, F_ALL);
	frame[200] ^= 1;
	give(f, 0, 0, 2000);
	assert_true(send_frame(&f->far[0].end, frame, len, NULL));
	assert_int_equal(*drv_p(&f->d, RX), 0);
}

/* What the driver takes, and what comes of a long frame then: that itself, or its segments. */
static void offloads_when_combined_expect_what_the_driver_takes(void **state)
{
	struct fixture *f = *state;
	static const uint32_t all = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN;
	static uint8_t frame[NET_FRAME_MAX];
	struct net_offload off = {.flags = NET_NEEDS_CSUM,
				  .gso_type = NET_GSO_TCPV4,
				  .hdr_len = 54,
				  .gso_size = 1000,
				  .csum_start = 34,
				  .csum_offset = 16};

	for (unsigned bits = 0; bits < 16; bits++) {
		uint32_t want = (bits & 1 ? F_GUEST_CSUM : 0) | (bits & 2 ? F_GUEST_TSO4 : 0) |
				(bits & 4 ? F_GUEST_TSO6 : 0) | (bits & 8 ? F_GUEST_ECN : 0);
		bool csum = want & F_GUEST_CSUM, whole = csum && (want & F_GUEST_TSO4);
		unsigned can = csum ? NET_CAN_CSUM | (bits & 2 ? NET_CAN_TSO4 : 0) |
					       (bits & 4 ? NET_CAN_TSO6 : 0) |
					       (bits & 8 ? NET_CAN_ECN : 0)
				    : 0;
		size_t len = make_tcp4(frame, 3500, 0x10);
		uint32_t id, n;
		unsigned came = 0;
		uint8_t *p = drv_p(&f->d, RX);

		start(f, F_ALL | F_MRG | F_CTRL_GUEST_OFFLOADS | want);
		assert_int_equal(virtio_net_end(f->s, 0)->can, can);
		for (unsigned i = 0; i < 8; i++)
			give(f, 0, i, 4000);
		assert_true(send_frame(&f->far[0].end, frame, len, &off));
		assert_int_equal(p[0] & NET_NEEDS_CSUM, whole ? NET_NEEDS_CSUM : 0);
		assert_int_equal(p[1], whole ? NET_GSO_TCPV4 : NET_GSO_NONE);
		assert_int_equal(ld_le16(p + 4), whole ? 1000 : 0);
		while (drv_used(&f->d, 0, &id, &n))
			came++;
		assert_int_equal(came, whole ? 1 : 4);
		if (!whole)
			assert_true(sums_right(p + 12, 1054));
	}
	/* Switched while it runs, within what was negotiated. */
	start(f, F_ALL | F_CTRL_GUEST_OFFLOADS | (all & ~F_GUEST_TSO6));
	uint8_t b[8];

	st_le64(b, F_GUEST_CSUM);
	assert_int_equal(command(f, 5, 0, b, 8), 0);
	assert_int_equal(virtio_net_end(f->s, 0)->can, NET_CAN_CSUM);
	st_le64(b, F_GUEST_TSO6);
	assert_int_equal(command(f, 5, 0, b, 8), 1);
	st_le64(b, 1ull << 63);
	assert_int_equal(command(f, 5, 0, b, 8), 1);
	assert_int_equal(virtio_net_end(f->s, 0)->can, NET_CAN_CSUM);
}

/* ---- Transmit ---- */

static void transmit_when_offloaded_expect_checksums_and_segments(void **state)
{
	struct fixture *f = *state;

	start(f, F_ALL | F_CSUM | F_HOST_TSO4);
	transmit(f, 1, 12, 200, NET_NEEDS_CSUM, 0, 0, 34, 16);
	assert_true(sent(f, 1));
	assert_int_equal(f->far[0].n, 1);
	assert_true(sums_right(f->far[0].frame[0], f->far[0].len[0]));
	transmit(f, 1, 12, 3500, NET_NEEDS_CSUM, NET_GSO_TCPV4, 1000, 34, 16);
	assert_true(sent(f, 1));
	assert_int_equal(f->far[0].n, 5);
	for (unsigned i = 1; i < 5; i++)
		assert_true(sums_right(f->far[0].frame[i], f->far[0].len[i]));
	/* An end that can gets it as it is. */
	f->far[0].end.can = NET_CAN_CSUM | NET_CAN_TSO4;
	transmit(f, 1, 12, 3500, NET_NEEDS_CSUM, NET_GSO_TCPV4, 1000, 34, 16);
	assert_int_equal(f->far[0].n, 6);
	assert_int_equal(f->far[0].off[5].gso_size, 1000);
}

static void transmit_when_header_lies_expect_nothing_and_the_chain_back(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint8_t flags, gso;
		uint16_t size, start, offset;
	} lies[] = {
		{NET_NEEDS_CSUM, 0, 0, 0xffff, 0xffff},
		{NET_NEEDS_CSUM, 0, 0, 34, 0xffff},
		{NET_NEEDS_CSUM, 0, 0, 0, 0},
		{0, NET_GSO_TCPV4, 1000, 34, 16}, /* segments without checksums */
		{NET_NEEDS_CSUM, NET_GSO_TCPV4, 0, 34, 16},
		{NET_NEEDS_CSUM, NET_GSO_TCPV4, 1, 34, 16},
		{NET_NEEDS_CSUM, NET_GSO_TCPV6, 1000, 34, 16},
		{NET_NEEDS_CSUM, NET_GSO_UDP, 1000, 34, 16},
		{NET_NEEDS_CSUM, 0x7f, 1000, 34, 16},
	};

	start(f, F_ALL | F_CSUM | F_HOST_TSO4);
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		transmit(f, 1, 12, 3000, lies[i].flags, lies[i].gso, lies[i].size, lies[i].start,
			 lies[i].offset);
		assert_true(sent(f, 1));
		assert_int_equal(f->far[0].n, 0);
	}
	assert_int_equal(drv_status(&f->d), 15);
}

static void transmit_when_chain_is_no_frame_expect_it_back(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[3] = {{HEAD, 12}, {FRAME, 13}};

	start(f, F_ALL);
	drv_submit(&f->d, 1, b, 1, 0); /* a header alone */
	assert_true(sent(f, 1));
	drv_submit(&f->d, 1, b, 2, 0); /* less than an Ethernet header */
	assert_true(sent(f, 1));
	b[0].len = 5; /* half a header */
	drv_submit(&f->d, 1, b, 1, 0);
	assert_true(sent(f, 1));
	b[0].len = 12;
	b[1].len = NET_FRAME_MAX + 1;
	drv_submit(&f->d, 1, b, 2, 0);
	assert_true(sent(f, 1));
	drv_submit(&f->d, 1, b, 0, 1); /* writable */
	assert_true(sent(f, 1));
	assert_int_equal(f->far[0].n, 0);
	/* A header in two pieces, with the frame's beginning in the second, is one. */
	b[0].len = 7;
	b[1] = (struct drv_buf){HEAD + 7, 5 + 20};
	b[2] = (struct drv_buf){FRAME, 40};
	memset(drv_p(&f->d, HEAD), 0, 64);
	drv_submit(&f->d, 1, b, 3, 0);
	assert_true(sent(f, 1));
	assert_int_equal(f->far[0].n, 1);
	assert_int_equal(f->far[0].len[0], 60);
}

static void receive_when_chain_is_readable_expect_no_frame_lost_in_it(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {RX, 2000};
	uint8_t frame[60] = {0};
	uint32_t id, n;

	start(f, F_ALL | F_MRG);
	memcpy(frame, own, 6);
	memset(drv_p(&f->d, RX), 0xee, 2000);
	for (unsigned i = 0; i < SIZE; i++)
		drv_avail(&f->d, 0, drv_chain(&f->d, 0, &b, 1, 0));
	drv_kick(&f->d, 0);
	/* No room in any of them, however many there are. */
	assert_true(send_frame(&f->far[0].end, frame, 60, NULL));
	assert_int_equal(*drv_p(&f->d, RX), 0xee);
	assert_false(drv_used(&f->d, 0, &id, &n));
	assert_int_equal(drv_status(&f->d), 15);
}

static void receive_when_buffer_is_outside_of_memory_expect_the_device_to_stop(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {0xf0000000, 2000};
	uint8_t frame[60] = {0};

	start(f, F_ALL);
	drv_submit(&f->d, 0, &b, 0, 1);
	send_frame(&f->far[0].end, frame, 60, NULL);
	assert_true(drv_status(&f->d) & 0x40);
	/* And to start again. */
	start(f, F_ALL);
	give(f, 0, 0, 2000);
	assert_true(send_frame(&f->far[0].end, frame, 60, NULL));
	assert_int_equal(*drv_p(&f->d, RX), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define M(f) cmocka_unit_test_setup_teardown(f, setup_mq, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_read_expect_address_and_link),
		cmocka_unit_test(features_when_switched_off_expect_them_not_offered),
		T(filter_when_set_expect_only_what_is_asked_for),
		T(table_when_too_long_expect_everything_heard),
		T(command_when_not_whole_expect_an_error),
		T(command_when_there_is_nowhere_to_answer_expect_it_back),
		T(address_when_set_expect_it_shown_and_heard_until_reset),
		T(vlans_when_filtered_expect_only_those_added),
		M(pairs_when_negotiated_expect_one_until_set),
		M(pairs_when_used_expect_frames_to_stay_in_theirs),
		M(pairs_when_driver_knows_of_one_expect_control_behind_it),
		M(pairs_when_state_is_saved_and_loaded_expect_them),
		T(frame_when_buffers_merge_expect_it_over_several),
		T(frame_when_buffers_do_not_merge_expect_short_header_of_legacy_only),
		T(frame_when_checksum_is_right_expect_it_said),
		T(offloads_when_combined_expect_what_the_driver_takes),
		T(transmit_when_offloaded_expect_checksums_and_segments),
		T(transmit_when_header_lies_expect_nothing_and_the_chain_back),
		T(transmit_when_chain_is_no_frame_expect_it_back),
		T(receive_when_chain_is_readable_expect_no_frame_lost_in_it),
		T(receive_when_buffer_is_outside_of_memory_expect_the_device_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
