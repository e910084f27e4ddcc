// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Re-encoding one guest instruction as a host function (see thunk_int.h).
 * Source: Intel SDM vol. 2 ch. 2 (REX, VEX), appendix A and B. Threads: pure.
 *
 * In the thunk: rdx = the operation if it is a chained one (kept in r11), rdi = the vCPU (s.gpr at
 * offset 0), rsi = the memory operand; ModRM.reg, ModRM.rm and VEX.vvvv become r8, r9 and r10 where
 * they name general registers. All are the caller's to lose. Whole 64-bit registers are loaded and
 * stored, so partial writes and zero extension come out as the host does them.
 */
#include "engine/soft/thunk_int.h"

#include <stddef.h>

_Static_assert(offsetof(struct soft_op, fn) == 0 && sizeof(struct soft_op) < 128,
	       "chained thunks step to the next operation");
_Static_assert(offsetof(struct soft_cpu, s) == 0 && offsetof(struct x86_state, gpr) == 0,
	       "thunks address s.gpr from the vCPU's start");

enum {
	HOST_RAX,
	HOST_RCX,
	HOST_RDX,
	HOST_RSI = 6,
	HOST_RDI = 7,
	HOST_REG = 8,
	HOST_RM = 9,
	HOST_VVVV = 10
};

/* ---- Which instructions touch general registers and flags ----------------------------------- */

#define PP(n) (1u << (n))
#define PP_ALL 15u

struct role {
	uint8_t map, lo, hi, pps; /* opcodes lo..hi, with one of the prefix classes pps */
	bool vex, legacy;
	uint16_t role;
};

static const struct role roles[] = {
	/* cvtsi2ss/sd, cvt(t)ss/sd2si, movmskps, ucomis, comis, movd/movq */
	{X86_MAP_0F, 0x2a, 0x2a, PP(2) | PP(3), true, true, TR_RM | TR_W_SIZE},
	{X86_MAP_0F, 0x2c, 0x2d, PP(2) | PP(3), true, true, TR_REG | TR_W_REG | TR_W_SIZE},
	{X86_MAP_0F, 0x2e, 0x2f, PP(0) | PP(1), true, true, TR_FLAGS_OUT},
	{X86_MAP_0F, 0x50, 0x50, PP(0) | PP(1), true, true, TR_REG | TR_W_REG},
	{X86_MAP_0F, 0x6e, 0x6e, PP(0) | PP(1), true, true, TR_RM | TR_W_SIZE},
	{X86_MAP_0F, 0x7e, 0x7e, PP(0) | PP(1), true, true, TR_RM | TR_W_RM | TR_W_SIZE},
	/* shld, shrd */
	{X86_MAP_0F, 0xa4, 0xa4, PP(0) | PP(1), false, true,
	 TR_REG | TR_RM | TR_W_RM | TR_FLAGS_RW | TR_OPSIZE},
	{X86_MAP_0F, 0xa5, 0xa5, PP(0) | PP(1), false, true,
	 TR_REG | TR_RM | TR_W_RM | TR_FLAGS_RW | TR_OPSIZE | TR_IN_CX},
	{X86_MAP_0F, 0xac, 0xac, PP(0) | PP(1), false, true,
	 TR_REG | TR_RM | TR_W_RM | TR_FLAGS_RW | TR_OPSIZE},
	{X86_MAP_0F, 0xad, 0xad, PP(0) | PP(1), false, true,
	 TR_REG | TR_RM | TR_W_RM | TR_FLAGS_RW | TR_OPSIZE | TR_IN_CX},
	/* popcnt; tzcnt, lzcnt, bsf, bsr */
	{X86_MAP_0F, 0xb8, 0xb8, PP(2), false, true,
	 TR_REG | TR_RM | TR_W_REG | TR_FLAGS_RW | TR_OPSIZE},
	{X86_MAP_0F, 0xbc, 0xbd, PP(0) | PP(1) | PP(2), false, true,
	 TR_REG | TR_RM | TR_W_REG | TR_FLAGS_RW | TR_OPSIZE},
	/* pinsrw, pextrw, pmovmskb */
	{X86_MAP_0F, 0xc4, 0xc4, PP(0) | PP(1), true, true, TR_RM},
	{X86_MAP_0F, 0xc5, 0xc5, PP(0) | PP(1), true, true, TR_REG | TR_W_REG},
	{X86_MAP_0F, 0xd7, 0xd7, PP(0) | PP(1), true, true, TR_REG | TR_W_REG},
	/* vtestps/pd, ptest */
	{X86_MAP_0F38, 0x0e, 0x0f, PP(1), true, false, TR_FLAGS_OUT},
	{X86_MAP_0F38, 0x17, 0x17, PP(1), true, true, TR_FLAGS_OUT},
	/* movbe; crc32 */
	{X86_MAP_0F38, 0xf0, 0xf0, PP(0) | PP(1), false, true, TR_REG | TR_W_REG | TR_OPSIZE},
	{X86_MAP_0F38, 0xf1, 0xf1, PP(0) | PP(1), false, true, TR_REG | TR_OPSIZE},
	{X86_MAP_0F38, 0xf0, 0xf1, PP(3), false, true, TR_REG | TR_RM | TR_W_REG | TR_OPSIZE},
	/* andn; blsr, blsmsk, blsi; bzhi; pext, pdep; adcx, adox; mulx; bextr; shlx, sarx, shrx */
	{X86_MAP_0F38, 0xf2, 0xf2, PP(0), true, false,
	 TR_REG | TR_RM | TR_VVVV | TR_W_REG | TR_FLAGS_RW | TR_W_SIZE},
	{X86_MAP_0F38, 0xf3, 0xf3, PP(0), true, false,
	 TR_RM | TR_VVVV | TR_W_VVVV | TR_FLAGS_RW | TR_W_SIZE},
	{X86_MAP_0F38, 0xf5, 0xf5, PP(0), true, false,
	 TR_REG | TR_RM | TR_VVVV | TR_W_REG | TR_FLAGS_RW | TR_W_SIZE},
	{X86_MAP_0F38, 0xf5, 0xf5, PP(2) | PP(3), true, false,
	 TR_REG | TR_RM | TR_VVVV | TR_W_REG | TR_W_SIZE},
	{X86_MAP_0F38, 0xf6, 0xf6, PP(1) | PP(2), false, true,
	 TR_REG | TR_RM | TR_W_REG | TR_FLAGS_RW},
	{X86_MAP_0F38, 0xf6, 0xf6, PP(3), true, false,
	 TR_REG | TR_RM | TR_VVVV | TR_W_REG | TR_W_VVVV | TR_IN_DX | TR_W_SIZE},
	{X86_MAP_0F38, 0xf7, 0xf7, PP(0), true, false,
	 TR_REG | TR_RM | TR_VVVV | TR_W_REG | TR_FLAGS_RW | TR_W_SIZE},
	{X86_MAP_0F38, 0xf7, 0xf7, PP(1) | PP(2) | PP(3), true, false,
	 TR_REG | TR_RM | TR_VVVV | TR_W_REG | TR_W_SIZE},
	/* pextrb, pextrw, pextrd/q, extractps; pinsrb, pinsrd/q */
	{X86_MAP_0F3A, 0x14, 0x17, PP(1), true, true, TR_RM | TR_W_RM | TR_W_SIZE},
	{X86_MAP_0F3A, 0x20, 0x20, PP(1), true, true, TR_RM | TR_W_SIZE},
	{X86_MAP_0F3A, 0x22, 0x22, PP(1), true, true, TR_RM | TR_W_SIZE},
	/* pcmpestrm, pcmpestri, pcmpistrm, pcmpistri */
	{X86_MAP_0F3A, 0x60, 0x60, PP(1), true, true,
	 TR_IN_AX | TR_IN_DX | TR_FLAGS_OUT | TR_W_SIZE},
	{X86_MAP_0F3A, 0x61, 0x61, PP(1), true, true,
	 TR_IN_AX | TR_IN_DX | TR_OUT_CX | TR_FLAGS_OUT | TR_W_SIZE},
	{X86_MAP_0F3A, 0x62, 0x62, PP(1), true, true, TR_FLAGS_OUT},
	{X86_MAP_0F3A, 0x63, 0x63, PP(1), true, true, TR_OUT_CX | TR_FLAGS_OUT},
	/* rorx */
	{X86_MAP_0F3A, 0xf0, 0xf0, PP(3), true, false, TR_REG | TR_RM | TR_W_REG | TR_W_SIZE},
};

/* x87 register forms: FCMOVcc, F(U)COMI(P), FNSTSW AX. */
static unsigned x87_role(unsigned opcode, unsigned modrm)
{
	unsigned ext = modrm >> 3 & 7;

	if (modrm < 0xc0)
		return 0;
	if ((opcode == 0xda || opcode == 0xdb) && ext < 4)
		return TR_FLAGS_IN;
	if ((opcode == 0xdb || opcode == 0xdf) && (ext == 5 || ext == 6))
		return TR_FLAGS_RW;
	if (opcode == 0xdf && modrm == 0xe0)
		return TR_IN_AX | TR_OUT_AX;
	return 0;
}

unsigned thunk_role(unsigned map, unsigned opcode, unsigned pp, unsigned modrm, bool vex)
{
	if (map == X86_MAP_1B)
		return x87_role(opcode, modrm);
	for (unsigned i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		const struct role *r = &roles[i];

		if (r->map == map && opcode >= r->lo && opcode <= r->hi && (r->pps & PP(pp)) &&
		    (vex ? r->vex : r->legacy))
			return r->role;
	}
	return 0;
}

static unsigned key_role(uint64_t key)
{
	return thunk_role(tk_get(key, TK_MAP, 2), tk_get(key, TK_OPCODE, 8), tk_get(key, TK_PP, 2),
			  tk_get(key, TK_MODRM, 8), tk_get(key, TK_VEX, 1));
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static bool has_high8(const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind == X86_OPD_REG && insn->opd[i].rc == X86_RC_GPRH)
			return true;
	}
	return false;
}

static uint64_t bits(uint64_t v, unsigned shift)
{
	return v << shift;
}

/* The immediate bytes; a register in imm8[7:4] (VBLENDV) is an operand to the decoder. */
static uint64_t imm_bytes(const struct x86_insn *insn)
{
	uint64_t imm = insn->imm & 0xff;

	if ((insn->flags & X86_IF_VEX) && insn->map == X86_MAP_0F3A && insn->opcode >= 0x4a &&
	    insn->opcode <= 0x4c)
		return (uint64_t)(insn->opd[3].reg & 15u) << 4;
	if (insn->imm_len == 2)
		imm |= bits(insn->imm2 & 0xff, 8);
	return imm;
}

uint64_t thunk_key(const struct x86_insn *insn)
{
	bool vex = (insn->flags & X86_IF_VEX) != 0;
	bool m64 = insn->mode == X86_MODE_64;
	unsigned role = thunk_role(insn->map, insn->opcode, insn->pp, insn->modrm, vex);
	unsigned pp = insn->pp, rex = insn->rex & 15u, vvvv = insn->vvvv;
	uint64_t key = bits(1, TK_VALID);

	if (insn->imm_len > 2 || insn->map > X86_MAP_0F3A)
		return 0;
	if (!m64) {
		vvvv &= 7;
		rex &= role & TR_W_SIZE ? 0u : 8u;
	}
	if (role & TR_OPSIZE) {
		if (pp == 1)
			pp = 0;
		if (thunk_has_size2(insn))
			key |= bits(1, TK_OPSIZE16);
		if (has_high8(insn))
			key |= bits(1, TK_HIGH8);
	}
	if (insn->flags & X86_IF_MODRM)
		key |= bits(1, TK_HAS_MODRM) | bits(insn->modrm, TK_MODRM);
	if (vex)
		key |= bits(1, TK_VEX) | bits(vvvv, TK_VVVV) | bits(insn->vex_l & 1u, TK_L);
	key |= bits(insn->opcode, TK_OPCODE) | bits(insn->map, TK_MAP) | bits(pp, TK_PP);
	key |= bits(rex, TK_REX) | bits(insn->imm_len, TK_IMM_LEN);
	if (insn->imm_len)
		key |= bits(imm_bytes(insn), TK_IMM);
	return key;
}

/* ---- Emission ------------------------------------------------------------------------------- */

struct out {
	uint8_t *p;
	unsigned n;
};

static void put(struct out *o, unsigned byte)
{
	o->p[o->n++] = (uint8_t)byte;
}

static void put_bytes(struct out *o, const uint8_t *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put(o, b[i]);
}

static void put32(struct out *o, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		put(o, v >> 8 * i & 0xff);
}

/* ModRM and displacement of [rdi + off]. */
static void put_rdi(struct out *o, unsigned reg, uint32_t off)
{
	unsigned modrm = (reg & 7) << 3 | HOST_RDI;

	if (off < 128) {
		put(o, 0x40 | modrm);
		put(o, off);
	} else {
		put(o, 0x80 | modrm);
		put32(o, off);
	}
}

static void load_gpr(struct out *o, unsigned host, unsigned guest)
{
	put(o, 0x48 | host >> 3 << 2);
	put(o, 0x8b);
	put_rdi(o, host, guest * 8);
}

static void store_gpr(struct out *o, unsigned host, unsigned guest)
{
	put(o, 0x48 | host >> 3 << 2);
	put(o, 0x89);
	put_rdi(o, host, guest * 8);
}

/* movzx host, byte [rdi + guest * 8 + 1]: AH and its like into a low byte. */
static void load_high8(struct out *o, unsigned host, unsigned guest)
{
	put(o, 0x40 | host >> 3 << 2);
	put(o, 0x0f);
	put(o, 0xb6);
	put_rdi(o, host, guest * 8 + 1);
}

#define FLAGS_OFF ((uint32_t)offsetof(struct soft_cpu, s.rflags))

/* Guest arithmetic flags into the host's; rax is lost. */
static void load_flags(struct out *o)
{
	put(o, 0x8a); /* mov al, [rflags + 1] */
	put_rdi(o, HOST_RAX, FLAGS_OFF + 1);
	put(o, 0x24); /* and al, 8: OF */
	put(o, 0x08);
	put(o, 0x04); /* add al, 0x78: overflows if it is set */
	put(o, 0x78);
	put(o, 0x8a); /* mov ah, [rflags] */
	put_rdi(o, 4, FLAGS_OFF);
	put(o, 0x9e); /* sahf */
}

/* Host arithmetic flags into the guest's; rax, rcx and rdx are lost. */
static void store_flags(struct out *o)
{
	static const uint8_t collect[] = {
		0x9f,		  /* lahf */
		0x0f, 0x90, 0xc0, /* seto al */
		0x0f, 0xb6, 0xd4, /* movzx edx, ah */
		0x0f, 0xb6, 0xc0, /* movzx eax, al */
		0xc1, 0xe0, 0x0b, /* shl eax, 11 */
		0x09, 0xc2,	  /* or edx, eax */
	};

	put_bytes(o, collect, sizeof(collect));
	put(o, 0x8b); /* mov ecx, [rflags] */
	put_rdi(o, HOST_RCX, FLAGS_OFF);
	put(o, 0x81); /* and ecx, ~arithmetic */
	put(o, 0xe1);
	put32(o, ~FLAGS_ARITH);
	put(o, 0x09); /* or ecx, edx */
	put(o, 0xd1);
	put(o, 0x89); /* mov [rflags], ecx */
	put_rdi(o, HOST_RCX, FLAGS_OFF);
}

struct fields {
	unsigned reg, rm, vvvv; /* guest numbers */
	bool mem;
};

static struct fields key_fields(uint64_t key)
{
	unsigned modrm = tk_get(key, TK_MODRM, 8), rex = tk_get(key, TK_REX, 4);
	struct fields f;

	f.reg = (modrm >> 3 & 7) | (rex & 4) << 1;
	f.rm = (modrm & 7) | (rex & 1) << 3;
	f.vvvv = tk_get(key, TK_VVVV, 4);
	f.mem = tk_get(key, TK_HAS_MODRM, 1) && modrm < 0xc0;
	return f;
}

static void emit_host_insn(struct out *o, uint64_t key, unsigned role)
{
	static const uint8_t pp_byte[4] = {0, 0x66, 0xf3, 0xf2};
	unsigned modrm = tk_get(key, TK_MODRM, 8), rex = tk_get(key, TK_REX, 4);
	unsigned map = tk_get(key, TK_MAP, 2), pp = tk_get(key, TK_PP, 2);
	unsigned vvvv = tk_get(key, TK_VVVV, 4);
	bool mem = tk_get(key, TK_HAS_MODRM, 1) && modrm < 0xc0;

	if (role & TR_REG) {
		modrm = (modrm & 0xc7) | (HOST_REG & 7) << 3;
		rex |= 4;
	}
	if (mem) {
		modrm = (modrm & 0x38) | 6; /* [rsi] */
		rex &= ~3u;
	} else if (role & TR_RM) {
		modrm = (modrm & 0xf8) | (HOST_RM & 7);
		rex = (rex & ~2u) | 1;
	}
	if (role & TR_VVVV)
		vvvv = HOST_VVVV;

	if (tk_get(key, TK_VEX, 1)) {
		put(o, 0xc4);
		put(o, (~rex & 7) << 5 | map);
		put(o, (rex & 8) << 4 | (~vvvv & 15) << 3 | tk_get(key, TK_L, 1) << 2 | pp);
	} else {
		if (tk_get(key, TK_OPSIZE16, 1))
			put(o, 0x66);
		if (pp)
			put(o, pp_byte[pp]);
		if (rex)
			put(o, 0x40 | rex);
		if (map != X86_MAP_1B)
			put(o, 0x0f);
		if (map == X86_MAP_0F38 || map == X86_MAP_0F3A)
			put(o, map == X86_MAP_0F38 ? 0x38 : 0x3a);
	}
	put(o, tk_get(key, TK_OPCODE, 8));
	if (tk_get(key, TK_HAS_MODRM, 1))
		put(o, modrm);
	for (unsigned i = 0; i < tk_get(key, TK_IMM_LEN, 2); i++)
		put(o, tk_get(key, TK_IMM + 8 * i, 8));
}

static void emit_loads(struct out *o, uint64_t key, unsigned role, const struct fields *f)
{
	if (role & TR_FLAGS_IN)
		load_flags(o);
	if (role & TR_IN_AX)
		load_gpr(o, HOST_RAX, R_RAX);
	if (role & TR_IN_CX)
		load_gpr(o, HOST_RCX, R_RCX);
	if (role & TR_IN_DX)
		load_gpr(o, HOST_RDX, R_RDX);
	if (role & TR_REG)
		load_gpr(o, HOST_REG, f->reg);
	if ((role & TR_RM) && !f->mem) {
		if (tk_get(key, TK_HIGH8, 1))
			load_high8(o, HOST_RM, f->rm & 3);
		else
			load_gpr(o, HOST_RM, f->rm);
	}
	if (role & TR_VVVV)
		load_gpr(o, HOST_VVVV, f->vvvv);
}

/* What soft_next() does: cpu->op = ++op; return op->fn(cpu, op). */
static void emit_next(struct out *o)
{
	static const uint8_t lea_rsi_r11[] = {0x49, 0x8d, 0x73, sizeof(struct soft_op)};
	static const uint8_t jmp_at_rsi[] = {0xff, 0x26};

	put_bytes(o, lea_rsi_r11, sizeof(lea_rsi_r11));
	put(o, 0x48); /* mov [cpu->op], rsi */
	put(o, 0x89);
	put_rdi(o, HOST_RSI, (uint32_t)offsetof(struct soft_cpu, op));
	put_bytes(o, jmp_at_rsi, sizeof(jmp_at_rsi));
}

unsigned thunk_emit(uint64_t key, uint8_t *buf)
{
	static const uint8_t mov_r11_rdx[] = {0x49, 0x89, 0xd3};
	struct out o = {buf, 0};
	unsigned role = key_role(key);
	struct fields f = key_fields(key);

	if (tk_get(key, TK_CHAIN, 1))
		put_bytes(&o, mov_r11_rdx, sizeof(mov_r11_rdx));
	emit_loads(&o, key, role, &f);
	emit_host_insn(&o, key, role);
	/* MULX with one register for both halves leaves the high one: vvvv first. */
	if (role & TR_W_VVVV)
		store_gpr(&o, HOST_VVVV, f.vvvv);
	if (role & TR_W_REG)
		store_gpr(&o, HOST_REG, f.reg);
	if ((role & TR_W_RM) && !f.mem)
		store_gpr(&o, HOST_RM, f.rm);
	if (role & TR_OUT_AX)
		store_gpr(&o, HOST_RAX, R_RAX);
	if (role & TR_OUT_CX)
		store_gpr(&o, HOST_RCX, R_RCX);
	if (role & TR_FLAGS_OUT)
		store_flags(&o);
	if (tk_get(key, TK_CHAIN, 1))
		emit_next(&o);
	else
		put(&o, 0xc3);
	return o.n;
}
