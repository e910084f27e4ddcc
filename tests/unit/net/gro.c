// SPDX-License-Identifier: GPL-2.0-or-later
/* Segments put together, and cut up again: make t T=net/gro */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/gro.h"
#include "net_frames.h"

#define MSS 1460u

static uint8_t f[8][1600];
static size_t len[8];

/* Segment `i` of a stream, whole and right. */
static void segment(unsigned i, size_t data, uint8_t flags)
{
	struct net_offload off = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};

	len[i] = make_tcp4(f[i], data, flags);
	for (size_t k = 0; k < data; k++)
		f[i][TCP4_HDR + k] = (uint8_t)(k + i * 31);
	st_be16(f[i] + 18, (uint16_t)(100 + i));
	st_be16(f[i] + 24, 0);
	st_be16(f[i] + 24, plain_csum(f[i] + 14, 20, 0));
	st_be32(f[i] + 38, 0xfffff000u + i * MSS);
	assert_int_equal(net_finish_csum(f[i], len[i], &off), 0);
}

static void segments_when_put_together_and_cut_expect_the_same(void **state)
{
	struct net_gro g;
	static struct sink a, b;
	unsigned n;

	for (unsigned i = 0; i < 4; i++)
		segment(i, i < 3 ? MSS : 700, i < 3 ? 0x10 : 0x18);
	net_gro_begin(&g);
	for (n = 0; n < 4; n++)
		assert_true(net_gro_add(&g, f[n], len[n]));
	net_gro_finish(&g);
	sink_init(&a, 1, 0);
	sink_init(&b, 100, 0);
	net_connect(&a.end, &b.end);
	assert_true(net_send(&a.end, g.iov, g.n + 1, &g.off));
	assert_int_equal(b.n, 4);
	for (n = 0; n < 4; n++) {
		assert_int_equal(b.len[n], len[n]);
		assert_true(sums_right(b.frame[n], b.len[n]));
		/* But for identification and so its checksum. */
		st_be16(b.frame[n] + 18, (uint16_t)(100 + n));
		st_be16(b.frame[n] + 24, ld_be16(f[n] + 24));
		assert_memory_equal(b.frame[n], f[n], len[n]);
	}
	net_disconnect(&a.end);
	sink_clear(&b);
}

static bool goes_on(void)
{
	struct net_gro g;

	net_gro_begin(&g);
	return net_gro_add(&g, f[0], len[0]) && net_gro_add(&g, f[1], len[1]);
}

static void segment_when_different_expect_it_left_alone(void **state)
{
	segment(0, MSS, 0x10);
	segment(1, MSS, 0x10);
	assert_true(goes_on());
	segment(1, MSS, 0x11); /* FIN */
	assert_false(goes_on());
	segment(1, MSS, 0x02);
	assert_false(goes_on());
	segment(0, MSS, 0x18); /* PSH ends it */
	segment(1, MSS, 0x10);
	assert_false(goes_on());
	segment(0, 700, 0x10); /* so does a short one */
	assert_false(goes_on());
	segment(0, MSS, 0x10);
	for (unsigned at = 0; at < 60; at++) {
		/* A changed byte is a wrong checksum, or another place, address or connection. */
		segment(1, MSS, 0x10);
		f[1][at] ^= 1;
		if (at == 13 || at >= 14)
			assert_false(goes_on());
	}
	segment(1, MSS, 0x10);
	f[1][3] ^= 1; /* another receiver */
	assert_false(goes_on());
	segment(1, MSS, 0x10);
	for (size_t n = 0; n < len[1]; n += 7) {
		len[1] = n;
		assert_false(goes_on());
		segment(1, MSS, 0x10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_when_put_together_and_cut_expect_the_same),
		cmocka_unit_test(segment_when_different_expect_it_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
