// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's arithmetic. The host's own instruction computes result and flags; only
 * the arithmetic flags of the guest are ever loaded into the host's RFLAGS.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "emu_int.h"

/* ---- The host's instructions ---------------------------------------------------------------- */

/* d = OP(d, s); flags in and out. */
typedef uint64_t (*host_fn)(unsigned size, uint64_t d, uint64_t s, uint64_t *flags);

/* Host flags with the guest's arithmetic ones; afterwards they are read. The stack is even again. */
#define FLAGS_IN "pushfq\n\tandl $~0x8d5, (%%rsp)\n\torq %[f], (%%rsp)\n\tpopfq\n\t"
#define FLAGS_OUT "\n\tpushfq\n\tpopq %[f]"
#define HOST_ASM(text)                       \
	__asm__(FLAGS_IN text FLAGS_OUT      \
		: [d] "+&q"(d), [f] "+&r"(f) \
		: [s] "c"(s)                 \
		: "cc", "memor"              \
			"y")

/* The source operand: as wide as the destination, CL, none. */
#define SRC_SAME(m) " %" m "[s], "
#define SRC_CL(m) " %b[s], "
#define SRC_NONE(m) " "

#define HOST_CASE(size, insn, suffix, m, SRC)             \
	case size:                                        \
		HOST_ASM(insn suffix SRC(m) "%" m "[d]"); \
		break;
#define HOST_WIDE(insn, SRC)              \
	HOST_CASE(2, insn, "w", "w", SRC) \
	HOST_CASE(4, insn, "l", "k", SRC) \
	HOST_CASE(8, insn, "q", "q", SRC)
#define HOST_FN(name, cases)                                                                \
	static uint64_t host_##name(unsigned size, uint64_t d, uint64_t s, uint64_t *flags) \
	{                                                                                   \
		uint64_t f = *flags & FLAGS_ARITH;                                          \
                                                                                            \
		switch (size) {                                                             \
			cases                                                               \
		}                                                                           \
		*flags = f;                                                                 \
		return d;                                                                   \
	}
#define HOST(name, insn, SRC) HOST_FN(name, HOST_CASE(1, insn, "b", "b", SRC) HOST_WIDE(insn, SRC))
#define HOST_NO8(name, insn) HOST_FN(name, HOST_WIDE(insn, SRC_SAME))

HOST(add, "add", SRC_SAME)
HOST(or, "or", SRC_SAME)
HOST(adc, "adc", SRC_SAME)
HOST(sbb, "sbb", SRC_SAME)
HOST(and, "and", SRC_SAME)
HOST(sub, "sub", SRC_SAME)
HOST(xor, "xor", SRC_SAME)
HOST(inc, "inc", SRC_NONE)
HOST(dec, "dec", SRC_NONE)
HOST(neg, "neg", SRC_NONE)
HOST(rol, "rol", SRC_CL)
HOST(ror, "ror", SRC_CL)
HOST(rcl, "rcl", SRC_CL)
HOST(rcr, "rcr", SRC_CL)
HOST(shl, "shl", SRC_CL)
HOST(shr, "shr", SRC_CL)
HOST(sar, "sar", SRC_CL)
HOST_NO8(bt, "bt")
HOST_NO8(bts, "bts")
HOST_NO8(btr, "btr")
HOST_NO8(btc, "btc")
HOST_NO8(bsf, "bsf")
HOST_NO8(bsr, "bsr")
HOST_NO8(imul, "imul")

static uint64_t host_not(unsigned size, uint64_t d, uint64_t s, uint64_t *flags)
{
	(void)size;
	(void)s;
	(void)flags;
	return ~d;
}

#define DOUBLE_CASE(size, insn, m)                                            \
	case size:                                                            \
		__asm__(FLAGS_IN insn " %%cl, %" m "[s], %" m "[d]" FLAGS_OUT \
			: [d] "+&r"(d), [f] "+&r"(f)                          \
			: [s] "r"(s), "c"(count)                              \
			: "cc", "memory");                                    \
		break;
#define DOUBLE(name, insn)                                                                 \
	static uint64_t host_##name(unsigned size, uint64_t d, uint64_t s, unsigned count, \
				    uint64_t *flags)                                       \
	{                                                                                  \
		uint64_t f = *flags & FLAGS_ARITH;                                         \
                                                                                           \
		switch (size) {                                                            \
			DOUBLE_CASE(2, insn, "w")                                          \
			DOUBLE_CASE(4, insn, "k")                                          \
			DOUBLE_CASE(8, insn, "q")                                          \
		}                                                                          \
		*flags = f;                                                                \
		return d;                                                                  \
	}
DOUBLE(shld, "shld")
DOUBLE(shrd, "shrd")

static host_fn host_of(unsigned op)
{
	static const host_fn fns[] = {
		[X86_OP_ADD] = host_add,  [X86_OP_OR] = host_or,    [X86_OP_ADC] = host_adc,
		[X86_OP_SBB] = host_sbb,  [X86_OP_AND] = host_and,  [X86_OP_SUB] = host_sub,
		[X86_OP_XOR] = host_xor,  [X86_OP_CMP] = host_sub,  [X86_OP_TEST] = host_and,
		[X86_OP_NOT] = host_not,  [X86_OP_NEG] = host_neg,  [X86_OP_INC] = host_inc,
		[X86_OP_DEC] = host_dec,  [X86_OP_ROL] = host_rol,  [X86_OP_ROR] = host_ror,
		[X86_OP_RCL] = host_rcl,  [X86_OP_RCR] = host_rcr,  [X86_OP_SHL] = host_shl,
		[X86_OP_SHR] = host_shr,  [X86_OP_SAR] = host_sar,  [X86_OP_BT] = host_bt,
		[X86_OP_BTS] = host_bts,  [X86_OP_BTR] = host_btr,  [X86_OP_BTC] = host_btc,
		[X86_OP_BSF] = host_bsf,  [X86_OP_BSR] = host_bsr,  [X86_OP_XADD] = host_add,
		[X86_OP_CMPS] = host_sub, [X86_OP_SCAS] = host_sub, [X86_OP_CMPXCHG] = host_sub,
	};

	return fns[op];
}

static void merge_flags(struct lodge_emu *e, uint64_t flags)
{
	e->wflags = (e->wflags & ~(uint64_t)FLAGS_ARITH) | (flags & FLAGS_ARITH);
}

uint64_t emu_compute(struct lodge_emu *e, unsigned size, uint64_t d, uint64_t s)
{
	uint64_t flags = e->wflags, v = host_of(e->insn.op)(size, d, s, &flags);

	merge_flags(e, flags);
	return v;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

/* The write just queued replaces `old` or the instruction starts again. */
static void lock_write(struct lodge_emu *e, uint64_t old, uint64_t old_high)
{
	struct lodge_emu_write *w = &e->writes[0];

	/* Across pages and misaligned it is not atomic. */
	if (e->nwrites != 1 || (w->gpa & (w->len - 1u)))
		return;
	w->locked = true;
	e->old[0] = old;
	e->old[1] = old_high;
}

static int set_result(struct lodge_emu *e, uint64_t old, uint64_t v)
{
	int r = emu_set(e, 0, v);

	if (!r && (e->insn.flags & X86_IF_LOCK))
		lock_write(e, old, 0);
	return r;
}

/* The first two operands. */
static int get_two(struct lodge_emu *e, uint64_t *d, uint64_t *s)
{
	int r = emu_get(e, 0, d);

	return r ? r : emu_get(e, 1, s);
}

int emu_do_alu(struct lodge_emu *e)
{
	uint64_t d = 0, s = 0, v = 0;
	int r = get_two(e, &d, &s);

	if (r)
		return r;
	v = emu_compute(e, e->insn.opd[0].size, d, s);
	if (e->insn.op == X86_OP_CMP || e->insn.op == X86_OP_TEST)
		return 0;
	return set_result(e, d, v);
}

int emu_do_unary(struct lodge_emu *e)
{
	uint64_t d = 0;
	int r = emu_get(e, 0, &d);

	return r ? r : set_result(e, d, emu_compute(e, e->insn.opd[0].size, d, 0));
}

int emu_do_shift(struct lodge_emu *e)
{
	uint64_t d = 0, s = 0;
	int r = get_two(e, &d, &s);

	return r ? r : set_result(e, d, emu_compute(e, e->insn.opd[0].size, d, s));
}

int emu_do_shift_double(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint64_t d = 0, s = 0, count = 0, flags = e->wflags;
	int r = get_two(e, &d, &s);

	if (!r)
		r = emu_get(e, 2, &count);
	if (r)
		return r;
	d = e->insn.op == X86_OP_SHLD ? host_shld(size, d, s, (unsigned)count, &flags)
				      : host_shrd(size, d, s, (unsigned)count, &flags);
	merge_flags(e, flags);
	return emu_set(e, 0, d);
}

/* The other factor is AL, AX, EAX, RAX; the product goes to AX or rDX:rAX. */
int emu_do_mul(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	bool is_signed = e->insn.op == X86_OP_IMUL;
	uint64_t s = 0, a = 0, d = 0, f = e->wflags & FLAGS_ARITH;
	int r = emu_get(e, 0, &s);

	if (r)
		return r;
	a = e->w[R_RAX];
#define MUL_ASM(insn)                              \
	__asm__(FLAGS_IN insn FLAGS_OUT            \
		: "+&a"(a), "+&d"(d), [f] "+&r"(f) \
		: [s] "r"(s)                       \
		: "cc", "memory")
#define MUL_SIZE(suffix, m)                                  \
	do {                                                 \
		if (is_signed)                               \
			MUL_ASM("imul" suffix " %" m "[s]"); \
		else                                         \
			MUL_ASM("mul" suffix " %" m "[s]");  \
	} while (0)
	if (size == 1)
		MUL_SIZE("b", "b");
	else if (size == 2)
		MUL_SIZE("w", "w");
	else if (size == 4)
		MUL_SIZE("l", "k");
	else
		MUL_SIZE("q", "q");
	merge_flags(e, f);
	emu_set_gpr(e, R_RAX, a, size == 1 ? 2 : size);
	if (size > 1)
		emu_set_gpr(e, R_RDX, d, size);
	return 0;
}

int emu_do_imul(struct lodge_emu *e)
{
	unsigned n = e->insn.nopds;
	uint64_t d = 0, s = 0, flags = e->wflags;
	int r;

	if (n == 3 && e->insn.opd[1].implicit)
		return emu_do_mul(e);
	r = emu_get(e, n - 2, &d);
	if (!r)
		r = emu_get(e, n - 1, &s);
	if (r)
		return r;
	d = host_imul(e->insn.opd[0].size, d, s, &flags);
	merge_flags(e, flags);
	return emu_set(e, 0, d);
}

/* hi:lo / s, all of `size` bytes, by their magnitudes. False: #DE. */
static bool divide(unsigned size, bool is_signed, uint64_t *hi, uint64_t *lo, uint64_t s)
{
	bool neg_n = is_signed && (*hi >> (8 * size - 1) & 1),
	     neg_s = is_signed && (s >> (8 * size - 1) & 1);
	uint64_t mask = emu_mask(size), q, rem, limit;
	unsigned __int128 n = (unsigned __int128)*hi << 8 * size | *lo;

	if (neg_n)
		n = -n;
	if (size < 8)
		n &= ((unsigned __int128)1 << 16 * size) - 1;
	if (neg_s)
		s = -s & mask;
	if (!s || (uint64_t)(n >> 8 * size) >= s)
		return false;
	if (size == 8) {
		q = (uint64_t)n;
		rem = (uint64_t)(n >> 64);
		__asm__("divq %[s]" : "+a"(q), "+d"(rem) : [s] "r"(s) : "cc");
	} else {
		q = (uint64_t)n / s;
		rem = (uint64_t)n % s;
	}
	limit = mask >> 1;
	if (is_signed && q > limit + (neg_n != neg_s))
		return false;
	*lo = (neg_n != neg_s ? -q : q) & mask;
	*hi = (neg_n ? -rem : rem) & mask;
	return true;
}

int emu_do_div(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint64_t s = 0, lo = 0, hi = 0;
	int r = emu_get(e, 0, &s);

	if (r)
		return r;
	lo = e->w[R_RAX] & emu_mask(size);
	hi = (size == 1 ? e->w[R_RAX] >> 8 : e->w[R_RDX]) & emu_mask(size);
	if (!divide(size, e->insn.op == X86_OP_IDIV, &hi, &lo, s))
		return emu_raise_plain(e, VEC_DE);
	if (size == 1) {
		emu_set_gpr(e, R_RAX, lo | hi << 8, 2);
		return 0;
	}
	emu_set_gpr(e, R_RAX, lo, size);
	emu_set_gpr(e, R_RDX, hi, size);
	return 0;
}

/* BT, BTS, BTR, BTC: a register as bit number reaches beyond a memory operand. */
int emu_do_bit(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size, op = e->insn.op;
	uint64_t d = 0, bit = 0, off = 0;
	bool mem = e->insn.opd[0].kind == X86_OPD_MEM;
	int r = emu_get(e, 1, &bit);

	if (!r && mem && e->insn.opd[1].kind == X86_OPD_REG)
		off = (uint64_t)((int64_t)emu_sext(bit, size) >> (size == 2   ? 4
								  : size == 4 ? 5
									      : 6)) *
		      size;
	if (!r)
		r = mem ? emu_get_mem(e, off, &d, size) : emu_get(e, 0, &d);
	if (r)
		return r;
	bit &= size * 8 - 1;
	uint64_t v = emu_compute(e, size, d, bit);

	if (op == X86_OP_BT)
		return 0;
	r = mem ? emu_set_mem(e, off, &v, size) : emu_set(e, 0, v);
	if (!r && (e->insn.flags & X86_IF_LOCK))
		lock_write(e, d, 0);
	return r;
}

/* BSF, BSR: 0 leaves the destination alone, though 32 bits of it clear the upper half on some. */
int emu_do_scan(struct lodge_emu *e)
{
	uint64_t d = 0, s = 0;
	int r = get_two(e, &d, &s);

	if (r)
		return r;
	d = emu_compute(e, e->insn.opd[0].size, d, s);
	return s ? emu_set(e, 0, d) : 0;
}

int emu_do_cmpxchg(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint64_t d = 0, s = 0, a = e->w[R_RAX] & emu_mask(size);
	int r = get_two(e, &d, &s);

	if (r)
		return r;
	emu_compute(e, size, a, d);
	/* Memory is written in either case. */
	if (a == d || e->insn.opd[0].kind == X86_OPD_MEM)
		r = set_result(e, d, a == d ? s : d);
	if (!r && a != d)
		emu_set_gpr(e, R_RAX, d, size);
	return r;
}

int emu_do_cmpxchg_pair(struct lodge_emu *e)
{
	unsigned half = e->insn.op == X86_OP_CMPXCHG16B ? 8 : 4;
	uint64_t mask = emu_mask(half), have[2] = {0, 0}, v[2];
	uint8_t buf[16];
	uint64_t lin = 0;
	bool same;
	int r;

	if (half == 8) {
		r = emu_linear(e, e->insn.seg, emu_ea(e), 1, LODGE_EMU_W, &lin);
		if (r)
			return r;
		if (lin & 15)
			return emu_gp(e);
	}
	r = emu_get_mem(e, 0, buf, 2 * half);
	if (r)
		return r;
	__builtin_memcpy(&have[0], buf, half);
	__builtin_memcpy(&have[1], buf + half, half);
	same = have[0] == (e->w[R_RAX] & mask) && have[1] == (e->w[R_RDX] & mask);
	v[0] = same ? e->w[R_RBX] : have[0];
	v[1] = same ? e->w[R_RCX] : have[1];
	__builtin_memcpy(buf, &v[0], half);
	__builtin_memcpy(buf + half, &v[1], half);
	r = emu_set_mem(e, 0, buf, 2 * half);
	if (r)
		return r;
	if (e->insn.flags & X86_IF_LOCK)
		lock_write(e, half == 8 ? have[0] : have[0] | have[1] << 32, have[1]);
	e->wflags &= ~(uint64_t)FLAG_ZF;
	if (same) {
		e->wflags |= FLAG_ZF;
		return 0;
	}
	emu_set_gpr(e, R_RAX, have[0], half);
	emu_set_gpr(e, R_RDX, have[1], half);
	return 0;
}

int emu_do_xadd(struct lodge_emu *e)
{
	uint64_t d = 0, s = 0, v = 0;
	int r = get_two(e, &d, &s);

	if (r)
		return r;
	v = emu_compute(e, e->insn.opd[0].size, d, s);
	if (e->insn.opd[0].kind == X86_OPD_REG) {
		emu_set(e, 1, d); /* first: both may be the same register */
		return emu_set(e, 0, v);
	}
	r = set_result(e, d, v); /* first: the register may be part of the address */
	return r ? r : emu_set(e, 1, d);
}

/* XCHG with memory is locked without a prefix. */
int emu_do_xchg(struct lodge_emu *e)
{
	uint64_t d = 0, s = 0;
	int r = get_two(e, &d, &s);

	if (!r)
		r = emu_set(e, 0, s);
	if (r)
		return r;
	if (e->insn.opd[0].kind == X86_OPD_MEM)
		lock_write(e, d, 0);
	return emu_set(e, 1, d);
}

/* ---- Decimal: DAA DAS AAA AAS AAM AAD (SDM vol. 2A) ------------------------------------------- */

static void set_szp(struct lodge_emu *e, uint8_t v, bool cf, bool af)
{
	uint64_t flags = 0;

	host_or(1, v, v, &flags);
	e->wflags &= ~(uint64_t)(FLAG_SF | FLAG_ZF | FLAG_PF | FLAG_CF | FLAG_AF);
	e->wflags |=
		(flags & (FLAG_SF | FLAG_ZF | FLAG_PF)) | (cf ? FLAG_CF : 0) | (af ? FLAG_AF : 0);
}

static void decimal_adjust(struct lodge_emu *e, bool sub)
{
	uint8_t al = (uint8_t)e->w[R_RAX], old = al;
	bool cf = e->wflags & FLAG_CF, af = e->wflags & FLAG_AF, carry = false;

	if ((al & 15) > 9 || af) {
		carry = cf || (sub ? al < 6 : al > 0xf9);
		al = (uint8_t)(sub ? al - 6 : al + 6);
		af = true;
	}
	if (old > 0x99 || cf) {
		al = (uint8_t)(sub ? al - 0x60 : al + 0x60);
		carry = true;
	}
	emu_set_gpr(e, R_RAX, al, 1);
	set_szp(e, al, carry, af);
}

static void ascii_adjust(struct lodge_emu *e, bool sub)
{
	uint16_t ax = (uint16_t)e->w[R_RAX];
	bool adjust = (ax & 15) > 9 || (e->wflags & FLAG_AF);

	if (adjust)
		ax = (uint16_t)(sub ? ax - 0x106 : ax + 0x106);
	ax &= 0xff0f;
	emu_set_gpr(e, R_RAX, ax, 2);
	set_szp(e, (uint8_t)ax, adjust, adjust);
}

int emu_do_bcd(struct lodge_emu *e)
{
	uint8_t al = (uint8_t)e->w[R_RAX], ah = (uint8_t)(e->w[R_RAX] >> 8),
		n = (uint8_t)e->insn.imm;

	switch (e->insn.op) {
	case X86_OP_DAA:
	case X86_OP_DAS:
		decimal_adjust(e, e->insn.op == X86_OP_DAS);
		return 0;
	case X86_OP_AAA:
	case X86_OP_AAS:
		ascii_adjust(e, e->insn.op == X86_OP_AAS);
		return 0;
	case X86_OP_AAM:
		if (!n)
			return emu_raise_plain(e, VEC_DE);
		emu_set_gpr(e, R_RAX, (uint64_t)(al % n | (al / n) << 8), 2);
		set_szp(e, al % n, e->wflags & FLAG_CF, e->wflags & FLAG_AF);
		return 0;
	default: /* AAD */
		al = (uint8_t)(al + ah * n);
		emu_set_gpr(e, R_RAX, al, 2);
		set_szp(e, al, e->wflags & FLAG_CF, e->wflags & FLAG_AF);
		return 0;
	}
}
