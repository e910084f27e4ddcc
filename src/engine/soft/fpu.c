// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's x87/SSE/AVX state between s.xsave and the host's registers, and what CR0, CR4 and
 * XCR0 forbid. Source: Intel SDM vol. 1 ch. 13, vol. 3A §2.5, §13; vol. 2 exception types.
 * Threads: the vCPU's own.
 */
#include "engine/soft/thunk_int.h"

#include <string.h>

#define HOST_FCW 0x037f
#define HOST_MXCSR 0x1f80u
#define IN_USE_AVX 4u

_Static_assert(_Alignof(struct x86_state) >= 64, "XSAVE areas are aligned to 64 bytes");

/* What software may have put in the image must not fault on the host. */
static void sanitize(struct soft_cpu *cpu, const struct thunk_cache *tc)
{
	uint8_t *x = cpu->s.xsave;

	st_le32(x + FX_MXCSR, ld_le32(x + FX_MXCSR) & tc->mxcsr_mask);
	st_le64(x + XS_BV, ld_le64(x + XS_BV) & 7);
	for (unsigned i = XS_COMP; i < XS_YMM; i += 8)
		st_le64(x + i, 0);
}

void soft_fpu_enter(struct soft_cpu *cpu)
{
	const struct thunk_cache *tc = cpu->e->thunks;
	uint8_t *x = cpu->s.xsave;

	if (cpu->fpu_live)
		return;
	sanitize(cpu, tc);
	if (tc->xmask)
		__asm__ volatile("xrstor64 %0"
				 :
				 : "m"(*(uint8_t(*)[X86_XSAVE_BYTES])x), "a"((uint32_t)tc->xmask),
				   "d"(0));
	else
		__asm__ volatile("fxrstor64 %0" : : "m"(*(uint8_t(*)[512])x));
	cpu->fpu_live = true;
}

/* What compiled code may assume of the registers (System V ABI): defaults, upper halves clean. */
static void host_defaults(const struct thunk_cache *tc, const uint8_t *x)
{
	static const uint32_t mxcsr = HOST_MXCSR;

	if (ld_le16(x + FX_FCW) != HOST_FCW || ld_le16(x + FX_FSW) || x[FX_FTW])
		__asm__ volatile("fninit");
	if (ld_le32(x + FX_MXCSR) != HOST_MXCSR)
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	if (tc->avx)
		__asm__ volatile("vzeroupper");
}

void soft_fpu_leave(struct soft_cpu *cpu)
{
	const struct thunk_cache *tc = cpu->e->thunks;
	uint8_t *x = cpu->s.xsave;
	uint16_t fop;
	uint64_t fip, fdp;

	if (!cpu->fpu_live)
		return;
	fop = ld_le16(x + FX_FOP);
	fip = ld_le64(x + FX_FIP);
	fdp = ld_le64(x + FX_FDP);
	if (tc->xmask) {
		__asm__ volatile("xsave64 %0"
				 : "+m"(*(uint8_t(*)[X86_XSAVE_BYTES])x)
				 : "a"((uint32_t)tc->xmask), "d"(0));
	} else {
		__asm__ volatile("fxsave64 %0" : "+m"(*(uint8_t(*)[512])x));
		st_le64(x + XS_BV, 3);
	}
	st_le16(x + FX_FOP, fop);
	st_le64(x + FX_FIP, fip);
	st_le64(x + FX_FDP, fdp);
	cpu->fpu_live = false;
	host_defaults(tc, x);
}

/* ---- Aside -------------------------------------------------------------------------------------- */

/* For each of 16 registers, by the assembler. */
#define EACH16(insn) \
	".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t" insn "\n\t.endr"

/* Upper halves that nobody uses stay as they are: written, they would slow down SSE code on some processors. */
static bool upper_halves(const struct thunk_cache *tc)
{
	uint32_t lo, hi;

	if (!tc->avx || !tc->in_use)
		return tc->avx;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
	return lo & IN_USE_AVX;
}

enum soft_aside soft_fpu_aside(struct soft_cpu *cpu)
{
	static const uint32_t mxcsr = HOST_MXCSR;
	const struct thunk_cache *tc = cpu->e->thunks;
	enum soft_aside what = SOFT_ASIDE_XMM;

	if (!cpu->fpu_live)
		return SOFT_ASIDE_NONE;
	__asm__ volatile("stmxcsr %0" : "=m"(cpu->aside_mxcsr));
	if (upper_halves(tc)) {
		what = SOFT_ASIDE_YMM;
		__asm__ volatile(EACH16("vmovdqa %%ymm\\n, 32 * \\n(%0)") "\n\tvzeroupper"
				 :
				 : "r"(cpu->aside)
				 : "memory");
	} else {
		__asm__ volatile(EACH16("movdqa %%xmm\\n, 32 * \\n(%0)")
				 :
				 : "r"(cpu->aside)
				 : "memory");
	}
	if (cpu->aside_mxcsr != HOST_MXCSR)
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	return what;
}

void soft_fpu_back(struct soft_cpu *cpu, enum soft_aside what)
{
	if (what == SOFT_ASIDE_NONE)
		return;
	__asm__ volatile("ldmxcsr %0" : : "m"(cpu->aside_mxcsr));
	if (what == SOFT_ASIDE_YMM) {
		__asm__ volatile(EACH16("vmovdqa 32 * \\n(%0), %%ymm\\n")
				 :
				 : "r"(cpu->aside)
				 : "memory");
		return;
	}
	/* What was called may have left upper halves. */
	if (cpu->e->thunks->avx)
		__asm__ volatile("vzeroupper");
	__asm__ volatile(EACH16("movdqa 32 * \\n(%0), %%xmm\\n") : : "r"(cpu->aside) : "memory");
}

/* ---- Checks --------------------------------------------------------------------------------- */

/* VEX instructions on general registers: no vector state, so no state to be switched on. */
static bool vex_gpr(const struct x86_insn *insn)
{
	return (insn->map == X86_MAP_0F38 && insn->opcode >= 0xf2 && insn->opcode <= 0xf7) ||
	       (insn->map == X86_MAP_0F3A && insn->opcode == 0xf0);
}

/* FNSTENV, FNSTCW, FNSAVE, FNSTSW to memory: for registers nothing can come before the exception.
 */
static bool no_wait(const struct x86_insn *insn)
{
	return insn->modrm < 0xc0 && (insn->opcode == 0xd9 || insn->opcode == 0xdd) &&
	       (insn->modrm >> 3 & 7) >= 6;
}

enum fpu_class fpu_class_of(const struct x86_insn *insn)
{
	bool mmx = false;

	if (insn->map == X86_MAP_1B) {
		if (insn->opcode == 0x9b)
			return FPU_WAIT;
		if (insn->opcode < 0xd8 || insn->opcode > 0xdf)
			return FPU_NONE;
		return no_wait(insn) ? FPU_X87_NOWAIT : FPU_X87;
	}
	if (insn->flags & X86_IF_VEX)
		return vex_gpr(insn) ? FPU_NONE : FPU_AVX;
	/* CVTPS2PI and its like: SSE whatever the operands. */
	if (insn->map == X86_MAP_0F && (insn->opcode == 0x2c || insn->opcode == 0x2d))
		return insn->pp < 2 ? FPU_SSE_MMX : FPU_SSE;
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind != X86_OPD_REG)
			continue;
		if (insn->opd[i].rc == X86_RC_XMM)
			return FPU_SSE;
		mmx |= insn->opd[i].rc == X86_RC_MMX;
	}
	/* EMMS has no operand. */
	return mmx || (insn->map == X86_MAP_0F && insn->opcode == 0x77) ? FPU_MMX : FPU_NONE;
}

void fpu_check_class(struct soft_cpu *cpu, enum fpu_class c)
{
	const struct x86_state *s = &cpu->s;

	switch (c) {
	case FPU_NONE:
		return;
	case FPU_WAIT:
		if ((s->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
			soft_raise(cpu, VEC_NM);
		return;
	case FPU_X87:
	case FPU_X87_NOWAIT:
		if (s->cr0 & (CR0_EM | CR0_TS))
			soft_raise(cpu, VEC_NM);
		return;
	case FPU_AVX:
		if (!(s->cr4 & CR4_OSXSAVE) || (s->xcr0 & 6) != 6)
			soft_raise(cpu, VEC_UD);
		break;
	case FPU_SSE:
	case FPU_SSE_MMX:
		if (!(s->cr4 & CR4_OSFXSR) || (s->cr0 & CR0_EM))
			soft_raise(cpu, VEC_UD);
		break;
	case FPU_MMX:
		if (s->cr0 & CR0_EM)
			soft_raise(cpu, VEC_UD);
		break;
	}
	if (s->cr0 & CR0_TS)
		soft_raise(cpu, VEC_NM);
}

void soft_fpu_check(struct soft_cpu *cpu, const struct x86_insn *insn)
{
	fpu_check_class(cpu, fpu_class_of(insn));
}
