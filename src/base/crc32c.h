/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C (Castagnoli), for checksums of files. Source: RFC 3720 §12.1, appendix B.4.
 * Threads: no shared state.
 */
#ifndef LODGE_BASE_CRC32C_H
#define LODGE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of `len` bytes, going on from `crc`, which is 0 at the start. */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);
/* The same without the processor's instruction: for tests, and hosts without SSE4.2. */
uint32_t crc32c_plain(uint32_t crc, const void *p, size_t len);

#endif
