/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running the machine of sys_machine.h to a halt and looking at its stack, for cmocka programs. */
#ifndef LODGE_TESTS_SYS_ENV_H
#define LODGE_TESTS_SYS_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sys_machine.h"

/* ---- Running -------------------------------------------------------------------------------- */

/* Code at the current CS:IP, followed by HLT. */
#define env_code(...)                                                                  \
	do {                                                                           \
		const uint8_t bytes_[] = {__VA_ARGS__, 0xf4};                          \
                                                                                       \
		memcpy(R +                                                             \
			       (S->efer & EFER_LMA && S->seg[SEG_CS].attr & SEG_ATTR_L \
					? 0                                            \
					: S->seg[SEG_CS].base) +                       \
			       S->rip,                                                 \
		       bytes_, sizeof(bytes_));                                        \
	} while (0)

/* Run to HLT (or shutdown: -2). The vector whose handler halted, or -1 for any other place. */
static int env_run(void)
{
	enum engine_exit e;
	uint64_t at;

	mem_wrote(env_mem, 0, 0x110000);
	engine_soft.state_changed(env_vcpu);
	e = engine_soft.run(env_vcpu);
	if (e == ENGINE_EXIT_SHUTDOWN)
		return -2;
	assert_int_equal(e, ENGINE_EXIT_HALT);
	at = S->seg[SEG_CS].base * !(S->efer & EFER_LMA && S->seg[SEG_CS].attr & SEG_ATTR_L) +
	     S->rip;
	if (at < A_HANDLERS || at >= A_HANDLERS + 256 * 16)
		return -1;
	return (int)((at - A_HANDLERS) / 16);
}

/* Slot `i` of the stack the vCPU stopped on. */
static uint64_t slot64(unsigned i)
{
	return ld_le64(R + S->gpr[R_RSP] + 8 * i);
}

static uint32_t slot32(unsigned i)
{
	return ld_le32(R + S->seg[SEG_SS].base + (S->gpr[R_RSP] & 0xffffffff) + 4 * i);
}

static uint16_t slot16(unsigned i)
{
	return ld_le16(R + S->seg[SEG_SS].base + (S->gpr[R_RSP] & 0xffff) + 2 * i);
}

/* Run and expect `vector` with `error` on top of the stack (32- or 64-bit slot by mode). */
#define expect_fault(vector, error)                                                 \
	do {                                                                        \
		assert_int_equal(env_run(), vector);                                \
		assert_int_equal(S->efer &EFER_LMA ? slot64(0) : slot32(0), error); \
	} while (0)
#define expect_done() assert_int_equal(env_run(), -1)

#endif
