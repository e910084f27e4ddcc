// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PVH direct boot of an ELF image.
 * Source: Xen docs/misc/pvh.pandoc ("PVH boot ABI"), public/arch-x86/hvm/start_info.h (version 1),
 * public/elfnote.h. Threads: none but the caller's.
 */
#include "firmware/pvh.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/elf.h"
#include "firmware/platform.h"

#define NOTE_NAME "Xen"
#define NOTE_PHYS32_ENTRY 18u

#define START_INFO_MAGIC 0x336ec578u
#define START_INFO_VERSION 1u

/* hvm_start_info, and the tables it points to, in one block. */
enum {
	SI_MAGIC = 0,
	SI_VERSION = 4,
	SI_FLAGS = 8,
	SI_NR_MODULES = 12,
	SI_MODLIST = 16,
	SI_CMDLINE = 24,
	SI_RSDP = 32,
	SI_MEMMAP = 40,
	SI_MEMMAP_ENTRIES = 48,
	SI_BYTES = 56,

	MOD_PADDR = 0,
	MOD_SIZE = 8,
	MOD_CMDLINE = 16,
	MOD_BYTES = 32,

	MAP_ADDR = 0,
	MAP_SIZE = 8,
	MAP_TYPE = 16,
	MAP_BYTES = 24,

	OFF_MOD = 64,
	OFF_MAP = OFF_MOD + MOD_BYTES,
	BLOCK_BYTES = OFF_MAP + E820_MAX * MAP_BYTES,
};

_Static_assert(SI_BYTES <= OFF_MOD, "the module list follows the start info");

static bool find_entry(const struct elf_image *elf, uint64_t *entry)
{
	return !elf_note_find(elf, NOTE_NAME, NOTE_PHYS32_ENTRY, entry);
}

bool pvh_probe(const struct fw_file *kernel)
{
	struct elf_image elf;
	uint64_t entry;

	return !elf_open(&elf, kernel) && find_entry(&elf, &entry);
}

static void fill_memory_map(const struct e820_map *map, gpa_t at, uint8_t *block)
{
	for (unsigned i = 0; i < map->n; i++) {
		uint8_t *p = block + OFF_MAP + i * MAP_BYTES;

		st_le64(p + MAP_ADDR, map->e[i].addr);
		st_le64(p + MAP_SIZE, map->e[i].len);
		st_le32(p + MAP_TYPE, map->e[i].type);
	}
	st_le64(block + SI_MEMMAP, at + OFF_MAP);
	st_le32(block + SI_MEMMAP_ENTRIES, map->n);
}

static int write_start_info(struct boot_job *job, gpa_t kernel_end, gpa_t *start_info)
{
	const char *cmdline = boot_job_cmdline(job);
	uint8_t block[BLOCK_BYTES] = {0};
	uint64_t len = strlen(cmdline) + 1;
	gpa_t at = boot_job_alloc_low(job, sizeof(block), 8);
	gpa_t cl = at ? boot_job_alloc_low(job, len, 8) : 0;
	gpa_t mod;
	int ret;

	if (!at || !cl)
		return -ENOMEM;
	st_le32(block + SI_MAGIC, START_INFO_MAGIC);
	st_le32(block + SI_VERSION, START_INFO_VERSION);
	st_le64(block + SI_CMDLINE, cl);
	st_le64(block + SI_RSDP, job->cfg->rsdp);
	fill_memory_map(&job->space.map, at, block);
	if (job->n_modules) {
		ret = boot_job_load_module(job, 0, max_u64(kernel_end, PC_HIGH_MEM), PC_4G, true,
					   &mod);
		if (ret)
			return ret;
		st_le32(block + SI_NR_MODULES, 1);
		st_le64(block + SI_MODLIST, at + OFF_MOD);
		st_le64(block + OFF_MOD + MOD_PADDR, mod);
		st_le64(block + OFF_MOD + MOD_SIZE, job->modules[0].file.size);
	}
	*start_info = at;
	ret = boot_job_write(job, cl, cmdline, len);
	return ret ? ret : boot_job_write(job, at, block, sizeof(block));
}

int pvh_load(struct boot_job *job, struct boot_entry *entry)
{
	struct elf_image elf;
	gpa_t end, start_info = 0;
	uint64_t start;
	int ret;

	if (elf_open(&elf, job->kernel) || !find_entry(&elf, &start))
		return err_set(job->err, -ENOEXEC, "'%s' is no PVH image", job->kernel->name);
	if (elf.is64 && job->cfg->no_long_mode)
		return err_set(
			job->err, -ENOEXEC,
			"the kernel '%s' is 64-bit and the guest's CPU is not; choose another "
			"-cpu, or a 32-bit kernel",
			job->kernel->name);
	ret = elf_load(job, &elf, &end, NULL);
	if (ret)
		return ret;
	if (start > UINT32_MAX)
		return err_set(job->err, -ENOEXEC,
			       "the kernel '%s' is damaged: its PVH entry point lies beyond 4 GiB; "
			       "copy or build it again",
			       job->kernel->name);
	entry->mode = BOOT_FLAT32;
	entry->rip = start;
	ret = boot_job_alloc_entry(job, entry);
	if (!ret)
		ret = write_start_info(job, end, &start_info);
	if (!ret)
		entry->ebx = (uint32_t)start_info;
	return ret;
}
