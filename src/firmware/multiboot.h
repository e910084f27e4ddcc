/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot 1: ELF images, and any file with the header's address fields, with modules.
 * Source: Multiboot Specification 0.6.96. Threads: none but the caller's.
 */
#ifndef LODGE_FIRMWARE_MULTIBOOT_H
#define LODGE_FIRMWARE_MULTIBOOT_H

#include <stdbool.h>

#include "firmware/boot_int.h"

bool multiboot_probe(const struct fw_file *kernel);
int multiboot_load(struct boot_job *job, struct boot_entry *entry) MUST_CHECK;

#endif
