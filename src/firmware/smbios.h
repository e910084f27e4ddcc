/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS: structures 0, 1, 2, 3, 4, 11, 16, 17, 19, 32, 127, and the 2.8 and 3.0 entry points.
 * Source: DMTF DSP0134 3.0 §5.2 (entry points), §7. Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_SMBIOS_H
#define LODGE_FIRMWARE_SMBIOS_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/tables.h"

#define SMBIOS_MAX 0x8000u
#define SMBIOS_STRING_MAX 8192u
#define SMBIOS_ENTRY21_BYTES 31u
#define SMBIOS_ENTRY30_BYTES 24u

struct smbios {
	uint8_t bytes[SMBIOS_MAX];
	uint16_t len, count, largest;
	uint16_t start; /* of the structure being written */
	uint8_t strings;
	bool failed; /* there was no room for something */
};

/* 0, or -E2BIG when strings of cfg->smbios are too long. */
int smbios_build(struct smbios *s, const struct fw_tables_config *cfg) MUST_CHECK;
/* Entry points for structures at `base`. */
void smbios_entry21_fill(const struct smbios *s, uint32_t base, uint8_t e[SMBIOS_ENTRY21_BYTES]);
void smbios_entry30_fill(const struct smbios *s, uint64_t base, uint8_t e[SMBIOS_ENTRY30_BYTES]);

#endif
