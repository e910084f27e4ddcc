// SPDX-License-Identifier: GPL-2.0-or-later
/* The ELF loader, by way of PVH, on any file: make t T=fuzz/elf */
#include "boot_harness.h"
#include "firmware/elf.h"

#define NOTE_BYTES 32u

/* A PVH note, then room. */
static const uint8_t note[NOTE_BYTES] = "\4\0\0\0\4\0\0\0\22\0\0\0Xen\0\20\0\20\0";

/*
 * Make most of a header right, as data[0] says which: identification and program header table.
 * Program headers of odd types become loadable, and one is pointed at the note.
 */
static void mend(uint8_t *file, size_t size, uint8_t how)
{
	bool is64 = how & 1;
	unsigned ehdr = is64 ? 64 : 52, phent = is64 ? 56 : 32;
	unsigned n = how >> 2 & 3;

	memcpy(file, "\177ELF", 4);
	file[4] = is64 ? 2 : 1;
	file[5] = 1;
	st_le16(file + 16, 2);
	st_le16(file + 18, is64 ? 62 : 3);
	if (how & 2)
		return;
	st_le32(file + (is64 ? 32 : 28), ehdr);
	if (is64)
		st_le32(file + 36, 0);
	st_le16(file + (is64 ? 54 : 42), (uint16_t)phent);
	st_le16(file + (is64 ? 56 : 44), (uint16_t)(n + 1));
	for (unsigned i = 0; i <= n && ehdr + (i + 1) * phent <= size; i++) {
		uint8_t *p = file + ehdr + i * phent;

		if (*p & 1)
			st_le32(p, 1);
		if (i == n && is64) {
			st_le32(p, 4);
			st_le64(p + 8, size);
			st_le64(p + 32, NOTE_BYTES);
		} else if (i == n) {
			st_le32(p, 4);
			st_le32(p + 4, (uint32_t)size);
			st_le32(p + 16, NOTE_BYTES);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FUZZ_FILE_MAX + NOTE_BYTES];
	uint8_t how;

	if (size < 65 || size - 1 > FUZZ_FILE_MAX)
		return 0;
	how = *data;
	size--;
	memcpy(file, data + 1, size);
	memcpy(file + size, note, sizeof(note));
	if (how != 0xff)
		mend(file, size, how);
	fuzz_boot(file, size + NOTE_BYTES, how >> 4 & 1);
	return 0;
}
