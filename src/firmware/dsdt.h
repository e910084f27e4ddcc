/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The body of the DSDT: the PCI root with its windows and interrupt routing, link devices, ISA
 * devices, HPET, processors and \_S5.
 * Source: ACPI 6.4 §5, §6, §7.4.2; PIIX3 data sheet (PIRQRC). Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_DSDT_H
#define LODGE_FIRMWARE_DSDT_H

#include "firmware/aml.h"
#include "firmware/tables.h"

void dsdt_append(struct aml *a, const struct fw_tables_config *cfg);

#endif
