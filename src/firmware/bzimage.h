/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux bzImage: the x86 boot protocol, versions 2.00 and up, entered at its 32-bit or (kernels
 * that say so) 64-bit entry point, without running the kernel's real-mode code.
 * Source: Linux Documentation/arch/x86/boot.rst and zero-page.rst.
 * Threads: none but the caller's.
 */
#ifndef LODGE_FIRMWARE_BZIMAGE_H
#define LODGE_FIRMWARE_BZIMAGE_H

#include <stdbool.h>

#include "firmware/boot_int.h"

/* True when the file carries the setup header's magic. */
bool bzimage_probe(const struct fw_file *kernel);
/* Load it; `entry` gets everything but what boot_entry_apply decides. */
int bzimage_load(struct boot_job *job, struct boot_entry *entry) MUST_CHECK;

#endif
