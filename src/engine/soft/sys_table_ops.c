// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptor-table registers and descriptor inspection: LGDT, LLDT, LTR, LAR, LSL, VERR, ARPL …
 * Source: Intel SDM vol. 2 of each instruction, tables 3-51 (LAR) and 3-57 (LSL); 3A §2.4.
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"

/* ---- GDTR and IDTR -------------------------------------------------------------------------- */

static void load_dtable(struct soft_cpu *cpu, const struct soft_op *op, struct x86_dtable *t)
{
	bool m64 = soft_mode64(cpu);
	unsigned size = m64 ? 8 : 4;
	gva_t lin;
	uint16_t limit;
	uint64_t base;

	sys_need_cpl0(cpu);
	lin = soft_ea_lin(cpu, op, 2 + size, false);
	limit = (uint16_t)soft_ld(cpu, lin, 2);
	base = soft_ld(cpu, sys_wrap(cpu, lin + 2), size);
	if (m64 && !sys_canonical(base))
		soft_raise_err(cpu, VEC_GP, 0);
	/* The decoder gives no operand size here: only this 24-bit form depends on it. */
	if (!m64 && (op->insn->mode == X86_MODE_16) != ((op->insn->flags & X86_IF_66) != 0))
		base &= 0xffffff;
	t->limit = limit;
	t->base = base;
}

static void store_dtable(struct soft_cpu *cpu, const struct soft_op *op, const struct x86_dtable *t)
{
	unsigned size = soft_mode64(cpu) ? 8 : 4;
	gva_t lin;

	sys_need_umip(cpu);
	lin = soft_ea_lin(cpu, op, 2 + size, true);
	soft_probe_write(cpu, lin, 2 + size);
	soft_st(cpu, lin, t->limit, 2);
	soft_st(cpu, sys_wrap(cpu, lin + 2), t->base, size);
}

void sys_lgdt(struct soft_cpu *cpu, const struct soft_op *op)
{
	load_dtable(cpu, op, &cpu->s.gdtr);
}

void sys_lidt(struct soft_cpu *cpu, const struct soft_op *op)
{
	load_dtable(cpu, op, &cpu->s.idtr);
}

void sys_sgdt(struct soft_cpu *cpu, const struct soft_op *op)
{
	store_dtable(cpu, op, &cpu->s.gdtr);
}

void sys_sidt(struct soft_cpu *cpu, const struct soft_op *op)
{
	store_dtable(cpu, op, &cpu->s.idtr);
}

/* ---- LDTR and TR ---------------------------------------------------------------------------- */

/* The descriptor of an LDT or TSS, 16 bytes in long mode; raises #GP(sel). */
static void system_desc(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d)
{
	bool ok = !(sel & 4) &&
		  (sys_lma(cpu) ? sys_desc_fetch16(cpu, sel, d) : sys_desc_fetch(cpu, sel, d));

	/* The upper half's type bits must be 0 (SDM 3A §3.5.2); the base must be canonical. */
	if (!ok || !desc_system(d) || (d->raw_hi >> 40 & 0x1f) ||
	    (sys_lma(cpu) && !sys_canonical(d->base)))
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
}

void sys_lldt(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct sys_desc d;
	uint16_t sel;

	sys_need_protected(cpu);
	sys_need_cpl0(cpu);
	sel = sys_get_rm16(cpu, op, 0);
	if (sel_null(sel)) {
		cpu->s.ldtr = sys_seg_null(sel, 0);
		return;
	}
	system_desc(cpu, sel, &d);
	if (desc_type(&d) != DESC_LDT)
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	cpu->s.ldtr = sys_seg_make(sel, &d);
}

void sys_ltr(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct sys_desc d;
	uint16_t sel;
	bool ok;

	sys_need_protected(cpu);
	sys_need_cpl0(cpu);
	sel = sys_get_rm16(cpu, op, 0);
	if (sel_null(sel))
		soft_raise_err(cpu, VEC_GP, 0);
	system_desc(cpu, sel, &d);
	ok = desc_type(&d) == DESC_TSS32 || (desc_type(&d) == DESC_TSS16 && !sys_lma(cpu));
	if (!ok)
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	sys_desc_set_type(cpu, &d, DESC_BUSY, 0);
	cpu->s.tr = sys_seg_make(sel, &d);
}

void sys_sldt(struct soft_cpu *cpu, const struct soft_op *op)
{
	sys_need_protected(cpu);
	sys_need_umip(cpu);
	sys_put_rm16(cpu, op, 0, cpu->s.ldtr.sel);
}

void sys_str(struct soft_cpu *cpu, const struct soft_op *op)
{
	sys_need_protected(cpu);
	sys_need_umip(cpu);
	sys_put_rm16(cpu, op, 0, cpu->s.tr.sel);
}

/* ---- Inspection ----------------------------------------------------------------------------- */

static void set_zf(struct soft_cpu *cpu, bool on)
{
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAG_ZF) | (on ? FLAG_ZF : 0);
}

/* System types each instruction accepts, as bit masks by type. */
#define TYPE(t) (1u << (t))
#define LAR_LEGACY                                                                       \
	(TYPE(DESC_TSS16) | TYPE(DESC_LDT) | TYPE(DESC_TSS16_BUSY) | TYPE(DESC_CALL16) | \
	 TYPE(DESC_TASK) | TYPE(DESC_TSS32) | TYPE(DESC_TSS32_BUSY) | TYPE(DESC_CALL32))
#define LAR_LONG (TYPE(DESC_LDT) | TYPE(DESC_TSS32) | TYPE(DESC_TSS32_BUSY) | TYPE(DESC_CALL32))
#define LSL_LEGACY                                                                      \
	(TYPE(DESC_TSS16) | TYPE(DESC_LDT) | TYPE(DESC_TSS16_BUSY) | TYPE(DESC_TSS32) | \
	 TYPE(DESC_TSS32_BUSY))
#define LSL_LONG (TYPE(DESC_LDT) | TYPE(DESC_TSS32) | TYPE(DESC_TSS32_BUSY))

/* May CPL and RPL look at the descriptor? */
static bool visible(struct soft_cpu *cpu, uint16_t sel, const struct sys_desc *d)
{
	unsigned dpl = desc_dpl(d);

	return desc_conforming(d) || (dpl >= x86_cpl(&cpu->s) && dpl >= (sel & 3u));
}

static bool inspect(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d, uint32_t legacy,
		    uint32_t lng)
{
	if (sel_null(sel) || !sys_desc_fetch(cpu, sel, d))
		return false;
	if (desc_system(d)) {
		if (!((sys_lma(cpu) ? lng : legacy) >> desc_type(d) & 1))
			return false;
		if (sys_lma(cpu) && (!sys_desc_fetch16(cpu, sel, d) || (d->raw_hi >> 40 & 0x1f)))
			return false;
	}
	return visible(cpu, sel, d);
}

void sys_lar(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct sys_desc d;
	uint16_t sel;
	bool ok;

	sys_need_protected(cpu);
	sel = sys_get_rm16(cpu, op, 1);
	ok = inspect(cpu, sel, &d, LAR_LEGACY, LAR_LONG);
	if (ok)
		sys_set_reg(cpu, sys_reg(op, 0),
			    d.raw >> 32 & (op->opsize == 2 ? 0xff00 : 0xffff00), op->opsize);
	set_zf(cpu, ok);
}

void sys_lsl(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct sys_desc d;
	uint16_t sel;
	bool ok;

	sys_need_protected(cpu);
	sel = sys_get_rm16(cpu, op, 1);
	ok = inspect(cpu, sel, &d, LSL_LEGACY, LSL_LONG);
	if (ok)
		sys_set_reg(cpu, sys_reg(op, 0), d.limit, op->opsize);
	set_zf(cpu, ok);
}

static void verify(struct soft_cpu *cpu, const struct soft_op *op, bool write)
{
	struct sys_desc d;
	uint16_t sel;
	bool ok;

	sys_need_protected(cpu);
	sel = sys_get_rm16(cpu, op, 0);
	ok = !sel_null(sel) && sys_desc_fetch(cpu, sel, &d) && !desc_system(&d) &&
	     visible(cpu, sel, &d);
	if (ok && write)
		ok = desc_writable_data(&d);
	else if (ok)
		ok = !desc_code(&d) || (d.attr & SEG_ATTR_WRITE); /* code: readable */
	set_zf(cpu, ok);
}

void sys_verr(struct soft_cpu *cpu, const struct soft_op *op)
{
	verify(cpu, op, false);
}

void sys_verw(struct soft_cpu *cpu, const struct soft_op *op)
{
	verify(cpu, op, true);
}

void sys_arpl(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t dst, src = (uint16_t)cpu->s.gpr[sys_reg(op, 1)];
	bool mem = sys_is_mem(op, 0), raise_rpl;

	sys_need_protected(cpu);
	/* Memory is only asked for write permission when it is written. */
	dst = mem ? (uint16_t)soft_ld(cpu, soft_ea_lin(cpu, op, 2, false), 2)
		  : (uint16_t)cpu->s.gpr[sys_reg(op, 0)];
	raise_rpl = (dst & 3) < (src & 3);
	if (raise_rpl) {
		dst = (uint16_t)((dst & 0xfffcu) | (src & 3u));
		if (mem)
			soft_st(cpu, soft_ea_lin(cpu, op, 2, true), dst, 2);
		else
			sys_set_reg(cpu, sys_reg(op, 0), dst, 2);
	}
	set_zf(cpu, raise_rpl);
}
