// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest x87/MMX/SSE/AVX/BMI instructions as the host's own: choosing and running thunks.
 * Source: Intel SDM vol. 2 (exception types), vol. 3A ch. 6. Threads: the vCPU's own.
 *
 * Order inside an operation: whatever may fault for the guest's memory comes first, the thunk
 * last, so that state changes only once. A fault of the host instruction itself resumes in
 * thunk_fault() with registers as they were before it.
 */
#include "engine/soft/thunk_int.h"

/* ---- Memory operands ------------------------------------------------------------------------ */

/* TOP = 0; the tags of the registers stay. What FLDENV does to the host's pointers does not matter. */
static __attribute__((noinline)) void clear_top(struct soft_cpu *cpu)
{
	uint8_t env[28];

	fpu_need(cpu);
	__asm__ volatile("fnstenv %0" : "=m"(env));
	st_le16(env + 4, ld_le16(env + 4) & (uint16_t)~FSW_TOP);
	__asm__ volatile("fldenv %0" : : "m"(env));
}

void thunk_wait_first(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned c = op->aux & AUX_CLASS;

	if (c == FPU_X87 || c == FPU_MMX || c == FPU_SSE_MMX)
		thunk_call(cpu, cpu->e->thunks->fwait, NULL);
	if (c == FPU_MMX && op->aux >> AUX_SHAPE == SHAPE_STORE && cpu->e->thunks->mmx_top_first)
		clear_top(cpu);
}

void *thunk_ptr_slow(struct soft_cpu *cpu, const struct soft_op *op, gva_t lin, bool write)
{
	thunk_wait_first(cpu, op);
	return soft_ptr(cpu, lin, op->msize, !write, write);
}

/*
 * A misaligned operand of an aligned instruction: #GP(0) before any page fault, unless MXCSR.MM
 * (AMD APM vol. 1 §4.2.2) lets it pass. It never does for moves (op->src2).
 */
static __attribute__((noinline)) void misaligned(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t mxcsr;

	thunk_wait_first(cpu, op);
	fpu_need(cpu);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	if (op->src2 || !(mxcsr & MXCSR_MM))
		soft_raise_err(cpu, VEC_GP, 0);
}

static inline void check_aligned(struct soft_cpu *cpu, const struct soft_op *op, gva_t lin)
{
	if (unlikely(lin & op->cc))
		misaligned(cpu, op);
}

/* The operand's address. Misalignment comes before the segment's limit. */
static inline gva_t operand_lin(struct soft_cpu *cpu, const struct soft_op *op, bool write)
{
	gva_t lin;

	if (unlikely(op->flags & SOFT_OP_SEGCHECK))
		check_aligned(cpu, op, cpu->segbase[op->seg] + soft_ea_off(cpu, op));
	lin = thunk_lin(cpu, op, write);
	check_aligned(cpu, op, lin);
	return lin;
}

static __attribute__((noinline)) void load_bounced(struct soft_cpu *cpu, const struct soft_op *op,
						   const void *code, gva_t lin)
{
	uint8_t *p = thunk_bounce(cpu, 0, lin);

	soft_ld_bytes(cpu, lin, p, op->msize);
	thunk_call(cpu, code, p);
}

static __attribute__((noinline)) void store_bounced(struct soft_cpu *cpu, const struct soft_op *op,
						    const void *code, gva_t lin)
{
	uint8_t *p = thunk_bounce(cpu, 0, lin);

	soft_probe_write(cpu, lin, op->msize);
	thunk_call(cpu, code, p);
	soft_st_bytes(cpu, lin, p, op->msize);
}

static __attribute__((noinline)) void rmw_bounced(struct soft_cpu *cpu, const struct soft_op *op,
						  const void *code, gva_t lin)
{
	uint8_t *p = thunk_bounce(cpu, 0, lin);

	soft_probe_write(cpu, lin, op->msize);
	soft_ld_bytes(cpu, lin, p, op->msize);
	thunk_call(cpu, code, p);
	soft_st_bytes(cpu, lin, p, op->msize);
}

/* ---- Shapes --------------------------------------------------------------------------------- */

static void run_reg(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	(void)op;
	thunk_call(cpu, code, NULL);
}

static void run_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = operand_lin(cpu, op, false);
	void *p;

	p = thunk_ptr(cpu, op, lin, false);
	if (likely(p))
		thunk_call(cpu, code, p);
	else
		load_bounced(cpu, op, code, lin);
}

static void run_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = operand_lin(cpu, op, true);
	void *p;

	p = thunk_ptr(cpu, op, lin, true);
	if (likely(p))
		thunk_call(cpu, code, p);
	else
		store_bounced(cpu, op, code, lin);
}

static void run_rmw(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = operand_lin(cpu, op, true);
	void *p;

	p = thunk_ptr(cpu, op, lin, true);
	if (p)
		thunk_call(cpu, code, p);
	else
		rmw_bounced(cpu, op, code, lin);
}

static const thunk_run_fn runs[SHAPES] = {
	[SHAPE_REG] = run_reg,
	[SHAPE_LOAD] = run_load,
	[SHAPE_STORE] = run_store,
	[SHAPE_RMW] = run_rmw,
	[SHAPE_X87_REG] = thunk_x87_reg,
	[SHAPE_X87_LOAD] = thunk_x87_load,
	[SHAPE_X87_STORE] = thunk_x87_store,
	[SHAPE_X87_RESET] = thunk_x87_reset,
	[SHAPE_X87_ENV_LOAD] = thunk_x87_env_load,
	[SHAPE_X87_ENV_STORE] = thunk_x87_env_store,
	[SHAPE_MASKMOV_LOAD] = thunk_maskmov_load,
	[SHAPE_MASKMOV_STORE] = thunk_maskmov_store,
	[SHAPE_MASKMOV_BYTES] = thunk_maskmov_bytes,
	[SHAPE_GATHER] = thunk_gather,
	[SHAPE_ZERO_LOW] = thunk_zero_low,
};

/* Done by thunk_vec.c: there is no one thunk. */
static bool per_element(unsigned shape)
{
	return shape >= SHAPE_MASKMOV_LOAD && shape <= SHAPE_GATHER;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

/* Once after each time that something else needed the registers. */
static __attribute__((noinline)) const struct soft_op *enter_first(struct soft_cpu *cpu,
								   const struct soft_op *op)
{
	soft_fpu_enter(cpu);
	return atomic_load_explicit(&op->fn, memory_order_relaxed)(cpu, op);
}

/* Any operation, by the thunk that returns: operands that bounce, x87, uncached ones. */
static const struct soft_op *h_any(struct soft_cpu *cpu, const struct soft_op *op)
{
	const void *code = NULL;

	if (!per_element(op->aux >> AUX_SHAPE))
		code = thunk_get_for(cpu->e->thunks, cpu->index, op->imm);
	runs[op->aux >> AUX_SHAPE](cpu, op, code);
	return soft_next(cpu, op);
}

/* As h_any, with op->thunk at hand. */
static const struct soft_op *h_known(struct soft_cpu *cpu, const struct soft_op *op)
{
	runs[op->aux >> AUX_SHAPE](cpu, op, op->thunk);
	return soft_next(cpu, op);
}

/* Blocks of SOFT_MODE_NOFPU: something is switched off, so look first. */
static const struct soft_op *h_checked(struct soft_cpu *cpu, const struct soft_op *op)
{
	fpu_check_class(cpu, (enum fpu_class)(op->aux & AUX_CLASS));
	return h_any(cpu, op);
}

/* The three that matter: op->thunk is a chained one. */
static const struct soft_op *h_reg(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (unlikely(!cpu->fpu_live))
		return enter_first(cpu, op);
	return ((thunk_chain_fn)(uintptr_t)op->thunk)(cpu, NULL, op);
}

static inline __attribute__((always_inline)) const struct soft_op *
chain_at(struct soft_cpu *cpu, const struct soft_op *op, enum soft_access access)
{
	gva_t lin;
	void *p;

	if (unlikely(op->flags & SOFT_OP_SEGCHECK))
		return h_any(cpu, op);
	lin = op_lin(cpu, op, op->msize, access == SOFT_WRITE);
	p = soft_tlb_hit(cpu, lin, op->msize, access);
	if (unlikely(!p || (lin & op->cc)))
		return h_any(cpu, op);
	return ((thunk_chain_fn)(uintptr_t)op->thunk)(cpu, p, op);
}

static const struct soft_op *h_load(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (unlikely(!cpu->fpu_live))
		return enter_first(cpu, op);
	return chain_at(cpu, op, SOFT_READ);
}

static const struct soft_op *h_store(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (unlikely(!cpu->fpu_live))
		return enter_first(cpu, op);
	return chain_at(cpu, op, SOFT_WRITE);
}

/* General registers only (POPCNT, BMI, CRC32, …): the others need not be live. */
static const struct soft_op *h_gpr(struct soft_cpu *cpu, const struct soft_op *op)
{
	return ((thunk_chain_fn)(uintptr_t)op->thunk)(cpu, NULL, op);
}

static const struct soft_op *h_gpr_load(struct soft_cpu *cpu, const struct soft_op *op)
{
	return chain_at(cpu, op, SOFT_READ);
}

static const soft_fn chained[SHAPES] = {
	[SHAPE_REG] = h_reg,
	[SHAPE_LOAD] = h_load,
	[SHAPE_STORE] = h_store,
};

/* ---- Building ------------------------------------------------------------------------------- */

static enum thunk_shape shape_of(const struct x86_insn *insn, unsigned access)
{
	enum thunk_shape vec;

	if (thunk_vec_shape(insn, &vec))
		return vec;
	if (insn->map == X86_MAP_1B && insn->opcode >= 0xd8 && insn->opcode <= 0xdf)
		return thunk_x87_shape(insn, access);
	if (!access)
		return SHAPE_REG;
	if (access == (X86_ACC_R | X86_ACC_W))
		return SHAPE_RMW;
	return access == X86_ACC_W ? SHAPE_STORE : SHAPE_LOAD;
}

static bool has_feature(const struct soft_cpu *cpu, unsigned feature)
{
	const struct x86_cpuid *id = cpu->e->cfg.cpuid;

	return feature == X86_FEAT_NONE || !id || id->has[feature];
}

/* What the CPU model and the mode let this encoding be. */
static bool allowed(const struct soft_cpu *cpu, const struct x86_insn *insn)
{
	/* Nothing but computation may run on the host; of integer operations, those with a role. */
	if (!(insn->flags & X86_IF_HOST) &&
	    !(thunk_role(insn->map, insn->opcode, insn->pp, insn->modrm, false) & TR_OPSIZE))
		return false;
	if (!has_feature(cpu, insn->feature))
		return false;
	/* VEX: #UD in real and virtual-8086 mode (SDM 2 §2.4.2). */
	if ((insn->flags & X86_IF_VEX) &&
	    (!(cpu->mode & SOFT_MODE_PE) || (cpu->mode & SOFT_MODE_VM86)))
		return false;
	return true;
}

/* What an aligned operand's address must not have set. SHA: some hosts do not care: 0 leaves it to them. */
static uint8_t align_mask(const struct thunk_cache *tc, const struct x86_insn *insn, unsigned size)
{
	bool aligned = insn->feature == X86_FEAT_SHA_NI ? tc->sha_aligned
							: (insn->flags & X86_IF_ALIGNED) != 0;

	return aligned && size && !(size & (size - 1)) ? (uint8_t)(size - 1) : 0;
}

/* MOVAPS, MOVAPD, MOVDQA and the non-temporal moves: aligned by definition, whatever MXCSR.MM. */
static bool is_aligned_move(const struct x86_insn *insn)
{
	if (insn->map == X86_MAP_0F38)
		return insn->opcode == 0x2a;
	return insn->map == X86_MAP_0F &&
	       (insn->opcode == 0x28 || insn->opcode == 0x29 || insn->opcode == 0x2b ||
		insn->opcode == 0x6f || insn->opcode == 0x7f || insn->opcode == 0xe7);
}

static soft_fn choose_fn(struct soft_cpu *cpu, struct soft_op *op, enum thunk_shape shape)
{
	struct thunk_cache *tc = cpu->e->thunks;

	op->thunk = NULL;
	if (cpu->mode & SOFT_MODE_NOFPU)
		return h_checked;
	if (per_element(shape))
		return h_known;
	if (chained[shape]) {
		op->thunk = thunk_get(tc, op->imm | 1ull << TK_CHAIN);
		if (!op->thunk)
			return h_any;
		if ((op->aux & AUX_CLASS) == FPU_NONE && shape == SHAPE_REG)
			return h_gpr;
		if ((op->aux & AUX_CLASS) == FPU_NONE && shape == SHAPE_LOAD)
			return h_gpr_load;
		return chained[shape];
	}
	op->thunk = thunk_get(tc, op->imm);
	return op->thunk ? h_known : h_any;
}

bool soft_thunk_describe(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	const struct x86_operand *mem = thunk_mem_operand(insn);
	unsigned access = mem ? mem->access & (X86_ACC_R | X86_ACC_W) : 0;
	uint64_t key = thunk_key(insn);
	enum thunk_shape shape;

	if (!key || !allowed(cpu, insn))
		return false;
	shape = shape_of(insn, access);
	if (insn->mode != X86_MODE_64 &&
	    (insn->op == X86_OP_VZEROALL || insn->op == X86_OP_VZEROUPPER))
		shape = SHAPE_ZERO_LOW;
	op->imm = key;
	op->opsize = insn->opsize;
	op->msize = mem && mem->size < 256 ? (uint8_t)mem->size : 0;
	op->cc = align_mask(cpu->e->thunks, insn, op->msize);
	op->src2 = is_aligned_move(insn);
	if (shape == SHAPE_GATHER) {
		op->src = insn->index;
		op->index = SOFT_NO_REG;
	}
	op->aux = (uint8_t)((unsigned)shape << AUX_SHAPE | (unsigned)fpu_class_of(insn));
	return true;
}

bool soft_thunk_build(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	soft_fn fn;

	if (!soft_thunk_describe(cpu, op, insn))
		return false;
	fn = choose_fn(cpu, op, (enum thunk_shape)(op->aux >> AUX_SHAPE));
	atomic_store_explicit(&op->fn, fn, memory_order_relaxed);
	return true;
}

/* ---- Faults of host instructions ------------------------------------------------------------ */

/*
 * With CR0.NE = 0 the processor asserts FERR# and waits for an interrupt (SDM 3A §8.7.2): leave
 * the block at this instruction, which tries again once interrupts have been looked at.
 */
static _Noreturn void x87_external_error(struct soft_cpu *cpu)
{
	struct engine_host *host = &cpu->e->cfg.host;

	if (!cpu->ferr && host->ferr) {
		cpu->ferr = true;
		soft_fpu_leave(cpu);
		host->ferr(host->opaque, true);
	}
	cpu->s.rip = cpu->op->rip;
	soft_unwind(cpu);
}

_Noreturn void thunk_fault(struct soft_cpu *cpu, uint64_t trap)
{
	switch (trap) {
	case VEC_DE:
	case VEC_UD:
		soft_raise(cpu, (uint8_t)trap);
	case VEC_MF:
		if (cpu->s.cr0 & CR0_NE)
			soft_raise(cpu, VEC_MF);
		x87_external_error(cpu);
	case VEC_XM:
		soft_raise(cpu, cpu->s.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
	default:
		soft_raise_err(cpu, VEC_GP, 0);
	}
}
