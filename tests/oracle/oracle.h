/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host CPU as the oracle: one instruction with one register and memory state is run on the real
 * processor (host.c, a child process) and on the engine (soft.c); everything visible is compared.
 */
#ifndef LODGE_TESTS_ORACLE_H
#define LODGE_TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "splitmix.h"
#include "x86/cpuid.h"
#include "x86/decode.h"

/* The same user-space layout on both sides; everything around is unmapped. */
#define ORACLE_CODE 0x10000000ull
#define ORACLE_DATA 0x20000000ull
#define ORACLE_CODE_BYTES 0x2000u
#define ORACLE_DATA_BYTES 0x2000u
#ifndef ORACLE_WINDOW	   /* tests/isa has longer code and names all data */
#define ORACLE_WINDOW 512u /* random bytes around the middle of the data, where pages meet */
#define ORACLE_CODE_MAX 256u
#define ORACLE_GS_BASE 0x40u
#else
#define ORACLE_GS_BASE 0u
#endif
#define ORACLE_INSN_MAX 24u /* random bytes an instruction is made of */
#define ORACLE_XSAVE_BYTES 832u

struct oracle_state {
	uint64_t gpr[16], rip, rflags;
	uint8_t xsave[ORACLE_XSAVE_BYTES]; /* standard format */
};

struct oracle_result {
	struct oracle_state s;
	uint8_t vector;
	uint32_t error;
	uint64_t cr2; /* valid for #PF */
	uint8_t data[ORACLE_DATA_BYTES];
};

enum oracle_kind {
	ORACLE_STEP, /* one instruction under TF */
	ORACLE_RUN,  /* one instruction, INT3 all around */
	ORACLE_SEQ,  /* several, with branches among them */
	ORACLE_KINDS
};

/* host.vector: it did not end. */
#define ORACLE_NO_END 0xfe

struct oracle_test {
	uint8_t kind; /* enum oracle_kind */
	uint8_t mode; /* enum x86_mode */
	uint8_t code[ORACLE_CODE_MAX];
	uint32_t code_off; /* in the code pages */
	struct oracle_state in;
	uint8_t window[ORACLE_WINDOW];
	struct oracle_result host; /* filled by host_run */
};

/* As the host's processor would. */
int oracle_decode(const struct oracle_test *t, struct x86_insn *insn, const uint8_t *code,
		  size_t avail);

/* gen.c: test number `n` of `seed`. False: this one must not run on the host (why is counted). */
bool gen_test(struct oracle_test *t, uint64_t seed, uint64_t n, struct x86_insn *insn, int *len);
/* seq.c: the same for ORACLE_SEQ; *len is that of all instructions, *insn the last one. */
bool seq_test(struct oracle_test *t, uint64_t seed, uint64_t n, struct x86_insn *insn, int *len);
/* Name of the family an instruction belongs to, for the counts. */
const char *gen_family(const struct x86_insn *insn, int len);
unsigned gen_family_index(const struct x86_insn *insn, int len);
unsigned gen_families(void);
const char *gen_family_name(unsigned index);
/* Arithmetic flags that the manuals leave undefined and processors differ on. */
uint64_t gen_undefined_flags(const struct x86_insn *insn, const struct oracle_test *t);

/* host.c: run `n` tests in the child process. False when the child died (at test *died). */
struct host;
struct host *host_start(unsigned batch);
struct oracle_test *host_tests(struct host *h);
bool host_run(struct host *h, unsigned n, unsigned *died);
void host_stop(struct host *h);
bool host_has_16bit(const struct host *h);

/* soft.c: run one test on the engine. False: the engine left for an unexpected reason. */
struct soft;
struct soft *soft_start(unsigned tier);
/* `again`: the code is there already, with whatever the engine made of it. */
bool soft_run_test(struct soft *s, const struct oracle_test *t, bool again,
		   struct oracle_result *out);
void soft_stop(struct soft *s);

#endif
