/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers as data: a file of up to 256 bytes whose every bit is read-only, writable or
 * write-1-to-clear, filled from a table. PCI configuration space and register blocks that behave
 * like it (any access size at any offset, no side effect of a read) are made of one; what a write
 * sets off is the owner's to look at afterwards.
 *
 * Threads: the owner's lock.
 */
#ifndef LODGE_BUS_REGS_H
#define LODGE_BUS_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define REG_FILE_BYTES 256u

/* One register; little-endian, `size` 1, 2 or 4 bytes. Bits in neither mask are read-only. */
struct reg_desc {
	const char *name; /* as the data sheet has it */
	uint16_t off;
	uint8_t size;
	uint32_t reset;
	uint32_t write; /* bits that take what is written */
	uint32_t w1c;	/* bits that a written 1 clears */
	uint32_t live;	/* bits the device itself changes, besides */
};

struct reg_file {
	uint8_t val[REG_FILE_BYTES]; /* the only part that is state */
	uint8_t reset[REG_FILE_BYTES];
	uint8_t write[REG_FILE_BYTES];
	uint8_t w1c[REG_FILE_BYTES];
	uint8_t live[REG_FILE_BYTES];
};

/* Describe `n` registers (later ones replace earlier ones) and put them at their reset values. */
void reg_file_add(struct reg_file *f, const struct reg_desc *descs, size_t n);
/* Everything back to its reset value. */
void reg_file_reset(struct reg_file *f);
/*
 * Guest accesses: any offset and a size of 1 to 8; bytes past the end read as ones and drop what is
 * written.
 */
uint64_t reg_file_read(const struct reg_file *f, uint32_t off, unsigned size);
void reg_file_write(struct reg_file *f, uint32_t off, uint64_t val, unsigned size);
/*
 * After val[] was loaded from saved state: -EINVAL if a bit that never changes (in no mask) differs
 * from its reset value.
 */
int reg_file_check(const struct reg_file *f) MUST_CHECK;

/* The owner's own accesses: no masks. Offsets are constants of the owner's, in range. */
uint8_t reg_get8(const struct reg_file *f, uint32_t off);
uint16_t reg_get16(const struct reg_file *f, uint32_t off);
uint32_t reg_get32(const struct reg_file *f, uint32_t off);
void reg_set8(struct reg_file *f, uint32_t off, uint8_t v);
void reg_set16(struct reg_file *f, uint32_t off, uint16_t v);
void reg_set32(struct reg_file *f, uint32_t off, uint32_t v);

/* True when [off, off + size) touches [reg, reg + len). */
static inline bool reg_hit(uint32_t off, unsigned size, uint32_t reg, uint32_t len)
{
	return off < reg + len && reg < off + size;
}

#endif
