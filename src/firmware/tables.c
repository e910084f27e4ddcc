// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Placement of all firmware tables. docs/devices/firmware.md draws the map.
 * Source: ACPI 6.4 §5.2.5.1, DSP0134 §5.2, MP 1.4 §4 (where each root pointer may lie).
 * Threads: none but the caller's.
 */
#include "firmware/tables.h"

#include <errno.h>

#include "base/range.h"
#include "firmware/acpi.h"
#include "firmware/lowmem.h"
#include "firmware/mptable.h"
#include "firmware/platform.h"
#include "firmware/smbios.h"

/* Root pointers are searched for on 16-byte boundaries from 0xF0000 (the RSDP from 0xE0000). */
enum {
	AT_ACPI = PC_FW_START,
	AT_RSDP = 0xf0000,
	AT_SMBIOS21 = 0xf0040,
	AT_SMBIOS30 = 0xf0060,
	AT_MP_FLOATING = 0xf0080,
	AT_SMBIOS = 0xf0100,
	AT_MP = 0xf0800,
	AT_MP_END = 0xf2400,
	/* Guests write the FACS: it lies in the EBDA, which is RAM in any case. */
	AT_FACS = PC_EBDA + 0x100,
};

_Static_assert(AT_MP + MP_CONFIG_MAX <= AT_MP_END, "the MP table has its room");
_Static_assert(AT_MP_END <= (LOWMEM_BIOS_SEG << 4) + LOWMEM_RESET_CODE, "and ends before code");
_Static_assert(AT_FACS % 64 == 0 && AT_FACS + ACPI_FACS_BYTES <= PC_EBDA + PC_EBDA_BYTES,
	       "the FACS lies in the EBDA, aligned as §5.2.10 asks");

static int clear_area(struct mem *mem)
{
	static const uint8_t zeros[PAGE_BYTES];

	for (gpa_t at = PC_FW_START; at < PC_FW_END; at += sizeof(zeros)) {
		int ret = mem_load(mem, at, zeros, sizeof(zeros));

		if (ret)
			return ret;
	}
	return 0;
}

static int write_acpi(struct mem *mem, const struct fw_tables_config *cfg)
{
	uint8_t facs[ACPI_FACS_BYTES], rsdp[ACPI_RSDP_BYTES];
	struct acpi_block block;
	int ret = acpi_block_build(&block, cfg);

	if (!ret && !range_ok(AT_ACPI, block.bytes.len, AT_RSDP))
		ret = -E2BIG;
	if (!ret) {
		acpi_block_place(&block, AT_ACPI, AT_FACS);
		acpi_facs_fill(facs);
		acpi_rsdp_fill(&block, AT_ACPI, rsdp);
		ret = mem_load(mem, AT_ACPI, block.bytes.buf, block.bytes.len);
	}
	if (!ret)
		ret = mem_load(mem, AT_FACS, facs, sizeof(facs));
	if (!ret)
		ret = mem_load(mem, AT_RSDP, rsdp, sizeof(rsdp));
	acpi_block_free(&block);
	return ret;
}

static int write_smbios(struct mem *mem, const struct fw_tables_config *cfg)
{
	uint8_t e21[SMBIOS_ENTRY21_BYTES], e30[SMBIOS_ENTRY30_BYTES];
	struct smbios s;
	int ret;

	ret = smbios_build(&s, cfg);
	if (ret || s.len > AT_MP - AT_SMBIOS)
		return -EMSGSIZE;
	smbios_entry21_fill(&s, AT_SMBIOS, e21);
	smbios_entry30_fill(&s, AT_SMBIOS, e30);
	ret = mem_load(mem, AT_SMBIOS, s.bytes, s.len);
	if (!ret)
		ret = mem_load(mem, AT_SMBIOS21, e21, sizeof(e21));
	return ret ? ret : mem_load(mem, AT_SMBIOS30, e30, sizeof(e30));
}

static int write_mptable(struct mem *mem, const struct fw_tables_config *cfg)
{
	uint8_t fp[MP_FLOATING_BYTES];
	struct mptable t;
	int ret;

	mptable_build(&t, cfg);
	mptable_floating_fill(AT_MP, fp);
	ret = mem_load(mem, AT_MP, t.bytes, t.len);
	return ret ? ret : mem_load(mem, AT_MP_FLOATING, fp, sizeof(fp));
}

int firmware_tables_build(struct mem *mem, const struct fw_tables_config *cfg, gpa_t *rsdp,
			  struct lodge_err *err)
{
	int ret;

	if (cfg->cpus < 1 || cfg->cpus > FW_CPUS_MAX)
		return err_set(err, -EINVAL, "%u CPUs asked for; between 1 and %u are possible",
			       cfg->cpus, FW_CPUS_MAX);
	ret = clear_area(mem);
	if (!ret)
		ret = lowmem_build(mem, cfg);
	if (!ret)
		ret = write_acpi(mem, cfg);
	if (!ret)
		ret = write_smbios(mem, cfg);
	if (!ret)
		ret = write_mptable(mem, cfg);
	if (ret == -EMSGSIZE)
		return err_set(
			err, ret,
			"the strings of -smbios are too long; without firmware there is room "
			"for 1.7 KiB of all of SMBIOS");
	if (ret == -ENOMEM)
		return err_set(err, ret, "out of memory while building the firmware tables");
	if (ret)
		return err_set(err, ret, "the firmware tables find no memory below 1 MiB");
	*rsdp = AT_RSDP;
	return 0;
}
