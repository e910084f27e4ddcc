// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saving and restoring x87/SSE/AVX state as a whole: FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR,
 * STMXCSR. Source: Intel SDM vol. 1 §10.5 and ch. 13, vol. 2; AMD APM vol. 2 §11.
 * Threads: the vCPU's own.
 *
 * All but LDMXCSR and STMXCSR work on the image in s.xsave, after the host's registers have been
 * put there. Faults come before any change of state.
 */
#include "engine/soft/thunk_int.h"

#include <string.h>

#define XF_X87 1u
#define XF_SSE 2u
#define XF_AVX 4u

#define COMPACTED (1ull << 63)
#define MXCSR_INIT 0x1f80u
#define FCW_INIT 0x037f
#define FX_BYTES 512u
#define HEADER_BYTES 64u
#define YMM_BYTES 256u

/* How one instruction sees the area. */
struct area {
	gva_t lin;
	unsigned regs; /* XMM and YMM registers: 8 outside 64-bit mode */
	bool rexw;     /* 64-bit pointers */
};

static uint32_t mxcsr_mask(const struct soft_cpu *cpu)
{
	const struct x86_cpuid *id = cpu->e->cfg.cpuid;
	uint32_t mask = cpu->e->thunks->mxcsr_mask;

	return id && id->mxcsr_mask ? id->mxcsr_mask & mask : mask;
}

static struct area area_of(struct soft_cpu *cpu, const struct soft_op *op, unsigned len, bool write)
{
	bool m64 = soft_mode64(cpu);
	struct area a = {.regs = m64 ? 16 : 8, .rexw = m64 && (op->insn->rex & 8)};

	a.lin = soft_ea_lin(cpu, op, len, write);
	return a;
}

/* Under alignment checks Intel's processors raise #AC where four bytes are not aligned (SDM 2 FXSAVE). */
static void check_aligned(struct soft_cpu *cpu, gva_t lin, unsigned align)
{
	if ((cpu->mode & SOFT_MODE_AC) && (lin & 3) && soft_intel(cpu))
		soft_raise_err(cpu, VEC_AC, 0);
	if (lin & (align - 1))
		soft_raise_err(cpu, VEC_GP, 0);
}

/* soft_ld_bytes() and soft_st_bytes(), fast where the TLB hits. */
static void get_bytes(struct soft_cpu *cpu, gva_t lin, void *buf, unsigned len)
{
	const void *p = soft_tlb_hit(cpu, lin, len, SOFT_READ);

	if (likely(p))
		memcpy(buf, p, len);
	else
		soft_ld_bytes(cpu, lin, buf, len);
}

static void put_bytes(struct soft_cpu *cpu, gva_t lin, const void *buf, unsigned len)
{
	void *p = soft_tlb_hit(cpu, lin, len, SOFT_WRITE);

	if (likely(p))
		memcpy(p, buf, len);
	else
		soft_st_bytes(cpu, lin, buf, len);
}

/*
 * The state in s.xsave, with components in their initial state written out. The x87 pointers do
 * not count for being initial, as processors see it, and are kept.
 */
static uint8_t *settle(struct soft_cpu *cpu)
{
	uint8_t *x = cpu->s.xsave;
	uint64_t bv;

	soft_fpu_leave(cpu);
	bv = ld_le64(x + XS_BV);
	if (!(bv & XF_X87)) {
		memset(x, 0, FX_FOP);
		memset(x + FX_ST, 0, FX_XMM - FX_ST);
		st_le16(x + FX_FCW, FCW_INIT);
	}
	if (!(bv & XF_SSE))
		memset(x + FX_XMM, 0, 256);
	if (!(bv & XF_AVX))
		memset(x + XS_YMM, 0, YMM_BYTES);
	return x;
}

/* ---- The legacy region ---------------------------------------------------------------------- */

/*
 * Bytes 0..23, pointers in the form REX.W asks for. AMD's processors store pointers only while an
 * exception is pending (APM vol. 2 §11.4.4); do as the host does.
 */
static void put_x87_head(const struct soft_cpu *cpu, uint8_t *out, bool rexw)
{
	const uint8_t *x = cpu->s.xsave;

	memcpy(out, x, FX_MXCSR);
	out[5] = 0;
	if (!cpu->e->thunks->saves_pointers && !(ld_le16(x + FX_FSW) & FSW_ES)) {
		memset(out + FX_FOP, 0, FX_MXCSR - FX_FOP);
	} else if (!rexw) {
		st_le32(out + 12, x87_selectors(cpu) & 0xffff);
		st_le32(out + 20, x87_selectors(cpu) >> 16);
	}
}

static void get_x87_head(uint8_t *x, const uint8_t *in, bool rexw)
{
	uint16_t fsw = ld_le16(in + FX_FSW) & (uint16_t) ~(FSW_ES | FSW_B);

	memcpy(x, in, FX_MXCSR);
	x[5] = 0;
	/* The summary bits follow from the others. */
	if (fsw & ~ld_le16(in + FX_FCW) & 0x3f)
		fsw |= FSW_ES | FSW_B;
	st_le16(x + FX_FSW, fsw);
	st_le16(x + FX_FOP, ld_le16(in + FX_FOP) & 0x7ff);
	if (rexw) {
		st_le32(x + FX_FCS, 0);
		return;
	}
	st_le64(x + FX_FIP, ld_le32(in + FX_FIP));
	st_le64(x + FX_FDP, ld_le32(in + FX_FDP));
	st_le16(x + FX_FCS, ld_le16(in + 12));
	st_le16(x + FX_FDS, ld_le16(in + 20));
}

static void get_st(uint8_t *x, const uint8_t *in)
{
	for (unsigned i = 0; i < 8; i++) {
		memcpy(x + FX_ST + 16 * i, in + FX_ST + 16 * i, 10);
		memset(x + FX_ST + 16 * i + 10, 0, 6);
	}
}

static void put_mxcsr(struct soft_cpu *cpu, const uint8_t *x, uint8_t *out)
{
	st_le32(out + FX_MXCSR, ld_le32(x + FX_MXCSR));
	st_le32(out + FX_MXCSR_MASK, mxcsr_mask(cpu));
}

static void set_bv(uint8_t *x, uint64_t clear, uint64_t set)
{
	st_le64(x + XS_BV, (ld_le64(x + XS_BV) & ~clear) | set);
}

/* ---- FXSAVE, FXRSTOR ------------------------------------------------------------------------ */

/* EFER.FFXSR: at CPL 0 in 64-bit mode the XMM registers are left out (APM vol. 2 §11.4.4). */
static bool fast_fx(const struct soft_cpu *cpu)
{
	return (cpu->s.efer & EFER_FFXSR) && soft_mode64(cpu) && x86_cpl(&cpu->s) == 0;
}

static void fx_check(struct soft_cpu *cpu)
{
	if (cpu->s.cr0 & (CR0_EM | CR0_TS))
		soft_raise(cpu, VEC_NM);
}

static void op_fxsave(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct area a;
	uint8_t *x, *out = cpu->bounce[0];
	unsigned len = FX_XMM;

	fx_check(cpu);
	a = area_of(cpu, op, FX_BYTES, true);
	check_aligned(cpu, a.lin, 16);
	soft_probe_write(cpu, a.lin, FX_BYTES);
	x = settle(cpu);
	put_x87_head(cpu, out, a.rexw);
	put_mxcsr(cpu, x, out);
	memcpy(out + FX_ST, x + FX_ST, FX_XMM - FX_ST);
	if (!fast_fx(cpu)) {
		len += 16 * a.regs;
		memcpy(out + FX_XMM, x + FX_XMM, 16 * a.regs);
	}
	put_bytes(cpu, a.lin, out, len);
}

static void op_fxrstor(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct area a;
	uint8_t *x, *in = cpu->bounce[0];
	bool sse = (cpu->s.cr4 & CR4_OSFXSR) != 0;
	uint32_t mxcsr;

	fx_check(cpu);
	a = area_of(cpu, op, FX_BYTES, false);
	check_aligned(cpu, a.lin, 16);
	get_bytes(cpu, a.lin, in, FX_BYTES);
	mxcsr = ld_le32(in + FX_MXCSR);
	if (sse && (mxcsr & ~mxcsr_mask(cpu)))
		soft_raise_err(cpu, VEC_GP, 0);
	x = settle(cpu);
	get_x87_head(x, in, a.rexw);
	get_st(x, in);
	set_bv(x, 0, XF_X87);
	if (sse) {
		st_le32(x + FX_MXCSR, mxcsr);
		if (!fast_fx(cpu)) {
			memcpy(x + FX_XMM, in + FX_XMM, 16 * a.regs);
			set_bv(x, 0, XF_SSE);
		}
	}
	thunk_x87_ferr_clear(cpu);
}

/* ---- The XSAVE family ----------------------------------------------------------------------- */

static void xsave_check(struct soft_cpu *cpu)
{
	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		soft_raise(cpu, VEC_UD);
	if (cpu->s.cr0 & CR0_TS)
		soft_raise(cpu, VEC_NM);
}

/* The components asked for: EDX:EAX and XCR0. */
static uint64_t requested(const struct soft_cpu *cpu)
{
	uint64_t mask = (uint32_t)cpu->s.gpr[R_RAX] | cpu->s.gpr[R_RDX] << 32;

	return mask & cpu->s.xcr0;
}

/* Write the parts of the components in `what`, each in one piece. */
static void store_components(struct soft_cpu *cpu, const struct area *a, uint64_t what, bool mxcsr)
{
	uint8_t *x = cpu->s.xsave, *out = cpu->bounce[0];

	if (what & XF_X87)
		put_x87_head(cpu, out, a->rexw);
	put_mxcsr(cpu, x, out);
	memcpy(out + FX_ST, x + FX_ST, FX_XMM - FX_ST + 16 * a->regs);
	if ((what & XF_X87) && mxcsr && (what & XF_SSE)) {
		put_bytes(cpu, a->lin, out, FX_XMM + 16 * a->regs);
	} else {
		if (what & XF_X87) {
			put_bytes(cpu, a->lin, out, FX_MXCSR);
			put_bytes(cpu, a->lin + FX_ST, out + FX_ST, FX_XMM - FX_ST);
		}
		if (mxcsr)
			put_bytes(cpu, a->lin + FX_MXCSR, out + FX_MXCSR, 8);
		if (what & XF_SSE)
			put_bytes(cpu, a->lin + FX_XMM, out + FX_XMM, 16 * a->regs);
	}
	if (what & XF_AVX)
		put_bytes(cpu, a->lin + XS_YMM, x + XS_YMM, 16 * a->regs);
}

static struct area xsave_area(struct soft_cpu *cpu, const struct soft_op *op, uint64_t rfbm)
{
	unsigned len = XS_YMM + (rfbm & XF_AVX ? YMM_BYTES : 0);
	struct area a;

	xsave_check(cpu);
	a = area_of(cpu, op, len, true);
	check_aligned(cpu, a.lin, 64);
	soft_probe_write(cpu, a.lin, len);
	return a;
}

/* XSAVE and XSAVEOPT (which leaves out what is in its initial state). */
static void xsave_standard(struct soft_cpu *cpu, const struct soft_op *op, bool opt)
{
	uint64_t rfbm = requested(cpu), bv, inuse;
	struct area a = xsave_area(cpu, op, rfbm);

	soft_probe_read(cpu, a.lin + XS_BV, 8);
	bv = soft_ld(cpu, a.lin + XS_BV, 8);
	inuse = ld_le64(settle(cpu) + XS_BV) & rfbm;
	store_components(cpu, &a, opt ? inuse : rfbm, (rfbm & (XF_SSE | XF_AVX)) != 0);
	soft_st(cpu, a.lin + XS_BV, (bv & ~rfbm) | inuse, 8);
}

static void op_xsave(struct soft_cpu *cpu, const struct soft_op *op)
{
	xsave_standard(cpu, op, false);
}

static void op_xsaveopt(struct soft_cpu *cpu, const struct soft_op *op)
{
	xsave_standard(cpu, op, true);
}

/* XSAVEC and XSAVES: with no components above AVX, compaction moves nothing. */
static void op_xsavec(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t rfbm = requested(cpu), inuse;
	struct area a;
	uint8_t *x;

	if (op->insn->op == X86_OP_XSAVES && x86_cpl(&cpu->s) != 0)
		soft_raise_err(cpu, VEC_GP, 0);
	a = xsave_area(cpu, op, rfbm);
	x = settle(cpu);
	inuse = ld_le64(x + XS_BV) & rfbm;
	if ((rfbm & XF_SSE) && ld_le32(x + FX_MXCSR) != MXCSR_INIT)
		inuse |= XF_SSE;
	store_components(cpu, &a, inuse, (inuse & XF_SSE) != 0);
	soft_st(cpu, a.lin + XS_BV, inuse, 8);
	soft_st(cpu, a.lin + XS_COMP, rfbm | COMPACTED, 8);
}

/* The rules a header must obey (SDM 1 §13.8.1, §13.8.2, §13.12). */
static bool header_ok(const struct soft_cpu *cpu, const uint8_t *h, bool supervisor)
{
	uint64_t bv = ld_le64(h), comp = ld_le64(h + 8), rest = 0;

	for (unsigned i = 24; i < HEADER_BYTES; i += 8)
		rest |= ld_le64(h + i);
	if (comp & COMPACTED) {
		const struct x86_cpuid *id = cpu->e->cfg.cpuid;

		if (id && !id->has[X86_FEAT_XSAVEC])
			return false;
		comp &= ~COMPACTED;
		return !(comp & ~cpu->s.xcr0) && !(bv & ~comp) && !ld_le64(h + 16) && !rest;
	}
	return !supervisor && !comp && !ld_le64(h + 16) && !(bv & ~cpu->s.xcr0);
}

static void load_components(struct soft_cpu *cpu, const struct area *a, const uint8_t *in,
			    uint64_t load, uint64_t init)
{
	uint8_t *x = settle(cpu);

	if (load & XF_X87) {
		get_x87_head(x, in, a->rexw);
		get_st(x, in);
	}
	if (init & XF_X87)
		x87_clear_pointers(cpu);
	if (load & XF_SSE)
		memcpy(x + FX_XMM, in + FX_XMM, 16 * a->regs);
	if (load & XF_AVX)
		memcpy(x + XS_YMM, in + XS_YMM, 16 * a->regs);
	/* Outside 64-bit mode the upper eight registers are not initialized either. */
	if (a->regs < 16) {
		if (init & XF_SSE)
			memset(x + FX_XMM, 0, 128);
		if (init & XF_AVX)
			memset(x + XS_YMM, 0, 128);
		load |= init & (XF_SSE | XF_AVX);
		init &= XF_X87;
	}
	set_bv(x, init, load);
}

static void op_xrstor(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool supervisor = op->insn->op == X86_OP_XRSTORS;
	uint64_t rfbm = requested(cpu), bv, load;
	unsigned len = XS_YMM + (rfbm & XF_AVX ? YMM_BYTES : 0);
	uint8_t *in = cpu->bounce[0];
	uint32_t mxcsr;
	bool set_mxcsr;
	struct area a;

	xsave_check(cpu);
	if (supervisor && x86_cpl(&cpu->s) != 0)
		soft_raise_err(cpu, VEC_GP, 0);
	a = area_of(cpu, op, len, false);
	check_aligned(cpu, a.lin, 64);
	get_bytes(cpu, a.lin, in, XS_YMM);
	if (!header_ok(cpu, in + XS_BV, supervisor))
		soft_raise_err(cpu, VEC_GP, 0);
	bv = ld_le64(in + XS_BV);
	load = bv & rfbm;
	if (load & XF_AVX)
		get_bytes(cpu, a.lin + XS_YMM, in + XS_YMM, YMM_BYTES);
	mxcsr = ld_le32(in + FX_MXCSR);
	set_mxcsr = (rfbm & (XF_SSE | XF_AVX)) != 0;
	if (ld_le64(in + XS_COMP) & COMPACTED) {
		/* MXCSR belongs to SSE alone, and has an initial value. */
		set_mxcsr = (rfbm & XF_SSE) != 0;
		if (!(bv & XF_SSE))
			mxcsr = MXCSR_INIT;
	}
	if (set_mxcsr && (mxcsr & ~mxcsr_mask(cpu)))
		soft_raise_err(cpu, VEC_GP, 0);
	load_components(cpu, &a, in, load, rfbm & ~load);
	if (set_mxcsr)
		st_le32(cpu->s.xsave + FX_MXCSR, mxcsr);
	if (rfbm & XF_X87)
		thunk_x87_ferr_clear(cpu);
}

/* ---- LDMXCSR, STMXCSR ----------------------------------------------------------------------- */

static void op_ldmxcsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t val;

	fpu_check_class(cpu, op->insn->flags & X86_IF_VEX ? FPU_AVX : FPU_SSE);
	val = (uint32_t)soft_ld(cpu, soft_ea_lin(cpu, op, 4, false), 4);
	if (val & ~mxcsr_mask(cpu))
		soft_raise_err(cpu, VEC_GP, 0);
	if (cpu->fpu_live)
		__asm__ volatile("ldmxcsr %0" : : "m"(val));
	else
		st_le32(cpu->s.xsave + FX_MXCSR, val);
}

static void op_stmxcsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t val = ld_le32(cpu->s.xsave + FX_MXCSR);
	gva_t lin;

	fpu_check_class(cpu, op->insn->flags & X86_IF_VEX ? FPU_AVX : FPU_SSE);
	lin = soft_ea_lin(cpu, op, 4, true);
	if (cpu->fpu_live)
		__asm__ volatile("stmxcsr %0" : "=m"(val));
	soft_st(cpu, lin, val, 4);
}

void soft_xstate_op(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (op->insn->op) {
	case X86_OP_FXSAVE:
		op_fxsave(cpu, op);
		break;
	case X86_OP_FXRSTOR:
		op_fxrstor(cpu, op);
		break;
	case X86_OP_XSAVE:
		op_xsave(cpu, op);
		break;
	case X86_OP_XSAVEOPT:
		op_xsaveopt(cpu, op);
		break;
	case X86_OP_XSAVEC:
	case X86_OP_XSAVES:
		op_xsavec(cpu, op);
		break;
	case X86_OP_XRSTOR:
	case X86_OP_XRSTORS:
		op_xrstor(cpu, op);
		break;
	case X86_OP_LDMXCSR:
		op_ldmxcsr(cpu, op);
		break;
	case X86_OP_STMXCSR:
		op_stmxcsr(cpu, op);
		break;
	default:
		soft_raise(cpu, VEC_UD);
	}
}
