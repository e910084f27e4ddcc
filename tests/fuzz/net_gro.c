// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz putting segments together, with frames of any content, and cutting what came of it: make t T=fuzz/net_gro
 */
#include "fuzz_in.h"
#include "net/gro.h"
#include "net_frames.h"

#define CHECK(c)                 \
	do {                     \
		if (!(c))        \
			abort(); \
	} while (0)

/* Mostly a segment that goes on from the last, with some bytes changed. */
static size_t make(struct fuzz_in *in, uint8_t *f, uint32_t seq)
{
	uint8_t how = fuzz_u8(in);
	size_t len = make_tcp4(f, how & 1 ? 1460 : fuzz_uint(in, 2) % 3000, how & 2 ? 0x18 : 0x10);

	st_be32(f + 38, seq);
	if (how & 4)
		f[fuzz_u8(in) % 80] = fuzz_u8(in);
	if (how & 8)
		len = fuzz_uint(in, 2) % (len + 20);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t whole[NET_FRAME_MAX], next[4000];
	static struct sink a, b;
	struct fuzz_in in = {data, size};
	struct net_offload off, seen;
	struct net_gro g;
	uint32_t seq = (uint32_t)fuzz_uint(&in, 4);
	size_t len = make(&in, whole, seq);

	net_gro_begin(&g, whole, len);
	CHECK(g.len == len && g.n <= 1);
	while (in.left && g.n < 100) {
		size_t n = make(&in, next, seq + (uint32_t)(g.n ? g.len - g.hdr : 0)), at;

		at = net_gro_goes_on(&g, whole, next, n);
		if (!at)
			continue;
		CHECK(g.n && at < n && g.len + n - at <= NET_FRAME_MAX);
		memcpy(whole + g.len, next + at, n - at);
		net_gro_added(&g, whole, next, n - at);
	}
	net_gro_finish(&g, whole, &off);
	sink_init(&a, 1, 0);
	sink_init(&b, SINK_FRAMES, 0);
	net_connect(&a.end, &b.end);
	if (off.gso_type != NET_GSO_NONE) {
		CHECK(!net_gro_describe(whole, g.len, off.gso_size, &seen));
		CHECK(!memcmp(&off, &seen, sizeof(off)));
		CHECK(send_frame(&a.end, whole, g.len, &off));
		CHECK(b.n == g.n);
	} else if (!net_gro_describe(whole, g.len, size & 0xffff, &seen)) {
		CHECK(send_frame(&a.end, whole, g.len, &seen) && b.n > 1);
	}
	net_disconnect(&a.end);
	sink_clear(&b);
	return 0;
}
