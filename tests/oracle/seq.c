// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several random instructions in a row: what a translator of blocks gets wrong is between
 * instructions (which flags are live, where a register is, what a branch takes along). Some
 * registers hold addresses of the window, some small indexes, one may count a loop; instructions
 * are chosen so that most leave those alone, and memory operands are rewritten to use them.
 */
#include <string.h>

#include "oracle/gen_int.h"

#define MIDDLE (ORACLE_DATA_BYTES / 2)
#define MAX_OPS 12
#define NO_REG 16u
#define TRIES 200

struct seq {
	uint64_t *s;
	struct oracle_test *t;
	unsigned at; /* bytes of code */
	unsigned n;
	unsigned off[MAX_OPS + 1]; /* of each operation; of the end, off[n] */
	unsigned ptr, small;	   /* registers with addresses, with indexes: masks */
	unsigned counter;	   /* of loops, or NO_REG */
	unsigned loops;
	unsigned nfix;
	struct {
		unsigned at, size, op; /* a displacement to operation `op`, or an address of it */
		bool absolute;
	} fix[2 * MAX_OPS];
};

static unsigned regs(const struct seq *q)
{
	return q->t->mode == X86_MODE_64 ? 16 : 8;
}

static void put(struct seq *q, unsigned byte)
{
	q->t->code[q->at++] = (uint8_t)byte;
}

static void put32(struct seq *q, uint32_t v)
{
	memcpy(q->t->code + q->at, &v, 4);
	q->at += 4;
}

/* ---- One random instruction ----------------------------------------------------------------- */

/* Integer opcodes, those of 0F from 0x100 on. */
static unsigned integer_opcode(uint64_t *s)
{
	static const uint16_t one[] = {0x63, 0x69, 0x6b, 0x68, 0x6a, 0x80, 0x81, 0x83, 0x84, 0x85,
				       0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8d, 0x8f, 0x98, 0x99,
				       0x9c, 0x9e, 0x9f, 0xa8, 0xa9, 0xc0, 0xc1, 0xc6, 0xc7, 0xc9,
				       0xd0, 0xd1, 0xd2, 0xd3, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfe,
				       0xff, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xa6, 0xd7,
				       0xfc, 0xfd, 0x27, 0x37, 0x9d, 0xc8, 0x60, 0x61, 0x62, 0xce};
	static const uint16_t two[] = {0xa3, 0xab, 0xb3, 0xbb, 0xba, 0xa4, 0xa5, 0xac, 0xad,
				       0xaf, 0xb0, 0xb1, 0xb6, 0xb7, 0xbe, 0xbf, 0xbc, 0xbd,
				       0xc0, 0xc1, 0xc7, 0xb8, 0xc3, 0x18, 0x0d, 0x1f, 0xae};

	switch (pick(s, 10)) {
	case 0:
	case 1:
	case 2:
		return (unsigned)(pick(s, 8) << 3 | pick(s, 6));
	case 3:
	case 4:
	case 5:
		return one[pick(s, sizeof(one) / sizeof(one[0]))];
	case 6:
		return (unsigned)(0x40 + pick(s, 0x20));
	case 7:
		return chance(s, 50)   ? 0x90 + (unsigned)pick(s, 8)
		       : chance(s, 70) ? 0xb0 + (unsigned)pick(s, 16)
				       : 0xa0 + (unsigned)pick(s, 4);
	case 8:
		return 0x100 + (chance(s, 45)	? 0x40 + (unsigned)pick(s, 16)
				: chance(s, 80) ? 0x90 + (unsigned)pick(s, 16)
						: 0xc8 + (unsigned)pick(s, 8));
	default:
		return 0x100 + two[pick(s, sizeof(two) / sizeof(two[0]))];
	}
}

static unsigned prefixes(struct seq *q, uint8_t *p, bool vex)
{
	uint64_t *s = q->s;
	unsigned n = 0;

	if (chance(s, vex ? 0 : 16))
		p[n++] = 0x66;
	if (chance(s, 4))
		p[n++] = 0x67;
	if (chance(s, vex ? 0 : 6))
		p[n++] = chance(s, 50) ? 0xf3 : 0xf2;
	if (chance(s, vex ? 0 : 8))
		p[n++] = 0xf0;
	if (q->t->mode == X86_MODE_64 && chance(s, 6))
		p[n++] = 0x65;
	if (q->t->mode == X86_MODE_64 && !vex && chance(s, 60))
		p[n++] = (uint8_t)(0x40 | pick(s, 16));
	return n;
}

static int random_bytes(struct seq *q, uint8_t *p, struct x86_insn *in)
{
	uint64_t *s = q->s;
	bool vex = chance(s, 8);
	unsigned n;

	for (unsigned i = 0; i < ORACLE_INSN_MAX; i++)
		p[i] = (uint8_t)splitmix64(s);
	n = prefixes(q, p, vex);
	if (vex) {
		n += gen_put_vex(s, p + n) + 1;
	} else if (chance(s, 65)) {
		unsigned op = integer_opcode(s);

		if (op >= 0x100)
			p[n++] = 0x0f;
		p[n++] = (uint8_t)op;
	} else {
		n += gen_put_opcode(s, p + n);
	}
	if (chance(s, 35)) {
		for (unsigned i = n + 1; i < ORACLE_INSN_MAX; i++)
			p[i] = chance(s, 50) ? 0 : (uint8_t)pick(s, 36);
	}
	return oracle_decode(q->t, in, p, ORACLE_INSN_MAX);
}

/* ---- What it may do ------------------------------------------------------------------------- */

static bool is_string(const struct x86_insn *in)
{
	return in->op >= X86_OP_MOVS && in->op <= X86_OP_CMPS;
}

/* General registers it writes. */
static unsigned writes(const struct x86_insn *in)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < in->nopds; i++) {
		const struct x86_operand *o = &in->opd[i];

		if (o->kind == X86_OPD_REG && o->rc <= X86_RC_GPRH && (o->access & X86_ACC_W))
			mask |= 1u << o->reg;
	}
	if (is_string(in) && (in->flags & (X86_IF_REP | X86_IF_REPNE)))
		mask |= 1u << R_RCX;
	if (in->op == X86_OP_POPA)
		mask |= 0xff & ~(1u << R_RSP);
	if (in->op == X86_OP_ENTER || in->op == X86_OP_LEAVE)
		mask |= 1u << R_RBP;
	return mask;
}

/* Mostly no, since it would fault, or spoil what others need. */
static bool unwelcome(const struct seq *q, const struct x86_insn *in)
{
	const struct x86_operand *m = gen_memory_operand(in);

	if (in->op >= X86_OP_JMP_FAR && in->op <= X86_OP_RDSEED)
		return true;
	if (writes(in) & (q->ptr | 1u << R_RSP) & ~(in->op == X86_OP_POPA ? 1u << R_RSP : 0))
		return true;
	if (in->op == X86_OP_DIV || in->op == X86_OP_IDIV || in->op == X86_OP_POPF ||
	    in->op == X86_OP_BOUND || in->op == X86_OP_AAM || in->op == X86_OP_LDMXCSR ||
	    in->op == X86_OP_FLDCW || in->op == X86_OP_FLDENV || in->op == X86_OP_FRSTOR ||
	    (in->flags & X86_IF_VSIB) || (in->op >= X86_OP_INS && in->op <= X86_OP_OUT) ||
	    in->op == X86_OP_CLI || in->op == X86_OP_STI)
		return true;
	if (is_string(in) &&
	    (!(q->ptr & 1u << R_RSI) || !(q->ptr & 1u << R_RDI) ||
	     ((in->flags & (X86_IF_REP | X86_IF_REPNE)) && !(q->small & 1u << R_RCX)) ||
	     in->addrsize == 2))
		return true;
	if (in->op == X86_OP_LEAVE && !(q->ptr & 1u << R_RBP))
		return true;
	if (in->op == X86_OP_XLAT && !(q->ptr & 1u << R_RBX))
		return true;
	if (in->op >= X86_OP_BT && in->op <= X86_OP_BTC && m && in->opd[1].kind == X86_OPD_REG &&
	    !(q->small & 1u << in->opd[1].reg))
		return true;
	return m && m->size && in->addrsize == 2 && q->t->mode != X86_MODE_16;
}

static bool acceptable(const struct seq *q, const struct x86_insn *in)
{
	if (gen_excluded(in) || (in->flags & X86_IF_BRANCH) ||
	    (in->seg_override && in->seg == SEG_FS) ||
	    (in->seg_override && in->seg == SEG_GS && q->t->mode != X86_MODE_64))
		return false;
	if (q->counter != NO_REG && (writes(in) >> q->counter & 1))
		return false;
	return !unwelcome(q, in) || chance(q->s, 2);
}

/* ---- Its memory operand --------------------------------------------------------------------- */

static unsigned pick_bit(uint64_t *s, unsigned mask)
{
	unsigned k = (unsigned)pick(s, (uint64_t)__builtin_popcount(mask));

	while (k--)
		mask &= mask - 1;
	return (unsigned)__builtin_ctz(mask);
}

/* Where the bits that extend base and index are; NULL: nowhere. */
static uint8_t *extension(const struct x86_insn *in, uint8_t *p)
{
	static const uint8_t escapes[] = {0, 1, 2, 2};

	if (in->mode != X86_MODE_64)
		return NULL;
	if (in->flags & X86_IF_VEX)
		return in->opcode_off >= 3 && p[in->opcode_off - 3] == 0xc4 ? &p[in->opcode_off - 2]
									    : NULL;
	return in->rex ? &p[in->opcode_off - 1 - escapes[in->map]] : NULL;
}

static void put_modrm(struct seq *q, uint8_t *p, const struct x86_insn *in, unsigned base,
		      unsigned index, unsigned scale, int32_t disp, unsigned disp_bytes)
{
	uint8_t *ext = extension(in, p), imm[8] = {0};
	unsigned n = in->modrm_off, reg = in->modrm & 0x38u;
	bool sib = index != NO_REG || (base & 7) == R_RSP || base == NO_REG;
	unsigned mod = base == NO_REG ? 0u : disp_bytes == 0 ? 0u : disp_bytes == 1 ? 0x40u : 0x80u;

	if (in->imm_len)
		memcpy(imm, p + in->imm_off, in->imm_len);
	if (ext) {
		unsigned x = index != NO_REG ? index >> 3 : 0, b = base != NO_REG ? base >> 3 : 0;

		if (in->flags & X86_IF_VEX)
			*ext = (uint8_t)((*ext & ~0x60u) | (x ? 0 : 0x40u) | (b ? 0 : 0x20u));
		else
			*ext = (uint8_t)((*ext & ~3u) | x << 1 | b);
	}
	/* Without registers: the short form is relative to rip in 64-bit mode. */
	if (base == NO_REG && index == NO_REG && q->t->mode != X86_MODE_64)
		sib = false;
	p[n++] = (uint8_t)(mod | reg | (sib ? 4u : base == NO_REG ? 5u : base & 7));
	if (sib)
		p[n++] = (uint8_t)(scale << 6 | (index == NO_REG ? 0x20u : (index & 7) << 3) |
				   (base == NO_REG ? 5u : base & 7));
	if (base == NO_REG)
		disp_bytes = 4;
	memcpy(p + n, &disp, 4);
	n += disp_bytes;
	memcpy(p + n, imm, in->imm_len);
}

static void rip_relative(struct seq *q, uint8_t *p, const struct x86_insn *in, uint64_t to)
{
	uint8_t imm[8] = {0};
	unsigned n = in->modrm_off, len = n + 5u + in->imm_len;
	uint32_t disp = (uint32_t)(to - (q->t->in.rip + q->at + len));

	if (in->imm_len)
		memcpy(imm, p + in->imm_off, in->imm_len);
	p[n] = (uint8_t)((in->modrm & 0x38u) | 5);
	memcpy(p + n + 1, &disp, 4);
	memcpy(p + n + 5, imm, in->imm_len);
}

static void aim16(struct seq *q, uint8_t *p, const struct x86_insn *in, uint64_t to)
{
	uint8_t imm[8] = {0};
	unsigned n = in->modrm_off;
	uint16_t disp = (uint16_t)(to - ORACLE_DATA);

	if (in->imm_len)
		memcpy(imm, p + in->imm_off, in->imm_len);
	p[n] = (uint8_t)((in->modrm & 0x38u) | 6);
	memcpy(p + n + 1, &disp, 2);
	memcpy(p + n + 3, imm, in->imm_len);
	(void)q;
}

static void aim(struct seq *q, uint8_t *p, const struct x86_insn *in)
{
	const struct x86_operand *m = gen_memory_operand(in);
	const uint64_t *g = q->t->in.gpr;
	uint64_t *s = q->s, to = gen_target(s, m ? m->size : 0), ea;
	unsigned allowed = in->mode == X86_MODE_64 && extension(in, p) ? 0xffffu : 0xffu;
	unsigned base = pick_bit(s, q->ptr & allowed), index = NO_REG, scale = (unsigned)pick(s, 4);
	unsigned disp_bytes;
	int32_t disp = 0;

	if (!m)
		return;
	if (in->flags & X86_IF_VSIB) {
		gen_aim_vector_index(s, q->t, in);
		return;
	}
	if ((in->flags & X86_IF_ALIGNED) && chance(s, 90))
		to &= ~31ull;
	if (!(in->flags & X86_IF_MODRM)) { /* moffs */
		if (in->addrsize == 2)
			to -= ORACLE_DATA;
		memcpy(p + in->opcode_off + 1, &to, in->addrsize);
		return;
	}
	if (in->addrsize == 2) {
		aim16(q, p, in, to);
		return;
	}
	if (in->mode == X86_MODE_64 && chance(s, 12)) {
		rip_relative(q, p, in, to);
		return;
	}
	if ((q->small & allowed & ~(1u << R_RSP)) && chance(s, 45))
		index = pick_bit(s, q->small & allowed & ~(1u << R_RSP));
	if (chance(s, 6))
		base = NO_REG;
	ea = (base == NO_REG ? 0 : g[base]) + (index == NO_REG ? 0 : g[index] << scale);
	if (in->seg == SEG_GS && in->seg_override)
		ea += ORACLE_GS_BASE;
	disp = (int32_t)(to - ea);
	disp_bytes = disp >= -128 && disp <= 127 ? 1 : 4;
	if (!(in->flags & X86_IF_ALIGNED) && base != NO_REG && chance(s, 50)) {
		disp_bytes = (unsigned)pick(s, 2);
		disp = disp_bytes ? (int8_t)splitmix64(s) : 0;
	}
	if (disp_bytes == 0 && (base & 7) == R_RBP)
		disp_bytes = 1;
	put_modrm(q, p, in, base, index, scale, disp, disp_bytes);
}

/*
 * Flags that the manuals leave undefined, and that do not come from the host's own instruction, or
 * that are not always the same on it (IDIV on Zen).
 */
static bool undefined_flags(const struct x86_insn *in)
{
	return (in->op >= X86_OP_DAA && in->op <= X86_OP_AAD) || in->op == X86_OP_DIV ||
	       in->op == X86_OP_IDIV;
}

static bool put_insn(struct seq *q)
{
	uint8_t p[ORACLE_INSN_MAX + 16];
	struct x86_insn in;
	int len;

	for (unsigned i = 0; i < TRIES; i++) {
		if (random_bytes(q, p, &in) <= 0 || !acceptable(q, &in))
			continue;
		if (chance(q->s, 97))
			aim(q, p, &in);
		len = oracle_decode(q->t, &in, p, ORACLE_INSN_MAX);
		if (len <= 0 || !acceptable(q, &in))
			continue;
		memcpy(q->t->code + q->at, p, (size_t)len);
		q->at += (unsigned)len;
		if (undefined_flags(&in)) { /* test %al, %al */
			put(q, 0x84);
			put(q, 0xc0);
		}
		q->ptr &= ~writes(&in) | 1u << R_RSP;
		q->small &= ~writes(&in);
		return true;
	}
	return false;
}

/* ---- Branches ------------------------------------------------------------------------------- */

static void fix_up(struct seq *q, unsigned size, unsigned op, bool absolute)
{
	q->fix[q->nfix].at = q->at;
	q->fix[q->nfix].size = size;
	q->fix[q->nfix].op = op;
	q->fix[q->nfix].absolute = absolute;
	q->nfix++;
	q->at += size;
}

/* An operation behind operation i, of n in all. */
static unsigned ahead(struct seq *q, unsigned i, unsigned n)
{
	return i + 1 + (unsigned)pick(q->s, n - i);
}

static void put_jump(struct seq *q, unsigned i, unsigned n)
{
	unsigned to = ahead(q, i, n), cc = (unsigned)pick(q->s, 16);
	bool wide = q->t->mode == X86_MODE_16, jcc = chance(q->s, 75);

	if (wide || chance(q->s, 60)) {
		put(q, jcc ? 0x70 | cc : 0xeb);
		fix_up(q, 1, to, false);
	} else {
		if (jcc)
			put(q, 0x0f);
		put(q, jcc ? 0x80 | cc : 0xe9);
		fix_up(q, 4, to, false);
	}
}

/* Back to an earlier operation (or to itself) while the counter lasts. */
static void put_loop(struct seq *q, unsigned i)
{
	unsigned c = q->counter, to = (unsigned)pick(q->s, i + 1);

	if (c == NO_REG || q->loops == ~0u) {
		put(q, 0x90);
		return;
	}
	/* LOOP ends at zero only, so it must be the only one that counts. */
	if (c == R_RCX && !q->loops && chance(q->s, 30)) {
		q->loops = ~0u;
		put(q, 0xe2);
		fix_up(q, 1, to, false);
		return;
	}
	q->loops++;
	if (q->t->mode == X86_MODE_64)
		put(q, 0x40 | c >> 3);
	if (chance(q->s, 50)) { /* dec */
		put(q, 0xff);
		put(q, 0xc8 | (c & 7));
	} else { /* sub $1 */
		put(q, 0x83);
		put(q, 0xe8 | (c & 7));
		put(q, 1);
	}
	if (chance(q->s, 30)) { /* a flag for the next round */
		put(q, 0xf9);
		put(q, 0x7f);
		fix_up(q, 1, to, false);
	} else if (q->t->mode != X86_MODE_16 && chance(q->s, 30)) {
		put(q, 0x0f);
		put(q, 0x8f); /* jg */
		fix_up(q, 4, to, false);
	} else {
		put(q, 0x7f);
		fix_up(q, 1, to, false);
	}
}

static void put_indirect(struct seq *q, unsigned i, unsigned n)
{
	unsigned to = ahead(q, i, n), free = ~q->ptr & ~(1u << R_RSP) & ((1u << regs(q)) - 1), r;

	if (q->counter != NO_REG)
		free &= ~(1u << q->counter);
	switch (pick(q->s, 4)) {
	case 0: /* call */
		put(q, 0xe8);
		fix_up(q, 4, to, false);
		return;
	case 1: /* push $label; ret */
		put(q, 0x68);
		fix_up(q, 4, to, true);
		if (chance(q->s, 70)) {
			put(q, 0xc3);
		} else {
			put(q, 0xc2);
			put(q, 8 * (unsigned)pick(q->s, 4));
			put(q, 0);
		}
		return;
	case 2: /* push $label; jmp or call *(%rsp) */
		put(q, 0x68);
		fix_up(q, 4, to, true);
		put(q, 0xff);
		put(q, chance(q->s, 60) ? 0x24 : 0x14);
		put(q, 0x24);
		return;
	default: /* mov $label, %r; jmp or call *%r */
		if (!free)
			return;
		r = pick_bit(q->s, free);
		q->small &= ~(1u << r);
		if (r >= 8)
			put(q, 0x41);
		put(q, 0xb8 | (r & 7));
		fix_up(q, 4, to, true);
		if (r >= 8)
			put(q, 0x41);
		put(q, 0xff);
		put(q, (chance(q->s, 60) ? 0xe0 : 0xd0) | (r & 7));
	}
}

static void put_branch(struct seq *q, unsigned i, unsigned n)
{
	unsigned k = (unsigned)pick(q->s, 100);

	if (k < 45)
		put_jump(q, i, n);
	else if (k < 70)
		put_loop(q, i);
	else if (k < 95 && q->t->mode != X86_MODE_16)
		put_indirect(q, i, n);
	else if (k < 98) { /* jrcxz, loope, loopne */
		static const uint8_t op[] = {0xe3, 0xe0, 0xe1};
		uint8_t b = op[pick(q->s, q->counter == R_RCX ? 1 : 3)];

		put(q, b);
		fix_up(q, 1, ahead(q, i, n), false);
	} else {
		put(q, 0xe8); /* somewhere in the INT3s of the other page */
		put32(q, (uint32_t)(0x400 + pick(q->s, 0x1000)) ^ (chance(q->s, 50) ? 0x2000 : 0));
	}
}

static void resolve(struct seq *q)
{
	for (unsigned i = 0; i < q->nfix; i++) {
		uint64_t to = q->off[q->fix[i].op];
		unsigned at = q->fix[i].at, size = q->fix[i].size;
		uint32_t v = q->fix[i].absolute ? (uint32_t)(q->t->in.rip + to)
						: (uint32_t)(to - (at + size));

		memcpy(q->t->code + at, &v, size);
	}
}

/* ---- The test ------------------------------------------------------------------------------- */

static void roles(struct seq *q)
{
	uint64_t *s = q->s;

	q->ptr = 1u << R_RSP;
	q->small = 0;
	q->counter = NO_REG;
	for (unsigned r = 0; r < regs(q); r++) {
		if (r == R_RSP)
			continue;
		switch (pick(s, 8)) {
		case 0:
		case 1:
		case 2:
			gen_set_low(q->t, r, gen_target(s, 8));
			q->ptr |= 1u << r;
			break;
		case 3:
			q->t->in.gpr[r] = pick(s, 24);
			q->small |= 1u << r;
			break;
		case 4:
			if (q->counter != NO_REG)
				break;
			q->counter = r;
			q->t->in.gpr[r] = 1 + pick(s, 5);
			break;
		default:
			break;
		}
	}
}

bool seq_test(struct oracle_test *t, uint64_t seed, uint64_t n, struct x86_insn *insn, int *len)
{
	uint64_t s = seed ^ (n + 1) * 0xd1342543de82ef95ull;
	uint64_t m = pick(&s, 100);
	struct seq q = {.s = &s, .t = t};
	unsigned ops = 2 + (unsigned)pick(&s, MAX_OPS - 2);

	t->mode = m < 68 ? X86_MODE_64 : m < 94 ? X86_MODE_32 : X86_MODE_16;
	memset(t->code, 0xcc, sizeof(t->code));
	gen_registers(&s, t);
	t->in.rflags &= ~(uint64_t)FLAG_TF;
	if (chance(&s, 80))
		t->in.rflags &= ~(uint64_t)FLAG_AC;
	t->code_off =
		chance(&s, 70) ? 0x800 + (uint32_t)pick(&s, 64) : 0x1000 - (uint32_t)pick(&s, 80);
	t->in.rip = (t->mode == X86_MODE_16 ? 0 : ORACLE_CODE) + t->code_off;
	roles(&q);
	for (unsigned i = 0; i < ops; i++) {
		q.off[i] = q.at;
		if (chance(&s, 22))
			put_branch(&q, i, ops);
		else
			put_insn(&q);
	}
	q.off[ops] = q.at;
	q.n = ops;
	resolve(&q);
	*len = (int)q.at;
	memset(insn, 0, sizeof(*insn));
	return true;
}
