/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MP configuration table, for operating systems without ACPI.
 * Source: Intel MultiProcessor Specification 1.4 ch. 4. Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_MPTABLE_H
#define LODGE_FIRMWARE_MPTABLE_H

#include <stdint.h>

#include "firmware/tables.h"

#define MP_CPUS_MAX 255u /* APIC IDs of 8 bits, 255 being "all" */
#define MP_FLOATING_BYTES 16u
#define MP_CONFIG_MAX 0x1b00u

struct mptable {
	uint8_t bytes[MP_CONFIG_MAX];
	uint16_t len, entries;
};

void mptable_build(struct mptable *t, const struct fw_tables_config *cfg);
/* The floating pointer to a table at `base`. */
void mptable_floating_fill(uint32_t base, uint8_t fp[MP_FLOATING_BYTES]);

#endif
