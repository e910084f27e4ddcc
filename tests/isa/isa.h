/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of instructions: the records that isa.inc assembles, and the machine that runs one test on
 * an engine. What a test file says is explained in isa.c.
 */
#ifndef LODGE_TESTS_ISA_H
#define LODGE_TESTS_ISA_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

#define ISA_CODE 0x10000000u
#define ISA_DATA 0x20000000u
#define ISA_CODE_BYTES 0x2000u
#define ISA_DATA_BYTES 0x2000u /* mapped in protected mode */
#define ISA_DATA_REAL 0x10000u /* a whole segment in real mode */
#define ISA_XSAVE_BYTES 832u

/* Records of the section isa_tests, in the order a test has them. */
enum isa_kind {
	ISA_END,
	ISA_FAMILY,
	ISA_CASE,
	ISA_INIT,
	ISA_INIT_SEG,
	ISA_INIT_MEM,
	ISA_CODE_BYTES_HERE,
	ISA_WANT,
	ISA_WANT_FLAGS,
	ISA_SAME_FLAGS,
	ISA_WANT_MEM,
	ISA_WANT_FAULT,
	ISA_WANT_END,
	ISA_NEED,
	ISA_CPU,
	ISA_ONLY,
};

struct isa_rec {
	uint8_t kind, arg;
	uint16_t arg2;
	uint32_t len;
	uint64_t val[]; /* or bytes */
};

enum isa_mode { ISA_64, ISA_32, ISA_16, ISA_REAL, ISA_K64, ISA_K32 };

/* Registers by number, as isa.inc has them; 0 to 15 are the general ones. */
enum {
	ISA_REG_FLAGS = 16,
	ISA_REG_MXCSR,
	ISA_REG_FCW,
	ISA_REG_FSW,
	ISA_REG_FTW,
	ISA_REG_CR0,
	ISA_REG_CR4,
	ISA_REG_EFER,
	ISA_REG_XCR0,
	ISA_REG_XMM = 32,
	ISA_REG_YMM = 64,
	ISA_REG_ST = 96,
};

/* What a test sees of a processor, before and after. */
struct isa_state {
	uint64_t gpr[16], rip, rflags;
	uint8_t xsave[ISA_XSAVE_BYTES]; /* standard format */
	uint8_t data[ISA_DATA_REAL];
	/* After only: why it stopped. */
	uint8_t vector;
	uint32_t error;
	uint64_t cr2;
};

struct isa_test {
	const char *family, *name, *model;
	enum isa_mode mode;
	const uint8_t *code;
	uint32_t code_off, code_len;
	const struct isa_rec *first; /* after ISA_CASE */
	struct isa_state in;
	bool flags_given;
};

/* How a test's mode is reached. */
enum isa_variant {
	ISA_LONG,   /* long mode, or compatibility mode */
	ISA_LEGACY, /* protected mode without long mode, 32-bit paging */
	ISA_PLAIN,  /* real mode */
	ISA_V86,
};

struct isa_vm;
/* An engine, and how it is set up. */
struct isa_engine {
	const char *name;
	const struct engine_ops *ops;
	unsigned tier; /* of the software engine */
	bool check;    /* both, in lockstep */
};
struct isa_vm *isa_vm_new(const struct isa_engine *engine, const char *model);
void isa_vm_free(struct isa_vm *vm);
const struct x86_cpuid *isa_vm_cpuid(const struct isa_vm *vm);
/* Run one test from t->in. NULL, or why the engine did not stop at an exception. */
const char *isa_vm_run(struct isa_vm *vm, const struct isa_test *t, enum isa_variant how,
		       struct isa_state *out);

/* The next record. */
static inline const struct isa_rec *isa_next(const struct isa_rec *r)
{
	return (const void *)((const uint8_t *)r->val + ((r->len + 7u) & ~7u));
}

#endif
