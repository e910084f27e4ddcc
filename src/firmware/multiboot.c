// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Multiboot 1. A request for a video mode is ignored, as the specification allows: the machine
 * starts in text mode or without a screen.
 * Source: Multiboot Specification 0.6.96 §3.1 (header), §3.2 (machine state), §3.3 (information).
 * Threads: none but the caller's.
 */
#include "firmware/multiboot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/elf.h"
#include "firmware/platform.h"

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define SEARCH_BYTES 8192u
#define LOADER_NAME "lodge"

/* Header fields, from its magic. */
enum {
	MH_FLAGS = 4,
	MH_CHECKSUM = 8,
	MH_HEADER_ADDR = 12,
	MH_LOAD_ADDR = 16,
	MH_LOAD_END_ADDR = 20,
	MH_BSS_END_ADDR = 24,
	MH_ENTRY_ADDR = 28,
	MH_BYTES = 12,
	MH_BYTES_ADDR = 32, /* with HEADER_ADDRESSES */
};

#define HEADER_KNOWN 0x7u /* page-align modules, memory information, video mode */
#define HEADER_REQUIRED 0xffffu
#define HEADER_ADDRESSES 0x10000u

/* The information structure. */
enum {
	MBI_FLAGS = 0,
	MBI_MEM_LOWER = 4,
	MBI_MEM_UPPER = 8,
	MBI_CMDLINE = 16,
	MBI_MODS_COUNT = 20,
	MBI_MODS_ADDR = 24,
	MBI_MMAP_LENGTH = 44,
	MBI_MMAP_ADDR = 48,
	MBI_LOADER_NAME = 64,
	MBI_BYTES = 128,

	MBI_HAS_MEMORY = 1u << 0,
	MBI_HAS_CMDLINE = 1u << 2,
	MBI_HAS_MODS = 1u << 3,
	MBI_HAS_MMAP = 1u << 6,
	MBI_HAS_LOADER_NAME = 1u << 9,

	MOD_START = 0,
	MOD_END = 4,
	MOD_STRING = 8,
	MOD_BYTES = 16,

	MMAP_SIZE = 0, /* of the rest of the entry */
	MMAP_BASE = 4,
	MMAP_LEN = 12,
	MMAP_TYPE = 20,
	MMAP_BYTES = 24,
};

struct mb_header {
	uint64_t off; /* in the file */
	uint32_t flags;
	uint32_t header_addr, load_addr, load_end, bss_end, entry;
};

static int find_header(const struct fw_file *kernel, struct mb_header *mh)
{
	uint8_t buf[SEARCH_BYTES];
	uint64_t len = min_u64(kernel->size, sizeof(buf));

	if (fw_file_read(kernel, 0, buf, len))
		return -ENOENT;
	for (uint64_t off = 0; range_ok(off, MH_BYTES, len); off += 4) {
		const uint8_t *p = buf + off;

		if (ld_le32(p) != HEADER_MAGIC ||
		    (uint32_t)(HEADER_MAGIC + ld_le32(p + MH_FLAGS) + ld_le32(p + MH_CHECKSUM)))
			continue;
		*mh = (struct mb_header){.off = off, .flags = ld_le32(p + MH_FLAGS)};
		if (!(mh->flags & HEADER_ADDRESSES))
			return 0;
		if (!range_ok(off, MH_BYTES_ADDR, len))
			continue;
		mh->header_addr = ld_le32(p + MH_HEADER_ADDR);
		mh->load_addr = ld_le32(p + MH_LOAD_ADDR);
		mh->load_end = ld_le32(p + MH_LOAD_END_ADDR);
		mh->bss_end = ld_le32(p + MH_BSS_END_ADDR);
		mh->entry = ld_le32(p + MH_ENTRY_ADDR);
		return 0;
	}
	return -ENOENT;
}

bool multiboot_probe(const struct fw_file *kernel)
{
	struct mb_header mh;

	return !find_header(kernel, &mh);
}

static int refuse_damaged(const struct boot_job *job, const char *why)
{
	return err_set(job->err, -ENOEXEC, "the kernel '%s' is damaged: %s; copy or build it again",
		       job->kernel->name, why);
}

/* The header's own addresses say what to load ("a.out kludge"). */
static int load_by_addresses(struct boot_job *job, const struct mb_header *mh, gpa_t *end)
{
	uint64_t before = mh->header_addr - mh->load_addr; /* bytes before the header */
	uint64_t off, len, mem_len;

	if (mh->header_addr < mh->load_addr || before > mh->off)
		return refuse_damaged(job, "its Multiboot load address lies before the file");
	off = mh->off - before;
	len = job->kernel->size - off;
	if (mh->load_end) {
		if (mh->load_end < mh->load_addr)
			return refuse_damaged(job, "its Multiboot load end lies before its start");
		len = mh->load_end - mh->load_addr;
	}
	mem_len = len;
	if (mh->bss_end) {
		if (mh->bss_end < mh->load_addr || mh->bss_end - mh->load_addr < len)
			return refuse_damaged(job, "its Multiboot BSS ends inside its data");
		mem_len = mh->bss_end - mh->load_addr;
	}
	*end = mh->load_addr + mem_len;
	return boot_job_load_kernel(job, off, mh->load_addr, len, mem_len);
}

static int load_kernel(struct boot_job *job, const struct mb_header *mh, gpa_t *end,
		       uint64_t *entry)
{
	struct elf_image elf;
	int ret;

	if (mh->flags & HEADER_REQUIRED & ~HEADER_KNOWN)
		return err_set(
			job->err, -ENOEXEC,
			"the kernel '%s' requires Multiboot features (flags 0x%x) that Lodge "
			"does not have",
			job->kernel->name, mh->flags);
	if (mh->flags & HEADER_ADDRESSES) {
		*entry = mh->entry;
		return load_by_addresses(job, mh, end);
	}
	if (elf_open(&elf, job->kernel))
		return err_set(
			job->err, -ENOEXEC,
			"the kernel '%s' has a Multiboot header without load addresses and is "
			"no ELF executable for x86",
			job->kernel->name);
	ret = elf_load(job, &elf, end, entry);
	if (!ret && *entry > UINT32_MAX)
		return refuse_damaged(job, "its entry point lies beyond 4 GiB");
	return ret;
}

/* Put a string into guest memory; 0 on failure, with a sentence. */
static gpa_t place_string(struct boot_job *job, const char *s)
{
	uint64_t len = strlen(s) + 1;
	gpa_t at = boot_job_alloc_low(job, len, 1);

	return at && !boot_job_write(job, at, s, len) ? at : 0;
}

/* As QEMU and GRUB have it: the kernel's file name, then its arguments. */
static int place_cmdline(struct boot_job *job, uint8_t *mbi)
{
	char *line;
	gpa_t at;

	if (asprintf(&line, "%s %s", job->kernel->name, boot_job_cmdline(job)) < 0)
		return err_set(job->err, -ENOMEM, "out of memory");
	at = place_string(job, line);
	free(line);
	if (!at)
		return -ENOMEM;
	st_le32(mbi + MBI_CMDLINE, (uint32_t)at);
	return 0;
}

static int place_modules(struct boot_job *job, gpa_t kernel_end, uint8_t *mbi)
{
	uint8_t list[BOOT_MODULES_MAX * MOD_BYTES] = {0};
	uint64_t list_len = (uint64_t)job->n_modules * MOD_BYTES;
	gpa_t at;

	if (!job->n_modules)
		return 0;
	for (unsigned i = 0; i < job->n_modules; i++) {
		const struct boot_module *m = &job->modules[i];
		uint8_t *p = list + i * MOD_BYTES;
		gpa_t start, string;
		int ret = boot_job_load_module(job, i, max_u64(kernel_end, PC_HIGH_MEM), PC_4G,
					       false, &start);

		if (ret)
			return ret;
		string = place_string(job, m->cmdline ? m->cmdline : m->file.name);
		if (!string)
			return -ENOMEM;
		st_le32(p + MOD_START, (uint32_t)start);
		st_le32(p + MOD_END, (uint32_t)(start + m->file.size));
		st_le32(p + MOD_STRING, (uint32_t)string);
	}
	at = boot_job_alloc_low(job, list_len, 4);
	if (!at)
		return -ENOMEM;
	st_le32(mbi + MBI_MODS_COUNT, job->n_modules);
	st_le32(mbi + MBI_MODS_ADDR, (uint32_t)at);
	return boot_job_write(job, at, list, list_len);
}

static int place_memory_map(struct boot_job *job, uint8_t *mbi)
{
	const struct e820_map *map = &job->space.map;
	uint8_t buf[E820_MAX * MMAP_BYTES] = {0};
	uint64_t low = job->cfg->ram_below_4g;
	gpa_t at = boot_job_alloc_low(job, sizeof(buf), 4);

	if (!at)
		return -ENOMEM;
	for (unsigned i = 0; i < map->n; i++) {
		uint8_t *p = buf + i * MMAP_BYTES;

		st_le32(p + MMAP_SIZE, MMAP_BYTES - 4);
		st_le64(p + MMAP_BASE, map->e[i].addr);
		st_le64(p + MMAP_LEN, map->e[i].len);
		st_le32(p + MMAP_TYPE, map->e[i].type);
	}
	st_le32(mbi + MBI_MMAP_ADDR, (uint32_t)at);
	st_le32(mbi + MBI_MMAP_LENGTH, map->n * MMAP_BYTES);
	st_le32(mbi + MBI_MEM_LOWER, (uint32_t)(min_u64(low, PC_BASE_MEM_END) >> 10));
	st_le32(mbi + MBI_MEM_UPPER, (uint32_t)((max_u64(low, PC_HIGH_MEM) - PC_HIGH_MEM) >> 10));
	return boot_job_write(job, at, buf, sizeof(buf));
}

static int place_info(struct boot_job *job, gpa_t kernel_end, gpa_t *info)
{
	uint8_t mbi[MBI_BYTES] = {0};
	gpa_t name;
	int ret;

	*info = boot_job_alloc_low(job, MBI_BYTES, 16);
	if (!*info)
		return -ENOMEM;
	ret = place_memory_map(job, mbi);
	if (!ret)
		ret = place_cmdline(job, mbi);
	if (!ret)
		ret = place_modules(job, kernel_end, mbi);
	if (ret)
		return ret;
	name = place_string(job, LOADER_NAME);
	if (!name)
		return -ENOMEM;
	st_le32(mbi + MBI_LOADER_NAME, (uint32_t)name);
	st_le32(mbi + MBI_FLAGS, MBI_HAS_MEMORY | MBI_HAS_CMDLINE | MBI_HAS_MODS | MBI_HAS_MMAP |
					 MBI_HAS_LOADER_NAME);
	return boot_job_write(job, *info, mbi, sizeof(mbi));
}

int multiboot_load(struct boot_job *job, struct boot_entry *entry)
{
	struct mb_header mh;
	gpa_t end, info = 0;
	uint64_t start;
	int ret;

	if (find_header(job->kernel, &mh))
		return err_set(job->err, -ENOEXEC, "'%s' is no Multiboot image", job->kernel->name);
	ret = load_kernel(job, &mh, &end, &start);
	if (ret)
		return ret;
	entry->mode = BOOT_FLAT32;
	entry->rip = start;
	entry->eax = LOADER_MAGIC;
	ret = boot_job_alloc_entry(job, entry);
	if (!ret)
		ret = place_info(job, end, &info);
	if (!ret)
		entry->ebx = (uint32_t)info;
	return ret;
}
