// SPDX-License-Identifier: GPL-2.0-or-later
/* The bzImage loader on any file: make t T=fuzz/bzimage */
#include "boot_harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FUZZ_FILE_MAX];
	/* Input: a flag byte, the header from 0x1f1 on, then payload. */
	const size_t hdr = 0x1f1;

	if (size < 2 || size - 1 > sizeof(file) - hdr)
		return 0;
	memset(file, 0, hdr);
	memcpy(file + hdr, data + 1, size - 1);
	if (size > 0x20 && !(data[0] & 2)) {
		st_le16(file + 0x1fe, 0xaa55);
		memcpy(file + 0x202, "HdrS", 4);
	}
	fuzz_boot(file, hdr + size - 1, data[0] & 1);
	return 0;
}
