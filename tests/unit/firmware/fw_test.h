/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Common to the firmware tests: a small PC's memory, and kernel images made by hand. */
#ifndef LODGE_TESTS_FW_TEST_H
#define LODGE_TESTS_FW_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "firmware/boot.h"
#include "firmware/platform.h"
#include "mem/mem.h"

#define MIB (1ull << 20)

/* Memory as the board maps it without firmware: RAM, the VGA hole, a read-only BIOS area. */
static inline struct mem *pc_mem(uint64_t low_bytes)
{
	struct mem *mem = mem_new(low_bytes, 0, NULL);

	assert_non_null(mem);
	assert_int_equal(mem_map(mem, 0, PC_VGA_START, MEM_RAM, 0), 0);
	assert_int_equal(mem_map(mem, PC_FW_START, PC_FW_END - PC_FW_START, MEM_ROM, PC_FW_START),
			 0);
	assert_int_equal(mem_map(mem, PC_HIGH_MEM, low_bytes - PC_HIGH_MEM, MEM_RAM, PC_HIGH_MEM),
			 0);
	return mem;
}

static inline uint64_t guest_u(const struct mem *mem, gpa_t gpa, unsigned bytes)
{
	uint8_t b[8] = {0};

	assert_int_equal(mem_read(mem, gpa, b, bytes), 0);
	return ld_le64(b);
}

static inline void assert_guest_bytes(const struct mem *mem, gpa_t gpa, const void *want,
				      uint64_t len)
{
	uint8_t *got = malloc(len + 1);

	assert_non_null(got);
	assert_int_equal(mem_read(mem, gpa, got, len), 0);
	assert_memory_equal(got, want, len);
	free(got);
}

static inline void assert_guest_string(const struct mem *mem, gpa_t gpa, const char *want)
{
	assert_guest_bytes(mem, gpa, want, strlen(want) + 1);
}

/* An ELF image: header, up to 4 program headers, then content from 0x200. */
#define ELF_CONTENT 0x200u
struct test_elf {
	uint8_t bytes[0x3000];
	uint64_t len;
	unsigned phnum;
};

static inline void test_elf_init(struct test_elf *e, bool is64, uint64_t entry)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->bytes, "\177ELF", 4);
	e->bytes[4] = is64 ? 2 : 1;
	e->bytes[5] = e->bytes[6] = 1;
	st_le16(e->bytes + 16, 2);
	st_le16(e->bytes + 18, is64 ? 62 : 3);
	if (is64) {
		st_le64(e->bytes + 24, entry);
		st_le64(e->bytes + 32, 64);
		st_le16(e->bytes + 54, 56);
	} else {
		st_le32(e->bytes + 24, (uint32_t)entry);
		st_le32(e->bytes + 28, 52);
		st_le16(e->bytes + 42, 32);
	}
	e->len = sizeof(e->bytes);
	for (unsigned i = ELF_CONTENT; i < sizeof(e->bytes); i++)
		e->bytes[i] = (uint8_t)(i * 7 + 1);
}

static inline void test_elf_phdr(struct test_elf *e, uint32_t type, uint64_t off, uint64_t vaddr,
				 uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
	bool is64 = e->bytes[4] == 2;
	uint8_t *p = e->bytes + (is64 ? 64 + 56 * e->phnum : 52 + 32 * e->phnum);

	st_le32(p, type);
	if (is64) {
		st_le64(p + 8, off);
		st_le64(p + 16, vaddr);
		st_le64(p + 24, paddr);
		st_le64(p + 32, filesz);
		st_le64(p + 40, memsz);
		st_le64(p + 48, 4);
	} else {
		st_le32(p + 4, (uint32_t)off);
		st_le32(p + 8, (uint32_t)vaddr);
		st_le32(p + 12, (uint32_t)paddr);
		st_le32(p + 16, (uint32_t)filesz);
		st_le32(p + 20, (uint32_t)memsz);
		st_le32(p + 28, 4);
	}
	e->phnum++;
	st_le16(e->bytes + (is64 ? 56 : 44), (uint16_t)e->phnum);
}

/* A note at file offset `off`: returns its length. */
static inline uint64_t test_elf_note(struct test_elf *e, uint64_t off, const char *name,
				     uint32_t type, uint64_t value, unsigned bytes)
{
	uint8_t *p = e->bytes + off;
	uint32_t namesz = (uint32_t)strlen(name) + 1;
	uint32_t padded = (namesz + 3) & ~3u;

	memset(p, 0, 12 + padded + 8);
	st_le32(p, namesz);
	st_le32(p + 4, bytes);
	st_le32(p + 8, type);
	memcpy(p + 12, name, namesz);
	if (bytes == 4)
		st_le32(p + 12 + padded, (uint32_t)value);
	else
		st_le64(p + 12 + padded, value);
	return 12 + padded + bytes;
}

#endif
