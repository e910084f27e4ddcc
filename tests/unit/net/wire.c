// SPDX-License-Identifier: GPL-2.0-or-later
/* The wire between two ends, and what it does in software: make t T=net/wire */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/range.h"
#include "net_frames.h"

#define FIN_PSH_ACK 0x19
static const struct net_offload tso = {
	.flags = NET_NEEDS_CSUM,
	.gso_type = NET_GSO_TCPV4,
	.hdr_len = TCP4_HDR,
	.gso_size = 1000,
	.csum_start = 34,
	.csum_offset = 16,
};

static struct sink a, b;

static int setup(void **state)
{
	sink_init(&a, SINK_FRAMES, 0);
	sink_init(&b, SINK_FRAMES, 0);
	net_connect(&a.end, &b.end);
	return 0;
}

static int teardown(void **state)
{
	net_disconnect(&a.end);
	sink_clear(&a);
	sink_clear(&b);
	return 0;
}

static void frame_when_peer_takes_it_expect_it_there(void **state)
{
	assert_true(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	assert_int_equal(b.n, 1);
	assert_memory_equal(b.frame[0], "0123456789abcdef", 16);
	assert_int_equal(a.end.tx_frames, 1);
	assert_int_equal(a.end.tx_bytes, 16);
	assert_int_equal(a.n, 0);
}

static void frame_when_refused_expect_nothing_until_ready(void **state)
{
	b.room = 0;
	assert_false(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	b.room = 5;
	/* Not even tried: the one that refused has not said anything. */
	assert_false(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	assert_int_equal(b.n, 0);
	assert_int_equal(a.readies, 0);
	net_ready(&b.end);
	assert_int_equal(a.readies, 1);
	assert_true(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	/* Nobody waits: nobody is told. */
	net_ready(&b.end);
	assert_int_equal(a.readies, 1);
}

static void frame_when_cable_is_out_or_link_down_expect_lost(void **state)
{
	net_set_link(&b.end, false);
	assert_false(a.up);
	assert_true(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	assert_true(send_frame(&b.end, "0123456789abcdef", 16, NULL));
	net_set_link(&b.end, true);
	assert_true(a.up);
	net_disconnect(&a.end);
	assert_false(b.up);
	assert_true(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	assert_int_equal(a.n + b.n, 0);
	assert_int_equal(a.end.tx_dropped, 2);
}

static void link_when_it_goes_down_under_a_refused_frame_expect_the_sender_told(void **state)
{
	b.room = 0;
	assert_false(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	net_set_link(&b.end, false);
	assert_int_equal(a.readies, 1);
	assert_true(send_frame(&a.end, "0123456789abcdef", 16, NULL));
}

static void checksum_when_peer_cannot_expect_it_computed(void **state)
{
	static const unsigned sizes[] = {0, 1, 2, 3, 100, 1459, 1460};
	uint8_t f[2000];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct net_offload off = tso;

		off.gso_type = NET_GSO_NONE;
		assert_true(send_frame(&a.end, f, make_tcp4(f, sizes[i], 0x10), &off));
		assert_int_equal(b.n, i + 1);
		assert_true(sums_right(b.frame[i], b.len[i]));
		assert_int_equal(b.off[i].flags, 0);
	}
}

static void checksum_when_peer_can_expect_it_left_to_it(void **state)
{
	struct net_offload off = tso;
	uint8_t f[2000];

	b.end.can = NET_CAN_CSUM;
	off.gso_type = NET_GSO_NONE;
	assert_true(send_frame(&a.end, f, make_tcp4(f, 77, 0x10), &off));
	assert_memory_equal(b.frame[0], f, b.len[0]);
	assert_int_equal(b.off[0].flags, NET_NEEDS_CSUM);
	assert_int_equal(b.off[0].csum_start, 34);
}

static void checksum_when_offsets_leave_the_frame_expect_lost(void **state)
{
	static const uint16_t bad[][2] = {{34, 65000}, {65535, 0}, {0, 16}, {13, 2}, {200, 0}};
	uint8_t f[200];
	size_t len = make_tcp4(f, 77, 0x10);

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct net_offload off = {.flags = NET_NEEDS_CSUM,
					  .csum_start = bad[i][0],
					  .csum_offset = bad[i][1]};

		assert_true(send_frame(&a.end, f, len, &off));
	}
	assert_int_equal(b.n, 0);
	assert_int_equal(a.end.tx_dropped, ARRAY_SIZE(bad));
}

static void long_frame_when_peer_cannot_expect_right_segments(void **state)
{
	static uint8_t f[NET_FRAME_MAX];
	size_t len = make_tcp4(f, 3500, FIN_PSH_ACK | 0x80), at = 0;

	assert_true(send_frame(&a.end, f, len, &tso));
	assert_int_equal(b.n, 4);
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *s = b.frame[i];
		size_t data = b.len[i] - TCP4_HDR;

		assert_int_equal(data, i < 3 ? 1000 : 500);
		assert_true(sums_right(s, b.len[i]));
		assert_int_equal(ld_be16(s + 18), 0x1234 + i);
		assert_int_equal(ld_be32(s + 38), (uint32_t)(0xfffffff0u + at));
		/* CWR in the first only, FIN and PSH in the last only. */
		assert_int_equal(s[47], 0x10 | (i == 0 ? 0x80 : 0) | (i == 3 ? 0x09 : 0));
		assert_memory_equal(s + TCP4_HDR, f + TCP4_HDR + at, data);
		at += data;
	}
}

static void long_frame_when_peer_can_expect_it_whole(void **state)
{
	static uint8_t f[NET_FRAME_MAX];
	size_t len = make_tcp4(f, 3500, FIN_PSH_ACK);

	b.end.can = NET_CAN_CSUM | NET_CAN_TSO4;
	assert_true(send_frame(&a.end, f, len, &tso));
	assert_int_equal(b.n, 1);
	assert_int_equal(b.off[0].gso_size, 1000);
	/* But not with ECN, which it cannot. */
	struct net_offload ecn = tso;

	ecn.gso_type |= NET_GSO_ECN;
	assert_true(send_frame(&a.end, f, len, &ecn));
	assert_int_equal(b.n, 5);
}

static void long_frame_when_refused_in_the_middle_expect_the_rest_later_and_once(void **state)
{
	static uint8_t f[NET_FRAME_MAX];
	size_t len = make_tcp4(f, 3500, FIN_PSH_ACK);

	b.room = 2;
	assert_true(send_frame(&a.end, f, len, &tso));
	assert_int_equal(b.n, 2);
	memset(f, 0xee, len); /* the sender may do as it likes with it */
	assert_false(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	b.room = 1;
	net_ready(&b.end);
	assert_int_equal(b.n, 3);
	assert_int_equal(a.readies, 0);
	b.room = 9;
	net_ready(&b.end);
	assert_int_equal(b.n, 4);
	assert_int_equal(a.readies, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_true(sums_right(b.frame[i], b.len[i]));
	assert_true(send_frame(&a.end, "0123456789abcdef", 16, NULL));
	assert_int_equal(b.n, 5);
}

static void long_frame_when_it_is_none_expect_lost(void **state)
{
	static uint8_t f[NET_FRAME_MAX];
	struct net_offload off = tso;
	size_t len = make_tcp4(f, 3500, FIN_PSH_ACK);

	off.gso_size = 0;
	assert_true(send_frame(&a.end, f, len, &off));
	off.gso_size = NET_GSO_LEAST - 1; /* tens of thousands of frames */
	assert_true(send_frame(&a.end, f, len, &off));
	off = tso;
	off.gso_type = NET_GSO_UDP;
	assert_true(send_frame(&a.end, f, len, &off));
	off.gso_type = NET_GSO_TCPV6;
	assert_true(send_frame(&a.end, f, len, &off));
	f[46] = 0xf0; /* options beyond the end of a short frame */
	assert_true(send_frame(&a.end, f, TCP4_HDR + 4, &tso));
	f[46] = 0x10; /* a header shorter than a header */
	assert_true(send_frame(&a.end, f, len, &tso));
	make_tcp4(f, 3500, 0);
	f[23] = 17;
	assert_true(send_frame(&a.end, f, len, &tso));
	make_tcp4(f, 3500, 0);
	f[14] = 0x44;
	assert_true(send_frame(&a.end, f, len, &tso));
	assert_int_equal(b.n, 0);
	assert_int_equal(a.end.tx_dropped, 8);
}

static void frame_check_when_bytes_change_expect_it_seen(void **state)
{
	uint8_t f[400];
	size_t len = make_tcp4(f, 300, 0x10);
	struct net_offload off = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	const unsigned all = NET_IP_LOOKED_AT | NET_IP_RIGHT | NET_L4_LOOKED_AT | NET_L4_RIGHT;

	assert_int_equal(net_finish_csum(f, len, &off), 0);
	assert_int_equal(net_check_frame(f, len, 14), all);
	f[100] ^= 1;
	assert_int_equal(net_check_frame(f, len, 14), all & ~NET_L4_RIGHT);
	f[100] ^= 1;
	f[22] ^= 1;
	assert_int_equal(net_check_frame(f, len, 14), all & ~NET_IP_RIGHT);
	/* What is cut off, or is no IP, is not looked at. */
	assert_int_equal(net_check_frame(f, 120, 14), 0);
	for (size_t n = 0; n < 60; n++)
		net_check_frame(f, n, 14);
}

static void sum_of_any_length_and_place_expect_the_plain_one(void **state)
{
	uint8_t buf[70];

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 37 + 200);
	for (unsigned at = 0; at < 5; at++) {
		for (unsigned len = 0; len < 64; len++)
			assert_int_equal(net_sum_fold(net_sum(buf + at, len, 0x1ffff)),
					 plain_csum(buf + at, len, 0x1ffff));
	}
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(net_sum_fold(net_sum(buf, 64, 0)), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(frame_when_peer_takes_it_expect_it_there),
		T(frame_when_refused_expect_nothing_until_ready),
		T(frame_when_cable_is_out_or_link_down_expect_lost),
		T(link_when_it_goes_down_under_a_refused_frame_expect_the_sender_told),
		T(checksum_when_peer_cannot_expect_it_computed),
		T(checksum_when_peer_can_expect_it_left_to_it),
		T(checksum_when_offsets_leave_the_frame_expect_lost),
		T(long_frame_when_peer_cannot_expect_right_segments),
		T(long_frame_when_peer_can_expect_it_whole),
		T(long_frame_when_refused_in_the_middle_expect_the_rest_later_and_once),
		T(long_frame_when_it_is_none_expect_lost),
		T(frame_check_when_bytes_change_expect_it_seen),
		T(sum_of_any_length_and_place_expect_the_plain_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
