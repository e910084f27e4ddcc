/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF32 and ELF64 executables for x86, as far as a boot loader needs: header, program headers,
 * notes, loading by physical address.
 * Source: System V gABI ch. 4, 5; Xen public/elfnote.h. Threads: none but the caller's.
 */
#ifndef LODGE_FIRMWARE_ELF_H
#define LODGE_FIRMWARE_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/boot_int.h"

#define ELF_PT_LOAD 1u
#define ELF_PT_NOTE 4u
#define ELF_MACHINE_386 3u
#define ELF_MACHINE_X86_64 62u

struct elf_image {
	const struct fw_file *file;
	bool is64;
	uint16_t machine;
	uint64_t entry;
	uint64_t phoff;
	uint16_t phentsize, phnum;
};

struct elf_phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* True when the file starts like an ELF file of any kind. */
bool elf_probe(const struct fw_file *file);
/* Parse the header: 0, or -ENOEXEC when it is no little-endian x86 executable. */
int elf_open(struct elf_image *elf, const struct fw_file *file) MUST_CHECK;
/* Program header `i` < phnum: 0 or -ERANGE. */
int elf_phdr_read(const struct elf_image *elf, unsigned i, struct elf_phdr *ph) MUST_CHECK;
/*
 * The descriptor of the note `type` of `name` as a number (4 or 8 bytes): 0, or -ENOENT.
 */
int elf_note_find(const struct elf_image *elf, const char *name, uint32_t type,
		  uint64_t *value) MUST_CHECK;
/*
 * Load all PT_LOAD segments at their physical addresses. `end` gets the highest address, `entry`
 * (both may be NULL) the physical address of the entry point.
 */
int elf_load(struct boot_job *job, const struct elf_image *elf, gpa_t *end,
	     uint64_t *entry) MUST_CHECK;

#endif
