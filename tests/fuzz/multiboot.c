// SPDX-License-Identifier: GPL-2.0-or-later
/* The Multiboot loader on any file: make t T=fuzz/multiboot */
#include "boot_harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FUZZ_FILE_MAX];
	size_t at;

	if (size < 3 || size > sizeof(file))
		return 0;
	memcpy(file, data + 3, size - 3);
	size -= 3;
	/* A header with a right checksum, where the input says. */
	at = (ld_le16(data) & 0x1fff) & ~3u;
	if (at + 12 <= size) {
		st_le32(file + at, 0x1badb002);
		st_le32(file + at + 8, 0u - 0x1badb002 - ld_le32(file + at + 4));
	}
	fuzz_boot(file, size, data[2] % 3);
	return 0;
}
