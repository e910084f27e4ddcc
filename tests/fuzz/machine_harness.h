/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A whole machine for a fuzz target, with a BIOS of zeros that nobody runs. What fails here is not to be fuzzed. */
#ifndef LODGE_FUZZ_MACHINE_HARNESS_H
#define LODGE_FUZZ_MACHINE_HARNESS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "machine/vm.h"

#define FUZZ_BIOS_BYTES 0x40000u
#define FUZZ_BIOS_PATH "/tmp/lodge-fuzz-XXXXXX"

/* Makes the file `path`, which is FUZZ_BIOS_PATH before. */
static inline void fuzz_bios(char *path)
{
	uint8_t *rom = calloc(1, FUZZ_BIOS_BYTES);
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, rom, FUZZ_BIOS_BYTES) != FUZZ_BIOS_BYTES)
		abort();
	close(fd);
	free(rom);
}

/* The machine; the file of cfg->bios goes. */
static inline struct vm *fuzz_vm(struct vm_config *cfg)
{
	struct lodge_err err = {""};
	struct vm *vm = vm_new(cfg, &err);

	if (!vm) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	unlink(cfg->bios);
	return vm;
}

#endif
