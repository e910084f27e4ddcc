// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz what the wire does in software with frames that nobody has checked: make t T=fuzz/net_wire */
#include "net_frames.h"

#define CHECK(c)                 \
	do {                     \
		if (!(c))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t f[NET_FRAME_MAX + 1];
	static struct sink a, b;
	struct net_offload off;
	size_t len, extra;
	unsigned segments;

	if (size < 16)
		return 0;
	memset(&off, 0, sizeof(off));
	off.flags = data[0];
	off.gso_type = data[1];
	off.gso_size = ld_le16(data + 2);
	off.hdr_len = data[4];
	off.csum_start = ld_le16(data + 5);
	off.csum_offset = ld_le16(data + 7);
	extra = ld_le16(data + 9);
	len = size - 16;
	if (len > 2000)
		len = 2000;
	memcpy(f, data + 16, len);
	memset(f + len, data[11], NET_FRAME_MAX - len);
	len = data[12] & 1 ? len : len + extra > NET_FRAME_MAX ? NET_FRAME_MAX : len + extra;
	sink_init(&a, 1, 0);
	sink_init(&b, data[13], data[14] & 15);
	net_connect(&a.end, &b.end);
	CHECK(send_frame(&a.end, f, len, &off) || !data[13]);
	for (segments = 0; a.end.peer && segments < NET_FRAME_MAX / NET_GSO_LEAST; segments++) {
		b.room = 1 + data[15];
		net_ready(&b.end);
	}
	CHECK(!b.end.full);
	for (unsigned i = 0; i < b.n; i++)
		CHECK(b.len[i] <= NET_FRAME_MAX);
	net_check_frame(f, len, data[15]);
	net_disconnect(&a.end);
	sink_clear(&b);
	return 0;
}
