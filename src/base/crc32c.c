// SPDX-License-Identifier: GPL-2.0-or-later
/* CRC-32C. Source: RFC 3720 §12.1; Intel SDM vol. 2A CRC32. Threads: no shared state. */
#include "base/crc32c.h"

#include <string.h>

#define POLY 0x82f63b78u /* reflected */

uint32_t crc32c_plain(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *b = p;

	crc = ~crc;
	while (len--) {
		crc ^= *b++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? POLY : 0);
	}
	return ~crc;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *b,
								 size_t len)
{
	uint64_t c = ~crc, word;

	for (; len >= 8; len -= 8, b += 8) {
		memcpy(&word, b, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	while (len--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *b++);
	return ~(uint32_t)c;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t len)
{
	if (__builtin_cpu_supports("sse4.2"))
		return by_instruction(crc, p, len);
	return crc32c_plain(crc, p, len);
}
