/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which registers GDB sees, their description in XML, and their values. Threads: the owner's.
 */
#ifndef LODGE_GDB_REGS_H
#define LODGE_GDB_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/debug.h"

#define GDB_REGS_MAX 128u
#define GDB_REG_BYTES 16u

enum gdb_reg_kind {
	GDB_REG_GPR,
	GDB_REG_IP,
	GDB_REG_FLAGS,
	GDB_REG_SEL,
	GDB_REG_ST,
	GDB_REG_X87, /* at: place in gdb's list, fctrl to fop */
	GDB_REG_XMM,
	GDB_REG_MXCSR,
	GDB_REG_YMMH,
	GDB_REG_SEGBASE,
	GDB_REG_KGSBASE,
	GDB_REG_CR,
	GDB_REG_EFER,
};

struct gdb_reg {
	enum gdb_reg_kind kind;
	uint8_t at, bytes;
};

struct gdb_regs {
	bool amd64;
	unsigned n;
	struct gdb_reg reg[GDB_REGS_MAX];
	char *xml; /* target.xml */
	size_t xml_len, xml_cap;
};

/* The registers of a machine whose processor may be in 64-bit mode, or never is. -ENOMEM. */
int gdb_regs_init(struct gdb_regs *r, bool amd64, bool avx) MUST_CHECK;
void gdb_regs_free(struct gdb_regs *r);
/* Register `i`'s value, reg[i].bytes of it, as the guest has it. */
void gdb_reg_read(const struct gdb_regs *r, unsigned i, const struct x86_state *s, uint8_t cr8,
		  uint8_t *out);
/* 1: changed; 0: it was so; -EINVAL: it cannot be that. */
int gdb_reg_write(const struct gdb_regs *r, unsigned i, struct x86_state *s, uint8_t cr8,
		  const uint8_t *in);

#endif
