// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -kernel with firmware: the kernel, its initrd and its command line as fw_cfg items. OVMF boots them
 * itself; for a BIOS an option ROM does it (QEMU's linuxboot_dma.bin, not a part of Lodge).
 *
 * Source: Linux Documentation/arch/x86/boot.rst for the setup header and the memory map; QEMU
 * docs/specs/fw_cfg for the items. Threads: before threads start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/boot.h"
#include "machine/board_int.h"

/* Where the loader is to put what; the old way's places below 640 KiB. */
#define SETUP_ADDR 0x10000u
#define CMDLINE_ADDR 0x20000u
#define KERNEL_ADDR 0x100000u
/* Kept free at the end of low RAM for firmware's tables. */
#define TABLES_ROOM 0x28000u

/* The setup header. */
#define HDR_SETUP_SECTS 0x1f1u
#define HDR_VID_MODE 0x1fau
#define HDR_VERSION 0x206u
#define HDR_LOADER 0x210u
#define HDR_LOADFLAGS 0x211u
#define HDR_INITRD_ADDR 0x218u
#define HDR_INITRD_SIZE 0x21cu
#define HDR_HEAP_END 0x224u
#define HDR_CMDLINE 0x228u
#define HDR_INITRD_MAX 0x22cu
#define HDR_CMDLINE_MAX 0x238u
#define HDR_BYTES 0x240u

#define SETUP_SECTS_OLD 4u
#define SECTOR 512u
#define LOADED_HIGH 1u
#define CAN_USE_HEAP 0x80u
#define LOADER_QEMU 0xb0u
#define INITRD_MAX_OLD 0x37ffffffu

#define KERNEL_MAX (256u << 20)

#define LINUXBOOT "linuxboot_dma.bin"

static int add_file(struct board *b, uint16_t addr_key, uint32_t addr, uint16_t size_key,
		    uint16_t data_key, const void *data, uint32_t len)
{
	struct fw_cfg *f = b->fw_cfg;
	int r = fw_cfg_add_u32(f, addr_key, addr);

	if (!r)
		r = fw_cfg_add_u32(f, size_key, len);
	return r ? r : fw_cfg_add_bytes(f, data_key, data, len);
}

/* The whole file, to be freed. NULL and a sentence on failure. */
static uint8_t *read_whole(const char *path, const char *what, uint64_t max, uint32_t *len,
			   struct lodge_err *err)
{
	struct fw_file f;
	uint8_t *buf = NULL;

	if (fw_file_open(&f, path, what, max, err))
		return NULL;
	if (f.size > max) {
		err_set(err, -EFBIG, "the %s '%s' is too big: %llu MiB are the most here", what,
			path, (unsigned long long)(max >> 20));
	} else {
		buf = malloc(f.size + 1);
		if (!buf || fw_file_read(&f, 0, buf, f.size)) {
			err_set(err, -EIO, "cannot read the %s '%s'", what, path);
			free(buf);
			buf = NULL;
		}
	}
	*len = (uint32_t)f.size;
	fw_file_close(&f);
	return buf;
}

static int check_header(const uint8_t *k, uint32_t len, const char *path, const char *cmdline,
			struct lodge_err *err)
{
	struct fw_file f = fw_file_from_bytes(path, k, len);

	if (boot_probe(&f, err) < 0)
		return -ENOEXEC;
	if (len < HDR_BYTES || memcmp(k + HDR_VERSION - 4, "HdrS", 4) ||
	    ld_le16(k + HDR_VERSION) < 0x203 || !(k[HDR_LOADFLAGS] & LOADED_HIGH))
		return err_set(err, -ENOEXEC,
			       "-kernel '%s' is no bzImage of Linux 2.4 or later; firmware cannot "
			       "boot it, leave -bios and pflash out",
			       path);
	if (ld_le16(k + HDR_VERSION) >= 0x206 && strlen(cmdline) > ld_le32(k + HDR_CMDLINE_MAX))
		return err_set(err, -E2BIG,
			       "-append is too long for the kernel '%s', which takes %u bytes",
			       path, ld_le32(k + HDR_CMDLINE_MAX));
	return 0;
}

static int add_initrd(struct board *b, uint8_t *kernel, struct lodge_err *err)
{
	const char *path = b->vm->cfg.initrd;
	uint32_t len, addr;
	uint64_t top = ld_le32(kernel + HDR_INITRD_MAX);
	uint8_t *data;
	int r;

	if (!path)
		return 0;
	top = min_u64(top ? top : INITRD_MAX_OLD, b->ram_low - TABLES_ROOM - 1);
	data = read_whole(path, "initrd", top, &len, err);
	if (!data)
		return -EINVAL;
	if (top < KERNEL_ADDR + (uint64_t)len) {
		free(data);
		return err_set(err, -ENOMEM,
			       "the initrd '%s' does not fit into the guest's memory; give it more "
			       "with -m",
			       path);
	}
	addr = (uint32_t)align_down(top - len, 4096);
	st_le32(kernel + HDR_INITRD_ADDR, addr);
	st_le32(kernel + HDR_INITRD_SIZE, len);
	r = add_file(b, FW_CFG_INITRD_ADDR, addr, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, data,
		     len);
	free(data);
	return r;
}

/* vga= is the boot loader's to understand: a number, or one of three words. False: it is not there, or odd. */
static bool video_mode(const char *cmdline, uint16_t *mode)
{
	static const struct {
		const char *word;
		uint16_t mode;
	} words[] = {{"normal", 0xffff}, {"ext", 0xfffe}, {"ask", 0xfffd}};
	const char *at = cmdline;
	unsigned long n;
	char *end;

	while ((at = strstr(at, "vga=")) && at != cmdline && at[-1] != ' ')
		at++;
	if (!at)
		return false;
	at += strlen("vga=");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i].word);

		if (!strncmp(at, words[i].word, len) && (!at[len] || at[len] == ' ')) {
			*mode = words[i].mode;
			return true;
		}
	}
	n = strtoul(at, &end, 0);
	*mode = (uint16_t)n;
	return end != at && n <= UINT16_MAX && (!*end || *end == ' ');
}

static int add_items(struct board *b, uint8_t *kernel, uint32_t len, const char *cmdline)
{
	uint32_t sects = kernel[HDR_SETUP_SECTS] ? kernel[HDR_SETUP_SECTS] : SETUP_SECTS_OLD;
	uint32_t setup = (sects + 1) * SECTOR;
	uint16_t mode;
	int r;

	if (setup > len)
		return -ENOEXEC;
	if (video_mode(cmdline, &mode))
		st_le16(kernel + HDR_VID_MODE, mode);
	kernel[HDR_LOADER] = LOADER_QEMU;
	kernel[HDR_LOADFLAGS] |= CAN_USE_HEAP;
	st_le16(kernel + HDR_HEAP_END, CMDLINE_ADDR - SETUP_ADDR - 0x200);
	st_le32(kernel + HDR_CMDLINE, CMDLINE_ADDR);
	r = add_file(b, FW_CFG_CMDLINE_ADDR, CMDLINE_ADDR, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA,
		     cmdline, (uint32_t)strlen(cmdline) + 1);
	if (!r)
		r = add_file(b, FW_CFG_SETUP_ADDR, SETUP_ADDR, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA,
			     kernel, setup);
	return r ? r
		 : add_file(b, FW_CFG_KERNEL_ADDR, KERNEL_ADDR, FW_CFG_KERNEL_SIZE,
			    FW_CFG_KERNEL_DATA, kernel + setup, len - setup);
}

/* An EFI firmware volume begins the image: it needs no option ROM for a kernel. */
static bool rom_is_uefi(const struct board *b)
{
	const uint8_t *rom = mem_base(b->vm->mem) + mem_backing_bytes(b->vm->mem) - b->rom_bytes;

	return !memcmp(rom + 40, "_FVH", 4);
}

int board_add_kernel(struct board *b, struct lodge_err *err)
{
	const struct vm_config *cfg = &b->vm->cfg;
	const char *cmdline = cfg->append ? cfg->append : "";
	uint8_t *kernel;
	uint32_t len;
	int r;

	if (!cfg->kernel || !b->rom_bytes)
		return 0;
	kernel = read_whole(cfg->kernel, "kernel", KERNEL_MAX, &len, err);
	if (!kernel)
		return -EINVAL;
	r = check_header(kernel, len, cfg->kernel, cmdline, err);
	if (!r)
		r = add_initrd(b, kernel, err);
	if (!r) {
		r = add_items(b, kernel, len, cmdline);
		if (r)
			err_set(err, r,
				"the kernel '%s' is cut short, or there is no memory for it",
				cfg->kernel);
	}
	free(kernel);
	if (r || rom_is_uefi(b))
		return r;
	return board_add_option_rom(b, LINUXBOOT, true, NULL, err);
}
