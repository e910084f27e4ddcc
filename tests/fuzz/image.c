// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disk images of all formats with changed bytes: data[0] is the shape, data[1] and [2] what is done to it, then
 * come changes: offset (u24), length (u8), bytes. Run: make t T=fuzz/image
 */
#include "image_hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hostile h;
	unsigned shape;

	if (!h.path[0])
		hostile_init(&h);
	if (size < 3)
		return 0;
	shape = data[0] % HOSTILE_SHAPES;
	hostile_reset(&h, shape);
	for (size_t i = 3; i + 4 < size;) {
		size_t n = min_u64(data[i + 3] % 16 + 1, size - i - 4);
		uint32_t off = (ld_le32(data + i) & 0xffffff) % h.len[shape];

		if (pwrite(h.fd, data + i + 4, n, off) != (ssize_t)n)
			abort();
		i += 4 + n;
	}
	hostile_use(&h, shape, ld_le16(data + 1));
	return 0;
}
