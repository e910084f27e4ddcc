// SPDX-License-Identifier: GPL-2.0-or-later
/* CRC-32 (IEEE 802.3, reflected), one bit at a time. */
#include "bench.h"

uint64_t bench_crc32(uint32_t work)
{
	uint64_t seed = 1;
	uint32_t crc = ~0u;

	for (unsigned n = 0; n < work; n++) {
		if (!(n & 7))
			bench_random(&seed);
		crc ^= (uint8_t)(seed >> (n & 7) * 8);
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
	}
	return ~crc;
}
