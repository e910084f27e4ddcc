/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boot without firmware: put a kernel, its initrd or modules and its command line into guest memory
 * and the boot processor into the state its boot protocol asks for.
 * Called before the guest runs, and again on every system reset. Threads: none but the caller's.
 */
#ifndef LODGE_FIRMWARE_BOOT_H
#define LODGE_FIRMWARE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "firmware/entry.h"
#include "firmware/fwfile.h"
#include "mem/mem.h"
#include "x86/state.h"

struct boot_config {
	const char *kernel;  /* path */
	const char *initrd;  /* path, or for Multiboot "file arg,file2 arg"; NULL = none */
	const char *cmdline; /* NULL = empty */
	uint64_t ram_below_4g, ram_above_4g;
	gpa_t rsdp;	    /* of the ACPI tables; 0 = none */
	unsigned phys_bits; /* of the virtual CPU; 0 = 40 */
	bool no_long_mode;  /* the virtual CPU cannot run 64-bit code */
	bool vga;	    /* there is a VGA in text mode 80x25 */
};

enum boot_kind { BOOT_KIND_BZIMAGE, BOOT_KIND_PVH, BOOT_KIND_MULTIBOOT };

/* "Linux bzImage", "PVH ELF image", "Multiboot image". */
const char *boot_kind_name(enum boot_kind kind);

/*
 * Load what `cfg` names and fill `bsp`, which is reset first. `kind` (may be NULL) gets the
 * protocol found. Errors are sentences about the file and the mend.
 */
int boot_load(struct mem *mem, const struct boot_config *cfg, struct x86_state *bsp,
	      enum boot_kind *kind, struct lodge_err *err) MUST_CHECK;

/* A module for the kernel: a Linux initrd is the one and first. */
#define BOOT_MODULES_MAX 64
struct boot_module {
	struct fw_file file;
	char *cmdline; /* "name arguments" (Multiboot), or NULL; owned */
};

/*
 * As boot_load, from open files: cfg->kernel and cfg->initrd are not used. Says what it found
 * without an error only when the kernel is one of the kinds.
 */
int boot_load_files(struct mem *mem, const struct boot_config *cfg, const struct fw_file *kernel,
		    const struct boot_module *modules, unsigned n_modules, struct x86_state *bsp,
		    enum boot_kind *kind, struct lodge_err *err) MUST_CHECK;

/* Which protocol the file asks for: an enum boot_kind, or -ENOEXEC with a sentence. */
int boot_probe(const struct fw_file *kernel, struct lodge_err *err) MUST_CHECK;

#endif
