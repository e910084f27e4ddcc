/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's firmware configuration device: numbered items and named files, by ports and by DMA.
 * Source: QEMU docs/specs/fw_cfg.
 * Threads: with the VM lock held; items are added before the guest runs.
 */
#ifndef LODGE_DEVICES_LEGACY_FW_CFG_H
#define LODGE_DEVICES_LEGACY_FW_CFG_H

#include "bus/bus.h"
#include "bus/device.h"
#include "mem/mem.h"

/* Items with fixed numbers. */
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_ID 0x01
#define FW_CFG_UUID 0x02
#define FW_CFG_RAM_SIZE 0x03
#define FW_CFG_NOGRAPHIC 0x04
#define FW_CFG_NB_CPUS 0x05
#define FW_CFG_KERNEL_ADDR 0x07
#define FW_CFG_KERNEL_SIZE 0x08
#define FW_CFG_INITRD_ADDR 0x0a
#define FW_CFG_INITRD_SIZE 0x0b
#define FW_CFG_BOOT_DEVICE 0x0c
#define FW_CFG_NUMA 0x0d
#define FW_CFG_BOOT_MENU 0x0e
#define FW_CFG_MAX_CPUS 0x0f
#define FW_CFG_KERNEL_ENTRY 0x10
#define FW_CFG_KERNEL_DATA 0x11
#define FW_CFG_INITRD_DATA 0x12
#define FW_CFG_CMDLINE_ADDR 0x13
#define FW_CFG_CMDLINE_SIZE 0x14
#define FW_CFG_CMDLINE_DATA 0x15
#define FW_CFG_SETUP_ADDR 0x16
#define FW_CFG_SETUP_SIZE 0x17
#define FW_CFG_SETUP_DATA 0x18
#define FW_CFG_FILE_DIR 0x19
#define FW_CFG_FILE_FIRST 0x20
#define FW_CFG_ARCH_LOCAL 0x8000
#define FW_CFG_ACPI_TABLES (FW_CFG_ARCH_LOCAL + 0)
#define FW_CFG_SMBIOS_ENTRIES (FW_CFG_ARCH_LOCAL + 1)
#define FW_CFG_IRQ0_OVERRIDE (FW_CFG_ARCH_LOCAL + 2)
#define FW_CFG_E820_TABLE (FW_CFG_ARCH_LOCAL + 3)

#define FW_CFG_MAX_FILES 256u
#define FW_CFG_MAX_NAME 56u /* with the terminating zero */

struct fw_cfg; /* begins with struct device */

/* `mem` (borrowed) is where DMA goes. Signature, ID and file directory are there from the start. */
struct fw_cfg *fw_cfg_new(struct mem *mem);
void fw_cfg_free(struct fw_cfg *f);
struct device *fw_cfg_device(struct fw_cfg *f);
/* Ports base..base+1 and the DMA address at base+4..base+11 (0x510). 0 or -ENOMEM. */
int fw_cfg_map(struct fw_cfg *f, struct bus *bus, uint16_t base) MUST_CHECK;

/*
 * Set numbered item `key` to a copy of the bytes, or to a little-endian integer; it replaces what
 * the item had. -EINVAL for a key outside 0..0x1f and 0x8000..0x801f, -ENOMEM.
 */
int fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, uint32_t len) MUST_CHECK;
int fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t val) MUST_CHECK;
int fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t val) MUST_CHECK;
int fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t val) MUST_CHECK;
/* As fw_cfg_add_bytes, but the bytes are borrowed for the device's life (kernels, initrds). */
int fw_cfg_add_bytes_borrowed(struct fw_cfg *f, uint16_t key, const void *data,
			      uint32_t len) MUST_CHECK;

/*
 * Add a named file with a copy of the bytes, or borrowing them. -EEXIST, -ENAMETOOLONG (more than
 * 55 bytes), -ENOSPC (FW_CFG_MAX_FILES), -ENOMEM.
 */
int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, uint32_t len) MUST_CHECK;
int fw_cfg_add_file_borrowed(struct fw_cfg *f, const char *name, const void *data,
			     uint32_t len) MUST_CHECK;
/*
 * Add a file the guest may write by DMA: `data` is borrowed and written in place, and after each
 * write `written(opaque, off, len)` is called (may be NULL).
 */
int fw_cfg_add_file_writable(struct fw_cfg *f, const char *name, void *data, uint32_t len,
			     void (*written)(void *opaque, uint32_t off, uint32_t len),
			     void *opaque) MUST_CHECK;

/*
 * Before the guest reads the file `name` from its start: `selected(opaque)`, which may change the
 * bytes in place (of a borrowed file). -ENOENT.
 */
int fw_cfg_on_select(struct fw_cfg *f, const char *name, void (*selected)(void *opaque),
		     void *opaque) MUST_CHECK;

#endif
