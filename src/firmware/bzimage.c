// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux bzImage: the x86 boot protocol, versions 2.00 and up.
 * Source: Linux Documentation/arch/x86/boot.rst ("Details of Header Fields", "32-bit Boot
 * Protocol", "64-bit Boot Protocol") and zero-page.rst. Threads: none but the caller's.
 */
#include "firmware/bzimage.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/platform.h"

/* The setup header, offsets in the file and in boot_params alike. */
enum {
	HDR_SETUP_SECTS = 0x1f1, /* u8 */
	HDR_SYSSIZE = 0x1f4,	 /* u32, 16-byte units; 2.04 */
	HDR_BOOT_FLAG = 0x1fe,	 /* u16 */
	HDR_JUMP = 0x200,	 /* u8 opcode, u8 distance: the header ends there */
	HDR_MAGIC = 0x202,	 /* "HdrS" */
	HDR_VERSION = 0x206,	 /* u16 */
	HDR_LOADER_TYPE = 0x210, /* u8 */
	HDR_LOADFLAGS = 0x211,	 /* u8 */
	HDR_CODE32_START = 0x214,
	HDR_RAMDISK_IMAGE = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_CMD_LINE_PTR = 0x228,    /* 2.02 */
	HDR_INITRD_ADDR_MAX = 0x22c, /* 2.03 */
	HDR_ALIGNMENT = 0x230,	     /* 2.05 */
	HDR_RELOCATABLE = 0x234,     /* u8, 2.05 */
	HDR_XLOADFLAGS = 0x236,	     /* u16, 2.12 */
	HDR_CMDLINE_SIZE = 0x238,    /* 2.06 */
	HDR_SETUP_DATA = 0x250,	     /* u64, 2.09 */
	HDR_PREF_ADDRESS = 0x258,    /* u64, 2.10 */
	HDR_INIT_SIZE = 0x260,	     /* 2.10 */
	HDR_LIMIT = 0x290,	     /* of the space boot_params has for it */
};

/* boot_params, zero-page.rst. */
enum {
	BP_EXT_MEM_K = 0x002,
	BP_VIDEO_MODE = 0x006,
	BP_VIDEO_COLS = 0x007,
	BP_VIDEO_LINES = 0x00e,
	BP_VIDEO_IS_VGA = 0x00f,
	BP_VIDEO_POINTS = 0x010,
	BP_OLD_CL_MAGIC = 0x020,
	BP_OLD_CL_OFFSET = 0x022,
	BP_ACPI_RSDP = 0x070,
	BP_ALT_MEM_K = 0x1e0,
	BP_E820_ENTRIES = 0x1e8,
	BP_E820_TABLE = 0x2d0,
	BP_BYTES = 0x1000,
};

_Static_assert(BP_E820_TABLE + E820_MAX * E820_WIRE_BYTES <= BP_BYTES, "the map fits the page");

#define MAGIC_HDRS 0x53726448u
#define BOOT_FLAG 0xaa55u
#define LOADED_HIGH 0x01u
#define XLF_KERNEL_64 0x0001u
#define ENTRY64_OFF 0x200u
#define LOADER_UNDEFINED 0xffu
#define OLD_CL_MAGIC 0xa33fu
#define OLD_PARAMS 0x90000u /* before 2.02 the kernel looks there and nowhere else */
#define SECTOR 512u
#define DEFAULT_SETUP_SECTS 4u
#define DEFAULT_CMDLINE_MAX 255u
#define DEFAULT_INITRD_MAX 0x37ffffffu

struct bzimage {
	uint8_t hdr[HDR_LIMIT]; /* the file's first bytes; valid up to hdr_end */
	unsigned hdr_end;
	unsigned version;
	uint64_t payload_off, payload_len; /* the protected-mode part, in the file */
	bool is64;
	gpa_t params, cmdline;
};

bool bzimage_probe(const struct fw_file *kernel)
{
	uint8_t b[8];

	return !fw_file_read(kernel, HDR_BOOT_FLAG, b, sizeof(b)) && ld_le16(b) == BOOT_FLAG &&
	       ld_le32(b + (HDR_MAGIC - HDR_BOOT_FLAG)) == MAGIC_HDRS;
}

/* A header field: 0 where the header is too short to hold it. */
static uint64_t field(const struct bzimage *bz, unsigned off, unsigned bytes)
{
	if (off + bytes > bz->hdr_end)
		return 0;
	switch (bytes) {
	case 1:
		return bz->hdr[off];
	case 2:
		return ld_le16(bz->hdr + off);
	case 4:
		return ld_le32(bz->hdr + off);
	default:
		return ld_le64(bz->hdr + off);
	}
}

static int refuse_cut_short(const struct boot_job *job, uint64_t want)
{
	return err_set(job->err, -EINVAL,
		       "the kernel '%s' is cut short: its header announces %llu bytes and the file "
		       "has %llu; copy it again",
		       job->kernel->name, (unsigned long long)want,
		       (unsigned long long)job->kernel->size);
}

static int parse_header(struct boot_job *job, struct bzimage *bz)
{
	const struct fw_file *f = job->kernel;
	uint64_t sects, want;
	int ret = boot_job_read(job, 0, bz->hdr, min_u64(f->size, sizeof(bz->hdr)));

	if (ret)
		return ret;
	bz->hdr_end = HDR_MAGIC + bz->hdr[HDR_JUMP + 1];
	bz->hdr_end = (unsigned)min_u64(min_u64(bz->hdr_end, HDR_LIMIT), f->size);
	sects = field(bz, HDR_SETUP_SECTS, 1);
	bz->payload_off = ((sects ? sects : DEFAULT_SETUP_SECTS) + 1) * SECTOR;
	if (f->size <= bz->payload_off)
		return refuse_cut_short(job, bz->payload_off + 1);
	bz->version = (unsigned)field(bz, HDR_VERSION, 2);
	if (bz->version < 0x200)
		return err_set(job->err, -ENOEXEC,
			       "the kernel '%s' speaks boot protocol %u.%02u; version 2.00 (Linux "
			       "1.3.73) is the oldest that can be booted",
			       f->name, bz->version >> 8, bz->version & 0xff);
	if (!(field(bz, HDR_LOADFLAGS, 1) & LOADED_HIGH))
		return err_set(
			job->err, -ENOEXEC,
			"the kernel '%s' is a zImage, which only a real-mode boot loader can "
			"start; build it as a bzImage",
			f->name);
	/* Builds differ in whether the last paragraph is filled up. */
	want = bz->payload_off + (bz->version >= 0x204 ? field(bz, HDR_SYSSIZE, 4) * 16 : 0);
	if (f->size + 15 < want)
		return refuse_cut_short(job, want);
	bz->payload_len = f->size - bz->payload_off;
	bz->is64 = bz->version >= 0x20c && (field(bz, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64);
	if (bz->is64 && bz->payload_len <= ENTRY64_OFF)
		return refuse_cut_short(job, bz->payload_off + ENTRY64_OFF + 1);
	if (bz->is64 && job->cfg->no_long_mode)
		return err_set(
			job->err, -ENOEXEC,
			"the kernel '%s' is 64-bit and the guest's CPU is not; choose another "
			"-cpu, or a 32-bit kernel",
			f->name);
	return 0;
}

/*
 * The memory the kernel unpacks itself into. It moves to pref_address when loaded below it, as it
 * is here. Old headers do not tell: start and end 0.
 */
static int find_unpack_area(const struct boot_job *job, const struct bzimage *bz, gpa_t *start,
			    gpa_t *end)
{
	uint64_t size = field(bz, HDR_INIT_SIZE, 4);
	uint64_t align = field(bz, HDR_ALIGNMENT, 4);

	*start = *end = 0;
	if (bz->version < 0x20a || !size)
		return 0;
	*start = max_u64(field(bz, HDR_PREF_ADDRESS, 8), PC_HIGH_MEM);
	if (field(bz, HDR_RELOCATABLE, 1) && align && !(align & (align - 1)))
		*start = max_u64(*start, align_up(PC_HIGH_MEM, align));
	if (!add_ok(*start, size, end) || *end > PC_4G)
		return err_set(job->err, -ENOEXEC,
			       "the kernel '%s' asks to run at 0x%llx, beyond 4 GiB; its header is "
			       "damaged",
			       job->kernel->name, (unsigned long long)*start);
	if (*end > job->cfg->ram_below_4g)
		return boot_job_kernel_too_big(job, *end);
	return 0;
}

/* Load the kernel, and keep initrd and boot structures out of where it unpacks itself. */
static int place_kernel(struct boot_job *job, const struct bzimage *bz)
{
	gpa_t start, end;
	int ret = find_unpack_area(job, bz, &start, &end);

	if (!ret)
		ret = boot_job_load_kernel(job, bz->payload_off, PC_HIGH_MEM, bz->payload_len,
					   bz->payload_len);
	if (ret)
		return ret;
	/* The area may begin inside the loaded file, which is taken already. */
	start = max_u64(start, PC_HIGH_MEM + bz->payload_len);
	if (end > start && boot_space_take(&job->space, start, end - start))
		return boot_job_kernel_too_big(job, end);
	return 0;
}

static int place_cmdline(struct boot_job *job, struct bzimage *bz)
{
	const char *cmdline = boot_job_cmdline(job);
	uint64_t len = strlen(cmdline);
	uint64_t max = bz->version >= 0x206 ? field(bz, HDR_CMDLINE_SIZE, 4) : DEFAULT_CMDLINE_MAX;

	if (!max)
		max = DEFAULT_CMDLINE_MAX;
	if (len > max)
		return err_set(job->err, -E2BIG,
			       "the command line (-append) has %llu characters and the kernel '%s' "
			       "takes at most %llu; shorten it",
			       (unsigned long long)len, job->kernel->name, (unsigned long long)max);
	bz->cmdline = bz->version < 0x202 ? boot_space_low(&job->space, len + 1, 16, OLD_PARAMS,
							   PC_BASE_MEM_END)
					  : boot_job_alloc_low(job, len + 1, 16);
	if (!bz->cmdline || bz->cmdline == BOOT_SPACE_NONE)
		return err_set(
			job->err, -ENOMEM,
			"no room is left in guest memory for the command line (-append); give "
			"the guest more with -m, or shorten it");
	return boot_job_write(job, bz->cmdline, cmdline, len + 1);
}

static int place_params(struct boot_job *job, struct bzimage *bz)
{
	if (bz->version >= 0x202) {
		bz->params = boot_job_alloc_low(job, BP_BYTES, PAGE_BYTES);
		return bz->params ? 0 : -ENOMEM;
	}
	bz->params = OLD_PARAMS;
	return boot_space_take(&job->space, bz->params, BP_BYTES)
		       ? boot_job_kernel_too_big(job, PC_HIGH_MEM)
		       : 0;
}

static int place_initrd(struct boot_job *job, const struct bzimage *bz, uint8_t *params)
{
	uint64_t max = bz->version >= 0x203 ? field(bz, HDR_INITRD_ADDR_MAX, 4) : 0;
	gpa_t gpa;
	int ret;

	if (!job->n_modules)
		return 0;
	if (!max)
		max = DEFAULT_INITRD_MAX;
	ret = boot_job_load_module(job, 0, PC_HIGH_MEM, max + 1, true, &gpa);
	if (ret)
		return ret;
	st_le32(params + HDR_RAMDISK_IMAGE, (uint32_t)gpa);
	st_le32(params + HDR_RAMDISK_SIZE, (uint32_t)job->modules[0].file.size);
	return 0;
}

static void fill_memory_map(const struct boot_job *job, uint8_t *params)
{
	const struct e820_map *map = &job->space.map;
	uint64_t ext_k = (max_u64(job->cfg->ram_below_4g, PC_HIGH_MEM) - PC_HIGH_MEM) >> 10;

	st_le16(params + BP_EXT_MEM_K, (uint16_t)min_u64(ext_k, 0xffff));
	st_le32(params + BP_ALT_MEM_K, (uint32_t)ext_k);
	params[BP_E820_ENTRIES] = (uint8_t)map->n;
	for (unsigned i = 0; i < map->n; i++)
		e820_store(params + BP_E820_TABLE + i * E820_WIRE_BYTES, &map->e[i]);
}

/* What the kernel's real-mode code would have found out, had it run. */
static void fill_params(const struct boot_job *job, const struct bzimage *bz, uint8_t *params)
{
	memcpy(params + HDR_SETUP_SECTS, bz->hdr + HDR_SETUP_SECTS, bz->hdr_end - HDR_SETUP_SECTS);
	params[HDR_LOADER_TYPE] = LOADER_UNDEFINED;
	st_le32(params + HDR_CODE32_START, PC_HIGH_MEM);
	st_le32(params + HDR_RAMDISK_IMAGE, 0);
	st_le32(params + HDR_RAMDISK_SIZE, 0);
	if (bz->version >= 0x202) {
		st_le32(params + HDR_CMD_LINE_PTR, (uint32_t)bz->cmdline);
	} else {
		st_le16(params + BP_OLD_CL_MAGIC, OLD_CL_MAGIC);
		st_le16(params + BP_OLD_CL_OFFSET, (uint16_t)(bz->cmdline - bz->params));
	}
	if (bz->version >= 0x209)
		st_le64(params + HDR_SETUP_DATA, 0);
	st_le64(params + BP_ACPI_RSDP, job->cfg->rsdp);
	if (job->cfg->vga) {
		params[BP_VIDEO_MODE] = 3;
		params[BP_VIDEO_COLS] = 80;
		params[BP_VIDEO_LINES] = 25;
		params[BP_VIDEO_IS_VGA] = 1;
		st_le16(params + BP_VIDEO_POINTS, 16);
	}
	fill_memory_map(job, params);
}

int bzimage_load(struct boot_job *job, struct boot_entry *entry)
{
	uint8_t params[BP_BYTES] = {0};
	struct bzimage bz = {0};
	int ret = parse_header(job, &bz);

	if (!ret)
		ret = place_kernel(job, &bz);
	if (!ret)
		ret = place_params(job, &bz);
	if (!ret)
		ret = place_cmdline(job, &bz);
	if (ret)
		return ret;
	fill_params(job, &bz, params);
	ret = place_initrd(job, &bz, params);
	if (ret)
		return ret;

	entry->mode = bz.is64 ? BOOT_LONG64 : BOOT_FLAT32;
	entry->rip = PC_HIGH_MEM + (bz.is64 ? ENTRY64_OFF : 0);
	entry->esi = (uint32_t)bz.params;
	ret = boot_job_alloc_entry(job, entry);
	return ret ? ret : boot_job_write(job, bz.params, params, sizeof(params));
}
