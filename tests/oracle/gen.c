// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random instructions over the whole opcode map, with register states that make them reach their
 * memory, and the list of what cannot be compared with a host process.
 */
#include <string.h>

#include "oracle/gen_int.h"
#include "x86/cpuid.h"

#define MIDDLE (ORACLE_DATA_BYTES / 2)

/* ---- Bytes ---------------------------------------------------------------------------------- */

static unsigned put_prefixes(uint64_t *s, uint8_t *p, bool long_mode, bool vex)
{
	static const uint8_t seg[] = {0x26, 0x2e, 0x36, 0x3e};
	unsigned n = 0;

	if (chance(s, vex ? 1 : 18))
		p[n++] = 0x66;
	if (chance(s, 4))
		p[n++] = 0x67;
	if (chance(s, vex ? 1 : 9))
		p[n++] = 0xf3;
	if (chance(s, vex ? 1 : 8))
		p[n++] = 0xf2;
	if (chance(s, vex ? 1 : 4))
		p[n++] = 0xf0;
	if (chance(s, 2))
		p[n++] = seg[pick(s, sizeof(seg))];
	if (long_mode && !vex && chance(s, 45))
		p[n++] = (uint8_t)(0x40 | pick(s, 16));
	return n;
}

unsigned gen_put_vex(uint64_t *s, uint8_t *p)
{
	uint8_t vvvv = chance(s, 40) ? 15 : (uint8_t)pick(s, 16);
	uint8_t pp = (uint8_t)pick(s, 4), l = (uint8_t)pick(s, 2);
	uint8_t last = (uint8_t)(vvvv << 3 | l << 2 | pp);

	if (chance(s, 35)) {
		p[0] = 0xc5;
		p[1] = (uint8_t)(0x80 | (pick(s, 2) << 7) | last);
		return 2;
	}
	p[0] = 0xc4;
	p[1] = (uint8_t)(pick(s, 8) << 5 | (1 + pick(s, 3)));
	p[2] = (uint8_t)(pick(s, 2) << 7 | last);
	if (chance(s, 60))
		p[1] |= 0xe0;
	return 3;
}

/* Opcode bytes that deserve more than their share: ALU, SSE, 0F38, x87. */
unsigned gen_put_opcode(uint64_t *s, uint8_t *p)
{
	switch (pick(s, 10)) {
	case 0:
		p[0] = 0x0f;
		p[1] = 0x38;
		p[2] = (uint8_t)splitmix64(s);
		if (chance(s, 30))
			p[2] = (uint8_t)(0xf0 | pick(s, 16));
		return 3;
	case 1:
		p[0] = 0x0f;
		p[1] = 0x3a;
		p[2] = (uint8_t)splitmix64(s);
		return 3;
	case 2:
	case 3:
	case 4:
	case 5:
		p[0] = 0x0f;
		p[1] = (uint8_t)splitmix64(s);
		return 2;
	case 6:
		p[0] = (uint8_t)(0xd8 | pick(s, 8));
		return 1;
	default:
		p[0] = (uint8_t)splitmix64(s);
		return 1;
	}
}

static void make_code(uint64_t *s, struct oracle_test *t)
{
	bool vex = chance(s, 22);
	unsigned n;

	memset(t->code, 0xcc, sizeof(t->code));
	for (unsigned i = 0; i < ORACLE_INSN_MAX; i++)
		t->code[i] = (uint8_t)splitmix64(s);
	n = put_prefixes(s, t->code, t->mode == X86_MODE_64, vex);
	if (vex) {
		n += gen_put_vex(s, t->code + n);
		n++; /* the opcode stays random */
	} else {
		n += gen_put_opcode(s, t->code + n);
	}
	/* Small immediates and displacements are the interesting ones. */
	if (chance(s, 30)) {
		for (unsigned i = n + 2; i < ORACLE_INSN_MAX; i++)
			t->code[i] = chance(s, 50) ? 0 : (uint8_t)pick(s, 8);
	}
}

/* ---- Registers ------------------------------------------------------------------------------ */

static uint64_t interesting(uint64_t *s)
{
	static const uint64_t v[] = {0,
				     1,
				     2,
				     0x7f,
				     0x80,
				     0xff,
				     0x7fff,
				     0x8000,
				     0xffff,
				     0x7fffffff,
				     0x80000000,
				     0xffffffff,
				     0x7fffffffffffffff,
				     0x8000000000000000,
				     0xffffffffffffffff};

	switch (pick(s, 4)) {
	case 0:
		return v[pick(s, sizeof(v) / sizeof(v[0]))];
	case 1:
		return pick(s, 256);
	default:
		return splitmix64(s) >> pick(s, 64);
	}
}

static uint64_t interesting_float(uint64_t *s)
{
	static const uint64_t v[] = {0,
				     0x8000000000000000,
				     0x3ff0000000000000,
				     0xbff0000000000000,
				     0x7ff0000000000000,
				     0xfff0000000000000,
				     0x7ff8000000000000,
				     0x7ff0000000000001,
				     0x000fffffffffffff,
				     0x0000000000000001,
				     0x3f8000003f800000,
				     0x7f8000007f800001,
				     0x4330000000000000,
				     0x41dfffffffc00000,
				     0x7fefffffffffffff};

	if (chance(s, 40))
		return v[pick(s, sizeof(v) / sizeof(v[0]))];
	if (chance(s, 40)) /* numbers of moderate size */
		return (splitmix64(s) & 0x800fffffffffffff) | (0x3f0 + pick(s, 32)) << 52;
	return splitmix64(s);
}

static void put_u64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static void make_x87(uint64_t *s, uint8_t *x)
{
	uint16_t fcw = 0x37f, fsw = (uint16_t)(pick(s, 8) << 11);

	if (chance(s, 30))
		fcw = (uint16_t)(0x40 | (splitmix64(s) & 0xf00) | 0x3f);
	if (chance(s, 8))
		fcw = (uint16_t)(fcw & ~pick(s, 64));
	if (chance(s, 40))
		fsw |= (uint16_t)(splitmix64(s) & 0x4700);
	memcpy(x, &fcw, 2);
	memcpy(x + 2, &fsw, 2);
	x[4] = chance(s, 30) ? 0 : chance(s, 50) ? 0xff : (uint8_t)splitmix64(s);
	for (unsigned i = 0; i < 8; i++) {
		uint16_t exp = (uint16_t)(chance(s, 60) ? 0x3fe0 + pick(s, 64) : splitmix64(s));

		put_u64(x + 32 + 16 * i, splitmix64(s) | (chance(s, 85) ? 1ull << 63 : 0));
		if (chance(s, 10))
			exp = chance(s, 50) ? 0x7fff : 0;
		if (chance(s, 30))
			exp |= 0x8000;
		memcpy(x + 40 + 16 * i, &exp, 2);
	}
}

static void make_vectors(uint64_t *s, uint8_t *x)
{
	uint32_t mxcsr = 0x1f80;
	bool floats = chance(s, 60);

	if (chance(s, 35))
		mxcsr = (uint32_t)(0x1f80 | (splitmix64(s) & 0xe07f));
	if (chance(s, 8))
		mxcsr &= ~(uint32_t)(pick(s, 64) << 7);
	memcpy(x + 24, &mxcsr, 4);
	mxcsr = 0xffff;
	memcpy(x + 28, &mxcsr, 4);
	for (unsigned i = 0; i < 32; i++)
		put_u64(x + 160 + 8 * i, floats ? interesting_float(s) : interesting(s));
	for (unsigned i = 0; i < 32; i++)
		put_u64(x + 576 + 8 * i, floats ? interesting_float(s) : interesting(s));
}

/* An address in the window, often aligned, sometimes across the page end or out of the data. */
uint64_t gen_target(uint64_t *s, unsigned size)
{
	uint64_t off = MIDDLE - 128 + pick(s, 256 - 64);

	if (chance(s, 2))
		return chance(s, 50) ? pick(s, 0x10000)
				     : ORACLE_DATA + ORACLE_DATA_BYTES - pick(s, 64);
	if (chance(s, 60))
		off &= ~31ull;
	else if (chance(s, 50) && size)
		off &= ~(uint64_t)(size - 1);
	return ORACLE_DATA + off;
}

void gen_set_low(struct oracle_test *t, unsigned reg, uint64_t v)
{
	if (t->mode == X86_MODE_16)
		v = (t->in.gpr[reg] & ~0xffffull) | ((v - ORACLE_DATA) & 0xffff);
	t->in.gpr[reg] = v;
}

void gen_registers(uint64_t *s, struct oracle_test *t)
{
	uint64_t *g = t->in.gpr;

	for (unsigned i = 0; i < 16; i++)
		g[i] = interesting(s);
	gen_set_low(t, R_RSP, (gen_target(s, 8) & ~7ull) | (chance(s, 10) ? pick(s, 8) : 0));
	if (chance(s, 60)) {
		gen_set_low(t, R_RSI, gen_target(s, 8));
		gen_set_low(t, R_RDI, gen_target(s, 8));
	}
	if (chance(s, 50))
		gen_set_low(t, R_RBP, gen_target(s, 8));
	if (chance(s, 40))
		g[R_RCX] = pick(s, 80);
	if (chance(s, 20))
		g[R_RDX] = chance(s, 50) ? 0 : ~0ull;
	if (t->mode != X86_MODE_64) {
		for (unsigned i = 0; i < 8; i++)
			g[i] &= 0xffffffff;
		for (unsigned i = 8; i < 16; i++)
			g[i] = 0;
	}
	t->in.rflags = FLAG_FIXED | FLAG_IF | FLAG_TF | (splitmix64(s) & FLAGS_ARITH);
	if (chance(s, 25))
		t->in.rflags |= FLAG_DF;
	if (chance(s, 3))
		t->in.rflags |= FLAG_AC;
	make_x87(s, t->in.xsave);
	make_vectors(s, t->in.xsave);
	for (unsigned i = 0; i < ORACLE_WINDOW; i += 8)
		put_u64(t->window + i, chance(s, 40) ? interesting_float(s) : interesting(s));
}

/* ---- Pointing the memory operand at the data ------------------------------------------------ */

static void put_disp(struct oracle_test *t, unsigned off, uint64_t v, unsigned bytes)
{
	if (off + bytes <= ORACLE_INSN_MAX)
		memcpy(t->code + off, &v, bytes);
}

void gen_aim_vector_index(uint64_t *s, struct oracle_test *t, const struct x86_insn *in)
{
	for (unsigned i = 0; i < 2; i++) {
		put_u64(t->in.xsave + 160 + 16 * (in->index & 15) + 8 * i,
			pick(s, 8) | pick(s, 8) << 32);
		put_u64(t->in.xsave + 576 + 16 * (in->index & 15) + 8 * i,
			pick(s, 8) | pick(s, 8) << 32);
	}
}

static void aim(uint64_t *s, struct oracle_test *t, const struct x86_insn *in, uint64_t to)
{
	uint64_t *g = t->in.gpr, at = t->mode == X86_MODE_16 ? to - ORACLE_DATA : to;
	bool modrm = in->flags & X86_IF_MODRM;

	if (in->flags & X86_IF_VSIB) {
		gen_aim_vector_index(s, t, in);
		if (in->base < 16)
			g[in->base] = at - (uint64_t)in->disp;
	} else if (in->base == X86_REG_RIP) {
		put_disp(t, in->modrm_off + 1u, to - (t->in.rip + in->len), 4);
	} else if (in->base < 16) {
		uint64_t idx = in->index < 16 ? g[in->index] << in->scale : 0;

		if (in->base != in->index)
			g[in->base] = at - idx - (uint64_t)in->disp;
	} else if (in->index < 16) {
		g[in->index] = (at - (uint64_t)in->disp) >> in->scale;
	} else if (modrm) {
		put_disp(t, in->modrm_off + 1u + !!(in->flags & X86_IF_SIB), at,
			 in->addrsize == 2 ? 2 : 4);
	} else {
		put_disp(t, in->opcode_off + 1u, at, in->addrsize);
	}
	if (t->mode != X86_MODE_64) {
		for (unsigned i = 0; i < 8; i++)
			g[i] &= 0xffffffff;
	}
}

const struct x86_operand *gen_memory_operand(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nopds; i++) {
		if (in->opd[i].kind == X86_OPD_MEM)
			return &in->opd[i];
	}
	return NULL;
}

static void aim_operands(uint64_t *s, struct oracle_test *t, const struct x86_insn *in)
{
	const struct x86_operand *m = gen_memory_operand(in);

	if (in->op >= X86_OP_BT && in->op <= X86_OP_BTC && m && in->opd[1].kind == X86_OPD_REG &&
	    in->opd[1].reg != R_RSP)
		t->in.gpr[in->opd[1].reg] = (uint64_t)((int64_t)pick(s, 1024) - 512) &
					    (t->mode == X86_MODE_64 ? ~0ull : 0xffffffff);
	if (m)
		aim(s, t, in, gen_target(s, m->size));
	if (in->op == X86_OP_XLAT)
		gen_set_low(t, R_RBX, ORACLE_DATA + MIDDLE - 128);
	if (in->op == X86_OP_CLZERO)
		gen_set_low(t, R_RAX, gen_target(s, 64));
}

/* Moves of single elements, which have alignment rules of their own. */
static bool moves_elements(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_MASKMOVQ:
	case X86_OP_MASKMOVDQU:
	case X86_OP_VMASKMOVDQU:
	case X86_OP_VMASKMOVPS:
	case X86_OP_VMASKMOVPD:
	case X86_OP_VPMASKMOVD:
	case X86_OP_VPMASKMOVQ:
		return true;
	default:
		return in->flags & X86_IF_VSIB;
	}
}

/* ---- What a host process cannot compare ----------------------------------------------------- */

bool gen_excluded(const struct x86_insn *in)
{
	switch (in->op) {
	/* leave the process */
	case X86_OP_SYSCALL:
	case X86_OP_SYSENTER:
	case X86_OP_SYSRET:
	case X86_OP_SYSEXIT:
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
	/* depend on the host kernel's descriptor tables */
	case X86_OP_MOV_TO_SEG:
	case X86_OP_POP_SEG:
	case X86_OP_LDS:
	case X86_OP_LES:
	case X86_OP_LFS:
	case X86_OP_LGS:
	case X86_OP_LSS:
	case X86_OP_JMP_FAR:
	case X86_OP_JMP_FAR_IND:
	case X86_OP_CALL_FAR:
	case X86_OP_CALL_FAR_IND:
	case X86_OP_RET_FAR:
	case X86_OP_IRET:
	case X86_OP_LAR:
	case X86_OP_LSL:
	case X86_OP_VERR:
	case X86_OP_VERW:
	/* emulated by the host kernel (UMIP) */
	case X86_OP_SGDT:
	case X86_OP_SIDT:
	case X86_OP_SLDT:
	case X86_OP_STR:
	case X86_OP_SMSW:
	/* differ by nature */
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
	case X86_OP_RDPMC:
	case X86_OP_RDPID:
	case X86_OP_RDRAND:
	case X86_OP_RDSEED:
	case X86_OP_CPUID:
	case X86_OP_XGETBV:
	/* the child needs its own FS and GS bases */
	case X86_OP_RDFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE:
	/* the image has state the guest does not get, and is larger than the window */
	case X86_OP_XSAVE:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
	case X86_OP_XSAVES:
	case X86_OP_XRSTOR:
	case X86_OP_XRSTORS:
	case X86_OP_FXSAVE:
	case X86_OP_FXRSTOR:
		return true;
	case X86_OP_INT:
		return (in->imm & 0xff) == 0x80 || (in->imm & 0xff) == 1 || (in->imm & 0xff) == 2;
	case X86_OP_INT1:
		return true;
	/* LOCK MOV CR0 is MOV CR8 on some (AltMovCr8), which the guest's CPUID does not offer */
	case X86_OP_MOV_TO_CR:
	case X86_OP_MOV_FROM_CR:
		return in->flags & X86_IF_LOCK;
	default:
		return false;
	}
}

/*
 * Encodings the guest's CPUID does not offer, so that the decoder refuses them, but which this
 * host's processor may know: MONITORX/MWAITX, RDPRU, RDPKRU/WRPKRU, CET, and the like under 0F 01;
 * FEMMS and 3DNow!; XOP.
 */
static bool excluded_unknown(const uint8_t *c)
{
	unsigned i = 0;

	while (i < 15 && (c[i] == 0x66 || c[i] == 0x67 || c[i] == 0xf2 || c[i] == 0xf3 ||
			  c[i] == 0xf0 || c[i] == 0x26 || c[i] == 0x2e || c[i] == 0x36 ||
			  c[i] == 0x3e || c[i] == 0x64 || c[i] == 0x65 || (c[i] & 0xf0) == 0x40))
		i++;
	/* LOCK VERR and VERW read their operand before they refuse the prefix, on some. */
	if (c[i] == 0x0f && c[i + 1] == 0 && memchr(c, 0xf0, i))
		return true;
	/* XOP: too long is #GP to a processor that knows its lengths, #UD to the decoder */
	if (c[i] == 0x8f)
		return true;
	return c[i] == 0x0f && (c[i + 1] == 0x01 || c[i + 1] == 0x0e || c[i + 1] == 0x0f);
}

int oracle_decode(const struct oracle_test *t, struct x86_insn *insn, const uint8_t *code,
		  size_t avail)
{
	unsigned maker = x86_host_is_amd() ? 0 : X86_MODE_INTEL;

	return x86_decode(insn, code, avail, (enum x86_mode)(t->mode | maker));
}

bool gen_test(struct oracle_test *t, uint64_t seed, uint64_t n, struct x86_insn *insn, int *len)
{
	uint64_t s = seed ^ (n + 1) * 0xd1342543de82ef95ull;
	uint64_t m = pick(&s, 100);

	splitmix64(&s);
	t->mode = m < 70 ? X86_MODE_64 : m < 88 ? X86_MODE_32 : X86_MODE_16;
	make_code(&s, t);
	*len = oracle_decode(t, insn, t->code, ORACLE_INSN_MAX);
	gen_registers(&s, t);
	if (t->kind == ORACLE_RUN)
		t->in.rflags &= ~(uint64_t)FLAG_TF;
	t->code_off =
		chance(&s, 95) || *len <= 0 ? 0x800 : 0x1000 - (uint32_t)pick(&s, (uint64_t)*len);
	t->in.rip = (t->mode == X86_MODE_16 ? 0 : ORACLE_CODE) + t->code_off;
	/* Half of all byte strings are refused; one in four of them is enough. */
	if (*len <= 0)
		return *len == X86_DECODE_UD && !(n & 3) && !excluded_unknown(t->code);
	if (gen_excluded(insn) ||
	    (insn->seg_override && (insn->seg == SEG_FS || insn->seg == SEG_GS)))
		return false;
	memset(t->code + *len, 0xcc, ORACLE_INSN_MAX - (unsigned)*len);
	aim_operands(&s, t, insn);
	if (moves_elements(insn) && chance(&s, 30))
		t->in.rflags |= FLAG_AC;
	*len = oracle_decode(t, insn, t->code, ORACLE_INSN_MAX);
	return true;
}

/* ---- Families ------------------------------------------------------------------------------- */

static const char *const extra_families[] = {"refused (#UD)", "integer", "system (faults)", "x87"};

unsigned gen_families(void)
{
	return X86_FEAT_COUNT + 4;
}

unsigned gen_family_index(const struct x86_insn *insn, int len)
{
	if (len <= 0)
		return X86_FEAT_COUNT;
	if (insn->opcode >= 0xd8 && insn->opcode <= 0xdf && insn->map == X86_MAP_1B)
		return X86_FEAT_COUNT + 3;
	if (insn->feature)
		return insn->feature;
	return insn->op >= X86_OP_JMP_FAR && insn->op < X86_OP_FXSAVE ? X86_FEAT_COUNT + 2
								      : X86_FEAT_COUNT + 1;
}

const char *gen_family_name(unsigned index)
{
	if (index >= X86_FEAT_COUNT)
		return extra_families[index - X86_FEAT_COUNT];
	return index ? x86_feature_name((enum x86_feature)index) : "none";
}

uint64_t gen_undefined_flags(const struct x86_insn *insn, const struct oracle_test *t)
{
	(void)t;
	switch (insn->op) {
	case X86_OP_DIV:
	case X86_OP_IDIV:
		return FLAGS_ARITH;
	case X86_OP_MUL:
	case X86_OP_IMUL:
		return FLAGS_ARITH & ~(uint64_t)(FLAG_CF | FLAG_OF);
	case X86_OP_AAM:
	case X86_OP_AAD:
		return FLAG_CF | FLAG_AF | FLAG_OF;
	case X86_OP_DAA:
	case X86_OP_DAS:
		return FLAG_OF;
	case X86_OP_AAA:
	case X86_OP_AAS:
		return FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF;
	default:
		return 0;
	}
}
