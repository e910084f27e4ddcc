/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Byte accessors for on-disk, on-wire and in-guest formats: little and big endian, unaligned. */
#ifndef LODGE_BASE_BYTES_H
#define LODGE_BASE_BYTES_H

#include <stdint.h>

static inline uint16_t ld_le16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t ld_le32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)ld_le16(b) | (uint32_t)ld_le16(b + 2) << 16;
}

static inline uint64_t ld_le64(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)ld_le32(b) | (uint64_t)ld_le32(b + 4) << 32;
}

static inline void st_le16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void st_le32(void *p, uint32_t v)
{
	uint8_t *b = p;

	st_le16(b, (uint16_t)v);
	st_le16(b + 2, (uint16_t)(v >> 16));
}

static inline void st_le64(void *p, uint64_t v)
{
	uint8_t *b = p;

	st_le32(b, (uint32_t)v);
	st_le32(b + 4, (uint32_t)(v >> 32));
}

static inline uint16_t ld_be16(const void *p)
{
	return __builtin_bswap16(ld_le16(p));
}

static inline uint32_t ld_be32(const void *p)
{
	return __builtin_bswap32(ld_le32(p));
}

static inline uint64_t ld_be64(const void *p)
{
	return __builtin_bswap64(ld_le64(p));
}

static inline void st_be16(void *p, uint16_t v)
{
	st_le16(p, __builtin_bswap16(v));
}

static inline void st_be32(void *p, uint32_t v)
{
	st_le32(p, __builtin_bswap32(v));
}

static inline void st_be64(void *p, uint64_t v)
{
	st_le64(p, __builtin_bswap64(v));
}

#endif
