/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything firmware leaves in memory for an operating system, written without firmware: ACPI,
 * SMBIOS and MP tables, interrupt vectors, the BIOS data area and a reset vector, all below 1 MiB.
 * Called before the guest runs, and again on every system reset. Threads: none but the caller's.
 */
#ifndef LODGE_FIRMWARE_TABLES_H
#define LODGE_FIRMWARE_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mem/mem.h"

#define FW_CPUS_MAX 1024

#define FW_SMBIOS_OEM_MAX 64

/* What SMBIOS says beyond what the machine is; NULL: the usual. Strings are borrowed. */
struct fw_smbios {
	struct {
		const char *vendor, *version, *date;
		bool set; /* type 0 is wanted in any case */
		bool has_release, uefi;
		uint8_t major, minor;
	} bios;
	struct {
		const char *maker, *product, *version, *serial, *sku, *family;
	} system;
	struct {
		const char *maker, *product, *version, *serial, *asset, *location;
		bool set;
	} board;
	struct {
		const char *maker, *version, *serial, *asset, *sku;
	} chassis;
	const char *oem[FW_SMBIOS_OEM_MAX];
	unsigned n_oem;
};

struct fw_tables_config {
	unsigned cpus; /* 1..FW_CPUS_MAX; APIC id = index */
	uint64_t ram_below_4g, ram_above_4g;
	uint64_t pci64_start, pci64_len;   /* window for 64-bit BARs; 0 = none */
	uint8_t uuid[16];		   /* SMBIOS system UUID, RFC 4122 byte order; 0 = none */
	uint32_t cpuid_1_eax, cpuid_1_edx; /* for the MP and SMBIOS processor entries */
	bool no_hpet, no_i8042, no_fwcfg;  /* devices this machine lacks */
	bool vga;
	unsigned com_ports;   /* serial ports at 0x3f8, 0x2f8, 0x3e8, 0x2e8: 0..4 */
	uint16_t pm_base;     /* of the PIIX4's PM block; 0 = PC_PM_BASE */
	uint32_t pci32_start; /* where the window for 32-bit BARs begins; 0 = PC_PCI32_START */
	bool by_firmware;     /* the firmware adds SMBIOS type 0, about itself */
	const struct fw_smbios *smbios; /* NULL: all as usual */
};

/*
 * Write all tables. PC_FW_START..PC_FW_END (firmware/platform.h) must be mapped, as RAM or ROM, and
 * the first 640 KiB as RAM. `rsdp` gets the address of the ACPI root pointer.
 */
int firmware_tables_build(struct mem *mem, const struct fw_tables_config *cfg, gpa_t *rsdp,
			  struct lodge_err *err) MUST_CHECK;

#endif
