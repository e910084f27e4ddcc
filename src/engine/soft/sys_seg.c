// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segment register loads and stores: MOV, PUSH, POP, LDS and its kin.
 * Source: Intel SDM 3A §5.4–5.6, vol. 2 MOV, POP, LDS; AMD APM vol. 2 §4.5.
 * Threads: the vCPU's own.
 *
 * Where vendors differ: a null selector clears base and limit (CPUID 8000_0021 EAX[6] says so on
 * AMD too).
 */
#include "engine/soft/sys_int.h"

void sys_check_ss(struct soft_cpu *cpu, uint16_t sel, unsigned cpl, uint8_t vector,
		  struct sys_desc *d)
{
	if (sel_null(sel))
		soft_raise_err(cpu, vector, 0);
	sys_desc_need(cpu, sel, d, vector);
	if ((sel & 3) != cpl || desc_dpl(d) != cpl || !desc_writable_data(d))
		soft_raise_err(cpu, vector, sel_err(sel));
	if (!desc_present(d))
		soft_raise_err(cpu, VEC_SS, sel_err(sel));
}

static void load_ss(struct soft_cpu *cpu, uint16_t sel)
{
	unsigned cpl = x86_cpl(&cpu->s);
	struct sys_desc d;

	if (sel_null(sel) && soft_mode64(cpu) && cpl != 3 && (sel & 3) == cpl) {
		cpu->s.seg[SEG_SS] = sys_seg_null(sel, cpl);
		return;
	}
	sys_check_ss(cpu, sel, cpl, VEC_GP, &d);
	sys_desc_set_accessed(cpu, &d);
	cpu->s.seg[SEG_SS] = sys_seg_make(sel, &d);
}

static void load_data(struct soft_cpu *cpu, unsigned seg, uint16_t sel)
{
	unsigned need = x86_cpl(&cpu->s);
	struct sys_desc d;

	if (sel_null(sel)) {
		cpu->s.seg[seg] = sys_seg_null(sel, 0);
		return;
	}
	if ((sel & 3) > need)
		need = sel & 3;
	sys_desc_need(cpu, sel, &d, VEC_GP);
	if (desc_system(&d) || (desc_code(&d) && !(d.attr & SEG_ATTR_WRITE)))
		soft_raise_err(cpu, VEC_GP, sel_err(sel)); /* bit 1 of a code type: readable */
	if (!desc_conforming(&d) && need > desc_dpl(&d))
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	sys_desc_set_accessed(cpu, &d);
	cpu->s.seg[seg] = sys_seg_make(sel, &d);
}

void sys_load_seg(struct soft_cpu *cpu, unsigned seg, uint16_t sel)
{
	if (sys_vm86(cpu)) {
		cpu->s.seg[seg] = sys_seg_vm86(sel);
	} else if (!(cpu->s.cr0 & CR0_PE)) {
		/* Limit and attributes stay: "unreal mode" lives on this. */
		cpu->s.seg[seg].sel = sel;
		cpu->s.seg[seg].base = (uint64_t)sel << 4;
		cpu->s.seg[seg].unusable = false;
	} else if (seg == SEG_SS) {
		load_ss(cpu, sel);
	} else {
		load_data(cpu, seg, sel);
	}
	soft_mode_changed(cpu);
}

void sys_drop_inner_segs(struct soft_cpu *cpu)
{
	static const uint8_t segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	unsigned cpl = x86_cpl(&cpu->s);

	for (unsigned i = 0; i < sizeof(segs); i++) {
		struct x86_seg *sg = &cpu->s.seg[segs[i]];
		const uint16_t conforming = SEG_ATTR_CODE | SEG_ATTR_EXPDOWN;

		if (sg->unusable || (sg->attr & conforming) == conforming)
			continue;
		if (((unsigned)(sg->attr >> SEG_ATTR_DPL_SHIFT) & 3) < cpl)
			*sg = sys_seg_null(0, 0);
	}
}

/* ---- Operations ----------------------------------------------------------------------------- */

uint16_t sys_get_rm16(struct soft_cpu *cpu, const struct soft_op *op, unsigned i)
{
	if (sys_is_mem(op, i))
		return (uint16_t)soft_ld(cpu, soft_ea_lin(cpu, op, 2, false), 2);
	return (uint16_t)cpu->s.gpr[sys_reg(op, i)];
}

void sys_put_rm16(struct soft_cpu *cpu, const struct soft_op *op, unsigned i, uint64_t val)
{
	if (sys_is_mem(op, i))
		soft_st(cpu, soft_ea_lin(cpu, op, 2, true), val, 2);
	else
		sys_set_reg(cpu, sys_reg(op, i), val, op->opsize);
}

void sys_mov_from_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	sys_put_rm16(cpu, op, 0, cpu->s.seg[sys_reg(op, 1)].sel);
}

void sys_mov_to_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned seg = sys_reg(op, 0);

	if (seg == SEG_CS || seg >= SEG_COUNT)
		soft_raise(cpu, VEC_UD);
	if (seg != SEG_SS) {
		sys_load_seg(cpu, seg, sys_get_rm16(cpu, op, 1));
		return;
	}
	sys_load_seg(cpu, seg, sys_get_rm16(cpu, op, 1));
	cpu->s.int_shadow = X86_SHADOW_SS;
	soft_mode_changed(cpu);
}

/* Of 32 bits Intel's processors leave the upper half as it was (SDM vol. 2B PUSH); AMD's clear it. */
void sys_push_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct sys_stack st = sys_stack_current(cpu);
	unsigned gap = op->opsize == 4 && !sys_amd(cpu) ? 2 : 0;

	st.sp -= gap;
	sys_push(cpu, &st, cpu->s.seg[sys_reg(op, 0)].sel, op->opsize - gap);
	sys_set_sp(cpu, st.sp, st.mask);
}

void sys_pop_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned seg = sys_reg(op, 0);
	struct sys_stack st = sys_stack_current(cpu);
	uint16_t sel = (uint16_t)sys_pop(cpu, &st, 2);

	st.sp += op->opsize - 2u;
	sys_load_seg(cpu, seg, sel);
	sys_set_sp(cpu, st.sp, st.mask);
	if (seg == SEG_SS) {
		cpu->s.int_shadow = X86_SHADOW_SS;
		soft_mode_changed(cpu);
	}
}

static unsigned lseg_target(unsigned op)
{
	switch (op) {
	case X86_OP_LES:
		return SEG_ES;
	case X86_OP_LDS:
		return SEG_DS;
	case X86_OP_LSS:
		return SEG_SS;
	case X86_OP_LFS:
		return SEG_FS;
	default:
		return SEG_GS;
	}
}

/* LES, LDS, LSS, LFS, LGS. AMD knows no 64-bit offsets in far pointers: REX.W gives 32 bits. */
void sys_lseg(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize == 8 && sys_amd(cpu) ? 4 : op->opsize;
	gva_t lin = soft_ea_lin(cpu, op, size + 2, false);
	uint64_t off = soft_ld(cpu, lin, size);
	uint16_t sel = (uint16_t)soft_ld(cpu, sys_wrap(cpu, lin + size), 2);

	sys_load_seg(cpu, lseg_target(op->insn->op), sel);
	sys_set_reg(cpu, sys_reg(op, 0), off, op->opsize);
}
