// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the decoder and disassembler on any bytes in every mode. Run: make t T=fuzz/decode
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "x86/cpuid.h"
#include "x86/decode.h"
#include "x86/disasm.h"
#include "x86/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                       \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

static void check_operand(const struct x86_insn *in, const struct x86_operand *o)
{
	static const uint8_t regs[] = {
		[X86_RC_GPR] = 16, [X86_RC_GPRH] = 4, [X86_RC_SEG] = 6,
		[X86_RC_CR] = 16,  [X86_RC_DR] = 16,  [X86_RC_X87] = 8,
		[X86_RC_MMX] = 8,  [X86_RC_XMM] = 16, [X86_RC_YMM] = 16,
	};

	CHECK(o->kind != X86_OPD_NONE && o->kind <= X86_OPD_STR_DST);
	CHECK(o->access <= (X86_ACC_R | X86_ACC_W));
	if (o->kind == X86_OPD_REG) {
		CHECK(o->rc < sizeof(regs));
		CHECK(o->reg < regs[o->rc]);
		CHECK(in->mode == X86_MODE_64 || o->reg < 8 || o->rc == X86_RC_CR);
	}
	if (o->kind == X86_OPD_MEM)
		CHECK(o->size <= 512);
}

static void check_insn(const struct x86_insn *in, int len)
{
	CHECK(len >= 1 && len <= X86_MAX_INSN_BYTES && in->len == len);
	CHECK(in->op > X86_OP_INVALID && in->op < X86_OP_COUNT);
	CHECK(in->feature < X86_FEAT_COUNT);
	CHECK(in->opcode_off < len);
	if (in->flags & X86_IF_MODRM)
		CHECK(in->modrm_off > in->opcode_off && in->modrm_off < len);
	if (in->imm_len)
		CHECK(in->imm_off > in->opcode_off && in->imm_off + in->imm_len == len);
	CHECK(in->opsize == 2 || in->opsize == 4 || (in->opsize == 8 && in->mode == X86_MODE_64));
	CHECK(in->addrsize == 2 || in->addrsize == 4 ||
	      (in->addrsize == 8 && in->mode == X86_MODE_64));
	CHECK(in->seg < SEG_COUNT && in->scale < 4 && in->cc < 16);
	CHECK(in->base <= X86_NO_REG || in->base == X86_REG_RIP);
	CHECK(in->index <= X86_NO_REG);
	CHECK(in->nopds <= sizeof(in->opd) / sizeof(in->opd[0]));
	for (unsigned i = 0; i < in->nopds; i++)
		check_operand(in, &in->opd[i]);
}

static void check_text(const struct x86_insn *in)
{
	char full[X86_DISASM_MAX], cut[8];
	size_t n = x86_disasm(full, sizeof(full), in, 0x7fff00000000ull), c;

	CHECK(n > 0 && n < sizeof(full) - 1 && strlen(full) == n);
	c = x86_disasm(cut, sizeof(cut), in, 0x7fff00000000ull);
	CHECK(strlen(cut) == c && !memcmp(full, cut, c));
}

static void check_mode(const uint8_t *data, size_t size, enum x86_mode mode)
{
	struct x86_insn in, again;
	/* A copy that ends where the bytes end, so that the sanitizer sees a read past them. */
	uint8_t exact[X86_MAX_INSN_BYTES];
	size_t n = size < sizeof(exact) ? size : sizeof(exact);
	int len;

	memset(&in, 0, sizeof(in)); /* padding, for the comparison below */
	memset(&again, 0, sizeof(again));
	len = x86_decode(&in, data, size, mode);
	if (len <= 0) {
		CHECK(len == X86_DECODE_MORE || len == X86_DECODE_UD || len == X86_DECODE_LONG);
		CHECK(len != X86_DECODE_MORE || size < X86_MAX_INSN_BYTES);
		CHECK(len != X86_DECODE_LONG || size >= X86_MAX_INSN_BYTES);
		return;
	}
	check_insn(&in, len);
	check_text(&in);
	/* Every shorter string is the start of something longer; the bytes after do not matter. */
	for (int i = 0; i < len; i++)
		CHECK(x86_decode(&again, data, (size_t)i, mode) == X86_DECODE_MORE);
	memcpy(exact, data, n);
	memset(exact + len, 0xff, n - (size_t)len);
	CHECK(x86_decode(&again, exact, n, mode) == len);
	CHECK(!memcmp(&in, &again, sizeof(in)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned m = X86_MODE_16; m <= X86_MODE_64; m++) {
		check_mode(data, size, (enum x86_mode)m);
		check_mode(data, size, (enum x86_mode)(m | X86_MODE_INTEL));
	}
	return 0;
}
