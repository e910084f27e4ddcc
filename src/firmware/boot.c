// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Boot without firmware: which protocol a kernel file asks for, its modules, and the common steps.
 * Source: the loaders' specifications. Threads: none but the caller's.
 */
#include "firmware/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "firmware/boot_int.h"
#include "firmware/bzimage.h"
#include "firmware/elf.h"
#include "firmware/multiboot.h"
#include "firmware/platform.h"
#include "firmware/pvh.h"

#define LOW_STRUCTS 0x8000u /* boot structures go here and up, if there is room */
#define PHYS_BITS_DEFAULT 40u

static const struct {
	const char *name;
	bool (*probe)(const struct fw_file *kernel);
	int (*load)(struct boot_job *job, struct boot_entry *entry);
} loaders[] = {
	/* In the order of trial: an ELF with both a PVH note and a Multiboot header is PVH. */
	[BOOT_KIND_BZIMAGE] = {"Linux bzImage", bzimage_probe, bzimage_load},
	[BOOT_KIND_PVH] = {"PVH ELF image", pvh_probe, pvh_load},
	[BOOT_KIND_MULTIBOOT] = {"Multiboot image", multiboot_probe, multiboot_load},
};

const char *boot_kind_name(enum boot_kind kind)
{
	return loaders[kind].name;
}

const char *boot_job_cmdline(const struct boot_job *job)
{
	return job->cfg->cmdline ? job->cfg->cmdline : "";
}

uint64_t boot_mib(uint64_t bytes)
{
	return (bytes >> 20) + ((bytes & 0xfffff) != 0);
}

gpa_t boot_job_alloc_low(struct boot_job *job, uint64_t len, uint64_t align)
{
	gpa_t at = boot_space_low(&job->space, len, align, LOW_STRUCTS, PC_BASE_MEM_END);

	if (at == BOOT_SPACE_NONE)
		at = boot_space_low(&job->space, len, align, 0, PC_4G);
	if (at != BOOT_SPACE_NONE)
		return at;
	err_set(job->err, -ENOMEM,
		"no room is left in guest memory beside the kernel '%s'; give the guest more with "
		"-m",
		job->kernel->name);
	return 0;
}

int boot_job_kernel_too_big(const struct boot_job *job, uint64_t end)
{
	return err_set(
		job->err, -ENOMEM,
		"the kernel '%s' needs %llu MiB of memory to start and the guest has %llu MiB; "
		"give the guest more with -m",
		job->kernel->name, (unsigned long long)boot_mib(end),
		(unsigned long long)boot_mib(job->cfg->ram_below_4g + job->cfg->ram_above_4g));
}

static int read_failed(const struct boot_job *job, const struct fw_file *f, const char *what,
		       int code)
{
	if (code == -ERANGE)
		return err_set(
			job->err, -EINVAL,
			"the %s '%s' is cut short: it ends after %llu bytes, in the middle of "
			"what its header announces; copy or build it again",
			what, f->name, (unsigned long long)f->size);
	return err_set(job->err, code, "the %s '%s' cannot be read: %s", what, f->name,
		       strerror(-code));
}

int boot_job_read(const struct boot_job *job, uint64_t off, void *buf, uint64_t len)
{
	int ret = fw_file_read(job->kernel, off, buf, len);

	return ret ? read_failed(job, job->kernel, "kernel", ret) : 0;
}

int boot_job_load_kernel(struct boot_job *job, uint64_t off, gpa_t gpa, uint64_t len,
			 uint64_t mem_len)
{
	uint64_t end;
	int ret;

	if (!range_ok(off, len, job->kernel->size))
		return read_failed(job, job->kernel, "kernel", -ERANGE);
	ret = boot_space_take(&job->space, gpa, mem_len);
	if (ret == -ENOSPC)
		return err_set(job->err, -ENOEXEC, "the kernel '%s' has too many segments",
			       job->kernel->name);
	if (ret && add_ok(gpa, mem_len, &end) && end > job->cfg->ram_below_4g && end <= PC_4G)
		return boot_job_kernel_too_big(job, end);
	if (ret)
		return err_set(
			job->err, -ENOEXEC,
			"the kernel '%s' wants to be loaded at 0x%llx, where it would overlap "
			"itself or there is no memory; it is damaged, or linked for another "
			"machine",
			job->kernel->name, (unsigned long long)gpa);
	ret = fw_file_load(job->kernel, off, job->mem, gpa, len);
	if (ret)
		return read_failed(job, job->kernel, "kernel", ret);
	ret = fw_mem_zero(job->mem, gpa + len, mem_len - len);
	return ret ? read_failed(job, job->kernel, "kernel", ret) : 0;
}

int boot_job_load_module(struct boot_job *job, unsigned i, gpa_t lo, gpa_t hi, bool high,
			 gpa_t *gpa)
{
	const struct fw_file *f = &job->modules[i].file;
	int ret;

	*gpa = high ? boot_space_high(&job->space, f->size, PAGE_BYTES, lo, hi)
		    : boot_space_low(&job->space, f->size, PAGE_BYTES, lo, hi);
	if (*gpa == BOOT_SPACE_NONE)
		return err_set(job->err, -ENOMEM,
			       "the initrd '%s' (%llu MiB) does not fit beside the kernel in the "
			       "guest's %llu MiB of memory; give the guest more with -m",
			       f->name, (unsigned long long)boot_mib(f->size),
			       (unsigned long long)boot_mib(job->cfg->ram_below_4g +
							    job->cfg->ram_above_4g));
	ret = fw_file_load(f, 0, job->mem, *gpa, f->size);
	return ret ? read_failed(job, f, "initrd", ret) : 0;
}

int boot_job_write(const struct boot_job *job, gpa_t gpa, const void *buf, uint64_t len)
{
	int ret = mem_load(job->mem, gpa, buf, len);

	if (ret)
		return err_set(job->err, ret, "guest address 0x%llx is no memory",
			       (unsigned long long)gpa);
	return 0;
}

int boot_job_alloc_entry(struct boot_job *job, struct boot_entry *entry)
{
	entry->gdt = boot_job_alloc_low(job, BOOT_GDT_PAGE, PAGE_BYTES);
	if (!entry->gdt)
		return -ENOMEM;
	if (entry->mode == BOOT_FLAT32)
		return 0;
	entry->pt = boot_job_alloc_low(job, BOOT_PT_BYTES, PAGE_BYTES);
	return entry->pt ? 0 : -ENOMEM;
}

/* What else the file may be, for people who named the wrong one. */
static const char *not_a_kernel_hint(const struct fw_file *f)
{
	static const struct {
		unsigned off, len;
		const char *magic, *hint;
	} known[] = {
		{0, 2, "\x1f\x8b", "it is gzip-compressed; unpack it first"},
		{0, 6,
		 "\xfd"
		 "7zXZ\0",
		 "it is xz-compressed; unpack it first"},
		{0, 4, "\x28\xb5\x2f\xfd", "it is zstd-compressed; unpack it first"},
		{0, 6, "070701", "it is a cpio archive: perhaps the initrd?"},
		{0, 4, "QFI\xfb", "it is a qcow2 disk image"},
		{56, 4, "ARM\x64", "it is a Linux kernel for 64-bit ARM"},
		{0x8001, 5, "CD001", "it is a CD image"},
		{510, 2, "\x55\xaa", "it looks like a boot sector or a disk image"},
	};
	uint8_t buf[8];

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (!fw_file_read(f, known[i].off, buf, known[i].len) &&
		    !memcmp(buf, known[i].magic, known[i].len))
			return known[i].hint;
	return NULL;
}

int boot_probe(const struct fw_file *kernel, struct lodge_err *err)
{
	struct elf_image elf;
	const char *hint;

	for (unsigned i = 0; i < ARRAY_SIZE(loaders); i++)
		if (loaders[i].probe(kernel))
			return (int)i;
	if (elf_probe(kernel) && elf_open(&elf, kernel))
		return err_set(err, -ENOEXEC,
			       "'%s' is an ELF file, but not an executable for x86; give a kernel "
			       "built for this machine with -kernel",
			       kernel->name);
	if (elf_probe(kernel))
		return err_set(
			err, -ENOEXEC,
			"'%s' is an ELF file with neither a PVH note nor a Multiboot header; "
			"give a bzImage, or build Linux with CONFIG_PVH=y",
			kernel->name);
	hint = not_a_kernel_hint(kernel);
	return err_set(err, -ENOEXEC,
		       "'%s' is not a kernel: neither a Linux bzImage, a PVH ELF nor a Multiboot "
		       "image; %s",
		       kernel->name, hint ? hint : "check what -kernel names");
}

int boot_load_files(struct mem *mem, const struct boot_config *cfg, const struct fw_file *kernel,
		    const struct boot_module *modules, unsigned n_modules, struct x86_state *bsp,
		    enum boot_kind *kind, struct lodge_err *err)
{
	struct boot_entry entry = {0};
	struct boot_job job = {.mem = mem,
			       .cfg = cfg,
			       .kernel = kernel,
			       .modules = modules,
			       .n_modules = n_modules,
			       .err = err};
	int found = boot_probe(kernel, err);
	int ret;

	if (found < 0)
		return found;
	if (kind)
		*kind = (enum boot_kind)found;
	boot_space_init(&job.space, cfg->ram_below_4g, cfg->ram_above_4g);
	ret = loaders[found].load(&job, &entry);
	if (ret)
		return ret;
	ret = boot_entry_apply(&entry, mem, bsp);
	if (ret)
		return err_set(err, ret, "the boot structures are not in guest memory");
	boot_cpu_set_mtrrs(bsp, cfg->phys_bits ? cfg->phys_bits : PHYS_BITS_DEFAULT);
	return 0;
}

/* The next item of "a b,c,,d" into a fresh string: ends at a comma, ",," is one comma. */
static char *next_item(const char **list)
{
	const char *s = *list;
	char *item = malloc(strlen(s) + 1);
	size_t n = 0;

	if (!item)
		return NULL;
	for (; *s; s++) {
		if (*s == ',' && *++s != ',')
			break;
		item[n++] = *s;
	}
	item[n] = '\0';
	*list = s;
	return item;
}

/* One Multiboot module: "file arguments"; the whole becomes its command line. */
static int open_module(struct boot_module *m, const char **list, const struct boot_config *cfg,
		       struct lodge_err *err)
{
	char *item = next_item(list);
	char *name, *space;
	int ret;

	if (!item)
		return err_set(err, -ENOMEM, "out of memory");
	name = item + strspn(item, " ");
	memmove(item, name, strlen(name) + 1);
	m->cmdline = item;
	space = strchr(item, ' ');
	if (space)
		*space = '\0';
	ret = fw_file_open(&m->file, item, "module", cfg->ram_below_4g, err);
	if (space)
		*space = ' ';
	/* For sentences: the name and the arguments, which live as long as the module. */
	m->file.name = item;
	return ret;
}

static int open_modules(const struct boot_config *cfg, enum boot_kind kind,
			struct boot_module *modules, unsigned *n, struct lodge_err *err)
{
	const char *list = cfg->initrd;
	int ret;

	*n = 0;
	if (!list || !*list)
		return 0;
	if (kind != BOOT_KIND_MULTIBOOT) {
		ret = fw_file_open(&modules[0].file, list, "initrd", cfg->ram_below_4g, err);
		*n = !ret;
		return ret;
	}
	while (*list) {
		if (*n == BOOT_MODULES_MAX)
			return err_set(err, -E2BIG,
				       "-initrd names more than %d modules; give fewer",
				       BOOT_MODULES_MAX);
		ret = open_module(&modules[(*n)++], &list, cfg, err);
		if (ret)
			return ret;
	}
	return 0;
}

int boot_load(struct mem *mem, const struct boot_config *cfg, struct x86_state *bsp,
	      enum boot_kind *kind, struct lodge_err *err)
{
	struct boot_module modules[BOOT_MODULES_MAX] = {0};
	struct fw_file kernel;
	unsigned n = 0;
	int ret = fw_file_open(&kernel, cfg->kernel, "kernel", cfg->ram_below_4g, err);

	if (ret)
		return ret;
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
		modules[i].file.fd = -1;
	ret = boot_probe(&kernel, err);
	if (ret >= 0)
		ret = open_modules(cfg, (enum boot_kind)ret, modules, &n, err);
	if (!ret)
		ret = boot_load_files(mem, cfg, &kernel, modules, n, bsp, kind, err);
	for (unsigned i = 0; i < n; i++) {
		fw_file_close(&modules[i].file);
		free(modules[i].cmdline);
	}
	fw_file_close(&kernel);
	return ret;
}
