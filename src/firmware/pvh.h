/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PVH direct boot: an ELF image with the note XEN_ELFNOTE_PHYS32_ENTRY, entered in 32-bit protected
 * mode with an hvm_start_info.
 * Source: Xen docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h.
 * Threads: none but the caller's.
 */
#ifndef LODGE_FIRMWARE_PVH_H
#define LODGE_FIRMWARE_PVH_H

#include <stdbool.h>

#include "firmware/boot_int.h"

bool pvh_probe(const struct fw_file *kernel);
int pvh_load(struct boot_job *job, struct boot_entry *entry) MUST_CHECK;

#endif
