// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACPI tables for firmware's table loader. See loader.h.
 * Source: QEMU hw/acpi/bios-linker-loader.c for commands 1 to 3. Threads: one at a time.
 */
#include "firmware/loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define CMD_ALLOCATE 1u
#define CMD_ADD_POINTER 2u
#define CMD_ADD_CHECKSUM 3u
#define ZONE_HIGH 1u
#define ZONE_FSEG 2u /* 0xF0000–0xFFFFF, where the RSDP is searched for */

#define FACS_ALIGN 64u
#define RSDP_ALIGN 16u
#define RSDP_CHECKSUM 8u
#define RSDP_V1_BYTES 20u
#define RSDP_RSDT 16u
#define RSDP_XSDT 24u
#define RSDP_CHECKSUM2 32u
#define TABLE_CHECKSUM 9u

/* Two allocations, a pointer each the block has and two of the RSDP, a checksum each. */
#define COMMANDS_MAX (2u + ARRAY_SIZE(((struct acpi_block *)0)->pointer) + 2u + ACPI_TABLES + 2u)

static uint8_t *command(struct fw_loader *l, uint32_t what)
{
	uint8_t *p = l->script + l->script_len;

	l->script_len += LOADER_COMMAND_BYTES;
	memset(p, 0, LOADER_COMMAND_BYTES);
	st_le32(p, what);
	return p + 4;
}

static void file_name(uint8_t *p, const char *name)
{
	memcpy(p, name, strlen(name));
}

static void allocate(struct fw_loader *l, const char *file, uint32_t align, uint8_t zone)
{
	uint8_t *p = command(l, CMD_ALLOCATE);

	file_name(p, file);
	st_le32(p + LOADER_FILE_BYTES, align);
	p[LOADER_FILE_BYTES + 4] = zone;
}

/* `bytes` at `off` of `file` are an offset into the tables: make it an address. */
static void add_pointer(struct fw_loader *l, const char *file, uint32_t off, uint8_t bytes)
{
	uint8_t *p = command(l, CMD_ADD_POINTER);

	file_name(p, file);
	file_name(p + LOADER_FILE_BYTES, LOADER_TABLES_FILE);
	st_le32(p + 2 * LOADER_FILE_BYTES, off);
	p[2 * LOADER_FILE_BYTES + 4] = bytes;
}

static void add_checksum(struct fw_loader *l, const char *file, uint32_t off, uint32_t start,
			 uint32_t len)
{
	uint8_t *p = command(l, CMD_ADD_CHECKSUM);

	file_name(p, file);
	st_le32(p + LOADER_FILE_BYTES, off);
	st_le32(p + LOADER_FILE_BYTES + 4, start);
	st_le32(p + LOADER_FILE_BYTES + 8, len);
}

/* Pointers first, then the sums over them. */
static void write_script(struct fw_loader *l, const struct acpi_block *b, uint32_t base)
{
	allocate(l, LOADER_TABLES_FILE, FACS_ALIGN, ZONE_HIGH);
	allocate(l, LOADER_RSDP_FILE, RSDP_ALIGN, ZONE_FSEG);
	for (unsigned i = 0; i < b->pointers; i++)
		add_pointer(l, LOADER_TABLES_FILE, base + b->pointer[i].at, b->pointer[i].bytes);
	for (unsigned t = 0; t < ACPI_TABLES; t++) {
		uint32_t at = base + b->table[t].off;

		if (b->table[t].len)
			add_checksum(l, LOADER_TABLES_FILE, at + TABLE_CHECKSUM, at,
				     b->table[t].len);
	}
	add_pointer(l, LOADER_RSDP_FILE, RSDP_RSDT, 4);
	add_pointer(l, LOADER_RSDP_FILE, RSDP_XSDT, 8);
	add_checksum(l, LOADER_RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_V1_BYTES);
	add_checksum(l, LOADER_RSDP_FILE, RSDP_CHECKSUM2, 0, ACPI_RSDP_BYTES);
}

/* The sums are firmware's to make, and start from 0. */
static void clear_checksums(struct fw_loader *l, const struct acpi_block *b, uint32_t base)
{
	for (unsigned t = 0; t < ACPI_TABLES; t++) {
		if (b->table[t].len)
			l->tables[base + b->table[t].off + TABLE_CHECKSUM] = 0;
	}
	l->rsdp[RSDP_CHECKSUM] = 0;
	l->rsdp[RSDP_CHECKSUM2] = 0;
}

int fw_loader_build(struct fw_loader *l, const struct fw_tables_config *cfg)
{
	const uint32_t base = ACPI_FACS_BYTES;
	struct acpi_block block;
	int r = acpi_block_build(&block, cfg);

	*l = (struct fw_loader){0};
	if (!r) {
		l->tables = malloc(base + block.bytes.len);
		l->script = malloc((size_t)COMMANDS_MAX * LOADER_COMMAND_BYTES);
		r = l->tables && l->script ? 0 : -ENOMEM;
	}
	if (!r) {
		l->tables_len = base + (uint32_t)block.bytes.len;
		acpi_block_place(&block, base, 0);
		acpi_facs_fill(l->tables);
		memcpy(l->tables + base, block.bytes.buf, block.bytes.len);
		acpi_rsdp_fill(&block, base, l->rsdp);
		clear_checksums(l, &block, base);
		write_script(l, &block, base);
	}
	acpi_block_free(&block);
	return r;
}

void fw_loader_free(struct fw_loader *l)
{
	free(l->tables);
	free(l->script);
	*l = (struct fw_loader){0};
}
