// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host code for what a kernel executes most: flags as a whole, the interrupt flag, fast system calls,
 * SMAP's flag, the time stamp. Source: Intel SDM vol. 2 of each instruction; AMD APM vol. 3.
 * Threads: with the cache lock.
 *
 * Only the usual case is here; what is not goes to the S1 handler before anything has changed. Which
 * case it is comes from the block's mode where the mode says it, else it is asked at run time.
 *
 * INTERRUPTS. Whoever asks for attention sets `requests` first and then signals the thread, and from
 * then on every exit of the block leads to C. So it is enough to look at `requests` once, before
 * interrupts are let in: what comes later makes the block end.
 */
#include "engine/soft/jit_xlat.h"
#include "engine/soft/sys_int.h"

#define CC_E 4u
#define CC_NE 5u
#define CC_A 7u

#define SYSTEM_FLAGS \
	(FLAG_TF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM | FLAG_AC | FLAG_ID)

/* ---- Pieces --------------------------------------------------------------------------------- */

/* CPL 0, or real mode. */
static bool is_kernel(const struct xlat *x)
{
	return !(x->mode & (SOFT_MODE_CPL3 | SOFT_MODE_CPL12 | SOFT_MODE_VM86));
}

/* Group 81 of a doubleword of the vCPU: 1 or, 4 and, 7 cmp. Flags are lost. */
static void gs_alu32(struct emit *e, unsigned ext, uint32_t at, uint32_t imm)
{
	em_gs(e, 0, 0x81, ext, at);
	em32(e, imm);
}

static void gs_store32(struct emit *e, uint32_t at, uint32_t imm)
{
	em_gs(e, 0, 0xc7, 0, at);
	em32(e, imm);
}

void jit_slow_if_bits(struct xlat *x, unsigned cc, uint32_t at, uint32_t bits)
{
	em_gs(&x->e, 0, 0xf7, 0, at); /* test dword gs:[at], bits */
	em32(&x->e, bits);
	jit_slow_stub(x, em_jcc_later(&x->e, cc), false);
}

static void slow_if_reg_bits(struct xlat *x, unsigned reg, uint32_t bits)
{
	em_rex(&x->e, 0, 0, 0, reg); /* test reg, bits */
	em8(&x->e, 0xf7);
	em8(&x->e, 0xc0 | (reg & 7));
	em32(&x->e, bits);
	jit_slow_stub(x, em_jcc_later(&x->e, CC_NE), false);
}

/* Someone wants the vCPU: S1 lets interrupts in, the run loop takes them. */
static void slow_if_asked(struct xlat *x)
{
	gs_alu32(&x->e, 7, GS_OFF(requests), 0);
	jit_slow_stub(x, em_jcc_later(&x->e, CC_NE), false);
}

/* x87 was used: CS belongs to what it leaves to be looked at (settle_x87). */
static void slow_if_x87(struct xlat *x)
{
	em_gs(&x->e, 1, 0x83, 7, GS_OFF(x87_ip)); /* cmp qword gs:[x87_ip], 0 */
	em8(&x->e, 0);
	jit_slow_stub(x, em_jcc_later(&x->e, CC_NE), false);
}

static void go_on(struct xlat *x, const struct jit_op *o)
{
	jit_emit_exit(x, (o->op->rip + o->op->len) & x->cpu->rip_mask, -1);
}

/* Whatever they are worth, the arithmetic flags are in hflags from here on. */
static void park(struct xlat *x)
{
	if (x->flags == FLAGS_HOST)
		em_park(&x->e);
	x->flags = FLAGS_PARKED;
}

/* dst = all flags, from s.rflags and the parked ones; RF and VM as 0. `tmp` is lost. */
static void compose_flags(struct emit *e, unsigned dst, unsigned tmp)
{
	em_gs(e, 0, 0x8b, dst, GS_OFF(s.rflags));
	em_alu_imm(e, 0, 4, dst, ~(FLAGS_ARITH | FLAG_RF | FLAG_VM));
	em8(e, 0x65); /* movzx tmp, byte gs:[hflags + 1]: what LAHF left */
	em_rex(e, 0, tmp, 0, 0);
	em8(e, 0x0f);
	em8(e, 0xb6);
	em8(e, (tmp & 7) << 3 | 4);
	em8(e, 0x25);
	em32(e, GS_OFF(hflags) + 1);
	em_rr(e, 0, 0x09, tmp, dst);
	em8(e, 0x65); /* movzx tmp, byte gs:[hflags]: OF */
	em_rex(e, 0, tmp, 0, 0);
	em8(e, 0x0f);
	em8(e, 0xb6);
	em8(e, (tmp & 7) << 3 | 4);
	em8(e, 0x25);
	em32(e, GS_OFF(hflags));
	em_shift_imm(e, 0, 4, tmp, 11);
	em_rr(e, 0, 0x09, tmp, dst);
}

/* The parked flags = the arithmetic ones of `reg`, which is lost. */
static void park_from(struct xlat *x, unsigned reg)
{
	struct emit *e = &x->e;

	em_gs(e, 0, 0x88, reg, GS_OFF(hflags) + 1);
	em_shift_imm(e, 0, 5, reg, 11);
	em_alu_imm(e, 0, 4, reg, 1);
	em_gs(e, 0, 0x88, reg, GS_OFF(hflags));
	x->flags = FLAGS_PARKED;
}

/* ---- Flags ---------------------------------------------------------------------------------- */

static void emit_pause(struct xlat *x, struct jit_op *o)
{
	em8(&x->e, 0xf3);
	em8(&x->e, 0x90);
	go_on(x, o);
}

static void emit_cli(struct xlat *x, struct jit_op *o)
{
	(void)o;
	jit_lose_flags(x);
	gs_alu32(&x->e, 4, GS_OFF(s.rflags), ~FLAG_IF);
}

/*
 * Interrupts wait for one more instruction, which is in this block: who asks from now on gets the vCPU
 * at the block's end.
 */
static void emit_sti(struct xlat *x, struct jit_op *o)
{
	(void)o;
	jit_lose_flags(x);
	slow_if_asked(x);
	gs_alu32(&x->e, 1, GS_OFF(s.rflags), FLAG_IF);
}

static void emit_cld(struct xlat *x, struct jit_op *o)
{
	(void)o;
	jit_lose_flags(x);
	gs_alu32(&x->e, 4, GS_OFF(s.rflags), ~FLAG_DF);
}

static void emit_std(struct xlat *x, struct jit_op *o)
{
	(void)o;
	jit_lose_flags(x);
	gs_alu32(&x->e, 1, GS_OFF(s.rflags), FLAG_DF);
}

static void emit_pushf(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;

	jit_stack_slot(x, R_RSP, -(int)size, size, SOFT_WRITE);
	park(x);
	compose_flags(&x->e, T1, T2);
	jit_store_t0(x, size, T1);
	em_load_gs(&x->e, BASE, GS_OFF(space_base));
	jit_set_sp(x, R_RSP, -(int)size);
}

/* As long as no system flag but IF changes. */
static void emit_popf(struct xlat *x, struct jit_op *o)
{
	unsigned size = o->insn.opsize;
	struct emit *e = &x->e;
	uint32_t same, off;

	jit_stack_slot(x, R_RSP, 0, size, SOFT_READ);
	jit_load_t0(x, size, T1);
	em_alu_imm(e, 0, 4, T1, ~(FLAG_RF | FLAG_VM)); /* RF is cleared, whatever is there */
	em_gs(e, 0, 0x8b, T0, GS_OFF(s.rflags));
	em_rr(e, 0, 0x31, T1, T0); /* xor r9d, r10d: what changes */
	slow_if_reg_bits(x, T0, SYSTEM_FLAGS);
	em_alu_imm(e, 0, 4, T0, FLAG_IF);
	same = em_jcc_later(e, CC_E);
	em_rex(e, 0, 0, 0, T1); /* test r10d, IF */
	em8(e, 0xf7);
	em8(e, 0xc0 | (T1 & 7));
	em32(e, FLAG_IF);
	off = em_jcc_later(e, CC_E);
	slow_if_asked(x);
	em_patch_rel(e->rw, off, e->pos);
	em_gs(e, 0, 0x31, T0, GS_OFF(s.rflags)); /* xor gs:[rflags], IF */
	em_patch_rel(e->rw, same, e->pos);
	park_from(x, T1);
	jit_set_sp(x, R_RSP, (int)size);
}

/* ---- Another view --------------------------------------------------------------------------- */

/*
 * What soft_mode_changed() would find for 64-bit mode under `mode` and `view`, when nothing else has
 * changed. Loses T0 and flags.
 */
static void emit_view(struct xlat *x, uint32_t mode, enum soft_view view)
{
	struct emit *e = &x->e;
	uint32_t tlb = (uint32_t)(offsetof(struct soft_cpu, views) +
				  (unsigned)view * sizeof(struct soft_tlb));
	uint32_t space = (uint32_t)(offsetof(struct soft_cpu, view_space) +
				    (unsigned)view * sizeof(struct soft_space *));

	gs_store32(e, GS_OFF(mode), mode);
	gs_store32(e, GS_OFF(view), (uint32_t)view);
	em_load_gs(e, T0, GS_OFF(self));
	em_lea(e, 1, T0, T0, X86_NO_REG, 0, (int32_t)tlb);
	em_store_gs(e, T0, GS_OFF(tlb));
	em_gs_movzx16(e, T0, view == SOFT_VIEW_SUPER ? GS_OFF(super_gen) : GS_OFF(space_gen));
	em_store_gs(e, T0, GS_OFF(tlb_gen));
	em_store_gs(e, T0, GS_OFF(tlb_wgen));
	em_load_gs(e, BASE, space);
	em_lea(e, 1, BASE, BASE, X86_NO_REG, 0, (int32_t)offsetof(struct soft_space, win));
	em_store_gs(e, BASE, GS_OFF(space_base));
}

/*
 * STAC and CLAC under SMAP. The generation of code stays, so one bit of code_key does; a spoilt one
 * (on_kick) still matches nothing.
 */
static void emit_stac(struct xlat *x, struct jit_op *o)
{
	struct emit *e = &x->e;

	jit_lose_flags(x);
	if (!(x->mode & SOFT_MODE_VIEW_AC)) {
		jit_slow_if_bits(x, CC_E, GS_OFF(s.cr4), CR4_SMAP);
		gs_alu32(e, 1, GS_OFF(s.rflags), FLAG_AC);
		emit_view(x, x->mode | SOFT_MODE_VIEW_AC, SOFT_VIEW_SUPER_AC);
		gs_alu32(e, 1, GS_OFF(code_key), SOFT_MODE_VIEW_AC);
	}
	go_on(x, o);
}

static void emit_clac(struct xlat *x, struct jit_op *o)
{
	struct emit *e = &x->e;

	jit_lose_flags(x);
	gs_alu32(e, 4, GS_OFF(s.rflags), ~FLAG_AC);
	if (x->mode & SOFT_MODE_VIEW_AC) {
		emit_view(x, x->mode & ~SOFT_MODE_VIEW_AC, SOFT_VIEW_SUPER);
		gs_alu32(e, 4, GS_OFF(code_key), ~SOFT_MODE_VIEW_AC);
	}
	go_on(x, o);
}

/* ---- Fast system calls ---------------------------------------------------------------------- */

/* A flat segment with the selector in `sel`, which is lost. */
static void emit_flat(struct emit *e, unsigned seg, unsigned sel, unsigned attr)
{
	uint32_t at = (uint32_t)(offsetof(struct soft_cpu, s.seg) + sizeof(struct x86_seg) * seg);

	em_alu_imm(e, 0, 1, sel, attr << 16);
	em_gs(e, 1, 0xc7, 0, at + (uint32_t)offsetof(struct x86_seg, base));
	em32(e, 0);
	gs_store32(e, at + (uint32_t)offsetof(struct x86_seg, limit), 0xffffffff);
	em_gs(e, 0, 0x89, sel, at + (uint32_t)offsetof(struct x86_seg, sel));
	em_gs(e, 0, 0xc6, 0, at + (uint32_t)offsetof(struct x86_seg, unusable));
	em8(e, 0);
}

_Static_assert(offsetof(struct x86_seg, attr) == offsetof(struct x86_seg, sel) + 2,
	       "selector and attributes are one doubleword");

/*
 * To other privilege: view, code_key, then through the table to the address that `load` puts into T0.
 * A kick before code_key was stored is seen afterwards.
 */
static void emit_privilege(struct xlat *x, uint32_t mode, enum soft_view view, unsigned target_reg,
			   uint32_t target_at)
{
	const unsigned low = SOFT_GEN_BITS + SOFT_MODE_BITS;
	struct emit *e = &x->e;

	emit_view(x, mode, view); /* T0 = the generation */
	em_gs_movzx16(e, T0, view == SOFT_VIEW_SUPER ? GS_OFF(super_gen) : GS_OFF(space_gen));
	em_shift_imm(e, 1, 4, T0, SOFT_MODE_BITS);
	em_alu_imm(e, 0, 1, T0, mode);
	em_load_gs(e, T1, GS_OFF(code_key));
	em_shift_imm(e, 1, 5, T1, low);
	em_shift_imm(e, 1, 4, T1, low);
	em_rr(e, 1, 0x09, T1, T0);
	em_store_gs(e, T0, GS_OFF(code_key));
	if (target_at)
		em_load_gs(e, T0, target_at);
	else
		em_mov_rr(e, T0, target_reg);
	em_gs(e, 0, 0x80, 7, GS_OFF(jit_kicked)); /* cmp byte gs:[jit_kicked], 0 */
	em8(e, 0);
	jit_slow_stub(x, em_jcc_later(e, CC_NE), true);
	jit_emit_indirect(x);
}

static void emit_syscall(struct xlat *x, struct jit_op *o)
{
	struct emit *e = &x->e;

	park(x);
	jit_slow_if_bits(x, CC_E, GS_OFF(s.efer), EFER_SCE);
	slow_if_x87(x);
	compose_flags(e, T0, T1);
	em_gs(e, 0, 0x8b, T1, GS_OFF(s.sfmask));
	em_rex(e, 0, 0, 0, T1); /* not r10d */
	em8(e, 0xf7);
	em8(e, 0xd0 | (T1 & 7));
	em_rr(e, 0, 0x21, T0, T1);
	slow_if_reg_bits(x, T1, FLAG_AC);
	em_store_gs(e, T0, GS_GPR(R_R11));
	jit_mov_moving(x, R_RCX, o->op->rip + o->op->len);
	em_alu_imm(e, 0, 1, T1, FLAG_FIXED);
	em_store_gs(e, T1, GS_OFF(s.rflags));
	park_from(x, T1);
	em_gs_movzx16(e, T0, GS_OFF(s.star) + 4);
	em_alu_imm(e, 0, 4, T0, 0xfffc);
	em_lea(e, 0, T1, T0, X86_NO_REG, 0, 8);
	em_alu_imm(e, 0, 4, T1, 0xfffc);
	emit_flat(e, SEG_CS, T0, SEG_FLAT_CODE | SEG_ATTR_L);
	emit_flat(e, SEG_SS, T1, SEG_FLAT_DATA);
	emit_privilege(x, x->mode & ~SOFT_MODE_CPL3, SOFT_VIEW_SUPER, 0, GS_OFF(s.lstar));
}

/* To 64-bit mode, where an address that is not canonical faults in the one or the other level. */
static void emit_sysret(struct xlat *x, struct jit_op *o)
{
	const uint32_t may = FLAGS_ARITH | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_VIF |
			     FLAG_VIP | FLAG_ID;
	const unsigned dpl3 = 3u << SEG_ATTR_DPL_SHIFT;
	struct emit *e = &x->e;

	(void)o;
	jit_lose_flags(x);
	jit_slow_if_bits(x, CC_E, GS_OFF(s.efer), EFER_SCE);
	slow_if_x87(x);
	slow_if_asked(x);
	em_mov_rr(e, T0, R_RCX);
	em_shift_imm(e, 1, 4, T0, 16);
	em_shift_imm(e, 1, 7, T0, 16);
	em_rr(e, 1, 0x39, R_RCX, T0);
	jit_slow_stub(x, em_jcc_later(e, CC_NE), false);
	em_gs(e, 0, 0x8b, T1, GS_GPR(R_R11));
	slow_if_reg_bits(x, T1, FLAG_TF | FLAG_AC);
	em_alu_imm(e, 0, 4, T1, may);
	em_alu_imm(e, 0, 1, T1, FLAG_FIXED);
	em_store_gs(e, T1, GS_OFF(s.rflags));
	park_from(x, T1);
	em_gs_movzx16(e, T0, GS_OFF(s.star) + 6);
	em_lea(e, 0, T1, T0, X86_NO_REG, 0, 8);
	em_alu_imm(e, 0, 4, T1, 0xfffc);
	em_alu_imm(e, 0, 1, T1, 3);
	em_alu_imm(e, 0, 0, T0, 16);
	em_alu_imm(e, 0, 4, T0, 0xfffc);
	em_alu_imm(e, 0, 1, T0, 3);
	emit_flat(e, SEG_CS, T0, SEG_FLAT_CODE | SEG_ATTR_L | dpl3);
	emit_flat(e, SEG_SS, T1, SEG_FLAT_DATA | dpl3);
	emit_privilege(x, x->mode | SOFT_MODE_CPL3, SOFT_VIEW_USER, R_RCX, 0);
}

static void emit_swapgs(struct xlat *x, struct jit_op *o)
{
	struct emit *e = &x->e;

	em_load_gs(e, T0, GS_OFF(s.seg[SEG_GS].base));
	em_load_gs(e, T1, GS_OFF(s.kernel_gs_base));
	em_store_gs(e, T0, GS_OFF(s.kernel_gs_base));
	em_store_gs(e, T1, GS_OFF(s.seg[SEG_GS].base));
	em_store_gs(e, T1, GS_OFF(segbase[SEG_GS]));
	go_on(x, o);
}

/* A general register = T0, or its lower half; and the other way. */
static void set_reg(struct emit *e, unsigned reg, bool wide)
{
	if (!wide)
		em_rr(e, 0, 0x89, T0, T0);
	if (jit_in_memory(reg))
		em_store_gs(e, T0, GS_GPR(reg));
	else
		em_mov_rr(e, reg, T0);
}

static void get_reg(struct emit *e, unsigned reg, bool wide)
{
	if (jit_in_memory(reg))
		em_gs(e, wide, 0x8b, T0, GS_GPR(reg));
	else
		em_rr(e, wide, 0x89, reg, T0);
}

/* RDFSBASE and its kin: which segment register, and does it read? */
static unsigned base_segment(const struct jit_op *o, bool *reads)
{
	enum x86_op op = (enum x86_op)o->insn.op;

	*reads = op == X86_OP_RDFSBASE || op == X86_OP_RDGSBASE;
	return op == X86_OP_RDFSBASE || op == X86_OP_WRFSBASE ? SEG_FS : SEG_GS;
}

static void emit_segment_base(struct xlat *x, struct jit_op *o)
{
	bool reads, wide = o->insn.opsize == 8;
	unsigned seg = base_segment(o, &reads), reg = o->insn.opd[0].reg;
	uint32_t at = (uint32_t)(offsetof(struct soft_cpu, s.seg) + sizeof(struct x86_seg) * seg +
				 offsetof(struct x86_seg, base));
	struct emit *e = &x->e;

	jit_lose_flags(x);
	jit_slow_if_bits(x, CC_E, GS_OFF(s.cr4), CR4_FSGSBASE);
	if (reads) {
		em_load_gs(e, T0, at);
		set_reg(e, reg, wide);
		go_on(x, o);
		return;
	}
	get_reg(e, reg, wide);
	em_mov_rr(e, T1, T0);
	em_shift_imm(e, 1, 4, T1, 16);
	em_shift_imm(e, 1, 7, T1, 16);
	em_rr(e, 1, 0x39, T0, T1);
	jit_slow_stub(x, em_jcc_later(e, CC_NE), false); /* not canonical */
	em_store_gs(e, T0, at);
	em_store_gs(e, T0, (uint32_t)(offsetof(struct soft_cpu, segbase) + 8u * seg));
	go_on(x, o);
}

/* CR0, CR2, CR3, CR4: what is loaded is all there is. */
static void emit_from_cr(struct xlat *x, struct jit_op *o)
{
	static const uint32_t at[] = {[0] = GS_OFF(s.cr0),
				      [2] = GS_OFF(s.cr2),
				      [3] = GS_OFF(s.cr3),
				      [4] = GS_OFF(s.cr4)};

	em_load_gs(&x->e, T0, at[o->insn.opd[1].reg]);
	set_reg(&x->e, o->insn.opd[0].reg, true);
	go_on(x, o);
}

static bool plain_cr(unsigned n)
{
	return n == 0 || (n >= 2 && n <= 4);
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* Behind a fence, as S1's (sys_tsc): no vCPU sees it go backwards from another's. */
static void emit_rdtsc(struct xlat *x, struct jit_op *o)
{
	bool pid = o->insn.op == X86_OP_RDTSCP;
	struct emit *e = &x->e;

	jit_lose_flags(x);
	if (!is_kernel(x))
		jit_slow_if_bits(x, CC_NE, GS_OFF(s.cr4), CR4_TSD);
	em8(e, 0x0f); /* lfence */
	em8(e, 0xae);
	em8(e, 0xe8);
	em8(e, 0x0f); /* rdtsc */
	em8(e, 0x31);
	em_shift_imm(e, 1, 4, R_RDX, 32);
	em_rr(e, 1, 0x09, R_RDX, R_RAX);
	em_gs(e, 1, 0x03, R_RAX, GS_OFF(s.tsc_offset));
	em_mov_rr(e, R_RDX, R_RAX);
	em_shift_imm(e, 1, 5, R_RDX, 32);
	em_rr(e, 0, 0x89, R_RAX, R_RAX);
	if (pid)
		em_gs(e, 0, 0x8b, R_RCX, GS_OFF(s.tsc_aux));
	go_on(x, o);
}

/* ---- Choosing ------------------------------------------------------------------------------- */

/* Is there an operation in the block behind this one? */
static bool has_next(const struct xlat *x, const struct soft_op *op)
{
	return op + 1 < x->bd->ops + x->n && !(op[1].flags & (SOFT_OP_END | SOFT_OP_UD));
}

static jit_emit_fn pick_flags(const struct xlat *x, const struct x86_insn *insn,
			      const struct soft_op *op)
{
	bool kernel = is_kernel(x);
	bool whole = x->m64 ? insn->opsize == 8 : kernel && insn->opsize == 4;

	switch ((enum x86_op)insn->op) {
	case X86_OP_CLD:
		return emit_cld;
	case X86_OP_STD:
		return emit_std;
	case X86_OP_CLI:
		return kernel ? emit_cli : NULL;
	case X86_OP_STI:
		return kernel && has_next(x, op) ? emit_sti : NULL;
	case X86_OP_PUSHF:
		return whole ? emit_pushf : NULL;
	case X86_OP_POPF:
		return whole && kernel ? emit_popf : NULL;
	default:
		return x->cpu->e->crowded ? NULL : emit_pause;
	}
}

jit_emit_fn jit_pick_sys(const struct xlat *x, const struct x86_insn *insn,
			 const struct soft_op *op)
{
	const bool *has = x->cpu->e->cfg.cpuid->has;
	bool kernel64 = x->m64 && is_kernel(x);

	switch ((enum x86_op)insn->op) {
	case X86_OP_PAUSE:
	case X86_OP_CLD:
	case X86_OP_STD:
	case X86_OP_CLI:
	case X86_OP_STI:
	case X86_OP_PUSHF:
	case X86_OP_POPF:
		return pick_flags(x, insn, op);
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_LODS:
		return jit_pick_string(x, insn, op);
	case X86_OP_STAC:
		return kernel64 && has[X86_FEAT_SMAP] ? emit_stac : NULL;
	case X86_OP_CLAC:
		return kernel64 && has[X86_FEAT_SMAP] ? emit_clac : NULL;
	case X86_OP_SYSCALL:
		return x->m64 && (x->mode & SOFT_MODE_CPL3) ? emit_syscall : NULL;
	case X86_OP_SYSRET:
		return kernel64 && insn->opsize == 8 && !(x->mode & SOFT_MODE_VIEW_AC) ? emit_sysret
										       : NULL;
	case X86_OP_SWAPGS:
		return kernel64 ? emit_swapgs : NULL;
	case X86_OP_RDFSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRGSBASE:
		return x->m64 ? emit_segment_base : NULL;
	case X86_OP_MOV_FROM_CR:
		return kernel64 && plain_cr(insn->opd[1].reg) ? emit_from_cr : NULL;
	case X86_OP_RDTSC:
		return emit_rdtsc;
	case X86_OP_RDTSCP:
		return has[X86_FEAT_RDTSCP] ? emit_rdtsc : NULL;
	default:
		return NULL;
	}
}
