// SPDX-License-Identifier: GPL-2.0-or-later
/* Registers as data: masked reads and writes of a small register file. See regs.h. */
#include "bus/regs.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

static void put(uint8_t *bytes, const struct reg_desc *d, uint32_t v)
{
	for (unsigned i = 0; i < d->size && d->off + i < REG_FILE_BYTES; i++)
		bytes[d->off + i] = (uint8_t)(v >> (8 * i));
}

void reg_file_add(struct reg_file *f, const struct reg_desc *descs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct reg_desc *d = &descs[i];

		put(f->reset, d, d->reset);
		put(f->val, d, d->reset);
		put(f->write, d, d->write);
		put(f->w1c, d, d->w1c);
		put(f->live, d, d->live);
	}
}

void reg_file_reset(struct reg_file *f)
{
	memcpy(f->val, f->reset, sizeof(f->val));
}

uint64_t reg_file_read(const struct reg_file *f, uint32_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++) {
		uint64_t b = range_ok(off, i + 1u, REG_FILE_BYTES) ? f->val[off + i] : 0xffu;

		v |= b << (8 * i);
	}
	return v;
}

void reg_file_write(struct reg_file *f, uint32_t off, uint64_t val, unsigned size)
{
	for (unsigned i = 0; i < size && range_ok(off, i + 1u, REG_FILE_BYTES); i++) {
		uint8_t b = (uint8_t)(val >> (8 * i));
		uint8_t *reg = &f->val[off + i];
		uint8_t mask = f->write[off + i];

		*reg = (uint8_t)((*reg & ~mask) | (b & mask));
		*reg &= (uint8_t) ~(b & f->w1c[off + i]);
	}
}

int reg_file_check(const struct reg_file *f)
{
	for (unsigned i = 0; i < REG_FILE_BYTES; i++) {
		uint8_t fixed = (uint8_t) ~(f->write[i] | f->w1c[i] | f->live[i]);

		if ((f->val[i] ^ f->reset[i]) & fixed)
			return -EINVAL;
	}
	return 0;
}

uint8_t reg_get8(const struct reg_file *f, uint32_t off)
{
	return f->val[off];
}

uint16_t reg_get16(const struct reg_file *f, uint32_t off)
{
	return ld_le16(&f->val[off]);
}

uint32_t reg_get32(const struct reg_file *f, uint32_t off)
{
	return ld_le32(&f->val[off]);
}

void reg_set8(struct reg_file *f, uint32_t off, uint8_t v)
{
	f->val[off] = v;
}

void reg_set16(struct reg_file *f, uint32_t off, uint16_t v)
{
	st_le16(&f->val[off], v);
}

void reg_set32(struct reg_file *f, uint32_t off, uint32_t v)
{
	st_le32(&f->val[off], v);
}
