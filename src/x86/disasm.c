// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text of a decoded instruction, Intel syntax.
 * Source: Intel SDM vol. 2A §3.1.1.
 * Threads: any; writes only to the caller's buffer.
 */
#include "x86/disasm.h"

#include "x86/state.h"

struct text {
	char *buf;
	size_t size, len;
};

static void put_char(struct text *t, char c)
{
	if (t->len + 1 < t->size)
		t->buf[t->len++] = c;
}

static void put(struct text *t, const char *s)
{
	while (*s)
		put_char(t, *s++);
}

static void put_dec(struct text *t, unsigned v)
{
	if (v >= 10)
		put_dec(t, v / 10);
	put_char(t, (char)('0' + v % 10));
}

static void put_hex(struct text *t, uint64_t v)
{
	unsigned shift = 60;

	put(t, "0x");
	while (shift && !(v >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		put_char(t, "0123456789abcdef"[v >> shift & 15]);
		if (!shift)
			break;
	}
}

static uint64_t mask_to(uint64_t v, unsigned bytes)
{
	return bytes >= 8 ? v : v & ((1ull << bytes * 8) - 1);
}

/* ---- Mnemonic ----------------------------------------------------------------------------------
 */

static const char cc_text[16][4] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
				    "s", "ns", "p", "np", "l", "ge", "le", "g"};

/* Operations whose name depends on the operand size: 16, 32, 64 bits. */
static const struct {
	uint16_t op;
	const char *name[3];
} sized[] = {
	{X86_OP_CBW, {"cbw", "cwde", "cdqe"}},		{X86_OP_CWD, {"cwd", "cdq", "cqo"}},
	{X86_OP_PUSHF, {"pushfw", "pushfd", "pushfq"}}, {X86_OP_POPF, {"popfw", "popfd", "popfq"}},
	{X86_OP_PUSHA, {"pushaw", "pushad", "pushad"}}, {X86_OP_POPA, {"popaw", "popad", "popad"}},
	{X86_OP_IRET, {"iretw", "iretd", "iretq"}},
};

static bool is_string(uint16_t op)
{
	switch (op) {
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_LODS:
	case X86_OP_SCAS:
	case X86_OP_CMPS:
	case X86_OP_INS:
	case X86_OP_OUTS:
		return true;
	}
	return false;
}

static unsigned string_size(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nopds; i++)
		if (in->opd[i].kind == X86_OPD_STR_SRC || in->opd[i].kind == X86_OPD_STR_DST)
			return in->opd[i].size;
	return 1;
}

static void put_mnemonic(struct text *t, const struct x86_insn *in)
{
	static const char *const jcxz[3] = {"jcxz", "jecxz", "jrcxz"};
	const char *name = x86_op_name(in->op);

	if (in->flags & X86_IF_LOCK)
		put(t, "lock ");
	if (in->flags & X86_IF_REPNE)
		put(t, "repne ");
	else if (in->flags & X86_IF_REP)
		put(t, in->op == X86_OP_CMPS || in->op == X86_OP_SCAS ? "repe " : "rep ");
	for (size_t i = 0; i < sizeof(sized) / sizeof(sized[0]); i++)
		if (sized[i].op == in->op)
			name = sized[i].name[in->opsize / 4];
	if (in->op == X86_OP_JCXZ)
		name = jcxz[in->addrsize / 4];
	put(t, name);
	if (in->op == X86_OP_JCC || in->op == X86_OP_SETCC || in->op == X86_OP_CMOVCC)
		put(t, cc_text[in->cc & 15]);
	if (is_string(in->op)) {
		unsigned size = string_size(in);

		put_char(t, size == 1 ? 'b' : size == 2 ? 'w' : size == 4 ? 'd' : 'q');
	}
}

/* ---- Operands ----------------------------------------------------------------------------------
 */

static void put_gpr(struct text *t, unsigned reg, unsigned size)
{
	static const char word[8][3] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};

	if (reg >= 8) {
		put_char(t, 'r');
		put_dec(t, reg);
		put(t, size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "");
		return;
	}
	if (size == 1) {
		put_char(t, word[reg][0]);
		if (reg >= 4)
			put_char(t, word[reg][1]);
		put_char(t, 'l');
		return;
	}
	if (size > 2)
		put_char(t, size == 4 ? 'e' : 'r');
	put(t, word[reg]);
}

static const char seg_text[SEG_COUNT][3] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void put_reg(struct text *t, const struct x86_operand *o)
{
	static const char *const prefix[] = {
		[X86_RC_GPR] = "",   [X86_RC_GPRH] = "",   [X86_RC_SEG] = "",
		[X86_RC_CR] = "cr",  [X86_RC_DR] = "dr",   [X86_RC_X87] = "st",
		[X86_RC_MMX] = "mm", [X86_RC_XMM] = "xmm", [X86_RC_YMM] = "ymm",
	};

	switch (o->rc) {
	case X86_RC_GPR:
		put_gpr(t, o->reg, o->size);
		return;
	case X86_RC_GPRH:
		put_char(t, "acdb"[o->reg & 3]);
		put_char(t, 'h');
		return;
	case X86_RC_SEG:
		put(t, o->reg < SEG_COUNT ? seg_text[o->reg] : "?");
		return;
	}
	put(t, prefix[o->rc]);
	put_dec(t, o->reg);
}

static void put_mem_size(struct text *t, unsigned size)
{
	static const struct {
		uint8_t size;
		const char *name;
	} names[] = {{1, "byte"},  {2, "word"},	  {4, "dword"},	   {6, "fword"},
		     {8, "qword"}, {10, "tbyte"}, {16, "xmmword"}, {32, "ymmword"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].size == size) {
			put(t, names[i].name);
			put(t, " ptr ");
		}
}

static void put_index(struct text *t, const struct x86_insn *in)
{
	if (in->flags & X86_IF_VSIB) {
		/* VPGATHERDQ and VGATHERDPD: 32-bit indexes for 64-bit elements, half as wide. */
		bool half = !(in->opcode & 1) && in->rex & 8;

		put(t, in->vex_l && !half ? "ymm" : "xmm");
		put_dec(t, in->index);
	} else {
		put_gpr(t, in->index, in->addrsize);
	}
	if (in->scale) {
		put_char(t, '*');
		put_dec(t, 1u << in->scale);
	}
}

static void put_mem(struct text *t, const struct x86_insn *in, unsigned size)
{
	bool plus = in->base != X86_NO_REG;
	bool neg = in->disp < 0;

	put_mem_size(t, size);
	if (in->seg_override) {
		put(t, in->seg < SEG_COUNT ? seg_text[in->seg] : "?");
		put_char(t, ':');
	}
	put_char(t, '[');
	if (in->base == X86_REG_RIP)
		put(t, in->addrsize == 8 ? "rip" : "eip");
	else if (plus)
		put_gpr(t, in->base, in->addrsize);
	if (in->index != X86_NO_REG) {
		if (plus)
			put_char(t, '+');
		put_index(t, in);
		plus = true;
	}
	if (!plus) {
		put_hex(t, mask_to((uint64_t)in->disp, in->addrsize));
	} else if (in->disp) {
		put_char(t, neg ? '-' : '+');
		put_hex(t, neg ? 0 - (uint64_t)in->disp : (uint64_t)in->disp);
	}
	put_char(t, ']');
}

static uint64_t ip_mask(const struct x86_insn *in, uint64_t ip)
{
	if (in->opsize == 2)
		return ip & 0xffff;
	return in->mode == X86_MODE_64 ? ip : ip & 0xffffffff;
}

static void put_operand(struct text *t, const struct x86_insn *in, const struct x86_operand *o,
			uint64_t rip)
{
	switch (o->kind) {
	case X86_OPD_REG:
		put_reg(t, o);
		break;
	case X86_OPD_MEM:
		put_mem(t, in, o->size);
		break;
	case X86_OPD_IMM:
		put_hex(t, mask_to(in->imm, in->imm_len == 1 && in->imm < 256 ? 1 : in->opsize));
		break;
	case X86_OPD_IMM2:
		put_hex(t, in->imm2);
		break;
	case X86_OPD_REL:
		put_hex(t, ip_mask(in, rip + in->len + in->imm));
		break;
	case X86_OPD_FAR:
		put_hex(t, in->imm2);
		put_char(t, ':');
		put_hex(t, in->imm);
		break;
	}
}

size_t x86_disasm(char *buf, size_t size, const struct x86_insn *insn, uint64_t rip)
{
	struct text t = {.buf = buf, .size = size};
	const char *sep = " ";

	put_mnemonic(&t, insn);
	for (unsigned i = 0; i < insn->nopds && i < 6; i++) {
		const struct x86_operand *o = &insn->opd[i];

		if (o->implicit)
			continue;
		put(&t, sep);
		put_operand(&t, insn, o, rip);
		sep = ", ";
	}
	if (size)
		buf[t.len] = 0;
	return t.len;
}
