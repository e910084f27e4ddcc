/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables: FACS, DSDT, FADT, MADT, HPET, RSDT, XSDT in one block, and the RSDP that names
 * them. The block is built without addresses and gets them, and its checksums, when it is placed.
 * Source: ACPI 6.4 §5.2. Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_ACPI_H
#define LODGE_FIRMWARE_ACPI_H

#include <stdint.h>

#include "base/err.h"
#include "firmware/aml.h"
#include "firmware/tables.h"

#define ACPI_FACS_BYTES 64u
#define ACPI_RSDP_BYTES 36u

enum acpi_table {
	ACPI_DSDT,
	ACPI_FADT,
	ACPI_MADT,
	ACPI_HPET,
	ACPI_RSDT,
	ACPI_XSDT,
	ACPI_TABLES,
	ACPI_FACS = ACPI_TABLES, /* outside the block: it must be writable */
};

struct acpi_block {
	struct aml bytes;
	/* Each table's place in the block; len 0 = this machine has none. */
	struct {
		uint32_t off, len;
	} table[ACPI_TABLES];
	/* Addresses to fill in: `bytes` (4 or 8) at `at` get the address of `target`. */
	struct {
		uint32_t at;
		uint8_t target; /* enum acpi_table */
		uint8_t bytes;
	} pointer[24];
	unsigned pointers;
};

/* -ENOMEM; free with acpi_block_free in any case. */
int acpi_block_build(struct acpi_block *b, const struct fw_tables_config *cfg) MUST_CHECK;
void acpi_block_free(struct acpi_block *b);

/* Fill in addresses for a block at `base` and a FACS at `facs`, then the checksums. */
void acpi_block_place(struct acpi_block *b, uint64_t base, uint64_t facs);
/* The FACS and the RSDP for a block at `base`. */
void acpi_facs_fill(uint8_t facs[ACPI_FACS_BYTES]);
void acpi_rsdp_fill(const struct acpi_block *b, uint64_t base, uint8_t rsdp[ACPI_RSDP_BYTES]);

/* The byte that makes the sum of `len` bytes 0 when added to it. */
uint8_t fw_checksum(const uint8_t *p, uint64_t len);

#endif
