// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF executables for the boot loaders.
 * Source: System V gABI ch. 4 (header), ch. 5 (program headers, notes).
 * Threads: none but the caller's.
 */
#include "firmware/elf.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define EHDR32_BYTES 52u
#define EHDR64_BYTES 64u
#define PHDR32_BYTES 32u
#define PHDR64_BYTES 56u
#define NHDR_BYTES 12u
#define CLASS_64 2u
#define DATA_LSB 1u
#define TYPE_EXEC 2u
#define TYPE_DYN 3u /* a relocatable kernel is one */
#define NOTES_MAX (64u << 10)
#define NOTE_NAME_MAX 16u

bool elf_probe(const struct fw_file *file)
{
	uint8_t ident[4];

	return !fw_file_read(file, 0, ident, sizeof(ident)) && !memcmp(ident, "\177ELF", 4);
}

int elf_open(struct elf_image *elf, const struct fw_file *file)
{
	uint8_t h[EHDR64_BYTES] = {0};
	uint16_t type;

	if (!elf_probe(file) || fw_file_read(file, 0, h, min_u64(file->size, sizeof(h))))
		return -ENOEXEC;
	elf->file = file;
	elf->is64 = h[4] == CLASS_64;
	if (file->size < (elf->is64 ? EHDR64_BYTES : EHDR32_BYTES) || h[5] != DATA_LSB)
		return -ENOEXEC;
	type = ld_le16(h + 16);
	elf->machine = ld_le16(h + 18);
	elf->entry = elf->is64 ? ld_le64(h + 24) : ld_le32(h + 24);
	elf->phoff = elf->is64 ? ld_le64(h + 32) : ld_le32(h + 28);
	elf->phentsize = ld_le16(h + (elf->is64 ? 54 : 42));
	elf->phnum = ld_le16(h + (elf->is64 ? 56 : 44));
	if (elf->machine != ELF_MACHINE_386 && elf->machine != ELF_MACHINE_X86_64)
		return -ENOEXEC;
	if (type != TYPE_EXEC && type != TYPE_DYN)
		return -ENOEXEC;
	if (elf->phentsize < (elf->is64 ? PHDR64_BYTES : PHDR32_BYTES))
		return -ENOEXEC;
	return 0;
}

int elf_phdr_read(const struct elf_image *elf, unsigned i, struct elf_phdr *ph)
{
	uint8_t b[PHDR64_BYTES];
	uint64_t off;

	if (!add_ok(elf->phoff, (uint64_t)i * elf->phentsize, &off) ||
	    fw_file_read(elf->file, off, b, elf->is64 ? PHDR64_BYTES : PHDR32_BYTES))
		return -ERANGE;
	if (elf->is64)
		*ph = (struct elf_phdr){.type = ld_le32(b),
					.offset = ld_le64(b + 8),
					.vaddr = ld_le64(b + 16),
					.paddr = ld_le64(b + 24),
					.filesz = ld_le64(b + 32),
					.memsz = ld_le64(b + 40),
					.align = ld_le64(b + 48)};
	else
		*ph = (struct elf_phdr){.type = ld_le32(b),
					.offset = ld_le32(b + 4),
					.vaddr = ld_le32(b + 8),
					.paddr = ld_le32(b + 12),
					.filesz = ld_le32(b + 16),
					.memsz = ld_le32(b + 20),
					.align = ld_le32(b + 28)};
	return 0;
}

/* Search one note segment, [off, end) in the file. */
static int note_in_segment(const struct fw_file *file, uint64_t off, uint64_t end, uint64_t align,
			   const char *name, uint32_t type, uint64_t *value)
{
	uint64_t name_len = strlen(name) + 1;

	while (range_ok(off, NHDR_BYTES, end)) {
		uint8_t h[NHDR_BYTES], n[NOTE_NAME_MAX], d[8] = {0};
		uint64_t namesz, descsz, desc;

		if (fw_file_read(file, off, h, sizeof(h)))
			return -ENOENT;
		namesz = ld_le32(h);
		descsz = ld_le32(h + 4);
		desc = align_up(off + NHDR_BYTES + namesz, align);
		if (!range_ok(desc, descsz, end))
			return -ENOENT;
		if (ld_le32(h + 8) == type && namesz == name_len && namesz <= sizeof(n) &&
		    (descsz == 4 || descsz == 8) &&
		    !fw_file_read(file, off + NHDR_BYTES, n, namesz) && !memcmp(n, name, namesz) &&
		    !fw_file_read(file, desc, d, descsz)) {
			*value = ld_le64(d);
			return 0;
		}
		off = align_up(desc + descsz, align);
	}
	return -ENOENT;
}

int elf_note_find(const struct elf_image *elf, const char *name, uint32_t type, uint64_t *value)
{
	/* Segments may lie over one another: bound the whole search, not each. */
	uint64_t budget = NOTES_MAX;

	for (unsigned i = 0; i < elf->phnum && budget; i++) {
		struct elf_phdr ph;
		uint64_t len;

		if (elf_phdr_read(elf, i, &ph))
			return -ENOENT;
		if (ph.type != ELF_PT_NOTE || !range_ok(ph.offset, ph.filesz, elf->file->size))
			continue;
		len = min_u64(ph.filesz, budget);
		budget -= len;
		if (!note_in_segment(elf->file, ph.offset, ph.offset + len, ph.align == 8 ? 8 : 4,
				     name, type, value))
			return 0;
	}
	return -ENOENT;
}

static int refuse_damaged(const struct boot_job *job, const char *why)
{
	return err_set(job->err, -ENOEXEC, "the kernel '%s' is damaged: %s; copy or build it again",
		       job->kernel->name, why);
}

int elf_load(struct boot_job *job, const struct elf_image *elf, gpa_t *end, uint64_t *entry)
{
	bool any = false, entry_found = false;
	uint64_t highest = 0;

	for (unsigned i = 0; i < elf->phnum; i++) {
		struct elf_phdr ph;
		int ret;

		if (elf_phdr_read(elf, i, &ph))
			return refuse_damaged(job, "its program headers lie outside the file");
		if (ph.type != ELF_PT_LOAD || !ph.memsz)
			continue;
		if (ph.filesz > ph.memsz)
			return refuse_damaged(job,
					      "a segment is larger in the file than in memory");
		ret = boot_job_load_kernel(job, ph.offset, ph.paddr, ph.filesz, ph.memsz);
		if (ret)
			return ret;
		any = true;
		highest = max_u64(highest, ph.paddr + ph.memsz);
		/* The header holds a virtual address; some images write the physical one. */
		if (entry && !entry_found && elf->entry >= ph.vaddr &&
		    elf->entry - ph.vaddr < ph.memsz) {
			*entry = elf->entry - ph.vaddr + ph.paddr;
			entry_found = true;
		}
	}
	if (!any)
		return refuse_damaged(job, "it has no segment to load");
	if (entry && !entry_found)
		*entry = elf->entry;
	if (end)
		*end = highest;
	return 0;
}
