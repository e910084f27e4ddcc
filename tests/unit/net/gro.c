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

static uint8_t f[8][1600], whole[NET_FRAME_MAX];
static size_t len[8];
static bool v6; /* what segment() makes */

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
	if (!v6)
		return;
	/* The same under an IPv6 header; the sum of the addresses is another. */
	memmove(f[i] + 54, f[i] + 34, len[i] - 34);
	memset(f[i] + 14, 0, 40);
	st_be16(f[i] + 12, 0x86dd);
	f[i][14] = 0x60;
	st_be16(f[i] + 18, (uint16_t)(20 + data));
	f[i][20] = 6;
	f[i][21] = 64;
	f[i][22] = 0xfe;
	f[i][38] = 0xfd;
	len[i] += 20;
	off.csum_start = 54;
	st_be16(f[i] + 70, (uint16_t)~plain_csum(f[i] + 22, 32, 6 + 20 + (uint32_t)data));
	assert_int_equal(net_finish_csum(f[i], len[i], &off), 0);
}

/* Put segments [0, n) together in `whole`, as far as they go together: how many. */
static unsigned put_together(struct net_gro *g, unsigned n)
{
	unsigned i;

	memcpy(whole, f[0], len[0]);
	net_gro_begin(g, whole, len[0]);
	for (i = 1; i < n; i++) {
		size_t at = net_gro_goes_on(g, whole, f[i], len[i]);

		if (!at)
			break;
		memcpy(whole + g->len, f[i] + at, len[i] - at);
		net_gro_added(g, whole, f[i], len[i] - at);
	}
	return i;
}

static void expect_same_when_cut(void)
{
	struct net_offload off, again;
	struct net_gro g;
	static struct sink a, b;
	unsigned n, ip = v6 ? 40 : 20;

	for (unsigned i = 0; i < 4; i++)
		segment(i, i < 3 ? MSS : 700, i < 3 ? 0x10 : 0x18);
	assert_int_equal(put_together(&g, 4), 4);
	net_gro_finish(&g, whole, &off);
	assert_int_equal(off.gso_type, v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4);
	assert_int_equal(off.gso_size, MSS);
	assert_int_equal(off.hdr_len, 34 + ip);
	assert_int_equal(g.len, 34 + ip + 3 * MSS + 700);
	assert_int_equal(net_gro_describe(whole, g.len, off.gso_size, &again), 0);
	assert_memory_equal(&off, &again, sizeof(off));
	sink_init(&a, 1, 0);
	sink_init(&b, 100, 0);
	net_connect(&a.end, &b.end);
	assert_true(send_frame(&a.end, whole, g.len, &off));
	assert_int_equal(b.n, 4);
	for (n = 0; n < 4; n++) {
		assert_int_equal(b.len[n], len[n]);
		if (!v6) {
			assert_true(sums_right(b.frame[n], b.len[n]));
			/* But for identification and so its checksum. */
			st_be16(b.frame[n] + 18, (uint16_t)(100 + n));
			st_be16(b.frame[n] + 24, ld_be16(f[n] + 24));
		}
		assert_memory_equal(b.frame[n], f[n], len[n]);
	}
	net_disconnect(&a.end);
	sink_clear(&b);
}

static void segments_when_put_together_and_cut_expect_the_same(void **state)
{
	v6 = false;
	expect_same_when_cut();
	v6 = true;
	expect_same_when_cut();
	v6 = false;
}

static bool goes_on(void)
{
	struct net_gro g;

	return put_together(&g, 2) == 2;
}

static void expect_others_left_alone(unsigned hdr)
{
	segment(0, MSS, 0x10);
	segment(1, MSS, 0x10);
	assert_true(goes_on());
	segment(1, MSS, 0x11); /* FIN */
	assert_false(goes_on());
	segment(1, MSS, 0x02);
	assert_false(goes_on());
	segment(1, MSS + 1, 0x10); /* longer than the first */
	assert_false(goes_on());
	segment(0, MSS, 0x18); /* PSH ends it */
	segment(1, MSS, 0x10);
	assert_false(goes_on());
	segment(0, NET_GSO_LEAST - 1, 0x10); /* too small to be cut again */
	segment(1, 20, 0x10);
	assert_false(goes_on());
	segment(0, MSS, 0x10);
	for (unsigned at = 0; at < hdr; at++) {
		unsigned l4 = hdr - 20;
		/* IP's identification and checksum, TCP's checksum and PSH may differ. */
		bool same = (!v6 && (at == 18 || at == 19 || at == 24 || at == 25)) ||
			    at == l4 + 16 || at == l4 + 17;

		for (unsigned bit = 0; bit < 8; bit++) {
			segment(1, MSS, 0x10);
			f[1][at] ^= (uint8_t)(1 << bit);
			if (same || (at == l4 + 13 && bit == 3))
				assert_true(goes_on());
			else
				assert_false(goes_on());
		}
	}
	for (size_t n = 0; n < MSS + hdr; n += 7) {
		segment(1, MSS, 0x10);
		len[1] = n;
		assert_false(goes_on());
	}
	segment(1, MSS, 0x10);
	len[1]++; /* padding */
	assert_false(goes_on());
}

static void segment_when_different_expect_it_left_alone(void **state)
{
	v6 = false;
	expect_others_left_alone(54);
	v6 = true;
	expect_others_left_alone(74);
	v6 = false;
}

static void frame_when_grown_expect_no_more_than_64_kib(void **state)
{
	struct net_gro g;
	unsigned n = 1;
	size_t at;

	segment(0, MSS, 0x10);
	memcpy(whole, f[0], len[0]);
	net_gro_begin(&g, whole, len[0]);
	for (;; n++) {
		segment(1, MSS, 0x10);
		st_be32(f[1] + 38, 0xfffff000u + n * MSS);
		at = net_gro_goes_on(&g, whole, f[1], len[1]);
		if (!at)
			break;
		memcpy(whole + g.len, f[1] + at, len[1] - at);
		net_gro_added(&g, whole, f[1], len[1] - at);
	}
	assert_int_equal(n, (65535 - 40) / MSS);
	assert_true(g.len <= NET_FRAME_MAX);
}

static void description_when_frame_is_no_such_expect_refusal(void **state)
{
	struct net_offload off;
	struct net_gro g;

	for (unsigned i = 0; i < 4; i++)
		segment(i, MSS, 0x10);
	put_together(&g, 4);
	net_gro_finish(&g, whole, &off);
	assert_int_equal(net_gro_describe(whole, g.len, MSS, &off), 0);
	/* Segments that would be thousands, or are none. */
	assert_int_not_equal(net_gro_describe(whole, g.len, 0, &off), 0);
	assert_int_not_equal(net_gro_describe(whole, g.len, NET_GSO_LEAST - 1, &off), 0);
	assert_int_not_equal(net_gro_describe(whole, g.len, g.len - 54, &off), 0);
	for (size_t n = 0; n < g.len + 100; n += n < 100 ? 1 : 97) {
		if (n != g.len)
			assert_int_not_equal(net_gro_describe(whole, n, MSS, &off), 0);
	}
	whole[46] = 0xf0; /* options beyond the end */
	assert_int_not_equal(net_gro_describe(whole, 60, NET_GSO_LEAST, &off), 0);
	whole[46] = 0x40;
	assert_int_not_equal(net_gro_describe(whole, g.len, MSS, &off), 0);
	whole[46] = 0x50;
	whole[20] |= 0x20; /* a fragment */
	assert_int_not_equal(net_gro_describe(whole, g.len, MSS, &off), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_when_put_together_and_cut_expect_the_same),
		cmocka_unit_test(segment_when_different_expect_it_left_alone),
		cmocka_unit_test(frame_when_grown_expect_no_more_than_64_kib),
		cmocka_unit_test(description_when_frame_is_no_such_expect_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
