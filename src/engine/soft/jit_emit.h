/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing host instructions. Source: Intel SDM vol. 2 ch. 2 and appendix B. Private to
 * src/engine/soft; the caller has made sure there is room.
 */
#ifndef LODGE_ENGINE_SOFT_JIT_EMIT_H
#define LODGE_ENGINE_SOFT_JIT_EMIT_H

#include <stddef.h>

#include "base/gpmem.h"
#include "engine/soft/soft_int.h"

/* The translator's scratch registers. */
enum { T0 = 9, T1 = 10, T2 = 11 };
#define BASE T2 /* cpu->space_base between instructions; whoever uses it otherwise loads it again */

static inline bool jit_in_memory(unsigned guest_reg)
{
	return guest_reg >= T0 && guest_reg <= T2;
}

/* Code goes to rw + pos; pos is an offset in the code memory, so that displacements are known. */
struct emit {
	uint8_t *rw;
	uint32_t pos;
};

#define GS_OFF(member) ((uint32_t)offsetof(struct soft_cpu, member))
#define GS_GPR(r) ((uint32_t)(offsetof(struct soft_cpu, s.gpr) + 8 * (r)))

/*
 * `n` bytes, 1 to 8, of `v`; what is behind them is lost, as nothing is there yet. One store and one
 * step of `pos` for as much as possible: through a pointer to bytes each is a load of both fields.
 */
static inline void em_put(struct emit *e, uint64_t v, unsigned n)
{
	uint32_t pos = e->pos;

	e->pos = pos + n;
	__builtin_memcpy(e->rw + pos, &v, 8);
}

static inline void em8(struct emit *e, unsigned b)
{
	uint32_t pos = e->pos;

	e->pos = pos + 1;
	e->rw[pos] = (uint8_t)b;
}

static inline void em16(struct emit *e, unsigned v)
{
	uint16_t w = (uint16_t)v;
	uint32_t pos = e->pos;

	e->pos = pos + 2;
	__builtin_memcpy(e->rw + pos, &w, 2);
}

static inline void em32(struct emit *e, uint32_t v)
{
	uint32_t pos = e->pos;

	e->pos = pos + 4;
	__builtin_memcpy(e->rw + pos, &v, 4);
}

static inline void em64(struct emit *e, uint64_t v)
{
	em_put(e, v, 8);
}

/* REX with W; always written (scratch registers need one). */
static inline unsigned em_rex_of(unsigned w, unsigned reg, unsigned index, unsigned base)
{
	return 0x40 | w << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);
}

static inline void em_rex(struct emit *e, unsigned w, unsigned reg, unsigned index, unsigned base)
{
	em8(e, em_rex_of(w, reg, index, base));
}

/* op reg, rm: both registers. */
static inline void em_rr(struct emit *e, unsigned w, unsigned op, unsigned reg, unsigned rm)
{
	em_put(e, em_rex_of(w, reg, 0, rm) | op << 8 | (0xc0 | (reg & 7) << 3 | (rm & 7)) << 16, 3);
}

/* ModRM and all behind it of [base + index * 2^scale + disp]; 16 = none (not both). */
static inline void em_mem(struct emit *e, unsigned reg, unsigned base, unsigned index,
			  unsigned scale, int32_t disp)
{
	unsigned r = (reg & 7) << 3;
	bool sib = index < 16 || base >= 16 || (base & 7) == 4;
	unsigned mod = base >= 16		      ? 0
		       : disp == 0 && (base & 7) != 5 ? 0
		       : disp >= -128 && disp <= 127  ? 0x40
						      : 0x80;

	uint64_t v = mod | r | (sib ? 4 : base & 7);
	unsigned n = 1;

	if (sib) {
		v |= (scale << 6 | (index < 16 ? (index & 7) << 3 : 0x20) |
		      (base >= 16 ? 5 : base & 7))
		     << 8;
		n = 2;
	}
	v |= (uint64_t)(uint32_t)disp << 8 * n;
	n += mod == 0x40 ? 1 : mod == 0x80 || base >= 16 ? 4 : 0;
	em_put(e, v, n);
}

/* op reg, gs:[disp] and op reg, gs:[index + disp] (index is no rsp, r12). */
static inline void em_gs(struct emit *e, unsigned w, unsigned op, unsigned reg, uint32_t disp)
{
	em_put(e,
	       0x65 | em_rex_of(w, reg, 0, 0) << 8 | op << 16 | ((reg & 7) << 3 | 4) << 24 |
		       (uint64_t)0x25 << 32 | (uint64_t)disp << 40,
	       8);
	em8(e, disp >> 24);
}

static inline void em_gs_at(struct emit *e, unsigned w, unsigned op, unsigned reg, unsigned index,
			    uint32_t disp)
{
	em_put(e,
	       0x65 | em_rex_of(w, reg, 0, index) << 8 | op << 16 |
		       (uint64_t)(0x80 | (reg & 7) << 3 | (index & 7)) << 24 | (uint64_t)disp << 32,
	       8);
}

static inline void em_load_gs(struct emit *e, unsigned reg, uint32_t disp)
{
	em_gs(e, 1, 0x8b, reg, disp);
}

static inline void em_store_gs(struct emit *e, unsigned reg, uint32_t disp)
{
	em_gs(e, 1, 0x89, reg, disp);
}

static inline void em_mov_rr(struct emit *e, unsigned dst, unsigned src)
{
	em_rr(e, 1, 0x89, src, dst);
}

static inline void em_movzx16(struct emit *e, unsigned dst, unsigned src)
{
	em32(e,
	     em_rex_of(0, dst, 0, src) | 0xb70f << 8 | (0xc0 | (dst & 7) << 3 | (src & 7)) << 24);
}

static inline void em_gs_movzx16(struct emit *e, unsigned dst, uint32_t disp)
{
	em8(e, 0x65);
	em_rex(e, 0, dst, 0, 0);
	em8(e, 0x0f);
	em8(e, 0xb7);
	em8(e, (dst & 7) << 3 | 4);
	em8(e, 0x25);
	em32(e, disp);
}

/* The shortest way to a constant. */
static inline void em_mov_imm(struct emit *e, unsigned reg, uint64_t v)
{
	if (v <= 0xffffffff) {
		em_put(e, em_rex_of(0, 0, 0, reg) | (0xb8 | (reg & 7)) << 8 | v << 16, 6);
	} else if ((int64_t)v == (int32_t)v) {
		em_put(e, em_rex_of(1, 0, 0, reg) | 0xc7 << 8 | (0xc0 | (reg & 7)) << 16 | v << 24,
		       7);
	} else {
		em16(e, em_rex_of(1, 0, 0, reg) | (0xb8 | (reg & 7)) << 8);
		em64(e, v);
	}
}

/* op/ext reg, imm32 (group 81). */
static inline void em_alu_imm(struct emit *e, unsigned w, unsigned ext, unsigned reg, uint32_t imm)
{
	em_put(e,
	       em_rex_of(w, 0, 0, reg) | 0x81 << 8 | (0xc0 | ext << 3 | (reg & 7)) << 16 |
		       (uint64_t)imm << 24,
	       7);
}

static inline void em_shift_imm(struct emit *e, unsigned w, unsigned ext, unsigned reg, unsigned n)
{
	em32(e,
	     em_rex_of(w, 0, 0, reg) | 0xc1 << 8 | (0xc0 | ext << 3 | (reg & 7)) << 16 | n << 24);
}

static inline void em_lea(struct emit *e, unsigned w, unsigned dst, unsigned base, unsigned index,
			  unsigned scale, int32_t disp)
{
	em16(e, em_rex_of(w, dst, index < 16 ? index : 0, base < 16 ? base : 0) | 0x8d << 8);
	em_mem(e, dst, base, index, scale, disp);
}

/* rorx dst, src, n (BMI2): a rotated copy that keeps flags. */
static inline void em_rorx(struct emit *e, unsigned dst, unsigned src, unsigned n)
{
	em8(e, 0xc4);
	em8(e, (~dst & 8) << 4 | 0x40 | (~src & 8) << 2 | 3);
	em8(e, 0xfb);
	em8(e, 0xf0);
	em8(e, 0xc0 | (dst & 7) << 3 | (src & 7));
	em8(e, n);
}

/* op reg, [base + index + disp], or the other way */
static inline void em_at(struct emit *e, unsigned w, unsigned op, unsigned reg, unsigned base,
			 unsigned index, int32_t disp)
{
	em_rex(e, w, reg, index < 16 ? index : 0, base);
	em8(e, op);
	em_mem(e, reg, base, index, 0, disp);
}

/* jmp/jcc rel32 to a known offset. */
static inline void em_jmp_to(struct emit *e, uint32_t target)
{
	em_put(e, 0xe9 | (uint64_t)(target - (e->pos + 5)) << 8, 5);
}

static inline void em_jcc_to(struct emit *e, unsigned cc, uint32_t target)
{
	em_put(e, 0x0f | (0x80 | cc) << 8 | (uint64_t)(target - (e->pos + 6)) << 16, 6);
}

/* The same with the displacement filled in later; returns where it is. */
static inline uint32_t em_jcc_later(struct emit *e, unsigned cc)
{
	em_put(e, 0x0f | (0x80 | cc) << 8, 6);
	return e->pos - 4;
}

static inline void em_patch_rel(uint8_t *rw, uint32_t at, uint32_t target)
{
	uint32_t v = target - (at + 4);

	__atomic_store_n((uint32_t *)(void *)(rw + at), v, __ATOMIC_RELEASE);
}

/* NOPs up to a multiple of four behind `skip` bytes of opcode: a displacement to be patched. */
static inline void em_align_rel(struct emit *e, unsigned skip)
{
	static const uint32_t nops[4] = {0, 0x90, 0x9066, 0x001f0f};
	unsigned n = -(e->pos + skip) & 3;

	em_put(e, nops[n], n);
}

/* jmp gs:[disp] */
static inline void em_jmp_gs(struct emit *e, uint32_t disp)
{
	em8(e, 0x65);
	em8(e, 0xff);
	em8(e, 0x24);
	em8(e, 0x25);
	em32(e, disp);
}

/* cpu->hflags = LAHF:SETO; ax is lost. */
static inline void em_save_flags(struct emit *e)
{
	em_put(e, 0x66c0900f9f, 5); /* lahf; seto al; the next one's size */
	em_gs(e, 0, 0x89, R_RAX, GS_OFF(hflags));
}

/* The same, and back, keeping rax by way of T1, or tmp. */
static inline void em_park(struct emit *e)
{
	em_mov_rr(e, T1, R_RAX);
	em_save_flags(e);
	em_mov_rr(e, R_RAX, T1);
}

static inline void em_unpark(struct emit *e, unsigned tmp)
{
	em_mov_rr(e, tmp, R_RAX);
	em8(e, 0x65); /* movzx eax, word gs:[hflags] */
	em8(e, 0x0f);
	em8(e, 0xb7);
	em8(e, 0x04);
	em8(e, 0x25);
	em32(e, GS_OFF(hflags));
	em8(e, 0x04); /* add al, 0x7f: overflows if it was 1 */
	em8(e, 0x7f);
	em8(e, 0x9e); /* sahf */
	em_mov_rr(e, R_RAX, tmp);
}

#endif
