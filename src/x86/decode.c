// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction decoder: prefixes, opcode, a walk through the tables, ModRM, operands.
 * Source: Intel SDM vol. 2 ch. 2 and appendix A; AMD APM vol. 3 ch. 1 and appendix A.
 * Threads: any; nothing is kept.
 *
 * Where Intel and AMD differ, this follows AMD: see X86_AMD_* in decode_int.h.
 *
 * Encodings refused on purpose (X86_DECODE_UD), because no CPU model offered to guests has them:
 *   VMX and SVM except VMCALL and VMMCALL; SMX (GETSEC); SGX; TSX (XBEGIN, XEND, XABORT, XTEST; the
 *   HLE prefixes are ignored); 3DNow! with FEMMS; XOP, FMA4, TBM, LWP; EVEX and MVEX; AMX; Key
 *   Locker; MOVDIRI, MOVDIR64B, ENQCMD; PKU (RDPKRU, WRPKRU); SERIALIZE; UINTR; WAITPKG; PTWRITE;
 *   PCONFIG; MONITORX, MWAITX; RDPRU; INVLPGB; VIA PadLock; IA-64's JMPE; test registers.
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
	int more; /* what running out of bytes means: X86_DECODE_MORE or _LONG */
	bool m64, osz, asz, lock, vex, has_modrm, mem, mand66, used_vvvv;
	uint8_t rep; /* 0, PP_F3, PP_F2: the last one */
	uint8_t pp, seg, rex, opcode, mod, opidx;
	uint8_t vvvv;
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
			d->osz = true;
		else if (kind == K_67)
			d->asz = true;
		else if (kind == K_LOCK)
			d->lock = true;
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

	if (d->rex || d->osz || d->rep || d->lock)
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
	d->pp = d->rep ? d->rep : d->osz ? PP_66 : PP_NONE;
	return 0;
}

static int need_modrm(struct dec *d)
{
	if (d->has_modrm)
		return 0;
	if (d->pos >= d->limit)
		return d->more;
	d->has_modrm = true;
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
		case SEL_OPC_B:
			i = d->rex & 1;
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
	bool osz = d->osz && !d->mand66;

	if (fl & F_NATIVE)
		return d->m64 ? 2 : 1;
	if (d->vex)
		return d->m64 && REX_W(d) ? 2 : 1;
	if (!d->m64)
		return (d->out->mode == X86_MODE_32) != osz;
	if (REX_W(d))
		return 2;
	if ((fl & F_NEAR) && !X86_AMD_NEAR_BRANCH)
		return 2;
	if (osz)
		return 0;
	return fl & (F_D64 | F_NEAR) ? 2 : 1;
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
		uint8_t sib;
		unsigned index;

		if (next_byte(d, &sib))
			return d->more;
		out->flags |= X86_IF_SIB;
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

/* ---- Operands -------------------------------------------------------------------------------- */

static bool valid_special(struct dec *d, struct x86_operand *o, unsigned reg)
{
	switch (o->rc) {
	case X86_RC_SEG:
		o->reg = reg & 7;
		return o->reg < SEG_COUNT && !(o->reg == SEG_CS && (o->access & X86_ACC_W));
	case X86_RC_CR:
		if (d->lock && reg == 0)
			o->reg = 8;
		return o->reg <= 8 && (0x11d >> o->reg & 1) && !(d->lock && reg);
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
	o->size = x86_size[s->rsize][d->out->vex_l * 3 + d->opidx];
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
	unsigned n = x86_size[s->rsize][d->opidx];
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

static int set_operand(struct dec *d, struct x86_operand *o, unsigned spec)
{
	const struct x86_spec *s = &x86_specs[spec >> 2];
	unsigned msize = x86_size[s->msize < SZ_COUNT ? s->msize : 0][d->out->vex_l * 3 + d->opidx];

	o->access = spec & 3;
	switch (s->how) {
	case H_RM:
	case H_RM_REG:
	case H_RM_MEM:
		if (!d->mem) {
			if (s->how == H_RM_MEM)
				return X86_DECODE_UD;
			return set_reg(d, o, s, modrm_rm(d) | REX_B(d));
		}
		if (s->how == H_RM_REG)
			return X86_DECODE_UD;
		set_mem(o, X86_OPD_MEM, msize);
		return 0;
	case H_REG:
		return set_reg(d, o, s, modrm_reg(d) | REX_R(d));
	case H_OPC:
		return set_reg(d, o, s, (d->opcode & 7u) | REX_B(d));
	case H_VVVV:
		d->used_vvvv = true;
		return set_reg(d, o, s, d->vvvv & (d->m64 ? 15 : 7));
	case H_IS4:
		return set_is4(d, o, s);
	case H_FIXI:
		o->implicit = true;
		return set_reg(d, o, s, s->msize);
	case H_FIX:
		return set_reg(d, o, s, s->msize);
	case H_MOFFS:
		return set_moffs(d, o, msize);
	case H_SRC:
	case H_DST:
		o->implicit = true;
		if (s->how == H_DST && !d->mem && d->seg == NO_SEG)
			d->out->seg = SEG_ES;
		else if (s->how == H_SRC && d->seg == NO_SEG)
			d->out->seg = SEG_DS;
		d->mem |= s->how == H_SRC;
		set_mem(o, s->how == H_SRC ? X86_OPD_STR_SRC : X86_OPD_STR_DST, msize);
		return 0;
	case H_MEMI:
		o->implicit = true;
		d->out->base = s->msize;
		set_mem(o, X86_OPD_MEM, x86_size[s->rsize][0]);
		return 0;
	default:
		return set_imm(d, o, s);
	}
}

/* ---- Checks and flags ------------------------------------------------------------------------ */

static bool leaf_ok(const struct dec *d, const struct x86_ent *e)
{
	uint32_t fl = e->flags;

	if (e->op == X86_OP_INVALID || (fl & (d->m64 ? F_NO64 : F_ONLY64)))
		return false;
	if (d->vex) {
		if ((fl & F_W0 && REX_W(d)) || (fl & F_W1 && !REX_W(d)))
			return false;
		if ((fl & F_L0 && d->out->vex_l) || (fl & F_L1 && !d->out->vex_l))
			return false;
	}
	return true;
}

static bool operands_ok(const struct dec *d, uint32_t fl)
{
	const struct x86_operand *o = d->out->opd;

	if (d->lock && !(fl & F_CR8) && !((fl & F_LOCK) && o[0].kind == X86_OPD_MEM))
		return false;
	if (d->vex && !d->used_vvvv && d->vvvv)
		return false;
	if (fl & F_DISTINCT) {
		uint8_t dst = o[0].reg, mask = o[2].reg, index = d->out->index;

		return dst != mask && dst != index && mask != index;
	}
	return true;
}

static void set_flags(struct dec *d, const struct x86_ent *e)
{
	struct x86_insn *out = d->out;
	uint32_t fl = e->flags;
	unsigned f = out->flags;

	if (d->lock)
		f |= X86_IF_LOCK;
	if (d->rep && (fl & (F_REP | F_REPCC)))
		f |= d->rep == PP_F2 && (fl & F_REPCC) ? X86_IF_REPNE : X86_IF_REP;
	if (d->vex)
		f |= X86_IF_VEX;
	if (d->has_modrm)
		f |= X86_IF_MODRM;
	if (d->osz)
		f |= X86_IF_66;
	if (d->asz)
		f |= X86_IF_67;
	if (fl & F_BR)
		f |= X86_IF_BRANCH;
	if (fl & F_PRIV)
		f |= X86_IF_PRIV;
	if ((fl & F_ALIGN) && d->mem)
		f |= X86_IF_ALIGNED;
	if (fl & F_HOST)
		f |= X86_IF_HOST;
	if (fl & F_VSIB)
		f |= X86_IF_VSIB;
	if ((fl & (F_D64 | F_NEAR)) && d->m64)
		f |= X86_IF_DEFAULT64;
	out->flags = (uint16_t)f;
	out->feature = e->feat;
	if ((fl & F_LAHF) && !d->m64)
		out->feature = X86_FEAT_NONE;
	if ((fl & F_AVX2L) && out->vex_l)
		out->feature = X86_FEAT_AVX2;
	if (fl & F_CC)
		out->cc = d->opcode & 15;
}

/* The instruction is found: its memory operand, operands and everything about it. */
static int decode_leaf(struct dec *d, const struct x86_ent *e)
{
	struct x86_insn *out = d->out;
	unsigned n;
	int r;

	if (!leaf_ok(d, e))
		return X86_DECODE_UD;
	d->opidx = operand_size(d, e->flags);
	out->opsize = (uint8_t)(2 << d->opidx);
	if (e->flags & F_MODRM) {
		if (need_modrm(d))
			return d->more;
		if (d->mod != 3 && !(e->flags & F_REGRM)) {
			r = decode_mem(d, e->flags);
			if (r)
				return r;
		}
	}
	for (n = 0; n < X86_MAX_OPDS && e->opd[n]; n++) {
		r = set_operand(d, &out->opd[n], e->opd[n]);
		if (r)
			return r;
	}
	out->nopds = (uint8_t)n;
	if (!operands_ok(d, e->flags))
		return X86_DECODE_UD;
	set_flags(d, e);
	out->op = e->op;
	return 0;
}

int x86_decode(struct x86_insn *out, const uint8_t *bytes, size_t avail, enum x86_mode mode)
{
	struct dec d = {
		.p = bytes,
		.out = out,
		.limit = avail < X86_MAX_INSN_BYTES ? (unsigned)avail : X86_MAX_INSN_BYTES,
		.more = avail < X86_MAX_INSN_BYTES ? X86_DECODE_MORE : X86_DECODE_LONG,
		.m64 = mode == X86_MODE_64,
		.seg = NO_SEG,
	};
	const struct x86_ent *e = NULL;
	int r;

	*out = (struct x86_insn){.mode = (uint8_t)mode, .base = X86_NO_REG, .index = X86_NO_REG};
	r = decode_prefixes(&d);
	if (r)
		return r;
	r = decode_opcode(&d, &e);
	if (r)
		return r;
	out->opcode = d.opcode;
	out->opcode_off = (uint8_t)(d.pos - 1);
	out->addrsize = (uint8_t)(d.m64 ? 8 >> d.asz : (mode == X86_MODE_32) != d.asz ? 4 : 2);
	out->seg = d.seg == NO_SEG ? SEG_DS : d.seg;
	out->seg_override = d.seg != NO_SEG;
	out->rex = d.rex;
	out->vvvv = d.vvvv;
	r = walk(&d, &e);
	if (r)
		return r;
	if (d.vex)
		out->pp = d.pp;
	r = decode_leaf(&d, e);
	if (r)
		return r;
	out->len = (uint8_t)d.pos;
	return out->len;
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
