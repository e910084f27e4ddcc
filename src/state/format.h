/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes of a saved machine's file (docs/state.md). Private to src/state. */
#ifndef LODGE_STATE_FORMAT_H
#define LODGE_STATE_FORMAT_H

#define STATE_MAGIC "LODGEVM\x1a"
#define STATE_VERSION 1u
#define STATE_PAGE 4096u

/* The header, on the first page; little-endian. */
enum {
	HDR_MAGIC = 0,	     /* 8 */
	HDR_VERSION = 8,     /* u32 */
	HDR_COUNT = 12,	     /* u32: sections */
	HDR_SECTIONS = 16,   /* u64: their bytes, from the second page on */
	HDR_MEMORY = 24,     /* u64: where memory begins, a whole number of pages */
	HDR_MEMORY_LEN = 32, /* u64: its bytes, whole pages; the file ends with them */
	HDR_FLAGS = 40,	     /* u32: 0 */
	HDR_CRC = 44,	     /* u32: of the bytes before */
	HDR_LEN = 48,
};

/* In front of each section, which is padded to 8 bytes. */
enum {
	SEC_NAME = 0, /* 16 bytes, zeros behind it */
	SEC_LEN = 16, /* u64: of the contents */
	SEC_CRC = 24, /* u32: of the 24 bytes before, then of the contents */
	SEC_PAD = 28, /* u32: 0 */
	SEC_HDR = 32,
};

#define SEC_NAME_LEN 16u

/* Contents of the section "memory": u32 bytes a chunk, u32 chunks, then a CRC of each. */
#define STATE_CHUNK STATE_CHUNK_BYTES
#define STATE_MEMORY "memory"

#endif
