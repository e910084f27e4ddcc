/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables as firmware gets them by fw_cfg: ACPI tables without addresses, and a script that says
 * where memory for them is needed, which pointers to adjust and what to sum. SMBIOS structures and
 * their anchor, which firmware adjusts by itself.
 * Source: QEMU hw/acpi/bios-linker-loader.c (the format of a command), as SeaBIOS
 * romfile_loader_execute and OVMF's AcpiPlatformDxe read it. Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_LOADER_H
#define LODGE_FIRMWARE_LOADER_H

#include <stdint.h>

#include "firmware/acpi.h"
#include "firmware/smbios.h"
#include "firmware/tables.h"

#define LOADER_TABLES_FILE "etc/acpi/tables"
#define LOADER_RSDP_FILE "etc/acpi/rsdp"
#define LOADER_SCRIPT_FILE "etc/table-loader"
#define LOADER_COMMAND_BYTES 128u
#define LOADER_FILE_BYTES 56u

struct fw_loader {
	uint8_t *tables; /* the FACS, then the tables; pointers are offsets into this */
	uint32_t tables_len;
	uint8_t rsdp[ACPI_RSDP_BYTES];
	uint8_t *script;
	uint32_t script_len;
};

/* All is owned by `l`. -ENOMEM; free with fw_loader_free in any case. */
int fw_loader_build(struct fw_loader *l, const struct fw_tables_config *cfg) MUST_CHECK;
void fw_loader_free(struct fw_loader *l);

#endif
