// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's segments: loading them by paragraph or by descriptor, LDTR and TR, the
 * tables' registers, and the instructions that only look.
 * Source: Intel SDM vol. 3A §3.4, §5.5–5.10; vol. 2 (MOV, LLDT, LTR, LAR, LSL, VERR, ARPL).
 * Threads: the vCPU's own.
 */
#include "emu_int.h"

/* ---- Descriptors ---------------------------------------------------------------------------- */

void emu_raise_sel(struct lodge_emu *e, uint8_t vector, uint16_t sel)
{
	emu_raise(e, vector, sel & 0xfffcu);
}

void emu_read_desc(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, uint8_t vector)
{
	const struct lodge_emu_seg *table = emu_seg(e, sel & 4 ? LODGE_EMU_LDTR : LODGE_EMU_GDTR);

	if ((sel & 4) && table->unusable)
		emu_raise_sel(e, vector, sel);
	if ((sel | 7u) > table->limit)
		emu_raise_sel(e, vector, sel);
	d->at = table->base + (sel & 0xfff8u);
	d->raw = emu_read_sys(e, d->at, 8);
	d->high = 0;
	d->has_high = (sel | 7u) + 8 <= table->limit;
}

void emu_find_desc(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, uint8_t vector)
{
	if (EMU_NULL(sel))
		emu_raise(e, vector, 0);
	emu_read_desc(e, sel, d, vector);
}

void emu_read_high(struct lodge_emu *e, struct emu_desc *d, uint16_t sel)
{
	if (!EMU_LONG(e))
		return;
	if (!d->has_high)
		emu_raise_sel(e, VEC_GP, sel);
	d->high = emu_read_sys(e, d->at + 8, 8);
	if (d->high >> 40 & 0x1f)
		emu_raise_sel(e, VEC_GP, sel);
}

static void to_seg(const struct emu_desc *d, uint16_t sel, struct lodge_emu_seg *s)
{
	uint32_t limit = (uint32_t)((d->raw & 0xffff) | (d->raw >> 32 & 0xf0000));

	s->base = (d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000) | d->high << 32;
	s->attr = (uint16_t)(d->raw >> 40 & 0xf0ff);
	s->limit = s->attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
	s->sel = sel;
	s->unusable = false;
}

static void write_type(struct lodge_emu *e, const struct emu_desc *d)
{
	emu_write_sys(e, d->at + 5, d->raw >> 40, 1);
}

void emu_put_desc(struct lodge_emu *e, unsigned seg, struct emu_desc *d, uint16_t sel)
{
	struct lodge_emu_seg s;

	if (!(EMU_TYPE(d) & 1)) {
		d->raw |= 1ull << 40; /* accessed */
		write_type(e, d);
	}
	to_seg(d, sel, &s);
	emu_put_seg(e, seg, &s);
}

void emu_set_busy(struct lodge_emu *e, uint16_t sel, bool busy)
{
	struct emu_desc d;

	emu_read_desc(e, sel, &d, VEC_TS);
	d.raw = (d.raw & ~(2ull << 40)) | (busy ? 2ull << 40 : 0);
	write_type(e, &d);
}

void emu_system_seg(struct lodge_emu *e, uint16_t sel, unsigned types, uint8_t vector,
		    uint8_t absent, struct lodge_emu_seg *s)
{
	struct emu_desc d;

	if (sel & 4)
		emu_raise_sel(e, vector, sel);
	emu_find_desc(e, sel, &d, vector);
	emu_read_high(e, &d, sel);
	if (EMU_S(&d) || !(types >> EMU_TYPE(&d) & 1))
		emu_raise_sel(e, vector, sel);
	if (!EMU_P(&d))
		emu_raise_sel(e, absent, sel);
	to_seg(&d, sel, s);
}

/* ---- Data segments -------------------------------------------------------------------------- */

void emu_load_paragraph(struct lodge_emu *e, unsigned seg, uint16_t sel)
{
	struct lodge_emu_seg s = *emu_seg(e, seg);

	s.sel = sel;
	s.base = (uint64_t)sel << 4;
	s.unusable = false;
	if (e->wflags & FLAG_VM) {
		s.limit = 0xffff;
		s.attr = 0xf3;
	}
	emu_put_seg(e, seg, &s);
}

/* FS and GS keep their base on AMD, lose it on Intel. */
void emu_put_null(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned dpl)
{
	struct lodge_emu_seg s = {.sel = sel,
				  .unusable = true,
				  .attr = (uint16_t)(dpl << SEG_ATTR_DPL_SHIFT)};

	emu_put_seg(e, seg, &s);
}

static bool data_allowed(const struct emu_desc *d, unsigned seg, unsigned rpl, unsigned cpl)
{
	unsigned type = EMU_TYPE(d), dpl = EMU_DPL(d);

	if (!EMU_S(d))
		return false;
	if (seg == LODGE_EMU_SS)
		return rpl == cpl && dpl == cpl && (type & 10) == 2;
	if ((type & 10) == 8) /* code that cannot be read */
		return false;
	return (type & 12) == 12 || dpl >= (rpl > cpl ? rpl : cpl);
}

void emu_load_data_seg(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned cpl,
		       uint8_t vector)
{
	bool ss = seg == LODGE_EMU_SS;
	struct emu_desc d;

	if (EMU_NULL(sel)) {
		if (ss && !(EMU_64(e) && cpl < 3 && (sel & 3u) == cpl))
			emu_raise(e, vector, 0);
		emu_put_null(e, seg, sel, ss ? cpl : 0);
		return;
	}
	emu_read_desc(e, sel, &d, vector);
	if (!data_allowed(&d, seg, sel & 3, cpl))
		emu_raise_sel(e, vector, sel);
	if (!EMU_P(&d))
		emu_raise_sel(e, ss ? VEC_SS : VEC_NP, sel);
	emu_put_desc(e, seg, &d, sel);
}

static void load_seg(struct lodge_emu *e, unsigned seg, uint16_t sel)
{
	if (EMU_PM(e))
		emu_load_data_seg(e, seg, sel, e->cpl, VEC_GP);
	else
		emu_load_paragraph(e, seg, sel);
}

void emu_do_load_seg(struct lodge_emu *e)
{
	unsigned seg = e->insn.opd[0].reg;

	load_seg(e, seg,
		 (uint16_t)(e->insn.op == X86_OP_POP_SEG ? emu_pop(e, e->insn.opsize)
							 : emu_get(e, 1)));
	if (seg == LODGE_EMU_SS)
		e->wshadow |= LODGE_EMU_SHADOW_SS;
}

/* Of 32 bits Intel's processors leave the upper half as it was (SDM vol. 2B PUSH); AMD's clear it. */
void emu_do_store_seg(struct lodge_emu *e)
{
	bool push = e->insn.op == X86_OP_PUSH_SEG;
	uint16_t sel = emu_seg(e, e->insn.opd[push ? 0 : 1].reg)->sel;

	if (push) {
		unsigned gap = e->insn.opsize == 4 && e->intel ? 2 : 0;

		emu_add_gpr(e, R_RSP, -(uint64_t)gap, emu_stack_bytes(e));
		emu_push(e, sel, e->insn.opsize - gap);
	} else {
		emu_set(e, 0, sel);
	}
}

/* LES, LDS, LSS, LFS, LGS */
void emu_do_load_far(struct lodge_emu *e)
{
	unsigned op = e->insn.op;
	unsigned seg = op == X86_OP_LES	  ? LODGE_EMU_ES
		       : op == X86_OP_LDS ? LODGE_EMU_DS
		       : op == X86_OP_LSS ? LODGE_EMU_SS
		       : op == X86_OP_LFS ? LODGE_EMU_FS
					  : LODGE_EMU_GS;
	uint64_t off;

	load_seg(e, seg, emu_get_far(e, e->insn.opd[1].size - 2u, &off));
	emu_set(e, 0, off);
}

/* ---- LDTR, TR, GDTR, IDTR ------------------------------------------------------------------- */

void emu_load_ldt(struct lodge_emu *e, uint16_t sel, uint8_t vector)
{
	struct lodge_emu_seg s;

	if (EMU_NULL(sel)) {
		emu_put_null(e, LODGE_EMU_LDTR, sel, 0);
		return;
	}
	emu_system_seg(e, sel, 1u << 2, vector, vector == VEC_TS ? VEC_TS : VEC_NP, &s);
	emu_put_seg(e, LODGE_EMU_LDTR, &s);
}

void emu_do_ldt_tr(struct lodge_emu *e)
{
	struct lodge_emu_seg s;
	uint16_t sel;

	if (!EMU_PM(e))
		emu_ud(e);
	sel = (uint16_t)emu_get(e, 0);
	if (e->insn.op == X86_OP_LLDT) {
		emu_load_ldt(e, sel, VEC_GP);
		return;
	}
	emu_system_seg(e, sel, 1u << 9 | (EMU_LONG(e) ? 0 : 1u << 1), VEC_GP, VEC_NP, &s);
	emu_set_busy(e, sel, true);
	s.attr |= 2;
	emu_put_seg(e, LODGE_EMU_TR, &s);
}

void emu_do_store_sel(struct lodge_emu *e)
{
	unsigned seg = e->insn.op == X86_OP_STR ? LODGE_EMU_TR : LODGE_EMU_LDTR;

	if (!EMU_PM(e))
		emu_ud(e);
	emu_check_umip(e);
	emu_set(e, 0, emu_seg(e, seg)->sel);
}

void emu_do_table(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = EMU_64(e) ? 8 : 4;
	unsigned table = op == X86_OP_LIDT || op == X86_OP_SIDT ? LODGE_EMU_IDTR : LODGE_EMU_GDTR;
	bool wide = EMU_64(e) || (e->mode == X86_MODE_32) != ((e->insn.flags & X86_IF_66) != 0);
	struct lodge_emu_seg s = *emu_seg(e, table);
	uint8_t buf[10];

	if (op == X86_OP_SGDT || op == X86_OP_SIDT) {
		emu_check_umip(e);
		__builtin_memcpy(buf, &s.limit, 2);
		__builtin_memcpy(buf + 2, &s.base, 8);
		emu_set_mem(e, 0, buf, size + 2);
		return;
	}
	emu_get_mem(e, 0, buf, size + 2);
	s.base = 0;
	__builtin_memcpy(&s.limit, buf, 2);
	__builtin_memcpy(&s.base, buf + 2, size);
	if (EMU_64(e) && !emu_canonical(e, s.base))
		emu_gp(e);
	if (!wide)
		s.base &= 0xffffff;
	emu_put_seg(e, table, &s);
}

/* ---- LAR, LSL, VERR, VERW, ARPL --------------------------------------------------------------- */

/* Descriptor types that LAR and LSL know, a bit each; in long mode fewer. */
#define LAR_TYPES 0x1a3eu /* 1, 2, 3, 4, 5, 9, B, C */
#define LAR_LONG 0x1a04u  /* 2, 9, B, C */
#define LSL_TYPES 0x0a0eu /* 1, 2, 3, 9, B */
#define LSL_LONG 0x0a04u

static bool may_look(const struct lodge_emu *e, const struct emu_desc *d, uint16_t sel)
{
	unsigned type = EMU_TYPE(d), op = e->insn.op, rpl = sel & 3u, types = 0;

	if (!EMU_S(d)) {
		if (op == X86_OP_LAR)
			types = EMU_LONG(e) ? LAR_LONG : LAR_TYPES;
		else if (op == X86_OP_LSL)
			types = EMU_LONG(e) ? LSL_LONG : LSL_TYPES;
		if (!(types >> type & 1))
			return false;
	} else if ((op == X86_OP_VERR && (type & 10) == 8) ||
		   (op == X86_OP_VERW && (type & 10) != 2)) {
		return false;
	} else if ((type & 12) == 12) {
		return true;
	}
	return EMU_DPL(d) >= (rpl > e->cpl ? rpl : e->cpl);
}

/* A selector that cannot be looked at clears ZF, without an exception. */
static bool look(struct lodge_emu *e, uint16_t sel, struct emu_desc *d)
{
	if (e->end || EMU_NULL(sel))
		return false;
	emu_read_desc(e, sel, d, VEC_GP);
	if (!EMU_S(d))
		emu_read_high(e, d, sel);
	if (e->end == LODGE_EMU_EXCEPTION && e->ex.vector == VEC_GP) {
		e->end = 0;
		return false;
	}
	return may_look(e, d, sel);
}

void emu_do_verify(struct lodge_emu *e)
{
	unsigned op = e->insn.op;
	bool value = op == X86_OP_LAR || op == X86_OP_LSL, ok;
	struct lodge_emu_seg s;
	struct emu_desc d;
	uint16_t sel;

	if (!EMU_PM(e))
		emu_ud(e);
	sel = (uint16_t)emu_get(e, value ? 1 : 0);
	ok = look(e, sel, &d);
	emu_set_flag(e, FLAG_ZF, ok);
	if (!ok || !value)
		return;
	to_seg(&d, sel, &s);
	emu_set(e, 0, op == X86_OP_LAR ? d.raw >> 32 & 0xffff00 : s.limit);
}

void emu_do_arpl(struct lodge_emu *e)
{
	uint64_t d, s;

	if (!EMU_PM(e))
		emu_ud(e);
	/* Memory is written, and checked for that, only if it changes. */
	if (e->insn.opd[0].kind == X86_OPD_MEM)
		d = emu_read_seg(e, e->insn.seg, emu_ea(e), 2);
	else
		d = emu_get(e, 0);
	s = emu_get(e, 1);
	emu_set_flag(e, FLAG_ZF, (d & 3) < (s & 3));
	if ((d & 3) < (s & 3))
		emu_set(e, 0, (d & ~3ull) | (s & 3));
}
