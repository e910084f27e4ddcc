/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What software expects to find in a PC's low memory even when no BIOS ran: interrupt vectors, the
 * BIOS data area, the extended BIOS data area, and code at the reset vector.
 * Source: IBM PC/AT Technical Reference (BIOS data area, compatible entry points).
 * Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_LOWMEM_H
#define LODGE_FIRMWARE_LOWMEM_H

#include "firmware/tables.h"

/* Entry points in segment F000h, where they have been since the PC/AT. */
#define LOWMEM_BIOS_SEG 0xf000u
#define LOWMEM_RESET_CODE 0xe05bu /* resets the machine */
#define LOWMEM_DUMMY_IRET 0xff53u /* every interrupt vector */
#define LOWMEM_RESET_VECTOR 0xfff0u

/* -EFAULT when low memory is not mapped as RAM, or the firmware area not at all. */
int lowmem_build(struct mem *mem, const struct fw_tables_config *cfg) MUST_CHECK;

#endif
