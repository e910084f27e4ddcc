/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS: structures 0, 1, 3, 4, 16, 17, 19, 32, 127, and the 2.8 and 3.0 entry points.
 * Source: DMTF DSP0134 3.0 §5.2 (entry points), §7. Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_SMBIOS_H
#define LODGE_FIRMWARE_SMBIOS_H

#include <stdint.h>

#include "firmware/tables.h"

#define SMBIOS_MAX 0x600u
#define SMBIOS_ENTRY21_BYTES 31u
#define SMBIOS_ENTRY30_BYTES 24u

struct smbios {
	uint8_t bytes[SMBIOS_MAX];
	uint16_t len, count, largest;
	uint16_t start; /* of the structure being written */
	uint8_t strings;
};

void smbios_build(struct smbios *s, const struct fw_tables_config *cfg);
/* Entry points for structures at `base`. */
void smbios_entry21_fill(const struct smbios *s, uint32_t base, uint8_t e[SMBIOS_ENTRY21_BYTES]);
void smbios_entry30_fill(const struct smbios *s, uint64_t base, uint8_t e[SMBIOS_ENTRY30_BYTES]);

#endif
