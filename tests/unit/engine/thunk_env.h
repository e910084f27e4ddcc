/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU around the thunks alone: guest linear addresses are host addresses inside one arena, and
 * the run loop's and MMU's parts are stand-ins. Included once by each thunk test program.
 */
#ifndef LODGE_TESTS_THUNK_ENV_H
#define LODGE_TESTS_THUNK_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "base/gpmem.h"
#include "engine/soft/thunk_int.h"

#define ARENA_PAGES 4u
#define ARENA_BYTES (ARENA_PAGES * 4096u)

/* For what runs while the guest's registers are in the host's. */
#define NOSIMD __attribute__((target("general-regs-only"), noinline))

/* The arena is below 2 GiB (so 32-bit guests reach it); the page after it is not mapped. */
static uint8_t *arena;
static struct soft_engine engine;
static struct soft_cpu *cpu;
static struct soft_event raised;
static unsigned ferr_calls;
static bool ferr_level, force_bounce, own_signals;
static const struct soft_op stop_op;

NOSIMD static const struct soft_op *stop_fn(struct soft_cpu *c, const struct soft_op *op)
{
	(void)c;
	(void)op;
	return NULL;
}

NOSIMD static _Noreturn void raise_vector(struct soft_cpu *c, uint8_t vector, bool has_error,
					  uint32_t error)
{
	raised.vector = vector;
	raised.has_error = has_error;
	raised.error = error;
	__builtin_longjmp((void **)c->unwind, 1);
}

NOSIMD _Noreturn void soft_raise(struct soft_cpu *c, uint8_t vector)
{
	raise_vector(c, vector, false, 0);
}

NOSIMD _Noreturn void soft_raise_err(struct soft_cpu *c, uint8_t vector, uint32_t error)
{
	raise_vector(c, vector, true, error);
}

NOSIMD _Noreturn void soft_unwind(struct soft_cpu *c)
{
	raise_vector(c, 0xff, false, 0);
}

NOSIMD static bool in_arena(gva_t lin, unsigned len)
{
	return lin >= (uintptr_t)arena && lin + len <= (uintptr_t)arena + ARENA_BYTES;
}

NOSIMD static void check_mapped(struct soft_cpu *c, gva_t lin, unsigned len, bool write)
{
	if (in_arena(lin, len))
		return;
	c->s.cr2 = in_arena(lin, 1) ? (uintptr_t)arena + ARENA_BYTES : lin;
	soft_raise_err(c, VEC_PF, write ? PF_W : 0);
}

NOSIMD void soft_probe_write(struct soft_cpu *c, gva_t lin, unsigned len)
{
	check_mapped(c, lin, len, true);
}

NOSIMD void soft_probe_read(struct soft_cpu *c, gva_t lin, unsigned len)
{
	check_mapped(c, lin, len, false);
}

NOSIMD void soft_ld_bytes(struct soft_cpu *c, gva_t lin, void *buf, unsigned len)
{
	check_mapped(c, lin, len, false);
	gp_memcpy(buf, (void *)(uintptr_t)lin, len);
}

NOSIMD void soft_st_bytes(struct soft_cpu *c, gva_t lin, const void *buf, unsigned len)
{
	check_mapped(c, lin, len, true);
	gp_memcpy((void *)(uintptr_t)lin, buf, len);
}

NOSIMD uint64_t soft_ld(struct soft_cpu *c, gva_t lin, unsigned size)
{
	uint64_t v = 0;

	soft_ld_bytes(c, lin, &v, size);
	return v;
}

NOSIMD void soft_st(struct soft_cpu *c, gva_t lin, uint64_t val, unsigned size)
{
	soft_st_bytes(c, lin, &val, size);
}

NOSIMD void *soft_ptr(struct soft_cpu *c, gva_t lin, unsigned len, bool read, bool write)
{
	(void)read;
	check_mapped(c, lin, len, write);
	if (force_bounce || (lin & 4095) + len > 4096)
		return NULL;
	return (void *)(uintptr_t)lin;
}

NOSIMD uint64_t soft_ea_off(const struct soft_cpu *c, const struct soft_op *op)
{
	const uint64_t *r = c->s.gpr;

	return (r[op->base] + (r[op->index] << op->scale) + (uint64_t)op->disp) & op->ea_mask;
}

NOSIMD gva_t soft_lin(struct soft_cpu *c, unsigned seg, uint64_t off, unsigned size, bool write)
{
	(void)size;
	(void)write;
	return off + c->segbase[seg];
}

NOSIMD gva_t soft_ea_lin(struct soft_cpu *c, const struct soft_op *op, unsigned size, bool write)
{
	return soft_lin(c, op->seg, soft_ea_off(c, op), size, write);
}

NOSIMD void soft_mode_changed(struct soft_cpu *c)
{
	(void)c;
}

static void env_ferr(void *opaque, bool level)
{
	(void)opaque;
	ferr_calls++;
	ferr_level = level;
}

/* With the arena in the soft TLB operands are used in place; without, every path is the slow one.
 */
static inline void env_tlb(bool on)
{
	for (unsigned i = 0; i < 2 * ARENA_PAGES; i++) {
		gva_t page = (uintptr_t)arena + 4096 * (i / 2);
		struct soft_tlb_ent *t =
			soft_tlb_slot(&cpu->views[0], (enum soft_access)(i & 1), page);

		t->tag = on ? page | (cpu->tlb_gen & 0xfff) : 0;
		t->addend = 0;
	}
}

/* A 64-bit guest at CPL 0 with everything switched on. */
static void env_reset(void)
{
	soft_fpu_leave(cpu);
	memset(&cpu->s, 0, sizeof(cpu->s));
	memset(cpu->segbase, 0, sizeof(cpu->segbase));
	st_le16(cpu->s.xsave + FX_FCW, 0x37f);
	st_le32(cpu->s.xsave + FX_MXCSR, 0x1f80);
	cpu->s.cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_MP;
	cpu->s.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	cpu->s.xcr0 = 7;
	cpu->s.rflags = FLAG_FIXED;
	cpu->mode = SOFT_MODE_PE | SOFT_MODE_CS64 | SOFT_MODE_LMA | SOFT_MODE_FLAT;
	cpu->tlb = &cpu->views[0];
	cpu->tlb_gen = 1;
	env_tlb(true);
	cpu->ferr = false;
	ferr_calls = 0;
	force_bounce = false;
}

static int env_setup(void **state)
{
	struct lodge_err err = {0};

	(void)state;
	arena = mmap((void *)0x20000000, ARENA_BYTES + 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (arena == MAP_FAILED || mprotect(arena + ARENA_BYTES, 4096, PROT_NONE) < 0)
		return -1;
	cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ul);
	memset(cpu, 0, sizeof(*cpu));
	engine.thunks = thunk_cache_new(&err);
	if (!engine.thunks || soft_signals_init(&err) < 0)
		return -1;
	engine.cfg.host.ferr = env_ferr;
	cpu->e = &engine;
	soft_signals_thread_init(cpu);
	env_reset();
	return 0;
}

static int env_teardown(void **state)
{
	(void)state;
	thunk_cache_free(engine.thunks);
	free(cpu);
	munmap(arena, ARENA_BYTES + 4096);
	return 0;
}

/* What the block builder fills in before it calls soft_thunk_build(). */
static void env_fill_op(struct soft_op *op, const struct x86_insn *insn, gva_t rip)
{
	memset(op, 0, sizeof(*op));
	op->rip = rip;
	op->len = insn->len;
	op->opsize = insn->opsize;
	op->addrsize = insn->addrsize;
	op->base = insn->base;
	op->index = insn->index;
	op->scale = insn->scale;
	op->seg = insn->seg;
	op->disp = insn->disp;
	op->ea_mask = insn->addrsize == 8 ? ~0ull : insn->addrsize == 4 ? 0xffffffff : 0xffff;
	if (insn->base == X86_REG_RIP) {
		op->base = SOFT_NO_REG;
		op->disp += (int64_t)(rip + insn->len);
	}
}

NOSIMD static int run_seq(const struct soft_op *seq)
{
	if (__builtin_setjmp((void **)cpu->unwind))
		return 1 + raised.vector;
	atomic_load (&seq[0].fn)(cpu, seq);
	return 0;
}

/* Run the one operation. 0, or 1 + the vector raised. */
static int env_run_op(const struct soft_op *op)
{
	struct soft_op seq[2] = {*op, stop_op};
	int r;

	/* cmocka takes the signals for itself at each test */
	if (!own_signals && soft_signals_init(NULL) < 0)
		return -2;
	atomic_store(&seq[1].fn, stop_fn);
	cpu->op = seq;
	r = run_seq(seq);
	soft_fpu_leave(cpu);
	return r;
}

static inline bool env_is_xstate(const struct x86_insn *insn)
{
	return insn->op >= X86_OP_FXSAVE && insn->op <= X86_OP_STMXCSR;
}

NOSIMD static const struct soft_op *xstate_fn(struct soft_cpu *c, const struct soft_op *op)
{
	soft_xstate_op(c, op);
	return soft_next(c, op);
}

/* As the block builder does: a thunk, or the whole-state operation. */
static inline bool env_build(struct soft_op *op, const struct x86_insn *insn, gva_t rip)
{
	env_fill_op(op, insn, rip);
	if (!env_is_xstate(insn))
		return soft_thunk_build(cpu, op, insn);
	op->insn = insn;
	atomic_store(&op->fn, xstate_fn);
	return true;
}

/* Decode and run `bytes` in `mode`. 0, 1 + vector, or -1 if it decodes or builds to nothing. */
static inline int env_run(const uint8_t *bytes, size_t len, enum x86_mode mode)
{
	struct x86_insn insn;
	struct soft_op op;

	if (x86_decode(&insn, bytes, len, mode) != (int)len)
		return -1;
	if (!env_build(&op, &insn, 0x401000))
		return -1;
	return env_run_op(&op);
}

#define RUN(mode, ...) \
	env_run((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), mode)
#define RUN64(...) RUN(X86_MODE_64, __VA_ARGS__)
#define RUN32(...) RUN(X86_MODE_32, __VA_ARGS__)
#define RUN16(...) RUN(X86_MODE_16, __VA_ARGS__)

/* ---- Registers of the guest while they are not live ----------------------------------------- */

static inline void set_xmm(unsigned n, uint64_t lo, uint64_t hi)
{
	st_le64(cpu->s.xsave + FX_XMM + 16 * n, lo);
	st_le64(cpu->s.xsave + FX_XMM + 16 * n + 8, hi);
	cpu->s.xsave[XS_BV] |= 2;
}

static inline uint64_t xmm_lo(unsigned n)
{
	return ld_le64(cpu->s.xsave + FX_XMM + 16 * n);
}

static inline uint64_t xmm_hi(unsigned n)
{
	return ld_le64(cpu->s.xsave + FX_XMM + 16 * n + 8);
}

static inline void set_ymm_hi(unsigned n, uint64_t lo, uint64_t hi)
{
	st_le64(cpu->s.xsave + XS_YMM + 16 * n, lo);
	st_le64(cpu->s.xsave + XS_YMM + 16 * n + 8, hi);
	cpu->s.xsave[XS_BV] |= 4;
}

static inline uint64_t ymm_hi_lo(unsigned n)
{
	return ld_le64(cpu->s.xsave + XS_YMM + 16 * n);
}

static inline void set_fcw(uint16_t fcw)
{
	st_le16(cpu->s.xsave + FX_FCW, fcw);
	cpu->s.xsave[XS_BV] |= 1;
}

/* A 16- or 32-bit guest with flat segments, in protected or real mode. */
static inline void env_legacy(bool pe, bool vm86)
{
	cpu->mode = SOFT_MODE_FLAT | SOFT_MODE_CS32 | SOFT_MODE_SS32;
	if (pe)
		cpu->mode |= SOFT_MODE_PE;
	else
		cpu->s.cr0 &= ~(uint64_t)CR0_PE;
	if (vm86) {
		cpu->mode |= SOFT_MODE_VM86;
		cpu->s.rflags |= FLAG_VM;
	}
}

#endif
