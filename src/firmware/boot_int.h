/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loaders of one boot share. Private to src/firmware. */
#ifndef LODGE_FIRMWARE_BOOT_INT_H
#define LODGE_FIRMWARE_BOOT_INT_H

#include "firmware/boot.h"
#include "firmware/space.h"

struct boot_job {
	struct mem *mem;
	const struct boot_config *cfg;
	const struct fw_file *kernel;
	const struct boot_module *modules;
	unsigned n_modules;
	struct boot_space space;
	struct lodge_err *err;
};

/* The command line, never NULL. */
const char *boot_job_cmdline(const struct boot_job *job);
/* Sizes for sentences, rounded up. */
uint64_t boot_mib(uint64_t bytes);

/* Find a free page (or more) below 640 KiB, else anywhere; 0 with a sentence on failure. */
gpa_t boot_job_alloc_low(struct boot_job *job, uint64_t len, uint64_t align);
/* Sentence for a kernel that does not fit; returns -ENOMEM. `end` is where it would end. */
int boot_job_kernel_too_big(const struct boot_job *job, uint64_t end);
/* Read from the kernel file; a sentence when that leaves the file or fails. */
int boot_job_read(const struct boot_job *job, uint64_t off, void *buf, uint64_t len) MUST_CHECK;
/* Put `len` bytes of the kernel file at `gpa`, then zero up to `mem_len`. Takes the place. */
int boot_job_load_kernel(struct boot_job *job, uint64_t off, gpa_t gpa, uint64_t len,
			 uint64_t mem_len) MUST_CHECK;
/* Put module `i` into [lo, hi), highest place first or lowest. `gpa` gets its address. */
int boot_job_load_module(struct boot_job *job, unsigned i, gpa_t lo, gpa_t hi, bool high,
			 gpa_t *gpa) MUST_CHECK;
/* Write boot structures; they were allocated, so this fails only for a map that is not RAM. */
int boot_job_write(const struct boot_job *job, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;
/* Allocate GDT and page tables for `entry`. */
int boot_job_alloc_entry(struct boot_job *job, struct boot_entry *entry) MUST_CHECK;

#endif
