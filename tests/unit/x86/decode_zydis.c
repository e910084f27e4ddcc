// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The decoder against Zydis: random byte strings in the three modes, same length, same refusal,
 * same operation, same operands. Run: make t T=x86/decode_zydis
 *
 * A fixed seed first, then a fresh one, which is printed. LODGE_SEED=N replays that seed alone,
 * LODGE_COUNT=N changes the number of strings (10,000,000).
 * What Zydis and this decoder see differently on purpose is in decode_zydis_known.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "splitmix.h"
#include "unit/x86/decode_zydis_known.h"
#include "x86/cpuid.h"
#include "x86/decode.h"
#include "x86/state.h"

#define FIXED_SEED 20240229u
#define DEFAULT_COUNT 10000000u
#define MAX_BYTES 16

/* ---- Random strings ----------------------------------------------------------------------------
 */

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	return splitmix64(&rnd_state);
}

static unsigned below(unsigned n)
{
	return (unsigned)((rnd() >> 32) * n >> 32);
}

static unsigned put_prefixes(uint8_t *b, enum x86_mode mode)
{
	static const uint8_t prefix[] = {0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf2, 0xf3,
					 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
	unsigned n = 0, want = below(8);

	want = want < 3 ? 0 : want < 6 ? 1 : want < 7 ? 2 : below(14);
	while (n < want) {
		b[n++] = prefix[below(sizeof(prefix))];
		if (mode == X86_MODE_64 && below(32) == 0)
			b[n++] = (uint8_t)(0x40 | below(16)); /* a REX that is ignored */
	}
	if (mode == X86_MODE_64 && below(3) == 0)
		b[n++] = (uint8_t)(0x40 | below(16));
	return n;
}

/* A string that is likely to be an instruction. */
static void make_likely(uint8_t *b, enum x86_mode mode)
{
	unsigned kind = below(8), n = kind < 6 || below(8) == 0 ? put_prefixes(b, mode) : 0;
	uint8_t vvvv = below(2) ? 0x78 : (uint8_t)(below(16) << 3);

	if (n > MAX_BYTES - 5)
		return;
	if (kind == 2 || kind == 3) {
		b[n++] = 0x0f;
	} else if (kind == 4) {
		b[n++] = 0x0f;
		b[n++] = 0x38;
	} else if (kind == 5) {
		b[n++] = 0x0f;
		b[n++] = 0x3a;
	} else if (kind == 6) {
		b[n++] = 0xc5;
		b[n++] = (uint8_t)((b[MAX_BYTES - 1] & 0x87) | vvvv |
				   (mode == X86_MODE_64 ? 0 : 0xc0));
	} else if (kind == 7) {
		b[n++] = 0xc4;
		b[n] = (uint8_t)((b[n] & 0xe0) | (below(32) ? 1 + below(3) : below(32)));
		if (mode != X86_MODE_64)
			b[n] |= 0xc0;
		n++;
		b[n] = (uint8_t)((b[n] & 0x87) | vvvv);
	}
}

static size_t make_string(uint8_t b[MAX_BYTES], enum x86_mode mode)
{
	uint64_t r[2] = {rnd(), rnd()};

	memcpy(b, r, MAX_BYTES);
	if (below(8))
		make_likely(b, mode);
	return below(8) ? MAX_BYTES : 1 + below(MAX_BYTES);
}

/* ---- Comparison --------------------------------------------------------------------------------
 */

/* What each Zydis register is here: class in the high byte, number in the low one. */
static uint16_t reg_map[ZYDIS_REGISTER_MAX_VALUE + 1];

static void map_regs(unsigned first, unsigned n, unsigned rc, unsigned size)
{
	for (unsigned i = 0; i < n; i++)
		reg_map[first + i] = (uint16_t)(rc << 12 | (size & 0x7f) << 5 | i);
}

static void fill_reg_map(void)
{
	map_regs(ZYDIS_REGISTER_AL, 4, X86_RC_GPR, 1);
	map_regs(ZYDIS_REGISTER_AH, 4, X86_RC_GPRH, 1);
	for (unsigned i = 0; i < 12; i++) /* SPL … DIL, R8B … R15B follow AH … BH */
		reg_map[ZYDIS_REGISTER_SPL + i] = (uint16_t)(X86_RC_GPR << 12 | 1 << 5 | (i + 4));
	map_regs(ZYDIS_REGISTER_AX, 16, X86_RC_GPR, 2);
	map_regs(ZYDIS_REGISTER_EAX, 16, X86_RC_GPR, 4);
	map_regs(ZYDIS_REGISTER_RAX, 16, X86_RC_GPR, 8);
	map_regs(ZYDIS_REGISTER_ST0, 8, X86_RC_X87, 10);
	map_regs(ZYDIS_REGISTER_MM0, 8, X86_RC_MMX, 8);
	map_regs(ZYDIS_REGISTER_XMM0, 16, X86_RC_XMM, 16);
	map_regs(ZYDIS_REGISTER_YMM0, 16, X86_RC_YMM, 32);
	map_regs(ZYDIS_REGISTER_ES, 6, X86_RC_SEG, 2);
	map_regs(ZYDIS_REGISTER_CR0, 16, X86_RC_CR, 0);
	map_regs(ZYDIS_REGISTER_DR0, 16, X86_RC_DR, 0);
}

static uint16_t our_reg(const struct x86_operand *o)
{
	unsigned size = o->rc == X86_RC_CR || o->rc == X86_RC_DR ? 0 : o->size;

	return (uint16_t)((unsigned)o->rc << 12 | size << 5 | o->reg);
}

static const char *cmp_mem(const struct x86_insn *in, const struct x86_operand *o,
			   const ZydisDecodedOperand *z)
{
	static const ZydisRegister gpr[3] = {ZYDIS_REGISTER_AX, ZYDIS_REGISTER_EAX,
					     ZYDIS_REGISTER_RAX};
	ZydisRegister first = gpr[in->addrsize / 4];
	ZydisRegister base = ZYDIS_REGISTER_NONE, index = ZYDIS_REGISTER_NONE;
	unsigned scale = 0;
	/* moffs16 and moffs32 are zero-extended here, displacements sign-extended by both. */
	int64_t disp = in->flags & X86_IF_MODRM || in->addrsize == 8 ? in->disp
		       : in->addrsize == 2			     ? (int16_t)in->disp
								     : (int32_t)in->disp;

	if (z->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return "operand kind";
	if (in->base == X86_REG_RIP)
		base = in->addrsize == 8 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_EIP;
	else if (in->base != X86_NO_REG)
		base = first + in->base;
	if (in->index != X86_NO_REG) {
		index = first + in->index;
		scale = 1u << in->scale;
		if (in->flags & X86_IF_VSIB)
			index = z->mem.index >= ZYDIS_REGISTER_YMM0
					? ZYDIS_REGISTER_YMM0 + in->index
					: ZYDIS_REGISTER_XMM0 + in->index;
	}
	if (z->mem.segment - ZYDIS_REGISTER_ES != in->seg)
		return "segment";
	if (z->mem.base != base)
		return "base";
	if (z->mem.index != index)
		return "index";
	if (index != ZYDIS_REGISTER_NONE && z->mem.scale != scale)
		return "scale";
	if (z->mem.disp.value != disp)
		return "displacement";
	if (o->size && z->mem.type != ZYDIS_MEMOP_TYPE_AGEN && o->size * 8u != z->size)
		return "memory size";
	return NULL;
}

static const char *cmp_imm(const struct x86_insn *in, const struct x86_operand *o,
			   const ZydisDecodedOperand *z)
{
	uint64_t ours = o->kind == X86_OPD_IMM2 ? in->imm2 : in->imm, theirs = z->imm.value.u;
	uint64_t mask = in->opsize == 8 ? ~0ull : (1ull << in->opsize * 8) - 1;

	if (o->kind == X86_OPD_FAR) {
		if (z->type != ZYDIS_OPERAND_TYPE_POINTER)
			return "operand kind";
		return z->ptr.segment != in->imm2 || z->ptr.offset != in->imm ? "far pointer"
									      : NULL;
	}
	if (z->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return "operand kind";
	if (z->imm.is_relative != (o->kind == X86_OPD_REL))
		return "operand kind";
	if (o->size == 1 && !z->imm.is_relative && in->imm_len == 1 && in->imm < 256)
		mask = 0xff;
	if (in->op == X86_OP_RET || in->op == X86_OP_RET_FAR || in->op == X86_OP_ENTER)
		mask = 0xffff;
	return (ours & mask) != (theirs & mask) ? "immediate" : NULL;
}

static const char *cmp_access(const struct x86_operand *o, const ZydisDecodedOperand *z)
{
	unsigned theirs = 0;

	if (z->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		theirs |= X86_ACC_R;
	if (z->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		theirs |= X86_ACC_W;
	if (z->actions & ZYDIS_OPERAND_ACTION_CONDWRITE)
		theirs |= X86_ACC_R;
	return theirs != o->access ? "access" : NULL;
}

static const char *cmp_string_mem(const struct x86_insn *in, const struct x86_operand *o,
				  const ZydisDecodedOperand *z)
{
	bool src = o->kind == X86_OPD_STR_SRC;

	if (z->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return "operand kind";
	if (z->mem.segment - ZYDIS_REGISTER_ES != (src ? in->seg : 0u))
		return "segment";
	return z->size != o->size * 8u ? "memory size" : NULL;
}

static const char *cmp_operand(const struct x86_insn *in, const struct x86_operand *o,
			       const ZydisDecodedOperand *z)
{
	const char *r;

	switch (o->kind) {
	case X86_OPD_REG:
		if (z->type != ZYDIS_OPERAND_TYPE_REGISTER)
			return "operand kind";
		if (reg_map[z->reg.value] != our_reg(o))
			return "register";
		return cmp_access(o, z);
	case X86_OPD_MEM:
		r = cmp_mem(in, o, z);
		return r ? r : cmp_access(o, z);
	case X86_OPD_STR_SRC:
	case X86_OPD_STR_DST:
		return cmp_string_mem(in, o, z);
	default:
		return cmp_imm(in, o, z);
	}
}

/* Is there an operand of ours, from the first implicit one on, that is Zydis's hidden `z`? */
static bool have_implicit(const struct x86_insn *in, unsigned first, const ZydisDecodedOperand *z)
{
	for (unsigned j = first; j < in->nopds; j++)
		if (!cmp_operand(in, &in->opd[j], z))
			return true;
	return false;
}

/* Hidden operands that must be among our implicit ones: memory, and what a host instruction uses.
 */
static bool must_have(const struct x86_insn *in, const ZydisDecodedOperand *z)
{
	if (z->type == ZYDIS_OPERAND_TYPE_MEMORY) /* but the stack is understood */
		return z->mem.segment != ZYDIS_REGISTER_SS;
	if (z->type != ZYDIS_OPERAND_TYPE_REGISTER || !(in->flags & X86_IF_HOST))
		return false;
	switch (reg_map[z->reg.value] >> 12) {
	case X86_RC_GPR:
		return reg_map[z->reg.value] != 0;
	case X86_RC_XMM:
		return true;
	}
	return false;
}

static const char *cmp_implicit(const struct x86_insn *in, unsigned first,
				const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *z)
{
	for (unsigned i = 0; i < zi->operand_count; i++)
		if (z[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && must_have(in, &z[i]) &&
		    !have_implicit(in, first, &z[i]))
			return "hidden operand missing";
	for (unsigned j = first; j < in->nopds; j++) {
		bool found = false;

		if (!in->opd[j].implicit)
			return "more operands";
		if (in->opd[j].kind == X86_OPD_REG &&
		    (!(in->flags & X86_IF_HOST) || in->opd[j].rc == X86_RC_X87))
			continue; /* described more finely by Zydis */
		for (unsigned i = 0; i < zi->operand_count && !found; i++)
			found = z[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
				!cmp_operand(in, &in->opd[j], &z[i]);
		if (!found)
			return "implicit operand";
	}
	return NULL;
}

static const char *cmp_operands(const struct x86_insn *in, const ZydisDecodedInstruction *zi,
				const ZydisDecodedOperand *z)
{
	unsigned j = 0;

	for (unsigned i = 0; i < zi->operand_count_visible; i++) {
		const char *r;

		if (j >= in->nopds)
			return "fewer operands";
		r = cmp_operand(in, &in->opd[j++], &z[i]);
		if (r && !known_difference(in, zi, r))
			return r;
	}
	return cmp_implicit(in, j, zi, z);
}

static const char *cmp_flags(const struct x86_insn *in, const ZydisDecodedInstruction *zi)
{
	if (!(in->flags & X86_IF_LOCK) != !(zi->attributes & ZYDIS_ATTRIB_HAS_LOCK))
		return "lock";
	if (!(in->flags & X86_IF_PRIV) != !(zi->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED))
		return "privileged";
	if (in->flags & X86_IF_MODRM &&
	    (in->modrm_off != zi->raw.modrm.offset || in->modrm >> 6 != zi->raw.modrm.mod))
		return "modrm";
	if (in->imm_len && zi->raw.imm[0].size && in->imm_off != zi->raw.imm[0].offset)
		return "immediate offset";
	if (in->opcode != zi->opcode)
		return "opcode";
	if (in->addrsize * 8 != zi->address_width)
		return "address size";
	return NULL;
}

static const char *compare(const struct x86_insn *in, const ZydisDecodedInstruction *zi,
			   const ZydisDecodedOperand *z)
{
	const char *r;

	if (!known_same_name(in, zi))
		return "mnemonic";
	if (!known_other_operands(in, zi)) {
		r = cmp_operands(in, zi, z);
		if (r)
			return r;
	}
	r = cmp_flags(in, zi);
	if (!r && !known_same_feature(in, zi))
		r = "feature";
	if (!r && !known_same_alignment(in, zi))
		r = "alignment";
	return r && !known_difference(in, zi, r) ? r : NULL;
}

/* ---- The run -----------------------------------------------------------------------------------
 */

struct tally {
	char what[96];
	uint8_t bytes[MAX_BYTES];
	size_t len;
	enum x86_mode mode;
	uint64_t count;
};

#define MAX_TALLIES 400
static struct tally tallies[MAX_TALLIES];
static unsigned ntallies;

static void note(const char *what, const char *mnemonic, const uint8_t *b, size_t len,
		 enum x86_mode mode)
{
	char key[96];

	snprintf(key, sizeof(key), "%s: %s", mnemonic, what);
	for (unsigned i = 0; i < ntallies; i++)
		if (!strcmp(tallies[i].what, key)) {
			tallies[i].count++;
			return;
		}
	if (ntallies == MAX_TALLIES)
		return;
	strcpy(tallies[ntallies].what, key);
	memcpy(tallies[ntallies].bytes, b, len);
	tallies[ntallies].len = len;
	tallies[ntallies].mode = mode;
	tallies[ntallies++].count = 1;
}

static ZydisDecoder decoders[X86_MODE_INTEL | 3];

static void one(const uint8_t *b, size_t len, enum x86_mode mode)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand z[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecoderContext ctx;
	struct x86_insn in;
	int ours = x86_decode(&in, b, len, mode);
	ZyanStatus st = ZydisDecoderDecodeInstruction(&decoders[mode], &ctx, b, len, &zi);
	const char *r;

	if (!ZYAN_SUCCESS(st)) {
		if (ours > 0 && !known_zydis_refuses(&in))
			note(st == ZYDIS_STATUS_NO_MORE_DATA ? "zydis wants more" : "zydis refuses",
			     x86_op_name(in.op), b, len, mode);
		return;
	}
	if (ours <= 0) {
		if (!known_refused(&in, &zi))
			note(ours == X86_DECODE_MORE ? "we want more" : "we refuse",
			     ZydisMnemonicGetString(zi.mnemonic), b, len, mode);
		return;
	}
	if (ours != zi.length) {
		if (!known_refused(&in, &zi))
			note("length", ZydisMnemonicGetString(zi.mnemonic), b, len, mode);
		return;
	}
	ZydisDecoderDecodeOperands(&decoders[mode], &ctx, &zi, z, zi.operand_count);
	r = compare(&in, &zi, z);
	if (r)
		note(r, ZydisMnemonicGetString(zi.mnemonic), b, len, mode);
}

static void run(uint64_t seed, uint64_t count)
{
	rnd_state = seed;
	for (uint64_t i = 0; i < count; i++) {
		uint8_t b[MAX_BYTES];
		enum x86_mode mode = below(4) < 2 ? X86_MODE_64
				     : below(2)	  ? X86_MODE_32
						  : X86_MODE_16;
		size_t len = make_string(b, mode);

		one(b, len, mode);
		one(b, len, mode | X86_MODE_INTEL);
	}
}

static void decode_when_random_bytes_expect_as_zydis(void **state)
{
	const char *env_seed = getenv("LODGE_SEED"), *env_count = getenv("LODGE_COUNT");
	uint64_t count = env_count ? strtoull(env_count, NULL, 0) : DEFAULT_COUNT;
	struct timespec now;

	(void)state;
	fill_reg_map();
	for (unsigned i = 0; i < 6; i++) {
		static const ZydisMachineMode mode[] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
							ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
							ZYDIS_MACHINE_MODE_LONG_64};
		static const ZydisStackWidth width[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
							ZYDIS_STACK_WIDTH_64};
		unsigned m = i % 3 | (i < 3 ? 0 : X86_MODE_INTEL);

		ZydisDecoderInit(&decoders[m], mode[i % 3], width[i % 3]);
		/* CET and MPX are NOPs. */
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_AMD_BRANCHES,
				       !(m & X86_MODE_INTEL));
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
	if (env_seed) {
		run(strtoull(env_seed, NULL, 0), count);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		run(FIXED_SEED, count / 2);
		print_message("fresh seed: LODGE_SEED=%llu\n", (unsigned long long)now.tv_nsec);
		run((uint64_t)now.tv_nsec, count - count / 2);
	}
	for (unsigned i = 0; i < ntallies; i++) {
		const struct tally *t = &tallies[i];

		print_message("%8llu  %-40s %d:", (unsigned long long)t->count, t->what,
			      16 << (t->mode & 3));
		for (size_t k = 0; k < t->len; k++)
			print_message(" %02x", t->bytes[k]);
		print_message("\n");
	}
	assert_int_equal(ntallies, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_when_random_bytes_expect_as_zydis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
