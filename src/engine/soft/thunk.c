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

/* ---- Memory operands
 * ----------------------------------------------------------------------------- */

/*
 * A misaligned operand of an aligned instruction: #GP(0) before any page fault, unless MXCSR.MM
 * (AMD APM vol. 1 §4.2.2) lets it pass; where MM does not apply the host faults by itself.
 */
static void check_aligned(struct soft_cpu *cpu, gva_t lin, unsigned mask)
{
	uint32_t mxcsr;

	if (__builtin_expect(!(lin & mask), 1))
		return;
	fpu_need(cpu);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	if (!(mxcsr & 1u << 17))
		soft_raise_err(cpu, VEC_GP, 0);
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

/* ---- Shapes
 * -------------------------------------------------------------------------------------- */

static inline void run_reg(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	(void)op;
	thunk_call(cpu, code, NULL);
}

static inline void run_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = soft_ea_lin(cpu, op, op->msize, false);
	void *p;

	check_aligned(cpu, lin, op->cc);
	p = soft_ptr(cpu, lin, op->msize, true, false);
	if (__builtin_expect(p != NULL, 1))
		thunk_call(cpu, code, p);
	else
		load_bounced(cpu, op, code, lin);
}

static inline void run_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = soft_ea_lin(cpu, op, op->msize, true);
	void *p;

	check_aligned(cpu, lin, op->cc);
	p = soft_ptr(cpu, lin, op->msize, false, true);
	if (__builtin_expect(p != NULL, 1))
		thunk_call(cpu, code, p);
	else
		store_bounced(cpu, op, code, lin);
}

static void run_rmw(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = soft_ea_lin(cpu, op, op->msize, true);
	void *p;

	check_aligned(cpu, lin, op->cc);
	p = soft_ptr(cpu, lin, op->msize, true, true);
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
};

/* ---- Handlers
 * ------------------------------------------------------------------------------------ */

static const struct soft_op *h_reg(struct soft_cpu *cpu, const struct soft_op *op)
{
	run_reg(cpu, op, op->thunk);
	return soft_next(cpu, op);
}

static const struct soft_op *h_load(struct soft_cpu *cpu, const struct soft_op *op)
{
	run_load(cpu, op, op->thunk);
	return soft_next(cpu, op);
}

static const struct soft_op *h_store(struct soft_cpu *cpu, const struct soft_op *op)
{
	run_store(cpu, op, op->thunk);
	return soft_next(cpu, op);
}

static const struct soft_op *h_any(struct soft_cpu *cpu, const struct soft_op *op)
{
	runs[op->aux >> AUX_SHAPE](cpu, op, op->thunk);
	return soft_next(cpu, op);
}

/* Blocks of SOFT_MODE_NOFPU: something is switched off, so look first. */
static const struct soft_op *h_checked(struct soft_cpu *cpu, const struct soft_op *op)
{
	fpu_check_class(cpu, (enum fpu_class)(op->aux & AUX_CLASS));
	runs[op->aux >> AUX_SHAPE](cpu, op, op->thunk);
	return soft_next(cpu, op);
}

/* The cache had no room: made anew each time, in a place of this vCPU's. */
static const struct soft_op *h_uncached(struct soft_cpu *cpu, const struct soft_op *op)
{
	fpu_check_class(cpu, (enum fpu_class)(op->aux & AUX_CLASS));
	runs[op->aux >> AUX_SHAPE](cpu, op, thunk_slot(cpu->e->thunks, cpu->index, op->imm));
	return soft_next(cpu, op);
}

static const soft_fn direct[SHAPES] = {
	[SHAPE_REG] = h_reg,
	[SHAPE_LOAD] = h_load,
	[SHAPE_STORE] = h_store,
};

/* ---- Building
 * ------------------------------------------------------------------------------------ */

static const struct x86_operand *mem_operand(const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind == X86_OPD_MEM)
			return &insn->opd[i];
	}
	return NULL;
}

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
	if (!has_feature(cpu, insn->feature))
		return false;
	/* VEX: #UD in real and virtual-8086 mode (SDM 2 §2.4.2). */
	if ((insn->flags & X86_IF_VEX) &&
	    (!(cpu->mode & SOFT_MODE_PE) || (cpu->mode & SOFT_MODE_VM86)))
		return false;
	return true;
}

/* Without BMI1 or LZCNT the prefix means nothing: BSF or BSR. */
static bool is_plain_scan(const struct soft_cpu *cpu, const struct x86_insn *insn)
{
	return (insn->op == X86_OP_TZCNT || insn->op == X86_OP_LZCNT) &&
	       !has_feature(cpu, insn->feature);
}

static bool per_element(enum thunk_shape shape)
{
	return shape >= SHAPE_MASKMOV_LOAD && shape <= SHAPE_GATHER;
}

static soft_fn choose_fn(const struct soft_cpu *cpu, const struct soft_op *op,
			 enum thunk_shape shape)
{
	if (!op->thunk && !per_element(shape))
		return h_uncached;
	if (cpu->mode & SOFT_MODE_NOFPU)
		return h_checked;
	return direct[shape] ? direct[shape] : h_any;
}

bool soft_thunk_build(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	const struct x86_operand *mem = mem_operand(insn);
	unsigned access = mem ? mem->access & (X86_ACC_R | X86_ACC_W) : 0;
	uint64_t key = thunk_key(insn);
	enum thunk_shape shape;

	if (is_plain_scan(cpu, insn))
		key &= ~(3ull << TK_PP);
	else if (!allowed(cpu, insn))
		return false;
	if (!key)
		return false;
	shape = shape_of(insn, access);
	op->imm = key;
	op->opsize = insn->opsize;
	op->msize = mem && mem->size < 256 ? (uint8_t)mem->size : 0;
	op->cc = 0;
	if ((insn->flags & X86_IF_ALIGNED) && op->msize && !(op->msize & (op->msize - 1)))
		op->cc = (uint8_t)(op->msize - 1);
	if (shape == SHAPE_GATHER) {
		op->src = insn->index;
		op->index = SOFT_NO_REG;
	}
	op->aux = (uint8_t)((unsigned)shape << AUX_SHAPE | (unsigned)fpu_class_of(insn));
	op->thunk = per_element(shape) ? NULL : thunk_get(cpu->e->thunks, key);
	atomic_store_explicit(&op->fn, choose_fn(cpu, op, shape), memory_order_relaxed);
	return true;
}

/* ---- Faults of host instructions
 * ------------------------------------------------------------------ */

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
