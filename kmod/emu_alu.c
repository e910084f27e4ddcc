// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's arithmetic. The host's own instruction computes result and flags; only
 * the arithmetic flags of the guest are ever loaded into the host's RFLAGS.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "emu_int.h"

/* ---- The host's instructions ---------------------------------------------------------------- */

/* d = OP(d, s, c): c is a count in CL. `hi` goes with d in what multiplies to twice the size. */
struct host {
	uint64_t d, hi, s, c, flags;
};
typedef void (*host_fn)(unsigned size, struct host *h);

/* Host flags with the guest's arithmetic ones; afterwards they are read. The stack is even again. */
#define HOST_ASM(text)                                                                   \
	__asm__("pushfq\n\tandl $~0x8d5, (%%rsp)\n\torq %[f], (%%rsp)\n\tpopfq\n\t" text \
		"\n\tpushfq\n\tpopq %[f]"                                                \
		: [d] "+&a"(h->d), "+&d"(h->hi), [f] "+&r"(h->flags)                     \
		: [s] "r"(h->s), "c"(h->c)                                               \
		: "cc", "memory")

/* Operands, in the sizes' own letters. */
#define D(m) " %" m "[d]"
#define S(m) " %" m "[s]"
#define SD(m) " %" m "[s], %" m "[d]"
#define CD(m) " %%cl, %" m "[d]"
#define CSD(m) " %%cl, %" m "[s], %" m "[d]"

/* Operation, the host's instruction, its operands; X: there is none for bytes. */
/* clang-format off */
#define HOST_OPS(H, X) \
	H(ADD, "add", SD) H(OR, "or", SD) H(ADC, "adc", SD) H(SBB, "sbb", SD) H(AND, "and", SD) \
	H(SUB, "sub", SD) H(XOR, "xor", SD) H(CMP, "cmp", SD) H(TEST, "test", SD) H(NOT, "not", D) \
	H(INC, "inc", D) H(DEC, "dec", D) H(NEG, "neg", D) H(ROL, "rol", CD) H(ROR, "ror", CD) \
	H(RCL, "rcl", CD) H(RCR, "rcr", CD) H(SHL, "shl", CD) H(SHR, "shr", CD) H(SAR, "sar", CD) \
	X(SHLD, "shld", CSD) X(SHRD, "shrd", CSD) X(BT, "bt", SD) X(BTS, "bts", SD) X(BTR, "btr", SD) \
	X(BTC, "btc", SD) X(BSF, "bsf", SD) X(BSR, "bsr", SD) X(IMUL, "imul", SD) H(MUL, "mul", S) \
	H(XADD, "add", SD) H(CMPXCHG, "cmp", SD) H(CMPS, "cmp", SD) H(SCAS, "cmp", SD)
/* clang-format on */

#define HOST_CASE(size, insn, suffix, m, OPERANDS) \
	case size:                                 \
		HOST_ASM(insn suffix OPERANDS(m)); \
		break;
#define HOST_FN(op, insn, OPERANDS, bytes)                                     \
	static void host_##op(unsigned size, struct host *h)                   \
	{                                                                      \
		switch (size) {                                                \
			bytes HOST_CASE(2, insn, "w", "w", OPERANDS)           \
				HOST_CASE(4, insn, "l", "k", OPERANDS)         \
					HOST_CASE(8, insn, "q", "q", OPERANDS) \
		}                                                              \
	}
#define WITH_BYTES(op, insn, OPERANDS) \
	HOST_FN(op, insn, OPERANDS, HOST_CASE(1, insn, "b", "b", OPERANDS))
#define WITHOUT_BYTES(op, insn, OPERANDS) HOST_FN(op, insn, OPERANDS, )
HOST_OPS(WITH_BYTES, WITHOUT_BYTES)
WITH_BYTES(imul_wide, "imul", S)

#define ENTRY(op, insn, OPERANDS) [X86_OP_##op] = host_##op,
static const host_fn host_fns[] = {HOST_OPS(ENTRY, ENTRY)};

static void run_host(struct lodge_emu *e, host_fn fn, unsigned size, struct host *h)
{
	h->flags = e->wflags & FLAGS_ARITH;
	fn(size, h);
	e->wflags = (e->wflags & ~(uint64_t)FLAGS_ARITH) | (h->flags & FLAGS_ARITH);
}

uint64_t emu_compute(struct lodge_emu *e, unsigned size, uint64_t d, uint64_t s)
{
	struct host h = {.d = d, .s = s, .c = s};

	run_host(e, host_fns[e->insn.op], size, &h);
	return h.d;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

/* With `locked`, the write just queued replaces `old`, or the instruction starts again. */
static void lock_write(struct lodge_emu *e, bool locked, unsigned __int128 old)
{
	struct lodge_emu_write *w = &e->writes[0];

	/* Across pages and misaligned it is not atomic. */
	if (!locked || e->nwrites != 1 || (w->gpa & (w->len - 1u)))
		return;
	w->locked = true;
	__builtin_memcpy(e->old, &old, sizeof(e->old));
}

static void set_result(struct lodge_emu *e, uint64_t old, uint64_t v)
{
	emu_set(e, 0, v);
	lock_write(e, e->insn.flags & X86_IF_LOCK, old);
}

/* The first operand is changed by the others; IMUL of three only writes it. */
void emu_do_alu(struct lodge_emu *e)
{
	const struct x86_insn *in = &e->insn;
	unsigned i = in->opd[0].access & X86_ACC_R ? 0 : 1;
	struct host h = {.d = emu_get(e, i++)};
	uint64_t old = h.d;

	if (i < in->nopds)
		h.s = emu_get(e, i++);
	h.c = i < in->nopds ? emu_get(e, i) : h.s;
	run_host(e, host_fns[in->op], in->opd[0].size, &h);
	if (in->opd[0].access & X86_ACC_W)
		set_result(e, old, h.d);
}

/* rAX and rDX of `size`; for bytes it is AX. */
static void set_rax_rdx(struct lodge_emu *e, unsigned size, uint64_t low, uint64_t high)
{
	if (size == 1) {
		emu_set_gpr(e, R_RAX, (low & 0xff) | (high & 0xff) << 8, 2);
		return;
	}
	emu_set_gpr(e, R_RAX, low, size);
	emu_set_gpr(e, R_RDX, high, size);
}

/* Of one operand: the other factor is AL, AX, EAX, RAX; the product goes to AX or rDX:rAX. */
void emu_do_mul(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	bool is_signed = e->insn.op == X86_OP_IMUL;
	struct host h = {.d = e->w[R_RAX], .hi = e->w[R_RDX]};

	if (e->insn.nopds < 2 || !e->insn.opd[1].implicit) {
		emu_do_alu(e);
		return;
	}
	h.s = emu_get(e, 0);
	run_host(e, is_signed ? host_imul_wide : host_MUL, size, &h);
	set_rax_rdx(e, size, h.d, size == 1 ? h.d >> 8 : h.hi);
}

/* hi:lo / s, all of `size` bytes, by their magnitudes. False: #DE. */
static bool divide(unsigned size, bool is_signed, uint64_t *hi, uint64_t *lo, uint64_t s)
{
	bool neg_n = is_signed && (*hi >> (8 * size - 1) & 1),
	     neg_s = is_signed && (s >> (8 * size - 1) & 1);
	uint64_t mask = emu_mask(size), q, rem;
	unsigned __int128 n = (unsigned __int128)*hi << 8 * size | *lo;

	if (neg_n)
		n = -n;
	if (size < 8)
		n &= ((unsigned __int128)1 << 16 * size) - 1;
	if (neg_s)
		s = -s & mask;
	if (!s || (uint64_t)(n >> 8 * size) >= s)
		return false;
	q = (uint64_t)n;
	rem = (uint64_t)(n >> 64);
	__asm__("divq %[s]" : "+a"(q), "+d"(rem) : [s] "r"(s) : "cc");
	if (is_signed && q > (mask >> 1) + (neg_n != neg_s))
		return false;
	*lo = neg_n != neg_s ? -q : q;
	*hi = neg_n ? -rem : rem;
	return true;
}

void emu_do_div(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint64_t s = emu_get(e, 0), lo = e->w[R_RAX] & emu_mask(size),
		 hi = (size == 1 ? e->w[R_RAX] >> 8 : e->w[R_RDX]) & emu_mask(size);

	if (!divide(size, e->insn.op == X86_OP_IDIV, &hi, &lo, s))
		emu_raise(e, VEC_DE, 0);
	set_rax_rdx(e, size, lo, hi);
}

/* BT, BTS, BTR, BTC: a register as bit number reaches beyond a memory operand. */
void emu_do_bit(struct lodge_emu *e)
{
	const struct x86_operand *o = e->insn.opd;
	unsigned size = o[0].size, bits = 8 * size;
	bool mem = o[0].kind == X86_OPD_MEM;
	uint64_t bit = emu_get(e, 1), off = 0, d = 0, v;

	if (o[1].kind == X86_OPD_REG)
		off = (uint64_t)((int64_t)emu_sext(bit, size) >> __builtin_ctz(bits)) * size;
	if (mem)
		emu_get_mem(e, off, &d, size);
	else
		d = emu_get(e, 0);
	v = emu_compute(e, size, d, bit & (bits - 1));
	if (e->insn.op == X86_OP_BT)
		return;
	if (mem)
		emu_set_mem(e, off, &v, size);
	else
		emu_set(e, 0, v);
	lock_write(e, e->insn.flags & X86_IF_LOCK, d);
}

/* BSF, BSR: 0 leaves the destination alone, though 32 bits of it clear the upper half on some. */
void emu_do_scan(struct lodge_emu *e)
{
	uint64_t d = emu_get(e, 0), s = emu_get(e, 1), v;

	v = emu_compute(e, e->insn.opd[0].size, d, s);
	if (s)
		emu_set(e, 0, v);
}

void emu_do_cmpxchg(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[0].size;
	uint64_t d = emu_get(e, 0), s = emu_get(e, 1), a = e->w[R_RAX] & emu_mask(size);

	emu_compute(e, size, a, d);
	/* Memory is written in either case. */
	if (a == d || e->insn.opd[0].kind == X86_OPD_MEM)
		set_result(e, d, a == d ? s : d);
	if (a != d)
		emu_set_gpr(e, R_RAX, d, size);
}

static unsigned __int128 pair(const struct lodge_emu *e, unsigned high, unsigned low, unsigned half)
{
	return (unsigned __int128)(e->w[high] & emu_mask(half)) << 8 * half |
	       (e->w[low] & emu_mask(half));
}

void emu_do_cmpxchg_pair(struct lodge_emu *e)
{
	unsigned half = e->insn.op == X86_OP_CMPXCHG16B ? 8 : 4;
	unsigned __int128 have = 0, v;
	bool same;

	if (half == 8 && (emu_linear(e, e->insn.seg, emu_ea(e), 1, LODGE_EMU_W) & 15))
		emu_gp(e);
	emu_get_mem(e, 0, &have, 2 * half);
	same = have == pair(e, R_RDX, R_RAX, half);
	v = same ? pair(e, R_RCX, R_RBX, half) : have;
	emu_set_mem(e, 0, &v, 2 * half);
	lock_write(e, e->insn.flags & X86_IF_LOCK, have);
	emu_set_flag(e, FLAG_ZF, same);
	if (!same)
		set_rax_rdx(e, half, (uint64_t)have & emu_mask(half), (uint64_t)(have >> 8 * half));
}

/* XADD; XCHG, which is locked with memory without a prefix. */
void emu_do_exchange(struct lodge_emu *e)
{
	bool add = e->insn.op == X86_OP_XADD, mem = e->insn.opd[0].kind == X86_OPD_MEM;
	uint64_t d = emu_get(e, 0), s = emu_get(e, 1),
		 v = add ? emu_compute(e, e->insn.opd[0].size, d, s) : s;

	/* Of two registers the sum wins, if they are the same; of memory the address may need the other. */
	if (!mem)
		emu_set(e, 1, d);
	emu_set(e, 0, v);
	if (mem)
		emu_set(e, 1, d);
	lock_write(e, mem && (!add || (e->insn.flags & X86_IF_LOCK)), d);
}

/* ---- Decimal: DAA DAS AAA AAS AAM AAD (SDM vol. 2A) ------------------------------------------- */

/* AX, and the flags that AL makes. */
static void set_ax(struct lodge_emu *e, uint64_t ax, bool cf, bool af)
{
	struct host h = {.d = ax, .s = ax};
	uint64_t of = e->wflags & FLAG_OF;

	run_host(e, host_OR, 1, &h);
	emu_set_flag(e, FLAG_OF, of);
	emu_set_flag(e, FLAG_CF, cf);
	emu_set_flag(e, FLAG_AF, af);
	emu_set_gpr(e, R_RAX, ax, 2);
}

void emu_do_bcd(struct lodge_emu *e)
{
	uint64_t ax = e->w[R_RAX] & 0xffff, al = ax & 0xff, n = e->insn.imm & 0xff;
	bool cf = e->wflags & FLAG_CF, af = e->wflags & FLAG_AF;
	bool adjust = (al & 15) > 9 || af, carry = cf || al > 0x99;

	switch (e->insn.op) {
	case X86_OP_DAA:
		al += (adjust ? 6u : 0) + (carry ? 0x60u : 0);
		set_ax(e, (ax & 0xff00) | (al & 0xff), carry, adjust);
		break;
	case X86_OP_DAS:
		cf = carry || (adjust && al < 6);
		al -= (adjust ? 6u : 0) + (carry ? 0x60u : 0);
		set_ax(e, (ax & 0xff00) | (al & 0xff), cf, adjust);
		break;
	case X86_OP_AAA:
		set_ax(e, (ax + (adjust ? 0x106 : 0)) & 0xff0f, adjust, adjust);
		break;
	case X86_OP_AAS:
		set_ax(e, (ax - (adjust ? 0x106 : 0)) & 0xff0f, adjust, adjust);
		break;
	case X86_OP_AAM:
		if (n)
			set_ax(e, al % n | al / n << 8, cf, af);
		else
			emu_raise(e, VEC_DE, 0);
		break;
	default: /* AAD */
		set_ax(e, (al + (ax >> 8) * n) & 0xff, cf, af);
		break;
	}
}
