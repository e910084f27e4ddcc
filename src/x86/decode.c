// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction decoder: prefixes, opcode, a walk through the tables, ModRM, operands.
 * Source: Intel SDM vol. 2 ch. 2 and appendix A; AMD APM vol. 3 ch. 1 and appendix A.
 * Threads: any; nothing is kept.
 *
 * Encodings refused on purpose (X86_DECODE_UD), because no CPU model offered to guests has them:
 *   VMX and SVM except VMCALL and VMMCALL; SMX (GETSEC); SGX; TSX (XBEGIN, XEND, XABORT, XTEST; the
 *   HLE prefixes are ignored); 3DNow! with FEMMS; XOP, FMA4, TBM, LWP; EVEX and MVEX; AMX; Key
 *   Locker; MOVDIRI, MOVDIR64B, ENQCMD; PKU (RDPKRU, WRPKRU); SERIALIZE; UINTR; WAITPKG; PTWRITE;
 *   PCONFIG; MONITORX, MWAITX; RDPRU; INVLPGB; VIA PadLock; IA-64's JMPE; test registers.
 * MODE_16 does not tell real and VM86 mode from 16-bit protected mode: VEX (X86_IF_VEX) is #UD in
 * the first two, which the caller knows.
 * Encodings in reserved-NOP space (MPX, CET, CLDEMOTE: 0F 18–0F 1F) decode as NOP; CET's others
 * are refused.
 */
#include "x86/decode_int.h"

#include "base/bytes.h"

enum { PP_NONE, PP_66, PP_F3, PP_F2 };

/* What the decoder knows while it works. */
struct dec {
	const uint8_t *p;
	struct x86_insn *out;
	unsigned pos, limit;
	int more;	/* what running out of bytes means: X86_DECODE_MORE or _LONG */
	unsigned flags; /* X86_IF_* so far */
	bool m64, intel, vex, mem, mand66, used_vvvv;
	uint8_t rep; /* 0, PP_F3, PP_F2: the last one */
	uint8_t pp, seg, rex, opcode, mod, vvvv;
	uint8_t szidx; /* column of x86_size: operand size index, + 3 with VEX.L */
};

#define NO_SEG 0xff
#define REX_B(d) (((unsigned)(d)->rex & 1u) << 3)
#define REX_X(d) (((unsigned)(d)->rex & 2u) << 2)
#define REX_R(d) (((unsigned)(d)->rex & 4u) << 1)
#define REX_W(d) (((unsigned)(d)->rex & 8u) != 0)

enum {
	K_OPCODE,
	K_SEG, /* + segment */
	K_66 = K_SEG + SEG_COUNT,
	K_67,
	K_LOCK,
	K_F2,
	K_F3,
	K_REX,
};

#define REX_ROW(b)                                                                  \
	[(b) + 0] = K_REX, [(b) + 1] = K_REX, [(b) + 2] = K_REX, [(b) + 3] = K_REX, \
	       [(b) + 4] = K_REX, [(b) + 5] = K_REX, [(b) + 6] = K_REX, [(b) + 7] = K_REX

static const uint8_t byte_kind[256] = {
	[0x26] = K_SEG + SEG_ES, [0x2e] = K_SEG + SEG_CS, [0x36] = K_SEG + SEG_SS,
	[0x3e] = K_SEG + SEG_DS, [0x64] = K_SEG + SEG_FS, [0x65] = K_SEG + SEG_GS,
	[0x66] = K_66,		 [0x67] = K_67,		  [0xf0] = K_LOCK,
	[0xf2] = K_F2,		 [0xf3] = K_F3,		  REX_ROW(0x40),
	REX_ROW(0x48),
};

/* Prefixes and the first opcode byte. A REX that is not the last prefix means nothing. */
static int decode_prefixes(struct dec *d)
{
	while (d->pos < d->limit) {
		uint8_t b = d->p[d->pos++];
		uint8_t kind = byte_kind[b];

		if (kind == K_OPCODE || (kind == K_REX && !d->m64)) {
			d->opcode = b;
			return 0;
		}
		if (kind == K_REX) {
			d->rex = b;
			continue;
		}
		d->rex = 0;
		if (kind == K_66)
			d->flags |= X86_IF_66;
		else if (kind == K_67)
			d->flags |= X86_IF_67;
		else if (kind == K_LOCK)
			d->flags |= X86_IF_LOCK;
		else if (kind == K_F2)
			d->rep = PP_F2;
		else if (kind == K_F3)
			d->rep = PP_F3;
		else if (!d->m64 || kind >= K_SEG + SEG_FS)
			d->seg = (uint8_t)(kind - K_SEG);
	}
	return d->more;
}

static int next_byte(struct dec *d, uint8_t *b)
{
	if (d->pos >= d->limit)
		return d->more;
	*b = d->p[d->pos++];
	return 0;
}

/* The rest of a VEX prefix (C4 or C5 has been read), and the opcode. */
static int decode_vex(struct dec *d, const struct x86_ent **e)
{
	static const struct x86_ent *const maps[4] = {NULL, x86_vex_0f, x86_vex_0f38, x86_vex_0f3a};
	unsigned map = 1, len = d->opcode == 0xc4 ? 3 : 2;
	uint8_t b;

	if (d->rex || d->rep || (d->flags & (X86_IF_66 | X86_IF_LOCK)))
		return X86_DECODE_UD;
	if (d->pos + len > d->limit)
		return d->more;
	b = d->p[d->pos++];
	d->rex = (uint8_t)(0x40 | (~b >> 5 & 4));
	if (len == 3) {
		map = b & 0x1f;
		if (map < 1 || map > 3)
			return X86_DECODE_UD;
		d->rex = (uint8_t)(0x40 | (~b >> 5 & 7));
		b = d->p[d->pos++];
		d->rex |= b >> 4 & 8;
	}
	if (!d->m64)
		d->rex &= 0x48; /* R and X are 1 (else it were LES, LDS); B is ignored */
	d->vex = true;
	d->flags |= X86_IF_VEX;
	d->vvvv = ~b >> 3 & 15;
	d->pp = b & 3;
	d->out->vex_l = b >> 2 & 1;
	d->out->map = (uint8_t)(X86_MAP_1B + map);
	d->opcode = d->p[d->pos++];
	*e = &maps[map][d->opcode];
	return 0;
}

/* Escapes and VEX: find the map's entry. */
static int decode_opcode(struct dec *d, const struct x86_ent **e)
{
	uint8_t op = d->opcode;

	if (op == 0x0f) {
		if (next_byte(d, &op))
			return d->more;
		*e = &x86_map_0f[op];
		d->out->map = X86_MAP_0F;
		if (op == 0x38 || op == 0x3a) {
			bool is38 = op == 0x38;

			if (next_byte(d, &op))
				return d->more;
			*e = is38 ? &x86_map_0f38[op] : &x86_map_0f3a[op];
			d->out->map = is38 ? X86_MAP_0F38 : X86_MAP_0F3A;
		}
		d->opcode = op;
	} else if (op == 0xc4 || op == 0xc5) {
		if (!d->m64 && d->pos >= d->limit)
			return d->more;
		if (d->m64 || d->p[d->pos] >= 0xc0)
			return decode_vex(d, e);
		*e = &x86_map_1b[op];
	} else if ((op & 0xf8) == 0xd8) {
		*e = &x86_x87[op & 7];
	} else {
		*e = &x86_map_1b[op];
	}
	d->pp = d->rep ? d->rep : d->flags & X86_IF_66 ? PP_66 : PP_NONE;
	return 0;
}

static int need_modrm(struct dec *d)
{
	if (d->flags & X86_IF_MODRM)
		return 0;
	if (d->pos >= d->limit)
		return d->more;
	d->flags |= X86_IF_MODRM;
	d->out->modrm_off = (uint8_t)d->pos;
	d->out->modrm = d->p[d->pos++];
	d->mod = d->out->modrm >> 6;
	return 0;
}

static unsigned modrm_reg(const struct dec *d)
{
	return d->out->modrm >> 3 & 7;
}

static unsigned modrm_rm(const struct dec *d)
{
	return d->out->modrm & 7;
}

/* Follow the choices from a map's entry to an instruction. */
static int walk(struct dec *d, const struct x86_ent **entry)
{
	const struct x86_ent *e = *entry;

	while (e->sel != SEL_LEAF) {
		unsigned i = 0;

		if (e->sel >= SEL_REG && e->sel <= SEL_MOD && need_modrm(d))
			return d->more;
		switch (e->sel) {
		case SEL_PP:
			i = d->pp;
			d->out->pp = d->pp;
			d->mand66 = i == PP_66;
			break;
		case SEL_REP:
			i = d->pp >= PP_F3 ? d->pp - 1u : 0;
			d->out->pp = i ? d->pp : PP_NONE;
			break;
		case SEL_REG:
			i = modrm_reg(d);
			break;
		case SEL_RM:
			i = modrm_rm(d);
			break;
		case SEL_MOD:
			i = d->mod == 3;
			break;
		case SEL_MODE:
			i = d->m64;
			break;
		case SEL_W:
			i = REX_W(d);
			break;
		case SEL_W64:
			i = d->m64 && REX_W(d);
			break;
		case SEL_L:
			i = d->out->vex_l;
			break;
		case SEL_MAKER:
			i = d->intel;
			break;
		case SEL_XCHG:
			i = d->rex & 1 && !(d->intel && d->rep == PP_F3);
			break;
		}
		e = &e->sub[i];
	}
	*entry = e;
	return 0;
}

/* Index into the size tables: 0 for 16, 1 for 32, 2 for 64 bits. */
static uint8_t operand_size(const struct dec *d, uint32_t fl)
{
	bool osz = (d->flags & X86_IF_66) && !d->mand66;

	if (fl & F_NATIVE)
		return d->m64 ? 2 : 1;
	if (d->vex)
		return d->m64 && REX_W(d) ? 2 : 1;
	if (!d->m64)
		return (d->out->mode == X86_MODE_32) != osz;
	if (REX_W(d))
		return 2;
	if ((fl & F_NEAR) == F_NEAR && d->intel)
		return 2;
	if (osz)
		return 0;
	return fl & F_D64 ? 2 : 1;
}

/* ---- Memory operand ------------------------------------------------------------------------- */

static int disp_bytes(struct dec *d, unsigned n)
{
	const uint8_t *p = d->p + d->pos;

	if (d->pos + n > d->limit)
		return d->more;
	d->pos += n;
	if (n == 1)
		d->out->disp = (int8_t)p[0];
	else if (n == 2)
		d->out->disp = (int16_t)ld_le16(p);
	else if (n == 4)
		d->out->disp = (int32_t)ld_le32(p);
	return 0;
}

static int mem16(struct dec *d)
{
	static const uint8_t base[8] = {R_RBX, R_RBX, R_RBP, R_RBP, R_RSI, R_RDI, R_RBP, R_RBX};
	static const uint8_t index[4] = {R_RSI, R_RDI, R_RSI, R_RDI};
	unsigned rm = modrm_rm(d);

	if (rm == 6 && d->mod == 0)
		return disp_bytes(d, 2);
	d->out->base = base[rm];
	if (rm < 4)
		d->out->index = index[rm];
	return disp_bytes(d, d->mod);
}

static int mem32(struct dec *d, bool vsib)
{
	static const uint8_t disp[4] = {0, 1, 4, 0};
	struct x86_insn *out = d->out;
	unsigned rm = modrm_rm(d), base = rm;

	if (rm == 4) {
		uint8_t sib = 0;
		unsigned index;

		if (next_byte(d, &sib))
			return d->more;
		d->flags |= X86_IF_SIB;
		out->scale = sib >> 6;
		index = (sib >> 3 & 7) | REX_X(d);
		if (index != 4 || vsib)
			out->index = (uint8_t)index;
		base = sib & 7;
	}
	if (base == 5 && d->mod == 0) {
		if (rm == 5 && d->m64)
			out->base = X86_REG_RIP;
		return disp_bytes(d, 4);
	}
	out->base = (uint8_t)(base | REX_B(d));
	return disp_bytes(d, disp[d->mod]);
}

static void default_segment(struct dec *d)
{
	uint8_t base = d->out->base;

	if (d->seg == NO_SEG)
		d->out->seg = base == R_RSP || base == R_RBP ? SEG_SS : SEG_DS;
}

static int decode_mem(struct dec *d, uint32_t fl)
{
	bool vsib = fl & F_VSIB;
	int r;

	d->mem = true;
	if (vsib && (d->out->addrsize == 2 || modrm_rm(d) != 4))
		return X86_DECODE_UD;
	r = d->out->addrsize == 2 ? mem16(d) : mem32(d, vsib);
	default_segment(d);
	return r;
}

/* ---- Operands ------------------------------------------------------------------------------- */

static bool valid_special(struct dec *d, struct x86_operand *o, unsigned reg)
{
	switch (o->rc) {
	case X86_RC_SEG:
		o->reg = reg & 7;
		return o->reg < SEG_COUNT && !(o->reg == SEG_CS && (o->access & X86_ACC_W));
	case X86_RC_CR:
		if (d->flags & X86_IF_LOCK) {
			o->reg = 8;
			return reg == 0;
		}
		return reg <= 8 && (0x11d >> reg & 1);
	case X86_RC_DR:
		return reg < 8;
	case X86_RC_MMX:
	case X86_RC_X87:
		o->reg = reg & 7;
		return true;
	}
	return true;
}

static int set_reg(struct dec *d, struct x86_operand *o, const struct x86_spec *s, unsigned reg)
{
	o->kind = X86_OPD_REG;
	o->size = x86_size[s->rsize][d->szidx];
	o->reg = (uint8_t)reg;
	o->rc = s->rc;
	if (s->rc == X86_RC_GPR) {
		if (o->size == 1 && reg >= 4 && reg < 8 && !d->rex) {
			o->rc = X86_RC_GPRH;
			o->reg = (uint8_t)(reg - 4);
		}
		return 0;
	}
	if (s->rc == RC_VEC) {
		o->rc = d->out->vex_l ? X86_RC_YMM : X86_RC_XMM;
		return 0;
	}
	return valid_special(d, o, reg) ? 0 : X86_DECODE_UD;
}

/* Read an immediate of `n` bytes, zero-extended. */
static int imm_bytes(struct dec *d, unsigned n, uint64_t *v)
{
	const uint8_t *p = d->p + d->pos;

	if (d->pos + n > d->limit)
		return d->more;
	if (!d->out->imm_len)
		d->out->imm_off = (uint8_t)d->pos;
	d->out->imm_len = (uint8_t)(d->out->imm_len + n);
	d->pos += n;
	*v = n == 1 ? p[0] : n == 2 ? ld_le16(p) : n == 4 ? ld_le32(p) : ld_le64(p);
	return 0;
}

static uint64_t sign_extend(uint64_t v, unsigned bytes)
{
	unsigned sh = 64 - bytes * 8;

	return (uint64_t)((int64_t)(v << sh) >> sh);
}

static int set_imm(struct dec *d, struct x86_operand *o, const struct x86_spec *s)
{
	struct x86_insn *out = d->out;
	unsigned n = x86_size[s->rsize][d->szidx];
	uint64_t v = 1;
	int r = 0;

	o->kind = X86_OPD_IMM;
	o->size = (uint16_t)n;
	if (s->how == H_FAR) {
		o->kind = X86_OPD_FAR;
		r = imm_bytes(d, n - 2, &out->imm);
		if (r == 0)
			r = imm_bytes(d, 2, &v);
		out->imm2 = (uint16_t)v;
		return r;
	}
	if (s->how != H_ONE)
		r = imm_bytes(d, n, &v);
	if (s->how == H_IMM2) {
		o->kind = X86_OPD_IMM2;
		out->imm2 = (uint16_t)v;
		return r;
	}
	if (s->how == H_REL)
		o->kind = X86_OPD_REL;
	/* Iz with a 16- or 32-bit operand fills it; sIb and Iz with a 64-bit one are extended. */
	if (s->how == H_REL || (s->how == H_SIMM && (n == 1 || out->opsize == 8)))
		v = sign_extend(v, n);
	out->imm = v;
	return r;
}

static int set_moffs(struct dec *d, struct x86_operand *o, unsigned size)
{
	unsigned n = d->out->addrsize;
	const uint8_t *p = d->p + d->pos;

	if (d->pos + n > d->limit)
		return d->more;
	d->pos += n;
	d->out->disp = (int64_t)(n == 2 ? ld_le16(p) : n == 4 ? ld_le32(p) : ld_le64(p));
	o->kind = X86_OPD_MEM;
	o->size = (uint16_t)size;
	return 0;
}

static int set_is4(struct dec *d, struct x86_operand *o, const struct x86_spec *s)
{
	uint64_t v = 0;

	if (imm_bytes(d, 1, &v))
		return d->more;
	d->out->imm = v;
	return set_reg(d, o, s, (unsigned)v >> 4 & (d->m64 ? 15 : 7));
}

static void set_mem(struct x86_operand *o, uint8_t kind, unsigned size)
{
	o->kind = kind;
	o->size = (uint16_t)size;
}

/* Operands that are neither a register nor ModRM's memory. */
static int set_other(struct dec *d, struct x86_operand *o, const struct x86_spec *s)
{
	switch (s->how) {
	case H_IS4:
		return set_is4(d, o, s);
	case H_MOFFS:
		return set_moffs(d, o, x86_size[s->msize][d->szidx]);
	case H_SRC:
		o->implicit = true;
		if (d->seg == NO_SEG)
			d->out->seg = SEG_DS;
		d->mem = true;
		set_mem(o, X86_OPD_STR_SRC, x86_size[s->msize][d->szidx]);
		return 0;
	case H_DST:
		o->implicit = true;
		if (d->seg == NO_SEG && !d->mem)
			d->out->seg = SEG_ES;
		set_mem(o, X86_OPD_STR_DST, x86_size[s->msize][d->szidx]);
		return 0;
	case H_MEMI:
		o->implicit = true;
		d->out->base = s->msize;
		set_mem(o, X86_OPD_MEM, x86_size[s->rsize][d->szidx]);
		return 0;
	default:
		return set_imm(d, o, s);
	}
}

static int set_operand(struct dec *d, struct x86_operand *o, unsigned spec)
{
	const struct x86_spec *s = &x86_specs[spec >> 2];
	unsigned reg;

	o->access = spec & 3;
	switch (s->how) {
	case H_RM:
	case H_RM_REG:
	case H_RM_MEM:
		if (s->how == (d->mem ? H_RM_REG : H_RM_MEM))
			return X86_DECODE_UD;
		if (d->mem) {
			set_mem(o, X86_OPD_MEM, x86_size[s->msize][d->szidx]);
			if (s->msize == SZ_P && o->size == 10 && !d->intel)
				o->size = 6;
			return 0;
		}
		reg = modrm_rm(d) | REX_B(d);
		break;
	case H_REG:
		reg = modrm_reg(d) | REX_R(d);
		break;
	case H_OPC:
		reg = (d->opcode & 7u) | REX_B(d);
		break;
	case H_VVVV:
		d->used_vvvv = true;
		reg = d->vvvv & (d->m64 ? 15 : 7);
		break;
	case H_FIX:
	case H_FIXI:
		o->implicit = s->how == H_FIXI;
		reg = s->msize;
		break;
	default:
		return set_other(d, o, s);
	}
	return set_reg(d, o, s, reg);
}

/* ---- Checks and flags ----------------------------------------------------------------------- */

static bool vex_ok(const struct dec *d, uint32_t fl)
{
	uint32_t bad = (REX_W(d) ? F_W0 : F_W1) | (d->out->vex_l ? F_L0 : F_L1);

	return !(fl & bad);
}

static bool lock_ok(const struct dec *d, uint32_t fl)
{
	return ((fl & F_CR8) && !d->intel) || ((fl & F_LOCK) && d->out->opd[0].kind == X86_OPD_MEM);
}

static bool distinct_ok(const struct x86_insn *in)
{
	uint8_t dst = in->opd[0].reg, mask = in->opd[2].reg;

	return dst != mask && dst != in->index && mask != in->index;
}

/* What only some instructions have. */
static void set_extras(struct dec *d, uint32_t fl)
{
	struct x86_insn *out = d->out;

	if (d->rep && (fl & (F_REP | F_REPCC)))
		d->flags |= d->rep == PP_F2 && (fl & F_REPCC) ? X86_IF_REPNE : X86_IF_REP;
	if ((fl & F_LAHF) && !d->m64)
		out->feature = X86_FEAT_NONE;
	if ((fl & F_AVX2L) && out->vex_l)
		out->feature = X86_FEAT_AVX2;
	if (fl & F_CC)
		out->cc = d->opcode & 15;
}

static void set_flags(struct dec *d, uint32_t fl)
{
	uint32_t pass = X86_IF_BRANCH | X86_IF_PRIV | X86_IF_HOST | X86_IF_VSIB;

	if (fl & (F_REP | F_REPCC | F_LAHF | F_AVX2L | F_CC))
		set_extras(d, fl);
	if (d->mem)
		pass |= X86_IF_ALIGNED;
	if (d->m64)
		pass |= X86_IF_DEFAULT64;
	d->out->flags = (uint16_t)(d->flags | (fl & pass));
}

/* The instruction is found: its memory operand, operands and everything about it. */
static int decode_leaf(struct dec *d, const struct x86_ent *e)
{
	struct x86_insn *out = d->out;
	uint32_t fl = e->flags;
	unsigned n, opidx = operand_size(d, fl);
	int r;

	if (e->op == X86_OP_INVALID || (fl & (d->m64 ? F_NO64 : F_ONLY64)))
		return X86_DECODE_UD;
	if (d->vex && !vex_ok(d, fl))
		return X86_DECODE_UD;
	d->szidx = (uint8_t)(out->vex_l * 3 + opidx);
	out->opsize = (uint8_t)(2 << opidx);
	if (fl & F_MODRM) {
		if (need_modrm(d))
			return d->more;
		if (d->mod != 3 && !(fl & F_REGRM)) {
			r = decode_mem(d, fl);
			if (r)
				return r;
		}
	}
	for (n = 0; n < X86_MAX_OPDS && e->opd[n]; n++) {
		r = set_operand(d, &out->opd[n], e->opd[n]);
		if (r)
			return r;
	}
	/* After the operands: a processor finds the length first. */
	if ((d->flags & X86_IF_LOCK) && !lock_ok(d, fl))
		return X86_DECODE_UD;
	if (d->vvvv && !d->used_vvvv)
		return X86_DECODE_UD;
	if ((fl & F_DISTINCT) && !distinct_ok(out))
		return X86_DECODE_UD;
	out->nopds = (uint8_t)n;
	out->op = e->op;
	out->feature = e->feat;
	set_flags(d, fl);
	return 0;
}

#define WORDS 13
_Static_assert(sizeof(struct x86_insn) == WORDS * 8, "clear_insn clears exactly struct x86_insn");

/* An assignment of {0} would become `rep stos`, a fifth of the time of a decode. */
static void clear_insn(struct x86_insn *out)
{
	uint64_t *w = (uint64_t *)out;

	w[0] = w[1] = w[2] = w[3] = w[4] = w[5] = w[6] = 0;
	w[7] = w[8] = w[9] = w[10] = w[11] = w[12] = 0;
}

int x86_decode(struct x86_insn *out, const uint8_t *bytes, size_t avail, enum x86_mode mode)
{
	struct dec d = {
		.p = bytes,
		.out = out,
		.limit = avail < X86_MAX_INSN_BYTES ? (unsigned)avail : X86_MAX_INSN_BYTES,
		.more = avail < X86_MAX_INSN_BYTES ? X86_DECODE_MORE : X86_DECODE_LONG,
		.m64 = (mode & 3) == X86_MODE_64,
		.intel = mode & X86_MODE_INTEL,
		.seg = NO_SEG,
	};
	const struct x86_ent *e = NULL;
	bool asz;
	int r;

	clear_insn(out);
	mode &= 3;
	out->mode = (uint8_t)mode;
	out->base = X86_NO_REG;
	out->index = X86_NO_REG;
	r = decode_prefixes(&d);
	if (r)
		return r;
	r = decode_opcode(&d, &e);
	if (r)
		return r;
	asz = d.flags & X86_IF_67;
	out->opcode = d.opcode;
	out->opcode_off = (uint8_t)(d.pos - 1);
	out->addrsize = (uint8_t)(d.m64 ? 8 >> asz : (mode == X86_MODE_32) != asz ? 4 : 2);
	out->seg = d.seg == NO_SEG ? SEG_DS : d.seg;
	out->seg_override = d.seg != NO_SEG;
	out->rex = d.rex;
	out->vvvv = d.vvvv;
	if (e->sel != SEL_LEAF) {
		r = walk(&d, &e);
		if (r)
			return r;
	}
	if (d.vex)
		out->pp = d.pp;
	r = decode_leaf(&d, e);
	if (r)
		return r;
	out->len = (uint8_t)d.pos;
	return out->len;
}

bool x86_insn_before_feature(struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_TZCNT:
		insn->op = X86_OP_BSF;
		break;
	case X86_OP_LZCNT:
		insn->op = X86_OP_BSR;
		break;
	case X86_OP_WBNOINVD:
		insn->op = X86_OP_WBINVD;
		break;
	default:
		return false;
	}
	insn->feature = X86_FEAT_NONE;
	insn->pp = PP_NONE;
	insn->flags &= (uint16_t)~X86_IF_HOST;
	if (insn->nopds)
		insn->opd[0].access |= X86_ACC_R; /* BSF and BSR may leave it as it is */
	return true;
}

const char *x86_op_name(enum x86_op op)
{
	static const char *const names[X86_OP_COUNT] = {
		[X86_OP_INVALID] = "(bad)",
#define NAME(id, name) [X86_OP_##id] = name,
		X86_OPS_INTEGER(NAME) X86_OPS_SYSTEM(NAME) X86_OPS_XSTATE(NAME) X86_OPS_SIMD(NAME)
#undef NAME
	};

	return op < X86_OP_COUNT ? names[op] : names[X86_OP_INVALID];
}
